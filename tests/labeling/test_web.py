"""Who is answered, what is served, and what an answer may be."""

import io
import json
import os
import sys

import pytest
from PIL import Image
from support.labeling import HOST, PORT, TOKEN, make_page

from skcaptcha.labeling._catalog import find_stamp
from skcaptcha.labeling._rules import Rules
from skcaptcha.labeling._server import open_folder
from skcaptcha.labeling._web import make_app

PAGES = ["/", "/grid", "/keys", "/static/page.css", "/static/label.js"]
NAME = "<img src=x onerror=alert(1)>\"&'.png"


def ask(session, path="/", *, host=HOST, cookie=None, method="get", **headers):
    """Ask without the cookie, unless one is given."""
    client = make_app(session, token=TOKEN, port=PORT).test_client()
    if cookie is not None:
        client.set_cookie(f"skcaptcha-{PORT}", cookie, domain="127.0.0.1")
    ask = getattr(client, method)
    return ask(path, base_url=f"http://{host}", headers=headers)


# Nobody gets in.


@pytest.mark.parametrize("path", [*PAGES, "/image/x", "/nothing", "/?token=wrong"])
def test_without_the_token_nothing_is_shown(page, path):
    response = ask(page.session, path)
    assert response.status_code == 403
    assert b"address that the command has printed" in response.data
    assert "Set-Cookie" not in response.headers


@pytest.mark.parametrize("token", ["", "the-toke", "the-tokens", "THE-TOKEN", "ü"])
def test_a_token_that_is_nearly_right_is_wrong(page, token):
    assert ask(page.session, f"/?token={token}").status_code == 403


def test_the_cookie_is_no_copy_of_the_token_and_stays_with_this_page(page):
    response = ask(page.session, f"/?token={TOKEN}")
    cookie = response.headers["Set-Cookie"]
    assert response.status_code == 200
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie
    assert TOKEN not in cookie
    assert ask(page.session, "/", cookie=TOKEN).status_code == 403


def test_the_token_opens_no_address_that_changes_anything(page):
    response = ask(
        page.session, f"/api/undo?token={TOKEN}", method="post", Origin=f"http://{HOST}"
    )
    assert response.status_code == 403


@pytest.mark.parametrize(
    "host", ["evil.example", f"evil.example:{PORT}", "127.0.0.1", "127.0.0.1:1", ""]
)
def test_a_site_whose_name_resolves_to_this_machine_is_refused(page, host):
    headers = {"Host": host} if host == "" else {}
    response = ask(
        page.session, f"/?token={TOKEN}", host=host or "evil.example", **headers
    )
    assert response.status_code == 403
    assert b"to this machine alone" in response.data


