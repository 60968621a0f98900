"""Prints each rule and case of docs/conformance.md with the tests that name it, and fails where a rule has none and no reason.

python tests/conformance.py [RULE …]
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
#: A rule (T-2b), a case (ST-01), a dialogue of certification (TC_037_1).
NAME = r"[A-Z]{1,2}-\d+[a-z]?|TC_\d+(?:_\d)?"
ROW = re.compile(rf"^\| ({NAME}) \| (.+?) \| (.*?) ?\|$", re.MULTILINE)
RULE = re.compile(rf"(?<![\w-])({NAME})(?: to ([A-Z]{{1,2}}-\d+))?(?![\w-])")


def rules() -> dict[str, str]:
    """Each rule with the reason why no test has to name it, empty where one has to."""
    found = ROW.findall((ROOT / "docs" / "conformance.md").read_text(encoding="utf-8"))
    assert len({rule for rule, _, _ in found}) == len(found), "a rule stands there twice"
    return {rule: reason for rule, _, reason in found}


def cited() -> dict[str, list[str]]:
    """Each rule that the docstring of a test of the central system names, with those tests."""
    tests: dict[str, list[str]] = {}
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        if "simulator" in str(path.relative_to(ROOT)):
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                for rule in dict.fromkeys(named(ast.get_docstring(node) or "")):
                    tests.setdefault(rule, []).append(f"{path.relative_to(ROOT)}::{node.name}")
    return tests


def named(text: str) -> Iterator[str]:
    """The rules that a text names; `T-3 to T-5` are three."""
    for first, last in RULE.findall(text):
        yield first
        letter, _, number = re.sub(r"[a-z]$", "", first).partition("-")
        if last.startswith(f"{letter}-"):
            further = range(int(number) + 1, int(last.partition("-")[2]) + 1)
            yield from (f"{letter}-{each:0{len(number)}}" for each in further)


def main(wanted: list[str]) -> int:
    """Print the table; the number of rules that nobody holds."""
    tests = cited()
    missing = 0
    for rule, reason in rules().items():
        if wanted and rule not in wanted:
            continue
        holders = tests.get(rule, [])
        held = f"{len(holders)} tests" if holders else ""
        print(f"{rule:10}{held:12}{reason}")
        for holder in holders:
            print(f"          {holder}")
        if not holders and not reason:
            missing += 1
            print("          NEITHER A TEST NOR A REASON")
    return missing


if __name__ == "__main__":
    sys.exit(1 if main(sys.argv[1:]) else 0)
