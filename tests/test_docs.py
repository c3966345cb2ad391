"""What the documentation says is so: its code runs, its lists are whole."""

import doctest
import inspect
import re
import textwrap
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import FunctionType

import joblib
import numpy as np
import pytest
from PIL import Image
from sklearn.model_selection import GridSearchCV
from support import checks, hostile
from support.data import ROOT, TINY
from test_architecture import FILES, list_public

import skcaptcha
from skcaptcha import CaptchaRecognizer
from skcaptcha.datasets import load_image_folder

DOCS = ROOT / "docs"
PAGE = DOCS / "with_scikit_learn.rst"
GALLERY = ROOT / "examples" / "gallery"


def find_cells(title):
    """Return the first cells of the rows of all tables in the section `title`."""
    _, found, rest = PAGE.read_text(encoding="utf-8").partition(f"{title}\n---")
    assert found, f"{PAGE.name} has no section {title!r}"
    section = re.split(r"\n-{4,}\n", rest.lstrip("-"))[0]
    return re.findall(r"\* - (.+)", section)


def test_the_guide_names_the_checks_that_are_expected_to_fail():
    named = {cell.strip("`") for cell in find_cells("Estimator checks")}
    expected = checks.EXPECTED_FAILURES
    readers = {"CaptchaRecognizer", "CaptchaEnsemble", "SelfTrainingRecognizer"}
    assert expected.keys() == readers
    # One that takes no weights has fewer checks.
    assert {name for name in named if name.startswith("check_")} == set().union(
        *expected.values()
    )


def test_the_guide_lists_every_estimator_that_is_checked():
    listed = re.findall(
        r":class:`[~.\w]*?(\w+)`", "\n".join(find_cells("Estimator checks"))
    )
    assert listed == [
        type(estimator).__name__ for estimator in checks.make_estimators()
    ]


def list_code_blocks():
    """Blocks of Python that are no doctests, which pytest collects by itself."""
    found = re.findall(
        "```python\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL
    )
    blocks = [pytest.param(source, id="README.md") for source in found]
    for page in sorted(DOCS.glob("*.rst")):
        found = re.findall(
            r"^( *)\.\. code-block:: python\n\n((?:\1 {3}.*\n|\n)+)",
            page.read_text("utf-8"),
            re.MULTILINE,
        )
        blocks += [pytest.param(textwrap.dedent(f), id=page.name) for _, f in found]
    return blocks


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("source", list_code_blocks())
def test_code_that_is_no_doctest_runs(source, captchas, tmp_path, monkeypatch):
    def make_quick(**params):
        return CaptchaRecognizer(**{**TINY, "max_iter": 1, **params})

    by_text = dict(zip(captchas[1], captchas[0], strict=True))
    texts = list(by_text)[:24]
    (tmp_path / "captchas").mkdir()
    for text in texts:
        Image.fromarray(by_text[text]).save(tmp_path / "captchas" / f"{text}.png")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(skcaptcha, "CaptchaRecognizer", make_quick)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)
    names = {
        "CaptchaRecognizer": make_quick,
        "GridSearchCV": GridSearchCV,
        "data": Path("captchas", f"{texts[0]}.png").read_bytes(),
        "images": [by_text[text] for text in texts],
        "joblib": joblib,
        "load_image_folder": load_image_folder,
        "paths": [f"captchas/{text}.png" for text in texts],
        "recognizer": make_quick().fit(captchas[0][:8], captchas[1][:8]),
        "texts": texts,
    }
    exec(compile(source, "block", "exec"), names)


def list_names():
    """Public classes and functions, by dotted name."""
    names = sorted(set().union(*(list_public(path) for path in FILES)))
    return [name for name in names if isinstance(find(name), (type, FunctionType))]


def find(name):
    module, _, attribute = name.rpartition(".")
    return getattr(import_module(module), attribute)


@pytest.mark.parametrize("name", list_names())
def test_every_public_name_has_an_example(name):
    _, found, examples = find(name).__doc__.partition("Examples\n    --------\n")
    assert found and ">>> " in examples


