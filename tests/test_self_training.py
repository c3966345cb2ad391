"""A recognizer that learns from what it reads of unlabeled images."""

import copy
import io
import pickle
from unicodedata import normalize

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score
from sklearn.pipeline import make_pipeline
from support.data import TINY
from support.forms import FORMS
from support.weights import changed_weights

from skcaptcha import (
    CaptchaEnsemble,
    CaptchaRecognizer,
    SelfTrainingRecognizer,
    _pseudo_labels,
)
from skcaptcha._alphabet import find_alphabet, find_lengths
from skcaptcha._joint_reader import (
    AlphabetReader,
    JointReader,
    find_sources,
    merge_classes,
    rate,
)
from skcaptcha._pseudo_labels import (
    Data,
    Reading,
    SelfTraining,
    Texts,
    choose_n_epochs,
)
from skcaptcha._reader import ReaderMixin
from skcaptcha.datasets import make_captchas
from skcaptcha.exceptions import ImageReadError
from skcaptcha.export import _network, export_onnx, load_onnx
from skcaptcha.metrics import SCORERS, exact_match_scorer
from skcaptcha.preprocessing import GrayscaleConverter
from skcaptcha.vocabulary import Vocabulary

pytestmark = pytest.mark.usefixtures("pretrained_at_one_size")

CHARACTERS, LENGTH = "abc123", 3
QUICK = {"max_iter": 5, "batch_size": 4, "random_state": 0, "n_jobs": 1}


@pytest.fixture(scope="module")
def drawn():
    """60 images that the pretrained weights read mostly, and their texts."""
    images, texts = make_captchas(
        60, vocabulary=CHARACTERS, length=LENGTH, size=(32, 80), random_state=5
    )
    return images, np.array(texts, dtype=object)


def make(*, recognizer=None, **params):
    recognizer = {**QUICK, **(recognizer or {})}
    return SelfTrainingRecognizer(CaptchaRecognizer(**recognizer), **params)


@pytest.fixture(scope="module")
def taught(drawn):
    """Fitted on 40 images without any label; not to be changed."""
    reader = make(vocabulary=CHARACTERS, length=LENGTH, max_iter=2)
    return reader.fit(drawn[0][:40])


@pytest.fixture
def some_labels(drawn):
    """40 images of which every third has a label."""
    X, y = drawn[0][:40], drawn[1][:40].copy()
    y[np.arange(40) % 3 > 0] = None
    return X, y


# What it learns


def test_it_learns_without_any_label(taught, drawn):
    X, texts = drawn
    assert taught.score(X[40:], texts[40:]) >= 0.9
    assert set(taught.vocabulary_) == set(CHARACTERS)
    is_read = taught.labeled_iter_ > 0
    assert is_read.mean() > 0.8
    assert np.mean(taught.transduction_[is_read] == texts[:40][is_read]) >= 0.9
    assert taught.label_scores_ == []


def test_the_attributes_tell_where_each_text_comes_from(some_labels):
    X, y = some_labels
    reader = make(max_iter=1).fit(X, y)
    labeled = np.not_equal(y, None)
    assert (reader.transduction_[labeled] == y[labeled]).all()
    assert (reader.labeled_iter_[labeled] == 0).all()
    others = reader.labeled_iter_[~labeled]
    assert set(others) <= {-1, 1} and (others == 1).mean() > 0.5
    none = np.equal(reader.transduction_, None)
    assert (none == (reader.labeled_iter_ == -1)).all()
    assert reader.n_iter_ == 1 and reader.termination_condition_ == "max_iter"
    assert len(reader.label_scores_) == 2
    assert reader.transduction_.shape == reader.labeled_iter_.shape == (40,)


def test_with_all_labels_it_is_the_recognizer(drawn):
    X, y = drawn[0][:20], drawn[1][:20]
    plain = CaptchaRecognizer(**QUICK).fit(X, y)
    for reader in (make().fit(X, y), make(max_iter=0).fit(X, [*y[:-1], y[-1]])):
        assert not changed_weights(reader.recognizer_, plain)
        assert reader.n_iter_ == 0 and reader.termination_condition_ == "all_labeled"


def test_without_rounds_it_learns_from_the_labels_alone(some_labels):
    X, y = some_labels
    labeled = np.flatnonzero(np.not_equal(y, None))
    plain = CaptchaRecognizer(**QUICK).fit([X[i] for i in labeled], y[labeled])
    reader = make(max_iter=0).fit(X, y)
    assert not changed_weights(reader.recognizer_, plain)
    assert reader.termination_condition_ == "max_iter"
    assert (reader.labeled_iter_ == np.where(np.equal(y, None), -1, 0)).all()


