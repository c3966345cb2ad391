"""Files are written as a whole or not at all."""

import os
import sys

import pytest

from skcaptcha._files import write_atomically


def test_a_file_is_written_and_replaced(tmp_path):
    path = tmp_path / "model.bin"
    for content in (b"first", b"second and longer", b""):
        write_atomically(path, content)
        assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]


def test_the_longest_name_that_the_system_takes_is_no_obstacle(tmp_path):
    path = tmp_path / ("n" * 255)
    write_atomically(path, b"content")
    assert path.read_bytes() == b"content"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such permissions")
def test_permissions_are_those_of_the_file_before_or_of_the_umask(tmp_path):
    old, new = tmp_path / "old", tmp_path / "new"
    old.touch()
    old.chmod(0o640)
    umask = os.umask(0o027)
    try:
        write_atomically(old, b"a")
        write_atomically(new, b"a")
    finally:
        os.umask(umask)
    assert [path.stat().st_mode & 0o777 for path in (old, new)] == [0o640, 0o640]
    old.chmod(0o600)
    write_atomically(old, b"b")
    assert old.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("error", [OSError(28, "No space left"), KeyboardInterrupt()])
@pytest.mark.parametrize("step", ["os.fsync", "os.replace"])
def test_a_write_that_fails_leaves_the_old_file_alone(
    tmp_path, monkeypatch, step, error
):
    path = tmp_path / "model.bin"
    path.write_bytes(b"old")

    def fail(*arguments):
        raise error

    monkeypatch.setattr(step, fail)
    with pytest.raises(type(error)):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_process_left_behind_is_replaced(tmp_path):
    path, temporary = tmp_path / "fit.ckpt", tmp_path / "fit.ckpt.tmp"
    temporary.write_bytes(b"half of")
    write_atomically(path, b"content", temporary=temporary)
    assert path.read_bytes() == b"content"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_cannot_be_synchronized_is_no_error(tmp_path, monkeypatch):
    def fail(*arguments):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("os.open", fail)  # as on Windows
    write_atomically(tmp_path / "model.bin", b"content")
    assert (tmp_path / "model.bin").read_bytes() == b"content"
