"""Our side of a comparison, and that of ONNX Runtime on what we export.

Started by other scripts, each time in a process of its own.
"""

import importlib.metadata
import warnings
from pathlib import Path

import children
import joblib
import torch
from sklearn.exceptions import ConvergenceWarning

from skcaptcha import CaptchaRecognizer
from skcaptcha.images import read_images


class EpochEnd:
    """Reads the held-out images after each epoch, as a callback of the fit."""

    def __init__(self, progress, held_out):
        self.progress, self.held_out = progress, held_out

    def setup(self, estimator, context):
        pass

    def teardown(self, estimator, context):
        pass

    def on_fit_task_begin(self, estimator, context):
        pass

    def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
        return context.task_name == "epoch" and self.progress.end_epoch(
            lambda: fitted_estimator.predict(self.held_out)
        )


def train(
    threads,
    paths,
    texts,
    held_out,
    held_out_texts,
    target,
    max_epochs,
    seed,
    save=None,
    pretrained="auto",
):
    """Train until the exact match on held-out images is `target`."""
    torch.set_num_threads(threads)
    progress = children.Progress(held_out_texts, target, max_epochs)
    recognizer = CaptchaRecognizer(pretrained=pretrained, random_state=seed)
    recognizer.set_callbacks(EpochEnd(progress, read_images(held_out)))
    with warnings.catch_warnings():
        # Ctrl-C leaves a recognizer that works, but no measurement.
        warnings.filterwarnings("error", message="Training was interrupted")
        warnings.simplefilter("ignore", ConvergenceWarning)  # the scores tell
        recognizer.fit(paths, texts)
    if save is not None:
        recognizer.set_callbacks()
        joblib.dump(recognizer, Path(save) / "own.joblib")
    return progress.summarize()


def read(threads, saved, paths, texts, n_single):
    """Time the ways of reading by a recognizer that `train` has saved."""
    torch.set_num_threads(threads)
    recognizer = joblib.load(Path(saved) / "own.joblib")
    return clock_reader(recognizer, paths, texts, n_single)


def read_onnx(threads, saved, paths, texts, n_single):
    """Time them by its export to ONNX, or say what is missing for that."""
    torch.set_num_threads(threads)
    recognizer = joblib.load(Path(saved) / "own.joblib")
    try:
        from skcaptcha.export import export_onnx, load_onnx

        export_onnx(recognizer, Path(saved) / "own.onnx")
        reader = load_onnx(Path(saved) / "own.onnx")
    except ImportError as error:
        return {"missing": str(error)}
    versions = {"onnxruntime": importlib.metadata.version("onnxruntime")}
    measured = clock_reader(reader, paths, texts, n_single)
    return {**measured, "versions": versions}


def clock_reader(reader, paths, texts, n_single):
    images = read_images(paths)
    encoded = [Path(path).read_bytes() for path in paths[:n_single]]
    return children.clock_reading(
        {
            "paths": lambda: reader.predict(paths),
            "arrays": lambda: reader.predict(images),
        },
        {"one": lambda data: reader.predict([data])},
        encoded,
        texts,
    )


TASKS = {"train": train, "read": read, "read_onnx": read_onnx}

if __name__ == "__main__":
    children.serve(TASKS)
