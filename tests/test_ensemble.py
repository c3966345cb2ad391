"""Recognizers that read together."""

import pickle

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import make_pipeline
from support.data import TINY

from skcaptcha import CaptchaEnsemble, CaptchaRecognizer
from skcaptcha.exceptions import ImageReadError, LabelConversionWarning
from skcaptcha.model.decoding import sequence_log_probability
from skcaptcha.preprocessing import ImageReader

pytestmark = pytest.mark.filterwarnings("ignore:The network has not learned to read")

FOLDS = KFold(3, shuffle=True, random_state=1)


@pytest.fixture(scope="module")
def ensemble(captchas):
    """Three recognizers that have learned to read `captchas`; not to be changed."""
    recognizer = CaptchaRecognizer(max_iter=35, **TINY)
    ensemble = CaptchaEnsemble(recognizer, cv=FOLDS, random_state=0)
    return ensemble.fit(captchas[0][:150], captchas[1][:150])


@pytest.fixture
def hasty(some):
    """Function that fits two recognizers for a moment."""

    def fit(X=None, y=None, *, cv=2, random_state=0, n_jobs=None, **params):
        X = some[0] if X is None else X
        y = some[1] if y is None else y
        recognizer = CaptchaRecognizer(**{**TINY, "max_iter": 1, **params})
        return CaptchaEnsemble(
            recognizer, cv=cv, random_state=random_state, n_jobs=n_jobs
        ).fit(X, y)

    return fit


# What is read


def test_it_reads_what_most_probable_on_average_is(ensemble, captchas, monkeypatch):
    X, y = captchas[0][150:], captchas[1][150:]
    members = ensemble.estimators_
    for member in members:
        monkeypatch.setattr(member, "multi_scale", False)
    read, confidence = ensemble.predict(X), ensemble.predict_confidence(X)
    by_member = np.array([member.predict(X) for member in members])
    frames = [member.frame_log_proba(X) for member in members]
    disagreed = 0
    for i in range(len(X)):
        candidates = sorted(set(by_member[:, i]))
        disagreed += len(candidates) > 1
        encoded = [ensemble.vocabulary_.encode(text) for text in candidates]
        means = np.mean(
            [
                np.exp(
                    sequence_log_probability(
                        np.repeat(of_member[i][:, None], len(encoded), axis=1),
                        [len(of_member[i])] * len(encoded),
                        encoded,
                        blank=0,
                    )
                )
                for of_member in frames
            ],
            axis=0,
        )
        assert read[i] == candidates[np.argmax(means)]
        assert confidence[i] == pytest.approx(max(means), rel=1e-4)
    assert disagreed  # else the test would say little
    assert ensemble.score(X, y) == np.mean(read == np.array(y))
    of_members = np.mean([member.score(X, y) for member in members])
    assert ensemble.score(X, y) >= of_members - 1 / len(y)


def test_the_best_texts_come_first(ensemble, captchas):
    X = captchas[0][150:160]
    rows = ensemble.predict_topk(X, k=3)
    assert [len(row) for row in rows] == [3] * 10
    read, confidence = ensemble.predict(X), ensemble.predict_confidence(X)
    sure = confidence > 0.5  # no other text can be as probable
    assert sure.any()
    for i in np.flatnonzero(sure):
        assert rows[i][0] == (read[i], pytest.approx(confidence[i]))


def test_order_and_company_do_not_matter(ensemble, captchas):
    X = captchas[0][150:170]
    read, confidence = ensemble.predict(X), ensemble.predict_confidence(X)
    assert list(ensemble.predict(X[::-1])[::-1]) == list(read)
    alone = [ensemble.predict_confidence([image])[0] for image in X]
    assert alone == pytest.approx(list(confidence), abs=1e-5)
    assert [ensemble.predict([image])[0] for image in X] == list(read)


def test_images_may_come_from_a_generator(hasty, some):
    streamed = hasty(iter(some[0]))
    assert list(streamed.predict(some[0])) == list(hasty().predict(some[0]))


def test_a_copy_reads_the_same(ensemble, captchas, tmp_path):
    X = captchas[0][150:160]
    joblib.dump(ensemble, tmp_path / "ensemble.joblib")
    for copied in (
        pickle.loads(pickle.dumps(ensemble)),
        joblib.load(tmp_path / "ensemble.joblib"),
    ):
        confidence = copied.predict_confidence(X)
        assert np.array_equal(confidence, ensemble.predict_confidence(X))


# Fitting


def test_each_is_measured_on_what_it_has_not_learned_from(ensemble, captchas):
    X, y = captchas[0][:150], captchas[1][:150]
    folds = [test for _, test in FOLDS.split(X)]
    assert len(ensemble.estimators_) == len(ensemble.cv_scores_) == 3
    for member, score, test in zip(
        ensemble.estimators_, ensemble.cv_scores_, folds, strict=True
    ):
        assert score == member.score([X[i] for i in test], [y[i] for i in test])
    assert len({member.random_state for member in ensemble.estimators_}) == 3
    assert ensemble.estimator.random_state == 0


def test_each_learns_from_its_own_part(hasty, some):
    X, y = some
    members = hasty(cv=FOLDS).estimators_
    for member, (train, _) in zip(members, FOLDS.split(X), strict=True):
        again = clone(member).fit([X[i] for i in train], [y[i] for i in train])
        assert again.loss_curve_ == member.loss_curve_


