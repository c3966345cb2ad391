"""Numbers that are not finite, labels that do not fit, and a GPU that is too small."""

import copy
import itertools
import math
import warnings

import numpy as np
import pytest
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from support.data import TINY
from support.small_fits import SHAPE, generator, samples, settings

from skcaptcha import CaptchaRecognizer
from skcaptcha._auto import choose_stretch
from skcaptcha.images._batches import pad_images
from skcaptcha.images._prepare import prepare_image
from skcaptcha.model.inference import halve_batch, run_network
from skcaptcha.model.network import CRNN, TIME_STRIDE, build_network
from skcaptcha.training import fit as _training
from skcaptcha.training.fit import fit_network
from skcaptcha.training.losses import ctc_loss
from skcaptcha.training.schedule import Schedule
from skcaptcha.training.step import Trainer


def make_trainer(**changes):
    schedule = Schedule(1.0, n_updates=100, updates_per_epoch=3, aligned=True)
    return Trainer(SHAPE, settings(**changes), schedule, generator())


def copy_state(trainer):
    moments = enumerate(trainer.optimizer.state.values())
    return copy.deepcopy([trainer.network.state_dict(), dict(moments)])


def same(a, b):
    return str(a.keys()) == str(b.keys()) and all(
        same(a[k], b[k]) if isinstance(a[k], dict) else torch.equal(a[k], b[k])
        for k in a
    )


def fail_in(monkeypatch, failing, destroy=False):
    """Let the updates of some numbers, from 1, fail, or destroy the weights."""
    update, calls = Trainer.update, itertools.count(1)

    def fail(trainer, *args):
        loss = update(trainer, *args)
        if next(calls) not in failing:
            return loss
        if destroy:
            with torch.no_grad():
                trainer.network.head.weight.fill_(math.nan)
            return loss
        trainer.n_left_out += 1
        return math.nan

    monkeypatch.setattr(Trainer, "update", fail)


# Numbers


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


@pytest.mark.parametrize("spoil", [spoil_gradients, spoil_loss, spoil_features])
@pytest.mark.parametrize("masked", [True, False])
def test_nothing_is_learned_from_what_is_not_finite(spoil, masked):
    trainer, some = make_trainer(), samples(4)
    if masked:
        some.images[0] = some.images[0][:, :8]
    assert math.isfinite(trainer.update(some.images, some.targets))
    before = copy_state(trainer)
    with spoil(trainer):
        assert math.isnan(trainer.update(some.images, some.targets))
    assert all(map(same, before, copy_state(trainer)))
    assert trainer.n_left_out == 1
    assert math.isfinite(trainer.update(some.images, some.targets))
    assert not same(before[0], trainer.network.state_dict())


def test_a_batch_that_is_to_blame_is_left_out_and_counted(monkeypatch):
    spoiled = samples()
    trainers = []
    begin = Trainer.begin

    def spoil(trainer, *args):
        trainers.append(trainer)
        begin(trainer, *args)

        def spoil_black(gradient):
            return gradient * (math.nan if trainer.black else 1)

        trainer.network.head.weight.register_hook(spoil_black)

    find = Trainer._find_losses

    def watch(trainer, images, *others):
        trainer.black = any(image.max() == 0 for image in images)
        return find(trainer, images, *others)

    monkeypatch.setattr(Trainer, "begin", spoil)
    monkeypatch.setattr(Trainer, "_find_losses", watch)
    spoiled.images[3][:] = 0
    result = fit_network(SHAPE, spoiled, None, settings(max_iter=8), generator())
    assert (result.n_left_out, result.n_updates) == (8, 24)  # one in each epoch
    assert result.n_restarts == 0
    assert np.isfinite(result.loss_curve).all()
    assert all(p.isfinite().all() for p in result.network.parameters())


def fit_from(start, validation=None):
    options = {"start": start, "aligned": True}
    args = SHAPE, samples(), validation, settings(max_iter=20), generator()
    return fit_network(*args, **options)  # of 60 updates, 3 an epoch


@pytest.mark.parametrize("with_validation", [True, False])
def test_weights_that_diverge_are_replaced_by_the_best_so_far(
    monkeypatch, with_validation
):
    """Not by those that the fit began with: what was learned is not lost."""
    kept, begun = [], []
    copy_weights, begin = _training.copy_weights, Trainer.begin

    def watch_best(network):
        kept.append(copy_weights(network))
        return kept[-1]

    def watch_begin(trainer, *args):
        begin(trainer, *args)
        begun.append((trainer.schedule.update, copy_weights(trainer.network)))

    monkeypatch.setattr(_training, "copy_weights", watch_best)
    monkeypatch.setattr(Trainer, "begin", watch_begin)
    fail_in(monkeypatch, {13}, destroy=True)
    start = build_network(SHAPE, generator(5))
    result = fit_from(start, samples(4) if with_validation else None)
    assert (result.n_restarts, result.n_left_out) == (1, 5)
    (_, _), (update, weights) = begun
    assert update == 13 + 5
    assert not same(weights, start.state_dict())
    assert sum(same(weights, best) for best in kept) == 1
    assert all(p.isfinite().all() for p in result.network.parameters())
    assert len(result.loss_curve) == 19  # the epoch that was broken off counts not


