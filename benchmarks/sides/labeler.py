"""A person at the page to label on, and the core that learns, both with one clock.

The person accepts a proposal that is right in a second, and types a text in four. The
page's own objects choose the images, learn and judge. A round takes the processor time
that it takes here, and until it has ended the person continues; meanwhile only what is
shown is read, as there is one core.
"""

import time
from functools import partial
from pathlib import Path
from unittest import mock

import joblib
import numpy as np

from skcaptcha import load_pretrained
from skcaptcha.labeling import _processes, _workers
from skcaptcha.labeling._learner import Learner
from skcaptcha.labeling._rules import Rules
from skcaptcha.labeling._server import open_folder

ACCEPTED, TYPED = 1.0, 4.0  # seconds
N_LOOKED = 20  # images that are read while the page is opened


class Labeler:
    """Labels the images of a folder as a person does.

    Parameters
    ----------
    folder, out : Path
        The images, and where the labels and the reader are to be.
    truth : dict
        Name of each image in the folder -> text.
    recognizer : CaptchaRecognizer
        Its parameters.
    characters, length
        What texts may be, as the person says.
    seed : int
        Determines which images are held out.
    """

    def __init__(self, folder, out, truth, recognizer, characters, length, seed):
        self.folder, self.out, self.truth = Path(folder), Path(out), truth
        self.characters, self.length = characters, length
        self.seconds = self.read_until = self.cpu = 0.0
        self.n_accepted = self.n_typed = 0
        self.rounds = []
        self.reader, self.session = load_pretrained(), self._open(recognizer, seed)

    def label(self, n_labels):
        """Give so many labels, or as many as the page asks for."""
        self._read_in_background(N_LOOKED)
        while self.n_accepted + self.n_typed < n_labels:
            self._answer()
            self._work()
            if self.session.progress()["advice"]["stop"]:
                break
        while self.learning.job is not None:
            self.seconds = max(self.seconds, self.learning.end)
            self._work()

    def save(self):
        """Save the reader as the page does; return it, and the seconds this took.

        It is None if it has not learned to read, so that the page saves nothing.
        """
        began = self.seconds
        self.session.learner.save()
        seconds = self.learning.end - began
        self._work(at=self.learning.end)
        self.session.store.close()
        saved = self.session.learner.saved
        return (None if saved is None else joblib.load(saved)), seconds

    def read(self, reader, paths):
        """Return what a reader reads as the page does, a dict for each image."""
        began = time.process_time()
        found = [
            _processes._read(reader, "", path, self.characters, self.length)
            for path in map(str, paths)
        ]
        self.cpu = time.process_time() - began
        return found

    def learn(self, job):
        """Learn in this process; return the answer."""
        answers = []
        began = time.process_time()
        # Which is for processes of their own.
        with mock.patch.object(_processes, "_prepare"):
            _processes.learn(_Pipe(answers), job)
        self.cpu = time.process_time() - began
        if "notes" not in answers[0]:  # only the answer of a fit has some
            raise RuntimeError(answers[0]["error"])
        return answers[0]

    def _open(self, recognizer, seed):
        session = open_folder(
            self.folder, self.out / "labels.csv", Rules(self.characters, self.length)
        )
        session.store.note(seed=seed)
        session._seed = seed
        path = self.out / "model.joblib"
        learning = partial(_Learning, labeler=self)
        with mock.patch.object(_workers, "Learning", learning):
            learner = Learner(recognizer, load_pretrained, path, _save)
        session.learner, session.reading = learner, _Reading(self)
        self.learning = learner._learning
        learner.attach(session)
        return session

    def _answer(self):
        item = self.session.next_items("view", 1)[0]
        name = item["name"]
        if not self.session._is_read(name):
            self._take([name])
            item = self.session.describe(self.session.catalog.items()[name])
        text = self.truth[Path(name).name]
        is_right = item["proposal"] is not None and item["proposal"]["text"] == text
        self.n_accepted += is_right
        self.n_typed += not is_right
        self.seconds += ACCEPTED if is_right else TYPED
        given = {"key": item["key"], "status": "labeled", "text": text}
        self.session.answer("tab", [{**given, "seen": item["seen"]}])
        if self.learning.job is None:
            while self.read_until < self.seconds and self._read_in_background(1):
                self.read_until += self.cpu
        self.read_until = max(self.read_until, self.seconds)

    def _work(self, at=None):
        """Take over what was learned, if the time has come."""
        if self.learning.job is None or self.learning.end > (at or self.seconds):
            return
        before, answer, job = (
            self.session.round,
            self.learning.answer,
            self.learning.job,
        )
        found = {
            "n_labels": answer["n_labels"],
            "n_sure": len(job.sure),
            "sure_right": self._count_right(job.sure),
            "seconds": round(self.learning.cpu, 1),
            **{k: answer[k] for k in ("is_better", "score", "n_tested") if k in answer},
        }
        self.learning.take()
        if self.session.round != before:
            names = [name for name, _ in self.session._choose_to_read(10**6)]
            read = self._take(names)
            right = [self.truth[Path(n).name] == r["text"] for n, r in read.items()]
            found |= {"n_read": len(right), "proposals_right": float(np.mean(right))}
        self.rounds.append(found)

    def _count_right(self, pairs):
        right = [self.truth[Path(path).name] == text for path, text in pairs]
        return float(np.mean(right)) if right else None

    def _read_in_background(self, n):
        names = [name for name, _ in self.session._choose_to_read(n)]
        return self._take(names) if names else {}

    def _take(self, names):
        items, number = self.session.catalog.items(), self.session.round
        read = self.read(self.reader, [items[name].path for name in names])
        found = dict(zip(names, read, strict=True))
        for name, one in found.items():
            self.session._take_reading({**one, "name": name}, number)
        return found


class _Reading:
    """In place of the process that reads."""

    trouble, is_ready = None, True

    def __init__(self, labeler):
        self._labeler = labeler

    def use(self, path, number):
        self._labeler.reader = joblib.load(path)

    def want(self, view, items):
        """Read nothing, as the labeler reads what it is shown."""


def _save(recognizer, path, *, is_own):
    """Save a recognizer, and return where."""
    joblib.dump(recognizer, path)
    return path


class _Learning:
    """In place of the process that learns."""

    def __init__(self, done, labeler):
        self._done, self._labeler = done, labeler
        self.job, self._n_files = None, 0

    def new_path(self):
        self._n_files += 1
        return str(self._labeler.out / f"round{self._n_files}.joblib")

    def start(self, job):
        self.job, self.answer = job, self._labeler.learn(job)
        self.cpu = self._labeler.cpu
        self.end = self._labeler.seconds + self.cpu

    def take(self):
        job, self.job = self.job, None
        self._done(job, self.answer)


class _Pipe:
    def __init__(self, answers):
        self.send = answers.append
