"""Curves of confidence against exact match, as `skcaptcha.metrics` has them."""

from numbers import Integral, Real

import numpy as np


def reliability_curve(is_right, confidence, *, n_bins=10, strategy="uniform"):
    """Exact match and mean confidence in bins of confidence.

    Texts of confidence 0.8 are right four times in five if it is calibrated [1]_.

    Parameters
    ----------
    is_right : array-like of bool, shape (n_samples,)
        Whether each text is right.
    confidence : array-like of shape (n_samples,)
        Confidence in each, from 0 to 1.
    n_bins : int, default=10
        Number of bins; fewer are returned where quantiles coincide.
    strategy : {"uniform", "quantile"}, default="uniform"
        Whether bins are equally wide or hold equally many texts.

    Returns
    -------
    edges : ndarray of shape (n_bins + 1,)
        Ends of the bins. A bin holds its lower end, the last one both.
    counts : ndarray of shape (n_bins,)
        Texts in each bin.
    prob_true, prob_pred : ndarray of shape (n_bins,)
        Exact match and mean confidence, NaN where a bin is empty.

    Raises
    ------
    ValueError
        If there are no texts, the numbers of values differ, one of `is_right` is not
        true or false, or a confidence is NaN, as that of a skipped image, or not from 0
        to 1; or if `n_bins` or `strategy` is out of range.

    References
    ----------
    .. [1] A. Niculescu-Mizil, R. Caruana, "Predicting Good Probabilities with
       Supervised Learning", ICML 2005, section 4.

    Examples
    --------
    >>> edges, counts, prob_true, prob_pred = reliability_curve(
    ...     [True, False, True, True], [0.5, 0.7, 0.8, 1.0], n_bins=2
    ... )
    >>> counts.tolist(), prob_true.tolist(), prob_pred.tolist()
    ([0, 4], [nan, 0.75], [nan, 0.75])
    """
    is_right, confidence = _check_texts(is_right, confidence)
    # Rounding may take what is nearly certain above 1.
    outside = np.flatnonzero(~((confidence >= 0) & (confidence <= 1 + 1e-6)))
    if outside.size:
        raise ValueError(
            f"confidence[{outside[0]}]={confidence[outside[0]]} is not from 0 to 1; "
            "pass probabilities."
        )
    if not isinstance(n_bins, Integral) or n_bins < 1:
        raise ValueError(f"n_bins={n_bins!r} must be an int of at least 1.")
    if strategy not in ("uniform", "quantile"):
        raise ValueError(f"strategy={strategy!r} must be 'uniform' or 'quantile'.")
    edges = np.linspace(0, 1, n_bins + 1)
    if strategy == "quantile":
        edges = np.quantile(confidence, edges)
        edges[0], edges[-1] = 0, 1
        edges = np.unique(edges)
    places = np.searchsorted(edges[1:-1], confidence, side="right")
    counts = np.bincount(places, minlength=len(edges) - 1)
    with np.errstate(invalid="ignore"):
        prob_true = np.bincount(places, is_right, len(counts)) / counts
        prob_pred = np.bincount(places, confidence, len(counts)) / counts
    return edges, counts, prob_true, prob_pred


def risk_coverage_curve(is_right, confidence):
    """Share of wrong texts among those above a confidence threshold.

    It tells how many texts you can accept, and how many of these are wrong [1]_.

    Parameters
    ----------
    is_right : array-like of bool, shape (n_samples,)
        Whether each text is right.
    confidence : array-like of shape (n_samples,)
        Confidence in each. Texts of equal confidence have one threshold.

    Returns
    -------
    coverage : ndarray
        Share of the texts with at least the confidence of each threshold.
    risk : ndarray
        Share of these that are wrong.
    thresholds : ndarray
        The distinct confidences, in decreasing order.

    Raises
    ------
    ValueError
        If there are no texts, the numbers of values differ, one of `is_right` is not
        true or false, or a confidence is NaN, as that of a skipped image.

    References
    ----------
    .. [1] Y. Geifman, R. El-Yaniv, "Selective Classification for Deep Neural
       Networks", NeurIPS 2017.

    Examples
    --------
    >>> coverage, risk, thresholds = risk_coverage_curve([True, False], [0.9, 0.6])
    >>> coverage.tolist(), risk.tolist(), thresholds.tolist()
    ([0.5, 1.0], [0.0, 0.5], [0.9, 0.6])
    """
    n_accepted, n_wrong, thresholds = _count_accepted(is_right, confidence)
    return n_accepted / n_accepted[-1], n_wrong / n_accepted, thresholds


