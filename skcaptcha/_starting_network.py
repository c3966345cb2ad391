"""The network that a fit starts from."""

import torch
from rapidfuzz.distance import Levenshtein

from skcaptcha._auto import RESIDUAL_BLOCKS
from skcaptcha.model.decoding import greedy_decode
from skcaptcha.model.inference import run_network
from skcaptcha.model.pretrained import load_start
from skcaptcha.vocabulary import BLANK

# Training images up to which the pretrained networks read them before a fit: of more,
# fits of the small one read as much, or more (docs/research_log.rst).
_FEW_IMAGES = 200
# Characters fewer that the large one has to misread: a share of all, and a number that
# is hardly chance.
_LEAST_SHARE, _LEAST_CHARACTERS = 0.03, 4


def choose_start(estimator, data, generator):
    """Return the network to train on, whether it can read, and what it is.

    The network is None where training starts from random weights. A ValueError is
    raised where there are no weights and parameters need some.
    """
    if data.resume:
        return estimator.network_, estimator.converged_, "earlier fit"
    start = None
    if estimator.pretrained:
        start = load_start(data.network_config, data.vocabulary, generator)
    if start is not None:
        return start, True, "pretrained weights"
    if estimator.pretrained not in ("auto", False):
        raise ValueError(
            f"pretrained={estimator.pretrained!r} needs a network with weights to "
            "start from; leave conv_channels, lstm_units and lstm_layers out, or set "
            "pretrained='auto'."
        )
    if estimator.freeze_convolutions:
        raise ValueError(
            "freeze_convolutions=True needs convolutions that have learned "
            "something: leave the parameters of the network at their defaults and "
            "`pretrained` at 'auto', or fit with freeze_convolutions=False first, "
            "then set it and continue with warm_start=True or `partial_fit`."
        )
    return None, False, "random weights"


def find_network_config(estimator, data):
    """Return the parameters of the network of a fit, whose size may be chosen here.

    Where "auto" has become "small" and there are few images, it becomes "large" if the
    pretrained weights for that misread clearly fewer of their characters.
    """
    small, samples = data.network_config, data.samples
    is_open = estimator.network_size == "auto" and not data.resume
    has_start = estimator.pretrained and small["pooling"]
    if not (is_open and has_start and len(samples) <= _FEW_IMAGES):
        return small
    large = small | {"residual_blocks": RESIDUAL_BLOCKS["large"]}
    misread = []
    for config in (small, large):
        generator = torch.Generator("cpu").manual_seed(0)  # for unknown characters
        network = load_start(config, data.vocabulary, generator)
        if network is None:
            return small
        misread.append(count_misread(network.to(data.device).eval(), samples))
    samples.release()
    n_characters = sum(map(len, samples.targets))
    least = max(_LEAST_CHARACTERS, _LEAST_SHARE * n_characters)
    return large if misread[0] - misread[1] >= least else small


def count_misread(network, samples):
    """Return the number of edits from what a network reads to the targets."""
    total = 0
    for positions, log_probs, lengths in run_network(network, samples.images):
        texts = greedy_decode(log_probs, lengths, blank=BLANK)
        for i, text in zip(positions, texts, strict=True):
            total += Levenshtein.distance(text.tolist(), samples.targets[i].tolist())
    return total
