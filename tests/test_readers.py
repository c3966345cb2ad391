"""One contract over all readers: recognizer, ensemble, exported model and so on."""

import copy
import warnings

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils import get_tags
from support.data import TINY
from support.training import count_network_runs

from skcaptcha import CaptchaEnsemble, CaptchaRecognizer, SelfTrainingRecognizer
from skcaptcha._texts import find_texts, locate_characters
from skcaptcha.exceptions import SkippedImageWarning
from skcaptcha.export import export_onnx, load_onnx
from skcaptcha.metrics import exact_match_scorer
from skcaptcha.preprocessing import ImageReader
from skcaptcha.vocabulary import Vocabulary

READERS = [
    "recognizer",
    "beam search",
    "ensemble",
    "exported",
    "self-training",
    "by ONNX Runtime",
]


@pytest.fixture(scope="session")
def readers(captchas, fitted, tmp_path_factory):
    """One of each kind, which can read; not to be changed."""
    path = tmp_path_factory.mktemp("exported") / "model.onnx"
    export_onnx(fitted, path)
    # Half of the images teach each recognizer of the ensemble. With fewer images and
    # epochs it is so unsure that other roundings change texts, and so are all others.
    learned = captchas[0][:160], captchas[1][:160]
    params = {**TINY, "max_iter": 45}
    ensemble = CaptchaEnsemble(
        CaptchaRecognizer(**{**params, "random_state": None}), cv=2, random_state=0
    )
    return {
        "recognizer": fitted,
        "beam search": copy.deepcopy(fitted).set_params(decoder="beam"),
        "ensemble": ensemble.fit(*learned),
        "exported": load_onnx(path),
        "self-training": SelfTrainingRecognizer(
            CaptchaRecognizer(**params), max_iter=0
        ).fit(*learned),
        "by ONNX Runtime": copy.deepcopy(fitted).set_params(backend="onnx"),
    }


@pytest.fixture(params=READERS)
def reader(request, readers):
    return readers[request.param]


@pytest.fixture
def X(captchas):
    return captchas[0][160:184]


@pytest.fixture
def y(captchas):
    return captchas[1][160:184]


def test_texts_are_an_array_of_str(reader, X, y):
    texts = reader.predict(X)
    assert texts.shape == (len(X),) and texts.dtype == object
    assert all(type(text) is str for text in texts)
    assert np.mean(texts == np.array(y)) >= 0.4
    assert set("".join(texts)) <= set(reader.vocabulary_)


def test_a_text_and_its_confidence_come_from_one_call(reader, X):
    texts, confidence = reader.predict(X, return_confidence=True)
    assert list(texts) == list(reader.predict(X))
    assert list(confidence) == list(reader.predict_confidence(X))
    assert confidence.shape == (len(X),)
    assert ((confidence > 0) & (confidence <= 1)).all()


def test_one_call_runs_the_network_once(reader, X, monkeypatch):
    seen = count_network_runs(monkeypatch)
    if hasattr(reader, "session"):
        run = reader.session.run
        monkeypatch.setattr(
            reader, "session", _Session(lambda *a: seen.append(len(X)) or run(*a))
        )
    list(reader.iter_frames(X))
    n_runs = sum(seen)  # and more for images that are read again
    assert n_runs >= len(getattr(reader, "estimators_", [reader])) * len(X)
    for call in (
        lambda: reader.predict(X, return_confidence=True),
        lambda: reader.predict_topk(X, 3),
        lambda: reader.predict_confidence(X, length=2),
        lambda: list(reader.iter_readings(X)),
    ):
        seen.clear()
        call()
        assert sum(seen) == n_runs


class _Session:
    def __init__(self, run):
        self.run = run


def test_the_best_of_several_texts_come_first(reader, X):
    for texts in reader.predict_topk(X, 3):
        assert 1 <= len(texts) <= 3
        probabilities = [p for _, p in texts]
        assert probabilities == sorted(probabilities, reverse=True)
        assert len({text for text, _ in texts}) == len(texts)
        assert sum(probabilities) <= 1 + 1e-9
    with pytest.raises(ValueError, match="k=0; pass an int from 1 to 10000"):
        reader.predict_topk(X, 0)


