"""Images of several sizes, and an installation without OpenCV."""

import sys

import numpy as np
import pytest


@pytest.fixture
def images():
    """Gray and color images of several sizes, the last of a single pixel."""
    rng = np.random.default_rng(0)
    shapes = [(16, 48), (16, 48), (20, 30, 3), (7, 90), (1, 5, 3), (1, 1)]
    return [rng.integers(0, 256, shape, dtype=np.uint8) for shape in shapes]


@pytest.fixture
def without_opencv(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
