"""Ensemble of recognizers, fitted on the folds of a cross-validation."""

import secrets
from collections.abc import Iterable
from numbers import Integral

import numpy as np
from sklearn.base import BaseEstimator, MetaEstimatorMixin, clone
from sklearn.model_selection import KFold, check_cv
from sklearn.utils import check_random_state
from sklearn.utils.parallel import Parallel, delayed

from skcaptcha._base import BaseEnsemble
from skcaptcha._doc_links import DocLinkMixin
from skcaptcha._parameters import (
    RANDOM_STATE,
    Constraint,
    check_params,
    instance_of,
    interval,
)
from skcaptcha._tables import pick_rows
from skcaptcha._training_data import read_training_data
from skcaptcha._validation import check_weights, issue_warnings
from skcaptcha.recognizer import CaptchaRecognizer

__all__ = ["CaptchaEnsemble"]


def _is_n_jobs(value):
    return isinstance(value, Integral) and value != 0


_CONSTRAINTS = {
    "estimator": [instance_of(CaptchaRecognizer), None],
    "cv": [
        interval(Integral, 2),
        Constraint(
            "an object implementing 'split', 'get_n_splits'",
            lambda cv: all(hasattr(cv, name) for name in ("split", "get_n_splits")),
        ),
        instance_of(Iterable, description="an iterable"),
        None,
    ],
    "n_jobs": [Constraint("an int other than 0", _is_n_jobs), None],
    "random_state": [RANDOM_STATE, None],
}


