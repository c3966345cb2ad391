"""Measure preprocessing: how fast libraries do it, and what it does for the reading.

The part "speed" compares OpenCV, which `skcaptcha.preprocessing` calls, with
scikit-image and SciPy on gray images of 50 by 200 pixels. The part "accuracy" trains
the recognizer on real images that went through all steps, through each alone, and
through none.
"""

import argparse
import importlib
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import records
import torch
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline

from skcaptcha import CaptchaRecognizer
from skcaptcha.datasets import load_image_folder, load_labels_csv, make_captchas
from skcaptcha.metrics import character_accuracy_score, exact_match_score
from skcaptcha.preprocessing import (
    CLAHE,
    AdaptiveThreshold,
    ImageResizer,
    MedianFilter,
    MorphologicalOpening,
    adaptive_threshold,
    equalize_histogram,
    median_filter,
    morphological_opening,
)

# Speed

SKCAPTCHA, OPENCV = "skcaptcha", "OpenCV"
LIBRARIES = {  # side -> module and what to install
    SKCAPTCHA: ("cv2", "opencv-python-headless"),
    OPENCV: ("cv2", "opencv-python-headless"),
    "scikit-image": ("skimage", "scikit-image"),
    "SciPy": ("scipy", "scipy"),
}
OPERATIONS = {
    "median": "median of 3 by 3",
    "clahe": "CLAHE, limit 2, 8 by 8 tiles",
    "threshold": "adaptive threshold, mean of 11 by 11",
    "opening": "opening of dark strokes by 2 by 2",
}


def list_skcaptcha():
    return {
        "median": median_filter,
        "clahe": equalize_histogram,
        "threshold": adaptive_threshold,
        "opening": morphological_opening,
    }


def list_opencv():
    import cv2

    cv2.setNumThreads(1)
    kernel = np.ones((2, 2), dtype=np.uint8)
    equalize = cv2.createCLAHE(2.0, (8, 8)).apply

    def threshold(image):
        return cv2.adaptiveThreshold(
            image, 255, cv2.ADAPTIVE_THRESH_MEAN_C, cv2.THRESH_BINARY, 11, 10
        )

    return {
        "median": lambda image: cv2.medianBlur(image, 3),
        "clahe": equalize,
        "threshold": threshold,
        "opening": lambda image: cv2.erode(
            cv2.dilate(image, kernel, anchor=(1, 1)), kernel, anchor=(0, 0)
        ),
    }


def list_scikit_image():
    from skimage import exposure, filters, morphology

    square, kernel = (np.ones((n, n), dtype=np.uint8) for n in (3, 2))

    def equalize(image):
        # Its limit is a share of the pixels of a tile, not a multiple of the mean bin;
        # and it stretches the levels to the whole range first.
        out = exposure.equalize_adapthist(image, (7, 25), clip_limit=2 / 256)
        return np.rint(255 * out).astype(np.uint8)

    def threshold(image):
        mean = filters.threshold_local(image, 11, "mean", offset=10, mode="nearest")
        return np.where(image > mean, np.uint8(255), np.uint8(0))

    return {
        "median": lambda image: filters.median(image, square, mode="nearest"),
        "clahe": equalize,
        "threshold": threshold,
        "opening": lambda image: morphology.closing(image, kernel),
    }


def list_scipy():
    from scipy import ndimage

    def threshold(image):
        mean = ndimage.uniform_filter(image, 11, output=np.float32, mode="nearest")
        return np.where(image > mean - 10, np.uint8(255), np.uint8(0))

    return {  # it has no CLAHE
        "median": lambda image: ndimage.median_filter(image, 3, mode="nearest"),
        "threshold": threshold,
        "opening": lambda image: ndimage.grey_closing(image, (2, 2)),
    }


SIDES = {
    SKCAPTCHA: list_skcaptcha,
    OPENCV: list_opencv,
    "scikit-image": list_scikit_image,
    "SciPy": list_scipy,
}


