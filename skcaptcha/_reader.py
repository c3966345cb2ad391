"""The reading methods of all readers, over one method that yields frames."""

from contextlib import closing
from numbers import Integral

import numpy as np

from skcaptcha._exact_match import exact_match_score
from skcaptcha._parameters import MAX_BEAM_WIDTH
from skcaptcha._tables import is_table
from skcaptcha._texts import find_texts, locate_characters
from skcaptcha._validation import (
    check_same_length,
    check_texts,
    check_weights,
    issue_warnings,
)
from skcaptcha.images._decode import name_sample
from skcaptcha.images._likeness import SeenImages
from skcaptcha.images._read import collect, is_error
from skcaptcha.model.decoding import (
    check_length,
)


def check_fitted(reader):
    """Raise scikit-learn's NotFittedError unless a reader is fitted."""
    if not reader.__sklearn_is_fitted__():
        from sklearn.utils.validation import check_is_fitted  # no reader needs it

        check_is_fitted(reader)


def find_background(reader):
    """Return the color that shows through transparent pixels where a reader reads."""
    reader = getattr(reader, "reader", reader)  # that of few characters, of a pipeline
    reader = getattr(reader, "estimators_", [reader])[0]  # those of an ensemble
    reader = getattr(reader, "recognizer_", reader)  # that of a SelfTrainingRecognizer
    source = getattr(reader, "metadata", reader)  # that of an exported model
    return getattr(source, "background_", getattr(source, "background", "white"))


