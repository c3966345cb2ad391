"""The rows that `predict` writes: which images, what was read, in which format."""

import csv
import glob
import json
import math
import os
import re
import sys
from collections import namedtuple
from contextlib import suppress
from itertools import islice
from types import SimpleNamespace

from skcaptcha._curves import confidence_threshold
from skcaptcha._validation import issue_warnings
from skcaptcha.cli._models import find_reader, is_pretrained, load_reader
from skcaptcha.cli._output import escape, flush, write
from skcaptcha.datasets._labeled import is_text_file, list_images
from skcaptcha.images._likeness import SeenImages
from skcaptcha.images._read import is_error, read_image
from skcaptcha.vocabulary import Vocabulary

CHUNK = 256  # images that are read at a time
COLUMNS = ("filename", "text", "confidence", "error")
DETAILS = ("character", "confidence", "left", "right")

# Shares of right texts for which `train` stores the confidence that they take.
PRECISIONS = (0.9, 0.95, 0.98, 0.99, 0.995, 0.999)

# `texts` are pairs of a text and its confidence, best first, and none where there is
# an error; that of an image that could not be read has no confidence either.
# `characters`, if asked for, are as `predict_characters` returns them.
Row = namedtuple("Row", "path texts confidence error characters")

# What stands in the place of an image that could not even be found.
Failure = namedtuple("Failure", "name error")


def find_thresholds(is_right, confidence):
    """Return the least confidence above which texts have each precision, by its name.

    A precision that no confidence gave is left out.
    """
    found = {
        str(precision): confidence_threshold(is_right, confidence, precision)
        for precision in PRECISIONS
    }
    return {name: least for name, least in found.items() if math.isfinite(least)}


def choose_threshold(model, precision):
    """Return the confidence stored in a model for a wished precision."""
    stored = getattr(find_reader(model), "test_scores_", {}).get("min_confidence", {})
    if not stored:
        raise ValueError(
            f"the model has no confidence for --precision={precision}, as none was "
            "found on images held out in training; give --min-confidence"
        )
    enough = [name for name in stored if float(name) >= precision]
    if not enough:
        known = ", ".join(stored)
        raise ValueError(
            f"the model has no confidence for --precision={precision}; those that "
            f"training found on images held out are for {known}: give one of these, "
            "or --min-confidence"
        )
    return stored[min(enough, key=float)]


