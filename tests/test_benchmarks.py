"""The scripts of the benchmarks, on rows small enough for a test."""

import dataclasses
import importlib
import importlib.metadata
import io
import json
import multiprocessing
import os
import shutil
import subprocess
import sys
import time
import types
import warnings
import zipfile
from functools import partial
from pathlib import Path
from string import ascii_lowercase as LOWER

import matplotlib
import numpy as np
import pytest
import torch
from fontTools.ttLib import TTFont
from PIL import Image
from safetensors.numpy import load_file
from sklearn.base import BaseEstimator, clone
from support.data import ROOT

from skcaptcha import CaptchaRecognizer
from skcaptcha.datasets import load_image_folder, make_captchas
from skcaptcha.model import pretrained as _pretrained
from skcaptcha.training import step as _trainer


@pytest.fixture
def load(monkeypatch):
    """Function that imports a benchmark by its name."""
    threads = torch.get_num_threads()
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    yield importlib.import_module
    torch.set_num_threads(threads)


@pytest.fixture
def main_job(load):
    return load("main_job")


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
    """A row that the recognizer itself runs, for one epoch, in which it learns little.

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
def test_a_row_is_measured_with_the_recognizer(main_job, tiny, capsys):
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

    monkeypatch.setattr(_trainer, "random_affine", press_ctrl_c)
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


# Accuracy


@pytest.fixture
def accuracy(load):
    return load("accuracy")


def test_interval_is_that_of_wilson(accuracy):
    fits = [{"n_test": 60, "exact_match": 0.5}, {"n_test": 40, "exact_match": 0.5}]
    # (p + z^2 / 2n -+ z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2 / n)
    assert accuracy.find_interval(fits) == pytest.approx((0.4038, 0.5962), abs=1e-4)


def test_captchas_of_the_package_are_seeded(accuracy):
    a, b, c = (accuracy.draw_captchas(3, "abc", 4, (90, 30), s) for s in (0, 0, 1))
    assert a[1] == b[1] != c[1]
    assert all(np.array_equal(x, y) for x, y in zip(a[0], b[0], strict=True))
    assert a[0][0].shape == (30, 90, 3)
    assert all(len(text) == 4 and set(text) <= set("abc") for text in a[1])


def test_accuracy_is_judged_part_by_part(accuracy):
    row = accuracy.Row(
        protocol="",
        split=None,
        parts=(25, 50),
        seeds=(0,),
        means={25: 0.6, 50: 0.8},
        lowest=0.5,
    )

    def fits(*scores, converged=True):
        return [{"exact_match": score, "converged": converged} for score in scores]

    assert accuracy.judge(row, 25, fits(0.55, 0.65)) == "met"
    assert accuracy.judge(row, 50, fits(0.55, 0.65)) == "missed"
    assert accuracy.judge(row, 25, fits(0.45, 0.85)) == "missed"
    assert accuracy.judge(row, 25, fits(0.7, converged=False)) == "missed"
    timed = dataclasses.replace(row, seconds=60)
    assert accuracy.judge(timed, 25, [{**fits(0.7)[0], "seconds": 59}]) == "met"
    assert accuracy.judge(timed, 25, [{**fits(0.7)[0], "seconds": 61}]) == (
        "met, over 60 s"
    )


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_accuracy_is_measured_fit_by_fit(accuracy, monkeypatch, tmp_path, capsys):
    def split(folder, part, seed):
        X, y = make_captchas(part + 4, length=2, random_state=seed)
        return X[4:], X[:4], y[4:], y[:4]

    row = accuracy.Row("tiny", split, (8, 16), (0, 1), {16: 0.9}, fold=str.upper)
    monkeypatch.setattr(accuracy, "ROWS", {"tiny": row})
    one_epoch = partial(accuracy.CaptchaRecognizer, max_iter=1, pretrained=False)
    monkeypatch.setattr(accuracy, "CaptchaRecognizer", one_epoch)
    monkeypatch.setattr(accuracy.records, "find_commit", lambda script: "a")
    output = tmp_path / "accuracy.json"
    arguments = ["tiny", "--output", str(output), "--threads", "1"]
    assert accuracy.main(arguments) == 1
    fits = json.loads(output.read_text())["tiny"]["fits"]
    assert [(fit["part"], fit["seed"]) for fit in fits] == [
        (8, 0),
        (8, 1),
        (16, 0),
        (16, 1),
    ]
    assert [fit["n_train"] for fit in fits] == [8, 8, 16, 16]
    shown = capsys.readouterr().out
    assert shown.count("NOT CONVERGED") == 4
    assert "| `tiny`, 16 | 2 |" in shown
    assert "Of 4 fits 0 left the plateau." in shown
    assert "| `tiny`, 16 | 0.0000 | 0.0000 | 0.0000 |" in shown  # by each decoder
    assert accuracy.main(["--output", str(output), "--markdown"]) == 0

    # Fits of the same code stay beside new ones; those of other code give way.
    again = [*arguments, "--parts", "8", "--seeds", "1", "3"]
    assert accuracy.main(again) == 1
    fits = json.loads(output.read_text())["tiny"]["fits"]
    assert [(fit["part"], fit["seed"]) for fit in fits] == [
        (8, 0),
        (8, 1),
        (8, 3),
        (16, 0),
        (16, 1),
    ]
    monkeypatch.setattr(accuracy.records, "find_commit", lambda script: "b")
    assert accuracy.main(again) == 0
    assert len(json.loads(output.read_text())["tiny"]["fits"]) == 2


# Fine-tuning and searches


def test_parts_of_fine_tuning_share_no_image(load):
    fine_tuning = load("fine_tuning")
    rng = np.random.default_rng(0)
    texts = ["".join(rng.choice(list("abcdefgh"), 3)) for _ in range(900)]
    paths = list(range(900))
    new, parts = fine_tuning.split(paths, texts, seed=1)
    assert len(new) == 3
    used = [path for images, _ in parts.values() for path in images]
    assert len(used) == len(set(used)) == 900
    for name, (images, labels) in parts.items():
        assert labels == [texts[i] for i in images]
        shows = [bool(set(new) & set(label)) for label in labels]
        assert all(shows) if name.startswith("new") else not any(shows)


def test_a_search_decodes_fewer_files_where_it_is_told_to(load, tmp_path):
    output = tmp_path / "search.json"
    load("search").main(
        ["decoding", "--quick", "--threads", "1", "--output", str(output)]
    )
    entry = json.loads(output.read_text())["decoding"]
    counts = [run["n_decoded"] for run in entry["runs"]]
    assert counts[-1] == entry["n_images"]  # decoded before the search
    assert counts == sorted(counts, reverse=True)
    assert len(set(counts)) == 4
    assert entry["target"] == "met"  # the same scores each way


# Ablation


@pytest.fixture
def ablation(load):
    return load("ablation")


def test_ablation_changes_parameters_to_values_that_are_allowed(ablation):
    for params in ablation.VARIANTS.values():
        ablation.CaptchaRecognizer(**params)._validate_params()


def test_ablation_validates_on_training_data_of_accuracy(ablation):
    def split(folder, part, seed):
        return range(20), range(20, 30), [*"abcdefghijklmnopqrst"], [*"uvwxyzABCD"]

    again = ablation.split_training_data(split, 12, 5)
    X_train, X_val, y_train, y_val = again(None, 0)
    assert (len(X_train), len(X_val)) == (12, 5)
    assert len({*X_train, *X_val}) == 17 and max(*X_train, *X_val) < 20
    assert y_train + y_val == [chr(ord("a") + x) for x in X_train + X_val]
    assert again(None, 0)[1] == X_val != again(None, 1)[1]


def test_ablation_compares_seed_by_seed(ablation):
    def fit(variant, seed, exact_match, converged=True):
        return {
            "variant": variant,
            "seed": seed,
            "exact_match": exact_match,
            "converged": converged,
        }

    fits = [fit("defaults", seed, score) for seed, score in enumerate((0.9, 1, 0.2))]
    fits += [fit("no LSTM", 0, 0.86), fit("no LSTM", 1, 0.98, converged=False)]
    fits += [fit("in gray", 1, 1.0), fit("no dropout", 7, 0.5)]
    assert ablation.format_variant(fits, "defaults") == "0.700"
    assert (
        ablation.format_variant(fits, "no LSTM") == "0.920 (-3.0), 1 of 2 not converged"
    )
    assert ablation.format_variant(fits, "in gray") == "1.000 (+0.0)"
    assert ablation.format_variant(fits, "no dropout") == "0.500"  # with no partner
    assert ablation.format_variant(fits, "no augmentation") == "–"
    again = ablation.replace_fit(fits, fit("no LSTM", 0, 0.5))
    assert len(again) == len(fits) and fit("no LSTM", 0, 0.5) in again


def test_an_ensemble_is_compared_with_a_single_fit(
    load, ablation, monkeypatch, tmp_path, capsys
):
    ensemble = load("ensemble")

    def split(folder, seed):
        X, y = make_captchas(16, vocabulary="01", length=(1, 2), random_state=seed)
        return X[4:], X[:4], y[4:], y[:4]

    tiny = CaptchaRecognizer(max_iter=1, conv_channels=(8, 16), pretrained=False)
    monkeypatch.setattr(
        ensemble, "CaptchaRecognizer", lambda **params: clone(tiny).set_params(**params)
    )
    monkeypatch.setattr(
        ensemble, "CaptchaEnsemble", partial(ensemble.CaptchaEnsemble, tiny)
    )
    monkeypatch.setattr(
        ensemble, "DATA_SETS", {"tiny": ablation.DataSet(split, "12 and 4")}
    )
    output = tmp_path / "ensemble.json"
    arguments = ["tiny", "--output", str(output), "--threads", "1", "--folds", "3"]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The network has not learned to read")
        assert ensemble.main([*arguments, "--seeds", "0", "1"]) == 0
    first, second = json.loads(output.read_text())["tiny"]["seeds"]
    assert (first["seed"], second["seed"]) == (0, 1)
    assert (first["n_train"], first["n_val"], first["n_folds"]) == (12, 4, 3)
    assert len(first["members"]) == 3 and len(first["first_two_to_all"]) == 2
    known = {"single": 0.5, "members": [0.3, 0.5, 0.4], "voting_by_confidence": 0.25}
    entry = json.loads(output.read_text())["tiny"]
    entry["seeds"] = [
        run | known | {"first_two_to_all": together}
        for run, together in zip(
            entry["seeds"], ([0.5, 0.75], [0.7, 0.55]), strict=True
        )
    ]
    ensemble.records.save_entry(output, "tiny", entry)
    capsys.readouterr()
    assert ensemble.main(["--output", str(output), "--markdown"]) == 0
    printed = capsys.readouterr().out
    assert "| `tiny` | 0.500 | 0.400 | 0.600 / 0.650 | 0.250 | +15.0 |" in printed
    assert "12 and 4; 2 seeds" in printed
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The network has not learned to read")
        assert ensemble.main([*arguments, "--no-single"]) == 0
    assert "tiny seed 0: single –, ensemble " in (printed := capsys.readouterr().out)
    assert "| `tiny` | – | " in printed and "| – |\n" in printed
    (alone,) = json.loads(output.read_text())["tiny"]["seeds"]
    assert alone["single"] is None and "single" not in alone["seconds"]
    with pytest.raises(SystemExit):
        ensemble.main([*arguments, "--folds", "1"])
    assert "--folds 1 must be at least 2" in capsys.readouterr().err


def test_votes_are_weighted_by_confidence(load):
    vote = load("ensemble").vote
    assert vote(["a", "b", "b"], [0.9, 0.4, 0.4]) == "a"
    assert vote(["a", "b", "b"], [0.7, 0.4, 0.4]) == "b"


@pytest.fixture
def small_ablation(ablation, monkeypatch, tmp_path):
    """Arguments that run a tiny data set for one epoch, and the file of results."""

    def split(folder, seed):
        X, y = make_captchas(12, length=(1, 2), random_state=seed)
        return X[4:], X[:4], y[4:], y[:4]

    tiny = partial(
        ablation.CaptchaRecognizer, max_iter=1, conv_channels=(8, 16), pretrained=False
    )
    monkeypatch.setattr(ablation, "CaptchaRecognizer", tiny)
    monkeypatch.setattr(
        ablation, "DATA_SETS", {"tiny": ablation.DataSet(split, "8 and 4")}
    )
    monkeypatch.setattr(ablation.records, "find_commit", lambda script: "a")
    output = tmp_path / "ablation.json"
    return ["tiny", "--output", str(output), "--threads", "1"], output


def test_ablation_is_measured_fit_by_fit(ablation, small_ablation, capsys):
    arguments, output = small_ablation
    variants = ["--variants", "defaults", "no LSTM"]
    assert ablation.main([*arguments, *variants, "--seeds", "0", "1"]) == 0
    entry = json.loads(output.read_text())["tiny"]
    assert [(fit["variant"], fit["seed"]) for fit in entry["fits"]] == [
        ("defaults", 0),
        ("defaults", 1),
        ("no LSTM", 0),
        ("no LSTM", 1),
    ]
    for fit in entry["fits"]:
        assert (fit["n_train"], fit["n_val"], fit["epochs"]) == (8, 4, 1)
        assert fit["converged"] is False and fit["seconds"] > 0
    assert entry["fits"][-1]["changed"] == {"lstm_layers": 0}
    assert capsys.readouterr().out.count("NOT CONVERGED") == 4
    # The same commit adds to what it measured.
    ablation.main([*arguments, "--variants", "in gray", "--seeds", "0"])
    assert len(json.loads(output.read_text())["tiny"]["fits"]) == 5
    capsys.readouterr()
    assert ablation.main(["--output", str(output), "--markdown"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "| exact match | `tiny` |"
    assert [line.split(" | ")[0] for line in lines[2:5]] == [
        "| defaults",
        "| no LSTM",
        "| in gray",
    ]
    assert lines[-1].startswith("- `tiny`: 8 and 4; 2 seeds; ")


@pytest.mark.parametrize("commit", ["b", "a with changes", None])
def test_ablation_of_other_code_is_not_mixed(
    ablation, small_ablation, monkeypatch, commit
):
    arguments, output = small_ablation
    arguments = [*arguments, "--variants", "defaults", "--seeds"]
    ablation.main([*arguments, "2"])
    monkeypatch.setattr(ablation.records, "find_commit", lambda script: commit)
    ablation.main([*arguments, "3"])
    (fit,) = json.loads(output.read_text())["tiny"]["fits"]
    assert fit["seed"] == 3


def test_ablation_refuses_a_variant_it_does_not_know(ablation, small_ablation, capsys):
    arguments, output = small_ablation
    with pytest.raises(SystemExit, match="2"):
        ablation.main([*arguments, "--variants", "no ink"])
    assert "invalid choice: 'no ink'" in capsys.readouterr().err
    assert not output.exists()


# Pretraining


DEJAVU = Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")


@pytest.fixture
def fonts(tmp_path):
    """A folder with a family of three weights, and one without small letters."""
    folder = tmp_path / "fonts"
    capitals = TTFont(DEJAVU)
    for table in capitals["cmap"].tables:
        table.cmap |= {ord(c): table.cmap.get(ord(c.upper()), c) for c in LOWER}
    for family, weights in {"plain": (100, 300, 400, 900), "capitals": (400,)}.items():
        files = folder / "node_modules" / "@fontsource" / family / "files"
        files.mkdir(parents=True)
        for weight in weights:
            path = files / f"{family}-latin-{weight}-normal.woff"
            shutil.copy(DEJAVU, path) if family == "plain" else capitals.save(path)
            (files / f"{family}-latin-ext-{weight}-normal.woff").write_bytes(b"")
    return folder


def test_pretraining_writes_weights_of_the_shipped_form(load, fonts, tmp_path):
    pretrain = load("pretrain")
    files = []
    for name in ("a", "b"):
        files.append(tmp_path / f"{name}.safetensors")
        sizes = ["--images", "48", "--held-out", "48", "--updates", "4", "--jobs", "1"]
        pretrain.main([str(files[-1]), *sizes, "--fonts", str(fonts)])
    assert files[0].read_bytes() == files[1].read_bytes()
    shipped = Path(_pretrained.__file__).with_name("pretrained.safetensors")
    one, other = (load_file(path) for path in (files[0], shipped))
    assert {name: array.shape for name, array in one.items()} == {
        name: array.shape for name, array in other.items()
    }


def test_pretraining_draws_in_processes_of_its_own(load, fonts, tmp_path):
    # As a script, whose functions reach other processes by value.
    script, output = load("pretrain").__file__, tmp_path / "a.safetensors"
    sizes = ["--images", "96", "--held-out", "48", "--updates", "1", "--jobs", "2"]
    subprocess.run(
        [sys.executable, script, output, *sizes, "--fonts", fonts], check=True
    )
    assert len(load_file(output)) > 10


def test_pretraining_tells_fonts_without_small_letters(load, fonts):
    pretrain = load("pretrain")
    cased, others = pretrain.find_fonts(fonts)
    assert [Path(path).stem for path in cased] == [
        f"plain-latin-{weight}-normal" for weight in (100, 400, 900)
    ]
    assert [Path(path).stem for path in others] == ["capitals-latin-400-normal"]
    for seed in range(50):
        style = pretrain.draw_style(np.random.default_rng(seed), cased, others)
        if set(others) & set(style["fonts"]):
            assert not set(LOWER) & set(style["vocabulary"])


def test_pretraining_says_how_to_get_the_fonts(load, tmp_path):
    with pytest.raises(SystemExit, match="There are no fonts in .*npm install"):
        load("pretrain").find_fonts(tmp_path)


def test_corrupted_labels_are_others_and_known(load):
    label_noise = load("label_noise")
    texts = [f"{i:03}" for i in range(100)]
    corrupted, wrong = label_noise.corrupt(texts, 0.2, seed=0)
    assert len(wrong) == 20
    changed = [i for i in range(100) if corrupted[i] != texts[i]]
    assert changed == wrong
    assert {len(text) for text in corrupted} == {3}
    assert label_noise.corrupt(texts, 0.2, seed=0) == (corrupted, wrong)


def test_label_noise_is_measured_seed_by_seed(load, monkeypatch, tmp_path, capsys):
    label_noise = load("label_noise")
    images, _ = make_captchas(20, length=3, size=(16, 48), random_state=0)
    with zipfile.ZipFile(tmp_path / "captcha_images_v2.zip", "w") as archive:
        for i, image in enumerate(images):
            buffer = io.BytesIO()
            Image.fromarray(image).save(buffer, "PNG")
            archive.writestr(f"captcha_images_v2/{i:03}.png", buffer.getvalue())
    tiny = partial(
        label_noise.CaptchaRecognizer, max_iter=1, conv_channels=(4, 4), lstm_units=2
    )
    monkeypatch.setattr(label_noise, "CaptchaRecognizer", tiny)
    output = tmp_path / "noise.json"
    arguments = ["--data", str(tmp_path), "--output", str(output), "--share", "0.25"]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The network has not learned to read")
        code = label_noise.main([*arguments, "--seeds", "0", "1", "--cv", "2"])
    assert code == 1
    entry = json.loads(output.read_text())["label_noise"]
    assert [(f["n_train"], f["n_wrong"]) for f in entry["fits"]] == [(16, 4), (16, 4)]
    assert "25% of the labels are wrong" in capsys.readouterr().out


class SureReader(StemReader):
    """Is the surer of a text the later it comes; the first fifth it reads wrong."""

    def predict(self, X):
        texts = super().predict(X)
        wrong = np.arange(len(texts)) < len(texts) // 5
        return np.where(wrong, texts + "x", texts)

    def predict_confidence(self, X):
        return (np.arange(len(X)) + 1) / len(X)


def test_confidence_is_judged_by_the_share_that_may_be_accepted(
    load, monkeypatch, tmp_path, capsys
):
    confidence = load("confidence")

    def split(folder, part, seed):
        texts = [f"{i:03}" for i in range(part)]
        return texts, texts, texts, texts

    row = confidence.accuracy.Row("a trial", split, parts=(100,), seeds=(0,))
    monkeypatch.setattr(confidence, "ROWS", {"trial": row})
    monkeypatch.setattr(confidence, "CaptchaRecognizer", SureReader)
    output = tmp_path / "confidence.json"
    # On average it is sure by a half of what it reads right in four fifths.
    assert confidence.main(["--output", str(output)]) == 1
    assert "| -0.295, missed | 0.2100 | 80.0% | 1.0000 |" in capsys.readouterr().out
    entry = json.loads(output.read_text())["trial"]
    assert entry["exact_match"] == 0.8 and entry["threshold"] == 0.21
    assert 0.75 < entry["accepted_of_halves"] <= 0.82
    assert confidence.main(["--output", str(output), "--markdown"]) == 1


def test_confidence_that_tells_nothing_lets_nothing_be_accepted(load):
    confidence = load("confidence")
    texts, read = ["a"] * 4, ["a", "b", "a", "a"]
    assert confidence.find_threshold(texts, read, [0.9] * 4) == np.inf
    assert confidence.judge_halves(texts, read, [0.9] * 4)[1] <= 0.5


# Speed and memory


@pytest.mark.parametrize(
    "name",
    [
        "time_to_accuracy",
        "prediction",
        "profile_fit",
        "update_variants",
        "import_time",
        "scaling",
    ],
)
def test_help_says_what_is_measured(load, name, capsys):
    script = load(name)
    with pytest.raises(SystemExit, match="0"):
        script.main(["--help"])
    shown = " ".join(capsys.readouterr().out.split())
    assert " ".join(script.__doc__.split("\n\n")[0].split()) in shown
    assert "--threads" in shown and "--quick" in shown


@pytest.fixture
def children(load):
    return load("children")


SIDE = """
import os, sys
sys.path.insert(0, {folder!r})
import children

