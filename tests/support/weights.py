"""The weights of networks, compared bit for bit."""

import torch


def copy_weights(recognizer):
    """Return a copy of the weights of a recognizer, by name."""
    return {k: v.clone() for k, v in recognizer.network_.state_dict().items()}


def changed_weights(one, other):
    """Return the names of the weights that differ, of recognizers or of copies."""
    one, other = (
        weights if isinstance(weights, dict) else weights.network_.state_dict()
        for weights in (one, other)
    )
    assert one.keys() == other.keys()
    return [name for name in one if not torch.equal(one[name], other[name])]
