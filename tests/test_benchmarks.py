"""One contract over all benchmarks, and known answers of what they compute."""

import dataclasses
import importlib
import json
import mmap
import os
import shlex
import sys
import time
import types
import zipfile
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from safetensors.torch import load_file as load_torch
from support.benchmarks import FAKE_KERAS, list_tables, make_archives, make_fonts
from support.data import ROOT

from skcaptcha import CaptchaRecognizer
from skcaptcha.datasets import make_captchas
from skcaptcha.exceptions import ImageReadError
from skcaptcha.metrics import exact_match_score
from skcaptcha.model import pretrained

FOLDER = ROOT / "benchmarks"
SCRIPTS = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem != "runner")
RESULTS = sorted(path.stem for path in (FOLDER / "results").glob("*.json"))
# What is tried within seconds: script, row and options. The last five are slow.
TRIALS = """
ablation captcha_images_v2_100 --variants defaults 'in gray'
ablation steps_digits4 --variants 'opening alone'
accuracy few_labels --seeds 0 1
auto_constants digits4
auto_constants batches_digits4
before_labels digits4
beside_keras prediction
beside_keras training
confidence digits4
costs cache
costs networks
costs memory
costs search_files
costs vocabulary
ensemble digits4_400 --folds 2 --seeds 0 1
ensemble digits4_400 --folds 2 --no-single
labels curve --sets captcha_images_v2 digits4
labels found --sets captcha_images_v2 digits4
labels new_characters
labels page --sets captcha_images_v2 --seeds 0 1
labels wrong --folds 2 --share 0.3 --seeds 0 1
self_training digits4_0 --ways 'labels alone' self-training
reading predict
soak cut
soak threads
unlike alarms
unlike margins
start digits4
start environment
start commands
start service
costs imports
gpu captcha_62x5 --smoke
soak damaged
""".split("\n")[1:-1]
TRIALS[-5:] = [pytest.param(trial, marks=pytest.mark.slow) for trial in TRIALS[-5:]]
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
    folder = tmp_path_factory.mktemp("archives")
    make_archives(folder)
    return folder


@pytest.fixture
def try_out(load, runner, archives, monkeypatch, tmp_path):
    """Function that runs a script on few images, with sides in this process."""
    ours, keras, soak = map(load, ("sides.ours", "beside_keras", "soak"))

    start_side = runner.run_side

    def run_side(side, task, *, threads, python=None, **job):
        if side == "keras_example":
            return dict(FAKE_KERAS[task])
        if side == "other_readers":
            texts = {"characters": ["1234"] * len(job["paths"])}
            texts["nothing"] = texts["characters"]
            return {"texts": {"old": texts, "new": texts}, "versions": {task: "1"}}
        if side == "edited":  # its edits need a process of their own
            return {"reads": 60, "cpu_seconds": 1.0, "exact_match": 0.5}
        if side == "damaged_files":
            return start_side(side, task, threads=threads, **job)
        return ours.TASKS[task](threads=threads, **job)

    usual = {"n_images": 32, "width": 48, "n_characters": 3, "length": 2}
    for owner, name, value in [
        (runner, "CaptchaRecognizer", partial(CaptchaRecognizer, **SMALL)),
        (ours, "CaptchaRecognizer", partial(CaptchaRecognizer, **SMALL)),
        (runner, "N_QUICK", 12),
        (runner, "find_commit", lambda script: "a"),
        (runner, "run_side", run_side),
        (runner, "make_environment", lambda folder, requirements: "python"),
        (load("costs"), "USUAL", usual),
        (load("gpu"), "N_COMPARED", 5),
        (soak.hostile, "FORMATS", ["PNG", "BMP"]),
    ]:
        monkeypatch.setattr(owner, name, value)

    def run(script, *arguments):
        given = [*arguments, "--quick", "--threads", "1"]
        if any(row.archive or row.reads_data for row in load(script).ROWS.values()):
            given += ["--data", str(archives)]
        return load(script).main([*given, "--output", str(tmp_path / "results.json")])

    return run


# ---- the contract ----------------------------------------------------------------


