"""Rows that wait (`gathering`) as PostgreSQL takes them: all of one statement as one JSON text. Knows no table.

A statement is then the same for any number of rows, so that the server plans it once, and the driver hands over one parameter
in place of thousands: that takes a tenth of what a statement for each row takes, and no row waits for another one's round trip.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from operator import itemgetter
from typing import Any, Final

import msgspec

from ocppd.storage.gathering import Insert, Later, parts

#: What one text may have: the server takes a GiB, and its memory is wanted for other things. A greater row is one alone.
MOST_BYTES: Final = 4 * 1024 * 1024
_PARAMETER: Final = re.compile(r"%\((\w+)\)s(?:::\w+)?")
_GIVEN: Final = "given"


def _number(value: Any) -> int:
    """A number of the journal that has been drawn by now."""
    if isinstance(value, Later):
        return int(value.value)
    raise TypeError(f"no value of a row: {type(value).__name__}")


_encode = msgspec.json.Encoder(enc_hook=_number).encode


class Spelling:
    """An insert of one row, made one of many."""

    def __init__(self, insert: Insert) -> None:
        kinds = dict(insert.kinds)
        begin, row, end = parts(insert.text)
        #: The parameters of a row, each once.
        self.names = tuple(dict.fromkeys(_PARAMETER.findall(row)))
        columns = ", ".join(f"{name} {'TEXT' if kinds[name] == 'BYTEA' else kinds[name]}" for name in self.names)
        chosen = _PARAMETER.sub(lambda match: _column(match[1], kinds[match[1]]), row)[1:-1]
        insert_into = begin.removesuffix("VALUES ")
        #: With one parameter, `rows`.
        self.text = f"{insert_into}SELECT {chosen} FROM json_to_recordset(%(rows)s::json) AS {_GIVEN}({columns}){end}"
        self._row: Any = msgspec.defstruct("Row", [(name, Any) for name in self.names], gc=False)
        self._key: Any = itemgetter(*map(self.names.index, insert.key)) if insert.key else None

    def texts(self, rows: Sequence[tuple[Any, ...]]) -> Iterator[str]:
        """The rows, whose values come in the order of `names`, in as few texts as they fit into, in their order."""
        for some in self._apart(rows):
            pieces: list[bytes] = []
            size = 0
            for row in some:
                piece = _encode(self._row(*row))
                if pieces and size + len(piece) > MOST_BYTES:
                    yield _joined(pieces)
                    pieces, size = [], 0
                pieces.append(piece)
                size += len(piece)
            yield _joined(pieces)

    def _apart(self, rows: Sequence[tuple[Any, ...]]) -> Sequence[Sequence[tuple[Any, ...]]]:
        """Rows of one key one after the other: a statement that updates refuses to change one row twice."""
        if self._key is None:
            return [rows]
        turns: list[list[tuple[Any, ...]]] = []
        met: dict[Any, int] = {}
        for row in rows:
            key = self._key(row)
            turn = met[key] = met.get(key, -1) + 1
            if turn == len(turns):
                turns.append([])
            turns[turn].append(row)
        return turns


def _column(name: str, kind: str) -> str:
    return f"decode({_GIVEN}.{name}, 'base64')" if kind == "BYTEA" else f"{_GIVEN}.{name}"


def _joined(pieces: list[bytes]) -> str:
    return f"[{b','.join(pieces).decode()}]"


@cache
def spelling(insert: Insert) -> Spelling:
    """Made once for each statement."""
    return Spelling(insert)


class GatheredJson:
    """The rows that wait, by their statement. As `gathering.Gathered`, for PostgreSQL."""

    __slots__ = ("_rows",)

    def __init__(self) -> None:
        self._rows: dict[Spelling, list[tuple[Any, ...]]] = {}

    def adder(self, insert: Insert) -> Callable[[Mapping[str, Any]], None]:
        """See `gathering.Gathered`."""
        one = spelling(insert)
        rows = self._rows.setdefault(one, [])
        return lambda parameters: rows.append(tuple([parameters[name] for name in one.names]))

    def row_adder(self, insert: Insert, names: tuple[str, ...]) -> Callable[[tuple[Any, ...]], None]:
        """See `gathering.Gathered`."""
        one = spelling(insert)
        rows = self._rows.setdefault(one, [])
        if one.names == names:
            return rows.append
        values = itemgetter(*map(names.index, one.names))
        return lambda row: rows.append(values(row))

    def __bool__(self) -> bool:
        return any(self._rows.values())

    def write(self, cursor: Any) -> None:
        """See `gathering.Gathered`."""
        for one, waiting in self._rows.items():
            if waiting:
                rows = waiting.copy()
                waiting.clear()
                for text in one.texts(rows):
                    cursor.execute(one.text, {"rows": text})
