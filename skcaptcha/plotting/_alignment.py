"""AlignmentDisplay: where in an image each character was read."""

import numbers

import numpy as np

from skcaptcha._exact_match import check_text_list, exact_match_score
from skcaptcha._tables import is_table
from skcaptcha._texts import find_texts, label_log_probability
from skcaptcha._validation import check_images, check_same_length
from skcaptcha.images import read_image, read_images
from skcaptcha.model import decoding
from skcaptcha.plotting import _axes
from skcaptcha.plotting._estimator import Reading
from skcaptcha.plotting._fonts import Fonts
from skcaptcha.recognizer import CaptchaRecognizer
from skcaptcha.vocabulary import BLANK

ROW = 1.2  # least height of a row in units of the font size
# Of the image: share of the height of the caller's axes, and inches in new ones.
GREATEST_SHARE, GREATEST_HEIGHT = 0.45, 2.5
GREATEST_NUMBER = 12  # of rows in a new figure, if no more characters were read
# Probability in some time step from which on a character that was not read is shown.
NOTICEABLE = 0.05
DASHED = {"color": "black", "linewidth": 0.8, "linestyle": (0, (3, 2))}


class AlignmentDisplay:
    """An image over what the network says of each time step.

    Time steps go from left to right, in step with the image. Each row below is a
    character, the last one the blank of CTC; the darker a cell, the more probable is
    the character there. First come those that were read, in the order of their reading,
    then others that had a probability of at least 0.05 in some time step. A dashed line
    leads from where in the image a character was read to its cell: the middle of its
    time steps on the most probable path that makes the text (by Viterbi's algorithm).

    Use :meth:`from_estimator` or :meth:`from_predictions` to make one.

    Parameters
    ----------
    image : ndarray of uint8 of shape (H, W) or (H, W, 3)
        The image, as :func:`skcaptcha.images.read_image` returns it.
    frame_log_proba : ndarray of shape (T, K)
        Log-probabilities of the blank, class 0, and the characters in each time step.
    characters : sequence of str of shape (K - 1,)
        The characters of the classes from 1 on.
    symbols : ndarray of int of shape (n_read,)
        Classes of the characters that were read.
    y_true : str, default=None
        What the image says. By default the text is not called right or wrong.

    Attributes
    ----------
    spans_ : ndarray of int of shape (n_read, 2)
        First and last time step of each character that was read.
    confidence_ : float
        Probability of the text, summed over all of its alignments.
    labels_ : list of str
        Characters of the rows, the last one being the empty string, for the blank.
    axes_ : ndarray of matplotlib Axes, shape (2,)
        Axes of the image and of the probabilities.
    ax_ : matplotlib Axes
        Axes whose area they share.
    figure_ : matplotlib Figure
        Figure that holds them.

    Examples
    --------
    >>> import numpy as np
    >>> from skcaptcha.plotting import AlignmentDisplay
    >>> image = np.full((10, 30), 255, dtype=np.uint8)
    >>> log_proba = np.log([[0.1, 0.8, 0.1], [0.7, 0.2, 0.1], [0.3, 0.1, 0.6]])
    >>> display = AlignmentDisplay.from_predictions(image, log_proba, ["a", "b"])
    >>> display.spans_
    array([[0, 0],
           [2, 2]])
    >>> display.figure_.savefig("alignment.png", dpi=150)  # doctest: +SKIP
    """

    def __init__(self, image, frame_log_proba, characters, symbols, *, y_true=None):
        self.image = image
        self.frame_log_proba = frame_log_proba
        self.characters = characters
        self.symbols = symbols
        self.y_true = y_true

    def plot(self, *, ax=None, max_labels=None, title=None):
        """Draw the image and the probabilities.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes whose area both share. By default a new figure is made.
        max_labels : int, default=None
            Number of characters that are shown at most, besides the blank, but at
            least those that were read. None shows as many as can be told apart.
        title : str, default=None
            Heading above the text that was read.

        Returns
        -------
        AlignmentDisplay
            This object.

        Raises
        ------
        ImportError, TypeError, ValueError
            If matplotlib is not installed, `ax` is no Axes, `y_true` no str, the
            log-probabilities, characters and symbols do not belong together, or
            `max_labels` is out of range.
        """
        log_proba, symbols = self._check()
        _axes.check_count("max_labels", max_labels, optional=True)
        self.spans_ = decoding.forced_alignment(log_proba, symbols, blank=BLANK)
        n_frames, proba, fonts = len(log_proba), np.exp(log_proba), Fonts()
        [score] = decoding.sequence_log_probability(
            log_proba[:, None], [n_frames], [symbols], blank=BLANK
        )
        self.confidence_ = float(np.exp(score))
        ranked, n_read = _rank_classes(proba, symbols), len(set(symbols.tolist()))
        slope = self.image.shape[0] / self.image.shape[1]
        inches = min(max(4, 0.15 * n_frames), 10, max(2, GREATEST_HEIGHT / slope))
        if ax is None:
            ranked = ranked[: max(n_read, max_labels or GREATEST_NUMBER)]
        above, below = min(slope * inches, GREATEST_HEIGHT), 1.7 + 0.2 * len(ranked)
        is_new, ax = ax is None, _axes.prepare_axes(ax, (inches + 0.7, above + below))
        self._write_heading(ax, title, fonts)

        # Sizes in points: of the image, of the rows below, and of what is beside.
        width, height = _axes.claim_area(ax)
        highest = 72 * GREATEST_HEIGHT if is_new else GREATEST_SHARE * height
        font_size = _axes.choose_font_size(height / 20)
        rows_height = height - min(slope * width, highest) - 5.2 * font_size
        if max_labels is None:
            max_labels = max(1, int(rows_height / (ROW * _axes.SMALLEST)) - 1)
        classes = [*ranked[: max(n_read, max_labels)], BLANK]
        self.labels_ = [self.characters[k - 1] if k != BLANK else "" for k in classes]
        names = [fonts.name(label) if label else "blank" for label in self.labels_]
        row_size = min(font_size, rows_height / (ROW * len(classes)))
        left = row_size * max(map(fonts.measure, names)) + 10
        image_width = min(width - left, highest / slope)
        rows_height = height - slope * image_width - 5.2 * font_size

        def draw(panels):
            top, below = panels
            style = {"cmap": "gray", "vmin": 0, "vmax": 255, "aspect": "auto"}
            extent = (-0.5, n_frames - 0.5, self.image.shape[0], 0)
            top.imshow(self.image, extent=extent, **style)
            top.set(xticks=[], yticks=[])
            _draw_rows(below, proba[:, classes].T, font_size)
            style = {"fontsize": row_size, **fonts.style}
            below.set_yticks(np.arange(len(names)), names, **style)
            self._mark(top, below, classes, image_width / n_frames, font_size, fonts)

        rect = (0, 0, min(1, (left + image_width) / width), 1)
        ratios = {"height_ratios": [slope * image_width, rows_height]}
        self.axes_ = _axes.draw_panels(ax, draw, (2, 1), rect=rect, **ratios)
        self.ax_, self.figure_ = ax, ax.figure
        return self

    @classmethod
    def from_estimator(cls, estimator, X, y=None, *, index=0, **options):
        """Read an image with an estimator and draw where it read each character.

        An image that is read at several widths is drawn at the one at which its text is
        most probable.

        Parameters
        ----------
        estimator : estimator
            A fitted :class:`~skcaptcha.CaptchaRecognizer`, a pipeline that ends in one,
            or a search over either. Of a pipeline, the image is drawn as its steps made
            it.
        X : sequence of images, or array of shape (n_samples, n_features)
            Images in any form that the estimator takes. It reads one of them.
        y : sequence of str of shape (n_samples,), default=None
            What each says. By default the text is not called right or wrong.
        index : int, default=0
            Position in `X` of the image.
        **options : dict
            Parameters of :meth:`plot`.

        Returns
        -------
        AlignmentDisplay
            The display, drawn.

        Raises
        ------
        FileNotFoundError, ImageReadError
            If the image cannot be read.
        NotFittedError, TypeError, ValueError
            If the estimator is no fitted recognizer, or `X` has no image at `index`.
            More errors are those of :meth:`plot`.
        """
        items = X if is_table(X) else check_images(X)
        n_samples = len(items) if isinstance(items, list) else items.shape[0]
        if not isinstance(index, numbers.Integral) or not 0 <= index < n_samples:
            raise ValueError(
                f"index={index!r} is no position in X, which has {n_samples} images; "
                f"pass an int from 0 to {n_samples - 1}."
            )
        if y is not None:
            y = check_text_list(y, "y")
            check_same_length(range(n_samples), y)
        if isinstance(items, list) and not is_table(items):
            # Where it cannot be read, the error gives its place in X.
            read_images(items[index : index + 1], first=index)
        rows = getattr(items, "iloc", items)  # of a data frame
        reading = Reading(estimator, rows[index : index + 1])
        reader = reading.reader
        if not isinstance(reader, CaptchaRecognizer):
            raise TypeError(
                f"estimator={type(reader).__name__} does not say what it sees in each "
                "time step; pass a fitted CaptchaRecognizer, or use from_predictions."
            )
        [image] = reading.list_inputs()
        [(_, frames)] = reader.iter_frames(reading.inputs)
        text = find_texts(reader, frames)[0][0]
        # Of several widths the one that says most for the text.
        values = [label_log_probability(reader, [one], text) for one in frames]
        log_proba = frames[np.argmax(values)]
        symbols = reader.vocabulary_.encode(text)
        y_true = None if y is None else y[index]
        characters = reader.vocabulary_.characters
        display = cls(image, log_proba, characters, symbols, y_true=y_true)
        return display.plot(**options)

    @classmethod
    def from_predictions(
        cls, image, frame_log_proba, characters, *, symbols=None, y_true=None, **options
    ):
        """Draw where in an image each character was read.

        Parameters
        ----------
        image : str, os.PathLike, bytes, PIL image or array
            The image, as :func:`skcaptcha.images.read_image` takes it.
        frame_log_proba : array-like of shape (T, K)
            Log-probabilities of the blank, class 0, and the characters in each time
            step, as :meth:`skcaptcha.CaptchaRecognizer.frame_log_proba` returns them.
        symbols : sequence of int, default=None
            Classes of the characters that were read. By default those of the most
            probable path.
        characters, y_true
            As for the class.
        **options : dict
            Parameters of :meth:`plot`.

        Returns
        -------
        AlignmentDisplay
            The display, drawn.

        Raises
        ------
        FileNotFoundError, ImageReadError
            If the image cannot be read. More errors are those of :meth:`plot`.
        """
        if symbols is None:
            log_proba = _check_log_proba(frame_log_proba, characters)
            lengths = [len(log_proba)]
            [symbols] = decoding.greedy_decode(log_proba[:, None], lengths, blank=BLANK)
        image = read_image(image)
        display = cls(image, frame_log_proba, characters, symbols, y_true=y_true)
        return display.plot(**options)

    def _check(self):
        """Return log-probabilities and symbols that belong together."""
        log_proba = _check_log_proba(self.frame_log_proba, self.characters)
        symbols = np.asarray(self.symbols) if len(self.symbols) else np.zeros(0, int)
        is_class = symbols.dtype.kind in "iu" and symbols.ndim == 1
        if not is_class or not np.isin(symbols, range(1, log_proba.shape[1])).all():
            raise ValueError(
                f"symbols={self.symbols!r} are not classes of characters; pass ints "
                f"from 1 to {len(self.characters)}."
            )
        if self.y_true is not None and not isinstance(self.y_true, str):
            raise TypeError(
                f"y_true={self.y_true!r} is {type(self.y_true).__name__}; pass a str."
            )
        return log_proba, symbols

    def _write_heading(self, ax, title, fonts):
        """Write the text that was read, whether it is right, and its probability."""
        read = "".join(self.characters[k - 1] for k in self.symbols)
        text = f"{fonts.show(read)}  ({self.confidence_:.2f})"
        if self.y_true is not None:
            right = exact_match_score([self.y_true], [read]) == 1
            text = f"✓ {text}" if right else f"✗ {text} ≠ {fonts.show(self.y_true)}"
        _axes.draw_title(ax, [title, text], _axes.FONT_SIZE)

    def _mark(self, top, below, classes, step, font_size, fonts):
        """Lead from each character in the image to its cell."""
        middles = self.spans_.mean(axis=1)
        names = [fonts.name(self.characters[k - 1]) for k in self.symbols]
        # No name reaches beyond half the way to the next.
        widths = np.array([fonts.measure(name) for name in names])
        between = step * np.diff(middles) / (0.5 * (widths[1:] + widths[:-1]) + 0.1)
        size = between.min(initial=font_size)
        style = {"ha": "center", "fontsize": size, **fonts.style}
        for middle, symbol, name in zip(middles, self.symbols, names, strict=True):
            # White beneath black is seen on any image.
            top.axvline(middle, color="white", linewidth=1.6, alpha=0.7)
            top.axvline(middle, **DASHED)
            below.plot([middle] * 2, [-0.5, classes.index(symbol) - 0.5], **DASHED)
            if size >= _axes.SMALLEST:
                shift = {"xytext": (0, 0.2 * size), "textcoords": "offset points"}
                top.annotate(name, (middle, 0), annotation_clip=False, **shift, **style)


