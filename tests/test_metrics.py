"""Metrics, report and scorers against answers counted by hand."""

import pickle

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import BaseEstimator
from sklearn.calibration import calibration_curve
from sklearn.metrics import accuracy_score, make_scorer
from sklearn.model_selection import GridSearchCV, cross_validate

from skcaptcha.metrics import (
    SCORERS,
    character_accuracy_score,
    character_accuracy_scorer,
    character_confusion,
    character_error_rate,
    confidence_threshold,
    exact_match_score,
    exact_match_scorer,
    mean_edit_distance,
    normalized_edit_distance,
    normalized_edit_distance_scorer,
    recognition_report,
    reliability_curve,
    risk_coverage_curve,
)

METRICS = [
    exact_match_score,
    character_accuracy_score,
    character_error_rate,
    mean_edit_distance,
    normalized_edit_distance,
    character_confusion,
    recognition_report,
]
E_ACUTE = "e\u0301"  # the decomposed spelling

# Edits by hand: 0, 1 (substitution), 1 (deletion), 2 (insertions), of 4+4+2+2 true.
Y_TRUE = ["ab12", "ab12", "xy", "xy"]
Y_PRED = ["ab12", "ao12", "x", "0xy0"]


def reference_distance(true, pred):
    """Levenshtein's distance by the textbook table."""
    table = np.zeros((len(true) + 1, len(pred) + 1), dtype=int)
    table[:, 0] = range(len(true) + 1)
    table[0] = range(len(pred) + 1)
    for i, a in enumerate(true, 1):
        for j, b in enumerate(pred, 1):
            table[i, j] = min(
                table[i - 1, j] + 1,
                table[i, j - 1] + 1,
                table[i - 1, j - 1] + (a != b),
            )
    return int(table[-1, -1])


def test_known_answers():
    assert exact_match_score(Y_TRUE, Y_PRED) == 0.25
    assert exact_match_score(Y_TRUE, Y_PRED, normalize=False) == 1
    assert character_error_rate(Y_TRUE, Y_PRED) == pytest.approx(4 / 12)
    assert character_accuracy_score(Y_TRUE, Y_PRED) == pytest.approx(8 / 12)
    assert mean_edit_distance(Y_TRUE, Y_PRED) == 1.0
    expected = (0 / 4 + 1 / 4 + 1 / 2 + 2 / 4) / 4
    assert normalized_edit_distance(Y_TRUE, Y_PRED) == pytest.approx(expected)


@settings(deadline=None)
@given(st.lists(st.tuples(st.text("abc"), st.text("abc")), min_size=1, max_size=5))
def test_distances_agree_with_the_textbook_table(pairs):
    y_true, y_pred = map(list, zip(*pairs, strict=True))
    distances = np.array([reference_distance(*pair) for pair in pairs])
    n_characters = sum(map(len, y_true))
    longest = np.array([max(len(a), len(b), 1) for a, b in pairs])
    assert mean_edit_distance(y_true, y_pred) == pytest.approx(distances.mean())
    assert normalized_edit_distance(y_true, y_pred) == pytest.approx(
        (distances / longest).mean()
    )
    rate = character_error_rate(y_true, y_pred)
    assert rate == pytest.approx(distances.sum() / max(n_characters, 1))
    assert character_accuracy_score(y_true, y_pred) == pytest.approx(max(0, 1 - rate))
    matrix, _ = character_confusion(y_true, y_pred)
    assert matrix.sum() - np.trace(matrix) == distances.sum()
    assert matrix[:-1].sum() == n_characters


def test_error_rate_exceeds_one_and_accuracy_stops_at_zero():
    assert character_error_rate(["a"], ["bcd"]) == 3
    assert character_accuracy_score(["a"], ["bcd"]) == 0
    assert normalized_edit_distance(["a"], ["bcd"]) == 1


