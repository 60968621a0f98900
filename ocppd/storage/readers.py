"""Reads beside the writer: a few threads, each with a connection that cannot write. Knows no table and no use case."""

from __future__ import annotations

from collections.abc import Callable
from typing import Concatenate, NoReturn, ParamSpec, Protocol, TypeVar

from sqlalchemy import Engine
from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IReactorFromThreads
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from ocppd.errors import StorageUnavailable
from ocppd.storage.unit import Unit
from ocppd.storage.writer import is_database_error, unavailable

T = TypeVar("T")
P = ParamSpec("P")

#: Reads that were accepted and not yet answered; operators ask for them, so more than this is a runaway script.
WAITING_LIMIT = 1_000


class Runs(Protocol):
    """Something that runs use cases: `Readers`, or a `Writer` where there is but one connection."""

    def submit(self, work: Callable[Concatenate[Unit, P], T], *args: P.args, **kwargs: P.kwargs) -> Deferred[T]:
        """Run `work` in a transaction; fires with its result on the reactor's thread. Fails with StorageUnavailable."""


class Readers:
    """Runs reads in any order, each on one state of the database."""

    _log = Logger()

    def __init__(self, engine: Engine, reactor: IReactorFromThreads, threads: int) -> None:
        self._engine = engine
        self._reactor = reactor
        self._pool = ThreadPool(0, threads, "ocppd-reader")
        self._waiting = 0

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
        self._waiting += 1

        def read() -> T:
            with self._engine.begin() as connection:
                return work(Unit(connection), *args, **kwargs)

        result: Deferred[T] = deferToThreadPool(self._reactor, self._pool, read)
        return result.addCallbacks(self._done, self._failed)

    def _done(self, result: T) -> T:
        self._waiting -= 1
        return result

    def _failed(self, failure: Failure) -> NoReturn:
        self._waiting -= 1
        if is_database_error(failure, self._engine):
            self._log.error("the database refuses to read: {reason}", reason=failure.getErrorMessage())
        else:
            self._log.failure("a read failed", failure=failure)
        raise unavailable(failure)
