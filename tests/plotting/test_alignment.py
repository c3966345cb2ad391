"""AlignmentDisplay: where in an image each character was read."""

import copy

import numpy as np
import pytest
from matplotlib import pyplot
from sklearn.pipeline import make_pipeline
from support.data import make_easy
from support.pictures import draw, find_faults

from skcaptcha._texts import label_log_probability
from skcaptcha.exceptions import ImageReadError
from skcaptcha.images import read_image
from skcaptcha.plotting import AlignmentDisplay
from skcaptcha.preprocessing import ImageResizer

pytestmark = pytest.mark.usefixtures("close_figures")

IMAGE = np.full((10, 40), 200, dtype=np.uint8)


def make_log_proba(text, characters, n_frames, likely=0.9):
    """Log-probabilities of which each character of a text is likely in one frame."""
    proba = np.full((n_frames, len(characters) + 1), 1e-6)
    proba[:, 0] = 1
    for i, character in enumerate(text):
        frame = (2 * i + 1) * n_frames // (2 * len(text))
        proba[frame, 0] = 1 - likely
        proba[frame, characters.index(character) + 1] = likely
    return np.log(proba / proba.sum(axis=1, keepdims=True))


def make_ax(size):
    if size is None:
        return None
    return pyplot.subplots(figsize=size, layout="constrained")[1]


# What is drawn


def test_characters_are_marked_in_image_and_frames_alike():
    log_proba = make_log_proba("aba", "abc", 9)
    display = AlignmentDisplay.from_predictions(IMAGE, log_proba, "abc", y_true="aba")
    assert display.spans_.tolist() == [[1, 1], [4, 4], [7, 7]]
    assert display.labels_ == ["a", "b", ""]
    ticks = [label.get_text() for label in display.axes_[1].get_yticklabels()]
    assert ticks == ["a", "b", "blank"]
    image, frames = display.axes_
    display.figure_.draw_without_rendering()
    for ax in (image, frames):
        marked = sorted({line.get_xdata()[0] for line in ax.lines[:]})
        assert set(marked) >= {1, 4, 7}
    # A time step is at the same place in both.
    assert image.get_xlim() == frames.get_xlim() == (-0.5, 8.5)
    left, right = image.get_window_extent(), frames.get_window_extent()
    assert (left.x0, left.x1) == pytest.approx((right.x0, right.x1))
    names = {text.get_text(): text.xy[0] for text in image.texts}
    assert names == {"a": 7, "b": 4}  # the later a is the last one
    np.testing.assert_array_equal(image.images[0].get_array(), IMAGE)
    shown = frames.images[0].get_array()  # (n_rows, T)
    np.testing.assert_allclose(shown, np.exp(log_proba)[:, [1, 2, 0]].T)


@pytest.mark.parametrize("shape", [(10, 40), (40, 40), (20, 400)])
@pytest.mark.parametrize("size", [None, (4, 3), (3, 6)])
def test_the_image_keeps_its_aspect(shape, size):
    image, log_proba = np.zeros(shape, np.uint8), make_log_proba("ab", "abc", 20)
    ax = make_ax(size)
    display = AlignmentDisplay.from_predictions(image, log_proba, "abc", ax=ax)
    display.figure_.draw_without_rendering()
    box = display.axes_[0].get_window_extent()
    assert box.height / box.width == pytest.approx(shape[0] / shape[1], rel=0.05)


def test_heading_says_what_was_read_how_surely_and_whether_it_is_right():
    log_proba = make_log_proba("ab", "abc", 6, likely=0.5)
    display = AlignmentDisplay.from_predictions(
        IMAGE, log_proba, "abc", symbols=[1, 2], y_true="ac", title="One"
    )
    # A half at either of two frames, and the rest nearly sure.
    assert display.confidence_ == pytest.approx(0.25, abs=0.01)
    assert display.ax_.get_title(loc="left") == "One\n✗ ab  (0.25) ≠ ac"
    display = AlignmentDisplay.from_predictions(IMAGE, log_proba, "abc", symbols=[1])
    assert display.ax_.get_title(loc="left").startswith("a  (")


