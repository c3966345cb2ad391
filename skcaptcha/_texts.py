"""From frames to texts: the most probable ones, and where their characters stand."""

from difflib import SequenceMatcher
from functools import partial

import numpy as np

from skcaptcha._frames import find_scales
from skcaptcha.model.decoding import (
    beam_search,
    best_path,
    forced_alignment,
    greedy_decode,
    rank_texts,
    restrict,
    sequence_log_probability,
)
from skcaptcha.vocabulary import BLANK

# Most of the sizes at which `load_pretrained` reads an image don't suit it, so that the
# mean probability of its text is far too low. Among the texts that were found it is
# right, at this temperature: of 500 drawings that no network had learned from 0.648
# were read, and the mean confidence is 0.644 (row pretrained_chosen of
# benchmarks/confidence.py).
_TEMPERATURE_OF_SIZES = 0.8


def find_texts(reader, frames, length=None, allowed=None, k=None, exact=False):
    """Return the best texts of an image with their log-probabilities.

    There are `k` of them, or one if `k` is None; without `exact` its log-probability
    may be None. `frames` has an array (T, K) of each network, `allowed` the symbols
    that a text may have.
    """
    decode = reader.vocabulary_.decode
    texts = _search(reader, frames, length, allowed, k, exact)[: k or 1]
    found = [(decode(symbols), value) for symbols, value in texts]
    if getattr(reader, "has_empty_labels_", False):
        return found
    # It has learned nothing of images without text, and would be sure of any noise.
    return [(text, value if text else -np.inf) for text, value in found]


def _search(reader, frames, length=None, allowed=None, k=None, exact=False):
    """Return the symbols of texts with their log-probabilities, best first.

    Of several arrays there are all texts that any of them is best read as.
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
            return _rank(reader, candidates, frames, length)
        return [(candidates[0], None)]
    if ranked is not None:
        return ranked[0]
    if not exact:
        return [(found[0], None)]
    lengths = [len(frames[0])]
    values = sequence_log_probability(frames[0][:, None], lengths, found, blank=BLANK)
    return list(zip(found, values, strict=True))


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


def locate_characters(reader, frames, text, width, length=None, allowed=None):
    """Return a list with (character, probability, left, right) of a text.

    `width` is that of the image; `frames`, `length` and `allowed` are those that
    `find_texts` has found the text with.
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
    if find_scales(reader) is not None:
        ranked = _search(reader, frames, length, allowed, exact=True)
        means[:, 0] = _share_characters(symbols, ranked)
    return [
        (
            reader.vocabulary_.decode([symbol]),
            min(float(probability), 1.0),
            round(left),
            round(right),
        )
        for symbol, (probability, left, right) in zip(symbols, means, strict=True)
    ]


def _share_characters(symbols, ranked):
    """Return of each symbol how probable the texts are that have it at its place."""
    shares = np.zeros(len(symbols))
    for others, value in ranked:
        matcher = SequenceMatcher(None, tuple(symbols), tuple(others), autojunk=False)
        for match in matcher.get_matching_blocks():
            shares[match.a : match.a + match.size] += np.exp(value)
    return shares


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
