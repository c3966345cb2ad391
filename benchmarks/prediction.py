"""Measure prediction beside the network of Keras's example, on the same cores.

The networks are trained first, until they read 0.99 of the held-out images; then all
images are read. In each repeat each side reads in a process of its own, in turn, after
a warm-up. A side reads `paths` of files and `arrays` of decoded images, all in one
call, and `one` image from its encoded bytes, in a call for each. The Keras side calls
the network's `predict`, as the example does; beside that, for one image, it calls the
network as a compiled function, which its users seldom do.
"""

import argparse
import statistics
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import children
import records
import torch
from sklearn.model_selection import train_test_split

from skcaptcha.datasets import load_image_folder

ARCHIVE, IMAGES = "captcha_images_v2.zip", "captcha_images_v2"


@dataclass(frozen=True)
class Row:
    """A way of reading, and how many times better than Keras ours has to be."""

    words: str
    ratio: float
    seconds: bool = False  # rather than images a second


ROWS = {
    "paths": Row("images a second, from paths", 5),
    "arrays": Row("images a second, from arrays", 5),
    "one": Row("milliseconds for one image, from encoded bytes", 5, seconds=True),
}
# Name -> script, task, and name in words.
SIDES = {
    "keras": ("keras", "read", "Keras"),
    "own": ("own", "read", "skcaptcha"),
    "onnx": ("own", "read_onnx", "skcaptcha, exported to ONNX"),
}
KERAS_CALL = "one_by_call"


def measure(arguments, python):
    """Train, then read by each side in turn; return the runs by side."""
    runs = {side: [] for side in SIDES}
    pythons = {"keras": python, "own": sys.executable}
    with tempfile.TemporaryDirectory() as folder:
        records.unpack(arguments.data, ARCHIVE, folder)
        paths, texts = load_image_folder(Path(folder) / IMAGES)
        if arguments.quick:
            paths, texts = paths[:60], texts[:60]
        parts = train_test_split(paths, texts, test_size=0.1, random_state=0)
        names = "paths", "held_out", "texts", "held_out_texts"
        job = dict(zip(names, parts, strict=True))
        job |= {"target": 0.99, "max_epochs": 1 if arguments.quick else None}
        job |= {"seed": 0, "save": folder}
        for script, executable in pythons.items():
            trained = children.run_task(
                script, "train", threads=arguments.threads, python=executable, **job
            )
            print(f"  {script}: trained for {trained['epochs']} epochs", flush=True)
        job = {"saved": folder, "paths": paths, "texts": texts}
        job["n_single"] = 10 if arguments.quick else 200
        for repeat in range(arguments.repeats):
            for side in list(SIDES)[:: -1 if repeat % 2 else 1]:
                script, task, words = SIDES[side]
                found = children.run_task(
                    script,
                    task,
                    threads=arguments.threads,
                    python=pythons[script],
                    **job,
                )
                runs[side].append(found)
                print(f"  repeat {repeat}, {words}: {found}", flush=True)
    return runs


def make_entries(arguments, runs):
    """Return an entry for each row."""
    scripts = {children.FOLDER / f"side_{script}.py" for script, _, _ in SIDES.values()}
    entry = records.describe_run(__file__, *scripts, children.__file__)
    entry |= {"quick": arguments.quick, "missing": {}}
    for side, side_runs in runs.items():
        for run in side_runs:
            entry["versions"] |= run.get("versions", {})
            if "missing" in run:
                entry["missing"][side] = run["missing"]
    entries = {}
    for name in arguments.rows:
        values = {
            side: [run[name] for run in side_runs]
            for side, side_runs in runs.items()
            if side not in entry["missing"]
        }
        entries[name] = {**entry, "values": values}
        entries[name]["exact_match"] = {s: runs[s][-1]["exact_match"] for s in values}
        if name == "one":
            by_call = [run[KERAS_CALL] for run in runs["keras"]]
            entries[name]["keras_by_call"] = by_call
    return entries


def find_ratios(row, keras, values):
    """Return how many times better than Keras the values are, repeat by repeat."""
    pairs = zip(keras, values, strict=True)
    return [k / v if row.seconds else v / k for k, v in pairs]


def judge(name, entry):
    """Say whether ours is as much better than Keras as it has to be."""
    if entry["quick"]:
        return "open: so short a run cannot tell"
    ratios = find_ratios(ROWS[name], entry["values"]["keras"], entry["values"]["own"])
    return "met" if statistics.median(ratios) >= ROWS[name].ratio else "missed"


def format_row(name, entry):
    row, keras = ROWS[name], entry["values"]["keras"]
    rows = []
    values = dict(entry["values"])
    if "keras_by_call" in entry:
        values = {"keras": keras, "call": entry["keras_by_call"], **values}
    for side, column in values.items():
        words = SIDES[side][2] if side in SIDES else "Keras, called as a function"
        ratios = find_ratios(row, keras, column)
        scale, form = (1000, ".2f") if row.seconds else (1, ".0f")
        rows.append(
            [
                words,
                records.describe_spread([scale * value for value in column], form),
                "" if side == "keras" else records.describe_spread(ratios),
                f"{entry['exact_match'][side]:.3f}" if side in SIDES else "",
            ]
        )
    for side, reason in entry["missing"].items():
        rows.append([SIDES[side][2], f"not measured: {reason}", "", ""])
    closing = []
    if "onnx" in values:
        ratios = find_ratios(row, values["own"], values["onnx"])
        closing = [
            "ONNX Runtime is "
            f"{records.describe_spread(ratios)} times as fast as skcaptcha."
        ]
    header = [f"`{name}`", row.words, "times better than Keras", "exact match"]
    return [
        *records.format_table(header, rows),
        "",
        f"Target: {row.ratio:g} times better than Keras: {judge(name, entry)}. Median "
        f"(lowest to highest) of {len(keras)}; measured on "
        f"{records.describe_setting(entry)}.",
        *closing,
        "",
    ]


def format_markdown(entries):
    """Return the tables, and below each what it was measured on."""
    lines = []
    for name in ROWS:
        if name in entries:
            lines += format_row(name, entries[name])
    return "\n".join(lines).rstrip()


def parse_arguments(argv):
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    records.add_arguments(parser, ROWS, "prediction.json")
    records.add_data_argument(parser)
    records.add_quick_argument(parser)
    records.add_repeats_argument(parser, 5, "readings by each side")
    children.add_keras_argument(parser)
    arguments = parser.parse_args(argv)
    records.check_arguments(parser, arguments, ROWS)
    if not arguments.markdown:
        records.check_archives(parser, arguments.data, [ARCHIVE])
    return arguments


def main(argv=None):
    arguments = parse_arguments(argv)
    if arguments.markdown:
        print(format_markdown(records.read_entries(arguments.output)))
        return 0
    torch.set_num_threads(arguments.threads)
    python = children.make_keras_environment(arguments.keras)
    entries = make_entries(arguments, measure(arguments, python))
    for name, entry in entries.items():
        records.save_entry(arguments.output, name, entry)
    print("\n" + format_markdown(entries))
    return int("missed" in {judge(name, entry) for name, entry in entries.items()})


if __name__ == "__main__":
    sys.exit(main())