def test_weights_that_are_destroyed_at_the_end_of_an_epoch_are_not_the_best(
    monkeypatch,
):
    fail_in(monkeypatch, {15}, destroy=True)
    result = fit_from(build_network(SHAPE, generator(5)))
    assert (result.n_restarts, result.n_left_out) == (1, 5)
    assert all(p.isfinite().all() for p in result.network.parameters())


def test_a_fit_that_ends_badly_keeps_the_best_weights(monkeypatch):
    fail_in(monkeypatch, {58}, destroy=True)
    result = fit_from(build_network(SHAPE, generator(5)))
    assert (result.n_restarts, result.n_left_out) == (0, 2)
    assert all(p.isfinite().all() for p in result.network.parameters())


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize("pretrained", [False, "auto"])
def test_training_that_diverges_at_once_is_an_error(captchas, method, pretrained):
    params = {} if pretrained else {**TINY, "pretrained": False}
    recognizer = CaptchaRecognizer(**params, max_iter=2, learning_rate_init=1e30)
    before = dict(vars(recognizer))
    with pytest.raises(
        ValueError,
        match=r"Training failed: in \d+ updates, .* not finite .* "
        r"Lower learning_rate_init=1e\+30; where",
    ):
        getattr(recognizer, method)(captchas[0][:32], captchas[1][:32])
    assert vars(recognizer) == before


def test_going_on_at_a_rate_that_destroys_keeps_the_earlier_fit(fitted, captchas):
    recognizer = copy.deepcopy(fitted).set_params(warm_start=True, max_iter=2)
    recognizer.set_params(learning_rate_init=1e30)
    before = dict(vars(recognizer))
    for method in (recognizer.fit, recognizer.partial_fit):
        with pytest.raises(ValueError, match="Training failed"):
            method(captchas[0][:32], captchas[1][:32])
        assert vars(recognizer) == before
    read = recognizer.predict_confidence(captchas[0][:5])
    assert list(read) == list(fitted.predict_confidence(captchas[0][:5]))


def test_a_search_leaves_out_a_rate_that_destroys(captchas):
    search = GridSearchCV(
        CaptchaRecognizer(**TINY, max_iter=2),
        {"learning_rate_init": [1e-3, 1e30]},
        cv=2,
        refit=False,
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        search.fit(captchas[0][:32], captchas[1][:32])
    assert any("Training failed: in " in str(w.message) for w in caught)
    scores = search.cv_results_["mean_test_score"]
    assert np.isnan(scores).tolist() == [False, True]


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_what_was_left_out_is_told(captchas, monkeypatch, method):
    fail_in(monkeypatch, {1})
    recognizer = CaptchaRecognizer(**TINY, max_iter=2)
    of_all = " of 8" if method == "fit" else ""
    match = rf"In 1{of_all} updates the loss or the gradients were not finite"
    with pytest.warns(ConvergenceWarning, match=match) as caught:
        getattr(recognizer, method)(captchas[0][:32], captchas[1][:32])
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert np.isfinite(recognizer.loss_curve_).all()


def test_an_epoch_of_partial_fit_that_ends_badly_is_begun_anew(monkeypatch, captchas):
    fail_in(monkeypatch, {4})  # the last one
    recognizer = CaptchaRecognizer(**TINY)
    with pytest.warns(ConvergenceWarning, match="In 1 updates"):
        recognizer.partial_fit(captchas[0][:32], captchas[1][:32])
    assert recognizer.n_restarts_ == 1
    assert recognizer.n_iter_ == 1


def test_half_precision_that_overflows_lowers_its_scale_and_learns():
    """What mixed precision on older CUDA devices does, tried on a CPU."""
    trainer, some = make_trainer(), samples(4)
    trainer.half = torch.float16
    trainer.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**40)
    before = copy_state(trainer)[0]
    learned = []
    for _ in range(40):
        assert math.isfinite(trainer.update(some.images, some.targets))
        now = trainer.network.state_dict()
        learned.append(not torch.equal(before["head.weight"], now["head.weight"]))
    assert learned[0] is False
    assert learned[-1] is True
    assert trainer.n_left_out == 0
    assert trainer.scaler.get_scale() < 2.0**40
    trainer.scaler = torch.amp.GradScaler("cpu", init_scale=1.0)
    with spoil_gradients(trainer):  # which no scale mends
        assert math.isnan(trainer.update(some.images, some.targets))
    assert trainer.n_left_out == 1


# Labels


