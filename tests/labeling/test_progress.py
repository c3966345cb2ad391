"""What was reached, what more labels bring, and when to stop."""

import pytest

from skcaptcha._intervals import wilson_interval
from skcaptcha.labeling._progress import advise, predict_gain


def make_round(n_labels, score, n_tested=1000):
    low, high = wilson_interval(score, n_tested)
    return {
        "n_labels": n_labels,
        "score": score,
        "n_tested": n_tested,
        "low": low,
        "high": high,
    }


# An error rate of 8 divided by the number of labels.
FALLING = [make_round(n, 1 - 8 / n) for n in (20, 40, 80, 160)]
FLAT = [make_round(n, s) for n, s in [(100, 0.97), (200, 0.971), (400, 0.972)]]


def test_the_gain_of_a_hundred_more_is_that_of_the_law():
    found = predict_gain(FALLING)
    gain, low, high = found["gain"]
    assert gain == pytest.approx(8 / 160 - 8 / 260, abs=0.006)
    assert low < gain < high
    assert found["score"][0] == pytest.approx(1 - 8 / 260, abs=0.01)


def test_two_rounds_say_nothing_of_more_labels():
    assert predict_gain(FALLING[:2]) is None
    found = advise(FALLING[:2], 100)
    assert found["expected"] is None and not found["stop"]
    assert "After three rounds" in found["next"]


def test_before_any_round_nothing_is_claimed():
    found = advise([], 100)
    assert not found["stop"]
    assert "Nothing has been tested yet" in found["now"]


def test_the_start_counts_as_what_is_read_now_but_not_for_the_law():
    rounds = [make_round(0, 0.7), *FALLING]
    assert predict_gain(rounds) == predict_gain(FALLING)
    assert "It reads 70 % of" in advise(rounds[:1], 9)["now"]


def test_it_says_what_a_hundred_more_would_bring():
    found = advise(FALLING, 100)
    assert not found["stop"]
    gain, low, high = (100 * value for value in found["expected"]["gain"])
    assert f"bring {gain:.1f} points ({low:.1f} to {high:.1f})" in found["next"]
    assert "It reads 95 % of the images" in found["now"]


def test_the_estimate_is_not_below_what_is_read_now():
    assert ", to 96 %." in advise(FALLING, 100)["next"]
    rounds = [
        make_round(50, 0.8, 20),
        make_round(75, 0.9, 25),
        make_round(100, 1.0, 31),
    ]
    said = advise(rounds, 100)["next"]
    assert "points (" in said and ", to " not in said


def test_nearly_all_are_not_called_all():
    assert "99 %" in advise([make_round(50, 0.999)], 9)["now"]


def test_it_says_stop_where_a_hundred_more_bring_next_to_nothing():
    assert advise(FLAT, 100)["stop"]


def test_it_does_not_say_stop_upon_a_few_images():
    rounds = [make_round(n, 1.0, n_tested=8) for n in (300, 600, 900)]
    found = advise(rounds, 100)
    assert not found["stop"]
    assert "Too few images are tested" in found["next"]


def test_it_says_stop_where_no_image_is_left():
    found = advise(FALLING, 0)
    assert found["stop"] and "Every image has an answer" in found["next"]


def test_it_does_not_say_done_where_images_are_skipped_or_labels_too_few():
    found = advise(FALLING, 0, n_skipped=2, n_labeled=90)
    assert found["stop"] and "2 images skipped" in found["next"]
    found = advise([], 0, n_skipped=2, n_labeled=1)
    assert not found["stop"]
    assert "1 label of 8 that it takes to learn. Answer those that" in found["next"]
    assert "Add images" in advise([], 0, n_labeled=0)["next"]
