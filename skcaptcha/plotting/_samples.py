"""SamplesDisplay: images with their labels, before anything is trained on them."""

import numpy as np
from sklearn.utils import check_random_state

from skcaptcha._exact_match import check_text_list
from skcaptcha._tables import is_table
from skcaptcha._validation import check_images, check_same_length
from skcaptcha.images import read_images
from skcaptcha.plotting import _axes
from skcaptcha.plotting._estimator import list_rows
from skcaptcha.plotting._grid import GridMixin

# See `_refuse_lone_image`.
_ALIKE, _LEAST_ROWS = 0.6, 8


class SamplesDisplay(GridMixin):
    """Images in a grid, each under its label.

    So one sees before training whether each label says what its image shows. As in a
    :class:`PredictionDisplay`, quotes show what would not be seen of a label.

    Use :meth:`from_samples` to make one.

    Parameters
    ----------
    images : sequence of ndarray of uint8, each of shape (H, W) or (H, W, 3)
        The images, as :func:`skcaptcha.images.read_images` returns them.
    texts : sequence of str of shape (n_samples,), default=None
        Their labels. Integers stand for their decimal text. By default there are none.

    Attributes
    ----------
    axes_ : ndarray of matplotlib Axes, shape (n_images_shown,)
        Axes of the images shown, row by row.
    figure_ : matplotlib Figure
        Figure that holds them.

    Examples
    --------
    >>> from skcaptcha.datasets import make_captchas
    >>> from skcaptcha.plotting import SamplesDisplay
    >>> images, texts = make_captchas(100, random_state=0)
    >>> display = SamplesDisplay.from_samples(
    ...     images, texts, shuffle=True, random_state=0, max_images=8
    ... )
    >>> display.axes_.shape
    (8,)
    >>> display.figure_.savefig("samples.png", dpi=150)  # doctest: +SKIP
    """

    def __init__(self, images, texts=None):
        self.images = images
        self.texts = texts

    @classmethod
    def from_samples(
        cls,
        X,
        y=None,
        *,
        image_shape=None,
        background="white",
        shuffle=False,
        random_state=None,
        max_images=16,
        **options,
    ):
        """Draw images and their labels, reading no other images than those.

        Parameters
        ----------
        X : sequence of images, or array of shape (n_samples, n_features)
            Images in any of the forms that :func:`skcaptcha.images.read_image` takes,
            or one flattened image a row. Without `y` and `image_shape`, an array that
            looks like a lone image (H, W) is refused: put it into a list.
        y : sequence of str of shape (n_samples,), default=None
            Their labels. By default none is shown.
        image_shape : tuple of int, default=None
            (H, W) or (H, W, C) of the images that the rows of a 2-D `X` hold, as for
            :class:`~skcaptcha.CaptchaRecognizer`.
        background : str or tuple of int, default="white"
            Color that shows through transparent pixels.
        shuffle : bool, default=False
            Whether to draw the images at random instead of the first ones; those of a
            folder, which are sorted, say more then.
        random_state : int, RandomState instance or None, default=None
            Determines which ones. Pass an int for the same ones each time.
        max_images : int or None, default=16
            Number of images shown; None shows all.
        **options : dict
            Other parameters of :meth:`plot`.

        Returns
        -------
        SamplesDisplay
            The display, drawn. It holds the images shown.

        Raises
        ------
        FileNotFoundError, ImageReadError
            If an image cannot be read.
        TypeError
            If `X` is a lone image.
        ValueError
            If `image_shape` is not that of the rows of `X`. More errors are those of
            :meth:`plot`.
        """
        if is_table(X) and y is None and image_shape is None:
            _refuse_lone_image(X)
        items = list_rows(X, image_shape) if is_table(X) else check_images(X)
        _axes.check_count("max_images", max_images, optional=True)
        shown = range(len(items))
        if shuffle:
            shown = check_random_state(random_state).permutation(len(items)).tolist()
        shown = shown[:max_images]
        if y is not None:
            y = check_text_list(y, "y")
            check_same_length(items, y)
            y = [y[i] for i in shown]
        images = []
        for i in shown:  # one by one, so that an error names the place in X
            images += read_images([items[i]], background=background, first=i)
        return cls(images, y).plot(max_images=max_images, **options)

    def _list_captions(self, fonts):
        self._check_lengths("texts")
        if self.texts is None:
            return [("", None, "")] * len(self.images)
        return [(fonts.show(t), None, "") for t in check_text_list(self.texts, "texts")]


def _refuse_lone_image(X):
    """Raise a TypeError if a table is one image, as its neighboring rows are alike.

    On average they differ less than 0.6 times as much as rows that are half the height
    apart. Of tables that held 16 images of one of nine real sets none came below 0.65;
    most single images of eight of these sets are below 0.6.
    """
    rows = np.asarray(X) if hasattr(X, "dtype") else np.zeros(0)  # no data frame
    if rows.dtype.kind not in "buif" or len(rows) < _LEAST_ROWS:
        return
    rows, half = rows.astype(np.float64), len(rows) // 2
    near = np.abs(np.diff(rows, axis=0)).mean()
    apart = np.abs(rows[half:] - rows[: len(rows) - half]).mean()
    if near < _ALIKE * apart:
        raise TypeError(
            f"X is an array of shape {rows.shape} that looks like a single image; put "
            "it into a list: [X]. If it is a table with an image in each row, pass "
            "image_shape=(H, W) of these."
        )
