"""From the log-probabilities of CTC frames to symbol indices, as pure functions.

`log_probs` are natural logarithms, normalized over the classes; ``-inf`` is allowed.
T is the number of frames, N of items, K of classes, one of them the `blank`.
"""

import math
from collections.abc import Mapping
from numbers import Integral, Real

import numpy as np
from scipy.special import logsumexp

__all__ = [
    "beam_search",
    "best_path",
    "check_length",
    "forced_alignment",
    "greedy_decode",
    "rank_texts",
    "restrict",
    "sequence_log_probability",
]


def check_length(length):
    """Check a constraint on the length of the text and give it one form.

    Parameters
    ----------
    length : None, int, (int, int) or mapping of int to float
        Any length; one length; the least and greatest length, both included; or the
        allowed lengths with their weights, a prior by which a candidate's probability
        is multiplied before candidates are ranked.

    Returns
    -------
    None, (int, int) or dict
        None, the least and greatest length, or the weights by length.

    Raises
    ------
    ValueError
        If `length` is none of these.

    Examples
    --------
    >>> check_length(5)
    (5, 5)
    >>> check_length({4: 3, 6: 1})
    {4: 3.0, 6: 1.0}
    """

    def is_count(value):
        return (
            isinstance(value, Integral) and not isinstance(value, bool) and value >= 0
        )

    if length is None:
        return None
    if is_count(length):
        return int(length), int(length)
    if isinstance(length, tuple) and len(length) == 2 and all(map(is_count, length)):
        if length[0] > length[1]:
            raise ValueError(
                f"length={length!r} is an empty range; swap the two numbers."
            )
        return int(length[0]), int(length[1])
    if isinstance(length, Mapping) and length:
        for key, weight in length.items():
            if not is_count(key):
                raise ValueError(f"length={length!r}: {key!r} is not an integer >= 0.")
            if not (isinstance(weight, Real) and 0 < weight < np.inf):
                raise ValueError(
                    f"length={length!r}: weight {weight!r} of length {key} is not a "
                    "finite number > 0; leave out lengths that are not allowed."
                )
        return {int(key): float(weight) for key, weight in length.items()}
    raise ValueError(
        f"length={length!r} is not a constraint on the text's length; pass None, an "
        "integer >= 0, a tuple (min, max) or a non-empty mapping {length: weight}."
    )


def _length_log_weights(length, n_frames):
    """Log-weight of each length 0 to `n_frames`, ``-inf`` where not allowed."""
    length = check_length(length)
    if length is None:
        return np.zeros(n_frames + 1)
    log_weights = np.full(n_frames + 1, -np.inf)
    if isinstance(length, tuple):
        log_weights[length[0] : length[1] + 1] = 0
    else:
        for n, weight in length.items():
            if n <= n_frames:  # a text is never longer than its frames
                log_weights[n] = np.log(weight)
    return log_weights


def restrict(log_probs, indices, *, blank):
    """Forbid every class but some symbols and the blank.

    What remains is not normalized again, so that the probability of a text is still
    the one that the whole model gives it.

    Parameters
    ----------
    log_probs : array of shape (..., K)
        Log-probabilities.
    indices : array-like of int
        The symbols that are allowed.
    blank : int
        Index of the blank.

    Returns
    -------
    array of shape (..., K)
        A copy with ``-inf`` for the classes that are not allowed.

    Examples
    --------
    >>> import numpy as np
    >>> restrict(np.log([[0.25, 0.25, 0.5]]), [1], blank=0)
    array([[-1.38629436, -1.38629436,        -inf]])
    """
    log_probs = np.asarray(log_probs)
    allowed = [*indices, blank]
    restricted = np.full_like(log_probs, -np.inf)
    restricted[..., allowed] = log_probs[..., allowed]
    return restricted


def greedy_decode(log_probs, lengths, *, blank):
    """Read the most probable class of each frame; merge repeats, drop blanks.

    Parameters
    ----------
    log_probs : array of shape (T, N, K)
        Log-probabilities.
    lengths : array of shape (N,)
        Frames of each item; later ones are ignored.
    blank : int
        Index of the blank.

    Returns
    -------
    list of N int arrays
        The symbols of each item.

    References
    ----------
    A. Graves, S. Fernández, F. Gomez and J. Schmidhuber, "Connectionist temporal
    classification", ICML 2006, section 3.2, "best path decoding".

    Examples
    --------
    >>> import numpy as np
    >>> probabilities = [[0.4, 0.6], [0.9, 0.1], [0.3, 0.7], [0.2, 0.8]]
    >>> greedy_decode(np.log(probabilities)[:, None], [4], blank=0)
    [array([1, 1])]
    """
    classes = np.argmax(log_probs, axis=2).T  # (N, T)
    keep = classes != blank
    keep[:, 1:] &= classes[:, 1:] != classes[:, :-1]
    keep &= np.arange(classes.shape[1]) < np.asarray(lengths)[:, None]
    return [row[kept] for row, kept in zip(classes, keep, strict=True)]


