"""The role ``drawn``: a picture of what `make_captchas` draws.

Its text is `plain` for plain print, or what is added to it, such as `lines=10`. Nothing
but the drawing function has a part in the pictures.
"""

import ast
import inspect
import re
import string
from pathlib import Path

from docutils import nodes
from PIL import Image

from skcaptcha.datasets import make_captchas

ALPHABET = string.digits + string.ascii_lowercase


def list_disturbances():
    """Return the parameters that are 0 in plain print: `rotation` and all after it."""
    names = list(inspect.signature(make_captchas).parameters)
    return names[names.index("rotation") : names.index("random_state")]


def draw(words):
    """Return an image of the parameters, such as ``lines=10, noise=80``."""
    params = dict.fromkeys(list_disturbances(), 0)
    if words != "plain":
        call = ast.parse(f"f({words})", mode="eval").body
        params |= {k.arg: ast.literal_eval(k.value) for k in call.keywords}
    look = {"vocabulary": ALPHABET, "color": True, "random_state": 0}
    images, _ = make_captchas(1, **look, **params)
    return Image.fromarray(images[0])


def show_drawn(role, rawtext, text, lineno, inliner, options=None, content=None):
    """Draw the picture and return it, with the parameters as its alternative text."""
    folder = Path(inliner.document.settings.env.srcdir) / "generated" / "drawn"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{re.sub(r'[^a-z0-9.]+', '_', text)}.png"
    draw(text).save(path)
    alt = "Plain print" if text == "plain" else f"Plain print with {text}"
    return [nodes.image(rawtext, uri=f"/generated/drawn/{path.name}", alt=alt)], []


def setup(app):
    """Register the role."""
    app.add_role("drawn", show_drawn)
    return {"parallel_read_safe": True}