def load_extension(name):
    """Return a module of the documentation's folder."""
    spec = spec_from_file_location(name, DOCS / f"{name}.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def load_groups():
    """The groups of parameters that the reference shows."""
    module = load_extension("parameter_groups")
    return module.GROUPS, module.FIRST


def list_parameters(name):
    """Names of the documented parameters."""
    _, found, rest = inspect.getdoc(find(name)).partition("Parameters\n----------\n")
    section = re.split(r"\n\n\w[\w ]+\n---", rest)[0]
    named = re.findall(r"^(\w[\w, ]*?)(?: : .*)?$", section, re.MULTILINE)
    return [each for names in named for each in names.split(", ")]


@pytest.mark.parametrize("name", sorted(load_groups()[0]))
def test_each_parameter_stands_in_one_group(name):
    groups, first = load_groups()
    groups = dict(groups[name])
    assert len(groups.pop(first, range(3))) == 3
    grouped = [parameter for names in groups.values() for parameter in names]
    assert sorted(grouped) == sorted(inspect.signature(find(name)).parameters)
    assert sorted(grouped) == sorted(list_parameters(name))


def test_what_has_many_parameters_shows_them_by_group():
    groups, first = load_groups()
    many = {name for name in list_names() if len(list_parameters(name)) > 8}
    many = {name for name in many if name != "skcaptcha.recognizer.CaptchaRecognizer"}
    assert many <= {name for name in groups if first in groups[name]}


@pytest.mark.parametrize("name", list_names())
def test_examples_show_what_they_return(name):
    """Three dots stand in an error's traceback alone."""
    examples = doctest.DocTestParser().get_examples(find(name).__doc__)
    assert not any("..." in e.want for e in examples if not e.exc_msg)


def test_the_gallery_has_eight_examples_that_are_run():
    """`make docs` runs what is called ``plot_*`` and ends where one fails."""
    titles = [path.read_text("utf-8").splitlines()[1] for path in GALLERY.glob("*.py")]
    assert len(set(titles)) >= 8
    names = sorted(path.name for path in GALLERY.glob("*.py"))
    numbers = [int(re.fullmatch(r"plot_(\d\d)_\w+\.py", name)[1]) for name in names]
    assert numbers == list(range(1, len(names) + 1))  # the order of the page


def test_every_page_is_led_to():
    tables = [(DOCS / f"{name}.rst").read_text("utf-8") for name in ("index", "guide")]
    listed = re.findall(r"^   \w[^\n]+<([\w/]+)>$", "\n".join(tables), re.MULTILINE)
    pages = {page.stem for page in DOCS.glob("*.rst")} - {"index"}
    pages.discard("sg_execution_times")  # made by the build
    assert {*listed} - {"gallery/index"} == pages


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) < 130


def test_every_file_of_tests_that_the_documentation_names_is_there():
    pages = [page.read_text("utf-8") for page in (ROOT / "docs").glob("*.rst")]
    named = set(re.findall(r"(?:tests|benchmarks)/[\w/]+\.py", "\n".join(pages)))
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


def test_the_command_line_page_has_a_usage_line_of_each_command():
    directive = load_extension("command_line_directive")
    sections = {
        section["ids"][0]: section.astext() for section in directive.make_sections()
    }
    assert "skcaptcha train SOURCE --out FILE [OPTIONS]" in sections["skcaptcha-train"]
    page = sections["skcaptcha-predict"]
    assert "skcaptcha predict MODEL IMAGE [IMAGE ...] [OPTIONS]" in page
    assert page.index("\nArguments\n") < page.index("IMAGE\n\nimage files")
    assert page.index("IMAGE\n\nimage files") < page.index("\nOptions\n")
    assert page.index("\nOptions\n") < page.index("--format {text,csv,jsonl}")
    assert "(default: text)" in page and "--debug" not in page


def test_short_signatures_keep_the_order_and_the_star(monkeypatch):
    monkeypatch.syspath_prepend(str(DOCS))  # it imports another module there
    summary = load_extension("parameter_summary")
    for name, expected in {
        "skcaptcha.CaptchaRecognizer": ["*"],
        "skcaptcha.SelfTrainingRecognizer": ["recognizer=None", "*"],
        "skcaptcha.inspection.label_curve": ["estimator", "X", "y", "*"],
    }.items():
        assert summary.list_first(name, find(name))[: len(expected)] == expected
    members = summary.list_members("skcaptcha.CaptchaEnsemble")
    assert members[:2] == [("method", "fit"), ("method", "predict")]
    assert {("method", "iter_frames"), ("property", "vocabulary_")} <= {*members}