def best_path(log_probs, *, blank, length=None):
    """Read the most probable path whose text has an allowed length.

    Exact dynamic programming over frame, number of symbols read and last class. With
    weights, the path's probability times the weight of its length is greatest.

    Parameters
    ----------
    log_probs : array of shape (T, K)
        Log-probabilities of one item.
    blank : int
        Index of the blank.
    length : None, int, (int, int) or mapping of int to float, default=None
        Allowed lengths of the text, see `check_length`.

    Returns
    -------
    int array
        The symbols.

    Raises
    ------
    ValueError
        If no text of an allowed length fits the frames.

    References
    ----------
    The Viterbi algorithm on the lattice of A. Graves et al., "Connectionist temporal
    classification", ICML 2006, with the number of symbols added to the state.

    Examples
    --------
    >>> import numpy as np
    >>> probabilities = [[0.6, 0.4], [0.9, 0.1], [0.7, 0.3]]
    >>> best_path(np.log(probabilities), blank=0, length=2)
    array([1, 1])
    """
    log_probs = np.asarray(log_probs, dtype=np.float64)
    n_frames, n_classes = log_probs.shape
    log_weights = _length_log_weights(length, n_frames)
    if length is None:
        return greedy_decode(log_probs[:, None], [n_frames], blank=blank)[0]
    allowed = np.flatnonzero(log_weights > -np.inf)
    n_counts = allowed[-1] + 1 if allowed.size else 1

    # score[n, k]: best path so far with n symbols read and k the last frame's class.
    score = np.full((n_counts, n_classes), -np.inf)
    score[0, blank] = 0
    previous = np.empty((n_frames, n_counts, n_classes), dtype=np.int32)
    counts = np.arange(n_counts)
    classes = np.arange(n_classes)
    for frame, log_prob in enumerate(log_probs):
        best = score.argmax(axis=1)  # (n_counts,)
        best_score = score[counts, best]
        others = score.copy()
        others[counts, best] = -np.inf
        second = others.argmax(axis=1)
        second_score = others[counts, second]
        # A new symbol k comes after the best class that is not k itself, for then it
        # would be the same symbol held for one more frame.
        is_best = classes == best[:-1, None]  # (n_counts - 1, K)
        entering = np.where(is_best, second_score[:-1, None], best_score[:-1, None])
        entered_from = np.where(is_best, second[:-1, None], best[:-1, None])
        previous[frame] = classes  # by default the class is held
        new = entering > score[1:]
        previous[frame, 1:][new] = entered_from[new]
        score[1:] = np.where(new, entering, score[1:])
        previous[frame, :, blank] = best  # a blank comes after any class
        score[:, blank] = best_score
        score += log_prob

    total = score.max(axis=1) + log_weights[:n_counts]
    count = int(total.argmax())
    if total[count] == -np.inf:
        raise ValueError(
            f"No text of length={length!r} fits {n_frames} frames; it needs a frame "
            "a symbol and one more between equal neighbors. Allow a shorter text or "
            "give a wider image."
        )
    symbols = []
    k = int(score[count].argmax())
    for frame in range(n_frames - 1, -1, -1):
        before = int(previous[frame, count, k])
        if k not in (blank, before):
            symbols.append(k)
            count -= 1
        k = before
    return np.array(symbols[::-1], dtype=np.int64)


