"""One item of ``X``, a file, PIL image or array, as an array of uint8."""

import io
import math
import os
import re
import stat
import threading
from contextlib import suppress

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from skcaptcha.exceptions import ImageReadError

ENCODED = (str, os.PathLike, bytes, bytearray, memoryview)
"""Types of the items that have to be decoded: paths, and the bytes of files."""

# Only these, so that reading doesn't depend on Pillow's plugins, and no file can start
# another program (Pillow hands EPS to Ghostscript).
FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "PPM")
with suppress(ImportError):  # not in Pillow before 11.3
    from PIL import AvifImagePlugin  # noqa: F401

    FORMATS += ("AVIF",)
_FORMS = (
    "a path (str or os.PathLike), encoded bytes, a PIL image, or a numeric array of "
    "shape (H, W) or (H, W, 1 to 4)"
)
_URL = re.compile(r"[a-z][a-z0-9+.-]+://|data:", re.IGNORECASE)
# X may hold a PIL image twice, and Pillow's lazy loading isn't thread-safe.
_PIL_LOCK = threading.Lock()


def _renew_lock():
    global _PIL_LOCK
    _PIL_LOCK = threading.Lock()


if hasattr(os, "register_at_fork"):
    # Of the thread that holds the lock at a fork there is none in the child.
    os.register_at_fork(after_in_child=_renew_lock)
# Pixels to convert at a time, which bounds the memory of intermediate values.
_BLOCK = 2**20
# Greatest level of a camera of 12 bits, which writes its images in 16.
_MAX_CAMERA_LEVEL = 4095
# What rounding may add to the 1 of white.
_ROUNDING = 1e-3
# Frames of an animation among which the first is sought that is not blank.
_MAX_FRAMES = 32


def decode(item, background, name):
    """Return an item as a new array, gray (H, W) or RGB (H, W, 3).

    `background` is an RGB tuple; `name` is for errors. Raises as `read_image` does.
    """
    try:
        pixels = _to_array(item, name)
        shape = pixels.shape
        if len(shape) == 2:
            pixels = pixels[:, :, np.newaxis]  # (H, W) -> (H, W, 1)
        if pixels.ndim != 3 or not 1 <= pixels.shape[2] <= 4 or pixels.size == 0:
            raise ImageReadError(
                f"{name} has shape {shape}; (H, W) or (H, W, 1 to 4) with at least "
                "one pixel is needed, channels last."
            )
        pixels = _to_uint8(pixels, name)
        if pixels.shape[2] in (2, 4):
            pixels = _composite(pixels, background)  # -> (H, W, 3)
        if (pixels[:, :, 1:] == pixels[:, :, :1]).all():
            pixels = pixels[:, :, 0]  # (H, W, 1 or 3) -> (H, W)
        return np.array(pixels, order="C")  # a copy even where nothing changes
    except MemoryError as error:
        raise ImageReadError(
            f"{name} needs more memory than there is; shrink it, or drop it."
        ) from error


def _to_array(item, name):
    """Return an item of any form as an array of any shape."""
    if isinstance(item, (str, os.PathLike)):
        with _open_file(item, name) as stream:
            return _open_image(stream, name)
    if isinstance(item, (bytes, bytearray, memoryview)):
        if not memoryview(item).nbytes:
            raise ImageReadError(f"{name} is empty, zero bytes long.")
        return _open_image(io.BytesIO(bytes(item)), name)
    if isinstance(item, Image.Image):
        return _open_image(item, name)
    if hasattr(item, "__array__") and not isinstance(item, np.generic):
        try:
            _check_n_pixels(getattr(item, "shape", ()), name)
            pixels = np.asarray(item)
        except ImageReadError:
            raise
        except Exception as error:  # array libraries raise anything
            raise ImageReadError(f"{name} gives no array: {error}") from error
        _check_n_pixels(pixels.shape, name)
        if np.ma.is_masked(item):
            raise ImageReadError(
                f"{name} has masked pixels; say what they show, such as white: "
                "image.filled(255)."
            )
        return pixels
    raise TypeError(f"{name} is no image: {_FORMS} is needed.")


def _check_n_pixels(shape, name):
    """Raise an ImageReadError if an image has more pixels than Pillow's limit."""
    limit = Image.MAX_IMAGE_PIXELS
    if limit is not None and math.prod(shape[:2]) > limit:
        size = "x".join(map(str, shape[1::-1]))  # width x height
        raise ImageReadError(
            f"{name} claims too many pixels ({size}); raise "
            "PIL.Image.MAX_IMAGE_PIXELS if you trust it."
        )


