"""Weights of samples: what they multiply, what they leave alone, what is refused."""

import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn import config_context
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.pipeline import make_pipeline
from support.data import TINY, make_easy
from support.weights import changed_weights

from skcaptcha import CaptchaEnsemble, CaptchaRecognizer
from skcaptcha.metrics import character_accuracy_scorer, exact_match_scorer
from skcaptcha.preprocessing import GrayscaleConverter
from skcaptcha.training.losses import ctc_loss, locate_ink, uniform_alignment_losses
from skcaptcha.training.step import Trainer

pytestmark = pytest.mark.filterwarnings("ignore:The network has not learned to read")

UNEVEN = np.array([1, 3] * 8)


def list_steps(monkeypatch):
    """List that gets what each update is taught with: targets and weights."""
    steps, train_step = [], Trainer.train_step

    def note(trainer, images, targets, weights=None):
        steps.append((targets, weights))
        return train_step(trainer, images, targets, weights)

    monkeypatch.setattr(Trainer, "train_step", note)
    return steps


@pytest.fixture
def fit_weighted(some):
    def fit(sample_weight=None, X=some[0], y=some[1], **params):
        recognizer = CaptchaRecognizer(**{**TINY, "max_iter": 2, **params})
        return recognizer.fit(X, y, sample_weight=sample_weight)

    return fit


# The losses


def test_weights_multiply_the_loss_of_each_sample():
    log_probs = torch.tensor([[[0.6, 0.4], [0.1, 0.9]]] * 2).log()  # (T, N, K)
    targets, lengths = [np.array([1]), np.array([1, 1])[:1]], torch.tensor([2, 2])
    alone = [
        ctc_loss(log_probs[:, [i]], lengths[:1], [targets[i]]).item() for i in (0, 1)
    ]
    weights = np.array([0.5, 3], dtype=np.float32)
    loss = ctc_loss(log_probs, lengths, targets, weights).item()
    assert loss == pytest.approx((0.5 * alone[0] + 3 * alone[1]) / 2)


def test_a_weighted_loss_is_one_a_symbol_also_of_empty_texts():
    log_probs = torch.full((6, 3, 3), 1 / 3).log()
    targets = [np.array([1, 2, 1]), np.array([2]), np.array([], dtype=np.int64)]
    lengths = torch.tensor([6, 6, 6])
    even = ctc_loss(log_probs, lengths, targets)
    ones = ctc_loss(log_probs, lengths, targets, np.ones(3, dtype=np.float32))
    assert ones.item() == pytest.approx(even.item())


def test_weights_multiply_the_loss_of_the_alignment():
    ink = locate_ink(torch.full((2, 1, 4, 16), 255))
    log_probs = torch.tensor([[[0.6, 0.4], [0.1, 0.9]]] * 4).log()
    targets = [np.array([1]), np.array([1])]
    weights = np.array([0.5, 3], dtype=np.float32)
    (loss,) = uniform_alignment_losses([log_probs], targets, ink, weights)
    loss = loss.item()
    alone = [-np.log(0.4), -np.log(0.9)]
    assert loss == pytest.approx((0.5 * alone[0] + 3 * alone[1]) / 2, rel=1e-5)


# What a fit makes of them


@pytest.mark.parametrize("equal", [2, 0.1, [5] * 16, np.full(16, 1e300)])
def test_equal_weights_change_no_bit(fit_weighted, equal):
    assert changed_weights(fit_weighted(), fit_weighted(equal)) == []


def test_only_the_ratios_of_the_weights_matter(fit_weighted):
    expected = fit_weighted(UNEVEN)
    assert changed_weights(fit_weighted(), expected)
    for others in (
        UNEVEN * 2.0**500,
        UNEVEN * 0.25,
        list(UNEVEN),
        pd.Series(UNEVEN, index=range(100, 116)),
    ):
        assert changed_weights(expected, fit_weighted(others)) == []


