"""Which characters and lengths texts have in common, where some are misread."""

import math
import unicodedata
from collections import Counter

import numpy as np

from skcaptcha.vocabulary import Vocabulary

# A character is taken for an error if it is found less often than this share of the
# usual one, a length or a case of letters if it has less than this share.
_RARE_CHARACTER, _RARE_LENGTH, _RARE_CASE = 0.1, 0.05, 0.15
# How often labels should have a character, by its share in the texts, that they lack.
_UNSEEN = 3.0
# Letters that are enough to tell which case all have.
_MIN_CASED = 20
# Letters whose capital is an enlarged small one, in the scripts that the pretrained
# weights read. They don't tell the case.
_SAME_SHAPE = frozenset("ckopsuvwxzвгджзийклмнопстфхцчшщъыьэюяθικοπρτφχψ")


def find_alphabet(texts, weights, labels=()):
    """Return the characters of the labels and those that texts have in common, sorted.

    What is rare among many texts is an error, and so is what the labels lack though
    the texts have much of it. If nearly all letters that look different in both cases
    are of one case, all are. A text counts by its weight.

    >>> find_alphabet(["ab", "Ba", "a7"], [20.0, 2.0, 1.0], ["x"])
    ['a', 'b', 'x']
    """
    known = Counter(c for label in labels for c in Vocabulary.split(label))
    found = Counter()
    for text, weight in zip(texts, weights, strict=True):
        for character in Vocabulary.split(text):
            found[character] += weight
    change = find_case(known) or find_case(found)
    if change is not None:
        folded = Counter()
        for character, n in found.items():
            folded[change(character)] += n
        found = folded
    if not found:
        return sorted(known)
    least = _RARE_CHARACTER * find_usual(list(found.values()))
    most = _UNSEEN * found.total() / known.total() if known else math.inf
    return sorted({c for c, n in found.items() if least <= n < most} | known.keys())


def spell(text, alphabet):
    """Return a text in the characters of an alphabet, or "" if it has others.

    A letter that is in the alphabet in its other case alone is written so.

    >>> spell("2B", "2b"), spell("2Я", "2b")
    ('2b', '')
    """
    characters = []
    for character in Vocabulary.split(text):
        forms = [c for c in (character, character.swapcase()) if c in alphabet]
        if not forms:
            return ""
        characters.append(forms[0])
    return "".join(characters)


def find_scripts(texts):
    """Return the scripts of letters that at least a tenth of the texts have, sorted.

    >>> find_scripts(["ab1", "аб1", "2c"])  # the second one is Russian
    ['Cyrillic', 'Latin']
    """
    counts = Counter()
    for text in texts:
        letters = filter(str.isalpha, text)
        counts.update({unicodedata.name(c, "?").split()[0] for c in letters})
    return sorted(s.capitalize() for s, n in counts.items() if n >= len(texts) / 10)


def find_usual(counts):
    """Return the count of the character that the middle one of all is.

    Unlike the median of the counts it does not fall with the number of rare ones.

    >>> find_usual([10, 1, 12, 1, 1, 1])
    10
    """
    counts = np.sort(counts)
    total = np.cumsum(counts)
    return counts[np.searchsorted(total, total[-1] / 2)].item()


def find_case(counts):
    """Return `str.lower` or `str.upper` if nearly all letters have that case."""
    lower, upper = (
        sum(n for c, n in counts.items() if of(c) and c.lower() not in _SAME_SHAPE)
        for of in (str.islower, str.isupper)
    )
    if lower + upper < _MIN_CASED:
        return None
    if upper < _RARE_CASE * (lower + upper):
        return str.lower
    return str.upper if lower < _RARE_CASE * (lower + upper) else None


def find_lengths(texts, weights, labels=()):
    """Return the lengths of the labels and those that texts have in common.

    As a dict with the share of each, in ascending order. What is rare among the texts
    is an error, and so is what the labels lack though the texts have much of it. A text
    counts by its weight.

    >>> find_lengths(["abcd", "abcde", "abc"], [13.0, 6.0, 0.5], ["a"])
    {1: 0.05, 4: 0.65, 5: 0.3}
    """
    found, known = Counter(), Counter(len(Vocabulary.split(text)) for text in labels)
    for text, weight in zip(texts, weights, strict=True):
        found[len(Vocabulary.split(text))] += weight
    least = _RARE_LENGTH * found.total()
    most = _UNSEEN * found.total() / known.total() if known else math.inf
    found = Counter({n: weight for n, weight in found.items() if n and weight})
    common = {n for n, weight in found.items() if least <= weight < most}
    counts = {n: found[n] + known[n] for n in sorted(common | known.keys())}
    return {n: weight / sum(counts.values()) for n, weight in counts.items()}
