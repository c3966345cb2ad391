"""Images from a folder or a zip file, with labels found in their names."""

import re
from pathlib import PurePosixPath

from skcaptcha._validation import issue_warnings, strip_text
from skcaptcha.datasets._source import existing_path, image_suffixes, open_source
from skcaptcha.datasets._tables import clean_labels, find_tables, list_tables
from skcaptcha.images import read_image
from skcaptcha.images._read import check_on_error, describe_skipped, is_error


def load_image_folder(
    path, *, label=None, pattern="*", metadata_encoding=None, on_error="raise"
):
    r"""List the images below a folder, or in a zip file, with their labels.

    Sub-folders are searched too, also where a link leads, but each once. Only files
    count whose suffix, in any case, is one that Pillow knows of PNG, JPEG, GIF, BMP,
    WebP, TIFF, PPM or AVIF; and nothing whose name starts with a dot or that lies in
    macOS's ``__MACOSX``.

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
    metadata_encoding : str, default=None
        The encoding of the names in a zip file that are not marked as UTF-8, such as
        "gbk" for one that was packed on Chinese Windows. None takes UTF-8, and refuses
        names in anything else.
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
        Their labels, in the form NFC and without white space at their edges.

    Raises
    ------
    FileNotFoundError
        If `path` doesn't exist.
    TypeError
        If `label` is of another type or returns no str.
    ValueError
        If there is no image, or none that can be read; a label is not found or empty;
        or holds a control character or one without width; or the zip file is corrupt,
        encrypted or too large, or has a link, the same name twice, or names in an
        unknown encoding.

    Warns
    -----
    skcaptcha.exceptions.SkippedImageWarning
        If images were skipped; it says how many, and of the first ones why.
    skcaptcha.exceptions.LabelConversionWarning
        If labels had white space at their edges; it says how many.
    UserWarning
        If the names of the images are taken for their labels although a table such as
        ``labels.csv`` lies beside them.

    See Also
    --------
    load_labeled_images : Reads the table where there is one, and else the names.

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
    find_label = label_finder(label)
    if not isinstance(pattern, str) or not pattern:
        raise ValueError(f"pattern={pattern!r} must be a str such as '*' or 'train/*'.")
    path = existing_path(path, "path")
    with open_source(path, metadata_encoding) as source:
        items, texts, notices = load_files(source, find_label, label, pattern, on_error)
    issue_warnings(notices)
    return items, texts


def _list_tables_beside(source, files):
    """List the tables at the top of a source, and beside images in its folders."""
    folders = {file.parent for file in files}
    beside = [f for f in source.files if f.parent in folders]
    return list(dict.fromkeys([*list_tables(source), *find_tables(beside)]))


def _describe_tables(path, tables):
    named = ", ".join(map(str, tables[:5])) + (", ..." if len(tables) > 5 else "")
    return (
        f"path={path!r} holds a table, {named}, and yet the labels are the names of "
        "the images. If they are in the table, give load_labeled_images the path of "
        "the table; if they are in the names, say so by label=r'(.+)'."
    )


def load_files(source, find_label, label, pattern, on_error, may_be_empty=False):
    """Return the images of an open source, their labels, and what to warn of."""
    files = select_images(source.files, pattern, source.path)
    texts = _find_labels(files, find_label, label, may_be_empty)
    texts, notices = clean_labels(texts, lambda i: repr(str(files[i])))
    items = source.read_images([source.files[file] for file in files], on_error)
    items, texts, more = drop_unreadable(items, texts, source.path, on_error)
    # No table was asked for, and no text lies beside each image.
    of_names = label is None and not may_be_empty
    if of_names and (tables := _list_tables_beside(source, files)):
        more.append((_describe_tables(source.path, tables), UserWarning))
    return items, texts, notices + more


def drop_unreadable(items, texts, path, on_error):
    """Leave out images that cannot be read; return what to warn of as well."""
    errors, reasons = {}, {}
    if on_error == "skip":
        for position, item in enumerate(items):
            # A table may name an image often. Files of a zip may have one content.
            key = item, getattr(item, "name", None)
            if key not in reasons:
                reasons[key] = _find_error(item)
            if reasons[key]:
                errors[position] = reasons[key]
    kept = [i for i in range(len(items)) if i not in errors]
    if not kept:
        raise ValueError(
            f"None of the {len(items)} images in path={path!r} can be read: {errors[0]}"
        )
    notices = describe_skipped(errors, len(items), where=f" in path={path!r}")
    return [items[i] for i in kept], [texts[i] for i in kept], notices


def _find_error(item):
    """Return why an image cannot be read, or an empty str."""
    if is_error(item):
        return str(item)
    try:
        # A path names itself, and so does what comes from a zip file.
        read_image(item)
    except (ValueError, FileNotFoundError) as error:
        return str(error)
    return ""


def select_images(files, pattern, path):
    """Keep the images that match, in the order of their paths."""
    images = [f for f in files if f.suffix.lower() in image_suffixes()]
    lower = pattern.lower()
    chosen = [f for f in images if PurePosixPath(str(f).lower()).match(lower)]
    if not chosen:
        reason = (
            f"{len(images)} images, none of which matches pattern={pattern!r}; check "
            "both."
        )
        if not images:
            ends = ", ".join(sorted(image_suffixes()))
            reason = f"no image: no file ending in {ends}."
        raise ValueError(f"path={path!r} holds {reason}")
    return sorted(chosen, key=str)


def label_finder(label):
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


def _find_labels(files, find, label, may_be_empty):
    texts = {}
    for file in files:
        try:
            texts[file] = find(file)
        except Exception as error:
            error.add_note(f"`label` was called with '{file}'.")
            raise
    for file, text in texts.items():
        if not isinstance(text, str):
            raise TypeError(
                f"label returned {text!r} for '{file}'; it must return a str."
            )
    bad = [file for file, text in texts.items() if not strip_text(text)]
    if bad and not may_be_empty:
        more = f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""
        raise ValueError(
            f"No label was found for '{bad[0]}'{more} with label={label!r}; "
            "change `label`, or move such files elsewhere."
        )
    return [str(text) for text in texts.values()]
