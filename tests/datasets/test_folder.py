"""Labeled images from folders, zip files and tables."""

import io
import os
import re
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, features

from skcaptcha import CaptchaRecognizer
from skcaptcha.datasets import (
    load_image_folder,
    load_labeled_images,
    load_labels_csv,
)
from skcaptcha.exceptions import ImageReadError, SkippedImageWarning
from skcaptcha.images import read_images


def image_bytes(level, suffix=".png"):
    stream = io.BytesIO()
    image = Image.new("L", (6, 4), level)
    image.save(stream, Image.registered_extensions()[suffix.lower()])
    return stream.getvalue()


def write_folder(folder, names):
    """Write images that differ, in an order of names that isn't sorted."""
    for level, name in enumerate(sorted(names, reverse=True)):
        file = Path(folder, name)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(image_bytes(level, file.suffix))
    return folder


def zip_folder(folder, path, prefix="", compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for file in sorted(Path(folder).rglob("*"), reverse=True):
            archive.write(file, prefix + file.relative_to(folder).as_posix())
    return path


def write_zip(path, entries, **options):
    with zipfile.ZipFile(path, "w", **options) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return path


NAMES = ["b.png", "B1.PNG", "0042.jpg", "a b.jpeg", "x/é.webp", "x/y/y.z.gif", "q.bmp"]
LABELS = ["0042", "B1", "a b", "b", "q", "y.z", "é"]


# ---- folders and zip files -----------------------------------------------------


def test_stems_are_labels_in_sorted_order(tmp_path):
    folder = write_folder(tmp_path / "images", NAMES)
    paths, texts = load_image_folder(folder)
    assert texts == LABELS
    assert paths == sorted(str(folder / name) for name in NAMES)
    assert all(type(item) is str for item in paths + texts)
    assert load_image_folder(str(folder)) == (paths, texts)


@pytest.mark.parametrize("prefix", ["", "images/"])
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_zip_gives_what_the_folder_gives(tmp_path, prefix, method):
    folder = write_folder(tmp_path / "images", NAMES)
    archive = zip_folder(folder, tmp_path / "images.zip", prefix, method)
    paths, texts = load_image_folder(folder)
    contents, zip_texts = load_image_folder(archive)
    assert zip_texts == texts
    assert contents == [Path(path).read_bytes() for path in paths]
    pairs = zip(read_images(paths), read_images(contents), strict=True)
    assert all(np.array_equal(one, other) for one, other in pairs)
    assert sorted(os.listdir(tmp_path)) == ["images", "images.zip"]  # nothing unpacked


def test_what_is_no_image_is_passed_over(tmp_path):
    names = ["a.png", ".hidden.png", ".cache/b.png", "__MACOSX/._a.png", "d/e.png"]
    folder = write_folder(tmp_path / "images", names)
    for name in ("notes.txt", ".DS_Store", "Thumbs.db", "no_suffix"):
        (folder / name).write_text("text")
    (folder / "folder.png").mkdir()
    archive = zip_folder(folder, tmp_path / "images.zip", "images/")
    (folder / "dangling.png").symlink_to(tmp_path / "gone.png")
    if hasattr(os, "mkfifo"):
        os.mkfifo(folder / "pipe.png")
    assert load_image_folder(folder)[1] == ["a", "e"]
    assert load_image_folder(archive)[1] == ["a", "e"]


@pytest.mark.parametrize(
    ("label", "names", "expected"),
    [
        (r"(.+)-\d+", ["7xd2-0.png", "a-b-12.png"], ["7xd2", "a-b"]),
        (r"^([^_]+)_", ["0042_7.png", "ab_c_d.png"], ["0042", "ab"]),
        (r"_(\w+)$", ["1_ab.png", "2_cd.png"], ["ab", "cd"]),
        (r"(?P<text>.+)\.(\d+)", ["ab.1.png", "cd.22.png"], ["ab", "cd"]),
        (r"^(?:x|y)(..)", ["xab.png", "ycd.png"], ["ab", "cd"]),
        (re.compile("([A-Z]+)", re.IGNORECASE), ["1ab.png", "2CD.png"], ["ab", "CD"]),
        (lambda file: file.parent.name, ["ab/0.png", "cd/0.png"], ["ab", "cd"]),
        (lambda file: file.name, ["ab.png", "cd.png"], ["ab.png", "cd.png"]),
        (lambda file: np.str_(file.stem), ["ab.png"], ["ab"]),
    ],
)
def test_labels(tmp_path, label, names, expected):
    folder = write_folder(tmp_path / "images", names)
    archive = zip_folder(folder, tmp_path / "images.zip")
    for path in (folder, archive):
        texts = load_image_folder(path, label=label)[1]
        assert texts == expected
        assert all(type(text) is str for text in texts)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*", ["a", "b", "c", "d"]),
        ("train/*", ["c", "d"]),
        ("TRAIN/*.PNG", ["d"]),
        ("*.jpg", ["a", "c"]),
        ("set/*/b.png", ["b"]),
    ],
)
def test_pattern(tmp_path, pattern, expected):
    names = ["set/test/a.jpg", "set/test/b.png", "set/train/c.jpg", "set/train/d.PNG"]
    folder = write_folder(tmp_path / "images", names)
    archive = zip_folder(folder, tmp_path / "images.zip")
    assert load_image_folder(folder, pattern=pattern)[1] == expected
    assert load_image_folder(archive, pattern=pattern)[1] == expected


