"""scikit-learn's model selection over the recognizer."""

import os
import re

import joblib
import numpy as np
import pandas as pd
import pytest
from joblib.externals.loky import get_reusable_executor
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
from support.forms import FORMS, object_array, shuffled_series
from support.scores import (
    count_epochs,
    count_threads,
    final_loss,
    find_process,
    mean_confidence,
)

from skcaptcha import CaptchaRecognizer
from skcaptcha.exceptions import ImageReadError
from skcaptcha.metrics import SCORERS, exact_match_score, exact_match_scorer

# What these networks read is of no interest, only that it is the same each time.
pytestmark = pytest.mark.filterwarnings("ignore:The network has not learned to read")

N = 18  # images

TELLING = {"loss": final_loss, "confidence": mean_confidence}


def make_recognizer(**params):
    tiny = {
        "conv_channels": (4, 4),
        "image_height": 16,
        "lstm_units": 4,
        "batch_size": 4,
        "max_iter": 1,
        "device": "cpu",  # where the same seed gives the same scores
        "random_state": 0,
    }
    return CaptchaRecognizer(**{**tiny, **params})


def pick(items, positions):
    return [items[i] for i in positions]


@pytest.fixture(scope="module")
def files(png_folder, captchas):
    """Paths of 18 PNG files and their texts."""
    return [str(png_folder / f"{i}.png") for i in range(N)], list(captchas[1][:N])


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
    ).fit(*files)
    assert len(set(search.cv_results_["mean_test_score"])) == 3
    assert search.best_score_ == search.cv_results_["mean_test_score"].max()


@pytest.mark.parametrize(
    ("options", "resources"),
    [
        ({"resource": "n_samples", "min_resources": 8}, [8, 16]),
        ({"resource": "max_iter", "max_resources": 2}, [1, 2]),
    ],
)
def test_halving_search_gives_more_to_the_survivors(options, resources, files):
    search = HalvingGridSearchCV(
        make_recognizer(),
        {"conv_channels": [(8,), (4, 4), (4, 8), (8, 4)]},  # the first one fails
        factor=2,
        cv=2,
        scoring=mean_confidence,
        random_state=0,
        return_train_score=False,
        **options,
    )
    with (
        pytest.warns(FitFailedWarning, match="2 fits failed out of a total of 8"),
        pytest.warns(UserWarning, match="One or more of the test scores are non-fini"),
    ):
        search.fit(*files)
    assert search.n_resources_ == resources
    assert search.n_candidates_ == [4, 2]
    survivors = search.cv_results_["param_conv_channels"][4:]
    assert len(survivors) == 2 and (8,) not in list(survivors)
    assert search.best_estimator_.n_iter_ == (
        2 if "max_iter" in options.values() else 1
    )


# Cross-validation


@pytest.mark.parametrize(
    ("folds", "grouped"),
    [(KFold(3, shuffle=True, random_state=0), False), (GroupKFold(2), True)],
)
def test_cross_validation_equals_a_loop_over_the_folds(folds, grouped, files):
    paths, texts = files
    # The texts that begin alike: each fold meets texts of which it learned none.
    groups = [text[0] for text in texts] if grouped else None
    options = {"cv": folds, "groups": groups}
    scores = cross_val_score(
        make_recognizer(), paths, texts, scoring=mean_confidence, **options
    )
    read = cross_val_predict(make_recognizer(), paths, texts, **options)
    assert {type(text) for text in read} == {str}
    splits = folds.split(paths, texts, groups)
    for score, (train, test) in zip(scores, splits, strict=True):
        recognizer = make_recognizer().fit(pick(paths, train), pick(texts, train))
        held_out = pick(paths, test)
        assert score == mean_confidence(recognizer, held_out, None)
        assert list(read[test]) == list(recognizer.predict(held_out))
    assert len(set(scores)) == len(scores)