@pytest.mark.parametrize("name", SCRIPTS)
def test_each_script_asks_a_question_and_refuses_other_arguments(load, name, capsys):
    script, question = load(name), load(name).__doc__.splitlines()[0]
    page = " ".join((ROOT / "docs" / "benchmarks.rst").read_text("utf-8").split())
    assert question.endswith("?") and question in page
    assert f"benchmarks/{name}.py" in page and len(SCRIPTS) <= 18
    with pytest.raises(SystemExit, match="0"):
        script.main(["--help"])
    assert question in " ".join(capsys.readouterr().out.split())
    with pytest.raises(SystemExit, match="2"):
        script.main(["--no-such-option", "x"])
    assert "--no-such-option" in capsys.readouterr().err


@pytest.mark.parametrize("trial", TRIALS)
def test_a_trial_that_is_cut_off_is_continued(
    trial, try_out, load, monkeypatch, tmp_path, capsys
):
    name, *options = shlex.split(trial)
    calls, row = [], type(load(name).ROWS[options[0]])
    measure = row.measure

    def count(self, run, *rest):
        calls.append(str(run))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return measure(self, run, *rest)

    monkeypatch.setattr(row, "measure", count)
    try:
        assert try_out(name, *options) == 0
    except KeyboardInterrupt:
        assert try_out(name, "--markdown") == 0 and capsys.readouterr().out
        assert try_out(name, *options) == 0
        del calls[1]
    assert len(calls) == len(set(calls))
    (entry,) = json.loads((tmp_path / "results.json").read_text()).values()
    assert len(entry["runs"]) == len(calls) and entry["quick"]
    capsys.readouterr()
    try_out(name, "--markdown")
    tables = list_tables(capsys.readouterr().out)
    assert tables and all(len({line.count("|") for line in t}) == 1 for t in tables)
    for run in entry["runs"]:
        assert not run.get("wrong") and not run.get("findings")  # of soak
    if "search_files" in trial:  # fewer are decoded each time
        n_decoded = [run["n_decoded"] for run in entry["runs"]][:4]
        assert n_decoded == sorted(set(n_decoded), reverse=True)


@pytest.mark.parametrize("name", RESULTS)
def test_committed_results_are_printed(load, name, capsys):
    script = load(name)
    entries = json.loads((FOLDER / "results" / f"{name}.json").read_text("utf-8"))
    for row, entry in entries.items():
        assert entry["words"] == script.ROWS[row].words
    script.main(["--markdown"])
    shown = capsys.readouterr().out
    assert list_tables(shown) and all(f"`{row}`" in shown for row in entries)


# ---- the runner ------------------------------------------------------------------


@pytest.fixture
def count_runs(runner, monkeypatch, tmp_path):
    """Function that runs a row of three repeats; returns status, runs and calls."""

    class Counted(runner.Row):
        def measure(self, run, arguments, prepared):
            calls.append(run["repeat"])
            return {"score": run["repeat"], "versions": {"other": "1"}}

        def judge(self, entry):
            return "missed" if min(run["score"] for run in entry["runs"]) < 1 else "met"

    calls, output = [], tmp_path / "results.json"
    columns = {"score": ("score", ".1f"), "nothing": ("not measured", "")}
    rows = {"one": Counted(words="c", repeats=3, columns=columns, target="1")}
    script = types.SimpleNamespace(__file__="script.py", __doc__="Why?", ROWS=rows)

    def run(*arguments, commit="a"):
        monkeypatch.setattr(runner, "find_commit", lambda script: commit)
        calls.clear()
        given = ["--output", str(output), "--threads", "1", *arguments]
        status = runner.run_benchmark(script, given)
        return status, len(json.loads(output.read_text())["one"]["runs"]), len(calls)

    run.script, run.output = script, output
    return run


def test_runs_are_kept_where_they_stand_side_by_side(count_runs, capsys):
    count_runs.output.write_text('{"two": {"runs": []}}')
    assert count_runs("--repeats", "2") == (1, 2, 2)
    shown = capsys.readouterr().out
    assert "| score |\n| --- |\n| 0.5 (0.0 to 1.0) |" in shown
    assert "Target: 1: missed." in shown and "other 1; " in shown
    assert count_runs() == (1, 3, 1)  # the third repeat alone
    assert count_runs() == (1, 3, 0)
    assert count_runs("--again") == (1, 3, 3)
    assert count_runs(commit="b") == (1, 3, 3)  # by other code
    assert count_runs(commit="b with changes") == (1, 3, 3)  # by no one knows which
    assert count_runs(commit=None) == (1, 3, 3)
    assert count_runs("--quick") == (0, 1, 1)  # a trial has no verdict
    assert list(json.loads(count_runs.output.read_text())) == ["two", "one"]


