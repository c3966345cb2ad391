"""Modes that the user's program may have set in PyTorch, put aside meanwhile."""

import contextlib
import os
import threading

import torch

_lock = threading.Lock()
_n_inside, _before = 0, None


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
    global _n_inside, _before
    with _lock:
        if _n_inside == 0:
            _before = (
                (torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled()),
                torch.__future__.get_swap_module_params_on_conversion(),
            )
            _set(((False, True), False))
        _n_inside += 1
    try:
        yield
    finally:
        with _lock:
            _n_inside -= 1
            if _n_inside == 0:
                _set(_before)


def _set(modes):
    anomalies, swapping = modes
    torch.set_anomaly_enabled(*anomalies)
    torch.__future__.set_swap_module_params_on_conversion(swapping)


def _renew_lock():
    global _lock
    _lock = threading.Lock()  # which another thread may have held


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)
