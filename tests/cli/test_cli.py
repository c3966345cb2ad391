"""The command line, as a user runs it."""

import copy
import csv
import io
import json
import re
import sys
import zipfile
from types import SimpleNamespace

import joblib
import numpy as np
import pytest
import torch
from matplotlib.image import AxesImage
from PIL import Image
from support.commands import QUICK

from skcaptcha import CaptchaRecognizer, __version__, persistence
from skcaptcha.cli import _report, main
from skcaptcha.cli._report import _list_layers
from skcaptcha.datasets import load_labels_csv
from skcaptcha.export import export_onnx, load_onnx
from skcaptcha.metrics import exact_match_score
from skcaptcha.model import inference
from skcaptcha.model.network import build_network
from skcaptcha.model.prepared import PreparedNetwork
from skcaptcha.vocabulary import Vocabulary


@pytest.fixture
def n_read(monkeypatch):
    """List of how many images the network of a recognizer reads at a time."""
    calls, read = [], inference.run_network

    def count(network, images, *arguments, **options):
        if isinstance(network, PreparedNetwork):  # and not one that is being trained
            calls.append(len(images))
        return read(network, images, *arguments, **options)

    monkeypatch.setattr(inference, "run_network", count)
    return calls


def test_generated_captchas_can_be_loaded_again(run, tmp_path):
    folder = tmp_path / "drawn"
    options = ["-n", "12", "--length", "2-3", "--size", "20x60", "--color"]
    knobs = ["--characters", "aA", "--param", "rotation=0", "--param", "lines=0"]
    code, out, err = run("generate", folder, *options, *knobs)
    assert (code, err) == (0, "")
    assert "12 images and labels.csv are in" in out
    paths, texts = load_labels_csv(folder / "labels.csv")
    assert len(paths) == 12 and set("".join(texts)) == set("aA")
    assert {len(text) for text in texts} == {2, 3}
    with Image.open(paths[0]) as image:
        assert (image.size, image.mode) == ((60, 20), "RGB")


def test_the_same_seed_draws_the_same(run, tmp_path):
    for name, seed in [("a", "3"), ("b", "3"), ("c", "4")]:
        run("generate", tmp_path / name, "-n", "2", "--seed", seed)
    a, b, c = ((tmp_path / name / "1.png").read_bytes() for name in "abc")
    assert a == b != c


def test_train_reports_saves_and_shows_progress_apart(run, labeled, tmp_path):
    path = tmp_path / "model.joblib"
    code, out, err = run("train", labeled, "--out", path, *QUICK)
    assert code == 0
    assert "exact match" in out and "images held out" in out
    assert "Training on 32 images and holding out 8." in err
    assert "Training:" in err and "Training:" not in out  # the bar
    recognizer = joblib.load(path)
    assert "Only 8 images were tested: the true exact match may be anything" in out
    _, shown, _ = run("info", path)
    assert re.search(r"exact match on 8 images held out +\S+ \(95 % interval ", shown)
    assert re.search(r"character accuracy on them +\S+ \(95 % interval ", shown)
    assert (recognizer.n_iter_, recognizer.max_iter) == (1, 1)
    assert recognizer.conv_channels == (4, 8) and recognizer.verbose == 0
    assert recognizer.test_scores_["n_samples"] == 8


def test_train_on_all_images_and_in_the_safe_format(run, labeled, tmp_path):
    path = tmp_path / "model.skops"
    code, out, err = run(
        "train", labeled, "--out", path, "--test-size", "0", "--quiet", *QUICK
    )
    assert code == 0
    assert "exact match" not in out and "Training:" not in err
    recognizer = persistence.load(path)
    assert not hasattr(recognizer, "test_scores_")
    assert run("info", path)[0] == 0


