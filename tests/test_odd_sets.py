"""Sets of images that are tiny or odd train, or are refused with a reason."""

import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.data import TINY, make_easy

from skcaptcha import CaptchaRecognizer

pytestmark = pytest.mark.filterwarnings("ignore:The network has not learned to read")


def fit(images, texts, **params):
    return CaptchaRecognizer(**{**TINY, **params}).fit(images, texts)


def stripes(n_samples, width, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 256, (16, width), dtype=np.uint8) for _ in range(n_samples)]


def test_ten_images_are_learned_by_heart():
    images, texts = make_easy(10, "01", seed=1)
    recognizer = CaptchaRecognizer(random_state=0, max_iter=30)
    assert recognizer.fit(images, texts).score(images, texts) == 1
    assert recognizer.vocabulary_.characters == ("0", "1")


def test_a_vocabulary_of_one_character_leaves_the_length_to_be_read():
    images, texts = make_easy(40, "8", seed=0)
    recognizer = CaptchaRecognizer(random_state=0, max_iter=20)
    recognizer.fit(images[:30], texts[:30])
    assert recognizer.converged_
    assert recognizer.score(images[30:], texts[30:]) >= 0.9


def test_one_label_for_all_images_is_read_everywhere(captchas):
    images = captchas[0][:40]
    recognizer = fit(images, ["31"] * 40, max_iter=40)
    assert recognizer.predict(images).tolist() == ["31"] * 40


def test_lengths_of_1_and_30_train_together():
    images = stripes(6, 40) + stripes(6, 480)
    texts = ["7"] * 6 + ["0123456789" * 3] * 6
    recognizer = fit(images, texts, max_iter=2)
    lengths = [len(frames) for frames in recognizer.frame_log_proba(images)]
    assert min(lengths[6:]) >= 30


def test_a_label_that_cannot_fit_is_named():
    images = stripes(8, 24)
    with pytest.raises(ValueError, match=r"y\[3\]='9{200}' needs 399 and X\[3\]"):
        fit(images, ["1", "2", "3", "9" * 200, "1", "2", "3", "1"])


def test_a_vocabulary_of_5000_characters_trains():
    texts = [chr(0x4E00 + i) for i in range(5000)]
    labels = ["".join(texts[i : i + 25]) for i in range(0, 5000, 200)]
    images = stripes(len(labels), 400)
    recognizer = fit(images, labels, max_iter=1, vocabulary=texts)
    assert len(recognizer.vocabulary_) == 5000
    assert recognizer.frame_log_proba(images[:1])[0].shape[1] == 5001


@pytest.mark.parametrize(
    "texts, n_symbols",
    [
        (["a b", "b ab", "b a"], 3),
        (["e\u0301a", "ae\u0323\u0301", "x\u0301"], 4),
        (["שלום", "עולם", "בית"], 8),
        (["👩\u200d👩\u200d👧🇫🇷", "👍🏽", "🇫🇷👍"], 4),
        (["لا", "كتاب"], 5),
    ],
    ids=["spaces", "combining marks", "right to left", "emoji", "Arabic"],
)
def test_symbols_of_any_script_come_back_whole(texts, n_symbols):
    images = stripes(12, 64)
    recognizer = fit(images, texts * (12 // len(texts)), max_iter=1)
    assert len(recognizer.vocabulary_) == n_symbols
    whole = {unicodedata.normalize("NFC", t) for t in texts}
    read = recognizer.predict(images)
    assert all(isinstance(text, str) for text in read)
    symbols = {s for text in whole for s in recognizer.vocabulary_.split(text)}
    found = {s for text in read for s in recognizer.vocabulary_.split(text)}
    assert found <= symbols
    for text in whole:  # what is encoded is what was given
        vocabulary = recognizer.vocabulary_
        assert vocabulary.decode(vocabulary.encode(text)) == text


def test_all_images_that_cannot_be_read_are_named_at_once(captchas, tmp_path):
    images, texts = captchas[0][:24], captchas[1][:24]
    X = list(images)
    for i in range(1, 23, 2):
        X[i] = str(tmp_path / f"{i:02}.png")
    Path(X[3]).write_bytes(b"no image")
    message = (
        r"^X\[1\]='.*01\.png' does not .*X\[3\]='.*X\[19\]='.*19\.png'.*And 1 more"
    )
    with pytest.raises(FileNotFoundError, match=message):
        CaptchaRecognizer(**TINY).fit(X, texts)
    X[1:] = X[:-1]  # one only
    with pytest.raises(
        FileNotFoundError, match=r"^X\[2\]='.*01.png' does not exist; [^X]*$"
    ):
        CaptchaRecognizer(**TINY).fit([images[0], images[1], X[2]], texts[:3])


def test_a_label_that_is_too_long_is_named_with_its_file(captchas, tmp_path):
    path = tmp_path / "narrow.png"
    Image.fromarray(captchas[0][0][:, :12]).save(path)
    X, y = [*captchas[0][:3], path], ["ab", "cd", "ef", "abcdefghij" * 4]
    message = r"y\[3\]='abc.* needs 40 and X\[3\]='.*narrow\.png', of shape "
    with pytest.raises(ValueError, match=message):
        CaptchaRecognizer(**TINY).fit(X, y)
    X[3] = captchas[0][0][:, :12]
    with pytest.raises(ValueError, match=r"needs 40 and X\[3\], of shape"):
        CaptchaRecognizer(**TINY).fit(X, y)
