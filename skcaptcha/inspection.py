"""What labels are worth: which are wrong, and what more of them would bring."""

import os

import numpy as np
from sklearn.base import clone
from sklearn.model_selection import KFold
from sklearn.utils import Bunch
from sklearn.utils.parallel import Parallel, delayed

from skcaptcha._label_curve import label_curve
from skcaptcha._labels import name_some
from skcaptcha._optional import import_optional
from skcaptcha._power_law import PowerLaw, fit_power_law
from skcaptcha._reader import ReaderMixin
from skcaptcha._tables import check_text_table, is_table, pick_rows
from skcaptcha._texts import find_texts, label_log_probability
from skcaptcha._training_data import read_training_data
from skcaptcha._validation import (
    check_images,
    check_same_length,
    check_texts,
    count,
    issue_warnings,
)
from skcaptcha.ensemble import list_folds
from skcaptcha.images import read_images
from skcaptcha.images._likeness import SeenImages
from skcaptcha.images._read import is_error
from skcaptcha.metrics import exact_match_score
from skcaptcha.model.decoding import check_length
from skcaptcha.recognizer import CaptchaRecognizer
from skcaptcha.vocabulary import Vocabulary

__all__ = ["PowerLaw", "find_label_issues", "fit_power_law", "label_curve"]

# A mistake is taken for a wrong label where the text read is at least so probable, and
# the label at most so. Of 740 images of captcha_images_v2 with 37 labels made wrong
# these named 41 mistakes, all 37 among them.
_SURE, _NEGLIGIBLE = 0.95, 1e-3


