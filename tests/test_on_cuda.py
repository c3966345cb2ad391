"""Fits, readings and their cost on an imitated CUDA device, where there is no real one.

See `support.imitated_cuda` for what it is, and `support.cuda_tasks` for the tasks.
"""

import json
import os
import shutil
import subprocess
import sys

import pytest
import torch
from support import cuda_faults, cuda_library, cuda_tasks

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        torch.backends.cuda.is_built(),
        reason="this PyTorch is built with CUDA; the imitation needs one without",
    ),
    pytest.mark.skipif(
        sys.platform != "linux" or shutil.which("g++") is None,
        reason="the imitation is compiled by g++, which this machine does not have",
    ),
]

TASKS = [task.__name__ for task in cuda_tasks.TASKS]


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """The C++ part of the imitation, compiled once."""
    path = tmp_path_factory.mktemp("imitation") / "imitated_cuda.so"
    done = subprocess.run(
        cuda_library.build_command(path), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return path


def run(library, capability, what, folder):
    """Run tasks in a process of its own, as PyTorch is loaded already in this one."""
    report = folder / "report.json"
    arguments = [str(library), capability, str(report), what]
    done = subprocess.run(
        [sys.executable, "-m", "support.run_on_cuda", *arguments],
        env={
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": os.pathsep.join(sys.path),
        },
        capture_output=True,
        text=True,
        timeout=1800,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(report.read_text())


@pytest.fixture(scope="module", params=["9.0", "7.5"])
def tasks(request, library, tmp_path_factory):
    """What each task found on a device that has bfloat16, and on one that has not."""
    return run(library, request.param, "tasks", tmp_path_factory.mktemp("tasks"))


@pytest.fixture(scope="module")
def faults(library, tmp_path_factory):
    """Whether each injected fault was noticed."""
    return run(library, "9.0", "faults", tmp_path_factory.mktemp("faults"))


@pytest.mark.parametrize("task", TASKS)
def test_it_runs_on_cuda(tasks, task):
    assert tasks.keys() - {"counts"} == set(TASKS)
    assert tasks[task] is None


def test_each_injected_fault_is_noticed(faults):
    assert faults.pop("none"), "the task fails without a fault"
    assert faults.keys() == cuda_faults.FAULTS.keys()
    assert [name for name, noticed in faults.items() if not noticed] == []
