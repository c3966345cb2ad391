"""What an estimator reads: the images, what its steps make of them, and the texts."""

import numpy as np

from skcaptcha._tables import check_shape, is_table, read_table
from skcaptcha._validation import check_images, check_ints
from skcaptcha.images import read_images
from skcaptcha.recognizer import CaptchaRecognizer

__all__ = ["Reading", "list_rows", "split_estimator"]


def split_estimator(estimator):
    """Return the steps before the one that reads, None if there are none, and that one.

    Of a search it is the best estimator that is split.
    """
    while hasattr(estimator, "best_estimator_"):
        estimator = estimator.best_estimator_
    if not hasattr(estimator, "steps"):
        return None, estimator
    steps = estimator[:-1] if len(estimator.steps) > 1 else None
    return steps, estimator[-1]


class Reading:
    """An estimator and the images that it is to read.

    Parameters
    ----------
    estimator : estimator
        A fitted recognizer, a pipeline that ends in one, a search over either, or
        anything else that has ``predict``.
    X : sequence of images, or array of shape (n_samples, n_features)
        What it is to read.

    Attributes
    ----------
    reader : estimator
        The one that reads, the last step of a pipeline.
    steps : Pipeline or None
        The steps before it.
    """

    def __init__(self, estimator, X):
        self.steps, self.reader = split_estimator(estimator)
        self.X = X
        self.inputs = X if self.steps is None else self.steps.transform(X)

    def read_images(self):
        """Return the images as they are, a list of uint8 arrays."""
        if not is_table(self.X):
            return read_images(check_images(self.X), background=self._background())
        if self.steps is None:
            return self._read_inputs()
        # The reader knows black and white only as the steps made them.
        return list_rows(self.X, self._find_shape())

    def preprocess(self):
        """Return the images as the network sees them, a list of uint8 arrays."""
        if not isinstance(self.reader, CaptchaRecognizer):
            return self._read_inputs()
        return self.reader.prepare_images(self.inputs)

    def predict(self):
        """Return the texts."""
        return self.reader.predict(self.inputs)

    def predict_confidence(self):
        """Return the confidence in each text, or None where the reader gives none."""
        if not hasattr(self.reader, "predict_confidence"):
            return None
        return self.reader.predict_confidence(self.inputs)

    def read_frames(self):
        """Return the image, symbols and log-probabilities of a recognizer's only input.

        The image is as the recognizer was given it.
        """
        [text] = self.reader.predict(self.inputs)
        [log_proba] = self.reader.frame_log_proba(self.inputs)
        [image] = self._read_inputs()
        return image, self.reader.vocabulary_.encode(text), log_proba

    def _read_inputs(self):
        """Return what the reader is given, as images."""
        if not is_table(self.inputs):
            return read_images(check_images(self.inputs), background=self._background())
        self._find_shape()
        return list(read_table(self.reader, self.inputs))

    def _find_shape(self):
        """Return the shape of the images in the rows of a table."""
        if not hasattr(self.reader, "image_shape_"):
            raise ValueError(
                "X is a 2-D array, one flattened image a row, which "
                f"{type(self.reader).__name__} was not fitted on; pass images, such as "
                "a list of 2-D arrays."
            )
        return self.reader.image_shape_

    def _background(self):
        default = getattr(self.reader, "background", "white")
        return getattr(self.reader, "background_", default)


def list_rows(X, image_shape):
    """Return the images in the rows of a table, its least number black.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        One flattened image a row.
    image_shape : tuple of int or None
        (H, W) or (H, W, C) of these images; None as for the recognizer.

    Returns
    -------
    list of ndarray of uint8

    Raises
    ------
    ValueError
        If the table holds something else than finite numbers, or rows of another
        length.
    """
    try:
        X = np.asarray(X, dtype=np.float64)
        if X.ndim != 2 or not X.size or not np.isfinite(X).all():
            raise ValueError(f"shape {X.shape}")
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"X is a table that holds no images ({error}); pass finite numbers of "
            "shape (n_samples, n_features), one flattened image a row, or a list of "
            "images."
        ) from error
    if image_shape is not None:
        image_shape = check_ints("image_shape", image_shape, (2, 3))
    shape = check_shape(image_shape, X.shape[1])
    low, high = X.min(), X.max()
    pixels = np.rint(255 * (X - low) / ((high - low) or 1.0)).astype(np.uint8)
    return list(pixels.reshape(-1, *shape))
