"""The curve of a score over the number of labels, measured and continued."""

import numpy as np
import pandas as pd
import pytest
from joblib import parallel_config
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, KFold, PredefinedSplit
from sklearn.pipeline import make_pipeline
from support.data import TINY

from skcaptcha import CaptchaEnsemble, CaptchaRecognizer
from skcaptcha.inspection import label_curve
from skcaptcha.metrics import character_accuracy_scorer
from skcaptcha.preprocessing import DarkOnLight

FITS = []


class Learner(BaseEstimator):
    """Scores by the number of its labels, as a power law says, and notes its fits."""

    def __init__(self, factor=1, converges_from=0):
        self.factor = factor
        self.converges_from = converges_from

    def fit(self, X, y):
        self.X_, self.n_ = X, sum(label is not None for label in y)
        self.converged_ = self.n_ >= self.converges_from
        return self

    def score(self, X, y):
        assert None not in y
        FITS.append((self.X_, list(X)))
        return self.factor * max(0, 1 - 0.3 * (self.n_ / 50) ** -1)


@pytest.fixture(autouse=True)
def forget_fits():
    FITS.clear()


def make_labels(n):
    return [f"{i}.png" for i in range(n)], [f"{i:03}" for i in range(n)]


def number(name):
    return int(name.removesuffix(".png"))


def test_the_curve_is_measured_and_continued():
    found = label_curve(Learner(), *make_labels(400), random_state=0)
    assert found.train_sizes.tolist() == [38, 75, 150, 300]
    expected = 1 - 15 / np.array([38, 75, 150, 300])
    np.testing.assert_allclose(found.test_scores[:, 0], expected)
    assert found.n_tested.tolist() == [100] and found.converged.all()
    assert found.fit_times.shape == (4, 1) and (found.fit_times >= 0).all()
    assert found.estimate_sizes.tolist() == [400, 800, 1600]
    expected = 1 - 15 / found.estimate_sizes
    np.testing.assert_allclose(found.estimates, expected, atol=0.015)
    low, high = found.estimate_intervals.T
    assert (low < expected).all() and (expected < high).all()
    assert found.power_law.predict(400) == found.estimates[0]


def test_parts_are_nested_and_tested_by_others():
    label_curve(Learner(), *make_labels(40), random_state=0)
    parts = [set(train) for train, _ in FITS]
    assert [len(part) for part in parts] == [4, 8, 15, 30]
    assert all(a < b for a, b in zip(parts, parts[1:], strict=False))
    tests = {tuple(test) for _, test in FITS}
    assert len(tests) == 1 and not parts[-1] & set(*tests)
    assert parts[-1] | set(*tests) == set(make_labels(40)[0])


def test_each_repeat_holds_out_another_part():
    found = label_curve(Learner(), *make_labels(40), cv=4, random_state=0)
    assert found.test_scores.shape == (4, 4) and found.n_tested.tolist() == [10] * 4
    tested = sorted(number(name) for _, test in FITS[:4] for name in test)
    assert tested == list(range(40))
    for repeat in range(4):
        fits = FITS[repeat::4]
        assert set(fits[0][0]) < set(fits[1][0]) < set(fits[2][0]) < set(fits[3][0])
        assert len({tuple(test) for _, test in fits}) == 1


@pytest.mark.parametrize("cv", [None, 2])
def test_groups_stay_together(cv):
    X, y = make_labels(40)
    label_curve(
        Learner(),
        X,
        y,
        groups=np.arange(40) % 8,
        cv=cv,
        train_sizes=[1.0],
        random_state=0,
    )
    for train, test in FITS:
        assert not {number(x) % 8 for x in train} & {number(x) % 8 for x in test}


