"""What a charger does by itself: connect, boot, beat, come back. OCPP 1.6 sections 4.2, 4.6, 5.14; OCPP-J 5.3.

A lost connection is no reason to boot again (REQUIREMENTS R-1); a reset is.
"""

from __future__ import annotations

from random import Random

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.task import LoopingCall

from ocppd.errors import OcppdError
from ocppd.simulator.backoff import Backoff
from ocppd.simulator.charging import Charging
from ocppd.simulator.failures import LinkFailed, Offline
from ocppd.simulator.metering import Metering
from ocppd.simulator.state import State
from ocppd.simulator.waiting import Signal, Sleeper, pause
from ocppd.v16.core import BootNotificationConfirmation, BootNotificationRequest, HeartbeatConfirmation, HeartbeatRequest
from ocppd.v16.types import Reason, RegistrationStatus

#: How long a soft reset waits for its StopTransactions to be delivered.
SOFT_RESET_PATIENCE_S = 30.0


class Life:
    """Keeps one automatic charger connected, registered and alive."""

    def __init__(self, state: State, metering: Metering, charging: Charging) -> None:
        options = state.options
        self._state = state
        self._metering = metering
        self._charging = charging
        self._backoff = Backoff(options.backoff_first_s, options.backoff_most_s, Random())
        self._sleeper = Sleeper(state.reactor)
        self._heartbeat: LoopingCall | None = None
        self._keeping: Deferred[None] | None = None
        self._boot_at = 0.0
        self._rebooting = False
        self._booted_before = False
        self.accepted: Signal[BootNotificationConfirmation] = Signal()

    def begin(self) -> Deferred[None]:
        """Keep the charger alive from now on, until `halt()`; an open connection is used. The Deferred never fails."""
        if self._keeping is None:
            self._keeping = Deferred()
            running = self._state.background.run(self._keep())
            self._keeping = running
        return self._keeping

    def halt(self) -> None:
        """No more reconnecting, booting and beating."""
        self.rest()
        keeping, self._keeping = self._keeping, None
        if keeping is not None:
            keeping.cancel()

    def rest(self) -> None:
        """The connection is gone: nothing beats, and nobody waits for the time to boot."""
        if self._heartbeat is not None and self._heartbeat.running:
            self._heartbeat.stop()
        self._heartbeat = None
        self._sleeper.wake()

    async def _keep(self) -> None:
        while True:
            if not self._state.connected:
                await self._open()
            closed = self._state.closed
            try:
                await self._serve()
            except OcppdError as failure:
                self._state.failed(failure)
            end = await closed.wait()
            if self._rebooting:
                self._rebooting = False
                await pause(self._state.reactor, self._state.options.reboot_s)
            else:
                delay_s = self._backoff.next_s()
                self._state.report(f"disconnected ({end.code} {end.reason}), reconnecting in {delay_s:.1f} s")
                await pause(self._state.reactor, delay_s)

    async def _open(self) -> None:
        while True:
            try:
                await self._state.open()
                return
            except LinkFailed as failure:
                delay_s = self._backoff.next_s()
                self._state.failed(failure)
                self._state.report(f"cannot connect: {failure}; next attempt in {delay_s:.1f} s")
            await pause(self._state.reactor, delay_s)

    # Registration

    async def _serve(self) -> None:
        """Boot where that is needed, then start working."""
        if not self._state.quirks.boots:
            self._state.registration = RegistrationStatus.ACCEPTED
        while self._state.registration is not RegistrationStatus.ACCEPTED:
            wait_s = self._boot_at - self._state.reactor.seconds()
            if wait_s > 0:
                await self._sleeper.sleep(wait_s)
            if not self._state.connected:
                raise Offline
            await self.boot()
        self._work()

    async def boot(self) -> BootNotificationConfirmation | None:
        """One BootNotification; None where it was not answered as it should be. Fails with LinkFailed."""
        try:
            confirmation = await self.send_boot()
        except LinkFailed:
            raise
        except OcppdError as failure:
            self._state.failed(failure)
            self._boot_at = self._state.reactor.seconds() + self._state.options.boot_retry_s
            return None
        wait_s = confirmation.interval if confirmation.interval > 0 else self._state.options.boot_retry_s
        self._boot_at = self._state.reactor.seconds() + wait_s
        said = "heartbeat" if confirmation.status is RegistrationStatus.ACCEPTED else "next boot"
        self._state.report(f"booted: {confirmation.status}, {said} {'every' if said == 'heartbeat' else 'in'} {wait_s:g} s")
        return confirmation

    async def send_boot(self) -> BootNotificationConfirmation:
        """Send BootNotification and take over what the answer says (section 4.2). Fails as calls fail."""
        options = self._state.options
        confirmation: BootNotificationConfirmation = await self._state.call(
            BootNotificationRequest(
                charge_point_vendor=options.vendor,
                charge_point_model=options.model,
                charge_point_serial_number=self._state.serial_number,
                firmware_version=self._state.firmware_version,
            )
        )
        self._state.registration = confirmation.status
        self._state.wall.set(confirmation.current_time)
        if confirmation.status is RegistrationStatus.ACCEPTED:
            self._state.counts.booted += 1
            if confirmation.interval > 0:
                self._state.configuration.put("HeartbeatInterval", str(confirmation.interval))
        return confirmation

    def boot_now(self) -> None:
        """TriggerMessage(BootNotification) came: do not wait for the interval."""
        self._boot_at = 0.0
        self._sleeper.wake()

    def _work(self) -> None:
        """Accepted and connected: report, beat, deliver."""
        self._backoff.reset()
        if self._booted_before:
            self._state.statuses.report_changes()
        else:
            self._booted_before = True
            self._state.statuses.report_all()
            self._state.security_event("StartupOfTheDevice")
        self.beat()
        self._metering.align()
        self._state.queue.resume()
        self._state.events.resume()
        self.accepted.fire(
            BootNotificationConfirmation(
                status=RegistrationStatus.ACCEPTED,
                current_time=self._state.wall.timestamp(),
                interval=self._state.configuration.number("HeartbeatInterval"),
            )
        )

    # Heartbeat

    def beat(self) -> None:
        """Heartbeats at HeartbeatInterval, counted from now (section 4.6)."""
        if self._heartbeat is not None and self._heartbeat.running:
            self._heartbeat.stop()
        self._heartbeat = LoopingCall(self._beat_once)
        self._heartbeat.clock = self._state.reactor
        self._heartbeat.start(self._state.configuration.number("HeartbeatInterval"), now=False)

    def _beat_once(self) -> Deferred[None]:
        return self._state.background.run(self.heartbeat())

    async def heartbeat(self) -> None:
        """One Heartbeat; its answer sets the clock. Fails as calls fail."""
        confirmation: HeartbeatConfirmation = await self._state.call(HeartbeatRequest())
        self._state.wall.set(confirmation.current_time)

    # Reset

    async def reset(self, reason: Reason, *, hard: bool) -> None:
        """End all transactions with `reason`, disconnect, boot again (section 5.14, errata 3.36).

        A soft reset delivers its StopTransactions first; after a hard one they follow the next accepted boot.
        """
        self._state.report(f"{'hard' if hard else 'soft'} reset")
        if hard:
            self._state.queue.pause()
        for transaction in self._state.running_transactions():
            self._state.background.run(self._charging.stop(transaction, reason, unplug=True))
        if not hard:
            patience = pause(self._state.reactor, SOFT_RESET_PATIENCE_S)
            waits = [self._state.queue.drained(), patience]
            await DeferredList(waits, fireOnOneCallback=True, consumeErrors=True)
            for waiting in waits:
                waiting.cancel()
        self.restart()

    def restart(self) -> None:
        """The power goes off and on: everything that does not survive it is forgotten."""
        self._rebooting = self._state.connected
        self._booted_before = False
        self._boot_at = 0.0
        self.accepted = Signal()
        self._state.registration = None
        self._state.queue.pause()
        self._state.events.pause()
        self._state.configuration.booted()
        self._state.close_link(1000, "reset")
