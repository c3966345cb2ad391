"""The operations as scikit-learn transformers: images in, images out."""

import os
from numbers import Integral, Real

import joblib
import numpy as np
import PIL
from sklearn.base import BaseEstimator, TransformerMixin, _fit_context
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.validation import check_memory

from skcaptcha._tables import check_text_table, is_table
from skcaptcha._validation import check_images
from skcaptcha.images import read_image, read_images, to_grayscale
from skcaptcha.preprocessing._functions import (
    GREATEST_BLOCK,
    GREATEST_CLIP_LIMIT,
    GREATEST_KERNEL,
    GREATEST_SIDE,
    adaptive_threshold,
    dark_on_light,
    equalize_histogram,
    median_filter,
    morphological_opening,
    resize_and_pad,
)

__all__ = [
    "CLAHE",
    "AdaptiveThreshold",
    "DarkOnLight",
    "GrayscaleConverter",
    "ImageReader",
    "ImageResizer",
    "MedianFilter",
    "MorphologicalOpening",
]


class _ImageTransformer(TransformerMixin, BaseEstimator):
    """Reads images and does the same to each; a subclass says what.

    Nothing is learned, so that `transform` needs no `fit`.
    """

    _parameter_constraints: dict = {
        "background": [str, tuple, list],
        "n_jobs": [Integral, None],
    }

    def __init__(self, *, background="white", n_jobs=None):
        self.background = background
        self.n_jobs = n_jobs

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None):
        """Check the parameters and that `X` is a sequence of images.

        Parameters
        ----------
        X : sequence of images of length n_samples
            Paths, encoded bytes, PIL images, or arrays of shape (H, W) or (H, W, C),
            also mixed and of differing sizes; or a stack (n_samples, H, W[, C]). They
            are read by `transform` alone.
        y : object, default=None
            Ignored.

        Returns
        -------
        estimator
            The transformer itself.

        Raises
        ------
        ValueError
            If a parameter is not allowed, or `X` is empty or a table.
        TypeError
            If `X` is no sequence.
        ImportError
            If a package is missing that the transformer needs.
        """
        self._try_out()
        _check_items(X)
        return self

    def transform(self, X):
        """Read the images and transform each.

        Parameters
        ----------
        X : sequence of images of length n_samples
            Images in any form that `fit` takes. They are left as they are.

        Returns
        -------
        list of ndarray of shape (H, W) or (H, W, 3), uint8
            New images, in the order of `X`.

        Raises
        ------
        ValueError
            If a parameter is not allowed, or `X` is empty or a table, or an image
            cannot be read or transformed; the message names it, as in ``X[3]``.
        TypeError
            If `X` is no sequence, or an image has a type that cannot be one.
        FileNotFoundError
            If the file of an image does not exist.
        ImportError
            If a package is missing that the transformer needs.
        """
        self._validate_params()
        self._try_out()
        images = self._read_items(_check_items(X))
        # No threads: they cost more than these few microseconds an image.
        for position, image in enumerate(images):
            try:
                images[position] = self._transform_image(image)
            except ValueError as error:
                raise ValueError(f"X[{position}]: {error}") from error
        return images

    def __sklearn_tags__(self):
        """Tell scikit-learn what the transformer takes."""
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        tags.input_tags.string = True
        tags.transformer_tags.preserves_dtype = []
        return tags

    def _try_out(self):
        """Raise what the parameters, or a missing package, would raise on any image."""
        pixel = np.zeros((1, 1), dtype=np.uint8)
        read_images([pixel], background=self.background, n_jobs=self.n_jobs)
        self._transform_image(pixel)

    def _read_items(self, items):
        """Return the images of `items` in a new list."""
        return read_images(items, background=self.background, n_jobs=self.n_jobs)

    def _transform_image(self, image):
        raise NotImplementedError