class CaptchaEnsemble(DocLinkMixin, BaseEnsemble, MetaEstimatorMixin, BaseEstimator):
    """Ensemble of recognizers fitted on the folds of a cross-validation.

    One recognizer is fitted on the training part of each fold, and scored on its test
    part. Of the texts that they predict, the one with the greatest mean probability
    [1]_ is returned. This can be more accurate than one recognizer fitted on all images
    (:ref:`together` has what was measured), but fitting and prediction take as many
    times as long as there are folds.

    Parameters
    ----------
    estimator : CaptchaRecognizer, default=None
        The recognizer to clone; None is one with the default parameters.
    cv : int, cross-validation generator or iterable, default=5
        The folds: a number of them, shuffled, or anything else that scikit-learn's
        ``cross_val_score`` takes. Of a splitter that needs groups pass the folds
        themselves: ``cv=list(GroupKFold(5).split(X, y, groups))``.
    n_jobs : int, default=None
        Processes that fit the recognizers, as for `joblib.Parallel`. None is 1 unless
        in a ``joblib.parallel_config`` context; -1 is one for each core. On a GPU
        they share its memory.
    random_state : int, RandomState instance or None, default=None
        Determines the folds if `cv` is a number, and the `random_state` of each
        recognizer. None leaves them that of `estimator`.

    Attributes
    ----------
    estimators_ : list of CaptchaRecognizer
        The fitted recognizers.
    cv_scores_ : ndarray of shape (n_folds,)
        Exact match of each recognizer on the test part of its fold. The ensemble was
        more accurate than these wherever it was measured.
    vocabulary_ : Vocabulary
        The characters that can be predicted.
    has_empty_labels_ : bool
        Whether labels were empty, as for a `CaptchaRecognizer`.
    n_features_in_ : int
        Number of features of a 2-D `X`. Only defined for such.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features of a data frame. Only defined for such.

    See Also
    --------
    CaptchaRecognizer : A single recognizer.

    References
    ----------
    .. [1] B. Lakshminarayanan, A. Pritzel, C. Blundell, "Simple and Scalable
       Predictive Uncertainty Estimation using Deep Ensembles", NeurIPS 2017; with
       folds as in A. Krogh, J. Vedelsby, "Neural Network Ensembles, Cross Validation,
       and Active Learning", NeurIPS 1994.

    Examples
    --------
    >>> from skcaptcha import CaptchaEnsemble, CaptchaRecognizer
    >>> from skcaptcha.datasets import make_captchas
    >>> images, texts = make_captchas(
    ...     60, vocabulary="abc123", length=3, size=(32, 80), random_state=5
    ... )
    >>> recognizer = CaptchaRecognizer(max_iter=20, batch_size=4)
    >>> ensemble = CaptchaEnsemble(recognizer, cv=2, random_state=0)
    >>> ensemble = ensemble.fit(images[:30], texts[:30])
    >>> ensemble.predict(images[30:33])
    array(['1b3', '2ca', 'c13'], dtype=object)
    >>> round(ensemble.score(images[30:], texts[30:]), 1)
    1.0
    """

    def __init__(self, estimator=None, *, cv=5, n_jobs=None, random_state=None):
        self.estimator = estimator
        self.cv = cv
        self.n_jobs = n_jobs
        self.random_state = random_state

    def fit(self, X, y, sample_weight=None):
        """Fit a recognizer on the training part of each fold.

        Parameters
        ----------
        X, y, sample_weight
            As for `CaptchaRecognizer.fit`. In `cv_scores_` all samples count alike.

        Returns
        -------
        CaptchaEnsemble
            The fitted estimator.

        Raises
        ------
        ValueError
            If a parameter, an image, a label or a weight is not valid, there are fewer
            images than folds, or `estimator` has a `checkpoint`, to which all clones
            would write. The estimator is not changed then.
        TypeError, FileNotFoundError
            As in `CaptchaRecognizer.fit`.

        Warns
        -----
        sklearn.exceptions.ConvergenceWarning
            If a recognizer has not learned to read.
        """
        check_params(self, _CONSTRAINTS)
        template = CaptchaRecognizer() if self.estimator is None else self.estimator
        if template.checkpoint is not None:
            raise ValueError(
                f"checkpoint={str(template.checkpoint)!r} of `estimator` would be that "
                "of every recognizer, and each fit needs a file of its own; set it to "
                "None."
            )
        # Checked before the split, so that errors have the positions in X, and the
        # vocabulary has the characters of all folds.
        template._check_params()
        data = read_training_data(
            template, X, y, sample_weight, resume=False, n_least=2
        )
        issue_warnings(data.notices)
        images, texts, vocabulary = data.X, data.texts, data.vocabulary
        del data  # with the images in memory, which each fit reads for itself
        weights = check_weights(sample_weight, len(texts))
        seed = self.random_state
        # None would be NumPy's global generator.
        rng = check_random_state(secrets.randbits(32) if seed is None else seed)
        cv = self.cv
        if isinstance(cv, Integral):
            cv = KFold(cv, shuffle=True, random_state=draw_seed(rng))
        folds = list_folds(cv, texts)
        members = [clone(template).set_params(vocabulary=vocabulary) for _ in folds]
        if seed is not None:
            for member in members:
                member.set_params(random_state=draw_seed(rng))
        fitted = Parallel(n_jobs=self.n_jobs)(
            delayed(_fit_and_score)(member, images, texts, weights, *fold)
            for member, fold in zip(members, folds, strict=True)
        )
        self.estimators_ = [member for member, _ in fitted]
        self.cv_scores_ = np.array([score for _, score in fitted])
        return self

    def __sklearn_tags__(self):
        """Tell scikit-learn what the estimator takes."""
        return CaptchaRecognizer().__sklearn_tags__()


def list_folds(cv, texts):
    """Return the folds of a cross-validation as pairs of arrays of positions."""
    folds = [
        tuple(np.arange(len(texts))[part] for part in fold)
        for fold in check_cv(cv).split(texts, texts)
    ]
    if not folds:
        raise ValueError(
            f"cv={cv!r} yields no folds. A generator yields them once; pass a list of "
            "pairs (train, test) of positions."
        )
    return folds


def draw_seed(rng):
    """Return a seed for another generator."""
    return int(rng.randint(np.iinfo(np.int32).max))


def _fit_and_score(member, images, texts, weights, train, test):
    """Return a recognizer fitted on one part, and its score on the other."""
    X_train, X_test = (pick_rows(images, part) for part in (train, test))
    y_train, y_test = ([texts[i] for i in part] for part in (train, test))
    member.fit(X_train, y_train, None if weights is None else weights[train])
    return member, member.score(X_test, y_test)