def find_sides():
    """Return the functions of each side that is installed, and the versions."""
    sides, versions = {}, {}
    for side, (module, package) in LIBRARIES.items():
        try:
            versions[package] = importlib.import_module(module).__version__
        except ImportError:
            print(f"{side} is left out: pip install {package}")
        else:
            sides[side] = SIDES[side]()
    return sides, versions


def measure_speed(n_images, n_rounds, seed):
    """Time each operation of each side in turn; return the entry of the file."""
    sides, versions = find_sides()
    images, _ = make_captchas(n_images, size=(50, 200), random_state=seed)
    entry = records.describe_run(__file__)
    entry["versions"] |= versions
    entry |= {"n_images": n_images, "n_rounds": n_rounds, "seed": seed}
    entry["operations"] = {}
    for operation in OPERATIONS:
        able = {s: f[operation] for s, f in sides.items() if operation in f}
        outputs = {side: [f(image) for image in images] for side, f in able.items()}
        micros = {side: [] for side in able}
        for _ in range(n_rounds):
            for side, function in able.items():
                start = time.perf_counter()
                for image in images:
                    function(image)
                seconds = time.perf_counter() - start
                micros[side].append(1e6 * seconds / n_images)
        entry["operations"][operation] = {
            side: {
                "microseconds": [round(value, 2) for value in micros[side]],
                "same_pixels": compare(outputs[side], outputs.get(OPENCV)),
            }
            for side in able
        }
    return entry


def compare(outputs, others):
    """Return the share of pixels, edges apart, that are the same; None without others.

    Libraries differ in what they take to be beyond the edges.
    """
    if others is None:
        return None
    inside = (slice(6, -6), slice(6, -6))
    same = [
        np.mean(a[inside] == b[inside]) for a, b in zip(outputs, others, strict=True)
    ]
    return round(float(np.mean(same)), 4)


def format_speed(entry):
    """Return the table of medians and ratios, and below it what they hold for."""
    sides = [s for s in LIBRARIES if any(s in o for o in entry["operations"].values())]
    lines = [
        f"| microseconds an image | {' | '.join(sides)} |",
        "|---" * (len(sides) + 1) + "|",
    ]
    for operation, found in entry["operations"].items():
        medians = {s: statistics.median(f["microseconds"]) for s, f in found.items()}
        cells = []
        for side in sides:
            if side not in found:
                cells.append("–")
                continue
            cell = f"{medians[side]:.0f}"
            if OPENCV in medians and side != OPENCV:
                same = found[side]["same_pixels"]
                ratio = medians[side] / medians[OPENCV]
                cell += f" ({ratio:.1f} times; {same:.1%} same)"
            cells.append(cell)
        lines.append(f"| {OPERATIONS[operation]} | {' | '.join(cells)} |")
    versions = entry["versions"]
    packages = dict.fromkeys(package for _, package in LIBRARIES.values())
    used = ", ".join(f"{p} {versions[p]}" for p in packages if p in versions)
    lines += [
        "",
        f"Medians of {entry['n_rounds']} rounds over {entry['n_images']} gray images "
        f"of 50 by 200 pixels, the sides in turn, OpenCV on one thread ({used}). In "
        "brackets: times of OpenCV's, and the share of pixels that come out the same.",
        f"Measured on {records.describe_setting(entry)}.",
    ]
    return "\n".join(lines)


# Accuracy

STEPS = {
    "median": MedianFilter(),
    "clahe": CLAHE(),
    "threshold": AdaptiveThreshold(),
    "opening": MorphologicalOpening(),
    "resize": ImageResizer(height=50, width=495),
}
PIPELINES = {"none": [], "all": list(STEPS), **{name: [name] for name in STEPS}}


@dataclass(frozen=True)
class DataSet:
    """Real images, and how they are split."""

    split: Callable  # (folder of the unpacked archive, seed) -> four lists
    archive: str
    words: str


def split_captcha_images_v2(folder, seed):
    X, y = load_image_folder(folder / "captcha_images_v2")
    return train_test_split(X, y, train_size=300, test_size=300, random_state=seed)