class ReaderMixin:
    """Reads by means of `iter_frames`, `vocabulary_`, `decoder` and `beam_width`."""

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
            Images in any form that `CaptchaRecognizer.fit` takes, or a generator of
            them. A few hundred are in memory at a time.
        length : int, tuple of int or dict, default=None
            Number of characters of each text: a number, an inclusive range (min, max),
            or a mapping from each allowed number to its weight, by which texts are
            ranked.
        vocabulary : str or sequence of str, default=None
            Characters that the texts may have, a part of `vocabulary_`.
        on_error : {"raise", "skip"}, default="raise"
            What to do where an image cannot be read or no text of an allowed length
            fits into it: raise the error, or put None in the place of its text.
        return_confidence : bool, default=False
            Whether to return the confidence, too, from the same run of the network.

        Returns
        -------
        texts : ndarray of shape (n_samples,), dtype object
            The texts, each a str; None for a skipped image.
        confidence : ndarray of shape (n_samples,)
            As from `predict_confidence`. Only with ``return_confidence=True``.

        Raises
        ------
        NotFittedError
            If `fit` has not been called.
        ValueError
            If an image cannot be read or no text of an allowed length fits into it,
            unless ``on_error="skip"``; or if an argument is not valid.
        TypeError
            If an image has a type that cannot be one.
        FileNotFoundError
            If the file of an image does not exist.

        Warns
        -----
        skcaptcha.exceptions.SkippedImageWarning
            If images were skipped: how many, and why the first ones were.
        skcaptcha.exceptions.UnlikeTrainingWarning
            If more than a tenth of the images are unlike the training images.
        UserWarning
            If a GPU has too little memory for a batch, which is then halved.
        """
        read, notices = self._read(
            X, length, vocabulary, on_error, exact=return_confidence
        )
        issue_warnings(notices)
        texts = np.array([texts and texts[0][0] for texts in read], dtype=object)
        return (texts, _list_confidence(read)) if return_confidence else texts

    def predict_confidence(self, X, *, length=None, vocabulary=None, on_error="raise"):
        """Return the probabilities of the texts that `predict` returns.

        Parameters
        ----------
        X, length, vocabulary, on_error
            As for `predict`.

        Returns
        -------
        ndarray of shape (n_samples,)
            The probability of each text under CTC, summed over its alignments and
            averaged over the networks of an ensemble; NaN for a skipped image. If
            `early_stopping` held out samples, it is calibrated on them. `length` and
            `vocabulary` do not change the probability of a text, except of
            `load_pretrained` without images, whose confidence is that among the texts
            that were found. An empty text has 0 unless the training labels had empty
            ones, as nothing was learned then of images without text.
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
        k : int, default=5, at most 10,000
            Number of texts.

        Returns
        -------
        list of list of (str, float)
            For each image up to `k` texts with their probabilities, best first, found
            by a beam search of width `beam_width`, or `k` if that is larger; None for
            a skipped image. An empty text keeps its place where its probability is 0,
            as `predict_confidence` says.
        """
        if not isinstance(k, Integral) or not 1 <= k <= MAX_BEAM_WIDTH:
            raise ValueError(f"k={k!r}; pass an int from 1 to {MAX_BEAM_WIDTH}.")
        read, notices = self._read(X, length, vocabulary, on_error, k=k, exact=True)
        issue_warnings(notices)
        return [
            texts and [(text, float(np.exp(value))) for text, value in texts]
            for texts in read
        ]

    def predict_characters(self, X, *, length=None, vocabulary=None, on_error="raise"):
        """Return each character that is read, its probability and where it stands.

        Parameters
        ----------
        X, length, vocabulary, on_error
            As for `predict`.

        Returns
        -------
        list of list of (str, float, int, int)
            For each image the characters of the text that `predict` returns, in their
            order: the character, its probability, and the columns of the image, from
            the first to the one after the last, of the time steps in which it was
            read. Its strokes may reach further. The probability is the greatest of
            these time steps; an ensemble averages all three. That of
            `load_pretrained` without images is the sum of the probabilities of the
            texts found that have the character at its place. None for a skipped image.
        """
        read, notices = self._read(X, length, vocabulary, on_error, widths={})
        issue_warnings(notices)
        return [found and found[1] for found in read]

    def iter_readings(
        self, X, *, length=None, vocabulary=None, on_error="raise", notices=None
    ):
        """Read images lazily, each in one run of the network.

        Parameters
        ----------
        X, length, vocabulary, on_error
            As for `predict`.
        notices : list, optional
            Receives warnings as (message, category).

        Yields
        ------
        position : int
            Position in `X`; within a few hundred images in any order.
        text : str or None
            The text; None for a skipped image.
        confidence : float
            Its probability; NaN for a skipped image.
        error : Exception or None
            The error of a skipped image.
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
        """Return the log-probabilities of the classes at each time step.

        `skcaptcha.model.decoding` has functions that decode them.

        Parameters
        ----------
        X, on_error
            As for `predict`.

        Returns
        -------
        list of ndarray of shape (T, K)
            Log-probabilities for each image: class 0 is the blank, class i the
            character ``vocabulary_.characters[i - 1]``. T depends on the width, which
            is not changed by `multi_scale` here. None for a skipped image. An ensemble
            returns a list of such arrays for each image, one from each network.
        """
        notices, seen = [], SeenImages.of(self)
        options = {"on_error": on_error, "notices": notices, "seen": seen}
        values, skipped = collect(self.iter_frames(X, multi_scale=False, **options))
        issue_warnings(notices + seen.describe() + skipped)
        return [f[0] if f is not None and len(f) == 1 else f for f in values]

    def score(self, X, y, sample_weight=None):
        """Return the exact match: the share of images whose whole text is right.

        Parameters
        ----------
        X
            As for `predict`.
        y : sequence of str of length n_samples
            The text that each image shows.
        sample_weight : array-like of shape (n_samples,), default=None
            How much each image counts, at least 0.

        Returns
        -------
        float
            Between 0 and 1.
        """
        texts, notices = check_texts(y, whole_floats=is_table(X))
        if hasattr(X, "__len__"):
            check_same_length(X, texts)
        weights = check_weights(sample_weight, len(texts))
        read, more = self._read(X)
        check_same_length(read, texts)
        issue_warnings(notices + more)
        read = [found[0][0] for found in read]
        return exact_match_score(texts, read, sample_weight=weights)

    def _read(self, X, length=None, vocabulary=None, on_error="raise", **options):
        """Return the texts of each image, as `_iter_texts` does, and warnings."""
        notices = []
        found = self._iter_texts(X, length, vocabulary, on_error, notices, **options)
        texts, skipped = collect(found)
        return texts, notices + skipped

    def _iter_texts(
        self,
        X,
        length,
        vocabulary,
        on_error,
        notices,
        k=None,
        exact=False,
        widths=None,
        seen=None,
    ):
        """Yield positions and texts, as `find_texts`, or the errors of images.

        With an empty dict as `widths` it yields pairs of the texts and of what
        `locate_characters` returns. A `SeenImages` that is passed is not described in
        `notices`.
        """
        counter = SeenImages.of(self) if seen is None else seen
        frames_of_images = self.iter_frames(
            X, on_error=on_error, notices=notices, widths=widths, seen=counter
        )
        check_length(length)
        allowed = None if vocabulary is None else self._find_allowed(vocabulary)
        with closing(frames_of_images):
            for position, frames in frames_of_images:
                if is_error(frames):
                    yield position, frames
                    continue
                try:
                    texts = find_texts(self, frames, length, allowed, k, exact)
                    if widths is not None:
                        width, text = widths.pop(position), texts[0][0]
                        found = locate_characters(
                            self, frames, text, width, length, allowed
                        )
                        texts = texts, found
                except ValueError as error:
                    named = ValueError(f"{_name(X, position)}: {error}")
                    if on_error == "raise":
                        raise named from error
                    yield position, named
                else:
                    yield position, texts
        if seen is None:
            notices += counter.describe()

    def _find_allowed(self, vocabulary):
        try:
            return self.vocabulary_.indices(vocabulary)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"vocabulary={vocabulary!r}: name some of the characters of "
                f"`vocabulary_`, each once ({error})"
            ) from error


def _name(X, position):
    """Return what to call an image, by its file where `X` still has that."""
    items = getattr(X, "iloc", X)
    # A generator has no items, and those of a dict have no positions.
    is_there = hasattr(items, "__getitem__") and not hasattr(X, "items")
    is_there = (is_there or items is not X) and not is_table(X)
    return name_sample(position, items[position] if is_there else None)


def _list_confidence(read):
    values = [np.nan if texts is None else texts[0][1] for texts in read]
    return np.exp(np.array(values, dtype=np.float64))
