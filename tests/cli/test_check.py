"""Labeled images as the command line finds, checks and takes them."""

import shutil
import zipfile

import pytest
from support.commands import QUICK

from skcaptcha.datasets import check_labeled_images, load_labeled_images


def test_check_prints_the_report(run, labeled):
    code, out, _ = run("check", labeled)
    X, y = load_labeled_images(labeled)
    assert (code, out) == (0, f"{check_labeled_images(X, y, source=labeled)}\n")
    (labeled / "160.png").write_bytes(b"no image")
    code, out, _ = run("check", labeled)
    assert code == 1 and "warning: 1 image cannot be read: " in out
    (labeled / "161.png").unlink()
    code, out, notes = run("check", labeled)
    assert (code, out) == (2, "") and "row 3 of" in notes
    assert "image_dir" not in notes and "such rows with --on-error='skip'" in notes


def test_train_looks_first(run, labeled, tmp_path):
    out = tmp_path / "m.joblib"
    code, _, notes = run("train", labeled, "--out", out, *QUICK)
    assert code == 0 and notes.startswith("images:     40\n")
    code, _, notes = run("train", labeled, "--out", out, *QUICK, "--quiet")
    assert code == 0 and "images:  " not in notes


@pytest.mark.parametrize("packed", [False, True], ids=["folder", "zip"])
def test_train_names_all_that_cannot_be_read_or_leaves_it_out(
    run, labeled, tmp_path, packed
):
    for number in range(160, 172):
        (labeled / f"{number}.png").write_bytes(b"no image")
    source, out = labeled, tmp_path / "m.joblib"
    if packed:
        source = shutil.make_archive(labeled, "zip", labeled)
    code, _, notes = run("train", source, "--out", out, *QUICK)
    assert code == 2 and not out.exists()
    error = notes.splitlines()[-1]
    assert "12 of 40 images cannot be read (160.png, " in error
    assert "169.png, ...)" in error and "--on-error skip" in error
    code, _, notes = run("train", source, "--out", out, "--on-error", "skip", *QUICK)
    assert code == 0 and out.exists()
    assert "12 of 40 images" in notes and "images:     28\n" in notes


def test_labels_that_are_none_are_named_before_a_model_is_tested(run, model, labeled):
    lines = (labeled / "labels.csv").read_text().splitlines()
    shutil.copy(labeled / "160.png", labeled / "161.png")
    (labeled / "labels.csv").unlink()
    others = ["check-labels", labeled, "--model", model]
    for command in (["evaluate", model, labeled], others):
        code, _, notes = run(*command)
        assert (
            code == 0 and "warning: the labels are running numbers: 160, 161" in notes
        )
        assert "equal images with unequal labels: 160.png → 160 and 161.png" in notes
    (labeled / "labels.csv").write_text("\n".join([*lines[:2], *lines[3:]]))
    code, _, notes = run("evaluate", model, labeled)
    assert (code, notes) == (0, "")


def test_options_describe_the_table(run, labeled):
    text = (labeled / "labels.csv").read_text().replace(",", "\t")
    text = text.replace("filename\ttext", "Datei\tWört")
    (labeled / "labels.csv").write_text(text, "latin-1")
    options = ["--filename-column=Datei", "--text-column=Wört", "--encoding=latin-1"]
    for delimiter in ([], ["--delimiter=\\t"], ["--delimiter=tab"]):
        code, out, notes = run("check", labeled, *options, *delimiter)
        assert (code, notes) == (0, "") and "images:     40" in out
    code, _, notes = run("check", labeled)
    assert code == 2 and "name its encoding, such as" in notes


def test_an_option_describes_the_names_in_a_zip(run, labeled, tmp_path):
    path = tmp_path / "a.zip"
    image = (labeled / "160.png").read_bytes()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("aaaa.png", image)
    path.write_bytes(path.read_bytes().replace(b"aaaa", "东中".encode("gbk")))
    code, _, notes = run("check", path)
    assert code == 2 and "--metadata-encoding='gbk'" in notes
    code, out, _ = run("check", path, "--metadata-encoding", "gbk")
    assert code == 0 and "东中.png → 东中" in out


def test_train_takes_what_predict_writes(run, model, labeled, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (labeled / "160.png").write_bytes(b"no image")
    _, out, _ = run("predict", model, "labeled", "--format", "csv")
    (tmp_path / "read.csv").write_text(out)
    code, _, notes = run("train", "read.csv", "--out", "m.joblib", *QUICK)
    assert code == 0 and (tmp_path / "m.joblib").exists()
    assert "1 of 40 rows of path='read.csv' have an error or no text" in notes
