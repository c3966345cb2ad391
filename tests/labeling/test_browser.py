"""The page to label on, in a real browser without a window."""

import copy
import csv
import shutil
import signal
import time
from pathlib import Path

import joblib
import pytest
from PIL import Image
from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from support.labeling import TINY_PARAMS, Command

from skcaptcha.vocabulary import Vocabulary

pytestmark = pytest.mark.slow

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
HOSTILE = '<img src=x onerror="document.title=1">.png'
QUIET = ("--learn-every", "0")  # as most tests are not about learning


@pytest.fixture(scope="module")
def driver():
    """A headless Chromium, for all tests of this file."""
    binary = next(filter(None, map(shutil.which, BROWSERS)), None)
    chromedriver = shutil.which("chromedriver")
    if binary is None or chromedriver is None:
        pytest.skip("no Chromium with its chromedriver is installed")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for argument in (
        "headless=new",
        "no-sandbox",
        "disable-gpu",
        "disable-dev-shm-usage",
    ):
        options.add_argument(f"--{argument}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.ChromeService(chromedriver)
    driver = webdriver.Chrome(options, service)
    driver.set_page_load_timeout(120)
    yield driver
    driver.quit()


class View:
    """What a person sees and does."""

    def __init__(self, driver):
        self.driver = driver

    def open(self, url, width=1280, height=900, dark=False):
        features = [
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        ]
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False},
        )
        self.driver.execute_cdp_cmd(
            "Emulation.setEmulatedMedia", {"features": features}
        )
        self.driver.get(url)

    def get(self, id_):
        return self.driver.find_element(By.ID, id_)

    def text(self, id_):
        return self.get(id_).get_attribute("textContent").strip()

    @property
    def name(self):
        return self.text("name")

    @property
    def value(self):
        return self.get("text").get_attribute("value")

    def wait(self, what, condition):
        """Wait until a condition is met; the machine may be busy."""
        end = time.monotonic() + 120
        while time.monotonic() < end:
            try:
                if found := condition():
                    return found
            except WebDriverException:  # an element that is being replaced
                pass
            time.sleep(0.05)
        raise AssertionError(f"waited in vain until {what}; page: {self.body()}")

    def wait_for_image(self, other_than=None):
        self.wait(
            f"an image other than {other_than} is shown",
            lambda: self.get("one").is_displayed() and self.name != other_than,
        )
        time.sleep(0.3)  # nobody answers at once

    def wait_for_saved(self, n):
        self.wait(
            f"{n} are labeled",
            lambda: (
                f"{n} labeled" in self.text("counts") and self.text("saved") == "saved"
            ),
        )

    def wait_for_proposal(self):
        self.wait("something is proposed", lambda: self.value)

    def press(self, *keys):
        """Press keys, wherever the focus is."""
        ActionChains(self.driver).send_keys(*keys).perform()

    def press_with(self, held, key):
        ActionChains(self.driver).key_down(held).send_keys(key).key_up(held).perform()

    def type_over(self, text):
        """Type a text into the field, whose content is selected."""
        self.press_with(Keys.CONTROL, "a")
        self.press(text, Keys.ENTER)

    def label(self, *texts):
        """Type a text for one image after the other; return their names."""
        names = []
        for text in texts:
            self.wait_for_image(other_than=names[-1] if names else None)
            names.append(self.name)
            self.type_over(text)
        return names

    def bottom(self, selector):
        script = "return document.querySelector(arguments[0])"
        return self.driver.execute_script(
            f"{script}.getBoundingClientRect().bottom", selector
        )

    def body(self):
        return self.driver.find_element(By.TAG_NAME, "body").text

    def problems(self):
        """What the browser complains of, such as a policy that is broken."""
        return [
            entry["message"]
            for entry in self.driver.get_log("browser")
            if entry["level"] == "SEVERE"
            and "ERR_CONNECTION_REFUSED" not in entry["message"]
        ]


