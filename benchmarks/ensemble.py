"""What do recognizers that read together gain over a single one?

All default parameters. The images are those of `ablation.py`, and all of `cs4243`,
which take hours: `accuracy.py` has the single fit of these.
"""

import copy
import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass
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
        together = [exact_match_score(y_val, read)]
        for n_members in range(arguments.folds - 1, 1, -1):
            fewer = copy.copy(ensemble)
            fewer.estimators_ = ensemble.estimators_[:n_members]
            together.insert(0, exact_match_score(y_val, fewer.predict(X_val)))
        read = [m.predict(X_val, return_confidence=True) for m in ensemble.estimators_]
        texts, sure = zip(*read, strict=True)
        voted = list(map(vote, zip(*texts, strict=True), zip(*sure, strict=True)))
        return {
            "n_train": len(X_train),
            "n_val": len(X_val),
            "single": single,
            "members": [exact_match_score(y_val, read) for read in texts],
            "members_on_their_folds": ensemble.cv_scores_.tolist(),
            "first_two_to_all": together,
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


def format_markdown(entries):
    """Return the table of means over the seeds, and what it was measured on."""
    rows, lines = [], []
    for name, entry in entries.items():
        runs = entry["runs"]
        together = [
            statistics.mean(column)
            for column in zip(*(run["first_two_to_all"] for run in runs), strict=True)
        ]
        single, gained = "–", "–"
        if entry["single"]:
            score = statistics.mean(run["single"] for run in runs)
            single, gained = f"{score:.3f}", f"{100 * (together[-1] - score):+z.1f}"
        members = statistics.mean(statistics.mean(run["members"]) for run in runs)
        voting = statistics.mean(run["voting_by_confidence"] for run in runs)
        rows.append(
            [
                f"`{name}`",
                single,
                f"{members:.3f}",
                " / ".join(f"{value:.3f}" for value in together),
                f"{voting:.3f}",
                gained,
            ]
        )
        lines.append(f"- `{name}`: {entry['words']}; seeds: {len(runs)}.")
    header = ["exact match", "one fit on all", "a fold's alone"]
    header += ["2 / 3 / ... / all together", "voting", "points gained"]
    table = runner.format_table(header, rows)
    return [*table, "", *lines, *runner.list_settings(entries)]


def add_options(parser):
    parser.epilog = None  # there are no targets to miss
    parser.add_argument("--folds", type=int, default=4, help="default: 4")
    parser.add_argument(
        "--jobs", type=int, default=1, help="folds fitted at a time (default: 1)"
    )
    parser.add_argument(
        "--no-single", action="store_true", help="leave out the fit on all the images"
    )


def check_options(parser, arguments):
    if arguments.folds < 2:
        parser.error(f"--folds {arguments.folds} must be at least 2")


main = partial(
    runner.run_benchmark,
    __file__,
    __doc__,
    ROWS,
    add_options=add_options,
    check_options=check_options,
    format_markdown=format_markdown,
)

if __name__ == "__main__":
    sys.exit(main())
