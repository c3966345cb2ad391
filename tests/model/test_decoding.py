"""Decoders against cases solved on paper and against every path there is."""

import itertools
from itertools import product

import numpy as np
import pytest

from skcaptcha.model.decoding import (
    beam_search,
    best_path,
    check_length,
    forced_alignment,
    greedy_decode,
    rank_texts,
    restrict,
    sequence_log_probability,
)

LENGTHS = [None, 0, 1, 2, 3, (1, 2), (2, 4), {1: 1, 3: 5}, {2: 0.5, 0: 20.0, 9: 1}]


def log(probabilities):
    with np.errstate(divide="ignore"):
        return np.log(probabilities)


def random_log_probs(rng, n_frames, n_classes, zeros=False):
    probabilities = rng.dirichlet(np.full(n_classes, 0.7), size=n_frames)
    if zeros:
        probabilities[rng.random(probabilities.shape) < 0.2] = 0
        probabilities[:, 0] += 0.01
        probabilities /= probabilities.sum(axis=1, keepdims=True)
    return log(probabilities)


def collapse(path, blank):
    merged = [k for i, k in enumerate(path) if i == 0 or k != path[i - 1]]
    return tuple(k for k in merged if k != blank)


def brute_force(log_probs, blank):
    """Text -> (summed probability, probability of its best path), over all paths."""
    probabilities = np.exp(log_probs)
    texts = {}
    for path in product(range(log_probs.shape[1]), repeat=len(log_probs)):
        p = np.prod([probabilities[t, k] for t, k in enumerate(path)])
        text = collapse(path, blank)
        total, best = texts.get(text, (0.0, 0.0))
        texts[text] = (total + p, max(best, p))
    return texts


def weight_of(n, length):
    if length is None:
        return 1.0
    if isinstance(length, int):
        return float(n == length)
    if isinstance(length, tuple):
        return float(length[0] <= n <= length[1])
    return length.get(n, 0.0)


def as_tuple(indices):
    return tuple(np.asarray(indices).tolist())


# The worked example of the CTC literature: at both frames P(a)=0.4, P(b)=0, P(blank)=
# 0.6. The best path is two blanks (0.36), but 'a' has 0.64 over its three paths.
PAPER = log([[0.4, 0, 0.6], [0.4, 0, 0.6]])


def test_greedy_reads_the_best_path_of_the_paper_example():
    assert as_tuple(greedy_decode(PAPER[:, None], [2], blank=2)[0]) == ()
    assert as_tuple(best_path(PAPER, blank=2)) == ()


def test_beam_search_reads_the_best_text_of_the_paper_example():
    results = beam_search(PAPER, blank=2, n_best=3)
    assert [as_tuple(r[0]) for r in results[:2]] == [(0,), ()]
    assert np.exp(results[0][1]) == pytest.approx(0.64)
    assert np.exp(results[1][1]) == pytest.approx(0.36)


def test_greedy_merges_repeats_and_keeps_doubled_letters():
    frames = [[1, 1, 0, 1, 2, 2], [0, 0, 0, 0, 0, 0], [1, 2, 1, 0, 2, 2]]
    log_probs = log(np.eye(3)[np.array(frames).T])  # (T, N, K)
    decoded = greedy_decode(log_probs, [6, 6, 6], blank=0)
    assert [as_tuple(d) for d in decoded] == [(1, 1, 2), (), (1, 2, 1, 2)]
    assert all(d.dtype.kind == "i" for d in decoded)


def test_greedy_ignores_frames_past_the_length():
    log_probs = log(np.eye(3)[np.array([[1, 0, 2, 2], [1, 0, 2, 2]]).T])
    decoded = greedy_decode(log_probs, np.array([2, 4]), blank=0)
    assert [as_tuple(d) for d in decoded] == [(1,), (1, 2)]
    assert as_tuple(greedy_decode(log_probs, [0, 1], blank=0)[0]) == ()


@pytest.mark.parametrize("blank", [0, 1, 2])
@pytest.mark.parametrize("zeros", [False, True])
def test_sequence_probability_is_the_sum_over_all_paths(blank, zeros):
    rng = np.random.default_rng(blank)
    for n_frames in [1, 2, 4, 5]:
        log_probs = random_log_probs(rng, n_frames, 3, zeros)
        texts = brute_force(log_probs, blank)
        sequences = list(texts)
        got = sequence_log_probability(
            np.repeat(log_probs[:, None], len(sequences), axis=1),
            np.full(len(sequences), n_frames),
            sequences,
            blank=blank,
        )
        expected = [texts[s][0] for s in sequences]
        np.testing.assert_allclose(np.exp(got), expected, rtol=1e-12, atol=0)


