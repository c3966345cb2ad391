"""What does each ingredient bring, and what do preprocessing steps?

One thing at a time is changed against the defaults: a parameter, the form of the
network, how often an image is read, or what an image goes through before it reaches the
recognizer. All variants of a seed learn from the same images and read the same others.
Except for such steps, where data can be drawn or has a test set of its own, these are
none that `accuracy.py` tests on; of sets that it splits, none of its seed 0. Of
`captcha_images_v2` every image is in a test fold.
"""

import functools
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import accuracy
import numpy as np
import runner
from sides.common import clock
from sklearn.base import clone
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline

from skcaptcha.datasets import load_image_folder, load_labels_csv, make_captchas
from skcaptcha.metrics import character_error_rate, exact_match_score
from skcaptcha.preprocessing import (
    CLAHE,
    AdaptiveThreshold,
    ImageResizer,
    MedianFilter,
    MorphologicalOpening,
)

DEFAULTS = "defaults"
PARAMETERS = {  # name -> parameters that are not the default ones
    DEFAULTS: {},
    "no pretrained weights": {"pretrained": False},
    "pretrained convolutions frozen": {"freeze_convolutions": True},
    "no augmentation": {"augmentation": 0.0},
    "half the augmentation": {"augmentation": 0.5},
    "half as much again": {"augmentation": 1.5},
    "no dropout": {"dropout": 0.0},
    "no LSTM": {"lstm_layers": 0},
    "batches of 32": {"batch_size": 32},  # of as many updates, so of more epochs
    "a third of the learning rate": {"learning_rate_init": 1e-3},
    "in gray": {"color_mode": "grayscale"},
}
NETWORKS = {  # the same; by default it pools
    DEFAULTS: {},
    "large": {"network_size": "large"},
    "strides": {"downsampling": "stride"},
    "pooling, 40 rows": {"downsampling": "pooling", "image_height": 40},
    "pooling, 48 rows": {"downsampling": "pooling", "image_height": 48},
    "pooling, 56 rows": {"downsampling": "pooling", "image_height": 56},
    "strides, 48 rows": {"downsampling": "stride", "image_height": 48},
    "strides, 56 rows": {"downsampling": "stride", "image_height": 56},
}
WIDTHS = {DEFAULTS: {}, "each image read once": {"multi_scale": False}}
STEPS = {
    "median": MedianFilter(),
    "clahe": CLAHE(),
    "threshold": AdaptiveThreshold(),
    "opening": MorphologicalOpening(),
    "resize": ImageResizer(height=50, width=495),
}
PIPELINES = {  # name -> steps before the recognizer
    DEFAULTS: (),
    "all steps": tuple(STEPS),
    **{f"{name} alone": (name,) for name in STEPS},
}
PARTNER = (
    "The pretrained weights don't fit a network without an LSTM, so compare 'no LSTM' "
    "with 'no pretrained weights'."
)

# ---- data sets: (folder of the unpacked archive, seed) -> four lists --------------

OFFSET = 1000  # accuracy.py splits and draws by the seeds alone


def from_images_v2(n_train, n_val, offset=OFFSET):
    """Return a function that splits `captcha_images_v2`."""

    def split(folder, seed):
        X, y = load_image_folder(folder / "captcha_images_v2")
        return train_test_split(
            X, y, train_size=n_train, test_size=n_val, random_state=offset + seed
        )

    return split


def from_training_data(split, n_train, n_val):
    """Return a function that splits the training part of a split of `accuracy.py`."""

    def split_again(folder, seed):
        X, _, y, _ = split(folder, None, 0)
        return train_test_split(
            X, y, train_size=n_train, test_size=n_val, random_state=OFFSET + seed
        )

    return split_again


def from_table(name, n_train, n_val):
    """Return a function that splits the training part of a set with a table."""
    split = partial(accuracy.split_table, name=name)
    return from_training_data(split, n_train, n_val)


def split_captcha_62x5(folder, seed, n_train=1000):
    return accuracy.split_drawn(
        folder,
        n_train,
        OFFSET + seed,
        vocabulary=accuracy.CHARACTERS,
        length=5,
        size=(150, 40),
        n_test=500,
    )


def split_make_captchas(folder, seed):
    characters = accuracy.DIGITS + accuracy.LETTERS
    X, y = make_captchas(
        700, vocabulary=characters, length=6, color=True, random_state=OFFSET + seed
    )
    return X[300:], X[:300], y[300:], y[:300]


def split_digits4(folder, seed):
    X, y = load_labels_csv(folder / "digits4" / "labels.csv")
    return train_test_split(X, y, train_size=400, test_size=400, random_state=seed)


