"""Profile a fit with default parameters: which share of its time each stage takes.

The functions of the package are wrapped with clocks, from outside. Each moment counts
for the innermost wrapped function that is running, so the shares add up to the whole.
A fit without clocks comes first, for comparison, and before them all a short one, as
the first fit of a process imports parts of torch. On the CPU.

An epoch is all that happens in the passes over the samples; decoding and resizing,
which come once for a fit, and the final reading of some samples are not in it. The
gradient of the CTC loss counts for the backward pass. There is no copy to a device on
the CPU, but stacking and padding the images of a batch takes its place.
"""

import argparse
import contextlib
import functools
import statistics
import string
import sys
import tempfile
import time
import warnings
from pathlib import Path
from unittest.mock import patch

import records
import torch
from PIL import Image
from sklearn.exceptions import ConvergenceWarning

from skcaptcha import CaptchaRecognizer, recognizer
from skcaptcha.datasets import load_image_folder, make_captchas
from skcaptcha.images import _samples
from skcaptcha.model import network
from skcaptcha.training import fit as _training
from skcaptcha.training import optimizer as _optimizer
from skcaptcha.training import step as _trainer

# Stage -> what it is made of. It runs once for a fit, or else in each epoch.
ONCE = {
    "decoding": [(_samples, "_look_at")],
    "resizing": [(recognizer, "read_samples")],
    "reading samples": [(_training, "evaluate")],
    "rest of the fit": [(CaptchaRecognizer, "fit")],
}
EACH_EPOCH = {
    "batch and host-to-device": [(_trainer, "pad_images")],
    "augmentation": [(_trainer, "random_affine")],
    "forward: convolutions": [(network.ConvBlock, "forward")],
    "forward: LSTM": [(network.BidirectionalLSTM, "forward")],
    "forward: rest": [(network.CRNN, "forward")],
    "CTC": [(_trainer, "ctc_loss")],
    "backward": [(torch.Tensor, "backward")],
    "optimizer": [
        (_optimizer.AdamW, "step"),
        (_optimizer.AdamW, "zero_grad"),
        (torch.nn.utils, "clip_grad_norm_"),
    ],
    "rest of the updates": [(_trainer.Trainer, "train_step")],
    "rest of the epochs": [(_training, "fit_network")],
}
# Within it, what else is wrapped does not count apart.
OPAQUE = "reading samples"
PREPARATION = ("decoding", "resizing", "batch and host-to-device", "augmentation")
GREATEST_SHARE = 0.1  # of the preparation


class Stopwatch:
    """Seconds and calls of stages, each without the stages within it."""

    def __init__(self):
        self.seconds = dict.fromkeys([*ONCE, *EACH_EPOCH], 0.0)
        self.calls = dict.fromkeys(self.seconds, 0)
        self.running = []

    def wrap(self, stage, function):
        """Return the function with a clock."""

        @functools.wraps(function)
        def timed(*args, **kwargs):
            if self.running and self.running[-1] == OPAQUE:
                return function(*args, **kwargs)
            self.calls[stage] += 1
            self._count()
            self.running.append(stage)
            try:
                return function(*args, **kwargs)
            finally:
                self._count()
                self.running.pop()

        return timed

    def _count(self):
        now = time.perf_counter()
        if self.running:
            self.seconds[self.running[-1]] += now - self.since
        self.since = now

    @contextlib.contextmanager
    def attached(self):
        """Wrap what the stages are made of; complain of those that never ran."""
        with contextlib.ExitStack() as stack:
            for stage, parts in {**ONCE, **EACH_EPOCH}.items():
                for owner, name in parts:
                    timed = self.wrap(stage, getattr(owner, name))
                    stack.enter_context(patch.object(owner, name, timed))
            yield
        idle = [stage for stage, calls in self.calls.items() if not calls]
        if idle:
            raise RuntimeError(f"never ran, so wrap something else: {', '.join(idle)}")


def load_captcha_images_v2(folder, arguments):
    records.unpack(arguments.data, "captcha_images_v2.zip", folder)
    paths, texts = load_image_folder(folder / "captcha_images_v2")
    n = 40 if arguments.quick else 936  # nine tenths, as other benchmarks train on
    return paths[:n], texts[:n]


def save_captchas(folder, arguments):
    """Draw 5 of 62 characters in color, and save the images."""
    n = 40 if arguments.quick else 2000
    characters = string.digits + string.ascii_letters
    images, texts = make_captchas(
        n,
        vocabulary=characters,
        size=(40, 150),
        color=True,
        random_state=arguments.seed,
    )
    paths = [folder / f"{i}.png" for i in range(n)]
    for path, image in zip(paths, images, strict=True):
        Image.fromarray(image).save(path)
    return paths, texts


ROWS = {
    "captcha_images_v2": ("captcha_images_v2.zip", load_captcha_images_v2),
    "make_captchas": (None, save_captchas),
}


