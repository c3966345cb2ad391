"""One contract over all benchmarks, and known answers of what they compute."""

import dataclasses
import importlib
import io
import json
import multiprocessing
import os
import shutil
import time
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
from support.data import ROOT

from skcaptcha import CaptchaRecognizer
from skcaptcha.model import pretrained

FOLDER = ROOT / "benchmarks"
SCRIPTS = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem != "runner")
RESULTS = sorted(path.stem for path in (FOLDER / "results").glob("*.json"))
# Script -> what is tried of it within seconds: a row with more than one run if it has
# any, and options.
TRIALS = {
    "ablation": ["captcha_images_v2_100", "--variants", "defaults", "opening alone"]
    + ["in gray"],
    "accuracy": ["few_labels", "--seeds", "0", "1"],
    "beside_keras": ["prediction"],
    "confidence": ["digits4"],
    "costs": ["vocabulary"],
    "ensemble": ["digits4_400", "--folds", "2", "--seeds", "0", "1"],
    "gpu": ["--device", "cpu"],
    "labels": ["wrong", "--folds", "2", "--share", "0.3", "--seeds", "0", "1"],
    "soak": ["cut"],
}
# Other rows, each tried once.
MORE_TRIALS = [
    ("beside_keras", "training"),
    ("costs", "cache"),
    ("costs", "memory"),
    ("costs", "search_files"),
    ("ensemble", "cs4243", "--folds", "2", "--no-single"),
    ("labels", "new_characters"),
    ("soak", "predictions"),
    ("soak", "threads"),
]
SMALL = {"conv_channels": (8, 16), "lstm_units": 8, "pretrained": False}


@pytest.fixture
def load(monkeypatch):
    """Function that imports a benchmark by its name."""
    threads = torch.get_num_threads()
    monkeypatch.syspath_prepend(FOLDER)
    yield importlib.import_module
    torch.set_num_threads(threads)


@pytest.fixture
def runner(load):
    return load("runner")


