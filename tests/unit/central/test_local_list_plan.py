"""What is to be done next about a local list."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ocppd.central.local_list_plan import (
    LONGEST_RETRY_MS,
    MAX_ATTEMPTS,
    RETRY_MS,
    Ask,
    Limits,
    Send,
    Settle,
    Stop,
    changes,
    next_step,
    next_version,
    retry_ms,
)
from ocppd.storage.local_list_effects import applied
from ocppd.storage.records.local_lists import Entries, ListState, LocalList, Wanted, entries_of
from ocppd.v16.codec import verify
from ocppd.v16.types import INT32_MAX, AuthorizationData, AuthorizationStatus, IdTagInfo, UpdateType

STATUSES = (AuthorizationStatus.ACCEPTED, AuthorizationStatus.BLOCKED)


def entry(tag: str, status: AuthorizationStatus = AuthorizationStatus.ACCEPTED) -> AuthorizationData:
    return AuthorizationData(id_tag=tag, id_tag_info=IdTagInfo(status=status))


def entries(*tags: str) -> Entries:
    return entries_of(tuple(map(entry, tags)))


def found(**members: Any) -> LocalList:
    """A list that was in sync with version 3 and is behind."""
    defaults: dict[str, Any] = {
        "wanted": Wanted(),
        "state": ListState.BEHIND,
        "sent_version": 3,
        "confirmed_version": 3,
        "told_version": 3,
        "confirmed": entries("A"),
    }
    return LocalList(charger="CP1", **defaults | members)


lists = st.dictionaries(st.sampled_from("abcdefgh"), st.sampled_from(STATUSES)).map(
    lambda chosen: {tag: entry(tag, status) for tag, status in chosen.items()}
)


class PlanTests(SynchronousTestCase):
    """One step at a time."""

    def sends(self, what: LocalList, wanted: Entries, limits: Limits | None = None) -> tuple[UpdateType, int, int]:
        """Kind, version and number of entries of the message that is next."""
        step = next_step(what, wanted, limits or Limits(), asked=True)
        assert isinstance(step, Send), step
        request = verify(step.request)
        return request.update_type, request.list_version, len(request.local_authorization_list or ())

    def test_the_version_comes_first(self) -> None:
        """L-6: nothing is sent before the charger has told its version."""
        self.assertEqual(next_step(found(), entries("A"), Limits(), asked=False), Ask())

    def test_a_difference(self) -> None:
        """L-2: changes alone where the charger holds what it confirmed, nothing where there are none."""
        self.assertEqual(self.sends(found(), entries("A", "B")), (UpdateType.DIFFERENTIAL, 4, 1))
        self.assertEqual(next_step(found(), entries("a"), Limits(), asked=True), Settle(ListState.IN_SYNC))

    def test_what_asks_for_a_full_list(self) -> None:
        """L-5, L-6: a surprise, a refusal, nothing known, or nothing wanted; always with a version above all others (L-1)."""
        for members, version in (
            ({"told_version": 9}, 10),
            ({"told_version": 2}, 4),
            ({"told_version": 0}, 4),
            ({"whole": True}, 4),
            ({"confirmed": None}, 4),
            ({"confirmed_version": None}, 4),
            ({"whole": True, "pending_version": 7}, 8),
        ):
            self.assertEqual(self.sends(found(**members), entries("A", "B")), (UpdateType.FULL, version, 2), members)
        self.assertEqual(self.sends(found(), {}), (UpdateType.FULL, 4, 0))

    def test_an_empty_list_may_be_version_0(self) -> None:
        """2.4: after a full list without entries 0 and the version that was sent are both right."""
        for version in (0, 3):
            empty = found(confirmed={}, told_version=version)
            self.assertEqual(next_step(empty, {}, Limits(), asked=True), Settle(ListState.IN_SYNC))
            self.assertEqual(self.sends(empty, entries("A")), (UpdateType.DIFFERENTIAL, 4, 1))

    def test_limits(self) -> None:
        """L-3: as many entries as a message takes; a list that is too long for the charger is not sent at all."""
        many = entries(*(f"T{number}" for number in range(7)))
        self.assertEqual(self.sends(found(whole=True), many, Limits(send=3)), (UpdateType.FULL, 4, 3))
        self.assertEqual(self.sends(found(), many, Limits(send=3)), (UpdateType.DIFFERENTIAL, 4, 3))
        step = next_step(found(), many, Limits(total=6), asked=False)
        assert isinstance(step, Settle)
        self.assertEqual(step.state, ListState.FAILED)

    def test_versions_run_out(self) -> None:
        """L-1: behind the last of 32 bits a full list begins with 1 again."""
        last = found(sent_version=INT32_MAX)
        self.assertIsNone(next_version(last))
        self.assertEqual(self.sends(last, entries("A", "B")), (UpdateType.FULL, 1, 2))
        self.assertEqual(next_version(found(sent_version=0, confirmed_version=None, told_version=-1)), 1)

    def test_when_to_stop(self) -> None:
        """L-5: what is settled stays so, and a charger that never answers is left alone, after ever longer pauses."""
        for state in (ListState.IN_SYNC, ListState.FAILED, ListState.UNSUPPORTED, ListState.UNMANAGED):
            self.assertEqual(next_step(found(state=state), entries("B"), Limits(), asked=True), Stop())
        step = next_step(found(attempts=MAX_ATTEMPTS), entries("B"), Limits(), asked=False)
        assert isinstance(step, Settle)
        self.assertEqual(step.state, ListState.FAILED)
        self.assertEqual([retry_ms(0), retry_ms(2), retry_ms(99)], [RETRY_MS, 4 * RETRY_MS, LONGEST_RETRY_MS])

    @given(lists, lists, st.integers(1, 5))
    def test_portions_make_one_of_the_other(self, held: Entries, wanted: Entries, limit: int) -> None:
        """L-2, L-3: whatever is held, portions that are accepted one after the other end with what is wanted."""
        what = found(confirmed=held)
        for _ in range(20):
            step = next_step(what, wanted, Limits(send=limit), asked=True)
            if isinstance(step, Settle):
                break
            assert isinstance(step, Send)
            request = verify(step.request)
            sent = request.local_authorization_list or ()
            assert len(sent) <= limit and len(entries_of(sent)) == len(sent)
            assert request.list_version > what.sent_version
            version = request.list_version
            what = found(
                confirmed=applied(what.confirmed, request), confirmed_version=version, told_version=version, sent_version=version
            )
        self.assertEqual(step, Settle(ListState.IN_SYNC))
        self.assertEqual(changes(what.confirmed or {}, wanted), ())