def test_train_draws_the_images_held_out(run, labeled, tmp_path, n_read, close_figures):
    page, picture = tmp_path / "report.html", tmp_path / "worst.png"
    code, _, err = run(
        *("train", labeled, "--out", tmp_path / "model.joblib"),
        *("--html", page, "--picture", picture, *QUICK),
    )
    assert code == 0 and str(page) in err and picture.stat().st_size > 1000
    # Once, for the texts and their confidence; and three times more as none is sure.
    assert n_read == [8, 8, 8, 8]
    text = page.read_text("utf-8")
    assert "held out</h1>" in text and "<p>Of 8 images:</p>" in text
    assert "95 % interval" in text and "Only 8 images were tested" in text
    # So short a fit reads nothing; the mistakes are listed by their files.
    assert text.count(f"<dd>{labeled}") == 8


def test_search_takes_the_best_of_the_grid(run, labeled, tmp_path):
    grid = tmp_path / "grid.toml"
    grid.write_text("lstm_units = [4, 8]\nconv_channels = [[4, 8]]\n")
    path = tmp_path / "model.joblib"
    code, out, err = run(
        *("train", labeled, "--out", path, "--search", grid, "--cv", "2", *QUICK)
    )
    assert code == 0
    assert out.count("+/-") == 2
    assert "lstm_units=4" in out and "lstm_units=8" in out
    assert "Searching by 2-fold cross-validation." in err
    assert "[CV]" in err and "[CV]" not in out
    assert joblib.load(path).lstm_units in (4, 8)


def test_predict_prints_path_text_and_confidence(run, model, fitted, labeled):
    paths = sorted(labeled.glob("*.png"))[:5]
    code, out, err = run("predict", model, *paths)
    assert (code, err) == (0, "")
    rows = [line.split("\t") for line in out.splitlines()]
    assert [row[0] for row in rows] == [str(path) for path in paths]
    assert [row[1] for row in rows] == fitted.predict(paths).tolist()
    confidence = [float(row[2]) for row in rows]
    np.testing.assert_allclose(confidence, fitted.predict_confidence(paths), atol=1e-4)


def test_predict_goes_on_after_an_unreadable_image(run, model, labeled, fitted):
    good = sorted(labeled.glob("*.png"))[:2]
    bad = labeled / "bad.png"
    bad.write_bytes(b"no image")
    paths = [good[0], bad, labeled / "none.png", good[1]]
    texts = fitted.predict(good)
    code, out, _ = run("predict", model, *paths, "--format", "csv")
    assert code == 1
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [row["filename"] for row in rows] == [str(path) for path in paths]
    assert [row["text"] for row in rows] == [texts[0], "", "", texts[1]]
    assert [bool(row["error"]) for row in rows] == [False, True, True, False]
    assert [bool(row["confidence"]) for row in rows] == [True, False, False, True]

    code, out, _ = run("predict", model, *paths, "--format", "jsonl")
    assert code == 1
    rows = [json.loads(line) for line in out.splitlines()]
    assert [row["text"] for row in rows] == [texts[0], None, None, texts[1]]
    assert rows[1]["confidence"] is None
    assert rows[1]["error"].startswith(repr(str(bad)))
    code, out, _ = run("predict", model, *paths)
    assert out.splitlines()[1].split("\t")[:3] == [str(bad), "", ""]


def test_an_image_without_room_for_the_length_gets_a_row_too(run, model, labeled):
    path = labeled / "narrow.png"
    Image.new("L", (6, 16)).save(path)
    good = sorted(labeled.glob("*.png"))[0]
    code, out, _ = run("predict", model, good, path, "--length", "9")
    first, second = (line.split("\t") for line in out.splitlines())
    assert code == 1
    assert len(first[1]) == 9 and len(first) == 3
    assert second[1] == ""
    assert second[3].startswith(f"{str(path)!r}: No text of length=9 fits")


def test_predict_runs_the_network_once(run, model, labeled, n_read):
    Image.new("L", (6, 16)).save(labeled / "narrow.png")  # too narrow for the length
    (labeled / "bad.png").write_bytes(b"no image")
    code, out, _ = run("predict", model, labeled, "--length", "9")
    assert code == 1 and len(out.splitlines()) == 42
    assert n_read[0] == 41 and len(n_read) == 4  # what it doubts at three more


