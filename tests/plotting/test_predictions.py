"""PredictionDisplay: what was read in each image."""

from functools import partial

import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.colors import to_hex
from matplotlib.text import Annotation
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from support.pictures import draw, find_faults

from skcaptcha.exceptions import ImageReadError
from skcaptcha.plotting import PredictionDisplay
from skcaptcha.plotting._predictions import RIGHT, WRONG
from skcaptcha.preprocessing import ImageResizer

pytestmark = pytest.mark.usefixtures("close_figures")


class Reader:
    def fit(self, X, y=None):
        return self

    def predict(self, X):
        return np.array(["ab"] * len(X), dtype=object)


class SureReader(Reader):
    def predict_confidence(self, X):
        return np.linspace(0, 1, len(X))


def gray_images(n, shape=(10, 30)):
    return [np.full(shape, 10 * i % 256, dtype=np.uint8) for i in range(n)]


def make(n, y_pred="ab", **options):
    """Draw some images of which the same was read."""
    return PredictionDisplay.from_predictions(gray_images(n), [y_pred] * n, **options)


def titles(display):
    return [ax.get_title(loc="left") for ax in display.axes_]


def title_artist(ax):
    return ax._left_title  # there is no public way to it


def notes(display):
    """Return the confidence that stands above each image."""
    artists = display.figure_.findobj(Annotation)
    return [artist for artist in artists if artist.get_text()]


def boxes(artists):
    return np.array([artist.get_window_extent().extents for artist in artists])


# Captions


def test_titles_say_what_was_read_and_whether_it_is_right():
    display = PredictionDisplay.from_predictions(
        gray_images(3), ["ab", "ax", ""], y_true=["ab", "ab", "ab"]
    )
    assert titles(display) == ["✓ ab", "✗ ax\n≠ ab", "✗ ''\n≠ ab"]
    colors = [to_hex(title_artist(ax).get_color()) for ax in display.axes_]
    assert colors == [RIGHT, WRONG, WRONG]


def test_without_true_texts_nothing_is_judged():
    display = PredictionDisplay.from_predictions(gray_images(2), ["ab", "ax"])
    assert titles(display) == ["ab", "ax"]
    color = title_artist(display.axes_[0]).get_color()
    assert to_hex(color) == to_hex(pyplot.rcParams["text.color"])


def test_texts_are_equal_by_what_they_say():
    display = PredictionDisplay.from_predictions(
        gray_images(2), ["caf\u00e9", "7"], y_true=["cafe\u0301", 7]
    )
    assert titles(display) == ["✓ caf\u00e9", "✓ 7"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("$a_b$", "$a_b$"),
        ("\\frac{}^%&#", "\\frac{}^%&#"),
        ("a b", "a b"),
        (" a", "' a'"),
        ("a\nb", r"'a\nb'"),
        ("a\u200bb", r"'a\u200bb'"),
        ("a\u4e2d", r"'a\u4e2d'"),  # which no font has
        ("", "''"),
    ],
)
def test_text_is_shown_as_it_is_or_quoted_where_it_could_not_be_seen(text, shown):
    assert draw(make(1, text).figure_)[0] == [shown]


def test_right_to_left_texts_leave_the_marks_where_they_are():
    hebrew = "\u05e9\u05dc\u05d5\u05dd"  # only the user's font has it
    display = make(1, hebrew, y_true=["ab"], confidence=[0.5])
    assert titles(display)[0].startswith("✗ ") and hebrew in titles(display)[0]
    assert find_faults(display.figure_) == []


@pytest.mark.parametrize("text", ["ab", "abcdefghij" * 3])
def test_confidence_is_small_and_beside_what_was_read(text):
    display = make(2, text, y_true=[text, "ab"], confidence=[0.984, 0.25])
    display.figure_.draw_without_rendering()
    for ax, note, shown in zip(
        display.axes_, notes(display), ["0.98", "0.25"], strict=True
    ):
        assert note.get_text() == shown
        assert note.get_fontsize() < title_artist(ax).get_fontsize()
        beside, above = boxes([note, title_artist(ax)])
        assert beside[0] > above[2]
        # On the first line of the two.
        assert beside[3] == pytest.approx(above[3], abs=4)


# Images


@pytest.mark.parametrize("shape", [(10, 30), (60, 20), (5, 200), (40, 40, 3)])
def test_images_keep_their_aspect(shape):
    images = [*gray_images(3), np.zeros(shape, dtype=np.uint8)]
    display = PredictionDisplay.from_predictions(images, ["ab"] * 4)
    display.figure_.draw_without_rendering()
    for ax, image in zip(display.axes_, images, strict=True):
        box = ax.get_window_extent()
        slope = image.shape[0] / image.shape[1]
        assert box.height / box.width == pytest.approx(slope, rel=0.02)


