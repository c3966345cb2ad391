"""Runs fits and readings on an imitated CUDA device, in a process of its own.

    python -m support.run_on_cuda LIBRARY 7.5 REPORT tasks|faults

`tasks` runs every task, and the report, in JSON, tells what went wrong in each, or
null. `faults` puts one fault after the other into the package, and the report tells for
each whether a task noticed it.
"""

import json
import sys
from pathlib import Path

from support import cuda_library

if __name__ == "__main__":
    library, capability, report, what = sys.argv[1:]
    cuda_library.load(library)

    from support import cuda_faults, cuda_tasks  # which import PyTorch

    capability = tuple(int(part) for part in capability.split("."))
    if what == "tasks":
        found = {
            task.__name__: cuda_tasks.run(task, capability) for task in cuda_tasks.TASKS
        }
        found["counts"] = cuda_tasks.COUNTS
    else:
        found = {"none": cuda_tasks.run(cuda_faults.fit_once, capability) is None}
        for name, fault in cuda_faults.FAULTS.items():
            found[name] = cuda_faults.is_noticed(*fault, capability=capability)
    Path(report).write_text(json.dumps(found))
