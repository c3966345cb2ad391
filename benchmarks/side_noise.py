"""Fits on noise with random labels: nothing is learned, only time and memory count.

Each fit runs for so many updates and is then broken off. Started by scaling.py, each
time in a process of its own.
"""

import math
import resource
import statistics
import sys
import tempfile
import time
import warnings
from pathlib import Path
from unittest.mock import patch

import children
import numpy as np
import torch
from PIL import Image

from skcaptcha import CaptchaRecognizer
from skcaptcha.training import step as _trainer

BATCH_SIZE = 16  # the default one from 2000 images on
WARM_UP = 5  # updates that don't count
N_FILES = 1000  # different ones
# Characters that need no fonts: nothing is drawn.
FIRST_CHARACTER = 0x4E00


def draw_texts(n_images, n_characters, length, rng):
    drawn = rng.integers(n_characters, size=(n_images, length))
    return ["".join(chr(FIRST_CHARACTER + i) for i in row) for row in drawn]


def fit(X, y, n_characters, n_updates, **params):
    """Fit for `n_updates`; return when it began and when each update ended.

    The last is told in seconds of the clock and in those of the processor.
    """
    ends, processor = [], []
    update = _trainer.Trainer.train_step

    def timed(trainer, images, targets):
        loss = update(trainer, images, targets)
        ends.append(time.perf_counter())
        processor.append(time.process_time())
        if len(ends) == n_updates:
            raise KeyboardInterrupt  # upon which a fit ends in good order
        return loss

    characters = [chr(FIRST_CHARACTER + i) for i in range(n_characters)]
    recognizer = CaptchaRecognizer(
        vocabulary=characters,
        batch_size=BATCH_SIZE,
        device="cpu",
        random_state=0,
        **params,
    )
    with (
        patch.object(_trainer.Trainer, "train_step", timed),
        warnings.catch_warnings(),
    ):
        warnings.filterwarnings("ignore", message="Training was interrupted")
        start = time.perf_counter()
        recognizer.fit(X, y)
    return start, ends, processor


def time_epoch(
    threads, n_images, width, n_characters, length, n_updates, seed, cache_size=1000
):
    """Return the seconds until the first update has ended, and those of an epoch."""
    torch.set_num_threads(threads)
    rng = np.random.default_rng(seed)
    X = rng.integers(256, size=(n_images, 40, width), dtype=np.uint8)
    y = draw_texts(n_images, n_characters, length, rng)
    # Held-out images would make it fewer to train on, from some number of them on.
    start, ends, processor = fit(
        X,
        y,
        n_characters,
        n_updates + WARM_UP,
        early_stopping=False,
        max_iter=10_000,
        cache_size=cache_size,
    )
    updates = np.diff(ends[WARM_UP - 1 :])
    processor = np.diff(processor[WARM_UP - 1 :])
    in_an_epoch = math.ceil(n_images / BATCH_SIZE)
    return {
        "start": round(ends[0] - start, 3),
        "update": round(statistics.mean(updates), 6),
        "processor": round(statistics.mean(processor), 6),
        "epoch": round(statistics.mean(updates) * in_an_epoch, 3),
        "timed_updates": len(updates),
        "updates_in_an_epoch": in_an_epoch,
    }


def measure_memory(threads, n_images, width, color, cache_size, n_updates, seed):
    """Return the peak memory of the process, before the fit and after it, in GB."""
    torch.set_num_threads(threads)
    rng = np.random.default_rng(seed)
    shape = (40, width, 3) if color else (40, width)
    texts = draw_texts(n_images, 62, 5, rng)
    with tempfile.TemporaryDirectory() as folder:
        n_files = min(n_images, N_FILES)
        files = [str(Path(folder) / f"{i}.png") for i in range(n_files)]
        for file in files:
            pixels = rng.integers(256, size=shape, dtype=np.uint8)
            Image.fromarray(pixels).save(file)
        # Each file comes again and again, and is decoded anew each time.
        paths = [files[i % n_files] for i in range(n_images)]
        before = find_peak_memory()
        fit(paths, texts, 62, n_updates, cache_size=cache_size)
    return {"before": before, "peak": find_peak_memory()}


def find_peak_memory():
    # On Linux a process begins with the peak of the one that started it, a small one.
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return round(peak / 1e9, 3)


TASKS = {"time_epoch": time_epoch, "measure_memory": measure_memory}

if __name__ == "__main__":
    children.serve(TASKS)
