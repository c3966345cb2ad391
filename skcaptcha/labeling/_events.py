"""Answers, and how they change."""

import json
from dataclasses import dataclass
from pathlib import Path

JOURNAL = ".journal"
"""What the name of a journal has more than that of its table."""

STATUSES = ("labeled", "unreadable", "skipped")


@dataclass(frozen=True)
class Answer:
    """What is known of an image; a `status` of None is nothing."""

    status: str | None = None
    text: str = ""
    checked: bool = False

    def __post_init__(self):
        if self.status not in (None, *STATUSES):
            raise ValueError(f"status={self.status!r} must be one of {STATUSES}")


@dataclass(frozen=True)
class Event:
    """A change of one answer."""

    seq: int
    time: float
    tab: str
    name: str
    before: Answer
    after: Answer
    batch: int  # the number of the first event that was made with it
    undoes: int | None = None  # the batch that this one takes back


def list_unreadable(table):
    """Return the names of images that were called unreadable beside a table."""
    journal = Path(table).with_name(f"{Path(table).name}{JOURNAL}")
    if not journal.is_file():
        return set()
    statuses = {}
    for line in journal.read_bytes().split(b"\n"):
        try:
            entry = json.loads(line)
            if "answers" in entry:
                statuses |= {k: found[0][0] for k, found in entry["answers"].items()}
            elif "after" in entry:
                statuses[entry["name"]] = entry["after"][0]
        except (ValueError, KeyError, TypeError, IndexError):
            continue  # half a line of a process that was killed
    return {name for name, status in statuses.items() if status == "unreadable"}


def pack(event):
    """Return an event as a dict for JSON."""
    return {
        **vars(event),
        "before": list(vars(event.before).values()),
        "after": list(vars(event.after).values()),
    }


def unpack(entry):
    """Return the event of a dict."""
    return Event(
        **{
            **entry,
            "before": Answer(*entry["before"]),
            "after": Answer(*entry["after"]),
        }
    )