def test_weights_have_the_mean_one_and_stay_with_their_samples(
    fit_weighted, some, monkeypatch
):
    X, y = some
    own = np.arange(1, 17)  # a weight of its own for each sample
    steps = list_steps(monkeypatch)
    recognizer = fit_weighted(own, max_iter=1)
    found = {}
    for targets, weights in steps:
        for target, weight in zip(targets, weights, strict=True):
            found.setdefault(recognizer.vocabulary_.decode(target), []).append(weight)
    assert sum(map(sum, found.values())) == pytest.approx(16)
    expected = {}
    for text, weight in zip(y, own / own.mean(), strict=True):
        expected.setdefault(text, []).append(weight)
    assert found.keys() == expected.keys()
    for text, weights in expected.items():
        assert sorted(found[text]) == pytest.approx(sorted(weights))


@pytest.mark.parametrize("params", [{}, {"early_stopping": True}])
def test_nothing_is_learned_from_weight_zero(fit_weighted, some, params):
    X, y = some
    odd = 255 - X[0]  # of the same size, so that nothing else differs
    X, y = [odd, *X, odd], [y[1], *y, y[2]]
    weights = [0, *UNEVEN, 0]
    expected = fit_weighted(UNEVEN, **params)
    found = fit_weighted(weights, X, y, **params)
    assert changed_weights(expected, found) == []
    assert expected.loss_curve_ == found.loss_curve_
    assert expected.validation_scores_ == found.validation_scores_


def test_what_has_weight_zero_is_checked(fit_weighted, some):
    X, y = some
    with pytest.raises(ValueError, match=r"y\[16\]=None is missing"):
        fit_weighted([1] * 16 + [0], [*X, X[0]], [*y, None])
    with pytest.raises(ValueError, match=r"X\[16\]"):
        fit_weighted([1] * 16 + [0], [*X, b"no image"], [*y, y[0]])


def test_an_empty_label_of_weight_zero_teaches_no_empty_text(fit_weighted, some):
    X, y = some
    assert not fit_weighted([1] * 16 + [0], [*X, X[0]], [*y, ""]).has_empty_labels_
    assert fit_weighted([1] * 16 + [2], [*X, X[0]], [*y, ""]).has_empty_labels_


def test_weights_of_whole_numbers_are_repetitions():
    """A loss of weight 3 has the gradient of three samples."""
    log_probs = torch.randn(6, 4, 3, generator=torch.Generator().manual_seed(0))
    log_probs = log_probs.log_softmax(2)
    targets = [np.array([1, 2]), np.array([2]), np.array([1]), np.array([2, 1])]
    counts = [3, 1, 2, 0]
    repeated = [i for i, n in enumerate(counts) for _ in range(n)]
    gradients = []
    for positions, weights in (
        (repeated, None),
        (range(4), np.array(counts, dtype=np.float32) / np.mean(counts)),
    ):
        x = log_probs.clone().requires_grad_()
        positions = list(positions)
        lengths = torch.full((len(positions),), 6)
        some = [targets[i] for i in positions]
        ctc_loss(x[:, positions], lengths, some, weights).backward()
        gradients.append(x.grad)
    torch.testing.assert_close(*gradients)


@pytest.mark.slow
def test_weights_decide_between_labels_that_contradict_each_other():
    X, y = make_easy(60, "ab", seed=0)
    wrong = ["".join({"a": "b", "b": "a"}[c] for c in text) for text in y]
    recognizer = CaptchaRecognizer(max_iter=40, **TINY)
    weights = [1] * 60 + [0.05] * 60
    recognizer.fit(X + X, y + wrong, sample_weight=weights)
    assert recognizer.score(X, y) > 0.8


# Other ways to fit


def test_partial_fit_compares_weights_within_a_call(some):
    X, y = some
    pairs = []
    for weights in (None, 7, UNEVEN, UNEVEN * 0.5):
        recognizer = CaptchaRecognizer(**TINY)
        for _ in range(2):
            recognizer.partial_fit(X, y, sample_weight=weights)
        pairs.append(recognizer)
    none, number, uneven, half = pairs
    assert changed_weights(none, number) == []
    assert changed_weights(uneven, half) == []
    assert changed_weights(none, uneven)


