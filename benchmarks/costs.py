"""What do a fit, an import and a search cost, in time and memory?

`images`, `width`, `vocabulary`, `length`: how the time of an epoch grows with each.
Images are noise and labels random, 5 of 62 characters on 150x40 pixels unless said
otherwise, so nothing is learned and no font is needed. Each fit runs in a process of
its own, with batches of 16 and otherwise default parameters, on the CPU. It is broken
off after some updates, whose mean time is multiplied by the updates of an epoch. What
comes once an epoch, the shuffling, is left out where an epoch is longer than that.
Longer texts stand on images of 480x40, which have room for them.

`memory`: the peak memory of the whole process, for images from files. `cache`: what
updates cost with images that wait in the temporary file, beside images in memory.

`imports`: what importing the recognizer takes after `import torch, sklearn`, in a fresh
process, and what it loads. What scikit-learn's callbacks load by themselves is said and
does not count, as the recognizer takes these callbacks.

`search_jobs`: a search with the default network by one process and by two.
`search_files`: a search over files with so small a network that decoding them is much
of the work, with each way to read them.
"""

import itertools
import json
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from functools import partial
from unittest.mock import patch

import joblib
import runner
import torch
from joblib.externals.loky import get_reusable_executor
from PIL import Image
from sides.common import clock
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline

from skcaptcha import CaptchaRecognizer
from skcaptcha.datasets import make_captchas
from skcaptcha.images import read_images
from skcaptcha.metrics import character_accuracy_scorer
from skcaptcha.preprocessing import ImageReader

# ---- fits of noise, in processes of their own ------------------------------------

USUAL = {"n_images": 2000, "width": 150, "n_characters": 62, "length": 5}
CACHE_SIZES = {"in memory": 1000, "in the file": 0}  # megabytes
UPDATES = 150  # that are timed


def time_epoch(arguments, cache_size=1000, **sizes):
    return runner.run_side(
        "ours",
        "time_epoch",
        threads=arguments.threads,
        n_updates=3 if arguments.quick else UPDATES,
        cache_size=cache_size,
        **{**USUAL, **sizes},
    )


@dataclass(frozen=True, kw_only=True)
class Growth(runner.Row):
    """What is varied, in which steps, and what differs from `USUAL`."""

    varied: str
    values: tuple
    others: dict = field(default_factory=dict)
    repeats: int = 3
    target: str = "linear or better"

    TOLERANCE = 1.1  # times its cause, for the growth to pass as linear

    def list_runs(self, arguments, folder):
        values = self.values[: 2 if arguments.quick else None]
        return [
            {"repeat": repeat, "value": value}
            for repeat in self.list_repeats(arguments)
            for value in values
        ]

    def measure(self, run, arguments, folder):
        return time_epoch(arguments, **{**self.others, self.varied: run["value"]})

    def find_epochs(self, entry):
        """Return value -> seconds of an epoch, the median over the repeats."""
        seconds = {}
        for run in entry["runs"]:
            seconds.setdefault(run["value"], []).append(run["epoch"])
        return {value: statistics.median(column) for value, column in seconds.items()}

    def find_growth(self, entry):
        """Return by how much cause and cost grow, from least value to greatest."""
        epochs = self.find_epochs(entry)
        least, greatest = min(epochs), max(epochs)
        return greatest / least, epochs[greatest] / epochs[least]

    def judge(self, entry):
        cause, cost = self.find_growth(entry)
        return "met" if cost <= self.TOLERANCE * cause else "missed"

    def format(self, entry):
        epochs = self.find_epochs(entry)
        rows = []
        for value, seconds in epochs.items():
            runs = [run for run in entry["runs"] if run["value"] == value]
            updates = [1000 * run["update"] for run in runs]
            rows.append(
                [
                    f"{value:,}",
                    runner.describe_spread(updates, ".1f"),
                    f"{seconds:.1f}",
                    f"{seconds / epochs[min(epochs)]:.2f}",
                    f"{statistics.median(run['start'] for run in runs):.1f}",
                ]
            )
        header = [
            f"`{self.varied}`",
            "ms an update",
            "seconds an epoch",
            "times the first",
        ]
        header.append("seconds until the first update has ended")
        cause, cost = self.find_growth(entry)
        same = {**USUAL, **self.others}.items()
        usual = ", ".join(f"`{k}` {v:,}" for k, v in same if k != self.varied)
        return [
            *runner.format_table(header, rows),
            "",
            f"{usual}; {entry['runs'][0]['timed_updates']} updates timed in each fit. "
            f"{cause:g} times the `{self.varied}` cost {cost:.2f} times as much.",
        ]


