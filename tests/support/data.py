"""Images, and parameters of networks, that train within seconds."""

from pathlib import Path

from skcaptcha.datasets import make_captchas

ROOT = Path(__file__).resolve().parents[2]
"""Folder of the project."""

TINY = {
    "conv_channels": (8, 16, 32, 64),
    "lstm_units": 16,
    "image_height": 16,
    "dropout": 0.0,
    "random_state": 0,
}
"""Parameters of a network that trains within seconds."""


def make_easy(n_samples, vocabulary, seed):
    """Images of two or three characters, 16x48, and their texts."""
    return make_captchas(
        n_samples,
        vocabulary=vocabulary,
        length=(2, 3),
        size=(16, 48),
        rotation=0,
        warp=0,
        overlap=0,
        lines=0,
        dots=0,
        random_state=seed,
    )
