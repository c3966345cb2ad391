"""Self-training: a recognizer that learns from unlabeled images as well."""

import secrets
from collections.abc import ValuesView
from numbers import Integral, Real

import numpy as np
from sklearn.base import BaseEstimator, MetaEstimatorMixin, clone
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, column_or_1d

from skcaptcha._doc_links import DocLinkMixin
from skcaptcha._parameters import (
    RECOGNIZER_PARAMS,
    check_params,
    instance_of,
    interval,
    one_of,
)
from skcaptcha._pseudo_labels import Data, SelfTraining
from skcaptcha._reader import ReaderMixin
from skcaptcha._tables import is_table, learn_table, pick_rows
from skcaptcha._training_data import choose_vocabulary, read_training_data
from skcaptcha._validation import (
    check_device,
    check_same_length,
    check_texts,
    check_weights,
    count,
    describe_lost_nan,
    is_missing,
    issue_warnings,
    iterate_items,
)
from skcaptcha.images._samples import scan_images
from skcaptcha.model.decoding import check_length
from skcaptcha.recognizer import CaptchaRecognizer
from skcaptcha.vocabulary import Vocabulary

__all__ = ["SelfTrainingRecognizer"]

_CONSTRAINTS = {
    "recognizer": [instance_of(CaptchaRecognizer), None],
    "threshold": [interval(Real, 0, 1, open_high=True)],
    "criterion": [one_of("threshold", "k_best")],
    "k_best": [interval(Integral, 1)],
    "max_iter": [interval(Integral, 0), None],
    "vocabulary": RECOGNIZER_PARAMS["vocabulary"],
    "verbose": RECOGNIZER_PARAMS["verbose"],
}


def _make_property(name, doc):
    """Return a property with the value of the fitted recognizer."""

    def get(estimator):
        check_is_fitted(estimator)
        return getattr(estimator.recognizer_, name)

    return property(get, doc=doc)


