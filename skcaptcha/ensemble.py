"""Several recognizers that read together."""

import itertools
import math
import secrets
from functools import partial
from numbers import Integral

import numpy as np
from joblib import Parallel, delayed
from scipy.special import logsumexp
from sklearn.base import BaseEstimator, MetaEstimatorMixin, _fit_context, clone
from sklearn.model_selection import KFold, check_cv
from sklearn.utils import _safe_indexing, check_random_state
from sklearn.utils.validation import check_is_fitted

from skcaptcha._reader import collect, score_reading
from skcaptcha._skipping import Skipped
from skcaptcha._validation import is_table, iterate_items
from skcaptcha.model.decoding import beam_search, check_length, sequence_log_probability
from skcaptcha.recognizer import CaptchaRecognizer
from skcaptcha.vocabulary import BLANK

__all__ = ["CaptchaEnsemble"]


class CaptchaEnsemble(MetaEstimatorMixin, BaseEstimator):
    """Recognizers that each learned from another part of the images, reading together.

    One recognizer is fitted on the training part of each fold of a cross-validation,
    and measured on the rest of it. An image is read by all of them [1]_: of the texts
    that they read, the one with the greatest probability, averaged over all, is
    returned. That is more often right than what one recognizer reads that learned
    from all images, and takes as many times as long as there are folds, both to fit
    and to read.

    Parameters
    ----------
    estimator : CaptchaRecognizer, default=None
        What is cloned for each fold; None is one with the default parameters.
    cv : int, cross-validation generator or iterable, default=5
        The folds: a number of them, shuffled, or anything else that scikit-learn's
        ``cross_val_score`` takes.
    n_jobs : int, default=None
        Processes that fit the recognizers, as for `joblib.Parallel`. None is 1 unless
        in a ``joblib.parallel_config`` context; -1 is one for each core. On a GPU
        they would share its memory.
    random_state : int, RandomState instance or None, default=None
        Determines the folds where `cv` is a number, and the `random_state` of each
        recognizer. None leaves the recognizers that of `estimator`.

    Attributes
    ----------
    estimators_ : list of CaptchaRecognizer
        The fitted recognizers, one a fold.
    cv_scores_ : ndarray of shape (n_folds,)
        Exact match of each recognizer on the images of its fold, from which it has not
        learned: an estimate of what a single one of them reads; together they are
        better.
    vocabulary_ : Vocabulary
        The characters that can be read, the same ones for all.
    n_features_in_ : int
        Number of features of a 2-D `X`. Only defined for such.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features of a data frame. Only defined for such.

    See Also
    --------
    CaptchaRecognizer : A single one.

    References
    ----------
    .. [1] B. Lakshminarayanan, A. Pritzel, C. Blundell, "Simple and Scalable
       Predictive Uncertainty Estimation using Deep Ensembles", NeurIPS 2017: the
       members' probabilities are averaged. They learn from other folds here, as in
       A. Krogh, J. Vedelsby, "Neural Network Ensembles, Cross Validation, and Active
       Learning", NeurIPS 1994.

    Examples
    --------
    >>> from skcaptcha import CaptchaEnsemble, CaptchaRecognizer
    >>> from skcaptcha.datasets import make_captchas
    >>> images, texts = make_captchas(
    ...     60, vocabulary="abc123", length=3, size=(32, 80), random_state=5
    ... )
    >>> recognizer = CaptchaRecognizer(max_iter=20, batch_size=4)
    >>> ensemble = CaptchaEnsemble(recognizer, cv=2, random_state=0)
    >>> ensemble.fit(images[:30], texts[:30])
    CaptchaEnsemble(cv=2, estimator=CaptchaRecognizer(batch_size=4, max_iter=20),
                    random_state=0)
    >>> ensemble.cv_scores_.shape, len(ensemble.estimators_)
    ((2,), 2)
    >>> bool(ensemble.score(images[30:], texts[30:]) > 0.8)
    True
    """

    _parameter_constraints = {
        "estimator": [CaptchaRecognizer, None],
        "cv": ["cv_object"],
        "n_jobs": [Integral, None],
        "random_state": ["random_state"],
    }

    def __init__(self, estimator=None, *, cv=5, n_jobs=None, random_state=None):
        self.estimator = estimator
        self.cv = cv
        self.n_jobs = n_jobs
        self.random_state = random_state

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y):
        """Fit a recognizer on the training part of each fold.

        Parameters
        ----------
        X : sequence of images of length n_samples, or array of shape \
                (n_samples, n_features)
            Images in any form that `CaptchaRecognizer.fit` takes.
        y : sequence of str of length n_samples
            The text that each image shows.

        Returns
        -------
        CaptchaEnsemble
            The fitted estimator.

        Raises
        ------
        ValueError
            If a parameter, an image or a label cannot be used, there are fewer images
            than folds, or `estimator` has a `checkpoint`, which its clones would all
            write to. The estimator is then left as it was.
        TypeError
            If an image or a label has a type that cannot be one.
        FileNotFoundError
            If the file of an image does not exist.

        Warns
        -----
        sklearn.exceptions.ConvergenceWarning
            If a recognizer has not learned to read.
        """
        template = CaptchaRecognizer() if self.estimator is None else self.estimator
        if template.checkpoint is not None:
            raise ValueError(
                f"checkpoint={str(template.checkpoint)!r} of `estimator` would be that "
                "of every recognizer, and each fit needs a file of its own; set it to "
                "None."
            )
        # All is looked at before it is split, so that errors count from the beginning,
        # and that no fold need hold every character.
        template._validate_params()
        probe = clone(template)
        items, texts = probe._check_data(X, y, False, least=2, stacklevel=5)
        vocabulary = probe._read_samples(items, texts, False)[0]
        images = X if is_table(X) else items
        seed = self.random_state
        # For scikit-learn None is NumPy's global generator, which a fit would advance.
        rng = check_random_state(secrets.randbits(32) if seed is None else seed)
        cv = self.cv
        if isinstance(cv, Integral):
            cv = KFold(cv, shuffle=True, random_state=_draw_seed(rng))
        folds = list(check_cv(cv).split(texts, texts))
        members = [clone(template).set_params(vocabulary=vocabulary) for _ in folds]
        if seed is not None:
            for member in members:
                member.set_params(random_state=_draw_seed(rng))
        fitted = Parallel(n_jobs=self.n_jobs)(
            delayed(_fit_and_score)(member, images, texts, *fold)
            for member, fold in zip(members, folds, strict=True)
        )
        self.estimators_ = [member for member, _ in fitted]
        self.cv_scores_ = np.array([score for _, score in fitted])
        return self

    def predict(self, X, *, length=None, vocabulary=None, on_error="raise"):
        """Read images.

        Parameters
        ----------
        X, length, vocabulary, on_error
            As for `CaptchaRecognizer.predict`.

        Returns
        -------
        ndarray of shape (n_samples,), dtype object
            The texts, each a str; None for an image that was skipped.

        Raises
        ------
        NotFittedError
            If `fit` has not been called.
        ValueError, TypeError, FileNotFoundError
            As for `CaptchaRecognizer.predict`.

        Warns
        -----
        skcaptcha.exceptions.SkippedImageWarning
            If images were skipped.
        """

        def pick(candidates, rank):
            best = candidates[0] if len(candidates) == 1 else rank()[0][0]
            return self.vocabulary_.decode(best)

        texts = self._read(X, pick, None, length, vocabulary, on_error)
        return np.array(texts, dtype=object)

    def predict_confidence(self, X, *, length=None, vocabulary=None, on_error="raise"):
        """Return how probable the texts are that `predict` returns.

        Parameters
        ----------
        X, length, vocabulary, on_error
            As for `CaptchaRecognizer.predict`.

        Returns
        -------
        ndarray of shape (n_samples,)
            The mean of the probabilities that the recognizers give each text; NaN for
            an image that was skipped.
        """

        def pick(_, rank):
            return rank()[0][1]

        found = self._read(X, pick, None, length, vocabulary, on_error, missing=np.nan)
        return np.array(found, dtype=np.float64)

    def predict_topk(self, X, k=5, *, length=None, vocabulary=None, on_error="raise"):
        """Return the most probable texts of each image.

        Parameters
        ----------
        X, length, vocabulary, on_error
            As for `predict`.
        k : int, default=5
            Number of texts.

        Returns
        -------
        list of list of (str, float)
            For each image up to `k` texts with their mean probabilities, best first,
            among those that the recognizers find by a beam search; None for an image
            that was skipped.
        """
        if not isinstance(k, Integral) or k < 1:
            raise ValueError(f"k={k!r}; pass an int of at least 1.")

        def pick(_, rank):
            return [
                (self.vocabulary_.decode(symbols), probability)
                for symbols, probability in rank()[:k]
            ]

        return self._read(X, pick, k, length, vocabulary, on_error)

    def score(self, X, y):
        """Return the exact match: the share of images whose whole text is right.

        Parameters
        ----------
        X : iterable of images of length n_samples, or array of shape \
                (n_samples, n_features)
            Images in any form that `fit` takes.
        y : sequence of str of length n_samples
            The text that each image shows.

        Returns
        -------
        float
            Between 0 and 1.
        """
        return score_reading(partial(self.predict, X), X, y)

    @property
    def vocabulary_(self):
        """The characters that can be read."""
        return self._first.vocabulary_

    @property
    def n_features_in_(self):
        """Number of features of a 2-D `X`."""
        return self._first.n_features_in_

    @property
    def feature_names_in_(self):
        """Names of the features of a data frame."""
        return self._first.feature_names_in_

    def __sklearn_is_fitted__(self):
        """Tell scikit-learn whether `fit` has been called."""
        return hasattr(self, "estimators_")

    def __sklearn_tags__(self):
        """Tell scikit-learn what the estimator takes."""
        return CaptchaRecognizer().__sklearn_tags__()

    @property
    def _first(self):
        check_is_fitted(self)
        return self.estimators_[0]

    def _read(self, X, pick, k, length, vocabulary, on_error, *, missing=None):
        """Return what `pick` makes of each image's texts, and of what ranks them."""
        check_is_fitted(self)
        weights = check_length(length)
        weights = weights if isinstance(weights, dict) else {}
        n_members = len(self.estimators_)
        copies = [X] * n_members
        if not is_table(X):
            copies = itertools.tee(iterate_items(X), n_members)
        skipped = Skipped(on_error)
        streams = []
        for member, items in zip(self.estimators_, copies, strict=True):
            search = None
            if k is not None:
                width = max(member.beam_width, k)
                search = partial(beam_search, beam_width=width, n_best=k)
            streams.append(
                member._search(
                    member._check_items(items),
                    skipped,
                    length,
                    vocabulary,
                    search,
                    exact=True,
                )
            )
        del copies  # what all have read need not be kept

        def list_candidates():
            for position, read in _bring_together(streams):
                found, frames = zip(*read, strict=True)
                if k is not None:
                    found = [symbols for best in found for symbols, _ in best]
                candidates = sorted({tuple(map(int, symbols)) for symbols in found})
                yield (
                    position,
                    candidates,
                    partial(rank_texts, candidates, frames, weights),
                )

        found = list_candidates()
        return collect(found, pick, skipped, missing=missing, stacklevel=5)


