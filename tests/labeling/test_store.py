"""Answers are on disk before anybody is told so, and none is ever lost."""

import errno
import json
import os
import time

import pytest

from skcaptcha.datasets import load_labels_csv
from skcaptcha.labeling import _journal, _store
from skcaptcha.labeling._events import Answer
from skcaptcha.labeling._store import ConflictError, LabelStore
from skcaptcha.labeling._table import LabelTable


@pytest.fixture
def path(tmp_path):
    return tmp_path / "labels.csv"


@pytest.fixture
def open_store(path):
    """Function that opens the store; what is open is let go, as by a kill."""
    opened = []

    def open_store(**options):
        for store in opened:
            store.close(sync=False)
        opened.append(LabelStore(path, **options))
        return opened[-1]

    yield open_store
    for store in opened:
        store.close(sync=False)


def label(store, name, text, **options):
    return store.record([(name, Answer("labeled", text), None)], **options)


def edit(path, content, seconds=10):
    """Change a file as a person would, some time after all that was done before."""
    path.write_text(content)
    later = time.time() + seconds
    os.utime(path, (later, later))


def patch_writes(monkeypatch, write):
    """Let a function write the table and the journal."""
    for module in (_store, _journal):
        monkeypatch.setattr(module, "write_atomically", write)


def read(path):
    """Return the rows of the table."""
    return path.read_text().splitlines()


def test_an_answer_is_in_the_journal_before_record_returns(
    open_store, path, monkeypatch
):
    store, synced = open_store(), []
    sync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda number: synced.append(sync(number)))
    label(store, "a.png", "2b8")
    assert len(synced) == 1
    last = store.journal_path.read_bytes().splitlines()[-1]
    assert json.loads(last)["after"] == ["labeled", "2b8", False]
    assert not path.exists()  # which is written later


def test_what_was_answered_is_found_again_after_a_kill(open_store, path):
    store = open_store()
    label(store, "a.png", "2b8")
    store.record([("b.png", Answer("unreadable"), None)])
    store.record([("c.png", Answer("skipped"), None)])
    again = open_store()
    assert again.answers() == {
        "a.png": Answer("labeled", "2b8"),
        "b.png": Answer("unreadable"),
        "c.png": Answer("skipped"),
    }
    assert read(path) == ["filename,text", "a.png,2b8"]


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_half_a_line_at_the_end_is_the_answer_that_nobody_was_told_of(open_store, cut):
    store = open_store()
    label(store, "a.png", "2b8")
    whole = store.journal_path.read_bytes()
    label(store, "b.png", "44c")
    data = store.journal_path.read_bytes()
    store.journal_path.write_bytes(data[: len(whole) + cut])
    again = open_store()
    assert again.answers() == {"a.png": Answer("labeled", "2b8")}
    label(again, "c.png", "9x")
    assert set(open_store().answers()) == {"a.png", "c.png"}


def test_half_a_line_does_not_damage_what_comes_after_it(open_store, path, monkeypatch):
    store = open_store()
    label(store, "a.png", "1")
    with open(store.journal_path, "ab") as file:
        file.write(b'{"seq": 2, "na')
    edit(path, "filename,text\nb.png,2\nc.png,3\n")  # taken over at the start

    def kill(path, content):
        raise KeyboardInterrupt

    patch_writes(monkeypatch, kill)
    with pytest.raises(KeyboardInterrupt):
        open_store()
    monkeypatch.undo()
    assert sorted(open_store().answers()) == ["a.png", "b.png", "c.png"]


def test_zeros_that_a_loss_of_power_leaves_are_dropped(open_store):
    store = open_store()
    label(store, "a.png", "2b8")
    with open(store.journal_path, "ab") as file:
        file.write(bytes(100))
    assert list(open_store().answers()) == ["a.png"]


def test_a_damaged_line_before_others_is_named(open_store):
    store = open_store()
    for name in "abc":
        label(store, name, "1")
    lines = store.journal_path.read_bytes().splitlines(keepends=True)
    lines[2] = b"#" + lines[2]
    store.journal_path.write_bytes(b"".join(lines))
    with pytest.raises(ValueError, match=r"line 3 of '.*journal' is damaged .*delete"):
        open_store()


