"""2-D tables, one flattened image a row: everything that concerns them."""

import math

import numpy as np
import scipy.sparse
from sklearn.base import clone
from sklearn.utils.validation import validate_data

from skcaptcha._validation import check_ints

__all__ = [
    "TABLE_ATTRIBUTES",
    "check_shape",
    "check_text_table",
    "is_table",
    "learn_table",
    "read_table",
    "table_to_images",
]

TABLE_ATTRIBUTES = (
    "n_features_in_",
    "feature_names_in_",
    "feature_range_",
    "image_shape_",
)
"""Attributes that only a fit on a table sets."""


def is_table(X):
    """Tell whether `X` is meant as rows of numbers, one flattened image a row.

    So are two-dimensional arrays and data frames, sparse matrices, lists of lists,
    and a one-dimensional array of numbers, which is a table with a dimension missing.
    Whether the numbers are sound is for scikit-learn's ``validate_data`` to say.
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
    """Check the table of a first fit, and find what later ones have to match.

    Parameters
    ----------
    estimator : CaptchaRecognizer
        Has the parameter `image_shape`. It stays as it is.
    X : array-like of shape (n_samples, n_features)
        The table.

    Returns
    -------
    images : generator of ndarray of uint8
        The images in its rows.
    attributes : dict
        The attributes of `TABLE_ATTRIBUTES` that are to be set.
    """
    check_text_table(X)
    probe = clone(estimator)  # as `validate_data` sets attributes
    X = validate_data(probe, X, dtype="numeric")
    shape = estimator.image_shape
    if shape is not None:
        shape = check_ints("image_shape", shape, (2, 3))
    attributes = {k: v for k, v in vars(probe).items() if k in TABLE_ATTRIBUTES}
    attributes["image_shape_"] = check_shape(shape, X.shape[1])
    attributes["feature_range_"] = float(X.min()), float(X.max())
    images = table_to_images(
        X, attributes["image_shape_"], attributes["feature_range_"]
    )
    return images, attributes


def read_table(estimator, X):
    """Return a generator of the images in a table, which has to be as in the fit."""
    check_text_table(X)
    if not hasattr(estimator, "feature_range_"):
        raise ValueError(
            "X is a 2-D array, one flattened image a row, but fit was given "
            "images; pass images, such as a list of 2-D arrays."
        )
    X = validate_data(estimator, X, reset=False, dtype="numeric")
    return table_to_images(X, estimator.image_shape_, estimator.feature_range_)


def table_to_images(X, image_shape, feature_range):
    """Yield the image in each row of a table.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
        Finite numbers.
    image_shape : tuple of int
        (H, W) or (H, W, C) of the images.
    feature_range : tuple of float
        The numbers that are black and white.

    Yields
    ------
    ndarray of uint8, shape `image_shape`
    """
    low, high = feature_range
    for row in X:
        scaled = (row.astype(np.float64) - low) / ((high - low) or 1.0)
        pixels = np.rint(255 * scaled.clip(0, 1)).astype(np.uint8)
        yield pixels.reshape(image_shape)


def check_shape(image_shape, n_features):
    """Return the shape of the image that a row of `n_features` numbers makes.

    None stands for the two factors of `n_features` that are nearest to each other, the
    larger one as the width. A ValueError is raised if the shape holds more or fewer.
    """
    if image_shape is None:
        height = next(
            h for h in range(math.isqrt(n_features), 0, -1) if n_features % h == 0
        )
        return (height, n_features // height)
    if math.prod(image_shape) != n_features:
        raise ValueError(
            f"image_shape={image_shape!r} holds {math.prod(image_shape)} numbers, but "
            f"a row of X has {n_features}; set `image_shape` to the (height, width) or "
            "(height, width, channels) of the images that were flattened."
        )
    return tuple(int(size) for size in image_shape)


def check_text_table(X):
    """Raise a ValueError if a table holds texts, such as paths."""
    if scipy.sparse.issparse(X) or getattr(X, "ndim", 0) != 2:
        return
    cell = np.asarray(X)[:1, :1]
    if cell.size and isinstance(cell[0, 0], str):
        raise ValueError(
            f"X is a table of shape {X.shape} that holds texts, such as "
            f"{cell[0, 0]!r}; pass the column of the paths alone, X['path'] or X[:, 0]."
        )
