"""Batches, losses, the schedule and the loop."""

import itertools
import math
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch
from support.small_fits import SHAPE, generator, samples, settings

from skcaptcha.images._batches import make_batches, pad_images
from skcaptcha.model import inference
from skcaptcha.model.inference import run_network
from skcaptcha.model.network import build_network
from skcaptcha.training import fit as _training
from skcaptcha.training import schedule as _schedule
from skcaptcha.training import step as _trainer
from skcaptcha.training.fit import evaluate, fit_network
from skcaptcha.training.losses import (
    ctc_loss,
    locate_ink,
    symbol_entropy,
    uniform_alignment_loss,
)
from skcaptcha.training.optimizer import AdamW
from skcaptcha.training.schedule import Schedule
from skcaptcha.training.step import Trainer, choose_precision, make_optimizer

# Batches


def test_each_sample_is_in_one_batch_an_epoch():
    widths = np.random.default_rng(0).integers(10, 90, 101)
    batches = make_batches(widths, 8, generator())
    assert sorted(itertools.chain(*batches)) == list(range(101))
    assert max(map(len, batches)) == 8


def test_batches_hold_images_of_like_width():
    widths = np.random.default_rng(0).integers(10, 90, 400)
    batches = make_batches(widths, 8, generator())
    spread = [np.ptp(widths[batch]) for batch in batches]
    assert np.mean(spread) < 10  # at random it is about 65


def test_batches_without_generator_are_in_order_of_width():
    assert make_batches([30, 10, 20], 2) == [[1, 2], [0]]


def test_padding_is_zero_and_widths_are_kept():
    images = [np.full((2, 4, 1), 7, np.uint8), np.full((2, 8, 1), 9, np.uint8)]
    batch, widths = pad_images(images, "cpu")
    assert batch.shape == (2, 1, 2, 8)
    assert widths.tolist() == [4, 8]
    assert batch[0, 0, 0].tolist() == [7] * 4 + [0] * 4


def test_equal_widths_need_no_mask():
    assert pad_images([np.zeros((2, 4, 1), np.uint8)] * 2, "cpu")[1] is None


# Losses


def test_ctc_loss_known_value():
    # Two steps, blank 0.6 and 'a' 0.4 in each: P('a') = 1 - 0.36 = 0.64.
    log_probs = torch.tensor([[[0.6, 0.4]], [[0.6, 0.4]]]).log()
    loss = ctc_loss(log_probs, torch.tensor([2]), [np.array([1])])
    assert loss.item() == pytest.approx(-math.log(0.64))


def test_ctc_loss_of_a_label_that_does_not_fit_is_zero_not_infinite():
    log_probs = torch.full((1, 1, 2), 0.5).log()
    assert ctc_loss(log_probs, torch.tensor([1]), [np.array([1, 1])]).item() == 0


def test_ink_known_values():
    # White, a black bar of four columns in the second of four time steps.
    image = torch.full((1, 1, 8, 16), 255)
    image[..., 4:8] = 0
    position, share = locate_ink(image)
    np.testing.assert_allclose(share[:, 0], [0, 1, 0, 0], atol=1e-4)
    np.testing.assert_allclose(position[:, 0], [0, 0.5, 1, 1], atol=1e-4)


def test_ink_of_an_empty_image_is_even_and_stops_at_its_width():
    empty = torch.full((2, 3, 8, 16), 255)
    position, share = locate_ink(empty, torch.tensor([16, 8]))
    np.testing.assert_allclose(share[:, 0], 0.25)
    np.testing.assert_allclose(share[:, 1], [0.5, 0.5, 0, 0])
    np.testing.assert_allclose(position[:2, 1], [0.25, 0.75])


def test_padding_is_no_ink():
    # White paper with one bar; padding, which is zero, makes up most of the batch.
    batch = torch.zeros(2, 1, 8, 64)
    batch[0], batch[1, :, :, :16] = 255, 255
    batch[:, :, :, 4:8] = 0
    _, share = locate_ink(batch, torch.tensor([64, 16]))
    np.testing.assert_allclose(share[:4, 1], [0, 1, 0, 0], atol=1e-4)