def test_sequence_probability_of_a_doubled_letter_needs_a_blank_between():
    log_probs = log(np.full((3, 1, 2), 0.5))
    got = sequence_log_probability(log_probs, [3], [[1, 1]], blank=0)
    assert np.exp(got[0]) == pytest.approx(0.125)  # a-a is the only path
    assert sequence_log_probability(log_probs, [2], [[1, 1]], blank=0)[0] == -np.inf


def test_sequence_probability_of_empty_and_impossible_texts():
    log_probs = log(np.full((2, 4, 2), [0.75, 0.25]))
    got = sequence_log_probability(
        log_probs, [2, 0, 0, 2], [[], [], [1], [1, 1, 1]], blank=0
    )
    np.testing.assert_allclose(np.exp(got), [0.5625, 1, 0, 0])


def test_sequence_probability_does_not_depend_on_the_batch():
    rng = np.random.default_rng(0)
    log_probs = np.stack([random_log_probs(rng, 12, 5) for _ in range(6)], axis=1)
    lengths = np.array([12, 7, 3, 12, 9, 1])
    sequences = [rng.integers(1, 5, size=n) for n in [5, 2, 3, 0, 4, 1]]
    batch = sequence_log_probability(log_probs, lengths, sequences, blank=0)
    for i, n in enumerate(lengths):
        alone = sequence_log_probability(
            log_probs[:n, i : i + 1], [n], [sequences[i]], blank=0
        )
        assert alone[0] == batch[i]


def test_sequence_probability_is_never_above_one():
    sure = log(np.eye(2)[[0, 1, 0]])[:, None] + np.float32(1e-6)
    assert sequence_log_probability(sure, [3], [[1]], blank=0)[0] == 0


@pytest.mark.parametrize("sequence", [[1, 0], [3], [-1]])
def test_sequence_probability_refuses_what_is_no_symbol(sequence):
    with pytest.raises(ValueError, match=r"sequences\[1\]=.* is not a symbol"):
        sequence_log_probability(np.zeros((2, 2, 3)), [2, 2], [[1], sequence], blank=0)


@pytest.mark.parametrize("length", LENGTHS, ids=str)
@pytest.mark.parametrize("blank", [0, 2])
@pytest.mark.parametrize("zeros", [False, True])
def test_the_best_of_all_allowed_paths_and_texts_is_found(length, blank, zeros):
    rng = np.random.default_rng(7 * blank)
    for _ in range(6):
        log_probs = random_log_probs(rng, 5, 3, zeros)
        texts = brute_force(log_probs, blank)
        weights = {s: weight_of(len(s), length) for s in texts}
        paths = {s: best * weights[s] for s, (_, best) in texts.items()}
        score = {s: p * weights[s] for s, (p, _) in texts.items()}
        ranked = sorted((v for v in score.values() if v > 0), reverse=True)
        if not ranked:
            for decoder in (best_path, beam_search):
                with pytest.raises(ValueError, match="No text of length="):
                    decoder(log_probs, blank=blank, length=length)
            continue
        read = as_tuple(best_path(log_probs, blank=blank, length=length))
        assert paths[read] == pytest.approx(max(paths.values()), rel=1e-9)
        results = beam_search(
            log_probs, beam_width=500, blank=blank, length=length, n_best=3
        )
        assert len(results) == min(3, len(ranked))
        for (read, log_probability), expected in zip(results, ranked, strict=False):
            assert score[as_tuple(read)] == pytest.approx(expected, rel=1e-9)
            exact = texts[as_tuple(read)][0]
            assert np.exp(log_probability) == pytest.approx(exact, rel=1e-9)


def test_doubled_letter_by_every_decoder():
    log_probs = log([[0.1, 0.9], [0.8, 0.2], [0.1, 0.9]])
    assert as_tuple(greedy_decode(log_probs[:, None], [3], blank=0)[0]) == (1, 1)
    for length in [None, 2, (1, 2)]:
        assert as_tuple(best_path(log_probs, blank=0, length=length)) == (1, 1)
        [(read, log_probability)] = beam_search(log_probs, blank=0, length=length)
        assert as_tuple(read) == (1, 1)
        assert np.exp(log_probability) == pytest.approx(0.9 * 0.8 * 0.9)


def read_by(decoder, log_probs, length):
    result = decoder(log_probs, blank=0, length=length)
    return as_tuple(result if decoder is best_path else result[0][0])