def test_it_finds_the_characters_and_the_length(drawn, capsys):
    reader = make(max_iter=1, verbose=True).fit(drawn[0])
    found = set(reader.vocabulary_)  # of the 183 that the pretrained weights know
    assert set(CHARACTERS) <= found and len(found) <= 12
    told = capsys.readouterr().err
    assert f"characters: {''.join(sorted(found))}\n" in told
    assert "lengths: 3\n" in told
    assert "round 1: " in told


@pytest.mark.parametrize("k_best, n_expected", [(12, 12), (1000, 40)])
def test_the_best_texts_of_a_round_are_chosen(drawn, k_best, n_expected):
    reader = make(
        criterion="k_best",
        k_best=k_best,
        max_iter=1,
        vocabulary=CHARACTERS,
        length=LENGTH,
    ).fit(drawn[0][:40])
    assert (reader.labeled_iter_ == 1).sum() == n_expected


# Rounds, one by one


class Fake(SelfTraining):
    """Rounds whose readings and scores are given in advance."""

    def __init__(self, readings, scores=(), labels=(None,) * 20, **params):
        labels = np.array(labels, dtype=object)
        items = [np.zeros((8, 8), np.uint8)] * len(labels)
        super().__init__(
            SelfTrainingRecognizer(**params),
            CaptchaRecognizer(),
            Data(items, items, labels, {}),
            np.random.RandomState(0),
        )
        self.readings, self.given = list(readings), list(scores)

    def read_first(self):
        if self.given:
            self.scores.append(self.given.pop(0))
        return self.readings.pop(0)

    def fit_networks(self, found):
        self.taught = found

    def read_by_networks(self):
        return self.readings.pop(0)

    def rate_networks(self):
        return 0.5, self.given.pop(0)


def read(texts, confidence=1.0):
    return Reading(np.array(texts, dtype=object), np.full(len(texts), confidence))


def test_rounds_end_when_nothing_changes():
    a, b = read(["a"] * 20), read(["a"] * 19 + ["b"])
    rounds = Fake([a, b, b])
    found = rounds.run()
    assert rounds.n_iter == 3 and rounds.condition == "all_labeled"
    assert list(found.labeled_iter) == [1] * 19 + [2]
    assert list(found.texts) == ["a"] * 19 + ["b"]
    unsure = Reading(np.array(["a"] * 20, dtype=object), np.array([1.0] * 19 + [0.1]))
    rounds = Fake([unsure, unsure])
    found = rounds.run()
    assert rounds.n_iter == 2 and rounds.condition == "no_change"
    assert list(found.labeled_iter) == [1] * 19 + [-1] and found.texts[-1] is None


def test_rounds_without_a_limit_end_when_they_bring_nothing_more():
    flickering = [read(["a"] * 19 + [last]) for last in "bcbcbcbcbc"]
    rounds = Fake(flickering, max_iter=None)
    rounds.run()
    assert rounds.n_iter == 4 and rounds.condition == "no_change"


def test_rounds_end_at_their_number():
    readings = [read([c] * 20) for c in "aabcd"]
    readings[1].texts[0] = "b"
    rounds = Fake(readings, max_iter=2)
    assert list(rounds.run().labeled_iter) == [2] + [1] * 19
    assert rounds.n_iter == 2 and rounds.condition == "max_iter"


def test_a_round_that_makes_it_worse_does_not_count():
    labels = ["x"] * 4 + [None] * 16
    readings = [read(["a"] * 16), read(["b"] * 8 + ["a"] * 8), read(["c"] * 16)]
    rounds = Fake(readings, [0.3, 0.9, 0.6], labels)
    found = rounds.run()
    assert list(found.texts) == ["x"] * 4 + ["a"] * 16
    assert rounds.n_iter == 2 and rounds.condition == "no_improvement"
    assert rounds.scores == [0.3, 0.9, 0.6]
    rounds = Fake(readings[:2], [0.9, 0.6], labels)
    assert list(rounds.run().texts) == labels  # worse than the labels alone
    assert "did not help" in rounds.describe_failure(4)
    assert "0.600 after 0.900" in rounds.describe_failure(4)


def test_networks_that_do_not_agree_have_read_nothing():
    rounds = Fake([read(["a"] * 20), read(["a"] * 9 + ["b"] * 11)])
    assert not any(rounds.run().texts) and rounds.condition == "nothing_read"
    assert "learned nothing, and reads as the pretrained" in rounds.describe_failure(0)


