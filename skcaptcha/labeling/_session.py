"""What the page can ask for: the next images, and to take answers about them."""

import threading
import time
from collections import Counter
from functools import partial

import numpy as np

from skcaptcha._alphabet import find_alphabet, find_scripts, spell
from skcaptcha._validation import count
from skcaptcha.labeling._catalog import (
    find_stamp,
    group_looks,
    is_held_out,
    shuffle_value,
)
from skcaptcha.labeling._events import Answer
from skcaptcha.labeling._progress import advise
from skcaptcha.labeling._queue import interleave, rank_by_value

# Seconds for which an image that one tab shows is not shown by another.
_LEASE = 120.0
# Texts that tell which scripts are proposed.
_RECENT = 100
# Of a large folder so many images are read at a time, from which the page chooses.
_POOL = 3000
# Seconds between two looks at the folder and at the table.
_TICK = 5.0
# The pause is so many times as long as the look before it.
_PAUSE = 20.0
# Answers that wait in the journal until the table is written anew.
_PENDING = 25
# Confidence from which a text is learned from as if it were a label: of a reader that
# has learned from labels, and of the pretrained one.
_SURE, _SURE_PRETRAINED = 0.95, 0.8
# So many of these texts are learned from at the most.
_MOST_SURE = 1000


class Session:
    """A folder that is being labeled, or labels that are being checked.

    Parameters
    ----------
    catalog : Catalog
        The images.
    store : LabelStore
        The answers.
    rules : Rules
        What texts may be.
    issues : list of dict, default=None
        For check mode: doubtful labels with "name", "label", "read", "confidence" and
        "self_confidence", the most doubtful first.
    """

    def __init__(self, catalog, store, rules, issues=None):
        self.catalog, self.store, self.rules = catalog, store, rules
        self.issues = issues
        self.reading = self.learner = None
        self._proposals = {}  # by name
        self.round = 0
        self._leases = {}  # name -> (tab, time)
        self._mutex = threading.RLock()
        self._looks = (0, {})
        self._starts_pretrained = True
        self._ticker = None
        self._stop = threading.Event()
        self._trouble = None  # with the folder
        if store.noted("seed") is None:
            store.note(seed=int(time.time()) % 2**31)
        self._seed = store.noted("seed")

    def start(self, learner=None, load=None):
        """Begin to watch the files, and with a `Learner` to read and to learn."""
        from skcaptcha import load_pretrained
        from skcaptcha.labeling._workers import Reading

        load_function = getattr(load, "func", load)  # of a partial one
        self._starts_pretrained = load_function in (None, load_pretrained)
        if learner is not None:
            self.learner = learner
            self.reading = Reading(
                load,
                self.rules.characters,
                self.rules.length,
                self._choose_to_read,
                self._take_reading,
            )
            self.reading.start()
            learner.attach(self)
        self._ticker = threading.Thread(target=self._tick, daemon=True)
        self._ticker.start()

    def close(self):
        """End all processes, and write the table."""
        self._stop.set()
        for part in (self.reading, self.learner):
            if part is not None:
                part.stop()
        if self._ticker is not None:
            self._ticker.join(timeout=10)
        self.store.close()

    # What is asked.

    def next_items(self, view, n, have=()):
        """Return the next images for a view of a tab, as `describe` does.

        Parameters
        ----------
        view : str
            Who asks.
        n : int
            How many.
        have : sequence of str
            Keys of images that it has already; no other gets them meanwhile.
        """
        with self._mutex:
            now = time.monotonic()
            held = [i.name for i in map(self.catalog.get, have) if i is not None]
            self._leases = {
                name: (owner, since)
                for name, (owner, since) in self._leases.items()
                if owner != view and now - since < _LEASE
            }
            names = self._list_next(n, self._leases.keys() | held)
            if not names:  # those of a tab that may be closed by now
                names = self._list_next(n, set(held))
            for name in [*held, *names]:
                self._leases[name] = (view, now)
        items = self.catalog.items()
        names = [n for n in names if n in items]  # a file may be gone meanwhile
        if self.reading is not None:
            shown = [n for n in (*held, *names) if n in items and not self._is_read(n)]
            self.reading.want(view, [(n, items[n].path) for n in shown])
        return [self.describe(items[name]) for name in names]

    def confident_items(self, n, without=()):
        """Return the images without an answer whose texts are surest, as `describe`.

        Those of some keys are left out. None of them tests what was learned, as that
        would be tested on easy ones.
        """
        with self._mutex:
            read = [
                (found["confidence"], name)
                for name, found in self._proposals.items()
                if found.get("text")
            ]
            items, answers = self.catalog.items(), self.store.answers()
            names = [
                name
                for _, name in sorted(read, key=lambda pair: -pair[0])
                if name in items
                and items[name].key not in without
                and name not in answers
                and not is_held_out(name, self._seed)
                and self.rules.allow(self._proposals[name]["text"])
            ]
        return [self.describe(items[name]) for name in names[:n]]

    def describe(self, item):
        """Return what the page shows of an image, as a dict."""
        answer, seen = self.store.get(item.name)
        found = self._proposals.get(item.name)
        proposal = None
        if found is not None and not found["error"]:
            names = ("text", "confidence", "characters")
            proposal = {name: found[name] for name in names}
        return {
            "key": item.key,
            "name": item.name,
            "proposal": proposal,
            "broken": bool(found and found["error"]),
            "status": answer.status,
            "text": answer.text,
            "seen": seen,
        }

    def before(self, key=None):
        """Return the image that was answered before another one, or the last; or None.

        Parameters
        ----------
        key : str, default=None
            Key of an answered image; None, or one that is none, is for the last.
        """
        items = self.catalog.items()
        names = [event.name for event in reversed(self.store.history())]
        names = [name for name in dict.fromkeys(names) if name in items]
        item = self.catalog.get(key) if key else None
        if item is not None and item.name in names:
            names = names[names.index(item.name) + 1 :]
        return self.describe(items[names[0]]) if names else None

    def next_issues(self, n, have=()):
        """Return doubtful labels that nobody has looked at, as dict, worst first."""
        items, found = self.catalog.items(), []
        for issue in self.issues or ():
            name = issue["name"]
            if len(found) == n:
                break
            if name not in items or items[name].key in have:
                continue
            answer, _ = self.store.get(name)
            if answer.checked or answer.status == "unreadable":
                continue
            if answer.status == "labeled" and answer.text != issue["label"]:
                continue  # somebody has corrected it meanwhile
            found.append({**issue, **self.describe(items[name])})
        return found

    # What is answered.

    def answer(self, tab, answers):
        """Save answers; return for each what `describe` does.

        Parameters
        ----------
        tab : str
            Who answers.
        answers : list of dict
            "key", "status", "text", "seen" and, in check mode, "checked".

        Raises
        ------
        KeyError
            If an image is gone.
        BadAnswerError
            If a text is not allowed. Nothing is saved then.
        ConflictError
            If an image was answered elsewhere meanwhile. Nothing is saved then.
        OSError
            If it cannot be written.
        """
        rows, items = [], []
        for given in answers:
            item = self.catalog.get(given["key"])
            if item is None:
                raise KeyError(given["key"])
            items.append(item)
            status = given["status"]
            text = self.rules.check(given["text"]) if status == "labeled" else ""
            answer = Answer(status, text, bool(given.get("checked")))
            rows.append((item.name, answer, given["seen"]))
        self.store.record(rows, tab=tab)
        self._after_change()
        return [self.describe(item) for item in items]

    def undo(self, tab):
        """Take back the last answers of a tab; return the images, as `describe`."""
        events = self.store.undo(tab)
        items = self.catalog.items()
        return [self.describe(items[e.name]) for e in events if e.name in items]

    def ask_again(self, tab):
        """Ask about the images again that were skipped; return how many there are."""
        skipped = [
            (name, Answer(), None)
            for name, answer in self.store.answers().items()
            if answer.status == "skipped"
        ]
        self.store.record(skipped, tab=tab)
        return len(skipped)

    def progress(self):
        """Return counts, estimates and advice, as a dict for the page."""
        items, answers = self.catalog.items(), self.store.answers()
        by_status = Counter(a.status for name, a in answers.items() if name in items)
        with self._mutex:  # as more is read meanwhile
            broken = [n for n, found in self._proposals.items() if found["error"]]
            texts = [found.get("text") or "" for found in self._proposals.values()]
        broken = [n for n in broken if n in items and n not in answers]
        n_left = len(items) - sum(by_status.values()) - len(broken)
        found = {
            "n_images": len(items),
            "n_labeled": by_status["labeled"],
            "n_unreadable": by_status["unreadable"],
            "n_skipped": by_status["skipped"],
            "n_broken": len(broken),
            "broken": broken[:5],
            "n_left": n_left,
            "round": self.round,
            "scripts": [] if self.rules.characters else find_scripts(texts[-_RECENT:]),
            "trouble": self._trouble or self.store.trouble,
            "notice": self._describe_table(answers),
            "n_waiting": len(self.store.waiting),
            "waiting": self.store.waiting[:5],
            "n_outside": self.catalog.n_outside,
            "n_unnamed": self.catalog.n_unnamed,
            "table": str(self.store.path),
        }
        if self.issues is not None:
            checked = [self.store.get(i["name"])[0] for i in self.issues]
            is_done = [
                a.checked or a.text != i["label"]
                for a, i in zip(checked, self.issues, strict=True)
            ]
            found["n_issues"], found["n_checked"] = len(self.issues), sum(is_done)
        if self.learner is not None:
            rounds = self.store.rounds
            found |= {
                "rounds": rounds[-50:],
                "advice": advise(
                    rounds, n_left, by_status["skipped"], by_status["labeled"]
                ),
                "reading": self.reading.trouble,
                "is_ready": self.reading.is_ready,
                **self.learner.progress(by_status["labeled"]),
            }
        return found

    # For the processes that read and learn.

    def use(self, path):
        """Propose from now on what a new reader reads."""
        with self._mutex:
            self.round += 1
            self.reading.use(path, self.round)

    def list_labels(self, *, is_final=False):
        """Return the (path, text) to learn from, and those held out to test.

        Copies of the latter are left out, unless all are learned from in the end.
        """
        items = self.catalog.items()
        train, test = [], []
        for name, answer in self.store.answers().items():
            if answer.status != "labeled" or name not in items:
                continue
            if self.rules.allow(answer.text):  # and not of a time with other rules
                part = test if is_held_out(name, self._seed) else train
                part.append((name, answer.text))
        tested = {self._find_digest(name) for name, _ in test if not is_final} - {None}
        train = [pair for pair in train if self._find_digest(pair[0]) not in tested]
        return tuple(
            [(items[k].path, text) for k, text in part] for part in (train, test)
        )

    def list_sure(self):
        """Return as (path, text) what is read surely of images without an answer."""
        items, answers = self.catalog.items(), self.store.answers()
        known, found = self.list_characters(), []
        with self._mutex:
            proposals = list(self._proposals.items())
        for name, proposal in proposals:
            if name not in items or name in answers or proposal["error"]:
                continue
            text = spell(proposal["text"], known or "")
            if text and proposal["confidence"] >= self._sure(proposal):
                found.append((items[name].path, text))
        found.sort(key=lambda pair: shuffle_value(pair[0], self._seed))
        return found[:_MOST_SURE]

    def list_characters(self):
        """Return the characters that labels have or will probably have, or None."""
        if self.rules.characters:
            return self.rules.characters
        labels = [answer.text for answer in self.store.answers().values()]
        with self._mutex:
            read = [found for found in self._proposals.values() if not found["error"]]
        texts = [found["text"] for found in read]
        weights = [min(1.0, found["confidence"] / self._sure(found)) for found in read]
        return "".join(find_alphabet(texts, weights, labels)) or None

    # Private.

    def _describe_table(self, answers):
        """Return what a person should know of the labels in the table, or None."""
        odd = [
            f"{answer.text!r} of {name}"
            for name, answer in answers.items()
            if answer.status == "labeled" and not self.rules.allow(answer.text)
        ]
        notices = [self.store.notice] if self.store.notice else []
        if odd and self.issues is None:
            more = ", ..." if len(odd) > 3 else ""
            notices.append(
                f"Nothing is learned from {count(len(odd), 'label')} that --characters "
                f"or --length do not allow: {', '.join(odd[:3])}{more}."
            )
        return " ".join(notices) or None

    def _find_digest(self, name):
        """Return what equal images have in common, None where it is not known."""
        return self._proposals.get(name, {}).get("digest")

    def _list_next(self, n, taken):
        answers, items = self.store.answers(), self.catalog.items()
        free = [
            name
            for name in items
            if name not in answers and name not in taken and not self._is_broken(name)
        ]
        known = {self._find_digest(name) for name in (*answers, *taken)} - {None}
        different, copies = [], []  # copies teach nothing, and come last
        for name in free:
            digest = self._find_digest(name)
            (copies if digest in known else different).append(name)
            if digest is not None:
                known.add(digest)
        free = different
        held_out = [name for name in free if is_held_out(name, self._seed)]
        held_out.sort(key=partial(shuffle_value, seed=self._seed))
        others = [name for name in free if not is_held_out(name, self._seed)]
        read = [name for name in others if name in self._proposals]
        unread = [name for name in others if name not in self._proposals]
        unread.sort(key=partial(shuffle_value, seed=self._seed))
        labeled = [
            k for k, a in answers.items() if a.status == "labeled" and k in items
        ]
        looks = self._group_looks()
        best = rank_by_value(
            np.array([1 - self._proposals[name]["confidence"] for name in read]),
            np.array([looks.get(name, -1) for name in read]),
            [self._proposals[name]["text"] for name in read],
            [looks[name] for name in labeled if name in looks],
            [answers[name].text for name in labeled],
            n,
        )
        n_held = sum(is_held_out(name, self._seed) for name in labeled)
        queue = [read[i] for i in best] + unread[:n]
        merged = interleave(queue, held_out[:n], (len(labeled) - n_held, n_held))
        return [*merged, *copies][:n]

    def _sure(self, proposal):
        """Return the confidence from which a proposal is learned from."""
        is_first = self._starts_pretrained and not proposal.get("round")
        return _SURE_PRETRAINED if is_first else _SURE

    def _is_read(self, name):
        found = self._proposals.get(name)
        return found is not None and found["round"] == self.round

    def _is_broken(self, name):
        found = self._proposals.get(name)
        return found is not None and found["error"] is not None

    def _group_looks(self):
        """Return the group of each image that was read, by name."""
        n_known, groups = self._looks
        measured = {
            k: v["measures"] for k, v in self._proposals.items() if not v["error"]
        }
        if len(measured) >= 20 and len(measured) > 1.3 * n_known:
            found = group_looks(list(measured.values()), seed=0).tolist()
            self._looks = len(measured), dict(zip(measured, found, strict=True))
        return self._looks[1]

    def _choose_to_read(self, n):
        """Return images that the reader of now has not read, as (name, path)."""
        with self._mutex:
            answers, items = self.store.answers(), self.catalog.items()
            n_ready = sum(
                self._is_read(name) and name not in answers for name in self._proposals
            )
            if n_ready >= _POOL:
                return []
            left = [
                name
                for name in items
                if name not in answers and not self._is_read(name)
            ]
            left.sort(key=partial(shuffle_value, seed=self._seed))
            return [(name, items[name].path) for name in left[:n]]

    def _take_reading(self, found, number):
        with self._mutex:
            self._proposals[found["name"]] = {**found, "round": number}

    def _after_change(self):
        if self.store.n_pending >= _PENDING:
            self.store.sync()
        if self.learner is not None:
            self.learner.consider()

    def _tick(self):
        """Look at the folder and the table, again and again."""
        seconds = 0.0  # of the last look, which takes long in a large folder
        while not self._stop.wait(max(_TICK, _PAUSE * seconds)):
            began = time.monotonic()
            try:
                self.catalog.scan()
                self._forget_changed()
                if self.store.has_news:
                    self.store.sync()
                self._trouble = None
            except OSError as error:  # such as of a drive that was taken away
                self._trouble = f"the folder cannot be listed: {error}"
            seconds = time.monotonic() - began

    def _forget_changed(self):
        """Forget what was read of files that were written since then."""
        items = self.catalog.items()
        with self._mutex:
            stamps = {k: found["stamp"] for k, found in self._proposals.items()}
        changed = [
            name
            for name, stamp in stamps.items()
            if name in items and find_stamp(items[name].path) != stamp
        ]
        with self._mutex:
            for name in changed:
                self._proposals.pop(name, None)
