"""Preprocessing: the size that the network reads, functions of images, transformers."""

import importlib.util
import inspect
import io
import json
import os
import pickle
import sys
import warnings
import zipfile
from functools import partial

import cv2
import joblib
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import skops.io
import torch
from PIL import Image
from scipy import ndimage
from sklearn import config_context
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, SkipTestWarning
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.utils.estimator_checks import check_estimator
from sklearn.utils.validation import check_is_fitted
from support.data import ROOT, TINY

from skcaptcha import CaptchaRecognizer
from skcaptcha._auto import choose_height, choose_rows, choose_stretch
from skcaptcha.exceptions import ImageReadError
from skcaptcha.images._prepare import measure_ink, prepare_image
from skcaptcha.model.network import TIME_STRIDE
from skcaptcha.preprocessing import (
    CLAHE,
    AdaptiveThreshold,
    DarkOnLight,
    GrayscaleConverter,
    ImageReader,
    ImageResizer,
    MedianFilter,
    MorphologicalOpening,
    _transformers,
    adaptive_threshold,
    dark_on_light,
    equalize_histogram,
    median_filter,
    morphological_opening,
    resize_and_pad,
    resize_image,
)

TRANSFORMERS = [
    ImageReader(),
    GrayscaleConverter(),
    MedianFilter(),
    CLAHE(tile_grid_size=(2, 3)),
    AdaptiveThreshold(method="gaussian"),
    MorphologicalOpening(size=(1, 3)),
    DarkOnLight(),
    ImageResizer(height=24, width=60, align="center"),
]
NEED_OPENCV = (MedianFilter, CLAHE, AdaptiveThreshold, MorphologicalOpening)

every_transformer = pytest.mark.parametrize(
    "transformer", TRANSFORMERS, ids=lambda t: type(t).__name__
)


def gray(*rows):
    return np.array(rows, dtype=np.uint8)


def to_png(image):
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


def assert_same(images, others):
    assert len(images) == len(others)
    for i, (image, other) in enumerate(zip(images, others, strict=True)):
        np.testing.assert_array_equal(image, other, err_msg=f"image {i}")


@pytest.fixture
def images():
    """Gray and color images of several sizes, the last of a single pixel."""
    rng = np.random.default_rng(0)
    shapes = [(16, 48), (16, 48), (20, 30, 3), (7, 90), (1, 5, 3), (1, 1)]
    return [rng.integers(0, 256, shape, dtype=np.uint8) for shape in shapes]


@pytest.fixture
def without_opencv(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)


# The size that the network reads


def prepare(image, **changes):
    params = {"height": 32, "stretch": 1.0, "color_mode": "grayscale", "name": "X[3]"}
    return prepare_image(image, **{**params, **changes})


def blank(height, width):
    return np.zeros((height, width), dtype=np.uint8)


@pytest.mark.parametrize(
    ("shape", "changes", "expected"),
    [
        ((50, 200), {}, (32, 128, 1)),
        ((50, 200), {"color_mode": "rgb"}, (32, 128, 3)),
        ((50, 200, 3), {"color_mode": "rgb"}, (32, 128, 3)),
        ((50, 200, 3), {}, (32, 128, 1)),
        ((50, 203), {}, (32, 128, 1)),
        ((50, 200), {"stretch": 1.5}, (32, 192, 1)),
        ((40, 4), {}, (32, 16, 1)),  # the least width
        ((40, 4), {"stretch": 3}, (32, 48, 1)),
        ((1, 3), {}, (32, 96, 1)),
        ((1000, 1), {}, (32, 16, 1)),
        ((16, 30), {}, (32, 60, 1)),
    ],
)
def test_size(shape, changes, expected):
    out = prepare(np.zeros(shape, dtype=np.uint8), **changes)
    assert out.shape == expected
    assert out.dtype == np.uint8


def test_a_line_too_long_to_read_is_refused():
    with pytest.raises(
        ValueError,
        match=r"X\[3\] has the shape \(1, 10000\) and would be 320000 pixels wide at a "
        "height of 32; at most 32768 are read",
    ):
        prepare(blank(1, 10_000))


