"""Checks of what the user hands over, before anything is computed from it."""

import itertools
import math
import numbers
import os
import warnings
from pathlib import Path

import numpy as np
import torch
from sklearn.utils.validation import column_or_1d

from skcaptcha.exceptions import LabelConversionWarning

__all__ = [
    "check_device",
    "check_images",
    "check_ints",
    "check_path",
    "check_same_length",
    "check_texts",
    "issue_warnings",
    "iterate_items",
]


def iterate_items(X):
    """Return an iterator over the items of `X`, not yet read.

    Parameters
    ----------
    X : iterable of images, or array of shape (n_samples, H, W[, C])
        Images in any form that `skcaptcha.images.read_image` takes. A generator is
        asked for an image when there is need of it.

    Returns
    -------
    iterator
        One item an image.

    Raises
    ------
    TypeError
        If `X` is a single image or text, or cannot be iterated over.
    ValueError
        If `X` is empty.
    """
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


def check_images(X):
    """Return the items of `X` as a list, not yet read; else as `iterate_items`."""
    return list(iterate_items(X))


def check_texts(y, *, whole_floats=False):
    """Return the labels as a list of str.

    Parameters
    ----------
    y : sequence of str or int of shape (n_samples,)
        The labels. Integers are read as their decimal text.
    whole_floats : bool, default=False
        Whether floats without a fraction are taken for integers, as scikit-learn's
        tables have them.

    Returns
    -------
    texts : list of str
        The labels, not yet normalized.
    notices : list of (str, type)
        What to warn of: labels that are integers, because leading zeros are lost.

    Raises
    ------
    TypeError
        If `y` or one of its items has another type.
    ValueError
        If a label is empty, None, not a number or not Unicode text, or `y` is missing.
    """
    if y is None:
        raise ValueError(
            "requires y to be passed, but the target y is None: pass the text of each "
            "image as y."
        )
    if isinstance(y, str):
        raise TypeError(
            f"y={y!r} is a single text; pass a sequence, one text a sample."
        )
    if not isinstance(y, (list, tuple)):
        y = column_or_1d(np.asarray(y), warn=True)
    texts, converted = [], None
    for position, label in enumerate(y):
        if whole_floats and isinstance(label, (float, np.floating)) and label % 1 == 0:
            label = int(label)
        if isinstance(label, numbers.Integral) and not isinstance(
            label, (bool, np.bool_)
        ):
            converted = position if converted is None else converted
            label = str(int(label))
        elif not isinstance(label, str):
            missing = label is None or (isinstance(label, float) and math.isnan(label))
            kind = ValueError if missing else TypeError
            raise kind(
                f"y[{position}]={label!r} is {'missing' if missing else 'no text'} "
                f"({type(label).__name__}); each label must be a str. Drop the sample "
                "or write the text that its image shows."
            )
        if not label:
            raise ValueError(
                f"y[{position}]='' is empty; each label needs at least one character. "
                "Drop the sample or write the text that its image shows."
            )
        try:
            label.encode()
        except UnicodeEncodeError as error:
            raise ValueError(
                f"y[{position}]={label!r} holds {label[error.start]!r}, a lone "
                "surrogate and no character, as the name of a file that is not UTF-8 "
                "does; rename the file or correct the label."
            ) from error
        texts.append(str(label))
    notices = []
    if converted is not None:
        message = (
            f"y holds integers (y[{converted}]={y[converted]!r}), which are read as "
            "their decimal text: leading zeros are lost. Read the labels as strings."
        )
        notices.append((message, LabelConversionWarning))
    return texts, notices


def check_same_length(X, y):
    """Raise a ValueError unless there are as many images in `X` as labels in `y`."""
    if len(X) != len(y):
        raise ValueError(
            f"X has {len(X)} images and y has {len(y)} labels; pass one label an image."
        )


def check_device(device):
    """Return the torch.device that `device` names, or say why it cannot be had."""
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
            f"device={device!r} is not there: this machine has "
            f"{torch.cuda.device_count()} CUDA devices that PyTorch can use; use "
            "device='auto' or 'cpu'."
        )
    return found


def check_ints(name, value, n_allowed):
    """Return `value` as a tuple of positive int, of an allowed length."""
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


def issue_warnings(notices):
    """Warn of what private functions have noted, for the caller of a public method."""
    for message, category in notices:
        warnings.warn(message, category, stacklevel=3)
