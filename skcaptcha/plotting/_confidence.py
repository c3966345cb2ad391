"""ConfidenceDisplay: whether confidence can be believed, and what it is good for."""

import numpy as np

from skcaptcha.metrics import _check_texts, reliability_curve, risk_coverage_curve
from skcaptcha.plotting._axes import (
    check_count,
    import_pyplot,
    margins_in_points,
    prepare_axes,
    size_in_points,
)
from skcaptcha.plotting._estimator import Reading
from skcaptcha.plotting._lettering import choose_fitting, draw_title

__all__ = ["ConfidenceDisplay"]

LARGEST, SMALLEST = 10.0, 4.0  # font size in points
KINDS = ("both", "reliability", "risk_coverage")
# Points up to which each has a marker, without which a single one would not be seen.
FEW = 30


class ConfidenceDisplay:
    """Reliability of the confidence, and risk against coverage.

    The reliability diagram shows for each interval of confidence the exact match of the
    texts in it, as a line, which is the dashed one where the confidence can be
    believed, and the share of the images in it, as bars. The risk-coverage curve shows
    which share of the texts is wrong among those that are accepted, when the surest
    ones are accepted first; the dashed line is the least confidence of those accepted,
    by the scale at the right.

    Use :meth:`from_estimator` or :meth:`from_predictions` to make one. All parameters
    are stored as attributes.

    Parameters
    ----------
    bin_edges : ndarray of shape (n_bins + 1,)
        Ends of the intervals of confidence, rising from 0 to 1.
    counts : ndarray of shape (n_bins,)
        Number of texts in each.
    prob_true, prob_pred : ndarray of shape (n_bins,)
        Exact match and mean confidence of each, NaN where there is no text.
    coverage : ndarray of shape (n_thresholds,)
        Share of the texts with at least the confidence of each threshold, rising to 1.
    risk : ndarray of shape (n_thresholds,)
        Share of the wrong ones among these.
    thresholds : ndarray of shape (n_thresholds,)
        The confidences that occur, falling.

    Attributes
    ----------
    axes_ : ndarray of matplotlib Axes, shape (n_kinds,)
        Axes of the reliability diagram, the risk-coverage curve, or both.
    ax_ : matplotlib Axes
        Axes whose area they share; of a single one, its own.
    figure_ : matplotlib Figure
        Figure that holds them.

    See Also
    --------
    sklearn.calibration.CalibrationDisplay : The same for classifiers.

    References
    ----------
    Y. Geifman, R. El-Yaniv, "Selective Classification for Deep Neural Networks",
    NeurIPS 2017, for risk and coverage.

    Examples
    --------
    >>> from skcaptcha.plotting import ConfidenceDisplay
    >>> display = ConfidenceDisplay.from_predictions(
    ...     ["ab", "cd", "ef", "gh"], ["ab", "cd", "ef", "g"], [0.9, 0.8, 0.7, 0.2]
    ... )
    >>> display.coverage
    array([0.25, 0.5 , 0.75, 1.  ])
    >>> display.risk
    array([0.  , 0.  , 0.  , 0.25])
    >>> display.figure_.savefig("confidence.png", dpi=150)  # doctest: +SKIP
    """

    def __init__(
        self, *, bin_edges, counts, prob_true, prob_pred, coverage, risk, thresholds
    ):
        self.bin_edges = bin_edges
        self.counts = counts
        self.prob_true = prob_true
        self.prob_pred = prob_pred
        self.coverage = coverage
        self.risk = risk
        self.thresholds = thresholds

    def plot(self, *, kind="both", ax=None, title=None):
        """Draw the reliability diagram, the risk-coverage curve, or both.

        Parameters
        ----------
        kind : {"both", "reliability", "risk_coverage"}, default="both"
            What to draw. Both stand side by side, or one above the other in axes that
            are higher than wide.
        ax : matplotlib Axes, default=None
            Axes to draw on, or whose area both share. By default a new figure is made.
        title : str, default=None
            Heading above all.

        Returns
        -------
        ConfidenceDisplay
            This object.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        TypeError
            If `ax` is no Axes.
        ValueError
            If `kind` is none of these.

        Examples
        --------
        >>> from skcaptcha.plotting import ConfidenceDisplay
        >>> display = ConfidenceDisplay.from_predictions(["a"], ["a"], [0.9])
        >>> display.plot(kind="risk_coverage").axes_.shape
        (1,)
        """
        pyplot = import_pyplot(self)
        if kind not in KINDS:
            raise ValueError(f"kind={kind!r} is none of {', '.join(map(repr, KINDS))}.")
        both = kind == "both"
        ax = prepare_axes(pyplot, ax, figsize=(9.6, 4) if both else (4.6, 4))
        size, margins = size_in_points(ax), margins_in_points(ax)
        beside = both and size[0] >= size[1]
        n_across, n_down = (2, 1) if beside else (1, 2) if both else (1, 1)
        font_size = min(
            LARGEST,
            size[0] / (18 * n_across),
            size[1] / (12 * n_down),
            margins[0] / 4.5,
            margins[1] / 3.2,
            margins[2] / 4.5,
        )
        font_size = max(SMALLEST, font_size)
        self.ax_, self.figure_ = ax, ax.figure
        self.axes_ = np.array([ax], dtype=object)
        if both:
            # Room for the labels between them, and for the headings above, in points.
            across, down, above = np.array([8.5, 6, 1.6]) * font_size
            width, height = size[0], size[1] - above
            if beside:
                width = (width - across) / 2
            else:
                height = (height - down) / 2
            panel = width / size[0], height / size[1]
            ax.set_axis_off()
            draw_title(ax, title, 1.2 * font_size)
            self.axes_ = np.array(
                [
                    ax.inset_axes((0, (size[1] - above - height) / size[1], *panel)),
                    ax.inset_axes((1 - panel[0], 0, *panel)),
                ]
            )
            size, title = (width, height), None
        if kind != "risk_coverage":
            self._draw_reliability(self.axes_[0], size, font_size, title)
        if kind != "reliability":
            self._draw_risk(self.axes_[-1], size, font_size, title)
        return self

    @classmethod
    def from_estimator(
        cls,
        estimator,
        X,
        y,
        *,
        n_bins=10,
        strategy="uniform",
        kind="both",
        ax=None,
        title=None,
    ):
        """Read images with an estimator and draw what its confidence is worth.

        Parameters
        ----------
        estimator : estimator
            A fitted :class:`~skcaptcha.CaptchaRecognizer`, a pipeline that ends in one,
            a search over either, or any other with ``predict`` and
            ``predict_confidence``.
        X : sequence of images, or array of shape (n_samples, n_features)
            Images in any form that the estimator takes; not those that it was fitted
            on, of which it is surer than of others.
        y : sequence of str of shape (n_samples,)
            What each says.
        n_bins : int, default=10
            Number of intervals of confidence.
        strategy : {"uniform", "quantile"}, default="uniform"
            Whether the intervals are equally wide or hold equally many texts.
        kind : {"both", "reliability", "risk_coverage"}, default="both"
            What to draw.
        ax : matplotlib Axes, default=None
            Axes to draw on, or whose area both share. By default a new figure is made.
        title : str, default=None
            Heading above all.

        Returns
        -------
        ConfidenceDisplay
            The display, drawn.

        Raises
        ------
        ImportError, TypeError, ValueError
            As :meth:`from_predictions`; a TypeError also if the estimator gives no
            confidence.

        Examples
        --------
        >>> from skcaptcha.datasets import make_captchas
        >>> from skcaptcha.plotting import ConfidenceDisplay
        >>> class Reader:
        ...     def predict(self, X):
        ...         return ["2b827"] * len(X)
        ...
        ...     def predict_confidence(self, X):
        ...         return [0.1] * len(X)
        >>> images, texts = make_captchas(4, random_state=0)
        >>> ConfidenceDisplay.from_estimator(Reader(), images, texts).risk
        array([1.])
        """
        reading = Reading(estimator, X)
        confidence = reading.predict_confidence()
        if confidence is None:
            raise TypeError(
                f"estimator={type(reading.reader).__name__} has no predict_confidence; "
                "pass a fitted CaptchaRecognizer, or what you know of its confidence "
                "to ConfidenceDisplay.from_predictions."
            )
        return cls.from_predictions(
            y,
            reading.predict(),
            confidence,
            n_bins=n_bins,
            strategy=strategy,
            kind=kind,
            ax=ax,
            title=title,
        )

    @classmethod
    def from_predictions(
        cls,
        y_true,
        y_pred,
        confidence,
        *,
        n_bins=10,
        strategy="uniform",
        kind="both",
        ax=None,
        title=None,
    ):
        """Draw what the confidence in texts is worth.

        Parameters
        ----------
        y_true, y_pred : sequence of str of shape (n_samples,)
            True and predicted texts, at least one.
        confidence : sequence of float of shape (n_samples,)
            How sure the reader is of each predicted text, from 0 to 1.
        n_bins : int, default=10
            Number of intervals of confidence.
        strategy : {"uniform", "quantile"}, default="uniform"
            Whether the intervals are equally wide or hold equally many texts.
        kind : {"both", "reliability", "risk_coverage"}, default="both"
            What to draw.
        ax : matplotlib Axes, default=None
            Axes to draw on, or whose area both share. By default a new figure is made.
        title : str, default=None
            Heading above all.

        Returns
        -------
        ConfidenceDisplay
            The display, drawn.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        TypeError
            If `y_true` or `y_pred` is not a sequence of str, or `ax` is no Axes.
        ValueError
            If lengths differ, `confidence` holds something other than numbers from 0 to
            1, or another parameter is out of range.

        Examples
        --------
        >>> from skcaptcha.plotting import ConfidenceDisplay
        >>> display = ConfidenceDisplay.from_predictions(
        ...     ["a", "b", "c"], ["a", "b", "x"], [0.9, 0.95, 0.3], n_bins=2
        ... )
        >>> display.counts, display.prob_true
        (array([1, 2]), array([0., 1.]))
        """
        y_true, y_pred = _check_texts(y_true, y_pred)
        is_right = np.array([t == p for t, p in zip(y_true, y_pred, strict=True)])
        confidence = _check_confidence(confidence, len(is_right))
        check_count("n_bins", n_bins)
        if strategy not in ("uniform", "quantile"):
            raise ValueError(f"strategy={strategy!r} must be 'uniform' or 'quantile'.")
        edges, counts, prob_true, prob_pred = reliability_curve(
            is_right, confidence, n_bins=n_bins, strategy=strategy
        )
        coverage, risk, thresholds = risk_coverage_curve(is_right, confidence)
        display = cls(
            bin_edges=edges,
            counts=counts,
            prob_true=prob_true,
            prob_pred=prob_pred,
            coverage=coverage,
            risk=risk,
            thresholds=thresholds,
        )
        return display.plot(kind=kind, ax=ax, title=title)

    def _draw_reliability(self, axes, size, font_size, title):
        shares = self.counts / self.counts.sum()
        axes.bar(
            self.bin_edges[:-1],
            shares,
            np.diff(self.bin_edges),
            align="edge",
            color="0.88",
            edgecolor="0.7",
            linewidth=0.5,
        )
        axes.plot([0, 1], [0, 1], color="0.3", linestyle=(0, (4, 3)), linewidth=1)
        full = self.counts > 0
        axes.plot(
            self.prob_pred[full],
            self.prob_true[full],
            color="black",
            marker="o",
            markersize=0.5 * font_size,
        )
        exact_match = 1 - self.risk[-1]
        mean = np.average(self.prob_pred[full], weights=self.counts[full])
        headings = [
            f"Exact match {exact_match:.3f}, mean confidence {mean:.3f}",
            f"Exact match {exact_match:.3f}, confidence {mean:.3f}",
            f"{exact_match:.3f} right, {mean:.3f} sure",
            "Reliability",
        ]
        across = ["Confidence"]
        up = ["Exact match (line), share of images (bars)", "Exact match, share", ""]
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.04))
        _letter(axes, title, headings, across, up, size, font_size)

    def _draw_risk(self, axes, size, font_size, title):
        marker = "o" if len(self.coverage) <= FEW else None
        axes.plot(
            self.coverage,
            self.risk,
            color="black",
            marker=marker,
            markersize=0.5 * font_size,
            zorder=3,
        )
        top = max(self.risk.max(), 0.01)
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02 * top, 1.04 * top))
        flawless = self.coverage[self.risk == 0]
        # Not rounded up, as what is more has an error.
        surest = np.floor(1000 * flawless.max(initial=0)) / 1000
        headings = [
            f"No error among the surest {surest:.1%}",
            f"No error in {surest:.1%}",
            "Risk and coverage",
            "Risk",
        ]
        across = ["Coverage: share that is accepted", "Coverage"]
        up = ["Risk: share of these that is wrong", "Risk"]
        _letter(axes, title, headings, across, up, size, font_size)

        axes.plot(
            self.coverage,
            self.thresholds * top,
            color="0.3",
            linestyle=(0, (4, 3)),
            linewidth=1,
            marker=marker,
            markersize=0.3 * font_size,
        )
        functions = (lambda y: y / top, lambda y: y * top)
        right = axes.secondary_yaxis("right", functions=functions)
        up = ["Least confidence accepted (dashed)", "Confidence (dashed)"]
        right.set_ylabel(choose_fitting(up, size[1], 0.9 * font_size))
        _set_ticks(right.yaxis, size[1] / 2.5, font_size)