def test_the_damaged_first_line_is_not_said_to_be_one_answer(open_store):
    store = open_store()
    label(store, "a", "1")
    data = store.journal_path.read_bytes()
    store.journal_path.write_bytes(b"#" + data)
    with pytest.raises(ValueError, match="line 1 of .* Restore the journal from a"):
        open_store()
    newer = data.replace(b'"skcaptcha_labels": 1', b'"skcaptcha_labels": 2')
    store.journal_path.write_bytes(newer)
    with pytest.raises(ValueError, match="is of format 2, .*; upgrade skcaptcha"):
        open_store()
    assert store.journal_path.read_bytes() == newer


def test_a_file_that_is_no_journal_is_left_alone(open_store, path):
    journal = path.with_name("labels.csv.journal")
    journal.write_text("dear diary\n")
    with pytest.raises(ValueError, match="is no journal of `skcaptcha label`; move"):
        open_store()
    assert journal.read_text() == "dear diary\n"


@pytest.mark.parametrize("moment", ["table", "journal"])
def test_a_kill_while_the_table_is_written_loses_nothing(
    open_store, path, monkeypatch, moment
):
    store = open_store()
    label(store, "a.png", "1")
    store.sync()
    label(store, "a.png", "2")
    label(store, "b.png", "3")
    store.record([("c.png", Answer("unreadable"), None)])
    write, written = _store.write_atomically, []

    def write_until(path, content):
        if moment == "table" or written:
            raise KeyboardInterrupt  # nothing after it is done
        written.append(write(path, content))

    patch_writes(monkeypatch, write_until)
    with pytest.raises(KeyboardInterrupt):
        store.sync()
    monkeypatch.undo()
    again = open_store()
    assert read(path) == ["filename,text", "a.png,2", "b.png,3"]
    assert again.get("c.png")[0] == Answer("unreadable")
    assert len(again.history()) == 4


def test_a_full_disk_refuses_the_answer_and_keeps_the_others(open_store, monkeypatch):
    store = open_store()
    label(store, "a.png", "1")
    before = store.journal_path.read_bytes()

    def fail(number):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match=r"No space left on device: '.*labels.csv'"):
        label(store, "b.png", "2")
    monkeypatch.undo()
    assert store.journal_path.read_bytes() == before
    assert list(store.answers()) == ["a.png"]
    label(store, "c.png", "3")
    assert list(open_store().answers()) == ["a.png", "c.png"]


def test_the_table_cannot_be_written_and_the_answers_wait(
    open_store, path, monkeypatch
):
    store = open_store()
    label(store, "a.png", "1")

    def fail(path, content):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    patch_writes(monkeypatch, fail)
    store.sync()
    assert "Permission denied" in store.trouble
    monkeypatch.undo()
    store.sync()
    assert store.trouble is None
    assert read(path) == ["filename,text", "a.png,1"]


def test_the_table_is_one_that_train_reads(open_store, path, tmp_path):
    names = ["a.png", "with, comma.png", 'with "quotes".png', "sub dir/ü.png", "0.png"]
    (tmp_path / "sub dir").mkdir()
    for name in names:
        (tmp_path / name).touch()
    store = open_store()
    texts = ["0042", 'a"b', "x,y", "Жщ", "=1+1"]
    for name, text in zip(names, texts, strict=True):
        label(store, name, text)
    store.sync()
    paths, read = load_labels_csv(path)
    assert [os.path.relpath(p, tmp_path) for p in paths] == names
    assert read == texts


# A person edits the table.


def test_what_a_person_changes_adds_and_deletes_is_taken_over(open_store, path):
    store = open_store()
    for name in ("a.png", "b.png", "c.png"):
        label(store, name, "1")
    store.sync()
    label(store, "d.png", "4")  # waits in the journal
    edit(path, "filename,text\na.png,2\nc.png,1\ne.png,5\n")
    changed = store.sync(settled=True)
    assert sorted(changed) == ["a.png", "b.png", "e.png"]
    assert {k: a.text for k, a in store.answers().items()} == {
        "a.png": "2",
        "c.png": "1",
        "d.png": "4",
        "e.png": "5",
    }
    assert read(path) == [
        "filename,text",
        "a.png,2",
        "c.png,1",
        "e.png,5",
        "d.png,4",
    ]


