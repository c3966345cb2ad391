"""How sure a network is of what it reads, against how often it is right."""

import numpy as np
import torch

from skcaptcha.model.decoding import sequence_log_probability
from skcaptcha.model.inference import greedy_and_count
from skcaptcha.vocabulary import BLANK

__all__ = ["divide_logits", "find_temperature"]

_HIGHEST = 4.0
_N_HALVINGS = 8


def find_temperature(network, samples):
    """Return by what to divide the logits so that a network is not too sure.

    Temperature scaling [1]_ finds one number on samples that were not trained on. Here
    it is the one with which the mean probability of what is read comes down to the
    share that is right. A network that is not sure enough stays so: a few samples
    without an error are no reason to be surer.

    Parameters
    ----------
    network : CRNN
        In evaluation mode.
    samples : Samples
        Samples that were not trained on.

    Returns
    -------
    float
        At least 1.

    References
    ----------
    .. [1] C. Guo et al., "On Calibration of Modern Neural Networks", ICML 2017.
    """
    read, n_right = [], 0
    for log_probs, lengths, texts, n in greedy_and_count(network, samples):
        read.append((log_probs, lengths, texts))
        n_right += n
    exact_match = n_right / len(samples)

    def is_too_sure(temperature):
        confidences = [
            np.exp(
                sequence_log_probability(
                    torch.log_softmax(torch.as_tensor(log_probs) / temperature, -1),
                    lengths,
                    texts,
                    blank=BLANK,
                )
            )
            for log_probs, lengths, texts in read
        ]
        return np.concatenate(confidences).mean() > exact_match

    if not is_too_sure(1.0):
        return 1.0
    low, high = 1.0, _HIGHEST
    for _ in range(_N_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if is_too_sure(middle) else (low, middle)
    return low


def divide_logits(network, temperature):
    """Divide what the head of a network puts out, which leaves its order as it was."""
    with torch.no_grad():
        network.head.weight /= temperature
        network.head.bias /= temperature
