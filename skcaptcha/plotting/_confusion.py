"""CharacterConfusionDisplay: which character was read as which."""

import numpy as np

from skcaptcha.metrics import character_confusion
from skcaptcha.plotting import _axes
from skcaptcha.plotting._estimator import Reading
from skcaptcha.plotting._fonts import Fonts

SMALLEST = 5.0  # font size in points of a count
CELL = 1.2  # least height of a cell in units of the font size
INCHES, LEAST_SIDE, GREATEST_SIDE = 0.25, 3.0, 9.0  # of a cell, and of a new figure
NOTHING = "∅"
RIGHT, FAINTEST = 0.94, 0.2  # gray of the diagonal, darkness of the rarest error


class CharacterConfusionDisplay:
    """Matrix of the characters: which one was read as which.

    A row is a true character, a column what was read; the row ∅ counts characters that
    were read where there is none, the column ∅ those that were not read. The more often
    an error occurred, the darker is its cell. What was read right, on the diagonal, has
    no share in that, as it would outshine the errors. The counts stand in the cells
    where they fit; otherwise the heading says how many errors black stands for.

    Of more characters than can be told apart at the size of the axes, those of the most
    frequent errors are shown, and the heading says so. One that no font has is labeled
    ``U+4E2D``; ``rcParams["font.family"]`` of matplotlib names the fonts.

    Use :meth:`from_estimator` or :meth:`from_predictions` to make one.

    Parameters
    ----------
    confusion_matrix : ndarray of shape (n_labels, n_labels)
        How often each character of a row was read as that of a column, as
        :func:`skcaptcha.metrics.character_confusion` counts it.
    labels : sequence of str of shape (n_labels,)
        The characters, and last the empty string, for insertions and deletions.

    Attributes
    ----------
    labels_ : list of str
        The characters shown.
    im_ : matplotlib AxesImage
        The shaded cells.
    text_ : ndarray of shape (n_shown, n_shown), dtype=matplotlib Text or None
        The counts, None where there is none.
    ax_ : matplotlib Axes
        Axes with the matrix.
    figure_ : matplotlib Figure
        Figure that holds it.

    See Also
    --------
    skcaptcha.metrics.character_confusion : The counts alone.
    skcaptcha.metrics.recognition_report : The most frequent ones as text.

    Examples
    --------
    >>> from skcaptcha.plotting import CharacterConfusionDisplay
    >>> display = CharacterConfusionDisplay.from_predictions(
    ...     ["2b827", "x38fn", "mm4x"], ["2b827", "x88fn", "m4xx"]
    ... )
    >>> "".join(display.labels_)
    '23478bfmnx'
    >>> display.figure_.savefig("confusion.png", dpi=150)  # doctest: +SKIP
    """

    def __init__(self, confusion_matrix, labels):
        self.confusion_matrix = confusion_matrix
        self.labels = labels

    def plot(self, *, ax=None, max_labels=None, title=None):
        """Draw the matrix.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on. By default a new figure is made.
        max_labels : int, default=None
            Number of characters that are shown at most, besides ∅. None shows as many
            as can be told apart.
        title : str, default=None
            Heading above the number of errors.

        Returns
        -------
        CharacterConfusionDisplay
            This object.

        Raises
        ------
        ImportError, TypeError, ValueError
            If matplotlib is not installed, `ax` is no Axes, the matrix and the labels
            do not belong together, or `max_labels` is out of range.
        """
        matrix, labels = self._check()
        _axes.check_count("max_labels", max_labels, optional=True)
        side = min(max(INCHES * len(labels), LEAST_SIDE), GREATEST_SIDE)
        ax = _axes.prepare_axes(ax, (side + 0.6, side + 0.4))
        self.ax_, self.figure_ = ax, ax.figure
        room = _axes.measure_axes(ax).min()
        if ax.figure.get_layout_engine() is not None:
            room *= 0.8  # the rest is for labels
        if max_labels is None:
            max_labels = max(1, int(room / (CELL * SMALLEST)) - 1)
        shown = _choose(matrix, max_labels)
        self.labels_ = [labels[i] for i in shown]
        heading = [title, *_summarize(matrix, shown)]
        matrix = matrix[np.ix_(shown, shown)]

        fonts, cell = Fonts(), room / len(shown)
        most = self._draw_cells(matrix)
        if not self._write_counts(matrix, most, cell, fonts) and most:
            heading.append(f"black: {_number(most, 'error')}")
        self._name_cells(cell, fonts)
        _axes.draw_title(ax, heading, _axes.FONT_SIZE)
        return self

    @classmethod
    def from_estimator(cls, estimator, X, y, *, labels=None, **options):
        """Read images with an estimator and draw which character it read as which.

        Parameters
        ----------
        estimator : estimator
            A fitted :class:`~skcaptcha.CaptchaRecognizer`, a pipeline that ends in one,
            a search over either, or any other with a ``predict`` that returns texts.
        X : sequence of images, or array of shape (n_samples, n_features)
            Images in any form that the estimator takes.
        y : sequence of str of shape (n_samples,)
            What each says.
        labels, **options
            As for :meth:`from_predictions`.

        Returns
        -------
        CharacterConfusionDisplay
            The display, drawn.
        """
        texts, _ = Reading(estimator, X).predict()
        return cls.from_predictions(y, texts, labels=labels, **options)

    @classmethod
    def from_predictions(cls, y_true, y_pred, *, labels=None, **options):
        """Draw which character was read as which.

        Parameters
        ----------
        y_true, y_pred : sequence of str of shape (n_samples,)
            True and predicted texts, at least one; a text may be empty.
        labels : iterable of str, default=None
            Characters to count, in this order. By default all that occur, sorted.
        **options : dict
            Parameters of :meth:`plot`.

        Returns
        -------
        CharacterConfusionDisplay
            The display, drawn.

        Raises
        ------
        ImportError, TypeError, ValueError
            As :meth:`plot` and :func:`skcaptcha.metrics.character_confusion`.
        """
        matrix, labels = character_confusion(y_true, y_pred, labels=labels)
        return cls(matrix, labels).plot(**options)

    def _check(self):
        """Return the matrix as an array and the labels as a list."""
        matrix, labels = np.asarray(self.confusion_matrix), list(self.labels)
        if matrix.dtype.kind not in "iuf" or matrix.shape != (len(labels),) * 2:
            raise ValueError(
                f"confusion_matrix has shape {matrix.shape} and dtype {matrix.dtype}, "
                f"and there are {len(labels)} labels; pass a row and a column of "
                "counts for each label, as character_confusion returns them."
            )
        if labels.count("") != 1 or labels[-1] != "":
            raise ValueError(
                f"labels={labels!r} must end in '', for insertions and deletions, as "
                "character_confusion returns them."
            )
        if not (np.isfinite(matrix) & (matrix >= 0)).all():
            raise ValueError("confusion_matrix holds numbers that are no counts.")
        return matrix, labels

    def _draw_cells(self, matrix):
        """Shade the cells; return how many errors black stands for."""
        from matplotlib import colormaps
        from matplotlib.colors import ListedColormap

        ax, n = self.ax_, len(matrix)
        is_right = np.eye(n, dtype=bool)
        errors = np.ma.masked_where(is_right | (matrix == 0), matrix)
        most = errors.max() if errors.count() else 0
        is_character = is_right & (np.arange(n) < n - 1)
        light = np.ma.masked_where(~is_character, np.full((n, n), RIGHT))
        style = {"vmin": 0, "interpolation": "nearest"}
        ax.imshow(light, cmap="gray", vmax=1, **style)
        grays = ListedColormap(colormaps["Grays"](np.linspace(FAINTEST, 1, 256)))
        self.im_ = ax.imshow(errors, cmap=grays, vmax=most or 1, **style)
        ax.set(anchor="NW", facecolor="white")  # in any style, as counts are black
        for edge in np.arange(n - 1) + 0.5:
            # What has no character is set apart from what has.
            color, linewidth = ("0.3", 0.8) if edge == n - 1.5 else ("0.88", 0.4)
            ax.axhline(edge, color=color, linewidth=linewidth)
            ax.axvline(edge, color=color, linewidth=linewidth)
        return most

    def _write_counts(self, matrix, most, cell, fonts):
        """Write the counts into cells of some points; return whether they fit."""
        is_right = np.eye(len(matrix), dtype=bool)
        text = np.vectorize("{:.4g}".format if matrix.dtype.kind == "f" else str)
        counts = np.where(matrix > 0, text(matrix), "")
        lengths = fonts.measure("0") * np.char.str_len(counts)
        longest = max(0.5, lengths[~is_right].max(initial=0))
        size = min(_axes.FONT_SIZE, cell / CELL, 0.85 * cell / longest)
        # What was read right is more, and its counts need not be seen.
        if size * lengths[is_right].max() > 0.95 * cell:
            counts[is_right] = ""
        self.text_ = np.full(matrix.shape, None)
        if size < SMALLEST:
            return False
        style = {"fontsize": size, "ha": "center", "va": "center_baseline"}
        style.update(fonts.style)
        for i, j in np.argwhere(counts != ""):
            on_error = "white" if matrix[i, j] > most / 2 else "black"
            color = "0.4" if i == j else on_error
            self.text_[i, j] = self.ax_.text(j, i, counts[i, j], color=color, **style)
        return True

    def _name_cells(self, cell, fonts):
        """Name the rows and columns of some points, and say what they are."""
        ax, labels = self.ax_, self.labels_
        nothing = "none" if NOTHING in labels else NOTHING
        names = [fonts.name(label) if label else nothing for label in labels]
        widths = np.array([fonts.measure(name) for name in names])
        room = _axes.measure_margins(ax)[:2].min() / (widths.max() + 2.5)
        size = _axes.choose_font_size(cell / CELL, room)
        ticks, angle = np.arange(len(names)), 90 if widths.max() * size > cell else 0
        ax.set_xticks(ticks, names, rotation=angle, **fonts.style)
        ax.set_yticks(ticks, names, **fonts.style)
        ax.tick_params(labelsize=size, length=0, pad=1.5)
        up = f"True character ({nothing}: nothing)"
        size = min(_axes.FONT_SIZE, 1.2 * size, cell * len(labels) / fonts.measure(up))
        ax.set_ylabel(up, fontsize=size, labelpad=1)
        ax.set_xlabel(f"Read as ({nothing}: nothing)", fontsize=size, labelpad=1)


