"""TrainingCurveDisplay: how a fit went, epoch by epoch."""

import numbers
from dataclasses import dataclass

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skcaptcha.plotting._axes import (
    import_pyplot,
    margins_in_points,
    prepare_axes,
    size_in_points,
)
from skcaptcha.plotting._estimator import split_estimator
from skcaptcha.plotting._lettering import choose_fitting, draw_title

__all__ = ["TrainingCurveDisplay"]

LARGEST, SMALLEST = 10.0, 4.0  # font size in points
# Width of a digit and height of a heading, in units of the font size.
DIGIT, LINE = 0.7, 1.6
# Epochs up to which each has a marker, without which a single one would not be seen.
FEW = 30


@dataclass
class _Panel:
    """One curve: what may stand above it, long ones first, and how it is drawn."""

    headings: list
    values: np.ndarray
    weight: float  # share of the height
    first: int = 1  # epoch
    limits: tuple | None = None  # of the values shown; None leaves them to matplotlib
    ticks: tuple | None = None


class TrainingCurveDisplay:
    """The loss, the validation score and the learning rate of each epoch.

    They stand one above the other over the same epochs. A dashed line marks the best
    epoch, which the heading of the curve names that decides: the exact match on the
    held-out samples or, where none were held out, the loss. The loss has a logarithmic
    scale where it falls to a tenth or less.

    Use :meth:`from_estimator` to make one from a fitted recognizer. All parameters are
    stored as attributes.

    Parameters
    ----------
    loss_curve : sequence of float of shape (n_epochs,)
        Training loss of each epoch.
    validation_scores : sequence of float of shape (n_scored,), default=None
        Exact match on the held-out samples after each of the last ``n_scored`` epochs.
        By default there are none.
    learning_rate_curve : sequence of float of shape (n_epochs,), default=None
        Learning rate of each epoch, NaN where it is not known. By default it is not
        shown.
    best_epoch : int, default=None
        Number of the best epoch; the first is 1. By default that of the greatest
        validation score, the last one of equals, or that of the least loss where there
        are no scores.

    Attributes
    ----------
    best_epoch_ : int
        Number of the epoch that is marked.
    axes_ : ndarray of matplotlib Axes, shape (n_curves,)
        Axes of the curves, from top to bottom.
    ax_ : matplotlib Axes
        Axes whose area they share.
    figure_ : matplotlib Figure
        Figure that holds them.

    Examples
    --------
    >>> from skcaptcha.plotting import TrainingCurveDisplay
    >>> display = TrainingCurveDisplay(
    ...     [2.8, 0.9, 0.1, 0.02],
    ...     validation_scores=[0.0, 0.4, 0.95, 0.93],
    ...     learning_rate_curve=[0.003, 0.003, 0.0015, 0.0],
    ... ).plot()
    >>> display.best_epoch_, display.axes_.shape
    (3, (3,))
    >>> display.figure_.savefig("curve.png", dpi=150)  # doctest: +SKIP
    """

    def __init__(
        self,
        loss_curve,
        *,
        validation_scores=None,
        learning_rate_curve=None,
        best_epoch=None,
    ):
        self.loss_curve = loss_curve
        self.validation_scores = validation_scores
        self.learning_rate_curve = learning_rate_curve
        self.best_epoch = best_epoch

    def plot(self, *, ax=None, title=None):
        """Draw the curves.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes whose area the curves share. By default a new figure is made.
        title : str, default=None
            Heading above the curves.

        Returns
        -------
        TrainingCurveDisplay
            This object.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        TypeError
            If `ax` is no Axes.
        ValueError
            If a curve is empty, is too long or short, or holds no numbers, or
            `best_epoch` is not one of the epochs.

        Examples
        --------
        >>> from skcaptcha.plotting import TrainingCurveDisplay
        >>> TrainingCurveDisplay([3.1, 0.2]).plot(title="Two epochs").best_epoch_
        2
        """
        pyplot = import_pyplot(self)
        panels = self._choose_panels()
        n_epochs = len(panels[0].values)
        height = 1.2 + sum(panel.weight for panel in panels) * 1.1
        ax = prepare_axes(pyplot, ax, figsize=(6.4, height))
        size = size_in_points(ax)
        # So many sizes of the font that labels and headings need.
        rooms = size / (20, 7 * len(panels)), margins_in_points(ax)[:2] / (4.2, 3)
        font_size = max(SMALLEST, min(LARGEST, *np.ravel(rooms)))

        ax.set_axis_off()
        draw_title(ax, title, 1.2 * font_size)
        above = LINE * font_size  # height of a heading
        inner = (size[1] - len(panels) * above) / sum(panel.weight for panel in panels)
        self.axes_, top = np.empty(len(panels), dtype=object), size[1]
        for index, panel in enumerate(panels):
            height = max(panel.weight * inner, font_size)
            top -= above + height
            axes = ax.inset_axes((0, top / size[1], 1, height / size[1]))
            _draw(axes, panel, n_epochs, self.best_epoch_, height, size[0], font_size)
            self.axes_[index] = axes
        for axes in self.axes_[:-1]:
            axes.tick_params(labelbottom=False)
        self.axes_[-1].set_xlabel("Epoch", fontsize=font_size, labelpad=0.1 * font_size)
        self.ax_, self.figure_ = ax, ax.figure
        return self

    @classmethod
    def from_estimator(cls, estimator, *, ax=None, title=None):
        """Draw how an estimator was fitted.

        Parameters
        ----------
        estimator : estimator
            A fitted :class:`~skcaptcha.CaptchaRecognizer`, a pipeline that ends in one,
            or a search over either, of which it is the best one.
        ax : matplotlib Axes, default=None
            Axes whose area the curves share. By default a new figure is made.
        title : str, default=None
            Heading above the curves.

        Returns
        -------
        TrainingCurveDisplay
            The display, drawn.

        Raises
        ------
        NotFittedError
            If the estimator has not been fitted.
        ImportError, TypeError, ValueError
            As :meth:`plot`; a TypeError also if the estimator keeps no curve.

        Examples
        --------
        >>> from skcaptcha import CaptchaRecognizer
        >>> from skcaptcha.datasets import make_captchas
        >>> from skcaptcha.plotting import TrainingCurveDisplay
        >>> images, texts = make_captchas(
        ...     20, vocabulary="01", length=2, size=(16, 40), random_state=0
        ... )
        >>> recognizer = CaptchaRecognizer(
        ...     max_iter=60, early_stopping=True, random_state=0
        ... )
        >>> display = TrainingCurveDisplay.from_estimator(recognizer.fit(images, texts))
        >>> len(display.axes_)  # loss, exact match, learning rate
        3
        """
        _, reader = split_estimator(estimator)
        check_is_fitted(reader)
        if not hasattr(reader, "loss_curve_"):
            raise TypeError(
                f"estimator={type(reader).__name__} has no loss_curve_; pass a fitted "
                "CaptchaRecognizer, or the curves to TrainingCurveDisplay itself."
            )
        scores = getattr(reader, "validation_scores_", None)
        best_epoch = None
        if scores:
            # A fit that began anew forgets the scores before that.
            best = reader.best_validation_score_
            position = max(i for i, score in enumerate(scores) if score == best)
            best_epoch = len(reader.loss_curve_) - len(scores) + position + 1
        display = cls(
            reader.loss_curve_,
            validation_scores=scores,
            learning_rate_curve=getattr(reader, "learning_rate_curve_", None),
            best_epoch=best_epoch,
        )
        return display.plot(ax=ax, title=title)

    def _choose_panels(self):
        """Return the curves there are, and settle the best epoch."""
        losses = _check_curve("loss_curve", self.loss_curve)
        n_epochs = len(losses)
        scores, rates = None, None
        if self.validation_scores is not None and len(self.validation_scores):
            scores = _check_curve("validation_scores", self.validation_scores)
            if len(scores) > n_epochs:
                raise ValueError(
                    f"validation_scores has {len(scores)} items and there are "
                    f"{n_epochs} epochs in loss_curve; pass one for each of the last "
                    "epochs at most."
                )
        if self.learning_rate_curve is not None:
            rates = _check_curve("learning_rate_curve", self.learning_rate_curve)
            if len(rates) != n_epochs:
                raise ValueError(
                    f"learning_rate_curve has {len(rates)} items and there are "
                    f"{n_epochs} epochs in loss_curve; pass one for each epoch, NaN "
                    "where it is not known."
                )
        first = n_epochs + 1 if scores is None else n_epochs - len(scores) + 1
        if self.best_epoch is not None:
            best = self.best_epoch
            if not isinstance(best, numbers.Integral) or not 1 <= best <= n_epochs:
                raise ValueError(
                    f"best_epoch={best!r} is not one of the epochs; pass an int from 1 "
                    f"to {n_epochs}, or None."
                )
        elif scores is not None:
            best = n_epochs - int(np.argmax(_unseen_last(scores)[::-1]))
        else:
            best = 1 + int(np.argmax(_unseen_last(-losses)))
        self.best_epoch_ = int(best)

        panels = [_Panel(["Loss a character", "Loss"], losses, 2.0)]
        if scores is not None:
            names = ["Exact match on held-out images", "Exact match"]
            low = np.floor(10 * np.nanmin(scores, initial=0.9)) / 10
            limits = low - 0.05 * (1 - low), 1 + 0.05 * (1 - low)
            panels.append(_Panel(names, scores, 1.5, first, limits))
        decisive = panels[-1]
        if best >= decisive.first:
            value = decisive.values[best - decisive.first]
            word = "lowest" if scores is None else "best"
            short = decisive.headings[-1]
            decisive.headings = [
                *(
                    f"{name} ({word}: {value:.4g} in epoch {best})"
                    for name in decisive.headings
                ),
                f"{short} ({word}: {value:.4g})",
                short,
            ]
        if rates is not None and np.isfinite(rates).any():
            peak = np.nanmax(rates) or 1
            panels.append(
                _Panel(
                    ["Learning rate"],
                    rates,
                    1.0,
                    limits=(0, 1.2 * peak),
                    ticks=(0, peak),
                )
            )
        return panels