def run_row(name, arguments):
    """Fit without clocks and then with them, as often as asked; return the entry."""
    entry = records.describe_run(__file__)
    entry |= {"quick": arguments.quick, "seed": arguments.seed, "runs": []}
    _, load = ROWS[name]
    with tempfile.TemporaryDirectory() as folder:
        paths, texts = load(Path(folder), arguments)
        entry["n_images"] = len(paths)
        fit(paths[:20], texts[:20], arguments, max_iter=1)
        for repeat in range(arguments.repeats):
            start = time.perf_counter()
            fit(paths, texts, arguments)
            plain = time.perf_counter() - start
            stopwatch = Stopwatch()
            with stopwatch.attached():
                fitted = fit(paths, texts, arguments)
            entry["runs"].append(
                {
                    "seconds_without_clocks": round(plain, 3),
                    "epochs": fitted.n_iter_,
                    "updates": stopwatch.calls["rest of the updates"],
                    "seconds": {
                        stage: round(seconds, 5)
                        for stage, seconds in stopwatch.seconds.items()
                    },
                }
            )
            total = sum(stopwatch.seconds.values())
            print(
                f"  {name}, repeat {repeat}: {plain:.1f} s, {total:.1f} s with clocks",
                flush=True,
            )
    return entry


def fit(paths, texts, arguments, **params):
    if arguments.quick:
        params = {"max_iter": 1}
    reader = CaptchaRecognizer(device="cpu", random_state=arguments.seed, **params)
    with warnings.catch_warnings():
        # Ctrl-C leaves a recognizer that works, but no measurement.
        warnings.filterwarnings("error", message="Training was interrupted")
        warnings.simplefilter("ignore", ConvergenceWarning)
        return reader.fit(paths, texts)


def find_shares(run, stages):
    """Return the share of each of `stages` in their sum."""
    total = sum(run["seconds"][stage] for stage in stages)
    return {stage: run["seconds"][stage] / total for stage in stages}


def find_preparation(run, stages):
    shares = find_shares(run, stages)
    return sum(shares[stage] for stage in PREPARATION if stage in stages)


def judge(entry):
    """Say whether the data takes little enough to prepare, in the fit and an epoch."""
    if entry["quick"]:
        return "open: so short a fit cannot tell"
    shares = [
        statistics.median(find_preparation(run, stages) for run in entry["runs"])
        for stages in ([*ONCE, *EACH_EPOCH], EACH_EPOCH)
    ]
    return "met" if max(shares) <= GREATEST_SHARE else "missed"


def format_row(name, entry):
    runs = entry["runs"]
    whole = [*ONCE, *EACH_EPOCH]
    epochs = [find_shares(run, EACH_EPOCH) for run in runs]
    fits = [find_shares(run, whole) for run in runs]
    rows = []
    for stage in ["decoding", "resizing", *EACH_EPOCH, OPAQUE, "rest of the fit"]:
        of_an_epoch, per_update = "", ""
        if stage in EACH_EPOCH:
            shares = [share[stage] for share in epochs]
            of_an_epoch = records.describe_spread(shares, ".1%")
            milliseconds = [1000 * r["seconds"][stage] / r["updates"] for r in runs]
            per_update = f"{statistics.median(milliseconds):.2f}"
        of_the_fit = records.describe_spread([share[stage] for share in fits], ".1%")
        rows.append([stage, per_update, of_an_epoch, of_the_fit])
    prepared = [
        records.describe_spread([find_preparation(r, stages) for r in runs], ".1%")
        for stages in (EACH_EPOCH, whole)
    ]
    rows.append(["**preparing the data**", "", *prepared])
    clocks = [
        sum(run["seconds"].values()) / run["seconds_without_clocks"] for run in runs
    ]
    header = [f"`{name}`", "ms an update", "share of an epoch", "share of the fit"]
    return [
        *records.format_table(header, rows),
        "",
        f"{entry['n_images']:,} images from files, {runs[0]['epochs']} epochs of "
        f"{runs[0]['updates'] / runs[0]['epochs']:.0f} updates; with the clocks a fit "
        f"takes {records.describe_spread(clocks)} times as long. Median (lowest to "
        f"highest) of {len(runs)}. Target: preparing the data takes at most "
        f"{GREATEST_SHARE:.0%} of either: {judge(entry)}.",
        "",
        f"Measured on {records.describe_setting(entry)}.",
        "",
    ]


def format_markdown(entries):
    """Return the tables, and below each what it was measured on."""
    lines = []
    for name in ROWS:
        if name in entries:
            lines += format_row(name, entries[name])
    return "\n".join(lines).rstrip()


def parse_arguments(argv):
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    records.add_arguments(parser, ROWS, "profile_fit.json")
    records.add_data_argument(parser)
    records.add_quick_argument(parser)
    records.add_repeats_argument(parser, 3, "fits with clocks")
    parser.add_argument("--seed", type=int, default=0, help="default: 0")
    arguments = parser.parse_args(argv)
    records.check_arguments(parser, arguments, ROWS)
    if not arguments.markdown:
        archives = {ROWS[name][0] for name in arguments.rows} - {None}
        records.check_archives(parser, arguments.data, archives)
    return arguments


def main(argv=None):
    arguments = parse_arguments(argv)
    if arguments.markdown:
        print(format_markdown(records.read_entries(arguments.output)))
        return 0
    torch.set_num_threads(arguments.threads)
    entries = {}
    for name in arguments.rows:
        entries[name] = run_row(name, arguments)
        records.save_entry(arguments.output, name, entries[name])
    print("\n" + format_markdown(entries))
    return int("missed" in {judge(entry) for entry in entries.values()})


if __name__ == "__main__":
    sys.exit(main())
