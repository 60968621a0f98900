"""What a key on record becomes: every order of what a charger tells, answers and does, and of what is desired of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ocppd.storage.configuration_states import Change, changed, not_known, rebooted, told
from ocppd.storage.records import MessageState
from ocppd.storage.records.calls import EndedCall
from ocppd.storage.records.configuration import DesiredState, KeyRecord
from ocppd.v16.configuration_keys import is_same, is_secret
from ocppd.v16.types import ConfigurationStatus

STATE = DesiredState
NAMES = ("HeartbeatInterval", "Colour", "WifiPassword")
VALUES = ("60", " 60", "90", "hunter2")
STEPS = st.one_of(
    st.tuples(st.just("wish"), st.sampled_from(VALUES)),
    st.tuples(st.just("told"), st.one_of(st.none(), st.sampled_from(VALUES))),
    st.tuples(st.just("answered"), st.sampled_from(VALUES), st.sampled_from([*ConfigurationStatus, "GenericError", None])),
    st.tuples(st.just("lost"), st.sampled_from(VALUES), st.sampled_from([MessageState.TIMEOUT, MessageState.EXPIRED])),
    st.just(("unknown",)),
    st.just(("boot",)),
)


def ended(outcome: str | None, state: MessageState = MessageState.COMPLETED, *, error: bool = False) -> EndedCall:
    """A ChangeConfiguration that has ended."""
    answer = None if outcome is None else f'[4,"m","{outcome}","",{{}}]' if error else f'[3,"m",{{"status":"{outcome}"}}]'
    return EndedCall(1, "m", "CP1", "ChangeConfiguration", state, 5, "", answer, outcome)


def wished(key: KeyRecord, value: str) -> KeyRecord:
    """Somebody desires this value."""
    value_kept = None if is_secret(key.name) else value
    return replace(key, desired=value_kept, desired_state=STATE.PENDING, desired_message=None, reason=None)


def after(key: KeyRecord, step: tuple[Any, ...]) -> KeyRecord:
    """The key after one step."""
    match step:
        case ("wish", value):
            return wished(key, value)
        case ("told", value):
            return told(key, key.name, value, False, 5)
        case ("answered", value, outcome):
            error = outcome not in set(ConfigurationStatus)
            state = MessageState.ERROR if error else MessageState.COMPLETED
            return changed(key, Change.of(ended(outcome, state, error=error), None if is_secret(key.name) else value))
        case ("lost", value, state):
            return changed(key, Change.of(ended(None, state), None if is_secret(key.name) else value))
        case ("unknown",):
            return not_known(key, 5)
    return rebooted(key)


class StatesTests(SynchronousTestCase):
    """Tests for the transitions."""

    @settings(max_examples=400, deadline=None)
    @given(st.sampled_from(NAMES), st.lists(STEPS, max_size=12))
    def test_every_order(self, name: str, steps: list[tuple[Any, ...]]) -> None:
        """2.4, Z-8: no secret is kept; drift is another value than the desired one; a key that the charger does not know has no
        value; nothing but an operator begins or ends a wish; only a boot, or another answer, ends a wait for a boot."""
        key = KeyRecord(charger="CP1", key=name.lower(), name=name)
        for step in steps:
            before, key = key, after(key, step)
            if is_secret(name):
                self.assertEqual((key.value, key.desired), (None, None))
            if step[0] != "wish":
                self.assertEqual((key.desired, key.is_desired), (before.desired, before.is_desired))
            if key.unknown:
                self.assertIsNone(key.value)
            if key.desired_state is STATE.DRIFT and key.value is not None and key.desired is not None:
                self.assertFalse(is_same(name, key.value, key.desired))
            if before.desired_state is STATE.REBOOT_REQUIRED and step[0] == "told":
                self.assertEqual(key.desired_state, STATE.REBOOT_REQUIRED)
            if key.reboot_ms is not None:
                self.assertTrue(before.reboot_ms is not None or step[2:] == ("RebootRequired",))
            self.assertEqual(key.number, int(key.value) if name == NAMES[0] and key.value in ("60", " 60", "90") else None)
            self.assertEqual(key.reason is None, key.desired_state not in (STATE.UNKNOWN, STATE.FAILED))

    def test_what_settles_a_wish(self) -> None:
        """E-4, FR-24, R-5: a status, whatever is wrong beside it; a CALLERROR of the same name is none; silence is uncertain."""
        key = wished(KeyRecord(charger="CP1", key="colour", name="Colour"), "red")
        for outcome, state, error, expected, reason in (
            ("Accepted", MessageState.COMPLETED, False, STATE.ACCEPTED, None),
            ("Accepted", MessageState.ERROR, False, STATE.ACCEPTED, None),
            ("NotSupported", MessageState.ERROR, True, STATE.FAILED, "CALLERROR NotSupported"),
            (None, MessageState.UNKNOWN, False, STATE.UNKNOWN, "unknown"),
            (None, MessageState.CANCELLED, False, STATE.FAILED, "cancelled"),
        ):
            found = changed(key, Change.of(ended(outcome, state, error=error), "red"))
            self.assertEqual((found.desired_state, found.reason), (expected, reason))
        other = replace(key, desired_message="another")
        self.assertEqual(changed(other, Change.of(ended(None, MessageState.CANCELLED), "red")), other)
        self.assertEqual(changed(key, Change.of(ended(None, MessageState.TIMEOUT), "blue")), key)