def test_wrong_arguments_are_refused(count_runs, runner, tmp_path, capsys):
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
    rows = count_runs.script.ROWS
    rows["one"] = dataclasses.replace(rows["one"], archive="real.zip")
    refuse("real.zip doesn't exist; say where it is by --data", "--data", str(tmp_path))
    parser = runner.make_parser(count_runs.script)
    runner.check_arguments(parser, arguments := parser.parse_args(["--quick"]), {})
    assert arguments.output == FOLDER / "results" / "scratch" / "script.json"


def test_arithmetic_of_the_runner(runner):
    # (p + z^2 / 2n -+ z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2 / n)
    assert runner.find_interval(50, 100) == pytest.approx((0.4038, 0.5962), abs=1e-4)
    assert runner.find_interval(0, 10)[0] == 0 and runner.find_interval(10, 10)[1] == 1
    ratios = runner.find_ratios({0: 6.0, 1: 1.0, 3: 9.0}, {0: 2.0, 1: 4.0, 2: 5.0})
    assert ratios == [3.0, 0.25]
    assert runner.describe_spread([4, 1, 2], ".1f") == "2.0 (1.0 to 4.0)"
    assert runner.describe_spread([1, 2]) == "1.50 (1.00 to 2.00)"
    assert runner.describe_spread([]) == ""
    assert runner.format_table(["a"], [["x"]]) == ["| a |", "| --- |", "| x |"]


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs Linux")
def test_a_side_has_a_process_and_cores_of_its_own(runner):
    before = os.sched_getaffinity(0)
    code = "import os; from sides.common import serve; n = os.sched_getaffinity(0)"
    code += (
        "; serve({'tell': lambda **job: [job, os.environ['OMP_NUM_THREADS'], len(n)]})"
    )
    text = '{"task": "tell", "text": "é"}'
    printed = runner.run_python(["-c", code], threads=1, text=text)
    assert json.loads(printed.splitlines()[-1]) == [{"text": "é"}, "1", 1]
    with pytest.raises(RuntimeError, match="ended with 1:(?s:.)*no luck"):
        runner.run_python(["-c", "int('no luck')"], threads=1)
    assert os.sched_getaffinity(0) == before


# ---- known answers of the scripts ------------------------------------------------


def test_the_clock_ends_with_the_epoch_that_reads_enough(load, monkeypatch):
    common, now = load("sides.common"), iter([0, 10, 12, 12, 20, 23, 23])
    monkeypatch.setattr(common.time, "perf_counter", lambda: next(now))
    progress = common.Progress(["a", "b"], target=0.9, max_epochs=3)
    assert not progress.end_epoch(lambda: ["a", ""])
    assert progress.end_epoch(lambda: ["a", "b"])
    found = progress.summarize()
    assert (found["seconds"], found["evaluation_seconds"]) == (23, 5)
    assert found["exact_match"] == [0.5, 1] and found["reached"]


def test_each_constant_is_still_where_it_is_changed(load):
    script, find_file = load("auto_constants"), load("sides.edited").find_file
    for old, new in filter(None, script.VARIANTS.values()):
        assert find_file(script.PACKAGE, old) and old != new
    with pytest.raises(ValueError, match="must stand once in the package"):
        find_file(script.PACKAGE, "import ")


@pytest.mark.parametrize("name", ["beside_keras", "before_labels"])
def test_an_environment_is_pinned_and_made_once(
    name, load, runner, monkeypatch, tmp_path
):
    requirements, calls = load(name).REQUIREMENTS, []
    lines = requirements.read_text().splitlines()
    assert all(line.count("==") == 1 for line in lines if not line.startswith("#"))
    monkeypatch.setattr(runner.subprocess, "run", lambda *_, **__: calls.append(1))
    for _ in range(2):
        runner.make_environment(tmp_path, requirements)
        assert len(calls) == 2  # venv and pip


@pytest.mark.parametrize("n_sizes", [None, 6])
def test_pretrained_weights_read_before_any_label(load, n_sizes):
    script = load("before_labels")
    images, texts = make_captchas(12, vocabulary="0123456789", random_state=0)
    given = script.Images(images, texts, "0123456789", (5, 5))
    found, times = script.read_ours(None, given, n_sizes)
    assert min(times.values()) > 0
    read = found["pretrained"]
    assert exact_match_score(texts, read["characters_and_lengths"]) >= 0.8
    assert set("".join(read["characters"])) <= set("0123456789")


