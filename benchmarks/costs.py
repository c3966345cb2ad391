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

`networks`: an update and reading, by the default network, which pools after its
convolutions, and by one that has strides in them.

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
from dataclasses import dataclass, field
from functools import partial
from unittest.mock import patch

import joblib
import numpy as np
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
from skcaptcha.model.inference import run_network
from skcaptcha.model.network import for_reading
from skcaptcha.model.prepared import prepare
from skcaptcha.preprocessing import ImageReader
from skcaptcha.training.fit import TrainingConfig
from skcaptcha.training.schedule import Schedule
from skcaptcha.training.step import Trainer

# ---- fits of noise, in processes of their own ------------------------------------

USUAL = {"n_images": 2000, "width": 150, "n_characters": 62, "length": 5}
TIMES = {
    "update": ("seconds an update", ".4f"),
    "processor": ("of the processor", ".4f"),
    "epoch": ("seconds an epoch", ".1f"),
    "start": ("until the first update has ended", ".1f"),
}


def run_noise(task, arguments, **job):
    n_updates = 3 if arguments.quick else 150
    threads = arguments.threads
    return runner.run_side("ours", task, threads=threads, n_updates=n_updates, **job)


@dataclass(frozen=True, kw_only=True)
class Growth(runner.Row):
    """An epoch for each value of a factor; others differ from `USUAL`."""

    others: dict = field(default_factory=dict)
    repeats: int = 3
    n_quick: int = 2
    columns: dict = field(default_factory=lambda: TIMES)
    target: str = "linear or better"

    TOLERANCE = 1.1  # times its cause, for the growth to pass as linear

    def measure(self, run, arguments, folder):
        varied = {name: run[name] for name in self.factors}
        sizes = {**USUAL, **self.others, **varied}
        return run_noise("time_epoch", arguments, cache_size=1000, **sizes)

    def find_growth(self, entry):
        """Return by how much cause and cost grow, from least value to greatest."""
        epochs = {
            value: statistics.median(run["epoch"] for run in runs)
            for (value,), runs in self.group(entry).items()
        }
        least, greatest = min(epochs), max(epochs)
        return greatest / least, epochs[greatest] / epochs[least]

    def judge(self, entry):
        cause, cost = self.find_growth(entry)
        return "met" if cost <= self.TOLERANCE * cause else "missed"

    def note(self, entry):
        cause, cost = self.find_growth(entry)
        return (
            f"{cause:g} times {', '.join(self.factors)} cost {cost:.2f} times the time."
        )


class Memory(runner.Row):
    GIGABYTES = 2.5  # that a fit may take

    def measure(self, run, arguments, folder):
        n_images = runner.N_QUICK if arguments.quick else 100_000
        job = {"n_images": n_images, "width": USUAL["width"]}
        job |= {"color": run["images"] == "color", "cache_size": run["cache_size"]}
        return {"n_images": n_images, **run_noise("measure_memory", arguments, **job)}

    def judge(self, entry):
        peak = max(run["peak"] for run in entry["runs"])
        return "met" if peak <= self.GIGABYTES else "missed"

    def note(self, entry):
        return f"{entry['runs'][0]['n_images']:,} images of 150x40."


class Cache(runner.Row):
    GREATEST_RATIO = 1.3  # of an epoch from the file to one from memory
    SIZES = {"in memory": 1000, "in the file": 0}  # megabytes

    def measure(self, run, arguments, folder):
        n_images = runner.N_QUICK if arguments.quick else 10_000
        job = {**USUAL, "n_images": n_images, "cache_size": self.SIZES[run["images"]]}
        return run_noise("time_epoch", arguments, **job)

    def find_ratios(self, entry, unit):
        """Return for each repeat what the file costs, memory being 1."""
        costs = {images: {} for images in self.SIZES}
        for run in entry["runs"]:
            costs[run["images"]][run["repeat"]] = run[unit]
        return runner.find_ratios(costs["in the file"], costs["in memory"])

    def judge(self, entry):
        ratios = [self.find_ratios(entry, unit) for unit in ("update", "processor")]
        if not all(ratios):
            return "open: not run with both"
        greatest = max(map(statistics.median, ratios))
        return "met" if greatest <= self.GREATEST_RATIO else "missed"

    def note(self, entry):
        update, processor = (
            runner.describe_spread(self.find_ratios(entry, unit))
            for unit in ("update", "processor")
        )
        return (
            f"From the file an update takes {update} times as long, {processor} times "
            "of the processor. The operating system kept the file in memory, as it "
            "does where there is room."
        )


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
        own = (set(r["loaded"]) - set(r["loaded_by_callbacks"]) for r in entry["runs"])
        return "met" if more <= self.SECONDS and not any(own) else "missed"

    def note(self, entry):
        loaded, by_callbacks = (
            ", ".join(entry["runs"][0][name]) or "none"
            for name in ("loaded", "loaded_by_callbacks")
        )
        return (
            f"Of {', '.join(OPTIONAL)}, `{self.OURS}` loads {loaded}, and "
            f"`{self.CALLBACKS}` {by_callbacks}."
        )


