"""Feed damaged image files to a recognizer, and look for what should not come of it.

Files of every format that is read, small and whole, are damaged at random. Each goes to
`read_images` and to `predict` of a recognizer that was fitted for a moment. An image,
or an error of skcaptcha that names the item, is all that may come of it: any other
error, a warning, a crash, a hang and memory that grows are findings. The file that
makes the first of each kind is kept.

The files are read in a process of their own, which is started anew where it crashed
or hung. Pillow reads at most 2**22 pixels in it, as a service had better set it too.
"""

import argparse
import gc
import hashlib
import inspect
import io
import multiprocessing
import os
import pickle
import struct
import sys
import tempfile
import time
import traceback
import types
import warnings
import zlib
from collections import Counter
from pathlib import Path

import numpy as np
import PIL
import records
import torch
from PIL import Image, ImageFile

from skcaptcha import CaptchaRecognizer
from skcaptcha.datasets import make_captchas
from skcaptcha.exceptions import ImageReadError
from skcaptcha.images import read_images
from skcaptcha.images._read import FORMATS

MAX_PIXELS = 2**22
MAX_BYTES = 2**16  # of a damaged file
WARM_UP = 300  # inputs after which memory is measured for the first time
# Numbers that lengths, counts and offsets are changed to.
NUMBERS = (0, 1, 2, 127, 128, 255, 256, 2**15 - 1, 2**15, 2**16 - 1, 2**24, 2**31 - 1)
NUMBERS += (2**31, 2**32 - 1)


# ---- inputs ----------------------------------------------------------------------


def make_corpus():
    """Return whole files in many a form, by a name that begins with their format."""
    rng = np.random.default_rng(0)
    gray = Image.fromarray(rng.integers(0, 256, (12, 20), np.uint8))
    rgb = Image.fromarray(rng.integers(0, 256, (12, 20, 3), np.uint8))
    rgba = Image.fromarray(rng.integers(0, 256, (12, 20, 4), np.uint8))
    palette, bits = rgb.quantize(16), gray.convert("1")
    deep = Image.fromarray(rng.integers(0, 2**16, (12, 20), np.uint16))
    real = Image.fromarray(rng.random((12, 20), np.float32))
    exif = Image.Exif()
    exif[0x0112] = 6
    pages = {"save_all": True, "append_images": [gray.transpose(0)]}
    forms = {
        "PNG": [
            (gray, {"exif": exif}),
            (rgb, {"transparency": (0, 0, 0)}),
            (rgba, {}),
            (palette, {"transparency": bytes(range(16))}),
            (bits, {}),
            (deep, {}),
            (gray, pages),
        ],
        "JPEG": [
            (gray, {"exif": exif}),
            (rgb, {"progressive": True}),
            (rgb, {"subsampling": 2, "restart_marker_blocks": 1}),
            (rgb.convert("CMYK"), {}),
        ],
        "GIF": [(palette, {}), (gray, {"transparency": 9}), (gray, pages)],
        "BMP": [(gray, {}), (rgb, {}), (rgba, {}), (bits, {})],
        "WEBP": [
            (rgb, {"exif": exif}),
            (rgba, {"lossless": True}),
            (rgba, {"quality": 30}),
            (rgb, {"save_all": True, "append_images": [rgb.transpose(0)]}),
        ],
        "TIFF": [
            (gray, {}),
            (rgba, {"compression": "tiff_lzw"}),
            (rgb, {"compression": "tiff_deflate"}),
            (palette, {"compression": "packbits"}),
            (rgb, {"compression": "jpeg"}),
            (bits, {"compression": "group4"}),
            (deep, {"exif": exif}),
            (real, {"compression": "tiff_lzw"}),
            (rgb.convert("CMYK"), {}),
            (gray, {"big_tiff": True}),
            (gray, pages),
        ],
        "PPM": [(gray, {}), (rgb, {}), (bits, {}), (deep, {}), (real, {})],
    }
    assert forms.keys() == set(FORMATS)
    corpus = {
        "PPM text 1": b"P1 # bits\n4 2\n1 0 1 0 0 1 0 1\n",
        "PPM text 2": b"P2\n4 2\n255\n0 9 99 255 1 2 3 4\n",
        "PPM text 3": b"P3\n2 1\n65535\n0 9 65535 255 1 2\n",
    }
    for format, images in forms.items():
        for number, (image, options) in enumerate(images):
            stream = io.BytesIO()
            image.save(stream, format, **options)
            corpus[f"{format} {number}"] = stream.getvalue()
    return corpus


