"""What has to go well on the imitated CUDA device, each time on a new one."""

import contextlib
import copy
import itertools
import pickle
import tempfile
import traceback
import warnings
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch

from skcaptcha import CaptchaRecognizer
from skcaptcha.export import export_onnx, load_onnx
from skcaptcha.images._samples import Samples
from skcaptcha.model import inference
from skcaptcha.training import step
from skcaptcha.training.fit import fit_network
from skcaptcha.training.schedule import Schedule
from skcaptcha.training.step import Trainer
from support import imitated_cuda, small_fits
from support.imitated_cuda import CudaTensor, imitate

RANDOM = np.random.default_rng(0)
SAME = [RANDOM.integers(0, 256, (16, 32), dtype=np.uint8) for _ in range(24)]
VARIED = [
    RANDOM.integers(0, 256, (16, 24 + 4 * (i % 4)), dtype=np.uint8) for i in range(24)
]
TEXTS = [f"{i % 12:02d}" for i in range(24)]
SMALL = {"conv_channels": (8, 16), "lstm_units": 16, "batch_size": 8, "max_iter": 2}


def make(**params):
    return CaptchaRecognizer(**{**SMALL, "random_state": 0, **params})


def fit(X, **params):
    recognizer = make(**params).fit(X, TEXTS)
    assert isinstance(recognizer.network_.head.weight, CudaTensor), "not on the device"
    return recognizer


@contextlib.contextmanager
def around_updates(before, after=lambda: None):
    """Call functions before and after each update."""
    train_step = Trainer.train_step

    def watched(trainer, *batch):
        before()
        try:
            return train_step(trainer, *batch)
        finally:
            after()

    with patch.object(Trainer, "train_step", watched):
        yield


# ---- tasks -------------------------------------------------------------------------


def fit_and_read(device):
    for X in (SAME, VARIED):
        recognizer = fit(X, lstm_layers=2, batch_size="auto")
        assert recognizer.auto_choices_["batch_size"] == 32  # 8 on a CPU
        recognizer.predict(VARIED[:5])
        recognizer.predict(SAME[:3], return_confidence=True)
        recognizer.predict_topk(X[:2])
    large = fit(VARIED, conv_channels=(8, 16, 16), network_size="large")
    large.predict(VARIED[:5])


def fit_with_held_out_images(device):
    recognizer = fit(VARIED, early_stopping=True)
    assert len(recognizer.validation_scores_) == recognizer.n_iter_


def fit_in_half_precision(device):
    """The loss is never scaled for bfloat16, so nothing may be in float16."""
    fit(SAME)
    allowed = {torch.float32}
    if device.capability < (8, 0):
        allowed.add(torch.float16)  # whose loss is scaled
    assert device.lstm_dtypes <= allowed, f"the LSTM was in {device.lstm_dtypes}"


def fine_tune_with_frozen_convolutions(device):
    recognizer = fit(SAME)
    before = recognizer.network_.blocks[0].conv.weight.cpu()
    recognizer.set_params(warm_start=True, freeze_convolutions=True)
    recognizer.fit(VARIED, TEXTS)
    assert torch.equal(recognizer.network_.blocks[0].conv.weight.cpu(), before)


def fit_partially(device):
    recognizer = make().partial_fit(VARIED, TEXTS).partial_fit(SAME, TEXTS)
    recognizer.partial_fit(SAME, ["a" + text[1:] for text in TEXTS])
    assert "a" in recognizer.vocabulary_
    copy.deepcopy(recognizer).partial_fit(SAME, TEXTS).predict(SAME[:2])


def start_warm(device):
    recognizer = fit(SAME, warm_start=True)
    before = recognizer.network_.head.weight.cpu()
    recognizer.fit(VARIED, TEXTS)
    assert not torch.equal(before, recognizer.network_.head.weight.cpu())


def resume_from_checkpoint(device):
    expected = fit(VARIED)

    class BrokenOff(BaseException):
        pass

    left = 4

    def break_off():
        nonlocal left
        left -= 1
        if left < 0:
            raise BrokenOff

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "fit.ckpt"
        recognizer = make(checkpoint=path, checkpoint_interval=0)
        with contextlib.suppress(BrokenOff), around_updates(break_off):
            recognizer.fit(VARIED, TEXTS)
        assert path.exists()
        recognizer.fit(VARIED, TEXTS)
    np.testing.assert_allclose(recognizer.loss_curve_, expected.loss_curve_, rtol=1e-4)


