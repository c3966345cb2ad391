"""Fits that broke off resume from their checkpoint, and from no other file."""

import errno
import hashlib
import itertools
import json
import math
import os
import pickle
import random
import re
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.base import clone
from support import kill_fits, small_fits
from support.data import TINY, make_easy
from support.training import before_updates, fail_at

from skcaptcha import CaptchaRecognizer
from skcaptcha.export import export_onnx
from skcaptcha.model.network import build_network
from skcaptcha.training import checkpoint as _checkpoint
from skcaptcha.training import schedule as _schedule
from skcaptcha.training.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from skcaptcha.training.fit import fit_network

pytestmark = pytest.mark.filterwarnings(
    "ignore:The network has not learned to read:sklearn.exceptions.ConvergenceWarning"
)


class BrokenOff(BaseException):
    """Ends a fit as a signal would, without a chance to tidy up."""


@pytest.fixture(scope="module")
def few():
    """Images of differing width of the digits 0 to 2, and their texts."""
    images, texts = make_easy(24, "012", seed=3)
    images[::3] = [image[:, :-8] for image in images[::3]]
    return images, texts


@pytest.fixture
def path(tmp_path):
    return tmp_path / "fit.ckpt"


@pytest.fixture
def break_off(monkeypatch):
    """Function that makes the fit break off after some updates, over and over."""

    def after(n_updates):
        def fail(update):
            if update % (n_updates + 1) == 0:
                raise BrokenOff

        before_updates(monkeypatch, fail)

    return after


class AtEpochEnd:
    """Callback that calls a function at the end of each epoch."""

    def __init__(self, function):
        self.function = function

    def setup(self, estimator, context):
        pass

    teardown = on_fit_task_begin = setup

    def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
        if context.task_name == "epoch":
            return self.function(context.task_id, fitted_estimator)


def make(path=None, **params):
    params = {**TINY, "dropout": 0.1, "batch_size": 4, "max_iter": 2, **params}
    return CaptchaRecognizer(checkpoint=path, **{"checkpoint_interval": 0, **params})


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def same_weights(one, other):
    return same(one.network_.state_dict(), other.network_.state_dict())


def fit_until_it_ends(fit):
    """Call `fit` again and again; return how often it broke off."""
    for n_broken in range(1000):
        try:
            fit()
        except BrokenOff:
            continue
        return n_broken
    raise AssertionError("the fit makes no headway")


# Resuming


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_fits_that_were_killed_twenty_times_find_the_same_weights(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "support.kill_fits", str(tmp_path), "--kills", "20"],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    report = json.loads(done.stdout)
    assert report["kills"] == 20 + len(kill_fits.POINTS)
    assert len(report["same"]) >= 2 + len(kill_fits.POINTS)
    assert all(report["same"])
    assert report["ended"]  # each fit that ended has deleted its checkpoint
    assert report["left"] == []
    assert len(set(report["updates"])) >= 6  # killed here and there
    half, unnamed, written = (report["in_writing"][point] for point in kill_fits.POINTS)
    both = [".part", "fit.ckpt"]
    assert half == {"update": 3, "left": both}  # the one before is in place
    assert unnamed == {"update": 4, "left": both}
    assert written == {"update": 6, "left": ["fit.ckpt"]}


@pytest.mark.parametrize(
    "n_updates, params",
    [
        (3, {"early_stopping": True, "max_iter": 7}),  # reaches CTC
        (1, {"pretrained": False, "color_mode": "rgb", "lstm_layers": 2}),
        (5, {"lstm_layers": 0, "conv_channels": (4, 8), "batch_size": 9}),
    ],
)
def test_a_fit_resumes_from_any_update(few, path, break_off, params, n_updates):
    expected = make(**params).fit(*few)
    break_off(n_updates)
    recognizer = make(path, **params)
    assert fit_until_it_ends(lambda: recognizer.fit(*few)) > 0
    assert same_weights(expected, recognizer)
    for name in ("loss_curve_", "n_iter_", "validation_scores_", "converged_"):
        assert getattr(recognizer, name) == getattr(expected, name)
    assert list(path.parent.iterdir()) == []


