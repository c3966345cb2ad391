"""Images to the size that the network reads."""

import numpy as np
import pytest

from skcaptcha._sizing import choose_height, choose_stretch, prepare_image
from skcaptcha.network import TIME_STRIDE
from skcaptcha.preprocessing import resize_image


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
    image[:, 32] = 0  # a stroke of one pixel, which nearest neighbours may miss
    out = resize_image(image, (16, 16))
    assert out.min() < 220
    assert out.astype(float).mean() == pytest.approx(image.mean(), abs=2)


@pytest.mark.parametrize(
    ("heights", "expected"),
    [([24], 32), ([50], 32), ([80], 48), ([400], 64), ([50, 50, 900], 32)],
)
def test_height_follows_the_median(heights, expected):
    assert choose_height([blank(h, 10) for h in heights]) == expected


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
    images, target = [blank(*shape)] * 3, np.array(target)
    targets = [target, np.array([1]), np.array([1])]
    stretch = choose_stretch(images, targets, ["a"] * 3, 32)
    steps = prepare(images[0], stretch=stretch).shape[1] // TIME_STRIDE
    assert steps >= len(target) + np.count_nonzero(target[1:] == target[:-1])


def test_wide_images_are_left_as_they_are():
    assert choose_stretch([blank(50, 200)], [np.array([1, 2])], ["ab"], 32) == 1.0


def test_most_labels_get_three_time_steps_a_character():
    # 32 columns are 8 steps; 5 characters get 15.
    targets = [np.array([1, 2, 3, 4, 5])] * 3
    assert choose_stretch([blank(32, 32)] * 3, targets, ["a"] * 3, 32) == 15 / 8


def test_labels_that_cannot_fit_are_all_named():
    targets = [np.array([1]), np.array([1] * 30), np.array([1, 2] * 20)]
    with pytest.raises(ValueError, match=r"y\[1\]='b' needs 59 .*, y\[2\]='c'"):
        choose_stretch([blank(32, 8)] * 3, targets, list("abc"), 32)
