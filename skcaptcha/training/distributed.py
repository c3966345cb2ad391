"""Processes that train one network together, each on its share of every batch."""

import contextlib
import os
import signal
import threading

import torch
from torch import distributed
from torch.nn.parallel import DistributedDataParallel

from skcaptcha._torch_compat import NO_BUFFER_SYNC

__all__ = ["SingleProcess", "join_processes"]


class SingleProcess:
    """The process that trains a network by itself.

    It has the methods of a `ProcessGroup`, so that training need not ask which it is.
    """

    rank, size = 0, 1
    share = None
    """Sums a tensor over the processes, differentiably; None for one process."""

    def __enter__(self):
        """Do nothing."""
        return self

    def __exit__(self, kind, error, traceback):
        """End the group, if it is one."""

    def wrap(self, network):
        """Take a network to train; calls of `model` have the gradients averaged."""
        self.model = network

    def take(self, *batch):
        """Return the own part of each list, and its weight in the mean of the parts."""
        return *batch, 1.0

    def fork(self, generator):
        """Return the generator that this process draws from in an update."""
        return generator

    def mean_loss(self, loss, device):
        """Return the mean of the weighted losses of the processes."""
        return loss

    def first(self, value):
        """Return what the first process has."""
        return value

    def any(self, value):
        """Tell whether a value is true in a process."""
        return bool(value)

    def check_device(self, device):
        """Raise a ValueError if the processes cannot exchange tensors on a device."""

    def check_same(self, values):
        """Raise a ValueError if a value, by its name, differs between processes."""

    def hold_interrupts(self):
        """Return a context in which all processes are interrupted at once."""
        return contextlib.nullcontext()


class ProcessGroup(SingleProcess):
    """Processes of `torch.distributed` that fit together.

    It has a group of its own, which ends with the fit. So if one process fails, the
    others do not wait for it.
    """

    def __init__(self):
        self.group = distributed.new_group()
        self.rank = distributed.get_rank(self.group)
        self.size = distributed.get_world_size(self.group)
        self.interrupted = False

    def __exit__(self, kind, error, traceback):
        self.model = None
        group, self.group = self.group, None
        distributed.destroy_process_group(group)
        if isinstance(error, RuntimeError) and _is_of_communication(error):
            raise RuntimeError(
                f"Process {self.rank} of {self.size} that fit together lost touch with "
                "another one, which has failed or ended; see what that one says. The "
                "recognizer is as it was."
            ) from error

    def wrap(self, network):
        self.model = None
        # Its buffers, the statistics of the norms, are the same in all processes.
        self.model = DistributedDataParallel(
            network, process_group=self.group, **NO_BUFFER_SYNC
        )

    def take(self, *batch):
        n = len(batch[0])
        # Of a batch with fewer samples than there are processes, those that would have
        # none take all.
        parts = [range(n)[rank :: self.size] or range(n) for rank in range(self.size)]
        own = parts[self.rank]
        weight = len(own) * self.size / sum(map(len, parts))
        return *([values[i] for i in own] for values in batch), weight

    def fork(self, generator):
        # What `generator` itself holds, and a checkpoint of it, stays the same in all.
        device = generator.device
        seed = torch.randint(2**31, (1,), generator=generator, device=device)
        return torch.Generator(device).manual_seed(int(seed) + self.rank)

    def mean_loss(self, loss, device):
        values = [loss / self.size, float(self.interrupted)]
        values = torch.tensor(values, dtype=torch.float64, device=device)
        distributed.all_reduce(values, group=self.group)
        loss, n_interrupted = values.tolist()
        if n_interrupted:
            self.interrupted = False
            raise KeyboardInterrupt
        return loss

    def share(self, tensor):
        return _Sum.apply(tensor, self.group)

    def first(self, value):
        values = [value]
        distributed.broadcast_object_list(values, src=0, group=self.group)
        return values[0]

    def any(self, value):
        return any(self._gather(bool(value)))

    def check_device(self, device):
        backends = distributed.get_backend_config(self.group)  # "cpu:gloo,cuda:nccl"
        if device.type not in [pair.split(":")[0] for pair in backends.split(",")]:
            raise ValueError(
                f"Process {self.rank} of {self.size} that fit together trains on the "
                f"device {str(device)!r}, and torch.distributed was initialized for "
                f"{backends!r}. Call init_process_group() without a backend, which "
                "serves the CPU and GPUs, or set `device` to fit it."
            )

    def check_same(self, values):
        for rank, others in enumerate(self._gather(values)):
            for name, value in values.items():
                if others[name] != value:
                    raise ValueError(
                        f"{name} differs between the processes that fit together: "
                        f"{value!r} in process {self.rank}, {others[name]!r} in "
                        f"process {rank}. Give each the same images, labels and "
                        "parameters; the fit shares them out."
                    )

    def _gather(self, value):
        values = [None] * self.size
        distributed.all_gather_object(values, value, group=self.group)
        return values

    @contextlib.contextmanager
    def hold_interrupts(self):
        def note(*_):  # which `mean_loss` looks at, in all processes at once
            self.interrupted = True

        before = signal.signal(signal.SIGINT, note)
        try:
            yield
            if self.any(self.interrupted):  # since the last update
                raise KeyboardInterrupt
        finally:
            signal.signal(signal.SIGINT, before)


class _Sum(torch.autograd.Function):
    """Sum over the processes; its gradient is the sum of the gradients."""

    @staticmethod
    def forward(ctx, tensor, group):
        ctx.group = group
        return _add_up(tensor, group)

    @staticmethod
    def backward(ctx, gradient):
        return _add_up(gradient, ctx.group), None


def _add_up(tensor, group):
    total = tensor.clone()
    distributed.all_reduce(total, group=group)
    return total


def join_processes():
    """Return the processes to fit with.

    That is a `ProcessGroup` where the program has initialized `torch.distributed`. It
    is not in other threads than the main one, which would each call the other processes
    at any time, nor in a process that was forked later. The processes of joblib know
    nothing of `torch.distributed` anyway.
    """
    if (
        distributed.is_available()
        and distributed.is_initialized()
        and distributed.group.WORLD is not _INHERITED
        and distributed.get_world_size() > 1
        and threading.current_thread() is threading.main_thread()
    ):
        return ProcessGroup()
    return SingleProcess()


def _is_of_communication(error):
    words = str(error).lower()
    return isinstance(error, distributed.DistError) or "gloo" in words


_INHERITED = None


def _note_inheritance():
    global _INHERITED
    if distributed.is_available() and distributed.is_initialized():
        _INHERITED = distributed.group.WORLD


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_note_inheritance)
