"""The values of "auto" parameters, from sizes, lengths and counts.

"Nine sets": benchmarks/auto_constants.py changed the constant, looked at what is then
chosen for nine real sets, and fitted where that is said.
"""

import dataclasses
import math
from dataclasses import dataclass

import numpy as np

from skcaptcha._validation import count
from skcaptcha.images._decode import name_sample
from skcaptcha.images._prepare import (
    ALL_ROWS,
    INK_PARTS,
    MIN_WIDTH,
    crop_rows,
)
from skcaptcha.model.geometry import N_TIME_STRIDES, TIME_STRIDE

# Rows. Where most images have text, there is on average half of the ink of the fullest
# part of the height, and a fifth where some have it. Of the nine sets cs4243 alone is
# cut; less than half cuts a second one, less than a fifth none.
_INK_IN_MOST, _INK_IN_SOME = 0.5, 0.2
# Cutting less than a fifth saves too little to risk a descender. Text keeps the least
# height. From 10 images of cs4243 rows were cut that half of the images need.
_MIN_CUT, _MIN_ROWS, _MIN_IMAGES_TO_CUT = 0.2, 32, 25

# Heights. The convolution blocks halve five times; above 56 rows a fit takes longer.
# Characters seldom fill images of more than 40 rows; 48 in its place read no better in
# 1.2 times the time. Small images gain: of three sets of 28 to 35 rows 3 to 13 points
# more were read at 48 than at 32, and fewer at 40 or 56 (docs/research_log.rst).
_SMALL_HEIGHT, _MAX_HEIGHT, _HEIGHT_STEP = 48, 56, 8
_FILLED_HEIGHT, _FILLED_SHARE = 40, 0.8

# Time steps. CTC needs one for each character and one between equal neighbors; the
# median label gets three, as widths differ. Guards: no image of the nine sets needs it.
_STEPS_PER_CHARACTER = 3
# Where one label in so many makes all images so many times wider, it is warned of.
_IMAGES_A_FEW, _MUCH_WIDER = 50, 1.25
MAX_STRETCH = 4
"""Largest factor by which images are widened; more only blurs them."""
MIN_STRETCH = 0.5
"""Smallest factor, which `load_pretrained` alone may choose."""

# Small batches make more updates; large sets have enough of them.
_SMALL_BATCH, _LARGE_BATCH, _IMAGES_FOR_LARGE_BATCHES = 8, 16, 2000
# Epochs at most; 500 held-out images are enough to compare them.
_MANY_IMAGES, _MAX_HELD_OUT = 5000, 500
_PASSES, _PASSES_OVER_MANY = 20, 30
# About an hour on two cores. Of the nine sets only cs4243 meets one, the pixels.
_MAX_UPDATES, _MAX_PIXELS = 20_000, 3e9
# In spite of these: enough updates from the plateau to the end of the schedule.
_MIN_PASSES, _MIN_UPDATES = 5, 2500
# Residual blocks after each convolution block that leaves the width.
RESIDUAL_BLOCKS = {"small": 0, "large": 2}
# A GPU takes about as long for an update of many images as of few, so that as many
# updates of more images cost little. Batches of 32 and 64 were tried so on the CPU
# (benchmarks/auto_constants.py, rows batches_*): -0.7 to +1.2 points on five sets.
_MIN_GPU_BATCH, _MAX_GPU_BATCH = 32, 512


@dataclass(frozen=True)
class AutoChoices:
    """The values of a fit for the parameters that may be "auto"."""

    image_height: int
    text_rows: tuple
    width_stretch: float
    color_mode: str
    start: str
    device: str
    network_size: str
    n_held_out: int
    batch_size: int
    max_iter: int

    def __str__(self):
        """Return one choice in each line."""
        return "\n".join(
            f"{name:14} {value}" for name, value in dataclasses.asdict(self).items()
        )


