"""A recognizer that reads before it has seen a label."""

import pickle
from pathlib import Path
from types import SimpleNamespace

import matplotlib
import numpy as np
import pytest

from skcaptcha import CaptchaRecognizer, _pretrained, load_pretrained
from skcaptcha._joint_reader import AlphabetReader
from skcaptcha._texts import find_texts, label_log_probability
from skcaptcha.datasets import make_captchas
from skcaptcha.vocabulary import Vocabulary

DIGITS = "0123456789"
EASY = {"rotation": 5, "warp": 0.0, "overlap": 0, "lines": 0, "dots": 0, "noise": 2}


@pytest.fixture(scope="module")
def drawn():
    """Easy images of digits, in one size, and what they say."""
    images, texts = make_captchas(
        24, vocabulary=DIGITS, length=4, size=(36, 100), random_state=0, **EASY
    )
    return images, np.array(texts, dtype=object)


@pytest.fixture(scope="module")
def reader():
    return load_pretrained(n_jobs=1)


def test_it_reads_images_that_nobody_has_labeled(reader, drawn):
    images, texts = drawn
    assert reader.score(images, texts) >= 0.8
    read = reader.predict(images, vocabulary=DIGITS, length=4)
    assert np.mean(read == texts) >= 0.95


def test_it_reads_letters_in_other_scripts_and_sums(reader):
    known = set(reader.vocabulary_)
    assert set(DIGITS + "azAZ+-*/=?×абвАБВαβΩ") <= known


def test_it_reads_russian_letters(reader):
    font = Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")
    images, texts = make_captchas(
        12, vocabulary="бгджлф258", length=4, fonts=font, random_state=0, **EASY
    )
    read = reader.predict(images, vocabulary="бгджлф258")
    assert np.mean(read == np.array(texts, dtype=object)) >= 0.7


def test_all_methods_take_the_sizes_together(reader, drawn):
    images = drawn[0][:4]
    read, confidence = reader.predict(images, return_confidence=True)
    np.testing.assert_allclose(confidence, reader.predict_confidence(images), rtol=1e-5)
    assert ((confidence > 0) & (confidence <= 1)).all()
    assert [best[0][0] for best in reader.predict_topk(images, k=2)] == list(read)
    frames = reader.frame_log_proba(images)
    assert [len(f) for f in frames] == [24] * 4  # two networks at 12 sizes
    places = reader.predict_characters(images)
    assert ["".join(c for c, *_ in image) for image in places] == list(read)


def test_confidence_is_among_the_texts_that_were_found():
    # Two networks, one time step each: blank, "1", "2".
    few = np.array([[[0.05, 0.7, 0.25]], [[0.1, 0.3, 0.6]]])
    odds = (0.5 / 0.425) ** (1 / 0.8)  # of "1" to "2", by the temperature
    reader = load_pretrained(n_jobs=1)
    one, two = reader.vocabulary_.indices("12")
    frames = np.full((2, 1, len(reader.vocabulary_) + 1), 1e-12)
    frames[:, :, [0, one, two]] = few
    frames = np.log(frames)
    ((text, value),) = find_texts(reader, frames, exact=True)
    assert (text, np.exp(value)) == ("1", pytest.approx(odds / (odds + 1)))
    value = label_log_probability(reader, frames, "2")
    assert np.exp(value) == pytest.approx(1 / (odds + 1))
    assert np.exp(label_log_probability(reader, frames, "3")) < 1e-9
    assert label_log_probability(reader, frames, "§") == -np.inf
    # With "2" alone allowed, nothing else is found.
    ((text, value),) = find_texts(reader, frames, allowed=[two], exact=True)
    assert (text, np.exp(value)) == ("2", pytest.approx(1))
    told = AlphabetReader(reader, "12", calibrated=True)
    ((text, value),) = find_texts(told, np.log(few), exact=True)
    assert (text, np.exp(value)) == ("1", pytest.approx(odds / (odds + 1)))
    ((_, value),) = find_texts(AlphabetReader(reader, "12"), np.log(few), exact=True)
    assert np.exp(value) == pytest.approx(0.5)


def test_confidence_is_about_the_share_that_is_right(reader):
    images, texts = make_captchas(
        60, vocabulary=DIGITS, length=4, noise=30, lines=5, rotation=25, random_state=1
    )
    read, confidence = reader.predict(
        images, vocabulary=DIGITS, length=4, return_confidence=True
    )
    right = read == np.array(texts, dtype=object)
    assert abs(confidence.mean() - right.mean()) < 0.15
    assert confidence[right].mean() > confidence[~right].mean() + 0.1
    for found in reader.predict_topk(images[:10], k=4):
        assert sum(value for _, value in found) <= 1 + 1e-6


def test_a_few_images_choose_one_size(reader, drawn):
    images, texts = drawn
    one = load_pretrained(images[:8], n_jobs=1)
    assert isinstance(one, CaptchaRecognizer) and not hasattr(one, "scales_")
    assert one.image_height_ in (32, 40, 48, 56)
    read = one.predict(images, vocabulary=DIGITS, length=4)
    assert np.mean(read == texts) >= 0.9


def test_a_few_images_choose_several_sizes(drawn):
    images, texts = drawn
    reader = load_pretrained(images[:8], n_sizes=6, n_jobs=1)
    read = reader.predict(images, vocabulary=DIGITS, length=4)
    assert np.mean(read == texts) >= 0.95
    assert [len(frames) for frames in reader.frame_log_proba(images[:2])] == [6, 6]
    sizes = [scale for network in reader.estimators_ for scale in network.scales_]
    assert len(sizes) == 6 and {height for height, _ in sizes} <= {32, 40, 48, 56}
    again = pickle.loads(pickle.dumps(reader))
    np.testing.assert_array_equal(again.predict(images[:4]), reader.predict(images[:4]))
    several = load_pretrained(images[:2], n_sizes=24, n_jobs=1)
    assert [len(frames) for frames in several.frame_log_proba(images[:1])] == [24]


