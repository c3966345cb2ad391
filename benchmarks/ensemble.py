"""What do recognizers that read together gain over a single one?

All default parameters. The images are those of `ablation.py`, and all of `cs4243`,
which take hours: `accuracy.py` has the single fit of these.
"""

import copy
import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import ablation
import accuracy
import runner
from sides.common import clock

from skcaptcha import CaptchaEnsemble
from skcaptcha.metrics import exact_match_score


def vote(texts, confidences):
    """Return the text with the largest sum of the confidences of its readers."""
    sums = {}
    for text, confidence in zip(texts, confidences, strict=True):
        sums[text] = sums.get(text, 0.0) + confidence
    return max(sums, key=sums.get)


@dataclass(frozen=True, kw_only=True)
class DataSet(runner.Row):
    """Images, and how they are split."""

    split: Callable  # (folder of the unpacked archive, seed) -> four lists
    seeds: tuple = (0,)
    columns: dict = field(
        default_factory=lambda: {
            "single": ("one fit on all", ".3f"),
            "member": ("a fold's alone", ".3f"),
            **{f"first_{n}": (f"{n} together", ".3f") for n in range(2, 6)},
            "voting_by_confidence": ("all, voting", ".3f"),
            "points_gained": ("points gained by all", "+z.1f"),
        }
    )

    def describe(self, arguments):
        return {"folds": arguments.folds, "single": not arguments.no_single}

    def measure(self, run, arguments, folder):
        seed = run["seed"]
        X_train, X_val, y_train, y_val = runner.shorten(
            arguments, *self.split(folder, seed)
        )
        recognizer = runner.make_recognizer(arguments, random_state=seed)
        single, seconds = None, {}
        if not arguments.no_single:
            seconds["single"], _ = clock(recognizer.fit, X_train, y_train)
            seconds["single_reads"], read = clock(recognizer.predict, X_val)
            single = exact_match_score(y_val, read)
        ensemble = CaptchaEnsemble(
            runner.make_recognizer(arguments),
            cv=arguments.folds,
            n_jobs=arguments.jobs,
            random_state=seed,
        )
        seconds["ensemble"], _ = clock(ensemble.fit, X_train, y_train)
        seconds["ensemble_reads"], read = clock(ensemble.predict, X_val)
        score = exact_match_score(y_val, read)
        first = {}
        for n_members in range(2, arguments.folds + 1):
            fewer = copy.copy(ensemble)
            fewer.estimators_ = ensemble.estimators_[:n_members]
            read = fewer.predict(X_val)
            first[f"first_{n_members}"] = exact_match_score(y_val, read)
        read = [m.predict(X_val, return_confidence=True) for m in ensemble.estimators_]
        texts, sure = zip(*read, strict=True)
        members = [exact_match_score(y_val, read) for read in texts]
        voted = list(map(vote, zip(*texts, strict=True), zip(*sure, strict=True)))
        return {
            "n_train": len(X_train),
            "n_val": len(X_val),
            "single": single,
            "members": members,
            "member": statistics.mean(members),
            "members_on_their_folds": ensemble.cv_scores_.tolist(),
            **first,
            "points_gained": None if single is None else 100 * (score - single),
            "voting_by_confidence": exact_match_score(y_val, voted),
            "jobs": arguments.jobs,
            "seconds": {name: round(value, 2) for name, value in seconds.items()},
        }


ROWS = {
    **{
        name: DataSet(words=row.words, archive=row.archive, split=row.split)
        for name, row in ablation.ROWS.items()
        if not name.startswith("steps_")
    },
    "cs4243": DataSet(
        words=accuracy.ROWS["cs4243"].words,
        archive="cs4243.zip",
        split=lambda folder, seed: accuracy.split_cs4243(folder, None, seed),
    ),
}


def add_options(parser):
    parser.epilog = None  # there are no targets to miss
    parser.add_argument("--folds", type=int, default=4, help="default: 4")
    parser.add_argument(
        "--jobs", type=int, default=1, help="folds fitted at a time (default: 1)"
    )
    parser.add_argument(
        "--no-single", action="store_true", help="leave out the fit on all the images"
    )


main = partial(runner.run_benchmark, sys.modules[__name__])

if __name__ == "__main__":
    sys.exit(main())
