"""What Windows and macOS ask for, as far as it can be imitated."""

import ast
import multiprocessing
import ntpath
import os
import subprocess
import sys
import zipfile

import joblib
import numpy as np
import pytest
from PIL import Image
from support.commands import QUICK
from support.data import ROOT

from skcaptcha import _files
from skcaptcha._files import write_atomically
from skcaptcha.cli import _output, main
from skcaptcha.datasets import load_image_folder, load_labels_csv, make_captchas

FILES = sorted((ROOT / "skcaptcha").rglob("*.py"))
# Modules and functions that Windows lacks.
POSIX_MODULES = {"fcntl", "grp", "pty", "pwd", "resource", "termios"}
POSIX_NAMES = {
    *("os.chown", "os.fchmod", "os.fchown", "os.fork", "os.geteuid", "os.getuid"),
    *("os.mkfifo", "os.O_NONBLOCK", "os.register_at_fork", "os.sched_getaffinity"),
    *("os.statvfs", "select.poll", "signal.SIGALRM", "signal.SIGHUP"),
    *("signal.SIGKILL", "signal.alarm", "signal.setitimer", "socket.AF_UNIX"),
}
TEXT_METHODS = {"read_text": 0, "write_text": 1}  # where their encoding stands


def name_file(path):
    return path.relative_to(ROOT).as_posix()


# What the code may not rely on


def find_posix(source):
    """Names that Windows lacks, in places where nothing asks for them first."""
    tree, found = ast.parse(source), []
    guarded = {
        id(inner)
        for node in ast.walk(tree)
        if (isinstance(node, ast.If) and "hasattr(" in ast.unparse(node.test))
        or (
            isinstance(node, ast.With)
            and "AttributeError" in ast.unparse(node.items[0])
        )
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [a.name for a in node.names if a.name in POSIX_MODULES]
        elif isinstance(node, ast.ImportFrom) and node.module in POSIX_MODULES:
            found.append(node.module)
        elif isinstance(node, ast.Attribute) and id(node) not in guarded:
            found += [name for name in [ast.unparse(node)] if name in POSIX_NAMES]
    return found


def find_default_encodings(source):
    """Lines that open a text in the encoding of the system, cp1252 in Windows."""
    lines = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        options = {keyword.arg for keyword in node.keywords}
        name = ast.unparse(node.func)
        method = name.rpartition(".")[2]
        if name == "open":
            mode = ast.unparse(node.args[1]) if len(node.args) > 1 else "'r'"
            bad = "b" not in mode and "encoding" not in options
        elif method in TEXT_METHODS and name != method:
            bad = len(node.args) <= TEXT_METHODS[method] and "encoding" not in options
        else:
            bad = False
        if bad:
            lines.append(node.lineno)
    return lines


@pytest.mark.parametrize("path", FILES, ids=name_file)
def test_the_code_needs_nothing_that_windows_lacks(path):
    source = path.read_text("utf-8")
    assert find_posix(source) == []
    assert find_default_encodings(source) == []


@pytest.mark.parametrize(
    "source, posix, encodings",
    [
        ("import fcntl", ["fcntl"], []),
        ("from resource import getrlimit", ["resource"], []),
        ("os.mkfifo('a')", ["os.mkfifo"], []),
        ("if hasattr(os, 'fork'):\n    os.fork()", [], []),
        ("with suppress(OSError, AttributeError):\n    os.chown('a', 1, 1)", [], []),
        ("open('a')", [], [1]),
        ("open('a', 'w')", [], [1]),
        ("open('a', 'rb')\nopen('a', encoding='utf-8')", [], []),
        ("path.read_text()\npath.write_text('a')", [], [1, 2]),
        ("path.read_text('utf-8')\npath.write_text('a', 'utf-8')", [], []),
    ],
)
def test_the_rules_tell_right_from_wrong(source, posix, encodings):
    assert find_posix(source) == posix
    assert find_default_encodings(source) == encodings


def test_no_two_files_of_the_project_differ_by_case_alone_or_have_reserved_names():
    done = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True
    )
    names = [name for name in done.stdout.split("\0") if name]
    if not names:  # an unpacked archive
        names = [path.relative_to(ROOT).as_posix() for path in FILES]
    assert len({name.casefold() for name in names}) == len(names)
    for name in names:
        assert not set(name) & set('<>:"\\|?*'), name
        for part in name.split("/"):
            assert part.partition(".")[0].upper() not in RESERVED, name
            assert part == part.rstrip(". "), name


# Files

RESERVED = {"CON", "NUL", "PRN", "AUX", "COM1", "LPT1"}


