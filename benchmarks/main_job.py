"""Measure the recognizer at its main job: fit on labeled images, read the others.

Every fit uses the default parameters; only `random_state` is set. The archives of the
rows that read files are unpacked into a temporary folder, so that a fit reads its
images from paths, as a user's does.
"""

import argparse
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import records
import torch
from sklearn.model_selection import train_test_split

from skcaptcha import CaptchaRecognizer
from skcaptcha.datasets import load_image_folder, load_labels_csv, make_captchas
from skcaptcha.metrics import character_accuracy_score, exact_match_score


@dataclass(frozen=True)
class Row:
    """One line of the table: a data set, its split, and what is to be reached."""

    load: Callable  # (folder of the unpacked archive, seed) -> images, texts
    split: str  # in words
    sizes: dict  # train_size and test_size of train_test_split
    seeds: range
    lowest: float  # exact match that every seed has to reach
    median: float | None = None  # exact match that the median has to reach
    seconds: float | None = None  # that no fit may exceed
    archive: str | None = None

    @property
    def target(self):
        parts = [f"every seed ≥ {self.lowest:.2f}"]
        if self.median is not None:
            parts.append(f"median ≥ {self.median:.2f}")
        if self.seconds is not None:
            parts.append(f"each fit < {self.seconds:g} s")
        return ", ".join(parts)


def load_captcha_images_v2(folder, seed):
    return load_image_folder(folder / "captcha_images_v2")


def load_digits4(folder, seed):
    return load_labels_csv(folder / "digits4" / "labels.csv")


def load_make_captchas(folder, seed):
    return make_captchas(1000, random_state=seed)


ROWS = {
    "captcha_images_v2": Row(
        load=load_captcha_images_v2,
        archive="captcha_images_v2.zip",
        split="90/10",
        sizes={"test_size": 0.1},
        seeds=range(10),
        lowest=0.98,
        median=0.99,
        seconds=60,
    ),
    "digits4": Row(
        load=load_digits4,
        archive="digits4.zip",
        split="80/20",
        sizes={"test_size": 0.2},
        seeds=range(3),
        lowest=0.96,
    ),
    "captcha_images_v2_100": Row(
        load=load_captcha_images_v2,
        archive="captcha_images_v2.zip",
        split="100 to train, 300 others to test",
        sizes={"train_size": 100, "test_size": 300},
        seeds=range(3),
        lowest=0.85,
    ),
    "make_captchas": Row(
        load=load_make_captchas,
        split="1,000 images, 80/20",
        sizes={"test_size": 0.2},
        seeds=range(5),
        lowest=0.95,
    ),
}


def run_seed(row, folder, seed):
    """Split, fit and read with one seed; return what was measured and with what."""
    X, y = row.load(folder, seed)
    X_train, X_test, y_train, y_test = train_test_split(
        X, y, shuffle=True, random_state=seed, **row.sizes
    )
    recognizer = CaptchaRecognizer(random_state=seed)
    with warnings.catch_warnings():
        # Ctrl-C leaves a recognizer that works, but no measurement.
        warnings.filterwarnings("error", message="Training was interrupted")
        start = time.perf_counter()
        recognizer.fit(X_train, y_train)
        seconds = time.perf_counter() - start
    y_pred = recognizer.predict(X_test)
    measured = {
        "seed": seed,
        "n_train": len(X_train),
        "n_test": len(X_test),
        "exact_match": exact_match_score(y_test, y_pred),
        "character_accuracy": character_accuracy_score(y_test, y_pred),
        "epochs": int(recognizer.n_iter_),
        "seconds": round(seconds, 2),
        "converged": bool(recognizer.converged_),
    }
    parameters = recognizer.get_params()
    del parameters["random_state"]  # the seed
    return measured, parameters