def tell(threads, text):
    print("something else")
    return {{
        "text": text,
        "threads": threads,
        "OMP_NUM_THREADS": os.environ["OMP_NUM_THREADS"],
        "cores": len(os.sched_getaffinity(0)),
    }}

def fail(threads):
    raise ValueError("no such luck")

children.serve({{"tell": tell, "fail": fail}})
"""


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs Linux")
def test_a_side_has_a_process_and_cores_of_its_own(children, monkeypatch, tmp_path):
    text = SIDE.format(folder=str(children.FOLDER))
    (tmp_path / "side_test.py").write_text(text)
    monkeypatch.setattr(children, "FOLDER", tmp_path)
    before = os.sched_getaffinity(0)
    assert children.run_task("test", "tell", threads=1, text=Path("é")) == {
        "text": "é",
        "threads": 1,
        "OMP_NUM_THREADS": "1",
        "cores": 1,
    }
    with pytest.raises(RuntimeError, match="ValueError: no such luck"):
        children.run_task("test", "fail", threads=1)
    assert os.sched_getaffinity(0) == before


def test_clock_of_a_training_ends_with_the_epoch_that_reads_enough(
    children, monkeypatch
):
    now = 100.0
    monkeypatch.setattr(children.time, "perf_counter", lambda: now)
    progress = children.Progress(["a", "b"], target=0.9, max_epochs=3)

    def end_epoch(*found):
        def read():
            nonlocal now
            now += 2
            return found

        nonlocal now
        now += 10
        return progress.end_epoch(read)

    assert not end_epoch("a", "")
    assert end_epoch("a", "b")
    expected = {
        "reached": True,
        "seconds": 24,
        "evaluation_seconds": 4,
        "epochs": 2,
        "exact_match": [0.5, 1],
    }
    assert progress.summarize() == expected
    assert end_epoch("", "")  # the last that there may be
    assert not progress.summarize()["reached"]


def test_keras_environment_is_made_anew_for_other_pins(children, monkeypatch, tmp_path):
    calls, stamp = [], tmp_path / "requirements-keras.txt"
    monkeypatch.setattr(
        children.subprocess, "run", lambda command, check: calls.append(command)
    )
    stamp.write_text("tensorflow-cpu==1.0\n")
    python = children.make_keras_environment(tmp_path)
    assert python.parent.parent == tmp_path
    assert [command[2] for command in calls] == ["venv", "pip"]
    assert children.make_keras_environment(tmp_path) == python
    assert len(calls) == 2  # it is there

    def fail(command, check):
        raise children.subprocess.CalledProcessError(1, "pip")

    monkeypatch.setattr(children.subprocess, "run", fail)
    (tmp_path / "other").mkdir()
    with pytest.raises(SystemExit, match="other could not be made"):
        children.make_keras_environment(tmp_path / "other")
    assert not (tmp_path / "other" / stamp.name).exists()


def test_every_package_of_the_keras_environment_is_pinned(children):
    lines = children.REQUIREMENTS.read_text().splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert all(line.count("==") == 1 for line in pins)
    assert {"tensorflow-cpu", "keras"} < {line.split("==")[0] for line in pins}


def test_tables_and_spreads_are_written_alike(load):
    records = load("records")
    assert records.describe_spread([4, 1, 2], ".1f") == "2.0 (1.0 to 4.0)"
    assert records.format_table(["a", "b"], [[1, "x"]]) == [
        "| a | b |",
        "| --- | --- |",
        "| 1 | x |",
    ]


def fake_keras(task, job):
    """What the Keras side would answer: a training of 40 s, or a reading."""
    versions = {"tensorflow": "2.0", "keras": "3.0"}
    if task == "read":
        values = {"paths": 10.0, "arrays": 20.0, "one": 0.1, "one_by_call": 0.01}
        return {**values, "exact_match": 0.5, "versions": versions}
    if "save" in job:
        (Path(job["save"]) / "keras.weights.h5").touch()
    return {
        "reached": True,
        "seconds": 40.0,
        "evaluation_seconds": 1.0,
        "epochs": 2,
        "exact_match": [0.0, 1.0],
        "versions": versions,
    }


@pytest.fixture
def in_process(load, children, monkeypatch):
    """Sides run here: ours with a tiny network, and Keras's as `fake_keras`."""
    tiny = partial(CaptchaRecognizer, conv_channels=(8, 16), lstm_units=8)
    for side in ("own", "noise"):
        monkeypatch.setattr(load(f"side_{side}"), "CaptchaRecognizer", tiny)

    def run_task(side, task, *, threads, python=None, **job):
        if side == "keras":
            return fake_keras(task, job)
        return load(f"side_{side}").TASKS[task](threads=threads, **job)

    monkeypatch.setattr(children, "run_task", run_task)
    monkeypatch.setattr(children, "make_keras_environment", lambda folder: "python")


