import sys

import matplotlib
import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.colors import to_hex
from PIL import Image

from skcaptcha.exceptions import ImageReadError
from skcaptcha.plotting import RIGHT, WRONG, PredictionDisplay


@pytest.fixture(autouse=True)
def close_figures(monkeypatch):
    def fail():
        raise AssertionError("the display must leave showing to the caller")

    monkeypatch.setattr(pyplot, "show", fail)
    yield
    pyplot.close("all")


class Reader:
    def predict(self, X):
        return np.array(["ab"] * len(X), dtype=object)


class SureReader(Reader):
    def predict_confidence(self, X):
        return np.linspace(0, 1, len(X))


def grey_images(n, shape=(10, 30)):
    return [np.full(shape, 10 * i, dtype=np.uint8) for i in range(n)]


def title(ax):
    return ax.get_title(loc="left")


def title_color(ax):
    return to_hex(title_artist(ax).get_color())


def title_artist(ax):
    return ax._left_title  # there is no public way to it


def drawn_texts(display):
    """Return every text in the figure that is not empty, once it has been drawn."""
    display.figure_.draw_without_rendering()
    texts = display.figure_.findobj(matplotlib.text.Text)
    return [text.get_text() for text in texts if text.get_text()]


def test_titles_say_what_was_read_and_whether_it_is_right():
    display = PredictionDisplay.from_predictions(
        grey_images(3), ["ab", "ax", ""], y_true=["ab", "ab", "ab"]
    )
    assert [title(ax) for ax in display.axes_] == ["✓ ab", "✗ ax\n≠ ab", "✗ ''\n≠ ab"]
    assert [title_color(ax) for ax in display.axes_] == [RIGHT, WRONG, WRONG]


def test_without_true_texts_nothing_is_judged():
    display = PredictionDisplay.from_predictions(grey_images(2), ["ab", "ax"])
    assert [title(ax) for ax in display.axes_] == ["ab", "ax"]
    assert title_color(display.axes_[0]) == to_hex(pyplot.rcParams["text.color"])


def test_two_spellings_of_an_accented_letter_are_equal():
    display = PredictionDisplay.from_predictions(
        grey_images(1), ["caf\u00e9"], y_true=["cafe\u0301"]
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
    display = PredictionDisplay.from_predictions(grey_images(1), [text])
    assert title(display.axes_[0]) == shown
    assert not title_artist(display.axes_[0]).get_parse_math()


@pytest.mark.parametrize("text", ["$", "$$", "a_b$c_$", "\\frac{$", "{}^%&#"])
def test_markup_is_drawn_literally(text):
    display = PredictionDisplay.from_predictions(
        grey_images(1), [text], y_true=["x"], title=text
    )
    assert text in drawn_texts(display)


def test_confidence_is_small_and_beside_what_was_read():
    display = PredictionDisplay.from_predictions(
        grey_images(2), ["ab", "cd"], y_true=["ab", "ab"], confidence=[0.984, 0.25]
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
    images = [*grey_images(3), np.zeros(shape, dtype=np.uint8)]
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
        grey_images(n_images, (20, 50)),
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
    X, y_pred = grey_images(20), [f"{i:02}" for i in range(20)]
    display = PredictionDisplay.from_predictions(X, y_pred)
    assert [title(ax) for ax in display.axes_] == y_pred[:16]
    assert len(display.images) == len(display.y_pred) == 20
    display = PredictionDisplay.from_predictions(X, y_pred, max_images=3)
    assert [title(ax) for ax in display.axes_] == y_pred[:3]
    assert len(display.plot(max_images=None).axes_) == 20


def test_pictures_are_the_images_row_by_row():
    images = [*grey_images(3), np.zeros((10, 30, 3))]  # which is grey as well
    display = PredictionDisplay.from_predictions(images, ["ab"] * 4, n_columns=2)
    for ax, image in zip(display.axes_, images[:3] + grey_images(1), strict=True):
        np.testing.assert_array_equal(ax.images[0].get_array(), image)
    left, bottom = np.array([ax.get_window_extent().min for ax in display.axes_]).T
    assert left[0] == left[2] < left[1] == left[3]
    assert bottom[0] == bottom[1] > bottom[2] == bottom[3]


def test_grey_is_not_stretched_to_full_contrast():
    display = PredictionDisplay.from_predictions(grey_images(2), ["ab"] * 2)
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
        grey_images(5), ["ab"] * 5, ax=right, title="Read"
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
    display = PredictionDisplay.from_predictions(grey_images(2), ["ab"] * 2, ax=ax)
    assert display.figure_ is ax.figure
    figure.draw_without_rendering()


def test_figure_grows_with_the_rows():
    heights = [
        PredictionDisplay.from_predictions(
            grey_images(n), ["ab"] * n, max_images=None
        ).figure_.get_figheight()
        for n in (1, 5, 9)
    ]
    assert heights[2] > heights[1]
    assert heights[2] - heights[1] == pytest.approx(
        PredictionDisplay.from_predictions(
            grey_images(13), ["ab"] * 13
        ).figure_.get_figheight()
        - heights[2]
    )


def test_estimator_is_asked_for_texts_and_confidence():
    display = PredictionDisplay.from_estimator(
        SureReader(), grey_images(2), ["ab", "x"]
    )
    assert [title(ax) for ax in display.axes_] == ["✓ ab", "✗ ab\n≠ x"]
    assert {"0.00", "1.00"} <= set(drawn_texts(display))
    display = PredictionDisplay.from_estimator(Reader(), grey_images(2))
    assert drawn_texts(display) == ["ab", "ab"]


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
        pandas.Series(grey_images(2), index=index),
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
        ({"y_true": ["ab", 12]}, TypeError, r"y_true\[1\]=12 is int; pass str"),
        ({"y_pred": [None, "a"]}, TypeError, r"y_pred\[0\]=None"),
        ({"confidence": [0.5, "a"]}, TypeError, r"confidence\[1\]='a' is str; pass n"),
        ({"n_columns": 0}, ValueError, "n_columns=0 must be an int of at least 1"),
        ({"n_columns": 2.5}, ValueError, "n_columns=2.5"),
        ({"max_images": 0}, ValueError, "max_images=0"),
        ({"X": [], "y_pred": []}, ValueError, "images is empty"),
        ({"X": ["missing.png"] * 2}, FileNotFoundError, r"X\[0\]='missing.png'"),
        ({"X": [b"", b""]}, ImageReadError, r"X\[0\]=<0 bytes>"),
    ],
)
def test_bad_input_is_named(arguments, error, message):
    arguments = {"X": grey_images(2), "y_pred": ["ab", "cd"], **arguments}
    with pytest.raises(error, match=message):
        PredictionDisplay.from_predictions(**arguments)
    assert pyplot.get_fignums() == []


def test_missing_matplotlib_is_named_with_the_remedy(monkeypatch):
    display = PredictionDisplay(grey_images(1), ["ab"])
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r'pip install "skcaptcha\[plot\]"'):
        display.plot()
