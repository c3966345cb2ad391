"""Threads that decode images or run networks, and PyTorch's threads after a fork.

Where joblib or PyTorch is not loaded, nothing was set by their means.
"""

import os
import sys
import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from itertools import chain, islice
from numbers import Integral
from pathlib import Path

_PROCESS = os.getpid()
# Held while the number of PyTorch's threads is another one for a moment.
_NUMBER_LOCK = threading.Lock()
# The share of the cores that a container may use (Linux, "Control Group v2").
_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def count_cores():
    """Return the number of cores that this process may use."""
    if "joblib" in sys.modules:
        import joblib

        return joblib.cpu_count()
    if hasattr(os, "sched_getaffinity"):
        n_cores = len(os.sched_getaffinity(0))
    else:
        n_cores = os.cpu_count() or 1
    with suppress(OSError, ValueError):  # there is no such file, or it says "max"
        quota, period = map(int, _QUOTA.read_text("ascii").split())
        n_cores = min(n_cores, -(-quota // period))
    return n_cores


def count_network_threads():
    """Return the number of threads that run a network without PyTorch.

    It is what PyTorch is set to, where that is loaded, or ``OMP_NUM_THREADS``. 0 means
    one for each physical core, as all of them may be used.
    """
    if "torch" in sys.modules:
        import torch

        return torch.get_num_threads()
    with suppress(ValueError):
        if (n_threads := int(os.environ.get("OMP_NUM_THREADS", ""))) > 0:
            return n_threads
    n_cores = count_cores()
    return 0 if n_cores == os.cpu_count() else n_cores


def count_threads(n_jobs):
    """Return the number of threads that decode images, from a parameter like joblib's.

    None is one thread for each core, 8 at most, unless ``joblib.parallel_config`` says
    otherwise. In a joblib job it is one thread, as the jobs share the cores.
    """
    if n_jobs is not None and (not isinstance(n_jobs, Integral) or n_jobs == 0):
        raise ValueError(
            f"n_jobs={n_jobs!r} must be None or an int other than 0; "
            "-1 uses all cores, 1 only the calling thread."
        )
    if "joblib" not in sys.modules:
        n_cores = count_cores()
        if n_jobs is None:
            return min(8, n_cores)
        return int(n_jobs) if n_jobs > 0 else max(1, n_cores + 1 + int(n_jobs))
    from joblib.parallel import get_active_backend

    if n_jobs is None:
        backend, configured = get_active_backend()
        if configured is None and not backend.nesting_level:
            return _count_cores(os.getpid())
    # Only threads count, not the processes of other backends.
    backend, configured = get_active_backend(require="sharedmem", verbose=0)
    return backend.effective_n_jobs(configured if n_jobs is None else int(n_jobs))


@cache
def _count_cores(process):
    """Return the number of cores of this process, 8 at most.

    joblib reads files to count them, which took a twentieth of reading one image.
    """
    return min(8, count_cores())


def map_in_threads(
    function, items, n_threads, *, worthwhile=None, ahead=512, start=ThreadPoolExecutor
):
    """Yield the results of a function for items, lazily and in order.

    Threads compute them for up to `ahead` items in advance, but only if `worthwhile`
    returns true for the item. The calling thread computes the others, and all of them
    if `n_threads` is 1. It alone iterates over `items`. `start` makes the executor of
    a number of threads.
    """
    items = iter(items)
    first = list(islice(items, 2))
    if len(first) < 2:
        n_threads = 1
    running = deque()
    # Of one thread it starts none, as it gets no task.
    pool = start(n_threads) if n_threads > 1 else ThreadPoolExecutor(1)
    try:
        for item in chain(first, items):
            if n_threads > 1 and (worthwhile is None or worthwhile(item)):
                running.append(pool.submit(function, item))
                if len(running) > ahead:
                    yield running.popleft().result()
                continue
            while running:
                yield running.popleft().result()
            yield function(item)
        while running:
            yield running.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def start_computing(n_threads):
    """Return an executor of threads in each of which PyTorch computes by one thread.

    Two threads that compute a batch each are sooner than two that share the work of
    every operation. `torch.set_num_threads` counts for the thread that calls it, and
    for those that compute for the first time after it. What these get is therefore set
    back before anything else happens.
    """
    import torch

    torch.get_num_threads()  # now the calling thread is none of these
    ready, go = threading.Semaphore(0), threading.Event()

    def begin():
        torch.get_num_threads()  # or it would be set back as well
        torch.set_num_threads(1)
        ready.release()
        go.wait()

    pool = ThreadPoolExecutor(n_threads)
    with _NUMBER_LOCK, ThreadPoolExecutor(1) as other:
        usual = other.submit(torch.get_num_threads).result()
        try:
            for _ in range(n_threads):
                pool.submit(begin)
            for _ in range(n_threads):
                ready.acquire()
        finally:
            other.submit(torch.set_num_threads, usual).result()
            go.set()
    return pool


def _renew_lock():
    global _NUMBER_LOCK
    _NUMBER_LOCK = threading.Lock()  # which a thread of the parent may have held


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


def survive_fork():
    """Limit PyTorch to one thread in a forked process.

    The threads of its pool don't survive the fork, and PyTorch would wait for them.
    """
    global _PROCESS
    if os.getpid() != _PROCESS:
        if "torch" in sys.modules:
            import torch

            torch.set_num_threads(1)
        _PROCESS = os.getpid()
