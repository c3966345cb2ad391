"""A trained network applied to batches of images."""

import numpy as np
import torch

from skcaptcha._torch_compat import OutOfMemoryError
from skcaptcha.images._batches import make_batches, pad_images
from skcaptcha.model.decoding import greedy_decode
from skcaptcha.vocabulary import BLANK

# Images in a batch, and the most columns of all of them.
_BATCH_SIZE, _MAX_COLUMNS = 64, 2**16


def plan_batches(widths, batch_size=_BATCH_SIZE):
    """Yield the positions of the images of each batch; wide images get smaller ones."""
    for group in make_batches(widths, batch_size):
        size = max(1, min(len(group), _MAX_COLUMNS // widths[group[-1]]))
        for start in range(0, len(group), size):
            yield group[start : start + size]


def halve_batch(size):
    """Return half the size of a batch that fills the GPU's memory, and a warning.

    A MemoryError is raised if the batch is a single image.
    """
    if size == 1:
        raise MemoryError(
            "The GPU has too little memory for a single image. Cut wide images to "
            "their text, set a smaller `image_height` or smaller `conv_channels`, stop "
            "other programs on the GPU, or set device='cpu'."
        )
    torch.cuda.empty_cache()  # its pieces may be too small for half the batch
    half = (size + 1) // 2
    return half, (
        f"The GPU has too little memory for {size} images at once; they are computed "
        f"{half} at a time. A smaller `image_height` takes less of it."
    )


def run_network(network, images, batch_size=_BATCH_SIZE, *, notices=None):
    """Yield positions, log-probabilities (T, N, K) and lengths (N,) of each batch.

    The network is in evaluation mode, and the images (H, W_i, C), uint8, have its
    height. A batch that fills the GPU's memory is halved; `notices`, a list, then gets
    a warning as (message, category).
    """
    for positions in plan_batches([image.shape[1] for image in images], batch_size):
        parts = [positions]
        while parts:
            part = parts.pop(0)
            try:
                found = _read_batch(network, [images[i] for i in part])
            except OutOfMemoryError:
                found = None
            if found is None:  # out of `except`, as the error holds tensors
                half, message = halve_batch(len(part))
                parts = [part[:half], part[half:], *parts]
                if notices is not None:
                    notices.append((message, UserWarning))
            else:
                yield part, *found


def _read_batch(network, images):
    device = next(network.parameters()).device
    batch, widths = pad_images(images, device)
    with torch.inference_mode(), torch.autocast(device.type, enabled=False):
        log_probs, lengths = network(batch, widths)
    return log_probs.cpu().numpy(), lengths.numpy()


def greedy_and_count(network, samples, notices=None):
    """Yield log-probabilities, lengths, symbols and number of right texts by batch."""
    batches = run_network(network, samples.images, notices=notices)
    for positions, log_probs, lengths in batches:
        texts = greedy_decode(log_probs, lengths, blank=BLANK)
        n_right = sum(
            np.array_equal(text, samples.targets[i])
            for text, i in zip(texts, positions, strict=True)
        )
        yield log_probs, lengths, texts, n_right
