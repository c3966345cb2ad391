"""What the benchmarks share: arguments, runs, records, Markdown and side processes.

A script declares its rows and hands them to `run_benchmark`. A row is a table, or a
line of one, and is made of runs: a seed on a data set, say, or one repeat of a library.
Each run is saved as soon as it is measured, so that a benchmark that was interrupted
continues where it stopped.
"""

import argparse
import contextlib
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import warnings
import zipfile
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
import sklearn
import torch
from sklearn.exceptions import ConvergenceWarning

import skcaptcha
from skcaptcha import CaptchaRecognizer
from skcaptcha._files import write_atomically
from skcaptcha._intervals import wilson_interval

FOLDER = Path(__file__).resolve().parent
ROOT = FOLDER.parent
RESULTS = FOLDER / "results"
SCRATCH = RESULTS / "scratch"
N_QUICK = 40  # images of a trial, which are learned from for one epoch


@dataclass(frozen=True, kw_only=True)
class Row:
    """A table of a benchmark, or a line of one.

    The runs of a row are all combinations of its factors, once for each of its seeds or
    repeats, the combinations in turn and every second time in reverse.
    """

    words: str  # what is measured
    archive: str | None = None  # of real images, unpacked before `prepare`
    reads_data: bool = False  # whether it reads archives of --data by itself
    seeds: tuple = ()  # that are run where --seeds names no others
    repeats: int = 0  # that are run where --repeats names no other number
    factors: dict = field(default_factory=dict)  # name -> values
    n_quick: int | None = None  # values of each factor in a trial, or all
    columns: dict = field(default_factory=dict)  # what is shown -> title, format
    target: str = ""  # of `judge`, in words

    def describe(self, arguments):
        """Return options that change what is measured; they go into the entry."""
        return {}

    def prepare(self, arguments, folder):
        """Return what the runs need, made in a temporary folder once for all."""
        return folder

    def list_seeds(self, arguments):
        usual = self.seeds[: 1 if arguments.quick else None]
        return arguments.seeds or usual if self.seeds else ()

    def list_runs(self, arguments, prepared):
        """Return a dict for each run, of what tells it from the others."""
        usual = 1 if arguments.quick else self.repeats
        repeats = range(arguments.repeats or usual)
        turns = [{"seed": seed} for seed in self.list_seeds(arguments)]
        turns += [{"repeat": repeat} for repeat in repeats if self.repeats]
        n_values = self.n_quick if arguments.quick else None
        factors = (values[:n_values] for values in self.factors.values())
        combinations = [
            dict(zip(self.factors, values, strict=True)) for values in product(*factors)
        ]
        return [
            {**turn, **combination}
            for n, turn in enumerate(turns or [{}])
            for combination in combinations[:: -1 if n % 2 else 1]
        ]

    def measure(self, run, arguments, prepared):
        """Return a dict of what was measured in a run."""
        raise NotImplementedError

    def judge(self, entry):
        """Return "met", "missed" or "open", each with a reason or without."""
        return ""

    def group(self, entry):
        """Return values of all factors -> the runs that have them."""
        groups = {}
        for run in entry["runs"]:
            groups.setdefault(tuple(run[name] for name in self.factors), []).append(run)
        return groups

    def format(self, entry):
        """Return lines: a table with a line for each combination, and the note."""
        columns = {
            name: column
            for name, column in self.columns.items()
            if list_values(entry["runs"], name)
        }
        rows = []
        for key, runs in self.group(entry).items():
            values = (list_values(runs, name) for name in columns)
            forms = (form for _, form in columns.values())
            rows.append([*key, *map(describe_spread, values, forms)])
        header = [*(name.replace("_", " ") for name in self.factors)]
        header += [title for title, _ in columns.values()]
        return [*format_table(header, rows), "", self.note(entry)]

    def note(self, entry):
        """Return what is said below the table."""
        return f"Runs in all: {len(entry['runs'])}; median (lowest to highest)."


