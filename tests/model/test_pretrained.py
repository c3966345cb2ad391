"""The weights that ship with the package, and fits that start from them."""

from importlib.resources import files

import numpy as np
import pytest
import torch
from safetensors import safe_open
from support.data import make_easy
from support.tensors import pad_images
from support.weights import changed_weights

from skcaptcha import CaptchaRecognizer
from skcaptcha.datasets import make_captchas
from skcaptcha.model.pretrained import (
    FORMS,
    dequantize,
    load_start,
    load_whole,
    read_weights,
)

WEIGHTS = [
    files("skcaptcha.model") / f"pretrained_{size}.safetensors" for size in FORMS
]


def load(symbols="abc", generator=None, **changes):
    shape = {
        "n_classes": len(symbols) + 1,
        "in_channels": 1,
        "conv_channels": (24, 48, 96, 128, 128),
        "pooling": True,
        "residual_blocks": 0,
        "lstm_units": 128,
        "lstm_layers": 1,
        "dropout": 0.0,
        **changes,
    }
    generator = torch.Generator().manual_seed(0) if generator is None else generator
    return load_start(shape, symbols, generator)


def read(network, images):
    with torch.inference_mode():
        return network.eval()(*pad_images(images, "cpu"))[0]


@pytest.fixture(scope="module")
def images():
    images, _ = make_captchas(4, size=(32, 96), random_state=0)
    return [image[:, :, None] for image in images]


def test_the_weights_are_small_and_say_what_they_read():
    assert sum(len(path.read_bytes()) for path in WEIGHTS) <= 4_000_000
    for path in WEIGHTS:
        with safe_open(str(path), "numpy") as weights:
            assert set("09azAZ") < set(weights.metadata()["characters"])
            assert all(np.isfinite(weights.get_tensor(k)).all() for k in weights.keys())


def test_weights_of_8_bits_are_multiplied_by_their_scales():
    tensors = {
        "a.weight": torch.tensor([[127, -64], [0, 1]], dtype=torch.int8),
        "a.weight.scale": torch.tensor([[0.5], [2.0]], dtype=torch.float16),
        "a.bias": torch.tensor([1.5], dtype=torch.float16),
    }
    weights = dequantize(tensors)
    assert set(weights) == {"a.weight", "a.bias"}
    assert weights["a.weight"].tolist() == [[63.5, -32.0], [0.0, 2.0]]
    assert weights["a.bias"].tolist() == [1.5]
    assert {tensor.dtype for tensor in weights.values()} == {torch.float32}


@pytest.mark.parametrize("form", FORMS)
def test_a_whole_network_reads_as_the_start_of_a_fit(form, images):
    known = read_weights(form)[1]
    network, config = load_whole(form, known + "§")
    assert config["n_classes"] == len(known) + 2
    assert not network.training and network.auxiliary is None
    color = [np.repeat(image, 3, axis=2) for image in images]
    found = read(network, color)
    assert found[..., -1].max() < -20  # it knows nothing of that character
    other = load(known, in_channels=3, **FORMS[form])
    torch.testing.assert_close(found[..., :-1], read(other, color))


@pytest.mark.parametrize("form", FORMS)
def test_a_whole_network_may_have_some_characters_alone(form, images):
    known = read_weights(form)[1]
    color = [np.repeat(image, 3, axis=2) for image in images]
    network, _ = load_whole(form, "7§a")
    found = read(network, color)
    everything = read(load_whole(form, known)[0], color)
    columns = [0, *(known.index(c) + 1 for c in "7a")]
    expected = torch.log_softmax(everything[..., columns], dim=-1)
    torch.testing.assert_close(found[..., [0, 1, 3]], expected, rtol=1e-4, atol=1e-4)


def test_a_gray_image_reads_the_same_in_gray_and_in_color(images):
    gray = read(load(), images)
    color = read(load(in_channels=3), [np.repeat(i, 3, axis=2) for i in images])
    torch.testing.assert_close(gray, color, rtol=1e-3, atol=1e-3)


def test_characters_take_their_own_weights_in_any_order(images):
    network, turned = load("ab7"), load("7é" + "ba")
    for name in ("head.weight", "head.bias"):
        mine, theirs = network.state_dict()[name], turned.state_dict()[name]
        torch.testing.assert_close(mine[[0, 3, 2, 1]], theirs[[0, 1, 3, 4]])


def test_the_convolutions_learn_by_a_head_of_their_own(drawn):
    """It begins at random, also for characters that the weights know."""
    network, other = load("ab"), load("ab", generator=torch.Generator().manual_seed(1))
    assert network.auxiliary.out_features == 3
    assert not torch.equal(network.auxiliary.weight, other.auxiliary.weight)
    torch.testing.assert_close(network.head.weight, other.head.weight)
    recognizer = CaptchaRecognizer(max_iter=1, random_state=0).fit(*drawn[::2])
    assert recognizer.network_.auxiliary is None


@pytest.mark.parametrize(
    "changes",
    [
        {"conv_channels": (24, 48, 96, 128)},
        {"conv_channels": (24, 48, 96, 128, 64)},
        {"conv_channels": (24, 48, 96, 128, 128, 128)},
        {"lstm_units": 64},
        {"lstm_layers": 0},
        {"lstm_layers": 2},
    ],
)
def test_a_network_of_another_form_does_not_take_them(changes, captchas):
    assert load(**changes) is None
    X, y = captchas[:2]
    with pytest.raises(
        ValueError, match="pretrained=True needs a network with weights"
    ):
        CaptchaRecognizer(pretrained=True, **changes).fit(X, y)


@pytest.fixture(scope="module")
def drawn():
    X, y = make_captchas(
        60, vocabulary="abc123", length=3, size=(32, 80), random_state=5
    )
    return X[:20], X[20:], y[:20], y[20:]


@pytest.mark.slow
def test_twenty_images_are_enough_where_scratch_reads_nothing(drawn):
    X, X_test, y, y_test = drawn
    params = {"max_iter": 12, "batch_size": 4, "random_state": 0}
    recognizer = CaptchaRecognizer(pretrained=True, **params).fit(X, y)
    assert recognizer.score(X_test, y_test) > 0.9
    assert not changed_weights(recognizer, CaptchaRecognizer(**params).fit(X, y))
    scratch = CaptchaRecognizer(pretrained=False, **params)
    with pytest.warns(match="has not learned to read"):
        scratch.fit(X, y)
    assert scratch.score(X_test, y_test) < 0.2


@pytest.mark.slow
def test_characters_that_they_do_not_know_are_learned():
    X, y = make_easy(90, "?=+&#", seed=6)
    recognizer = CaptchaRecognizer(random_state=0, max_iter=20).fit(X[:60], y[:60])
    assert recognizer.converged_
    assert recognizer.score(X[60:], y[60:]) > 0.8


def test_pretrained_convolutions_may_stay_as_they_are(drawn):
    X, X_test, y, y_test = drawn
    recognizer = CaptchaRecognizer(
        freeze_convolutions=True, max_iter=10, random_state=0
    ).fit(X, y)
    given = load("123abc").state_dict()
    for name, value in recognizer.network_.state_dict().items():
        if name.startswith("blocks") and "num_batches" not in name:
            assert torch.equal(value, given[name])
    assert recognizer.score(X_test, y_test) > 0.7


def test_partial_fit_starts_from_them(drawn):
    X, X_test, y, y_test = drawn
    recognizer = CaptchaRecognizer(random_state=0, batch_size=4)
    for _ in range(8):
        recognizer.partial_fit(X, y)
    assert recognizer.score(X_test, y_test) > 0.5
