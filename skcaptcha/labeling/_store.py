"""Answers on disk: a journal of each one, and the table of labels made from it.

An answer is appended to the journal, flushed and synced before anybody is told that it
is saved. Now and then the table is written anew from all answers, whole or not at all,
and the journal after it. A process that is killed at any moment finds all answers
again: those that the table lacks are in the journal, and to apply one twice does no
harm. What a person changed in the table meanwhile is found by comparing it with what
was last written, a three-way merge as version control does it.
"""

import contextlib
import os
import threading
import time
from pathlib import Path

from skcaptcha._files import remove_stale, write_atomically
from skcaptcha._optional import import_optional
from skcaptcha._validation import count
from skcaptcha.labeling._events import JOURNAL, Answer, Event, pack, unpack
from skcaptcha.labeling._journal import FormatError, Journal
from skcaptcha.labeling._merge import find_base, find_refused, find_rewritten
from skcaptcha.labeling._table import LabelTable

_FORMAT = 1
# Events that stay in the journal after they are in the table, for "back" and "undo".
_MAX_KEPT = 500
# Seconds after which a table that somebody saves is taken for complete.
_SETTLED = 1.0
_FILE = "the table"  # who answers by editing it


class ConflictError(Exception):
    """Somebody else answered meanwhile; `names` says about what."""

    def __init__(self, names):
        super().__init__(f"changed meanwhile: {', '.join(names)}")
        self.names = names


