"""Images without text: learned as such from empty labels, and doubted without them."""

import csv

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.pipeline import make_pipeline
from support.data import TINY

import skcaptcha.persistence
from skcaptcha import CaptchaEnsemble, CaptchaRecognizer
from skcaptcha.datasets import (
    check_labeled_images,
    load_labeled_images,
    load_labels_csv,
)
from skcaptcha.inspection import find_label_issues
from skcaptcha.metrics import character_error_rate, recognition_report
from skcaptcha.preprocessing import GrayscaleConverter

ENOUGH = {**TINY, "max_iter": 30}
# Who has never seen an empty image is warned that it has no contrast, too.
blank = pytest.mark.filterwarnings("ignore::skcaptcha.exceptions.UnlikeTrainingWarning")


def draw_empty(n, seed):
    """Images without text, of one gray and of noise by turns."""
    rng = np.random.default_rng(seed)
    plain = [np.full((16, 48), rng.integers(180, 256), np.uint8) for _ in range(n // 2)]
    return plain + list(rng.integers(0, 256, (n - n // 2, 16, 48), dtype=np.uint8))


@pytest.fixture(scope="module")
def empty():
    """30 images without text, none of which any fit has seen."""
    return draw_empty(30, seed=7)


@pytest.fixture(scope="module")
def with_empty(captchas):
    """Recognizer of 100 images with text and 30 without; not to be changed."""
    X, y = captchas
    X = [*X[:100], *draw_empty(30, seed=1)]
    return CaptchaRecognizer(**ENOUGH).fit(X, [*y[:100], *[""] * 30])


def test_blank_images_and_noise_are_learned_beside_text(with_empty, captchas, empty):
    X, y = captchas
    assert with_empty.converged_ and with_empty.has_empty_labels_
    texts, confidence = with_empty.predict(empty, return_confidence=True)
    assert texts.tolist() == [""] * 30
    assert confidence.min() > 0.95
    assert with_empty.score([*X[100:], *empty], [*y[100:], *[""] * 30]) >= 0.9
    assert with_empty.predict_characters(empty[:1]) == [[]]
    assert len(with_empty.predict(empty[:1], length=2)[0]) == 2


@blank
def test_without_empty_labels_an_empty_text_is_not_believed(fitted, captchas, empty):
    found = zip(empty, fitted.predict(empty), strict=True)
    without = [image for image, text in found if text == ""]
    assert len(without) >= 10  # of 30; noise may look like a character
    X = [without[0], captchas[0][160], without[-1]]
    assert fitted.has_empty_labels_ is False
    texts, confidence = fitted.predict(X, return_confidence=True)
    assert texts[0] == texts[2] == "" != texts[1]
    assert confidence[0] == confidence[2] == 0 < confidence[1]
    np.testing.assert_array_equal(fitted.predict_confidence(X), confidence)
    assert np.argsort(confidence)[-1] == 1  # what to look at comes first
    first, *others = fitted.predict_topk(X, k=3)[0]
    assert first == ("", 0.0) and all(p > 0 for _, p in others)
    (_, text, value, error), *_ = sorted(
        fitted.iter_readings(X[:1]), key=lambda r: r[0]
    )
    assert (text, value, error) == ("", 0.0, None)


@blank
def test_the_frames_are_those_of_the_network(fitted, empty):
    """They tell what it finds; only what is said of the text is doubted."""
    (frames,) = fitted.frame_log_proba(empty[:1])
    assert np.exp(frames[:, 0].sum()) > 0.5


@blank
def test_an_ensemble_knows_what_any_of_its_recognizers_learned(
    with_empty, fitted, empty
):
    ensemble = CaptchaEnsemble()
    ensemble.estimators_ = [fitted, fitted]
    assert ensemble.predict_confidence(empty[:2]).tolist() == [0, 0]
    ensemble.estimators_ = [fitted, with_empty]
    assert ensemble.has_empty_labels_
    assert ensemble.predict_confidence(empty[:2]).min() > 0.5


@blank
@pytest.mark.parametrize("knows", [True, False])
def test_saved_models_keep_what_they_know(knows, with_empty, fitted, empty, tmp_path):
    pytest.importorskip("skops")
    path = tmp_path / "model.skops"
    model = with_empty if knows else fitted
    skcaptcha.persistence.dump(model, path)
    loaded = skcaptcha.persistence.load(path)
    assert loaded.has_empty_labels_ is knows
    assert (loaded.predict_confidence(empty[:1])[0] > 0.95) == knows


@blank
@pytest.mark.parametrize("knows", [True, False])
def test_exported_models_keep_what_they_know(
    knows, with_empty, fitted, empty, tmp_path
):
    pytest.importorskip("onnxruntime")
    from skcaptcha.export import export_onnx, load_onnx

    path = tmp_path / "model.onnx"
    export_onnx(with_empty if knows else fitted, path)
    reader = load_onnx(path)
    assert reader.has_empty_labels_ is knows
    assert (reader.predict_confidence(empty[:1])[0] > 0.95) == knows


def test_a_state_of_before_knew_no_empty_labels(fitted):
    state = fitted.__getstate__()
    del state["has_empty_labels_"]
    older = CaptchaRecognizer.__new__(CaptchaRecognizer)
    older.__setstate__(state)
    assert older.has_empty_labels_ is False


@pytest.mark.filterwarnings("ignore:The network has not learned to read")
def test_what_was_learned_of_empty_images_stays_known(quick, some):
    X, y = some
    recognizer = quick(X, ["", *y[1:]])
    assert recognizer.has_empty_labels_
    assert recognizer.partial_fit(X, y).has_empty_labels_
    assert recognizer.partial_fit(X[:2], ["", ""]).has_empty_labels_
    assert not quick().has_empty_labels_
    assert quick().partial_fit(X[:1], [""]).has_empty_labels_


def test_labels_that_are_all_empty_are_refused(some):
    recognizer = CaptchaRecognizer(**TINY, vocabulary="0123")
    for fit in (recognizer.fit, recognizer.partial_fit):
        with pytest.raises(ValueError, match="All 3 labels in y are empty"):
            fit(some[0][:3], ["", "", ""])


@pytest.mark.filterwarnings("ignore:The network has not learned to read")
def test_who_reads_nothing_anywhere_has_learned_nothing(captchas):
    """However many of the labels are empty."""
    X = [*captchas[0][:10], *draw_empty(30, seed=1)]
    recognizer = CaptchaRecognizer(**{**TINY, "max_iter": 1})
    recognizer.fit(X, [*captchas[1][:10], *[""] * 30])
    assert not recognizer.converged_


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The network has not learned to read")
def test_issues_of_empty_labels(captchas):
    """A label of "" is as probable as the fits that have seen one say."""
    X, y = captchas[0][:60], captchas[1][:60]
    X = [*X, *draw_empty(20, seed=1)]
    found = find_label_issues(CaptchaRecognizer(**ENOUGH), X, [*y, *[""] * 20], cv=2)
    assert found.self_confidence[60:].min() > 0.8
    assert not found.is_issue[60:].any()
    single = find_label_issues(
        CaptchaRecognizer(**{**TINY, "max_iter": 1}), X[:12], ["", *y[1:12]], cv=3
    )
    assert single.self_confidence[0] == 0


def test_metrics_take_empty_texts():
    assert character_error_rate(["", "ab"], ["c", "ab"]) == 0.5
    report = recognition_report(["", "", "ab"], ["", "7", "ab"], output_dict=True)
    assert report["per_length"][0]["exact_match"] == 0.5
    assert report["per_length"][0]["support"] == 2
    assert "'7' read where there is none" in recognition_report([""], ["7"])


# Tables, folders and the command line


@pytest.fixture
def table(tmp_path):
    """Write a table of three images with the labels 12, nothing and 34."""
    for name in "abc":
        Image.new("L", (60, 20), 255).save(tmp_path / f"{name}.png")

    def write(content, name="labels.csv"):
        (tmp_path / name).write_text(content)
        return tmp_path / name

    return write


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("labels.csv", "filename,text\na.png,12\nb.png,\nc.png,34\n"),
        ("labels.csv", 'filename,text\na.png,12\nb.png,""\nc.png,34\n'),
        ("labels.txt", "a.png\t12\nb.png\t\nc.png\t34\n"),
        ("gt.txt", 'a.png, "12"\nb.png, ""\nc.png, "34"\n'),
        (
            "m.jsonl",
            '{"file_name": "a.png", "text": "12"}\n{"file_name": "b.png", "text": ""}\n'
            '{"file_name": "c.png", "text": "34"}\n',
        ),
    ],
)
def test_tables_may_have_empty_labels(table, name, content):
    path = table(content, name)
    message = r"1 of 3 labels are empty, such as that of row \d of .*without text"
    with pytest.warns(UserWarning, match=message):
        paths, texts = load_labels_csv(path)
    assert texts == ["12", "", "34"] and len(paths) == 3


def test_a_missing_text_of_a_table_is_no_empty_one(table):
    row = '{"file_name": "a.png", "text": %s}\n'
    for value in ("null", "[]"):
        path = table(row % '"12"' + row % value, "m.jsonl")
        with pytest.raises(ValueError, match="row 2 of .*m.jsonl' has"):
            load_labels_csv(path)
    frame = pd.DataFrame({"text": ["12", None]})
    with pytest.raises(ValueError, match=r"y\[1\]=.* is missing"):
        check_labeled_images([np.zeros((9, 9))] * 2, frame["text"])


def test_an_empty_file_beside_an_image_is_an_empty_label(table, tmp_path):
    for name, text in zip("abc", ["12", "", "34"], strict=True):
        table(text, f"{name}.gt.txt")
    with pytest.warns(UserWarning, match="1 of 3 labels are empty"):
        _, texts = load_labeled_images(tmp_path)
    assert texts == ["12", "", "34"]


def test_a_look_before_training_counts_empty_labels():
    report = check_labeled_images([np.zeros((9, 30))] * 3, ["", "", "12"])
    assert report.lengths == {0: 2, 2: 1}
    assert "X[0] → ''" in str(report)


def test_the_command_line_reads_and_doubts(
    with_empty, fitted, empty, captchas, tmp_path, capsys
):
    import joblib

    from skcaptcha.cli import main

    Image.fromarray(empty[0]).save(tmp_path / "blank.png")
    Image.fromarray(captchas[0][160]).save(tmp_path / "text.png")
    grayscale = make_pipeline(GrayscaleConverter(), fitted)
    for model, known in ((with_empty, True), (fitted, False), (grayscale, False)):
        joblib.dump(model, tmp_path / "m.joblib")
        arguments = ["--format", "csv", "--sort", "confidence"]
        arguments += ["--min-confidence", "0.2"]
        main(["predict", str(tmp_path / "m.joblib"), str(tmp_path), *arguments])
        rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
        (blank,) = (row for row in rows if row["filename"].endswith("blank.png"))
        assert blank["text"] == ""
        assert (float(blank["confidence"]) > 0.9) == known
        assert (blank["error"] == "") == known
        assert known or rows[0] is blank


def test_displays_show_empty_texts(with_empty, empty, captchas, close_figures):
    pytest.importorskip("matplotlib")
    from skcaptcha.plotting import (
        AlignmentDisplay,
        ConfidenceDisplay,
        PredictionDisplay,
    )

    X, y = [*empty[:2], *captchas[0][100:102]], ["", "7", *captchas[1][100:102]]
    display = PredictionDisplay.from_estimator(with_empty, X, y)
    titles = [ax.get_title(loc="left") for ax in display.axes_]
    assert titles[:2] == ["✓ ''", "✗ ''\n≠ 7"]
    assert AlignmentDisplay.from_estimator(with_empty, X, y).spans_.shape == (0, 2)
    assert ConfidenceDisplay.from_estimator(with_empty, X, y).counts.sum() == 4
