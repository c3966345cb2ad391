"""Models that earlier versions saved go on reading what they read then."""

import json
import warnings

import joblib
import numpy as np
import pytest
import skops.io
from models.make_model import FOLDER, draw
from sklearn.exceptions import InconsistentVersionWarning

from skcaptcha.persistence._state import FORMAT_VERSION


@pytest.mark.parametrize("version", range(1, FORMAT_VERSION + 1))
@pytest.mark.parametrize("kind", ["joblib", "skops"])
def test_a_model_of_every_format_reads_as_it_did(version, kind):
    path = FOLDER / f"format_{version}.{kind}"
    with warnings.catch_warnings():
        # It was saved with another scikit-learn than that of today.
        warnings.simplefilter("ignore", InconsistentVersionWarning)
        if kind == "joblib":
            recognizer = joblib.load(path)
        else:
            names = skops.io.get_untrusted_types(file=path)
            assert all(name.startswith("skcaptcha.") for name in names)
            recognizer = skops.io.load(path, trusted=names)
    images, _ = draw()
    read = json.loads((FOLDER / f"format_{version}.json").read_text())
    assert recognizer.predict(images).tolist() == read["texts"]
    np.testing.assert_allclose(
        recognizer.predict_confidence(images), read["confidence"], atol=1e-4
    )
    # What came with later versions has its default, or is off.
    assert recognizer.get_params().keys() == type(recognizer)().get_params().keys()
    repr(recognizer)
