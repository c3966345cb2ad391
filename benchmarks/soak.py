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
import hashlib
import io
import multiprocessing
import os
import pickle
import re
import sys
import threading
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


def make_refusers(items, call, start):
    """Return functions that call with an item each, which has to be refused."""

    def make(item, message):
        def refuse():
            try:
                call(item)
            except OURS as error:
                words = str(error)
                if type(error) in OURS and words.startswith(start):
                    if re.search(message, words, re.DOTALL):
                        return None
                return f"{type(error).__name__}: {words}"
            # A file of which only the last bytes are gone may be read.
            return None if message.startswith("is (empty") else "it was not refused"

        return refuse

    return {
        kind: [make(item, message) for item, message in some]
        for kind, some in items.items()
    }


def list_odd(pixels):
    """Return odd images by their kind."""
    kinds = hostile.make_variants(pixels)
    for shape in hostile.SHAPES:
        name = "{} x {} pixels".format(*shape)
        kinds[name] = hostile.encode(np.full(shape, 255, np.uint8))
    return kinds


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
    return {
        kind: [make_reader(recognizer, item, N_AT_ONCE)]
        for kind, item in list_odd(images[0]).items()
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

    return make_refusers(items(images[0], folder), call, f"X[{len(good)}]=")


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

    MEMORY = 4.0  # MiB by which memory may grow, in each kind
    BLOCKS = 1000  # of Python's memory, likewise

    def prepare(self, arguments, folder):
        if not Path("/proc/self/statm").exists():
            raise SystemExit("memory is counted in /proc, which this system has not")
        kinds = self.make_kinds(folder)
        gc.freeze()  # what is there already need not be gone through at each count
        return kinds

    def list_runs(self, arguments, kinds):
        return [{"kind": kind} for kind in kinds]

    def measure(self, run, arguments, kinds):
        n_calls = self.n_images // self.n_at_once // (1000 if arguments.quick else 1)
        with ThreadPoolExecutor(N_THREADS) as pool:
            found = repeat(kinds[run["kind"]], n_calls, pool if self.threads else None)
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

    def format_cells(self, entry):
        runs = entry["runs"]
        return [
            self.words,
            len(runs),
            f"{sum(run['n_images'] for run in runs):,}",
            f"{max(find_growth(run, 'memory_mib') for run in runs):.2f}",
            max(find_growth(run, "files") for run in runs),
            sum(sum(run["wrong"].values()) for run in runs),
            runner.judge(self, entry),
        ]


# ---- damaged files ---------------------------------------------------------------

SLOW = 10  # seconds that a file takes from which on it is a finding
HANG = 120  # seconds after which a silent process is ended
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
    def list_runs(self, arguments, folder):
        return [{"seed": 0, "minutes": 0.03 if arguments.quick else arguments.minutes}]

    def measure(self, run, arguments, folder):
        recognizer, _ = fit_recognizer()
        (folder / "pickled").write_bytes(pickle.dumps((recognizer, make_corpus())))

        def make_process(connection, number, seconds):
            return multiprocessing.get_context("spawn").Process(
                target=damaged_files.run_child,
                args=(connection, folder, run["seed"] + 1000 * number, seconds, SLOW),
            )

        summaries = damaged_files.supervise(
            make_process, folder, 60 * run["minutes"], HANG
        )
        measured = damaged_files.add_up(summaries, GROWTH)
        keep_inputs(measured["findings"], arguments.output.parent / "damaged")
        return {**measured, "versions": {"pillow": PIL.__version__}}

    def judge(self, entry):
        found = [kind for run in entry["runs"] for kind in run["findings"]]
        return f"missed: {', '.join(found)}" if found else "met"

    def format(self, entry):
        rows, lines = [], []
        for run in entry["runs"]:
            for form, counts in run["by_format"].items():
                rows.append([form, *(f"{n:,}" for n in counts.values())])
            lines.append(f"{run['n_inputs']:,} inputs in {run['minutes']:g} minutes.")
            for kind, finding in run["findings"].items():
                where = f"{finding.get('file', '')}\n{finding['details']}"
                lines.append(f"{kind}, {finding['count']} times: {where}")
        header = ["damaged files", "read", "refused", "found"]
        return [*runner.format_table(header, rows), "", *lines]


def keep_inputs(findings, folder):
    """Write the inputs of findings as files, and name these in their stead."""
    for finding in findings.values():
        data = finding.pop("data")
        if data:
            folder.mkdir(parents=True, exist_ok=True)
            path = folder / f"{hashlib.sha256(data).hexdigest()[:16]}.bin"
            path.write_bytes(data)
            finding["file"] = path.name


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


def format_markdown(entries):
    """Return one table of what is repeated and one of damaged files."""
    entries = dict(entries)
    damaged = {"damaged": entries.pop("damaged")} if "damaged" in entries else {}
    lines = []
    if entries:
        header = ["what", "kinds", "images in all", "MiB that a kind gained at most"]
        header += ["files", "wrong answers", "target"]
        rows = [ROWS[name].format_cells(entry) for name, entry in entries.items()]
        lines = [
            *runner.format_table(header, rows),
            "",
            f"Target: memory grows by {Repeated.MEMORY:g} MiB at most in each kind, no "
            "file and no thread is left, and each answer is right.",
            *runner.list_settings(entries),
            "",
        ]
    return lines + runner.format_rows(ROWS, damaged)


def add_options(parser):
    parser.add_argument(
        "--minutes", type=float, default=10, help="of damaged files (default: 10)"
    )


def check_options(parser, arguments):
    if arguments.minutes <= 0:
        parser.error(f"--minutes {arguments.minutes} must be greater than 0")


run = partial(
    runner.run_benchmark,
    __file__,
    __doc__,
    ROWS,
    add_options=add_options,
    check_options=check_options,
    format_markdown=format_markdown,
)


def main(argv=None):
    try:
        return run(argv)
    finally:
        gc.unfreeze()


if __name__ == "__main__":
    sys.exit(main())
