"""Labeled images from a folder, a zip file, a table, or whichever is there."""

import csv
import io
import os
import posixpath
import re
import zipfile
from functools import partial
from pathlib import Path, PurePosixPath

from skcaptcha._validation import issue_warnings
from skcaptcha.datasets._zip import (
    MAX_TABLE_BYTES,
    is_hidden,
    list_entries,
    open_zip,
    read_entries,
)
from skcaptcha.images import read_image
from skcaptcha.images._read import check_on_error, describe_skipped, is_error

IMAGE_SUFFIXES = tuple(".bmp .gif .jpeg .jpg .png .ppm .tif .tiff .webp".split())


def load_image_folder(path, *, label=None, pattern="*", on_error="raise"):
    r"""List the images below a folder, or in a zip file, with their labels.

    Sub-folders are searched too. Only files whose suffix is of an image count (.bmp,
    .gif, .jpeg, .jpg, .png, .ppm, .tif, .tiff, .webp, in any case), and nothing whose
    name starts with a dot or that lies in macOS's ``__MACOSX``.

    Parameters
    ----------
    path : str or os.PathLike
        A folder, or a zip file, whose images are read into memory, 64 MiB each and
        2 GiB together at most.
    label : str, re.Pattern or callable, default=None
        How a label is found from the name of the file:

        - None: it is the stem, the name without the suffix: ``226md.png``.
        - A regular expression, by :func:`re.search` in the stem. The label is its only
          group or its group named ``text``: ``r"(.+)-\d+"`` reads ``226md`` from
          ``226md-0.png``, and ``r"^([^_]+)_"`` from ``226md_0417.png``.
        - A callable that takes the path relative to `path`, a
          :class:`pathlib.PurePosixPath`: ``lambda file: file.parent.name`` reads
          ``226md`` from ``226md/0417.png``.
    pattern : str, default="*"
        A shell pattern for the end of the relative path, case ignored, as
        :meth:`pathlib.PurePath.match` has it: ``"*.png"`` takes every PNG,
        ``"train/*"`` the images right in a folder named ``train``.
    on_error : {"raise", "skip"}, default="raise"
        What to do about images that cannot be read. "raise" opens no image of a
        folder: a ``fit`` will name the first that is broken. "skip" reads each image
        once and leaves out those that cannot be read, with a warning. A label that
        cannot be found is always an error.

    Returns
    -------
    paths : list of str or list of bytes
        The paths of the images in alphabetical order; for a zip file the encoded
        images themselves. Either serves as ``X``.
    texts : list of str
        Their labels.

    Raises
    ------
    FileNotFoundError
        If `path` doesn't exist.
    TypeError
        If `label` is of another type or returns no str.
    ValueError
        If there is no image, or none that can be read; a label is not found or empty;
        or the zip file is corrupt, encrypted or too large, or has a link or the same
        name twice.

    Warns
    -----
    skcaptcha.exceptions.SkippedImageWarning
        If images were skipped; it says how many, and of the first ones why.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from PIL import Image
    >>> from skcaptcha.datasets import load_image_folder
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ["7xd2-0.png", "004b-0.png", "004b-1.png"]:
    ...         Image.new("L", (60, 20)).save(Path(folder, name))
    ...     paths, texts = load_image_folder(folder, label=r"(.+)-\d+")
    >>> [Path(path).name for path in paths]
    ['004b-0.png', '004b-1.png', '7xd2-0.png']
    >>> texts
    ['004b', '004b', '7xd2']
    """
    check_on_error(on_error)
    find_label = _label_finder(label)
    if not isinstance(pattern, str) or not pattern:
        raise ValueError(f"pattern={pattern!r} must be a str such as '*' or 'train/*'.")
    path = _existing_path(path, "path")
    if os.path.isdir(path):
        files = _select(_walk(path), pattern, path)
        texts = _find_labels(files, find_label, label)
        items = [str(Path(path, file)) for file in files]
    else:
        with open_zip(path) as archive:
            entries = list_entries(archive, path)
            files = _select(entries, pattern, path)
            texts = _find_labels(files, find_label, label)
            infos = [entries[file] for file in files]
            items = read_entries(archive, infos, path, on_error)
    items, texts, notices = _drop_unreadable(items, files, texts, path, on_error)
    issue_warnings(notices)
    return items, texts


