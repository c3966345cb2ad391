"""TrainingCurveDisplay: how a fit went, epoch by epoch."""

import numbers
from dataclasses import dataclass

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skcaptcha.plotting._axes import (
    choose_font_size,
    draw_panels,
    draw_title,
    import_pyplot,
    label_axes,
    measure_axes,
    prepare_axes,
)
from skcaptcha.plotting._estimator import split_estimator

__all__ = ["TrainingCurveDisplay"]

# Epochs up to which each has a marker, without which a single one would not be seen.
FEW = 30


@dataclass
class _Curve:
    """What one pair of axes shows."""

    heading: str
    values: np.ndarray
    height: float  # relative to the others
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
        """
        pyplot = import_pyplot(self)
        losses, scores, rates = self._check()
        curves = self._list_curves(losses, scores, rates)
        heights = [curve.height for curve in curves]
        ax = prepare_axes(pyplot, ax, figsize=(6.4, 1.2 + 1.1 * sum(heights)))
        width, height = measure_axes(ax)
        font_size = choose_font_size(width / 20, height / (7 * len(curves)))
        draw_title(ax, title, 1.2 * font_size)

        def draw(panels):
            for panel, curve in zip(panels, curves, strict=True):
                label_axes(panel, font_size)
                _draw_curve(panel, curve, len(losses), self.best_epoch_)
                draw_title(panel, curve.heading, font_size, loc="left")
                panel.tick_params(labelbottom=panel is panels[-1])
            panels[-1].set_xlabel("Epoch")

        shape = (len(curves), 1)
        self.axes_ = draw_panels(ax, draw, shape, len(curves), height_ratios=heights)
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
        ax, title : default=None
            As for :meth:`plot`.

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

    def _check(self):
        """Return losses, scores and learning rates, None for those there are not."""
        losses = _check_curve("loss_curve", self.loss_curve)
        n_epochs = len(losses)
        scores, rates, best = None, None, self.best_epoch
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
        if best is not None and (
            not isinstance(best, numbers.Integral) or not 1 <= best <= n_epochs
        ):
            raise ValueError(
                f"best_epoch={best!r} is not one of the epochs; pass an int from 1 to "
                f"{n_epochs}, or None."
            )
        return losses, scores, rates

    def _list_curves(self, losses, scores, rates):
        """Return the curves to draw, and choose the best epoch."""
        n_epochs, best = len(losses), self.best_epoch
        curves = [_Curve("Loss a character", losses, 2.0)]
        word, values = "lowest", -losses
        if scores is not None:
            word, values = "best", scores
            low = np.floor(10 * np.nanmin(scores, initial=0.9)) / 10
            limits = low - 0.05 * (1 - low), 1 + 0.05 * (1 - low)
            heading, first = "Exact match on held-out images", n_epochs - len(scores) + 1
            curves.append(_Curve(heading, scores, 1.5, first, limits))
        decisive = curves[-1]
        if best is None:
            # No comparison finds NaN. The last one of equal scores, the first loss.
            found = np.flatnonzero(values == np.nanmax(values, initial=-np.inf))
            position = 0 if not len(found) else found[-1 if word == "best" else 0]
            best = decisive.first + position
        self.best_epoch_ = int(best)
        if best >= decisive.first:
            value = decisive.values[best - decisive.first]
            decisive.heading += f" ({word}: {value:.4g} in epoch {best})"
        if rates is not None and np.isfinite(rates).any():
            peak = np.nanmax(rates) or 1
            limits, ticks = (0, 1.2 * peak), (0, peak)
            curves.append(_Curve("Learning rate", rates, 1.0, 1, limits, ticks))
        return curves


def _draw_curve(axes, curve, n_epochs, best):
    """Draw one curve."""
    from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

    epochs = np.arange(curve.first, n_epochs + 1)
    axes.plot(epochs, curve.values, marker="." if n_epochs <= FEW else None, color="C0")
    axes.axvline(best, color="0.4", linestyle=(0, (3, 2)), linewidth=1, zorder=3)
    if best >= curve.first:
        value = curve.values[best - curve.first]
        axes.plot(best, value, "o", markerfacecolor="none", markeredgecolor="black")
    margin = max(0.5, 0.02 * n_epochs)
    axes.set_xlim(1 - margin, n_epochs + margin)
    axes.grid(axis="y", color="0.9", linewidth=0.5)
    axes.set_axisbelow(True)
    axes.xaxis.set_major_locator(
        MaxNLocator("auto", steps=[1, 2, 5, 10], integer=True, min_n_ticks=1)
    )

    finite = curve.values[np.isfinite(curve.values)]
    if curve.limits is not None:
        axes.set_ylim(curve.limits)
        if curve.ticks is not None:
            axes.set_yticks(curve.ticks)
    elif finite.size and finite.min() > 0 and finite.max() >= 10 * finite.min():
        axes.set_yscale("log")
        within = (1, 2, 5) if finite.max() < 100 * finite.min() else (1,)
        axes.yaxis.set_major_locator(LogLocator(subs=within))
        axes.yaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_major_formatter("{x:.3g}")


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
