"""Look at the labels through the eyes of a recognizer."""

import numpy as np
from joblib import Parallel, delayed
from sklearn.base import clone
from sklearn.model_selection import KFold, check_cv
from sklearn.utils import Bunch

from skcaptcha._tables import is_table
from skcaptcha._validation import (
    check_images,
    check_same_length,
    check_texts,
    issue_warnings,
)
from skcaptcha.images import read_images
from skcaptcha.metrics import exact_match_score
from skcaptcha.model.decoding import sequence_log_probability
from skcaptcha.recognizer import CaptchaRecognizer
from skcaptcha.vocabulary import BLANK

__all__ = ["find_label_issues"]


def find_label_issues(recognizer, X, y, *, cv=5, n_jobs=None):
    """Rank labels by how little recognizers that never saw them believe them.

    The samples are split into folds. A clone of the recognizer is fitted on all folds
    but one and asked how probable the given labels of that one are, which [1]_ call
    the self-confidence of a label.

    Parameters
    ----------
    recognizer : CaptchaRecognizer
        Says with which parameters to fit; it stays as it is.
    X : sequence of images of length n_samples, or array of shape \
            (n_samples, n_features)
        Images in any form that `CaptchaRecognizer.fit` takes. Files are decoded once.
    y : sequence of str of length n_samples
        The labels, some of which may be wrong.
    cv : int, cross-validation generator or iterable, default=5
        How to split. An int is the number of folds, of samples in random order drawn
        by the recognizer's `random_state` where that is an int, else by 0.
    n_jobs : int, default=None
        Fits at a time. ``None`` is 1 unless in a ``joblib.parallel_config`` context.

    Returns
    -------
    Bunch
        ``ranking``
            ndarray of shape (n_samples,), the samples by rising self-confidence, so
            that labels which deserve a look come first. Samples that no fold tests
            come last.
        ``self_confidence``
            ndarray of shape (n_samples,), the probability of each given label under
            CTC; NaN where no fold tests the sample.
        ``y_pred``
            ndarray of shape (n_samples,), object; what was read instead, None where
            no fold tests the sample.
        ``is_issue``
            boolean ndarray of shape (n_samples,), where what was read is not the
            label. These are wrong labels and wrong readings; look at the images.

    Raises
    ------
    TypeError
        If `recognizer` is no `CaptchaRecognizer`.
    ValueError
        If the samples cannot be fitted or split.

    References
    ----------
    .. [1] C. Northcutt, L. Jiang, I. Chuang, "Confident Learning: Estimating
       Uncertainty in Dataset Labels", Journal of Artificial Intelligence Research
       70, 2021, section 3.

    Examples
    --------
    >>> from skcaptcha import CaptchaRecognizer
    >>> from skcaptcha.datasets import make_captchas
    >>> from skcaptcha.inspection import find_label_issues
    >>> images, texts = make_captchas(
    ...     60, vocabulary="0123", length=2, size=(24, 48), lines=0, random_state=0
    ... )
    >>> texts[7] = "3" + texts[7][1:] if texts[7][0] != "3" else "0" + texts[7][1:]
    >>> recognizer = CaptchaRecognizer(max_iter=20, random_state=0)
    >>> found = find_label_issues(recognizer, images, texts, cv=2)
    >>> 7 in found.ranking[:5]
    True
    """
    if not isinstance(recognizer, CaptchaRecognizer):
        raise TypeError(
            f"recognizer={recognizer!r} must be a CaptchaRecognizer; of a Pipeline "
            "give its last step, and as X what the steps before it return."
        )
    texts, notices = check_texts(y, whole_floats=is_table(X))
    issue_warnings(notices)
    items = np.asarray(X) if is_table(X) else check_images(X)
    check_same_length(items, texts)
    if not is_table(X):
        items = read_images(
            items, background=recognizer.background, n_jobs=recognizer.n_jobs
        )
    if isinstance(cv, (int, np.integer)) and not isinstance(cv, bool):
        seed = recognizer.random_state
        seed = seed if isinstance(seed, (int, np.integer)) else 0
        cv = KFold(cv, shuffle=True, random_state=seed)
    splits = list(check_cv(cv).split(texts))
    answers = Parallel(n_jobs=n_jobs)(
        delayed(_judge)(clone(recognizer), items, texts, *split) for split in splits
    )
    self_confidence = np.full(len(texts), np.nan)
    y_pred = np.full(len(texts), None, dtype=object)
    for (_, test), (confidence, read) in zip(splits, answers, strict=True):
        self_confidence[test] = confidence
        y_pred[test] = read
    return Bunch(
        ranking=np.argsort(self_confidence, kind="stable"),  # NaN comes last
        self_confidence=self_confidence,
        y_pred=y_pred,
        is_issue=np.array(
            [
                read is not None and exact_match_score([text], [read]) < 1
                for read, text in zip(y_pred, texts, strict=True)
            ]
        ),
    )


def _judge(recognizer, items, texts, train, test):
    """Fit on some samples; return the confidence in the labels of others, and texts."""
    recognizer.fit(_pick(items, train), [texts[i] for i in train])
    X = _pick(items, test)
    vocabulary = recognizer.vocabulary_
    confidence = np.zeros(len(test))
    for k, log_probs in enumerate(recognizer.frame_log_proba(X)):
        text = texts[test[k]]
        if all(symbol in vocabulary for symbol in vocabulary.split(text)):
            symbols = vocabulary.encode(text)
            confidence[k] = np.exp(
                sequence_log_probability(
                    log_probs[:, None], [len(log_probs)], [symbols], blank=BLANK
                )[0]
            )
    return confidence, recognizer.predict(X)


def _pick(items, positions):
    return items[positions] if is_table(items) else [items[i] for i in positions]
