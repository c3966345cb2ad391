"""LabelCurveDisplay: what was measured, and what is estimated."""

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from support.data import TINY
from support.pictures import draw, find_faults

from skcaptcha import CaptchaRecognizer
from skcaptcha.inspection import fit_power_law, label_curve
from skcaptcha.plotting import LabelCurveDisplay

pytestmark = pytest.mark.usefixtures("close_figures")

SIZES = np.array([50, 100, 200])


def make(scores, *, sizes=SIZES, marked=(250, 500), **options):
    scores = np.asarray(scores)
    law = fit_power_law(np.repeat(sizes, scores.shape[1]), scores.ravel(), 100)
    display = LabelCurveDisplay(sizes, scores, power_law=law, estimate_sizes=marked)
    return display.plot(**options)


def test_means_dots_estimates_and_their_interval_are_drawn():
    scores = np.array([[0.6, 0.7], [0.8, 0.9], [0.92, 0.9]])
    display = make(scores)
    measured, beyond, marks, dots, means = display.ax_.lines
    np.testing.assert_allclose(
        means.get_xydata(), [[50, 0.65], [100, 0.85], [200, 0.91]]
    )
    assert sorted(dots.get_ydata()) == sorted(scores.ravel())
    law = display.power_law
    assert marks.get_xydata().tolist() == [[n, law.predict(n)] for n in (250, 500)]
    assert measured.get_xdata()[[0, -1]] == pytest.approx([50, 200])
    assert beyond.get_xdata()[[0, -1]] == pytest.approx([200, 500])
    (area,) = display.ax_.collections
    low, high = law.predict(500, return_interval=True)[1]
    edge = area.get_paths()[0].vertices
    edge = edge[np.isclose(edge[:, 0], 500)][:, 1]
    assert (edge.min(), edge.max()) == pytest.approx((low, high))
    texts = draw(display.figure_)[0]
    heading = f"Estimate: {law.predict(250):.3f} from 250, {law.predict(500):.3f} from"
    assert any(text.startswith(heading) for text in texts)
    assert {"Labels", "Exact match"} <= set(texts)


def test_a_single_repeat_has_no_dots():
    assert len(make([[0.6], [0.8], [0.9]]).ax_.lines) == 4


@pytest.mark.parametrize("sizes", [(2, 3), (10, 100_000), (100, 100)])
@pytest.mark.parametrize("figsize", [(2.5, 2), (10, 4)])
def test_any_numbers_of_labels_are_told_apart(sizes, figsize):
    from matplotlib import pyplot

    _, ax = pyplot.subplots(figsize=figsize, layout="constrained")
    marked = [4 * max(sizes), 8 * max(sizes)]
    display = make([[0.1], [0.9]], sizes=np.array(sizes), marked=marked, ax=ax)
    assert find_faults(display.figure_) == []
    ticks = [t for t in draw(display.figure_)[0] if t.replace("e+", "").isdecimal()]
    assert len(ticks) >= 2


def test_an_estimator_is_fitted_and_its_results_drawn(captchas):
    X, y = captchas[0][:24], captchas[1][:24]
    recognizer = CaptchaRecognizer(**{**TINY, "max_iter": 1})
    options = {"train_sizes": [8, 16], "random_state": 0}
    with pytest.warns(ConvergenceWarning):
        display = LabelCurveDisplay.from_estimator(
            recognizer, X, y, scoring="character_accuracy", **options
        )
    assert display.ax_.get_ylabel() == "Character accuracy"
    with pytest.warns(ConvergenceWarning):
        found = label_curve(recognizer, X, y, **options)
    again = LabelCurveDisplay.from_results(found, title="Mine")
    assert again.ax_.get_ylabel() == "Exact match"
    assert again.train_sizes.tolist() == [8, 16]
    assert again.estimate_sizes.tolist() == [24, 48, 96]


def test_what_does_not_fit_together_is_named():
    law = fit_power_law(SIZES, [0.6, 0.8, 0.9], 100)
    for scores in ([0.6, 0.8, 0.9], [[0.6], [0.8]], [[], [], []]):
        display = LabelCurveDisplay(SIZES, scores, power_law=law, estimate_sizes=[500])
        with pytest.raises(ValueError, match="test_scores has shape .* 3 train_sizes"):
            display.plot()