def test_names_in_zip_files_of_other_systems(tmp_path):
    # macOS writes UTF-8 without the flag that says so; some Windows programs "\".
    path = write_zip(
        tmp_path / "a.zip",
        {"AB/é.png": image_bytes(0), "AB/c.png": image_bytes(1)},
    )
    data = bytearray(path.read_bytes().replace(b"AB/c", b"AB\\c"))
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        where = data.index(signature) + offset
        flags = struct.unpack_from("<H", data, where)[0]
        assert flags & 0x800
        struct.pack_into("<H", data, where, flags & ~0x800)
    path.write_bytes(data)
    assert load_image_folder(path)[1] == ["c", "é"]


@pytest.mark.parametrize(
    ("name", "options", "error", "message"),
    [
        ("gone", {}, FileNotFoundError, r"path='.*gone' does not exist; check"),
        ("empty", {}, ValueError, r"holds no image: no file ending in \.\w+, .*\.png"),
        ("a.png", {}, ValueError, r"a\.png' cannot be read as a zip file.*folder"),
        ("", {"pattern": "train/*"}, ValueError, r"1 images, none of .*'train/\*'"),
        ("", {"pattern": ""}, ValueError, "pattern='' must be a str such as"),
        ("", {"pattern": None}, ValueError, "pattern=None must be a str such as"),
        ("", {"on_error": "warn"}, ValueError, "on_error='warn' must be 'raise' or"),
        ("pipe", {}, ValueError, "is neither a folder nor a zip file"),
    ],
)
def test_folder_errors(tmp_path, name, options, error, message):
    write_folder(tmp_path, ["a.png"])
    (tmp_path / "empty").mkdir()
    if name == "pipe":
        if not hasattr(os, "mkfifo"):
            pytest.skip("there are no pipes on this system")
        os.mkfifo(tmp_path / "pipe")
    with pytest.raises(error, match=message):
        load_image_folder(tmp_path / name, **options)


@pytest.mark.parametrize(
    ("label", "error", "message"),
    [
        (r"(.+)-\d+", ValueError, r"for 'b\.png' \(and 1 more\) with label='\(\.\+\)-"),
        (r"a-0(x)?", ValueError, r"for 'a-0\.png' \(and 2 more\)"),
        (r"^([^b]*)", ValueError, r"for 'b\.png' with label="),
        (lambda file: "", ValueError, r"for 'a-0\.png' \(and 2 more\)"),
        (lambda file: None, TypeError, r"returned None for 'a-0\.png'; it must return"),
        (lambda file: 3, TypeError, "label returned 3"),
        ("(", ValueError, r"label='\(' cannot be used: .*(unterminated|missing)"),
        (".+", ValueError, "needs one group, or a group named 'text'"),
        ("(.)(.)", ValueError, "needs one group, or a group named 'text'"),
        (re.compile(b"(.)"), ValueError, "cannot be used"),
        (3, TypeError, "label=3 must be None, a regular expression or a callable"),
    ],
)
def test_label_errors(tmp_path, label, error, message):
    folder = write_folder(tmp_path, ["a-0.png", "b.png", "c.png"])
    with pytest.raises(error, match=message):
        load_image_folder(folder, label=label)