@pytest.mark.parametrize("confidence", [0.0, 0.59])
def test_unsure_texts_are_not_learned_from(confidence):
    rounds = Fake([read(["a"] * 20, confidence)])
    assert not any(rounds.run().texts)
    assert rounds.n_iter == 1 and rounds.condition == "nothing_read"
    assert "`vocabulary` and `length`" in rounds.describe_failure(0)


def test_texts_stay_where_a_later_round_is_unsure():
    rounds = Fake([read(["a"] * 20), read(["a"] * 20, 0.1)])
    assert list(rounds.run().texts) == ["a"] * 20
    assert rounds.n_iter == 2 and rounds.condition == "no_improvement"


def test_networks_go_on_but_not_those_that_know_the_labels_alone(
    taught, some_labels, monkeypatch
):
    calls = []

    def fit_part(self, positions, texts, before):
        calls.append(before)
        return taught.recognizer_

    monkeypatch.setattr(SelfTraining, "fit_part", fit_part)
    make(vocabulary=CHARACTERS, length=LENGTH).fit(*some_labels)
    assert calls[:4] == [None] * 4  # of the labels, and of the first round
    rounds = SelfTraining(
        SelfTrainingRecognizer(),
        CaptchaRecognizer(),
        Data([], [0] * 20, np.array(["a"] * 20, dtype=object), {}),
        np.random.RandomState(0),
    )
    for before in (None, taught.recognizer_):
        calls.clear()
        rounds.fit_networks(Texts.of_labels(rounds.data))
        assert calls == [before, before]


def test_images_without_text_are_not_learned_from():
    rounds = Fake([read([""] * 10 + [None] * 10)])
    assert not any(rounds.run().texts) and rounds.condition == "nothing_read"


def test_each_network_learns_from_half_of_the_labels_and_of_the_others():
    labels = ["x"] * 9 + [None] * 20
    folds = Fake([], labels=labels).folds
    assert sorted(np.bincount(folds[:9])) == [4, 5]
    assert list(np.bincount(folds[9:])) == [10, 10]


def test_k_best_adds_as_many_in_each_round():
    confidence = np.linspace(0.1, 0.9, 20)
    reading = Reading(np.array(list("abcdefghijklmnopqrst"), dtype=object), confidence)
    rounds = Fake([], criterion="k_best", k_best=6)
    before = Texts.of_labels(rounds.data)
    for n_iter, expected in ((1, "opqrst"), (2, "ijklmnopqrst")):
        rounds.n_iter = n_iter
        chosen = rounds.select(reading, before).texts
        assert "".join(filter(None, chosen)) == expected


def test_the_number_of_epochs_follows_the_updates():
    assert choose_n_epochs(CaptchaRecognizer(), 100, 1250) == 97  # 13 updates each
    assert choose_n_epochs(CaptchaRecognizer(batch_size=50), 100, 1250) == 625
    assert choose_n_epochs(CaptchaRecognizer(max_iter=7), 100, 1250) == 7


# What texts have in common


def alphabet(texts, labels=()):
    return find_alphabet(texts, np.ones(len(texts)), labels)


def test_rare_characters_are_errors_and_those_of_labels_are_not():
    texts = ["a1b2"] * 30 + ["a1q2"] * 2
    assert alphabet(texts) == list("12ab")
    assert alphabet(texts, ["z"]) == list("12abz")
    assert alphabet([], ["ba"]) == ["a", "b"]
    assert alphabet([]) == alphabet([""]) == []
    assert alphabet(["a1"] * 3 + ["b1"] * 3) == list("1ab")
    assert find_alphabet(["ab", "aq"], [1.0, 0.01]) == ["a", "b"]  # which is unsure


def test_characters_that_labels_should_have_are_errors_where_they_lack_them():
    texts = ["B1"] * 10 + ["21"] * 10  # a quarter are "B", which is Latin
    assert alphabet(texts, ["\u04121"] * 5) == list("12B\u0412")  # 2.5 of 10 are few
    assert alphabet(texts, ["\u04121"] * 6) == list("1\u0412")


def test_letters_have_the_case_of_nearly_all():
    texts = ["abd", "Abc", "bdC", "dCa"] * 10  # c and C have the same shape
    assert alphabet(texts) == list("abcd")
    assert alphabet([t.swapcase() for t in texts]) == list("ABCD")
    both = ["ab", "AB"] * 20
    assert alphabet(both) == list("ABab")
    assert alphabet(both, ["abdeh"] * 5) == list("abdeh")  # as the labels are
    assert alphabet(["ccCC"] * 20) == list("Cc")  # which say nothing