def test_localhost_is_this_machine_too(page):
    url = f"/?token={TOKEN}"
    assert ask(page.session, url, host=f"localhost:{PORT}").status_code == 200


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.0.0.1:80"])
def test_browsers_leave_out_the_usual_port(page, host):
    client = make_app(page.session, token=TOKEN, port=80).test_client()
    assert client.get(f"/?token={TOKEN}", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": f"https://{HOST}"},
        {"Origin": f"http://localhost:{PORT}"},
        {"Origin": f"http://{HOST}.evil.example"},
        {"Origin": f"http://{HOST}", "Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_what_another_site_sends_is_refused(page, headers):
    response = page.post("undo", headers=headers)
    assert response.status_code == 403
    assert response.json["error"].startswith("Another site")


def test_what_this_page_sends_is_taken(page):
    assert page.post("undo").status_code == 200
    assert (
        page.post("undo", headers={"Sec-Fetch-Site": "same-origin"}).status_code == 200
    )


def test_an_image_in_the_page_of_another_site_is_refused(page):
    path = f"/image/{page.next()[0]['key']}"
    assert page.get(path).status_code == 200
    assert page.get(path, **{"Sec-Fetch-Site": "cross-site"}).status_code == 403


def test_a_form_cannot_send_anything(page):
    response = page.client.post(
        "/api/undo",
        base_url=f"http://{HOST}",
        headers={"Origin": f"http://{HOST}"},
        data={"tab": "1"},
    )
    assert response.status_code == 415


@pytest.mark.parametrize("path", [*PAGES, "/nothing"])
def test_every_answer_is_hardened(page, path):
    headers = page.get(path).headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy
    assert "http:" not in policy and "frame-ancestors 'none'" in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"


@pytest.mark.parametrize("path", PAGES[:3])
def test_pages_need_nothing_inline_and_nothing_from_elsewhere(page, path):
    html = page.get(path).text
    assert "style=" not in html and "<style" not in html
    assert " onclick=" not in html and "//" not in html.replace("<!doctype", "")
    assert html.count("<script") == html.count('<script type="module" src="/static/')


def test_nothing_but_the_images_of_the_folder_is_served(page, folder):
    (folder / "secret.txt").write_text("secret")
    (folder.parent / "outside.png").write_bytes((folder / "00.png").read_bytes())
    for path in (
        "/image/../outside.png",
        "/image/%2e%2e%2foutside.png",
        "/image/secret.txt",
        "/image/00.png",
        f"/image/{folder}/00.png",
        "/static/../_web.py",
        "/static/%2e%2e/_web.py",
        "/static//etc/passwd",
    ):
        assert page.get(path).status_code == 404, path


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_links_that_lead_out_of_the_folder_are_left_out(folder, open_page):
    outside = folder.parent / "outside"
    outside.mkdir()
    Image.new("L", (48, 16)).save(outside / "x.png")
    (folder / "file.png").symlink_to(outside / "x.png")
    (folder / "folder").symlink_to(outside)
    (folder / "inside.png").symlink_to(folder / "00.png")
    page = open_page()
    names = set(page.session.catalog.items())
    assert "inside.png" in names
    assert not {"file.png", "folder/x.png"} & names
    assert page.session.progress()["n_outside"] == 2


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_a_file_that_becomes_a_link_or_no_image_is_not_served(page, folder):
    secret = folder.parent / "secret.png"
    Image.new("L", (48, 16)).save(secret)
    first, second, third = page.next(3)
    os.unlink(folder / first["name"])
    (folder / first["name"]).symlink_to(secret)
    (folder / second["name"]).write_text("root:x:0:0")
    os.unlink(folder / third["name"])
    for item in (first, second, third):
        assert page.get(f"/image/{item['key']}").status_code == 404


def test_an_image_is_sent_as_png_whatever_it_is(open_page, folder):
    for path in list(folder.iterdir()):
        path.unlink()
    Image.new("RGB", (4000, 100), "red").save(folder / "wide.bmp")
    page = open_page()
    response = page.get(f"/image/{page.next()[0]['key']}")
    assert response.mimetype == "image/png"
    with Image.open(io.BytesIO(response.data)) as image:
        assert image.format == "PNG" and image.size == (1600, 40)


def test_names_and_labels_are_never_markup(open_page, folder):
    (folder / "00.png").rename(folder / NAME)
    page = open_page()
    item = page.find(NAME)
    response = page.label(item, "<script>alert(1)</script>")
    assert response.status_code == 200
    assert response.mimetype == "application/json"
    for path in PAGES[:3]:
        assert "alert(1)" not in page.get(path).text
    page.session.store.sync()
    assert page.session.store.get(NAME)[0].text == "<script>alert(1)</script>"


@pytest.mark.skipif(sys.platform == "win32", reason="no such names there")
def test_names_that_no_table_can_hold_are_counted(open_page, folder):
    data = (folder / "00.png").read_bytes()
    for name in (b"two\nlines.png", b"not-utf8-\xff.png", b" space.png"):
        with open(os.path.join(os.fsencode(folder), name), "wb") as file:
            file.write(data)
    page = open_page()
    assert page.session.progress()["n_unnamed"] == 3
    assert len(page.session.catalog.items()) == 40


def test_characters_of_the_user_are_escaped_in_the_page(open_page):
    html = open_page(characters='"><b').get("/").text
    assert 'data-characters="&#34;&gt;&lt;b"' in html


@pytest.mark.parametrize(
    "what, body",
    [
        ("next", {"n": -1}),
        ("next", {"n": "3"}),
        ("next", {"n": True}),
        ("next", {"n": 10**9}),
        ("next", {"n": 1, "have": "x"}),
        ("next", {"n": 1, "have": [1]}),
        ("next", {"n": 1, "view": "x" * 100}),
        ("look", {"keys": {}}),
        ("undo", {"tab": ""}),
        ("undo", {"tab": 1}),
        ("before", {"key": ["x"]}),
        ("answer", {}),
        ("answer", {"answers": []}),
        ("answer", {"answers": ["x"]}),
        ("answer", {"answers": [{"key": 1}]}),
        ("answer", {"answers": [{"key": "x", "status": "better", "seen": 0}]}),
        ("answer", {"answers": [{"key": "x", "status": "labeled", "seen": "0"}]}),
        ("answer", {"answers": [{"key": "x", "text": "1" * 2000, "seen": 0}]}),
    ],
)
def test_what_no_script_of_the_page_sends_is_refused(page, what, body):
    response = page.post(what, **body)
    assert response.status_code == 400
    assert response.json["error"].startswith("expected ")
    assert page.session.store.answers() == {}


@pytest.mark.parametrize("raw", [b"", b"no json", b"[]", b"null", b"\xff"])
def test_what_is_no_json_object_is_refused(page, raw):
    assert page.post("next", raw=raw).status_code == 400


def test_too_much_is_refused(page):
    raw = json.dumps({"tab": "1", "n": 1, "have": ["x" * 10**6]})
    assert page.post("next", raw=raw).status_code in (400, 413)


# Answers.


def test_an_answer_is_saved_before_the_page_is_told(page):
    (item,) = page.next()
    response = page.label(item, " 2b8 ")
    assert response.status_code == 200
    assert response.json["items"][0]["text"] == "2b8"
    journal = page.session.store.journal_path.read_text()
    assert json.loads(journal.splitlines()[-1])["after"] == ["labeled", "2b8", False]


@pytest.mark.parametrize("status", ["skipped", "unreadable"])
def test_what_is_skipped_or_unreadable_is_no_label(page, status):
    (item,) = page.next()
    assert page.label(item, "", status).status_code == 200
    page.session.store.sync()
    assert not page.session.store.path.exists()
    assert item["key"] not in [i["key"] for i in page.next(100)]


def test_skipped_images_are_asked_about_again_when_the_user_says_so(page):
    first, second = page.next(2)
    page.label(first, "", "skipped")
    page.label(second, "", "unreadable")
    assert page.post("again").json["n"] == 1
    keys = [item["key"] for item in page.next(100)]
    assert first["key"] in keys and second["key"] not in keys


@pytest.mark.parametrize(
    "text, reason",
    [
        ("124", "'4' is none of the characters that are allowed"),
        ("1", "'1' has 1 character; 2 to 3 are expected"),
        ("1231", "'1231' has 4 characters; 2 to 3 are expected"),
        ("1\u200b2", "ZERO WIDTH SPACE"),
        ("1\ud800", "half a character"),
    ],
)
def test_a_text_that_is_not_allowed_is_refused_with_the_reason(open_page, text, reason):
    page = open_page(characters="123", length=(2, 3))
    (item,) = page.next()
    response = page.label(item, text)
    assert response.status_code == 422
    assert reason in response.json["error"]
    assert page.session.store.answers() == {}
    assert page.label(item, "").status_code == 200  # no text at all


def test_a_batch_is_saved_as_a_whole_or_not_at_all(open_page):
    page = open_page(characters="123")
    items = page.next(3)
    answers = [
        {"key": i["key"], "status": "labeled", "text": t, "seen": 0}
        for i, t in zip(items, ["1", "4", "3"], strict=True)
    ]
    assert page.post("answer", answers=answers).status_code == 422
    assert page.session.store.answers() == {}
    answers[1]["text"] = "2"
    assert page.post("answer", answers=answers).status_code == 200
    assert len(page.session.store.answers()) == 3
    assert len(page.post("undo").json["items"]) == 3
    assert page.session.store.answers() == {}


def test_two_tabs_are_asked_about_different_images(page):
    other = make_page(page.session, tab="2")
    mine = {item["key"] for item in page.next(10)}
    theirs = {item["key"] for item in other.next(10)}
    assert len(mine) == len(theirs) == 10
    assert not mine & theirs


def test_a_closed_tab_keeps_nothing_back_at_the_end(page):
    other = make_page(page.session, tab="2")
    assert len(other.next(40)) == 40
    assert len(page.next(40)) == 40


def test_two_tabs_do_not_overwrite_each_other(page):
    other = make_page(page.session, tab="2")
    item = page.find("00.png")
    assert page.label(item, "111").status_code == 200
    response = other.label(item, "222")
    assert response.status_code == 409
    assert response.json["conflicts"][0]["text"] == "111"
    assert page.session.store.get("00.png")[0].text == "111"
    assert other.label(response.json["conflicts"][0], "222").status_code == 200
    assert page.label(item, "222").status_code == 200  # what is saved already
    # What the other tab has answered since is not this one's to undo.
    assert page.post("undo").json["items"] == []
    assert other.post("undo").json["items"][0]["text"] == "111"


def test_back_goes_through_the_answers_from_the_last_one(page):
    items = page.next(3)
    for item in items:
        page.label(item, "12")
    keys, key = [], None
    while found := page.post("before", key=key).json["items"]:
        key = found[0]["key"]
        keys.append(key)
    assert keys == [item["key"] for item in reversed(items)]


def test_an_answer_about_a_vanished_file_is_refused_in_words(page, folder):
    (item,) = page.next()
    (folder / item["name"]).unlink()
    page.session.catalog.scan()
    response = page.label(item, "12")
    assert response.status_code == 410
    assert "is gone" in response.json["error"]
    assert page.post("look", keys=[item["key"]]).json["items"] == []


def test_files_that_are_added_are_asked_about(page, folder):
    keys = [item["key"] for item in page.next(100)]
    assert len(keys) == 40
    (folder / "new.png").write_bytes((folder / "00.png").read_bytes())
    page.session.catalog.scan()
    assert [item["name"] for item in page.next(100, have=keys)] == ["new.png"]


def test_a_full_disk_is_said_and_nothing_is_called_saved(page, monkeypatch):
    (item,) = page.next()

    def fail(number):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    response = page.label(item, "12")
    assert response.status_code == 507
    assert "No space left on device" in response.json["error"]
    monkeypatch.undo()
    assert page.label(item, "12").status_code == 200
    monkeypatch.setattr(os, "fsync", fail)
    response = page.post("undo")
    assert response.status_code == 507
    assert "No space left on device" in response.json["error"]
    monkeypatch.undo()
    assert page.find(item["name"])["text"] == "12"


def test_a_folder_without_images_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="holds no image that could be labeled"):
        open_folder(tmp_path, tmp_path / "labels.csv", Rules())


def test_a_table_elsewhere_names_the_images_from_there(open_page, folder, tmp_path):
    page = open_page(out=tmp_path / "my labels.csv")
    page.label(page.find("images/00.png"), "12")
    page.session.store.sync()
    content = (tmp_path / "my labels.csv").read_text()
    assert content == "filename,text\nimages/00.png,12\n"


def test_progress_counts(page):
    items = page.next(4)
    for item, status in zip(items, ["labeled", "labeled", "skipped"], strict=False):
        page.label(item, "1" if status == "labeled" else "", status)
    progress = page.post("next", n=0).json["progress"]
    wanted = {"n_images": 40, "n_labeled": 2, "n_skipped": 1, "n_left": 37}
    assert {k: progress[k] for k in wanted} == wanted


def test_labels_of_vanished_files_are_counted(page, folder):
    first, second = page.next(2)
    page.label(first, "1")
    page.label(second, "2")
    page.session.store.sync()
    (folder / first["name"]).unlink()
    page.session.catalog.scan()
    page.session.store.sync()
    progress = page.post("next", n=0).json["progress"]
    assert (progress["n_waiting"], progress["waiting"]) == (1, [first["name"]])


def test_labels_of_a_time_with_other_rules_are_said_and_not_learned_from(
    open_page, folder
):
    page = open_page()
    texts = ["12", "1x", "123"]
    for item, text in zip(page.next(3), texts, strict=True):
        page.label(item, text)
    page.session.store.close()
    page = open_page(characters="0123", length=2)
    progress = page.post("next", n=0).json["progress"]
    assert "Nothing is learned from 2 labels that --characters" in progress["notice"]
    train, test = page.session.list_labels()
    assert [text for _, text in train + test] == ["12"]


def test_a_file_that_was_read_while_it_was_written_is_read_again(page, folder):
    session = page.session
    name = "05.png"
    found = {"name": name, "error": "truncated", "stamp": (0, 0)}
    session._take_reading(found, 0)
    assert session.progress()["broken"] == [name]
    session._forget_changed()
    assert session.progress()["broken"] == []
    stamp = find_stamp(folder / name)
    session._take_reading({**found, "stamp": stamp}, 0)
    session._forget_changed()
    assert session.progress()["broken"] == [name]


def test_copies_of_an_image_are_asked_about_last(page, folder):
    session = page.session
    for k in range(40):
        found = {
            "name": f"{k:02}.png",
            "stamp": None,
            "error": None,
            "digest": str(k % 8),
            "measures": [float(k % 8)] * 9,
            "text": "12",
            "confidence": 0.5,
            "characters": [],
        }
        session._take_reading(found, 0)
    items = page.next(12)
    assert len({int(item["name"][:2]) % 8 for item in items[:8]}) == 8
    for k in range(40):
        item = session.describe(session.catalog.items()[f"{k:02}.png"])
        page.label(item, "12")
    train, test = session.list_labels()

    def looks(pairs):
        return {int(path[-6:-4]) % 8 for path, _ in pairs}

    assert test and not looks(train) & looks(test)
    assert len(sum(session.list_labels(is_final=True), [])) == 40
