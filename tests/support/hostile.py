"""Images that are broken, odd or made to do harm."""

import io
import os
import struct
import zlib

import numpy as np
from PIL import Image


def encode(image, format="PNG", **options):
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image)
    stream = io.BytesIO()
    image.save(stream, format, **options)
    return stream.getvalue()


def png(width, height, depth, color_type, pixels, *chunks):
    """Write a PNG by hand: what Pillow cannot write, or that claims what is not so."""

    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", width, height, depth, color_type, 0, 0, 0)
    data = zlib.compress(pixels)
    parts = ((b"IHDR", header), *chunks, (b"IDAT", data), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


# ---- odd, but images -------------------------------------------------------------


def make_variants(pixels):
    """Files that show a gray image in ways that programs and phones write."""
    image = Image.fromarray(pixels)
    other = Image.fromarray(255 - pixels)
    palette = image.convert("P")
    palette.putpalette([level for level in range(256) for _ in range(3)])
    # The white pixels are clear, and black underneath.
    clear = palette.copy()
    clear.putpalette([level % 255 for level in range(256) for _ in range(3)])
    inks = np.stack([np.zeros_like(pixels)] * 3 + [255 - pixels], axis=2)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned right to stand upright
    on_its_side = Image.fromarray(np.ascontiguousarray(np.rot90(pixels)))
    return {
        "PNG": encode(image),
        "1-bit transparency": encode(clear, transparency=255),
        "palette": encode(palette),
        "16 bits": encode(pixels.astype(np.uint16) * 257),
        "RGB": encode(image.convert("RGB")),
        "RGBA": encode(image.convert("RGBA")),
        "float TIFF": encode((pixels / 255).astype(np.float32), "TIFF"),
        "CMYK TIFF": encode(Image.fromarray(inks, "CMYK"), "TIFF"),
        "LZW TIFF": encode(image, "TIFF", compression="tiff_lzw"),
        "GIF": encode(palette, "GIF"),
        "animated GIF": encode(palette, "GIF", save_all=True, append_images=[other]),
        "animated PNG": encode(image, save_all=True, append_images=[other]),
        "animated WebP": encode(
            image, "WEBP", save_all=True, append_images=[other], lossless=True
        ),
        "pages of TIFF": encode(image, "TIFF", save_all=True, append_images=[other]),
        "BMP": encode(image, "BMP"),
        "PPM": encode(image, "PPM"),
        "EXIF": encode(on_its_side, exif=exif),
        "EXIF TIFF": encode(on_its_side, "TIFF", exif=exif),
        "16 bits in memory": Image.fromarray(pixels.astype(np.uint16) * 257),
        "float array": pixels / 255,
    }


SHAPES = [(1, 1), (1, 100), (100, 1), (2, 500), (50, 30_000), (3000, 2)]
"""Shapes of images that are read, however odd."""

FORMATS = ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"]
"""Formats of files that are cut off."""

NAMES = [
    b"line\nbreak.png",
    "\N{GRINNING FACE}.png".encode(),
    b"not \xff UTF-8.png",
    b"another suffix.jpg",
    b"no suffix",
    b"  .png",
    b"-rf *.png",
    b"%s{0}.png",
]
"""Names of files that are read."""


def cut_at_tenths(data):
    """Return a file cut off after none to nine tenths of it."""
    return [data[: len(data) * tenth // 10] for tenth in range(10)]


# ---- what is no image ------------------------------------------------------------


def make_bad(name, folder):
    """Return an item of X that cannot be read, and what its error says.

    What needs a file lies in a folder, where there was none of these before.
    """
    path = folder / "bad.png"
    good = encode(np.zeros((16, 48), np.uint8))
    contents = {
        "zero bytes": (b"", "is empty, zero bytes long"),
        "random bytes": (np.random.default_rng(0).bytes(500), "is not an image in a"),
        "text": (b"not a PNG", "is not an image in a format read here"),
        "only a signature": (good[:8], "or its header is broken"),
        "a format not read": (
            b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EOF",
            "is not an image in a format read here",
        ),
        "no rows": (png(48, 0, 8, 0, b""), "or its header is broken"),
        "no columns": (png(0, 16, 8, 0, b""), "or its header is broken"),
        "a bomb": (png(50_000, 50_000, 8, 0, b""), "claims too many pixels"),
        "cut off": (good[: len(good) // 2], "is not an image|is truncated"),
        "a TIFF of NaN": (
            encode(np.full((4, 9), np.nan, np.float32), "TIFF"),
            "holds nan; replace or drop it",
        ),
        "plain PBM": (b"P1\n2 1\n0 1\n", "is a plain-text PBM, PGM or PPM"),
        "plain PGM": (b"P2\n2 1\n255\n0 255\n", "convert it to the binary form"),
        "plain PPM": (b"P3\n# a\n1 1\n255\n0 9 255\n", "is a plain-text PBM, PGM"),
        "far too wide": (encode(np.zeros((1, 30_000), np.uint8)), "at most 32768 are"),
    }
    if name in contents:
        data, message = contents[name]
        path.write_bytes(data)
        return path, message
    if name == "a missing file":
        return folder / "gone.png", "does not exist; check the spelling"
    if name == "a folder":
        return folder, "is a folder; give the paths of the images in it"
    if name == "a file as a folder":
        path.write_bytes(good)
        return path / "inner.png", "does not exist"
    if name == "a broken link":
        path.symlink_to(folder / "gone.png")
        return path, "is a link to '.*gone.png', which does not exist"
    if name == "a link to itself":
        path.symlink_to(path)
        return path, "cannot be opened: Too many levels"
    if name == "a pipe":
        if not hasattr(os, "mkfifo"):
            raise NotImplementedError("there are no pipes here")
        os.mkfifo(path)
        return path, "is not a regular file"
    if name == "a file of /proc" and not os.path.exists("/proc/self/mem"):
        raise NotImplementedError("there is no /proc here")
    if name == "a device":
        return os.devnull, "is not a regular file"
    if name == "a locked file":
        path.write_bytes(good)
        path.chmod(0)
        return path, "cannot be opened: Permission denied"
    return {
        "a URL": ("https://example.org/a.png", "is a URL, and URLs are not opened"),
        "a data URL": ("data:image/png;base64,iVBO", "is a URL"),
        "a zero byte": ("a\0b.png", "cannot be opened: embedded null"),
        "a long path": ("x" * 5000, "cannot be opened: File name too long"),
        "a lone surrogate": ("\ud800.png", "cannot be opened: .*surrogates not al"),
        "a file of /proc": ("/proc/self/mem", "is empty, zero bytes long"),
        "a broadcast array": (
            np.broadcast_to(np.uint8(9), (10**5, 10**5)),
            r"claims too many pixels \(100000x100000\); raise PIL",
        ),
        "a broadcast array of floats": (
            np.broadcast_to(np.zeros(3), (10**4, 10**6, 3)),
            r"claims too many pixels \(1000000x10000\); raise PIL",
        ),
        "a masked array": (
            np.ma.masked_all((16, 48), np.uint8),
            r"has masked pixels; say .* image\.filled\(255\)",
        ),
        "a masked pixel": (
            np.ma.masked_equal(np.eye(16, 48), 1),
            "has masked pixels; say what they show",
        ),
        "0 rows": (np.zeros((0, 48), np.uint8), r"has shape \(0, 48\)"),
        "0 columns": (np.zeros((16, 0, 3), np.uint8), r"has shape \(16, 0, 3\)"),
        "no number": (np.array([[np.nan, 0.5]]), "holds nan"),
        "infinity": (np.array([[0.5, -np.inf]]), "holds -inf"),
        "None": (None, "is no image: a path"),
        "a number": (3.5, "is no image: a path"),
        "an object": (object(), "is no image: a path"),
    }[name]


BAD = [
    "zero bytes",
    "random bytes",
    "text",
    "only a signature",
    "a format not read",
    "cut off",
    "a TIFF of NaN",
    "no rows",
    "no columns",
    "a bomb",
    "plain PBM",
    "plain PGM",
    "plain PPM",
    "far too wide",
    "a missing file",
    "a folder",
    "a file as a folder",
    "a broken link",
    "a link to itself",
    "a pipe",
    "a device",
    "a locked file",
    "a URL",
    "a data URL",
    "a zero byte",
    "a long path",
    "a lone surrogate",
    "a file of /proc",
    "a broadcast array",
    "a broadcast array of floats",
    "a masked array",
    "a masked pixel",
    "0 rows",
    "0 columns",
    "no number",
    "infinity",
    "None",
    "a number",
    "an object",
]
"""Names of what `make_bad` makes."""
