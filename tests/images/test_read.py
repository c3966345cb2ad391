import gc
import io
import os
import struct
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from support.hostile import encode, png

from skcaptcha.exceptions import ImageReadError, SkippedImageWarning
from skcaptcha.images import has_color, read_image, read_images, to_grayscale, to_rgb

GRAY = np.array([[0, 100, 255], [7, 200, 31]], np.uint8)
RGB = np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [10, 20, 30]]], np.uint8)


def check(image, expected):
    assert isinstance(image, np.ndarray)
    assert image.dtype == np.uint8
    assert image.flags.c_contiguous and image.flags.owndata and image.flags.writeable
    np.testing.assert_array_equal(image, np.asarray(expected, np.uint8), strict=True)


# ---- forms ---------------------------------------------------------------------


@pytest.mark.parametrize("pixels", [GRAY, RGB], ids=["gray", "rgb"])
def test_every_form_of_one_image_reads_alike(tmp_path, pixels):
    data = encode(pixels)
    path = tmp_path / "image.png"
    path.write_bytes(data)
    with Image.open(path) as lazy:
        forms = [
            path,
            str(path),
            np.str_(path),
            data,
            bytearray(data),
            memoryview(data),
            memoryview(bytes(b for byte in data for b in (byte, 0)))[::2],
            lazy,
            Image.fromarray(pixels),
            pixels,
            np.asfortranarray(pixels),
            torch.from_numpy(pixels),
            torch.from_numpy(pixels).to(torch.int64),
            pixels.astype(np.float32),
            pixels / 255,
            torch.from_numpy((pixels / 255).astype(np.float32)).requires_grad_(False),
        ]
        for form in forms:
            check(read_image(form), pixels)


def test_channel_axis_of_length_one_is_dropped():
    check(read_image(GRAY[:, :, None]), GRAY)


def test_rgb_with_equal_channels_is_gray():
    gray_as_rgb = to_rgb(GRAY)
    check(read_image(gray_as_rgb), GRAY)
    check(read_image(encode(gray_as_rgb)), GRAY)
    almost = gray_as_rgb.copy()
    almost[1, 2, 0] += 1
    check(read_image(almost), almost)


@pytest.mark.parametrize(
    ("pixels", "expected"),
    [
        (np.array([[False, True]]), [[0, 255]]),
        (np.array([[0, 255]], np.int64), [[0, 255]]),
        (np.array([[0, 1]], np.int16), [[0, 1]]),
        (np.array([[0, 255]], np.uint16), [[0, 255]]),
        (np.array([[0, 256, 257, 32896, 65535]], np.uint16), [[0, 1, 1, 128, 255]]),
        (np.array([[0, 257, 65535]], ">u2"), [[0, 1, 255]]),
        (np.array([[0.0, 0.5, 1.0]], np.float16), [[0, 128, 255]]),
        (np.array([[0.0, 0.2, 1.0]]), [[0, 51, 255]]),
        (np.array([[0.4, 1.6, 255.0]]), [[0, 2, 255]]),
    ],
)
def test_values_of_arrays(pixels, expected):
    check(read_image(pixels), expected)


def test_input_is_unchanged_and_never_shared():
    pixels = GRAY.copy()
    pixels.flags.writeable = False
    image = read_image(pixels)
    image[:] = 0
    np.testing.assert_array_equal(pixels, GRAY)

    palette = Image.fromarray(RGB).convert("P")
    palette.info["transparency"] = 0
    before = (palette.mode, palette.tobytes(), palette.getpalette(), dict(palette.info))
    read_image(palette)
    after = (palette.mode, palette.tobytes(), palette.getpalette(), dict(palette.info))
    assert before == after

    data = bytearray(encode(GRAY))
    kept = bytes(data)
    read_image(data)
    assert data == kept
    data.append(0)  # no view of it is left behind


# ---- modes and formats ----------------------------------------------------------


