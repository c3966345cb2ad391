"""What holds for every text, every matrix of probabilities and every input.

``SKCAPTCHA_EXAMPLES=20000`` tries more examples of each property than the default.
"""

import math
import os
import unicodedata
from collections import Counter
from copy import deepcopy
from itertools import pairwise, product

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from skcaptcha import _tables, _validation
from skcaptcha.images import read_image
from skcaptcha.metrics import (
    character_accuracy_score,
    character_confusion,
    character_error_rate,
    exact_match_score,
    mean_edit_distance,
    normalized_edit_distance,
    recognition_report,
)
from skcaptcha.model.decoding import (
    beam_search,
    best_path,
    check_length,
    greedy_decode,
    restrict,
    sequence_log_probability,
)
from skcaptcha.vocabulary import BLANK, Vocabulary

N_EXAMPLES = int(os.environ.get("SKCAPTCHA_EXAMPLES", 60))
many = settings(max_examples=N_EXAMPLES, deadline=None)
# For what runs a network.
fewer = settings(max_examples=max(10, N_EXAMPLES // 10), deadline=None)

# Beside any text, letters and marks that combine, join or stand in pairs.
CLUSTERS = st.text(
    "ae1\u0301\u0323\u200d\U0001f468\U0001f1e9\U0001f1ea\u1100\u1161\r\n"
)
TEXTS = st.one_of(st.text(), CLUSTERS)
PAIRS = st.lists(
    st.one_of(st.tuples(TEXTS, TEXTS), st.tuples(st.text("ab"), st.text("ab"))),
    min_size=1,
    max_size=6,
)


def nfc(text):
    return unicodedata.normalize("NFC", text)


# ---- vocabulary ------------------------------------------------------------------


@many
@given(TEXTS, st.lists(TEXTS, max_size=3))
def test_decode_turns_encode_back(text, others):
    vocabulary = Vocabulary.from_texts([text, *others, "a"])
    assert vocabulary.decode(vocabulary.encode(text)) == nfc(text)
    for other in others:
        assert vocabulary.decode(vocabulary.encode(other)) == nfc(other)
    assert Vocabulary(vocabulary.characters) == vocabulary
    assert all(symbol in vocabulary for symbol in vocabulary)


@many
@given(TEXTS.filter(bool), st.lists(TEXTS, max_size=3))
def test_an_extended_vocabulary_keeps_its_indices_and_reads_the_rest(text, others):
    vocabulary = Vocabulary.from_texts([text])
    longer = vocabulary.extend(others)
    assert longer.characters[: len(vocabulary)] == vocabulary.characters
    for covered in [text, *others]:
        assert longer.decode(longer.encode(covered)) == nfc(covered)


@many
@given(TEXTS.filter(bool), TEXTS)
def test_a_text_is_refused_if_and_only_if_the_vocabulary_lacks_a_symbol(known, text):
    vocabulary = Vocabulary.from_texts([known])
    lacking = [s for s in Vocabulary.split(text) if s not in vocabulary]
    if not lacking:
        assert vocabulary.decode(vocabulary.encode(text)) == nfc(text)
        return
    with pytest.raises(ValueError) as caught:
        vocabulary.encode(text, "y[3]")
    assert str(caught.value).startswith(f"y[3]={text!r} contains {lacking[0]!r}, which")


# ---- metrics ---------------------------------------------------------------------


@many
@given(PAIRS)
def test_metrics_stay_within_their_bounds_and_agree(pairs):
    y_true, y_pred = map(list, zip(*pairs, strict=True))
    exact = exact_match_score(y_true, y_pred)
    rate = character_error_rate(y_true, y_pred)
    accuracy = character_accuracy_score(y_true, y_pred)
    distance = normalized_edit_distance(y_true, y_pred)
    assert 0 <= exact <= 1 and 0 <= accuracy <= 1 and 0 <= distance <= 1 and rate >= 0
    assert accuracy == max(0, 1 - rate)
    assert (exact == 1) == (rate == 0) == (distance == 0) == (accuracy == 1)
    # A text with an error adds at most 1 to this distance, one without adds nothing.
    assert distance <= 1 - exact + 1e-12
    report = recognition_report(y_true, y_pred, output_dict=True)
    assert report["exact_match"] == exact and report["n_samples"] == len(pairs)
    for shares in (report, *report["per_length"].values()):
        for name in ("exact_match", "character_accuracy"):
            low, high = shares[f"{name}_interval"]
            assert 0 <= low <= shares[name] <= high <= 1 and low < high
    for row in report["per_character"].values():
        assert 0 <= row["precision"] <= 1 and 0 <= row["recall"] <= 1
    assert recognition_report(y_true, y_pred).startswith("samples")


@many
@given(PAIRS)
def test_distances_are_symmetric_and_zero_for_the_same_texts(pairs):
    y_true, y_pred = map(list, zip(*pairs, strict=True))
    for metric in (exact_match_score, mean_edit_distance, normalized_edit_distance):
        assert metric(y_true, y_pred) == metric(y_pred, y_true)
        backwards = metric(y_true[::-1], y_pred[::-1])
        assert metric(y_true, y_pred) == pytest.approx(backwards)
    for texts in (y_true, y_pred):
        assert exact_match_score(texts, texts) == 1
        assert mean_edit_distance(texts, texts) == 0
        assert normalized_edit_distance(texts, texts) == 0
        assert character_error_rate(texts, texts) == 0


@many
@given(TEXTS, TEXTS, TEXTS)
def test_the_edit_distance_obeys_the_triangle_inequality(one, two, three):
    def distance(a, b):
        return mean_edit_distance([a], [b])

    assert distance(one, three) <= distance(one, two) + distance(two, three)
    assert distance(one, two) <= max(len(nfc(one)), len(nfc(two)))


@many
@given(
    st.lists(
        st.tuples(st.sampled_from("ab"), st.floats(0, 1e6, allow_subnormal=False)),
        min_size=1,
        max_size=40,
    )
)
@example([("b", 1e-20), *[("a", 0.1)] * 4, *[("a", 0.2)] * 4])  # in rounding above 1
def test_a_weighted_score_stays_within_its_bounds(weighted):
    y_pred, weights = map(list, zip(*weighted, strict=True))
    y_true = ["a"] * len(y_pred)
    if sum(weights) == 0:
        with pytest.raises(ValueError, match="sums to 0"):
            exact_match_score(y_true, y_pred, sample_weight=weights)
        return
    score = exact_match_score(y_true, y_pred, sample_weight=weights)
    assert 0 <= score <= 1
    assert score == pytest.approx(
        np.average([p == "a" for p in y_pred], weights=weights)
    )


@many
@given(PAIRS)
def test_the_confusion_matrix_counts_every_character_once(pairs):
    y_true, y_pred = map(list, zip(*pairs, strict=True))
    matrix, labels = character_confusion(y_true, y_pred)
    true = Counter("".join(map(nfc, y_true)))
    pred = Counter("".join(map(nfc, y_pred)))
    for i, label in enumerate(labels[:-1]):
        assert matrix[i].sum() == true[label] and matrix[:, i].sum() == pred[label]
    errors = matrix.sum() - np.trace(matrix)
    assert errors == pytest.approx(mean_edit_distance(y_true, y_pred) * len(pairs))


# ---- decoding --------------------------------------------------------------------


@st.composite
def log_probabilities(draw, max_frames=8, max_classes=6):
    """Draw log-probabilities (T, K) of which some are -inf; class 0 is the blank."""
    n_frames = draw(st.integers(1, max_frames))
    n_classes = draw(st.integers(2, max_classes))
    level = st.one_of(st.just(0.0), st.just(1.0), st.floats(1e-9, 1))
    row = st.lists(level, min_size=n_classes, max_size=n_classes).filter(any)
    table = draw(st.lists(row, min_size=n_frames, max_size=n_frames))
    table = np.array(table) / np.sum(table, axis=1, keepdims=True)
    with np.errstate(divide="ignore"):
        return np.log(table)


LENGTHS = st.one_of(
    st.none(),
    st.integers(0, 9),
    st.tuples(st.integers(0, 9), st.integers(0, 9)).map(sorted).map(tuple),
    st.dictionaries(st.integers(0, 9), st.floats(1e-3, 1e3), min_size=1, max_size=4),
)


def allows(length, n):
    if length is None:
        return True
    if isinstance(length, int):
        return n == length
    return length[0] <= n <= length[1] if isinstance(length, tuple) else n in length


def probability(log_probs, symbols):
    """Return the log-probability of one text."""
    return sequence_log_probability(
        log_probs[:, None], [len(log_probs)], [symbols], blank=BLANK
    )[0]


@many
@given(log_probabilities(max_frames=4, max_classes=3))
def test_the_probabilities_of_all_texts_sum_to_one(log_probs):
    n_frames, n_classes = log_probs.shape
    texts = [
        text
        for n in range(n_frames + 1)
        for text in product(range(1, n_classes), repeat=n)
    ]
    exact = [math.exp(probability(log_probs, text)) for text in texts]
    assert sum(exact) == pytest.approx(1, abs=1e-9)
    # So wide a beam loses none of them.
    found = beam_search(log_probs, beam_width=200, blank=BLANK, n_best=200)
    assert sum(math.exp(p) for _, p in found) == pytest.approx(1, abs=1e-9)
    assert math.exp(found[0][1]) == pytest.approx(max(exact))


@many
@given(log_probabilities(), st.integers(1, 8), LENGTHS)
def test_a_beam_is_ranked_and_sums_to_one_at_most(log_probs, beam_width, length):
    try:
        found = beam_search(
            log_probs,
            beam_width=beam_width,
            blank=BLANK,
            length=length,
            n_best=beam_width,
        )
    except ValueError as error:
        assert "No text of length=" in str(error)
        return
    texts = [tuple(symbols.tolist()) for symbols, _ in found]
    assert 1 <= len(texts) == len(set(texts)) <= beam_width
    assert sum(math.exp(p) for _, p in found) <= 1 + 1e-9
    for text, p in zip(texts, (p for _, p in found), strict=True):
        assert allows(length, len(text))
        assert p == probability(log_probs, text) <= 0
    if not isinstance(length, dict):
        assert all(one >= other for (_, one), (_, other) in pairwise(found))


@many
@given(log_probabilities())
def test_a_beam_of_width_one_is_at_least_as_probable_as_the_greedy_text(log_probs):
    # It isn't the greedy text: a beam adds up the alignments of its one prefix. But
    # what the greedy path reads is a candidate in the end, so it is never worse.
    (greedy,) = greedy_decode(log_probs[:, None], [len(log_probs)], blank=BLANK)
    ((_, found),) = beam_search(log_probs, beam_width=1, blank=BLANK)
    assert found >= probability(log_probs, greedy)
    np.testing.assert_array_equal(best_path(log_probs, blank=BLANK), greedy)


@many
@given(st.lists(st.integers(0, 4), min_size=1, max_size=10), st.integers(1, 5))
def test_where_each_frame_is_sure_all_decoders_read_the_same(path, beam_width):
    log_probs = np.full((len(path), 5), -np.inf)
    log_probs[np.arange(len(path)), path] = 0
    (greedy,) = greedy_decode(log_probs[:, None], [len(path)], blank=BLANK)
    ((found, p),) = beam_search(log_probs, beam_width=beam_width, blank=BLANK)
    np.testing.assert_array_equal(found, greedy)
    assert p == 0
    for length in (None, len(greedy), (0, len(path))):
        read = best_path(log_probs, blank=BLANK, length=length)
        np.testing.assert_array_equal(read, greedy)


@many
@given(log_probabilities(), LENGTHS, st.sets(st.integers(1, 5), min_size=1))
def test_constraints_are_always_obeyed(log_probs, length, symbols):
    n_frames, n_classes = log_probs.shape
    allowed = sorted(s for s in symbols if s < n_classes) or [1]
    masked = restrict(log_probs, allowed, blank=BLANK)
    for decode in (
        lambda: best_path(masked, blank=BLANK, length=length),
        lambda: beam_search(masked, beam_width=2, blank=BLANK, length=length)[0][0],
    ):
        try:
            text = decode()
        except ValueError as error:
            assert "No text of length=" in str(error)
            # All is possible only where no probability is zero; then a text of n
            # symbols needs n frames, and a blank between equal ones.
            if length is not None and np.isfinite(masked[:, [*allowed, BLANK]]).all():
                most = n_frames if len(allowed) > 1 else (n_frames + 1) // 2
                assert not any(allows(length, n) for n in range(most + 1))
            continue
        assert allows(length, len(text))
        assert set(text.tolist()) <= set(allowed)


@many
@given(st.one_of(LENGTHS, st.from_type(object), st.tuples(st.integers())))
def test_a_length_has_one_form_or_is_refused(length):
    try:
        checked = check_length(length)
    except ValueError as error:
        assert str(error).startswith("length=")
        return
    assert checked is None or isinstance(checked, (tuple, dict))
    assert check_length(checked) == checked
    for n in range(10):
        assert allows(checked, n) == allows(length, n)


# ---- reading, with a network -----------------------------------------------------


@pytest.fixture(scope="module")
def sure(fitted):
    """A recognizer that is far too sure, so that rounding shows in its sums."""
    recognizer = deepcopy(fitted)
    modules = recognizer.network_.modules()
    last = [module for module in modules if isinstance(module, torch.nn.Linear)][-1]
    with torch.no_grad():
        last.weight *= 3
        last.bias *= 3
    return recognizer


IMAGES = st.builds(
    lambda seed, height, width: np.random.default_rng(seed).integers(
        0, 256, (height, width), np.uint8
    ),
    st.integers(0, 2**32),
    st.integers(1, 40),
    st.integers(1, 80),
)


@pytest.mark.filterwarnings("ignore::skcaptcha.exceptions.UnlikeTrainingWarning")
@fewer
@given(IMAGES, LENGTHS, st.sets(st.sampled_from("0123"), min_size=1), st.integers(1, 7))
def test_what_is_predicted_obeys_and_sums_to_one_at_most(
    fitted, sure, captchas, noise, length, vocabulary, k
):
    X = [noise, captchas[0][noise.size % 200]]
    options = {"length": length, "vocabulary": sorted(vocabulary)}
    for recognizer in (fitted, sure):
        assert sum(p for _, p in recognizer.predict_topk(X, k)[1]) <= 1 + 1e-9
        try:
            texts = recognizer.predict(X, **options)
        except ValueError as error:
            assert "No text of length=" in str(error)
            continue
        ranked = recognizer.predict_topk(X, k, **options)
        for text in [*texts, *(text for row in ranked for text, _ in row)]:
            assert allows(length, len(text)) and set(text) <= vocabulary
        for row in ranked:
            assert 1 <= len(row) <= k and len(dict(row)) == len(row)
            assert sum(p for _, p in row) <= 1 + 1e-9
        confidence = recognizer.predict_confidence(X, **options)
        for text, p, row in zip(texts, confidence, ranked, strict=True):
            assert 0 <= p <= 1
            assert dict(row).get(text, p) == pytest.approx(p, abs=1e-9)


# ---- validation ------------------------------------------------------------------

ANYTHING = st.one_of(
    st.text(st.characters(codec=None)),
    st.integers(),
    st.floats(),
    st.booleans(),
    st.none(),
    st.binary(),
    st.lists(st.integers(), max_size=3),
    st.dictionaries(st.text(), st.integers(), max_size=2),
    st.builds(object),
)


@many
@given(st.lists(st.one_of(st.text(), ANYTHING), max_size=5), st.booleans())
@pytest.mark.filterwarnings("ignore::skcaptcha.exceptions.LabelConversionWarning")
def test_labels_become_texts_or_are_named(y, whole_floats):
    try:
        texts, _ = _validation.check_texts(y, whole_floats=whole_floats)
    except (TypeError, ValueError) as error:
        assert str(error).startswith("y[")
        return
    assert len(texts) == len(y)
    for text, label in zip(texts, y, strict=True):
        assert type(text) is str
        kept = isinstance(label, str) and text in label
        assert kept or float(text) == float(label)
        assert text.encode().decode() == text


@many
@given(st.one_of(ANYTHING, st.lists(ANYTHING, max_size=4)))
def test_images_are_a_list_or_are_refused(X):
    assert _tables.is_table(X) in (True, False)
    try:
        items = _validation.check_images(X)
    except (TypeError, ValueError) as error:
        assert str(error).startswith("X")
        return
    assert isinstance(items, list) and items


@many
@given(st.one_of(st.binary(), ANYTHING.filter(lambda item: not isinstance(item, str))))
def test_an_item_is_an_image_or_is_named(item):
    try:
        image = read_image(item, name="X[3]")
    except (TypeError, ValueError) as error:
        assert str(error).startswith("X[3]=")
        return
    assert image.dtype == np.uint8 and image.size


@many
@given(st.one_of(ANYTHING, st.tuples(*[st.integers(-1, 256)] * 3)))
def test_a_background_is_a_color_or_is_named(background):
    try:
        read_image(np.zeros((1, 1, 4)), background=background)
    except ValueError as error:
        assert str(error).startswith("background=")


@many
@given(st.text(st.characters(codec=None)))
@example("cuda:99999999999999999999")
def test_a_device_is_one_or_is_named(device):
    try:
        assert _validation.check_device(device).type in ("cpu", "cuda")
    except ValueError as error:
        assert str(error).startswith("device=")


@many
@given(st.integers(1, 10**6))
def test_the_shape_of_a_row_is_the_most_nearly_square(n_features):
    height, width = _tables.check_shape(None, n_features)
    assert height * width == n_features and height <= width
    assert not any(
        n_features % h == 0 for h in range(height + 1, math.isqrt(n_features) + 1)
    )


@many
@given(ANYTHING, st.integers(0, 3), st.integers(0, 3))
def test_sizes_are_positive_integers_or_are_named(value, least, more):
    try:
        sizes = _validation.check_ints("sizes", value, (least, least + more))
    except ValueError as error:
        assert str(error).startswith("sizes=")
        return
    assert least <= len(sizes) <= least + more
    assert all(type(size) is int and size >= 1 for size in sizes)
