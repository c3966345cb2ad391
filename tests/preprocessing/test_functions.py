"""Functions of one image: known answers, laws, and what they refuse."""

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from skcaptcha.preprocessing import (
    adaptive_threshold,
    crop_margins,
    dark_on_light,
    equalize_histogram,
    median_filter,
    morphological_opening,
    resize_and_pad,
    resize_image,
)


def gray(*rows):
    return np.array(rows, dtype=np.uint8)


# Median


@pytest.mark.parametrize(
    ("image", "size", "expected"),
    [
        # a speck, and a line of one pixel, fill less than half of 3 by 3
        (gray([9, 9, 9], [9, 0, 9], [9, 9, 9]), 3, [[9] * 3] * 3),
        (gray([9, 9, 9], [0, 0, 0], [9, 9, 9]), 3, [[9] * 3] * 3),
        # an edge stays sharp
        (gray([9, 9, 0, 0], [9, 9, 0, 0]), 3, [[9, 9, 0, 0]] * 2),
        # in one row each pixel counts three times
        (gray([1, 2, 9, 4, 5]), 3, [[1, 2, 4, 5, 5]]),
        (gray([1, 2, 9, 4, 5]), 5, [[1, 2, 4, 5, 5]]),
        (gray([1, 2, 9, 4, 5]), 1, [[1, 2, 9, 4, 5]]),
        # about the middle there are 127 of 1, one 5 and 127 of 9 in each row
        (gray([1, 5, 9]), 255, [[1, 5, 9]]),
    ],
)
def test_median_known_answers(image, size, expected):
    assert median_filter(image, size).tolist() == expected


def test_median_takes_each_channel_by_itself(images):
    image = images[2]
    channels = [median_filter(image[:, :, channel], 5) for channel in range(3)]
    np.testing.assert_array_equal(median_filter(image, 5), np.dstack(channels))


# Contrast


def test_equalization_known_answers():
    # Four levels in one tile: a pixel gets the share of those that aren't lighter.
    faint = gray([100, 101], [102, 103])
    options = {"clip_limit": 256, "tile_grid_size": 1}
    assert equalize_histogram(faint, **options).tolist() == [[64, 128], [191, 255]]
    # 256 pixels of one level: the bin is clipped to 1, the other 255 go to the bins 0
    # to 254, so that up to 100 there are 102 of 256: 255 * 102 / 256 = 101.6.
    flat = np.full((16, 16), 100, dtype=np.uint8)
    assert (equalize_histogram(flat, clip_limit=1, tile_grid_size=1) == 102).all()


def test_contrast_rises_with_the_limit():
    rng = np.random.default_rng(0)
    faint = rng.integers(100, 120, (40, 80), dtype=np.uint8)
    spread = [
        np.ptp(equalize_histogram(faint, clip_limit=limit, tile_grid_size=(2, 4)))
        for limit in (1, 3, 10, 256)
    ]
    assert spread == sorted(spread)
    assert spread[0] < 60 < 200 < spread[-1]


def test_tiles_are_counted_by_rows_first():
    ramp = np.tile(np.arange(0, 240, 3, dtype=np.uint8)[:, None], (1, 80))
    rows = equalize_histogram(ramp, tile_grid_size=(4, 1))
    columns = equalize_histogram(ramp, tile_grid_size=(1, 4))
    transposed = equalize_histogram(ramp.T.copy(), tile_grid_size=(1, 4)).T
    np.testing.assert_array_equal(rows, transposed)
    assert not np.array_equal(rows, columns)


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (3, 2), (8, 8), (50, 3)])
def test_images_with_fewer_pixels_than_tiles(shape):
    image = np.full(shape, 150, dtype=np.uint8)
    image.flat[0] = 100
    out = equalize_histogram(image, tile_grid_size=(8, 8))
    assert out.shape == shape
    if image.size > 1:
        assert out.flat[0] < out.flat[-1]
    color = equalize_histogram(np.dstack([image] * 3), tile_grid_size=(8, 8))
    assert color.shape == (*shape, 3)


