"""How a score grows with the number of labels, as `skcaptcha.inspection` has it."""

from dataclasses import dataclass

import numpy as np
from scipy.special import betaln, expit

# What may be the case before anything is measured, each value as likely as the next:
# the logit of the error at the largest size, the root of the share of it that stays,
# and the logarithm of the exponent.
_GRID = (
    np.linspace(-9, 9, 41),
    np.linspace(0, 0.999, 15),
    np.linspace(np.log(0.15), np.log(3), 16),
)
# Each grid is over what is left of the one before, the first time with a flattened
# posterior, whose ridge may be narrower than the first steps are wide.
_TEMPERATURES = (20, 2, 1)
# Fits of the same size differ by more than the images that test them do, by 1 to 4
# points at a score of 0.9: as if each had an error of its own, from a beta distribution
# with the sum of its parameters.
_PRECISIONS = np.geomspace(50, 1000, 4)
_LEAST_ERROR = 1e-4
_NEGLIGIBLE = 1e-5  # posterior relative to the greatest


@dataclass(frozen=True, eq=False, repr=False)
class PowerLaw:
    """Many power laws, each with the probability that it is the right one.

    A law says that the error falls as ``e * (f + (1 - f) * (n / size) ** -b)``, where n
    is the number of labels. Make one with `fit_power_law`.

    Parameters
    ----------
    size : float
        Number of labels at which the error is `error`.
    error, floor, exponent : ndarray of shape (n_laws,)
        The error e, the share f of it that no number of labels takes away, and b.
    probability : ndarray of shape (n_laws,)
        The probability of each law; the sum is 1.
    best : float
        The best score there is; what a score lacks of it is the error.

    See Also
    --------
    fit_power_law : Makes one.

    Examples
    --------
    >>> from skcaptcha.inspection import fit_power_law
    >>> law = fit_power_law([50, 100, 200], [0.68, 0.84, 0.92], 500)
    >>> score, interval = law.predict([400, 800], return_interval=True)
    >>> score.round(2)
    array([0.95, 0.96])
    >>> interval.round(2)
    array([[0.88, 0.98],
           [0.9 , 0.99]])
    """

    size: float
    error: np.ndarray
    floor: np.ndarray
    exponent: np.ndarray
    probability: np.ndarray
    best: float

    def __repr__(self):
        return f"<PowerLaw: {self.predict(self.size):.3f} from {self.size:g} labels>"

    def predict(self, n_labels, *, return_interval=False):
        """Estimate the scores that numbers of labels give.

        Parameters
        ----------
        n_labels : float or array-like of shape (n_sizes,)
            Numbers of labels, more than 0.
        return_interval : bool, default=False
            Whether to return the interval, too.

        Returns
        -------
        scores : float or ndarray of shape (n_sizes,)
            The median of the laws.
        interval : ndarray of shape (2,) or (n_sizes, 2)
            Lowest and highest score of the middle 95 % of the laws. It is that of the
            mean over many fits and many images. Only with ``return_interval=True``.

        Raises
        ------
        ValueError
            If a number of labels is not above 0 and finite.
        """
        n_labels = _check_numbers("n_labels", n_labels)
        flat = np.ravel(n_labels)
        scores = [self.best - self._find_errors(n) for n in flat]
        return self._summarize(scores, n_labels.shape, return_interval)

    def predict_gain(self, n_labels, n_more, *, return_interval=False):
        """Estimate by how much more labels raise the score.

        Each law is compared with itself, so that the interval is narrower than those
        of the two scores.

        Parameters
        ----------
        n_labels : float
            Number of labels that are there.
        n_more : float or array-like of shape (n_sizes,)
            Numbers of labels that come to them.
        return_interval : bool, default=False
            Whether to return the interval, too.

        Returns
        -------
        gains : float or ndarray of shape (n_sizes,)
            The median of the laws.
        interval : ndarray of shape (2,) or (n_sizes, 2)
            Of the middle 95 % of the laws. Only with ``return_interval=True``.

        Raises
        ------
        ValueError
            If a number is not above 0 and finite.

        Examples
        --------
        >>> from skcaptcha.inspection import fit_power_law
        >>> law = fit_power_law([50, 100, 200], [0.68, 0.84, 0.92], 500)
        >>> round(float(law.predict_gain(200, 100)), 2)
        0.02
        """
        n_labels = float(_check_numbers("n_labels", n_labels))
        n_more = _check_numbers("n_more", n_more)
        before = self._find_errors(n_labels)
        gains = [before - self._find_errors(n_labels + n) for n in np.ravel(n_more)]
        return self._summarize(gains, n_more.shape, return_interval)

    def find_size(self, score, *, return_interval=False):
        """Estimate how many labels a score takes.

        Parameters
        ----------
        score : float
            The score to reach.
        return_interval : bool, default=False
            Whether to return the interval, too.

        Returns
        -------
        n_labels : float
            A whole number: the median of the laws; inf where more than half of them
            never reach the score.
        interval : ndarray of shape (2,)
            Of the middle 95 % of the laws. Only with ``return_interval=True``.

        Raises
        ------
        ValueError
            If `score` is not below the best score there is, or not above the worst.

        Examples
        --------
        >>> from skcaptcha.inspection import fit_power_law
        >>> law = fit_power_law([50, 100, 200], [0.68, 0.84, 0.92], 500)
        >>> round(law.find_size(0.93), -1), law.find_size(0.995)
        (260.0, inf)
        """
        if not self.best - 1 < score < self.best:
            raise ValueError(
                f"score={score!r} must be above {self.best - 1:g} and below "
                f"{self.best:g}, which is the best score; no number of labels is sure "
                "to give that."
            )
        ratio = ((self.best - score) / self.error - self.floor) / (1 - self.floor)
        reached = ratio > 0
        sizes = np.full(len(ratio), np.inf)
        with np.errstate(over="ignore"):  # more than there are numbers for
            sizes[reached] = self.size * ratio[reached] ** (-1 / self.exponent[reached])
        n_labels, interval = self._summarize([np.ceil(sizes)], (), True)
        n_labels = float(n_labels)
        return (n_labels, interval) if return_interval else n_labels

    def _find_errors(self, n_labels):
        """Return the error of each law."""
        return _find_errors(
            n_labels / self.size, self.error, self.floor, self.exponent
        ).clip(max=1)

    def _summarize(self, values, shape, return_interval):
        found = [_find_quantiles(v, self.probability) for v in values]
        low, middle, high = np.array(found).reshape(-1, 3).T
        middle, interval = middle.reshape(shape)[()], np.stack([low, high], axis=-1)
        interval = interval.reshape(*shape, 2)
        return (middle, interval) if return_interval else middle