def pil(mode, *pixels):
    image = Image.new(mode, (len(pixels), 1))
    for x, pixel in enumerate(pixels):
        image.putpixel((x, 0), pixel)
    return image


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (pil("1", 0, 255), [[0, 255]]),
        (pil("L", 3, 250), [[3, 250]]),
        (pil("LA", (0, 51), (9, 255)), [[204, 9]]),
        (pil("RGB", (1, 2, 3)), [[[1, 2, 3]]]),
        (pil("RGBX", (1, 2, 3, 0)), [[[1, 2, 3]]]),
        (pil("RGBA", (255, 0, 0, 51)), [[[255, 204, 204]]]),
        (pil("CMYK", (0, 0, 0, 0), (0, 0, 0, 255)), [[255, 0]]),
        (pil("CMYK", (0, 255, 255, 0)), [[[255, 0, 0]]]),
        (pil("YCbCr", (77, 128, 128)), [[77]]),
        (pil("YCbCr", (76, 85, 255)), [[[254, 0, 0]]]),
        (pil("HSV", (0, 255, 200)), [[[200, 0, 0]]]),
        (pil("I", 0, 32896, 65535), [[0, 128, 255]]),
        (pil("I", 0, 8), [[0, 8]]),
        (pil("F", 0.0, 0.2, 1.0), [[0, 51, 255]]),
        (pil("F", 0.0, 99.6), [[0, 100]]),
    ],
    ids=lambda value: getattr(value, "mode", None),
)
def test_modes(image, expected):
    check(read_image(image), expected)


def test_lab():
    # a* = b* = 0, which Pillow holds as 128, is neutral; L* = 255 is white, 0 black.
    image = pil("LAB", (255, 128, 128), (0, 128, 128))
    for item in (image, encode(image, "TIFF")):
        levels = to_rgb(read_image(item)).astype(int)
        assert abs(levels - [[[255] * 3, [0] * 3]]).max() <= 1
    red, green, blue = read_image(pil("LAB", (136, 208, 195)))[0, 0]  # pure sRGB red
    assert red > 240 and green < 20 and blue < 20


@pytest.mark.parametrize("mode", ["I;16", "I;16L", "I;16B", "I;16N"])
def test_16_bit_is_scaled_in_every_byte_order(mode):
    native = "<u2" if struct.pack("=H", 1)[0] else ">u2"
    order = {"I;16B": ">u2", "I;16N": native}.get(mode, "<u2")
    values = np.array([[0, 257, 32896, 65535]], order)
    image = Image.frombytes(mode, (4, 1), values.tobytes())
    check(read_image(image), [[0, 1, 128, 255]])


def test_premultiplied_modes():
    # Half-transparent 100 is stored as 50: 100 * 128/255 + 255 * 127/255 = 177.2
    la = Image.frombytes("La", (2, 1), bytes([50, 128, 200, 255]))
    image = read_image(la)
    assert image.shape == (1, 2)
    assert abs(int(image[0, 0]) - 177) <= 1 and image[0, 1] == 200
    rgba = pil("RGBA", (200, 0, 0, 128), (0, 0, 9, 255))
    image = read_image(rgba.convert("RGBa")).astype(int)
    assert abs(image - [[[227, 127, 127], [0, 0, 9]]]).max() <= 1


@pytest.mark.parametrize("format", ["PNG", "GIF", "BMP", "WEBP", "TIFF", "PPM"])
@pytest.mark.parametrize("pixels", [GRAY, RGB], ids=["gray", "rgb"])
def test_lossless_formats(format, pixels):
    options = {"lossless": True} if format == "WEBP" else {}
    check(read_image(encode(pixels, format, **options)), pixels)


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_jpeg(mode):
    flat = Image.new("RGB", (16, 8), (160, 160, 160)).convert(mode)
    image = read_image(encode(flat, "JPEG", quality=95))
    assert image.shape == (8, 16)
    assert abs(image.astype(int) - 160).max() <= 2


def test_floats_just_above_one_are_not_taken_for_gray_levels():
    pixels = np.array([[0.5, 1.046]], np.float32)
    with pytest.raises(ImageReadError, match=r"just above 0\.\.1, .*clip\(0, 1\)"):
        read_image(pixels)
    assert read_image(pixels.clip(0, 1)).tolist() == [[128, 255]]
    rounded = np.array([[0.5, 1 + 1e-6]])
    assert read_image(rounded).tolist() == [[128, 255]]
    assert read_image(np.array([[0.0, 2.0]])).tolist() == [[0, 2]]


