"""What all displays have in common: axes, sizes, black and white, fonts."""

import re
import sys

import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from support.pictures import draw, find_faults

import skcaptcha.plotting
from skcaptcha import CaptchaRecognizer
from skcaptcha.inspection import fit_power_law
from skcaptcha.plotting import (
    AlignmentDisplay,
    CharacterConfusionDisplay,
    ConfidenceDisplay,
    LabelCurveDisplay,
    LabelIssuesDisplay,
    PredictionDisplay,
    SamplesDisplay,
    TrainingCurveDisplay,
)

pytestmark = pytest.mark.usefixtures("close_figures")

IMAGES = [np.full((20, 60), 10 * i, dtype=np.uint8) for i in range(6)]
TRUE, READ = ["2b827", "x38fn", "mm4x"] * 2, ["2b827", "x88f", "m44xx"] * 2
SURE = [0.99, 0.6, 0.3, 0.9, 0.5, 0.1]
PROBA = np.full((20, 4), 0.01)
PROBA[:, 0] = 0.97
PROBA[4], PROBA[12] = [0.1, 0.88, 0.01, 0.01], [0.1, 0.01, 0.88, 0.01]
SIZES, GROWN = np.array([50, 100, 200]), np.array([[0.6, 0.7], [0.8, 0.9], [0.92, 0.9]])
LOSSES, SCORES = np.geomspace(3, 0.01, 40), np.linspace(0, 1, 40)
MAKERS = {
    "AlignmentDisplay": lambda **options: AlignmentDisplay.from_predictions(
        IMAGES[3], np.log(PROBA), "abc", y_true="ab", **options
    ),
    "CharacterConfusionDisplay": lambda **options: (
        CharacterConfusionDisplay.from_predictions(TRUE, READ, **options)
    ),
    "ConfidenceDisplay": lambda **options: ConfidenceDisplay.from_predictions(
        TRUE, READ, SURE, **options
    ),
    "LabelCurveDisplay": lambda **options: LabelCurveDisplay(
        SIZES,
        GROWN,
        power_law=fit_power_law(np.repeat(SIZES, 2), GROWN.ravel(), 100),
        estimate_sizes=[250, 500, 1000],
    ).plot(**options),
    "LabelIssuesDisplay": lambda **options: LabelIssuesDisplay(
        IMAGES, TRUE, READ, confidence=SURE, is_likely_wrong=[True, False] * 3
    ).plot(**options),
    "PredictionDisplay": lambda **options: PredictionDisplay.from_predictions(
        IMAGES, READ, y_true=TRUE, confidence=SURE, **options
    ),
    "SamplesDisplay": lambda **options: SamplesDisplay.from_samples(
        IMAGES, TRUE, **options
    ),
    "TrainingCurveDisplay": lambda **options: TrainingCurveDisplay(
        LOSSES, validation_scores=SCORES, learning_rate_curve=[0.0015] * 40
    ).plot(**options),
}


@pytest.fixture(params=sorted(MAKERS))
def make(request):
    """Function that draws a display, on `ax` and with a `title`."""
    return MAKERS[request.param]


def test_every_display_is_tried():
    assert sorted(MAKERS) == sorted(skcaptcha.plotting.__all__)


def list_axes(display):
    """Return the axes that a display has drawn on."""
    return list(display.axes_) if hasattr(display, "axes_") else [display.ax_]


# Axes


def test_without_axes_there_is_one_new_figure(make):
    display = make(title="A title")
    assert pyplot.get_fignums() == [display.figure_.number]
    assert "A title" in "\n".join(draw(display.figure_)[0])
    assert find_faults(display.figure_) == []


@pytest.mark.parametrize("layout", [None, "constrained", "compressed", "tight"])
def test_axes_of_the_caller_are_drawn_on(make, layout):
    figure, axes = pyplot.subplots(2, 2, figsize=(9, 7), layout=layout)
    display = make(ax=axes[0, 1], title="Mine")
    assert display.figure_ is figure
    assert pyplot.get_fignums() == [figure.number]
    assert type(figure.get_layout_engine()) is type(
        pyplot.figure(layout=layout).get_layout_engine()
    )
    texts, boxes = draw(figure)
    [box] = [box for text, box in zip(texts, boxes, strict=True) if "Mine" in text]
    assert box[0] > axes[0, 0].bbox.x1
    for ax in list_axes(display):
        assert ax.figure is figure
        assert ax.get_window_extent().x0 > axes[0, 0].bbox.x1
        assert ax.get_window_extent().y0 > axes[1, 0].bbox.y1
    if layout is not None:
        assert find_faults(figure) == []
    # The axes beside have not been touched.
    for ax in (axes[0, 0], *axes[1]):
        assert ax.axison and not (ax.lines or ax.images or ax.child_axes)


def test_axes_at_any_place_are_drawn_on(make):
    figure = pyplot.figure(figsize=(8, 8))
    display = make(ax=figure.add_axes((0.4, 0.4, 0.55, 0.5)))
    assert find_faults(figure) == []
    assert all(ax.get_window_extent().x0 > 300 for ax in list_axes(display))