class SelfTrainingRecognizer(
    DocLinkMixin, ReaderMixin, MetaEstimatorMixin, BaseEstimator
):
    """Recognizer that learns from unlabeled images as well, by reading them.

    Self-training [1]_ as in scikit-learn's ``SelfTrainingClassifier``: what is read
    with confidence of the unlabeled images is learned from as if it were their label.
    The first reading is that of the pretrained weights and, from ten labels on, of a
    network that has learned from the labels, and from what is read surely of characters
    that they lack, by their mean probability, unless one of them reads far fewer labels
    than the other. Later readings are cross-fitted [2]_:
    two networks each learn from half of the texts, distorted at random and with dropout
    [3]_, and read the undistorted images of the other half, so that neither confirms
    what it was taught. In the end a new recognizer learns from all.

    Parameters
    ----------
    recognizer : CaptchaRecognizer, default=None
        The recognizer to clone; None is one with the default parameters.
    threshold : float, default=0.6
        Confidence from which a text is learned from, in [0, 1). Only used with
        ``criterion="threshold"``.
    criterion : {"threshold", "k_best"}, default="threshold"
        Which texts are learned from: those with a confidence of `threshold` at least,
        or the most confident ones, `k_best` more in each round.
    k_best : int, default=100
        How many texts each round adds. Only used with ``criterion="k_best"``.
    max_iter : int or None, default=3
        Largest number of rounds, each of which reads all unlabeled images. With 0 the
        labels alone are learned from; with fewer than two of them it reads as the
        pretrained weights do. None continues until a round changes no text, or two in
        a row neither find more texts nor change fewer.
    vocabulary : str or sequence of str, default=None
        The characters that images may show. None finds them, if `recognizer` has no
        `vocabulary`: those of the labels, and those that are not rare among confident
        texts. Where nearly all letters are of one case, all are taken to be.
    length : int, tuple of int or dict, default=None
        Number of characters of each text, as for `predict`. None finds the numbers
        that are not rare among confident texts, but for those that the labels lack
        though much of the texts has them.
    verbose : bool or int, default=False
        Whether to say on standard error what each round did.

    Attributes
    ----------
    recognizer_ : CaptchaRecognizer
        The fitted recognizer, which reads. Export it, or fine-tune it.
    transduction_ : ndarray of shape (n_samples,), dtype object
        The texts that `recognizer_` learned from: labels, and what was read; None for
        a sample that it did not learn from.
    labeled_iter_ : ndarray of shape (n_samples,)
        The round that found the text of each sample: 0 for a label, -1 for none.
    n_iter_ : int
        Number of rounds.
    termination_condition_ : str
        Why there were no more rounds.

        - ``"max_iter"``: there were `max_iter` of them.
        - ``"all_labeled"``: all samples have a text, and the last round changed none.
        - ``"no_change"``: the last round changed no text, though not all have one; or,
          where `max_iter` is None, the last two neither found more texts nor changed
          fewer.
        - ``"no_improvement"``: a round read fewer labels that it had not learned from
          than the best one before it, by more than one; or a later round had too few
          texts, or its networks agreed on less than half of them. The round before
          it counts.
        - ``"nothing_read"``: too few texts were confident, or the networks that were
          taught them did not agree, so that nothing was learned from them.
    label_scores_ : list of float
        How well labels were read that were not learned from, at first and after each
        round that learned: the mean of the share that was right and of the probability
        of the label. Empty without labels.
    vocabulary_ : Vocabulary
        The characters that can be predicted.
    n_features_in_ : int
        Number of features of a 2-D `X`. Only defined for such.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features of a data frame. Only defined for such.

    See Also
    --------
    load_pretrained : Reads without learning from anything.
    CaptchaRecognizer : Learns from labels alone.

    Notes
    -----
    `predict` and the other methods read as `recognizer_` does. `score` leaves out
    samples without a label, as do the scorers of `skcaptcha.metrics`, so that in a
    cross-validation they count in no test fold; those in the training folds are learned
    from. The `random_state` of `recognizer` makes all of it the same each time.

    References
    ----------
    .. [1] D. Yarowsky, "Unsupervised Word Sense Disambiguation Rivaling Supervised
       Methods", ACL 1995; D.-H. Lee, "Pseudo-Label: The Simple and Efficient
       Semi-Supervised Learning Method for Deep Neural Networks", ICML 2013 workshop.
    .. [2] Two networks that learn from different halves label for each other, as in A.
       Blum, T. Mitchell, "Combining Labeled and Unlabeled Data with Co-Training", COLT
       1998.
    .. [3] Q. Xie, M.-T. Luong, E. Hovy, Q. V. Le, "Self-training with Noisy Student
       improves ImageNet classification", CVPR 2020.

    Examples
    --------
    >>> from skcaptcha import CaptchaRecognizer, SelfTrainingRecognizer
    >>> from skcaptcha.datasets import make_captchas
    >>> images, texts = make_captchas(
    ...     60, vocabulary="abc123", length=3, size=(32, 80), random_state=5
    ... )
    >>> recognizer = CaptchaRecognizer(max_iter=5, batch_size=4, random_state=0)
    >>> reader = SelfTrainingRecognizer(recognizer, vocabulary="abc123", length=3)
    >>> reader = reader.fit(images[:40])  # without a label
    >>> reader.predict(images[40:43])
    array(['213', '2b1', '122'], dtype=object)
    >>> round(reader.score(images[40:], texts[40:]), 1)
    1.0
    """

    def __init__(
        self,
        recognizer=None,
        *,
        threshold=0.6,
        criterion="threshold",
        k_best=100,
        max_iter=3,
        vocabulary=None,
        length=None,
        verbose=False,
    ):
        self.recognizer = recognizer
        self.threshold = threshold
        self.criterion = criterion
        self.k_best = k_best
        self.max_iter = max_iter
        self.vocabulary = vocabulary
        self.length = length
        self.verbose = verbose

    def fit(self, X, y=None):
        """Learn from images of which some, all or none have a label.

        Parameters
        ----------
        X
            As for `CaptchaRecognizer.fit`.
        y : sequence of length n_samples, default=None
            The text that each image shows, a str, and None where it is not known (or
            NaN, or the number -1). None in place of the sequence is for images without
            any label.

        Returns
        -------
        SelfTrainingRecognizer
            The fitted estimator.

        Raises
        ------
        ValueError
            If a parameter, an image or a label is not valid, no label has a length that
            `length` allows, or `recognizer` has a `checkpoint`. The estimator is left
            as it was.
        TypeError, FileNotFoundError
            As in `CaptchaRecognizer.fit`.
        KeyboardInterrupt
            If there was one, by Ctrl-C. The estimator is left as it was.

        Warns
        -----
        sklearn.exceptions.ConvergenceWarning
            If nothing could be learned from the unlabeled images, with what to do; or
            if the recognizer has not learned to read.
        """
        check_params(self, _CONSTRAINTS)
        length = check_length(self.length)  # whose errors say what is allowed
        template = self._make_template()
        template._check_params()
        data, notices = _read_data(template, X, y, length)
        issue_warnings(notices)
        seed = template.random_state
        # None would be NumPy's global generator.
        rng = check_random_state(secrets.randbits(32) if seed is None else seed)
        training = SelfTraining(self, template, data, rng)
        found = training.run()
        recognizer, notices = training.fit_last(found)
        attributes = {
            "recognizer_": recognizer,
            "transduction_": found.texts,
            "labeled_iter_": found.labeled_iter,
            "n_iter_": training.n_iter,
            "termination_condition_": training.condition,
            "label_scores_": training.scores,
        }
        vars(self).update(attributes)  # at once, as another thread may be reading
        issue_warnings(notices)
        return self

    def score(self, X, y, sample_weight=None):
        """Return the exact match on the samples that have a label.

        Parameters
        ----------
        X
            As for `predict`.
        y : sequence of length n_samples
            The text that each image shows, and None (or NaN) where it is not known.
        sample_weight : array-like of shape (n_samples,), default=None
            How much each image counts, at least 0. Those of unlabeled images don't.

        Returns
        -------
        float
            Between 0 and 1.

        Raises
        ------
        ValueError
            If no sample has a label.
        """
        check_is_fitted(self)
        if y is None:
            raise ValueError("requires y to be passed, but the target y is None.")
        labels, missing = fill_unlabeled(y)
        if not missing.any():
            return super().score(X, y, sample_weight)
        if missing.all():
            raise ValueError(
                f"None of {count(len(missing), 'sample')} in y has a label, so that "
                "there is nothing to compare with; in a cross-validation, pass folds "
                "as `cv` that have labels in each test part."
            )
        if not is_table(X):
            X = list(iterate_items(X))
        check_same_length(X, labels)
        kept = np.flatnonzero(~missing)
        weights = check_weights(sample_weight, len(labels))
        if weights is not None:
            weights = weights[kept]
        return super().score(pick_rows(X, kept), [labels[i] for i in kept], weights)

    def iter_frames(self, X, **options):
        """Return an iterator over what `recognizer_` says of each image.

        Parameters
        ----------
        X, **options
            As for `CaptchaRecognizer.iter_frames`.
        """
        check_is_fitted(self)
        return self.recognizer_.iter_frames(X, **options)

    def prepare_images(self, X):
        """Return images as `recognizer_` sees them, as `CaptchaRecognizer` does."""
        check_is_fitted(self)
        return self.recognizer_.prepare_images(X)

    vocabulary_ = _make_property("vocabulary_", "Characters that can be predicted.")
    has_empty_labels_ = _make_property(
        "has_empty_labels_", "Whether labels were empty."
    )
    training_images_ = _make_property("training_images_", "Looks of training images.")
    decoder = _make_property("decoder", "How texts are found.")
    beam_width = _make_property("beam_width", "Width of the beam search.")
    n_features_in_ = _make_property("n_features_in_", "Number of columns of a table.")
    feature_names_in_ = _make_property("feature_names_in_", "Names of these columns.")

    def __sklearn_is_fitted__(self):
        """Tell scikit-learn whether `fit` has been called."""
        return hasattr(self, "recognizer_")

    def __sklearn_tags__(self):
        """Tell scikit-learn what the estimator takes."""
        tags = CaptchaRecognizer().__sklearn_tags__()
        tags.target_tags.required = False
        return tags

    def _make_template(self):
        """Return the recognizer to clone, with the characters that are given."""
        given = CaptchaRecognizer() if self.recognizer is None else self.recognizer
        if given.checkpoint is not None:
            raise ValueError(
                f"checkpoint={str(given.checkpoint)!r} of `recognizer` would be that "
                "of several fits, and each needs a file of its own; set it to None."
            )
        template = clone(given)
        if self.vocabulary is not None:
            template.set_params(vocabulary=self.vocabulary)
        return template


