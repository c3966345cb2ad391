"""What the user has set in PyTorch and NumPy changes no weights and no answers."""

import contextlib
import pickle

import numpy as np
import pytest
import torch
from sklearn import config_context
from support.data import TINY

from skcaptcha import CaptchaRecognizer
from skcaptcha.model import pretrained
from skcaptcha.training.fit import fit_network


@contextlib.contextmanager
def default_dtype(dtype):
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@contextlib.contextmanager
def default_device(device):
    torch.set_default_device(device)
    try:
        yield
    finally:
        torch.set_default_device(None)


@contextlib.contextmanager
def deterministic():
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


SETTINGS = {
    "float64": lambda: default_dtype(torch.float64),
    "bfloat16": lambda: default_dtype(torch.bfloat16),
    "float16": lambda: default_dtype(torch.float16),
    "meta": lambda: default_device("meta"),
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "deterministic": deterministic,
    "a device's block": lambda: torch.device("meta"),
    "NumPy's errors": lambda: np.errstate(all="raise"),
    "pandas": lambda: config_context(transform_output="pandas"),
}
FITS = {
    "random weights": {"pretrained": False, "dropout": 0.1, "max_iter": 2},
    "pretrained weights": {
        "conv_channels": (24, 48, 96, 128, 128),
        "lstm_units": 128,
        "early_stopping": True,
        "max_iter": 1,
    },
}


@pytest.fixture(scope="module")
def uneven(some):
    """Images of two widths, so that padding is masked."""
    X, y = some
    return [x[:, :-8] if i % 3 == 0 else x for i, x in enumerate(X)], y


@pytest.fixture(scope="module")
def plain(uneven):
    """Fits under no settings, by their parameters."""
    return {name: fit(uneven, name) for name in FITS}


def fit(data, name):
    params = {**TINY, "batch_size": 4, **FITS[name]}
    return CaptchaRecognizer(**params).fit(*data)


def check_same(one, other):
    states = [r.network_.state_dict() for r in (one, other)]
    assert states[0].keys() == states[1].keys()
    for name, tensor in states[0].items():
        assert tensor.dtype == states[1][name].dtype
        assert tensor.device.type == "cpu"
        assert torch.equal(tensor, states[1][name]), name
    assert not any(tensor.is_inference() for tensor in states[1].values())


pytestmark = pytest.mark.filterwarnings("ignore:The network has not learned to read")


@pytest.mark.parametrize("start", FITS)
@pytest.mark.parametrize("name", SETTINGS)
def test_a_fit_finds_the_same_weights(plain, uneven, name, start):
    pretrained.read_weights.cache_clear()
    with SETTINGS[name]():
        recognizer = fit(uneven, start)
    check_same(plain[start], recognizer)
    assert recognizer.loss_curve_ == plain[start].loss_curve_
    again = CaptchaRecognizer(**{**TINY, **FITS[start], "max_iter": 1})
    again.fit(*uneven)  # with pretrained weights that were read under the settings


@pytest.mark.parametrize("name", SETTINGS)
def test_a_model_that_is_loaded_reads_and_learns_as_it_did(plain, uneven, name):
    X, y = uneven
    expected = plain["pretrained weights"]
    content = pickle.dumps(expected)
    with SETTINGS[name]():
        loaded = pickle.loads(content)
        frames = loaded.frame_log_proba(X)
        texts, confidence = loaded.predict(X, return_confidence=True)
        with_beam = loaded.set_params(decoder="beam").predict(X)
    check_same(expected, loaded)
    for here, there in zip(expected.frame_log_proba(X), frames, strict=True):
        assert np.array_equal(here, there)
    assert texts.tolist() == expected.predict(X).tolist()
    assert np.array_equal(confidence, expected.predict_confidence(X))
    assert len(with_beam) == len(X)
    loaded.set_params(decoder="greedy", warm_start=True, max_iter=1).fit(X, y)
    again = pickle.loads(content).set_params(warm_start=True, max_iter=1).fit(X, y)
    check_same(again, loaded)


@pytest.mark.parametrize("name", SETTINGS)
def test_parts_are_learned_from_alike(uneven, name):
    X, y = uneven
    expected, found = (CaptchaRecognizer(**{**TINY, "max_iter": 1}) for _ in range(2))
    for _ in range(2):
        expected.partial_fit(X, y)
    with SETTINGS[name]():
        found.partial_fit(X, y)
        found.partial_fit(X, y)
    check_same(expected, found)
    found.partial_fit(X, y)


@pytest.mark.parametrize("start", FITS)
def test_a_block_around_an_update_does_not_keep_its_weights(
    plain, uneven, start, monkeypatch
):
    without = fit_network.__wrapped__  # the modes that a fit sets
    monkeypatch.setattr("skcaptcha.recognizer.fit_network", without)
    check_same(plain[start], fit(uneven, start))


def test_the_settings_stay_as_they_were(uneven):
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        fit(uneven, "random weights")
        assert torch.is_inference_mode_enabled()
        assert not torch.is_grad_enabled()
        assert torch.is_autocast_enabled("cpu")
    with default_dtype(torch.float64), torch.no_grad():
        fit(uneven, "random weights")
        assert torch.get_default_dtype() == torch.float64
        assert not torch.is_grad_enabled()
