"""PredictionDisplay: what was read in each image."""

import matplotlib
import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.colors import to_hex
from PIL import Image
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
    return [np.full(shape, 10 * i, dtype=np.uint8) for i in range(n)]


def title(ax):
    return ax.get_title(loc="left")


def title_color(ax):
    return to_hex(title_artist(ax).get_color())


def title_artist(ax):
    return ax._left_title  # there is no public way to it


def test_titles_say_what_was_read_and_whether_it_is_right():
    display = PredictionDisplay.from_predictions(
        gray_images(3), ["ab", "ax", ""], y_true=["ab", "ab", "ab"]
    )
    assert [title(ax) for ax in display.axes_] == ["✓ ab", "✗ ax\n≠ ab", "✗ ''\n≠ ab"]
    assert [title_color(ax) for ax in display.axes_] == [RIGHT, WRONG, WRONG]


def test_without_true_texts_nothing_is_judged():
    display = PredictionDisplay.from_predictions(gray_images(2), ["ab", "ax"])
    assert [title(ax) for ax in display.axes_] == ["ab", "ax"]
    assert title_color(display.axes_[0]) == to_hex(pyplot.rcParams["text.color"])


def test_two_spellings_of_an_accented_letter_are_equal():
    display = PredictionDisplay.from_predictions(
        gray_images(1), ["caf\u00e9"], y_true=["cafe\u0301"]
    )
    assert title(display.axes_[0]).startswith("✓")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("$a_b$", "$a_b$"),
        ("a b", "a b"),
        (" a", "' a'"),
        ("a\nb", r"'a\nb'"),
        ("a\u200bb", r"'a\u200bb'"),
        ("", "''"),
    ],
)
def test_text_is_shown_as_it_is_or_quoted_where_it_could_not_be_seen(text, shown):
    display = PredictionDisplay.from_predictions(gray_images(1), [text])
    assert title(display.axes_[0]) == shown
    assert not title_artist(display.axes_[0]).get_parse_math()


@pytest.mark.parametrize("text", ["$", "$$", "a_b$c_$", "\\frac{$", "{}^%&#"])
def test_markup_is_drawn_literally(text):
    display = PredictionDisplay.from_predictions(
        gray_images(1), [text], y_true=["x"], title=text
    )
    assert text in draw(display.figure_)[0]


def test_confidence_is_small_and_beside_what_was_read():
    display = PredictionDisplay.from_predictions(
        gray_images(2), ["ab", "cd"], y_true=["ab", "ab"], confidence=[0.984, 0.25]
    )
    display.figure_.draw_without_rendering()
    for ax, shown in zip(display.axes_, ["0.98", "0.25"], strict=True):
        (confidence,) = display.figure_.findobj(
            lambda artist, shown=shown: (
                isinstance(artist, matplotlib.text.Text) and artist.get_text() == shown
            )
        )
        assert confidence.get_fontsize() < title_artist(ax).get_fontsize()
        beside, text = confidence.get_window_extent(), ax._left_title
        assert beside.x0 > text.get_window_extent().x1
        # On the first line of the two.
        assert beside.y1 == pytest.approx(text.get_window_extent().y1, abs=4)


@pytest.mark.parametrize("shape", [(10, 30), (60, 20), (5, 200), (40, 40, 3)])
def test_images_keep_their_aspect(shape):
    images = [*gray_images(3), np.zeros(shape, dtype=np.uint8)]
    display = PredictionDisplay.from_predictions(images, ["ab"] * 4)
    display.figure_.draw_without_rendering()
    for ax, image in zip(display.axes_, images, strict=True):
        box = ax.get_window_extent()
        slope = image.shape[0] / image.shape[1]
        assert box.height / box.width == pytest.approx(slope, rel=0.02)


