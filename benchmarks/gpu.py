"""How fast are an epoch and prediction on a GPU, and what becomes of the model there?

Captchas of five of 62 characters, 150x40, in color: 20,000 by the `captcha` package,
on all cores, and each of them four times more, moved by a few pixels. The epoch is the
last one of five, so that nothing is loaded or tuned in it. Meanwhile the driver is
asked how busy the GPU is. The model then reads images that it has not learned from,
also in a process that sees no GPU, and another process fits through NCCL. All of it is
one command, of six minutes at the most on one GPU and four cores.
"""

import argparse
import contextlib
import json
import pickle
import statistics
import subprocess
import sys
import threading
import time
from functools import partial

import accuracy
import joblib
import numpy as np
import runner
import torch
from sides.common import EpochEnd, clock, compare_texts

EPOCHS = 5
N_DRAWN, CHUNK = 20_000, 500  # captchas that are drawn, at a time by one process
N_TEST, N_READ, N_COMPARED = 2000, 20_000, 100
CACHE = 3000  # megabytes; 100,000 of the images take 1,800
MINUTES = 6
PREDICT = """
import pickle, sys
recognizer, images = pickle.load(open(sys.argv[1], "rb"))
pickle.dump(list(recognizer.predict(images)), open(sys.argv[2], "wb"))
"""


def draw(n, seed=0):
    """Return `n` captchas and their texts: few are drawn, and the others moved."""
    n_drawn = min(n, N_DRAWN)
    sizes = [min(CHUNK, n_drawn - first) for first in range(0, n_drawn, CHUNK)]
    parts = joblib.Parallel(n_jobs=min(len(sizes), joblib.cpu_count()))(
        joblib.delayed(accuracy.draw_captchas)(
            size, accuracy.CHARACTERS, 5, (150, 40), seed=1000 * seed + part
        )
        for part, size in enumerate(sizes)
    )
    images = [image for part, _ in parts for image in part]
    texts = [text for _, part in parts for text in part]
    rng = np.random.default_rng(seed)
    moved = [
        np.roll(images[i % n_drawn], rng.integers((-3, -6), (4, 7)), axis=(0, 1))
        for i in range(n_drawn, n)
    ]
    return images + moved, [texts[i % n_drawn] for i in range(n)]


class Watch(threading.Thread):
    """Asks the driver ten times a second how busy the GPU is, where it can be asked."""

    def __init__(self):
        super().__init__(daemon=True)
        self.seen, self.stopped = [], threading.Event()

    def run(self):
        command = ["nvidia-smi", "--query-gpu=utilization.gpu", "--id=0"]
        command += ["--format=csv,noheader,nounits"]
        while not self.stopped.wait(0.1):
            try:
                found = subprocess.run(
                    command, capture_output=True, text=True, check=True, timeout=10
                )
            except (OSError, subprocess.SubprocessError) as error:
                print(f"  how busy the GPU is remains unknown: {error}", flush=True)
                return
            with contextlib.suppress(ValueError):  # "[N/A]" of a part of a GPU
                self.seen.append((time.perf_counter(), float(found.stdout) / 100))

    def busy(self, start, end):
        """Return the mean share of what was seen in an interval, None for nothing."""
        seen = [share for moment, share in self.seen if start <= moment <= end]
        return statistics.mean(seen) if seen else None


def fit_together(device, folder):
    """Return by how much losses change through NCCL, None where it fails.

    A process of its own fits twice, by itself and as a group of one.
    """
    backend = "nccl" if device == "cuda" else "gloo"
    command = [sys.executable, "-m", "sides.group_of_one", device, backend, folder]
    try:
        done = subprocess.run(
            list(map(str, command)),
            cwd=runner.FOLDER,
            capture_output=True,
            text=True,
            timeout=120,
        )
    except subprocess.TimeoutExpired:
        print(f"  {backend}: no answer in two minutes", flush=True)
        return None
    if done.returncode:
        print(f"  {backend}: {done.stderr}", flush=True)
        return None
    alone, together = json.loads(done.stdout.splitlines()[-1])
    return float(np.max(np.abs(np.array(together) / alone - 1)))


