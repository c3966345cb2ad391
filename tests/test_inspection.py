"""Wrong labels are found by recognizers that did not learn from them."""

import sys

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import (
    KFold,
    PredefinedSplit,
    ShuffleSplit,
    StratifiedKFold,
)
from support.data import TINY

from skcaptcha import CaptchaRecognizer
from skcaptcha.export import export_onnx, load_onnx
from skcaptcha.inspection import find_label_issues, list_issues
from skcaptcha.metrics import exact_match_score

pytestmark = pytest.mark.filterwarnings("ignore:The network has not learned to read")

WRONG = [3, 17, 40, 58, 77, 91, 120, 155]


@pytest.fixture(scope="module")
def corrupted(captchas):
    """The captchas, with eight labels in which one character is another."""
    images, texts = captchas
    texts = list(texts)
    for i in WRONG:
        texts[i] = str((int(texts[i][0]) + 1) % 4) + texts[i][1:]
    return images, texts


@pytest.fixture(scope="module")
def exported(fitted, tmp_path_factory):
    path = tmp_path_factory.mktemp("exported") / "fitted.onnx"
    export_onnx(fitted, path)
    return path


@pytest.fixture(scope="module")
def found(corrupted):
    recognizer = CaptchaRecognizer(max_iter=35, **TINY)
    return find_label_issues(recognizer, *corrupted, cv=2)


def test_wrong_labels_come_first(found):
    first = found.ranking[: len(WRONG)].tolist()
    assert len(set(first) & set(WRONG)) >= len(WRONG) - 1
    assert sorted(found.ranking.tolist()) == list(range(200))
    assert (np.diff(found.self_confidence[found.ranking]) >= 0).all()


def test_issues_are_the_labels_that_were_not_read(found, corrupted, captchas):
    texts = corrupted[1]
    assert found.is_issue.tolist() == [
        read != text for read, text in zip(found.y_pred, texts, strict=True)
    ]
    assert set(np.flatnonzero(found.is_issue)) >= set(found.ranking[:6])
    assert exact_match_score(captchas[1], found.y_pred) > 0.8
    assert (found.self_confidence >= 0).all() and (found.self_confidence <= 1).all()


def test_a_fitted_reader_judges_the_labels(fitted, corrupted, exported):
    images, texts = corrupted[0][160:], list(corrupted[1][160:])  # not fitted on these
    texts[9] = "0" * len(texts[9])
    for reader in (fitted, load_onnx(exported)):
        found = find_label_issues(reader, images, texts, cv="prefit")
        assert found.y_pred.tolist() == reader.predict(images).tolist()
        expected = reader.predict_confidence(images)
        np.testing.assert_allclose(found.confidence, expected, atol=1e-6)
        right = ~found.is_issue
        np.testing.assert_allclose(
            found.self_confidence[right], found.confidence[right], atol=1e-6
        )
        likely = set(np.flatnonzero(found.is_likely_wrong))
        assert {9} <= likely <= set(np.flatnonzero(found.is_issue))
        assert (found.confidence[list(likely)] >= 0.95).all()
        assert (found.self_confidence[list(likely)] <= 1e-3).all()
    with pytest.raises(TypeError, match="recognizer='a' must be"):
        find_label_issues("a", images, texts, cv="prefit")


def test_a_label_that_the_reader_cannot_read_is_not_called_wrong(fitted, captchas):
    images, texts = captchas[0][160:], list(captchas[1][160:])
    texts[9] = "0" * len(texts[9])
    texts[12] = "\N{SNOWMAN}" * len(texts[12])
    texts[15] = "b" + texts[15][1:]
    said = r"2 of 40 labels have characters .* does not know \('b', '☃'\), so that"
    with pytest.warns(UserWarning, match=said):
        found = find_label_issues(fitted, images, texts, cv="prefit")
    assert found.is_issue[[9, 12, 15]].all()
    assert found.is_likely_wrong[[9, 12, 15]].tolist() == [True, False, False]


def test_a_text_of_a_length_that_no_label_has_makes_no_label_wrong(fitted, captchas):
    images, texts = captchas[0][160:], [text + "00" for text in captchas[1][160:]]
    found = find_label_issues(fitted, images, texts, cv="prefit")
    assert found.is_issue.all() and not found.is_likely_wrong.any()


