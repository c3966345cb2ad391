"""One update: its precision, its distortion, its memory, and what is not finite."""

import copy
import itertools
import math

import numpy as np
import pytest
import torch
from support.small_fits import NETWORK_CONFIG, generator, samples, training_config
from support.tensors import pad_images

from skcaptcha._torch_compat import OutOfMemoryError
from skcaptcha.training import step as _step
from skcaptcha.training.losses import locate_ink
from skcaptcha.training.schedule import Schedule
from skcaptcha.training.step import Trainer, choose_autocast_dtype


def make_trainer(network_config=NETWORK_CONFIG, *, aligned=True, **changes):
    schedule = Schedule(1.0, n_updates=200, updates_per_epoch=4, aligned=aligned)
    return Trainer(network_config, training_config(**changes), schedule, generator())


def copy_state(trainer):
    moments = enumerate(trainer.optimizer.state.values())
    return copy.deepcopy([trainer.network.state_dict(), dict(moments)])


def same(a, b):
    return str(a.keys()) == str(b.keys()) and all(
        same(a[k], b[k]) if isinstance(a[k], dict) else torch.equal(a[k], b[k])
        for k in a
    )


# Precision


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("lstm_layers", [0, 1, 2])
def test_autocast_path_trains(masked, lstm_layers):
    """What mixed precision does to the types, also on a CPU that only emulates it."""
    config = {**NETWORK_CONFIG, "lstm_layers": lstm_layers, "dropout": 0.1}
    trainer, some = make_trainer(config, aligned=False), samples(4)
    trainer.autocast_dtype = torch.bfloat16
    if masked:
        some.images[0] = some.images[0][:, :8]
    for trainer.schedule.stage in ("alignment", "ctc"):
        assert math.isfinite(trainer.train_step(some.images, some.targets))
    assert all(p.dtype == torch.float32 for p in trainer.network.parameters())


@pytest.mark.parametrize("there", [False, True])
def test_the_cpu_learns_in_bfloat16_where_it_is_fast(there, monkeypatch):
    monkeypatch.setattr(_step, "has_fast_bfloat16", lambda: there)
    expected = torch.bfloat16 if there else torch.float32
    assert choose_autocast_dtype(torch.device("cpu")) == expected
    assert make_trainer().autocast_dtype == expected


def spoil_gradients(trainer):
    weight = trainer.network.head.weight
    return weight.register_hook(lambda gradient: gradient * math.inf)


def spoil_loss(trainer):
    return trainer.network.head.register_forward_hook(
        lambda module, inputs, output: output * math.nan
    )


def spoil_features(trainer):
    """What overflows goes into the statistics of the norms as well."""
    return trainer.network.blocks[0].conv.register_forward_hook(
        lambda module, inputs, output: output * math.inf
    )


def test_half_precision_that_overflows_lowers_its_scale_and_learns():
    """What mixed precision on older CUDA devices does, tried on a CPU."""
    trainer, some = make_trainer(), samples(4)
    trainer.autocast_dtype = torch.float16
    trainer.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**40)
    before = copy_state(trainer)[0]
    learned = []
    for _ in range(40):
        assert math.isfinite(trainer.train_step(some.images, some.targets))
        now = trainer.network.state_dict()
        learned.append(not torch.equal(before["head.weight"], now["head.weight"]))
    assert learned[0] is False
    assert learned[-1] is True
    assert trainer.n_skipped_updates == 0
    assert trainer.scaler.get_scale() < 2.0**40
    trainer.scaler = torch.amp.GradScaler("cpu", init_scale=1.0)
    with spoil_gradients(trainer):  # which no scale mends
        assert math.isnan(trainer.train_step(some.images, some.targets))
    assert trainer.n_skipped_updates == 1


# Numbers that are not finite


@pytest.mark.parametrize("spoil", [spoil_gradients, spoil_loss, spoil_features])
@pytest.mark.parametrize("masked", [True, False])
def test_nothing_is_learned_from_what_is_not_finite(spoil, masked):
    trainer, some = make_trainer(), samples(4)
    if masked:
        some.images[0] = some.images[0][:, :8]
    assert math.isfinite(trainer.train_step(some.images, some.targets))
    before = copy_state(trainer)
    with spoil(trainer):
        assert math.isnan(trainer.train_step(some.images, some.targets))
    assert all(map(same, before, copy_state(trainer)))
    assert trainer.n_skipped_updates == 1
    assert math.isfinite(trainer.train_step(some.images, some.targets))
    assert not same(before[0], trainer.network.state_dict())


# Distortion


def test_distortion_and_dropout_fade_as_the_rate_does(monkeypatch):
    strengths, dropouts = [], []

    def watch(images, widths, *, strength, generator):
        strengths.append(strength)
        return images.float()

    monkeypatch.setattr(_step, "random_affine", watch)
    trainer, some = make_trainer({**NETWORK_CONFIG, "dropout": 0.2}), samples(8)
    for update in range(200):
        trainer.train_step(some.images, some.targets)
        dropouts.append(trainer.network.dropout)
        trainer.schedule.step(0.1 if update < 150 else 0.01)
    assert strengths[0] == 0.5
    assert dropouts[0] == 0.2
    np.testing.assert_allclose(np.divide(strengths, 0.5), np.divide(dropouts, 0.2))
    assert all(a >= b for a, b in itertools.pairwise(strengths))
    assert strengths[-1] < 0.01


