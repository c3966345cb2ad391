"""Batches of images of similar width."""

import numpy as np

BATCH_SIZE = 64
"""Images in a batch that is read."""

MAX_COLUMNS = 2**16
"""The most columns of all of them."""


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


def plan_batches(widths, batch_size=BATCH_SIZE, max_columns=MAX_COLUMNS):
    """Yield the positions of the images of each batch; wide images get smaller ones."""
    for group in make_batches(widths, batch_size):
        size = max(1, min(len(group), max_columns // widths[group[-1]]))
        for start in range(0, len(group), size):
            yield group[start : start + size]


def stack_images(images, width=None):
    """Stack images (H, W_i, C), uint8, to an array (N, H, W, C), padded on the right.

    W is that of the widest unless `width` is given. Also returns their widths (N,).
    """
    widths = np.array([image.shape[1] for image in images], np.int64)
    height, _, channels = images[0].shape
    shape = (len(images), height, width or widths.max(), channels)
    batch = np.zeros(shape, np.uint8)
    for row, image, own in zip(batch, images, widths.tolist(), strict=True):
        row[:, :own] = image
    return batch, widths
