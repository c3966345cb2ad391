"""What a text may be."""

import math

from skcaptcha._validation import count
from skcaptcha.labeling._table import clean_text
from skcaptcha.vocabulary import Vocabulary


class BadAnswerError(ValueError):
    """An answer that cannot be saved as it is; the text says why."""


class Rules:
    """What a text may be, as the user says.

    Parameters
    ----------
    characters : str, default=None
        The only characters, each once; None is any.
    length : int or tuple of int, default=None
        How many characters, N or (least, most); None is any number.
    """

    def __init__(self, characters=None, length=None):
        self.characters = characters
        self._vocabulary = None if characters is None else Vocabulary(characters)
        self.length = length

    @property
    def span(self):
        """Least and greatest length, or None."""
        if self.length is None:
            return None
        low, high = (
            self.length if isinstance(self.length, tuple) else (self.length,) * 2
        )
        return [low, high]

    def allow(self, text):
        """Tell whether a text may be saved."""
        try:
            self.check(text)
        except BadAnswerError:
            return False
        return True

    def check(self, text):
        """Return a text as it is saved, or raise a BadAnswerError."""
        try:
            text = clean_text(text)
        except ValueError as error:
            raise BadAnswerError(str(error)) from None
        symbols = Vocabulary.split(text)
        for symbol in symbols:
            if self._vocabulary is not None and symbol not in self._vocabulary:
                raise BadAnswerError(
                    f"{symbol!r} is none of the characters that are allowed"
                )
        low, high = self.span or (0, math.inf)
        if text and not low <= len(symbols) <= high:
            allowed = str(low) if low == high else f"{low} to {high}"
            raise BadAnswerError(
                f"{text!r} has {count(len(symbols), 'character')}; {allowed} are "
                "expected"
            )
        return text
