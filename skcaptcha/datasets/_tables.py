"""Tables of file names and labels, in the forms that people keep them in."""

import csv
import io
import json
import re
import unicodedata

from skcaptcha._validation import describe_stripped, name_bad_character, strip_text
from skcaptcha.datasets._source import image_suffixes
from skcaptcha.exceptions import SkippedImageWarning

FILENAME_COLUMNS = "filename file_name file image image_path path img".split()
TEXT_COLUMNS = "text label caption words transcription".split()
_LAST_RESORT = ["id"]  # often stands beside the name of the file
_JSON_LINES = (".jsonl", ".ndjson")
_NAMED_TXT = re.compile(r"(labels?|gt|rec_gt\w*|\w+_gt|annotations?)\.txt", re.I)
_DELIMITERS = ("\t", ";", ",")
_LINE_END = re.compile(r"\r\n|\r|\n")


def is_table(file):
    """Tell by its name whether a file is a table of labels."""
    if file.suffix.lower() == ".txt":
        return _NAMED_TXT.fullmatch(file.name) is not None
    return file.suffix.lower() in (".csv", ".tsv", *_JSON_LINES)


def list_tables(source):
    """List the tables in a source, but not texts beside images of the same name."""
    return find_tables(source.list_tops())


def find_tables(files):
    """List the tables among files, but not texts beside images of the same name."""
    stems = {f.with_suffix("") for f in files if f.suffix.lower() in image_suffixes()}
    return [
        f
        for f in files
        if is_table(f) and not (f.suffix == ".txt" and f.with_suffix("") in stems)
    ]


def parse_table(
    data,
    path,
    *,
    filename_column,
    text_column,
    delimiter,
    encoding,
    is_named=True,
):
    """Return the rows (number, file name, text) of a table, and what to warn of.

    The first line is row 1. None as a parameter is for the table to tell. One of
    `predict` is warned of unless the caller named it.
    """
    text = decode_text(data, path, encoding)
    given = (filename_column, text_column)
    header, rows, columns = split_table(text, path, given, delimiter)
    header = header or ["file name", "text"]
    rows, notices = _drop_failed_readings(rows, header, columns, path)
    _check_rows(rows, header, columns, path)
    if not is_named and _has_readings(header):
        message = (
            f"The labels are from path={path!r}, which `skcaptcha predict` wrote: a "
            "model has read them. Look at them before you train on them; to test on "
            "other labels, give the path of their table."
        )
        notices.append((message, UserWarning))
    name, label = columns
    return [(number, row[name], row[label]) for number, row in rows], notices


def parse_names(data, path):
    """Return the file names in a table, which needs no labels."""
    text = decode_text(data, path, None)
    header, rows, (column, *_) = split_table(text, path, with_labels=False)
    _check_rows(rows, header or ["file name"], [column], path)
    return [row[column] for _, row in rows]


def _check_rows(rows, header, columns, path):
    """Raise an error unless there are rows, and texts in their columns."""
    for number, fields in rows:
        for index in columns:
            value = fields[index]
            if not isinstance(value, (str, type(None))):
                raise ValueError(
                    f"row {number} of {path!r} has {value!r} for {header[index]!r}, "
                    "which is no text."
                )
            # An image may be without text, but null is no label.
            if value is None or (index == columns[0] and not strip_text(value)):
                raise ValueError(
                    f"row {number} of {path!r} has no {header[index]!r}; fill or drop "
                    "it."
                )
    if not rows:
        raise ValueError(f"path={path!r} has a header but no rows.")


def split_table(text, path, given=(None, None), delimiter=None, with_labels=True):
    """Return the header, rows (number, fields), and the columns of names and labels.

    The header is None where the table has none. If it is not `with_labels`, it may lack
    their column, which is not returned.
    """
    if path.lower().endswith(_JSON_LINES):
        header, rows = _parse_json_lines(text, path)
    else:
        header, rows = _parse_lines(text, path, given, delimiter)
    if header is None:
        return header, rows, (0, 1)
    return header, rows, _find_columns(header, given, path, with_labels)


def find_delimiter(text, given=(None, None)):
    """Return the delimiter of the table that a text is, or None."""
    lines = (line for line in _LINE_END.split(text) if line.strip())
    return _guess_delimiter(next(lines, ""), given)


