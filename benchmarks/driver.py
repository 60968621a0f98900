"""The load generator as the run sees it: a process on the cores that the server has not, and what it answers."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from measure import cores
from servers import BenchmarkError

SCRIPT = Path(__file__).with_name("generator.py")
#: Nothing that it is told takes longer, apart from the seconds it is told.
PATIENCE_S = 300.0


def progress(text: str) -> None:
    """What is going on, for whoever watches."""
    end = "\r" if sys.stderr.isatty() else "\n"
    sys.stderr.write(f"\x1b[K{text}{end}" if sys.stderr.isatty() else f"{text}{end}")
    sys.stderr.flush()


class Generator:
    """A context manager that ends it."""

    def __init__(self) -> None:
        core = cores()[1]
        self._received = b""
        self.process = subprocess.Popen(
            [sys.executable, str(SCRIPT)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            preexec_fn=None if core is None else lambda: os.sched_setaffinity(0, core),  # noqa: PLW1509
        )

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        """Tell it something; its answer. Raises BenchmarkError where it fails, or says nothing."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"do": do, **arguments}).encode() + b"\n")
        self.process.stdin.flush()
        deadline = time.monotonic() + PATIENCE_S + float(arguments.get("seconds", 0))
        while True:
            answer: dict[str, Any] = json.loads(self._line(deadline))
            if "progress" in answer:
                progress(answer["progress"])
            elif "error" in answer:
                raise BenchmarkError(answer["error"])
            else:
                return answer

    def _line(self, deadline: float) -> bytes:
        assert self.process.stdout is not None
        descriptor = self.process.stdout.fileno()
        while b"\n" not in self._received:
            ready, _, _ = select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))
            data = os.read(descriptor, 65536) if ready else b""
            if not data:
                raise BenchmarkError("the load generator says nothing")
            self._received += data
        line, _, self._received = self._received.partition(b"\n")
        return line

    def __enter__(self) -> Generator:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()
