"""Labeled images from a table, or from whatever there is."""

import os
import re
from functools import partial
from pathlib import PurePosixPath

from skcaptcha._validation import issue_warnings
from skcaptcha.datasets._folder import (
    drop_unreadable,
    label_finder,
    load_files,
    select_images,
)
from skcaptcha.datasets._source import (
    Folder,
    as_str,
    existing_path,
    image_suffixes,
    open_source,
)
from skcaptcha.datasets._tables import (
    clean_labels,
    decode_text,
    is_table,
    list_tables,
    parse_names,
    parse_table,
)
from skcaptcha.datasets._zip import raise_all
from skcaptcha.images._read import check_on_error

_SUFFIX_OF_TEXT = re.compile(r"(\.gt)?\.txt$", re.IGNORECASE)


def load_labels_csv(
    path,
    *,
    image_dir=None,
    filename_column=None,
    text_column=None,
    delimiter=None,
    encoding=None,
    metadata_encoding=None,
    on_error="raise",
):
    r"""Read file names and labels from a table.

    It is a CSV file with a header; a text file with ``name<tab>text``,
    ``name,text``, ``name, "text"`` or ``name text`` in each line; or a file of JSON
    lines (.jsonl, .ndjson), such as ``metadata.jsonl``. What
    ``skcaptcha predict --format csv`` writes is such a table, and rows with an error
    or no text are left out of it. Labels are read as text, so ``0042`` keeps its
    zeros; an empty one is that of an image without text, and null is refused. A file
    name may have ``\`` for ``/``, any Unicode form, and no suffix.

    Parameters
    ----------
    path : str or os.PathLike
        A table, or a ``.zip`` file that holds one table of at most 16 MiB and the
        images, which are read as `load_image_folder` does.
    image_dir : str or os.PathLike, default=None
        The folder that the file names are relative to; for a zip file, a folder in
        it. None is the folder of the table or, if none of the images is there, the
        current folder.
    filename_column : str, default=None
        The column of the file names. None looks for one called filename, file_name,
        file, image, image_path, path or img, and if there is none for id.
    text_column : str, default=None
        The column of the labels. None looks for one called text, label, caption, words
        or transcription.
    delimiter : str, default=None
        The character between two fields. None is the tab, semicolon or comma that
        makes sense of the first line.
    encoding : str, default=None
        The encoding of the table. None is UTF-8 or UTF-16, each with or without a mark.
    metadata_encoding : str, default=None
        As for `load_image_folder`.
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
        Their labels, in the form NFC and without white space at their edges.

    Raises
    ------
    FileNotFoundError
        If `path`, `image_dir` or an image that a row names doesn't exist.
    ValueError
        If the table is broken: a column is missing, or it is not clear which is meant;
        a row has another number of fields than the header, or a quote that takes in
        the rows after it; a file name is empty or a label null; there are no rows; or
        the encoding is another. The header is row 1, as in a spreadsheet. Also as
        `load_image_folder` does.

    Warns
    -----
    skcaptcha.exceptions.SkippedImageWarning
        If rows were skipped; it says how many, and of the first ones why.
    skcaptcha.exceptions.LabelConversionWarning
        If labels had white space at their edges; it says how many.
    UserWarning
        If labels are empty; it says how many. If a table that ``skcaptcha predict``
        wrote is found in a zip file.

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
    path = existing_path(path, "path")
    columns = filename_column, text_column
    parse = _parser(columns, delimiter, encoding)
    if path.lower().endswith(".zip"):
        with open_source(path, metadata_encoding) as source:
            table = _only_table(list_tables(source), path)
            if table is None:
                raise ValueError(f"path={path!r} holds no table of labels.")
            parse = partial(parse, is_named=False)
            found = _load_table(source, table, image_dir, parse, on_error)
    else:
        if not os.path.isfile(path):
            raise ValueError(
                f"path={path!r} is no file; give the table, or use "
                "load_image_folder for a folder of images named by their labels."
            )
        if image_dir is not None:
            image_dir = existing_path(image_dir, "image_dir")
        folder, table = os.path.split(path)
        source = Folder(folder or os.curdir)
        found = _load_table(source, table, image_dir, parse, on_error)
    items, texts, notices = found
    issue_warnings(notices)
    return items, texts


def load_labeled_images(
    path,
    *,
    label=None,
    filename_column=None,
    text_column=None,
    delimiter=None,
    encoding=None,
    metadata_encoding=None,
    on_error="raise",
):
    r"""Load images and labels from a folder, a zip file or a table.

    Without `label`, the labels are in the only table right in the folder, or anywhere
    in the zip file: a file that ends in .csv, .tsv, .jsonl or .ndjson, or that is
    called ``labels.txt``, ``gt.txt``, ``annotations.txt`` or the like. If there is
    none, they are in a ``.gt.txt`` or ``.txt`` file beside each image, and else in the
    names of the images.

    Parameters
    ----------
    path : str or os.PathLike
        A folder or a zip file of images, or a table as `load_labels_csv` takes it.
    label : str, re.Pattern or callable, default=None
        How to find a label in the name of the file, as `load_image_folder` takes it.
    filename_column, text_column, delimiter, encoding : str, default=None
        What a table is like, as for `load_labels_csv`.
    metadata_encoding : str, default=None
        The encoding of names in a zip file, as for `load_image_folder`.
    on_error : {"raise", "skip"}, default="raise"
        What to do about images that are missing or cannot be read, as for
        `load_image_folder` and `load_labels_csv`.

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
        As `load_image_folder` and `load_labels_csv`; if a table has a `label`; if there
        is more than one table; or if only some images have a text beside them.

    Warns
    -----
    SkippedImageWarning, LabelConversionWarning
        As `load_image_folder` and `load_labels_csv`.
    UserWarning
        If names of images are taken for labels although a table lies beside images in
        a folder further down; or if the labels are in a table that
        ``skcaptcha predict`` wrote and `path` doesn't name.

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
    check_on_error(on_error)
    path = existing_path(path, "path")
    columns = filename_column, text_column
    of_a_table = any(value is not None for value in (*columns, delimiter, encoding))
    is_file = os.path.isfile(path) and is_text_file(path)
    if label is not None and (is_file or of_a_table):
        raise ValueError(
            f"label={label!r} is for images named by their texts, but path={path!r} or "
            "another parameter is a table of labels; leave `label` out."
        )
    find = label_finder(label)
    parse = _parser(columns, delimiter, encoding)
    if is_file:
        folder, table = os.path.split(path)
        source = Folder(folder or os.curdir)
        items, texts, notices = _load_table(source, table, None, parse, on_error)
    else:
        with open_source(path, metadata_encoding) as source:
            table = None
            if label is None:
                table = _only_table(list_tables(source), path)
            if table is not None:
                parse = partial(parse, is_named=False)
                found = _load_table(source, table, None, parse, on_error)
            elif of_a_table:
                raise ValueError(
                    f"path={path!r} holds no table of labels that its parameters could "
                    "be for; give the path of the table."
                )
            else:
                beside = _texts_beside(source) if label is None else None
                found = load_files(
                    source,
                    beside or find,
                    label,
                    "*",
                    on_error,
                    may_be_empty=beside is not None,
                )
            items, texts, notices = found
    issue_warnings(notices)
    return items, texts


