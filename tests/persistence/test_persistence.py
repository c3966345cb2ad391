"""Saving and loading: pickle, joblib, cloudpickle, copy, skops; formats."""

import copy
import io
import pickle
import subprocess
import sys

import cloudpickle
import joblib
import numpy as np
import pytest
import skops.io
import torch
from sklearn import config_context
from sklearn.base import clone

from skcaptcha import CaptchaRecognizer
from skcaptcha.persistence._state import FORMAT_VERSION

OWN_CLASSES = {
    "skcaptcha.recognizer.CaptchaRecognizer",
    "skcaptcha.vocabulary.Vocabulary",
}


def through_joblib(compress=0, mmap_mode=None):
    def copy_by(recognizer, folder):
        joblib.dump(recognizer, folder / "model.joblib", compress=compress)
        return joblib.load(folder / "model.joblib", mmap_mode=mmap_mode)

    return copy_by


def through_skops(recognizer, folder):
    skops.io.dump(recognizer, folder / "model.skops")
    trusted = skops.io.get_untrusted_types(file=folder / "model.skops")
    assert set(trusted) == OWN_CLASSES
    return skops.io.load(folder / "model.skops", trusted=trusted)


WAYS = {
    "pickle": lambda recognizer, folder: pickle.loads(pickle.dumps(recognizer)),
    "oldest pickle": lambda recognizer, folder: pickle.loads(
        pickle.dumps(recognizer, protocol=2)
    ),
    "cloudpickle": lambda recognizer, folder: pickle.loads(
        cloudpickle.dumps(recognizer)
    ),
    "deepcopy": lambda recognizer, folder: copy.deepcopy(recognizer),
    "copy": lambda recognizer, folder: copy.copy(recognizer),
    "joblib": through_joblib(),
    "joblib compressed": through_joblib(compress=3),
    "joblib memory-mapped": through_joblib(mmap_mode="r"),
    "skops": through_skops,
}


@pytest.mark.parametrize("way", WAYS)
def test_a_copy_gives_the_same_answers_bit_for_bit(fitted, captchas, tmp_path, way):
    images = captchas[0][:20]
    loaded = WAYS[way](fitted, tmp_path)
    assert loaded is not fitted
    assert list(loaded.predict(images)) == list(fitted.predict(images))
    assert np.array_equal(
        loaded.predict_confidence(images), fitted.predict_confidence(images)
    )
    attributes = set(vars(fitted)) - {"network_"}
    assert set(vars(loaded)) == set(vars(fitted))
    for name in attributes:
        assert getattr(loaded, name) == getattr(fitted, name), name
    weight = loaded.network_.head.weight
    assert weight.data_ptr() != fitted.network_.head.weight.data_ptr()


@pytest.mark.parametrize("way", WAYS)
def test_an_unfitted_recognizer_is_copied_too(tmp_path, way):
    recognizer = CaptchaRecognizer(max_iter=3, vocabulary="abc")
    loaded = WAYS[way](recognizer, tmp_path) if way != "skops" else clone(recognizer)
    assert loaded.get_params() == recognizer.get_params()
    assert not hasattr(loaded, "network_")


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["pickle", "joblib", "skops"])
def test_a_fresh_process_gives_the_same_answers(fitted, captchas, tmp_path, suffix):
    images = captchas[0][:5]
    np.save(tmp_path / "images.npy", np.stack(images))
    path = tmp_path / f"model.{suffix}"
    if suffix == "pickle":
        path.write_bytes(pickle.dumps(fitted))
        load = "import pickle; model = pickle.load(open(path, 'rb'))"
    elif suffix == "joblib":
        joblib.dump(fitted, path, compress=3)
        load = "import joblib; model = joblib.load(path)"
    else:
        skops.io.dump(fitted, path)
        load = (
            "import skops.io; "
            f"model = skops.io.load(path, trusted={sorted(OWN_CLASSES)!r})"
        )
    code = (
        "import sys, numpy as np, torch; torch.set_num_threads(1); "
        f"path = sys.argv[1]; {load}; images = np.load(sys.argv[2]); "
        "print(*model.predict(images), *model.predict_confidence(images))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path), str(tmp_path / "images.npy")],
        capture_output=True,
        text=True,
        check=True,
    )
    words = done.stdout.split()
    assert words[:5] == list(fitted.predict(images))
    assert [float(w) for w in words[5:]] == list(fitted.predict_confidence(images))


