"""Choose the size at which images are read, and bring them to it."""

import numpy as np

from skcaptcha.images import to_grayscale, to_rgb
from skcaptcha.network import TIME_STRIDE
from skcaptcha.preprocessing import resize_image

__all__ = [
    "GREATEST_STRETCH",
    "GREATEST_WIDTH",
    "LEAST_WIDTH",
    "choose_height",
    "choose_stretch",
    "prepare_image",
]

LEAST_WIDTH = 4 * TIME_STRIDE
"""Columns of an image that are seen at least, however narrow it is."""

GREATEST_WIDTH = 2**15
"""Columns beyond which an image is refused."""

GREATEST_STRETCH = 4
"""How many times images are widened at most."""

# Time steps that the median label gets a character.
_STEPS_PER_CHARACTER = 3


def choose_height(sizes):
    """Return the median height, of which four fifths do from 40 rows on.

    Characters seldom fill a high image. It is a multiple of 8 between 32 and 56.

    Parameters
    ----------
    sizes : array-like of shape (n, 2)
        Heights and widths of the images.

    Returns
    -------
    int
    """
    median = float(np.median(np.asarray(sizes)[:, 0]))
    height = max(min(median, 40), 0.8 * median)
    return int(min(max(int(height / 8 + 0.5) * 8, 32), 56))


def choose_stretch(sizes, targets, texts, height, fixed=None):
    """Return by how much images are widened so that labels have enough time steps.

    A label needs a step for each character and one between equal neighbours; the
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
    widths = sizes[:, 1] * height / sizes[:, 0]
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
            f"neighbours) than their images yield {widened}: {named}{more}. {remedy}"
        )
    if fixed is not None:
        return fixed
    comfort = np.median(_STEPS_PER_CHARACTER * lengths / steps)
    return float(max(1.0, stretch.max(), min(comfort, GREATEST_STRETCH)))


def prepare_image(image, *, height, stretch, color_mode, name):
    """Bring an image to the height, width and channels that the network reads.

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

    Returns
    -------
    ndarray of shape (height, W', C), uint8
        W' is a multiple of ``TIME_STRIDE``.

    Raises
    ------
    ValueError
        If the image is so wide and low that its resized form would fill the memory.
    """
    width = max(LEAST_WIDTH, image.shape[1] * height / image.shape[0]) * stretch
    if width > GREATEST_WIDTH:
        raise ValueError(
            f"{name} has the shape {image.shape[:2]} and would be {width:.0f} pixels "
            f"wide at a height of {height}; at most {GREATEST_WIDTH} are read. Cut it "
            "to the text, or into pieces."
        )
    width = round(width / TIME_STRIDE) * TIME_STRIDE
    image = to_rgb(image) if color_mode == "rgb" else to_grayscale(image)
    image = resize_image(image, (height, width))
    return image if image.ndim == 3 else image[:, :, None]
