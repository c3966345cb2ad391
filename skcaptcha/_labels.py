"""What makes labels look as if they were none."""

import re
from collections import Counter

_MAX_NAMED = 5
_PREFIXED = re.compile(r"(\D{3,})\d+")
_NUMBERED = re.compile(r".+[_-]\d+")
_HASH = re.compile(r"[0-9a-f]{32,}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.I)


def describe_file_names(labels, hint=""):
    """Yield what makes at least five labels look like names of files.

    The `hint` says where the labels may be instead.
    """
    n, some = len(labels), name_some(labels, "labels")
    distinct = len(set(labels)) == n
    numbers = [int(label) for label in labels if re.fullmatch(r"\d{1,9}", label)]
    if distinct and len(numbers) >= 0.9 * n:
        if max(numbers) - min(numbers) < 1.2 * n:
            yield f"the labels are running numbers: {some}{hint}"
    prefixes = Counter(m[1] for m in map(_PREFIXED.fullmatch, labels) if m)
    if distinct and prefixes and prefixes.most_common(1)[0][1] >= 0.9 * n:
        yield f"the labels look like names that a program gave: {some}{hint}"
    elif distinct and _share(_NUMBERED, labels) >= 0.9:
        yield (
            f"the labels end in numbers: {some}; if these are no part of the text, "
            r"load them with label=r'(.+)[_-]\d+'"
        )
    if _share(_HASH, labels) >= 0.9:
        yield f"the labels look like checksums: {some}{hint}"


def _share(pattern, labels):
    return sum(pattern.fullmatch(label) is not None for label in labels) / len(labels)


def name_some(names, what):
    """Return the first names, and how many more there are."""
    more = len(names) - _MAX_NAMED
    named = ", ".join(printable(str(name)) for name in list(names)[:_MAX_NAMED])
    return f"{named} and {more} more {what}" if more > 0 else named


def printable(text):
    """Return a text with what does not print escaped."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode() for c in text
    )
