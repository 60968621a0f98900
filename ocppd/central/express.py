"""The express way of the three messages that nearly all traffic is made of: Heartbeat, StatusNotification, MeterValues.

What is as it should be in every respect goes from the frame to the record, and from the commit to the answer, in one
function each, with what `session`, `dispatch` and `recorder` would do and nothing that they would only look at. Everything
else goes the ordinary way, which knows all cases: a charger that is not accepted, strict, or looked at closely now; a call
while another one is in progress, or with an id that is known; text that is not ASCII, or has escapes; whatever the typed
decoders refuse; actions with a handler of a user's.

Both ways give the same answers, records and events: tests of dialogues, statuses, faults and follow-ups run over both.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from typing import Any, Final, Protocol

import msgspec
from twisted.logger import Logger
from twisted.python.failure import Failure

from ocppd.central.handlers import Charger
from ocppd.central.meter_values import elements_of
from ocppd.central.recorder import status_of
from ocppd.central.watching import Watchers
from ocppd.ocppj.frames import EMPTY, Call
from ocppd.ocppj.session import Session
from ocppd.storage.api.express import ExpressRecords
from ocppd.storage.records import Inbound
from ocppd.v16 import core
from ocppd.v16.timestamps import format_timestamp
from ocppd.v16.types import Message, RegistrationStatus

log = Logger()

#: Messages that are looked at more closely in a while (s), at some 150 µs each; the others of these chargers wait for their turn.
LOOKS: Final = 20
LOOKS_S: Final = 0.25
ACCEPTED: Final = RegistrationStatus.ACCEPTED
#: What a number of a message may be, so that every database takes it.
LEAST: Final = -(2**63)
MOST: Final = 2**63 - 1

REFUSED_BY_DECODER: Final = (msgspec.MsgspecError, ValueError, RecursionError)

_status_notification = msgspec.json.Decoder(core.StatusNotificationRequest).decode
_meter_values = msgspec.json.Decoder(core.MeterValuesRequest).decode
#: What watchers are given of a message: how it is read, and its answer at that time (ms).
_WANTED: Final[dict[str, tuple[Callable[[bytes], Message], Callable[[int], Message]]]] = {
    "Heartbeat": (
        lambda _: core.HeartbeatRequest(),
        lambda now_ms: core.HeartbeatConfirmation(current_time=format_timestamp(now_ms)),
    ),
    "MeterValues": (_meter_values, lambda _: core.MeterValuesConfirmation()),
    "StatusNotification": (_status_notification, lambda _: core.StatusNotificationConfirmation()),
}


class Passenger(Charger, Protocol):
    """The connection that a call came by."""

    generation: int
    registration: RegistrationStatus | None
    strict: bool
    looks: int
    session: Session

    def answer(self, frame: bytes) -> None:
        """Write an answer where no call is in progress, and go on with what had to wait for it."""

    def give(self, call: Call, frame: bytes) -> None:
        """Write the answer to the call in progress, and go on with what had to wait for it."""


#: Tries a call, of these bytes, received at this time (s, `Clock.seconds`): whether it was taken. It is answered, now or later.
Way = Callable[[Passenger, Call, bytes, float], bool]


class Express:
    """Takes calls that can be answered by the short way. `ordinary` are actions that cannot."""

    def __init__(
        self,
        records: ExpressRecords,
        watchers: Watchers,
        observe: Callable[[str, int, Call, bytes], None],
        not_recorded: Callable[[Failure, Any, Call], bytes],
        now_s: Callable[[], float],
        ordinary: Container[str] = (),
    ) -> None:
        """`observe` hears of what is not recorded, `not_recorded` gives the answer where storage has failed, `now_s` the time."""
        self._now_s = now_s
        self._records = records
        self._watchers = watchers
        self._observe = observe
        self._not_recorded = not_recorded
        ways: dict[str, Way] = {
            "Heartbeat": self._heartbeat,
            "MeterValues": self._meter_values,
            "StatusNotification": self._status_notification,
        }
        self._second, self._instant = 0, b""
        self._looks_until, self._looks_left = 0.0, 0
        self._ways = {action: way for action, way in ways.items() if action not in ordinary}

    def take(self, passenger: Passenger, call: Call, data: bytes, now: float) -> bool:
        """Have `call`, received as `data` at `now` (s, `Clock.seconds`), answered; False where the ordinary way is to do it."""
        way = self._ways.get(call.action)
        if way is None or passenger.registration is not ACCEPTED or passenger.strict:
            return False
        try:
            return way(passenger, call, data, now)
        except Exception:  # the boundary: a bug costs one message
            if passenger.session.current is not call:
                log.failure("{charger}: the express way of a call failed", charger=passenger.name)
                return False
            self.failed(passenger, call, Failure())
            return True

    def _heartbeat(self, passenger: Passenger, call: Call, _: bytes, now: float) -> bool:
        now_ms = int(self._now_s() * 1000)
        if now_ms // 1000 != self._second:  # heartbeats of one second are answered with one text
            self._second = now_ms // 1000
            self._instant = b',{"currentTime":"%b"}]' % format_timestamp(now_ms).encode()
        frame = b"[3," + call.wire_id + self._instant
        if call.payload != EMPTY or not passenger.session.settle(call, frame, now):
            return False
        self._observe(passenger.name, now_ms, call, frame)
        passenger.answer(frame)
        self.tell(passenger, call, now_ms)
        return True

    def _status_notification(self, passenger: Passenger, call: Call, data: bytes, now: float) -> bool:
        if b"\\" in data or not data.isascii() or (passenger.looks and self._may_look(now)):
            return False
        try:
            request = _status_notification(call.payload)
        except REFUSED_BY_DECODER:
            return False
        if not LEAST <= request.connector_id <= MOST or not passenger.session.take(call, now):
            return False
        now_ms, frame = int(self._now_s() * 1000), b"[3,%b,{}]" % call.wire_id
        message = Inbound(
            passenger.name, passenger.generation, now_ms, call.message_id, call.action, data.decode(), frame.decode()
        )
        self._records.status_notified(message, status_of(request, now_ms), _Ride(self, passenger, call, frame))
        return True

    def _meter_values(self, passenger: Passenger, call: Call, data: bytes, now: float) -> bool:
        if b"\\" in data or not data.isascii() or (passenger.looks and self._may_look(now)):
            return False
        try:
            request = _meter_values(call.payload)
        except REFUSED_BY_DECODER:
            return False
        named = None if request.transaction_id is msgspec.UNSET else request.transaction_id
        if not LEAST <= request.connector_id <= MOST or (named is not None and not LEAST <= named <= MOST):
            return False
        if not passenger.session.take(call, now):
            return False
        now_ms, frame = int(self._now_s() * 1000), b"[3,%b,{}]" % call.wire_id
        message = Inbound(
            passenger.name, passenger.generation, now_ms, call.message_id, call.action, data.decode(), frame.decode()
        )
        elements = elements_of(call.payload, request.meter_value)
        self._records.meter_values_received(message, request.connector_id, named, elements, _Ride(self, passenger, call, frame))
        return True

    def _may_look(self, now: float) -> bool:
        """Whether a message that could be looked at more closely is to be: after a storm not all chargers' first ones are."""
        if now >= self._looks_until:
            self._looks_until, self._looks_left = now + LOOKS_S, LOOKS
        self._looks_left -= 1
        return self._looks_left >= 0

    def tell(self, passenger: Passenger, call: Call, now_ms: int) -> None:
        """Tell who follows such messages of this charger. It was let go of meanwhile: that is rare, so it is read once more."""
        try:
            if self._watchers.want(passenger.name, call.action):
                decode, answer = _WANTED[call.action]
                self._watchers.received(passenger, call.action, decode(call.payload), answer(now_ms))
        except Exception:  # the boundary: the charger has its answer
            log.failure("{charger}: {action} could not be followed", charger=passenger.name, action=call.action)

    def failed(self, passenger: Passenger, call: Call, failure: Failure) -> None:
        """It is not: InternalError, so that the charger repeats it (E-1)."""
        passenger.give(call, self._not_recorded(failure, passenger, call))


class _Ride(msgspec.Struct, gc=False):
    """A call on its way into the records and back: what of a Deferred that takes."""

    express: Express
    passenger: Passenger
    call: Call
    frame: bytes

    def callback(self, _: int) -> None:
        """See `Waiter`. The call is on disk with this answer."""
        passenger, call = self.passenger, self.call
        try:
            self.express.tell(passenger, call, 0)
            passenger.give(call, self.frame)
        except Exception:  # the boundary: the others of its batch are answered
            log.failure("{charger}: an answer could not be given", charger=passenger.name)

    def errback(self, failure: Failure) -> None:
        """See `Waiter`."""
        try:
            self.express.failed(self.passenger, self.call, failure)
        except Exception:  # the boundary, as above
            log.failure("{charger}: an answer could not be given", charger=self.passenger.name)
