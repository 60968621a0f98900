"""Inserts that wait for others of their kind, and go to the database as one statement of many rows. Knows no table.

A statement of SQLite costs more on the way to it than in it: 64 rows in one take a quarter of the time of 64 statements, and
let the reactor's thread go on meanwhile. What may wait is marked (`Statement.gathered`); anything else that is run has what
waits written before it, so that nothing is seen out of order. `gathering_json` has the same for PostgreSQL.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache
from itertools import chain
from operator import itemgetter
from typing import Any, Final, NamedTuple

#: Rows in one statement: a text for each of these sizes is prepared once. A hundred rows are three statements.
SIZES: Final = (256, 128, 64, 32, 16, 8, 4, 2, 1)
_PARAMETER: Final = re.compile(r"(?<!:):(\w+)")
_ROW: Final = " VALUES ("


class Later:
    """Stands for a value that is known when its row is written, at the end of its unit at the latest."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        #: Once it is known.
        self.value: Any = None


class Insert(NamedTuple):
    """An insert of one row."""

    #: In the words of its product, with named parameters.
    text: str
    #: The types of its parameters; empty where the product does not need to be told.
    kinds: tuple[tuple[str, str], ...] = ()
    #: The parameters that one statement may not have twice alike; empty where that does not matter.
    key: tuple[str, ...] = ()


@cache
def many(text: str, rows: int) -> str:
    """`INSERT … VALUES (…) …` with as many rows, its parameters in order of their appearance."""
    begin, row, end = parts(text)
    return begin + ", ".join([_PARAMETER.sub("?", row)] * rows) + end


@cache
def values_of_row(text: str) -> Any:
    """What gives the values of one row, in that order, from its named parameters."""
    return itemgetter(*parameters_of(text))


@cache
def parameters_of(text: str) -> tuple[str, ...]:
    """The names of the parameters of a row, in the order of their appearance."""
    _, row, _ = parts(text)
    return tuple(_PARAMETER.findall(row))


@cache
def parts(text: str) -> tuple[str, str, str]:
    """A statement before its row, the row with its brackets, and what follows."""
    begin = text.index(_ROW) + len(_ROW) - 1
    depth = 0
    for place in range(begin, len(text)):
        depth += (text[place] == "(") - (text[place] == ")")
        if depth == 0:
            return text[:begin], text[begin : place + 1], text[place + 1 :]
    raise ValueError(f"an insert of one row was expected: {text}")


class Gathered:
    """The rows that wait, by the text of their statement."""

    __slots__ = ("_rows",)

    def __init__(self) -> None:
        self._rows: dict[str, list[tuple[Any, ...]]] = {}

    def adder(self, insert: Insert) -> Callable[[Mapping[str, Any]], None]:
        """What adds a row of this statement, given its named parameters."""
        values, rows = values_of_row(insert.text), self._rows.setdefault(insert.text, [])
        return lambda parameters: rows.append(values(parameters))

    def row_adder(self, insert: Insert, names: tuple[str, ...]) -> Callable[[tuple[Any, ...]], None]:
        """The same for rows whose values come in the order of `names`."""
        text = insert.text
        rows, order = self._rows.setdefault(text, []), tuple(map(names.index, parameters_of(text)))
        if order == tuple(range(len(names))):
            return rows.append
        values = itemgetter(*order)
        return lambda row: rows.append(values(row))

    def __bool__(self) -> bool:
        return any(self._rows.values())

    def write(self, cursor: Any) -> None:
        """Hand all of them to the database, those of one statement in their order."""
        for text, waiting in self._rows.items():
            rows = waiting.copy()
            waiting.clear()
            done = 0
            for size in SIZES:
                while len(rows) - done >= size:
                    cursor.execute(many(text, size), list(chain.from_iterable(rows[done : done + size])))
                    done += size