@pytest.fixture
def archive(tmp_path):
    """Arguments that name a folder with an archive of 20 images, as the real one is."""
    images, texts = make_captchas(20, length=3, size=(24, 60), random_state=0)
    assert len(set(texts)) == 20
    with zipfile.ZipFile(tmp_path / "captcha_images_v2.zip", "w") as opened:
        for image, text in zip(images, texts, strict=True):
            with opened.open(f"captcha_images_v2/{text}.png", "w") as file:
                Image.fromarray(image).save(file, "png")
    return ["--data", str(tmp_path), "--quick", "--threads", "1"]


def test_time_to_accuracy_is_taken_in_turn(load, in_process, archive, tmp_path, capsys):
    script = load("time_to_accuracy")
    output = tmp_path / "times.json"
    arguments = [*archive, "--output", str(output)]
    assert script.main([*arguments, "--seeds", "0", "1"]) == 0
    (entry,) = json.loads(output.read_text()).values()
    sides = list(script.SIDES)
    assert [(run["seed"], run["side"]) for run in entry["runs"]] == [
        *((0, side) for side in sides),
        *((1, side) for side in reversed(sides)),
    ]
    own = [run for run in entry["runs"] if run["side"] != "keras"]
    assert {(run["n_train"], run["n_held_out"]) for run in own} == {(18, 2)}
    assert all(1 <= len(run["exact_match"]) == run["epochs"] <= 2 for run in own)
    assert all(0 < run["evaluation_seconds"] < run["seconds"] for run in own)
    assert entry["versions"]["keras"] == "3.0"
    shown = capsys.readouterr().out
    assert "open: 3 of 5 seeds not run in full" in shown
    assert "tensorflow 2.0, keras 3.0" in shown
    assert script.main(["--output", str(output), "--markdown"]) == 0
    assert capsys.readouterr().out.strip() in shown