def run_out_of_memory(device):
    reader = fit(SAME)
    expected = list(reader.predict(SAME))
    room = iter([225_000] * 3)

    def shrink():
        device.room = next(room, None)

    fitted = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with around_updates(shrink):
            fitted.append(fit(VARIED))
        device.room = 90_000
        assert list(reader.predict(SAME)) == expected
        device.room = None
    told = [str(warning.message) for warning in caught]
    assert sum("too little memory" in message for message in told) >= 2, told
    tracked = fitted[0].network_.blocks[0].norm.num_batches_tracked.item()
    assert tracked > 0


def learn_as_the_cpu_does(device):
    """In float32 and undistorted, a fit finds what a fit on the CPU finds."""
    for X in (SAME, VARIED):
        curves = []
        for place in ("cuda", "cpu"):
            images = [image[:, :, None] for image in X]
            targets = [np.array([int(c) + 1 for c in text]) for text in TEXTS]
            config = small_fits.training_config(
                device=torch.device(place), augmentation=0.0, batch_size=8
            )
            network_config = {**small_fits.NETWORK_CONFIG, "n_classes": 11}
            float32 = patch.object(
                step, "choose_autocast_dtype", lambda _: torch.float32
            )
            for aligned in (False, True):
                with float32:
                    found = fit_network(
                        network_config,
                        Samples(images, targets),
                        None,
                        config,
                        imitated_cuda.Generator().manual_seed(0),
                        aligned=aligned,
                    )
                weights = found.network.state_dict().values()
                curves.append(found.loss_curve)
                curves += [values.cpu().float().ravel().tolist() for values in weights]
        half = len(curves) // 2
        for ours, theirs in zip(curves[:half], curves[half:], strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=2e-3, atol=2e-4)


def find_the_gradients_of_the_cpu(device):
    """In float32 and undistorted, for images of several widths."""
    images = [image[:, :, None] for image in VARIED[:8]]
    targets = [np.array([int(c) + 1 for c in text]) for text in TEXTS[:8]]
    large = {"conv_channels": (4, 8, 8), "residual_blocks": 2}
    for stage, form in itertools.product(("ctc", "alignment"), ({}, large)):
        found = []
        for place in ("cuda", "cpu"):
            config = small_fits.training_config(
                device=torch.device(place), augmentation=0.0
            )
            network_config = {**small_fits.NETWORK_CONFIG, "n_classes": 11, **form}
            schedule = Schedule(1.0, 200, 4, aligned=stage == "ctc")
            generator = torch.Generator().manual_seed(0)
            trainer = Trainer(network_config, config, schedule, generator)
            trainer.autocast_dtype = torch.float32
            trainer.scaler = torch.amp.GradScaler(place, enabled=False)
            with torch.no_grad():
                for block in trainer.network.blocks:
                    block.norm.bias.fill_(0.5)  # in padding as well, were it not clear
            some = Samples(images, targets)
            some = some.put_on(config.device) if place == "cuda" else some
            loss = trainer.get_gradients(some.images, some.targets, observed=[])
            parameters = trainer.network.named_parameters()
            found.append({name: p.grad.cpu().numpy() for name, p in parameters})
            found[-1]["loss"] = np.array(float(loss))
        for name, theirs in found[1].items():
            size = 1e-3 * np.abs(theirs).max()
            np.testing.assert_allclose(found[0][name], theirs, 1e-3, size, name)


def skip_what_is_not_finite(device):
    """The weights, the moments and the statistics stay; the loss is not a number."""
    schedule = Schedule(1.0, n_updates=200, updates_per_epoch=4, aligned=True)
    config = small_fits.training_config(device=torch.device("cuda"))
    trainer = Trainer(
        small_fits.NETWORK_CONFIG, config, schedule, torch.Generator().manual_seed(0)
    )
    some = small_fits.samples(4).put_on(config.device)

    def learn():
        trainer.late.append(trainer.train_step(some.images, some.targets))
        trainer.read_losses()
        return trainer.losses[-1]

    def state():
        kept = [trainer.network.state_dict(), *trainer.optimizer.state.values()]
        return [{k: v.cpu().clone() for k, v in values.items()} for values in kept]

    assert np.isfinite(learn())
    before = state()
    hook = trainer.network.blocks[0].register_forward_hook(
        lambda module, inputs, output: (output[0] * float("nan"), output[1])
    )
    assert np.isnan(learn())
    hook.remove()
    for old, new in zip(before, state(), strict=True):
        assert old.keys() == new.keys()
        assert all(torch.equal(old[k], new[k]) for k in old), "something was learned"
    assert trainer.n_skipped_updates == 1
    assert np.isfinite(learn())


