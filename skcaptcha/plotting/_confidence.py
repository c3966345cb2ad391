"""ConfidenceDisplay: whether confidence can be believed, and what it is good for."""

import numpy as np

from skcaptcha._exact_match import check_text_pairs
from skcaptcha._intervals import wilson_interval
from skcaptcha.metrics import reliability_curve, risk_coverage_curve
from skcaptcha.plotting import _axes
from skcaptcha.plotting._estimator import Reading

KINDS = ("both", "reliability", "risk_coverage")
DASHED = {"color": "0.3", "linestyle": (0, (4, 3)), "linewidth": 1}


class ConfidenceDisplay:
    """Reliability of the confidence, and risk against coverage.

    The reliability diagram shows for each interval of confidence the exact match of the
    texts in it, as a line, which is the dashed one where the confidence can be
    believed, and the share of the images in it, as bars. The risk-coverage curve shows
    which share of the texts is wrong among those that are accepted, when the surest
    ones are accepted first; the dashed line is the least confidence of those accepted,
    by the scale at the right.

    Use :meth:`from_estimator` or :meth:`from_predictions` to make one.

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
    skcaptcha.metrics.reliability_curve : The reliability in numbers.
    skcaptcha.metrics.risk_coverage_curve : Risk and coverage in numbers.

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
        ImportError, TypeError, ValueError
            If matplotlib is not installed, `ax` is no Axes, or `kind` none of these.
        """
        if kind not in KINDS:
            raise ValueError(f"kind={kind!r} is none of {', '.join(map(repr, KINDS))}.")
        ax = _axes.prepare_axes(ax, (9.6 if kind == "both" else 4.6, 4))
        self.ax_, self.figure_ = ax, ax.figure
        width, height = _axes.measure_axes(ax)
        if kind != "both":
            room = (_axes.measure_margins(ax)[:3] / (4.5, 3.2, 4.5)).min()
            font_size = _axes.choose_font_size(width / 18, height / 23, room)
            draw = self._draw_risk if kind == KINDS[2] else self._draw_reliability
            draw(ax, font_size, width, title)
            self.axes_ = np.array([ax], dtype=object)
            return self
        shape = (1, 2) if width >= height else (2, 1)
        width, height = width / shape[1], height / shape[0]
        font_size = _axes.choose_font_size(width / 18, height / 23)
        _axes.draw_title(ax, [title], 1.2 * font_size, "center")

        room = width - 5 * font_size  # without the labels at the left

        def draw_both(panels):
            self._draw_reliability(panels[0], font_size, room)
            self._draw_risk(panels[1], font_size, room)

        self.axes_ = _axes.draw_panels(ax, draw_both, shape, 2)
        return self

    @classmethod
    def from_estimator(cls, estimator, X, y, **options):
        """Read images with an estimator and draw what its confidence is worth.

        Parameters
        ----------
        estimator : estimator
            A fitted :class:`~skcaptcha.CaptchaRecognizer`, a pipeline that ends in one,
            a search over either, or any other with ``predict`` and
            ``predict_confidence``.
        X : sequence of images, or array of shape (n_samples, n_features)
            Images in any form that the estimator takes; not those that it was fitted
            on, as it is surer of these than of others.
        y : sequence of str of shape (n_samples,)
            What each says.
        **options : dict
            Parameters of :meth:`from_predictions` and :meth:`plot`.

        Returns
        -------
        ConfidenceDisplay
            The display, drawn.

        Raises
        ------
        ImportError, TypeError, ValueError
            As :meth:`from_predictions`; also if the estimator gives no confidence.
        """
        reading = Reading(estimator, X)
        if not hasattr(reading.reader, "predict_confidence"):
            raise TypeError(
                f"estimator={type(reading.reader).__name__} has no predict_confidence; "
                "pass a fitted CaptchaRecognizer, or what you know of its confidence "
                "to ConfidenceDisplay.from_predictions."
            )
        texts, confidence = reading.predict()
        return cls.from_predictions(y, texts, confidence, **options)

    @classmethod
    def from_predictions(
        cls, y_true, y_pred, confidence, *, n_bins=10, strategy="uniform", **options
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
            Whether they are equally wide or hold equally many texts.
        **options : dict
            Parameters of :meth:`plot`.

        Returns
        -------
        ConfidenceDisplay
            The display, drawn.

        Raises
        ------
        ImportError, TypeError, ValueError
            As :meth:`plot`; also if `y_true` or `y_pred` is not a sequence of str,
            lengths differ, or `confidence` or another parameter is out of range.
        """
        y_true, y_pred = check_text_pairs(y_true, y_pred)
        is_right = np.array([t == p for t, p in zip(y_true, y_pred, strict=True)])
        n = len(y_true)
        confidence = _axes.check_numbers("confidence", confidence, "text", n)
        edges, counts, prob_true, prob_pred = reliability_curve(
            is_right, confidence, n_bins=n_bins, strategy=strategy
        )
        coverage, risk, thresholds = risk_coverage_curve(
            is_right,
            confidence.clip(max=1),  # above it by rounding
        )
        display = cls(
            bin_edges=edges,
            counts=counts,
            prob_true=prob_true,
            prob_pred=prob_pred,
            coverage=coverage,
            risk=risk,
            thresholds=thresholds,
        )
        return display.plot(**options)

    def _draw_reliability(self, axes, font_size, room, title=None):
        heights, widths = self.counts / self.counts.sum(), np.diff(self.bin_edges)
        style = {"color": "0.88", "edgecolor": "0.7", "linewidth": 0.5}
        axes.bar(self.bin_edges[:-1], heights, widths, align="edge", **style)
        axes.plot([0, 1], [0, 1], **DASHED)
        full = self.counts > 0
        prob_pred, prob_true = self.prob_pred[full], self.prob_true[full]
        axes.plot(prob_pred, prob_true, "o-", color="black", markersize=font_size / 2)
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.04))
        up = "Exact match (line), share of images (bars)"
        _axes.label_axes(axes, font_size, xlabel="Confidence", ylabel=up)
        _set_ticks(axes.xaxis, axes.yaxis)
        mean = np.average(prob_pred, weights=self.counts[full])
        exact = float(1 - self.risk[-1])
        low, high = wilson_interval(exact, int(self.counts.sum()))
        heading = f"Exact match {exact:.3f} ({low:.3f} to {high:.3f}), "
        heading += f"mean confidence {mean:.3f}"
        _axes.draw_title(axes, [title, heading], font_size, room=room)

    def _draw_risk(self, axes, font_size, room, title=None):
        marker = "o" if len(self.coverage) <= _axes.FEW else None
        style = {"color": "black", "marker": marker, "markersize": font_size / 2}
        axes.plot(self.coverage, self.risk, zorder=3, **style)
        top = max(self.risk.max(), 0.01)
        style = {**DASHED, "marker": marker, "markersize": font_size / 3}
        axes.plot(self.coverage, self.thresholds * top, **style)
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02 * top, 1.04 * top))
        across = "Coverage: share that is accepted"
        up = "Risk: share of these that is wrong"
        _axes.label_axes(axes, font_size, xlabel=across, ylabel=up)
        scales = (lambda y: y / top, lambda y: y * top)
        right = axes.secondary_yaxis("right", functions=scales)
        _axes.label_axes(right, font_size, ylabel="Least confidence accepted (dashed)")
        _set_ticks(axes.xaxis, axes.yaxis, right.yaxis)
        # Not rounded up, as what is more has an error.
        surest = np.floor(1000 * self.coverage[self.risk == 0].max(initial=0)) / 1000
        heading = f"No error among the surest {surest:.1%}"
        _axes.draw_title(axes, [title, heading], font_size, room=room)


def _set_ticks(*several):
    """Give each axis a few round numbers, written as short as they are."""
    for axis in several:
        _axes.set_ticks(axis, [1, 2.5, 5, 10])
        axis.set_major_formatter("{x:g}")