def test_time_to_accuracy_is_judged_by_the_median_and_each_seed(load):
    script = load("time_to_accuracy")

    def judge(*seconds, reached=True):
        runs = []
        for seed, own in enumerate(seconds):
            run = {"seed": seed, "evaluation_seconds": 1, "reached": reached}
            runs.append({**run, "side": "keras", "seconds": 100})
            runs.append({**run, "side": "own", "seconds": own})
        return script.judge({"quick": False, "runs": runs})

    assert judge(4, 5, 2, 10, 9) == "met"
    assert judge(4, 5, 2, 10.5, 9) == "missed"  # one is less than 10 times sooner
    assert judge(6, 6, 2, 6, 2) == "missed"
    assert judge(1, 1, 1, 1, 1, reached=False) == "missed"
    assert judge(1, 1, 1, 1) == "open: 1 of 5 seeds not run in full"


class OnnxReader:
    def predict(self, X):
        return ["abc"] * len(X)


@pytest.mark.parametrize("there", [True, False])
def test_prediction_is_measured_by_each_side_that_is_there(
    load, in_process, archive, tmp_path, monkeypatch, capsys, there
):
    exported = []
    fake = types.SimpleNamespace(
        export_onnx=lambda recognizer, path: exported.append(path),
        load_onnx=lambda path: OnnxReader(),
    )
    monkeypatch.setitem(sys.modules, "skcaptcha.export", fake if there else None)
    monkeypatch.setattr(importlib.metadata, "version", lambda name: f"{name}'s")
    script = load("prediction")
    output = tmp_path / "prediction.json"
    assert script.main([*archive, "--output", str(output)]) == 0
    entries = json.loads(output.read_text())
    assert list(entries) == ["paths", "arrays", "one"]
    for entry in entries.values():
        assert entry["values"].keys() == {"keras", "own", *(["onnx"] if there else [])}
        assert all(value > 0 for column in entry["values"].values() for value in column)
        assert 0 <= entry["exact_match"]["own"] <= 1
        assert len(entry["missing"]) == (not there)
    assert [path.name for path in exported] == ["own.onnx"] * there
    shown = capsys.readouterr().out
    assert ("ONNX | not measured: " in shown) == (not there)
    assert ("onnxruntime onnxruntime's" in shown) == there
    assert shown.count("ONNX Runtime is ") == 3 * there
    assert "| Keras, called as a function | 10.00 (10.00 to 10.00) | 10.00 (" in shown