def test_only_the_lightness_of_a_color_image_changes():
    rng = np.random.default_rng(0)
    image = rng.integers(90, 160, (40, 60, 3), dtype=np.uint8)
    out = equalize_histogram(image, clip_limit=1.5)
    before = cv2.cvtColor(image, cv2.COLOR_RGB2LAB).astype(int)
    after = cv2.cvtColor(out, cv2.COLOR_RGB2LAB).astype(int)
    assert np.abs(after - before)[:, :, 1:].max() <= 3
    assert after[:, :, 0].std() > 1.2 * before[:, :, 0].std()


# Threshold

STEP = gray([100, 100, 80, 100, 100])


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        # The mean about the middle is 93.3, taken for 93; by weights of 1/4, 1/2, 1/4
        # it is 90.
        ({"offset": 13}, [255, 255, 0, 255, 255]),
        ({"offset": 14}, [255] * 5),
        ({"offset": 10, "method": "gaussian"}, [255, 255, 0, 255, 255]),
        ({"offset": 11, "method": "gaussian"}, [255] * 5),
        # On flat paper a pixel is as dark as the mean.
        ({"offset": 0}, [0, 255, 0, 255, 0]),
        ({"offset": -255}, [0] * 5),
        ({"offset": 255}, [255] * 5),
    ],
)
def test_threshold_known_answers(options, expected):
    assert adaptive_threshold(STEP, block_size=3, **options).tolist() == [expected]


def test_threshold_follows_uneven_light(captchas):
    image = captchas[0][0]
    light = np.linspace(0.4, 1, image.shape[1])
    uneven = np.rint(image * light).astype(np.uint8)
    flat = adaptive_threshold(image, block_size=25)
    assert set(np.unique(flat)) == {0, 255}
    # text stays black and paper white, which no single threshold could do
    same = adaptive_threshold(uneven, block_size=25) == flat
    assert same.mean() > 0.97


def test_threshold_turns_color_gray():
    color = np.dstack([STEP] * 3)
    color[0, 2] = [255, 0, 0]  # luma 76
    assert adaptive_threshold(color, block_size=3).tolist() == [[255, 255, 0, 255, 255]]


# Opening

W = 255
BLOT = gray(
    [W, W, W, W, W, W, W, W],
    [W, 0, 0, 0, W, W, 9, W],  # a speck
    [W, 0, 0, 0, 0, 0, 0, W],  # a line that leads away from a blot of 3 by 3
    [W, 0, 0, 0, W, W, W, W],
    [W, W, W, W, W, W, W, W],
)


@pytest.mark.parametrize("size", [2, 3, (2, 2), [2, 3], np.array([3, 1])])
def test_opening_removes_what_is_thinner_and_moves_nothing(size):
    alone = BLOT.copy()
    alone[:, 4:] = W
    np.testing.assert_array_equal(morphological_opening(BLOT, size), alone)


def test_opening_keeps_what_the_rectangle_covers():
    line = np.full_like(BLOT, W)
    line[2] = BLOT[2]
    for size, expected in [((1, 4), line), (1, BLOT), (4, np.full_like(BLOT, W))]:
        np.testing.assert_array_equal(morphological_opening(BLOT, size), expected)
    # a stroke takes the lightest level that covers it
    row = gray([9, 9, 1, 9, 9, 3, 2, 9])
    assert morphological_opening(row, (1, 2)).tolist() == [[9, 9, 9, 9, 9, 3, 3, 9]]


def test_what_an_edge_cuts_off_is_not_frayed():
    cut = np.full((6, 6), W, dtype=np.uint8)
    cut[:, 0] = cut[:, -1] = cut[0] = cut[-1] = 0  # one pixel wide on each side
    assert morphological_opening(cut, 2).tolist() == cut.tolist()
    cut[2] = 0  # a line that runs off, which is removed
    assert (morphological_opening(cut, 2)[2, 1:-1] == W).all()


@pytest.mark.parametrize("size", [(2, 2), (3, 3), (1, 4), (5, 2)])
def test_laws_of_opening(images, size):
    for image in images:
        opened = morphological_opening(image, size)
        assert (opened >= image).all()
        np.testing.assert_array_equal(morphological_opening(opened, size), opened)
        light = morphological_opening(255 - image, size, foreground="light")
        np.testing.assert_array_equal(light, 255 - opened)
    inside = (slice(5, -5), slice(5, -5))
    expected = ndimage.grey_closing(images[0], size)
    np.testing.assert_array_equal(
        morphological_opening(images[0], size)[inside], expected[inside]
    )


