"""Check what `make dist` has built, and try it where nothing else is.

The wheel and the source distribution have to hold what they should and nothing else,
stay small and describe themselves. Then the wheel is installed into an empty
environment in a temporary folder, and there the quick start, the command line and the
examples of the public interface run.
"""

import argparse
import email
import os
import subprocess
import sys
import tarfile
import tempfile
import textwrap
import tomllib
import zipfile
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parents[1]
MAX_BYTES = 5_000_000
# What the source distribution must hold beside the package, and what neither may.
IN_SDIST = {"LICENSE", "PKG-INFO", "README.md", "pyproject.toml"}
FOREIGN = {"benchmarks", "docs", "examples", "shared", "tests", "tools"}
CLASSIFIERS = (
    "License",  # the field License-Expression says it
    "Private ::",
)
EXTRAS = "onnx,plot,preprocessing,skops"


def list_files(path):
    """Return the names of the files in a wheel or source distribution."""
    if path.suffix == ".whl":
        with zipfile.ZipFile(path) as archive:
            return {n for n in archive.namelist() if not n.endswith("/")}
    with tarfile.open(path) as archive:
        names = (m.name for m in archive.getmembers() if m.isfile())
        return {name.partition("/")[2] for name in names}


def read_metadata(path):
    """Return the metadata of a wheel or source distribution."""
    if path.suffix == ".whl":
        with zipfile.ZipFile(path) as archive:
            (name,) = (
                n for n in archive.namelist() if n.endswith(".dist-info/METADATA")
            )
            content = archive.read(name)
    else:
        with tarfile.open(path) as archive:
            (member,) = (
                m
                for m in archive.getmembers()
                if m.name.count("/") == 1 and m.name.endswith("/PKG-INFO")
            )
            content = archive.extractfile(member).read()
    return email.message_from_bytes(content)


def list_package(root, package_data):
    """Return the files of the package: its modules, and the data that it declares."""
    files = [*(root / "skcaptcha").rglob("*.py")]
    for package, patterns in package_data.items():
        everywhere = package == "*"
        folder = root.joinpath(*("skcaptcha" if everywhere else package).split("."))
        for pattern in patterns:
            found = sorted(folder.glob(f"**/{pattern}" if everywhere else pattern))
            if not found:
                raise SystemExit(f"{folder / pattern} is declared and not there")
            files += found
    return {path.relative_to(root).as_posix() for path in files}


def find_wrong_files(path, package):
    """Say what a distribution lacks, and what does not belong into it.

    `package` are the files of the package, such as "skcaptcha/metrics.py".
    """
    names = list_files(path)
    wheel = path.suffix == ".whl"
    expected = package if wheel else package | IN_SDIST
    wrong = [f"{path.name} lacks {name}" for name in sorted(expected - names)]
    if wheel and not any(n.endswith("/licenses/LICENSE") for n in names):
        wrong.append(f"{path.name} lacks its license")
    for name in sorted(names):
        first = PurePosixPath(name).parts[0]
        if "__pycache__" in name or first in FOREIGN:
            wrong.append(f"{path.name} holds {name}")
        elif first == "skcaptcha" and name not in expected:
            wrong.append(f"{path.name} holds {name}, which is no file of the package")
    if path.stat().st_size > MAX_BYTES:
        size = path.stat().st_size / 1e6
        wrong.append(f"{path.name} has {size:.1f} MB, more than {MAX_BYTES / 1e6:g}")
    return wrong


def find_wrong_metadata(path, project):
    """Say what in the metadata is missing, or other than in `project`."""
    metadata = read_metadata(path)
    wrong = []
    for field, expected in (
        ("Name", project["name"]),
        ("Version", project["version"]),
        ("Summary", project["description"]),
        ("License-Expression", project["license"]),
        ("License-File", "LICENSE"),
        ("Requires-Python", project["requires-python"]),
        ("Description-Content-Type", "text/markdown"),
    ):
        if metadata[field] != expected:
            wrong.append(f"{path.name}: {field} is {metadata[field]}, not {expected}")
    classifiers = metadata.get_all("Classifier", [])
    if sorted(classifiers) != sorted(project["classifiers"]):
        wrong.append(f"{path.name}: its classifiers are not those of pyproject.toml")
    for classifier in classifiers:
        if classifier.startswith(CLASSIFIERS):
            wrong.append(f"{path.name}: {classifier!r} is out of place")
    urls = {line.split(", ")[0] for line in metadata.get_all("Project-URL", [])}
    if urls != set(project["urls"]):
        wrong.append(f"{path.name}: its addresses are not those of pyproject.toml")
    if not (metadata.get_payload() or "").lstrip().startswith("# skcaptcha"):
        wrong.append(f"{path.name}: README.md is not its description")
    return wrong


