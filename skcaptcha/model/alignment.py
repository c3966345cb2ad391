"""Paths of a given text through the frames of CTC.

`log_probs` are natural logarithms, normalized over the classes; ``-inf`` is allowed.
T is the number of frames, N of items, K of classes, one of them the `blank`.
"""

import numpy as np

__all__ = ["forced_alignment", "sequence_log_probability"]


def sequence_log_probability(log_probs, lengths, sequences, *, blank):
    """Return the log-probabilities of texts, summed over all alignments.

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
    A. Graves et al., "Connectionist temporal classification", ICML 2006, section 4.1.

    Examples
    --------
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
    skip = np.full(states.shape, -np.inf)
    skip[:, 2:][(states[:, 2:] != blank) & (states[:, 2:] != states[:, :-2])] = 0
    emitted = np.take_along_axis(log_probs, states[None], axis=2)  # (T, N, S)

    # Two states that are never reached come first, so that all have two before them.
    before, after = np.full((2, n_items, states.shape[1] + 2), -np.inf)
    before[:, 2] = 0  # before the first frame, as if a blank had been read
    for frame in range(lengths.max(initial=0)):
        step = after[:, 2:]
        np.add(before[:, :-2], skip, out=step)
        np.logaddexp(step, before[:, 1:-1], out=step)
        np.logaddexp(step, before[:, 2:], out=step)
        step += emitted[frame]
        ended = frame >= lengths
        if ended.any():
            after[ended] = before[ended]
        before, after = after, before
    forward = before[:, 2:]  # (N, S)

    items = np.arange(n_items)
    last_blank = forward[items, 2 * n_symbols]
    last_symbol = forward[items, np.maximum(2 * n_symbols - 1, 0)]
    last_symbol = np.where(n_symbols > 0, last_symbol, -np.inf)
    # Rounding, above all of float32 inputs, may exceed a probability of 1.
    return np.minimum(np.logaddexp(last_blank, last_symbol), 0)


def forced_alignment(log_probs, symbols, *, blank):
    """Find the frames of each symbol of a text on its best path.

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
    A. Graves et al., "Connectionist temporal classification", ICML 2006, section 4.1.

    Examples
    --------
    >>> log_probs = np.log([[0.1, 0.9], [0.8, 0.2], [0.3, 0.7], [0.2, 0.8]])
    >>> forced_alignment(log_probs, np.array([1, 1]), blank=0)
    array([[0, 0],
           [2, 3]])
    """
    log_probs, symbols = np.asarray(log_probs), np.asarray(symbols, dtype=np.int64)
    n_frames = len(log_probs)
    states = np.full(2 * len(symbols) + 1, blank)  # a blank around each symbol
    states[1::2] = symbols
    # A blank can be skipped between different symbols.
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
