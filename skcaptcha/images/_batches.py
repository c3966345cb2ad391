"""Batches of images of similar width."""

import numpy as np
import torch


def make_batches(widths, batch_size, generator=None):
    """Return lists of positions of samples of similar width, to save padding.

    A generator shuffles samples and batches; without one, batches are sorted by width.
    """
    n = len(widths)
    if generator is None:
        order, group = list(range(n)), n
    else:
        order = torch.randperm(n, generator=generator, device="cpu").tolist()
        group = 16 * batch_size
    batches = []
    for start in range(0, n, group):
        members = sorted(order[start : start + group], key=lambda i: widths[i])
        batches += [
            members[k : k + batch_size] for k in range(0, len(members), batch_size)
        ]
    if generator is not None:
        order = torch.randperm(len(batches), generator=generator, device="cpu")
        batches = [batches[i] for i in order.tolist()]
    return batches


def pad_images(images, device):
    """Stack images (H, W_i, C), uint8, to a tensor (N, C, H, W) on a device.

    They are padded on the right. The images are arrays, or tensors on that device.
    Also returns their widths (N,), or None if all are equal.
    """
    widths = [image.shape[1] for image in images]
    same = min(widths) == max(widths)
    height, _, channels = images[0].shape
    shape = (len(images), height, max(widths), channels)
    on_device = isinstance(images[0], torch.Tensor)
    if on_device and same:
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
    batch = batch.permute(0, 3, 1, 2)
    if same:
        return batch, None
    return batch, torch.tensor(widths, dtype=torch.int64, device="cpu")
