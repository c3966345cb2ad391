"""scikit-learn's model selection over the recognizer."""

import os
import re

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from joblib.externals.loky import get_reusable_executor
from PIL import Image
from scipy.stats import loguniform
from sklearn import config_context
from sklearn.base import clone
from sklearn.exceptions import FitFailedWarning
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    HalvingGridSearchCV,
    KFold,
    RandomizedSearchCV,
    cross_val_predict,
    cross_val_score,
    cross_validate,
    learning_curve,
    train_test_split,
    validation_curve,
)

from skcaptcha import CaptchaRecognizer
from skcaptcha.exceptions import ImageReadError
from skcaptcha.metrics import SCORERS, exact_match_score, exact_match_scorer

# What these networks read is of no interest, only that it is the same each time.
pytestmark = pytest.mark.filterwarnings(
    "ignore:The network has not learned to read:sklearn.exceptions.ConvergenceWarning"
)
N = 18  # images

TINY = {
    "conv_channels": (4, 4),
    "image_height": 16,
    "lstm_units": 4,
    "batch_size": 4,
    "max_iter": 1,
    "device": "cpu",  # where the same seed gives the same scores
    "random_state": 0,
}


def make_recognizer(**params):
    return CaptchaRecognizer(**{**TINY, **params})


# So small a network reads nothing right, in each fold alike; its loss and confidence
# differ wherever anything does. Other processes import these scores from here.


def final_loss(recognizer, X, y):
    return recognizer.loss_curve_[-1]


def mean_confidence(recognizer, X, y):
    return recognizer.predict_confidence(X).mean()


def count_epochs(recognizer, X, y):
    return recognizer.n_iter_


def count_threads(recognizer, X, y):
    return torch.get_num_threads()


def find_process(recognizer, X, y):
    return os.getpid()


TELLING = {"loss": final_loss, "confidence": mean_confidence}


@pytest.fixture(scope="module")
def files(captchas, tmp_path_factory):
    """Paths of 18 PNG files, named after the texts that they show, and the texts."""
    folder = tmp_path_factory.mktemp("captchas")
    images, texts = captchas[0][:N], list(captchas[1][:N])
    paths = [str(folder / f"{i}-{text}.png") for i, text in enumerate(texts)]
    for path, image in zip(paths, images, strict=True):
        Image.fromarray(image).save(path)
    return paths, texts


@pytest.fixture(scope="module")
def loky():
    """Workers of joblib's processes, with the threads that joblib chooses for them."""
    variables = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    get_reusable_executor().shutdown(wait=True)  # they may have been told otherwise
    with pytest.MonkeyPatch.context() as patch:
        for variable in variables:
            patch.delenv(variable, raising=False)
        yield
        get_reusable_executor().shutdown(wait=True)


# Searches


def test_grid_search_reads_with_its_best_candidate(files):
    paths, texts = files
    grid = {"lstm_layers": [0, 1], "learning_rate_init": [1e-3, 1e-2]}
    search = GridSearchCV(
        make_recognizer(), grid, cv=3, scoring=TELLING, refit="confidence"
    ).fit(paths, texts)
    assert len(np.unique(search.cv_results_["mean_test_confidence"])) == 4
    assert search.best_index_ == search.cv_results_["mean_test_confidence"].argmax()
    best = make_recognizer(**search.best_params_).fit(paths, texts)
    assert search.best_estimator_.loss_curve_ == best.loss_curve_
    assert list(search.predict(paths)) == list(best.predict(paths))
    assert search.score(paths, texts) == mean_confidence(best, paths, texts)
    assert not hasattr(search, "n_features_in_")


def test_randomized_search_draws_parameters(files):
    paths, texts = files
    distributions = {
        "learning_rate_init": loguniform(1e-4, 1e-2),
        "conv_channels": [(4, 4), (4, 8)],
        "augmentation": [0, 1],
    }
    search = RandomizedSearchCV(
        make_recognizer(),
        distributions,
        n_iter=3,
        cv=2,
        scoring=mean_confidence,
        random_state=0,
    ).fit(paths, texts)
    assert len(set(search.cv_results_["mean_test_score"])) == 3
    assert search.best_score_ == search.cv_results_["mean_test_score"].max()
    assert search.predict(paths).shape == (N,)


