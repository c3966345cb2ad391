"""Losses: CTC, and the uniform alignment that training begins with."""

import math

import numpy as np
import torch
from torch.nn import functional

from skcaptcha._transfer import send
from skcaptcha.model.network import TIME_STRIDE
from skcaptcha.vocabulary import BLANK


def ctc_loss(log_probs, lengths, targets, weights=None):
    """CTC loss [1]_ a symbol, averaged over the batch.

    `log_probs` have the shape (T, N, K), `lengths` (N,) count the time steps of each
    sample, and `targets` are N arrays of symbols. `weights`, an array (N,), multiply
    the losses of the samples before these are averaged.

    References
    ----------
    .. [1] A. Graves, S. Fernandez, F. Gomez, J. Schmidhuber, "Connectionist Temporal
       Classification", ICML 2006.
    """
    n_symbols = torch.tensor([len(t) for t in targets], dtype=torch.int64, device="cpu")
    losses = functional.ctc_loss(
        log_probs,
        torch.from_numpy(np.concatenate(targets)).to(log_probs.device),
        lengths,
        n_symbols,
        blank=BLANK,
        reduction="mean" if weights is None else "none",
        zero_infinity=True,
    )
    if weights is None:
        return losses
    # What "mean" divides by.
    factors = torch.as_tensor(np.asarray(weights)) / n_symbols.clamp(min=1)
    return (losses * factors.to(losses.device)).mean()


def locate_ink(images, widths=None):
    """Estimate how much of the text each time step shows and how much came before.

    The distance of a pixel from its image's median is its ink, saturating, so that
    a faint character weighs as much as a dark one and a thin line little. Without it
    one of nine sets learns 6 times later; other numbers hardly matter
    (benchmarks/auto_constants.py).

    `images` of shape (N, C, H, W) are padded on the right to the widest; `widths` are
    their own, on the same device.

    Returns
    -------
    position : tensor of shape (T, N)
        Share of the ink that lies to the left of the middle of the time step.
    share : tensor of shape (T, N)
        Share of the ink in the time step; the steps of an image sum to 1.
    """
    x = images.float()
    n, _, height, width = x.shape
    if widths is None:
        own, inside = width, x
    else:
        own = widths
        valid = torch.arange(width, device=x.device)[None] < own[:, None]  # (N, W)
        inside = torch.where(valid[:, None, None, :], x, math.nan)
    median = inside.flatten(2).nanmedian(dim=2).values[:, :, None, None]  # (N, C, 1, 1)
    distance = (x - median).abs().amax(dim=1)  # (N, H, W)
    if widths is not None:
        distance = distance * valid[:, None, :]
    spread = (distance**2).sum((1, 2)) / (own * height)
    half = 0.25 * spread.sqrt()[:, None, None] + 1  # at this distance ink counts half
    ink = (distance / (distance + half)).mean(dim=1) ** 1.5  # (N, W)
    ink = ink.reshape(n, -1, TIME_STRIDE).sum(dim=2)  # (N, T)
    even = ink + 1e-6  # in an empty image
    ink = even if widths is None else torch.where(valid[:, ::TIME_STRIDE], even, ink)
    share = (ink / ink.sum(dim=1, keepdim=True)).T  # (T, N)
    return share.cumsum(dim=0) - share / 2, share


def uniform_alignment_losses(heads, targets, ink, weights=None):
    """Cross-entropy of the time steps under an even spread of the symbols, by head.

    Before anything is learned, the best guess of where the symbols stand is that each
    takes an equal share of the text's ink, in order: the "flat start" of speech
    recognition [1]_. Trained on it first, CTC does not begin on its plateau where all
    is blank [2]_. An empty text is a blank that takes all.

    `heads` are log-probabilities as for `ctc_loss`, `targets` and `weights` are the
    same, and `ink` is what `locate_ink` returned.

    References
    ----------
    .. [1] S. Young et al., "The HTK Book", section 8.3, Cambridge University, 2006.
    .. [2] H. Sak et al., "Learning acoustic frame labeling for speech recognition
       with recurrent neural networks", ICASSP 2015.
    """
    position, share = ink
    if weights is not None:
        share = share * send(torch.as_tensor(np.asarray(weights)), share.device)
    targets = [target if len(target) else [BLANK] for target in targets]
    longest = max(len(target) for target in targets)
    padded = np.zeros((len(targets), longest + 1), dtype=np.int64)
    for row, target in zip(padded, targets, strict=True):
        row[: len(target)], row[-1] = target, len(target)
    padded = send(torch.from_numpy(padded), share.device)
    symbols, lengths = padded[:, :-1], padded[:, -1]  # (N, L), (N,)
    slots = torch.arange(longest, device=share.device)
    offset = (position * lengths)[:, :, None] - slots - 0.5  # (T, N, L)
    weight = torch.exp(-2 * offset**2) * (slots < lengths[:, None])
    weight = weight / weight.sum(dim=2, keepdim=True).clamp(min=1e-9)
    if share.is_cuda:
        weight = weight * (share / -len(targets))[:, :, None]
        return _weigh_on_cuda(heads, symbols, weight)
    symbols = symbols.expand(len(share), -1, -1)  # (T, N, L)
    return [
        -((weight * log_probs.gather(2, symbols)).sum(dim=2) * share).sum()
        / len(targets)
        for log_probs in heads
    ]


def _weigh_on_cuda(heads, symbols, weight):
    """Return the sum of weighted log-probabilities of symbols for each head.

    `symbols` (N, L) have a `weight` (T, N, L) in each time step. A tensor of weights of
    all classes takes few launches.
    """
    of_classes = torch.zeros_like(heads[0])
    weight = weight.to(of_classes.dtype)
    of_classes.scatter_add_(2, symbols.expand(len(weight), -1, -1), weight)
    return (torch.stack(heads) * of_classes).sum((1, 2, 3))


def symbol_entropy(targets):
    """Entropy in nats of the frequencies of the symbols in `targets`.

    Times the share of the targets that are not empty: where all is blank, these have
    no loss.
    """
    _, counts = np.unique(np.concatenate(targets), return_counts=True)
    share = counts / counts.sum()
    not_empty = np.mean([len(target) > 0 for target in targets])
    return float(-(share * np.log(share)).sum() * not_empty)
