"""How long does it take to start, and what does a service that only reads need?

`commands`: processor time of new processes, each kind in turn. `service`: processor
time and memory of a process that loads a model and reads images one by one.
`environment`: the size of what is installed to read ONNX files, and of all that
skcaptcha requires. The sets: a short fit of each, exported with weights of fewer bits,
on images that it has not seen.
"""

import json
import os
import re
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from importlib import metadata
from pathlib import Path

import accuracy
import joblib
import numpy as np
import runner
from packaging.requirements import Requirement
from PIL import Image

from skcaptcha import load_pretrained, persistence
from skcaptcha.datasets import make_captchas
from skcaptcha.export import export_onnx, load_onnx

# ---- commands --------------------------------------------------------------------

RUN = ["-m", "skcaptcha"]
COMMANDS = {
    "python": ["-c", "pass"],
    "import skcaptcha": ["-c", "import skcaptcha"],
    "skcaptcha --help": [*RUN, "--help"],
    "info model.onnx": [*RUN, "info", "model.onnx"],
    "info model.joblib": [*RUN, "info", "model.joblib"],
    "info model.skops": [*RUN, "info", "model.skops"],
    "predict model.onnx": [*RUN, "predict", "model.onnx", "0.png"],
    "predict model.joblib": [*RUN, "predict", "model.joblib", "0.png"],
    "import torch": ["-c", "import torch"],
    "import torch, sklearn": ["-c", "import torch, sklearn"],
}


def make_models(folder, n_images=20):
    """Write a model in all forms, and images that it can read; return their paths."""
    images, _ = make_captchas(n_images, length=5, random_state=0)
    reader = load_pretrained(images)
    joblib.dump(reader, folder / "model.joblib")
    persistence.dump(reader, folder / "model.skops")
    export_onnx(reader, folder / "model.onnx")
    paths = [folder / f"{i}.png" for i in range(n_images)]
    for path, image in zip(paths, images, strict=True):
        Image.fromarray(image).save(path)
    return paths


@dataclass(frozen=True, kw_only=True)
class Commands(runner.Row):
    repeats: int = 10
    factors: dict = field(default_factory=lambda: {"command": tuple(COMMANDS)})
    columns: dict = field(
        default_factory=lambda: {
            "processor": ("processor time (s)", ".2f"),
            "seconds": ("time (s)", ".2f"),
        }
    )
    target: str = (
        "0.15 s above Python for an import and the help, 0.8 s with model.onnx and for "
        "info, and 0.5 s above import torch to read with model.joblib"
    )

    def prepare(self, arguments, folder):
        make_models(folder)
        for name in COMMANDS:  # once, as an installed package is compiled
            self.start(name, arguments, folder)
        return folder

    def start(self, name, arguments, folder):
        environment = {**os.environ, "PYTHONPATH": str(runner.ROOT)}
        environment["OMP_NUM_THREADS"] = str(arguments.threads)
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        subprocess.run(
            [sys.executable, *COMMANDS[name]],
            cwd=folder,
            env=environment,
            stdout=subprocess.DEVNULL,
            check=True,
        )

    def measure(self, run, arguments, folder):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        start = time.perf_counter()
        self.start(run["command"], arguments, folder)
        seconds = time.perf_counter() - start
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent = (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime)
        return {"processor": spent, "seconds": seconds}

    def list_medians(self, entry):
        return {
            key[0]: statistics.median(run["processor"] for run in runs)
            for key, runs in self.group(entry).items()
        }

    def note(self, entry):
        """Say what does not depend on how fast the machine is just then."""
        spent = self.list_medians(entry)
        if spent.keys() < set(COMMANDS):
            return ""
        times = ", ".join(
            f"{name} {seconds / spent['python']:.1f} "
            f"({seconds / spent['import torch']:.2f})"
            for name, seconds in spent.items()
        )
        return f"In starts of Python (in imports of torch): {times}."

    def judge(self, entry):
        spent = self.list_medians(entry)
        if spent.keys() < set(COMMANDS):
            return "open: not all were run"
        missed = [
            name
            for name, most in {
                "import skcaptcha": spent["python"] + 0.15,
                "skcaptcha --help": spent["python"] + 0.15,
                "info model.onnx": 0.8,
                "info model.joblib": 0.8,
                "info model.skops": 0.8,
                "predict model.onnx": 0.8,
                "predict model.joblib": spent["import torch"] + 0.5,
            }.items()
            if spent[name] > most
        ]
        return f"missed by {', '.join(missed)}" if missed else "met"


# ---- service ---------------------------------------------------------------------

LOADS = {
    "ONNX Runtime": "from skcaptcha.export import load_onnx as load",
    "PyTorch": "from joblib import load",
}
SERVICE = """
import json, pathlib, re, statistics, sys, time
{load}
reader = load(sys.argv[1])
loaded = time.process_time()
seconds = []
for path in sys.argv[2:]:
    start = time.process_time()
    reader.predict([path])
    seconds.append(time.process_time() - start)
status = pathlib.Path("/proc/self/status").read_text()
print(json.dumps({{
    "load": loaded,
    "first": 1000 * seconds[0],
    "next": 1000 * statistics.median(seconds[1:]),
    "memory": int(re.search(r"VmHWM:\\s+(\\d+)", status)[1]) / 1024,
}}))
"""