class ImageReader(_ImageTransformer):
    """Decodes images, the first step of a pipeline.

    Every transformer of this module, and `CaptchaRecognizer`, reads images by itself.
    This one is for what it can keep: with `memory`, images that were read once, such
    as those of a fold of a grid search, are not decoded again.

    Parameters
    ----------
    background : str or tuple of int, default="white"
        Color on which transparent images are composited: a name or hexadecimal code
        that Pillow knows, or three values from 0 to 255.
    n_jobs : int, default=None
        Threads that decode images. None is up to 8, -1 is one for each core.
    memory : str or joblib.Memory, default=None
        Where decoded images are kept: the path of a folder, or a ``joblib.Memory``,
        whose ``reduce_size`` bounds it and whose ``clear`` empties it. None keeps
        nothing.

    See Also
    --------
    skcaptcha.images.read_images : The same as a function, without `memory`.

    Notes
    -----
    What is kept is one whole `X`, so that every fold of a cross-validation takes up the
    room of its decoded pixels. It is found again by the items: files by their absolute
    path, the time of their last change and their size, so that a changed file is read
    anew; all else by content.

    A newer version of Pillow decodes anew. Of a newer skcaptcha the folder knows
    nothing; clear it then.

    Examples
    --------
    >>> import io
    >>> import numpy as np
    >>> from PIL import Image
    >>> from skcaptcha.preprocessing import ImageReader
    >>> png = io.BytesIO()
    >>> Image.new("RGB", (4, 2), "red").save(png, "PNG")
    >>> images = ImageReader().fit_transform([png.getvalue(), np.zeros((3, 5))])
    >>> [image.shape for image in images]
    [(2, 4, 3), (3, 5)]
    """

    _parameter_constraints: dict = {
        **_ImageTransformer._parameter_constraints,
        "memory": [str, HasMethods(["cache"]), None],
    }

    def __init__(self, *, background="white", n_jobs=None, memory=None):
        super().__init__(background=background, n_jobs=n_jobs)
        self.memory = memory

    def _read_items(self, items):
        if self.memory is None:
            return super()._read_items(items)
        read = check_memory(self.memory).cache(_read_packed, ignore=["items", "n_jobs"])
        shapes, pixels = read(
            _make_key(items, self.background), items, self.background, self.n_jobs
        )
        ends = np.cumsum([np.prod(shape) for shape in shapes])
        # Copies, so that no image keeps all the others in memory.
        return [
            np.array(one).reshape(shape)
            for one, shape in zip(np.split(pixels, ends[:-1]), shapes, strict=True)
        ]

    def _transform_image(self, image):
        return image


class GrayscaleConverter(_ImageTransformer):
    """Turns images gray, by their luma.

    Parameters
    ----------
    background : str or tuple of int, default="white"
        Color on which transparent images are composited: a name or hexadecimal code
        that Pillow knows, or three values from 0 to 255.
    n_jobs : int, default=None
        Threads that decode images. None is up to 8, -1 is one for each core.

    See Also
    --------
    skcaptcha.images.to_grayscale : The same for one image.

    Examples
    --------
    >>> import numpy as np
    >>> from skcaptcha.preprocessing import GrayscaleConverter
    >>> red = np.array([[[255, 0, 0]]], dtype=np.uint8)
    >>> GrayscaleConverter().transform([red])
    [array([[76]], dtype=uint8)]
    """

    def _transform_image(self, image):
        return to_grayscale(image)


class MedianFilter(_ImageTransformer):
    """Replaces each pixel by the median of its neighborhood, which removes specks.

    It needs OpenCV: ``pip install "skcaptcha[preprocessing]"``.

    Parameters
    ----------
    size : int, default=3
        Side of the square neighborhood in pixels, odd and from 1, which changes
        nothing, to 255.
    background : str or tuple of int, default="white"
        Color on which transparent images are composited: a name or hexadecimal code
        that Pillow knows, or three values from 0 to 255.
    n_jobs : int, default=None
        Threads that decode images. None is up to 8, -1 is one for each core.

    See Also
    --------
    median_filter : The same for one image.

    Examples
    --------
    >>> import numpy as np
    >>> from skcaptcha.preprocessing import MedianFilter
    >>> speck = np.array([[9, 9, 9], [9, 0, 9], [9, 9, 9]], dtype=np.uint8)
    >>> int(MedianFilter().transform([speck])[0].min())
    9
    """

    _parameter_constraints: dict = {
        **_ImageTransformer._parameter_constraints,
        "size": [Interval(Integral, 1, GREATEST_KERNEL, closed="both")],
    }

    def __init__(self, *, size=3, background="white", n_jobs=None):
        super().__init__(background=background, n_jobs=n_jobs)
        self.size = size

    def _transform_image(self, image):
        return median_filter(image, self.size)


