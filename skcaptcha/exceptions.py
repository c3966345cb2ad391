"""Errors and warnings that skcaptcha raises beside those of scikit-learn."""

__all__ = ["ImageReadError", "LabelConversionWarning"]


class ImageReadError(ValueError):
    """An item of ``X`` exists but cannot be read as an image."""


class LabelConversionWarning(UserWarning):
    """Labels were integers and were read as their decimal text."""
