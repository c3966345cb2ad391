"""PredictionDisplay: what was read in each image."""

from skcaptcha._exact_match import check_text_list, exact_match_score
from skcaptcha.images import read_images
from skcaptcha.plotting import _axes
from skcaptcha.plotting._estimator import Reading
from skcaptcha.plotting._grid import GridMixin

RIGHT, WRONG = "#137333", "#c5221f"  # green and red


class PredictionDisplay(GridMixin):
    """Images in a grid, each under the text that was read from it.

    A right text has a tick and is green. A wrong one has a cross and is red, and the
    true text stands below it after ``≠``, character under character, so that one sees
    where they differ. Small and gray at the right is the confidence. A text that is
    empty, or has a blank at an end or a character that doesn't print or that no font
    has, is shown in quotes, as Python writes it; ``rcParams["font.family"]`` of
    matplotlib names the fonts. What an image became by preprocessing can stand at its
    right.

    Use :meth:`from_estimator` or :meth:`from_predictions` to make one.

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

    @classmethod
    def from_estimator(cls, estimator, X, y=None, *, preprocessed="auto", **options):
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
        **options : dict
            Parameters of :meth:`plot`.

        Returns
        -------
        PredictionDisplay
            The display, drawn. It holds all of `X`, not just the images shown.

        Raises
        ------
        FileNotFoundError, ImageReadError
            If an image cannot be read.
        ValueError
            If `preprocessed` is none of these, or `X` is a table and the estimator was
            not fitted on one. More errors are those of :meth:`plot`.
        """
        if preprocessed not in (True, False, "auto"):
            raise ValueError(f"preprocessed={preprocessed!r} must be a bool or 'auto'.")
        reading = Reading(estimator, X)
        if preprocessed == "auto":
            preprocessed = reading.steps is not None
        images = reading.list_images()
        texts, confidence = reading.predict()
        beside = reading.list_prepared() if preprocessed else None
        display = cls(
            images, texts, y_true=y, confidence=confidence, preprocessed=beside
        )
        return display.plot(**options)

    @classmethod
    def from_predictions(
        cls,
        X,
        y_pred,
        *,
        y_true=None,
        confidence=None,
        preprocessed=None,
        background="white",
        **options,
    ):
        """Draw images and what was read from them.

        Parameters
        ----------
        X : sequence
            Images in any of the forms that :func:`skcaptcha.images.read_image` takes.
        y_pred, y_true, confidence
            As for the class.
        preprocessed : sequence, default=None
            What each image became before it was read, in any of the forms of `X`.
        background : str or tuple of int, default="white"
            Color that shows through transparent pixels.
        **options : dict
            Parameters of :meth:`plot`.

        Returns
        -------
        PredictionDisplay
            The display, drawn. It holds all of `X`, not just the images shown.

        Raises
        ------
        FileNotFoundError, ImageReadError
            If an image cannot be read. More errors are those of :meth:`plot`.
        """
        if preprocessed is not None:
            preprocessed = read_images(
                preprocessed, background=background, name="preprocessed"
            )
        more = {"confidence": confidence, "preprocessed": preprocessed}
        images = read_images(X, background=background)
        display = cls(images, y_pred, y_true=y_true, **more)
        return display.plot(**options)

    def _list_captions(self, fonts):
        self._check_lengths("y_pred", "y_true", "preprocessed")
        y_pred = check_text_list(self.y_pred, "y_pred")
        n = len(y_pred)
        y_true, notes = [None] * n, [""] * n
        if self.y_true is not None:
            y_true = check_text_list(self.y_true, "y_true")
        if self.confidence is not None:
            confidence = _axes.check_numbers("confidence", self.confidence, "image", n)
            notes = [f"{value:.2f}" for value in confidence]
        captions = []
        for read, true, note in zip(y_pred, y_true, notes, strict=True):
            text, color = fonts.show(read), None
            if true is not None:
                right = exact_match_score([true], [read]) == 1
                color = RIGHT if right else WRONG
                text = f"✓ {text}" if right else f"✗ {text}\n≠ {fonts.show(true)}"
            captions.append((text, color, note))
        return captions
