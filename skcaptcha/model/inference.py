"""A trained network applied to batches of images."""

import numpy as np
import torch

from skcaptcha._device_errors import explain_device_errors, is_out_of_memory
from skcaptcha._threads import map_in_threads, start_computing
from skcaptcha.images._batches import MAX_COLUMNS, plan_batches
from skcaptcha.images._tensors import place_images
from skcaptcha.model.decoding import greedy_decode
from skcaptcha.model.normalization import make_padding
from skcaptcha.vocabulary import BLANK

# Images in a batch on a CPU, whose cache holds the maps of a few: pooling 64 of 40x160
# took 1.3 times as long as 32. With fewer than 8 the LSTMs are slower.
_CPU_BATCH_SIZE, _LEAST_BATCH_SIZE = 32, 8
# On a GPU, which has more to do at once; so many columns take about 2 GB.
_GPU_BATCH_SIZE, _GPU_MAX_COLUMNS = 512, 2**17


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


def run_network(network, images, batch_size=None, *, notices=None):
    """Yield positions, log-probabilities (T, N, K) and lengths (N,) of each batch.

    The network, a `CRNN` in evaluation mode or something that computes as one does,
    reads images (H, W_i, C), uint8, of its height. On the CPU as many threads as
    PyTorch is set to read a batch each. On a GPU a batch that fills its memory is
    halved; `notices`, a list, then gets a warning as (message, category).
    """
    device = find_device(network)
    n_threads = torch.get_num_threads() if device.type == "cpu" else 1
    if batch_size is None:
        batch_size = _choose_batch_size(len(images), n_threads, device)
    widths = [image.shape[1] for image in images]
    most = MAX_COLUMNS if device.type == "cpu" else _GPU_MAX_COLUMNS
    batches = list(plan_batches(widths, batch_size, most))

    def read(positions):
        return _read_in_parts(network, images, positions, device, notices)

    n_threads = n_threads if n_threads <= len(batches) else 1
    for parts in map_in_threads(read, batches, n_threads, start=start_computing):
        yield from parts


def find_device(network):
    """Return where a network computes; one without weights does so on the CPU."""
    weight = next(network.parameters(), None)
    return torch.device("cpu") if weight is None else weight.device


def _choose_batch_size(n_images, n_threads, device):
    """Return a size with which each thread gets a batch, and none is too small."""
    if device.type != "cpu":
        return _GPU_BATCH_SIZE
    return min(max(-(-n_images // n_threads), _LEAST_BATCH_SIZE), _CPU_BATCH_SIZE)


def _read_in_parts(network, images, positions, device, notices):
    """Return what `run_network` yields for a batch, which is halved as need be."""
    parts, read = [positions], []
    while parts:
        part = parts.pop(0)
        with explain_device_errors("reading"):
            found = _read_or_fill(network, [images[i] for i in part], device)
            if found is None:
                half, message = halve_batch(len(part))
        if found is None:
            parts = [part[:half], part[half:], *parts]
            if notices is not None:
                notices.append((message, UserWarning))
        else:
            read.append((part, *found))
    return read


def _read_or_fill(network, images, device):
    """Read a batch; return None if it fills the GPU's memory."""
    try:
        return _read_batch(network, images, device)
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
    return None  # out of `except`, as the error holds tensors


def _read_batch(network, images, device):
    batch, *widths = place_images(images, device)
    with torch.inference_mode(), torch.autocast(device.type, enabled=False):
        log_probs, lengths = network(batch, make_padding(batch, *widths))
    return log_probs[: lengths.max()].cpu().numpy(), lengths.numpy()


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
