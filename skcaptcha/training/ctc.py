"""CTC loss on a GPU, in few launches and without waiting for it."""

import math

import numpy as np
import torch

from skcaptcha._transfer import send
from skcaptcha.vocabulary import BLANK

_NEVER = 1  # the state that is never entered


def ctc_losses(heads, lengths, targets, weights=None):
    """CTC loss [1]_ a symbol, averaged over the batch, for each of several heads.

    It is that of `ctc_loss`. PyTorch's own kernels have the program wait for the GPU
    six times a call, and those of cuDNN take no images of different widths. This one
    runs through the symbols of a text instead of its time steps, which are many more:
    how likely it is to be in a state at each time step is a cumulative sum over the
    steps at which it was entered. It computes in double precision.

    Parameters
    ----------
    heads : list of tensor of shape (T, N, K)
        Log-probabilities.
    lengths : tensor of shape (N,), on the CPU
        Time steps of each sample.
    targets : list of N arrays of symbols
    weights : array of shape (N,), default=None
        By which the losses of the samples are multiplied before they are averaged.

    Returns
    -------
    tensor of shape (len(heads),), float64

    References
    ----------
    .. [1] A. Graves, S. Fernandez, F. Gomez, J. Schmidhuber, "Connectionist Temporal
       Classification", ICML 2006.
    """
    log_probs = torch.cat(heads, dim=1) if len(heads) > 1 else heads[0]
    plan = plan_states(lengths.numpy(), targets, len(heads), len(log_probs), weights)
    n_places = len(plan[0])
    plan = np.concatenate([plan[0], plan[1].view(np.int64)])  # to send it at once
    plan = send(torch.from_numpy(plan), log_probs.device)
    numbers = plan[n_places:].view(torch.float64)
    return _CTC.apply(log_probs, plan[:n_places], numbers, len(heads))


def plan_states(lengths, targets, n_heads, n_steps, sample_weights=None):
    """Return what the recursion has to know of the texts, as two arrays.

    The states of a text of at most L symbols are the first blank, one that is never
    entered, and then, for each symbol, the blank after it and the symbol. Each array
    has two columns for each sample of each head: the text from its first symbol on, and
    from its last one on.

    Returns
    -------
    places : array of shape (2 T + 4 L + 5, 2 M), int64, of M = n_heads * N
        The rows of the log-probabilities; their time steps; the classes of the
        states; which state of the second column is the same as each state of the
        first; which time step of it is the same as each.
    numbers : array of shape (1 + T + L, 2 M), float64
        Minus the weight of each sample in the mean; the same in the time steps that
        it has, zero in others; zero for each symbol that may follow the one before
        without a blank between them, and minus infinity for the others.
    """
    n, longest = len(targets), max(1, *map(len, targets))
    ends = np.array([len(target) for target in targets])
    symbols = np.full((2, longest, n), BLANK)
    for i, target in enumerate(targets):
        symbols[0, : len(target), i] = target
        symbols[1, : len(target), i] = target[::-1]
    classes = np.full((2, 2 * longest + 2, n), BLANK)
    classes[:, 3::2] = symbols
    follows = np.zeros((2, longest, n))
    follows[:, 1:][symbols[:, 1:] == symbols[:, :-1]] = -math.inf

    number = np.arange(longest + 1)[:, None]
    blank, symbol = ends - number, ends - number[1:] + 1  # of all, from the end on
    same = np.full((2 * longest + 2, n), _NEVER)
    same[::2] = np.where(blank < 0, _NEVER, 2 * blank)
    same[3::2] = np.where(symbol < 1, _NEVER, 2 * symbol + 1)
    steps = np.arange(n_steps)[:, None]
    mirrored = lengths - 1 - steps  # (T, N)
    inside, mirrored = mirrored >= 0, mirrored % n_steps
    weights = -1 / (np.maximum(ends, 1) * n)
    if sample_weights is not None:
        weights = weights * np.asarray(sample_weights)

    def repeat(*both):
        parts = (np.broadcast_to(part, (len(part), n)) for part in both)
        return np.concatenate([np.tile(part, n_heads) for part in parts], axis=1)

    rows = np.tile(np.arange(n_heads * n), 2)[None]
    places = [rows, repeat(steps, mirrored), repeat(*classes), repeat(same, same)]
    places.append(repeat(mirrored, mirrored))
    gains = np.where(inside, weights, 0)
    numbers = [repeat(weights[None], weights[None]), repeat(gains, gains)]
    numbers.append(repeat(*follows))
    return (
        np.concatenate(places).astype(np.int64),
        np.concatenate(numbers).astype(np.float64),
    )