def test_other_readers_are_given_the_characters(load):
    decode = load("sides.other_readers").decode
    frames = np.eye(5)[[1, 1, 0, 1, 4, 4, 3]] + np.eye(5)[2] / 2
    classes = ["", "a", "b", "c", "d"]
    assert decode(frames, classes, "abcd") == "aadc"
    assert decode(frames, classes, "abc") == "aabc"  # for d the next best


def test_what_is_read_before_labels_is_judged(load):
    script = load("before_labels")
    keys = "reader", "characters", "nothing"

    def find(ours, *others):
        names = [name for name in script.READERS if name != script.OURS_CHOSEN]
        readers = zip(names, (ours, *others), strict=False)
        return {"runs": [dict(zip(keys, (r, *x), strict=True)) for r, x in readers]}

    entry = find((0.6, 0.9), (0.5, 0.7), (0.1, 0.2))
    assert list(script.find_shares(entry).values()) == [0.6, 0.5, 0.1]
    assert script.ROWS["digits4"].judge(entry) == "met"
    *_, as_it_is, given = script.summarize({"cs4243": find((0.6, 0), (0.7, 0.5))})
    assert "ahead on 0 of 1 sets; target: 1" in as_it_is
    assert "ahead on 1 of 1 sets: `cs4243`; target: 1" in given
    # The other way of ours to read is no other reader.
    entry = find((0.6, 0.5), (0.5, 0.5))
    entry["runs"].append({"reader": script.OURS_CHOSEN, "characters": 1, "nothing": 1})
    *_, given = script.summarize({"digits4": entry})
    assert "ahead on 0 of 1 sets" in given
    poor = find((0.59, 0.9))
    assert script.ROWS["digits4"].judge(poor) == "missed: under 0.6"
    assert script.ROWS["weixin4_3d"].judge(poor) == "met"
    for ours, verdict in ((0.8, "met"), (0.79, "missed")):
        entries = {name: find((ours, 0)) for name in script.ROWS}
        first, *_ = script.summarize({**entries, "digits4": find((0.8, 0))})
        assert first.endswith(f"of 8 sets; target ≥ 0.8: {verdict}.")


def test_what_other_readers_read_is_kept(load, runner, archives, monkeypatch, tmp_path):
    script, calls = load("before_labels"), []

    def run_side(side, task, *, paths, characters, **job):
        calls.append(len(paths))
        assert all(path.exists() for path in paths) and set("ah") <= set(characters)
        right = labels[: len(paths)]
        some, none = right[:-1] + [""], [""] * len(paths)
        texts = {"old": {"characters": right, "nothing": none}}
        texts["new"] = {"characters": some, "nothing": some}
        return {"texts": texts, "versions": {}}

    def shorten(arguments, chosen):  # the labels are in the order of the archive
        labels[:] = [stems[i] for i in chosen]
        return [chosen]

    with zipfile.ZipFile(archives / "digits4.zip") as archive:
        stems = [n[8:-4] for n in archive.namelist() if n.endswith(".png")]
    labels = []
    monkeypatch.setattr(runner, "shorten", shorten)
    monkeypatch.setattr(runner, "make_environment", lambda *_: "python")
    monkeypatch.setattr(runner, "run_side", run_side)
    options = ["digits4", "--readers", "ddddocr", "--data", str(archives), "--cache"]
    options += [str(tmp_path / "kept"), "--output", str(tmp_path / "results.json")]
    for n_images, seed in ("5", "0"), ("5", "1"), ("4", "0"):  # images are alike
        choice = ["--images", n_images, "--split-seed", seed]
        script.main([*options, *choice, "--again"])
    assert calls == [5, 4]
    (entry,) = json.loads((tmp_path / "results.json").read_text()).values()
    (run,) = entry["runs"]
    assert run["n_images"] == entry["images"] == 4
    # The better of the models counts, for what is given apart; both are kept.
    assert run["characters"] == 1 and run["nothing"] == 0.75
    assert run["models"]["old"] == {"characters": 1, "nothing": 0}


def judge(script, row, *runs):
    return script.ROWS[row].judge({"runs": runs}).split(":")[0]


