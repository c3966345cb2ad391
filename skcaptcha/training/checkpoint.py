"""The file from which a fit that was killed resumes.

It holds a line that tells what it is, with a checksum of the rest; a line of JSON; and
tensors as safetensors writes them. To read it runs no code.
"""

import contextlib
import hashlib
import json
import os
import re
import secrets
import time
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from skcaptcha._files import remove_stale, write_atomically
from skcaptcha._version import __version__

# Version of the file's form.
_FORMAT_VERSION = 2
# Parameters that do not change what a fit finds; of `warm_start` the network tells.
_IRRELEVANT = {
    "backend",
    "beam_width",
    "cache_size",
    "checkpoint",
    "checkpoint_interval",
    "decoder",
    "multi_scale",
    "n_jobs",
    "verbose",
    "warm_start",
}
# Attributes of a `Trainer` that JSON can hold and that belong to its state.
_OF_TRAINER = ("losses", "n_skipped_updates", "max_columns", "n_in_parts")
# Attributes of a `TrainingResult` that it gets in the end alone.
_LATER = ("network", "warnings")
_FIRST_LINE = re.compile(rb"skcaptcha checkpoint (\d{1,9}) ([0-9a-f]{64})\n")
_REMEDY = (
    "Delete the file to begin anew, or pass another path; each of several fits needs "
    "its own."
)


