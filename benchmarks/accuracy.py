"""Measure accuracy against what was published, with default parameters alone.

One set of defaults serves all rows; what differs between data sets is decided inside
the package. Test data is read once for each fit, after it.
"""

import argparse
import random
import statistics
import sys
import tempfile
import time
import types
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

import numpy as np
import records
import torch
from scipy.stats import binomtest
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import KFold, train_test_split

from skcaptcha import CaptchaRecognizer
from skcaptcha.datasets import load_image_folder, load_labels_csv, make_captchas
from skcaptcha.metrics import (
    character_accuracy_score,
    character_error_rate,
    exact_match_score,
    mean_edit_distance,
)

DIGITS = "0123456789"
LETTERS = "abcdefghijklmnopqrstuvwxyz"
LOOK_ALIKES = str.maketrans("oil", "011")


@dataclass(frozen=True)
class Row:
    """A data set, the parts it is measured in, and what is to be reached."""

    protocol: str
    split: Callable  # (folder of the unpacked archive, part, seed) -> four lists
    parts: tuple
    seeds: tuple
    means: dict = field(default_factory=dict)  # part, or None for all -> exact match
    lowest: float | None = None  # exact match that every fit has to reach
    seconds: float | None = None  # that no fit may exceed
    fold: Callable | None = None  # texts are also compared after this
    folding: str | None = None  # in words
    archive: str | None = None
    published: str = ""


def pick(values, positions):
    return [values[i] for i in positions]


def split_folds(folder, part, seed):
    X, y = load_image_folder(folder / "captcha_images_v2")
    folds = list(KFold(5, shuffle=True, random_state=seed).split(X))
    train, test = folds[part]
    return pick(X, train), pick(X, test), pick(y, train), pick(y, test)


def split_few(folder, part, seed):
    X, y = load_image_folder(folder / "captcha_images_v2")
    return train_test_split(X, y, train_size=part, test_size=300, random_state=seed)


def split_cs4243(folder, part, seed):
    # 002k-0.png reads 002k.
    X_train, y_train = load_image_folder(folder / "cs4243" / "train", label="^(.+)-")
    X_test, y_test = load_image_folder(folder / "cs4243" / "test", label="^(.+)-")
    return X_train, X_test, y_train, y_test


def split_digits4(folder, part, seed):
    X, y = load_labels_csv(folder / "digits4" / "labels.csv")
    return train_test_split(X, y, test_size=0.2, random_state=seed)


def draw_captchas(n_samples, vocabulary, length, size, seed):
    """Draw by the `captcha` package, whose randomness has no seed of its own."""
    import captcha.image

    draw = random.Random(seed)
    captcha.image.secrets = types.SimpleNamespace(
        randbelow=draw.randrange, choice=draw.choice, randbits=draw.getrandbits
    )
    generator = captcha.image.ImageCaptcha(*size)
    texts = ["".join(draw.choices(vocabulary, k=length)) for _ in range(n_samples)]
    return [
        np.asarray(generator.generate_image(t).convert("RGB")) for t in texts
    ], texts


def split_generated(vocabulary, length, size, n_test):
    def split(folder, part, seed):
        X, y = draw_captchas(n_test + part, vocabulary, length, size, seed)
        return X[n_test:], X[:n_test], y[n_test:], y[:n_test]

    return split


GRID = {
    f"{len(vocabulary)} x {length} {'color' if color else 'gray'} {n}": (
        vocabulary,
        length,
        color,
        n,
    )
    for vocabulary, length, color, n in product(
        (DIGITS, DIGITS + LETTERS, DIGITS + LETTERS + LETTERS.upper()),
        (4, 6, (4, 8)),
        (False, True),
        (500, 2000),
    )
}


def split_grid(folder, part, seed):
    vocabulary, length, color, n_samples = GRID[part]
    X, y = make_captchas(
        n_samples,
        vocabulary=vocabulary,
        length=length,
        color=color,
        random_state=seed,
    )
    return train_test_split(X, y, test_size=0.2, random_state=seed)