def test_empty_texts():
    assert exact_match_score(["", "a"], ["", ""]) == 0.5
    assert character_error_rate(["", "a"], ["", ""]) == 1
    assert normalized_edit_distance(["", "", "a"], ["", "b", ""]) == pytest.approx(
        2 / 3
    )
    # No true character at all: nothing read is right, each character read an error.
    assert character_error_rate(["", ""], ["", ""]) == 0
    assert character_accuracy_score(["", ""], ["", ""]) == 1
    assert character_error_rate(["", ""], ["ab", "c"]) == 3
    assert character_accuracy_score(["", ""], ["ab", "c"]) == 0
    matrix, labels = character_confusion([""], [""])
    assert labels == [""] and matrix.tolist() == [[0]]
    report = recognition_report([""], [""], output_dict=True)
    assert report["per_character"] == {} and report["confusions"] == []
    assert "confusions" not in recognition_report([""], [""])


def test_both_spellings_of_an_accented_letter_are_equal():
    assert exact_match_score(["é1"], [E_ACUTE + "1"]) == 1
    assert character_error_rate([E_ACUTE + "1"], ["é1"]) == 0
    assert character_error_rate([E_ACUTE], ["e"]) == 1  # one character, one error
    _, labels = character_confusion([E_ACUTE], ["é"])
    assert labels == ["é", ""]


def test_exact_match_weights_follow_accuracy_score():
    weights = [1, 2, 3, 4]
    for normalize in [True, False]:
        got = exact_match_score(
            Y_TRUE, Y_PRED, normalize=normalize, sample_weight=weights
        )
        expected = accuracy_score(
            Y_TRUE, Y_PRED, normalize=normalize, sample_weight=weights
        )
        assert got == pytest.approx(expected)
    with pytest.raises(ValueError, match=r"sample_weight has shape \(2,\).* 4 samples"):
        exact_match_score(Y_TRUE, Y_PRED, sample_weight=[1, 2])
    with pytest.raises(ValueError, match="sample_weight sums to 0"):
        exact_match_score(Y_TRUE, Y_PRED, sample_weight=np.zeros(4))
    for wrong in (-1.0, np.nan, np.inf):
        with pytest.raises(
            ValueError, match=f"sample_weight holds {wrong}; weights are"
        ):
            exact_match_score(Y_TRUE, Y_PRED, sample_weight=[1, wrong, 2, 3])
    with pytest.raises(ValueError, match="sample_weight sums to inf"):
        exact_match_score(Y_TRUE, Y_PRED, sample_weight=[1e308] * 4)


@pytest.mark.parametrize(
    "convert",
    [
        tuple,
        np.array,
        lambda texts: np.array(texts, dtype=object),
        lambda texts: pd.Series(texts, index=[9, 8, 7, 6]),
        lambda texts: pd.Series(texts, dtype=object),
    ],
)
@pytest.mark.parametrize("metric", METRICS)
def test_every_kind_of_sequence_gives_the_same(metric, convert):
    expected = metric(Y_TRUE, Y_PRED)
    np.testing.assert_equal(metric(convert(Y_TRUE), convert(Y_PRED)), expected)


@pytest.mark.parametrize("metric", METRICS)
def test_bad_input_is_refused(metric):
    with pytest.raises(ValueError, match="y_true and y_pred are empty"):
        metric([], [])
    with pytest.raises(ValueError, match="y_true has 1 texts and y_pred has 2"):
        metric(["a"], ["a", "b"])
    with pytest.raises(TypeError, match="y_true='ab' is str; pass a list"):
        metric("ab", ["a", "b"])
    with pytest.raises(TypeError, match="y_pred=None is NoneType; pass a list"):
        metric(["a"], None)
    with pytest.raises(TypeError, match=r"y_true\[1\]=True is bool, not str"):
        metric(["a", True], ["a", "b"])
    with pytest.raises(TypeError, match=r"y_pred\[0\]=None is NoneType, not str"):
        metric(["a", "b"], [None, "b"])
    with pytest.raises(TypeError, match=r"y_true\[1\]=(nan is float|None is None)"):
        metric(pd.Series(["a", None]), ["a", "b"])
    with pytest.raises(ValueError, match="y_pred has 2 dimensions"):
        metric(["a"], np.array([["a"]]))
    with pytest.raises(ValueError, match="y_true has 0 dimensions"):
        metric(np.array("a"), ["a"])


