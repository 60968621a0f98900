"""A short way for the reactor's turn: what is ready to be read is read, without a log context around each read.

Twisted makes the log prefix of every read and puts it into a context of its own, for a logging system that nobody here
uses; that costs as much as the read. What is not plainly ready to be read goes to Twisted's own way of doing it.

The parts of Twisted that are touched here and are not documented are named in `POLLING`; a reactor without one of them, or
of another kind, stays as it is.
"""

from __future__ import annotations

import sys
from select import EPOLLIN
from typing import Any, Final

from twisted.internet import epollreactor
from twisted.logger import Logger
from twisted.python.failure import Failure

log = Logger()

POLLING: Final = ("_poller", "_selectables", "_doReadOrWrite", "_disconnectSelectable", "doIteration")
#: What one turn takes at most: the list of the kernel is made anew each time. What is ready beyond it comes in the next.
EVENTS_LIMIT: Final = 1024


def shorten_turns(reactor: Any) -> bool:
    """Have `reactor` take the short way, where it is Twisted's epoll reactor as it is known; whether it does."""
    if type(reactor) is not epollreactor.EPollReactor or not all(hasattr(reactor, name) for name in POLLING):
        return False
    poll, selectables = reactor._poller.poll, reactor._selectables
    read_or_write, disconnect = reactor._doReadOrWrite, reactor._disconnectSelectable

    def long_way(selectable: Any, fd: int, event: int) -> None:
        try:
            read_or_write(selectable, fd, event)
        except Exception:  # the boundary, as in Twisted: one connection does not stop the others
            log.failure("a connection could not be served", Failure())

    def turn(timeout: float | None) -> None:
        try:
            ready = poll(-1 if timeout is None else timeout, EVENTS_LIMIT)
        except InterruptedError:
            return
        for fd, event in ready:
            selectable = selectables.get(fd)
            if selectable is None:
                continue
            if event != EPOLLIN:
                long_way(selectable, fd, event)
                continue
            try:
                why = selectable.doRead()
            except Exception:  # the boundary, as in Twisted
                log.failure("a connection could not be read", Failure())
                why = sys.exc_info()[1]
            if why:
                disconnect(selectable, why, True)

    its: Any = reactor
    its.doPoll = its.doIteration = turn
    return True
