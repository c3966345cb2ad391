"""Saving recognizers in files that run no code when they are loaded."""

from skcaptcha._lazy import attach

__all__ = ["dump", "load"]

__getattr__, __dir__ = attach(__name__, {"_skops": ["dump", "load"]})
