"""From images to log-probabilities to texts, a few images at a time."""

import functools

from skcaptcha._sizing import prepare_image
from skcaptcha.decoding import beam_search, best_path, greedy_decode, restrict
from skcaptcha.images import read_images
from skcaptcha.vocabulary import BLANK

__all__ = ["find_texts", "iterate_frames", "make_search"]

# Images that are held decoded at a time.
_CHUNK = 512


def iterate_frames(run, items, *, background, n_jobs, **size):
    """Read images by the network.

    Parameters
    ----------
    run : callable
        What takes images of the size that the network reads, and yields as
        `run_network` does.
    items : list
        Images in any form that `read_images` takes.
    background, n_jobs
        As for `read_images`.
    **size
        As for `prepare_image`.

    Yields
    ------
    position : int
        Position in `items`, in any order.
    log_probs : ndarray of shape (T, K)
        Log-probabilities of the classes in each time step.
    """
    for first in range(0, len(items), _CHUNK):
        chunk = items[first : first + _CHUNK]
        images = [
            prepare_image(image, name=f"X[{i}]", **size)
            for i, image in enumerate(
                read_images(chunk, background=background, n_jobs=n_jobs, first=first),
                first,
            )
        ]
        for positions, log_probs, lengths in run(images):
            for column, position in enumerate(positions):
                yield first + position, log_probs[: lengths[column], column]


def make_search(decoder, beam_width, length):
    """Return the function that reads one image as `decoder` and `length` ask."""
    if decoder == "beam":
        return functools.partial(_read_by_beam, beam_width)
    return _read_greedily if length is None else best_path


def find_texts(frames, search, *, length=None, allowed=None):
    """Search for the text in the log-probabilities of each image.

    Parameters
    ----------
    frames : iterable of (int, ndarray of shape (T, K))
        What `iterate_frames` yields.
    search : callable
        What `make_search` returned, or of its kind.
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
            yield position, search(masked, length=length, blank=BLANK), log_probs
        except ValueError as error:
            raise ValueError(f"X[{position}]: {error}") from error


def _read_by_beam(beam_width, log_probs, *, length, blank):
    found = beam_search(log_probs, beam_width=beam_width, length=length, blank=blank)
    return found[0][0]


def _read_greedily(log_probs, *, length, blank):
    return greedy_decode(log_probs[:, None], [len(log_probs)], blank=blank)[0]
