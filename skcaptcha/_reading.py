"""From images to log-probabilities to texts, a few images at a time."""

import functools

import numpy as np
from scipy.special import logsumexp

from skcaptcha._batches import run_network
from skcaptcha._sizing import prepare_image
from skcaptcha.decoding import beam_search, best_path, greedy_decode, restrict
from skcaptcha.images import read_or_skip
from skcaptcha.vocabulary import BLANK

__all__ = ["find_texts", "iterate_frames", "make_search", "normalize_frames"]

# Images that are held decoded at a time.
_CHUNK = 512


def iterate_frames(network, items, skipped, *, background, n_jobs, **size):
    """Read images by the network.

    Parameters
    ----------
    network : CRNN
        In evaluation mode.
    items : list
        Images in any form that `read_images` takes.
    skipped : Skipped
        Gets the error of each image that cannot be read.
    background, n_jobs
        As for `read_images`.
    **size
        As for `prepare_image`.

    Yields
    ------
    position : int
        Position in `items`, in any order. Those that were skipped are left out.
    log_probs : ndarray of shape (T, K)
        Log-probabilities of the classes in each time step.
    """

    def prepare(image, name):
        return prepare_image(image, name=name, **size)

    for first in range(0, len(items), _CHUNK):
        images = read_or_skip(
            items[first : first + _CHUNK],
            skipped,
            background=background,
            n_jobs=n_jobs,
            first=first,
            then=prepare,
        )
        read = [i for i, image in enumerate(images) if image is not None]
        if not read:
            continue
        for positions, log_probs, lengths in run_network(
            network, [images[i] for i in read]
        ):
            for column, position in enumerate(positions):
                yield first + read[position], log_probs[: lengths[column], column]


def normalize_frames(frames):
    """Make the probabilities of each time step sum to 1 as exactly as float64 does.

    Those of the network do so to seven digits, and the probabilities of all texts would
    sum to a little more than 1.

    Parameters
    ----------
    frames : iterable of (int, ndarray of shape (T, K))
        What `iterate_frames` yields.

    Yields
    ------
    position : int
    log_probs : ndarray of shape (T, K)
    """
    for position, log_probs in frames:
        log_probs = log_probs.astype(np.float64)
        yield position, log_probs - logsumexp(log_probs, axis=1, keepdims=True)


def make_search(decoder, beam_width, length):
    """Return the function that reads one image as `decoder` and `length` ask."""
    if decoder == "beam":
        return functools.partial(_read_by_beam, beam_width)
    return _read_greedily if length is None else best_path


def find_texts(frames, search, skipped, *, length=None, allowed=None):
    """Search for the text in the log-probabilities of each image.

    Parameters
    ----------
    frames : iterable of (int, ndarray of shape (T, K))
        What `iterate_frames` yields.
    search : callable
        What `make_search` returned, or of its kind.
    skipped : Skipped
        Gets the error of each image in which no text of an allowed length fits.
    length : int, tuple of int or dict, optional
        Lengths that the texts may have.
    allowed : ndarray of int, optional
        Symbols that the texts may have.

    Yields
    ------
    position : int
    found : object
        What `search` returned.
    log_probs : ndarray of shape (T, K)
        The log-probabilities, unrestricted.
    """
    for position, log_probs in frames:
        masked = log_probs
        if allowed is not None:
            masked = restrict(log_probs, allowed, blank=BLANK)
        try:
            found = search(masked, length=length, blank=BLANK)
        except ValueError as error:
            named = ValueError(f"X[{position}]: {error}")
            if not skipped.add(position, named):
                raise named from error
        else:
            yield position, found, log_probs


def _read_by_beam(beam_width, log_probs, *, length, blank):
    found = beam_search(log_probs, beam_width=beam_width, length=length, blank=blank)
    return found[0][0]


def _read_greedily(log_probs, *, length, blank):
    return greedy_decode(log_probs[:, None], [len(log_probs)], blank=blank)[0]
