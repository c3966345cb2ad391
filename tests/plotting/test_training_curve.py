"""TrainingCurveDisplay: how a fit went."""

import copy

import numpy as np
import pytest
from matplotlib import pyplot
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from support.pictures import draw

from skcaptcha import CaptchaRecognizer
from skcaptcha.plotting import TrainingCurveDisplay
from skcaptcha.preprocessing import GrayscaleConverter

pytestmark = pytest.mark.usefixtures("close_figures")

LOSSES, SCORES, RATES = [3.0, 1.0, 0.1, 0.2], [0, 0.5, 0.9, 0.9], [3e-3, 3e-3, 1e-3, 0]


def make(losses=LOSSES, **curves):
    return TrainingCurveDisplay(losses, **curves).plot()


def curves(display):
    """Return the points of the curve in each of the axes."""
    return [ax.lines[0].get_xydata().tolist() for ax in display.axes_]


def headings(display):
    return [ax.get_title(loc="left") for ax in display.axes_]


def test_each_curve_is_drawn_over_its_epochs():
    display = make(validation_scores=SCORES, learning_rate_curve=RATES)
    assert curves(display) == [
        [[epoch, value] for epoch, value in enumerate(curve, 1)]
        for curve in (LOSSES, SCORES, RATES)
    ]
    bottoms = [ax.get_position().y0 for ax in display.axes_]
    assert bottoms == sorted(bottoms, reverse=True)


def test_the_best_epoch_is_the_last_one_of_the_greatest_score():
    display = make(validation_scores=SCORES)
    assert display.best_epoch_ == 4
    assert (
        headings(display)[1] == "Exact match on held-out images (best: 0.9 in epoch 4)"
    )
    for ax in display.axes_:
        assert [4, 4] in [list(line.get_xdata()) for line in ax.lines]


def test_without_scores_the_best_epoch_has_the_least_loss():
    display = make([3.0, np.nan, 0.1, 0.2])
    assert display.best_epoch_ == 3
    assert headings(display) == ["Loss a character (lowest: 0.1 in epoch 3)"]
    assert display.axes_[0].get_yscale() == "log"  # as it falls to a tenth and less
    assert make([3, 2]).axes_[0].get_yscale() == "linear"


def test_scores_of_a_later_fit_stand_at_the_last_epochs():
    display = make(validation_scores=[0.7, 0.6])
    assert curves(display)[1] == [[3, 0.7], [4, 0.6]]
    assert display.best_epoch_ == 3


def test_a_given_best_epoch_is_marked():
    display = make(validation_scores=SCORES, best_epoch=2)
    assert display.best_epoch_ == 2
    assert "(best: 0.5 in epoch 2)" in headings(display)[1]


def test_learning_rates_that_are_not_known_are_left_out():
    assert len(make(learning_rate_curve=[np.nan] * 4).axes_) == 1
    display = make(learning_rate_curve=[np.nan, np.nan, 1e-3, 0])
    assert headings(display)[1:] == ["Learning rate"]


def test_a_single_epoch_is_a_point_at_a_whole_number():
    display = make([2.5], validation_scores=[0.0])
    assert display.axes_[0].lines[0].get_marker() == "."
    assert "1" in draw(display.figure_)[0]
    ticks = [label.get_text() for label in display.axes_[-1].get_xticklabels()]
    assert all("." not in tick for tick in ticks)


def test_a_fitted_recognizer_shows_its_curves(fitted):
    display = TrainingCurveDisplay.from_estimator(fitted)
    assert display.loss_curve == fitted.loss_curve_
    assert display.learning_rate_curve == fitted.learning_rate_curve_
    assert display.validation_scores is None
    assert len(display.axes_) == 2
    pipeline = make_pipeline(GrayscaleConverter(), fitted)
    display = TrainingCurveDisplay.from_estimator(pipeline)
    assert display.loss_curve is fitted.loss_curve_


def test_scores_from_before_a_new_start_are_not_the_best(fitted):
    restarted = copy.deepcopy(fitted)
    restarted.validation_scores_ = [0.4, 0.9, 0.4, 0.0]
    restarted.best_validation_score_ = 0.4  # since the weights were drawn anew
    display = TrainingCurveDisplay.from_estimator(restarted)
    assert display.best_epoch_ == restarted.n_iter_ - 1


def test_without_a_best_score_there_is_no_best_epoch(fitted):
    reader = copy.copy(fitted)
    n = len(reader.loss_curve_)
    reader.validation_scores_ = [0.1] * n
    reader.best_validation_score_ = None  # interrupted right after a new start
    display = TrainingCurveDisplay.from_estimator(reader)
    assert len(display.axes_) == 3 and display.best_epoch is None


def test_an_estimator_of_an_earlier_version_has_no_learning_rate(fitted):
    old = copy.deepcopy(fitted)
    del old.learning_rate_curve_
    assert len(TrainingCurveDisplay.from_estimator(old).axes_) == 1


def test_an_estimator_without_a_curve_is_named():
    with pytest.raises(NotFittedError):
        TrainingCurveDisplay.from_estimator(CaptchaRecognizer())
    with pytest.raises(TypeError, match="GrayscaleConverter has no loss_curve_; pass"):
        TrainingCurveDisplay.from_estimator(GrayscaleConverter())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"losses": []}, r"loss_curve has shape \(0,\); pass .* at least one"),
        ({"losses": [[1.0]]}, r"loss_curve has shape \(1, 1\)"),
        ({"losses": ["low"]}, "loss_curve=.'low'. does not hold numbers alone"),
        ({"validation_scores": [1.0] * 5}, "validation_scores has 5 items .* 4 epochs"),
        ({"learning_rate_curve": [1.0]}, "learning_rate_curve has shape .* 4 epochs"),
        ({"best_epoch": 5}, "best_epoch=5 is not one of the epochs; .* from 1 to 4"),
        ({"best_epoch": 0}, "best_epoch=0"),
        ({"best_epoch": 1.5}, "best_epoch=1.5"),
    ],
)
def test_bad_curves_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        make(**arguments)
    assert pyplot.get_fignums() == []