def test_rare_lengths_are_errors():
    texts = ["abcd"] * 30 + ["abcde"] * 3 + ["ab"]
    found = find_lengths(texts, np.ones(34))
    assert found == {4: pytest.approx(30 / 33), 5: pytest.approx(3 / 33)}
    assert find_lengths([""] * 30, np.ones(30), ["ab"]) == {2: 1.0}
    assert find_lengths(["e\u0301"] * 3, np.ones(3)) == {1: 1.0}  # one character
    assert find_lengths(["ab"], np.zeros(1)) == find_lengths([], []) == {}


def test_what_labels_lack_is_an_error_of_length():
    texts = ["abcd"] * 27 + ["abc"] * 3
    assert list(find_lengths(texts, np.ones(30), ["abcd"] * 20)) == [3, 4]
    assert list(find_lengths(texts, np.ones(30), ["abcd"] * 40)) == [4]
    assert list(find_lengths(texts, np.ones(30), ["abcd"] * 39 + ["abc"])) == [3, 4]


def test_classes_are_merged_by_hand():
    sources = find_sources(Vocabulary("aAbc"), Vocabulary("aBx"))
    assert sources == [[0], [1, 2], [3], []]
    frames = np.log([[0.1, 0.2, 0.1, 0.1, 0.5]])
    merged = np.exp(merge_classes(frames, sources))
    assert merged[0] == pytest.approx([0.2, 0.6, 0.2, 0])
    assert find_sources(Vocabulary("aA"), Vocabulary("aA")) == [[0], [1], [2]]


class FixedReader(ReaderMixin):
    """Reads each image as the same frames, or fails with an error."""

    decoder, beam_width = "greedy", 10

    def __init__(self, *probabilities, error=None, characters="ab"):
        self.vocabulary_ = Vocabulary(characters)
        self.frames = [np.log(np.array(p)) for p in probabilities]
        self.error = error

    def iter_frames(self, X, **options):
        for position, _ in enumerate(X):
            yield position, self.error or self.frames


def test_two_readers_together_count_alike():
    """The first reads at three sizes and the second at one: (0.6 + 0.1) / 2 of a."""
    first = FixedReader(*[[[0.1, 0.6, 0.3]]] * 3)
    second = FixedReader([[0.1, 0.1, 0.8]])
    for readers in ((first, second), (second, first)):
        joint = JointReader(*readers)
        assert joint.predict([0]).tolist() == ["b"]
        ((best, *_),) = joint.predict_topk([0], k=2)
        assert best == ("b", pytest.approx((0.3 + 0.8) / 2))
        texts, confidence = joint.predict([0], return_confidence=True)
        assert confidence == pytest.approx([0.55])
    failed = JointReader(first, FixedReader(error=ImageReadError("X[0] is broken")))
    assert list(failed.iter_frames([0])) == [(0, failed.readers[1].error)]


@pytest.mark.parametrize(
    "share, of_labels, expected",
    [
        (0.9, 0.4, "pretrained"),
        (0.4, 0.9, "network"),
        (0.9, 0.5, "both"),
        (0.5, 0.9, "both"),
    ],
)
def test_the_first_reading_is_of_what_reads_the_labels(share, of_labels, expected):
    training = SelfTraining.__new__(SelfTraining)
    training.data = Data([], [], np.array(["a", None], dtype=object), {})
    pretrained, network = FixedReader([[0.1, 0.6, 0.3]]), FixedReader([[0.1, 0.1, 0.8]])
    training.fit_part = lambda positions, texts, before: network
    found = Texts.of_labels(training.data)
    reader = training.choose_reader(pretrained, found, share, of_labels)
    if expected == "both":
        assert reader.readers == (pretrained, network)
    else:
        assert reader is {"pretrained": pretrained, "network": network}[expected]


def test_the_network_of_the_labels_sees_characters_that_they_lack(monkeypatch):
    labels = ["ab", "ab", "ab", "ac"]
    readings = {4: ("ab", 0.95), 5: ("cd", 0.9), 6: ("cc", 0.55), 7: ("dd", 0.8)}
    readings |= {8: ("d", 0.3), 9: (None, 0.0)}  # not surely, and not at all
    training = Fake([], labels=[*labels, *[None] * len(readings)])
    training.data.items = list(range(10))

    def read_given(reader, items, length):
        texts, confidence = zip(*(readings[i] for i in items), strict=True)
        return np.array(texts, dtype=object), np.array(confidence)

    monkeypatch.setattr(_pseudo_labels, "read_confidently", read_given)
    found = training.cover_alphabet(FixedReader(characters="abcd"))
    # Each c and d up to three times, surest first; there are enough a and b.
    assert list(found.texts) == [*labels, None, "cd", "cc", "dd", None, None]
    assert list(training.data.labels) == [*labels, *[None] * 6]
    # Three texts show the d, so that a fourth one is left out.
    readings |= {8: ("bd", 0.7), 9: ("da", 0.6)}
    found = training.cover_alphabet(FixedReader(characters="abcd"))
    assert list(found.texts[4:]) == [None, "cd", "cc", "dd", "bd", None]
    # Where the labels have all characters nothing else is read.
    monkeypatch.setattr(_pseudo_labels, "read_confidently", None)
    training = Fake([], labels=[*["ab"] * 3, None])
    found = training.cover_alphabet(FixedReader(characters="ab"))
    assert list(found.texts) == [*["ab"] * 3, None]


