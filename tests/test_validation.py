"""Checks of X and y."""

import re

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch
from PIL import Image
from support.data import TINY

from skcaptcha import CaptchaRecognizer
from skcaptcha._tables import check_shape, check_text_table, is_table
from skcaptcha._validation import check_images, check_same_length, check_texts
from skcaptcha.datasets import make_captchas
from skcaptcha.exceptions import LabelConversionWarning
from skcaptcha.images import read_images


@pytest.mark.parametrize(
    "X",
    [
        np.zeros((3, 4)),
        np.zeros(3),
        [[0, 1], [2, 3]],
        pd.DataFrame({"a": [1, 2]}),
        scipy.sparse.csr_array(np.eye(3)),
        np.array([[1, 2], [3, 4]], dtype=object),
        torch.zeros(3, 4),
    ],
)
def test_tables(X):
    assert is_table(X)


@pytest.mark.parametrize(
    "X",
    [
        [],
        ["a.png"],
        [b"png"],
        [np.zeros((3, 4))],
        np.zeros((2, 3, 4)),
        np.zeros((2, 3, 4, 3)),
        np.array(["a.png"]),
        np.array([b"png"], dtype=object),
        pd.Series(["a.png"]),
        pd.Series(["a.png"], dtype=object),
        torch.zeros(2, 3, 4),
    ],
)
def test_no_tables(X):
    assert not is_table(X)


def test_images_become_a_list_in_any_container():
    paths = ["a.png", "b.png"]
    for X in (paths, tuple(paths), np.array(paths), pd.Series(paths, index=[7, 3])):
        assert check_images(X) == paths
    assert len(check_images(np.zeros((2, 3, 5)))) == 2


def test_a_single_image_is_refused():
    with pytest.raises(TypeError, match=r"X='a.png' is a single item; pass a list"):
        check_images("a.png")
    with pytest.raises(TypeError, match="is a single item"):
        check_images(b"\x89PNG")
    with pytest.raises(TypeError, match="X is Image; pass a list"):
        check_images(Image.new("L", (3, 3)))


@pytest.mark.parametrize("make", [set, frozenset])
def test_what_has_no_order_is_refused(make):
    values = make(["a.png", "b.png"])
    with pytest.raises(TypeError, match=r"X is a .*set, which has no .*sorted\(X\)"):
        check_images(values)
    with pytest.raises(TypeError, match="is a .*set, which has no order"):
        read_images(values)
    with pytest.raises(TypeError, match="y is a .*set, which has no order"):
        check_texts(values)


def test_values_of_a_dict_are_labels():
    assert check_texts({"a.png": "12", "b.png": "3"}.values()) == (["12", "3"], [])


@pytest.mark.parametrize("shape", [(32, 90, 3), (32, 90, 4), (32, 90, 1), (3, 3, 3)])
@pytest.mark.parametrize("make", [np.ones, torch.ones])
def test_a_single_array_is_refused(shape, make):
    with pytest.raises(TypeError, match=r"X is .* put it into a list: \[X\]\. If"):
        check_images(make(shape))
    assert len(check_images(list(make(shape)))) == shape[0]


@pytest.mark.parametrize(
    "make", [np.stack, lambda planes: torch.tensor(np.stack(planes))]
)
def test_planes_with_the_same_outlines_are_one_image(make):
    gray = np.eye(8, 20)
    colors = np.linspace(0.2, 1, 3)[:, None, None]
    for planes in (
        [gray] * 3,
        [gray] * 3 + [np.ones((8, 20))],  # an opacity
        list(1 - colors * gray),  # text of some color
        [gray, gray, np.ones((8, 20))],  # yellow on white
        [np.tile(np.arange(20.0), (8, 1))] * 3,  # a slope, which has no edges
    ):
        with pytest.raises(
            TypeError, match=r"its channels last: \[X\.transpose.*list\("
        ):
            check_images(make(planes))
        assert len(check_images(list(make(planes)))) == len(planes)