def test_keras_is_beaten_by_the_median_and_each_seed(load):
    def train(*seconds, reached=True):
        runs = [
            {"seed": seed, "side": side, "seconds": value, "reached": reached}
            for seed, own in enumerate(seconds)
            for side, value in (("Keras", 100), ("skcaptcha", own))
        ]
        return judge(load("beside_keras"), "training", *runs)

    assert train(1, 1, 0.8, 10, 2) == "met"
    assert train(1, 1, 0.8, 10.5, 2) == "missed"  # one is less than 10 times sooner
    assert train(2, 2, 0.5, 2, 0.5) == train(1, 1, 1, 1, 1, reached=False) == "missed"
    assert train(1, 1, 1, 1) == "open"
    keras = {"side": "Keras", "repeat": 0, "paths": 10, "arrays": 10, "one": 10}
    own = {"side": "skcaptcha", "repeat": 0, "paths": 20, "arrays": 25, "one": 1}
    best = own | {"side": "skcaptcha, strides, exported to ONNX", "arrays": 40}
    assert judge(load("beside_keras"), "prediction", keras, own, best) == "met"
    for worse in ({"arrays": 24}, {"one": 1.1}):
        changed = own | worse
        assert (
            judge(load("beside_keras"), "prediction", keras, changed, best) == "missed"
        )
    assert judge(load("beside_keras"), "prediction", keras, own) == "missed"
    assert judge(load("beside_keras"), "prediction", keras) == "open"


def test_costs_are_judged_by_their_growth_and_ratios(load):
    def grow(*epochs):
        runs = [{"width": 10 * 2**i, "epoch": epoch} for i, epoch in enumerate(epochs)]
        return judge(load("costs"), "width", *runs)

    assert grow(1, 2, 4.3) == grow(3, 1, 3) == "met" and grow(1, 2, 4.5) == "missed"
    memory = {"images": "in memory", "repeat": 0, "update": 1.0, "processor": 1.0}
    file = memory | {"images": "in the file", "update": 1.2}
    assert judge(load("costs"), "cache", memory, file) == "met"
    assert judge(load("costs"), "cache", memory, file | {"processor": 1.4}) == "missed"
    run = {"ours": 0.2, "loaded": ["rich"], "loaded_by_callbacks": ["rich"]}
    assert judge(load("costs"), "imports", run) == "met"
    for wrong in ({"ours": 0.4}, {"loaded": ["cv2"]}):
        assert judge(load("costs"), "imports", run | wrong) == "missed"


def test_a_start_is_judged_by_the_processor_time_of_each_command(load):
    start = load("start")
    spent = dict.fromkeys(start.COMMANDS, 0.1) | {"import torch": 1.0}

    def judge_start(**changed):
        changed = {name.replace("_", " "): value for name, value in changed.items()}
        runs = [
            {"repeat": repeat, "command": name, "processor": value}
            for name, value in {**spent, **changed}.items()
            for repeat in range(3)
        ]
        return start.ROWS["commands"].judge({"runs": runs})

    assert judge_start() == "met"
    assert judge_start(import_skcaptcha=0.3) == "missed by import skcaptcha"
    late = {"predict model.onnx": 0.9, "predict model.joblib": 1.6}
    assert judge_start(**late) == "missed by predict model.onnx, predict model.joblib"
    runs = [{"repeat": 0, "command": "python", "processor": 0.1}]
    assert start.ROWS["commands"].judge({"runs": runs}).startswith("open")


def test_an_environment_counts_what_is_required_once(load, runner):
    start = load("start")
    needed = start.list_needed("onnxruntime")
    assert {"onnxruntime", "numpy", "protobuf"} <= needed and "torch" not in needed
    assert start.list_needed("skcaptcha", with_requirements=False) == {"skcaptcha"}
    assert {"torch", "scikit-learn"} <= start.list_needed("skcaptcha")
    assert start.measure_size("packaging") > 10_000
    assert 10**6 < start.measure_size("skcaptcha") < 10**8


@pytest.mark.parametrize(("parts", "n_runs"), [(None, 25), (["25", "400"], 10)])
def test_accuracy_is_measured_of_all_parts_or_those_asked_for(load, parts, n_runs):
    row = load("accuracy").ROWS["few_labels"]
    arguments = types.SimpleNamespace(
        parts=parts, seeds=None, quick=False, repeats=None
    )
    assert len(row.list_runs(arguments, None)) == n_runs


