"""A fit by a process alone, and one by the same process as a group of one.

Called with the device, the backend of torch.distributed and a folder for its store. The
last line printed has the losses of both fits, as JSON. The package itself makes no
group of one, which is to try out the backend where there is one GPU.
"""

import json
import sys
import warnings
from pathlib import Path

import torch

from skcaptcha import CaptchaRecognizer, recognizer
from skcaptcha.datasets import make_captchas
from skcaptcha.training.distributed import ProcessGroup


def fit(device):
    """Fit a small network without noise, which a group draws in another way."""
    X, y = make_captchas(32, vocabulary="0123", length=2, size=(32, 64), random_state=0)
    small = {"conv_channels": (8, 16, 32, 32, 32), "lstm_units": 16, "max_iter": 2}
    same = {"augmentation": 0.0, "dropout": 0.0, "batch_size": 8, "random_state": 0}
    return CaptchaRecognizer(**small, **same, device=device).fit(X, y)


def main(device, backend, folder):
    warnings.simplefilter("ignore")  # two epochs are few
    losses = [fit(device).loss_curve_]
    store = (Path(folder).resolve() / "store").as_uri()
    torch.distributed.init_process_group(
        backend, init_method=store, rank=0, world_size=1
    )
    recognizer.join_processes = ProcessGroup
    losses.append(fit(device).loss_curve_)
    torch.distributed.destroy_process_group()
    print(json.dumps(losses))


if __name__ == "__main__":
    main(*sys.argv[1:])