def test_every_member_knows_every_character(hasty):
    y = ["2", *["01"] * 15]
    ensemble = hasty(y=y)
    assert [member.vocabulary_.characters for member in ensemble.estimators_] == [
        ("0", "1", "2")
    ] * 2
    assert ensemble.vocabulary_.characters == ("0", "1", "2")
    assert hasty(vocabulary="0123x").vocabulary_.characters == tuple("0123x")


def test_the_same_fit_gives_the_same_readings(hasty, captchas):
    X = captchas[0][:10]
    first = hasty().predict_confidence(X)
    assert np.array_equal(hasty().predict_confidence(X), first)
    assert not np.array_equal(hasty(random_state=1).predict_confidence(X), first)
    state = np.random.get_state()[1].copy()
    members = hasty(random_state=None).estimators_
    assert np.array_equal(np.random.get_state()[1], state)  # the folds are random too
    assert [member.random_state for member in members] == [0, 0]  # as was given


@pytest.mark.slow
def test_processes_give_the_same_readings(hasty, captchas):
    found = hasty(n_jobs=2).predict_confidence(captchas[0][:10])
    assert np.array_equal(found, hasty().predict_confidence(captchas[0][:10]))


def test_a_grid_search_sees_the_parameters_of_the_members(some):
    ensemble = CaptchaEnsemble(CaptchaRecognizer(**{**TINY, "max_iter": 1}), cv=2)
    search = GridSearchCV(
        make_pipeline(ImageReader(), ensemble),
        {"captchaensemble__estimator__lstm_units": [4, 8]},
        cv=2,
    )
    search.fit(*some)
    best = search.best_estimator_[-1]
    assert {m.lstm_units for m in best.estimators_} == {best.estimator.lstm_units}
    assert clone(ensemble).get_params(deep=False).keys() == {
        "cv",
        "estimator",
        "n_jobs",
        "random_state",
    }


def test_tables_are_read_as_tables(hasty):
    X, y = np.arange(320.0).reshape(20, 16), ["a", "b"] * 10
    frame = pd.DataFrame(X, columns=[f"pixel{i}" for i in range(16)])
    ensemble = hasty(frame, y)
    assert ensemble.n_features_in_ == 16
    assert list(ensemble.feature_names_in_) == list(frame.columns)
    assert ensemble.predict(frame).shape == (20,)
    images = hasty()
    assert not hasattr(images, "n_features_in_")
    assert not hasattr(images, "feature_names_in_")


def test_labels_are_converted_once(hasty, captchas):
    with pytest.warns(LabelConversionWarning) as seen:
        ensemble = hasty(y=[10, 11] * 8)
    seen = [w.filename for w in seen if w.category is LabelConversionWarning]
    assert seen == [__file__]
    assert ensemble.vocabulary_.characters == ("0", "1")


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"cv": 17}, ValueError, "n_splits=17 greater than the number of samples"),
        ({"cv": 1}, ValueError, "The 'cv' parameter of CaptchaEnsemble must be"),
        ({"n_jobs": 0}, ValueError, "The 'n_jobs' parameter of CaptchaEnsemble must"),
        ({"checkpoint": "a.pt"}, ValueError, "checkpoint='a.pt' of `estimator`"),
        ({"vocabulary": "012"}, ValueError, r"y\[\d+\]='.*3.*' contains '3'"),
        ({"augmentation": -1}, ValueError, "'augmentation' parameter of CaptchaRec"),
        ({"y": ["0"] * 15}, ValueError, "16.*15"),
        ({"y": None, "X": [b"", *range(15)]}, ImageReadError, r"X\[0\]"),
    ],
)
def test_what_cannot_be_used_is_named_and_nothing_is_lost(
    hasty, captchas, change, error, message
):
    with pytest.raises(error, match=message):
        hasty(**change)


def test_an_image_is_named_by_its_place_among_all(hasty, captchas):
    X = [*captchas[0][:12], b"no image", *captchas[0][13:16]]
    with pytest.raises(ImageReadError, match=r"X\[12\]"):
        hasty(X)


def test_a_fit_that_fails_leaves_the_earlier_one(hasty, captchas):
    ensemble = hasty()
    before = ensemble.predict_confidence(captchas[0][:4])
    with pytest.raises(ValueError, match="X is empty"):
        ensemble.fit([], [])
    assert np.array_equal(ensemble.predict_confidence(captchas[0][:4]), before)


def test_an_estimator_of_another_kind_is_refused(some):
    assert not hasattr(CaptchaEnsemble(), "vocabulary_")
    with pytest.raises(ValueError, match="'estimator' parameter of CaptchaEnsemble"):
        CaptchaEnsemble("reader").fit(*some)


def test_a_generator_of_folds_that_is_spent_changes_nothing(some):
    X, y = some
    half = np.arange(len(X)) < len(X) // 2
    ensemble = CaptchaEnsemble(
        CaptchaRecognizer(**{**TINY, "max_iter": 1}),
        cv=iter([(half, ~half), (~half, half)]),
    )
    members = ensemble.fit(X, y).estimators_
    assert len(members) == 2
    with pytest.raises(ValueError, match="yields no folds. A generator yields them on"):
        ensemble.fit(X, y)
    assert ensemble.estimators_ is members