def test_a_file_that_another_program_reads_is_replaced_a_moment_later(
    tmp_path, monkeypatch
):
    path, replace, calls = tmp_path / "model.bin", os.replace, []
    path.write_bytes(b"before")

    def refuse_once(*paths):
        calls.append(paths)
        if len(calls) == 1:
            raise PermissionError(13, "The process cannot access the file")
        replace(*paths)

    monkeypatch.setattr(_files.os, "replace", refuse_once)
    monkeypatch.setattr(_files, "_WAITS", (0.001, 0.001))
    write_atomically(path, b"after")
    assert path.read_bytes() == b"after" and len(calls) == 2
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_stays_open_is_named_and_left_as_it_was(tmp_path, monkeypatch):
    path, calls = tmp_path / "model.bin", []
    path.write_bytes(b"before")

    def refuse(*paths):
        calls.append(paths)
        raise PermissionError(13, "The process cannot access the file")

    monkeypatch.setattr(_files.os, "replace", refuse)
    monkeypatch.setattr(_files, "_WAITS", (0.001, 0.001))
    with pytest.raises(PermissionError, match="model.bin"):
        write_atomically(path, b"after")
    assert path.read_bytes() == b"before" and len(calls) == 3
    assert list(tmp_path.iterdir()) == [path]


def test_reserved_names_in_a_zip_file_are_read_without_touching_the_disk(
    tmp_path, captchas
):
    path = tmp_path / "images.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in sorted(RESERVED):
            with archive.open(f"{name}.png", "w") as file:
                Image.fromarray(captchas[0][0]).save(file, "png")
    images, texts = load_image_folder(path)
    assert sorted(texts) == sorted(RESERVED)
    assert list(tmp_path.iterdir()) == [path]


def test_generated_files_have_names_that_every_system_takes(tmp_path, capsys):
    folder = tmp_path / "drawn"
    options = ["--characters", "aAcCoOnNuUlL", "--length", "3", "-n", "30"]
    assert main(["generate", str(folder), *options]) == 0
    names = [path.name for path in folder.iterdir()]
    assert len({name.casefold() for name in names}) == 31
    assert not {ntpath.splitext(n)[0].upper() for n in names} & RESERVED
    paths, texts = load_labels_csv(folder / "labels.csv")
    assert len(set(texts) - {text.lower() for text in texts}) > 0
    assert all(os.path.isfile(path) for path in paths)


def test_a_table_may_name_its_images_with_backslashes(tmp_path, captchas):
    (tmp_path / "train" / "first").mkdir(parents=True)
    Image.fromarray(captchas[0][0]).save(tmp_path / "train" / "first" / "a.png")
    table = tmp_path / "labels.csv"
    table.write_bytes(b"filename,text\r\ntrain\\first\\a.png,12\r\n")
    paths, texts = load_labels_csv(table)
    assert [os.path.realpath(p) for p in paths] == [
        os.path.realpath(tmp_path / "train" / "first" / "a.png")
    ]
    assert texts == ["12"]


def test_two_outputs_that_differ_by_case_alone_are_one_where_case_is_folded(
    labeled, tmp_path, run, monkeypatch
):
    out, html = tmp_path / "model.joblib", tmp_path / "MODEL.joblib"
    line = ["train", labeled, "--out", out, "--html", html, *QUICK]
    monkeypatch.setattr(_output, "_FOLDS_CASE", True)
    code, _, err = run(*line)
    assert code == 2 and "is also --out; name another file" in err
    assert not out.exists() and not html.exists()


# Programs


@pytest.fixture
def run(capsys):
    def run(*arguments):
        code = main([str(a) for a in arguments])
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def model(fitted, tmp_path):
    path = tmp_path / "model.joblib"
    joblib.dump(fitted, path)
    return path


@pytest.fixture
def labeled(captchas, tmp_path):
    folder = tmp_path / "labeled"
    folder.mkdir()
    for i in range(4):
        Image.fromarray(captchas[0][i]).save(folder / f"{captchas[1][i]}_{i}.png")
    return folder


def test_a_console_of_windows_shows_what_it_has_and_escapes_the_rest(tmp_path):
    folder = tmp_path / "картинки"
    folder.mkdir()
    images, _ = make_captchas(2, random_state=0)
    for i, image in enumerate(images):
        Image.fromarray(image).save(folder / f"жé_{i}.png")
    line = [sys.executable, "-m", "skcaptcha", "check", folder, "--label", "(.*)_"]
    outputs = {}
    for encoding in ("cp1252", "utf-8"):
        environment = os.environ | {"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
        done = subprocess.run([*map(str, line)], env=environment, capture_output=True)
        assert done.returncode == 0, done.stderr
        assert b"Traceback" not in done.stderr
        outputs[encoding] = done.stdout.decode(encoding)
    assert "\\u0436" in outputs["cp1252"] and "é" in outputs["cp1252"]
    assert "ж" in outputs["utf-8"]


def test_a_recognizer_reads_in_a_process_that_was_spawned(fitted, captchas):
    images = captchas[0][:3]
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        found = pool.map(fitted.predict, [images])[0]
    np.testing.assert_array_equal(found, fitted.predict(images))


def test_patterns_that_no_shell_expanded_are(run, model, labeled, monkeypatch):
    monkeypatch.chdir(labeled.parent)
    code, out, _ = run("predict", model, "labeled/*_[01].png")
    paths = [line.partition("\t")[0] for line in out.splitlines()]
    assert code == 0
    assert sorted(path[-6:] for path in paths) == ["_0.png", "_1.png"]
