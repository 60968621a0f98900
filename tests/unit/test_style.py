"""What docs/style.md asks of every module and no other tool holds."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

ROOT = Path(__file__).resolve().parents[2]
LONGEST_FILE = 400
LONGEST_FUNCTION = 40


def sources(*folders: str) -> Iterator[tuple[str, ast.Module, str]]:
    """Every module below the folders: its path, tree and text."""
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            text = path.read_text(encoding="utf-8")
            yield str(path.relative_to(ROOT)), ast.parse(text), text


class StyleTests(SynchronousTestCase):
    """Sizes, docstrings, annotations."""

    def test_modules_say_what_they_are(self) -> None:
        """Every module has a docstring."""
        without = [name for name, tree, _ in sources("ocppd", "twisted", "tests") if ast.get_docstring(tree) is None]
        self.assertEqual(without, [])

    def test_annotations_are_text(self) -> None:
        """Every module of the package that has imports begins them with `from __future__ import annotations`."""
        without = [
            name
            for name, tree, text in sources("ocppd")
            if any(isinstance(node, ast.Import | ast.ImportFrom) for node in tree.body)
            and "from __future__ import annotations" not in text
        ]
        self.assertEqual(without, [])

    def test_files_are_short(self) -> None:
        """A file that grows beyond 400 lines is two files."""
        lengths = {name: len(text.splitlines()) for name, _, text in sources("ocppd")}
        self.assertEqual({name: length for name, length in lengths.items() if length > LONGEST_FILE}, {})

    def test_functions_are_short(self) -> None:
        """A function beyond 40 lines, its docstring aside, is two functions; a migration is a table and stays as it is."""
        long = [
            f"{name}:{node.lineno} {node.name}"
            for name, tree, _ in sources("ocppd")
            if "/migrations/" not in name
            for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and length(node) > LONGEST_FUNCTION
        ]
        self.assertEqual(long, [])

    def test_nothing_is_left_for_later(self) -> None:
        """No module carries a mark of unfinished work."""
        marks = ("TO" + "DO", "FIX" + "ME", "XX" + "X")
        found = [name for name, _, text in sources("ocppd", "twisted", "tests") if any(mark in text for mark in marks)]
        self.assertEqual(found, [])

    def test_tests_are_sentences(self) -> None:
        """Every test says in a sentence what it proves."""
        silent = [
            f"{name}:{node.lineno} {node.name}"
            for name, tree, _ in sources("tests")
            for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            and node.name.startswith("test_")
            and ast.get_docstring(node) is None
        ]
        self.assertEqual(silent, [])


def length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """The lines of a function without its docstring and decorators."""
    body = node.body[1:] if ast.get_docstring(node) is not None else node.body
    if not body:
        return 1
    return (body[-1].end_lineno or 0) - body[0].lineno + 1
