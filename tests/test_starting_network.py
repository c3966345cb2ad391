"""Which of the pretrained networks a fit starts from."""

from pathlib import Path

import matplotlib
import numpy as np
import pytest
from sklearn.base import clone

from skcaptcha import CaptchaRecognizer, _starting_network
from skcaptcha.datasets import make_captchas

DEJAVU = Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")


def draw(vocabulary, n_samples=12):
    return make_captchas(
        n_samples,
        vocabulary=vocabulary,
        length=3,
        size=(32, 80),
        fonts=[DEJAVU],
        random_state=0,
    )


@pytest.fixture(scope="module")
def cyrillic():
    return draw("БДЖИФЯ")


def fit(drawn, **params):
    return CaptchaRecognizer(max_iter=1, random_state=0, **params).fit(*drawn)


@pytest.fixture
def misread(monkeypatch):
    """Let the small and the large network misread as many characters as this says."""
    counts = {}

    def count(network, samples):
        is_large = any(block.residual for block in network.blocks)
        return counts["large" if is_large else "small"]

    monkeypatch.setattr(_starting_network, "count_misread", count)
    return counts


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_letters_that_the_large_weights_alone_know_are_learned_from_these(cyrillic):
    # One epoch of twelve images teaches next to nothing.
    recognizer = fit(cyrillic)
    assert recognizer.auto_choices_["network_size"] == "large"
    small = fit(cyrillic, network_size="small")
    assert small.auto_choices_["network_size"] == "small"
    assert recognizer.score(*cyrillic) > small.score(*cyrillic) + 0.5


def test_what_both_read_takes_the_small_one():
    recognizer = fit(draw("0123456789"))
    assert recognizer.auto_choices_["network_size"] == "small"


@pytest.mark.parametrize(
    ("small", "large", "size"),
    [
        (4, 0, "large"),
        (3, 0, "small"),  # four characters at least
        (36, 32, "large"),
        (0, 36, "small"),
    ],
)
def test_it_takes_clearly_fewer_misread_characters(misread, small, large, size):
    misread.update(small=small, large=large)
    assert fit(draw("0123456789")).auto_choices_["network_size"] == size


@pytest.mark.parametrize(
    ("n_samples", "small", "size"),
    [(200, 35, "small"), (200, 36, "large"), (201, 600, "small")],
)
def test_it_takes_a_share_and_few_images(misread, n_samples, small, size):
    # 3 % of 200 images of 3 characters are 18.
    misread.update(small=small, large=18)
    recognizer = fit(draw("01", n_samples))
    assert recognizer.auto_choices_["network_size"] == size


@pytest.mark.parametrize(
    "params",
    [
        {"network_size": "small"},
        {"downsampling": "stride"},
        {"pretrained": False},
        {"conv_channels": (8, 16, 16)},
        {"lstm_units": 16},
    ],
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_parameters_that_leave_no_choice(misread, params):
    misread.update(small=36, large=0)
    recognizer = fit(draw("0123456789"), **params)
    assert recognizer.auto_choices_["network_size"] == "small"


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_gray_and_color_images_and_frozen_convolutions_have_the_choice(misread):
    misread.update(small=36, large=0)
    for params in ({"color_mode": "rgb"}, {"freeze_convolutions": True}):
        recognizer = fit(draw("0123456789"), **params)
        assert recognizer.auto_choices_["network_size"] == "large"


def test_training_goes_on_at_the_size_that_it_has(misread):
    drawn = draw("0123456789")
    misread.update(small=0, large=0)
    recognizer = fit(drawn).set_params(warm_start=True)
    misread.update(small=36)
    assert recognizer.fit(*drawn).auto_choices_["network_size"] == "small"
    recognizer = clone(recognizer).partial_fit(*drawn)
    assert recognizer.auto_choices_["network_size"] == "small"


def test_the_choice_changes_no_random_number():
    drawn = draw("0123456789")
    chosen, told = fit(drawn), fit(drawn, network_size="small")
    np.testing.assert_array_equal(
        chosen.predict_confidence(drawn[0]), told.predict_confidence(drawn[0])
    )
