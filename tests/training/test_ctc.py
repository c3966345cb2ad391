"""The CTC loss for a GPU is that of PyTorch."""

import numpy as np
import pytest
import torch

from skcaptcha.training.ctc import ctc_losses
from skcaptcha.training.losses import ctc_loss


def texts(*texts):
    return [np.array([int(c) for c in text], dtype=np.int64) for text in texts]


def make_heads(n, n_steps=17, n_classes=5, scale=1.0):
    rng = torch.Generator().manual_seed(0)
    shape = (n_steps, n, n_classes)
    return [
        (scale * torch.randn(shape, generator=rng)).requires_grad_() for _ in range(2)
    ]


@pytest.mark.parametrize("scale", [1.0, 30.0])  # of doubt, and of certainty
def test_losses_and_gradients_are_those_of_pytorch(scale):
    targets = texts("1224", "3", "", "11112", "1", "43214")
    lengths = torch.tensor([17, 9, 4, 12, 1, 17])
    heads = make_heads(6, scale=scale)
    log_probs = [head.log_softmax(-1) for head in heads]
    ours = ctc_losses(log_probs, lengths, targets)
    theirs = torch.stack([ctc_loss(x, lengths, targets) for x in log_probs])
    torch.testing.assert_close(ours.float(), theirs)
    factors = torch.tensor([1.0, 0.3])
    found = torch.autograd.grad((ours * factors).sum(), heads, retain_graph=True)
    expected = torch.autograd.grad((theirs * factors).sum(), heads)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_a_text_that_has_no_room_counts_nothing():
    (head, _) = make_heads(2)
    targets, lengths = texts("111", "12"), torch.tensor([4, 9])  # 111 takes five steps
    loss = ctc_losses([head.log_softmax(-1)], lengths, targets)[0]
    (gradient,) = torch.autograd.grad(loss, head)
    assert gradient[:, 0].abs().max() == 0
    expected = ctc_loss(head.log_softmax(-1), lengths, targets)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)


def test_empty_texts_alone():
    (head, _) = make_heads(2)
    targets, lengths = texts("", ""), torch.tensor([3, 5])
    loss = ctc_losses([head.log_softmax(-1)], lengths, targets)[0]
    expected = ctc_loss(head.log_softmax(-1), lengths, targets)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)


def test_a_known_answer():
    """Of two steps, one symbol is read from: it and it, it and blank, blank and it."""
    probabilities = torch.tensor([[[0.6, 0.4]], [[0.3, 0.7]]])
    loss = ctc_losses([probabilities.log()], torch.tensor([2]), texts("1"))[0]
    likely = 0.4 * 0.7 + 0.4 * 0.3 + 0.6 * 0.7
    assert loss.item() == pytest.approx(-np.log(likely), rel=1e-6)


def test_what_is_not_a_number_is_no_loss():
    (head, _) = make_heads(2)
    log_probs = head.log_softmax(-1) * float("nan")
    assert ctc_losses([log_probs], torch.tensor([9, 9]), texts("1", "2"))[0].isnan()