def choose_rows(ink, sizes):
    """Return the first and last row of text, as shares of the height.

    These are the rows with at least half of the ink of the fullest one, with half of
    their number on either side for text at different heights and for ascenders and
    descenders, and all rows with a fifth of that ink. Nothing is cut to save little.
    `ink` is the mean of `measure_ink` over the images, `sizes` their (n, 2) heights and
    widths.
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
    """Return the height to which images are resized, a multiple of 8 from 40 to 56.

    Small images are enlarged by more than others, as that shows their strokes.
    """
    median = float(np.median(np.asarray(sizes)[:, 0])) * (rows[1] - rows[0])
    height = max(min(median, _FILLED_HEIGHT), _FILLED_SHARE * median)
    height = int(height / _HEIGHT_STEP + 0.5) * _HEIGHT_STEP
    return _SMALL_HEIGHT if height < _FILLED_HEIGHT else min(height, _MAX_HEIGHT)


def choose_stretch(
    sizes, targets, texts, height, fixed=None, rows=ALL_ROWS, items=None
):
    """Return the factor, at least 1, that widens images to enough time steps.

    `fixed` is the factor of an earlier fit, which these images have to do with. Labels
    that need more time steps than their images can have raise a ValueError, which
    names them by the files in `items`.
    """
    sizes = np.asarray(sizes)
    needed, steps = _count_steps(sizes, targets, height, rows)
    stretch = (needed + 0.5) / steps  # rounding the width may cost half a step
    most = MAX_STRETCH if fixed is None else fixed
    misfits = np.flatnonzero(stretch > most)
    if misfits.size:

        def called(i):
            return name_sample(i, None if items is None else items[i])

        named = ", ".join(
            f"y[{i}]={texts[i]!r} needs {needed[i]} and {called(i)}, of shape "
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
    lengths = np.array([len(target) for target in targets])
    comfortable = np.median((_STEPS_PER_CHARACTER * lengths / steps)[lengths > 0])
    return float(max(1.0, stretch.max(), min(comfortable, MAX_STRETCH)))


def _count_steps(sizes, targets, height, rows):
    """Return the time steps that each label needs, and those of its image."""
    ends = (crop_rows(image_height, rows) for image_height in sizes[:, 0])
    heights = np.array([end - first for first, end in ends])
    steps = np.maximum(sizes[:, 1] * height / heights, MIN_WIDTH) / TIME_STRIDE
    repeats = [np.count_nonzero(t[1:] == t[:-1]) for t in targets]
    return np.array([len(target) for target in targets]) + repeats, steps


def describe_widening(sizes, targets, texts, size, items):
    """Return what to warn of if few labels make all images much wider, as a list.

    `size` has the arguments of `prepare_image` that were chosen.
    """
    sizes = np.asarray(sizes)
    needed, steps = _count_steps(sizes, targets, size["height"], size["rows"])
    stretch = (needed + 0.5) / steps
    order = np.argsort(-stretch, kind="stable")
    n_few = len(order) // _IMAGES_A_FEW
    others = max(1.0, stretch[order[n_few:]].max())
    few = [i for i in order[:n_few] if stretch[i] * _MUCH_WIDER > size["stretch"]]
    if not few or size["stretch"] < _MUCH_WIDER * others:
        return []
    named = ", ".join(f"{texts[i]!r} of {name_sample(i, items[i])}" for i in few[:3])
    more = f" and {len(few) - 3} more" if len(few) > 3 else ""
    widened = f"{size['stretch'] / others:.2g} times as wide"
    message = (
        f"{count(len(few), 'label')} of {len(texts)} (the longest for the width of the "
        f"image: {named}{more}) make all images {widened}, which takes as much more "
        "time in training and reading. Correct or drop them if they are wrong."
    )
    return [(message, UserWarning)]


def choose_n_held_out(n_samples, early_stopping, validation_fraction):
    """Return the number of samples to hold out; at least two are left to train on."""
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


def choose_network_size(n_samples, n_blocks, *, stuck):
    """Return "small" or "large"; for that some of its blocks must leave the width.

    `stuck` says that residual blocks would know nothing and could not learn.
    """
    is_able = n_blocks > N_TIME_STRIDES and not stuck
    return "large" if is_able and n_samples >= _MANY_IMAGES else "small"


def name_size(network_config):
    """Return the size of a network with some parameters of `CRNN`."""
    return "large" if network_config["residual_blocks"] else "small"


def choose_batch_size(n_samples, device="cpu"):
    """Return the number of images in an update on a type of device.

    On a GPU it is the power of two next to the root of the number of samples.
    """
    if device == "cpu":
        return _SMALL_BATCH if n_samples < _IMAGES_FOR_LARGE_BATCHES else _LARGE_BATCH
    size = 2 ** round(math.log2(n_samples) / 2)
    return min(max(size, _MIN_GPU_BATCH), _MAX_GPU_BATCH)


def choose_max_iter(n_samples, batch_size, n_pixels, device="cpu"):
    """Return the number of epochs; `n_pixels` is that of all resized images.

    On a GPU there are as many updates as the CPU makes with its small batches, though
    not fewer for the sake of the pixels.
    """
    usual = _PASSES if n_samples < _MANY_IMAGES else _PASSES_OVER_MANY
    updates = math.ceil(n_samples / batch_size)  # in an epoch
    least = max(math.ceil(_MIN_UPDATES / updates), _MIN_PASSES)
    if device != "cpu":
        small = math.ceil(n_samples / choose_batch_size(n_samples))
        return max(least, math.ceil(min(usual * small, _MAX_UPDATES) / updates))
    affordable = min(math.ceil(_MAX_UPDATES / updates), int(_MAX_PIXELS / n_pixels))
    return max(least, min(usual, affordable))


def choose_n_epochs(recognizer, n_samples, n_updates):
    """Return the `max_iter` of a fit of that many updates, if it is "auto"."""
    if recognizer.max_iter != "auto":
        return recognizer.max_iter
    batch_size = recognizer.batch_size
    if batch_size == "auto":
        from skcaptcha.model.device import choose_device  # no reader of ONNX needs it

        device = choose_device(recognizer.device, training=True)
        batch_size = choose_batch_size(n_samples, device.type)
    return math.ceil(n_updates / math.ceil(n_samples / batch_size))
