"""LabelIssuesDisplay: labels that are likely wrong, beside what was read."""

import numpy as np

from skcaptcha._exact_match import check_text_list
from skcaptcha._reader import find_background
from skcaptcha._tables import is_table
from skcaptcha._validation import check_images, check_same_length, count
from skcaptcha.images import read_images
from skcaptcha.inspection import find_label_issues, sort_issues
from skcaptcha.plotting import _axes
from skcaptcha.plotting._estimator import list_rows
from skcaptcha.plotting._grid import GridMixin
from skcaptcha.plotting._predictions import WRONG


class LabelIssuesDisplay(GridMixin):
    """Images in a grid, each under its label and what was read instead.

    The label stands above what was read, which follows ``→``, character under
    character. A label that is likely wrong has a cross and is red, another one has a
    question mark. Small and gray at the right is the confidence of what was read. As in
    a :class:`PredictionDisplay`, quotes show what would not be seen of a text.

    Use :meth:`from_estimator` or :meth:`from_results` to make one.

    Parameters
    ----------
    images : sequence of ndarray of uint8, each of shape (H, W) or (H, W, 3)
        The images, as :func:`skcaptcha.images.read_images` returns them.
    labels : sequence of str of shape (n_samples,)
        Their labels.
    y_pred : sequence of str of shape (n_samples,)
        What was read from each.
    confidence : sequence of float of shape (n_samples,), default=None
        How sure the reader is of what it read. By default it is not shown.
    is_likely_wrong : sequence of bool of shape (n_samples,), default=None
        Which labels are likely wrong. By default none has a cross.

    Attributes
    ----------
    axes_ : ndarray of matplotlib Axes, shape (n_images_shown,)
        Axes of the images shown, row by row.
    figure_ : matplotlib Figure
        Figure that holds them.

    See Also
    --------
    skcaptcha.inspection.find_label_issues : The same as arrays or a data frame.

    Examples
    --------
    >>> from skcaptcha.datasets import make_captchas
    >>> from skcaptcha.plotting import LabelIssuesDisplay
    >>> images, texts = make_captchas(2, random_state=0)
    >>> display = LabelIssuesDisplay(
    ...     images, ["wrong", texts[1]], texts, is_likely_wrong=[True, False]
    ... ).plot()
    >>> print(display.axes_[0].get_title(loc="left").split()[:2])
    ['✗', 'wrong']
    >>> display.figure_.savefig("issues.png", dpi=150)  # doctest: +SKIP
    """

    def __init__(
        self, images, labels, y_pred, *, confidence=None, is_likely_wrong=None
    ):
        self.images = images
        self.labels = labels
        self.y_pred = y_pred
        self.confidence = confidence
        self.is_likely_wrong = is_likely_wrong

    @classmethod
    def from_estimator(cls, estimator, X, y, *, cv=5, n_jobs=None, **options):
        """Look for wrong labels with a recognizer and draw what it found.

        Parameters
        ----------
        estimator : CaptchaRecognizer
            The recognizer to clone, or with ``cv="prefit"`` any fitted reader.
        X, y, cv, n_jobs
            As for :func:`~skcaptcha.inspection.find_label_issues`.
        **options : dict
            Parameters of :meth:`from_results` and :meth:`plot`.

        Returns
        -------
        LabelIssuesDisplay
            The display, drawn. It holds the images shown.

        Raises
        ------
        ImportError, TypeError, ValueError
            As :func:`~skcaptcha.inspection.find_label_issues` and
            :meth:`from_results`.
        """
        found = find_label_issues(estimator, X, y, cv=cv, n_jobs=n_jobs)
        known = {"background": find_background(estimator)}
        shape = getattr(estimator, "image_shape", None)
        known["image_shape"] = getattr(estimator, "image_shape_", shape)
        return cls.from_results(X, y, found, **{**known, **options})

    @classmethod
    def from_results(
        cls,
        X,
        y,
        found,
        *,
        image_shape=None,
        background="white",
        max_images=16,
        **options,
    ):
        """Draw labels that were found to differ from what is read.

        Those that are likely wrong come first, then the other ones, each by the
        probability of the label, the least first. If all labels are read, the least
        probable ones are drawn. No other images are read than those.

        Parameters
        ----------
        X, y
            The images and labels that were judged.
        found : Bunch
            What :func:`~skcaptcha.inspection.find_label_issues` returned.
        image_shape : tuple of int, default=None
            (H, W) or (H, W, C) of the images that the rows of a 2-D `X` hold.
        background : str or tuple of int, default="white"
            Color that shows through transparent pixels.
        max_images : int or None, default=16
            Number of images shown; None shows all that differ.
        **options : dict
            Other parameters of :meth:`plot`. By default the title counts the labels.

        Returns
        -------
        LabelIssuesDisplay
            The display, drawn. It holds the images shown.

        Raises
        ------
        FileNotFoundError, ImageReadError
            If an image cannot be read.
        ValueError
            If `found` is of other samples than `X` and `y`, or no label was judged.
            More errors are those of :meth:`plot`.
        """
        items = list_rows(X, image_shape) if is_table(X) else check_images(X)
        _axes.check_count("max_images", max_images, optional=True)
        labels = check_text_list(y, "y")
        check_same_length(items, labels)
        if len(found.is_issue) != len(labels):
            raise ValueError(
                f"found is of {len(found.is_issue)} samples and there are "
                f"{len(labels)} images; pass what find_label_issues said of these."
            )
        order = sort_issues(found)
        order = order[~np.isnan(found.self_confidence[order])]
        if not len(order):
            raise ValueError("found has no label that was judged; use another `cv`.")
        n_issues = int(found.is_issue.sum())
        order = order[: n_issues or max_images or len(order)][:max_images].tolist()
        options.setdefault("title", _describe(found, n_issues))
        images = []
        for i in order:  # one by one, so that an error names the place in X
            images += read_images([items[i]], background=background, first=i)
        display = cls(
            images,
            [labels[i] for i in order],
            [found.y_pred[i] for i in order],
            confidence=found.confidence[order],
            is_likely_wrong=found.is_likely_wrong[order],
        )
        return display.plot(max_images=max_images, **options)

    def _list_captions(self, fonts):
        self._check_lengths("labels", "y_pred", "is_likely_wrong")
        labels = check_text_list(self.labels, "labels")
        y_pred = check_text_list(self.y_pred, "y_pred")
        wrong, notes = [False] * len(labels), [""] * len(labels)
        if self.is_likely_wrong is not None:
            wrong = self.is_likely_wrong
        if self.confidence is not None:
            n = len(labels)
            confidence = _axes.check_numbers("confidence", self.confidence, "image", n)
            notes = [f"{value:.2f}" for value in confidence]
        return [
            (
                f"{'✗' if is_wrong else '?'} {fonts.show(label)}\n→ {fonts.show(read)}",
                WRONG if is_wrong else None,
                note,
            )
            for label, read, is_wrong, note in zip(
                labels, y_pred, wrong, notes, strict=True
            )
        ]


def _describe(found, n_issues):
    """Say how many labels there are, and how many look wrong."""
    labels = count(len(found.is_issue), "label")
    if not n_issues:
        return f"All of {labels} are read; the least probable ones"
    n_wrong = int(found.is_likely_wrong.sum())
    return f"{n_issues} of {labels} are not read, {n_wrong} of them likely wrong"
