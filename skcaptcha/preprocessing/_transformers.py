"""The operations as scikit-learn transformers: images in, images out."""

import functools
import os

import joblib
import numpy as np
import PIL
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_memory

from skcaptcha._doc_links import DocLinkMixin
from skcaptcha._tables import check_text_table, is_table
from skcaptcha._validation import check_images
from skcaptcha.images import read_image, read_images, to_grayscale
from skcaptcha.images._decode import name_sample
from skcaptcha.preprocessing._functions import (
    adaptive_threshold,
    dark_on_light,
    equalize_histogram,
    median_filter,
    morphological_opening,
    resize_and_pad,
)

# Parameters that say how images are read. All others are those of the function.
_READING = {"background", "n_jobs", "memory"}


class ImageTransformer(DocLinkMixin, TransformerMixin, BaseEstimator):
    """Reads images and calls `_function`, which a subclass names, on each.

    Nothing is learned, so `transform` needs no `fit`. The function checks parameters.
    """

    def __init__(self, *, background="white", n_jobs=None):
        self.background = background
        self.n_jobs = n_jobs

    def fit(self, X, y=None):
        """Check the parameters and that `X` is a sequence of images.

        Parameters
        ----------
        X : sequence of images of length n_samples
            Paths, encoded bytes, PIL images or arrays, also mixed and of differing
            sizes; or a stack (n_samples, H, W[, C]). `transform` alone reads them.
        y : object, default=None
            Ignored.

        Returns
        -------
        estimator
            The transformer itself.

        Raises
        ------
        ValueError, TypeError, ImportError
            As in `transform`, of what is wrong without reading an image.
        """
        self._bind_function()
        _check_items(X)
        return self

    def fit_transform(self, X, y=None):
        """Do as `fit` and then `transform`, also with images that a generator yields.

        Parameters
        ----------
        X, y
            As for `fit`.

        Returns
        -------
        list of ndarray of shape (H, W) or (H, W, 3), uint8
            As from `transform`.
        """
        X = X if hasattr(X, "__len__") else list(X)
        return self.fit(X, y).transform(X)

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
        function = self._bind_function()
        items = _check_items(X)
        images = self._read_items(items)
        # No threads: they cost more than these few microseconds an image.
        for position, image in enumerate(images):
            try:
                images[position] = function(image)
            except ValueError as error:
                name = name_sample(position, items[position])
                raise ValueError(f"{name}: {error}") from error
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

    def _bind_function(self):
        """Return the function and its parameters, tried on a pixel for early errors."""
        parameters = self.get_params(deep=False).items()
        options = {name: value for name, value in parameters if name not in _READING}
        function = functools.partial(self._function, **options)
        pixel = np.zeros((1, 1), dtype=np.uint8)
        read_images([pixel], background=self.background, n_jobs=self.n_jobs)
        function(pixel)
        return function

    def _read_items(self, items):
        return read_images(items, background=self.background, n_jobs=self.n_jobs)


class ImageReader(ImageTransformer):
    """Decodes images, the first step of a pipeline.

    Every transformer of this module, and `CaptchaRecognizer`, reads images by itself.
    With `memory` this one decodes the images of each fold of a grid search only once.

    Parameters
    ----------
    background : str or tuple of int, default="white"
        Color behind transparent pixels, as `skcaptcha.images.read_image` takes it.
    n_jobs : int, default=None
        Threads that decode images. None is up to 8, -1 is one for each core.
    memory : str or joblib.Memory, default=None
        Where decoded images are kept: the path of a folder, or a ``joblib.Memory``,
        whose ``reduce_size`` bounds it and whose ``clear`` empties it.

    See Also
    --------
    skcaptcha.images.read_images : The same as a function, without `memory`.

    Notes
    -----
    One whole `X` is kept at a time, so every fold of a cross-validation takes up the
    room of its decoded pixels. Files are recognized by their absolute path, the time of
    their last change and their size, all else by its content. A newer Pillow decodes
    anew. After an update of skcaptcha, clear the folder yourself.

    Examples
    --------
    >>> import numpy as np
    >>> from PIL import Image
    >>> from skcaptcha.preprocessing import ImageReader
    >>> X = [Image.new("RGB", (4, 2), "red"), np.zeros((3, 5))]
    >>> [image.shape for image in ImageReader().fit_transform(X)]
    [(2, 4, 3), (3, 5)]
    """

    _function = staticmethod(np.asarray)  # which leaves an image as it is

    def __init__(self, *, background="white", n_jobs=None, memory=None):
        super().__init__(background=background, n_jobs=n_jobs)
        self.memory = memory

    def _bind_function(self):
        check_memory(self.memory)
        return super()._bind_function()

    def _read_items(self, items):
        if self.memory is None:
            return super()._read_items(items)
        read = check_memory(self.memory).cache(_read_packed, ignore=["items", "n_jobs"])
        key = _make_key(items, self.background)
        shapes, pixels = read(key, items, self.background, self.n_jobs)
        ends = np.cumsum([np.prod(shape) for shape in shapes])
        parts = zip(np.split(pixels, ends[:-1]), shapes, strict=True)
        # Copies, so that no image keeps all the others in memory.
        return [np.array(part).reshape(shape) for part, shape in parts]


