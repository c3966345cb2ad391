"""Sides of a comparison, each in a process of its own, on the same cores.

Nothing but the standard library is imported here: the Keras side imports it too, in an
environment that has no skcaptcha.
"""

import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
REQUIREMENTS = FOLDER / "requirements-keras.txt"


def add_keras_argument(parser):
    """Add ``--keras``, the folder of the environment of the Keras side."""
    parser.add_argument(
        "--keras",
        type=Path,
        default=FOLDER / ".keras-venv",
        help="folder of the environment of the Keras side, made where it is missing, "
        "1.6 GB (default: benchmarks/.keras-venv)",
    )


def make_keras_environment(folder):
    """Make the environment of the Keras side where it is missing; return its Python."""
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    stamp = folder / REQUIREMENTS.name
    wanted = REQUIREMENTS.read_text(encoding="utf-8")
    if stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        return python
    print(f"Making {folder} with TensorFlow and Keras (once; minutes)", flush=True)
    pip = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    try:
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        subprocess.run([*pip, "-r", REQUIREMENTS], check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        sys.exit(
            f"{folder} could not be made ({error}); {REQUIREMENTS.name} has the "
            "versions for Python 3.11, and their wheels are downloaded"
        )
    shutil.copyfile(REQUIREMENTS, stamp)  # last, so that half an environment has none
    return python


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


def run_python(arguments, *, threads, python=sys.executable, text=None):
    """Run Python in a process of its own, without a GPU; return what it prints."""
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": str(threads),
        "CUDA_VISIBLE_DEVICES": "",
        "KERAS_BACKEND": "tensorflow",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    command = [str(python), *map(str, arguments)]
    with on_cores(threads):
        done = subprocess.run(
            command, input=text, capture_output=True, text=True, env=environment
        )
    if done.returncode:
        raise RuntimeError(
            f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr}"
        )
    return done.stdout


def run_task(side, task, *, threads, python=sys.executable, **job):
    """Run a task of ``side_<side>.py`` in a process of its own; return its answer.

    Parameters
    ----------
    side, task : str
        The script, and one of its `TASKS`.
    threads : int
        Cores of the process, and threads of its library.
    python : path, optional
        The Python of the side's environment.
    **job
        What the task is given besides `threads`; JSON has to be able to hold it.

    Returns
    -------
    dict
    """
    text = json.dumps({"task": task, "threads": threads, **job}, default=str)
    script = FOLDER / f"side_{side}.py"
    printed = run_python([script], threads=threads, python=python, text=text)
    return json.loads(printed.splitlines()[-1])


def serve(tasks):
    """Do the task that `run_task` asks for; the answer is the last line printed."""
    job = json.load(sys.stdin)
    answer = tasks[job.pop("task")](**job)
    print("\n" + json.dumps(answer))


def clock(function, *arguments):
    """Return the seconds that a call takes, and what it returns."""
    start = time.perf_counter()
    result = function(*arguments)
    return time.perf_counter() - start, result


def compare_texts(texts, found):
    """Return the share of texts that were read without any error."""
    return sum(map(str.__eq__, texts, found)) / len(texts)


class Progress:
    """What is read of held-out images after each epoch, and the clock of a training.

    The clock runs from the making of this object until the first epoch whose exact
    match is the target, or until the last one that there is. It includes the reading
    of the held-out images after each epoch, whose seconds are also counted apart.

    Parameters
    ----------
    texts : list of str
        What the held-out images show.
    target : float
        Exact match at which training stops.
    max_epochs : int or None
        Epochs after which it stops in any case.
    """

    def __init__(self, texts, target, max_epochs):
        self.texts, self.target, self.max_epochs = texts, target, max_epochs
        self.scores, self.evaluation = [], 0.0
        self.start = time.perf_counter()

    def end_epoch(self, read):
        """Call `read` for the texts of the held-out images; return whether to stop."""
        seconds, found = clock(read)
        self.evaluation += seconds
        self.seconds = time.perf_counter() - self.start
        self.scores.append(compare_texts(self.texts, found))
        return self.reached or len(self.scores) == self.max_epochs

    @property
    def reached(self):
        return self.scores[-1] >= self.target

    def summarize(self):
        return {
            "reached": self.reached,
            "seconds": round(self.seconds, 3),
            "evaluation_seconds": round(self.evaluation, 3),
            "epochs": len(self.scores),
            "exact_match": [round(score, 4) for score in self.scores],
        }


def clock_reading(read_many, read_one, encoded, texts):
    """Time ways of reading, each after a warm-up.

    Parameters
    ----------
    read_many : dict
        Name -> function that reads all images and returns their texts.
    read_one : dict
        Name -> function that reads the encoded bytes of one image.
    encoded : list of bytes
        Images for `read_one`.
    texts : list of str
        What the images of `read_many` show.

    Returns
    -------
    dict
        Name -> images a second of a function of `read_many`, or median seconds of a
        call of one of `read_one`; and ``exact_match`` of what was read last.
    """
    measured = {}
    for name, read in read_many.items():
        read()  # traces, compiles, allocates
        seconds, found = clock(read)
        measured[name] = round(len(texts) / seconds, 2)
        measured["exact_match"] = compare_texts(texts, found)
    for name, read in read_one.items():
        for data in encoded[:10]:
            read(data)
        calls = [clock(read, data)[0] for data in encoded]
        measured[name] = round(statistics.median(calls), 9)
    return measured