def beam_search(log_probs, *, beam_width=10, blank, length=None, n_best=1):
    """Search for the texts with the greatest probability over all alignments.

    The prefixes with the greatest probability so far are kept at each frame; those
    that cannot reach an allowed length any more are dropped. What `best_path` reads
    is always a candidate too, so there is a result wherever one is possible. At the
    end all candidates are scored exactly, by `sequence_log_probability`.

    Parameters
    ----------
    log_probs : array of shape (T, K)
        Log-probabilities of one item.
    beam_width : int, default=10
        Prefixes kept at each frame.
    blank : int
        Index of the blank.
    length : None, int, (int, int) or mapping of int to float, default=None
        Allowed lengths of the text, see `check_length`.
    n_best : int, default=1
        Texts to return, at most `beam_width`; fewer come back if fewer are possible.

    Returns
    -------
    list of (int array, float)
        Symbols and log-probability, best first. Weights of `length` count in the
        order and not in the log-probability.

    Raises
    ------
    ValueError
        If no text of an allowed length fits the frames, or `n_best` or `beam_width`
        is out of range.

    References
    ----------
    A. Graves, "Supervised Sequence Labeling with Recurrent Neural Networks",
    Springer 2012, section 7.5.3; A. Hannun et al., "First-pass large vocabulary
    continuous speech recognition using bi-directional recurrent DNNs", 2014.

    Examples
    --------
    >>> import numpy as np
    >>> log_probs = np.log([[0.6, 0.4], [0.6, 0.4]])
    >>> greedy_decode(log_probs[:, None], [2], blank=0)
    [array([], dtype=int64)]
    >>> [(symbols, log_probability)] = beam_search(log_probs, blank=0)
    >>> symbols, round(np.exp(log_probability).item(), 2)
    (array([1]), 0.64)
    """
    if not (isinstance(beam_width, Integral) and beam_width >= 1):
        raise ValueError(f"beam_width={beam_width!r} is not an integer >= 1.")
    if not (isinstance(n_best, Integral) and 1 <= n_best <= beam_width):
        raise ValueError(
            f"n_best={n_best!r} is not an integer from 1 to beam_width={beam_width}; "
            "widen the beam to ask for more texts."
        )
    log_probs = np.asarray(log_probs, dtype=np.float64)
    log_weights = _length_log_weights(length, len(log_probs))
    candidates = _prefix_beam(log_probs, beam_width, blank, log_weights)
    candidates.add(tuple(best_path(log_probs, blank=blank, length=length).tolist()))
    candidates = sorted(candidates)  # ties end in the same order in every run
    exact = sequence_log_probability(
        np.repeat(log_probs[:, None], len(candidates), axis=1),
        np.full(len(candidates), len(log_probs)),
        candidates,
        blank=blank,
    )
    rank = exact + log_weights[[len(c) for c in candidates]]
    order = np.argsort(-rank, kind="stable")[:n_best]
    return [(np.array(candidates[i], dtype=np.int64), float(exact[i])) for i in order]


def _prefix_beam(log_probs, beam_width, blank, log_weights):
    """Return the set of whole texts, as tuples, that a prefix beam search ends with."""
    n_frames, n_classes = log_probs.shape
    # missing[n]: symbols that a prefix of n symbols lacks to the next allowed length.
    missing = np.full(n_frames + 2, np.inf)
    for n in range(n_frames, -1, -1):
        missing[n] = 0 if log_weights[n] > -np.inf else missing[n + 1] + 1
    # Of one prefix's continuations at most beam_width survive, and at most beam_width
    # are prefixes in the beam already; a symbol beyond their sum cannot matter.
    symbols = np.delete(np.arange(n_classes), blank)
    n_top = min(2 * beam_width + 1, len(symbols))
    top = np.argpartition(-log_probs[:, symbols], n_top - 1, axis=1)[:, :n_top]
    top = symbols[top]  # (T, C)

    prefixes = [()]
    in_blank = np.zeros(1)  # log-probability of each prefix, the last frame a blank
    in_symbol = np.full(1, -np.inf)  # the same, the last frame its last symbol
    for frame, log_prob in enumerate(log_probs):
        last = np.array([p[-1] if p else blank for p in prefixes])  # (B,)
        total = np.logaddexp(in_blank, in_symbol)
        stay_blank = total + log_prob[blank]
        stay_symbol = in_symbol + log_prob[last]
        # The last symbol once more is a new one only after a blank.
        is_last = last[:, None] == top[frame]  # (B, C)
        grown = np.where(is_last, in_blank[:, None], total[:, None])
        grown = grown + log_prob[top[frame]]

        # A prefix grown into another of the beam adds to that one.
        position = {prefix: i for i, prefix in enumerate(prefixes)}
        for j, prefix in enumerate(prefixes):
            i = position.get(prefix[:-1]) if prefix else None
            if i is not None:
                before = in_blank[i] if last[i] == last[j] else total[i]
                stay_symbol[j] = np.logaddexp(
                    stay_symbol[j], before + log_prob[last[j]]
                )
                grown[i, top[frame] == last[j]] = -np.inf

        n_read = np.array([len(p) for p in prefixes])
        remaining = n_frames - frame - 1
        stay = np.logaddexp(stay_blank, stay_symbol)
        stay[missing[n_read] > remaining] = -np.inf
        grown[missing[n_read + 1] > remaining] = -np.inf
        scores = np.concatenate([stay, grown.ravel()])  # (B + B C,)
        n_kept = min(beam_width, len(scores))
        kept = np.argpartition(-scores, n_kept - 1)[:n_kept]
        kept = kept[scores[kept] > -np.inf]

        is_stay = kept < len(prefixes)
        stayed = kept[is_stay]
        parent, column = np.divmod(kept[~is_stay] - len(prefixes), n_top)
        prefixes = [prefixes[i] for i in stayed] + [
            prefixes[i] + (symbol,)
            for i, symbol in zip(parent, top[frame, column].tolist(), strict=True)
        ]
        in_blank = np.concatenate([stay_blank[stayed], np.full(len(parent), -np.inf)])
        in_symbol = np.concatenate([stay_symbol[stayed], grown[parent, column]])
        if not prefixes:
            break
    return {prefix for prefix in prefixes if log_weights[len(prefix)] > -np.inf}


