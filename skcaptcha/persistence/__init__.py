"""Saving recognizers in files that run no code when they are loaded."""

import lazy_loader

__all__ = ["dump", "load"]

__getattr__, __dir__, _ = lazy_loader.attach(
    __name__, submod_attrs={"_skops": ["dump", "load"]}
)