def test_halving_search_gives_the_survivors_more_samples(files):
    paths, texts = files
    search = HalvingGridSearchCV(
        make_recognizer(),
        {"learning_rate_init": [1e-3, 3e-3, 1e-2, 3e-2]},
        resource="n_samples",
        min_resources=8,
        factor=2,
        cv=2,
        scoring=mean_confidence,
        random_state=0,
    ).fit(paths, texts)
    assert search.n_resources_ == [8, 16]
    assert search.n_candidates_ == [4, 2]
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.predict(paths).shape == (N,)


def test_halving_search_gives_the_survivors_more_epochs(files):
    paths, texts = files
    search = HalvingGridSearchCV(
        make_recognizer(),
        {"learning_rate_init": [1e-3, 3e-3, 1e-2, 3e-2]},
        resource="max_iter",
        max_resources=2,
        factor=2,
        cv=2,
        scoring=count_epochs,
        random_state=0,
    ).fit(paths, texts)
    assert list(search.cv_results_["n_resources"]) == [1, 1, 1, 1, 2, 2]
    np.testing.assert_array_equal(
        search.cv_results_["mean_test_score"], search.cv_results_["n_resources"]
    )
    assert search.best_estimator_.n_iter_ == 2


# Cross-validation


def test_cross_val_score_equals_a_loop_over_the_folds(files):
    paths, texts = files
    folds = KFold(3, shuffle=True, random_state=0)
    scores = cross_val_score(
        make_recognizer(), paths, texts, cv=folds, scoring=mean_confidence
    )
    for score, (train, test) in zip(scores, folds.split(paths), strict=True):
        recognizer = make_recognizer().fit(
            [paths[i] for i in train], [texts[i] for i in train]
        )
        assert score == mean_confidence(recognizer, [paths[i] for i in test], None)
    assert len(set(scores)) == 3


def test_the_default_score_is_the_exact_match(fitted, captchas):
    images, texts = captchas[0][120:], ["none", "none", *captchas[1][122:]]
    scores = cross_val_score(FrozenEstimator(fitted), images, texts, cv=KFold(8))
    right = fitted.predict(images) == np.array(texts)
    assert list(scores) == list(right.reshape(8, 10).mean(axis=1))
    assert 0 < min(scores) < max(scores)


def test_cross_validate_takes_all_our_scorers_at_once(fitted, captchas):
    paths, texts = captchas[0][120:], captchas[1][120:]
    results = cross_validate(
        FrozenEstimator(fitted),
        paths,
        texts,
        cv=KFold(8, shuffle=True, random_state=0),
        scoring=SCORERS,
        return_train_score=True,
        return_estimator=True,
        return_indices=True,
    )
    for part in ("train", "test"):
        for fold, recognizer in enumerate(results["estimator"]):
            picked = results["indices"][part][fold]
            X, y = [paths[i] for i in picked], [texts[i] for i in picked]
            for name, scorer in SCORERS.items():
                assert results[f"{part}_{name}"][fold] == scorer(recognizer, X, y)


def test_cross_val_predict_reads_each_image_by_who_has_not_seen_it(files):
    paths, texts = files
    folds = KFold(3, shuffle=True, random_state=1)
    read = cross_val_predict(make_recognizer(), paths, texts, cv=folds)
    assert read.shape == (N,)
    assert {type(text) for text in read} == {str}
    for train, test in folds.split(paths):
        recognizer = make_recognizer().fit(
            [paths[i] for i in train], [texts[i] for i in train]
        )
        held_out = [paths[i] for i in test]
        assert list(read[test]) == list(recognizer.predict(held_out))


def test_cross_val_predict_keeps_the_order(fitted, captchas):
    images, texts = captchas
    folds = KFold(3, shuffle=True, random_state=0)
    read = cross_val_predict(FrozenEstimator(fitted), images, texts, cv=folds)
    assert list(read) == list(fitted.predict(images))


def test_learning_curve_grows_the_training_set(files):
    paths, texts = files
    sizes, train, test = learning_curve(
        make_recognizer(),
        paths,
        texts,
        train_sizes=[4, 8, 12],
        cv=3,
        scoring=mean_confidence,
        shuffle=True,
        random_state=0,
    )
    assert list(sizes) == [4, 8, 12]
    assert train.shape == test.shape == (3, 3)
    assert len(np.unique(test)) == 9


