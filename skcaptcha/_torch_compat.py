"""What older versions of PyTorch lack, and private names that a later one may drop."""

import inspect
from types import SimpleNamespace

import torch
from torch.nn.parallel import DistributedDataParallel

__all__ = [
    "NO_BUFFER_SYNC",
    "AcceleratorError",
    "OutOfMemoryError",
    "foreach",
    "has_fast_bfloat16",
]

# New in 2.5.
OutOfMemoryError = getattr(torch, "OutOfMemoryError", torch.cuda.OutOfMemoryError)
if hasattr(torch, "AcceleratorError"):  # new in 2.8
    AcceleratorError = torch.AcceleratorError
else:

    class AcceleratorError(RuntimeError):
        """Is raised by nothing; errors of the CUDA runtime are plain RuntimeErrors."""


NO_BUFFER_SYNC = (
    {"forward_sync_buffers": False}
    if "forward_sync_buffers" in inspect.signature(DistributedDataParallel).parameters
    else {"broadcast_buffers": False}  # as it was called before 2.13
)
"""Arguments of DistributedDataParallel by which it leaves the buffers alone."""


def has_fast_bfloat16():
    """Tell whether the CPU convolves faster in bfloat16, as far as PyTorch says so.

    By AVX512-BF16 one of AMD takes half the time, and one of Intel 1.6 times as long,
    unless it has AMX, which a virtual machine may hide.
    """
    probe = getattr(torch.cpu, "_is_avx512_bf16_supported", None)  # new in 2.6
    if probe is None or not probe():
        return False
    describe = getattr(torch.cpu, "get_capabilities", dict)  # not in older ones
    found = describe()
    return "Intel" not in found.get("cpu_name", "") or found.get("amx_bf16", False)


def find_foreach(name):
    """Return PyTorch's function that applies a method of tensors to a list of them.

    A list as another argument has a value for each tensor. Where the function is gone,
    a loop does the same.
    """
    together = getattr(torch, f"_foreach_{name}", None)
    return together if together is not None else make_loop(name)


def make_loop(name):
    """Return a function that calls a method of each tensor of a list."""
    method = getattr(torch.Tensor, name)

    def loop(tensors, *arguments):
        lists = (a if isinstance(a, list) else [a] * len(tensors) for a in arguments)
        rows = zip(tensors, *lists, strict=True)
        if name in ("addcdiv_", "addcmul_"):
            return [method(*row[:3], value=row[3]) for row in rows]
        return [method(*row) for row in rows]

    return loop


foreach = SimpleNamespace(
    **{
        name: find_foreach(name)
        for name in (
            "add_",
            "addcdiv_",
            "addcmul_",
            "copy_",
            "div_",
            "lerp_",
            "mul_",
            "norm",
            "sqrt",
        )
    }
)
"""Methods of tensors, applied to a list of tensors at once."""
