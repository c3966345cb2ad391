"""Measure searches: two jobs against one, and ways to decode each file less often.

`jobs` searches with the default network, by one process and by two. `decoding` searches
over files with so small a network that decoding them is much of the work, in four ways
of reading them. The files have just been written, so that none is waited for.
"""

import argparse
import itertools
import statistics
import sys
import tempfile
import time
import warnings
from pathlib import Path
from unittest.mock import patch

import joblib
import numpy as np
import records
import torch
from joblib.externals.loky import get_reusable_executor
from PIL import Image
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline

from skcaptcha import CaptchaRecognizer
from skcaptcha.datasets import make_captchas
from skcaptcha.images import read_images
from skcaptcha.metrics import character_accuracy_scorer
from skcaptcha.preprocessing import ImageReader

TINY = {
    "conv_channels": (4, 4),
    "lstm_units": 4,
    "image_height": 16,
    "max_iter": 1,
    "random_state": 0,
}
N_JOBS = (1, 2)
WAYS = {
    "paths": "the search is given paths",
    "pipeline": "a pipeline with `memory` reads them in its first step",
    "reader": "an `ImageReader` with `memory` reads them in a pipeline",
    "once": "`read_images` reads them before the search",
}


def warm_up():
    """Fit once, which imports all that a fit needs; return the number of threads."""
    images, texts = make_captchas(4, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        CaptchaRecognizer(**TINY).fit(images, texts)
    return torch.get_num_threads()


def final_loss(recognizer, X, y):
    """Return the loss of the last epoch, a score that tells any two fits apart."""
    steps = getattr(recognizer, "named_steps", {"recognizer": recognizer})
    recognizer.predict(X)  # what a score of what is read would do
    return -steps["recognizer"].loss_curve_[-1]


def run_jobs(quick, repeats, seed):
    """Time the same search by one process and by two, in turn."""
    n_images, max_iter = (40, 1) if quick else (400, 20)
    images, texts = make_captchas(n_images, random_state=seed)
    entry = {
        "n_images": n_images,
        "max_iter": max_iter,
        "grid": {"learning_rate_init": [1e-3, 3e-3]},
        "folds": 2,
        "runs": [],
    }
    warm_up()
    for repeat, n_jobs in itertools.product(range(repeats), N_JOBS):
        get_reusable_executor().shutdown(wait=True)  # each search starts its own
        start = time.perf_counter()
        threads = [torch.get_num_threads()]
        if n_jobs > 1:
            tasks = [joblib.delayed(warm_up)()] * n_jobs
            threads = joblib.Parallel(n_jobs)(tasks)
        started = time.perf_counter()
        search = GridSearchCV(
            CaptchaRecognizer(max_iter=max_iter, random_state=seed),
            entry["grid"],
            cv=entry["folds"],
            scoring=character_accuracy_scorer,
            refit=False,
            n_jobs=n_jobs,
            error_score="raise",
        ).fit(images, texts)
        end = time.perf_counter()
        entry["runs"].append(
            {
                "repeat": repeat,
                "n_jobs": n_jobs,
                "threads": max(threads),
                "start": round(started - start, 3),
                "search": round(end - started, 3),
                "scores": search.cv_results_["mean_test_score"].tolist(),
            }
        )
        print(
            f"  repeat {repeat}, n_jobs={n_jobs}: {end - started:6.2f} s"
            f" after {started - start:.2f} s to start the workers",
            flush=True,
        )
    get_reusable_executor().shutdown(wait=True)
    return entry


def get_medians(entry):
    """Return, for each number of jobs, the median seconds of start, search and both."""
    medians = {}
    for n_jobs in N_JOBS:
        runs = [run for run in entry["runs"] if run["n_jobs"] == n_jobs]
        medians[n_jobs] = {
            "start": statistics.median(run["start"] for run in runs),
            "search": statistics.median(run["search"] for run in runs),
            "both": statistics.median(run["start"] + run["search"] for run in runs),
        }
    return medians


def judge_jobs(entry):
    if entry["quick"]:
        return "open: so short a search cannot tell"
    medians = get_medians(entry)
    return "met" if medians[2]["both"] < medians[1]["both"] else "missed"


def format_jobs(entry):
    medians = get_medians(entry)
    lines = [
        f"Search of {len(entry['grid']['learning_rate_init'])} candidates by "
        f"{entry['folds']} folds over {entry['n_images']} captchas, "
        f"{entry['max_iter']} epochs a fit, without the refit; median of "
        f"{len(entry['runs']) // len(N_JOBS)}.",
        "",
        "| `n_jobs` | threads of each | start of the workers | search "
        "| ratio to one job | start and search | ratio to one job |",
        "|---|---|---|---|---|---|---|",
    ]
    for n_jobs, median in medians.items():
        threads = {r["threads"] for r in entry["runs"] if r["n_jobs"] == n_jobs}
        lines.append(
            f"| {n_jobs} | {max(threads)} | {median['start']:.1f} s "
            f"| {median['search']:.1f} s "
            f"| {median['search'] / medians[1]['search']:.2f} "
            f"| {median['both']:.1f} s | {median['both'] / medians[1]['both']:.2f} |"
        )
    return [
        *lines,
        "",
        f"Target: two jobs, their start included, finish sooner than one: "
        f"{judge_jobs(entry)}.",
    ]


class CountedOpen:
    """`PIL.Image.open` that counts the files which it opens."""

    def __init__(self):
        self.original = Image.open
        self.calls = itertools.count()

    def __call__(self, *args, **kwargs):
        next(self.calls)  # atomic, and files are decoded in threads
        return self.original(*args, **kwargs)


def search_in_way(way, paths, texts, grid, folds):
    """Search in one of `WAYS`; return its seconds, decoded files and scores."""
    counted = CountedOpen()
    recognizer = CaptchaRecognizer(**TINY)
    with (
        tempfile.TemporaryDirectory() as folder,
        patch.object(Image, "open", counted),
    ):
        memory = joblib.Memory(folder, verbose=0)
        start = time.perf_counter()
        X, estimator = paths, recognizer
        if way == "once":
            X = read_images(paths)
        elif way in ("pipeline", "reader"):
            by_reader = way == "reader"
            reader = ImageReader(memory=memory if by_reader else None)
            steps = [("reader", reader), ("recognizer", recognizer)]
            estimator = Pipeline(steps, memory=None if by_reader else memory)
            grid = {f"recognizer__{name}": values for name, values in grid.items()}
        search = GridSearchCV(
            estimator,
            grid,
            cv=folds,
            scoring=final_loss,
            refit=False,
            n_jobs=1,
            error_score="raise",
        ).fit(X, texts)
        seconds = time.perf_counter() - start
    return {
        "seconds": round(seconds, 3),
        "n_decoded": next(counted.calls),
        "scores": search.cv_results_["mean_test_score"].tolist(),
    }


def run_decoding(quick, repeats, seed):
    """Time the same search over files in each of `WAYS`, in turn, and a default fit."""
    n_images = 40 if quick else 500
    entry = {
        "n_images": n_images,
        "grid": {"learning_rate_init": [1e-3, 2e-3, 3e-3, 1e-2]},
        "folds": 3,
        "runs": [],
        "read_seconds": [],
    }
    with tempfile.TemporaryDirectory() as folder:
        warm_up()
        images, texts = make_captchas(n_images, random_state=seed)
        paths = [str(Path(folder) / f"{i}.png") for i in range(n_images)]
        for path, image in zip(paths, images, strict=True):
            Image.fromarray(image).save(path)
        for repeat, (way, words) in itertools.product(range(repeats), WAYS.items()):
            found = search_in_way(way, paths, texts, entry["grid"], entry["folds"])
            entry["runs"].append({"repeat": repeat, "way": way, **found})
            print(
                f"  repeat {repeat}: {found['seconds']:6.2f} s, {found['n_decoded']:5} "
                f"files decoded where {words}",
                flush=True,
            )
        for _ in range(repeats):
            start = time.perf_counter()
            read_images(paths)
            entry["read_seconds"].append(round(time.perf_counter() - start, 4))
        default = CaptchaRecognizer(random_state=seed)
        if quick:
            default.set_params(max_iter=1)
        start = time.perf_counter()
        default.fit(paths, texts)
        entry["fit_seconds"] = round(time.perf_counter() - start, 3)
        entry["fit_epochs"] = default.n_iter_
    return entry


def judge_decoding(entry):
    """Tell whether each way came to the same scores."""
    scores = np.array([run["scores"] for run in entry["runs"]])
    return "met" if (scores == scores[0]).all() else "missed"


def format_decoding(entry):
    n_fits = len(entry["grid"]["learning_rate_init"]) * entry["folds"]
    lines = [
        f"Search of {n_fits // entry['folds']} candidates by {entry['folds']} folds "
        f"over {entry['n_images']} PNG files, {n_fits} fits of one epoch of a tiny "
        f"network, without the refit; median of {len(entry['runs']) // len(WAYS)}.",
        "",
        "| way | files decoded | seconds |",
        "|---|---|---|",
    ]
    for way, words in WAYS.items():
        runs = [run for run in entry["runs"] if run["way"] == way]
        seconds = statistics.median(run["seconds"] for run in runs)
        n_decoded = statistics.median(run["n_decoded"] for run in runs)
        lines.append(f"| {words} | {n_decoded:,.0f} | {seconds:.2f} |")
    read = statistics.median(entry["read_seconds"])
    return [
        *lines,
        "",
        f"Decoding them once takes {read:.3f} s, which is "
        f"{read / entry['fit_seconds']:.2%} of the {entry['fit_seconds']:.1f} s of a "
        f"fit of the default network, {entry['fit_epochs']} epochs. Target: the same "
        f"scores in each way: {judge_decoding(entry)}.",
    ]


ROWS = {
    "jobs": (run_jobs, judge_jobs, format_jobs),
    "decoding": (run_decoding, judge_decoding, format_decoding),
}


def format_markdown(entries):
    """Return the tables, and below each what it was measured on."""
    lines = []
    for name, (_, _, format_row) in ROWS.items():
        if name in entries:
            setting = records.describe_setting(entries[name])
            lines += [*format_row(entries[name]), f"Measured on {setting}.", ""]
    return "\n".join(lines).rstrip()


def parse_arguments(argv):
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    records.add_arguments(parser, ROWS, "search.json")
    parser.add_argument("--seed", type=int, default=0, help="default: 0")
    records.add_quick_argument(parser)
    records.add_repeats_argument(parser, 5, "searches of each kind")
    arguments = parser.parse_args(argv)
    records.check_arguments(parser, arguments, ROWS)
    return arguments


def main(argv=None):
    arguments = parse_arguments(argv)
    if arguments.markdown:
        print(format_markdown(records.read_entries(arguments.output)))
        return 0
    torch.set_num_threads(arguments.threads)
    entries = {}
    for name in arguments.rows:
        print(f"{name}:")
        run_row, judge_row, _ = ROWS[name]
        entry = records.describe_run(__file__)
        entry |= {"seed": arguments.seed, "quick": arguments.quick}
        with warnings.catch_warnings():
            # The networks here are too small, or train for too short a time, to read.
            warnings.simplefilter("ignore", ConvergenceWarning)
            # Ctrl-C leaves a search that goes on, but no measurement.
            warnings.filterwarnings("error", message="Training was interrupted")
            entry |= run_row(arguments.quick, arguments.repeats, arguments.seed)
        entries[name] = entry | {"target": judge_row(entry)}
        records.save_entry(arguments.output, name, entries[name])
    print()
    print(format_markdown(entries))
    return int("missed" in {entry["target"] for entry in entries.values()})


if __name__ == "__main__":
    sys.exit(main())