class CLAHE(_ImageTransformer):
    """Raises the contrast by contrast limited adaptive histogram equalization.

    It needs OpenCV: ``pip install "skcaptcha[preprocessing]"``.

    Parameters
    ----------
    clip_limit : float, default=2.0
        Limit of a bin of a histogram as a multiple of the mean bin, above 0 and at most
        256, where nothing is clipped any more. The higher, the more contrast, and
        noise.
    tile_grid_size : tuple of int, default=(8, 8)
        Number of rows and of columns of tiles, each with a histogram of its own. An
        image that is too small for as many tiles of at least 4 by 4 pixels gets fewer.
    background : str or tuple of int, default="white"
        Color on which transparent images are composited: a name or hexadecimal code
        that Pillow knows, or three values from 0 to 255.
    n_jobs : int, default=None
        Threads that decode images. None is up to 8, -1 is one for each core.

    See Also
    --------
    equalize_histogram : The same for one image, with the reference.

    Examples
    --------
    >>> import numpy as np
    >>> from skcaptcha.preprocessing import CLAHE
    >>> faint = np.array([[100, 101, 102, 103]], dtype=np.uint8)
    >>> CLAHE(clip_limit=256, tile_grid_size=(1, 1)).transform([faint])
    [array([[ 64, 128, 191, 255]], dtype=uint8)]
    """

    _parameter_constraints: dict = {
        **_ImageTransformer._parameter_constraints,
        "clip_limit": [Interval(Real, 0, GREATEST_CLIP_LIMIT, closed="right")],
        "tile_grid_size": [
            Interval(Integral, 1, GREATEST_SIDE, closed="both"),
            tuple,
            list,
        ],
    }

    def __init__(
        self,
        *,
        clip_limit=2.0,
        tile_grid_size=(8, 8),
        background="white",
        n_jobs=None,
    ):
        super().__init__(background=background, n_jobs=n_jobs)
        self.clip_limit = clip_limit
        self.tile_grid_size = tile_grid_size

    def _transform_image(self, image):
        return equalize_histogram(
            image, clip_limit=self.clip_limit, tile_grid_size=self.tile_grid_size
        )


class AdaptiveThreshold(_ImageTransformer):
    """Sets pixels black that are darker than their neighborhood, others white.

    It needs OpenCV: ``pip install "skcaptcha[preprocessing]"``.

    Parameters
    ----------
    block_size : int, default=11
        Side of the square neighborhood in pixels, odd and from 3 to 999. It should be
        larger than a stroke is wide, or the inside of the stroke comes out white.
    offset : int, default=10
        By how many gray levels, from -255 to 255, a pixel has to be darker than the
        mean of its neighborhood to become black. More keeps noise white.
    method : {"mean", "gaussian"}, default="mean"
        Whether all pixels of the neighborhood count alike, or the nearest most.
    background : str or tuple of int, default="white"
        Color on which transparent images are composited: a name or hexadecimal code
        that Pillow knows, or three values from 0 to 255.
    n_jobs : int, default=None
        Threads that decode images. None is up to 8, -1 is one for each core.

    See Also
    --------
    adaptive_threshold : The same for one image.
    DarkOnLight : Step to put before where text may be light on dark.

    Examples
    --------
    >>> import numpy as np
    >>> from skcaptcha.preprocessing import AdaptiveThreshold
    >>> row = np.array([[200, 200, 140, 200, 200, 90, 90, 30, 90]], dtype=np.uint8)
    >>> AdaptiveThreshold(block_size=3, offset=10).transform([row])
    [array([[255, 255,   0, 255, 255,   0, 255,   0, 255]], dtype=uint8)]
    """

    _parameter_constraints: dict = {
        **_ImageTransformer._parameter_constraints,
        "block_size": [Interval(Integral, 3, GREATEST_BLOCK, closed="both")],
        "offset": [Interval(Integral, -255, 255, closed="both")],
        "method": [StrOptions({"mean", "gaussian"})],
    }

    def __init__(
        self,
        *,
        block_size=11,
        offset=10,
        method="mean",
        background="white",
        n_jobs=None,
    ):
        super().__init__(background=background, n_jobs=n_jobs)
        self.block_size = block_size
        self.offset = offset
        self.method = method

    def _transform_image(self, image):
        return adaptive_threshold(
            image, block_size=self.block_size, offset=self.offset, method=self.method
        )


