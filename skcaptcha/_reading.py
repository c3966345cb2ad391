"""From images to log-probabilities to texts, a few images at a time."""

import functools
from contextlib import closing
from itertools import islice

from skcaptcha._sizing import prepare_image
from skcaptcha.decoding import beam_search, best_path, greedy_decode, restrict
from skcaptcha.images import iterate_images
from skcaptcha.vocabulary import BLANK

__all__ = ["find_texts", "in_order", "iterate_frames", "make_search"]

# Images, already resized, that are sorted by width for the network at a time.
_CHUNK = 512


def iterate_frames(run, items, *, background, n_jobs, **size):
    """Read images by the network.

    Parameters
    ----------
    run : callable
        What takes images of the size that the network reads, and yields as
        `run_network` does.
    items : iterable
        Images in any form that `read_images` takes. Few of them are held at a time,
        each resized as soon as it is decoded; the next ones are decoded while the
        network reads, if there are several threads for that.
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
    images = iterate_images(
        items,
        functools.partial(prepare_image, **size),
        background=background,
        n_jobs=n_jobs,
    )
    first = 0
    with closing(images):
        while chunk := list(islice(images, _CHUNK)):
            for positions, log_probs, lengths in run(chunk):
                for column, position in enumerate(positions):
                    yield first + position, log_probs[: lengths[column], column]
            first += len(chunk)


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


def in_order(found, make):
    """Call a function with what was found in each image; return its results in order.

    Parameters
    ----------
    found : iterable of tuple
        The position of an image, every one from 0 on, and what was found.
    make : callable
        Takes what was found.

    Returns
    -------
    list
    """
    values = []
    for position, *rest in found:
        values += [None] * (position + 1 - len(values))
        values[position] = make(*rest)
    return values


def _read_by_beam(beam_width, log_probs, *, length, blank):
    found = beam_search(log_probs, beam_width=beam_width, length=length, blank=blank)
    return found[0][0]


def _read_greedily(log_probs, *, length, blank):
    return greedy_decode(log_probs[:, None], [len(log_probs)], blank=blank)[0]