def test_what_a_person_changed_while_nothing_ran_is_taken_over(open_store, path):
    store = open_store()
    label(store, "a.png", "1")
    store.close()
    edit(path, "filename,text\na.png,2\nb.png,3\n")
    assert {k: a.text for k, a in open_store().answers().items()} == {
        "a.png": "2",
        "b.png": "3",
    }


def test_of_two_changes_of_one_label_the_later_one_stands(open_store, path):
    store = open_store()
    label(store, "early.png", "1")
    label(store, "late.png", "1")
    store.sync()
    label(store, "early.png", "2")
    label(store, "late.png", "2")
    edit(path, "filename,text\nearly.png,3\nlate.png,3\n", seconds=10)
    store._times["late.png"] = time.time() + 20
    store.sync(settled=True)
    assert read(path)[1:] == ["early.png,3", "late.png,2"]


def label_and_sync(store, texts):
    for name, text in texts.items():
        label(store, name, text, tab="tab")
    store.sync()


def test_a_copy_that_was_opened_before_the_last_answers_deletes_none(open_store, path):
    path.write_text("filename,text\nown.png,0\n")
    store = open_store()
    label_and_sync(store, {"a.png": "1", "b.png": "1"})
    opened = path.read_text()
    label_and_sync(store, {"c.png": "3", "b.png": "2", "d.png": "4"})
    edit(path, opened.replace("own.png,0", "own.png,9"))
    assert store.sync(settled=True) == ["own.png"]
    expected = ["own.png,9", "a.png,1", "b.png,2", "c.png,3", "d.png,4"]
    assert read(path)[1:] == expected
    assert "saved without the last 2 labels" in store.notice
    # The editor, which still has the old text, saves once more.
    edit(path, opened.replace("own.png,0", "own.png,8"), seconds=20)
    store.sync(settled=True)
    assert read(path)[1:] == ["own.png,8", *expected[1:]]
    assert {k: a.text for k, a in open_store().answers().items()} == {
        "own.png": "8", "a.png": "1", "b.png": "2", "c.png": "3", "d.png": "4",
    }  # fmt: skip


def test_a_row_of_the_middle_that_is_deleted_stays_deleted(open_store, path):
    store = open_store()
    label_and_sync(store, {"a.png": "1", "b.png": "2", "c.png": "3"})
    edit(path, "filename,text\nb.png,2\nc.png,3\n")
    assert store.sync(settled=True) == ["a.png"]
    assert "a.png" not in store.answers() and store.notice is None


def test_columns_order_and_delimiter_of_a_person_stay(open_store, path):
    path.write_bytes(
        b"\xef\xbb\xbfid;image;source;label\r\n7;a.png;x;1\r\n8;b.png;y;2\r\n"
    )
    store = open_store()
    label(store, "b.png", "3")
    label(store, "c.png", "4")
    store.sync()
    assert path.read_bytes().decode() == (
        "\ufeffid;image;source;label\n7;a.png;x;1\n8;b.png;y;3\n;c.png;;4\n"
    )


def test_a_table_that_is_damaged_meanwhile_is_not_touched(open_store, path):
    store = open_store()
    label(store, "a.png", "1")
    store.sync()
    label(store, "b.png", "2")
    damaged = 'filename,text\na.png,"1\n'
    edit(path, damaged)
    store.sync(settled=True)
    assert "row 2" in store.trouble and "broken" in store.trouble
    assert path.read_text() == damaged
    assert list(store.answers()) == ["a.png", "b.png"]
    edit(path, "filename,text\na.png,1\n", seconds=20)
    store.sync(settled=True)
    assert store.trouble is None
    assert read(path)[1:] == ["a.png,1", "b.png,2"]


def test_a_table_that_is_being_saved_is_waited_for(open_store, path):
    store = open_store()
    label(store, "a.png", "1")
    label(store, "b.png", "1")
    store.sync()
    path.write_text("filename,text\na.png,1\n")  # half of it
    assert store.sync() == []
    path.write_text("filename,text\na.png,1\nb.png,2\n")
    os.utime(path, (time.time() - 5, time.time() - 5))
    store.sync()
    assert store.get("b.png")[0].text == "2"