def test_accuracy_is_judged_by_mean_lowest_time_and_convergence(load):
    row = load("accuracy").ROWS["captcha_images_v2"]
    fit = {"exact_match": 0.998, "converged": True, "seconds": 59}
    bad = {"exact_match": 0.98, "converged": False, "seconds": 61}
    assert row.judge_group(None, [fit]) == "met"
    missed = "missed: not converged, mean, lowest, over 60 s"
    assert row.judge_group(None, [fit, bad]) == missed
    drawn = [
        load("accuracy").draw_captchas(2, "abc", 4, (90, 30), s) for s in (0, 0, 1)
    ]
    assert drawn[0][1] == drawn[1][1] != drawn[2][1]
    assert np.array_equal(drawn[0][0], drawn[1][0])


def test_scores_are_compared_seed_by_seed(load):
    format_variant, vote = load("ablation").format_variant, load("ensemble").vote
    scores = {"defaults": (0.95, 1.0), "no LSTM": (0.86, 0.98), "in gray": (1.0,)}
    runs = [
        {"variant": v, "seed": seed, "exact_match": score, "converged": score > 0.9}
        for v, column in scores.items()
        for seed, score in enumerate(column)
    ]
    assert format_variant(runs, "defaults") == "0.975"
    assert format_variant(runs, "no LSTM") == "0.920 (-5.5), 1 of 2 not converged"
    assert format_variant(runs, "in gray") == "1.000 (+5.0)"  # than with the same seed
    assert format_variant(runs, "no dropout") == "–"
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
    labels, texts = load("labels"), [f"{i:03}" for i in range(1000)]
    corrupted, wrong = labels.corrupt(texts, 0.2, seed=0)
    assert wrong == [i for i in range(1000) if corrupted[i] != texts[i]]
    assert len(wrong) == 200 and labels.corrupt(texts, 0.2, 0) == (corrupted, wrong)
    new, parts = labels.split_characters(range(1000), texts, seed=1)
    assert sorted(i for paths, _ in parts.values() for i in paths) == [*range(1000)]
    for name, (paths, found) in parts.items():
        assert found == [texts[i] for i in paths]
        assert {bool(set(new) & set(t)) for t in found} == {name.startswith("new")}


def test_estimates_are_judged_by_how_near_they_come(load):
    def estimate(*off):
        runs = [
            {"data": name, "seed": seed, "off_by": value}
            for name, values in enumerate(off)
            for seed, value in enumerate(values)
        ]
        return judge(load("labels"), "curve", *runs)

    near, far = (0.03, -0.01, 0.01), (0.03, 0.02, 0.02)  # by their mean
    assert estimate(near, near, near, near, near, far) == "met"
    assert estimate(near, near, near, near, far, far) == "missed"


def test_a_gpu_is_watched_in_the_interval_alone(load):
    watch = load("gpu").Watch()
    watch.seen = [(0.5, 0.1), (1.5, 0.8), (2.5, 1.0), (3.5, 0.2)]
    assert watch.busy(1, 3) == pytest.approx(0.9) and watch.busy(4, 5) is None


def test_a_watch_that_cannot_ask_the_driver_ends(load, monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))  # where there is no nvidia-smi
    watch = load("gpu").Watch()
    watch.start()
    watch.join(10)
    assert not watch.is_alive() and watch.busy(-1e9, 1e9) is None
    assert "how busy the GPU is remains unknown" in capsys.readouterr().out


def test_few_captchas_are_drawn_and_the_others_moved(load, monkeypatch):
    script = load("gpu")
    monkeypatch.setattr(script, "N_DRAWN", 6)
    monkeypatch.setattr(script, "CHUNK", 3)
    monkeypatch.setattr(script.joblib, "cpu_count", lambda: 1)
    images, texts = script.draw(15)
    again, _ = script.draw(15)
    assert texts[:6] == texts[6:12] and texts[:3] == texts[12:]
    assert len(set(texts)) == 6 and all(len(text) == 5 for text in texts)
    assert all(image.shape == (40, 150, 3) for image in images)
    for i in range(6, 15):
        assert np.array_equal(images[i], again[i])
        assert np.array_equal(np.sort(images[i], None), np.sort(images[i % 6], None))
    assert any(not np.array_equal(images[i], images[i % 6]) for i in range(6, 15))
    n_bytes = script.Gpu.N_TRAIN * images[0].nbytes
    assert n_bytes < script.CACHE * 1e6  # no image waits in a file


