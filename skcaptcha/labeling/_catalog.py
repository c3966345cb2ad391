"""The images of a folder, known by a number and never by what a browser sends."""

import hashlib
import io
import os
import threading
import zlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from skcaptcha.datasets._source import Folder, image_suffixes
from skcaptcha.images import read_image
from skcaptcha.labeling._table import fits_table

# Of larger images the page shows smaller ones; the reader sees them whole.
_MAX_SIDE = 1600
HELD_OUT_SHARE = 0.2


@dataclass(frozen=True)
class Item:
    """An image: its key in addresses, its name in the table, and its file."""

    key: str
    name: str
    path: str


class Catalog:
    """The images below a folder, looked up again when asked.

    Parameters
    ----------
    folder : path-like
        The folder, whose links are followed as far as they stay in it.
    table_dir : path-like
        Folder of the table, which the names in it are relative to.
    paths : list of str, default=None
        The images, if they are not simply all of the folder.
    background : str or tuple of int, default="white"
        Color behind transparent pixels.
    """

    def __init__(self, folder, table_dir, paths=None, *, background="white"):
        self.folder = os.path.realpath(folder)
        self.background = background
        self._table_dir = os.path.realpath(table_dir)
        self._paths = paths
        # Of images that are named one by one each may lie anywhere, but stays there.
        self._real = {path: os.path.realpath(path) for path in paths or ()}
        self._mutex = threading.Lock()
        self._items, self._by_key = {}, {}
        self.n_outside = self.n_unnamed = 0
        self.scan()

    def scan(self):
        """Look for files that were added or are gone; return the names of the new."""
        if self._paths is None:
            files = Folder(self.folder).files
            paths = [
                path
                for file, path in sorted(files.items(), key=lambda pair: str(pair[0]))
                if file.suffix.lower() in image_suffixes()
            ]
        else:
            paths = [path for path in self._paths if os.path.isfile(path)]
        items, folders, n_outside, n_unnamed = {}, {}, 0, 0
        for path in paths:
            name = self._name(path)
            if not self._is_inside(path, folders):
                n_outside += 1
            elif not fits_table(name):
                n_unnamed += 1
            else:
                items[name] = Item(self._make_key(name), name, path)
        with self._mutex:
            new = [name for name in items if name not in self._items]
            self._items = items
            self._by_key = {item.key: item for item in items.values()}
            self.n_outside, self.n_unnamed = n_outside, n_unnamed
        return new

    def items(self):
        """Return the images, a dict from names."""
        with self._mutex:
            return self._items

    def get(self, key):
        """Return the image of a key, or None."""
        with self._mutex:
            return self._by_key.get(key)

    def is_there(self, name):
        """Tell whether the file that the table names exists."""
        item = self.items().get(name)
        path = os.path.join(self._table_dir, name) if item is None else item.path
        return os.path.isfile(path)

    def canonical(self, name):
        """Return the name of an image as it stands here, however a table spells it."""
        items = self.items()
        if name in items:
            return name
        source = Folder(self._table_dir)
        found = source.find(name, self._table_dir) or source.find_elsewhere(name)
        known = None if found is None else self._name(found)
        return known if known in items else name

    def render(self, item):
        """Return an image as PNG, as the reader sees it.

        What a browser is sent was decoded here, so that it is an image and nothing
        else, whatever the file has become.

        Raises
        ------
        FileNotFoundError
            If the file is gone, or has become a link that leads elsewhere.
        ValueError
            If it is no image.
        """
        if not self._is_inside(item.path):
            raise FileNotFoundError(item.name)
        pixels = read_image(item.path, background=self.background)
        picture = Image.fromarray(pixels)
        picture.thumbnail((_MAX_SIDE, _MAX_SIDE))
        buffer = io.BytesIO()
        picture.save(buffer, "PNG", compress_level=1)
        return buffer.getvalue()

    def _name(self, path):
        """Return the name of a file in the table, with ``/`` on every system."""
        path = os.path.abspath(path)
        try:
            name = os.path.relpath(path, self._table_dir)
        except ValueError:  # another drive of Windows
            name = path
        return PurePosixPath(*Path(name).parts).as_posix()

    def _make_key(self, name):
        # Not that of an image of another folder, which the same browser has labeled.
        return hashlib.sha256(f"{self.folder}\0{name}".encode()).hexdigest()[:20]

    def _is_inside(self, path, folders=None):
        """Tell whether a file lies in the folder, where its links lead.

        `folders` is a dict in which real paths of folders are kept.
        """
        if self._paths is not None:
            return os.path.realpath(path) == self._real[path]
        folder = os.path.dirname(path)
        real = None if folders is None else folders.get(folder)
        if real is None:
            real = os.path.realpath(folder)
            if folders is not None:
                folders[folder] = real
        if os.path.islink(path):
            real = os.path.dirname(os.path.realpath(path))
        inside = os.path.join(self.folder, "")
        return os.path.join(real, "").startswith(inside)


def find_stamp(path):
    """Return what changes with the content of a file; None if it is gone."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


@lru_cache(maxsize=2**18)
def is_held_out(name, seed):
    """Tell whether an image is one of the fifth that tests what was learned.

    Chance alone decides, so that these images are like all others, and the same ones
    each time.
    """
    return zlib.crc32(f"{seed}/{name}".encode()) / 2**32 < HELD_OUT_SHARE


@lru_cache(maxsize=2**18)
def shuffle_value(name, seed):
    """Return a number by which names are put into a random order."""
    return zlib.crc32(f"order/{seed}/{name}".encode())


def group_looks(measures, n_groups=8, seed=0):
    """Return the group of each image, of those that look alike.

    Parameters
    ----------
    measures : ndarray of shape (n_images, n_measures)
        What each looks like.

    Returns
    -------
    ndarray of int of shape (n_images,)
        By k-means of the standardized measures.
    """
    from sklearn.cluster import MiniBatchKMeans

    measures = np.asarray(measures, float)
    spread = measures.std(axis=0)
    scaled = (measures - measures.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    n_groups = min(n_groups, len(np.unique(scaled.round(6), axis=0)))
    if n_groups < 2:
        return np.zeros(len(measures), int)
    model = MiniBatchKMeans(n_groups, n_init=3, random_state=seed, batch_size=1024)
    return model.fit_predict(scaled)
