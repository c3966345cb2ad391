"""The look at labeled images before training."""

import shutil

import numpy as np
import pytest
from PIL import Image

from skcaptcha.datasets import (
    check_labeled_images,
    load_image_folder,
    load_labeled_images,
)
from skcaptcha.datasets._check import describe_files
from skcaptcha.exceptions import LabelConversionWarning


def draw(n):
    """Return small images that all differ."""
    levels = np.arange(n, dtype=np.uint16)
    return [np.array([[v // 256, v % 256, 9]], np.uint8) for v in levels]


def check(labels, **options):
    return check_labeled_images(draw(len(labels)), labels, **options)


def make_labels(n):
    """Return labels of three letters that look like none of the odd ones."""
    letters = "abcdefgh"
    labels = [a + b + c for a in letters for b in letters for c in letters]
    return [labels[i * 7 % len(labels)] for i in range(n)]


def write_folder(folder, names):
    folder.mkdir(parents=True)
    for image, name in zip(draw(len(names)), names, strict=True):
        Image.fromarray(image).save(folder / name)
    return folder


def test_what_is_there(tmp_path):
    folder = write_folder(tmp_path / "set", [f"{x}.png" for x in make_labels(24)])
    Image.new("L", (7, 4)).save(folder / "zz.png")
    for name in ("1.txt", "2.txt", "3.svg", "LICENSE"):
        (folder / name).touch()
    X, y = load_labeled_images(folder)
    report = check_labeled_images(X, y, source=folder)
    assert report.n_images == 25
    assert report.lengths == {3: 24, 2: 1}
    assert report.sizes == {(1, 3): 24, (4, 7): 1}
    assert report.characters["z"] == 1 and set(report.characters) == set("abcdefghz")
    assert len(report.pairs) == 5 and report.pairs[0] == (f"{y[0]}.png", y[0])
    assert report.skipped == {".txt": 2, ".svg": 1, "LICENSE": 1}
    assert report.warnings == report.left_out == report.conflicts == ()
    text = str(report)
    assert "images:     25\n" in text and "lengths:    2 (1), 3 (24)\n" in text
    assert f"  {y[0]}.png → {y[0]}\n" in text
    assert "4 files skipped: 2 .txt, 1 .svg, 1 LICENSE" in text
    archive = shutil.make_archive(tmp_path / "set", "zip", folder)
    X, y = load_labeled_images(archive)
    assert str(check_labeled_images(X, y, source=archive)) == text


@pytest.mark.parametrize("kind", ["folder", "table", "zip"])
def test_images_that_a_table_does_not_name(tmp_path, kind):
    folder = write_folder(tmp_path / "set", ["a.png", "b.png", "c.gif"])
    (folder / "labels.csv").write_text("filename,text\n./b.png,12\n")
    source = {"folder": folder, "table": folder / "labels.csv"}.get(kind)
    if kind == "zip":
        source = shutil.make_archive(tmp_path / "set", "zip", folder)
    report = check_labeled_images(*load_labeled_images(source), source=source)
    assert [name[-5:] for name in report.left_out] == ["a.png", "c.gif"]
    assert report.skipped == {}
    assert "images without a label here: " in str(report)


@pytest.mark.parametrize(
    ("labels", "warning"),
    [
        ([f"{i:05}" for i in range(30)], "running numbers: 00000, 00001, 00002"),
        ([str(i) for i in range(981, 1020)], "running numbers"),
        ([*map(str, range(30)), "readme"], "running numbers"),
        ([f"IMG_{i:04}" for i in range(30)], "names that a program gave: IMG_0000"),
        ([f"captcha{i}" for i in range(30)], "names that a program gave"),
        ([f"Screenshot {i}" for i in range(30)], "names that a program gave"),
        (
            [f"{x}_{i}" for i, x in enumerate(make_labels(30))],
            r"label=r'\(\.\+\)\[_-\]",
        ),
        ([f"{i:032x}" for i in range(30)], "look like checksums"),
        ([*make_labels(30), "2b827 (1)"], r"of copied files: 2b827 \(1\)"),
        ([*make_labels(30), "2b827 - Copy"], "of copied files: 2b827 - Copy"),
        ([*make_labels(30), "2b827 - Copy (2)"], "of copied files"),
        ([*make_labels(30), "2b8 copy 2"], "of copied files"),
        ([*make_labels(30), "2b827.png"], "names of files: 2b827.png"),
        (["same"] * 30, "all labels are the same, 'same'"),
        ([*make_labels(200), "abcd"], r"length that occurs once: X\[200\] → abcd"),
        ([*make_labels(200), "abö"], r"occur once: 'ö' in X\[200\] → abö"),
        (make_labels(19), "19 images are few to learn from"),
    ],
)
def test_what_is_probably_no_label(labels, warning):
    report = check(labels)
    with pytest.raises(AssertionError, match=warning):
        raise AssertionError(report.warnings)
    assert len(report.warnings) == 1
    assert f"warning: {report.warnings[0]}" in str(report)


@pytest.mark.parametrize(
    "labels",
    [
        make_labels(500),
        [f"{i * 7919 % 10000:04}" for i in range(1000)],  # codes of four digits
        [f"K{i * 37 % 1000:03}AB" for i in range(500)],  # plates
        [chr(0x4E00 + i) + chr(0x4E01 + i) for i in range(300)],
        make_labels(200) + [x + x for x in make_labels(20)],
        [f"{i % 10}" for i in range(60)],  # digits of a meter
    ],
)
def test_ordinary_labels_give_no_warning(labels):
    assert check(labels).warnings == ()


@pytest.mark.parametrize("name", ["{:05}.png", "IMG_{:04}.png"])
def test_a_table_one_level_up_is_named(tmp_path, name):
    folder = write_folder(
        tmp_path / "set" / "images", [name.format(i) for i in range(25)]
    )
    X, y = load_image_folder(folder)
    (warning,) = check_labeled_images(X, y, source=folder).warnings
    assert "are the labels in" not in warning
    (tmp_path / "set" / "labels.csv").touch()
    (warning,) = check_labeled_images(X, y, source=folder).warnings
    assert warning.endswith("labels.csv?")


def test_equal_images_with_unequal_labels():
    images = draw(30)
    images[7], images[9] = images[3].copy(), np.dstack([images[3]] * 3)
    labels = make_labels(30)
    labels[9] = labels[3]
    report = check_labeled_images(images, labels)
    a, b = labels[3], labels[7]
    assert report.conflicts == ((("X[3]", a), ("X[7]", b), ("X[9]", a)),)
    warning, copies = report.warnings
    assert f"unequal labels: X[3] → {a} and X[7] → {b}" in warning
    assert copies.startswith("1 of 30 images is a copy of another: X[9] of X[3]; ")


def test_copies_are_counted(tmp_path):
    labels = make_labels(30)
    folder = write_folder(tmp_path / "set", [f"{label}.png" for label in labels])
    for i in range(7):
        image, copy = folder / f"{labels[i]}.png", folder / f"{i}.bmp"
        Image.open(image).save(copy)
    names = [f"{label}.png" for label in labels] + [f"{i}.bmp" for i in range(7)]
    rows = zip([*names, names[0]], [*labels, *labels[:7], labels[0]], strict=True)
    (folder / "labels.csv").write_text(
        "filename,text\n" + "\n".join(map(",".join, rows))
    )
    report = check_labeled_images(*load_labeled_images(folder), source=folder)
    (warning,) = report.warnings
    first = names[0]
    assert warning.startswith("8 of 38 images are copies of others: 0.bmp of " + first)
    assert "and 3 more images; if one trains and the other tests" in warning
    report = check_labeled_images([str(folder / first)] * 2, labels[:1] * 2)
    assert "named twice" in report.warnings[0] and report.conflicts == ()


def test_files_are_compared_without_a_look_at_the_images(tmp_path):
    labels = make_labels(30)
    folder = write_folder(tmp_path / "set", [f"{label}.png" for label in labels])
    shutil.copy(folder / f"{labels[3]}.png", folder / f"{labels[7]}.png")
    archive = shutil.make_archive(tmp_path / "set", "zip", folder)
    for source in (folder, archive):
        X, y = load_labeled_images(source)
        (warning,) = describe_files(X, y, source=source)
        assert "equal images with unequal labels: " in warning
        assert f"{labels[3]}.png → {labels[3]}" in warning
    (folder / f"{labels[3]}.png").unlink()  # whatever reads it says so
    X, _ = load_labeled_images(archive)
    assert len(describe_files(X, [f"{i:03}" for i in range(30)], source=archive)) == 2
    X = [str(folder / f"{label}.png") for label in labels]
    assert describe_files(X, labels, source=folder) == []


def test_transparent_images_are_compared_on_the_background():
    white, clear = np.full((8, 20, 4), 255, np.uint8), np.zeros((8, 20, 4), np.uint8)
    images, labels = [white, clear, *draw(28)], make_labels(30)
    (pair,) = check_labeled_images(images, labels).conflicts
    assert [name for name, _ in pair] == ["X[0]", "X[1]"]
    assert check_labeled_images(images, labels, background="black").conflicts == ()


def test_all_that_cannot_be_read_is_named(tmp_path):
    folder = write_folder(tmp_path / "set", [f"{x}.png" for x in make_labels(24)])
    X, y = load_image_folder(folder)
    for path in X[:12]:
        shutil.copy(__file__, path)
    report = check_labeled_images(X, y, source=folder)
    assert list(report.unreadable) == [f"{label}.png" for label in y[:12]]
    (warning,) = report.warnings
    assert warning.startswith("12 images cannot be read: ")
    assert y[9] in warning and y[10] not in warning and "; and 2 more" in warning


def test_labels_are_checked_as_in_fit():
    with pytest.raises(ValueError, match="X has 2 images and y has 1 labels"):
        check_labeled_images(draw(2), ["a"])
    with pytest.raises(TypeError, match="is a single item"):
        check_labeled_images("a.png", ["a"])
    with pytest.raises(FileNotFoundError, match="source='gone' does not exist"):
        check_labeled_images(draw(1), ["a"], source="gone")
    with pytest.warns(LabelConversionWarning, match="1 of 2 labels") as caught:
        assert check_labeled_images(draw(2), ["a ", "b"]).lengths == {1: 2}
    assert caught[0].filename == __file__


def test_names_that_would_move_the_cursor_are_escaped(tmp_path):
    folder = write_folder(tmp_path / "set", ["\x1b[31m.png"])
    X, y = load_image_folder(folder, label=r"(\w+)$")
    text = str(check_labeled_images(X, y, source=folder))
    assert "\x1b" not in text and r"\x1b[31m.png → 31m" in text


def test_texts_in_other_normal_forms_are_no_conflict():
    images = [np.zeros((8, 8), np.uint8)] * 2
    report = check_labeled_images(images, ["\u0439\u0430", "\u0438\u0306\u0430"])
    assert report.conflicts == ()
