"""Temperature scaling, so that a network is not more confident than accurate."""

import numpy as np
import torch

from skcaptcha.model.decoding import sequence_log_probability
from skcaptcha.model.inference import greedy_and_count
from skcaptcha.vocabulary import BLANK

_MAX_TEMPERATURE = 4.0
_N_BISECTIONS = 8


def find_temperature(network, samples):
    """Return the temperature, at least 1, by which to divide the logits.

    With it the mean confidence on held-out samples falls to their exact match. A
    network that is not confident enough stays as it is: a few samples without an error
    are no reason for more confidence.

    References
    ----------
    C. Guo et al., "On Calibration of Modern Neural Networks", ICML 2017.
    """
    batches, n_right = [], 0
    for log_probs, lengths, texts, n in greedy_and_count(network, samples):
        batches.append((log_probs, lengths, texts))
        n_right += n
    exact_match = n_right / len(samples)

    def is_overconfident(temperature):
        confidences = [
            np.exp(
                sequence_log_probability(
                    torch.log_softmax(torch.from_numpy(log_probs) / temperature, -1),
                    lengths,
                    texts,
                    blank=BLANK,
                )
            )
            for log_probs, lengths, texts in batches
        ]
        return np.concatenate(confidences).mean() > exact_match

    if not is_overconfident(1.0):
        return 1.0
    low, high = 1.0, _MAX_TEMPERATURE
    for _ in range(_N_BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if is_overconfident(middle) else (low, middle)
    return low


def divide_logits(network, temperature):
    """Divide the logits of a network in place."""
    with torch.no_grad():
        network.head.weight /= temperature
        network.head.bias /= temperature
