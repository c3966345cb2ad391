"""Predict for long and refuse for long, and see that memory and files stay flat.

One process predicts 100,000 times, then 20,000 times from 16 threads; then it meets
each kind of odd, cut off and hostile image of tests/hostile.py 10,000 times, in
`predict` and, where the image is refused, in `fit` as well. Odd images are read ten in
a call, all others one. Each answer has to be the right one, and each refusal an error
that names the item. After a warm-up and in the end memory, Python's memory blocks, open
files and threads are counted.

The network is tiny, since its size changes nothing of what is counted.
"""

import argparse
import gc
import io
import os
import re
import sys
import tempfile
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path

import numpy as np
import PIL
import records
import torch
from PIL import Image

from skcaptcha import CaptchaRecognizer
from skcaptcha.datasets import make_captchas
from skcaptcha.exceptions import ImageReadError

sys.path.append(str(records.ROOT / "tests"))
import hostile  # noqa: E402

N_THREADS = 16
N_AT_ONCE = 10  # odd images in a call
MEMORY = 4.0  # MiB by which memory may grow, in each kind
BLOCKS = 1000  # of Python's memory, likewise
# What an item of X may be refused with.
OURS = (ImageReadError, FileNotFoundError, TypeError, ValueError)
GOOD_SHAPE = (16, 48)
SMALL = {
    "conv_channels": (8, 16, 32, 64),
    "lstm_units": 16,
    "image_height": 16,
    "max_iter": 1,
    "n_jobs": 1,
    "device": "cpu",
    "random_state": 0,
}


@dataclass(frozen=True)
class Row:
    """What is repeated, and how often for each of its kinds."""

    words: str
    n_images: int
    n_at_once: int = 1  # in a call


ROWS = {
    "predictions": Row("predictions of one image", 100_000),
    "threads": Row(f"predictions from {N_THREADS} threads", 20_000),
    "odd": Row("odd images, predicted", 10_000, N_AT_ONCE),
    "cut": Row("files cut off at each tenth, predicted", 10_000),
    "bad": Row("what is no image, predicted", 10_000),
    "cut_fit": Row("files cut off at each tenth, fitted", 10_000),
    "bad_fit": Row("what is no image, fitted", 10_000),
}


# ---- what is repeated ------------------------------------------------------------