@pytest.mark.parametrize("metric", METRICS)
def test_integers_are_their_decimal_text(metric):
    as_texts = metric(["12", "7"], ["12", "8"])
    assert str(metric(np.array([12, 7]), ["12", "8"])) == str(as_texts)


def test_confusion_counts_substitutions_insertions_and_deletions():
    matrix, labels = character_confusion(Y_TRUE, Y_PRED)
    assert labels == ["0", "1", "2", "a", "b", "o", "x", "y", ""]
    counts = {(labels[i], labels[j]): int(matrix[i, j]) for i, j in np.argwhere(matrix)}
    assert counts == {
        ("a", "a"): 2,
        ("b", "b"): 1,
        ("b", "o"): 1,
        ("1", "1"): 2,
        ("2", "2"): 2,
        ("x", "x"): 2,
        ("y", "y"): 1,
        ("y", ""): 1,
        ("", "0"): 2,
    }
    assert matrix.dtype == np.int64


def test_confusion_labels_choose_and_order():
    matrix, labels = character_confusion(Y_TRUE, Y_PRED, labels="yx")
    assert labels == ["y", "x", ""]
    assert matrix.tolist() == [[1, 0, 1], [0, 2, 0], [0, 0, 0]]
    again, _ = character_confusion(Y_TRUE, Y_PRED, labels=labels)
    assert np.array_equal(matrix, again)  # labels that came back can be passed on
    for wrong in [["a", "a"], ["ab"]]:
        with pytest.raises(ValueError, match="`labels` holds 'ab?' twice or as more"):
            character_confusion(Y_TRUE, Y_PRED, labels=wrong)


def test_confusion_labels_are_integers_as_texts_are():
    matrix, labels = character_confusion(["012", "00"], ["012", "01"], labels=range(3))
    assert labels == ["0", "1", "2", ""]
    assert matrix.tolist()[0] == [2, 1, 0, 0]
    with pytest.raises(TypeError, match=r"labels\[1\]=None is NoneType, not str"):
        character_confusion(Y_TRUE, Y_PRED, labels=["a", None])


def test_report_as_dictionary():
    report = recognition_report(Y_TRUE, Y_PRED, output_dict=True)
    assert report["n_samples"] == 4
    assert report["exact_match"] == 0.25
    assert report["character_accuracy"] == pytest.approx(8 / 12)
    assert report["character_error_rate"] == pytest.approx(4 / 12)
    assert report["mean_edit_distance"] == 1
    assert report["normalized_edit_distance"] == pytest.approx(1.25 / 4)
    assert report["per_length"] == {
        2: {
            "exact_match": 0.0,
            "exact_match_interval": pytest.approx((0, 0.6576), abs=1e-4),
            "character_accuracy": 0.25,
            "character_accuracy_interval": pytest.approx((0.0368, 0.7439), abs=1e-4),
            "support": 2,
        },
        4: {
            "exact_match": 0.5,
            "exact_match_interval": pytest.approx((0.0945, 0.9055), abs=1e-4),
            "character_accuracy": 0.875,
            "character_accuracy_interval": pytest.approx((0.5046, 0.9796), abs=1e-4),
            "support": 2,
        },
    }
    assert report["exact_match_interval"] == pytest.approx((0.0456, 0.6994), abs=1e-4)
    assert report["per_character"]["b"] == {
        "precision": 1.0,
        "recall": 0.5,
        "support": 2,
    }
    # '0' was read twice and is never there.
    assert report["per_character"]["0"] == {
        "precision": 0.0,
        "recall": 0.0,
        "support": 0,
    }
    assert report["confusions"] == [("", "0", 2), ("b", "o", 1), ("y", "", 1)]


