"""The download of captcha_images_v2, from a server on loopback."""

import hashlib
import http.server
import io
import os
import threading
import zipfile

import numpy as np
import pytest

from skcaptcha.datasets import _fetch, fetch_captcha_images_v2

NAME = "captcha_images_v2.zip"
CONTENTS = {
    "captcha_images_v2/b2c.png": b"second",
    "captcha_images_v2/a1a.png": b"first",
    "captcha_images_v2/notes.txt": b"no image",
    "__MACOSX/captcha_images_v2/._a1a.png": b"no image either",
}


def make_zip():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in CONTENTS.items():
            archive.writestr(name, content)
    return file.getvalue()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.n_requests += 1
        answer = self.server.answers.pop(0) if self.server.answers else "whole"
        if isinstance(answer, int):
            self.send_error(answer)
            return
        content = b"another file" if answer == "other" else self.server.content
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        # "half": the connection closes before all that was announced is sent.
        self.wfile.write(content[: len(content) // 2] if answer == "half" else content)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server(monkeypatch):
    """A server on loopback with a small archive in place of the real one."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.content, server.answers, server.n_requests = make_zip(), [], 0
        monkeypatch.setenv("no_proxy", "*")
        url = f"http://127.0.0.1:{server.server_port}/{NAME}"
        blob = b"blob %d\0" % len(server.content) + server.content
        blob_id = hashlib.sha1(blob).hexdigest()
        monkeypatch.setattr(_fetch, "URL", url)
        monkeypatch.setattr(_fetch, "BLOB_ID", blob_id)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def fetch(folder, **parameters):
    return fetch_captcha_images_v2(data_home=folder, delay=0, **parameters)


def test_the_archive_is_downloaded_once_and_read(server, tmp_path):
    home = tmp_path / "new" / "folder"
    bunch = fetch(home)
    assert bunch.data == [b"first", b"second"]
    np.testing.assert_array_equal(bunch.target, ["a1a", "b2c"])
    np.testing.assert_array_equal(
        bunch.filenames, ["captcha_images_v2/a1a.png", "captcha_images_v2/b2c.png"]
    )
    assert "2345678bcdefgmnpwxy" in bunch.DESCR
    assert (home / NAME).read_bytes() == server.content
    assert os.listdir(home) == [NAME]

    assert fetch(home, download_if_missing=False).data == bunch.data
    assert server.n_requests == 1


def test_return_X_y(server, tmp_path):
    X, y = fetch(tmp_path, return_X_y=True)
    assert X == [b"first", b"second"]
    np.testing.assert_array_equal(y, ["a1a", "b2c"])


def test_the_default_folder_is_that_of_scikit_learn(server, tmp_path, monkeypatch):
    monkeypatch.setenv("SCIKIT_LEARN_DATA", str(tmp_path))
    fetch_captcha_images_v2()
    assert os.listdir(tmp_path) == [NAME]


def test_an_archive_put_there_by_hand_is_taken(server, tmp_path):
    (tmp_path / NAME).write_bytes(server.content)
    assert fetch(tmp_path).data == [b"first", b"second"]
    assert server.n_requests == 0


def test_a_damaged_archive_is_named_and_left_alone(server, tmp_path):
    (tmp_path / NAME).write_bytes(server.content[:-1])
    with pytest.raises(OSError, match=f"{NAME}' is damaged.*Move it away"):
        fetch(tmp_path)
    assert (tmp_path / NAME).read_bytes() == server.content[:-1]
    assert server.n_requests == 0


@pytest.mark.parametrize("failure", ["half", 500, 503])
def test_a_failed_download_is_tried_again(server, tmp_path, failure):
    server.answers = [failure, failure]
    assert fetch(tmp_path, n_retries=2).data == [b"first", b"second"]
    assert server.n_requests == 3


@pytest.mark.parametrize(
    ("answer", "n_requests", "message"),
    [
        ("half", 3, r"could not be downloaded from http.*broke off after \d+ of \d+"),
        (503, 3, "could not be downloaded from http.*503"),
        (404, 1, "could not be downloaded from http.*404.*put it at '.*captcha_im"),
        ("other", 1, "is not the one expected: its git blob id is .* was not kept"),
    ],
)
def test_a_failure_is_explained_and_leaves_nothing(
    server, tmp_path, answer, n_requests, message
):
    server.answers = [answer] * 9
    with pytest.raises(OSError, match=message):
        fetch(tmp_path, n_retries=2)
    assert server.n_requests == n_requests
    assert os.listdir(tmp_path) == []


def test_a_file_far_too_large_is_not_read_to_its_end(server, tmp_path, monkeypatch):
    monkeypatch.setattr(_fetch, "LARGEST_DOWNLOAD", 100)
    with pytest.raises(OSError, match="it has more than 100 bytes"):
        fetch(tmp_path)
    assert os.listdir(tmp_path) == []


def test_offline_the_error_says_where_the_archive_may_be_put(
    server, tmp_path, monkeypatch
):
    # Port 9 of loopback: nothing listens there.
    monkeypatch.setattr(_fetch, "URL", f"http://127.0.0.1:9/{NAME}")
    message = f"from http://127.0.0.1:9/{NAME}.*put it at '{tmp_path / NAME}'"
    with pytest.raises(OSError, match=message):
        fetch(tmp_path, n_retries=1)
    assert os.listdir(tmp_path) == []


def test_an_interrupted_call_leaves_nothing(server, tmp_path, monkeypatch):
    def interrupt(source, destination):
        assert os.listdir(tmp_path) == [os.path.basename(source)]
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        fetch(tmp_path)
    assert os.listdir(tmp_path) == []


def test_a_missing_archive_is_an_error_where_no_download_is_allowed(server, tmp_path):
    with pytest.raises(OSError, match="is missing and download_if_missing=False"):
        fetch(tmp_path, download_if_missing=False)
    assert server.n_requests == 0


def test_archives_are_told_apart_by_their_git_blob_id():
    # `git hash-object` of an empty file.
    assert _fetch._blob_id(b"") == "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"n_retries": -1}, "n_retries=-1 must be an int of at least 0"),
        ({"delay": "1"}, "delay='1' must be a number of seconds, at least 0"),
    ],
)
def test_bad_parameters_are_named(parameters, message):
    with pytest.raises(ValueError, match=message):
        fetch_captcha_images_v2(**parameters)
