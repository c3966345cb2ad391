"""Models of every kind, names of every kind, and what `predict` writes of them."""

import copy
import csv
import io
import json
import os
import re
import shutil
import sys
import zipfile
from pathlib import Path

import joblib
import numpy as np
import pytest
from PIL import Image
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from support.commands import QUICK
from support.data import ROOT

from skcaptcha import CaptchaEnsemble, load_pretrained
from skcaptcha.cli._models import make_reader
from skcaptcha.cli._reading import find_thresholds
from skcaptcha.exceptions import SkippedImageWarning
from skcaptcha.export import export_onnx
from skcaptcha.images import read_images
from skcaptcha.persistence import _state
from skcaptcha.preprocessing import DarkOnLight, GrayscaleConverter, ImageResizer


@pytest.fixture
def save(fitted, tmp_path):
    """Function that saves a model of some kind, and returns its path."""

    def save(kind):
        path = tmp_path / "saved.joblib"
        if kind == "onnx":
            path = path.with_suffix(".onnx")
            export_onnx(fitted, path)
            return path
        model = {
            "pipeline": Pipeline(
                [("gray", GrayscaleConverter()), ("dark", DarkOnLight()), ("r", fitted)]
            ),
            "pipeline of one": Pipeline([("r", fitted)]),
            "ensemble": CaptchaEnsemble(clone(fitted)),
            "search": GridSearchCV(clone(fitted), {"lstm_units": [16]}),
        }[kind]
        if kind == "ensemble":
            model.estimators_, model.cv_scores_ = [fitted, fitted], np.array([0.9, 1])
        elif kind == "search":
            model.best_estimator_ = fitted
        joblib.dump(model, path)
        return path

    return save


