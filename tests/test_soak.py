"""The benchmark that predicts for long finds what leaks, and what is wrong."""

import dataclasses
import gc
import importlib
import json
import mmap
import os

import numpy as np
import pytest
import torch
from support.data import ROOT

from skcaptcha.exceptions import ImageReadError

pytestmark = pytest.mark.skipif(
    not os.path.exists("/proc/self/statm"), reason="needs Linux's /proc"
)


@pytest.fixture
def soak(monkeypatch):
    threads = torch.get_num_threads()
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    module = importlib.import_module("soak")
    short = {
        name: dataclasses.replace(row, n_images=1000 * row.n_at_once)
        for name, row in module.ROWS.items()
    }
    monkeypatch.setattr(module, "ROWS", short)  # with --quick 10 calls of each kind
    monkeypatch.setattr(module.hostile, "BAD", ["a bomb", "a folder", "None"])
    monkeypatch.setattr(module.hostile, "SHAPES", [(1, 1)])
    monkeypatch.setattr(module.hostile, "FORMATS", ["PNG", "BMP"])
    gc.freeze()  # else each count goes through all that other tests have made
    yield module
    gc.unfreeze()
    torch.set_num_threads(threads)


def test_all_rows_run_and_keep_their_counts(soak, tmp_path, capsys):
    output = tmp_path / "soak.json"
    arguments = ["--threads", "1", "--output", str(output)]
    assert soak.main([*arguments, "--quick"]) == 0
    entries = json.loads(output.read_text())
    assert entries.keys() == soak.ROWS.keys()
    kinds = {name: len(entry["kinds"]) for name, entry in entries.items()}
    assert kinds.pop("odd") > 20
    assert kinds == {
        "predictions": 1,
        "threads": 1,
        "cut": 2,
        "bad": 3,
        "cut_fit": 2,
        "bad_fit": 3,
    }
    for entry in entries.values():
        for run in entry["kinds"].values():
            assert run["wrong"] == {} and run["n_calls"] == 10
            assert len(run["counts"]) == 2
    capsys.readouterr()
    assert soak.main([*arguments, "--markdown"]) == 0
    shown = capsys.readouterr().out
    assert "| what is no image, fitted | 3 | 30 |" in shown
    assert shown.count("open: too short") == 7


def judge(soak, function, n_calls=200):
    return soak.judge_row({"kinds": {"one": soak.repeat([function], n_calls)}})


def test_what_leaks_is_found(soak, tmp_path):
    kept = []

    def keep_memory():
        # From the system, as others might come from what earlier tests left free.
        kept.append(mmap.mmap(-1, 2**19))
        kept[-1].write(b"x" * 2**19)

    def keep_objects():
        kept.append([object() for _ in range(10)])

    def keep_file():
        kept.append(open(tmp_path / "file", "w"))

    assert judge(soak, lambda: None) == "met"
    for leak in (keep_memory, keep_objects, keep_file):
        assert judge(soak, leak) == "missed"
    for thing in kept:
        if hasattr(thing, "close"):
            thing.close()


def test_wrong_answers_are_found(soak, captchas):
    answers = iter([["31"]] * 20 + [["13"]])

    class Reader:
        def predict(self, X):
            return np.array(next(answers))

    read = soak.make_reader(Reader(), captchas[0][160])
    assert [read() for _ in range(20)] == [None] * 19 + ["['13'] and not ['31']"]

    def fail(error):
        raise error

    for error, found in [
        (ImageReadError("X[0]=b'' is empty"), None),
        (ImageReadError("image=b'' is empty"), "ImageReadError: image=b'' is empty"),
        (ValueError("X[0]=b'' is odd"), "ValueError: X[0]=b'' is odd"),
        (UnicodeError("X[0]=b'' is empty"), "UnicodeError: X[0]=b'' is empty"),
    ]:
        items = {"one": [(b"", "is empty")]}
        functions = soak.make_refusers(items, lambda _, e=error: fail(e), "X[0]=")
        assert functions["one"][0]() == found
    functions = soak.make_refusers(items, lambda item: None, "X[0]=")
    assert functions["one"][0]() == "it was not refused"
    assert judge(soak, functions["one"][0], 10) == "missed"
