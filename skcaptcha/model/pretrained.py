"""The pretrained weights that ship with the package."""

import json
from functools import cache
from importlib.resources import files

import torch
from safetensors.torch import load
from torch import nn

from skcaptcha._modes import own_modes
from skcaptcha.model.network import build_network, for_reading
from skcaptcha.vocabulary import BLANK

FORMS = {
    "pooling": {"pooling": True, "residual_blocks": 0},
    "stride": {"pooling": False, "residual_blocks": 0},
    "large": {"pooling": True, "residual_blocks": 2},
}
"""What there are weights of, and what is special about its network."""

_CONFIG = {
    "conv_channels": (24, 48, 96, 128, 128),
    "lstm_units": 128,
    "lstm_layers": 1,
}
# Ends the name of what 8-bit weights are multiplied by.
_SCALE_SUFFIX = ".scale"
# The logit of characters that a network knows nothing of.
_UNKNOWN = -30.0
# The scale of residual blocks that are added to a network which can read.
_SCALE_OF_NEW = 0.1


@cache
@torch.inference_mode(False)
def read_weights(form):
    """Return the weights of one of `FORMS` by name, and the characters it reads."""
    data = (files("skcaptcha.model") / f"pretrained_{form}.safetensors").read_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    return dequantize(load(data)), header["__metadata__"]["characters"]


def dequantize(tensors):
    """Return the tensors in float32, multiplied by their scales if they have some."""
    weights = {
        name: tensor.float()
        for name, tensor in tensors.items()
        if not name.endswith(_SCALE_SUFFIX)
    }
    for name, tensor in tensors.items():
        if name.endswith(_SCALE_SUFFIX):
            weights[name.removesuffix(_SCALE_SUFFIX)] *= tensor.float()
    return weights


@own_modes()
def load_whole(form, characters):
    """Return a pretrained network that is ready to read, and its config.

    Its classes are `characters`; one that it does not know is never read.
    """
    weights, known = read_weights(form)
    rows = {character: row for row, character in enumerate(known, start=1)}
    head, bias = weights["head.weight"], weights["head.bias"]
    n_classes = len(characters) + 1
    weights = weights | {
        "head.weight": head.new_zeros(n_classes, head.shape[1]),
        "head.bias": bias.new_full((n_classes,), _UNKNOWN),
    }
    for row, source in enumerate([BLANK, *map(rows.get, characters)]):
        if source is not None:
            weights["head.weight"][row] = head[source]
            weights["head.bias"][row] = bias[source]
    config = {
        **_CONFIG,
        **FORMS[form],
        "n_classes": n_classes,
        "in_channels": 3,
        "dropout": 0.0,
    }
    network = for_reading(build_network(config))
    network.load_state_dict(weights, strict=False)  # without the counts of batches
    return network, config


@own_modes()
def load_start(config, symbols, generator):
    """Return a pretrained network on the CPU, or None if there is none of that config.

    The generator draws the weights of the auxiliary head and of those `symbols` that
    are not among the characters of the weights.
    """
    if any(config[name] != value for name, value in _CONFIG.items()):
        return None
    form, is_whole = find_form(config)
    weights, characters = read_weights(form)
    network = build_network(config, generator)
    weights = dict(weights) if is_whole else place_blocks(weights, network)
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


def find_form(config):
    """Return the one of `FORMS` to start from, and whether it has all blocks."""
    for form, own in FORMS.items():
        if all(config[name] == value for name, value in own.items()):
            return form, True
    return "pooling" if config["pooling"] else "stride", False


def place_blocks(weights, network, scale=_SCALE_OF_NEW):
    """Return weights of a network without residual blocks, named as in `network`.

    Its residual blocks add next to nothing, so that it reads as without them (T. Chen,
    I. Goodfellow, J. Shlens, "Net2Net: Accelerating Learning via Knowledge Transfer",
    ICLR 2016).
    """
    own = [k for k, block in enumerate(network.blocks) if not block.residual]
    for block in network.blocks:
        if block.residual:
            nn.init.constant_(block.norm.weight, scale)
            nn.init.zeros_(block.norm.bias)
    placed = {}
    for name, tensor in weights.items():
        if name.startswith("blocks."):
            _, k, rest = name.split(".", 2)
            name = f"blocks.{own[int(k)]}.{rest}"
        placed[name] = tensor
    return placed
