"""Damaged image files for a recognizer, and what should not come of them.

Small whole files are damaged at random. Each goes to `read_images` and to `predict` of
a recognizer that was fitted for a moment. An image, or an error of skcaptcha that names
the item, is all that may come of it: any other error, a warning, a crash, a hang and
memory that grows are findings. The file that makes the first of each kind is kept.

The process is started by soak.py, and anew where it crashed or hung. Pillow reads at
most 2**22 pixels in it, as a service had better set it too.
"""

import hashlib
import os
import pickle
import struct
import time
import traceback
import warnings
import zlib
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from sides import common

from skcaptcha.exceptions import ImageReadError, UnlikeTrainingWarning
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


def list_inputs(corpus, seed):
    """Yield the whole files and then damaged ones without end, each with its format."""
    rng = np.random.default_rng(seed)
    forms, files = [name.split()[0] for name in corpus], list(corpus.values())
    yield from zip(files, forms, strict=True)
    while True:
        i = int(rng.integers(len(files)))
        yield mutate(rng, files[i], files), forms[i]


# ---- reading ---------------------------------------------------------------------


class Tally:
    """What came of the inputs so far; those with findings are kept in a folder."""

    def __init__(self, recognizer, slow, folder):
        self.recognizer, self.slow, self.folder = recognizer, slow, folder
        self.by_format, self.findings = {}, {}

    def try_input(self, data, form):
        """Read one file in both ways, and note what comes of it."""
        start = time.perf_counter()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")  # none may come through
                warnings.simplefilter("ignore", UnlikeTrainingWarning)
                outcome = self.read(data)
        except Exception as error:
            outcome = "found"
            frame = traceback.extract_tb(error.__traceback__)[-1]
            kind = f"{type(error).__name__} in {Path(frame.filename).name}:{frame.name}"
            self.note(kind, data, traceback.format_exc())
        seconds = time.perf_counter() - start
        if seconds > self.slow:
            self.note(f"slower than {self.slow:g} s", data, f"{seconds:.1f} s")
        counts = {"read": 0, "refused": 0, "found": 0}
        self.by_format.setdefault(form, counts)[outcome] += 1

    def read(self, data):
        """Return whether both ways read the file or both refuse it in our words."""
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
        """Count a finding, and keep the first input of its kind."""
        if kind not in self.findings:
            path = self.folder / f"{hashlib.sha256(data).hexdigest()[:16]}.bin"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            self.findings[kind] = {"details": details, "file": path.name, "count": 0}
        self.findings[kind]["count"] += 1


def check_message(error):
    """Raise the error unless it is one of skcaptcha's that names the item."""
    ours = type(error) in (ImageReadError, ValueError)
    if not ours or not str(error).startswith("X[0]=<"):
        raise error
    return str(error)


def measure_memory():
    """Return the resident memory in MiB, as Linux says."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def try_inputs(threads, pickled, seed, seconds, slow, kept):
    """Try inputs until the time is up; return what came of them.

    The recognizer and the whole files are in the file `pickled`, beside which each
    input is written before it is tried, and those with findings go into `kept`. An
    input that takes `slow` seconds is a finding.
    """
    torch.set_num_threads(threads)
    Image.MAX_IMAGE_PIXELS = MAX_PIXELS
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # libtiff talks much
    recognizer, corpus = pickle.loads(Path(pickled).read_bytes())
    tally, memory = Tally(recognizer, slow, Path(kept)), []
    end = time.monotonic() + seconds
    for n_inputs, (data, form) in enumerate(list_inputs(corpus, seed)):
        if n_inputs >= len(corpus) and time.monotonic() > end:
            break
        Path(pickled).with_name("current").write_bytes(data)
        tally.try_input(data, form)
        if n_inputs == WARM_UP:
            memory.append(measure_memory())
    memory.append(measure_memory())
    return {
        "n_inputs": n_inputs,
        "by_format": tally.by_format,
        "findings": tally.findings,
        "memory_mib": [round(value, 1) for value in memory],
    }


TASKS = {"try_inputs": try_inputs}

if __name__ == "__main__":
    common.serve(TASKS)
