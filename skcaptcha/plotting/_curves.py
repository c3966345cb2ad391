"""What confidence is worth, in numbers."""

import numpy as np

__all__ = ["reliability_curve", "risk_coverage_curve"]


def reliability_curve(is_right, confidence, n_bins, strategy):
    """Return bin edges, counts, exact match and mean confidence of each bin.

    Parameters
    ----------
    is_right : ndarray of bool, shape (n_samples,)
        Whether each text is right.
    confidence : ndarray of shape (n_samples,)
        Confidence in each, from 0 to 1.
    n_bins : int
        Number of bins; fewer come back where quantiles coincide.
    strategy : {"uniform", "quantile"}
        How wide they are.
    """
    edges = np.linspace(0, 1, n_bins + 1)
    if strategy == "quantile":
        edges = np.quantile(confidence, edges)
        edges[0], edges[-1] = 0, 1
        edges = np.unique(edges)
    # A bin holds its lower end; the last one both.
    places = np.searchsorted(edges[1:-1], confidence, side="right")
    counts = np.bincount(places, minlength=len(edges) - 1)
    with np.errstate(invalid="ignore"):
        prob_true = np.bincount(places, is_right, len(counts)) / counts
        prob_pred = np.bincount(places, confidence, len(counts)) / counts
    return edges, counts, prob_true, prob_pred


def risk_coverage_curve(is_right, confidence):
    """Return coverage, risk and threshold for each confidence that occurs, falling.

    Texts of equal confidence are accepted together.
    """
    order = np.argsort(-confidence, kind="stable")
    n_accepted = np.arange(1, len(order) + 1)
    n_wrong = np.cumsum(~is_right[order])
    falling = confidence[order]
    last = np.append(falling[1:] != falling[:-1], True)  # of those that are equal
    n_accepted, n_wrong = n_accepted[last], n_wrong[last]
    return n_accepted / len(order), n_wrong / n_accepted, falling[last]
