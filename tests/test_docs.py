"""What the documentation says of the tests is what they do."""

import re
from pathlib import Path

import checks
import hostile
import numpy as np

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "with_scikit_learn.rst"


def find_cells(title):
    """Return the first cells of the rows of all tables in the section `title`."""
    _, found, rest = PAGE.read_text(encoding="utf-8").partition(f"{title}\n---")
    assert found, f"{PAGE.name} has no section {title!r}"
    section = re.split(r"\n-{4,}\n", rest.lstrip("-"))[0]
    return re.findall(r"\* - (.+)", section)


def test_the_guide_names_the_checks_that_are_expected_to_fail():
    named = {cell.strip("`") for cell in find_cells("Estimator checks")}
    expected = checks.EXPECTED_FAILURES
    assert expected.keys() == {"CaptchaRecognizer"}
    assert {name for name in named if name.startswith("check_")} == set(
        expected["CaptchaRecognizer"]
    )


def test_the_guide_lists_every_estimator_that_is_checked():
    listed = re.findall(
        r":class:`[~.\w]*?(\w+)`", "\n".join(find_cells("Estimator checks"))
    )
    assert listed == [
        type(estimator).__name__ for estimator in checks.make_estimators()
    ]


def test_every_file_of_tests_that_the_documentation_names_is_there():
    pages = [page.read_text("utf-8") for page in (ROOT / "docs").glob("*.rst")]
    named = set(re.findall(r"(?:tests|benchmarks)/\w+\.py", "\n".join(pages)))
    assert len(named) > 15
    assert [name for name in sorted(named) if not (ROOT / name).is_file()] == []


def test_the_numbers_of_what_is_tested_are_those_of_the_tests():
    page = (ROOT / "docs" / "reliability.rst").read_text("utf-8")
    variants = hostile.make_variants(np.zeros((4, 9), np.uint8))
    assert f"{len(hostile.BAD)} kinds of what is no image" in page
    assert f"{len(variants)} ways to write one image" in page
    properties = (ROOT / "tests" / "test_properties.py").read_text("utf-8")
    n_properties = len(re.findall("^@given", properties, re.MULTILINE))
    assert f"states {n_properties} properties" in page