class MorphologicalOpening(_ImageTransformer):
    """Removes what is thinner than a rectangle, such as crossing lines and specks.

    With dark text on a light background that is, in the raw gray values, a closing: the
    lightest of the rectangle about each pixel is taken, and then the darkest of those.
    It needs OpenCV: ``pip install "skcaptcha[preprocessing]"``.

    Parameters
    ----------
    size : int or tuple of int, default=(2, 2)
        Height and width of the rectangle in pixels, each from 1 to 255; an int is both.
    foreground : {"dark", "light"}, default="dark"
        What the text is.
    background : str or tuple of int, default="white"
        Color on which transparent images are composited: a name or hexadecimal code
        that Pillow knows, or three values from 0 to 255.
    n_jobs : int, default=None
        Threads that decode images. None is up to 8, -1 is one for each core.

    See Also
    --------
    morphological_opening : The same for one image, described precisely.

    Examples
    --------
    >>> import numpy as np
    >>> from skcaptcha.preprocessing import MorphologicalOpening
    >>> row = np.array([[9, 9, 1, 9, 9, 3, 2, 9]], dtype=np.uint8)
    >>> MorphologicalOpening(size=(1, 2)).transform([row])
    [array([[9, 9, 9, 9, 9, 3, 3, 9]], dtype=uint8)]
    """

    _parameter_constraints: dict = {
        **_ImageTransformer._parameter_constraints,
        "size": [Interval(Integral, 1, GREATEST_KERNEL, closed="both"), tuple, list],
        "foreground": [StrOptions({"dark", "light"})],
    }

    def __init__(
        self, *, size=(2, 2), foreground="dark", background="white", n_jobs=None
    ):
        super().__init__(background=background, n_jobs=n_jobs)
        self.size = size
        self.foreground = foreground

    def _transform_image(self, image):
        return morphological_opening(image, self.size, foreground=self.foreground)


class DarkOnLight(_ImageTransformer):
    """Inverts images whose text is light, so that all text is dark on light.

    Text is light if the mean gray level of the image is above the median of the pixels
    at its edges.

    Parameters
    ----------
    background : str or tuple of int, default="white"
        Color on which transparent images are composited: a name or hexadecimal code
        that Pillow knows, or three values from 0 to 255.
    n_jobs : int, default=None
        Threads that decode images. None is up to 8, -1 is one for each core.

    See Also
    --------
    dark_on_light : The same for one image.

    Examples
    --------
    >>> import numpy as np
    >>> from skcaptcha.preprocessing import DarkOnLight
    >>> light_text = np.array([[30, 30, 90, 30, 30]], dtype=np.uint8)
    >>> dark_text = np.array([[90, 90, 30, 90, 90]], dtype=np.uint8)
    >>> DarkOnLight().transform([light_text, dark_text])
    [array([[225, 225, 165, 225, 225]], dtype=uint8),
     array([[90, 90, 30, 90, 90]], dtype=uint8)]
    """

    def _transform_image(self, image):
        return dark_on_light(image)


