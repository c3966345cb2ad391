"""How do wrong labels harm it, and how does it learn new characters?

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
from dataclasses import dataclass
from functools import partial

import numpy as np
import runner
from sides.common import clock
from sklearn.model_selection import train_test_split

from skcaptcha.datasets import load_image_folder
from skcaptcha.inspection import find_label_issues
from skcaptcha.metrics import exact_match_score

EXACT_MATCH = 0.95
N_TEST = 300
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
        "--folds", type=int, default=5, help="of the search for them (default: 5)"
    )


main = partial(runner.run_benchmark, sys.modules[__name__])

if __name__ == "__main__":
    sys.exit(main())
