"""The estimator as its users meet it."""

import copy
import math
import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from support.data import TINY
from support.training import forbid_training, interrupt_at

from skcaptcha import CaptchaRecognizer
from skcaptcha.exceptions import LabelConversionWarning, UnlikeTrainingWarning
from skcaptcha.model.network import TIME_STRIDE

pytestmark = pytest.mark.filterwarnings("ignore:The network has not learned to read")


def assert_same_frames(found, expected, atol=0.0):
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=atol)


# Learning


def test_learns_to_read_held_out_images(fitted, captchas):
    images, texts = captchas
    assert fitted.score(images[160:], texts[160:]) >= 0.9
    assert fitted.converged_
    read = fitted.predict(images[160:])
    assert read.shape == (40,)
    assert {type(text) for text in read} == {str}


def test_fitted_attributes(fitted, captchas):
    assert fitted.vocabulary_.characters == ("0", "1", "2", "3")
    assert fitted.n_iter_ == len(fitted.loss_curve_) <= 35
    assert fitted.loss_curve_[-1] < fitted.loss_curve_[0]
    assert len(fitted.learning_rate_curve_) == fitted.n_iter_
    assert fitted.validation_scores_ is None
    assert fitted.best_validation_score_ is None
    assert fitted.temperature_ == 1
    assert (fitted.image_height_, fitted.color_mode_) == (16, "grayscale")
    assert not hasattr(fitted, "n_features_in_")
    assert fitted.network_.auxiliary is None


def test_early_stopping_holds_out_and_keeps_the_best(captchas):
    recognizer = CaptchaRecognizer(
        max_iter=4, early_stopping=True, validation_fraction=0.2, **TINY
    ).fit(*captchas)
    assert len(recognizer.validation_scores_) == recognizer.n_iter_
    assert recognizer.best_validation_score_ == max(recognizer.validation_scores_)
    assert 1 <= recognizer.temperature_ <= 4


def test_a_network_that_learns_nothing_warns(captchas):
    images, texts = captchas
    recognizer = CaptchaRecognizer(max_iter=2, image_height=16, conv_channels=(4, 4))
    with pytest.warns(
        ConvergenceWarning,
        match=r"not learned to read in 2 epochs: \d+% of its time steps are blank, and "
        r"its loss is [\d.]+ a character, where guessing [^`]*- 8 images [^`]*`max_it",
    ):
        recognizer.fit(images[:8], texts[:8])
    assert not recognizer.converged_
    assert recognizer.predict(images[:2]).shape == (2,)


def test_integer_labels_are_told_before_time_is_spent(captchas, monkeypatch):
    forbid_training(monkeypatch)
    recognizer = CaptchaRecognizer(**TINY)
    for fit in (recognizer.fit, recognizer.partial_fit):  # warnings are errors here
        with pytest.raises(LabelConversionWarning, match="leading zeros are lost"):
            fit(captchas[0][:4], [1, 2, 3, 10])
    assert not hasattr(recognizer, "network_")


@pytest.mark.parametrize(("update", "n_epochs"), [(1, 0), (6, 2)])
def test_interrupt_warns_and_leaves_a_usable_estimator(
    captchas, monkeypatch, update, n_epochs
):
    images, texts = captchas
    interrupt_at(monkeypatch, update)
    recognizer = CaptchaRecognizer(
        max_iter=50, image_height=16, conv_channels=(4, 4), batch_size=8
    )
    match = f"interrupted in epoch {n_epochs + 1}; the best"
    with pytest.warns(UserWarning, match=match) as caught:
        recognizer.fit(images[:16], texts[:16])
    assert caught[0].filename == __file__
    assert recognizer.n_iter_ == len(recognizer.loss_curve_) == n_epochs
    assert recognizer.predict(images[:2]).shape == (2,)


def test_progress_bar_shows_loss_and_validation_score(quick, capsys):
    quick(verbose=1, early_stopping=True)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "loss " in shown.err  # in lines, as this is no terminal
    assert "validation exact match " in shown.err
    quick()
    assert capsys.readouterr().err == ""


# What goes in


def test_images_of_differing_size_train_together(quick):
    rng = np.random.default_rng(0)
    shapes = [(10, 30), (50, 200), (16, 5), (1, 1), (7, 300), (100, 20)] * 2
    images = [rng.integers(0, 256, shape, dtype=np.uint8) for shape in shapes]
    recognizer = quick(images, ["ab", "b"] * 6)
    assert len(recognizer.predict(images)) == 12


