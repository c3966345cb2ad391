"""The page to label on, which `skcaptcha label` serves."""

__all__ = []
