"""The larger network: what it is, where it begins, and that all readers know it."""

import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone

from skcaptcha import CaptchaRecognizer
from skcaptcha._auto import choose_network_size
from skcaptcha.datasets import make_captchas
from skcaptcha.model.geometry import list_blocks
from skcaptcha.model.network import build_network
from skcaptcha.model.normalization import make_padding
from skcaptcha.model.prepared import prepare
from skcaptcha.model.pretrained import load_start, read_weights
from skcaptcha.vocabulary import Vocabulary

CONFIG = {
    "n_classes": 11,
    "in_channels": 1,
    "conv_channels": (8, 12, 16, 16),
    "lstm_units": 8,
    "lstm_layers": 1,
    "dropout": 0.0,
    "residual_blocks": 2,
}


def make_network(seed=0, **changed):
    return build_network(CONFIG | changed, torch.Generator().manual_seed(seed))


def make_images(seed=0, shape=(3, 1, 32, 64)):
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.integers(0, 256, shape).astype(np.uint8))


@pytest.fixture(scope="module")
def drawn():
    return make_captchas(
        60, vocabulary="abc123", length=3, size=(32, 80), random_state=0
    )


@pytest.fixture(scope="module")
def large(drawn):
    images, texts = drawn
    recognizer = CaptchaRecognizer(network_size="large", max_iter=6, random_state=0)
    return recognizer.fit(images[:40], texts[:40])


def test_blocks_that_keep_the_width_are_followed_by_residual_ones():
    assert list_blocks((8, 12, 16), 2) == [
        (8, True, False),
        (12, True, False),
        (16, False, False),
        (16, False, True),
        (16, False, True),
    ]
    assert [block.residual for block in make_network().blocks] == (
        [False] * 3 + [True] * 2 + [False] + [True] * 2
    )
    assert not any(block.residual for block in make_network(residual_blocks=0).blocks)


