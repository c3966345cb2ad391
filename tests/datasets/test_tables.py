"""Tables of labels in the forms that people keep them in."""

import json
import os
import shutil
import unicodedata
import warnings
from pathlib import Path

import pytest
from PIL import Image

from skcaptcha.datasets import load_image_folder, load_labeled_images, load_labels_csv
from skcaptcha.exceptions import LabelConversionWarning, SkippedImageWarning


@pytest.fixture
def folder(tmp_path):
    """Folder of three images."""
    folder = tmp_path / "set"
    folder.mkdir()
    for name in ("a.png", "b c.png", "d.JPG"):
        Image.new("L", (6, 4)).save(folder / name)
    return folder


def write(folder, text, name="labels.csv", encoding="utf-8"):
    path = folder / name
    path.write_bytes(text.encode(encoding))
    return path


def names_of(paths):
    return [Path(path).name for path in paths]


@pytest.mark.parametrize(
    "name", ["image", "file", "path", "filename", "file_name", "id"]
)
@pytest.mark.parametrize("text", ["text", "label", "caption", "words", "Transcription"])
def test_columns_are_known_by_their_usual_names(folder, name, text):
    path = write(folder, f"n,{text},{name}\n1,0042,a.png\n2,x,b c.png\n")
    paths, texts = load_labels_csv(path)
    assert (names_of(paths), texts) == (["a.png", "b c.png"], ["0042", "x"])


def test_an_id_beside_a_file_name_is_no_file_name(folder):
    path = write(folder, "id,filename,text\n7,a.png,12\n")
    assert names_of(load_labels_csv(path)[0]) == ["a.png"]