def test_a_gpu_whose_work_is_unknown_leaves_the_target_open(load):
    row = load("gpu").ROWS["captcha_62x5"]
    run = {
        "seconds": 4.0,
        "busy": 0.9,
        "alike": 1.0,
        "through_nccl": 0.01,
        "minutes": 5,
    }
    assert row.judge({"runs": [run]}) == "met"
    for name, value in [
        ("seconds", 6.0),
        ("busy", 0.7),
        ("alike", 0.99),
        ("through_nccl", None),
        ("through_nccl", 0.1),
        ("minutes", 7),
    ]:
        assert row.judge({"runs": [{**run, name: value}]}) == "missed"
    assert row.judge({"runs": [{**run, "busy": None}]}).startswith("open: how busy")


def test_weights_are_compared_with_those_of_before(load, monkeypatch, tmp_path, capsys):
    script = load("same_weights")
    small = CaptchaRecognizer(**SMALL, max_iter=1, random_state=0)
    monkeypatch.setattr(script, "FITS", {"small": lambda: small.fit(*script.draw(8))})
    assert script.main(["--out", str(tmp_path / "before")]) == 0
    assert script.main(["--compare", str(tmp_path / "before")]) == 0
    small.set_params(random_state=1)
    assert script.main(["--compare", str(tmp_path / "before")]) == 1
    assert capsys.readouterr().out.split()[-1] == "DIFFERENT"


@pytest.mark.slow
def test_pretraining_writes_weights_of_the_shipped_form(load, monkeypatch, tmp_path):
    pytest.importorskip("cv2")
    script, made = load("pretrain"), [tmp_path / "a.part", tmp_path / "b.part"]
    monkeypatch.setattr(script, "PER_SHARD", 24)
    monkeypatch.setattr(script, "PER_GROUP", 1)
    make_fonts(tmp_path)
    for path in tmp_path.glob("node_modules/@fontsource/plain/files/*"):
        for alphabet in ("cyrillic", "greek"):
            name = path.name.replace("latin", alphabet)
            path.with_name(name).write_bytes(path.read_bytes())
    options = ["--images", "48", "--jobs", "1", "--fonts", str(tmp_path)]
    options += ["--batch-size", "8", "--updates", "6"]
    # In one go, and in parts: drawn first, the training broken off after a group.
    script.main([str(made[0]), *options, "--work", str(tmp_path / "a")])
    options += ["--work", str(tmp_path / "b")]
    script.main([str(made[1]), *options, "--only", "draw"])
    with monkeypatch.context() as patch:
        patch.setattr(script, "save_state", break_off(script.save_state))
        with pytest.raises(KeyboardInterrupt):
            script.main([str(made[1]), *options, "--only", "train"])
    script.main([str(made[1]), *options, "--only", "train"])
    assert made[0].read_bytes() == made[1].read_bytes()
    # What it learns on from, alone or with what it has learned.
    (tmp_path / "b" / "state.pt").unlink()
    options += ["--start", str(made[0]), "--only", "train"]
    script.main([str(made[1]), *options, "--start-share", "1"])
    assert made[0].read_bytes() == made[1].read_bytes()
    (tmp_path / "b" / "state.pt").unlink()
    script.main([str(made[1]), *options, "--start-share", "0.5"])
    assert made[0].read_bytes() != made[1].read_bytes()
    # In 8 bits, which are as near as they can be.
    script.main(
        [str(tmp_path / "c.part"), *options, "--start-share", "0.5", "--bits", "8"]
    )
    exact, rough = (
        pretrained.dequantize(load_torch(path))
        for path in (made[1], tmp_path / "c.part")
    )
    assert exact.keys() == rough.keys()
    for name, tensor in exact.items():
        step = tensor.abs().max() / 127
        assert (tensor - rough[name]).abs().max() <= step, name
    folder = Path(pretrained.__file__).parent
    shipped = load_file(folder / "pretrained_stride.safetensors")
    shapes = {name: array.shape for name, array in load_file(made[0]).items()}
    assert shapes == {name: array.shape for name, array in shipped.items()}


def break_off(function):
    """Return a function that ends with Ctrl-C once it has done its work."""

    def broken_off(*arguments):
        function(*arguments)
        raise KeyboardInterrupt

    return broken_off


# ---- what soak.py finds ----------------------------------------------------------


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux's /proc")
def test_what_leaks_is_found(load, tmp_path):
    soak, kept = load("soak"), []

    def keep_memory():
        # From the system, as others might come from what earlier tests left free.
        kept.append(mmap.mmap(-1, 2**19))
        kept[-1].write(b"x" * 2**19)

    for function, verdict in {
        lambda: None: "met",
        keep_memory: "missed",
        lambda: kept.append([object() for _ in range(10)]): "missed",
        lambda: kept.append(open(tmp_path / "f", "w")): "missed",
    }.items():
        run = {"kind": "one", **soak.repeat([function], 200)}
        assert judge(soak, "predictions", run) == verdict
    for thing in kept:
        getattr(thing, "close", list)()


