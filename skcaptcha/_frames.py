"""From images to frames: log-probabilities of the classes at each time step."""

import math
from contextlib import closing
from itertools import islice

import numpy as np

from skcaptcha.images._likeness import measure_image
from skcaptcha.images._prepare import change_width, prepare_image
from skcaptcha.images._read import is_error, iterate_images
from skcaptcha.model.decoding import greedy_decode, sequence_log_probability
from skcaptcha.vocabulary import BLANK

# Resized images to sort by width and to batch at a time.
_CHUNK = 512
# An image whose text is less probable is read again at so many times its width. In 19
# fits of ten sets these widths gained 0.8 points on average and lost 0.7 at most. What
# else was tried gained 0.0 to 0.9 and lost up to 3: widths beyond those that training
# distorts to, shifts by parts of a time step, other heights. benchmarks/ablation.py has
# rows of it, widths_*.
_SURE, _OTHER_WIDTHS = 0.95, (0.9, 1.06, 1.12)


def iterate_frames(
    run,
    items,
    *,
    input_sizes,
    background,
    n_jobs,
    on_error,
    multi_scale=False,
    widths=None,
    seen=None,
):
    """Yield the position and the frames of each image, by one network.

    ``run(images)`` yields as `run_network` does, and `input_sizes` are arguments of
    `prepare_image`, at each of which an image is read; the others are as for
    `read_images`. The frames are a list of an array (T, K) for each size, or the
    exception of a skipped image. With `multi_scale` what is not read surely at a single
    size is read at more. Few images are in memory at a time, and threads decode the
    next ones while the network runs. The dict `widths` gets the number of columns of
    each image, by position, and `seen`, a `SeenImages`, the measures of all.
    """
    read = _read_twice if multi_scale and len(input_sizes) == 1 else _read_sizes
    measuring = seen is not None and seen.is_able

    def prepare(image, *, name):
        measures = measure_image(image) if measuring else None
        prepared = [prepare_image(image, **size, name=name) for size in input_sizes]
        return image.shape[1], measures, prepared

    images = iterate_images(
        items,
        prepare,
        background=background,
        n_jobs=n_jobs,
        on_error=on_error,
    )
    first = 0
    with closing(images):
        while chunk := list(islice(images, max(1, _CHUNK // len(input_sizes)))):
            good = []
            for i, image in enumerate(chunk):
                if is_error(image):
                    yield first + i, image
                    continue
                good.append(i)
                if widths is not None:
                    widths[first + i] = image[0]
            if good and measuring:
                seen.add([chunk[i][1] for i in good])
            if good:
                for position, frames in read(run, [chunk[i][2] for i in good]):
                    yield first + good[position], frames
            first += len(chunk)


def _read_twice(run, images):
    """Do as `_read_sizes` for images of one size; yield doubtful ones at several."""
    doubtful = {}
    for positions, log_probs, lengths in run([image for (image,) in images]):
        sure = _find_sure(log_probs, lengths)
        for column, position in enumerate(positions):
            frames = [log_probs[: lengths[column], column]]
            if sure[column]:
                yield position, frames
            else:
                doubtful[position] = frames
    if doubtful:
        positions = list(doubtful)
        again = [
            [change_width(images[i][0], factor) for factor in _OTHER_WIDTHS]
            for i in positions
        ]
        for i, frames in _read_sizes(run, again):
            yield positions[i], doubtful[positions[i]] + frames


def _find_sure(log_probs, lengths):
    """Tell of each image of a batch whether the text on its best path is probable.

    `log_probs` (T, N, K) and `lengths` (N,) are as `run_network` yields them.
    """
    is_frame = np.arange(len(log_probs))[:, None] < lengths
    found = np.where(is_frame, log_probs.max(axis=2), 0).sum(axis=0)
    rest = np.flatnonzero(found < math.log(_SURE))  # it has other paths as well
    if rest.size:
        log_probs, lengths = log_probs[:, rest], lengths[rest]
        texts = greedy_decode(log_probs, lengths, blank=BLANK)
        found[rest] = sequence_log_probability(log_probs, lengths, texts, blank=BLANK)
    return found >= math.log(_SURE)


def _read_sizes(run, images):
    """Yield the position and the frames of images that are there in several sizes."""
    found = [[] for _ in images]
    n_sizes = len(images[0])
    for size in range(n_sizes):
        for positions, log_probs, lengths in run([image[size] for image in images]):
            for column, position in enumerate(positions):
                found[position].append(log_probs[: lengths[column], column])
                if size == n_sizes - 1:
                    yield position, found[position]


def input_size_of(estimator):
    """Return the arguments of `prepare_image` for a fitted estimator."""
    return {
        "height": estimator.image_height_,
        "stretch": estimator.width_stretch_,
        "color_mode": estimator.color_mode_,
        "rows": estimator.text_rows_,
    }


def input_sizes_of(estimator):
    """Return the arguments of `prepare_image` for each size that images are read at."""
    size = input_size_of(estimator)
    scales = find_scales(estimator)
    if scales is None:
        return [size]
    return [size | {"height": height, "stretch": factor} for height, factor in scales]


def find_scales(reader):
    """Return the heights and factors of `load_pretrained`, None of other readers."""
    members = getattr(reader, "estimators_", [reader])
    return getattr(members[0], "scales_", None)
