"""The pretrained weights that ship with the package."""

import json
from functools import cache
from importlib.resources import files

import torch
from safetensors.torch import load

from skcaptcha.model.network import NETWORKS, build_network, for_reading


@cache
@torch.inference_mode(False)
def read_weights(size):
    """Return the weights of a network of `NETWORKS`, and the characters it reads."""
    data = (files("skcaptcha.model") / f"pretrained_{size}.safetensors").read_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    weights = {name: tensor.float() for name, tensor in load(data).items()}
    return weights, header["__metadata__"]["characters"]


def load_whole(size):
    """Return a pretrained network that is ready to read, its characters and config."""
    weights, characters = read_weights(size)
    config = {
        **NETWORKS[size],
        "n_classes": len(characters) + 1,
        "in_channels": 3,
        "dropout": 0.0,
    }
    network = for_reading(build_network(config))
    network.load_state_dict(weights, strict=False)  # without the counts of batches
    return network, characters, config


def load_start(config, symbols, generator):
    """Return a pretrained network on the CPU, or None if there is none of that config.

    The generator draws the weights of the auxiliary head and of those `symbols` that
    are not among the characters of the weights.
    """
    form = {name: config[name] for name in NETWORKS["small"]}
    sizes = [size for size, network in NETWORKS.items() if network == form]
    if not sizes:
        return None
    weights, characters = read_weights(sizes[0])
    weights = dict(weights)
    network = build_network(config, generator)
    state = network.state_dict()
    known = {character: row for row, character in enumerate(characters, start=1)}
    first = "blocks.0.conv.weight"
    if config["in_channels"] == 1:  # a gray image is one of three equal channels
        weights[first] = weights[first].sum(dim=1, keepdim=True)
    for name in ("head.weight", "head.bias"):
        source = weights[name]
        weights[name] = state[name]
        weights[name][0] = source[0]
        for row, symbol in enumerate(symbols, start=1):
            if symbol in known:
                weights[name][row] = source[known[symbol]]
    network.load_state_dict(weights, strict=False)
    return network
