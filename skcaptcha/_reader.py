"""The reading methods of all readers, over one method that yields frames."""

import math
from contextlib import closing
from functools import partial
from itertools import islice
from numbers import Integral

import numpy as np

from skcaptcha._exact_match import exact_match_score
from skcaptcha._parameters import MAX_BEAM_WIDTH
from skcaptcha._tables import is_table
from skcaptcha._validation import (
    check_same_length,
    check_texts,
    check_weights,
    issue_warnings,
)
from skcaptcha.images._likeness import SeenImages, measure_image
from skcaptcha.images._prepare import change_width, prepare_image
from skcaptcha.images._read import collect, is_error, iterate_images
from skcaptcha.model.decoding import (
    beam_search,
    best_path,
    check_length,
    forced_alignment,
    greedy_decode,
    rank_texts,
    restrict,
    sequence_log_probability,
)
from skcaptcha.vocabulary import BLANK

# Resized images to sort by width and to batch at a time.
_CHUNK = 512
# An image whose text is less probable is read again at so many times its width. In 19
# fits of ten sets these widths gained 0.8 points on average and lost 0.7 at most. What
# else was tried gained 0.0 to 0.9 and lost up to 3: widths beyond those that training
# distorts to, shifts by parts of a time step, other heights. benchmarks/ablation.py has
# rows of it, widths_*.
_SURE, _OTHER_WIDTHS = 0.95, (0.9, 1.06, 1.12)
# Most of the sizes at which `load_pretrained` reads an image don't suit it, so that the
# mean probability of its text is far too low. Among the texts that were found it is
# right, at this temperature: of 500 drawings that no network had learned from 0.634
# were read, and the mean confidence was 0.634 (benchmarks/confidence.py, pretrained_*).
_TEMPERATURE_OF_SIZES = 0.8


