"""The frames in which the characters of a text were read."""

import numpy as np

__all__ = ["align"]


def align(log_proba, symbols, blank):
    """Return the first and last frame of each symbol on the best path of a text.

    By Viterbi's algorithm on the lattice of CTC.

    Parameters
    ----------
    log_proba : ndarray of shape (T, K)
        Log-probabilities.
    symbols : ndarray of int, shape (L,)
        The text.
    blank : int
        Class of the blank.

    Returns
    -------
    ndarray of int, shape (L, 2)

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
    >>> log_proba = np.log([[0.1, 0.9], [0.8, 0.2], [0.3, 0.7], [0.2, 0.8]])
    >>> align(log_proba, np.array([1, 1]), blank=0)
    array([[0, 0],
           [2, 3]])
    """
    n_frames = len(log_proba)
    states = np.full(2 * len(symbols) + 1, blank)  # a blank around each symbol
    states[1::2] = symbols
    # From a symbol to the next, unless it is the same one again.
    skips = np.zeros(len(states), dtype=bool)
    skips[3::2] = states[3::2] != states[1:-2:2]
    score = np.full(len(states), -np.inf)
    score[:2] = log_proba[0, states[:2]]
    steps = np.zeros((n_frames, len(states)), dtype=np.int64)
    for t in range(1, n_frames):
        came = np.full((3, len(states)), -np.inf)  # by 0, 1 or 2 states
        came[0] = score
        came[1, 1:] = score[:-1]
        came[2, 2:] = np.where(skips[2:], score[:-2], -np.inf)
        steps[t] = came.argmax(axis=0)
        score = came.max(axis=0) + log_proba[t, states]
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
