"""What the documentation says of the tests is what they do."""

import re
from pathlib import Path

import checks

PAGE = Path(__file__).parents[1] / "docs" / "with_scikit_learn.rst"


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