def test_unlabeled_images_of_a_group_that_is_tested_are_in_no_fit():
    X, y = make_labels(40)
    y[1::2] = [None] * 20
    groups = np.arange(40) // 2 % 4
    label_curve(Learner(), X, y, groups=groups, train_sizes=[1.0], random_state=0)
    ((train, test),) = FITS
    tested = {groups[number(x)] for x in test}
    assert not tested & {groups[number(x)] for x in train}
    assert {groups[number(x)] for x in train if x in X[1::2]} == {0, 1, 2, 3} - tested


@pytest.mark.parametrize("missing", [None, np.nan])
def test_unlabeled_images_are_in_each_fit_and_count_nowhere(missing):
    X, y = make_labels(60)
    y[20:] = [missing] * 40
    found = label_curve(Learner(), X, y, train_sizes=[5, 15], random_state=0)
    assert found.train_sizes.tolist() == [5, 15] and found.n_tested.tolist() == [5]
    assert found.estimate_sizes.tolist() == [20, 40, 80]
    for train, test in FITS:
        assert set(X[20:]) < set(train) and not set(X[20:]) & set(test)


@pytest.mark.parametrize(
    "cv", [PredefinedSplit([-1] * 15 + [0] * 5), [(range(15), range(15, 20))]]
)
def test_splits_of_the_caller_are_taken(cv):
    found = label_curve(Learner(), *make_labels(20), train_sizes=[5], cv=cv)
    assert found.n_tested.tolist() == [5]
    ((train, test),) = FITS
    assert len(train) == 5 and set(map(number, train)) < set(range(15))
    assert sorted(map(number, test)) == [15, 16, 17, 18, 19]


def test_positions_of_unlabeled_images_in_splits_of_the_caller():
    X, y = make_labels(20)
    y[2] = y[17] = None
    found = label_curve(
        Learner(), X, y, train_sizes=[4], cv=[(range(15), range(15, 20))]
    )
    ((train, test),) = FITS
    assert "2.png" in train and "17.png" not in [*train, *test]
    assert len(train) == 5 and found.n_tested.tolist() == [4]


def test_the_random_state_determines_the_parts():
    def list_parts(seed):
        FITS.clear()
        label_curve(Learner(), *make_labels(40), random_state=seed)
        return [train for train, _ in FITS]

    assert list_parts(0) == list_parts(0) != list_parts(1)
    assert list_parts(None) != list_parts(None)
    np.random.seed(0)
    before = np.random.get_state()[1].copy()
    list_parts(None)
    assert (np.random.get_state()[1] == before).all()


def test_parallel_fits_measure_the_same():
    one = label_curve(Learner(), *make_labels(40), cv=2, random_state=0)
    with parallel_config(backend="threading"):
        two = label_curve(Learner(), *make_labels(40), cv=2, random_state=0, n_jobs=2)
    np.testing.assert_array_equal(one.test_scores, two.test_scores)
    np.testing.assert_array_equal(one.estimate_intervals, two.estimate_intervals)


def test_scores_of_several_kinds():
    X, y = make_labels(40)

    def score(estimator, X, y):
        return estimator.score(X, y) / 2

    found = label_curve(Learner(), X, y, scoring=score)
    assert found.test_scores.max() < 0.5 and found.estimates.max() <= 1
    with pytest.raises(ValueError, match="gave 2.* from 0 to 1; pass another scorer"):
        label_curve(Learner(factor=4), X, y, train_sizes=[30])
    with pytest.raises(TypeError, match="must be one scorer"):
        label_curve(Learner(), X, y, scoring=["exact_match"])


def test_fits_that_do_not_learn_are_counted_once():
    X, y = make_labels(400)
    with pytest.warns(ConvergenceWarning) as caught:
        found = label_curve(Learner(converges_from=100), X, y, random_state=0)
    (warning,) = caught
    assert str(warning.message).startswith(
        "2 of 4 fits have not learned to read, from 38, 75 labels"
    )
    assert warning.filename == __file__
    assert found.converged[:, 0].tolist() == [False, False, True, True]


