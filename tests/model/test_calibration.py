"""Calibration of the confidence on samples that were held out."""

import numpy as np
import pytest
import torch
from support.data import TINY

from skcaptcha import CaptchaRecognizer
from skcaptcha.images._samples import Samples
from skcaptcha.model.calibration import divide_logits, find_temperature


class Sure(torch.nn.Module):
    """Network that reads one symbol in one step, as sure as it is told."""

    def __init__(self, probability):
        super().__init__()
        rest = (1 - probability) / 3
        frame = torch.tensor([rest, probability, rest, rest])
        self.frame = torch.nn.Parameter(frame.log(), requires_grad=False)

    def forward(self, images, widths):
        return self.frame.expand(1, len(images), 4), torch.ones(len(images), dtype=int)


def make_samples(n_right, n):
    image = np.zeros((16, 16, 1), np.uint8)
    targets = [np.array([1])] * n_right + [np.array([2])] * (n - n_right)
    return Samples([image] * n, targets)


@pytest.mark.parametrize("n_right", [5, 6, 8])
def test_what_is_too_sure_comes_down_to_the_share_that_is_right(n_right):
    temperature = find_temperature(Sure(0.9), make_samples(n_right, 10))
    # p^(1/T) / (p^(1/T) + 3 (rest)^(1/T)) = share
    share, odds = n_right / 10, 0.9 / (0.1 / 3)
    expected = np.log(odds) / np.log(3 * share / (1 - share))
    assert temperature == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize("n_right", [9, 10])
def test_what_is_not_too_sure_stays_as_it_is(n_right):
    assert find_temperature(Sure(0.9), make_samples(n_right, 10)) == 1


def test_a_network_that_is_sure_of_nonsense_is_cooled_no_further_than_4():
    assert find_temperature(Sure(0.9), make_samples(0, 10)) == pytest.approx(
        4, abs=0.02
    )


@pytest.mark.slow
def test_confidence_is_calibrated_on_what_was_held_out(captchas):
    images, texts = captchas
    # So long on so few that it knows them by heart.
    recognizer = CaptchaRecognizer(
        max_iter=100,
        learning_rate_init=6e-3,
        augmentation=0.0,
        early_stopping=True,
        validation_fraction=0.5,
        multi_scale=False,
        **TINY,
    ).fit(images[:100], texts[:100])
    assert recognizer.temperature_ > 1.2
    exact_match = recognizer.score(images[100:], texts[100:])
    read = recognizer.predict(images[100:])
    gap = recognizer.predict_confidence(images[100:]).mean() - exact_match
    divide_logits(recognizer.network_, 1 / recognizer.temperature_)
    assert list(recognizer.predict(images[100:])) == list(read)
    before = recognizer.predict_confidence(images[100:]).mean() - exact_match
    assert abs(gap) < 0.15 and gap < before - 0.05


def test_logits_are_divided():
    network = torch.nn.Module()
    network.head = torch.nn.Linear(2, 3)
    x = torch.ones(1, 2)
    logits = network.head(x)
    divide_logits(network, 2.0)
    assert torch.allclose(network.head(x), logits / 2)