@dataclass(frozen=True, kw_only=True)
class Service(runner.Row):
    """Processor times, and memory as Linux tells it of the process itself."""

    repeats: int = 5
    factors: dict = field(default_factory=lambda: {"network by": tuple(LOADS)})
    columns: dict = field(
        default_factory=lambda: {
            "load": ("start and load (s)", ".2f"),
            "first": ("first image (ms)", ".1f"),
            "next": ("next image (ms)", ".1f"),
            "memory": ("most memory (MiB)", ".0f"),
        }
    )

    def prepare(self, arguments, folder):
        return folder, make_models(folder)

    def measure(self, run, arguments, prepared):
        folder, paths = prepared
        load = LOADS[run["network by"]]
        model = folder / ("model.onnx" if "load_onnx" in load else "model.joblib")
        code = SERVICE.format(load=load)
        printed = runner.run_python(
            ["-c", code, model, *paths], threads=arguments.threads
        )
        return json.loads(printed)


# ---- environment -----------------------------------------------------------------

LIGHT = ("numpy", "pillow", "onnxruntime", "skcaptcha")
FULL = (*LIGHT, "onnx")


def list_needed(name, found=None, *, with_requirements=True):
    """Return the names of a distribution and of all that it requires."""
    found = set() if found is None else found
    key = re.sub(r"[-_.]+", "-", name).lower()
    if key in found:
        return found
    found.add(key)
    for text in metadata.requires(name) or () if with_requirements else ():
        requirement = Requirement(text)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            list_needed(requirement.name, found)
    return found


def measure_size(name):
    """Return the bytes of the files of a distribution; of ours those of the source."""
    if name == "skcaptcha":
        files = (runner.ROOT / "skcaptcha").rglob("*")
        return sum(
            f.stat().st_size for f in files if f.suffix != ".pyc" and f.is_file()
        )
    found = metadata.distribution(name)
    paths = (Path(found.locate_file(file)) for file in found.files or ())
    return sum(path.stat().st_size for path in paths if path.is_file())


@dataclass(frozen=True, kw_only=True)
class Environment(runner.Row):
    repeats: int = 1
    columns: dict = field(
        default_factory=lambda: {
            "light": ("NumPy, Pillow, onnxruntime, skcaptcha (MiB)", ",.0f"),
            "full": ("skcaptcha[onnx] with all that it requires (MiB)", ",.0f"),
        }
    )

    def measure(self, run, arguments, folder):
        light = set().union(
            *(list_needed(n, with_requirements=n != "skcaptcha") for n in LIGHT)
        )
        full = set().union(*map(list_needed, FULL))
        sizes = {name: measure_size(name) for name in full | light}
        return {
            "light": sum(sizes[name] for name in light) / 2**20,
            "full": sum(sizes[name] for name in full) / 2**20,
            "largest": {n: round(s / 2**20) for n, s in sizes.items() if s > 2**24},
        }

    def note(self, entry):
        run = entry["runs"][-1]
        largest = sorted(run["largest"].items(), key=lambda item: -item[1])
        named = ", ".join(f"{name} {size}" for name, size in largest)
        return f"MiB of the largest: {named}."


# ---- weights ---------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Weights(runner.Row):
    """A set whose images are read with weights of fewer bits."""

    split: Callable  # as in accuracy.py
    n_train: int = 300
    n_test: int = 500
    max_iter: int = 6
    factors: dict = field(
        default_factory=lambda: {"dtype": ("float32", "float16", "int8")}
    )
    columns: dict = field(
        default_factory=lambda: {
            "kilobytes": ("kB", ",.0f"),
            "n_test": ("texts", "d"),
            "differing": ("other texts", "d"),
            "exact_match": ("exact match", ".3f"),
            "milliseconds": ("one image (ms)", ".1f"),
        }
    )

    def prepare(self, arguments, folder):
        X, X_test, y, y_test = runner.shorten(
            arguments, *self.split(folder, None, seed=0)
        )
        recognizer = runner.make_recognizer(
            arguments, max_iter=self.max_iter, random_state=0
        )
        recognizer.fit(X[: self.n_train], y[: self.n_train])
        return folder, recognizer, X_test[: self.n_test], y_test[: self.n_test]

    def measure(self, run, arguments, prepared):
        folder, recognizer, X, y = prepared
        path = folder / f"{run['dtype']}.onnx"
        export_onnx(recognizer, path, dtype=run["dtype"])
        reader, seconds = load_onnx(path, n_jobs=1), []
        for item in X[:50]:
            start = time.process_time()
            reader.predict([item])
            seconds.append(time.process_time() - start)
        texts = reader.predict(X)
        return {
            "kilobytes": path.stat().st_size / 1000,
            "n_test": len(y),
            "differing": int(np.sum(texts != recognizer.predict(X))),
            "exact_match": float(np.mean(texts == np.array(y, object))),
            "milliseconds": 1000 * statistics.median(seconds),
        }


def make_row(name, split=None):
    split = split or partial(accuracy.split_table, name=name)
    return Weights(
        words=f"weights of fewer bits: {name}", archive=f"{name}.zip", split=split
    )


def split_captcha_images(folder, part, seed):
    return accuracy.split_few(folder, 400, seed)


ROWS = {
    "commands": Commands(words="processor time of new processes"),
    "service": Service(words="a process that reads images one by one"),
    "environment": Environment(words="the size of what is installed"),
    "captcha_images_v2": make_row("captcha_images_v2", split_captcha_images),
    **{
        name: make_row(name)
        for name in ("digits4", "swust4_2019b", "kaptcha_pku", "sysu4_mixed")
    },
}

main = partial(runner.run_benchmark, sys.modules[__name__])


if __name__ == "__main__":
    sys.exit(main())
