"""What the user has set in PyTorch and NumPy changes no weights and no answers."""

import contextlib
import pickle

import numpy as np
import pytest
import torch
from sklearn import config_context
from sklearn.exceptions import ConvergenceWarning
from support.data import TINY

from skcaptcha import (
    CaptchaEnsemble,
    CaptchaRecognizer,
    load_pretrained,
    persistence,
)
from skcaptcha.cli._report import _list_layers
from skcaptcha.export import export_onnx, load_onnx
from skcaptcha.inspection import find_label_issues
from skcaptcha.model import pretrained
from skcaptcha.model.network import CRNN
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


@contextlib.contextmanager
def swapped_modules():
    torch.__future__.set_swap_module_params_on_conversion(True)
    try:
        yield
    finally:
        torch.__future__.set_swap_module_params_on_conversion(False)


@contextlib.contextmanager
def precision(name):
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(name)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


@contextlib.contextmanager
def all_at_once():
    with (
        default_dtype(torch.float64),
        deterministic(),
        default_device("meta"),
        swapped_modules(),
        torch.inference_mode(),
        torch.autocast("cpu", torch.float16),
        torch.autograd.set_detect_anomaly(True),
        torch.autograd.graph.save_on_cpu(),
        torch.backends.cudnn.flags(False, True, deterministic=True),
    ):
        yield


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
    "anomalies": lambda: torch.autograd.set_detect_anomaly(True),
    "all at once": all_at_once,
    "NumPy's errors": lambda: np.errstate(all="raise"),
    "pandas": lambda: config_context(transform_output="pandas"),
}
# These are there to change what is computed, in the last digits.
ROUNDING = {
    "precision": lambda: precision("medium"),
    "no MKLDNN": lambda: torch.backends.mkldnn.flags(False, allow_tf32=None),
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


class StopOnce:
    """Callback that lets a fit fail after its first epoch, once."""

    def __init__(self):
        self.due = True

    def setup(self, estimator, context):
        pass

    teardown = on_fit_task_begin = setup

    def on_fit_task_end(self, estimator, context):
        if self.due and context.task_name == "epoch":
            self.due = False
            raise KeyError("a fit that breaks off")


def use_all(recognizer, X, y, folder):
    """Do the rest of what the package does with PyTorch; return what it finds."""
    confidence = recognizer.predict_confidence(X)
    persistence.dump(recognizer, folder / "model.skops")
    saved = persistence.load(folder / "model.skops")
    export_onnx(saved, folder / "model.onnx")
    onnx = load_onnx(folder / "model.onnx").predict_confidence(X)
    issues = find_label_issues(recognizer, X, y, cv="prefit")
    params = {**TINY, "max_iter": 2, "batch_size": 4}
    ensemble = CaptchaEnsemble(CaptchaRecognizer(**params), cv=2, random_state=0)
    ensemble.fit(X, y)
    resumed = CaptchaRecognizer(
        **params, checkpoint=folder / "fit", checkpoint_interval=0
    ).set_callbacks(StopOnce())
    with pytest.raises(KeyError, match="breaks off"):
        resumed.fit(X, y)
    resumed.fit(X, y)
    frozen = CaptchaRecognizer(
        **{**FITS["pretrained weights"], "image_height": 16, "random_state": 0},
        freeze_convolutions=True,
    ).fit(X, y)
    return {
        "a model of skops": saved.predict_confidence(X) - confidence,
        "the network of ONNX": onnx,
        "the file of ONNX": np.frombuffer((folder / "model.onnx").read_bytes(), "u1"),
        "characters": [c[1] for found in saved.predict_characters(X) for c in found],
        "label issues": issues.self_confidence,
        "an ensemble": ensemble.predict_confidence(X),
        "a resumed fit": resumed.loss_curve_,
        "frozen convolutions": frozen.predict_confidence(X),
        "a summary": [str(row) for row in _list_layers(recognizer)],
        "before any label": load_pretrained(X[:2]).predict_confidence(X[:2]),
    }


@pytest.fixture(scope="module")
def everything(plain, uneven, tmp_path_factory):
    """What `use_all` finds under no settings."""
    pytest.importorskip("onnx")
    X, y = (values[:8] for values in uneven)
    folder = tmp_path_factory.mktemp("plain")
    return use_all(plain["pretrained weights"], X, y, folder)


@pytest.mark.parametrize("name", ["all at once", *ROUNDING])
def test_everything_finds_the_same(name, everything, plain, uneven, tmp_path):
    X, y = (values[:8] for values in uneven)
    recognizer = pickle.loads(pickle.dumps(plain["pretrained weights"]))
    pretrained.read_weights.cache_clear()
    before = torch.get_rng_state()
    with {**SETTINGS, **ROUNDING}[name]():
        found = use_all(recognizer, X, y, tmp_path)
    assert torch.equal(torch.get_rng_state(), before)
    for what, expected in everything.items():
        if name in SETTINGS or what == "a summary":
            assert np.array_equal(found[what], expected), what
        else:
            assert np.allclose(found[what], expected, rtol=0.1, atol=0.05), what


def test_gradients_that_are_not_finite_are_passed_over_with_anomalies_on(
    uneven, monkeypatch
):
    X, y = uneven
    calls, forward = [], CRNN.forward

    def spoil(network, *args, **kwargs):
        *heads, lengths = forward(network, *args, **kwargs)
        calls.append(network.training)
        if len(calls) == 2:
            heads = [head * float("nan") for head in heads]
        return *heads, lengths

    monkeypatch.setattr(CRNN, "forward", spoil)
    with torch.autograd.set_detect_anomaly(True):
        with pytest.warns(ConvergenceWarning, match=r"In 1 of \d+ updates the loss"):
            fit(uneven, "random weights")
        assert torch.is_anomaly_enabled() and torch.is_anomaly_check_nan_enabled()
    assert not torch.is_anomaly_enabled()


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
