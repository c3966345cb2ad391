"""A trained network applied to batches of images."""

import numpy as np
import torch

from skcaptcha._device_errors import explain_device_errors, is_out_of_memory
from skcaptcha.images._batches import BATCH_SIZE, pad_images, plan_batches
from skcaptcha.model.decoding import greedy_decode
from skcaptcha.vocabulary import BLANK


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


def run_network(network, images, batch_size=BATCH_SIZE, *, notices=None):
    """Yield positions, log-probabilities (T, N, K) and lengths (N,) of each batch.

    The network is in evaluation mode, and the images (H, W_i, C), uint8, have its
    height. A batch that fills the GPU's memory is halved; `notices`, a list, then gets
    a warning as (message, category).
    """
    for positions in plan_batches([image.shape[1] for image in images], batch_size):
        parts = [positions]
        while parts:
            part = parts.pop(0)
            with explain_device_errors("reading"):
                found = _read_or_fill(network, [images[i] for i in part])
                if found is None:
                    half, message = halve_batch(len(part))
            if found is None:
                parts = [part[:half], part[half:], *parts]
                if notices is not None:
                    notices.append((message, UserWarning))
            else:
                yield part, *found


def _read_or_fill(network, images):
    """Read a batch; return None if it fills the GPU's memory."""
    try:
        return _read_batch(network, images)
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
    return None  # out of `except`, as the error holds tensors


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
