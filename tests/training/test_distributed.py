"""The parts of a batch and the random numbers of processes that fit together."""

import numpy as np
import pytest
import torch

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
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr("skcaptcha.recognizer.join_processes", Second)
    monkeypatch.setattr("skcaptcha.training.step.place_images", run_out)
    with pytest.raises(MemoryError, match="GPU of process 1 .* its 8 images .*`batch_"):
        quick()
