"""Vocabulary: symbols, indices, errors."""

import pickle
import sys

import numpy as np
import pytest
import regex

from skcaptcha.vocabulary import BLANK, Vocabulary, _stands_apart

X_ACUTE = "x\u0301"  # composes with nothing: two code points in NFC too
E_ACUTE = "e\u0301"  # composes to one code point
FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"  # joined by ZWJ
THUMB = "\U0001f44d\U0001f3fd"  # skin tone
HEART = "\u2764\ufe0f"  # variation selector
FLAG = "\U0001f1eb\U0001f1f7"  # two regional indicators


def test_blank_is_zero_and_symbols_start_at_one():
    vocabulary = Vocabulary("ba")
    assert BLANK == 0
    assert vocabulary.characters == ("b", "a")  # the order given
    assert len(vocabulary) == 2
    assert vocabulary.n_classes == 3
    encoded = vocabulary.encode("abba")
    assert encoded.dtype == np.int64
    assert encoded.tolist() == [2, 1, 1, 2]
    assert vocabulary.decode(encoded) == "abba"


def test_learned_vocabulary_is_sorted_by_code_point():
    vocabulary = Vocabulary.from_texts(np.array(["b2a", "Za", "é1"]))
    assert vocabulary.characters == ("1", "2", "Z", "a", "b", "é")


@pytest.mark.parametrize("symbol", [X_ACUTE, FAMILY, THUMB, HEART, FLAG, "각", "é"])
def test_composed_character_is_one_symbol(symbol):
    vocabulary = Vocabulary.from_texts(["a" + symbol + "b"])
    assert len(vocabulary) == 3
    assert symbol in vocabulary
    assert vocabulary.split("a" + symbol + "b") == ["a", symbol, "b"]
    assert vocabulary.decode(vocabulary.encode(symbol * 2)) == symbol * 2


def test_composed_and_decomposed_spelling_are_the_same_symbol():
    vocabulary = Vocabulary([E_ACUTE, "a"])
    assert vocabulary.characters == ("é", "a")
    assert E_ACUTE in vocabulary and "é" in vocabulary and "e" not in vocabulary
    assert vocabulary.decode(vocabulary.encode("a" + E_ACUTE)) == "aé"


def test_empty_text():
    vocabulary = Vocabulary("ab")
    assert vocabulary.encode("").shape == (0,)
    assert vocabulary.encode("").dtype == np.int64
    assert vocabulary.decode([]) == ""


def test_unknown_character_names_sample_and_remedy():
    with pytest.raises(ValueError) as error:
        Vocabulary("0123").encode("0!1", name="y[12]")
    assert str(error.value) == (
        "y[12]='0!1' contains '!', which is not in the vocabulary '0123'; add it to "
        "`vocabulary` or drop the sample."
    )


def test_long_vocabulary_is_shortened_in_messages():
    vocabulary = Vocabulary(map(chr, range(0x4E00, 0x4E00 + 5000)))
    assert len(repr(vocabulary)) < 70 and "…" in repr(vocabulary)
    with pytest.raises(ValueError, match="…"):
        vocabulary.encode("a")


@pytest.mark.parametrize("text", [None, 7, b"ab", float("nan")])
def test_text_of_another_type(text):
    with pytest.raises(TypeError, match=r"y\[0\]=.* is .*; pass a str"):
        Vocabulary("ab").encode(text, name="y[0]")


@pytest.mark.parametrize(
    ("characters", "error", "message"),
    [
        ("", ValueError, "`characters` is empty"),
        ([], ValueError, "`characters` is empty"),
        ("aba", ValueError, r"characters\[2\]='a' occurs twice"),
        (["é", E_ACUTE], ValueError, r"characters\[1\]=.* occurs twice"),
        (["a", "bc"], ValueError, r"characters\[1\]='bc' is 2 symbols"),
        (["a", ""], ValueError, r"characters\[1\]='' is 0 symbols"),
        (5, TypeError, "characters=5; pass a str or an iterable of str"),
        (["a", 1], TypeError, r"characters\[1\]=1 is int"),
    ],
)
def test_bad_characters(characters, error, message):
    with pytest.raises(error, match=message):
        Vocabulary(characters)


def test_texts_of_another_type_are_named():
    with pytest.raises(TypeError, match=r"texts\[1\]=None is NoneType"):
        Vocabulary.from_texts(["a", None])


@pytest.mark.parametrize("indices", [[0], [1, 3], [-1]])
def test_decode_refuses_blank_and_unknown_indices(indices):
    with pytest.raises(ValueError, match="symbols have indices 1 to 2"):
        Vocabulary("ab").decode(indices)


def test_indices_of_a_subset():
    vocabulary = Vocabulary(["a", "b", X_ACUTE, "e", "\u0301"])
    assert vocabulary.indices(X_ACUTE + "a").tolist() == [3, 1]
    assert vocabulary.indices(["e", "\u0301"]).tolist() == [4, 5]
    with pytest.raises(ValueError, match="'!', which is not in the vocabulary"):
        vocabulary.indices("a!")


def test_equality_hash_pickle_and_repr():
    vocabulary = Vocabulary("ab")
    assert vocabulary == Vocabulary(["a", "b"])
    assert hash(vocabulary) == hash(Vocabulary(["a", "b"]))
    assert vocabulary != Vocabulary("ba")
    assert vocabulary != "ab"
    assert pickle.loads(pickle.dumps(vocabulary)) == vocabulary
    assert repr(vocabulary) == "Vocabulary('ab')"
    assert 1 not in vocabulary


def test_vocabulary_cannot_be_changed_through_its_attributes():
    with pytest.raises(AttributeError):
        Vocabulary("ab").characters = ("c",)


def test_extend_keeps_the_indices_and_adds_the_rest_sorted():
    vocabulary = Vocabulary("ca")
    extended = vocabulary.extend(["dab", "eca"])
    assert extended.characters == tuple(extended) == ("c", "a", "b", "d", "e")
    assert list(extended.encode("ca")) == list(vocabulary.encode("ca"))
    assert vocabulary.characters == ("c", "a")
    assert vocabulary.extend(["ac"]) == vocabulary


def test_what_is_split_without_regex_is_split_as_with_it():
    apart = [c for c in map(chr, range(sys.maxunicode + 1)) if _stands_apart(c)]
    assert len(apart) > 50_000 and set("aÄя漢한あ٣€½") <= set(apart)
    for order in (apart, apart[::-1], [c for c in apart for _ in range(2)]):
        assert regex.findall(r"\X", "".join(order)) == order
    for joined in (X_ACUTE, FAMILY, THUMB, HEART, FLAG, "\r\n", "\u1100\u1161"):
        assert not _stands_apart(joined)
        assert Vocabulary.split(f"a{joined}b")[0] == "a"
