"""Errors of a GPU: which are for want of memory, which of the GPU, and both in words.

PyTorch has classes for two of them, `torch.OutOfMemoryError` of its own allocator and
`torch.AcceleratorError` of the CUDA runtime. Those of cuDNN, cuBLAS and NCCL are a
plain RuntimeError, whose text names the status.
"""

import contextlib
import re
import traceback

from skcaptcha._torch_compat import AcceleratorError, OutOfMemoryError
from skcaptcha.exceptions import DeviceError

# A handle that cannot be made, once others could, is for want of memory as well.
_OUT_OF_MEMORY = re.compile(
    r"(CUDA|HIP) out of memory"
    r"|(CUDA|HIP) (driver )?error: out of memory"
    r"|Cuda failure (2 )?'out of memory'"
    r"|CU(DNN|BLAS|SPARSE|SOLVER)_STATUS_ALLOC_FAILED"
    r"|CUDNN_STATUS_INTERNAL_ERROR_(DEVICE|HOST)_ALLOCATION_FAILED"
    r"|CUDNN_STATUS_NOT_INITIALIZED"
    r"|CUBLAS_STATUS_NOT_INITIALIZED when calling `cublas(Lt)?Create"
)
_OF_DEVICE = re.compile(
    r"(CUDA|HIP) (driver )?error: "
    r"|Cuda failure \d+ '"
    r"|cuDNN (Frontend )?error"
    r"|CU(DNN|BLAS|SPARSE|SOLVER)_STATUS_"
    r"|[Uu]nable to find an engine to execute this computation"
    r"|Cannot re-initialize CUDA in forked subprocess"
    r"|CUBLAS_WORKSPACE_CONFIG"
    r"|does not have a deterministic implementation"
)
_NOT_DETERMINISTIC = re.compile("CUBLAS_WORKSPACE_CONFIG|deterministic implementation")


def is_out_of_memory(error):
    """Tell whether an exception says that a GPU has too little memory.

    A smaller batch, or the same one after ``torch.cuda.empty_cache()``, may then do.
    """
    return isinstance(error, OutOfMemoryError) or (
        isinstance(error, RuntimeError) and bool(_OUT_OF_MEMORY.search(str(error)))
    )


def is_device_error(error):
    """Tell whether an exception is of a GPU, for want of memory or otherwise.

    All but those for want of memory mostly leave CUDA of no use to the process. One
    that is in words already does not count.
    """
    if isinstance(error, DeviceError):
        return False
    return isinstance(error, (AcceleratorError, OutOfMemoryError)) or (
        isinstance(error, RuntimeError)
        and bool(_OUT_OF_MEMORY.search(str(error)) or _OF_DEVICE.search(str(error)))
    )


def first_line(error):
    """Return the first line of what an exception says, without a full stop."""
    lines = str(error).strip().splitlines()
    return lines[0].strip().rstrip(".") if lines else type(error).__name__


def describe_device_error(error, doing):
    """Return what to raise in place of an error of a GPU, in words.

    `doing` says what was tried, such as "training".
    """
    said = first_line(error)
    if is_out_of_memory(error):
        return MemoryError(
            f"The GPU has too little memory for {doing} ({said}). Stop other programs "
            "on it, which nvidia-smi lists, set a smaller `image_height` or smaller "
            "`conv_channels`, or set device='cpu'."
        )
    if "forked subprocess" in said:
        return DeviceError(
            f"The GPU cannot be used for {doing} in a process that was forked after "
            "CUDA had been used. Start processes by the method 'spawn' or through "
            "joblib, or set device='cpu'."
        )
    if _NOT_DETERMINISTIC.search(str(error)):
        return DeviceError(
            f"torch.use_deterministic_algorithms(True) is set, and {doing} uses "
            "operations that have no deterministic form on a GPU, or have one only "
            "where the environment variable CUBLAS_WORKSPACE_CONFIG is ':4096:8' when "
            "Python starts. Call torch.use_deterministic_algorithms(False), or set "
            "device='cpu'."
        )
    return DeviceError(
        f"The GPU failed in {doing} ({said}). CUDA is likely of no more use to this "
        "process, nor is what it holds on the GPU: restart Python and load or fit the "
        "recognizer again. If the GPU fails once more, see what nvidia-smi says of it, "
        "or set device='cpu'."
    )


@contextlib.contextmanager
def explain_device_errors(doing):
    """Raise an error of a GPU in words; `doing` says what was tried."""
    try:
        yield
    except RuntimeError as error:
        if not is_device_error(error):
            raise
        # Its frames hold tensors, and would keep the memory of the GPU.
        traceback.clear_frames(error.__traceback__)
        raise describe_device_error(error, doing) from error
