"""The page's side of the processes that read and learn."""

import multiprocessing
import os
import tempfile
import threading
import time
from contextlib import suppress

# Images that are read at a time at the most, and the seconds that this may take, as
# those on the screen, which are read first and one by one, wait for it.
_CHUNK, _CHUNK_SECONDS = 8, 0.5


class Reading:
    """Reads images in another process, those on the screen first.

    Parameters
    ----------
    load : callable or None
        Returns the reader to begin with; has to be a function of a module.
    characters, length
        What texts may be.
    choose : callable
        Returns a list of (name, path) to read next, given their greatest number; empty
        where nothing is left.
    take : callable
        Is handed each image that was read, a dict, and the number of the round that
        its reader is of.
    """

    def __init__(self, load, characters, length, choose, take):
        self._arguments = (load, characters, length)
        self._choose, self._take = choose, take
        self._wanted, self._model = {}, (None, 0)
        self._wake = threading.Event()
        self._mutex = threading.Lock()
        self._stopped = False
        self.trouble = None
        self.is_ready = False
        self._process = self._connection = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self):
        """Begin to read."""
        self._thread.start()

    def want(self, view, items):
        """Read the images that a view shows, as (name, path), before all others.

        In this order, and in place of those that it wanted before.
        """
        with self._mutex:
            self._wanted[view] = list(items)
        self._wake.set()

    def use(self, path, number):
        """Read with the model of a file, which is that of a round, from now on."""
        with self._mutex:
            self._model = path, number
        self._wake.set()

    def stop(self):
        """End the process."""
        with self._mutex:  # not while the process is being started
            self._stopped = True
            if self._process is not None:
                self._process.kill()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout=10)

    def _run(self):
        failures = 0
        while not self._stopped:
            try:
                self._start_process()
                self._serve()
            except (EOFError, OSError):
                failures += 1
            if self._stopped:
                return
            if failures >= 3:  # such as too little memory, each time
                self.trouble = (
                    "the process that reads images ended three times; labeling "
                    "continues without proposals"
                )
                return

    def _start_process(self):
        from skcaptcha.labeling import _processes

        context = multiprocessing.get_context("spawn")
        with self._mutex:
            if self._stopped:
                raise EOFError
            self._connection, other = context.Pipe()
            process = context.Process(
                target=_processes.read_on_demand,
                args=(other, *self._arguments),
                daemon=True,
                name="skcaptcha reader",
            )
            process.start()
            self._process = process
            other.close()

    def _serve(self):
        """Ask for images until there is nothing more to do for now, again and again."""
        current, chunk = (None, 0), 1
        while not self._stopped:
            with self._mutex:
                model = self._model
            if model != current:
                answer = self._ask("load", model[0])
                if answer != "loaded":  # what the one before reads is not of this one
                    self.trouble = answer
                    self._wake.wait(timeout=5.0)
                    self._wake.clear()
                    continue
                current, self.trouble = model, None
            items = self._pop_wanted() or self._choose(chunk)
            if not items:
                self._wake.wait(timeout=1.0)
                self._wake.clear()
                continue
            began = time.monotonic()
            answer = self._ask("read", items)
            seconds = (time.monotonic() - began) / len(items)
            chunk = min(_CHUNK, max(1, int(_CHUNK_SECONDS / max(seconds, 1e-6))))
            if isinstance(answer, str):
                self.trouble = answer
                self._wake.wait(timeout=5.0)
                self._wake.clear()
                continue
            self.is_ready = True
            for found in answer:
                self._take(found, current[1])

    def _pop_wanted(self):
        """Return the first image that a view shows, in a list; empty for none."""
        with self._mutex:
            self._wanted = {view: some for view, some in self._wanted.items() if some}
            for some in self._wanted.values():
                return [some.pop(0)]
        return []

    def _ask(self, order, what):
        self._connection.send((order, what))
        while not self._connection.poll(0.5):
            if self._stopped or not self._process.is_alive():
                raise EOFError
        return self._connection.recv()


class Learning:
    """Learns in another process, one round at a time.

    Parameters
    ----------
    done : callable
        Is handed the job and what came of it, a dict. Sets `job` to None when it has
        made use of them, so that no other begins before.
    """

    def __init__(self, done):
        self._done = done
        self._process = None
        self._thread = None
        self._stopped = False
        self._folder = None  # for what is learned; made with the first round
        self._n_files = 0
        self.job = None  # the one that is being learned

    def new_path(self):
        """Return the path of a file for what will be learned."""
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="skcaptcha-label-")
        self._n_files += 1
        return os.path.join(self._folder.name, f"{self._n_files}.joblib")

    def start(self, job):
        """Learn; one job at a time."""
        from skcaptcha.labeling import _processes

        if self.job is not None:
            raise RuntimeError("a round is being learned already")
        context = multiprocessing.get_context("spawn")
        connection, other = context.Pipe()
        process = context.Process(
            target=_processes.learn,
            args=(other, job),
            daemon=True,
            name="skcaptcha learner",
        )
        try:
            process.start()
        except OSError:
            connection.close()
            raise
        finally:
            other.close()
        self.job, self._process = job, process  # not of one that did not start
        self._thread = threading.Thread(
            target=self._wait, args=(job, connection), daemon=True
        )
        self._thread.start()

    def stop(self):
        """End the process, and delete what it wrote."""
        self._stopped = True
        if self._process is not None:
            self._process.kill()
        if self._thread is not None:
            self._thread.join(timeout=10)
        if self._folder is not None:
            with suppress(OSError):
                self._folder.cleanup()

    def _wait(self, job, connection):
        try:
            answer = connection.recv()
        except (EOFError, OSError):
            answer = {
                **job.facts,
                "error": "the process that learns ended, perhaps for want of memory",
            }
        self._process.join()
        if not self._stopped:
            self._done(job, answer)
