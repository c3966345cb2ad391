"""Every command with options that are wrong, each said with its name and a remedy."""

import re
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from PIL import Image
from support.commands import QUICK

import skcaptcha.cli
from skcaptcha.__main__ import run as run_command
from skcaptcha.cli import main
from skcaptcha.datasets import _check, check_labeled_images
from skcaptcha.exceptions import DeviceError


@pytest.mark.parametrize(
    "line, message",
    [
        ("generate new --length 2000", "--length=2000 must be at most 1000"),
        ("generate new --size 99999x99999", "more than the "),
        ("generate new -n -4", "--n-samples=-4 must be an int of at least 1"),
        ("generate new --length 5-2", "--length=(5, 2) must be an int"),
        ("generate new --param size=(9,9)", "--param size is the option --size"),
        ("generate new --param random_state=1", "is the option --seed"),
        ("generate new --param lines=1 --param lines=2", "lines is given 2 times"),
        ("generate file/new", "Not a directory"),
        ("train . --out a.pkl --cv 3", "--cv and --jobs are for --search"),
        ("train . --out a.pkl --jobs 2", "--cv and --jobs are for --search"),
        ("train . --out a.pkl --search grid.toml --jobs 0", "--jobs=0 must be"),
        ("train . --out .pkl", "--out='.pkl' must be a name that ends in .joblib"),
        ("train . --out a.pkl --test-size nan", "--test-size=nan must be in [0, 1)"),
        ("train . --out a.pkl --picture a.pgf", "--picture='a.pgf' must end in"),
        ("train . --out a.pkl --param tol=1e999", "[0.0, inf). Got inf"),
        ("train . --out a.pkl --param lstm_layers=10000000", "[0, 100]. Got 10000000"),
        ("train . --out a.pkl --param lstm_units=10000000", "[1, 10000]. Got 10000000"),
        ("train . --out a.pkl --param verbose=2", "verbose is the option --quiet"),
        ("export a --onnx a.txt", "--onnx='a.txt' must end in .onnx"),
        ("predict a b --top-k 999999999", "--top-k=999999999 must be at least 1 and"),
        ("check file --encoding nonsense", "is no table"),
        ("check both.csv --filename-column a --text-column a", "--text-column"),
        ("check both.csv --text-column c", "has no column with one of the usual"),
        ("check both.csv --encoding none", "--encoding='none'"),
        ("check . --label (.", "--label='(.' cannot be used"),
    ],
)
def test_an_error_names_the_option(run, tmp_path, monkeypatch, line, message):
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("text")
    Path("both.csv").write_text("a,b\n1.png,2\n")
    Path("grid.toml").write_text("lstm_units = [8]")
    if message == "is no table":  # a file without the suffix of a table
        message = "The name of a table of labels ends in .csv"
    code, out, err = run(*line.split())
    assert (code, out) == (2, "") and message in err and err.count("\n") == 1
    assert not Path("new").exists()


@pytest.mark.parametrize("line", ["predict m -a.png", "info m -a.png"])
def test_a_file_whose_name_begins_with_a_dash(capsys, tmp_path, monkeypatch, line):
    monkeypatch.chdir(tmp_path)
    for is_there in (False, True):
        with pytest.raises(SystemExit):
            main(line.split())
        hint = "; write './-a.png' for the file of that name"
        assert (hint in capsys.readouterr().err) == is_there
        (tmp_path / "-a.png").touch()


@pytest.mark.parametrize(
    "line, message",
    [
        ("generate a --colour", "unrecognized arguments: --colour; did you mean --col"),
        ("train a --out b --tets-size=1", "did you mean --test-size?"),
        ("info a b", "unrecognized arguments: b"),
        ("train a --out b --seed -1", "'-1' is not an int from 0 to 4294967295"),
        ("generate a --seed 4294967296", "is not an int from 0 to 4294967295"),
    ],
)
def test_the_usage_is_that_of_the_command(capsys, line, message):
    with pytest.raises(SystemExit) as error:
        main(line.split())
    shown = capsys.readouterr().err
    assert error.value.code == 2
    assert message in shown and shown.startswith(f"usage: skcaptcha {line.split()[0]} ")


