"""What was reached, what more labels bring, and when to stop."""

import pytest

from skcaptcha._intervals import wilson_interval
from skcaptcha.labelling._progress import advise, fit_power_law, predict_score


def make_round(n_train, score, n_tested=1000):
    low, high = wilson_interval(score, n_tested)
    return {
        "n_labels": n_train,
        "n_train": n_train,
        "score": score,
        "n_tested": n_tested,
        "low": low,
        "high": high,
    }


# An error rate of 8 divided by the number of labels.
HALVING = [make_round(n, 1 - 8 / n) for n in (20, 40, 80, 160)]


def test_a_power_law_is_found_again():
    n_labels = [20, 40, 80, 160]
    (log_rate, exponent), _ = fit_power_law(
        n_labels, [800_000 / n for n in n_labels], [100_000] * 4
    )
    assert exponent == pytest.approx(-1, abs=0.01)
    assert log_rate == pytest.approx(2.08, abs=0.03)  # the logarithm of 8


def test_more_labels_are_never_said_to_harm():
    (_, exponent), _ = fit_power_law([10, 20, 40], [5, 10, 20], [100] * 3)
    assert exponent == 0


def test_the_score_of_more_labels_is_that_of_the_law_with_its_interval():
    score, low, high = predict_score(HALVING, 320)
    assert score == pytest.approx(1 - 8 / 320, abs=0.004)
    assert low < score < high <= 1
    few = [{**r, "n_tested": 30} for r in HALVING]
    assert predict_score(few, 320)[1] < low


def test_two_rounds_say_nothing_of_more_labels():
    assert predict_score(HALVING[:2], 100) is None
    found = advise(HALVING[:2], 100)
    assert found["expected"] is None and not found["stop"]
    assert "After three rounds" in found["next"]


def test_before_any_round_nothing_is_claimed():
    found = advise([], 100)
    assert not found["stop"]
    assert "Nothing has been tested yet" in found["now"]


def test_the_start_counts_as_what_is_read_now_but_not_for_the_law():
    rounds = [make_round(0, 0.7), *HALVING]
    assert predict_score(rounds, 320) == predict_score(HALVING, 320)
    assert "70 %" in advise(rounds[:1], 9)["now"]


def test_it_says_what_a_hundred_more_would_bring():
    found = advise(HALVING, 100)
    assert not found["stop"]
    gain = 100 * (8 / 160 - 8 / 260)
    assert f"would probably bring {gain:.1f} points" in found["next"]
    assert "It reads 95 % of the images" in found["now"]


def test_it_says_stop_where_a_hundred_more_bring_next_to_nothing():
    rounds = [make_round(n, s) for n, s in [(100, 0.97), (200, 0.971), (400, 0.972)]]
    found = advise(rounds, 100)
    assert found["stop"]
    assert found["next"].startswith("You can stop: a hundred more labels")


def test_it_does_not_say_stop_upon_a_few_images():
    rounds = [make_round(n, 1.0, n_tested=8) for n in (30, 60, 90)]
    found = advise(rounds, 100)
    assert not found["stop"]
    assert "Too few images are tested" in found["next"]


def test_it_says_stop_where_no_image_is_left():
    found = advise(HALVING, 0)
    assert found["stop"] and "Every image has an answer" in found["next"]