def test_a_learning_curve_can_learn_on_from_size_to_size(files):
    paths, texts = files
    sizes, train, test = learning_curve(
        make_recognizer(),
        paths,
        texts,
        train_sizes=[4, 8, 12],
        cv=3,
        scoring=count_epochs,
        exploit_incremental_learning=True,
    )
    # One call of partial_fit, on four more images, for each size.
    np.testing.assert_array_equal(test, [[1] * 3, [2] * 3, [3] * 3])


def test_validation_curve_varies_one_parameter(files):
    paths, texts = files
    train, test = validation_curve(
        make_recognizer(),
        paths,
        texts,
        param_name="max_iter",
        param_range=[1, 2],
        cv=2,
        scoring=count_epochs,
    )
    np.testing.assert_array_equal(train, [[1, 1], [2, 2]])
    np.testing.assert_array_equal(test, [[1, 1], [2, 2]])


def test_groups_stay_together(files):
    paths, texts = files
    # The texts that begin alike: each fold meets texts of which it learned none.
    groups = [text[0] for text in texts]
    search = GridSearchCV(
        make_recognizer(),
        {"lstm_layers": [0, 1]},
        cv=GroupKFold(2),
        scoring=TELLING,
        refit="confidence",
    ).fit(paths, texts, groups=groups)
    expected = [
        make_recognizer()
        .fit([paths[i] for i in train], [texts[i] for i in train])
        .loss_curve_[-1]
        for train, _ in GroupKFold(2).split(paths, texts, groups)
    ]
    results = search.cv_results_
    assert [results[f"split{i}_test_loss"][1] for i in range(2)] == expected


def test_a_character_that_only_the_held_out_fold_has_counts_as_an_error(files):
    paths, texts = files
    texts = ["4", *texts[1:]]
    scores = cross_val_score(make_recognizer(), paths, texts, cv=3)
    assert np.isfinite(scores).all()
    characters = cross_val_score(
        make_recognizer(),
        paths,
        ["4"] * 6 + texts[6:],
        cv=3,
        scoring=SCORERS["character_accuracy"],
    )
    assert characters[0] == 0