def write_zip_of(path, names, encoding, **more):
    """Write a zip file as systems do that know nothing of UTF-8."""
    raw = [name.encode(encoding) for name in names]
    # Placeholders of the same length, as zipfile writes only ASCII unmarked.
    places = [f"{i}".ljust(len(r), "~") for i, r in enumerate(raw)]
    entries = {place: image_bytes(i) for i, place in enumerate(places)}
    write_zip(path, {**entries, **more})
    data = path.read_bytes()
    for place, name in zip(places, raw, strict=True):
        data = data.replace(place.encode(), name)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("names", "encoding"),
    [
        (["东中.png", "东西.png"], "gbk"),
        (["日本.png"], "shift_jis"),
        (["щука.png", "плюс.png"], "cp866"),
        (["é.png", "a.png"], "cp437"),
    ],
)
def test_names_of_other_systems_need_their_encoding(tmp_path, names, encoding):
    path = write_zip_of(tmp_path / "a.zip", names, encoding)
    for load in (load_image_folder, load_labeled_images):
        with pytest.raises(
            ValueError, match=r"names in an unknown .*metadata_encoding="
        ):
            load(path)
        _, texts = load(path, metadata_encoding=encoding)
        assert sorted(texts) == sorted(name[:-4] for name in names)
        with pytest.raises(ValueError, match="metadata_encoding='x' is unknown; give"):
            load(path, metadata_encoding="x")


def test_a_table_in_a_zip_of_another_system(tmp_path):
    more = {"labels.csv": "filename,text\n东中.png,12\n"}
    path = write_zip_of(tmp_path / "a.zip", ["东中.png"], "gbk", **more)
    X, texts = load_labels_csv(path, metadata_encoding="gbk")
    assert (len(X), X[0].name, texts) == (1, "东中.png", ["12"])


def test_an_image_of_a_zip_is_named_by_archive_and_entry(tmp_path):
    path = write_zip(tmp_path / "a.zip", {"x/1.png": b"no image", "2.png": b""})
    X, texts = load_image_folder(path)
    with pytest.raises(
        ImageReadError, match=r"<0 bytes, '2\.png' in '.*a\.zip'> is em"
    ):
        read_images(X)
    recognizer = CaptchaRecognizer()
    with pytest.raises(ImageReadError, match=r"<8 bytes, 'x/1\.png' in '.*a\.zip'>"):
        recognizer.fit(X[::-1], texts)
    data = path.read_bytes().replace(b"no image", b"on image")
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"a\.zip' cannot be .*: 'x/1\.png': Bad CRC"):
        load_image_folder(path)


def test_all_broken_entries_are_named_at_once(tmp_path):
    entries = {f"{i:02}.png": b"content" for i in range(12)}
    path = write_zip(tmp_path / "a.zip", entries)
    path.write_bytes(path.read_bytes().replace(b"content", b"damaged"))
    with pytest.raises(ValueError, match=r"12 images .*'00\.png.*'09\.png.*And 2 more"):
        load_image_folder(path)


# ---- suffixes and links --------------------------------------------------------


def test_suffixes_are_those_that_pillow_knows(tmp_path):
    suffixes = ".jfif .jpe .JPEG .pgm .pbm .pnm .tif .webp .apng .gif .bmp".split()
    if features.check("avif"):
        suffixes.append(".avif")
    for i, suffix in enumerate(suffixes):
        file = tmp_path / f"{i}{suffix}"
        Image.new("L", (6, 4), i).save(file)
    for name in ("a.eps", "b.pdf", "c.svg", "d.txt"):
        (tmp_path / name).touch()
    paths, texts = load_image_folder(tmp_path)
    assert sorted(texts, key=int) == [str(i) for i in range(len(suffixes))]
    assert len(read_images(paths)) == len(suffixes)


def test_linked_folders_are_followed_but_not_in_circles(tmp_path):
    folder = write_folder(tmp_path / "set", ["a.png", "x/b.png"])
    write_folder(tmp_path / "more", ["c.png", "y/d.png"])
    try:
        (folder / "a_link").symlink_to(tmp_path / "more", target_is_directory=True)
    except OSError:
        pytest.skip("no links can be made here")
    (folder / "again").symlink_to(folder / "x", target_is_directory=True)
    (folder / "x" / "up").symlink_to(folder, target_is_directory=True)
    (tmp_path / "more" / "top").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "more" / "y" / "self").symlink_to(".", target_is_directory=True)
    paths, texts = load_image_folder(folder)
    assert texts == ["a", "c", "d", "b"]
    assert paths[1] == str(folder / "a_link" / "c.png")
    assert load_image_folder(tmp_path / "set" / "again")[1] == ["b"]


