"""A folder or a zip file: which files it holds, and how images in it are found."""

import os
import posixpath
import unicodedata
from contextlib import contextmanager
from functools import cache, cached_property
from pathlib import Path, PurePosixPath

from PIL import Image

from skcaptcha.datasets._zip import (
    MAX_TABLE_BYTES,
    is_hidden,
    list_entries,
    open_zip,
    read_entries,
)
from skcaptcha.images._decode import FORMATS


@cache
def image_suffixes():
    """Return the suffixes that Pillow knows of the formats that are read here."""
    known = Image.registered_extensions()
    return frozenset(suffix for suffix, form in known.items() if form in FORMATS)


class Folder:
    """The files below a folder; its images are given by their paths."""

    def __init__(self, path):
        self.path = path

    @cached_property
    def files(self):
        """Paths of the visible files, relative to the folder, to the paths to open."""
        files = (file for file in _walk(self.path) if not is_hidden(file))
        return {file: str(Path(self.path, file)) for file in files}

    def list_names(self):
        """Map the path of each file to what its image is called."""
        return self.files

    def list_tops(self):
        """List the files right in the folder."""
        names = filter(
            lambda name: os.path.isfile(os.path.join(self.path, name)),
            os.listdir(self.path),
        )
        return [PurePosixPath(name) for name in sorted(names) if name[0] != "."]

    def read(self, file):
        """Return the content of a table or a text."""
        return Path(self.path, file).read_bytes()

    def folder_of(self, table):
        """Return the folder that the names in a table are relative to."""
        return self.path

    def read_images(self, files, on_error):
        """Return the paths of the images."""
        return [item if isinstance(item, Exception) else str(item) for item in files]

    def find(self, name, folder):
        """Return the path of an image that a table names, or None."""

        def exists(spelling):
            # Named as the table and `predict` do, "a.png" rather than "./a.png".
            path = os.path.join("" if folder == os.curdir else folder, spelling)
            return path if os.path.isfile(path) else None

        return _find(name, exists)

    def find_elsewhere(self, name):
        """Return the path of an image relative to the current folder, or None."""
        return self.find(name, "")


class Archive:
    """The files in a zip file; its images are given by their contents."""

    def __init__(self, archive, path, metadata_encoding):
        self.archive, self.path = archive, path
        self.files = list_entries(archive, path, metadata_encoding)

    def list_names(self):
        """Map the path of each file to what its image is called."""
        return {file: info.filename for file, info in self.files.items()}

    def list_tops(self):
        """List all files, as archives often have a folder around everything."""
        return sorted(self.files, key=str)

    def read(self, file):
        """Return the content of a table or a text."""
        entry = self.files[file]
        if entry.file_size > MAX_TABLE_BYTES:
            raise ValueError(
                f"path={self.path!r} has a table {entry.filename!r} of "
                f"{entry.file_size} bytes; {MAX_TABLE_BYTES} at most are read: unpack "
                "it and give the table."
            )
        return read_entries(self.archive, [entry], self.path)[0]

    def folder_of(self, table):
        """Return the folder that the names in a table are relative to."""
        return str(table.parent)

    def read_images(self, infos, on_error):
        """Return the contents of the entries."""
        return read_entries(self.archive, infos, self.path, on_error)

    @cached_property
    def _by_nfc(self):
        return {PurePosixPath(_nfc(str(f))): info for f, info in self.files.items()}

    def find(self, name, folder):
        """Return the entry of an image that a table names, or None."""

        def exists(spelling):
            path = PurePosixPath(posixpath.normpath(posixpath.join(folder, spelling)))
            return self.files.get(path) or self._by_nfc.get(path)

        return _find(name, exists)

    def find_elsewhere(self, name):
        """Return the entry by its path in the archive, or None."""
        return self.find(name, "")


@contextmanager
def open_source(path, metadata_encoding):
    """Open a folder or a zip file for a ``with`` block."""
    if os.path.isdir(path):
        yield Folder(path)
    else:
        with open_zip(path, metadata_encoding) as archive:
            yield Archive(archive, path, metadata_encoding)


def _nfc(text):
    return unicodedata.normalize("NFC", text)


def _find(name, exists):
    """Return what `exists` gives for the first spelling of a name that is there."""
    plain = name.strip().replace("\\", "/")
    spellings = [name, plain]
    spellings += [unicodedata.normalize(form, plain) for form in ("NFC", "NFD")]
    for spelling in dict.fromkeys(spellings):
        if found := exists(spelling):
            return found
    if PurePosixPath(plain).suffix.lower() in image_suffixes():
        return None
    # Some tables leave the suffix out.
    found = [exists(plain + suffix) for suffix in sorted(image_suffixes())]
    found = [one for one in found if one]
    return found[0] if len(found) == 1 else None


def _walk(folder):
    """Find the files below a folder, as paths relative to it, each once.

    Links to folders are followed after everything else, so that a file is found by
    its own path first; those that lead back to where the search was are not.
    """

    def fail(error):
        raise error  # os.walk would leave out a folder that it cannot list

    top = os.path.realpath(folder)
    seen, starts = set(), [folder]
    while starts:
        start = starts.pop(0)
        # A link upwards would search all that the folder lies in.
        if start != folder and top.startswith(
            os.path.join(os.path.realpath(start), "")
        ):
            continue
        for root, folders, names in os.walk(start, onerror=fail):
            relative = PurePosixPath(Path(root).relative_to(folder).as_posix())
            real = os.path.realpath(root)
            if real in seen or is_hidden(relative):
                folders.clear()
                continue
            seen.add(real)
            paths = [os.path.join(root, name) for name in sorted(folders)]
            starts += [path for path in paths if os.path.islink(path)]
            for name in names:
                # A pipe or a dangling link is no image, whatever its name.
                if os.path.isfile(os.path.join(root, name)):
                    yield relative / name


def as_str(path, name):
    """Return a path as str."""
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"{name}={path!r} must be a path (str or os.PathLike).")
    return os.fsdecode(path)


def existing_path(path, name):
    """Return a path as str, or raise a FileNotFoundError with the remedy."""
    path = as_str(path, name)
    if not os.path.exists(path):
        raise FileNotFoundError(
            f"{name}={path!r} does not exist; check the spelling, and that a relative "
            f"path starts in the current folder, {os.getcwd()!r}."
        )
    return path