def _draw_rows(axes, proba, font_size):
    """Draw probabilities of shape (n_rows, T), and count the time steps."""
    style = {"cmap": "Grays", "vmin": 0, "vmax": 1, "interpolation": "nearest"}
    axes.imshow(proba, aspect="auto", **style)
    _axes.label_axes(axes, font_size, xlabel="Time step")
    _axes.set_ticks(axes.xaxis, **_axes.WHOLE)
    axes.tick_params(axis="y", length=0, pad=2)
    for edge in np.arange(len(proba) - 1) + 0.5:
        axes.axhline(edge, color="0.85", linewidth=0.4)


def _rank_classes(proba, symbols):
    """Return the classes read, in their order, then others, the most probable first."""
    read, peaks = list(dict.fromkeys(symbols.tolist())), proba.max(axis=0)
    ranked = [k for k in np.argsort(-peaks, kind="stable").tolist() if k not in read]
    return read + [k for k in ranked if k != BLANK and peaks[k] >= NOTICEABLE]


def _check_log_proba(frame_log_proba, characters):
    """Return the log-probabilities as an array."""
    log_proba = np.asarray(frame_log_proba)
    shape, n_classes = log_proba.shape, len(characters) + 1
    if log_proba.dtype.kind != "f" or shape[1:] != (n_classes,) or not log_proba.size:
        raise ValueError(
            f"frame_log_proba has shape {shape} and dtype {log_proba.dtype}, and there "
            f"are {len(characters)} characters; pass floats, one row a time step and "
            "one column for the blank and each character."
        )
    if np.isnan(log_proba).any() or log_proba.max() > 1e-3:
        raise ValueError(
            "frame_log_proba holds numbers that are no logarithms of probabilities; "
            "pass numbers of at most 0, such as np.log(probabilities)."
        )
    return log_proba