def test_a_reader_that_knows_the_characters_reads_these_alone(fitted, captchas):
    X = captchas[0][160:]
    reader = AlphabetReader(fitted, "013")
    texts, confidence = reader.predict(X, return_confidence=True)
    assert set("".join(texts)) <= set("013")
    all_of_them = AlphabetReader(fitted, "3210")
    assert list(all_of_them.predict(X)) == list(fitted.predict(X))
    np.testing.assert_allclose(
        all_of_them.predict_confidence(X), fitted.predict_confidence(X), atol=1e-5
    )
    without_2 = np.array(["2" not in text for text in fitted.predict(X)])
    higher = confidence >= fitted.predict_confidence(X) - 1e-6
    assert higher[without_2].all()


# Where it can't help


def test_it_says_when_nothing_can_be_read():
    noise = list(np.random.default_rng(0).integers(0, 255, (30, 32, 80), np.uint8))
    with pytest.warns(ConvergenceWarning, match="Nothing was learned from the 30") as w:
        reader = make(vocabulary="abc", length=3).fit(noise)
    assert len(w) == 1
    assert "label some images: 50" in str(w[0].message)
    assert reader.termination_condition_ == "nothing_read"
    assert (reader.labeled_iter_ == -1).all()
    # It reads as the pretrained weights do, but for the characters.
    assert list(reader.vocabulary_) == ["a", "b", "c"]
    assert set("".join(reader.predict(noise))) <= set("abc")
    table = np.reshape(noise, (30, -1))
    with pytest.warns(ConvergenceWarning, match="Nothing was learned"):
        recognizer = {"image_shape": (32, 80), "decoder": "beam", "beam_width": 5}
        reader = make(recognizer=recognizer, length=3).fit(table)
    assert len(reader.predict(table[:2])) == 2
    assert reader.recognizer_.decoder == "beam" and reader.recognizer_.beam_width == 5


def test_labels_are_learned_from_where_the_others_do_not_help(drawn):
    noise = list(np.random.default_rng(0).integers(0, 255, (30, 32, 80), np.uint8))
    X, y = drawn[0][:14], drawn[1][:14]
    with pytest.warns(ConvergenceWarning, match="30 unlabeled images") as w:
        reader = make(threshold=0.9).fit([*noise, *X], [*[None] * 30, *y])
    assert len(w) == 1
    assert not changed_weights(reader.recognizer_, CaptchaRecognizer(**QUICK).fit(X, y))


# The same again, and copies


def test_the_same_fit_gives_the_same_readings(taught, drawn):
    again = clone(taught).fit(drawn[0][:40])
    assert not changed_weights(again.recognizer_, taught.recognizer_)
    assert list(again.transduction_) == list(taught.transduction_)


@pytest.mark.parametrize(
    "copied",
    [
        copy.deepcopy,
        lambda reader: pickle.loads(pickle.dumps(reader)),
        lambda reader: joblib.load(_dump(reader)),
    ],
)
def test_a_copy_reads_the_same(taught, drawn, copied):
    X = drawn[0][40:]
    other = copied(taught)
    assert list(other.predict(X)) == list(taught.predict(X))
    assert list(other.predict_confidence(X)) == list(taught.predict_confidence(X))
    assert list(other.transduction_) == list(taught.transduction_)


def _dump(reader):
    file = io.BytesIO()
    joblib.dump(reader, file)
    file.seek(0)
    return file


def test_order_and_company_do_not_matter(taught, drawn):
    X = drawn[0][40:]
    texts = taught.predict(X)
    assert list(taught.predict(X[::-1])) == list(texts[::-1])
    assert [taught.predict([x])[0] for x in X] == list(texts)