class Checkpoint:
    """Keeps the state of a fit in a file, and hands out what was kept.

    A path that cannot be that of a file is a ValueError, and so is a file that is
    damaged or something else.

    Parameters
    ----------
    path : str or path-like
        The file.
    interval : float
        Seconds between two writes at the least.

    Attributes
    ----------
    seed : int
        Seed for a fit that names none: that of the fit whose state the file has, or
        one of the operating system.
    warnings : list of (str, type)
        What to tell the user in the end, with the category.
    """

    def __init__(self, path, interval):
        self.name = f"checkpoint={os.fspath(path)!r}"
        self.path = Path(os.path.realpath(path))  # to replace a link would lose it
        self.interval = interval
        if not self.path.parent.is_dir():
            raise ValueError(
                f"{self.name} lies in {str(self.path.parent)!r}, which is no folder; "
                "make it first."
            )
        if self.path.exists() and not self.path.is_file():
            raise ValueError(f"{self.name} is no file; pass the path of one.")
        self.values, self.tensors = None, None
        self.seed = secrets.randbits(32)
        if self.path.exists():
            try:
                self.values, self.tensors = read_checkpoint(self.path)
            except OSError as error:
                raise ValueError(f"{self.name} cannot be read: {error}.") from error
            except ValueError as error:
                raise ValueError(f"{self.name} {error}. {_REMEDY}") from error
            self.seed = self.values["seed"]
        remove_stale(self.path)
        self.is_new, self.lost, self.warnings = self.values is None, False, []
        self.due = -float("inf") if self.is_new else time.monotonic() + interval

    def claim(self, *fit):
        """Raise a ValueError if the file is of another fit; see `describe_fit`."""
        self.fit = describe_fit(*fit)
        if not self.is_new:
            self._check_same(self.values)

    @property
    def kept(self):
        """What a `ReadOnlyCheckpoint` in another process is made of."""
        return self.name, self.values, self.tensors

    def _check_same(self, values):
        differences = list_differences(values["fit"], self.fit)
        if not differences and values["seed"] != self.seed:
            differences = ["its random numbers are others"]
        if differences:
            more = f", and {len(differences) - 3} more" if len(differences) > 3 else ""
            raise ValueError(
                f"{self.name} is of another fit: {'; '.join(differences[:3])}{more}. "
                f"To resume that fit, call it as it was called. {_REMEDY}"
            )

    def restore(self, trainer, best, result):
        """Bring a fit to the state in the file, if there is one."""
        if self.values is None:
            return
        try:
            unpack_training(self.values, self.tensors, trainer, best, result)
        except (AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
            raise ValueError(
                f"{self.name} does not belong to this network: {error!r}. {_REMEDY}"
            ) from error
        self.values = self.tensors = None

    def save(self, trainer, best, result):
        """Write the state of a fit, if it is time.

        The first write has to succeed. If a later one does not, as where the disk is
        full, the file of the one before stays, and `warnings` says so.
        """
        if self.lost or time.monotonic() < self.due:
            return
        values, tensors = pack_training(trainer, best, result)
        values = {"fit": self.fit, "seed": self.seed, **values}
        try:
            try:
                write_checkpoint(self.path, values, tensors, replace=self._is_mine())
            except FileExistsError:  # a fit that began in the same moment was first
                self._is_mine()  # or this one is refused
            self.is_new = False
        except OSError as error:
            if self.is_new:
                raise ValueError(f"{self.name} cannot be written: {error}.") from error
            if not self.warnings:
                self._warn(error, "the one before is kept")
        except ValueError as error:
            if self.is_new:
                raise
            self.lost = True  # another fit has taken the path, and is not disturbed
            self._warn(error, "there will be none")
        self.due = time.monotonic() + self.interval

    def _warn(self, error, outcome):
        message = f"could not be written; training continued, and {outcome}: {error}"
        self.warnings.append((f"{self.name} {message}", UserWarning))

    def remove(self):
        """Delete the file, unless it is that of another fit by now."""
        # Where it stays, the same fit resumes from it, which does no harm.
        with contextlib.suppress(OSError, ValueError):
            self._is_mine()
            self.path.unlink(missing_ok=True)
            remove_stale(self.path)

    def _is_mine(self):
        """Tell if the file is there; raise a ValueError if it is of another fit."""
        try:
            with open(self.path, "rb") as file:
                file.readline(200)
                values = _parse(file.readline())
        except FileNotFoundError:
            return False
        except ValueError as error:
            raise ValueError(
                f"{self.name} is no longer a checkpoint; something else writes there. "
                f"{_REMEDY}"
            ) from error
        self._check_same(values)
        return True


class ReadOnlyCheckpoint(Checkpoint):
    """What a checkpoint holds, in a process that leaves the file to another one."""

    def __init__(self, name, values, tensors):
        self.name, self.values, self.tensors = name, values, tensors

    def save(self, trainer, best, result):
        """Leave it to the other process."""

    def remove(self):
        """Leave it to the other process."""


def write_checkpoint(path, values, tensors, *, replace=True):
    """Write what JSON can hold, and tensors, all of it or nothing.

    Without `replace` a file that is there is a FileExistsError.
    """
    tensors = {name: t.detach().cpu().contiguous() for name, t in tensors.items()}
    body = json.dumps(values).encode("ascii") + b"\n" + save_tensors(tensors)
    digest = hashlib.sha256(body).hexdigest()
    first = f"skcaptcha checkpoint {_FORMAT_VERSION} {digest}\n".encode("ascii")
    write_atomically(path, first + body, replace=replace)


def read_checkpoint(path):
    """Return the values and tensors of a checkpoint.

    What is damaged or something else is a ValueError, whose message continues the name
    of the file.
    """
    with open(path, "rb") as file:
        match = _FIRST_LINE.fullmatch(file.readline(200))
        if match is None:
            raise ValueError("is no checkpoint of skcaptcha, or damaged")
        version, digest = int(match[1]), match[2].decode("ascii")
        if version != _FORMAT_VERSION:
            raise ValueError(
                f"has the format {version}, and this version of skcaptcha reads "
                f"{_FORMAT_VERSION} alone"
            )
        body = file.read()
    if hashlib.sha256(body).hexdigest() != digest:
        raise ValueError("is damaged: its checksum is wrong")
    line, _, payload = body.partition(b"\n")
    try:
        return _parse(line), load_tensors(payload)
    except (SafetensorError, ValueError) as error:
        raise ValueError(f"has a checksum that fits, but {error}") from error


def _parse(line):
    values = json.loads(line)
    if not (
        isinstance(values, dict)
        and isinstance(values.get("fit"), dict)
        and values.get("seed") in range(2**32)
    ):
        raise ValueError("its second line does not tell what fit it is of")
    return values


def describe_fit(params, samples, texts, vocabulary, device, network=None):
    """Return all that decides on what a fit finds, in a form that JSON can hold.

    `params` are those of the estimator, `samples` and `texts` all that it was given,
    and `network` is that of an earlier fit to start from. What is large stands as a
    checksum.
    """
    fit = {name: value for name, value in params.items() if name not in _IRRELEVANT}
    if isinstance(fit["random_state"], np.random.RandomState):
        kind, key, *rest = fit["random_state"].get_state()
        fit["random_state"] = _digest([key, repr((kind, rest)).encode()])
    fit |= {
        "skcaptcha": __version__,
        "torch": torch.__version__,
        "device": device.type,
        "number of samples": len(texts),
        "X": _digest(samples.images),
        "y": _digest([json.dumps(texts).encode()]),
        "vocabulary": list(vocabulary),
        "network to continue from": None,
    }
    if samples.weights is not None:
        fit["sample_weight"] = _digest([samples.weights])
    if network is not None:
        fit["network to continue from"] = _digest(
            weight.cpu().numpy()
            for name, weight in network.state_dict().items()
            if not name.startswith("auxiliary.")  # which no saved model has
        )
    return json.loads(json.dumps(fit, default=_to_plain))


def _to_plain(value):
    return value.tolist() if hasattr(value, "tolist") else repr(value)


def _digest(parts):
    digest = hashlib.sha256()
    for part in parts:
        if not isinstance(part, bytes):
            digest.update(repr((part.shape, part.dtype.str)).encode())
            part = np.ascontiguousarray(part)
        digest.update(part)
    return f"sha256:{digest.hexdigest()}"


def list_differences(before, now):
    """Say in what two fits differ that `describe_fit` has described."""
    found = []
    for name in sorted(before.keys() | now.keys()):
        values = [repr(fit.get(name)) for fit in (before, now)]
        if values[0] == values[1]:
            continue
        if any("sha256:" in value for value in values):
            found.append(f"{name} is not the same")
        else:
            was, is_now = (v if len(v) <= 60 else f"{v[:57]}..." for v in values)
            found.append(f"{name} was {was} and now is {is_now}")
    return found


def pack_training(trainer, best, result):
    """Return the state of a fit between two updates: values for JSON, and tensors."""
    trainer.wait_for_losses()
    values = {
        "schedule": dict(vars(trainer.schedule)),
        "scaler": trainer.scaler.state_dict(),
        "epoch": {name: getattr(trainer, name) for name in _OF_TRAINER},
        "late": list(trainer.late),
        "warnings": [message for message, _ in trainer.warnings],
        "best": {k: v for k, v in vars(best).items() if k != "weights"},
        "result": {k: v for k, v in vars(result).items() if k not in _LATER},
    }
    tensors = {
        "shuffling": trainer.shuffling,
        "device_generator": trainer.device_generator.get_state(),
        "augmentation_generator": trainer.augmentation_generator.get_state(),
    }
    for name, tensor in trainer.network.state_dict().items():
        tensors[f"network/{name}"] = tensor
    for name, tensor in (best.weights or {}).items():
        tensors[f"best/{name}"] = tensor
    for number, parameter in enumerate(_list_parameters(trainer.optimizer)):
        for name, tensor in trainer.optimizer.state.get(parameter, {}).items():
            tensors[f"optimizer/{number}/{name}"] = tensor
    return values, tensors


def unpack_training(values, tensors, trainer, best, result):
    """Bring a fit that has not begun to the state that `pack_training` returned."""
    if "network/auxiliary.weight" in tensors and trainer.network.auxiliary is None:
        trainer.schedule.stage = "alignment"  # for which the network has a second head
        trainer.begin()
    trainer.network.load_state_dict(_list_under("network/", tensors))
    for number, parameter in enumerate(_list_parameters(trainer.optimizer)):
        for name, tensor in _list_under(f"optimizer/{number}/", tensors).items():
            copy = tensor.clone()
            if tensor.shape == parameter.shape:  # in the same order in the memory too
                copy = torch.empty_like(parameter).copy_(tensor)
            trainer.optimizer.state[parameter][name] = copy
    trainer.scaler.load_state_dict(values["scaler"])
    trainer.generator.set_state(tensors["shuffling"])
    trainer.device_generator.set_state(tensors["device_generator"])
    trainer.augmentation_generator.set_state(tensors["augmentation_generator"])
    vars(trainer).update(values["epoch"])
    trainer.late.extend(values["late"])
    trainer.warnings = [(message, UserWarning) for message in values["warnings"]]
    vars(trainer.schedule).update(values["schedule"])
    vars(best).update(values["best"])
    best.weights = _list_under("best/", tensors) or None
    vars(result).update(values["result"])


def _list_parameters(optimizer):
    return [p for group in optimizer.param_groups for p in group["params"]]


def _list_under(prefix, tensors):
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }
