"""What do more labels bring, what do wrong ones cost, how does it learn new characters?

`page`: of some sets, images without a label and with names that say nothing are labeled
on the page of `skcaptcha label` by a program, which is told the script and the lengths.
The reader that the page saves then reads other images.

`curve`: of some sets a part is held out. `label_curve` is given half of the other
labels and estimates what all of them give; that is then measured.

`found`: a recognizer that is fitted on a part of some sets reads the others, of whose
labels some are made wrong. Those that `find_label_issues` calls likely wrong are
compared with those that are.

`wrong`: of `captcha_images_v2` a fifth is held out with its labels as they are. Of the
other labels a tenth, drawn by the seed, is corrupted: every second one has one
character replaced, the rest are the labels of other images. A recognizer learns from
them, and then the wrong ones are looked for.

`new_characters`: three characters of `captcha_images_v2` are set apart. A recognizer
learns from images that show none of them, and is then fine-tuned on a few images that
do. It is compared with one that learns from those few alone: on other images with the
new characters, and on held-out images with the old ones alone, which it should not
forget.
"""

import copy
import functools
import sys
import tempfile
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import runner
from sides.common import clock
from sides.labeler import Labeler
from sklearn.model_selection import train_test_split

from skcaptcha.datasets import load_image_folder, load_labeled_images
from skcaptcha.inspection import find_label_issues, label_curve, sort_issues
from skcaptcha.metrics import exact_match_score

EXACT_MATCH = 0.95
N_TEST = 300
SETS = (
    "fssp_cyrillic",
    "captcha_images_v2",
    "upper4_panther",
    "kaptcha_pku",
    "sysu4_mixed",
    "swust4_2019b",
    "digits4",
    "weixin4_3d",
)
# Images without a label, the characters that their person says there may be, the goal.
LATIN = "0123456789abcdefghijklmnopqrstuvwxyz"
RUSSIAN = "0123456789абвгдежзийклмнопрстуфхцчшщъыьэюя"
PAGE_SETS = {
    "captcha_images_v2": (1000, LATIN, 0.97),
    "swust4_2019b": (1000, LATIN, 0.92),
    "fssp_cyrillic": (470, RUSSIAN, 0.95),
}
MOST_LABELS = 800  # that a curve is estimated for
N_FIT = 300  # images that a recognizer is fitted on which looks for wrong labels
MADE_WRONG = 0.05
NEAR, N_NEAR = 0.02, 5  # an estimate is good if it is so near; on so many sets
ON_OLD = "fitted on the old alone"
WAYS = {  # words -> number of images with new characters, and way
    words.format(size): (size, way)
    for size in (25, 100)
    for way, words in {
        "alone": "fitted on the {} new alone",
        "tuned": "fine-tuned on the {} new",
        "frozen": "fine-tuned on the {} new, convolutions frozen",
        "rehearsed": "fine-tuned on the {} new and 100 of the old",
    }.items()
}


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


def split_characters(paths, texts, seed):
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


@dataclass(frozen=True, kw_only=True)
class LabelRow(runner.Row):
    """What is measured on `captcha_images_v2` with each seed."""

    archive: str = "captcha_images_v2.zip"
    seeds: tuple = (0, 1, 2)

    def prepare(self, arguments, folder):
        return load_image_folder(folder / "captcha_images_v2")