def pickle_for_another_machine(device):
    recognizer = fit(SAME)
    there = pickle.loads(pickle.dumps(recognizer))
    assert isinstance(there.network_.head.weight, CudaTensor)
    expected = list(recognizer.predict(SAME))
    saved = pickle.dumps(recognizer)

    def read_there():
        here = pickle.loads(saved)
        assert here.network_.head.weight.device.type == "cpu"
        assert list(here.predict(SAME)) == expected

    return read_there


def export_to_onnx(device):
    recognizer = fit(VARIED)
    expected = list(recognizer.predict(VARIED))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        export_onnx(recognizer, path)
        exported = path.read_bytes()

    def read_there():
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.onnx"
            path.write_bytes(exported)
            assert list(load_onnx(path).predict(VARIED)) == expected

    return read_there


DEFAULT_NETWORK = {"conv_channels": (24, 48, 96, 128, 128), "lstm_units": 128}
MOST_WAITS = 1  # in an update, for the loss of an earlier one
MOST_LAUNCHES = 250
COUNTS = {}  # what was counted, for the report


def count_updates(device):
    """An update of the default network, with all that belongs to it."""
    widths = {"one width": [80] * 48, "several widths": range(48, 144, 2)}
    texts = [f"{i:05d}" for i in range(48)]
    for name, choice in widths.items():
        X = [RANDOM.integers(0, 256, (40, choice[i]), np.uint8) for i in range(48)]
        for stage in ("ctc", "alignment"):
            found = []

            def count(found=found):
                found.append((device.n_waits, device.n_launches))
                if len(found) in (8, 9):  # of twelve updates
                    lines = {"waits": device.waits, "launches": device.launches}
                    found[-1] = (*found[-1], copy.deepcopy(lines))

            device.forget()
            with around_updates(count), _always_in(stage):
                make(**DEFAULT_NETWORK, batch_size=4, max_iter=1).fit(X, texts)
            (waits, launches, before), (more, many, after) = found[7:9]
            COUNTS[f"{stage}, {name}"] = {
                "waits": more - waits,
                "launches": many - launches,
                "by place": dict(after["waits"] - before["waits"]),
                "by kernel": dict(after["launches"] - before["launches"]),
            }
    assert max(c["waits"] for c in COUNTS.values()) <= MOST_WAITS, COUNTS
    assert max(c["launches"] for c in COUNTS.values()) <= MOST_LAUNCHES, COUNTS


@contextlib.contextmanager
def _always_in(stage):
    """Let the stage of a fit be one of two, whatever was learned."""
    with patch.object(Schedule, "_enter", _enter_in(stage)):
        yield


def _enter_in(stage):
    enter = Schedule._enter
    return lambda schedule, _: enter(schedule, stage)


def count_batches(device):
    """Reading waits once a batch, which is larger than on a CPU."""
    recognizer = fit(SAME, multi_scale=False)
    recognizer.predict(SAME[:1])  # which prepares the network, once
    run, n_batches = inference._read_batch, 0

    def read(*args):
        nonlocal n_batches
        n_batches += 1
        return run(*args)

    with patch.object(inference, "_read_batch", read):
        for X in (SAME * 4, VARIED):
            device.forget()
            n_batches = 0
            recognizer.predict(X)
            assert device.n_waits == n_batches == 1, (device.waits, n_batches)


TASKS = [
    fit_and_read,
    fit_with_held_out_images,
    fit_in_half_precision,
    fine_tune_with_frozen_convolutions,
    fit_partially,
    start_warm,
    resume_from_checkpoint,
    run_out_of_memory,
    learn_as_the_cpu_does,
    find_the_gradients_of_the_cpu,
    skip_what_is_not_finite,
    pickle_for_another_machine,
    export_to_onnx,
    count_updates,
    count_batches,
]


def run(task, capability):
    """Run a task; return what is wrong, or None."""
    try:
        with imitate(capability) as device, warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The network has not learned to read")
            afterwards = task(device)
        if afterwards is not None:
            afterwards()  # on a machine without the device
    except Exception:
        return traceback.format_exc(limit=-6)
    return None
