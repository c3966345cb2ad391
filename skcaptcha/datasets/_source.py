"""Labeled images from wherever they are."""

import os
import zipfile
from pathlib import Path

from skcaptcha.datasets._folder import load_image_folder, load_labels_csv

__all__ = ["load_labeled_images"]


def load_labeled_images(path, *, label=None):
    r"""Load images and labels from a folder, a zip file or a table.

    Without `label`, a single CSV file right in the folder, or anywhere in the zip
    file, is taken for the table of labels; else they are in the names of the images.

    Parameters
    ----------
    path : str or os.PathLike
        A folder or a zip file of images, or a CSV file with the columns ``filename``
        and ``text``.
    label : str, re.Pattern or callable, default=None
        How to find a label in the name of the file, as `load_image_folder` takes it.

    Returns
    -------
    paths : list of str or list of bytes
        The paths of the images; for a zip file the encoded images themselves.
    texts : list of str
        Their labels.

    Raises
    ------
    OSError
        If `path` doesn't exist or cannot be read.
    ValueError
        As `load_image_folder` and `load_labels_csv` raise it, or if `label` is given
        with a table.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from PIL import Image
    >>> from skcaptcha.datasets import load_labeled_images
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Image.new("L", (60, 20)).save(Path(folder, "a7.png"))
    ...     load_labeled_images(folder)[1]
    ...     _ = Path(folder, "labels.csv").write_text("filename,text\na7.png,A7\n")
    ...     load_labeled_images(folder)[1]
    ['a7']
    ['A7']
    """
    if label is None:
        table = _find_table(Path(path))
        return load_image_folder(path) if table is None else load_labels_csv(table)
    if os.fsdecode(path).lower().endswith(".csv"):
        raise ValueError(
            f"label={label!r} is for images named by their texts, and {path!r} is a "
            "table of labels; leave `label` out."
        )
    return load_image_folder(path, label=label)


def _find_table(path):
    """Return the file with the table of labels, if there is one."""
    if path.is_dir():
        tables = [p for p in path.iterdir() if p.suffix.lower() == ".csv"]
        return tables[0] if len(tables) == 1 else None
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
        return path if any(name.lower().endswith(".csv") for name in names) else None
    return path if path.suffix.lower() == ".csv" else None
