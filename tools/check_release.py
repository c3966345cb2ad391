"""Check that the version, the changelog and the tags of git agree.

Between releases the newest heading of CHANGELOG.md is that of the version to come, as
in "## 0.2.0 (unreleased)". For a release it bears a date, as in "## 0.2.0
(2027-01-31)", and the tag is "v0.2.0".
"""

import argparse
import datetime
import re
import subprocess
import sys
import textwrap
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HEADING = re.compile(r"## (\S+) \(([^)]*)\)")


def read_versions(root):
    """Return the version by each of the files that name it."""
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]
    patterns = {
        "skcaptcha/_version.py": r'__version__ = "(.*)"',
        "CITATION.cff": r"version: (.*)",
        "recipe/recipe.yaml": r' {2}version: "?([^"\n]*)"?',
    }
    versions = {"pyproject.toml": project["version"]}
    for name, pattern in patterns.items():
        text = (root / name).read_text("utf-8")
        match = re.search(rf"^{pattern}$", text, re.MULTILINE)
        versions[name] = match[1] if match else None
    return versions


def read_changelog(root):
    """Return (version, date) of each heading, the newest first."""
    text = (root / "CHANGELOG.md").read_text("utf-8")
    lines = [line for line in text.splitlines() if line.startswith("## ")]
    found = []
    for line in lines:
        match = HEADING.fullmatch(line)
        found.append(match.groups() if match else (line, None))
    return found


def as_numbers(version):
    """Return a version such as "0.10.2" as numbers that can be compared, or None."""
    if not re.fullmatch(r"\d+(\.\d+){2}", version or ""):
        return None
    return tuple(map(int, version.split(".")))


def is_date(text):
    """Tell whether a text is a date such as 2027-01-31."""
    try:
        return str(datetime.date.fromisoformat(text)) == text
    except (TypeError, ValueError):
        return False


def find_disagreements(versions, changelog, tags, release=None):
    """Say what does not agree, as a list of sentences.

    Parameters
    ----------
    versions : dict
        The version by each file that names it.
    changelog : list of (version, date)
        The headings of the changelog, the newest first.
    tags : list of str
        The tags of git that begin with "v".
    release : str, optional
        The tag to release; without it, the state between two releases is checked.
    """
    version = versions["pyproject.toml"]
    wrong = [
        f"{name} has the version {found}, and pyproject.toml {version}."
        for name, found in versions.items()
        if found != version
    ]
    if as_numbers(version) is None:
        return [*wrong, f"{version!r} is no version such as 1.2.3."]
    if not changelog:
        return [*wrong, "CHANGELOG.md has no heading such as ## 0.1.0 (unreleased)."]
    newest, date = changelog[0]
    if newest != version:
        wrong.append(
            f"CHANGELOG.md begins with {newest}, and the version is {version}."
        )
    for (later, _), (earlier, _) in zip(changelog, changelog[1:], strict=False):
        numbers = as_numbers(later), as_numbers(earlier)
        if None not in numbers and numbers[0] <= numbers[1]:
            wrong.append(f"CHANGELOG.md has {later} above {earlier}.")
    for earlier, day in changelog[1:]:
        if not is_date(day):
            wrong.append(f"CHANGELOG.md has no date for {earlier}, such as 2027-01-31.")
        if f"v{earlier}" not in tags:
            wrong.append(f"There is no tag v{earlier}, which CHANGELOG.md speaks of.")
    known = {f"v{name}" for name, _ in changelog}
    wrong += [
        f"CHANGELOG.md has nothing of the tag {tag}."
        for tag in tags
        if tag not in known
    ]
    if release is None:
        if date != "unreleased" and f"v{version}" not in tags:
            wrong.append(
                f"CHANGELOG.md dates {version}, which has no tag; write (unreleased), "
                f"or release it with --release v{version}."
            )
        return wrong
    if release != f"v{version}":
        wrong.append(f"The tag is {release}, and the version needs v{version}.")
    if not is_date(date):
        wrong.append(f"CHANGELOG.md has no date for {newest}, such as 2027-01-31.")
    return wrong


def list_tags(root):
    """Return the tags of versions, or a SystemExit where git does not say."""
    done = subprocess.run(
        ["git", "tag", "--list", "v*"], cwd=root, capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(f"git does not list its tags: {done.stderr.strip()}")
    return done.stdout.split()


def main(argv=None):
    """Print what does not agree; return the exit status."""
    parser = argparse.ArgumentParser(
        description=textwrap.fill(" ".join(__doc__.split())),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--release", metavar="TAG", help="check this tag, as v0.2.0")
    options = parser.parse_args(argv)
    wrong = find_disagreements(
        read_versions(ROOT), read_changelog(ROOT), list_tags(ROOT), options.release
    )
    for sentence in wrong:
        print(sentence)
    if not wrong:
        print(f"{read_versions(ROOT)['pyproject.toml']}: all agree")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