def iterate_frames(
    run,
    items,
    *,
    input_sizes,
    background,
    n_jobs,
    on_error,
    multi_scale=False,
    widths=None,
    seen=None,
):
    """Yield the position and the frames of each image, by one network.

    ``run(images)`` yields as `run_network` does, and `input_sizes` are arguments of
    `prepare_image`, at each of which an image is read; the others are as for
    `read_images`. The frames are a list of an array (T, K) for each size, or the
    exception of a skipped image. With `multi_scale` what is not read surely at a single
    size is read at more. Few images are in memory at a time, and threads decode the
    next ones while the network runs. The dict `widths` gets the number of columns of
    each image, by position, and `seen`, a `SeenImages`, the measures of all.
    """
    read = _read_twice if multi_scale and len(input_sizes) == 1 else _read_sizes
    measuring = seen is not None and seen.is_able

    def prepare(image, *, name):
        measures = measure_image(image) if measuring else None
        prepared = [prepare_image(image, **size, name=name) for size in input_sizes]
        return image.shape[1], measures, prepared

    images = iterate_images(
        items,
        prepare,
        background=background,
        n_jobs=n_jobs,
        on_error=on_error,
    )
    first = 0
    with closing(images):
        while chunk := list(islice(images, max(1, _CHUNK // len(input_sizes)))):
            good = []
            for i, image in enumerate(chunk):
                if is_error(image):
                    yield first + i, image
                    continue
                good.append(i)
                if widths is not None:
                    widths[first + i] = image[0]
            if good and measuring:
                seen.add([chunk[i][1] for i in good])
            if good:
                for position, frames in read(run, [chunk[i][2] for i in good]):
                    yield first + good[position], frames
            first += len(chunk)


def _read_twice(run, images):
    """Do as `_read_sizes` for images of one size; yield doubtful ones at several."""
    doubtful = {}
    for positions, log_probs, lengths in run([image for (image,) in images]):
        sure = _find_sure(log_probs, lengths)
        for column, position in enumerate(positions):
            frames = [log_probs[: lengths[column], column]]
            if sure[column]:
                yield position, frames
            else:
                doubtful[position] = frames
    if doubtful:
        positions = list(doubtful)
        again = [
            [change_width(images[i][0], factor) for factor in _OTHER_WIDTHS]
            for i in positions
        ]
        for i, frames in _read_sizes(run, again):
            yield positions[i], doubtful[positions[i]] + frames


def _find_sure(log_probs, lengths):
    """Tell of each image of a batch whether the text on its best path is probable.

    `log_probs` (T, N, K) and `lengths` (N,) are as `run_network` yields them.
    """
    is_frame = np.arange(len(log_probs))[:, None] < lengths
    found = np.where(is_frame, log_probs.max(axis=2), 0).sum(axis=0)
    rest = np.flatnonzero(found < math.log(_SURE))  # it has other paths as well
    if rest.size:
        log_probs, lengths = log_probs[:, rest], lengths[rest]
        texts = greedy_decode(log_probs, lengths, blank=BLANK)
        found[rest] = sequence_log_probability(log_probs, lengths, texts, blank=BLANK)
    return found >= math.log(_SURE)


def _read_sizes(run, images):
    """Yield the position and the frames of images that are there in several sizes."""
    found = [[] for _ in images]
    n_sizes = len(images[0])
    for size in range(n_sizes):
        for positions, log_probs, lengths in run([image[size] for image in images]):
            for column, position in enumerate(positions):
                found[position].append(log_probs[: lengths[column], column])
                if size == n_sizes - 1:
                    yield position, found[position]


def input_size_of(estimator):
    """Return the arguments of `prepare_image` for a fitted estimator."""
    return {
        "height": estimator.image_height_,
        "stretch": estimator.width_stretch_,
        "color_mode": estimator.color_mode_,
        "rows": estimator.text_rows_,
    }


def input_sizes_of(estimator):
    """Return the arguments of `prepare_image` for each size that images are read at."""
    size = input_size_of(estimator)
    scales = find_scales(estimator)
    if scales is None:
        return [size]
    return [size | {"height": height, "stretch": factor} for height, factor in scales]


def find_scales(reader):
    """Return the heights and factors of `load_pretrained`, None of other readers."""
    members = getattr(reader, "estimators_", [reader])
    return getattr(members[0], "scales_", None)


def check_fitted(reader):
    """Raise scikit-learn's NotFittedError unless a reader is fitted."""
    if not reader.__sklearn_is_fitted__():
        from sklearn.utils.validation import check_is_fitted  # no reader needs it

        check_is_fitted(reader)


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
            these time steps; an ensemble averages all three. None for a skipped image.
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
                        found = locate_characters(self, frames, text, width)
                        texts = texts, found
                except ValueError as error:
                    named = ValueError(f"X[{position}]: {error}")
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


def find_texts(reader, frames, length=None, allowed=None, k=None, exact=False):
    """Return the best texts of an image with their log-probabilities.

    There are `k` of them, or one if `k` is None; without `exact` its log-probability
    may be None. `frames` has an array (T, K) of each network, `allowed` the symbols
    that a text may have.
    """
    if exact or len(frames) > 1:
        frames = [_normalize(log_probs) for log_probs in frames]
    masked = frames
    if allowed is not None:
        masked = [restrict(log_probs, allowed, blank=BLANK) for log_probs in frames]
    if k is not None:
        width = max(reader.beam_width, k)
        search = {"beam_width": width, "n_best": k, "length": length, "blank": BLANK}
        ranked = _apply_where_it_fits(partial(beam_search, **search), masked)
        found = [symbols for best in ranked for symbols, _ in best]
    else:
        find = partial(_find_symbols, reader, length=length)
        ranked, found = None, _apply_where_it_fits(find, masked)
    if len(frames) > 1:
        candidates = _list_once(found)
        if len(candidates) > 1 or exact:
            texts = _rank(reader, candidates, frames, length)
        else:
            texts = [(candidates[0], None)]
    elif ranked is not None:
        texts = ranked[0]
    elif exact:
        lengths = [len(frames[0])]
        texts = zip(
            found,
            sequence_log_probability(frames[0][:, None], lengths, found, blank=BLANK),
            strict=True,
        )
    else:
        texts = [(found[0], None)]
    decode = reader.vocabulary_.decode
    found = [(decode(symbols), value) for symbols, value in texts][: k or 1]
    if getattr(reader, "has_empty_labels_", False):
        return found
    # It has learned nothing of images without text, and would be sure of any noise.
    return [(text, value if text else -np.inf) for text, value in found]


def _list_once(found):
    return sorted({tuple(map(int, symbols)) for symbols in found})


def _rank(reader, candidates, frames, length=None):
    """Return texts with their log-probabilities, best first.

    By a reader of many sizes these are among the candidates, with temperature scaling
    (C. Guo et al., "On Calibration of Modern Neural Networks", ICML 2017).
    """
    texts = rank_texts(candidates, frames, blank=BLANK, length=length)
    if find_scales(reader) is None:
        return texts
    values = np.array([value for _, value in texts]) / _TEMPERATURE_OF_SIZES
    values -= np.logaddexp.reduce(values)
    return [(text, float(v)) for (text, _), v in zip(texts, values, strict=True)]


def _apply_where_it_fits(find, frames):
    """Return what a decoder finds in the frames that a text of its length fits.

    Raises its ValueError if there are none.
    """
    found, errors = [], []
    for log_probs in frames:
        try:
            found.append(find(log_probs))
        except ValueError as error:
            errors.append(error)
    if not found:
        raise errors[0]
    return found


def label_log_probability(reader, frames, label):
    """Return the log-probability of a label, -inf where it has unknown characters.

    So has an empty one for a reader that never saw any. `frames` is as for
    `find_texts`.
    """
    vocabulary = reader.vocabulary_
    if not label and not getattr(reader, "has_empty_labels_", False):
        return -np.inf
    if not all(character in vocabulary for character in vocabulary.split(label)):
        return -np.inf
    frames = [_normalize(log_probs) for log_probs in frames]
    symbols = tuple(map(int, vocabulary.encode(label)))
    candidates = [symbols]
    if find_scales(reader) is not None:
        find = partial(_find_symbols, reader, length=None)
        candidates = _list_once([symbols, *map(find, frames)])
    return dict(_rank(reader, candidates, frames))[symbols]


def locate_characters(reader, frames, text, width):
    """Return a list with (character, probability, left, right) of a text.

    `frames` has an array (T, K) of each network, and `width` is that of the image.
    """
    symbols = reader.vocabulary_.encode(text)
    found = []
    for log_probs in frames:
        try:
            spans = forced_alignment(log_probs, symbols, blank=BLANK)
        except ValueError:  # another network has more time steps
            continue
        peaks = [
            np.exp(log_probs[first : last + 1, symbol].max())
            for symbol, (first, last) in zip(symbols, spans, strict=True)
        ]
        columns = (spans + [0, 1]) * width / len(log_probs)  # (L, 2)
        found.append(np.column_stack([peaks, columns]))
    means = np.mean(found, axis=0).reshape(-1, 3)
    return [
        (
            reader.vocabulary_.decode([symbol]),
            min(float(probability), 1.0),
            round(left),
            round(right),
        )
        for symbol, (probability, left, right) in zip(symbols, means, strict=True)
    ]


def _find_symbols(reader, log_probs, length):
    """Return the symbols that the decoder finds in the frames of one network."""
    if reader.decoder == "beam":
        width = reader.beam_width
        found = beam_search(log_probs, beam_width=width, length=length, blank=BLANK)
        return found[0][0]
    if length is None:
        return greedy_decode(log_probs[:, None], [len(log_probs)], blank=BLANK)[0]
    return best_path(log_probs, length=length, blank=BLANK)


def _normalize(log_probs):
    """Normalize in float64, as in float32 probabilities may sum to more than 1."""
    log_probs = log_probs.astype(np.float64)
    # SciPy's logsumexp takes three times as long for so few numbers.
    return log_probs - np.logaddexp.reduce(log_probs, axis=1, keepdims=True)


def _list_confidence(read):
    values = [np.nan if texts is None else texts[0][1] for texts in read]
    return np.exp(np.array(values, dtype=np.float64))
