"""Checks of the inputs of public functions and estimators."""

import itertools
import numbers
import os
import re
import unicodedata
import warnings
from collections import deque
from collections.abc import Set, ValuesView
from pathlib import Path

import numpy as np

from skcaptcha.exceptions import LabelConversionWarning

# Correlation of the edges of two channels of a picture; see `_have_same_edges`.
_SAME_EDGES = 0.8
# What has no width: zero-width spaces and joiners, soft hyphens, marks of direction.
_NO_WIDTH = "\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u2064\u2066-\u206f\ufeff"
# What NumPy makes of missing values in an array of str.
_LOST = ("nan", "None", "<NA>")
_EDGES = "".join(
    re.findall(rf"[\s{_NO_WIDTH}]", "".join(map(chr, [*range(0x3001), 0xFEFF])))
)
# Joiners are part of the spelling of many scripts and of emoji, but not of ASCII.
_BAD = re.compile(
    rf"[\x00-\x1f\x7f-\x9f]|(?![\u200c\u200d])[{_NO_WIDTH}]"
    r"|(?<=[\x00-\x7f])[\u200c\u200d]|[\u200c\u200d](?=[\x00-\x7f])"
)


def refuse_single_image(X, name="X"):
    """Raise a TypeError if an array is one image and no stack, or for a set.

    An array (H, W) that is no table is one image. A stack of gray images has the
    shape (n, H, W). No text is 4 columns wide, so (n, H, 1 to 4) is one image with its
    channels last. A shape (3 or 4, H, W) may be a stack; it is one image with its
    channels first if the first three planes have the same edges.
    """
    _refuse_set(name, X)
    shape = getattr(X, "shape", None)
    if not hasattr(X, "dtype") or len(shape or ()) not in (2, 3) or 0 in shape:
        return
    remedy = f"put it into a list: [{name}]"
    if len(shape) == 3 and shape[2] > 4:
        if shape[0] not in (3, 4) or not _have_same_edges(X):
            return
        remedy = f"put it into a list, its channels last: [{name}.transpose(1, 2, 0)]"
    stack = f" If it is a stack of {shape[0]} images, pass list({name})."
    raise TypeError(
        f"{name} is an array of shape {tuple(shape)}, a single image; {remedy}."
        f"{stack if len(shape) == 3 else ''}"
    )