class WrongLabels(LabelRow):
    def describe(self, arguments):
        return {"share": arguments.share, "folds": arguments.folds}

    def measure(self, run, arguments, prepared):
        X, X_test, y, y_test = runner.shorten(
            arguments,
            *train_test_split(*prepared, test_size=0.2, random_state=run["seed"]),
        )
        corrupted, wrong = corrupt(y, arguments.share, run["seed"])
        recognizer = runner.make_recognizer(arguments, random_state=run["seed"])
        seconds, _ = clock(recognizer.fit, X, corrupted)
        found = find_label_issues(recognizer, X, corrupted, cv=arguments.folds)
        hits = np.isin(found.ranking, wrong)
        return {
            "n_train": len(X),
            "n_wrong": len(wrong),
            "seconds": round(seconds, 2),
            "exact_match": exact_match_score(y_test, recognizer.predict(X_test)),
            "precision_at_half": float(hits[: len(wrong) // 2].mean()),
            "precision_at_all": float(hits[: len(wrong)].mean()),
            "n_flagged": int(found.is_issue.sum()),
            "n_flagged_wrong": int(found.is_issue[wrong].sum()),
        }

    def judge(self, entry):
        lowest = min(run["exact_match"] for run in entry["runs"])
        return "met" if lowest >= EXACT_MATCH else "missed"


@dataclass(frozen=True, kw_only=True)
class SetsRow(runner.Row):
    """What is measured on several sets, each read from its archive."""

    reads_data: bool = True
    seeds: tuple = (0, 1, 2)
    factors: dict = field(default_factory=lambda: {"data": SETS})
    n_quick: int = 2

    def list_runs(self, arguments, prepared):
        runs = super().list_runs(arguments, prepared)
        chosen = arguments.sets or SETS
        return [run for run in runs if run["data"] in chosen]

    def load(self, run, arguments):
        """Return images and labels in an order that the seed determines."""
        X, y = load_labeled_images(arguments.data / f"{run['data']}.zip")
        order = np.random.default_rng(run["seed"]).permutation(len(X)).tolist()
        return [X[i] for i in order], [y[i] for i in order]


class Curve(SetsRow):
    def describe(self, arguments):
        return {"cv": arguments.cv, "most_labels": MOST_LABELS}

    def measure(self, run, arguments, prepared):
        X, y = self.load(run, arguments)
        last = N_TEST + MOST_LABELS
        X_test, y_test, X, y = runner.shorten(
            arguments, X[:N_TEST], y[:N_TEST], X[N_TEST:last], y[N_TEST:last]
        )
        recognizer = runner.make_recognizer(arguments, random_state=run["seed"])
        half = len(X) // 2
        curve = label_curve(
            recognizer, X[:half], y[:half], cv=arguments.cv, random_state=run["seed"]
        )
        estimate, (low, high) = curve.power_law.predict(len(X), return_interval=True)
        seconds, _ = clock(recognizer.fit, X, y)
        exact_match = recognizer.score(X_test, y_test)
        return {
            "n_half": half,
            "n_all": len(X),
            "n_test": len(X_test),
            "sizes": curve.train_sizes.tolist(),
            "scores": curve.test_scores.tolist(),
            "estimate": float(estimate),
            "low": float(low),
            "high": float(high),
            "exact_match": exact_match,
            "off_by": float(estimate) - exact_match,
            "held": int(low <= exact_match <= high),
            "seconds": round(float(curve.fit_times.sum()) + seconds, 1),
        }

    def judge(self, entry):
        groups = self.group(entry).values()
        off = [abs(np.mean(runner.list_values(runs, "off_by"))) for runs in groups]
        n_near = sum(value <= NEAR for value in off)
        verdict = "met" if n_near >= N_NEAR else "missed"
        return f"{verdict}: {n_near} of {len(off)}"


class Found(SetsRow):
    def describe(self, arguments):
        return {"made_wrong": MADE_WRONG, "n_fit": N_FIT}

    def measure(self, run, arguments, prepared):
        X, y = self.load(run, arguments)
        X_fit, y_fit, X, y = runner.shorten(
            arguments, X[:N_FIT], y[:N_FIT], X[N_FIT:], y[N_FIT:]
        )
        recognizer = runner.make_recognizer(arguments, random_state=run["seed"])
        seconds, _ = clock(recognizer.fit, X_fit, y_fit)
        corrupted, wrong = corrupt(y, MADE_WRONG, run["seed"])
        found = find_label_issues(recognizer, X, corrupted, cv="prefit")
        named = np.flatnonzero(found.is_likely_wrong)
        hits = np.isin(named, wrong).sum()
        first = np.isin(sort_issues(found)[: len(wrong)], wrong)
        return {
            "n_read": len(X),
            "exact_match": exact_match_score(y, found.y_pred),
            "n_wrong": len(wrong),
            "n_named": len(named),
            "n_named_wrong": int(hits),
            "recall": float(hits / max(1, len(wrong))),
            "precision": float(hits / len(named)) if len(named) else None,
            "precision_at_all": float(first.mean()) if len(wrong) else None,
            "seconds": round(seconds, 1),
        }


@dataclass(frozen=True, kw_only=True)
class Page(SetsRow):
    seeds: tuple = (0,)
    factors: dict = field(default_factory=lambda: {"data": tuple(PAGE_SETS)})

    def describe(self, arguments):
        return {"n_labels": arguments.n_labels}

    def measure(self, run, arguments, prepared):
        n_unread, characters, _ = PAGE_SETS[run["data"]]
        X, y = self.load(run, arguments)
        last = n_unread + N_TEST
        X, y, X_test, y_test = runner.shorten(
            arguments, X[:n_unread], y[:n_unread], X[n_unread:last], y[n_unread:last]
        )
        lengths = [len(text) for text in y]
        recognizer = runner.make_recognizer(arguments, random_state=run["seed"])
        with tempfile.TemporaryDirectory() as folder:
            out, unread = Path(folder), Path(folder, "unread")
            unread.mkdir()
            truth = {}
            for i, (image, text) in enumerate(zip(X, y, strict=True)):
                name = f"{i:04}{Path(image.name).suffix}"
                (unread / name).write_bytes(image)
                truth[name] = text
            span = min(lengths), max(lengths)
            labeler = Labeler(
                unread, out, truth, recognizer, characters, span, run["seed"]
            )
            labeler.label(min(arguments.n_labels, len(X)))
            reader, seconds = labeler.save()
        return {
            "n_unread": len(X),
            "n_accepted": labeler.n_accepted,
            "n_typed": labeler.n_typed,
            "minutes": labeler.seconds / 60,
            "minutes_to_save": seconds / 60,
            "rounds": labeler.rounds,
            "n_test": len(X_test),
            "exact_match": 0.0
            if reader is None
            else exact_match_score(y_test, reader.predict(X_test)),
        }

    def judge(self, entry):
        goals = {name: goal for name, (_, _, goal) in PAGE_SETS.items()}
        missed = [
            run["data"]
            for run in entry["runs"]
            if run["exact_match"] < goals[run["data"]]
        ]
        return f"missed: {', '.join(missed)}" if missed else "met"


class NewCharacters(LabelRow):
    def prepare(self, arguments, folder):
        """Return a function of the seed: a fit on the old alone, and all the parts."""
        paths, texts = super().prepare(arguments, folder)

        @functools.lru_cache(maxsize=1)
        def fit_on_the_old(seed):
            _, parts = split_characters(paths, texts, seed)
            parts = {name: runner.shorten(arguments, *p) for name, p in parts.items()}
            recognizer = runner.make_recognizer(arguments, random_state=seed)
            seconds, _ = clock(recognizer.fit, *parts["old_train"])
            return recognizer, seconds, parts

        return fit_on_the_old

    def measure(self, run, arguments, fit_on_the_old):
        recognizer, seconds, parts = fit_on_the_old(run["seed"])
        if run["recognizer"] != ON_OLD:
            size, way = WAYS[run["recognizer"]]
            X, y = (values[:size] for values in parts["new_train"])
            recognizer = copy.deepcopy(recognizer).set_params(warm_start=True)
            if way == "alone":
                recognizer = runner.make_recognizer(arguments, random_state=run["seed"])
            if way == "frozen":
                recognizer.set_params(freeze_convolutions=True)
            if way == "rehearsed":
                old_X, old_y = parts["old_train"]
                X, y = X + old_X[:100], y + old_y[:100]
            seconds, _ = clock(recognizer.fit, X, y)
        new_test, old_test = (
            exact_match_score(texts, recognizer.predict(images))
            for images, texts in (parts["new_test"], parts["old_test"])
        )
        found = {"new_test": new_test, "old_test": old_test}
        return {**found, "seconds": round(seconds, 2)}


ROWS = {
    "page": Page(
        words="from a folder to a reader on the page to label on",
        columns={
            "n_unread": ("images", ".0f"),
            "n_accepted": ("labels accepted", ".0f"),
            "n_typed": ("labels typed", ".0f"),
            "minutes": ("minutes to label", ".1f"),
            "minutes_to_save": ("minutes to save", ".1f"),
            "n_test": ("others read", ".0f"),
            "exact_match": ("exact match", ".3f"),
        },
        target="0.97, 0.92 and 0.95",
    ),
    "curve": Curve(
        words="what half of the labels tell of all of them",
        columns={
            "n_half": ("half", ".0f"),
            "n_all": ("all", ".0f"),
            "estimate": ("estimate for all", ".3f"),
            "low": ("interval from", ".3f"),
            "high": ("to", ".3f"),
            "exact_match": ("exact match with all", ".3f"),
            "off_by": ("difference", "+.3f"),
            "seconds": ("seconds", ".0f"),
        },
        target=f"within {NEAR:g} on {N_NEAR} sets",
    ),
    "found": Found(
        words="labels made wrong, and those that are called likely wrong",
        columns={
            "n_read": ("images read", ".0f"),
            "exact_match": ("exact match, labels as they were", ".3f"),
            "n_wrong": ("made wrong", ".0f"),
            "n_named": ("called likely wrong", ".0f"),
            "n_named_wrong": ("made wrong among them", ".0f"),
            "precision": ("precision", ".3f"),
            "recall": ("recall", ".3f"),
            "precision_at_all": ("precision of as many as were made wrong", ".3f"),
        },
    ),
    "wrong": WrongLabels(
        words="fits of captcha_images_v2 on wrong labels, and the search for these",
        columns={
            "n_wrong": ("wrong labels", ".0f"),
            "exact_match": ("exact match on clean labels", ".4f"),
            "precision_at_half": ("precision at half the number of wrong ones", ".3f"),
            "precision_at_all": ("at their number", ".3f"),
            "n_flagged": ("flagged", ".0f"),
            "n_flagged_wrong": ("wrong ones among them", ".0f"),
        },
        target=f"an exact match of {EXACT_MATCH:g} at least",
    ),
    "new_characters": NewCharacters(
        words="captcha_images_v2, three characters of it coming later",
        factors={"recognizer": (ON_OLD, *WAYS)},
        columns={
            "new_test": ("on images with new characters", ".3f"),
            "old_test": ("on images without", ".3f"),
            "seconds": ("seconds", ".0f"),
        },
    ),
}


def add_options(parser):
    parser.add_argument(
        "--share", type=float, default=0.1, help="of wrong labels (default: 0.1)"
    )
    parser.add_argument(
        "--sets",
        nargs="+",
        choices=SETS,
        help="of `page`, `curve` and `found` (default: all)",
    )
    parser.add_argument(
        "--n-labels", type=int, default=125, help="on the page at the most (125)"
    )
    parser.add_argument(
        "--cv", type=int, help="repeats of each curve (default: one, of a part)"
    )
    parser.add_argument(
        "--folds", type=int, default=5, help="of the search for them (default: 5)"
    )


main = partial(runner.run_benchmark, sys.modules[__name__])

if __name__ == "__main__":
    sys.exit(main())
