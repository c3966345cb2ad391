"""What a fit of a few images of noise by a tiny network takes."""

import numpy as np
import torch

from skcaptcha.images._samples import Samples
from skcaptcha.training.fit import TrainingConfig

NETWORK_CONFIG = {
    "n_classes": 3,
    "in_channels": 1,
    "conv_channels": (4, 8),
    "lstm_units": 4,
    "lstm_layers": 1,
    "dropout": 0.0,
}


def training_config(**changes):
    values = {
        "batch_size": 4,
        "learning_rate_init": 1e-2,
        "weight_decay": 0.01,
        "max_iter": 3,
        "n_iter_no_change": 10,
        "tol": 1e-4,
        "augmentation": 0.5,
        "freeze_convolutions": False,
        "device": torch.device("cpu"),
        "verbose": False,
    }
    return TrainingConfig(**{**values, **changes})


def samples(n=12, seed=0):
    rng = np.random.default_rng(seed)
    images = [rng.integers(0, 256, (8, 16, 1), dtype=np.uint8) for _ in range(n)]
    return Samples(images, [rng.integers(1, 3, 2) for _ in range(n)])


def generator(seed=0):
    return torch.Generator().manual_seed(seed)
