"""What databases spell differently, as SQLAlchemy constructs. Knows no use case."""

from __future__ import annotations

from typing import Any, TypeVar

from sqlalchemy import BigInteger, BindParameter, ColumnElement, Integer, cast, literal_column, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.sql.selectable import GenerativeSelect

T = TypeVar("T", bound=GenerativeSelect)


class NowMs(FunctionElement[int]):
    """The instant by the database's clock, not that of the transaction's begin."""

    type = BigInteger()
    inherit_cache = True


@compiles(NowMs, "sqlite")
def _now_sqlite(element: NowMs, compiler: Any, **options: Any) -> str:
    return "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)"


@compiles(NowMs, "postgresql")
def _now_postgresql(element: NowMs, compiler: Any, **options: Any) -> str:
    return "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)"


class NextSequence(FunctionElement[int]):
    """The number that the next row of the journal would have had. SQLite: for one row, and a trigger takes it as used."""

    type = BigInteger()
    inherit_cache = True


@compiles(NextSequence, "sqlite")
def _next_sqlite(element: NextSequence, compiler: Any, **options: Any) -> str:
    return "(SELECT seq + 1 FROM sqlite_sequence WHERE name = 'messages')"


@compiles(NextSequence, "postgresql")
def _next_postgresql(element: NextSequence, compiler: Any, **options: Any) -> str:
    return "nextval('messages_sequence_seq')"


class OldestRunning(FunctionElement[int]):
    """The lowest transaction that had not ended as this snapshot sees it; null where numbers appear in order."""

    type = BigInteger()
    inherit_cache = True


@compiles(OldestRunning, "postgresql")
def _oldest_postgresql(element: OldestRunning, compiler: Any, **options: Any) -> str:
    return "txid_snapshot_xmin(txid_current_snapshot())"


class ThisTransaction(FunctionElement[int]):
    """A number that is above those of all transactions that have begun; null where numbers appear in order.

    PostgreSQL gives one away for it. The end of the snapshot, `xmax`, would not do: a transaction may run above it.
    """

    type = BigInteger()
    inherit_cache = True


@compiles(ThisTransaction, "postgresql")
def _this_postgresql(element: ThisTransaction, compiler: Any, **options: Any) -> str:
    return "txid_current()"


@compiles(OldestRunning, "sqlite")
@compiles(ThisTransaction, "sqlite")
def _none_sqlite(element: Any, compiler: Any, **options: Any) -> str:
    return "NULL"


class Values(FunctionElement[str]):
    """The values of a JSON array, a row for each, in a column of the name `value`."""

    inherit_cache = True


@compiles(Values, "sqlite")
def _values_sqlite(element: Values, compiler: Any, **options: Any) -> str:
    return f"json_each({compiler.process(element.clauses)})"


@compiles(Values, "postgresql")
def _values_postgresql(element: Values, compiler: Any, **options: Any) -> str:
    return f"json_array_elements_text(CAST({compiler.process(element.clauses)} AS JSON))"


def one_of(column: ColumnElement[Any], values: BindParameter[str]) -> ColumnElement[bool]:
    """Whether a column, of texts or integers, has one of the values of a JSON array, which is the parameter.

    One statement for any number of them. With a parameter for each value it would be another statement for each number of
    values, and drivers keep all of them prepared.
    """
    value: ColumnElement[Any] = literal_column("value")
    if isinstance(column.type, Integer):
        value = cast(value, BigInteger)
    return column.in_(select(value).select_from(Values(values)))


def at_most(query: T, count: int) -> T:
    """The first rows of `query`, for a `Statement`: without an offset of their own SQLite's would have a parameter."""
    return query.limit(literal_column(str(count))).offset(literal_column("0"))