# ---- networks --------------------------------------------------------------------


class Networks(runner.Row):
    """An update and reading, of noise as wide as a usual image of five characters."""

    GREATEST_RATIO = 0.55  # of the network with strides to the one that pools
    NAMES = ("pooling", "stride")
    SIZE, N_UPDATE, N_READ = (40, 160), 8, 64

    def measure(self, run, arguments, folder):
        trainer = make_trainer(run["network"] == "pooling")
        rng = np.random.default_rng(0)
        images = list(rng.integers(0, 256, (self.N_READ, *self.SIZE, 1), np.uint8))
        targets = list(rng.integers(1, 37, (self.N_UPDATE, 5)))
        n_times = 3 if arguments.quick else 40
        learn = partial(trainer.train_step, images[: self.N_UPDATE], targets)
        update = statistics.median(clock(learn)[0] for _ in range(n_times))
        network = for_reading(trainer.network)
        read = statistics.median(
            clock(list, run_network(prepare(network), images))[0]
            for _ in range(n_times)
        )
        return {
            "update": 1000 * update / self.N_UPDATE,
            "read": 1000 * read / self.N_READ,
        }

    def find_ratios(self, entry, network, unit):
        """Return for each repeat what a network takes, that which pools being 1."""
        costs = {name: {} for name in self.NAMES}
        for run in entry["runs"]:
            costs[run["network"]][run["repeat"]] = run[unit]
        return runner.find_ratios(costs[network], costs["pooling"])

    def judge(self, entry):
        ratios = [self.find_ratios(entry, "stride", unit) for unit in self.columns]
        if not all(ratios):
            return "open: not run with both"
        greatest = max(map(statistics.median, ratios))
        return "met" if greatest <= self.GREATEST_RATIO else "missed"

    def note(self, entry):
        parts = [
            f"{network} {unit} {runner.describe_spread(ratios)}"
            for network in self.NAMES[1:]
            for unit in self.columns
            if (ratios := self.find_ratios(entry, network, unit))
        ]
        return f"As a multiple of the network that pools: {'; '.join(parts)}."


def make_trainer(pooling):
    config = {"conv_channels": (24, 48, 96, 128, 128), "pooling": pooling}
    config |= {"lstm_units": 128, "lstm_layers": 1, "dropout": 0.3}
    config |= {"n_classes": 37, "in_channels": 1}
    training_config = TrainingConfig(
        batch_size=Networks.N_UPDATE,
        learning_rate_init=3e-3,
        weight_decay=0.01,
        max_iter=1,
        n_iter_no_change=1,
        tol=0.0,
        augmentation=1.0,
        freeze_convolutions=False,
        device=torch.device("cpu"),
        verbose=False,
    )
    schedule = Schedule(3.5, 10**6, 10**6, aligned=True)
    generator = torch.Generator().manual_seed(0)
    return Trainer(config, training_config, schedule, generator)


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


def draw(arguments, n_images):
    warm_up()
    n_images = runner.N_QUICK if arguments.quick else n_images
    return make_captchas(n_images, random_state=0)


make_search = partial(GridSearchCV, refit=False, error_score="raise")