def split_digits4(folder, seed):
    X, y = load_labels_csv(folder / "digits4" / "labels.csv")
    return train_test_split(X, y, train_size=400, test_size=400, random_state=seed)


def split_cs4243(folder, seed):
    rng = np.random.default_rng(seed)
    parts = []
    for part, size in (("train", 1000), ("test", 500)):
        # 002k-0.png reads 002k.
        X, y = load_image_folder(folder / "cs4243" / part, label="^(.+)-")
        picked = rng.choice(len(X), size, replace=False)
        parts.append(([X[i] for i in picked], [y[i] for i in picked]))
    (X_train, y_train), (X_test, y_test) = parts
    return X_train, X_test, y_train, y_test


DATA_SETS = {
    "captcha_images_v2": DataSet(
        split_captcha_images_v2, "captcha_images_v2.zip", "300 to train, 300 to test"
    ),
    "digits4": DataSet(split_digits4, "digits4.zip", "400 to train, 400 to test"),
    "cs4243": DataSet(split_cs4243, "cs4243.zip", "1,000 to train, 500 to test"),
}


def make_pipeline(name, recognizer):
    steps = [(step, clone(STEPS[step])) for step in PIPELINES[name]]
    return Pipeline([*steps, ("recognizer", recognizer)])


def measure_seed(name, parts, seed, params):
    """Fit and read with one pipeline and seed; return what was measured."""
    X_train, X_test, y_train, y_test = parts
    pipeline = make_pipeline(name, CaptchaRecognizer(random_state=seed, **params))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # it is recorded
        start = time.perf_counter()
        pipeline.fit(X_train, y_train)
        seconds = time.perf_counter() - start
    y_pred = pipeline.predict(X_test)
    return {
        "seed": seed,
        "n_train": len(X_train),
        "n_test": len(X_test),
        "exact_match": exact_match_score(y_test, y_pred),
        "character_accuracy": character_accuracy_score(y_test, y_pred),
        "epochs": int(pipeline[-1].n_iter_),
        "seconds": round(seconds, 2),
        "converged": bool(pipeline[-1].converged_),
    }


def measure_accuracy(name, pipelines, seeds, data, output, *, quick):
    """Run the pipelines on one data set, saving after each fit; return the entry."""
    data_set = DATA_SETS[name]
    entry = {**records.describe_run(__file__), "split": data_set.words}
    entry["pipelines"] = {pipeline: [] for pipeline in pipelines}
    print(f"{name}: {data_set.words}")
    print("  pipeline   seed  exact match  char. accuracy  epochs  seconds  converged")
    with tempfile.TemporaryDirectory() as folder:
        records.unpack(data, data_set.archive, folder)
        for seed in seeds:
            parts = data_set.split(Path(folder), seed)
            if quick:
                parts = [values[:40] for values in parts]
            for pipeline in pipelines:  # in turn, so that all meet the same load
                measured = measure_seed(
                    pipeline, parts, seed, {"max_iter": 1} if quick else {}
                )
                entry["pipelines"][pipeline].append(measured)
                records.save_entry(output, f"accuracy: {name}", entry)
                print(
                    f"  {pipeline:9}  {seed:4}  {measured['exact_match']:11.4f}"
                    f"  {measured['character_accuracy']:14.4f}"
                    f"  {measured['epochs']:6}  {measured['seconds']:7.1f}"
                    f"  {'yes' if measured['converged'] else 'NO':>9}",
                    flush=True,
                )
    return entry


