"""The share of texts that are read without an error, known without scikit-learn."""

import unicodedata
from numbers import Integral

import numpy as np


def _is_integer(value):
    if isinstance(value, (float, np.floating)):
        return value % 1 == 0  # from tables
    return isinstance(value, Integral) and not isinstance(value, bool)


def check_text_list(texts, name, case_sensitive=True):
    """Return the NFC forms of `texts` as a list; errors call them `name`."""
    if isinstance(texts, (str, bytes)) or not hasattr(texts, "__len__"):
        raise TypeError(
            f"{name}={texts!r} is {type(texts).__name__}; pass a list, 1-D array or "
            "Series of str. Wrap a single text in a list."
        )
    if getattr(texts, "ndim", 1) != 1:
        raise ValueError(f"{name} has {texts.ndim} dimensions; pass a 1-D array.")
    texts = [str(int(text)) if _is_integer(text) else text for text in texts]
    for i, text in enumerate(texts):
        if not isinstance(text, str):
            raise TypeError(
                f"{name}[{i}]={text!r} is {type(text).__name__}, not str; convert it, "
                "or drop the sample if it has no text."
            )
    if not case_sensitive:
        texts = [unicodedata.normalize("NFC", text).casefold() for text in texts]
    return [unicodedata.normalize("NFC", text) for text in texts]


def check_text_pairs(y_true, y_pred, case_sensitive=True):
    """Return the NFC forms of true and predicted texts, as two lists of one length."""
    y_true = check_text_list(y_true, "y_true", case_sensitive)
    y_pred = check_text_list(y_pred, "y_pred", case_sensitive)
    if len(y_true) != len(y_pred):
        raise ValueError(
            f"y_true has {len(y_true)} texts and y_pred has {len(y_pred)}; pass one "
            "prediction for each true text."
        )
    if not y_true:
        raise ValueError("y_true and y_pred are empty; pass at least one text each.")
    return y_true, y_pred


def exact_match_score(
    y_true, y_pred, *, normalize=True, sample_weight=None, case_sensitive=True
):
    """Fraction of texts without any error.

    Parameters
    ----------
    y_true, y_pred : list, tuple, 1-D array or Series of str
        True and predicted texts, at least one; a text may be empty.
    normalize : bool, default=True
        If False, return the (weighted) number of such texts.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the samples, at least 0.
    case_sensitive : bool, default=True
        Whether "a" and "A" differ. If False, texts are compared after case folding.

    Returns
    -------
    float
        From 0 to 1 (best), or a number of samples.

    Raises
    ------
    TypeError
        If `y_true` or `y_pred` is not a sequence of str.
    ValueError
        If they are empty or differ in length, or the weights do not fit them.

    Examples
    --------
    >>> exact_match_score(["2b827", "x38fn"], ["2b827", "x38f"])
    0.5
    >>> exact_match_score(["2b827", "x38fn"], ["2B827", "X38FN"], case_sensitive=False)
    1.0
    """
    y_true, y_pred = check_text_pairs(y_true, y_pred, case_sensitive)
    matches = [true == pred for true, pred in zip(y_true, y_pred, strict=True)]
    n = len(matches)
    weights = np.ones(n) if sample_weight is None else np.asarray(sample_weight, float)
    if weights.shape != (n,):
        raise ValueError(
            f"sample_weight has shape {weights.shape} for {n} samples; pass one each."
        )
    wrong = weights[~(np.isfinite(weights) & (weights >= 0))]
    if wrong.size:
        raise ValueError(f"sample_weight holds {wrong[0]}; weights are finite, >= 0.")
    with np.errstate(over="ignore"):
        total = float(weights.sum())
    if not 0 < total < np.inf:
        raise ValueError(f"sample_weight sums to {total:g}; pass positive weights.")
    # Rounding may lift weights[matches].sum() above the sum of all.
    score = float((weights * matches).sum())
    return score / total if normalize else score
