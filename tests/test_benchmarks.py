"""The scripts of the benchmarks, on rows small enough for a test."""

import dataclasses
import importlib
import json
import zipfile
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from sklearn.base import BaseEstimator

from skcaptcha import _pretrained, _trainer
from skcaptcha.datasets import load_image_folder, make_captchas


@pytest.fixture
def load(monkeypatch):
    """Function that imports a benchmark by its name."""
    threads = torch.get_num_threads()
    monkeypatch.syspath_prepend(Path(__file__).resolve().parents[1] / "benchmarks")
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
    fits += [fit("in grey", 1, 1.0), fit("no dropout", 7, 0.5)]
    assert ablation.format_variant(fits, "defaults") == "0.700"
    assert (
        ablation.format_variant(fits, "no LSTM") == "0.920 (-3.0), 1 of 2 not converged"
    )
    assert ablation.format_variant(fits, "in grey") == "1.000 (+0.0)"
    assert ablation.format_variant(fits, "no dropout") == "0.500"  # with no partner
    assert ablation.format_variant(fits, "no augmentation") == "–"
    again = ablation.replace_fit(fits, fit("no LSTM", 0, 0.5))
    assert len(again) == len(fits) and fit("no LSTM", 0, 0.5) in again


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
        assert ("decoders" in fit) == (fit["variant"] == "defaults")
    assert entry["fits"][-1]["changed"] == {"lstm_layers": 0}
    assert list(entry["fits"][0]["decoders"]) == list(ablation.DECODERS)
    assert capsys.readouterr().out.count("NOT CONVERGED") == 4
    # The same commit adds to what it measured.
    ablation.main([*arguments, "--variants", "in grey", "--seeds", "0"])
    assert len(json.loads(output.read_text())["tiny"]["fits"]) == 5
    capsys.readouterr()
    assert ablation.main(["--output", str(output), "--markdown"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "| exact match | `tiny` |"
    assert [line.split(" | ")[0] for line in lines[2:5]] == [
        "| defaults",
        "| no LSTM",
        "| in grey",
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


def test_pretraining_writes_weights_of_the_shipped_form(load, monkeypatch, tmp_path):
    pretrain = load("pretrain")
    pretrain.find_fonts.cache_clear()
    monkeypatch.setattr(pretrain, "FONT_FAMILIES", {"matplotlib": ("DejaVuSans",)})
    monkeypatch.setattr(pretrain, "IMAGES_PER_STYLE", 2)
    files = []
    for name in ("a", "b"):
        files.append(tmp_path / f"{name}.safetensors")
        pretrain.main(
            [str(files[-1]), "--images", "40", "--updates", "4", "--jobs", "1"]
        )
    assert files[0].read_bytes() == files[1].read_bytes()
    shipped = Path(_pretrained.__file__).with_name("pretrained.safetensors")
    one, other = (load_file(path) for path in (files[0], shipped))
    assert {name: array.shape for name, array in one.items()} == {
        name: array.shape for name, array in other.items()
    }


def test_pretraining_names_a_missing_package_of_fonts(load, monkeypatch):
    pretrain = load("pretrain")
    pretrain.find_fonts.cache_clear()
    monkeypatch.setattr(pretrain, "FONT_FAMILIES", {"no_such_font": ("A",)})
    with pytest.raises(SystemExit, match="no_such_font is not installed; pip install"):
        pretrain.find_fonts()
