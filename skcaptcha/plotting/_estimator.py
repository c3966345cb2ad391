"""What an estimator reads: the images, what its steps make of them, and the texts."""

import numpy as np
from sklearn.utils import check_array

from skcaptcha import _tables
from skcaptcha._reader import ReaderMixin, find_background
from skcaptcha._validation import check_images, check_ints
from skcaptcha.images import read_images


def split_estimator(estimator):
    """Return the steps before the one that reads, None if there are none, and that."""
    while hasattr(estimator, "best_estimator_"):
        estimator = estimator.best_estimator_
    if not hasattr(estimator, "steps"):
        return None, estimator
    return estimator[:-1] if len(estimator.steps) > 1 else None, estimator[-1]


class Reading:
    """An estimator and the images that it is to read.

    `reader` is the last step of a pipeline, `steps` are those before it, None if there
    are none, and `inputs` is what they made of `X`.
    """

    def __init__(self, estimator, X):
        self.steps, self.reader = split_estimator(estimator)
        self.X = X
        self.inputs = X if self.steps is None else self.steps.transform(X)

    def predict(self):
        """Return the texts and the confidence in each, None if the reader has none."""
        if isinstance(self.reader, ReaderMixin):
            return self.reader.predict(self.inputs, return_confidence=True)
        find = getattr(self.reader, "predict_confidence", lambda X: None)
        return self.reader.predict(self.inputs), find(self.inputs)

    def list_images(self):
        """Return the images as they are, a list of uint8 arrays."""
        if not _tables.is_table(self.X):
            return self._read(self.X)
        images = self.list_inputs()
        # The reader knows black and white only as the steps made them.
        return list_rows(self.X, images[0].shape) if self.steps else images

    def list_inputs(self):
        """Return the images that the reader is given, a list of uint8 arrays."""
        if _tables.is_table(self.inputs):
            return list(_tables.read_table(self.reader, self.inputs))
        return self._read(self.inputs)

    def list_prepared(self):
        """Return the images as the network sees them, a list of uint8 arrays."""
        if hasattr(self.reader, "prepare_images"):
            return self.reader.prepare_images(self.inputs)
        return self.list_inputs()

    def _read(self, X):
        return read_images(check_images(X), background=find_background(self.reader))


def list_rows(X, image_shape):
    """Return the images in the rows of a table, with its least number as black."""
    _tables.check_text_table(X)
    X = check_array(X, dtype=np.float64, input_name="X")
    if image_shape is not None:
        image_shape = check_ints("image_shape", image_shape, (2, 3))
    shape = _tables.check_shape(image_shape, X.shape[1])
    return list(_tables.table_to_images(X, shape, (X.min(), X.max())))
