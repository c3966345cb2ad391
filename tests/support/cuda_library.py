"""The C++ part of the imitated CUDA device, compiled and loaded without PyTorch."""

import ctypes
import importlib.util
import sys
from pathlib import Path

SOURCE = Path(__file__).with_name("imitated_cuda.cpp")


def _find_torch():
    return Path(importlib.util.find_spec("torch").submodule_search_locations[0])


def build_command(library):
    """Return the command that compiles it to a file."""
    torch = _find_torch()
    flags = ["-shared", "-fPIC", "-O0", "-std=c++20", f"-I{torch}/include"]
    libraries = [f"-L{torch}/lib", "-lc10", "-ltorch_cpu"]
    return ["g++", *flags, str(SOURCE), *libraries, "-o", str(library)]


def load(library):
    """Load it after PyTorch's C++ libraries, and before its Python part."""
    assert "torch" not in sys.modules, "PyTorch was imported first"
    torch = _find_torch()
    for path in (torch / "lib/libc10.so", torch / "lib/libtorch_cpu.so", library):
        ctypes.CDLL(str(path), ctypes.RTLD_GLOBAL)