def mutate(rng, data, others):
    """Return a damaged copy of a file.

    Parameters
    ----------
    rng : numpy.random.Generator
    data : bytes
    others : list of bytes
        Files that pieces are taken from.
    """
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


def fit_recognizer():
    """Fit a tiny recognizer, which reads whatever it is given as some text."""
    images, texts = make_captchas(
        24, vocabulary="0123", length=2, size=(16, 40), random_state=0
    )
    recognizer = CaptchaRecognizer(
        conv_channels=(8, 16, 32, 64),
        lstm_units=16,
        image_height=16,
        max_iter=1,
        n_jobs=1,
        device="cpu",
        random_state=0,
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The network has not learned to read")
        return recognizer.fit(images, texts)


def run_child(connection, folder, engine, seed, seconds, slow):
    """Try inputs until the time is up; say each second what came of them.

    Parameters
    ----------
    connection : Connection
        Where `Tally.summarize` goes.
    folder : Path
        Holds the recognizer; each input is written there before it is tried.
    engine : {"mutations", "atheris"}
    seed : int
    seconds : float
    slow : float
        Seconds that an input takes from which on it is a finding.
    """
    torch.set_num_threads(1)
    Image.MAX_IMAGE_PIXELS = MAX_PIXELS
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # libtiff talks much
    tally = Tally(pickle.loads((folder / "recognizer").read_bytes()), slow)
    corpus = make_corpus()
    current = folder / "current"
    end = time.monotonic() + seconds
    told = 0.0

    def try_input(data, form):
        nonlocal told
        current.write_bytes(data)
        tally.try_input(data, form)
        if time.monotonic() - told > 1:
            connection.send(tally.summarize())
            told = time.monotonic()

    if engine == "atheris":
        run_atheris(try_input, corpus, folder, seed, seconds)
    rng = np.random.default_rng(seed)
    forms, files = list(corpus), list(corpus.values())
    for form, data in corpus.items():
        try_input(data, form.split()[0])
    while time.monotonic() < end:
        i = int(rng.integers(len(files)))
        try_input(mutate(rng, files[i], files), forms[i].split()[0])
    gc.collect()
    connection.send(tally.summarize())


def run_atheris(try_input, corpus, folder, seed, seconds):
    """Let libFuzzer choose what to change, by what it makes Pillow's Python run."""
    import atheris

    for module in list(sys.modules.values()):
        if getattr(module, "__name__", "").endswith("ImagePlugin"):
            instrument(module, atheris)
    instrument(ImageFile, atheris)
    inputs = folder / "corpus"
    inputs.mkdir(exist_ok=True)
    for form, data in corpus.items():
        (inputs / form.replace(" ", "-")).write_bytes(data)

    def mutate_and_mend(data, max_size, seed):
        data = atheris.Mutate(data, max_size)
        return mend_checksums(data)[:max_size] if seed % 4 else data

    arguments = [f"-max_total_time={int(seconds)}", f"-max_len={MAX_BYTES}"]
    arguments += [f"-seed={seed + 1}", str(inputs)]
    atheris.Setup(
        [sys.argv[0], *arguments],
        lambda data: try_input(data, "any"),
        custom_mutator=mutate_and_mend,
    )
    atheris.Fuzz()  # which ends the process


def instrument(module, atheris):
    """Make the functions and methods of a module tell libFuzzer what they run."""
    owners = [
        module,
        *(
            value
            for value in vars(module).values()
            if inspect.isclass(value) and value.__module__ == module.__name__
        ),
    ]
    for owner in owners:
        for name, value in list(vars(owner).items()):
            if (
                isinstance(value, types.FunctionType)
                and value.__module__ == module.__name__
            ):
                setattr(owner, name, atheris.instrument_func(value))


# ---- the process that looks on ---------------------------------------------------


def supervise(make_process, folder, seconds, hang):
    """Start processes one after another until the time is up; return their tallies.

    Parameters
    ----------
    make_process : callable
        Takes the connection, a number from 0 on and the seconds left, and returns a
        process to be started.
    folder : Path
        Where the process writes each input before it tries it, as ``current``.
    seconds : float
    hang : float
        Seconds without word from the process after which it is ended.

    Returns
    -------
    list of dict
        What `Tally.summarize` returned last in each process; a crash or a hang is a
        finding of its own.
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
            summary["findings"][trouble] = {
                "details": trouble,
                "data": data,
                "count": 1,
            }
        summaries.append(summary)
        if trouble is not None and not summary["outcomes"]:
            break  # it doesn't even begin
    print()
    return summaries


def make_entry(summaries, growth):
    """Put the tallies of all processes together.

    Parameters
    ----------
    summaries : list of dict
        What `supervise` returned.
    growth : float
        MiB of memory that a process may gain after its first inputs.
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


def keep_inputs(findings, folder):
    """Write the inputs of findings as files, and name these in their stead."""
    for finding in findings.values():
        data = finding.pop("data")
        if data:
            folder.mkdir(parents=True, exist_ok=True)
            path = folder / f"{hashlib.sha256(data).hexdigest()[:16]}.bin"
            path.write_bytes(data)
            finding["file"] = path.name


def main(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n\n")[0],
        epilog="The exit status is 1 where something was found.",
    )
    parser.add_argument("--minutes", type=float, default=10, help="default: 10")
    parser.add_argument("--seed", type=int, default=0, help="default: 0")
    parser.add_argument(
        "--engine",
        choices=["mutations", "atheris"],
        default="mutations",
        help="what damages the files: random changes, or libFuzzer, which needs "
        "benchmarks/requirements-fuzz.txt (default: mutations)",
    )
    parser.add_argument(
        "--slow",
        type=float,
        default=10,
        help="seconds from which on a file is a finding (default: 10)",
    )
    parser.add_argument(
        "--hang",
        type=float,
        default=120,
        help="seconds after which a silent process is ended (default: 120)",
    )
    parser.add_argument(
        "--growth",
        type=float,
        default=100,
        help="MiB by which memory may grow (default: 100)",
    )
    parser.add_argument(
        "--output", type=Path, default=records.RESULTS / "fuzz_images.json"
    )
    parser.add_argument(
        "--inputs",
        type=Path,
        default=records.RESULTS / "scratch" / "fuzz_images",
        help="folder for the files that something was found with (default: "
        "benchmarks/results/scratch/fuzz_images)",
    )
    arguments = parser.parse_args(argv)
    if arguments.minutes <= 0:
        parser.error(f"--minutes {arguments.minutes} must be greater than 0")
    if arguments.engine == "atheris":
        try:
            import atheris  # noqa: F401
        except ImportError as error:
            parser.error(
                f"{error}: pip install -r benchmarks/requirements-fuzz.txt, or leave "
                "--engine out"
            )
    torch.set_num_threads(1)
    entry = {
        **records.describe_run(__file__),
        "seed": arguments.seed,
        "minutes": arguments.minutes,
        "max_pixels": MAX_PIXELS,
    }
    entry["versions"]["pillow"] = PIL.__version__
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        (folder / "recognizer").write_bytes(pickle.dumps(fit_recognizer()))

        def make_process(connection, number, seconds):
            seed = arguments.seed + 1000 * number
            return multiprocessing.get_context("spawn").Process(
                target=run_child,
                args=(
                    connection,
                    folder,
                    arguments.engine,
                    seed,
                    seconds,
                    arguments.slow,
                ),
            )

        summaries = supervise(
            make_process, folder, 60 * arguments.minutes, arguments.hang
        )
    entry.update(make_entry(summaries, arguments.growth))
    keep_inputs(entry["findings"], arguments.inputs)
    records.save_entry(arguments.output, arguments.engine, entry)
    print(f"{entry['n_inputs']} inputs, {len(entry['findings'])} kinds of findings")
    for form, counts in entry["by_format"].items():
        print(f"  {form:5}  {counts['read']:8} read  {counts['refused']:8} refused")
    for kind, finding in entry["findings"].items():
        print(f"{kind}, {finding['count']} times: {finding.get('file', '')}")
        print(finding["details"])
    return 1 if entry["findings"] else 0


if __name__ == "__main__":
    sys.exit(main())
