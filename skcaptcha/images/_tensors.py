"""Batches of images as tensors."""

from typing import NamedTuple

import numpy as np
import torch

from skcaptcha._transfer import send
from skcaptcha.images._batches import stack_images

# On a GPU batches of differing widths are padded to a multiple of this, so that few
# shapes occur and its memory is used again.
_WIDTH_STEP = 16


class StoredImage(NamedTuple):
    """An image on a device, beside many others.

    `columns`, of shape (n, H, C), uint8, has the columns of all of them one after the
    other; the first one is black, for padding. The image begins at `first`.
    """

    columns: torch.Tensor
    first: int
    shape: tuple  # (H, W_i, C)


def place_images(images, device):
    """Stack images (H, W_i, C), uint8, to a tensor (N, C, H, W) on a device.

    They are padded on the right. The images are arrays, or `StoredImage` on that
    device. Also returns their widths (N,), on the CPU and on the device, each None if
    all are equal.
    """
    device = torch.device(device)
    widths = [image.shape[1] for image in images]
    width = max(widths)
    same = min(widths) == width
    if not same and device.type == "cuda":
        width = -(-width // _WIDTH_STEP) * _WIDTH_STEP
    if isinstance(images[0], StoredImage):
        batch, own = _gather(images, widths, width)
    else:
        batch, _ = stack_images(images, width)
        batch = send(torch.from_numpy(batch), device).permute(0, 3, 1, 2)
        own = None
    if same:
        return batch, None, None
    widths = torch.tensor(widths, dtype=torch.int64, device="cpu")
    return batch, widths, send(widths, device) if own is None else own


def _gather(images, widths, width):
    """Return stored images as one padded tensor, and their widths on its device."""
    first = np.array([image.first for image in images], dtype=np.int64)[:, None]
    steps, widths = np.arange(width), np.array(widths, dtype=np.int64)[:, None]
    # Of padding the black column.
    index = np.where(steps < widths, first + steps, 0)  # (N, W)
    columns = images[0].columns
    sent = np.concatenate([index, widths], axis=1)
    sent = send(torch.from_numpy(sent), columns.device)
    batch = columns[sent[:, :-1]]  # (N, W, H, C)
    return batch.permute(0, 3, 2, 1), sent[:, -1]