def rank_texts(candidates, frames, weights=None):
    """Rank texts by the mean of the probabilities that several networks give them.

    Parameters
    ----------
    candidates : list of sequence of int
        Symbols of each text.
    frames : list of ndarray of shape (T, K)
        Log-probabilities of one image by each network; T may differ.
    weights : mapping of int to float, optional
        Weights of the lengths, by which probabilities are multiplied for the ranking.

    Returns
    -------
    list of (sequence of int, float)
        Texts and mean probabilities, best first.

    Examples
    --------
    >>> import numpy as np
    >>> frames = [np.log([[0.3, 0.7, 1e-9]]), np.log([[0.4, 0.1, 0.5]])]
    >>> [(text, round(p, 2)) for text, p in rank_texts([(1,), (2,)], frames)]
    [((1,), 0.4), ((2,), 0.25)]
    """
    n = len(candidates)
    log_probabilities = [
        sequence_log_probability(
            np.repeat(log_probs[:, None], n, axis=1),  # (T, n, K)
            np.full(n, len(log_probs)),
            candidates,
            blank=BLANK,
        )
        for log_probs in frames
    ]
    mean = logsumexp(log_probabilities, axis=0) - math.log(len(frames))
    weight = [math.log((weights or {}).get(len(text), 1.0)) for text in candidates]
    order = np.argsort(-(mean + weight), kind="stable")
    return [(candidates[i], float(np.exp(mean[i]))) for i in order]


def _draw_seed(rng):
    return int(rng.randint(np.iinfo(np.int32).max))


def _fit_and_score(member, images, texts, train, test):
    """Fit on one part, score on the other."""
    X_train, X_test = (_safe_indexing(images, part) for part in (train, test))
    y_train, y_test = (_safe_indexing(texts, part) for part in (train, test))
    member.fit(X_train, y_train)
    return member, member.score(X_test, y_test)


def _bring_together(streams):
    """Yield each position with what all the streams say of it, as soon as they have.

    Parameters
    ----------
    streams : list of iterable of tuple
        Positions, in orders that may differ, and what is said of them. What one of
        them leaves out is left out.

    Yields
    ------
    position : int
    said : list of tuple
        One a stream.
    """
    waiting = {}
    for row in itertools.zip_longest(*streams):
        for stream, item in enumerate(row):
            if item is None:
                continue
            position, *said = item
            waiting.setdefault(position, {})[stream] = said
            if len(waiting[position]) == len(streams):
                found = waiting.pop(position)
                yield position, [found[i] for i in range(len(streams))]