class SearchJobs(runner.Row):
    def prepare(self, arguments, folder):
        return draw(arguments, 400)

    def measure(self, run, arguments, captchas):
        get_reusable_executor().shutdown(wait=True)  # each search starts its own
        n_jobs, start, threads = run["n_jobs"], 0.0, [torch.get_num_threads()]
        if n_jobs > 1:
            tasks = [joblib.delayed(warm_up)()] * n_jobs
            start, threads = clock(joblib.Parallel(n_jobs), tasks)
        search = make_search(
            runner.make_recognizer(arguments, max_iter=20, random_state=0),
            {"learning_rate_init": [1e-3, 3e-3]},
            cv=2,
            scoring=character_accuracy_scorer,
            n_jobs=n_jobs,
        )
        seconds, _ = clock(search.fit, *captchas)
        get_reusable_executor().shutdown(wait=True)
        return {
            "threads": max(threads),
            "start": round(start, 3),
            "search": round(seconds, 3),
            "both": round(start + seconds, 3),
            "scores": search.cv_results_["mean_test_score"].tolist(),
        }

    def find_ratios(self, entry):
        """Return the time of two jobs as a multiple of that of one, as the medians."""
        medians = {
            n_jobs: {0: statistics.median(run["both"] for run in runs)}
            for (n_jobs,), runs in self.group(entry).items()
        }
        return runner.find_ratios(medians.get(2, {}), medians.get(1, {}))

    def judge(self, entry):
        ratios = self.find_ratios(entry)
        if not ratios:
            return "open: not run with both"
        return "met" if ratios[0] < 1 else "missed"

    def note(self, entry):
        ratio = runner.describe_spread(self.find_ratios(entry))
        return (
            "Seconds of a search of 2 candidates by 2 folds, without the refit. Two "
            f"jobs take {ratio} times as long as one."
        )


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
    WAYS = (
        "a search over paths",
        "by Pipeline(memory=...)",
        "by ImageReader(memory=...)",
        "read_images before it",
        "read_images alone",
        "one default fit",
    )

    def prepare(self, arguments, folder):
        """Return files that have just been written, so that none is waited for."""
        images, texts = draw(arguments, 500)
        paths = [str(folder / f"{i}.png") for i in range(len(images))]
        for path, image in zip(paths, images, strict=True):
            Image.fromarray(image).save(path)
        return paths, texts

    def measure(self, run, arguments, captchas):
        counted = CountedOpen()
        with patch.object(Image, "open", counted):
            seconds, scores = clock(self.do, run["way"], arguments, *captchas)
        measured = {"seconds": round(seconds, 3), "n_decoded": next(counted.calls)}
        return {**measured, "scores": scores}

    def do(self, way, arguments, paths, texts):
        """Search, read or fit in one of the ways; return the scores of a search."""
        X = read_images(paths) if "read_images" in way else paths
        if way == "read_images alone":
            return None
        if way == "one default fit":
            runner.make_recognizer(arguments, random_state=0).fit(X, texts)
            return None
        grid, steps = {"learning_rate_init": [1e-3, 2e-3, 3e-3, 1e-2]}, []
        with tempfile.TemporaryDirectory() as folder:
            memory = joblib.Memory(folder, verbose=0)
            by_pipeline = memory if "Pipeline" in way else None
            if "memory" in way:
                reader = ImageReader(memory=None if by_pipeline else memory)
                steps = [("reader", reader)]
            steps.append(("recognizer", CaptchaRecognizer(**SMALLEST)))
            grid = {f"recognizer__{name}": values for name, values in grid.items()}
            search = make_search(
                Pipeline(steps, memory=by_pipeline), grid, cv=3, scoring=final_loss
            ).fit(X, texts)
        return search.cv_results_["mean_test_score"].tolist()

    def judge(self, entry):
        scores = {tuple(run["scores"]) for run in entry["runs"] if run["scores"]}
        return "met" if len(scores) <= 1 else "missed"

    def note(self, entry):
        return "4 candidates by 3 folds, one epoch of a tiny network, no refit."


# ---- rows ------------------------------------------------------------------------

ROWS = {
    "images": Growth(
        words="time of an epoch over the number of images",
        factors={"n_images": (1000, 10_000, 100_000)},
    ),
    "width": Growth(
        words="time of an epoch over the width of the images",
        factors={"width": (75, 150, 300, 600)},
    ),
    "vocabulary": Growth(
        words="time of an epoch over the characters",
        factors={"n_characters": (10, 50, 250, 1000, 5000)},
    ),
    "length": Growth(
        words="time of an epoch over the length of the text",
        factors={"length": (4, 8, 16, 32)},
        others={"width": 480},
    ),
    "memory": Memory(
        words="peak memory of fits on images from files",
        factors={"images": ("gray", "color"), "cache_size": (1000, 0)},
        columns={
            "peak": ("peak of the process in GB", ".2f"),
            "before": ("of it before the fit", ".2f"),
        },
        target=f"at most {Memory.GIGABYTES} GB",
    ),
    "cache": Cache(
        words="updates with images in memory and in the temporary file",
        repeats=3,
        factors={"images": tuple(Cache.SIZES)},
        columns=TIMES,
        target=f"at most {Cache.GREATEST_RATIO:g} times from the file",
    ),
    "imports": Imports(
        words="the import of the recognizer after torch and sklearn",
        repeats=20,
        columns={
            "baseline": (f"`{Imports.BASELINE}`, seconds", ".2f"),
            "ours": (f"`{Imports.OURS}` after it", ".2f"),
        },
        target=f"at most {Imports.SECONDS:g} s more, nothing optional loaded",
    ),
    "networks": Networks(
        words="an update and reading, by each network",
        repeats=7,
        factors={"network": Networks.NAMES},
        columns={
            "update": ("milliseconds an image of an update", ".2f"),
            "read": ("of reading", ".2f"),
        },
        target=f"at most {Networks.GREATEST_RATIO:g} of what one that pools takes",
    ),
    "search_jobs": SearchJobs(
        words="a search by one process and by two",
        repeats=5,
        factors={"n_jobs": (1, 2)},
        columns={
            "threads": ("threads of each", ".0f"),
            "start": ("start of the workers", ".1f"),
            "search": ("search", ".1f"),
            "both": ("start and search", ".1f"),
        },
        target="two jobs, their start included, finish sooner than one",
    ),
    "search_files": SearchFiles(
        words="a search over files that are decoded in four ways",
        repeats=5,
        factors={"way": SearchFiles.WAYS},
        columns={
            "n_decoded": ("files decoded", ",.0f"),
            "seconds": ("seconds", ".2f"),
        },
        target="the same scores in each way",
    ),
}

main = partial(runner.run_benchmark, sys.modules[__name__])

if __name__ == "__main__":
    sys.exit(main())
