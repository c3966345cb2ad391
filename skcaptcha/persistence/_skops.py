"""Saving recognizers in files that run no code when they are loaded."""

import copy
import io
import json
import math
import os
import stat
import zipfile

import numpy as np

from skcaptcha._files import write_atomically
from skcaptcha._optional import import_optional
from skcaptcha.recognizer import CaptchaRecognizer

# In addition to what skops itself trusts: plain types, NumPy's and scikit-learn's.
_TRUSTED = [
    "skcaptcha.recognizer.CaptchaRecognizer",
    "skcaptcha.vocabulary.Vocabulary",
]
# What the entries of a file of n bytes may hold in all: weights hardly compress, and
# the list of the attributes is small.
_MOST_TIMES, _MOST_MORE = 4, 2**24


def dump(recognizer, path):
    """Save a recognizer in the format of skops.

    Parameters
    ----------
    recognizer : CaptchaRecognizer
        Fitted or not. A path in `checkpoint` is saved as a str.
    path : str or os.PathLike
        The file, by custom ``*.skops``. An existing file stays in place until the new
        one is complete.

    Raises
    ------
    TypeError
        If `recognizer` is something else, of a subclass for example.
    ValueError
        If it holds what `load` would refuse, such as callbacks.
    OSError
        If the file cannot be written.
    ImportError
        If skops is not installed.

    See Also
    --------
    load : Load it again.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from skcaptcha import CaptchaRecognizer, persistence
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "captchas.skops")
    ...     persistence.dump(CaptchaRecognizer(max_iter=3), path)
    ...     persistence.load(path)
    CaptchaRecognizer(max_iter=3)
    """
    skops_io = import_optional("skops.io", "skops", "skcaptcha.persistence.dump")
    if type(recognizer) is not CaptchaRecognizer:
        raise TypeError(
            f"recognizer={recognizer!r} must be a CaptchaRecognizer, and not of a "
            "subclass, which `load` would not build. Of a SelfTrainingRecognizer save "
            "`recognizer_`, and other objects by joblib.dump."
        )
    if isinstance(recognizer.checkpoint, os.PathLike):
        recognizer = copy.copy(recognizer)
        recognizer.checkpoint = os.fsdecode(recognizer.checkpoint)
    content = skops_io.dumps(recognizer)
    try:
        _read(skops_io, content)
    except ValueError as error:
        raise ValueError(
            f"recognizer={recognizer!r} is not saved, as `load` would refuse it: "
            f"{error}. Set parameters to plain values, take callbacks off with "
            "set_callbacks(), or save it by joblib.dump."
        ) from error
    write_atomically(path, content)


def load(path):
    """Load a recognizer that `dump`, or skops itself, has saved.

    Nothing in the file is run. skops builds objects of known types only. In addition
    to its own this function trusts `CaptchaRecognizer` and `Vocabulary`. What the file
    unpacks to is bounded by its size, and the network is compared with its weights
    before it is built. A file from a stranger can still hold a recognizer that reads
    badly.

    Parameters
    ----------
    path : str or os.PathLike
        The file.

    Returns
    -------
    CaptchaRecognizer
        As it was saved.

    Raises
    ------
    OSError
        If the file does not exist or cannot be read.
    ValueError
        If it is damaged, not a file of skops, or holds something else.
    ImportError
        If skops is not installed.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from skcaptcha import CaptchaRecognizer, persistence
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "unfitted.skops")
    ...     persistence.dump(CaptchaRecognizer(max_iter=50), path)
    ...     persistence.load(path)
    CaptchaRecognizer(max_iter=50)
    """
    skops_io = import_optional("skops.io", "skops", "skcaptcha.persistence.load")
    name = repr(os.fspath(path))
    if not stat.S_ISREG(os.stat(path).st_mode):  # a pipe would be waited for
        raise ValueError(f"{name} is no regular file; pass one of `dump`.")
    with open(path, "rb") as file:
        content = file.read()
    try:
        return _read(skops_io, content)
    except _NotARecognizer as error:
        raise ValueError(
            f"{name} {error}; if you know where the file comes from, look at its types "
            "with skops.io.get_untrusted_types and load it with skops.io.load."
        ) from error
    except ValueError as error:
        raise ValueError(
            f"{name} {error}; load it from another copy, or save the recognizer again "
            "with skcaptcha.persistence.dump."
        ) from error


class _NotARecognizer(ValueError):
    """A sound file holds something else."""


def _read(skops_io, content):
    """Return the recognizer in the bytes of a file.

    What it should not hold is a ValueError, whose message continues its name.
    """
    try:
        _check_entries(content)
        found = skops_io.get_untrusted_types(data=content)
        untrusted = sorted(set(found) - set(_TRUSTED))
        recognizer = None if untrusted else skops_io.loads(content, trusted=_TRUSTED)
    except Exception as error:  # a damaged file can end in any of them
        raise ValueError(
            f"is damaged or was not written by skops ({type(error).__name__}: {error})"
        ) from error
    if untrusted:
        raise _NotARecognizer(
            f"holds {', '.join(untrusted)}, which this function does not load"
        )
    if not isinstance(recognizer, CaptchaRecognizer):
        kind = type(recognizer).__name__
        raise _NotARecognizer(f"holds a {kind}, not a CaptchaRecognizer")
    return recognizer


def _check_entries(content):
    """Raise a ValueError if a file unpacks to more than its size makes plausible."""
    limit = _MOST_TIMES * len(content) + _MOST_MORE
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entries = archive.infolist()
        sizes = {entry.filename: entry.file_size for entry in entries}
        # zipfile reads no more of an entry than it states.
        if sum(entry.file_size for entry in entries) > limit:
            raise ValueError(f"it unpacks to more than {limit:,} bytes")
        names = _list_files(json.loads(archive.read("schema.json")))
        if sum(sizes[name] for name in names) > limit:  # skops reads them each time
            raise ValueError(f"its arrays have more than {limit:,} bytes")
        for name in set(names):
            with archive.open(name) as file:
                _check_array(file, name, sizes[name])


def _list_files(schema):
    """Return the names of the files in the description of an object, as often as there.

    Only arrays have files of their own in what `dump` writes.
    """
    names, nodes = [], [schema]
    while nodes:
        node = nodes.pop()
        if isinstance(node, dict):
            if isinstance(node.get("file"), str):
                names.append(node["file"])
            nodes += node.values()
        elif isinstance(node, list):
            nodes += node
    return names


def _check_array(file, name, size):
    """Raise a ValueError unless a file is an array of as many bytes as it has."""
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    else:
        shape, _, dtype = np.lib.format.read_array_header_2_0(file)
    if min(shape, default=0) < 0 or dtype.hasobject:
        raise ValueError(f"{name} is no plain array")
    if math.prod(shape) * dtype.itemsize != size - file.tell():
        raise ValueError(f"{name} has another size than its shape {shape}")