def test_the_ink_is_sought_in_the_distorted_image(monkeypatch):
    """Else the alignment points beside the characters, most of all in wide images."""
    sought = []
    monkeypatch.setattr(
        _step, "random_affine", lambda batch, *args, **kwargs: batch.float() + 7
    )
    monkeypatch.setattr(
        _step,
        "locate_ink",
        lambda batch, widths: sought.append(batch) or locate_ink(batch, widths),
    )
    some = samples(4)
    make_trainer(aligned=False).train_step(some.images, some.targets)
    batch, _ = pad_images(some.images, torch.device("cpu"))
    assert torch.equal(sought[0], batch.float() + 7)


# Memory


def test_a_batch_in_parts_has_the_same_gradients():
    # Frozen norms, since those of a part differ from those of the whole batch.
    whole, parts = (
        make_trainer(freeze_convolutions=True, augmentation=0) for _ in range(2)
    )
    whole.autocast_dtype = parts.autocast_dtype = torch.float32  # bfloat16 rounds
    some = samples(7)
    some.images[2] = some.images[2][:, :8]
    some.targets[4] = some.targets[4][:1]
    forward = parts.network.forward

    def fail(images, *args, **kwargs):
        if len(images) > 3:  # as on a small GPU
            raise OutOfMemoryError("CUDA out of memory.")
        return forward(images, *args, **kwargs)

    parts.network.forward = fail
    loss = parts.train_step(some.images, some.targets)
    assert [message.split("for ")[1][:26] for message, _ in parts.warnings] == [
        "7 images at once; they are",
        "4 images at once; they are",
    ]
    assert loss == pytest.approx(whole.train_step(some.images, some.targets), rel=1e-5)
    for a, b in zip(
        parts.network.parameters(), whole.network.parameters(), strict=True
    ):
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


def fail_above(trainer, most):
    """Let the network have memory for a few images only; return that as a list."""
    forward, limit = trainer.network.forward, [most]

    def run(images, *args, **kwargs):
        found = forward(images, *args, **kwargs)
        if len(images) > limit[0]:  # when the statistics have followed already
            raise OutOfMemoryError("CUDA out of memory.")
        return found

    trainer.network.forward = run
    return limit


@pytest.mark.parametrize("masked", [True, False])
def test_what_runs_out_of_memory_leaves_the_statistics(masked):
    trainer, other = make_trainer(augmentation=0), make_trainer(augmentation=0)
    some = samples(4)
    if masked:
        some.images[0] = some.images[0][:, :8]
    fail_above(trainer, 2)
    trainer.train_step(some.images, some.targets)
    other.max_columns = 2 * 16
    other.train_step(some.images, some.targets)
    assert same(trainer.network.state_dict(), other.network.state_dict())
    assert trainer.network.blocks[0].norm.num_batches_tracked == 2  # once for each part


def test_only_batches_that_are_too_large_are_learned_from_in_parts():
    trainer, some = make_trainer(), samples(4)
    fail_above(trainer, 2)
    trainer.train_step(some.images, some.targets)
    assert trainer.max_columns == 2 * 16
    sizes, forward = [], trainer.network.forward

    def watch(images, *args, **kwargs):
        sizes.append(len(images))
        return forward(images, *args, **kwargs)

    trainer.network.forward = watch
    trainer.train_step(some.images, some.targets)
    assert sizes == [2, 2]
    sizes.clear()
    trainer.train_step(some.images[:2], some.targets[:2])
    assert sizes == [2]


def test_a_batch_is_tried_whole_again_after_a_while(monkeypatch):
    monkeypatch.setattr(_step, "_TRY_AGAIN", 3)
    trainer, some = make_trainer(), samples(4)
    limit = fail_above(trainer, 2)
    trainer.train_step(some.images, some.targets)
    limit[0] = 4  # another program has ended
    for _ in range(3):
        assert trainer.max_columns == 2 * 16
        trainer.train_step(some.images, some.targets)
    assert trainer.max_columns == math.inf


# Losses that come late


def test_the_schedule_is_told_of_losses_in_their_order():
    trainer = make_trainer()
    for loss in (3.0, 2.0, 1.0):
        trainer.note(loss)
    assert trainer.schedule.n_late == 3
    assert not trainer.read_losses(1)
    assert (trainer.losses, list(trainer.late)) == ([3.0, 2.0], [1.0])
    assert (trainer.schedule.update, trainer.schedule.n_late) == (2, 1)
    assert trainer.n_done == 3
    trainer.read_losses()
    assert trainer.losses == [3.0, 2.0, 1.0]


def test_a_new_start_drops_the_losses_that_come_after_it():
    trainer = make_trainer()
    for loss in [math.nan] * 5 + [1.0]:
        trainer.note(loss)
    assert trainer.read_losses()
    assert not trainer.late
    assert (trainer.schedule.update, trainer.schedule.n_late) == (6, 0)