@pytest.mark.parametrize(
    ("preprocessed", "text"), [(False, "ab"), (False, "abcdefgh" * 3), (True, "abcde")]
)
@pytest.mark.parametrize(("n_images", "n_columns"), [(7, 1), (16, 4)])
@pytest.mark.parametrize("size", [None, (2, 1.5), (9, 2)])
def test_nothing_overlaps_or_leaves_the_figure(
    preprocessed, text, n_images, n_columns, size
):
    ax = None
    if size is not None:
        # Rounding to pixels would make small text wider.
        figure = pyplot.figure(figsize=size, dpi=300)
        ax = figure.add_axes((0.02, 0.02, 0.96, 0.96))
    display = make(
        n_images,
        text,
        y_true=[text if i % 3 else "cd" for i in range(n_images)],
        confidence=np.ones(n_images),
        preprocessed=gray_images(n_images, (32, 64)) if preprocessed else None,
        n_columns=n_columns,
        ax=ax,
    )
    assert find_faults(display.figure_) == []
    first = display.axes_[:, 0] if preprocessed else display.axes_
    artists = [*display.axes_.ravel(), *map(title_artist, first), *notes(display)]
    found = boxes(artists)
    low, high = found[:, :2], found[:, 2:]
    assert (low >= -1).all()
    assert (high <= display.figure_.bbox.extents[2:] + 1).all()
    # How far each two boxes lie in each other, in pixels, across and up.
    shared = np.minimum(high[:, None], high) - np.maximum(low[:, None], low)
    np.fill_diagonal(shared[:, :, 0], 0)
    assert shared.min(axis=2).max() <= 1.5


@pytest.mark.slow
def test_a_hundred_images_are_drawn_apart():
    y_true = ["ab" if i % 2 else "x" for i in range(100)]
    display = make(
        100, y_true=y_true, confidence=np.ones(100), n_columns=10, max_images=None
    )
    assert display.axes_.shape == (100,)
    assert find_faults(display.figure_) == []


def test_only_the_first_images_are_shown():
    X, y_pred = gray_images(20), [f"{i:02}" for i in range(20)]
    display = PredictionDisplay.from_predictions(X, y_pred)
    assert titles(display) == y_pred[:16]
    assert len(display.images) == len(display.y_pred) == 20
    assert titles(display.plot(max_images=3)) == y_pred[:3]
    assert len(display.plot(max_images=None).axes_) == 20


def test_pictures_are_the_images_row_by_row():
    images = [*gray_images(3), np.zeros((10, 30, 3))]  # which is gray as well
    display = PredictionDisplay.from_predictions(images, ["ab"] * 4, n_columns=2)
    for ax, image in zip(display.axes_, images[:3] + gray_images(1), strict=True):
        np.testing.assert_array_equal(ax.images[0].get_array(), image)
        assert ax.images[0].get_clim() == (0, 255)  # not stretched to full contrast
    left, bottom = boxes(display.axes_)[:, :2].round().T
    assert left[0] == left[2] < left[1] == left[3]
    assert bottom[0] == bottom[1] > bottom[2] == bottom[3]


def test_figure_grows_with_the_rows():
    one, two, three = (
        make(n, max_images=None).figure_.get_figheight() for n in (1, 5, 9)
    )
    assert three - two == pytest.approx(two - make(4).figure_.get_figheight())
    assert three > two > one


# From an estimator


def test_estimator_is_asked_for_texts_and_confidence():
    display = PredictionDisplay.from_estimator(
        SureReader(), gray_images(2), ["ab", "x"]
    )
    assert titles(display) == ["✓ ab", "✗ ab\n≠ x"]
    assert [note.get_text() for note in notes(display)] == ["0.00", "1.00"]
    display = PredictionDisplay.from_estimator(Reader(), gray_images(2))
    assert draw(display.figure_)[0] == ["ab", "ab"]


def test_images_are_drawn_on_the_background_of_the_estimator():
    reader = Reader()
    clear = np.zeros((10, 30, 4), dtype=np.uint8)
    assert (PredictionDisplay.from_estimator(reader, [clear]).images[0] == 255).all()
    reader.background = "black"
    assert (PredictionDisplay.from_estimator(reader, [clear]).images[0] == 0).all()


def test_predictions_are_drawn_on_the_background_that_is_given():
    clear = np.zeros((10, 30, 4), dtype=np.uint8)
    draw_on = partial(PredictionDisplay.from_predictions, [clear], ["a"])
    assert (draw_on(preprocessed=[clear]).images[0] == 255).all()
    display = draw_on(preprocessed=[clear], background="black")
    assert not display.images[0].any() and not display.preprocessed[0].any()


def test_preprocessed_images_stand_beside_the_originals():
    small = gray_images(3, (5, 15))
    display = make(3, confidence=[0.5] * 3, preprocessed=small)
    assert display.axes_.shape == (3, 2)
    display.figure_.draw_without_rendering()
    for pair, image, other in zip(display.axes_, gray_images(3), small, strict=True):
        for ax, expected in zip(pair, (image, other), strict=True):
            np.testing.assert_array_equal(ax.images[0].get_array(), expected)
        left, right = boxes(pair)
        assert left[2] < right[0]
        assert left[3] == pytest.approx(right[3])
    # Four images side by side are two samples.
    bottoms = boxes(display.axes_[:, 0])[:, 1].round()
    assert bottoms[0] == bottoms[1] > bottoms[2]


