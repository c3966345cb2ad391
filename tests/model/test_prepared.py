"""The network that reads is prepared: the same sums, faster, and never stale."""

import copy
import gc
import pickle
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from support.small_fits import NETWORK_CONFIG, generator
from torch.nn import functional

from skcaptcha._threads import start_computing
from skcaptcha.model import prepared
from skcaptcha.model.inference import run_network
from skcaptcha.model.network import build_network, for_reading
from skcaptcha.model.prepared import PreparedNetwork, convolve, max_pool, prepare


def make_network(*, pooling=True, negative=False, conv_channels=(4, 8, 8, 8, 8)):
    """Return a network whose normalization differs from channel to channel."""
    config = {**NETWORK_CONFIG, "pooling": pooling, "conv_channels": conv_channels}
    network = build_network(config, generator())
    with torch.no_grad():
        for block in network.blocks:
            norm = block.norm
            for values, low, high in (
                (norm.weight, -1.5 if negative else 0.5, 1.5),
                (norm.bias, -0.5, 0.5),
                (norm.running_mean, -0.5, 0.5),
                (norm.running_var, 0.2, 2.0),
            ):
                values.uniform_(low, high, generator=generator(len(values)))
    return for_reading(network)


def draw(widths, height=24, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 256, (height, w, 1), dtype=np.uint8) for w in widths]


def read(network, images, batch_size=None):
    """Return the log-probabilities (T, K) of each image."""
    frames = [None] * len(images)
    for positions, log_probs, lengths in run_network(network, images, batch_size):
        for column, position in enumerate(positions):
            frames[position] = log_probs[: lengths[column], column]
    return frames


def assert_same(found, expected):
    assert [len(f) for f in found] == [len(f) for f in expected]
    np.testing.assert_allclose(
        np.concatenate(found), np.concatenate(expected), atol=1e-5
    )


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("pooling", [True, False])
@pytest.mark.parametrize("negative", [False, True])
@pytest.mark.parametrize("height", [16, 24, 40, 57])
def test_a_prepared_network_reads_what_the_network_reads(pooling, negative, height):
    network = make_network(pooling=pooling, negative=negative)
    images = draw([16, 40, 100, 40, 64], height)
    expected = read(network, images)
    for batch_size in (None, 1, 2):
        assert_same(read(prepare(network), images, batch_size), expected)


@pytest.mark.parametrize("height", [1, 2, 3, 6, 7])
@pytest.mark.parametrize("size", [(2, 1), (2, 2)])
def test_max_pool_takes_the_greatest(height, size):
    x = torch.randn(2, 3, height, 8, generator=generator())
    expected = functional.max_pool2d(x, size, ceil_mode=True)
    assert torch.equal(max_pool(x, size), expected)


def test_convolve_needs_no_onednn(monkeypatch):
    x, weight = torch.randn(1, 2, 6, 8), torch.randn(4, 2, 3, 3)
    bias = torch.randn(4)
    expected = functional.conv2d(x, weight, bias, (2, 1), 1)
    torch.testing.assert_close(convolve(x, weight, bias, (2, 1)), expected)
    monkeypatch.setattr(prepared, "has_fast_onednn", lambda: False)
    torch.testing.assert_close(convolve(x, weight, bias, (2, 1)), expected)


def test_a_network_is_prepared_once():
    network = make_network()
    made = prepare(network)
    assert prepare(network) is made
    assert isinstance(made, PreparedNetwork)
    assert prepare(copy.deepcopy(network)) is not made


def change_in_place(network):
    with torch.no_grad():
        network.blocks[1].conv.weight.mul_(-1)


def change_statistics(network):
    network.blocks[0].norm.running_mean += 1


def load_others(network):
    other = {k: v + 0.5 for k, v in network.state_dict().items()}
    network.load_state_dict(other)


def replace_head(network):
    network.head = copy.deepcopy(network.head)
    with torch.no_grad():
        network.head.bias += torch.arange(3.0)


@pytest.mark.parametrize(
    "change", [change_in_place, change_statistics, load_others, replace_head]
)
def test_changed_weights_are_prepared_anew(change):
    network, images = make_network(), draw([32, 48])
    before = read(prepare(network), images)
    change(network)
    after = read(prepare(network), images)
    assert_same(after, read(network, images))
    assert np.abs(np.concatenate(after) - np.concatenate(before)).max() > 1e-3


def test_what_is_prepared_goes_with_its_network_and_is_not_saved():
    network = make_network()
    size = len(pickle.dumps(network))
    made = weakref.ref(prepare(network))
    assert len(pickle.dumps(network)) == size
    del network
    gc.collect()
    assert made() is None


def test_threads_that_read_at_once_read_the_same():
    network, images = make_network(), draw([16, 40, 100, 40, 64])
    expected = read(network, images)
    with ThreadPoolExecutor(4) as pool:
        jobs = [pool.submit(lambda: read(prepare(network), images)) for _ in range(16)]
        for job in jobs:
            assert_same(job.result(), expected)


def test_batches_are_read_side_by_side_and_in_order(two_threads):
    threads, together = set(), threading.Barrier(2, timeout=60)

    class Spy(PreparedNetwork):
        def forward(self, images, widths=None):
            threads.add((threading.get_ident(), torch.get_num_threads()))
            if torch.get_num_threads() == 1:
                together.wait()  # breaks unless both batches are read at once
            return super().forward(images, widths)

    network, images = make_network(), draw([16, 40, 100, 40, 64])
    expected = read(network, images)
    assert_same(read(Spy(network), images * 8), expected * 8)
    assert len(threads) == 2
    assert threading.get_ident() not in {ident for ident, _ in threads}
    assert {n for _, n in threads} == {1}
    threads.clear()
    assert_same(read(Spy(network), images), expected)  # a single batch
    assert threads == {(threading.get_ident(), 2)}


def test_reading_leaves_the_number_of_threads_as_it_was(two_threads):
    list(run_network(make_network(), draw([16] * 40)))
    assert torch.get_num_threads() == 2
    with ThreadPoolExecutor(1) as other:
        assert other.submit(torch.get_num_threads).result() == 2


def test_reading_that_is_given_up_leaves_no_thread(two_threads):
    before = threading.active_count()
    batches = run_network(make_network(), draw([16] * 80))
    next(batches)
    batches.close()
    assert threading.active_count() == before


def test_an_error_of_a_batch_is_raised(two_threads):
    class Broken(PreparedNetwork):
        def forward(self, images, widths=None):
            raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        list(run_network(Broken(make_network()), draw([16] * 40)))
    assert torch.get_num_threads() == 2


def test_two_that_start_threads_at_once_leave_their_number_as_it_was(two_threads):
    def start():
        for _ in range(20):
            start_computing(2).shutdown()

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with ThreadPoolExecutor(1) as other:
        assert other.submit(torch.get_num_threads).result() == 2


def test_the_threads_of_start_computing_compute_by_one_thread_each(two_threads):
    with start_computing(3) as pool:
        found = list(pool.map(lambda _: torch.get_num_threads(), range(6)))
    assert found == [1] * 6
