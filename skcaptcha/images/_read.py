"""Items of ``X`` (paths, encoded bytes, PIL images, arrays) as uint8 arrays."""

import io
import os
import re
import stat
import threading
import warnings
from contextlib import contextmanager, suppress

import numpy as np
from PIL import ExifTags, Image, ImageColor, ImageOps, UnidentifiedImageError

from skcaptcha._threads import count_threads, map_in_threads
from skcaptcha._validation import issue_warnings
from skcaptcha.exceptions import ImageReadError, SkippedImageWarning

__all__ = ["has_color", "read_image", "read_images", "to_grayscale", "to_rgb"]

# Named, so that what is read doesn't depend on which plugins Pillow finds, and
# no file can start an outside program (Pillow hands EPS to Ghostscript).
FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "PPM")
FORMS = (
    "a path (str or os.PathLike), encoded bytes, a PIL image, or a numeric array of "
    "shape (H, W) or (H, W, 1 to 4)"
)
_URL = re.compile(r"[a-z][a-z0-9+.-]+://|data:", re.IGNORECASE)
# A PIL image may stand twice in X, and Pillow's lazy loading isn't thread-safe.
_PIL_LOCK = threading.Lock()
# Pixels that are converted at a time, so that wide intermediate values stay few.
_BLOCK = 2**20
# How many of the images that were skipped a warning names.
_NAMED = 5
# What `warnings.filterwarnings("ignore", module=...)` makes.
_QUIET = ("ignore", None, Warning, re.compile(r"PIL\."), 0)


def read_image(item, *, background="white", name="image"):
    """Read one image into a new uint8 array.

    Of an animation the first frame is read; a photo is turned as its EXIF
    orientation says; 16-bit gray is scaled from 0..65535 to 0..255.

    Parameters
    ----------
    item : str, os.PathLike, bytes, bytearray, memoryview, PIL image or array-like
        A path to, or the encoded bytes of, a PNG, JPEG, GIF, BMP, WebP, TIFF or PPM
        file; an image opened with Pillow; or an array, or anything with
        ``__array__`` such as a tensor on the CPU, of shape (H, W), (H, W, 1),
        (H, W, 2) gray and alpha, (H, W, 3) RGB or (H, W, 4) RGB and alpha. Arrays
        are bool (False is black, True is white); integers in 0..255 (uint16 with
        larger values is scaled from 0..65535); or floats, all in 0..1 (then times
        255, rounded) or else all in 0..255 (rounded).
    background : str or tuple of 3 int, default="white"
        What shows through transparent pixels: a color name or ``#rrggbb`` as
        Pillow knows them, or (red, green, blue) in 0..255.
    name : str, default="image"
        What error messages call the item.

    Returns
    -------
    ndarray of uint8, shape (H, W) or (H, W, 3)
        Gray where red, green and blue are equal in every pixel, however the image
        was stored, else RGB. C-contiguous, and never a view of `item`.

    Raises
    ------
    FileNotFoundError
        If a path doesn't exist.
    ImageReadError
        If the item is there but is no readable image: truncated, empty, of more
        pixels than ``PIL.Image.MAX_IMAGE_PIXELS``, not a regular file, a URL, or
        an array of a shape or with values not listed above.
    TypeError
        If the item is of another type.

    Examples
    --------
    >>> import numpy as np
    >>> from skcaptcha.images import read_image
    >>> read_image(np.array([[0.0, 0.2, 1.0]]))
    array([[  0,  51, 255]], dtype=uint8)
    >>> half_black = np.array([[[0, 0, 0, 51]]], dtype=np.uint8)  # RGB and alpha
    >>> read_image(half_black)
    array([[204]], dtype=uint8)
    >>> read_image(half_black, background=(255, 0, 0))
    array([[[204,   0,   0]]], dtype=uint8)
    """
    color = _parse_background(background)
    with _no_warnings_of_pillow():
        return _read(item, color, name_item(name, item))


