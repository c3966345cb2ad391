"""The pretrained weights that ship with the package."""

from functools import cache
from importlib.resources import files

import torch
from safetensors.torch import load

from skcaptcha.model.network import build_network

CHARACTERS = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
"""The characters of the classes, after the blank."""


@cache
@torch.inference_mode(False)
def _read_weights():
    weights = load((files("skcaptcha.model") / "pretrained.safetensors").read_bytes())
    return {name: tensor.float() for name, tensor in weights.items()}


def load_pretrained(config, symbols, generator):
    """Return a pretrained network on the CPU, or None if its `config` does not fit.

    The generator draws the weights of the auxiliary head and of those `symbols` that
    are not among `CHARACTERS`.
    """
    weights = dict(_read_weights())
    network = build_network(config, generator)
    state = network.state_dict()
    known = {character: row for row, character in enumerate(CHARACTERS, start=1)}
    first = "blocks.0.conv.weight"
    if config["in_channels"] == 1:  # a gray image is one of three equal channels
        weights[first] = weights[first].sum(dim=1, keepdim=True)
    for name in ("head.weight", "head.bias"):
        source = weights[name]
        weights[name] = state[name]
        if source.shape[1:] != state[name].shape[1:]:
            return None
        weights[name][0] = source[0]
        for row, symbol in enumerate(symbols, start=1):
            if symbol in known:
                weights[name][row] = source[known[symbol]]
    drawn = ("num_batches_tracked", "auxiliary.weight", "auxiliary.bias")
    learned = {name for name in state if not name.endswith(drawn)}
    if learned != weights.keys() or any(
        weights[name].shape != state[name].shape for name in learned
    ):
        return None
    network.load_state_dict(weights, strict=False)
    return network
