"""Choose the part and the size at which images are read, and bring them to it."""

import math

import numpy as np

from skcaptcha.images._read import to_grayscale, to_rgb
from skcaptcha.model.network import TIME_STRIDE
from skcaptcha.preprocessing import resize_image

__all__ = [
    "GREATEST_STRETCH",
    "GREATEST_WIDTH",
    "LEAST_WIDTH",
    "WHOLE",
    "choose_height",
    "choose_rows",
    "choose_stretch",
    "crop_height",
    "find_ink",
    "prepare_image",
]

LEAST_WIDTH = 4 * TIME_STRIDE
"""Columns of an image that are seen at least, however narrow it is."""

GREATEST_WIDTH = 2**15
"""Columns beyond which an image is refused."""

GREATEST_STRETCH = 4
"""How many times images are widened at most."""

WHOLE = (0.0, 1.0)
"""All rows of an image."""

# Parts of the height in which ink is counted, in so many rows and columns at the least
# of a large image.
_PARTS, _SEEN = 40, 128
# Shares of the greatest ink, on average over the images, that a part has to have for
# most of them to have text there, and for some to.
_MOST_INK, _SOME_INK = 0.5, 0.2
# Share of the height that has to be empty to be cut off, pixels that are kept, and
# images that it takes to tell.
_WORTH_CUTTING, _LEAST_ROWS, _LEAST_IMAGES = 0.2, 32, 25
# Time steps that the median label gets a character.
_STEPS_PER_CHARACTER = 3


