"""SamplesDisplay: images with their labels."""

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits
from support.pictures import draw, find_faults

from skcaptcha.datasets import make_captchas
from skcaptcha.exceptions import ImageReadError
from skcaptcha.plotting import SamplesDisplay

pytestmark = pytest.mark.usefixtures("close_figures")


def labels(display):
    return [ax.get_title(loc="left") for ax in display.axes_]


def pixels(display):
    return [ax.images[0].get_array()[0, 0] for ax in display.axes_]


@pytest.fixture
def paths(tmp_path):
    """Files of images that are each of one gray, their place in the list."""
    files = [tmp_path / f"{i}.png" for i in range(18)]
    for i, path in enumerate(files):
        Image.new("L", (30, 10), i).save(path)
    return files


def test_the_first_images_are_shown_with_their_labels(paths):
    y = [f"n{i}" for i in range(18)]
    display = SamplesDisplay.from_samples(paths, y)
    assert labels(display) == y[:16] == display.texts
    assert pixels(display) == list(range(16))


def test_only_the_images_shown_are_read(paths):
    paths[5].unlink()
    assert pixels(SamplesDisplay.from_samples(paths, max_images=5)) == [0, 1, 2, 3, 4]
    with pytest.raises(FileNotFoundError, match=r"X\[5\]=.*5.png"):
        SamplesDisplay.from_samples(paths, max_images=6)


def test_labels_go_with_their_images_however_they_are_shuffled(paths):
    y = [str(i) for i in range(18)]
    options = {"shuffle": True, "random_state": 1, "max_images": 5}
    display = SamplesDisplay.from_samples(paths, y, **options)
    assert labels(display) == [str(pixel) for pixel in pixels(display)] != y[:5]
    assert SamplesDisplay.from_samples(paths, y, **options).texts == display.texts


def test_without_labels_there_is_no_room_for_them(paths):
    display = SamplesDisplay.from_samples(paths[:8], max_images=None)
    assert draw(display.figure_)[0] == []
    with_labels = SamplesDisplay.from_samples(paths[:8], ["ab"] * 8)
    assert display.figure_.get_figheight() < with_labels.figure_.get_figheight()


def test_labels_that_would_not_be_seen_are_quoted(paths):
    display = SamplesDisplay.from_samples(paths[:4], ["", " a", "\u4e2d", "$x_1$"])
    assert labels(display) == ["''", "' a'", r"'\u4e2d'", "$x_1$"]
    assert find_faults(display.figure_) == []


def test_rows_of_a_table_are_images():
    X = np.repeat([[0.0], [0.5], [1.0]], 8, axis=1)
    display = SamplesDisplay.from_samples(X, np.array([7, 8, 9]), image_shape=(2, 4))
    assert [image.shape for image in display.images] == [(2, 4)] * 3
    assert pixels(display) == [0, 128, 255]
    assert labels(display) == ["7", "8", "9"]


def test_a_lone_image_is_no_table():
    (image,), _ = make_captchas(1, random_state=0)
    with pytest.raises(TypeError, match=r"a single image; put it into a list: \[X\]"):
        SamplesDisplay.from_samples(image)
    assert len(SamplesDisplay.from_samples([image]).images) == 1
    # Who says how its rows are to be taken, has a table.
    rows = SamplesDisplay.from_samples(image, image_shape=(1, image.shape[1]))
    assert len(rows.images) == 16


def test_a_table_is_no_lone_image():
    images, texts = make_captchas(16, size=(20, 50), random_state=0)
    table = np.stack(images).reshape(16, -1)
    display = SamplesDisplay.from_samples(table)
    assert [image.size for image in display.images] == [1000] * 16
    assert len(SamplesDisplay.from_samples(table, texts).images) == 16
    assert len(SamplesDisplay.from_samples(load_digits().data[:16]).images) == 16


def test_transparent_pixels_show_the_background():
    clear = np.zeros((10, 30, 4), dtype=np.uint8)
    display = SamplesDisplay.from_samples([clear], background="black")
    assert (display.images[0] == 0).all()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"X": []}, ValueError, "X is empty; at least one image"),
        ({"X": "captchas"}, TypeError, "X='captchas' is a single item"),
        ({"X": [b""]}, ImageReadError, r"X\[0\]=<0 bytes>"),
        ({"X": np.ones((2, 7)), "image_shape": (2, 4)}, ValueError, "image_shape=.*7"),
        ({"X": np.full((2, 4), np.nan)}, ValueError, "X contains NaN"),
        ({"X": np.array([["a", "b"]])}, ValueError, "X is a table .* that holds 'a'"),
        ({"y": ["a"]}, ValueError, "X has 2 images and y has 1 labels"),
        ({"y": ["a", None]}, TypeError, r"y\[1\]=None is NoneType, not str"),
        ({"max_images": 0}, ValueError, "max_images=0 must be an int of at least 1"),
        ({"n_columns": "4"}, ValueError, "n_columns='4' must be an int"),
    ],
)
def test_bad_input_is_named(arguments, error, message):
    arguments = {"X": [np.zeros((10, 30))] * 2, **arguments}
    with pytest.raises(error, match=message):
        SamplesDisplay.from_samples(**arguments)


@pytest.mark.parametrize(
    ("images", "texts", "message"),
    [
        ([], None, "images is empty"),
        ([np.zeros((4, 9), np.uint8)], ["a", "b"], "texts has 2 items and there are 1"),
    ],
)
def test_what_does_not_belong_together_is_named(images, texts, message):
    with pytest.raises(ValueError, match=message):
        SamplesDisplay(images, texts).plot()