def test_files_of_16_bits_floats_and_one_bit():
    values = np.array([[0, 257, 65535]], np.uint16)
    for format in ("PNG", "TIFF"):
        check(read_image(encode(values, format)), [[0, 1, 255]])
    check(read_image(encode(np.array([[0, 200]], np.uint16))), [[0, 200]])
    check(read_image(encode(np.array([[0, 0.2]], np.float32), "TIFF")), [[0, 51]])
    check(read_image(encode(pil("1", 255, 0))), [[255, 0]])


@pytest.mark.parametrize("n_bits", [8, 9, 10, 12])
def test_levels_of_a_camera_of_fewer_bits_are_kept_apart(n_bits):
    levels = np.arange(0, 2**n_bits, dtype=np.uint16)[None]
    expected = levels >> (n_bits - 8)
    for image in (levels, encode(levels), encode(levels, "TIFF")):
        check(read_image(image), expected)
    check(read_image(np.array([[0, 4096, 65535]], np.uint16)), [[0, 16, 255]])


@pytest.mark.filterwarnings("ignore:Palette images with Transparency")  # of Pillow
def test_a_color_that_was_transparent_before_counts_no_more():
    image = pil("P", 0, 1)
    image.putpalette([255, 255, 255, 0, 0, 0])
    soft = Image.open(io.BytesIO(encode(image, "PNG", transparency=bytes([0, 128]))))
    first = Image.open(io.BytesIO(encode(image, "GIF", transparency=0)))
    for clear in (soft, first):
        check(read_image(clear.convert("1")), [[255, 0]])
        check(read_image(ImageOps.invert(clear.convert("L"))), [[0, 255]])
    wide = Image.open(
        io.BytesIO(png(2, 1, 8, 2, b"\0" + bytes(6), (b"tRNS", bytes(6))))
    )
    check(read_image(wide), [[255, 255]])
    check(read_image(wide.convert("L").convert("I;16")), [[0, 0]])


