"""The web page: who may ask, and what each address answers."""

import hmac
import secrets

from skcaptcha._optional import import_optional
from skcaptcha.labeling._events import STATUSES
from skcaptcha.labeling._rules import BadAnswerError
from skcaptcha.labeling._store import ConflictError

_MAX_BYTES = 256 * 1024  # of what a browser may send
_MAX_ITEMS, _MAX_TEXT, _MAX_TAB = 500, 1000, 64
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; img-src 'self'; script-src 'self'; style-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
_REFUSED = (
    "This page opens with the address that the command has printed, its token "
    "included. Copy it from the terminal; it is another one each time."
)


def make_app(session, *, token, port):
    """Return the Flask application.

    Parameters
    ----------
    session : Session
        What is labeled.
    token : str
        The secret in the address.
    port : int
        Where it is served; the only place whose requests are answered.

    Returns
    -------
    flask.Flask
    """
    flask = import_optional("flask", "label", "the page")
    app = flask.Flask(__name__)
    app.config.update(MAX_CONTENT_LENGTH=_MAX_BYTES, MAX_FORM_MEMORY_SIZE=_MAX_BYTES)
    app.json.sort_keys = False
    _guard(app, flask, token, port)
    _add_pages(app, flask, session)
    _add_actions(app, flask, session)
    return app


def _guard(app, flask, token, port):
    """Answer only the browser that has the token, and only this page's requests."""
    cookie, secret = f"skcaptcha-{port}", secrets.token_urlsafe(32)
    names = ("127.0.0.1", "localhost")
    hosts = {f"{name}:{port}" for name in names}
    if port == 80:  # which browsers leave out
        hosts.update(names)

    @app.before_request
    def check():
        request = flask.request
        if request.host not in hosts:  # the name of a site that resolves to here
            return _refuse(flask, "This page is served to this machine alone.")
        given = request.args.get("token", "")
        flask.g.is_new = request.method == "GET" and _equal(given, token)
        if not flask.g.is_new and not _equal(request.cookies.get(cookie, ""), secret):
            return _refuse(flask, _REFUSED)
        site = request.headers.get("Sec-Fetch-Site")
        if site not in (None, "same-origin", "none") and not flask.g.is_new:
            return _refuse(flask, "Another site asked for this.")
        if request.method == "POST":
            origin = request.headers.get("Origin")
            is_ours = origin == f"http://{request.host}"
            if not is_ours and not (origin is None and site == "same-origin"):
                return _refuse(flask, "Another site sent this.")
            if not request.is_json:
                return {"error": "only JSON is taken"}, 415
        return None

    @app.after_request
    def harden(response):
        for name, value in _HEADERS.items():
            response.headers[name] = value
        response.headers.setdefault("Cache-Control", "no-store")
        if flask.g.get("is_new"):
            response.set_cookie(cookie, secret, httponly=True, samesite="Strict")
        return response


def _refuse(flask, reason):
    if flask.request.method == "POST":
        return {"error": reason}, 403
    return flask.render_template("refused.html", reason=reason), 403


def _equal(given, expected):
    return hmac.compare_digest(given.encode(), expected.encode())


def _add_pages(app, flask, session):
    settings = {"rules": session.rules, "is_check": session.issues is not None}

    @app.get("/")
    def show_first():
        name = "check.html" if settings["is_check"] else "label.html"
        return flask.render_template(name, **settings, page="one")

    @app.get("/grid")
    def show_grid():
        if settings["is_check"]:
            flask.abort(404)
        return flask.render_template("grid.html", **settings, page="grid")

    @app.get("/keys")
    def show_keys():
        return flask.render_template("keys.html", **settings, page="keys")

    @app.get("/image/<key>")
    def show_image(key):
        item = session.catalog.get(key)
        if item is None:
            flask.abort(404)
        try:
            data = session.catalog.render(item)
        except (OSError, ValueError):
            flask.abort(404)
        response = flask.Response(data, mimetype="image/png")
        response.headers["Cache-Control"] = "private, max-age=60"
        return response

    @app.errorhandler(404)
    def show_nothing(error):
        return flask.render_template(
            "refused.html", reason="There is no such page."
        ), 404


