"""Labeled images as the options of a command describe them."""

from skcaptcha.cli._output import say
from skcaptcha.datasets import check_labeled_images, load_labeled_images

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
    return load_labeled_images(
        options.source, **{name: getattr(options, name) for name in _OPTIONS}
    )


def check_data(X, y, options):
    """Say what there is before it is trained on; refuse images that cannot be read."""
    report = check_labeled_images(
        X, y, source=options.source, metadata_encoding=options.metadata_encoding
    )
    if options.quiet:
        for warning in report.warnings:
            say(f"skcaptcha: warning: {warning}")
    else:
        say(str(report))
    if report.unreadable:
        named = ", ".join(list(report.unreadable)[:10])
        more = ", ..." if len(report.unreadable) > 10 else ""
        raise ValueError(
            f"{len(report.unreadable)} of {len(y)} images cannot be read ({named}"
            f"{more}); repair or delete them, or leave them out with --on-error skip"
        )
