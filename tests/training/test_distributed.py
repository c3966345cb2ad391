"""The parts of a batch and the random numbers of processes that fit together."""

import numpy as np
import pytest
import torch

from skcaptcha._torch_compat import OutOfMemoryError
from skcaptcha.training.distributed import (
    ProcessGroup,
    SingleProcess,
    join_processes,
)


def make_group(rank, size):
    group = ProcessGroup.__new__(ProcessGroup)
    group.rank, group.size = rank, size
    return group


def test_a_process_by_itself_is_single():
    assert type(join_processes()) is SingleProcess


def test_each_process_draws_random_numbers_of_its_own():
    generator, drawn = torch.Generator().manual_seed(0), []
    for rank in (0, 1):
        own = make_group(rank, 2).fork(generator.clone_state())
        drawn.append(torch.rand(5, generator=own).tolist())
    assert drawn[0] != drawn[1]


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_the_parts_of_a_batch_weigh_what_they_hold(size):
    values = np.arange(7.0)
    for n in range(1, 8):
        means, taken = [], []
        for rank in range(size):
            group = make_group(rank, size)
            part, names, weight = group.take(values[:n], list("abcdefg")[:n])
            assert names == ["abcdefg"[int(i)] for i in part]
            means.append(weight * np.mean(part))
            taken += part
        if n >= size:
            assert sorted(taken) == list(range(n))
            assert np.mean(means) == pytest.approx(values[:n].mean())
        assert set(taken) == set(range(n))


def test_a_gpu_that_is_too_small_says_whose_it_is(quick, monkeypatch):
    class Second(SingleProcess):
        rank, size = 1, 2

    def run_out(*_):
        raise OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr("skcaptcha.recognizer.join_processes", Second)
    monkeypatch.setattr("skcaptcha.training.step.place_images", run_out)
    with pytest.raises(MemoryError, match="GPU of process 1 .* its 8 images .*`batch_"):
        quick()


@pytest.mark.parametrize(
    "backends, device, fits",
    [
        ("cpu:gloo,cuda:nccl", "cuda:1", True),
        ("cpu:gloo,cuda:nccl", "cpu", True),
        ("cpu:gloo,cuda:gloo", "cuda", True),
        ("cuda:nccl", "cuda:1", True),
        ("cuda:nccl", "cpu", False),
        ("cpu:mpi", "cuda", False),
    ],
)
def test_a_device_that_the_processes_cannot_exchange_from_is_named(
    monkeypatch, backends, device, fits
):
    group = make_group(1, 2)
    group.group = None
    monkeypatch.setattr("torch.distributed.get_backend_config", lambda group: backends)
    if fits:
        return group.check_device(torch.device(device))
    message = f"^Process 1 of 2 .* on the device '{device}', .* for '{backends}'"
    with pytest.raises(ValueError, match=message):
        group.check_device(torch.device(device))


def test_objects_go_by_way_of_the_gpu_that_is_named(quick, monkeypatch):
    """As NCCL sends them from and to the current one, which is as before in the end."""
    current, seen = [0], []

    def exchange(index):
        before, current[0] = current[0], index
        return before

    class Noted(SingleProcess):
        def first(self, value):
            seen.append(("first", *current))
            return value

        def check_same(self, values):
            seen.append(("check_same", *current))

    def fit_network(*args, processes, **kwargs):
        processes.check_same({})
        raise KeyError("there is no such GPU")

    for name in ("_exchange_device", "_maybe_exchange_device"):
        monkeypatch.setattr(torch.cuda, name, exchange)
    monkeypatch.setattr("skcaptcha.recognizer.join_processes", Noted)
    monkeypatch.setattr("skcaptcha.recognizer.fit_network", fit_network)
    monkeypatch.setattr(
        "skcaptcha._training_data.choose_device",
        lambda device, training: torch.device(device),
    )
    for device, index in {"cuda:1": 1, "cpu": 0}.items():
        seen.clear()
        with pytest.raises(KeyError, match="no such GPU"):
            quick(device=device)
        assert seen == [("first", index), ("first", index), ("check_same", index)]
        assert current == [0]
