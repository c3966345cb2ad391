"""Images cut and resized for the network, with one channel or three."""

import math

import numpy as np

from skcaptcha.images._read import to_grayscale, to_rgb
from skcaptcha.model.geometry import TIME_STRIDE
from skcaptcha.preprocessing._functions import resize

MIN_WIDTH = 4 * TIME_STRIDE
"""Least width of an image, before it is stretched."""

MAX_WIDTH = 2**15
"""Greatest width of an image."""

ALL_ROWS = (0.0, 1.0)
"""First and last row of a whole image, as shares of its height."""

INK_PARTS = 40
"""Parts of the height whose ink is measured."""

# Large images are subsampled to this many rows and columns, at least.
_MIN_SAMPLED = 128


def measure_ink(image):
    """Return the share of the ink in each part of the height, of shape (40,).

    Ink is the distance of a pixel's luma from the image's median. The shares sum to 1,
    or to 0 in an empty image.
    """
    steps = (max(1, length // _MIN_SAMPLED) for length in image.shape[:2])
    luma = to_grayscale(image[tuple(slice(None, None, step) for step in steps)])
    ink = np.abs(luma - np.float32(np.median(luma))).mean(axis=1)  # (H,)
    above = np.append(0.0, ink.cumsum())
    ends = np.linspace(0, len(ink), INK_PARTS + 1)
    ink = np.diff(np.interp(ends, np.arange(len(above)), above))
    return ink / (ink.sum() or 1.0)


def crop_rows(height, rows):
    """Return the first row to read and the one after the last, from their shares."""
    return math.floor(rows[0] * height), math.ceil(rows[1] * height)


def resized_width(shape, *, height, stretch, rows=ALL_ROWS):
    """Return the width of an image at a new height, not rounded yet."""
    first, end = crop_rows(shape[0], rows)
    return max(MIN_WIDTH, shape[1] * height / (end - first)) * stretch


def round_width(width):
    """Return the nearest multiple of ``TIME_STRIDE``."""
    return round(width / TIME_STRIDE) * TIME_STRIDE


def prepare_image(image, *, height, stretch, color_mode, name, rows=ALL_ROWS):
    """Crop an image (H, W) or (H, W, 3) to `rows`, resize it, set its channels.

    Returns an array of shape (height, W', C), uint8, with W' a multiple of
    ``TIME_STRIDE``. An image that would be too wide is a ValueError, which calls it
    `name`.
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
    return _resize(image, (height, round_width(width)))


def change_width(image, factor):
    """Return an image that `prepare_image` has returned, `factor` times as wide."""
    height, width, n_channels = image.shape
    image = image if n_channels == 3 else image[:, :, 0]
    return _resize(image, (height, min(round_width(width * factor), MAX_WIDTH)))


def _resize(image, size):
    """Return an image with a third axis for its channels."""
    image = resize(image, size)
    return image if image.ndim == 3 else image[:, :, None]