class LabelStore:
    """All answers about images, in memory and on disk.

    Parameters
    ----------
    path : path-like
        The table of labels. Beside it are the journal, with ``.journal`` added to its
        name, and a file that keeps a second server away.
    canonical : callable, default=None
        Returns the name by which an image is known, from the name in a table.
    is_there : callable, default=None
        Tells of a name whether its file exists. Labels of images that are gone wait in
        the journal, as training would not find them.
    check : callable, default=None
        Raises a ValueError for a label that is not allowed. Such labels of the table
        are no answers.
    start : dict, default=None
        Labels by name that are known where there is no table yet. It is written with
        the first answer.
    **table
        How the table is read: "names" of the two columns, "delimiter" and "encoding".

    Raises
    ------
    ValueError
        If the table or the journal is damaged, or another process uses them.
    """

    def __init__(
        self, path, *, canonical=None, is_there=None, check=None, start=None, **table
    ):
        self.path = Path(path)
        self.journal_path = self.path.with_name(self.path.name + JOURNAL)
        self._journal = Journal(self.journal_path, self.path)
        self._canonical = canonical or (lambda name: name)
        self._is_there = is_there or (lambda name: True)
        self._check = check or (lambda text: text)
        self._table_options = table
        self._mutex = threading.RLock()
        self._lock = self._claim()
        try:
            self._open(start or {})
        except BaseException:
            self.close(sync=False)
            raise

    def _claim(self):
        """Return the lock of the table; it is free again when its process ends."""
        filelock = import_optional("filelock", "label", "labeling")
        lock = filelock.FileLock(
            self.path.with_name(f".{self.path.name}.lock"), thread_local=False
        )
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            raise ValueError(
                f"{str(self.path)!r} is being labeled by another `skcaptcha label` "
                "now; use the page of that one, or end it first"
            ) from None
        return lock

    def _open(self, start):
        remove_stale(self.path)
        remove_stale(self.journal_path)
        self._answers, self._seqs, self._times, self._tabs = {}, {}, {}, {}
        self._events, self._rounds, self._base = [], [], {}
        self._dropped = {}  # rows of labels that wait until their files are back
        self._notes, self._applied, self._next = {}, 0, 1
        self._notices = {}  # what was found in the table, by kind
        self.trouble = None
        self.waiting, self.orphans = [], []
        self._dirty = False
        self._seen = None  # what the table was like when it was last looked at
        if not self._journal.open(self._take):
            self._journal.append([self._make_header()])
        self.record(self._list_start(start), tab=_FILE)
        self.sync(strict=True, settled=True)

    def _list_start(self, start):
        """Return what to record of labels that are known without a table.

        Those of an earlier start that never came into a table are out of date.
        """
        if not start:
            return []
        old = {
            name
            for name, tab in self._tabs.items()
            if tab == _FILE and name not in self._base
        }
        gone = [(name, Answer(), None) for name in old - start.keys()]
        return gone + [
            (name, Answer("labeled", text), None)
            for name, text in start.items()
            if name in old or name not in self._seqs
        ]

    # Reading.

    def get(self, name):
        """Return the `Answer` about an image, and the number of its last change."""
        with self._mutex:
            return self._answers.get(name, Answer()), self._seqs.get(name, 0)

    def answers(self):
        """Return all answers, a dict from names."""
        with self._mutex:
            return dict(self._answers)

    def history(self):
        """Return the last events that were not taken back, oldest first."""
        with self._mutex:
            undone = {e.undoes for e in self._events}
            return [
                e
                for e in self._events
                if e.undoes is None and e.batch not in undone and e.tab != _FILE
            ]

    @property
    def rounds(self):
        """What was learned and when, a list of dict."""
        with self._mutex:
            return list(self._rounds)

    # Writing.

    def record(self, answers, *, tab="", undoes=None):
        """Save answers, and return their events once they are on disk.

        Parameters
        ----------
        answers : list of (str, Answer, int or None)
            Name, answer, and the number of the change that it was made upon, None for
            any.
        tab : str, default=""
            Who answers.
        undoes : int, default=None
            The batch that is taken back.

        Raises
        ------
        ConflictError
            If another answer came meanwhile; nothing is saved then. The same answer
            twice is no conflict.
        OSError
            If it cannot be written; everything is then as before.
        """
        with self._mutex:
            conflicts = [
                name
                for name, answer, seen in answers
                if seen not in (None, self._seqs.get(name, 0))
                and self._answers.get(name, Answer()) != answer
            ]
            if conflicts:
                raise ConflictError(conflicts)
            events, batch, now = [], self._next, time.time()
            for name, answer, _ in answers:
                before = self._answers.get(name, Answer())
                if before != answer:
                    seq = batch + len(events)
                    events.append(
                        Event(seq, now, tab, name, before, answer, batch, undoes)
                    )
            if events:
                self._journal.append([pack(event) for event in events])
                for event in events:
                    self._apply(event)
            return events

    def undo(self, tab):
        """Take back the last answers of a tab; return their events, or none.

        What was changed elsewhere since then stays as it is.
        """
        with self._mutex:
            batches = {}
            for event in self.history():
                if event.tab == tab:
                    batches.setdefault(event.batch, []).append(event)
            for batch, events in reversed(batches.items()):
                back = [
                    (event.name, event.before, None)
                    for event in events
                    if self._answers.get(event.name, Answer()) == event.after
                ]
                if back:
                    return self.record(back, tab=tab, undoes=batch)
            return []

    def add_round(self, facts):
        """Save what a round of learning found."""
        with self._mutex:
            self._journal.append([{"round": facts}])
            self._rounds.append(facts)

    def note(self, **facts):
        """Save facts for later runs, such as the seed; see `noted`."""
        with self._mutex:
            self._journal.append([{"note": facts}])
            self._notes.update(facts)

    def noted(self, name, default=None):
        """Return a fact that was saved."""
        with self._mutex:
            return self._notes.get(name, default)

    @property
    def notice(self):
        """What a person should know of the table, or None."""
        with self._mutex:
            return " ".join(self._notices.values()) or None

    @property
    def n_pending(self):
        """Number of changes that the table lacks."""
        with self._mutex:
            return self._next - 1 - self._applied

    @property
    def has_news(self):
        """Whether there are answers that the table lacks, or the table has changed."""
        with self._mutex:
            return self._dirty or self._look() != self._seen

    def sync(self, *, strict=False, settled=False):
        """Merge the table with the answers, and write both.

        Parameters
        ----------
        strict : bool, default=False
            Whether to raise an error if the table is damaged or cannot be written. If
            not, the reason is in `trouble`, and the journal keeps what is new.
        settled : bool, default=False
            Whether to take the table as it is, even if it was changed a moment ago and
            somebody may be saving it.

        Returns
        -------
        list of str
            Names that a person changed in the table.
        """
        with self._mutex:
            try:
                look = self._look()
                is_fresh = look is not None and time.time() - look[0] / 1e9 < _SETTLED
                if is_fresh and look != self._seen and not settled:
                    return []
                changed = self._merge()
            except (OSError, ValueError) as error:
                if strict:
                    raise
                self.trouble = str(error)
                return []
            self.trouble = None
            return changed

    def close(self, *, sync=True):
        """Write the table, and let others use it."""
        with self._mutex:
            try:
                if sync:
                    self.sync(settled=True)
            finally:
                self._journal.close()
                self._lock.release()

    # Private.

    def _apply(self, event):
        self._events.append(event)
        self._answers[event.name] = event.after
        if event.after.status is None:
            del self._answers[event.name]
        self._seqs[event.name] = event.seq
        self._times[event.name] = event.time
        self._tabs[event.name] = event.tab
        self._next = max(self._next, event.seq + 1)
        self._dirty = self._dirty or event.seq > self._applied

    def _take(self, entry, number):
        """Apply a line of the journal."""
        if number == 1:
            if entry["skcaptcha_labels"] != _FORMAT:
                raise FormatError(
                    f"{str(self.journal_path)!r} is of format "
                    f"{entry['skcaptcha_labels']!r}, which is newer than this version "
                    "of skcaptcha; upgrade skcaptcha, and nothing is lost"
                )
            self._base = dict(entry["base"])
            self._applied = entry["applied"]
            self._next = self._applied + 1
            self._rounds = list(entry["rounds"])
            self._dropped = dict(entry.get("dropped", {}))
            self._notes = dict(entry["notes"])
            for name, (answer, seq, when, tab) in entry["answers"].items():
                self._answers[name] = Answer(*answer)
                self._seqs[name], self._times[name] = seq, when
                self._tabs[name] = tab
            self._events = [unpack(event) for event in entry["events"]]
        elif "round" in entry:
            self._rounds.append(entry["round"])
        elif "note" in entry:
            self._notes.update(entry["note"])
        else:
            self._apply(unpack(entry))

    def _make_header(self):
        return {
            "skcaptcha_labels": _FORMAT,
            "base": self._base,
            "applied": self._next - 1,
            "notes": self._notes,
            "rounds": self._rounds,
            "dropped": self._dropped,
            "answers": {
                name: [
                    [answer.status, answer.text, answer.checked],
                    self._seqs.get(name, 0),
                    self._times.get(name, 0.0),
                    self._tabs.get(name, ""),
                ]
                for name, answer in self._answers.items()
            },
            "events": [pack(event) for event in self._events[-_MAX_KEPT:]],
        }

    def _look(self):
        """Return what tells whether the table was changed; None if it is missing."""
        with contextlib.suppress(FileNotFoundError):
            found = os.stat(self.path)
            return found.st_mtime_ns, found.st_size, found.st_ino

    def _merge(self):
        for _ in range(5):  # until nobody writes to the table at the same time
            seen = self._look()
            data = None if seen is None else self.path.read_bytes()
            if data is None:
                table = LabelTable.make(**self._table_options)
            else:
                table = LabelTable.parse(data, str(self.path), **self._table_options)
            changed, refused = self._take_edits(table, seen)
            spelled = {}  # two rows may spell the name of an image differently
            for name in table.labels():
                spelled.setdefault(self._canonical(name), []).append(name)
            there = {self._canonical(k): v for k, v in table.labels().items()}
            wanted = self._list_wanted()
            update = {k: v for k, v in wanted.items() if there.get(k) != v}
            # A label that no answer has was taken back, or its image is gone.
            gone = [k for k in there if k not in wanted and k in self._seqs]
            update |= dict.fromkeys(gone)
            dropped = dict(self._dropped)
            rows = {n: v for k, v in update.items() for n in spelled.get(k, [k])}
            table.update(rows, dropped)
            if self._look() != seen:
                continue
            if seen is None and not self._base and set(self._tabs.values()) <= {_FILE}:
                update = {}  # nobody has answered yet
            if update:
                write_atomically(self.path, table.encode())
                self._dropped = {self._canonical(k): row for k, row in dropped.items()}
            left = {k: v for k, v in there.items() if k not in refused}
            base = {k: v for k, v in {**left, **update}.items() if v is not None}
            if base != self._base or self._dirty or self._seen is None:
                self._base = base
                self._compact()
            self._seen = self._look()
            return changed
        raise OSError(f"{str(self.path)!r} is being written all the time; close it")

    def _list_wanted(self):
        """Return the labels that belong into the table, by name.

        Those of images that are gone wait, as training would stop at them, but for
        rows that a person wrote. Where all are gone a drive was taken away.
        """
        labels = {k: a.text for k, a in self._answers.items() if a.status == "labeled"}
        gone = [name for name in labels if not self._is_there(name)]
        if len(gone) == len(labels):
            gone = []
        self.orphans = [name for name in gone if self._tabs.get(name) == _FILE]
        self.waiting = [name for name in gone if self._tabs.get(name) != _FILE]
        for name in self.waiting:
            del labels[name]
        return labels

    def _take_edits(self, table, seen):
        """Make answers of what a person changed in the table.

        Return the names, and those of labels that are no answers.
        """
        theirs = {self._canonical(k): v for k, v in table.labels().items()}
        if seen != self._seen:
            self._notices.clear()
        if not theirs:  # the whole table is gone or was emptied: write it again
            return [], set()
        edited_at = 0.0 if seen is None else seen[0] / 1e9
        answered = {k for k in self._base if self._tabs.get(k) != _FILE}
        bases, missing = find_base(self._base, answered, self._events, theirs)
        edits = {}
        for name in dict.fromkeys([*theirs, *bases]):
            label, base = theirs.get(name), bases.get(name)
            ours = self._answers.get(name, Answer())
            if label == base:
                continue
            ours_text = ours.text if ours.status == "labeled" else None
            if ours_text != base and self._times.get(name, 0.0) > edited_at:
                continue
            if label != ours_text:
                edits[name] = label
        odd = find_refused(edits, self._check)
        rewritten = find_rewritten(edits, bases, theirs)
        self._describe_edits(edits, bases, missing, odd, rewritten)
        unfilled = {k for k, v in edits.items() if v == "" and k not in self._answers}
        refused = unfilled | odd.keys() | rewritten
        edits = [
            (name, Answer() if text is None else Answer("labeled", text), None)
            for name, text in edits.items()
            if name not in refused
        ]
        self.record(edits, tab=_FILE)
        return [name for name, *_ in edits], refused

    def _describe_edits(self, edits, bases, missing, odd, rewritten):
        """Note what a person should know of edits that were not taken over."""
        name = self.path.name
        if missing:
            self._notices["copy"] = (
                f"{name} was saved without the last {count(len(missing), 'label')}, as "
                "an editor does that was opened before them. They were put back; open "
                "the file anew before you edit it. To take a label back, use the page."
            )
        self._notices.pop("odd", None)
        if odd:
            some = "; ".join(f"{k}: {why}" for k, why in list(odd.items())[:3])
            self._notices["odd"] = (
                f"{count(len(odd), 'label')} of {name} not allowed here, and not taken "
                f"over ({some}{'; ...' * (len(odd) > 3)})."
            )
        if rewritten:
            first = min(rewritten)
            self._notices["rewritten"] = (
                f"{count(len(rewritten), 'label')} of {name} became numbers, as a "
                f"spreadsheet makes them ({bases[first]} of {first} became "
                f"{edits[first]}). They were put back; import that column as text."
            )

    def _compact(self):
        """Write the journal anew, without the events that the table has."""
        applied, self._applied = self._applied, self._next - 1
        try:
            self._journal.rewrite(self._make_header())
        except BaseException:
            self._applied = applied
            raise
        self._events = self._events[-_MAX_KEPT:]
        self._dirty = False
