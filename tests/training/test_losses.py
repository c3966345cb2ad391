"""The losses, on cases that can be solved on paper."""

import math

import numpy as np
import pytest
import torch
from support.small_fits import generator

from skcaptcha.training.losses import (
    ctc_loss,
    locate_ink,
    symbol_entropy,
    uniform_alignment_losses,
)


def test_ctc_loss_known_value():
    # Two steps, blank 0.6 and 'a' 0.4 in each: P('a') = 1 - 0.36 = 0.64.
    log_probs = torch.tensor([[[0.6, 0.4]], [[0.6, 0.4]]]).log()
    loss = ctc_loss(log_probs, torch.tensor([2]), [np.array([1])])
    assert loss.item() == pytest.approx(-math.log(0.64))


def test_ctc_loss_of_a_label_that_does_not_fit_is_zero_not_infinite():
    log_probs = torch.full((1, 1, 2), 0.5).log()
    assert ctc_loss(log_probs, torch.tensor([1]), [np.array([1, 1])]).item() == 0


def test_ink_known_values():
    # White, a black bar of four columns in the second of four time steps.
    image = torch.full((1, 1, 8, 16), 255)
    image[..., 4:8] = 0
    position, share = locate_ink(image)
    np.testing.assert_allclose(share[:, 0], [0, 1, 0, 0], atol=1e-4)
    np.testing.assert_allclose(position[:, 0], [0, 0.5, 1, 1], atol=1e-4)


def test_ink_of_an_empty_image_is_even_and_stops_at_its_width():
    empty = torch.full((2, 3, 8, 16), 255)
    position, share = locate_ink(empty, torch.tensor([16, 8]))
    np.testing.assert_allclose(share[:, 0], 0.25)
    np.testing.assert_allclose(share[:, 1], [0.5, 0.5, 0, 0])
    np.testing.assert_allclose(position[:2, 1], [0.25, 0.75])


def test_padding_is_no_ink():
    # White paper with one bar; padding, which is zero, makes up most of the batch.
    batch = torch.zeros(2, 1, 8, 64)
    batch[0], batch[1, :, :, :16] = 255, 255
    batch[:, :, :, 4:8] = 0
    _, share = locate_ink(batch, torch.tensor([64, 16]))
    np.testing.assert_allclose(share[:4, 1], [0, 1, 0, 0], atol=1e-4)


def test_faint_and_dark_strokes_weigh_alike():
    image = torch.full((1, 1, 32, 64), 255.0)
    image[..., 4:28, 8:12] = 0
    image[..., 4:28, 48:52] = 180
    _, share = locate_ink(image)
    assert share[12, 0] > 0.6 * share[2, 0]  # 75 of 255 levels against 255


def test_uniform_alignment_prefers_the_symbols_in_order():
    ink = locate_ink(torch.full((1, 1, 4, 16), 255))
    steps = torch.full((4, 1, 3), 1e-3)
    for step, symbol in enumerate([1, 1, 2, 2]):
        steps[step, 0, symbol] = 1
    right = uniform_alignment_losses([steps.log()], [np.array([1, 2])], ink)[0]
    wrong = uniform_alignment_losses([steps.log()], [np.array([2, 1])], ink)[0]
    assert right < 1.5 < 5 < wrong  # neighbors share the steps between them


def test_uniform_alignment_of_even_predictions_is_their_entropy():
    ink = locate_ink(torch.randint(0, 256, (2, 1, 4, 32), generator=generator()))
    log_probs = torch.full((8, 2, 4), 0.25).log()
    loss = uniform_alignment_losses(
        [log_probs], [np.array([1, 2, 3]), np.array([2])], ink
    )[0]
    assert loss.item() == pytest.approx(math.log(4), rel=1e-5)


def test_symbol_entropy_known_values():
    assert symbol_entropy([np.array([1, 1])]) == 0
    assert symbol_entropy([np.array([1, 2]), np.array([2, 1])]) == pytest.approx(
        math.log(2)
    )


def test_an_empty_text_is_all_blank():
    none, blank = np.array([], dtype=np.int64), 0.6 * 0.6
    log_probs = torch.tensor([[[0.6, 0.4]] * 2] * 2).log()  # (T, N, K) of 2
    loss = ctc_loss(log_probs, torch.tensor([2, 2]), [none, none])
    assert loss.item() == pytest.approx(-math.log(blank))
    ink = locate_ink(torch.full((2, 1, 4, 8), 255))
    loss = uniform_alignment_losses([log_probs], [none, none], ink)[0]
    assert loss.item() == pytest.approx(-math.log(0.6))
    loss = uniform_alignment_losses([log_probs], [none, np.array([1])], ink)[0]
    assert loss.item() == pytest.approx(-(math.log(0.6) + math.log(0.4)) / 2)


def test_empty_texts_have_no_share_in_the_entropy():
    texts = [np.array([1, 2]), np.array([], dtype=np.int64)]
    assert symbol_entropy(texts) == pytest.approx(math.log(2) / 2)
    assert symbol_entropy(texts[1:]) == 0
