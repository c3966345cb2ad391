"""A look at labeled images before training: what is there, and what is odd."""

import hashlib
import os
import re
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from unicodedata import normalize

from skcaptcha._labels import describe_file_names, name_some, printable
from skcaptcha._validation import (
    check_images,
    check_same_length,
    check_texts,
    count,
    issue_warnings,
)
from skcaptcha.datasets._labeled import is_text_file
from skcaptcha.datasets._source import (
    Folder,
    existing_path,
    image_suffixes,
    open_source,
)
from skcaptcha.datasets._tables import list_tables
from skcaptcha.images._read import is_error, iterate_images
from skcaptcha.vocabulary import Vocabulary

_FEW = 20
_MANY = 100  # from here on, what occurs once is odd
_COPY = re.compile(r".*?( ?\(\d+\)|[ _-]+copy([ _]?\(?\d+\)?)?)", re.IGNORECASE)
_MONTHS = "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec"
_REWRITTEN = re.compile(rf"\d(\.\d+)?E\+\d{{2,3}}|\d{{1,2}}-({_MONTHS})", re.I)


@dataclass(frozen=True)
class LabeledImagesReport:
    """What `check_labeled_images` found; ``print`` it to read it.

    Attributes
    ----------
    n_images : int
        The number of images and labels.
    lengths : dict of int to int
        How many labels have each number of characters.
    characters : dict of str to int
        How many labels have each character, the most frequent first.
    pairs : tuple of (str, str)
        File and label of five images.
    sizes : dict of (int, int) to int
        How many images have each height and width, the most frequent first.
    unreadable : dict of str to str
        File and reason of each image that cannot be read.
    conflicts : tuple of tuple of (str, str)
        Files and labels of images that are equal in all pixels but not in their label.
    skipped : dict of str to int
        How many files beside the images have each suffix; they are no images.
    left_out : tuple of str
        Images that are there but are not among the labeled ones, as those that a
        table does not name.
    warnings : tuple of str
        What is probably wrong.

    Examples
    --------
    >>> from skcaptcha.datasets import check_labeled_images, make_captchas
    >>> images, texts = make_captchas(3, length=4, size=(20, 60), random_state=0)
    >>> report = check_labeled_images(images, texts)
    >>> report.lengths, report.sizes
    ({4: 3}, {(20, 60): 3})
    """

    n_images: int
    lengths: dict
    characters: dict
    pairs: tuple
    sizes: dict
    unreadable: dict
    conflicts: tuple
    skipped: dict
    left_out: tuple
    warnings: tuple

    def __str__(self):
        """Return the report as text."""
        pairs = self.pairs
        lengths = ", ".join(f"{n} ({c})" for n, c in sorted(self.lengths.items()))
        sizes = [f"{h}x{w} ({count})" for (h, w), count in self.sizes.items()]
        lines = [
            f"images:     {self.n_images}",
            f"lengths:    {lengths}",
            f"characters: {len(self.characters)}: {_join_characters(self.characters)}",
            f"sizes:      {name_some(sizes, 'sizes')}",
            *(f"  {printable(file)} → {label or repr('')}" for file, label in pairs),
        ]
        if self.skipped:
            counts = ", ".join(f"{n} {suffix}" for suffix, n in self.skipped.items())
            number = count(sum(self.skipped.values()), "file")
            lines.append(f"{number} skipped: {counts}")
        if self.left_out:
            named = name_some(self.left_out, "images")
            lines.append(f"images without a label here: {named}")
        lines += [f"warning: {warning}" for warning in self.warnings]
        return "\n".join(lines)