def fit_power_law(n_labels, scores, n_tested, *, best=1.0):
    """Fit power laws to the scores that numbers of labels gave.

    What a score lacks, the error, falls as a power of the number of labels, down to
    what more labels can't mend [1]_. Few scores say little about three parameters, so
    not one law is taken but all of a grid, each by its probability given the scores:
    the exponent is from 0.15 to 3, and the share that stays of the error anything. The
    scores are taken as beta-binomial, so that one of many test images counts more, and
    fits may differ by more than the test images explain.

    Parameters
    ----------
    n_labels : array-like of shape (n_scores,)
        Number of labels behind each score. The same number may come several times, and
        one is enough, but for the width of the interval.
    scores : array-like of shape (n_scores,)
        The scores, such as exact match, of images that were not learned from.
    n_tested : float or array-like of shape (n_scores,)
        Number of images that each was measured on: its weight.
    best : float, default=1.0
        The best score there is; the worst is 1 less. For an error with its sign
        changed it is 0.

    Returns
    -------
    PowerLaw
        Estimates scores, gains and numbers of labels, with 95 % intervals.

    Raises
    ------
    ValueError
        If there are no scores, lengths differ, a number is not above 0, or a score is
        not from ``best - 1`` to `best`.

    See Also
    --------
    label_curve : Measures the scores first.

    References
    ----------
    .. [1] T. Viering, M. Loog, "The Shape of Learning Curves: A Review", IEEE
       Transactions on Pattern Analysis and Machine Intelligence 45(6), 2023.

    Examples
    --------
    >>> from skcaptcha.inspection import fit_power_law
    >>> law = fit_power_law([25, 50, 100, 200], [0.55, 0.76, 0.87, 0.93], 300)
    >>> score, interval = law.predict(400, return_interval=True)
    >>> score.round(2), interval.round(2)
    (np.float64(0.95), array([0.91, 0.98]))
    """
    n_labels = np.atleast_1d(_check_numbers("n_labels", n_labels))
    scores = np.atleast_1d(np.asarray(scores, dtype=np.float64))
    n_tested = np.atleast_1d(_check_numbers("n_tested", n_tested))
    if n_labels.ndim != 1 or not n_labels.size or scores.shape != n_labels.shape:
        raise ValueError(
            f"n_labels has shape {n_labels.shape} and scores has shape {scores.shape}; "
            "pass a number of labels for each score, at least one."
        )
    if n_tested.shape not in ((1,), n_labels.shape):
        raise ValueError(
            f"n_tested has shape {n_tested.shape} and there are {len(scores)} scores; "
            "pass one number for each score, or one for all."
        )
    outside = np.flatnonzero(~((scores >= best - 1) & (scores <= best)))
    if outside.size:
        raise ValueError(
            f"scores[{outside[0]}]={scores[outside[0]]} is not from {best - 1:g} to "
            f"{best:g}; the best score there can be is the parameter `best`."
        )
    n_tested = np.broadcast_to(n_tested, n_labels.shape)
    size = float(n_labels.max())
    data = np.stack([n_labels / size, best - scores, n_tested], axis=1)
    grid = _GRID
    for temperature in _TEMPERATURES:
        kept, posterior = grid, _find_posterior(data, *grid) ** (1 / temperature)
        seen = np.nonzero(posterior > _NEGLIGIBLE)
        grid = [_zoom(axis, places) for axis, places in zip(kept, seen, strict=True)]
    logit, root, log_exponent = (
        axis[places] for axis, places in zip(kept, seen, strict=True)
    )
    probability = posterior[seen] / posterior[seen].sum()
    laws = expit(logit), root**2, np.exp(log_exponent), probability
    return PowerLaw(size, *laws, float(best))


