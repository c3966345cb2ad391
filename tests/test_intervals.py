"""Intervals of scores, beside SciPy's and at how often they hold the truth."""

import numpy as np
import pytest
from scipy.stats import binomtest

from skcaptcha._intervals import character_interval, describe_few, wilson_interval


@pytest.mark.parametrize("n", [1, 8, 30, 1000])
def test_a_share_has_the_interval_that_scipy_gives_it(n):
    for k in {0, 1, n // 3, n - 1, n}:
        found = binomtest(k, n).proportion_ci(0.95, method="wilson")
        assert wilson_interval(k / n, n) == pytest.approx((found.low, found.high))


def test_images_of_one_character_are_independent_trials():
    edits = [1] * 12 + [0] * 88
    expected = wilson_interval(0.88, 100)
    assert character_interval(edits, [1] * 100) == pytest.approx(expected, abs=1e-3)


def test_errors_that_come_together_count_for_fewer_characters():
    together = character_interval([5] * 4 + [0] * 36, [5] * 40)
    apart = character_interval([1] * 20 + [0] * 20, [5] * 40)
    # As if each image were one trial, and as if each character were.
    assert together == pytest.approx(wilson_interval(0.9, 40), abs=2e-3)
    assert apart == pytest.approx(wilson_interval(0.9, 200), abs=1e-9)


def test_without_any_spread_an_image_is_one_trial():
    for edits, accuracy in ([0] * 8, 1), ([4] * 8, 0), ([9] * 8, 0):
        assert character_interval(edits, [4] * 8) == wilson_interval(accuracy, 8)
    assert character_interval([0, 1], [0, 0]) == wilson_interval(0, 2)
    assert character_interval([1], [2]) == wilson_interval(0.5, 1)


@pytest.mark.parametrize("n, a, b", [(30, 2, 98), (100, 0.1, 0.9), (100, 0.2, 0.8)])
def test_the_truth_is_in_about_95_of_100_intervals(n, a, b):
    rng, hits = np.random.default_rng(0), []
    for _ in range(500):
        sizes = rng.integers(4, 8, n)
        edits = rng.binomial(sizes, rng.beta(a, b, n))
        low, high = character_interval(edits, sizes)
        hits.append(low <= 1 - a / (a + b) <= high)
    assert 0.92 <= np.mean(hits) <= 0.98


def test_the_number_of_few_images_is_named():
    text = describe_few(8, wilson_interval(7 / 8, 8))
    assert text == (
        "Only 8 images were tested: the true exact match may be anything from 0.53 to "
        "0.98."
    )
    assert describe_few(30, (0.9, 1)) == ""
