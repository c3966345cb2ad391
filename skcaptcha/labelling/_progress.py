"""What was reached, what more labels would bring, and when to stop."""

import math

import numpy as np

from skcaptcha._intervals import FEW_IMAGES

_Z = 1.959963984540054
# A hundred labels that bring less than this are not worth an hour.
_WORTHWHILE = 0.005
_MORE = 100


def fit_power_law(n_labels, n_wrong, n_tested):
    """Fit the error rate as a power of the number of labels.

    Error rates of networks fall about as a power of the number of samples [1]_. The
    logarithm of the rate is fitted by weighted least squares; its variance is that of
    a binomial share.

    Parameters
    ----------
    n_labels, n_wrong, n_tested : sequence of shape (n_rounds,)
        Labels learned from, and how many of the tested images were then read wrong.

    Returns
    -------
    coefficients : ndarray of shape (2,)
        Logarithm of the rate for one label, and the exponent, at most 0.
    covariance : ndarray of shape (2, 2)
        Of both.

    References
    ----------
    .. [1] J. Hestness et al., "Deep Learning Scaling is Predictable, Empirically",
       arXiv:1712.00409, 2017.

    Examples
    --------
    >>> (_, exponent), _ = fit_power_law([50, 100, 200], [200, 100, 50], [1000] * 3)
    >>> round(float(exponent), 1)
    -1.0
    """
    n_labels, n_wrong, n_tested = (
        np.asarray(values, float) for values in (n_labels, n_wrong, n_tested)
    )
    rate = (n_wrong + 0.5) / (n_tested + 1)
    variance = (1 - rate) / (rate * (n_tested + 1))  # of its logarithm
    design = np.column_stack([np.ones_like(n_labels), np.log(n_labels)])
    weighted = design / variance[:, None]
    covariance = np.linalg.pinv(design.T @ weighted)
    coefficients = covariance @ (weighted.T @ np.log(rate))
    if coefficients[1] > 0:  # more labels do no harm: the rate stays as it is
        mean = np.average(np.log(rate), weights=1 / variance)
        coefficients = np.array([mean, 0.0])
    return coefficients, covariance


def predict_score(rounds, n_labels):
    """Return the score that a number of labels would give, and its interval, or None.

    Parameters
    ----------
    rounds : list of dict
        Each with "n_train", "score" and "n_tested".
    n_labels : int

    Returns
    -------
    tuple of float or None
        Score, lowest and highest; None if there are fewer than three rounds.
    """
    used = [r for r in rounds if r.get("n_train") and r.get("n_tested")]
    if len({r["n_train"] for r in used}) < 3:
        return None
    n_tested = [r["n_tested"] for r in used]
    n_wrong = [(1 - r["score"]) * r["n_tested"] for r in used]
    coefficients, covariance = fit_power_law(
        [r["n_train"] for r in used], n_wrong, n_tested
    )
    at = np.array([1.0, math.log(n_labels)])
    center = float(at @ coefficients)
    half = _Z * math.sqrt(max(0.0, float(at @ covariance @ at)))
    score, low, high = (
        1 - min(1.0, math.exp(value))
        for value in (center, center + half, center - half)
    )
    return score, low, high


def advise(rounds, n_left):
    """Say how well it reads by now, what more labels would bring, and when to stop.

    Parameters
    ----------
    rounds : list of dict
        What the rounds of learning found, oldest first; the first one, of 0 labels, is
        of the reader that it began with.
    n_left : int
        Images without an answer.

    Returns
    -------
    dict
        ``stop``, whether to; ``now`` and ``next``, texts; ``expected``, the score after
        a hundred more labels, its lowest and highest, or None.
    """
    tested = [r for r in rounds if r.get("n_tested")]
    now = "Nothing has been tested yet: it needs a few labels of images held out."
    if tested:
        last = tested[-1]
        now = (
            f"It reads {_percent(last['score'])} of the images that it has not learned "
            f"from ({_percent(last['low'])} to {_percent(last['high'])}, "
            f"{last['n_tested']} tested)."
        )
    if not n_left:
        return {
            "stop": True,
            "now": now,
            "next": "Every image has an answer. Save the reader; you are done.",
            "expected": None,
        }
    learned = [r for r in tested if r.get("n_train")]
    n_labels = learned[-1]["n_train"] if learned else 0
    expected = predict_score(rounds, n_labels + _MORE) if learned else None
    if expected is None:
        return {
            "stop": False,
            "now": now,
            "next": "After three rounds of learning it can be told what more bring.",
            "expected": None,
        }
    fitted, _, _ = predict_score(rounds, n_labels)
    gain = max(0.0, expected[0] - fitted)
    more = (
        f"A hundred more labels would probably bring {100 * gain:.1f} points "
        f"({_percent(expected[1])} to {_percent(expected[2])} then)."
    )
    if learned[-1]["n_tested"] < FEW_IMAGES:
        hint = f"Too few images are tested to say when to stop; label on. {more}"
        return {"stop": False, "now": now, "next": hint, "expected": expected}
    if gain < _WORTHWHILE:
        hint = f"You can stop: {more[0].lower()}{more[1:]}"
        return {"stop": True, "now": now, "next": hint, "expected": expected}
    return {"stop": False, "now": now, "next": more, "expected": expected}


def _percent(share):
    """Return a share in percent, where only all of them are 100."""
    return f"{math.floor(100 * share + 1e-9)} %"
