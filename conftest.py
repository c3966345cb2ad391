"""What holds for tests and for the examples in the documentation alike."""

import sys

import pytest


@pytest.fixture(autouse=True)
def close_figures(monkeypatch):
    """Close the figures that a test or an example has opened; none may be shown."""
    if "matplotlib.pyplot" in sys.modules:

        def fail():
            raise AssertionError("the display must leave showing to the caller")

        monkeypatch.setattr(sys.modules["matplotlib.pyplot"], "show", fail)
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")