def test_prediction_compares_rates_and_times_the_right_way_round(load):
    script = load("prediction")
    values = {"keras": [10, 20], "own": [50, 120]}
    entry = {"quick": False, "values": values}
    assert script.judge("paths", entry) == "met"  # 5 and 6 times as many
    assert script.judge("one", entry) == "missed"
    values["own"] = [2, 3]
    assert script.judge("paths", entry) == "missed"
    assert script.judge("one", entry) == "met"


@pytest.fixture
def profile_fit(load):
    return load("profile_fit")


def test_clocks_count_the_innermost_stage(profile_fit, monkeypatch):
    now = 0
    clock = types.SimpleNamespace(perf_counter=lambda: now)
    monkeypatch.setattr(profile_fit, "time", clock)
    stopwatch = profile_fit.Stopwatch()

    def spend(seconds, *parts):
        nonlocal now
        for part in parts:
            part()
            now += seconds

    inner = stopwatch.wrap("CTC", partial(spend, 1, lambda: None))
    update = stopwatch.wrap("rest of the updates", partial(spend, 10, inner, inner))
    # What is read there runs through the network, too, but is not the updates'.
    reading = stopwatch.wrap("reading samples", partial(spend, 100, inner))
    stopwatch.wrap("rest of the fit", partial(spend, 1000, update, reading))()
    counted = {stage: s for stage, s in stopwatch.seconds.items() if s}
    assert counted == {
        "CTC": 2,
        "rest of the updates": 20,
        "reading samples": 101,
        "rest of the fit": 2000,
    }


