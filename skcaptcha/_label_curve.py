"""The curve of a score over the number of labels, as `skcaptcha.inspection` has it."""

import secrets
import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import check_scoring
from sklearn.model_selection import (
    GroupKFold,
    GroupShuffleSplit,
    KFold,
    ShuffleSplit,
    check_cv,
    cross_validate,
)
from sklearn.utils import Bunch, check_random_state

from skcaptcha._power_law import fit_power_law
from skcaptcha._tables import is_table
from skcaptcha._validation import (
    check_images,
    check_same_length,
    check_texts,
    count,
    is_missing,
    issue_warnings,
)
from skcaptcha.metrics import SCORERS

# Share of the labels that tests, where they are not cut into folds.
_TEST_SIZE = 0.25


def label_curve(
    estimator,
    X,
    y,
    *,
    groups=None,
    train_sizes=(0.125, 0.25, 0.5, 1.0),
    cv=None,
    scoring=None,
    n_jobs=None,
    random_state=None,
):
    """Measure how the score grows with the labels, and estimate what more would bring.

    Clones of the estimator are fitted on nested parts of the labels, as by
    scikit-learn's ``learning_curve``, and read images that none of them has learned
    from. A power law that is fitted to the scores says what all of the labels, twice
    and four times as many would give [1]_.

    Parameters
    ----------
    estimator : estimator
        What is to be fitted, not changed: a `CaptchaRecognizer`, a `CaptchaEnsemble`, a
        pipeline or search over them, or any other with ``fit`` and ``score``.
    X
        Images, as for `CaptchaRecognizer.fit`.
    y : sequence of str of length n_samples
        Their labels. None stands for an unlabeled image, for estimators that learn from
        such; these are in each fit and don't count.
    groups : sequence of length n_samples, default=None
        Groups of samples, such as the source of each image. None of them is both in a
        fit and in its test, so that unlabeled samples of a group that is tested are
        left out of the fit.
    train_sizes : sequence of float or int, default=(0.125, 0.25, 0.5, 1.0)
        How many labels to learn from: shares of those that are not held out, in (0, 1],
        or numbers of at least 2.
    cv : int, cross-validation generator, iterable or None, default=None
        What to hold out, once for each repeat of the curve. None is one repeat that
        holds out a quarter of the labels; an int is that many repeats, each of which
        holds out another of as many folds. Repeats cost as many fits and make the
        estimate surer.
    scoring : str, callable or None, default=None
        A scorer, or its name in `skcaptcha.metrics.SCORERS` or scikit-learn. Its scores
        are from 0 to 1, or from -1 to 0 if it is of an error. None is the exact match.
    n_jobs : int, default=None
        Parallel fits. ``None`` is 1 unless in a ``joblib.parallel_config`` context.
    random_state : int, RandomState instance or None, default=None
        Determines the parts and what is held out. Pass an int for the same ones each
        time; also set that of the estimator.

    Returns
    -------
    Bunch
        ``train_sizes``
            ndarray of shape (n_sizes,), the numbers of labels, increasing.
        ``test_scores``
            ndarray of shape (n_sizes, n_repeats), the scores.
        ``n_tested``
            ndarray of shape (n_repeats,), the number of images behind each.
        ``fit_times``
            ndarray of shape (n_sizes, n_repeats), the seconds that each fit took.
        ``converged``
            boolean ndarray of shape (n_sizes, n_repeats), whether each fit has learned
            to read at all.
        ``power_law``
            `PowerLaw`, which answers for any number of labels, and for any score how
            many labels it takes.
        ``estimate_sizes``
            ndarray of shape (3,): the number of labels in `y`, twice and four times it.
        ``estimates``
            ndarray of shape (3,), the scores that these would give.
        ``estimate_intervals``
            ndarray of shape (3, 2), the 95 % intervals of these.

    Raises
    ------
    TypeError
        If `estimator` cannot be fitted.
    ValueError
        If there are too few labels, `train_sizes` are out of range, a score is not one
        that a power law could be fitted to, or the samples cannot be fitted or split.

    Warns
    -----
    sklearn.exceptions.ConvergenceWarning
        If fits have not learned to read, with their number; once.

    See Also
    --------
    fit_power_law : The estimate from scores that are there already.
    skcaptcha.plotting.LabelCurveDisplay : Draws the curve.

    References
    ----------
    .. [1] R. L. Figueroa, Q. Zeng-Treitler, S. Kandula, L. H. Ngo, "Predicting sample
       size required for classification performance", BMC Medical Informatics and
       Decision Making 12(8), 2012.

    Examples
    --------
    >>> from skcaptcha import CaptchaRecognizer
    >>> from skcaptcha.datasets import make_captchas
    >>> from skcaptcha.inspection import label_curve
    >>> images, texts = make_captchas(
    ...     80, vocabulary="0123", length=2, size=(24, 48), lines=0, random_state=0
    ... )
    >>> recognizer = CaptchaRecognizer(image_height=24, max_iter=8, random_state=0)
    >>> curve = label_curve(
    ...     recognizer, images, texts, train_sizes=[0.25, 1.0], random_state=0
    ... )
    >>> curve.train_sizes, curve.estimate_sizes
    (array([15, 60]), array([ 80, 160, 320]))
    >>> bool(curve.estimates[0] <= curve.estimates[1] <= curve.estimates[2])
    True
    """
    if not hasattr(estimator, "fit"):
        raise TypeError(
            f"estimator={estimator!r} has no fit, and the curve is made of fits; pass "
            "a CaptchaRecognizer, say."
        )
    scorer = _check_scoring(estimator, scoring)
    items = X if is_table(X) else check_images(X)
    labels = _check_labels(y, is_table(X))
    n_items = items.shape[0] if hasattr(items, "shape") else len(items)
    check_same_length(range(n_items), labels)
    seed = secrets.randbits(32) if random_state is None else random_state
    splits = _split_labels(cv, labels, groups, check_random_state(seed))
    sizes = _choose_sizes(train_sizes, min(len(train) for train, *_ in splits))
    parts = [
        (np.concatenate([train[:size], unlabeled]), test)
        for size in sizes
        for train, unlabeled, test in splits
    ]
    with warnings.catch_warnings():
        # That few labels are too few is what the curve shows, and is said once below.
        warnings.simplefilter("ignore", ConvergenceWarning)
        found = cross_validate(
            estimator,
            items,
            labels,
            scoring={"score": scorer, "converged": _has_learned},
            cv=parts,
            n_jobs=n_jobs,
            error_score="raise",
        )
    shape = len(sizes), len(splits)
    scores = found["test_score"].reshape(shape)
    n_tested = np.array([len(test) for *_, test in splits])
    converged = found["test_converged"].reshape(shape) == 1
    law = _fit_law(sizes, scores, n_tested, scorer, scoring)
    n_labels = sum(label is not None for label in labels)
    estimate_sizes = n_labels * np.array([1, 2, 4])
    estimates, intervals = law.predict(estimate_sizes, return_interval=True)
    if not converged.all():
        few = sizes[~converged.all(axis=1)].tolist()
        warnings.warn(
            f"{(~converged).sum()} of {count(converged.size, 'fit')} have not learned "
            f"to read, from {', '.join(map(str, few))} labels; their scores count like "
            "the others, so that the estimate is less sure.",
            ConvergenceWarning,
            stacklevel=2,
        )
    return Bunch(
        train_sizes=sizes,
        test_scores=scores,
        n_tested=n_tested,
        fit_times=found["fit_time"].reshape(shape),
        converged=converged,
        power_law=law,
        estimate_sizes=estimate_sizes,
        estimates=estimates,
        estimate_intervals=intervals,
    )


