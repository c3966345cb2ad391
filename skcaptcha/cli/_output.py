"""Standard output and error, neither of which ends a command, and output files."""

import io
import os
import signal
import stat
import sys
import tempfile
import threading
import unicodedata
from contextlib import contextmanager, suppress
from pathlib import Path

from skcaptcha._files import find_descriptor

# Where "a.html" and "A.html" are one file.
_FOLDS_CASE = sys.platform in ("win32", "darwin")


class Interrupted(BaseException):
    """Ctrl-C where a fit, which keeps its weights at a KeyboardInterrupt, must end."""


class _Notes:
    """Standard error, where a write that fails is no reason to stop."""

    def __init__(self, stream):
        self.stream = io.StringIO() if stream is None else stream

    def write(self, text):
        with suppress(OSError):
            self.stream.write(text)
        return len(text)

    def flush(self):
        with suppress(OSError):
            self.stream.flush()

    def __getattr__(self, name):
        return getattr(self.stream, name)


@contextmanager
def open_streams():
    """Make standard output and error take every character, for a ``with`` block."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # A file opened later would get this number, and what libraries print.
            os.open(os.devnull, os.O_RDWR)
    notes, out = sys.stderr, sys.stdout
    sys.stderr = _Notes(notes)
    is_text = isinstance(out, io.TextIOWrapper)
    if is_text:
        before = {"encoding": out.encoding, "errors": out.errors}
        redirected = not out.isatty() and "PYTHONIOENCODING" not in os.environ
        out.reconfigure(
            encoding="utf-8" if redirected else None, errors="backslashreplace"
        )
    try:
        yield
    finally:
        with suppress(OSError):
            flush()
        if is_text and sys.stdout is out:
            out.reconfigure(**before)
        if notes is not None:
            # Python would try again at its end, and change the exit code.
            with suppress(OSError):
                notes.flush()
                sys.stderr = notes


@contextmanager
def _name_failures():
    """Turn errors into ours, after which nothing more is written."""
    try:
        yield
    except OSError as error:
        sys.stdout = None  # or Python would try again at its end, and complain
        if isinstance(error, BrokenPipeError):
            raise
        reason = error.strerror or error
        raise OSError(f"standard output cannot be written: {reason}") from error


def write(text):
    """Write to standard output; a BrokenPipeError says that nobody reads it."""
    if sys.stdout is None:
        raise BrokenPipeError("standard output is closed")
    with _name_failures():
        sys.stdout.write(text)


def flush():
    """Bring to its reader what was written."""
    if sys.stdout is not None:
        with _name_failures():
            sys.stdout.flush()


def write_last(text):
    """Write lines at the end of a command whose work is done if nobody reads them."""
    if text:
        with suppress(BrokenPipeError):
            write(_escape_lines(text.rstrip()) + "\n")
            flush()


def say(note):
    """Write a note to standard error."""
    print(_escape_lines(note), file=sys.stderr, flush=True)


def escape(text):
    """Return a text in which what steers a terminal or turns the line is escaped."""
    return "".join(
        c
        if c.isprintable() or unicodedata.category(c) == "Zs"
        else c.encode("unicode_escape").decode()
        for c in text
    )


def _escape_lines(text):
    return "\n".join(map(escape, text.split("\n")))


@contextmanager
def handle_interrupts(error=None):
    """Raise `error` at each Ctrl-C in a ``with`` block, or only count them in a list.

    Where something else handles the signal, or it is ignored, that stays so.
    """
    seen = []

    def handle(number, frame):
        seen.append(number)
        if error is not None:
            raise error

    before = signal.getsignal(signal.SIGINT)
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or before is not signal.default_int_handler:
        yield seen
        return
    signal.signal(signal.SIGINT, handle)
    try:
        yield seen
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def divert_descriptor():
    """Let other processes, started in a ``with`` block, print to standard error."""
    before = os.dup(1)
    try:
        os.dup2(2, 1)
        yield
    finally:
        os.dup2(before, 1)
        os.close(before)


def check_input(path, what):
    """Raise an error unless a path is that of a folder or of a file with content.

    To open a pipe would wait for its writer, and so would some files of /proc, whose
    size is 0.
    """
    try:
        found = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        raise FileNotFoundError(
            f"{what} {str(path)!r} does not exist; check the spelling, and that a "
            f"relative path starts in the current folder, {os.getcwd()!r}"
        ) from None
    if not (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)):
        raise ValueError(
            f"{what} {str(path)!r} is a pipe or a device; save what it gives to a file"
        )
    if stat.S_ISREG(found.st_mode) and not found.st_size:
        raise ValueError(f"{what} {str(path)!r} is empty")


def check_outputs(options):
    """Raise an error now if a file could not be written in the end."""
    taken = {}
    for name in ("source", "model", "search"):
        if path := getattr(options, name, None):
            taken[_identify(path)] = f"the {name} itself"
    for name in ("out", "html", "picture", "onnx"):
        path = getattr(options, name, None)
        if path is None:
            continue
        if find_descriptor(path) is not None and os.path.exists(path):
            continue  # an open file, such as /dev/stdout
        option, target, own = f"--{name}", os.path.realpath(path), _identify(path)
        if own in taken:
            raise ValueError(
                f"{option}={str(path)!r} is {taken[own]}; name another file"
            )
        if not os.path.exists(target) or os.path.isfile(target):
            taken[own] = f"also {option}"
        _check_output(path, target, option)
        is_file = not os.path.exists(target) or os.path.isfile(target)
        if name == "html" and is_file and path.suffix not in (".html", ".htm"):
            raise ValueError(
                f"--html={str(path)!r} must be a name that ends in .html or .htm"
            )


def refuse_inputs(items, options):
    """Raise an error if an output would replace one of the images that are read."""
    images = {_identify(item) for item in items if isinstance(item, (str, Path))}
    for name in ("out", "html", "picture", "onnx"):
        path = getattr(options, name, None)
        if path is not None and _identify(path) in images:
            raise ValueError(
                f"--{name}={str(path)!r} is one of the images that are read; name "
                "another file"
            )


def _identify(path):
    """Return what is the same for two paths of one file."""
    path = os.path.realpath(path)
    return path.casefold() if _FOLDS_CASE else path


def _check_output(path, target, option):
    folder = os.path.dirname(target)
    if not os.path.isdir(folder):
        shown = str(path.parent) if not path.is_symlink() else folder
        raise ValueError(f"the folder of {option}, {shown!r}, is missing")
    if os.path.isdir(target):
        raise ValueError(
            f"{option}={str(path)!r} is a folder; add the name of a file to it"
        )
    try:
        if not os.path.exists(target):
            with open(target, "xb"):  # its name may be too long, or not allowed
                pass
            os.unlink(target)
        elif not os.path.isfile(target):
            if not os.access(target, os.W_OK):
                raise PermissionError(0, "permission denied")
            return
        with tempfile.TemporaryFile(dir=folder):
            pass
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or error
        raise ValueError(
            f"{option}={str(path)!r} cannot be written: {reason}"
        ) from error
