"""Measure what single ingredients bring, each changed alone against the defaults.

All variants of a seed learn from the same images and read the same others. Where data
can be drawn or has a test set of its own, these are none that `accuracy.py` tests on;
of `digits4`, none of its seed 0. Of `captcha_images_v2` every image is in a test fold.
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

import accuracy
import records
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split

from skcaptcha import CaptchaRecognizer
from skcaptcha.datasets import load_image_folder, make_captchas
from skcaptcha.metrics import character_error_rate, exact_match_score

DEFAULTS = "defaults"
VARIANTS = {  # name -> parameters that are not the default ones
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
PARTNER = (
    "The pretrained weights don't fit a network without an LSTM, so compare 'no LSTM' "
    "with 'no pretrained weights'."
)

# Data sets

OFFSET = 1000  # accuracy.py splits and draws by the seeds alone
CHARACTERS = accuracy.DIGITS + accuracy.LETTERS


@dataclass(frozen=True)
class DataSet:
    """Images, and how they are split."""

    split: Callable  # (folder of the unpacked archive, seed) -> four lists
    words: str
    archive: str | None = None


def split_captcha_images_v2(n_train, n_val):
    def split(folder, seed):
        X, y = load_image_folder(folder / "captcha_images_v2")
        return train_test_split(
            X, y, train_size=n_train, test_size=n_val, random_state=OFFSET + seed
        )

    return split


def split_training_data(split, n_train, n_val):
    """Return a function that splits the training part of a split of `accuracy.py`."""

    def split_again(folder, seed):
        X, _, y, _ = split(folder, None, 0)
        return train_test_split(
            X, y, train_size=n_train, test_size=n_val, random_state=OFFSET + seed
        )

    return split_again


def split_captcha_62x5(folder, seed):
    vocabulary = CHARACTERS + accuracy.LETTERS.upper()
    split = accuracy.split_generated(vocabulary, 5, (150, 40), 500)
    return split(folder, 1000, OFFSET + seed)


def split_make_captchas(folder, seed):
    X, y = make_captchas(
        700, vocabulary=CHARACTERS, length=6, color=True, random_state=OFFSET + seed
    )
    return X[300:], X[:300], y[300:], y[:300]


DATA_SETS = {
    "captcha_images_v2_100": DataSet(
        split_captcha_images_v2(100, 300),
        "100 to train, 300 to validate",
        "captcha_images_v2.zip",
    ),
    "captcha_images_v2_832": DataSet(
        split_captcha_images_v2(832, 208),
        "832 to train, 208 to validate",
        "captcha_images_v2.zip",
    ),
    "digits4_400": DataSet(
        split_training_data(accuracy.split_digits4, 400, 400),
        "400 to train, 400 to validate",
        "digits4.zip",
    ),
    "digits4_2800": DataSet(
        split_training_data(accuracy.split_digits4, 2800, 400),
        "2,800 to train, 400 to validate",
        "digits4.zip",
    ),
    "cs4243_1000": DataSet(
        split_training_data(accuracy.split_cs4243, 1000, 500),
        "1,000 to train, 500 to validate, all from its 8,000 to train",
        "cs4243.zip",
    ),
    "captcha_62x5_1000": DataSet(
        split_captcha_62x5,
        "5 of 62 characters, 150x40, 1,000 to train, 500 to validate",
    ),
    "make_captchas_36x6_500": DataSet(
        split_make_captchas,
        "6 of 36 characters, color, 400 to train, 300 to validate",
    ),
}

# Fits


def measure(parts, variant, seed):
    """Fit one variant and read once; return what was measured."""
    X_train, X_val, y_train, y_val = parts
    recognizer = CaptchaRecognizer(random_state=seed, **VARIANTS[variant])
    with warnings.catch_warnings():
        # Ctrl-C leaves a recognizer that works, but no measurement.
        warnings.filterwarnings("error", message="Training was interrupted")
        warnings.simplefilter("ignore", ConvergenceWarning)  # it is recorded
        start = time.perf_counter()
        recognizer.fit(X_train, y_train)
        seconds = time.perf_counter() - start
    y_pred = recognizer.predict(X_val)
    return {
        "variant": variant,
        "changed": VARIANTS[variant],
        "seed": seed,
        "n_train": len(X_train),
        "n_val": len(X_val),
        "exact_match": exact_match_score(y_val, y_pred),
        "character_error_rate": character_error_rate(y_val, y_pred),
        "epochs": int(recognizer.n_iter_),
        "seconds": round(seconds, 2),
        "converged": bool(recognizer.converged_),
    }


def run_row(name, variants, seeds, data, output):
    """Run the fits of one data set, saving after each; return its entry."""
    data_set = DATA_SETS[name]
    entry = {**records.describe_run(__file__), "split": data_set.words}
    parameters = CaptchaRecognizer().get_params()
    del parameters["random_state"]  # the seed
    kept = records.read_kept(output, name, entry, also=("split",)).get("fits", [])
    entry |= {"parameters": parameters, "fits": kept}
    print(f"{name}: {data_set.words}")
    print(f"  {'variant':30}  seed  exact match     CER  epochs  seconds")
    with tempfile.TemporaryDirectory() as folder:
        if data_set.archive:
            records.unpack(data, data_set.archive, folder)
        for seed in seeds:
            parts = data_set.split(Path(folder), seed)
            for variant in variants:  # in turn, so that all meet the same load
                measured = measure(parts, variant, seed)
                entry["fits"] = replace_fit(entry["fits"], measured)
                records.save_entry(output, name, entry)
                print(
                    f"  {variant:30}  {seed:4}  {measured['exact_match']:11.4f}"
                    f"  {measured['character_error_rate']:.4f}"
                    f"  {measured['epochs']:6}  {measured['seconds']:7.1f}"
                    + ("" if measured["converged"] else "  NOT CONVERGED"),
                    flush=True,
                )
    return entry


def replace_fit(fits, measured):
    """Return the fits with a new one, which takes the place of its like."""

    def find_place(fit):
        return list(VARIANTS).index(fit["variant"]), fit["seed"]

    others = [fit for fit in fits if find_place(fit) != find_place(measured)]
    return sorted([*others, measured], key=find_place)


# Tables


def format_cell(scores, defaults):
    """Return the mean score, and by how many points it is above the defaults.

    Both map seeds to scores. The difference is that of the seeds that both have.
    """
    if not scores:
        return "–"
    cell = f"{statistics.mean(scores.values()):.3f}"
    shared = scores.keys() & defaults.keys()
    if shared:
        points = 100 * statistics.mean(scores[s] - defaults[s] for s in shared)
        cell += f" ({points:+z.1f})"
    return cell


def format_variant(fits, variant):
    """Return the cell of a variant among the fits of a data set."""
    fits_of = [fit for fit in fits if fit["variant"] == variant]
    scores, defaults = (
        {fit["seed"]: fit["exact_match"] for fit in fits if fit["variant"] == name}
        for name in (variant, DEFAULTS)
    )
    cell = format_cell(scores, {} if variant == DEFAULTS else defaults)
    lost = sum(not fit["converged"] for fit in fits_of)
    return cell + (f", {lost} of {len(fits_of)} not converged" if lost else "")


def format_markdown(entries):
    """Return the table of variants, and what it was measured on."""
    rows = {name: entries[name]["fits"] for name in DATA_SETS if name in entries}
    lines = [
        f"| exact match | {' | '.join(f'`{name}`' for name in rows)} |",
        "|---" * (len(rows) + 1) + "|",
    ]
    for variant in VARIANTS:
        cells = [format_variant(fits, variant) for fits in rows.values()]
        if set(cells) != {"–"}:
            lines.append(f"| {variant} | {' | '.join(cells)} |")
    lines += [
        "",
        "Means over the seeds. In brackets: points more than with the defaults, on the "
        f"same images. {PARTNER}",
        "",
    ]
    for name, fits in rows.items():
        n_seeds = len({fit["seed"] for fit in fits})
        lines.append(
            f"- `{name}`: {entries[name]['split']}; {n_seeds} "
            f"seed{'' if n_seeds == 1 else 's'}; "
            f"{records.describe_setting(entries[name])}."
        )
    return "\n".join(lines)


def parse_arguments(argv):
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    records.add_arguments(parser, DATA_SETS, "ablation.json")
    parser.epilog = PARTNER  # there are no targets to miss
    records.add_data_argument(parser)
    parser.add_argument(
        "--variants",
        nargs="+",
        metavar="VARIANT",
        choices=VARIANTS,
        default=list(VARIANTS),
        help=f"variants to run: {', '.join(map(repr, VARIANTS))} (default: all). Fits "
        "of other variants and seeds stay in the file if the same commit, without "
        "changes, measured them on this machine; else they go",
    )
    parser.add_argument(
        "--seeds", type=int, nargs="+", default=[0, 1], help="default: 0 1"
    )
    arguments = parser.parse_args(argv)
    records.check_arguments(parser, arguments, DATA_SETS)
    if not arguments.markdown:
        archives = {DATA_SETS[name].archive for name in arguments.rows} - {None}
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
            name, arguments.variants, arguments.seeds, arguments.data, arguments.output
        )
    print("\n" + format_markdown(entries))
    return 0


if __name__ == "__main__":
    sys.exit(main())
