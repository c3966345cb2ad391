"""Saving recognizers so that loading them can run nobody's code."""

import os
from pathlib import Path

from skcaptcha._files import write_atomically
from skcaptcha.recognizer import CaptchaRecognizer

__all__ = ["dump", "load"]

# Beside what skops trusts itself: plain types, NumPy's and scikit-learn's.
_TRUSTED = [
    "skcaptcha.recognizer.CaptchaRecognizer",
    "skcaptcha.vocabulary.Vocabulary",
]


def dump(recognizer, path):
    """Save a recognizer in the format of skops.

    Parameters
    ----------
    recognizer : CaptchaRecognizer
        Fitted or not.
    path : str or os.PathLike
        The file, by custom ``*.skops``. It is there as a whole or not at all: what
        stood there before stays until the new one is written.

    Raises
    ------
    TypeError
        If `recognizer` is something else.
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
    skops_io = _import_skops()
    if not isinstance(recognizer, CaptchaRecognizer):
        raise TypeError(f"recognizer={recognizer!r} must be a CaptchaRecognizer.")
    write_atomically(Path(path), skops_io.dumps(recognizer))


def load(path):
    """Load a recognizer that `dump`, or skops itself, has saved.

    Nothing in the file is run: skops builds objects of known types alone, and of
    those that are not its own this function trusts `CaptchaRecognizer` and its
    vocabulary. A file from a stranger can still hold a recognizer that reads badly.

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
        If the file is not there or cannot be read.
    ValueError
        If it is damaged, no file of skops, or holds something else.
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
    skops_io = _import_skops()
    with open(path, "rb"):  # what is wrong with the path is not wrong with the file
        pass
    try:
        names = skops_io.get_untrusted_types(file=path)
        foreign = sorted(set(names) - set(_TRUSTED))
        recognizer = None if foreign else skops_io.load(path, trusted=_TRUSTED)
    except MemoryError:
        raise
    except Exception as error:  # a damaged file can end in any of them
        raise ValueError(
            f"{os.fspath(path)!r} is damaged or was not written by skops "
            f"({type(error).__name__}: {error}); load it from another copy, or save "
            "the recognizer anew with skcaptcha.persistence.dump."
        ) from error
    if foreign:
        raise ValueError(
            f"{os.fspath(path)!r} holds {', '.join(foreign)}, which this function does "
            "not load; if you know where the file comes from, look at its types with "
            "skops.io.get_untrusted_types and load it with skops.io.load."
        )
    if not isinstance(recognizer, CaptchaRecognizer):
        raise ValueError(
            f"{os.fspath(path)!r} holds a {type(recognizer).__name__} and no "
            "CaptchaRecognizer; load it with skops.io.load."
        )
    return recognizer


def _import_skops():
    try:
        import skops.io
    except ImportError as error:
        raise ImportError(
            "skcaptcha.persistence needs skops; `pip install skcaptcha[skops]`."
        ) from error
    return skops.io
