"""Can confidence be believed, and what is it good for?

With default parameters, on test data that no fit saw: the mean confidence beside the
exact match, and from which confidence on at most one text in a thousand is wrong. Such
a threshold suits the texts that it was found on, so one is also found on each half of
them and judged on the other half.

Rows `pretrained_...` are of `load_pretrained`, which is told the characters of the real
sets; texts are compared with case folded. The drawn images are like those of
`pretrain.py`, of seeds of their own, and need its fonts.
"""

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import product
from pathlib import Path

import accuracy
import before_labels
import drawings
import numpy as np
import pretrain
import runner

from skcaptcha import load_pretrained
from skcaptcha.metrics import risk_coverage_curve

EXACT_MATCH = 0.999
SURE = 0.9
LARGEST_GAP = 0.02


def find_threshold(right, confidence):
    """Return the least confidence at which enough of the accepted texts are right.

    It is infinite where no text can be accepted.
    """
    _, risk, thresholds = risk_coverage_curve(right, confidence)
    good = np.flatnonzero(risk <= 1 - EXACT_MATCH)
    return float(thresholds[good[-1]]) if good.size else np.inf


def judge_halves(right, confidence, seed=0):
    """Find a threshold on each half; return exact match and share accepted of both."""
    order = np.random.default_rng(seed).permutation(len(right))
    accepted = np.zeros(len(right), bool)
    for chosen, judged in (order[::2], order[1::2]), (order[1::2], order[::2]):
        threshold = find_threshold(right[chosen], confidence[chosen])
        accepted[judged] = confidence[judged] >= threshold
    exact_match = float(right[accepted].mean()) if accepted.any() else None
    return exact_match, float(accepted.mean())


def judge_gap(entry):
    """Judge the distance of the mean confidence from the exact match."""
    (run,) = entry["runs"]
    gap = run["mean_confidence"] - run["exact_match"]
    return "met" if abs(gap) <= LARGEST_GAP else "missed"


def summarize(right, confidence):
    """Return what a run has measured."""
    threshold = find_threshold(right, confidence)
    other, share = judge_halves(right, confidence)
    return {
        "n_test": len(right),
        "exact_match": float(right.mean()),
        "mean_confidence": float(confidence.mean()),
        "threshold": None if np.isinf(threshold) else threshold,
        "accepted": float((confidence >= threshold).mean()),
        "exact_match_of_halves": other,
        "accepted_of_halves": share,
    }


@dataclass(frozen=True, kw_only=True)
class DataSet(runner.Row):
    """Images, whose texts of all parts and seeds are judged together."""

    split: Callable  # as in accuracy.py
    parts: tuple
    seeds: tuple = (0,)
    target: str = "a mean confidence within 0.02 of the exact match"
    columns: dict = field(
        default_factory=lambda: {
            "n_test": ("texts", ",d"),
            "exact_match": ("exact match", ".3f"),
            "mean_confidence": ("mean confidence", ".3f"),
            "threshold": (f"threshold for {EXACT_MATCH:g}", ".4f"),
            "accepted": ("accepted", ".1%"),
            "exact_match_of_halves": ("exact match, threshold of other half", ".4f"),
            "accepted_of_halves": ("accepted", ".1%"),
        }
    )

    def list_runs(self, arguments, folder):
        parts = self.parts[: 1 if arguments.quick else None]
        return [{"parts": list(parts), "seeds": list(self.list_seeds(arguments))}]

    def measure(self, run, arguments, folder):
        right, confidence = [], []
        for part, seed in product(run["parts"], run["seeds"]):
            X_train, X_test, y_train, y_test = runner.shorten(
                arguments, *self.split(folder, part, seed)
            )
            recognizer = runner.make_recognizer(arguments, random_state=seed)
            recognizer.fit(X_train, y_train)
            read, sure = recognizer.predict(X_test, return_confidence=True)
            right.append(read == np.array(y_test))
            confidence.append(sure)
        return summarize(*map(np.concatenate, (right, confidence)))

    def judge(self, entry):
        return judge_gap(entry)


@dataclass(frozen=True, kw_only=True)
class Pretrained(runner.Row):
    """Images that are read before any label."""

    images: Callable  # (arguments, folder) -> images, texts, characters or None
    target: str = ""
    columns: dict = field(
        default_factory=lambda: {
            "n_test": ("texts", ",d"),
            "exact_match": ("exact match", ".3f"),
            "mean_confidence": ("mean confidence", ".3f"),
            "share_sure": (f"confidence of {SURE:g} and more", ".1%"),
            "exact_match_of_sure": ("exact match of these", ".3f"),
        }
    )

    def measure(self, run, arguments, folder):
        images, texts, characters = self.images(arguments, folder)
        images, texts = runner.shorten(arguments, images, texts)
        reader, told = load_pretrained(n_jobs=1), {}
        if characters:
            known = [c for c in characters if c in reader.vocabulary_]
            told["vocabulary"] = known
        read, confidence = reader.predict(images, return_confidence=True, **told)
        right = np.array(
            [a.lower() == b.lower() for a, b in zip(read, texts, strict=True)]
        )
        sure = confidence >= SURE
        return {
            "n_test": len(right),
            "exact_match": float(right.mean()),
            "mean_confidence": float(confidence.mean()),
            "share_sure": float(sure.mean()),
            "exact_match_of_sure": float(right[sure].mean()) if sure.any() else None,
        }

    def judge(self, entry):
        return judge_gap(entry) if self.target else ""


def draw_images(arguments, folder, seed=978, n_images=500):
    """Draw images like those of the pretraining. None of those has this seed."""
    fonts = drawings.find_fonts(arguments.fonts)
    drawn = [
        drawings.draw(np.random.default_rng(one), fonts)
        for one in np.random.SeedSequence(seed).spawn(n_images)
    ]
    return *zip(*drawn, strict=True), None


def take_real(row, arguments, folder):
    """Return the test images of a row of `before_labels.py`."""
    options = argparse.Namespace(
        part="test", images=300, split_seed=0, quick=arguments.quick
    )
    found = row.prepare(options, folder)
    return found.arrays, found.texts, found.characters


ROWS = {
    "captcha_images_v2": DataSet(
        words="5-fold cross-validation, shuffled",
        split=accuracy.split_folds,
        parts=tuple(range(5)),
        archive="captcha_images_v2.zip",
    ),
    "captcha_images_v2_50": DataSet(
        words="captcha_images_v2, 50 to train, 300 others to test",
        split=accuracy.split_few,
        parts=(50,),
        seeds=(0, 1, 2),
        archive="captcha_images_v2.zip",
    ),
    "digits4": DataSet(
        words="80/20",
        split=accuracy.split_digits4,
        parts=(3279,),
        archive="digits4.zip",
    ),
    "pretrained_chosen": Pretrained(
        words="the drawings that its temperature was chosen on; nothing is told",
        images=partial(draw_images, seed=[977, 1]),
    ),
    "pretrained_drawn": Pretrained(
        words="drawn as those that it has learned from, others; nothing is told",
        images=draw_images,
        target="a mean confidence within 0.02 of the exact match",
    ),
    **{
        f"pretrained_{name}": Pretrained(
            words=f"{row.words}, which are told",
            images=partial(take_real, row),
            archive=row.archive,
        )
        for name, row in before_labels.ROWS.items()
    },
}


def add_options(parser):
    parser.add_argument(
        "--fonts",
        type=Path,
        default=pretrain.FONTS,
        help="folder where npm installed the fonts of pretrain.py",
    )


main = partial(runner.run_benchmark, sys.modules[__name__])

if __name__ == "__main__":
    sys.exit(main())