def test_the_sizes_are_those_that_agree_with_all():
    """Of 24 pairs the fifth of the first network and the last of the other."""
    said = np.log(np.full((24, 1, 3), 1e-9))
    said[:, 0] = np.log([0.1, 0.5, 0.4])
    said[[4, 23], 0] = np.log([0.01, 0.98, 0.01])
    # Surer of something else than all together are.
    said[7, 0] = np.log([0.005, 0.005, 0.99])
    networks = [SimpleNamespace(scales_=_pretrained._SCALES) for _ in range(2)]
    for network in networks:
        vars(network).update(background="white", n_jobs=1)
    ensemble = SimpleNamespace(
        estimators_=networks,
        vocabulary_=Vocabulary("12"),
        decoder="greedy",
        iter_frames=lambda images: enumerate([list(said)] * len(images)),
    )
    image = np.zeros((40, 100), np.uint8)
    _pretrained._choose_sizes(ensemble, [image], 2)
    (first,), (last,) = (network.scales_ for network in networks)
    assert first == _pretrained._SCALES[4] and last == _pretrained._SCALES[11]
    assert ensemble.estimators_ == networks
    for network in networks:
        network.scales_ = _pretrained._SCALES
    # Where all have to read a 2, another one agrees with them most.
    ensemble.estimators_ = networks
    ensemble._find_allowed = lambda vocabulary: [int(vocabulary)]
    _pretrained._choose_sizes(ensemble, [image], 1, "2")
    assert (networks[0].image_height_, networks[0].width_stretch_) == (48, 1.0)
    for network in networks:
        network.scales_ = _pretrained._SCALES
    said[23] = said[0]
    ensemble.estimators_ = networks
    _pretrained._choose_sizes(ensemble, [image], 1)
    assert ensemble.estimators_ == networks[:1]
    assert not hasattr(networks[0], "scales_")
    assert (networks[0].image_height_, networks[0].width_stretch_) == (40, 1.0)


def test_russian_images_are_read_by_the_network_that_knows_russian():
    font = Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")
    images, texts = make_captchas(
        12, vocabulary="бгджлф258", length=4, fonts=font, random_state=0, **EASY
    )
    one = load_pretrained(images, vocabulary="бгджлф258", n_jobs=1)
    assert one._network_config["residual_blocks"] == 2
    read = one.predict(images, vocabulary="бгджлф258")
    assert np.mean(read == np.array(texts, dtype=object)) >= 0.7


def test_images_of_any_size_are_read(reader, drawn):
    images, texts = drawn
    large = [np.kron(image, np.ones((3, 3), np.uint8)) for image in images[:6]]
    read = reader.predict(large, vocabulary=DIGITS, length=4)
    assert np.mean(read == texts[:6]) >= 0.8


def test_it_comes_back_from_a_pickle(reader, drawn):
    images = drawn[0][:4]
    again = pickle.loads(pickle.dumps(reader))
    np.testing.assert_array_equal(again.predict(images), reader.predict(images))


def test_fit_goes_on_from_it_at_one_size(drawn):
    images, texts = drawn
    reader = load_pretrained(images[:8], n_jobs=1)
    reader.set_params(warm_start=True, max_iter=2, random_state=0)
    reader.fit(images, list(texts))
    assert reader.auto_choices_["start"] == "earlier fit"
    assert reader.score(images, texts) >= 0.8


def test_it_is_exported_at_one_size(reader, drawn, tmp_path):
    export = pytest.importorskip("skcaptcha.export")
    pytest.importorskip("onnxruntime")
    with pytest.raises(ValueError, match=r"export load_pretrained\(X\)"):
        export.export_onnx(reader.estimators_[0], tmp_path / "a.onnx")
    one, path = load_pretrained(drawn[0][:2], n_jobs=1), tmp_path / "b.onnx"
    export.export_onnx(one, path)
    read = export.load_onnx(path).predict(drawn[0])
    np.testing.assert_array_equal(read, one.predict(drawn[0]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"background": "no color"}, "background='no color'"),
        ({"device": "tpu"}, "device='tpu' is unknown"),
        ({"n_jobs": 0}, "n_jobs"),
        ({"X": []}, "X"),
        ({"n_sizes": 6}, "n_sizes=6 needs images.* pass some"),
        ({"vocabulary": "12"}, "vocabulary='12' needs images"),
        ({"X": [np.zeros((9, 9))], "vocabulary": "ß"}, "vocabulary='ß': name some of"),
        ({"X": [], "n_sizes": 0}, "n_sizes=0 must be None or an int from 1 to 24"),
        ({"X": [], "n_sizes": 25}, "n_sizes=25 must be"),
        ({"X": [], "n_sizes": 2.0}, "n_sizes=2.0 must be"),
        ({"X": [], "n_sizes": True}, "n_sizes=True must be"),
        ({"X": ["gone.png"]}, "gone.png"),
    ],
)
def test_what_is_wrong_is_named(options, message):
    with pytest.raises((OSError, ValueError), match=message):
        load_pretrained(**options)


def test_a_call_makes_a_recognizer_of_its_own(reader, drawn):
    other = load_pretrained(n_jobs=1)
    for member in other.estimators_:
        for parameter in member.network_.parameters():
            parameter.data.zero_()
    assert reader.score(*drawn) >= 0.8
