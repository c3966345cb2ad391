"""Measure an epoch and prediction on a GPU.

Captchas of five of 62 characters, 150x40, by the `captcha` package. The epoch is the
last one of a short fit, so that nothing is loaded or tuned in it. Meanwhile the driver
is asked how busy the GPU is. The model is then read in a process that sees no GPU.
"""

import argparse
import os
import pickle
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import accuracy
import numpy as np
import records
import torch
from sklearn.exceptions import ConvergenceWarning

from skcaptcha import CaptchaRecognizer

N_TRAIN, N_QUICK = 100_000, 200
SECONDS, BUSY = 5.0, 0.8
EPOCHS = 3
N_COMPARED = 100
PREDICT = """
import pickle, sys
import numpy as np
recognizer, images = pickle.load(open(sys.argv[1], "rb"))
pickle.dump(list(recognizer.predict(images)), open(sys.argv[2], "wb"))
"""


class Clock:
    """Callback that notes when epochs end."""

    def __init__(self):
        self.ends = []

    def setup(self, estimator, context):
        pass

    def teardown(self, estimator, context):
        pass

    def on_fit_task_begin(self, estimator, context, **kwargs):
        pass

    def on_fit_task_end(self, estimator, context, **kwargs):
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.ends.append(time.perf_counter())
        return False


class Watch(threading.Thread):
    """Asks the driver ten times a second how busy the GPU is."""

    def __init__(self):
        super().__init__(daemon=True)
        self.seen, self.stopped = [], threading.Event()

    def run(self):
        command = ["nvidia-smi", "--query-gpu=utilization.gpu", "--id=0"]
        command += ["--format=csv,noheader,nounits"]
        while not self.stopped.wait(0.1):
            found = subprocess.run(command, capture_output=True, text=True, check=True)
            self.seen.append((time.perf_counter(), float(found.stdout) / 100))

    def busy(self, start, end):
        """Return the mean share of what was seen in an interval, None for nothing."""
        seen = [share for moment, share in self.seen if start <= moment <= end]
        return statistics.mean(seen) if seen else None


def run_fit(state):
    """Fit for some epochs; return the seconds of the last one and how busy it was."""
    clock, watch = Clock(), Watch()
    recognizer = CaptchaRecognizer(
        device=state["device"],
        batch_size=state["batch_size"],
        max_iter=EPOCHS,
        early_stopping=False,
        random_state=state["seed"],
    ).set_callbacks(clock)
    if state["device"] == "cuda":
        watch.start()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # it is short
        recognizer.fit(state["X"], state["y"])
    watch.stopped.set()
    start, end = clock.ends[EPOCHS - 2 : EPOCHS]
    state["recognizer"] = recognizer.set_callbacks()  # without the clock
    n = len(state["X"])
    return {
        "n_train": n,
        "seconds": round(end - start, 3),
        "images_per_second": round(n / (end - start), 1),
        "busy": watch.busy(start, end),
    }


def run_predict(state):
    """Return how many images are read in a second, the first reading left out."""
    recognizer, X = state["recognizer"], state["X"]
    recognizer.predict(X[:1000])
    start = time.perf_counter()
    recognizer.predict(X)
    seconds = time.perf_counter() - start
    return {
        "seconds": round(seconds, 3),
        "images_per_second": round(len(X) / seconds, 1),
    }


def run_elsewhere(state):
    """Return the share of texts that a process without a GPU reads alike."""
    images = state["X"][:N_COMPARED]
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "model", Path(folder) / "texts"
        source.write_bytes(pickle.dumps((state["recognizer"], images)))
        subprocess.run(
            [sys.executable, "-c", PREDICT, source, target],
            env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
            check=True,
        )
        texts = pickle.loads(target.read_bytes())
    return {"alike": float(np.mean(state["recognizer"].predict(images) == texts))}


@dataclass(frozen=True)
class Row:
    """What is measured, in words, and the function that does."""

    words: str
    run: Callable  # (what is kept from one row to the next) -> figures


ROWS = {
    "fit": Row("an epoch", run_fit),
    "predict": Row("prediction", run_predict),
    "elsewhere": Row("without a GPU", run_elsewhere),
}


def judge(name, measured):
    """Say whether a row that has a target reaches it."""
    if name == "fit":
        met = measured["seconds"] < SECONDS and (measured["busy"] or 0) > BUSY
    else:
        met = measured["alike"] == 1
    return "met" if met else "missed"


def format_markdown(entries):
    """Return the table, and below it what it was measured on."""
    lines, settings = [], {}
    targets = {
        "fit": f"100,000 images in under {SECONDS:g} s, busy over {BUSY:.0%}",
        "elsewhere": "the same texts",
    }
    for name in [name for name in ROWS if name in entries]:
        entry = entries[name]
        figures = {
            key: value for key, value in entry["measured"].items() if value is not None
        }
        found = ", ".join(f"{k.replace('_', ' ')} {v:g}" for k, v in figures.items())
        verdict = ""
        if name in targets:
            verdict = f"{targets[name]}: {judge(name, entry['measured'])}"
        lines.append([ROWS[name].words, found, verdict])
        where = f"{entry['device']}; {records.describe_setting(entry)}"
        settings.setdefault(where, []).append(f"`{name}`")
    return "\n".join(
        [
            *records.format_table(["what", "measured", "target"], lines),
            "",
            *(f"- {', '.join(names)}: {text}." for text, names in settings.items()),
        ]
    )


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    records.add_arguments(parser, ROWS, "gpu.json")
    records.add_quick_argument(parser)
    parser.add_argument("--batch-size", type=int, default=512, help="default: 512")
    parser.add_argument("--seed", type=int, default=0, help="default: 0")
    parser.add_argument(
        "--device",
        choices=("cuda", "cpu"),
        default="cuda",
        help="cpu is for a trial of this script (default: cuda)",
    )
    arguments = parser.parse_args(argv)
    records.check_arguments(parser, arguments, ROWS)
    if not arguments.markdown:
        if arguments.device == "cuda" and not torch.cuda.is_available():
            parser.error(
                "--device cuda: PyTorch finds no GPU here; run it where there is one, "
                "or try the script with --device cpu --quick"
            )
        torch.set_num_threads(arguments.threads)
        n = N_QUICK if arguments.quick else N_TRAIN
        characters = accuracy.DIGITS + accuracy.LETTERS + accuracy.LETTERS.upper()
        X, y = accuracy.draw_captchas(n, characters, 5, (150, 40), arguments.seed)
        state = {**vars(arguments), "X": X, "y": y}
        device = arguments.device
        if device == "cuda":
            device = torch.cuda.get_device_name()
        for name in ROWS:
            entry = {**records.describe_run(__file__), "device": device}
            if name == "fit" or name in arguments.rows:  # the others need the fit
                entry["measured"] = ROWS[name].run(state)
                records.save_entry(arguments.output, name, entry)
    table = format_markdown(records.read_entries(arguments.output))
    print("\n" + table)
    return int("missed" in table)


if __name__ == "__main__":
    sys.exit(main())