class Memory(runner.Row):
    GIGABYTES = 2.5  # that a fit may take

    def list_runs(self, arguments, folder):
        return [
            {"images": images, "cache_size": size}
            for images in ("gray", "color")
            for size in CACHE_SIZES.values()
        ]

    def measure(self, run, arguments, folder):
        n_images = runner.N_QUICK if arguments.quick else 100_000
        measured = runner.run_side(
            "ours",
            "measure_memory",
            threads=arguments.threads,
            n_images=n_images,
            width=USUAL["width"],
            color=run["images"] == "color",
            cache_size=run["cache_size"],
            n_updates=3 if arguments.quick else UPDATES,
        )
        return {"n_images": n_images, **measured}

    def judge(self, entry):
        peak = max(run["peak"] for run in entry["runs"])
        return "met" if peak <= self.GIGABYTES else "missed"

    def format(self, entry):
        rows = [
            [
                f"{run['n_images']:,} {run['images']}",
                run["cache_size"],
                f"{run['peak']:.2f}",
                f"{run['before']:.2f}",
            ]
            for run in entry["runs"]
        ]
        header = ["images of 150x40", "`cache_size`", "peak of the process in GB"]
        return runner.format_table([*header, "of it before the fit"], rows)


class Cache(runner.Row):
    GREATEST_RATIO = 1.3  # of an epoch from the file to one from memory
    UNITS = {"update": "ms an update", "processor": "ms of the processor"}

    def list_runs(self, arguments, folder):
        return [
            {"repeat": repeat, "images": images}
            for repeat in self.list_repeats(arguments)
            for images in CACHE_SIZES
        ]

    def measure(self, run, arguments, folder):
        n_images = runner.N_QUICK if arguments.quick else 10_000
        cache_size = CACHE_SIZES[run["images"]]
        return time_epoch(arguments, cache_size=cache_size, n_images=n_images)

    def find_ratios(self, entry, unit):
        """Return for each repeat what the file costs, memory being 1."""
        costs = {images: {} for images in CACHE_SIZES}
        for run in entry["runs"]:
            costs[run["images"]][run["repeat"]] = run[unit]
        return runner.find_ratios(costs["in the file"], costs["in memory"])

    def judge(self, entry):
        ratios = [self.find_ratios(entry, unit) for unit in self.UNITS]
        if not all(ratios):
            return "open: not run with both"
        greatest = max(map(statistics.median, ratios))
        return "met" if greatest <= self.GREATEST_RATIO else "missed"

    def format(self, entry):
        rows = []
        for images in CACHE_SIZES:
            runs = [run for run in entry["runs"] if run["images"] == images]
            values = ([1000 * run[unit] for run in runs] for unit in self.UNITS)
            rows.append([images, *(runner.describe_spread(v, ".1f") for v in values)])
        ratios = (self.find_ratios(entry, unit) for unit in self.UNITS)
        rows.append(["ratio", *map(runner.describe_spread, ratios)])
        first = entry["runs"][0]
        return [
            *runner.format_table(["images", *self.UNITS.values()], rows),
            "",
            f"{first['timed_updates']} updates timed. The operating system kept the "
            "file in memory, as it does where there is room.",
        ]


# ---- imports ---------------------------------------------------------------------

OPTIONAL = "cv2 dask distributed matplotlib onnx onnxruntime rich skops".split()
IMPORTS = """
import json, sys, time
seconds = []
for statement in {statements}:
    start = time.perf_counter()
    exec(statement)
    seconds.append(round(time.perf_counter() - start, 4))
print(json.dumps([seconds, sorted(set({modules}) & set(sys.modules))]))
"""


def run_imports(statements, threads):
    """Import in a fresh process; return the seconds, and what optional it loads."""
    code = IMPORTS.format(statements=statements, modules=OPTIONAL)
    return json.loads(runner.run_python(["-c", code], threads=threads))


class Imports(runner.Row):
    SECONDS = 0.3  # that ours may take more
    BASELINE, OURS = "import torch, sklearn", "from skcaptcha import CaptchaRecognizer"
    CALLBACKS = "import torch, sklearn.callback"

    def prepare(self, arguments, folder):
        """Bring the files into the cache; return what the callbacks load."""
        return run_imports([self.CALLBACKS], arguments.threads)[1]

    def measure(self, run, arguments, by_callbacks):
        # In one process, as two would differ by more than what ours takes.
        seconds, loaded = run_imports([self.BASELINE, self.OURS], arguments.threads)
        measured = dict(zip(("baseline", "ours"), seconds, strict=True))
        return {**measured, "loaded": loaded, "loaded_by_callbacks": by_callbacks}

    def judge(self, entry):
        more = statistics.median(run["ours"] for run in entry["runs"])
        own = [
            set(run["loaded"]) - set(run["loaded_by_callbacks"])
            for run in entry["runs"]
        ]
        return "met" if more <= self.SECONDS and not any(own) else "missed"

    def format(self, entry):
        runs = entry["runs"]
        cells = [
            runner.describe_spread([run[name] for run in runs])
            for name in ("baseline", "ours")
        ]
        header = [f"`{self.BASELINE}`, seconds", f"`{self.OURS}` after it"]
        loaded, by_callbacks = runs[0]["loaded"], runs[0]["loaded_by_callbacks"]
        return [
            *runner.format_table(header, [cells]),
            "",
            f"Median (lowest to highest) of {len(runs)} processes. Of "
            f"{', '.join(OPTIONAL)}, `{self.OURS}` loads "
            f"{', '.join(loaded) or 'none'}, and `{self.CALLBACKS}` "
            f"{', '.join(by_callbacks) or 'none'}.",
        ]


