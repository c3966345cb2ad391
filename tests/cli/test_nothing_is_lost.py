"""Models, pictures and texts are there, whatever becomes of the output."""

import errno
import io
import os
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from contextlib import suppress
from pathlib import Path

import joblib
import numpy as np
import pytest
from PIL import Image
from support.commands import QUICK

from skcaptcha import CaptchaRecognizer
from skcaptcha.cli import _models, main
from skcaptcha.training.step import Trainer


@pytest.fixture
def out(tmp_path):
    """Path of a model that is to be written."""
    return tmp_path / "model.joblib"


@pytest.fixture
def odd(tmp_path):
    """Folder of 12 images, whose names and labels no 8-bit encoding has."""
    folder = tmp_path / "odd"
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(0, 255, (12, 16, 32), dtype=np.uint8)
    for i, image in enumerate(pixels):
        Image.fromarray(image).save(folder / f"東д{i % 3}中_{i}.png")
    return folder


@pytest.fixture
def interrupt_at(monkeypatch):
    """Function that makes Ctrl-C come in some update of a training."""
    train_step = Trainer.train_step

    def interrupt(update):
        calls = []

        def step(*arguments):
            calls.append(1)
            if len(calls) == update:
                signal.raise_signal(signal.SIGINT)
            return train_step(*arguments)

        monkeypatch.setattr(Trainer, "train_step", step)

    return interrupt


@pytest.fixture
def broken():
    """Function that opens a stream to which nothing can be written."""
    streams = []

    def open_stream(kind):
        if kind == "closed":
            return None
        if kind == "full disk":
            streams.append(open("/dev/full", "w"))
        else:
            reading, writing = os.pipe()
            os.close(reading)
            streams.append(open(writing, "w"))
        return streams[-1]

    yield open_stream
    for stream in streams:
        with suppress(OSError):
            stream.close()


def train(*arguments):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The network has not learned to read")
        return main(["train", *map(str, arguments), "--quiet", *QUICK])


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_what_the_console_lacks_is_escaped(odd, out, monkeypatch, encoding):
    monkeypatch.setenv("PYTHONIOENCODING", encoding)
    stream = io.TextIOWrapper(io.BytesIO(), encoding)
    monkeypatch.setattr(sys, "stdout", stream)
    assert train(odd, "--label", "(.+)_", "--out", out) == 0
    assert main(["info", str(out)]) == 0
    assert main(["predict", str(out), str(odd)]) == 0
    assert (stream.encoding, stream.errors) == (encoding, "strict")  # as before
    text = stream.buffer.getvalue().decode(encoding)
    name = "東д0中" if encoding == "utf-8" else r"\u6771\u04340\u4e2d"
    assert f"{name}_0.png\t" in text
    assert set("東д中") <= set(joblib.load(out).vocabulary_.characters)


def test_what_is_redirected_is_utf_8(odd, model, monkeypatch):
    monkeypatch.delenv("PYTHONIOENCODING", raising=False)
    stream = io.TextIOWrapper(io.BytesIO(), "cp1252")
    monkeypatch.setattr(sys, "stdout", stream)
    assert main(["predict", model, str(odd)]) == 0
    assert "東д0中_0.png\t" in stream.buffer.getvalue().decode()


@pytest.mark.parametrize("kind", ["pipe", "full disk", "closed"])
def test_the_model_is_there_whoever_reads(
    labeled, out, monkeypatch, kind, broken, capfd
):
    page = out.with_suffix(".html")
    monkeypatch.setattr(sys, "stdout", broken(kind))
    code = train(labeled, "--out", out, "--html", page)
    assert joblib.load(out).test_scores_["n_samples"] == 8
    assert "held out" in page.read_text()
    notes = capfd.readouterr().err
    if kind == "full disk":
        assert code == 2
        assert "error: standard output cannot be written: No space left" in notes
    else:
        assert code == 0 and "error" not in notes