def test_an_ensemble_gives_each_recognizer_the_weights_of_its_images(some, monkeypatch):
    X, y = some
    fitted, fit = [], CaptchaRecognizer.fit

    def note(recognizer, X, y, sample_weight=None):
        fitted.append((list(y), sample_weight))
        return fit(recognizer, X, y, sample_weight)

    monkeypatch.setattr(CaptchaRecognizer, "fit", note)
    own = np.arange(1.0, 17)
    folds = [(np.arange(8), np.arange(8, 16)), (np.arange(8, 16), np.arange(8))]
    ensemble = CaptchaEnsemble(CaptchaRecognizer(max_iter=1, **TINY), cv=folds)
    ensemble.fit(X, y, sample_weight=own)
    for (texts, weights), (train, _) in zip(fitted, folds, strict=True):
        assert texts == [y[i] for i in train]
        np.testing.assert_array_equal(weights, own[train])


def test_a_search_and_a_pipeline_hand_weights_on(some, fit_weighted, monkeypatch):
    X, y = some
    recognizer = CaptchaRecognizer(max_iter=2, **TINY)
    folds = [(np.arange(8), np.arange(8, 16))]
    steps = list_steps(monkeypatch)
    search = GridSearchCV(recognizer, {"dropout": [0.0]}, cv=folds)
    search.fit(X, y, sample_weight=UNEVEN)  # which also scores by them
    assert all(weights is not None for _, weights in steps)
    expected = fit_weighted(UNEVEN)
    assert changed_weights(expected, search.best_estimator_) == []
    pipeline = make_pipeline(GrayscaleConverter(), recognizer)
    pipeline.fit(X, y, captcharecognizer__sample_weight=UNEVEN)
    assert changed_weights(expected, pipeline[-1]) == []


def test_a_search_by_the_scorer_of_the_exact_match_is_that_by_default(some):
    X, y = some
    folds = [(np.arange(8), np.arange(8, 16))]
    scores = []
    for scoring in (None, exact_match_scorer):
        recognizer = CaptchaRecognizer(max_iter=20, **TINY)
        weights = np.where(np.arange(16) % 2, 1.0, 1e-9)
        grid = {"dropout": [0.0]}
        search = GridSearchCV(recognizer, grid, cv=folds, scoring=scoring, refit=False)
        search.fit(X, y, sample_weight=weights)
        scores.append(search.cv_results_["mean_test_score"])
    assert scores[0] == scores[1]
    assert exact_match_scorer._accept_sample_weight()
    assert not character_accuracy_scorer._accept_sample_weight()


def test_metadata_routing_brings_weights_to_where_they_are_asked_for(
    some, fit_weighted, monkeypatch
):
    X, y = some
    expected = fit_weighted(UNEVEN)
    with config_context(enable_metadata_routing=True):
        asks = CaptchaRecognizer(max_iter=2, **TINY)
        asks.set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        pipeline = make_pipeline(GrayscaleConverter(), asks)
        pipeline.fit(X, y, sample_weight=UNEVEN)
        assert changed_weights(expected, pipeline[-1]) == []
        steps = list_steps(monkeypatch)
        cross_validate(asks, X, y, cv=2, params={"sample_weight": UNEVEN})
        assert steps and all(weights is not None for _, weights in steps)
        steps.clear()
        refuses = CaptchaRecognizer(max_iter=1, **TINY)
        refuses.set_fit_request(sample_weight=False)
        with pytest.raises(TypeError, match="sample_weight"):
            make_pipeline(refuses).fit(X, y, sample_weight=UNEVEN)
        ensemble = CaptchaEnsemble(refuses, cv=2).set_fit_request(sample_weight=True)
        make_pipeline(ensemble).fit(X, y, sample_weight=UNEVEN)
        assert steps and all(weights is not None for _, weights in steps)