def name_item(name, item):
    """Return what error messages call an item, such as ``X[3]='a.png'``."""
    return f"{name}={describe_item(item)}"


def name_sample(position, item):
    """Return what error messages call an item of `X`, by its file if it has one."""
    name = f"X[{position}]"
    return name_item(name, item) if isinstance(item, ENCODED) else name


def describe_item(item):
    """Return a short description of a value for an error message."""
    if isinstance(item, (bytes, bytearray, memoryview)):
        size = f"{memoryview(item).nbytes} bytes"
        if hasattr(item, "archive"):  # loaded from a zip file
            return f"<{size}, {item.name!r} in {item.archive!r}>"
        return f"<{size}>"
    if isinstance(item, Image.Image):
        file = getattr(item, "filename", None)
        where = f" of {os.fsdecode(file)!r}" if file else ""
        return f"<PIL image{where}, mode {item.mode}, {item.width}x{item.height}>"
    if hasattr(item, "shape") and hasattr(item, "dtype") and len(item.shape) > 0:
        return f"<array, shape {tuple(item.shape)}, {item.dtype}>"
    text = repr(os.fspath(item) if isinstance(item, os.PathLike) else item)
    return text if len(text) <= 300 else f"{text[:200]}...{text[-80:]}"


def _open_file(path, name):
    if isinstance(path, str) and _URL.match(path):
        raise ImageReadError(
            f"{name} is a URL, and URLs are not opened: download it first and give "
            "the path of the file or its bytes."
        )
    try:
        found = os.stat(path)
        mode = found.st_mode
        # Opening a pipe would block, and so may reading the empty files in /proc.
        if stat.S_ISREG(mode) and found.st_size:
            return open(path, "rb")
    except (FileNotFoundError, NotADirectoryError) as error:
        if os.path.islink(path):
            raise FileNotFoundError(
                f"{name} is a link to {os.readlink(path)!r}, which does not exist; "
                "repair or drop it."
            ) from error
        raise FileNotFoundError(
            f"{name} does not exist; check the spelling, and that a relative path "
            f"starts in the current folder, {os.getcwd()!r}."
        ) from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = getattr(error, "strerror", None) or error
        raise ImageReadError(f"{name} cannot be opened: {reason}.") from error
    if stat.S_ISREG(mode):
        raise ImageReadError(f"{name} is empty, zero bytes long.")
    if stat.S_ISDIR(mode):
        raise ImageReadError(
            f"{name} is a folder; give the paths of the images in it, which "
            "skcaptcha.datasets.load_image_folder lists."
        )
    raise ImageReadError(f"{name} is not a regular file; give an image file.")


def _open_image(source, name):
    """Return the pixels of a PIL image or an open file; all errors become ours."""
    try:
        if isinstance(source, Image.Image):
            with _PIL_LOCK:
                _refuse_plain_text(source, name)
                _refuse_closed(source, name)
                return _to_pixels(source)
        with Image.open(source, formats=FORMATS) as image:  # reads the header only
            _check_n_pixels((image.height, image.width), name)
            _refuse_plain_text(image, name)
            return _to_pixels_of_frame(image)
    except ImageReadError:
        raise
    except Image.DecompressionBombError as error:
        raise ImageReadError(
            f"{name} claims too many pixels ({error}); raise "
            "PIL.Image.MAX_IMAGE_PIXELS if you trust it."
        ) from error
    except UnidentifiedImageError as error:
        raise ImageReadError(
            f"{name} is not an image in a format read here ({', '.join(FORMATS)}), "
            "or its header is broken; convert it, or open it yourself and give the "
            "PIL image."
        ) from error
    except MemoryError:
        raise
    except Exception as error:  # Pillow's codecs raise nearly anything
        reason = str(error) or type(error).__name__
        raise ImageReadError(
            f"{name} is truncated or broken: {reason}; replace or drop it."
        ) from error


def _refuse_plain_text(image, name):
    """Raise an ImageReadError if an image is not loaded yet and written in digits.

    Pillow takes time that grows with the square of their number.
    """
    if any(tile[0] == "ppm_plain" for tile in getattr(image, "tile", ())):
        raise ImageReadError(
            f"{name} is a plain-text PBM, PGM or PPM (P1 to P3), which is slow to "
            "read; convert it to the binary form (P4 to P6) or to PNG."
        )


def _refuse_closed(image, name):
    """Raise an ImageReadError if an image was closed before it was loaded."""
    file = getattr(image, "fp", None)
    if getattr(image, "tile", None) and (file is None or file.closed):
        raise ImageReadError(
            f"{name} was not loaded before its file was closed; call image.load() "
            "within the `with` block, or give the path."
        )


