"""Saving recognizers in files that run no code when they are loaded."""

import copy
import io
import os
import stat
import zipfile

from skcaptcha._files import write_atomically
from skcaptcha._optional import import_optional
from skcaptcha._validation import check_path, issue_warnings
from skcaptcha.persistence._skops_files import check_entries
from skcaptcha.recognizer import CaptchaRecognizer

# In addition to what skops itself trusts: plain types, NumPy's and scikit-learn's.
_TRUSTED = [
    "skcaptcha.recognizer.CaptchaRecognizer",
    "skcaptcha.vocabulary.Vocabulary",
]


def dump(recognizer, path):
    """Save a recognizer in the format of skops.

    It takes a `CaptchaRecognizer` alone. :doc:`/deployment` says how to save a Pipeline
    or an ensemble.

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

    Warns
    -----
    UserWarning
        If it has metadata requests, which are left out.

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
    path = check_path(path)
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
    notices = []
    if "_metadata_request" in vars(recognizer):  # which skops cannot save
        recognizer = copy.copy(recognizer)
        del recognizer._metadata_request
        message = (
            "Metadata requests are not saved. After `load` set them anew, such as by "
            "set_fit_request(sample_weight=True), before the recognizer is fitted."
        )
        notices.append((message, UserWarning))
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
    issue_warnings(notices)


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
    name = repr(str(path := check_path(path)))
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
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            check_entries(archive, len(content))
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