def test_a_dump_is_hardly_larger_than_the_weights(quick, tmp_path):
    recognizer = quick(
        conv_channels=(24, 48, 96, 128, 128), lstm_units=128, image_height=32
    )
    n_weights = sum(p.numel() for p in recognizer.network_.parameters())
    joblib.dump(recognizer, tmp_path / "model.joblib")
    skops.io.dump(recognizer, tmp_path / "model.skops")
    sizes = {
        "pickle": len(pickle.dumps(recognizer)),
        "joblib": (tmp_path / "model.joblib").stat().st_size,
        "skops": (tmp_path / "model.skops").stat().st_size,
    }
    for form, size in sizes.items():
        assert 4 * n_weights < size < 1.2 * 4 * n_weights, form


def test_what_is_saved_is_plain_numpy(fitted):
    state = fitted.__getstate__()
    assert {type(w) for w in state["_weights"].values()} == {np.ndarray}
    assert not any(
        isinstance(value, (torch.Tensor, torch.nn.Module)) for value in state.values()
    )
    assert b"torch" not in pickle.dumps(fitted)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
@pytest.mark.parametrize("device", ["cuda", "cuda:3"])
def test_a_model_of_a_cuda_machine_predicts_without_one(fitted, captchas, device):
    state = {**fitted.__getstate__(), "device": device}
    moved = CaptchaRecognizer.__new__(CaptchaRecognizer)
    moved.__setstate__(state)
    assert list(moved.predict(captchas[0][:5])) == list(fitted.predict(captchas[0][:5]))
    assert moved.device == device  # where it trains, were it fitted again there


# Formats


def load_state(state):
    recognizer = CaptchaRecognizer.__new__(CaptchaRecognizer)
    recognizer.__setstate__(state)
    return recognizer


def test_the_state_carries_its_format(fitted):
    assert fitted.__getstate__()["_format_version"] == FORMAT_VERSION
    assert not hasattr(pickle.loads(pickle.dumps(fitted)), "_format_version")


def test_a_state_from_before_there_was_a_number_loads(fitted, captchas):
    state = fitted.__getstate__()
    for later in ("_format_version", "warm_start", "freeze_convolutions"):
        del state[later]
    state["_network_shape"] = state.pop("_network_config")
    old = load_state(state)
    assert list(old.predict(captchas[0][:5])) == list(fitted.predict(captchas[0][:5]))
    assert old.get_params() == fitted.get_params()
    assert vars(old).keys() == vars(fitted).keys()


@pytest.mark.parametrize("version", [FORMAT_VERSION + 1, -1, "new", None])
def test_a_state_of_another_format_says_why_it_does_not_load(fitted, version):
    state = {**fitted.__getstate__(), "_format_version": version}
    with pytest.raises(
        ValueError, match=r"saved in format .*; this version of skcaptcha reads .* Upgr"
    ):
        load_state(state)


@pytest.mark.parametrize(
    "damage",
    [
        lambda state: state["_weights"].pop("head.weight"),
        lambda state: state["_weights"].update({"head.bias": np.zeros(3)}),
        lambda state: state["_weights"].update({"more": np.zeros(3)}),
        lambda state: state["_weights"].update({"head.bias": "none"}),
        lambda state: state.pop("_network_config"),
        lambda state: state.update({"_network_config": {"n_classes": 5}}),
    ],
)
def test_a_damaged_state_is_named(fitted, damage):
    state = fitted.__getstate__()
    state["_weights"] = dict(state["_weights"])
    damage(state)
    with pytest.raises(ValueError, match="CaptchaRecognizer is damaged: "):
        load_state(state)


class Save:
    """A callback that saves the estimator while it is fitted."""

    def setup(self, estimator, context):
        pass

    def teardown(self, estimator, context):
        pass

    def on_fit_task_begin(self, estimator, context, *, X=None, y=None):
        pass

    def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
        self.saved = pickle.dumps([estimator, fitted_estimator])


@pytest.mark.filterwarnings("ignore:The network has not learned to read")
def test_what_belongs_to_a_running_fit_is_not_saved(quick, captchas, callbacks):
    recognizer, save = quick(), Save()
    attributes = set(vars(recognizer))
    images, texts = captchas
    recognizer.set_callbacks(save, callbacks.ProgressBar()).fit(images[:16], texts[:16])
    estimator, fitted = pickle.loads(save.saved)
    assert vars(estimator).keys() == vars(fitted).keys() == attributes
    assert list(fitted.predict(images)) == list(recognizer.predict(images))


def test_what_the_user_set_is_saved(fitted, callbacks):
    with config_context(enable_metadata_routing=True):
        recognizer = clone(fitted).set_predict_request(length=True)
        recognizer.set_callbacks(Save())
        loaded = pickle.loads(pickle.dumps(recognizer))
        request = loaded.get_metadata_routing().predict.requests
    assert request["length"] is True
    assert vars(loaded).keys() == vars(recognizer).keys()


def test_saving_changes_nothing(fitted):
    before = dict(vars(fitted))
    buffer = io.BytesIO()
    joblib.dump(fitted, buffer)
    assert vars(fitted) == before
