"""A trained network's reading of batches of images."""

import warnings

import torch

from skcaptcha.images._batches import make_batches, pad_images

__all__ = ["halve_batch", "plan_batches", "run_network"]

# Images that are read at once, and the most columns that they have in all.
_BATCH_SIZE, _COLUMNS = 64, 2**16


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


def halve_batch(size):
    """Halve a batch for which the GPU has too little memory.

    Parameters
    ----------
    size : int
        Number of its images.

    Returns
    -------
    half : int
    message : str
        What to warn of.

    Raises
    ------
    MemoryError
        If the batch is a single image.
    """
    if size == 1:
        raise MemoryError(
            "The GPU has too little memory for a single image. Cut wide images to "
            "their text, set a smaller `image_height` or smaller `conv_channels`, end "
            "what else runs on the GPU, or set device='cpu'."
        )
    torch.cuda.empty_cache()  # of pieces that are too small for half the batch
    half = (size + 1) // 2
    return half, (
        f"The GPU has too little memory for {size} images at once; they are worked "
        f"off {half} at a time. A smaller `image_height` takes less of it."
    )


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
        half, message = halve_batch(len(positions))
        warnings.warn(message, stacklevel=7)
        yield from _read_batch(network, images, positions[:half])
        yield from _read_batch(network, images, positions[half:])
