"""The real sets, where they are at hand."""

import numpy as np
import pytest

from skcaptcha import CaptchaRecognizer
from skcaptcha.datasets import load_image_folder, load_labels_csv
from skcaptcha.images import has_color, read_images

pytestmark = pytest.mark.slow


@pytest.fixture
def find_archive(data_dir):
    def find(name):
        path = data_dir / name
        if not path.is_file():
            pytest.skip(f"{path} is absent")
        return path

    return find


def test_captcha_images_v2_is_learned_in_a_few_epochs(find_archive):
    images, texts = load_image_folder(find_archive("captcha_images_v2.zip"))
    assert len(images) == len(texts) == 1040
    assert {len(text) for text in texts} == {5}
    order = np.random.RandomState(0).permutation(1040)
    train, test = order[:200], order[200:300]
    recognizer = CaptchaRecognizer(max_iter=20, random_state=0)
    recognizer.fit([images[i] for i in train], [texts[i] for i in train])
    assert recognizer.converged_
    assert (recognizer.image_height_, recognizer.color_mode_) == (40, "grayscale")
    assert len(recognizer.vocabulary_) == 19
    # All that is asked here is that it reads; how well is for the benchmark to say.
    score = recognizer.score([images[i] for i in test], [texts[i] for i in test])
    assert score > 0.3


def test_labels_of_a_name_up_to_the_last_dash(find_archive):
    images, texts = load_image_folder(
        find_archive("cs4243.zip"), label=r"(.+)-\d+$", pattern="test/*"
    )
    assert len(images) == 2000
    assert {len(text) for text in texts} == {4, 5, 6, 7, 8}
    read = read_images(images[:50])
    assert has_color(read)
    assert {image.shape[0] for image in read} == {80}
    # Transparent pixels are white, not black.
    assert np.median([np.median(image) for image in read]) == 255


def test_labels_of_a_table(find_archive):
    images, texts = load_labels_csv(find_archive("digits4.zip"))
    assert len(images) == len(texts) == 4099
    assert {len(text) for text in texts} == {4}
    assert set("".join(texts)) == set("0123456789")
    assert has_color(read_images(images[:50]))
