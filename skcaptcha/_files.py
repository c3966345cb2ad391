"""The one function that writes a file."""

import contextlib
import os
import secrets
import shutil


def write_atomically(path, content, *, temporary=None):
    """Write all of a file or none of it, even where the power fails.

    The content goes to a temporary file in the same folder, which then takes the place
    of the file. No library does this soundly enough to be worth a dependency:
    ``atomicwrites`` is no longer maintained, and ``tempfile`` makes files that other
    users may not read, whatever the umask.

    Parameters
    ----------
    path : pathlib.Path
        The file. One that exists stays until the new one is complete, and hands on
        its permissions.
    content : bytes
        All that the file will hold.
    temporary : pathlib.Path, optional
        The temporary file, where it has to be found after the process was killed; one
        that was left behind is replaced.

    Raises
    ------
    OSError
        If the file cannot be written. It is then as before, and nothing is left over.
    """
    if temporary is None:
        # Short, as it must fit wherever the name of the file does, and hard to guess,
        # so that in a shared folder nobody can put a link in its place.
        temporary = path.with_name(f".{secrets.token_hex(4)}.part")
    else:
        temporary.unlink(missing_ok=True)
    try:
        with open(temporary, "xb") as file:
            with contextlib.suppress(OSError):  # a new file, or no such permissions
                shutil.copymode(path, temporary)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    # So that the new name outlasts a loss of power. Windows cannot open a folder, and
    # some network drives refuse.
    with contextlib.suppress(OSError):
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
