"""What the benchmarks share: the data, the setting of a run, files of results."""

import json
import os
import platform
import statistics
import subprocess
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import sklearn
import torch

import skcaptcha

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
SCRATCH = RESULTS / "scratch"


def add_arguments(parser, rows, results):
    """Add the rows to run and what goes for each benchmark of rows.

    Parameters
    ----------
    parser : argparse.ArgumentParser
    rows : iterable of str
        Names of the rows.
    results : str
        Name of the file of the results.
    """
    parser.epilog = "The exit status is 1 where a row that was run missed its target."
    parser.add_argument(
        "rows",
        nargs="*",
        metavar="row",
        help=f"rows to run: {', '.join(rows)} (default: all)",
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=RESULTS / results,
        help="file of the results; rows that are not run keep theirs (default: "
        f"benchmarks/results/{results})",
    )
    parser.add_argument(
        "--threads", type=int, default=2, help="threads of torch (default: 2)"
    )
    parser.add_argument(
        "--markdown",
        action="store_true",
        help="run nothing; print the results in the file as Markdown",
    )


def check_arguments(parser, arguments, rows):
    """Fill in all rows where none is named, or end with the parser's error."""
    arguments.rows = arguments.rows or list(rows)
    for name in arguments.rows:
        if name not in rows:
            parser.error(f"unknown row {name!r}; choose from {', '.join(rows)}")
    if arguments.threads < 1:
        parser.error(f"--threads {arguments.threads} must be at least 1")
    if getattr(arguments, "quick", False):
        default = parser.get_default("output")
        if arguments.output == default:
            arguments.output = SCRATCH / default.name
    if hasattr(arguments, "repeats"):
        if arguments.repeats is None:
            arguments.repeats = 1 if arguments.quick else arguments.usual_repeats
        if arguments.repeats < 1:
            parser.error(f"--repeats {arguments.repeats} must be at least 1")
    if arguments.markdown and not arguments.output.exists():
        parser.error(f"--output {arguments.output} doesn't exist; run a row first")


def add_quick_argument(parser):
    """Add ``--quick``, a trial that leaves the file of the results alone."""
    parser.add_argument(
        "--quick",
        action="store_true",
        help="a trial on little; its results go to benchmarks/results/scratch unless "
        "there is an --output",
    )


def add_repeats_argument(parser, usual, what):
    """Add ``--repeats`` beside ``--quick``, with which there is one of `what`."""
    parser.add_argument(
        "--repeats", type=int, help=f"{what} (default: {usual}, 1 with --quick)"
    )
    parser.set_defaults(usual_repeats=usual)


def add_data_argument(parser):
    """Add ``--data``, the folder of the real data sets, to an argument parser."""
    parser.add_argument(
        "--data",
        type=Path,
        default=os.environ.get("SKCAPTCHA_DATA", ROOT.parent / "shared" / "data"),
        help="folder of the archives of real images (default: the environment "
        "variable SKCAPTCHA_DATA, else ../shared/data beside the project)",
    )


def check_archives(parser, data, archives):
    """End with the parser's error if an archive is not in the folder `data`."""
    for archive in archives:
        if not (data / archive).is_file():
            parser.error(
                f"{data / archive} doesn't exist; say where it is by --data or "
                "SKCAPTCHA_DATA, or run what does without it"
            )


def unpack(data, archive, folder):
    """Unpack an archive, so that a fit reads its images from paths."""
    with zipfile.ZipFile(data / archive) as opened:
        opened.extractall(folder)


def describe_run(*scripts):
    """Return when, on what and with which versions scripts are run."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": find_commit(*scripts),
        "machine": {
            "processor": find_processor(),
            "cpu_count": os.cpu_count(),
            "threads": torch.get_num_threads(),
            "system": platform.system(),
        },
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "scikit-learn": sklearn.__version__,
            "numpy": np.__version__,
            "skcaptcha": skcaptcha.__version__,
        },
    }


def find_commit(*scripts):
    """Return the last commit of the code that is measured, None outside a repository.

    Commits of other files, documentation say, leave it as it is.
    """

    def git(*arguments):
        return subprocess.run(
            ["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        code = "skcaptcha", *map(str, scripts)
        commit = git("log", "-1", "--format=%H", "--", *code) or None
        changed = git("status", "--porcelain", "--", *code)
    except (OSError, subprocess.CalledProcessError):
        return None
    return f"{commit} with changes" if changed else commit


def find_processor():
    """Return the processor's name, which `platform` doesn't know on Linux."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2] for line in lines if line.startswith("model name")]
    return names[0].strip() if names else platform.processor() or platform.machine()


def read_entries(path):
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def read_kept(path, name, entry, also=()):
    """Return the earlier entry of a row if its measurements stand beside those of now.

    They do if the same code, without changes since its commit, made them on the same
    machine with the same versions, and where they have the same values of `also`;
    otherwise the answer is an empty dict.
    """
    earlier = read_entries(path).get(name, {})
    same = ("commit", "machine", "versions", *also)
    if str(entry["commit"]).endswith(("None", "with changes")):
        return {}
    return earlier if all(earlier.get(key) == entry[key] for key in same) else {}


def save_entry(path, name, entry):
    """Put the entry of one row into the file, and leave the other rows in it."""
    entries = {**read_entries(path), name: entry}
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.part")
    text = json.dumps(entries, indent=2, ensure_ascii=False, default=str)
    temporary.write_text(text + "\n", encoding="utf-8")
    os.replace(temporary, path)  # the old file or the new one, never half of it


def describe_setting(entry):
    """Return in words what an entry was measured on."""
    versions, machine = entry["versions"], entry["machine"]
    others = "".join(
        f", {name} {versions[name]}"
        for name in ("tensorflow", "keras", "onnxruntime")
        if name in versions
    )
    return (
        f"{machine['processor']}, {machine['threads']} threads; Python "
        f"{versions['python']}, torch {versions['torch']}, scikit-learn "
        f"{versions['scikit-learn']}{others}; {entry['date'][:10]}"
    )


def describe_spread(values, form=".2f"):
    """Return median, lowest and highest in words, as in ``2.00 (1.00 to 4.00)``."""
    median, low, high = (
        format(value, form)
        for value in (statistics.median(values), min(values), max(values))
    )
    return f"{median} ({low} to {high})"


def format_table(header, rows):
    """Return the lines of a Markdown table; what is in the cells is made a string."""
    lines = [header, ["---"] * len(header), *rows]
    return [f"| {' | '.join(map(str, cells))} |" for cells in lines]