# ---- damaged zip files; tests/test_hostile_input.py has those that do harm ------


def test_corrupt_zip(tmp_path):
    text = tmp_path / "text.zip"
    text.write_text("no zip file at all")
    with pytest.raises(ValueError, match=r"text\.zip' cannot be read as a zip file"):
        load_image_folder(text)
    path = write_zip(tmp_path / "a.zip", {"a.png": image_bytes(0)})
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="cannot be read as a zip file"):
        load_image_folder(path)
    (tmp_path / "empty.zip").touch()
    with pytest.raises(ValueError, match="cannot be read as a zip file"):
        load_image_folder(tmp_path / "empty.zip")


def test_damaged_zips_give_one_kind_of_error(tmp_path):
    path = write_zip(
        tmp_path / "a.zip",
        {"a.png": image_bytes(0), "é.png": image_bytes(1)},
        compression=zipfile.ZIP_DEFLATED,
    )
    whole = np.frombuffer(path.read_bytes(), np.uint8)
    rng = np.random.default_rng(0)
    n_errors = 0
    for _ in range(300):
        damaged = whole.copy()
        where = rng.integers(0, len(damaged), 3)
        damaged[where] = rng.integers(0, 256, 3)
        path.write_bytes(damaged.tobytes())
        try:
            contents, texts = load_image_folder(path)
        except ValueError as error:
            assert str(error).startswith("path=")
            n_errors += 1
        else:
            assert len(contents) == len(texts)
    assert n_errors > 100


# ---- tables --------------------------------------------------------------------


@pytest.fixture
def table(tmp_path):
    """Give a function that writes a table beside a folder of three images."""
    write_folder(tmp_path / "set" / "images", ["a.png", "b.png", "c,d.png"])

    def write(text, encoding="utf-8"):
        path = tmp_path / "set" / "labels.csv"
        path.write_bytes(text.encode(encoding))
        return path

    return write


GOOD = "filename,text\nimages/b.png,0042\nimages/a.png,nan\n"


def test_labels_are_text_in_the_order_of_the_rows(table):
    path = table(GOOD)
    paths, texts = load_labels_csv(path)
    assert texts == ["0042", "nan"]
    assert paths == [str(path.parent / "images" / name) for name in ("b.png", "a.png")]
    assert len(read_images(paths)) == 2


@pytest.mark.parametrize("prefix", ["", "set/"])
def test_table_in_a_zip(table, tmp_path, prefix):
    path = table(GOOD)
    archive = zip_folder(path.parent, tmp_path / "set.ZIP", prefix)
    paths, texts = load_labels_csv(path)
    contents, zip_texts = load_labels_csv(archive)
    assert zip_texts == texts
    assert contents == [Path(item).read_bytes() for item in paths]


def test_image_dir(table, tmp_path):
    path = table("filename,text\nb.png,12\n./a.png,34\n")
    archive = zip_folder(path.parent, tmp_path / "set.zip", "set/")
    folder = path.parent / "images"
    paths, texts = load_labels_csv(path, image_dir=folder)
    assert texts == ["12", "34"]
    assert [Path(item) for item in paths] == [folder / "b.png", folder / "a.png"]
    contents, _ = load_labels_csv(archive, image_dir="set/images")
    assert contents == [Path(item).read_bytes() for item in paths]
    with pytest.raises(FileNotFoundError, match=r"row 2 .* 'b\.png', which is not in"):
        load_labels_csv(path)
    with pytest.raises(FileNotFoundError, match="row 2 .*image_dir='elsewhere'"):
        load_labels_csv(archive, image_dir="elsewhere")
    with pytest.raises(FileNotFoundError, match="image_dir='.*gone' does not exist"):
        load_labels_csv(path, image_dir=tmp_path / "gone")
    for item in (path, archive):
        with pytest.raises(TypeError, match="image_dir=3 must be a path"):
            load_labels_csv(item, image_dir=3)


def test_path_without_a_folder(table, monkeypatch):
    monkeypatch.chdir(table(GOOD).parent)
    paths, _ = load_labels_csv("labels.csv")
    assert all(os.path.isfile(path) for path in paths)


