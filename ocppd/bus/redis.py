"""The bus over Redis (redis_session is one time of being connected, scripts what runs there). Imported late: txredisapi.

What one turn of the reactor asks for is sent together: what this node holds, who holds chargers, what is published.
A message to a charger or from one costs Redis nothing; a node that has nothing to say renews its lease once a second.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any, Final

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from ocppd.bus import wire
from ocppd.bus.api import BusMessage, Holder, Listener
from ocppd.bus.backoff import delay_s
from ocppd.bus.delivery import Delivery
from ocppd.bus.outage import Outage, unavailable
from ocppd.bus.presence import Presence
from ocppd.bus.redis_requests import Requests, chunks
from ocppd.bus.redis_servers import Servers
from ocppd.bus.redis_session import Session, together
from ocppd.bus.redis_url import parse_redis_url
from ocppd.bus.scripts import CHUNK
from ocppd.clock import DelayedCall
from ocppd.errors import BusUnavailable

log = Logger()

#: A session that has renewed its lease so often was a good one: the next attempt is made at once.
GOOD_RENEWALS: Final = 2


class RedisBus:
    """A node among others (Bus). Raises StartFailed when the URL, or a file that it names, cannot be read."""

    def __init__(self, url: str, node: str, reactor: Any) -> None:
        self._url = parse_redis_url(url)
        self._servers = Servers(self._url, reactor)
        self._node = node
        self._clock = reactor
        self._listener: Listener | None = None
        self._delivery = Delivery(reactor)
        self._presence = Presence()
        self._requests = Requests()
        self._outage = Outage(reactor)
        #: The end of this turn of the reactor, when something is to be sent then.
        self._turn: DelayedCall | None = None
        self._running: Deferred[None] | None = None
        self._session: Session | None = None
        self._available = False
        self._announcing: Deferred[None] | None = None
        self._stopping = False
        self._stopped: Deferred[None] | None = None
        self._unreadable: set[str] = set()

    @property
    def node(self) -> str:
        """The identity of this node."""
        return self._node

    @property
    def alone(self) -> bool:
        """Always False."""
        return False

    @property
    def available(self) -> bool:
        """Whether the lease was renewed, what is published to this node arrives, and the others know what it holds."""
        return self._available

    # Begin and end

    def start(self, listener: Listener) -> None:
        """Begin. Returns at once: Redis may be reached later."""
        self._listener = listener
        self._running = Deferred.fromCoroutine(self._run())

    def stop(self) -> Deferred[None]:
        """Give up what this node holds, and end, within two deadlines."""
        if self._stopped is None:
            self._stopping = True
            self._stopped = Deferred.fromCoroutine(self._stop())
        done: Deferred[None] = Deferred()

        def tell(outcome: Any) -> Any:
            done.callback(None)
            return outcome

        self._stopped.addBoth(tell)
        return done

    async def _stop(self) -> None:
        self._delivery.stop()
        self._presence.interrupt()
        if self._session is not None:
            await self._leave(self._session)
        self._available = False
        self._end_turn()
        if self._running is not None:
            self._running.addErrback(lambda _: None)
            self._running.cancel()
        if self._session is not None:
            await self._session.closed()

    async def _leave(self, session: Session) -> None:
        """The lease first: from then on nobody takes this node for a holder."""
        left = session.leave()
        released = [session.announce(changes) for changes in chunks(self._presence.everything())]
        try:
            await together(left, *released)
        except BusUnavailable:
            return  # there is no lease, or it ends by itself

    # Sessions

    async def _run(self) -> None:
        attempt = 0
        while True:
            session = self._session = Session(self._url, self._node, self._clock, self._published)
            await self._use(session)
            if self._stopping:
                return
            attempt = 0 if session.renewals >= GOOD_RENEWALS else attempt + 1
            await deferLater(self._clock, delay_s(attempt, random.random()))

    async def _use(self, session: Session) -> None:
        where = str(self._servers)
        try:
            address = await self._servers.find()
            where = str(address)
            await session.open(self._servers.endpoint(address))
            self._presence.restart()
            await self._announce(session)
            if not self._stopping:
                self._is_up(where)
            reason = await session.ended
        except BusUnavailable as error:
            reason = str(error)
        except Exception:
            if self._stopping:
                raise
            log.failure("the connection to Redis failed")
            reason = "an error of ocppd"
        finally:
            self._available = False
            self._presence.interrupt()
            session.end("it is not used any more")
        if not self._stopping:
            self._outage.goes_on(where, reason)

    def _is_up(self, where: str) -> None:
        self._available = True
        self._outage.is_over(where)
        if self._listener is not None:
            self._delivery.now(self._listener.restored)

    async def _announce(self, session: Session) -> None:
        """Tell what waits to be told. One call at a time: what gathers meanwhile is the next one."""
        while not self._stopping and (changes := self._presence.take(CHUNK)):
            newer = await session.announce(changes)
            self._presence.told(changes)
            self._superseded(newer)

    # Use

    def hold(self, charger: str, generation: int) -> None:
        """This node holds the charger by the connection of that generation."""
        self._presence.hold(charger, generation)
        self._begin_turn()

    def release(self, charger: str, generation: int) -> None:
        """This node holds the charger no more, unless by another generation."""
        self._presence.release(charger, generation)
        self._begin_turn()

    def holders(self, chargers: Sequence[str]) -> Deferred[Mapping[str, Holder]]:
        """Who holds these chargers. Fails with BusUnavailable."""
        if not self._available:
            return fail(unavailable(self._outage.reason))
        if not chargers:
            return succeed({})
        self._begin_turn()
        return self._requests.find(chargers)

    def send(self, node: str, message: BusMessage) -> Deferred[bool]:
        """Send a message to a node; to this one without Redis. Fails with BusUnavailable."""
        if node == self._node and self._listener is not None:
            self._delivery.later(self._listener.received, message)
            return succeed(not self._stopping)
        if not self._available:
            return fail(unavailable(self._outage.reason))
        self._begin_turn()
        return self._requests.send(node, wire.write(message).decode())

    def _begin_turn(self) -> None:
        if self._turn is None and self._available and not self._stopping:
            self._turn = self._clock.callLater(0, self._submit)

    def _submit(self) -> None:
        self._turn = None
        session = self._session
        if session is None or not self._available:
            self._requests.refuse(self._outage.reason)
            return
        if self._announcing is None and self._presence:
            self._announcing = Deferred.fromCoroutine(self._announce(session))
            self._announcing.addBoth(self._announced)
        self._requests.submit(session)

    def _announced(self, outcome: Failure | None) -> None:
        self._announcing = None
        if outcome is not None:
            outcome.trap(BusUnavailable)

    def _end_turn(self) -> None:
        if self._turn is not None:
            self._turn.cancel()
            self._turn = None
        self._requests.refuse("this node stops")

    # What is published to this node

    def _published(self, data: bytes) -> None:
        try:
            message = wire.read(data)
        except wire.Unreadable as error:
            if str(error) not in self._unreadable:
                self._unreadable.add(str(error))
                log.warn("a message that was published to this node is dropped, and others like it: {reason}", reason=str(error))
            return
        match message:
            case wire.Pulse(token):
                if self._session is not None:
                    self._session.pulse(token)
            case wire.Superseded(chargers):
                self._superseded(chargers)
            case _:
                if self._listener is not None:
                    self._delivery.now(self._listener.received, message)

    def _superseded(self, newer: Mapping[str, int]) -> None:
        for charger, generation in self._presence.superseded(newer).items():
            if self._listener is not None:
                self._delivery.now(self._listener.superseded, charger, generation)