def run_benchmark(script, argv=None):
    """Run rows of a script, or print what the file holds; return the exit status.

    The script is a module with `ROWS`, a dict of `Row` by their names. It may have
    functions of its own, `add_options` to the parser, `check_options` of the parser
    and the arguments, and `format_markdown`, which returns lines for entries by names.
    """
    parser = make_parser(script)
    if hasattr(script, "add_options"):
        script.add_options(parser)
    arguments = parser.parse_args(argv)
    check_arguments(parser, arguments, script.ROWS)
    if hasattr(script, "check_options"):
        script.check_options(parser, arguments)
    show = getattr(script, "format_markdown", partial(format_rows, script.ROWS))
    if arguments.markdown:
        found = read_entries(arguments.output)
        found = {name: found[name] for name in script.ROWS if name in found}
        print("\n".join(show(found)))
        return 0
    torch.set_num_threads(arguments.threads)
    entries, verdicts = {}, []
    for name in arguments.rows:
        row = script.ROWS[name]
        print(f"{name}: {row.words}", flush=True)
        entries[name] = run_row(name, row, arguments, script.__file__)
        verdicts.append(judge(row, entries[name]))
    print("\n".join(show(entries)))
    return int(any(verdict.startswith("missed") for verdict in verdicts))


def run_row(name, row, arguments, script):
    """Measure the runs that the file lacks, saving after each; return the entry."""
    entry = {**describe_run(script), "words": row.words, "quick": arguments.quick}
    entry |= row.describe(arguments)
    entry["runs"] = []
    if not arguments.again:
        entry = find_kept(arguments.output, name, entry) or entry
    with tempfile.TemporaryDirectory() as folder, only_measurements():
        if row.archive:
            with zipfile.ZipFile(arguments.data / row.archive) as archive:
                archive.extractall(folder)
        prepared = row.prepare(arguments, Path(folder))
        for run in row.list_runs(arguments, prepared):
            if any(run.items() <= kept.items() for kept in entry["runs"]):
                print(f"  {format_run(run)}: kept", flush=True)
                continue
            measured = row.measure(run, arguments, prepared)
            entry["versions"] |= measured.pop("versions", {})
            entry["runs"].append({**run, **measured})
            save_entry(arguments.output, name, entry)
            print(f"  {format_run(run)}: {format_run(measured)}", flush=True)
    return entry


@contextlib.contextmanager
def only_measurements():
    """Raise what would spoil a measurement, and ignore what the results tell."""
    with warnings.catch_warnings():
        # Ctrl-C leaves a recognizer that works, but no measurement.
        warnings.filterwarnings("error", message="Training was interrupted")
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


def judge(row, entry):
    """Say whether an entry reaches the row's target."""
    return "open: a trial" if entry["quick"] else row.judge(entry)


def make_recognizer(arguments, **params):
    """Return a recognizer with default parameters but for some; a trial is short."""
    recognizer = CaptchaRecognizer(**params)
    return recognizer.set_params(max_iter=1) if arguments.quick else recognizer


def shorten(arguments, *parts):
    """Return lists of samples, in a trial the first of them alone."""
    return [part[:N_QUICK] if arguments.quick else part for part in parts]


# ---- arguments -------------------------------------------------------------------


def make_parser(script):
    """Return the parser of what goes for each script."""
    rows, results = script.ROWS, f"benchmarks/results/{Path(script.__file__).stem}.json"
    parser = argparse.ArgumentParser(
        description=script.__doc__,
        epilog="The exit status is 1 where a row that was run missed its target.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "rows",
        nargs="*",
        metavar="row",
        help=f"rows to run: {', '.join(rows)} (default: all)",
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=ROOT / results,
        help="file of the results, in which the other rows stay; runs that it has of "
        f"the same code on this machine are not run again (default: {results})",
    )
    parser.add_argument(
        "--again", action="store_true", help="run again what the file has"
    )
    parser.add_argument(
        "--markdown",
        action="store_true",
        help="run nothing; print the results in the file as Markdown",
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="a trial of one epoch on few images; its results go to "
        "benchmarks/results/scratch unless there is an --output",
    )
    parser.add_argument(
        "--threads", type=int, default=2, help="threads of torch (default: 2)"
    )
    parser.set_defaults(data=None, seeds=None, repeats=None)
    for name, several in {"seeds": {"nargs": "+"}, "repeats": {}}.items():
        if any(getattr(row, name) for row in rows.values()):
            words = "default: each row's own, one if quick"
            parser.add_argument(f"--{name}", type=int, help=words, **several)
    if any(row.archive or row.reads_data for row in rows.values()):
        parser.add_argument(
            "--data",
            type=Path,
            default=os.environ.get("SKCAPTCHA_DATA", ROOT.parent / "shared" / "data"),
            help="folder of the archives of real images (default: the environment "
            "variable SKCAPTCHA_DATA, else ../shared/data beside the project)",
        )
    return parser