def read_images(
    items, *, background="white", n_jobs=None, name="X", first=0, on_error="raise"
):
    """Read a list of images, decoding them in threads.

    Parameters
    ----------
    items : sequence
        Images in any of the forms that :func:`read_image` takes, mixed at will.
    background : str or tuple of 3 int, default="white"
        What shows through transparent pixels, as for :func:`read_image`.
    n_jobs : int, default=None
        The number of threads that decode: None is one for each core, 8 at most, and
        one within a job of joblib's or what ``joblib.parallel_config`` says; 1 reads
        in the calling thread; negative numbers count from all cores down as in
        joblib, so that -1 is all of them. Arrays and PIL images need no threads. The
        result is the same for any number.
    name : str, default="X"
        What error messages call the sequence.
    first : int, default=0
        The position that error messages give to the first item, for a caller who
        hands over a long sequence piece by piece.
    on_error : {"raise", "skip"}, default="raise"
        What to do where an item cannot be read: raise its error, or put None in its
        place and go on, with one warning in the end.

    Returns
    -------
    list of ndarray of uint8, each of shape (H, W) or (H, W, 3)
        The images in the order of `items`; None for those that were skipped.

    Raises
    ------
    FileNotFoundError, ImageReadError, TypeError
        As :func:`read_image`, for the first item that cannot be read: ``X[i]``. Not
        with ``on_error="skip"``.

    Warns
    -----
    SkippedImageWarning
        If items were skipped; it says how many, and of the first ones why.

    Examples
    --------
    >>> import numpy as np
    >>> from skcaptcha.images import read_images
    >>> images = read_images([np.zeros((2, 5)), np.ones((3, 4, 3))])
    >>> [image.shape for image in images]
    [(2, 5), (3, 4)]
    """
    single = (str, bytes, bytearray, memoryview, os.PathLike, Image.Image)
    if isinstance(items, single) or not hasattr(items, "__len__"):
        raise TypeError(
            f"{name}={_describe(items)} is not a sequence of images; "
            f"put a single image into a list: [image]."
        )
    images = list(
        iterate_images(
            items,
            background=background,
            n_jobs=n_jobs,
            name=name,
            first=first,
            on_error=on_error,
        )
    )
    errors = {i: image for i, image in enumerate(images) if is_error(image)}
    issue_warnings(describe_skipped(errors, len(images)))
    return [None if i in errors else image for i, image in enumerate(images)]


def iterate_images(
    items,
    convert=None,
    *,
    background="white",
    n_jobs=None,
    name="X",
    first=0,
    on_error="raise",
    ahead=512,
):
    """Read images one after the other, each when it is asked for or a little before.

    Parameters
    ----------
    items : iterable
        Images in any of the forms that :func:`read_image` takes, mixed at will.
    convert : callable, optional
        Is called with each image, and its name as `name`, in the thread that has read
        it, and returns what takes its place. An error that it raises is one of the
        image.
    background, n_jobs, name, first
        As for :func:`read_images`, also what is raised.
    on_error : {"raise", "skip"}, default="raise"
        What to do where an item cannot be read: raise its error, or yield it.
    ahead : int, default=512
        Encoded images that are read ahead, if there are several threads.

    Returns
    -------
    generator of ndarray of uint8, each of shape (H, W) or (H, W, 3)
        The images in the order of `items`, or what `convert` made of them, or an
        exception.
    """
    check_on_error(on_error)
    color = _parse_background(background)
    n_threads = count_threads(n_jobs)

    def read(numbered):
        position, item = numbered
        where = name_item(f"{name}[{position}]", item)
        try:
            with _no_warnings_of_pillow():
                image = _read(item, color, where)
            return image if convert is None else convert(image, name=where)
        except (ValueError, TypeError, FileNotFoundError) as error:
            if on_error == "raise":
                raise
            # Its frames would keep alive what they hold.
            return error.with_traceback(None)

    return map_in_threads(
        read,
        enumerate(items, first),
        n_threads,
        worthwhile=lambda numbered: is_encoded(numbered[1]),
        ahead=ahead,
    )


def check_on_error(on_error):
    """Raise a ValueError unless `on_error` is "raise" or "skip"."""
    if not isinstance(on_error, str) or on_error not in ("raise", "skip"):
        raise ValueError(f"on_error={on_error!r} must be 'raise' or 'skip'.")


def is_error(value):
    """Tell whether something is an error in the place of an image."""
    return isinstance(value, Exception)


def describe_skipped(errors, n_images, where=""):
    """Say which images were skipped.

    Parameters
    ----------
    errors : dict of int to Exception or str
        Why each was skipped, by its position.
    n_images : int
        Number of all images.
    where : str, default=""
        What is added to the word "images".

    Returns
    -------
    list of (str, type)
        The warning; empty if nothing was skipped.
    """
    if not errors:
        return []
    named = " ".join(str(errors[position]) for position in sorted(errors)[:_NAMED])
    more = f" And {len(errors) - _NAMED} more." if len(errors) > _NAMED else ""
    count = f"{len(errors)} of {n_images} images{where} were skipped"
    return [(f"{count}: {named}{more}", SkippedImageWarning)]


