"""Labeled images as the options of a command describe them."""

from pathlib import Path

from skcaptcha._validation import count, issue_warnings
from skcaptcha.cli._output import escape, refuse_inputs, say

_OPTIONS = (
    "label",
    "filename_column",
    "text_column",
    "delimiter",
    "encoding",
    "metadata_encoding",
    "on_error",
)


def load_data(options):
    """Load the images and labels of the source."""
    from skcaptcha.datasets import load_labeled_images

    X, y = load_labeled_images(
        options.source, **{name: getattr(options, name) for name in _OPTIONS}
    )
    refuse_inputs(X, options)
    return X, y


def load_partly_labeled(options):
    """Load the images of the folder, and the labels of those that the source has."""
    from skcaptcha.datasets import load_image_folder

    images, _ = load_image_folder(
        options.folder,
        label=lambda path: "-",
        metadata_encoding=options.metadata_encoding,
        on_error=options.on_error,
    )
    X, y = ([], []) if options.source is None else load_data(options)
    known = {_identify(image) for image in X}
    unreadable = _list_unreadable(options) - known
    left = [image for image in images if _identify(image) in unreadable]
    if left:
        say(
            f"{count(len(left), 'image')} left out, which {options.source} has as "
            f"unreadable ({_name_some([escape(str(image)) for image in left])})"
        )
    known |= unreadable
    others = [image for image in images if _identify(image) not in known]
    return [*X, *others], [*y, *[None] * len(others)]


def _list_unreadable(options):
    """Return the images that were called unreadable on the page of `label`."""
    from skcaptcha.labeling._events import list_unreadable

    if options.source is None:
        return set()
    table = options.source
    if table.is_dir():
        table = table / "labels.csv"
    return {(table.parent / name).resolve() for name in list_unreadable(table)}


def _identify(image):
    """Return what two entries of the same image have in common."""
    return image if isinstance(image, bytes) else Path(image).resolve()


def check_data(X, y, options, background):
    """Say what there is before it is trained on; refuse images that cannot be read."""
    from skcaptcha.datasets import check_labeled_images

    report = check_labeled_images(
        X,
        y,
        source=options.source,
        metadata_encoding=options.metadata_encoding,
        background=background,
    )
    if options.quiet:
        for warning in report.warnings:
            say(f"skcaptcha: warning: {warning}")
    else:
        say(str(report))
    _refuse_unreadable(list(report.unreadable), len(y))


def warn_of_data(X, y, options):
    """Say what is odd about labels that a model is compared with."""
    from skcaptcha.datasets._check import describe_files

    for warning in describe_files(X, y, source=options.source):
        say(f"skcaptcha: warning: {warning}")


def read_labeled(reader, X, y, options, ignore_case=False, **rules):
    """Return images that can be read, labels, what `find_label_issues` returns, notes.

    The notes are the warnings, each as a line. With `ignore_case` what is read and the
    labels are case-folded before they are compared. The rules are those of `judge`.
    """
    from skcaptcha.inspection import find_known, judge, list_issues

    notices = []
    rules = {**rules, "ignore_case": ignore_case, "on_error": "skip"}
    found = judge(reader, X, y, **rules, notices=notices)
    issue_warnings(notices)
    bad = [i for i, text in enumerate(found[0]) if text is None]
    names = [escape(str(getattr(X[i], "name", X[i]))) for i in bad]
    if options.on_error == "raise" or len(bad) == len(X):
        _refuse_unreadable(names, len(X))
    elif bad:
        named = _name_some(names)
        say(f"skcaptcha: warning: {len(bad)} of {len(X)} images skipped ({named})")
    kept = sorted(set(range(len(X))).difference(bad))
    X, y = ([values[i] for i in kept] for values in (X, y))
    texts, *probabilities = (values[kept] for values in found)
    is_known = find_known(y, reader.vocabulary_)
    if ignore_case:
        y = [label.casefold() for label in y]
        texts[:] = [text.casefold() for text in texts]
    notes = "".join(f"Warning: {message}\n" for message, _ in notices)
    issues = list_issues(y, texts, *probabilities, is_known=is_known)
    return X, y, issues, notes


def _refuse_unreadable(names, n_images):
    if names:
        raise ValueError(
            f"{len(names)} of {count(n_images, 'image')} cannot be read "
            f"({_name_some(names)}); repair or delete them, or leave them out with "
            "--on-error skip"
        )


def _name_some(names):
    return ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")
