"""Everything that reads: one mixin for all readers, over one method of each."""

from contextlib import closing
from functools import partial
from itertools import islice
from numbers import Integral

import numpy as np
from scipy.special import logsumexp

from skcaptcha._tables import is_table
from skcaptcha._validation import check_same_length, check_texts, issue_warnings
from skcaptcha.images._prepare import prepare_image
from skcaptcha.images._read import (
    collect,
    is_error,
    iterate_images,
)
from skcaptcha.metrics import exact_match_score
from skcaptcha.model.decoding import (
    beam_search,
    best_path,
    check_length,
    greedy_decode,
    rank_texts,
    restrict,
    sequence_log_probability,
)
from skcaptcha.vocabulary import BLANK

__all__ = ["ReaderMixin", "iterate_frames"]

# Images, already resized, that are sorted by width for the network at a time.
_CHUNK = 512


def iterate_frames(run, items, *, input_size, background, n_jobs, on_error):
    """Read images by a network.

    Parameters
    ----------
    run : callable
        Takes images of the size that the network reads, and yields as `run_network`.
    items : iterable
        Images in any form that `read_images` takes. Few of them are held at a time,
        each resized as soon as it is decoded; the next ones are decoded while the
        network reads, if there are several threads for that.
    input_size : dict
        `height`, `stretch`, `color_mode` and `rows` for `prepare_image`.
    background, n_jobs, on_error
        As for `read_images`.

    Yields
    ------
    position : int
        Position in `items`, in any order.
    frames : list of one ndarray of shape (T, K), or Exception
        Log-probabilities of the classes in each time step, or the error of an image
        that is skipped.
    """
    images = iterate_images(
        items,
        partial(prepare_image, **input_size),
        background=background,
        n_jobs=n_jobs,
        on_error=on_error,
    )
    first = 0
    with closing(images):
        while chunk := list(islice(images, _CHUNK)):
            good = []
            for i, image in enumerate(chunk):
                if is_error(image):
                    yield first + i, image
                else:
                    good.append(i)
            batches = run([chunk[i] for i in good]) if good else ()
            for positions, log_probs, lengths in batches:
                for column, position in enumerate(positions):
                    frames = log_probs[: lengths[column], column]
                    yield first + good[position], [frames]
            first += len(chunk)


