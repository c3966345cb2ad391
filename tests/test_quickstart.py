import importlib.util
import zipfile
from pathlib import Path

import joblib
import numpy as np
import pytest
from matplotlib import pyplot
from PIL import Image
from support.data import ROOT

from skcaptcha.datasets import make_captchas

# One epoch is too short to learn anything in, which the estimator says.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

SCRIPT = ROOT / "examples" / "quickstart.py"


@pytest.fixture
def quickstart(tmp_path, monkeypatch):
    """Import the script, in an empty current folder and with no window to open."""
    spec = importlib.util.spec_from_file_location("quickstart", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.chdir(tmp_path)
    pyplot.close("all")  # early versions warn of figures that a switch would close
    pyplot.switch_backend("Agg")
    yield module
    pyplot.close("all")


@pytest.fixture
def folder(tmp_path):
    """Make a folder of images named by their texts and numbers, beside a table."""
    images, texts = make_captchas(
        12, vocabulary="01", length=3, size=(16, 40), random_state=0
    )
    folder = tmp_path / "digits"
    folder.mkdir()
    rows = ["filename,text"]
    for number, (image, text) in enumerate(zip(images, texts, strict=True)):
        name = f"{text}_{number:04}.png"
        Image.fromarray(image).save(folder / name)
        rows.append(f"{name},{text.replace('0', 'a').replace('1', 'b')}")
    (folder / "labels.csv").write_text("\n".join(rows))
    return folder


def zip_files(files, path):
    with zipfile.ZipFile(path, "w") as archive:
        for file in files:
            archive.write(file, f"inner/{file.name}")
    return path


def run(quickstart, capsys, *arguments):
    """Run the script, check what it leaves behind, and return that and its words."""
    status = quickstart.main([*map(str, arguments), "--max-iter", "1"])
    captured = capsys.readouterr()
    assert status == 0, captured.err
    output = Path("quickstart_output")
    assert sorted(file.name for file in output.iterdir()) == [
        "example.png",
        "model.joblib",
        "predictions.png",
    ]
    with Image.open(output / "predictions.png") as picture:
        assert min(picture.size) > 200
    reader = joblib.load(output / "model.joblib")
    (text,) = reader.predict([output / "example.png"])
    assert f"{output / 'example.png'} as {text!r}" in captured.out
    assert "exact match" in captured.out
    assert str(output / "model.joblib") in captured.out
    assert str(output / "predictions.png") in captured.out
    return reader, captured.out


def characters(reader):
    return "".join(sorted(reader.vocabulary_.characters))


def test_without_arguments_captchas_are_drawn(quickstart, capsys):
    _, words = run(quickstart, capsys, "--n-samples", "20", "--test-size", "0.25")
    assert "Drawing 20 captchas" in words
    assert "Training on 15 images and holding out 5" in words


@pytest.mark.parametrize("source", ["digits", "digits.zip"])
def test_texts_in_the_names(quickstart, capsys, folder, source):
    zip_files(folder.glob("*.png"), "digits.zip")
    reader, _ = run(quickstart, capsys, source, "--label", "^([^_]+)_")
    assert characters(reader) == "01"
    (folder / "labels.csv").unlink()  # else its texts count
    reader, _ = run(quickstart, capsys, source)
    assert set("01_") < set(characters(reader))


@pytest.mark.parametrize("source", ["digits/labels.csv", "digits", "digits.zip"])
def test_table_of_texts(quickstart, capsys, folder, source):
    zip_files(folder.iterdir(), "digits.zip")
    reader, words = run(quickstart, capsys, source)
    assert characters(reader) == "ab"
    assert "Training on 9 images and holding out 3" in words


def test_output_folder_can_be_chosen(quickstart, folder):
    arguments = ["digits", "--output", "some/where", "--max-iter", "1"]
    assert quickstart.main(arguments) == 0
    assert Path("some/where/model.joblib").is_file()
    assert not Path("quickstart_output").exists()


def test_same_seed_holds_out_and_reads_the_same(quickstart, capsys, folder):
    words = [run(quickstart, capsys, "digits", "--seed", n)[1] for n in (1, 1, 2)]
    assert words[0] == words[1] != words[2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing"], "'missing' does not exist"),
        (["missing.csv"], "'missing.csv' does not exist"),
        (["empty"], "'empty' holds no image"),
        (["one"], "1 image is too few"),
        (["text.zip"], "'text.zip' cannot be read as a zip file"),
        (["digits", "--label", "("], "label='('"),
        (["digits/labels.csv", "--label", "(.)"], "label='(.)' is for images named"),
        (["digits", "--test-size", "1.5"], "'test_size'"),
        (["digits", "--test-size", "0"], "'test_size'"),
        (["digits", "--max-iter", "0"], "'max_iter'"),
        (["--n-samples", "1"], "1 image is too few"),
        (["--n-samples", "0"], "n_samples=0"),
        (["digits", "--output", "text.zip"], "text.zip"),
        (["broken"], "is not an image in a format read here"),
    ],
)
def test_errors_are_one_line(quickstart, capsys, folder, arguments, message):
    Path("empty").mkdir()
    Path("one").mkdir()
    Image.new("L", (30, 10)).save("one/ab.png")
    Path("broken").mkdir()
    for name in ("ab.png", "cd.png", "ef.png"):
        Path("broken", name).write_bytes(b"not an image")
    Path("text.zip").write_text("not a zip")
    assert quickstart.main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("quickstart.py: error: ")
    assert error.count("\n") == 1
    assert message in error
    assert not Path("quickstart_output", "model.joblib").exists()


