"""What each command does."""

import csv
import difflib
import io
import json
import math
import os
import re
import sys
import tomllib
from contextlib import redirect_stdout
from itertools import islice
from operator import itemgetter

import joblib
import numpy as np
from PIL import Image
from sklearn.model_selection import GridSearchCV, KFold, train_test_split

from skcaptcha import CaptchaRecognizer, persistence
from skcaptcha._files import write_atomically
from skcaptcha._validation import issue_warnings
from skcaptcha.cli import _report
from skcaptcha.datasets import load_image_folder, load_labeled_images, make_captchas
from skcaptcha.images import read_images
from skcaptcha.metrics import (
    character_accuracy_score,
    exact_match_score,
    exact_match_scorer,
    recognition_report,
)

CHUNK = 256  # images that are read at a time
COLUMNS = ("filename", "text", "confidence", "error")


def generate(options):
    """Draw captchas into a new folder."""
    folder = options.folder
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{str(folder)!r} is there already; name a new folder")
    parameters = {"fonts": options.fonts, "color": options.color}
    if options.vocabulary is not None:
        parameters["vocabulary"] = options.vocabulary
    defaults = make_captchas.__kwdefaults__
    parameters |= _check_names(options.param, defaults, "make_captchas")
    images, texts = make_captchas(
        options.n_samples,
        length=options.length,
        size=options.size,
        random_state=options.seed,
        **parameters,
    )
    folder.mkdir(parents=True, exist_ok=True)
    # Numbers for names: some file systems take aB.png and Ab.png for one file.
    digits = len(str(len(images)))
    names = [f"{number:0{digits}}.png" for number in range(1, len(images) + 1)]
    for name, image in zip(names, images, strict=True):
        Image.fromarray(image).save(folder / name)
    with open(folder / "labels.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(
            [("filename", "text"), *zip(names, texts, strict=True)]
        )
    print(f"{len(images)} images and labels.csv are in {folder}")


def train(options):
    """Train, say how well images held out are read, and save."""
    save = _find_saver(options.out)
    if not options.out.parent.is_dir():
        raise ValueError(
            f"the folder of --out, {str(options.out.parent)!r}, is missing"
        )
    if not 0 <= options.test_size < 1:
        raise ValueError(f"--test-size={options.test_size} must be in [0, 1)")
    if not options.test_size and (options.picture or options.html):
        raise ValueError(
            "--picture and --html show images held out, and --test-size 0 has none"
        )
    verbose = int(not options.quiet)
    recognizer = CaptchaRecognizer(random_state=options.seed, verbose=verbose)
    known = recognizer.get_params()
    recognizer.set_params(**_check_names(options.param, known, "CaptchaRecognizer"))
    grid = _read_grid(options.search, known) if options.search else None
    X, y = load_labeled_images(options.source, label=options.label)
    X_test, y_test = [], []
    if options.test_size:
        X, X_test, y, y_test = train_test_split(
            X, y, test_size=options.test_size, random_state=options.seed
        )
    _say(f"Training on {len(X)} images and holding out {len(X_test)}.")
    if grid:
        recognizer = _search(recognizer, grid, X, y, options)
    recognizer.fit(X, y)
    recognizer.set_params(verbose=False)  # of this fit alone, not of later ones
    if X_test:
        y_pred, confidence = recognizer.predict(X_test, return_confidence=True)
        recognizer.test_scores_ = {
            "n_samples": len(y_test),
            "exact_match": exact_match_score(y_test, y_pred),
            "character_accuracy": character_accuracy_score(y_test, y_pred),
        }
        print("How well it reads the images held out:\n")
        print(recognition_report(y_test, y_pred) + "\n")
    save(recognizer, options.out)
    print(f"The model is in {options.out}")
    if X_test:
        title = f"{options.out} on images of {options.source} held out"
        _draw(recognizer, X_test, y_test, y_pred, confidence, options, title)


def predict(options):
    """Read images, some at a time, in order; return 1 if one could not be read."""
    recognizer = _load(options.model)
    write = _WRITERS[options.format]()
    paths = _list_paths(options.images)
    failed, notices = False, []
    while chunk := list(islice(paths, CHUNK)):
        readings = recognizer.iter_readings(
            chunk,
            length=options.length,
            vocabulary=options.characters,
            on_error="skip",
            notices=notices,
        )
        for position, text, confidence, error in sorted(readings, key=itemgetter(0)):
            if error is not None:
                failed, confidence = True, None
                error = re.sub(r"^X\[\d+\](=|: )", "", " ".join(str(error).split()))
            write(chunk[position], text, confidence, error)
        sys.stdout.flush()
    issue_warnings(notices)
    return int(failed)


def evaluate(options):
    """Report on labeled images, as text and, if asked, in pictures."""
    recognizer = _load(options.model)
    X, y = load_labeled_images(options.source, label=options.label)
    y_pred, confidence = recognizer.predict(X, return_confidence=True)
    print(recognition_report(y, y_pred))
    title = f"{options.model} on {options.source}"
    _draw(recognizer, X, y, y_pred, confidence, options, title)


def _draw(recognizer, X, y, y_pred, confidence, options, title):
    """Write the picture and the page that are asked for."""
    if options.picture is not None:
        drawn = _report.draw_mistakes(X, y, y_pred, confidence)
        _report.save_figure(drawn, options.picture)
        _say(f"The worst mistakes are drawn in {options.picture}")
    if options.html is not None:
        page = _report.make_page(recognizer, X, y, y_pred, confidence, title=title)
        write_atomically(options.html, page.encode())
        _say(f"The report is in {options.html}")


