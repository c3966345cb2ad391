"""Recognizers that are read or described as they stand in a file."""

import inspect
import io
import json
import os
import pickle

import joblib
import numpy as np
import pytest
from models.make_model import FOLDER, draw
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import make_pipeline
from support.data import TINY

from skcaptcha import CaptchaEnsemble, CaptchaRecognizer
from skcaptcha._base import BaseEnsemble, BaseRecognizer
from skcaptcha.cli import _models
from skcaptcha.cli._report import describe
from skcaptcha.persistence import _state
from skcaptcha.persistence._without_sklearn import load_head, load_reader


def test_both_halves_take_the_same_parameters():
    assert inspect.signature(CaptchaRecognizer) == inspect.signature(BaseRecognizer)
    assert CaptchaRecognizer().get_params().keys() == vars(BaseRecognizer()).keys()


@pytest.mark.parametrize("version", range(1, _state.FORMAT_VERSION + 1))
def test_models_of_every_format_are_read_and_described(version):
    images, _ = draw()
    read = json.loads((FOLDER / f"format_{version}.json").read_text())
    reader = load_reader(FOLDER / f"format_{version}.joblib")
    assert not isinstance(reader, CaptchaRecognizer)
    assert reader.predict(images).tolist() == read["texts"]
    np.testing.assert_allclose(
        reader.predict_confidence(images), read["confidence"], atol=1e-4
    )
    for kind in ("joblib", "skops"):
        path = FOLDER / f"format_{version}.{kind}"
        head = load_head(path)
        assert not hasattr(head, "network_")
        assert describe(head) == describe(_models.load_model(path))


def test_an_ensemble_is_read_and_described(captchas, tmp_path):
    path = tmp_path / "ensemble.joblib"
    member = CaptchaRecognizer(**{**TINY, "max_iter": 2, "random_state": 0})
    with pytest.warns(match="has not learned to read"):
        whole = CaptchaEnsemble(member, cv=2).fit(captchas[0][:20], captchas[1][:20])
    joblib.dump(whole, path)
    reader = load_reader(path)
    assert type(reader) is BaseEnsemble
    images = captchas[0][160:170]
    assert reader.predict_topk(images, 3) == whole.predict_topk(images, 3)
    assert describe(load_head(path)) == describe(whole)


class Subclass(CaptchaRecognizer):
    """A recognizer of somebody else."""


def test_what_takes_more_is_left_to_joblib(fitted, tmp_path, monkeypatch):
    path = tmp_path / "model.joblib"
    other = Subclass.__new__(Subclass)
    other.__setstate__(fitted.__getstate__())
    odd = pickle.loads(pickle.dumps(fitted)).set_params(beam_width=0)
    ensemble = CaptchaEnsemble(cv=KFold(2))
    ensemble.estimators_ = [fitted, fitted]
    ensemble.cv_scores_ = np.ones(2)
    with monkeypatch.context() as patch:
        patch.setattr(_state, "FORMAT_VERSION", 99)
        newer = pickle.dumps(fitted)
    cases = [
        joblib_bytes(model)
        for model in (
            make_pipeline(fitted),
            GridSearchCV(fitted, {}),
            other,
            ensemble,
            CaptchaRecognizer(),
            CaptchaEnsemble(),
            [fitted],
        )
    ]
    whole = joblib_bytes(fitted)
    for content in (*cases, newer, whole[: len(whole) // 2], b"", b"\x78\x9c", b"text"):
        path.write_bytes(content)
        assert load_reader(path) is None and load_head(path) is None
    path.write_bytes(joblib_bytes(odd))
    assert load_reader(path) is None  # it would read with another error
    path.write_bytes(whole)
    assert load_reader(path) is not None


def joblib_bytes(model):
    buffer = io.BytesIO()
    joblib.dump(model, buffer)
    return buffer.getvalue()


class Program:
    """Runs when it is loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_no_other_function_is_called(tmp_path):
    path, made = tmp_path / "model.joblib", tmp_path / "made"
    path.write_bytes(joblib_bytes(Program(made)))
    assert load_reader(path) is None and load_head(path) is None
    assert not made.exists()


def test_weights_that_no_head_looks_at_are_looked_at_to_read(fitted, tmp_path):
    path, state = tmp_path / "model.joblib", fitted.__getstate__()
    state["_weights"] = {**state["_weights"], "head.bias": np.full(5, np.nan)}

    class Spoiled:
        def __reduce__(self):
            return CaptchaRecognizer.__new__, (CaptchaRecognizer,), state

    path.write_bytes(joblib_bytes(Spoiled()))
    assert load_reader(path) is None
    with pytest.raises(ValueError, match="weights are not all finite"):
        _models.load_reader(path)