def test_wrong_options_exit_with_2(quickstart, capsys):
    with pytest.raises(SystemExit, match="2"):
        quickstart.main(["--seed", "many"])
    assert "--seed" in capsys.readouterr().err


def drawn(quickstart, monkeypatch, n_images, wrong):
    """Return the numbers of the images drawn and the title, mistakes being `wrong`."""
    seen = {}

    def draw(X, y_pred, *, y_true, confidence, max_images, title):
        assert len(X) == len(y_pred) == len(y_true) == len(confidence)
        seen.update(numbers=[int(x[0, 0]) for x in X], title=title)
        return type("Display", (), {"figure_": pyplot.figure()})

    monkeypatch.setattr(quickstart.PredictionDisplay, "from_predictions", draw)
    X = [np.full((1, 1), i) for i in range(n_images)]
    y_pred = ["no" if i in wrong else "ab" for i in range(n_images)]
    confidence = np.ones(n_images)
    quickstart.draw_predictions(X, ["ab"] * n_images, y_pred, confidence, 0, "x.png")
    return seen["numbers"], seen["title"]


def test_picture_is_a_sample_with_up_to_a_third_of_mistakes(quickstart, monkeypatch):
    numbers, title = drawn(quickstart, monkeypatch, 200, wrong={7, 150})
    assert set(numbers[:2]) == {7, 150}
    assert len(set(numbers)) == 20
    assert numbers[2:] != sorted(numbers[2:])
    assert title == (
        "198 of 200 images held out were read right; the 2 mistakes come first"
    )

    numbers, title = drawn(quickstart, monkeypatch, 200, wrong={7})
    assert numbers[0] == 7 and title.endswith("right; the mistake comes first")

    wrong = set(range(20))
    numbers, title = drawn(quickstart, monkeypatch, 200, wrong)
    assert wrong.issuperset(numbers[:6])
    assert not wrong.issuperset(numbers[6:])
    assert "180 of 200" in title and "some of the 20 mistakes come first" in title


def test_picture_without_mistakes_shows_all_there_are(quickstart, monkeypatch):
    numbers, title = drawn(quickstart, monkeypatch, 5, wrong=())
    assert sorted(numbers) == [0, 1, 2, 3, 4]
    assert title == "5 of 5 images held out were read right"