@pytest.mark.parametrize("n_images", [1, 7, 16])
@pytest.mark.parametrize("n_columns", [1, 4])
@pytest.mark.parametrize("text", ["ab", "abcdefgh" * 3])
@pytest.mark.parametrize("size", [None, (2, 1.5), (9, 2), (2, 9)])
def test_nothing_overlaps_or_leaves_the_figure(n_images, n_columns, text, size):
    ax = None
    if size is not None:
        # Rounding to pixels would make small text wider.
        figure = pyplot.figure(figsize=size, dpi=300)
        ax = figure.add_axes((0.02, 0.02, 0.96, 0.96))
    rng = np.random.default_rng(0)
    display = PredictionDisplay.from_predictions(
        gray_images(n_images, (20, 50)),
        [text] * n_images,
        y_true=[text if right else "cd" for right in rng.integers(2, size=n_images)],
        confidence=np.ones(n_images),
        n_columns=n_columns,
        ax=ax,
    )
    display.figure_.draw_without_rendering()
    artists = [title_artist(ax) for ax in display.axes_]
    artists += display.figure_.findobj(
        lambda a: isinstance(a, matplotlib.text.Annotation) and a.get_text()
    )
    artists += list(display.axes_)
    boxes = np.array([artist.get_window_extent().extents for artist in artists])
    low, high = boxes[:, :2], boxes[:, 2:]
    assert (low >= -1).all()
    assert (high <= display.figure_.bbox.extents[2:] + 1).all()
    # How far each two boxes lie in each other, in pixels, across and up.
    shared = np.minimum(high[:, None], high) - np.maximum(low[:, None], low)
    np.fill_diagonal(shared[:, :, 0], 0)
    assert shared.min(axis=2).max() <= 1.5


def test_only_the_first_images_are_shown():
    X, y_pred = gray_images(20), [f"{i:02}" for i in range(20)]
    display = PredictionDisplay.from_predictions(X, y_pred)
    assert [title(ax) for ax in display.axes_] == y_pred[:16]
    assert len(display.images) == len(display.y_pred) == 20
    display = PredictionDisplay.from_predictions(X, y_pred, max_images=3)
    assert [title(ax) for ax in display.axes_] == y_pred[:3]
    assert len(display.plot(max_images=None).axes_) == 20


def test_pictures_are_the_images_row_by_row():
    images = [*gray_images(3), np.zeros((10, 30, 3))]  # which is gray as well
    display = PredictionDisplay.from_predictions(images, ["ab"] * 4, n_columns=2)
    for ax, image in zip(display.axes_, images[:3] + gray_images(1), strict=True):
        np.testing.assert_array_equal(ax.images[0].get_array(), image)
    left, bottom = np.array([ax.get_window_extent().min for ax in display.axes_]).T
    assert left[0] == left[2] < left[1] == left[3]
    assert bottom[0] == bottom[1] > bottom[2] == bottom[3]


def test_gray_is_not_stretched_to_full_contrast():
    display = PredictionDisplay.from_predictions(gray_images(2), ["ab"] * 2)
    assert display.axes_[1].images[0].get_clim() == (0, 255)


def test_images_come_in_any_form(tmp_path):
    path = tmp_path / "ab.png"
    image = Image.new("RGB", (30, 10), "red")
    image.save(path)
    X = [path, str(path), path.read_bytes(), image, np.asarray(image)]
    display = PredictionDisplay.from_predictions(X, ["ab"] * 5)
    assert all(np.array_equal(shown, np.asarray(image)) for shown in display.images)


def test_axes_of_the_caller_are_used():
    figure, (left, right) = pyplot.subplots(1, 2)
    display = PredictionDisplay.from_predictions(
        gray_images(5), ["ab"] * 5, ax=right, title="Read"
    )
    assert display.figure_ is figure
    assert pyplot.get_fignums() == [figure.number]
    assert right.get_title(loc="left") == "Read"
    figure.draw_without_rendering()
    for ax in display.axes_:
        box = ax.get_window_extent()
        assert right.bbox.x0 <= box.x0 and box.x1 <= right.bbox.x1
        assert right.bbox.y0 <= box.y0 and box.y1 <= right.bbox.y1
    assert left.axison


