"""A charger: what tests and the command line hold in their hands. OCPP 1.6 as a whole.

::

    charger = Charger("CP0001", "ws://127.0.0.1:9033/ocppj/1.6", reactor, password=b"…", automatic=False)
    await charger.connect()
    await charger.boot()
    transaction = await charger.start_transaction(1, "TAG")
    await charger.stop_transaction(transaction)
    await charger.shutdown()

It composes the parts: `wire` calls, `life` keeps it connected, `charging` starts and stops, `metering` samples,
`commands` answers.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from ocppd.errors import OcppdError
from ocppd.simulator.authorization import Cache, LocalList
from ocppd.simulator.certificates import Certificates
from ocppd.simulator.charging import Charging
from ocppd.simulator.commands import Commands
from ocppd.simulator.configuration_keys import MAX_CERTIFICATES, MAX_LOCAL_LIST, Configuration, standard_keys
from ocppd.simulator.connection import Address, Closed, Link, Opener, open_link
from ocppd.simulator.connectors import Connector, Statuses
from ocppd.simulator.effects import EFFECTS
from ocppd.simulator.failures import LinkFailed, Offline
from ocppd.simulator.jobs import Jobs
from ocppd.simulator.life import Life
from ocppd.simulator.metering import Metering, meter_values_request
from ocppd.simulator.options import Counts, Options
from ocppd.simulator.profiles import Profiles
from ocppd.simulator.reservations import Reservation, Reservations
from ocppd.simulator.samples import Meter
from ocppd.simulator.transactions import Transaction, TransactionQueue
from ocppd.simulator.waiting import Background, Signal, leave_the_stack
from ocppd.simulator.wallclock import WallClock
from ocppd.simulator.wire import RecordedFrame, Wire
from ocppd.v16 import codec
from ocppd.v16.actions import ACTIONS
from ocppd.v16.core import BootNotificationConfirmation
from ocppd.v16.security import SecurityEventNotificationRequest
from ocppd.v16.types import (
    ChargePointErrorCode,
    ChargePointStatus,
    Message,
    MeterValue,
    ReadingContext,
    Reason,
    RegistrationStatus,
)

_ACTION_OF = {action.request: action for action in ACTIONS.values()}


class Charger:
    """One simulated charge point.

    `reactor` gives time and, unless `opener` is given, network. Automatic (the default), it boots, reports, beats,
    samples, retries, reconnects and does what commands ask for; with `automatic=False` it only answers, and everything
    else is up to the script. Other keywords are those of `Options`. `observer` gets lines about what happens.
    """

    def __init__(
        self,
        name: str,
        url: str,
        reactor: Any,
        *,
        password: bytes | None = None,
        options: Options | None = None,
        opener: Opener | None = None,
        observer: Callable[[str, str], None] | None = None,
        **changes: Any,
    ) -> None:
        self.name = name
        self.url = url
        self.reactor = reactor
        self.password = password
        self.options = options = replace(options or Options(), **changes)
        self.automatic = options.automatic
        self.counts = Counts()
        self.registration: RegistrationStatus | None = None
        self.serial_number = options.serial_number or name[-25:]
        self.firmware_version = options.firmware_version
        self.certificate_pem = options.certificate_pem
        self.closed: Signal[Closed] = Signal()
        self._observer = observer
        self._open: Opener = opener or partial(open_link, reactor)
        self.background = Background()
        self.wall = WallClock(reactor)
        self.configuration = Configuration(standard_keys(options.connectors), self._configured)
        self._compose()

    def _compose(self) -> None:
        options, reactor = self.options, self.reactor
        meters = [Meter(reactor, options.meter_start_wh) for _ in range(options.connectors + 1)]
        self.connectors = {number: Connector(number, meter) for number, meter in enumerate(meters)}
        self.commands: Commands = Commands(self)
        self.charging: Charging = Charging(self)
        self.wire = Wire(
            reactor,
            answer=self.commands.answer,
            answered=self.commands.follow_up,
            timeout_s=lambda: self.configuration.number("MessageTimeout"),
            new_id=lambda: str(uuid.uuid4()),
            record=options.record,
            strict=options.strict,
        )
        self.statuses = Statuses(
            self.connectors.values(),
            call=self.call,
            may_report=lambda: self.serving,
            changed=self.charging.status_changed,
            wall=self.wall,
            background=self.background,
        )
        self.queue = self._new_queue()
        self.events = self._new_queue()
        self.cache, self.local_list = Cache(), LocalList(MAX_LOCAL_LIST)
        self.profiles = Profiles()
        self.reservations = Reservations(reactor, self._reservation_ended)
        self.certificates = Certificates(MAX_CERTIFICATES)
        self.jobs: Jobs = Jobs(self)
        self.metering: Metering = Metering(self)
        self.life: Life = Life(self)

    def _new_queue(self) -> TransactionQueue:
        return TransactionQueue(
            self.reactor,
            self.call,
            attempts=lambda: self.configuration.number("TransactionMessageAttempts") if self.automatic else 1,
            retry_interval_s=lambda: self.configuration.number("TransactionMessageRetryInterval"),
            background=self.background,
        )

    # Connection

    @property
    def connected(self) -> bool:
        """Whether there is an open WebSocket."""
        return self.wire.link is not None

    @property
    def serving(self) -> bool:
        """Whether it may send by itself: automatic, connected, accepted."""
        return self.automatic and self.connected and self.registration is RegistrationStatus.ACCEPTED

    @property
    def dropped(self) -> Deferred[Closed]:
        """Fires when the current connection is gone, with its close code; at once where it is gone already."""
        return self.closed.wait()

    async def connect(self) -> None:
        """One attempt to connect; an automatic charger boots and stays connected from then on.

        Raises HandshakeRefused, with the HTTP status where there was one.
        """
        await self.open()
        if self.automatic:
            self.life.begin()

    def run(self) -> Deferred[None]:
        """Connect, with back-off until it works, and stay: what an automatic charger does until `disconnect()`."""
        return self.life.begin()

    async def open(self) -> None:
        """Open the WebSocket, and nothing else. Raises HandshakeRefused."""
        link = await self._open(self._address(), self)
        self.closed = Signal()
        self.wire.attach(link)
        self.counts.connected += 1
        self.report("connected")
        if not self.automatic:
            self.queue.resume()

    def _address(self) -> Address:
        return Address(
            url=self.url,
            name=self.name,
            password=self.password,
            ping_interval_s=self.configuration.number("WebSocketPingInterval"),
            authority_pem=self.options.authority_pem,
            certificate_pem=self.certificate_pem,
        )

    def close_link(self, code: int = 1000, reason: str = "") -> None:
        """Begin to close the connection; an automatic charger comes back."""
        if self.wire.link is not None:
            self.wire.link.close(code, reason)

    def drop(self) -> None:
        """Cut the TCP connection without a closing handshake; an automatic charger comes back."""
        if self.wire.link is not None:
            self.wire.link.abort()

    async def disconnect(self) -> None:
        """Close the connection and stay away. Transactions go on, as they do when a network fails."""
        await leave_the_stack(self.reactor)
        self.life.halt()
        self.metering.stop_aligned()
        if self.wire.link is not None:
            self.close_link()
            await self.closed.wait()

    async def shutdown(self) -> None:
        """Disconnect and end every timer. What was queued stays queued."""
        await leave_the_stack(self.reactor)
        self.life.halt()
        self.metering.stop()
        self.reservations.stop()
        await self.disconnect()
        await leave_the_stack(self.reactor)
        self.background.cancel()

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
            self.life.rest()
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

    def send_raw(self, data: bytes) -> None:
        """Write one text message, whatever it is. Raises Offline."""
        self.wire.send_raw(data)

    def _call_failed(self, failure: Failure) -> Failure:
        if failure.check(OcppdError) is not None and failure.check(LinkFailed) is None:
            self.counts.errors += 1
            self.report(str(failure.value))
        return failure

    @property
    def frames(self) -> list[RecordedFrame]:
        """What went over the wire, both ways, in order."""
        return list(self.wire.frames)

    def sent(self, action: str) -> list[Any]:
        """The payloads of all CALLs of `action` that this charger sent."""
        return self.wire.sent(action)

    def on(self, action: str, answer: Callable[[Any], Any] | None) -> None:
        """Answer `action` with `answer(request)` from now on; None goes back to the charger's own answer.

        It returns a confirmation, an awaitable of one, or SILENCE; it may raise AnswerError. Raises KeyError where
        `action` is none that a charger answers.
        """
        self.commands.override(action, answer)

    # What a driver and a script do

    async def boot(self) -> BootNotificationConfirmation:
        """Boot. Automatic: wait until accepted. Else: one BootNotification and its answer, whatever it says."""
        if self.automatic:
            return await self.life.accepted.wait()
        return await self.life.send_boot()

    async def heartbeat(self) -> None:
        """One Heartbeat. A barrier, too: whatever was sent before it has been processed when it returns."""
        await self.life.heartbeat()

    async def status(
        self,
        connector_id: int,
        status: ChargePointStatus,
        error_code: ChargePointErrorCode = ChargePointErrorCode.NO_ERROR,
        info: str | None = None,
    ) -> None:
        """Set a connector's status and report it. Fails as calls fail."""
        connector = self.connectors[connector_id]
        connector.status, connector.error_code, connector.info = status, error_code, info
        await self.statuses.report(connector)

    async def start_transaction(self, connector_id: int, id_tag: str, **changes: Any) -> Transaction:
        """Charge. Returns when the start is answered, at once while offline.

        Automatic: plug in, authorize, report, sample; raises NotAuthorized. Else: StartTransaction and nothing else
        (`meter_start_wh`, `reservation_id` as given); raises what the call failed with.
        """
        if self.automatic:
            return await self.charging.start(connector_id, id_tag, **changes)
        transaction = self.charging.begin(self.connectors[connector_id], id_tag, **changes)
        await self._settled(transaction.answered)
        return transaction

    async def stop_transaction(
        self,
        transaction: Transaction,
        reason: Reason | None = Reason.LOCAL,
        id_tag: str | None = None,
        *,
        meter_stop_wh: int | None = None,
    ) -> None:
        """Stop charging. Returns when the stop is answered, at once while offline. `meter_stop_wh` for scripts only."""
        if self.automatic:
            await self.charging.stop(transaction, reason, id_tag, unplug=True)
        else:
            connector = self.connectors[transaction.connector_id]
            self.charging.finish(connector, transaction, reason, id_tag, meter_stop_wh)
            await self._settled(transaction.stop_answered)

    async def meter_values(
        self, transaction: Transaction, value: MeterValue | None = None, context: ReadingContext = ReadingContext.SAMPLE_PERIODIC
    ) -> None:
        """Send one MeterValues of a transaction: `value`, or what the meter shows now. Raises what the call failed with."""
        connector = self.connectors[transaction.connector_id]
        sampled = value or self.metering.value(connector, self.configuration.list("MeterValuesSampledData"), context)
        if sampled is not None:
            answered: Signal[Any] = Signal()
            self.queue.put(lambda: meter_values_request(connector.connector_id, transaction, sampled), answered.fire)
            await self._settled(answered)

    def delivered(self) -> Deferred[None]:
        """Fires when no transaction message waits any more."""
        return self.queue.drained()

    async def _settled(self, signal: Signal[Any]) -> None:
        await self.charging.wait_for(signal)
        if signal.fired:
            outcome = await signal.wait()
            if isinstance(outcome, OcppdError):
                raise outcome

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
            self.commands.afterwards.append(follow_up)

    def security_event(self, kind: str) -> None:
        """Tell a security event, where the charger has any; it waits for the connection (REQUIREMENTS V-11)."""
        if self.options.security_events and self.automatic:
            event = SecurityEventNotificationRequest(type=kind, timestamp=self.wall.timestamp())
            self.events.put(lambda: event)

    def running_transactions(self) -> list[Transaction]:
        """The transactions that have not been stopped."""
        return [each.transaction for each in self.connectors.values() if each.transaction is not None]

    def free_connectors(self) -> int:
        """How many connectors a transaction may begin on."""
        return sum(each.free for each in self.connectors.values())

    def _reservation_ended(self, reservation: Reservation) -> None:
        connector = self.connectors[reservation.connector_id]
        if connector.status is ChargePointStatus.RESERVED:
            self.statuses.set(connector, self.charging.resting_status(connector))

    def _configured(self, key: str) -> None:
        """A key has a new value (section 5.3)."""
        effect = EFFECTS.get(key)
        if effect is not None:
            self.afterwards(partial(effect, self))
