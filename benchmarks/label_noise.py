"""Train on labels of which some are wrong, and find the wrong ones.

Of `captcha_images_v2` a fifth is held out with its labels as they are. Of the other
labels a tenth, drawn by the seed, is corrupted: every second one has one character
replaced, the rest are the labels of other images.
"""

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import records
import torch
from sklearn.model_selection import train_test_split

from skcaptcha import CaptchaRecognizer
from skcaptcha.datasets import load_image_folder
from skcaptcha.inspection import find_label_issues
from skcaptcha.metrics import exact_match_score

ARCHIVE = "captcha_images_v2.zip"
TARGET = 0.95


def corrupt(texts, share, seed):
    """Return the texts with some of them wrong, and the sorted positions of these."""
    rng = np.random.default_rng(seed)
    characters = sorted(set("".join(texts)))
    wrong = rng.choice(len(texts), round(share * len(texts)), replace=False)
    corrupted = list(texts)
    for number, i in enumerate(wrong):
        while corrupted[i] == texts[i]:
            if number % 2:
                corrupted[i] = texts[rng.integers(len(texts))]
            else:
                k = rng.integers(len(texts[i]))
                other = characters[rng.integers(len(characters))]
                corrupted[i] = texts[i][:k] + other + texts[i][k + 1 :]
    return corrupted, sorted(wrong.tolist())


def run_seed(paths, texts, share, seed, cv):
    """Train on corrupted labels and rank them; return what was measured."""
    X, X_test, y, y_test = train_test_split(
        paths, texts, test_size=0.2, random_state=seed
    )
    corrupted, wrong = corrupt(y, share, seed)
    recognizer = CaptchaRecognizer(random_state=seed)
    start = time.perf_counter()
    recognizer.fit(X, corrupted)
    measured = {
        "seed": seed,
        "n_train": len(X),
        "n_wrong": len(wrong),
        "seconds": round(time.perf_counter() - start, 2),
        "exact_match": exact_match_score(y_test, recognizer.predict(X_test)),
    }
    found = find_label_issues(recognizer, X, corrupted, cv=cv)
    for name, k in (("half", len(wrong) // 2), ("all", len(wrong))):
        hits = len(set(found.ranking[:k].tolist()) & set(wrong))
        measured[f"precision_at_{name}"] = hits / k
    flagged = np.flatnonzero(found.is_issue)
    measured["n_flagged"] = len(flagged)
    measured["n_flagged_wrong"] = len(set(flagged.tolist()) & set(wrong))
    print(
        f"  seed {seed}: exact match on clean labels {measured['exact_match']:.4f}; "
        f"precision at {len(wrong) // 2} {measured['precision_at_half']:.3f}, at "
        f"{len(wrong)} {measured['precision_at_all']:.3f}; {len(flagged)} flagged, "
        f"{measured['n_flagged_wrong']} of {len(wrong)} wrong ones among them",
        flush=True,
    )
    return measured


def format_markdown(entry):
    """Return the table, and below it what it was measured on."""
    lines = [
        "| seed | exact match on clean labels | precision at half the number of wrong "
        "labels | at their number | flagged | wrong ones among them |",
        "|---|---|---|---|---|---|",
    ]
    for fit in entry["fits"]:
        lines.append(
            f"| {fit['seed']} | {fit['exact_match']:.4f} | "
            f"{fit['precision_at_half']:.3f} | {fit['precision_at_all']:.3f} | "
            f"{fit['n_flagged']} | {fit['n_flagged_wrong']} of {fit['n_wrong']} |"
        )
    lowest = min(fit["exact_match"] for fit in entry["fits"])
    median = statistics.median(fit["exact_match"] for fit in entry["fits"])
    return "\n".join(
        [
            *lines,
            "",
            f"{entry['share']:.0%} of the labels are wrong. Exact match: lowest "
            f"{lowest:.4f}, median {median:.4f}; target: at least {TARGET:g}, "
            f"{'met' if lowest >= TARGET else 'missed'}.",
            "",
            f"Measured on {records.describe_setting(entry)}.",
        ]
    )


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    records.add_data_argument(parser)
    parser.add_argument("--share", type=float, default=0.1, help="of wrong labels")
    parser.add_argument("--cv", type=int, default=5, help="folds (default: 5)")
    parser.add_argument(
        "--seeds", type=int, nargs="+", default=range(3), help="default: 0 1 2"
    )
    parser.add_argument(
        "--output", type=Path, default=records.RESULTS / "label_noise.json"
    )
    parser.add_argument(
        "--threads", type=int, default=2, help="threads of torch (default: 2)"
    )
    arguments = parser.parse_args(argv)
    records.check_archives(parser, arguments.data, [ARCHIVE])
    torch.set_num_threads(arguments.threads)
    entry = {**records.describe_run(__file__), "share": arguments.share, "fits": []}
    with tempfile.TemporaryDirectory() as folder:
        records.unpack(arguments.data, ARCHIVE, folder)
        paths, texts = load_image_folder(Path(folder) / "captcha_images_v2")
        for seed in arguments.seeds:
            entry["fits"].append(
                run_seed(paths, texts, arguments.share, seed, arguments.cv)
            )
            records.save_entry(arguments.output, "label_noise", entry)
    table = format_markdown(entry)
    print("\n" + table)
    return int("missed" in table)


if __name__ == "__main__":
    sys.exit(main())
