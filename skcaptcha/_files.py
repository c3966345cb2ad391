"""Files that are written as a whole or not at all."""

import os
import uuid

__all__ = ["write_whole"]


def write_whole(path, content):
    """Write all of a file or none: an interrupted call leaves nothing behind.

    Parameters
    ----------
    path : pathlib.Path
        Where the file goes. One that stands there stays until the new one is whole.
    content : bytes
        What it shall hold.
    """
    temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex}.part")
    try:
        temporary.write_bytes(content)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)  # still there only if that failed