def _check_scoring(estimator, scoring):
    """Return a single scorer, known by its name here or to scikit-learn."""
    if not (scoring is None or isinstance(scoring, str) or callable(scoring)):
        raise TypeError(f"scoring={scoring!r} must be one scorer, or the name of one.")
    if isinstance(scoring, str):
        scoring = SCORERS.get(scoring, scoring)
    return check_scoring(estimator, scoring=scoring)


def _check_labels(y, of_table):
    """Return the labels as a list of str, and of None where one is missing."""
    missing = [is_missing(label) for label in ([] if y is None else y)]
    if any(missing):  # an empty text keeps its place
        y = ["" if m else label for m, label in zip(missing, y, strict=True)]
    labels, notices = check_texts(y, whole_floats=of_table)
    issue_warnings(notices)
    return [None if m else text for m, text in zip(missing, labels, strict=True)]


def _split_labels(cv, labels, groups, rng):
    """Return three arrays of positions for each repeat.

    They are those of the labels to learn from, shuffled, of the unlabeled samples that
    are learned from as well, and of the labels that test.
    """
    missing = np.array([label is None for label in labels])
    labeled, unlabeled = np.flatnonzero(~missing), np.flatnonzero(missing)
    if len(labeled) < 4:
        raise ValueError(
            f"y has {count(len(labeled), 'label')}; a curve takes 4 at least, and some "
            "dozens to say much."
        )
    if groups is not None:
        if len(groups) != len(labels):
            raise ValueError(
                f"groups has {len(groups)} items and there are {len(labels)} samples; "
                "pass one for each sample."
            )
        all_groups = np.asarray(groups)
        of_unlabeled, groups = all_groups[unlabeled], all_groups[labeled]
    seed = int(rng.randint(2**31 - 1))
    if cv is None:
        splitter = ShuffleSplit if groups is None else GroupShuffleSplit
        cv = splitter(1, test_size=_TEST_SIZE, random_state=seed)
    elif isinstance(cv, (int, np.integer)) and not isinstance(cv, bool):
        splitter = KFold if groups is None else GroupKFold
        cv = splitter(cv, shuffle=True, random_state=seed)
    if hasattr(cv, "split") and not isinstance(cv, str):
        texts = [labels[i] for i in labeled]
        splits = [
            (labeled[train], unlabeled, labeled[test])
            for train, test in cv.split(texts, texts, groups)
        ]
        if groups is not None:
            splits = [
                (train, unlabeled[~np.isin(of_unlabeled, all_groups[test])], test)
                for train, _, test in splits
            ]
    else:  # of positions in X
        splits = [
            (
                np.intersect1d(train, labeled),
                np.intersect1d(train, unlabeled),
                np.intersect1d(test, labeled),
            )
            for train, test in check_cv(cv).split()
        ]
    for number, (train, _, test) in enumerate(splits):
        if len(train) < 2 or not len(test):
            raise ValueError(
                f"cv={cv!r} gives repeat {number} {len(train)} labels to learn from "
                f"and {len(test)} to test; 2 and 1 are the least."
            )
    return [(rng.permutation(train), *rest) for train, *rest in splits]