class Reader:
    """Reads what a function says."""

    def __init__(self, answer):
        self.predict = answer


def test_wrong_answers_are_found(load):
    soak, answers = load("soak"), iter(["31", "31", "13"])
    read = soak.make_reader(Reader(lambda X: np.array([next(answers)])), None)
    assert [read(), read()] == [None, "['13'] and not ['31']"]

    def refuse(error):
        def call(item):
            raise error

        return soak.make_refuser(call, "X[0]=", b"", "is empty")()

    assert refuse(ImageReadError("X[0]=b'' is empty")) is None
    assert refuse(ImageReadError("y is empty")) == "ImageReadError: y is empty"
    assert refuse(ValueError("X[0]=b'' is odd")) == "ValueError: X[0]=b'' is odd"
    assert soak.make_refuser(len, "X[0]=", b"", "odd")() == "it was not refused"


def test_files_are_damaged_by_the_seed_and_tried(load, tmp_path):
    soak, damaged = load("soak"), load("sides.damaged_files")
    corpus, (recognizer, _) = soak.make_corpus(), soak.fit_recognizer()
    formats = {"PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "PPM"}
    assert {name.split()[0] for name in corpus} == formats
    inputs = [damaged.list_inputs(corpus, seed) for seed in (1, 1, 2)]
    a, b, c = ([next(some) for _ in range(2 * len(corpus))] for some in inputs)
    assert a == b != c and a[: len(corpus)] == c[: len(corpus)]
    png = next(data for name, data in corpus.items() if name.startswith("PNG"))
    broken = png[:20] + bytes([png[20] ^ 1]) + png[21:]  # of the height
    assert damaged.mend_checksums(png) == png
    assert damaged.mend_checksums(broken)[29:33] != png[29:33]
    tally = damaged.Tally(recognizer, 60, tmp_path)
    for data in (png, png[:40], b""):
        tally.try_input(data, "PNG")
    assert tally.by_format == {"PNG": {"read": 1, "refused": 2, "found": 0}}
    for answer, kind in {
        lambda X: int("cannot reshape"): "ValueError in ",
        lambda X: [None]: "AssertionError in damaged_files.py:read",
        lambda X: recognizer.predict([b""]): "AssertionError in damaged_files.py:read",
        lambda X: time.sleep(0.02) or ["1"]: "slower than 0.01 s",
    }.items():
        slow = 0.01 if "slow" in kind else 60
        tally = damaged.Tally(Reader(answer), slow, tmp_path)
        tally.try_input(png, "PNG")
        ((found, finding),) = tally.findings.items()
        assert found.startswith(kind)
        assert (tmp_path / finding["file"]).read_bytes() == png


def test_a_crash_and_a_hang_are_outlived(load, monkeypatch, tmp_path):
    soak = load("soak")
    (tmp_path / "current").write_bytes(b"what did it")
    job = {"pickled": tmp_path / "pickled", "slow": 60, "kept": tmp_path, "seconds": 1}
    total = {"n_inputs": 0, "by_format": {}, "findings": {}, "memory_mib": []}
    monkeypatch.setattr(soak, "HANG", 2)
    for code in ("import os; os._exit(3)", "import time; time.sleep(300)"):

        def run_side(side, task, *, code=code, timeout, **job):
            return soak.runner.run_python(["-c", code], threads=1, timeout=timeout)

        monkeypatch.setattr(soak.runner, "run_side", run_side)
        soak.add_up(total, soak.try_inputs(job))
    grown = {"PNG": {"read": 2, "found": 0}}, {}, [100.0, 300.0]
    for _ in range(2):
        summary = dict(zip(("by_format", "findings", "memory_mib"), grown, strict=True))
        soak.add_up(total, {"n_inputs": 2, **summary})
    assert total["n_inputs"] == 4 and total["by_format"]["PNG"]["read"] == 4
    crash, hang, growth = total["findings"].values()
    assert "ended with 3" in crash["details"] and "timed out" in hang["details"]
    assert (tmp_path / crash["file"]).read_bytes() == b"what did it"
    assert growth["count"] == 2