@pytest.mark.parametrize("decoder", [best_path, beam_search])
@pytest.mark.parametrize(
    ("length", "expected"),
    [({0: 1, 1: 1}, ()), ({0: 1, 1: 2}, (1,)), ({0: 3, 1: 2}, ()), ({1: 1e-3}, (1,))],
)
def test_length_weights_are_a_prior_on_paper(decoder, length, expected):
    # One frame: '' has 0.6, 'a' 0.4. A weight of 2 for one symbol makes it 0.8.
    assert read_by(decoder, log([[0.6, 0.4]]), length) == expected


def test_beam_log_probability_leaves_the_length_weight_out():
    [(_, log_probability)] = beam_search(log([[0.6, 0.4]]), blank=0, length={1: 9})
    assert np.exp(log_probability) == pytest.approx(0.4)


@pytest.mark.parametrize("decoder", [best_path, beam_search])
def test_too_few_frames_for_the_length(decoder):
    message = "No text of length=3 fits 2 frames"
    with pytest.raises(ValueError, match=message):
        decoder(PAPER, blank=2, length=3)
    # With one symbol alone, 'aa' takes three frames.
    with pytest.raises(ValueError, match="No text of length=2 fits 2 frames"):
        decoder(log(np.full((2, 2), 0.5)), blank=0, length=2)


@pytest.mark.parametrize("decoder", [best_path, beam_search])
def test_no_frames(decoder):
    for length in (None, 0, (0, 4)):
        assert read_by(decoder, np.zeros((0, 3)), length) == ()
    with pytest.raises(ValueError, match="No text of length=1 fits 0 frames"):
        decoder(np.zeros((0, 3)), blank=0, length=1)


def test_restrict_forbids_other_symbols_in_every_decoder():
    rng = np.random.default_rng(5)
    log_probs = random_log_probs(rng, 6, 5)
    before = log_probs.copy()
    restricted = restrict(log_probs, np.array([2, 4]), blank=0)
    assert np.array_equal(log_probs, before)
    assert np.array_equal(restricted[:, [0, 2, 4]], log_probs[:, [0, 2, 4]])
    assert np.all(restricted[:, [1, 3]] == -np.inf)
    for read in [
        greedy_decode(restricted[:, None], [6], blank=0)[0],
        best_path(restricted, blank=0, length=3),
        beam_search(restricted, blank=0)[0][0],
        beam_search(restricted, blank=0, length=(3, 5))[0][0],
    ]:
        assert set(read.tolist()) <= {2, 4}


def test_restricted_text_keeps_the_probability_of_the_whole_model():
    log_probs = log([[0.2, 0.5, 0.3]])
    [(read, got)] = beam_search(restrict(log_probs, [2], blank=0), blank=0)
    assert as_tuple(read) == (2,)
    assert np.exp(got) == pytest.approx(0.3)


def test_beam_with_many_classes_equals_the_beam_over_the_likely_ones():
    # All but 4 of 1,000 classes are next to impossible.
    rng = np.random.default_rng(6)
    few = random_log_probs(rng, 10, 4)
    many = np.full((10, 1000), -80.0)
    many[:, [0, 700, 30, 999]] = few
    names = np.array([0, 700, 30, 999])
    expected = beam_search(few, beam_width=8, blank=0, n_best=3)
    got = beam_search(many, beam_width=8, blank=0, n_best=3)
    for (few_read, few_log), (many_read, many_log) in zip(expected, got, strict=True):
        assert names[few_read].tolist() == many_read.tolist()
        assert many_log == pytest.approx(few_log)


def test_float32_input_is_accepted_and_left_alone():
    log_probs = random_log_probs(np.random.default_rng(8), 6, 4).astype(np.float32)
    before = log_probs.copy()
    best_path(log_probs, blank=0, length=2)
    beam_search(log_probs, blank=0, length=2)
    sequence_log_probability(log_probs[:, None], [6], [[1, 2]], blank=0)
    assert np.array_equal(log_probs, before)


@pytest.mark.parametrize(
    ("length", "normalized"),
    [
        (None, None),
        (5, (5, 5)),
        (np.int64(5), (5, 5)),
        ((2, 4), (2, 4)),
        ((0, np.int32(3)), (0, 3)),
        ({4: 3, np.int64(6): 0.5}, {4: 3.0, 6: 0.5}),
    ],
)
def test_check_length(length, normalized):
    assert check_length(length) == normalized


