"""LabelIssuesDisplay: labels beside what was read instead."""

import numpy as np
import pytest
from matplotlib.colors import to_hex

from skcaptcha import CaptchaRecognizer
from skcaptcha.inspection import list_issues
from skcaptcha.plotting import LabelIssuesDisplay
from skcaptcha.plotting._predictions import WRONG

pytestmark = pytest.mark.usefixtures("close_figures")

LABELS, READ = ["ab", "cd", "ef", "gh"], ["ab", "cx", "ex", "gx"]
CONFIDENCE, SELF_CONFIDENCE = (
    np.array([0.9, 0.6, 0.99, 0.98]),
    np.array([0.9, 0.3, 1e-6, 1e-5]),
)


def gray_images(n):
    return [np.full((10, 30), 10 * i, dtype=np.uint8) for i in range(n)]


def judge(read=READ, self_confidence=SELF_CONFIDENCE):
    read = np.array(read, dtype=object)
    return list_issues(LABELS, read, CONFIDENCE, np.array(self_confidence))


def titles(display):
    return [ax.get_title(loc="left") for ax in display.axes_]


def levels(display):
    return [int(ax.images[0].get_array()[0, 0]) for ax in display.axes_]


def test_what_is_likely_wrong_comes_first_and_has_a_cross():
    display = LabelIssuesDisplay.from_results(gray_images(4), LABELS, judge())
    assert titles(display) == ["✗ ef\n→ ex", "✗ gh\n→ gx", "? cd\n→ cx"]
    assert levels(display) == [20, 30, 10]
    colors = [to_hex(ax._left_title.get_color()) for ax in display.axes_]
    assert colors[:2] == [WRONG] * 2 and colors[2] != WRONG
    heading = "3 of 4 labels are not read, 2 of them likely wrong"
    assert any(
        heading in text.get_text()
        for text in display.figure_.findobj(lambda artist: hasattr(artist, "get_text"))
    )


def test_the_number_of_images_is_limited():
    display = LabelIssuesDisplay.from_results(
        gray_images(4), LABELS, judge(), max_images=1, title="Mine"
    )
    assert titles(display) == ["✗ ef\n→ ex"] and len(display.images) == 1
    display = LabelIssuesDisplay.from_results(
        gray_images(4), LABELS, judge(), max_images=None
    )
    assert len(display.axes_) == 3


def test_where_all_is_read_the_least_probable_labels_are_drawn():
    display = LabelIssuesDisplay.from_results(
        gray_images(4), LABELS, judge(LABELS), max_images=2
    )
    assert titles(display) == ["? ef\n→ ef", "? gh\n→ gh"]


def test_labels_that_no_fold_tested_are_left_out():
    found = judge(["ab", None, "ex", None], [0.9, np.nan, 1e-6, np.nan])
    display = LabelIssuesDisplay.from_results(gray_images(4), LABELS, found)
    assert titles(display) == ["✗ ef\n→ ex"]
    found = judge([None] * 4, [np.nan] * 4)
    with pytest.raises(ValueError, match="found has no label that was judged"):
        LabelIssuesDisplay.from_results(gray_images(4), LABELS, found)


def test_only_the_images_shown_are_read(fitted, captchas):
    X = [gray_images(1)[0], b"", b"", gray_images(4)[3]]
    found = judge(["ab", "cd", "ef", "gx"])
    display = LabelIssuesDisplay.from_results(X, LABELS, found)
    assert levels(display) == [30]


def test_an_estimator_looks_for_wrong_labels(fitted, captchas):
    images, texts = captchas[0][160:], list(captchas[1][160:])
    texts[9] = "0" * len(texts[9])
    display = LabelIssuesDisplay.from_estimator(fitted, images, texts, cv="prefit")
    read = fitted.predict([images[9]])[0]
    assert titles(display)[0] == f"✗ {texts[9]}\n→ {read}"
    np.testing.assert_array_equal(display.images[0], images[9])


def test_rows_of_a_table_are_drawn(some):
    images, texts = some
    table = np.array([image.ravel() for image in images], dtype=float)
    recognizer = CaptchaRecognizer(
        max_iter=1,
        conv_channels=(4, 4),
        lstm_units=2,
        random_state=0,
        image_shape=images[0].shape,
    )
    with pytest.warns():
        display = LabelIssuesDisplay.from_estimator(recognizer, table, texts, cv=2)
    assert display.images[0].shape == images[0].shape


def test_other_results_are_refused():
    with pytest.raises(ValueError, match="found is of 4 samples and there are 2"):
        LabelIssuesDisplay.from_results(gray_images(2), ["a", "b"], judge())
    with pytest.raises(ValueError, match="X has 4 images and y has 2 labels"):
        LabelIssuesDisplay.from_results(gray_images(4), ["a", "b"], judge())
    with pytest.raises(ValueError, match="max_images=0"):
        LabelIssuesDisplay.from_results(gray_images(4), LABELS, judge(), max_images=0)