def load_labels_csv(
    path,
    *,
    image_dir=None,
    filename_column="filename",
    text_column="text",
    delimiter=",",
    encoding="utf-8-sig",
    on_error="raise",
):
    r"""Read file names and labels from a CSV file with a header.

    Labels are read as text, so ``0042`` keeps its zeros.

    Parameters
    ----------
    path : str or os.PathLike
        A CSV file, or a ``.zip`` file that holds one CSV file of at most 16 MiB and
        the images, which are read as `load_image_folder` does.
    image_dir : str or os.PathLike, default=None
        The folder that the file names are relative to; for a zip file, a folder in
        it. None is the folder of the CSV file.
    filename_column : str, default="filename"
        The column of the file names.
    text_column : str, default="text"
        The column of the labels.
    delimiter : str, default=","
        The character between two fields.
    encoding : str, default="utf-8-sig"
        The encoding of the CSV file; the default is UTF-8 with or without the mark
        that spreadsheets put first.
    on_error : {"raise", "skip"}, default="raise"
        What to do about images that are missing or cannot be read. "raise" only looks
        whether each is there. "skip" reads each image once and leaves out the rows of
        those that cannot be read, with a warning. A broken table is always an error.

    Returns
    -------
    paths : list of str or list of bytes
        The paths of the images in the order of the rows; for a zip file the encoded
        images themselves. Either serves as ``X``.
    texts : list of str
        Their labels.

    Raises
    ------
    FileNotFoundError
        If `path`, `image_dir` or an image that a row names doesn't exist.
    ValueError
        If the table is broken: a column is missing or twice there, a row has another
        number of fields than the header, a field is empty, there are no rows, or the
        encoding is another. The header is row 1, as in a spreadsheet. Also as
        `load_image_folder` does.

    Warns
    -----
    skcaptcha.exceptions.SkippedImageWarning
        If rows were skipped; it says how many, and of the first ones why.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from PIL import Image
    >>> from skcaptcha.datasets import load_labels_csv
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Image.new("L", (60, 20)).save(Path(folder, "a.png"))
    ...     table = Path(folder, "labels.csv")
    ...     _ = table.write_text("filename,text\na.png,0042\n")
    ...     paths, texts = load_labels_csv(table)
    >>> texts
    ['0042']
    """
    check_on_error(on_error)
    path = _existing_path(path, "path")
    options = {"delimiter": delimiter, "encoding": encoding}
    parse = partial(_parse_csv, columns=(filename_column, text_column), **options)
    if path.lower().endswith(".zip"):
        items, rows = _read_zip_with_table(path, image_dir, parse, on_error)
    else:
        if not os.path.isfile(path):
            raise ValueError(
                f"path={path!r} is no file; give the CSV file, or use "
                "load_image_folder for a folder of images named by their labels."
            )
        rows = parse(Path(path).read_bytes(), path)
        if image_dir is None:
            image_dir = os.path.dirname(path) or os.curdir
        else:
            image_dir = _existing_path(image_dir, "image_dir")
        paths = [os.path.join(image_dir, name) for _, name, _ in rows]
        found = [item if os.path.isfile(item) else None for item in paths]
        items = _name_missing(found, rows, path, image_dir, on_error)
    _, names, texts = zip(*rows, strict=True)
    items, texts, notices = _drop_unreadable(items, names, texts, path, on_error)
    issue_warnings(notices)
    return items, texts


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
        As `load_image_folder` and `load_labels_csv`, or if a table has a `label`.

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


def _read_zip_with_table(path, image_dir, parse, on_error):
    """Return the contents of the images in the order of the rows, and the rows."""
    with open_zip(path) as archive:
        entries = list_entries(archive, path)
        tables = [file for file in entries if file.suffix.lower() == ".csv"]
        if len(tables) != 1:
            found = ", ".join(map(str, tables[:5])) or "none"
            raise ValueError(
                f"path={path!r} must hold one CSV file but holds {len(tables)} "
                f"({found}); unpack it and give the CSV file."
            )
        table = entries[tables[0]]
        if table.file_size > MAX_TABLE_BYTES:
            raise ValueError(
                f"path={path!r} has a table {table.filename!r} of {table.file_size} "
                f"bytes; {MAX_TABLE_BYTES} at most are read: unpack it and give the "
                "CSV file."
            )
        (data,) = read_entries(archive, [table], path)
        where = f"{path}/{tables[0]}"
        rows = parse(data, where)
        folder = str(tables[0].parent)
        if image_dir is not None:
            folder = _as_str(image_dir, "image_dir")
        names = [posixpath.normpath(posixpath.join(folder, row[1])) for row in rows]
        found = [entries.get(PurePosixPath(name)) for name in names]
        infos = _name_missing(found, rows, where, folder, on_error)
        return read_entries(archive, infos, path, on_error), rows


def _name_missing(found, rows, path, image_dir, on_error):
    """Put an error in the place of each None, which stands for a missing image."""
    items = list(found)
    for position, (number, name, _) in enumerate(rows):
        if items[position] is None:
            items[position] = FileNotFoundError(
                f"row {number} of {path!r} names {name!r}, which is not in "
                f"image_dir={image_dir!r}; correct the row or `image_dir`."
            )
            if on_error == "raise":
                raise items[position]
    return items


def _drop_unreadable(items, names, texts, path, on_error):
    """Leave out images that cannot be read; return what to warn of as well."""
    errors, reasons = {}, {}
    if on_error == "skip":
        for position, (item, name) in enumerate(zip(items, names, strict=True)):
            if item not in reasons:  # a table may name an image often
                reasons[item] = _find_error(item, name)
            if reasons[item]:
                errors[position] = reasons[item]
    kept = [i for i in range(len(items)) if i not in errors]
    if not kept:
        raise ValueError(
            f"None of the {len(items)} images in path={path!r} can be read: {errors[0]}"
        )
    notices = describe_skipped(errors, len(items), where=f" in path={path!r}")
    return [items[i] for i in kept], [texts[i] for i in kept], notices