@pytest.mark.parametrize("content", [None, "", "filename,text\n"])
def test_a_table_that_is_deleted_or_emptied_comes_back(open_store, path, content):
    store = open_store()
    label(store, "a.png", "1")
    store.sync()
    path.unlink() if content is None else edit(path, content)
    store.sync(settled=True)
    assert read(path) == ["filename,text", "a.png,1"]


def test_labels_that_were_there_before_are_answers(open_store, path):
    path.write_text("filename,text\na.png,1\n")
    store = open_store()
    assert store.get("a.png")[0] == Answer("labeled", "1")
    store.close()
    assert path.read_text() == "filename,text\na.png,1\n"


def test_names_that_a_person_spells_otherwise_are_the_same_image(open_store, path):
    path.write_text("filename,text\nsub\\a,1\n")
    spelled = {"sub\\a": "sub/a.png"}
    store = open_store(canonical=lambda name: spelled.get(name, name))
    assert store.get("sub/a.png")[0].text == "1"
    label(store, "sub/a.png", "2")
    store.sync()
    assert read(path) == ["filename,text", "sub\\a,2"]


def test_a_label_that_is_taken_back_goes_from_each_row_of_its_image(open_store, path):
    path.write_text("filename,text\na.png,1\n./a.png,2\nb.png,3\n")
    store = open_store(canonical=lambda name: name.removeprefix("./"))
    label(store, "a.png", "7")
    store.sync()
    assert read(path)[1:] == ["a.png,7", "./a.png,7", "b.png,3"]
    store.record([("a.png", Answer(), None)], tab="tab")
    store.sync()
    assert read(path)[1:] == ["b.png,3"]
    store.sync(settled=True)
    assert store.get("a.png")[0].status is None


@pytest.mark.parametrize("spelled", ["a.png", "./a.png"])
def test_other_columns_come_back_with_a_label_that_was_taken_back(
    open_store, path, spelled
):
    path.write_text(f"filename,text,camera\n{spelled},1,north\nb.png,2,south\n")
    canonical = {"canonical": lambda name: name.removeprefix("./")}
    store = open_store(**canonical)
    store.record([("a.png", Answer("unreadable"), None)], tab="tab")
    store.sync()
    assert read(path)[1:] == ["b.png,2,south"]
    again = open_store(**canonical)
    again.undo("tab")
    again.sync()
    assert read(path)[1:] == ["b.png,2,south", "a.png,1,north"]


def test_a_new_table_has_the_form_that_the_old_one_was_said_to_have(open_store, path):
    form = {"names": ("img", "says"), "delimiter": ";", "encoding": "cp1251"}
    data = "img;says\na.png;да\n".encode("cp1251")
    path.write_bytes(data)
    store = open_store(**form)
    path.unlink()
    label_and_sync(store, {"b.png": "нет"})
    label_and_sync(store, {"c.png": "дом"})
    assert path.read_bytes() == data + "b.png;нет\nc.png;дом\n".encode("cp1251")
    assert open_store(**form).get("b.png")[0].text == "нет"


def test_no_text_is_an_answer_in_a_table_of_predict_as_well(open_store, path):
    path.write_text("filename,text,confidence,error\na.png,12,0.9,\nc.png,,0.1,\n")
    store = open_store()
    assert "c.png" not in store.answers()  # nothing was read
    label_and_sync(store, {"c.png": ""})
    assert read(path)[1:] == ["a.png,12,0.9,", "c.png,,,"]
    assert open_store().get("c.png")[0] == Answer("labeled", "")
    for name in ("a.png", "c.png"):
        (path.parent / name).touch()
    with pytest.warns(UserWarning, match="1 of 2 labels are empty"):
        assert load_labels_csv(path)[1] == ["12", ""]


# Labels that are known without a table.