def test_predict_reads_all_images_of_a_folder(run, model, labeled):
    code, out, _ = run("predict", model, labeled)
    assert code == 0 and len(out.splitlines()) == 40


def test_predict_takes_paths_from_standard_input(run, model, labeled, monkeypatch):
    paths = sorted(map(str, labeled.glob("*.png")))[:3]
    lines = io.BytesIO("\n".join([*paths, "", ""]).encode())
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(lines))
    code, out, err = run("predict", model, "-", "--format=jsonl")
    assert [json.loads(line)["filename"] for line in out.splitlines()] == paths
    assert (code, err) == (0, "")


def test_a_chunk_more_changes_nothing(run, model, labeled, monkeypatch):
    monkeypatch.setattr("skcaptcha.cli._reading.CHUNK", 7)
    in_chunks = run("predict", model, labeled)
    monkeypatch.undo()
    alone = run("predict", model, labeled)
    assert in_chunks[1].splitlines() == alone[1].splitlines()


def test_predict_keeps_to_a_length_and_to_characters(run, model, labeled):
    _, out, _ = run(*("predict", model, labeled, "--length", "3", "--characters", "01"))
    texts = [line.split("\t")[1] for line in out.splitlines()]
    assert all(len(text) == 3 and set(text) <= set("01") for text in texts)


def test_names_with_breaks_stay_in_their_row(run, model, labeled):
    odd = labeled / "a\tb\nc.png"
    sorted(labeled.glob("*.png"))[0].rename(odd)
    _, out, _ = run("predict", model, odd)
    (row,) = out.splitlines()
    assert row.split("\t")[0].endswith(r"a\tb\nc.png")


def test_evaluate_prints_the_report(run, model, labeled, fitted, captchas):
    code, out, err = run("evaluate", model, labeled)
    assert (code, err) == (0, "")
    score = fitted.score(captchas[0][160:], captchas[1][160:])
    line = next(x for x in out.splitlines() if x.startswith("exact match"))
    assert float(line.split()[2]) == pytest.approx(score, abs=1e-4)


def mislabel(labeled, *names):
    """Give images labels that are certainly wrong, and return those."""
    table, wrong = labeled / "labels.csv", {}
    rows = dict(row.split(",") for row in table.read_text().split())
    for name in names:
        wrong[name] = rows[name] = "0" * len(rows[name])
    table.write_text("\n".join(map(",".join, rows.items())))
    return wrong


def test_mistakes_that_are_probably_wrong_labels_are_named(
    run, model, labeled, fitted, close_figures
):
    page, wrong = labeled.parent / "page.html", mislabel(labeled, "170.png", "175.png")
    code, out, err = run("evaluate", model, labeled, "--html", page)
    read = fitted.predict([labeled / name for name in wrong])
    n_mistakes = round(40 * (1 - float(re.search(r"exact match +(\S+)", out)[1])))
    assert code == 0
    assert f"\n{n_mistakes} mistakes; 2 of them are probably wrong labels:\n" in out
    for (name, label), text in zip(wrong.items(), read, strict=True):
        assert f"  {labeled / name}  {label!r} -> {text!r}\n" in out
    text = page.read_text("utf-8")
    _, mistakes, section, *_ = re.split('<h2 id="(?:mistakes|labels|lengths)">', text)
    assert f"Of {n_mistakes} mistakes 2 are probably wrong labels" in section
    # What is probably a wrong label is no mistake of the reader.
    assert mistakes.count("<li>") == n_mistakes - 2 and section.count("<li>") == 2
    assert section.count(f"<dd>{labeled}") == 2 and "170.png</dd>" in section
    for label in wrong.values():
        assert f'<dt>label</dt><dd class="text">{label}</dd>' in section


