"""Answers, and how they change."""

from dataclasses import dataclass

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
