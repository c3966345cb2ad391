"""What runs in processes of their own: reading images, and learning from labels.

The process of the page stays quick while these compute. They end when it does.
"""

import contextlib
import hashlib
import os
import signal
import threading
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing import parent_process

import joblib
import numpy as np
import torch

from skcaptcha import CaptchaRecognizer, load_pretrained
from skcaptcha._auto import choose_n_epochs
from skcaptcha._intervals import wilson_interval
from skcaptcha._joint_reader import AlphabetReader
from skcaptcha._reader import find_background
from skcaptcha._texts import find_texts, locate_characters
from skcaptcha._threads import count_cores
from skcaptcha.images import read_image
from skcaptcha.images._likeness import measure_image
from skcaptcha.images._read import is_error
from skcaptcha.labeling._catalog import find_stamp

# Updates of the weights of a first round, and of one that continues the last.
FIRST_UPDATES, MORE_UPDATES = 1200, 600
# Epochs at the least, as a few images make many updates in one.
_MIN_EPOCHS = 5


@dataclass
class Job:
    """What a round learns from."""

    recognizer: CaptchaRecognizer  # its parameters
    train: list  # of (path, text)
    test: list  # of (path, text), held out
    sure: list  # of (path, text), read without anybody having said that it is right
    out: str  # file for what is learned
    before: Callable  # returns the reader so far, which the new one has to equal
    start: Callable | None = None  # returns the recognizer to continue
    save: Callable | None = None  # writes what was learned for the user, returns where
    vocabulary: str | None = None  # what a new network can read; None is for the labels
    characters: str | None = None  # the only ones that texts may have
    length: int | tuple | None = None
    is_final: bool = False  # a whole fit, from all labels
    facts: dict = field(default_factory=dict)


def read_on_demand(connection, load, characters, length):
    """Read images that are asked for, until the connection ends.

    Parameters
    ----------
    connection : multiprocessing.connection.Connection
        Brings ("load", path) and ("read", list of (name, path)). What is read goes
        back as a list of dict, an error as a str.
    load : callable or None
        Returns the reader to begin with; None is `load_pretrained`.
    characters : str or None
        The only characters that texts may have.
    length : int, tuple of int or None
        How many.
    """
    _prepare(n_threads=1)
    reader = None
    while True:
        try:
            order, what = connection.recv()
        except (EOFError, OSError):
            return
        try:
            if order == "load":
                reader, answer = joblib.load(what), "loaded"
            else:
                if reader is None:
                    reader = load_pretrained() if load is None else load()
                answer = [
                    _read(reader, name, path, characters, length) for name, path in what
                ]
        except Exception as error:  # the page says why there are no proposals
            answer = f"{type(error).__name__}: {error}"
        try:
            connection.send(answer)
        except (BrokenPipeError, OSError):
            return


def _read(reader, name, path, characters, length):
    """Return what is read in one image, as a dict for JSON."""
    stamp = find_stamp(path)  # before it is read, as somebody may be writing it
    try:
        image = read_image(path, background=find_background(reader))
    except (OSError, ValueError) as error:
        return {"name": name, "stamp": stamp, "error": str(error)}
    found = {
        "name": name,
        "stamp": stamp,
        "error": None,
        "digest": hashlib.blake2b(image.tobytes(), digest_size=16).hexdigest(),
        "measures": measure_image(image),
        "text": "",
        "confidence": 0.0,
        "characters": [],
    }
    reader = _restrict(reader, characters)
    if reader is None:
        return found
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ((_, frames),) = reader.iter_frames([image], on_error="skip")
    if is_error(frames):  # what the steps before a recognizer refuse
        return found
    try:
        ((text, log_probability),) = find_texts(reader, frames, length, exact=True)
        placed = []
        if text:
            placed = locate_characters(reader, frames, text, 1.0, length)
    except ValueError:  # no text of this length fits into it
        return found
    return found | {
        "text": text,
        "confidence": float(np.exp(log_probability)),
        "characters": [[c, round(p, 4)] for c, p, _, _ in placed],
    }


