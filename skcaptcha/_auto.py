"""What each "auto" becomes: pure functions of sizes, lengths and counts.

Each constant has its reason beside it. Those that act on images were tried on the nine
sets of benchmarks/auto_constants.py.
"""

import dataclasses
import math
from dataclasses import dataclass

import numpy as np

from skcaptcha.images._prepare import (
    ALL_ROWS,
    INK_PARTS,
    MIN_WIDTH,
    crop_rows,
    resized_width,
    round_width,
)
from skcaptcha.model.network import TIME_STRIDE

__all__ = [
    "MAX_STRETCH",
    "AutoChoices",
    "choose_batch_size",
    "choose_height",
    "choose_max_iter",
    "choose_n_held_out",
    "choose_rows",
    "choose_stretch",
    "count_pixels",
]

# Rows of text. A part of the height has text in most images where it has half of the
# ink of the fullest part, on average, and in some images where it has a fifth.
_INK_IN_MOST, _INK_IN_SOME = 0.5, 0.2
# Cutting less than a fifth of the height saves too little to risk a descender; text is
# not cut to fewer pixels than the smallest height that is read; and fewer images do
# not tell where others have their text.
_MIN_CUT, _MIN_ROWS, _MIN_IMAGES_TO_CUT = 0.2, 32, 25

# Heights. Below 32 rows the convolution blocks have too little to halve; above 56 a
# fit takes longer and reads no better. Characters seldom fill images of more than 40
# rows, so four fifths of these do.
_MIN_HEIGHT, _MAX_HEIGHT, _HEIGHT_STEP = 32, 56, 8
_FILLED_HEIGHT, _FILLED_SHARE = 40, 0.8

# Time steps. CTC needs one a character and one between equal neighbors; the median
# label gets three a character, so that characters of different widths have room.
_STEPS_PER_CHARACTER = 3
MAX_STRETCH = 4
"""How many times images are widened at most; more only blurs them."""

# Small batches make more updates of few images; from here on there are enough.
_SMALL_BATCH, _LARGE_BATCH, _IMAGES_FOR_LARGE_BATCHES = 8, 16, 2000
# Passes over the images that a fit may take, and over many of them; 500 held-out
# images tell two epochs apart well enough.
_MANY_IMAGES, _MAX_HELD_OUT = 5000, 500
_PASSES, _PASSES_OVER_MANY = 20, 30
# What these may cost: together about an hour of two cores.
_MAX_UPDATES, _MAX_PIXELS = 20_000, 3e9
# What a fit takes all the same: enough updates to get from the plateau to the end of
# the schedule, and enough passes to see each image several times.
_MIN_PASSES, _MIN_UPDATES = 5, 2500


@dataclass(frozen=True)
class AutoChoices:
    """What a fit has chosen, or was told, where a parameter may be "auto"."""

    image_height: int
    text_rows: tuple
    width_stretch: float
    color_mode: str
    start: str
    device: str
    n_held_out: int
    batch_size: int
    max_iter: int

    def __str__(self):
        """List the choices, one a line."""
        return "\n".join(
            f"{name:14} {value}" for name, value in dataclasses.asdict(self).items()
        )


def choose_rows(ink, sizes):
    """Return the rows that text may stand in, where the others are worth cutting off.

    Around the rows with at least half of the ink of the fullest one, half of their
    number is kept on either side. So it all is where text of one height stands at any
    height with the same probability, and so are the parts of letters above and below
    the body of the others. Rows with a fifth of that ink are kept, wherever they are.

    Parameters
    ----------
    ink : ndarray of shape (40,)
        Mean of what `measure_ink` returned for the images.
    sizes : array-like of shape (n, 2)
        Heights and widths of the images.

    Returns
    -------
    top, bottom : float
        Shares of the height.
    """
    if len(sizes) < _MIN_IMAGES_TO_CUT or not ink.any():
        return ALL_ROWS
    most, some = (
        (np.flatnonzero(ink >= share * ink.max())[[0, -1]] + [0, 1]) / INK_PARTS
        for share in (_INK_IN_MOST, _INK_IN_SOME)
    )
    least = _MIN_ROWS / np.median(np.asarray(sizes)[:, 0])
    share = min(1.0, max(2 * (most[1] - most[0]), least))
    top = min(max(0.0, most.mean() - share / 2), 1 - share)
    top, bottom = min(top, some[0]), max(top + share, some[1])
    if bottom - top > 1 - _MIN_CUT:
        return ALL_ROWS
    return round(float(top), 4), round(float(bottom), 4)