def test_faint_and_dark_strokes_weigh_alike():
    image = torch.full((1, 1, 32, 64), 255.0)
    image[..., 4:28, 8:12] = 0
    image[..., 4:28, 48:52] = 180
    _, share = locate_ink(image)
    assert share[12, 0] > 0.6 * share[2, 0]  # 75 of 255 levels against 255


def test_uniform_alignment_prefers_the_symbols_in_order():
    ink = locate_ink(torch.full((1, 1, 4, 16), 255))
    steps = torch.full((4, 1, 3), 1e-3)
    for step, symbol in enumerate([1, 1, 2, 2]):
        steps[step, 0, symbol] = 1
    right = uniform_alignment_loss(steps.log(), [np.array([1, 2])], ink)
    wrong = uniform_alignment_loss(steps.log(), [np.array([2, 1])], ink)
    assert right < 1.5 < 5 < wrong  # neighbors share the steps between them


def test_uniform_alignment_of_even_predictions_is_their_entropy():
    ink = locate_ink(torch.randint(0, 256, (2, 1, 4, 32), generator=generator()))
    log_probs = torch.full((8, 2, 4), 0.25).log()
    loss = uniform_alignment_loss(log_probs, [np.array([1, 2, 3]), np.array([2])], ink)
    assert loss.item() == pytest.approx(math.log(4), rel=1e-5)


def test_symbol_entropy_known_values():
    assert symbol_entropy([np.array([1, 1])]) == 0
    assert symbol_entropy([np.array([1, 2]), np.array([2, 1])]) == pytest.approx(
        math.log(2)
    )


# Schedule


def run(schedule, loss, n):
    return [schedule.step(loss) for _ in range(n)]


def test_schedule_of_an_easy_fit():
    schedule = Schedule(entropy=3.0, n_updates=2500, updates_per_epoch=100)
    assert schedule.learning_rate < 0.05
    run(schedule, 2.0, 60)
    assert (schedule.stage, schedule.learning_rate) == ("ctc", 1.0)
    run(schedule, 3.0, 100)
    assert not schedule.left_plateau
    run(schedule, 0.01, 300)
    assert schedule.left_plateau
    assert schedule.stage == "ctc"  # even an easy fit gets some updates
    run(schedule, 0.01, 300)
    assert schedule.stage == "annealing"
    assert schedule.last_update < schedule.n_updates
    run(schedule, 0.01, schedule.n_updates)
    assert schedule.finished


def test_rate_falls_to_zero_at_the_end_however_short_the_fit():
    for n_updates in (200, 1000, 5000):
        schedule = Schedule(entropy=3.0, n_updates=n_updates, updates_per_epoch=50)
        while not schedule.finished:
            rate = schedule.learning_rate
            schedule.step(0.5)
        assert rate < 0.01
        assert schedule.update <= n_updates


def test_distortion_and_dropout_fade_as_the_rate_does(monkeypatch):
    strengths, dropouts = [], []

    def watch(images, widths, *, strength, generator):
        strengths.append(strength)
        return images.float()

    monkeypatch.setattr(_trainer, "random_affine", watch)
    chosen = settings(augmentation=0.5, max_iter=60)
    schedule = Schedule(1.0, 200, 4, aligned=True)
    trainer = _trainer.Trainer({**SHAPE, "dropout": 0.2}, chosen, schedule, generator())
    some = samples(8)
    for _ in range(200):
        trainer.update(some.images, some.targets)
        dropouts.append(trainer.network.dropout)
        schedule.step(0.1 if schedule.update < 150 else 0.01)
    assert strengths[0] == 0.5
    assert dropouts[0] == 0.2
    np.testing.assert_allclose(np.divide(strengths, 0.5), np.divide(dropouts, 0.2))
    assert all(a >= b for a, b in itertools.pairwise(strengths))
    assert strengths[-1] < 0.01


def test_a_fit_on_the_plateau_starts_again_at_half_the_rate():
    schedule = Schedule(entropy=3.0, n_updates=6000, updates_per_epoch=100)
    run(schedule, 2.0, 60)
    assert any(run(schedule, 3.1, 600))
    assert (schedule.n_restarts, schedule.stage) == (1, "alignment")
    run(schedule, 2.0, 60)
    assert schedule.learning_rate == 0.5