def test_a_stage_that_no_longer_runs_is_an_error(profile_fit):
    with (
        pytest.raises(RuntimeError, match="never ran, so wrap something else: decodi"),
        profile_fit.Stopwatch().attached(),
    ):
        pass


def test_a_fit_is_profiled_stage_by_stage(profile_fit, tmp_path, capsys):
    output = tmp_path / "profile.json"
    arguments = ["make_captchas", "--quick", "--threads", "1", "--output", str(output)]
    update = profile_fit._trainer.Trainer.train_step
    assert profile_fit.main(arguments) == 0
    assert profile_fit._trainer.Trainer.train_step is update
    (run,) = json.loads(output.read_text())["make_captchas"]["runs"]
    assert run["seconds"].keys() == {*profile_fit.ONCE, *profile_fit.EACH_EPOCH}
    assert all(seconds > 0 for seconds in run["seconds"].values())
    shares = profile_fit.find_shares(run, profile_fit.EACH_EPOCH)
    assert sum(shares.values()) == pytest.approx(1)
    shown = capsys.readouterr().out
    assert all(f"| {stage} | " in shown for stage in run["seconds"])
    assert "40 images from files, 1 epochs of 5 updates" in shown


def test_what_was_considered_is_timed_beside_what_is_done(load, tmp_path, capsys):
    script = load("update_variants")
    output = tmp_path / "update.json"
    lstm = script.network.BidirectionalLSTM
    assert script.main(["--quick", "--threads", "1", "--output", str(output)]) == 0
    assert script.network.BidirectionalLSTM is lstm
    (run,) = json.loads(output.read_text())["update"]["runs"]
    assert run.keys() == script.ROWS.keys()
    assert all(milliseconds > 0 for milliseconds in run.values())
    shown = capsys.readouterr().out
    assert all(f"| {variant.words}" in shown for variant in script.ROWS.values())


