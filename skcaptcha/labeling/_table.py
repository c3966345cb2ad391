"""The table of labels, in which everything that is not ours stays as it is."""

import csv
import io
import unicodedata

from skcaptcha._validation import name_bad_character, strip_text
from skcaptcha.datasets._tables import decode_text, find_delimiter, split_table

_MARK = b"\xef\xbb\xbf"  # by which spreadsheets tell UTF-8


class LabelTable:
    """Rows of file names and labels; columns of other kinds are kept.

    Parameters
    ----------
    header : list of str or None
        Names of the columns; None for a table that has no header.
    rows : list of list of str
        The fields of each row.
    columns : tuple of int
        Which columns hold the file name and the label.
    delimiter : str
        What stands between two fields.
    encoding : str
        Of the file.
    """

    def __init__(
        self,
        header=("filename", "text"),
        rows=(),
        columns=(0, 1),
        delimiter=",",
        encoding="utf-8",
    ):
        self.header = None if header is None else list(header)
        self.rows = [list(row) for row in rows]
        self.columns = columns
        self.delimiter = delimiter
        self.encoding = encoding

    @classmethod
    def parse(cls, data, path, names=(None, None), delimiter=None, encoding=None):
        """Return the table in the content of a file; an error says what is wrong.

        The last three are what `load_labels_csv` takes: the names of the two columns,
        the delimiter and the encoding; None is for the table to tell.
        """
        text = decode_text(data, path, encoding)
        if not text.strip():
            return cls()
        delimiter = delimiter or find_delimiter(text, names)
        header, rows, columns = split_table(text, path, names, delimiter)
        if encoding is None:
            encoding = "utf-8-sig" if data.startswith(_MARK) else "utf-8"
        fields = [fields for _, fields in rows]
        for number, row in rows:
            if not strip_text(row[columns[0]]):
                raise ValueError(
                    f"row {number} of {path!r} has no file name; fill or drop it"
                )
            clean_text(row[columns[1]], f"the label in row {number} of {path!r}")
        return cls(header, fields, columns, delimiter or ",", encoding)

    def labels(self):
        """Return a dict from file names to labels; of a name the last row counts."""
        name, text = self.columns
        return {
            row[name]: clean_text(row[text])
            for row in self.rows
            if not self._is_failed(row)
        }

    def update(self, labels):
        """Set labels by file name; None deletes the rows of a name."""
        name, text = self.columns
        left = dict(labels)
        kept = []
        for row in self.rows:
            if row[name] not in labels:
                kept.append(row)
                continue
            label = labels[row[name]]
            left.pop(row[name], None)
            if label is None:
                continue
            if self._is_failed(row) or clean_text(row[text]) != label:
                row = list(row)
                row[text] = label
                if self._error is not None:
                    row[self._error] = ""
            kept.append(row)
        width = 2 if self.header is None else len(self.header)
        for key, label in left.items():
            if label is not None:
                row = [""] * width
                row[name], row[text] = key, label
                kept.append(row)
        self.rows = kept

    def encode(self):
        """Return the content of the file.

        A label that its encoding lacks raises a ValueError.
        """
        buffer = io.StringIO(newline="")
        writer = csv.writer(buffer, delimiter=self.delimiter, lineterminator="\n")
        if self.header is not None:
            writer.writerow(self.header)
        writer.writerows(self.rows)
        return buffer.getvalue().encode(self.encoding)

    @property
    def _error(self):
        """Column of the error of what `skcaptcha predict` writes, or None."""
        header = self.header or []
        if {"confidence", "error"} <= set(header):
            return header.index("error")
        return None

    def _is_failed(self, row):
        """Tell whether a row of `skcaptcha predict` has no text."""
        return self._error is not None and bool(
            row[self._error] or not row[self.columns[1]]
        )


def clean_text(text, what="the text"):
    """Return a label stripped and in the form NFC, or raise a ValueError."""
    label = unicodedata.normalize("NFC", strip_text(text))
    try:
        label.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{what} holds half a character; type it anew") from None
    if bad := name_bad_character(label):
        raise ValueError(f"{what} holds {bad}, which no image shows; delete it")
    return label


def fits_table(name):
    """Tell whether a table can hold the name of a file, so that it is found again."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return name == name.strip() and not set(name) & set("\r\n\0")