def test_each_character_has_a_probability_and_a_place(reader, X):
    texts = reader.predict(X)
    found, on_ink = reader.predict_characters(X), []
    assert ["".join(c for c, *_ in image) for image in found] == list(texts)
    for image, characters in zip(X, found, strict=True):
        edges = [edge for *_, left, right in characters for edge in (left, right)]
        assert edges == sorted(edges) and 0 <= edges[0] and edges[-1] <= image.shape[1]
        assert all(0 < p <= 1 for _, p, *_ in characters)
        middles = [(left + right) // 2 for *_, left, right in characters]
        around = [image[:, max(0, m - 4) : m + 5].astype(int) for m in middles]
        on_ink += [np.ptp(pixels) > 60 for pixels in around]
    assert np.mean(on_ink) > 0.9


def test_places_are_columns_of_the_image_as_it_was(reader, X):
    large = [np.kron(x, np.ones((3, 3), np.uint8)) for x in X[:6]]
    small = reader.predict_characters(x for x in X[:6])
    moved = []
    for a, b in zip(small, reader.predict_characters(large), strict=True):
        if [c for c, *_ in a] != [c for c, *_ in b]:
            continue  # what is read without confidence may change
        edges = np.array([c[2:] for c in a]), np.array([c[2:] for c in b])
        moved.append(np.abs(edges[1] - 3 * edges[0]).ravel())
    assert len(moved) >= 5
    # A time step is 12 columns; resizing may move a few edges by another one.
    moved = np.concatenate(moved)
    assert np.mean(moved <= 14) > 0.9 and moved.max() <= 26
    lengths = {len(c) for c in reader.predict_characters(X, length=3, vocabulary="01")}
    assert lengths == {3}
    with pytest.warns(SkippedImageWarning, match="1 of 2 images were skipped"):
        skipped = reader.predict_characters([b"no image", X[0]], on_error="skip")
    assert skipped == [None, reader.predict_characters(X[:1])[0]]


def test_places_and_probabilities_solved_on_paper():
    class Reader:
        vocabulary_ = Vocabulary("ab")

    frames = np.array(
        [[0.1, 0.8, 0.1], [0.2, 0.7, 0.1], [0.8, 0.1, 0.1], [0, 0.4, 0.6]]
    )
    with np.errstate(divide="ignore"):
        one = np.log(frames)
    found = locate_characters(Reader, [one], "ab", 42)
    assert [(c, left, right) for c, _, left, right in found] == [
        ("a", 0, 21),
        ("b", 32, 42),  # 31.5
    ]
    assert [p for _, p, *_ in found] == pytest.approx([0.8, 0.6])
    # A network with one time step has no path for two characters; two average.
    assert locate_characters(Reader, [one, one[:1]], "ab", 42) == found
    other = np.log(np.array([[0.3, 0.4, 0.3], [0.2, 0.4, 0.4]]))
    a, b = locate_characters(Reader, [one, other], "ab", 40)
    assert (a[0], *a[2:], b[0], *b[2:]) == ("a", 0, 20, "b", 25, 40)
    assert (a[1], b[1]) == pytest.approx((0.6, 0.5))
    assert locate_characters(Reader, [one[:3]], "", 42) == []


def test_characters_of_a_reader_of_many_sizes_are_as_probable_as_the_texts_with_them():
    class Reader:
        vocabulary_ = Vocabulary("abc")
        decoder = "greedy"
        scales_ = [(32, 1.0)]

    def frames_of(*symbols):
        with np.errstate(divide="ignore"):
            return np.log(np.eye(4)[list(symbols)])

    # Two sizes read "ab" and one "ac"; temperature 0.8 makes 2 to 1 of it 2.38 to 1.
    frames = [frames_of(1, 2), frames_of(1, 2), frames_of(1, 3)]
    ((text, value),) = find_texts(Reader, frames, exact=True)
    a, b = locate_characters(Reader, frames, text, 2)
    assert (a[0], b[0]) == ("a", "b")
    ab = 2 ** (1 / 0.8) / (2 ** (1 / 0.8) + 1)
    assert (np.exp(value), a[1], b[1]) == pytest.approx((ab, 1, ab))
    # One size has another character between them, and the length rules it out.
    frames[2] = frames_of(1, 3, 2)
    assert [p for _, p, *_ in locate_characters(Reader, frames, "ab", 3)] == [1, 1]
    (c,) = locate_characters(Reader, [*frames, frames_of(3)], "c", 3, 1)
    assert c[:2] == ("c", pytest.approx(1))
    # The characters that there may be rule out another.
    frames[2] = frames_of(1, 3)
    b = locate_characters(Reader, frames, "ab", 2, allowed=[1, 2])[1]
    assert b[:2] == ("b", pytest.approx(1))


def test_readings_are_what_predict_returns(reader, X):
    texts, confidence = reader.predict(X, return_confidence=True)
    for position, text, p, error in reader.iter_readings(iter(X)):
        assert (text, p, error) == (texts[position], confidence[position], None)


@pytest.mark.parametrize("length", [2, (1, 2), {2: 1.0, 3: 0.5}])
def test_texts_have_an_allowed_length(reader, X, length):
    allowed = {2} if length == 2 else {1, 2} if isinstance(length, tuple) else {2, 3}
    texts, confidence = reader.predict(X, length=length, return_confidence=True)
    assert {len(text) for text in texts} <= allowed
    assert (confidence <= 1).all()
    for best in reader.predict_topk(X, 2, length=length):
        assert {len(text) for text, _ in best} <= allowed


def test_texts_have_the_characters_that_are_asked_for(reader, X):
    assert set("".join(reader.predict(X, vocabulary="01"))) <= set("01")
    with pytest.raises(ValueError, match="vocabulary='0x': name some of the"):
        reader.predict(X, vocabulary="0x")


def test_bad_parameters_are_named_before_anything_is_read(reader, X):
    with pytest.raises(ValueError, match="length='long' is not a constraint"):
        reader.predict(X, length="long")
    with pytest.raises(ValueError, match="on_error='ignore' must be 'raise' or"):
        reader.predict(X, on_error="ignore")
    with pytest.raises(TypeError, match="is a single item; pass a list of images"):
        reader.predict("image.png")
    with pytest.raises(ValueError, match="X is empty"):
        reader.predict([])


@pytest.mark.parametrize(
    "method", ["predict", "predict_confidence", "predict_topk", "frame_log_proba"]
)
def test_one_image_is_not_read_as_its_rows(reader, X, method):
    image = X[0]
    color = np.stack([image] * 3, axis=2)
    for single in (image, color, image[:, :, None], np.stack([image] * 3)):
        with pytest.raises((TypeError, ValueError), match=r"put it into a list.*\[X"):
            getattr(reader, method)(single)
    assert len(getattr(reader, method)([color])) == 1
    assert len(getattr(reader, method)(np.stack(X[:3]))) == 3


@pytest.mark.parametrize(
    "method", ["predict", "predict_confidence", "predict_topk", "frame_log_proba"]
)
def test_an_image_that_cannot_be_read_is_skipped_if_asked(reader, X, method):
    broken = [X[0], b"no image", X[1]]
    with pytest.raises(ValueError, match=r"^X\[1\]=<8 bytes> is not an image"):
        getattr(reader, method)(broken)
    with pytest.warns(SkippedImageWarning, match="1 of 3 images were skipped") as seen:
        values = getattr(reader, method)(broken, on_error="skip")
    assert [w.filename for w in seen] == [__file__]
    whole = getattr(reader, method)(X[:2])
    for value, expected in ((values[0], whole[0]), (values[2], whole[1])):
        np.testing.assert_equal(value, expected)
    assert values[1] is None or np.isnan(values[1])


def test_an_image_that_no_text_fits_is_named_or_skipped(reader, X, tmp_path):
    length = 1000
    with pytest.raises(ValueError, match=r"^X\[0\]: No text of length=1000 fits"):
        reader.predict(X[:2], length=length)
    path = tmp_path / "a.png"
    Image.fromarray(X[0]).save(path)
    with pytest.raises(ValueError, match=r"^X\[0\]: No text of length"):
        reader.predict({path: "a label"}, length=length)
    for paths in ([path], pd.Series([path], index=[7])):
        with pytest.raises(ValueError, match=r"^X\[0\]='.*a.png': No text of length"):
            reader.predict(paths, length=length)
    with pytest.warns(SkippedImageWarning, match="2 of 2 images were skipped"):
        texts = reader.predict(X[:2], length=length, on_error="skip")
    assert list(texts) == [None, None]
    errors = [e for *_, e in reader.iter_readings(X[:2], length=9**4, on_error="skip")]
    assert all("No text of length" in str(error) for error in errors)


def test_frames_are_log_probabilities(reader, X):
    for frames in reader.frame_log_proba(X):
        for log_probs in frames if isinstance(frames, list) else [frames]:
            assert log_probs.shape[1] == reader.vocabulary_.n_classes
            assert np.exp(log_probs).sum(axis=1) == pytest.approx(1, abs=1e-5)


def test_score_is_the_exact_match(reader, X, y):
    assert reader.score(X, y) == np.mean(reader.predict(X) == np.array(y))
    with pytest.raises(ValueError, match="X has 24 images and y has 23 labels"):
        reader.score(X, y[1:])


def test_a_generator_is_read_in_order(reader, X):
    assert list(reader.predict(x for x in X)) == list(reader.predict(X))


def test_nothing_warns_where_all_is_well(reader, X, y):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        reader.predict(X, length=(1, 4), return_confidence=True)
        reader.score(X, y)


def test_scikit_learn_takes_an_exported_reader(readers, X, y):
    reader = readers["exported"]
    assert clone(reader) is reader
    assert reader.get_params().keys() == {"session", "metadata", "n_jobs"}
    assert not get_tags(reader).target_tags.required
    assert (
        get_tags(reader).input_tags.string and get_tags(reader).estimator_type is None
    )
    assert exact_match_scorer(reader, X, y) == reader.score(X, y)
    with pytest.raises(TypeError, match="An OnnxRecognizer cannot learn"):
        reader.fit(X, y)
    frozen = FrozenEstimator(reader)
    scores = cross_val_score(frozen, X, y, cv=2, scoring=exact_match_scorer)
    assert np.mean(scores) == pytest.approx(reader.score(X, y))
    pipeline = make_pipeline(ImageReader(), frozen)
    assert list(pipeline.predict(X)) == list(reader.predict(X))
    copied = copy.copy(reader)
    assert copied.set_params(n_jobs=1) is copied and copied.n_jobs == 1
    with pytest.raises(ValueError, match="Invalid parameter 'beam_width' for an Onnx"):
        reader.set_params(beam_width=3)
    assert repr(reader) == "<OnnxRecognizer: 4 characters, float32>"


@pytest.mark.parametrize(
    "unfitted", [CaptchaRecognizer(), CaptchaEnsemble(), SelfTrainingRecognizer()]
)
def test_what_is_not_fitted_does_not_read(unfitted, X, y):
    for call in (
        lambda: unfitted.predict(X),
        lambda: unfitted.predict_confidence(X, vocabulary="01"),
        lambda: unfitted.predict_topk(X),
        lambda: unfitted.frame_log_proba(X),
        lambda: unfitted.score(X, y),
        lambda: list(unfitted.iter_readings(X)),
    ):
        with pytest.raises(NotFittedError, match="is not fitted yet"):
            call()