def test_preparing_the_data_is_judged_in_the_fit_and_in_an_epoch(profile_fit):
    stages = dict.fromkeys([*profile_fit.ONCE, *profile_fit.EACH_EPOCH], 1.0)

    def judge(**seconds):
        run = {"seconds": {**stages, "backward": 80.0, **seconds}}
        return profile_fit.judge({"quick": False, "runs": [run]})

    assert judge() == "met"
    assert judge(augmentation=9.0) == "missed"
    assert judge(decoding=9.0) == "missed"  # once, but it is part of the fit


def test_imports_are_timed_and_looked_through(load, monkeypatch, tmp_path, capsys):
    script = load("import_time")
    monkeypatch.setattr(script, "BASELINE", "import json")
    monkeypatch.setattr(script, "OURS", "import json, colorsys")
    monkeypatch.setattr(script, "CALLBACKS", "import stringprep")
    optional = ("colorsys", "stringprep", "no_such_module")
    monkeypatch.setattr(script, "OPTIONAL", optional)
    output = tmp_path / "imports.json"
    arguments = ["--quick", "--repeats", "2", "--output", str(output)]
    assert script.main([*arguments, "seconds"]) == 0
    assert script.main([*arguments, "optional"]) == 1
    entries = json.loads(output.read_text())
    assert np.shape(entries["seconds"]["pairs"]) == (2, 2)
    assert entries["optional"]["loaded"] == ["colorsys"]
    assert "and `import stringprep` stringprep. Target: no others: missed." in (
        capsys.readouterr().out
    )
    # What scikit-learn loads is not the package's to leave out.
    monkeypatch.setattr(script, "CALLBACKS", "import colorsys")
    assert script.main([*arguments, "optional"]) == 0


@pytest.mark.parametrize("more, verdict", [(0.2, "met"), (0.4, "missed")])
def test_the_import_is_judged_by_what_it_adds(load, more, verdict):
    pairs = [[3.0, 9.0], [2.0, more], [4.0, 0.1]]
    assert (
        load("import_time").judge_seconds({"quick": False, "pairs": pairs}) == verdict
    )


def test_what_is_optional_is_not_imported_with_the_package(load):
    script = load("import_time")
    assert set(script.run_imports([script.OURS], threads=1)[1]) <= {"rich"}


@pytest.fixture
def scaling(load, in_process, monkeypatch):
    script = load("scaling")
    small = {"n_images": 32, "width": 48, "n_characters": 3, "length": 2}
    monkeypatch.setattr(script, "USUAL", small)
    rows = {
        "images": dataclasses.replace(script.ROWS["images"], values=(32, 64)),
        "vocabulary": dataclasses.replace(script.ROWS["vocabulary"], values=(3, 300)),
    }
    monkeypatch.setattr(script, "ROWS", rows)
    return script


def test_growth_of_an_epoch_is_measured_and_drawn(scaling, tmp_path, capsys):
    output = tmp_path / "scaling.json"
    arguments = ["--quick", "--threads", "1", "--output", str(output)]
    assert scaling.main([*arguments, "images", "vocabulary"]) == 0
    entries = json.loads(output.read_text())
    assert [run["value"] for run in entries["images"]["runs"]] == [32, 64]
    assert [run["updates_in_an_epoch"] for run in entries["images"]["runs"]] == [2, 4]
    for run in entries["images"]["runs"]:
        assert run["timed_updates"] == 3
        expected = run["update"] * run["updates_in_an_epoch"]
        assert run["epoch"] == pytest.approx(expected, abs=1e-3)
    plot = output.with_suffix(".png")
    with Image.open(plot) as image:
        assert image.format == "PNG"
    assert plot.stat().st_size < 100_000
    shown = capsys.readouterr().out
    assert "48x40 pixels, 3 characters, texts of 2; 3 updates timed" in shown
    assert "100 times the characters cost" in shown


def test_memory_is_measured_for_gray_images_and_color(scaling, tmp_path, capsys):
    output = tmp_path / "scaling.json"
    arguments = ["memory", "--quick", "--threads", "1", "--output", str(output)]
    assert scaling.main(arguments) == 0
    runs = json.loads(output.read_text())["memory"]["runs"]
    assert [run["images"] for run in runs] == ["gray", "gray", "color", "color"]
    assert [run["cache_size"] for run in runs] == [1000, 0, 1000, 0]
    assert all(0.05 < run["before"] <= run["peak"] < 20 for run in runs)
    assert "200 images of 150x40 from files" in capsys.readouterr().out
    assert not output.with_suffix(".png").exists()


def test_images_in_the_file_are_compared_with_images_in_memory(
    scaling, tmp_path, capsys
):
    output = tmp_path / "scaling.json"
    arguments = ["cache", "--quick", "--threads", "1", "--output", str(output)]
    assert scaling.main(arguments) == 0
    entry = json.loads(output.read_text())["cache"]
    assert [run["images"] for run in entry["runs"]] == ["in memory", "in the file"]
    shown = capsys.readouterr().out
    assert "Target: at most 1.3 times: open" in shown
    runs = [
        {"images": words, "update": update, "processor": processor}
        for words, update, processor in [
            ("in memory", 1.0, 1.0),
            ("in the file", 1.2, 1.1),
            ("in memory", 2.0, 1.0),
            ("in the file", 2.8, 1.4),
        ]
    ]
    assert scaling.find_ratios({"runs": runs}, "update") == [1.2, 1.4]
    assert scaling.judge_cache({"quick": False, "runs": runs}) == "met"
    runs[1]["processor"] = 1.3
    assert scaling.judge_cache({"quick": False, "runs": runs}) == "missed"


def test_growth_is_judged_from_the_least_to_the_greatest(scaling):
    def judge(*seconds):
        runs = [
            {"value": value, "epoch": second}
            for value, second in zip((10, 20, 40), seconds, strict=True)
        ]
        return scaling.judge_row({"quick": False, "runs": runs})

    assert judge(1, 2, 4.3) == "met"
    assert judge(1, 2, 4.5) == "missed"
    assert judge(3, 1, 3) == "met"


# ---- fuzzing -----------------------------------------------------------------------


