"""The same images in every form that X may have."""

import io
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image


def open_images(paths):
    """Open the images of files, as PIL images."""
    return [Image.open(io.BytesIO(path.read_bytes())) for path in map(Path, paths)]


def read_bytes(paths):
    """Read files whole."""
    return [Path(path).read_bytes() for path in paths]


def object_array(items):
    """Return an array of any objects."""
    array = np.empty(len(items), dtype=object)
    array[:] = items
    return array


def shuffled_series(items):
    """Return a Series whose index says nothing of the position."""
    return pd.Series(items, index=np.random.default_rng(0).permutation(len(items)))


FORMS = {
    "paths": lambda paths: [Path(path) for path in paths],
    "str": list,
    "tuple": tuple,
    "array of str": np.array,
    "array of paths": object_array,
    "series": pd.Series,
    "shuffled series": shuffled_series,
    "bytes": read_bytes,
    "array of bytes": lambda paths: object_array(read_bytes(paths)),
    "series of bytes": lambda paths: shuffled_series(read_bytes(paths)),
    "PIL": open_images,
    "arrays": lambda paths: list(map(np.asarray, open_images(paths))),
    "stack": lambda paths: np.stack(open_images(paths)),
    "colors": lambda paths: [np.dstack([image] * 3) for image in open_images(paths)],
    "floats": lambda paths: [np.asarray(image) / 255 for image in open_images(paths)],
    "mixed": lambda paths: [Path(paths[0]), paths[1], *read_bytes(paths[2:])],
}
"""Functions that make, of the paths of grayscale images (str), each form of X."""
