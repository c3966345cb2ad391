"""Check the types that the package declares.

They stand in stubs (.pyi) beside the modules, so that the docstrings stay the
documentation and nothing of typing is loaded at run time. Names, defaults and kinds of
parameters are held against the code, and a program that uses them is checked strictly.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PROGRAM = Path("tests", "support", "typed_program.py")
# What may differ: the module of types is not there at run time, the functions of a
# private module need no types, and the mixin leaves one method to its classes.
ALLOWED = r"""
skcaptcha\._types
skcaptcha\._reader\.[a-z]\w+
skcaptcha\._reader\.ReaderMixin\.iter_frames
skcaptcha\..*\.set_\w+_request
skcaptcha\..*\.__(?!init__)\w+__
"""


def list_modules(suffix, root=ROOT):
    """Return the names of the modules that have a file of this suffix."""
    names = set()
    for path in (root / "skcaptcha").rglob(f"*{suffix}"):
        parts = path.relative_to(root).with_suffix("").parts
        names.add(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    return names


def keep_stubbed(output, modules, stubbed):
    """Return the lines that are not of a module without a stub, which has no types."""
    kept = []
    for line in output.splitlines():
        known = [name for name in modules if line.startswith(f"{name}.")]
        if not known or max(known, key=len) in stubbed:
            kept.append(f"{line}\n")
    return "".join(kept)


def run(*arguments):
    """Run a module of Python; return its output if it finds something, else nothing."""
    done = subprocess.run(
        [sys.executable, "-m", *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | {"MYPYPATH": str(ROOT)},
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    return done.stdout + done.stderr if done.returncode else ""


def main():
    """Print what is wrong; return the exit status."""
    with tempfile.TemporaryDirectory() as folder:
        allowed = Path(folder, "allowed.txt")
        allowed.write_text(ALLOWED, "utf-8")
        options = ("--concise", "--mypy-config-file", "pyproject.toml")
        options += ("--ignore-unused-allowlist", "--allowlist", allowed)
        found = run("mypy.stubtest", *options, "skcaptcha")
    modules, stubbed = (list_modules(suffix) for suffix in (".py", ".pyi"))
    wrong = keep_stubbed(found, modules, stubbed)
    wrong += run("mypy", "--follow-imports", "silent", PROGRAM)
    sys.stdout.write(wrong)
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
