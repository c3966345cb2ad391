"""Fits of several processes, started by torchrun for test_two_processes.py.

Each process writes what it saw to <folder>/<rank>.json.
"""

import contextlib
import hashlib
import io
import json
import os
import signal
import sys
import threading
import warnings
from pathlib import Path

import joblib
import numpy as np
import torch

from skcaptcha import CaptchaRecognizer
from skcaptcha.training.distributed import join_processes
from support.data import TINY, make_easy

IMAGES, TEXTS = make_easy(65, "0123", seed=0)
PARAMS = {**TINY, "max_iter": 2, "batch_size": 8, "augmentation": 0.0}
NOISE = {"augmentation": 1.0, "dropout": 0.3}


def fit(recognizer=None, **params):
    """Fit on 65 images, of whose batches of 8 the last one has a single image."""
    if recognizer is None:
        recognizer = CaptchaRecognizer(**{**PARAMS, **params})
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The network has not learned to read")
        return recognizer.fit(IMAGES, TEXTS)


def describe(recognizer):
    weights = hashlib.sha256()
    for tensor in recognizer.network_.state_dict().values():
        weights.update(tensor.numpy().tobytes())
    return {
        "weights": weights.hexdigest(),
        "loss_curve": recognizer.loss_curve_,
        "validation_scores": recognizer.validation_scores_,
        "confidence": recognizer.predict_confidence(IMAGES).tolist(),
    }


class AtEpoch:
    """Callback that does something at the end of an epoch."""

    def __init__(self, epoch, function):
        self.epoch, self.function = epoch, function

    def setup(self, estimator, context):
        pass

    teardown = on_fit_task_begin = setup

    def on_fit_task_end(self, estimator, context):
        if context.task_name == "epoch" and context.task_id == self.epoch:
            return self.function()


def fail():
    raise ValueError("a callback has failed")


def catch(function, *args, **params):
    try:
        function(*args, **params)
    except (ValueError, RuntimeError) as error:
        return repr(error)
    return "no error"


def fit_plainly(rank, folder):
    with contextlib.redirect_stderr(io.StringIO()) as shown:
        fitted = fit(verbose=True, early_stopping=True)
    return {**describe(fitted), "shown": shown.getvalue()}


def fit_under_settings(rank, folder):
    """Fit as the user's program has set PyTorch, and leave that as it is."""
    torch.set_default_device("meta")
    torch.set_default_dtype(torch.float64)
    torch.use_deterministic_algorithms(True)
    try:
        with torch.inference_mode():
            return describe(fit(early_stopping=True))
    finally:
        torch.set_default_device(None)
        torch.set_default_dtype(torch.float32)
        torch.use_deterministic_algorithms(False)


def fit_padded(rank, folder):
    images = [image[:, : 48 - i % 5] for i, image in enumerate(IMAGES)]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The network has not learned to read")
        return describe(CaptchaRecognizer(**PARAMS).fit(images, TEXTS))


def fit_with_noise(rank, folder):
    return [describe(fit(**{**NOISE, "random_state": seed})) for seed in (0, None)]


def resume(rank, folder):
    """Break off after the first epoch, and go on."""
    path = str(Path(folder) / "fit.ckpt")
    params = {**PARAMS, **NOISE, "checkpoint": path if rank == 0 else None}
    recognizer = CaptchaRecognizer(**params, checkpoint_interval=0)
    broken_off = catch(fit, recognizer.set_callbacks(AtEpoch(0, fail)))
    left = sorted(os.listdir(folder))
    recognizer.set_callbacks(AtEpoch(9, fail))
    return {**describe(fit(recognizer)), "error": broken_off, "left": left}


def interrupt_one(rank, folder):
    def interrupt():
        if rank == 1:
            os.kill(os.getpid(), signal.SIGINT)

    recognizer = CaptchaRecognizer(**PARAMS).set_callbacks(AtEpoch(0, interrupt))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fitted = fit(recognizer)
    told = [str(w.message) for w in caught if "interrupted" in str(w.message)]
    default = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    return {**describe(fitted), "told": told, "as_before": default}


def stop_one(rank, folder):
    stop = AtEpoch(0, lambda: rank == 1)
    return describe(fit(CaptchaRecognizer(**PARAMS).set_callbacks(stop)))


def fail_in_one(rank, folder):
    recognizer = CaptchaRecognizer(**PARAMS)
    if rank == 1:
        recognizer.set_callbacks(AtEpoch(0, fail))
    error = catch(fit, recognizer)
    fitted = hasattr(recognizer, "network_")
    return {"error": error, "fitted": fitted, **describe(fit())}


def differ(rank, folder):
    return [
        catch(fit, max_iter=1 + rank),
        catch(fit, random_state=None if rank else 0),
        catch(fit, random_state=rank),
        catch(CaptchaRecognizer(**PARAMS).fit, IMAGES[rank:], TEXTS[rank:]),
    ]


def fit_alone(rank, folder):
    """Ask for the other processes where there must be none."""
    found = {}

    def note():
        found["thread"] = join_processes().size

    thread = threading.Thread(target=note)
    thread.start()
    thread.join()
    if rank == 0:  # one is enough, they take long to start
        pool = joblib.Parallel(n_jobs=2)
        found["job"] = pool([joblib.delayed(lambda: join_processes().size)()])
    process = os.fork()
    if process == 0:
        os._exit(join_processes().size)
    found["fork"] = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    partial = CaptchaRecognizer(**{**PARAMS, "random_state": rank})
    partial.partial_fit(IMAGES[:16], TEXTS[:16])
    return {**found, **describe(partial)}


TASKS = (
    fit_plainly,
    fit_under_settings,
    fit_padded,
    fit_with_noise,
    resume,
    interrupt_one,
    stop_one,
    fail_in_one,
    differ,
    fit_alone,
)


def main(folder):
    torch.set_num_threads(1)
    if torch.distributed.is_torchelastic_launched():
        torch.distributed.init_process_group("gloo")
    rank = torch.distributed.get_rank()
    state = np.random.get_state()[1].tolist()
    found = {task.__name__: task(rank, folder) for task in TASKS}
    found["as_before"] = np.random.get_state()[1].tolist() == state
    (Path(folder) / f"{rank}.json").write_text(json.dumps(found))
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(sys.argv[1])