def _parser(columns, delimiter, encoding):
    return partial(
        parse_table,
        filename_column=columns[0],
        text_column=columns[1],
        delimiter=delimiter,
        encoding=encoding,
    )


def is_text_file(path):
    """Tell by its name whether a file is a table, as against an archive."""
    suffix = PurePosixPath(path).suffix.lower()
    return suffix == ".txt" or is_table(PurePosixPath(path))


def _only_table(tables, path):
    """Return the only table, None if there is none."""
    if len(tables) > 1:
        more = ", ..." if len(tables) > 5 else ""
        named = ", ".join(map(str, tables[:5])) + more
        raise ValueError(
            f"path={path!r} holds {len(tables)} tables of labels ({named}): give the "
            r"path of one of them, for a zip file after unpacking it, or label=r'(.+)' "
            "for labels in the names of the images."
        )
    return tables[0] if tables else None


def _load_table(source, table, image_dir, parse, on_error):
    """Return the images and labels of a table in a source, and what to warn of."""
    where = os.path.join(source.path, table) if source.path != os.curdir else str(table)
    rows, notices = parse(source.read(table), where)
    names = [name for _, name, _ in rows]
    numbers = [number for number, _, _ in rows]
    texts, more = clean_labels(
        [text for _, _, text in rows], lambda i: f"row {numbers[i]} of {where!r}"
    )
    folder = (
        source.folder_of(table) if image_dir is None else as_str(image_dir, "image_dir")
    )
    found = _find_images(source, names, folder, image_dir is None)
    errors = []
    for position, (number, name) in enumerate(zip(numbers, names, strict=True)):
        if found[position] is None:
            hint = " (if row 1 is a header, name its columns)" if number == 1 else ""
            place = repr(folder) if image_dir is None else f"image_dir={folder!r}"
            message = f"row {number} of {where!r} names {name!r}, which is not in"
            errors.append(FileNotFoundError(f"{message} {place}{hint}."))
            found[position] = errors[-1]
    if on_error == "raise":
        correct = "Correct the rows or `image_dir`"
        if image_dir is None:
            correct = "Names are relative to the folder of the table; correct the rows"
        remedy = f" {correct}, or leave out such rows with on_error='skip'."
        raise_all(errors, where, remedy)
    items = source.read_images(found, on_error)
    path = where if isinstance(source, Folder) else source.path
    items, texts, skipped = drop_unreadable(items, texts, path, on_error)
    return items, texts, notices + more + skipped