def test_the_recognizer_and_the_data_stay_as_they_are(corrupted):
    images, texts = corrupted[0][:24], corrupted[1][:24]
    recognizer = CaptchaRecognizer(**{**TINY, "max_iter": 1})
    before = [image.copy() for image in images]
    find_label_issues(recognizer, images, texts, cv=2)
    assert not hasattr(recognizer, "network_")
    assert all((a == b).all() for a, b in zip(before, images, strict=True))


def test_samples_that_no_fold_tests_have_no_confidence(corrupted):
    images, texts = corrupted[0][:24], corrupted[1][:24]
    recognizer = CaptchaRecognizer(**{**TINY, "max_iter": 1})
    split = PredefinedSplit([-1] * 20 + [0] * 4)
    found = find_label_issues(recognizer, images, texts, cv=split)
    assert np.isnan(found.self_confidence).tolist() == [True] * 20 + [False] * 4
    assert found.y_pred[:20].tolist() == [None] * 20
    assert not found.is_issue[:20].any()
    assert set(found.ranking[:4]) == {20, 21, 22, 23}


def test_labels_with_characters_of_their_own_are_not_believed(corrupted):
    images, texts = corrupted[0][:24], list(corrupted[1][:24])
    texts[5] = "\N{SNOWMAN}"
    recognizer = CaptchaRecognizer(**{**TINY, "max_iter": 1})
    found = find_label_issues(recognizer, images, texts, cv=KFold(3))
    assert found.self_confidence[5] < 0.05 and found.is_issue[5]


def test_a_fold_without_a_character_knows_it(corrupted, monkeypatch):
    images, texts = corrupted[0][:24], [text.replace("3", "0") for text in corrupted[1]]
    texts = texts[:24]
    texts[5] = "3" + texts[5][1:]
    seen, fit = [], CaptchaRecognizer.fit

    def record(recognizer, X, y):
        seen.append("".join(fit(recognizer, X, y).vocabulary_))
        return recognizer

    monkeypatch.setattr(CaptchaRecognizer, "fit", record)
    recognizer = CaptchaRecognizer(**{**TINY, "max_iter": 1})
    find_label_issues(recognizer, images, texts, cv=KFold(3))
    assert seen == ["0123"] * 3 and recognizer.vocabulary is None


def test_errors_have_the_positions_and_files_of_all_samples(corrupted, png_folder):
    texts = list(corrupted[1][:12])
    texts[9] = "1" * 99
    paths = [png_folder / f"{i}.png" for i in range(12)]
    recognizer = CaptchaRecognizer(**TINY)
    with pytest.raises(ValueError, match=r"y\[9\]=.* and X\[9\]='.*9.png', of shape"):
        find_label_issues(recognizer, paths, texts, cv=3)
    texts[9] = "x"
    recognizer.set_params(vocabulary="0123")
    with pytest.raises(ValueError, match=r"y\[9\]='x' contains 'x'"):
        find_label_issues(recognizer, paths, texts, cv=3)


@pytest.mark.parametrize("cv", [[], iter([])])
def test_no_folds_are_refused(corrupted, cv):
    with pytest.raises(ValueError, match="yields no folds.* pass a list"):
        find_label_issues(CaptchaRecognizer(**TINY), *corrupted, cv=cv)


def test_folds_of_any_kind_are_taken(corrupted):
    images, texts = corrupted[0][:12], ["1", "2"] * 6
    recognizer = CaptchaRecognizer(**{**TINY, "max_iter": 1})
    is_first = np.arange(12) < 6
    for cv in (StratifiedKFold(2), [(is_first, ~is_first), (~is_first, is_first)]):
        found = find_label_issues(recognizer, images, texts, cv=cv)
        assert not np.isnan(found.confidence).any()


def test_equal_texts_in_other_normal_forms_have_one_length():
    texts = ["\u0438\u0306\u0430", "\u0438\u0306\u0430"]  # two characters each
    read = np.array(["\u0439\u0430", "\u0439\u0439"], dtype=object)
    found = list_issues(texts, read, np.full(2, 0.99), np.array([0.99, 1e-9]))
    assert found.is_issue.tolist() == found.is_likely_wrong.tolist() == [False, True]