def test_color_is_used_where_there_is_some(quick, captchas):
    gray = captchas[0][:16]
    color = [np.dstack([image, 255 - image, image]) for image in gray]
    assert quick(gray).color_mode_ == "grayscale"
    recognizer = quick(color)
    assert recognizer.color_mode_ == "rgb"
    assert recognizer.network_.blocks[0].conv.in_channels == 3
    assert len(recognizer.predict(gray)) == 16  # gray ones still read
    assert quick(color, color_mode="grayscale").color_mode_ == "grayscale"
    assert quick(gray, color_mode="rgb").color_mode_ == "rgb"


def test_transparency_shows_the_background(quick, captchas):
    clear = [np.dstack([np.zeros_like(i)] * 3 + [255 - i]) for i in captchas[0][:16]]
    on_white = quick(clear)
    assert_same_frames(
        on_white.frame_log_proba(clear),
        on_white.frame_log_proba(captchas[0][:16]),
        atol=0.05,
    )
    assert quick(clear, background="red").color_mode_ == "rgb"


def test_rows_of_numbers_are_flattened_images(quick):
    X, y = load_digits(return_X_y=True)
    with pytest.warns(LabelConversionWarning) as caught:
        recognizer = quick(X[:40], y[:40])
    assert caught[0].filename.endswith("conftest.py")  # where fit is called
    with pytest.warns(LabelConversionWarning) as caught:
        recognizer.score(X[:4], y[:4])
    assert caught[0].filename == __file__
    assert recognizer.n_features_in_ == 64
    assert recognizer.feature_range_ == (0, 16)
    assert recognizer.vocabulary_.characters == tuple("0123456789")
    as_images = [
        np.rint(row.reshape(8, 8) * 255 / 16).astype(np.uint8) for row in X[:9]
    ]
    assert list(recognizer.predict(X[:9])) == list(recognizer.predict(as_images))
    with pytest.raises(ValueError, match="X has 63 features, but CaptchaRecognizer is"):
        recognizer.predict(X[:9, 1:])


def test_rows_have_the_shape_that_the_user_names(quick, captchas):
    rows = np.stack(captchas[0][:16]).reshape(16, -1)
    a = quick(rows, image_shape=(16, 48), random_state=3)
    b = quick(random_state=3)
    # Their range is stretched to 0 to 255, which standardization makes up for.
    assert a.loss_curve_ == pytest.approx(b.loss_curve_, rel=0.05)
    with pytest.raises(ValueError, match=r"image_shape=\(5, 5\) holds 25 numbers"):
        quick(rows, image_shape=(5, 5))


def test_a_fit_on_images_forgets_an_earlier_table(quick, captchas):
    rows = np.stack(captchas[0][:16]).reshape(16, -1)
    recognizer = quick(rows, image_shape=(16, 48))
    assert recognizer.image_shape_ == (16, 48)
    recognizer.fit(captchas[0][:16], captchas[1][:16])
    assert not hasattr(recognizer, "n_features_in_")
    with pytest.raises(ValueError, match="X is a 2-D array, .* fit was given images"):
        recognizer.predict(rows)


def test_a_table_of_paths_is_refused(quick):
    frame = pd.DataFrame({"path": ["a.png", "b.png"]})
    with pytest.raises(
        ValueError, match=r"holds 'a.png' where numbers should be; pass the colum"
    ):
        quick(frame, ["1", "2"])


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (pd.DataFrame({"a": [Path("a.png")] * 2}), "holds 'a.png' where numbers"),
        (pd.DataFrame({"a": [b"xyz"] * 2}), "holds <3 bytes> where numbers should be"),
        (pd.DataFrame({"n": [1, 2], "a": ["b.png"] * 2}), "holds 'b.png' where"),
        (pd.DataFrame({"a": [Image.new("L", (9, 9))] * 2}), "<PIL image, mode L, 9x9>"),
        (pd.DataFrame({"a": [np.zeros((9, 9))] * 2}), "<array, shape .* where numbers"),
        ([("a.png",), ("b.png",)], "a list of 2 lists that holds 'a.png'"),
        ([np.zeros((9, 9)).tolist()] * 2, "hold further lists; make an array of each"),
    ],
)
def test_tables_that_hold_images_are_refused_in_words(quick, X, message):
    with pytest.raises(ValueError, match=message):
        quick(X, ["1", "2"])


