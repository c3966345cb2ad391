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


def write_atomically(path, content):
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
        What is no regular file, such as a pipe or a device, is written to as it is.
    content : bytes
        All that the file will hold.

    Raises
    ------
    OSError
        If the file cannot be written. It is then as before, and nothing is left over.
    """
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
        os.replace(temporary, path)
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
