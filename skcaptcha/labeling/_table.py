"""The table of labels, in which everything that is not ours stays as it is."""

import csv
import io
import unicodedata

from skcaptcha._validation import name_bad_character, strip_text
from skcaptcha.datasets._tables import (
    decode_text,
    find_delimiter,
    is_failed_reading,
    split_table,
)

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
    def make(cls, names=(None, None), delimiter=None, encoding=None):
        """Return an empty table that `parse` takes with the same arguments."""
        header = (names[0] or "filename", names[1] or "text")
        return cls(header, (), (0, 1), delimiter or ",", encoding or "utf-8")

    @classmethod
    def parse(cls, data, path, names=(None, None), delimiter=None, encoding=None):
        """Return the table in the content of a file; an error says what is wrong.

        The last three are what `load_labels_csv` takes: the names of the two columns,
        the delimiter and the encoding; None is for the table to tell.
        """
        text = decode_text(data, path, encoding)
        if not text.strip():
            return cls.make(names, delimiter, encoding)
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

    def update(self, labels, rows=None):
        """Set labels by file name; None deletes the rows of a name.

        Rows that are deleted are put into the dict `rows`, by file name. One that is
        there is taken from it where a name comes back.
        """
        name, text = self.columns
        rows = {} if rows is None else rows
        left = dict(labels)
        kept = []
        for row in self.rows:
            if row[name] not in labels:
                kept.append(row)
                continue
            label = labels[row[name]]
            left.pop(row[name], None)
            if label is None:
                rows[row[name]] = row
            else:
                kept.append(self._set_label(row, label))
        width = 2 if self.header is None else len(self.header)
        for key, label in left.items():
            if label is None:
                continue
            row = rows.pop(key, [])
            if len(row) != width:  # or it is of a table with other columns
                row = [""] * width
            row = list(row)
            row[name] = key
            kept.append(self._set_label(row, label))
        self.rows = kept

    def _set_label(self, row, label):
        """Return a row with a label."""
        text = self.columns[1]
        if not self._is_failed(row) and clean_text(row[text]) == label:
            return row
        row = list(row)
        row[text] = label
        if self._is_of_predict:
            row[self.header.index("error")] = ""
            if not label:  # with a confidence it would be a reading that failed
                row[self.header.index("confidence")] = ""
        return row

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
    def _is_of_predict(self):
        """Whether the table has the columns of what `skcaptcha predict` writes."""
        return {"confidence", "error"} <= set(self.header or [])

    def _is_failed(self, row):
        """Tell whether a row of `skcaptcha predict` has no text."""
        return self._is_of_predict and is_failed_reading(
            row, self.header, self.columns[1]
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