@pytest.mark.parametrize(
    "words, message",
    [
        (["--test-size", "0.99"], "--test-size=0.99 leaves 0 of 40 images to train on"),
        (["--search", "grid.toml", "--cv", "99"], "--cv=99 folds need as many images"),
    ],
)
def test_too_few_images_are_known_before(
    run, labeled, tmp_path, monkeypatch, words, message
):
    monkeypatch.chdir(tmp_path)
    Path("grid.toml").write_text("lstm_units = [4]")
    code, _, err = run("train", labeled, "--out", "a.pkl", *QUICK, *words)
    assert code == 2 and message in err and not Path("a.pkl").exists()


def test_one_is_no_plural(run, labeled, tmp_path):
    _, out, _ = run("generate", tmp_path / "one", "-n", 1)
    assert out.startswith("1 image and labels.csv are in ")
    (tmp_path / "one" / "notes.md").touch()
    _, out, _ = run("check", tmp_path / "one")
    assert "1 file skipped: 1 .md" in out and "warning: 1 image is little" in out
    assert "1 images" not in out


def test_digits_are_a_vocabulary(run, labeled, tmp_path):
    options = ["--out", tmp_path / "a.pkl", *QUICK, "--param", "vocabulary=0123"]
    assert run("train", labeled, *options)[0] == 0
    code, _, err = run("train", labeled, *options[:-1], "vocabulary=123")
    assert code == 2 and "not in the vocabulary '123'" in err


@pytest.mark.parametrize(
    "characters, what",
    [("", "there is none"), ("0x", "'x' is none"), ("00", "'0' occurs twice")],
)
def test_characters_that_the_model_does_not_read(run, model, characters, what):
    code, _, err = run("predict", model, "a.png", "--characters", characters)
    assert code == 2 and f"--characters={characters!r} must be some of" in err
    assert "'0123', each once" in err and what in err