def test_subfigures_are_taken():
    figure = pyplot.figure()
    ax = figure.subfigures(1, 2)[1].subplots()
    display = PredictionDisplay.from_predictions(gray_images(2), ["ab"] * 2, ax=ax)
    assert display.figure_ is ax.figure
    figure.draw_without_rendering()


def test_figure_grows_with_the_rows():
    heights = [
        PredictionDisplay.from_predictions(
            gray_images(n), ["ab"] * n, max_images=None
        ).figure_.get_figheight()
        for n in (1, 5, 9)
    ]
    assert heights[2] > heights[1]
    assert heights[2] - heights[1] == pytest.approx(
        PredictionDisplay.from_predictions(
            gray_images(13), ["ab"] * 13
        ).figure_.get_figheight()
        - heights[2]
    )


def test_estimator_is_asked_for_texts_and_confidence():
    display = PredictionDisplay.from_estimator(
        SureReader(), gray_images(2), ["ab", "x"]
    )
    assert [title(ax) for ax in display.axes_] == ["✓ ab", "✗ ab\n≠ x"]
    assert {"0.00", "1.00"} <= set(draw(display.figure_)[0])
    display = PredictionDisplay.from_estimator(Reader(), gray_images(2))
    assert draw(display.figure_)[0] == ["ab", "ab"]


def test_integers_are_compared_as_their_decimal_text():
    display = PredictionDisplay.from_predictions(
        gray_images(2), ["7", "8"], y_true=np.array([7, 9])
    )
    assert [title(ax) for ax in display.axes_] == ["✓ 7", "✗ 8\n≠ 9"]


# Preprocessing


def test_preprocessed_images_stand_beside_the_originals():
    images, small = gray_images(3), gray_images(3, (5, 15))
    display = PredictionDisplay.from_predictions(
        images, ["ab"] * 3, confidence=[0.5] * 3, preprocessed=small
    )
    assert display.axes_.shape == (3, 2)
    display.figure_.draw_without_rendering()
    for pair, image, other in zip(display.axes_, images, small, strict=True):
        for ax, expected in zip(pair, (image, other), strict=True):
            np.testing.assert_array_equal(ax.images[0].get_array(), expected)
        left, right = (ax.get_window_extent() for ax in pair)
        assert left.x1 < right.x0
        assert left.y1 == pytest.approx(right.y1)
    # Four images side by side are two samples.
    bottoms = [pair[0].get_window_extent().y0 for pair in display.axes_]
    assert bottoms[0] == bottoms[1] > bottoms[2]
    assert find_faults(display.figure_) == []


@pytest.mark.parametrize("size", [(2, 1.5), (9, 2), (2, 9)])
def test_pairs_fit_into_axes_of_any_shape(size):
    figure = pyplot.figure(figsize=size, dpi=300)
    ax = figure.add_axes((0.02, 0.02, 0.96, 0.96))
    display = PredictionDisplay.from_predictions(
        gray_images(7, (20, 50)),
        ["abcde"] * 7,
        y_true=["abcde", "x"] * 3 + ["x"],
        confidence=np.ones(7),
        preprocessed=gray_images(7, (32, 64)),
        ax=ax,
    )
    assert find_faults(figure) == []
    edge = figure.bbox.extents
    boxes = [ax.get_window_extent().extents for ax in display.axes_.ravel()]
    assert (np.min(boxes, axis=0)[:2] >= -1).all()
    assert (np.max(boxes, axis=0)[2:] <= edge[2:] + 1).all()


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
    images, texts = captchas
    display = PredictionDisplay.from_estimator(fitted, images[160:164])
    assert display.preprocessed is None
    display = PredictionDisplay.from_estimator(
        fitted, images[160:164], texts[160:164], preprocessed=True
    )
    heights = {image.shape[0] for image in display.preprocessed}
    assert heights == {fitted.image_height_}
    assert list(display.y_pred) == list(fitted.predict(images[160:164]))


def test_preprocessed_is_a_switch(fitted, captchas):
    with pytest.raises(ValueError, match="preprocessed='yes' must be True, False or"):
        PredictionDisplay.from_estimator(fitted, captchas[0][:2], preprocessed="yes")


