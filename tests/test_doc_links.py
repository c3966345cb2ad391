"""In a notebook an estimator links to its page of the documentation."""

import re
import tomllib

import pytest
from support import checks
from support.data import ROOT

from skcaptcha import CaptchaRecognizer
from skcaptcha._doc_links import DOCUMENTATION


def list_pages():
    """Names of the pages that docs/reference makes."""
    pages, module = set(), None
    for group in (ROOT / "docs" / "reference").glob("*.rst"):
        for line in group.read_text("utf-8").splitlines():
            if line.startswith(".. currentmodule:: "):
                module = line.split()[-1]
            elif match := re.fullmatch(r" {3}(\w+)", line):
                pages.add(f"{module}.{match[1]}")
    return pages


@pytest.mark.parametrize(
    "estimator", checks.make_estimators(), ids=lambda e: type(e).__name__
)
def test_the_representation_links_to_a_page_that_is_there(estimator):
    html = estimator._repr_html_()
    link = re.search(
        rf'href="{re.escape(DOCUMENTATION)}/generated/([\w.]+)\.html"', html
    )
    assert link[1] in list_pages()
    assert link[1].endswith(f".{type(estimator).__name__}")


def test_the_link_of_the_recognizer():
    html = CaptchaRecognizer()._repr_html_()
    assert f'href="{DOCUMENTATION}/generated/skcaptcha.CaptchaRecognizer.html"' in html


def test_a_class_of_somebody_else_gets_no_link():
    class Own(CaptchaRecognizer):
        pass

    assert DOCUMENTATION not in Own()._repr_html_()


def test_the_address_is_that_of_the_project():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["urls"]["Documentation"] == DOCUMENTATION