def _draw(axes, panel, n_epochs, best, height, width, font_size):
    """Draw one curve."""
    from matplotlib.ticker import LogLocator, MaxNLocator

    epochs = np.arange(panel.first, n_epochs + 1)
    axes.plot(epochs, panel.values, marker="." if n_epochs <= FEW else None, color="C0")
    axes.axvline(best, color="0.4", linestyle=(0, (3, 2)), linewidth=1, zorder=3)
    if best >= panel.first:
        value = panel.values[best - panel.first]
        axes.plot(best, value, "o", markerfacecolor="none", markeredgecolor="black")
    margin = max(0.5, 0.02 * n_epochs)
    axes.set_xlim(1 - margin, n_epochs + margin)
    heading = choose_fitting(panel.headings, width, font_size)
    axes.set_title(heading, loc="left", fontsize=font_size, pad=0.4 * font_size)
    axes.tick_params(
        labelsize=0.9 * font_size, length=0.3 * font_size, pad=0.2 * font_size
    )
    axes.set_facecolor("white")  # whatever the style, as marks are dark
    axes.grid(axis="y", color="0.9", linewidth=0.5)
    axes.set_axisbelow(True)

    n_ticks = max(2, int(height / (2.2 * font_size)))
    axes.yaxis.set_major_locator(MaxNLocator(n_ticks, steps=[1, 2, 2.5, 5, 10]))
    finite = panel.values[np.isfinite(panel.values)]
    if panel.limits is not None:
        axes.set_ylim(panel.limits)
        if panel.ticks is not None:
            axes.set_yticks(panel.ticks)
    elif finite.size and finite.min() > 0 and finite.max() >= 10 * finite.min():
        axes.set_yscale("log")
        within = (1, 2, 5) if finite.max() < 100 * finite.min() else (1,)
        axes.yaxis.set_major_locator(LogLocator(subs=within, numticks=max(3, n_ticks)))
        axes.yaxis.set_minor_formatter(lambda value, position: "")
    axes.yaxis.set_major_formatter(lambda value, position: f"{value:.3g}")
    # Of the widest labels, as many as stand apart.
    room = width / (font_size * (DIGIT * len(str(n_epochs)) + 1))
    n_ticks = max(1, min(10, int(room)))
    axes.xaxis.set_major_locator(
        MaxNLocator(n_ticks, steps=[1, 2, 5, 10], integer=True, min_n_ticks=1)
    )


def _unseen_last(values):
    """Return values of which NaN, which no comparison finds, is the least."""
    return np.where(np.isnan(values), -np.inf, values)


def _check_curve(name, values):
    """Return a curve as an array."""
    try:
        curve = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{name}={values!r} does not hold numbers alone; pass one for each epoch."
        ) from error
    if curve.ndim != 1 or not curve.size:
        raise ValueError(
            f"{name} has shape {curve.shape}; pass a sequence of numbers, one for each "
            "epoch, at least one."
        )
    return curve