def clean_labels(texts, describe):
    """Return labels stripped and in the form NFC, and what to warn of.

    `describe` returns what to call the label at a position.
    """
    cleaned, stripped, empty = [], {}, []
    for position, text in enumerate(texts):
        label = unicodedata.normalize("NFC", strip_text(text))
        if label != unicodedata.normalize("NFC", text):
            stripped[describe(position)] = text
        if bad := name_bad_character(label):
            raise ValueError(
                f"the label {label!r} of {describe(position)} holds {bad}, which no "
                "image shows; delete it."
            )
        if not label:
            empty.append(position)
        cleaned.append(label)
    notices = describe_stripped(stripped, len(texts))
    if empty:
        message = (
            f"{len(empty)} of {len(texts)} labels are empty, such as that of "
            f"{describe(empty[0])}: their images count as without text. Leave out "
            "those that are only not labeled yet."
        )
        notices.append((message, UserWarning))
    return cleaned, notices


def decode_text(data, path, encoding):
    """Decode a table; None for `encoding` is UTF-8, or UTF-16 by its mark or zeros."""
    if encoding is None:
        encoding = "utf-8"
        if data.startswith((b"\xff\xfe", b"\xfe\xff")):
            encoding = "utf-16"
        elif data[1:2] == b"\0":
            encoding = "utf-16-le"
        elif data[:1] == b"\0":
            encoding = "utf-16-be"
    try:
        return data.decode(encoding).removeprefix("\ufeff")
    except (UnicodeError, LookupError, TypeError) as error:
        raise ValueError(
            f"path={path!r} cannot be read with encoding={encoding!r}: {error}. Save "
            "it as UTF-8, or name its encoding, such as 'cp1252' or 'gb18030'."
        ) from error


def _parse_lines(text, path, given, delimiter):
    """Return the header, None where there is none, and rows (number, fields)."""
    lines = _LINE_END.split(text)
    first = next((line for line in lines if line.strip()), "")
    if delimiter is None:
        delimiter = _guess_delimiter(first, given)
        if given == (None, None):
            rows = _match_lines(lines, _line_pattern(r",[ \t]+", r'"(.*)"'))
            if rows:  # as ICDAR writes it
                rows = [(n, [f, re.sub(r'\\"|""', '"', t)]) for n, (f, t) in rows]
            elif delimiter is None:
                rows = _match_lines(lines, _line_pattern(r"[ \t]+", "(.*)"))
            if rows:
                return None, rows
        if delimiter is None:  # the error will show the columns
            delimiter = next((d for d in _DELIMITERS if d in first), ",")
    rows = _split_rows(text, path, delimiter)
    if not rows:
        return [], rows
    _, header = rows[0]
    if given != (None, None) or not _is_row(header, delimiter, given):
        header, rows = [cell.strip() for cell in header], rows[1:]
        expected = f"the header has {len(header)}"
    else:
        header, expected = None, "2 are needed without a header"
    n_fields = 2 if header is None else len(header)
    for number, fields in rows:
        if len(fields) != n_fields:
            raise ValueError(
                f"row {number} of {path!r} has {len(fields)} fields where {expected}; "
                f"put fields that hold {delimiter!r} in quotes."
            )
    return header, rows


def _line_pattern(separator, text):
    """Return the expression for a line of an image's name, a separator and a text."""
    suffixes = "|".join(suffix[1:] for suffix in sorted(image_suffixes()))
    return re.compile(rf'([^"]*?\.(?:{suffixes})){separator}{text}\s*', re.IGNORECASE)


def _match_lines(lines, pattern):
    """Return rows (number, [file name, text]) if all lines match, else none."""
    rows = []
    for number, line in enumerate(lines, start=1):
        if line.strip():
            if not (match := pattern.fullmatch(line)):
                return []
            rows.append((number, list(match.groups())))
    return rows


def _split_rows(text, path, delimiter):
    """Split a table into rows (number, fields), blank lines left out."""
    rows = []
    try:
        quoted = re.search(rf'{re.escape(delimiter)} +"', text) is not None
        reader = csv.reader(
            io.StringIO(text, newline=""),
            delimiter=delimiter,
            skipinitialspace=quoted,
            strict=True,
        )
    except (csv.Error, TypeError) as error:  # a bad delimiter
        raise ValueError(
            f"path={path!r} is no CSV file with delimiter={delimiter!r}: {error}."
        ) from error
    number = 0
    try:
        for number, fields in enumerate(reader, start=1):
            width = len(rows[0][1]) if rows else len(fields)
            if any(_swallows(field, delimiter, width) for field in fields):
                raise _quote_error(number, path, "its quote takes in the rows after it")
            if fields:
                rows.append((number, fields))
    except csv.Error as error:
        raise _quote_error(number + 1, path, error) from error
    return rows


