"""When it learns, from what, and what comes of it."""

import copy
import multiprocessing
import os
import signal
import time
import types
import warnings
from functools import partial
from pathlib import Path

import joblib
import numpy as np
import pytest
from PIL import Image
from support.data import TINY
from support.labeling import Command

from skcaptcha import CaptchaRecognizer
from skcaptcha._joint_reader import AlphabetReader
from skcaptcha.labeling import _processes, _workers
from skcaptcha.labeling._catalog import is_held_out
from skcaptcha.labeling._events import Answer
from skcaptcha.labeling._learner import Learner
from skcaptcha.labeling._rules import BadAnswerError, Rules
from skcaptcha.labeling._server import open_folder
from skcaptcha.vocabulary import Vocabulary


class FakeLearning:
    """Takes jobs, and ends each when the test says so."""

    def __init__(self, done):
        self.done, self.job, self.jobs = done, None, []

    def new_path(self):
        return f"{len(self.jobs)}.joblib"

    def start(self, job):
        assert self.job is None
        self.job = job
        self.jobs.append(job)

    def finish(self, **answer):
        job = self.job
        usual = {
            "error": None,
            "is_better": True,
            "before": {},
            "n_train": len(job.train),
        }
        self.done(job, {**job.facts, **usual, **answer})

    def stop(self):
        self.job = None


class FakeReading:
    def __init__(self):
        self.models, self.trouble, self.is_ready = [], None, True
        self.wanted = []

    def use(self, path, number):
        self.models.append((path, number))

    def want(self, view, items):
        self.wanted.append([name for name, _ in items])


def start():
    """Return the recognizer to go on from; never called by these tests."""


def save(recognizer, path, *, is_own):
    """Return where a recognizer would be saved, and whether the page wrote that."""
    return f"{path} {is_own}"


@pytest.fixture
def make_session(folder, monkeypatch):
    """Function that returns a session with a learner whose process is a fake."""
    monkeypatch.setattr(_workers, "Learning", FakeLearning)
    opened = []

    def make_session(characters=None, **options):
        session = open_folder(folder, folder / "labels.csv", Rules(characters))
        opened.append(session)
        learner = Learner(
            CaptchaRecognizer(), start, folder / "model.joblib", save, **options
        )
        session.learner, session.reading = learner, FakeReading()
        learner.attach(session)
        return session, learner._learning

    yield make_session
    for session in opened:
        session.store.close(sync=False)


def label(session, first, last, text="12"):
    for i in range(first, last):
        session.answer("tab", [answer(session, f"{i:02}.png", text)])


def answer(session, name, text="12"):
    key = session.catalog.items()[name].key
    seen = session.store.get(name)[1]
    return {"key": key, "status": "labeled", "text": text, "seen": seen}


def names(pairs):
    return {Path(path).name for path, _ in pairs}


def test_it_learns_each_time_that_enough_labels_have_come(make_session):
    session, learning = make_session(every=15)
    label(session, 0, 14)
    assert learning.jobs == []
    label(session, 14, 15)
    assert len(learning.jobs) == 1
    label(session, 15, 32)  # while it learns
    assert len(learning.jobs) == 1
    learning.finish()
    assert len(learning.jobs) == 2  # at once, as these are enough again
    assert len(learning.job.train) + len(learning.job.test) == 32


def test_what_tests_the_reader_is_never_learned_from(make_session):
    session, learning = make_session(every=40)
    label(session, 0, 40)
    job, seed = learning.job, session.store.noted("seed")
    assert not names(job.train) & names(job.test)
    assert names(job.test) == {f"{i:02}.png" for i in range(40)} & {
        name for name in session.catalog.items() if is_held_out(name, seed)
    }
    assert {text for _, text in job.train} == {"12"}


def test_unreadable_skipped_and_vanished_images_are_not_learned_from(
    make_session, folder
):
    session, learning = make_session(every=20)
    session.store.record([("00.png", Answer("unreadable"), None)])
    session.store.record([("01.png", Answer("skipped"), None)])
    label(session, 2, 21)
    (folder / "02.png").unlink()
    session.catalog.scan()
    label(session, 21, 23)
    assert len(learning.job.train + learning.job.test) == 20
    assert not {"00.png", "01.png", "02.png"} & names(
        learning.job.train + learning.job.test
    )


