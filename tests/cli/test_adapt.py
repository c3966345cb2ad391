"""`skcaptcha adapt`: images of which few or none have labels."""

from pathlib import Path

import joblib
import numpy as np
import pytest
from PIL import Image

from skcaptcha import CaptchaRecognizer, SelfTrainingRecognizer
from skcaptcha.cli._data import load_partly_labeled
from skcaptcha.cli._parser import make_parser
from skcaptcha.datasets import make_captchas
from skcaptcha.labeling._events import Answer
from skcaptcha.labeling._store import LabelStore

pytestmark = pytest.mark.usefixtures("pretrained_at_one_size")

QUICK = ["--param", "max_iter=4", "--param", "n_jobs=1", "--quiet"]
TOLD = ["--characters", "abc123", "--length", "3"]


@pytest.fixture(scope="module")
def texts():
    return make_captchas(
        30, vocabulary="abc123", length=3, size=(32, 80), random_state=5
    )


@pytest.fixture
def unread(texts, tmp_path):
    """Folder of 24 images."""
    folder = tmp_path / "unread"
    folder.mkdir()
    for i, image in enumerate(texts[0][:24]):
        Image.fromarray(image).save(folder / f"{i:02}.png")
    return folder


def test_it_learns_from_a_folder_of_images(run, unread, texts, tmp_path):
    path = tmp_path / "model.joblib"
    code, out, err = run("adapt", unread, "--out", path, *TOLD, *QUICK, "--max-iter", 1)
    assert code == 0, err
    assert "After 1 round (max_iter) it learned from 2" in out
    assert "images without a label" in out and str(path) in out
    assert "Learning from 24 images and 0 labels" in err
    model = joblib.load(path)
    assert type(model) is CaptchaRecognizer and not model.verbose
    assert model.score(texts[0][24:], texts[1][24:]) >= 0.5
    code, out, _ = run("predict", path, unread)
    assert code == 0 and len(out.splitlines()) == 24
    code, out, _ = run("info", path)
    assert code == 0 and "Vocabulary (6)" in out


def test_labels_may_be_of_the_same_folder(run, unread, texts, tmp_path):
    lines = ["filename,text", *(f"{i:02}.png,{texts[1][i]}" for i in range(12))]
    (unread / "labels.csv").write_text("\n".join(lines))
    path = tmp_path / "model.skops"
    pytest.importorskip("skops")
    arguments = ["adapt", unread, "--labels", unread / "labels.csv", "--out", path]
    code, out, err = run(*arguments, *QUICK, "--max-iter", 1)
    assert code == 0, err
    assert "Learning from 12 images and 12 labels" in err
    assert "How well labels were read" in out
    code, out, _ = run("evaluate", path, unread / "labels.csv")
    assert code == 0 and "exact match" in out


def test_what_was_called_unreadable_on_the_page_is_left_out(unread):
    store = LabelStore(unread / "labels.csv")
    store.record([("00.png", Answer("labeled", "abc"), None)])
    store.record([("01.png", Answer("unreadable"), None)])
    store.record([("02.png", Answer("unreadable"), None)])
    store.record([("02.png", Answer("skipped"), None)])
    store.close()
    with (unread / "labels.csv.journal").open("a") as file:
        file.write('{"half')
    for source in (unread, unread / "labels.csv"):
        words = ["adapt", str(unread), "--labels", str(source), "--out", "a.pkl"]
        X, y = load_partly_labeled(make_parser().parse_args(words))
        names = [Path(path).name for path in X]
        assert names[0] == "00.png" and y == ["abc", *[None] * 22]
        assert "01.png" not in names and "02.png" in names


def test_an_image_that_cannot_be_read_is_named_or_skipped(run, unread, tmp_path):
    (unread / "07.png").write_bytes(b"no image")
    arguments = ["adapt", unread, "--out", tmp_path / "m.joblib", *TOLD, *QUICK]
    code, _, err = run(*arguments)
    assert code == 2 and "07.png" in err and not (tmp_path / "m.joblib").exists()
    code, _, err = run(*arguments, "--on-error", "skip", "--max-iter", 1)
    assert code == 0 and "Learning from 23 images" in err


@pytest.mark.parametrize(
    "options, message",
    [
        (["--threshold", "1.5"], "'threshold' parameter"),
        (["--max-iter", "-1"], "'max_iter' parameter"),
        (["--param", "lstm_units=0"], "'lstm_units' parameter"),
        (["--param", "no_such=1"], "has no parameter 'no_such'"),
        (["--param", "random_state=1"], "is the option --seed"),
        (["--out", "model.txt"], "--out='model.txt' must be a name that ends in"),
        (["--labels", "missing.csv"], "missing.csv"),
        (["--characters", ""], "--characters=''"),
        (["--length", "0"], "--length=0 must be N or N-M, from 1 upwards"),
        (["--label", "(.+)"], "--label='(.+)' says how labels are found, and there"),
        (["--encoding", "cp1251"], "--encoding='cp1251' says how labels are found"),
    ],
)
def test_what_is_wrong_is_named(run, unread, tmp_path, options, message):
    out = [] if "--out" in options else ["--out", tmp_path / "model.joblib"]
    code, _, err = run("adapt", unread, *out, *options, "--quiet")
    assert code == 2 and message in err


def test_a_table_is_no_folder(run, unread, tmp_path):
    table = unread / "labels.csv"
    table.write_text("filename,text\n00.png,abc\n")
    code, _, err = run("adapt", table, "--out", tmp_path / "m.joblib")
    assert code == 2 and f"'{table}' is a table; FOLDER must be a folder or zip" in err
    assert "give the table to --labels" in err


def test_warnings_name_options(run, unread, tmp_path):
    for path in sorted(unread.iterdir()):
        Image.new("L", (80, 32), 255).save(path)  # nothing to read
    code, _, err = run("adapt", unread, "--out", tmp_path / "m.joblib", *QUICK)
    assert code == 0
    assert "say what there may be (`--characters` and `--length`), and" in err


def test_a_whole_self_training_recognizer_is_a_model_as_well(run, fitted, tmp_path):
    reader = SelfTrainingRecognizer()
    reader.recognizer_ = fitted
    joblib.dump(reader, tmp_path / "model.joblib")
    code, out, _ = run("info", tmp_path / "model.joblib")
    assert code == 0 and "Vocabulary (4)" in out
    image = np.full((16, 48), 255, np.uint8)
    Image.fromarray(image).save(tmp_path / "image.png")
    code, out, _ = run("predict", tmp_path / "model.joblib", tmp_path / "image.png")
    assert code == 0 and "image.png" in out
    joblib.dump(SelfTrainingRecognizer(), tmp_path / "model.joblib")
    code, _, err = run("info", tmp_path / "model.joblib")
    assert code == 2 and "a recognizer that is not fitted" in err