TRY_DOCTESTS = """
import doctest, importlib, pkgutil, sys, warnings
import matplotlib
matplotlib.use("Agg")
import skcaptcha
flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
runner = doctest.DocTestRunner(optionflags=flags)
finder = doctest.DocTestFinder(exclude_empty=True)
parts = [p.name for p in pkgutil.iter_modules(skcaptcha.__path__)]
public = [skcaptcha] + [
    importlib.import_module(f"skcaptcha.{name}")
    for name in parts
    if not name.startswith("_") and name not in ("cli", "model", "training")
]
seen = set()
for module in public:
    for name in getattr(module, "__all__", ()):
        found = getattr(module, name)
        if id(found) in seen or not hasattr(found, "__doc__"):
            continue
        seen.add(id(found))
        if isinstance(found, type) or callable(found):
            # Examples may use the names of the module, as they do in the tests.
            names = vars(sys.modules[found.__module__])
            for test in finder.find(found, name, globs=names):
                runner.run(test)
result = runner.summarize()
assert "site-packages" in skcaptcha.__file__, skcaptcha.__file__
assert result.attempted > 50, result
print(f"{result.attempted} examples of the public interface, {result.failed} failed")
sys.exit(result.failed > 0)
"""


def make_environment(folder, wheel):
    """Install the wheel and its extras into a new environment; return its programs."""
    run([sys.executable, "-m", "venv", folder / "env"])
    programs = folder / "env" / ("Scripts" if os.name == "nt" else "bin")
    pip = [programs / "python", "-m", "pip", "install", "-q"]
    constraints = ROOT / "constraints.txt"
    run([*pip, "--disable-pip-version-check", "-c", constraints, f"{wheel}[{EXTRAS}]"])
    return programs


def try_wheel(wheel):
    """Install the wheel where nothing else is, and run what its users would."""
    with tempfile.TemporaryDirectory(prefix="skcaptcha-dist-") as name:
        folder = Path(name).resolve()
        programs = make_environment(folder, wheel.resolve())
        python, command = programs / "python", programs / "skcaptcha"
        work = folder / "work"
        work.mkdir()
        page = ROOT / "docs" / "quick_start.rst"
        lines = page.read_text("utf-8").splitlines(keepends=True)
        # What is pytest's puts the files of the page aside, as `work` is.
        lines = [line for line in lines if "getfixture" not in line]
        (work / page.name).write_text("".join(lines), "utf-8")
        options = ["-o", "ELLIPSIS", "-o", "NORMALIZE_WHITESPACE"]
        for words, line in (
            ("quick start", [python, "-m", "doctest", *options, "quick_start.rst"]),
            ("version", [command, "--version"]),
            ("generate", [command, "generate", "captchas", "-n", "40"]),
            ("check", [command, "check", "captchas"]),
            (
                "train",
                [command, "train", "captchas", "--out", "model.joblib"]
                + ["--param", "max_iter=2", "--html", "report.html"],
            ),
            ("predict", [command, "predict", "model.joblib", "captchas"]),
            ("export", [command, "export", "model.joblib", "--onnx", "model.onnx"]),
            ("read by ONNX", [command, "predict", "model.onnx", "captchas"]),
            ("before any label", [command, "predict", "pretrained", "captchas"]),
            ("examples", [python, "-c", TRY_DOCTESTS]),
        ):
            print(f"{words}: ", end="", flush=True)
            print(run(line, work) or "done")


def run(line, folder=None):
    """Run a program apart from the checkout; return the last line that it printed."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    done = subprocess.run(
        [*map(str, line)],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
    )
    if done.returncode:
        raise SystemExit(f"failed: {' '.join(map(str, line))[:200]}\n{done.stdout}")
    return next(reversed(done.stdout.splitlines()), "")


def main(argv=None):
    """Check the distributions in a folder; return the exit status."""
    parser = argparse.ArgumentParser(
        description=textwrap.fill(" ".join(__doc__.split())),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path, help="where they are, such as dist")
    parser.add_argument(
        "--no-install", action="store_true", help="only look at what they hold"
    )
    options = parser.parse_args(argv)
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    project = settings["project"]
    package = list_package(ROOT, settings["tool"]["setuptools"]["package-data"])
    stem = f"skcaptcha-{project['version']}"
    wheel = options.folder / f"{stem}-py3-none-any.whl"
    wrong = []
    for path in (wheel, options.folder / f"{stem}.tar.gz"):
        if not path.is_file():
            wrong.append(f"{path} is not there; build it first, by make dist")
            continue
        wrong += find_wrong_files(path, package)
        wrong += find_wrong_metadata(path, project)
        print(f"{path.name}: {path.stat().st_size / 1e6:.2f} MB")
    for line in wrong:
        print(line)
    if wrong:
        return 1
    if not options.no_install:
        try_wheel(wheel)
    return 0


if __name__ == "__main__":
    sys.exit(main())
