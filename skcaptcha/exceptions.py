"""Errors and warnings of skcaptcha, besides those of scikit-learn."""

__all__ = [
    "CacheError",
    "DeviceError",
    "ImageReadError",
    "LabelConversionWarning",
    "SkippedImageWarning",
    "UnlikeTrainingWarning",
]


class CacheError(OSError):
    """The temporary file for training images beyond `cache_size` failed.

    Examples
    --------
    >>> from skcaptcha.exceptions import CacheError
    >>> issubclass(CacheError, OSError)
    True
    """


class DeviceError(RuntimeError):
    """A GPU failed while a network was trained or read on it.

    Too little memory is a `MemoryError`, and a device that cannot be used from the
    start a `ValueError`.

    Examples
    --------
    >>> from skcaptcha.exceptions import DeviceError
    >>> issubclass(DeviceError, RuntimeError)
    True
    """


class ImageReadError(ValueError):
    """An item of ``X`` exists but cannot be read as an image.

    Examples
    --------
    >>> from skcaptcha.images import read_image
    >>> read_image(b"no image")
    Traceback (most recent call last):
        ...
    skcaptcha.exceptions.ImageReadError: image=<8 bytes> is not an image in a format ...
    """


class LabelConversionWarning(UserWarning):
    """Labels were changed: integers were read as text, or edges were stripped.

    An integer becomes its decimal text, without leading zeros. White space and
    characters without width at the edges of a label are not part of it.

    Examples
    --------
    >>> import warnings
    >>> from skcaptcha import CaptchaRecognizer
    >>> from skcaptcha.datasets import make_captchas
    >>> from skcaptcha.exceptions import LabelConversionWarning
    >>> images, _ = make_captchas(2)
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("error", LabelConversionWarning)
    ...     CaptchaRecognizer().fit(images, [1, 10])
    Traceback (most recent call last):
        ...
    skcaptcha.exceptions.LabelConversionWarning: y holds integers (y[0]=1), ...
    """


class SkippedImageWarning(UserWarning):
    """Images that could not be read were skipped, because of ``on_error="skip"``.

    Examples
    --------
    >>> import warnings
    >>> from skcaptcha.exceptions import SkippedImageWarning
    >>> from skcaptcha.images import read_images
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore", SkippedImageWarning)
    ...     read_images([b"no image"], on_error="skip")
    [None]
    """


class UnlikeTrainingWarning(UserWarning):
    """More than a tenth of the images read are unlike the training images.

    They differ in size, proportions, brightness, contrast, where their text stands,
    or whether it is light or dark. See :ref:`unlike-training`.

    Examples
    --------
    >>> import warnings
    >>> from skcaptcha import CaptchaRecognizer
    >>> from skcaptcha.datasets import make_captchas
    >>> from skcaptcha.exceptions import UnlikeTrainingWarning
    >>> images, texts = make_captchas(
    ...     40, vocabulary="01", length=2, size=(16, 40), random_state=0
    ... )
    >>> recognizer = CaptchaRecognizer(max_iter=20, random_state=0).fit(images, texts)
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("error", UnlikeTrainingWarning)
    ...     recognizer.predict([255 - image for image in images])
    Traceback (most recent call last):
        ...
    skcaptcha.exceptions.UnlikeTrainingWarning: 40 of 40 images are unlike the 40 ...
    """
