"""How fast are an epoch and prediction on a GPU, and what becomes of the model there?

Captchas of five of 62 characters, 150x40, by the `captcha` package. The epoch is the
last one of a short fit, so that nothing is loaded or tuned in it. Meanwhile the driver
is asked how busy the GPU is. The model is then read in a process that sees no GPU.
"""

import pickle
import statistics
import subprocess
import sys
import threading
import time
from functools import partial

import accuracy
import numpy as np
import runner
import torch
from sides.common import EpochEnd, clock

EPOCHS = 3
N_COMPARED = 100
PREDICT = """
import pickle, sys
recognizer, images = pickle.load(open(sys.argv[1], "rb"))
pickle.dump(list(recognizer.predict(images)), open(sys.argv[2], "wb"))
"""


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


class Gpu(runner.Row):
    N_TRAIN = 100_000
    SECONDS, BUSY = 5.0, 0.8

    def describe(self, arguments):
        device = arguments.device
        return {"device": torch.cuda.get_device_name() if device == "cuda" else device}

    def list_runs(self, arguments, folder):
        return [{"batch_size": arguments.batch_size}]

    def measure(self, run, arguments, folder):
        n = runner.N_QUICK if arguments.quick else self.N_TRAIN
        X, y = accuracy.draw_captchas(n, accuracy.CHARACTERS, 5, (150, 40), seed=0)
        ends, watch = [], Watch()

        def end_epoch(fitted):
            if arguments.device == "cuda":
                torch.cuda.synchronize()
            ends.append(time.perf_counter())

        recognizer = runner.make_recognizer(
            arguments,
            device=arguments.device,
            batch_size=run["batch_size"],
            early_stopping=False,
            random_state=0,
        )
        recognizer.set_params(max_iter=EPOCHS).set_callbacks(EpochEnd(end_epoch))
        if arguments.device == "cuda":
            watch.start()
        recognizer.fit(X, y)
        watch.stopped.set()
        start, end = ends[-2:]
        recognizer.set_callbacks()  # without the clock
        recognizer.predict(X[:1000])  # the first reading takes longer
        seconds, _ = clock(recognizer.predict, X)
        model, texts = folder / "model", folder / "texts"
        model.write_bytes(pickle.dumps((recognizer, X[:N_COMPARED])))
        runner.run_python(["-c", PREDICT, model, texts], threads=arguments.threads)
        elsewhere = pickle.loads(texts.read_bytes())
        return {
            "n_train": n,
            "seconds": round(end - start, 3),
            "images_per_second": round(n / (end - start), 1),
            "busy": watch.busy(start, end) or 0.0,
            "images_read_per_second": round(n / seconds, 1),
            "alike": float(np.mean(recognizer.predict(X[:N_COMPARED]) == elsewhere)),
        }

    def judge(self, entry):
        run = entry["runs"][-1]
        met = run["seconds"] < self.SECONDS and run["busy"] > self.BUSY
        return "met" if met and run["alike"] == 1 else "missed"

    def note(self, entry):
        return f"On {entry['device']}."


ROWS = {
    "captcha_62x5": Gpu(
        words="an epoch of 100,000 images, prediction, and prediction without a GPU",
        target=f"an epoch in under {Gpu.SECONDS:g} s, busy over {Gpu.BUSY:.0%}, the "
        "same texts without a GPU",
        factors={"batch_size": ()},
        columns={
            "seconds": ("seconds an epoch", ".2f"),
            "busy": ("busy", ".0%"),
            "images_per_second": ("images a second, learned from", ".0f"),
            "images_read_per_second": ("read", ".0f"),
            "alike": ("read alike without a GPU", ".1%"),
        },
    )
}


def add_options(parser):
    parser.add_argument("--batch-size", type=int, default=512, help="default: 512")
    parser.add_argument(
        "--device",
        choices=("cuda", "cpu"),
        default="cuda",
        help="cpu is for a trial of this script (default: cuda)",
    )


def check_options(parser, arguments):
    there = arguments.markdown or torch.cuda.is_available()
    if arguments.device == "cuda" and not there:
        parser.error(
            "--device cuda: PyTorch finds no GPU here; run it where there is one, "
            "or try the script with --device cpu --quick"
        )


main = partial(runner.run_benchmark, sys.modules[__name__])

if __name__ == "__main__":
    sys.exit(main())
