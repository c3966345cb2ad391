"""Modes that the user's program may have set in PyTorch, put aside meanwhile."""

import contextlib
import threading

import torch

_lock = threading.Lock()
_n_inside, _before = 0, (False, True)


@contextlib.contextmanager
def own_modes():
    """Compute as if the caller had set no mode of PyTorch, such as no_grad."""
    with (
        torch.inference_mode(False),
        torch.enable_grad(),
        torch.autocast("cpu", enabled=False),
        torch.autocast("cuda", enabled=False),
        _ignored_anomalies(),
    ):
        yield


@contextlib.contextmanager
def _ignored_anomalies():
    """Leave ``torch.autograd.set_detect_anomaly`` off while anyone is inside.

    It would raise an error where gradients are NaN, which a fit passes over. Unlike
    the other modes it is one of all threads, so the last one to leave restores it.
    """
    global _n_inside, _before
    with _lock:
        if _n_inside == 0:
            _anomalies = (
                torch.is_anomaly_enabled(),
                torch.is_anomaly_check_nan_enabled(),
            )
            torch.set_anomaly_enabled(False)
        _n_inside += 1
    try:
        yield
    finally:
        with _lock:
            _n_inside -= 1
            if _n_inside == 0:
                torch.set_anomaly_enabled(*_before)