@pytest.mark.parametrize(
    "text",
    [
        "filename,text\na.png,12\nb c.png,3;4\n",
        "filename;text\na.png;12\nb c.png;3;4\n".replace("3;4", '"3;4"'),
        "filename\ttext\na.png\t12\nb c.png\t3;4\n",
        "filename , text\r\na.png,12\r\n\r\nb c.png,3;4\r\n",
        "a.png,12\nb c.png,3;4\n",
        "a.png\t12\nb c.png\t3;4",
        "a.png 12\nb c.png  3;4\n",
        'a.png, "12"\nb c.png, "3;4"\n',
        'filename, text\na.png, "12"\nb c.png, "3;4"\n',
        '"filename","text"\n"a.png","12"\n"b c.png","3;4"\n',
        "filename,text\ra.png,12\rb c.png,3;4\r",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le"])
def test_separators_headers_and_encodings_are_guessed(folder, text, encoding):
    path = write(folder, text, encoding=encoding)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        paths, texts = load_labels_csv(path)
    assert (names_of(paths), texts) == (["a.png", "b c.png"], ["12", "3;4"])
    assert load_labeled_images(folder) == (paths, texts)


def test_the_form_of_icdar_keeps_commas_and_quotes(folder):
    path = write(folder, 'a.png, "x, \\"y\\""\r\nd.JPG, "z""\n', name="gt.txt")
    assert load_labels_csv(path)[1] == ['x, "y"', 'z"']
    path = write(folder, '\ufeffa.png, "Joe\'s"\r\n', name="gt.txt")
    assert load_labels_csv(path)[1] == ["Joe's"]
    assert load_labeled_images(folder)[1] == ["Joe's"]


def test_json_lines(folder):
    rows = [
        {"file_name": "a.png", "text": "0042", "box": [1, 2]},
        {"text": "é", "file_name": "d.JPG", "more": None},
    ]
    text = "\n".join(json.dumps(row) for row in rows)
    write(
        folder, text + '\n\n{"file_name": "b c.png", "text": 7.10}\n', "metadata.jsonl"
    )
    paths, texts = load_labeled_images(folder)
    assert names_of(paths) == ["a.png", "d.JPG", "b c.png"]
    assert texts == ["0042", "é", "7.10"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"image": "a.png", "text": "1"}\n{"image": ', "row 2 of .* is no JSON: "),
        ('["a.png", "1"]\n', r"row 1 of .* is no JSON object: \["),
        ('{"image": "a.png", "text": ["1"]}', r"row 1 of .* has \['1'\] for 'text'"),
        ('{"image": "a.png", "text": true}', "row 1 of .* has True for 'text'"),
        ('{"image": "a.png", "text": null}', "row 1 of .* has no 'text'"),
        ('{"image": "a.png"}', r"no column with one .*header is \['image'\]"),
        ("", r"no column .* its header is \[\]"),
    ],
)
def test_broken_json_lines_are_named(folder, text, message):
    path = write(folder, text, name="metadata.jsonl")
    with pytest.raises(ValueError, match=message):
        load_labels_csv(path)


@pytest.mark.parametrize("text", ["a.png,text\nd.JPG,x\n", "a.png\twords\nd.JPG\tx\n"])
def test_a_label_of_a_first_row_may_be_the_name_of_a_column(folder, text):
    assert load_labels_csv(write(folder, text))[1][1] == "x"


@pytest.mark.parametrize("suffix", [".gt.txt", ".txt", ".TXT", ".GT.txt"])
def test_texts_beside_the_images(folder, suffix):
    for name, text in (("a", "12\n"), ("b c", "é"), ("d", "7\r\n")):
        write(folder, text, f"{name}{suffix}", "utf-8-sig")
    assert load_labeled_images(folder)[1] == ["12", "é", "7"]
    assert load_labeled_images(folder, label="(.+)")[1] == ["a", "b c", "d"]
    (folder / f"d{suffix}").unlink()
    with pytest.raises(ValueError, match=r"beside 2 of 3 images, .* beside 'd\.JPG'"):
        load_labeled_images(folder)


def test_a_text_of_two_lines_beside_an_image_is_refused(folder):
    for name in ("a", "b c", "d"):
        write(folder, "1\n2\n", f"{name}.txt")
    with pytest.raises(ValueError, match=r"of 'a\.png' holds '\\n'"):
        load_labeled_images(folder)


def test_what_is_not_said_is_found_and_what_is_said_is_kept_to(folder):
    write(folder, "truth|image|text\n12|a.png|x\n", encoding="utf-16-be")
    options = {"delimiter": "|", "encoding": "utf-16-be"}
    assert load_labeled_images(folder, **options)[1] == ["x"]
    assert load_labeled_images(folder, text_column="truth", **options)[1] == ["12"]
    with pytest.raises(ValueError, match="no column named 'wahr'; its header is"):
        load_labeled_images(folder, text_column="wahr", **options)
    for name in ("latin-1", "cp1252"):
        write(folder, "image,text\na.png,é\n", encoding="latin-1")
        assert load_labeled_images(folder, encoding=name)[1] == ["é"]
    with pytest.raises(ValueError, match="encoding='utf-8': .* such as 'cp1252'"):
        load_labeled_images(folder)
    (folder / "labels.csv").unlink()
    with pytest.raises(ValueError, match="holds no table of labels that its param"):
        load_labeled_images(folder, delimiter=";")


@pytest.mark.parametrize(
    "other", ["test.csv", "labels.tsv", "metadata.jsonl", "gt.txt"]
)
def test_one_of_two_tables_is_not_chosen(folder, other):
    write(folder, "filename,text\na.png,1\n")
    write(folder, "filename,text\na.png,2\n", other)
    with pytest.raises(ValueError, match=r"2 tables of labels \(.*label=r'\(\.\+\)'"):
        load_labeled_images(folder)
    assert load_labeled_images(folder / "labels.csv")[1] == ["1"]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ('filename,text\na.png,"12\nb c.png,34\nd.JPG,5\n', 2),
        ('filename,text\na.png,12\nb c.png,"34\nd.JPG,"5\n', 3),
        ('filename,text\na.png,"12\nb c.png,34\nd.JPG,"\n', 2),
        ('filename,text,by\na.png,12,"me\nb c.png,34,I\nd.JPG,5,"\n', 2),
        ('a.png,"12\nb c.png,34\n', 1),
        ('filename,text\na.png,"1"2\n', 2),
    ],
)
def test_a_quote_that_takes_in_rows_is_named_by_its_row(folder, text, number):
    path = write(folder, text)
    with pytest.raises(ValueError, match=f"^row {number} of '.*' is broken.*Close the"):
        load_labels_csv(path)


def test_a_long_remark_is_no_broken_quote(folder):
    path = write(folder, 'filename,text,remark\na.png,12,"two\nlines"\nd.JPG,3,\n')
    assert load_labels_csv(path)[1] == ["12", "3"]


def test_edges_of_labels_are_stripped_and_counted(folder):
    path = write(folder, "filename,text\na.png, 1651\nb c.png,12\xa0\nd.JPG,7\u200b\n")
    with pytest.warns(LabelConversionWarning, match="3 of 3 .*row 2 of .*' 1651'") as w:
        assert load_labels_csv(path)[1] == ["1651", "12", "7"]
    assert len(w) == 1 and w[0].filename == __file__
    (folder / "labels.csv").unlink()
    (folder / "a.png").rename(folder / " a\u200b.png")
    with pytest.warns(LabelConversionWarning, match="1 of 3 labels"):
        assert load_labeled_images(folder)[1] == ["a", "b c", "d"]


def test_what_no_image_shows_is_refused_by_its_row(folder):
    path = write(folder, "filename,text\na.png,1\nd.JPG,1\u200b2\n")
    with pytest.raises(ValueError, match="row 3 of .* holds .*ZERO WIDTH SPACE"):
        load_labels_csv(path)
    (folder / "a.png").rename(folder / "a\u202eb.png")
    with pytest.raises(ValueError, match="holds .*RIGHT-TO-LEFT OVERRIDE"):
        load_image_folder(folder)