def _restrict(reader, characters):
    """Return a reader that knows which characters texts may have; None is any.

    A letter that it knows in the other case alone is read as the one that there may be.
    A reader that knows none of them has nothing to say, and None is returned.
    """
    if characters is None:
        return reader
    vocabulary = reader.vocabulary_
    given = vocabulary.split(characters)
    known = [c for c in given if c in vocabulary or c.swapcase() in vocabulary]
    return AlphabetReader(reader, known, calibrated=True) if known else None


def learn(connection, job):
    """Learn from labels, test it, save it, and say what came of it, as a dict."""
    _prepare(n_threads=max(1, count_cores() - 1))
    began = time.monotonic()
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            recognizer = _fit(job)
            before = after = {}
            if job.test:
                before, after = _test(job.before(), job), _test(recognizer, job)
        notes = [str(w.message) for w in caught if issubclass(w.category, UserWarning)]
        has_learned = bool(recognizer.converged_)
        is_better, saved = has_learned and not _is_worse(before, after), None
        if is_better or (job.is_final and has_learned):
            _save(recognizer, job.out)
            if job.save is not None:
                saved = str(job.save(recognizer))
        error = None
        if job.is_final and not has_learned:
            error = " ".join(["Nothing was saved.", *notes])
        answer = {
            **job.facts,
            **(after if is_better else before),
            "before": before,
            "is_better": is_better,
            "saved": saved,
            "error": error,
            "n_train": len(job.train),
            "notes": notes,
        }
    except Exception as error:
        answer = {**job.facts, "error": f"{type(error).__name__}: {error}"}
    answer["seconds"] = round(time.monotonic() - began, 1)
    with contextlib.suppress(BrokenPipeError, OSError):
        connection.send(answer)


def _fit(job):
    X, y = (list(values) for values in zip(*job.train, *job.sure, strict=True))
    recognizer, updates = job.recognizer, FIRST_UPDATES
    if job.start is not None:
        params = recognizer.get_params() | {"warm_start": True, "vocabulary": None}
        recognizer = job.start().set_params(**params)
        updates = MORE_UPDATES
    elif recognizer.vocabulary is None:
        recognizer.set_params(vocabulary=job.vocabulary)
    max_iter = recognizer.max_iter
    if max_iter == "auto" and not job.is_final:
        n_epochs = choose_n_epochs(recognizer, len(X), updates)
        recognizer.set_params(max_iter=max(_MIN_EPOCHS, n_epochs))
    recognizer.fit(X, y)
    return recognizer.set_params(warm_start=False, max_iter=max_iter)


def _test(recognizer, job):
    """Return how many of the held-out images are read right, with an interval."""
    X, y = (list(values) for values in zip(*job.test, strict=True))
    n_right = 0
    for path, text in zip(X, y, strict=True):
        read = _read(recognizer, "", path, job.characters, job.length)
        n_right += read.get("text") == text
    return estimate(n_right, len(y))


def _is_worse(before, after):
    """Tell whether a round has lost more of the held-out images than one, by chance."""
    if not before:  # nothing is held out
        return False
    lost = before["score"] * before["n_tested"] - after["score"] * after["n_tested"]
    return lost > 1.5


def estimate(n_right, n_tested):
    """Return a share of held-out images with its 95 % interval, as a dict."""
    score = n_right / n_tested
    low, high = wilson_interval(score, n_tested)
    return {"score": score, "low": low, "high": high, "n_tested": n_tested}


def _save(recognizer, path):
    """Save a recognizer so that a half written file has another name."""
    joblib.dump(recognizer, f"{path}.part")
    os.replace(f"{path}.part", path)


def _prepare(n_threads):
    """Give the page the first turn at the processors, and end when its process does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the page's process
    with contextlib.suppress(AttributeError, OSError):
        os.nice(10)
    torch.set_num_threads(n_threads)
    parent = parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent):
    parent.join()
    os._exit(1)