def test_report_as_text():
    assert recognition_report(Y_TRUE, Y_PRED, digits=3) == "\n".join(
        [
            "samples                       4   95 % interval",
            "exact match               0.250  0.046 to 0.699",
            "character accuracy        0.667  0.308 to 0.900",
            "character error rate      0.333",
            "mean edit distance        1.000",
            "normalized edit distance  0.312",
            "",
            "Only 4 images were tested: the true exact match may be anything from 0.05 "
            "to 0.70.",
            "",
            "length  exact match   95 % interval"
            "  char. accuracy   95 % interval  support",
            "2             0.000  0.000 to 0.658"
            "           0.250  0.037 to 0.744        2",
            "4             0.500  0.095 to 0.905"
            "           0.875  0.505 to 0.980        2",
            "",
            "character  precision  recall  support",
            "'0'            0.000   0.000        0",
            "'1'            1.000   1.000        2",
            "'2'            1.000   1.000        2",
            "'a'            1.000   1.000        2",
            "'b'            1.000   0.500        2",
            "'o'            0.000   0.000        0",
            "'x'            1.000   1.000        2",
            "'y'            1.000   0.500        2",
            "",
            "most frequent confusions      count",
            "'0' read where there is none      2",
            "'b' read as 'o'                   1",
            "'y' not read                      1",
        ]
    )


def test_few_images_are_said_to_be_few():
    y = ["ab"] * 29
    text = recognition_report(y, y)
    assert "\nOnly 29 images were tested: the true exact match may be anything" in text
    assert "Only 1 image was tested" in recognition_report(["a"], ["a"])
    assert "tested" not in recognition_report([*y, "a"], [*y, "b"])


def test_report_lists_as_many_confusions_as_asked_for():
    text = recognition_report(Y_TRUE, Y_PRED, n_confusions=1)
    assert "'0' read where there is none" in text and "'y' not read" not in text
    assert "confusions" not in recognition_report(Y_TRUE, Y_PRED, n_confusions=0)
    assert "confusions" not in recognition_report(Y_TRUE, Y_TRUE)


class Echo(BaseEstimator):
    """Reads each text in X, the last character left out if told so."""

    def __init__(self, cut=False):
        self.cut = cut

    def fit(self, X, y):
        self.fitted_ = True
        return self

    def predict(self, X):
        return np.array([text[:-1] if self.cut else text for text in X])


def test_scorers_have_known_values_and_signs():
    X = y = np.array(["ab", "cd", "ef", "gh"])
    estimator = Echo(cut=True).fit(X, y)
    assert exact_match_scorer(estimator, X, y) == 0
    assert character_accuracy_scorer(estimator, X, y) == 0.5
    assert normalized_edit_distance_scorer(estimator, X, y) == -0.5  # greater is better
    assert exact_match_scorer(Echo().fit(X, y), X, y) == 1


def test_scorers_work_in_model_selection():
    X = y = np.array(["ab", "cd", "ef", "gh"])
    results = cross_validate(Echo(cut=True), X, y, cv=2, scoring=SCORERS)
    assert results["test_exact_match"].tolist() == [0, 0]
    assert results["test_character_accuracy"].tolist() == [0.5, 0.5]
    assert results["test_normalized_edit_distance"].tolist() == [-0.5, -0.5]
    search = GridSearchCV(
        Echo(), {"cut": [True, False]}, cv=2, scoring=SCORERS, refit="exact_match"
    )
    assert search.fit(X, y).best_params_ == {"cut": False}


@pytest.mark.parametrize(
    ("metric", "sensitive", "folded"),
    [
        (exact_match_score, 1 / 3, 2 / 3),
        (character_error_rate, 4 / 9, 1 / 9),
        (character_accuracy_score, 5 / 9, 8 / 9),
        (mean_edit_distance, 4 / 3, 1 / 3),
        (normalized_edit_distance, 4 / 9, 1 / 9),
    ],
)
def test_case_is_ignored_if_asked(metric, sensitive, folded):
    y_true, y_pred = ["abC", "xyz", "123"], ["ABc", "xyz", "124"]
    assert metric(y_true, y_pred) == pytest.approx(sensitive)
    assert metric(y_true, y_pred, case_sensitive=False) == pytest.approx(folded)
    sign = 1 if metric in (exact_match_score, character_accuracy_score) else -1
    scorer = make_scorer(metric, greater_is_better=sign > 0, case_sensitive=False)
    assert scorer(_Says(y_pred), None, y_true) == pytest.approx(sign * folded)