def sequence_log_probability(log_probs, lengths, sequences, *, blank):
    """Log-probability of given texts, summed over all their alignments.

    Parameters
    ----------
    log_probs : array of shape (T, N, K)
        Log-probabilities.
    lengths : array of shape (N,)
        Frames of each item; later ones are ignored.
    sequences : list of N int arrays
        Symbols of each text, which may be empty.
    blank : int
        Index of the blank.

    Returns
    -------
    float64 array of shape (N,)
        Log-probabilities, at most 0; ``-inf`` for a text that does not fit.

    Raises
    ------
    ValueError
        If a sequence holds the blank or an index that is no class.

    References
    ----------
    A. Graves et al., "Connectionist temporal classification", ICML 2006, section 4.1,
    the forward variables.

    Examples
    --------
    >>> import numpy as np
    >>> log_probs = np.log([[[0.6, 0.4]], [[0.6, 0.4]]])
    >>> np.exp(sequence_log_probability(log_probs, [2], [[1]], blank=0)).round(2)
    array([0.64])
    """
    log_probs = np.asarray(log_probs, dtype=np.float64)
    lengths = np.asarray(lengths)
    n_frames, n_items, n_classes = log_probs.shape
    n_symbols = np.array([len(s) for s in sequences], dtype=np.int64)  # (N,)
    # Symbols with a blank before, between and after them: S = 2 L + 1 states.
    states = np.full((n_items, 2 * n_symbols.max(initial=0) + 1), blank)
    for item, sequence in enumerate(sequences):
        sequence = np.asarray(sequence, dtype=np.int64)
        if np.any((sequence < 0) | (sequence >= n_classes) | (sequence == blank)):
            raise ValueError(
                f"sequences[{item}]={sequence.tolist()} holds an index that is not a "
                f"symbol; symbols are 0 to {n_classes - 1} without the blank {blank}."
            )
        states[item, 1 : 2 * len(sequence) : 2] = sequence
    # The blank between two symbols may be skipped if they differ.
    can_skip = np.zeros(states.shape, dtype=bool)
    can_skip[:, 2:] = (states[:, 2:] != blank) & (states[:, 2:] != states[:, :-2])

    forward = np.full(states.shape, -np.inf)  # (N, S)
    forward[:, 0] = 0  # before the first frame, as if a blank had been read
    for frame in range(n_frames):
        step = forward.copy()
        step[:, 1:] = np.logaddexp(step[:, 1:], forward[:, :-1])
        skipped = np.where(can_skip[:, 2:], forward[:, :-2], -np.inf)
        step[:, 2:] = np.logaddexp(step[:, 2:], skipped)
        step += np.take_along_axis(log_probs[frame], states, axis=1)
        forward = np.where((frame < lengths)[:, None], step, forward)

    items = np.arange(n_items)
    last_blank = forward[items, 2 * n_symbols]
    last_symbol = forward[items, np.maximum(2 * n_symbols - 1, 0)]
    last_symbol = np.where(n_symbols > 0, last_symbol, -np.inf)
    # Rounding, above all of float32 inputs, may lift a sure text above probability 1.
    return np.minimum(np.logaddexp(last_blank, last_symbol), 0)