def test_a_residual_block_adds_to_what_it_is_given():
    block = make_network().eval().blocks[3]
    x = torch.randn(2, 16, 4, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        y, _ = block(x)
        assert ((y - x) >= 0).all() and (y - x).max() > 0.1  # after its ReLU
        block.norm.weight.zero_()
        block.norm.bias.zero_()
        torch.testing.assert_close(block(x)[0], x)


@pytest.mark.parametrize("training", [False, True])
def test_padding_changes_nothing(training):
    network, images = make_network().train(training), make_images()
    padded = torch.zeros(3, 1, 32, 96, dtype=torch.uint8)
    padded[..., :64] = images
    with torch.no_grad():
        alone, _ = network(images)
        found, lengths = network(padded, make_padding(padded, torch.full((3,), 64)))
    assert lengths.tolist() == [16] * 3
    torch.testing.assert_close(found[:16], alone, atol=1e-4, rtol=1e-4)


def test_the_prepared_network_computes_the_same():
    network = make_network().train()
    for seed in range(3):  # for running statistics that differ from the first ones
        network(make_images(seed))
    network.eval()
    images = make_images(9)
    widths = torch.tensor([64, 48, 32])
    with torch.no_grad():
        expected, lengths = network(images, widths)
        found, _ = prepare(network)(images, widths)
    for i, length in enumerate(lengths.tolist()):
        torch.testing.assert_close(
            found[:length, i], expected[:length, i], atol=1e-4, rtol=1e-4
        )


@pytest.mark.parametrize(("pooling", "number"), [(True, 1), (False, 2)])
def test_without_weights_of_its_own_it_begins_by_reading_as_the_small_one_does(
    pooling, number
):
    images, _ = make_captchas(
        6, vocabulary="0123456789", length=4, size=(40, 120), lines=0, random_state=0
    )
    images = torch.from_numpy(np.stack(images)[:, None])
    read = {}
    for residual_blocks in (0, number):
        config = CONFIG | {
            "conv_channels": (24, 48, 96, 128, 128),
            "lstm_units": 128,
            "pooling": pooling,
            "residual_blocks": residual_blocks,
        }
        generator = torch.Generator().manual_seed(0)
        start = load_start(config, Vocabulary("0123456789"), generator)
        with torch.no_grad():
            read[residual_blocks] = start.eval()(images)[0].argmax(2)
    same = (read[0] == read[number]).float().mean()
    assert same >= 0.95 and (read[0] > 0).any()


def test_it_learns_and_says_what_it_is(large, drawn):
    images, texts = drawn
    assert large.auto_choices_["network_size"] == "large"
    assert large.auto_choices_["start"] == "pretrained weights"
    assert len(large.network_.blocks) == 5 + 6
    assert large.score(images[40:], texts[40:]) >= 0.8


def test_it_comes_back_from_a_pickle(large, drawn):
    again = pickle.loads(pickle.dumps(large))
    np.testing.assert_array_equal(
        again.predict_confidence(drawn[0][40:]), large.predict_confidence(drawn[0][40:])
    )


def test_onnx_computes_the_same(large, drawn, tmp_path):
    export = pytest.importorskip("skcaptcha.export")
    pytest.importorskip("onnxruntime")
    export.export_onnx(large, tmp_path / "a.onnx")
    reader = export.load_onnx(tmp_path / "a.onnx")
    images = [*drawn[0][40:50], drawn[0][50][:, :60]]  # of two widths
    texts, confidence = reader.predict(images, return_confidence=True)
    np.testing.assert_array_equal(texts, large.predict(images))
    np.testing.assert_allclose(confidence, large.predict_confidence(images), atol=1e-4)


def test_a_saved_size_beyond_reason_is_refused(large):
    state = large.__getstate__()
    state["_network_config"] = state["_network_config"] | {"residual_blocks": 10**9}
    with pytest.raises(ValueError, match="damaged"):
        CaptchaRecognizer().__setstate__(state)


def test_auto_is_large_from_5000_images_on():
    assert choose_network_size(4999, 5, stuck=False) == "small"
    assert choose_network_size(5000, 5, stuck=False) == "large"
    # Blocks that know nothing yet could not learn.
    assert choose_network_size(5000, 5, stuck=True) == "small"
    assert choose_network_size(5000, 2, stuck=False) == "small"  # it would add none


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (
            {"conv_channels": (8, 16)},
            r"number 3 on, .*=\(8, 16\) has 2; give more",
        ),
        (
            {"freeze_convolutions": True, "downsampling": "stride"},
            "downsampling='stride', and freeze_convolutions=True keeps",
        ),
    ],
)
def test_a_large_network_that_would_be_a_small_one_is_refused(drawn, params, message):
    recognizer = CaptchaRecognizer(network_size="large", **params)
    with pytest.raises(ValueError, match=f"network_size='large' .*{message}"):
        recognizer.fit(*drawn)
    assert not hasattr(recognizer, "network_")


def test_pretrained_convolutions_of_a_large_network_can_be_kept(drawn):
    images, texts = drawn
    recognizer = CaptchaRecognizer(
        network_size="large", freeze_convolutions=True, max_iter=1, random_state=0
    )
    network = recognizer.fit(images[:10], texts[:10]).network_
    weights, _ = read_weights("large")
    assert any(block.residual for block in network.blocks)
    for name, values in network.named_parameters():
        if name.startswith("blocks.") and name != "blocks.0.conv.weight":  # gray
            assert torch.equal(values, weights[name]), name


def test_training_goes_on_at_the_same_size(large, drawn):
    images, texts = drawn
    further = clone(large)
    vars(further).update(vars(pickle.loads(pickle.dumps(large))))
    further.set_params(network_size="auto", warm_start=True, max_iter=1)
    further.fit(images[:10], texts[:10])
    assert further.auto_choices_["network_size"] == "large"
    further.set_params(network_size="small")
    with pytest.raises(
        ValueError, match=r"network_size='small' is not what .* 'large'"
    ):
        further.fit(images[:10], texts[:10])


def test_a_size_that_there_is_not_is_refused(drawn):
    with pytest.raises(ValueError, match="'network_size'"):
        CaptchaRecognizer(network_size="huge").fit(*drawn)
