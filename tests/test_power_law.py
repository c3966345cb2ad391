"""Known answers of the power law of scores and numbers of labels."""

import numpy as np
import pytest

from skcaptcha.inspection import fit_power_law

SIZES = np.array([50, 100, 200, 400])


def follow(n_labels, *, floor=0.0, exponent=1.0):
    """Scores of a law that begins with an error of 0.3 at 50 labels."""
    return 1 - 0.3 * (floor + (1 - floor) * (n_labels / 50) ** -exponent)


@pytest.mark.parametrize(
    "floor, exponent", [(0, 0.5), (0, 1), (0.02, 1.5), (0.05, 0.5)]
)
def test_scores_that_follow_a_law_are_continued(floor, exponent):
    law = fit_power_law(SIZES, follow(SIZES, floor=floor, exponent=exponent), 1000)
    more = np.array([400, 800, 1600])
    expected = follow(more, floor=floor, exponent=exponent)
    scores, interval = law.predict(more, return_interval=True)
    np.testing.assert_allclose(scores, expected, atol=0.015)
    assert (interval[:, 0] < expected).all() and (expected < interval[:, 1]).all()


def test_a_floor_is_seen_and_not_fallen_through():
    sizes = np.repeat(25 * 2 ** np.arange(7), 5)
    law = fit_power_law(sizes, 0.9 - 0.6 * (sizes / 25) ** -1.5, 1000)
    assert law.predict(1e6) == pytest.approx(0.9, abs=0.01)
    assert law.find_size(0.95) == np.inf


def test_intervals_hold_what_they_promise():
    rng, held = np.random.default_rng(0), []
    for _ in range(60):
        error, floor = rng.uniform(0.1, 0.6), rng.uniform(0, 0.3)
        exponent = rng.uniform(0.3, 1.5)

        def score(n, error=error, floor=floor, exponent=exponent):
            return 1 - error * (floor + (1 - floor) * (n / 50) ** -exponent)

        measured = rng.binomial(200, score(SIZES)) / 200
        _, (low, high) = fit_power_law(SIZES, measured, 200).predict(
            1600, return_interval=True
        )
        held.append(low <= score(1600) <= high)
    assert np.mean(held) >= 0.9


def test_the_interval_is_as_wide_as_little_is_known():
    def width(sizes, n_tested, at):
        law = fit_power_law(sizes, follow(np.asarray(sizes)), n_tested)
        return np.ptp(law.predict(at, return_interval=True)[1])

    assert width(SIZES, 30, 800) > width(SIZES, 300, 800) > width(SIZES, 3000, 800)
    assert width(SIZES, 300, 800) > width(np.repeat(SIZES, 5), 300, 800)
    assert width(SIZES, 300, 6400) > width(SIZES, 300, 800)
    assert width([400], 300, 800) > width([*SIZES], 300, 800)


def test_a_score_counts_by_the_images_that_it_was_measured_on():
    few, many = (
        fit_power_law([100, 100], [0.9, 0.5], n) for n in ([10, 400], [400, 10])
    )
    assert few.predict(100) < 0.6 and many.predict(100) > 0.8


@pytest.mark.parametrize("score, bounds", [(1, (0.95, 1)), (0, (0, 0.1))])
def test_all_right_and_all_wrong_are_no_certainty(score, bounds):
    law = fit_power_law([50, 100], [score, score], 50)
    estimate, (low, high) = law.predict(100, return_interval=True)
    assert bounds[0] <= low <= estimate <= high <= bounds[1] and low < high
    sizes = np.geomspace(1, 1e9, 30)
    scores, interval = law.predict(sizes, return_interval=True)
    assert (np.diff(scores) >= 0).all() and (np.diff(interval, axis=0) >= 0).all()
    assert interval.min() >= 0 and interval.max() <= 1


def test_the_size_for_a_score_is_where_the_estimate_reaches_it():
    law = fit_power_law(SIZES, follow(SIZES), 300)
    for score in (0.5, 0.9, 0.97):
        n_labels, (low, high) = law.find_size(score, return_interval=True)
        assert n_labels == int(n_labels) and low <= n_labels <= high
        assert law.predict(n_labels) == pytest.approx(score, abs=0.01)
    assert law.find_size(0.9) == pytest.approx(150, abs=15)  # 0.3 * (n / 50) ** -1


def test_a_gain_is_that_of_each_law():
    law = fit_power_law(SIZES, follow(SIZES), 300)
    gains, interval = law.predict_gain(400, [100, 400], return_interval=True)
    assert gains[0] < gains[1]
    assert gains[1] == pytest.approx(law.predict(800) - law.predict(400), abs=0.005)
    assert (interval > 0).all()  # though the scores themselves are less sure
    scores = law.predict([400, 800], return_interval=True)[1]
    assert np.ptp(interval[1]) < np.ptp(scores[1]) and scores[1, 0] < scores[0, 1]


def test_errors_with_their_sign_changed_have_the_best_score_zero():
    law, shifted = (
        fit_power_law(SIZES, follow(SIZES) - 1 + best, 300, best=best)
        for best in (1, 0)
    )
    assert shifted.predict(800) == pytest.approx(law.predict(800) - 1)
    assert shifted.find_size(-0.05) == law.find_size(0.95)


def test_forms_of_the_answers():
    law = fit_power_law(100, 0.9, 50)
    assert np.ndim(law.predict(200)) == 0 and np.ndim(law.predict_gain(100, 5)) == 0
    assert law.predict([200]).shape == (1,)
    assert law.predict(200, return_interval=True)[1].shape == (2,)
    assert law.predict([200, 300], return_interval=True)[1].shape == (2, 2)
    assert isinstance(law.find_size(0.5), float)
    assert repr(law) == f"<PowerLaw: {law.predict(100):.3f} from 100 labels>"


@pytest.mark.parametrize(
    "arguments, message",
    [
        (([], [], 10), r"n_labels has shape \(0,\) and scores has shape \(0,\)"),
        (([1, 2], [0.5], 10), r"n_labels has shape \(2,\) and scores has shape \(1,\)"),
        (([1, 2], [0.5, 0.6], [1, 2, 3]), r"n_tested has shape \(3,\)"),
        (([0, 2], [0.5, 0.6], 10), r"n_labels=\[0, 2\] must be above 0"),
        ((["a"], [0.5], 10), r"n_labels=\['a'\] does not hold numbers"),
        (([1], [0.5], np.inf), "n_tested=inf must be above 0 and finite"),
        (([1, 2], [0.5, 1.5], 10), r"scores\[1\]=1.5 is not from 0 to 1"),
        (([1, 2], [np.nan, 0.5], 10), r"scores\[0\]=nan is not from 0 to 1"),
    ],
)
def test_bad_scores_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        fit_power_law(*arguments)


def test_bad_questions_are_named():
    law = fit_power_law([100], [0.9], 50)
    with pytest.raises(ValueError, match="score=1 must be above 0 and below 1"):
        law.find_size(1)
    with pytest.raises(ValueError, match="n_labels=-5 must be above 0"):
        law.predict(-5)
    with pytest.raises(ValueError, match="n_more=nan must be above 0"):
        law.predict_gain(100, np.nan)
