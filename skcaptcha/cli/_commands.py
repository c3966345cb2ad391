"""What each command does.

Packages that take long to load are imported by the commands that need them.
"""

import csv

from skcaptcha._parameters import MAX_BEAM_WIDTH
from skcaptcha._validation import count
from skcaptcha.cli._data import load_data, read_labeled, warn_of_data
from skcaptcha.cli._models import is_recognizer, load_head, load_model, make_reader
from skcaptcha.cli._output import check_input, check_outputs, say, write, write_last
from skcaptcha.cli._reading import (
    WRITERS,
    check_characters,
    choose_threshold,
    list_all,
    load_for_images,
    read_rows,
)
from skcaptcha.cli._training import check_names

# Parameters that have an option of their own.
_OPTIONS = {
    "vocabulary": "--characters",
    "length": "--length",
    "size": "--size",
    "color": "--color",
    "fonts": "--fonts",
    "random_state": "--seed",
}


def generate(options):
    """Draw captchas into a new folder."""
    from skcaptcha.datasets import make_captchas

    folder = options.folder
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{str(folder)!r} is there already; name a new folder")
    parameters = {"fonts": options.fonts, "color": options.color}
    if options.characters is not None:
        parameters["vocabulary"] = options.characters
    defaults = make_captchas.__kwdefaults__
    parameters |= check_names(options.param, defaults, "make_captchas", _OPTIONS)
    names = []
    is_new = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)  # before the work, in case it cannot be
    try:
        images, texts = make_captchas(
            options.n_samples,
            length=options.length,
            size=options.size,
            random_state=options.seed,
            **parameters,
        )
        # Numbers for names: some file systems take aB.png and Ab.png for one file.
        digits = len(str(len(images)))
        names += [f"{number:0{digits}}.png" for number in range(1, len(images) + 1)]
        _fill_folder(folder, names, images, texts)
    except BaseException:  # half of them would be in the way of another try
        for name in [*names, "labels.csv"]:
            (folder / name).unlink(missing_ok=True)
        if is_new:
            folder.rmdir()
        raise
    write_last(f"{count(len(images), 'image')} and labels.csv are in {folder}")


def _fill_folder(folder, names, images, texts):
    from PIL import Image

    for name, image in zip(names, images, strict=True):
        Image.fromarray(image).save(folder / name)
    with open(folder / "labels.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(
            [("filename", "text"), *zip(names, texts, strict=True)]
        )


def check(options):
    """Say what labeled images there are; return 1 if some cannot be read."""
    from skcaptcha.datasets import check_labeled_images

    check_input(options.source, "the source")
    X, y = load_data(options)
    report = check_labeled_images(
        X, y, source=options.source, metadata_encoding=options.metadata_encoding
    )
    write_last(str(report))
    return int(bool(report.unreadable))


def predict(options):
    """Read images, some at a time, in order; return 1 if one could not be read."""
    if not 1 <= options.top_k <= MAX_BEAM_WIDTH:
        raise ValueError(
            f"--top-k={options.top_k} must be at least 1 and at most {MAX_BEAM_WIDTH}"
        )
    if options.characters_detail and options.format == "csv":
        raise ValueError("--characters-detail needs --format jsonl or text")
    model, images = load_for_images(options)
    check_characters(model, options.characters)
    if options.precision is not None:
        options.min_confidence = choose_threshold(model, options.precision)
    rows = read_rows(make_reader(model), images, options)
    if options.sort == "confidence":  # what to look at comes first
        rows = sorted(rows, key=lambda row: row.confidence or 0.0)
    write_row = WRITERS[options.format](options.top_k)
    failed = False
    for row in rows:
        failed |= row.confidence is None
        write_row(row)
    return int(failed)


def evaluate(options):
    """Report on labeled images, as text and, if asked, in pictures."""
    from skcaptcha.cli import _report, _scores

    check_outputs(options)
    _report.check_reports(options)
    model = load_model(options.model)
    check_input(options.source, "the source")
    X, y = load_data(options)
    reader = make_reader(model)
    check_characters(model, options.characters)
    warn_of_data(X, y, options)
    rules = {"length": options.length, "vocabulary": options.characters}
    X, y, found, notes = read_labeled(
        reader, X, y, options, options.ignore_case, **rules
    )
    title = f"{options.model} on {options.source}"
    try:
        _report.write_reports(model, X, y, found, options, title, notes)
    finally:  # the reading took longest
        _scores.WRITERS[options.format](X, y, found, notes)


def export(options):
    """Write the model as ONNX."""
    from skcaptcha.export import export_onnx

    if options.onnx.suffix.lower() != ".onnx":
        raise ValueError(f"--onnx={str(options.onnx)!r} must end in .onnx")
    check_outputs(options)
    model = load_model(options.model)
    if not is_recognizer(model):
        raise ValueError(
            f"{str(options.model)!r} has the type {type(model).__name__}; only a "
            "CaptchaRecognizer can be exported"
        )
    images = options.test_images and list_all(options.test_images)
    export_onnx(model, options.onnx, dtype=options.dtype, test_images=images)
    write_last(f"The ONNX model is in {options.onnx}")


def info(options):
    """Say what a model is made of and where it comes from."""
    from skcaptcha.cli import _report

    if options.self_test:
        _check_reading(options.model)
    write(_report.describe(load_head(options.model)) + "\n")


def _check_reading(path):
    """Raise an error unless an ONNX file reads its test images right."""
    from skcaptcha.export import load_onnx

    if path.suffix.lower() != ".onnx":
        raise ValueError(
            f"--self-test is for files of `skcaptcha export`; {str(path)!r} does not "
            "end in .onnx"
        )
    load_onnx(path, self_test=True)
    say("The test images of the model are read as they must be.")
