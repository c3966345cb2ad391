"""The loop: the best weights, new starts, interrupts, and what it says in the end."""

import itertools
import math

import numpy as np
import pytest
import torch
from sklearn.exceptions import ConvergenceWarning
from support.small_fits import NETWORK_CONFIG, generator, samples, training_config

from skcaptcha.model.network import build_network
from skcaptcha.training import fit as _fit
from skcaptcha.training import schedule as _schedule
from skcaptcha.training.fit import evaluate, fit_network, fit_one_epoch
from skcaptcha.training.step import Trainer


def fit(validation=None, *, some=None, seed=0, start=None, **changes):
    """Fit 12 samples, 3 updates an epoch, from random weights or from `start`."""
    some = samples() if some is None else some
    options = {"start": start, "aligned": start is not None}
    config = training_config(**changes)
    return fit_network(
        NETWORK_CONFIG, some, validation, config, generator(seed), **options
    )


def weights_of(result):
    return {k: v.numpy().copy() for k, v in result.network.state_dict().items()}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


# Randomness


def test_same_generator_same_weights():
    a, b, c = (weights_of(fit(seed=seed)) for seed in (0, 0, 1))
    assert all(np.array_equal(a[name], b[name]) for name in a)
    assert not np.array_equal(a["head.weight"], c["head.weight"])


def test_global_generators_are_left_alone():
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()
    fit(samples(4))
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert np.array_equal(np.random.get_state()[1], numpy_state)


# The best weights


def test_best_weights_are_restored(monkeypatch):
    scores = iter([0.2, 0.8, 0.3])
    seen = []

    def fake(network, *_):
        seen.append(network.head.weight.detach().clone())
        return next(scores, 0.0), 0.5

    monkeypatch.setattr(_fit, "evaluate", fake)
    result = fit(samples(4))
    assert result.validation_scores == [0.2, 0.8, 0.3]
    assert result.best_validation_score == 0.8
    assert torch.equal(result.network.head.weight, seen[1])


def test_interrupt_keeps_the_best_weights(monkeypatch):
    calls = []

    def fake(network, *_):
        calls.append(network.head.weight.detach().clone())
        if len(calls) == 3:
            raise KeyboardInterrupt
        return 1.0 - 0.1 * len(calls), 0.5

    monkeypatch.setattr(_fit, "evaluate", fake)
    result = fit(samples(4), max_iter=9)
    assert result.interrupted
    assert len(result.validation_scores) == len(result.loss_curve) == result.n_iter == 2
    assert torch.equal(result.network.head.weight, calls[0])
    assert not result.network.training
    ((message, category),) = result.warnings
    assert "interrupted in epoch 3; the best weights so far are kept." in message
    assert category is UserWarning


@pytest.mark.parametrize("name", ["find_temperature", "divide_logits", "list_warnings"])
def test_an_interrupt_after_the_last_epoch_keeps_the_network(monkeypatch, name):
    real, calls = getattr(_fit, name), []

    def fake(*args):
        calls.append(args)
        if len(calls) == 1:
            if name == "divide_logits":
                real(*args)
            raise KeyboardInterrupt
        return real(*args)

    monkeypatch.setattr(_fit, "has_converged", lambda *args: True)
    expected = fit(samples(4), max_iter=2)
    monkeypatch.setattr(_fit, name, fake)
    result = fit(samples(4), max_iter=2)
    assert calls and result.interrupted and result.n_iter == 2
    assert result.temperature == 1
    found = result.network.state_dict()
    assert found.keys() == expected.network.state_dict().keys()
    if expected.temperature != 1:
        head = found.pop("head.weight") / expected.temperature
        assert torch.allclose(head, expected.network.head.weight)


def test_interrupt_without_validation_keeps_the_weights_of_the_least_loss(monkeypatch):
    losses = iter([3.0] * 3 + [0.5] * 3 + [0.9] * 3)  # of three epochs
    seen = []

    def fake(trainer, *batch):
        trainer.schedule.stage = "ctc"
        try:
            loss = next(losses)
        except StopIteration:
            raise KeyboardInterrupt from None
        with torch.no_grad():
            trainer.network.head.bias += 1
        seen.append(trainer.network.head.bias.detach().clone())
        return loss

    monkeypatch.setattr(Trainer, "train_step", fake)
    start = build_network(NETWORK_CONFIG, generator(5))  # which needs no alignment
    result = fit(start=start, max_iter=9)
    assert result.interrupted
    assert result.loss_curve == [3.0, 0.5, 0.9]
    assert torch.equal(result.network.head.bias, seen[5])


def test_learning_rate_of_each_epoch_is_that_of_its_last_update():
    result = fit(max_iter=60)
    assert len(result.learning_rate_curve) == result.n_iter
    # So many of the sixty updates in which the rate rises.
    updates = math.ceil(len(samples()) / training_config().batch_size)
    rate = training_config().learning_rate_init
    assert result.learning_rate_curve[0] == pytest.approx(rate * updates / 60)
    assert max(result.learning_rate_curve) <= rate


def test_evaluate_counts_exact_matches_and_blanks():
    network = build_network(NETWORK_CONFIG, generator()).eval()
    with torch.no_grad():  # reads nothing but blanks
        network.head.weight.zero_()
        network.head.bias.copy_(torch.tensor([9.0, 0.0, 0.0]))
    some = samples(5)
    some.targets[2] = np.array([], dtype=np.int64)
    assert evaluate(network, some) == (0.2, 1.0)