def test_a_better_reader_proposes_from_then_on_and_is_gone_on_from(make_session):
    session, learning = make_session(every=15)
    label(session, 0, 15)
    assert learning.job.start is None and learning.job.before is start
    learning.finish(score=0.9, low=0.5, high=1.0, n_tested=4)
    assert session.reading.models == [("0.joblib", 1)]
    label(session, 15, 30)
    assert learning.job.start.args == learning.job.before.args == ("0.joblib",)


def test_a_reader_that_is_no_better_is_not_used_nor_gone_on_from(make_session):
    session, learning = make_session(every=12, start=start)
    label(session, 0, 12)
    assert learning.job.start is start
    learning.finish(is_better=False)
    assert session.reading.models == []
    label(session, 12, 24)
    assert learning.job.start is start and learning.job.before is start
    learning.finish()  # better
    label(session, 24, 36)
    assert learning.job.start.args == ("1.joblib",)
    learning.finish(is_better=False)
    session.learner.save()
    assert learning.job.start is start  # a whole fit, from where it began


def test_what_is_read_surely_is_learned_from_at_last_alone(make_session):
    session, learning = make_session(every=10)
    propose(session, dict.fromkeys(session.catalog.items(), ("12", 0.95)))
    label(session, 0, 12)
    assert learning.job.sure == []
    learning.finish(is_better=True)
    session.learner.save()
    assert learning.job.is_final
    assert {text for _, text in learning.job.sure} == {"12"}
    n_items, n_labels = len(session.catalog.items()), len(learning.job.train)
    assert len(learning.job.sure) == n_items - n_labels  # those held out as well


@pytest.mark.parametrize(("n_right", "is_worse"), [(9, False), (8, True)])
def test_one_image_less_of_those_held_out_is_chance(n_right, is_worse):
    before, after = _processes.estimate(10, 12), _processes.estimate(n_right, 12)
    assert _processes._is_worse(before, after) is is_worse
    assert not _processes._is_worse({}, {})


def test_what_fails_on_the_way_on_is_learned_anew(make_session):
    session, learning = make_session(every=15, start=start)
    label(session, 0, 15)
    learning.finish(error="ValueError: Labels need more time steps")
    assert len(learning.jobs) == 2 and learning.job.start is None
    learning.finish(error="MemoryError: none is left")
    assert len(learning.jobs) == 2  # until there are more labels
    assert "MemoryError" in session.progress()["learning"]


def test_the_first_estimate_is_of_the_reader_that_it_began_with(make_session):
    session, learning = make_session(every=15)
    label(session, 0, 15)
    tested = {"low": 0.3, "high": 0.9, "n_tested": 4}
    learning.finish(score=1.0, before={"score": 0.5, **tested}, **tested)
    rounds = session.store.rounds
    assert [(r["n_labels"], r["score"]) for r in rounds] == [(0, 0.5), (15, 1.0)]
    assert session.progress()["advice"]["now"].startswith("It reads 100 %")


def test_the_saved_reader_learns_from_all_labels(make_session, folder):
    session, learning = make_session(every=0)
    propose(session, dict.fromkeys(session.catalog.items(), ("12", 0.95)))
    label(session, 0, 30)
    assert learning.jobs == [] and session.progress()["next_round_in"] is None
    session.learner.save()
    assert len(learning.job.train) == 30 and learning.job.test == []
    assert names(learning.job.sure) == {f"{i:02}.png" for i in range(30, 40)}
    assert learning.job.start is None
    assert learning.job.save(None) == f"{folder / 'model.joblib'} False"
    assert session.progress()["is_saving"]
    taken = str(folder / "model-2.joblib")  # somebody wrote the other one meanwhile
    learning.finish(saved=taken)
    assert session.progress()["saved"] == taken
    assert session.store.noted("saved_from_all")
    assert session.store.rounds == []  # which was tested on nothing
    session.learner.save()
    assert learning.job.save(None) == f"{taken} True"


def test_a_reader_that_has_not_learned_is_said_not_to_be_saved(make_session):
    session, learning = make_session(every=0)
    label(session, 0, 30)
    session.learner.save()
    learning.finish(error="Nothing was saved. The network has not learned to read")
    progress = session.progress()
    assert progress["saved"] is None and not progress["is_saving"]
    assert progress["learning"].startswith("Nothing was saved.")
    assert session.store.noted("saved_from_all") is None


