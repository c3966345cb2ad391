"""Fits that are killed again and again, and come to the weights of one that was not.

Run as a script, it prints what happened in JSON; test_checkpoint.py looks at that. Each
fit is a fork of this process, which has imported everything and trained nothing.
"""

import argparse
import json
import os
import random
import signal
import sys
import time
import traceback
import warnings
from pathlib import Path

import numpy as np
import torch

from skcaptcha import CaptchaRecognizer, _files
from skcaptcha.training.checkpoint import read_checkpoint
from support.data import TINY, make_easy

POINTS = ("half of the file is written", "all but the name", "all")
"""Points in the writing of a checkpoint at which a process kills itself."""


def kill_self():
    os.kill(os.getpid(), signal.SIGKILL)


def kill_while_writing(point, n_writes):
    """Make this process kill itself in a write of a checkpoint."""
    writes = iter(range(n_writes))

    class Half:
        """A file of which only a half of the last thing is written."""

        def __init__(self, file):
            self.file = file

        def __getattr__(self, name):
            return getattr(self.file, name)

        def __enter__(self):
            return self

        def __exit__(self, *error):
            self.file.close()

        def write(self, data):
            if len(data) > 10_000 and next(writes, None) is None:
                self.file.write(data[: len(data) // 2])
                self.file.flush()
                kill_self()
            self.file.write(data)

    def open_half(path, mode, **kwargs):
        return Half(open(path, mode, **kwargs))

    def kill_around(give_name):
        def give_and_kill(*names):
            last = next(writes, None) is None
            if last and point == POINTS[1]:
                kill_self()
            give_name(*names)
            if last:
                kill_self()

        return give_and_kill

    if point == POINTS[0]:
        _files.open = open_half
    else:  # the first file of a name gets it by a link, later ones replace it
        os.link, os.replace = map(kill_around, (os.link, os.replace))


def fork_fit(checkpoint, weights, before=None):
    """Fit in a process of its own, which writes the weights; return its number."""
    number = os.fork()
    if number:
        return number
    try:
        warnings.simplefilter("ignore")
        _files._STALE_SECONDS = 0  # not to wait for it here
        if before is not None:
            before()
        images, texts = make_easy(24, "012", seed=3)
        images[::3] = [image[:, :-8] for image in images[::3]]  # of differing width
        recognizer = CaptchaRecognizer(
            **{**TINY, "dropout": 0.1},
            batch_size=4,
            max_iter=7,
            early_stopping=True,
            checkpoint=checkpoint,
            checkpoint_interval=0,
        ).fit(images, texts)
        state = recognizer.network_.state_dict()
        np.savez(weights, **{name: t.numpy() for name, t in state.items()})
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)


def read_time(path):
    """Return when a file was written, None if there is none."""
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return None


def same_weights(a, b):
    with np.load(a) as a, np.load(b) as b:
        return sorted(a) == sorted(b) and all(np.array_equal(a[k], b[k]) for k in a)


def run(folder, n_kills, seed):
    """Kill fits; return a dict that tells what came of it."""
    checkpoint, expected = folder / "fit.ckpt", folder / "expected.npz"
    found = folder / "found.npz"
    report = {"kills": 0, "same": [], "updates": [], "in_writing": {}}

    def await_fit(number):
        """Tell whether a fit came to its end, which has to be the right one."""
        status = os.waitpid(number, 0)[1]
        if os.WIFSIGNALED(status):
            report["kills"] += 1
            if checkpoint.exists():  # it is whole, or this raises an error
                values, _ = read_checkpoint(checkpoint)
                report["updates"].append(values["schedule"]["update"])
            return False
        assert status == 0, "a fit has failed"
        report["same"].append(same_weights(expected, found))
        found.unlink()
        return not checkpoint.exists()

    def await_writes(number, n_writes):
        """Wait until a fit has written some checkpoints, or ended."""
        ended = os.WEXITED | os.WNOHANG | os.WNOWAIT
        for _ in range(n_writes):
            before = read_time(checkpoint)
            while read_time(checkpoint) == before:
                if os.waitid(os.P_PID, number, ended):
                    return
                time.sleep(0.001)

    def list_left():
        """Return the files of the fits, with one name for all temporary ones."""
        names = {".part" if p.suffix == ".part" else p.name for p in folder.iterdir()}
        return sorted(names - {expected.name, found.name})

    os.waitpid(fork_fit(None, expected), 0)
    number = fork_fit(checkpoint, found)
    await_writes(number, 1)
    begun = time.monotonic()
    report["ended"] = await_fit(number)
    life = (time.monotonic() - begun) / 30  # that of some updates
    draw = random.Random(seed)
    while report["kills"] < n_kills:
        number = fork_fit(checkpoint, found)
        await_writes(number, draw.randrange(6))
        time.sleep(draw.uniform(0, life))
        os.kill(number, signal.SIGKILL)
        await_fit(number)
    report["ended"] &= await_fit(fork_fit(checkpoint, found))

    for n_writes, point in enumerate(POINTS, start=4):
        number = fork_fit(
            checkpoint, found, lambda p=point, n=n_writes: kill_while_writing(p, n)
        )
        assert not await_fit(number)
        report["in_writing"][point] = {
            "update": report["updates"][-1],
            "left": list_left(),
        }
        report["ended"] &= await_fit(fork_fit(checkpoint, found))
    report["left"] = list_left()
    return report


def main(argv=None):
    parser = argparse.ArgumentParser(description="Kill fits and let them go on.")
    parser.add_argument("folder", type=Path, help="folder for their files")
    parser.add_argument("--kills", type=int, default=20, help="how many (20)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (0)")
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    print(json.dumps(run(args.folder, args.kills, args.seed)))


if __name__ == "__main__":
    sys.exit(main())