def test_what_is_saved_and_exported_is_the_recognizer(taught, drawn, tmp_path):
    pytest.importorskip("onnxruntime")
    with pytest.raises(TypeError, match="Of a SelfTrainingRecognizer pass `recognizer"):
        export_onnx(taught, tmp_path / "model.onnx")
    export_onnx(taught.recognizer_, tmp_path / "model.onnx")
    X = drawn[0][40:]
    assert list(load_onnx(tmp_path / "model.onnx").predict(X)) == list(
        taught.predict(X)
    )
    pytest.importorskip("skops")
    from skcaptcha import persistence

    with pytest.raises(TypeError, match="Of a SelfTrainingRecognizer save `recognizer"):
        persistence.dump(taught, tmp_path / "model.skops")
    persistence.dump(taught.recognizer_, tmp_path / "model.skops")
    loaded = persistence.load(tmp_path / "model.skops")
    assert list(loaded.predict(X)) == list(taught.predict(X))


def test_the_recognizer_learns_on(taught, drawn):
    further = copy.deepcopy(taught.recognizer_).set_params(warm_start=True, max_iter=1)
    assert further.fit(drawn[0][40:], drawn[1][40:]).n_iter_ == 6


# What goes in


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_an_image_is_the_same(drawn, tmp_path, form):
    from PIL import Image

    paths = []
    for i, image in enumerate(drawn[0][:12]):
        paths.append(str(tmp_path / f"{i}.png"))
        Image.fromarray(image).save(paths[-1])
    y = [*drawn[1][:2], *[None] * 10]
    reader = make(
        max_iter=1, vocabulary=CHARACTERS, length=LENGTH, recognizer={"max_iter": 1}
    )
    expected = clone(reader).fit(drawn[0][:12], y)
    found = clone(reader).fit(FORMS[form](paths), y)
    assert list(found.transduction_) == list(expected.transduction_)


def test_a_table_and_a_generator_are_the_same_as_images(drawn):
    X, y = drawn[0][:20], [*drawn[1][:2], *[None] * 18]
    params = {"max_iter": 1, "vocabulary": CHARACTERS, "length": LENGTH}
    expected = make(**params).fit(X, y)
    assert list(make(**params).fit(iter(X), y).transduction_) == list(
        expected.transduction_
    )
    table = np.reshape(X, (20, -1))
    of_table = make(recognizer={"image_shape": (32, 80)}, **params).fit(table, y)
    assert list(of_table.transduction_) == list(expected.transduction_)
    assert of_table.n_features_in_ == 32 * 80
    assert len(of_table.predict(table[:3])) == 3
    assert of_table.score(table, y) >= 0


@pytest.mark.parametrize(
    "as_labels",
    [
        list,
        tuple,
        lambda y: np.array(y, dtype=object),
        pd.Series,
        lambda y: pd.Series(y, dtype="string"),
        lambda y: pd.Series(y).fillna(np.nan),
        lambda y: [-1 if text is None else text for text in y],  # as scikit-learn has
    ],
)
def test_every_form_of_labels_is_the_same(drawn, as_labels):
    X, y = drawn[0][:20], [None, *drawn[1][1:14], *[None] * 6]
    reader = make(max_iter=0).fit(X, as_labels(y))
    assert list(reader.transduction_) == y
    assert reader.score(X, as_labels(y)) == reader.score(X[1:14], y[1:14])


@pytest.mark.parametrize(
    "change, error, message",
    [
        ({"y": ["a"]}, ValueError, "X has 20 images and y has 1 labels"),
        ({"y": "abc"}, TypeError, "y='abc' is a single text"),
        ({"y": [None] * 15 + [3.5] * 5}, TypeError, r"y\[15\]=3.5 is no text"),
        ({"y": [None] * 17 + ["a\tb", "", "b"]}, ValueError, r"y\[17\]='a\\tb' holds"),
        ({"y": [None] * 17 + [""] * 3}, ValueError, "All 3 labels in y are empty"),
        (
            {"y": [None] * 19 + ["aé"], "vocabulary": "abc"},
            ValueError,
            r"y\[19\]='aé' contains 'é', which is not in the vocabulary",
        ),
        ({"bad": 13}, ImageReadError, r"X\[13\]"),
        ({"bad": 13, "y": ["a"] + [None] * 19}, ImageReadError, r"X\[13\]"),
        ({"y": [None] * 19 + ["a" * 500]}, ValueError, r"y\[19\]=.* needs"),
        ({"threshold": 1.0}, ValueError, "'threshold' parameter of SelfTraining"),
        ({"criterion": "best"}, ValueError, "'criterion' parameter"),
        ({"k_best": 0}, ValueError, "'k_best' parameter"),
        ({"max_iter": -1}, ValueError, "'max_iter' parameter"),
        ({"vocabulary": ""}, ValueError, "vocabulary=''"),
        ({"length": "long"}, ValueError, "length='long' is not a constraint"),
        (
            {"y": [None] * 18 + ["ab", "abcd"], "length": 3},
            ValueError,
            r"2 of 2 labels in y, such as y\[18\]='ab', have .* not allow \(3\)",
        ),
        ({"recognizer": {"checkpoint": "file"}}, ValueError, "checkpoint='file' of"),
        ({"recognizer": {"lstm_units": 0}}, ValueError, "'lstm_units' parameter"),
    ],
)
def test_what_is_wrong_is_named_and_changes_nothing(drawn, change, error, message):
    X, y = list(drawn[0][:20]), change.pop("y", None)
    if (bad := change.pop("bad", None)) is not None:
        X[bad] = b"no image"
    reader = make(**change)
    before = vars(reader).copy()
    with pytest.raises(error, match=message):
        reader.fit(X, y)
    assert vars(reader) == before