def test_an_aligned_start_that_reads_nothing_is_aligned_after_all():
    schedule = Schedule(
        entropy=3.0, n_updates=6000, updates_per_epoch=100, aligned=True
    )
    assert schedule.stage == "ctc"
    assert any(run(schedule, 3.1, 600))
    assert (schedule.stage, schedule.aligned) == ("alignment", False)


def test_an_aligned_start_that_was_destroyed_need_not_be_aligned_again():
    schedule = Schedule(
        entropy=3.0, n_updates=6000, updates_per_epoch=100, aligned=True
    )
    run(schedule, 0.5, 100)
    assert run(schedule, math.nan, 5) == [False] * 4 + [True]
    assert schedule.diverged
    assert (schedule.stage, schedule.aligned) == ("ctc", True)


def test_a_few_losses_that_are_no_numbers_change_nothing():
    schedule = Schedule(entropy=3.0, n_updates=6000, updates_per_epoch=100)
    run(schedule, 2.0, 100)
    for _ in range(20):
        assert not any(run(schedule, math.nan, 4))
        assert not any(run(schedule, 2.0, 1))
    assert (schedule.n_restarts, schedule.diverged) == (0, False)
    assert schedule.loss == pytest.approx(2.0)


def test_an_aligned_start_takes_fewer_updates():
    lengths = []
    for aligned in (False, True):
        schedule = Schedule(
            entropy=3.0, n_updates=5000, updates_per_epoch=100, aligned=aligned
        )
        while not schedule.finished:
            schedule.step(0.01)
        lengths.append(schedule.update)
    assert lengths[1] == 800 < lengths[0]


def test_a_loss_that_still_falls_is_given_time():
    schedule = Schedule(entropy=3.0, n_updates=9000, updates_per_epoch=100)
    run(schedule, 2.0, 60)
    for update in range(2000):
        assert not schedule.step(3.3 - 0.0005 * update)
    assert schedule.n_restarts == 0


def test_alignment_that_teaches_nothing_ends_all_the_same():
    schedule = Schedule(entropy=3.0, n_updates=1000, updates_per_epoch=100)
    run(schedule, 3.0, 301)
    assert schedule.stage == "ctc"


def test_annealing_is_not_begun_on_the_plateau():
    schedule = Schedule(entropy=3.0, n_updates=1000, updates_per_epoch=100)
    run(schedule, 2.0, 100)
    schedule.anneal()
    assert schedule.stage == "ctc"


# The loop


def weights_of(result):
    return {k: v.numpy().copy() for k, v in result.network.state_dict().items()}


def test_same_generator_same_weights():
    a, b, c = (
        weights_of(fit_network(SHAPE, samples(), None, settings(), generator(seed)))
        for seed in (0, 0, 1)
    )
    assert all(np.array_equal(a[name], b[name]) for name in a)
    assert not np.array_equal(a["head.weight"], c["head.weight"])


def test_global_generators_are_left_alone():
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()
    fit_network(SHAPE, samples(), samples(4), settings(), generator())
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert np.array_equal(np.random.get_state()[1], numpy_state)


def test_weight_decay_spares_biases_and_norms():
    network = build_network(SHAPE, generator())
    decayed, spared = make_optimizer(network, settings()).param_groups
    names = {id(p): name for name, p in network.named_parameters()}
    assert (decayed["weight_decay"], spared["weight_decay"]) == (0.01, 0.0)
    assert all("weight" in names[id(p)] for p in decayed["params"])
    spared_names = {names[id(p)] for p in spared["params"]}
    assert {
        "blocks.0.norm.weight",
        "head.bias",
        "lstms.0.ahead.bias_ih_l0",
    } <= spared_names


def test_best_weights_are_restored(monkeypatch):
    scores = iter([0.2, 0.8, 0.3])
    seen = []

    def fake(network, _):
        seen.append(network.head.weight.detach().clone())
        return next(scores, 0.0), 0.5

    monkeypatch.setattr(_training, "evaluate", fake)
    result = fit_network(SHAPE, samples(), samples(4), settings(), generator())
    assert result.validation_scores == [0.2, 0.8, 0.3]
    assert result.best_validation_score == 0.8
    assert torch.equal(result.network.head.weight, seen[1])


