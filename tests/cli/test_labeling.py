"""The commands that open a page: what they refuse, before they open any."""

import io
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from skcaptcha.cli import _labeling
from skcaptcha.cli._labeling import _find_table
from skcaptcha.labeling._events import Answer
from skcaptcha.labeling._store import LabelStore


class Server:
    """Takes the place of the page; keeps the session that it would show."""

    url, seen = "http://127.0.0.1:1/?token=x", []

    def __init__(self, session, port):
        self.session = session

    def run(self, open_browser):
        Server.seen.append((self.session, open_browser))

    def close(self):
        self.session.close()


@pytest.fixture
def served(monkeypatch):
    """List of (session, whether a browser is opened) that pages were served for."""
    monkeypatch.setattr(_labeling, "LabelServer", Server)
    monkeypatch.setattr(Server, "seen", [])
    monkeypatch.setattr("skcaptcha.labeling._session.Session.start", lambda *a: None)
    return Server.seen


@pytest.mark.parametrize(
    "arguments, reason",
    [
        (["nowhere"], "the folder 'nowhere' does not exist"),
        (["labels.csv"], "is no folder; give the one that the images are in"),
        ([".", "--out", "x.xlsx"], "--out='x.xlsx' must be a name that ends in .csv"),
        ([".", "--out", "no/x.csv"], "the folder of --out, 'no', is missing"),
        (
            [".", "--characters", "aa"],
            "--characters='aa' must be characters, each once",
        ),
        ([".", "--length", "0"], "--length=0 must be N or N-M, from 1 upwards"),
        ([".", "--length", "5-4"], "must be N or N-M"),
        ([".", "--model", "no.joblib"], "the model 'no.joblib' does not exist"),
        ([".", "--save-model", "x.txt"], "--save-model='x.txt' must be a name that"),
        ([".", "--save-model", "no/x.pkl"], "the folder of --save-model, 'no', is"),
        ([".", "--param", "max_iter=-1"], "max_iter"),
        ([".", "--param", "nonsense=1"], "nonsense"),
        (["empty"], "holds no image that could be labeled"),
    ],
)
def test_what_cannot_be_labeled_is_refused_at_once(
    run, labeled, monkeypatch, served, arguments, reason
):
    monkeypatch.chdir(labeled)
    (labeled / "empty").mkdir()
    code, _, notes = run("label", *arguments)
    assert code == 2 and reason in notes
    assert served == []


def test_a_saved_model_is_continued_unless_it_knows_all_labels(
    run, labeled, model, served, monkeypatch
):
    path = labeled / "saved.joblib"
    path.write_bytes(Path(model).read_bytes())
    arguments = ["label", labeled, "--save-model", path]
    code, _, notes = run(*arguments)
    assert code == 0 and f"Continuing from {path}" in notes
    store = LabelStore(labeled / "labels.csv")
    store.note(saved_from_all=True)
    store.close()
    code, _, notes = run(*arguments)
    assert code == 0 and "knows all labels; rounds begin anew" in notes


@pytest.mark.parametrize("option", ["--port=70000", "--port=x", "--learn-every=-1"])
def test_numbers_that_are_none_are_refused(run, labeled, option, capsys):
    with pytest.raises(SystemExit):
        run("label", labeled, option)
    assert "error: argument" in capsys.readouterr().err


@pytest.mark.parametrize("module", ["flask", "waitress", "filelock"])
def test_without_the_extra_the_error_names_it(run, labeled, monkeypatch, module):
    monkeypatch.setitem(sys.modules, module, None)
    code, _, notes = run("label", labeled)
    assert code == 2 and 'pip install "skcaptcha[label]"' in notes


def test_the_address_is_printed_and_the_end_says_where_the_labels_are(
    run, labeled, served
):
    code, output, notes = run("label", labeled, "--no-browser")
    assert code == 0
    assert "Open http://127.0.0.1" in notes
    assert output == f"40 labels are in {labeled / 'labels.csv'}\n"
    ((session, open_browser),) = served
    assert not open_browser and session.issues is None