class _Says(BaseEstimator):
    def __init__(self, texts):
        self.texts = texts

    def predict(self, X):
        return self.texts


def test_case_is_folded_as_unicode_has_it_and_accents_stay():
    y_true = ["\u00c9t\u00e9", "STRASSE", "\u039f\u0394\u039f\u03a3", "e"]
    y_pred = ["e\u0301te\u0301", "stra\u00dfe", "\u03bf\u03b4\u03bf\u03c2", "\u00e9"]
    assert exact_match_score(y_true, y_pred, case_sensitive=False) == 3 / 4
    assert exact_match_score(y_true, y_pred) == 0


def test_report_and_confusion_ignore_case_if_asked():
    report = recognition_report(
        ["aB", "c"], ["Ab", "D"], output_dict=True, case_sensitive=False
    )
    assert report["exact_match"] == 0.5
    assert report["confusions"] == [("c", "d", 1)]
    assert list(report["per_character"]) == ["a", "b", "c", "d"]
    matrix, labels = character_confusion(
        ["aB"], ["Ab"], labels=["A", "b"], case_sensitive=False
    )
    assert labels == ["a", "b", ""] and matrix.tolist()[:2] == [[1, 0, 0], [0, 1, 0]]


@pytest.mark.parametrize("name", SCORERS)
def test_scorers_pickle(name):
    X = y = np.array(["ab", "cd"])
    scorer = pickle.loads(pickle.dumps(SCORERS[name]))
    estimator = Echo(cut=True).fit(X, y)
    assert scorer(estimator, X, y) == SCORERS[name](estimator, X, y)


def test_whole_floats_are_compared_as_integers():
    assert exact_match_score(np.array([5.0, 12.0]), ["5", "12"]) == 1
    with pytest.raises(TypeError, match=r"y_true\[1\]=np.float64\(2.5\) is float64"):
        exact_match_score(np.array([5.0, 2.5]), ["5", "2"])


# Curves of the confidence


def test_bins_hold_their_lower_end_and_the_last_one_both():
    edges, counts, prob_true, prob_pred = reliability_curve(
        [1, 0, 1, 1], [0.0, 0.5, 0.75, 1.0], n_bins=2
    )
    assert edges.tolist() == [0, 0.5, 1]
    assert counts.tolist() == [1, 3]
    assert prob_true.tolist() == [1, pytest.approx(2 / 3)]
    assert prob_pred.tolist() == [0, 0.75]


@pytest.mark.parametrize("strategy", ["uniform", "quantile"])
def test_reliability_is_that_of_scikit_learn(strategy):
    rng = np.random.default_rng(0)
    confidence = rng.beta(4, 0.5, 500)
    is_right = rng.random(500) < confidence
    _, counts, *found = reliability_curve(is_right, confidence, strategy=strategy)
    expected = calibration_curve(is_right, confidence, n_bins=10, strategy=strategy)
    assert counts.sum() == 500
    for values, right in zip(found, expected, strict=True):
        np.testing.assert_allclose(values[counts > 0], right)
        assert np.isnan(values[counts == 0]).all()


def test_quantiles_that_coincide_make_one_bin():
    confidence = [1.0] * 9 + [0.5]
    edges, counts, *_ = reliability_curve(
        [1] * 9 + [0], confidence, strategy="quantile"
    )
    assert counts.sum() == 10
    assert (np.diff(edges) > 0).all()


