"""The process of `support/third_party.py` as tests use it."""

from __future__ import annotations

import json
import sys
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from support.examples import example
from support.facts import ACTIONS
from support.programs import SUPPORT, Daemon, Program

#: Every message that a central system may send.
COMMANDS = sorted(action for action, (direction, _) in ACTIONS.items() if direction in ("out", "both"))
BOOT = {"chargePointVendor": "Third", "chargePointModel": "Party", "firmwareVersion": "1.0"}


class Party:
    """A charge point of other people's making, with an answer to every command. A context manager that ends it."""

    def __init__(self, daemon: Daemon, name: str, directory: Path, password: str | None = None) -> None:
        url = daemon.url if password is None else daemon.url.replace("ws://", f"ws://{name}:{password}@")
        self.program = Program([sys.executable, str(SUPPORT / "third_party.py"), url, name], directory)
        self.ask("answers", answers={action: example(f"{action}Confirmation") for action in COMMANDS})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.program.__exit__(kind, error, trace)

    def ask(self, do: str, **wish: Any) -> Any:
        """Make it do something; what it says when it is done. AssertionError where it could not."""
        start = len(self.program.lines)
        self.program.tell(json.dumps({"do": do, **wish}, default=float))
        done = self.program.wait_until(lambda lines: _done(lines[start:]), f"end of {do}")
        assert "failed" not in done, done
        return done["done"]

    def call(self, action: str, **members: Any) -> Any:
        """Call the central system; the payload of its answer."""
        return self.ask("call", action=action, payload=members)

    def answer(self, action: str, answer: Any) -> None:
        """From now on answer this action so: a payload, the name of an error, or None for silence."""
        self.ask("answers", answers={action: answer})

    def boot(self) -> None:
        """Connect and register."""
        assert self.ask("connect") == "ocpp1.6"
        assert self.call("BootNotification", **BOOT)["status"] == "Accepted"

    def received(self, message_id: str) -> Any:
        """The frame with this id, when it has come; numbers with a point as Decimals."""
        return json.loads(json.loads(self.program.wait_for(message_id))["received"], parse_float=Decimal)


def _done(lines: list[str]) -> Any:
    return next((told for told in map(json.loads, lines) if "done" in told or "failed" in told), None)
