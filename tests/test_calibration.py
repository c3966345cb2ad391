"""How sure the network is, against how often it is right."""

import numpy as np
import pytest
import torch

from skcaptcha import CaptchaRecognizer, _calibration
from skcaptcha._batches import Samples
from skcaptcha._calibration import divide_logits, find_temperature
from skcaptcha.datasets import make_captchas


def read_by(probability):
    """Return a `run_network` that reads a symbol in one step, as sure as that."""

    def run(network, images):
        rest = (1 - probability) / 3
        frames = np.full((1, len(images), 4), rest)
        frames[:, :, 1] = probability
        yield list(range(len(images))), np.log(frames), np.ones(len(images), int)

    return run


def make_samples(n_right, n):
    image = np.zeros((16, 16, 1), np.uint8)
    targets = [np.array([1])] * n_right + [np.array([2])] * (n - n_right)
    return Samples([image] * n, targets)


@pytest.mark.parametrize("n_right", [5, 6, 8])
def test_what_is_too_sure_comes_down_to_the_share_that_is_right(monkeypatch, n_right):
    monkeypatch.setattr(_calibration, "run_network", read_by(0.9))
    temperature = find_temperature(None, make_samples(n_right, 10))
    # p^(1/T) / (p^(1/T) + 3 (rest)^(1/T)) = share
    share, odds = n_right / 10, 0.9 / (0.1 / 3)
    expected = np.log(odds) / np.log(3 * share / (1 - share))
    assert temperature == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize("n_right", [9, 10])
def test_what_is_not_too_sure_stays_as_it_is(monkeypatch, n_right):
    monkeypatch.setattr(_calibration, "run_network", read_by(0.9))
    assert find_temperature(None, make_samples(n_right, 10)) == 1


def test_a_network_that_is_sure_of_nonsense_is_cooled_no_further_than_4(monkeypatch):
    monkeypatch.setattr(_calibration, "run_network", read_by(0.9))
    assert find_temperature(None, make_samples(0, 10)) == pytest.approx(4, abs=0.02)


@pytest.fixture(scope="module")
def overfitted():
    """Recogniser of difficult images of which it knows few by heart, and others."""
    images, texts = make_captchas(
        360, vocabulary="0123", length=2, size=(16, 32), noise=60, random_state=0
    )
    recognizer = CaptchaRecognizer(
        conv_channels=(8, 16, 32),
        lstm_units=16,
        image_height=16,
        max_iter=60,
        augmentation=0.0,
        dropout=0.0,
        learning_rate_init=0.01,
        early_stopping=True,
        validation_fraction=0.5,
        random_state=0,
    ).fit(images[:160], texts[:160])
    return recognizer, images[160:], texts[160:]


def test_confidence_is_calibrated_on_what_was_held_out(overfitted):
    recognizer, images, texts = overfitted
    assert recognizer.temperature_ > 1
    exact_match = recognizer.score(images, texts)
    assert 0.05 < exact_match < 0.95
    gap = recognizer.predict_confidence(images).mean() - exact_match
    read = recognizer.predict(images)
    divide_logits(recognizer.network_, 1 / recognizer.temperature_)
    try:
        assert list(recognizer.predict(images)) == list(read)
        before = recognizer.predict_confidence(images).mean() - exact_match
    finally:
        divide_logits(recognizer.network_, recognizer.temperature_)
    assert abs(gap) < 0.1 < before


def test_logits_are_divided():
    network = torch.nn.Module()
    network.head = torch.nn.Linear(2, 3)
    x = torch.ones(1, 2)
    logits = network.head(x)
    divide_logits(network, 2.0)
    assert torch.allclose(network.head(x), logits / 2)
