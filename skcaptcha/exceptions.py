"""Errors and warnings that skcaptcha raises beside those of scikit-learn."""

__all__ = ["ImageReadError", "LabelConversionWarning", "SkippedImageWarning"]


class ImageReadError(ValueError):
    """An item of ``X`` exists but cannot be read as an image."""


class LabelConversionWarning(UserWarning):
    """Labels were integers and were read as their decimal text."""


class SkippedImageWarning(UserWarning):
    """Images that could not be read were skipped, as ``on_error="skip"`` asks."""