def _letter(axes, title, headings, across, up, size, font_size):
    """Write the heading and the labels that fit, and give each axis its ticks."""
    axes.set_facecolor("white")  # whatever the style, as lines are black
    heading = choose_fitting(headings, size[0], font_size)
    axes.set_xlabel(choose_fitting(across, size[0], 0.9 * font_size))
    axes.set_ylabel(choose_fitting(up, size[1], 0.9 * font_size))
    _set_ticks(axes.xaxis, size[0] / 4, font_size)
    _set_ticks(axes.yaxis, size[1] / 2.5, font_size)
    draw_title(axes, f"{title}\n{heading}" if title else heading, font_size, "left")


def _set_ticks(axis, room, font_size):
    """Give an axis as many ticks as there is room for, and labels of that size."""
    from matplotlib.ticker import MaxNLocator

    n_ticks = max(2, min(5, int(room / font_size)))
    axis.set_major_locator(MaxNLocator(n_ticks, steps=[1, 2, 2.5, 5, 10]))
    axis.set_major_formatter(lambda value, position: f"{value:g}")
    axis.set_tick_params(
        labelsize=0.9 * font_size, length=0.3 * font_size, pad=0.2 * font_size
    )
    axis.label.set_fontsize(0.9 * font_size)
    axis.labelpad = 0.2 * font_size


def _check_confidence(confidence, n_samples):
    """Return the confidence as an array."""
    try:
        values = np.asarray(confidence, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"confidence does not hold numbers alone ({error}); pass one from 0 to 1 "
            "for each text."
        ) from error
    if values.shape != (n_samples,):
        raise ValueError(
            f"confidence has shape {values.shape} and there are {n_samples} texts; "
            "pass one number for each text."
        )
    # Rounding may take what is nearly certain above 1.
    outside = np.flatnonzero(~((values >= 0) & (values <= 1 + 1e-6)))
    if outside.size:
        raise ValueError(
            f"confidence[{outside[0]}]={values[outside[0]]} is not from 0 to 1; pass "
            "probabilities."
        )
    return values.clip(max=1)
