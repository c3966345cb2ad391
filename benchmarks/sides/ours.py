"""Our side of a comparison, in a process of its own: training, reading, memory.

`train`, `read` and `read_onnx` are measured beside the Keras side. `time_epoch` and
`measure_memory` fit noise with random labels, so nothing is learned, only time and
memory count; such a fit is broken off after some updates.
"""

import importlib.metadata
import math
import resource
import statistics
import sys
import tempfile
import time
import warnings
from pathlib import Path
from unittest.mock import patch

import joblib
import numpy as np
import torch
from PIL import Image
from sides import common
from sklearn.exceptions import ConvergenceWarning

from skcaptcha import CaptchaRecognizer
from skcaptcha.images import read_images
from skcaptcha.training.optimizer import AdamW

BATCH_SIZE = 16  # the default one from 2000 images on
WARM_UP = 5  # updates that don't count
N_FILES = 1000  # different ones
# Characters that need no fonts: nothing is drawn.
FIRST_CHARACTER = 0x4E00


# ---- beside Keras ----------------------------------------------------------------


def train(
    threads,
    paths,
    texts,
    held_out,
    held_out_texts,
    target,
    max_epochs,
    seed,
    save=None,
    params=None,
):
    """Train until the exact match on held-out images is `target`.

    `save` is the folder to keep it in, and `params` are parameters of the recognizer.
    """
    torch.set_num_threads(threads)
    progress = common.Progress(held_out_texts, target, max_epochs)
    recognizer = CaptchaRecognizer(random_state=seed, **(params or {}))
    images = read_images(held_out)

    def end_epoch(fitted):
        return progress.end_epoch(lambda: fitted.predict(images))

    recognizer.set_callbacks(common.EpochEnd(end_epoch))
    with warnings.catch_warnings():
        # Ctrl-C leaves a recognizer that works, but no measurement.
        warnings.filterwarnings("error", message="Training was interrupted")
        warnings.simplefilter("ignore", ConvergenceWarning)  # the scores tell
        recognizer.fit(paths, texts)
    if save is not None:
        recognizer.set_callbacks()
        joblib.dump(recognizer, find_model(save, params))
    return progress.summarize()


def find_model(folder, params):
    """Return the file of the recognizer that was trained with some parameters."""
    words = "_".join(map(str, (params or {}).values()))
    return Path(folder) / f"{words or 'default'}.joblib"


def read(threads, saved, paths, texts, n_single, params=None):
    """Time the ways of reading by a recognizer that `train` has saved."""
    torch.set_num_threads(threads)
    recognizer = joblib.load(find_model(saved, params))
    return clock_reader(recognizer, paths, texts, n_single)


def read_onnx(threads, saved, paths, texts, n_single, params=None):
    """Time them by its export to ONNX, or say what is missing for that."""
    torch.set_num_threads(threads)
    file = find_model(saved, params)
    recognizer = joblib.load(file)
    try:
        from skcaptcha.export import export_onnx, load_onnx

        export_onnx(recognizer, file.with_suffix(".onnx"))
        reader = load_onnx(file.with_suffix(".onnx"))
    except ImportError as error:
        return {"missing": str(error)}
    versions = {"onnxruntime": importlib.metadata.version("onnxruntime")}
    measured = clock_reader(reader, paths, texts, n_single)
    return {**measured, "versions": versions}


def clock_reader(reader, paths, texts, n_single):
    images = read_images(paths)
    encoded = [Path(path).read_bytes() for path in paths[:n_single]]
    return common.clock_reading(
        {
            "paths": lambda: reader.predict(paths),
            "arrays": lambda: reader.predict(images),
        },
        {"one": lambda data: reader.predict([data])},
        encoded,
        texts,
    )


# ---- noise -----------------------------------------------------------------------


def draw_texts(n_images, n_characters, length, rng):
    drawn = rng.integers(n_characters, size=(n_images, length))
    return ["".join(chr(FIRST_CHARACTER + i) for i in row) for row in drawn]


def fit(X, y, n_characters, n_updates, **params):
    """Fit for `n_updates`; return when it began and when each update ended.

    The ends are in seconds of the clock and in those of the processor.
    """
    ends, processor = [], []
    step = AdamW.step  # once an update

    def timed(optimizer):
        step(optimizer)
        ends.append(time.perf_counter())
        processor.append(time.process_time())
        if len(ends) == n_updates:
            raise KeyboardInterrupt  # upon which a fit ends in good order

    recognizer = CaptchaRecognizer(
        vocabulary=[chr(FIRST_CHARACTER + i) for i in range(n_characters)],
        batch_size=BATCH_SIZE,
        device="cpu",
        random_state=0,
        **params,
    )
    with patch.object(AdamW, "step", timed), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Training was interrupted")
        start = time.perf_counter()
        recognizer.fit(X, y)
    return start, ends, processor


def time_epoch(threads, n_images, width, n_characters, length, n_updates, cache_size):
    """Return the seconds until the first update has ended, and those of an epoch."""
    torch.set_num_threads(threads)
    rng = np.random.default_rng(0)
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


def measure_memory(threads, n_images, width, color, cache_size, n_updates):
    """Return the peak memory of the process, before the fit and after it, in GB."""
    torch.set_num_threads(threads)
    rng = np.random.default_rng(0)
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


TASKS = {
    "train": train,
    "read": read,
    "read_onnx": read_onnx,
    "time_epoch": time_epoch,
    "measure_memory": measure_memory,
}

if __name__ == "__main__":
    common.serve(TASKS)