def _find_error(item, name):
    """Return why an image cannot be read, or an empty str."""
    if is_error(item):
        return str(item)
    try:
        read_image(item, name="image" if isinstance(item, str) else repr(str(name)))
    except (ValueError, FileNotFoundError) as error:
        return str(error)
    return ""


def _as_str(path, name):
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"{name}={path!r} must be a path (str or os.PathLike).")
    return os.fsdecode(path)


def _existing_path(path, name):
    path = _as_str(path, name)
    if not os.path.exists(path):
        raise FileNotFoundError(
            f"{name}={path!r} does not exist; check the spelling, and that a relative "
            f"path starts in the current folder, {os.getcwd()!r}."
        )
    return path


def _walk(folder):
    """Find the files below a folder, as paths relative to it."""

    def fail(error):
        raise error  # os.walk would leave out a folder that it cannot list

    for root, _, names in os.walk(folder, onerror=fail):
        relative = PurePosixPath(Path(root).relative_to(folder).as_posix())
        for name in names:
            # A pipe or a dangling link is no image, whatever its name.
            if os.path.isfile(os.path.join(root, name)):
                yield relative / name


def _select(files, pattern, path):
    """Keep the images that match, in the order of their paths."""
    images = [f for f in files if f.suffix.lower() in IMAGE_SUFFIXES]
    images = [file for file in images if not is_hidden(file)]
    lower = pattern.lower()
    chosen = [f for f in images if PurePosixPath(str(f).lower()).match(lower)]
    if not chosen:
        reason = f"{len(images)} images, none of which matches pattern={pattern!r}"
        if not images:
            reason = f"no image: no file ending in {', '.join(IMAGE_SUFFIXES)}"
        raise ValueError(f"path={path!r} holds {reason}; check both.")
    return sorted(chosen, key=str)


def _label_finder(label):
    """Return the function that the parameter `label` stands for."""
    if callable(label):
        return label
    if label is None:
        return lambda file: file.stem
    if not isinstance(label, (str, re.Pattern)):
        raise TypeError(
            f"label={label!r} must be None, a regular expression or a callable."
        )
    try:
        regex = re.compile(label)
        group = "text" if "text" in regex.groupindex else 1
        if not isinstance(regex.pattern, str) or (group == 1 and regex.groups != 1):
            raise ValueError("it needs one group, or a group named 'text'")
    except (re.error, ValueError) as error:
        raise ValueError(
            rf"label={label!r} cannot be used: {error}; r'(.+)-\d+' is an example."
        ) from error

    def find(file):
        match = regex.search(file.stem)
        return (match and match[group]) or ""

    return find


def _find_labels(files, find, label):
    texts = {file: find(file) for file in files}
    for file, text in texts.items():
        if not isinstance(text, str):
            raise TypeError(
                f"label returned {text!r} for '{file}'; it must return a str."
            )
    bad = [file for file, text in texts.items() if not text]
    if bad:
        more = f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""
        raise ValueError(
            f"No label was found for '{bad[0]}'{more} with label={label!r}; "
            "change `label`, or leave such files out by `pattern`."
        )
    return [str(text) for text in texts.values()]


def _parse_csv(data, path, *, columns, delimiter, encoding):
    """Split a table into (row number, file name, text) with the header as row 1."""
    try:
        lines = io.StringIO(data.decode(encoding), newline="")
        table = list(csv.reader(lines, delimiter=delimiter, strict=True))
    except (UnicodeError, LookupError) as error:
        raise ValueError(
            f"path={path!r} cannot be read with encoding={encoding!r}: {error}."
        ) from error
    except (csv.Error, TypeError) as error:  # TypeError: a bad delimiter
        raise ValueError(
            f"path={path!r} is no CSV file with delimiter={delimiter!r}: {error}."
        ) from error
    header = table[0] if table else []
    for column in columns:
        if header.count(column) != 1:
            raise ValueError(
                f"path={path!r} has {header.count(column)} columns named {column!r}; "
                f"its header is {header} with delimiter={delimiter!r}: name the "
                "columns by `filename_column` and `text_column`."
            )
    indices = [header.index(column) for column in columns]
    rows = []
    for number, fields in enumerate(table[1:], start=2):
        if not fields:
            continue  # a blank line
        if len(fields) != len(header):
            raise ValueError(
                f"row {number} of {path!r} has {len(fields)} fields where the header "
                f"has {len(header)}; put fields that hold {delimiter!r} in quotes."
            )
        for index in indices:
            if not fields[index]:
                raise ValueError(
                    f"row {number} of {path!r} has no {header[index]!r}; fill or drop "
                    "it."
                )
        rows.append((number, *(fields[index] for index in indices)))
    if not rows:
        raise ValueError(f"path={path!r} has a header but no rows.")
    return rows


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
