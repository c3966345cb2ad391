"""The rows that `predict` writes: which images, what was read, in which format."""

import csv
import glob
import json
import math
import os
import re
import sys
from collections import namedtuple
from itertools import islice
from operator import itemgetter
from types import SimpleNamespace

import numpy as np
from sklearn.pipeline import Pipeline

from skcaptcha._validation import issue_warnings
from skcaptcha.cli._output import escape, flush, write
from skcaptcha.datasets import load_image_folder
from skcaptcha.images._likeness import SeenImages
from skcaptcha.metrics import risk_coverage_curve

CHUNK = 256  # images that are read at a time
COLUMNS = ("filename", "text", "confidence", "error")

# Shares of right texts for which `train` stores the confidence that they take.
PRECISIONS = (0.9, 0.95, 0.98, 0.99, 0.995, 0.999)

# `texts` are pairs of a text and its confidence, best first, and none where there is
# an error; that of an image that could not be read has no confidence either.
Row = namedtuple("Row", "path texts confidence error")


def find_thresholds(is_right, confidence):
    """Return the least confidence above which texts have each precision, by its name.

    A precision that no confidence gave is left out.
    """
    _, risk, thresholds = risk_coverage_curve(is_right, confidence)
    found = {}
    for precision in PRECISIONS:
        good = thresholds[1 - risk >= precision]
        if len(good):
            found[str(precision)] = float(good[-1])
    return found


def choose_threshold(model, precision):
    """Return the confidence stored in a model for a wished precision."""
    reader = model[-1] if isinstance(model, Pipeline) else model
    stored = getattr(reader, "test_scores_", {}).get("min_confidence", {})
    enough = [name for name in stored if float(name) >= precision]
    if not enough:
        known = ", ".join(stored) or "none"
        raise ValueError(
            f"the model has no confidence for --precision={precision}; those that "
            f"training found on images held out are for {known}: give one of these, "
            "or --min-confidence"
        )
    return stored[min(enough, key=float)]


def read_all(reader, X):
    """Return the texts of images, their confidence, and the warnings as a text."""
    notices = []
    found = sorted(reader.iter_readings(X, notices=notices), key=itemgetter(0))
    issue_warnings(notices)
    _, texts, confidence, _ = zip(*found, strict=True)
    notes = "".join(f"Warning: {message}\n" for message, _ in notices)
    return np.array(texts, dtype=object), np.array(confidence), notes


def read_rows(reader, options):
    """Yield a `Row` for each image that the options name, in order."""
    paths, notices, seen = _list_paths(options.images), [], SeenImages.of(reader)
    while chunk := list(islice(paths, CHUNK)):
        found = reader._iter_texts(
            chunk,
            options.length,
            options.characters,
            "skip",
            notices,
            k=None if options.top_k == 1 else options.top_k,
            exact=True,
            seen=seen,
        )
        for position, texts in sorted(found, key=itemgetter(0)):
            yield _make_row(chunk[position], texts, options.min_confidence)
        flush()
    issue_warnings(notices + seen.describe())


def _make_row(path, texts, min_confidence):
    if isinstance(texts, Exception):
        error = re.sub(r"^X\[\d+\](=|: )", "", " ".join(str(texts).split()))
        return Row(path, [], None, error)
    texts = [(text, math.exp(log_probability)) for text, log_probability in texts]
    text, confidence = texts[0]
    if min_confidence is not None and not confidence >= min_confidence:
        error = f"{text!r} is less certain than --min-confidence={min_confidence}"
        return Row(path, [], confidence, error)
    return Row(path, texts, confidence, None)


def _list_paths(images):
    """Yield the paths that the arguments stand for."""
    for item in images:
        if item == "-":
            if sys.stdin is None:
                raise ValueError("- takes paths from standard input, which is closed")
            for line in sys.stdin.buffer:
                if path := os.fsdecode(line.rstrip(b"\r\n")):
                    yield path
            continue
        found = [item]
        if not os.path.lexists(item):  # else the brackets are part of its name
            # The shell of Windows leaves patterns alone, and quotes do anywhere.
            found = sorted(glob.glob(item, recursive=True)) or found
        for path in found:
            if os.path.isdir(path):
                yield from load_image_folder(path, label=lambda path: "-")[0]
            else:
                yield path


def _write_text(top_k):
    def write_row(row):
        cells = [f(*pair) for pair in row.texts for f in (_text_cell, _number_cell)]
        if row.error:
            cells = ["", _number_cell("", row.confidence), row.error]
        write("\t".join(map(escape, (show_path(row.path), *cells))) + "\n")

    return write_row


def _text_cell(text, confidence):
    return text


def _number_cell(text, confidence):
    return "" if confidence is None else f"{confidence:.4f}"


def _write_csv(top_k):
    writer = csv.writer(SimpleNamespace(write=write), lineterminator="\n")
    more = [f"{name}_{n}" for n in range(2, top_k + 1) for name in COLUMNS[1:3]]
    writer.writerow([*COLUMNS, *more])

    def write_row(row):
        text = row.texts[0][0] if row.texts else ""
        others = [cell for pair in row.texts[1:] for cell in pair]
        others += [""] * (len(more) - len(others))
        confidence = "" if row.confidence is None else row.confidence
        error = escape(row.error or "")
        writer.writerow([escape(show_path(row.path)), text, confidence, error, *others])

    return write_row


def _write_jsonl(top_k):
    # Escapes of the stream, where it lacks a character, would be no JSON.
    is_utf8 = "utf" in (getattr(sys.stdout, "encoding", None) or "").lower()

    def write_row(row):
        text = row.texts[0][0] if row.texts else None
        confidence = row.confidence
        if confidence is not None and not math.isfinite(confidence):
            confidence = None
        values = (show_path(row.path), text, confidence, row.error)
        values = dict(zip(COLUMNS, values, strict=True))
        if top_k > 1:
            keys = COLUMNS[1:3]
            values["candidates"] = [dict(zip(keys, p, strict=True)) for p in row.texts]
        line = json.dumps(values, ensure_ascii=not is_utf8)
        safe = (c if c.isprintable() else json.dumps(c)[1:-1] for c in line)
        write("".join(safe) + "\n")

    return write_row


WRITERS = {"text": _write_text, "csv": _write_csv, "jsonl": _write_jsonl}


def show_path(path):
    """Return a path without bytes that are no text."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
