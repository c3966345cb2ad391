"""What a person meant who has edited the table meanwhile."""


def find_base(base, answered, events, theirs):
    """Return the labels of the table that was edited, and what it lacks of ours.

    An editor that was opened before the last answers came saves a table without them.
    Missing rows are taken for that, and not for deleted ones, if they are just those
    that were answered last.

    Parameters
    ----------
    base : dict of str to str
        The labels that were last written, by name.
    answered : set of str
        Those of the names that nobody has edited in the table.
    events : list of Event
        The last answers, oldest first.
    theirs : dict of str to str
        The labels of the table as it is now.

    Returns
    -------
    base : dict of str to str
        The labels that the person began with.
    missing : set of str
        The names that came later; empty where none did.
    """
    missing = answered - theirs.keys()
    came = {}  # since when there is a label, as far back as is known
    for event in events:
        if event.after.status == "labeled" != event.before.status:
            came[event.name] = event.seq
    first = min((came.get(k, 0) for k in missing), default=0)
    last = max((came.get(k, 0) for k in answered - missing), default=0)
    if first <= last:
        return base, set()
    base = {k: v for k, v in base.items() if k not in missing}
    changed = set()
    for event in events:
        if event.seq >= first and event.name not in missing | changed:
            changed.add(event.name)
            base.pop(event.name, None)
            if event.before.status == "labeled":
                base[event.name] = event.before.text
    return base, missing


def find_refused(edits, check):
    """Return the reasons why labels are not allowed, a dict by name.

    `edits` are the labels that were changed, None for one that was deleted, and `check`
    raises a ValueError for one that is not allowed.
    """
    refused = {}
    for name, label in edits.items():
        try:
            check(label or "")
        except ValueError as error:
            refused[name] = str(error)
    return refused


def find_rewritten(edits, base, theirs):
    """Return the names of labels that a spreadsheet has taken for numbers.

    It drops the zeros of all of them, and a person those of one. The arguments are as
    for `find_base` and `find_refused`.
    """
    found = {k for k, v in edits.items() if _is_same_number(base.get(k), v)}
    kept = (
        theirs.get(k) == v
        for k, v in base.items()
        if v.isdecimal() and v[0] == "0" and len(v) > 1
    )
    return set() if len(found) < 2 or any(kept) else found


def _is_same_number(before, after):
    """Tell whether two texts are the same number, such as 0042 and 42."""
    if not before or not after or not (before.isascii() and after.isascii()):
        return False
    try:
        return float(before) == float(after)
    except ValueError:
        return False
