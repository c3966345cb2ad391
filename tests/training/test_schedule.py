"""The schedule: its stages, its new starts, its learning rate."""

import math

import pytest

from skcaptcha.training.schedule import Schedule


def make(n_updates=6000, **options):
    return Schedule(3.0, n_updates, 100, **options)


def run(schedule, loss, n):
    return [schedule.step(loss) for _ in range(n)]


def test_an_easy_fit():
    schedule = make(2500)
    assert schedule.learning_rate < 0.05
    run(schedule, 2.0, 60)
    assert (schedule.stage, schedule.learning_rate) == ("ctc", 1.0)
    run(schedule, 3.0, 100)
    assert not schedule.left_plateau
    run(schedule, 0.01, 300)
    assert schedule.left_plateau
    assert schedule.stage == "ctc"  # even an easy fit gets some updates
    run(schedule, 0.01, 300)
    assert schedule.stage == "annealing"
    assert schedule.last_update < schedule.n_updates
    run(schedule, 0.01, schedule.n_updates)
    assert schedule.finished


@pytest.mark.parametrize("n_updates", [200, 1000, 5000])
def test_the_rate_falls_to_zero_in_the_end_however_short_the_fit(n_updates):
    schedule = make(n_updates)
    while not schedule.finished:
        rate = schedule.learning_rate
        schedule.step(0.5)
    assert rate < 0.01
    assert schedule.update <= n_updates


def test_a_fit_on_the_plateau_starts_again_at_half_the_rate():
    schedule = make()
    run(schedule, 2.0, 60)
    assert any(run(schedule, 3.1, 600))
    assert (schedule.n_restarts, schedule.stage) == (1, "alignment")
    run(schedule, 2.0, 60)
    assert schedule.learning_rate == 0.5


def test_an_aligned_start_that_reads_nothing_is_aligned_after_all():
    schedule = make(aligned=True)
    assert schedule.stage == "ctc"
    assert any(run(schedule, 3.1, 600))
    assert (schedule.stage, schedule.aligned) == ("alignment", False)


def test_an_aligned_start_that_was_destroyed_need_not_be_aligned_again():
    schedule = make(aligned=True)
    run(schedule, 0.5, 100)
    assert run(schedule, math.nan, 5) == [False] * 4 + [True]
    assert schedule.diverged
    assert (schedule.stage, schedule.aligned) == ("ctc", True)


def test_a_few_losses_that_are_no_numbers_change_nothing():
    schedule = make()
    run(schedule, 2.0, 100)
    for _ in range(20):
        assert not any(run(schedule, math.nan, 4))
        assert not any(run(schedule, 2.0, 1))
    assert (schedule.n_restarts, schedule.diverged) == (0, False)
    assert schedule.loss == pytest.approx(2.0)


def test_an_aligned_start_takes_fewer_updates():
    lengths = []
    for aligned in (False, True):
        schedule = make(5000, aligned=aligned)
        while not schedule.finished:
            schedule.step(0.01)
        lengths.append(schedule.update)
    assert lengths[1] == 800 < lengths[0]


def test_a_loss_that_still_falls_is_given_time():
    schedule = make(9000)
    run(schedule, 2.0, 60)
    for update in range(2000):
        assert not schedule.step(3.3 - 0.0005 * update)
    assert schedule.n_restarts == 0


def test_an_alignment_that_teaches_nothing_ends_all_the_same():
    schedule = make(1000)
    run(schedule, 3.0, 301)
    assert schedule.stage == "ctc"


def test_annealing_is_begun_neither_on_the_plateau_nor_without_an_end():
    for schedule, loss in [(make(1000), 2.0), (make(math.inf), 0.5)]:
        run(schedule, loss, 200)
        assert schedule.left_plateau == schedule.endless
        schedule.anneal()
        assert schedule.stage == "ctc"


def test_the_rate_counts_updates_whose_loss_comes_late():
    told, late = (Schedule(3.3, 1000, 50, aligned=True) for _ in range(2))
    for _ in range(20):
        told.step(1.0)
    for _ in range(16):
        late.step(1.0)
    late.n_late = 4
    assert late.learning_rate == told.learning_rate
    late.n_late = 1000
    assert late.finished
