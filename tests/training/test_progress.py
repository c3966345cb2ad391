"""How far a training is, in a terminal and in a file."""

import io
import re
import sys

import pytest

from skcaptcha import CaptchaRecognizer
from skcaptcha.training.progress import ProgressLines


def test_a_line_for_every_tenth(capsys):
    with ProgressLines("Training", 200, 0) as progress:
        for i in range(200):
            progress.update()
            progress.set_postfix({"loss": f"{i}"})
    lines = capsys.readouterr().err.splitlines()
    assert [line.split()[1] for line in lines] == [f"{n}%," for n in range(10, 101, 10)]
    assert lines[0] == "Training: 10%, 20 of 200 updates, 0:00, loss 18"
    assert lines[-1] == "Training: 100%, 200 of 200 updates, 0:00, loss 199"


@pytest.mark.parametrize(
    "total, initial, shown",
    [(3, 0, [33, 67, 100]), (1, 0, [100]), (40, 35, [90, 100])],
)
def test_few_updates_and_a_fit_that_is_resumed(capsys, total, initial, shown):
    with ProgressLines("Training", total, initial) as progress:
        for _ in range(total - initial):
            progress.update()
    found = [int(n) for n in re.findall(r"(\d+)%", capsys.readouterr().err)]
    assert found == sorted(set(found)) and found[-1] == 100
    assert set(found) <= set(shown)


def test_an_end_that_comes_nearer(capsys):
    with ProgressLines("Training (may end sooner)", 100, 0) as progress:
        for _ in range(30):
            progress.update()
        progress.total, progress.desc = 40, "Training"
        for _ in range(10):
            progress.update()
    lines = capsys.readouterr().err.splitlines()
    assert lines[2].startswith("Training (may end sooner): 30%, 30 of 100 updates")
    assert lines[3].startswith("Training: 78%, 31 of 40 updates")
    assert lines[-1].startswith("Training: 100%, 40 of 40 updates")


def test_a_fit_tells_an_honest_total(capsys, quick):
    recognizer = quick(max_iter=30, verbose=1)
    lines = capsys.readouterr().err.splitlines()
    assert 10 <= len(lines) <= 12 and "\r" not in "".join(lines)
    n_updates = recognizer.n_iter_ * 2
    assert lines[-1].startswith(f"Training: 100%, {n_updates} of {n_updates} updates")
    assert "loss" in lines[-1]


def test_a_terminal_has_a_bar(quick, monkeypatch):
    stream = io.StringIO()
    stream.isatty = lambda: True
    monkeypatch.setattr(sys, "stderr", stream)
    quick(verbose=1)
    assert "\rTraining" in stream.getvalue() and "update/s" in stream.getvalue()


def test_a_fit_that_is_not_to_show_anything(quick, capsys):
    assert isinstance(quick(verbose=0), CaptchaRecognizer)
    assert capsys.readouterr().err == ""
