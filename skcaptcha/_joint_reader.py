"""Readers of few characters, and of the mean of two readers, for self-training."""

import math

import numpy as np
from scipy.special import logsumexp

from skcaptcha._base import merge_frames
from skcaptcha._exact_match import exact_match_score
from skcaptcha._frames import find_scales
from skcaptcha._reader import ReaderMixin
from skcaptcha._texts import find_texts, label_log_probability
from skcaptcha.images._read import is_error
from skcaptcha.vocabulary import BLANK, Vocabulary


class AlphabetReader(ReaderMixin):
    """Reads as a reader of more characters that knows which there may be.

    Their probabilities, to which those of the same letter in a case that the alphabet
    lacks are added, are made to sum to 1 at each time step. The confidence is the mean
    probability at all sizes, or that of `load_pretrained` if `calibrated`.
    """

    def __init__(self, reader, alphabet, *, calibrated=False):
        self.reader = reader
        self.vocabulary_ = Vocabulary(alphabet)
        self.decoder, self.beam_width = reader.decoder, reader.beam_width
        self.has_empty_labels_ = getattr(reader, "has_empty_labels_", False)
        self.scales_ = find_scales(reader) if calibrated else None
        self.sources = find_sources(reader.vocabulary_, self.vocabulary_)

    def iter_frames(self, X, **options):
        """Yield as `CaptchaRecognizer.iter_frames` does."""
        for position, frames in self.reader.iter_frames(X, **options):
            if not is_error(frames):
                frames = [merge_classes(one, self.sources) for one in frames]
            yield position, frames


class JointReader(ReaderMixin):
    """Reads by the mean probability of two readers, which know the same characters."""

    def __init__(self, first, second):
        self.readers = first, second
        self.vocabulary_ = first.vocabulary_
        self.decoder, self.beam_width = first.decoder, first.beam_width

    def iter_frames(self, X, **options):
        """Yield the frames of both, which count alike."""
        return merge_frames([r.iter_frames(X, **options) for r in self.readers])


def find_sources(known, alphabet):
    """Return the classes of `known` that stand for each class of `alphabet`.

    Both are vocabularies; the first class is the blank. A letter stands for itself and
    for that of the other case, if the alphabet lacks that one.
    """
    position = {c: i for i, c in enumerate(known.characters, start=1)}
    sources = [[BLANK]]
    for character in alphabet.characters:
        forms = {character} | ({character.swapcase()} - set(alphabet.characters))
        sources.append(sorted(position[c] for c in forms if c in position))
    return sources


def merge_classes(log_probs, sources):
    """Return log-probabilities (T, K') of classes that each sum some of (T, K)."""
    merged = np.full((len(log_probs), len(sources)), -np.inf)
    for column, classes in enumerate(sources):
        if classes:
            merged[:, column] = logsumexp(log_probs[:, classes], axis=1)
    return merged - logsumexp(merged, axis=1, keepdims=True)


def read_confidently(reader, items, length=None):
    """Return the text of each item and its confidence; None and 0 where none fits."""
    texts = np.full(len(items), None, dtype=object)
    confidence = np.zeros(len(items))
    if items:
        readings = reader.iter_readings(items, length=length, on_error="skip")
        for position, text, value, error in readings:
            if error is None:
                texts[position], confidence[position] = text, value
    return texts, confidence


def rate(reader, items, labels):
    """Return the share of labels that is read, and a score that tells more.

    That is the mean of the share and of the mean probability of the label.
    """
    n_right, probability = 0, 0.0
    for position, frames in reader.iter_frames(items):
        label = labels[position]
        n_right += exact_match_score([label], [find_texts(reader, frames)[0][0]])
        probability += math.exp(label_log_probability(reader, frames, label))
    share = n_right / len(items)
    return share, (share + probability / len(items)) / 2
