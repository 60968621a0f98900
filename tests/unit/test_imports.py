"""The rooms of docs/architecture.md and the one way of imports between them."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "ocppd"

#: What a room may import of ocppd: rooms, or single modules of one. Everyone may import itself and these.
EVERYONE = frozenset({"errors", "clock", "version"})
ROOMS: dict[str, frozenset[str]] = {
    "__init__": frozenset(),
    "errors": frozenset(),
    "clock": frozenset(),
    "version": frozenset(),
    "config": frozenset(),
    "observe": frozenset(),
    "startup": frozenset(),
    "memory": frozenset(),
    "ocppj": frozenset(),
    "v16": frozenset(),
    "pki": frozenset({"v16"}),
    "central": frozenset({"ocppj", "pki", "v16", "config", "storage.api", "storage.records", "bus.api"}),
    "storage": frozenset({"pki", "v16"}),
    "bus": frozenset({"v16"}),
    "net": frozenset({"central", "ocppj", "pki", "v16", "config", "storage.api", "storage.records"}),
    "simulator": frozenset({"ocppj", "v16"}),
    "user_handlers": frozenset({"central", "v16"}),
    "workers": frozenset({"config", "observe", "net.listening"}),
    "service": frozenset(
        {"config", "observe", "ocppj", "pki", "v16", "central", "storage", "bus", "net", "user_handlers", "workers", "memory"}
    ),
    "tap": frozenset({"config", "observe", "startup", "service", "workers.given"}),
}

#: What a room may not import of other packages.
FORBIDDEN: dict[str, frozenset[str]] = {
    "ocppj": frozenset({"twisted", "autobahn", "klein", "sqlalchemy", "txredisapi", "asyncio", "socket"}),
    "pki": frozenset({"twisted", "autobahn", "klein", "sqlalchemy", "txredisapi", "asyncio", "socket"}),
    "v16": frozenset({"twisted", "autobahn", "klein", "sqlalchemy", "txredisapi", "asyncio", "socket"}),
    "central": frozenset({"autobahn", "klein", "sqlalchemy", "alembic", "sqlite3", "txredisapi", "asyncio", "twisted.web"}),
    "storage": frozenset({"autobahn", "klein", "txredisapi", "asyncio"}),
    "bus": frozenset({"autobahn", "klein", "sqlalchemy", "asyncio"}),
    "net": frozenset({"sqlalchemy", "alembic", "sqlite3", "txredisapi", "asyncio"}),
    "config": frozenset({"twisted", "asyncio"}),
    "simulator": frozenset({"klein", "sqlalchemy", "txredisapi", "asyncio"}),
    "workers": frozenset({"autobahn", "klein", "sqlalchemy", "txredisapi", "asyncio", "subprocess"}),
}

#: Only these may name the global reactor.
REACTOR_OWNERS = frozenset({"ocppd.tap", "ocppd.simulator.__main__"})
#: Modules that take the global reactor when they are imported.
REACTOR_TAKERS = ("klein", "txredisapi", "treq")
#: Rooms that can be imported before a reactor is chosen.
WITHOUT_REACTOR = ("ocppj", "v16", "config", "errors", "clock", "version", "startup", "observe", "workers", "tap")


def modules() -> Iterator[tuple[str, Path]]:
    """Every module of the package with its dotted name."""
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 2 else parts), path


def room_of(module: str) -> str:
    """`ocppd.net.rest.seed` is of the room `net`."""
    return module.split(".")[1]


def imported(path: Path, module: str, *, top_level: bool = False) -> set[str]:
    """The dotted names a module imports, each also with the name that is taken from it."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes: list[ast.AST] = list(tree.body) if top_level else list(ast.walk(tree))
    names: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} has a relative import, line {node.lineno}"
            assert node.module is not None
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def is_of(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


class ImportsTests(SynchronousTestCase):
    """The table of rooms is held by every module."""

    def test_every_room_is_in_the_table(self) -> None:
        """A new room is drawn into the table before it is built."""
        self.assertEqual({room_of(module) for module, _ in modules()} - ROOMS.keys(), set())

    def test_rooms(self) -> None:
        """No module imports from a room that its own may not know."""
        wrong = []
        for module, path in modules():
            room = room_of(module)
            allowed = ROOMS.get(room, frozenset()) | EVERYONE | {room}
            for name in imported(path, module):
                if is_of(name, "ocppd") and name != "ocppd":
                    inside = name.removeprefix("ocppd.")
                    # `from ocppd.storage import api` names the package, too, on the way to the module.
                    if not any(is_of(inside, target) or is_of(target, inside) for target in allowed):
                        wrong.append(f"{module} imports {name}")
        self.assertEqual(wrong, [])

    def test_libraries(self) -> None:
        """No module imports a library that is none of its room's business."""
        wrong = [
            f"{module} imports {name}"
            for module, path in modules()
            for name in imported(path, module)
            if any(is_of(name, library) for library in FORBIDDEN.get(room_of(module), ()))
        ]
        self.assertEqual(wrong, [])

    def test_global_reactor(self) -> None:
        """Only `tap`, and the simulator's command, take the global reactor; all others are given one."""
        wrong = [
            module
            for module, path in modules()
            if module not in REACTOR_OWNERS and "twisted.internet.reactor" in imported(path, module)
        ]
        self.assertEqual(wrong, [])

    def test_tap_takes_the_reactor_late(self) -> None:
        """`tap` takes the reactor, and what takes it by itself, only inside its functions: twistd -r has chosen by then."""
        names = imported(PACKAGE / "tap.py", "ocppd.tap", top_level=True)
        late = ("twisted.internet.reactor", "ocppd.service", *REACTOR_TAKERS)
        self.assertEqual([name for name in names if any(is_of(name, taker) for taker in late)], [])


class ReactorTests(SynchronousTestCase):
    """No reactor is installed by looking at ocppd."""

    def test_plugin_and_options_install_no_reactor(self) -> None:
        """Reading the plugin, the options and the pure rooms installs no reactor, so that twistd can choose one."""
        pure = sorted(module for module, _ in modules() if room_of(module) in WITHOUT_REACTOR)
        program = (
            "import importlib, sys\n"
            f"for name in {pure!r}: importlib.import_module(name)\n"
            "import twisted.plugins.ocppd_plugin\n"
            "import ocppd.tap\n"
            "ocppd.tap.Options()\n"
            "print('twisted.internet.reactor' in sys.modules)\n"
        )
        done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual((done.stdout, done.stderr), ("False\n", ""))
