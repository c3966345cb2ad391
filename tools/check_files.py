"""Check the files about the project: workflows, templates, citation, recipe.

Each is held against its published schema, without the network, and against
pyproject.toml, which alone says where the project and its documentation are.
"""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import rattler_build
from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[1]
SCHEMAS = {
    "vendor.citation-file-format": ["CITATION.cff"],
    "vendor.dependabot": [".github/dependabot.yml"],
    "vendor.github-issue-config": [".github/ISSUE_TEMPLATE/config.yml"],
    "vendor.github-issue-forms": [".github/ISSUE_TEMPLATE/[!c]*.yml"],
    "vendor.github-workflows": [".github/workflows/*.yml"],
    "vendor.readthedocs": [".readthedocs.yaml"],
}


# Files that may name an address of the project.
NAMING = [
    "*.cff",
    "*.md",
    ".github/**/*.md",
    ".github/**/*.yml",
    "docs/*.py",
    "docs/*.rst",
    "pyproject.toml",
    "recipe/*.yaml",
    "skcaptcha/**/*.py",
]
# One that has the project's name in it, but for that of an uploaded distribution.
ADDRESS = re.compile(r"https?://(?!pypi\.org/)[^\s\"'<>)`]*\bskcaptcha\b[^\s\"'<>)`]*")


def check_schema(name, patterns, root=ROOT):
    """Return what is wrong with the files of a schema, as the output of its checker."""
    files = [path for pattern in patterns for path in sorted(root.glob(pattern))]
    if not files:
        return f"{patterns} are not there\n"
    line = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", name, *files]
    done = subprocess.run(
        [*map(str, line)], capture_output=True, text=True, encoding="utf-8"
    )
    return done.stdout + done.stderr if done.returncode else ""


def check_recipe(path):
    """Return what is wrong with the recipe for conda-forge; render it to find out."""
    try:
        recipe = rattler_build.Stage0Recipe.from_file(str(path))
        packages = recipe.render(rattler_build.VariantConfig())
    except rattler_build.RattlerBuildError as error:
        return f"{path.name}: {error}\n"
    return "" if len(packages) == 1 else f"{path.name} makes {len(packages)} packages\n"


def read_project(root=ROOT):
    """Return the table [project] of pyproject.toml."""
    return tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]


def compare_recipe(path, project):
    """Return where the recipe is not what pyproject.toml says."""
    recipe = YAML(typ="safe").load(path.read_text("utf-8"))
    about, urls = recipe["about"], project["urls"]
    commands = [f"{name} = {call}" for name, call in project["scripts"].items()]
    python, *needed = recipe["requirements"]["run"]
    needed = [line.replace(" ", "").replace("pytorch", "torch") for line in needed]
    pairs = {
        "about.documentation": (about["documentation"], urls["Documentation"]),
        "about.homepage": (about["homepage"], urls["Homepage"]),
        "about.license": (about["license"], project["license"]),
        "about.license_file": ([about["license_file"]], project["license-files"]),
        "about.repository": (about["repository"], urls["Repository"]),
        "about.summary": (about["summary"], project["description"]),
        "build.python.entry_points": (
            recipe["build"]["python"]["entry_points"],
            commands,
        ),
        "context.python_min": (
            f">={recipe['context']['python_min']}",
            project["requires-python"],
        ),
        "package.name": (recipe["package"]["name"], project["name"]),
        "requirements.run": (sorted(needed), sorted(project["dependencies"])),
        "requirements.run[0]": (python, "python >=${{ python_min }}"),
    }
    return "".join(
        f"{path.name}: {key} is {found!r}, and pyproject.toml has {expected!r}\n"
        for key, (found, expected) in pairs.items()
        if found != expected
    )


def check_addresses(urls, root=ROOT):
    """Return the addresses of the project in its files that are none of `urls`."""
    known = (urls["Repository"], urls["Documentation"])
    wrong = ""
    for path in sorted({path for name in NAMING for path in root.glob(name)}):
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
            for address in ADDRESS.findall(line):
                if not re.match(rf"({'|'.join(map(re.escape, known))})(/|$)", address):
                    wrong += (
                        f"{path.relative_to(root)}:{number}: {address} is none of "
                        f"{', '.join(known)}, which pyproject.toml has\n"
                    )
    return wrong


def main():
    """Print what is wrong; return the exit status."""
    project, recipe = read_project(), ROOT / "recipe" / "recipe.yaml"
    wrong = [check_schema(name, patterns) for name, patterns in SCHEMAS.items()]
    wrong.append(check_recipe(recipe))
    wrong.append(compare_recipe(recipe, project))
    wrong.append(check_addresses(project["urls"]))
    sys.stdout.write("".join(wrong))
    return int(any(wrong))


if __name__ == "__main__":
    sys.exit(main())
