"""From labeled images to samples, which lie in memory or in a temporary file."""

import math
import mmap
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import chain

import numpy as np
import torch

from skcaptcha.exceptions import CacheError, ImageReadError
from skcaptcha.images._prepare import measure_ink, prepare_image
from skcaptcha.images._read import has_color, iterate_images, name_item

__all__ = ["Samples", "Scan", "load_samples", "scan_images"]

_MEGABYTE = 10**6
# Share of `cache_size` that keeps decoded images, from when they are scanned until
# they are resized. The others are decoded anew.
_DECODED = 0.5
# Images that tell where text stands; of more, every second or third and so on.
_ENOUGH = 1000
# Images that threads decode ahead, which are not resized yet and may be large.
_AHEAD = 32
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
        """Return the samples with their images as tensors on a device."""
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


@dataclass
class Scan:
    """What was seen of the images before they are resized."""

    sizes: np.ndarray  # (n, 2), heights and widths
    colored: bool
    ink: np.ndarray  # (40,), mean of `measure_ink`
    decoded: list  # the first images, as many as there was room for


def scan_images(items, *, background, n_jobs, cache_size):
    """Look at the sizes, colors and ink of images.

    Parameters
    ----------
    items : list
        Images in any form that `read_images` takes.
    background, n_jobs
        As for `read_images`.
    cache_size : float
        Megabytes, half of which may keep decoded images.

    Returns
    -------
    Scan
    """
    sizes, decoded, ink = [], [], []
    step = math.ceil(len(items) / _ENOUGH)
    room = _DECODED * cache_size * _MEGABYTE

    def note(images):
        nonlocal room
        for image in images:
            if len(sizes) % step == 0:
                ink.append(measure_ink(image))
            sizes.append(image.shape[:2])
            room -= image.nbytes
            if room >= 0:
                decoded.append(image)
            yield image

    with _explained_memory_errors(cache_size):
        images = iterate_images(
            items, background=background, n_jobs=n_jobs, ahead=_AHEAD
        )
        colored = has_color(note(images))
        return Scan(np.array(sizes), colored, np.mean(ink, axis=0), decoded)


def load_samples(
    items, targets, decoded, input_size, *, background, n_jobs, cache_size
):
    """Read images and resize them.

    Parameters
    ----------
    items, background, n_jobs
        As for `scan_images`.
    targets : list of ndarray of int
        The symbols that they show.
    decoded : list of ndarray
        The first images, decoded already. It is emptied on the way.
    input_size : dict
        `height`, `stretch`, `color_mode` and `rows` for `prepare_image`.
    cache_size : float
        Megabytes that the images may take in memory. Where the resized ones take more,
        they are mapped from a file.

    Returns
    -------
    Samples

    Raises
    ------
    CacheError
        If the file cannot be written.
    MemoryError
        If there is less memory than `cache_size` says.
    """
    prepare = partial(prepare_image, **input_size)

    def prepare_decoded():
        for position, image in enumerate(_consume(decoded)):
            yield prepare(image, name=name_item(f"X[{position}]", items[position]))

    n = len(decoded)
    others = iterate_images(
        items[n:], prepare, first=n, background=background, n_jobs=n_jobs
    )
    with _explained_memory_errors(cache_size):
        images, mapping = _cache(chain(prepare_decoded(), others), cache_size)
    return Samples(images, targets, mapping)


@contextmanager
def _explained_memory_errors(cache_size):
    """Say what to do where there is too little memory."""
    try:
        yield
    except (MemoryError, ImageReadError) as error:
        if not isinstance(error.__cause__ or error, MemoryError):
            raise
        raise MemoryError(
            f"There is too little memory for the training images, of which "
            f"cache_size={cache_size!r} megabytes may be kept there"
            f"{f' ({error})' if str(error) else ''}. Lower `cache_size`, and more of "
            "them wait in a temporary file; pass paths instead of arrays; shrink "
            "images that are very large."
        ) from error


def _consume(images):
    """Yield the images of a list, which keeps none of those that are done with."""
    for position, image in enumerate(images):
        images[position] = None
        yield image


def _cache(images, cache_size):
    """Return images as a list, and the file that they are mapped from or None."""
    kept, room = [], cache_size * _MEGABYTE
    for image in images:
        kept.append(image)
        room -= image.nbytes
        if room < 0:
            return _map_from_file(chain(_consume(kept), images), cache_size)
    return kept, None


def _map_from_file(images, cache_size):
    """Write images to a temporary file; return views of it, and it as a mapping.

    The file has no name, or loses it when the process ends in whatever way, so nothing
    has to be cleaned up: it is gone when the last of the views is.
    """
    shapes = []
    try:
        # Unbuffered, as closing it would else try once more to write what failed.
        file = tempfile.TemporaryFile(prefix="skcaptcha-", buffering=0)
    except OSError as error:
        raise _explain(error, cache_size) from error
    with file:
        for image in images:
            shapes.append(image.shape)
            rest = memoryview(image).cast("B")
            try:
                while rest:
                    rest = rest[file.write(rest) :]
            except OSError as error:
                raise _explain(error, cache_size) from error
        try:
            mapping = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except OSError as error:
            raise _explain(error, cache_size) from error
    flat = np.frombuffer(mapping, dtype=np.uint8)
    ends = np.cumsum([math.prod(shape) for shape in shapes])
    views = [
        flat[end - math.prod(shape) : end].reshape(shape)
        for end, shape in zip(ends, shapes, strict=True)
    ]
    return views, mapping


def _explain(error, cache_size):
    return CacheError(
        f"The training images take more than cache_size={cache_size!r} megabytes, and "
        f"the temporary file for the rest cannot be written in {_name_folder()}: "
        f"{error.strerror or error}. Make room there, name another folder in the "
        "environment variable TMPDIR, or raise `cache_size` if there is the memory."
    )


def _name_folder():
    try:
        return repr(tempfile.gettempdir())
    except FileNotFoundError:  # there is none that can be written to
        return "any folder"
