"""Batches of images of similar width."""

import numpy as np

BATCH_SIZE = 64
"""Images in a batch that is read."""

# The most columns of all of them.
_MAX_COLUMNS = 2**16


def make_batches(widths, batch_size, generator=None):
    """Return lists of positions of samples of similar width, to save padding.

    A generator of PyTorch shuffles samples and batches; without one, batches are
    sorted by width.
    """
    n = len(widths)
    if generator is None:
        order, group = list(range(n)), n
    else:
        order, group = _shuffle(n, generator), 16 * batch_size
    batches = []
    for start in range(0, n, group):
        members = sorted(order[start : start + group], key=lambda i: widths[i])
        batches += [
            members[k : k + batch_size] for k in range(0, len(members), batch_size)
        ]
    if generator is not None:
        batches = [batches[i] for i in _shuffle(len(batches), generator)]
    return batches


def _shuffle(n, generator):
    import torch

    return torch.randperm(n, generator=generator, device="cpu").tolist()


def plan_batches(widths, batch_size=BATCH_SIZE):
    """Yield the positions of the images of each batch; wide images get smaller ones."""
    for group in make_batches(widths, batch_size):
        size = max(1, min(len(group), _MAX_COLUMNS // widths[group[-1]]))
        for start in range(0, len(group), size):
            yield group[start : start + size]


def stack_images(images):
    """Stack images (H, W_i, C), uint8, to an array (N, H, W, C), padded on the right.

    Also returns their widths (N,).
    """
    widths = np.array([image.shape[1] for image in images], np.int64)
    height, _, channels = images[0].shape
    batch = np.zeros((len(images), height, widths.max(), channels), np.uint8)
    for row, image, width in zip(batch, images, widths.tolist(), strict=True):
        row[:, :width] = image
    return batch, widths


def pad_images(images, device):
    """Stack images (H, W_i, C), uint8, to a tensor (N, C, H, W) on a device.

    They are padded on the right. The images are arrays, or tensors on that device.
    Also returns their widths (N,), or None if all are equal.
    """
    import torch

    widths = [image.shape[1] for image in images]
    same = min(widths) == max(widths)
    if not isinstance(images[0], torch.Tensor):
        batch = torch.from_numpy(stack_images(images)[0]).to(device)
    elif same:
        batch = torch.stack(images)
    else:
        height, _, channels = images[0].shape
        shape = (len(images), height, max(widths), channels)
        batch = torch.zeros(shape, dtype=torch.uint8, device=device)
        for row, image, width in zip(batch, images, widths, strict=True):
            row[:, :width] = image
    batch = batch.permute(0, 3, 1, 2)
    if same:
        return batch, None
    return batch, torch.tensor(widths, dtype=torch.int64, device="cpu")