def test_rows_that_are_empty_in_all_images_are_not_read(quick, margins):
    X, y = margins
    cut = quick(X, y, image_height="auto")
    assert cut.image_height_ == 48
    top, bottom = cut.text_rows_
    first, end = math.floor(64 * top), math.ceil(64 * bottom)
    assert first <= 16 and 32 <= end  # where the text stands
    assert 32 <= end - first <= 34
    by_hand = quick([x[first:end] for x in X], y, image_height=48)
    assert by_hand.text_rows_ == (0.0, 1.0)
    found = cut.frame_log_proba(X)
    assert_same_frames(found, by_hand.frame_log_proba([x[first:end] for x in X]))
    assert quick(X, y, image_height=24).text_rows_ == (0.0, 1.0)  # as it is given
    # What stands there later changes nothing.
    X = [np.concatenate([x[:end], 255 - x[end:]]) for x in X]
    with pytest.warns(UnlikeTrainingWarning, match="40 of 40"):
        assert_same_frames(cut.frame_log_proba(X), found)


def test_the_rows_stay_where_training_goes_on(quick, margins, captchas):
    X, y = margins
    recognizer = quick(X, y, image_height="auto", warm_start=True)
    rows = recognizer.text_rows_
    assert rows != (0.0, 1.0)
    recognizer.fit([np.rot90(x, 2) for x in X], y)
    recognizer.partial_fit(*(values[:8] for values in captchas))
    assert recognizer.text_rows_ == rows
    copy = pickle.loads(pickle.dumps(recognizer))
    assert copy.text_rows_ == rows
    np.testing.assert_array_equal(copy.predict(X), recognizer.predict(X))


def test_narrow_images_are_widened_for_long_labels(quick):
    images = [np.full((16, 16), 255, dtype=np.uint8)] * 4
    recognizer = quick(images, ["aabbcc", "abc", "abc", "abc"])
    # 6 characters and 3 repeats do not fit into the 4 time steps of 16 columns.
    assert recognizer.width_stretch_ > 2
    steps = len(recognizer.frame_log_proba(images[:1])[0])
    assert steps >= 9


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_batches_of_any_size_train(quick, captchas, batch_size):
    recognizer = quick(captchas[0][:8], ["11", "1"] * 4, batch_size=batch_size)
    assert np.isfinite(recognizer.loss_curve_).all()


# What comes out


def test_confidence_is_the_ctc_probability_of_the_text(fitted, captchas):
    images = captchas[0][:20]
    fitted = copy.copy(fitted).set_params(multi_scale=False)
    frames = fitted.frame_log_proba(images)
    texts = fitted.predict(images)
    for image_frames, text, confidence in zip(
        frames, texts, fitted.predict_confidence(images), strict=True
    ):
        loss = torch.nn.functional.ctc_loss(
            torch.from_numpy(image_frames)[:, None].double(),
            torch.from_numpy(fitted.vocabulary_.encode(text))[None],
            torch.tensor([len(image_frames)]),
            torch.tensor([len(text)]),
            reduction="sum",
        )
        assert confidence == pytest.approx(math.exp(-loss), abs=1e-6)