class ReaderMixin:
    """Reading, for whatever yields the log-probabilities of images.

    A reader has `vocabulary_`, `decoder`, `beam_width` and a method `iter_frames`.
    """

    def predict(
        self,
        X,
        *,
        length=None,
        vocabulary=None,
        on_error="raise",
        return_confidence=False,
    ):
        """Read images.

        Parameters
        ----------
        X : iterable of images of length n_samples, or array of shape \
                (n_samples, n_features)
            Images in any form that `CaptchaRecognizer.fit` takes. A few hundred are
            read at a time, so that neither many paths nor a generator take much
            memory.
        length : int, tuple of int or dict, default=None
            Number of characters that each text has: a number, an inclusive range
            (min, max), or a mapping from each allowed number to its weight, by which
            texts are ranked.
        vocabulary : str or sequence of str, default=None
            Characters to which the texts are restricted, part of `vocabulary_`.
        on_error : {"raise", "skip"}, default="raise"
            What to do where an image cannot be read, or no text of an allowed length
            fits into it: raise the error, or continue without it. Each other text is
            where it would be.
        return_confidence : bool, default=False
            Whether to return the confidence as well, from the same run of the network.

        Returns
        -------
        texts : ndarray of shape (n_samples,), dtype object
            The texts, each a str; None for an image that was skipped.
        confidence : ndarray of shape (n_samples,)
            What `predict_confidence` returns. Only with ``return_confidence=True``.

        Raises
        ------
        NotFittedError
            If `fit` has not been called.
        ValueError
            If an image cannot be read, or no text of an allowed length fits into it.
            With ``on_error="skip"`` only for what concerns all images.
        TypeError
            If an image has a type that cannot be one.
        FileNotFoundError
            If the file of an image does not exist.

        Warns
        -----
        skcaptcha.exceptions.SkippedImageWarning
            If images were skipped; it says how many, and of the first ones why.
        UserWarning
            If a GPU has too little memory for a batch, which is then read in parts.
        """
        read, notices = self._read(
            X, length, vocabulary, on_error, exact=return_confidence
        )
        issue_warnings(notices)
        texts = np.array([texts and texts[0][0] for texts in read], dtype=object)
        return (texts, _list_confidence(read)) if return_confidence else texts

    def predict_confidence(self, X, *, length=None, vocabulary=None, on_error="raise"):
        """Return how probable the texts are that `predict` returns.

        Parameters
        ----------
        X, length, vocabulary, on_error
            As for `predict`.

        Returns
        -------
        ndarray of shape (n_samples,)
            The probability of each text under CTC, summed over its alignments, and
            the mean of these where several networks read together; NaN for an image
            that was skipped. Where `early_stopping` held samples out, it is calibrated
            on them. With `length` or `vocabulary` it is still that of the unrestricted
            network.
        """
        read, notices = self._read(X, length, vocabulary, on_error, exact=True)
        issue_warnings(notices)
        return _list_confidence(read)

    def predict_topk(self, X, k=5, *, length=None, vocabulary=None, on_error="raise"):
        """Return the most probable texts of each image.

        Parameters
        ----------
        X, length, vocabulary, on_error
            As for `predict`.
        k : int, default=5
            Number of texts.

        Returns
        -------
        list of list of (str, float)
            For each image up to `k` texts with their probabilities, best first, found
            by a beam search of width `beam_width`, or `k` if that is larger; None for
            an image that was skipped.
        """
        if not isinstance(k, Integral) or k < 1:
            raise ValueError(f"k={k!r}; pass an int of at least 1.")
        read, notices = self._read(X, length, vocabulary, on_error, k=k, exact=True)
        issue_warnings(notices)
        return [
            texts and [(text, float(np.exp(value))) for text, value in texts]
            for texts in read
        ]

    def iter_readings(
        self, X, *, length=None, vocabulary=None, on_error="raise", notices=None
    ):
        """Read images one after the other, each from one run of the network.

        Parameters
        ----------
        X, length, vocabulary, on_error
            As for `predict`.
        notices : list, optional
            Gets a (message, category) for what there is to warn of.

        Yields
        ------
        position : int
            Position in `X`. Images of a few hundred come in any order.
        text : str or None
            The text; None for an image that is skipped.
        confidence : float
            Its probability; NaN for an image that is skipped.
        error : Exception or None
            Why the image is skipped.
        """
        notices = [] if notices is None else notices
        for position, texts in self._iter_texts(
            X, length, vocabulary, on_error, notices, exact=True
        ):
            if is_error(texts):
                yield position, None, np.nan, texts
            else:
                (text, log_probability), *_ = texts
                yield position, text, float(np.exp(log_probability)), None

    def frame_log_proba(self, X, *, on_error="raise"):
        """Return what the network says of each time step.

        The functions of `skcaptcha.model.decoding` find texts in it in other ways.

        Parameters
        ----------
        X : iterable of images of length n_samples, or array of shape \
                (n_samples, n_features)
            As for `predict`.
        on_error : {"raise", "skip"}, default="raise"
            As for `predict`.

        Returns
        -------
        list of ndarray of shape (T, K)
            Log-probabilities for each image: class 0 is the blank, class i the
            character ``vocabulary_.characters[i - 1]``. T follows the width. None for
            an image that was skipped. Where several networks read together, a list of
            such arrays for each image, one a network.
        """
        notices = []
        found = self.iter_frames(X, on_error=on_error, notices=notices)
        values, skipped = collect(found)
        issue_warnings(notices + skipped)
        return [f[0] if f is not None and len(f) == 1 else f for f in values]

    def score(self, X, y):
        """Return the exact match: the share of images whose whole text is right.

        Parameters
        ----------
        X : iterable of images of length n_samples, or array of shape \
                (n_samples, n_features)
            As for `predict`.
        y : sequence of str of length n_samples
            The text that each image shows.

        Returns
        -------
        float
            Between 0 and 1.
        """
        texts, notices = check_texts(y, whole_floats=is_table(X))
        if hasattr(X, "__len__"):
            check_same_length(X, texts)
        read, more = self._read(X)
        check_same_length(read, texts)
        issue_warnings(notices + more)
        return exact_match_score(texts, [found[0][0] for found in read])

    def _read(
        self, X, length=None, vocabulary=None, on_error="raise", *, k=None, exact=False
    ):
        """Return the texts of each image, as `_iter_texts`, and what to warn of."""
        notices = []
        found = self._iter_texts(X, length, vocabulary, on_error, notices, k, exact)
        texts, skipped = collect(found)
        return texts, notices + skipped

    def _iter_texts(
        self, X, length, vocabulary, on_error, notices, k=None, exact=False
    ):
        """Yield positions and the best texts of each image, or its error.

        Texts come with their log-probabilities, best first: `k`, or else one; without
        `exact` its log-probability may be None.
        """
        frames_of_images = self.iter_frames(X, on_error=on_error, notices=notices)
        check_length(length)
        allowed = None if vocabulary is None else self._find_allowed(vocabulary)
        find = partial(
            _find_texts,
            search=_make_search(self.decoder, self.beam_width, length, k),
            allowed=allowed,
            length=length,
            k=k,
            exact=exact,
        )
        with closing(frames_of_images):
            for position, frames in frames_of_images:
                if is_error(frames):
                    yield position, frames
                    continue
                try:
                    texts = find(frames)
                except ValueError as error:
                    named = ValueError(f"X[{position}]: {error}")
                    if on_error == "raise":
                        raise named from error
                    yield position, named
                else:
                    decode = self.vocabulary_.decode
                    yield position, [(decode(text), value) for text, value in texts]

    def _find_allowed(self, vocabulary):
        try:
            return self.vocabulary_.indices(vocabulary)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"vocabulary={vocabulary!r}: name some of the characters of "
                f"`vocabulary_`, each once ({error})"
            ) from error


