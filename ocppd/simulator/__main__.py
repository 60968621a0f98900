"""`python -m ocppd.simulator`: runs a crowd of chargers on the global reactor, until it is done or told to stop."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import LogEvent, LogLevel, eventAsText, globalLogBeginner

from ocppd.simulator.arguments import parse
from ocppd.simulator.crowd import Crowd


def main(arguments: Sequence[str]) -> int:
    """Run; the result is the exit status: 0 when all went well, 1 where something failed."""
    from twisted.internet import reactor as installed

    reactor: Any = installed
    given = parse(arguments)
    observers: list[Any] = [_say_failure]
    globalLogBeginner.beginLoggingTo(observers, redirectStandardIO=False, discardBuffer=True)
    crowd = Crowd(given.plan, given.options, reactor, _ignore if given.quiet else _say)
    reactor.callWhenRunning(crowd.start)
    reactor.addSystemEventTrigger("before", "shutdown", crowd.stop)
    if given.plan.once:
        finished: Deferred[None] = crowd.finished.wait()
        finished.addCallback(lambda _: reactor.stop())
    reactor.run()
    _say(crowd.summary())
    return _status(crowd, given.plan.once)


def _status(crowd: Crowd, once: bool) -> int:
    """Without --once nothing had to be finished: only what was refused counts."""
    refused = crowd.failures or any(charger.counts.errors for charger in crowd.chargers)
    return int(not crowd.successful if once else bool(refused))


def _say(line: str) -> None:
    print(line, flush=True)


def _say_failure(event: LogEvent) -> None:
    """Of everything that Twisted and Autobahn log, only failures are worth a line."""
    if (event.get("log_level") or LogLevel.info) >= LogLevel.error:
        print(eventAsText(event), file=sys.stderr, flush=True)


def _ignore(_: str) -> None:
    pass


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