def test_evaluate_ignores_case_if_asked(run, fitted, labeled, captchas, close_figures):
    recognizer, path = copy.copy(fitted), labeled.parent / "letters.joblib"
    recognizer.vocabulary_ = Vocabulary("abcd")
    joblib.dump(recognizer, path)
    table, to_capitals = labeled / "labels.csv", str.maketrans("0123", "ABCD")
    rows = [row.split(",") for row in table.read_text().split()[1:]]
    lines = [f"{name},{text.translate(to_capitals)}" for name, text in rows]
    table.write_text("\n".join(["filename,text", *lines]))
    page, words = labeled.parent / "page.html", ("evaluate", path, labeled)
    score = fitted.score(captchas[0][160:], captchas[1][160:])
    for options, expected in (([], 0), (["--ignore-case"], score)):
        _, out, _ = run(*words, *options, "--format", "json")
        report = json.loads(out)
        assert report["exact_match"] == expected
        assert len(report["mistakes"]) == round(40 * (1 - expected))
    _, out, _ = run(*words, "--ignore-case", "--html", page)
    assert re.search(rf"exact match +{score:.4f} ", out) and "'a' " in out
    assert f">{score:.4f}</td>" in page.read_text("utf-8")


def test_evaluate_reads_by_rules_as_predict_does(run, model, labeled, fitted, captchas):
    X, y = captchas[0][160:], captchas[1][160:]
    rules = ("--characters", "012", "--length", "2", "--format", "json")
    code, out, _ = run("evaluate", model, labeled, *rules)
    expected = fitted.predict(X, vocabulary="012", length=2)
    assert code == 0 and any(len(text) != 2 for text in y)
    assert json.loads(out)["exact_match"] == exact_match_score(y, expected)
    assert {m["read"] for m in json.loads(out)["mistakes"]} <= set(expected)
    code, _, err = run("evaluate", model, labeled, "--characters", "0x")
    assert code == 2 and "--characters='0x' must be some of" in err


def test_an_image_too_narrow_for_the_length_is_read_wrong(run, model, labeled):
    Image.new("L", (6, 16)).save(labeled / "160.png")
    rules = ("--length", "9", "--format", "json")
    code, out, err = run("evaluate", model, labeled, *rules)
    assert code == 0 and json.loads(out)["n_samples"] == 40
    assert "length=9 fits into 1 image, read as no text" in err and "skipped" not in err
    mistakes = {m["filename"]: m["read"] for m in json.loads(out)["mistakes"]}
    assert mistakes[str(labeled / "160.png")] == ""


@pytest.mark.parametrize("command", ["evaluate", "check-labels"])
def test_images_are_drawn_on_the_background_of_the_model(
    run, fitted, labeled, tmp_path, monkeypatch, close_figures, command
):
    clear = np.zeros((20, 40, 4), np.uint8)
    Image.fromarray(clear).save(labeled / "170.png")
    mislabel(labeled, "170.png")
    recognizer = copy.copy(fitted)
    recognizer.background_ = "black"
    path = tmp_path / "black.joblib"
    joblib.dump(recognizer, path)
    drawn = []
    monkeypatch.setattr(_report, "save_figure", lambda figure, _: drawn.append(figure))
    start = [labeled, "--model", path] if command == "check-labels" else [path, labeled]
    code, _, _ = run(command, *start, "--picture", tmp_path / "worst.png")
    assert code == 0
    images = drawn[0].findobj(AxesImage)
    assert any(not np.any(image.get_array()) for image in images)


@pytest.mark.parametrize("form", ["json", "csv"])
def test_scores_and_mistakes_for_other_programs(run, model, labeled, fitted, form):
    wrong = mislabel(labeled, "170.png")
    code, out, err = run("evaluate", model, labeled, "--format", form)
    assert (code, err) == (0, "")
    if form == "json":
        report = json.loads(out)
        low, high = report["exact_match_interval"]
        assert low < report["exact_match"] < high and report["n_samples"] == 40
        rows = report["mistakes"]
        assert len(rows) == round(40 * (1 - report["exact_match"]))
    else:
        rows = list(csv.DictReader(io.StringIO(out)))
        assert len(rows) == 40
        right = [row["label"] == row["read"] for row in rows]
        assert [row["is_mistake"] == "0" for row in rows] == right
        # What it writes are labels that `train` would take.
        (labeled / "read.csv").write_text(out)
        assert load_labels_csv(labeled / "read.csv")[1] == [r["label"] for r in rows]
    likely = [row for row in rows if str(row["is_likely_wrong"]) in ("True", "1")]
    assert [row["label"] for row in likely] == list(wrong.values())
    assert likely[0]["filename"] == str(labeled / "170.png")
    assert likely[0]["read"] == fitted.predict([labeled / "170.png"])[0]
    assert float(likely[0]["confidence"]) >= 0.95
    assert float(likely[0]["label_confidence"]) <= 1e-3