def test_a_fit_from_the_pretrained_weights_resumes(few, path, break_off):
    params = {"conv_channels": (24, 48, 96, 128, 128), "lstm_units": 128}
    images, texts = few[0], [text.replace("2", "ß") for text in few[1]]
    expected = make(**params, max_iter=1).fit(images, texts)
    break_off(2)
    recognizer = make(path, **params, max_iter=1)
    assert fit_until_it_ends(lambda: recognizer.fit(images, texts)) == 2
    assert same_weights(expected, recognizer)


def test_a_warm_start_resumes(few, fitted, path, break_off):
    params = {**TINY, "warm_start": True, "max_iter": 1, "batch_size": 4}
    saved = pickle.dumps(clone(fitted).set_params(**params))
    expected = pickle.loads(pickle.dumps(fitted)).set_params(**params)
    images, texts = few[0], ["a" + text for text in few[1]]
    expected.fit(images, texts)
    break_off(2)
    params |= {"checkpoint": path, "checkpoint_interval": 0}

    def fit():
        fit.recognizer = pickle.loads(pickle.dumps(fitted)).set_params(**params)
        fit.recognizer.fit(images, texts)

    assert fit_until_it_ends(fit) == 2
    assert same_weights(expected, fit.recognizer)
    assert fit.recognizer.loss_curve_ == expected.loss_curve_
    assert pickle.loads(saved).checkpoint is None


def test_a_fit_without_a_seed_keeps_the_one_that_it_drew(
    few, path, break_off, monkeypatch
):
    expected = make(random_state=7).fit(*few)
    break_off(2)
    seeds = iter([7, *range(100)])
    monkeypatch.setattr(_checkpoint.secrets, "randbits", lambda bits: next(seeds))
    recognizer = make(path, random_state=None)
    assert fit_until_it_ends(lambda: recognizer.fit(*few)) > 2
    assert same_weights(expected, recognizer)


def test_a_generator_has_to_be_in_the_same_state(few, path, break_off):
    expected = make(random_state=np.random.RandomState(1)).fit(*few)
    break_off(2)

    def fit(seed=1):
        random_state = np.random.RandomState(seed)
        fit.recognizer = make(path, random_state=random_state).fit(*few)

    with pytest.raises(BrokenOff):
        fit()
    with pytest.raises(ValueError, match="another fit: random_state is not the same"):
        fit(seed=2)
    fit_until_it_ends(fit)
    assert same_weights(expected, fit.recognizer)


@pytest.mark.parametrize("with_start", [True, False])
def test_a_fit_that_starts_again_by_itself_resumes(
    path, break_off, monkeypatch, with_start
):
    """The network may have got a second head by then."""
    monkeypatch.setattr(_schedule, "_PATIENCE", 4)
    monkeypatch.setattr(_schedule, "_LEFT_PLATEAU", 0.0)  # never left
    samples = small_fits.samples()
    network_config = small_fits.NETWORK_CONFIG
    training_config = small_fits.training_config(max_iter=14)
    start = None
    if with_start:
        start = build_network(network_config, small_fits.generator(5))
        start.auxiliary = None

    def fit(checkpoint=None):
        options = {"start": start, "aligned": with_start, "checkpoint": checkpoint}
        generator = small_fits.generator()
        return fit_network(
            network_config, samples, None, training_config, generator, **options
        )

    def fit_with_checkpoint():
        checkpoint = Checkpoint(path, 0)
        params = {"random_state": 0}
        checkpoint.claim(params, samples, ["12"], "12", training_config.device)
        fit_with_checkpoint.result = fit(checkpoint)

    expected = fit()
    break_off(2)
    assert fit_until_it_ends(fit_with_checkpoint) > 10
    found = fit_with_checkpoint.result
    assert found.n_restarts == expected.n_restarts > 0
    assert found.loss_curve == expected.loss_curve
    assert same(expected.network.state_dict(), found.network.state_dict())


def test_callbacks_hear_of_each_epoch_once(few, path, break_off, capsys, callbacks):
    epochs = []

    def record(epoch, fitted):
        assert len(fitted.loss_curve_) == epoch + 1
        epochs.append(epoch)

    recognizer = make(path, max_iter=4)
    recognizer.set_callbacks(AtEpochEnd(record), callbacks.ProgressBar())
    break_off(8)  # in the second epoch
    assert fit_until_it_ends(lambda: recognizer.fit(*few)) == 2
    assert epochs == [0, 1, 2, 3]
    assert "100%" in capsys.readouterr().out