def test_other_planes_are_a_stack():
    gray = np.eye(8, 20)
    rng = np.random.default_rng(0)
    for stack in (
        [gray, gray, gray.T.reshape(8, 20)],
        [gray] * 2,
        [gray] * 5,
        [gray, np.ones((8, 20)), np.ones((8, 20))],
        np.ones((3, 8, 20)),  # blank frames
        np.ones((3, 1, 20)),
        rng.random((3, 8, 20)),
        np.full((4, 8, 20), np.nan),
    ):
        assert len(check_images(np.stack(stack))) == len(stack)
    # Not all of its 10^10 pixels are looked at.
    assert len(check_images(np.broadcast_to(np.uint8(0), (3, 10**5, 10**5)))) == 3


def test_a_drawn_color_image_is_told_from_a_stack():
    images, _ = make_captchas(6, random_state=0)
    for image in images:
        planes = [255 - (255 - image) * share for share in (0.9, 0.5, 0.3)]
        with pytest.raises(TypeError, match="a single image"):
            check_images(np.stack(planes))
    stack = np.stack(images)
    assert len(check_images(stack[:3])) == len(check_images(stack[2:])) - 1 == 3


def test_what_is_no_sequence_is_refused():
    with pytest.raises(TypeError, match="X is int; pass a list"):
        check_images(3)
    with pytest.raises(TypeError, match="X is NoneType"):
        check_images(None)


def test_empty_images_are_refused():
    for X in ([], np.zeros((0, 3, 4)), pd.Series([], dtype=object)):
        with pytest.raises(ValueError, match="X is empty; at least one image"):
            check_images(X)


def test_texts_in_any_container():
    for y in (["a", "bc"], ("a", "bc"), np.array(["a", "bc"]), pd.Series(["a", "bc"])):
        texts, _ = check_texts(y)
        assert texts == ["a", "bc"]
        assert {type(text) for text in texts} == {str}


@pytest.mark.parametrize(
    ("y", "error", "match"),
    [
        (["a", None], ValueError, r"y\[1\]=None is missing"),
        (["a", float("nan")], ValueError, r"y\[1\]=nan is missing"),
        (np.array([1.5, 2.0]), TypeError, r"y\[0\]=.*1\.5.* is no text \(float64\)"),
        (["a", 2.0], TypeError, r"y\[1\]=2.0 is no text \(float\)"),
        (["a", b"b"], TypeError, r"y\[1\]=b'b' is no text \(bytes\)"),
        (["a", True], TypeError, r"y\[1\]=True is no text \(bool\)"),
        ("abc", TypeError, "y='abc' is a single text"),
        (None, ValueError, "requires y to be passed, but the target y is None"),
        (3, ValueError, "y should be a 1d array"),
        (pd.Series(["a", None]), ValueError, r"y\[1\]=.* is missing"),
    ],
)
def test_bad_labels_are_named(y, error, match):
    with pytest.raises(error, match=match):
        check_texts(y)


@pytest.mark.parametrize("lost", [np.nan, None])
def test_missing_labels_that_numpy_made_texts_of_are_warned_of(lost):
    texts, notices = check_texts(np.array(["ab", lost, "c"], dtype=str))
    assert texts == ["ab", str(lost), "c"]
    ((message, _),) = notices
    assert message.startswith(f"1 label of 3 in y, an array of str, are {str(lost)!r}")
    assert check_texts(["ab", "nan", "None"])[1] == []
    assert check_texts(np.array(["-1", "12"]))[1] == []  # the results of sums


def test_integer_labels_warn_that_leading_zeros_are_lost():
    texts, [(message, category)] = check_texts(["0042", 7])
    assert texts == ["0042", "7"]
    assert re.match(r".*y\[1\]=7.*leading zeros are lost", message)
    assert category is LabelConversionWarning
    texts, notices = check_texts(np.array([12, 7]))
    assert texts == ["12", "7"] and len(notices) == 1