def draw_cs4243(folder, seed):
    """Draw 1,000 from the training part of `cs4243`, and 500 from its test part."""
    rng = np.random.default_rng(seed)
    X_train, X_test, y_train, y_test = accuracy.split_cs4243(folder, None, seed)
    train, test = (
        rng.choice(len(X), size, replace=False)
        for X, size in ((X_train, 1000), (X_test, 500))
    )
    parts = (X_train, train), (X_test, test), (y_train, train), (y_test, test)
    return [accuracy.pick(values, positions) for values, positions in parts]


# ---- rows ------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class DataSet(runner.Row):
    """Images, how they are split, and what is changed about the defaults."""

    split: Callable
    seeds: tuple = (0, 1)
    factors: dict = field(default_factory=lambda: {"variant": tuple(PARAMETERS)})

    def prepare(self, arguments, folder):
        """Return a function that splits for a seed, or a list of what it returned."""
        return functools.lru_cache(maxsize=1)(partial(self.split, folder))

    def list_runs(self, arguments, split):
        chosen = arguments.variants or self.factors["variant"]
        runs = super().list_runs(arguments, split)
        return [run for run in runs if run["variant"] in chosen]

    def measure(self, run, arguments, split):
        X_train, X_val, y_train, y_val = runner.shorten(arguments, *split(run["seed"]))
        params = {**PARAMETERS, **NETWORKS}.get(run["variant"], {})
        steps = PIPELINES.get(run["variant"], ())
        recognizer = runner.make_recognizer(
            arguments, random_state=run["seed"], **params
        )
        pipeline = Pipeline(
            [*((name, clone(STEPS[name])) for name in steps), ("reader", recognizer)]
        )
        seconds, _ = clock(pipeline.fit, X_train, y_train)
        y_pred = pipeline.predict(X_val)
        return {
            "n_train": len(X_train),
            "n_val": len(X_val),
            "exact_match": exact_match_score(y_val, y_pred),
            "character_error_rate": character_error_rate(y_val, y_pred),
            "epochs": int(recognizer.n_iter_),
            "seconds": round(seconds, 2),
            "converged": bool(recognizer.converged_),
        }


class Widths(DataSet):
    """What a recognizer reads that was fitted once, and how long it takes."""

    def prepare(self, arguments, folder):
        split = super().prepare(arguments, folder)

        @functools.lru_cache(maxsize=1)
        def fit(seed):
            X_train, X_val, y_train, y_val = runner.shorten(arguments, *split(seed))
            recognizer = runner.make_recognizer(arguments, random_state=seed)
            return recognizer.fit(X_train, y_train), len(X_train), X_val, y_val

        return fit

    def measure(self, run, arguments, fit):
        recognizer, n_train, X_val, y_val = fit(run["seed"])
        recognizer.set_params(**{"multi_scale": True, **WIDTHS[run["variant"]]})
        recognizer.predict(X_val[:40])
        start = time.process_time()
        y_pred = recognizer.predict(X_val)
        seconds = time.process_time() - start
        n_frames = [len(frames) for _, frames in recognizer.iter_frames(X_val)]
        return {
            "n_train": n_train,
            "n_val": len(X_val),
            "exact_match": exact_match_score(y_val, y_pred),
            "character_error_rate": character_error_rate(y_val, y_pred),
            "share_read_again": float(np.mean(np.greater(n_frames, 1))),
            "milliseconds": round(1000 * seconds / len(X_val), 3),  # of the processor
            "converged": bool(recognizer.converged_),
        }