def test_an_image_of_the_right_size_is_returned_as_it_is():
    image = np.arange(32 * 8, dtype=np.uint8).reshape(32, 8)
    assert resize_image(image, (32, 8)) is image


def test_shrinking_averages_over_the_covered_area():
    image = np.full((64, 64), 255, dtype=np.uint8)
    image[:, 32] = 0  # a stroke of one pixel, which nearest neighbors may miss
    out = resize_image(image, (16, 16))
    assert out.min() < 220
    assert out.astype(float).mean() == pytest.approx(image.mean(), abs=2)


@pytest.mark.parametrize(
    ("heights", "expected"),
    [
        ([24], 32),
        ([36], 40),
        ([40], 40),
        ([50], 40),
        ([60], 48),
        ([70], 56),
        ([400], 56),
        ([50, 50, 900], 40),
    ],
)
def test_height_follows_the_median(heights, expected):
    assert choose_height([(h, 10) for h in heights]) == expected


def draw_bars(height, *bars):
    """Make a white image with black bars over a third of its width."""
    image = np.full((height, 60), 255, dtype=np.uint8)
    for first, end in bars:
        image[first:end, :20] = 0
    return image


@pytest.mark.parametrize(
    ("bars", "height", "expected"),
    [
        ([(30, 50)], 80, (0.25, 0.75)),  # half as much on either side
        ([(0, 30)], 80, (0.0, 0.75)),
        ([(22, 58)], 80, (0.0, 1.0)),  # not worth it
        ([(30, 40), (46, 50)], 80, (0.25, 0.75)),
        ([(36, 44)], 80, (0.3, 0.7)),  # 32 rows are left
        ([(0, 8)], 80, (0.0, 0.4)),
        ([(72, 80)], 80, (0.6, 1.0)),
        ([(10, 20)], 32, (0.0, 1.0)),  # there are but 32
        ([(600, 1000)], 1600, (0.25, 0.75)),
        ([], 80, (0.0, 1.0)),
    ],
)
def test_rows_without_ink_are_cut_off(bars, height, expected):
    image = draw_bars(height, *bars)
    sizes = [image.shape] * 25
    assert choose_rows(measure_ink(image), sizes) == expected
    colored = np.stack([image] * 3, axis=2)
    assert choose_rows(measure_ink(colored), sizes) == expected
    assert choose_rows(measure_ink(255 - image), sizes) == expected
    assert choose_rows(measure_ink(image), sizes[1:]) == (0.0, 1.0)  # too few to tell


@pytest.mark.parametrize(("n", "expected"), [(6, (0.25, 0.75)), (8, (0.0, 0.75))])
def test_rows_are_kept_that_some_of_the_images_fill(n, expected):
    bars = [(0, 20)] * n + [(30, 50)] * (40 - n)
    ink = np.mean([measure_ink(draw_bars(80, bar)) for bar in bars], axis=0)
    assert choose_rows(ink, [(80, 60)] * 40) == expected


def test_text_that_stands_at_any_height_is_kept_whole():
    tops = range(20, 51)
    ink = np.mean(
        [measure_ink(draw_bars(160, (top, top + 20))) for top in tops], axis=0
    )
    top, bottom = choose_rows(ink, [(160, 60)] * len(tops))
    assert 5 / 160 < top <= 20 / 160
    assert 70 / 160 <= bottom < 85 / 160


def test_what_is_left_of_the_rows_is_brought_to_the_height():
    image = draw_bars(80, (20, 60))
    assert choose_height([image.shape], (0.25, 0.75)) == 40
    cut = prepare(image, height=40, rows=(0.25, 0.75))
    assert cut.shape == (40, 60, 1)
    assert not cut[:, :20].any()
    # A row that is cut in two is read.
    assert prepare(image, height=41, rows=(0.245, 0.75))[0].all()
    assert prepare(blank(1, 40), rows=(0.4, 0.6)).shape == (32, 1280, 1)


