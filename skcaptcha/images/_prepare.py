"""From an image to what the network reads: cut, resized, with one channel or three."""

import math

import numpy as np

from skcaptcha.images._read import to_grayscale, to_rgb
from skcaptcha.model.network import TIME_STRIDE
from skcaptcha.preprocessing import resize_image

__all__ = [
    "ALL_ROWS",
    "INK_PARTS",
    "MAX_WIDTH",
    "MIN_WIDTH",
    "crop_rows",
    "measure_ink",
    "prepare_image",
    "resized_width",
    "round_width",
]

MIN_WIDTH = 4 * TIME_STRIDE
"""Columns of an image that are seen at least, however narrow it is."""

MAX_WIDTH = 2**15
"""Columns beyond which an image is refused."""

ALL_ROWS = (0.0, 1.0)
"""All rows of an image, as shares of its height."""

INK_PARTS = 40
"""Parts of the height in which ink is counted."""

# Rows and columns of a large image that are looked at, at the least, to count ink.
_SEEN = 128


def measure_ink(image):
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
    ends = np.linspace(0, len(ink), INK_PARTS + 1)
    ink = np.diff(np.interp(ends, np.arange(len(above)), above))
    return ink / (ink.sum() or 1.0)


def crop_rows(height, rows):
    """Return the first of the rows of an image that are read, and the one after them.

    `rows` are shares of its height, such as (0.25, 0.75).
    """
    return math.floor(rows[0] * height), math.ceil(rows[1] * height)


def resized_width(shape, *, height, stretch, rows=ALL_ROWS):
    """Return the width of an image at a height, rounded to nothing yet."""
    first, end = crop_rows(shape[0], rows)
    return max(MIN_WIDTH, shape[1] * height / (end - first)) * stretch


def round_width(width):
    """Return the nearest width that makes whole time steps."""
    return round(width / TIME_STRIDE) * TIME_STRIDE


def prepare_image(image, *, height, stretch, color_mode, name, rows=ALL_ROWS):
    """Bring an image to the rows, size and channels that the network reads.

    Parameters
    ----------
    image : ndarray of shape (H, W) or (H, W, 3), uint8
        The image.
    height : int
        New height.
    stretch : float
        Factor by which it is widened.
    color_mode : {"grayscale", "rgb"}
        Whether there will be one channel or three.
    name : str
        What the error calls the image.
    rows : tuple of float, optional
        The rows that are read, as shares of the image's height.

    Returns
    -------
    ndarray of shape (height, W', C), uint8
        W' is a multiple of ``TIME_STRIDE``.

    Raises
    ------
    ValueError
        If the image is so wide and low that its resized form would fill the memory.
    """
    width = resized_width(image.shape, height=height, stretch=stretch, rows=rows)
    if width > MAX_WIDTH:
        raise ValueError(
            f"{name} has the shape {image.shape[:2]} and would be {width:.0f} pixels "
            f"wide at a height of {height}; at most {MAX_WIDTH} are read. Cut it "
            "to the text, or into pieces."
        )
    first, end = crop_rows(image.shape[0], rows)
    image = image[first:end]
    image = to_rgb(image) if color_mode == "rgb" else to_grayscale(image)
    image = resize_image(image, (height, round_width(width)))
    return image if image.ndim == 3 else image[:, :, None]
