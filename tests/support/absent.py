"""Packages that a process of its own cannot import, as if they were not installed."""

import os
import subprocess
import sys

from support.data import ROOT

# What scikit-learn, PyTorch and the rest of skcaptcha's requirements bring, and more:
# all but NumPy, Pillow and onnxruntime with what that needs.
BESIDE_THE_RUNTIME = (
    "cv2",
    "joblib",
    "matplotlib",
    "onnx",
    "pandas",
    "rapidfuzz",
    "regex",
    "safetensors",
    "scipy",
    "sklearn",
    "torch",
    "tqdm",
)
_START = """
import sys

class Absent:
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] in {names!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Absent)
"""


def run_without(names, code, *arguments, cwd=None):
    """Run code in a new process that cannot import some packages."""
    process = start_without(names, code, *arguments, cwd=cwd)
    out, err = process.communicate()
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def start_without(names, code, *arguments, cwd=None):
    """Start such a process and return it."""
    return subprocess.Popen(
        [sys.executable, "-c", _START.format(names=set(names)) + code]
        + list(map(str, arguments)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"},
    )
