"""Operations on one image, a uint8 array of shape (H, W) or (H, W, 3)."""

from contextlib import contextmanager
from numbers import Integral, Real

import numpy as np
from PIL import Image

from skcaptcha._optional import import_optional
from skcaptcha.images import to_grayscale

# OpenCV's median allows no larger kernel, and text images need far smaller ones.
_MAX_KERNEL = 255
_MAX_BLOCK = 999
# A bin of a histogram of 256 holds at most 256 times the mean of the bins.
_MAX_CLIP_LIMIT = 256
# Longest side of an image that is made here, so that none can fill the memory.
_MAX_SIDE = 2**15
# Equalizing fewer pixels than 4 by 4 leaves only noise, and turns a single one white.
_MIN_TILE = 4


def median_filter(image, size=3):
    """Replace each pixel by the median of its square neighborhood.

    Specks and lines that fill less than half of the square vanish; edges stay sharp.

    Parameters
    ----------
    image : ndarray of shape (H, W) or (H, W, 3), uint8
        The image. The channels of a color image are filtered one by one.
    size : int, default=3
        Side of the square in pixels, odd and from 1, which changes nothing, to 255.

    Returns
    -------
    ndarray of the shape of `image`, uint8
        The filtered image. Beyond its edges the nearest pixel is repeated.

    Raises
    ------
    ValueError
        If `image` is of another shape or dtype, or `size` is not allowed.
    ImportError
        If OpenCV is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> from skcaptcha.preprocessing import median_filter
    >>> speck = np.array([[9, 9, 9], [9, 0, 9], [9, 9, 7]], dtype=np.uint8)
    >>> median_filter(speck).tolist()
    [[9, 9, 9], [9, 9, 9], [9, 9, 7]]
    """
    image = check_image(image)
    _check_int("size", size, 1, _MAX_KERNEL, odd=True)
    with _opencv("median_filter", image) as cv2:
        return cv2.medianBlur(image, int(size))