def _choose_sizes(train_sizes, n_most):
    """Return numbers of labels, increasing, each at least 2 and at most `n_most`."""
    sizes = np.atleast_1d(np.asarray(train_sizes))
    if sizes.ndim != 1 or not sizes.size or sizes.dtype.kind not in "iuf":
        raise ValueError(f"train_sizes={train_sizes!r} must be shares or numbers.")
    if sizes.dtype.kind == "f":
        if not ((sizes > 0) & (sizes <= 1)).all():
            raise ValueError(
                f"train_sizes={train_sizes!r} must be shares in (0, 1], or ints."
            )
        sizes = np.maximum(2, np.rint(sizes * n_most).astype(np.int64))
    elif sizes.min() < 2 or sizes.max() > n_most:
        raise ValueError(
            f"train_sizes={train_sizes!r} must be from 2 to {n_most}, the number of "
            "labels that are not held out."
        )
    return np.unique(sizes)


def _has_learned(estimator, X, y):
    """Tell, as a scorer, whether all networks of an estimator have learned to read."""
    estimator = getattr(estimator, "best_estimator_", estimator)
    if hasattr(estimator, "steps"):
        return _has_learned(estimator[-1], X, y)
    parts = getattr(estimator, "estimators_", [])
    parts = [*parts, getattr(estimator, "recognizer_", estimator)]
    return float(all(getattr(part, "converged_", True) for part in parts))


def _fit_law(sizes, scores, n_tested, scorer, scoring):
    """Return the `PowerLaw` of the scores, each weighed by the images that it is of."""
    best = 1.0 if getattr(scorer, "_sign", 1) > 0 else 0.0
    odd = scores[~((scores >= best - 1) & (scores <= best))]
    if odd.size:
        raise ValueError(
            f"scoring={scoring!r} gave {odd[0]:g}, and a power law is fitted to scores "
            f"from {best - 1:g} to {best:g}; pass another scorer, such as exact_match."
        )
    n_labels, weights = np.broadcast_arrays(sizes[:, None], n_tested)
    return fit_power_law(n_labels.ravel(), scores.ravel(), weights.ravel(), best=best)