# Of the sets whose training part is split again: words, split, archive.
TEN_SETS = {
    name: (
        f"{n_train} to train, {n_val} to validate, of its training part",
        from_table(name, n_train, n_val),
        f"{name}.zip",
    )
    for name, n_train, n_val in (
        ("digits4", 100, 400),
        ("swust4_2019b", 200, 400),
        ("kaptcha_pku", 100, 400),
        ("upper4_panther", 150, 300),
        ("sysu4_mixed", 200, 400),
        ("weixin4_3d", 400, 300),
        ("fssp_cyrillic", 100, 300),
    )
} | {
    "captcha_images_v2": (
        "50 to train, 400 to validate",
        from_images_v2(50, 400),
        "captcha_images_v2.zip",
    ),
    "cs4243": (
        "500 to train, 500 to validate, all from its 8,000 to train",
        from_training_data(accuracy.split_cs4243, 500, 500),
        "cs4243.zip",
    ),
    "captcha_62x5": (
        "5 of 62 characters, 150x40, 3,000 to train, 500 to validate",
        partial(split_captcha_62x5, n_train=3000),
        None,
    ),
}
ROWS = {
    "captcha_images_v2_100": DataSet(
        words="100 to train, 300 to validate",
        split=from_images_v2(100, 300),
        archive="captcha_images_v2.zip",
    ),
    "captcha_images_v2_832": DataSet(
        words="832 to train, 208 to validate",
        split=from_images_v2(832, 208),
        archive="captcha_images_v2.zip",
    ),
    "digits4_400": DataSet(
        words="400 to train, 400 to validate",
        split=from_training_data(accuracy.split_digits4, 400, 400),
        archive="digits4.zip",
    ),
    "digits4_2800": DataSet(
        words="2,800 to train, 400 to validate",
        split=from_training_data(accuracy.split_digits4, 2800, 400),
        archive="digits4.zip",
    ),
    "cs4243_1000": DataSet(
        words="1,000 to train, 500 to validate, all from its 8,000 to train",
        split=from_training_data(accuracy.split_cs4243, 1000, 500),
        archive="cs4243.zip",
    ),
    "captcha_62x5_1000": DataSet(
        words="5 of 62 characters, 150x40, 1,000 to train, 500 to validate",
        split=split_captcha_62x5,
    ),
    "make_captchas_36x6_500": DataSet(
        words="6 of 36 characters, color, 400 to train, 300 to validate",
        split=split_make_captchas,
    ),
    **{
        f"{what}_{name}": row(
            words=words, split=split, archive=archive, factors={"variant": variants}
        )
        for what, row, variants in (
            ("network", DataSet, tuple(NETWORKS)),
            ("widths", Widths, tuple(WIDTHS)),
        )
        for name, (words, split, archive) in TEN_SETS.items()
    },
    "steps_captcha_images_v2": DataSet(
        words="300 to train, 300 to test",
        split=from_images_v2(300, 300, offset=0),
        archive="captcha_images_v2.zip",
        factors={"variant": tuple(PIPELINES)},
    ),
    "steps_digits4": DataSet(
        words="400 to train, 400 to test",
        split=split_digits4,
        archive="digits4.zip",
        factors={"variant": tuple(PIPELINES)},
    ),
    "steps_cs4243": DataSet(
        words="1,000 to train, 500 to test",
        split=draw_cs4243,
        archive="cs4243.zip",
        factors={"variant": tuple(PIPELINES)},
    ),
}


# ---- Markdown --------------------------------------------------------------------


def format_variant(runs, variant):
    """Return the mean score of a variant, and by how many points it beats the defaults.

    The difference is that of the seeds that both have.
    """
    found = [run for run in runs if run["variant"] == variant]
    scores, defaults = (
        {run["seed"]: run["exact_match"] for run in runs if run["variant"] == name}
        for name in (variant, DEFAULTS)
    )
    if not found:
        return "–"
    cell = f"{statistics.mean(scores.values()):.3f}"
    shared = scores.keys() & defaults.keys()
    if shared and variant != DEFAULTS:
        points = 100 * statistics.mean(scores[s] - defaults[s] for s in shared)
        cell += f" ({points:+z.1f})"
    n_lost = sum(not run["converged"] for run in found)
    return cell + (f", {n_lost} of {len(found)} not converged" if n_lost else "")


def format_markdown(entries):
    """Return tables by what is changed, and what they were measured on."""
    lines = []
    for variants in (PARAMETERS, NETWORKS, WIDTHS, PIPELINES):
        factors = {"variant": tuple(variants)}
        names = [name for name in entries if ROWS[name].factors == factors]
        table = []
        for variant in variants:
            cells = [format_variant(entries[name]["runs"], variant) for name in names]
            if set(cells) - {"–"}:
                table.append([variant, *cells])
        if table:
            header = ["exact match", *(f"`{name}`" for name in names)]
            lines += [*runner.format_table(header, table), ""]
    for name, entry in entries.items():
        n_seeds = len({run["seed"] for run in entry["runs"]})
        lines.append(f"- `{name}`: {entry['words']}; seeds: {n_seeds}.")
    return [
        *lines,
        "",
        "Means over the seeds. In brackets: points more than with the defaults, on the "
        f"same images. {PARTNER}",
        *runner.list_settings(entries),
    ]


def add_options(parser):
    names = list(dict.fromkeys([*PARAMETERS, *NETWORKS, *WIDTHS, *PIPELINES]))
    parser.epilog = PARTNER  # there are no targets to miss
    parser.add_argument(
        "--variants",
        nargs="+",
        metavar="VARIANT",
        choices=names,
        help=f"variants to run: {', '.join(map(repr, names))} (default: all)",
    )


main = partial(runner.run_benchmark, sys.modules[__name__])

if __name__ == "__main__":
    sys.exit(main())