def _add_actions(app, flask, session):
    """Add what the scripts of the pages ask for, and send."""

    @app.errorhandler(OSError)
    def explain_full_disk(error):
        reason = f"not saved: {error.strerror or error}; make room and try again"
        return {"error": reason}, 507

    @app.post("/api/next")
    def give_next():
        given = _Body(flask)
        view, n, have = given.tab("view"), given.number("n"), given.keys("have")
        if session.issues is not None:
            found = session.next_issues(n, have)
        elif given.get("surest") is True:
            found = session.confident_items(n, have)
        else:
            found = session.next_items(view, n, have)
        return {"items": found, "progress": session.progress()}

    @app.post("/api/look")
    def look():
        """Give what is known by now of images that the page shows."""
        items = map(session.catalog.get, _Body(flask).keys("keys"))
        found = [session.describe(item) for item in items if item is not None]
        return {"items": found, "progress": session.progress()}

    @app.post("/api/answer")
    def answer():
        given = _Body(flask)
        try:
            items = session.answer(given.tab(), given.answers())
        except KeyError:
            reason = "the file of this image is gone; its answer was not saved"
            return {"error": reason, "gone": True}, 410
        except BadAnswerError as error:
            return {"error": str(error)}, 422
        except ConflictError as error:
            items = session.catalog.items()
            found = [session.describe(items[n]) for n in error.names if n in items]
            reason = "another tab, or the table, has another answer by now"
            return {"error": reason, "conflicts": found}, 409
        return {"items": items, "progress": session.progress()}

    @app.post("/api/undo")
    def undo():
        items = session.undo(_Body(flask).tab())
        return {"items": items, "progress": session.progress()}

    @app.post("/api/before")
    def go_back():
        found = session.before(_Body(flask).get("key"))
        return {"items": [found] if found else [], "progress": session.progress()}

    @app.post("/api/again")
    def ask_again():
        n_items = session.ask_again(_Body(flask).tab())
        return {"n": n_items, "progress": session.progress()}

    @app.post("/api/save")
    def save():
        if session.learner is None:
            return {"error": "nothing is learned here"}, 422
        try:
            session.learner.save()
        except BadAnswerError as error:
            return {"error": str(error)}, 422
        return {"progress": session.progress()}


class _Body:
    """What a script has sent, each part checked."""

    def __init__(self, flask):
        self._flask = flask
        self._values = flask.request.get_json(silent=True)
        if not isinstance(self._values, dict):
            self._fail("a JSON object")

    def get(self, name):
        value = self._values.get(name)
        if not isinstance(value, (str, bool, type(None))):
            self._fail(f"{name}, a text")
        return value

    def tab(self, name="tab"):
        tab = self.get(name)
        if not isinstance(tab, str) or not 0 < len(tab) <= _MAX_TAB:
            self._fail(f"{name}, a text")
        return f"tab {tab}"

    def number(self, name):
        n = self._values.get(name)
        if isinstance(n, bool) or not isinstance(n, int) or not 0 <= n <= _MAX_ITEMS:
            self._fail(f"{name}, from 0 to {_MAX_ITEMS}")
        return n

    def keys(self, name):
        keys = self._values.get(name, [])
        if not isinstance(keys, list) or len(keys) > _MAX_ITEMS:
            self._fail(f"{name}, a list of {_MAX_ITEMS} at most")
        if not all(isinstance(key, str) for key in keys):
            self._fail(f"{name}, a list of texts")
        return keys

    def answers(self):
        answers = self._values.get("answers")
        if not isinstance(answers, list) or not 0 < len(answers) <= _MAX_ITEMS:
            self._fail(f"answers, a list of 1 to {_MAX_ITEMS}")
        return [self._answer(answer) for answer in answers]

    def _answer(self, answer):
        if not isinstance(answer, dict):
            self._fail("answers, a list of objects")
        key, text = answer.get("key"), answer.get("text", "")
        status, seen = answer.get("status"), answer.get("seen")
        if not isinstance(key, str):
            self._fail("key, a text")
        if not isinstance(text, str) or len(text) > _MAX_TEXT:
            self._fail(f"text, of {_MAX_TEXT} characters at most")
        if status is not None and status not in STATUSES:
            self._fail(f"status, one of {', '.join(STATUSES)}")
        if isinstance(seen, bool) or not isinstance(seen, int):
            self._fail("seen, a number")
        checked = answer.get("checked", False)
        if not isinstance(checked, bool):
            self._fail("checked, true or false")
        names = "key", "text", "status", "seen", "checked"
        return dict(zip(names, (key, text, status, seen, checked), strict=True))

    def _fail(self, expected):
        response = self._flask.jsonify({"error": f"expected {expected}"})
        response.status_code = 400
        self._flask.abort(response)
