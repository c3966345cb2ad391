"""The one function that writes a file."""

import contextlib
import os
import secrets
import stat
import time
import zlib
from pathlib import Path

# A write that takes longer than this was killed.
_STALE_SECONDS = 60
# Windows refuses to replace a file while another program reads it, such as a scanner
# for viruses: so many seconds are waited before each further try.
_WAITS = (0.01, 0.05, 0.1, 0.3, 0.5) if os.name == "nt" else ()


def write_atomically(path, content, *, replace=True):
    """Write all of a file or none of it, even where the power fails.

    The content goes to a temporary file in the same folder, which then takes the place
    of the file. No library does this soundly enough to be worth a dependency:
    ``atomicwrites`` is no longer maintained, and ``tempfile`` makes files that other
    users may not read, whatever the umask.

    Parameters
    ----------
    path : path-like
        The file. One that exists stays until the new one is complete, and hands on
        its owner and permissions. Of a link the file is replaced that it points to.
        What is no regular file, such as a pipe or a device, is written to as it is,
        and so is an open file that is named by its number, such as /dev/stdout.
    content : bytes
        All that the file will hold.
    replace : bool, default=True
        If False, no file may be there. Of several that write at a time one succeeds.

    Raises
    ------
    FileExistsError
        If there is a file and `replace` is False.
    OSError
        If the file cannot be written. It is then as before, and nothing is left over.
    """
    number = find_descriptor(path)
    if number is not None:
        _write_open(number, content, path)
        return
    try:
        before = os.stat(path)
    except FileNotFoundError:
        before = None
    if before is not None and not stat.S_ISREG(before.st_mode):
        try:
            with open(path, "wb") as file:  # which says so if it is a folder
                file.write(content)
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(path)) from error
        return
    path = Path(os.path.realpath(path))
    # Short, as it must fit wherever the name of the file does, and hard to guess,
    # so that in a shared folder nobody can put a link in its place.
    temporary = path.with_name(_prefix(path) + f"{secrets.token_hex(4)}.part")
    try:
        _write_new(temporary, content, before)
        if replace:
            _replace(temporary, path)
        else:
            _name_new(temporary, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError):  # of the file that the user knows of
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise
    # So that the new name outlasts a loss of power. Windows cannot open a folder, and
    # some network drives refuse.
    with contextlib.suppress(OSError):
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _replace(temporary, path):
    """Put a file in the place of another, as soon as no other program reads that."""
    for wait in _WAITS:
        try:
            os.replace(temporary, path)
            return
        except PermissionError:
            time.sleep(wait)
    os.replace(temporary, path)


def _name_new(temporary, path):
    """Give a file its name, unless there is one of that name."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without links, as of memory cards
        with open(path, "xb"):
            pass
        _replace(temporary, path)
    else:
        os.unlink(temporary)


def find_descriptor(path):
    """Return the number of an open file of this process that a path names, or None.

    Such paths are /dev/stdout, /dev/fd/1 and /proc/self/fd/1, and links to them. To
    follow them further would lead to a file whose place nothing may take, as it is
    open.
    """
    path = os.path.abspath(path)
    for _ in range(40):  # more links are no path
        folder, name = os.path.split(path)
        folder = os.path.realpath(folder)
        if name.isdecimal() and folder in ("/dev/fd", f"/proc/{os.getpid()}/fd"):
            return int(name)
        if not os.path.islink(path):
            return None
        path = os.path.join(folder, os.readlink(path))
    return None


def _write_open(number, content, path):
    """Write to an open file, from where it stands, which others continue to use."""
    try:
        with open(os.dup(number), "wb") as file:
            file.write(content)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


def _write_new(path, content, before):
    """Write and sync a file that must not exist, with the rights of one `before`."""
    # Until it has the rights of a private file, nobody else may open the new one.
    rights = 0o666 if before is None else 0o600
    with open(path, "xb", opener=lambda *args: os.open(*args, rights)) as file:
        if before is not None:
            with contextlib.suppress(OSError, AttributeError):  # Windows has no owners
                os.chown(path, before.st_uid, before.st_gid)
            with contextlib.suppress(OSError):
                os.chmod(path, stat.S_IMODE(before.st_mode))
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def remove_stale(path):
    """Delete what killed processes left of the file when they were writing it.

    Links, and what may still be written, are left alone.
    """
    path = Path(os.path.realpath(path))
    for temporary in path.parent.glob(f"{_prefix(path)}????????.part"):
        with contextlib.suppress(OSError):
            found = os.lstat(temporary)
            if (
                stat.S_ISREG(found.st_mode)
                and time.time() - found.st_mtime > _STALE_SECONDS
            ):
                temporary.unlink()


def _prefix(path):
    """Return how the names of a file's temporary files begin."""
    return f".{zlib.crc32(os.fsencode(path.name)):08x}-"