def _count_accepted(is_right, confidence):
    """Return at each threshold how many texts are accepted, and how many are wrong.

    The thresholds come last.
    """
    is_right, confidence = _check_texts(is_right, confidence)
    order = np.argsort(-confidence, kind="stable")
    n_accepted = np.arange(1, len(order) + 1)
    n_wrong = np.cumsum(~is_right[order])
    thresholds = confidence[order]
    last = np.append(thresholds[1:] != thresholds[:-1], True)  # of equal ones
    return n_accepted[last], n_wrong[last], thresholds[last]


def _check_texts(is_right, confidence):
    """Return arrays of bool and of float, one value of each for each text."""
    values = np.asarray(is_right)
    confidence = np.asarray(confidence, dtype=float)
    if values.ndim != 1 or values.shape != confidence.shape or not len(values):
        raise ValueError(
            f"is_right has the shape {values.shape} and confidence the shape "
            f"{confidence.shape}; pass one value for each text, and at least one text."
        )
    for i, value in enumerate(values.tolist()):
        if not isinstance(value, (bool, int, float)) or value not in (0, 1):
            raise ValueError(
                f"is_right[{i}]={value!r} must be True or False; pass whether each "
                "text is right."
            )
    if np.isnan(confidence).any():
        raise ValueError(
            f"confidence[{np.isnan(confidence).argmax()}] is NaN, as for an image that "
            "was skipped; leave such images out."
        )
    return values.astype(bool), confidence


def confidence_threshold(is_right, confidence, precision):
    """Lowest confidence from which on enough of the texts are right.

    Find it on images that the reader was not trained on, and measure it on others.
    :doc:`/confidence` says how many images a precision takes.

    Parameters
    ----------
    is_right : array-like of bool, shape (n_samples,)
        Whether each text is right.
    confidence : array-like of shape (n_samples,)
        Confidence in each, from 0 to 1.
    precision : float
        Share of right texts that is wanted among those with at least this confidence,
        in (0, 1].

    Returns
    -------
    float
        The threshold: accept a text if its confidence is at least that. Infinity if no
        threshold gives the precision, so that no text is accepted.

    Raises
    ------
    ValueError
        If `precision` is not in (0, 1], there are no texts, the numbers of values
        differ, one of `is_right` is not true or false, or a confidence is NaN, as that
        of a skipped image.

    See Also
    --------
    risk_coverage_curve : The share of wrong texts at every threshold.

    Examples
    --------
    >>> is_right, confidence = [True, True, False, True], [0.99, 0.9, 0.8, 0.7]
    >>> confidence_threshold(is_right, confidence, precision=1.0)
    0.9
    >>> confidence_threshold(is_right, confidence, precision=0.75)
    0.7
    >>> confidence_threshold([False, True], [0.9, 0.8], precision=0.99)
    inf
    """
    if not isinstance(precision, Real) or not 0 < precision <= 1:
        raise ValueError(
            f"precision={precision!r} must be a share of right texts, above 0 and at "
            "most 1, such as 0.99."
        )
    n_accepted, n_wrong, thresholds = _count_accepted(is_right, confidence)
    good = thresholds[(n_accepted - n_wrong) / n_accepted >= precision]
    return float(good[-1]) if len(good) else float("inf")