def fit_recognizer(seed):
    """Return a tiny recognizer that was fitted for a moment, and images for it."""
    images, texts = make_captchas(
        50, vocabulary="0123", length=2, size=GOOD_SHAPE, random_state=seed
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The network has not learned to read")
        return CaptchaRecognizer(**SMALL).fit(images, texts), images


def make_kinds(row, recognizer, images, folder):
    """Return functions to be called again and again, by the kind of their images.

    Each returns None where all is well, else what is wrong.
    """
    if row in ("predictions", "threads"):
        return {"one image": make_readers(recognizer, images, folder)}
    if row == "odd":
        forms = hostile.make_variants(images[0])
        for shape in hostile.SHAPES:
            name = "{} x {} pixels".format(*shape)
            forms[name] = hostile.encode(np.full(shape, 255, np.uint8))
        return {
            kind: [make_reader(recognizer, item, N_AT_ONCE)]
            for kind, item in forms.items()
        }
    items = {}  # with what their error says
    if row.startswith("cut"):
        for format in hostile.FORMATS:
            data = hostile.encode(images[0], format)
            items[f"{format}, cut off"] = [
                (part, "is (empty|not an image|truncated)")
                for part in hostile.cut_at_tenths(data)
            ]
    else:
        for kind in hostile.BAD:
            (folder / kind).mkdir(exist_ok=True)
            try:
                item, message = hostile.make_bad(kind, folder / kind)
            except NotImplementedError:
                continue
            if kind == "a locked file" and os.access(item, os.R_OK):
                continue  # root may read it
            items[kind] = [(item, message)]
    if row.endswith("_fit"):
        unfitted = CaptchaRecognizer(**SMALL)
        good = images[:2]

        def call(item):
            unfitted.fit([*good, item], ["0", "1", "2"])

        return make_refusers(items, call, "X[2]=")
    return make_refusers(items, lambda item: recognizer.predict([item]), "X[0]=")


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


# ---- counting --------------------------------------------------------------------


def count():
    """Return what must not grow in this process."""
    gc.collect()
    with open("/proc/self/statm") as file:
        n_pages = int(file.read().split()[1])
    return {
        "memory_mib": round(n_pages * os.sysconf("SC_PAGE_SIZE") / 2**20, 2),
        "blocks": sys.getallocatedblocks(),
        "files": len(os.listdir("/proc/self/fd")),
        "threads": threading.active_count(),
    }


def repeat(functions, n_calls, pool=None):
    """Call functions in turn; return the counts before and after, and what was wrong.

    Parameters
    ----------
    functions : list of callable
        Take nothing and return None, or what was wrong.
    n_calls : int
        A warm-up of a tenth comes before them.
    pool : Executor, optional
        Calls them from its threads.
    """
    wrong, turn = {}, cycle(functions)

    def call_next(n):
        some = islice(turn, n)
        for answer in (pool.map if pool else map)(_call, some):
            if answer is not None:
                wrong[answer] = wrong.get(answer, 0) + 1

    call_next(max(n_calls // 10, 2 * len(functions)))
    counts = [count()]
    call_next(n_calls)
    return {"n_calls": n_calls, "counts": [*counts, count()], "wrong": wrong}


def _call(function):
    return function()


def find_growth(run, name):
    """Return by how much a count grew, over what it was after the warm-up."""
    return run["counts"][-1][name] - run["counts"][0][name]


def judge_row(entry):
    """Say whether everything stayed flat and every answer was right."""
    for run in entry["kinds"].values():
        flat = find_growth(run, "memory_mib") <= MEMORY
        flat &= find_growth(run, "blocks") <= BLOCKS
        flat &= find_growth(run, "files") <= 0 and find_growth(run, "threads") <= 0
        if run["wrong"] or not flat:
            return "missed"
    return "met"


def run_row(name, arguments, recognizer, images):
    """Repeat all kinds of a row; return its entry."""
    entry = {**records.describe_run(__file__), "seed": arguments.seed, "kinds": {}}
    entry["versions"]["pillow"] = PIL.__version__
    n_images, n_at_once = ROWS[name].n_images, ROWS[name].n_at_once
    n_calls = n_images // n_at_once // (100 if arguments.quick else 1)
    entry |= {"quick": arguments.quick, "n_at_once": n_at_once}
    start = time.process_time()
    with (
        tempfile.TemporaryDirectory() as folder,
        ThreadPoolExecutor(N_THREADS) as pool,
    ):
        kinds = make_kinds(name, recognizer, images, Path(folder))
        for kind, functions in kinds.items():
            threads = pool if name == "threads" else None
            run = entry["kinds"][kind] = repeat(functions, n_calls, threads)
            print(
                f"  {name}, {kind}: {run['n_calls']} calls, "
                f"{find_growth(run, 'memory_mib'):+.2f} MiB, "
                f"{find_growth(run, 'files'):+d} files; {len(run['wrong'])} wrong",
                flush=True,
            )
    entry["processor_seconds"] = round(time.process_time() - start, 1)
    return entry


def format_markdown(entries):
    """Return the table, and below it what it was measured on."""
    rows = []
    for name in [name for name in ROWS if name in entries]:
        entry = entries[name]
        runs = entry["kinds"].values()
        rows.append(
            [
                ROWS[name].words,
                len(runs),
                f"{sum(run['n_calls'] for run in runs) * entry['n_at_once']:,}",
                f"{max(find_growth(run, 'memory_mib') for run in runs):.2f}",
                max(find_growth(run, "files") for run in runs),
                sum(sum(run["wrong"].values()) for run in runs),
                "open: too short" if entry["quick"] else judge_row(entry),
            ]
        )
    header = ["what", "kinds", "images in all", "MiB that a kind gained at most"]
    header += ["files", "wrong answers", "target"]
    return "\n".join(
        [
            *records.format_table(header, rows),
            "",
            f"Target: memory grows by {MEMORY:g} MiB at most in each kind, no file and "
            "no thread is left, and each answer is right.",
            "",
            f"Measured on {records.describe_setting(next(iter(entries.values())))}.",
        ]
    )


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    records.add_arguments(parser, ROWS, "soak.json")
    records.add_quick_argument(parser)
    parser.add_argument("--seed", type=int, default=0, help="of the images (0)")
    arguments = parser.parse_args(argv)
    records.check_arguments(parser, arguments, ROWS)
    if arguments.markdown:
        print(format_markdown(records.read_entries(arguments.output)))
        return 0
    if not Path("/proc/self/statm").exists():
        parser.error("memory is counted in /proc, which this system doesn't have")
    torch.set_num_threads(arguments.threads)
    recognizer, images = fit_recognizer(arguments.seed)
    gc.freeze()  # what is there already need not be gone through at each count
    entries = {}
    try:
        for name in arguments.rows:
            entries[name] = run_row(name, arguments, recognizer, images)
            records.save_entry(arguments.output, name, entries[name])
    finally:
        gc.unfreeze()
    print("\n" + format_markdown(entries))
    if arguments.quick:
        return 0
    return int("missed" in map(judge_row, entries.values()))


if __name__ == "__main__":
    sys.exit(main())
