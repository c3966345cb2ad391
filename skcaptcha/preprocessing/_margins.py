"""The transformer that cuts images to where their text stands."""

from skcaptcha.preprocessing._crop import crop_margins
from skcaptcha.preprocessing._transformers import ImageTransformer


class MarginCropper(ImageTransformer):
    """Cuts images to where their text stands.

    Put it before the recognizer in fit and predict alike, where images come with
    margins that differ from those of the training images.

    Parameters
    ----------
    margin : float, default=0.1
        What to leave around the text, a share of its height, from 0 to 10.
    background, n_jobs
        As for `ImageReader`.

    See Also
    --------
    crop_margins : The same for one image, described precisely.

    Examples
    --------
    >>> import numpy as np
    >>> from skcaptcha.preprocessing import MarginCropper
    >>> image = np.full((60, 90), 255, dtype=np.uint8)
    >>> image[20:40, 30:70:5] = 0  # rows 20 to 39, columns 30 to 65
    >>> [image.shape for image in MarginCropper(margin=0.25).transform([image])]
    [(30, 46)]
    """

    _function = staticmethod(crop_margins)

    def __init__(self, *, margin=0.1, background="white", n_jobs=None):
        super().__init__(background=background, n_jobs=n_jobs)
        self.margin = margin