@pytest.mark.parametrize(
    "wrap",
    [
        lambda learner: make_pipeline("passthrough", learner),
        lambda learner: GridSearchCV(learner, {"factor": [1]}, cv=2),
    ],
)
def test_fits_inside_others_are_seen(wrap):
    with pytest.warns(ConvergenceWarning, match="1 of 1 fit have not learned"):
        label_curve(
            wrap(Learner(converges_from=100)), *make_labels(40), train_sizes=[1.0]
        )


@pytest.mark.parametrize(
    "make",
    [
        lambda: CaptchaRecognizer(**{**TINY, "max_iter": 1}),
        lambda: make_pipeline(
            DarkOnLight(), CaptchaRecognizer(**{**TINY, "max_iter": 1})
        ),
        lambda: CaptchaEnsemble(CaptchaRecognizer(**{**TINY, "max_iter": 1}), cv=2),
    ],
)
def test_readers_are_fitted(make, captchas):
    estimator = make()
    with pytest.warns(ConvergenceWarning, match="have not learned to read") as caught:
        found = label_curve(
            estimator,
            captchas[0][:24],
            captchas[1][:24],
            train_sizes=[8, 16],
            scoring="character_accuracy",
            random_state=0,
        )
    assert len(caught) == 1
    assert found.test_scores.shape == (2, 1) and not hasattr(estimator, "network_")
    assert found.estimate_sizes.tolist() == [24, 48, 96]


def test_rows_of_a_table_and_a_scorer_are_taken():
    rng = np.random.default_rng(0)
    table, y = rng.uniform(size=(16, 64)), [i % 2 for i in range(16)]
    recognizer = CaptchaRecognizer(
        max_iter=1, conv_channels=(4, 4), lstm_units=2, random_state=0
    )
    with pytest.warns() as caught:
        found = label_curve(
            recognizer,
            pd.DataFrame(table),
            y,
            train_sizes=[12],
            scoring=character_accuracy_scorer,
        )
    assert found.n_tested.tolist() == [4]
    messages = [str(warning.message) for warning in caught]
    assert sum("y holds integers" in message for message in messages) == 1


def test_a_reader_that_cannot_be_fitted_is_refused():
    class Exported:
        def score(self, X, y):
            return 1.0

    with pytest.raises(TypeError, match="has no fit, and the curve is made of fits"):
        label_curve(Exported(), *make_labels(20))


@pytest.mark.parametrize(
    "change, error, message",
    [
        ({"y": ["a"] * 3}, ValueError, "X has 20 images and y has 3 labels"),
        ({"y": "a" * 20}, TypeError, "is a single text"),
        ({"y": None}, ValueError, "requires y"),
        ({"y": ["a"] * 19 + [1.5]}, TypeError, r"y\[19\]=1.5 is no text"),
        ({"y": ["a"] * 3 + [None] * 17}, ValueError, "y has 3 labels; a curve takes 4"),
        ({"groups": [1]}, ValueError, "groups has 1 items and there are 20 samples"),
        ({"train_sizes": [0.5, 1.5]}, ValueError, r"must be shares in \(0, 1\]"),
        ({"train_sizes": [1]}, ValueError, "must be from 2 to 15"),
        ({"train_sizes": [16]}, ValueError, "must be from 2 to 15"),
        ({"train_sizes": "all"}, ValueError, "train_sizes='all' must be shares"),
        ({"cv": 1}, ValueError, "k-fold"),
        ({"cv": KFold(30)}, ValueError, "n_splits=30"),
        ({"cv": [([0], [1])]}, ValueError, "repeat 0 1 labels to learn from and 1 to"),
        ({"scoring": "no such"}, ValueError, "no such"),
    ],
)
def test_what_cannot_be_measured_is_named(change, error, message):
    X, y = make_labels(20)
    with pytest.raises(error, match=message):
        label_curve(Learner(), **{"X": X, "y": y, **change})