def test_a_figure_that_pyplot_knows_nothing_of_stays_so(make):
    ax = Figure(layout="constrained").subplots()
    assert make(ax=ax).figure_ is ax.figure
    assert pyplot.get_fignums() == []


def test_subfigures_are_taken(make):
    figure = pyplot.figure(layout="constrained")
    ax = figure.subfigures(1, 2)[1].subplots()
    assert make(ax=ax).figure_ is ax.figure
    assert find_faults(figure) == []


@pytest.mark.parametrize("ax", ["axes", pyplot.subplots])
def test_what_is_no_axes_is_named(make, ax):
    message = re.escape(f"ax={ax!r} is {type(ax).__name__}; pass one")
    with pytest.raises(TypeError, match=message):
        make(ax=ax)
    assert pyplot.get_fignums() == []


def test_options_that_plot_does_not_have_are_refused(make):
    with pytest.raises(TypeError, match="unexpected keyword argument 'colour'"):
        make(colour="red")


def test_missing_matplotlib_is_named_with_the_remedy(make, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r'pip install "skcaptcha\[plot\]"'):
        make()


@pytest.mark.parametrize(
    "display",
    [AlignmentDisplay, CharacterConfusionDisplay, ConfidenceDisplay]
    + [PredictionDisplay],
)
def test_the_network_runs_once(display, fitted, captchas, monkeypatch):
    runs = []
    iter_frames = CaptchaRecognizer.iter_frames
    monkeypatch.setattr(
        CaptchaRecognizer,
        "iter_frames",
        lambda self, X, **options: runs.append(X) or iter_frames(self, X, **options),
    )
    display.from_estimator(fitted, captchas[0][160:164], captchas[1][160:164])
    assert len(runs) == 1


# Sizes


@pytest.mark.parametrize("size", [(2.5, 2), (4, 3), (8, 2.5), (3, 7), (10, 6)])
def test_texts_stand_apart_and_inside_at_any_size(make, size):
    _, ax = pyplot.subplots(figsize=size, layout="constrained")
    assert find_faults(make(ax=ax, title="A title").figure_) == []


@pytest.mark.parametrize("size", [(3, 2), (6.4, 4.8)])
def test_default_margins_are_enough(make, size):
    _, ax = pyplot.subplots(figsize=size)
    assert find_faults(make(ax=ax, title="A title").figure_) == []


# Black and white, and fonts


def test_lines_of_one_picture_differ_without_color(make):
    for ax in list_axes(make()):
        looks = set()
        for line in ax.lines:
            gray = round(np.dot((0.299, 0.587, 0.114), to_rgb(line.get_color())), 1)
            size = round(line.get_linewidth(), 1)
            look = (gray, line.get_linestyle(), line.get_marker(), size)
            looks.add((look, line.get_color()))
        # No two kinds of line are told apart by their color alone.
        assert len({look for look, _ in looks}) == len(looks)


def test_shades_get_darker_throughout(make):
    for ax in list_axes(make()):
        for image in ax.images:
            levels = image.get_cmap()(np.linspace(0, 1, 20))[:, :3]
            assert np.ptp(levels, axis=1).max() < 0.03  # gray
            steps = np.diff(levels.mean(axis=1))
            assert (steps <= 0).all() or (steps >= 0).all()


def test_marks_are_seen_on_dark_styles_too(make):
    with pyplot.style.context("dark_background"):
        for ax in list_axes(make()):
            assert ax.images or ax.get_facecolor() == (1, 1, 1, 1)


@pytest.mark.parametrize(
    ("title", "drawn"), [("\u4e2d $x_1", "U+4E2D $x_1"), ("\\frac{$}^%&#", None)]
)
def test_titles_are_drawn_literally_and_spelled_where_no_font_has_them(
    make, title, drawn
):
    assert (drawn or title) in "\n".join(draw(make(title=title).figure_)[0])


def test_a_long_title_shrinks(make):
    assert find_faults(make(title="A title that is long, " * 8).figure_) == []


def test_one_image_in_place_of_a_list_is_refused(fitted):
    color = np.stack([np.tile(np.arange(60, dtype=np.uint8), (20, 1))] * 3, axis=2)
    calls = [
        lambda X: AlignmentDisplay.from_estimator(fitted, X, index=2),
        lambda X: CharacterConfusionDisplay.from_estimator(fitted, X, TRUE),
        lambda X: ConfidenceDisplay.from_estimator(fitted, X, TRUE),
        lambda X: PredictionDisplay.from_estimator(fitted, X),
        lambda X: PredictionDisplay.from_predictions(X, ["a"] * 20),
        lambda X: PredictionDisplay(X, ["a"] * 20).plot(),
        lambda X: SamplesDisplay.from_samples(X),
        lambda X: SamplesDisplay(X).plot(),
        lambda X: LabelIssuesDisplay(X, ["a"] * 20, ["b"] * 20).plot(),
    ]
    for call in calls:
        for single in (color, color.transpose(2, 0, 1)):
            with pytest.raises(TypeError, match="a single image; put it into a list"):
                call(single)
    for call in calls[:4]:
        with pytest.raises(ValueError, match=r"put it into a list: \[X\]"):
            call(color[:, :, 0])
