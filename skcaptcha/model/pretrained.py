"""The pretrained weights that ship with the package."""

import json
from functools import cache
from importlib.resources import files

import torch
from safetensors.torch import load

from skcaptcha.model.network import build_network, for_reading


@cache
@torch.inference_mode(False)
def read_weights():
    """Return the weights by name, the characters of the classes, and the config."""
    data = (files("skcaptcha.model") / "pretrained.safetensors").read_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    facts = header["__metadata__"]
    weights = {name: tensor.float() for name, tensor in load(data).items()}
    config = {"conv_depths": None, "pooling": False, **json.loads(facts["config"])}
    config["conv_channels"] = tuple(config["conv_channels"])
    config["n_classes"] = len(weights["head.bias"])
    config["in_channels"] = weights["blocks.0.conv.weight"].shape[1]
    return weights, facts["characters"], config


def load_whole():
    """Return the pretrained network, ready to read, its characters and its config."""
    weights, characters, config = read_weights()
    network = for_reading(build_network(config))
    network.load_state_dict(weights, strict=False)  # without the counts of batches
    return network, characters, config


def load_start(config, symbols, generator):
    """Return a pretrained network on the CPU, or None if its `config` does not fit.

    The generator draws the weights of the auxiliary head and of those `symbols` that
    are not among the characters of the weights.
    """
    weights, characters, _ = read_weights()
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
