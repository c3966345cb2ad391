"""Images resized for training, in memory or in a temporary file."""

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
from skcaptcha.images._decode import name_item
from skcaptcha.images._likeness import measure_image
from skcaptcha.images._prepare import measure_ink, prepare_image
from skcaptcha.images._read import has_color, is_error, iterate_images
from skcaptcha.images._tensors import StoredImage

_MEGABYTE = 10**6
# Share of `cache_size` for images that stay decoded between scanning and resizing. The
# others are decoded twice.
_DECODED_SHARE = 0.5
# So many images show where the text is; of larger sets only some are measured.
_MAX_MEASURED = 1000
# Images to decode ahead while scanning; they may be large.
_AHEAD = 32
# Images that cannot be read, to name in an error.
_MAX_NAMED = 10
# Images to send to a device at once.
_AT_ONCE = 1000


@dataclass
class Samples:
    """Images of shape (H, W_i, C), uint8, arrays or stored, and their symbols."""

    images: list
    targets: list
    mapping: mmap.mmap | None = None  # the file that holds the images
    weights: np.ndarray | None = None  # float32, of the losses; None is all alike

    def pick(self, positions):
        """Return the samples at some positions."""
        images = [self.images[i] for i in positions]
        targets = [self.targets[i] for i in positions]
        weights = None if self.weights is None else self.weights[list(positions)]
        return Samples(images, targets, self.mapping, weights)

    def put_on(self, device):
        """Return the samples with their images in one tensor on a device."""
        height, _, channels = self.images[0].shape
        ends = np.cumsum([1, *(image.shape[1] for image in self.images)]).tolist()
        columns = torch.zeros(
            ends[-1], height, channels, dtype=torch.uint8, device=device
        )
        for first in range(0, len(self), _AT_ONCE):
            some = self.images[first : first + _AT_ONCE]
            flat = np.concatenate([image.transpose(1, 0, 2) for image in some])
            start = ends[first]
            columns[start : start + len(flat)] = torch.from_numpy(flat)
            self.release()
        images = [
            StoredImage(columns, start, image.shape)
            for start, image in zip(ends[:-1], self.images, strict=True)
        ]
        return Samples(images, self.targets, weights=self.weights)

    def release(self):
        """Free the memory of images in a file, which are read again when needed."""
        if hasattr(self.mapping, "madvise"):  # Windows has none
            self.mapping.madvise(mmap.MADV_DONTNEED)

    def __len__(self):
        """Return the number of samples."""
        return len(self.images)


@dataclass
class Scan:
    """Properties of the images before they are resized."""

    sizes: np.ndarray  # (n, 2), heights and widths
    colored: bool
    ink: np.ndarray  # (40,), mean of `measure_ink`
    measures: np.ndarray  # (n, 9), of `measure_image`
    decoded: list  # the first images, as many as fit


def scan_images(items, *, background, n_jobs, cache_size):
    """Return a `Scan` of the sizes, colors, ink and looks of images.

    `items`, `background` and `n_jobs` are as for `read_images`. Half of `cache_size`
    (in megabytes) may keep decoded images.
    """
    sizes, measures, decoded, ink, errors = [], [], [], [], []
    step = math.ceil(len(items) / _MAX_MEASURED)
    room = _DECODED_SHARE * cache_size * _MEGABYTE

    def scan(images):
        nonlocal room
        for image in images:
            if is_error(image):
                if isinstance(image.__cause__, MemoryError):
                    raise image
                errors.append(image)
                continue
            if len(sizes) % step == 0:
                ink.append(measure_ink(image))
            sizes.append(image.shape[:2])
            measures.append(measure_image(image))
            room -= image.nbytes
            if room >= 0:
                decoded.append(image)
            yield image

    with _explained_memory_errors(cache_size):
        images = iterate_images(
            items, background=background, n_jobs=n_jobs, ahead=_AHEAD, on_error="skip"
        )
        colored = has_color(scan(images))
        _raise_together(errors)
        ink = np.mean(ink, axis=0)
        return Scan(np.array(sizes), colored, ink, np.array(measures), decoded)


def _raise_together(errors):
    """Raise one error for all images that cannot be read, if any."""
    if len(errors) > 1:
        n_more = len(errors) - _MAX_NAMED
        more = [f"And {n_more} more."] if n_more > 0 else []
        raise type(errors[0])(" ".join([*map(str, errors[:_MAX_NAMED]), *more]))
    if errors:
        raise errors[0]


def load_samples(
    items, targets, decoded, input_size, *, background, n_jobs, cache_size
):
    """Read and resize images, and return them as `Samples` with their targets.

    The list `decoded` has the first images, and is emptied. `input_size` holds
    arguments of `prepare_image`. If the resized images take more than `cache_size`
    megabytes, they are in a file; a CacheError is raised if it cannot be written.
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
    """Add a remedy to a lack of memory."""
    try:
        yield
    except (MemoryError, ImageReadError) as error:
        if not isinstance(error.__cause__ or error, MemoryError):
            raise
        raise MemoryError(
            f"There is too little memory for cache_size={cache_size!r} megabytes of "
            f"training images{f' ({error})' if str(error) else ''}. Lower "
            "`cache_size`, so that more of them are kept in a temporary file; pass "
            "paths instead of arrays; shrink images that are very large."
        ) from error


def _consume(images):
    """Yield the images of a list, and drop each from it."""
    for position, image in enumerate(images):
        images[position] = None
        yield image


def _cache(images, cache_size):
    """Return images as a list, and the file that holds them or None."""
    kept, room = [], cache_size * _MEGABYTE
    for image in images:
        kept.append(image)
        room -= image.nbytes
        if room < 0:
            return _map_from_file(chain(_consume(kept), images), cache_size)
    return kept, None


def _map_from_file(images, cache_size):
    """Write images to a temporary file; return views of it, and its mapping.

    The system deletes the file with the last view, or when the process ends.
    """
    shapes = []
    with _explained_file_errors(cache_size):
        # Unbuffered, or else closing it would repeat a failed write.
        file = tempfile.TemporaryFile(prefix="skcaptcha-", buffering=0)
    with file:
        for image in images:
            shapes.append(image.shape)
            rest = memoryview(image).cast("B")
            with _explained_file_errors(cache_size):
                while rest:
                    rest = rest[file.write(rest) :]
        with _explained_file_errors(cache_size):
            mapping = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    flat = np.frombuffer(mapping, dtype=np.uint8)
    parts = np.split(flat, np.cumsum([math.prod(shape) for shape in shapes])[:-1])
    views = [part.reshape(s) for part, s in zip(parts, shapes, strict=True)]
    return views, mapping


@contextmanager
def _explained_file_errors(cache_size):
    """Add a remedy to an error of the temporary file."""
    try:
        yield
    except OSError as error:
        try:
            folder = repr(tempfile.gettempdir())
        except FileNotFoundError:  # no folder can be written to
            folder = "any folder"
        raise CacheError(
            f"The training images take more than cache_size={cache_size!r} megabytes, "
            f"and the temporary file for the rest cannot be written in {folder}: "
            f"{error.strerror or error}. Free space there, name another folder in the "
            "environment variable TMPDIR, or raise `cache_size` if there is memory."
        ) from error