def test_the_reader_is_saved_after_the_round_that_runs(make_session):
    session, learning = make_session(every=15)
    label(session, 0, 15)
    session.learner.save()
    assert not learning.job.is_final
    learning.finish()
    assert learning.job.is_final


def test_a_process_that_cannot_be_started_is_said_and_the_answer_saved(
    make_session, monkeypatch
):
    session, learning = make_session(every=15)

    def fail(job):
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr(learning, "start", fail)
    label(session, 0, 15)
    assert len(session.store.answers()) == 15
    assert "Cannot allocate memory" in session.progress()["learning"]


def test_a_round_that_could_not_begin_does_not_keep_the_next_one_from_it(monkeypatch):
    def fail(process):
        raise OSError(12, "Cannot allocate memory")

    learning = _workers.Learning(done=None)
    process = multiprocessing.get_context("spawn").Process
    monkeypatch.setattr(process, "start", fail)
    for _ in range(2):
        with pytest.raises(OSError, match="Cannot allocate memory"):
            learning.start(job=object())
        assert learning.job is None
    learning.stop()


def test_a_reader_of_a_few_labels_is_not_saved(make_session):
    session, learning = make_session()
    label(session, 0, 3)
    with pytest.raises(BadAnswerError, match="3 labels are too few to learn from"):
        session.learner.save()


def test_labels_that_are_there_at_the_start_are_learned_from_at_once(
    make_session, folder
):
    rows = "".join(f"{i:02}.png,12\n" for i in range(30))
    (folder / "labels.csv").write_text(f"filename,text\n{rows}")
    _, learning = make_session(every=15)
    assert len(learning.jobs) == 1


def propose(session, texts, number=0):
    for name, (text, confidence) in texts.items():
        found = {"name": name, "error": None, "text": text, "confidence": confidence}
        session._take_reading({**found, "characters": [], "measures": [0.0]}, number)


def test_a_new_network_can_read_what_labels_and_texts_in_common_have(make_session):
    session, _ = make_session(every=99)
    label(session, 0, 1, text="ab")
    texts = ["cd", "cd", "cd", "dc", "dc", "dc", "ca", "db", "ce"]
    proposed = {f"{i + 1:02}.png": (text, 0.99) for i, text in enumerate(texts)}
    propose(session, proposed | {"20.png": ("e", 0.001)})
    assert session.list_characters() == "abcde"
    propose(session, {"09.png": ("ce", 0.001)})
    assert session.list_characters() == "abcd"


def test_what_is_read_surely_is_learned_from(make_session):
    session, learning = make_session(every=99)
    label(session, 0, 5, text="ab")
    session.answer("tab", [{**answer(session, "05.png"), "status": "unreadable"}])
    texts = dict.fromkeys(session.catalog.items(), ("ab", 0.8))
    texts |= {"06.png": ("ab", 0.7), "07.png": ("AB", 0.8), "08.png": ("ax", 0.8)}
    propose(session, texts)
    sure = session.list_sure()
    assert {text for _, text in sure} == {"ab"}  # in the case of the labels
    assert names(sure) == {f"{i:02}.png" for i in [7, *range(9, 40)]}
    propose(session, {"09.png": ("ab", 0.94)}, number=1)
    assert "09.png" not in names(session.list_sure())


def test_scripts_that_look_alike_are_named_unless_the_user_chose(make_session):
    mixed = {"01.png": ("ab1", 0.1), "02.png": ("аб1", 0.1), "03.png": ("12", 0.1)}
    session, _ = make_session(every=99)
    propose(session, {"03.png": ("ab1", 0.1)})
    assert session.progress()["scripts"] == ["Latin"]
    propose(session, mixed)
    assert session.progress()["scripts"] == ["Cyrillic", "Latin"]


def test_the_characters_of_the_user_are_the_vocabulary(make_session):
    session, _ = make_session(characters="0123")
    propose(session, {"01.png": ("ab1", 0.1), "02.png": ("аб1", 0.1)})
    assert session.list_characters() == "0123"
    assert session.progress()["scripts"] == []


# What the processes do.