def _to_pixels_of_frame(image):
    """Return the pixels of the first frame that is not blank, or of the first."""
    pixels = _to_pixels(image)
    if not getattr(image, "is_animated", False) or not _is_blank(pixels):
        return pixels
    for frame in range(1, min(image.n_frames, _MAX_FRAMES)):
        image.seek(frame)
        later = _to_pixels(image)
        if not _is_blank(later):
            return later
    return pixels


def _is_blank(pixels):
    """Tell whether an image has one color in all pixels, or is clear in all of them."""
    if pixels.ndim == 3 and pixels.shape[2] in (2, 4) and not pixels[:, :, -1].any():
        return True
    return bool((pixels == pixels[0, 0]).all())


def _to_pixels(image):
    image.load()
    # `convert`, `point` and so on leave a note on which color was transparent in the
    # image before, which may be another one now. Palettes hold their own.
    is_derived = image.format is None and image.mode not in ("P", "PA")
    is_bitmap = image.format == "BMP"
    try:
        if image.getexif().get(ExifTags.Base.Orientation, 1) != 1:
            image = ImageOps.exif_transpose(image)
    except Exception:
        pass  # the pixels are good even if the tag is broken
    if is_derived and "transparency" in image.info:
        image = image.copy()
        del image.info["transparency"]
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
            return values.astype(np.uint16)  # 16-bit gray; Pillow has no mode for it
        return values
    if image.mode == "La":
        image = image.convert("LA")  # the only conversion that Pillow has
    if image.has_transparency_data:
        mode = "RGBA"
    else:
        mode = "L" if image.mode in ("1", "L") else "RGB"
    pixels = np.asarray(image if image.mode == mode else image.convert(mode))
    if is_bitmap and mode == "RGBA" and not pixels[:, :, 3].any():
        return pixels[:, :, :3]  # whatever wrote it left this byte unused
    return pixels


def _to_uint8(pixels, name):
    kind = pixels.dtype.kind
    if kind not in "buif":
        raise TypeError(f"{name} has dtype {pixels.dtype}: {_FORMS} is needed.")
    if pixels.dtype == np.uint8:
        return pixels
    if kind == "b":
        return np.where(pixels, 255, 0).astype(np.uint8)
    if kind == "f" and not np.isfinite(pixels).all():
        bad = pixels[~np.isfinite(pixels)][0]
        raise ImageReadError(f"{name} holds {bad}; replace or drop it.")
    if kind == "u" and pixels.itemsize == 2:
        return _scale_16_bit(pixels)
    low, high = pixels.min(), pixels.max()
    if low >= 0 and high <= 255:
        if kind != "f":
            return pixels.astype(np.uint8)
        if 1 < high < 2:
            if high > 1 + _ROUNDING:
                raise ImageReadError(
                    f"{name} has floats from {low} to {high}, just above 0..1, as "
                    "interpolation gives; clip them: image.clip(0, 1)."
                )
            pixels, high = pixels.clip(max=1), 1
        white = 255 if high <= 1 else 1
        return _in_blocks(lambda rows: np.rint(rows.astype(np.float64) * white), pixels)
    raise ImageReadError(
        f"{name} has values from {low} to {high}; floats in 0..1, numbers in 0..255 "
        "or uint16 are needed: rescale it."
    )


def _in_blocks(convert, pixels, n_channels=None):
    """Convert an array to uint8, some rows at a time."""
    shape = pixels.shape if n_channels is None else (*pixels.shape[:2], n_channels)
    result = np.empty(shape, np.uint8)
    n_rows = max(1, _BLOCK // pixels[0].size)
    for start in range(0, len(pixels), n_rows):
        rows = slice(start, start + n_rows)
        result[rows] = convert(pixels[rows])
    return result


def _scale_16_bit(values):
    highest = int(values.max())
    if highest <= _MAX_CAMERA_LEVEL:
        unused = max(0, highest.bit_length() - 8)
        return _in_blocks(lambda rows: rows >> unused, values)
    # 65535 = 257 * 255
    return _in_blocks(lambda rows: (rows.astype(np.uint32) + 128) // 257, values)


def _composite(pixels, background):
    background = np.array(background, np.uint32)  # (3,)

    def mix(rows):
        color = rows[:, :, :-1].astype(np.uint32)  # (h, W, 1 or 3)
        alpha = rows[:, :, -1:].astype(np.uint32)  # (h, W, 1)
        return (color * alpha + background * (255 - alpha) + 127) // 255  # (h, W, 3)

    return _in_blocks(mix, pixels, n_channels=3)