def _quote_error(number, path, reason):
    return ValueError(
        f"row {number} of {path!r} is broken: {reason}. Close the quote in that row; "
        'one that belongs to a label is written twice, within quotes: "a""b".'
    )


def _swallows(field, delimiter, width):
    """Tell whether a field holds what looks like further rows."""
    if "\n" not in field and "\r" not in field:
        return False
    lines = _LINE_END.split(field)[1:]
    return any(line.count(delimiter) >= width - 1 for line in lines)


def _parse_json_lines(text, path):
    """Return the header and the rows (number, fields) of a table of JSON lines."""
    rows, header = [], []
    for number, line in enumerate(_LINE_END.split(text), start=1):
        if not line.strip():
            continue
        try:
            # Numbers stay as they are written.
            row = json.loads(line, parse_int=str, parse_float=str)
        except (ValueError, RecursionError) as error:
            raise ValueError(
                f"row {number} of {path!r} is no JSON: {error}."
            ) from error
        if not isinstance(row, dict):
            raise ValueError(f"row {number} of {path!r} is no JSON object: {line[:60]}")
        header = header or list(row)
        rows.append((number, [row.get(key) for key in header]))
    return header, rows


def _candidates(header, given, usual):
    """Return the indices of the columns that may be meant."""
    if given is not None:
        return [i for i, cell in enumerate(header) if cell == given]
    return [i for i, cell in enumerate(header) if cell.strip().lower() in usual]


def _find_columns(header, given, path, with_labels=True):
    """Return the indices of the columns of file names and of labels."""
    columns = []
    parts = ("filename_column", FILENAME_COLUMNS), ("text_column", TEXT_COLUMNS)
    parts = list(zip(given, parts, strict=True))
    for value, (parameter, usual) in parts[: 1 + with_labels]:
        found = _candidates(header, value, usual)
        if not found and usual is FILENAME_COLUMNS and value is None:
            found = _candidates(header, None, _LAST_RESORT)
        if len(found) != 1:
            what = f"named {value!r}"
            if value is None:
                what = f"with one of the usual names ({', '.join(usual)})"
            number = f"{len(found)} columns" if found else "no column"
            raise ValueError(
                f"path={path!r} has {number} {what}; its header is {header}: name "
                f"the column by `{parameter}`, and what is between two columns by "
                "`delimiter`."
            )
        columns += found
    if columns[1:] == columns[:1]:
        raise ValueError(
            f"path={path!r}: the column {header[columns[0]]!r} cannot hold both the "
            "file names and the labels; give two names by `filename_column` and "
            "`text_column`."
        )
    return columns


def _guess_delimiter(line, given):
    """Return the delimiter that makes sense of the first line, or None."""
    for delimiter in _DELIMITERS:
        cells = next(csv.reader([line[:9999]], delimiter=delimiter), [])
        names = _candidates(cells, given[0], FILENAME_COLUMNS + _LAST_RESORT)
        has_header = names and _candidates(cells, given[1], TEXT_COLUMNS)
        if has_header or _is_row(cells, delimiter, given):
            return delimiter
    return None


def _is_row(cells, delimiter, given):
    """Tell whether the cells of a first line are a file name and a label."""
    if given != (None, None) or len(cells) < 2:
        return False
    name = cells[0].strip().lower()
    return name.endswith(tuple(image_suffixes()))


def _has_readings(header):
    """Tell whether a table is one that `predict` wrote."""
    return {"confidence", "error"} <= set(header)


def is_failed_reading(row, header, column):
    """Tell whether a row of a table of `predict` has no text in its column.

    An empty one without a confidence is the label of an image that shows no text.
    """
    error, confidence = row[header.index("error")], row[header.index("confidence")]
    return bool(error or (confidence and not row[column]))


def _drop_failed_readings(rows, header, columns, path):
    """Leave out rows in which `predict` gave no text; return what to warn of, too."""
    if not _has_readings(header):
        return rows, []
    kept = [row for row in rows if not is_failed_reading(row[1], header, columns[1])]
    n_dropped = len(rows) - len(kept)
    if not kept:
        raise ValueError(f"path={path!r} has no row with a text and without an error.")
    if not n_dropped:
        return rows, []
    message = (
        f"{n_dropped} of {len(rows)} rows of path={path!r} have an error or no text, "
        "and were left out."
    )
    return kept, [(message, SkippedImageWarning)]