def test_the_unused_byte_of_a_bitmap_is_no_transparency():
    masks = (0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    head = struct.pack("<IiiHHIIiiII4I", 108, 2, 1, 1, 32, 3, 8, 0, 0, 0, 0, *masks)
    head += bytes(108 - len(head))
    for alpha, expected in ((0, [[9, 200]]), (255, [[9, 200]])):
        rows = bytes([9, 9, 9, alpha, 200, 200, 200, alpha])
        start = struct.pack("<2sIHHI", b"BM", 14 + 108 + 8, 0, 0, 14 + 108)
        data = start + head + rows
        assert Image.open(io.BytesIO(data)).mode == "RGBA"
        check(read_image(data), expected)


def test_a_pil_image_is_named_by_its_file(tmp_path):
    path = tmp_path / "cut.jpg"
    path.write_bytes(encode(Image.new("L", (90, 90), 7), "JPEG")[:400])
    with Image.open(path) as image:
        message = r"X\[0\]=<PIL image of '.*cut\.jpg', mode L"
        with pytest.raises(ImageReadError, match=message):
            read_images([image])
    Image.new("L", (9, 9)).save(path)
    with Image.open(path) as image:
        pass
    with pytest.raises(ImageReadError, match=r"not loaded before its file was closed"):
        read_images([image])


def test_transparent_gray_value_of_a_16_bit_png():
    row = b"\0\x00\x00\x12\x34\x12\x35"
    data = png(3, 1, 16, 0, row, (b"tRNS", b"\x12\x34"))
    check(read_image(data), [[0, 255, 18]])


def test_palette_with_and_without_transparency():
    image = pil("P", 0, 1, 2)
    image.putpalette([10, 10, 10, 200, 0, 0, 0, 0, 200])
    colors = [[10, 10, 10], [200, 0, 0], [0, 0, 200]]
    for format in ("PNG", "GIF"):
        check(read_image(encode(image, format)), [colors])
        clear_first = [[[255, 255, 255], *colors[1:]]]
        check(read_image(encode(image, format, transparency=0)), clear_first)
    per_entry = encode(image, "PNG", transparency=bytes([255, 51, 0]))
    check(
        read_image(per_entry),
        [[[10, 10, 10], [244, 204, 204], [255, 255, 255]]],
    )
    with_alpha = image.copy()
    with_alpha.putpalette([0, 0, 0, 51, 9, 9, 9, 255, 1, 1, 1, 0], "RGBA")
    check(read_image(with_alpha), [[204, 9, 255]])
    pa = Image.merge("PA", [image, Image.new("L", image.size, 0)])
    check(read_image(pa), [[255, 255, 255]])


def test_transparent_color_of_a_png():
    data = encode(RGB, transparency=(0, 255, 0))
    expected = RGB.copy()
    expected[0, 1] = 255
    check(read_image(data), expected)
    check(read_image(encode(GRAY[:1], transparency=0)), [[255, 100, 255]])


@pytest.mark.parametrize(
    ("background", "expected"),
    [
        ("white", [[[255, 204, 204], [255, 255, 255]]]),
        ("black", [[[51, 0, 0], [0, 0, 0]]]),
        ("#0000ff", [[[51, 0, 204], [0, 0, 255]]]),
        ((10, 20, 30), [[[59, 16, 24], [10, 20, 30]]]),
        (np.array([10, 20, 30]), [[[59, 16, 24], [10, 20, 30]]]),
    ],
)
def test_alpha_is_composited_on_the_background(background, expected):
    # 51 is a fifth of 255: a fifth of red and four fifths of the background.
    pixels = np.array([[[255, 0, 0, 51], [77, 88, 99, 0]]], np.uint8)
    for item in (pixels, Image.fromarray(pixels), encode(pixels), pixels / 255):
        check(read_image(item, background=background), expected)
        check(read_images([item], background=background)[0], expected)


def test_gray_and_alpha_on_a_colored_background_is_colored():
    pixels = np.array([[[0, 51], [9, 255]]], np.uint8)
    check(read_image(pixels), [[204, 9]])
    check(read_image(pixels, background="red"), [[[204, 0, 0], [9, 9, 9]]])


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["PNG", "TIFF", "WEBP"])
def test_exif_orientation(orientation, format):
    upright = np.array([[10, 20, 30], [40, 50, 60]], np.uint8)
    as_stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.T,
        6: np.rot90(upright),
        7: upright[::-1, ::-1].T,
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if format == "WEBP" else {}
    stored = np.ascontiguousarray(as_stored)
    check(read_image(encode(stored, format, exif=exif, **options)), upright)


def test_exif_orientation_of_a_jpeg_photo():
    exif = Image.Exif()
    exif[0x0112] = 6  # turn right to see it upright
    stored = np.zeros((8, 16), np.uint8)
    stored[:, 8:] = 255
    image = read_image(encode(stored, "JPEG", exif=exif))
    assert image.shape == (16, 8)
    assert image[:8].max() < 5 and image[8:].min() > 250


def test_broken_exif_leaves_the_pixels():
    check(read_image(encode(GRAY, exif=b"Exif\0\0garbage!")), GRAY)


@pytest.mark.parametrize("format", ["GIF", "PNG", "TIFF"])
def test_first_frame_of_an_animation(format):
    frames = [Image.fromarray(GRAY), Image.fromarray(255 - GRAY)]
    data = encode(frames[0], format, save_all=True, append_images=frames[1:])
    check(read_image(data), GRAY)


