"""Checks of the inputs of public functions and estimators."""

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


def iterate_items(X):
    """Return an iterator over the images of `X`, not read yet.

    A TypeError is raised if `X` is a single image, a ValueError if it is empty.
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
    """Return the images of `X`, not read yet, as a list."""
    return list(iterate_items(X))


def check_texts(y, *, whole_floats=False):
    """Return the labels as a list of str, and a list of warnings (message, category).

    Integers are read as their decimal text, with a warning because leading zeros are
    lost. `whole_floats` takes floats without a fraction for integers, for the labels
    of tables.
    """
    if y is None:
        raise ValueError("requires y to be passed, but the target y is None.")
    if isinstance(y, str):
        raise TypeError(f"y={y!r} is a single text; pass a sequence of texts.")
    if not isinstance(y, (list, tuple)):
        y = column_or_1d(np.asarray(y), warn=True)
    texts, converted = [], None
    for position, label in enumerate(y):
        if whole_floats and isinstance(label, (float, np.floating)) and label % 1 == 0:
            label = int(label)
        if isinstance(label, numbers.Integral) and not isinstance(label, bool):
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
    if converted is None:
        return texts, []
    message = (
        f"y holds integers (y[{converted}]={y[converted]!r}), which are read as their "
        "decimal text: leading zeros are lost. Read the labels as strings."
    )
    return texts, [(message, LabelConversionWarning)]


def check_same_length(X, y):
    """Raise a ValueError unless there are as many images in `X` as labels in `y`."""
    if len(X) != len(y):
        raise ValueError(
            f"X has {len(X)} images and y has {len(y)} labels; pass one label an image."
        )


def check_device(device):
    """Return the torch.device of the parameter `device`."""
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


def issue_warnings(notices):
    """Issue warnings, collected as (message, category), from a public function."""
    for message, category in notices:
        warnings.warn(message, category, stacklevel=3)
