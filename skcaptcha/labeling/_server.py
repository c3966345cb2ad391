"""From a folder to a page in the browser, and back to the terminal."""

import os
import secrets
import signal
import socket
import threading
import webbrowser
from contextlib import contextmanager
from pathlib import Path

from skcaptcha._optional import import_optional
from skcaptcha.inspection import sort_issues
from skcaptcha.labeling._catalog import Catalog
from skcaptcha.labeling._session import Session
from skcaptcha.labeling._store import LabelStore
from skcaptcha.labeling._web import make_app

_HOST = "127.0.0.1"  # of this machine alone


class LabelServer:
    """A page to label on, served to this machine until it is closed.

    Parameters
    ----------
    session : Session
        What is labeled.
    port : int, default=0
        Where to serve it; 0 takes one that is free.

    Attributes
    ----------
    url : str
        The address to open, which holds a secret.

    Raises
    ------
    ValueError
        If the port is taken.
    """

    def __init__(self, session, *, port=0):
        waitress = import_optional("waitress.server", "label", "the page")
        self._session = session
        self._token = secrets.token_urlsafe(32)
        bound = _bind(port)
        self.port = bound.getsockname()[1]
        app = make_app(session, token=self._token, port=self.port)
        self._server = waitress.create_server(
            app, sockets=[bound], threads=8, ident=None
        )
        self._is_closed = False
        self.url = f"http://{_HOST}:{self.port}/?token={self._token}"

    def run(self, *, open_browser=True):
        """Serve until Ctrl-C or a request to end; then write everything."""
        if open_browser:
            # Without one that can be opened the address in the terminal is enough.
            threading.Thread(target=_open, args=(self.url,), daemon=True).start()
        try:
            with _end_at_signals():
                self._server.run()
        finally:
            self.close()

    def close(self):
        """Stop to serve, and write everything; more than once does no harm."""
        if not self._is_closed:
            self._is_closed = True
            self._server.close()
            self._session.close()


def open_folder(folder, out, rules, *, background="white", **table):
    """Return the `Session` of a folder that is to be labeled.

    Parameters
    ----------
    folder : path-like
        The images.
    out : path-like
        The table of their labels.
    rules : Rules
        What texts may be.
    background : str or tuple of int, default="white"
        Color behind transparent pixels.
    **table
        How the table is read, as `LabelStore` takes it.
    """
    folder, out = Path(folder), Path(out)
    catalog = Catalog(folder, out.parent, background=background)
    if not catalog.items():
        raise ValueError(
            f"{str(folder)!r} holds no image that could be labeled"
            + _describe_left_out(catalog)
        )
    store = LabelStore(
        out,
        canonical=catalog.canonical,
        is_there=catalog.is_there,
        check=rules.check,
        **table,
    )
    return Session(catalog, store, rules)


def open_issues(paths, labels, found, out, rules, *, background="white", **table):
    """Return the `Session` of labels that are to be checked.

    Parameters
    ----------
    paths, labels : list of str
        The images and their labels.
    found : Bunch
        What `find_label_issues` returns.
    out : path-like
        The table that is corrected; one that is not there yet gets all labels.
    rules : Rules
        What texts may be.
    background : str or tuple of int, default="white"
        Color behind transparent pixels.
    **table
        How the table is read, as `LabelStore` takes it.

    Raises
    ------
    ValueError
        If an image has several labels that differ. One answer would leave some of them
        as they are.
    """
    out = Path(out)
    _refuse_contradictions(paths, labels)
    try:
        folder = os.path.commonpath([os.path.abspath(path) for path in paths])
    except ValueError:  # on several drives of Windows
        folder = out.parent
    catalog = Catalog(folder, out.parent, paths, background=background)
    by_path = {item.path: name for name, item in catalog.items().items()}
    issues = [
        {
            "name": by_path[paths[i]],
            "label": labels[i],
            "read": found.y_pred[i],
            "confidence": float(found.confidence[i]),
            "self_confidence": float(found.self_confidence[i]),
            "likely": bool(found.is_likely_wrong[i]),
        }
        for i in sort_issues(found)
        if found.is_issue[i] and paths[i] in by_path
    ]
    start = None
    if not out.exists():
        start = {
            by_path[p]: y for p, y in zip(paths, labels, strict=True) if p in by_path
        }
    store = LabelStore(
        out,
        canonical=catalog.canonical,
        is_there=catalog.is_there,
        start=start,
        **table,
    )
    return Session(catalog, store, rules, issues)


def _refuse_contradictions(paths, labels):
    by_path = {}
    for path, text in zip(paths, labels, strict=True):
        by_path.setdefault(os.path.realpath(path), set()).add(text)
    several = {path: sorted(texts) for path, texts in by_path.items() if len(texts) > 1}
    if several:
        path, texts = next(iter(several.items()))
        named = " and ".join(map(repr, texts))
        others = f" (and {len(several) - 1} other images)" * (len(several) > 1)
        raise ValueError(
            f"{path!r} has the labels {named}{others}; leave one row of each image in "
            "the table, and start again"
        )


def _describe_left_out(catalog):
    text = ""
    if catalog.n_outside:
        text += f"; {catalog.n_outside} are links that lead out of it"
    if catalog.n_unnamed:
        text += f"; {catalog.n_unnamed} have names that no table can hold"
    return text


def _bind(port):
    """Return a socket at a port of this machine, which no other can reach."""
    bound = socket.socket()
    try:
        if os.name == "posix":  # a page that has just ended holds its port no longer
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((_HOST, port))
    except OSError as error:
        bound.close()
        raise ValueError(
            f"port={port} cannot be used ({error.strerror}); leave it out, and one "
            "that is free is taken"
        ) from error
    return bound


def _open(url):
    try:
        webbrowser.open(url)
    except webbrowser.Error:
        pass


@contextmanager
def _end_at_signals():
    """End as Ctrl-C does when the system asks the process to end."""

    def end(number, frame):
        raise KeyboardInterrupt

    is_main = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGTERM, end) if is_main else None
    try:
        yield
    finally:
        if is_main:
            signal.signal(signal.SIGTERM, before)
