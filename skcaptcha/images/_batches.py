"""Samples of like width together, and batches of them."""

import numpy as np
import torch

__all__ = ["make_batches", "pad_images"]


def make_batches(widths, batch_size, generator=None):
    """Group samples of like width, so that batches hold little padding.

    Parameters
    ----------
    widths : sequence of int
        Width of each sample.
    batch_size : int
        Samples a batch; the last ones of a group may be fewer.
    generator : torch.Generator, optional
        Shuffles samples and batches. Without it the batches go from narrow to wide.

    Returns
    -------
    list of list of int
        Positions of the samples of each batch.
    """
    n = len(widths)
    if generator is None:
        order, group = list(range(n)), n
    else:
        order = torch.randperm(n, generator=generator).tolist()
        group = 16 * batch_size
    batches = []
    for start in range(0, n, group):
        members = sorted(order[start : start + group], key=lambda i: widths[i])
        batches += [
            members[k : k + batch_size] for k in range(0, len(members), batch_size)
        ]
    if generator is not None:
        shuffled = torch.randperm(len(batches), generator=generator).tolist()
        batches = [batches[i] for i in shuffled]
    return batches


def pad_images(images, device):
    """Stack images of one height, padded on the right to the widest.

    Parameters
    ----------
    images : list of ndarray or tensor of shape (H, W_i, C), uint8
        The images; tensors are on `device`.
    device : torch.device
        Where the batch goes.

    Returns
    -------
    batch : tensor of shape (N, C, H, W), uint8
    widths : tensor of shape (N,), or None if all are equally wide
    """
    widths = [image.shape[1] for image in images]
    same = min(widths) == max(widths)
    height, _, channels = images[0].shape
    shape = (len(images), height, max(widths), channels)
    on_device = isinstance(images[0], torch.Tensor)
    if on_device and same:  # all at once
        batch = torch.stack(images)
    else:
        if on_device:
            batch = torch.zeros(shape, dtype=torch.uint8, device=device)
        else:
            batch = np.zeros(shape, dtype=np.uint8)
        for row, image, width in zip(batch, images, widths, strict=True):
            row[:, :width] = image
    if not on_device:
        batch = torch.from_numpy(batch).to(device)
    return batch.permute(0, 3, 1, 2), None if same else torch.tensor(widths)