def make_job(pairs, tmp_path, **options):
    recognizer = CaptchaRecognizer(**TINY, max_iter=2)
    usual = {"test": [], "sure": [], "before": start}
    usual["out"] = str(tmp_path / "out.joblib")
    return _processes.Job(recognizer, pairs, **{**usual, **options})


@pytest.fixture
def pairs(png_folder, captchas):
    return [(str(png_folder / f"{i}.png"), captchas[1][i]) for i in range(200)]


@pytest.mark.filterwarnings("ignore:The network has not learned to read")
def test_a_round_goes_on_from_the_last_with_new_characters(pairs, tmp_path, fitted):
    path = tmp_path / "last.joblib"
    joblib.dump(fitted, path)
    new = [*pairs[:20], (pairs[20][0], "9")]
    job = make_job(new, tmp_path, start=partial(joblib.load, path))
    found = _processes._fit(job)
    assert set(found.vocabulary_) == set("01239")
    assert found.n_iter_ == fitted.n_iter_ + 2
    assert not found.warm_start and found.max_iter == 2
    anew = _processes._fit(make_job(new, tmp_path, vocabulary="01239x"))
    assert set(anew.vocabulary_) == set("01239x") and anew.n_iter_ == 2


@pytest.mark.parametrize("has_learned", [True, False])
def test_only_a_reader_that_has_learned_is_saved(
    pairs, tmp_path, monkeypatch, fitted, has_learned
):
    reader = copy.deepcopy(fitted)
    reader.converged_ = has_learned

    def fit(job):
        warnings.warn("some note", UserWarning, stacklevel=1)
        return reader

    answers, saved = [], []
    monkeypatch.setattr(_processes, "_prepare", lambda n_threads: None)
    monkeypatch.setattr(_processes, "_fit", fit)
    connection = types.SimpleNamespace(send=answers.append)
    job = make_job(pairs[:20], tmp_path, is_final=True, save=saved.append)
    _processes.learn(connection, job)
    (answer,) = answers
    assert saved == ([reader] if has_learned else [])
    assert answer["error"] == (None if has_learned else "Nothing was saved. some note")
    assert Path(job.out).exists() == has_learned


def test_a_fit_learns_from_what_was_read_surely_as_well(pairs, tmp_path):
    job = make_job(pairs[:20], tmp_path, sure=pairs[20:30])
    seen = []
    job.recognizer.fit = lambda X, y: seen.append((X, y))
    _processes._fit(job)
    assert seen == [tuple(map(list, zip(*pairs[:30], strict=True)))]