def test_a_port_that_is_taken_is_named(run, labeled, monkeypatch):
    import socket

    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        monkeypatch.setattr("skcaptcha.labeling._server._open", lambda url: None)
        code, _, notes = run("label", labeled, "--port", port)
    assert code == 2 and f"--port={port} cannot be used" in notes
    code, _, notes = run("label", labeled, "--port", port, "--out", "x.xlsx")
    assert "another `skcaptcha label`" not in notes  # the table was let go


def test_labels_are_checked_by_a_model(run, labeled, model, served):
    table = labeled / "labels.csv"
    rows = table.read_text().splitlines()
    name, text = rows[1].split(",")
    rows[1] = f"{name},{'0' if text[0] != '0' else '1'}{text[1:]}"
    table.write_text("\n".join(rows))
    code, _, notes = run("check-labels", labeled, "--model", model, "--page")
    assert code == 0 and "of 40 differ from what is read" in notes
    ((session, _),) = served
    wrong = {issue["name"]: issue for issue in session.issues}
    assert wrong[name]["label"] == rows[1].split(",")[1]
    assert table.read_text() == "\n".join(rows)  # nobody has answered yet


def test_labels_in_file_names_get_a_table_with_the_first_answer(
    run, labeled, model, served, monkeypatch
):
    (labeled / "labels.csv").unlink()
    (labeled / "160.png").rename(labeled / "33.png")
    for path in sorted(labeled.glob("1*.png"))[3:]:
        path.unlink()
    code, output, _ = run("check-labels", labeled, "--model", model, "--page")
    assert code == 0
    assert not (labeled / "labels.csv").exists()
    monkeypatch.setattr("skcaptcha.labeling._session.Session.close", keep_one)
    run("check-labels", labeled, "--model", model, "--page")
    content = (labeled / "labels.csv").read_text().splitlines()
    assert len(content) == 1 + 4 and "161.png,161" in content


def keep_one(session):
    """Keep the first doubtful label, as a person would, and end."""
    (issue, *_) = session.next_issues(1)
    given = {"key": issue["key"], "status": "labeled", "text": issue["label"]}
    session.answer("tab", [{**given, "seen": issue["seen"], "checked": True}])
    session.store.close()


def test_a_new_table_is_not_read_as_the_source_was(
    run, labeled, model, served, monkeypatch
):
    table, out = labeled / "labels.csv", labeled / "fixed.csv"
    rows = [row.split(",") for row in table.read_text().splitlines()[1:]]
    for row in rows[:2]:
        row[1] = "3" * len(row[1])
    content = "\n".join(["img;says", *map(";".join, rows)])
    table.write_text(content, encoding="cp1251")
    monkeypatch.setattr("skcaptcha.labeling._session.Session.close", keep_one)
    options = ["--filename-column", "img", "--text-column", "says"]
    options += ["--encoding", "cp1251", "--delimiter", ";", "--out", out]
    for _ in range(2):
        code, output, notes = run(
            "check-labels", table, "--model", model, "--page", *options
        )
        assert code == 0, notes
        assert output == f"40 labels are in {out}\n"
        lines = out.read_text("utf-8").splitlines()
        assert lines[0] == "filename,text" and len(lines) == 41
    assert table.read_text("cp1251") == content


def test_answers_that_are_not_in_the_table_are_said_at_the_end(
    run, labeled, served, monkeypatch
):
    table = labeled / "labels.csv"

    def damage(session):
        item = next(iter(session.catalog.items().values()))
        given = {"key": item.key, "status": "labeled", "text": "2020", "seen": None}
        session.answer("tab", [given])
        table.write_text('filename,text\n000.png,"1\n')
        session.store.close()

    monkeypatch.setattr("skcaptcha.labeling._session.Session.close", damage)
    code, output, notes = run("label", labeled)
    assert code == 2 and output == ""
    assert f"{table} is left as it is: row 2" in notes
    assert "1 answer that it lacks" in notes and "labels.csv.journal" in notes


