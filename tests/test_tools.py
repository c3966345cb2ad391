"""The scripts by which a release is made."""

import importlib.util
import io
import re
import tarfile
import zipfile

import pytest
from support.data import ROOT


def load(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


release, dist = load("check_release"), load("check_dist")

# Versions, changelog and tags


def agree(version="0.2.0", **changes):
    """Arguments of what agrees: 0.2.0 is to come, and 0.1.0 was released."""
    return {
        "versions": {"pyproject.toml": version, "CITATION.cff": version},
        "changelog": [("0.2.0", "unreleased"), ("0.1.0", "2026-12-01")],
        "tags": ["v0.1.0"],
        **changes,
    }


def test_the_versions_of_this_checkout_agree():
    versions, changelog = release.read_versions(ROOT), release.read_changelog(ROOT)
    assert set(versions.values()) == {versions["pyproject.toml"]} != {None}
    tags = [f"v{version}" for version, _ in changelog[1:]]
    assert release.find_disagreements(versions, changelog, tags) == []


def test_what_agrees_is_good_before_at_and_after_a_release():
    assert release.find_disagreements(**agree()) == []
    dated = [("0.2.0", "2027-01-31"), ("0.1.0", "2026-12-01")]
    at = agree(changelog=dated)
    assert release.find_disagreements(**at, release="v0.2.0") == []
    assert release.find_disagreements(**{**at, "tags": ["v0.1.0", "v0.2.0"]}) == []


@pytest.mark.parametrize(
    "changes, tag, said",
    [
        ({"version": "0.3.0"}, None, "CHANGELOG.md begins with 0.2.0, and the version"),
        (
            {"versions": {"pyproject.toml": "0.2.0", "CITATION.cff": "0.1.0"}},
            None,
            "CITATION.cff has the version 0.1.0, and pyproject.toml 0.2.0.",
        ),
        ({"version": "0.2"}, None, "'0.2' is no version such as 1.2.3."),
        ({"tags": []}, None, "There is no tag v0.1.0, which CHANGELOG.md speaks of."),
        (
            {"tags": ["v0.1.0", "v9.9.9"]},
            None,
            "CHANGELOG.md has nothing of the tag v9",
        ),
        ({"changelog": []}, None, "CHANGELOG.md has no heading such as"),
        (
            {"changelog": [("0.2.0", "unreleased"), ("0.1.0", "soon")]},
            None,
            "CHANGELOG.md has no date for 0.1.0",
        ),
        (
            {"changelog": [("0.2.0", "2027-01-31"), ("0.1.0", "2026-12-01")]},
            None,
            "CHANGELOG.md dates 0.2.0, which has no tag",
        ),
        (
            {"changelog": [("0.2.0", "unreleased"), ("0.10.0", "2026-12-01")]},
            None,
            "CHANGELOG.md has 0.2.0 above 0.10.0.",
        ),
        ({}, "v0.2.0", "CHANGELOG.md has no date for 0.2.0, such as 2027-01-31."),
        ({}, "v0.2.1", "The tag is v0.2.1, and the version needs v0.2.0."),
        (
            {"changelog": [("0.2.0", "2027-02-30"), ("0.1.0", "2026-12-01")]},
            "v0.2.0",
            "CHANGELOG.md has no date for 0.2.0",
        ),
    ],
)
def test_what_does_not_agree_is_named(changes, tag, said):
    wrong = release.find_disagreements(**agree(**changes), release=tag)
    assert any(sentence.startswith(said) for sentence in wrong), wrong


# What was built

PROJECT = {
    "name": "skcaptcha",
    "version": "0.1.0",
    "description": "reads",
    "license": "BSD-3-Clause",
    "requires-python": ">=3.11",
    "classifiers": ["Typing :: Typed"],
    "urls": {"Homepage": "https://example.org"},
}
METADATA = """Metadata-Version: 2.4
Name: skcaptcha
Version: 0.1.0
Summary: reads
License-Expression: BSD-3-Clause
License-File: LICENSE
Classifier: Typing :: Typed
Project-URL: Homepage, https://example.org
Requires-Python: >=3.11
Description-Content-Type: text/markdown

# skcaptcha
"""
PACKAGE = {"skcaptcha/__init__.py", "skcaptcha/py.typed"}


def write_wheel(folder, metadata=METADATA, without=(), **more):
    info = "skcaptcha-0.1.0.dist-info"
    files = dict.fromkeys(PACKAGE, "") | {f"{info}/licenses/LICENSE": "BSD"}
    files |= {f"{info}/METADATA": metadata, **more}
    path = folder / "skcaptcha-0.1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name in files.keys() - set(without):
            archive.writestr(name, files[name])
    return path


def write_sdist(folder, *names):
    path = folder / "skcaptcha-0.1.0.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name in {*PACKAGE, *dist.IN_SDIST, *names}:
            content = METADATA.encode() if name == "PKG-INFO" else b""
            member = tarfile.TarInfo(f"skcaptcha-0.1.0/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def test_distributions_that_hold_what_they_should_are_good(tmp_path):
    for path in (write_wheel(tmp_path), write_sdist(tmp_path)):
        assert dist.find_wrong_files(path, PACKAGE) == []
        assert dist.find_wrong_metadata(path, PROJECT) == []


def test_what_is_lacking_or_out_of_place_is_named(tmp_path):
    path = write_wheel(tmp_path, without=["skcaptcha/py.typed"])
    assert "lacks skcaptcha/py.typed" in dist.find_wrong_files(path, PACKAGE)[0]
    license_file = "skcaptcha-0.1.0.dist-info/licenses/LICENSE"
    path = write_wheel(tmp_path, without=[license_file])
    assert "lacks its license" in dist.find_wrong_files(path, PACKAGE)[0]
    for name in (
        "tests/test_x.py",
        "skcaptcha/real.png",
        "skcaptcha/__pycache__/a.pyc",
    ):
        path = write_wheel(tmp_path, **{name: ""})
        (wrong,) = dist.find_wrong_files(path, PACKAGE)
        assert f"holds {name}" in wrong
        (wrong,) = dist.find_wrong_files(write_sdist(tmp_path, name), PACKAGE)
        assert f"holds {name}" in wrong


def test_what_is_too_large_is_named(tmp_path, monkeypatch):
    path = write_wheel(tmp_path)
    monkeypatch.setattr(dist, "MAX_BYTES", 100)
    assert "more than" in dist.find_wrong_files(path, PACKAGE)[0]


@pytest.mark.parametrize(
    "line, other, said",
    [
        ("Version: 0.1.0", "Version: 0.0.9", "Version is 0.0.9, not 0.1.0"),
        ("License-Expression: BSD-3-Clause\n", "", "License-Expression is None"),
        ("Typing :: Typed", "Private :: No", "are not those of pyproject.toml"),
        ("Homepage, ", "Home, ", "its addresses are not"),
        ("# skcaptcha", "", "README.md is not its description"),
    ],
)
def test_metadata_that_is_not_that_of_the_project_is_named(tmp_path, line, other, said):
    path = write_wheel(tmp_path, METADATA.replace(line, other))
    assert any(said in wrong for wrong in dist.find_wrong_metadata(path, PROJECT))


def test_data_that_is_declared_has_to_be_there(tmp_path):
    (tmp_path / "skcaptcha").mkdir()
    (tmp_path / "skcaptcha" / "__init__.py").touch()
    assert dist.list_package(tmp_path, {}) == {"skcaptcha/__init__.py"}
    (tmp_path / "skcaptcha" / "cli").mkdir()
    (tmp_path / "skcaptcha" / "cli" / "page.html").touch()
    expected = {"skcaptcha/__init__.py", "skcaptcha/cli/page.html"}
    for data in ({"skcaptcha.cli": ["*.html"]}, {"*": ["*.html"]}):
        assert dist.list_package(tmp_path, data) == expected
    with pytest.raises(SystemExit, match="declared and not there"):
        dist.list_package(tmp_path, {"skcaptcha": ["py.typed"]})


def test_a_folder_without_distributions_is_said_so(tmp_path, capsys):
    assert dist.main([str(tmp_path), "--no-install"]) == 1
    assert "is not there; build it first, by make dist" in capsys.readouterr().out


# The files about the project


def test_the_files_about_the_project_hold_to_their_schemas(tmp_path, capsys):
    files = load("check_files")
    assert files.main() == 0, capsys.readouterr().out
    bad = tmp_path / "CITATION.cff"
    bad.write_text("cff-version: 1.2.0\nversion: [0]\n")
    name = "vendor.citation-file-format"
    assert "'message' is a required" in files.check_schema(name, ["*.cff"], tmp_path)
    assert "are not there" in files.check_schema(name, ["*.yml"], tmp_path)
    recipe = (ROOT / "recipe" / "recipe.yaml").read_text("utf-8")
    bad = tmp_path / "recipe.yaml"
    bad.write_text(recipe.replace("noarch: python", "noarch: snake"), "utf-8")
    assert files.check_recipe(bad).startswith("recipe.yaml: ")


@pytest.mark.parametrize(
    "line, other, named",
    [
        ("- numpy >=2.0,<3", "- numpy >=1.26", "requirements.run is"),
        ("- pytorch >=2.4.1,<3", "- torch >=2.5,<3", "requirements.run is"),
        ('python_min: "3.11"', 'python_min: "3.10"', "context.python_min is '>=3.10'"),
        ("/skcaptcha/skcaptcha\n", "/other/skcaptcha\n", "about.homepage is"),
        ("license: BSD-3-Clause", "license: MIT", "about.license is 'MIT'"),
        ("__main__:run", "cli:main", "build.python.entry_points is"),
    ],
)
def test_a_recipe_that_is_not_of_the_project_is_named(tmp_path, line, other, named):
    files = load("check_files")
    recipe = (ROOT / "recipe" / "recipe.yaml").read_text("utf-8")
    assert line in recipe
    bad = tmp_path / "recipe.yaml"
    bad.write_text(recipe.replace(line, other), "utf-8")
    said = files.compare_recipe(bad, files.read_project())
    assert said.startswith("recipe.yaml: ") and named in said


def test_addresses_are_those_of_pyproject(tmp_path):
    files = load("check_files")
    urls = files.read_project()["urls"]
    assert files.check_addresses(urls) == ""
    (tmp_path / "README.md").write_text(
        f"See {urls['Repository']}/issues,\n"
        "not https://github.com/another/skcaptcha,\n"
        f"nor {urls['Documentation']}er or (http://skcaptcha.example.org/a), but\n"
        "https://github.com/scikit-learn/scikit-learn\n",
        "utf-8",
    )
    said = files.check_addresses(urls, tmp_path).splitlines()
    assert [line.split(" is none of ")[0] for line in said] == [
        "README.md:2: https://github.com/another/skcaptcha,",
        f"README.md:3: {urls['Documentation']}er",
        "README.md:3: http://skcaptcha.example.org/a",
    ]


# The types


def test_complaints_are_kept_where_there_is_a_stub():
    types = load("check_types")
    lines = ["skcaptcha.metrics.f differs", "skcaptcha.a._b.g differs", "error: mypy"]
    modules = {"skcaptcha", "skcaptcha.metrics", "skcaptcha.a", "skcaptcha.a._b"}
    stubbed = {"skcaptcha", "skcaptcha.metrics", "skcaptcha.a"}
    kept = types.keep_stubbed("\n".join(lines), modules, stubbed)
    assert kept.splitlines() == [lines[0], lines[2]]


def test_every_public_module_has_types():
    types = load("check_types")
    stubbed = types.list_modules(".pyi")
    public = {
        ".".join(name.split(".")[:2])
        for name in types.list_modules(".py")
        if not any(part.startswith("_") for part in name.split("."))
    }
    # Exceptions are classes without signatures; the others are for contributors.
    public -= {"skcaptcha.exceptions", "skcaptcha.labeling"}
    public -= {"skcaptcha.model", "skcaptcha.training"}
    assert public - stubbed == set()
    assert stubbed - types.list_modules(".py") == {"skcaptcha._types"}


@pytest.mark.filterwarnings("ignore:The network has not learned to read")
def test_the_program_whose_types_are_checked_runs():
    from support import typed_program

    read = typed_program.read(typed_program.learn())
    assert len(read["texts"]) == 4 and 0 <= read["score"] <= 1


@pytest.mark.parametrize(
    "name, allowed",
    [
        ("recognizer.CaptchaRecognizer.__init__", False),
        ("recognizer.CaptchaRecognizer.fit", False),
        ("recognizer.CaptchaRecognizer.__sklearn_tags__", True),
        ("recognizer.CaptchaRecognizer.set_fit_request", True),
    ],
)
def test_what_may_differ_from_the_code(name, allowed):
    patterns = load("check_types").ALLOWED.split()
    found = any(re.fullmatch(pattern, f"skcaptcha.{name}") for pattern in patterns)
    assert found == allowed