def test_of_a_pipeline_the_images_are_shown_as_its_steps_made_them():
    pipeline = make_pipeline(ImageResizer(height=8), SureReader())
    X = [np.full((16, 48), 255, dtype=np.uint8)] * 2
    display = PredictionDisplay.from_estimator(pipeline.fit(X), X, ["ab", "ab"])
    assert [image.shape for image in display.images] == [(16, 48)] * 2
    assert [image.shape for image in display.preprocessed] == [(8, 24)] * 2
    assert list(display.confidence) == [0, 1]  # which a pipeline does not pass on
    display = PredictionDisplay.from_estimator(pipeline, X, preprocessed=False)
    assert display.preprocessed is None


def test_a_recognizer_shows_what_its_network_sees_if_asked(fitted, captchas):
    images, texts = captchas[0][160:164], captchas[1][160:164]
    assert PredictionDisplay.from_estimator(fitted, images).preprocessed is None
    display = PredictionDisplay.from_estimator(fitted, images, texts, preprocessed=True)
    heights = {image.shape[0] for image in display.preprocessed}
    assert heights == {fitted.image_height_}
    assert list(display.y_pred) == list(fitted.predict(images))
    with pytest.raises(ValueError, match="preprocessed='yes' must be a bool or 'auto'"):
        PredictionDisplay.from_estimator(fitted, images, preprocessed="yes")


# Tables and series


def test_rows_of_a_table_are_drawn_as_images(some, quick):
    images, texts = some
    X = np.array([image.ravel() / 255.0 for image in images])
    recognizer = quick(X, image_shape=(16, 48))
    display = PredictionDisplay.from_estimator(
        recognizer, X[:4], texts[:4], preprocessed=True
    )
    low, high = 255 * X.min(), 255 * X.max()
    for shown, image in zip(display.images, images[:4], strict=True):
        np.testing.assert_allclose(shown, 255 * (image - low) / (high - low), atol=1)
    assert {image.shape[0] for image in display.preprocessed} == {16}


def test_rows_are_drawn_as_they_were_before_steps_that_scale_them(some, quick):
    X = np.array([image.ravel() for image in some[0]], dtype=float)
    recognizer = quick(-X, image_shape=(16, 48))
    pipeline = make_pipeline(FunctionTransformer(np.negative), recognizer)
    display = PredictionDisplay.from_estimator(pipeline, X[:4])
    assert (np.array(display.images) > 127).mean() > 0.5  # of dark text on white
    assert (np.array(display.preprocessed) > 127).mean() < 0.5


def test_a_table_that_no_fit_has_seen_is_refused(fitted):
    with pytest.raises(ValueError, match=r"X is a 2-D array.* fit was given images"):
        PredictionDisplay.from_estimator(fitted, np.ones((2, 768)))


def test_pandas_series_with_any_index_are_taken():
    pandas = pytest.importorskip("pandas")
    series = [gray_images(2), ["ab", "cd"], ["ab", "ef"], [0.5, 0.75]]
    X, read, true, sure = (pandas.Series(values, index=[7, 3]) for values in series)
    display = PredictionDisplay.from_predictions(X, read, y_true=true, confidence=sure)
    assert titles(display) == ["✓ ab", "✗ cd\n≠ ef"]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"y_pred": ["ab"]}, ValueError, "y_pred has 1 items and there are 2 images"),
        ({"y_true": ["ab"] * 3}, ValueError, "y_true has 3 items"),
        ({"y_true": ["ab", 1.5]}, TypeError, r"y_true\[1\]=1.5 is float, not str"),
        ({"y_pred": [None, "a"]}, TypeError, r"y_pred\[0\]=None"),
        ({"confidence": [0.5]}, ValueError, r"confidence has shape \(1,\) .* 2 images"),
        ({"confidence": [0.5, "a"]}, ValueError, "confidence=.* hold numbers alone"),
        ({"preprocessed": gray_images(1)}, ValueError, "preprocessed has 1 items"),
        ({"preprocessed": [b"", b""]}, ImageReadError, r"preprocessed\[0\]=<0 bytes"),
        ({"n_columns": 0}, ValueError, "n_columns=0 must be an int of at least 1"),
        ({"n_columns": 2.5}, ValueError, "n_columns=2.5"),
        ({"max_images": 0}, ValueError, "max_images=0"),
        ({"X": [], "y_pred": []}, ValueError, "images is empty"),
        ({"X": ["missing.png"] * 2}, FileNotFoundError, r"X\[0\]='missing.png'"),
        ({"X": [b"", b""]}, ImageReadError, r"X\[0\]=<0 bytes>"),
    ],
)
def test_bad_input_is_named(arguments, error, message):
    arguments = {"X": gray_images(2), "y_pred": ["ab", "cd"], **arguments}
    with pytest.raises(error, match=message):
        PredictionDisplay.from_predictions(**arguments)
    assert pyplot.get_fignums() == []
