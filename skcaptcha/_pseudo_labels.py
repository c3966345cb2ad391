"""Rounds of self-training: what to learn from unlabeled images, and how."""

import copy
import math
import sys
import warnings
from collections import Counter
from dataclasses import dataclass

import numpy as np
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

from skcaptcha._alphabet import find_alphabet, find_lengths
from skcaptcha._auto import choose_n_epochs
from skcaptcha._joint_reader import (
    AlphabetReader,
    JointReader,
    rate,
    read_confidently,
)
from skcaptcha._pretrained import leave_characters, list_characters, load_pretrained
from skcaptcha._tables import pick_rows
from skcaptcha._validation import count
from skcaptcha.ensemble import draw_seed
from skcaptcha.vocabulary import Vocabulary

# Texts that each of two networks learns from at the least. From fewer labels than for
# both the pretrained weights know more.
_MIN_TEXTS = 5
# Images from which the sizes are chosen at which the pretrained weights read all, and
# the number of these sizes.
_N_SCANNED, _N_SIZES = 100, 6
# Images that show which characters and lengths there are.
_N_SURVEYED = 300
# The pretrained weights read an image at several sizes, and some don't suit it, so that
# the mean probability is low: from 0.5 on, 93 of 100 texts were right, which were 69 of
# 100 images of seven sets. The calibrated confidence of `load_pretrained` takes in more
# texts and more errors: 300 drawn images taught 0.90 and not 0.97 (one fit each).
# On unusual letters the mean is lower still, though it ranks well: so many of the texts
# count in any case, and networks that learn from them then show whether they are
# consistent.
_PRETRAINED_POWER, _PRETRAINED_SHARE = 0.75, 0.25
# Updates of each of the two networks of a round: of the first, and of later ones, which
# continue from it.
_N_UPDATES, _N_MORE_UPDATES = 1250, 600
# How many labels, of all, a round may lose by chance.
_TOLERANCE = 1.0
# The pretrained weights and a network of the labels read together, unless one reads
# less than this share of what the other does.
_MIN_RATIO = 0.5
# Texts with each character that the network of the labels learns from at least, if so
# many are read with that confidence: what it never sees it reads as something else.
_MIN_SHOWN, _SURE_SHOWN = 3, 0.6
# Rounds in a row that bring nothing, after which there are no more.
_MOST_STALLED = 2
# Parameters of the recognizer that say how it reads.
_OF_READING = ("decoder", "beam_width", "multi_scale")
# Share of the texts that two networks must read alike, each taught the other half.
_MIN_AGREEMENT = 0.5


@dataclass
class Data:
    """The samples of a fit."""

    X: object  # list of images, or table
    items: list  # the images, those of a table as well
    labels: np.ndarray  # str, and None for an unlabeled sample
    table: dict  # attributes of `_tables.TABLE_ATTRIBUTES`

    def __post_init__(self):
        """Find the positions of the samples with a label and of those without."""
        missing = np.array([label is None for label in self.labels])
        self.labeled, self.unlabeled = np.flatnonzero(~missing), np.flatnonzero(missing)

    def pick(self, positions):
        """Return the images at some positions, for a reader."""
        return [self.items[i] for i in positions]


@dataclass
class Texts:
    """The texts to learn from, and the round that found each."""

    texts: np.ndarray  # None for a sample that is not learned from
    labeled_iter: np.ndarray  # 0 for a label, -1 for none

    @classmethod
    def of_labels(cls, data):
        """Return the labels alone."""
        return cls(data.labels, np.where(np.equal(data.labels, None), -1, 0))


@dataclass
class Reading:
    """What was read of the unlabeled images."""

    texts: np.ndarray
    confidence: np.ndarray


