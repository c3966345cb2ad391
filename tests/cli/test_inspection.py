"""The commands that say what labels are worth."""

import csv
import io
import json

import numpy as np
import pytest
from PIL import Image
from support.commands import QUICK

from skcaptcha.cli._inspection import _describe_target
from skcaptcha.datasets import load_labels_csv

FITS = [*QUICK, "--seed", 0]


def read_table(text):
    return list(csv.DictReader(io.StringIO(text)))


@pytest.fixture
def wrong(labeled):
    """Folder of `labeled` with a wrong label, its name, and the label."""
    table = labeled / "labels.csv"
    paths, texts = load_labels_csv(table)
    text = str((int(texts[5][0]) + 1) % 4) + texts[5][1:]
    rows = table.read_text().splitlines()
    name = rows[6].partition(",")[0]
    rows[6] = f"{name},{text}"
    table.write_text("\n".join(rows))
    return labeled, name, text


def test_the_curve_is_written_in_three_forms_and_drawn(run, labeled, tmp_path):
    picture = tmp_path / "curve.png"
    arguments = ["curve", labeled, *FITS, "--target", "0.99", "--quiet"]
    code, out, err = run(*arguments, "--picture", picture)
    assert code == 0 and f"The curve is drawn in {picture}" in err
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert "labels  exact match" in out and "on 10 images held out" in out
    assert "      40  " in out and "     160  " in out  # all of them, four times
    assert "labels for 0.99: " in out

    code, out, _ = run(*arguments, "--format", "json")
    found = json.loads(out)
    assert found["train_sizes"] == [4, 8, 15, 30] and found["n_tested"] == [10]
    assert [row["labels"] for row in found["estimates"]] == [40, 80, 160]
    for row in found["estimates"]:
        assert 0 <= row["low"] <= row["score"] <= row["high"] <= 1
    assert found["target"]["target"] == 0.99
    assert found["converged"] == [[False]] * 4

    code, out, _ = run(*arguments, "--format", "csv")
    rows = read_table(out)
    *rows, target = rows
    for name, value in {**found["target"], "kind": "target"}.items():
        column = "score" if name == "target" else name
        assert target[column] == ("" if value is None else str(value))
    assert [row["labels"] for row in rows] == "4 8 15 30 40 80 160".split()
    assert [row["kind"] for row in rows] == ["measured"] * 4 + ["estimated"] * 3
    scores = [found["test_scores"][i][0] for i in range(4)]
    assert [float(row["score"]) for row in rows[:4]] == scores
    assert rows[0]["low"] == "" and float(rows[4]["low"]) <= float(rows[4]["high"])


@pytest.mark.parametrize(
    "labels, low, high, words",
    [
        (50, 40, 60, "50 (95 % interval 40 to 60)"),
        (50, 40, None, "50 (40 at the least; perhaps no number will do)"),
        (None, 40, None, "perhaps no number will do; 40 at the least"),
        (None, None, None, "no number will do, as it seems"),
    ],
)
def test_what_a_target_takes_is_said_as_far_as_it_is_known(labels, low, high, words):
    assert _describe_target({"labels": labels, "low": low, "high": high}) == words


def test_repeats_of_the_curve_are_counted(run, labeled):
    options = ["--cv", 2, "--scoring", "character_accuracy"]
    code, out, err = run("curve", labeled, *FITS, *options)
    assert code == 0 and "sizes:" in err and "Fitting on parts of 40 labels" in err
    assert "labels  character accuracy" in out and " to " in out
    assert "on 40 images held out in 2 parts" in out


def test_a_model_names_wrong_labels(run, model, wrong, tmp_path):
    folder, name, text = wrong
    picture = tmp_path / "issues.png"
    arguments = ["check-labels", folder, "--model", model]
    code, out, err = run(*arguments, "--picture", picture)
    assert code == 0 and picture.read_bytes().startswith(b"\x89PNG")
    (first, *_) = [line for line in out.splitlines() if "->" in line]
    assert first.startswith("x ") and name in first and f"{text!r} -> " in first
    assert "of 40 labels are not what is read" in out

    code, out, _ = run(*arguments, "--format", "csv")
    rows = read_table(out)
    assert rows[0]["filename"].endswith(name) and rows[0]["label"] == text
    assert rows[0]["is_likely_wrong"] == "1" and all(
        r["label"] != r["read"] for r in rows
    )
    order = [row["is_likely_wrong"] for row in rows]
    assert order == sorted(order, reverse=True)

    code, out, _ = run(*arguments, "--format", "json")
    found = json.loads(out)
    assert found["n_labels"] == 40 and len(found["issues"]) == len(rows)
    assert found["issues"][0]["is_likely_wrong"] is True
    assert found["issues"][0]["label_confidence"] < 1e-3


