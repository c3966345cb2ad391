"""2-D tables with a flattened image in each row."""

import math

import numpy as np
from PIL import Image

from skcaptcha._validation import check_ints
from skcaptcha.images._decode import ENCODED, describe_item

# What is an image, or a part of one, and no pixel.
_NO_NUMBERS = (*ENCODED, Image.Image, np.ndarray, list, tuple)

TABLE_ATTRIBUTES = (
    "n_features_in_",
    "feature_names_in_",
    "feature_range_",
    "image_shape_",
)
"""Fitted attributes that only a table sets."""


def is_table(X):
    """Tell whether `X` is a 2-D array, data frame, sparse matrix or list of lists.

    A 1-D array of numbers counts, too, so that ``validate_data`` rejects it.
    """
    if isinstance(X, (list, tuple)):
        return len(X) > 0 and isinstance(X[0], (list, tuple))
    if not hasattr(X, "shape") and hasattr(X, "__array__"):
        X = np.asarray(X)
    n_dimensions = len(getattr(X, "shape", (0, 0, 0)))
    if n_dimensions == 1:
        return np.asarray(X).dtype.kind in "biufc"
    return n_dimensions in (0, 2)


def learn_table(estimator, X):
    """Return a generator of the images of a first fit, and the attributes to set.

    The attributes are a dict of some of `TABLE_ATTRIBUTES`. The estimator is not
    changed.
    """
    from sklearn.base import clone
    from sklearn.utils.validation import validate_data

    check_text_table(X)
    probe = clone(estimator)  # as `validate_data` sets attributes
    X = validate_data(probe, X, dtype="numeric")
    shape = estimator.image_shape
    if shape is not None:
        shape = check_ints("image_shape", shape, (2, 3))
    attributes = {k: v for k, v in vars(probe).items() if k in TABLE_ATTRIBUTES}
    shape = check_shape(shape, X.shape[1])
    feature_range = float(X.min()), float(X.max())
    attributes |= {"image_shape_": shape, "feature_range_": feature_range}
    return table_to_images(X, shape, feature_range), attributes


def read_table(estimator, X):
    """Return a generator of the images in a table, which has to match the fit."""
    from sklearn.utils.validation import validate_data

    check_text_table(X)
    if not hasattr(estimator, "feature_range_"):
        raise ValueError(
            "X is a 2-D array, one flattened image a row, but fit was given "
            "images; pass images, such as a list of 2-D arrays. If X is a single "
            "image, put it into a list: [X]."
        )
    X = validate_data(estimator, X, reset=False, dtype="numeric")
    return table_to_images(X, estimator.image_shape_, estimator.feature_range_)


def table_to_images(X, image_shape, feature_range):
    """Yield the image, uint8, in each row; `feature_range` is black and white."""
    low, high = feature_range
    for row in X:
        scaled = (row.astype(np.float64) - low) / ((high - low) or 1.0)
        pixels = np.rint(255 * scaled.clip(0, 1)).astype(np.uint8)
        yield pixels.reshape(image_shape)


def check_shape(image_shape, n_features):
    """Return the shape of the image in a row of `n_features` numbers.

    None becomes the two factors of `n_features` nearest to each other, with the larger
    one as the width.
    """
    if image_shape is None:
        heights = range(math.isqrt(n_features), 0, -1)
        height = next(h for h in heights if n_features % h == 0)
        return (height, n_features // height)
    if math.prod(image_shape) != n_features:
        raise ValueError(
            f"image_shape={image_shape!r} holds {math.prod(image_shape)} numbers, but "
            f"a row of X has {n_features}; set `image_shape` to the (height, width) or "
            "(height, width, channels) of the images that were flattened."
        )
    return tuple(int(size) for size in image_shape)


def check_text_table(X):
    """Raise a ValueError if a table holds images, such as paths, or masked numbers."""
    if np.ma.is_masked(X):
        raise ValueError(
            "X is a table with masked numbers; say what these pixels show, such as "
            "white: X.filled(X.max())."
        )
    if isinstance(X, (list, tuple)):
        row, what = X[0], f"a list of {len(X)} lists"
    elif getattr(X, "ndim", 0) == 2 and not hasattr(X, "tocsr") and len(X):
        row = X.iloc[0].tolist() if hasattr(X, "iloc") else X[0]
        what = f"a table of shape {X.shape}"
    else:  # a sparse one holds nothing but numbers
        return
    odd = next((cell for cell in row if isinstance(cell, _NO_NUMBERS)), None)
    if isinstance(odd, (list, tuple)):
        raise ValueError(
            f"X is {what} that hold further lists; make an array of each image: "
            "[np.asarray(image) for image in X]."
        )
    if odd is not None:
        shown = repr(str(odd)) if isinstance(odd, str) else describe_item(odd)
        raise ValueError(
            f"X is {what} that holds {shown} where numbers should be; "
            "pass the column of the images alone, such as X['path'] or X[:, 0]."
        )


def pick_rows(X, positions):
    """Return the samples at some positions of a list, array or table."""
    if hasattr(X, "iloc"):  # a data frame
        return X.iloc[positions]
    if isinstance(X, (list, tuple)):
        return [X[i] for i in positions]
    if not hasattr(X, "__getitem__"):  # it can only be converted to an array
        X = np.asarray(X)
    return X[positions]
