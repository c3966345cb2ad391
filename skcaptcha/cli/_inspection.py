"""What labels are worth: the commands `curve` and `check-labels`."""

import csv
import json
import sys
from contextlib import contextmanager, redirect_stdout
from types import SimpleNamespace

import numpy as np
from sklearn.model_selection import KFold

from skcaptcha._reader import find_background
from skcaptcha._validation import count
from skcaptcha.cli import _report, _scores
from skcaptcha.cli._data import check_data, load_data, read_labeled, warn_of_data
from skcaptcha.cli._models import find_reader, load_model, make_reader
from skcaptcha.cli._output import (
    Interrupted,
    check_input,
    check_outputs,
    divert_descriptor,
    escape,
    handle_interrupts,
    say,
    write,
)
from skcaptcha.cli._training import check_values, make_recognizer
from skcaptcha.images import read_images
from skcaptcha.inspection import find_label_issues, label_curve, sort_issues

_MAX_DRAWN = 48
_CURVE_COLUMNS = ("labels", "kind", "score", "low", "high")
_ISSUE_COLUMNS = tuple(name for name in _scores.COLUMNS if name != "is_mistake")


def curve(options):
    """Say how the score grows with the labels, and what more of them would bring."""
    recognizer = _check_fits(options)
    X, y = _load_checked(options, recognizer.background, options.cv)
    images = read_images(X, background=recognizer.background)
    say(f"Fitting on parts of {count(len(y), 'label')}.")
    with _in_fits():
        found = label_curve(
            recognizer,
            images,
            y,
            cv=options.cv,
            scoring=options.scoring,
            n_jobs=options.jobs,
            random_state=options.seed,
        )
    try:
        if options.picture is not None:
            _draw_curve(found, options)
    finally:  # the fits took longest
        _CURVE_WRITERS[options.format](found, options)


def check_labels(options):
    """List the labels that are not what is read, those that are likely wrong first.

    With ``--page`` they are served in the browser instead.
    """
    page = _check_page(options)
    recognizer = _check_fits(options)
    background = recognizer.background
    if options.model is None:
        n_folds = 5 if options.cv is None else options.cv
        X, y = _load_checked(options, background, n_folds)
        say(f"Fitting {n_folds} recognizers to judge {count(len(y), 'label')}.")
        images = read_images(X, background=background)
        cv = KFold(n_folds, shuffle=True, random_state=options.seed)
        with _in_fits():
            found = find_label_issues(recognizer, images, y, cv=cv, n_jobs=options.jobs)
    else:
        for name in ("cv", "jobs", "param"):
            if getattr(options, name):
                raise ValueError(f"--{name} is for fits, and --model is fitted already")
        model = load_model(options.model)
        background = find_background(find_reader(model))
        check_input(options.source, "the source")
        X, y = load_data(options)
        warn_of_data(X, y, options)
        X, y, found, _ = read_labeled(make_reader(model), X, y, options)
    try:
        if options.picture is not None:
            _draw_issues(X, y, found, background, options.picture)
    finally:
        if page is None:
            _write_issues(X, y, found, options)
    if page is not None:
        from skcaptcha.cli._labeling import serve_issues

        serve_issues(options, X, y, found, background, *page)


def _check_page(options):
    """Check what goes for the page alone; return its rules and table, or None."""
    if options.page:
        from skcaptcha.cli._labeling import check_page

        return check_page(options)
    for name in ("table", "characters", "length", "port", "no_browser"):
        if getattr(options, name):
            option = "out" if name == "table" else name.replace("_", "-")
            raise ValueError(f"--{option} is of the page; add --page")
    return None


def _write_issues(X, y, found, options):
    rows = _scores.list_rows(X, y, found)
    order = sort_issues(found)[: int(found.is_issue.sum())]
    rows = [{name: rows[i][name] for name in _ISSUE_COLUMNS} for i in order]
    _ISSUE_WRITERS[options.format](rows, len(y))


def _check_fits(options):
    """Check all that could go wrong after the fits; return the recognizer to clone."""
    check_outputs(options)
    _report.check_reports(options)
    if options.jobs == 0:
        raise ValueError("--jobs=0 must be at least 1, or -1 for one on each core")
    if options.cv is not None and options.cv < 2:
        raise ValueError(f"--cv={options.cv} must be at least 2")
    recognizer = make_recognizer(options).set_params(verbose=0)
    check_values(recognizer, {})
    return recognizer


def _load_checked(options, background, n_folds):
    check_input(options.source, "the source")
    X, y = load_data(options)
    if n_folds is not None and n_folds > len(y):
        raise ValueError(
            f"--cv={n_folds} folds need as many images, and there are {len(y)}; give a "
            "smaller number, or more images"
        )
    check_data(X, y, options, background)
    return X, y


@contextmanager
def _in_fits():
    """Let fits, and the processes that they start, print to standard error alone."""
    with (
        redirect_stdout(sys.stderr),
        divert_descriptor(),
        handle_interrupts(Interrupted()),
    ):
        yield


def _draw_curve(found, options):
    from skcaptcha.plotting import LabelCurveDisplay

    name = options.scoring.replace("_", " ").capitalize()
    drawn = LabelCurveDisplay.from_results(
        found, score_name=name, title=str(options.source)
    )
    _report.save_figure(drawn.figure_, options.picture)
    say(f"The curve is drawn in {options.picture}")