class Gpu(runner.Row):
    N_TRAIN = 100_000
    SECONDS, BUSY, DIFFERENCE = 5.0, 0.8, 0.02

    def describe(self, arguments):
        device = arguments.device
        return {"device": torch.cuda.get_device_name() if device == "cuda" else device}

    def list_runs(self, arguments, folder):
        return [{"batch_size": arguments.batch_size}]

    def measure(self, run, arguments, folder):
        start = time.perf_counter()
        n = runner.N_QUICK if arguments.quick else self.N_TRAIN
        n_test = runner.N_QUICK if arguments.quick else N_TEST
        drawing, (X, y) = clock(draw, n)
        X_test, y_test = draw(n_test, seed=1)
        recognizer, measured = self.fit(run, arguments, X, y)
        score = compare_texts(y_test, recognizer.predict(X_test))  # is slower at first
        n_read = min(n, N_READ)
        reading, _ = clock(recognizer.predict, X[:n_read])
        model, texts = folder / "model", folder / "texts"
        compared = X_test[:N_COMPARED]
        model.write_bytes(pickle.dumps((recognizer, compared)))
        runner.run_python(["-c", PREDICT, model, texts], threads=arguments.threads)
        elsewhere = pickle.loads(texts.read_bytes())
        return {
            **measured,
            "drawing": round(drawing, 1),
            "images_read_per_second": round(n_read / reading, 1),
            "exact_match": score,
            "alike": compare_texts(elsewhere, recognizer.predict(compared)),
            "through_nccl": fit_together(arguments.device, folder),
            "minutes": round((time.perf_counter() - start) / 60, 2),
        }

    def fit(self, run, arguments, X, y):
        """Return a recognizer, and what there is to say of its last epoch."""
        begun, ends, watch = time.perf_counter(), [], Watch()

        def end_epoch(fitted):
            if arguments.device == "cuda":
                torch.cuda.synchronize()
            ends.append(time.perf_counter())

        recognizer = runner.make_recognizer(
            arguments,
            device=arguments.device,
            batch_size=run["batch_size"],
            cache_size=CACHE,
            early_stopping=False,
            random_state=0,
        )
        recognizer.set_params(max_iter=EPOCHS).set_callbacks(EpochEnd(end_epoch))
        if arguments.device == "cuda":
            watch.start()
        recognizer.fit(X, y)
        whole = time.perf_counter() - begun
        watch.stopped.set()
        start, end = ends[-2:]
        recognizer.set_callbacks()  # without the clock
        return recognizer, {
            "n_train": len(X),
            "images_in_an_update": recognizer.auto_choices_["batch_size"],
            "seconds": round(end - start, 3),
            "images_per_second": round(len(X) / (end - start), 1),
            "busy": watch.busy(start, end),
            "fit": round(whole, 1),
        }

    def judge(self, entry):
        run = entry["runs"][-1]
        if run["busy"] is None:
            return "open: how busy the GPU was is unknown"
        met = (
            run["seconds"] < self.SECONDS
            and run["busy"] > self.BUSY
            and run["alike"] == 1
            and run["through_nccl"] is not None
            and run["through_nccl"] < self.DIFFERENCE
            and run["minutes"] < MINUTES
        )
        return "met" if met else "missed"

    def note(self, entry):
        return f"On {entry['device']}."


ROWS = {
    "captcha_62x5": Gpu(
        words="an epoch of 100,000 images, accuracy after five, prediction, also "
        "without a GPU, and a fit through NCCL",
        target=f"an epoch in under {Gpu.SECONDS:g} s, busy over {Gpu.BUSY:.0%}, the "
        f"same texts without a GPU, losses through NCCL within {Gpu.DIFFERENCE:.0%}, "
        f"all in {MINUTES} minutes",
        factors={"batch_size": ()},
        columns={
            "images_in_an_update": ("images an update", ".0f"),
            "seconds": ("seconds an epoch", ".2f"),
            "busy": ("busy", ".0%"),
            "images_per_second": ("images a second, learned from", ".0f"),
            "exact_match": ("exact match after five epochs", ".3f"),
            "images_read_per_second": ("read", ".0f"),
            "alike": ("read alike without a GPU", ".1%"),
            "through_nccl": ("losses through NCCL differ by", ".2%"),
            "fit": ("seconds of the whole fit", ".0f"),
            "minutes": ("minutes in all", ".1f"),
        },
    )
}


class Smoke(argparse.Action):
    """Option that stands for two others."""

    def __call__(self, parser, arguments, values, option=None):
        arguments.device, arguments.quick = "cpu", True


def parse_batch_size(text):
    return text if text == "auto" else int(text)


def add_options(parser):
    parser.add_argument(
        "--batch-size",
        type=parse_batch_size,
        default="auto",
        help="images in an update, or auto (default: auto)",
    )
    parser.add_argument(
        "--device",
        choices=("cuda", "cpu"),
        default="cuda",
        help="cpu is for a trial of this script (default: cuda)",
    )
    parser.add_argument(
        "--smoke", nargs=0, action=Smoke, help="a trial: --device cpu --quick"
    )


def check_options(parser, arguments):
    there = arguments.markdown or torch.cuda.is_available()
    if arguments.device == "cuda" and not there:
        parser.error(
            "--device cuda: PyTorch finds no GPU here; run it where there is one, "
            "or try the script with --smoke"
        )


main = partial(runner.run_benchmark, sys.modules[__name__])

if __name__ == "__main__":
    sys.exit(main())
