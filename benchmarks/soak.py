"""Does it hold: for long, and for images that are odd, broken or damaged?

One process predicts 100,000 times, then 20,000 times from 16 threads; then it meets
each kind of odd, cut off and hostile image of tests/support/hostile.py 10,000 times, in
`predict` and, where the image is refused, in `fit` as well. Odd images are read ten in
a call, all others one. Each answer has to be the right one, and each refusal an error
that names the item. After a warm-up and in the end memory, Python's memory blocks, open
files and threads are counted. The network is tiny, since its size changes nothing of
what is counted.

`damaged`: files of every format are damaged at random for some minutes, as
`sides/damaged_files.py` describes.
"""

import functools
import gc
import io
import os
import pickle
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import cycle, islice
from pathlib import Path

import numpy as np
import PIL
import runner
from PIL import Image
from sides import damaged_files

from skcaptcha import CaptchaRecognizer
from skcaptcha.datasets import make_captchas
from skcaptcha.exceptions import ImageReadError

sys.path.append(str(runner.ROOT / "tests"))
from support import hostile  # noqa: E402

N_THREADS = 16
N_AT_ONCE = 10  # odd images in a call
# What an item of X may be refused with.
OURS = (ImageReadError, FileNotFoundError, TypeError, ValueError)
SMALL = {
    "conv_channels": (8, 16, 32, 64),
    "lstm_units": 16,
    "image_height": 16,
    "max_iter": 1,
    "n_jobs": 1,
    "device": "cpu",
    "random_state": 0,
}


# ---- what is repeated ------------------------------------------------------------


@functools.cache
def fit_recognizer():
    """Return a tiny recognizer that was fitted for a moment, and images for it."""
    images, texts = make_captchas(
        50, vocabulary="0123", length=2, size=(16, 48), random_state=0
    )
    with runner.only_measurements():
        return CaptchaRecognizer(**SMALL).fit(images, texts), images


def make_readers(recognizer, images, folder):
    """Return functions that predict an image each, in all the forms of X."""
    readers = []
    for i, pixels in enumerate(images):
        data = hostile.encode(pixels)
        path = folder / f"{i}.png"
        path.write_bytes(data)
        form = (pixels, data, path, Image.open(io.BytesIO(data)), str(path))[i % 5]
        readers.append(make_reader(recognizer, form, generator=i % 2 == 1))
    return readers


def make_reader(recognizer, item, n_at_once=1, *, generator=False):
    """Return a function that predicts an image, which has to read as it does now."""
    expected = recognizer.predict([item]).tolist() * n_at_once

    def read():
        X = [item] * n_at_once
        X = iter(X) if generator else X
        found = recognizer.predict(X).tolist()
        return None if found == expected else f"{found} and not {expected}"

    return read


def make_refuser(call, start, item, message):
    """Return a function that calls with an item, which has to be refused."""

    def refuse():
        try:
            call(item)
        except OURS as error:
            words = str(error)
            if type(error) in OURS and words.startswith(start):
                if re.search(message, words, re.DOTALL):
                    return None
            return f"{type(error).__name__}: {words}"
        # A file that lacks only its last bytes may be read.
        return None if message.startswith("is (empty") else "it was not refused"

    return refuse


def list_cut(pixels, folder):
    """Return files cut off, by their format, with what their error says."""
    return {
        f"{format}, cut off": [
            (part, "is (empty|not an image|truncated)")
            for part in hostile.cut_at_tenths(hostile.encode(pixels, format))
        ]
        for format in hostile.FORMATS
    }


def list_bad(pixels, folder):
    """Return what is no image, by its kind, with what its error says."""
    items = {}
    for kind in hostile.BAD:
        (folder / kind).mkdir(exist_ok=True)
        try:
            item, message = hostile.make_bad(kind, folder / kind)
        except NotImplementedError:
            continue
        if kind == "a locked file" and os.access(item, os.R_OK):
            continue  # root may read it
        items[kind] = [(item, message)]
    return items


def make_kinds_to_read(folder, *, odd=False):
    """Return functions that predict, by the kind of their images."""
    recognizer, images = fit_recognizer()
    if not odd:
        return {"one image": make_readers(recognizer, images, folder)}
    kinds = hostile.make_variants(images[0])
    for shape in hostile.SHAPES:
        name = "{} x {} pixels".format(*shape)
        kinds[name] = hostile.encode(np.full(shape, 255, np.uint8))
    return {
        kind: [make_reader(recognizer, item, N_AT_ONCE)] for kind, item in kinds.items()
    }


def make_kinds_to_refuse(folder, *, items, fit=False):
    """Return functions that have to be refused an image, by the kind of these."""
    recognizer, images = fit_recognizer()
    good = images[:2] if fit else []

    def call(item):
        if fit:
            CaptchaRecognizer(**SMALL).fit([*good, item], ["0", "1", "2"])
        else:
            recognizer.predict([item])

    return {
        kind: [make_refuser(call, f"X[{len(good)}]=", *item) for item in some]
        for kind, some in items(images[0], folder).items()
    }


