"""The command line: from drawing images to checking labels and exporting models."""

import importlib
import re
import sys
import warnings
import zipfile
from functools import partial

from skcaptcha.cli._output import Interrupted, escape, flush, open_streams
from skcaptcha.cli._parser import make_parser
from skcaptcha.exceptions import DeviceError

__all__ = ["main"]

# What is wrong with the arguments or the files, as against with the program.
_MISTAKES = (
    DeviceError,
    ImportError,
    MemoryError,
    OSError,
    TypeError,
    ValueError,
    zipfile.BadZipFile,
)
# What tells of the code and not of the user's files.
_HIDDEN = (DeprecationWarning, PendingDeprecationWarning, ResourceWarning)
# Modules that have the functions of commands, where it is not `_commands`.
_MODULES = {
    "check-labels": "_inspection",
    "curve": "_inspection",
    "label": "_labeling",
    "adapt": "_training",
    "train": "_training",
}
# Texts in quotes, which no apostrophe begins.
_QUOTED = re.compile(r"""((?<!\w)'(?:[^'\\]|\\.)*'(?!\w)|"(?:[^"\\]|\\.)*")""")
_POSITIONAL = {"command", "folder", "images", "model", "source"}
# Options whose names are not those of their values.
_NAMES = {"start": "--from", "table": "--out"}


def main(argv=None):
    """Run the command line.

    Parameters
    ----------
    argv : list of str, optional
        The arguments; None takes those of the process.

    Returns
    -------
    int
        The exit code: 0, 1 if an image could not be read, 2 after an error, 130 after
        Ctrl-C, 141 if nobody reads the output any more and there was work left.

    Examples
    --------
    >>> from skcaptcha.cli import main
    >>> main(["info", "no_such_model.joblib"])
    2
    """
    with open_streams(), warnings.catch_warnings():
        options = make_parser().parse_args(argv)
        warnings.simplefilter("default" if options.debug else "once")
        if not options.debug:
            for category in _HIDDEN:
                warnings.simplefilter("ignore", category)
            warnings.showwarning = partial(_print_warning, options)
        try:
            code = _find_function(options.command)(options) or 0
            flush()
            return code
        except BrokenPipeError:  # what reads the output, such as head, has ended
            return 141
        except (Interrupted, KeyboardInterrupt):
            print("skcaptcha: interrupted", file=sys.stderr)
            return 130
        except (*_MISTAKES, RuntimeError) as error:
            # PyTorch has no error of its own for memory that it does not get.
            known = isinstance(error, _MISTAKES) or "allocate" in str(error)
            if options.debug or not known:
                raise
            _print_note("error", _describe(error, options))
            return 2


def _find_function(command):
    """Return the function of a command; what it imports may take seconds."""
    name = _MODULES.get(command, "_commands")
    module = importlib.import_module(f"skcaptcha.cli.{name}")
    return getattr(module, command.replace("-", "_"))


def _describe(error, options):
    """Return an error as a text in which parameters have the names of options."""
    if isinstance(error, ModuleNotFoundError) and "No module named" in str(error):
        return (
            f"{options.command} needs {(error.name or '').partition('.')[0]}, which is "
            "not installed; install skcaptcha with all that it requires: pip install "
            "skcaptcha"
        )
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        return f"{error.filename!r}: {error.strerror}"
    text = str(error) or type(error).__name__
    if isinstance(error, MemoryError) and "too little memory" not in text:
        return f"there is too little memory {error}".strip()
    return _name_options(text, options)


def _name_options(text, options):
    """Return a text in which parameters have the names of the options of a command."""
    names = {name: name for name in vars(options).keys() - _POSITIONAL}
    if "characters" in names:
        names["vocabulary"] = "characters"
    parts = _QUOTED.split(text)  # every second one is quoted, such as a file
    for name, other in names.items():
        option = _NAMES.get(other, f"--{other.replace('_', '-')}")
        parts[::2] = [
            re.sub(rf"(?<![-\w./\\]){name}(?=[=\[])", option, part).replace(
                f"`{name}`", f"`{option}`"
            )
            for part in parts[::2]
        ]
    return "".join(parts)


def _print_warning(options, message, *details):
    _print_note("warning", _name_options(str(message), options))


def _print_note(kind, what):
    print(f"skcaptcha: {kind}: {escape(' '.join(str(what).split()))}", file=sys.stderr)