# ---- searches --------------------------------------------------------------------

SMALLEST = {
    "conv_channels": (4, 4),
    "lstm_units": 4,
    "image_height": 16,
    "max_iter": 1,
    "random_state": 0,
}


def warm_up():
    """Fit once, which imports all that a fit needs; return the number of threads."""
    with runner.only_measurements():
        CaptchaRecognizer(**SMALLEST).fit(*make_captchas(4, random_state=0))
    return torch.get_num_threads()


def search(estimator, grid, X, y, **params):
    found = GridSearchCV(estimator, grid, refit=False, error_score="raise", **params)
    return found.fit(X, y)


class SearchJobs(runner.Row):
    N_JOBS = (1, 2)
    PARAMS = {"max_iter": 20, "random_state": 0}

    def prepare(self, arguments, folder):
        warm_up()
        return make_captchas(runner.N_QUICK if arguments.quick else 400, random_state=0)

    def list_runs(self, arguments, captchas):
        return [
            {"repeat": repeat, "n_jobs": n_jobs}
            for repeat in self.list_repeats(arguments)
            for n_jobs in self.N_JOBS
        ]

    def measure(self, run, arguments, captchas):
        get_reusable_executor().shutdown(wait=True)  # each search starts its own
        n_jobs, start, threads = run["n_jobs"], 0.0, [torch.get_num_threads()]
        if n_jobs > 1:
            tasks = [joblib.delayed(warm_up)()] * n_jobs
            start, threads = clock(joblib.Parallel(n_jobs), tasks)
        started = time.perf_counter()
        found = search(
            runner.make_recognizer(arguments, **self.PARAMS),
            {"learning_rate_init": [1e-3, 3e-3]},
            *captchas,
            cv=2,
            scoring=character_accuracy_scorer,
            n_jobs=n_jobs,
        )
        seconds = time.perf_counter() - started
        get_reusable_executor().shutdown(wait=True)
        return {
            "threads": max(threads),
            "start": round(start, 3),
            "search": round(seconds, 3),
            "scores": found.cv_results_["mean_test_score"].tolist(),
        }

    def find_medians(self, entry):
        """Return jobs -> median seconds of start and search."""
        medians = {}
        for n_jobs in self.N_JOBS:
            runs = [run for run in entry["runs"] if run["n_jobs"] == n_jobs]
            if runs:
                medians[n_jobs] = [
                    statistics.median(run["start"] for run in runs),
                    statistics.median(run["search"] for run in runs),
                    statistics.median(run["start"] + run["search"] for run in runs),
                ]
        return medians

    def judge(self, entry):
        medians = self.find_medians(entry)
        if len(medians) < 2:
            return "open: not run with both"
        return "met" if medians[2][-1] < medians[1][-1] else "missed"

    def format(self, entry):
        medians = self.find_medians(entry)
        threads = {run["n_jobs"]: run["threads"] for run in entry["runs"]}
        rows = [
            [
                n_jobs,
                threads[n_jobs],
                *(f"{seconds:.1f}" for seconds in found),
                f"{found[-1] / medians[min(medians)][-1]:.2f}",
            ]
            for n_jobs, found in medians.items()
        ]
        header = ["`n_jobs`", "threads of each", "start of the workers", "search"]
        header += ["start and search", "ratio to one job"]
        return [
            *runner.format_table(header, rows),
            "",
            "Median seconds of a search of 2 candidates by 2 folds, without the refit.",
        ]


def final_loss(recognizer, X, y):
    """Return the loss of the last epoch, a score that tells any two fits apart."""
    steps = getattr(recognizer, "named_steps", {"recognizer": recognizer})
    recognizer.predict(X)  # what a score of what is read would do
    return -steps["recognizer"].loss_curve_[-1]


class CountedOpen:
    """`PIL.Image.open` that counts the files which it opens."""

    def __init__(self):
        self.original = Image.open
        self.calls = itertools.count()

    def __call__(self, *args, **kwargs):
        next(self.calls)  # atomic, and files are decoded in threads
        return self.original(*args, **kwargs)


