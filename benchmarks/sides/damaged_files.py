"""Damaged image files for a recognizer, and what should not come of them.

Small whole files are damaged at random. Each goes to `read_images` and to `predict` of
a recognizer that was fitted for a moment. An image, or an error of skcaptcha that names
the item, is all that may come of it: any other error, a warning, a crash, a hang and
memory that grows are findings. The file that makes the first of each kind is kept.

The files are read in a process of their own, which is started anew where it crashed
or hung. Pillow reads at most 2**22 pixels in it, as a service had better set it too.
"""

import gc
import multiprocessing
import os
import pickle
import struct
import time
import traceback
import warnings
import zlib
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from skcaptcha.exceptions import ImageReadError
from skcaptcha.images import read_images

MAX_PIXELS = 2**22
MAX_BYTES = 2**16  # of a damaged file
WARM_UP = 300  # inputs after which memory is measured for the first time
# Numbers that lengths, counts and offsets are changed to.
NUMBERS = (0, 1, 2, 127, 128, 255, 256, 2**15 - 1, 2**15, 2**16 - 1, 2**24, 2**31 - 1)
NUMBERS += (2**31, 2**32 - 1)


# ---- inputs ----------------------------------------------------------------------


def mutate(rng, data, others):
    """Return a damaged copy of a file, some with pieces of others."""
    data = bytearray(data)
    for _ in range(int(rng.geometric(0.6))):
        if not data:
            break
        at = int(rng.integers(len(data)))
        if rng.random() < 0.5:  # most of what is worth changing stands in the header
            at = int(rng.integers(min(len(data), 64)))
        end = at + int(rng.integers(1, 33))
        match int(rng.integers(8)):
            case 0:
                data[at] ^= 1 << int(rng.integers(8))
            case 1:
                data[at] = int(rng.integers(256))
            case 2 | 3:
                form = str(rng.choice(["B", "<H", ">H", "<I", ">I"]))
                size = struct.calcsize(form)
                number = NUMBERS[int(rng.integers(len(NUMBERS)))] % 2 ** (8 * size)
                data[at : at + size] = struct.pack(form, number)
            case 4:
                del data[at:end]
            case 5:
                data[at:at] = data[at:end] * int(rng.integers(1, 9))
            case 6:
                del data[at:]
            case 7:
                other = others[int(rng.integers(len(others)))]
                start = int(rng.integers(len(other)))
                data[at:end] = other[start : start + end - at]
    data = bytes(data[:MAX_BYTES])
    return mend_checksums(data) if rng.random() < 0.7 else data


def mend_checksums(data):
    """Make the checksums of a PNG right, for a reader looks no further without."""
    if not data.startswith(b"\x89PNG"):
        return data
    mended, at = bytearray(data), 8
    while at + 12 <= len(data):
        end = at + 8 + int.from_bytes(data[at : at + 4])
        if end + 4 > len(data):
            break
        mended[end : end + 4] = struct.pack(">I", zlib.crc32(data[at + 4 : end]))
        at = end + 4
    return bytes(mended)


# ---- reading ---------------------------------------------------------------------


class Tally:
    """What came of the inputs so far."""

    def __init__(self, recognizer, slow):
        self.recognizer = recognizer
        self.slow = slow
        self.outcomes = Counter()
        self.findings = {}
        self.slowest = 0.0
        self.first_memory = None

    def try_input(self, data, form):
        """Read one file in both ways, and note what comes of it."""
        start = time.perf_counter()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")  # none may come through
                self.outcomes[form, self._read(data)] += 1
        except Exception as error:
            self.outcomes[form, "found"] += 1
            frame = traceback.extract_tb(error.__traceback__)[-1]
            kind = f"{type(error).__name__} in {Path(frame.filename).name}:{frame.name}"
            self.note(kind, data, traceback.format_exc())
        seconds = time.perf_counter() - start
        self.slowest = max(self.slowest, seconds)
        if seconds > self.slow:
            self.note(f"slower than {self.slow:g} s", data, f"{seconds:.1f} s")
        if self.outcomes.total() == WARM_UP:
            gc.collect()
            self.first_memory = measure_memory()

    def _read(self, data):
        expected = None
        try:
            (image,) = read_images([data])
            if image.dtype != np.uint8 or image.ndim not in (2, 3) or not image.size:
                raise AssertionError(f"read as {image.dtype} of shape {image.shape}")
        except ImageReadError as error:
            expected = check_message(error)
        try:
            (text,) = self.recognizer.predict([data])
        except ValueError as error:
            message = check_message(error)
            if expected is None and "at most 32768 are read" not in message:
                raise AssertionError("read_images reads it, predict doesn't") from error
            return "refused"
        if expected is not None or not isinstance(text, str):
            raise AssertionError(f"predicted as {text!r}; read_images: {expected}")
        return "read"

    def note(self, kind, data, details):
        if kind not in self.findings:
            self.findings[kind] = {"details": details, "data": data, "count": 0}
        self.findings[kind]["count"] += 1

    def summarize(self):
        """Return all of it in a form that can be sent to another process."""
        return {
            "outcomes": dict(self.outcomes),
            "findings": self.findings,
            "slowest": self.slowest,
            "memory": (self.first_memory, measure_memory()),
        }


