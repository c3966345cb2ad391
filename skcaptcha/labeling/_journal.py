"""The journal: a file of JSON lines. Each is on the disk before it counts."""

import contextlib
import json
import os

from skcaptcha._files import write_atomically


class FormatError(ValueError):
    """A journal that another version has written."""


class Journal:
    """Lines that are appended one after the other, whole or not at all.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    table : pathlib.Path
        The table that errors are about.
    """

    def __init__(self, path, table):
        self.path, self._table, self._file = path, table, None

    def open(self, take):
        """Hand each line to a function, and begin to append.

        Parameters
        ----------
        take : callable
            Is given the object in a line, and the line's number from 1.

        Returns
        -------
        bool
            Whether there is any line.

        Raises
        ------
        ValueError
            If a line before the last is damaged, or the file is no journal.
        """
        end = self._read(take)
        self._file = open(self.path, "ab")
        if self._file.tell() > end:  # half a line of a process that was killed
            self._file.truncate(end)
        return end > 0

    def append(self, lines):
        """Write lines at the end, all of them or none."""
        data = b"".join(_encode(line) for line in lines)
        if self._file.closed:  # it could not be opened again after an error
            self._file = open(self.path, "ab")
        end = self._file.seek(0, os.SEEK_END)
        try:
            self._file.write(data)
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            self._reopen(end)
            raise OSError(error.errno, error.strerror, str(self._table)) from error

    def rewrite(self, line):
        """Put one line in the place of all."""
        self._file.close()  # Windows replaces no open file
        try:
            write_atomically(self.path, _encode(line))
        finally:
            self._file = open(self.path, "ab")

    def close(self):
        """Close the file, more than once if need be."""
        if self._file is not None:
            self._file.close()

    def _read(self, take):
        """Return where the last whole line ends."""
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return 0
        end, bad, place = 0, None, 0
        for number, line in enumerate(data.split(b"\n")[:-1], start=1):
            place += len(line) + 1
            try:
                take(json.loads(line), number)
            except FormatError:
                raise
            except (ValueError, KeyError, TypeError) as error:
                if bad is None:
                    bad = number, error
                continue
            if bad is not None:
                # A machine that lost power may leave zeros at the end, not before it.
                raise ValueError(self._describe_damage(*bad))
            end = place
        if not end and data.strip(b"\0\n "):
            raise ValueError(
                f"{str(self.path)!r} is no journal of `skcaptcha label`; move it "
                "elsewhere, or name another table by --out"
            )
        return end

    def _describe_damage(self, number, error):
        """Say what to do about a line that cannot be read."""
        journal = repr(str(self.path))
        if number > 1:
            return (
                f"line {number} of {journal} is damaged ({error}); delete that line, "
                "and the answer that it holds is all that you lose"
            )
        return (
            f"line 1 of {journal} is damaged ({error}), which holds the answers that "
            f"{self._table.name} cannot: what was skipped or is unreadable. Restore "
            "the journal from a backup. Without one, move it away: the labels of the "
            "table stay, and each further line of the journal holds an answer"
        )

    def _reopen(self, end):
        """Cut off what was half written, and open the file again."""
        with contextlib.suppress(OSError):
            self._file.close()
        with contextlib.suppress(OSError):
            os.truncate(self.path, end)
        self._file = open(self.path, "ab")


def _encode(entry):
    return json.dumps(entry, ensure_ascii=True).encode() + b"\n"
