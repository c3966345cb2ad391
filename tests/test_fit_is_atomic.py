"""A fit that fails at any step leaves the estimator as it was."""

import copy

import numpy as np
import pytest
from support.data import TINY

from skcaptcha import CaptchaEnsemble, CaptchaRecognizer

STEPS = [
    "skcaptcha._base.check_params",
    "skcaptcha.recognizer.join_processes",
    "skcaptcha.recognizer.Checkpoint",
    "skcaptcha.recognizer.read_training_data",
    "skcaptcha._training_data.choose_device",
    "skcaptcha._training_data.check_texts",
    "skcaptcha._training_data.scan_images",
    "skcaptcha._training_data.choose_stretch",
    "skcaptcha._training_data.load_samples",
    "skcaptcha.recognizer.choose_n_held_out",
    "skcaptcha.recognizer.find_network_config",
    "skcaptcha.recognizer.choose_start",
    "skcaptcha.recognizer.AutoChoices",
    "skcaptcha.recognizer.EpochTasks",
    "skcaptcha.recognizer.TrainingConfig",
    "skcaptcha.recognizer.fit_network",
    "skcaptcha.training.fit.for_reading",
    "skcaptcha.training.step.Trainer.train_step",
    "skcaptcha.training.fit.evaluate",
]


class Broken(Exception):
    pass


def fail(*args, **kwargs):
    raise Broken


@pytest.fixture(params=["first fit", "second fit", "warm start"])
def recognizer(request, quick, captchas):
    """One that has been fitted in other ways, on a table, or not at all."""
    params = {**TINY, "max_iter": 1, "early_stopping": True, "pretrained": "auto"}
    if request.param == "first fit":
        return CaptchaRecognizer(**params)
    X = np.stack(captchas[0][:16]).reshape(16, -1)
    fitted = quick(X, image_shape=(16, 48))
    warm = request.param == "warm start"
    return fitted.set_params(**params, warm_start=warm)


@pytest.mark.parametrize("step", STEPS)
def test_a_fit_that_fails_leaves_all_as_it_was(
    step, recognizer, captchas, monkeypatch, tmp_path
):
    recognizer.set_params(checkpoint=tmp_path / "fit.ckpt")
    before = dict(vars(recognizer))
    kept = copy.deepcopy({k: v for k, v in before.items() if k != "network_"})
    monkeypatch.setattr(step, fail)
    with pytest.raises(Broken):
        recognizer.fit(captchas[0][:20], captchas[1][:20])
    assert vars(recognizer) == before
    for name, value in kept.items():
        np.testing.assert_equal(vars(recognizer)[name], value)


def test_partial_fit_that_fails_leaves_all_as_it_was(quick, captchas, monkeypatch):
    recognizer = quick()
    for step in (
        "skcaptcha.recognizer.fit_one_epoch",
        "skcaptcha.training.step.Trainer.train_step",
    ):
        before = dict(vars(recognizer))
        weights = {k: v.clone() for k, v in recognizer.network_.state_dict().items()}
        with monkeypatch.context() as patch:
            patch.setattr(step, fail)
            with pytest.raises(Broken):
                recognizer.partial_fit(captchas[0][:8], captchas[1][:8])
        assert vars(recognizer) == before
        for name, tensor in recognizer.network_.state_dict().items():
            assert tensor.equal(weights[name])


def test_an_ensemble_that_fails_leaves_all_as_it_was(captchas, monkeypatch):
    ensemble = CaptchaEnsemble(CaptchaRecognizer(**TINY), cv=2)
    before = dict(vars(ensemble))
    monkeypatch.setattr("skcaptcha.recognizer.fit_network", fail)
    with pytest.raises(Broken):
        ensemble.fit(captchas[0][:20], captchas[1][:20])
    assert vars(ensemble) == before
