"""Measure whether confidence can be believed, and what it is good for.

With default parameters, on test data that no fit saw: the mean confidence beside the
exact match, and from which confidence on at most one text in a thousand is wrong. Such
a threshold suits the texts that it was found on, so one is also found on each half of
them and judged on the other half.
"""

import argparse
import sys
import tempfile
from itertools import product
from pathlib import Path

import accuracy
import numpy as np
import records
import torch

from skcaptcha import CaptchaRecognizer
from skcaptcha.datasets import make_captchas
from skcaptcha.plotting._curves import risk_coverage_curve

LARGEST_GAP = 0.02
EXACT_MATCH = 0.999
CHARACTERS = accuracy.DIGITS + accuracy.LETTERS + accuracy.LETTERS.upper()


def split_make_captchas(folder, part, seed):
    X, y = make_captchas(
        part + 1000,
        vocabulary=CHARACTERS,
        length=(4, 8),
        color=True,
        random_state=2000 + seed,
    )
    return X[1000:], X[:1000], y[1000:], y[:1000]


ROWS = {  # as in accuracy.py; the texts of all parts and seeds are judged together
    "captcha_images_v2": accuracy.Row(
        protocol="5-fold cross-validation, shuffled",
        split=accuracy.split_folds,
        parts=tuple(range(5)),
        seeds=(0,),
        archive="captcha_images_v2.zip",
    ),
    "captcha_images_v2_50": accuracy.Row(
        protocol="captcha_images_v2, 50 to train, 300 others to test",
        split=accuracy.split_few,
        parts=(50,),
        seeds=(0, 1, 2),
        archive="captcha_images_v2.zip",
    ),
    "digits4": accuracy.Row(
        protocol="80/20",
        split=accuracy.split_digits4,
        parts=(3279,),
        seeds=(0,),
        archive="digits4.zip",
    ),
    "captcha_62x5": accuracy.Row(
        protocol="5 of 62 characters, 150x40, 3,000 to train, 2,000 to test",
        split=accuracy.split_generated(CHARACTERS, 5, (150, 40), 2000),
        parts=(3000,),
        seeds=(0,),
    ),
    "make_captchas": accuracy.Row(
        protocol="4 to 8 of 62 characters, color, 500 to train, 1,000 to test",
        split=split_make_captchas,
        parts=(500,),
        seeds=(0, 1),
    ),
}


def read_all(row, folder):
    """Fit and read each part and seed; return the texts, what was read, how surely."""
    texts, read, confidence = [], [], []
    for part, seed in product(row.parts, row.seeds):
        X_train, X_test, y_train, y_test = row.split(folder, part, seed)
        recognizer = CaptchaRecognizer(random_state=seed).fit(X_train, y_train)
        texts += list(y_test)
        read += list(recognizer.predict(X_test))
        confidence += list(recognizer.predict_confidence(X_test))
        print(f"  {part}, seed {seed}: done", flush=True)
    return texts, read, confidence


def find_threshold(texts, read, confidence):
    """Return the least confidence at which enough of the accepted texts are right.

    It is infinite where no text can be accepted.
    """
    right = np.equal(texts, read)
    _, risk, thresholds = risk_coverage_curve(right, np.asarray(confidence))
    good = np.flatnonzero(risk <= 1 - EXACT_MATCH)
    return float(thresholds[good[-1]]) if good.size else np.inf


def judge_halves(texts, read, confidence, seed=0):
    """Find a threshold on each half; return exact match and share accepted of both."""
    right, confidence = np.equal(texts, read), np.asarray(confidence)
    order = np.random.default_rng(seed).permutation(len(right))
    accepted = np.zeros(len(right), bool)
    for chosen, judged in (order[::2], order[1::2]), (order[1::2], order[::2]):
        parts = ([values[i] for i in chosen] for values in (texts, read, confidence))
        accepted[judged] = confidence[judged] >= find_threshold(*parts)
    exact_match = float(right[accepted].mean()) if accepted.any() else None
    return exact_match, float(accepted.mean())


def run_row(name, data):
    """Measure one row; return its entry."""
    row = ROWS[name]
    entry = {**records.describe_run(__file__), "protocol": row.protocol}
    print(f"{name}: {row.protocol}")
    with tempfile.TemporaryDirectory() as folder:
        if row.archive:
            records.unpack(data, row.archive, folder)
        texts, read, confidence = read_all(row, Path(folder))
    right = np.equal(texts, read)
    threshold = find_threshold(texts, read, confidence)
    other, share = judge_halves(texts, read, confidence)
    return {
        **entry,
        "n_test": len(texts),
        "exact_match": float(right.mean()),
        "mean_confidence": float(np.mean(confidence)),
        "threshold": None if np.isinf(threshold) else threshold,
        "accepted": float((np.asarray(confidence) >= threshold).mean()),
        "exact_match_of_halves": other,
        "accepted_of_halves": share,
    }


def format_markdown(entries):
    """Return the table, and below it what it was measured on."""
    settings, lines = {}, []
    for name in [name for name in ROWS if name in entries]:
        entry = entries[name]
        gap = entry["mean_confidence"] - entry["exact_match"]
        met = "met" if abs(gap) <= LARGEST_GAP else "missed"
        threshold, other = entry["threshold"], entry["exact_match_of_halves"]
        lines.append(
            [
                f"`{name}`",
                f"{entry['n_test']:,}",
                f"{entry['exact_match']:.3f}",
                f"{entry['mean_confidence']:.3f}",
                f"{gap:+.3f}, {met}",
                "none" if threshold is None else f"{threshold:.4f}",
                f"{entry['accepted']:.1%}",
                "none" if other is None else f"{other:.4f}",
                f"{entry['accepted_of_halves']:.1%}",
            ]
        )
        settings.setdefault(records.describe_setting(entry), []).append(f"`{name}`")
    header = ["data", "texts", "exact match", "mean confidence"]
    header += [f"gap, target {LARGEST_GAP:g}", f"threshold for {EXACT_MATCH:g}"]
    header += ["accepted", "exact match, threshold of the other half", "accepted"]
    return "\n".join(
        [
            *records.format_table(header, lines),
            "",
            *(f"- {', '.join(names)}: {text}." for text, names in settings.items()),
        ]
    )


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    records.add_arguments(parser, ROWS, "confidence.json")
    records.add_data_argument(parser)
    arguments = parser.parse_args(argv)
    records.check_arguments(parser, arguments, ROWS)
    if not arguments.markdown:
        archives = {ROWS[name].archive for name in arguments.rows} - {None}
        records.check_archives(parser, arguments.data, archives)
        torch.set_num_threads(arguments.threads)
        for name in arguments.rows:
            entry = run_row(name, arguments.data)
            records.save_entry(arguments.output, name, entry)
    table = format_markdown(records.read_entries(arguments.output))
    print("\n" + table)
    return int("missed" in table)


if __name__ == "__main__":
    sys.exit(main())