def _zoom(axis, places):
    """Return as many values between those that are seen, and the ones beside them."""
    first, last = max(0, places.min() - 1), min(places.max() + 1, len(axis) - 1)
    return np.linspace(axis[first], axis[last], len(axis))


def _find_errors(ratio, error, floor, exponent):
    """Return the error at a number of labels, as a multiple of that of `error`."""
    return error * (floor + (1 - floor) * ratio**-exponent)


def _find_posterior(data, logits, roots, log_exponents):
    """Return the posterior of laws over a grid, 1 at its greatest.

    `data` are rows of a relative number of labels, an error, and a number of images.
    """
    error = expit(logits)[:, None, None, None]
    floor, exponent = roots[:, None, None] ** 2, np.exp(log_exponents)[:, None]
    # Jeffreys' prior of a share, over its logit.
    log_posterior = np.log(error * (1 - error)) / 2
    for ratio, measured, n in data:
        expected = _find_errors(ratio, error, floor, exponent)
        expected = expected.clip(_LEAST_ERROR, 1 - _LEAST_ERROR)
        a, b = _PRECISIONS * expected, _PRECISIONS * (1 - expected)
        likelihood = betaln(a + n * measured, b + n * (1 - measured)) - betaln(a, b)
        log_posterior = log_posterior + likelihood
    posterior = np.exp(log_posterior - log_posterior.max()).mean(axis=3)
    return posterior / posterior.max()


def _find_quantiles(values, probability):
    """Return the quantiles that leave 2.5, 50 and 97.5 % below them."""
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(probability[order])
    places = np.searchsorted(reached, (0.025, 0.5, 0.975))
    return values[order][places.clip(max=len(values) - 1)]


def _check_numbers(name, values):
    """Return an array, of no dimension for one number, of numbers above 0."""
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name}={values!r} does not hold numbers alone.") from error
    if not (np.isfinite(array) & (array > 0)).all():
        raise ValueError(f"{name}={values!r} must be above 0 and finite.")
    return array