class _CTC(torch.autograd.Function):
    """The loss of each head, and its gradient from the way there and back."""

    @staticmethod
    def forward(ctx, log_probs, places, numbers, n_heads):
        """Return the losses (n_heads,), for what `plan_states` returned."""
        n_steps, n, n_classes = log_probs.shape
        n_states = (len(places) - 1) // 2 - n_steps
        sizes = [1, n_steps, n_states, n_states, n_steps]
        rows, steps, classes, same, mirrored = places.split(sizes)
        weights, gains, follows = numbers.split([1, n_steps, n_states // 2 - 1])

        values = log_probs[steps, rows[0], classes[:, None]].double()  # (S, T, 2 M)
        until = values.cumsum(1)
        before = until - values
        entered = _enter_states(before, follows)
        # All that comes before a time step in a state, times all from it on.
        there = before[..., :n] + entered[..., :n]
        back = (until + entered)[..., n:]
        joint = there + back[same[:, None, :n], mirrored[:, :n], rows[0, :n]]
        # At the first step: the first blank, or the first symbol.
        total = torch.logaddexp(joint[0, 0], joint[3, 0])
        # An impossible text has no loss, and is never in a state.
        total.nan_to_num_(nan=math.nan, posinf=math.inf, neginf=0.0)
        occupation = (joint - total).exp_().permute(2, 1, 0)  # (M, T, S)
        number = torch.arange(n_classes, device=log_probs.device)
        is_class = occupation.new_empty((n, n_states, n_classes))
        torch.eq(classes.T[:n, :, None], number, out=is_class)
        gradient = (occupation @ is_class).transpose(0, 1) * gains[:, :n, None]
        ctx.save_for_backward(gradient)
        ctx.dtype = log_probs.dtype
        return (total * weights[0, :n]).view(n_heads, -1).sum(1)

    @staticmethod
    def backward(ctx, factors):
        """Return the gradient of the log-probabilities."""
        (gradient,) = ctx.saved_tensors
        by_head = gradient.view(len(gradient), len(factors), -1, gradient.shape[2])
        found = by_head * factors[:, None, None]
        return found.view_as(gradient).to(ctx.dtype), None, None, None


def _enter_states(before, follows):
    """Return how likely each state was entered by each time step, as logarithms.

    All is divided by what has stayed in the state since the first step: `before`, of
    shape (S, T, N). `follows` (L, N) says which symbols may follow the one before.
    """
    longest, (n_states, n_steps, n) = len(follows), before.shape
    entered = before.new_full((n_states, n_steps + 1, n), -math.inf)
    entered[0] = 0  # the first blank, from the start
    pairs = entered.view(longest + 1, 2, n_steps + 1, n)  # a symbol, the blank after it
    before = before.view(longest + 1, 2, n_steps, n)
    moves = before[:-1] - before[1:, 1:]  # of a pair to the next symbol
    moves[:, 1] += follows[:, None]
    ways = moves[0, 0]
    for k in range(longest):
        if k:
            ways = torch.logaddexp(*(pairs[k, :, :-1] + moves[k]))
        torch.logcumsumexp(ways, 0, out=pairs[k + 1, 1, 1:])
        ways = pairs[k + 1, 1, :-1] - moves[k, 0]
        torch.logcumsumexp(ways, 0, out=pairs[k + 1, 0, 1:])
    return entered[:, 1:]
