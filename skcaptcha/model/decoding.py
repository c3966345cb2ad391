"""CTC decoding: pure functions from log-probabilities to symbol indices.

`log_probs` are natural logarithms, normalized over the classes; ``-inf`` is allowed.
T is the number of frames, N of items, K of classes, one of them the `blank`.
"""

import math
from collections.abc import Mapping
from numbers import Integral, Real

import numpy as np

from skcaptcha.model.alignment import forced_alignment, sequence_log_probability

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
    """Check and normalize a constraint on the length of the text.

    Parameters
    ----------
    length : None, int, (int, int) or mapping of int to float
        Any length; one length; the least and greatest length, both included; or the
        weight of each allowed length, by which the probabilities of candidates are
        multiplied to rank them.

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
        return type(value) is not bool and isinstance(value, Integral) and value >= 0

    if length is None:
        return None
    if is_count(length):
        return int(length), int(length)
    if isinstance(length, tuple) and len(length) == 2 and all(map(is_count, length)):
        if length[0] > length[1]:
            raise ValueError(f"length={length!r} is an empty range; swap its ends.")
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
    """Return the log-weights of the lengths 0 to `n_frames`, ``-inf`` if forbidden."""
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
    """Forbid all classes but some symbols and the blank.

    The rest is not normalized again, so that the probability of a text stays the same.

    Parameters
    ----------
    log_probs : array of shape (..., K)
        Log-probabilities.
    indices : array-like of int
        The allowed symbols.
    blank : int
        Index of the blank.

    Returns
    -------
    array of shape (..., K)
        A copy with ``-inf`` for the forbidden classes.

    Examples
    --------
    >>> restrict(np.log([[0.25, 0.25, 0.5]]), [1], blank=0)
    array([[-1.38629436, -1.38629436,        -inf]])
    """
    log_probs = np.asarray(log_probs)
    allowed = [*indices, blank]
    restricted = np.full_like(log_probs, -np.inf)
    restricted[..., allowed] = log_probs[..., allowed]
    return restricted


def greedy_decode(log_probs, lengths, *, blank):
    """Take the most probable class of each frame; merge repeats, drop blanks.

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
    A. Graves et al., "Connectionist temporal classification", ICML 2006, section 3.2.

    Examples
    --------
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
    """Find the most probable path whose text has an allowed length.

    This is the Viterbi algorithm on the lattice of CTC, with the number of symbols
    in the state. With weights, the path's probability times the weight of its length
    is maximal.

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
    A. Graves et al., "Connectionist temporal classification", ICML 2006.

    Examples
    --------
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

    # score[n, k]: best path so far with n symbols and the last frame of class k.
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
        # A new symbol k follows the best class other than k, as k after k is the same
        # symbol in one more frame.
        is_best = classes == best[:-1, None]  # (n_counts - 1, K)
        entering = np.where(is_best, second_score[:-1, None], best_score[:-1, None])
        entered_from = np.where(is_best, second[:-1, None], best[:-1, None])
        previous[frame] = classes  # by default the class stays
        new = entering > score[1:]
        previous[frame, 1:][new] = entered_from[new]
        score[1:] = np.where(new, entering, score[1:])
        previous[frame, :, blank] = best  # a blank follows any class
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

    At each frame the most probable prefixes are kept [1]_ [2]_, without those that
    cannot reach an allowed length. The text of `best_path` is always a candidate, so
    that there is a result if one is possible. In the end all candidates are scored
    exactly, by `sequence_log_probability`.

    Parameters
    ----------
    log_probs : array of shape (T, K)
        Log-probabilities of one item.
    beam_width : int, default=10
        Prefixes to keep at each frame.
    blank : int
        Index of the blank.
    length : None, int, (int, int) or mapping of int to float, default=None
        Allowed lengths of the text, see `check_length`.
    n_best : int, default=1
        Texts to return, at most `beam_width`; fewer if fewer are possible.

    Returns
    -------
    list of (int array, float)
        Symbols and log-probability, best first. Weights of `length` change the order
        and not the log-probability.

    Raises
    ------
    ValueError
        If no text of an allowed length fits the frames, or `n_best` or `beam_width`
        is out of range.

    References
    ----------
    .. [1] A. Graves, "Supervised Sequence Labelling with Recurrent Neural Networks",
       Springer 2012, section 7.5.3.
    .. [2] A. Hannun et al., "First-pass large vocabulary continuous speech recognition
       using bi-directional recurrent DNNs", 2014.

    Examples
    --------
    >>> log_probs = np.log([[0.6, 0.4], [0.6, 0.4]])
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
    candidates = sorted(candidates)  # a fixed order of ties
    exact = _score_texts(log_probs, candidates, blank)
    rank = exact + log_weights[[len(c) for c in candidates]]
    order = np.argsort(-rank, kind="stable")[:n_best]
    return [(np.array(candidates[i], dtype=np.int64), float(exact[i])) for i in order]


def _prefix_beam(log_probs, beam_width, blank, log_weights):
    """Return the set of texts of allowed length, as tuples, at the end of the beam."""
    n_frames, n_classes = log_probs.shape
    # missing[n]: symbols from n to the next allowed length.
    missing = np.full(n_frames + 2, np.inf)
    for n in range(n_frames, -1, -1):
        missing[n] = 0 if log_weights[n] > -np.inf else missing[n + 1] + 1
    # Of the continuations of a prefix at most beam_width survive, and at most
    # beam_width are in the beam already, so that no more symbols matter.
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
        # The last symbol repeated is a new one only after a blank.
        is_last = last[:, None] == top[frame]  # (B, C)
        grown = np.where(is_last, in_blank[:, None], total[:, None])
        grown = grown + log_prob[top[frame]]

        # A prefix that grows into another one of the beam adds to that.
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


def _score_texts(log_probs, texts, blank):
    """Return the log-probabilities of several texts of one item (T, K)."""
    n = len(texts)
    repeated = np.repeat(log_probs[:, None], n, axis=1)  # (T, N, K)
    lengths = np.full(n, len(log_probs))
    return sequence_log_probability(repeated, lengths, texts, blank=blank)


def rank_texts(candidates, frames, *, blank, length=None):
    """Rank texts by their mean probability under several networks.

    Parameters
    ----------
    candidates : list of N sequences of int
        Symbols of each text.
    frames : list of arrays of shape (T, K)
        Log-probabilities of one item by each network; T may differ.
    blank : int
        Index of the blank.
    length : None, int, (int, int) or mapping of int to float, default=None
        Constraint on the length, see `check_length`. Weights change the order and not
        the log-probability.

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
    >>> frames = [np.log([[0.3, 0.7, 1e-9]]), np.log([[0.4, 0.1, 0.5]])]
    >>> ranked = rank_texts([(1,), (2,)], frames, blank=0)
    >>> [(text, round(float(np.exp(p)), 2)) for text, p in ranked]
    [((1,), 0.4), ((2,), 0.25)]
    """
    log_probabilities = [_score_texts(f, candidates, blank) for f in frames]
    mean = np.logaddexp.reduce(log_probabilities, axis=0) - math.log(len(frames))
    length = check_length(length)
    weights = length if isinstance(length, dict) else {}
    weight = [math.log(weights.get(len(text), 1.0)) for text in candidates]
    order = np.argsort(-(mean + weight), kind="stable")
    return [(candidates[i], float(mean[i])) for i in order]
