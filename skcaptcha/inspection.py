"""Find wrong labels with the help of a recognizer."""

import numpy as np
from joblib import Parallel, delayed
from sklearn.base import clone
from sklearn.model_selection import KFold, check_cv
from sklearn.utils import Bunch

from skcaptcha._reader import find_texts
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
    """Rank labels by their probability under recognizers not fitted on them.

    For each fold of a cross-validation a clone of the recognizer is fitted on the other
    folds. The probability that it gives to a label of the fold is the label's
    self-confidence [1]_.

    Parameters
    ----------
    recognizer : CaptchaRecognizer
        The recognizer to clone; it is not changed.
    X
        Images, as for `CaptchaRecognizer.fit`.
    y : sequence of str of length n_samples
        The labels, some of which may be wrong.
    cv : int, cross-validation generator or iterable, default=5
        How to split. An int is the number of folds, shuffled by the recognizer's
        `random_state` if that is an int, else by 0.
    n_jobs : int, default=None
        Parallel fits. ``None`` is 1 unless in a ``joblib.parallel_config`` context.

    Returns
    -------
    Bunch
        ``ranking``
            ndarray of shape (n_samples,), the samples by increasing self-confidence:
            the most doubtful labels come first, samples that no fold tests last.
        ``self_confidence``
            ndarray of shape (n_samples,), the probability of each label under CTC;
            NaN where no fold tests the sample.
        ``y_pred``
            ndarray of shape (n_samples,), object; the predicted texts, None where no
            fold tests the sample.
        ``is_issue``
            boolean ndarray of shape (n_samples,), where the predicted text is not the
            label: a wrong label or a wrong prediction.

    Raises
    ------
    TypeError
        If `recognizer` is no `CaptchaRecognizer`.
    ValueError
        If the samples cannot be fitted or split.

    References
    ----------
    .. [1] C. Northcutt, L. Jiang, I. Chuang, "Confident Learning: Estimating
       Uncertainty in Dataset Labels", JAIR 70, 2021, section 3.

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
            "pass the last step, and as X the output of the steps before it."
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
    results = Parallel(n_jobs=n_jobs)(
        delayed(_fit_and_predict)(clone(recognizer), items, texts, *split)
        for split in splits
    )
    self_confidence = np.full(len(texts), np.nan)
    y_pred = np.full(len(texts), None, dtype=object)
    for (_, test), (confidence, read) in zip(splits, results, strict=True):
        self_confidence[test] = confidence
        y_pred[test] = read
    is_issue = [
        read is not None and exact_match_score([text], [read]) < 1
        for read, text in zip(y_pred, texts, strict=True)
    ]
    return Bunch(
        ranking=np.argsort(self_confidence, kind="stable"),  # NaN comes last
        self_confidence=self_confidence,
        y_pred=y_pred,
        is_issue=np.array(is_issue),
    )


def _fit_and_predict(recognizer, items, texts, train, test):
    """Fit on some samples; return self-confidence and predictions of others."""
    recognizer.fit(_pick(items, train), [texts[i] for i in train])
    vocabulary = recognizer.vocabulary_
    self_confidence, y_pred = np.zeros(len(test)), np.empty(len(test), dtype=object)
    frames = recognizer.frame_log_proba(_pick(items, test))
    for k, log_probs in enumerate(frames):
        y_pred[k] = find_texts(recognizer, [log_probs])[0][0]
        text = texts[test[k]]
        if not text and not recognizer.has_empty_labels_:
            continue  # like a character that the fit has not seen
        if all(symbol in vocabulary for symbol in vocabulary.split(text)):
            lengths, symbols = [len(log_probs)], [vocabulary.encode(text)]
            log_probability = sequence_log_probability(
                log_probs[:, None], lengths, symbols, blank=BLANK
            )
            self_confidence[k] = np.exp(log_probability[0])
    return self_confidence, y_pred


def _pick(items, positions):
    return items[positions] if is_table(items) else [items[i] for i in positions]
