"""What PyTorch says when a GPU fails, and what the user is told."""

import pytest

from skcaptcha._device_errors import (
    explain_device_errors,
    first_line,
    is_device_error,
    is_out_of_memory,
)
from skcaptcha._torch_compat import AcceleratorError, OutOfMemoryError

# As PyTorch writes them, the kind of the exception before.
MORE = """
Search for `{}' in https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__TYPES\
.html for more information.
CUDA kernel errors might be asynchronously reported at some other API call, so the \
stacktrace below might be incorrect.
For debugging consider passing CUDA_LAUNCH_BLOCKING=1
Compile with `TORCH_USE_CUDA_DSA` to enable device-side assertions.
"""
ACCELERATOR, PLAIN = AcceleratorError, RuntimeError
OUT_OF_MEMORY = [
    OutOfMemoryError(
        "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of "
        "7.79 GiB of which 1.12 GiB is free."
    ),
    ACCELERATOR("CUDA error: out of memory" + MORE.format("cudaErrorMemoryAllocation")),
    PLAIN("CUDA driver error: out of memory"),
    PLAIN("CUDA out of memory. Tried to allocate 20.00 MiB (GPU 0; 7.93 GiB total)"),
    PLAIN("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    PLAIN("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"),
    PLAIN("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED"),
    PLAIN("cuDNN error: CUDNN_STATUS_NOT_INITIALIZED"),
    PLAIN(
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`\n"
        "Exception raised from createCublasHandle at CublasHandlePool.cpp:8 (most "
        "recent call first):\nframe #0: c10::Error::Error(c10::SourceLocation, ...)"
    ),
    PLAIN(
        "CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`"
    ),
    PLAIN(
        "NCCL error in: ProcessGroupNCCL.cpp:3690, unhandled cuda error, NCCL version "
        "2.27.5\nncclUnhandledCudaError: Call to CUDA function failed.\n"
        "Last error:\nCuda failure 2 'out of memory'"
    ),
]
FAILED = [
    ACCELERATOR(
        "CUDA error: an illegal memory access was encountered"
        + MORE.format("cudaErrorIllegalAddress")
    ),
    ACCELERATOR(
        "CUDA error: unspecified launch failure" + MORE.format("cudaErrorLaunchFailure")
    ),
    ACCELERATOR(
        "CUDA error: device-side assert triggered" + MORE.format("cudaErrorAssert")
    ),
    ACCELERATOR(
        "CUDA error: no kernel image is available for execution on the device"
        + MORE.format("cudaErrorNoKernelImageForDevice")
    ),
    ACCELERATOR(
        "CUDA error: CUDA-capable device(s) is/are busy or unavailable"
        + MORE.format("cudaErrorDevicesUnavailable")
    ),
    ACCELERATOR("a text that no earlier version had"),
    PLAIN("CUDA error: unknown error"),
    PLAIN("CUDA driver error: unknown error"),
    PLAIN("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"),
    PLAIN("cuDNN Frontend error: [cudnn_frontend] Error: No execution plans found"),
    PLAIN("GET was unable to find an engine to execute this computation"),
    PLAIN(
        "CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm(handle)`"
    ),
    PLAIN(
        "CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasSgemm(handle)`"
    ),
]
FORKED = PLAIN(
    "Cannot re-initialize CUDA in forked subprocess. To use CUDA with multiprocessing, "
    "you must use the 'spawn' start method"
)
NOT_DETERMINISTIC = [
    PLAIN(
        "Deterministic behavior was enabled with either "
        "`torch.use_deterministic_algorithms(True)` or "
        "`at::Context::setDeterministicAlgorithms(true)`, but this operation is not "
        "deterministic because it uses CuBLAS and you have CUDA >= 10.2. To enable "
        "deterministic behavior in this case, you must set an environment variable "
        "before running your PyTorch application: CUBLAS_WORKSPACE_CONFIG=:4096:8 or "
        "CUBLAS_WORKSPACE_CONFIG=:16:8."
    ),
    PLAIN(
        "ctc_loss_backward_gpu does not have a deterministic implementation, but you "
        "set 'torch.use_deterministic_algorithms(True)'."
    ),
]
OTHERS = [
    PLAIN("mat1 and mat2 shapes cannot be multiplied (3x4 and 5x6)"),
    PLAIN("Expected all tensors to be on the same device, but found at least two"),
    PLAIN("[enforce fail at alloc_cpu.cpp:124] err == 0. DefaultCPUAllocator: can't"),
    ValueError("CUDA out of memory"),
    KeyError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    MemoryError(),
]
DEVICE_ERRORS = [*OUT_OF_MEMORY, *FAILED, FORKED, *NOT_DETERMINISTIC]


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=first_line)
def test_want_of_memory_is_told_from_its_text(error):
    assert is_out_of_memory(error) and is_device_error(error)


@pytest.mark.parametrize("error", [*FAILED, FORKED, *NOT_DETERMINISTIC], ids=first_line)
def test_a_gpu_that_fails_is_not_out_of_memory(error):
    assert is_device_error(error) and not is_out_of_memory(error)


@pytest.mark.parametrize("error", OTHERS, ids=first_line)
def test_errors_of_others_pass_as_they_are(error):
    assert not is_device_error(error) and not is_out_of_memory(error)
    with pytest.raises(type(error)) as caught, explain_device_errors("training"):
        raise error
    assert caught.value is error and error.__cause__ is None


@pytest.mark.parametrize("error", DEVICE_ERRORS, ids=first_line)
def test_words_say_what_was_tried_and_what_to_do(error):
    with pytest.raises((MemoryError, RuntimeError)) as caught:
        with explain_device_errors("training"):
            raise error
    said = str(caught.value)
    assert caught.value.__cause__ is error
    assert "training" in said and "device='cpu'" in said
    assert isinstance(caught.value, MemoryError) == (error in OUT_OF_MEMORY)
    assert "CUDA_LAUNCH_BLOCKING" not in said and "frame #0" not in said
    if error in OUT_OF_MEMORY or error in FAILED:
        assert f"({first_line(error)})" in said


def test_the_remedy_is_that_of_the_cause():
    def explain(error):
        with pytest.raises(Exception) as caught, explain_device_errors("reading"):
            raise error
        return str(caught.value)

    assert "too little memory for reading" in explain(OUT_OF_MEMORY[4])
    assert "restart Python" in explain(FAILED[0])
    assert "'spawn'" in explain(FORKED)
    for error in NOT_DETERMINISTIC:
        assert "torch.use_deterministic_algorithms(False)" in explain(error)


def test_what_failed_is_not_kept_in_memory():
    class Held:
        alive = True

        def __del__(self):
            Held.alive = False

    def compute():
        held = Held()
        raise OutOfMemoryError(f"CUDA out of memory. {type(held)}")

    with pytest.raises(MemoryError) as caught, explain_device_errors("training"):
        compute()
    assert caught.value.__cause__ is not None  # and yet
    assert not Held.alive