class GrayscaleConverter(ImageTransformer):
    """Turns images gray, by their luma.

    Parameters
    ----------
    background, n_jobs
        As for `ImageReader`.

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

    _function = staticmethod(to_grayscale)


class MedianFilter(ImageTransformer):
    """Replaces each pixel by the median of its neighborhood, which removes specks.

    It needs OpenCV: ``pip install "skcaptcha[preprocessing]"``.

    Parameters
    ----------
    size : int, default=3
        Side of the square neighborhood in pixels, odd and from 1 to 255.
    background, n_jobs
        As for `ImageReader`.

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

    _function = staticmethod(median_filter)

    def __init__(self, *, size=3, background="white", n_jobs=None):
        super().__init__(background=background, n_jobs=n_jobs)
        self.size = size


class CLAHE(ImageTransformer):
    """Raises the contrast by contrast limited adaptive histogram equalization.

    It needs OpenCV: ``pip install "skcaptcha[preprocessing]"``.

    Parameters
    ----------
    clip_limit : float, default=2.0
        Limit of the contrast, above 0 and at most 256. The higher, the more noise.
    tile_grid_size : tuple of int, default=(8, 8)
        Number of rows and of columns of tiles, each with a histogram of its own.
    background, n_jobs
        As for `ImageReader`.

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

    _function = staticmethod(equalize_histogram)

    def __init__(
        self, *, clip_limit=2.0, tile_grid_size=(8, 8), background="white", n_jobs=None
    ):
        super().__init__(background=background, n_jobs=n_jobs)
        self.clip_limit = clip_limit
        self.tile_grid_size = tile_grid_size


class AdaptiveThreshold(ImageTransformer):
    """Sets pixels black that are darker than their neighborhood, others white.

    It needs OpenCV: ``pip install "skcaptcha[preprocessing]"``.

    Parameters
    ----------
    block_size : int, default=11
        Side of the square neighborhood in pixels, odd and from 3 to 999.
    offset : int, default=10
        By how many gray levels, from -255 to 255, black pixels are below the mean.
    method : {"mean", "gaussian"}, default="mean"
        Whether all pixels of the neighborhood count alike, or the nearest most.
    background, n_jobs
        As for `ImageReader`.

    See Also
    --------
    adaptive_threshold : The same for one image, with advice on the parameters.
    DarkOnLight : Step to put before where text may be light on dark.

    Examples
    --------
    >>> import numpy as np
    >>> from skcaptcha.preprocessing import AdaptiveThreshold
    >>> row = np.array([[200, 200, 140, 200, 200, 90, 90, 30, 90]], dtype=np.uint8)
    >>> AdaptiveThreshold(block_size=3, offset=10).transform([row])
    [array([[255, 255,   0, 255, 255,   0, 255,   0, 255]], dtype=uint8)]
    """

    _function = staticmethod(adaptive_threshold)

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


class MorphologicalOpening(ImageTransformer):
    """Removes what is thinner than a rectangle, such as crossing lines and specks.

    It needs OpenCV: ``pip install "skcaptcha[preprocessing]"``.

    Parameters
    ----------
    size : int or tuple of int, default=(2, 2)
        Height and width of the rectangle in pixels, each from 1 to 255; an int is both.
    foreground : {"dark", "light"}, default="dark"
        What the text is.
    background, n_jobs
        As for `ImageReader`.

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

    _function = staticmethod(morphological_opening)

    def __init__(
        self, *, size=(2, 2), foreground="dark", background="white", n_jobs=None
    ):
        super().__init__(background=background, n_jobs=n_jobs)
        self.size = size
        self.foreground = foreground


class DarkOnLight(ImageTransformer):
    """Inverts images whose text is light, so that all text is dark on light.

    Parameters
    ----------
    background, n_jobs
        As for `ImageReader`.

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

    _function = staticmethod(dark_on_light)


class ImageResizer(ImageTransformer):
    """Resizes images, their aspect ratio kept, and pads them to a common width.

    Parameters
    ----------
    height : int, default=50
        Height in pixels, from 1 to 32768.
    width : int, default=None
        Width in pixels, from 1 to 32768. None keeps the aspect ratio of each image.
    align : {"left", "center"}, default="left"
        Where an image stands that is narrower than `width`.
    fill : {"border", "white", "black"}, default="border"
        What is padded with: the median color at the image's edges, or white or black.
    background, n_jobs
        As for `ImageReader`.

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

    _function = staticmethod(resize_and_pad)

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


def _check_items(X):
    """Return the items of `X`, not yet read."""
    if is_table(X):
        check_text_table(X)
        shape = f"shape {X.shape}" if hasattr(X, "shape") else f"{len(X)} rows"
        raise ValueError(
            f"X is a table of {shape}; pass images: a sequence of paths, bytes, PIL "
            "images or arrays. X.reshape(len(X), height, width) makes images of the "
            "rows of a table, [X] a sequence of a single image."
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