def rank_texts(candidates, frames, *, blank, length=None):
    """Rank texts by the mean of the probabilities that several networks give them.

    Parameters
    ----------
    candidates : list of N sequences of int
        Symbols of each text.
    frames : list of arrays of shape (T, K)
        Log-probabilities of one item by each network; T may differ.
    blank : int
        Index of the blank.
    length : None, int, (int, int) or mapping of int to float, default=None
        Constraint on the length, see `check_length`. The weights of a mapping count in
        the order and not in the log-probability.

    Returns
    -------
    list of (sequence of int, float)
        Texts and the logarithms of their mean probabilities, best first.

    References
    ----------
    B. Lakshminarayanan, A. Pritzel, C. Blundell, "Simple and Scalable Predictive
    Uncertainty Estimation using Deep Ensembles", NeurIPS 2017, section 2.4.

    Examples
    --------
    >>> import numpy as np
    >>> frames = [np.log([[0.3, 0.7, 1e-9]]), np.log([[0.4, 0.1, 0.5]])]
    >>> ranked = rank_texts([(1,), (2,)], frames, blank=0)
    >>> [(text, round(float(np.exp(p)), 2)) for text, p in ranked]
    [((1,), 0.4), ((2,), 0.25)]
    """
    n = len(candidates)
    log_probabilities = [
        sequence_log_probability(
            np.repeat(log_probs[:, None], n, axis=1),  # (T, N, K)
            np.full(n, len(log_probs)),
            candidates,
            blank=blank,
        )
        for log_probs in frames
    ]
    mean = logsumexp(log_probabilities, axis=0) - math.log(len(frames))
    length = check_length(length)
    weights = length if isinstance(length, dict) else {}
    weight = [math.log(weights.get(len(text), 1.0)) for text in candidates]
    order = np.argsort(-(mean + weight), kind="stable")
    return [(candidates[i], float(mean[i])) for i in order]


def forced_alignment(log_probs, symbols, *, blank):
    """Find the frames in which each symbol of a text stands, on its best path.

    Parameters
    ----------
    log_probs : array of shape (T, K)
        Log-probabilities of one item.
    symbols : int array of shape (L,)
        The text.
    blank : int
        Index of the blank.

    Returns
    -------
    int array of shape (L, 2)
        First and last frame of each symbol.

    Raises
    ------
    ValueError
        If the text has no path.

    References
    ----------
    A. Graves, S. Fernandez, F. Gomez, J. Schmidhuber, "Connectionist Temporal
    Classification: Labeling Unsegmented Sequence Data with Recurrent Neural Networks",
    ICML 2006, section 4.1, for the lattice.

    Examples
    --------
    >>> import numpy as np
    >>> log_probs = np.log([[0.1, 0.9], [0.8, 0.2], [0.3, 0.7], [0.2, 0.8]])
    >>> forced_alignment(log_probs, np.array([1, 1]), blank=0)
    array([[0, 0],
           [2, 3]])
    """
    log_probs, symbols = np.asarray(log_probs), np.asarray(symbols, dtype=np.int64)
    n_frames = len(log_probs)
    states = np.full(2 * len(symbols) + 1, blank)  # a blank around each symbol
    states[1::2] = symbols
    # From a symbol to the next, unless it is the same one again.
    skips = np.zeros(len(states), dtype=bool)
    skips[3::2] = states[3::2] != states[1:-2:2]
    score = np.full(len(states), -np.inf)
    score[:2] = log_probs[0, states[:2]]
    steps = np.zeros((n_frames, len(states)), dtype=np.int64)
    for t in range(1, n_frames):
        came = np.full((3, len(states)), -np.inf)  # by 0, 1 or 2 states
        came[0] = score
        came[1, 1:] = score[:-1]
        came[2, 2:] = np.where(skips[2:], score[:-2], -np.inf)
        steps[t] = came.argmax(axis=0)
        score = came.max(axis=0) + log_probs[t, states]
    state = len(states) - 1
    if len(states) > 1 and score[-2] > score[-1]:
        state -= 1
    if score[state] == -np.inf:
        raise ValueError(
            f"symbols={symbols.tolist()} have no path through {n_frames} time steps; "
            "pass a text that the log-probabilities allow."
        )
    path = np.empty(n_frames, dtype=np.int64)
    for t in range(n_frames - 1, -1, -1):
        path[t] = state
        state -= steps[t, state]
    frames = [np.flatnonzero(path == 2 * i + 1)[[0, -1]] for i in range(len(symbols))]
    return np.array(frames, dtype=np.int64).reshape(-1, 2)