def test_the_default_score_is_the_exact_match(fitted, captchas):
    images, texts = captchas[0][120:], ["none", "none", *captchas[1][122:]]
    scores = cross_val_score(FrozenEstimator(fitted), images, texts, cv=KFold(8))
    right = fitted.predict(images) == np.array(texts)
    assert list(scores) == list(right.reshape(8, 10).mean(axis=1))
    assert 0 < min(scores) < max(scores)


def test_cross_validate_takes_all_our_scorers_at_once(fitted, captchas):
    images, texts = captchas[0][120:], captchas[1][120:]
    results = cross_validate(
        FrozenEstimator(fitted),
        images,
        texts,
        cv=KFold(8, shuffle=True, random_state=0),
        scoring=SCORERS,
        return_train_score=True,
        return_indices=True,
    )
    for part in ("train", "test"):
        for fold, picked in enumerate(results["indices"][part]):
            X, y = pick(images, picked), pick(texts, picked)
            for name, scorer in SCORERS.items():
                assert results[f"{part}_{name}"][fold] == scorer(fitted, X, y)


@pytest.mark.filterwarnings("ignore:.*white space or characters without width")
@pytest.mark.filterwarnings("ignore:A column-vector y was passed")
def test_scorers_take_labels_in_the_forms_that_a_fit_takes(fitted, captchas):
    images, texts = captchas[0][120:160], captchas[1][120:160]
    forms = [[f" {text}\r" for text in texts], pd.DataFrame({"text": texts})]
    for scorer in SCORERS.values():
        expected = scorer(fitted, images, texts)
        for form in forms:
            assert scorer(fitted, images, form) == expected
    assert exact_match_scorer(fitted, images, forms[0]) == fitted.score(images, texts)


def test_cross_val_predict_keeps_the_order(fitted, captchas):
    images, texts = captchas
    folds = KFold(3, shuffle=True, random_state=0)
    read = cross_val_predict(FrozenEstimator(fitted), images, texts, cv=folds)
    assert list(read) == list(fitted.predict(images))


# With it one call of partial_fit, on four more images, for each size.
@pytest.mark.parametrize(("on", "epochs"), [(False, [1, 1, 1]), (True, [1, 2, 3])])
def test_a_learning_curve_can_learn_on_from_size_to_size(files, on, epochs):
    sizes, _, test = learning_curve(
        make_recognizer(),
        *files,
        train_sizes=[4, 8, 12],
        cv=3,
        scoring=count_epochs,
        exploit_incremental_learning=on,
    )
    assert list(sizes) == [4, 8, 12]
    np.testing.assert_array_equal(test.T, [epochs] * 3)


def test_validation_curve_varies_one_parameter(files):
    found = validation_curve(
        make_recognizer(),
        *files,
        param_name="max_iter",
        param_range=[1, 2],
        cv=2,
        scoring=count_epochs,
    )
    np.testing.assert_array_equal(found, [[[1, 1], [2, 2]]] * 2)


def test_a_character_that_only_the_held_out_fold_has_counts_as_an_error(files):
    paths, texts = files
    scores = cross_val_score(
        make_recognizer(),
        paths,
        ["4"] * 6 + texts[6:],
        cv=3,
        scoring=SCORERS["character_accuracy"],
    )
    assert np.isfinite(scores).all() and scores[0] == 0


