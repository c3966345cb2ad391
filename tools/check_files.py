"""Check the files about the project: workflows, templates, citation, recipe.

Each is held against its published schema, without the network.
"""

import subprocess
import sys
from pathlib import Path

import rattler_build

ROOT = Path(__file__).resolve().parents[1]
SCHEMAS = {
    "vendor.citation-file-format": ["CITATION.cff"],
    "vendor.dependabot": [".github/dependabot.yml"],
    "vendor.github-issue-config": [".github/ISSUE_TEMPLATE/config.yml"],
    "vendor.github-issue-forms": [".github/ISSUE_TEMPLATE/[!c]*.yml"],
    "vendor.github-workflows": [".github/workflows/*.yml"],
    "vendor.readthedocs": [".readthedocs.yaml"],
}


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


def main():
    """Print what is wrong; return the exit status."""
    wrong = [check_schema(name, patterns) for name, patterns in SCHEMAS.items()]
    wrong.append(check_recipe(ROOT / "recipe" / "recipe.yaml"))
    sys.stdout.write("".join(wrong))
    return int(any(wrong))


if __name__ == "__main__":
    sys.exit(main())