def test_characters_that_were_nearly_read_have_rows_too():
    log_proba = np.log([[0.5, 0.4, 0.06, 0.04], [0.1, 0.9, 0.0001, 0.0001]])
    display = AlignmentDisplay.from_predictions(IMAGE, log_proba, "abc")
    assert display.labels_ == ["a", "b", ""]  # c stays below 0.05
    assert display.plot(max_labels=1).labels_ == ["a", ""]


def test_nothing_read_is_drawn_as_well():
    log_proba = np.log([[0.9, 0.1]] * 5)
    display = AlignmentDisplay.from_predictions(IMAGE, log_proba, "a", y_true="a")
    assert display.spans_.shape == (0, 2)
    assert display.ax_.get_title(loc="left").startswith("✗ ''  (0.59) ≠ a")
    assert find_faults(display.figure_) == []


@pytest.mark.parametrize("size", [None, (3, 2), (8, 3)])
@pytest.mark.parametrize(
    ("characters", "text", "n_frames"),
    [
        ([chr(0x4E00 + i) for i in range(500)], "\u4e00\u4e43\u4e00\u4ec7", 32),
        ([chr(0x5D0 + i) for i in range(27)], "\u05e9\u05dc\u05d5\u05dd", 32),
        (list("abcdefghijklmnopqrstuvwxyz"), "abcdefghijklmnopqrstuvwxyz", 200),
        (["a"], "a", 1),
    ],
    ids=["chinese", "hebrew", "long", "short"],
)
def test_texts_of_all_kinds_fit(characters, text, n_frames, size):
    image = np.full((30, max(20, 4 * n_frames)), 90, dtype=np.uint8)
    log_proba, ax = make_log_proba(text, characters, n_frames), make_ax(size)
    display = AlignmentDisplay.from_predictions(
        image, log_proba, characters, y_true=text, ax=ax
    )
    assert set(display.labels_) == {*text, ""}
    assert find_faults(display.figure_) == []


def test_characters_that_no_font_has_are_code_points():
    display = AlignmentDisplay.from_predictions(
        IMAGE, make_log_proba("\u4e2d", ["\u4e2d"], 5), ["\u4e2d"]
    )
    texts, _ = draw(display.figure_)
    assert texts.count("U+4E2D") == 2  # above the image and beside the row


# From an estimator


@pytest.mark.parametrize("decoder", ["greedy", "beam"])
def test_a_recognizer_shows_what_it_read(fitted, captchas, decoder):
    images, texts = captchas
    reader = copy.deepcopy(fitted).set_params(decoder=decoder, multi_scale=False)
    display = AlignmentDisplay.from_estimator(reader, images, texts, index=170)
    [log_proba] = reader.frame_log_proba(images[170:171])
    np.testing.assert_allclose(display.frame_log_proba, log_proba)
    np.testing.assert_array_equal(display.image, read_image(images[170]))
    text, confidence = reader.predict(images[170:171], return_confidence=True)
    assert [display.characters[k - 1] for k in display.symbols] == list(text[0])
    assert display.confidence_ == pytest.approx(confidence[0], rel=1e-4)
    assert display.y_true == texts[170]


def test_a_doubtful_image_is_shown_at_the_width_that_says_most(fitted, captchas):
    images = [image for image in captchas[0] if len(frames_of(fitted, image)) == 4]
    assert images
    for image in images[:5]:
        display = AlignmentDisplay.from_estimator(fitted, [image])
        text = "".join(display.characters[k - 1] for k in display.symbols)
        assert text == fitted.predict([image])[0]
        values = [
            np.exp(label_log_probability(fitted, [one], text))
            for one in frames_of(fitted, image)
        ]
        assert display.confidence_ == pytest.approx(max(values), rel=1e-4)


