"""One database transaction, as the use cases see it. Knows no table and no use case.

Statements are built with SQLAlchemy Core, compiled once per dialect and run on the driver's cursor: a small select
takes 1.3 µs that way and 17 µs through `Connection.execute`, and every message needs several.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from typing import Any, TypeVar

from sqlalchemy import Connection, Integer, Table, bindparam
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql import ClauseElement
from sqlalchemy.types import TypeEngine
from twisted.python.failure import Failure

from ocppd.storage.gathering import Gathered, Insert, Later
from ocppd.storage.gathering_json import GatheredJson

V = TypeVar("V")

#: SQLite's own count of the journal's numbers, which the events' have their part in.
_LAST_NUMBER = "SELECT seq FROM sqlite_sequence WHERE name = 'messages'"
#: The next ones of PostgreSQL's, which all nodes draw from.
_NEXT_NUMBERS = "SELECT nextval('messages_sequence_seq') FROM generate_series(1, %(count)s)"

#: Things that are known of the records, at some 200 bytes each; beyond it all are found out anew.
LORE_LIMIT = 50_000

#: What a statement is given. Only what drivers take as it is: int, str, bytes, bool, None.
Parameters = Mapping[str, int | str | bytes | bool | None]

#: `INSERT … ON CONFLICT` is spelled alike in both, but Core has a class per dialect.
_INSERTS: dict[str, Callable[[Table], Any]] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


class Statement:
    """A statement with named parameters. Every parameter is given at every run.

    It holds no values of its own (`limit(1)`, `x == 1`): as Core sees them those are parameters too.
    """

    __slots__ = ("_build", "_inserts", "_key", "_texts", "apart", "beside", "gathered")

    def __init__(self, statement: ClauseElement) -> None:
        self._begin(lambda dialect: statement)

    def _begin(self, build: Callable[[str], ClauseElement]) -> None:
        self._build = build
        self._texts: dict[str, str] = {}
        self._inserts: dict[str, Insert] = {}
        self._key: tuple[str, ...] = ()
        #: Whether a row may wait for others: an insert of one row that no statement of its kind depends on.
        self.gathered = False
        #: Whether no fact (`Unit.fact`) depends on it.
        self.apart = False
        #: Whether it depends on no row that waits, and takes no number.
        self.beside = False

    def gathering(self, *key: str) -> Statement:
        """The same, where a row may wait for others until another statement is run; no fact depends on it.

        `key`: the parameters that say which row an upsert changes.
        """
        self.gathered = self.apart = True
        self._key = key
        return self

    def setting_apart(self) -> Statement:
        """The same, where no fact depends on it."""
        self.apart = True
        return self

    def standing_beside(self) -> Statement:
        """The same, where it depends on no row that waits and takes no number, and no fact depends on it."""
        self.beside = self.apart = True
        return self

    @classmethod
    def by_dialect(cls, build: Callable[[str], ClauseElement]) -> Statement:
        """One that products need in different ways: `build` gives it by the name of the dialect."""
        statement = cls.__new__(cls)
        statement._begin(build)
        return statement

    @classmethod
    def upsert(cls, table: Table, build: Callable[[Any], ClauseElement]) -> Statement:
        """An insert into `table` with an ON CONFLICT clause, which `build` adds to the dialect's own insert."""
        return cls.by_dialect(lambda dialect: build(_INSERTS[dialect](table)))

    def text(self, connection: Connection) -> str:
        """Its SQL in the dialect of `connection`."""
        dialect = connection.dialect
        text = self._texts.get(dialect.name)
        if text is None:
            text = self._texts[dialect.name] = str(self._compiled(dialect))
        return text

    def insert(self, connection: Connection) -> Insert:
        """The same of one that is gathered."""
        dialect = connection.dialect
        insert = self._inserts.get(dialect.name)
        if insert is None:
            kinds: dict[str, str] = {}
            if dialect.name == "postgresql":
                kinds = {name: _kind(each.type, dialect) for name, each in self._compiled(dialect).binds.items()}
            insert = self._inserts[dialect.name] = Insert(self.text(connection), tuple(kinds.items()), self._key)
        return insert

    def _compiled(self, dialect: Any) -> Any:
        # As for many rows: else PostgreSQL would give back the key of each, which nobody asked for.
        return self._build(dialect.name).compile(dialect=dialect, for_executemany=True)


def _kind(kind: TypeEngine[Any], dialect: Any) -> str:
    """The type of a parameter in SQL; integers with all their bits, as chargers send what has no place in a column."""
    return "BIGINT" if isinstance(kind, Integer) else str(kind.compile(dialect))