def test_scores_can_be_weighted(files):
    paths, texts = files
    weights = np.arange(N) % 2
    with config_context(enable_metadata_routing=True):
        results = cross_validate(
            make_recognizer().set_fit_request(sample_weight=False),
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


@pytest.fixture(scope="module")
def expected_scores(files):
    """Scores of three folds over lists of paths and of texts."""
    return cross_validate(make_recognizer(), *files, cv=3, scoring=TELLING)


def assert_same_scores(found, expected, **options):
    for name in TELLING:
        np.testing.assert_allclose(
            found[f"test_{name}"], expected[f"test_{name}"], **{"rtol": 0, **options}
        )


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_x_is_split(form, files, expected_scores):
    X, y = FORMS[form](files[0]), files[1]
    found = cross_validate(make_recognizer(), X, y, cv=3, scoring=TELLING)
    assert_same_scores(found, expected_scores)


@pytest.mark.parametrize(
    "form", [list, tuple, np.array, object_array, pd.Series, shuffled_series]
)
def test_every_form_of_y_is_split(form, files, expected_scores):
    paths, texts = files
    X, y = shuffled_series(paths), form(texts)
    found = cross_validate(make_recognizer(), X, y, cv=3, scoring=TELLING)
    assert_same_scores(found, expected_scores)
    X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
    assert list(y_test) == [texts[paths.index(path)] for path in X_test]
    make_recognizer().fit(X_train, y_train).score(X_test, y_test)


# Candidates that fail


@pytest.mark.parametrize(
    ("n_jobs", "params", "match"),
    [
        (1, {"conv_channels": (8,)}, r"conv_channels=\(8,\); pass from 2 to 12 in"),
        (1, {"dropout": 1.5}, "The 'dropout' parameter of CaptchaRecognizer must be"),
        (1, {"vocabulary": "0"}, r"y\[0\]='\d+' contains '\d'"),
        pytest.param(
            *(2, {"vocabulary": "0"}, r"y\[0\]='\d+' contains '\d'"),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_candidate_that_fails_loses_or_raises_our_error(
    n_jobs, params, match, files, loky
):
    grid = [{name: [value] for name, value in params.items()}, {"max_iter": [1]}]
    search = GridSearchCV(
        make_recognizer(), grid, cv=2, scoring=mean_confidence, n_jobs=n_jobs
    )
    with (
        pytest.warns(FitFailedWarning, match=f"(?s)2 fits failed out of .*{match}"),
        pytest.warns(UserWarning, match="One or more of the test scores are non-fini"),
    ):
        search.fit(*files)
    assert search.best_params_ == {"max_iter": 1}
    assert np.isnan(search.cv_results_["mean_test_score"][0])
    assert list(search.cv_results_["rank_test_score"]) == [2, 1]
    with pytest.raises(ValueError, match=match):
        search.set_params(error_score="raise").fit(*files)


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


@pytest.mark.parametrize(
    "backend", ["threading", pytest.param("loky", marks=pytest.mark.slow)]
)
def test_jobs_find_the_same_scores(backend, files, expected_scores, loky):
    scoring = {**TELLING, "process": find_process}
    with joblib.parallel_config(backend):
        found = cross_validate(
            make_recognizer(), *files, cv=3, scoring=scoring, n_jobs=2
        )
    assert (os.getpid() in found["test_process"]) == (backend == "threading")
    assert_same_scores(found, expected_scores, rtol=1e-4)


@pytest.mark.slow
def test_processes_read_images_from_shared_memory(files, loky):
    # joblib hands over arrays of more than a megabyte as read-only memory maps.
    stack = FORMS["stack"](files[0]).repeat(10, axis=1).repeat(10, axis=2)
    assert stack.nbytes > 1024**2
    params = {"cv": 2, "scoring": TELLING, "error_score": "raise"}
    serial = cross_validate(make_recognizer(), stack, files[1], **params)
    shared = cross_validate(make_recognizer(), stack, files[1], n_jobs=2, **params)
    assert_same_scores(shared, serial, rtol=1e-4)


@pytest.mark.slow
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
    assert first == "Fitting 2 folds for each of 2 candidates, totalling 4 fits"
    ends = r"\[CV \d/2\] END \.+lstm_layers=\d;, score=[\d.]+ total time= +[\d.]+s"
    assert len(lines) == (4 if verbose == 3 else 0)
    assert all(re.fullmatch(ends, line) for line in lines)
    assert shown.err.count("Training: 100%") >= 5  # four fits and the refit
    search.set_params(verbose=0, estimator__verbose=False).fit(*files)
    assert capsys.readouterr() == ("", "")