@pytest.fixture(scope="session")
def archives(tmp_path_factory):
    """Folder of archives that are arranged as the real ones are, of one tiny image."""
    folder, stream = tmp_path_factory.mktemp("archives"), io.BytesIO()
    Image.fromarray(np.full((24, 60), 255, np.uint8)).save(stream, "PNG")
    texts = ["".join(LOWER[i // 26**k % 26] for k in range(3)) for i in range(2000)]
    rows = [f"{text}.png,{text}" for text in texts[:1000]]
    files = {
        "captcha_images_v2": [f"{text}.png" for text in texts[:1040]],
        "digits4": [f"{text}.png" for text in texts[:1000]],
        "cs4243": [
            f"{part}/{text}-0.png" for part in ("train", "test") for text in texts
        ],
    }
    for name, paths in files.items():
        with zipfile.ZipFile(folder / f"{name}.zip", "w") as archive:
            for path in paths:
                archive.writestr(f"{name}/{path}", stream.getvalue())
            if name == "digits4":
                table = "\n".join(["filename,text", *rows])
                archive.writestr(f"{name}/labels.csv", table)
    return folder


def fake_keras(task, save=None, **job):
    """What the Keras side would answer: a training of 40 s, or a reading."""
    if task == "read":
        return {"paths": 10.0, "arrays": 20.0, "one": 0.1, "one_by_call": 0.01}
    found = {"reached": True, "seconds": 40.0, "evaluation_seconds": 1.0, "epochs": 2}
    return {**found, "exact_match": [0.0, 1.0], "versions": {"keras": "3.0"}}


@pytest.fixture
def try_out(load, runner, archives, monkeypatch, tmp_path):
    """Function that runs a script on few images, with sides in this process."""
    small = partial(CaptchaRecognizer, **SMALL)
    ours = load("sides.ours")
    for module in (runner, ours):
        monkeypatch.setattr(module, "CaptchaRecognizer", small)
    monkeypatch.setattr(runner, "N_QUICK", 12)
    monkeypatch.setattr(runner, "find_commit", lambda script: "a")
    costs, soak, gpu = load("costs"), load("soak"), load("gpu")
    usual = {"n_images": 32, "width": 48, "n_characters": 3, "length": 2}
    monkeypatch.setattr(costs, "USUAL", usual)
    monkeypatch.setattr(gpu, "N_COMPARED", 5)
    monkeypatch.setattr(soak.Repeated, "MEMORY", np.inf)
    monkeypatch.setattr(soak.hostile, "FORMATS", ["PNG", "BMP"])
    monkeypatch.setattr(soak, "N_THREADS", 2)
    keras = load("beside_keras")
    monkeypatch.setattr(keras, "make_keras_environment", lambda folder: "python")

    def run_side(side, task, *, threads, python=None, **job):
        if side == "keras_example":
            return fake_keras(task, **job)
        return ours.TASKS[task](threads=threads, **job)

    monkeypatch.setattr(runner, "run_side", run_side)

    def run(script, *arguments):
        given = [*arguments, "--quick", "--threads", "1"]
        if any(row.archive for row in load(script).ROWS.values()):
            given += ["--data", str(archives)]
        return load(script).main([*given, "--output", str(tmp_path / "results.json")])

    return run


# ---- the contract ----------------------------------------------------------------


def test_there_are_at_most_twelve_scripts_and_each_is_on_the_page(load):
    page = " ".join((ROOT / "docs" / "benchmarks.rst").read_text("utf-8").split())
    assert len(SCRIPTS) <= 12
    for name in SCRIPTS:
        question = load(name).__doc__.splitlines()[0]
        assert question.endswith("?") and f"benchmarks/{name}.py" in page
        assert question in page.replace("``", "`")


@pytest.mark.parametrize("name", SCRIPTS)
def test_help_asks_the_question_and_other_arguments_are_refused(load, name, capsys):
    script = load(name)
    with pytest.raises(SystemExit, match="0"):
        script.main(["--help"])
    question = script.__doc__.splitlines()[0]
    assert question in " ".join(capsys.readouterr().out.split())
    for wrong in ("--no-such-option", *(["no_such_row"] if name in TRIALS else [])):
        with pytest.raises(SystemExit, match="2"):
            script.main([wrong])
        assert wrong in capsys.readouterr().err


def list_tables(text):
    """Return the Markdown tables of a text, each a list of its lines."""
    blocks = (block.splitlines() for block in text.split("\n\n"))
    return [lines for lines in blocks if lines[0].startswith("|")]


@pytest.mark.parametrize("name", TRIALS)
def test_a_trial_that_is_cut_off_is_continued(
    name, try_out, load, monkeypatch, tmp_path, capsys
):
    row = load(name).ROWS[TRIALS[name][0] if name != "gpu" else "captcha_62x5"]
    calls, measure = [], type(row).measure

    def count(self, run, *rest):
        if len(calls) == 1:
            calls.append(None)
            raise KeyboardInterrupt
        calls.append(tuple(run.values()) if name != "confidence" else ())
        return measure(self, run, *rest)

    monkeypatch.setattr(type(row), "measure", count)
    try:
        try_out(name, *TRIALS[name])
    except KeyboardInterrupt:
        assert try_out(name, "--markdown") == 0
        assert len(list_tables(capsys.readouterr().out)) >= 1
        try_out(name, *TRIALS[name])
    done = [call for call in calls if call is not None]
    assert len(done) == len(set(done)) and (
        len(done) > 1 or name in ("gpu", "confidence")
    )
    (entry,) = json.loads((tmp_path / "results.json").read_text()).values()
    assert len(entry["runs"]) == len(done) and entry["quick"] and entry["commit"] == "a"
    capsys.readouterr()
    try_out(name, "--markdown")
    for table in list_tables(capsys.readouterr().out):
        assert len(table) >= 3 and len({line.count("|") for line in table}) == 1


@pytest.mark.parametrize("trial", MORE_TRIALS, ids=" ".join)
def test_a_trial_of_another_row(trial, try_out, tmp_path, capsys):
    assert try_out(*trial) == 0
    (entry,) = json.loads((tmp_path / "results.json").read_text()).values()
    assert entry["runs"] and list_tables(capsys.readouterr().out)
    if "training" in trial:
        sides = [run["side"] for run in entry["runs"]]
        assert sides == ["keras", "own", "own_from_random"]
        assert entry["versions"]["keras"] == "3.0"
    if "search_files" in trial:  # fewer are decoded where it is told to
        n_decoded = [run["n_decoded"] for run in entry["runs"]]
        assert n_decoded[:4] == sorted(set(n_decoded[:4]), reverse=True)
        assert len({str(run["scores"]) for run in entry["runs"][:4]}) == 1
    if "predictions" in trial or "threads" in trial:
        assert not any(run["wrong"] for run in entry["runs"])


@pytest.mark.parametrize("name", RESULTS)
def test_committed_results_are_printed(load, name, capsys):
    script = load(name)
    entries = json.loads((FOLDER / "results" / f"{name}.json").read_text("utf-8"))
    assert {row: entry["words"] for row, entry in entries.items()} == {
        row: script.ROWS[row].words for row in entries
    }
    assert script.main(["--markdown"]) in (0, 1)
    shown = capsys.readouterr().out
    assert all(
        f"`{row}`" in shown or script.ROWS[row].words in shown for row in entries
    )
    assert list_tables(shown) and "AMD" in shown or "Intel" in shown


# ---- the runner ------------------------------------------------------------------


@pytest.fixture
def count_runs(runner, monkeypatch, tmp_path):
    """Function that runs a row of three repeats; returns status, runs and calls."""

    class Counted(runner.Row):
        def measure(self, run, arguments, prepared):
            calls.append(run["repeat"])
            return {"score": run["repeat"], "versions": {"other": "1"}}

        def judge(self, entry):
            return (
                "missed: low" if min(r["score"] for r in entry["runs"]) < 1 else "met"
            )

        def format(self, entry):
            return runner.format_table(["runs"], [[len(entry["runs"])]])

    calls, output = [], tmp_path / "results.json"
    rows = {"one": Counted(words="counting", repeats=3, target="1", archive=None)}

    def run(*arguments, commit="a"):
        monkeypatch.setattr(runner, "find_commit", lambda script: commit)
        calls.clear()
        given = ["--output", str(output), "--threads", "1", *arguments]
        status = runner.run_benchmark("script.py", "Why?", rows, given)
        return status, len(json.loads(output.read_text())["one"]["runs"]), len(calls)

    run.rows, run.output = rows, output
    return run


def test_runs_are_kept_where_they_stand_side_by_side(count_runs, capsys):
    assert count_runs("--repeats", "2") == (1, 2, 2)
    assert "Target: 1: missed: low." in capsys.readouterr().out
    assert count_runs() == (1, 3, 1)  # the third repeat alone
    assert count_runs() == (1, 3, 0)
    assert count_runs("--again") == (1, 3, 3)
    assert count_runs(commit="b") == (1, 3, 3)  # by other code
    assert count_runs(commit="b with changes") == (1, 3, 3)  # by no one knows which
    assert count_runs(commit=None) == (1, 3, 3)
    assert count_runs("--quick") == (0, 1, 1)  # a trial has no verdict
    assert "other 1; " in capsys.readouterr().out


def test_other_rows_stay_in_the_file(count_runs):
    count_runs.output.write_text('{"two": {"runs": []}}')
    count_runs()
    assert list(json.loads(count_runs.output.read_text())) == ["two", "one"]
    assert [path.name for path in count_runs.output.parent.iterdir()] == [
        "results.json"
    ]


def test_wrong_arguments_are_refused(count_runs, runner, monkeypatch, tmp_path, capsys):
    def refuse(message, *arguments):
        with pytest.raises(SystemExit, match="2"):
            count_runs(*arguments)
        assert message in capsys.readouterr().err

    refuse("unknown row 'two'; choose from one", "two")
    refuse("--threads 0 must be at least 1", "--threads", "0")
    refuse("--repeats 0 must be at least 1", "--repeats", "0")
    refuse("results.json doesn't exist; run a row first", "--markdown")
    count_runs.output.write_text('{"one": {"ru')
    refuse("results.json is not JSON")
    count_runs.output.unlink()
    real = dataclasses.replace(count_runs.rows["one"], archive="real.zip")
    count_runs.rows["one"] = real
    refuse("real.zip doesn't exist; say where it is by --data", "--data", str(tmp_path))


def test_a_trial_leaves_the_results_alone(runner):
    parser = runner.make_parser("script.py", "Why?", {})
    arguments = parser.parse_args(["--quick"])
    runner.check_arguments(parser, arguments, {})
    assert arguments.output == FOLDER / "results" / "scratch" / "script.json"


def test_arithmetic_of_the_runner(runner):
    # (p + z^2 / 2n -+ z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2 / n)
    assert runner.find_interval(50, 100) == pytest.approx((0.4038, 0.5962), abs=1e-4)
    assert runner.find_interval(0, 10)[0] == 0 and runner.find_interval(10, 10)[1] == 1
    assert runner.find_ratios({0: 6.0, 1: 1.0, 3: 9.0}, {0: 2.0, 1: 4.0, 2: 5.0}) == [
        3.0,
        0.25,
    ]
    assert runner.describe_spread([4, 1, 2], ".1f") == "2.0 (1.0 to 4.0)"
    assert runner.describe_spread([1, 2]) == "1.50 (1.00 to 2.00)"
    assert runner.describe_spread([]) == ""
    assert runner.format_table(["a"], [["x"]]) == ["| a |", "| --- |", "| x |"]


SIDE = """
import os
from sides import common

def tell(threads, text):
    print("something else")
    cores = len(os.sched_getaffinity(0))
    return [text, threads, os.environ["OMP_NUM_THREADS"], cores]

def fail(threads):
    raise ValueError("no such luck")

common.serve({"tell": tell, "fail": fail})
"""


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs Linux")
def test_a_side_has_a_process_and_cores_of_its_own(runner, monkeypatch, tmp_path):
    shutil.copytree(FOLDER / "sides", tmp_path / "sides")
    (tmp_path / "sides" / "told.py").write_text(SIDE)
    monkeypatch.setattr(runner, "FOLDER", tmp_path)
    before = os.sched_getaffinity(0)
    told = runner.run_side("told", "tell", threads=1, text=Path("é"))
    assert told == ["é", 1, "1", 1]
    with pytest.raises(RuntimeError, match="ValueError: no such luck"):
        runner.run_side("told", "fail", threads=1)
    assert os.sched_getaffinity(0) == before


# ---- known answers of the scripts ------------------------------------------------


def test_the_clock_of_a_training_ends_with_the_epoch_that_reads_enough(
    load, monkeypatch
):
    common, now = load("sides.common"), [100.0]
    monkeypatch.setattr(common.time, "perf_counter", lambda: now[0])
    progress = common.Progress(["a", "b"], target=0.9, max_epochs=3)

    def end_epoch(*found):
        def read():
            now[0] += 2
            return found

        now[0] += 10
        return progress.end_epoch(read)

    assert not end_epoch("a", "") and end_epoch("a", "b")
    found = progress.summarize()
    assert (found["seconds"], found["evaluation_seconds"]) == (24, 4)
    assert found["exact_match"] == [0.5, 1] and found["reached"]
    assert end_epoch("", "")  # the last that there may be
    assert not progress.summarize()["reached"]


def test_the_keras_environment_is_pinned_and_made_anew_for_other_pins(
    load, monkeypatch, tmp_path
):
    script, calls = load("beside_keras"), []
    lines = script.REQUIREMENTS.read_text().splitlines()
    assert all(line.count("==") == 1 for line in lines if not line.startswith("#"))
    run = lambda command, check: calls.append(command[2])  # noqa: E731
    monkeypatch.setattr(script.subprocess, "run", run)
    (tmp_path / script.REQUIREMENTS.name).write_text("keras==1.0\n")
    for _ in range(2):
        python = script.make_keras_environment(tmp_path)
        assert python.parent.parent == tmp_path and calls == ["venv", "pip"]


def test_verdicts(load):
    keras, costs, accuracy = map(load, ("beside_keras", "costs", "accuracy"))

    def train(*seconds, reached=True):
        run = {"evaluation_seconds": 1, "reached": reached}
        sides = {"keras": [100] * len(seconds), "own": seconds}
        runs = [
            {**run, "side": side, "seed": seed, "seconds": value}
            for side, values in sides.items()
            for seed, value in enumerate(values)
        ]
        return keras.ROWS["training"].judge({"runs": runs}).split(":")[0]

    assert train(4, 5, 2, 10, 9) == "met"
    assert train(4, 5, 2, 10.5, 9) == "missed"  # one is less than 10 times sooner
    assert train(6, 6, 2, 6, 2) == train(1, 1, 1, 1, 1, reached=False) == "missed"
    assert train(1, 1, 1, 1) == "open"

    def read(paths, one):
        runs = [
            {"side": "keras", "repeat": 0, "paths": 10, "arrays": 10, "one": 10},
            {"side": "own", "repeat": 0, "paths": paths, "arrays": 50, "one": one},
        ]
        return keras.ROWS["prediction"].judge({"runs": runs})

    assert read(50, 2) == "met" and read(40, 3) == "missed: paths, one"

    def grow(*seconds):
        values = zip((10, 20, 40), seconds, strict=True)
        runs = [{"value": value, "epoch": epoch} for value, epoch in values]
        return costs.ROWS["images"].judge({"runs": runs})

    assert grow(1, 2, 4.3) == grow(3, 1, 3) == "met" and grow(1, 2, 4.5) == "missed"

    def cache(*updates):
        pairs = [(images, r) for r in (0, 1) for images in costs.CACHE_SIZES]
        runs = [
            {"images": images, "repeat": r, "update": u, "processor": 1.0}
            for (images, r), u in zip(pairs, updates, strict=True)
        ]
        return costs.ROWS["cache"].judge({"runs": runs})

    assert cache(1, 1.2, 2, 2.8) == "met" and cache(1, 1.3, 2, 2.8) == "missed"

    def imports(ours, *loaded):
        run = {"ours": ours, "loaded": loaded, "loaded_by_callbacks": ["rich"]}
        return costs.ROWS["imports"].judge({"runs": [run]})

    assert imports(0.2, "rich") == "met"
    assert imports(0.4) == imports(0.2, "cv2") == "missed"

    row = accuracy.ROWS["captcha_images_v2"]
    fit = {"exact_match": 0.998, "converged": True, "seconds": 59}
    assert row.judge_group(None, [fit]) == "met"
    bad = {"exact_match": 0.98, "converged": False, "seconds": 61}
    assert row.judge_group(None, [fit, bad]) == (
        "missed: not converged, mean, lowest, over 60 s"
    )
    assert accuracy.ROWS["few_labels"].judge_group("25", [bad]).endswith("over 60 s")


def test_scores_are_compared_seed_by_seed(load):
    ablation, vote = load("ablation"), load("ensemble").vote

    def run(variant, seed, exact_match, converged=True):
        run = {"variant": variant, "seed": seed, "exact_match": exact_match}
        return {**run, "converged": converged}

    runs = [run("defaults", seed, score) for seed, score in enumerate((0.9, 1, 0.2))]
    runs += [run("no LSTM", 0, 0.86), run("no LSTM", 1, 0.98, converged=False)]
    runs += [run("in gray", 1, 1.0), run("no dropout", 7, 0.5)]
    expected = {
        "defaults": "0.700",
        "no LSTM": "0.920 (-3.0), 1 of 2 not converged",
        "in gray": "1.000 (+0.0)",
        "no dropout": "0.500",
        "no augmentation": "–",
    }
    assert {v: ablation.format_variant(runs, v) for v in expected} == expected
    assert vote(["a", "b", "b"], [0.9, 0.4, 0.4]) == "a"
    assert vote(["a", "b", "b"], [0.7, 0.4, 0.4]) == "b"


def test_confidence_is_judged_by_the_share_that_may_be_accepted(load):
    confidence = load("confidence")
    right, sure = np.arange(100) >= 20, np.arange(1, 101) / 100
    assert confidence.find_threshold(right, sure) == 0.21
    exact_match, accepted = confidence.judge_halves(right, sure)
    assert exact_match > 0.97 and 0.75 < accepted <= 0.82
    assert confidence.find_threshold(right, np.full(100, 0.9)) == np.inf


def test_labels_are_corrupted_and_split_by_the_seed(load):
    labels = load("labels")
    texts = [f"{i:03}" for i in range(100)]
    corrupted, wrong = labels.corrupt(texts, 0.2, seed=0)
    assert wrong == [i for i in range(100) if corrupted[i] != texts[i]]
    assert len(wrong) == 20 and {len(text) for text in corrupted} == {3}
    assert labels.corrupt(texts, 0.2, seed=0) == (corrupted, wrong)
    texts = [
        "".join(np.random.default_rng(i).choice([*"abcdefgh"], 3)) for i in range(900)
    ]
    new, parts = labels.split_characters(list(range(900)), texts, seed=1)
    assert sorted(i for paths, _ in parts.values() for i in paths) == list(range(900))
    for name, (paths, found) in parts.items():
        assert found == [texts[i] for i in paths] and len(new) == 3
        assert {bool(set(new) & set(t)) for t in found} == {name.startswith("new")}


def test_ablation_changes_what_may_be_changed_and_draws_by_the_seed(load):
    for params in load("ablation").PARAMETERS.values():
        CaptchaRecognizer(**params)._validate_params()
    drawn = [
        load("accuracy").draw_captchas(2, "abc", 4, (90, 30), s) for s in (0, 0, 1)
    ]
    assert drawn[0][1] == drawn[1][1] != drawn[2][1]
    assert np.array_equal(drawn[0][0], drawn[1][0]) and drawn[0][0][0].shape == (
        30,
        90,
        3,
    )


def test_a_gpu_is_watched_in_the_interval_alone(load, monkeypatch, capsys):
    watch = load("gpu").Watch()
    watch.seen = [(0.5, 0.1), (1.5, 0.8), (2.5, 1.0), (3.5, 0.2)]
    assert watch.busy(1, 3) == pytest.approx(0.9) and watch.busy(4, 5) is None
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit, match="2"):
        load("gpu").main([])
    assert "PyTorch finds no GPU here" in capsys.readouterr().err


def test_weights_are_compared_with_those_of_before(load, monkeypatch, tmp_path, capsys):
    script = load("same_weights")
    small = CaptchaRecognizer(**SMALL, max_iter=1, random_state=0)
    monkeypatch.setattr(script, "FITS", {"small": lambda: small.fit(*script.draw(8))})
    assert script.main(["--out", str(tmp_path / "before")]) == 0
    assert script.main(["--compare", str(tmp_path / "before")]) == 0
    small.set_params(random_state=1)
    assert script.main(["--compare", str(tmp_path / "before")]) == 1
    assert capsys.readouterr().out.split()[-1] == "DIFFERENT"


# ---- pretraining -----------------------------------------------------------------

DEJAVU = Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")


@pytest.fixture
def fonts(tmp_path):
    """A folder with a family of three weights, and one without small letters."""
    capitals = TTFont(DEJAVU)
    for table in capitals["cmap"].tables:
        table.cmap |= {ord(c): table.cmap.get(ord(c.upper()), c) for c in LOWER}
    for family, weights in {"plain": (100, 300, 400, 900), "capitals": (400,)}.items():
        files = tmp_path / "fonts" / "node_modules" / "@fontsource" / family / "files"
        files.mkdir(parents=True)
        for weight in weights:
            path = files / f"{family}-latin-{weight}-normal.woff"
            shutil.copy(DEJAVU, path) if family == "plain" else capitals.save(path)
    return tmp_path / "fonts"


def test_pretraining_tells_fonts_without_small_letters(load, fonts, tmp_path):
    cased, others = load("pretrain").find_fonts(fonts)
    assert [Path(p).stem.split("-")[2] for p in cased] == ["100", "400", "900"]
    assert [Path(p).stem for p in others] == ["capitals-latin-400-normal"]
    for seed in range(50):
        style = load("pretrain").draw_style(np.random.default_rng(seed), cased, others)
        if set(others) & set(style["fonts"]):
            assert not set(LOWER) & set(style["vocabulary"])
    with pytest.raises(SystemExit, match="There are no fonts in .*npm install"):
        load("pretrain").find_fonts(tmp_path / "nowhere")


@pytest.mark.slow
def test_pretraining_writes_weights_of_the_shipped_form(load, fonts, tmp_path):
    files = [tmp_path / "a.safetensors", tmp_path / "b.safetensors"]
    for file in files:
        sizes = ["--images", "48", "--held-out", "48", "--updates", "4", "--jobs", "1"]
        load("pretrain").main([str(file), *sizes, "--fonts", str(fonts)])
    assert files[0].read_bytes() == files[1].read_bytes()
    shipped = Path(pretrained.__file__).with_name("pretrained.safetensors")
    one, other = (load_file(path) for path in (files[0], shipped))
    assert {n: a.shape for n, a in one.items()} == {
        n: a.shape for n, a in other.items()
    }


# ---- damaged files ---------------------------------------------------------------


def test_files_are_damaged_by_the_seed_and_mended(load):
    soak, damaged = load("soak"), load("sides.damaged_files")
    corpus = soak.make_corpus()
    formats = {"PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "PPM"}
    assert {name.split()[0] for name in corpus} == formats
    files = list(corpus.values())

    def damage(seed):
        rng = np.random.default_rng(seed)
        return [damaged.mutate(rng, data, files) for data in files]

    assert damage(1) == damage(1) != damage(2)
    png = next(data for name, data in corpus.items() if name.startswith("PNG"))
    broken = png[:20] + bytes([png[20] ^ 1]) + png[21:]  # of the height
    assert damaged.mend_checksums(png) == png
    assert damaged.mend_checksums(broken)[29:33] != png[29:33]


def test_answers_and_our_errors_are_told_from_findings(load, fitted):
    damaged = load("sides.damaged_files")
    png = load("soak").hostile.encode(np.zeros((12, 20), np.uint8))
    tally = damaged.Tally(fitted, slow=60)
    for data in (png, png[:40], b""):
        tally.try_input(data, "PNG")
    assert tally.outcomes == {("PNG", "read"): 1, ("PNG", "refused"): 2}

    class Reader:
        def __init__(self, answer):
            self.predict = answer

    def fail(X):
        raise RuntimeError("tensors")

    for answer, kind in {
        fail: "RuntimeError in ",
        lambda X: int("cannot reshape"): "ValueError in ",
        lambda X: [None]: "AssertionError in damaged_files.py:_read",
        lambda X: fitted.predict([b""]): "AssertionError in damaged_files.py:_read",
        lambda X: time.sleep(0.02) or ["1"]: "slower than 0.01 s",
    }.items():
        tally = damaged.Tally(Reader(answer), slow=0.01 if "slow" in kind else 60)
        tally.try_input(png, "PNG")
        ((found, finding),) = tally.findings.items()
        assert found.startswith(kind) and finding["data"] == png


@pytest.mark.slow
def test_a_crash_and_a_hang_are_outlived(load, tmp_path):
    damaged, context = load("sides.damaged_files"), multiprocessing.get_context("spawn")
    (tmp_path / "current").write_bytes(b"what did it")

    def run(target, *arguments):
        make = lambda *_: context.Process(target=target, args=arguments)  # noqa: E731
        (summary,) = damaged.supervise(make, tmp_path, seconds=60, hang=3)
        return summary["findings"]

    crashed = run(os._exit, 3)["ended with exit code 3"]
    load("soak").keep_inputs({"crash": crashed}, tmp_path / "inputs")
    assert (tmp_path / "inputs" / crashed["file"]).read_bytes() == b"what did it"
    assert run(time.sleep, 300).keys() == {"no word for 3 s"}
    grown = {"outcomes": {}, "findings": {}, "slowest": 0, "memory": (100.0, 300.0)}
    findings = damaged.add_up([grown], growth=100)["findings"]
    assert findings["memory grows"]["details"] == "from 100 to 300 MiB"


@pytest.mark.slow
def test_damaged_files_are_tried_and_counted(try_out, tmp_path):
    assert try_out("soak", "damaged") == 0
    (run,) = json.loads((tmp_path / "results.json").read_text())["damaged"]["runs"]
    assert run["findings"] == {} and len(run["by_format"]) == 7
    assert all(c["read"] >= 2 and not c["found"] for c in run["by_format"].values())
