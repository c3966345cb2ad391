"""Measure the recogniser at its main job: fit on labelled images, read the others.

Every fit uses the default parameters; only `random_state` is set. The archives of the
rows that read files are unpacked into a temporary folder, so that a fit reads its
images from paths, as a user's does.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import sklearn
import torch
from sklearn.model_selection import train_test_split

import skcaptcha
from skcaptcha import CaptchaRecognizer
from skcaptcha.datasets import load_image_folder, load_labels_csv, make_captchas
from skcaptcha.metrics import character_accuracy_score, exact_match_score

ROOT = Path(__file__).resolve().parents[1]


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
        # Ctrl-C leaves a recogniser that works, but no measurement.
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
    entry = {"target": row.target, "split": row.split, **describe_run()}
    entry |= {"parameters": {}, "seeds": find_kept_seeds(output, name, entry, seeds)}
    print(f"{name}: {row.split}; target: {row.target}")
    print("  seed  exact match  char. accuracy  epochs  seconds  converged")
    with tempfile.TemporaryDirectory() as folder:
        if row.archive:
            with zipfile.ZipFile(data / row.archive) as archive:
                archive.extractall(folder)
        for seed in seeds:
            measured, entry["parameters"] = run_seed(row, Path(folder), seed)
            entry["seeds"] = sorted(
                [*entry["seeds"], measured], key=lambda one: one["seed"]
            )
            save_entry(output, name, entry)
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
    """Return what the file holds of other seeds, if the same commit measured them."""
    earlier = read_entries(output).get(name, {})
    if str(entry["commit"]).endswith(("None", "with changes")):
        return []
    if any(earlier.get(key) != entry[key] for key in ("commit", "machine", "versions")):
        return []
    return [one for one in earlier["seeds"] if one["seed"] not in seeds]


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


def describe_run():
    """Return when, on what and with which versions a row is run."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": find_commit(),
        "machine": {
            "processor": find_processor(),
            "cpu_count": os.cpu_count(),
            "threads": torch.get_num_threads(),
            "system": platform.system(),
        },
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "scikit-learn": sklearn.__version__,
            "numpy": np.__version__,
            "skcaptcha": skcaptcha.__version__,
        },
    }


def find_commit():
    """Return the commit of the code that is measured, None outside a repository."""

    def git(*arguments):
        return subprocess.run(
            ["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        commit = git("rev-parse", "--verify", "HEAD")
        changed = git("status", "--porcelain", "skcaptcha", "benchmarks/main_job.py")
    except (OSError, subprocess.CalledProcessError):
        return None
    return f"{commit} with changes" if changed else commit


def find_processor():
    """Return the processor's name, which `platform` doesn't know on Linux."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2] for line in lines if line.startswith("model name")]
    return names[0].strip() if names else platform.processor() or platform.machine()


def read_entries(path):
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def save_entry(path, name, entry):
    """Put the entry of one row into the file, and leave the other rows in it."""
    entries = {**read_entries(path), name: entry}
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.part")
    text = json.dumps(entries, indent=2, ensure_ascii=False, default=str)
    temporary.write_text(text + "\n", encoding="utf-8")
    os.replace(temporary, path)  # the old file or the new one, never half of it


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
        versions, machine = entry["versions"], entry["machine"]
        setting = (
            f"{machine['processor']}, {machine['threads']} threads; Python "
            f"{versions['python']}, torch {versions['torch']}, scikit-learn "
            f"{versions['scikit-learn']}; {entry['date'][:10]}"
        )
        settings.setdefault(setting, []).append(f"`{name}`")
    if len(settings) == 1:
        lines += ["", f"Measured on {next(iter(settings))}."]
    else:
        lines += ["", *(f"- {', '.join(n)}: {s}." for s, n in settings.items())]
    return "\n".join(lines)


def parse_arguments(argv):
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n\n")[0],
        epilog="The exit status is 1 where a row that was run missed its target.",
    )
    parser.add_argument(
        "rows",
        nargs="*",
        metavar="row",
        help=f"rows to run: {', '.join(ROWS)} (default: all)",
    )
    parser.add_argument(
        "--data",
        type=Path,
        default=os.environ.get("SKCAPTCHA_DATA", ROOT.parent / "shared" / "data"),
        help="folder of captcha_images_v2.zip and digits4.zip (default: the "
        "environment variable SKCAPTCHA_DATA, else ../shared/data beside the project)",
    )
    parser.add_argument(
        "--seeds", type=int, nargs="+", help="seeds to run (default: each row's own)"
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=ROOT / "benchmarks" / "results" / "main_job.json",
        help="file of the results; rows that are not run keep theirs (default: "
        "benchmarks/results/main_job.json)",
    )
    parser.add_argument(
        "--threads", type=int, default=2, help="threads of torch (default: 2)"
    )
    parser.add_argument(
        "--markdown",
        action="store_true",
        help="run nothing; print the results in the file as a Markdown table",
    )
    arguments = parser.parse_args(argv)
    arguments.rows = arguments.rows or list(ROWS)
    for name in arguments.rows:
        if name not in ROWS:
            parser.error(f"unknown row {name!r}; choose from {', '.join(ROWS)}")
    if arguments.threads < 1:
        parser.error(f"--threads {arguments.threads} must be at least 1")
    if arguments.markdown:
        if not arguments.output.exists():
            parser.error(f"--output {arguments.output} doesn't exist; run a row first")
        return arguments
    for archive in {ROWS[name].archive for name in arguments.rows} - {None}:
        if not (arguments.data / archive).is_file():
            parser.error(
                f"{arguments.data / archive} doesn't exist; say where it is by --data "
                "or SKCAPTCHA_DATA, or name the rows to run"
            )
    return arguments


def main(argv=None):
    arguments = parse_arguments(argv)
    if arguments.markdown:
        print(format_markdown(read_entries(arguments.output)))
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