def test_labels_of_a_start_that_nobody_answered_upon_are_taken_anew(open_store, path):
    open_store(start={"a.png": "11", "b.png": "22", "gone.png": "33"})
    assert not path.exists()
    store = open_store(start={"a.png": "99", "b.png": "22"})
    label_and_sync(store, {"b.png": "44"})
    assert read(path)[1:] == ["a.png,99", "b.png,44"]


def test_a_table_that_nobody_answered_for_comes_back_too(open_store, path):
    path.write_text("filename,text\na.png,1\n")
    store = open_store()
    path.unlink()
    store.sync()
    assert read(path) == ["filename,text", "a.png,1"]


def test_zeros_that_a_spreadsheet_has_dropped_are_put_back(open_store, path):
    store = open_store()
    for k in range(5):
        label(store, f"{k}.png", f"00{k}7")
    label(store, "x.png", "52")
    store.sync()
    edit(path, read_all := path.read_text().replace(",00", ","))
    assert ",07" in read_all
    assert store.sync(settled=True) == []
    assert "5 labels of labels.csv became numbers" in store.notice
    assert "(0007 of 0.png became 07)" in store.notice
    assert read(path)[1:3] == ["0.png,0007", "1.png,0017"]
    # A person may drop the zeros of some, and another number.
    edit(path, path.read_text().replace(",0007", ",7").replace(",52", ",53"), 20)
    assert sorted(store.sync(settled=True)) == ["0.png", "x.png"]
    assert store.notice is None and store.get("0.png")[0].text == "7"


def test_labels_that_are_not_allowed_are_not_taken_over(open_store, path):
    def check(text):
        if not text.isdecimal():
            raise ValueError(f"{text!r} is no number")

    path.write_text("filename,text\na.png,1\nb.png,x\n")
    store = open_store(check=check)
    assert store.answers().keys() == {"a.png"}
    assert "1 label of labels.csv not allowed here" in store.notice
    assert "b.png: 'x' is no number" in store.notice
    edit(path, "filename,text\na.png,y\nb.png,x\n")
    assert store.sync(settled=True) == []
    assert store.get("a.png")[0].text == "1" and "2 labels" in store.notice
    assert read(path)[1:] == ["a.png,1", "b.png,x"]
    assert open_store().get("b.png")[0].text == "x"  # without that rule


def test_a_cell_that_is_not_filled_in_is_no_answer(open_store, path):
    path.write_text("filename,text\na.png,1\nb.png,\n")
    store = open_store()
    assert store.answers().keys() == {"a.png"}
    label(store, "b.png", "")
    store.sync()
    again = open_store()
    assert again.get("b.png")[0] == Answer("labeled", "")
    assert read(path)[1:] == ["a.png,1", "b.png,"]


# Files vanish.


def test_the_label_of_a_vanished_file_waits_until_it_is_back(open_store, path):
    there = {"a.png", "b.png"}
    store = open_store(is_there=there.__contains__)
    label(store, "a.png", "1")
    label(store, "b.png", "2")
    store.sync()
    there.remove("b.png")
    label(store, "a.png", "3")
    store.sync()
    assert read(path) == ["filename,text", "a.png,3"]
    assert (store.waiting, store.orphans) == (["b.png"], [])
    again = open_store(is_there=there.__contains__)
    assert again.get("b.png")[0].text == "2"
    there.add("b.png")
    label(again, "a.png", "4")
    again.sync()
    assert read(path) == ["filename,text", "a.png,4", "b.png,2"]


@pytest.mark.parametrize("there", [set(), {"a.png"}])
def test_rows_of_other_folders_and_a_missing_drive_stay(open_store, path, there):
    path.write_text("filename,text\nelsewhere/x.png,7\n")
    store = open_store(is_there=there.__contains__)
    label(store, "a.png", "1")
    store.sync()
    assert read(path)[1:] == ["elsewhere/x.png,7", "a.png,1"]


# Undo, and two tabs.


def test_undo_goes_back_batch_by_batch_of_one_tab(open_store):
    store = open_store()
    label(store, "a.png", "1", tab="x")
    label(store, "b.png", "2", tab="y")
    store.record(
        [(n, Answer("labeled", "3"), None) for n in ("c.png", "d.png")], tab="x"
    )
    assert [e.name for e in store.undo("x")] == ["c.png", "d.png"]
    assert [e.name for e in store.undo("x")] == ["a.png"]
    assert store.undo("x") == []
    assert list(store.answers()) == ["b.png"]


