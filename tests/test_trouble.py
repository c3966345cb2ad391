"""Numbers that are not finite, labels that do not fit, and a GPU that is too small."""

import copy
import itertools
import math
import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from support.data import TINY
from support.small_fits import NETWORK_CONFIG, generator
from support.tensors import pad_images

from skcaptcha import CaptchaRecognizer
from skcaptcha._auto import choose_stretch
from skcaptcha._torch_compat import AcceleratorError, OutOfMemoryError
from skcaptcha.exceptions import DeviceError
from skcaptcha.images._prepare import prepare_image
from skcaptcha.model.network import CRNN, TIME_STRIDE, build_network
from skcaptcha.model.prepared import PreparedNetwork
from skcaptcha.training.losses import ctc_loss
from skcaptcha.training.step import Trainer


def fail_in(monkeypatch, failing):
    """Let the updates of some numbers, from 1, fail."""
    train_step, calls = Trainer.train_step, itertools.count(1)

    def fail(trainer, *args):
        loss = train_step(trainer, *args)
        if next(calls) not in failing:
            return loss
        trainer.n_skipped_updates += 1
        return math.nan

    monkeypatch.setattr(Trainer, "train_step", fail)


# Numbers


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize("pretrained", [False, "auto"])
def test_training_that_diverges_at_once_is_an_error(captchas, method, pretrained):
    params = {} if pretrained else {**TINY, "pretrained": False}
    recognizer = CaptchaRecognizer(**params, max_iter=2, learning_rate_init=1e30)
    before = dict(vars(recognizer))
    with pytest.raises(
        ValueError,
        match=r"Training failed: in \d+ updates, .* not finite .* "
        r"Lower learning_rate_init=1e\+30; where",
    ):
        getattr(recognizer, method)(captchas[0][:32], captchas[1][:32])
    assert vars(recognizer) == before


def test_fine_tuning_at_a_rate_that_destroys_keeps_the_earlier_fit(fitted, captchas):
    recognizer = copy.deepcopy(fitted).set_params(warm_start=True, max_iter=2)
    recognizer.set_params(learning_rate_init=1e30)
    before = dict(vars(recognizer))
    for method in (recognizer.fit, recognizer.partial_fit):
        with pytest.raises(ValueError, match="Training failed"):
            method(captchas[0][:32], captchas[1][:32])
        assert vars(recognizer) == before
    read = recognizer.predict_confidence(captchas[0][:5])
    assert list(read) == list(fitted.predict_confidence(captchas[0][:5]))


