"""Who follows chargers: told, shielded from each other, kept quiet. REQUIREMENTS B-8, S-3."""

from __future__ import annotations

from typing import Any, ClassVar

from twisted.trial.unittest import SynchronousTestCase

from ocppd.central.meter_values import registers_of, samples_of
from ocppd.central.registers import falls, readings
from ocppd.central.watching import Awaited, Watcher, Watchers
from ocppd.storage.records import MeterValueRecord
from ocppd.v16.core import ClearCacheRequest, HeartbeatConfirmation, HeartbeatRequest
from support.storing import NOON_MS


class Charger:
    """One that keeps what is to be sent to it."""

    name = "CP1"
    remote_ip = "192.0.2.1"

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.closed: list[int] = []

    def follow_up(self, request: Any) -> None:
        self.sent.append(request)

    def close_after_answer(self, code: int = 1001, reason: str = "") -> None:
        self.closed.append(code)


class Asking(Watcher):
    """Sends something whenever it hears of anything."""

    messages: ClassVar[frozenset[str]] = frozenset({"Heartbeat"})

    def __init__(self) -> None:
        self.refusals: list[str] = []

    def received(self, charger: Any, request: Any, answer: Any) -> None:
        charger.follow_up(ClearCacheRequest())
        charger.close_after_answer(1008)

    def connected(self, charger: Any) -> None:
        assert charger.remote_ip == "192.0.2.1"
        charger.follow_up(ClearCacheRequest())

    def refused(self, charger: Any, action: str) -> None:
        self.refusals.append(action)


class WatchersTests(SynchronousTestCase):
    """The seam that all watchers go through."""

    def test_quiet(self) -> None:
        """B-8: what a watcher sends by itself is dropped where nothing may be sent unasked, and only there."""
        for allowed in (True, False):
            charger, asking = Charger(), Asking()
            watchers = Watchers([asking], lambda name, allowed=allowed: allowed)  # type: ignore[misc]
            watchers.connected(charger)
            watchers.received(charger, "Heartbeat", HeartbeatRequest(), HeartbeatConfirmation(current_time=""))
            watchers.received(charger, "Authorize", HeartbeatRequest(), HeartbeatConfirmation(current_time=""))
            watchers.refused(charger, "Heartbeat")
            self.assertEqual((len(charger.sent), charger.closed, asking.refusals), (2 if allowed else 0, [1008], ["Heartbeat"]))

    def test_awaited(self) -> None:
        """OP-16: who waits for a message hears of it until it was the one, or until his time is over."""
        awaited = Awaited()
        heard: list[str] = []

        def waits(name: str, *, wanted: bool = True) -> Any:
            return lambda _: heard.append(name) or wanted

        awaited.expect("CP1", "Heartbeat", waits("one"), 10)
        awaited.expect("CP1", "Heartbeat", waits("another", wanted=False), 20)
        awaited.heard("CP2", "Heartbeat", HeartbeatRequest())
        awaited.heard("CP1", "Heartbeat", HeartbeatRequest())
        awaited.heard("CP1", "Heartbeat", HeartbeatRequest())
        self.assertEqual(heard, ["one", "another", "another"])
        awaited.forget(19)
        self.assertTrue(awaited.open)
        awaited.forget(20)
        self.assertFalse(awaited.open)


def value(minute: int, samples: str, sequence: int = 1) -> MeterValueRecord:
    return MeterValueRecord(sequence, "CP1", 1, 5, NOON_MS + minute, NOON_MS, samples)


class RegisterTests(SynchronousTestCase):
    """M-7: registers of one transaction."""

    def test_falling(self) -> None:
        """M-7: a register that is lower at a later instant falls, each by itself; what is no register, or no number, does not."""
        cases: tuple[tuple[bool, tuple[str, ...]], ...] = (
            (False, ()),
            (False, ('[{"value":"1"}]', '[{"value":"1"}]', '[{"value":"2"}]')),
            (True, ('[{"value":"2"}]', '[{"value":"1"}]')),
            (True, ('[{"value":"1","unit":"kWh"}]', '[{"value":"999"}]')),
            (False, ('[{"value":"2","phase":"L1"}]', '[{"value":"1","phase":"L2"}]')),
            (False, ('[{"value":"2","measurand":"Power.Active.Import"}]', '[{"value":"1","measurand":"Power.Active.Import"}]')),
            (False, ('[{"value":"2"}]', '[{"value":""}]', '[{"value":"x"}]', '[{"value":"2"}]')),
            (False, ('[{"value":"2","format":"SignedData"}]', '[{"value":"1","format":"SignedData"}]')),
        )
        for expected, samples in cases:
            values = [value(minute, text) for minute, text in enumerate(samples)]
            self.assertEqual(falls(readings(reversed(values))), expected, samples)

    def test_what_is_read(self) -> None:
        """M-2, M-7: of a row that measures much only the registers are read, those without a measurand included."""
        text = (
            '[{"value":"1"},{"value":"2","measurand":"Energy.Reactive.Import.Register"},{"value":"3","measurand":"Voltage"},'
            '{"value":"4","measurand":""},{"value":"5","measurand":7},{"value":""},5,{"value":"6","measurand":"SoC"}]'
        )
        wanted = [sample for sample in samples_of(text) if sample.measurand.endswith(".Register")]
        self.assertEqual([sample.raw_value for sample in wanted], ["1", "2", "4", "5"])
        self.assertEqual(registers_of(text), wanted)
        self.assertEqual(registers_of("no JSON") + registers_of("7"), [])
