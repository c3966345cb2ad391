"""Images of any form as arrays of uint8, one or many, and their colors."""

import re
import warnings
from contextlib import contextmanager, suppress

import numpy as np
from PIL import Image, ImageColor

from skcaptcha._threads import count_threads, map_in_threads
from skcaptcha._validation import issue_warnings, refuse_single_image
from skcaptcha.exceptions import SkippedImageWarning
from skcaptcha.images._decode import ENCODED, decode, describe_item, name_item

# How many of the skipped images a warning names.
_MAX_NAMED = 5
# What `warnings.filterwarnings("ignore", module=...)` makes.
_QUIET = ("ignore", None, Warning, re.compile(r"PIL\."), 0)


def read_image(item, *, background="white", name="image"):
    """Read one image into a new uint8 array.

    Of the frames of an animation, or the pages of a file, the first is read that is
    not of one color; of a PIL image the frame that it stands at, so ``image.seek(3)``
    chooses another. A photo is turned as its EXIF orientation says.

    Parameters
    ----------
    item : str, os.PathLike, bytes, bytearray, memoryview, PIL image or array-like
        A path to, or the encoded bytes of, a PNG, JPEG, GIF, BMP, WebP, TIFF or PPM
        file; an image opened with Pillow; or an array, or anything with
        ``__array__`` such as a tensor on the CPU, of shape (H, W), (H, W, 1),
        (H, W, 2) gray and alpha, (H, W, 3) RGB or (H, W, 4) RGB and alpha. Arrays
        are bool (False is black, True is white); integers in 0..255; uint16; or floats,
        all in 0..1 (then times 255, rounded) or else all in 0..255 (rounded). Of uint16
        and files of 16 bits the white is 65535. Where no value is above 4095, it is
        255, 511, 1023, 2047 or 4095, as cameras of 8 to 12 bits write them. What Pillow
        has derived from an image (`convert`, `rotate`) is read as its pixels are: a
        color that was transparent before is not, but an EXIF orientation that it still
        has counts.
    background : str or tuple of 3 int, default="white"
        Color behind transparent pixels: a name or ``#rrggbb`` as Pillow knows them,
        or (red, green, blue) in 0..255.
    name : str, default="image"
        What error messages call the item.

    Returns
    -------
    ndarray of uint8, shape (H, W) or (H, W, 3)
        Gray where red, green and blue are equal in every pixel, else RGB.
        C-contiguous, and never a view of `item`.

    Raises
    ------
    FileNotFoundError
        If a path doesn't exist.
    ImageReadError
        If the item is no readable image: truncated, empty, of more pixels than
        ``PIL.Image.MAX_IMAGE_PIXELS``, not a regular file, a URL, a plain-text PPM,
        or an array of another shape or with other values than those above, or with
        masked pixels.
    TypeError
        If the item is of another type.

    Examples
    --------
    >>> from skcaptcha.images import read_image
    >>> read_image(np.array([[0.0, 0.2, 1.0]]))
    array([[  0,  51, 255]], dtype=uint8)
    >>> half_black = np.array([[[0, 0, 0, 51]]], dtype=np.uint8)  # RGB and alpha
    >>> read_image(half_black, background=(255, 0, 0))
    array([[[204,   0,   0]]], dtype=uint8)
    """
    color = parse_background(background)
    with _no_warnings_of_pillow():
        return decode(item, color, name_item(name, item))


def read_images(
    items, *, background="white", n_jobs=None, name="X", first=0, on_error="raise"
):
    """Read a list of images, decoding them in threads.

    Parameters
    ----------
    items : sequence
        Images in any of the forms that :func:`read_image` takes, mixed at will; or a
        stack of gray images of shape (n, H, W) or of others, (n, H, W, C). A single
        image goes into a list: an array (H, W) or (H, W, 1 to 4) is refused, and so is
        (3 or 4, H, W) if its planes look like the channels of one picture.
    background : str or tuple of 3 int, default="white"
        Color behind transparent pixels, as for :func:`read_image`.
    n_jobs : int, default=None
        The number of threads that decode. None is one for each core, 8 at most, but
        one within a joblib job, or what ``joblib.parallel_config`` says; 1 reads in
        the calling thread; -1 is one for each core. Arrays and PIL images need no
        threads.
    name : str, default="X"
        What error messages call the sequence.
    first : int, default=0
        The position that error messages give to the first item, if `items` are a part
        of a longer sequence.
    on_error : {"raise", "skip"}, default="raise"
        What to do where an item cannot be read: raise its error, or put None in its
        place and warn once at the end.

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
        If items were skipped: how many, and why the first ones were.

    Examples
    --------
    >>> from skcaptcha.images import read_images
    >>> images = read_images([np.zeros((2, 5)), np.ones((3, 4, 3))])
    >>> [image.shape for image in images]
    [(2, 5), (3, 4)]
    """
    if isinstance(items, (*ENCODED, Image.Image)) or not hasattr(items, "__len__"):
        raise TypeError(
            f"{name}={describe_item(items)} is not a sequence of images; "
            f"put a single image into a list: [image]."
        )
    refuse_single_image(items, name)
    images = iterate_images(
        items,
        background=background,
        n_jobs=n_jobs,
        name=name,
        first=first,
        on_error=on_error,
    )
    images, notices = collect(enumerate(images))
    issue_warnings(notices)
    return images


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
    """Return a generator of images, with the parameters of `read_images`.

    With ``on_error="skip"`` it yields the exception in place of the image.
    ``convert(image, name=...)`` is called in the thread that decoded the image, and
    its result or its error takes the place of the image. If there are several threads,
    they read up to `ahead` images in advance.
    """
    check_on_error(on_error)
    color = parse_background(background)
    n_threads = count_threads(n_jobs)

    def read(numbered):
        position, item = numbered
        item_name = name_item(f"{name}[{position}]", item)
        try:
            with _no_warnings_of_pillow():
                image = decode(item, color, item_name)
            return image if convert is None else convert(image, name=item_name)
        except (ValueError, TypeError, FileNotFoundError) as error:
            if on_error == "raise":
                raise
            # Its traceback would keep the images in its frames alive.
            return error.with_traceback(None)

    return map_in_threads(
        read,
        enumerate(items, first),
        n_threads,
        worthwhile=lambda numbered: isinstance(numbered[1], ENCODED),
        ahead=ahead,
    )