class ImageResizer(_ImageTransformer):
    """Resizes images, their aspect ratio kept, and pads them to a common width.

    Nothing is cut off. An image that would be wider than `width` is made as wide as
    that, and padded above and below, where it then is lower than `height`.

    Parameters
    ----------
    height : int, default=50
        Height in pixels, from 1 to 32768.
    width : int, default=None
        Width in pixels, from 1 to 32768. None leaves each image as wide as its aspect
        ratio makes it; 32768 pixels are the most.
    align : {"left", "center"}, default="left"
        Where an image stands that is narrower than `width`.
    fill : {"border", "white", "black"}, default="border"
        What is padded with: the median of the pixels at the image's edges, which is
        the color of its background, or white or black.
    background : str or tuple of int, default="white"
        Color on which transparent images are composited: a name or hexadecimal code
        that Pillow knows, or three values from 0 to 255.
    n_jobs : int, default=None
        Threads that decode images. None is up to 8, -1 is one for each core.

    See Also
    --------
    resize_and_pad : The same for one image.

    Examples
    --------
    >>> import numpy as np
    >>> from skcaptcha.preprocessing import ImageResizer
    >>> images = [np.zeros((80, 400)), np.zeros((80, 700))]
    >>> [image.shape for image in ImageResizer(height=40).transform(images)]
    [(40, 200), (40, 350)]
    >>> [image.shape for image in ImageResizer(height=40, width=300).transform(images)]
    [(40, 300), (40, 300)]
    """

    _parameter_constraints: dict = {
        **_ImageTransformer._parameter_constraints,
        "height": [Interval(Integral, 1, GREATEST_SIDE, closed="both")],
        "width": [Interval(Integral, 1, GREATEST_SIDE, closed="both"), None],
        "align": [StrOptions({"left", "center"})],
        "fill": [StrOptions({"border", "white", "black"})],
    }

    def __init__(
        self,
        *,
        height=50,
        width=None,
        align="left",
        fill="border",
        background="white",
        n_jobs=None,
    ):
        super().__init__(background=background, n_jobs=n_jobs)
        self.height = height
        self.width = width
        self.align = align
        self.fill = fill

    def _transform_image(self, image):
        return resize_and_pad(
            image,
            height=self.height,
            width=self.width,
            align=self.align,
            fill=self.fill,
        )


def _check_items(X):
    """Return the items of `X`, not yet read."""
    if is_table(X):
        check_text_table(X)
        shape = f"shape {X.shape}" if hasattr(X, "shape") else f"{len(X)} rows"
        raise ValueError(
            f"X is a table of {shape}; pass images: a sequence of paths, bytes, PIL "
            "images or arrays of shape (H, W) or (H, W, C), or a stack of these. Rows "
            "of numbers become one by X.reshape(len(X), height, width), a single "
            "image by [X]."
        )
    return check_images(X)


def _make_key(items, background):
    """Return what changes with any of the images that `items` stand for."""
    parts = [_identify(item, background, i) for i, item in enumerate(items)]
    return joblib.hash([PIL.__version__, *parts])


def _identify(item, background, position):
    if isinstance(item, (str, os.PathLike)):
        path = os.path.abspath(item)
        try:
            found = os.stat(path)
        except (OSError, ValueError):  # reading it says what is wrong
            return path
        return f"{path} {found.st_mtime_ns} {found.st_size}"
    if isinstance(item, (bytes, bytearray, memoryview)):
        return joblib.hash(bytes(item))
    # Arrays have as many types as there are libraries; pixels have one.
    return joblib.hash(read_image(item, background=background, name=f"X[{position}]"))


def _read_packed(key, items, background, n_jobs):
    """Read images into one array, which a disk gives back faster than many."""
    images = read_images(items, background=background, n_jobs=n_jobs)
    pixels = np.concatenate([image.ravel() for image in images])  # (sum of H W [3],)
    return [image.shape for image in images], pixels