def is_encoded(item):
    """Tell whether an item is a path or bytes, and reading it means decoding."""
    return isinstance(item, (str, os.PathLike, bytes, bytearray, memoryview))


def name_item(name, item):
    """Say what error messages call an item, such as ``X[3]='a.png'``."""
    return f"{name}={_describe(item)}"


def to_grayscale(image):
    """Turn an image gray.

    Parameters
    ----------
    image : ndarray of uint8, shape (H, W) or (H, W, 3)
        A gray or RGB image.

    Returns
    -------
    ndarray of uint8, shape (H, W)
        The luma, 0.299 red + 0.587 green + 0.114 blue, rounded as Pillow does; a
        gray image comes back as it is, not copied.

    Raises
    ------
    ValueError
        If `image` is of another shape or dtype.

    References
    ----------
    Recommendation ITU-R BT.601-7, section 2.5.1.

    Examples
    --------
    >>> import numpy as np
    >>> from skcaptcha.images import to_grayscale
    >>> to_grayscale(np.array([[[255, 0, 0], [0, 255, 0]]], dtype=np.uint8))
    array([[ 76, 150]], dtype=uint8)
    """
    _check_pixels(image)
    if image.ndim == 2:
        return image
    return np.array(Image.fromarray(image).convert("L"))  # (H, W, 3) -> (H, W)


def to_rgb(image):
    """Give an image three channels.

    Parameters
    ----------
    image : ndarray of uint8, shape (H, W) or (H, W, 3)
        A gray or RGB image.

    Returns
    -------
    ndarray of uint8, shape (H, W, 3)
        Gray three times over; an RGB image comes back as it is, not copied.

    Raises
    ------
    ValueError
        If `image` is of another shape or dtype.

    Examples
    --------
    >>> import numpy as np
    >>> from skcaptcha.images import to_rgb
    >>> to_rgb(np.array([[7, 9]], dtype=np.uint8)).tolist()
    [[[7, 7, 7], [9, 9, 9]]]
    """
    _check_pixels(image)
    if image.ndim == 3:
        return image
    return np.repeat(image[:, :, np.newaxis], 3, axis=2)  # (H, W) -> (H, W, 3)


def has_color(images):
    """Say whether a set of images has color worth keeping.

    A pixel is colored when its largest channel exceeds its smallest by more than
    16 levels: the tints that JPEG leaves in gray images stay below that. An image
    is colored when at least 0.1 % of its pixels, and at least one, are; the set
    when at least 1 % of its images, and at least one, are.

    Parameters
    ----------
    images : iterable of ndarray of uint8, each of shape (H, W) or (H, W, 3)
        The images, as :func:`read_images` returns them.

    Returns
    -------
    bool
        True if the set has color; False for an empty one.

    Examples
    --------
    >>> import numpy as np
    >>> from skcaptcha.images import has_color
    >>> gray = np.full((2, 2), 90, dtype=np.uint8)
    >>> red = np.full((2, 2, 3), [255, 0, 0], dtype=np.uint8)
    >>> has_color([gray, gray]), has_color([gray, red])
    (False, True)
    """
    n_images = n_colored = 0
    for image in images:
        n_images += 1
        if image.ndim == 3:
            spread = image.max(axis=2) - image.min(axis=2)  # (H, W, 3) -> (H, W)
            n_colored += np.count_nonzero(spread > 16) >= max(1, spread.size / 1000)
    return bool(n_colored >= max(1, n_images / 100))


def _check_pixels(image):
    shape = np.shape(image)
    if getattr(image, "dtype", None) != np.uint8 or not (
        len(shape) == 2 or (len(shape) == 3 and shape[2] == 3)
    ):
        raise ValueError(
            f"image={_describe(image)} must be a uint8 array of shape (H, W) or "
            "(H, W, 3); read_image makes one."
        )


def _parse_background(background):
    try:
        if isinstance(background, str):
            color = ImageColor.getrgb(background)
        else:
            color = tuple(int(level) for level in background)
            if color != tuple(background) or not all(0 <= c <= 255 for c in color):
                raise ValueError("levels are whole numbers in 0..255")
        if len(color) != 3:
            raise ValueError("three channels are needed")
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"background={background!r} is not a color ({error}); give a name such "
            "as 'white', '#rrggbb', or (red, green, blue) in 0..255."
        ) from error
    return color


