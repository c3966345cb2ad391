"""What `evaluate` writes: the scores, and which mistakes are probably wrong labels."""

import csv
import json
from types import SimpleNamespace

from skcaptcha._validation import count
from skcaptcha.cli._output import escape, write
from skcaptcha.cli._reading import show_path

COLUMNS = (
    "filename",
    "label",
    "read",
    "confidence",
    "label_confidence",
    "is_mistake",
    "is_likely_wrong",
)

_MAX_NAMED = 10


def name_image(item):
    """Return what to call an image; those of a zip file have no path, but a name."""
    return show_path(getattr(item, "name", item))


def list_rows(X, y, found):
    """Return a dict with the names of `COLUMNS` for each image.

    `found` is what `find_label_issues` returned.
    """
    values = (
        map(name_image, X),
        y,
        found.y_pred,
        found.confidence.tolist(),
        found.self_confidence.tolist(),
        found.is_issue.tolist(),
        found.is_likely_wrong.tolist(),
    )
    return [dict(zip(COLUMNS, row, strict=True)) for row in zip(*values, strict=True)]


def describe_mistakes(X, y, found):
    """Say how many mistakes there are and which are probably wrong labels, or ""."""
    rows = [row for row in list_rows(X, y, found) if row["is_mistake"]]
    wrong = [row for row in rows if row["is_likely_wrong"]]
    if not rows:
        return ""
    mistakes = count(len(rows), "mistake")
    if not wrong:
        return f"{mistakes}; none of them looks like a wrong label."
    one = len(wrong) == 1
    what = "is probably a wrong label" if one else "are probably wrong labels"
    lines = [f"{mistakes}; {len(wrong)} of them {what}:"]
    wrong.sort(key=lambda row: row["label_confidence"])
    for row in wrong[:_MAX_NAMED]:
        lines.append(
            f"  {escape(row['filename'])}  {row['label']!r} -> {row['read']!r}"
        )
    if len(wrong) > _MAX_NAMED:
        lines.append(f"  and {len(wrong) - _MAX_NAMED} more")
    lines.append("Look at the images before you change a label.")
    return "\n".join(lines)


def describe(X, y, found):
    """Return the report on what was read, as text."""
    from skcaptcha.metrics import recognition_report

    parts = [recognition_report(y, found.y_pred), describe_mistakes(X, y, found)]
    return "\n\n".join(filter(None, parts))


def _write_text(X, y, found, notes):
    write(f"{describe(X, y, found)}\n{notes}")


def _write_json(X, y, found, notes):
    from skcaptcha.metrics import recognition_report

    report = recognition_report(y, found.y_pred, output_dict=True)
    rows = list_rows(X, y, found)
    report["mistakes"] = [row for row in rows if row.pop("is_mistake")]
    report["warnings"] = notes.splitlines()
    write(json.dumps(report, indent=2) + "\n")


def _write_csv(X, y, found, notes):
    writer = csv.writer(SimpleNamespace(write=write), lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in list_rows(X, y, found):
        row["filename"] = escape(row["filename"])
        cells = row.values()
        writer.writerow([int(c) if isinstance(c, bool) else c for c in cells])


WRITERS = {"text": _write_text, "json": _write_json, "csv": _write_csv}
