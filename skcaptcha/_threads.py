"""Threads: those that decode images, and those of PyTorch after a fork."""

import os
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, islice
from numbers import Integral

import joblib
import torch
from joblib.parallel import get_active_backend

__all__ = ["count_threads", "map_in_threads", "survive_fork"]

_PROCESS = os.getpid()


def count_threads(n_jobs):
    """Return how many threads may decode images.

    Parameters
    ----------
    n_jobs : int or None
        As in joblib, whose ``parallel_config`` counts. None where joblib has no say is
        one thread for each core, 8 at most; in a job of joblib's it is one, since the
        jobs share the cores.

    Returns
    -------
    int

    Raises
    ------
    ValueError
        If `n_jobs` is something else.
    """
    if n_jobs is None:
        backend, configured = get_active_backend()
        if configured is None and not backend.nesting_level:
            return min(8, joblib.cpu_count())
    elif not isinstance(n_jobs, Integral) or n_jobs == 0:
        raise ValueError(
            f"n_jobs={n_jobs!r} must be None or an int other than 0; "
            "-1 uses all cores, 1 only the calling thread."
        )
    # Backends of processes, or of other machines, count what is of no use here.
    backend, configured = get_active_backend(require="sharedmem", verbose=0)
    return backend.effective_n_jobs(configured if n_jobs is None else int(n_jobs))


def map_in_threads(function, items, n_threads, *, worthwhile, ahead=512):
    """Apply a function to items, in threads, lazily and in order.

    Parameters
    ----------
    function : callable
        Takes an item.
    items : iterable
        Is asked for items by the calling thread alone.
    n_threads : int
        Number of threads; 1 is the calling one.
    worthwhile : callable
        Tells whether an item is worth a thread. The calling one does the others.
    ahead : int, default=512
        Items that the threads work on while the caller does something else.

    Yields
    ------
    object
        What the function returns for each item.
    """
    items = iter(items)
    begin = list(islice(items, 2))
    if len(begin) < 2:
        n_threads = 1
    running = deque()
    pool = ThreadPoolExecutor(n_threads)  # which starts none before the first task
    try:
        for item in chain(begin, items):
            if n_threads > 1 and worthwhile(item):
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


def survive_fork():
    """Let PyTorch compute in one thread where the process was forked.

    A forked process has but the thread that forked it. PyTorch would wait for ever for
    the others of its pool, if there was one.
    """
    global _PROCESS
    if os.getpid() != _PROCESS:
        torch.set_num_threads(1)
        _PROCESS = os.getpid()
