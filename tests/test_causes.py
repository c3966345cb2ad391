"""A fit that has learned nothing names the likely cause, where there is one."""

import re
import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from support.data import TINY

from skcaptcha import CaptchaRecognizer
from skcaptcha._causes import OTHER_FORM, count_lines, find_causes
from skcaptcha.datasets import make_captchas
from skcaptcha.metrics import exact_match_scorer


@pytest.fixture(scope="module")
def drawn():
    """24 images of four characters, dark on light, and their texts."""
    return make_captchas(24, length=4, size=(40, 120), random_state=0)


def look(images, texts, *, background="white", odd=()):
    return find_causes(images, texts, background=background, odd_parameters=odd)


def make_transparent(image, level):
    """Text of one gray on a clear ground, as dark as the image in its opacity."""
    color = np.full_like(image, level)
    return np.dstack([color, color, color, 255 - image])


def test_ordinary_images_and_labels_have_no_cause(drawn):
    assert look(*drawn) == []


def test_white_text_on_transparent_is_blank_on_white(drawn):
    images, texts = drawn
    white = [make_transparent(image, 255) for image in images]
    (cause,) = look(white, texts)
    assert cause.endswith("but not on 'black'; set background='black'")
    assert look(white, texts, background="black") == []
    black = [make_transparent(image, 0) for image in images]
    assert look(black, texts) == []
    (cause,) = look(black, texts, background="black")
    assert cause.endswith("set background='white'")


def test_images_that_are_blank_on_any_background_are_no_matter_of_it(drawn):
    assert look([np.full((40, 120), 200, np.uint8)] * 24, drawn[1]) == []


def test_two_lines_of_text_are_seen(drawn):
    images, texts = drawn
    two = [np.vstack(pair) for pair in zip(images, images[::-1], strict=True)]
    (cause,) = look(two, texts)
    assert "more than one line" in cause
    assert look(two[:5] + images[5:], texts) == []


def test_lines_are_counted():
    image = np.full((60, 100), 250, np.uint8)
    image[8:24, 10:90:8] = 20
    assert count_lines(image) == 1
    image[2:5, 10:90:8] = 20  # a rule is too thin
    assert count_lines(image) == 1
    image[34:50, 10:90:8] = 20
    assert count_lines(image) == 2
    assert count_lines(np.full((60, 100), 250, np.uint8)) == 0


def test_vertical_text_is_seen_by_its_labels(drawn):
    images, texts = drawn
    upright = [np.ascontiguousarray(np.rot90(image)) for image in images]
    causes = look(upright, texts)
    assert any("higher than wide" in cause for cause in causes)
    assert not any("higher" in c for c in look(upright, [t[0] for t in texts]))


def test_blank_images_stand_beside_their_own_labels(drawn):
    images, texts = drawn
    upright = [make_transparent(np.rot90(image), 255) for image in images[12:]]
    single = [text[0] for text in texts[12:]]
    (cause,) = look(images[:12] + upright, texts[:12] + single)
    assert "set background='black'" in cause
    (cause,) = look(upright + images[:12], single + texts[:12])
    assert "set background='black'" in cause


@pytest.mark.parametrize(
    ("labels", "cause"),
    [
        ([f"{i:05}" for i in range(24)], "the labels are running numbers: 00000"),
        ([f"captcha{i}" for i in range(24)], "names that a program gave: captcha0"),
        ([f"{i:032x}" for i in range(10**9, 10**9 + 24)], "look like checksums"),
    ],
)
def test_names_of_files_are_no_labels(drawn, labels, cause):
    (found,) = look(drawn[0], labels)
    assert cause in found


def test_few_images_are_a_cause(drawn):
    (cause,) = look(drawn[0][:9], drawn[1][:9])
    assert cause == "9 images are few; 20 are the least that help"


def test_images_without_text_are_not_looked_at(drawn):
    images, texts = drawn
    blank = [np.full((90, 40), 255, np.uint8)] * 60
    assert look([*blank, *images], [*[""] * 60, *texts]) == []


def fit(images, texts, **params):
    recognizer = CaptchaRecognizer(**{**TINY, "max_iter": 1, **params})
    with pytest.warns(ConvergenceWarning) as caught:
        recognizer.fit(images, texts)
    return str(caught[0].message)


def test_the_warning_of_a_fit_lists_the_causes(captchas):
    message = fit(captchas[0][:9], captchas[1][:9])
    assert message.startswith("The network has not learned to read in 1 epochs: ")
    _, few, form, rest = message.split("\n")
    assert few.startswith("- 9 images are few")
    assert form.startswith(f"- conv_channels, lstm_units: {OTHER_FORM}")
    assert rest.startswith("If not, check that each label belongs to its image")


def test_a_form_that_was_meant_is_no_cause(captchas):
    message = fit(captchas[0][:30], captchas[1][:30], pretrained=False)
    assert "causes" not in message and "Check that each label" in message


def search(captchas, **options):
    """Return what a search over four forms, of two folds each, warns of."""
    grid = {"conv_channels": [(4, 8), (4, 12), (8, 8), (8, 16)]}
    recognizer = CaptchaRecognizer(**{**TINY, "max_iter": 1, "lstm_layers": 0})
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        GridSearchCV(
            recognizer, grid, scoring=exact_match_scorer, cv=2, refit=False, **options
        ).fit(captchas[0][:40], captchas[1][:40])
    return [str(w.message) for w in caught if OTHER_FORM in str(w.message)]


def test_a_search_says_once_that_its_networks_have_another_form(captchas):
    (message,) = search(captchas)
    assert re.search(r"\n- conv_channels, lstm_units, lstm_layers: not", message)
