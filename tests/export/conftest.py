"""An exported recognizer, and images of many sizes."""

import pytest

from skcaptcha.datasets import make_captchas
from skcaptcha.export import export_onnx


@pytest.fixture(scope="session")
def exported(fitted, tmp_path_factory):
    """File of the recognizer `fitted`; not to be changed."""
    path = tmp_path_factory.mktemp("exported") / "fitted.onnx"
    export_onnx(fitted, path)
    return path


@pytest.fixture(scope="session")
def uneven():
    """Images of differing heights and widths, and their texts."""
    X, y = [], []
    for seed, (length, height) in enumerate([(1, 16), (3, 25), (6, 40), (9, 16)]):
        images, texts = make_captchas(
            4,
            vocabulary="0123",
            length=length,
            size=(height, None),
            random_state=seed,
        )
        X += images
        y += texts
    return X, y