def choose_height(sizes, rows=ALL_ROWS):
    """Return the height at which images are read, from the median of their `rows`.

    Parameters
    ----------
    sizes : array-like of shape (n, 2)
        Heights and widths of the images.
    rows : tuple of float, optional
        What `choose_rows` returned.

    Returns
    -------
    int
        A multiple of 8 from 32 to 56.
    """
    median = float(np.median(np.asarray(sizes)[:, 0])) * (rows[1] - rows[0])
    height = max(min(median, _FILLED_HEIGHT), _FILLED_SHARE * median)
    height = int(height / _HEIGHT_STEP + 0.5) * _HEIGHT_STEP
    return min(max(height, _MIN_HEIGHT), _MAX_HEIGHT)


def choose_stretch(sizes, targets, texts, height, fixed=None, rows=ALL_ROWS):
    """Return by how much images are widened so that labels have enough time steps.

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
        What an earlier fit has chosen, if these images have to do with it.
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
    ends = (crop_rows(image_height, rows) for image_height in sizes[:, 0])
    heights = np.array([end - first for first, end in ends])
    steps = np.maximum(sizes[:, 1] * height / heights, MIN_WIDTH) / TIME_STRIDE
    lengths = np.array([len(target) for target in targets])
    repeats = np.array([np.count_nonzero(t[1:] == t[:-1]) for t in targets])
    needed = lengths + repeats
    stretch = (needed + 0.5) / steps  # rounding the width may cost half a step
    most = MAX_STRETCH if fixed is None else fixed
    misfits = np.flatnonzero(stretch > most)
    if misfits.size:
        named = ", ".join(
            f"y[{i}]={texts[i]!r} needs {needed[i]} and X[{i}], an image of shape "
            f"{tuple(sizes[i].tolist())}, yields {int(most * steps[i])}"
            for i in misfits[:5]
        )
        more = f", and {misfits.size - 5} more" if misfits.size > 5 else ""
        widened = f"even widened {most} times"
        remedy = "Correct these labels or drop these samples."
        if fixed is not None:
            widened = f"at the width that the first fit has chosen ({fixed:.3g} times)"
            remedy = "Drop these samples, or fit anew with all, warm_start=False."
        raise ValueError(
            "Labels need more time steps (one a character, one more between equal "
            f"neighbors) than their images yield {widened}: {named}{more}. {remedy}"
        )
    if fixed is not None:
        return fixed
    comfort = np.median(_STEPS_PER_CHARACTER * lengths / steps)
    return float(max(1.0, stretch.max(), min(comfort, MAX_STRETCH)))


def choose_n_held_out(n_samples, early_stopping, validation_fraction):
    """Return how many samples are held out.

    Parameters
    ----------
    n_samples : int
        Number of all samples.
    early_stopping, validation_fraction
        The parameters of the recognizer.

    Returns
    -------
    int

    Raises
    ------
    ValueError
        If fewer than two are left to train on.
    """
    n_held_out = max(1, round(validation_fraction * n_samples))
    if early_stopping == "auto":
        early_stopping = n_samples >= _MANY_IMAGES
        n_held_out = min(n_held_out, _MAX_HELD_OUT)
    if not early_stopping:
        return 0
    if n_samples - n_held_out < 2:
        raise ValueError(
            f"validation_fraction={validation_fraction!r} of {n_samples} samples "
            f"leaves {n_samples - n_held_out} to train on; pass more samples, a "
            "smaller `validation_fraction` or early_stopping=False."
        )
    return n_held_out


def choose_batch_size(n_samples):
    """Return the number of images in an update, from the number of training images."""
    return _SMALL_BATCH if n_samples < _IMAGES_FOR_LARGE_BATCHES else _LARGE_BATCH


def choose_max_iter(n_samples, batch_size, n_pixels):
    """Return the number of epochs.

    Parameters
    ----------
    n_samples : int
        Number of training images.
    batch_size : int
        Images in each update.
    n_pixels : int
        Pixels of all training images, resized.

    Returns
    -------
    int
    """
    updates = math.ceil(n_samples / batch_size)  # of an epoch
    affordable = min(math.ceil(_MAX_UPDATES / updates), int(_MAX_PIXELS / n_pixels))
    usual = _PASSES if n_samples < _MANY_IMAGES else _PASSES_OVER_MANY
    least = max(math.ceil(_MIN_UPDATES / updates), _MIN_PASSES)
    return max(least, min(usual, affordable))


def count_pixels(sizes, *, height, stretch, rows):
    """Return the number of pixels that images of some sizes have when resized."""
    widths = (
        round_width(resized_width(size, height=height, stretch=stretch, rows=rows))
        for size in np.asarray(sizes).tolist()
    )
    return height * sum(widths)
