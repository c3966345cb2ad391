"""Saving recognizers in files that run no code when they are loaded."""

import os
from pathlib import Path

from skcaptcha._files import write_atomically
from skcaptcha._optional import import_optional
from skcaptcha.recognizer import CaptchaRecognizer

# In addition to what skops itself trusts: plain types, NumPy's and scikit-learn's.
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
        The file, by custom ``*.skops``. An existing file stays in place until the new
        one is complete.

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
    skops_io = import_optional("skops.io", "skops", "skcaptcha.persistence.dump")
    if not isinstance(recognizer, CaptchaRecognizer):
        raise TypeError(f"recognizer={recognizer!r} must be a CaptchaRecognizer.")
    write_atomically(Path(path), skops_io.dumps(recognizer))


def load(path):
    """Load a recognizer that `dump`, or skops itself, has saved.

    Nothing in the file is run. skops builds objects of known types only. In addition
    to its own this function trusts `CaptchaRecognizer` and `Vocabulary`. A file from
    a stranger can still hold a recognizer that reads badly.

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
    with open(path, "rb"):  # an OSError of the path is not one of a damaged file
        pass
    name = repr(os.fspath(path))
    try:
        found = skops_io.get_untrusted_types(file=path)
        untrusted = sorted(set(found) - set(_TRUSTED))
        recognizer = None if untrusted else skops_io.load(path, trusted=_TRUSTED)
    except MemoryError:
        raise
    except Exception as error:  # a damaged file can end in any of them
        raise ValueError(
            f"{name} is damaged or was not written by skops ({type(error).__name__}: "
            f"{error}); load it from another copy, or save the recognizer again with "
            "skcaptcha.persistence.dump."
        ) from error
    if untrusted:
        raise ValueError(
            f"{name} holds {', '.join(untrusted)}, which this function does not load; "
            "if you know where the file comes from, look at its types with "
            "skops.io.get_untrusted_types and load it with skops.io.load."
        )
    if not isinstance(recognizer, CaptchaRecognizer):
        raise ValueError(
            f"{name} holds a {type(recognizer).__name__}, not a CaptchaRecognizer; "
            "load it with skops.io.load."
        )
    return recognizer