@pytest.fixture
def view(driver):
    driver.get("about:blank")
    driver.get_log("browser")
    return View(driver)


@pytest.fixture(scope="module")
def model(fitted, tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.joblib"
    joblib.dump(fitted, path)
    return path


@pytest.fixture
def serve():
    """Function that runs a command that serves a page; all are ended after the test."""
    running = []

    def serve(*arguments, **options):
        running.append(Command(*arguments, **options))
        return running[-1]

    yield serve
    for command in running:
        if command.process.poll() is None:
            command.kill()


@pytest.fixture
def truth(folder, captchas):
    return {f"{i:02}.png": text for i, text in enumerate(captchas[1][:40])}


def read_table(folder):
    with open(folder / "labels.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["filename", "text"]
    return dict(rows[1:])


def test_thirty_images_are_labeled_by_keyboard(view, serve, folder, truth, model):
    command = serve(folder, "--model", model, *QUIET)
    view.open(command.url)
    view.wait_for_image()
    assert "token" not in view.driver.current_url
    n_accepted, expected = 0, {}
    for n in range(1, 31):
        view.wait_for_proposal()
        name, proposed = view.name, view.value
        expected[name] = truth[name]
        if proposed == truth[name]:
            view.press(Keys.ENTER)
            n_accepted += 1
        else:
            view.type_over(truth[name])
        view.wait_for_image(other_than=name)
        view.wait_for_saved(n)
    assert n_accepted >= 15  # the model has learned from such images
    code, output = command.end(signal.SIGINT)
    assert code == 0, command.notes
    assert "30 labels are in" in output
    assert read_table(folder) == expected
    assert view.problems() == []


def test_corrections_skips_and_undo(view, serve, folder, model):
    command = serve(folder, "--model", model, *QUIET)
    view.open(command.url)
    names = view.label("11", "22", "33")
    view.wait_for_saved(3)
    # Back twice, to the second answer, which is corrected.
    for name in (names[2], names[1]):
        view.press(Keys.ARROW_UP)
        view.wait(f"{name} is back", lambda name=name: view.name == name)
    assert view.value == "22"
    view.type_over("23")
    view.wait_for_image(other_than=names[1])
    view.wait_for_saved(3)
    skipped = view.name
    view.press(Keys.ARROW_DOWN)
    view.wait("one is skipped", lambda: "1 skipped" in view.text("counts"))
    unreadable = view.name
    assert unreadable != skipped
    view.press_with(Keys.ALT, "u")
    view.wait("one is unreadable", lambda: "1 unreadable" in view.text("counts"))
    view.press_with(Keys.CONTROL, "z")
    view.wait("it is back", lambda: view.name == unreadable)
    view.press_with(Keys.CONTROL, "z")
    view.wait("it is back", lambda: view.name == skipped)
    view.press_with(Keys.CONTROL, "z")
    view.wait("the text before is back", lambda: view.value == "22")
    command.end(signal.SIGTERM)
    assert read_table(folder) == dict(zip(names, ["11", "22", "33"], strict=True))


def delay(view, path, milliseconds):
    """Let the server take that long for requests of a path."""
    view.driver.execute_script(
        """
        const [path, milliseconds] = arguments, fetch = window.fetch;
        window.fetch = async (url, options) => {
          if (url === path) await new Promise((f) => setTimeout(f, milliseconds));
          return fetch(url, options);
        };
        """,
        path,
        milliseconds,
    )


def test_what_is_typed_ahead_is_for_the_image_that_comes(view, serve, folder, model):
    command = serve(folder, "--model", model, *QUIET)
    view.open(command.url)
    names = view.label("11", "22", "33")
    view.wait_for_saved(3)
    delay(view, "/api/undo", 400)
    view.get("undo").click()
    view.get("undo").click()
    view.wait("both are taken back", lambda: view.name == names[1])
    assert "1 labeled" in view.text("counts")
    view.type_over("22")
    view.wait("the third is next", lambda: view.name == names[2])
    view.type_over("33")
    view.wait_for_image(other_than=names[2])
    view.wait_for_saved(3)
    shown = view.name
    delay(view, "/api/before", 400)
    # Back twice, to the second answer, and another text for it; all in one go.
    view.press(Keys.ARROW_UP, Keys.ARROW_UP, "2", "1", Keys.BACKSPACE, "3", Keys.ENTER)
    assert view.name == shown and view.value != "23"  # nothing of it is for this one
    view.wait(
        "the second is answered anew",
        lambda: '"23"' in (folder / "labels.csv.journal").read_text(),
    )
    command.end(signal.SIGINT)
    assert read_table(folder) == dict(zip(names, ["11", "23", "33"], strict=True))


def test_a_round_that_ends_leaves_an_image_on_the_screen(view, serve, folder, model):
    command = serve(folder, "--model", model, *QUIET)
    view.open(command.url)
    view.wait_for_image()
    view.wait_for_proposal()
    time.sleep(1)  # others wait by now
    delay(view, "/api/next", 1500)
    view.driver.execute_script("document.dispatchEvent(new Event('newround'))")
    first = view.name
    view.type_over("12")
    assert view.get("one").is_displayed() and view.name != first
    second = view.name
    view.type_over("21")
    assert view.get("one").is_displayed() and view.name not in (first, second)
    view.wait_for_saved(2)
    command.end(signal.SIGINT)
    assert read_table(folder) == {first: "12", second: "21"}


def test_what_nobody_has_seen_is_not_accepted(view, serve, folder, model):
    command = serve(folder, "--model", model, *QUIET)
    view.open(command.url)
    view.wait_for_image()
    view.wait_for_proposal()
    first, text = view.name, view.value
    # Enter is held down: the first press counts.
    for repeat in (False, True, True, True):
        view.driver.execute_cdp_cmd(
            "Input.dispatchKeyEvent",
            {
                "type": "keyDown",
                "key": "Enter",
                "code": "Enter",
                "windowsVirtualKeyCode": 13,
                "text": "\r",
                "autoRepeat": repeat,
            },
        )
        time.sleep(0.1)
    view.wait_for_saved(1)
    # What is proposed changes when Enter is about to be pressed.
    view.wait_for_image(other_than=first)
    view.wait_for_proposal()
    second = view.name
    view.driver.execute_script(
        """
        const fetch = window.fetch, input = document.getElementById("text");
        window.fetch = async (url, options) => {
          const response = await fetch(url, options);
          if (url !== "/api/look") return response;
          const data = await response.json();
          for (const { proposal } of data.items) if (proposal) proposal.text = "xy";
          return new Response(JSON.stringify(data));
        };
        const timer = setInterval(() => {
          if (input.value !== "xy") return;
          clearInterval(timer);
          input.form.requestSubmit();
        }, 1);
        """
    )
    view.wait("it is said", lambda: "has just changed" in view.text("message"))
    assert (view.name, view.value) == (second, "xy")
    view.press(Keys.ENTER)
    view.wait_for_saved(2)
    command.end(signal.SIGINT)
    assert read_table(folder) == {first: text, second: "xy"}


def test_a_key_that_bounces_answers_one_image(view, serve, folder, model):
    command = serve(folder, "--model", model, *QUIET)
    view.open(command.url)
    view.wait_for_image()
    view.wait_for_proposal()
    time.sleep(3)  # until the images that wait are read as well
    first, text = view.name, view.value
    view.driver.execute_script(
        """
        const form = document.getElementById("form");
        form.requestSubmit();
        setTimeout(() => form.requestSubmit(), 60);
        setTimeout(() => form.requestSubmit(), 120);
        """
    )
    view.wait_for_saved(1)
    view.wait_for_image(other_than=first)
    assert view.text("counts").startswith("1 labeled")
    view.press(Keys.ENTER)
    view.wait_for_saved(2)
    command.end(signal.SIGINT)
    table = read_table(folder)
    assert len(table) == 2 and table[first] == text


def test_typing_escape_and_the_least_sure_character(view, serve, folder, model):
    command = serve(folder, "--model", model, "--characters", "0123", *QUIET)
    view.open(command.url)
    view.wait_for_image()
    view.wait_for_proposal()
    proposed = view.value
    view.press("9x1")  # what is none of the characters cannot be typed
    assert view.value == "1"
    view.press_with(Keys.CONTROL, "z")  # of the browser, as something was typed
    view.press(Keys.ESCAPE)
    assert view.value == proposed
    view.press(Keys.ARROW_RIGHT)
    selected = view.driver.execute_script(
        "const t = document.getElementById('text');"
        "return t.value.slice(t.selectionStart, t.selectionEnd)"
    )
    assert len(selected) == 1 and len(proposed) > 1
    view.press_with(Keys.CONTROL, "a")
    view.press(Keys.BACKSPACE, Keys.ENTER)
    assert "Press Enter again" in view.text("message")
    name = view.name
    view.press(Keys.ENTER)
    view.wait_for_image(other_than=name)
    view.wait_for_saved(1)
    command.end(signal.SIGINT)
    assert read_table(folder) == {name: ""}


def test_a_killed_server_and_a_closed_browser_go_on_where_they_were(
    view, serve, folder, model
):
    command = serve(folder, "--model", model, *QUIET)
    port = command.url.split(":")[2].split("/")[0]
    view.open(command.url)
    expected = {}
    for n in range(1, 6):
        view.wait_for_image(other_than=list(expected)[-1] if expected else None)
        expected[view.name] = f"1{n % 4}"
        view.type_over(f"1{n % 4}")
        view.wait_for_saved(n)
    view.wait_for_image(other_than=list(expected)[-1])
    command.kill()
    expected[view.name] = "33"
    view.type_over("33")  # which nobody takes
    view.wait("it is said", lambda: "does not answer" in view.text("troubles"))
    assert view.text("saved") == "1 on the way …"
    command = serve(folder, "--model", model, "--port", port, *QUIET)
    view.open(command.url)
    view.wait_for_saved(6)
    command.kill()
    command = serve(folder, "--model", model, *QUIET)  # another port: nothing is kept
    view.open(command.url)
    view.wait_for_image()
    assert view.name not in expected
    assert "6 labeled, 34 left" in view.text("counts")
    view.press(Keys.ARROW_UP)
    view.wait("the last answer is shown", lambda: view.value == "33")
    command.end(signal.SIGINT)
    assert read_table(folder) == expected


def test_a_wrong_token_shows_nothing(view, serve, folder):
    command = serve(folder, *QUIET)
    view.open(command.url[:-1])
    assert "Not shown" in view.body() and "Copy it from the terminal" in view.body()
    view.open(command.url.split("?")[0])
    assert "Not shown" in view.body()
    view.open(command.url)
    view.wait_for_image()


def test_hostile_names_and_texts_are_shown_as_they_are(view, serve, folder):
    for path in list(folder.iterdir())[1:]:
        path.unlink()
    next(folder.iterdir()).rename(folder / HOSTILE)
    command = serve(folder, *QUIET)
    view.open(command.url)
    view.wait_for_image()
    assert view.name == HOSTILE
    text = "<b>&\"'</b>"
    view.type_over(text)
    view.wait("all is done", lambda: view.get("done").is_displayed())
    view.get("done-undo").click()
    view.wait_for_image()
    view.type_over(text)
    view.wait("all is done", lambda: view.get("done").is_displayed())
    assert view.driver.title == "Label – skcaptcha"
    assert view.problems() == []
    command.end(signal.SIGINT)
    assert read_table(folder) == {HOSTILE: text}


def open_grid(view):
    """Go to the grid, and wait until it is full."""
    view.driver.find_element(By.LINK_TEXT, "Grid").click()
    view.wait("the grid is there", lambda: view.get("grid"))
    select = "const s = document.getElementById('least'); s.value = '0';"
    select += "s.dispatchEvent(new Event('change'))"

    def has_cells():
        view.driver.execute_script(select)
        time.sleep(1)
        return len(view.driver.find_elements(By.CSS_SELECTOR, "#grid > div")) == 24

    view.wait("a screenful is read", has_cells)


def test_a_screenful_is_accepted_and_the_wrong_picked_out(view, serve, folder, model):
    command = serve(folder, "--model", model, *QUIET)
    view.open(command.url)
    view.wait_for_image()
    open_grid(view)
    cells = view.driver.find_elements(By.CSS_SELECTOR, "#grid > div")
    texts = [cell.find_element(By.CLASS_NAME, "text").text for cell in cells]
    view.driver.execute_script(
        "arguments[0].focus()", cells[0].find_element(By.TAG_NAME, "button")
    )
    view.press(Keys.ARROW_RIGHT)
    view.press(" ")
    view.press("3213", Keys.ENTER)
    view.wait("all are saved", lambda: "24 labeled" in view.text("counts"))
    command.end(signal.SIGINT)
    expected = [texts[0], "3213", *texts[2:]]
    assert sorted(read_table(folder).values()) == sorted(expected)


REFUSE = """
const send = window.fetch;
window.fetch = (path, options) => path === "/api/answer" && window.isFull
  ? Promise.resolve(Response.json({ error: "the disk is full" }, { status: 507 }))
  : send(path, options);
window.isFull = true;
"""


def refuse_answers(view):
    """Refuse all answers, as the server does when the disk is full."""
    view.driver.execute_script(REFUSE)


def take_answers_again(view):
    view.driver.execute_script("window.isFull = false")


def test_a_screenful_that_is_not_saved_stays_as_it_was(view, serve, folder, model):
    command = serve(folder, "--model", model, *QUIET)
    view.open(command.url)
    view.wait_for_image()
    open_grid(view)
    refuse_answers(view)
    _, wrong, *_ = view.driver.find_elements(By.CSS_SELECTOR, "#grid > div")
    wrong.find_element(By.TAG_NAME, "button").click()
    view.press("3213", Keys.ENTER)
    view.wait("it is said", lambda: "the disk is full" in view.text("message"))
    field = wrong.find_element(By.TAG_NAME, "input")
    assert field.is_displayed() and field.get_attribute("value") == "3213"
    take_answers_again(view)
    view.press(Keys.ENTER)
    view.wait("all are saved", lambda: "24 labeled" in view.text("counts"))
    command.end(signal.SIGINT)
    assert "3213" in read_table(folder).values()


def test_what_is_typed_while_an_answer_is_refused_is_kept(view, serve, folder, model):
    command = serve(folder, "--model", model, *QUIET)
    view.open(command.url)
    view.wait_for_image()
    refuse_answers(view)
    first = view.name
    # Both at once: the refusal comes while the second text is being typed.
    view.driver.execute_script(
        """
        const [field, form] = ["text", "form"].map((id) => document.getElementById(id));
        field.value = "1111";
        form.requestSubmit();
        field.value = "22";
        """
    )
    view.wait("the first comes back", lambda: view.name == first)
    view.wait("it is said", lambda: "the disk is full" in view.text("message"))
    assert view.value == "1111"
    take_answers_again(view)
    view.press(Keys.ENTER)
    view.wait_for_image(other_than=first)
    assert view.value == "22"
    command.end(signal.SIGINT)
    assert read_table(folder) == {first: "1111"}


def test_scripts_that_look_alike_are_said(view, serve, folder, fitted, tmp_path):
    mixed = copy.deepcopy(fitted)
    mixed.vocabulary_ = Vocabulary("aбc1")
    joblib.dump(mixed, tmp_path / "mixed.joblib")
    command = serve(folder, "--model", tmp_path / "mixed.joblib", *QUIET)
    view.open(command.url)
    view.wait(
        "it is said", lambda: "Cyrillic and Latin letters" in view.text("troubles")
    )
    assert "--characters" in view.text("troubles")
    command.end(signal.SIGINT)


def test_skipped_images_come_again_and_the_end_is_said(view, serve, folder):
    for path in sorted(folder.iterdir())[3:]:
        path.unlink()
    command = serve(folder, *QUIET)
    view.open(command.url)
    names = []
    for n in range(3):
        view.wait_for_image(other_than=names[-1] if names else None)
        names.append(view.name)
        view.press(Keys.ARROW_DOWN) if n == 1 else view.type_over("12")
    view.wait("all is done", lambda: view.get("done").is_displayed())
    counts = "2 labeled, 0 left, 1 skipped of 3 images"
    view.wait("all are counted", lambda: counts in view.text("done-counts"))
    view.get("again").click()
    view.wait_for_image()
    assert view.name == names[1]


def test_it_learns_and_says_how_well_it_reads(view, serve, folder, truth, model):
    options = ["--learn-every", 10, "--save-model", folder / "m.joblib", *TINY_PARAMS]
    command = serve(folder, "--model", model, *options)
    view.open(command.url)
    name = None
    for n in range(1, 13):
        view.wait_for_image(other_than=name)
        name = view.name
        view.type_over(truth[name])
        view.wait_for_saved(n)
    view.wait("a round has ended", lambda: "It reads" in view.text("now"))
    assert "tested)" in view.text("now")
    view.get("save").click()
    view.wait("the reader is saved", lambda: "Saved as" in view.text("save-note"))
    reader = joblib.load(folder / "m.joblib")
    assert set(reader.vocabulary_) <= set("0123")
    assert view.problems() == []


def test_two_tabs_see_different_images_and_a_conflict_is_said(view, serve, folder):
    for path in sorted(folder.iterdir())[1:]:
        path.unlink()
    command = serve(folder, *QUIET)
    view.open(command.url)
    view.wait_for_image()
    first = view.driver.current_window_handle
    view.driver.switch_to.new_window("tab")
    try:
        view.open(command.url)
        view.wait_for_image()  # the only one there is
        view.type_over("11")
        view.wait("it is saved", lambda: view.text("saved") == "saved")
        view.driver.switch_to.window(first)
        view.type_over("22")
        view.wait(
            "it is said", lambda: "has another answer by now" in view.text("message")
        )
        assert "“11”" in view.text("message") and view.value == "11"
        view.type_over("22")  # in the knowledge of it
        view.wait("it is done", lambda: view.get("done").is_displayed())
    finally:
        for handle in view.driver.window_handles:
            if handle != first:
                view.driver.switch_to.window(handle)
                view.driver.close()
        view.driver.switch_to.window(first)
    command.end(signal.SIGINT)
    assert list(read_table(folder).values()) == ["22"]


def test_doubtful_labels_are_kept_and_corrected(view, serve, folder, truth, model):
    wrong = dict(truth)
    names = sorted(truth)[:4]
    for name in names:
        wrong[name] = "3" * len(truth[name])
    rows = "".join(f"{name},{text}\n" for name, text in wrong.items())
    (folder / "labels.csv").write_text(f"filename,text\n{rows}")
    command = serve(folder, "--model", model, "--page", command="check-labels")
    view.open(command.url)
    expected, last = dict(wrong), None
    n_issues = int(view.wait("it is counted", lambda: view.text("counts")).split()[2])
    assert n_issues >= 3
    for n in range(n_issues):
        view.wait_for_image(other_than=last)
        last, read = view.name, view.text("read")
        if n == 0:
            view.press(Keys.ARROW_LEFT)
        elif n == 1:
            view.type_over("2020")
            expected[last] = "2020"
        else:
            view.press(Keys.ARROW_RIGHT)
            expected[last] = read
        view.wait(
            "it is counted", lambda n=n: view.text("counts").startswith(f"{n + 1} of")
        )
    view.wait("all is done", lambda: view.get("done").is_displayed())
    view.get("done-undo").click()
    view.wait_for_image()
    assert view.name == last
    view.press(Keys.ARROW_RIGHT)
    view.wait("all is done", lambda: view.get("done").is_displayed())
    assert view.problems() == []
    command.end(signal.SIGINT)
    assert read_table(folder) == expected
    again = serve(folder, "--model", model, "--page", command="check-labels")
    view.open(again.url)
    view.wait("nobody is asked again", lambda: view.get("done").is_displayed())


def test_a_correction_that_is_not_saved_is_shown_again(
    view, serve, folder, truth, model
):
    wrong = dict(truth)
    for name in sorted(truth)[:3]:
        wrong[name] = "3" * len(truth[name])
    rows = "".join(f"{name},{text}\n" for name, text in wrong.items())
    (folder / "labels.csv").write_text(f"filename,text\n{rows}")
    command = serve(folder, "--model", model, "--page", command="check-labels")
    view.open(command.url)
    view.wait_for_image()
    refuse_answers(view)
    first = view.name
    view.type_over("2020")
    view.wait(
        "it is said", lambda: f"{first} was not saved: the disk" in view.text("message")
    )
    assert view.name == first and view.value == "2020"
    take_answers_again(view)
    view.press(Keys.ENTER)
    view.wait("it is counted", lambda: view.text("counts").startswith("1 of"))
    assert view.value == ""
    command.end(signal.SIGINT)
    assert read_table(folder)[first] == "2020"


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("dark", [False, True])
def test_every_view_fits_and_can_be_read_aloud(
    view, serve, folder, model, width, dark, tmp_path
):
    """Sizes, colors, and a name for everything that a screen reader stops at."""
    (folder / ("a very long name " * 8 + ".png")).write_bytes(
        (folder / "00.png").read_bytes()
    )
    command = serve(folder, "--model", model, *QUIET)
    for path in ("", "grid", "keys"):
        view.open(command.url, width=width, height=844, dark=dark)
        view.driver.get(command.url.split("?")[0] + path)
        if path == "":
            view.wait_for_image()
            view.wait_for_proposal()
        assert (
            view.driver.execute_script("return document.documentElement.scrollWidth")
            <= width
        )
        color = view.driver.execute_script(
            "return getComputedStyle(document.body).backgroundColor"
        )
        channels = [int(c) for c in color[4:-1].split(",")]
        assert (max(channels) < 60) if dark else (min(channels) > 200)
        for element in view.driver.find_elements(
            By.CSS_SELECTOR, "button, input, a, select, img:not([alt=''])"
        ):
            if element.is_displayed():
                assert element.accessible_name.strip(), element.get_attribute(
                    "outerHTML"
                )
    assert view.problems() == []


def test_the_field_and_all_buttons_are_on_the_first_screen_of_a_phone(
    view, serve, folder, model
):
    command = serve(folder, "--model", model, *QUIET)
    view.open(command.url, width=390, height=664)
    view.wait_for_image()
    view.wait_for_proposal()
    assert view.bottom("#undo") <= 664
    for width, height in [(390, 664), (1120, 640), (1280, 1400)]:
        view.open(command.url, width=width, height=height)
        view.wait_for_image()
        assert view.bottom("#figure img") < view.bottom("#figure")


def test_files_that_vanish_and_appear_meanwhile(view, serve, folder):
    for path in sorted(folder.iterdir())[2:]:
        path.unlink()
    command = serve(folder, *QUIET)
    view.open(command.url)
    view.wait_for_image()
    gone = view.name
    (folder / gone).unlink()
    Image.new("L", (48, 16), 255).save(folder / "new.png")
    view.wait(
        "it moves on", lambda: view.name != gone and view.get("one").is_displayed()
    )
    assert f"{gone} is gone" in view.text("message")
    other = view.name
    view.type_over("1")
    view.wait_for_image(other_than=other)
    assert {other, view.name} == {
        "new.png",
        *(p.name for p in Path(folder).glob("0*.png")),
    }