def test_a_round_is_as_long_as_a_person_waits(pairs, tmp_path):
    job = make_job(pairs[:20], tmp_path)
    job.recognizer.set_params(max_iter="auto")
    seen = []
    job.recognizer.fit = lambda X, y: seen.append(job.recognizer.max_iter)
    found = _processes._fit(job)
    assert seen == [_processes.FIRST_UPDATES // 3]
    assert found.max_iter == "auto"
    job.recognizer.set_params(max_iter="auto", batch_size=10)
    _processes._fit(job)
    assert seen[1:] == [_processes.FIRST_UPDATES // 2]  # as many updates


def test_held_out_images_are_read_as_the_page_reads_them(pairs, tmp_path, fitted):
    texts = [text for _, text in pairs[160:]]
    expected = fitted.score([path for path, _ in pairs[160:]], texts)
    job = make_job([], tmp_path, test=pairs[160:])
    found = _processes._test(fitted, job)
    assert found["score"] == pytest.approx(expected) and found["n_tested"] == 40
    assert found["low"] < found["score"] <= found["high"]
    job.characters = "0"
    assert _processes._test(fitted, job)["score"] < expected


def test_an_image_is_read_with_a_confidence_for_each_character(pairs, fitted):
    path, _ = pairs[170]
    found = _processes._read(fitted, "a.png", path, None, None)
    (text,), (confidence,) = fitted.predict([path], return_confidence=True)
    assert found["text"] == text and found["confidence"] == pytest.approx(confidence)
    assert "".join(c for c, _ in found["characters"]) == text
    assert all(0 <= p <= 1 for _, p in found["characters"])
    assert len(found["measures"]) == 9
    three = _processes._read(fitted, "a.png", path, "12x", (3, 3))
    assert len(three["text"]) == 3 and set(three["text"]) <= {"1", "2"}
    long = _processes._read(fitted, "a.png", path, None, 99)
    assert long["text"] == "" and long["error"] is None


def test_what_is_read_has_the_case_that_the_user_gave(pairs, fitted):
    reader = copy.deepcopy(fitted)
    reader.vocabulary_ = Vocabulary("aBc1")
    (path, _), *_ = pairs
    text = _processes._read(reader, "", path, None, None)["text"]
    capitals = _processes._read(reader, "", path, "ABC1xyz", None)
    assert capitals["text"] == text.upper()
    assert [c for c, _ in capitals["characters"]] == list(text.upper())


def test_a_reader_that_knows_none_of_the_characters_proposes_nothing(pairs, fitted):
    (path, _), *_ = pairs
    found = _processes._read(fitted, "", path, "你好", None)
    assert (found["text"], found["confidence"], found["error"]) == ("", 0.0, None)


def test_images_are_read_on_the_background_of_the_reader(fitted, tmp_path):
    image = np.zeros((30, 60, 4), np.uint8)
    image[5:25, 20:40] = 255
    Image.fromarray(image).save(tmp_path / "a.png")
    white = _processes._read(fitted, "a.png", tmp_path / "a.png", None, None)
    reader = copy.copy(fitted)
    reader.background_ = "black"
    black = _processes._read(reader, "a.png", tmp_path / "a.png", None, None)
    assert white["measures"] != black["measures"]
    few = AlphabetReader(reader, "01")
    again = _processes._read(few, "a.png", tmp_path / "a.png", None, None)
    assert again["measures"] == black["measures"]


def test_a_file_that_is_no_image_is_an_answer_with_an_error(tmp_path, fitted):
    path = tmp_path / "a.png"
    path.write_text("x")
    assert (
        "not an image" in _processes._read(fitted, "a.png", path, None, None)["error"]
    )
    gone = _processes._read(fitted, "b.png", tmp_path / "b.png", None, None)
    assert gone["error"] is not None


@pytest.mark.slow
def test_all_processes_end_with_that_of_the_page(folder, fitted, tmp_path):
    joblib.dump(fitted, tmp_path / "model.joblib")
    rows = "".join(f"{i:02}.png,12\n" for i in range(30))
    (folder / "labels.csv").write_text(f"filename,text\n{rows}")
    command = Command(folder, "--model", tmp_path / "model.joblib")
    children = wait(lambda: find_children(command.process.pid), 2)
    command.kill()
    end = time.monotonic() + 60
    while any(map(is_running, children)):
        assert time.monotonic() < end, "a process outlived the page"
        time.sleep(0.1)


def wait(find, n):
    """Wait until there are so many processes that read and learn."""
    end = time.monotonic() + 120
    while len(found := find()) < n:
        assert time.monotonic() < end, "the processes did not start"
        time.sleep(0.1)
    return found


def find_children(pid):
    path = Path(f"/proc/{pid}/task/{pid}/children")
    if not path.exists():
        pytest.skip("this system does not list the processes of a process")
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    found = [int(child) for task in tasks for child in task.read_text().split()]
    return [
        c for c in found if b"spawn_main" in Path(f"/proc/{c}/cmdline").read_bytes()
    ]


def is_running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().split(")")[1].split()[0] != "Z"


@pytest.mark.slow
def test_ctrl_c_at_once_ends_it_in_order(folder):
    command = Command(folder)
    code, output = command.end(signal.SIGINT)
    assert code == 0 and "0 labels are in" in output, command.notes


def test_labeling_goes_on_where_the_process_that_reads_cannot_be_started(monkeypatch):
    def fail(self):
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr(_workers.Reading, "_start_process", fail)
    reading = _workers.Reading(None, None, None, lambda n: [], print)
    reading.start()
    reading._thread.join(30)
    assert "labeling continues without proposals" in reading.trouble
    reading.stop()


def test_nothing_is_read_in_the_name_of_a_model_that_is_not_loaded(monkeypatch):
    answers, found, orders = iter(["the file is broken", "loaded"]), [], []

    def ask(order, what):
        orders.append(order)
        return next(answers) if order == "load" else [{"name": n} for n, _ in what]

    def choose(n):
        return [("late.png", "late.png")] if len(found) == 1 else []

    reading = _workers.Reading(
        None, None, None, choose, lambda read, number: found.append((read, number))
    )
    monkeypatch.setattr(reading, "_start_process", lambda: None)
    monkeypatch.setattr(reading, "_ask", ask)
    reading.use("model.joblib", 3)
    reading.want("view", [("seen.png", "seen.png")])
    reading._wake.clear()
    reading.start()
    wait(lambda: [reading.trouble] if reading.trouble else [], 1)
    assert (reading.trouble, orders, found) == ("the file is broken", ["load"], [])
    reading._wake.set()  # or five seconds later
    wait(lambda: found, 2)
    reading.stop()
    # What was on the screen is still read first, and by the model of the round.
    assert found == [({"name": "seen.png"}, 3), ({"name": "late.png"}, 3)]
    assert orders == ["load", "load", "read", "read"] and reading.trouble is None


def test_the_image_that_is_shown_is_read_before_those_that_come_after_it(make_session):
    session, _ = make_session(every=99)
    first = session.next_items("view", 3)
    session.answer("tab", [answer(session, first[0]["name"])])
    second = session.next_items("view", 1, [item["key"] for item in first[1:]])
    expected = [item["name"] for item in [*first[1:], *second]]
    assert session.reading.wanted == [[item["name"] for item in first], expected]
    propose(session, {expected[0]: ("12", 0.5)})
    session.next_items("view", 0, [item["key"] for item in first[1:]])
    assert session.reading.wanted[-1] == expected[1:2]  # the other one is read


def test_what_a_view_shows_no_longer_is_not_read_first():
    reading = _workers.Reading(None, None, None, lambda n: [], print)
    reading.want("one", [("a", "a"), ("b", "b")])
    reading.want("two", [("c", "c")])
    reading.want("one", [("b", "b")])
    found = [reading._pop_wanted() for _ in range(3)]
    assert found == [[("b", "b")], [("c", "c")], []]


@pytest.mark.parametrize(("seconds", "n_most"), [(0.0, 8), (0.4, 1)])
def test_no_image_on_the_screen_waits_for_many_others(monkeypatch, seconds, n_most):
    asked, items = [], [(f"{i}.png", f"{i}.png") for i in range(20)]

    def ask(order, what):
        time.sleep(seconds)
        return [{"name": name} for name, _ in what]

    def choose(n):
        asked.append(n)
        chosen, items[:] = items[:n], items[n:] if len(asked) < 4 else []
        return chosen

    reading = _workers.Reading(None, None, None, choose, lambda read, number: None)
    monkeypatch.setattr(reading, "_start_process", lambda: None)
    monkeypatch.setattr(reading, "_ask", ask)
    reading.start()
    wait(lambda: asked, 4)
    reading.stop()
    assert asked[0] == 1 and max(asked[:4]) == n_most


@pytest.mark.slow
def test_a_process_that_reads_and_is_killed_is_started_again(
    fitted, png_folder, tmp_path
):
    joblib.dump(fitted, tmp_path / "model.joblib")
    found, items = [], [(f"{i}.png", str(png_folder / f"{i}.png")) for i in range(4)]
    reading = _workers.Reading(
        partial(joblib.load, tmp_path / "model.joblib"),
        None,
        None,
        lambda n: items[len(found) :][:1] if len(found) < 4 else [],
        lambda read, number: found.append(read["name"]),
    )
    reading.start()
    wait(lambda: found, 1)
    reading._process.kill()
    wait(lambda: found, 4)
    reading.stop()
    assert found == [name for name, _ in items]


@pytest.mark.slow
def test_what_is_on_the_screen_is_read_first(fitted, png_folder, tmp_path):
    joblib.dump(fitted, tmp_path / "model.joblib")
    found = []
    items = [(f"{i}.png", str(png_folder / f"{i}.png")) for i in range(20)]

    def choose(n):
        return [item for item in items if item[0] not in found][:n]

    load = partial(joblib.load, tmp_path / "model.joblib")
    reading = _workers.Reading(
        load, None, None, choose, lambda read, number: found.append(read["name"])
    )
    reading.want("view", items[17:18])
    reading.start()
    wait(lambda: found, 20)
    reading.stop()
    assert found[0] == "17.png" and len(set(found)) == 20