@pytest.mark.parametrize("format", ["GIF", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("n_blank", [1, 2, 7])
def test_the_first_frame_that_is_not_blank_is_read(tmp_path, format, n_blank):
    text, blank = np.zeros((16, 16), np.uint8), np.full((16, 16), 255, np.uint8)
    text[4:9, 3:12] = 255
    blanks = [Image.fromarray(blank - i % 2) for i in range(n_blank)]  # all differ
    frames = [*blanks, Image.fromarray(text), Image.fromarray(255 - text)]
    options = {"lossless": True} if format == "WEBP" else {}
    data = encode(frames[0], format, save_all=True, append_images=frames[1:], **options)
    (tmp_path / "a").write_bytes(data)
    for item in (data, tmp_path / "a"):
        check(read_image(item), text)
    image = Image.open(io.BytesIO(data))
    check(read_image(image), blanks[0])
    image.seek(n_blank + 1)
    check(read_image(image), 255 - text)


def test_a_frame_that_is_clear_is_blank_and_so_are_all_that_come_too_late():
    clear = np.zeros((9, 9, 4), np.uint8)
    clear[:4, :4, 0] = 200  # of another color, which nobody sees
    text = clear.copy()
    text[2:4, 2:4, 3] = 255
    frames = [Image.fromarray(clear), Image.fromarray(text)]
    data = encode(frames[0], "PNG", save_all=True, append_images=frames[1:])
    assert read_image(data).min() < 255
    pages = [Image.new("L", (9, 9), i) for i in range(40)] + [Image.fromarray(text)]
    data = encode(pages[0], "TIFF", save_all=True, append_images=pages[1:])
    check(read_image(data), np.zeros((9, 9)))


# ---- errors ----------------------------------------------------------------------


# What is no image, and what its errors say, is in tests/support/hostile.py.


def test_a_megabyte_of_digits_is_refused_at_once():
    digits = b"P3\n400 400\n255\n" + b"1 " * (3 * 400 * 400)
    start = time.perf_counter()
    for item in (digits, Image.open(io.BytesIO(digits))):
        with pytest.raises(ImageReadError, match="is a plain-text PBM, PGM or PPM"):
            read_image(item)
    assert time.perf_counter() - start < 1
    loaded = Image.open(io.BytesIO(b"P3\n1 1\n255\n7 7 7"))
    loaded.load()
    check(read_image(loaded), np.full((1, 1), 7, np.uint8))


def test_the_size_of_an_array_is_known_before_it_is_computed():
    class Lazy:
        shape, dtype = (10**5, 10**5, 3), np.dtype("uint8")

        def __array__(self, *args, **kwargs):
            raise AssertionError("this would take 30 GB")

    with pytest.raises(ImageReadError, match="too many pixels .100000x100000."):
        read_image(Lazy())
    with pytest.warns(SkippedImageWarning, match="2 of 3 images were skipped"):
        bad = np.broadcast_to(GRAY[0, 0], (10**10, 1))
        assert read_images([bad, GRAY, Lazy()], on_error="skip")[0] is None


def test_an_array_with_an_empty_mask_is_read():
    check(read_image(np.ma.array(GRAY)), GRAY)
    check(read_image(np.ma.array(GRAY, mask=np.zeros(GRAY.shape, bool))), GRAY)
    stack = np.ma.array(np.stack([np.tile(GRAY, 2)] * 2))
    stack[1, 0, 0] = np.ma.masked
    with pytest.raises(ImageReadError, match=r"X\[1\]=<array.* has masked pixels"):
        read_images(stack)


@pytest.mark.skipif(not os.path.exists("/proc/self"), reason="needs Linux's /proc")
def test_special_files_are_skipped_and_never_waited_for(tmp_path):
    reading, writing = os.pipe()
    paths = [f"/proc/self/fd/{reading}", "/dev/zero", "/dev/stdin", "/proc/kmsg"]
    for folder in ("/proc", "/proc/self", "/proc/sys/kernel", "/sys/kernel"):
        paths += [os.path.join(folder, name) for name in sorted(os.listdir(folder))]
    start = time.perf_counter()
    with pytest.warns(SkippedImageWarning, match="images were skipped: .*regular file"):
        images = read_images(paths, on_error="skip", n_jobs=1)
    assert images == [None] * len(paths)
    assert time.perf_counter() - start < 20
    os.close(reading)
    os.close(writing)


def test_a_single_image_is_named(tmp_path):
    with pytest.raises(ImageReadError, match="^image=<0 bytes> is empty"):
        read_image(b"")
    with pytest.raises(FileNotFoundError, match="^image='' .*check the spelling"):
        read_image("")
    with pytest.raises(ImageReadError, match="cannot be opened") as caught:
        read_image(Path("x" * 5000))
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("format", ["PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "PPM"])
def test_truncated_and_damaged_files_give_one_kind_of_error(format):
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)
    data = encode(noise, format)
    with pytest.raises(ImageReadError, match="<.* bytes> is truncated or broken"):
        read_image(data[: len(data) * 3 // 4])
    for _ in range(100):
        damaged = np.frombuffer(data, np.uint8).copy()
        where = rng.integers(0, min(len(data), 120), 3)
        damaged[where] = rng.integers(0, 256, 3)
        try:
            image = read_image(damaged.tobytes())
        except ImageReadError:
            continue
        assert image.dtype == np.uint8  # the damage left an image


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (np.zeros((0, 5)), r"shape \(0, 5\); .* at least one pixel"),
        (np.zeros((5, 0, 3), np.uint8), r"shape \(5, 0, 3\)"),
        (Image.new("L", (0, 5)), r"PIL image, mode L, 0x5> has shape \(5, 0\)"),
        (np.zeros(5), r"shape \(5,\)"),
        (np.zeros((3, 50, 200), np.uint8), r"shape \(3, 50, 200\).*channels last"),
        (np.zeros((2, 2, 5), np.uint8), r"shape \(2, 2, 5\)"),
        (np.array([[0.0, np.nan]]), "holds nan"),
        (np.array([[0.0, -np.inf]]), "holds -inf"),
        (np.array([[-0.5, 0.5]]), r"values from -0\.5 to 0\.5"),
        (np.array([[0.0, 255.5]]), r"values from 0\.0 to 255\.5"),
        (np.array([[-1, 3]]), "values from -1 to 3"),
        (np.array([[0, 300]]), "values from 0 to 300"),
        (pil("I", 0, 70000), "values from 0 to 70000"),
        (pil("F", 0.0, -1.0), r"values from -1\.0 to 0\.0"),
        (torch.zeros((2, 2), requires_grad=True), "gives no array: .*grad"),
    ],
)
def test_arrays_that_are_no_images(item, message):
    with pytest.raises(ImageReadError, match=r"X\[1\]=<.*" + message):
        read_images([GRAY, item])


@pytest.mark.parametrize(
    "item",
    [None, 3, 2.5, np.float64(2.5), {"a": 1}, [[0, 1]], object()],
    ids=lambda item: type(item).__name__,
)
def test_wrong_types(item):
    with pytest.raises(TypeError, match=r"^X\[0\]=.* is no image: a path .*bytes.*PIL"):
        read_images([item])


@pytest.mark.parametrize("dtype", [complex, object, "U3"])
def test_wrong_dtypes(dtype):
    with pytest.raises(TypeError, match="has dtype .* numeric array"):
        read_image(np.zeros((2, 2), dtype))


@pytest.mark.parametrize(
    "background",
    [
        "no such color",
        "#ffffff80",
        (1, 2),
        (1, 2, 300),
        (0.5, 0, 0),
        None,
        7,
        "9" * 200,
    ],
)
def test_bad_background(background):
    with pytest.raises(ValueError, match="^background=.* is not a color"):
        read_image(GRAY, background=background)
    with pytest.raises(ValueError, match="^background="):
        read_images([], background=background)


# ---- lists -----------------------------------------------------------------------


def many():
    rng = np.random.default_rng(0)
    shapes = rng.integers(1, 40, (30, 2))
    return [rng.integers(0, 256, (*shape, 3), dtype=np.uint8) for shape in shapes]


@pytest.mark.parametrize("n_jobs", [None, 1, 2, 7, -1, -2, np.int64(3)])
def test_threads_keep_the_order(n_jobs):
    images = many()
    result = read_images([encode(image) for image in images], n_jobs=n_jobs)
    assert len(result) == len(images)
    for image, expected in zip(result, images, strict=True):
        check(image, expected if (np.ptp(expected, axis=2) > 0).any() else image)


@pytest.mark.parametrize("n_jobs", [1, 4])
def test_first_bad_item_by_position_is_named(n_jobs):
    items = [encode(image) for image in many()]
    items[11] = b"bad"
    items[23] = None
    with pytest.raises(ImageReadError, match=r"^train\[11\]=<3 bytes>"):
        read_images(items, n_jobs=n_jobs, name="train")


@pytest.mark.parametrize("n_jobs", [0, 1.5, "2"])
def test_bad_n_jobs(n_jobs):
    with pytest.raises(ValueError, match="n_jobs=.* must be None or an int"):
        read_images([GRAY], n_jobs=n_jobs)


@pytest.mark.parametrize("items", ["a.png", Path("a.png"), b"x", None, 3])
def test_a_single_item_is_no_sequence(items):
    with pytest.raises(TypeError, match="X=.* is not a sequence of images"):
        read_images(items)


def test_sequences():
    assert read_images([]) == []
    for items in ((GRAY, GRAY), [GRAY] * 2, np.stack([np.tile(GRAY, 2)] * 2)):
        for image in read_images(items):
            check(image, np.tile(GRAY, image.shape[1] // 3))


def test_one_lazy_image_many_times(tmp_path):
    path = tmp_path / "image.png"
    pixels = np.random.default_rng(0).integers(0, 256, (200, 300), dtype=np.uint8)
    path.write_bytes(encode(pixels))
    with Image.open(path) as lazy:
        images = read_images([lazy] * 16, n_jobs=8)
    for image in images:
        check(image, pixels)


@pytest.mark.parametrize("format", ["PNG", "TIFF", "GIF"])
def test_files_are_closed(tmp_path, format):
    # An open file would end in a ResourceWarning, which is an error here.
    good, bad, text = (tmp_path / name for name in ("good", "bad", "text"))
    options = {"compression": "tiff_lzw"} if format == "TIFF" else {}
    good.write_bytes(encode(RGB, format, save_all=True, **options))
    bad.write_bytes(good.read_bytes()[:40])
    text.write_text("text")
    for _ in range(2):
        read_image(good)
        for path in (bad, text):
            with pytest.raises(ImageReadError):
                read_image(path)
        gc.collect()


# ---- gray and color -------------------------------------------------------------


def test_gray_is_the_luma_of_pillow():
    colors = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    pillow = np.asarray(Image.fromarray(colors).convert("L"))
    np.testing.assert_array_equal(to_grayscale(colors), pillow)
    np.testing.assert_array_equal(to_grayscale(RGB), [[76, 150], [29, 18]])
    np.testing.assert_array_equal(to_grayscale(to_rgb(GRAY)), GRAY)
    np.testing.assert_array_equal(to_grayscale(GRAY), GRAY)


def test_to_rgb():
    np.testing.assert_array_equal(to_rgb(RGB), RGB)
    assert to_rgb(GRAY).shape == (2, 3, 3)
    assert (to_rgb(GRAY) == GRAY[:, :, None]).all()


@pytest.mark.parametrize("image", [np.zeros((2, 2, 4), np.uint8), np.zeros((2, 2)), 3])
def test_conversions_want_what_read_image_returns(image):
    for function in (to_grayscale, to_rgb):
        with pytest.raises(ValueError, match="image=.* must be a uint8 array of shape"):
            function(image)


def tinted(n_pixels, spread, shape=(50, 100)):
    image = np.full((*shape, 3), 100, np.uint8)
    image.reshape(-1, 3)[:n_pixels, 0] += spread
    return image


def test_has_color_thresholds():
    assert not has_color([])
    assert not has_color([GRAY])
    assert not has_color([tinted(5000, 16)])  # 16 levels are noise
    assert has_color([tinted(5000, 17)])
    assert not has_color([tinted(4, 17)])  # 4 of 5000 pixels
    assert has_color([tinted(5, 17)])
    assert has_color([tinted(1, 17, shape=(2, 2))])
    assert not has_color([tinted(0, 17, shape=(2, 2))])
    assert has_color([tinted(5, 17)] + [GRAY] * 99)
    assert not has_color([tinted(5, 17)] + [GRAY] * 100)  # 1 of 101 images is under 1 %
    assert has_color([tinted(5, 17)] * 2 + [GRAY] * 100)


@pytest.mark.parametrize("quality", [5, 50, 95])
def test_gray_stored_in_a_color_jpeg_has_no_color(quality):
    noise = np.random.default_rng(0).integers(0, 256, (40, 90), dtype=np.uint8)
    jpeg = encode(to_rgb(noise), "JPEG", quality=quality)
    assert not has_color(read_images([jpeg]))
