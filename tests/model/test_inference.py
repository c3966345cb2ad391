"""Reading with a trained network, in batches, and on a GPU that is too small."""

import itertools

import numpy as np
import pytest
from support.small_fits import NETWORK_CONFIG, generator, samples

from skcaptcha._torch_compat import OutOfMemoryError
from skcaptcha.model import inference
from skcaptcha.model.inference import halve_batch, run_network
from skcaptcha.model.network import build_network


def test_wide_images_are_read_in_smaller_batches(monkeypatch):
    monkeypatch.setattr(inference, "MAX_COLUMNS", 64)
    network = build_network(NETWORK_CONFIG, generator()).eval()
    images = [np.zeros((8, w, 1), np.uint8) for w in (16, 100, 16, 32, 16, 16)]
    batches = [positions for positions, _, _ in run_network(network, images)]
    assert sorted(itertools.chain(*batches)) == list(range(6))
    assert max(map(len, batches)) == 1


def test_run_network_reads_each_image_once_whatever_the_batch_size():
    network = build_network(NETWORK_CONFIG, generator()).eval()
    rng = np.random.default_rng(0)
    images = [
        rng.integers(0, 256, (8, 4 * w, 1), dtype=np.uint8) for w in (5, 2, 9, 2, 7)
    ]
    results = []
    for batch_size in (1, 2, 64):
        frames = [None] * len(images)
        for positions, log_probs, lengths in run_network(network, images, batch_size):
            for column, position in enumerate(positions):
                frames[position] = log_probs[: lengths[column], column]
        assert [len(f) for f in frames] == [5, 2, 9, 2, 7]
        results.append(np.concatenate(frames))
    np.testing.assert_allclose(results[0], results[1], atol=1e-5)
    np.testing.assert_allclose(results[0], results[2], atol=1e-5)


def test_reading_goes_on_in_parts():
    network = build_network(NETWORK_CONFIG, generator()).eval()
    images = samples(11).images

    def read(notices):
        frames = {}
        for positions, log_probs, lengths in run_network(
            network, images, 8, notices=notices
        ):
            for column, position in enumerate(positions):
                frames[position] = log_probs[: lengths[column], column]
        return np.stack([frames[i] for i in range(11)])

    expected = read(None)
    forward, limit, notices = network.forward, 3, []

    def fail(images, *args, **kwargs):
        if len(images) > limit:  # as on a small GPU
            raise OutOfMemoryError("CUDA out of memory.")
        return forward(images, *args, **kwargs)

    network.forward = fail
    np.testing.assert_allclose(read(notices), expected, atol=1e-5)
    assert {category for _, category in notices} == {UserWarning}
    assert "too little memory for 8 images at once" in notices[0][0]
    limit = 0
    with pytest.raises(MemoryError, match="single image"):
        read(notices)


def test_half_of_an_odd_batch_is_rounded_up():
    for size, half in [(2, 1), (3, 2), (64, 32), (65, 33)]:
        found, message = halve_batch(size)
        assert found == half
        assert f"for {size} images at once; they are computed {half} at" in message
