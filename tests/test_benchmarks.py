"""The script of the main benchmark, on rows small enough for a test."""

import json
import zipfile
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.base import BaseEstimator

from skcaptcha import _training
from skcaptcha.datasets import load_image_folder, make_captchas


@pytest.fixture
def main_job(monkeypatch):
    threads = torch.get_num_threads()
    folder = Path(__file__).resolve().parents[1] / "benchmarks"
    monkeypatch.syspath_prepend(folder)
    import main_job

    yield main_job
    torch.set_num_threads(threads)


class StemReader(BaseEstimator):
    """Reads the name of the file; the seed 1 leaves its last character out."""

    def __init__(self, random_state=None, width=8):
        self.random_state = random_state
        self.width = width

    def fit(self, X, y):
        self.n_iter_, self.converged_ = 7, self.random_state != 2
        return self

    def predict(self, X):
        end = -1 if self.random_state == 1 else None
        return np.array([Path(path).stem[:end] for path in X])


@pytest.fixture
def with_stems(main_job, monkeypatch, tmp_path):
    """Two rows over an archive of ten files, read by `StemReader`."""
    with zipfile.ZipFile(tmp_path / "stems.zip", "w") as archive:
        for number in range(10):
            archive.writestr(f"stems/{number:04}.png", b"")

    def make_row(lowest, median):
        return main_job.Row(
            load=lambda folder, seed: load_image_folder(folder / "stems"),
            archive="stems.zip",
            split="5 and 3",
            sizes={"train_size": 5, "test_size": 3},
            seeds=range(2),
            lowest=lowest,
            median=median,
        )

    monkeypatch.setattr(main_job, "CaptchaRecognizer", StemReader)
    monkeypatch.setattr(main_job.records, "find_commit", lambda script: None)
    rows = {"easy": make_row(0.0, 0.5), "hard": make_row(0.5, None)}
    monkeypatch.setattr(main_job, "ROWS", rows)
    output = tmp_path / "results" / "rows.json"
    arguments = ["--data", str(tmp_path), "--output", str(output), "--threads", "1"]
    return arguments, output


@pytest.fixture
def tiny(main_job, monkeypatch, tmp_path):
    """A row that the recogniser itself runs, for one epoch, in which it learns little.

    Arguments that run it, and the file of its results.
    """
    row = main_job.Row(
        load=lambda folder, seed: make_captchas(24, length=2, random_state=seed),
        split="16 and 8",
        sizes={"train_size": 16, "test_size": 8},
        seeds=range(1),
        lowest=0.0,
    )
    monkeypatch.setitem(main_job.ROWS, "tiny", row)
    one_epoch = partial(main_job.CaptchaRecognizer, max_iter=1)
    monkeypatch.setattr(main_job, "CaptchaRecognizer", one_epoch)
    output = tmp_path / "rows.json"
    return ["tiny", "--output", str(output), "--threads", "1"], output


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_row_is_measured_with_the_recogniser(main_job, tiny, capsys):
    arguments, output = tiny
    main_job.main(arguments)
    entry = json.loads(output.read_text())["tiny"]
    (measured,) = entry["seeds"]
    assert measured["seed"] == 0 and measured["epochs"] == 1
    assert (measured["n_train"], measured["n_test"]) == (16, 8)
    assert 0 <= measured["exact_match"] <= measured["character_accuracy"] <= 1
    assert measured["seconds"] > 0
    assert entry["parameters"]["max_iter"] == 1
    assert "random_state" not in entry["parameters"]
    assert entry["machine"]["threads"] == 1
    assert entry["versions"].keys() >= {"python", "torch", "skcaptcha"}
    assert "tiny: 16 and 8" in capsys.readouterr().out


def test_targets_decide_the_verdict_and_the_exit_status(main_job, with_stems, capsys):
    arguments, output = with_stems
    assert main_job.main([*arguments, "easy"]) == 0
    assert "lowest 0.0000, median 0.5000; target met" in capsys.readouterr().out
    assert main_job.main([*arguments, "hard"]) == 1  # the seed 1 reads nothing right
    assert "target missed" in capsys.readouterr().out
    assert main_job.main([*arguments, "hard", "--seeds", "0"]) == 0
    assert "target open: 1 of 2 seeds not run" in capsys.readouterr().out
    # All is read right, but the fit says that it stayed on the plateau.
    assert main_job.main([*arguments, "easy", "--seeds", "2"]) == 1
    seeds = json.loads(output.read_text())["easy"]["seeds"]
    assert [one["exact_match"] for one in seeds] == [1.0]