@pytest.mark.parametrize(
    "label",
    [
        " 1651",
        "1651 ",
        "1651\n",
        "1651\r\n",
        "\t1651",
        "\xa01651",
        "1651\u200b",
        "\ufeff1651",
        "\u202a1651\u202c",  # as Windows shows the path of a file
        "1651\u200d \u3000",
        "1651\x85",
    ],
)
def test_the_edges_of_labels_are_stripped_with_a_warning(label):
    texts, [(message, category)] = check_texts(["7", label, np.str_(label), "a b"])
    assert texts == ["7", "1651", "1651", "a b"]
    assert message.startswith("2 of 4 labels have white space")
    assert f"y[1]={label!r}" in message
    assert category is LabelConversionWarning


@pytest.mark.parametrize(
    ("label", "named"),
    [
        ("a\tb", r"'\\t' \(a control character\)"),
        ("a\nb", r"'\\n' \(a control character\)"),
        ("a\x00b", r"'\\x00' \(a control character\)"),
        ("a\x7fb", "a control character"),
        ("a\x85b", "a control character"),
        ("a\u200bb", r"'\\u200b' \(ZERO WIDTH SPACE\)"),
        ("中\ufeff文", "ZERO WIDTH NO-BREAK SPACE"),
        ("a\xadb", "SOFT HYPHEN"),
        ("א\u202eב", "RIGHT-TO-LEFT OVERRIDE"),
        ("a\u2028b", "LINE SEPARATOR"),
        ("a\u200db", "ZERO WIDTH JOINER"),
        ("מ\u200c1", "ZERO WIDTH NON-JOINER"),
    ],
)
def test_characters_that_no_image_shows_are_refused_by_name(label, named):
    with pytest.raises(ValueError, match=rf"y\[1\]=.* holds .*{named}.*delete it"):
        check_texts(["7", label])


@pytest.mark.parametrize("label", ["می\u200cخواهم", "क्\u200dष", "👨\u200d👩", "a\xa0b"])
def test_joiners_that_belong_to_the_spelling_stay(label):
    assert check_texts([label]) == ([label], [])


def test_fit_strips_labels_and_refuses_what_no_image_shows(captchas):
    X, y = captchas[0][:4], list(captchas[1][:4])
    recognizer = CaptchaRecognizer(**TINY, max_iter=1)
    with pytest.raises(ValueError, match=r"y\[3\]='a\\tb' holds '\\t'"):
        recognizer.fit(X, [*y[:3], "a\tb"])
    with pytest.warns(LabelConversionWarning, match="4 of 4 labels have white"):
        recognizer.partial_fit(X, [f"{text}\n" for text in y])
    assert "\n" not in recognizer.vocabulary_.characters


def test_a_label_of_white_space_is_empty():
    assert check_texts(["", "a"]) == (["", "a"], [])
    texts, [(message, _)] = check_texts([" \n", "a"])
    assert texts == ["", "a"] and message.startswith("1 of 2 labels have white space")


def test_unequal_lengths():
    with pytest.raises(ValueError, match="X has 2 images and y has 1 labels"):
        check_same_length([1, 2], ["a"])


@pytest.mark.parametrize(
    ("n_features", "shape"), [(64, (8, 8)), (1, (1, 1)), (7, (1, 7)), (12, (3, 4))]
)
def test_default_shape_is_the_most_nearly_square(n_features, shape):
    assert check_shape(None, n_features) == shape


def test_a_shape_that_does_not_hold_a_row_is_refused():
    assert check_shape((2, 2, 3), 12) == (2, 2, 3)
    with pytest.raises(
        ValueError, match=r"image_shape=\(5, 5\) holds 25 numbers, but a"
    ):
        check_shape((5, 5), 24)


def test_a_table_with_masked_numbers_is_refused():
    table = np.ma.masked_greater(np.arange(6.0).reshape(2, 3), 4)
    with pytest.raises(ValueError, match=r"a table with masked numbers; .*X\.filled"):
        check_text_table(table)
    check_text_table(np.ma.array(np.ones((2, 3))))
