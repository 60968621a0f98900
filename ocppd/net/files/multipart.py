"""The file in a multipart/form-data body, taken out as it comes. Knows no network and no disk. RFC 7578, RFC 2046 5.1.

Of several parts the first with a file name is taken, the others are skipped. What is kept meanwhile is bounded.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Final

from ocppd.net.files.errors import NotMultipart

FORM_DATA: Final = "multipart/form-data"
#: The headers of a part.
MAX_HEAD_BYTES: Final = 16 * 1024
#: RFC 2046 5.1.1.
MAX_BOUNDARY_LENGTH: Final = 70

_BOUNDARY: Final = re.compile(r';\s*boundary=(?:"([^"]*)"|([^\s;"]+))', re.IGNORECASE)
_FILE_NAME: Final = re.compile(rb'^content-disposition:[^\r\n]*;\s*filename="?([^"\r\n]*)"?', re.IGNORECASE | re.MULTILINE)


class _Where(Enum):
    """Which part of the body comes next."""

    PREAMBLE = "preamble"
    HEAD = "head"
    SKIPPED = "skipped"
    FILE = "file"
    EPILOGUE = "epilogue"


def boundary_of(content_type: str) -> bytes | None:
    """The boundary of a body of this type; None where it is no multipart/form-data. Raises NotMultipart without one."""
    if content_type.partition(";")[0].strip().lower() != FORM_DATA:
        return None
    found = _BOUNDARY.search(content_type)
    boundary = (found[1] or found[2] or "") if found else ""
    if not 1 <= len(boundary) <= MAX_BOUNDARY_LENGTH or not boundary.isascii():
        raise NotMultipart("the Content-Type has no boundary")
    return boundary.encode()


class FormFile:
    """The file in a form. `name` is what its sender calls it, once that has come."""

    def __init__(self, boundary: bytes) -> None:
        self.name = ""
        self._delimiter = b"\r\n--" + boundary
        # The first boundary has no line before it.
        self._rest = b"\r\n"
        self._where = _Where.PREAMBLE
        self._found = False

    def feed(self, data: bytes) -> bytes:
        """What is of the file in the next bytes of the body. Raises NotMultipart."""
        self._rest += data
        file = bytearray()
        while self._step(file):
            pass
        return bytes(file)

    def close(self) -> None:
        """The body is at its end. Raises NotMultipart where there was no whole file in it."""
        if not self._found or self._where in (_Where.FILE, _Where.PREAMBLE):
            raise NotMultipart("the form has no whole file")

    def _step(self, file: bytearray) -> bool:
        """One part of the work; whether there may be more."""
        match self._where:
            case _Where.EPILOGUE:
                self._rest = b""
                return False
            case _Where.HEAD:
                return self._head()
        end = self._rest.find(self._delimiter)
        if end < 0:
            # The last bytes may be the beginning of a boundary.
            keep = min(len(self._rest), len(self._delimiter) - 1)
            self._take(file, len(self._rest) - keep)
            return False
        self._take(file, end)
        after = self._rest[len(self._delimiter) : len(self._delimiter) + 2]
        if len(after) < 2:
            return False
        self._rest = self._rest[len(self._delimiter) :]
        self._where = _Where.EPILOGUE if after == b"--" else _Where.HEAD
        return True

    def _take(self, file: bytearray, count: int) -> None:
        if self._where is _Where.FILE:
            file += self._rest[:count]
        self._rest = self._rest[count:]

    def _head(self) -> bool:
        end = self._rest.find(b"\r\n\r\n")
        if end < 0:
            if len(self._rest) > MAX_HEAD_BYTES:
                raise NotMultipart("a part of the form has too long a head")
            return False
        head, self._rest = self._rest[:end], self._rest[end + 4 :]
        named = _FILE_NAME.search(head)
        if named is None or self._found:
            self._where = _Where.SKIPPED
        else:
            self._where, self._found = _Where.FILE, True
            self.name = named[1].decode("utf-8", "replace")
        return True