# Dark on light


@pytest.mark.parametrize(
    ("row", "inverted"),
    [
        ([30, 30, 90, 30, 30], True),
        ([90, 90, 30, 90, 90], False),
        ([240, 240, 255, 240, 240], True),  # faint, and light throughout
        ([9, 9, 0, 9, 9], False),
        ([7, 7, 7], False),  # nothing to tell by
        ([7], False),
    ],
)
def test_light_text_is_found_by_what_differs_from_the_background(row, inverted):
    expected = [255 - level for level in row] if inverted else row
    assert dark_on_light(gray(row)).tolist() == [expected]
    color = dark_on_light(np.dstack([gray(row)] * 3))
    assert color.tolist() == [[[level] * 3 for level in expected]]


def test_a_large_character_is_not_taken_for_background():
    image = np.full((9, 9), 200, dtype=np.uint8)
    image[1:-1, 1:-1] = 20  # the median of the whole image is dark
    assert dark_on_light(image) is image
    np.testing.assert_array_equal(dark_on_light(255 - image), image)


def test_captchas_and_their_negatives_come_out_dark_on_light(captchas):
    for image in captchas[0][:50]:
        np.testing.assert_array_equal(dark_on_light(image), image)
        np.testing.assert_array_equal(dark_on_light(255 - image), image)


# Resizing


def write_text(height=60, width=120, paper=230, ink=20):
    """Strokes of two columns in rows 20 to 39 and columns 30 to 85."""
    image = np.full((height, width), paper, np.uint8)
    for left in range(30, 86, 6):
        image[20:40, left : left + 2] = ink
    return image


@pytest.mark.parametrize(
    "paper, ink", [(230, 20), (20, 230), (200, 150)], ids=["dark", "light", "faint"]
)
def test_margins_are_cut_to_the_text(paper, ink):
    image = write_text(paper=paper, ink=ink)
    np.testing.assert_array_equal(crop_margins(image, margin=0), image[20:40, 30:86])
    np.testing.assert_array_equal(crop_margins(image, margin=0.5), image[10:50, 20:96])
    color = np.dstack([image] * 3)
    np.testing.assert_array_equal(crop_margins(color), color[18:42, 28:88])
    assert crop_margins(image, margin=10) is image  # the margin is all there is


def write(text, pad):
    font = ImageFont.load_default(32)
    left, top, right, bottom = font.getbbox(text)
    image = Image.new("L", (right - left + 2 * pad, bottom - top + 2 * pad), 255)
    ImageDraw.Draw(image).text((pad - left, pad - top), text, fill=0, font=font)
    return np.asarray(image)


@pytest.mark.parametrize("pad", [0, 20])
@pytest.mark.parametrize(
    "text", ["1", "77", "1111", "7177", "FYTT", "JUAVL", "gymex", "-9096", "4404."]
)
def test_stems_and_tails_are_text(text, pad):
    image = write(text, pad)
    rows, columns = np.nonzero(image < 128)
    cut = np.nonzero(crop_margins(image, margin=0) < 128)
    for whole, part in zip((rows, columns), cut, strict=True):
        assert np.ptp(part) >= np.ptp(whole) - 1


def test_margins_are_found_on_noisy_paper_too():
    noise = np.random.default_rng(0).normal(0, 15, (60, 120))
    image = np.clip(write_text() + noise, 0, 255).astype(np.uint8)
    height, width = crop_margins(image, margin=0).shape
    assert 20 <= height <= 24 and 56 <= width <= 60


def test_margins_of_any_color_change_nothing(captchas):
    for image in captchas[0][:20]:
        cut = crop_margins(image)
        for level in (int(np.median(image)), 255, 0):
            padded = np.pad(image, ((9, 30), (40, 3)), constant_values=level)
            high, wide = crop_margins(padded).shape
            # The margin is left where the image has one.
            assert abs(high - cut.shape[0]) <= 4 and abs(wide - cut.shape[1]) <= 4


