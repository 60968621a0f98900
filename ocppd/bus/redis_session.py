"""One time of being connected to Redis: a connection for commands, one that is published to, and the lease of the node.

All of it is good or none is: where one part fails the session is over, and the next one begins from nothing. Once a
second the lease is renewed and a pulse is published to the node itself: that it arrives proves both connections, and
that they are to the same server.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from secrets import token_hex
from typing import Any, Final

import msgspec
from twisted.internet.defer import CancelledError, Deferred, FirstError, fail, gatherResults
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from ocppd.bus import wire
from ocppd.bus.api import LEASE_S, Holder
from ocppd.bus.presence import Change
from ocppd.bus.redis_link import NO_REDIS, Connection, Subscription, connect
from ocppd.bus.redis_url import RedisUrl
from ocppd.bus.scripts import ANNOUNCE, CHANNEL, FIND, HOLDERS, LEASE, PUBLISH, RENEW, SCRIPTS, Script
from ocppd.errors import BusUnavailable

#: Five renewals may be lost before the node is taken for dead.
RENEWAL_S: Final = 1.0

encode = msgspec.json.encode
_newer = msgspec.json.Decoder(dict[str, int])
_entries = msgspec.json.Decoder(list[str])
_receivers = msgspec.json.Decoder(list[int])


class Session:
    """Opened once, used until `ended` fires. Each Deferred fails with BusUnavailable and nothing else."""

    def __init__(self, url: RedisUrl, node: str, clock: Any, received: Callable[[bytes], None]) -> None:
        self._url = url
        self._node = node
        self._clock = clock
        self._received = received
        self._connections: list[Connection] = []
        self._commands: Connection | None = None
        self._subscription: Subscription | None = None
        self._token: str | None = None
        self._renewing: Deferred[None] | None = None
        self._leaving = False
        #: Why it is over.
        self._reason: str | None = None
        #: How often the lease was renewed.
        self.renewals = 0
        #: Fires with the reason when the session is over.
        self.ended: Deferred[str] = Deferred()

    # Begin and end

    async def open(self, endpoint: Any) -> None:
        """Connect by an IStreamClientEndpoint, and take the lease. Raises BusUnavailable."""
        commands = await self._connect(endpoint, lambda: Connection(self._clock))
        await together(*(commands.command("SCRIPT", "LOAD", script.text) for script in SCRIPTS))
        subscription = await self._connect(endpoint, lambda: Subscription(self._clock, self._received))
        await subscription.command("SUBSCRIBE", CHANNEL + self._node)
        self._commands, self._subscription = commands, subscription
        await self._renew()
        self._renewing = Deferred.fromCoroutine(self._keep_lease())
        self._renewing.addErrback(self._lease_lost)

    def end(self, reason: str) -> None:
        """Close both connections, and say why."""
        if self._reason is not None:
            return
        self._reason = reason
        for connection in self._connections:
            connection.abort(reason)
        if self._renewing is not None:
            self._renewing.cancel()
        self.ended.callback(reason)

    def closed(self) -> Deferred[Any]:
        """Fires when its sockets are closed."""
        return gatherResults([connection.closed for connection in self._connections])

    async def _connect(self, endpoint: Any, build: Callable[[], Any]) -> Any:
        connection = await connect(endpoint, build, self._clock)
        self._connections.append(connection)
        connection.ended = self.end
        if self._reason is not None:  # the first one ended while the second was made
            connection.abort(self._reason)
        if self._url.password is not None:
            await connection.log_in(self._url.user, self._url.password)
        if self._url.database:
            await connection.command("SELECT", self._url.database)
        return connection

    # The lease

    async def _keep_lease(self) -> None:
        while True:
            await deferLater(self._clock, RENEWAL_S)
            if self._leaving:
                return
            await self._renew()

    async def _renew(self) -> None:
        assert self._subscription is not None
        self._token = token_hex(8)
        pulse = wire.write(wire.Pulse(self._token))
        lease_ms = int(LEASE_S * 1000)
        renewed = self._run(RENEW, (LEASE + self._node,), lease_ms, CHANNEL + self._node, pulse)
        arrived = self._subscription.pulse()
        await together(renewed.addCallback(self._check), arrived)
        self.renewals += 1

    def _check(self, renewed: Any) -> None:
        match renewed:
            case [_, 0]:
                raise BusUnavailable("what is published to this node does not arrive")
            case [0, int()] if self.renewals:
                raise BusUnavailable(f"it has not heard of this node for {LEASE_S:g} s, or has forgotten it")
            case [int(), int()]:
                pass
            case _:
                raise BusUnavailable(NO_REDIS)

    def _lease_lost(self, failure: Failure) -> None:
        if failure.check(CancelledError) is None:
            failure.trap(BusUnavailable)
            self.end(failure.getErrorMessage())

    def pulse(self, token: str) -> None:
        """A pulse of this node has arrived; those of former sessions, and of others who publish to it, are none."""
        if self._subscription is not None and token == self._token:
            self._token = None
            self._subscription.pulse_arrived()

    # Use

    def announce(self, changes: Sequence[Change]) -> Deferred[dict[str, int]]:
        """Tell what this node holds; fires with the generations of those that another living node holds by a newer one."""
        return self._run(ANNOUNCE, (HOLDERS,), LEASE, CHANNEL, self._node, encode(changes)).addCallback(self._read, _newer)

    def find(self, chargers: Sequence[str]) -> Deferred[dict[str, Holder]]:
        """Who holds these chargers, which are one at least."""
        found = self._run(FIND, (HOLDERS,), LEASE, encode(chargers)).addCallback(self._read, _entries)
        return found.addCallback(lambda entries: {c: _holder(entry) for c, entry in zip(chargers, entries, strict=True) if entry})

    def publish(self, messages: Sequence[tuple[str, str]]) -> Deferred[list[int]]:
        """Publish (node, message), one at least; fires with how many received each."""
        return self._run(PUBLISH, (), LEASE, CHANNEL, encode(messages)).addCallback(self._read, _receivers)

    def leave(self) -> Deferred[Any]:
        """Give up the lease, and renew it no more: from then on the node holds nothing."""
        self._leaving = True
        return self._command("DEL", LEASE + self._node)

    def _run(self, script: Script, keys: tuple[str, ...], *arguments: str | bytes | int) -> Deferred[Any]:
        return self._command("EVALSHA", script.digest, len(keys), *keys, *arguments)

    def _command(self, *words: str | bytes | int) -> Deferred[Any]:
        if self._commands is None:
            return fail(BusUnavailable("it is not connected"))
        return self._commands.command(*words)

    def _read(self, reply: Any, decoder: msgspec.json.Decoder[Any]) -> Any:
        try:
            return decoder.decode(reply)
        except (msgspec.DecodeError, TypeError):
            self.end(NO_REDIS)
            raise BusUnavailable(NO_REDIS) from None


def _holder(entry: str) -> Holder:
    generation, _, node = entry.partition(" ")
    return Holder(node, int(generation))


def together(*replies: Deferred[Any]) -> Deferred[list[Any]]:
    """All replies. Fails as the first that fails."""

    def first(failure: Failure) -> Failure:
        return failure.value.subFailure if isinstance(failure.value, FirstError) else failure

    return gatherResults(replies, consumeErrors=True).addErrback(first)
