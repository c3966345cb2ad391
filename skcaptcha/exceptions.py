"""Errors and warnings that skcaptcha raises beside those of scikit-learn."""

__all__ = [
    "CacheError",
    "ImageReadError",
    "LabelConversionWarning",
    "SkippedImageWarning",
]


class CacheError(OSError):
    """The temporary file for more training images than `cache_size` failed."""


class ImageReadError(ValueError):
    """An item of ``X`` exists but cannot be read as an image."""


class LabelConversionWarning(UserWarning):
    """Labels were integers and were read as their decimal text."""


class SkippedImageWarning(UserWarning):
    """Images that could not be read were skipped, as ``on_error="skip"`` asks."""