def _read_data(template, X, y, length):
    """Check and return the samples, and warnings; errors have their positions.

    `length` is what `check_length` returned.
    """
    if is_table(X):
        images, table = learn_table(template, X)
        items = list(images)
    else:
        items, table = list(iterate_items(X)), {}
        X = items
    labels, missing = fill_unlabeled([None] * len(items) if y is None else y)
    texts, notices = check_texts(labels, whole_floats=is_table(X))
    notices = describe_lost_nan(y) + notices
    check_same_length(items, texts)
    notices += _describe_lengths(texts, length)
    if any(texts):
        # Reads all images, and tells whether the labels fit them.
        data = read_training_data(template, X, texts, resume=False, n_least=2)
        notices += data.notices
    else:
        if not missing.all():
            raise ValueError(
                f"All {np.count_nonzero(~missing)} labels in y are empty, so that "
                "there is no text to learn from; pass images that show text as well."
            )
        check_device(template.device)
        if template.vocabulary is not None:
            choose_vocabulary(template.vocabulary, None, [])  # raises if it is none
        options = ("background", "n_jobs", "cache_size")
        scan_images(items, **{name: getattr(template, name) for name in options})
    known = np.array(texts, dtype=object)
    known[missing] = None
    return Data(X, items, known, table), notices


