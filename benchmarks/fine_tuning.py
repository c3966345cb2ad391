"""Measure fine-tuning on images whose labels bring characters that are new.

Three characters of `captcha_images_v2` are set apart. A recognizer learns from images
that show none of them, then learns on from a few images that do. It is compared with
one that learns from those few alone: on other images with the new characters, and on
held-out images with the old ones alone, which it should not forget.
"""

import argparse
import copy
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import records
import torch

from skcaptcha import CaptchaRecognizer
from skcaptcha.datasets import load_image_folder
from skcaptcha.metrics import exact_match_score

ARCHIVE = "captcha_images_v2.zip"
SIZES = (25, 100)
N_TEST = 300
WAYS = {
    "alone": "fitted on the {} new alone",
    "tuned": "fine-tuned on the {} new",
    "frozen": "fine-tuned on the {} new, convolutions frozen",
    "rehearsed": "fine-tuned on the {} new and 100 of the old",
}


def split(paths, texts, seed):
    """Return the new characters, and paths and texts of old and new, train and test."""
    rng = np.random.default_rng(seed)
    characters = sorted(set("".join(texts)))
    new = set(rng.choice(characters, 3, replace=False))
    order = rng.permutation(len(paths))
    with_new = [i for i in order if new & set(texts[i])]
    without = [i for i in order if not new & set(texts[i])]
    parts = {
        "new_train": with_new[N_TEST:],
        "new_test": with_new[:N_TEST],
        "old_test": without[:100],
        "old_train": without[100:],
    }
    return "".join(sorted(new)), {
        name: ([paths[i] for i in part], [texts[i] for i in part])
        for name, part in parts.items()
    }


def run_seed(paths, texts, seed, sizes):
    """Fit and read with one seed; return what was measured."""
    new, parts = split(paths, texts, seed)
    print(f"seed {seed}, new characters {new!r}", flush=True)
    measured = {"seed": seed, "new": new, "n_old": len(parts["old_train"][0])}

    def measure(words, recognizer, X, y):
        start = time.perf_counter()
        recognizer.fit(X, y)
        seconds = time.perf_counter() - start
        scores = {
            part: exact_match_score(parts[part][1], recognizer.predict(parts[part][0]))
            for part in ("new_test", "old_test")
        }
        measured[words] = {**scores, "seconds": round(seconds, 2)}
        print(
            f"  {words:46}  new {scores['new_test']:.3f}"
            f"  old {scores['old_test']:.3f}  {seconds:5.1f} s",
            flush=True,
        )

    before = CaptchaRecognizer(random_state=seed)
    measure("fitted on the old alone", before, *parts["old_train"])
    for size in sizes:
        for way, words in WAYS.items():
            X, y = (values[:size] for values in parts["new_train"])
            recognizer = CaptchaRecognizer(random_state=seed)
            if way != "alone":
                recognizer = copy.deepcopy(before).set_params(warm_start=True)
            if way == "frozen":
                recognizer.set_params(freeze_convolutions=True)
            if way == "rehearsed":
                X, y = X + parts["old_train"][0][:100], y + parts["old_train"][1][:100]
            measure(words.format(size), recognizer, X, y)
    return measured


def format_markdown(entry):
    """Return the table of medians, and below it what it was measured on."""
    lines = [
        "| recognizer | exact match on images with new characters: lowest / median "
        "| on images without: lowest / median | seconds: median |",
        "|---|---|---|---|",
    ]
    for words, first in entry["seeds"][0].items():
        if isinstance(first, dict):
            runs = [seed[words] for seed in entry["seeds"]]
            cells = [
                f"{min(values):.3f} / {statistics.median(values):.3f}"
                for values in (
                    [run[part] for run in runs] for part in ("new_test", "old_test")
                )
            ]
            seconds = statistics.median(run["seconds"] for run in runs)
            lines.append(f"| {words} | {' | '.join(cells)} | {seconds:.0f} |")
    return "\n".join([*lines, "", f"Measured on {records.describe_setting(entry)}."])


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    records.add_data_argument(parser)
    parser.add_argument(
        "--sizes",
        type=int,
        nargs="+",
        default=SIZES,
        help="numbers of images with new characters (default: 25 100)",
    )
    parser.add_argument(
        "--seeds", type=int, nargs="+", default=range(3), help="default: 0 1 2"
    )
    parser.add_argument(
        "--output", type=Path, default=records.RESULTS / "fine_tuning.json"
    )
    parser.add_argument(
        "--threads", type=int, default=2, help="threads of torch (default: 2)"
    )
    arguments = parser.parse_args(argv)
    records.check_archives(parser, arguments.data, [ARCHIVE])
    torch.set_num_threads(arguments.threads)
    entry = {**records.describe_run(__file__), "seeds": []}
    with tempfile.TemporaryDirectory() as folder:
        records.unpack(arguments.data, ARCHIVE, folder)
        paths, texts = load_image_folder(Path(folder) / "captcha_images_v2")
        for seed in arguments.seeds:
            entry["seeds"].append(run_seed(paths, texts, seed, arguments.sizes))
            records.save_entry(arguments.output, "fine_tuning", entry)
    print(format_markdown(entry))
    return 0


if __name__ == "__main__":
    sys.exit(main())