@contextmanager
def _no_warnings_of_pillow():
    """Hide what Pillow warns of: a broken file ends in an image or in our error.

    `warnings.catch_warnings` would do harm where several threads read: each puts back
    the filters that it found, which may be another thread's. So each puts in a filter
    and takes one out, and it doesn't matter whose.
    """
    warnings.filters.insert(0, _QUIET)
    try:
        yield
    finally:
        with suppress(ValueError):  # where another thread has put back others
            warnings.filters.remove(_QUIET)


def _read(item, background, where):
    try:
        pixels = _to_array(item, where)
        shape = pixels.shape
        if len(shape) == 2:
            pixels = pixels[:, :, np.newaxis]  # (H, W) -> (H, W, 1)
        if pixels.ndim != 3 or not 1 <= pixels.shape[2] <= 4 or pixels.size == 0:
            raise ImageReadError(
                f"{where} has shape {shape}; (H, W) or (H, W, 1 to 4) with at least "
                "one pixel is needed, channels last."
            )
        pixels = _to_uint8(pixels, where)
        if pixels.shape[2] in (2, 4):
            pixels = _composite(pixels, background)  # -> (H, W, 3)
        if (pixels[:, :, 1:] == pixels[:, :, :1]).all():
            pixels = pixels[:, :, 0]  # (H, W, 1 or 3) -> (H, W)
        return np.array(pixels, order="C")  # a copy even where nothing had to change
    except MemoryError as error:
        raise ImageReadError(
            f"{where} needs more memory than there is; shrink it, or drop it."
        ) from error


def _to_array(item, where):
    """Turn an item of any form into an array of any shape."""
    if isinstance(item, (str, os.PathLike)):
        with _open_file(item, where) as stream:
            return _decode(stream, where)
    if isinstance(item, (bytes, bytearray, memoryview)):
        return _decode(io.BytesIO(bytes(item)), where)
    if isinstance(item, Image.Image):
        return _decode(item, where)
    if hasattr(item, "__array__") and not isinstance(item, np.generic):
        try:
            return np.asarray(item)
        except Exception as error:  # each array library raises what it likes
            raise ImageReadError(f"{where} gives no array: {error}") from error
    raise TypeError(f"{where} is no image: {FORMS} is needed.")


def _describe(item):
    """Name a value in an error message, shortly."""
    if isinstance(item, (bytes, bytearray, memoryview)):
        return f"<{memoryview(item).nbytes} bytes>"
    if isinstance(item, Image.Image):
        return f"<PIL image, mode {item.mode}, {item.width}x{item.height}>"
    if hasattr(item, "shape") and hasattr(item, "dtype") and np.ndim(item) > 0:
        return f"<array, shape {tuple(item.shape)}, {item.dtype}>"
    text = repr(os.fspath(item) if isinstance(item, os.PathLike) else item)
    return text if len(text) <= 300 else f"{text[:200]}...{text[-80:]}"


def _open_file(path, where):
    if isinstance(path, str) and _URL.match(path):
        raise ImageReadError(
            f"{where} is a URL, and URLs are not opened: download it first and give "
            "the path of the file or its bytes."
        )
    try:
        mode = os.stat(path).st_mode
        # Opening a pipe would wait for ever.
        if stat.S_ISREG(mode):
            return open(path, "rb")
    except (FileNotFoundError, NotADirectoryError) as error:
        if os.path.islink(path):
            raise FileNotFoundError(
                f"{where} is a link to {os.readlink(path)!r}, which does not exist; "
                "mend or drop it."
            ) from error
        raise FileNotFoundError(
            f"{where} does not exist; check the spelling, and that a relative path "
            f"starts in the current folder, {os.getcwd()!r}."
        ) from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = getattr(error, "strerror", None) or error
        raise ImageReadError(f"{where} cannot be opened: {reason}.") from error
    if stat.S_ISDIR(mode):
        raise ImageReadError(
            f"{where} is a folder; give the paths of the images in it, which "
            "skcaptcha.datasets.load_image_folder lists."
        )
    raise ImageReadError(f"{where} is not a regular file; give an image file.")