@pytest.fixture
def fuzz(load):
    return load("fuzz_images")


def test_fuzzing_starts_from_whole_files_and_damages_them_by_its_seed(fuzz):
    corpus = fuzz.make_corpus()
    assert {name.split()[0] for name in corpus} == set(fuzz.FORMATS)
    files = list(corpus.values())
    assert all(image.size for image in fuzz.read_images(files))

    def damage(seed):
        rng = np.random.default_rng(seed)
        return [fuzz.mutate(rng, data, files) for data in files * 5]

    assert damage(1) == damage(1) != damage(2)
    assert sum(a == b for a, b in zip(damage(1), files * 5, strict=True)) < 20
    png = bytearray(corpus["PNG 0"])
    png[20] ^= 1  # of the width
    assert fuzz.mend_checksums(bytes(png))[29:33] != png[29:33]
    assert fuzz.mend_checksums(corpus["PNG 0"]) == corpus["PNG 0"]


def test_fuzzing_tells_answers_and_our_errors_from_findings(fuzz, fitted):
    class Reader:
        def __init__(self, answer):
            self.answer = answer

        def predict(self, X):
            return self.answer(X)

    def fail(error):
        raise error

    def warn(X):
        warnings.warn("careless", stacklevel=2)

    png = fuzz.make_corpus()["PNG 1"]
    tally = fuzz.Tally(fitted, slow=60)
    for data in (png, png[:40], b""):
        tally.try_input(data, "PNG")
    assert tally.outcomes == {("PNG", "read"): 1, ("PNG", "refused"): 2}
    assert not tally.findings
    for answer, kind in [
        (lambda X: fail(RuntimeError("tensors")), "RuntimeError in "),
        (lambda X: fail(ValueError("cannot reshape")), "ValueError in "),
        (lambda X: [None], "AssertionError in fuzz_images.py:_read"),
        (lambda X: fitted.predict([b""]), "AssertionError in fuzz_images.py:_read"),
        (warn, "UserWarning in "),
        (lambda X: time.sleep(0.02) or ["1"], "slower than 0.01 s"),
    ]:
        tally = fuzz.Tally(Reader(answer), slow=0.01 if "slow" in kind else 60)
        tally.try_input(png, "PNG")
        tally.try_input(png, "PNG")
        ((found, finding),) = tally.findings.items()
        assert found.startswith(kind) and finding["count"] == 2
        assert finding["data"] == png


def test_fuzzing_outlives_a_crash_and_a_hang(fuzz, tmp_path):
    (tmp_path / "current").write_bytes(b"what did it")

    def run(target, *arguments):
        context = multiprocessing.get_context("spawn")
        return fuzz.supervise(
            lambda *_: context.Process(target=target, args=arguments),
            tmp_path,
            seconds=60,
            hang=3,
        )

    (crashed,) = run(os._exit, 3)
    finding = crashed["findings"]["ended with exit code 3"]
    assert finding["data"] == b"what did it"
    start = time.monotonic()
    (hung,) = run(time.sleep, 300)
    assert time.monotonic() - start < 100
    assert hung["findings"].keys() == {"no word for 3 s"}
    grown = {**hung, "findings": {}, "memory": (100.0, 300.0)}
    entry = fuzz.make_entry([grown, {**grown, "memory": (100.0, 150.0)}], growth=100)
    assert entry["findings"]["memory grows"]["details"] == "from 100 to 300 MiB"


def test_fuzzing_runs_and_keeps_its_counts(fuzz, tmp_path, capsys):
    output = tmp_path / "fuzz.json"
    arguments = ["--minutes", "0.03", "--output", str(output)]
    assert fuzz.main([*arguments, "--inputs", str(tmp_path / "inputs")]) == 0
    entry = json.loads(output.read_text())["mutations"]
    assert entry["findings"] == {} and not (tmp_path / "inputs").exists()
    counts = entry["by_format"]
    assert counts.keys() == set(fuzz.FORMATS)
    assert entry["n_inputs"] == sum(sum(c.values()) for c in counts.values())
    assert all(c["read"] >= 2 and not c["found"] for c in counts.values())
    assert "inputs, 0 kinds of findings" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        fuzz.main([*arguments[:1], "0"])
    assert "--minutes 0.0 must be greater than 0" in capsys.readouterr().err
    finding = {"details": "boom", "data": b"input", "count": 1}
    fuzz.keep_inputs({"kind": finding}, tmp_path / "inputs")
    assert (tmp_path / "inputs" / finding["file"]).read_bytes() == b"input"


# A GPU


def test_the_benchmark_of_a_gpu_is_ready_to_run(load, monkeypatch, tmp_path, capsys):
    gpu = load("gpu")
    monkeypatch.setattr(gpu, "N_QUICK", 40)
    monkeypatch.setattr(gpu, "N_COMPARED", 5)
    output = tmp_path / "gpu.json"
    arguments = ["--device", "cpu", "--quick", "--threads", "1"]
    assert gpu.main([*arguments, "--output", str(output)]) == 1  # nothing is that fast
    entries = json.loads(output.read_text())
    assert entries["fit"]["measured"]["n_train"] == 40
    assert entries["elsewhere"]["measured"]["alike"] == 1
    assert "| an epoch | n train 40, seconds " in capsys.readouterr().out


def test_the_benchmark_of_a_gpu_says_that_there_is_none(load, monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit, match="2"):
        load("gpu").main([])
    assert "PyTorch finds no GPU here" in capsys.readouterr().err


def test_a_busy_gpu_is_seen_in_the_interval_alone(load):
    watch = load("gpu").Watch()
    watch.seen = [(0.5, 0.1), (1.5, 0.8), (2.5, 1.0), (3.5, 0.2)]
    assert watch.busy(1, 3) == pytest.approx(0.9)
    assert watch.busy(4, 5) is None