@pytest.mark.parametrize("fixed", [None, 2.0])
def test_a_label_that_is_not_refused_can_be_aligned(fixed):
    rng = np.random.default_rng(0)
    network = build_network(SHAPE, generator()).train()
    n_taken = 0
    for _ in range(300):
        shape = rng.integers(1, 80), rng.integers(1, 200)
        image = rng.integers(0, 256, shape, dtype=np.uint8)
        target = rng.integers(1, 3, rng.integers(1, 30))  # doubled ones among them
        height = int(rng.integers(8, 40))
        try:
            stretch = choose_stretch([shape], [target], ["x"], height, fixed=fixed)
        except ValueError:
            continue
        n_taken += 1
        image = prepare_image(
            image, height=height, stretch=stretch, color_mode="grayscale", name="X[0]"
        )
        needed = len(target) + np.count_nonzero(target[1:] == target[:-1])
        assert image.shape[1] // TIME_STRIDE >= needed
        if n_taken % 20 == 0:  # a label that does not fit would have the loss zero
            *heads, lengths = network(*pad_images([image], "cpu"), auxiliary=True)
            assert ctc_loss(heads[0], lengths, [target]).item() > 0
    assert n_taken > 50


# Memory


def fit_into(network, n_images):
    """Make the network fail, as on a small GPU, with more images than that."""
    forward = network.forward

    def fail(images, *args, **kwargs):
        if len(images) > n_images:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return forward(images, *args, **kwargs)

    network.forward = fail


def test_a_batch_in_parts_has_the_same_gradients():
    # Frozen norms, since those of a part differ from those of the whole batch.
    whole, parts = (
        make_trainer(freeze_convolutions=True, augmentation=0) for _ in range(2)
    )
    whole.half = parts.half = torch.float32  # bfloat16 rounds to three digits
    some = samples(7)
    some.images[2] = some.images[2][:, :8]
    some.targets[4] = some.targets[4][:1]
    fit_into(parts.network, 3)
    with pytest.warns(UserWarning, match="GPU has too little memory") as caught:
        loss = parts.update(some.images, some.targets)
    assert [str(w.message).split("for ")[1][:31] for w in caught] == [
        "7 images at once; they are work",
        "4 images at once; they are work",
    ]
    assert loss == pytest.approx(whole.update(some.images, some.targets), rel=1e-5)
    for a, b in zip(
        parts.network.parameters(), whole.network.parameters(), strict=True
    ):
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


def test_a_fit_goes_on_in_parts_with_one_warning(captchas, monkeypatch):
    forward, sizes = CRNN.forward, []

    def fail(network, images, *args, **kwargs):
        sizes.append(len(images))
        if network.training and len(images) > 5:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return forward(network, images, *args, **kwargs)

    monkeypatch.setattr(CRNN, "forward", fail)
    recognizer = CaptchaRecognizer(**TINY, max_iter=3, batch_size=8)
    with pytest.warns(UserWarning) as caught:
        recognizer.fit(captchas[0][:32], captchas[1][:32])
    memory = [w for w in caught if "too little memory for 8 images" in str(w.message)]
    assert len(memory) == 1
    assert memory[0].filename == __file__
    assert sizes[:5] == [8, 4, 4, 4, 4]
    assert np.isfinite(recognizer.loss_curve_).all()


def test_a_gpu_that_is_too_small_for_one_image_is_an_error(captchas, monkeypatch):
    def fail(network, images, *args, **kwargs):
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(CRNN, "forward", fail)
    recognizer = CaptchaRecognizer(**TINY, max_iter=2, batch_size=2)
    before = dict(vars(recognizer))
    for method in (recognizer.fit, recognizer.partial_fit):
        with (
            pytest.warns(UserWarning, match="too little memory for 2 images"),
            pytest.raises(MemoryError, match="memory for a single image. Cut wide"),
        ):
            method(captchas[0][:4], captchas[1][:4])
        assert vars(recognizer) == before


def test_reading_goes_on_in_parts():
    network = build_network(SHAPE, generator()).eval()
    images = samples(11).images

    def read():
        frames = {}
        for positions, log_probs, lengths in run_network(network, images, 8):
            for column, position in enumerate(positions):
                frames[position] = log_probs[: lengths[column], column]
        return np.stack([frames[i] for i in range(11)])

    expected = read()
    fit_into(network, 3)
    with pytest.warns(UserWarning, match="too little memory for [84] images at once"):
        np.testing.assert_allclose(read(), expected, atol=1e-5)
    fit_into(network, 0)
    with pytest.warns(UserWarning), pytest.raises(MemoryError, match="single image"):
        read()


def test_half_of_an_odd_batch_is_rounded_up():
    for size, half in [(2, 1), (3, 2), (64, 32), (65, 33)]:
        with pytest.warns(UserWarning, match=f"they are worked off {half} at a time"):
            assert halve_batch(size, 2) == half
