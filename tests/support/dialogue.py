"""A charge point that speaks lines of a script with the central system behind `Served`."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import count
from typing import Any

from twisted.internet import reactor
from twisted.internet.task import Clock

from ocppd.clock import now_ms
from ocppd.v16.timestamps import format_timestamp
from support.rest import Answered, ScriptedLink, Served

_numbers = count(1)
NO_ERROR = "NoError"
BOOT = {"chargePointVendor": "Acme", "chargePointModel": "One"}


def now(ahead_s: float = 0, clock: Any = reactor) -> str:
    """The time, as a charger tells it."""
    return format_timestamp(now_ms(clock) + int(ahead_s * 1000))


class ChargePoint:
    """A connected charger. Calls of the central system wait until `asked` takes them, and are answered by `answer`."""

    def __init__(self, served: Served, name: str = "CP1") -> None:
        self.served = served
        self.name = name
        self._taken = 0
        self._link: ScriptedLink | None = None

    @property
    def link(self) -> ScriptedLink:
        """The connection that there is now."""
        assert self._link is not None
        return self._link

    async def connect(self, *, boot: bool = True) -> ChargePoint:
        """Connect, once more where it was connected; with a boot, unless it is not to."""
        if self._link is not None:
            self.served.disconnect(self._link)
            await self.served.storage.check()
        self._taken = 0
        self._link = await self.served.connect(self.name, lambda _: None, boot=False)
        if boot:
            await self.boot()
        return self

    async def boot(self) -> str:
        """BootNotification; the status that it is answered."""
        return str((await self.call("BootNotification", BOOT))["status"])

    # What the charger says

    async def frame(self, action: str, payload: Any) -> list[Any]:
        """Send a CALL; the frame that answers it."""
        number = f"d{next(_numbers)}"
        self.link.tell(json.dumps([2, number, action, payload]))
        while True:
            for answer in self.link.answers:
                if answer[1] == number:
                    return answer
            await self.link.next_frame()

    async def call(self, action: str, payload: Any = None) -> Any:
        """Send a CALL; the payload of its CALLRESULT."""
        answer = await self.frame(action, {} if payload is None else payload)
        assert answer[0] == 3, answer
        return answer[2]

    async def status(self, status: str, connector_id: int = 1, error_code: str = NO_ERROR, **members: Any) -> None:
        """A StatusNotification with the time, which is always answered by nothing."""
        told = {"connectorId": connector_id, "status": status, "errorCode": error_code, "timestamp": now()}
        answer = await self.call(
            "StatusNotification", {key: value for key, value in {**told, **members}.items() if value is not None}
        )
        assert answer == {}, answer

    async def statuses(self, *connectors: str) -> None:
        """The statuses of the charger as a whole, and of its connectors."""
        for connector_id, status in enumerate(("Available", *connectors)):
            await self.call(
                "StatusNotification", {"connectorId": connector_id, "status": status, "errorCode": NO_ERROR, "timestamp": now()}
            )

    async def start(self, id_tag: str = "Card", connector_id: int = 1, **members: Any) -> tuple[int, str]:
        """StartTransaction: the id, and the verdict."""
        told = {"connectorId": connector_id, "idTag": id_tag, "meterStart": 1000, "timestamp": now(), **members}
        answer = await self.call("StartTransaction", told)
        return answer["transactionId"], answer["idTagInfo"]["status"]

    async def stop(self, transaction_id: int, reason: str | None = "Local", **members: Any) -> Any:
        """StopTransaction: the payload of the answer."""
        told = {"transactionId": transaction_id, "meterStop": 1500, "timestamp": now(), "reason": reason, **members}
        return await self.call("StopTransaction", {key: value for key, value in told.items() if value is not None})

    # What it is asked

    async def asked(self) -> list[Any]:
        """The next CALL of the central system."""
        while len(self.link.calls) <= self._taken:
            await self.link.next_frame()
        self._taken += 1
        return self.link.calls[self._taken - 1]

    def unasked(self) -> list[str]:
        """The actions of the calls that nobody has taken yet."""
        return [call[2] for call in self.link.calls[self._taken :]]

    def answer(self, call: list[Any], status: str | dict[str, Any] = "Accepted") -> None:
        """Answer a call of the central system with a status, or with a whole payload."""
        self.link.tell(json.dumps([3, call[1], {"status": status} if isinstance(status, str) else status]))

    # What operators do

    async def command(self, action: str, body: Any, status: str | dict[str, Any] | None = "Accepted") -> str:
        """An operator's command: the id of its message, once it is sent, and answered unless `status` is None."""
        accepted = await self.served.command(action, body, name=self.name)
        assert accepted.status == 202, accepted
        call = await self.asked()
        assert (call[1], call[2]) == (accepted.json["messageId"], action), call
        if status is not None:
            self.answer(call, status)
            await self.barrier()
        return str(call[1])

    async def barrier(self) -> None:
        """All that was said before is recorded."""
        await self.served.storage.check()
        await self.served.storage.check()

    async def message(self, message_id: str) -> Any:
        """What operators see of a message."""
        await self.barrier()
        return (await self.served.get(f"/api/v1/messages/{message_id}")).json

    async def follow_up(self, message_id: str) -> Any:
        """What is to follow a call, None where nothing does."""
        return (await self.message(message_id)).get("followUp")

    async def get(self, path: str) -> Any:
        """What operators see below this charger."""
        await self.barrier()
        return (await self.served.get(f"/api/v1/chargers/{self.name}{path}")).json

    async def put(self, path: str, body: Any) -> Answered:
        """What an operator wishes below this charger."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await self.served.request("PUT", f"/api/v1/chargers/{self.name}{path}", data, {"Content-Type": "application/json"})

    async def transaction(self, transaction_id: int) -> Any:
        """What operators see of a transaction."""
        await self.barrier()
        return (await self.served.get(f"/api/v1/transactions/{transaction_id}")).json

    async def events(self, kind: str) -> list[Any]:
        """The events of a kind, oldest first."""
        await self.barrier()
        return list(reversed((await self.served.get(f"/api/v1/events?charger={self.name}&type={kind}")).json["items"]))

    async def later(self, seconds: float) -> None:
        """Have decided what time has run out for then."""
        node = self.served.bus.node
        await self.served.storage.follow_ups.settle(now_ms(reactor) + int(seconds * 1000), node)


async def elapse(served: Served, clock: Clock, seconds: float, step_s: float = 5) -> None:
    """Let time pass for the central system, with its sweeps."""
    left = seconds
    while left > 0:
        clock.advance(min(step_s, left))
        served.system.sweep()
        await served.storage.check()
        await served.storage.check()
        left -= step_s


def starting_clock(seconds: Callable[[], float] | None = None) -> Clock:
    """A clock that begins with the time as it is."""
    clock = Clock()
    clock.advance((seconds or reactor.seconds)())
    return clock
