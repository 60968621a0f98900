"""Finding the class that `--handlers` names, and saying what was wrong."""

from __future__ import annotations

import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from ocppd.central.handlers import CentralSystemHandlers
from ocppd.errors import StartFailed
from ocppd.user_handlers import load_handlers

GOOD = """
from ocppd.central.handlers import CentralSystemHandlers

class Mine(CentralSystemHandlers):
    where = {where!r}
"""


class LoaderTests(SynchronousTestCase):
    """`load_handlers`."""

    def setUp(self) -> None:
        """Two directories: of configs.json, and where the daemon was started; what is imported is forgotten afterwards."""
        base = Path(self.mktemp()).absolute()
        self.config, self.started = base / "config", base / "started"
        for directory in (self.config, self.started):
            directory.mkdir(parents=True)
        path, modules = list(sys.path), dict(sys.modules)

        def restore() -> None:
            sys.path[:] = path
            for name in set(sys.modules) - set(modules):
                del sys.modules[name]
            sys.modules.update(modules)

        self.addCleanup(restore)

    def write(self, path: Path, text: str | None = None, where: str = "") -> None:
        """A file with handlers that know where they are from."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(GOOD.format(where=where) if text is None else text)

    def load(self, spec: str) -> CentralSystemHandlers:
        """The handlers; no warnings are expected."""
        handlers, warnings = load_handlers(spec, [self.config, self.started])
        self.assertEqual(warnings, ())
        return handlers

    def fails(self, spec: str) -> str:
        """The one line of the failure."""
        error = self.assertRaises(StartFailed, load_handlers, spec, [self.config, self.started])
        text = str(error)
        self.assertTrue(text.startswith(f"--handlers {spec}: "))
        self.assertNotIn("\n", text)
        return text

    def test_three_forms(self) -> None:
        """module:Class, package.module.Class and path/to/file.py:Class name the same class."""
        self.write(self.config / "forms" / "__init__.py", "")
        self.write(self.config / "forms" / "inner.py", where="inner")
        self.write(self.config / "forms_plain.py", where="plain")
        for spec, where in (
            ("forms_plain:Mine", "plain"),
            ("forms_plain.Mine", "plain"),
            ("forms.inner.Mine", "inner"),
            ("forms.inner:Mine", "inner"),
            ("forms/inner.py:Mine", "inner"),
            (f"{self.config}/forms/inner.py:Mine", "inner"),
        ):
            self.assertEqual(self.load(spec).where, where, spec)  # type: ignore[attr-defined]

    def test_order_of_search(self) -> None:
        """The directory of configs.json comes before where the daemon was started, also where both are on the path already."""
        for directory, where in ((self.config, "config"), (self.started, "started")):
            self.write(directory / "both_places.py", where=where)
        sys.path[:0] = [str(self.started), str(self.config)]
        self.assertEqual(self.load("both_places:Mine").where, "config")  # type: ignore[attr-defined]
        self.assertEqual(self.load("both_places.py:Mine").where, "config")  # type: ignore[attr-defined]
        self.write(self.started / "second_place.py", where="started")
        self.assertEqual(self.load("second_place:Mine").where, "started")  # type: ignore[attr-defined]

    def test_neighbours(self) -> None:
        """A file may import the files beside it, at its import and later."""
        self.write(self.started / "sub" / "neighbour_now.py", "VALUE = 1")
        later = "\n    def later(self):\n        import neighbour_now as n\n        return n.VALUE\n"
        self.write(self.started / "sub" / "with_neighbours.py", f"import neighbour_now\n{GOOD.format(where='')}{later}")
        self.assertEqual(self.load("sub/with_neighbours.py:Mine").later(), 1)  # type: ignore[attr-defined]

    def test_a_file_named_like_pythons_own(self) -> None:
        """A file called json.py is taken as the handlers, and json stays json."""
        import json

        self.write(self.config / "json.py", where="mine")
        self.assertEqual(self.load("json.py:Mine").where, "mine")  # type: ignore[attr-defined]
        self.assertIs(sys.modules["json"], json)

    def test_not_found(self) -> None:
        """An error names what was searched."""
        for spec in ("nowhere_to_be:Found", "nowhere_to_be.found.Mine"):
            text = self.fails(spec)
            for word in ("nowhere_to_be", str(self.config), str(self.started)):
                self.assertIn(word, text)
        text = self.fails("nowhere.py:Mine")
        self.assertIn(str(self.config / "nowhere.py"), text)
        self.assertIn(str(self.started / "nowhere.py"), text)

    def test_no_such_class(self) -> None:
        """A module without the class is named with its file."""
        self.write(self.config / "without_it.py", "")
        self.assertIn(f"{self.config}/without_it.py has no class Mine", self.fails("without_it:Mine"))

    def test_no_subclass(self) -> None:
        """What is no subclass, or no class at all, is refused."""
        self.write(self.config / "no_subclass.py", "class Mine: pass\nvalue = 5\ndef function(): pass\n")
        for name in ("Mine", "value", "function"):
            self.assertIn("must be a subclass of ocppd.central.handlers.CentralSystemHandlers", self.fails(f"no_subclass:{name}"))

    def test_errors_of_the_users_code(self) -> None:
        """An error while importing or constructing names the user's file and line, not ours."""
        for name, text, expected in (
            ("broken_import", "\nimport not_there_at_all\n", "No module named 'not_there_at_all'"),
            ("broken_syntax", "\ndef (:\n", "SyntaxError"),
            ("broken_value", "\n1 / 0\n", "ZeroDivisionError: division by zero"),
            ("broken_exit", "\nraise SystemExit('no settings')\n", "SystemExit: no settings"),
        ):
            self.write(self.config / f"{name}.py", text)
            for spec in (f"{name}:Mine", f"{name}.py:Mine"):
                found = self.fails(spec)
                self.assertIn(expected, found)
                self.assertIn("importing it failed", found)
                self.assertIn(f"{self.config}/{name}.py, line 2", found)
        init = "\n    def __init__(self):\n        raise KeyError('x')\n"
        self.write(self.config / "broken_init.py", GOOD.format(where="") + init)
        self.assertIn("making a Mine failed: KeyError: 'x'", self.fails("broken_init:Mine"))
        self.write(self.config / "exit_init.py", GOOD.format(where="") + init.replace("KeyError('x')", "SystemExit(5)"))
        self.assertIn("making a Mine failed: SystemExit: 5", self.fails("exit_init:Mine"))
        self.write(self.config / "wide_init.py", GOOD.format(where="") + "\n    def __init__(self, more): pass\n")
        self.assertNotIn("user_handlers.py", self.fails("wide_init:Mine"))

    def test_forms_that_are_none(self) -> None:
        """What is no form at all is told what forms there are."""
        for spec in ("", "Mine", ":", "module:", ":Mine", "module:not-a-name", "a.b:C.D", "file.py:"):
            self.assertIn("expected module:Class, package.module.Class or path/to/file.py:Class", self.fails(spec))

    def test_signatures_are_checked(self) -> None:
        """A handler that cannot take what it is given stops the start, which says what that is."""
        for name, parameters, expected in (
            ("HeartbeatRequestHandler", "self, charger", "(self, charger, request, answer)"),
            ("ResetResponseHandler", "self, charger, request, confirmation, more", "(self, charger, request, confirmation)"),
            ("OCPPErrorHandler", "self", "(self, charger, request, error)"),
        ):
            self.write(self.config / "narrow.py", GOOD.format(where="") + f"\n    def {name}({parameters}): pass\n")
            error = self.assertRaises(StartFailed, load_handlers, "narrow.py:Mine", [self.config])
            self.assertEqual(str(error), f"narrow.Mine.{name} must take {expected}")
        self.write(self.config / "wide.py", GOOD.format(where="") + "\n    def HeartbeatRequestHandler(self, *given): pass\n")
        self.load("wide:Mine")

    def test_names_are_checked(self) -> None:
        """A handler that is never called warns; one of no action stops the start."""
        body = "\n    def AuthorizeResponseHandler(self): pass\n"
        self.write(self.config / "warned.py", GOOD.format(where="") + body)
        _, [warning] = load_handlers("warned:Mine", [self.config])
        self.assertTrue(warning.startswith("Mine.AuthorizeResponseHandler is never called: "))
        self.write(self.config / "misnamed.py", GOOD.format(where="") + "\n    def AuthoriseRequestHandler(self): pass\n")
        error = self.assertRaises(StartFailed, load_handlers, "misnamed:Mine", [self.config])
        self.assertIn("did you mean AuthorizeRequestHandler?", str(error))
