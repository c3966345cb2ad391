"""ONNX Runtime in place of PyTorch: ``backend="onnx"``."""

import copy
import pickle
import sys

import joblib
import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from support.data import TINY
from support.weights import changed_weights

from skcaptcha import CaptchaEnsemble, CaptchaRecognizer, load_pretrained
from skcaptcha.export import _network, load_onnx
from skcaptcha.model.prepared import prepare

pytestmark = pytest.mark.filterwarnings(
    "ignore:The network has not learned to read",
    "ignore::skcaptcha.exceptions.UnlikeTrainingWarning",
)


@pytest.fixture(autouse=True)
def sessions(monkeypatch):
    """Number of texts' batches that ONNX Runtime has computed, as a list."""
    batches, forward = [], _network.OnnxNetwork.forward

    def count(self, images, widths=None):
        batches.append(len(images))
        return forward(self, images, widths)

    monkeypatch.setattr(_network.OnnxNetwork, "forward", count)
    return batches


def assert_reads_the_same(one, other, X, **options):
    options["return_confidence"] = True
    (texts, confidence), (others, expected) = (
        reader.predict(X, **options) for reader in (one, other)
    )
    assert texts.tolist() == others.tolist()
    np.testing.assert_allclose(confidence, expected, atol=1e-4)


def by_onnx(recognizer):
    return copy.deepcopy(recognizer).set_params(backend="onnx")


def test_it_reads_what_pytorch_reads(fitted, uneven, captchas, sessions):
    reader = by_onnx(fitted)
    for X in (uneven[0], captchas[0][160:], captchas[0][:1]):
        sessions.clear()
        assert_reads_the_same(reader, fitted, X)
        n_frames = sum(len(frames) for _, frames in fitted.iter_frames(X))
        assert sum(sessions) == n_frames  # one of each image, four where it doubts
    assert_reads_the_same(reader, fitted, captchas[0][160:], length=(1, 3))
    assert reader.score(*captchas) == fitted.score(*captchas)


@pytest.mark.parametrize("params", [{"downsampling": "stride"}, {"decoder": "beam"}])
def test_every_network_and_decoder_does(quick, uneven, params, sessions):
    recognizer = quick(**params)
    assert_reads_the_same(by_onnx(recognizer), recognizer, uneven[0])
    assert sessions


def test_two_threads_read_the_same_as_one(fitted, captchas):
    reader, before = by_onnx(fitted), torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert_reads_the_same(reader, fitted, captchas[0])
    finally:
        torch.set_num_threads(before)


def test_it_is_a_parameter_like_others(fitted, some):
    reader = by_onnx(fitted)
    assert clone(reader).backend == "onnx"
    assert "backend='onnx'" in repr(reader)
    with pytest.raises(ValueError, match=r"'backend'.*among {'torch', 'onnx'}.*'jax'"):
        reader.set_params(backend="jax").predict(some[0])
    search = GridSearchCV(
        CaptchaRecognizer(**{**TINY, "max_iter": 1}),
        {"backend": ["torch", "onnx"]},
        cv=2,
        error_score="raise",
    ).fit(*some)
    scores = search.cv_results_["mean_test_score"]
    assert scores[0] == scores[1]


def test_it_changes_no_weights(quick):
    assert not changed_weights(quick(), quick(backend="onnx"))


def test_it_follows_the_weights(quick, some):
    recognizer = quick(backend="onnx")
    first = recognizer.frame_log_proba(some[0])
    recognizer.partial_fit(*some)
    second = recognizer.frame_log_proba(some[0])
    assert np.abs(second[0] - first[0]).max() > 1e-5
    expected = recognizer.set_params(backend="torch").frame_log_proba(some[0])
    np.testing.assert_allclose(second, expected, atol=1e-4)


def test_the_session_is_not_saved(fitted, captchas, tmp_path):
    reader, path = by_onnx(fitted), tmp_path / "reader.joblib"
    size = len(pickle.dumps(reader))
    expected = reader.predict(captchas[0][:8]).tolist()
    assert len(pickle.dumps(reader)) == size
    joblib.dump(reader, path)
    loaded = joblib.load(path)
    assert loaded.backend == "onnx"
    assert loaded.predict(captchas[0][:8]).tolist() == expected


def test_recognizers_of_before_read_by_pytorch(fitted, sessions, captchas):
    state = fitted.__getstate__()
    del state["backend"]
    loaded = CaptchaRecognizer.__new__(CaptchaRecognizer)
    loaded.__setstate__(state)
    loaded.predict(captchas[0][:2])
    assert loaded.backend == "torch"
    assert not sessions


def test_ensembles_read_by_it(some, sessions):
    params = {**TINY, "max_iter": 1, "multi_scale": False}
    template = CaptchaRecognizer(**params, backend="onnx")
    ensemble = CaptchaEnsemble(template, cv=2, random_state=0).fit(*some)
    sessions.clear()
    ensemble.predict(some[0])
    assert sum(sessions) == 2 * len(some[0])
    for member in ensemble.estimators_:
        member.set_params(backend="torch")
    sessions.clear()
    ensemble.predict(some[0])
    assert not sessions


def test_the_pretrained_readers_read_by_it(captchas, sessions):
    X = captchas[0][:2]
    options = {"vocabulary": "0123", "length": 2}
    ensemble = load_pretrained(backend="onnx")
    assert ensemble.estimator.backend == "onnx"
    assert_reads_the_same(ensemble, load_pretrained(), X, **options)
    assert sum(sessions) == 24 * len(X)  # 2 networks at 12 sizes
    one = load_pretrained(X, backend="onnx")
    assert_reads_the_same(one, by_onnx(one).set_params(backend="torch"), X, **options)


@pytest.mark.parametrize("module", ["onnx", "onnxruntime"])
def test_a_missing_package_is_named_before_time_is_spent(
    module, fitted, some, monkeypatch
):
    monkeypatch.setitem(sys.modules, module, None)
    message = rf'backend="onnx" needs {module}, .*pip install "skcaptcha\[onnx\]"'
    with pytest.raises(ImportError, match=message):
        by_onnx(fitted).predict(some[0])
    recognizer = CaptchaRecognizer(backend="onnx")
    for learn in (recognizer.fit, recognizer.partial_fit):
        with pytest.raises(ImportError, match=message):
            learn(*some)
        assert not hasattr(recognizer, "network_")
    fitted.predict(some[0])  # PyTorch needs neither


def test_an_error_of_the_runtime_says_what_to_do(quick, some):
    recognizer = quick(backend="onnx")
    network = prepare(recognizer.network_, _network.OnnxNetwork)
    network.session = None
    with pytest.raises(ValueError, match="16 images of .* Set backend='torch'"):
        recognizer.predict(some[0])


def test_the_exported_file_is_the_same(fitted, exported, captchas):
    assert_reads_the_same(by_onnx(fitted), load_onnx(exported), captchas[0][:20])