# ---- counting --------------------------------------------------------------------


def count():
    """Return what must not grow in this process."""
    gc.collect()
    return {
        "memory_mib": round(damaged_files.measure_memory(), 2),
        "blocks": sys.getallocatedblocks(),
        "files": len(os.listdir("/proc/self/fd")),
        "threads": threading.active_count(),
    }


def repeat(functions, n_calls, pool=None):
    """Call functions in turn; return the counts before and after, and what was wrong.

    The functions take nothing and return None, or what was wrong. A warm-up of a tenth
    of the calls comes first. With a `pool` its threads call.
    """
    wrong, turn = Counter(), cycle(functions)

    def call_next(n):
        answers = (pool.map if pool else map)(_call, islice(turn, n))
        wrong.update(answer for answer in answers if answer is not None)

    call_next(max(n_calls // 10, 2 * len(functions)))
    counts = [count()]
    call_next(n_calls)
    return {"counts": [*counts, count()], "wrong": dict(wrong)}


def _call(function):
    return function()


def find_growth(run, name):
    """Return by how much a count grew, over what it was after the warm-up."""
    return run["counts"][-1][name] - run["counts"][0][name]


@dataclass(frozen=True, kw_only=True)
class Repeated(runner.Row):
    """What is repeated, and how often for each of its kinds."""

    make_kinds: Callable  # folder -> functions by the kind of their images
    n_images: int = 10_000
    n_at_once: int = 1  # in a call
    threads: bool = False

    target: str = "at most 4 MiB in each kind, no file, no thread, no wrong answer"

    MEMORY = 4.0  # MiB by which memory may grow, in each kind
    BLOCKS = 1000  # of Python's memory, likewise

    def prepare(self, arguments, folder):
        if not Path("/proc/self/statm").exists():
            raise SystemExit("memory is counted in /proc, which this system has not")
        return self.make_kinds(folder)

    def list_runs(self, arguments, kinds):
        return [{"kind": kind} for kind in kinds]

    def measure(self, run, arguments, kinds):
        n_calls = self.n_images // self.n_at_once // (1000 if arguments.quick else 1)
        gc.freeze()  # what is there already need not be gone through at each count
        with ThreadPoolExecutor(N_THREADS) as pool:
            found = repeat(kinds[run["kind"]], n_calls, pool if self.threads else None)
        gc.unfreeze()
        n_images = n_calls * self.n_at_once
        return {"n_images": n_images, **found, "versions": {"pillow": PIL.__version__}}

    def judge(self, entry):
        for run in entry["runs"]:
            flat = find_growth(run, "memory_mib") <= self.MEMORY
            flat &= find_growth(run, "blocks") <= self.BLOCKS
            flat &= find_growth(run, "files") <= 0 and find_growth(run, "threads") <= 0
            if run["wrong"] or not flat:
                return f"missed: {run['kind']}"
        return "met"

    def format(self, entry):
        runs = entry["runs"]
        found = {
            "kinds": len(runs),
            "images in all": f"{sum(run['n_images'] for run in runs):,}",
            "MiB that a kind gained at most": "{:.2f}".format(
                max(find_growth(run, "memory_mib") for run in runs)
            ),
            "files left open": max(find_growth(run, "files") for run in runs),
            "wrong answers": sum(sum(run["wrong"].values()) for run in runs),
        }
        return runner.format_table(list(found), [found.values()])


# ---- damaged files ---------------------------------------------------------------

SECONDS = 100  # of a process
SLOW = 10  # seconds that a file takes from which on it is a finding
HANG = 120  # seconds that a process may take longer until it is ended
GROWTH = 100  # MiB by which a process may grow after its first inputs


def make_corpus():
    """Return small whole files in many forms, by names that begin with the format."""
    rng = np.random.default_rng(0)
    gray, rgb, cmyk = (
        Image.fromarray(rng.integers(0, 256, (12, 20, *more), np.uint8), mode)
        for more, mode in (((), "L"), ((3,), "RGB"), ((4,), "CMYK"))
    )
    files = [
        b"P1 # bits\n4 2\n1 0 1 0 0 1 0 1\n",
        b"P2\n4 2\n255\n0 9 99 255 1 2 3 4\n",
    ]
    variants = hostile.make_variants(np.asarray(gray)).values()
    files += [data for data in variants if isinstance(data, bytes)]
    for format in (*hostile.FORMATS, "PPM"):
        files += [hostile.encode(image, format) for image in (gray, rgb)]
    files += [
        hostile.encode(rgb, "JPEG", progressive=True),
        hostile.encode(rgb, "JPEG", subsampling=2, restart_marker_blocks=1),
        hostile.encode(cmyk, "JPEG"),
        hostile.encode(rgb, "TIFF", compression="jpeg"),
        hostile.encode(gray.convert("1"), "TIFF", compression="group4"),
    ]
    formats = [Image.open(io.BytesIO(data)).format for data in files]
    return {f"{formats[i]} {i}": data for i, data in enumerate(files)}


class Damaged(runner.Row):
    """Damaged files, tried in processes that are started until the time is up."""

    def list_runs(self, arguments, folder):
        return [{"seed": 0, "minutes": 0.03 if arguments.quick else arguments.minutes}]

    def measure(self, run, arguments, folder):
        pickled = folder / "pickled"
        pickled.write_bytes(pickle.dumps((fit_recognizer()[0], make_corpus())))
        kept = arguments.output.parent / "scratch" / "damaged"
        job = {"pickled": pickled, "slow": SLOW, "kept": kept}
        total = {"n_inputs": 0, "by_format": {}, "findings": {}, "memory_mib": []}
        end = time.monotonic() + 60 * run["minutes"]
        while (left := end - time.monotonic()) > 0:
            job |= {"seconds": min(left, SECONDS), "seed": len(total["memory_mib"])}
            add_up(total, try_inputs(job))
        return {**total, "versions": {"pillow": PIL.__version__}}

    def judge(self, entry):
        found = [kind for run in entry["runs"] for kind in run["findings"]]
        return f"missed: {', '.join(found)}" if found else "met"

    def format(self, entry):
        (run,) = entry["runs"]
        rows = [[form, *counts.values()] for form, counts in run["by_format"].items()]
        lines = [f"{run['n_inputs']:,} inputs in {run['minutes']:g} minutes."]
        for kind, finding in run["findings"].items():
            where = f"{finding['file']}\n{finding['details']}"
            lines.append(f"{kind}, {finding['count']} times: {where}")
        header = ["damaged files", "read", "refused", "found"]
        return [*runner.format_table(header, rows), "", *lines]


def try_inputs(job):
    """Return what came of inputs in a process; its crash or hang is a finding too."""
    timeout = job["seconds"] + HANG
    try:
        return runner.run_side(
            "damaged_files", "try_inputs", threads=1, timeout=timeout, **job
        )
    except (RuntimeError, subprocess.TimeoutExpired) as error:
        tally = damaged_files.Tally(None, job["slow"], job["kept"])
        current = job["pickled"].with_name("current")
        data = current.read_bytes() if current.exists() else b""
        tally.note(f"{type(error).__name__} of a process", data, str(error))
        found = {"n_inputs": 0, "by_format": {}, "memory_mib": []}
        return {**found, "findings": tally.findings}


def add_up(total, summary):
    """Add what came of inputs in one process to what came of them in others."""
    memory = summary["memory_mib"]
    if memory and memory[-1] - memory[0] > GROWTH:
        found = {"details": f"{memory} MiB", "file": "", "count": 1}
        summary["findings"]["memory grows"] = found
    total["n_inputs"] += summary["n_inputs"]
    total["memory_mib"].append(memory)
    for form, counts in summary["by_format"].items():
        old = total["by_format"].setdefault(form, dict.fromkeys(counts, 0))
        old |= {outcome: old[outcome] + n for outcome, n in counts.items()}
    for kind, finding in summary["findings"].items():
        old = total["findings"].setdefault(kind, {**finding, "count": 0})
        old["count"] += finding["count"]


# ---- rows ------------------------------------------------------------------------

ROWS = {
    "predictions": Repeated(
        words="predictions of one image",
        make_kinds=make_kinds_to_read,
        n_images=100_000,
    ),
    "threads": Repeated(
        words=f"predictions from {N_THREADS} threads",
        make_kinds=make_kinds_to_read,
        n_images=20_000,
        threads=True,
    ),
    "odd": Repeated(
        words="odd images, predicted",
        make_kinds=partial(make_kinds_to_read, odd=True),
        n_at_once=N_AT_ONCE,
    ),
    "cut": Repeated(
        words="files cut off at each tenth, predicted",
        make_kinds=partial(make_kinds_to_refuse, items=list_cut),
    ),
    "bad": Repeated(
        words="what is no image, predicted",
        make_kinds=partial(make_kinds_to_refuse, items=list_bad),
    ),
    "cut_fit": Repeated(
        words="files cut off at each tenth, fitted",
        make_kinds=partial(make_kinds_to_refuse, items=list_cut, fit=True),
    ),
    "bad_fit": Repeated(
        words="what is no image, fitted",
        make_kinds=partial(make_kinds_to_refuse, items=list_bad, fit=True),
    ),
    "damaged": Damaged(
        words="files damaged at random, read and predicted",
        target="nothing but an image or an error that names the item",
    ),
}


def add_options(parser):
    parser.add_argument(
        "--minutes", type=float, default=10, help="of damaged files (default: 10)"
    )


main = partial(runner.run_benchmark, sys.modules[__name__])

if __name__ == "__main__":
    sys.exit(main())