def test_evaluate_writes_pictures_and_one_page_of_its_own(
    run, model, labeled, n_read, close_figures
):
    page, picture = labeled.parent / "report.html", labeled.parent / "worst.png"
    folder = labeled.rename(labeled.with_name("<script>"))
    code, _, err = run("evaluate", model, folder, "--html", page, "--picture", picture)
    assert code == 0 and n_read[0] == 40 and len(n_read) == 4
    assert str(page) in err and str(picture) in err
    with Image.open(picture) as image:
        assert image.width > 300
    text = page.read_text("utf-8")
    # Three charts, and a card for each mistake, with its image.
    score = re.search(r"exact match</th>\n<td[^>]*>([\d.]+)<", text)[1]
    mistakes = round(40 * (1 - float(score)))
    assert text.count("<li>") == (mistakes or 24)
    assert text.count("data:image/png;base64,") == 3 + text.count("<li>")
    bins = text.split('<h2 id="confidence">')[1].split("<h2")[0]
    counts = re.findall(r'<td data-column="images">(\d+)</td>', bins)
    assert sum(map(int, counts)) == 40 and len(counts) <= 10
    assert "http://" not in text and "https://" not in text and "<script" not in text
    assert "&lt;script&gt;</h1>" in text  # a name is no markup
    shown = "Mistakes" if mistakes else "Least confident"
    for title in ("Scores", shown, "Confidence", "Confusions", "Training", "By length"):
        assert re.search(f'<h2 id="[a-z]+">{title}', text)
    import matplotlib.pyplot

    assert not matplotlib.pyplot.get_fignums()