def test_what_was_interrupted_resumes_and_what_ended_is_forgotten(
    few, path, monkeypatch
):
    expected, updates = make().fit(*few), []

    def interrupt(update):
        updates.append(update)
        if update == 9:
            raise KeyboardInterrupt

    before_updates(monkeypatch, interrupt)
    recognizer = make(path)
    with pytest.warns(UserWarning, match=r"in epoch 2; .*fit.ckpt' is there to resume"):
        recognizer.fit(*few)
    assert path.exists()
    assert same_weights(expected, recognizer.fit(*few))
    assert len(updates) == 13  # none was made twice, but the one broken off
    assert not path.exists()
    recognizer.fit(*few)
    assert len(updates) == 13 + 12  # from the beginning


def test_a_saved_recognizer_resumes_what_the_one_in_memory_began(few, path, break_off):
    recognizer = make(None, max_iter=1).fit(*few).partial_fit(*few)
    saved = pickle.dumps(recognizer)
    params = {"warm_start": True, "checkpoint": path, "checkpoint_interval": 0}
    recognizer.set_params(**params)
    break_off(2)
    with pytest.raises(BrokenOff):
        recognizer.fit(*few)
    assert path.exists()
    loaded = pickle.loads(saved).set_params(**params, multi_scale=False)
    assert fit_until_it_ends(lambda: loaded.fit(*few)) > 0


@pytest.mark.parametrize(
    "params",
    [
        {"max_iter": np.int64(1), "batch_size": np.int64(8)},
        {"lstm_units": np.int64(16), "lstm_layers": np.int64(1)},
        {"image_height": np.int64(16), "learning_rate_init": np.float32(3e-3)},
        {"tol": np.float32(0), "weight_decay": np.float32(0), "dropout": np.float32(0)},
    ],
)
def test_numbers_of_numpy_are_numbers(few, path, params, tmp_path, break_off):
    recognizer = make(path, max_iter=1).set_params(**params)
    break_off(1)
    assert fit_until_it_ends(lambda: recognizer.fit(*few)) > 0
    assert type(recognizer.image_height_) is int
    export_onnx(recognizer, tmp_path / "model.onnx")


def test_a_fit_that_a_callback_stops_has_ended(few, path):
    recognizer = make(path, max_iter=9).set_callbacks(AtEpochEnd(lambda *_: True))
    assert recognizer.fit(*few).n_iter_ == 1
    assert not path.exists()


def test_the_checkpoint_is_written_so_often(few, path, monkeypatch):
    written = []
    write = _checkpoint.write_checkpoint

    def count(*args, **options):
        written.append(args[1]["schedule"]["update"])
        write(*args, **options)

    monkeypatch.setattr(_checkpoint, "write_checkpoint", count)
    now = itertools.count(0, 10)
    monkeypatch.setattr(_checkpoint.time, "monotonic", lambda: float(next(now)))
    for interval, expected in [
        (1e9, [0]),
        (0, list(range(12))),
        (35, [0, 4, 8]),  # each look at the clock takes 10 s
    ]:
        make(path, checkpoint_interval=interval).fit(*few)
        assert written == expected
        written.clear()


# Refusing


@pytest.fixture(scope="module")
def broken_off(few, tmp_path_factory):
    """Bytes of the checkpoint of a fit that broke off in its second epoch."""
    path = tmp_path_factory.mktemp("broken_off") / "fit.ckpt"
    with pytest.MonkeyPatch.context() as patch, pytest.raises(BrokenOff):
        fail_at(patch, 9, BrokenOff())
        make(path).fit(*few)
    return path.read_bytes()


