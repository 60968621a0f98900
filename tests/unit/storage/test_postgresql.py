"""What errors of PostgreSQL mean, and what is told of a database; without a server."""

from __future__ import annotations

from typing import Any

from sqlalchemy import make_url
from sqlalchemy.exc import OperationalError
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from ocppd.errors import StartFailed
from ocppd.storage.database import Trouble, Unreachable, reason
from ocppd.storage.engine import open_database

try:
    import psycopg
    from psycopg import errors
except ImportError:
    psycopg = None  # type: ignore[assignment]

URL = "postgresql://someone:hush@db.example:5433/ocppd?sslpassword=hush&application_name=a"


class PostgresqlTests(SynchronousTestCase):
    """Tests for `PostgresqlDatabase`."""

    def setUp(self) -> None:
        """A database that is not connected to."""
        if psycopg is None:
            raise SkipTest("psycopg is not installed; pip install '.[test]' brings it")
        self.database = open_database(URL)
        self.addCleanup(self.database.close)

    def test_what_errors_mean(self) -> None:
        """Each kind of error is told from the others, also where SQLAlchemy has wrapped it."""
        from ocppd.storage.postgresql import Unanswered, Unfit

        table: list[tuple[Any, Trouble]] = [
            (errors.DeadlockDetected(), Trouble.CONFLICT),
            (errors.SerializationFailure(), Trouble.CONFLICT),
            (errors.IdleInTransactionSessionTimeout(), Trouble.CONFLICT),
            (psycopg.OperationalError("server closed the connection unexpectedly"), Trouble.BROKEN),
            (psycopg.InterfaceError("the connection is closed"), Trouble.BROKEN),
            (errors.AdminShutdown(), Trouble.BROKEN),
            (errors.CrashShutdown(), Trouble.BROKEN),
            (errors.ConnectionFailure(), Trouble.BROKEN),
            (Unanswered(), Trouble.AWAY),
            (errors.QueryCanceled(), Trouble.AWAY),
            (Unreachable(), Trouble.AWAY),
            (errors.DiskFull(), Trouble.REFUSAL),
            (errors.LockNotAvailable(), Trouble.REFUSAL),
            (errors.ReadOnlySqlTransaction(), Trouble.REFUSAL),
            (errors.InFailedSqlTransaction(), Trouble.REFUSAL),
            (errors.PipelineAborted(), Trouble.REFUSAL),
            (errors.UniqueViolation(), Trouble.BUG),
            (errors.UndefinedTable(), Trouble.BUG),
            (errors.NumericValueOutOfRange(), Trouble.BUG),
            (ValueError(), Trouble.BUG),
            (None, Trouble.BUG),
        ]
        for error, trouble in table:
            self.assertEqual((error, self.database.trouble(error)), (error, trouble))
            if isinstance(error, psycopg.Error):
                self.assertIs(self.database.trouble(OperationalError("SELECT 1", {}, error)), trouble)
        self.assertTrue(issubclass(Unfit, psycopg.OperationalError))

    def test_no_secret_is_told(self) -> None:
        """Neither the name of a database nor its engines show a password or a parameter."""
        self.assertEqual(self.database.name, "database postgresql://db.example:5433/ocppd")
        shown = f"{self.database!r} {self.database.writing!r} {self.database.unusable('gone')}"
        self.assertNotIn("hush@", shown)

    def test_a_key_is_needed(self) -> None:
        """Without a key there are no secrets, and nothing is connected to."""
        for missing in (None, ""):
            with self.assertRaises(StartFailed):
                self.database.prepare(missing, 1)

    def test_reasons_are_one_line(self) -> None:
        """What went wrong is told in one line, without what SQLAlchemy and libpq add to it."""
        error = psycopg.OperationalError("connection  failed\n\tIs the server running?\n")
        self.assertEqual(reason(OperationalError("SELECT 1", {}, error)), "connection failed")
        self.assertEqual(reason(ValueError()), "ValueError()")
        unreachable = Unreachable()
        unreachable.__cause__ = OperationalError("SELECT 1", {}, error)
        self.assertEqual(reason(unreachable), "connection failed")

    def test_urls(self) -> None:
        """The URL that connections are made with is the one that was given, whatever it is called."""
        for scheme in ("postgres", "postgresql", "postgresql+psycopg"):
            database = open_database(URL.replace("postgresql", scheme))
            self.addCleanup(database.close)
            self.assertEqual(database.writing.url, make_url(URL).set(drivername="postgresql+psycopg"))
