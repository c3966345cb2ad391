"""A trained network's reading of batches of images."""

import numpy as np
import torch

from skcaptcha.images._batches import make_batches, pad_images
from skcaptcha.model.decoding import greedy_decode
from skcaptcha.vocabulary import BLANK

__all__ = ["greedy_and_count", "halve_batch", "plan_batches", "run_network"]

# Images that are read at once, and the most columns that they have in all.
_BATCH_SIZE, _COLUMNS = 64, 2**16


def plan_batches(widths, batch_size=_BATCH_SIZE):
    """Yield the positions of images that are read together, given their widths.

    Very wide images come in smaller batches.
    """
    for group in make_batches(widths, batch_size):
        size = max(1, min(len(group), _COLUMNS // widths[group[-1]]))
        for start in range(0, len(group), size):
            yield group[start : start + size]


def halve_batch(size):
    """Return half the size of a batch for which the GPU has too little memory.

    Parameters
    ----------
    size : int
        Number of its images.

    Returns
    -------
    half : int
    message : str
        What to tell the user.

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
        f"The GPU has too little memory for {size} images at once; they are computed "
        f"{half} at a time. A smaller `image_height` takes less of it."
    )


def run_network(network, images, batch_size=_BATCH_SIZE, *, notices=None):
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
    notices : list, optional
        Gets a (message, category) to warn of for each batch that was too large.

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
        waiting = [positions]
        while waiting:
            part = waiting.pop(0)
            try:
                found = _read_batch(network, [images[i] for i in part])
            except torch.OutOfMemoryError:
                found = None
            if found is None:  # the error is gone, and with it the tensors it held
                half, message = halve_batch(len(part))
                waiting = [part[:half], part[half:], *waiting]
                if notices is not None:
                    notices.append((message, UserWarning))
            else:
                yield part, *found


def _read_batch(network, images):
    batch, widths = pad_images(images, next(network.parameters()).device)
    with torch.inference_mode():
        log_probs, lengths = network(batch, widths)
    return log_probs.cpu().numpy(), lengths.numpy()


def greedy_and_count(network, samples, notices=None):
    """Read samples by the best path, and count what is right.

    Parameters
    ----------
    network : CRNN
        In evaluation mode.
    samples : Samples
        Images and their symbols.
    notices : list, optional
        As for `run_network`.

    Yields
    ------
    log_probs : ndarray of shape (T, N, K)
        Log-probabilities of a batch.
    lengths : ndarray of shape (N,)
        Its time steps.
    texts : list of N ndarray of int
        The symbols that were read.
    n_right : int
        Number of samples that were read right.
    """
    read = run_network(network, samples.images, notices=notices)
    for positions, log_probs, lengths in read:
        texts = greedy_decode(log_probs, lengths, blank=BLANK)
        n_right = sum(
            np.array_equal(text, samples.targets[i])
            for text, i in zip(texts, positions, strict=True)
        )
        yield log_probs, lengths, texts, n_right
