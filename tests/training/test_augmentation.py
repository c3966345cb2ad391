"""Random distortion of batches."""

import numpy as np
import pytest
import torch

from skcaptcha.training import augmentation
from skcaptcha.training.augmentation import random_affine


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def batch():
    return torch.randint(0, 256, (4, 3, 16, 40), generator=generator()).to(torch.uint8)


def test_strength_zero_changes_nothing(batch):
    out = random_affine(batch, strength=0, generator=generator())
    np.testing.assert_allclose(out, batch, atol=1e-3)


def test_same_seed_same_images_other_seed_others(batch):
    a, b, c = (random_affine(batch, generator=generator(s)) for s in (0, 0, 1))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


def test_each_image_is_distorted_in_its_own_way():
    twice = torch.randint(0, 256, (1, 1, 16, 40), generator=generator()).repeat(
        2, 1, 1, 1
    )
    out = random_affine(twice, generator=generator())
    assert not torch.equal(out[0], out[1])


def test_a_mark_stays_near_its_place():
    batch = torch.zeros(64, 1, 32, 96)
    batch[:, :, 14:18, 46:50] = 255
    out = random_affine(batch, generator=generator())
    total = out.sum((1, 2, 3))
    x = (out.sum((1, 2)) * torch.arange(96)).sum(1) / total
    y = (out.sum((1, 3)) * torch.arange(32)).sum(1) / total
    assert (x - 47.5).abs().max() < 9  # 18 % of the height, and a little
    assert (y - 15.5).abs().max() < 3
    assert (x - 47.5).abs().max() > 3  # they do move


def test_padding_never_shows_inside_an_image():
    batch = torch.zeros(32, 1, 16, 80)
    batch[:, :, :, :40] = 100  # 0 beyond the width is padding
    widths = torch.full((32,), 40)
    out = random_affine(batch, widths, strength=3, generator=generator())
    np.testing.assert_allclose(out[..., :40], 100, atol=1e-2)


def test_width_given_or_implied_is_the_same(batch):
    a = random_affine(batch, generator=generator())
    b = random_affine(batch, torch.full((4,), 40), generator=generator())
    np.testing.assert_allclose(a, b, atol=1e-3)


def test_input_and_global_generator_are_left_alone(batch):
    copy, state = batch.clone(), torch.get_rng_state()
    random_affine(batch, generator=generator())
    assert torch.equal(batch, copy)
    assert torch.equal(torch.get_rng_state(), state)


def test_the_ends_of_a_wide_image_stay_in_it():
    """Six degrees would move them by 33 rows, out of the image."""
    batch = torch.zeros(64, 1, 32, 640)
    batch[:, :, 14:18, 60:64] = 255
    out = random_affine(batch, generator=generator())
    total = out.sum((1, 2, 3))
    y = (out.sum((1, 3)) * torch.arange(32)).sum(1) / total
    assert (total > 0.7 * total.mean()).all()
    assert (y - 15.5).abs().max() < 0.2 * 32 + 3
    assert (y - 15.5).abs().max() > 3  # they do turn


def test_a_grid_made_elsewhere_is_the_same():
    own = torch.tensor([40.0, 32.0, 24.0])[:, None, None]
    matrix = augmentation._draw_matrix(own, 16, 2.0, generator())
    here = augmentation._make_grid(matrix, own, 16, 40)
    cpu = torch.device("cpu")
    there = augmentation._make_grid_there(matrix, own, 16, 40, cpu)
    torch.testing.assert_close(there, here, rtol=1e-5, atol=1e-5)
