"""What scikit-learn's checks ask of tables, asked of images.

The transformers stand a suite of their own in tests/preprocessing.
"""

import copy

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from support.data import TINY
from support.forms import FORMS
from support.weights import changed_weights

from skcaptcha import CaptchaRecognizer

pytestmark = pytest.mark.filterwarnings("ignore:The network has not learned to read")

READERS = ["predict", "predict_confidence", "predict_topk", "frame_log_proba"]


# Parameters


def test_clone_is_unfitted_and_has_the_same_parameters(fitted):
    copied = clone(fitted)
    assert copied.get_params() == fitted.get_params()
    assert not hasattr(copied, "network_")
    recognizer = CaptchaRecognizer(max_iter=3, vocabulary="abc")
    assert repr(clone(recognizer)) == "CaptchaRecognizer(max_iter=3, vocabulary='abc')"


def test_the_constructor_keeps_its_arguments_as_they_are():
    values = {name: object() for name in CaptchaRecognizer().get_params()}
    recognizer = CaptchaRecognizer(**values)
    assert vars(recognizer) == values
    again = {name: object() for name in values}
    assert recognizer.set_params(**again) is recognizer
    assert vars(recognizer) == again


def test_fit_returns_the_estimator_and_leaves_its_parameters_alone(some):
    recognizer = CaptchaRecognizer(**{**TINY, "max_iter": 1, "conv_channels": [4, 4]})
    before = copy.deepcopy(recognizer.get_params())
    assert recognizer.fit(*some) is recognizer
    assert recognizer.partial_fit(*some) is recognizer
    assert recognizer.get_params() == before
    added = set(vars(recognizer)) - set(recognizer.get_params())
    assert added
    assert all(name.startswith("_") or name.endswith("_") for name in added)


# The same again


def test_the_same_fit_gives_the_same_weights(quick, some):
    a, b, c = (quick(random_state=seed, max_iter=2) for seed in (0, 0, 1))
    assert not changed_weights(a, b)
    assert a.loss_curve_ == b.loss_curve_ != c.loss_curve_
    assert not changed_weights(a, b.fit(*some))


def test_a_generator_as_random_state_goes_on_from_fit_to_fit(quick):
    generator = np.random.RandomState(0)
    a = quick(random_state=generator)
    b = quick(random_state=generator)
    assert a.loss_curve_ != b.loss_curve_
    assert quick(random_state=np.random.RandomState(0)).loss_curve_ == a.loss_curve_


def test_fit_and_predict_leave_global_generators_alone(quick, captchas):
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()
    recognizer = quick()
    for method in READERS:
        getattr(recognizer, method)(captchas[0][:4])
    quick(random_state=None)
    quick(early_stopping=True)
    recognizer.partial_fit(captchas[0][:4], captchas[1][:4])
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert np.array_equal(np.random.get_state()[1], numpy_state)


def test_global_seeds_do_not_change_a_fit(quick):
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()
    try:
        torch.manual_seed(1)
        np.random.seed(1)
        a = quick()
        torch.manual_seed(2)
        np.random.seed(2)
        assert not changed_weights(a, quick())
    finally:
        torch.set_rng_state(torch_state)
        np.random.set_state(numpy_state)


@pytest.mark.parametrize("n_jobs", [1, 2, -1])
def test_the_number_of_threads_that_decode_does_not_matter(
    quick, captchas, png_folder, n_jobs
):
    paths = [png_folder / f"{i}.png" for i in range(16)]
    serial = quick(paths, captchas[1][:16], n_jobs=1)
    parallel = quick(paths, captchas[1][:16], n_jobs=n_jobs)
    assert not changed_weights(serial, parallel)
    assert list(serial.predict_confidence(paths)) == list(
        parallel.predict_confidence(paths)
    )


# What goes in


@pytest.mark.parametrize("form", ["arrays", "stack", "memmap", "table"])
def test_input_is_left_as_it_was_also_where_it_is_read_only(
    quick, captchas, tmp_path, form
):
    expected = np.stack(captchas[0][:16])
    X = expected.copy()
    if form == "arrays":
        X = list(X)
        for image in X:
            image.flags.writeable = False
    elif form == "memmap":
        np.save(tmp_path / "X.npy", X)
        X = np.load(tmp_path / "X.npy", mmap_mode="r")
    elif form == "table":
        X = X.reshape(16, -1)
        X.flags.writeable = False
    else:
        X.flags.writeable = False
    y = np.array(captchas[1][:16])
    y.flags.writeable = False
    params = {"image_shape": (16, 48)} if form == "table" else {}
    recognizer = quick(X, y, **params)
    for method in READERS:
        getattr(recognizer, method)(X)
    recognizer.score(X, y)
    recognizer.partial_fit(X, y)
    assert np.array_equal(np.reshape(X, expected.shape), expected)
    assert list(y) == captchas[1][:16]


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_an_image_is_the_same(quick, fitted, captchas, png_folder, form):
    images, texts = captchas[0][:8], captchas[1][:8]
    X = FORMS[form]([str(png_folder / f"{i}.png") for i in range(8)])
    assert list(fitted.predict(X)) == list(fitted.predict(images))
    assert list(fitted.predict_confidence(X)) == list(fitted.predict_confidence(images))
    assert not changed_weights(quick(X, texts), quick(images, texts))
    assert fitted.score(X, texts) == fitted.score(images, texts)


@pytest.mark.parametrize(
    "make", [tuple, np.array, pd.Series, lambda y: np.array(y, dtype=object)[:, None]]
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.DataConversionWarning")
def test_every_form_of_labels_is_the_same(quick, captchas, make):
    images, texts = captchas[0][:8], captchas[1][:8]
    assert not changed_weights(quick(images, make(texts)), quick(images, texts))


# What comes out


def widen(images):
    """Images of differing widths."""
    rng = np.random.default_rng(0)
    return [
        np.pad(image, ((0, 0), (0, int(rng.integers(0, 60)))), constant_values=255)
        for image in images
    ]


@pytest.mark.filterwarnings("ignore::skcaptcha.exceptions.UnlikeTrainingWarning")
def test_order_and_company_of_the_images_do_not_matter(fitted, captchas):
    images = widen(captchas[0][:30])
    texts, confidence = fitted.predict(images), fitted.predict_confidence(images)
    order = np.random.default_rng(1).permutation(30)
    shuffled = [images[i] for i in order]
    assert list(fitted.predict(shuffled)) == list(texts[order])
    np.testing.assert_allclose(
        fitted.predict_confidence(shuffled), confidence[order], atol=1e-4
    )
    for i, image in enumerate(images):
        assert fitted.predict([image])[0] == texts[i]
        alone = fitted.predict_confidence([image])[0]
        assert alone == pytest.approx(confidence[i], abs=1e-4)