def test_learning_rate_of_each_epoch_is_that_of_its_last_update():
    result = fit_network(SHAPE, samples(), None, settings(max_iter=60), generator())
    assert len(result.learning_rate_curve) == result.n_iter
    # So many of the sixty updates in which the rate rises.
    updates = math.ceil(len(samples()) / settings().batch_size)
    rate = settings().learning_rate_init
    assert result.learning_rate_curve[0] == pytest.approx(rate * updates / 60)
    assert max(result.learning_rate_curve) <= rate


def test_interrupt_keeps_the_best_weights(monkeypatch):
    calls = []

    def fake(network, _):
        calls.append(network.head.weight.detach().clone())
        if len(calls) == 3:
            raise KeyboardInterrupt
        return 1.0 - 0.1 * len(calls), 0.5

    monkeypatch.setattr(_training, "evaluate", fake)
    result = fit_network(
        SHAPE, samples(), samples(4), settings(max_iter=9), generator()
    )
    assert result.interrupted
    assert len(result.validation_scores) == len(result.loss_curve) == result.n_iter == 2
    assert torch.equal(result.network.head.weight, calls[0])
    assert not result.network.training


def test_interrupt_without_validation_keeps_the_weights_of_the_least_loss(monkeypatch):
    losses = iter([(3.0, False), (0.5, False), (0.9, False)])
    seen = []

    def fake(trainer, *args):
        trainer.schedule.stage = "ctc"
        with torch.no_grad():
            trainer.network.head.bias += 1
        try:
            loss = next(losses)
        except StopIteration:
            raise KeyboardInterrupt from None
        seen.append(trainer.network.head.bias.detach().clone())
        return loss

    monkeypatch.setattr(_training, "run_epoch", fake)
    result = fit_network(SHAPE, samples(), None, settings(max_iter=9), generator())
    assert result.interrupted
    assert torch.equal(result.network.head.bias, seen[1])


def test_wide_images_are_read_in_smaller_batches(monkeypatch):
    monkeypatch.setattr(inference, "_COLUMNS", 64)
    network = build_network(SHAPE, generator()).eval()
    images = [np.zeros((8, w, 1), np.uint8) for w in (16, 100, 16, 32, 16, 16)]
    batches = [positions for positions, _, _ in run_network(network, images)]
    assert sorted(itertools.chain(*batches)) == list(range(6))
    assert max(map(len, batches)) == 1


def test_restart_draws_new_weights_within_max_iter(monkeypatch):
    monkeypatch.setattr(_schedule, "_PATIENCE", 5)
    monkeypatch.setattr(_schedule, "_LEFT_PLATEAU", 0.0)  # never left
    result = fit_network(SHAPE, samples(), None, settings(max_iter=60), generator())
    assert result.n_restarts >= 1
    assert not result.converged
    assert len(result.loss_curve) == result.n_iter <= 60


def test_evaluate_counts_exact_matches_and_blanks():
    network = build_network(SHAPE, generator()).eval()
    with torch.no_grad():  # reads nothing but blanks
        network.head.weight.zero_()
        network.head.bias.copy_(torch.tensor([9.0, 0.0, 0.0]))
    some = samples(5)
    some.targets[2] = np.array([], dtype=np.int64)
    assert evaluate(network, some) == (0.2, 1.0)


