"""Find words that the documentation, docstrings and messages avoid.

The rules are in ``prose_rules.txt`` beside this file. ``make lint`` runs it over the
whole project; it prints each match and exits with 1 if there are any.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
RULES = Path(__file__).with_name("prose_rules.txt")
PATTERNS = (
    "*.md",
    "docs/*.rst",
    "docs/reference/*.rst",
    "docs/*.py",
    "examples/**/*.py",
    "skcaptcha/**/*.py",
    "skcaptcha/**/*.html",
    "benchmarks/**/*.py",
)


def read_rules(path=RULES):
    """Return pairs of a compiled expression and what to write instead."""
    rules = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            expression, advice = line.split(" => ", 1)
            words = expression.replace(" ", r"\s+")  # may stand on two lines
            rules.append((re.compile(rf"\b(?:{words})\b", re.IGNORECASE), advice))
    return rules


def find_matches(text, rules):
    """Yield the line, the words and the advice of each match."""
    for expression, advice in rules:
        for match in expression.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            yield line, " ".join(match.group().split()), advice


def main():
    """Check all files; return the exit code."""
    rules, n_found = read_rules(), 0
    for path in sorted({path for p in PATTERNS for path in ROOT.glob(p)}):
        if "node_modules" in path.parts:
            continue
        text = path.read_text(encoding="utf-8")
        for line, words, advice in sorted(find_matches(text, rules)):
            print(f"{path.relative_to(ROOT)}:{line}: {words!r}: {advice}")
            n_found += 1
    return int(n_found > 0)


if __name__ == "__main__":
    sys.exit(main())
