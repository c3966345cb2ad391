"""CharacterConfusionDisplay: which character was read as which."""

import string

import numpy as np
import pytest
from matplotlib import pyplot
from support.pictures import draw, find_faults

from skcaptcha.metrics import character_confusion
from skcaptcha.plotting import CharacterConfusionDisplay

pytestmark = pytest.mark.usefixtures("close_figures")

ALPHANUMERIC = string.digits + string.ascii_letters
CHINESE = [chr(0x4E00 + i) for i in range(500)]


def heading(display):
    return display.ax_.get_title(loc="left").split("\n")


def tick_labels(axis):
    return [label.get_text() for label in axis.get_ticklabels()]


def make_texts(characters, n_samples):
    """True texts, and the same with some characters wrong, missing or twice."""
    rng = np.random.default_rng(0)
    y_true = ["".join(rng.choice(characters, 5)) for _ in range(n_samples)]
    y_pred = list(y_true)
    for i in range(0, n_samples, 4):
        text, change = y_true[i], rng.choice(characters)
        y_pred[i] = [change + text[1:], text[1:], change + text][i // 4 % 3]
    return y_true, y_pred


def make(y_true, y_pred, size=None, **options):
    """Draw on new axes, of some inches if `size` is given."""
    if size is not None:
        _, options["ax"] = pyplot.subplots(figsize=size, layout="constrained")
    return CharacterConfusionDisplay.from_predictions(y_true, y_pred, **options)


def test_matrix_and_labels_are_those_of_the_metric():
    y_true, y_pred = ["ab", "ab", "c"], ["bb", "a", "cd"]
    display = make(y_true, y_pred)
    matrix, labels = character_confusion(y_true, y_pred)
    np.testing.assert_array_equal(display.confusion_matrix, matrix)
    assert display.labels == display.labels_ == labels == ["a", "b", "c", "d", ""]
    assert tick_labels(display.ax_.xaxis) == ["a", "b", "c", "d", "∅"]
    assert tick_labels(display.ax_.yaxis) == ["a", "b", "c", "d", "∅"]
    # a read as b; b not read; d read where there is nothing
    counts = {
        (labels[i], labels[j]): text.get_text()
        for (i, j), text in np.ndenumerate(display.text_)
        if text is not None
    }
    assert counts.pop(("a", "b")) == counts.pop(("b", "")) == "1"
    assert counts.pop(("", "d")) == "1"
    assert counts == {(c, c): "1" for c in "abc"}
    assert heading(display) == ["3 errors in 5 characters"]


def test_only_errors_are_shaded_and_the_most_frequent_is_black():
    display = make(["aaaa", "bbbb"], ["abbb", "bbba"])
    shades = display.im_.get_array()
    assert shades.mask.tolist() == [
        [True, False, True],
        [False, True, True],
        [True, True, True],
    ]
    black, gray = display.im_.to_rgba(shades)[[0, 1], [1, 0], :3].mean(axis=1)
    assert black == pytest.approx(0, abs=0.01)
    assert 0.2 < gray < 0.9


@pytest.mark.parametrize("size", [None, (3, 2), (8, 3)])
@pytest.mark.parametrize("characters", [list(ALPHANUMERIC), CHINESE], ids=len)
def test_long_vocabularies_fit(characters, size):
    display = make(*make_texts(characters, 400), size)
    assert find_faults(display.figure_) == []
    heights = [label.get_fontsize() for label in display.ax_.get_yticklabels()]
    assert min(heights) >= 4
    if size is None and len(characters) == 62:
        assert len(display.labels_) == 63


def test_of_many_characters_those_of_the_most_frequent_errors_are_shown():
    y_true, y_pred = ["abcdefgh"] * 3 + ["a", "c"], ["abcdefgh"] * 3 + ["b", "d"]
    y_true, y_pred = [*y_true, "a", "ef"], [*y_pred, "b", "f"]
    display = make(y_true, y_pred, max_labels=3)
    assert display.labels_ == ["a", "b", "e", ""]  # a as b, twice; e not read
    assert heading(display) == [
        "4 errors in 29 characters",
        "shown: 3 of 8 characters, 3 of the errors",
    ]
    # There is no room for both, but for one of them.
    assert make(["a"], ["b"], max_labels=1).labels_ == ["a", ""]


def test_of_many_characters_without_an_error_the_most_frequent_are_shown():
    display = make(["aabbbc"], ["aabbbc"], max_labels=2)
    assert display.labels_ == ["a", "b", ""]
    assert heading(display) == [
        "0 errors in 6 characters",
        "shown: 2 of 3 characters, the most frequent",
    ]


def test_a_title_stands_above_the_number_of_errors():
    display = make(["a"], ["b"], title="Mine")
    assert heading(display) == ["Mine", "1 error in 1 character"]


def test_where_counts_do_not_fit_the_heading_says_what_black_is():
    y_true, y_pred = make_texts(list(ALPHANUMERIC), 400)
    display = make([*y_true, "0" * 500], [*y_pred, "1" * 500], (2, 2))
    assert not display.text_.any()
    assert heading(display)[-1] == f"black: {display.confusion_matrix[0, 1]} errors"
    assert find_faults(display.figure_) == []


def test_counts_are_seen_on_any_shade():
    display = make(["a" * 10, "bb"], ["b" * 10, "ba"])
    assert display.text_[0, 1].get_color() == "white"
    assert display.text_[1, 0].get_color() == "black"


@pytest.mark.parametrize(
    ("y_true", "y_pred", "first"),
    [
        ([""], [""], "0 errors in 0 characters"),  # no character at all
        ([""], ["a"], "1 error in 0 characters"),
        (["a"], [""], "1 error in 1 character"),
        (["a"], ["a"], "0 errors in 1 character"),
        (["ab"] * 5000, ["ab"] * 5000, "0 errors in 10,000 characters"),
        (["ab"] * 5000, ["cd"] * 5000, "10,000 errors in 10,000 characters"),
    ],
)
@pytest.mark.parametrize("size", [(6.4, 4.8), (3, 2)])
def test_extremes_are_drawn(y_true, y_pred, first, size):
    display = make(y_true, y_pred, size)
    assert heading(display)[0] == first
    assert find_faults(display.figure_) == []


def test_labels_that_would_not_be_seen_are_code_points():
    y = ["\u05d0 \u4e2d$\u0301\u200b∅"]
    display = make(y, y)
    assert set(tick_labels(display.ax_.yaxis)) == {
        "\u05d0",  # which the font has
        "␣",
        "U+4E2D",
        "$",
        "U+0301",  # would be put on whatever is before it
        "U+200B",
        "∅",
        "none",
    }
    assert "U+4E2D" in draw(display.figure_)[0]  # with no warning


def test_labels_are_chosen_and_ordered():
    assert make(["abc"], ["abd"], labels="ba").labels_ == ["b", "a", ""]


def test_an_estimator_is_asked_for_the_texts():
    class Reader:
        def predict(self, X):
            return ["ab"] * len(X)

    display = CharacterConfusionDisplay.from_estimator(
        Reader(), np.zeros((2, 5, 9)), ["ab", "a"]
    )
    assert display.confusion_matrix.tolist() == [[2, 0, 0], [0, 1, 0], [0, 1, 0]]


@pytest.mark.parametrize(
    ("matrix", "labels", "message"),
    [
        (np.eye(2), ["a"], r"confusion_matrix has shape \(2, 2\).* there are 1 labels"),
        (np.eye(2), ["a", "b"], "labels=.* must end in ''"),
        (np.array([["1"]]), [""], "confusion_matrix has shape .* dtype <U1"),
        (-np.eye(2), ["a", ""], "confusion_matrix holds numbers that are no counts"),
        (np.full((1, 1), np.nan), [""], "confusion_matrix holds numbers that are no"),
    ],
)
def test_what_is_no_confusion_matrix_is_named(matrix, labels, message):
    with pytest.raises(ValueError, match=message):
        CharacterConfusionDisplay(matrix, labels).plot()
    assert pyplot.get_fignums() == []


def test_max_labels_is_a_count():
    with pytest.raises(ValueError, match="max_labels=0 must be an int of at least 1"):
        make(["a"], ["a"], max_labels=0)