def test_a_search_leaves_out_a_rate_that_destroys(captchas):
    search = GridSearchCV(
        CaptchaRecognizer(**TINY, max_iter=2),
        {"learning_rate_init": [1e-3, 1e30]},
        cv=2,
        refit=False,
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        search.fit(captchas[0][:32], captchas[1][:32])
    assert any("Training failed: in " in str(w.message) for w in caught)
    scores = search.cv_results_["mean_test_score"]
    assert np.isnan(scores).tolist() == [False, True]


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_skipped_updates_are_told(captchas, monkeypatch, method):
    fail_in(monkeypatch, {1})
    recognizer = CaptchaRecognizer(**TINY, max_iter=2)
    of_all = " of 8" if method == "fit" else ""
    match = rf"In 1{of_all} updates the loss or the gradients were not finite"
    with pytest.warns(ConvergenceWarning, match=match) as caught:
        getattr(recognizer, method)(captchas[0][:32], captchas[1][:32])
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert np.isfinite(recognizer.loss_curve_).all()


def test_an_epoch_of_partial_fit_that_ends_badly_starts_again(monkeypatch, captchas):
    fail_in(monkeypatch, {4})  # the last one
    recognizer = CaptchaRecognizer(**TINY)
    with pytest.warns(ConvergenceWarning, match="In 1 updates"):
        recognizer.partial_fit(captchas[0][:32], captchas[1][:32])
    assert recognizer.n_restarts_ == 1
    assert recognizer.n_iter_ == 1


# Labels


@pytest.mark.parametrize("fixed", [None, 2.0])
def test_a_label_that_is_not_refused_can_be_aligned(fixed):
    rng = np.random.default_rng(0)
    network = build_network(NETWORK_CONFIG, generator()).train()
    n_taken = 0
    for _ in range(300):
        shape = rng.integers(1, 80), rng.integers(1, 200)
        image = rng.integers(0, 256, shape, dtype=np.uint8)
        target = rng.integers(1, 3, rng.integers(1, 30))  # doubled ones among them
        height = int(rng.integers(8, 40))
        try:
            stretch = choose_stretch([shape], [target], ["x"], height, fixed=fixed)
        except ValueError:
            continue
        n_taken += 1
        image = prepare_image(
            image, height=height, stretch=stretch, color_mode="grayscale", name="X[0]"
        )
        needed = len(target) + np.count_nonzero(target[1:] == target[:-1])
        assert image.shape[1] // TIME_STRIDE >= needed
        if n_taken % 20 == 0:  # a label that does not fit would have the loss zero
            *heads, lengths = network(*pad_images([image], "cpu"), auxiliary=True)
            assert ctc_loss(heads[0], lengths, [target]).item() > 0
    assert n_taken > 50


# Memory


OUT_OF_MEMORY = [
    OutOfMemoryError("CUDA out of memory."),
    AcceleratorError("CUDA error: out of memory\nSearch for"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate`"),
]


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=str)
def test_a_fit_continues_in_parts_with_one_warning(captchas, monkeypatch, error):
    forward, sizes = CRNN.forward, []

    def fail(network, images, *args, **kwargs):
        sizes.append(len(images))
        if network.training and len(images) > 5:
            raise error
        return forward(network, images, *args, **kwargs)

    monkeypatch.setattr(CRNN, "forward", fail)
    recognizer = CaptchaRecognizer(**TINY, max_iter=3, batch_size=8)
    with pytest.warns(UserWarning) as caught:
        recognizer.fit(captchas[0][:32], captchas[1][:32])
    memory = [w for w in caught if "too little memory for 8 images" in str(w.message)]
    assert len(memory) == 1
    assert memory[0].filename == __file__
    assert sizes[:5] == [8, 4, 4, 4, 4]
    assert np.isfinite(recognizer.loss_curve_).all()


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=str)
def test_a_gpu_that_is_too_small_for_one_image_is_an_error(
    captchas, monkeypatch, error
):
    def fail(network, images, *args, **kwargs):
        raise error

    monkeypatch.setattr(CRNN, "forward", fail)
    recognizer = CaptchaRecognizer(**TINY, max_iter=2, batch_size=2)
    before = dict(vars(recognizer))
    for method in (recognizer.fit, recognizer.partial_fit):
        with pytest.raises(MemoryError, match="memory for a single image. Cut wide"):
            method(captchas[0][:4], captchas[1][:4])
        assert vars(recognizer) == before


LOST = AcceleratorError("CUDA error: unspecified launch failure\nSearch for")


def test_a_gpu_that_fails_in_a_fit_is_an_error_in_words(captchas, monkeypatch):
    forward, calls = CRNN.forward, []

    def fail(*args, **kwargs):
        calls.append(args)
        if len(calls) == 3:
            raise LOST
        return forward(*args, **kwargs)

    monkeypatch.setattr(CRNN, "forward", fail)
    recognizer = CaptchaRecognizer(**TINY, max_iter=3, batch_size=2)
    before = dict(vars(recognizer))
    for method in (recognizer.fit, recognizer.partial_fit):
        calls.clear()
        with pytest.raises(
            DeviceError, match=r"failed in training \(CUDA error: .*\)\. .* restart"
        ):
            method(captchas[0][:8], captchas[1][:8])
        assert vars(recognizer) == before


def test_a_gpu_that_fails_in_reading_is_an_error_in_words(
    fitted, captchas, monkeypatch
):
    X = captchas[0][:4]
    expected = fitted.predict(X)

    def fail(*args, **kwargs):
        raise LOST

    with monkeypatch.context() as patch:
        patch.setattr(CRNN, "forward", fail)
        patch.setattr(PreparedNetwork, "forward", fail)  # which reads
        for method in (fitted.predict, fitted.predict_topk, fitted.frame_log_proba):
            with pytest.raises(DeviceError, match="failed in reading .*'cpu'"):
                method(X)
        recognizer = CaptchaRecognizer(**TINY, max_iter=1, early_stopping=True)
        with pytest.raises(DeviceError, match="failed in training"):
            recognizer.fit(captchas[0][:8], captchas[1][:8])
    assert fitted.predict(X).tolist() == expected.tolist()