def _have_same_edges(X):
    """Tell whether the first three planes are channels of one picture, and no stack.

    Channels may differ in contrast, and one of them may be blank, but otherwise they
    have the same outlines. In real sets, the least correlation of two channels was
    above 0.8 in 96 % of 1,400 color images, and that of two images at most 0.68 in
    2,100 stacks. Frames of a camera that stands still are taken for one picture.
    """
    steps = (slice(None, None, max(1, length // 512)) for length in X.shape[1:])
    try:
        planes = np.array([np.asarray(p) for p in X[:3, *steps]], np.float32)
    except Exception:  # array libraries raise anything; reading says what is wrong
        return False
    if (planes == planes[0]).all():  # a slope has no edges
        return bool(planes.min() < planes.max())
    with np.errstate(all="ignore"):  # it is not said yet that all are finite
        across = np.diff(planes, axis=2)[:, 1:]
        down = np.diff(planes, axis=1)[:, :, 1:]
        edges = (np.abs(across) + np.abs(down)).reshape(3, -1)
        spread = edges.std(axis=1) if edges.size else np.zeros(3)
        inked = edges[spread > 0.1 * spread.max()]
        return len(inked) > 1 and bool(np.corrcoef(inked).min() > _SAME_EDGES)


def iterate_items(X):
    """Return an iterator over the images of `X`, not read yet.

    A TypeError is raised if `X` is a single image, a ValueError if it is empty.
    """
    refuse_single_image(X)
    if isinstance(X, (str, bytes, bytearray)) or hasattr(X, "__fspath__"):
        raise TypeError(
            f"X={str(X)[:60]!r} is a single item; pass a list of images, such as [X]. "
            "skcaptcha.datasets.load_image_folder lists the images of a folder."
        )
    try:
        items = iter(X)
    except TypeError as error:
        raise TypeError(
            f"X is {type(X).__name__}; pass a list, tuple, array or pandas Series of "
            "paths, bytes, PIL images or arrays."
        ) from error
    for first in items:
        return itertools.chain([first], items)
    raise ValueError("X is empty; at least one image is required.")


def _refuse_set(name, values):
    """Raise a TypeError for a set, in which nothing has a place."""
    if isinstance(values, Set):
        raise TypeError(
            f"{name} is a {type(values).__name__}, which has no order, so that images "
            f"and texts would not match; pass a list, such as sorted({name})."
        )


def check_images(X):
    """Return the images of `X`, not read yet, as a list."""
    return list(iterate_items(X))


def check_texts(y, *, whole_floats=False):
    """Return the labels as a list of str, and a list of warnings (message, category).

    Integers are read as their decimal text, with a warning because leading zeros are
    lost. `whole_floats` takes floats without a fraction for integers, for the labels
    of tables. White space and characters without width are stripped from the edges,
    with a warning that counts them. A label may be empty.
    """
    if y is None:
        raise ValueError("requires y to be passed, but the target y is None.")
    if isinstance(y, str):
        raise TypeError(f"y={y!r} is a single text; pass a sequence of texts.")
    _refuse_set("y", y)
    if isinstance(y, (deque, ValuesView)):
        y = list(y)
    if not isinstance(y, (list, tuple)):
        y = np.asarray(y)
        if y.ndim != 1 or y.dtype.kind == "c":  # which it refuses as scikit-learn does
            y = _flatten(y)
    texts, converted, stripped = [], None, {}
    lost = describe_lost_nan(y)
    for position, label in enumerate(y):
        if whole_floats and isinstance(label, (float, np.floating)) and label % 1 == 0:
            label = int(label)
        if isinstance(label, numbers.Integral) and not isinstance(label, bool):
            converted = position if converted is None else converted
            label = str(int(label))
        elif not isinstance(label, str):
            missing = is_missing(label)
            kind = ValueError if missing else TypeError
            raise kind(
                f"y[{position}]={label!r} is {'missing' if missing else 'no text'} "
                f"({type(label).__name__}); each label must be a str. Drop the sample "
                "or write the text that its image shows."
            )
        if (text := strip_text(label)) != label:
            stripped[f"y[{position}]"] = str(label)
        _check_label(position, text)
        texts.append(text)
    notices = lost + describe_stripped(stripped, len(texts))
    if converted is not None:
        message = (
            f"y holds integers (y[{converted}]={y[converted]!r}), which are read as "
            "their decimal text: leading zeros are lost. Read the labels as strings."
        )
        notices.append((message, LabelConversionWarning))
    return texts, notices


def _flatten(y):
    """Return a column as an array of one dimension, with scikit-learn's warning."""
    try:
        from sklearn.utils.validation import column_or_1d
    except ModuleNotFoundError:  # which an exported model does without
        raise ValueError(f"y has the shape {y.shape}; pass a list of str.") from None
    return column_or_1d(y, warn=True)


def _check_label(position, text):
    """Raise a ValueError unless an image can show the text, or no text."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            f"y[{position}]={text!r} holds {text[error.start]!r}, a lone surrogate and "
            "no character, as the name of a file that is not UTF-8 does; rename the "
            "file or correct the label."
        ) from error
    if bad := name_bad_character(text):
        raise ValueError(
            f"y[{position}]={text!r} holds {bad}, which no image shows; delete it "
            "from the label, or correct how the labels are read."
        )


def strip_text(text):
    """Return a label without white space and characters without width at its edges."""
    if text.isascii() and text.isalnum():  # most labels, and quickly told
        return str(text)
    return text.strip(_EDGES)


def name_bad_character(text):
    """Name the first control character or one without width in a label, or None."""
    if text.isprintable() and text.isascii():
        return None
    if (match := _BAD.search(text)) is None:
        return None
    name = unicodedata.name(match[0], "a control character")
    return f"{match[0]!r} ({name})"


def describe_stripped(stripped, n_labels):
    """Return the warning that labels were stripped, as a list of (message, category).

    `stripped` maps what to call a label to the label as it was.
    """
    if not stripped:
        return []
    name, label = next(iter(stripped.items()))
    message = (
        f"{len(stripped)} of {n_labels} labels have white space or characters without "
        f"width at an edge, such as {name}={label!r}, which were stripped."
    )
    return [(message, LabelConversionWarning)]


def check_same_length(X, y):
    """Raise a ValueError unless there are as many images in `X` as labels in `y`."""
    if len(X) != len(y):
        raise ValueError(
            f"X has {len(X)} images and y has {len(y)} labels; pass one label an image."
        )


def is_missing(label):
    """Tell whether a label is none: None, NaN, pandas' NA, or the number -1.

    The last is what scikit-learn's own semi-supervised estimators take.
    """
    if isinstance(label, (float, np.floating)):
        return bool(np.isnan(label) or label == -1)
    if isinstance(label, numbers.Integral):
        return label == -1
    # pandas has a value of its own, and is not required.
    return label is None or type(label).__name__ == "NAType"


def describe_lost_nan(y):
    """Return the warning that NumPy has made texts of missing labels, as a list."""
    if getattr(getattr(y, "dtype", None), "kind", None) != "U":
        return []
    lost = np.isin(y, _LOST)
    if not lost.any():
        return []
    message = (
        f"{count(int(lost.sum()), 'label')} of {len(y)} in y, an array of str, are "
        f"{str(y[lost][0])!r}, as NumPy writes missing values into such an array; they "
        "are taken for that text. Pass a list, or an array with dtype=object, if none "
        "was meant."
    )
    return [(message, UserWarning)]


def check_weights(sample_weight, n_samples):
    """Return the weights of `n_samples` samples as an array of float64, or None.

    A number stands for equal weights, and None for those as well.
    """
    if sample_weight is None:
        return None
    if isinstance(sample_weight, numbers.Real):
        sample_weight = np.full(n_samples, sample_weight)
    remedy = "Pass one finite number an image."
    try:
        weights = np.asarray(sample_weight)
        if weights.dtype.kind == "c":
            raise TypeError("they are complex.")
        weights = weights.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"sample_weight cannot be used: {error} {remedy}") from error
    odd = weights[~np.isfinite(weights)]
    if odd.size:
        raise ValueError(f"sample_weight cannot be used: it holds {odd[0]}. {remedy}")
    if weights.ndim != 1:
        raise ValueError(
            f"sample_weight has the shape {weights.shape}; pass a 1-D array with one "
            "weight an image."
        )
    if len(weights) != n_samples:
        raise ValueError(
            f"sample_weight has {len(weights)} weights and X has {n_samples} images; "
            "pass one weight an image."
        )
    if (weights < 0).any():
        position = int((weights < 0).argmax())
        raise ValueError(
            f"sample_weight[{position}]={weights[position]} is below 0; pass 0 for "
            "an image that does not count, and more for others."
        )
    if not weights.any():
        raise ValueError(
            "sample_weight is zero for every image, so that none counts; give some of "
            "them a weight above 0."
        )
    return weights


def check_device(device):
    """Return the torch.device of the parameter `device`."""
    import torch

    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    allowed = "use 'auto', 'cpu', 'cuda' or 'cuda:N'"
    try:
        found = torch.device(device)
    except RuntimeError as error:
        raise ValueError(f"device={device!r} is unknown; {allowed}.") from error
    if found.type not in ("cpu", "cuda"):
        raise ValueError(f"device={device!r} is not supported; {allowed}.")
    if found.type == "cuda" and (found.index or 0) >= torch.cuda.device_count():
        raise ValueError(
            f"device={device!r} does not exist: this machine has "
            f"{torch.cuda.device_count()} CUDA devices that PyTorch can use; use "
            "device='auto' or 'cpu'."
        )
    return found


def check_ints(name, value, n_allowed):
    """Return `value` as a tuple of positive int; `n_allowed` limits its length."""
    least, most = n_allowed
    values = tuple(np.atleast_1d(np.asarray(value, dtype=object)).tolist())
    if not least <= len(values) <= most or not all(
        isinstance(v, numbers.Integral) and v >= 1 for v in values
    ):
        raise ValueError(
            f"{name}={value!r}; pass from {least} to {most} integers of at least 1."
        )
    return tuple(int(v) for v in values)


def check_path(path, name="path"):
    """Return `path` as a pathlib.Path."""
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"{name}={path!r} must be a path (str or os.PathLike).")
    return Path(path)


def count(n, noun):
    """Return a number and its noun, such as "1 image" or "2 images"."""
    return f"{n} {noun}{'' if n == 1 else 's'}"


def issue_warnings(notices):
    """Issue warnings, collected as (message, category), from a public function."""
    for message, category in notices:
        warnings.warn(message, category, stacklevel=3)