def _make_search(decoder, beam_width, length, k):
    """Return what finds the symbols in one image, or the `k` best with their scores."""
    if k is not None:
        width = max(beam_width, k)
        return partial(
            beam_search, beam_width=width, n_best=k, length=length, blank=BLANK
        )
    if decoder == "beam":
        return lambda log_probs: beam_search(
            log_probs, beam_width=beam_width, length=length, blank=BLANK
        )[0][0]
    if length is None:
        return lambda log_probs: greedy_decode(
            log_probs[:, None], [len(log_probs)], blank=BLANK
        )[0]
    return partial(best_path, length=length, blank=BLANK)


def _find_texts(frames, *, search, allowed, length, k, exact):
    """Return the best symbols of an image with their log-probabilities.

    Parameters
    ----------
    frames : list of ndarray of shape (T, K)
        Log-probabilities of the image by each network.
    search : callable
        What `_make_search` returned.
    allowed : ndarray of int or None
        Symbols that the text may have.
    length, k, exact
        As for the reader.

    Returns
    -------
    list of (sequence of int, float or None)
    """
    if exact or len(frames) > 1:
        frames = [_normalize(log_probs) for log_probs in frames]
    masked = frames
    if allowed is not None:
        masked = [restrict(log_probs, allowed, blank=BLANK) for log_probs in frames]
    found = [search(log_probs) for log_probs in masked]
    if len(frames) == 1:
        if k is not None:
            return found[0]
        if not exact:
            return [(found[0], None)]
        log_probability = sequence_log_probability(
            frames[0][:, None], [len(frames[0])], found, blank=BLANK
        )[0]
        return [(found[0], log_probability)]
    if k is not None:
        found = [symbols for best in found for symbols, _ in best]
    candidates = sorted({tuple(map(int, symbols)) for symbols in found})
    if len(candidates) == 1 and not exact:
        return [(candidates[0], None)]
    return rank_texts(candidates, frames, blank=BLANK, length=length)[: k or 1]


def _normalize(log_probs):
    """Make the probabilities of each time step sum to 1 as exactly as float64 does.

    Those of the network do so to seven digits, and the probabilities of all texts would
    sum to a little more than 1.
    """
    log_probs = log_probs.astype(np.float64)
    return log_probs - logsumexp(log_probs, axis=1, keepdims=True)


def _list_confidence(read):
    values = [np.nan if texts is None else texts[0][1] for texts in read]
    return np.exp(np.array(values, dtype=np.float64))