@pytest.mark.parametrize(
    "length, said",
    [
        (3, r"2 of 5 labels in y, such as y\[7\]='ab', have .* not allow \(3\);"),
        ((1, 3), r"1 of 5 labels in y, such as y\[9\]='abcd', has .* \(1 to 3\);"),
        ({4: 1, 3: 2}, r"y\[7\]='ab', has a length .* \(3, 4\); correct it, or"),
    ],
)
def test_labels_of_a_length_that_is_not_allowed_are_counted(
    drawn, monkeypatch, length, said
):
    y = [None] * 5 + ["abc", "", "ab", "e\u0301bc", "abcd", "123"]

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(SelfTraining, "run", stop)
    with pytest.warns(UserWarning, match=said), pytest.raises(KeyboardInterrupt):
        make(length=length).fit(drawn[0][:11], y)


def test_a_fit_that_fails_late_leaves_the_earlier_one(taught, drawn, monkeypatch):
    reader = copy.deepcopy(taught)
    before = vars(reader).copy()

    def fail(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(SelfTraining, "fit_last", fail)
    with pytest.raises(KeyboardInterrupt):
        reader.fit(drawn[0][:40])
    assert vars(reader) == before


def test_an_interrupt_in_a_round_ends_the_fit(drawn, monkeypatch):
    """Else the rest of the rounds would follow."""
    from skcaptcha.training import fit as training

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(training.Trainer, "train_step", interrupt)
    reader = make(vocabulary=CHARACTERS, length=LENGTH)
    with pytest.raises(KeyboardInterrupt):
        reader.fit(drawn[0][:40])
    assert not hasattr(reader, "recognizer_")


def test_networks_begin_anew_where_texts_no_longer_fit(drawn, monkeypatch):
    rounds = Fake([])
    rounds.template = CaptchaRecognizer(**{**TINY, "max_iter": 1})
    rounds.data.X, rounds.alphabet = drawn[0], sorted(CHARACTERS)
    first = rounds.fit_part([0, 1], drawn[1][:2], None)
    longer = ["abc" * 8] * 2  # more than the images yield time steps for at this width
    further = rounds.fit_part([0, 1], longer, first)
    assert further.width_stretch_ > first.width_stretch_ and further.n_iter_ == 1
    assert rounds.fit_part([0, 1], drawn[1][:2], first).n_iter_ == 2


# With scikit-learn


def test_unlabeled_samples_are_in_no_score(taught, drawn):
    X, y = drawn[0][40:], drawn[1][40:].copy()
    y[::2] = None
    expected = taught.recognizer_.score(X[1::2], y[1::2])
    assert taught.score(X, y) == taught.score(iter(X), list(y)) == expected
    assert exact_match_scorer(taught, X, y) == expected
    for scorer in SCORERS.values():
        assert scorer(taught, X, y) == scorer(taught, X[1::2], y[1::2])
        assert pickle.loads(pickle.dumps(scorer))(taught, X, y) == scorer(taught, X, y)
        with pytest.raises(ValueError, match="None of 20 samples has a label"):
            scorer(taught, X, [None] * 20)
        assert scorer(taught, X, pd.Series(y).fillna(np.nan)) == scorer(taught, X, y)
    with pytest.raises(ValueError, match="None of 20 samples in y has a label"):
        taught.score(X, [None] * 20)
    with pytest.raises(ValueError, match="the target y is None"):
        taught.score(X, None)


def test_what_reads_first_has_the_backend_of_the_recognizer(drawn, monkeypatch):
    reader = make(recognizer={"backend": "onnx"}, max_iter=0).fit(drawn[0][:4])
    assert reader.recognizer_.backend == "onnx"

    def lack():
        raise ImportError("onnx is not installed")

    monkeypatch.setattr(_network, "check_onnx", lack)
    monkeypatch.setattr(_pseudo_labels, "load_pretrained", None)  # comes too late
    for one in (reader, CaptchaEnsemble(reader.recognizer)):
        with pytest.raises(ImportError, match="onnx is not installed"):
            one.fit(*drawn)


def test_weights_of_unlabeled_samples_count_in_no_score(taught, drawn):
    X, y = drawn[0][40:], drawn[1][40:].copy()
    y[:10], y[10] = None, "none of the drawn texts"
    weights = np.arange(1.0, 21.0)
    expected = taught.recognizer_.score(X[10:], y[10:], sample_weight=weights[10:])
    assert 0 < expected < taught.recognizer_.score(X[11:], y[11:])
    weights[:10] = 1e6
    assert taught.score(X, y, sample_weight=weights) == expected
    assert exact_match_scorer(taught, X, y, sample_weight=weights) == expected
    with pytest.raises(ValueError, match="sample_weight has 3 weights"):
        taught.score(X, y, sample_weight=weights[:3])
    with pytest.raises(ValueError, match="sample_weight has 3 weights"):
        exact_match_scorer(taught, X, y, sample_weight=weights[:3])


def test_it_works_in_a_cross_validation_a_search_and_a_pipeline(some_labels):
    X, y = some_labels
    reader = make(max_iter=1, recognizer={"max_iter": 2})
    cv = KFold(2, shuffle=True, random_state=0)
    scores = cross_val_score(reader, X, y, cv=cv, scoring=exact_match_scorer)
    assert scores.shape == (2,) and np.isfinite(scores).all()
    search = GridSearchCV(
        reader,
        {"threshold": [0.4, 0.8], "recognizer__dropout": [0.1]},
        cv=[(np.arange(20), np.arange(20, 40))],
    ).fit(X, y)
    assert search.best_params_["recognizer__dropout"] == 0.1
    assert len(search.predict(X[:2])) == 2
    pipeline = make_pipeline(GrayscaleConverter(), clone(reader)).fit(X, y)
    assert 0 <= pipeline.score(X, y) <= 1
    assert len(pipeline.predict(X[:2])) == 2


def test_it_is_not_fitted_before_fit():
    reader = SelfTrainingRecognizer()
    for call in (
        lambda: reader.predict([np.zeros((8, 8), np.uint8)]),
        lambda: reader.score([np.zeros((8, 8), np.uint8)], ["a"]),
        lambda: reader.vocabulary_,
    ):
        with pytest.raises(NotFittedError, match="is not fitted yet"):
            call()


def test_the_pretrained_weights_are_asked_with_what_the_recognizer_says(monkeypatch):
    asked = {}

    def load(X, **options):
        asked.update(options, X=X)
        raise StopIteration

    monkeypatch.setattr(_pseudo_labels, "load_pretrained", load)
    rounds = Fake([], labels=["ab", "cß"] * 5 + [None] * 200)
    rounds.data.items = list(range(210))
    said = {"background": "black", "backend": "onnx", "device": "cpu", "n_jobs": 1}
    rounds.template = CaptchaRecognizer(**said)
    rounds = SelfTraining(rounds.params, rounds.template, rounds.data, rounds.rng)
    with pytest.raises(StopIteration):
        rounds.read_first()
    # Sizes are chosen from some of the images without a label, by what labels show.
    images = asked.pop("X")
    assert len(set(images)) == 100 and min(images) >= 10
    assert asked == said | {"n_sizes": 6, "vocabulary": ["a", "b", "c"]}
    for labels, vocabulary, expected in (
        (["ab"] * 9, None, None),  # too few
        (["ab"] * 10, "xyz", ["x", "y", "z"]),
        ([], "ßä", None),  # of which it knows none
    ):
        rounds.data.labels = np.array([*labels, *[None] * 20], dtype=object)
        rounds.data.__post_init__()
        rounds.template.set_params(vocabulary=vocabulary)
        with pytest.raises(StopIteration):
            rounds.read_first()
        assert asked["vocabulary"] == expected


def test_a_label_in_another_normal_form_is_read_all_the_same(fitted, captchas):
    reader = copy.deepcopy(fitted)
    reader.vocabulary_ = Vocabulary(["\u0439", "a", "b", "c"])
    text = reader.predict(captchas[0][:1])[0]
    assert rate(reader, captchas[0][:1], [normalize("NFD", text)])[0] == 1