def equalize_histogram(image, *, clip_limit=2.0, tile_grid_size=(8, 8)):
    """Raise the contrast by contrast limited adaptive histogram equalization.

    The histogram of each tile of the image is equalized on its own [1]_, and the
    mappings of neighboring tiles are interpolated. What a bin has beyond the limit is
    spread over all of them first, which limits by how much noise is raised.

    Parameters
    ----------
    image : ndarray of shape (H, W) or (H, W, 3), uint8
        The image. Of a color image the lightness in CIELAB is equalized.
    clip_limit : float, default=2.0
        Limit of a bin as a multiple of the mean bin, above 0 and at most 256, where
        nothing is clipped any more.
    tile_grid_size : tuple of int, default=(8, 8)
        Number of rows and of columns of tiles. An image that is too small for as many
        tiles of at least 4 by 4 pixels gets fewer.

    Returns
    -------
    ndarray of the shape of `image`, uint8
        The image with more contrast.

    Raises
    ------
    ValueError
        If `image` is of another shape or dtype, or a parameter is not allowed.
    ImportError
        If OpenCV is not installed.

    References
    ----------
    .. [1] K. Zuiderveld, "Contrast Limited Adaptive Histogram Equalization", Graphics
       Gems IV, Academic Press, 1994, pp. 474-485.

    Examples
    --------
    >>> import numpy as np
    >>> from skcaptcha.preprocessing import equalize_histogram
    >>> faint = np.array([[100, 101, 102, 103]], dtype=np.uint8)
    >>> equalize_histogram(faint, clip_limit=256, tile_grid_size=(1, 1)).tolist()
    [[64, 128, 191, 255]]
    """
    image = check_image(image)
    if not isinstance(clip_limit, Real) or not 0 < clip_limit <= _MAX_CLIP_LIMIT:
        allowed = f"a number above 0 and at most {_MAX_CLIP_LIMIT}"
        raise ValueError(f"clip_limit={clip_limit!r}; pass {allowed}.")
    rows, columns = _check_pair("tile_grid_size", tile_grid_size)
    rows = min(rows, max(1, image.shape[0] // _MIN_TILE))
    columns = min(columns, max(1, image.shape[1] // _MIN_TILE))
    with _opencv("equalize_histogram", image) as cv2:
        equalize = cv2.createCLAHE(float(clip_limit), (columns, rows)).apply
        if image.ndim == 2:
            return equalize(image)
        lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB)
        lab[:, :, 0] = equalize(np.ascontiguousarray(lab[:, :, 0]))
        return cv2.cvtColor(lab, cv2.COLOR_LAB2RGB)


def adaptive_threshold(image, *, block_size=11, offset=10, method="mean"):
    """Set pixels black that are darker than their neighborhood, and all others white.

    Parameters
    ----------
    image : ndarray of shape (H, W) or (H, W, 3), uint8
        The image, with dark text on a light background; `dark_on_light` sees to that.
        Color is turned gray.
    block_size : int, default=11
        Side of the square neighborhood in pixels, odd and from 3 to 999. It should be
        larger than a stroke is wide, or the inside of the stroke comes out white.
    offset : int, default=10
        By how many gray levels, from -255 to 255, a pixel has to be darker than the
        mean of its neighborhood to become black. More keeps noise white.
    method : {"mean", "gaussian"}, default="mean"
        Whether all pixels of the neighborhood count alike, or the nearest most, by a
        Gaussian whose standard deviation is about ``0.15 * block_size + 0.35``.

    Returns
    -------
    ndarray of shape (H, W), uint8
        0 where the gray level is at most the mean, rounded, less the offset; 255
        elsewhere. Beyond the edges of the image the nearest pixel is repeated.

    Raises
    ------
    ValueError
        If `image` is of another shape or dtype, or a parameter is not allowed.
    ImportError
        If OpenCV is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> from skcaptcha.preprocessing import adaptive_threshold
    >>> row = np.array([[200, 200, 140, 200, 200, 90, 90, 30, 90]], dtype=np.uint8)
    >>> adaptive_threshold(row, block_size=3, offset=10).tolist()
    [[255, 255, 0, 255, 255, 0, 255, 0, 255]]
    """
    image = to_grayscale(check_image(image))
    _check_int("block_size", block_size, 3, _MAX_BLOCK, odd=True)
    _check_int("offset", offset, -255, 255)
    _check_option("method", method, ("mean", "gaussian"))
    with _opencv("adaptive_threshold", image) as cv2:
        mean, gaussian = cv2.ADAPTIVE_THRESH_MEAN_C, cv2.ADAPTIVE_THRESH_GAUSSIAN_C
        code = gaussian if method == "gaussian" else mean
        return cv2.adaptiveThreshold(
            image, 255, code, cv2.THRESH_BINARY, int(block_size), int(offset)
        )


def morphological_opening(image, size=(2, 2), *, foreground="dark"):
    """Remove what is thinner than a rectangle, such as crossing lines and specks.

    What remains of the foreground is exactly what a rectangle of `size`, moved about
    inside it, can cover. Light foreground is eroded and then dilated, which is the
    gray-level opening; dark foreground is dilated and then eroded, which in the raw
    gray values is a closing. A second opening changes nothing [1]_.

    Parameters
    ----------
    image : ndarray of shape (H, W) or (H, W, 3), uint8
        The image. The channels of a color image are opened one by one.
    size : int or tuple of int, default=(2, 2)
        Height and width of the rectangle in pixels, each from 1 to 255; an int is
        both. A line goes if it is thinner than the rectangle across: one of two rows
        goes with ``(3, 1)`` and stays with ``(2, 9)`` if it is long.
    foreground : {"dark", "light"}, default="dark"
        What the text is. Dark foreground never gets darker and light never lighter.

    Returns
    -------
    ndarray of the shape of `image`, uint8
        The opened image. Beyond its edges all counts as foreground, so that characters
        that are cut off are not frayed.

    Raises
    ------
    ValueError
        If `image` is of another shape or dtype, or a parameter is not allowed.
    ImportError
        If OpenCV is not installed.

    References
    ----------
    .. [1] J. Serra, "Image Analysis and Mathematical Morphology", Academic Press,
       1982.

    Examples
    --------
    >>> import numpy as np
    >>> from skcaptcha.preprocessing import morphological_opening
    >>> row = np.array([[9, 9, 1, 9, 9, 3, 2, 9]], dtype=np.uint8)
    >>> morphological_opening(row, size=(1, 2)).tolist()
    [[9, 9, 9, 9, 9, 3, 3, 9]]
    """
    image = check_image(image)
    _check_option("foreground", foreground, ("dark", "light"))
    height, width = _check_pair("size", size, _MAX_KERNEL)
    kernel = np.ones((height, width), dtype=np.uint8)
    there = (width // 2, height // 2)  # x, y of the pixel in the rectangle
    # morphologyEx doesn't mirror the kernel on the way back, which shifts the image by
    # a pixel where a side is even.
    back = (width - 1 - there[0], height - 1 - there[1])
    with _opencv("morphological_opening", image) as cv2:
        first, second, beyond = cv2.erode, cv2.dilate, 255
        if foreground == "dark":
            first, second, beyond = second, first, 0
        sides = (height - 1, height - 1, width - 1, width - 1)
        out = cv2.copyMakeBorder(
            image, *sides, cv2.BORDER_CONSTANT, value=(beyond, beyond, beyond)
        )
        out = second(first(out, kernel, anchor=there), kernel, anchor=back)
    n_rows, n_columns = image.shape[:2]
    out = out[height - 1 : height - 1 + n_rows, width - 1 : width - 1 + n_columns]
    return out.copy()


def dark_on_light(image):
    """Invert an image if its text is light, so that it is dark on light.

    The background is the median gray level of the pixels at the image's edges. Text is
    light if the mean of all pixels is lighter than that: what is not background then
    pulls it up. No level counts as dark as such, so that black text on a background
    of level 100 stays black.

    Parameters
    ----------
    image : ndarray of shape (H, W) or (H, W, 3), uint8
        The image. A color image is judged by its luma.

    Returns
    -------
    ndarray of the shape of `image`, uint8
        255 less the image where its text is light; else the image itself, not copied,
        also where it is all one level.

    Raises
    ------
    ValueError
        If `image` is of another shape or dtype.

    Examples
    --------
    >>> import numpy as np
    >>> from skcaptcha.preprocessing import dark_on_light
    >>> dark_on_light(np.array([[30, 30, 90, 30, 30]], dtype=np.uint8)).tolist()
    [[225, 225, 165, 225, 225]]
    >>> dark_on_light(np.array([[90, 90, 30, 90, 90]], dtype=np.uint8)).tolist()
    [[90, 90, 30, 90, 90]]
    """
    image = check_image(image)
    gray = to_grayscale(image)
    return 255 - image if gray.mean() > np.median(list_border(gray)) else image


def resize_and_pad(image, *, height=50, width=None, align="left", fill="border"):
    """Resize an image, its aspect ratio kept, and pad it to a common width.

    Nothing is cut off. An image that would be wider than `width` is shrunk to that
    width, and padded above and below.

    Parameters
    ----------
    image : ndarray of shape (H, W) or (H, W, 3), uint8
        The image.
    height : int, default=50
        Height of the result in pixels, from 1 to 32768.
    width : int, default=None
        Width of the result in pixels, from 1 to 32768. None leaves each image as wide
        as its aspect ratio makes it.
    align : {"left", "center"}, default="left"
        Where an image stands that is narrower than `width`. One that is lower than
        `height` stands in the middle.
    fill : {"border", "white", "black"}, default="border"
        What is padded with: the median of the pixels at the image's edges, which is
        the color of its background, or white or black.

    Returns
    -------
    ndarray of shape (height, width) or (height, width, 3), uint8
        The image, resized as `resize_image` does.

    Raises
    ------
    ValueError
        If `image` is of another shape or dtype, a parameter is not allowed, or the
        result would be wider than 32768 pixels.

    Examples
    --------
    >>> import numpy as np
    >>> from skcaptcha.preprocessing import resize_and_pad
    >>> image = np.full((2, 3), 8, dtype=np.uint8)
    >>> resize_and_pad(image, height=2, width=5, fill="white").tolist()
    [[8, 8, 8, 255, 255], [8, 8, 8, 255, 255]]
    >>> resize_and_pad(np.zeros((50, 200), dtype=np.uint8), height=32).shape
    (32, 128)
    """
    image = check_image(image)
    _check_int("height", height, 1, _MAX_SIDE)
    _check_option("align", align, ("left", "center"))
    _check_option("fill", fill, ("border", "white", "black"))
    high, wide = height, max(1, round(image.shape[1] * height / image.shape[0]))
    if width is None:
        width = wide
        if width > _MAX_SIDE:
            raise ValueError(
                f"an image of shape {image.shape[:2]} would be {width} pixels wide at "
                f"height={height}; at most {_MAX_SIDE} are allowed. Set `width`, "
                "or cut the image to its text."
            )
    _check_int("width", width, 1, _MAX_SIDE)
    if wide > width:
        high, wide = max(1, round(image.shape[0] * width / image.shape[1])), width
    level = 255 if fill == "white" else 0
    if fill == "border":
        border = np.sort(list_border(image), axis=0)  # (P,) or (P, 3)
        level = border[len(border) // 2]  # no mean of two, which no pixel may have
    out = np.empty((height, width, *image.shape[2:]), dtype=np.uint8)
    out[:] = level
    top = (height - high) // 2
    left = (width - wide) // 2 if align == "center" else 0
    out[top : top + high, left : left + wide] = resize(image, (high, wide))
    return out


def resize_image(image, shape):
    """Resize an image.

    Parameters
    ----------
    image : ndarray of shape (H, W) or (H, W, 3), uint8
        The image.
    shape : int or tuple of int
        New height and width in pixels; an int is both.

    Returns
    -------
    ndarray of shape (height, width) or (height, width, 3), uint8
        The image by bilinear interpolation, over the whole covered area where it
        shrinks (as Pillow does), so that thin strokes are not lost. The image itself
        if it has the shape already.

    Raises
    ------
    ValueError
        If `image` is of another shape or dtype, or `shape` is not allowed.

    Examples
    --------
    >>> import numpy as np
    >>> from skcaptcha.preprocessing import resize_image
    >>> resize_image(np.zeros((50, 200), dtype=np.uint8), (32, 128)).shape
    (32, 128)
    """
    return np.array(resize(check_image(image), _check_pair("shape", shape)))


def resize(image, shape):
    """Do what `resize_image` does, without checks."""
    if image.shape[:2] == shape:
        return image
    height, width = shape
    resized = Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(resized)


@contextmanager
def _opencv(operation, image):
    """Import OpenCV for an operation, and turn its errors into a ValueError."""
    needed_by = f"{operation} of skcaptcha.preprocessing"
    cv2 = import_optional("cv2", "preprocessing", needed_by)
    try:
        yield cv2
    except cv2.error as error:
        raise ValueError(
            f"OpenCV cannot do {operation} on an image of shape {image.shape}: "
            f"{error.err or error}; resize or drop it."
        ) from error


def list_border(image):
    """List the pixels at the four edges: (H, W[, 3]) -> (2 W + 2 H[, 3])."""
    return np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])


def check_image(image):
    """Return the image as a contiguous array, which is what OpenCV takes."""
    shape = np.shape(image)
    if getattr(image, "dtype", None) != np.uint8 or not (
        0 not in shape and (len(shape) == 2 or (len(shape) == 3 and shape[2] == 3))
    ):
        kind = f"{getattr(image, 'dtype', type(image).__name__)} of shape {shape}"
        raise ValueError(
            f"image is {kind}; a uint8 array of shape (H, W) or (H, W, 3) with at "
            "least one pixel is needed, which skcaptcha.images.read_image makes."
        )
    return np.ascontiguousarray(image)


def _check_int(name, value, low, high, *, odd=False):
    fits = isinstance(value, Integral) and low <= value <= high
    if not fits or (odd and value % 2 == 0):
        kind = "an odd int" if odd else "an int"
        raise ValueError(f"{name}={value!r}; pass {kind} from {low} to {high}.")


def _check_pair(name, value, high=_MAX_SIDE):
    """Return height and width, or rows and columns, that one or two numbers say."""
    pair = (value, value) if isinstance(value, Integral) else value
    if (
        not isinstance(pair, (tuple, list, np.ndarray))
        or len(pair) != 2
        or not all(isinstance(side, Integral) and 1 <= side <= high for side in pair)
    ):
        raise ValueError(
            f"{name}={value!r}; pass an int from 1 to {high}, or a tuple of two, the "
            "vertical one first."
        )
    return int(pair[0]), int(pair[1])


def _check_option(name, value, options):
    if value not in options:
        raise ValueError(f"{name}={value!r}; pass {' or '.join(map(repr, options))}.")