def test_columns_delimiter_quotes_and_blank_lines(table):
    path = table(
        'id;truth;file\r\n1;"x;""y";images/a.png\r\n\r\n2;z;"images/c,d.png"\r\n'
    )
    options = {"filename_column": "file", "text_column": "truth", "delimiter": ";"}
    paths, texts = load_labels_csv(path, **options)
    assert texts == ['x;"y', "z"]
    assert [Path(item).name for item in paths] == ["a.png", "c,d.png"]


@pytest.mark.parametrize(
    ("written", "given"),
    [
        ("utf-8", {}),
        ("utf-8-sig", {}),
        ("latin-1", {"encoding": "latin-1"}),
        ("utf-16", {"encoding": "utf-16"}),
    ],
)
def test_encodings(table, written, given):
    path = table("filename,text\nimages/a.png,é\n", written)
    assert load_labels_csv(path, **given)[1] == ["é"]


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("", {}, r"no column with .* usual names \(filename, .*; its header is \[\]"),
        ("Bild,text\n", {}, r"no column with .* is \['Bild', 'text'\]"),
        ("filename;Wort\n", {}, r"is \['filename', 'Wort'\]: name .* by `text_column`"),
        ("filename,text,text\n", {}, "has 2 columns with one of the usual names"),
        ("filename,text,label\n", {}, r"2 columns .*\(text, label, .* `text_column`"),
        ("file,text,path\n", {}, r"2 columns .*\(filename, .* `filename_column`"),
        ("filename;text\n", {"delimiter": ","}, r"no col.* is \['filename;text'\]"),
        ("a b c\n", {}, r"its header is \['a b c'\]"),
        (GOOD, {"text_column": "label"}, "no column named 'label'.*`text_column`"),
        ("filename,text\n", {}, "has a header but no rows"),
        ("filename,text\n\n\n", {}, "has a header but no rows"),
        (GOOD + "images/a.png\n", {}, "row 4 of .* has 1 fields where the .* has 2"),
        (GOOD + "images/a.png,1,2\n", {}, "row 4 of .* has 3 fields"),
        (GOOD + "\n ,12\n", {}, "row 5 of .* has no 'filename'; fill or drop it"),
        (GOOD + ",12\n", {}, "row 4 of .* has no 'filename'"),
        (GOOD + 'images/a.png,"12\n', {}, "row 4 of .* is broken: .*Close the quote"),
        (GOOD, {"delimiter": ", "}, "is no CSV file with delimiter=', '"),
        (GOOD, {"delimiter": 3}, "is no CSV file with delimiter=3"),
        (GOOD, {"encoding": "utf-32"}, "cannot be read with encoding='utf-32'"),
        (GOOD, {"encoding": "none"}, "with encoding='none': unknown encoding"),
        (GOOD, {"encoding": "utf-16"}, "cannot be read with encoding='utf-16'"),
    ],
)
def test_table_errors(table, tmp_path, text, options, message):
    path = table(text)
    archive = zip_folder(path.parent, tmp_path / "set.zip")
    for item in (path, archive):
        with pytest.raises(ValueError, match=message):
            load_labels_csv(item, **options)


def test_missing_image_is_named_by_its_row(table, tmp_path):
    path = table(GOOD + "\nimages/gone.png,12\n")
    archive = zip_folder(path.parent, tmp_path / "set.zip")
    for item in (path, archive):
        with pytest.raises(FileNotFoundError, match=r"row 5 of '.*labels\.csv' names"):
            load_labels_csv(item)


def test_table_path_errors(tmp_path):
    write_zip(tmp_path / "none.zip", {"a.png": b""})
    write_zip(tmp_path / "two.zip", {"a.csv": b"", "b/c.CSV": b""})
    for name, error, message in [
        ("gone.csv", FileNotFoundError, r"path='.*gone\.csv' does not exist"),
        ("", ValueError, "is no file; .*load_image_folder"),
        ("none.zip", ValueError, r"none\.zip' holds no table of labels"),
        ("two.zip", ValueError, r"holds 2 tables of labels \(a\.csv, b/c\.CSV\)"),
    ]:
        with pytest.raises(error, match=message):
            load_labels_csv(tmp_path / name)
    for load in (load_image_folder, load_labels_csv):
        with pytest.raises(TypeError, match="path=None must be a path"):
            load(None)