def test_backslashes_and_names_without_a_suffix_find_the_file(folder):
    path = write(folder.parent, "id,text\nset\\a.png,1\n.\\set\\b c,2\n")
    paths, texts = load_labels_csv(path)
    assert (names_of(paths), texts) == (["a.png", "b c.png"], ["1", "2"])
    Image.new("L", (6, 4)).save(folder / "a.gif")
    path = write(folder, "id,text\na,1\n")  # a.gif or a.png
    with pytest.raises(FileNotFoundError, match="row 2 of .* names 'a', which"):
        load_labels_csv(path)


@pytest.mark.parametrize("on_disk", ["NFC", "NFD"])
@pytest.mark.parametrize("in_table", ["NFC", "NFD"])
def test_names_in_either_normal_form(tmp_path, on_disk, in_table):
    name = unicodedata.normalize(on_disk, "é한.png")
    Image.new("L", (6, 4)).save(tmp_path / name)
    assert load_image_folder(tmp_path)[1] == [unicodedata.normalize("NFC", "é한")]
    text = unicodedata.normalize(in_table, "filename,text\né한.png,ü\n")
    paths, texts = load_labels_csv(write(tmp_path, text))
    assert texts == ["\xfc"]
    assert os.path.samefile(paths[0], tmp_path / name)


PREDICTED = """filename,text,confidence,error
set/a.png,12,0.98,
set/gone.png,,,"does not exist; check, and look"
set/d.JPG,34,0.91,
set/b c.png,,0.99,
"""


@pytest.mark.parametrize("place", ["", "elsewhere"])
def test_what_predict_writes_is_a_table(folder, monkeypatch, place):
    monkeypatch.chdir(folder.parent)
    Path("elsewhere").mkdir()
    path = write(folder.parent / place, PREDICTED, "read.csv")
    with pytest.warns(SkippedImageWarning, match="2 of 4 rows .* an error or no text"):
        paths, texts = load_labels_csv(path)
    assert (names_of(paths), texts) == (["a.png", "d.JPG"], ["12", "34"])
    write(Path("elsewhere"), PREDICTED.replace("set/a", "set/none"), "read.csv")
    with (
        pytest.warns(SkippedImageWarning, match="2 of 4 rows"),
        pytest.warns(SkippedImageWarning, match="1 of 2 images"),
    ):
        assert load_labels_csv("elsewhere/read.csv", on_error="skip")[1] == ["34"]


@pytest.mark.filterwarnings("ignore::skcaptcha.exceptions.SkippedImageWarning")
def test_readings_that_are_only_found_are_no_quiet_labels(folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    path = write(folder, PREDICTED, "read.csv")
    archive = shutil.make_archive("packed", "zip", folder.parent, "set")
    for source in (folder, archive):
        said = r"labels are from path=.*read.csv', which `skcaptcha predict` wrote"
        with pytest.warns(UserWarning, match=said) as caught:
            assert load_labeled_images(source)[1] == ["12", "34"]
        assert len([w for w in caught if w.category is UserWarning]) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        warnings.simplefilter("ignore", SkippedImageWarning)
        assert load_labeled_images(path)[1] == load_labels_csv(path)[1] == ["12", "34"]


def test_a_table_in_which_nothing_was_read_is_refused(folder):
    path = write(folder, PREDICTED.replace(",12,", ",,").replace(",34,", ",,"))
    with pytest.raises(ValueError, match="no row with a text and without an error"):
        load_labels_csv(path)


@pytest.mark.parametrize("load", [load_labels_csv, load_labeled_images])
def test_images_of_a_table_in_the_current_folder_have_its_names(
    folder, monkeypatch, load
):
    write(folder, "filename,text\na.png,1\n")
    monkeypatch.chdir(folder)
    assert load("labels.csv")[0] == ["a.png"]
    assert load("./labels.csv")[0] == ["a.png"]
    assert load_labeled_images(".")[0] == ["a.png"]


def test_all_missing_images_are_named_at_once(folder):
    path = write(folder, "filename,text\na.png,1\nx.png,1\ny.png,2\n")
    with pytest.raises(FileNotFoundError, match=r"2 images .* 'x\.png', .* 'y\.png'"):
        load_labels_csv(path)
    rows = "".join(f"{i}.png,1\n" for i in range(12))
    path = write(folder, f"filename,text\n{rows}")
    with pytest.raises(FileNotFoundError, match=r"12 images .* '9\.png'.* And 2 more"):
        load_labels_csv(path)
    path = write(folder, "filename,text\na.png,1\nx.png,1\n")
    said = (
        r"'x\.png', which is not in '.*set'\. Names are relative to the folder of the"
    )
    with pytest.raises(FileNotFoundError, match=said) as caught:
        load_labels_csv(path)
    assert str(caught.value).endswith("such rows with on_error='skip'.")
    path = write(folder, "Bild.png,Wort\na.png,1\n")
    with pytest.raises(FileNotFoundError, match="if row 1 is a header, name its"):
        load_labels_csv(path)
