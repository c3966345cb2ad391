"""Pictures of what was read, in the manner of scikit-learn's displays."""

import math
import numbers
import unicodedata

import numpy as np

from skcaptcha.images import read_images
from skcaptcha.metrics import exact_match_score

__all__ = ["PredictionDisplay"]

RIGHT, WRONG, QUIET = "#137333", "#c5221f", "0.45"  # green, red and grey
FIGURE_WIDTH = 8.0  # inches
FONT_SIZE = 11.0  # points, or fewer where the longest text needs it
# In units of the font size: height of a line, and width of a monospaced character,
# which rounding to pixels makes wider in small sizes.
LINE, CHARACTER = 1.25, 0.63
SMALL = 0.8  # size of the confidence


class PredictionDisplay:
    """Images in a grid, each under the text that was read from it.

    A right text has a tick and is green. A wrong one has a cross and is red, and the
    true text stands below it after ``≠``, character under character, so that one sees
    where they differ. Small and grey at the right is the confidence. A text that is
    empty, or has a blank at an end or a character that doesn't print, is shown in
    quotes, as Python writes it.

    Use :meth:`from_estimator` or :meth:`from_predictions` to make one. All parameters
    are stored as attributes.

    Parameters
    ----------
    images : sequence of ndarray of uint8, each of shape (H, W) or (H, W, 3)
        The images, as :func:`skcaptcha.images.read_images` returns them.
    y_pred : sequence of str of shape (n_samples,)
        What was read from each.
    y_true : sequence of str of shape (n_samples,), default=None
        What each says. By default nothing is called right or wrong.
    confidence : sequence of float of shape (n_samples,), default=None
        How sure the reader is of each text, from 0 to 1. By default none is shown.

    Attributes
    ----------
    axes_ : ndarray of matplotlib Axes, shape (n_images_shown,)
        Axes of the images shown, row by row.
    figure_ : matplotlib Figure
        Figure that holds them.

    Examples
    --------
    >>> from skcaptcha.datasets import make_captchas
    >>> from skcaptcha.plotting import PredictionDisplay
    >>> images, texts = make_captchas(8, random_state=0)
    >>> y_pred = [*texts[:7], "oops"]
    >>> display = PredictionDisplay.from_predictions(images, y_pred, y_true=texts)
    >>> display.axes_.shape
    (8,)
    >>> display.figure_.savefig("predictions.png", dpi=150)  # doctest: +SKIP
    """

    def __init__(self, images, y_pred, *, y_true=None, confidence=None):
        self.images = images
        self.y_pred = y_pred
        self.y_true = y_true
        self.confidence = confidence

    def plot(self, *, ax=None, n_columns=4, max_images=16, title=None):
        """Draw the grid.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes whose area the grid takes up, at the size they have now. By default a
            new figure is made, just high enough for the grid.
        n_columns : int, default=4
            Number of images side by side, at most.
        max_images : int or None, default=16
            Number of images shown, the first ones; None shows all.
        title : str, default=None
            Heading above the grid.

        Returns
        -------
        PredictionDisplay
            This object.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        TypeError
            If `y_pred` or `y_true` holds something other than str.
        ValueError
            If there are no images, lengths differ, or a parameter is out of range.

        Examples
        --------
        >>> import matplotlib.pyplot as plt
        >>> from skcaptcha.datasets import make_captchas
        >>> from skcaptcha.plotting import PredictionDisplay
        >>> figure, ax = plt.subplots(figsize=(5, 2))
        >>> display = PredictionDisplay(*make_captchas(6, random_state=0))
        >>> display.plot(ax=ax, n_columns=3, title="Six captchas").axes_.shape
        (6,)
        """
        try:
            from matplotlib import pyplot, rcParams
        except ImportError as error:
            raise ImportError(
                "PredictionDisplay.plot draws with matplotlib, which is not installed; "
                'install it with: pip install "skcaptcha[plot]"'
            ) from error
        _check_count("n_columns", n_columns)
        if max_images is not None:
            _check_count("max_images", max_images)
        captions = self._write_captions()[:max_images]
        images = self.images[:max_images]

        # The grid is laid out here, in points and within `ax`: matplotlib's layouts
        # would widen the columns wherever a long text is above a narrow image.
        n_columns = min(n_columns, len(images))
        n_rows = math.ceil(len(images) / n_columns)
        n_lines = np.ones(n_rows)
        for index, (text, _, _) in enumerate(captions):
            row = index // n_columns
            n_lines[row] = max(n_lines[row], 1 + text.count("\n"))
        longest = max(_measure(text, confidence) for text, _, confidence in captions)
        shape = np.median([image.shape[:2] for image in images], axis=0)
        slope = min(1, shape[0] / shape[1])  # height by width of what holds an image
        if ax is None:
            room = 72 * min(FIGURE_WIDTH, 3 * n_columns), math.inf
        else:
            room = _size_in_points(ax)
        gap = min(FONT_SIZE, 0.1 * room[0] / n_columns, 0.1 * room[1] / n_rows)
        width = room[0] / n_columns - gap
        font_size = min(
            FONT_SIZE, width / longest, 0.5 * room[1] / (LINE * n_lines.sum())
        )
        above = LINE * font_size * n_lines  # height of the texts of each row
        height = min(slope * width, (room[1] - above.sum()) / n_rows - gap)
        width = min(width, max(height / slope, longest * font_size))
        if ax is None:
            inner = n_columns * (width + gap), above.sum() + n_rows * (height + gap)
            ax = _make_axes(pyplot, *inner, gap, title)
        size = _size_in_points(ax)
        ax.set_axis_off()
        if title:
            fitting = min(FONT_SIZE, size[0] / _measure(title, ""))
            ax.set_title(
                title, loc="left", y=1, pad=10, fontsize=fitting, parse_math=False
            )

        lefts = (width + gap) * np.arange(n_columns) / size[0]
        tops = 1 - (np.cumsum(above + height + gap) - height - gap) / size[1]
        box = width / size[0], height / size[1]
        self.figure_, self.axes_ = ax.figure, np.empty(len(images), dtype=object)
        for index, (image, caption) in enumerate(zip(images, captions, strict=True)):
            row, column = divmod(index, n_columns)
            cell = ax.inset_axes((lefts[column], tops[row] - box[1], *box))
            cell.imshow(image, cmap="gray", vmin=0, vmax=255, origin="upper")
            cell.set(anchor="NW", xticks=[], yticks=[])
            cell.spines[:].set(color="0.8", linewidth=0.5)
            text, color, confidence = caption
            style = {
                # What the first lacks comes from the fonts that the user chose.
                "fontfamily": ["monospace", *rcParams["font.family"]],
                "fontweight": "normal",
                "parse_math": False,  # a text may hold $ and _
                "usetex": False,
            }
            cell.set_title(
                text,
                loc="left",
                y=1,
                pad=0.35 * font_size,
                color=color or rcParams["text.color"],
                fontsize=font_size,
                **style,
            )
            ax.annotate(
                confidence,
                (lefts[column] + box[0], tops[row]),
                xycoords="axes fraction",
                # On the line of what was read, above the true text.
                xytext=(0, (0.35 + LINE * text.count("\n")) * font_size),
                textcoords="offset points",
                ha="right",
                color=QUIET,
                fontsize=SMALL * font_size,
                **style,
            )
            self.axes_[index] = cell
        return self

    @classmethod
    def from_estimator(
        cls,
        estimator,
        X,
        y=None,
        *,
        ax=None,
        n_columns=4,
        max_images=16,
        title=None,
    ):
        """Read images with an estimator and draw what it read.

        Parameters
        ----------
        estimator : estimator
            A fitted :class:`~skcaptcha.CaptchaRecognizer`, or any other with a
            ``predict`` that returns texts. Its ``predict_confidence`` is shown where
            it has one.
        X : sequence
            Images in any of the forms that :func:`skcaptcha.images.read_image` takes.
            They are drawn on the estimator's ``background`` where it has one.
        y : sequence of str of shape (n_samples,), default=None
            What each says. By default nothing is called right or wrong.
        ax : matplotlib Axes, default=None
            Axes whose area the grid takes up. By default a new figure is made.
        n_columns : int, default=4
            Number of images side by side, at most.
        max_images : int or None, default=16
            Number of images shown, the first ones; None shows all.
        title : str, default=None
            Heading above the grid.

        Returns
        -------
        PredictionDisplay
            The display, drawn. It holds all of `X`, not just the images shown.

        Raises
        ------
        FileNotFoundError, ImageReadError
            If an image cannot be read.
        ImportError, TypeError, ValueError
            As :meth:`plot`.

        Examples
        --------
        >>> from skcaptcha.datasets import make_captchas
        >>> from skcaptcha.plotting import PredictionDisplay
        >>> class Reader:
        ...     def predict(self, X):
        ...         return ["2b827"] * len(X)
        >>> images, texts = make_captchas(4, random_state=0)
        >>> display = PredictionDisplay.from_estimator(Reader(), images, texts)
        >>> display.axes_[0].get_title(loc="left")[:7]
        '✗ 2b827'
        """
        images = read_images(X, background=getattr(estimator, "background", "white"))
        confidence = None
        if hasattr(estimator, "predict_confidence"):
            confidence = estimator.predict_confidence(X)
        display = cls(images, estimator.predict(X), y_true=y, confidence=confidence)
        return display.plot(
            ax=ax, n_columns=n_columns, max_images=max_images, title=title
        )

    @classmethod
    def from_predictions(
        cls,
        X,
        y_pred,
        *,
        y_true=None,
        confidence=None,
        ax=None,
        n_columns=4,
        max_images=16,
        title=None,
    ):
        """Draw images and what was read from them.

        Parameters
        ----------
        X : sequence
            Images in any of the forms that :func:`skcaptcha.images.read_image` takes.
        y_pred : sequence of str of shape (n_samples,)
            What was read from each.
        y_true : sequence of str of shape (n_samples,), default=None
            What each says. By default nothing is called right or wrong.
        confidence : sequence of float of shape (n_samples,), default=None
            How sure the reader is of each text, from 0 to 1.
        ax : matplotlib Axes, default=None
            Axes whose area the grid takes up. By default a new figure is made.
        n_columns : int, default=4
            Number of images side by side, at most.
        max_images : int or None, default=16
            Number of images shown, the first ones; None shows all.
        title : str, default=None
            Heading above the grid.

        Returns
        -------
        PredictionDisplay
            The display, drawn. It holds all of `X`, not just the images shown.

        Raises
        ------
        FileNotFoundError, ImageReadError
            If an image cannot be read.
        ImportError, TypeError, ValueError
            As :meth:`plot`.

        Examples
        --------
        >>> from skcaptcha.datasets import make_captchas
        >>> from skcaptcha.plotting import PredictionDisplay
        >>> images, texts = make_captchas(20, random_state=0)
        >>> display = PredictionDisplay.from_predictions(
        ...     images, texts, n_columns=2, max_images=6, title="The first six of 20"
        ... )
        >>> len(display.axes_), len(display.images)
        (6, 20)
        """
        display = cls(read_images(X), y_pred, y_true=y_true, confidence=confidence)
        return display.plot(
            ax=ax, n_columns=n_columns, max_images=max_images, title=title
        )

    def _write_captions(self):
        """Return for each image the text above it, its colour, and the confidence."""
        n_images = len(self.images)
        if n_images == 0:
            raise ValueError("images is empty; pass at least one image.")
        for name in ("y_pred", "y_true", "confidence"):
            values = getattr(self, name)
            if values is None:
                continue
            if len(values) != n_images:
                raise ValueError(
                    f"{name} has {len(values)} items and there are {n_images} images; "
                    "pass one for each image."
                )
            allowed = numbers.Real if name == "confidence" else str
            for index, value in enumerate(values):
                if not isinstance(value, allowed):
                    raise TypeError(
                        f"{name}[{index}]={value!r} is {type(value).__name__}; pass "
                        f"{'numbers' if name == 'confidence' else 'str'}."
                    )

        nothing = [None] * n_images
        y_true = nothing if self.y_true is None else self.y_true
        confidences = nothing if self.confidence is None else self.confidence
        captions = []
        for read, true, confidence in zip(
            self.y_pred, y_true, confidences, strict=True
        ):
            if true is None:
                text, color = _show(read), None
            elif exact_match_score([true], [read]) == 1:
                text, color = f"✓ {_show(read)}", RIGHT
            else:
                text, color = f"✗ {_show(read)}\n≠ {_show(true)}", WRONG
            captions.append(
                (text, color, "" if confidence is None else f"{confidence:.2f}")
            )
        return captions


def _check_count(name, value):
    if not isinstance(value, numbers.Integral) or value < 1:
        raise ValueError(f"{name}={value!r} must be an int of at least 1.")


def _show(text):
    """Quote what would not be seen as it stands."""
    seen = text.isprintable() and text == text.strip() and text
    return text if seen else repr(text)


def _measure(text, confidence):
    """Width of the caption in units of the font size."""
    n_columns = max(
        sum(2 if unicodedata.east_asian_width(c) in "FW" else 1 for c in line)
        for line in text.split("\n")
    )
    n_small = len(confidence) + 2 if confidence else 0  # with blanks before it
    return CHARACTER * (n_columns + SMALL * n_small)


def _size_in_points(ax):
    return np.array([ax.bbox.width, ax.bbox.height]) * 72 / ax.figure.dpi


def _make_axes(pyplot, width, height, gap, title):
    """Return axes in a new figure, with margins, that are so many points large."""
    heading = 2 * FONT_SIZE if title else 0
    # Cells end in a gap, so the axes reach to the right and the lower edge.
    outer = width + gap, height + gap + heading
    figure = pyplot.figure(figsize=(outer[0] / 72, outer[1] / 72))
    return figure.add_axes((gap / outer[0], 0, width / outer[0], height / outer[1]))