def test_time_steps_are_counted_in_what_is_left():
    targets = [np.arange(1, 11)]
    shape = (80, 80)
    assert choose_stretch([shape], targets, ["x"], 32) == 30 / 8
    assert choose_stretch([shape], targets, ["x"], 32, rows=(0.25, 0.75)) == 30 / 16


@pytest.mark.parametrize(
    ("shape", "target"),
    [
        ((100, 20), [1, 2, 3, 4, 5]),
        ((100, 20), [1, 1, 1, 1]),
        ((40, 10), [1, 2, 1, 2, 1, 2, 1, 2, 1]),
        ((200, 10), [1, 2, 3, 3, 2, 1]),
        ((16, 16), [1, 1, 2, 2, 3, 3]),
        ((50, 200), [1, 2, 3]),
    ],
)
def test_each_label_gets_the_time_steps_that_it_needs(shape, target):
    target = np.array(target)
    targets = [target, np.array([1]), np.array([1])]
    stretch = choose_stretch([shape] * 3, targets, ["a"] * 3, 32)
    steps = prepare(blank(*shape), stretch=stretch).shape[1] // TIME_STRIDE
    assert steps >= len(target) + np.count_nonzero(target[1:] == target[:-1])


def test_wide_images_are_left_as_they_are():
    assert choose_stretch([(50, 200)], [np.array([1, 2])], ["ab"], 32) == 1.0


def test_most_labels_get_three_time_steps_a_character():
    # 32 columns are 8 steps; 5 characters get 15.
    targets = [np.array([1, 2, 3, 4, 5])] * 3
    assert choose_stretch([(32, 32)] * 3, targets, ["a"] * 3, 32) == 15 / 8


def test_labels_that_cannot_fit_are_all_named():
    targets = [np.array([1]), np.array([1] * 30), np.array([1, 2] * 20)]
    with pytest.raises(ValueError, match=r"y\[1\]='b' needs 59 .*, y\[2\]='c'"):
        choose_stretch([(32, 8)] * 3, targets, list("abc"), 32)


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
    ],
)
def test_median_known_answers(image, size, expected):
    assert median_filter(image, size).tolist() == expected


def test_median_takes_each_channel_by_itself(images):
    image = images[2]
    filtered = median_filter(image, 5)
    for channel in range(3):
        np.testing.assert_array_equal(
            filtered[:, :, channel], median_filter(image[:, :, channel], 5)
        )


def test_median_of_a_window_larger_than_the_image():
    # About the middle there are 127 of 1, one 5 and 127 of 9 in each row.
    assert median_filter(gray([1, 5, 9]), 255).tolist() == [[1, 5, 9]]


# Contrast


def test_equalization_known_answers():
    # Four levels in one tile: a pixel gets the share of those that aren't lighter.
    faint = gray([100, 101], [102, 103])
    options = {"clip_limit": 256, "tile_grid_size": 1}
    assert equalize_histogram(faint, **options).tolist() == [[64, 128], [191, 255]]
    # 256 pixels of one level: the bin is clipped to 1, the other 255 go to the bins 0
    # to 254, so that up to 100 there are 102 of 256: 255 * 102 / 256 = 101.6.
    flat = np.full((16, 16), 100, dtype=np.uint8)
    out = equalize_histogram(flat, clip_limit=1, tile_grid_size=1)
    assert (out == 102).all()


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
    before, after = (
        cv2.cvtColor(i, cv2.COLOR_RGB2LAB).astype(int) for i in (image, out)
    )
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
BLOT_OPENED = [
    [W, W, W, W, W, W, W, W],
    [W, 0, 0, 0, W, W, W, W],
    [W, 0, 0, 0, W, W, W, W],
    [W, 0, 0, 0, W, W, W, W],
    [W, W, W, W, W, W, W, W],
]


@pytest.mark.parametrize("size", [2, 3, (2, 2), [2, 3], np.array([3, 1])])
def test_opening_removes_what_is_thinner_and_moves_nothing(size):
    assert morphological_opening(BLOT, size).tolist() == BLOT_OPENED


