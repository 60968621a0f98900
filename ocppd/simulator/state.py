"""What a charger is and has, and what its parts ask of it: values, stores, connection, calls. OCPP 1.6 as a whole.

Knows none of the parts that act: what they must hear of comes to them through three methods that `charger.Charger` defines.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from ocppd.errors import OcppdError
from ocppd.ocppj.frames import Call
from ocppd.simulator.authorization import Cache, LocalList
from ocppd.simulator.certificates import Certificates
from ocppd.simulator.configuration_keys import MAX_CERTIFICATES, MAX_LOCAL_LIST, Configuration, standard_keys
from ocppd.simulator.connection import Address, Closed, Link, Opener
from ocppd.simulator.connectors import Connector, Statuses
from ocppd.simulator.failures import LinkFailed, Offline
from ocppd.simulator.options import Counts, Options
from ocppd.simulator.profiles import Profiles
from ocppd.simulator.quirks import Quirks
from ocppd.simulator.reservations import Reservation, Reservations
from ocppd.simulator.samples import Meter
from ocppd.simulator.transactions import Transaction, TransactionQueue
from ocppd.simulator.waiting import Background, Signal
from ocppd.simulator.wallclock import WallClock
from ocppd.simulator.wire import Wire
from ocppd.v16 import codec
from ocppd.v16.actions import ACTIONS
from ocppd.v16.security import SecurityEventNotificationRequest
from ocppd.v16.types import AvailabilityType, ChargePointStatus, Message, RegistrationStatus

_ACTION_OF = {action.request: action for action in ACTIONS.values()}


class State(ABC):
    """One charger without what it does by itself. Parameters are those of `charger.Charger`, all of them settled."""

    def __init__(
        self,
        name: str,
        url: str,
        reactor: Any,
        *,
        password: bytes | None,
        options: Options,
        opener: Opener,
        observer: Callable[[str, str], None] | None,
    ) -> None:
        self.name = name
        self.url = url
        self.reactor = reactor
        self.password = password
        self.quirks = Quirks(options.quirks)
        self.options = options = self.quirks.adjusted(options)
        self.automatic = options.automatic
        self.counts = Counts()
        self.registration: RegistrationStatus | None = None
        self.serial_number = options.serial_number or name[-25:]
        self.firmware_version = options.firmware_version
        self.certificate_pem = options.certificate_pem
        self.closed: Signal[Closed] = Signal()
        self._observer = observer
        self._open = opener
        self._follow_ups: list[Callable[[], object]] = []
        self.background = Background()
        self.wall = WallClock(reactor)
        self.configuration = Configuration(standard_keys(options.connectors), self._configured)
        meters = [Meter(reactor, options.meter_start_wh) for _ in range(options.connectors + 1)]
        self.connectors = {number: Connector(number, meter) for number, meter in enumerate(meters)}
        self.cache, self.local_list = Cache(), LocalList(MAX_LOCAL_LIST)
        self.profiles = Profiles()
        self.reservations = Reservations(reactor, self._reservation_ended)
        self.certificates = Certificates(MAX_CERTIFICATES, rsa_keys=options.rsa)
        self.wire = self._new_wire()
        self.statuses = self._new_statuses()
        self.queue = self._new_queue()
        self.events = self._new_queue()

    def _new_wire(self) -> Wire:
        return Wire(
            self.reactor,
            answer=self._answer,
            answered=self._follow_up,
            timeout_s=lambda: self.configuration.number("MessageTimeout"),
            new_id=self.quirks.new_id,
            rewrite=self.quirks.rewrite,
            written=lambda action: self.quirks.written(self, action),
            record=self.options.record,
            strict=self.options.strict,
        )

    def _new_statuses(self) -> Statuses:
        return Statuses(
            self.connectors.values(),
            call=self.call,
            may_report=lambda: self.serving,
            changed=self._status_changed,
            wall=self.wall,
            background=self.background,
        )

    def _new_queue(self) -> TransactionQueue:
        return TransactionQueue(
            self.reactor,
            self.call,
            attempts=lambda: self.configuration.number("TransactionMessageAttempts") if self.automatic else 1,
            retry_interval_s=lambda: self.configuration.number("TransactionMessageRetryInterval"),
            background=self.background,
        )

    # What the parts must hear of

    @abstractmethod
    def _answer(self, call: Call) -> Deferred[bytes | None]:
        """The frame that answers a call of the central system, None for silence. Never fails."""

    @abstractmethod
    def _configured(self, key: str) -> None:
        """A key has a new value (section 5.3)."""

    @abstractmethod
    def _link_lost(self) -> None:
        """The connection is gone, and who waits for that has not been told yet."""

    # Connection

    @property
    def connected(self) -> bool:
        """Whether there is an open WebSocket."""
        return self.wire.link is not None

    @property
    def serving(self) -> bool:
        """Whether it may send by itself: automatic, connected, accepted."""
        return self.automatic and self.connected and self.registration is RegistrationStatus.ACCEPTED

    async def open(self) -> None:
        """Open the WebSocket, and nothing else. Raises HandshakeRefused."""
        link = await self._open(self._address(), self)
        self.closed = Signal()
        self.wire.attach(link)
        self.counts.connected += 1
        self.report("connected")
        self.quirks.opened(self)
        if not self.automatic:
            self.queue.resume()

    def _address(self) -> Address:
        return Address(
            url=self.url,
            name=self.name,
            password=self.quirks.password(self.password),
            offers=self.quirks.offers,
            ping_interval_s=self.configuration.number("WebSocketPingInterval"),
            authority_pem=self.options.authority_pem,
            certificate_pem=self.certificate_pem,
        )

    def close_link(self, code: int = 1000, reason: str = "") -> None:
        """Begin to close the connection; an automatic charger comes back."""
        if self.wire.link is not None:
            self.wire.link.close(code, reason)

    def link_received(self, link: Link, data: bytes) -> None:
        """A text message came."""
        if link is self.wire.link:
            self.wire.received(data)

    def link_closed(self, link: Link, closed: Closed) -> None:
        """The link is gone: calls that wait fail, the queue keeps what it has."""
        if link is self.wire.link:
            self.queue.pause()
            self.events.pause()
            self.wire.detach()
            self._link_lost()
            self.closed.fire(closed)

    # Calls

    def call(self, request: Message) -> Deferred[Any]:
        """Send `request`; the Deferred gives its typed confirmation.

        Fails with Offline, LinkLost, NoAnswer, CallRefused (a CALLERROR) or `ocppd.errors.Violation` (a confirmation
        that breaks the definition). The request itself is sent as it is, sound or not.
        """
        action = _ACTION_OF[type(request)]
        answered = self.call_raw(action.name, codec.encode(request))
        answered.addCallback(lambda payload: codec.decode(action.confirmation, payload, strict=self.options.strict)[0])
        answered.addErrback(self._call_failed)
        return answered

    def call_raw(self, action: str, payload: bytes) -> Deferred[bytes]:
        """Call `action` with any JSON as its payload; the Deferred gives the payload of the CALLRESULT as it came."""
        return self.wire.call(action, payload)

    def _call_failed(self, failure: Failure) -> Failure:
        if failure.check(OcppdError) is not None and failure.check(LinkFailed) is None:
            self.counts.errors += 1
            self.report(str(failure.value))
        return failure

    # What the parts ask for

    def report(self, line: str) -> None:
        """Tell the observer what happened."""
        if self._observer is not None:
            self._observer(self.name, line)

    def failed(self, failure: OcppdError) -> None:
        """Something went wrong that no script waits for; refused calls are counted where they were made."""
        if isinstance(failure, LinkFailed) and not isinstance(failure, Offline):
            self.counts.link_failures += 1

    def afterwards(self, follow_up: Callable[[], object]) -> None:
        """Run `follow_up` once the answer that is being made is written; a charger that is not automatic never does."""
        if self.automatic:
            self._follow_ups.append(follow_up)

    def _follow_up(self) -> None:
        """The answer is written: do what was put off until then."""
        follow_ups, self._follow_ups = self._follow_ups, []
        for follow_up in follow_ups:
            follow_up()

    def security_event(self, kind: str) -> None:
        """Tell a security event, where the charger has any; it waits for the connection (REQUIREMENTS V-11)."""
        if self.options.security_events and self.automatic:
            event = SecurityEventNotificationRequest(type=kind, timestamp=self.wall.timestamp())
            self.events.put(lambda: event)

    # Connectors

    def running_transactions(self) -> list[Transaction]:
        """The transactions that have not been stopped."""
        return [each.transaction for each in self.connectors.values() if each.transaction is not None]

    def free_connectors(self) -> int:
        """How many connectors a transaction may begin on."""
        return sum(each.free for each in self.connectors.values())

    def resting_status(self, connector: Connector) -> ChargePointStatus:
        """What a connector is while nobody charges."""
        if connector.availability is AvailabilityType.INOPERATIVE:
            return ChargePointStatus.UNAVAILABLE
        if connector.connector_id and self.reservations.on(connector.connector_id) is not None:
            return ChargePointStatus.RESERVED
        return ChargePointStatus.AVAILABLE

    def _status_changed(self, connector: Connector) -> None:
        """Faulted and Unavailable end the reservations of a connector, on 0 those of all (section 5.13, REQUIREMENTS N-4)."""
        if connector.status in (ChargePointStatus.FAULTED, ChargePointStatus.UNAVAILABLE):
            for number in [connector.connector_id] if connector.connector_id else list(self.connectors):
                reservation = self.reservations.on(number)
                if reservation is not None:
                    self.reservations.cancel(reservation.reservation_id)

    def _reservation_ended(self, reservation: Reservation) -> None:
        connector = self.connectors[reservation.connector_id]
        if connector.status is ChargePointStatus.RESERVED:
            self.statuses.set(connector, self.resting_status(connector))
