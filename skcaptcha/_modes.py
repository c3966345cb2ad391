"""Modes that the user's program may have set in PyTorch, put aside meanwhile."""

import contextlib
import os
import threading
from collections import Counter

import torch

_lock = threading.Lock()
# How often each thread is inside, and the modes before the first one came.
_inside, _before = Counter(), None


@contextlib.contextmanager
def own_modes():
    """Compute as if the caller had set no mode of PyTorch, such as no_grad."""
    with (
        torch.inference_mode(False),
        torch.enable_grad(),
        torch.autocast("cpu", enabled=False),
        torch.autocast("cuda", enabled=False),
        _own_modes_of_all_threads(),
    ):
        yield


@contextlib.contextmanager
def _own_modes_of_all_threads():
    """Put modes aside that are those of all threads, while any thread is inside.

    The last one to leave restores them. Detection of anomalies would raise an error
    where gradients are NaN, which a fit passes over. Weights of LSTMs cannot be loaded
    where they are swapped.
    """
    global _before
    thread = threading.get_ident()
    with _lock:
        if not _inside.total():
            _before = (
                (torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled()),
                torch.__future__.get_swap_module_params_on_conversion(),
            )
            _set(((False, True), False))
        _inside[thread] += 1
    try:
        yield
    finally:
        with _lock:
            _inside[thread] -= 1
            if not _inside[thread]:
                del _inside[thread]
            if not _inside.total():
                _set(_before)


def _set(modes):
    anomalies, swapping = modes
    torch.set_anomaly_enabled(*anomalies)
    torch.__future__.set_swap_module_params_on_conversion(swapping)


def _leave_threads_behind():
    """Forget the other threads in a child process, which has none of them."""
    global _lock
    _lock = threading.Lock()  # which one of them may have held
    own = _inside[threading.get_ident()]
    was_inside = _inside.total() > 0
    _inside.clear()
    if own:
        _inside[threading.get_ident()] = own
    elif was_inside:
        _set(_before)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_threads_behind)
