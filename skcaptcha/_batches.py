"""Samples, batches of them, and a trained network's reading of batches."""

import mmap
import warnings
from dataclasses import dataclass

import numpy as np
import torch

__all__ = [
    "Samples",
    "halve_batch",
    "make_batches",
    "pad_images",
    "plan_batches",
    "run_network",
]

# Images that are read at once, and the most columns that they have in all.
_BATCH_SIZE, _COLUMNS = 64, 2**16
# Images that are sent to a device at once.
_AT_ONCE = 1000


@dataclass
class Samples:
    """Images of one height, uint8 of shape (H, W_i, C), and the symbols they show.

    The images are arrays, or tensors on the device of the network.
    """

    images: list
    targets: list
    mapping: mmap.mmap | None = None  # the file of which the images are views

    def pick(self, positions):
        """Return some of the samples."""
        return Samples(
            [self.images[i] for i in positions],
            [self.targets[i] for i in positions],
            self.mapping,
        )

    def put_on(self, device):
        """Return the samples with their images on a device.

        Parameters
        ----------
        device : torch.device
            Where the images go.

        Returns
        -------
        Samples
            The images are tensors.
        """
        images = []
        for first in range(0, len(self), _AT_ONCE):
            some = self.images[first : first + _AT_ONCE]
            flat = np.concatenate([image.ravel() for image in some])
            parts = torch.from_numpy(flat).to(device).split([i.size for i in some])
            images += [p.view(i.shape) for p, i in zip(parts, some, strict=True)]
            self.release()
        return Samples(images, self.targets)

    def release(self):
        """Let go of the memory of images that a file holds; it is read again."""
        if hasattr(self.mapping, "madvise"):  # Windows has none
            self.mapping.madvise(mmap.MADV_DONTNEED)

    def __len__(self):
        """Return the number of samples."""
        return len(self.images)


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


def plan_batches(widths, batch_size=_BATCH_SIZE):
    """Say which images are read together.

    Parameters
    ----------
    widths : list of int
        Width of each image.
    batch_size : int, default=64
        Images that are read at once; very wide ones are fewer.

    Yields
    ------
    list of int
        Positions of the images of a batch.
    """
    for group in make_batches(widths, batch_size):
        size = max(1, min(len(group), _COLUMNS // widths[group[-1]]))
        for start in range(0, len(group), size):
            yield group[start : start + size]


def halve_batch(size, stacklevel):
    """Return half the size of a batch for which the GPU has too little memory.

    Parameters
    ----------
    size : int
        Number of its images.
    stacklevel : int
        How far up the caller is whom the warning concerns.

    Returns
    -------
    int

    Raises
    ------
    MemoryError
        If the batch is a single image.

    Warns
    -----
    UserWarning
        In all other cases.
    """
    if size == 1:
        raise MemoryError(
            "The GPU has too little memory for a single image. Cut wide images to "
            "their text, set a smaller `image_height` or smaller `conv_channels`, end "
            "what else runs on the GPU, or set device='cpu'."
        )
    torch.cuda.empty_cache()  # of pieces that are too small for half the batch
    half = (size + 1) // 2
    warnings.warn(
        f"The GPU has too little memory for {size} images at once; they are worked "
        f"off {half} at a time. A smaller `image_height` takes less of it.",
        stacklevel=stacklevel,
    )
    return half


def run_network(network, images, batch_size=_BATCH_SIZE):
    """Read images with a trained network.

    Parameters
    ----------
    network : CRNN
        In evaluation mode.
    images : list of ndarray of shape (H, W_i, C), uint8
        Images of the height that the network reads.
    batch_size : int, default=64
        Images that are read at once; very wide ones are fewer, and so are all where a
        GPU has too little memory.

    Yields
    ------
    positions : list of int
        Positions in `images` of the samples of a batch.
    log_probs : ndarray of shape (T, N, K)
        Log-probabilities of the classes in each time step.
    lengths : ndarray of shape (N,)
        Time steps that belong to each image.
    """
    for positions in plan_batches([image.shape[1] for image in images], batch_size):
        yield from _read_batch(network, images, positions)


def _read_batch(network, images, positions):
    """Yield what `run_network` does, in halves where a GPU has too little memory."""
    try:
        batch, widths = pad_images(
            [images[i] for i in positions], next(network.parameters()).device
        )
        with torch.inference_mode():
            log_probs, lengths = network(batch, widths)
        found = positions, log_probs.cpu().numpy(), lengths.numpy()
    except torch.OutOfMemoryError:
        found = None
    if found is not None:
        yield found
    else:
        half = halve_batch(len(positions), stacklevel=8)
        yield from _read_batch(network, images, positions[:half])
        yield from _read_batch(network, images, positions[half:])