def find_ink(image):
    """Return how the ink of an image is spread over its height.

    Ink is how far the luma of a pixel is from the image's median.

    Parameters
    ----------
    image : ndarray of shape (H, W) or (H, W, 3), uint8
        The image.

    Returns
    -------
    ndarray of shape (40,)
        Shares of the ink from top to bottom. They sum to 1, or to 0 in an empty image.
    """
    steps = (max(1, length // _SEEN) for length in image.shape[:2])
    luma = to_grayscale(image[tuple(slice(None, None, step) for step in steps)])
    ink = np.abs(luma - np.float32(np.median(luma))).mean(axis=1)  # (H,)
    above = np.append(0.0, ink.cumsum())
    ends = np.linspace(0, len(ink), _PARTS + 1)
    ink = np.diff(np.interp(ends, np.arange(len(above)), above))
    return ink / (ink.sum() or 1.0)


def choose_rows(ink, sizes):
    """Return the rows that text may stand in, where the others are worth cutting off.

    Around the rows with at least half of the ink of the fullest one, half of their
    number is kept on either side. So it all is where text of one height stands at any
    height with the same probability, and so are the parts of letters above and below
    the body of the others. Rows with a fifth of that ink are kept, wherever they are,
    and 32 rows of the median image. The others are cut off if they are a fifth of the
    height, and there are 25 images to tell.

    Parameters
    ----------
    ink : ndarray of shape (40,)
        Mean of what `find_ink` returned for the images.
    sizes : array-like of shape (n, 2)
        Heights and widths of the images.

    Returns
    -------
    top, bottom : float
        Shares of the height.
    """
    if len(sizes) < _LEAST_IMAGES or not ink.any():
        return WHOLE
    most, some = (
        (np.flatnonzero(ink >= share * ink.max())[[0, -1]] + [0, 1]) / _PARTS
        for share in (_MOST_INK, _SOME_INK)
    )
    least = _LEAST_ROWS / np.median(np.asarray(sizes)[:, 0])
    share = min(1.0, max(2 * (most[1] - most[0]), least))
    top = min(max(0.0, most.mean() - share / 2), 1 - share)
    top, bottom = min(top, some[0]), max(top + share, some[1])
    if bottom - top > 1 - _WORTH_CUTTING:
        return WHOLE
    return round(float(top), 4), round(float(bottom), 4)


def crop_height(height, rows):
    """Return the first of the rows of an image that are read, and the one after them.

    Parameters
    ----------
    height : int
        Height of the image.
    rows : tuple of float
        What `choose_rows` returned.

    Returns
    -------
    first, end : int
    """
    return math.floor(rows[0] * height), math.ceil(rows[1] * height)


def choose_height(sizes, rows=WHOLE):
    """Return the median height, of which four fifths do from 40 rows on.

    Characters seldom fill a high image. It is a multiple of 8 between 32 and 56.

    Parameters
    ----------
    sizes : array-like of shape (n, 2)
        Heights and widths of the images.
    rows : tuple of float, optional
        What `choose_rows` returned.

    Returns
    -------
    int
    """
    median = float(np.median(np.asarray(sizes)[:, 0])) * (rows[1] - rows[0])
    height = max(min(median, 40), 0.8 * median)
    return int(min(max(int(height / 8 + 0.5) * 8, 32), 56))


def choose_stretch(sizes, targets, texts, height, fixed=None, rows=WHOLE):
    """Return by how much images are widened so that labels have enough time steps.

    A label needs a step for each character and one between equal neighbors; the
    median one should have more than that.

    Parameters
    ----------
    sizes : array-like of shape (n, 2)
        Heights and widths of the images.
    targets : list of ndarray of int
        The symbols of each.
    texts : list of str
        The labels, for the error.
    height : int
        The height at which images are read.
    fixed : float, optional
        What was returned for the images that came before, if these have to do with it.
    rows : tuple of float, optional
        What `choose_rows` returned.

    Returns
    -------
    float
        At least 1.

    Raises
    ------
    ValueError
        If a label has more characters than its image can have time steps.
    """
    sizes = np.asarray(sizes)
    heights = [
        end - first for first, end in (crop_height(h, rows) for h in sizes[:, 0])
    ]
    widths = sizes[:, 1] * height / np.array(heights)
    steps = np.maximum(widths, LEAST_WIDTH) / TIME_STRIDE
    lengths = np.array([len(target) for target in targets])
    repeats = np.array([np.count_nonzero(t[1:] == t[:-1]) for t in targets])
    needed = lengths + repeats
    stretch = (needed + 0.5) / steps  # rounding the width may cost half a step
    greatest = GREATEST_STRETCH if fixed is None else fixed
    misfits = np.flatnonzero(stretch > greatest)
    if misfits.size:
        named = ", ".join(
            f"y[{i}]={texts[i]!r} needs {needed[i]} and X[{i}], an image of shape "
            f"{tuple(sizes[i].tolist())}, yields {int(greatest * steps[i])}"
            for i in misfits[:5]
        )
        more = f", and {misfits.size - 5} more" if misfits.size > 5 else ""
        widened = f"even widened {greatest} times"
        remedy = "Correct these labels or drop these samples."
        if fixed is not None:
            widened = f"at the width that the first fit has settled ({fixed:.3g} times)"
            remedy = "Drop these samples, or fit anew with all, warm_start=False."
        raise ValueError(
            "Labels need more time steps (one a character, one more between equal "
            f"neighbors) than their images yield {widened}: {named}{more}. {remedy}"
        )
    if fixed is not None:
        return fixed
    comfort = np.median(_STEPS_PER_CHARACTER * lengths / steps)
    return float(max(1.0, stretch.max(), min(comfort, GREATEST_STRETCH)))


def prepare_image(image, *, height, stretch, color_mode, name, rows=WHOLE):
    """Bring an image to the rows, size and channels that the network reads.

    Parameters
    ----------
    image : ndarray of shape (H, W) or (H, W, 3), uint8
        The image.
    height : int
        New height.
    stretch : float
        What `choose_stretch` returned.
    color_mode : {"grayscale", "rgb"}
        Whether there will be one channel or three.
    name : str
        What the error calls the image.
    rows : tuple of float, optional
        What `choose_rows` returned.

    Returns
    -------
    ndarray of shape (height, W', C), uint8
        W' is a multiple of ``TIME_STRIDE``.

    Raises
    ------
    ValueError
        If the image is so wide and low that its resized form would fill the memory.
    """
    first, end = crop_height(image.shape[0], rows)
    width = max(LEAST_WIDTH, image.shape[1] * height / (end - first)) * stretch
    if width > GREATEST_WIDTH:
        raise ValueError(
            f"{name} has the shape {image.shape[:2]} and would be {width:.0f} pixels "
            f"wide at a height of {height}; at most {GREATEST_WIDTH} are read. Cut it "
            "to the text, or into pieces."
        )
    width = round(width / TIME_STRIDE) * TIME_STRIDE
    image = image[first:end]
    image = to_rgb(image) if color_mode == "rgb" else to_grayscale(image)
    image = resize_image(image, (height, width))
    return image if image.ndim == 3 else image[:, :, None]
