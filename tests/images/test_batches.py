"""Batches of images of like width."""

import itertools

import numpy as np
import torch
from support.tensors import pad_images

from skcaptcha.images._batches import make_batches


def generator():
    return torch.Generator().manual_seed(0)


def test_each_sample_is_in_one_batch_an_epoch():
    widths = np.random.default_rng(0).integers(10, 90, 101)
    batches = make_batches(widths, 8, generator())
    assert sorted(itertools.chain(*batches)) == list(range(101))
    assert max(map(len, batches)) == 8


def test_batches_hold_images_of_like_width():
    widths = np.random.default_rng(0).integers(10, 90, 400)
    batches = make_batches(widths, 8, generator())
    spread = [np.ptp(widths[batch]) for batch in batches]
    assert np.mean(spread) < 10  # at random it is about 65


def test_batches_without_generator_are_in_order_of_width():
    assert make_batches([30, 10, 20], 2) == [[1, 2], [0]]


def test_padding_is_zero_and_widths_are_kept():
    images = [np.full((2, 4, 1), 7, np.uint8), np.full((2, 8, 1), 9, np.uint8)]
    batch, widths = pad_images(images, "cpu")
    assert batch.shape == (2, 1, 2, 8)
    assert widths.tolist() == [4, 8]
    assert batch[0, 0, 0].tolist() == [7] * 4 + [0] * 4


def test_equal_widths_need_no_mask():
    assert pad_images([np.zeros((2, 4, 1), np.uint8)] * 2, "cpu")[1] is None