def check_arguments(parser, arguments, rows):
    """Fill in what is not named, or end with the parser's error."""
    arguments.rows = arguments.rows or list(rows)
    for name in arguments.rows:
        if name not in rows:
            parser.error(f"unknown row {name!r}; choose from {', '.join(rows)}")
    for name in ("threads", "repeats"):
        value = getattr(arguments, name)
        if value is not None and value < 1:
            parser.error(f"--{name} {value} must be at least 1")
    default = parser.get_default("output")
    if arguments.quick and arguments.output == default:
        arguments.output = SCRATCH / default.name
    if arguments.markdown and not arguments.output.exists():
        parser.error(f"--output {arguments.output} doesn't exist; run a row first")
    try:
        read_entries(arguments.output)
    except json.JSONDecodeError as error:
        parser.error(f"--output {arguments.output} is not JSON ({error}); move it away")
    for archive in {rows[name].archive for name in arguments.rows} - {None}:
        if not arguments.markdown and not (arguments.data / archive).is_file():
            parser.error(
                f"{arguments.data / archive} doesn't exist; say where it is by --data "
                "or SKCAPTCHA_DATA, or run rows that do without it"
            )


# ---- records ---------------------------------------------------------------------


def describe_run(script):
    """Return when, on what and with which versions a script is run."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": find_commit(script),
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


def find_commit(script):
    """Return the last commit of the code that is measured, None outside a repository.

    That is the package, the script, and what it has imported from this folder. Commits
    of other files, documentation say, leave it as it is.
    """

    def git(*arguments):
        return subprocess.run(
            ["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout.strip()

    files = (getattr(module, "__file__", None) for module in [*sys.modules.values()])
    own = sorted({f for f in files if f and FOLDER in Path(f).resolve().parents})
    code = "skcaptcha", str(script), *own, str(FOLDER / "sides")
    try:
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


def find_kept(path, name, entry):
    """Return the earlier entry of a row if new runs can stand beside its own, or None.

    They can if the same code, without changes since its commit, makes both on the same
    machine, with the same versions and options.
    """
    earlier = read_entries(path).get(name)
    if not earlier or str(entry["commit"]).endswith(("None", "with changes")):
        return None
    new = {**entry, "date": earlier["date"], "runs": earlier["runs"]}
    new["versions"] = {**earlier["versions"], **entry["versions"]}
    return earlier if new.items() <= earlier.items() else None


def save_entry(path, name, entry):
    """Put the entry of one row into the file, and leave the other rows in it."""
    entries = {**read_entries(path), name: entry}
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(entries, indent=2, ensure_ascii=False, default=str)
    write_atomically(path, (text + "\n").encode())


# ---- arithmetic and Markdown -----------------------------------------------------


def list_values(runs, name):
    """Return what was measured under a name, where it was."""
    return [run[name] for run in runs if run.get(name) is not None]


def find_interval(n_right, n_texts):
    """Return Wilson's 95 % interval of a share, as lowest and highest."""
    return wilson_interval(n_right / n_texts, n_texts)


def find_ratios(values, others):
    """Return values as multiples of others, for each key that both dicts have."""
    return [value / others[key] for key, value in values.items() if key in others]


def describe_spread(values, form=".2f"):
    """Return median, lowest and highest in words, as in ``2.00 (1.00 to 4.00)``.

    Where all values are written alike one stands alone; of none the answer is empty.
    """
    if not values:
        return ""
    found = statistics.median(values), min(values), max(values)
    median, low, high = (format(value, form) for value in found)
    return median if low == high else f"{median} ({low} to {high})"


