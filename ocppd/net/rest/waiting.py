"""Work that goes on when its client goes away. Klein cancels a route's Deferred then, through every `await`."""

from __future__ import annotations

from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from ocppd.errors import OcppdError

log = Logger()

T = TypeVar("T")


def shielded(work: Deferred[T]) -> Deferred[T]:
    """What `work` gives. Cancelling this stops the waiting, not the work: whatever was begun is finished."""
    waiting: Deferred[T] = Deferred(lambda _: None)

    def done(result: T) -> None:
        if not waiting.called:
            waiting.callback(result)

    def failed(failure: Failure) -> None:
        if not waiting.called:
            waiting.errback(failure)
        elif not failure.check(OcppdError):
            log.failure("work that nobody waits for any more failed", failure)

    work.addCallbacks(done, failed).addErrback(_log_bug)
    return waiting


def _log_bug(failure: Any) -> None:
    log.failure("after work that a request had begun", failure)