class SelfTraining:
    """Rounds of reading, in which networks learn what others have read.

    `params` is a `SelfTrainingRecognizer`, and `template` the recognizer to clone.
    After `run`, `n_iter`, `condition` and `scores` are what the attributes of the
    estimator say.
    """

    def __init__(self, params, template, data, rng):
        self.params, self.template, self.data, self.rng = params, template, data, rng
        self.alphabet, self.length, self.networks = None, params.length, None
        self.n_iter, self.condition, self.scores = 0, "max_iter", []
        # Most texts of a round, fewest that it changed, and rounds without either.
        self.most_texts, self.fewest_new, self.n_stalled = 0, math.inf, 0
        self.reading = {
            name: getattr(template, name)
            for name in ("background", "backend", "device", "n_jobs")
        }
        # Which of two networks learns from a sample: half of the labels each.
        self.folds = np.zeros(len(data.items), dtype=np.int64)
        for part in (data.labeled, data.unlabeled):
            self.folds[rng.permutation(part)] = np.arange(len(part)) % 2

    def run(self):
        """Return the `Texts` to learn from."""
        best, max_iter = Texts.of_labels(self.data), self.params.max_iter
        if not self.data.unlabeled.size:
            self.condition = "all_labeled"
        elif max_iter != 0:
            reading = self.read_first()
            while max_iter is None or self.n_iter < max_iter:
                self.n_iter += 1
                found = self.select(reading, best)
                if self.ends_with(found, best):
                    break
                if self.is_to_be_checked():
                    reading = self.cross_fit(found)
                    if self.condition != "max_iter":
                        break
                best = found
        return best

    def ends_with(self, found, best):
        """Tell whether there is nothing to learn from the texts of a round."""
        n_texts = np.count_nonzero(found.labeled_iter >= 0)
        n_new = np.count_nonzero(found.texts != best.texts)
        n_samples = len(found.texts)
        self.say(f"{n_texts} of {n_samples} images have a text, {n_new} another one")
        if n_texts == len(self.data.labeled) or not self.is_enough(found):
            is_first = self.n_iter == 1
            self.condition = "nothing_read" if is_first else "no_improvement"
        elif not n_new:
            self.condition = "all_labeled" if n_texts == n_samples else "no_change"
        elif self.is_stalled(n_texts, n_new) and self.params.max_iter is None:
            self.condition = "no_change"
        return self.condition != "max_iter"

    def is_stalled(self, n_texts, n_new):
        """Tell whether some rounds have neither found more texts nor changed fewer.

        Without a limit they would change the same doubtful texts again and again.
        """
        has_progressed = n_texts > self.most_texts or n_new < self.fewest_new
        self.n_stalled = 0 if has_progressed else self.n_stalled + 1
        self.most_texts = max(self.most_texts, n_texts)
        self.fewest_new = min(self.fewest_new, n_new)
        return self.n_stalled >= _MOST_STALLED

    def is_enough(self, found):
        """Tell whether two networks can each learn from half of the texts."""
        has_text = np.array([bool(text) for text in found.texts])
        return np.bincount(self.folds[has_text], minlength=2).min() >= _MIN_TEXTS

    def is_to_be_checked(self):
        """Tell whether networks learn from the texts of this round to check them."""
        is_last = self.n_iter == self.params.max_iter
        return self.n_iter == 1 or not is_last or self.data.labeled.size > 0

    def select(self, reading, before):
        """Return the labels, and the texts that are confident enough."""
        params, unlabeled = self.params, self.data.unlabeled
        chosen = np.array([bool(text) for text in reading.texts])
        if params.criterion == "threshold":
            chosen &= reading.confidence >= params.threshold
        else:
            order = np.argsort(-reading.confidence, kind="stable")
            chosen[order[self.n_iter * params.k_best :]] = False
        texts, labeled_iter = before.texts.copy(), before.labeled_iter.copy()
        texts[unlabeled] = np.where(chosen, reading.texts, None)
        changed = texts != before.texts
        labeled_iter[changed] = self.n_iter
        labeled_iter[np.equal(texts, None)] = -1
        return Texts(texts, labeled_iter)

    # ---- the first reading -------------------------------------------------------

    def read_first(self):
        """Return what the pretrained weights read, a network of the labels, or both."""
        data = self.data
        some = data.pick(self.rng.permutation(data.unlabeled)[:_N_SCANNED])
        pretrained = self.load_pretrained(some, _N_SIZES)
        self.survey(pretrained)
        reader = AlphabetReader(pretrained, self.alphabet)
        share, score = 0.0, None
        if data.labeled.size:
            images, labels = data.pick(data.labeled), data.labels[data.labeled]
            share, score = rate(reader, images, labels)
            self.say(f"the pretrained weights read {share:.3f} of the labels")
        if self.is_enough(Texts.of_labels(data)):
            found = self.cover_alphabet(reader)
            self.fit_networks(found)
            of_labels, score = self.rate_networks()
            self.say(f"two networks, of half of them each, read {of_labels:.3f}")
            self.networks = None  # as they know the few labels by heart
            if max(share, of_labels) > 0:
                reader = self.choose_reader(reader, found, share, of_labels)
        if score is not None:
            self.scores.append(score)
        return self.read_by(reader)

    def load_pretrained(self, images, n_sizes):
        """Return the pretrained weights at sizes that suit some images."""
        shown, labels = set(), self.data.labels[self.data.labeled]
        if self.template.vocabulary is not None:
            shown = set(Vocabulary(self.template.vocabulary))
        elif len(labels) >= 2 * _MIN_TEXTS:
            shown = {c for label in labels for c in Vocabulary.split(label)}
        shown = sorted(shown.intersection(list_characters()))
        return load_pretrained(
            images, n_sizes=n_sizes, vocabulary=shown or None, **self.reading
        )

    def cover_alphabet(self, pretrained):
        """Return the labels, and texts that show characters of which they have few.

        The latter are those that the pretrained weights read most surely.
        """
        data, found = self.data, Texts.of_labels(self.data)
        labels = data.labels[data.labeled]
        shown = Counter(c for label in labels for c in set(Vocabulary.split(label)))

        def is_rare(character):
            return shown[character] < _MIN_SHOWN

        if not any(map(is_rare, pretrained.vocabulary_.characters)):
            return found
        some = self.rng.permutation(data.unlabeled)[:_N_SURVEYED]
        read, confidence = read_confidently(pretrained, data.pick(some), self.length)
        confidence **= _PRETRAINED_POWER
        texts, n_more = data.labels.copy(), 0
        for k in np.argsort(-confidence, kind="stable"):
            characters = set(Vocabulary.split(read[k] or ""))
            if confidence[k] >= _SURE_SHOWN and any(map(is_rare, characters)):
                texts[some[k]] = read[k]
                shown.update(characters)
                n_more += 1
        self.say(f"{n_more} texts that are read surely show what labels lack")
        return Texts(texts, found.labeled_iter)

    def choose_reader(self, pretrained, found, share, of_labels):
        """Return the pretrained weights, a network of the texts, or both together.

        `share` and `of_labels` are the shares of labels that they read, the latter by
        networks that have learned from half of the texts.
        """
        if of_labels < _MIN_RATIO * share:
            return pretrained
        positions = np.flatnonzero(~np.equal(found.texts, None))
        network = self.fit_part(positions, found.texts[positions], None)
        if share < _MIN_RATIO * of_labels:
            return network
        return JointReader(pretrained, network)

    def read_by(self, reader):
        """Return what the pretrained weights read, or what has its place."""
        images = self.data.pick(self.data.unlabeled)
        texts, confidence = read_confidently(reader, images, self.length)
        if isinstance(reader, (AlphabetReader, JointReader)):
            confidence **= _PRETRAINED_POWER
        if isinstance(reader, AlphabetReader):  # the pretrained weights alone
            first = np.argsort(-confidence)[: round(_PRETRAINED_SHARE * len(images))]
            confidence[first] = np.maximum(confidence[first], self.params.threshold)
        return Reading(texts, confidence)

    def survey(self, pretrained):
        """Choose the characters and lengths that are not given."""
        given, data = self.template.vocabulary, self.data
        labels = list(data.labels[data.labeled])
        self.alphabet = given
        if given is not None and self.length is not None:
            return
        some = self.rng.permutation(data.unlabeled)[:_N_SURVEYED]
        characters = pretrained.vocabulary_.characters if given is None else given
        reader = AlphabetReader(pretrained, characters)
        texts, confidence = read_confidently(reader, data.pick(some), self.length)
        weights = confidence**_PRETRAINED_POWER
        texts = [text or "" for text in texts]
        if given is None:
            found = find_alphabet(texts, weights, labels)
            self.alphabet = found or pretrained.vocabulary_.characters
            self.say(f"characters: {''.join(self.alphabet)}")
        if self.length is None:
            self.length = find_lengths(texts, weights, labels) or None
            self.say(f"lengths: {', '.join(map(str, self.length or ()))}")

    # ---- the last fit ------------------------------------------------------------

    def fit_last(self, found):
        """Return the recognizer that has learned from all texts, and warnings."""
        data = self.data
        positions = np.flatnonzero(~np.equal(found.texts, None))
        has_read = len(positions) > len(data.labeled)
        notices = []
        if data.unlabeled.size and self.n_iter and not has_read:
            notices = [(self.describe_failure(len(positions)), ConvergenceWarning)]
        if len(positions) < 2:
            recognizer = self.load_pretrained(data.items, 1)
            if (given := self.template.vocabulary) is not None:
                leave_characters(recognizer, Vocabulary(given).characters)
            recognizer.set_params(
                **{name: getattr(self.template, name) for name in _OF_READING}
            )
            vars(recognizer).update(data.table)
            return recognizer, notices
        recognizer = clone(self.template).set_params(warm_start=False)
        if has_read:
            recognizer.set_params(vocabulary=self.alphabet)
        X = pick_rows(data.X, positions)
        return recognizer.fit(X, list(found.texts[positions])), notices

    def describe_failure(self, n_labels):
        """Say why nothing was learned from the unlabeled images, and what to do."""
        n_unlabeled = count(len(self.data.unlabeled), "unlabeled image")
        has = "has learned from the labels alone"
        if n_labels < 2:
            has = "has learned nothing, and reads as the pretrained weights do"
        if self.condition == "no_improvement":
            *before, after = self.scores
            return (
                f"The {n_unlabeled} did not help: networks that learned from them read "
                f"labels less well, {after:.3f} after {max(before):.3f} "
                f"(`label_scores_`), so that `recognizer_` {has}. Label more images, "
                "those first that it is least sure of."
            )
        said = {"vocabulary": self.template.vocabulary, "length": self.params.length}
        unsaid = [f"`{name}`" for name, value in said.items() if value is None]
        names = " and ".join(unsaid)
        say = f"say what there may be ({names}), and " if unsaid else ""
        return (
            f"Nothing was learned from the {n_unlabeled}, as too few are read with "
            f"confidence, or not consistently; `recognizer_` {has}. To get on, {say}"
            "label some images: 50 are a good start."
        )

    # ---- two networks that label for each other ----------------------------------

    def cross_fit(self, found):
        """Let two networks learn from halves, and return what they read of the others.

        Sets the condition if that is worse than before.
        """
        self.fit_networks(found)
        reading = self.read_by_networks()
        taught = found.texts[self.data.unlabeled]
        is_taught = ~np.equal(taught, None)
        agreement = np.mean(taught[is_taught] == reading.texts[is_taught])
        self.say(f"of the texts taught, {agreement:.3f} are read by the other network")
        is_better = is_worse = False
        if self.data.labeled.size:
            share, score = self.rate_networks()
            self.say(f"{share:.3f} of labels that were not learned from are read")
            before = max(self.scores)
            is_better = score > before
            is_worse = score < before - _TOLERANCE / self.data.labeled.size
            self.scores.append(score)
        if is_worse:
            self.condition = "no_improvement"
        elif agreement < _MIN_AGREEMENT and not is_better:
            self.condition = "nothing_read" if self.n_iter == 1 else "no_improvement"
        return reading

    def fit_networks(self, found):
        """Fit two networks, each on its half of the texts."""
        networks = []
        for fold in range(2):
            positions = np.flatnonzero(
                ~np.equal(found.texts, None) & (self.folds == fold)
            )
            before = self.networks and self.networks[fold]
            networks.append(self.fit_part(positions, found.texts[positions], before))
        self.networks = networks

    def fit_part(self, positions, texts, before):
        """Return a recognizer fitted on some samples, or fitted further."""
        X, y = pick_rows(self.data.X, positions), list(texts)
        template = clone(self.template).set_params(
            vocabulary=self.alphabet,
            warm_start=False,
            random_state=draw_seed(self.rng),
            verbose=False,
        )
        n_updates = _N_UPDATES if before is None else _N_MORE_UPDATES
        template.set_params(max_iter=choose_n_epochs(template, len(y), n_updates))
        with warnings.catch_warnings():
            # Whether networks of a round have learned to read shows in what they read.
            warnings.simplefilter("ignore")
            if before is not None:
                further = copy.deepcopy(before).set_params(**template.get_params())
                try:
                    return further.set_params(warm_start=True).fit(X, y)
                except ValueError:
                    # The new texts may need more time steps than the first ones did.
                    pass
            return template.fit(X, y)

    def read_by_networks(self):
        """Return what is read of each unlabeled image that was not learned from."""
        unlabeled = self.data.unlabeled
        texts = np.full(len(unlabeled), None, dtype=object)
        confidence = np.zeros(len(unlabeled))
        for fold, network in enumerate(self.networks):
            others = np.flatnonzero(self.folds[unlabeled] != fold)
            texts[others], confidence[others] = read_confidently(
                network, self.data.pick(unlabeled[others]), self.length
            )
        return Reading(texts, confidence)

    def rate_networks(self):
        """Return how well labels are read that were not learned from, as `rate`."""
        labeled, rates, sizes = self.data.labeled, [], []
        for fold, network in enumerate(self.networks):
            others = labeled[self.folds[labeled] != fold]
            if len(others):
                found = rate(network, self.data.pick(others), self.data.labels[others])
                rates.append(found)
                sizes.append(len(others))
        return np.average(rates, axis=0, weights=sizes).tolist()

    def say(self, text):
        """Print what a round has found, if that is asked for."""
        if self.params.verbose:
            print(f"round {self.n_iter}: {text}", file=sys.stderr)
