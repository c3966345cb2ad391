"""How fast is it beside Keras's example "OCR model for reading Captchas"?

`training`: seconds until 0.99 of held-out images are read. The clock starts when the
libraries have been imported and ends after the first epoch with that exact match. On
both sides it includes decoding the files, the start-up of the fit with all that it
imports by itself, and reading the held-out images after each epoch; the last is also
counted apart.

`prediction`: the networks are trained first, until they read 0.99 of the held-out
images; then all images are read, after a warm-up. A side reads `paths` of files and
`arrays` of decoded images, all in one call, and `one` image from its encoded bytes, in
a call for each. The Keras side calls the network's `predict`, as the example does;
beside that, for one image, it calls the network as a compiled function, which its users
seldom do.

The Keras side is `sides/keras_example.py`, which says how it differs from the example.
Each side runs in a process of its own, in turn, on the same cores.
"""

import os
import shutil
import statistics
import subprocess
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import runner
from sklearn.model_selection import train_test_split

from skcaptcha.datasets import load_image_folder

EXACT_MATCH = 0.99
REQUIREMENTS = runner.FOLDER / "requirements-keras.txt"


def make_keras_environment(folder):
    """Make the environment of the Keras side where it is missing; return its Python."""
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    stamp = folder / REQUIREMENTS.name
    wanted = REQUIREMENTS.read_text(encoding="utf-8")
    if stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        return python
    print(f"Making {folder} with TensorFlow and Keras (once; minutes)", flush=True)
    pip = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    try:
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        subprocess.run([*pip, "-r", REQUIREMENTS], check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        sys.exit(
            f"{folder} could not be made ({error}); {REQUIREMENTS.name} has the "
            "versions for Python 3.11, and their wheels are downloaded"
        )
    shutil.copyfile(REQUIREMENTS, stamp)  # last, so that half an environment has none
    return python


def list_in_turn(runs, sides, name):
    """Return the runs of each seed or repeat with each side, every second one back."""
    return [
        {name: value, "side": side}
        for turn, value in enumerate(runs)
        for side in list(sides)[:: -1 if turn % 2 else 1]
    ]


@dataclass(frozen=True, kw_only=True)
class KerasRow(runner.Row):
    """What is measured on `captcha_images_v2` in processes of Keras and of ours."""

    archive: str = "captcha_images_v2.zip"

    def prepare(self, arguments, folder):
        python = make_keras_environment(arguments.keras)
        paths, texts = runner.shorten(
            arguments, *load_image_folder(folder / "captcha_images_v2")
        )
        for path in paths:  # so that no side waits for the disk
            Path(path).read_bytes()
        return folder, python, paths, texts

    def train(self, arguments, prepared, script, seed, **job):
        """Train in a process of a side until it reads enough."""
        _, python, paths, texts = prepared
        parts = train_test_split(paths, texts, test_size=0.1, random_state=seed)
        names = "paths", "held_out", "texts", "held_out_texts"
        job |= dict(zip(names, parts, strict=True))
        trained = runner.run_side(
            script,
            "train",
            threads=arguments.threads,
            python=python if script == "keras_example" else sys.executable,
            target=EXACT_MATCH,
            max_epochs=1 if arguments.quick else None,
            seed=seed,
            **job,
        )
        sizes = {"n_train": len(job["paths"]), "n_held_out": len(job["held_out"])}
        return {**sizes, **trained}


class Training(KerasRow):
    MEDIAN_RATIO, LEAST_RATIO = 20, 10
    SIDES = {  # name -> module, what it is given, and its name in words
        "keras": ("keras_example", {}, "Keras"),
        "own": ("ours", {}, "skcaptcha"),
        "own_from_random": (
            "ours",
            {"pretrained": False},
            "skcaptcha, `pretrained=False`",
        ),
    }

    def list_runs(self, arguments, prepared):
        return list_in_turn(self.list_seeds(arguments), self.SIDES, "seed")

    def measure(self, run, arguments, prepared):
        script, job, _ = self.SIDES[run["side"]]
        return self.train(arguments, prepared, script, run["seed"], **job)

    def find_ratios(self, entry, side, *, evaluation=True):
        """Return the times of Keras as multiples of those of a side, seed by seed.

        Of Keras the time of all epochs counts where it did not get there. Seeds with
        which the other side did not are left out. Of Keras itself there are none.
        """
        if side == "keras":
            return []
        seconds = {"keras": {}, side: {}}
        for run in entry["runs"]:
            if run["side"] in seconds and (run["reached"] or run["side"] == "keras"):
                left_out = 0 if evaluation else run["evaluation_seconds"]
                seconds[run["side"]][run["seed"]] = run["seconds"] - left_out
        return runner.find_ratios(seconds["keras"], seconds[side])

    def judge(self, entry):
        seeds = {side: set() for side in self.SIDES}
        for run in entry["runs"]:
            seeds[run["side"]].add(run["seed"])
        missing = len(set(self.seeds) - (seeds["keras"] & seeds["own"]))
        if missing:
            return f"open: {missing} of {len(self.seeds)} seeds not run"
        if not all(run["reached"] for run in entry["runs"] if run["side"] == "own"):
            return "missed: not reached by all"
        ratios = self.find_ratios(entry, "own")
        met = statistics.median(ratios) >= self.MEDIAN_RATIO
        return "met" if met and min(ratios) >= self.LEAST_RATIO else "missed"

    def format(self, entry):
        rows = []
        for side, (_, _, words) in self.SIDES.items():
            runs = [run for run in entry["runs"] if run["side"] == side]
            if not runs:
                continue
            ratios = [
                self.find_ratios(entry, side, evaluation=kind)
                if side != "keras"
                else []
                for kind in (True, False)
            ]
            rows.append(
                [
                    words,
                    f"{sum(run['reached'] for run in runs)} of {len(runs)}",
                    runner.describe_spread([run["epochs"] for run in runs], ".0f"),
                    runner.describe_spread([run["seconds"] for run in runs], ".1f"),
                    *(runner.describe_spread(r, ".1f") for r in ratios),
                ]
            )
        first = entry["runs"][0]
        header = ["side", f"reached {EXACT_MATCH:g}", "epochs", "seconds"]
        header += ["times sooner than Keras", "without reading the held-out images"]
        return [
            *runner.format_table(header, rows),
            "",
            f"{first['n_train']} images to train on, {first['n_held_out']} held out; "
            "median (lowest to highest) of the seeds. Where Keras did not reach "
            f"{EXACT_MATCH:g}, its time is that of all its epochs.",
        ]


class Prediction(KerasRow):
    SIDES = {  # name -> module, task, and name in words
        "keras": ("keras_example", "read", "Keras"),
        "own": ("ours", "read", "skcaptcha"),
        "onnx": ("ours", "read_onnx", "skcaptcha, exported to ONNX"),
    }
    WAYS = {  # name -> words, whether in seconds rather than images a second
        "paths": ("images a second, from paths", False),
        "arrays": ("images a second, from arrays", False),
        "one": ("seconds for one image, from encoded bytes", True),
    }
    RATIO = 5

    def list_runs(self, arguments, prepared):
        return list_in_turn(self.list_repeats(arguments), self.SIDES, "repeat")

    def measure(self, run, arguments, prepared):
        folder, python, paths, texts = prepared
        script, task, _ = self.SIDES[run["side"]]
        trained = folder / f"{script}.trained"
        if not trained.exists():
            self.train(arguments, prepared, script, seed=0, save=folder)
            trained.touch()
        return runner.run_side(
            script,
            task,
            threads=arguments.threads,
            python=python if script == "keras_example" else sys.executable,
            saved=folder,
            paths=paths,
            texts=texts,
            n_single=10 if arguments.quick else 200,
        )

    def find_values(self, entry, side, way):
        """Return repeat -> what a side reached in a way."""
        return {
            run["repeat"]: run[way]
            for run in entry["runs"]
            if run["side"] == side and way in run
        }

    def find_ratios(self, entry, way, side, other="keras"):
        """Return how many times better than the other a side is, repeat by repeat."""
        if side == other:
            return []
        ours, others = (self.find_values(entry, s, way) for s in (side, other))
        if self.WAYS[way][1]:
            ours, others = others, ours
        return runner.find_ratios(ours, others)

    def judge(self, entry):
        ratios = {way: self.find_ratios(entry, way, "own") for way in self.WAYS}
        if not all(ratios.values()):
            return "open: not run with both"
        missed = [way for way in ratios if statistics.median(ratios[way]) < self.RATIO]
        return f"missed: {', '.join(missed)}" if missed else "met"

    def format(self, entry):
        rows = []
        for way, (words, in_seconds) in self.WAYS.items():
            form = ".4f" if in_seconds else ".0f"
            for side, (_, _, title) in self.SIDES.items():
                values = self.find_values(entry, side, way)
                found = runner.describe_spread(values.values(), form)
                ratios = self.find_ratios(entry, way, side)
                rows.append([title, words, found, runner.describe_spread(ratios)])
            ratios = self.find_ratios(entry, way, "onnx", "own")
            spread = runner.describe_spread(ratios)
            rows.append(["ONNX beside skcaptcha", words, "", spread])
        by_call = self.find_values(entry, "keras", "one_by_call").values()
        found = runner.describe_spread(by_call, ".4f")
        rows.append(["Keras, called as a function", self.WAYS["one"][0], found, ""])
        missing = {run["missing"] for run in entry["runs"] if "missing" in run}
        exact = {run["side"]: run.get("exact_match") for run in entry["runs"]}
        n_repeats = len(self.find_values(entry, "own", "one"))
        return [
            *runner.format_table(["side", "way", "found", "times better"], rows),
            "",
            f"Median (lowest to highest) of {n_repeats}, and times better than Keras "
            "if no other is named. Exact match: "
            + ", ".join(f"{side} {score:.3f}" for side, score in exact.items() if score)
            + ".",
            *(f"Not measured: {reason}" for reason in missing),
        ]


ROWS = {
    "training": Training(
        words="seconds until 0.99 of held-out images of captcha_images_v2 are read",
        seeds=(0, 1, 2, 3, 4),
        target=f"median {Training.MEDIAN_RATIO} times sooner than Keras, each seed "
        f"{Training.LEAST_RATIO} times",
    ),
    "prediction": Prediction(
        words="reading all images of captcha_images_v2",
        repeats=5,
        target=f"{Prediction.RATIO} times better than Keras",
    ),
}


def add_options(parser):
    parser.add_argument(
        "--keras",
        type=Path,
        default=runner.FOLDER / ".keras-venv",
        help="folder of the environment of the Keras side, made where it is missing, "
        "1.6 GB (default: benchmarks/.keras-venv)",
    )


main = partial(runner.run_benchmark, __file__, __doc__, ROWS, add_options=add_options)

if __name__ == "__main__":
    sys.exit(main())