def check_on_error(on_error):
    """Raise a ValueError unless `on_error` is "raise" or "skip"."""
    if not isinstance(on_error, str) or on_error not in ("raise", "skip"):
        raise ValueError(f"on_error={on_error!r} must be 'raise' or 'skip'.")


def is_error(value):
    """Tell whether a value is an error in the place of an image."""
    return isinstance(value, Exception)


def collect(found):
    """Return values in the order of their positions, and what to warn of.

    `found` are pairs (position, value). None takes the place of an error.
    """
    values = dict(found)
    errors = {position: v for position, v in values.items() if is_error(v)}
    n_images = len(values)
    ordered = [None if i in errors else values[i] for i in range(n_images)]
    return ordered, describe_skipped(errors, n_images)


def describe_skipped(errors, n_images, where=""):
    """Return the warning that images were skipped, as a list of (message, category).

    `errors` is a dict of the reasons by position, and `where` is added to the word
    "images". The list is empty if nothing was skipped.
    """
    if not errors:
        return []
    named = " ".join(str(errors[i]) for i in sorted(errors)[:_MAX_NAMED])
    n_more = len(errors) - _MAX_NAMED
    more = f" And {n_more} more." if n_more > 0 else ""
    count = f"{len(errors)} of {n_images} images{where} were skipped"
    return [(f"{count}: {named}{more}", SkippedImageWarning)]


def to_grayscale(image):
    """Convert an image to gray.

    Parameters
    ----------
    image : ndarray of uint8, shape (H, W) or (H, W, 3)
        A gray or RGB image.

    Returns
    -------
    ndarray of uint8, shape (H, W)
        The luma, 0.299 red + 0.587 green + 0.114 blue, rounded as Pillow does. A
        gray image is returned as it is, not copied.

    Raises
    ------
    ValueError
        If `image` is of another shape or dtype.

    References
    ----------
    Recommendation ITU-R BT.601-7, section 2.5.1.

    Examples
    --------
    >>> from skcaptcha.images import to_grayscale
    >>> to_grayscale(np.array([[[255, 0, 0], [0, 255, 0]]], dtype=np.uint8))
    array([[ 76, 150]], dtype=uint8)
    """
    _check_pixels(image)
    if image.ndim == 2:
        return image
    return np.array(Image.fromarray(image).convert("L"))  # (H, W, 3) -> (H, W)


def to_rgb(image):
    """Convert an image to RGB.

    Parameters
    ----------
    image : ndarray of uint8, shape (H, W) or (H, W, 3)
        A gray or RGB image.

    Returns
    -------
    ndarray of uint8, shape (H, W, 3)
        Gray in all three channels. An RGB image is returned as it is, not copied.

    Raises
    ------
    ValueError
        If `image` is of another shape or dtype.

    Examples
    --------
    >>> from skcaptcha.images import to_rgb
    >>> to_rgb(np.array([[7, 9]], dtype=np.uint8)).tolist()
    [[[7, 7, 7], [9, 9, 9]]]
    """
    _check_pixels(image)
    if image.ndim == 3:
        return image
    return np.repeat(image[:, :, np.newaxis], 3, axis=2)  # (H, W) -> (H, W, 3)


def has_color(images):
    """Tell whether images have color worth keeping.

    A pixel is colored when its largest channel exceeds its smallest by more than 16
    levels, as the tints that JPEG leaves in gray images do not. An image is colored
    when at least 0.1 % of its pixels are; a set, when at least 1 % of its images are;
    but at least one of each.

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
            f"image={describe_item(image)} must be a uint8 array of shape (H, W) or "
            "(H, W, 3); read_image makes one."
        )


def copy_color(background):
    """Return a background that does not change with the list of the user."""
    return background if isinstance(background, str) else tuple(background)


def parse_background(background):
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
    """Hide warnings of Pillow: a broken file ends in an image or in our error.

    `warnings.catch_warnings` is not for threads: each would restore the filters that
    it found, which may be those of another thread. Here each thread adds a filter and
    removes an equal one.
    """
    warnings.filters.insert(0, _QUIET)
    try:
        yield
    finally:
        with suppress(ValueError):  # another thread has restored other filters
            warnings.filters.remove(_QUIET)