def _choose(matrix, max_labels):
    """Return the positions of the characters to show, and of the gap."""
    *characters, gap = range(len(matrix))
    if len(characters) <= max_labels:
        return [*characters, gap]
    errors = matrix - np.diag(matrix.diagonal())
    chosen = set()
    # The most frequent errors first, each with both of its characters.
    for i, j in sorted(np.argwhere(errors), key=lambda cell: -errors[tuple(cell)]):
        joined = chosen | {int(i), int(j)} - {gap}
        if len(joined) <= max_labels:
            chosen = joined
    if not chosen:  # there are no errors, or no room for two characters
        often = errors.sum(axis=0) + errors.sum(axis=1)
        often = often if often.any() else matrix.diagonal()
        chosen = sorted(characters, key=lambda i: -often[i])[:max_labels]
    return [*sorted(chosen), gap]


def _summarize(matrix, shown):
    """Return lines that say how many errors there are, and how many are shown."""
    n_errors, inside = (
        counts.sum() - counts.diagonal().sum()
        for counts in (matrix, matrix[np.ix_(shown, shown)])
    )
    n_true = matrix[:-1].sum()
    lines = [f"{_number(n_errors, 'error')} in {_number(n_true, 'character')}"]
    if len(shown) < len(matrix):
        some = f"{inside:,.10g} of the errors" if n_errors else "the most frequent"
        lines.append(f"shown: {len(shown) - 1} of {len(matrix) - 1} characters, {some}")
    return lines


def _number(n, noun):
    return f"{n:,.10g} {noun}" + ("" if n == 1 else "s")