def test_rows_without_a_readable_image_are_left_out_with_a_warning(table, tmp_path):
    path = table("filename,text\nimages/a.png,1\nimages/bad.png,2\nimages/no.png,3\n")
    (path.parent / "images" / "bad.png").write_bytes(b"no image")
    archive = zip_folder(path.parent, tmp_path / "set.zip")
    for item in (path, archive):
        message = r"2 of 3 images in path=.* were skipped: .*bad\.png.* row 4 of"
        with pytest.warns(SkippedImageWarning, match=message) as caught:
            X, texts = load_labels_csv(item, on_error="skip")
        assert caught[0].filename == __file__
        assert (len(X), texts) == (1, ["1"])


def test_labels_come_from_the_table_that_is_there_or_from_the_names(table, tmp_path):
    path = table(GOOD)
    archive = zip_folder(path.parent, tmp_path / "set.zip")
    for item in (path, path.parent, archive):
        assert load_labeled_images(item)[1] == ["0042", "nan"]
    for item in (path.parent, archive):
        assert load_labeled_images(item, label="(.)$")[1] == ["a", "b", "d"]
    with pytest.raises(ValueError, match="is a table of labels; leave `label` out"):
        load_labeled_images(path, label="(.)$")
    table("").with_name("more.csv").touch()
    message = r"2 tables of labels \((labels|more)\.csv, .*path of one of them"
    with pytest.raises(ValueError, match=message):
        load_labeled_images(path.parent)
    assert load_labeled_images(path.parent, label="(.+)")[1] == ["a", "b", "c,d"]


def test_a_row_twice_is_an_image_twice(table, tmp_path):
    path = table(GOOD + "images/b.png,0042\n")
    archive = zip_folder(path.parent, tmp_path / "set.zip")
    contents, texts = load_labels_csv(archive)
    assert texts == ["0042", "nan", "0042"]
    assert contents[0] == contents[2] != contents[1]


def test_a_table_beside_the_images_is_not_overlooked_in_silence(tmp_path):
    for name in ("01", "02"):
        Image.new("L", (60, 20)).save(tmp_path / f"{name}.png")
    assert load_image_folder(tmp_path)[1] == ["01", "02"]  # with no warning
    (tmp_path / "labels.csv").write_text("filename,text\n01.png,a7\n02.png,b8\n")
    with pytest.warns(UserWarning, match=r"labels\.csv.*load_labeled_images"):
        assert load_image_folder(tmp_path)[1] == ["01", "02"]
    assert load_image_folder(tmp_path, label=r"(.+)")[1] == ["01", "02"]
    assert load_labeled_images(tmp_path)[1] == ["a7", "b8"]


@pytest.mark.parametrize("load", [load_image_folder, load_labeled_images])
def test_a_table_beside_images_further_down_is_said(tmp_path, load):
    folder = tmp_path / "train"
    folder.mkdir()
    Image.new("L", (9, 9)).save(folder / "0000.png")
    (folder / "notes.txt").write_text("no table")
    assert load(tmp_path)[1] == ["0000"]
    (folder / "labels.csv").write_text("filename,text\n0000.png,AB0\n")
    with pytest.warns(UserWarning, match="holds a table, train/labels.csv, and"):
        assert load(tmp_path)[1] == ["0000"]
    assert load(tmp_path, label="(.+)")[1] == ["0000"]


def test_each_file_of_a_zip_that_cannot_be_read_is_named(tmp_path):
    path = tmp_path / "images.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in [("a.png", b""), ("b.png", b""), ("d.png", b"xx")]:
            archive.writestr(name, content)
        image = io.BytesIO()
        Image.new("L", (9, 9)).save(image, "PNG")
        archive.writestr("c.png", image.getvalue())
    with pytest.warns(SkippedImageWarning) as caught:
        assert load_image_folder(path, on_error="skip")[1] == ["c"]
    (message,) = (str(warning.message) for warning in caught)
    assert all(f"'{name}.png'" in message for name in "abd")


def test_an_error_of_the_function_of_labels_names_the_file(tmp_path):
    Image.new("L", (9, 9)).save(tmp_path / "a7.png")
    with pytest.raises(IndexError) as caught:
        load_image_folder(tmp_path, label=lambda file: file.stem.split("-")[1])
    assert caught.value.__notes__ == ["`label` was called with 'a7.png'."]