ROWS = {
    "captcha_images_v2": Row(
        protocol="5-fold cross-validation, shuffled",
        split=split_folds,
        parts=tuple(range(5)),
        seeds=(0, 1, 2),
        means={None: 0.997},
        lowest=0.99,
        seconds=60,
        archive="captcha_images_v2.zip",
        published="0.95 (arXiv 2402.05417); 0.981, one split, stopped on its test set",
    ),
    "few_labels": Row(
        protocol="captcha_images_v2, that many to train, 300 others to test",
        split=split_few,
        parts=(25, 50, 100, 200, 400),
        seeds=(0, 1, 2, 3, 4),
        means={25: 0.60, 50: 0.85, 100: 0.95, 200: 0.985, 400: 0.995},
        seconds=60,
        archive="captcha_images_v2.zip",
        published="about 0.96 from 500 images of an easier set",
    ),
    "cs4243": Row(
        protocol="its 8,000 to train, its 2,000 to test",
        split=split_cs4243,
        parts=(8000,),
        seeds=(0,),
        means={None: 0.72},
        seconds=3600,
        fold=lambda text: text.translate(LOOK_ALIKES),
        folding="0/o and 1/i/l folded",
        archive="cs4243.zip",
        published="0.634, 0.556, 0.267",
    ),
    "digits4": Row(
        protocol="80/20",
        split=split_digits4,
        parts=(3279,),
        seeds=(0, 1, 2),
        means={None: 0.985},
        archive="digits4.zip",
    ),
    "captcha_62x5": Row(
        protocol="5 of 62 characters, 150x40, that many to train, 2,000 to test",
        split=split_generated(DIGITS + LETTERS + LETTERS.upper(), 5, (150, 40), 2000),
        parts=(1000, 3000, 10_000, 30_000, 100_000),
        seeds=(0,),
        means={10_000: 0.92, 100_000: 0.95},
        fold=str.lower,
        folding="case folded",
        published="0.531 from 100,000 images of a like set",
    ),
    "captcha_36x4": Row(
        protocol="4 of 36 characters, 160x60, that many to train, 5,000 to test",
        split=split_generated(DIGITS + LETTERS.upper(), 4, (160, 60), 5000),
        parts=(30_000,),
        seeds=(0,),
        means={None: 0.99},
        published="0.9957 from 5.76 million images",
    ),
    "make_captchas": Row(
        protocol="characters x length, gray or color, images; 80/20",
        split=split_grid,
        parts=tuple(GRID),
        seeds=(0, 1, 2),
    ),
}


def measure(row, folder, part, seed):
    """Split, fit and read once; return what was measured, and the parameters."""
    X_train, X_test, y_train, y_test = row.split(folder, part, seed)
    recognizer = CaptchaRecognizer(random_state=seed)
    with warnings.catch_warnings():
        # Ctrl-C leaves a recognizer that works, but no measurement.
        warnings.filterwarnings("error", message="Training was interrupted")
        warnings.simplefilter("ignore", ConvergenceWarning)  # it is recorded
        start, start_cpu = time.perf_counter(), time.process_time()
        recognizer.fit(X_train, y_train)
        seconds = time.perf_counter() - start
        cpu_seconds = time.process_time() - start_cpu
    start = time.perf_counter()
    y_pred = recognizer.predict(X_test)
    reading = {"greedy": time.perf_counter() - start}
    lengths = [len(text) for text in y_train]
    recognizer.set_params(decoder="beam")
    exact_match = {}
    for name, length in {
        "beam": None,
        "beam_of_known_length": (min(lengths), max(lengths)),
    }.items():
        start = time.perf_counter()
        read = recognizer.predict(X_test, length=length)
        reading[name] = time.perf_counter() - start
        exact_match[name] = exact_match_score(y_test, read)
    recognizer.set_params(decoder="greedy")
    measured = {
        "part": part,
        "seed": seed,
        "n_train": len(X_train),
        "n_test": len(X_test),
        "exact_match": exact_match_score(y_test, y_pred),
        "character_accuracy": character_accuracy_score(y_test, y_pred),
        "character_error_rate": character_error_rate(y_test, y_pred),
        "mean_edit_distance": mean_edit_distance(y_test, y_pred),
        "epochs": int(recognizer.n_iter_),
        "restarts": int(recognizer.n_restarts_),
        "seconds": round(seconds, 2),
        "cpu_seconds": round(cpu_seconds, 2),
        "converged": bool(recognizer.converged_),
        "exact_match_by_decoder": exact_match,
        "seconds_of_reading": {k: round(v, 2) for k, v in reading.items()},
    }
    if row.fold is not None:
        folded = [[row.fold(text) for text in texts] for texts in (y_test, y_pred)]
        measured["exact_match_folded"] = exact_match_score(*folded)
    parameters = recognizer.get_params()
    del parameters["random_state"]  # the seed
    return measured, parameters