def values_of(insert: Any, *names: str) -> Any:
    """`insert`, of whatever dialect, with a parameter of the same name for each of these columns."""
    return insert.values({name: bindparam(name) for name in names})


class Lore:
    """What was found in the records, and is so for ever once it is committed. Forgotten with the process."""

    __slots__ = ("_fresh", "_known")

    def __init__(self) -> None:
        self._known: dict[Any, Any] = {}
        self._fresh: dict[Any, Any] = {}

    def get(self, key: Any) -> Any:
        """What is known of `key`; None where that is nothing."""
        return self._known.get(key)

    def learn(self, key: Any, value: Any) -> None:
        """What the running transaction sees; it may be of its own making, and counts when that is committed."""
        self._fresh[key] = value

    def begin(self) -> None:
        """A transaction begins; what the last one has learned was not committed."""
        if self._fresh:
            self._fresh = {}

    def committed(self) -> None:
        """The transaction is on disk."""
        if self._fresh:
            if len(self._known) + len(self._fresh) > LORE_LIMIT:
                self._known = {}
            self._known.update(self._fresh)
            self._fresh = {}


class Unit:
    """A running transaction. Errors are those of the driver.

    With `together` rows that may wait go as statements of many rows (`gathering`), and what nobody reads at once is not waited
    for: PostgreSQL is sent it in pipelines (psycopg). A batch takes a few round trips in place of thousands. What goes wrong
    with a statement is then raised later. Such a unit is a context manager, at whose end everything has been done.
    """

    __slots__ = (
        "_adders",
        "_connection",
        "_cursor",
        "_drawn",
        "_facts",
        "_gathered",
        "_leave",
        "_number",
        "_pipeline",
        "_pipelines",
        "_row_adders",
        "_sending",
        "alone",
        "gathers",
        "is_bug",
        "lore",
    )

    def __init__(
        self,
        connection: Connection,
        *,
        together: bool = False,
        lore: Lore | None = None,
        is_bug: Callable[[Exception], bool] | None = None,
    ) -> None:
        """`lore` is kept from one unit to the next by who alone writes. `is_bug`: see there."""
        self._connection = connection
        self.lore = Lore() if lore is None else lore
        #: Given after a failure, where each use case is run alone: whether an error is none of the database's doing.
        self.is_bug = is_bug
        self._cursor = self._sending = connection.connection.cursor()
        self._pipelines: Any = getattr(connection.connection.driver_connection, "pipeline", None) if together else None
        self._pipeline: Any = None
        self._leave = ExitStack()
        sqlite = connection.dialect.name == "sqlite"
        #: Whether rows may wait for others here; then those of the journal that do have their numbers from `next_number`.
        self.gathers = together
        #: Whether nobody else writes either, so that numbers are known before their rows are written, and all come from there.
        self.alone = together and sqlite
        self._gathered = (Gathered() if sqlite else GatheredJson()) if together else None
        self._adders: dict[Statement, Callable[[Parameters], None]] = {}
        self._row_adders: dict[Statement, Callable[[tuple[Any, ...]], None]] = {}
        self._facts: dict[Statement, Any] = {}
        #: The last number of the journal, while it is known.
        self._number: int | None = None
        #: Numbers that are still to be drawn.
        self._drawn: list[Later] = []

    def __enter__(self) -> Unit:
        return self

    def __exit__(self, *raised: Any) -> None:
        try:
            if raised[0] is None:
                self._settle()
        except BaseException:
            raised = sys.exc_info()
            raise
        finally:  # whatever went wrong: the connection is not to be left in a pipeline
            self._pipeline, self._sending = None, self._cursor
            self._leave.__exit__(*raised)

    @property
    def connection(self) -> Connection:
        """For statements that are put together at run time, and off the hot path."""
        self.__exit__(None, None, None)
        self._facts.clear()
        return self._connection

    def attempt(self, work: Callable[[Unit], V], forgiven: Callable[[Exception], bool]) -> V | Failure:
        """The result of `work` in a SAVEPOINT of its own, or its Failure, with nothing changed, where that is `forgiven`.

        Raises what is not; and where the whole transaction is gone, which SQLite may do to it when the disk is full.
        """
        savepoint = self.connection.begin_nested()
        try:
            outcome = work(self)
        except Exception as error:
            if not forgiven(error):
                with suppress(Exception):  # the first error is the one to tell; SQLAlchemy is to know that this one is over
                    savepoint.rollback()
                raise
            failure = Failure()
            savepoint.rollback()
            self._facts.clear()
            return failure
        savepoint.commit()
        return outcome

    @property
    def dialect(self) -> str:
        """The name of the product's dialect."""
        return str(self._connection.dialect.name)

    def next_number(self) -> Any:
        """The next number of the journal, for a row that is to have it. Where this unit gathers.

        An int where it writes alone. Else a `Later`, to be put into rows that wait and given back as a result, and for nothing
        else: it is drawn when those are written, so that no number is lost, and numbers are in the order of what happened.
        """
        if not self.alone:
            number = Later()
            self._drawn.append(number)
            return number
        if self._number is None:
            self._settle()
            self._cursor.execute(_LAST_NUMBER)
            row = self._cursor.fetchone()
            self._number = 0 if row is None else int(row[0])
        self._number += 1
        return self._number

    def fact(self, statement: Statement, parameters: Parameters, *, settled: bool = False) -> list[Any]:
        """The rows of a query that many use cases of a transaction ask alike: asked once, until a statement may change it.

        What waits to be written is written before it where it is to be `settled`; else it reads no table of gathered rows.
        """
        rows = self._facts.get(statement)
        if rows is None:
            if settled:
                self._settle()
            self._cursor.execute(statement.text(self._connection), parameters)
            rows = self._facts[statement] = list(self._cursor.fetchall())
        return rows

    def forget(self, statement: Statement) -> None:
        """A row waits that may change this fact."""
        self._facts.pop(statement, None)

    def _settle(self) -> None:
        """Write what waits: a statement follows that may depend on it, or take numbers itself."""
        if self._gathered is None:
            return
        self._number = None
        if self._drawn:
            self._draw()
        if self._gathered:
            if self._pipelines is not None:
                self._send_on()
            self._gathered.write(self._sending)

    def _draw(self) -> None:
        """Give the numbers that rows wait for, in one round trip."""
        if self._pipelines is not None:
            self._send_on()
        drawn, self._drawn = self._drawn, []
        self._cursor.execute(_NEXT_NUMBERS, {"count": len(drawn)})
        for later, (number,) in zip(drawn, self._cursor.fetchall(), strict=True):
            later.value = number

    def send(self, statement: Statement, parameters: Parameters) -> None:
        """Run a statement whose result nobody reads."""
        if self._gathered is not None:
            add = self._adders.get(statement)
            if add is not None:
                add(parameters)
                return
            if statement.gathered:
                add = self._adders[statement] = self._gathered.adder(statement.insert(self._connection))
                add(parameters)
                return
            if not statement.beside:
                self._settle()
        if not statement.apart:
            self._facts.clear()
        if self._pipelines is not None:
            self._send_on()
        self._sending.execute(statement.text(self._connection), parameters)

    def send_row(self, statement: Statement, names: tuple[str, ...], row: tuple[Any, ...]) -> None:
        """The same for a statement that is gathered, with the values of its parameters in the order of `names`."""
        if self._gathered is None:
            self.send(statement, dict(zip(names, row, strict=True)))
            return
        add = self._row_adders.get(statement)
        if add is None:
            add = self._row_adders[statement] = self._gathered.row_adder(statement.insert(self._connection), names)
        add(row)

    def _send_on(self) -> None:
        if self._pipeline is None:
            self._pipeline = self._leave.enter_context(self._pipelines())
            # A cursor of its own: its results come when they come, and are not to be taken for those of a query.
            self._sending = self._connection.connection.cursor()

    def run(self, statement: Statement, parameters: Parameters) -> int:
        """Run a statement that returns no rows; the number of rows it touched."""
        if not statement.apart:
            self._facts.clear()
        if not statement.beside:
            self._settle()
        self._cursor.execute(statement.text(self._connection), parameters)
        if self._pipeline is not None:
            self._pipeline.sync()
        return self._cursor.rowcount

    def one(self, statement: Statement, parameters: Parameters) -> Any:
        """The first row, or None."""
        rows = self.all(statement, parameters)
        return rows[0] if rows else None

    def all(self, statement: Statement, parameters: Parameters) -> list[Any]:
        """All rows. They are fetched at once: a statement with rows left over would hold up the commit."""
        if not statement.apart:
            self._facts.clear()
        if not statement.beside:
            self._settle()
        self._cursor.execute(statement.text(self._connection), parameters)
        return list(self._cursor.fetchall())
