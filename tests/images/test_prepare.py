"""The size at which the network reads an image."""

import numpy as np
import pytest

from skcaptcha._auto import (
    choose_height,
    choose_rows,
    choose_stretch,
    describe_widening,
)
from skcaptcha.images._prepare import ALL_ROWS, measure_ink, prepare_image
from skcaptcha.model.network import TIME_STRIDE


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


@pytest.mark.parametrize(
    ("heights", "expected"),
    [
        ([24], 48),  # small images are enlarged by more
        ([35], 48),
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


def test_a_few_labels_that_make_all_images_wider_are_named():
    size = {"height": 48, "rows": ALL_ROWS}
    targets, texts = [np.arange(1, 5)] * 100, ["abcd"] * 99 + ["a remark" * 8]
    targets[99] = np.arange(1, 65)
    items, sizes = [f"{i}.png" for i in range(100)], [(50, 150)] * 100
    size["stretch"] = choose_stretch(sizes, targets, texts, 48)
    ((message, category),) = describe_widening(sizes, targets, texts, size, items)
    assert category is UserWarning
    assert message.startswith("1 label of 100 ") and "of X[99]='99.png'" in message
    assert f"{size['stretch']:.2g} times as wide" in message
    # Many long labels, or one that fits, are no matter.
    many = targets[:90] + targets[99:] * 10
    assert describe_widening(sizes, many, texts, size, items) == []
    size["stretch"] = choose_stretch(sizes[:99], targets[:99], texts[:99], 48)
    assert describe_widening(sizes[:99], targets[:99], texts, size, items) == []