KINDS = ["onnx", "pipeline", "pipeline of one", "ensemble", "search"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_models_of_every_kind_are_read(run, save, fitted, labeled, kind, close_figures):
    path, images = save(kind), sorted(labeled.glob("*.png"))[:3]
    bad = labeled / "bad.png"
    bad.write_bytes(b"no image")
    code, out, _ = run("predict", path, images[0], bad, *images[1:])
    rows = [line.split("\t") for line in out.splitlines()]
    assert code == 1
    assert [r[1] for r in rows if len(r) == 3] == fitted.predict(images).tolist()
    assert rows[1][0] == str(bad) and rows[1][3].startswith(repr(str(bad)))
    page = labeled.parent / "page.html"
    code, out, err = run("evaluate", path, labeled, "--html", page)
    assert code == 0 and "exact match" in out and page.exists()
    code, out, _ = run("info", path)
    assert code == 0 and "Vocabulary (4)\n  0 1 2 3" in out
    assert ("Steps before" in out) == kind.startswith("pipeline")
    if kind == "pipeline":
        assert "gray  GrayscaleConverter()" in out
    if kind == "ensemble":
        assert "recognizer 1  0.9000" in out


@pytest.mark.parametrize("kind", ["onnx", "pipeline", "ensemble"])
def test_only_a_recognizer_is_exported_and_trained_on(run, save, labeled, kind):
    path = save(kind)
    code, _, err = run("export", path, "--onnx", labeled / "a.onnx")
    assert code == 2 and "only a CaptchaRecognizer can be exported" in err
    out = labeled.parent / "out.joblib"
    code, _, err = run("train", labeled, "--from", path, "--out", out, *QUICK)
    assert code == 2 and "only the training of a CaptchaRecognizer" in err


def test_many_images_that_a_pipeline_reads(run, save, labeled, fitted, monkeypatch):
    monkeypatch.setattr("skcaptcha.cli._models._CHUNK", 7)
    code, out, _ = run("predict", save("pipeline"), labeled)
    images = sorted(labeled.glob("*.png"))
    assert [r.split("\t")[1] for r in out.splitlines()] == fitted.predict(
        images
    ).tolist()


class Missing:
    """Something that is gone when its pickle is loaded."""


def test_what_is_no_model_is_said_in_a_sentence(run, tmp_path, monkeypatch, fitted):
    monkeypatch.chdir(tmp_path)
    whole = io.BytesIO()
    joblib.dump(fitted, whole)
    Path("half.joblib").write_bytes(whole.getvalue()[:5000])
    Path("empty.joblib").touch()
    Path("text.pkl").write_text("filename,text\n")
    Path("image.joblib").write_bytes(b"\x89PNG\r\n\x1a\n")
    Path("state.joblib").write_bytes(b"skcaptcha checkpoint 2 abc\n")
    Path("folder.joblib").mkdir()
    Path("text.onnx").write_text("no model")
    os.mkfifo("pipe.joblib")
    joblib.dump(Pipeline([("r", None)]), "none.joblib")
    with monkeypatch.context() as patch:
        patch.setattr(_state, "FORMAT_VERSION", 99)
        joblib.dump(fitted, "newer.joblib")
    joblib.dump(Missing(), "missing.joblib")
    monkeypatch.delattr(sys.modules[__name__], "Missing")
    expected = {
        "half.joblib": "'half.joblib' is no model, or a damaged one",
        "empty.joblib": "the model 'empty.joblib' is empty",
        "text.pkl": "'text.pkl' is no model",
        "image.joblib": "'image.joblib' is no model",
        "state.joblib": "is the checkpoint of a fit that has not ended",
        "folder.joblib": "the model 'folder.joblib' is a folder",
        "text.onnx": "'text.onnx' is not a complete file of export_onnx",
        "pipe.joblib": "the model 'pipe.joblib' is a pipe or a device",
        "none.joblib": "holds a NoneType and no recognizer",
        "newer.joblib": "Upgrade skcaptcha to load it",
        "missing.joblib": "needs what is missing here",
        "gone.joblib": "the model 'gone.joblib' does not exist",
        "text.pkl/a.joblib": "does not exist",
        "/proc/kmsg": "the model '/proc/kmsg' is empty",
        "/dev/stdin": "is a pipe or a device",
    }
    for name, message in expected.items():
        for command in (["info", name], ["predict", name, "a.png"]):
            code, out, err = run(*command)
            assert (code, out) == (2, "") and err.count("\n") == 1, name
            assert message in err and "Unpickling" not in err, name


@pytest.mark.parametrize("name", ["pipe", "empty.zip", "/dev/zero", "/proc/kmsg"])
def test_sources_that_are_no_files(run, model, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    Path("empty.zip").touch()
    for command in (["evaluate", model, name], ["train", name, "--out", "a.joblib"]):
        code, _, err = run(*command)
        assert code == 2 and f"the source {name!r} is " in err


@pytest.mark.parametrize(
    "line, message",
    [
        ("train labeled --out a.pkl --search pipe", "the search file 'pipe' is a pipe"),
        ("train labeled --out a.pkl --search gone", "the search file 'gone' does not"),
        ("train labeled --out a.pkl --from pipe", "the model 'pipe' is a pipe"),
        ("generate new --fonts pipe", "--fonts[0]='pipe' is not a regular file"),
        ("check pipe", "the source 'pipe' is a pipe"),
    ],
)
def test_no_pipe_is_waited_for(run, labeled, monkeypatch, line, message):
    monkeypatch.chdir(labeled.parent)
    os.mkfifo("pipe")
    code, out, err = run(*line.split())
    assert (code, out) == (2, "") and message in err
    assert not Path("a.pkl").exists() and not Path("new").exists()


def test_training_goes_on_with_new_characters(run, model, fitted, labeled, tmp_path):
    table = labeled / "labels.csv"
    table.write_text(table.read_text().replace(",0", ",é"))
    out = tmp_path / "better.joblib"
    options = ["--test-size", "0.1", "--param", "max_iter=2"]
    code, _, err = run("train", labeled, "--from", model, "--out", out, *options)
    assert code == 0
    better = joblib.load(out)
    assert better.n_iter_ == fitted.n_iter_ + 2
    assert "".join(better.vocabulary_.characters) == "0123é"
    assert (better.warm_start, better.verbose) == (False, False)
    assert better.conv_channels == fitted.conv_channels
    # It reads what it could read before, and takes its own place.
    before = better.test_scores_
    code, _, err = run(
        *("train", labeled, "--from", out, "--out", out, "--test-size", 0, *options[2:])
    )
    assert code == 0 and before and not hasattr(joblib.load(out), "test_scores_")


def test_training_on_does_not_search(run, model, labeled, tmp_path):
    (tmp_path / "grid.toml").write_text("tol = [0.1]")
    options = ["--search", tmp_path / "grid.toml", "--out", tmp_path / "a.joblib"]
    code, _, err = run("train", labeled, "--from", model, *options)
    assert code == 2 and "--from has no use beside it" in err


@pytest.mark.parametrize("form", ["text", "csv", "jsonl"])
def test_what_is_not_certain_has_no_text(run, model, fitted, labeled, form):
    images = sorted(labeled.glob("*.png"))
    texts, confidence = fitted.predict(images, return_confidence=True)
    least = float(np.sort(confidence)[15])
    options = ["--min-confidence", least, "--format", form]
    code, out, _ = run("predict", model, labeled, *options)
    assert code == 0
    if form == "text":
        keys = ("filename", "text", "confidence", "error")
        cells = [(line.split("\t") + [""])[:4] for line in out.splitlines()]
        rows = [dict(zip(keys, row, strict=True)) for row in cells]
    elif form == "csv":
        rows = list(csv.DictReader(io.StringIO(out)))
    else:
        rows = [json.loads(line) for line in out.splitlines()]
    assert len(rows) == 40
    assert [r["text"] or None for r in rows] == [
        text if value >= least else None
        for text, value in zip(texts, confidence, strict=True)
    ]
    assert [float(r["confidence"]) for r in rows] == pytest.approx(confidence, abs=1e-4)
    named = [r["error"] for r in rows if r["error"]]
    assert len(named) == 15 and all("is less certain than" in error for error in named)


def parse_rows(out, form):
    """Return the file, text and error of each row."""
    if form == "text":
        cells = [(line.split("\t") + [""])[:4] for line in out.splitlines()]
        return [(name, text or None, error or None) for name, text, _, error in cells]
    rows = csv.DictReader(io.StringIO(out))
    if form == "jsonl":
        rows = map(json.loads, out.splitlines())
    return [tuple(r[k] or None for k in ("filename", "text", "error")) for r in rows]


@pytest.mark.parametrize("form", ["text", "csv", "jsonl"])
def test_images_of_a_zip_file_are_read(run, model, fitted, labeled, form):
    (labeled / "170.png").write_bytes(b"no image")
    archive = labeled.parent / "packed.ZIP"
    with zipfile.ZipFile(archive, "w") as file:
        for path in sorted(labeled.iterdir()):
            file.write(path, f"set/{path.name}")
    content = archive.read_bytes()  # with what CRC-32 does not fit
    pixels = (labeled / "160.png").read_bytes()[60:]
    archive.write_bytes(content.replace(pixels, pixels[::-1]))
    code, out, _ = run("predict", model, archive, "--format", form)
    rows = parse_rows(out, form)
    assert code == 1 and len(rows) == 40
    assert [name for name, *_ in rows] == [f"set/{i}.png" for i in range(160, 200)]
    assert "set/160.png" in rows[0][2] and "CRC" in rows[0][2]
    assert rows[10][1] is None and "'set/170.png' in " in rows[10][2]
    paths = [labeled / f"{i}.png" for i in range(171, 200)]
    assert [text for _, text, _ in rows[11:]] == fitted.predict(paths).tolist()


@pytest.mark.parametrize("form", ["text", "csv", "jsonl"])
def test_images_that_a_table_names_are_read(run, model, fitted, labeled, form):
    table = labeled / "some.csv"
    table.write_text("filename,text\n163.png,\ngone.png,12\n161,0\n")
    code, out, _ = run("predict", model, table, "--format", form)
    rows = parse_rows(out, form)
    names = [str(labeled / name) for name in ("163.png", "gone.png", "161.png")]
    assert code == 1 and [name for name, *_ in rows] == names
    assert "does not exist" in rows[1][2]
    expected = fitted.predict([names[0], names[2]]).tolist()
    assert [rows[0][1], rows[2][1]] == expected
    table.write_text("file,found by\n163.png,me\n")  # which has no labels at all
    code, again, _ = run("predict", model, table, "--format", form)
    assert code == 0 and parse_rows(again, form) == rows[:1]


def test_images_of_a_table_that_are_given_as_well_are_read_once(run, model, labeled):
    everything = sorted(map(str, labeled.iterdir()))
    assert str(labeled / "labels.csv") in everything
    for arguments in (everything, [str(labeled / "*")]):
        code, out, _ = run("predict", model, *arguments)
        assert code == 0 and len(out.splitlines()) == 40


def test_rows_of_a_table_without_a_reading_are_read_again(run, model, labeled):
    (labeled / "bad.png").write_bytes(b"no image")
    first = run("predict", model, labeled, "--format", "csv")
    table = labeled / "read.csv"
    table.write_text(first[1])
    assert run("predict", model, table, "--format", "csv") == first


def test_what_holds_no_image_gives_a_row_with_the_reason(run, model, labeled):
    empty = labeled.parent / "empty"
    empty.mkdir()
    (empty / "broken.zip").write_bytes(b"no zip file")
    (empty / "notes.txt").write_text("nothing here")
    names = [empty, empty / "broken.zip", empty / "notes.txt", labeled / "160.png"]
    code, out, _ = run("predict", model, *names)
    rows = parse_rows(out, "text")
    assert code == 1 and [name for name, *_ in rows] == list(map(str, names))
    errors = [error for *_, error in rows]
    assert "holds no image: no file ending in .apng, " in errors[0]
    assert "cannot be read as a zip file" in errors[1]
    assert "no column" in errors[2] and errors[3] is None
    out = labeled.parent / "m.onnx"
    code, _, err = run("export", model, "--onnx", out, "--test-images", empty)
    assert code == 2 and "holds no image: no file ending in" in err


@pytest.mark.slow
def test_sizes_are_chosen_by_images_of_a_zip_file(run, labeled):
    for path in sorted(labeled.glob("*.png"))[3:]:
        path.unlink()
    archive = shutil.make_archive(labeled, "zip", labeled)
    (labeled / "labels.csv").unlink()
    options = ["--n-sizes", 1, "--characters", "0123"]
    _, of_folder, _ = run("predict", "pretrained", labeled, *options)
    broken = labeled.parent / "broken.zip"
    broken.write_bytes(b"no zip file")
    code, out, _ = run("predict", "pretrained", archive, broken, *options)
    rows = parse_rows(out, "text")
    assert code == 1 and "zip file" in rows[3][2]
    assert [r[1] for r in rows[:3]] == [r[1] for r in parse_rows(of_folder, "text")]


def test_thresholds_of_a_precision():
    is_right = [True] * 8 + [False, True] + [False] * 10
    thresholds = find_thresholds(is_right, np.linspace(1, 0.05, 20))
    expected = {"0.9": 0.55, "0.95": 0.65, "0.98": 0.65, "0.99": 0.65}
    expected |= {"0.995": 0.65, "0.999": 0.65}
    assert thresholds == pytest.approx(expected)
    assert find_thresholds([False, True], [0.9, 0.8]) == {}
    assert find_thresholds([True], [0.3])["0.999"] == 0.3


@pytest.mark.parametrize("precision, least", [("0.9", 0.5), ("0.93", 0.7), (1e-9, 0.5)])
def test_a_wished_precision(run, fitted, labeled, tmp_path, precision, least):
    recognizer = copy.copy(fitted)
    recognizer.test_scores_ = {
        **{"n_samples": 5, "exact_match": 0.5, "character_accuracy": 0.5},
        "min_confidence": {"0.9": 0.5, "0.95": 0.7},
    }
    path = tmp_path / "m.joblib"
    for model in (
        recognizer,
        Pipeline([("g", GrayscaleConverter()), ("r", recognizer)]),
    ):
        joblib.dump(model, path)
        wished = run("predict", path, labeled, "--precision", precision)
        assert wished == run("predict", path, labeled, "--min-confidence", least)
        code, _, err = run("predict", path, labeled, "--precision", "0.96")
        assert code == 2 and "are for 0.9, 0.95: give one of these" in err
        _, out, _ = run("info", path)
        assert "confidence from which 0.95 are right" in out


def test_an_exported_model_keeps_the_thresholds(run, fitted, labeled, tmp_path):
    recognizer = copy.copy(fitted)
    recognizer.test_scores_ = {"min_confidence": {"0.9": 0.5, "0.99": 0.7}}
    path = tmp_path / "m.onnx"
    export_onnx(recognizer, path)
    wished = run("predict", path, labeled, "--precision", "0.99")
    assert wished == run("predict", path, labeled, "--min-confidence", "0.7")
    assert "confidence from which 0.99 are right  0.7000" in run("info", path)[1]
    export_onnx(fitted, path)
    assert "confidence" not in run("info", path)[1]


def test_rows_have_the_fields_that_the_documentation_shows(run, model, labeled):
    page = (ROOT / "docs" / "command_line.rst").read_text("utf-8")
    image, options = labeled / "160.png", ["--top-k", "2", "--format"]
    (header,) = re.findall(r"^ +(filename,text.*)$", page, re.MULTILINE)
    assert run("predict", model, image, *options, "csv")[1].splitlines()[0] == header
    (shown,) = re.findall(r"code-block:: json\n\n((?: {3}.*\n)+)", page)
    options += ["jsonl", "--characters-detail"]
    found = json.loads(run("predict", model, image, *options)[1])
    shown = json.loads(shown)
    assert found.keys() == shown.keys()
    for name in ("candidates", "characters"):
        assert found[name][0].keys() == shown[name][0].keys()


def test_a_model_that_was_never_tested(run, model, save, labeled):
    for path in (model, save("onnx"), save("ensemble")):
        code, _, err = run("predict", path, labeled, "--precision", "0.9")
        assert code == 2 and "as none was found on images held out" in err


def test_the_least_confident_come_first(run, model, fitted, labeled):
    (labeled / "bad.png").write_bytes(b"no image")
    code, out, _ = run(*("predict", model, labeled, "--sort", "confidence"))
    rows = [line.split("\t") for line in out.splitlines()]
    assert code == 1 and rows[0][0].endswith("bad.png")
    confidence = [float(row[2]) for row in rows[1:]]
    assert confidence == sorted(confidence) and len(confidence) == 40


@pytest.mark.parametrize("form", ["text", "csv", "jsonl"])
def test_several_texts_of_an_image(run, model, fitted, labeled, form):
    image = labeled / "160.png"
    bad = labeled / "bad.png"
    expected = fitted.predict_topk([image], 3)[0]
    options = ["--top-k", "3", "--format", form]
    code, out, _ = run("predict", model, image, bad, *options)
    assert code == 1
    if form == "text":
        cells = out.splitlines()[0].split("\t")[1:]
        found = list(zip(cells[::2], map(float, cells[1::2]), strict=True))
    elif form == "csv":
        row, other = csv.DictReader(io.StringIO(out))
        assert other["text_2"] == "" and other["error"]
        found = [(row[f"text{n}"], row[f"confidence{n}"]) for n in ("", "_2", "_3")]
        found = [(text, float(value)) for text, value in found]
    else:
        row, other = map(json.loads, out.splitlines())
        assert row["text"] == expected[0][0] and other["candidates"] == []
        found = [tuple(c.values()) for c in row["candidates"]]
    assert [text for text, _ in found] == [text for text, _ in expected]
    values = [value for _, value in expected]
    assert [value for _, value in found] == pytest.approx(values, abs=1e-4)


@pytest.mark.filterwarnings("ignore::skcaptcha.exceptions.UnlikeTrainingWarning")
@pytest.mark.parametrize("kind", [None, "onnx", "pipeline", "ensemble"])
def test_each_character_and_where_it_stands(
    run, save, model, fitted, labeled, kind, monkeypatch
):
    monkeypatch.setattr("skcaptcha.cli._models._CHUNK", 2)
    path = save(kind) if kind else model
    images = sorted(labeled.glob("*.png"))[:3]
    Image.new("L", (90, 16), 200).save(labeled / "0.png")  # of another width
    images = [labeled / "0.png", labeled / "gone.png", *images]
    with pytest.warns(SkippedImageWarning):
        expected = fitted.predict_characters(images, on_error="skip")
    options = ["--characters-detail", "--format"]
    code, out, _ = run("predict", path, *images, *options, "jsonl")
    rows = [json.loads(line) for line in out.splitlines()]
    assert code == 1 and rows[1]["error"] and "characters" not in rows[1]
    _, out, _ = run("predict", path, *images, *options, "text")
    lines = [line.split("\t") for line in out.splitlines()]
    for row, cells, characters in zip(rows, lines, expected, strict=True):
        if characters is None:
            continue
        found = [tuple(c.values()) for c in row["characters"]]
        assert "".join(c for c, *_ in found) == row["text"] == cells[1]
        assert [(c, *rest) for c, _, *rest in found] == [
            (c, *rest) for c, _, *rest in characters
        ]
        values = [p for _, p, *_ in characters]
        assert [p for _, p, *_ in found] == pytest.approx(values, abs=1e-4)
        assert cells[3:] == [f"{c} {p:.4f} {a}-{b}" for c, p, a, b in found]
    assert list(rows[2]["characters"][0]) == [
        "character",
        "confidence",
        "left",
        "right",
    ]


def test_where_characters_stand_is_not_told_where_it_is_not_known(
    run, model, fitted, labeled, tmp_path
):
    resize = ImageResizer(height=16, width=96)
    path, image = tmp_path / "resized.joblib", labeled / "160.png"
    joblib.dump(Pipeline([("size", resize), ("r", fitted)]), path)
    assert run("predict", path, image)[0] == 0
    code, out, err = run("predict", path, image, "--characters-detail")
    assert (code, out) == (2, "")
    assert "160.png' from 48 to 96 columns" in err and "leave out --char" in err
    code, out, err = run("predict", model, image, "--characters-detail", "--format=csv")
    assert (code, out) == (2, "") and "needs --format jsonl or text" in err


def test_top_k_is_at_least_1(run, model):
    code, _, err = run("predict", model, "a.png", "--top-k", "0")
    assert code == 2 and "--top-k=0 must be at least 1" in err


def test_patterns_that_the_shell_left_alone(run, model, labeled, monkeypatch):
    monkeypatch.chdir(labeled.parent)
    (labeled / "deep").mkdir()
    (labeled / "160.png").rename(labeled / "[x].png")
    (labeled / "161.png").rename(labeled / "deep" / "161.png")

    def read(*patterns):
        code, out, _ = run("predict", model, *patterns)
        return code, [line.split("\t")[0] for line in out.splitlines()]

    assert read("labeled/17?.png") == (0, [f"labeled/17{i}.png" for i in range(10)])
    assert read("labeled/[x].png") == (0, ["labeled/[x].png"])
    assert read("lab*/deep", "lab*/**/161.png") == (0, ["labeled/deep/161.png"] * 2)
    assert read("labeled/*.gif") == (1, ["labeled/*.gif"])  # with an error


@pytest.mark.parametrize(
    "name, shown",
    [
        ("\x1b[2J\x07.png", r"\x1b[2J\x07.png"),
        ("a\u202egnp.exe.png", r"a\u202egnp.exe.png"),
        ("\u200b\u2066x\x9b.png", r"\u200b\u2066x\x9b.png"),
        ("東 д\u3000é.png", "東 д\u3000é.png"),
    ],
)
def test_names_cannot_steer_a_terminal(run, model, labeled, name, shown):
    odd = labeled / name
    (labeled / "160.png").rename(odd)
    for path in (odd, labeled / f"no{name}"):  # the other one is missing
        _, out, _ = run("predict", model, path)
        assert out.split("\t")[0].endswith(shown)
        _, csv_text, _ = run("predict", model, path, "--format", "csv")
        assert csv_text.splitlines()[1].split(",")[0].endswith(shown)
        _, line, _ = run("predict", model, path, "--format", "jsonl")
        assert json.loads(line)["filename"] == str(path)
        for text in (out, csv_text, line):
            assert all(c.isprintable() or c in "\t\n\u3000" for c in text)
    page = labeled.parent / f"{name}.html"
    code, _, err = run("evaluate", model, labeled, "--html", page)
    assert code == 2  # the table names an image that is gone
    code, _, err = run("info", odd)
    assert all(c.isprintable() or c in "\n\u3000" for c in err)


def test_json_stays_json_where_a_character_is_missing(model, labeled, monkeypatch):
    from skcaptcha.cli import main

    odd = labeled / "東é.png"
    (labeled / "160.png").rename(odd)
    stream = io.TextIOWrapper(io.BytesIO(), "ascii")
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    assert main(["predict", model, str(odd), "--format", "jsonl"]) == 0
    assert json.loads(stream.buffer.getvalue())["filename"] == str(odd)


def test_closed_standard_input(run, model, monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)
    code, _, err = run("predict", model, "-")
    assert code == 2 and "standard input, which is closed" in err


@pytest.fixture
def inverted(captchas, tmp_path):
    """Folder of 300 inverted images, more than are read at a time, and their texts."""
    folder = tmp_path / "inverted"
    folder.mkdir()
    rows = ["filename,text"]
    for i in range(300):
        Image.fromarray(255 - captchas[0][i % 200]).save(folder / f"{i}.png")
        rows.append(f"{i}.png,{captchas[1][i % 200]}")
    (folder / "labels.csv").write_text("\n".join(rows))
    return folder


def test_images_unlike_those_of_the_training_are_warned_of_once(run, model, inverted):
    code, out, err = run("predict", model, inverted)
    assert (code, out.count("\n")) == (0, 300)
    assert err.startswith("skcaptcha: warning: 300 of 300 images are unlike the 160 tr")
    assert err.count("\n") == 1


def test_reports_say_that_images_are_unlike(run, model, inverted, tmp_path):
    page = tmp_path / "page.html"
    code, out, err = run("evaluate", model, inverted, "--html", page)
    assert code == 0 and err.count("300 of 300 images are unlike") == 1
    assert "\nWarning: 300 of 300 images are unlike the 160 training images" in out
    assert '<p class="note">Warning: 300 of 300 images' in page.read_text()


def test_a_pipeline_counts_all_of_its_images(run, fitted, inverted, tmp_path):
    for step, expected in ((GrayscaleConverter(), 1), (DarkOnLight(), 0)):
        joblib.dump(make_pipeline(step, fitted), tmp_path / "m.joblib")
        code, _, err = run("predict", tmp_path / "m.joblib", inverted)
        assert (code, err.count("300 of 300 images are unlike")) == (0, expected)
        assert err.count("\n") == expected


def test_a_pipeline_is_as_sure_as_the_reader_in_it(labeled):
    paths = sorted(labeled.glob("*.png"))[:3]
    pipeline = make_pipeline(DarkOnLight(), load_pretrained())
    images = pipeline[:-1].transform(paths)
    expected = pipeline[-1].predict_confidence(images)
    found = make_reader(pipeline).predict_confidence(paths)
    np.testing.assert_allclose(found, expected, rtol=1e-3)
    assert (expected < 0.9999).all()


def test_the_word_pretrained_is_a_model_that_nobody_has_trained(run, tmp_path):
    run("generate", tmp_path / "drawn", "-n", "3", "--characters", "0123456789")
    folder = tmp_path / "drawn"
    code, out, _ = run("predict", "pretrained", folder, "--characters", "0123456789")
    read = [line.split("\t")[1] for line in out.splitlines()]
    assert code == 0 and len(read) == 3 and set("".join(read)) <= set("0123456789")
    code, out, _ = run("info", "pretrained")
    assert code == 0 and out.count("Vocabulary (183)") == 2
    assert re.search(r"height +32, 40, 48, 56\n", out)
    code, _, err = run("export", "pretrained", "--onnx", tmp_path / "a.onnx")
    assert code == 2 and "only a CaptchaRecognizer can be exported" in err


def test_the_pretrained_reader_reads_at_sizes_that_suit_the_images(
    run, tmp_path, monkeypatch
):
    folder, told = tmp_path / "drawn", ("--characters", "0123456789")
    run("generate", folder, "-n", "4", *told)
    (folder / "odd.png").write_bytes(b"no image")
    paths = sorted(folder.glob("*.png"))
    images = read_images([path for path in paths if path.name != "odd.png"])
    reader = load_pretrained(images, n_sizes=3)
    expected = list(reader.predict(images, vocabulary=told[1]))
    code, out, _ = run("predict", "pretrained", folder, *told, "--n-sizes", "3")
    rows = [line.split("\t") for line in out.splitlines()]
    assert code == 1 and [row[1] for row in rows if len(row) == 3] == expected
    (odd,) = (row for row in rows if len(row) > 3)
    assert odd[0].endswith("odd.png") and "is not an image" in odd[3]
    # What standard input names is read as it is named: a folder is no image.
    names = io.BytesIO(f"{paths[0]}\n{folder}\n".encode())
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(names))
    code, out, _ = run("predict", "pretrained", "-", "--n-sizes", "3")
    rows = [line.split("\t") for line in out.splitlines()]
    assert code == 1 and [row[0] for row in rows] == [str(paths[0]), str(folder)]
    # Where no image can be read each has a row with its error.
    code, out, _ = run("predict", "pretrained", folder / "odd.png", "--n-sizes", "3")
    assert code == 1 and "is not an image" in out


@pytest.mark.parametrize(
    ("model", "n_sizes", "message"),
    [
        ("pretrained", "25", "--n-sizes=25 must be at least 1 and at most 24"),
        ("pretrained", "0", "--n-sizes=0 must be at least 1"),
        ("model.joblib", "6", "--n-sizes=6 is for the model `pretrained`; 'model.job"),
    ],
)
def test_what_is_wrong_with_the_number_of_sizes(run, model, n_sizes, message):
    code, _, err = run("predict", model, "a.png", "--n-sizes", n_sizes)
    assert code == 2 and message in err