def test_undo_brings_back_the_text_before_also_after_a_restart(open_store, path):
    store = open_store()
    label(store, "a.png", "1", tab="x")
    label(store, "a.png", "2", tab="x")
    store.close()
    again = open_store()
    again.undo("x")
    again.sync()
    assert read(path)[1:] == ["a.png,1"]
    again.undo("x")
    again.sync()
    assert read(path) == ["filename,text"]


def test_undo_leaves_alone_what_was_changed_since(open_store):
    store = open_store()
    label(store, "a.png", "1", tab="x")
    label(store, "b.png", "1", tab="x")
    label(store, "b.png", "2", tab="y")
    assert [e.name for e in store.undo("x")] == ["a.png"]
    assert store.get("b.png")[0].text == "2"


def test_an_answer_upon_an_old_one_is_a_conflict_unless_it_says_the_same(open_store):
    store = open_store()
    label(store, "a.png", "1")
    with pytest.raises(ConflictError, match="changed meanwhile: a.png"):
        store.record(
            [
                ("b.png", Answer("labeled", "2"), 0),
                ("a.png", Answer("labeled", "2"), 0),
            ]
        )
    assert list(store.answers()) == ["a.png"]  # none of them is saved
    assert store.record([("a.png", Answer("labeled", "1"), 0)]) == []
    _, seen = store.get("a.png")
    store.record([("a.png", Answer("labeled", "2"), seen)])
    assert store.get("a.png")[0].text == "2"


def test_a_second_process_is_refused(open_store, path):
    store = open_store()
    with pytest.raises(ValueError, match="being labeled by another `skcaptcha label`"):
        LabelStore(path)
    store.close()
    LabelStore(path).close()


def test_the_journal_does_not_grow_without_end(open_store, monkeypatch):
    monkeypatch.setattr(_store, "_MAX_KEPT", 10)
    store = open_store()
    for i in range(100):
        label(store, f"{i % 3}.png", str(i), tab="x")
    store.sync()
    assert len(store.journal_path.read_bytes().splitlines()) == 1
    assert len(open_store().history()) == 10


def test_rounds_and_notes_are_kept(open_store):
    store = open_store()
    store.note(seed=7)
    store.add_round({"n_labels": 25})
    again = open_store()
    assert again.noted("seed") == 7
    assert again.rounds == [{"n_labels": 25}]


# The table by itself.


@pytest.mark.parametrize(
    "data, expected",
    [
        ("a.png,1\nb.png,2\n", "a.png,9\nb.png,2\nc.png,3\n"),
        ("a.png\t1\nb.png\t2\n", "a.png\t9\nb.png\t2\nc.png\t3\n"),
        ("text,path\n1,a.png\n", "text,path\n9,a.png\n3,c.png\n"),
        ("", "filename,text\na.png,9\nc.png,3\n"),
        (
            "file,text,confidence,error\na.png,,,broken\nd.png,,,broken\n",
            "file,text,confidence,error\na.png,9,,\nd.png,,,broken\nc.png,3,,\n",
        ),
    ],
)
def test_a_table_keeps_its_form(data, expected):
    table = LabelTable.parse(data.encode(), "labels.csv")
    table.update({"a.png": "9", "c.png": "3", "zz.png": None})
    assert table.encode().decode() == expected


def test_a_table_keeps_the_encoding_that_the_user_names():
    data = "datei;wert\na.png;ß\n".encode("cp1252")
    table = LabelTable.parse(data, "x.csv", ("datei", "wert"), None, "cp1252")
    assert table.labels() == {"a.png": "ß"}
    table.update({"a.png": "ä"})
    assert table.encode() == "datei;wert\na.png;ä\n".encode("cp1252")


def test_a_row_without_a_name_is_refused_by_its_number():
    with pytest.raises(ValueError, match="row 3 of 'x.csv' has no file name"):
        LabelTable.parse(b"filename,text\na.png,1\n,2\n", "x.csv")
