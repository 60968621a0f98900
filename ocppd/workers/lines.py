"""Bytes of a pipe as lines, whole and of a bounded length. Pure."""

from __future__ import annotations

from typing import Final

#: A longer one is cut. The longest that the daemon writes by itself is the traceback of an endless recursion.
LONGEST_LINE_BYTES: Final = 256 * 1024
CUT_MARK: Final = " [cut]"


class Lines:
    """Collects what comes until lines are complete."""

    def __init__(self) -> None:
        self._begun = b""
        #: The line that comes is too long, and was given already as far as it goes.
        self._skipping = False

    def feed(self, data: bytes) -> list[str]:
        """The lines that are complete now, without their ends. Bytes that are no UTF-8 are shown as such."""
        *complete, rest = (self._begun + data).split(b"\n")
        self._begun = b""
        found = [line for line in map(self._take, complete) if line is not None]
        if len(rest) > LONGEST_LINE_BYTES:
            line = self._take(rest)
            self._skipping = True
            return found if line is None else [*found, line]
        self._begun = rest
        return found

    def end(self) -> list[str]:
        """The line that was begun and never ended, if any."""
        begun, self._begun = self._begun, b""
        line = self._take(begun) if begun else None
        return [] if line is None else [line]

    def _take(self, line: bytes) -> str | None:
        if self._skipping:
            self._skipping = False
            return None
        shown = line[:LONGEST_LINE_BYTES].removesuffix(b"\r").decode("utf-8", "backslashreplace")
        return shown + CUT_MARK if len(line) > LONGEST_LINE_BYTES else shown