def test_run_network_reads_each_image_once_whatever_the_batch_size():
    network = build_network(SHAPE, generator()).eval()
    rng = np.random.default_rng(0)
    images = [
        rng.integers(0, 256, (8, 4 * w, 1), dtype=np.uint8) for w in (5, 2, 9, 2, 7)
    ]
    results = []
    for batch_size in (1, 2, 64):
        frames = [None] * len(images)
        for positions, log_probs, lengths in run_network(network, images, batch_size):
            for column, position in enumerate(positions):
                frames[position] = log_probs[: lengths[column], column]
        assert [len(f) for f in frames] == [5, 2, 9, 2, 7]
        results.append(np.concatenate(frames))
    np.testing.assert_allclose(results[0], results[1], atol=1e-5)
    np.testing.assert_allclose(results[0], results[2], atol=1e-5)


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("lstm_layers", [0, 1, 2])
def test_autocast_path_trains(masked, lstm_layers):
    """What mixed precision does to the types, also on a CPU that only emulates it."""
    shape = {**SHAPE, "lstm_layers": lstm_layers, "dropout": 0.1}
    schedule = Schedule(entropy=1.0, n_updates=100, updates_per_epoch=10)
    trainer = _trainer.Trainer(shape, settings(), schedule, generator())
    trainer.half = torch.bfloat16
    some = samples(4)
    if masked:
        some.images[0] = some.images[0][:, :8]
    for schedule.stage in ("alignment", "ctc"):
        loss = trainer.update(some.images, some.targets)
        assert math.isfinite(loss)
    assert all(p.dtype == torch.float32 for p in trainer.network.parameters())


@pytest.mark.parametrize("there", [False, True])
def test_the_cpu_learns_in_bfloat16_where_it_has_instructions_for_it(
    there, monkeypatch
):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: there)
    expected = torch.bfloat16 if there else torch.float32
    assert choose_precision(torch.device("cpu")) == expected
    trainer = Trainer(SHAPE, settings(), Schedule(1, 1, 1), generator())
    assert trainer.half == expected


def test_the_ink_is_sought_in_the_distorted_image(monkeypatch):
    """Else the alignment points beside the characters, most of all in wide images."""
    sought = []
    monkeypatch.setattr(
        _trainer, "random_affine", lambda batch, *args, **kwargs: batch.float() + 7
    )
    monkeypatch.setattr(
        _trainer,
        "locate_ink",
        lambda batch, widths: sought.append(batch) or locate_ink(batch, widths),
    )
    schedule = Schedule(entropy=1.0, n_updates=100, updates_per_epoch=10)
    trainer = _trainer.Trainer(SHAPE, settings(), schedule, generator())
    some = samples(4)
    trainer.update(some.images, some.targets)
    batch, _ = pad_images(some.images, torch.device("cpu"))
    assert torch.equal(sought[0], batch.float() + 7)


# The optimizer


def test_the_optimizer_computes_as_that_of_pytorch():
    rng = torch.Generator().manual_seed(0)
    shapes = ((3, 4), (5,), (2, 3, 3, 3))
    settings = {"lr": 3e-3, "betas": (0.9, 0.99)}
    found = []
    start = [torch.randn(shape, generator=rng) for shape in shapes]
    gradients = [[torch.randn(s, generator=rng) for s in shapes] for _ in range(20)]
    for optimizer_class in (AdamW, torch.optim.AdamW):
        parameters = [torch.nn.Parameter(values.clone()) for values in start]
        optimizer = optimizer_class(
            [
                {"params": parameters[:2], "weight_decay": 0.1},
                {"params": parameters[2:], "weight_decay": 0.0},
            ],
            **settings,
        )
        for i, drawn in enumerate(gradients):
            optimizer.zero_grad()
            for parameter, gradient in zip(parameters, drawn, strict=True):
                if i % 4 or parameter.ndim > 1:  # some have none now and then
                    parameter.grad = gradient.clone()
            optimizer.param_groups[0]["lr"] = 3e-3 / (i + 1)
            optimizer.step()
        found.append(parameters)
    for one, other in zip(*found, strict=True):
        assert torch.equal(one, other)


def test_neither_a_fit_nor_reading_loads_the_compiler():
    """It takes longer to load than many an epoch."""
    code = """
        import sys, warnings
        import numpy as np
        from skcaptcha import CaptchaRecognizer
        warnings.simplefilter("ignore")
        images = [np.full((16, 40), i, np.uint8) for i in range(4)]
        fitted = CaptchaRecognizer(max_iter=1).fit(images, ["a", "b"] * 2)
        fitted.predict(images)
        print({"torch._dynamo", "torch._inductor", "sympy"} & sys.modules.keys())
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "set()\n"