def run_row(name, seeds, data, output):
    """Run the seeds of one row, saving after each; return the row's entry."""
    row = ROWS[name]
    entry = {"target": row.target, "split": row.split, **records.describe_run(__file__)}
    entry |= {"parameters": {}, "seeds": find_kept_seeds(output, name, entry, seeds)}
    print(f"{name}: {row.split}; target: {row.target}")
    print("  seed  exact match  char. accuracy  epochs  seconds  converged")
    with tempfile.TemporaryDirectory() as folder:
        if row.archive:
            records.unpack(data, row.archive, folder)
        for seed in seeds:
            measured, entry["parameters"] = run_seed(row, Path(folder), seed)
            entry["seeds"] = sorted(
                [*entry["seeds"], measured], key=lambda one: one["seed"]
            )
            records.save_entry(output, name, entry)
            print(
                f"  {seed:4}  {measured['exact_match']:11.4f}"
                f"  {measured['character_accuracy']:14.4f}  {measured['epochs']:6}"
                f"  {measured['seconds']:7.1f}"
                f"  {'yes' if measured['converged'] else 'NO':>9}",
                flush=True,
            )
    exact = [measured["exact_match"] for measured in entry["seeds"]]
    print(
        f"  exact match: lowest {min(exact):.4f}, median "
        f"{statistics.median(exact):.4f}; target {judge(row, entry['seeds'])}\n"
    )
    return entry


def find_kept_seeds(output, name, entry, seeds):
    """Return what the file holds of other seeds, measured alike."""
    earlier = records.read_kept(output, name, entry)
    return [one for one in earlier.get("seeds", []) if one["seed"] not in seeds]


def judge(row, measured):
    """Say whether the seeds measured so far reach the target of the row."""
    exact = [one["exact_match"] for one in measured]
    each_is_good = all(
        one["converged"]
        and one["exact_match"] >= row.lowest
        and (row.seconds is None or one["seconds"] < row.seconds)
        for one in measured
    )
    if not each_is_good:
        return "missed"
    missing = len(set(row.seeds) - {one["seed"] for one in measured})
    if missing:
        return f"open: {missing} of {len(row.seeds)} seeds not run"
    if row.median is not None and statistics.median(exact) < row.median:
        return "missed"
    return "met"


def format_markdown(entries):
    """Return the table of the README, and below it what it was measured on."""
    lines = [
        "| data | split | seeds | exact match: lowest / median "
        "| character accuracy: lowest | epochs: median | longest fit | target | |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    settings = {}  # in words -> names of the rows
    for name in [name for name in ROWS if name in entries]:
        entry = entries[name]
        seeds = entry["seeds"]
        column = {key: [one[key] for one in seeds] for key in seeds[0]}
        lines.append(
            f"| `{name}` | {entry['split']} | {len(seeds)} "
            f"| {min(column['exact_match']):.3f} / "
            f"{statistics.median(column['exact_match']):.3f} "
            f"| {min(column['character_accuracy']):.3f} "
            f"| {statistics.median(column['epochs']):g} "
            f"| {max(column['seconds']):.0f} s "
            f"| {entry['target']} | {judge(ROWS[name], seeds)} |"
        )
        settings.setdefault(records.describe_setting(entry), []).append(f"`{name}`")
    if len(settings) == 1:
        lines += ["", f"Measured on {next(iter(settings))}."]
    else:
        lines += ["", *(f"- {', '.join(n)}: {s}." for s, n in settings.items())]
    return "\n".join(lines)


def parse_arguments(argv):
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    records.add_arguments(parser, ROWS, "main_job.json")
    records.add_data_argument(parser)
    parser.add_argument(
        "--seeds", type=int, nargs="+", help="seeds to run (default: each row's own)"
    )
    arguments = parser.parse_args(argv)
    records.check_arguments(parser, arguments, ROWS)
    if not arguments.markdown:
        archives = {ROWS[name].archive for name in arguments.rows} - {None}
        records.check_archives(parser, arguments.data, archives)
    return arguments


def main(argv=None):
    arguments = parse_arguments(argv)
    if arguments.markdown:
        print(format_markdown(records.read_entries(arguments.output)))
        return 0
    torch.set_num_threads(arguments.threads)
    verdicts = []
    for name in arguments.rows:
        seeds = arguments.seeds or ROWS[name].seeds
        entry = run_row(name, seeds, arguments.data, arguments.output)
        verdicts.append(judge(ROWS[name], entry["seeds"]))
    return int("missed" in verdicts)


if __name__ == "__main__":
    sys.exit(main())