def format_accuracy(entries):
    """Return the table of medians over the seeds, and what it was measured on."""
    found = [name for name in DATA_SETS if f"accuracy: {name}" in entries]
    rows = [entries[f"accuracy: {name}"]["pipelines"] for name in found]
    lines = [
        f"| exact match: median (lowest) | {' | '.join(f'`{n}`' for n in found)} |",
        "|---" * (len(found) + 1) + "|",
    ]
    for pipeline in PIPELINES:
        cells = []
        for row in rows:
            exact = [one["exact_match"] for one in row.get(pipeline, ())]
            cells.append(
                f"{statistics.median(exact):.3f} ({min(exact):.3f})" if exact else "–"
            )
        lines.append(f"| {describe_pipeline(pipeline)} | {' | '.join(cells)} |")
    lines.append("")
    for name, row in zip(found, rows, strict=True):
        entry = entries[f"accuracy: {name}"]
        n_seeds = max(len(measured) for measured in row.values())
        lines.append(
            f"- `{name}`: {entry['split']}, {n_seeds} seeds; "
            f"{records.describe_setting(entry)}."
        )
    return "\n".join(lines)


def describe_pipeline(name):
    if name == "none":
        return "no preprocessing"
    if name == "all":
        return ", ".join(STEPS)
    return f"{name} alone"


def parse_arguments(argv):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--part",
        choices=("speed", "accuracy"),
        default="speed",
        help="what to measure (default: speed)",
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="see in a moment that all runs: few images, rounds and epochs, one seed; "
        "results go to benchmarks/results/scratch",
    )
    parser.add_argument(
        "--markdown",
        action="store_true",
        help="measure nothing; print the results in the file as Markdown tables",
    )
    parser.add_argument(
        "--output",
        type=Path,
        help="file of the results; what is not measured keeps its own (default: "
        "benchmarks/results/preprocessing.json)",
    )
    speed = parser.add_argument_group("speed")
    speed.add_argument("--n-images", type=int, default=200, help="default: 200")
    speed.add_argument("--n-rounds", type=int, default=9, help="default: 9")
    accuracy = parser.add_argument_group("accuracy")
    accuracy.add_argument(
        "--data-sets",
        nargs="+",
        choices=DATA_SETS,
        default=list(DATA_SETS),
        help="default: all",
    )
    accuracy.add_argument(
        "--pipelines",
        nargs="+",
        choices=PIPELINES,
        default=list(PIPELINES),
        help="default: all",
    )
    accuracy.add_argument(
        "--seeds", type=int, nargs="+", default=[0, 1, 2], help="default: 0 1 2"
    )
    accuracy.add_argument(
        "--threads", type=int, default=2, help="threads of torch (default: 2)"
    )
    records.add_data_argument(accuracy)
    arguments = parser.parse_args(argv)
    for name in ("n_images", "n_rounds", "threads"):
        if getattr(arguments, name) < 1:
            parser.error(f"--{name.replace('_', '-')} must be at least 1")
    if arguments.output is None:
        folder = records.RESULTS / "scratch" if arguments.quick else records.RESULTS
        arguments.output = folder / "preprocessing.json"
    if arguments.quick:
        arguments.n_images, arguments.n_rounds, arguments.seeds = 10, 3, [0]
    if arguments.markdown:
        if not arguments.output.exists():
            parser.error(f"--output {arguments.output} doesn't exist; measure first")
    elif arguments.part == "accuracy":
        archives = [DATA_SETS[name].archive for name in arguments.data_sets]
        records.check_archives(parser, arguments.data, archives)
    return arguments


def main(argv=None):
    arguments = parse_arguments(argv)
    output = arguments.output
    if arguments.markdown:
        entries = records.read_entries(output)
        tables = [format_speed(entries["speed"])] if "speed" in entries else []
        if any(f"accuracy: {name}" in entries for name in DATA_SETS):
            tables.append(format_accuracy(entries))
        print("\n\n".join(tables))
        return 0
    torch.set_num_threads(arguments.threads)
    if arguments.part == "speed":
        entry = measure_speed(arguments.n_images, arguments.n_rounds, seed=0)
        records.save_entry(output, "speed", entry)
        print(format_speed(entry))
        return 0
    for name in arguments.data_sets:
        measure_accuracy(
            name,
            arguments.pipelines,
            arguments.seeds,
            arguments.data,
            output,
            quick=arguments.quick,
        )
    print("\n" + format_accuracy(records.read_entries(output)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
