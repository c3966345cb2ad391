"""ConfidenceDisplay: reliability, and risk against coverage."""

import numpy as np
import pytest
from matplotlib import pyplot
from support.pictures import find_faults

from skcaptcha.plotting import ConfidenceDisplay

pytestmark = pytest.mark.usefixtures("close_figures")


def make(is_right, confidence, **options):
    y_pred = ["a" if right else "b" for right in is_right]
    y_true = ["a"] * len(y_pred)
    return ConfidenceDisplay.from_predictions(y_true, y_pred, confidence, **options)


def make_random(n_samples):
    """Whether texts are right, and a confidence that can be believed."""
    rng = np.random.default_rng(0)
    confidence = rng.beta(4, 0.5, n_samples)
    return rng.random(n_samples) < confidence, confidence


def test_empty_bins_have_no_point():
    display = make([1, 0], [0.1, 0.9], n_bins=5, kind="reliability")
    _, line = display.axes_[0].lines  # after the diagonal
    assert line.get_xydata().tolist() == [[0.1, 1], [0.9, 0]]
    shares = [bar.get_height() for bar in display.axes_[0].patches]
    assert shares == [0.5, 0, 0, 0, 0.5]


def test_headings_say_what_the_curves_come_to():
    display = make([1, 1, 0, 1], [0.9, 0.8, 0.7, 0.2])
    headings = [ax.get_title(loc="left") for ax in display.axes_]
    assert headings == [
        "Exact match 0.750 (0.301 to 0.954), mean confidence 0.650",
        "No error among the surest 50.0%",
    ]


def test_thresholds_are_drawn_by_the_scale_at_the_right():
    ax = make([1, 0], [0.9, 0.5], kind="risk_coverage").ax_
    risk, threshold = ax.lines
    assert risk.get_xydata().tolist() == [[0.5, 0], [1, 0.5]]
    (scale,) = ax.child_axes
    ax.figure.draw_without_rendering()
    # Where a threshold is drawn, the right scale says it.
    heights = ax.transData.transform(threshold.get_xydata())[:, 1]
    expected = scale.transData.transform([[0, 0.9], [0, 0.5]])[:, 1]
    assert heights == pytest.approx(expected)


def test_either_or_both_are_drawn():
    display = make(*make_random(100))
    assert display.axes_.shape == (2,) and display.ax_ not in display.axes_
    for kind in ("reliability", "risk_coverage"):
        assert display.plot(kind=kind).axes_.tolist() == [display.ax_]


def test_both_stand_one_above_the_other_in_high_axes():
    _, (wide, high) = pyplot.subplots(1, 2, width_ratios=[3, 1], figsize=(12, 4))
    data = make_random(100)
    left, right = make(*data, ax=wide).axes_
    assert left.get_position().x1 < right.get_position().x0
    above, below = make(*data, ax=high).axes_
    assert above.get_position().y0 > below.get_position().y1


@pytest.mark.parametrize("kind", ["both", "reliability", "risk_coverage"])
@pytest.mark.parametrize(
    ("is_right", "confidence"),
    [
        ([True], [0.5]),
        ([True] * 9, np.linspace(0, 1, 9)),
        ([False] * 9, np.linspace(0, 1, 9)),
        make_random(10_000),
        ([True, False], [1 + 1e-9, 0.0]),  # as sums of probabilities are rounded
    ],
    ids=["one", "right", "wrong", "many", "rounded"],
)
def test_extremes_are_drawn(is_right, confidence, kind):
    display = make(is_right, confidence, kind=kind, title="Confidence")
    assert find_faults(display.figure_) == []
    assert 0 <= display.risk[-1] <= 1


def test_a_recognizer_gives_its_confidence(fitted, captchas):
    images, texts = captchas[0][160:], captchas[1][160:]
    display = ConfidenceDisplay.from_estimator(fitted, images, texts, n_bins=3)
    expected = np.unique(fitted.predict_confidence(images).clip(max=1))[::-1]
    np.testing.assert_allclose(display.thresholds, expected)
    assert display.risk[-1] == pytest.approx(1 - fitted.score(images, texts))
    assert len(display.counts) == 3


def test_an_estimator_without_confidence_is_named():
    class Reader:
        def predict(self, X):
            return ["ab"] * len(X)

    with pytest.raises(TypeError, match="Reader has no predict_confidence; pass a fit"):
        ConfidenceDisplay.from_estimator(Reader(), np.zeros((1, 5, 9)), ["ab"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"confidence": [0.5]}, r"confidence has shape \(1,\) and there are 2 texts"),
        ({"confidence": [0.5, 1.5]}, r"confidence\[1\]=1.5 is not from 0 to 1"),
        ({"confidence": [np.nan, 1]}, r"confidence\[0\] is NaN, as for an image that"),
        ({"confidence": ["high", "low"]}, "confidence=.* does not hold numbers alone"),
        ({"y_pred": ["a"]}, "y_true has 2 texts and y_pred has 1"),
        ({"n_bins": 0}, "n_bins=0 must be an int of at least 1"),
        ({"strategy": "kmeans"}, "strategy='kmeans' must be 'uniform' or 'quantile'"),
        ({"kind": "roc"}, "kind='roc' is none of 'both', 'reliability', 'risk_cov"),
    ],
)
def test_bad_input_is_named(arguments, message):
    valid = {"y_true": ["a", "b"], "y_pred": ["a", "c"], "confidence": [0.9, 0.1]}
    with pytest.raises(ValueError, match=message):
        ConfidenceDisplay.from_predictions(**{**valid, **arguments})
    assert pyplot.get_fignums() == []
