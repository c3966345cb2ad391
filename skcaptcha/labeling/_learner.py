"""When to learn, what from, and what becomes of it."""

import threading
import time
from functools import partial
from pathlib import Path

import joblib

from skcaptcha._validation import count
from skcaptcha.labeling._progress import LEAST_LABELS
from skcaptcha.labeling._rules import BadAnswerError


class Learner:
    """Decides when to learn, and what of.

    Parameters
    ----------
    recognizer : CaptchaRecognizer
        Its parameters.
    before : callable
        Returns the reader that it begins with.
    start : callable, default=None
        Returns the recognizer that the first round continues, and the last.
    every : int, default=25
        Labels between two rounds; 0 learns only when the reader is to be saved.
    save_path : path
        Where the reader is saved.
    save : callable
        ``save(recognizer, path, is_own=...)`` writes a recognizer and returns where;
        `is_own` tells that the page has written what is there.
    save_each : bool, default=False
        Whether to save the reader after each round, and not only when asked.
    """

    def __init__(
        self,
        recognizer,
        before,
        save_path,
        save,
        *,
        start=None,
        every=25,
        save_each=False,
    ):
        from skcaptcha.labeling._workers import Learning

        self._recognizer, self._before = recognizer, before
        self._origin = self._start = start
        self.save_path, self._save, self._save_each = save_path, save, save_each
        self._every = every
        self._n_last = 0  # labels at the last round
        self._wants_final = self._has_saved = False
        self._model = None
        self._mutex = threading.RLock()
        self._stopped = False
        self.trouble = self.saved = None
        self.was_saving = False  # when it was ended
        self._learning = Learning(self._take)

    def attach(self, session):
        """Learn from what a session is told, at once if there are labels already."""
        self._session = session
        self.consider()

    def consider(self):
        """Begin a round if there are labels enough."""
        with self._mutex:
            if self._stopped or self._learning.job is not None:
                return
            train, test = self._session.list_labels(is_final=self._wants_final)
            n_labels = len(train) + len(test)
            if self._wants_final:
                self._wants_final = False
                self._begin(train + test, [], is_final=True)
            elif (
                self._every
                and len(train) >= LEAST_LABELS
                and n_labels - self._n_last >= self._every
            ):
                self._n_last = n_labels
                self._begin(train, test)

    def save(self):
        """Learn from all labels, those held out as well, and save the reader.

        Raises
        ------
        BadAnswerError
            If there are too few.
        """
        train, test = self._session.list_labels(is_final=True)
        if len(train) + len(test) < LEAST_LABELS:
            raise BadAnswerError(
                f"{count(len(train) + len(test), 'label')} are too few to learn from; "
                f"give {LEAST_LABELS} or more"
            )
        with self._mutex:
            self._wants_final, self.saved = True, None
        self.consider()

    def progress(self, n_labeled):
        """Return what the page says of it."""
        job = self._learning.job
        with self._mutex:
            return {
                "is_learning": job is not None and not job.is_final,
                "is_saving": self._wants_final or (job is not None and job.is_final),
                "next_round_in": (
                    max(0, self._every - (n_labeled - self._n_last))
                    if self._every
                    else None
                ),
                "learning": self.trouble,
                "saved": self.saved,
                "save_path": str(self.save_path),
            }

    def stop(self):
        """End the process."""
        with self._mutex:
            job = self._learning.job
            self._stopped = True
            self.was_saving = self._wants_final or (job is not None and job.is_final)
        self._learning.stop()

    def _begin(self, train, test, is_final=False):
        from sklearn.base import clone

        from skcaptcha.labeling._processes import Job

        before = self._before
        if self._model is not None:
            before = partial(joblib.load, self._model)
        save = None
        if is_final or self._save_each:
            save = partial(self._save, path=self.save_path, is_own=self._has_saved)
        try:
            self._learning.start(
                Job(
                    recognizer=clone(self._recognizer),
                    train=train,
                    test=test,
                    # Rounds that learn from it are sure of its errors in the next one.
                    sure=self._session.list_sure() if is_final else [],
                    out=self._learning.new_path(),
                    before=before,
                    start=self._origin if is_final else self._start,
                    save=save,
                    vocabulary=self._session.list_characters(),
                    characters=self._session.rules.characters,
                    length=self._session.rules.length,
                    is_final=is_final,
                    facts={"n_labels": len(train) + len(test), "time": time.time()},
                )
            )
        except OSError as error:  # no process can be started now
            self.trouble = str(error)

    def _take(self, job, answer):
        """Use what was learned."""
        with self._mutex:
            self._learning.job = None
            self.trouble = answer["error"]
            if answer["error"]:
                if job.start is not None and not job.is_final:
                    # Such as images of another form: from where it began, or anew.
                    is_first = job.start is self._origin
                    self._origin = None if is_first else self._origin
                    self._start = self._origin
                    self._n_last -= self._every
            elif job.is_final:
                self.saved = answer["saved"]
                self.save_path, self._has_saved = Path(self.saved), True
            else:
                if answer["is_better"]:
                    self._model = job.out
                    self._start = partial(joblib.load, job.out)
                    self._session.use(job.out)
                else:
                    self._start = self._origin  # what it continued led nowhere
            try:
                self._record_round(job, answer)
            except OSError as error:
                self.trouble = f"the round cannot be saved: {error.strerror or error}"
        self.consider()

    def _record_round(self, job, answer):
        """Save what a round found, for the curve and for later runs."""
        store = self._session.store
        if answer["error"]:
            return
        if job.is_final:
            store.note(saved_from_all=True)
            return
        if not store.rounds and answer["before"]:
            store.add_round({"n_labels": 0, "n_train": 0, **answer["before"]})
        store.add_round(answer)
