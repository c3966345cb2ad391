"""From images to log-probabilities to texts, a few images at a time."""

import functools
from contextlib import closing
from itertools import islice

import numpy as np
from scipy.special import logsumexp

from skcaptcha._validation import check_same_length, check_texts, is_table
from skcaptcha.images._prepare import prepare_image
from skcaptcha.images._read import iterate_images
from skcaptcha.metrics import exact_match_score
from skcaptcha.model.decoding import beam_search, best_path, greedy_decode, restrict
from skcaptcha.vocabulary import BLANK

__all__ = [
    "collect",
    "find_texts",
    "iterate_frames",
    "make_search",
    "normalize_frames",
    "score_reading",
]

# Images, already resized, that are sorted by width for the network at a time.
_CHUNK = 512


def iterate_frames(run, items, skipped, *, background, n_jobs, **size):
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
    images = iterate_images(
        items,
        functools.partial(prepare_image, **size),
        background=background,
        n_jobs=n_jobs,
        skipped=skipped,
    )
    first = 0
    with closing(images):
        while chunk := list(islice(images, _CHUNK)):
            read = [i for i, image in enumerate(chunk) if image is not None]
            batches = run([chunk[i] for i in read]) if read else ()
            for positions, log_probs, lengths in batches:
                for column, position in enumerate(positions):
                    yield first + read[position], log_probs[: lengths[column], column]
            first += len(chunk)


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


def collect(found, make, skipped, *, missing=None, stacklevel=4):
    """Call a function with what was found in each image; return its results in order.

    Parameters
    ----------
    found : iterable of tuple
        The position of an image, every one from 0 on that was not skipped, and what
        was found.
    make : callable
        Takes what was found.
    skipped : Skipped
        The images that were skipped, of which a warning tells in the end.
    missing : object, default=None
        What stands in the place of these.
    stacklevel : int, default=4
        How far up the caller is whom the warning concerns.

    Returns
    -------
    list
    """
    values = []
    for position, *rest in found:
        values += [missing] * (position + 1 - len(values))
        values[position] = make(*rest)
    n_images = max([len(values) - 1, *skipped.reasons]) + 1
    values += [missing] * (n_images - len(values))
    skipped.warn(n_images, stacklevel=stacklevel)
    return values


def score_reading(read, X, y):
    """Return the exact match of what is read in images, for a method `score`.

    Parameters
    ----------
    read : callable
        Takes nothing and returns the texts that were read in `X`.
    X : iterable or array
        The images, which are only counted, and only where they have a length.
    y : sequence of str
        The text that each image shows.

    Returns
    -------
    float
    """
    texts = check_texts(y, whole_floats=is_table(X), stacklevel=4)
    if hasattr(X, "__len__"):
        check_same_length(X, texts)
    found = read()
    check_same_length(found, texts)
    return exact_match_score(texts, found)


def _read_by_beam(beam_width, log_probs, *, length, blank):
    found = beam_search(log_probs, beam_width=beam_width, length=length, blank=blank)
    return found[0][0]


def _read_greedily(log_probs, *, length, blank):
    return greedy_decode(log_probs[:, None], [len(log_probs)], blank=blank)[0]
