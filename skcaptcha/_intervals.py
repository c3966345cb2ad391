"""95 % confidence intervals of scores, as the report and the command line show them."""

import math

import numpy as np

_Z = 1.959963984540054  # 97.5 % of a normal distribution lie below

FEW_IMAGES = 30
"""Of fewer images a score says little."""


def wilson_interval(share, n):
    """Return Wilson's 95 % interval [1]_ of a share of `n`, as lowest and highest.

    Unlike that of SciPy it takes an effective, fractional `n`.

    References
    ----------
    .. [1] E. B. Wilson, "Probable Inference, the Law of Succession, and Statistical
       Inference", Journal of the American Statistical Association 22, 1927.

    Examples
    --------
    >>> low, high = wilson_interval(0.875, 8)
    >>> round(low, 2), round(high, 2)
    (0.53, 0.98)
    """
    center = (share + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    spread = share * (1 - share) / n + _Z**2 / (4 * n**2)
    half = _Z * math.sqrt(spread) / (1 + _Z**2 / n)
    # At the ends rounding would leave the share outside.
    return max(0.0, min(share, center - half)), min(1.0, max(share, center + half))


def character_interval(n_edits, n_characters):
    """Return the 95 % interval of the character accuracy, as lowest and highest.

    Errors come several to an image, so that the characters are no independent trials.
    It is Wilson's interval of an effective number of characters: of as many as would
    give the variance that the ratio of two sums over images has [1]_. That is between
    the number of images and that of characters, and the former where all or no
    characters are right and the variance is unknown.

    Parameters
    ----------
    n_edits, n_characters : sequence of int of shape (n_images,)
        Edit distance and number of true characters of each image.

    References
    ----------
    .. [1] N. Dean, M. Pagano, "Evaluating Confidence Interval Methods for Binomial
       Proportions in Clustered Surveys", Journal of Survey Statistics and Methodology
       3(4), 2015.

    Examples
    --------
    >>> low, high = character_interval([0, 2, 0, 0], [5, 5, 5, 5])
    >>> round(low, 2), round(high, 2)
    (0.58, 0.98)
    """
    edits, sizes = np.asarray(n_edits, float), np.asarray(n_characters, float)
    n_images, total = len(edits), max(sizes.sum(), 1.0)
    rate = min(1.0, float(edits.sum() / total))
    n = float(n_images)
    if 0 < rate < 1 and n_images > 1:
        residuals = edits - rate * sizes
        variance = n_images / (n_images - 1) * (residuals @ residuals) / total**2
        n = rate * (1 - rate) / variance if variance > 0 else total
        n = float(np.clip(n, n_images, max(n_images, total)))
    return wilson_interval(1 - rate, n)


def describe_few(n_images, interval):
    """Say how little a score of few images tells; return "" if they are many."""
    if n_images >= FEW_IMAGES:
        return ""
    images = "1 image was" if n_images == 1 else f"{n_images} images were"
    low, high = interval
    return (
        f"Only {images} tested: the true exact match may be anything from {low:.2f} "
        f"to {high:.2f}."
    )