@pytest.mark.parametrize("kind", ["pipe", "full disk", "closed"])
def test_notes_that_nobody_reads_end_nothing(labeled, out, monkeypatch, kind, broken):
    monkeypatch.setattr(sys, "stderr", broken(kind))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The network has not learned to read")
        assert main(["train", str(labeled), "--out", str(out), *QUICK]) == 0
    assert out.exists()


@pytest.mark.parametrize(
    "kind, code", [("pipe", 141), ("full disk", 2), ("closed", 141)]
)
@pytest.mark.parametrize("command", ["predict", "evaluate", "info"])
def test_work_left_undone_is_not_0(
    labeled, model, monkeypatch, command, kind, code, broken
):
    picture = labeled.parent / "worst.png"
    arguments = [command, model, *[str(labeled)][: command != "info"]]
    if command == "evaluate":
        arguments += ["--picture", str(picture)]
    monkeypatch.setattr(sys, "stdout", broken(kind))
    assert main(arguments) == code
    assert picture.exists() == (command == "evaluate")  # saved first


def test_ctrl_c_leaves_a_good_model_alone(labeled, out, interrupt_at, capsys):
    out.write_bytes(b"a good model")
    for update, name in [(2, "interrupted"), (3, "interrupted-2")]:
        interrupt_at(update)
        assert train(labeled, "--out", out, "--test-size", 0) == 130
        assert out.read_bytes() == b"a good model"
        spare = out.with_name(f"model.{name}.joblib")
        recognizer = joblib.load(spare)
        assert recognizer.__sklearn_is_fitted__() and not recognizer.verbose
        notes = capsys.readouterr().err
        assert f"the weights so far are in {spare}; {out} is as it was" in notes
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.slow
def test_ctrl_c_as_a_terminal_sends_it(labeled, out):
    command = [sys.executable, "-m", "skcaptcha", "train", str(labeled), "--out", out]
    options = [word.replace("max_iter=1", "max_iter=9999") for word in QUICK]
    options += ["--param=n_iter_no_change=9999", "--param=tol=0.0"]
    with subprocess.Popen(
        [*command, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        for line in process.stderr:
            if line.startswith("Training on"):
                break
        time.sleep(8)
        process.send_signal(signal.SIGINT)
        printed, notes = process.communicate()
    assert (process.returncode, printed, out.exists()) == (130, "", False)
    assert "the weights so far are in" in notes
    assert joblib.load(out.with_name("model.interrupted.joblib")).n_iter_ < 9999


def test_ctrl_c_ends_a_search(labeled, out, interrupt_at, capsys, tmp_path):
    interrupt_at(3)
    grid = tmp_path / "grid.toml"
    grid.write_text("lstm_units = [4, 8]")
    code = train(labeled, "--out", out, "--search", grid, "--cv", 2)
    assert code == 130 and not list(tmp_path.glob("model*"))
    captured = capsys.readouterr()
    assert captured.out == "" and "skcaptcha: interrupted" in captured.err


def test_ctrl_c_after_a_search_keeps_its_table(
    labeled, out, interrupt_at, capsys, tmp_path
):
    interrupt_at(4 * 2 + 2)  # in the fit with the best parameters
    grid = tmp_path / "grid.toml"
    grid.write_text("lstm_units = [4, 8]")
    code = train(labeled, "--out", out, "--search", grid, "--cv", 2)
    assert code == 130 and out.with_name("model.interrupted.joblib").exists()
    assert capsys.readouterr().out.count("+/-") == 2


def test_ctrl_c_while_the_model_is_saved(labeled, out, monkeypatch, capsys):
    dump = _models._dump_pickle

    def interrupted(*arguments):
        signal.raise_signal(signal.SIGINT)
        dump(*arguments)

    monkeypatch.setattr(_models, "_dump_pickle", interrupted)
    assert train(labeled, "--out", out) == 130
    assert joblib.load(out).__sklearn_is_fitted__()
    assert f"the model is in {out}" in capsys.readouterr().err


def test_ctrl_c_while_held_out_images_are_read(labeled, out, monkeypatch, capsys):
    def iter_frames(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(CaptchaRecognizer, "iter_frames", iter_frames)
    assert train(labeled, "--out", out) == 130
    assert f"The model is in {out}" in capsys.readouterr().err


def test_the_checkpoint_outlives_a_disk_that_is_full(
    labeled, out, monkeypatch, capsys, tmp_path
):
    checkpoint = tmp_path / "state"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(elsewhere))
    write, there = _models.write_atomically, []

    def full(path, content):
        there.append(checkpoint.exists())
        if Path(path) == out:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(path, content)

    monkeypatch.setattr(_models, "write_atomically", full)
    options = ["--out", out, "--param", f"checkpoint={str(checkpoint)!r}"]
    assert train(labeled, *options) == 2
    assert checkpoint.exists() and not out.exists()
    spare = elsewhere / out.name
    assert joblib.load(spare).__sklearn_is_fitted__()
    assert f"the model is in {str(spare)!r} instead" in capsys.readouterr().err

    monkeypatch.undo()
    assert train(labeled, *options) == 0
    assert there == [True, True] and out.exists() and not checkpoint.exists()


def test_without_room_anywhere_the_error_says_so(labeled, out, monkeypatch, capsys):
    def full(path, content):
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(_models, "write_atomically", full)
    assert train(labeled, "--out", out) == 2
    assert "No space left on device" in capsys.readouterr().err


def test_half_a_set_of_drawings_is_not_in_the_way(tmp_path, monkeypatch, run):
    save = Image.Image.save

    def full(self, path, *arguments):
        if path.name == "5.png":
            path.write_bytes(b"\x89PNG")
            raise OSError(errno.ENOSPC, "No space left on device")
        save(self, path, *arguments)

    there = tmp_path / "there"
    there.mkdir()
    for folder in (tmp_path / "new", there):
        monkeypatch.setattr(Image.Image, "save", full)
        code, out, err = run("generate", folder, "-n", 8)
        assert (code, out) == (2, "") and "No space left on device" in err
        assert folder.exists() == (folder == there)
        monkeypatch.undo()
        assert run("generate", folder, "-n", 8)[0] == 0


@pytest.mark.parametrize(
    "options, message",
    [
        ("--out folder", "--out='folder.joblib' is a folder"),
        ("--out no/model", "the folder of --out, 'no', is missing"),
        (f"--out {'n' * 250}", "cannot be written: File name too long"),
        ("--out a --html no/a.html", "the folder of --html, 'no', is missing"),
        ("--out a --html labeled", "--html='labeled' is the source itself"),
        ("--out a --html folder.joblib", "--html='folder.joblib' is a folder"),
        ("--out a --html a.joblib", "--html='a.joblib' is also --out"),
        ("--out a --picture a.txt", "--picture='a.txt' must end in one of ."),
        ("--out a --picture a", "--picture='a' must end in one of ."),
        ("--out a --picture labeled/labels.csv", "must end in one of ."),
        ("--out dangling", "the folder of --out, "),
        ("--out a --search pipe", "the search file 'pipe' does not exist"),
    ],
)
def test_what_could_not_be_written_is_known_before(
    run, labeled, monkeypatch, tmp_path, options, message
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("skcaptcha.cli._training.load_data", None)
    Path("folder.joblib").mkdir()
    Path("dangling.joblib").symlink_to("no/model")
    words = options.split()
    words[1] += ".joblib"
    code, out, err = run("train", "labeled", *words, *QUICK)
    assert (code, out) == (2, "") and message in err and err.count("\n") == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        *("dangling.joblib", "folder.joblib", "labeled"),
    ]


def test_a_folder_that_may_only_be_read(run, labeled, monkeypatch, tmp_path):
    """Root may write anywhere, so the system's answer is made up."""

    def refuse(*arguments, **options):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("skcaptcha.cli._output.tempfile.TemporaryFile", refuse)
    for name in ("--out", "--html", "--picture"):
        options = {
            "--out": "a.joblib",
            name: f"b{'.png.joblib'[: 4 if name != '--out' else 11]}",
        }
        words = [w for k, v in options.items() for w in (k, tmp_path / v)]
        code, _, err = run("train", labeled, *words, *QUICK)
        assert code == 2 and "cannot be written: Permission denied" in err


@pytest.mark.parametrize(
    "module, options",
    [
        ("skops.io", "--out a.skops"),
        ("jinja2", "--out a.joblib --html a.html"),
        ("matplotlib", "--out a.joblib --html a.html"),
        ("matplotlib.backend_bases", "--out a.joblib --picture a.png"),
    ],
)
def test_a_package_that_is_missing_is_known_before(
    run, labeled, monkeypatch, tmp_path, module, options
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setattr("skcaptcha.cli._training.load_data", None)
    code, _, err = run("train", labeled, *options.split(), *QUICK)
    assert code == 2 and 'pip install "skcaptcha[' in err


@pytest.mark.parametrize(
    "words, name",
    [
        (["--param", "lstm_layers=-1"], "lstm_layers"),
        (["--search", "grid.toml"], "lstm_units"),
        (["--search", "word.toml"], "max_iter"),
    ],
)
def test_a_value_that_is_not_allowed_is_known_before(
    run, labeled, monkeypatch, tmp_path, words, name
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("skcaptcha.cli._training.load_data", None)
    Path("grid.toml").write_text("tol = [0.1]\nlstm_units = [8, 0]")
    Path("word.toml").write_text("max_iter = ['auto', 'many']")
    code, _, err = run("train", labeled, "--out", "a.joblib", *QUICK, *words)
    assert code == 2 and f"'{name}' parameter of CaptchaRecognizer must be" in err


@pytest.mark.parametrize("length", [240, 248])
def test_a_long_name_will_do(run, labeled, tmp_path, length, interrupt_at):
    out = tmp_path / ("n" * (length - 7) + ".joblib")
    assert run("train", labeled, "--out", out, *QUICK)[0] == 0
    assert joblib.load(out).__sklearn_is_fitted__()
    interrupt_at(2)
    assert run("train", labeled, "--out", out, *QUICK)[0] == 130
    assert len(list(tmp_path.glob("n*.interrupted.joblib"))) == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    "command, code",
    [
        ("predict {model} {image} >&-", 141),
        ("predict {model} {image} 2>&- >/dev/null", 0),
        ("predict {model} - <&-", 2),
        ("info {model} >&- 2>&- <&-", 141),
        ("info {model} > /dev/full", 2),
        ("predict {model} {image}s* --help | true", 0),
        ("train {data} --out {data}.joblib {quick} 2>&1 | true", 0),
        ("train {data} --out {data}.joblib {quick} >&- 2>&- <&-", 0),
    ],
)
def test_closed_streams(model, labeled, command, code):
    quick = " ".join(f"'{word}'" for word in QUICK)
    places = {"model": model, "image": labeled / "160.png", "data": labeled}
    words = command.format(**places, quick=quick)
    shell = f"set -o pipefail; '{sys.executable}' -m skcaptcha {words}"
    done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True)
    assert done.returncode == code
    assert "Traceback" not in done.stderr and "Exception" not in done.stderr
    if "train" in command:
        assert joblib.load(f"{labeled}.joblib").__sklearn_is_fitted__()


@pytest.mark.slow
def test_a_reader_that_stops_reading_is_no_error(model, labeled):
    command = [sys.executable, "-m", "skcaptcha", "predict", model]
    paths = sorted(map(str, labeled.glob("*.png"))) * 200
    with subprocess.Popen(
        [*command, "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        process.stdout.close()
        _, notes = process.communicate("\n".join(paths).encode())
    assert (process.returncode, notes) == (141, b"")