def test_a_file_that_the_page_has_not_written_is_not_replaced(tmp_path, monkeypatch):
    monkeypatch.setattr(_labeling, "find_saver", lambda path: write)
    path = tmp_path / "model.joblib"
    path.write_text("of somebody else")
    save = _labeling._save_reader
    beside = save("a", path, is_own=False, is_named=False)
    assert beside != path and beside.read_text() == "a"
    assert path.read_text() == "of somebody else"
    assert save("b", beside, is_own=True, is_named=False) == beside
    assert save("c", path, is_own=False, is_named=True) == path
    assert (beside.read_text(), path.read_text()) == ("b", "c")


def write(text, path):
    path.write_text(text)


def test_images_are_shown_on_the_background_that_is_given(run, labeled, served):
    clear = np.zeros((20, 40, 4), np.uint8)
    Image.fromarray(clear).save(labeled / "160.png")
    for words, level in (((), 255), (("--param", "background=black"), 0)):
        assert run("label", labeled, *words)[0] == 0
        catalog = served[-1][0].catalog
        picture = catalog.render(catalog.items()["160.png"])
        assert (np.asarray(Image.open(io.BytesIO(picture))) == level).all()


def test_labels_that_wait_and_rows_without_a_file_are_said_at_the_end(
    run, labeled, served
):
    (labeled / "160.png").unlink()
    code, _, notes = run("label", labeled)
    assert code == 0
    assert "1 row of" in notes and "(160.png): delete them, or train with" in notes
    store = LabelStore(labeled / "labels.csv")
    store.record([("161.png", Answer("labeled", "77"), None)], tab="tab")
    store.close()
    (labeled / "161.png").unlink()
    _, _, notes = run("label", labeled)
    assert "1 label not in the table, as the files are gone (161.png)" in notes


def test_a_reader_that_was_not_saved_is_said_at_the_end(
    run, labeled, served, monkeypatch
):
    def start(session, learner, load):
        learner.was_saving = True

    monkeypatch.setattr("skcaptcha.labeling._session.Session.start", start)
    code, _, notes = run("label", labeled)
    assert code == 1 and "the reader was not saved" in notes


def test_the_form_of_a_table_may_be_told(run, labeled, served):
    rows = (labeled / "labels.csv").read_text().splitlines()[1:]
    table = "\n".join(["picture|shows", *(row.replace(",", "|") for row in rows)])
    (labeled / "labels.csv").write_text(table)
    form = ("--filename-column", "picture", "--text-column", "shows")
    code, output, _ = run("label", labeled, *form, "--delimiter", "|")
    assert code == 0 and output.startswith("40 labels are in")
    assert run("label", labeled)[0] == 2


def test_an_image_with_two_labels_is_named_before_its_page(run, labeled, model, served):
    with (labeled / "labels.csv").open("a") as file:
        file.write("\n160.png,0\n")
    code, _, notes = run("check-labels", labeled, "--model", model, "--page")
    assert code == 2 and "160.png' has the labels '0' and" in notes
    assert served == []


def test_a_zip_file_cannot_be_corrected(run, labeled, model, tmp_path):
    path = tmp_path / "labeled.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in labeled.iterdir():
            archive.write(file, file.name)
    code, _, notes = run("check-labels", path, "--model", model, "--page")
    assert code == 2 and "is a zip file" in notes and "unpack it" in notes


def test_a_model_is_not_trained_by_parameters(run, labeled, model):
    arguments = ["--model", model, "--page", "--param", "max_iter=1"]
    code, _, notes = run("check-labels", labeled, *arguments)
    assert code == 2 and "--param is for fits" in notes


def test_the_table_of_a_source_is_corrected(labeled):
    assert _find_table(labeled) == labeled / "labels.csv"
    assert _find_table(labeled / "labels.csv") == labeled / "labels.csv"
    (labeled / "labels.csv").rename(labeled / "texts.tsv")
    assert _find_table(labeled) == labeled / "texts.tsv"
    (labeled / "texts.tsv").unlink()
    assert _find_table(labeled) == labeled / "labels.csv"
