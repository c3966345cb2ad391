"""The network: shapes, and independence of padding and of global state."""

import numpy as np
import pytest
import torch
from support.tensors import pad_images
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from skcaptcha.images._samples import Samples
from skcaptcha.images._tensors import StoredImage
from skcaptcha.model.network import (
    CRNN,
    TIME_STRIDE,
    BidirectionalLSTM,
    build_network,
    standardize,
)
from skcaptcha.model.normalization import MaskedBatchNorm2d, Padding
from skcaptcha.training import fit as _training

SHAPE = {
    "n_classes": 5,
    "in_channels": 1,
    "conv_channels": (4, 8, 8),
    "lstm_units": 6,
    "lstm_layers": 1,
    "dropout": 0.0,
    "pooling": False,
}


def make(**changes):
    return build_network({**SHAPE, **changes}, torch.Generator().manual_seed(0))


def random_images(widths, height=16, channels=1, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 256, (height, w, channels), dtype=np.uint8) for w in widths]


@pytest.mark.parametrize("height", [8, 9, 32, 50])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"in_channels": 3},
        {"lstm_layers": 0},
        {"lstm_layers": 2},
        {"conv_channels": (4, 4)},
        {"conv_channels": (4, 4, 4, 4, 4, 4, 4)},
        {"pooling": True},
    ],
)
def test_output_is_log_probabilities_for_each_time_step(changes, height):
    shape = {**SHAPE, **changes}
    network = make(**changes).eval()
    images = random_images([24, 24], height, shape["in_channels"])
    log_probs, lengths = network(*pad_images(images, "cpu"))
    assert log_probs.shape == (24 // TIME_STRIDE, 2, 5)
    assert lengths.tolist() == [6, 6]
    np.testing.assert_allclose(log_probs.exp().sum(-1).detach(), 1, rtol=1e-5)


@pytest.mark.parametrize(
    "changes",
    [
        {"lstm_layers": 0},
        {"lstm_layers": 2},
        {"pooling": True},
    ],
)
def test_an_image_reads_the_same_alone_and_padded_in_a_batch(changes):
    network = make(**changes).eval()
    images = random_images([16, 40, 64])
    together, lengths = network(*pad_images(images, "cpu"))
    for i, image in enumerate(images):
        alone, _ = network(*pad_images([image], "cpu"))
        np.testing.assert_allclose(
            together[: lengths[i], i].detach(), alone[:, 0].detach(), atol=1e-5
        )


def test_batch_norm_statistics_leave_padding_out():
    # The same two images, once as a batch and once side by side with padding between.
    images = random_images([16, 64])
    network = make().train()
    network(*pad_images(images, "cpu"))
    first = network.blocks[0]
    x = [standardize(pad_images([image], "cpu")[0]) for image in images]
    maps = [first.conv(v) for v in x]
    values = torch.cat([v.permute(1, 0, 2, 3).flatten(1) for v in maps], dim=1)
    np.testing.assert_allclose(
        first.norm.running_mean, 0.1 * values.mean(dim=1).detach(), rtol=1e-4
    )
    np.testing.assert_allclose(
        first.norm.running_var,
        0.9 + 0.1 * values.var(dim=1, correction=0).detach(),
        rtol=1e-4,
    )


def test_masked_and_plain_batch_norm_agree_without_padding():
    images, _ = pad_images(random_images([32, 32]), "cpu")
    results = []
    for widths in (None, torch.tensor([32, 32])):
        network = make().train()
        results.append(network(images, widths)[0].detach())
    np.testing.assert_allclose(*results, atol=1e-4)


def test_normalization_given_its_statistics_is_part_of_the_convolution():
    network = make().train()
    images, _ = pad_images(random_images([32, 32]), "cpu")
    network(images)  # moves the statistics
    block = network.blocks[1].eval()
    x = torch.randn(2, 4, 8, 16, generator=torch.Generator().manual_seed(0))
    expected = block.norm(block.conv(x))
    torch.testing.assert_close(block(x)[0], expected, rtol=1e-4, atol=1e-5)


def test_masked_batch_norm_is_that_of_the_columns_side_by_side():
    x = torch.randn(3, 4, 2, 5, generator=torch.Generator().manual_seed(0)) * 3 + 7
    widths = torch.tensor([5, 2, 3])
    padding = Padding(widths, 5, x.device)
    masked, plain = MaskedBatchNorm2d(4), nn.BatchNorm2d(4)
    for norm in (masked, plain):
        norm.weight.data = torch.tensor([1.0, -2.0, 0.5, 3.0])
        norm.bias.data = torch.tensor([0.0, 1.0, -1.0, 2.0])
    inputs = x.clone().requires_grad_(), x.clone().requires_grad_()
    y = masked(inputs[0] * 1, padding)  # overwrites what it gets
    columns = [i[:, :, :w] for i, w in zip(inputs[1], widths, strict=True)]
    alone = plain(torch.cat(columns, dim=2)[None]).relu()
    assert (y * (1 - padding.mask) == 0).all()
    own = torch.cat([i[:, :, :w] for i, w in zip(y, widths, strict=True)], dim=2)
    torch.testing.assert_close(own, alone[0], rtol=1e-4, atol=1e-5)
    (y * x).sum().backward()
    (alone[0] * torch.cat([i.detach() for i in columns], dim=2)).sum().backward()
    torch.testing.assert_close(inputs[0].grad, inputs[1].grad, rtol=1e-3, atol=1e-4)
    for name, parameter in masked.named_parameters():
        expected = plain.get_parameter(name).grad
        torch.testing.assert_close(parameter.grad, expected, rtol=1e-4, atol=1e-4)


def test_standardize_known_values():
    image = torch.tensor([[0.0, 10.0, 99.0]])[None, None]  # the last one is padding
    mask = torch.tensor([1.0, 1.0, 0.0])[None, None, None]
    # mean 5, standard deviation 5, one gray level added
    expected = torch.tensor([[-5 / 6, 5 / 6, 0.0]])[None, None]
    np.testing.assert_allclose(standardize(image, mask), expected, rtol=1e-6)
    plain = standardize(image[..., :2])
    np.testing.assert_allclose(plain, expected[..., :2], rtol=1e-6)


def test_standardize_keeps_an_empty_image_empty():
    image = torch.full((1, 3, 4, 8), 200, dtype=torch.uint8)
    assert standardize(image).abs().max() == 0


def test_contrast_and_brightness_hardly_change_what_is_read():
    network = make().eval()
    (image,) = random_images([40])
    dark = (image // 2).astype(np.uint8)
    a, _ = network(*pad_images([image], "cpu"))
    b, _ = network(*pad_images([dark], "cpu"))
    np.testing.assert_allclose(a.exp().detach(), b.exp().detach(), atol=0.03)


def test_building_leaves_the_global_generator_alone():
    torch.manual_seed(3)
    before = torch.get_rng_state()
    make(lstm_layers=2, dropout=0.5)
    assert torch.equal(torch.get_rng_state(), before)


def test_building_is_reproducible_and_follows_the_generator():
    a, b = make().state_dict(), make().state_dict()
    assert all(torch.equal(a[name], b[name]) for name in a)
    c = build_network(SHAPE, torch.Generator().manual_seed(1)).state_dict()
    assert not torch.equal(a["head.weight"], c["head.weight"])


def test_forget_gates_begin_open():
    for lstm in make().lstms[0].children():
        assert (lstm.bias_ih_l0[6:12] + lstm.bias_hh_l0[6:12]).tolist() == [1.0] * 6
        assert lstm.bias_ih_l0[:6].abs().max() == 0


def test_lstm_is_that_of_pytorch_on_packed_sequences():
    ours = BidirectionalLSTM(3, 4)
    theirs = nn.LSTM(3, 4, bidirectional=True)
    with torch.no_grad():
        for lstm, suffix in ((ours.ahead, ""), (ours.back, "_reverse")):
            for name, value in lstm.named_parameters():
                getattr(theirs, name + suffix).copy_(value)
    x, lengths = torch.randn(7, 3, 3), torch.tensor([2, 7, 1])
    packed = pack_padded_sequence(x, lengths, enforce_sorted=False)
    expected, _ = pad_packed_sequence(theirs(packed)[0])
    y = ours(x, lengths)
    for i, length in enumerate(lengths):
        torch.testing.assert_close(y[:length, i], expected[:length, i])


def test_dropout_draws_from_the_generator_and_only_while_training():
    network = make(dropout=0.5)
    batch, widths = pad_images(random_images([32, 32]), "cpu")

    def run(seed):
        return network(batch, widths, generator=torch.Generator().manual_seed(seed))[0]

    network.train()
    assert torch.equal(run(0), run(0))
    assert not torch.equal(run(0), run(1))
    network.eval()
    assert torch.equal(run(0), run(1))


def test_auxiliary_output_comes_from_the_convolutions_alone():
    network = make().eval()
    batch, widths = pad_images(random_images([32, 32]), "cpu")
    _, auxiliary, _ = network(batch, widths, auxiliary=True)
    assert auxiliary.shape == (8, 2, 5)
    with torch.no_grad():
        network.lstms[0].ahead.weight_hh_l0.zero_()
    assert torch.equal(auxiliary, network(batch, widths, auxiliary=True)[1])


def test_crnn_is_an_ordinary_module():
    network = CRNN(**SHAPE)
    network.load_state_dict(make().state_dict())
    assert sum(p.numel() for p in network.parameters()) > 1000


@pytest.mark.parametrize("widths", [[32, 32, 32], [32, 16, 48]])
@pytest.mark.parametrize("n_at_once", [2, 1000])
def test_images_on_the_device_make_the_batches_that_images_in_memory_make(
    monkeypatch, widths, n_at_once
):
    monkeypatch.setattr("skcaptcha.images._samples._AT_ONCE", n_at_once)
    images = random_images(widths)
    samples = Samples(images, [[1]] * 3).put_on(torch.device("cpu"))
    assert all(isinstance(image, StoredImage) for image in samples.images)
    batch, own = pad_images(samples.pick([2, 0]).images, torch.device("cpu"))
    expected, expected_own = pad_images([images[2], images[0]], torch.device("cpu"))
    assert torch.equal(batch, expected) and batch.dtype == torch.uint8
    assert own is expected_own or torch.equal(own, expected_own)


def test_a_gpu_gets_the_images_it_has_room_for(monkeypatch):
    samples = Samples(random_images([32, 32]), [[1], [1]])
    size = sum(image.size for image in samples.images)
    device = torch.device("cuda")
    for free, fits in (4 * size, True), (4 * size - 1, False):
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _, free=free: (free, 0))
        assert _training.fits_on_device(samples, device) is fits
    assert not _training.fits_on_device(samples, torch.device("cpu"))


def test_a_fit_from_images_on_the_device_finds_the_same_weights(monkeypatch, quick):
    in_memory = quick()
    monkeypatch.setattr(_training, "fits_on_device", lambda *_: True)
    assert quick().loss_curve_ == in_memory.loss_curve_