@pytest.mark.parametrize(
    ("is_right", "confidence", "coverage", "risk"),
    [
        ([1, 1, 0, 1], [0.9, 0.8, 0.7, 0.2], [0.25, 0.5, 0.75, 1], [0, 0, 1 / 3, 0.25]),
        ([0, 1, 1, 0], [0.5, 0.9, 0.5, 0.5], [0.25, 1], [0, 0.5]),  # equal: together
    ],
)
def test_risk_is_the_share_of_errors_among_the_surest(
    is_right, confidence, coverage, risk
):
    found = risk_coverage_curve(is_right, confidence)
    expected = coverage, risk, sorted(set(confidence), reverse=True)
    for values, right in zip(found, expected, strict=True):
        np.testing.assert_allclose(values, right)


@pytest.mark.parametrize(
    "precision, threshold", [(1, 0.9), (0.8, 0.9), (0.75, 0.6), (0.5, 0.5)]
)
def test_the_lowest_confidence_that_gives_a_precision(precision, threshold):
    is_right, confidence = [1, 0, 1, 0, 1], [0.9, 0.7, 0.6, 0.5, 0.95]
    assert confidence_threshold(is_right, confidence, precision) == threshold


def test_no_text_is_accepted_where_no_threshold_gives_a_precision():
    threshold = confidence_threshold([False, True], [0.9, 0.8], 0.99)
    assert threshold == np.inf and not (np.array([1.0]) >= threshold).any()
    # Texts of one confidence are accepted together.
    assert confidence_threshold([True, False], [0.9, 0.9], 0.9) == np.inf


@pytest.mark.parametrize(("n_right", "n"), [(17, 25), (93, 100), (67, 100), (33, 50)])
def test_a_precision_that_is_reached_exactly_counts(n_right, n):
    is_right = np.arange(n) < n_right
    assert confidence_threshold(is_right, np.full(n, 0.5), n_right / n) == 0.5
    assert confidence_threshold(is_right, np.full(n, 0.5), n_right / n + 1e-9) == np.inf


CURVES = (
    reliability_curve,
    risk_coverage_curve,
    lambda is_right, confidence: confidence_threshold(is_right, confidence, 0.9),
)


@pytest.mark.parametrize("curve", CURVES)
@pytest.mark.parametrize(
    "is_right, confidence, message",
    [
        ([], [], "at least one text"),
        ([1, 0, 1], [0.9, 0.8], r"the shape \(3,\) and confidence the shape \(2,\)"),
        ([1, 0], [0.9, np.nan], r"confidence\[1\] is NaN, as for an image that was"),
        ([1, np.nan], [0.9, 0.8], r"is_right\[1\]=nan must be True or False"),
        (["True", "False"], [0.9, 0.8], r"is_right\[0\]='True' must be True or False"),
    ],
)
def test_curves_take_one_answer_and_one_number_of_each_text(
    curve, is_right, confidence, message
):
    with pytest.raises(ValueError, match=message):
        curve(is_right, confidence)


@pytest.mark.parametrize(
    "confidence, options, message",
    [
        ([90, 0.5], {}, r"confidence\[0\]=90.0 is not from 0 to 1"),
        ([0.9, -1], {}, r"confidence\[1\]=-1.0 is not from 0 to 1"),
        ([0.9, 0.5], {"strategy": "quantil"}, "strategy='quantil' must be 'uniform'"),
        ([0.9, 0.5], {"n_bins": 0}, "n_bins=0 must be an int of at least 1"),
    ],
)
def test_bins_are_of_probabilities(confidence, options, message):
    with pytest.raises(ValueError, match=message):
        reliability_curve([True, False], confidence, **options)


@pytest.mark.parametrize(
    "is_right, confidence, precision, message",
    [
        ([True], [0.9], 0, "precision=0 must be"),
        ([True], [0.9], 99, "precision=99 must be"),
        ([True], [0.9], "0.9", "precision='0.9' must be"),
        ([], [], 0.9, "at least one text"),
        ([True], [0.9, 0.8], 0.9, r"the shape \(1,\) and confidence the shape \(2,\)"),
        ([True, True], [0.9, np.nan], 0.9, r"confidence\[1\] is NaN"),
    ],
)
def test_a_threshold_needs_texts_and_a_share(is_right, confidence, precision, message):
    with pytest.raises(ValueError, match=message):
        confidence_threshold(is_right, confidence, precision)