def test_scores_can_be_weighted(files):
    paths, texts = files
    weights = np.arange(N) % 2
    with config_context(enable_metadata_routing=True):
        results = cross_validate(
            make_recognizer(),
            paths,
            texts,
            cv=2,
            scoring=exact_match_scorer.set_score_request(sample_weight=True),
            params={"sample_weight": weights},
            return_estimator=True,
        )
    half = slice(0, N // 2)
    read = results["estimator"][0].predict(paths[half])
    assert results["test_score"][0] == exact_match_score(
        texts[half], read, sample_weight=weights[half]
    )


# What X and y may be


def to_bytes(path):
    with open(path, "rb") as stream:
        return stream.read()


def to_pil(path):
    with Image.open(path) as image:
        return image.copy()


def to_object_array(items):
    array = np.empty(len(items), dtype=object)
    array[:] = items
    return array


def shuffled_series(items):
    """Return a Series whose index says nothing of the position."""
    return pd.Series(items, index=np.random.default_rng(0).permutation(len(items)))


FORMS = {
    "paths": list,
    "tuple": tuple,
    "array of str": np.array,
    "object array of paths": to_object_array,
    "series": pd.Series,
    "shuffled series": shuffled_series,
    "arrays": lambda paths: [np.asarray(to_pil(path)) for path in paths],
    "stack": lambda paths: np.stack([np.asarray(to_pil(path)) for path in paths]),
    "PIL": lambda paths: [to_pil(path) for path in paths],
    "bytes": lambda paths: [to_bytes(path) for path in paths],
    "object array of bytes": lambda paths: to_object_array(
        [to_bytes(path) for path in paths]
    ),
    "series of bytes": lambda paths: shuffled_series([to_bytes(p) for p in paths]),
}


@pytest.fixture(scope="module")
def expected_scores(files):
    """Scores of three folds over lists of paths and of texts."""
    return cross_validate(make_recognizer(), *files, cv=3, scoring=TELLING)


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_x_is_split(form, files, expected_scores):
    paths, texts = files
    X = FORMS[form](paths)
    results = cross_validate(make_recognizer(), X, texts, cv=3, scoring=TELLING)
    for name in TELLING:
        assert list(results[f"test_{name}"]) == list(expected_scores[f"test_{name}"])

    X_train, X_test, y_train, y_test = train_test_split(X, texts, random_state=0)
    expected = train_test_split(paths, texts, random_state=0)
    assert (y_train, y_test) == (expected[2], expected[3])
    recognizer = make_recognizer().fit(X_train, y_train)
    on_paths = make_recognizer().fit(expected[0], y_train)
    assert recognizer.loss_curve_ == on_paths.loss_curve_
    assert list(recognizer.predict(X_test)) == list(on_paths.predict(expected[1]))


@pytest.mark.parametrize(
    "form", [list, tuple, np.array, to_object_array, pd.Series, shuffled_series]
)
def test_every_form_of_y_is_split(form, files, expected_scores):
    paths, texts = files
    X, y = shuffled_series(paths), form(texts)
    results = cross_validate(make_recognizer(), X, y, cv=3, scoring=TELLING)
    for name in TELLING:
        assert list(results[f"test_{name}"]) == list(expected_scores[f"test_{name}"])
    X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
    stems = [path.rpartition("-")[2].removesuffix(".png") for path in X_test]
    assert list(y_test) == stems
    make_recognizer().fit(X_train, y_train).score(X_test, y_test)


# Candidates that fail


BAD = [
    ({"vocabulary": "0"}, r"y\[0\]='\d+' contains '\d'"),
    ({"conv_channels": (8,)}, r"conv_channels=\(8,\); pass from 2 to 12 integers"),
    ({"dropout": 1.5}, "The 'dropout' parameter of CaptchaRecognizer must be a float"),
]


@pytest.mark.parametrize(("params", "match"), BAD)
def test_a_candidate_that_fails_raises_our_error(params, match, files):
    grid = [{name: [value] for name, value in params.items()}, {"max_iter": [1]}]
    search = GridSearchCV(make_recognizer(), grid, cv=2, error_score="raise")
    with pytest.raises(ValueError, match=match):
        search.fit(*files)


@pytest.mark.parametrize(("params", "match"), BAD)
def test_a_candidate_that_fails_loses(params, match, files):
    grid = [{name: [value] for name, value in params.items()}, {"max_iter": [1]}]
    search = GridSearchCV(
        make_recognizer(), grid, cv=2, scoring=mean_confidence, error_score=np.nan
    )
    with (
        pytest.warns(FitFailedWarning, match=f"(?s)2 fits failed out of .*{match}"),
        pytest.warns(UserWarning, match="One or more of the test scores are non-fini"),
    ):
        search.fit(*files)
    assert search.best_params_ == {"max_iter": 1}
    assert np.isnan(search.cv_results_["mean_test_score"][0])
    assert list(search.cv_results_["rank_test_score"]) == [2, 1]
    assert search.predict(files[0]).shape == (N,)


def test_a_halving_search_drops_a_candidate_that_fails(files):
    search = HalvingGridSearchCV(
        make_recognizer(),
        {"conv_channels": [(8,), (4, 4), (4, 8), (8, 4)]},
        resource="max_iter",
        max_resources=2,
        factor=2,
        cv=2,
        scoring=mean_confidence,
        return_train_score=False,
    )
    with (
        pytest.warns(FitFailedWarning, match="2 fits failed out of a total of 8"),
        pytest.warns(UserWarning, match="One or more of the test scores are non-fini"),
    ):
        search.fit(*files)
    survivors = search.cv_results_["param_conv_channels"][4:]
    assert len(survivors) == 2 and (8,) not in list(survivors)


def test_a_search_in_which_every_candidate_fails_says_why(files):
    search = GridSearchCV(make_recognizer(), {"vocabulary": ["0", "1"]}, cv=2)
    with pytest.raises(ValueError, match="(?s)All the 4 fits failed.*contains"):
        search.fit(*files)


def test_a_file_that_cannot_be_read_is_named(files, tmp_path):
    paths, texts = files
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    paths = [*paths[:-1], str(broken)]  # the last fold holds it out
    search = GridSearchCV(make_recognizer(), {"lstm_layers": [0]}, cv=3)
    with pytest.raises(ImageReadError, match=r"X\[11\]='.*broken.png' is not an image"):
        clone(search).set_params(error_score="raise").fit(paths, texts)
    with (
        pytest.warns(FitFailedWarning, match=r"(?s)2 fits failed .*broken\.png"),
        pytest.warns(UserWarning, match=r"(?s)Scoring failed.*broken\.png"),
        pytest.warns(UserWarning, match="One or more of the test scores are non-fini"),
        pytest.raises(ImageReadError, match=r"X\[17\]='.*broken.png' is not an image"),
    ):
        search.fit(paths, texts)  # the last error is that of the refit


# Several jobs


@pytest.fixture(scope="module")
def serial_results(files):
    search = GridSearchCV(
        make_recognizer(), {"lstm_layers": [0, 1]}, cv=3, scoring=TELLING, refit=False
    )
    return search.fit(*files).cv_results_


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_jobs_find_the_same_scores(backend, files, serial_results, loky):
    search = GridSearchCV(
        make_recognizer(),
        {"lstm_layers": [0, 1]},
        cv=3,
        scoring={**TELLING, "process": find_process},
        refit="confidence",
        n_jobs=2,
    )
    with joblib.parallel_config(backend):
        search.fit(*files)
    processes = {search.cv_results_[f"split{i}_test_process"][0] for i in range(3)}
    assert (os.getpid() in processes) == (backend == "threading")
    for name in TELLING:
        for fold in range(3):
            key = f"split{fold}_test_{name}"
            np.testing.assert_allclose(
                search.cv_results_[key], serial_results[key], rtol=1e-4
            )
    assert search.predict(files[0]).shape == (N,)


def test_processes_read_images_from_shared_memory(files, loky):
    paths, texts = files
    images = [np.asarray(to_pil(path)) for path in paths]
    # joblib hands over arrays of more than a megabyte as read-only memory maps.
    stack = np.stack(images).repeat(10, axis=1).repeat(10, axis=2)  # (N, 160, 480)
    assert stack.nbytes > 1024**2
    params = {"cv": 2, "scoring": TELLING, "error_score": "raise"}
    serial = cross_validate(make_recognizer(), stack, texts, **params)
    shared = cross_validate(make_recognizer(), stack, texts, n_jobs=2, **params)
    for name in TELLING:
        np.testing.assert_allclose(
            shared[f"test_{name}"], serial[f"test_{name}"], rtol=1e-4
        )


def test_processes_share_the_cores(files, loky):
    scores = cross_validate(
        make_recognizer(),
        *files,
        cv=4,
        scoring={"threads": count_threads, "process": find_process},
        n_jobs=2,
    )
    assert os.getpid() not in scores["test_process"]
    assert scores["test_threads"].max() <= max(1, joblib.cpu_count() // 2)


def test_a_candidate_that_fails_in_another_process_loses(files, loky):
    search = GridSearchCV(
        make_recognizer(), {"vocabulary": ["0", None]}, cv=2, n_jobs=2
    )
    with (
        pytest.warns(FitFailedWarning, match=r"(?s)2 fits failed .*contains '\d'"),
        pytest.warns(UserWarning, match="One or more of the test scores are non-fini"),
    ):
        search.fit(*files)
    assert search.best_params_ == {"vocabulary": None}
    with pytest.raises(ValueError, match=r"y\[0\]='\d+' contains '\d'"):
        search.set_params(error_score="raise").fit(*files)


# What is shown


@pytest.mark.parametrize("verbose", [1, 3])
def test_a_search_prints_its_own_lines_alone(verbose, files, capsys):
    search = GridSearchCV(
        make_recognizer(verbose=1),
        {"lstm_layers": [0, 1]},
        cv=2,
        verbose=verbose,
    ).fit(*files)
    shown = capsys.readouterr()
    first, *lines = shown.out.splitlines()
    assert first == "Fitting 2 folds for each of 2 candidates, totaling 4 fits"
    ends = r"\[CV \d/2\] END \.+lstm_layers=\d;, score=[\d.]+ total time= +[\d.]+s"
    assert len(lines) == (4 if verbose == 3 else 0)
    assert all(re.fullmatch(ends, line) for line in lines)
    assert shown.err.count("Training: 100%") >= 5  # four fits and the refit
    search.set_params(verbose=0, estimator__verbose=False).fit(*files)
    assert capsys.readouterr() == ("", "")