def test_frames_are_normalized_and_follow_the_width(fitted, captchas):
    image = captchas[0][0]
    wide = np.pad(image, ((0, 0), (0, 48)), constant_values=255)
    (short,) = fitted.frame_log_proba([image])
    with pytest.warns(UnlikeTrainingWarning, match="1 of 1"):
        (long,) = fitted.frame_log_proba([wide])
    assert (len(short), len(long)) == (48 // TIME_STRIDE, 96 // TIME_STRIDE)
    np.testing.assert_allclose(np.exp(short).sum(axis=1), 1, rtol=1e-5)


def test_topk_begins_with_the_beam_result(fitted, captchas):
    images = captchas[0][:10]
    beam = pickle.loads(pickle.dumps(fitted)).set_params(decoder="beam")
    ranked = fitted.predict_topk(images, k=3)
    assert [row[0][0] for row in ranked] == list(beam.predict(images))
    with pytest.raises(ValueError, match="'decoder' parameter"):
        beam.set_params(decoder="Beam").predict(images)


def test_doubled_letters_survive(fitted, captchas):
    doubled = [i for i, text in enumerate(captchas[1]) if text[0] == text[1]]
    read = fitted.predict([captchas[0][i] for i in doubled])
    assert len(doubled) > 20
    assert np.mean(read == [captchas[1][i] for i in doubled]) > 0.9


# Bad input


@pytest.mark.parametrize(
    ("params", "match"),
    [
        ({"image_height": 4}, "'image_height' parameter of CaptchaRecognizer must be"),
        ({"color_mode": "blue"}, "'color_mode' parameter .* Got 'blue'"),
        ({"dropout": 1.0}, "'dropout' parameter"),
        ({"batch_size": 0}, "'batch_size' parameter"),
        ({"max_iter": 0}, "'max_iter' parameter"),
        ({"learning_rate_init": 0.0}, "'learning_rate_init' parameter"),
        ({"validation_fraction": 1.0}, "'validation_fraction' parameter"),
        ({"augmentation": -1}, "'augmentation' parameter"),
        ({"decoder": "best"}, "'decoder' parameter"),
        ({"beam_width": 0}, "'beam_width' parameter"),
        ({"random_state": "x"}, "'random_state' parameter"),
        ({"random_state": -1}, r"'random_state' parameter .* \[0, 2\*\*32 - 1\]"),
        ({"vocabulary": {"0", "1"}}, "'vocabulary' parameter"),
        ({"vocabulary": "01\n"}, r"vocabulary=.* holds '\\n' \(a control character\)"),
        ({"conv_channels": (8,)}, r"conv_channels=\(8,\); pass from 2 to 12 integers"),
        ({"conv_channels": (8, 0)}, r"conv_channels=\(8, 0\); pass"),
        ({"device": "gpu"}, "device='gpu' is unknown; use 'auto', 'cpu', 'cuda'"),
        ({"device": "meta"}, "device='meta' is not supported; use"),
        ({"background": "wite"}, "wite"),
        ({"n_jobs": 0}, "n_jobs=0"),
        ({"vocabulary": ""}, "vocabulary='': `characters` is empty"),
        ({"vocabulary": ["0", "0"]}, "vocabulary=.* occurs twice"),
        (
            {"vocabulary": "012"},
            r"y\[\d+\]='\d*3\d*' contains '3', which is not in the vocabulary '012'",
        ),
        ({"early_stopping": True, "validation_fraction": 0.99}, "leaves 0 to train on"),
    ],
)
def test_bad_parameters_are_named_before_training(params, match, captchas, monkeypatch):
    forbid_training(monkeypatch)
    recognizer = CaptchaRecognizer(**params)
    before = dict(vars(recognizer))
    with pytest.raises(ValueError, match=match):
        recognizer.fit(*(values[:20] for values in captchas))
    assert vars(recognizer) == before


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_cuda_where_there_is_none(captchas):
    with pytest.raises(
        ValueError, match="device='cuda' does not exist: this machine has"
    ):
        CaptchaRecognizer(device="cuda").fit(*(values[:8] for values in captchas))


def test_bad_samples_are_named_before_training(captchas, monkeypatch):
    forbid_training(monkeypatch)
    images, texts = list(captchas[0][:4]), list(captchas[1][:4])
    cases = [
        ([], [], ValueError, "X is empty"),
        (images, None, ValueError, "requires y to be passed, but the target y is None"),
        (images[:1], texts[:1], ValueError, "n_samples=1 is too few"),
        (images[0], texts, ValueError, "X has 16 images and y has 4 labels"),
        ("a.png", texts, TypeError, "X='a.png' is a single item"),
        (np.array([[1.0, np.nan]] * 4), texts, ValueError, "Input X contains NaN"),
        (scipy.sparse.csr_array(np.eye(4)), texts, TypeError, "Sparse data was passed"),
    ]
    recognizer = CaptchaRecognizer()
    before = dict(vars(recognizer))
    for X, y, error, match in cases:
        with pytest.raises(error, match=match):
            recognizer.fit(X, y)
        assert vars(recognizer) == before


def test_the_background_of_a_fit_is_no_list_of_the_user(quick):
    color = [255, 255, 255]
    recognizer = quick(background=color)
    color[0] = 0
    assert recognizer.background_ == (255, 255, 255)


def test_partial_fit_checks_parameters_first(some):
    with pytest.raises(ValueError, match="'checkpoint' parameter"):
        CaptchaRecognizer(checkpoint=5).partial_fit(*some)
    with pytest.raises(ValueError, match="'early_stopping' parameter"):
        CaptchaRecognizer(early_stopping="no").partial_fit(*some)
