"""The files in a zip archive, read into memory and within bounds."""

import os
import stat
import struct
import zipfile
import zlib
from contextlib import contextmanager, suppress
from pathlib import PurePosixPath

# A zip is read into memory, so what it may hold is bounded.
MAX_ENTRY_BYTES = 64 * 2**20
MAX_TOTAL_BYTES = 2 * 2**30
MAX_TABLE_BYTES = 16 * 2**20  # a table's rows take up to a hundred times its bytes
_MAX_NAMED = 10  # of the images that cannot be read
_ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError)
_ZIP_ERRORS += (RuntimeError, ValueError)  # a NotImplementedError is a RuntimeError


def is_hidden(file):
    """Tell whether a path is one that leads upwards, or that systems hide."""
    return any(part.startswith(".") or part == "__MACOSX" for part in file.parts)


class ZippedFile(bytes):
    """The content of a file in an archive, with the file's `name` there.

    `archive` is the path of the archive.
    """


@contextmanager
def _zip_errors(path, entry=""):
    try:
        yield
    except _ZIP_ERRORS as error:
        raise ValueError(
            f"path={path!r} cannot be read as a zip file: {entry}{error}; an intact "
            "zip file or a folder is needed. The name of a table of labels ends in "
            ".csv, .tsv, .txt or .jsonl."
        ) from error


@contextmanager
def open_zip(path, metadata_encoding=None):
    """Open an archive for a ``with`` block, and turn errors into ours."""
    if metadata_encoding is not None:
        try:
            "".encode(metadata_encoding)
        except (LookupError, TypeError) as error:
            raise ValueError(
                f"metadata_encoding={metadata_encoding!r} is unknown; give the name of "
                "an encoding, such as 'gbk', 'shift_jis' or 'cp866'."
            ) from error
    # Asked first, as opening a pipe would wait for ever.
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise ValueError(f"path={path!r} is neither a folder nor a zip file.")
    with _zip_errors(path):
        archive = zipfile.ZipFile(path, metadata_encoding=metadata_encoding)
    with archive:
        yield archive


def list_entries(archive, path, metadata_encoding=None):
    """Map the path of each visible file in the archive to its entry."""
    entries = {}
    infos = archive.infolist()
    names = [info.filename for info in infos]
    if metadata_encoding is None:
        names = _decode_names(infos, path)
    for info, name in zip(infos, names, strict=True):
        file = PurePosixPath(name.replace("\\", "/"))  # some Windows programs' slash
        if info.is_dir() or is_hidden(file):
            continue
        if file in entries:
            raise ValueError(
                f"path={path!r} has the name {str(file)!r} twice, and which of the two "
                "is meant cannot be known; pack it anew."
            )
        info.filename = str(file)  # for messages; zipfile goes by `orig_filename`
        entries[file] = info
    return entries


def _decode_names(infos, path):
    """Return the names of all entries, or refuse those in an unknown encoding."""
    unmarked = [
        i for i in infos if not i.flag_bits & 0x800 and not i.filename.isascii()
    ]
    decoded = {}
    try:  # macOS writes UTF-8 without saying so
        for info in unmarked:
            with suppress(UnicodeEncodeError):  # zipfile found the name elsewhere
                decoded[id(info)] = info.filename.encode("cp437").decode()
    except UnicodeDecodeError as error:
        raise ValueError(
            f"path={path!r} has {len(unmarked)} names in an unknown encoding, such as "
            f"{unmarked[0].filename!r}; name the encoding of the system that packed "
            "it, such as metadata_encoding='gbk', 'shift_jis' or 'cp866' ('cp437' "
            "takes the names as they are here)."
        ) from error
    return [decoded.get(id(info), info.filename) for info in infos]


def read_entries(archive, infos, path, on_error="raise"):
    """Read entries within the bounds; one that is named twice is read once.

    An error may stand in the place of an entry that is missing, and stays there. With
    ``on_error="skip"`` so does that of an entry that cannot be read.
    """
    unique = {i.filename: i for i in infos if isinstance(i, zipfile.ZipInfo)}
    # Of the larger ones not a byte is read.
    sizes = (info.file_size for info in unique.values())
    total = sum(size for size in sizes if size <= MAX_ENTRY_BYTES)
    if total > MAX_TOTAL_BYTES:
        raise ValueError(
            f"path={path!r} holds {total} bytes of images; {MAX_TOTAL_BYTES} at most "
            "are read: unpack it and give the folder."
        )
    contents, errors = {}, []  # by name
    for name, info in unique.items():
        try:
            contents[name] = _read_entry(archive, info, path)
        except ValueError as error:
            errors.append(error)
            contents[name] = error.with_traceback(None)
    if on_error == "raise":
        raise_all(errors, path)
    return [
        contents[info.filename] if isinstance(info, zipfile.ZipInfo) else info
        for info in infos
    ]


def raise_all(errors, path, remedy=""):
    """Raise the only error, or one that names the first ten and says how many.

    The remedy is added to its end.
    """
    if len(errors) > 1:
        n_more = len(errors) - _MAX_NAMED
        named = " ".join(map(str, errors[:_MAX_NAMED]))
        more = f" And {n_more} more." if n_more > 0 else ""
        named = f"path={path!r}: {len(errors)} images cannot be read: {named}{more}"
        raise type(errors[0])(named + remedy)
    if errors and remedy:
        raise type(errors[0])(f"{errors[0]}{remedy}")
    if errors:
        raise errors[0]


def _read_entry(archive, info, path):
    if problem := _find_problem(info):
        raise ValueError(f"path={path!r} has {problem}")
    entry = f"{info.filename!r}: "
    with _zip_errors(path, entry), archive.open(info) as stream:
        # No more than it claims, as the claims were checked.
        content = stream.read(info.file_size)
        if len(content) != info.file_size or stream.read(1):
            raise zipfile.BadZipFile(f"the size of {info.filename!r} is wrong")
    content = ZippedFile(content)
    content.name, content.archive = info.filename, path
    return content


def _find_problem(info):
    """Say why an entry must not be read; None if it may be."""
    name, size, method = repr(info.filename), info.file_size, info.compress_type
    if info.flag_bits & 0x1:
        return f"an encrypted entry {name}; unpack it and give the folder."
    mode = info.external_attr >> 16  # as Unix has it; 0 where another system packed
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        return f"the entry {name}, which is a link or a device; pack the file itself."
    # The other methods can inflate a few bytes without any bound.
    if method not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return f"the entry {name} compressed by method {method}; pack it with deflate."
    if size > MAX_ENTRY_BYTES:
        return f"an entry {name} of {size} bytes; {MAX_ENTRY_BYTES} at most are read."
    return None