@pytest.mark.parametrize("seed", range(3))
def test_what_has_no_text_is_left_alone(seed):
    blank = np.full((30, 50), 200, np.uint8)
    assert crop_margins(blank) is blank
    noise = np.random.default_rng(seed).normal(200, 10, (30, 90)).astype(np.uint8)
    assert crop_margins(noise) is noise


def test_a_resized_image_is_a_new_one_to_write_into():
    image = np.arange(32 * 8, dtype=np.uint8).reshape(32, 8)
    for shape in ((32, 8), (16, 8)):
        resized = resize_image(image, shape)
        resized[:] = 0
        assert image[-1, -1] == 255


@pytest.mark.parametrize(
    "image, shape, message",
    [
        (np.zeros((4, 4), np.uint8), (0, 9), r"shape=\(0, 9\); pass an int from 1 to"),
        (np.zeros((4, 4), np.uint8), (2.5, 9), r"shape=\(2.5, 9\); pass an int from 1"),
        (np.zeros((4, 4), np.uint8), (9, 10**6), r"shape=\(9, 1000000\); pass an int"),
        (
            np.zeros((4, 4)),
            (9, 9),
            r"image is float64 of shape \(4, 4\); a uint8",
        ),
        ("a.png", (9, 9), r"image is str of shape \(\); a uint8 array"),
    ],
)
def test_what_cannot_be_resized_is_named(image, shape, message):
    with pytest.raises(ValueError, match=message):
        resize_image(image, shape)


def test_shrinking_averages_over_the_covered_area():
    image = np.full((64, 64), 255, dtype=np.uint8)
    image[:, 32] = 0  # a stroke of one pixel, which nearest neighbors may miss
    out = resize_image(image, (16, 16))
    assert out.min() < 220
    assert out.astype(float).mean() == pytest.approx(image.mean(), abs=2)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [[8, 8, 7], [8, 8, 8]]),
        ({"width": 3}, [[8, 8, 7], [8, 8, 8]]),
        ({"width": 5}, [[8, 8, 7, 8, 8], [8, 8, 8, 8, 8]]),
        ({"width": 5, "align": "center"}, [[8, 8, 8, 7, 8], [8, 8, 8, 8, 8]]),
        ({"width": 4, "align": "center"}, [[8, 8, 7, 8], [8, 8, 8, 8]]),
        ({"width": 4, "fill": "white"}, [[8, 8, 7, 255], [8, 8, 8, 255]]),
        ({"width": 4, "fill": "black"}, [[8, 8, 7, 0], [8, 8, 8, 0]]),
    ],
)
def test_resizing_known_answers(options, expected):
    image = gray([8, 8, 7], [8, 8, 8])
    assert resize_and_pad(image, height=2, **options).tolist() == expected


@pytest.mark.parametrize("align", ["left", "center"])
def test_an_image_too_wide_is_shrunk_and_stands_in_the_middle(align):
    image = np.full((4, 8), 60, dtype=np.uint8)
    out = resize_and_pad(image, height=8, width=8, align=align, fill="white")
    assert out.tolist() == [[255] * 8] * 2 + [[60] * 8] * 4 + [[255] * 8] * 2