def run_row(name, parts, seeds, data, output):
    """Run the fits of one row, saving after each; return the row's entry."""
    row = ROWS[name]
    entry = {**records.describe_run(__file__), "protocol": row.protocol}
    kept = records.read_kept(output, name, entry, also=("protocol",)).get("fits", [])
    entry["fits"] = [
        fit for fit in kept if fit["part"] not in parts or fit["seed"] not in seeds
    ]
    print(f"{name}: {row.protocol}")
    print(
        "  part                seed  exact match (95 %)    CER     edits   epochs"
        "  seconds"
    )
    with tempfile.TemporaryDirectory() as folder:
        if row.archive:
            records.unpack(data, row.archive, folder)
        for part, seed in product(parts, seeds):
            measured, entry["parameters"] = measure(row, Path(folder), part, seed)
            entry["fits"].append(measured)
            entry["fits"].sort(
                key=lambda fit: (row.parts.index(fit["part"]), fit["seed"])
            )
            records.save_entry(output, name, entry)
            low, high = find_interval([measured])
            folded = measured.get("exact_match_folded")
            print(
                f"  {part!s:18}  {seed:4}  {measured['exact_match']:.4f} "
                f"({low:.3f}-{high:.3f})  {measured['character_error_rate']:.4f}"
                f"  {measured['mean_edit_distance']:6.3f}  {measured['epochs']:6}"
                f"  {measured['seconds']:7.1f}"
                + ("" if measured["converged"] else "  NOT CONVERGED")
                + (f"  {row.folding}: {folded:.4f}" if folded is not None else ""),
                flush=True,
            )
    return entry


def find_interval(fits):
    """Wilson's 95 % interval of the share of texts that all the fits read right.

    Where fits share test images, the interval takes them for different ones.
    """
    n = sum(fit["n_test"] for fit in fits)
    k = round(sum(fit["n_test"] * fit["exact_match"] for fit in fits))
    found = binomtest(k, n).proportion_ci(0.95, method="wilson")
    return float(found.low), float(found.high)


def judge(row, part, fits):
    """Say whether the fits of a part, or of all for None, reach the target."""
    if part not in row.means and (part is not None or row.lowest is None):
        return ""
    exact = [fit["exact_match"] for fit in fits]
    met = all(fit["converged"] for fit in fits)
    met &= part not in row.means or statistics.mean(exact) >= row.means[part]
    if row.lowest is not None:
        met &= min(exact) >= row.lowest
    slow = row.seconds is not None and any(f["seconds"] > row.seconds for f in fits)
    return ("met" if met else "missed") + (f", over {row.seconds} s" if slow else "")


def format_cpu(fits):
    """Return the longest of the fits' times of processors, as far as they are known."""
    seconds = [fit["cpu_seconds"] for fit in fits if "cpu_seconds" in fit]
    return f"{max(seconds):.0f}" if seconds else ""


