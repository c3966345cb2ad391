"""Which image to ask about next."""

from collections import Counter

import numpy as np


def rank_by_value(uncertainty, looks, texts, labeled_looks, labeled_texts, n):
    """Return the positions of the images that teach most, best first.

    What the reader is least sure of teaches most (uncertainty sampling [1]_), but the
    least sure images of all are often alike. So uncertainty is divided by the root of
    how many images of the same look were labeled, and multiplied by how rare the
    characters are that seem to be in it. Each image that is chosen counts as labeled
    for the next choice.

    Parameters
    ----------
    uncertainty : ndarray of shape (n_images,)
        From 0 to 1.
    looks : ndarray of int of shape (n_images,)
        The group of each image, of those that look alike.
    texts : sequence of str of length n_images
        What is read in each.
    labeled_looks : iterable of int
        The groups of the images that have labels.
    labeled_texts : iterable of str
        The labels.
    n : int
        How many to return.

    Returns
    -------
    list of int

    References
    ----------
    .. [1] B. Settles, "Active Learning Literature Survey", University of
       Wisconsin-Madison, 2009, sections 3.1 and 3.5.

    Examples
    --------
    >>> uncertainty, looks = np.array([0.9, 0.8, 0.5]), np.array([0, 0, 1])
    >>> rank_by_value(uncertainty, looks, ["1", "1", "2"], [0], ["1"], n=2)
    [2, 0]
    """
    uncertainty = np.asarray(uncertainty, float)
    by_look, by_character = Counter(labeled_looks), Counter()
    for text in labeled_texts:
        by_character.update(text)
    left, chosen = list(range(len(uncertainty))), []
    # What is nearly certain still has an order.
    base = uncertainty + 1e-3
    # Only the best before the spreading can be the best after it, within reason.
    if len(left) > 2000:
        left = np.argsort(-base, kind="stable")[:2000].tolist()
    while left and len(chosen) < n:
        usual = sum(by_character.values()) / max(1, len(by_character))
        values = [
            base[i]
            / (1 + by_look[looks[i]]) ** 0.5
            * _rarity(texts[i], by_character, usual)
            for i in left
        ]
        best = left.pop(int(np.argmax(values)))
        chosen.append(best)
        by_look[looks[best]] += 1
        by_character.update(texts[best])
    return chosen


def _rarity(text, counts, usual):
    """Return from 0.5 to 2 how rare the characters of a text are among labels."""
    if not text or not usual:
        return 1.0
    factors = [((1 + usual) / (1 + counts[c])) ** 0.5 for c in text]
    return float(np.clip(np.mean(factors), 0.5, 2.0))


def interleave(learned, held_out, n_asked, share=0.25):
    """Merge two queues so that of each four images one is held out.

    Parameters
    ----------
    learned, held_out : list
        What to ask about, in order.
    n_asked : tuple of int
        How many of each were answered.
    share : float, default=0.25
        Share of the images that are held out.

    Returns
    -------
    list
        All of them; when one queue ends, the rest of the other follows.

    Examples
    --------
    >>> interleave(list("abcdef"), list("XYZ"), (0, 0))
    ['a', 'b', 'c', 'X', 'd', 'e', 'f', 'Y', 'Z']
    """
    merged, (n_learned, n_held) = [], n_asked
    learned, held_out = list(learned), list(held_out)
    while learned or held_out:
        is_due = n_held + 1 <= share * (n_learned + n_held + 1)
        if (is_due and held_out) or not learned:
            merged.append(held_out.pop(0))
            n_held += 1
        else:
            merged.append(learned.pop(0))
            n_learned += 1
    return merged
