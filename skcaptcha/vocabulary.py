"""The characters of a recognizer, and the encoding of texts as indices."""

import re
import unicodedata
from collections.abc import Iterable

import numpy as np

__all__ = ["BLANK", "Vocabulary"]

BLANK = 0
"""Index of the CTC blank among the network's classes; symbols start at 1."""

# What may join its neighbors though it is a letter: vowels of Thai and Lao, the letters
# that Hangul's syllables are made of, half-width Japanese marks; all beyond the basic
# plane, where emoji are. A test compares this with the package regex.
_MAY_JOIN = re.compile(
    "[\u0d4e\u0e33\u0eb3\u1100-\u11ff\ua960-\ua97f\ud7b0-\ud7ff\uff9e\uff9f"
    "\U00010000-\U0010ffff]"
)


class Vocabulary:
    r"""Immutable, ordered set of symbols with the indices 1 to ``len(vocabulary)``.

    A symbol is an extended grapheme cluster [1]_ after NFC normalization. A letter with
    a combining accent, an emoji made of several code points or a flag is one symbol.

    Parameters
    ----------
    characters : str or iterable of str
        The symbols, in the order of their indices: a text of them, or one in each item.

    Raises
    ------
    ValueError
        If there is no symbol, one occurs twice, or an item is not exactly one symbol.

    References
    ----------
    .. [1] Unicode Standard Annex #29, "Unicode Text Segmentation".

    Examples
    --------
    >>> vocabulary = Vocabulary("abc")
    >>> vocabulary.encode("cab")
    array([3, 1, 2])
    >>> vocabulary.decode([3, 1, 2])
    'cab'
    >>> len(Vocabulary.from_texts(["zoo", "ox\u0301"]))  # z, o, x with its accent
    3
    """

    def __init__(self, characters):
        items = self.split(characters) if isinstance(characters, str) else characters
        if not isinstance(items, Iterable):
            raise TypeError(f"characters={items!r}; pass a str or an iterable of str.")
        self._indices = {}
        for position, item in enumerate(items):
            symbols = self.split(item, f"characters[{position}]")
            if len(symbols) != 1:
                raise ValueError(
                    f"characters[{position}]={item!r} is {len(symbols)} symbols; each "
                    "item must be exactly one character. Pass one str to have it split."
                )
            if symbols[0] in self._indices:
                raise ValueError(
                    f"characters[{position}]={item!r} occurs twice in `characters`; "
                    "name each symbol once."
                )
            self._indices[symbols[0]] = BLANK + 1 + position
        if not self._indices:
            raise ValueError("`characters` is empty; name at least one symbol.")
        self._characters = tuple(self._indices)

    @classmethod
    def from_texts(cls, texts):
        """Return the vocabulary of all symbols in some texts.

        Parameters
        ----------
        texts : iterable of str
            The texts, at least one symbol in all.

        Returns
        -------
        Vocabulary
            The symbols, sorted by code point.

        Raises
        ------
        TypeError
            If a text is no str.
        ValueError
            If there is no symbol.
        """
        split = (cls.split(text, f"texts[{i}]") for i, text in enumerate(texts))
        return cls(sorted({symbol for symbols in split for symbol in symbols}))

    def extend(self, texts):
        """Return a vocabulary of these symbols and of those in some texts.

        Parameters
        ----------
        texts : iterable of str
            The texts.

        Returns
        -------
        Vocabulary
            These symbols with the indices that they have, then the others, sorted by
            code point.

        Raises
        ------
        TypeError
            If a text is no str.
        """
        others = {symbol for text in texts for symbol in self.split(text)}
        return Vocabulary(self._characters + tuple(sorted(others - set(self))))

    @staticmethod
    def split(text, name="text"):
        """Return the symbols of a text.

        Parameters
        ----------
        text : str
            The text.
        name : str, default="text"
            What errors call it.

        Returns
        -------
        list of str
            What a reader takes for one character each, in the Unicode form NFC.

        Raises
        ------
        TypeError
            If `text` is no str.
        ModuleNotFoundError
            If it has characters that join others, and regex is not installed.
        """
        if not isinstance(text, str):
            raise TypeError(f"{name}={text!r} is {type(text).__name__}; pass a str.")
        text = unicodedata.normalize("NFC", text)
        if _stands_apart(text):
            return list(text)
        try:
            import regex
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(
                f"{name}={text!r} has characters that join others, such as combining "
                "accents or emoji; to split it takes the package regex: pip install "
                "regex",
                name=error.name,
            ) from error
        return regex.findall(r"\X", text)

    @property
    def characters(self):
        """The symbols in the order of their indices, as a tuple of str."""
        return self._characters

    @property
    def n_classes(self):
        """Number of classes of the network: the symbols and the blank."""
        return len(self) + 1

    def encode(self, text, name="text"):
        """Return the indices of the symbols of a text.

        Parameters
        ----------
        text : str
            The text.
        name : str, default="text"
            What errors call it.

        Returns
        -------
        ndarray of int64 of shape (L,)
            The index of each symbol, from 1.

        Raises
        ------
        TypeError
            If `text` is no str.
        ValueError
            If a symbol is not in the vocabulary.
        """
        symbols = self.split(text, name)
        unknown = next((s for s in symbols if s not in self._indices), None)
        if unknown is not None:
            raise ValueError(
                f"{name}={text!r} contains {unknown!r}, which is not in the vocabulary "
                f"{self._summary()}; add it to `vocabulary` or drop the sample."
            )
        return np.array([self._indices[s] for s in symbols], dtype=np.int64)

    def decode(self, indices):
        """Return the text of the indices of symbols.

        Parameters
        ----------
        indices : array-like of int of shape (L,)
            Indices from 1 to the number of symbols, without blanks.

        Returns
        -------
        str
            The text.

        Raises
        ------
        ValueError
            If an index is none of a symbol.
        """
        indices = np.asarray(indices, dtype=np.int64)  # (L,)
        wrong = indices[(indices <= BLANK) | (indices > len(self))]
        if wrong.size:
            raise ValueError(
                f"`indices` holds {wrong[0]}; symbols have indices 1 to {len(self)}."
            )
        return "".join(self._characters[i - 1] for i in indices)

    def indices(self, characters):
        """Return the indices of some symbols.

        Parameters
        ----------
        characters : str or iterable of str
            The symbols, each once.

        Returns
        -------
        ndarray of int64 of shape (n_characters,)
            The index of each, from 1.

        Raises
        ------
        TypeError
            If it is neither.
        ValueError
            If a symbol is named twice or is not in the vocabulary.
        """
        return np.concatenate(
            [self.encode(c, name="characters") for c in Vocabulary(characters)._indices]
        )

    def __len__(self):
        """Return the number of symbols, without the blank."""
        return len(self._characters)

    def __iter__(self):
        """Iterate over the symbols."""
        return iter(self._characters)

    def __contains__(self, symbol):
        """Tell whether `symbol`, NFC normalized, is one of the symbols."""
        text = unicodedata.normalize("NFC", symbol) if isinstance(symbol, str) else None
        return text in self._indices

    def __eq__(self, other):
        """Tell whether the symbols and their order are equal."""
        if not isinstance(other, Vocabulary):
            return NotImplemented
        return self._characters == other._characters

    def __hash__(self):
        """Return the hash of the symbols."""
        return hash(self._characters)

    def __repr__(self):
        """Show the symbols, the first 40 of a long list."""
        return f"Vocabulary({self._summary()})"

    def _summary(self, limit=40):
        text = "".join(self._characters[:limit])
        return repr(text + "…" if len(self) > limit else text)


def _stands_apart(text):
    """Tell whether no code point of a text can join another, as in nearly all texts."""
    if not text.isprintable() or text.isascii():
        return text.isprintable()
    marks = (unicodedata.category(c).startswith("M") for c in text)
    return not _MAY_JOIN.search(text) and not any(marks)
