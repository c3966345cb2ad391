"""PredictionDisplay: what was read in each image."""

import numbers

from skcaptcha.images import read_images
from skcaptcha.metrics import _check_list, exact_match_score
from skcaptcha.plotting._axes import import_pyplot
from skcaptcha.plotting._estimator import Reading
from skcaptcha.plotting._fonts import Fonts
from skcaptcha.plotting._grid import Caption, draw_grid

__all__ = ["PredictionDisplay"]

RIGHT, WRONG = "#137333", "#c5221f"  # green and red


class PredictionDisplay:
    """Images in a grid, each under the text that was read from it.

    A right text has a tick and is green. A wrong one has a cross and is red, and the
    true text stands below it after ``≠``, character under character, so that one sees
    where they differ. Small and gray at the right is the confidence. A text that is
    empty, or has a blank at an end or a character that doesn't print or that no font
    has, is shown in quotes, as Python writes it; ``rcParams["font.family"]`` of
    matplotlib names the fonts. What an image became by preprocessing can stand at its
    right.

    Use :meth:`from_estimator` or :meth:`from_predictions` to make one. All parameters
    are stored as attributes.

    Parameters
    ----------
    images : sequence of ndarray of uint8, each of shape (H, W) or (H, W, 3)
        The images, as :func:`skcaptcha.images.read_images` returns them.
    y_pred : sequence of str of shape (n_samples,)
        What was read from each. Integers stand for their decimal text, also in
        `y_true`.
    y_true : sequence of str of shape (n_samples,), default=None
        What each says. By default nothing is called right or wrong.
    confidence : sequence of float of shape (n_samples,), default=None
        How sure the reader is of each text, from 0 to 1. By default none is shown.
    preprocessed : sequence of ndarray of uint8, each of shape (H, W) or (H, W, 3), \
            default=None
        What each image became before it was read. By default none is shown.

    Attributes
    ----------
    axes_ : ndarray of matplotlib Axes, shape (n_images_shown,) or (n_images_shown, 2)
        Axes of the images shown, row by row; with `preprocessed`, each beside those of
        what it became.
    figure_ : matplotlib Figure
        Figure that holds them.

    See Also
    --------
    SamplesDisplay : Images with their labels.
    AlignmentDisplay : Where in an image each character was read.

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

    def __init__(
        self, images, y_pred, *, y_true=None, confidence=None, preprocessed=None
    ):
        self.images = images
        self.y_pred = y_pred
        self.y_true = y_true
        self.confidence = confidence
        self.preprocessed = preprocessed

    def plot(self, *, ax=None, n_columns=4, max_images=16, title=None):
        """Draw the grid.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes whose area the grid takes up, at the size they have now. By default a
            new figure is made, just high enough for the grid.
        n_columns : int, default=4
            Number of images side by side, at most. With `preprocessed` a sample takes
            two.
        max_images : int or None, default=16
            Number of samples shown, the first ones; None shows all.
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
            If `y_pred` or `y_true` holds something other than str, or `ax` is no Axes.
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
        pyplot = import_pyplot(self)
        fonts = Fonts()
        self.figure_, self.axes_ = draw_grid(
            pyplot,
            ax,
            self.images,
            self._write_captions(fonts),
            fonts,
            beside=self.preprocessed,
            n_columns=n_columns,
            max_images=max_images,
            title=title,
        )
        return self

    @classmethod
    def from_estimator(
        cls,
        estimator,
        X,
        y=None,
        *,
        preprocessed="auto",
        ax=None,
        n_columns=4,
        max_images=16,
        title=None,
    ):
        """Read images with an estimator and draw what it read.

        Parameters
        ----------
        estimator : estimator
            A fitted :class:`~skcaptcha.CaptchaRecognizer`, a pipeline that ends in one,
            a search over either, or any other with a ``predict`` that returns texts.
            Its ``predict_confidence`` is shown where it has one.
        X : sequence of images, or array of shape (n_samples, n_features)
            Images in any of the forms that :func:`skcaptcha.images.read_image` takes,
            or one flattened image a row where the estimator was fitted on such. They
            are drawn on the estimator's ``background`` where it has one.
        y : sequence of str of shape (n_samples,), default=None
            What each says. By default nothing is called right or wrong.
        preprocessed : bool or "auto", default="auto"
            Whether to draw beside each image what it became before the network saw it:
            by the steps of a pipeline, and by a recognizer that resizes it and takes
            its color. "auto" does so for a pipeline of more than one step.
        ax : matplotlib Axes, default=None
            Axes whose area the grid takes up. By default a new figure is made.
        n_columns : int, default=4
            Number of images side by side, at most. A sample takes two where
            `preprocessed` is shown.
        max_images : int or None, default=16
            Number of samples shown, the first ones; None shows all.
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
            As :meth:`plot`; also if `preprocessed` is none of these, or `X` is a table
            and the estimator was not fitted on one.

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
        if preprocessed not in (True, False, "auto"):
            raise ValueError(
                f"preprocessed={preprocessed!r} must be True, False or 'auto'."
            )
        reading = Reading(estimator, X)
        if preprocessed == "auto":
            preprocessed = reading.steps is not None
        display = cls(
            reading.read_images(),
            reading.predict(),
            y_true=y,
            confidence=reading.predict_confidence(),
            preprocessed=reading.preprocess() if preprocessed else None,
        )
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
        preprocessed=None,
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
        preprocessed : sequence, default=None
            What each image became before it was read, in any of the forms of `X`.
        ax : matplotlib Axes, default=None
            Axes whose area the grid takes up. By default a new figure is made.
        n_columns : int, default=4
            Number of images side by side, at most. With `preprocessed` a sample takes
            two.
        max_images : int or None, default=16
            Number of samples shown, the first ones; None shows all.
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
        if preprocessed is not None:
            preprocessed = read_images(preprocessed, name="preprocessed")
        display = cls(
            read_images(X),
            y_pred,
            y_true=y_true,
            confidence=confidence,
            preprocessed=preprocessed,
        )
        return display.plot(
            ax=ax, n_columns=n_columns, max_images=max_images, title=title
        )

    def _write_captions(self, fonts):
        """Return what stands above each image."""
        n_images = len(self.images)
        if n_images == 0:
            raise ValueError("images is empty; pass at least one image.")
        for name in ("y_pred", "y_true", "confidence", "preprocessed"):
            values = getattr(self, name)
            if values is not None and len(values) != n_images:
                raise ValueError(
                    f"{name} has {len(values)} items and there are {n_images} images; "
                    "pass one for each image."
                )
        nothing = [None] * n_images
        y_pred = _check_list(self.y_pred, "y_pred")
        y_true = nothing if self.y_true is None else _check_list(self.y_true, "y_true")
        confidences = nothing if self.confidence is None else self.confidence
        captions = []
        for index, (read, true, confidence) in enumerate(
            zip(y_pred, y_true, confidences, strict=True)
        ):
            if confidence is not None and not isinstance(confidence, numbers.Real):
                raise TypeError(
                    f"confidence[{index}]={confidence!r} is "
                    f"{type(confidence).__name__}; pass numbers."
                )
            note = "" if confidence is None else f"{confidence:.2f}"
            read_as = fonts.show(read)
            if true is None:
                caption = Caption(read_as, note=note)
            elif exact_match_score([true], [read]) == 1:
                caption = Caption(f"✓ {read_as}", RIGHT, note)
            else:
                text = f"✗ {read_as}\n≠ {fonts.show(true)}"
                caption = Caption(text, WRONG, note)
            captions.append(caption)
        return captions
