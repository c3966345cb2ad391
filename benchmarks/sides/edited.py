"""A fit by the package after its source was edited, in a process of its own."""

import contextlib
import shutil
import sys
import tempfile
import time
import warnings
from pathlib import Path

from sides import common


def fit(threads, package, edit, until_it_reads, params, parts):
    """Fit, and read the validation part unless the fit ends once it reads at all."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "skcaptcha"
        shutil.copytree(package, copy)
        if edit is not None:
            old, new = edit
            path = find_file(copy, old)
            path.write_text(path.read_text("utf-8").replace(old, new), "utf-8")
        sys.path.insert(0, folder)
        return fit_and_read(threads, until_it_reads, params, *parts)


def find_file(package, text):
    """Return the file of a package in which a text stands, once and in no other."""
    sources = {path: path.read_text("utf-8") for path in package.rglob("*.py")}
    found = [path for path, source in sources.items() if text in source]
    if len(found) != 1 or sources[found[0]].count(text) != 1:
        raise ValueError(f"{text!r} must stand once in the package; see {found}")
    return found[0]


def fit_and_read(threads, until_it_reads, params, X_train, y_train, X_val, y_val):
    import torch
    from sklearn.exceptions import ConvergenceWarning

    from skcaptcha import CaptchaRecognizer
    from skcaptcha.metrics import character_error_rate, exact_match_score

    torch.set_num_threads(threads)
    stages = watch_schedule(until_it_reads)
    recognizer = CaptchaRecognizer(**params)
    start = time.process_time()  # the machine may have other work
    with warnings.catch_warnings(), contextlib.suppress(StopIteration):
        warnings.filterwarnings("error", message="Training was interrupted")
        warnings.simplefilter("ignore", ConvergenceWarning)
        recognizer.fit(X_train, y_train)
    measured = {"cpu_seconds": round(time.process_time() - start, 1), **stages}
    if until_it_reads:
        return measured
    y_pred = recognizer.predict(X_val)
    folded = [[text.casefold() for text in texts] for texts in (y_val, y_pred)]
    return measured | {
        "exact_match": exact_match_score(y_val, y_pred),
        "exact_match_folded": exact_match_score(*folded),
        "character_error_rate": character_error_rate(y_val, y_pred),
        "converged": int(recognizer.converged_),
        "epochs": int(recognizer.n_iter_),
    }


def watch_schedule(until_it_reads):
    """Return a dict that is told at which update each stage of a fit ended.

    `reads` is the update whose loss is under 0.3 of a guess. It may end the fit.
    """
    from skcaptcha.training.schedule import Schedule

    stages = {"longest_stall": 0, "restarts": 0}
    step = Schedule.step

    def watch(self, loss):
        stage, left_plateau = self.stage, self.left_plateau
        restart = step(self, loss)
        if restart:
            stages["restarts"] += 1
        elif self.stage != stage:
            stages[f"{stage}_ended"] = self.update
        if self.left_plateau and not left_plateau:
            stages["left_plateau"] = self.update
        if self.stage == "ctc" and not self.left_plateau:
            stall = self.update - self.progressed
            stages["longest_stall"] = max(stages["longest_stall"], stall)
        if self.stage == "ctc" and self.loss and self.loss < 0.3 * self.entropy:
            stages.setdefault("reads", self.update)
            if until_it_reads:
                raise StopIteration
        return restart

    Schedule.step = watch
    return stages


TASKS = {"fit": fit}

if __name__ == "__main__":
    common.serve(TASKS)