def _find_images(source, names, folder, elsewhere):
    """Return the images that a table names, with None for those that are missing."""
    found = [source.find(name, folder) for name in names]
    if elsewhere and not any(found):
        # `predict` writes names as they were given to it.
        found = [source.find_elsewhere(name) for name in names]
    return found


def list_images(path, metadata_encoding=None):
    """Return the images of a folder, a zip file or a table, without any labels.

    Each is a pair of its name and of its path, or of its content in a zip file, or of
    the error of one there that cannot be read.
    """
    if os.path.isfile(path) and is_text_file(path):
        folder, table = os.path.split(path)
        source = Folder(folder or os.curdir)
        names = parse_names(source.read(table), path)
        found = _find_images(source, names, source.path, True)
        paths = [
            os.path.join(folder, name) if file is None else file
            for name, file in zip(names, found, strict=True)
        ]
        return list(zip(paths, paths, strict=True))
    with open_source(path, metadata_encoding) as source:
        files = select_images(source.files, "*", source.path)
        names = source.list_names()
        items = source.read_images([source.files[file] for file in files], "skip")
    return [(names[file], item) for file, item in zip(files, items, strict=True)]


def _texts_beside(source):
    """Return the function that reads the label beside an image; None without any."""
    images = [f for f in source.files if f.suffix.lower() in image_suffixes()]
    texts = {}
    for file in source.files:
        match = _SUFFIX_OF_TEXT.search(file.name)  # in upper or lower case
        if match and match.start():
            stem = file.with_name(file.name[: match.start()])
            texts[stem, match[0].lower()] = file
    beside = {}
    for file in images:
        for suffix in (".gt.txt", ".txt"):
            if text := texts.get((file.with_suffix(""), suffix)):
                beside[file] = text
                break
    if not beside:
        return None
    without = [file for file in images if file not in beside]
    if without:
        raise ValueError(
            f"path={source.path!r} has a text file beside {len(beside)} of "
            f"{len(images)} images, but none beside '{without[0]}'; add what is "
            "missing, or pass label=r'(.+)' for labels in the names of the images."
        )

    def read(file):
        where = f"{source.path}/{beside[file]}"
        return decode_text(source.read(beside[file]), where, None).rstrip("\r\n")

    return read