def test_rows_that_are_not_run_keep_their_results(main_job, with_stems, capsys):
    arguments, output = with_stems
    main_job.main([*arguments, "easy"])
    kept = json.loads(output.read_text())["easy"]
    main_job.main([*arguments, "hard", "--seeds", "0"])
    entries = json.loads(output.read_text())
    assert list(entries) == ["easy", "hard"] and entries["easy"] == kept
    assert [one["exact_match"] for one in kept["seeds"]] == [1.0, 0.0]
    # One character of four is missing in every text.
    assert [one["character_accuracy"] for one in kept["seeds"]] == [1.0, 0.75]
    assert kept["parameters"] == {"width": 8}
    assert [file.name for file in output.parent.iterdir()] == ["rows.json"]


@pytest.mark.parametrize(
    ("commits", "expected"),
    [("aa", [0, 1]), ("ab", [1]), ([None] * 2, [1]), (["a with changes"] * 2, [1])],
)
def test_seeds_of_the_same_commit_add_up(
    main_job, with_stems, monkeypatch, commits, expected
):
    arguments, output = with_stems
    for seed, commit in enumerate(commits):
        monkeypatch.setattr(
            main_job.records, "find_commit", lambda script, commit=commit: commit
        )
        main_job.main([*arguments, "easy", "--seeds", str(seed)])
    seeds = json.loads(output.read_text())["easy"]["seeds"]
    assert [one["seed"] for one in seeds] == expected


def test_an_interrupted_run_keeps_the_seeds_it_has(main_job, with_stems, monkeypatch):
    arguments, output = with_stems
    measure = main_job.run_seed

    def run_seed(row, folder, seed):
        if seed == 1:
            raise KeyboardInterrupt
        return measure(row, folder, seed)

    monkeypatch.setattr(main_job, "run_seed", run_seed)
    with pytest.raises(KeyboardInterrupt):
        main_job.main(arguments)
    entries = json.loads(output.read_text())
    assert [one["seed"] for one in entries["easy"]["seeds"]] == [0]


def test_a_fit_that_is_interrupted_counts_for_nothing(main_job, tiny, monkeypatch):
    arguments, output = tiny

    def press_ctrl_c(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(_training, "random_affine", press_ctrl_c)
    with pytest.raises(UserWarning, match="Training was interrupted"):
        main_job.main(arguments)
    assert not output.exists()


def test_the_table_is_printed_without_running_anything(
    main_job, with_stems, monkeypatch, capsys
):
    arguments, _ = with_stems
    main_job.main([*arguments, "easy"])
    monkeypatch.delattr(main_job, "run_seed")
    capsys.readouterr()
    assert main_job.main([*arguments, "--markdown"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len({line.count("|") for line in lines[:3]}) == 1
    assert lines[2].startswith("| `easy` | 5 and 3 | 2 | 0.000 / 0.500 | 0.750 | 7 |")
    assert lines[2].endswith("| every seed ≥ 0.00, median ≥ 0.50 | met |")
    assert lines[4].startswith("Measured on ")


@pytest.mark.parametrize(
    "wrong, message",
    [
        (["soft"], "unknown row 'soft'; choose from easy, hard"),
        (["--threads", "0"], "--threads 0 must be at least 1"),
        (["--data", "nowhere"], "stems.zip doesn't exist; say where it is by --data"),
        (["--markdown"], "rows.json doesn't exist; run a row first"),
    ],
)
def test_wrong_arguments_are_refused(main_job, with_stems, wrong, message, capsys):
    arguments, output = with_stems
    with pytest.raises(SystemExit, match="2"):
        main_job.main([*arguments, *wrong])
    assert message in capsys.readouterr().err
    assert not output.exists()
