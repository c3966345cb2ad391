"""Why a network may have learned nothing: what its images and labels look like."""

import sys

import numpy as np

from skcaptcha._labels import describe_file_names
from skcaptcha._tables import is_table
from skcaptcha.images._read import is_error, iterate_images, to_grayscale

OTHER_FORM = "not those of the pretrained weights"
"""Part of a warning that is not repeated in a search."""

# Images that are scanned, and the share of them that makes a cause.
_MAX_SCANNED, _MOST = 50, 0.5
_FEW = 20
# Levels that an image of one color has at the most, and times as high as wide.
_FLAT, _UPRIGHT = 24, 1.2
# Of the fullest row: ink of a row of text, and of one between two lines. Least height
# of a line as a share of the image, and least ink as a share of the other line's.
_INK, _GAP, _LINE, _EVEN = 0.25, 0.08, 0.12, 0.4

# Lines of code whose call, such as that of a search, has been warned.
_warned = set()


def find_causes(X, labels, *, background, odd_parameters):
    """Return why nothing may have been learned, as a list of texts.

    `X` and `labels` are those of the fit, and `odd_parameters` names the parameters
    that keep the network from starting with the pretrained weights.
    """
    causes = []
    if not is_table(X):
        causes += _scan_images(X, labels, background)
    if len(labels) >= 5:
        causes += describe_file_names(labels)
    if len(labels) < _FEW:
        causes.append(f"{len(labels)} images are few; {_FEW} are the least that help")
    if odd_parameters:
        causes.append(
            f"{', '.join(odd_parameters)}: {OTHER_FORM}, so that training started from "
            "random ones, which takes more images and epochs; leave these out"
        )
    return causes


def _scan_images(X, labels, background):
    """Yield what is wrong with most of some images that have text."""
    positions = [i for i, label in enumerate(labels) if label]
    positions = positions[:: max(1, len(positions) // _MAX_SCANNED)]
    images = _read(X, positions, background)
    least = _MOST * len(images)
    flat = [i for i, image in images.items() if _is_flat(image)]
    if flat and len(flat) >= least:
        for other in ("black", "white"):
            seen = _read(X, flat, other)
            if sum(not _is_flat(image) for image in seen.values()) >= least:
                yield (
                    f"on background={background!r} most images are of one color, but "
                    f"not on {other!r}; set background={other!r}"
                )
                images |= seen
                break
    n_lines = sum(count_lines(image) > 1 for image in images.values())
    if n_lines and n_lines >= least:
        yield (
            "most images show more than one line of text, and one is read; cut them "
            "into lines"
        )
    n_upright = sum(
        image.shape[0] > _UPRIGHT * image.shape[1] and len(labels[i]) > 1
        for i, image in images.items()
    )
    if n_upright and n_upright >= least:
        yield (
            "most images are higher than wide, and text is read from left to right; "
            "turn images of vertical text"
        )


def _read(X, positions, background):
    """Return images in gray by position, without those that can't be read any more."""
    images = iterate_images(
        [X[i] for i in positions], background=background, n_jobs=1, on_error="skip"
    )
    return {
        i: to_grayscale(image)
        for i, image in zip(positions, images, strict=True)
        if not is_error(image)
    }


def _is_flat(image):
    return int(image.max()) - int(image.min()) <= _FLAT


def count_lines(image):
    """Count the lines of text in a gray image: bands of rows with as much ink."""
    ink = np.abs(image - np.float32(np.median(image))).mean(axis=1)  # (H,)
    ink -= ink.min()
    least = _LINE * len(ink)
    bands, start = [], None
    for row, value in enumerate([*(ink / (ink.max() or 1.0)), 0.0]):
        if start is None and value > _INK:
            start = row
        elif start is not None and value <= _GAP:
            bands.append((row - start, ink[start:row].sum()))
            start = None
    high = [total for height, total in bands if height >= least]
    return sum(total >= _EVEN * max(high) for total in high)


def find_caller():
    """Return the file and line that called scikit-learn, joblib or this package."""
    frame = sys._getframe()
    inner = ("skcaptcha", "sklearn", "joblib")
    while frame.f_back is not None:
        name = frame.f_globals.get("__name__") or ""
        if name.partition(".")[0] not in inner:
            break
        frame = frame.f_back
    return frame.f_code.co_filename, frame.f_lineno


def drop_repeated(notices):
    """Return the notices without that on another form, if their caller had it."""
    if find_caller() not in _warned:
        return notices
    return [notice for notice in notices if OTHER_FORM not in notice[0]]


def note_warned(notices):
    """Keep in mind that the caller of a search has been warned of another form."""
    if any(OTHER_FORM in message for message, _ in notices):
        _warned.add(find_caller())