# Tables


def test_rows_of_a_table_are_drawn_as_images(captchas, quick):
    images, texts = captchas
    X = np.array([image.ravel() / 255.0 for image in images[:16]])
    recognizer = quick(X, image_shape=(16, 48))
    display = PredictionDisplay.from_estimator(
        recognizer, X[:4], texts[:4], preprocessed=True
    )
    for shown, image in zip(display.images, images[:4], strict=True):
        low, high = 255 * X.min(), 255 * X.max()
        expected = 255 * (image - low) / (high - low)
        np.testing.assert_allclose(shown, expected, atol=1)
    assert {image.shape[0] for image in display.preprocessed} == {16}


def test_rows_are_drawn_as_they_were_before_steps_that_scale_them(captchas, quick):
    X = np.array([image.ravel() for image in captchas[0][:16]], dtype=float)
    recognizer = quick(-X, image_shape=(16, 48))
    pipeline = make_pipeline(FunctionTransformer(np.negative), recognizer)
    display = PredictionDisplay.from_estimator(pipeline, X[:4])
    assert (np.array(display.images) > 127).mean() > 0.5  # of dark text on white
    assert (np.array(display.preprocessed) > 127).mean() < 0.5


def test_a_table_that_no_fit_has_seen_is_refused(fitted):
    with pytest.raises(ValueError, match=r"X is a 2-D array.* was not fitted on; pass"):
        PredictionDisplay.from_estimator(fitted, np.ones((2, 768)))


# Fonts


def test_characters_that_no_font_has_are_written_as_python_does():
    display = PredictionDisplay.from_predictions(
        gray_images(1), ["a\u4e2d"], y_true=["\u0e0a"], title="\u4e2d"
    )
    texts, _ = draw(display.figure_)
    assert r"✗ 'a\u4e2d'" in texts[0] or r"✗ 'a\u4e2d'" in texts[1]
    assert "U+4E2D" in texts


def test_right_to_left_texts_leave_the_marks_where_they_are():
    hebrew = "\u05e9\u05dc\u05d5\u05dd"  # only the user's font has it
    display = PredictionDisplay.from_predictions(
        gray_images(1, (20, 200)), [hebrew], y_true=["ab"], confidence=[0.5]
    )
    text = title(display.axes_[0])
    assert text.startswith("✗ ") and hebrew in text
    assert find_faults(display.figure_) == []


def test_images_are_drawn_on_the_background_of_the_estimator():
    reader = Reader()
    reader.background = "black"
    clear = np.zeros((10, 30, 4), dtype=np.uint8)
    display = PredictionDisplay.from_estimator(reader, [clear])
    assert (display.images[0] == 0).all()
    display = PredictionDisplay.from_estimator(Reader(), [clear])
    assert (display.images[0] == 255).all()


def test_pandas_series_with_any_index_are_taken():
    pandas = pytest.importorskip("pandas")
    index = [7, 3]
    display = PredictionDisplay.from_predictions(
        pandas.Series(gray_images(2), index=index),
        pandas.Series(["ab", "cd"], index=index),
        y_true=pandas.Series(["ab", "ef"], index=index),
        confidence=pandas.Series([0.5, 0.75], index=index),
    )
    assert [title(ax) for ax in display.axes_] == ["✓ ab", "✗ cd\n≠ ef"]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"y_pred": ["ab"]}, ValueError, "y_pred has 1 items and there are 2 images"),
        ({"y_true": ["ab"] * 3}, ValueError, "y_true has 3 items"),
        ({"confidence": [0.5]}, ValueError, "confidence has 1 items"),
        ({"y_true": ["ab", 1.5]}, TypeError, r"y_true\[1\]=1.5 is float, not str"),
        ({"y_pred": [None, "a"]}, TypeError, r"y_pred\[0\]=None"),
        ({"confidence": [0.5, "a"]}, TypeError, r"confidence\[1\]='a' is str; pass n"),
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
