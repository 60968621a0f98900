"""Reads beside the writer: a few threads, each with a connection that cannot write. Knows no table and no use case."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Any, Concatenate, NoReturn, ParamSpec, Protocol, TypeVar

from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.internet.interfaces import IReactorFromThreads
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from ocppd.errors import StorageUnavailable
from ocppd.storage.database import READERS, Database, Trouble, Unreachable, reason
from ocppd.storage.outage import Outage
from ocppd.storage.unit import Unit
from ocppd.storage.writer import Writer, look, unavailable

T = TypeVar("T")
P = ParamSpec("P")

#: Reads that were accepted and not yet answered; operators ask for them, so more than this is a runaway script.
WAITING_LIMIT = 1_000

#: After a connection could not be made, for so long nobody waits for another one.
PAUSE_S = 0.5


class Runs(Protocol):
    """Something that runs use cases: `Readers`, or a `Writer` where there is but one connection."""

    def submit(self, work: Callable[Concatenate[Unit, P], T], *args: P.args, **kwargs: P.kwargs) -> Deferred[T]:
        """Run `work` in a transaction; fires with its result on the reactor's thread. Fails with StorageUnavailable."""


class Readers:
    """Runs reads in any order, each on one state of the database."""

    _log = Logger()

    def __init__(self, database: Database, writer: Writer, reactor: IReactorFromThreads) -> None:
        assert database.reading is not None
        self._database = database
        self._engine = database.reading
        self._writer = writer
        self._reactor = reactor
        self._outage = Outage("read")
        self._pool = ThreadPool(0, READERS, "ocppd-reader")
        self._waiting = 0
        #: Why no connection could be made when that was tried last, and when to try again.
        self._unreachable: Failure | None = None
        self._again_s = 0.0

    def start(self) -> None:
        """Let threads come when they are needed."""
        self._pool.start()

    def stop(self) -> None:
        """Accept no more; returns when what was accepted has been read."""
        self._pool.stop()

    def submit(self, work: Callable[Concatenate[Unit, P], T], *args: P.args, **kwargs: P.kwargs) -> Deferred[T]:
        """See `Runs.submit`. Cancelling stops the waiting, not the read."""
        if not self._pool.started:
            return fail(StorageUnavailable("storage is not running"))
        if self._waiting >= WAITING_LIMIT:
            return fail(StorageUnavailable(f"{self._waiting} reads are waiting already"))
        if (away := self._away()) is not None:
            return fail(away)
        self._waiting += 1
        result: Deferred[T] = deferToThreadPool(self._reactor, self._pool, self._read, work, args, kwargs)
        return result.addCallbacks(self._done, self._failed)

    def _read(self, work: Callable[..., T], arguments: tuple[Any, ...], keywords: dict[str, Any]) -> T:
        """On a thread of the pool: read, on another connection where this one is gone; all may be."""
        for _ in range(READERS):
            try:
                return self._read_once(work, arguments, keywords)
            except Exception as error:
                if self._database.trouble(error) is not Trouble.BROKEN:
                    raise
        return self._read_once(work, arguments, keywords)

    def _read_once(self, work: Callable[..., T], arguments: tuple[Any, ...], keywords: dict[str, Any]) -> T:
        if (away := self._away()) is not None:
            raise away
        try:
            with self._database.transaction(self._engine) as connection:
                return work(Unit(connection), *arguments, **keywords)
        except Unreachable:
            self._unreachable, self._again_s = Failure(), monotonic() + PAUSE_S
            raise

    def _away(self) -> StorageUnavailable | None:
        """The error of what is asked for while the database cannot be reached, as the writer or a reader found out."""
        if self._unreachable is not None and monotonic() < self._again_s:
            return unavailable(self._unreachable)
        return self._writer.away

    def _done(self, result: T) -> T:
        self._waiting -= 1
        self._outage.end()
        return result

    def _failed(self, failure: Failure) -> NoReturn:
        self._waiting -= 1
        if failure.check(StorageUnavailable, CancelledError):
            failure.raiseException()
        if self._database.trouble(failure.value) is Trouble.BUG:
            self._log.failure("a read failed", failure=failure)
        else:
            self._tell(reason(failure.value))
        raise unavailable(failure)

    def _tell(self, reason: str) -> None:
        """Have the writer look: where the database is away it tells so itself, and tries to reach it."""

        def seen(_: None) -> None:
            self._outage.begin(reason)

        self._writer.submit(look).addCallback(seen).addErrback(lambda failure: failure.trap(StorageUnavailable) and None)