@pytest.mark.parametrize(
    ("length", "message"),
    [
        (-1, "length=-1 is not a constraint"),
        (5.0, "length=5.0 is not a constraint"),
        (True, "length=True is not a constraint"),
        ("5", "length='5' is not a constraint"),
        ([4, 5], r"length=\[4, 5\] is not a constraint"),
        ((1, 2, 3), "is not a constraint"),
        ((1, None), "is not a constraint"),
        ({}, "is not a constraint"),
        ((5, 4), r"length=\(5, 4\) is an empty range"),
        ({4.5: 1}, "4.5 is not an integer"),
        ({4: 0}, "weight 0 of length 4 is not a finite number > 0"),
        ({4: float("nan")}, "weight nan of length 4"),
        ({4: "1"}, "weight '1' of length 4"),
    ],
)
def test_bad_length(length, message):
    with pytest.raises(ValueError, match=message):
        check_length(length)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"beam_width": 0}, "beam_width=0 is not an integer >= 1"),
        ({"beam_width": 2.5}, "beam_width=2.5"),
        ({"n_best": 0}, "n_best=0 is not an integer from 1"),
        ({"n_best": 11}, "n_best=11 is not an integer from 1 to beam_width=10; widen"),
    ],
)
def test_bad_beam(parameters, message):
    with pytest.raises(ValueError, match=message):
        beam_search(PAPER, blank=2, **parameters)


# Several networks


def test_the_greatest_mean_probability_wins():
    # One network is sure of 1, two are in favor of 2.
    frames = [
        np.log([p]) for p in ([0.05, 0.9, 0.05], [0.2, 0.3, 0.5], [0.2, 0.3, 0.5])
    ]
    ranked = rank_texts([(1,), (2,), ()], frames, blank=0)
    assert [text for text, _ in ranked] == [(1,), (2,), ()]
    assert np.exp([p for _, p in ranked]) == pytest.approx([0.5, 0.35, 0.15])
    # A weight moves a text and leaves its probability.
    ranked = rank_texts([(1,), (2,), ()], frames, blank=0, length={0: 10, 1: 1})
    assert ranked[0] == ((), pytest.approx(np.log(0.15)))


def test_networks_may_differ_in_their_time_steps():
    frames = [np.log([[0.5, 0.5]]), np.log([[0.6, 0.4], [0.6, 0.4]])]
    [(text, p)] = rank_texts([(1,)], frames, blank=0)
    assert (text, np.exp(p)) == ((1,), pytest.approx((0.5 + 0.64) / 2))
    # Two equal characters take three steps: this text fits neither.
    assert rank_texts([(1, 1)], frames, blank=0) == [((1, 1), -np.inf)]


# Alignment


def test_symbols_lie_where_the_best_path_has_them():
    proba = [[0.1, 0.8, 0.1], [0.2, 0.7, 0.1], [0.9, 0.05, 0.05], [0.1, 0.1, 0.8]]
    spans = forced_alignment(np.log(proba), np.array([1, 2]), blank=0)
    assert spans.tolist() == [[0, 1], [3, 3]]


def test_equal_neighbors_are_kept_apart_by_a_blank():
    # By themselves all frames are most probably an a.
    proba = [[0.4, 0.6], [0.45, 0.55], [0.4, 0.6]]
    assert forced_alignment(np.log(proba), np.array([1, 1]), blank=0).tolist() == [
        [0, 0],
        [2, 2],
    ]


def test_the_path_is_the_best_of_all():
    rng = np.random.default_rng(0)
    for _ in range(20):
        log_proba = np.log(rng.dirichlet(np.ones(3), size=5))
        symbols = rng.integers(1, 3, rng.integers(1, 3))
        best, spans = -np.inf, None
        for path in itertools.product(range(3), repeat=5):
            runs = [(k, len(list(g))) for k, g in itertools.groupby(path)]
            score = log_proba[range(5), path].sum()
            if [k for k, _ in runs if k] == symbols.tolist() and score > best:
                ends = np.cumsum([n for _, n in runs])
                best = score
                spans = [
                    [end - n, end - 1]
                    for (k, n), end in zip(runs, ends, strict=True)
                    if k
                ]
        assert forced_alignment(log_proba, symbols, blank=0).tolist() == spans


def test_an_empty_text_has_no_spans():
    assert forced_alignment(
        np.log([[0.9, 0.1]]), np.zeros(0, dtype=int), blank=0
    ).shape == (0, 2)


def test_a_text_that_has_no_path_is_named():
    with pytest.raises(
        ValueError, match=r"symbols=\[1, 1\] have no path through 2 time"
    ):
        forced_alignment(np.log([[0.5, 0.5]] * 2), np.array([1, 1]), blank=0)