def test_opening_keeps_what_the_rectangle_covers():
    assert morphological_opening(BLOT, (1, 4))[2].tolist() == [W, *[0] * 6, W]
    assert (morphological_opening(BLOT, (1, 4))[[0, 1, 3, 4]] == W).all()
    assert (morphological_opening(BLOT, 1) == BLOT).all()
    assert (morphological_opening(BLOT, 4) == W).all()


def test_dark_strokes_take_the_lightest_level_that_covers_them():
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


@pytest.mark.parametrize(
    ("function", "options", "message"),
    [
        (median_filter, {"size": 4}, "size=4; pass an odd int from 1 to 255"),
        (median_filter, {"size": 257}, "size=257; pass an odd int"),
        (median_filter, {"size": 3.0}, "size=3.0; pass an odd int"),
        (equalize_histogram, {"clip_limit": 0}, "clip_limit=0; pass a number above 0"),
        (equalize_histogram, {"clip_limit": np.nan}, "clip_limit=nan; pass"),
        (equalize_histogram, {"tile_grid_size": (8,)}, r"tile_grid_size=\(8,\); pass"),
        (equalize_histogram, {"tile_grid_size": (0, 8)}, r"tile_grid_size=\(0, 8\)"),
        (adaptive_threshold, {"block_size": 10}, "block_size=10; pass an odd int"),
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


FUNCTIONS = [
    median_filter,
    equalize_histogram,
    adaptive_threshold,
    morphological_opening,
    dark_on_light,
    resize_and_pad,
]


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
    with pytest.raises(
        ImportError,
        match=f"{function.__name__} of skcaptcha.preprocessing needs OpenCV: pip "
        r'install "skcaptcha\[preprocessing\]"',
    ):
        function(gray([1, 2]))


def test_errors_of_opencv_become_ours(monkeypatch):
    def refuse(*args):
        raise cv2.error("(-4:Insufficient memory)")

    monkeypatch.setattr(cv2, "medianBlur", refuse)
    with pytest.raises(
        ValueError, match=r"OpenCV cannot do median_filter .*\(1, 2\): .*Insufficient"
    ):
        median_filter(gray([1, 2]))
    with pytest.raises(ValueError, match="OpenCV cannot do"):
        MedianFilter().fit([gray([1, 2])])


# Each transformer


@every_transformer
def test_transformers_are_scikit_learns(transformer):
    with pytest.warns(SkipTestWarning, match="Can't test estimator"):
        results = check_estimator(transformer)
    assert [one["status"] for one in results] == ["passed"]
    parameters = inspect.signature(type(transformer)).parameters.values()
    assert {p.kind for p in parameters} == {inspect.Parameter.KEYWORD_ONLY}
    assert {p.name for p in parameters} >= {"background", "n_jobs"}


@every_transformer
def test_clone_parameters_and_repr(transformer):
    changed = clone(transformer).set_params(background="red", n_jobs=1)
    assert changed.get_params() == {
        **transformer.get_params(),
        "background": "red",
        "n_jobs": 1,
    }
    assert (
        repr(type(transformer)(n_jobs=1)) == f"{type(transformer).__name__}(n_jobs=1)"
    )
    assert clone(changed).get_params() == changed.get_params()


@every_transformer
def test_every_form_of_an_image_gives_the_same(transformer, captchas, tmp_path):
    images = captchas[0][:4]
    paths = [tmp_path / f"{i}.png" for i in range(4)]
    for path, image in zip(paths, images, strict=True):
        path.write_bytes(to_png(image))
    names = [str(path) for path in paths]
    expected = transformer.fit_transform(images)
    forms = {
        "paths": paths,
        "str": names,
        "array of str": np.array(names),
        "series": pd.Series(names, index=range(9, 5, -1)),
        "bytes": [to_png(image) for image in images],
        "PIL": tuple(Image.fromarray(image) for image in images),
        "stack": np.stack(images),
        "color stack": np.stack([np.dstack([image] * 3) for image in images]),
        "floats": [image / 255 for image in images],
        "mixed": [images[0], paths[1], to_png(images[2]), images[3]],
    }
    for X in forms.values():
        assert_same(transformer.transform(X), expected)
        assert_same(clone(transformer).fit(X).transform(X), expected)


@every_transformer
def test_each_image_is_transformed_by_itself(transformer, images):
    together = transformer.transform(images)
    assert type(together) is list
    for image in together:
        assert image.dtype == np.uint8
        assert image.ndim == 2 or image.shape[2:] == (3,)
    assert_same(together, [transformer.transform([image])[0] for image in images])
    assert_same(transformer.transform(images[::-1]), together[::-1])


@every_transformer
def test_input_is_left_alone_and_not_shared(transformer, images, tmp_path):
    copies = [image.copy() for image in images]
    for image in copies:
        image.flags.writeable = False
    for image in transformer.fit_transform(copies):
        image[:] = 0  # what comes out is the user's own
    assert_same(copies, images)
    np.save(tmp_path / "stack.npy", np.stack(images[:2]))
    stack = np.load(tmp_path / "stack.npy", mmap_mode="r")
    assert_same(transformer.transform(stack), transformer.transform(images[:2]))


@every_transformer
def test_transparency_shows_the_background(transformer):
    clear = np.zeros((12, 30, 4), dtype=np.uint8)
    clear[4:8, 4:20, 3] = 255
    on_white = clone(transformer).transform([clear])[0]
    on_black = clone(transformer).set_params(background=(0, 0, 0)).transform([clear])
    opaque = np.full((12, 30), 255, dtype=np.uint8)
    opaque[4:8, 4:20] = 0
    np.testing.assert_array_equal(on_white, transformer.transform([opaque])[0])
    assert not np.array_equal(on_white, on_black[0])


@every_transformer
def test_threads_change_nothing(transformer, images):
    X = images * 5
    serial = clone(transformer).set_params(n_jobs=1).transform(X)
    assert_same(clone(transformer).set_params(n_jobs=2).transform(X), serial)
    outer = joblib.Parallel(n_jobs=2, backend="threading")(
        joblib.delayed(transformer.transform)(X) for _ in range(2)
    )
    for result in outer:
        assert_same(result, serial)


@every_transformer
def test_nothing_is_learned(transformer, images):
    check_is_fitted(transformer)
    fitted = clone(transformer)
    assert fitted.fit(images, y=["a"] * len(images)) is fitted
    assert vars(fitted) == vars(transformer)
    with config_context(transform_output="pandas"):
        assert type(fitted.fit_transform(images)) is list


@every_transformer
def test_persistence(transformer, images):
    expected = transformer.transform(images)
    assert_same(pickle.loads(pickle.dumps(transformer)).transform(images), expected)
    dumped = skops.io.dumps(transformer)
    trusted = skops.io.get_untrusted_types(data=dumped)
    assert all(name.startswith("skcaptcha.") for name in trusted)
    assert_same(skops.io.loads(dumped, trusted=trusted).transform(images), expected)


@every_transformer
@pytest.mark.parametrize("method", ["fit", "transform"])
def test_tables_and_single_items_are_refused(transformer, method):
    def call(X):
        getattr(transformer, method)(X)

    for X, kind in [
        (np.zeros((4, 9)), r"shape \(4, 9\)"),
        (pd.DataFrame(np.zeros((4, 9))), r"shape \(4, 9\)"),
        (scipy.sparse.csr_array(np.eye(3)), r"shape \(3, 3\)"),
        (np.zeros(5), r"shape \(5,\)"),
        ([[0.0, 1.0], [2.0, 3.0]], "2 rows"),
    ]:
        with pytest.raises(ValueError, match=f"X is a table of {kind}; pass images"):
            call(X)
    with pytest.raises(ValueError, match="holds texts, such as 'a.png'; pass the col"):
        call(pd.DataFrame({"path": ["a.png", "b.png"]}))
    with pytest.raises(TypeError, match="X='a.png' is a single item"):
        call("a.png")
    with pytest.raises(TypeError, match="X is int; pass a list"):
        call(3)
    with pytest.raises(ValueError, match="X is empty"):
        call([])


@every_transformer
def test_bad_items_are_named(transformer, images, tmp_path):
    for bad, error, message in [
        (tmp_path / "no.png", FileNotFoundError, r"X\[3\].*no.png"),
        (b"no image", ImageReadError, r"X\[3\]=<8 bytes>"),
        (None, TypeError, r"X\[3\]=None"),
        (np.full((2, 2), np.nan), ImageReadError, r"X\[3\]"),
    ]:
        with pytest.raises(error, match=message):
            transformer.fit_transform([*images[:3], bad])


def test_an_image_that_cannot_be_resized_is_named(images):
    low = np.zeros((1, 10_000), dtype=np.uint8)
    with pytest.raises(
        ValueError,
        match=r"X\[1\]: an image of shape \(1, 10000\) would be 500000 pixels wide at "
        "height=50; at most 32768 are allowed. Set `width`",
    ):
        ImageResizer().transform([images[0], low])
    assert ImageResizer(width=100).transform([low])[0].shape == (50, 100)


@pytest.mark.parametrize(
    ("transformer", "message"),
    [
        *((clone(t).set_params(background="wite"), "wite") for t in TRANSFORMERS),
        *((clone(t).set_params(n_jobs=0), "n_jobs=0") for t in TRANSFORMERS),
        (ImageReader(background=3), "'background' parameter of ImageReader must be"),
        (ImageReader(n_jobs="all"), "'n_jobs' parameter of ImageReader must be"),
        (ImageReader(memory=3), "'memory' parameter of ImageReader must be"),
        (MedianFilter(size=0), "'size' parameter of MedianFilter must be"),
        (MedianFilter(size=4), "size=4; pass an odd int"),
        (CLAHE(clip_limit=0), "'clip_limit' parameter of CLAHE must be"),
        (CLAHE(clip_limit=np.inf), "'clip_limit' parameter of CLAHE must be"),
        (CLAHE(tile_grid_size=0), "'tile_grid_size' parameter of CLAHE must be"),
        (CLAHE(tile_grid_size=(8, 0)), r"tile_grid_size=\(8, 0\); pass an int from 1"),
        (AdaptiveThreshold(block_size=1), "'block_size' parameter of AdaptiveThr"),
        (AdaptiveThreshold(block_size=10), "block_size=10; pass an odd int from 3"),
        (AdaptiveThreshold(offset=0.5), "'offset' parameter of AdaptiveThreshold"),
        (AdaptiveThreshold(method="otsu"), "'method' parameter .* Got 'otsu'"),
        (MorphologicalOpening(size="x"), "'size' parameter of MorphologicalOpening"),
        (MorphologicalOpening(size=(2, 300)), r"size=\(2, 300\); pass an int from 1"),
        (MorphologicalOpening(foreground="red"), "'foreground' parameter"),
        (ImageResizer(height=0), "'height' parameter of ImageResizer must be"),
        (ImageResizer(width="wide"), "'width' parameter of ImageResizer must be"),
        (ImageResizer(align="right"), "'align' parameter .* Got 'right'"),
        (ImageResizer(fill="pink"), "'fill' parameter .* Got 'pink'"),
    ],
    ids=repr,
)
def test_bad_parameters_are_named_before_anything_is_read(transformer, message):
    for method in (transformer.fit, transformer.transform):
        with pytest.raises(ValueError, match=message) as caught:
            method(["missing.png"])
        assert "X[0]" not in str(caught.value)


@every_transformer
def test_only_some_steps_need_opencv(transformer, images, without_opencv):
    if not isinstance(transformer, NEED_OPENCV):
        assert len(transformer.fit_transform(images)) == len(images)
        return
    for method in (transformer.fit, transformer.transform):
        with pytest.raises(ImportError, match=r'install "skcaptcha\[preprocessing\]"'):
            method(["missing.png"])


# What the reader keeps


@pytest.fixture
def n_read(monkeypatch):
    """List that grows by the number of images each time that some are decoded."""
    calls, read = [], _transformers.read_images

    def count(items, **options):
        if not (len(items) == 1 and np.shape(items[0]) == (1, 1)):  # the trial
            calls.append(len(items))
        return read(items, **options)

    monkeypatch.setattr(_transformers, "read_images", count)
    return calls


@pytest.fixture
def mixed(images, tmp_path):
    """The images in several forms, those of the first two in files."""
    for i in range(2):
        (tmp_path / f"{i}.png").write_bytes(to_png(images[i]))
    return [
        str(tmp_path / "0.png"),
        tmp_path / "1.png",
        to_png(images[2]),
        Image.fromarray(images[3]),
        images[4].astype(float),
        images[5],
    ]


def test_with_memory_images_are_decoded_once(mixed, images, n_read, tmp_path):
    for memory in (str(tmp_path / "a"), joblib.Memory(tmp_path / "b", verbose=0)):
        reader = ImageReader(memory=memory)
        expected = ImageReader().transform(images)
        assert_same(reader.fit_transform(mixed), expected)
        n_read.clear()
        found = clone(reader).set_params(n_jobs=2).transform(list(mixed))
        assert n_read == []
        assert_same(found, expected)
        found[0][:] = 0  # what is kept is not what the user gets
        assert_same(reader.transform(mixed), expected)
        assert n_read == []
        reader.transform(mixed[1:])
        assert n_read == [5]
        reader.transform(mixed[::-1])
        assert n_read == [5, 6]


def test_without_memory_nothing_is_kept(mixed, n_read, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    for _ in range(2):
        ImageReader().transform(mixed)
    assert n_read == [6, 6]
    assert sorted(tmp_path.rglob("*")) == before


def test_a_changed_file_is_read_anew(images, n_read, tmp_path):
    path = tmp_path / "captcha.png"
    reader = ImageReader(memory=str(tmp_path / "cache"))
    path.write_bytes(to_png(images[0]))
    assert_same(reader.transform([path]), images[:1])
    size, before = path.stat().st_size, path.stat().st_mtime_ns
    path.write_bytes(to_png(images[1]).ljust(size, b"\0"))
    os.utime(path, ns=(before, before + 1))
    assert_same(reader.transform([path]), images[1:2])
    path.write_bytes(path.read_bytes() + b"\0")
    os.utime(path, ns=(before, before + 1))  # only the size differs
    reader.transform([path])
    assert n_read == [1, 1, 1]
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r"X\[0\].*captcha.png"):
        reader.transform([path])


def test_the_background_is_part_of_what_is_kept(tmp_path):
    clear = np.zeros((2, 3, 4), dtype=np.uint8)
    read = [
        ImageReader(memory=str(tmp_path), background=background).transform([clear])[0]
        for background in ("white", "black", "white")
    ]
    assert [int(image[0, 0]) for image in read] == [255, 0, 255]


def test_relative_paths_are_those_of_the_current_folder(images, tmp_path, monkeypatch):
    reader = ImageReader(memory=str(tmp_path / "cache"))
    for i in range(2):
        (tmp_path / str(i)).mkdir()
        monkeypatch.chdir(tmp_path / str(i))
        Image.fromarray(images[i]).save("a.png")
        os.utime("a.png", ns=(0, 0))
        assert_same(reader.transform(["a.png"]), images[i : i + 1])


def test_memory_can_be_bounded_and_cleared(mixed, n_read, tmp_path):
    memory = joblib.Memory(tmp_path / "cache", verbose=0)
    reader = ImageReader(memory=memory).fit(mixed)
    reader.transform(mixed)
    memory.reduce_size(bytes_limit=1)
    assert memory.store_backend.get_items() == []
    reader.transform(mixed)
    memory.clear(warn=False)
    reader.transform(mixed)
    assert n_read == [6, 6, 6]


# In a pipeline


def test_a_search_over_the_steps_of_a_pipeline(captchas, tmp_path):
    images, texts = (values[:18] for values in captchas)
    pipeline = Pipeline(
        [
            ("read", ImageReader(memory=str(tmp_path))),
            ("median", MedianFilter()),
            ("contrast", CLAHE()),
            ("threshold", AdaptiveThreshold()),
            ("opening", MorphologicalOpening()),
            ("resize", ImageResizer(height=16, width=60)),
            (
                "recognizer",
                CaptchaRecognizer(
                    conv_channels=(4, 4),
                    image_height=16,
                    lstm_units=4,
                    max_iter=1,
                    random_state=0,
                ),
            ),
        ]
    )
    grid = [
        {"median": ["passthrough", MedianFilter(size=5)]},
        {"threshold__offset": [2], "opening": ["passthrough"]},
    ]
    X = [to_png(image) for image in images]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        search = GridSearchCV(pipeline, grid, cv=2, error_score="raise").fit(X, texts)
    assert len(search.cv_results_["params"]) == 3
    copy = pickle.loads(pickle.dumps(search.best_estimator_))
    assert list(copy.predict(X)) == list(search.predict(images))


# The scripts


def load_script(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # where its data classes are looked up
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def benchmark(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    monkeypatch.setitem(sys.modules, "preprocessing", None)  # gone at the end
    threads = cv2.getNumThreads(), torch.get_num_threads()
    yield load_script(ROOT / "benchmarks" / "preprocessing.py")
    cv2.setNumThreads(threads[0])
    torch.set_num_threads(threads[1])


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_the_example_saves_a_pipeline_that_reads_elsewhere(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "preprocessing", None)
    example = load_script(ROOT / "examples" / "preprocessing.py")
    assert example.main(["--n-samples", "16", "--max-iter", "1"]) == 0
    words = capsys.readouterr().out
    for left_out in ("nothing", *example.STEPS, "everything"):
        assert f"\n{left_out} " in words
    *_, elsewhere, here = words.splitlines()
    assert elsewhere.partition("it reads ")[2].rstrip(";") == (
        here.partition("it reads ")[2].rstrip(".")
    )


def test_the_benchmark_times_what_is_there(benchmark, monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(sys.modules, "skimage", None)
    output = tmp_path / "results.json"
    arguments = ["--quick", "--threads", "1", "--output", str(output)]
    assert benchmark.main(arguments) == 0
    shown = capsys.readouterr().out
    assert "scikit-image is left out: pip install scikit-image" in shown
    measured = json.loads(output.read_text())["speed"]["operations"]
    assert list(measured) == ["median", "clahe", "threshold", "opening"]
    for operation, sides in measured.items():
        assert set(sides) >= {"skcaptcha", "OpenCV"}
        assert ("SciPy" in sides) == (operation != "clahe")
        for side, found in sides.items():
            assert len(found["microseconds"]) == 3
            # All do the same, but for what is rounded.
            assert found["same_pixels"] > (0.99 if side == "SciPy" else 0.9999)
    assert benchmark.main([*arguments, "--markdown"]) == 0
    table = capsys.readouterr().out
    assert "| median of 3 by 3 |" in table and "| CLAHE, limit 2" in table
    assert "exact match" not in table  # not measured


def test_the_benchmark_reads_with_and_without_steps(
    benchmark, monkeypatch, captchas, tmp_path, capsys
):
    images, texts = captchas
    parts = images[:8], images[8:12], texts[:8], texts[8:12]
    data_set = benchmark.DataSet(lambda folder, seed: parts, "small.zip", "8 and 4")
    monkeypatch.setattr(benchmark, "DATA_SETS", {"small": data_set})
    monkeypatch.setattr(
        benchmark,
        "CaptchaRecognizer",
        partial(
            CaptchaRecognizer,
            **{name: value for name, value in TINY.items() if name != "random_state"},
        ),
    )
    with zipfile.ZipFile(tmp_path / "small.zip", "w"):
        pass
    output = tmp_path / "results.json"
    arguments = ["--part", "accuracy", "--quick", "--threads", "1", "--data", tmp_path]
    arguments += ["--output", output, "--data-sets", "small"]
    assert benchmark.main([*map(str, arguments)]) == 0
    entry = json.loads(output.read_text())["accuracy: small"]
    assert list(entry["pipelines"]) == ["none", "all", *benchmark.STEPS]
    for (measured,) in entry["pipelines"].values():
        assert (measured["seed"], measured["n_train"], measured["n_test"]) == (0, 8, 4)
        assert 0 <= measured["exact_match"] <= 1
    assert "| no preprocessing | 0." in capsys.readouterr().out
