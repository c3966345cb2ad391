"""Which images are asked about, and which only test what was learned."""

import numpy as np

from skcaptcha.labeling._catalog import group_looks, is_held_out
from skcaptcha.labeling._queue import interleave, rank_by_value


def rank(uncertainty, looks=None, texts=None, labeled=(), labels=(), n=None):
    size = len(uncertainty)
    looks = np.zeros(size, int) if looks is None else np.array(looks)
    texts = [""] * size if texts is None else texts
    return rank_by_value(
        np.array(uncertainty), looks, texts, labeled, labels, n or size
    )


def test_the_least_confident_comes_first():
    assert rank([0.1, 0.9, 0.5]) == [1, 2, 0]


def test_looks_take_turns():
    uncertainty, looks = [0.9, 0.89, 0.88, 0.8, 0.79], [0, 0, 0, 1, 1]
    assert rank(uncertainty, looks) == [0, 3, 1, 4, 2]


def test_a_look_with_many_labels_waits():
    assert rank([0.9, 0.8], [0, 1], labeled=[0] * 9) == [1, 0]


def test_rare_characters_come_first():
    labels = ["11", "11", "12"]
    assert rank([0.5, 0.5], texts=["11", "22"], labels=labels) == [1, 0]


def test_rare_characters_do_not_bring_up_what_is_certain():
    assert rank([0.9, 0.01], texts=["11", "22"], labels=["11"] * 5)[0] == 0


def test_nothing_to_choose_from_is_no_error():
    assert rank([]) == []
    assert interleave([], [], (0, 0)) == []


def test_many_images_are_ranked_at_once():
    uncertainty = np.linspace(0, 1, 50_000)
    looks = np.zeros(50_000, int)
    assert rank_by_value(uncertainty, looks, [""] * 50_000, [], [], 3) == [
        49_999,
        49_998,
        49_997,
    ]


def test_one_image_of_four_is_held_out_whatever_was_answered_before():
    others, held_out = [f"a{i}" for i in range(30)], [f"X{i}" for i in range(10)]
    for n_asked in [(0, 0), (30, 0), (5, 3)]:
        merged = interleave(others, held_out, n_asked)
        assert sorted(merged) == sorted(others + held_out)
        n_held = n_asked[1]
        for i, name in enumerate(merged[:12], start=1):
            n_held += name[0] == "X"
            assert n_held <= max(n_asked[1], 0.25 * (sum(n_asked) + i))
    assert interleave(others, held_out, (30, 0))[:10] == held_out


def test_a_fifth_is_held_out_by_chance_and_always_the_same():
    names = [f"{i}.png" for i in range(5000)]
    held_out = [name for name in names if is_held_out(name, 7)]
    assert 900 < len(held_out) < 1100
    assert held_out == [name for name in names if is_held_out(name, 7)]
    assert held_out != [name for name in names if is_held_out(name, 8)]


def test_images_that_look_alike_are_one_group():
    rng = np.random.default_rng(0)
    measures = np.vstack(
        [rng.normal(center, 0.1, (30, 3)) for center in ([0, 0, 0], [9, 0, 5])]
    )
    groups = group_looks(measures, n_groups=2)
    assert len(set(groups[:30])) == len(set(groups[30:])) == 1
    assert groups[0] != groups[-1]


def test_images_that_are_all_the_same_are_one_group():
    assert group_looks(np.ones((5, 9))).tolist() == [0] * 5