def load_for_images(options):
    """Return the model, and an iterator over the images to read.

    With ``--n-sizes`` some images from everywhere choose the sizes.
    """
    paths = iterate_images(options.images, options.metadata_encoding)
    if options.n_sizes is None:
        return load_reader(options.model), paths
    from skcaptcha import load_pretrained
    from skcaptcha._pretrained import MAX_SCANNED, MAX_SIZES

    if not is_pretrained(options.model):
        raise ValueError(
            f"--n-sizes={options.n_sizes} is for the model `pretrained`; "
            f"{str(options.model)!r} has learned at one size"
        )
    if not 1 <= options.n_sizes <= MAX_SIZES:
        raise ValueError(
            f"--n-sizes={options.n_sizes} must be at least 1 and at most {MAX_SIZES}"
        )
    reader = load_pretrained()
    check_characters(reader, options.characters)
    paths, images = list(paths), []
    n_scanned = min(len(paths), MAX_SCANNED)
    for number in range(n_scanned):
        item = paths[number * len(paths) // n_scanned]
        with suppress(OSError, ValueError):  # it gets a row with the error
            if not isinstance(item, Failure):
                images.append(read_image(item))
    if images:
        reader = load_pretrained(
            images, n_sizes=options.n_sizes, vocabulary=options.characters
        )
    return reader, iter(paths)


def check_characters(model, characters):
    """Raise an error unless a model reads all of some characters."""
    if characters is None:
        return
    known = find_reader(model).vocabulary_.characters
    split = Vocabulary.split(characters)
    odd = [c for c in split if c not in known or split.count(c) > 1]
    if odd or not split:
        what = "there is none"
        if odd:
            what = f"{odd[0]!r} {'occurs twice' if odd[0] in known else 'is none'}"
        raise ValueError(
            f"--characters={characters!r} must be some of the characters that the "
            f"model reads, {''.join(known)!r}, each once; {what}"
        )


def read_rows(reader, items, options):
    """Yield a `Row` for each image of an iterator over paths or contents, in order."""
    notices, seen = [], SeenImages.of(reader)
    while chunk := list(islice(items, CHUNK)):
        for item, texts in _read_chunk(reader, chunk, options, notices, seen):
            characters = None
            if options.characters_detail and not is_error(texts):
                texts, characters = texts
            name = getattr(item, "name", item)  # of an image in a zip file
            yield _make_row(name, texts, characters, options.min_confidence)
        flush()
    issue_warnings(notices + seen.describe())


def _read_chunk(reader, chunk, options, notices, seen):
    """Return pairs of an image and its texts, or its error, in order."""
    texts = [getattr(item, "error", None) for item in chunk]
    positions = [i for i, error in enumerate(texts) if error is None]
    if positions:
        found = reader._iter_texts(
            [chunk[i] for i in positions],
            options.length,
            options.characters,
            "skip",
            notices,
            k=None if options.top_k == 1 else options.top_k,
            exact=True,
            widths={} if options.characters_detail else None,
            seen=seen,
        )
        for position, value in found:
            texts[positions[position]] = value
    return zip(chunk, texts, strict=True)


def _make_row(path, texts, characters, min_confidence):
    if isinstance(texts, Exception):
        error = re.sub(r"^X\[\d+\](=|: )", "", " ".join(str(texts).split()))
        return Row(path, [], None, error, None)
    texts = [(text, math.exp(log_probability)) for text, log_probability in texts]
    text, confidence = texts[0]
    if min_confidence is not None and not confidence >= min_confidence:
        error = f"{text!r} is less certain than --min-confidence={min_confidence}"
        return Row(path, [], confidence, error, None)
    return Row(path, texts, confidence, None, characters)


def iterate_images(images, metadata_encoding=None):
    """Yield the images that the arguments stand for.

    Each is a path, the content of a file in an archive, or a `Failure`. Of a table
    those are left out that are arguments as well, as of ``folder/*``.
    """
    given = set(map(os.path.abspath, images))
    for item in images:
        if item == "-":
            if sys.stdin is None:
                raise ValueError("- takes paths from standard input, which is closed")
            paths = (os.fsdecode(line.rstrip(b"\r\n")) for line in sys.stdin.buffer)
            yield from filter(None, paths)
            continue
        found = [item]
        if not os.path.lexists(item):  # else the brackets are part of its name
            # The shell of Windows leaves patterns alone, and quotes do anywhere.
            found = sorted(glob.glob(item, recursive=True)) or found
            given.update(map(os.path.abspath, found))
        for path in found:
            if not _holds_images(path):
                yield path
                continue
            for image in _list_inside(path, metadata_encoding):
                if not (isinstance(image, str) and os.path.abspath(image) in given):
                    yield image


def _holds_images(path):
    """Tell whether a path is a folder, a zip file or a table rather than an image."""
    is_file = path.lower().endswith(".zip") or is_text_file(path)
    return os.path.isdir(path) or (is_file and os.path.isfile(path))


def _list_inside(path, metadata_encoding):
    """Return the images that a folder, a zip file or a table holds."""
    try:
        found = list_images(path, metadata_encoding)
    except (OSError, ValueError) as error:  # it gets a row, as an image does
        return [Failure(path, error)]
    return [Failure(*pair) if is_error(pair[1]) else pair[1] for pair in found]


def list_all(images):
    """Return the images that the arguments stand for, if all can be found."""
    found = list(iterate_images(images))
    for item in found:
        if isinstance(item, Failure):
            raise item.error
    return found


def _write_text(top_k):
    def write_row(row):
        cells = [f(*pair) for pair in row.texts for f in (_text_cell, _number_cell)]
        if row.characters is not None:
            cells += [
                f"{character} {probability:.4f} {left}-{right}"
                for character, probability, left, right in row.characters
            ]
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
        if row.characters is not None:
            values["characters"] = [
                dict(zip(DETAILS, found, strict=True)) for found in row.characters
            ]
        line = json.dumps(values, ensure_ascii=not is_utf8)
        safe = (c if c.isprintable() else json.dumps(c)[1:-1] for c in line)
        write("".join(safe) + "\n")

    return write_row


WRITERS = {"text": _write_text, "csv": _write_csv, "jsonl": _write_jsonl}


def show_path(path):
    """Return a path without bytes that are no text."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
