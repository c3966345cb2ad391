"""LabelCurveDisplay: how the score grows with the labels, and what is to come."""

import numpy as np

from skcaptcha.inspection import label_curve
from skcaptcha.plotting import _axes

N_POINTS = 100  # of the drawn curve


class LabelCurveDisplay:
    """The score over the number of labels, and what more labels would bring.

    Rings are the scores that were measured, the means of several repeats, whose own are
    dots. The line is the estimate, dashed beyond the labels that were learned from, and
    the gray area its 95 % interval. Squares are at all labels, twice and four times as
    many; the heading has their scores. The numbers of labels have a logarithmic scale.

    Use :meth:`from_estimator` or :meth:`from_results` to make one.

    Parameters
    ----------
    train_sizes : ndarray of int of shape (n_sizes,)
        Numbers of labels that were learned from.
    test_scores : ndarray of shape (n_sizes, n_repeats)
        The score of each fit.
    power_law : PowerLaw
        What estimates the scores.
    estimate_sizes : ndarray of int of shape (n_estimates,)
        Numbers of labels whose estimates are marked.
    score_name : str, default="Exact match"
        What to call the score.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes of the curve.
    figure_ : matplotlib Figure
        Figure that holds them.

    See Also
    --------
    skcaptcha.inspection.label_curve : The curve in numbers.

    Examples
    --------
    >>> import numpy as np
    >>> from skcaptcha.inspection import fit_power_law
    >>> from skcaptcha.plotting import LabelCurveDisplay
    >>> sizes, scores = np.array([50, 100, 200]), np.array([0.68, 0.84, 0.92])
    >>> display = LabelCurveDisplay(
    ...     sizes,
    ...     scores[:, np.newaxis],
    ...     power_law=fit_power_law(sizes, scores, n_tested=300),
    ...     estimate_sizes=np.array([400, 800]),
    ... ).plot()
    >>> display.ax_.get_xlabel()
    'Labels'
    >>> display.figure_.savefig("label_curve.png", dpi=150)  # doctest: +SKIP
    """

    def __init__(
        self,
        train_sizes,
        test_scores,
        *,
        power_law,
        estimate_sizes,
        score_name="Exact match",
    ):
        self.train_sizes = train_sizes
        self.test_scores = test_scores
        self.power_law = power_law
        self.estimate_sizes = estimate_sizes
        self.score_name = score_name

    def plot(self, *, ax=None, title=None):
        """Draw the curve.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on. By default a new figure is made.
        title : str, default=None
            Heading above the estimates.

        Returns
        -------
        LabelCurveDisplay
            This object.

        Raises
        ------
        ImportError, TypeError, ValueError
            If matplotlib is not installed, `ax` is no Axes, or `test_scores` has not a
            row for each of `train_sizes`.
        """
        sizes = _axes.check_numbers("train_sizes", self.train_sizes, "size")
        scores = np.asarray(self.test_scores, dtype=np.float64)
        if scores.ndim != 2 or len(scores) != len(sizes) or not scores.size:
            raise ValueError(
                f"test_scores has shape {scores.shape} and there are {len(sizes)} "
                "train_sizes; pass a row for each size, a column for each repeat."
            )
        marked = _axes.check_numbers("estimate_sizes", self.estimate_sizes, "estimate")
        ax = _axes.prepare_axes(ax, (6.4, 4))
        self.ax_, self.figure_ = ax, ax.figure
        width, height = _axes.measure_axes(ax)
        room = (_axes.measure_margins(ax)[:3] / (4.5, 3.2, 2)).min()
        font_size = _axes.choose_font_size(width / 20, height / 20, room)
        self._draw_estimates(ax, sizes, marked, font_size)
        if scores.shape[1] > 1:
            dots = np.repeat(sizes, scores.shape[1])
            style = {"marker": ".", "markersize": font_size / 2, "linestyle": "none"}
            ax.plot(dots, scores.ravel(), color="0.5", **style)
        style = {"marker": "o", "markersize": font_size / 1.5, "linestyle": "none"}
        ax.plot(sizes, scores.mean(axis=1), mfc="white", mec="black", **style)
        _axes.label_axes(ax, font_size, xlabel="Labels", ylabel=self.score_name)
        _scale_axes(ax, (*sizes, *marked))
        values = self.power_law.predict(marked)
        pairs = zip(values, marked, strict=True)
        heading = ", ".join(f"{value:.3f} from {n:,.0f}" for value, n in pairs)
        _axes.draw_title(ax, [title, f"Estimate: {heading} labels"], font_size)
        return self

    @classmethod
    def from_estimator(
        cls,
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
        score_name=None,
        **options,
    ):
        """Fit an estimator on parts of the labels and draw the curve.

        Parameters
        ----------
        estimator, X, y, groups, train_sizes, cv, scoring, n_jobs, random_state
            As for :func:`~skcaptcha.inspection.label_curve`.
        score_name : str, default=None
            What to call the score. By default the name of `scoring`, if that has one.
        **options : dict
            Parameters of :meth:`plot`.

        Returns
        -------
        LabelCurveDisplay
            The display, drawn.

        Raises
        ------
        ImportError, TypeError, ValueError
            As :func:`~skcaptcha.inspection.label_curve` and :meth:`plot`.
        """
        results = label_curve(
            estimator,
            X,
            y,
            groups=groups,
            train_sizes=train_sizes,
            cv=cv,
            scoring=scoring,
            n_jobs=n_jobs,
            random_state=random_state,
        )
        if score_name is None:
            score_name = "Exact match" if scoring is None else "Score"
            if isinstance(scoring, str):
                score_name = scoring.replace("_", " ").capitalize()
        return cls.from_results(results, score_name=score_name, **options)

    @classmethod
    def from_results(cls, results, *, score_name="Exact match", **options):
        """Draw a curve that was measured before.

        Parameters
        ----------
        results : Bunch
            What :func:`~skcaptcha.inspection.label_curve` returned.
        score_name : str, default="Exact match"
            What to call the score.
        **options : dict
            Parameters of :meth:`plot`.

        Returns
        -------
        LabelCurveDisplay
            The display, drawn.

        Raises
        ------
        ImportError, TypeError, ValueError
            As :meth:`plot`.
        """
        display = cls(
            results.train_sizes,
            results.test_scores,
            power_law=results.power_law,
            estimate_sizes=results.estimate_sizes,
            score_name=score_name,
        )
        return display.plot(**options)

    def _draw_estimates(self, ax, sizes, marked, font_size):
        """Draw the line, the area around it, and the squares."""
        measured = np.geomspace(sizes.min(), sizes.max(), N_POINTS)
        beyond = np.geomspace(sizes.max(), max(sizes.max(), *marked), N_POINTS)
        ax.plot(measured, self.power_law.predict(measured), color="black", linewidth=1)
        style = {"color": "black", "linewidth": 1, "linestyle": (0, (4, 3))}
        ax.plot(beyond, self.power_law.predict(beyond), **style)
        everywhere = np.concatenate([measured, beyond])
        _, interval = self.power_law.predict(everywhere, return_interval=True)
        ax.fill_between(everywhere, *interval.T, color="0.87", linewidth=0)
        style = {"marker": "s", "markersize": font_size / 2, "linestyle": "none"}
        ax.plot(marked, self.power_law.predict(marked), color="black", **style)


def _scale_axes(ax, sizes):
    """Give the numbers of labels a logarithmic scale with plain numbers."""
    from matplotlib.ticker import LogLocator, NullFormatter, NullLocator

    ax.set_xscale("log")
    low, high = min(sizes) / 1.15, max(sizes) * 1.15
    ax.set_xlim(low, high)
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 100 * low else (1,)))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.xaxis.set_major_formatter("{x:g}")
    _axes.set_ticks(ax.yaxis, [1, 2, 5, 10])
    ax.yaxis.set_major_formatter("{x:g}")
    ax.grid(axis="y", color="0.9", linewidth=0.5)
    ax.set_axisbelow(True)