def test_a_checkpoint_is_of_the_fit_with_the_same_weights(some, tmp_path, monkeypatch):
    X, y = some
    path = tmp_path / "fit.checkpoint"
    train_step = Trainer.train_step
    recognizer = CaptchaRecognizer(
        max_iter=2, batch_size=4, checkpoint=path, checkpoint_interval=0, **TINY
    )
    calls = []

    def die(trainer, *batch):
        calls.append(batch)
        if len(calls) == 5:
            raise RuntimeError("killed")
        return train_step(trainer, *batch)

    monkeypatch.setattr(Trainer, "train_step", die)
    with pytest.raises(RuntimeError, match="killed"):
        recognizer.fit(X, y, sample_weight=UNEVEN)
    monkeypatch.setattr(Trainer, "train_step", train_step)
    for others in (None, UNEVEN[::-1]):
        with pytest.raises(ValueError, match="another fit: sample_weight is not the s"):
            recognizer.fit(X, y, sample_weight=others)
    recognizer.fit(X, y, sample_weight=UNEVEN * 2)
    plain = CaptchaRecognizer(max_iter=2, batch_size=4, **TINY)
    assert changed_weights(recognizer, plain.fit(X, y, sample_weight=UNEVEN)) == []


def test_images_in_a_file_keep_their_weights(fit_weighted):
    weights = np.where(np.arange(16) % 5, UNEVEN, 0)
    in_file = fit_weighted(weights, cache_size=0)
    assert changed_weights(fit_weighted(weights), in_file) == []


def test_the_score_counts_images_by_their_weights(fitted, captchas):
    X, y = (part[160:180] for part in captchas)
    y = [text if i % 3 else text[::-1] + "0" for i, text in enumerate(y)]
    right = fitted.predict(X) == np.array(y)
    assert 0 < right.sum() < 20
    weights = np.linspace(0, 3, 20)
    expected = weights[right].sum() / weights.sum()
    assert fitted.score(X, y, sample_weight=weights) == pytest.approx(expected)
    assert fitted.score(X, y, sample_weight=right) == 1
    with pytest.raises(ValueError, match="sample_weight has 3 weights and X has 20 im"):
        fitted.score(X, y, sample_weight=[1, 2, 3])
    with pytest.raises(ValueError, match=r"sample_weight\[0\]=-1.0 is below 0"):
        fitted.score(X, y, sample_weight=-1)


# What is refused


@pytest.mark.parametrize(
    "sample_weight, message",
    [
        ([1, 2], "sample_weight has 2 weights and X has 16 images; pass one weight an"),
        (np.ones((16, 1)), r"sample_weight has the shape \(16, 1\); pass a 1-D array"),
        (
            [1] * 15 + [-2],
            r"sample_weight\[15\]=-2.0 is below 0; pass 0 for an image that",
        ),
        ([0] * 16, "sample_weight is zero for every image, .* give some of them a w"),
        (0, "sample_weight is zero for every image"),
        (-1, r"sample_weight\[0\]=-1.0 is below 0"),
        ([1] * 15 + [np.nan], "sample_weight cannot be used: it holds nan. Pass one"),
        ([1] * 15 + [np.inf], "it holds inf. Pass one finite number an image"),
        (["heavy"] * 16, "sample_weight cannot be used: could not convert string"),
        ([1j] * 16, "sample_weight cannot be used: they are complex. Pass one"),
        (object(), "sample_weight cannot be used: .* Pass one finite number an image"),
    ],
)
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_bad_weights_are_named_and_change_nothing(some, method, sample_weight, message):
    X, y = some
    recognizer = CaptchaRecognizer(max_iter=1, **TINY)
    with pytest.raises(ValueError, match=message):
        getattr(recognizer, method)(X, y, sample_weight=sample_weight)
    assert not recognizer.__sklearn_is_fitted__()
    ensemble = CaptchaEnsemble(recognizer, cv=2)
    with pytest.raises(ValueError, match=message):
        ensemble.fit(X, y, sample_weight=sample_weight)
    assert not ensemble.__sklearn_is_fitted__()


def test_too_few_weights_above_zero_are_too_few_images(some):
    X, y = some
    with pytest.raises(ValueError, match="n_samples=1 whose sample_weight is above 0"):
        CaptchaRecognizer(**TINY).fit(X, y, sample_weight=[0] * 15 + [1])
    with pytest.raises(ValueError, match="All 2 labels in y whose sample_weight is ab"):
        CaptchaRecognizer(**TINY).fit(X[:3], [y[0], "", ""], sample_weight=[0, 1, 1])


def test_weights_cause_no_warning_of_their_own(fit_weighted):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", "The network has not learned to read")
        fit_weighted(UNEVEN)
