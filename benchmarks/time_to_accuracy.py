"""Measure the time to 0.99 exact match on held-out images, beside Keras's example.

Each training runs in a process of its own. Its clock starts when the libraries have
been imported and ends after the first epoch with that exact match. On both sides it
includes decoding the files, the start-up of the fit with all that it imports by itself,
and reading the held-out images after each epoch; the last is also counted apart.

Ours is `CaptchaRecognizer` with default parameters, and once more without the weights
that it ships with. The Keras side is `side_keras.py`, which says how it differs from
the example; its environment is made where it is missing.
"""

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

import children
import records
import torch
from sklearn.model_selection import train_test_split

from skcaptcha.datasets import load_image_folder

ROWS = {"captcha_images_v2": "captcha_images_v2.zip"}  # folder of images, its archive
SEEDS = range(5)
EXACT_MATCH = 0.99
MEDIAN_RATIO, LEAST_RATIO = 20, 10
# Name -> script, what it is given, and its name in words.
SIDES = {
    "keras": ("keras", {}, "Keras"),
    "own": ("own", {}, "skcaptcha"),
    "own_from_random": (
        "own",
        {"pretrained": False},
        "skcaptcha, `pretrained=False`",
    ),
}


def run_row(name, arguments, python):
    """Train each side with each seed, in turn; return the row's entry."""
    entry = records.describe_run(__file__, *map(find_script, SIDES), children.__file__)
    entry |= {"quick": arguments.quick, "runs": []}
    with tempfile.TemporaryDirectory() as folder:
        records.unpack(arguments.data, ROWS[name], folder)
        paths, texts = load_image_folder(Path(folder) / name)
        if arguments.quick:
            paths, texts = paths[:60], texts[:60]
        for path in paths:  # so that no side waits for the disk
            Path(path).read_bytes()
        for turn, seed in enumerate(arguments.seeds):
            parts = train_test_split(paths, texts, test_size=0.1, random_state=seed)
            names = "paths", "held_out", "texts", "held_out_texts"
            job = dict(zip(names, parts, strict=True))
            job |= {"target": EXACT_MATCH, "seed": seed}
            job["max_epochs"] = 2 if arguments.quick else None
            for side in list(SIDES)[:: -1 if turn % 2 else 1]:
                entry["runs"].append(run_side(side, job, arguments.threads, python))
                entry["versions"] |= entry["runs"][-1].pop("versions", {})
                records.save_entry(arguments.output, name, entry)
    return entry


def find_script(side):
    return children.FOLDER / f"side_{SIDES[side][0]}.py"


def run_side(side, job, threads, python):
    """Train one side with one seed; return what was measured."""
    script, more, words = SIDES[side]
    measured = children.run_task(
        script,
        "train",
        threads=threads,
        python=python if script == "keras" else sys.executable,
        **job,
        **more,
    )
    print(
        f"  seed {job['seed']}, {words:29} {measured['seconds']:7.1f} s, "
        f"{measured['evaluation_seconds']:5.1f} s of it reading held-out images, "
        f"{measured['epochs']:3} epochs, {measured['exact_match'][-1]:.4f}"
        + ("" if measured["reached"] else "  NOT REACHED"),
        flush=True,
    )
    n_images = {"n_train": len(job["paths"]), "n_held_out": len(job["held_out"])}
    return {"seed": job["seed"], "side": side, **n_images, **measured}


def find_ratios(entry, side, *, evaluation=True):
    """Return the times of Keras as multiples of those of a side, seed by seed.

    Of Keras the time of all epochs counts where it did not get there. Seeds with which
    the other side did not are left out.
    """
    runs = {(run["side"], run["seed"]): run for run in entry["runs"]}

    def find_seconds(run):
        return run["seconds"] - (0 if evaluation else run["evaluation_seconds"])

    return [
        find_seconds(runs["keras", seed]) / find_seconds(run)
        for (name, seed), run in runs.items()
        if name == side and run["reached"] and ("keras", seed) in runs
    ]


def judge(entry):
    """Say whether ours is as much sooner as it has to be."""
    seeds = {side: set() for side in SIDES}
    for run in entry["runs"]:
        seeds[run["side"]].add(run["seed"])
    missing = len(set(SEEDS) - (seeds["keras"] & seeds["own"]))
    if entry["quick"] or missing:
        return f"open: {missing} of {len(SEEDS)} seeds not run in full"
    if not all(run["reached"] for run in entry["runs"] if run["side"] == "own"):
        return "missed"
    ratios = find_ratios(entry, "own")
    met = statistics.median(ratios) >= MEDIAN_RATIO and min(ratios) >= LEAST_RATIO
    return "met" if met else "missed"


def format_row(name, entry):
    first = entry["runs"][0]
    rows = []
    for side, (_, _, words) in SIDES.items():
        runs = [run for run in entry["runs"] if run["side"] == side]
        if not runs:
            continue
        ratios = [find_ratios(entry, side, evaluation=kind) for kind in (True, False)]
        cells = [records.describe_spread(r, ".1f") if r else "" for r in ratios]
        rows.append(
            [
                words,
                f"{sum(run['reached'] for run in runs)} of {len(runs)}",
                records.describe_spread([run["epochs"] for run in runs], ".0f"),
                records.describe_spread([run["seconds"] for run in runs], ".1f"),
                *cells,
            ]
        )
    header = [f"`{name}`", f"reached {EXACT_MATCH:g}", "epochs", "seconds"]
    header += ["times sooner than Keras", "without reading the held-out images"]
    return [
        f"{first['n_train']} images to train on, {first['n_held_out']} held out; "
        "median (lowest to highest) of the seeds. Where Keras did not reach "
        f"{EXACT_MATCH:g}, its time is that of all its epochs.",
        "",
        *records.format_table(header, rows),
        "",
        f"Target: median {MEDIAN_RATIO} times sooner, each seed {LEAST_RATIO} times: "
        f"{judge(entry)}.",
        "",
        f"Measured on {records.describe_setting(entry)}.",
    ]


def format_markdown(entries):
    """Return the table, and below it what it was measured on."""
    return "\n".join(
        line for name, entry in entries.items() for line in format_row(name, entry)
    )


def parse_arguments(argv):
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    records.add_arguments(parser, ROWS, "time_to_accuracy.json")
    records.add_data_argument(parser)
    records.add_quick_argument(parser)
    children.add_keras_argument(parser)
    parser.add_argument(
        "--seeds", type=int, nargs="+", default=SEEDS, help="default: 0 1 2 3 4"
    )
    arguments = parser.parse_args(argv)
    records.check_arguments(parser, arguments, ROWS)
    if not arguments.markdown:
        archives = [ROWS[name] for name in arguments.rows]
        records.check_archives(parser, arguments.data, archives)
    return arguments


def main(argv=None):
    arguments = parse_arguments(argv)
    if arguments.markdown:
        print(format_markdown(records.read_entries(arguments.output)))
        return 0
    torch.set_num_threads(arguments.threads)
    python = children.make_keras_environment(arguments.keras)
    entries = {}
    for name in arguments.rows:
        print(f"{name}:")
        entries[name] = run_row(name, arguments, python)
    print("\n" + format_markdown(entries))
    return int("missed" in {judge(entry) for entry in entries.values()})


if __name__ == "__main__":
    sys.exit(main())