def export(options):
    """Write the model as ONNX."""
    from skcaptcha.export import export_onnx

    export_onnx(_load(options.model), options.onnx)
    print(f"The ONNX model is in {options.onnx}")


def info(options):
    """Say what a model is made of and where it comes from."""
    print(_report.describe(_load(options.model)))


def _say(note):
    print(note, file=sys.stderr, flush=True)


def _find_saver(path):
    if path.suffix in (".joblib", ".pkl"):
        return _dump_pickle
    if path.suffix == ".skops":
        return persistence.dump
    raise ValueError(f"{str(path)!r} must end in .joblib, .pkl or .skops")


def _dump_pickle(recognizer, path):
    buffer = io.BytesIO()
    joblib.dump(recognizer, buffer)
    write_atomically(path, buffer.getvalue())


def _load(path):
    """Load a fitted recognizer from a file of any kind that `train` writes."""
    if path.suffix == ".skops":
        recognizer = persistence.load(path)
    else:
        try:
            recognizer = joblib.load(path)
        except OSError:
            raise
        except Exception as error:  # what is no pickle can end in any of them
            raise ValueError(
                f"{str(path)!r} is no file of a recognizer, or a damaged one "
                f"({type(error).__name__}: {error})"
            ) from error
    if not isinstance(recognizer, CaptchaRecognizer):
        raise ValueError(
            f"{str(path)!r} holds a {type(recognizer).__name__} and no "
            "CaptchaRecognizer"
        )
    if not recognizer.__sklearn_is_fitted__():
        raise ValueError(f"{str(path)!r} holds a recognizer that is not fitted")
    return recognizer


def _check_names(assignments, known, what):
    """Return the assignments as a dict, if `what` has parameters of these names."""
    for name, _ in assignments:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"it has {', '.join(known)}"
            raise ValueError(f"{what} has no parameter {name!r}; {hint}")
    return dict(assignments)


def _read_grid(path, known):
    try:
        grid = tomllib.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise ValueError(f"{str(path)!r} is no TOML: {error}") from error
    _check_names(grid.items(), known, "CaptchaRecognizer")
    for name, values in grid.items():
        if not isinstance(values, list) or not values:
            raise ValueError(
                f"{str(path)!r}: {name} = {values!r} must be a list of values to try"
            )
    if not grid:
        raise ValueError(f"{str(path)!r} names no parameter to try values of")
    return {
        # TOML has no tuples, and a parameter that is a list of numbers wants one.
        name: [tuple(v) if isinstance(v, list) else v for v in values]
        for name, values in grid.items()
    }


def _search(recognizer, grid, X, y, options):
    """Return the recognizer with the best of the parameters, not yet fitted."""
    # Decoded once for all fits.
    images = read_images(X, background=recognizer.background)
    search = GridSearchCV(
        recognizer.set_params(verbose=0),
        grid,
        scoring=exact_match_scorer,
        cv=KFold(options.cv, shuffle=True, random_state=options.seed),
        n_jobs=options.jobs,
        refit=False,
        verbose=0 if options.quiet else 2,
    )
    _say(f"Searching by {options.cv}-fold cross-validation.")
    with redirect_stdout(sys.stderr):  # where scikit-learn's progress belongs
        search.fit(images, y)
    results = search.cv_results_
    print("Exact match, cross-validated:\n")
    for i in np.argsort(results["rank_test_score"], kind="stable"):
        values = ", ".join(f"{k}={v!r}" for k, v in results["params"][i].items())
        mean, spread = results["mean_test_score"][i], results["std_test_score"][i]
        print(f"  {mean:.4f} +/- {spread:.4f}  {values}")
    print()
    return recognizer.set_params(**search.best_params_, verbose=int(not options.quiet))


def _list_paths(images):
    """Yield the paths that the arguments stand for."""
    for item in images:
        if item == "-":
            for line in sys.stdin.buffer:
                if path := os.fsdecode(line.rstrip(b"\r\n")):
                    yield path
        elif os.path.isdir(item):
            yield from load_image_folder(item, label=lambda path: "-")[0]
        else:
            yield item


def _write_text():
    def write(path, text, confidence, error):
        shown = "" if confidence is None else f"{confidence:.4f}"
        cells = (_show(path), text or "", shown, error)
        print("\t".join(cells if error else cells[:3]))

    return write


def _write_csv():
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(COLUMNS)

    def write(path, *values):
        writer.writerow(["" if v is None else v for v in (_show(path), *values)])

    return write


def _write_jsonl():
    def write(path, text, confidence, error):
        if confidence is not None and not math.isfinite(confidence):
            confidence = None
        values = (_show(path), text, confidence, error)
        print(json.dumps(dict(zip(COLUMNS, values, strict=True)), ensure_ascii=False))

    return write


_WRITERS = {"text": _write_text, "csv": _write_csv, "jsonl": _write_jsonl}


def _show(path):
    """Return a path as it can be printed, whatever bytes and breaks it has."""
    shown = os.fsencode(path).decode("utf-8", "backslashreplace")
    return shown.translate({9: "\\t", 10: "\\n", 13: "\\r"})
