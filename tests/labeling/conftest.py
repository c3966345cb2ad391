"""A folder of images, and its page without a browser."""

import pytest
from PIL import Image
from support.labeling import Page, make_page

from skcaptcha.labeling._rules import Rules
from skcaptcha.labeling._server import open_folder


@pytest.fixture
def folder(captchas, tmp_path):
    """Folder of 40 images, 00.png to 39.png."""
    folder = tmp_path / "images"
    folder.mkdir()
    for i, image in enumerate(captchas[0][:40]):
        Image.fromarray(image).save(folder / f"{i:02}.png")
    return folder


@pytest.fixture
def open_page(folder):
    """Function that opens the page of the folder, and closes it at the end."""
    opened = []

    def open_page(characters=None, length=None, out=None, of=folder):
        session = open_folder(of, out or of / "labels.csv", Rules(characters, length))
        opened.append(session)
        return make_page(session)

    yield open_page
    for session in opened:
        session.store.close(sync=False)


@pytest.fixture
def page(open_page) -> Page:
    """The page of the folder."""
    return open_page()