def check_message(error):
    """Raise the error unless it is one of skcaptcha's that names the item."""
    ours = type(error) in (ImageReadError, ValueError)
    if not ours or not str(error).startswith("X[0]=<"):
        raise error
    return str(error)


def measure_memory():
    """Return the resident memory in MiB, None where the system doesn't say."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return None
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def run_child(connection, folder, seed, seconds, slow):
    """Try inputs until the time is up; say each second what came of them.

    The recognizer and the whole files lie pickled in `folder`, where each input is
    written before it is tried. An input that takes `slow` seconds is a finding.
    """
    torch.set_num_threads(1)
    Image.MAX_IMAGE_PIXELS = MAX_PIXELS
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # libtiff talks much
    recognizer, corpus = pickle.loads((folder / "pickled").read_bytes())
    tally = Tally(recognizer, slow)
    end, told = time.monotonic() + seconds, 0.0
    for data, form in list_inputs(corpus, seed):
        if time.monotonic() > end:
            break
        (folder / "current").write_bytes(data)
        tally.try_input(data, form)
        if time.monotonic() - told > 1:
            connection.send(tally.summarize())
            told = time.monotonic()
    gc.collect()
    connection.send(tally.summarize())


def list_inputs(corpus, seed):
    """Yield the whole files and then damaged ones without end, each with its format."""
    rng = np.random.default_rng(seed)
    forms, files = [name.split()[0] for name in corpus], list(corpus.values())
    yield from zip(files, forms, strict=True)
    while True:
        i = int(rng.integers(len(files)))
        yield mutate(rng, files[i], files), forms[i]


# ---- the process that looks on ---------------------------------------------------


def supervise(make_process, folder, seconds, hang):
    """Start processes one after another until the time is up; return their tallies.

    `make_process` takes the connection, a number from 0 on and the seconds left, and
    returns a process to be started. One without a word for `hang` seconds is ended. A
    crash or a hang is a finding of its own, with the input that lies in `folder`.
    """
    end = time.monotonic() + seconds
    summaries = []
    while time.monotonic() < end:
        receiver, sender = multiprocessing.get_context("spawn").Pipe(duplex=False)
        process = make_process(sender, len(summaries), end - time.monotonic())
        process.start()
        sender.close()
        summary = {"outcomes": {}, "findings": {}, "slowest": 0, "memory": (None, None)}
        try:
            while receiver.poll(hang):
                summary = receiver.recv()
                done = sum(summary["outcomes"].values())
                print(f"\r{done} inputs", end="", flush=True)
        except EOFError:
            process.join(hang)  # it is about to end, or has crashed
        trouble = None
        if process.is_alive():
            trouble = f"no word for {hang:g} s"
            process.kill()
            process.join()
        elif process.exitcode != 0:
            trouble = f"ended with exit code {process.exitcode}"
        if trouble is not None:
            current = folder / "current"
            data = current.read_bytes() if current.exists() else b""
            finding = {"details": trouble, "data": data, "count": 1}
            summary["findings"][trouble] = finding
        summaries.append(summary)
        if trouble is not None and not summary["outcomes"]:
            break  # it doesn't even begin
    print()
    return summaries


def add_up(summaries, growth):
    """Put the tallies of all processes together.

    After its first inputs a process may gain `growth` MiB of memory.
    """
    outcomes, findings = Counter(), {}
    for summary in summaries:
        outcomes.update(summary["outcomes"])
        first, last = summary["memory"]
        if first is not None and last - first > growth:
            summary["findings"]["memory grows"] = {
                "details": f"from {first:.0f} to {last:.0f} MiB",
                "data": b"",
                "count": 1,
            }
        for kind, finding in summary["findings"].items():
            findings.setdefault(kind, {**finding, "count": 0})
            findings[kind]["count"] += finding["count"]
    forms = sorted({form for form, _ in outcomes})
    return {
        "n_inputs": outcomes.total(),
        "by_format": {
            form: {kind: outcomes[form, kind] for kind in ("read", "refused", "found")}
            for form in forms
        },
        "slowest_seconds": round(max(s["slowest"] for s in summaries), 2),
        "memory_mib": [[m and round(m, 1) for m in s["memory"]] for s in summaries],
        "n_processes": len(summaries),
        "findings": findings,
    }