def test_a_table_with_masked_numbers_is_refused(fitted):
    table = np.ma.masked_less(np.arange(12.0).reshape(3, 4), 5)
    with pytest.raises(ValueError, match="a table with masked numbers"):
        find_label_issues(fitted, table, ["1", "2", "3"], cv="prefit")


def test_rows_of_a_table_are_taken_as_fit_takes_them():
    rng = np.random.default_rng(0)
    table, y = rng.uniform(size=(12, 64)), [str(i % 2) for i in range(12)]
    recognizer = CaptchaRecognizer(
        max_iter=1, conv_channels=(4, 4), lstm_units=2, random_state=0
    )
    found = find_label_issues(recognizer, pd.DataFrame(table), y, cv=2)
    assert found.ranking.shape == (12,) and not np.isnan(found.self_confidence).any()


def test_columns_of_a_data_frame_have_to_be_those_of_the_fit():
    rng = np.random.default_rng(0)
    X, texts = pd.DataFrame(rng.uniform(size=(12, 64))), ["0", "1"] * 6
    X.columns = [f"p{i}" for i in X.columns]
    reader = CaptchaRecognizer(max_iter=1, **TINY).fit(X, texts)
    found = find_label_issues(reader, X, texts, cv="prefit")
    assert found.y_pred.tolist() == reader.predict(X).tolist()
    with pytest.raises(ValueError, match="feature names should match"):
        find_label_issues(reader, X[X.columns[::-1]], texts, cv="prefit")


def test_a_data_frame_has_what_is_likely_wrong_first(fitted, corrupted, png_folder):
    paths = [png_folder / f"{i}.png" for i in range(160, 200)]
    texts = list(corrupted[1][160:])
    texts[9] = "0" * len(texts[9])
    found = find_label_issues(fitted, paths, texts, cv="prefit", as_frame=True)
    frame, n_issues = found.frame, found.is_issue.sum()
    assert frame.index[0] == 9 and frame["filename"][9] == str(paths[9])
    assert frame["label"][9] == texts[9] and frame["y_pred"][9] == found.y_pred[9]
    assert sorted(frame.index) == list(range(40))
    n_wrong = frame["is_likely_wrong"].sum()
    assert frame["is_likely_wrong"].tolist() == [True] * n_wrong + [False] * (
        40 - n_wrong
    )
    assert frame["is_issue"].tolist() == [True] * n_issues + [False] * (40 - n_issues)
    assert frame["self_confidence"][:n_wrong].is_monotonic_increasing
    assert frame["self_confidence"][n_issues:].is_monotonic_increasing
    assert "frame" not in find_label_issues(fitted, paths, texts, cv="prefit")
    images = corrupted[0][160:]
    frame = find_label_issues(fitted, images, texts, cv="prefit", as_frame=True).frame
    assert list(frame.columns) == [
        "label",
        "y_pred",
        "confidence",
        "self_confidence",
        "is_issue",
        "is_likely_wrong",
    ]


def test_a_data_frame_of_a_cross_validation(corrupted, png_folder):
    paths = [str(png_folder / f"{i}.png") for i in range(24)]
    recognizer = CaptchaRecognizer(**{**TINY, "max_iter": 1})
    found = find_label_issues(recognizer, paths, corrupted[1][:24], cv=2, as_frame=True)
    assert sorted(found.frame["filename"]) == sorted(paths)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "pandas", None)
        with pytest.raises(ImportError, match=r'pip install "skcaptcha\[pandas\]"'):
            find_label_issues(recognizer, paths, corrupted[1][:24], as_frame=True)


@pytest.mark.parametrize(
    "change, error, message",
    [
        ({"recognizer": "a"}, TypeError, "recognizer='a' must be a CaptchaRecognizer"),
        ({"y": ["1"]}, ValueError, "X has 4 images and y has 1 labels"),
        ({"cv": 1}, ValueError, "k-fold"),
        ({"cv": ShuffleSplit(1, test_size=9)}, ValueError, "test_size=9"),
    ],
)
def test_what_cannot_be_judged_is_named(captchas, change, error, message):
    arguments = {
        "recognizer": CaptchaRecognizer(),
        "X": captchas[0][:4],
        "y": captchas[1][:4],
        **change,
    }
    with pytest.raises(error, match=message):
        find_label_issues(**arguments)