class SearchFiles(runner.Row):
    GRID = {"learning_rate_init": [1e-3, 2e-3, 3e-3, 1e-2]}
    WAYS = {
        "paths": "the search is given paths",
        "pipeline": "a pipeline with `memory` reads them in its first step",
        "reader": "an `ImageReader` with `memory` reads them in a pipeline",
        "once": "`read_images` reads them before the search",
        "reading": "`read_images` alone, and no search",
        "fit": "one fit with default parameters, and no search",
    }

    def prepare(self, arguments, folder):
        """Return files that have just been written, so that none is waited for."""
        warm_up()
        n_images = runner.N_QUICK if arguments.quick else 500
        images, texts = make_captchas(n_images, random_state=0)
        paths = [str(folder / f"{i}.png") for i in range(n_images)]
        for path, image in zip(paths, images, strict=True):
            Image.fromarray(image).save(path)
        return paths, texts

    def list_runs(self, arguments, captchas):
        return [
            {"repeat": repeat, "way": way}
            for repeat in self.list_repeats(arguments)
            for way in self.WAYS
        ]

    def measure(self, run, arguments, captchas):
        counted = CountedOpen()
        with patch.object(Image, "open", counted):
            seconds, scores = clock(self.do, run["way"], arguments, *captchas)
        measured = {"seconds": round(seconds, 3), "n_decoded": next(counted.calls)}
        return {**measured, "scores": scores}

    def do(self, way, arguments, paths, texts):
        """Search, read or fit in one of the ways; return the scores of a search."""
        if way == "reading":
            read_images(paths)
            return None
        if way == "fit":
            runner.make_recognizer(arguments, random_state=0).fit(paths, texts)
            return None
        X, grid, estimator = paths, self.GRID, CaptchaRecognizer(**SMALLEST)
        with tempfile.TemporaryDirectory() as folder:
            if way == "once":
                X = read_images(paths)
            elif way in ("pipeline", "reader"):
                memory = joblib.Memory(folder, verbose=0)
                reader = ImageReader(memory=memory if way == "reader" else None)
                estimator = Pipeline(
                    [("reader", reader), ("recognizer", estimator)],
                    memory=memory if way == "pipeline" else None,
                )
                grid = {f"recognizer__{name}": values for name, values in grid.items()}
            found = search(estimator, grid, X, texts, cv=3, scoring=final_loss)
        return found.cv_results_["mean_test_score"].tolist()

    def judge(self, entry):
        scores = {tuple(run["scores"]) for run in entry["runs"] if run["scores"]}
        return "met" if len(scores) <= 1 else "missed"

    def format(self, entry):
        rows = []
        for way, words in self.WAYS.items():
            runs = [run for run in entry["runs"] if run["way"] == way]
            if runs:
                seconds = [run["seconds"] for run in runs]
                spread = runner.describe_spread(seconds)
                rows.append([words, f"{runs[0]['n_decoded']:,}", spread])
        return [
            *runner.format_table(["way", "files decoded", "seconds"], rows),
            "",
            "A search of 4 candidates by 3 folds, a tiny network of one epoch, without "
            "the refit.",
        ]


# ---- rows ------------------------------------------------------------------------

ROWS = {
    "images": Growth(
        words="time of an epoch over the number of images",
        varied="n_images",
        values=(1000, 10_000, 100_000),
    ),
    "width": Growth(
        words="time of an epoch over the width of the images",
        varied="width",
        values=(75, 150, 300, 600),
    ),
    "vocabulary": Growth(
        words="time of an epoch over the characters",
        varied="n_characters",
        values=(10, 50, 250, 1000, 5000),
    ),
    "length": Growth(
        words="time of an epoch over the length of the text",
        varied="length",
        values=(4, 8, 16, 32),
        others={"width": 480},
    ),
    "memory": Memory(
        words="peak memory of fits on images from files",
        target=f"at most {Memory.GIGABYTES} GB",
    ),
    "cache": Cache(
        words="updates with images in memory and in the temporary file",
        repeats=3,
        target=f"at most {Cache.GREATEST_RATIO:g} times from the file",
    ),
    "imports": Imports(
        words="the import of the recognizer after torch and sklearn",
        repeats=20,
        target=f"at most {Imports.SECONDS:g} s more, nothing optional loaded",
    ),
    "search_jobs": SearchJobs(
        words="a search by one process and by two",
        repeats=5,
        target="two jobs, their start included, finish sooner than one",
    ),
    "search_files": SearchFiles(
        words="a search over files that are decoded in four ways",
        repeats=5,
        target="the same scores in each way",
    ),
}


main = partial(runner.run_benchmark, __file__, __doc__, ROWS)

if __name__ == "__main__":
    sys.exit(main())