def _decode(source, where):
    """Turn a PIL image or an open file into an array, and any error into ours."""
    try:
        if isinstance(source, Image.Image):
            with _PIL_LOCK:
                return _decode_pil(source)
        with Image.open(source, formats=FORMATS) as image:  # reads the header only
            limit = Image.MAX_IMAGE_PIXELS
            if limit is not None and image.width * image.height > limit:
                raise Image.DecompressionBombError(f"{image.width}x{image.height}")
            return _decode_pil(image)
    except Image.DecompressionBombError as error:
        raise ImageReadError(
            f"{where} claims too many pixels ({error}); raise "
            "PIL.Image.MAX_IMAGE_PIXELS if you trust it."
        ) from error
    except UnidentifiedImageError as error:
        if source.seek(0, os.SEEK_END) == 0:
            raise ImageReadError(f"{where} is empty, zero bytes long.") from error
        raise ImageReadError(
            f"{where} is not an image in a format read here ({', '.join(FORMATS)}), "
            "or its header is broken; convert it, or open it yourself and give the "
            "PIL image."
        ) from error
    except MemoryError:
        raise
    except Exception as error:  # on broken files Pillow's codecs raise nearly anything
        reason = str(error) or type(error).__name__
        raise ImageReadError(
            f"{where} is truncated or broken: {reason}; replace or drop it."
        ) from error


def _decode_pil(image):
    image.load()
    try:
        if image.getexif().get(ExifTags.Base.Orientation, 1) != 1:
            image = ImageOps.exif_transpose(image)
    except Exception:
        pass  # a broken tag, of whatever kind, leaves the pixels good
    if image.mode.startswith("I;16"):
        values = np.asarray(image)
        pixels = _scale_16_bit(values)
        clear = image.info.get("transparency")
        if clear is None:
            return pixels
        alpha = np.where(values == clear, 0, 255).astype(np.uint8)
        return np.stack([pixels, alpha], axis=2)  # (H, W) -> (H, W, 2)
    if image.mode in ("I", "F"):
        values = np.asarray(image)
        if image.mode == "I" and ((values >= 0) & (values <= 65535)).all():
            return values.astype(np.uint16)  # Pillow has no better mode to say so
        return values
    if image.mode == "La":
        image = image.convert("LA")  # Pillow's only way out of that mode
    if image.has_transparency_data:
        mode = "RGBA"
    else:
        mode = "L" if image.mode in ("1", "L") else "RGB"
    return np.asarray(image if image.mode == mode else image.convert(mode))


def _to_uint8(pixels, where):
    kind = pixels.dtype.kind
    if kind not in "buif":
        raise TypeError(f"{where} has dtype {pixels.dtype}: {FORMS} is needed.")
    if pixels.dtype == np.uint8:
        return pixels
    if kind == "b":
        return np.where(pixels, 255, 0).astype(np.uint8)
    if kind == "f" and not np.isfinite(pixels).all():
        bad = pixels[~np.isfinite(pixels)][0]
        raise ImageReadError(f"{where} holds {bad}; replace or drop it.")
    low, high = pixels.min(), pixels.max()
    if low >= 0 and high <= 255:
        if kind != "f":
            return pixels.astype(np.uint8)
        white = 255 if high <= 1 else 1
        return _in_blocks(lambda rows: np.rint(rows.astype(np.float64) * white), pixels)
    if kind == "u" and pixels.itemsize == 2:
        return _scale_16_bit(pixels)
    raise ImageReadError(
        f"{where} has values from {low} to {high}; floats in 0..1, numbers in 0..255 "
        "or uint16 are needed: rescale it."
    )


def _in_blocks(convert, pixels, n_channels=None):
    """Fill a uint8 array, some rows at a time, with what `convert` makes of them."""
    shape = pixels.shape if n_channels is None else (*pixels.shape[:2], n_channels)
    result = np.empty(shape, np.uint8)
    n_rows = max(1, _BLOCK // pixels[0].size)
    for start in range(0, len(pixels), n_rows):
        rows = slice(start, start + n_rows)
        result[rows] = convert(pixels[rows])
    return result


def _scale_16_bit(values):
    # 65535 = 257 * 255
    return _in_blocks(lambda rows: (rows.astype(np.uint32) + 128) // 257, values)


def _composite(pixels, background):
    background = np.array(background, np.uint32)  # (3,)

    def mix(rows):
        color = rows[:, :, :-1].astype(np.uint32)  # (h, W, 1 or 3)
        alpha = rows[:, :, -1:].astype(np.uint32)  # (h, W, 1)
        return (color * alpha + background * (255 - alpha) + 127) // 255  # (h, W, 3)

    return _in_blocks(mix, pixels, n_channels=3)