def find_label_issues(recognizer, X, y, *, cv=5, n_jobs=None, as_frame=False):
    """Rank labels by their probability under recognizers that were not fitted on them.

    For each fold of a cross-validation a clone of the recognizer is fitted on the other
    folds. The probability that it gives to a label of the fold is the label's
    self-confidence [1]_. With ``cv="prefit"`` a fitted reader judges images that it was
    not fitted on.

    Parameters
    ----------
    recognizer : CaptchaRecognizer
        The recognizer to clone; it is not changed. With ``cv="prefit"`` a fitted one,
        which may be a `CaptchaEnsemble` or an exported model as well.
    X
        Images, as for `CaptchaRecognizer.fit`.
    y : sequence of str of length n_samples
        The labels, some of which may be wrong.
    cv : int, cross-validation generator, iterable or "prefit", default=5
        How to split. An int is the number of folds, shuffled by the recognizer's
        `random_state` if that is an int, else by 0. With "prefit" nothing is fitted.
    n_jobs : int, default=None
        Parallel fits. ``None`` is 1 unless in a ``joblib.parallel_config`` context.
    as_frame : bool, default=False
        Whether to return a pandas data frame of all this, too, as ``frame``.

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
        ``confidence``
            ndarray of shape (n_samples,), the probability of each predicted text; NaN
            where no fold tests the sample.
        ``is_issue``
            boolean ndarray of shape (n_samples,), where the predicted text is not the
            label: a wrong label or a wrong prediction.
        ``is_likely_wrong``
            boolean ndarray of shape (n_samples,), the issues in which the predicted
            text has a probability of at least 0.95, the label one of at most 0.001, and
            some label the length of the predicted text. These labels are probably
            wrong; look at the images before you change any. A label with a character
            that the reader doesn't know is never among them.

    Raises
    ------
    TypeError
        If `recognizer` is no `CaptchaRecognizer`, or no reader with ``cv="prefit"``.
    ValueError
        If the samples cannot be fitted or split, or an image cannot be read.

    Warns
    -----
    UserWarning
        If labels have characters that a fitted reader does not know, with
        ``cv="prefit"``; it says how many.

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
    if as_frame:  # before the fits
        import_optional("pandas", "pandas", "find_label_issues(as_frame=True)")
    prefit = isinstance(cv, str) and cv == "prefit"
    if not isinstance(recognizer, ReaderMixin if prefit else CaptchaRecognizer):
        raise TypeError(
            f"recognizer={recognizer!r} must be a CaptchaRecognizer; of a Pipeline "
            "pass the last step, and as X the output of the steps before it."
        )
    texts, notices = check_texts(y, whole_floats=is_table(X))
    issue_warnings(notices)
    if is_table(X):
        check_text_table(X)
    items = X if is_table(X) else check_images(X)
    check_same_length(items, texts)
    if prefit:
        notices = []
        found = judge(recognizer, items, texts, notices=notices)
        issue_warnings(notices)
        issues = list_issues(
            texts, *found, is_known=find_known(texts, recognizer.vocabulary_)
        )
        return _add_frame(issues, items, texts) if as_frame else issues
    # Checked before the split, so that errors have the positions in X, and the
    # vocabulary has the characters of all folds.
    recognizer._check_params()
    data = read_training_data(recognizer, items, texts, resume=False, n_least=2)
    issue_warnings(data.notices)
    vocabulary = data.vocabulary
    del data  # with the images in memory
    names = items
    if not is_table(X):
        items = read_images(
            items, background=recognizer.background, n_jobs=recognizer.n_jobs
        )
    if isinstance(cv, (int, np.integer)) and not isinstance(cv, bool):
        seed = recognizer.random_state
        seed = seed if isinstance(seed, (int, np.integer)) else 0
        cv = KFold(cv, shuffle=True, random_state=seed)
    splits = list_folds(cv, texts)
    member = clone(recognizer).set_params(vocabulary=vocabulary)
    results = Parallel(n_jobs=n_jobs)(
        delayed(_fit_and_predict)(clone(member), items, texts, *split)
        for split in splits
    )
    confidence, self_confidence = np.full((2, len(texts)), np.nan)
    y_pred = np.full(len(texts), None, dtype=object)
    for (_, test), found in zip(splits, results, strict=True):
        y_pred[test], confidence[test], self_confidence[test] = found
    issues = list_issues(texts, y_pred, confidence, self_confidence)
    return _add_frame(issues, names, texts) if as_frame else issues


def list_issues(texts, y_pred, confidence, self_confidence, *, is_known=True):
    """Return what `find_label_issues` does.

    `is_known` is what `find_known` returns of the labels: the probability of the others
    says nothing.
    """
    is_issue = np.array(
        [
            read is not None and exact_match_score([text], [read]) < 1
            for read, text in zip(y_pred, texts, strict=True)
        ]
    )
    lengths = {len(Vocabulary.split(text)) for text in texts}
    is_possible = np.array(
        [read is not None and len(Vocabulary.split(read)) in lengths for read in y_pred]
    )
    return Bunch(
        ranking=np.argsort(self_confidence, kind="stable"),  # NaN comes last
        self_confidence=self_confidence,
        y_pred=y_pred,
        confidence=confidence,
        is_issue=is_issue,
        is_likely_wrong=is_issue
        & is_possible
        & is_known
        & (confidence >= _SURE)
        & (self_confidence <= _NEGLIGIBLE),
    )


def find_known(texts, vocabulary):
    """Tell of each label whether a reader knows all of its characters."""
    known = set(vocabulary)
    return np.array([known.issuperset(Vocabulary.split(text)) for text in texts])


def _describe_unknown(texts, vocabulary, ignore_case):
    """Return what to warn of if labels have characters that a reader does not know."""
    known = set(vocabulary)
    if ignore_case:
        known |= set(Vocabulary.split("".join(vocabulary).casefold()))
        texts = [text.casefold() for text in texts]
    unknown = [set(Vocabulary.split(text)) - known for text in texts]
    characters = sorted(set().union(*unknown))
    if not characters:
        return []
    named = name_some(list(map(repr, characters)), "characters")
    n_labels = sum(map(bool, unknown))
    message = (
        f"{n_labels} of {count(len(texts), 'label')} "
        f"{'has' if n_labels == 1 else 'have'} characters that the model does not know "
        f"({named}), so that it can never read them; train it further on such labels."
    )
    return [(message, UserWarning)]


def sort_issues(found):
    """Return the positions, those of labels that are likely wrong first.

    Then come the other issues, then the rest, each by increasing self-confidence.
    `found` is what `find_label_issues` returned.
    """
    return np.lexsort((found.self_confidence, ~found.is_issue, ~found.is_likely_wrong))


def name_item(item):
    """Return the path of an image, or its name in a zip file, or None."""
    if isinstance(item, (str, os.PathLike)):
        return os.fspath(item)
    return getattr(item, "name", None)


def _add_frame(found, items, texts):
    """Add the data frame to what `find_label_issues` returns."""
    pandas = import_optional("pandas", "pandas", "find_label_issues(as_frame=True)")
    columns = {
        "label": texts,
        "y_pred": found.y_pred,
        "confidence": found.confidence,
        "self_confidence": found.self_confidence,
        "is_issue": found.is_issue,
        "is_likely_wrong": found.is_likely_wrong,
    }
    names = [None] if is_table(items) else list(map(name_item, items))
    if None not in names:
        columns = {"filename": names, **columns}
    found.frame = pandas.DataFrame(columns).iloc[sort_issues(found)]
    return found


def _fit_and_predict(recognizer, items, texts, train, test):
    """Fit on some samples; return what `judge` does of others."""
    recognizer.fit(pick_rows(items, train), [texts[i] for i in train])
    notices = []
    texts = [texts[i] for i in test]
    found = judge(recognizer, pick_rows(items, test), texts, notices=notices)
    issue_warnings(notices)
    return found


def judge(
    reader,
    items,
    texts,
    *,
    length=None,
    vocabulary=None,
    ignore_case=False,
    on_error="raise",
    notices,
):
    """Return the texts read, their probability, and that of the labels.

    `length` and `vocabulary` restrict what is read, as for `predict`; an image that is
    too narrow for such a text is read as an empty one. Where an image is skipped the
    text is None and the others are NaN. `notices` gets what there is to warn of; with
    `ignore_case` a character is known if the reader knows it in another case.
    """
    check_length(length)
    allowed = None if vocabulary is None else reader._find_allowed(vocabulary)
    y_pred = np.full(len(texts), None, dtype=object)
    confidence, self_confidence = np.zeros((2, len(texts)))
    seen, n_narrow = SeenImages.of(reader), 0
    for i, frames in reader.iter_frames(
        items, on_error=on_error, notices=notices, seen=seen
    ):
        confidence[i] = self_confidence[i] = np.nan
        if is_error(frames):
            continue
        try:
            ((y_pred[i], confidence[i]),) = find_texts(
                reader, frames, length, allowed, exact=True
            )
        except ValueError:  # a text of this length has no place in the image
            y_pred[i], confidence[i] = "", -np.inf
            n_narrow += 1
        self_confidence[i] = label_log_probability(reader, frames, texts[i])
    notices += seen.describe()
    notices += _describe_unknown(texts, reader.vocabulary_, ignore_case)
    if n_narrow:
        counted = f"{count(n_narrow, 'image')}, read as no text at all"
        message = f"No text of length={length!r} fits into {counted}."
        notices.append((message, UserWarning))
    return y_pred, np.exp(confidence), np.exp(self_confidence)