def _describe_lengths(texts, length):
    """Return what to warn of if labels have a length that is not allowed.

    It is an error if all have; an empty label may always be.
    """
    if length is None:
        return []
    is_range = isinstance(length, tuple)
    lengths = range(length[0], length[1] + 1) if is_range else length
    odd = [
        i
        for i, text in enumerate(texts)
        if text and len(Vocabulary.split(text)) not in lengths
    ]
    if not odd:
        return []
    allowed = " to ".join(map(str, dict.fromkeys(length)))
    if not is_range:
        allowed = ", ".join(map(str, sorted(length)))
    n_labels = sum(map(bool, texts))
    message = (
        f"{len(odd)} of {count(n_labels, 'label')} in y, such as y[{odd[0]}]="
        f"{texts[odd[0]]!r}, {'has' if len(odd) == 1 else 'have'} a length that "
        f"`length` does not allow ({allowed}); correct it, or the labels."
    )
    if len(odd) == n_labels:
        raise ValueError(message)
    return [(message, UserWarning)]


def fill_unlabeled(y):
    """Return labels with "" in place of missing ones, and where these are."""
    if isinstance(y, str):
        raise TypeError(f"y={y!r} is a single text; pass a sequence of texts.")
    if isinstance(y, ValuesView):  # of a dict
        y = list(y)
    if not isinstance(y, (list, tuple)):
        y = column_or_1d(np.asarray(y), warn=True)
    missing = np.array([is_missing(label) for label in y], dtype=bool)
    return ["" if is_so else y[i] for i, is_so in enumerate(missing)], missing