def test_labels_that_a_model_cannot_read_are_counted(run, model, labeled):
    table = labeled / "labels.csv"
    text = table.read_text()
    table.write_text(text.replace(",0", ",\N{SNOWMAN}"))
    n_labels = text.count(",0")
    said = f"{n_labels} of 40 labels have characters that the model does not know ('☃')"
    code, _, err = run("evaluate", model, labeled)
    assert code == 0 and said in err
    code, out, err = run("check-labels", labeled, "--model", model, "--format", "json")
    assert code == 0 and said in err
    rows = [row for row in json.loads(out)["issues"] if "☃" in row["label"]]
    assert len(rows) == n_labels and not any(row["is_likely_wrong"] for row in rows)


def test_without_a_mistake_there_is_nothing_to_list(run, model, labeled, fitted):
    table = labeled / "labels.csv"
    paths, _ = load_labels_csv(table)
    rows = [
        f"{p.rpartition('/')[2]},{t}"
        for p, t in zip(paths, fitted.predict(paths), strict=True)
    ]
    table.write_text("\n".join(["filename,text", *rows]))
    picture = labeled / "none.png"
    arguments = ["check-labels", labeled, "--model", model]
    code, out, _ = run(*arguments, "--picture", picture)
    assert (code, out) == (0, "All of 40 labels are what is read.\n")
    assert picture.exists()
    assert json.loads(run(*arguments, "--format", "json")[1])["issues"] == []


def test_without_a_model_networks_are_fitted(run, labeled):
    code, out, err = run("check-labels", labeled, *FITS, "--cv", 2, "--format", "csv")
    assert code == 0 and "Fitting 2 recognizers to judge 40 labels" in err
    assert {row["filename"] for row in read_table(out)} <= {
        str(path) for path in labeled.glob("*.png")
    }


def test_unreadable_images_are_refused_or_left_out(run, model, labeled):
    (labeled / "160.png").write_bytes(b"no image")
    for options in (["--model", model], FITS):
        code, out, err = run("check-labels", labeled, *options)
        assert (code, out) == (2, "") and "1 of 40 images cannot be read" in err
    code, _, err = run("curve", labeled, *FITS)
    assert code == 2 and "160.png" in err
    options = ["--model", model, "--on-error", "skip"]
    code, out, err = run("check-labels", labeled, *options)
    assert code == 0 and "of 39 labels" in out and "1 of 40 images" in err


def test_equal_images_are_found_on_the_background_that_is_learned_from(run, labeled):
    white, clear = np.full((8, 20, 4), 255, np.uint8), np.zeros((8, 20, 4), np.uint8)
    Image.fromarray(white).save(labeled / "160.png")
    Image.fromarray(clear).save(labeled / "161.png")
    words = ("check-labels", labeled, *FITS, "--cv", 2)
    assert "equal images with unequal labels" in run(*words)[2]
    assert "equal images" not in run(*words, "--param", "background=black")[2]


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["curve", "{}", "--cv", "1"], "--cv=1 must be at least 2"),
        (["curve", "{}", "--jobs", "0"], "--jobs=0 must be at least 1"),
        (["curve", "{}", "--picture", "a.xyz"], "must end in one of"),
        (["curve", "{}", "--param", "max_iter=0"], "'max_iter' parameter"),
        (["curve", "{}", "--param", "max_itr=9"], "did you mean max_iter?"),
        (["curve", "no_such"], "the source 'no_such' does not exist"),
        (["check-labels", "{}", "--cv", "41"], "--cv=41 folds need as many images"),
        (["curve", "{}", "--cv", "41"], "--cv=41 folds need as many images, and there"),
        (["check-labels", "{}", "--model", "no"], "the model 'no' does not exist"),
        (["check-labels", "{}", "--model", "a", "--cv", "2"], "--cv is for fits"),
        (["check-labels", "{}", "--model", "a", "--jobs", "2"], "--jobs is for fits"),
    ],
)
def test_what_cannot_be_done_is_said_before_any_fit(run, labeled, arguments, message):
    code, out, err = run(*(argument.format(labeled) for argument in arguments))
    assert (code, out) == (2, "") and message in err
    assert "sizes:" not in err  # which the report on the images has


@pytest.mark.parametrize("target", ["0", "1", "1.5", "high"])
def test_a_target_that_is_no_score_is_refused(run, target, capsys):
    with pytest.raises(SystemExit, match="2"):
        run("curve", "folder", "--target", target)
    assert f"'{target}' is not" in capsys.readouterr().err
