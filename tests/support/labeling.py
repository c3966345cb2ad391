"""The page to label on, as a browser would ask it, and the command in a process."""

import json
import os
import re
import subprocess
import sys
import threading

from skcaptcha.labeling._web import make_app
from support.data import ROOT

TOKEN, PORT = "the-token", 8765
HOST = f"127.0.0.1:{PORT}"

TINY_PARAMS = [
    f"--param={assignment}"
    for assignment in (
        "conv_channels=(8, 16, 32, 64)",
        "lstm_units=16",
        "image_height=16",
        "dropout=0.0",
        "max_iter=2",
    )
]
"""Arguments of `skcaptcha label` by which it learns within a second or two."""


class Page:
    """A browser that has opened the address with the token, in one tab."""

    def __init__(self, session, tab="1"):
        self.session, self.tab = session, tab
        self.app = make_app(session, token=TOKEN, port=PORT)
        self.client = self.app.test_client()
        assert self.get(f"/?token={TOKEN}").status_code == 200

    def get(self, path, **headers):
        base = f"http://{HOST}"
        response = self.client.get(
            path, base_url=base, headers=headers, follow_redirects=True
        )
        assert response.data is not None  # to the end, which closes the file
        response.close()
        return response

    def post(self, what, *, headers=None, raw=None, **body):
        body = {"tab": self.tab, "view": self.tab, **body}
        return self.client.post(
            f"/api/{what}",
            base_url=f"http://{HOST}",
            headers={"Origin": f"http://{HOST}"} if headers is None else headers,
            data=json.dumps(body) if raw is None else raw,
            content_type="application/json",
        )

    def next(self, n=1, have=(), **more):
        return self.post("next", n=n, have=list(have), **more).json["items"]

    def label(self, item, text, status="labeled", seen=None):
        """Answer about an image, as `next` has described it."""
        seen = item["seen"] if seen is None else seen
        answer = {"key": item["key"], "status": status, "text": text, "seen": seen}
        return self.post("answer", answers=[answer])

    def find(self, name):
        """Return what the page shows of an image."""
        session = self.session
        return session.describe(session.catalog.items()[name])


def make_page(session, tab="1"):
    return Page(session, tab)


class Command:
    """`skcaptcha label`, or another command that serves a page, in a process."""

    def __init__(self, *arguments, command="label", cwd=None):
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "skcaptcha", command]
            + [str(a) for a in arguments]
            + ["--no-browser"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=cwd,
            env=environment,
        )
        self.notes = []
        self.url = None
        for line in self.process.stderr:
            self.notes.append(line)
            if match := re.match(r"Open (http://\S+)", line):
                self.url = match[1]
                break
        # Or it would wait for somebody to read what it says.
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        if self.url is None:
            self._finish()
            raise AssertionError(f"no page is served: {''.join(self.notes)}")

    def _read(self):
        self.notes += list(self.process.stderr)

    def kill(self):
        """End it as a loss of power would."""
        self.process.kill()
        self._finish()

    def end(self, number):
        """Send a signal; return the exit code and what went to standard output."""
        self.process.send_signal(number)
        return self._finish()

    def _finish(self):
        code = self.process.wait(60)
        self._reader.join(60)
        output = self.process.stdout.read()
        self.process.stdout.close()
        self.process.stderr.close()
        return code, output
