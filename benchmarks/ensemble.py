"""Measure what recognizers that read together gain over a single one.

All default parameters. The images are those of `ablation.py`, and all of `cs4243`,
which take hours: `accuracy.py` has the single fit of these.
"""

import argparse
import copy
import statistics
import sys
import tempfile
import time
from pathlib import Path

import ablation
import accuracy
import records
import torch

from skcaptcha import CaptchaEnsemble, CaptchaRecognizer
from skcaptcha.metrics import exact_match_score

DATA_SETS = {
    **ablation.DATA_SETS,
    "cs4243": ablation.DataSet(
        lambda folder, seed: accuracy.split_cs4243(folder, None, seed),
        accuracy.ROWS["cs4243"].protocol,
        "cs4243.zip",
    ),
}


def vote(texts, confidences):
    """Return the text with the largest sum of the confidences of its readers."""
    sums = {}
    for text, confidence in zip(texts, confidences, strict=True):
        sums[text] = sums.get(text, 0.0) + confidence
    return max(sums, key=sums.get)


def measure(parts, seed, n_folds, n_jobs, with_single):
    """Fit a recognizer and an ensemble on the same images; return their scores."""
    X_train, X_val, y_train, y_val = parts
    score, seconds = None, {}
    if with_single:
        start = time.perf_counter()
        single = CaptchaRecognizer(random_state=seed).fit(X_train, y_train)
        seconds["single"] = time.perf_counter() - start
        start = time.perf_counter()
        score = exact_match_score(y_val, single.predict(X_val))
        seconds["single_reads"] = time.perf_counter() - start
    start = time.perf_counter()
    ensemble = CaptchaEnsemble(cv=n_folds, n_jobs=n_jobs, random_state=seed)
    ensemble.fit(X_train, y_train)
    fitted = time.perf_counter()
    together = [exact_match_score(y_val, ensemble.predict(X_val))]
    seconds |= {
        "ensemble": fitted - start,
        "ensemble_reads": time.perf_counter() - fitted,
    }
    for n_members in range(n_folds - 1, 1, -1):
        fewer = copy.copy(ensemble)
        fewer.estimators_ = ensemble.estimators_[:n_members]
        together.insert(0, exact_match_score(y_val, fewer.predict(X_val)))
    texts = [member.predict(X_val) for member in ensemble.estimators_]
    confidences = [member.predict_confidence(X_val) for member in ensemble.estimators_]
    voted = list(map(vote, zip(*texts, strict=True), zip(*confidences, strict=True)))
    return {
        "seed": seed,
        "n_folds": n_folds,
        "n_train": len(X_train),
        "n_val": len(X_val),
        "single": score,
        "members": [exact_match_score(y_val, read) for read in texts],
        "members_on_their_folds": ensemble.cv_scores_.tolist(),
        "first_two_to_all": together,
        "voting_by_confidence": exact_match_score(y_val, voted),
        "jobs": n_jobs,
        "seconds": {name: round(value, 2) for name, value in seconds.items()},
    }


def run_row(name, arguments):
    """Run the seeds of one data set, saving after each; return its entry."""
    data_set = DATA_SETS[name]
    entry = {**records.describe_run(__file__), "split": data_set.words, "seeds": []}
    with tempfile.TemporaryDirectory() as folder:
        if data_set.archive:
            records.unpack(arguments.data, data_set.archive, folder)
        for seed in arguments.seeds:
            parts = data_set.split(Path(folder), seed)
            measured = measure(
                parts, seed, arguments.folds, arguments.jobs, not arguments.no_single
            )
            entry["seeds"].append(measured)
            records.save_entry(arguments.output, name, entry)
            print(
                f"{name} seed {seed}: single {format_score(measured['single'])}, "
                f"ensemble {measured['first_two_to_all'][-1]:.4f}",
                flush=True,
            )
    return entry


def format_score(score):
    return "–" if score is None else f"{score:.3f}"


def format_markdown(entries):
    """Return the table of means over the seeds, and what it was measured on."""

    def mean(runs, read):
        return statistics.mean(map(read, runs))

    rows, settings = [], []
    for name in [name for name in DATA_SETS if name in entries]:
        entry = entries[name]
        runs = entry["seeds"]
        single = None
        if all(run["single"] is not None for run in runs):
            single = mean(runs, lambda run: run["single"])
        together = [
            mean(runs, lambda run, i=i: run["first_two_to_all"][i])
            for i in range(len(runs[0]["first_two_to_all"]))
        ]
        rows.append(
            [
                f"`{name}`",
                format_score(single),
                f"{mean(runs, lambda run: statistics.mean(run['members'])):.3f}",
                " / ".join(f"{value:.3f}" for value in together),
                f"{mean(runs, lambda run: run['voting_by_confidence']):.3f}",
                "–" if single is None else f"{100 * (together[-1] - single):+z.1f}",
            ]
        )
        settings.append(
            f"- `{name}`: {entry['split']}; {len(runs)} "
            f"seed{'' if len(runs) == 1 else 's'}; {records.describe_setting(entry)}."
        )
    header = [
        "exact match",
        "one fit on all",
        "a fold's alone",
        "2 / 3 / ... / all together",
        "voting",
        "points gained",
    ]
    return "\n".join([*records.format_table(header, rows), "", *settings])


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    records.add_arguments(parser, DATA_SETS, "ensemble.json")
    parser.epilog = None  # there are no targets to miss
    records.add_data_argument(parser)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="default: 0")
    parser.add_argument("--folds", type=int, default=5, help="default: 5")
    parser.add_argument(
        "--jobs", type=int, default=1, help="folds fitted at a time (default: 1)"
    )
    parser.add_argument(
        "--no-single", action="store_true", help="leave out the fit on all the images"
    )
    arguments = parser.parse_args(argv)
    records.check_arguments(parser, arguments, DATA_SETS)
    if arguments.folds < 2:
        parser.error(f"--folds {arguments.folds} must be at least 2")
    if arguments.markdown:
        print(format_markdown(records.read_entries(arguments.output)))
        return 0
    archives = {DATA_SETS[name].archive for name in arguments.rows} - {None}
    records.check_archives(parser, arguments.data, archives)
    torch.set_num_threads(arguments.threads)
    entries = {name: run_row(name, arguments) for name in arguments.rows}
    print("\n" + format_markdown(entries))
    return 0


if __name__ == "__main__":
    sys.exit(main())