def describe_setting(entry):
    """Return in words what an entry was measured on."""
    versions, machine = entry["versions"], entry["machine"]
    others = "".join(
        f", {name} {version}"
        for name, version in versions.items()
        if name not in ("python", "torch", "scikit-learn", "numpy", "skcaptcha")
    )
    return (
        f"{machine['processor']}, {machine['threads']} threads; Python "
        f"{versions['python']}, torch {versions['torch']}, scikit-learn "
        f"{versions['scikit-learn']}{others}; {entry['date'][:10]}"
    )


def list_settings(entries):
    """Return lines that say on what the entries were measured."""
    settings = {}  # in words -> names of the rows
    for name, entry in entries.items():
        settings.setdefault(describe_setting(entry), []).append(f"`{name}`")
    return ["", *(f"- {', '.join(names)}: {s}." for s, names in settings.items())]


def format_run(values):
    """Return the numbers and words of a run on a line, without lists of them."""
    parts = []
    for name, value in values.items():
        if isinstance(value, float):
            value = f"{value:.6g}"
        if isinstance(value, (str, int)):
            parts.append(f"{name.replace('_', ' ')} {value}")
    return ", ".join(parts)


def format_table(header, rows):
    """Return the lines of a Markdown table; what is in the cells is made a string."""
    lines = [header, ["---"] * len(header), *rows]
    return [f"| {' | '.join(map(str, cells))} |" for cells in lines]


def format_rows(rows, entries):
    """Return the lines of all rows that there are entries of, one after another."""
    lines = []
    for name, entry in entries.items():
        row = rows[name]
        lines += [f"`{name}`: {row.words}.", "", *row.format(entry), ""]
        if row.target:
            lines += [f"Target: {row.target}: {judge(row, entry)}.", ""]
        lines += [f"Measured on {describe_setting(entry)}.", ""]
    return lines[:-1]


# ---- processes at the side -------------------------------------------------------


@contextlib.contextmanager
def on_cores(n):
    """Confine this thread, and the processes that it starts, to `n` cores.

    Only Linux can do that. Elsewhere the numbers of threads have to do.
    """
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(before)[:n])
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def make_environment(folder, requirements):
    """Make an environment of pinned packages where it is missing; return its Python."""
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    stamp = folder / requirements.name
    wanted = requirements.read_text(encoding="utf-8")
    if stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        return python
    print(f"Making {folder} by {requirements.name} (once; minutes)", flush=True)
    pip = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    try:
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        subprocess.run([*pip, "-r", requirements], check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        sys.exit(
            f"{folder} could not be made ({error}); {requirements.name} has the "
            "versions for Python 3.11, and their wheels are downloaded"
        )
    shutil.copyfile(requirements, stamp)  # last, so that half an environment has none
    return python


def run_python(command, *, threads, python=sys.executable, text=None, timeout=None):
    """Run Python in a process of its own, without a GPU; return what it prints."""
    path = [str(FOLDER), os.environ.get("PYTHONPATH")]
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": str(threads),
        "CUDA_VISIBLE_DEVICES": "",
        "KERAS_BACKEND": "tensorflow",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "PYTHONPATH": os.pathsep.join(filter(None, path)),
    }
    command = [str(python), *map(str, command)]
    with on_cores(threads):
        done = subprocess.run(
            command,
            input=text,
            capture_output=True,
            text=True,
            env=environment,
            timeout=timeout,
        )
    if done.returncode:
        raise RuntimeError(
            f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr}"
        )
    return done.stdout


def run_side(side, task, *, threads, python=sys.executable, timeout=None, **job):
    """Do one of the `TASKS` of a module of `sides` in a process; return its answer.

    `threads` are the cores of the process and the threads of its library. The task is
    given these and the job, which JSON has to be able to hold.
    """
    text = json.dumps({"task": task, "threads": threads, **job}, default=str)
    how = {"threads": threads, "python": python, "timeout": timeout}
    printed = run_python(["-m", f"sides.{side}"], text=text, **how)
    return json.loads(printed.splitlines()[-1])
