"""What is written: vocabularies, and texts out of them."""

DIGITS = "0123456789"
LOWER = "abcdefghijklmnopqrstuvwxyz"
UPPER = LOWER.upper()
SIGNS = "+-*/=?×"
RUSSIAN = "абвгдеёжзийклмнопрстуфхцчшщъыьэюя"
GREEK = "αβγδεζηθικλμνξοπρστυφχψω"
# The order of the classes that a network is taught with.
CHARACTERS = (
    DIGITS + LOWER + UPPER + SIGNS + RUSSIAN + RUSSIAN.upper() + GREEK + GREEK.upper()
)
# Of what is no text: faint letters behind it, and small ones beside.
LETTERS = "ABCDEFGHKLMNPRSTXYZabdefghk23456789"
LOOK_ALIKES = "0O1lIoQ5S2Z8B9gq6G"
# Vocabularies and how often each is drawn from.
VOCABULARIES = {
    DIGITS: 16,
    LOWER: 8,
    UPPER: 9,
    DIGITS + LOWER: 16,
    DIGITS + UPPER: 17,
    LOWER + UPPER: 4,
    DIGITS + LOWER + UPPER: 15,
    SIGNS: 5,
    RUSSIAN: 1.4,
    RUSSIAN.upper(): 1,
    DIGITS + RUSSIAN: 1.6,
    DIGITS + RUSSIAN.upper(): 1,
    DIGITS + RUSSIAN + RUSSIAN.upper(): 1.2,
    GREEK: 0.8,
    GREEK.upper(): 0.6,
    DIGITS + GREEK: 0.5,
    DIGITS + GREEK.upper(): 0.5,
    DIGITS + GREEK + GREEK.upper(): 0.6,
}
LENGTHS = {1: 2, 2: 2, 3: 5, 4: 30, 5: 22, 6: 18, 7: 7, 8: 6, 9: 2, 10: 3, 11: 1, 12: 2}


def pick(rng, weights):
    """Return one key of a dict from things to weights."""
    at = rng.random() * sum(weights.values())
    for thing, weight in weights.items():
        at -= weight
        if at < 0:
            return thing
    return thing


def draw_text(rng, vocabulary=None):
    """Return a text; `vocabulary` is one of `VOCABULARIES`."""
    vocabulary = vocabulary or pick(rng, VOCABULARIES)
    if vocabulary == SIGNS:
        return draw_sum(rng)
    length = pick(rng, LENGTHS)
    if vocabulary != DIGITS and rng.random() < 0.25:
        vocabulary = "".join(c for c in vocabulary if c not in LOOK_ALIKES)
    return "".join(vocabulary[i] for i in rng.integers(len(vocabulary), size=length))


def draw_sum(rng):
    """Return a sum as a site asks for it, such as 3+5=? and 12×4=."""
    most = 10 if rng.random() < 0.5 else 100
    signs = ("+-*×/", "+-", "+-×")[rng.integers(3)]
    text = str(rng.integers(most))
    for _ in range(2 if rng.random() < 0.15 else 1):
        text += signs[rng.integers(len(signs))] + str(rng.integers(most))
    return text + ("=?", "=", "", "?", "=?")[rng.integers(5)]
