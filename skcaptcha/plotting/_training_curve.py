"""TrainingCurveDisplay: how a fit went, epoch by epoch."""

import numbers
from dataclasses import dataclass

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skcaptcha.plotting import _axes
from skcaptcha.plotting._estimator import split_estimator


@dataclass
class _Curve:
    """What one pair of axes shows."""

    heading: str
    values: np.ndarray
    height: float  # relative to the others
    first: int = 1  # epoch
    scale: dict | None = None  # `ylim` and `yticks`; None leaves them to matplotlib


class TrainingCurveDisplay:
    """The loss, the validation score and the learning rate of each epoch.

    They stand one above the other over the same epochs. A dashed line marks the best
    epoch, which the heading of the curve names that decides: the exact match on the
    held-out samples or, where none were held out, the loss. The loss has a logarithmic
    scale where it falls to a tenth or less.

    Use :meth:`from_estimator` to make one from a fitted recognizer.

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
        Number of the best epoch; the first is 1. By default the last one with the
        greatest validation score, or without scores, that of the least loss.

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
        ImportError, TypeError, ValueError
            If matplotlib is not installed, `ax` is no Axes, a curve is empty, too long
            or short or holds no numbers, or `best_epoch` is not one of the epochs.
        """
        curves = self._list_curves()
        heights = [curve.height for curve in curves]
        ax = _axes.prepare_axes(ax, (6.4, 1.2 + 1.1 * sum(heights)))
        width, height = _axes.claim_area(ax)
        font_size = _axes.choose_font_size(width / 20, height / (7 * len(curves)))
        _axes.draw_title(ax, [title], 1.2 * font_size, "center")

        room = width - 5 * font_size  # without the numbers at the left

        def draw(panels):
            for panel, curve in zip(panels, curves, strict=True):
                _axes.label_axes(panel, font_size)
                _draw_curve(panel, curve, self.best_epoch_)
                _axes.draw_title(panel, [curve.heading], font_size, room=room)
                panel.tick_params(labelbottom=panel is panels[-1])
            panels[-1].set_xlabel("Epoch")

        shape, n_panels = (len(curves), 1), len(curves)
        self.axes_ = _axes.draw_panels(ax, draw, shape, n_panels, height_ratios=heights)
        self.ax_, self.figure_ = ax, ax.figure
        return self

    @classmethod
    def from_estimator(cls, estimator, **options):
        """Draw how an estimator was fitted.

        Parameters
        ----------
        estimator : estimator
            A fitted :class:`~skcaptcha.CaptchaRecognizer`, a pipeline that ends in one,
            or a search over either, whose best one is drawn.
        **options : dict
            Parameters of :meth:`plot`.

        Returns
        -------
        TrainingCurveDisplay
            The display, drawn.

        Raises
        ------
        NotFittedError, TypeError
            If the estimator has not been fitted, or keeps no curve. More errors are
            those of :meth:`plot`.
        """
        _, reader = split_estimator(estimator)
        check_is_fitted(reader)
        if not hasattr(reader, "loss_curve_"):
            raise TypeError(
                f"estimator={type(reader).__name__} has no loss_curve_; pass a fitted "
                "CaptchaRecognizer, or the curves to TrainingCurveDisplay itself."
            )
        scores, best_epoch = getattr(reader, "validation_scores_", None), None
        best = getattr(reader, "best_validation_score_", None)
        # A fit that began anew forgets the scores before that, and has none if it was
        # interrupted right then.
        if scores and best is not None:
            best_epoch = len(reader.loss_curve_) - list(scores)[::-1].index(best)
        display = cls(
            reader.loss_curve_,
            validation_scores=scores,
            learning_rate_curve=getattr(reader, "learning_rate_curve_", None),
            best_epoch=best_epoch,
        )
        return display.plot(**options)

    def _list_curves(self):
        """Return the curves to draw, and choose the best epoch."""
        losses = _axes.check_numbers("loss_curve", self.loss_curve, "epoch")
        n_epochs, scores, best = len(losses), self.validation_scores, self.best_epoch
        decisive, word = _Curve("Loss a character", losses, 2.0), "lowest"
        curves, found = [decisive], np.nan_to_num(-losses, nan=-np.inf).argmax()
        if scores is not None and len(scores):
            scores = _axes.check_numbers("validation_scores", scores, "epoch")
            if len(scores) > n_epochs:
                raise ValueError(
                    f"validation_scores has {len(scores)} items and there are "
                    f"{n_epochs} epochs; pass one for each of the last ones at most."
                )
            low = np.floor(10 * np.nanmin(scores, initial=0.9)) / 10
            scale = {"ylim": (low - 0.05 * (1 - low), 1 + 0.05 * (1 - low))}
            heading = "Exact match on held-out images"
            first = 1 + n_epochs - len(scores)
            decisive, word = _Curve(heading, scores, 1.5, first, scale), "best"
            curves.append(decisive)
            # The last one of equals.
            found = len(scores) - 1 - np.nan_to_num(scores, nan=-1)[::-1].argmax()
        if best is None:
            best = int(decisive.first + found)
        elif not isinstance(best, numbers.Integral) or not 1 <= best <= n_epochs:
            raise ValueError(
                f"best_epoch={best!r} is not one of the epochs; pass an int from 1 to "
                f"{n_epochs}, or None."
            )
        self.best_epoch_ = best
        if best >= decisive.first:
            value = decisive.values[best - decisive.first]
            decisive.heading += f" ({word}: {value:.4g} in epoch {best})"
        rates = self.learning_rate_curve
        if rates is not None:
            rates = _axes.check_numbers("learning_rate_curve", rates, "epoch", n_epochs)
            if np.isfinite(rates).any():
                peak = np.nanmax(rates) or 1
                scale = {"yticks": (0, peak), "ylim": (0, 1.2 * peak)}
                curves.append(_Curve("Learning rate", rates, 1.0, 1, scale))
        return curves


def _draw_curve(axes, curve, best):
    """Draw one curve, its best epoch marked."""
    from matplotlib.ticker import LogLocator, NullFormatter

    values, last = curve.values, curve.first + len(curve.values) - 1
    epochs = np.arange(curve.first, last + 1)
    axes.plot(epochs, values, marker="." if last <= _axes.FEW else None, color="C0")
    axes.axvline(best, color="0.4", linestyle=(0, (3, 2)), linewidth=1, zorder=3)
    at_best = values[epochs == best]
    axes.plot([best] * len(at_best), at_best, "o", mfc="none", mec="black")
    margin = max(0.5, 0.02 * last)
    axes.set_xlim(1 - margin, last + margin)
    axes.grid(axis="y", color="0.9", linewidth=0.5)
    axes.set_axisbelow(True)
    _axes.set_ticks(axes.xaxis, **_axes.WHOLE)

    finite = values[np.isfinite(values)]
    if curve.scale is not None:
        axes.set(**curve.scale)
    elif finite.size and finite.min() > 0 and finite.max() >= 10 * finite.min():
        axes.set_yscale("log")
        within = (1, 2, 5) if finite.max() < 100 * finite.min() else (1,)
        axes.yaxis.set_major_locator(LogLocator(subs=within))
        axes.yaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_major_formatter("{x:.3g}")