def test_nothing_is_cut_off():
    image = np.full((40, 300), 255, dtype=np.uint8)
    image[:4], image[-4:], image[:, :8], image[:, -8:] = 0, 0, 0, 0  # a frame
    for options in ({}, {"width": 100}, {"width": 700, "align": "center"}):
        out = resize_and_pad(image, height=20, fill="white", **options)
        rows, columns = np.nonzero(out < 100)
        frame = out[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        assert max(f.max() for f in (frame[0], frame[-1], frame[:, 0])) < 130
        assert frame[:, -1].max() < 130
        assert frame.shape[1] / frame.shape[0] == pytest.approx(300 / 40, rel=0.2)


def test_padding_has_the_color_of_the_border():
    image = np.full((10, 10, 3), [200, 220, 90], dtype=np.uint8)
    image[2:8, 2:8] = 0
    out = resize_and_pad(image, height=10, width=15)
    assert (out[:, 10:] == [200, 220, 90]).all()
    half = gray([0, 0, 255, 255])  # no level between the two that are there
    assert resize_and_pad(half, height=1, width=5)[0, 4] == 255


@pytest.mark.parametrize(
    ("shape", "options", "expected"),
    [
        ((50, 200), {"height": 32}, (32, 128)),
        ((80, 780), {"height": 50, "width": 495}, (50, 495)),
        ((50, 200, 3), {"height": 32, "width": 300}, (32, 300, 3)),
        ((1, 1000), {"height": 50, "width": 10}, (50, 10)),
        ((1000, 1), {"height": 50}, (50, 1)),
        ((1, 1), {"height": 1, "width": 1}, (1, 1)),
    ],
)
def test_size_of_the_result(shape, options, expected):
    assert resize_and_pad(np.zeros(shape, dtype=np.uint8), **options).shape == expected


# Each function

FUNCTIONS = [
    median_filter,
    equalize_histogram,
    adaptive_threshold,
    morphological_opening,
    crop_margins,
    dark_on_light,
    resize_and_pad,
]


@pytest.mark.parametrize(
    ("function", "options", "message"),
    [
        (median_filter, {"size": 4}, "size=4; pass an odd int from 1 to 255"),
        (median_filter, {"size": 3.0}, "size=3.0; pass an odd int"),
        (equalize_histogram, {"clip_limit": np.nan}, "clip_limit=nan; pass a number"),
        (equalize_histogram, {"tile_grid_size": (8,)}, r"tile_grid_size=\(8,\); pass"),
        (equalize_histogram, {"tile_grid_size": (0, 8)}, r"tile_grid_size=\(0, 8\)"),
        (adaptive_threshold, {"block_size": 1}, "block_size=1; pass an odd int from 3"),
        (adaptive_threshold, {"offset": 2.5}, "offset=2.5; pass an int from -255"),
        (adaptive_threshold, {"method": "otsu"}, "method='otsu'; pass 'mean' or 'gau"),
        (morphological_opening, {"size": 0}, "size=0; pass an int from 1 to 255, or a"),
        (morphological_opening, {"size": (2, 2, 2)}, r"size=\(2, 2, 2\); pass"),
        (morphological_opening, {"size": "big"}, "size='big'; pass"),
        (morphological_opening, {"foreground": "x"}, "foreground='x'; pass 'dark' or"),
        (resize_and_pad, {"height": 0}, "height=0; pass an int from 1"),
        (resize_and_pad, {"width": 1.5}, "width=1.5; pass an int from 1"),
        (resize_and_pad, {"align": "right"}, "align='right'; pass 'left' or 'center'"),
        (resize_and_pad, {"fill": "edge"}, "fill='edge'; pass 'border' or 'white' or"),
    ],
)
def test_functions_name_the_parameter_that_is_wrong(function, options, message):
    with pytest.raises(ValueError, match=message):
        function(np.zeros((20, 30), dtype=np.uint8), **options)


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize(
    "image",
    [
        np.zeros((2, 3)),
        np.zeros((2, 3, 4), dtype=np.uint8),
        np.zeros((0, 3), dtype=np.uint8),
        np.zeros(3, dtype=np.uint8),
        [[1, 2]],
    ],
)
def test_functions_refuse_what_is_no_image(function, image):
    with pytest.raises(ValueError, match=r"image is .*; a uint8 array of shape \(H, W"):
        function(image)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_functions_take_views_and_read_only_arrays(function, images):
    for image in images:
        view = np.repeat(image, 2, axis=1)[:, ::2]
        view = view[::-1][::-1]
        before = view.copy()
        view.flags.writeable = False
        np.testing.assert_array_equal(function(view), function(image))
        np.testing.assert_array_equal(view, before)


@pytest.mark.parametrize("function", [median_filter, equalize_histogram])
def test_missing_opencv_says_how_to_get_it(function, without_opencv):
    message = rf'{function.__name__} of .* OpenCV, .*"skcaptcha\[preprocessing\]"'
    with pytest.raises(ImportError, match=message):
        function(gray([1, 2]))


def test_errors_of_opencv_become_ours(monkeypatch):
    def refuse(*args):
        raise cv2.error("(-4:Insufficient memory)")

    monkeypatch.setattr(cv2, "medianBlur", refuse)
    with pytest.raises(
        ValueError, match=r"OpenCV cannot do median_filter .*\(1, 2\): .*Insufficient"
    ):
        median_filter(gray([1, 2]))
