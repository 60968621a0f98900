"""A charger and a scripted central system in memory, on a clock that the test moves: no sockets, no waiting."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from typing import Any

from twisted.internet.task import Clock

from ocppd.simulator.charger import Charger
from ocppd.simulator.connection import Address, Closed, Link, LinkUser
from ocppd.simulator.failures import HandshakeRefused

#: 2030-01-01T00:00:00Z, where the clock of both ends begins.
EPOCH_S = 1_893_456_000
NOTHING = object()


class MemoryLink:
    """One connection; what is sent arrives at the next tick of the clock."""

    def __init__(self, world: World, user: LinkUser) -> None:
        self._world = world
        self._user = user
        self.open = True

    def send(self, data: bytes) -> None:
        if self.open:
            self._world.clock.callLater(0, self._world.received, self, data)

    def deliver(self, data: bytes) -> None:
        """A text message for the charger."""
        if self.open:
            self._world.clock.callLater(0, self._user.link_received, self, data)

    def close(self, code: int = 1000, reason: str = "") -> None:
        if self.open:
            self.open = False
            self._world.clock.callLater(0, self._user.link_closed, self, Closed(code, reason))

    def abort(self) -> None:
        self.close(1006)


class World:
    """Accepts every charger and every tag until `answers` says something else; `reachable` False refuses connections."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.clock.advance(EPOCH_S)
        self.links: list[MemoryLink] = []
        self.addresses: list[Address] = []
        self.reachable = True
        self.received_calls: list[tuple[str, Any]] = []
        self.results: dict[str, Any] = {}
        self._ids = itertools.count(1)
        transactions = itertools.count(1)
        accepted = {"status": "Accepted"}
        self.answers: dict[str, Callable[[Any], Any]] = {
            "BootNotification": lambda _: {"status": "Accepted", "currentTime": self.time(), "interval": 300},
            "Heartbeat": lambda _: {"currentTime": self.time()},
            "Authorize": lambda _: {"idTagInfo": accepted},
            "StartTransaction": lambda _: {"idTagInfo": accepted, "transactionId": next(transactions)},
            "SignCertificate": lambda _: accepted,
        }

    def time(self) -> str:
        """The central system's time; a day of the test at most."""
        seconds = int(self.clock.seconds()) - EPOCH_S
        return f"2030-01-01T{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}Z"

    async def opener(self, address: Address, user: LinkUser) -> Link:
        """Opens connections (Opener)."""
        self.addresses.append(address)
        if not self.reachable:
            raise HandshakeRefused(None, "nobody listens")
        self.links.append(MemoryLink(self, user))
        return self.links[-1]

    def charger(self, **changes: Any) -> Charger:
        """A charger of this world, connected and, where it is automatic, booted."""
        charger = Charger("CP1", "ws://central/ocpp", self.clock, opener=self.opener, **changes)
        self.start(charger.connect())
        self.advance()
        return charger

    def received(self, link: MemoryLink, data: bytes) -> None:
        """A text message of the charger."""
        message = json.loads(data)
        if message[0] != 2:
            self.results[message[1]] = message[2:]
            return
        self.received_calls.append((message[2], message[3]))
        answer = self.answers.get(message[2], lambda _: {})(message[3])
        if isinstance(answer, str):
            link.deliver(json.dumps([4, message[1], answer, "", {}]).encode())
        elif answer is not NOTHING:
            link.deliver(json.dumps([3, message[1], answer]).encode())

    def call(self, action: str, payload: Any = None) -> Any:
        """Call the charger: its payload, or the list of a CALLERROR, or None where it is silent."""
        message_id = f"c{next(self._ids)}"
        self.links[-1].deliver(json.dumps([2, message_id, action, payload or {}]).encode())
        self.advance()
        answer = self.results.get(message_id)
        return answer[0] if answer is not None and len(answer) == 1 else answer

    def status(self, action: str, payload: Any = None) -> Any:
        """Call the charger and take the status of its answer."""
        return self.call(action, payload)["status"]

    def payloads(self, action: str) -> list[Any]:
        """The payloads of all calls of `action`, in order."""
        return [payload for received, payload in self.received_calls if received == action]

    @property
    def actions(self) -> list[str]:
        """The actions of all calls, in order."""
        return [action for action, _ in self.received_calls]

    def statuses(self) -> list[tuple[int, str]]:
        """Connector and status of all StatusNotifications."""
        return [(payload["connectorId"], payload["status"]) for payload in self.payloads("StatusNotification")]

    def start(self, work: Any) -> list[Any]:
        """Run a coroutine; the list has its result or its failure as soon as there is one."""
        from twisted.internet.defer import Deferred

        outcome: list[Any] = []
        Deferred.fromCoroutine(work).addBoth(outcome.append)
        self.advance()
        return outcome

    def advance(self, seconds: float = 0) -> None:
        """Move the clock, stopping wherever something is due, and deliver everything."""
        until = self.clock.seconds() + seconds
        while True:
            calls = [call for call in self.clock.getDelayedCalls() if call.getTime() <= until]
            if not calls:
                break
            self.clock.advance(max(0.0, min(call.getTime() for call in calls) - self.clock.seconds()))
        self.clock.advance(max(0.0, until - self.clock.seconds()))