def test_a_damaged_checkpoint_is_refused_wherever_it_is(broken_off, path):
    draw = random.Random(0)
    places = [*range(120), *(draw.randrange(len(broken_off)) for _ in range(200))]
    for place in places:
        damaged = bytearray(broken_off)
        damaged[place] ^= 1 << draw.randrange(8)
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"^checkpoint='.*fit.ckpt' .* Delete the"):
            Checkpoint(path, 60)
    for size in (0, 1, 50, 100, len(broken_off) // 2, len(broken_off) - 1):
        path.write_bytes(broken_off[:size])
        with pytest.raises(ValueError, match="damaged"):
            Checkpoint(path, 60)
    path.write_bytes(broken_off + b"x")
    with pytest.raises(ValueError, match="is damaged: its checksum is wrong. Delete"):
        Checkpoint(path, 60)
    path.write_bytes(broken_off)
    assert Checkpoint(path, 60).values["schedule"]["update"] == 8


def test_a_damaged_checkpoint_leaves_the_recognizer_as_it_was(
    few, broken_off, path, quick
):
    path.write_bytes(broken_off[:-1])
    recognizer = quick().set_params(checkpoint=str(path))
    before = dict(vars(recognizer))
    with pytest.raises(ValueError, match="fit.ckpt' is damaged"):
        recognizer.fit(*few)
    assert vars(recognizer) == before
    assert path.read_bytes() == broken_off[:-1]


def test_a_checkpoint_runs_no_code(path, tmp_path):
    class Malice:
        def __reduce__(self):
            return Path.touch, (tmp_path / "run",)

    for payload in (pickle.dumps(Malice()), b'{"fit": {}, "seed": 1}\n' + b"x" * 99):
        digest = hashlib.sha256(payload).hexdigest().encode()
        for data in (payload, b"skcaptcha checkpoint 2 " + digest + b"\n" + payload):
            path.write_bytes(data)
            with pytest.raises(ValueError, match="fit.ckpt"):
                Checkpoint(path, 60)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("version", [1, 3])
def test_another_format_is_named(broken_off, path, version):
    path.write_bytes(broken_off.replace(b"checkpoint 2", b"checkpoint %d" % version, 1))
    match = f"has the format {version}, and .* reads 2 alone"
    with pytest.raises(ValueError, match=match):
        Checkpoint(path, 60)


def test_weights_of_another_network_are_named(broken_off, few, path):
    path.write_bytes(broken_off)
    values, tensors = read_checkpoint(path)
    tensors["network/head.bias"] = tensors["network/head.bias"][1:].clone()
    write_checkpoint(path, values, tensors)
    with pytest.raises(ValueError, match="does not belong to this network: .*head.bi"):
        make(path).fit(*few)


@pytest.mark.parametrize(
    "change, match",
    [
        ({"learning_rate_init": 0.1}, "learning_rate_init was 0.003 and now is 0.1"),
        ({"lstm_units": 8}, "lstm_units was 16 and now is 8"),
        ({"conv_channels": (4, 8)}, r"conv_channels was \[8, 16, 32, 64\] and now is"),
        ({"early_stopping": True}, "early_stopping was 'auto' and now is True"),
        ({"vocabulary": "0123"}, "vocabulary was .*'2'. and now is .*'3'"),
        ({"random_state": 1}, "random_state was 0 and now is 1"),
        ({"random_state": None}, "random_state was 0 and now is None"),
        ({"pretrained": False}, "pretrained was 'auto' and now is False"),
        ({"image_height": 24}, "X is not the same; image_height was 16 and now is 24"),
        ({"X": [0]}, "X is not the same. To resume .* Delete the file .* another"),
        ({"y": [0]}, "y is not the same. To resume"),
        ({"X": range(12), "y": range(12)}, "X is .* number of samples was 24 and now"),
        ({"fitted": True}, "network to continue from is not the same"),
        ({"version": "0.0.9"}, "skcaptcha was '0.1.0' and now is '0.0.9'"),
    ],
)
def test_a_checkpoint_of_another_fit_is_refused(
    few, fitted, broken_off, path, change, match, monkeypatch
):
    path.write_bytes(broken_off)
    change = dict(change)
    images, texts = list(few[0]), list(few[1])
    if "X" in change and "y" in change:
        images, texts = images[:12], texts[:12]
        del change["X"], change["y"]
    elif "X" in change:
        images[0] = 255 - images[0]
        del change["X"]
    elif "y" in change:
        texts[0] = "00"
        del change["y"]
    monkeypatch.setattr(
        _checkpoint, "__version__", change.pop("version", _checkpoint.__version__)
    )
    recognizer = make(path)
    if change.pop("fitted", False):
        recognizer = pickle.loads(pickle.dumps(fitted))
        recognizer.set_params(**make(path, warm_start=True).get_params())
    recognizer.set_params(**change)
    before = dict(vars(recognizer))
    with pytest.raises(ValueError, match=f"fit.ckpt' is of another fit: .*{match}"):
        recognizer.fit(images, texts)
    assert vars(recognizer) == before
    assert path.read_bytes() == broken_off  # the other fit can still go on


def test_what_does_not_change_the_weights_may_change(few, broken_off, path):
    path.write_bytes(broken_off)
    expected = make().fit(*few)
    recognizer = make(str(path), n_jobs=2, decoder="beam", verbose=True)
    recognizer.set_params(vocabulary=["0", "1", "2"], beam_width=3)
    recognizer.set_params(conv_channels=np.array(recognizer.conv_channels))
    assert same_weights(expected, recognizer.fit(*few))


def test_paths_that_no_file_can_have_are_named_at_once(few, tmp_path, monkeypatch):
    monkeypatch.setattr("skcaptcha.recognizer.read_training_data", None)  # not reached
    for bad, match in [
        (tmp_path, "is no file; pass the path of one"),
        (tmp_path / "no" / "fit.ckpt", r"lies in '.*/no', which is no folder; make"),
        ("", "checkpoint='' is no file"),
    ]:
        with pytest.raises(ValueError, match=match):
            make(bad).fit(*few)
    with pytest.raises(ValueError, match="'checkpoint' parameter of CaptchaRecognizer"):
        make(3).fit(*few)
    with pytest.raises(ValueError, match="'checkpoint_interval' parameter"):
        make(tmp_path / "fit.ckpt", checkpoint_interval=-1).fit(*few)


def test_partial_fit_has_no_checkpoint(few, path):
    with pytest.raises(ValueError, match="partial_fit does not support checkpoint="):
        make(path).partial_fit(*few)


# Writing


@pytest.fixture
def full_disk(monkeypatch):
    """Function that makes the disk full from one write on, up to another."""

    def fill(begin, end=math.inf):
        write, writes = _checkpoint.write_atomically, itertools.count()

        def fail(*args, **kwargs):
            if begin <= next(writes) < end:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            write(*args, **kwargs)

        monkeypatch.setattr(_checkpoint, "write_atomically", fail)

    return fill


def test_training_continues_where_the_disk_is_full(few, path, full_disk, monkeypatch):
    expected = make().fit(*few)
    full_disk(3)
    with monkeypatch.context() as patch, pytest.raises(BrokenOff):
        fail_at(patch, 9, BrokenOff())
        make(path).fit(*few)
    values, _ = read_checkpoint(path)
    assert values["schedule"]["update"] == 2  # the last that was written, and whole
    with pytest.warns(UserWarning, match="No space left") as caught:
        recognizer = make(path).fit(*few)
    told = [w for w in caught if "No space left" in str(w.message)]
    assert len(told) == 1
    assert told[0].filename == __file__
    assert (
        "fit.ckpt' could not be written; training continued, and the one before "
        in (str(told[0].message))
    )
    assert same_weights(expected, recognizer)
    assert list(path.parent.iterdir()) == []


def test_writing_resumes_when_there_is_room_again(few, path, full_disk, break_off):
    full_disk(3, 5)
    break_off(8)
    with pytest.raises(BrokenOff):
        make(path).fit(*few)
    assert read_checkpoint(path)[0]["schedule"]["update"] == 8


def test_a_first_checkpoint_that_cannot_be_written_ends_the_fit(few, path, full_disk):
    full_disk(0)
    recognizer = make(path)
    before = dict(vars(recognizer))
    with pytest.raises(
        ValueError, match="fit.ckpt.*cannot be written: .*No space left"
    ):
        recognizer.fit(*few)
    assert vars(recognizer) == before
    assert list(path.parent.iterdir()) == []


def test_two_fits_at_a_time_do_not_share_a_path(few, path):
    expected = make().fit(*few)
    refused = []

    def intrude(epoch, _):
        with pytest.raises(ValueError, match="is of another fit: dropout was"):
            make(path, dropout=0.2).fit(*few)
        refused.append(epoch)

    recognizer = make(path).set_callbacks(AtEpochEnd(intrude)).fit(*few)
    assert refused == [0, 1]
    assert same_weights(expected, recognizer)
    assert not path.exists()


def begin_together(path, fits, monkeypatch):
    """Let fits write their first checkpoint at once; return what each is told."""
    barrier, seen, look = threading.Barrier(len(fits)), set(), Checkpoint._is_mine

    def look_together(self):
        found = look(self)
        if self not in seen:
            seen.add(self)
            barrier.wait(30)  # all have seen that no file is there
        return found

    def begin(fit):
        checkpoint = Checkpoint(path, 0)
        checkpoint.fit, checkpoint.seed = fit, 0
        try:
            checkpoint.save(None, None, None)
        except ValueError as error:
            return str(error)

    monkeypatch.setattr(_checkpoint, "pack_training", lambda *_: ({}, {}))
    monkeypatch.setattr(Checkpoint, "_is_mine", look_together)
    with ThreadPoolExecutor(len(fits)) as pool:
        return list(pool.map(begin, fits))


@pytest.mark.parametrize("links", [True, False])
def test_of_fits_that_begin_at_once_one_gets_the_path(path, monkeypatch, links):
    if not links:  # as on a memory card

        def fail(*_):
            raise OSError(errno.EPERM, os.strerror(errno.EPERM))

        monkeypatch.setattr("os.link", fail)
    told = begin_together(path, [{"dropout": i} for i in range(4)], monkeypatch)
    (winner,) = (i for i, error in enumerate(told) if error is None)
    assert read_checkpoint(path)[0]["fit"] == {"dropout": winner}
    for i, error in enumerate(told):
        if i != winner:
            assert re.search(r"fit.ckpt' is of another fit|no longer a check", error)
            assert "Delete the file to begin anew, or pass another path" in error
    assert list(path.parent.iterdir()) == [path]


def test_equal_fits_that_begin_at_once_share_the_path(path, monkeypatch):
    assert begin_together(path, [{"dropout": 0}] * 4, monkeypatch) == [None] * 4
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("of_a_fit", [True, False])
def test_a_file_that_was_taken_over_is_left_alone(few, broken_off, path, of_a_fit):
    theirs = broken_off if of_a_fit else b"12\n12\n"

    def intrude(*_):
        path.write_bytes(theirs)

    recognizer = make(path, dropout=0.2).set_callbacks(AtEpochEnd(intrude))
    match = "is of another fit" if of_a_fit else "is no longer a checkpoint"
    with pytest.warns(UserWarning, match=f"there will be none: .*{match}") as caught:
        recognizer.fit(*few)
    assert sum("there will be none" in str(w.message) for w in caught) == 1
    assert recognizer.n_iter_ == 2
    assert path.read_bytes() == theirs


def test_what_a_killed_fit_left_behind_is_deleted_and_nothing_else(
    few, broken_off, path, monkeypatch
):
    names = []
    monkeypatch.setattr("os.replace", lambda source, _: names.append(source))
    monkeypatch.setattr("os.unlink", lambda _: None)
    for _ in range(3):
        write_checkpoint(path, {}, {})
    monkeypatch.undo()
    stale, fresh, link = names
    assert len(set(names)) == 3  # no two fits write the same file
    victim = path.with_name("victim")
    victim.write_bytes(b"of somebody")
    link.unlink()
    link.symlink_to(victim)
    os.utime(stale, (0, 0))
    os.utime(victim, (0, 0))
    theirs = [path.with_name(name) for name in ("fit.ckpt.tmp", "fit.tmp", "x.part")]
    for other in theirs:
        other.write_bytes(b"of the user")
        os.utime(other, (0, 0))
    path.write_bytes(broken_off)
    make(path, checkpoint_interval=1e9).fit(*few)  # without another write
    assert set(path.parent.iterdir()) == {fresh, link, victim, *theirs}
    assert victim.read_bytes() == b"of somebody"
    assert {other.read_bytes() for other in theirs} == {b"of the user"}


def test_two_equal_fits_at_a_time_find_the_same(few, path):
    expected = make().fit(*few)
    others = []

    def intrude(*_):
        others.append(make(path).fit(*few))

    recognizer = make(path).set_callbacks(AtEpochEnd(intrude)).fit(*few)
    assert all(same_weights(expected, fit) for fit in [recognizer, *others])
    assert list(path.parent.iterdir()) == []


def test_a_link_stays_a_link(few, tmp_path, break_off):
    (tmp_path / "link").symlink_to(tmp_path / "fit.ckpt")
    break_off(3)
    with pytest.raises(BrokenOff):
        make(tmp_path / "link").fit(*few)
    assert (tmp_path / "link").is_symlink()
    assert read_checkpoint(tmp_path / "fit.ckpt")[0]["schedule"]["update"] == 3