def frames_of(reader, image):
    return next(reader.iter_frames([image]))[1]


def test_where_characters_were_read_is_where_they_are(fitted):
    # Two digits and nothing else: the first one in the left half.
    images, texts = make_easy(40, "0123", seed=5)
    found = 0
    for i in [i for i, text in enumerate(texts) if len(text) == 3][:5]:
        display = AlignmentDisplay.from_estimator(fitted, images, index=i)
        n_frames = len(display.frame_log_proba)
        if len(display.spans_) == 3:
            ink = np.flatnonzero((255 - read_image(images[i])).sum(axis=0) > 300)
            middles = (display.spans_.mean(axis=1) + 0.5) * 48 / n_frames
            assert ink.min() - 6 <= middles[0] < middles[1] < middles[2]
            assert middles[2] <= ink.max() + 6
            found += 1
    assert found >= 3


def test_of_a_pipeline_the_image_is_as_its_steps_made_it(fitted, captchas):
    pipeline = make_pipeline(ImageResizer(height=32, width=96), fitted)
    display = AlignmentDisplay.from_estimator(pipeline, captchas[0])
    assert display.image.shape == (32, 96)


def test_rows_of_a_table_are_images(some, quick):
    X = np.array([image.ravel() for image in some[0]])
    recognizer = quick(X, image_shape=(16, 48))
    display = AlignmentDisplay.from_estimator(recognizer, X, index=2)
    assert display.image.shape == (16, 48)


@pytest.mark.parametrize("index", [16, -1, 1.5, "first"])
def test_an_index_outside_of_x_is_named(fitted, some, index):
    with pytest.raises(ValueError, match="is no position in X, which has 16 images"):
        AlignmentDisplay.from_estimator(fitted, some[0], index=index)


def test_an_image_that_cannot_be_read_is_named_by_its_place(fitted, captchas):
    X = [*captchas[0][:3], b""]
    with pytest.raises(ImageReadError, match=r"X\[3\]=<0 bytes>"):
        AlignmentDisplay.from_estimator(fitted, X, index=3)
    assert AlignmentDisplay.from_estimator(fitted, X, index=2).image.shape == (16, 48)


def test_an_estimator_that_is_no_recognizer_is_named():
    class Reader:
        def predict(self, X):
            return ["ab"] * len(X)

    with pytest.raises(TypeError, match="Reader does not say what it sees in each"):
        AlignmentDisplay.from_estimator(Reader(), [IMAGE])


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"characters": "ab"}, ValueError, r"has shape \(4, 2\).* there are 2 charact"),
        ({"frame_log_proba": np.zeros((0, 2))}, ValueError, "has shape"),
        ({"frame_log_proba": np.zeros((4, 2), int)}, ValueError, "dtype int64.* float"),
        ({"frame_log_proba": np.full((4, 2), 0.5)}, ValueError, "are no logarithms"),
        ({"symbols": [2]}, ValueError, r"symbols=\[2\] are not classes .* from 1 to 1"),
        ({"symbols": [0]}, ValueError, r"symbols=\[0\]"),
        ({"symbols": [[1]]}, ValueError, r"symbols=\[\[1\]\]"),
        ({"symbols": [1] * 4}, ValueError, "have no path through 4 time steps"),
        ({"y_true": 7}, TypeError, "y_true=7 is int; pass a str"),
        ({"max_labels": 0}, ValueError, "max_labels=0 must be an int of at least 1"),
        ({"image": "missing.png"}, FileNotFoundError, "image='missing.png'"),
    ],
)
def test_bad_input_is_named(arguments, error, message):
    valid = {"image": IMAGE, "frame_log_proba": np.log([[0.5, 0.5]] * 4)}
    with pytest.raises(error, match=message):
        AlignmentDisplay.from_predictions(**{"characters": "a", **valid, **arguments})
    assert pyplot.get_fignums() == []