def _draw_issues(X, y, found, background, path):
    from skcaptcha.plotting import LabelIssuesDisplay

    drawn = LabelIssuesDisplay.from_results(
        X, y, found, background=background, max_images=_MAX_DRAWN
    )
    _report.save_figure(drawn.figure_, path)
    say(f"The images are drawn in {path}")


def _list_curve(found):
    """Return a dict with the names of `_CURVE_COLUMNS` for each score."""
    rows = [
        (int(n), "measured", float(score), None, None)
        for n, scores in zip(found.train_sizes, found.test_scores, strict=True)
        for score in scores
    ]
    rows += [
        (int(n), "estimated", float(score), float(low), float(high))
        for n, score, (low, high) in zip(
            found.estimate_sizes,
            found.estimates,
            found.estimate_intervals,
            strict=True,
        )
    ]
    return [dict(zip(_CURVE_COLUMNS, row, strict=True)) for row in rows]


def _find_target(found, options):
    """Return the labels that the target takes, with their interval; None for too many.

    Without a target there is no answer.
    """
    if options.target is None:
        return {}
    n_labels, interval = found.power_law.find_size(options.target, return_interval=True)
    sizes = [int(n) if np.isfinite(n) else None for n in (n_labels, *interval)]
    names = ("target", "labels", "low", "high")
    return dict(zip(names, (options.target, *sizes), strict=True))


def _describe_target(target):
    n_labels, low, high = (target[name] for name in ("labels", "low", "high"))
    if low is None:
        return "no number will do, as it seems"
    if n_labels is None:
        return f"perhaps no number will do; {low} at the least"
    if high is None:
        return f"{n_labels} ({low} at the least; perhaps no number will do)"
    return f"{n_labels} (95 % interval {low} to {high})"


def _write_curve_text(found, options):
    name = options.scoring.replace("_", " ")
    lines = [f"{'labels':>8}  {name}"]
    for n, scores in zip(found.train_sizes, found.test_scores, strict=True):
        spread = f" ({min(scores):.4f} to {max(scores):.4f})" if len(scores) > 1 else ""
        lines.append(f"{n:8}  {np.mean(scores):.4f}{spread}")
    tested = count(int(found.n_tested.sum()), "image")
    repeats = len(found.n_tested)
    lines.append(f"on {tested} held out{f' in {repeats} parts' * (repeats > 1)}\n")
    lines.append(f"{'labels':>8}  estimate (95 % interval)")
    for row in _list_curve(found):
        if row["kind"] == "estimated":
            lines.append(
                "{labels:8}  {score:.4f} ({low:.4f} to {high:.4f})".format(**row)
            )
    if target := _find_target(found, options):
        lines.append(f"\nlabels for {options.target:g}: {_describe_target(target)}")
    write("\n".join(lines) + "\n")


def _write_curve_json(found, options):
    report = {
        "scoring": options.scoring,
        "n_tested": found.n_tested.tolist(),
        "train_sizes": found.train_sizes.tolist(),
        "test_scores": found.test_scores.tolist(),
        "fit_times": found.fit_times.tolist(),
        "converged": found.converged.tolist(),
        "estimates": [
            {name: row[name] for name in ("labels", "score", "low", "high")}
            for row in _list_curve(found)
            if row["kind"] == "estimated"
        ],
        "target": _find_target(found, options) or None,
    }
    write(json.dumps(report, indent=2) + "\n")


def _write_curve_csv(found, options):
    writer = csv.DictWriter(_OUTPUT, _CURVE_COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(_list_curve(found))
    if target := _find_target(found, options):
        score = target.pop("target")
        writer.writerow({"kind": "target", "score": score, **target})


def _write_issues_text(rows, n_labels):
    if not rows:
        write(f"All of {count(n_labels, 'label')} are what is read.\n")
        return
    n_wrong = sum(row["is_likely_wrong"] for row in rows)
    lines = [
        f"{len(rows)} of {count(n_labels, 'label')} are not what is read; those that "
        f"are likely wrong, {n_wrong}, have a cross.\n"
    ]
    names = [escape(row["filename"]) for row in rows]
    texts = [f"{row['label']!r} -> {row['read']!r}" for row in rows]
    width, other = (max(map(len, column)) for column in (names, texts))
    for row, name, text in zip(rows, names, texts, strict=True):
        mark = "x" if row["is_likely_wrong"] else " "
        lines.append(f"{mark} {name:{width}}  {text:{other}}  {row['confidence']:.4f}")
    lines.append("\nLook at the images before you change a label.")
    write("\n".join(lines) + "\n")


def _write_issues_json(rows, n_labels):
    write(json.dumps({"n_labels": n_labels, "issues": rows}, indent=2) + "\n")


def _write_issues_csv(rows, n_labels):
    writer = csv.DictWriter(_OUTPUT, _ISSUE_COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        name, wrong = escape(row["filename"]), int(row["is_likely_wrong"])
        writer.writerow({**row, "filename": name, "is_likely_wrong": wrong})


_OUTPUT = SimpleNamespace(write=write)
_CURVE_WRITERS = {
    "text": _write_curve_text,
    "json": _write_curve_json,
    "csv": _write_curve_csv,
}
_ISSUE_WRITERS = {
    "text": _write_issues_text,
    "json": _write_issues_json,
    "csv": _write_issues_csv,
}