# New starts


def test_restart_draws_new_weights_within_max_iter(monkeypatch):
    monkeypatch.setattr(_schedule, "_PATIENCE", 5)
    monkeypatch.setattr(_schedule, "_LEFT_PLATEAU", 0.0)  # never left
    result = fit(max_iter=60)
    assert result.n_restarts >= 1
    assert not result.converged
    assert len(result.loss_curve) == result.n_iter <= 60
    ((message, category),) = result.warnings
    assert "has not learned to read" in message and "(now 12)" in message
    assert category is ConvergenceWarning


def fail_in(monkeypatch, failing):
    """Let the updates of some numbers, from 1, destroy the weights."""
    train_step, calls = Trainer.train_step, itertools.count(1)

    def destroy(trainer, *args):
        loss = train_step(trainer, *args)
        if next(calls) in failing:
            with torch.no_grad():
                trainer.network.head.weight.fill_(math.nan)
        return loss

    monkeypatch.setattr(Trainer, "train_step", destroy)


@pytest.mark.parametrize("with_validation", [True, False])
def test_weights_that_diverge_are_replaced_by_the_best_so_far(
    monkeypatch, with_validation
):
    """Not by those that the fit began with: what was learned is not lost."""
    kept, begun = [], []
    copy_weights, begin = _fit.copy_weights, Trainer.begin

    def watch_best(network):
        kept.append(copy_weights(network))
        return kept[-1]

    def watch_begin(trainer, *args):
        begin(trainer, *args)
        begun.append((trainer.schedule.update, copy_weights(trainer.network)))

    monkeypatch.setattr(_fit, "copy_weights", watch_best)
    monkeypatch.setattr(Trainer, "begin", watch_begin)
    fail_in(monkeypatch, {13})
    start = build_network(NETWORK_CONFIG, generator(5))
    result = fit(samples(4) if with_validation else None, start=start, max_iter=20)
    assert (result.n_restarts, result.n_skipped_updates) == (1, 5)
    (_, _), (update, weights) = begun
    assert update == 13 + 5
    assert not same(weights, start.state_dict())
    assert sum(same(weights, best) for best in kept) == 1
    assert all(p.isfinite().all() for p in result.network.parameters())
    assert len(result.loss_curve) == 19  # the epoch that was broken off counts not


@pytest.mark.parametrize(
    "failing, n_restarts, n_skipped",
    [
        (15, 1, 5),  # the end of an epoch, whose weights are then not the best
        (58, 0, 2),  # the end of the fit
    ],
)
def test_weights_that_are_destroyed_are_never_kept(
    monkeypatch, failing, n_restarts, n_skipped
):
    fail_in(monkeypatch, {failing})
    result = fit(start=build_network(NETWORK_CONFIG, generator(5)), max_iter=20)
    assert (result.n_restarts, result.n_skipped_updates) == (n_restarts, n_skipped)
    assert all(p.isfinite().all() for p in result.network.parameters())


def test_a_batch_that_is_the_cause_is_skipped_and_counted(monkeypatch):
    spoiled = samples()
    spoiled.images[3][:] = 0
    begin, forward = Trainer.begin, Trainer._forward

    def spoil(trainer, *args):
        begin(trainer, *args)

        def spoil_black(gradient):
            return gradient * (math.nan if trainer.black else 1)

        trainer.network.head.weight.register_hook(spoil_black)

    def watch(trainer, images, *others):
        trainer.black = any(image.max() == 0 for image in images)
        return forward(trainer, images, *others)

    monkeypatch.setattr(Trainer, "begin", spoil)
    monkeypatch.setattr(Trainer, "_forward", watch)
    result = fit(some=spoiled, max_iter=8)
    assert (result.n_skipped_updates, result.n_updates) == (8, 24)  # one in each epoch
    assert result.n_restarts == 0
    assert np.isfinite(result.loss_curve).all()
    assert all(p.isfinite().all() for p in result.network.parameters())
    assert "In 8 of 24 updates the loss or the gradients" in result.warnings[-1][0]


# One epoch


def fit_epoch(trainer=None, start=None):
    return fit_one_epoch(
        trainer,
        NETWORK_CONFIG,
        samples(),
        training_config(),
        generator(),
        start=start,
        aligned=start is not None,
    )


def test_one_epoch_leaves_the_trainer_before_it_as_it_was():
    first, before = fit_epoch()
    weights = weights_of(before)
    second, after = fit_epoch(first)
    assert len(before.loss_curve) == len(after.loss_curve) == 1
    assert (first.schedule.update, second.schedule.update) == (3, 6)
    assert first.network is before.network and second.network is after.network
    assert all(np.array_equal(weights[k], v) for k, v in weights_of(before).items())
    assert not np.array_equal(weights["head.bias"], weights_of(after)["head.bias"])


def test_an_interrupted_epoch_is_not_kept(monkeypatch):
    def interrupt(*args):
        raise KeyboardInterrupt

    trainer, _ = fit_epoch()
    monkeypatch.setattr(Trainer, "train_step", interrupt)
    with pytest.raises(KeyboardInterrupt):
        fit_epoch(trainer)