def test_without_jinja2_the_report_says_how_to_get_it(run, model, labeled, monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    code, _, err = run("evaluate", model, labeled, "--html", labeled.parent / "a.html")
    assert code == 2 and 'pip install "skcaptcha[plot]"' in err


def test_mistakes_on_a_zip_are_named(run, model, labeled, close_figures):
    """A label that is certainly wrong makes a mistake of the image that it is of."""
    table = labeled / "labels.csv"
    rows = [re.sub("^170.png,.*", "170.png,3333", r) for r in table.read_text().split()]
    table.write_text("\n".join(rows))
    path, page = labeled.parent / "all.zip", labeled.parent / "report.html"
    with zipfile.ZipFile(path, "w") as archive:
        for file in labeled.iterdir():
            archive.write(file, f"set/{file.name}")
    assert run("evaluate", model, path, "--html", page)[0] == 0
    assert "<dd>set/170.png</dd>" in page.read_text("utf-8")


def test_export_writes_onnx(run, model, fitted, captchas, tmp_path):
    path = tmp_path / "model.onnx"
    code, out, err = run("export", model, "--onnx", path)
    assert (code, err) == (0, "") and str(path) in out
    images = captchas[0][160:]
    assert load_onnx(path).predict(images).tolist() == fitted.predict(images).tolist()


def test_info_says_the_same_of_an_exported_model(run, model, fitted, tmp_path):
    path = tmp_path / "model.onnx"
    export_onnx(fitted, path)
    section = "What an image is brought to\n"
    (_, whole, _), (_, exported, _) = run("info", model), run("info", path)
    for out in (whole, exported):
        assert re.search(
            "  height +16\n  widened +1.* times\n  rows +0% to 100% of the image's "
            "height\n  channels +grayscale\n  background of what is transparent +",
            out.split(section)[1],
        )


def test_info_says_what_is_in_a_model(run, model, fitted):
    code, out, _ = run("info", model)
    assert code == 0
    n_parameters = sum(p.numel() for p in fitted.network_.parameters())
    assert f"{n_parameters:,}" in out
    # An image of 16 rows and 64 columns makes 16 time steps.
    assert re.search(r"blocks\.0 +8x8x32 ", out)
    assert re.search(r"lstms\.0 +16x32 ", out)
    assert re.search(r"head +16x5 ", out)
    assert "Vocabulary (4)\n  0 1 2 3" in out
    assert "height" in out and "grayscale" in out
    assert re.search(r"rows +0% to 100% of the image.s height", out)
    assert str(fitted.n_iter_) in out
    parameters = out.split("Parameters other than the defaults\n")[1]
    shown = dict(re.findall(r"^  (\w+) +(.*)$", parameters, re.MULTILINE))
    defaults = CaptchaRecognizer().get_params()
    assert shown == {
        name: repr(value)
        for name, value in fitted.get_params().items()
        if value != defaults[name]
    }
    assert re.search(r'What "auto" became\n(  .*\n)*? +image_height +16\n', out)


@pytest.mark.parametrize("pooling", [True, False])
@pytest.mark.parametrize(
    "height, n_blocks, n_lstms", [(8, 2, 0), (17, 3, 2), (45, 5, 1)]
)
def test_info_knows_the_layers_without_the_network(height, n_blocks, n_lstms, pooling):
    config = {
        "n_classes": 4,
        "in_channels": 3,
        "conv_channels": tuple(range(3, 3 + n_blocks)),
        "pooling": pooling,
        "residual_blocks": n_lstms,
        "lstm_units": 6,
        "lstm_layers": n_lstms,
        "dropout": 0.0,
    }
    network, expected = build_network(config).eval(), []
    network.auxiliary = None  # it is of use in training alone
    layers = {f"blocks.{i}": block for i, block in enumerate(network.blocks)}
    layers |= {f"lstms.{i}": lstm for i, lstm in enumerate(network.lstms)}
    for name, layer in {**layers, "head": network.head}.items():

        def note(layer, inputs, output, name=name):
            output = output[0] if isinstance(output, tuple) else output
            shape = list(output.shape)
            del shape[0 if len(shape) == 4 else 1]  # the batch, of one
            size = sum(p.numel() for p in layer.parameters())
            expected.append((name, "x".join(map(str, shape)), f"{size:,}"))

        layer.register_forward_hook(note)
    with torch.inference_mode():
        network(torch.zeros((1, 3, height, 4 * height), dtype=torch.uint8))
    whole = sum(p.numel() for p in network.parameters())
    model = SimpleNamespace(
        _network_config=config, image_height_=height, network_=network
    )
    _, image, *rows, in_all = _list_layers(model)
    assert image[0] == f"an image of 3x{height}x{4 * height}"
    assert rows == expected and in_all == ("in all", "", f"{whole:,}")


@pytest.mark.parametrize(
    "line, message",
    [
        ("info none.joblib", "the model 'none.joblib' does not exist"),
        ("info text.joblib", "'text.joblib' is no model, or a damaged one"),
        ("info list.joblib", "'list.joblib' holds a list"),
        ("info unfitted.joblib", "holds a recognizer that is not fitted"),
        ("info text.skops", "'text.skops' is damaged"),
        ("train none --out a.pkl", "'none' does not exist"),
        ("train seed=0/label=a --out a.pkl", "'seed=0/label=a' does not exist"),
        ("train . --out a.pkl --html labels.csv", "--html='labels.csv' must be a name"),
        ("train . --out a.txt", "must be a name that ends in .joblib, .pkl or .skops"),
        ("train . --out no/a.pkl", "the folder of --out, 'no', is"),
        ("train . --out a.pkl --test-size=2", "--test-size=2.0 must be"),
        (
            "train . --out a.pkl --test-size=0 --html a.html",
            "--html show images held out",
        ),
        ("train . --out a.pkl --param max_itr=2", "'max_itr'; did you mean max_iter?"),
        ("train . --out a.pkl --search grid.toml", "max_iter = 3 must be a list of"),
        ("train . --out a.pkl --search grid.toml --cv 1", "--cv=1 must be at least 2"),
        (
            "train . --out a.pkl --search seeds.toml",
            "random_state is the option --seed",
        ),
        ("train . --out a.pkl --search empty.toml", "'empty.toml' names no parameter"),
        ("train . --out a.pkl --search text.joblib", "'text.joblib' is no TOML"),
        ("generate .", "'.' is there already; name a new folder"),
        ("generate new --param tilt=3", "make_captchas has no parameter"),
        ("generate new -n 0", "--n-samples=0"),
    ],
)
def test_an_error_is_one_line(run, tmp_path, monkeypatch, line, message):
    monkeypatch.chdir(tmp_path)
    for name in ("text.joblib", "text.skops"):
        (tmp_path / name).write_text("no model")
    joblib.dump([1], "list.joblib")
    joblib.dump(CaptchaRecognizer(), "unfitted.joblib")
    (tmp_path / "grid.toml").write_text("max_iter = 3")
    (tmp_path / "empty.toml").write_text("# nothing yet")
    (tmp_path / "seeds.toml").write_text("random_state = [1, 2]")
    code, out, err = run(*line.split())
    assert (code, out) == (2, "")
    assert err.startswith("skcaptcha: error: ") and err.count("\n") == 1
    assert message in err


def test_names_of_files_stay_as_they_are_in_errors(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x length=5.csv").write_text("filename,text\nno.png,12\n")
    code, _, err = run("train", "x length=5.csv", "--out", "a.pkl")
    assert code == 2 and "row 2 of 'x length=5.csv' names 'no.png'" in err


def test_no_image_that_is_read_is_replaced(run, model, labeled):
    image = sorted(labeled.glob("*.png"))[0]
    before = image.read_bytes()
    code, _, err = run("evaluate", model, labeled, "--picture", image)
    assert code == 2 and "is one of the images that are read" in err
    assert image.read_bytes() == before


def test_debug_shows_where_an_error_arose(run):
    with pytest.raises(FileNotFoundError):
        run("info", "none.joblib", "--debug")


@pytest.mark.parametrize(
    "arguments, message",
    [
        ([], "COMMAND"),
        (["predict", "m", "a", "--length", "a"], "'a' is neither N nor N-M"),
        (["predict", "m", "a", "--min-confidence", "90"], "'90' is not a number from"),
        (["predict", "m", "a", "--precision", "nan"], "'nan' is not a number from"),
        (["train", "", "--out", "b"], "'' is no path"),
        (["info", ""], "'' is no path"),
        (["generate", "a", "--size", "50"], "'50' is not HEIGHTxWIDTH"),
        (["train", "a", "--out", "b", "--param", "max_iter"], "is not NAME=VALUE"),
    ],
)
def test_wrong_arguments_are_named(capsys, arguments, message):
    with pytest.raises(SystemExit):
        main(arguments)
    assert message in capsys.readouterr().err


def test_warnings_are_notes(capsys, labeled, tmp_path):
    path = tmp_path / "m.joblib"
    assert main(["train", str(labeled), "--out", str(path), "--quiet", *QUICK]) == 0
    notes = capsys.readouterr().err.splitlines()
    assert notes[-1].startswith("skcaptcha: warning: The network has not learned")


def test_help_has_examples_of_every_command(capsys):
    for command in (
        "generate",
        "train",
        "predict",
        "evaluate",
        "curve",
        "check-labels",
        "export",
        "info",
    ):
        with pytest.raises(SystemExit):
            main([command, "--help"])
        shown = capsys.readouterr().out
        assert "example" in shown and f"  skcaptcha {command}" in shown
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out.strip() == __version__