def check_labeled_images(
    X, y, *, source=None, metadata_encoding=None, background="white", n_jobs=None
):
    """Look at labeled images before training: what is there, and what is odd.

    Every image is read once. Nothing is changed or left out.

    Parameters
    ----------
    X : sequence
        Images in any of the forms that :func:`skcaptcha.images.read_images` takes.
    y : sequence of str
        Their labels.
    source : str or os.PathLike, default=None
        The folder, zip file or table that they were loaded from, to find what else is
        there. For a table these are the folders in which its images lie.
    metadata_encoding : str, default=None
        The encoding of names in a zip file, as for `load_image_folder`.
    background : str or tuple of 3 int, default="white"
        Color that shows through transparent pixels, as for
        :func:`skcaptcha.images.read_images`: images of transparent letters may be equal
        on one and differ on another.
    n_jobs : int, default=None
        The number of threads that read images, as for
        :func:`skcaptcha.images.read_images`.

    Returns
    -------
    LabeledImagesReport
        What was found. Its ``warnings`` tell of labels that are probably none (running
        numbers, names that a camera gave, copies), of a length or a character that
        occurs once among hundreds of labels, of equal images, with unequal labels or
        with equal ones, of images that cannot be read, and of fewer than twenty images.

    Raises
    ------
    TypeError, ValueError
        If `X` or `y` is empty or no sequence, or a label is no text.

    Examples
    --------
    >>> from skcaptcha.datasets import check_labeled_images, make_captchas
    >>> images, _ = make_captchas(30, length=2, size=(20, 40), random_state=0)
    >>> print(check_labeled_images(images, [f"IMG_{i:02}" for i in range(30)]))
    images:     30
    lengths:    6 (30)
    characters: 14: I M G _ 0 1 2 3 4 5 6 7 8 9
    sizes:      20x40 (30)
      X[0] → IMG_00
      X[6] → IMG_06
      X[12] → IMG_12
      X[18] → IMG_18
      X[24] → IMG_24
    warning: the labels look like names that a program gave: IMG_00, IMG_01, IMG_02,
    IMG_03, IMG_04 and 25 more labels
    """
    items = check_images(X)
    labels, notices = check_texts(y)
    check_same_length(items, labels)
    root = None if source is None else existing_path(source, "source")
    names = [_name(item, i, root) for i, item in enumerate(items)]
    sizes, groups, unreadable = _read_all(
        items, labels, names, background=background, n_jobs=n_jobs
    )
    conflicts = _list_conflicts(groups)
    split = [Vocabulary.split(label) for label in labels]
    characters = Counter(c for one in split for c in dict.fromkeys(one))
    skipped, left_out = {}, ()
    if root is not None:
        skipped, left_out = _look_around(items, root, metadata_encoding)
    step = max(1, len(labels) // 5)
    issue_warnings(notices)
    return LabeledImagesReport(
        n_images=len(labels),
        lengths=dict(Counter(map(len, split)).most_common()),
        characters=dict(characters.most_common()),
        pairs=tuple(list(zip(names, labels, strict=True))[::step][:5]),
        sizes=dict(Counter(sizes).most_common()),
        unreadable=unreadable,
        conflicts=conflicts,
        skipped=skipped,
        left_out=left_out,
        warnings=tuple(
            [
                *_warn_of_labels(labels, root),
                *_warn_of_single(split, names),
                *_warn_of_equal(groups, len(labels)),
                *_warn_of_images(unreadable, len(labels)),
            ]
        ),
    )


def describe_files(X, y, *, source):
    """Return warnings of `check_labeled_images`, for which no image is decoded.

    They are those of labels that look like names of files, and of equal files with
    unequal labels. `X` are paths, or contents of files.
    """
    root = existing_path(source, "source")
    by_content = {}
    for position, (item, label) in enumerate(zip(X, y, strict=True)):
        with suppress(OSError):  # reading the image says so
            content = item if isinstance(item, bytes) else Path(item).read_bytes()
            digest = hashlib.blake2b(content, digest_size=16).digest()
            pair = _name(item, position, root), label
            by_content.setdefault(digest, []).append(pair)
    conflicts = _list_conflicts(_list_groups(by_content))
    return [*_warn_of_labels(y, root), *_warn_of_conflicts(conflicts)]


def _name(item, position, root):
    """Return what to call an image: its path in the source, if it has one."""
    if hasattr(item, "archive"):
        return item.name
    if not isinstance(item, (str, os.PathLike)):
        return f"X[{position}]"
    path = Path(os.fsdecode(item))
    if root is None:
        return str(path)
    folder = Path(root if os.path.isdir(root) else os.path.dirname(root))
    return str(path.relative_to(folder) if path.is_relative_to(folder) else path)


def _read_all(items, labels, names, **options):
    """Return the sizes, the groups of equal images, and what is unreadable.

    A group is a tuple of pairs of a file and its label.
    """

    def measure(image, name):
        digest = hashlib.blake2b(image.tobytes(), digest_size=16).digest()
        return image.shape[:2], (image.shape, digest)

    sizes, by_content, unreadable = [], {}, {}
    found = iterate_images(items, measure, **options, on_error="skip")
    for name, label, value in zip(names, labels, found, strict=True):
        if is_error(value):
            unreadable[name] = re.sub(r"^X\[\d+\](=|: )", "", str(value))
            continue
        sizes.append(value[0])
        by_content.setdefault(value[1], []).append((name, label))
    return sizes, _list_groups(by_content), unreadable


def _list_groups(by_content):
    return [tuple(pairs) for pairs in by_content.values() if len(pairs) > 1]


def _list_conflicts(groups):
    """Return the groups of equal images that have unequal labels."""
    return tuple(
        g for g in groups if len({normalize("NFC", label) for _, label in g}) > 1
    )


def _look_around(items, root, metadata_encoding):
    """Return the files by suffix that are no images, and images that are not in X."""
    if os.path.isfile(root) and is_text_file(root):
        files = {}
        for folder in {os.path.dirname(item) for item in _paths(items)}:
            tops = Folder(folder or os.curdir).list_tops()
            paths = [os.path.join(folder, file) for file in tops]
            files |= {PurePosixPath(Path(path).as_posix()): path for path in paths}
        labels = {PurePosixPath(Path(root).as_posix())}
    else:
        with open_source(root, metadata_encoding) as source:
            files, labels = source.list_names(), set(list_tables(source))
    images = [file for file in files if file.suffix.lower() in image_suffixes()]
    labels |= {f.with_suffix(s) for f in images for s in (".txt", ".gt.txt")}
    others = set(files).difference(images, labels)
    skipped = Counter(
        file.suffix.lower() or file.name for file in sorted(others, key=str)
    )
    known = {os.path.abspath(path) for path in _paths(items)}
    known |= {item.name for item in items if hasattr(item, "archive")}
    left_out = (f for f in images if not {files[f], os.path.abspath(files[f])} & known)
    return dict(skipped.most_common()), tuple(sorted(map(str, left_out)))


def _paths(items):
    return [os.fsdecode(i) for i in items if isinstance(i, (str, os.PathLike))]


def _warn_of_labels(labels, root):
    """Yield what makes labels look as if they were none."""
    if len(labels) < 5:
        return
    if len(set(labels)) == 1:
        yield f"all labels are the same, {labels[0]!r}"
    yield from describe_file_names(labels, _hint_at_table(root))
    copies = [label for label in labels if _COPY.fullmatch(label)]
    if copies:
        named = name_some(copies, "labels")
        yield f"labels look like those of copied files: {named}"
    yield from _warn_of_spreadsheets(labels)
    suffixes = tuple(image_suffixes())
    files = [label for label in labels if label.lower().endswith(suffixes)]
    if files:
        yield f"labels look like names of files: {name_some(files, 'labels')}"


def _warn_of_spreadsheets(labels):
    """Yield what a spreadsheet makes of texts that it takes for numbers or dates."""
    changed = [label for label in labels if _REWRITTEN.fullmatch(label)]
    if changed:
        yield (
            "labels look like numbers or dates that a spreadsheet made of them: "
            f"{name_some(changed, 'labels')}; import that column as text"
        )
    lengths = Counter(map(len, labels)).most_common(2)
    if len(labels) < _FEW or len(lengths) < 2 or not "".join(labels).isdecimal():
        return
    # A tenth of the numbers of a given length begin with 0.
    (usual, _), (shorter, n_shorter) = lengths
    if shorter == usual - 1 and 0.03 <= n_shorter / len(labels) <= 0.2:
        if not any(label[0] == "0" for label in labels):
            yield (
                f"no label begins with 0, and {n_shorter} of {len(labels)} have "
                f"{shorter} digits where most have {usual}: if a spreadsheet dropped "
                "zeros, import that column as text"
            )


def _hint_at_table(root):
    """Say where a table of labels lies, if one lies above the images."""
    if root is None or not os.path.isdir(root):
        return ""
    above = Path(os.path.abspath(root)).parent
    try:
        tables = [str(above / table) for table in list_tables(Folder(above))]
    except OSError:  # it may not be listed, and nobody asked for it
        return ""
    return f"; are the labels in {', '.join(tables)}?" if tables else ""


def _warn_of_single(split, names):
    """Yield what single labels have that hundreds of others have not."""
    if len(split) < _MANY:
        return
    lengths = Counter(map(len, split))
    usual = lengths.most_common(1)[0][0]
    if lengths[usual] >= 0.95 * len(split):
        odd = [i for i, one in enumerate(split) if lengths[len(one)] == 1]
        if odd:
            named = [f"{names[i]} → {''.join(split[i])}" for i in odd]
            yield f"labels of a length that occurs once: {name_some(named, 'labels')}"
    counts = Counter(c for one in split for c in dict.fromkeys(one))
    odd = {c for c, count in counts.items() if count == 1}
    # Of a large alphabet many characters are rare.
    if len(counts) <= 0.1 * counts.total() and len(odd) <= 0.2 * len(counts) and odd:
        named = [
            f"{character!r} in {name} → {''.join(one)}"
            for one, name in zip(split, names, strict=True)
            for character in dict.fromkeys(one)
            if character in odd
        ]
        yield f"characters that occur once: {name_some(named, 'characters')}"


def _warn_of_conflicts(conflicts):
    if conflicts:
        named = [
            " and ".join(f"{file} → {label}" for file, label in pairs[:3])
            for pairs in conflicts
        ]
        yield f"equal images with unequal labels: {name_some(named, 'groups')}"


def _warn_of_equal(groups, n_images):
    """Yield which images are equal: with unequal labels, and with equal ones."""
    yield from _warn_of_conflicts(_list_conflicts(groups))
    named = [
        f"{file} of {first}" if file != first else f"{file}, named twice"
        for file, first in _list_copies(groups)
    ]
    if named:
        copies = "is a copy of another" if len(named) == 1 else "are copies of others"
        yield (
            f"{len(named)} of {n_images} images {copies}: "
            f"{name_some(named, 'images')}; if one trains and the other tests, scores "
            "are too high"
        )


def _list_copies(groups):
    """Yield pairs of a file and of the first one that is equal in image and label."""
    for pairs in groups:
        first = {}
        for file, label in pairs:
            label = normalize("NFC", label)
            if label in first:
                yield file, first[label]
            first.setdefault(label, file)


def _warn_of_images(unreadable, n_images):
    """Yield what is wrong with images."""
    if unreadable:
        named = "; ".join(list(unreadable.values())[:10])
        more = f"; and {len(unreadable) - 10} more" if len(unreadable) > 10 else ""
        yield f"{count(len(unreadable), 'image')} cannot be read: {named}{more}"
    if n_images < _FEW:
        few = "1 image is little" if n_images == 1 else f"{n_images} images are few"
        yield f"{few} to learn from; {_FEW} are the least that help"


def _join_characters(characters):
    """Return characters between blanks, the first of many, and blanks in quotes."""
    shown = [c if not c.isspace() else repr(c) for c in list(characters)[:_MANY]]
    more = len(characters) - _MANY
    return " ".join(shown) + (f" and {more} more" if more > 0 else "")