def format_decoders(column):
    """Return the mean exact match of each decoder and the median times of reading."""
    scores, seconds = column["exact_match_by_decoder"], column["seconds_of_reading"]
    exact = [statistics.mean(column["exact_match"])]
    exact += [statistics.mean(fit[key] for fit in scores) for key in scores[0]]
    times = [statistics.median(fit[key] for fit in seconds) for key in seconds[0]]
    return " | ".join(
        [*(f"{value:.4f}" for value in exact), " / ".join(f"{t:.1f}" for t in times)]
    )


def format_markdown(entries):
    """Return the table, and below it the convergence and what it was measured on."""
    lines = [
        "| data | fits | exact match: mean (95 %) | lowest | CER | edits "
        "| seconds: median / longest | of processors: longest | target | |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    decoding = [
        "| data | greedy | beam search | beam search, known lengths "
        "| seconds of reading, of each |",
        "|---|---|---|---|---|",
    ]
    settings, all_fits = {}, []
    for name in [name for name in ROWS if name in entries]:
        row, entry = ROWS[name], entries[name]
        groups = {None: entry["fits"]}
        if len(row.means) > 1 or None not in row.means:
            groups = {}
            for fit in entry["fits"]:
                part = fit["part"] if row.means else None
                groups.setdefault(part, []).append(fit)
        all_fits += entry["fits"]
        for part, fits in groups.items():
            column = {key: [fit[key] for fit in fits] for key in fits[0]}
            title = f"`{name}`" + ("" if part is None else f", {part:,}")
            decoding.append(f"| {title} | {format_decoders(column)} |")
            low, high = find_interval(fits)
            exact = f"{statistics.mean(column['exact_match']):.4f}"
            if "exact_match_folded" in column:
                folded = statistics.mean(column["exact_match_folded"])
                exact += f"; {folded:.4f} {row.folding}"
            target = "" if part not in row.means else f"≥ {row.means[part]:g}"
            if row.lowest is not None:
                target += f", none under {row.lowest:g}"
            lines.append(
                f"| {title} | {len(fits)} "
                f"| {exact} ({low:.3f} to {high:.3f}) "
                f"| {min(column['exact_match']):.4f} "
                f"| {statistics.mean(column['character_error_rate']):.4f} "
                f"| {statistics.mean(column['mean_edit_distance']):.3f} "
                f"| {statistics.median(column['seconds']):.0f} / "
                f"{max(column['seconds']):.0f} "
                f"| {format_cpu(fits)} "
                f"| {target} | {judge(row, part, fits)} |"
            )
        settings.setdefault(records.describe_setting(entry), []).append(f"`{name}`")
    lines += ["", *decoding]
    converged = sum(fit["converged"] for fit in all_fits)
    lines += ["", f"Of {len(all_fits)} fits {converged} left the plateau.", ""]
    return "\n".join(
        [*lines, *(f"- {', '.join(n)}: {s}." for s, n in settings.items())]
    )


def parse_arguments(argv):
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    records.add_arguments(parser, ROWS, "accuracy.json")
    records.add_data_argument(parser)
    parser.add_argument(
        "--seeds", type=int, nargs="+", help="seeds to run (default: each row's own)"
    )
    parser.add_argument(
        "--parts", nargs="+", help="parts to run, of one row (default: all)"
    )
    arguments = parser.parse_args(argv)
    records.check_arguments(parser, arguments, ROWS)
    if arguments.markdown:
        return arguments
    if arguments.parts:
        if len(arguments.rows) != 1:
            parser.error("--parts needs exactly one row")
        known = {str(part): part for part in ROWS[arguments.rows[0]].parts}
        for part in arguments.parts:
            if part not in known:
                parser.error(f"unknown part {part!r}; choose from {', '.join(known)}")
        arguments.parts = [known[part] for part in arguments.parts]
    archives = {ROWS[name].archive for name in arguments.rows} - {None}
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
        entries[name] = run_row(
            name,
            arguments.parts or ROWS[name].parts,
            arguments.seeds or ROWS[name].seeds,
            arguments.data,
            arguments.output,
        )
    table = format_markdown(entries)
    print("\n" + table)
    return int("| missed" in table or ", over " in table)


if __name__ == "__main__":
    sys.exit(main())