def test_an_empty_folder_is_no_reason_to_read_nothing(run, model, labeled, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    images = sorted(labeled.glob("*.png"))[:2]
    code, out, _ = run("predict", model, images[0], empty, images[1])
    rows = [line.split("\t") for line in out.splitlines()]
    assert code == 1 and [row[0] for row in rows] == [
        *(str(path) for path in (images[0], empty, images[1])),
    ]
    assert "holds no image" in rows[1][3]


def test_evaluate_names_all_that_cannot_be_read(run, model, labeled):
    for number in range(160, 172):
        (labeled / f"{number}.png").write_bytes(b"no image")
    code, out, err = run("evaluate", model, labeled)
    assert (code, out) == (2, "") and "12 of 40 images cannot be read" in err
    assert "169.png, ...)" in err and "--on-error skip" in err
    code, out, _ = run("evaluate", model, labeled, "--on-error", "skip")
    assert code == 0 and re.search(r"samples +28 ", out)


@pytest.mark.parametrize("command", ["evaluate", "train"])
def test_the_scores_outlive_a_report_that_cannot_be_written(
    run, model, labeled, tmp_path, close_figures, command
):
    words = [command, *([model, labeled] if command == "evaluate" else [labeled])]
    if command == "train":
        words += ["--out", tmp_path / "a.pkl", *QUICK]
    code, out, err = run(*words, "--html", "/dev/full")
    assert code == 2 and "exact match" in out
    assert "'/dev/full': No space left on device" in err
    assert command == "evaluate" or (tmp_path / "a.pkl").exists()


def test_what_tells_of_the_code_is_no_note(capsys, monkeypatch):
    def warn(options):
        warnings.warn("of the code", ResourceWarning, stacklevel=1)
        warnings.warn("of the code", DeprecationWarning, stacklevel=1)
        warnings.warn("of the labels", UserWarning, stacklevel=1)

    monkeypatch.setattr("skcaptcha.cli._commands.info", warn)
    assert main(["info", "a"]) == 0
    assert capsys.readouterr().err == "skcaptcha: warning: of the labels\n"


@pytest.mark.parametrize(
    "error, code, message",
    [
        (MemoryError(), 2, "there is too little memory"),
        (MemoryError("The GPU has too little memory"), 2, "error: The GPU has too"),
        (DeviceError("The GPU failed in reading"), 2, "error: The GPU failed in"),
        (RuntimeError("can't allocate memory"), 2, "can't allocate memory"),
        (ValueError(), 2, "error: ValueError"),
        (KeyboardInterrupt(), 130, "skcaptcha: interrupted"),
    ],
)
def test_errors_without_a_text(capsys, monkeypatch, error, code, message):
    def fail(options):
        raise error

    monkeypatch.setattr("skcaptcha.cli._commands.info", fail)
    assert main(["info", "a"]) == code
    assert message in capsys.readouterr().err


def test_ctrl_c_while_the_program_starts(monkeypatch, capsys):
    def interrupt():
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(skcaptcha.cli, "main", interrupt)
    assert run_command() == 130
    assert capsys.readouterr().err == "skcaptcha: interrupted\n"


@pytest.mark.slow
def test_jobs_of_a_search_print_no_results(labeled, tmp_path):
    (tmp_path / "grid.toml").write_text("lstm_units = [4, 8]")
    words = ["--out", tmp_path / "a.pkl", "--search", tmp_path / "grid.toml"]
    words += ["--cv", "2", "--jobs", "2", "--test-size", "0", *QUICK]
    command = [sys.executable, "-m", "skcaptcha", "train", labeled, *words]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.startswith("Exact match, cross-val")
    assert "[CV]" not in done.stdout and done.stderr.count("[CV]") == 4
    assert done.stderr.count("has not learned to read") <= 1


def test_the_folder_above_need_not_be_listed(tmp_path, monkeypatch):
    folder = tmp_path / "images"
    folder.mkdir()
    for i in range(20):
        Image.new("L", (40, 20), i).save(folder / f"{i:03}.png")
    (tmp_path / "loop").symlink_to("loop")
    X = sorted(folder.glob("*.png"))
    y = [path.stem for path in X]
    assert "running numbers" in check_labeled_images(X, y, source=folder).warnings[0]

    def refuse(source):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(_check, "_look_around", lambda *arguments: ({}, ()))
    monkeypatch.setattr(_check, "list_tables", refuse)
    assert "running numbers" in check_labeled_images(X, y, source=folder).warnings[0]


@pytest.mark.parametrize(
    "labels, message",
    [
        (["12ab", "1.2E+10", "34cd", "5E+03", "x7y8"], "a spreadsheet made of them: 1"),
        (["12ab", "3-Mar", "34cd", "56ef", "x7y8"], "a spreadsheet made of them: 3"),
        ([f"{n}" for n in range(190, 9999, 97)], "no label begins with 0, and 9 of"),
        ([f"{n:04}" for n in range(190, 9999, 97)], None),
        ([f"{n}" for n in range(1190, 9999, 97)], None),
        (["1e10", "2E5f", "may", "dec-1", "12-x"], None),
    ],
)
def test_what_a_spreadsheet_does_to_labels(labels, message):
    X = [Image.new("L", (40, 20), i % 256) for i in range(len(labels))]
    found = [w for w in check_labeled_images(X, labels).warnings if "spreadsheet" in w]
    assert len(found) == bool(message)
    assert not message or message in found[0]


def test_the_types_of_weights_are_those_of_the_export():
    """The parser lists them itself, as it must not load what exports."""
    from skcaptcha.cli._parser import make_parser
    from skcaptcha.export._metadata import DTYPES

    for dtype in DTYPES:
        words = ["export", "m.joblib", "--onnx", "m.onnx", "--dtype", dtype]
        assert make_parser().parse_args(words).dtype == dtype
    with pytest.raises(SystemExit):
        make_parser().parse_args([*words[:-1], "float64"])
