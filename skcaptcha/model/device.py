"""The device to train and read on, tried out once before it is relied on."""

import contextlib
import os
import threading

import torch
from torch.nn import functional

from skcaptcha._device_errors import (
    first_line,
    is_device_error,
    is_out_of_memory,
)
from skcaptcha._modes import own_modes
from skcaptcha._validation import check_device
from skcaptcha.model.network import build_network

CPU = torch.device("cpu")
# Bytes that have to be free: what an update of few small images and the handles of
# cuDNN and cuBLAS take.
_LEAST_MEMORY = 2**28
_CONFIG = {
    "n_classes": 3,
    "in_channels": 1,
    "conv_channels": (8, 16),
    "lstm_units": 8,
    "lstm_layers": 1,
    "dropout": 0.0,
}
_CPU_REMEDY = "device='cpu' does without a GPU"

_lock = threading.Lock()
# What is wrong with each GPU that was tried out, None for nothing; what was told.
_faults, _told = {}, set()


def choose_device(device, *, training=False):
    """Return the torch.device of the parameter `device`, on which there are kernels.

    "auto" is the CPU where the GPU is of no use; `fallback_notices` says why.

    Raises
    ------
    ValueError
        If `device` is none, does not exist, or is a GPU of no use: one that the
        installed PyTorch has no kernels for, that is full, busy or lost.
    """
    found = check_device(device)
    if found.type == "cpu":
        return found
    fault = _find_fault(found, training=training, again=device != "auto")
    if fault is None:
        return found
    if device == "auto":
        return CPU
    raise ValueError(f"device={device!r} cannot be used: {fault}. {_CPU_REMEDY}.")


def move_saved(network, device):
    """Move a network that was saved with a parameter `device` there, from the CPU.

    It stays where the device does not exist or is of no use. Returns what to warn of
    as a list of (message, category).
    """
    try:
        chosen = choose_device(device)
    except ValueError:
        chosen = CPU
    try:
        network.to(chosen)
    except RuntimeError as error:
        if not is_device_error(error):
            raise
        network.to(CPU)
        message = (
            f"device={device!r}: the model reads on the CPU, as it could not be moved "
            f"to the GPU ({first_line(error)}). To read there, free the GPU's memory, "
            "which nvidia-smi lists, and load the model again."
        )
        return [(message, UserWarning)]
    return fallback_notices(device, chosen)


def fallback_notices(device, chosen, *, training=False):
    """Return a warning (message, category), in a list, if the CPU stands in for a GPU.

    `device` is the parameter and `chosen` what was chosen for it. Each cause is said
    once in a process. That there is no GPU at all needs no notice.
    """
    if chosen.type != "cpu":
        return []
    try:
        wanted = check_device(device)
    except ValueError:
        return []
    if wanted.type == "cpu":
        return []
    fault = _find_fault(wanted, training=training)
    with _lock:
        if fault is None or fault in _told:
            return []
        _told.add(fault)
    others = ""
    if torch.cuda.device_count() > 1:
        others = f" This machine has {torch.cuda.device_count()} GPUs; choose another "
        others += "as device='cuda:1'."
    message = (
        f"device={device!r}: the CPU is used, as the GPU cannot be: {fault}.{others} "
        "device='cpu' does the same without this warning."
    )
    return [(message, UserWarning)]


def use_device(device):
    """Return a context in which a GPU that is named is the current one of CUDA.

    Collectives of objects through NCCL go by way of the current one.
    """
    if device.type != "cuda" or device.index is None:
        return contextlib.nullcontext()
    return torch.cuda.device(device)


def _find_fault(device, *, training=False, again=False):
    """Return why a GPU is of no use and what to do about it, None if it is of use.

    It is tried out once in a process; `again` tries one out anew that was of no use.
    """
    if fault := _find_fault_of_settings(training):
        return fault
    with _lock:
        try:
            current = torch.cuda.current_device() if device.index is None else None
        except Exception as error:  # CUDA cannot even begin
            return _describe_fault(error, device)
        index = device.index if current is None else current
        if index not in _faults or (again and _faults[index]):
            _faults[index] = _try_out(torch.device("cuda", index))
        return _faults[index]


def _find_fault_of_settings(training):
    """Return what setting of PyTorch keeps a GPU from being used, or None."""
    strict = (
        torch.are_deterministic_algorithms_enabled()
        and not torch.is_deterministic_algorithms_warn_only_enabled()
    )
    if strict and training:
        return (
            "torch.use_deterministic_algorithms(True) is set, and not all operations "
            "of training have a deterministic form on a GPU; set it to False, or "
            "warn_only=True"
        )
    if strict and not os.environ.get("CUBLAS_WORKSPACE_CONFIG"):
        return (
            "torch.use_deterministic_algorithms(True) is set, which needs ':4096:8' in "
            "the environment variable CUBLAS_WORKSPACE_CONFIG when Python starts"
        )
    return None


def _try_out(device):
    """Return what is wrong with a GPU, or None."""
    try:
        _run_kernels(device)
    except Warning:  # by a filter of the user's that makes errors of warnings
        raise
    except Exception as error:
        return _describe_fault(error, device)
    return None


@own_modes()
def _run_kernels(device):
    """Run those of an update in small; what cannot run raises its error."""
    torch.empty(_LEAST_MEMORY, dtype=torch.uint8, device=device)  # and let it go
    generator = torch.Generator("cpu").manual_seed(0)
    network = build_network(_CONFIG, generator).to(device).train()
    images = torch.zeros((2, 1, 16, 32), dtype=torch.uint8, device=device)
    found, lengths = network(images)  # (T, 2, 3), (2,)
    if not torch.are_deterministic_algorithms_enabled():
        one_each = torch.ones(2, dtype=torch.int64, device="cpu")
        loss = functional.ctc_loss(found, one_each.to(device), lengths, one_each)
        loss.backward()
        found = network.blocks[0].conv.weight.grad
    found.sum().item()  # waits until all has been computed


def _describe_fault(error, device):
    """Return what is wrong and what to do about it, without a full stop."""
    said = first_line(error)
    if "forked subprocess" in said:
        return (
            "this process was forked after CUDA had been used; start processes by the "
            "method 'spawn' or through joblib"
        )
    name = _name_device(device)
    if "no kernel image" in said:
        kernels = ", ".join(torch.cuda.get_arch_list()) or "no GPU"
        return (
            f"PyTorch {torch.__version__} has no kernels for {name}, but for "
            f"{kernels}; install a PyTorch that has, see https://pytorch.org"
        )
    if is_out_of_memory(error):
        return (
            f"the memory of {name} is full ({said}); stop other programs on it, which "
            "nvidia-smi lists"
        )
    if "busy or unavailable" in said:
        return (
            f"{name} is busy or unavailable; stop the program that has it to itself, "
            "which nvidia-smi lists, or restart Python"
        )
    return (
        f"{name} failed when it was tried out ({said}); see what nvidia-smi says of "
        "it, and restart Python"
    )


def _name_device(device):
    try:
        found = torch.cuda.get_device_properties(device)
    except Exception:  # of a GPU that is lost
        return "the GPU"
    return f"{found.name} (compute capability {found.major}.{found.minor})"


def _forget():
    """Start anew in a forked process, whose GPUs are not those of its parent."""
    global _lock
    _lock = threading.Lock()  # which another thread may have held
    _faults.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
