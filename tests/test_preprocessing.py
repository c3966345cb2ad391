"""Images to the size that the network reads."""

import numpy as np
import pytest

from skcaptcha.preprocessing import resize_to_height


@pytest.mark.parametrize(
    ("shape", "kwargs", "expected"),
    [
        ((50, 200), {}, (32, 128)),
        ((50, 200, 3), {}, (32, 128, 3)),
        ((50, 203), {"multiple": 4}, (32, 128)),
        ((50, 200), {"stretch": 1.5}, (32, 192)),
        ((40, 4), {"multiple": 4, "min_width": 16}, (32, 16)),
        ((1, 3), {}, (32, 96)),
        ((1000, 1), {}, (32, 1)),
        ((16, 30), {}, (32, 60)),
    ],
)
def test_size(shape, kwargs, expected):
    out = resize_to_height(np.zeros(shape, dtype=np.uint8), 32, **kwargs)
    assert out.shape == expected
    assert out.dtype == np.uint8


def test_an_image_of_the_right_size_is_returned_as_it_is():
    image = np.arange(32 * 8, dtype=np.uint8).reshape(32, 8)
    assert resize_to_height(image, 32) is image


def test_shrinking_averages_over_the_covered_area():
    image = np.full((64, 64), 255, dtype=np.uint8)
    image[:, 32] = 0  # a stroke of one pixel, which nearest neighbours may miss
    out = resize_to_height(image, 16)
    assert out.min() < 220
    assert out.astype(float).mean() == pytest.approx(image.mean(), abs=2)
