"""What do unlabeled images teach?

Of each set 300 images, the same for all seeds, are read in the end and serve nothing
else. A seed draws the images with a label and those without from the others. Texts are
compared with case folded.

- `labels alone`: a recognizer learns from the labels; without any, the pretrained
  weights read, which are told the characters and the lengths that the set has.
- `naive rounds`: what that reads with a confidence of 0.6 teaches a new recognizer, and
  what this one reads with 0.9 another new one.
- `self-training`: `SelfTrainingRecognizer`, which without labels is told the characters
  and lengths as well.
- `self-training, told nothing`: without labels, and without being told.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import runner

from skcaptcha import SelfTrainingRecognizer, load_pretrained
from skcaptcha.datasets import load_image_folder, load_labels_csv
from skcaptcha.images import read_images
from skcaptcha.metrics import exact_match_score

N_TEST = 300
MARGIN = 0.01  # that it may be below the labels alone
ALONE, NAIVE = "labels alone", "naive rounds"
OURS, TOLD_NOTHING = "self-training", "self-training, told nothing"


@dataclass
class Part:
    """What a seed draws: images, their texts, and how many of them have a label."""

    X: list
    texts: list
    n_labels: int
    X_test: list
    texts_test: list
    told: dict  # characters and lengths, if there are no labels

    @property
    def y(self):
        return [*self.texts[: self.n_labels], *[None] * (len(self.X) - self.n_labels)]


def read_alone(arguments, part, seed):
    if not part.n_labels:
        return load_pretrained(n_jobs=1), {}
    recognizer = runner.make_recognizer(arguments, random_state=seed, n_jobs=1)
    return recognizer.fit(part.X[: part.n_labels], part.texts[: part.n_labels]), {}


def read_naively(arguments, part, seed):
    reader, _ = read_alone(arguments, part, seed)
    unlabeled, labels = part.X[part.n_labels :], part.texts[: part.n_labels]
    told = part.told
    for threshold in (0.6, 0.9):
        read, confidence = reader.predict(unlabeled, return_confidence=True, **told)
        sure = np.flatnonzero(confidence >= threshold)
        X = [*part.X[: part.n_labels], *(unlabeled[i] for i in sure)]
        reader = runner.make_recognizer(arguments, random_state=seed, n_jobs=1)
        reader.fit(X, [*labels, *read[sure]])
        told = {}
    return reader, {"n_taught": len(X) - part.n_labels}


def read_ours(arguments, part, seed, told=True):
    recognizer = runner.make_recognizer(arguments, random_state=seed, n_jobs=1)
    reader = SelfTrainingRecognizer(recognizer, **(part.told if told else {}))
    reader.fit(part.X, part.y)
    taught = np.flatnonzero(reader.labeled_iter_ > 0)
    right = [
        part.texts[i].casefold() == reader.transduction_[i].casefold() for i in taught
    ]
    return reader, {
        "n_taught": len(taught),
        "share_taught_right": float(np.mean(right)) if right else None,
        "n_iter": reader.n_iter_,
        "ended": reader.termination_condition_,
    }


@dataclass(frozen=True, kw_only=True)
class DataSet(runner.Row):
    """A set of images, few or none of them with a label."""

    load: Callable  # of the folder of the unpacked archive -> paths, texts
    n_labels: int
    n_unlabeled: int | None = None  # None for all others
    goal: float | None = None  # exact match
    gain: float | None = None  # above the labels alone
    seeds: tuple = (0, 1, 2)
    factors: dict = field(
        default_factory=lambda: {"way": (ALONE, NAIVE, OURS, TOLD_NOTHING)}
    )
    columns: dict = field(
        default_factory=lambda: {
            "exact_match": ("exact match", ".3f"),
            "n_taught": ("texts read that it learned from", ".0f"),
            "share_taught_right": ("right among them", ".3f"),
        }
    )

    def prepare(self, arguments, folder):
        paths, texts = self.load(folder / self.archive.removesuffix(".zip"))
        order = np.random.default_rng(0).permutation(len(paths))
        n_test = runner.N_QUICK if arguments.quick else N_TEST
        images = read_images(paths, n_jobs=1)
        lengths = [len(text) for text in texts]
        told = {
            "vocabulary": sorted(set("".join(texts))),
            "length": (min(lengths), max(lengths)),
        }
        test, others = order[:n_test], order[n_test:]

        def draw(seed):
            n_images = self.n_unlabeled and self.n_labels + self.n_unlabeled
            drawn = np.random.default_rng(seed).permutation(others)[:n_images]
            if arguments.quick:
                drawn = drawn[: self.n_labels + runner.N_QUICK]
            return Part(
                [images[i] for i in drawn],
                [texts[i] for i in drawn],
                self.n_labels,
                [images[i] for i in test],
                [texts[i] for i in test],
                {} if self.n_labels else told,
            )

        return draw

    def list_runs(self, arguments, draw):
        runs = super().list_runs(arguments, draw)
        ways = set(arguments.ways) - ({TOLD_NOTHING} if self.n_labels else set())
        return [run for run in runs if run["way"] in ways]

    def measure(self, run, arguments, draw):
        part = draw(run["seed"])
        read = {
            ALONE: read_alone,
            NAIVE: read_naively,
            OURS: read_ours,
            TOLD_NOTHING: partial(read_ours, told=False),
        }[run["way"]]
        reader, more = read(arguments, part, run["seed"])
        told = part.told if run["way"] == ALONE else {}
        texts = reader.predict(part.X_test, **told)
        score = exact_match_score(part.texts_test, texts, case_sensitive=False)
        return {"exact_match": score, **more}

    def judge(self, entry):
        found = {
            way: [run["exact_match"] for run in entry["runs"] if run["way"] == way]
            for way in self.factors["way"]
        }
        if not found[OURS] or not found[ALONE]:
            return "open: not run"
        ours, alone = np.mean(found[OURS]), np.mean(found[ALONE])
        if ours < alone - MARGIN:
            return f"missed: {alone - ours:.3f} below the labels alone"
        goal = self.goal if self.gain is None else alone + self.gain
        return "met" if ours >= goal else f"missed: {ours:.3f}, and {goal:.3f} is it"


def load_table(folder):
    return load_labels_csv(folder / "labels.csv")


def make_row(archive, n_labels, n_unlabeled=None, load=load_table, **target):
    rest = "the rest" if n_unlabeled is None else n_unlabeled
    words = f"{archive}, {n_labels} labels and {rest} without, {N_TEST} others to test"
    return DataSet(
        words=words,
        archive=f"{archive}.zip",
        load=load,
        n_labels=n_labels,
        n_unlabeled=n_unlabeled,
        **target,
    )


V2 = partial(make_row, "captcha_images_v2", n_unlabeled=600, load=load_image_folder)
ROWS = {
    "captcha_images_v2_0": V2(n_labels=0, goal=0.985),
    "captcha_images_v2_25": V2(n_labels=25, goal=0.985),
    "kaptcha_pku_25": make_row("kaptcha_pku", 25, 600, goal=0.965),
    "swust4_2019b_50": make_row("swust4_2019b", 50, 800, goal=0.93),
    "digits4_0": make_row("digits4", 0, 600, goal=0.982),
    "digits4_25": make_row("digits4", 25, 600, goal=0.985),
    "upper4_panther_50": make_row("upper4_panther", 50, gain=0.05),
    "sysu4_mixed_50": make_row("sysu4_mixed", 50, gain=0.05),
    "fssp_cyrillic_50": make_row("fssp_cyrillic", 50, gain=0.05),
}


def add_options(parser):
    parser.set_defaults(threads=1)
    parser.add_argument(
        "--ways",
        nargs="+",
        choices=ROWS["digits4_0"].factors["way"],
        default=[*ROWS["digits4_0"].factors["way"]],
        help="what to run (default: all)",
    )


main = partial(runner.run_benchmark, sys.modules[__name__])

if __name__ == "__main__":
    sys.exit(main())
