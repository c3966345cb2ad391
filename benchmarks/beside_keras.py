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

import statistics
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import runner
from sklearn.model_selection import train_test_split

from skcaptcha.datasets import load_image_folder

EXACT_MATCH = 0.99
REQUIREMENTS = runner.FOLDER / "requirements-keras.txt"


@dataclass(frozen=True, kw_only=True)
class KerasRow(runner.Row):
    """What is measured on `captcha_images_v2` in processes of Keras and of ours."""

    archive: str = "captcha_images_v2.zip"

    def prepare(self, arguments, folder):
        python = runner.make_environment(arguments.keras, REQUIREMENTS)
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
    MEDIAN_RATIO, LEAST_RATIO = 100, 10
    SIDES = {  # name -> module, and what it is given
        "Keras": ("keras_example", {}),
        "skcaptcha": ("ours", {}),
        "skcaptcha, pretrained=False": ("ours", {"params": {"pretrained": False}}),
    }

    def measure(self, run, arguments, prepared):
        script, job = self.SIDES[run["side"]]
        return self.train(arguments, prepared, script, run["seed"], **job)

    def find_ratios(self, entry, side):
        """Return the times of Keras as multiples of those of a side, seed by seed.

        Of Keras the time of all epochs counts where it did not get there. Seeds with
        which the other side did not are left out.
        """
        seconds = {"Keras": {}, side: {}}
        for run in entry["runs"]:
            if run["side"] in seconds and (run["reached"] or run["side"] == "Keras"):
                seconds[run["side"]][run["seed"]] = run["seconds"]
        return runner.find_ratios(seconds["Keras"], seconds[side])

    def judge(self, entry):
        runs = self.group(entry).get(("skcaptcha",), [])
        ratios = self.find_ratios(entry, "skcaptcha")
        if not all(run["reached"] for run in runs):
            return "missed: not reached by all"
        if len(ratios) < len(self.seeds):
            return f"open: {len(ratios)} of {len(self.seeds)} seeds run"
        met = statistics.median(ratios) >= self.MEDIAN_RATIO
        return "met" if met and min(ratios) >= self.LEAST_RATIO else "missed"

    def note(self, entry):
        first, lines = entry["runs"][0], []
        for (side,), runs in self.group(entry).items():
            n_reached = sum(run["reached"] for run in runs)
            line = f"{side} reached {EXACT_MATCH:g} in {n_reached} of {len(runs)}"
            if side != "Keras":
                ratios = self.find_ratios(entry, side)
                line += f", {runner.describe_spread(ratios, '.1f')} times sooner"
            lines.append(line)
        return (
            f"{first['n_train']} images to train on, {first['n_held_out']} held out. "
            f"{'; '.join(lines)}."
        )


class Prediction(KerasRow):
    STRIDES = {"params": {"downsampling": "stride"}}
    SIDES = {  # name -> module, task, and what it is given
        "Keras": ("keras_example", "read", {}),
        "skcaptcha": ("ours", "read", {}),
        "skcaptcha, exported to ONNX": ("ours", "read_onnx", {}),
        "skcaptcha, strides": ("ours", "read", STRIDES),
        "skcaptcha, strides, exported to ONNX": ("ours", "read_onnx", STRIDES),
    }
    WAYS = ("paths", "arrays", "one")  # images a second, and seconds for one
    # Times better than Keras: images a second by PyTorch, and by the fastest way, both
    # from arrays; and a single image.
    RATIO, BEST_RATIO, RATIO_OF_ONE = 2.5, 4, 10

    def measure(self, run, arguments, prepared):
        folder, python, paths, texts = prepared
        script, task, job = self.SIDES[run["side"]]
        trained = folder / f"{script}{len(job)}.trained"
        if not trained.exists():
            self.train(arguments, prepared, script, seed=0, save=folder, **job)
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
            **job,
        )

    def find_ratios(self, entry, way, side, other="Keras"):
        """Return how many times better than the other a side is, repeat by repeat."""
        values = {side: {}, other: {}}
        for run in entry["runs"]:
            if run["side"] in values and way in run:
                values[run["side"]][run["repeat"]] = run[way]
        ours, others = values[side], values[other]
        return runner.find_ratios(*((others, ours) if way == "one" else (ours, others)))

    def judge(self, entry):
        _, own, *others = self.SIDES
        by_torch = self.find_ratios(entry, "arrays", own)
        of_one = self.find_ratios(entry, "one", own)
        if not by_torch or not of_one:
            return "open: not run with both"
        best = [self.find_ratios(entry, "arrays", side) for side in others]
        medians = [statistics.median(ratios) for ratios in (by_torch, *best) if ratios]
        parts = {
            "by PyTorch": medians[0] >= self.RATIO,
            "the fastest": max(medians) >= self.BEST_RATIO,
            "a single image": statistics.median(of_one) >= self.RATIO_OF_ONE,
        }
        missed = [words for words, is_met in parts.items() if not is_met]
        return f"missed: {', '.join(missed)}" if missed else "met"

    def note(self, entry):
        keras, *sides = self.SIDES
        lines = []
        for side in sides:
            ratios = [self.find_ratios(entry, way, side) for way in self.WAYS]
            spreads = zip(self.WAYS, map(runner.describe_spread, ratios), strict=True)
            found = (f"{way} {spread}" for way, spread in spreads)
            lines.append(f"{side}, times better than {keras}: {', '.join(found)}.")
        lines += {run["missing"] for run in entry["runs"] if "missing" in run}
        return "\n".join(lines)


ROWS = {
    "training": Training(
        words="seconds until 0.99 of held-out images of captcha_images_v2 are read",
        seeds=(0, 1, 2, 3, 4),
        factors={"side": tuple(Training.SIDES)},
        columns={
            "epochs": ("epochs", ".0f"),
            "seconds": ("seconds", ".1f"),
            "evaluation_seconds": ("of them reading held-out images", ".1f"),
        },
        target=f"median {Training.MEDIAN_RATIO} times sooner than Keras, each seed "
        f"{Training.LEAST_RATIO} times",
    ),
    "prediction": Prediction(
        words="reading all images of captcha_images_v2",
        repeats=5,
        factors={"side": tuple(Prediction.SIDES)},
        columns={
            "paths": ("images a second, from paths", ".0f"),
            "arrays": ("from arrays", ".0f"),
            "one": ("seconds for one image, from bytes", ".4f"),
            "one_by_call": ("by a compiled function", ".4f"),
            "exact_match": ("exact match", ".3f"),
        },
        target=f"{Prediction.RATIO} times the images a second of Keras from arrays, "
        f"{Prediction.BEST_RATIO} times by the fastest way, and one in a tenth of the "
        "time",
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


main = partial(runner.run_benchmark, sys.modules[__name__])

if __name__ == "__main__":
    sys.exit(main())
