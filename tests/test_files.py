"""Files are written as a whole or not at all."""

import os
import re
import stat
import sys
from pathlib import Path

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


def test_an_error_names_the_file_and_not_the_temporary_one(tmp_path):
    path = tmp_path / "no folder" / "model.bin"
    with pytest.raises(FileNotFoundError) as caught:
        write_atomically(path, b"content")
    assert caught.value.filename == str(path)
    with pytest.raises(IsADirectoryError, match=re.escape(str(tmp_path))):
        write_atomically(tmp_path, b"content")


def test_a_folder_that_cannot_be_synchronized_is_no_error(tmp_path, monkeypatch):
    def fail(path, flags, *rest):
        if flags == os.O_RDONLY:
            raise PermissionError(13, "Permission denied")  # as on Windows
        return open_file(path, flags, *rest)

    open_file = os.open
    monkeypatch.setattr("os.open", fail)
    write_atomically(tmp_path / "model.bin", b"content")
    assert (tmp_path / "model.bin").read_bytes() == b"content"


def test_links_are_written_through(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    target, link, second = folder / "target", tmp_path / "link", tmp_path / "second"
    link.symlink_to(os.path.join("folder", "target"))
    second.symlink_to(link)
    for path, content in [(link, b"new"), (second, b"replaced")]:  # at first, of none
        write_atomically(path, content)
        assert target.read_bytes() == content
    assert link.is_symlink()
    assert second.is_symlink()
    assert list(folder.iterdir()) == [target]
    circle = tmp_path / "circle"
    circle.symlink_to(circle)
    with pytest.raises(OSError, match="circle"):
        write_atomically(circle, b"new")
    assert circle.is_symlink()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes")
@pytest.mark.parametrize("linked", [False, True])
def test_what_is_no_regular_file_stays_and_is_written_to(tmp_path, linked):
    pipe = path = tmp_path / "pipe"
    os.mkfifo(pipe)
    if linked:
        path = tmp_path / "link"
        path.symlink_to(pipe)
    before = sorted(tmp_path.iterdir())
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_atomically(path, b"content")
        assert os.read(reader, 100) == b"content"
    finally:
        os.close(reader)
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert sorted(tmp_path.iterdir()) == before
    write_atomically(Path(os.devnull), b"content")
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)


@pytest.mark.skipif(not os.path.exists("/dev/fd"), reason="files have no such names")
@pytest.mark.parametrize("form", ["/dev/fd/{}", "/proc/self/fd/{}", "link"])
def test_an_open_file_is_written_to_where_it_stands(tmp_path, form):
    path = tmp_path / "redirected"
    with open(path, "ab", buffering=0) as file:
        name = form.format(file.fileno())
        if form == "link":  # as /dev/stdout is one
            name = tmp_path / "link"
            name.symlink_to(f"/dev/fd/{file.fileno()}")
        if not os.path.exists(name):
            pytest.skip("there is no /proc here")
        before = path.stat().st_ino
        file.write(b"before, ")
        write_atomically(name, b"content")
        file.write(b", after")
    assert path.read_bytes() == b"before, content, after"
    assert path.stat().st_ino == before
    assert set(tmp_path.iterdir()) <= {path, tmp_path / "link"}
    with open(path, "rb") as file, pytest.raises(OSError, match="Bad file") as caught:
        write_atomically(f"/dev/fd/{file.fileno()}", b"lost")
    assert caught.value.filename.startswith("/dev/fd/")
    assert path.read_bytes() == b"before, content, after"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such permissions")
def test_a_private_file_is_private_while_it_is_written(tmp_path, monkeypatch):
    path = tmp_path / "private"
    path.write_bytes(b"old")
    path.chmod(0o600)
    seen = []

    def look(number):
        seen.extend(p.stat().st_mode & 0o777 for p in tmp_path.iterdir())

    monkeypatch.setattr("os.fsync", look)
    monkeypatch.setattr("os.chmod", lambda *args: look(None))
    write_atomically(path, b"new")
    assert set(seen) == {0o600}
    assert len(seen) >= 4  # the old and the new file, before and after the writing


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="Windows has no such owners")
def test_a_file_stays_its_owners(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("only root may give files away")
    path = tmp_path / "model.bin"
    path.write_bytes(b"old")
    os.chown(path, 1234, 1235)
    path.chmod(0o600)
    write_atomically(path, b"new")
    found = path.stat()
    assert (found.st_uid, found.st_gid) == (1234, 1235)
    assert found.st_mode & 0o777 == 0o600


def test_file_and_folder_are_synchronized(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr("os.fsync", lambda n: synced.append(os.fstat(n).st_mode))
    write_atomically(tmp_path / "model.bin", b"content")
    kinds = [stat.S_ISREG(synced[0]), stat.S_ISDIR(synced[-1])]
    assert kinds == [True, True]
    assert len(synced) == 2
