"""Bodies of jobs over many chargers, and what the ends of their calls mean. docs/http-api.md."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ocppd.central.fleet_jobs import new_job
from ocppd.errors import InvalidPayload
from ocppd.net.rest.v1.fleet_job_bodies import Wish, read_wish
from ocppd.storage.fleet_job_steps import verdict
from ocppd.storage.records import FINAL_STATES, MessageState
from ocppd.storage.records.fleet_jobs import FleetRowState, ProductFilter


def read(**members: Any) -> Wish:
    """A ClearCache, of an installation whose chargers begin with C."""
    body = {"action": "ClearCache", "select": {"names": ["C2", "C1"]}, **members}
    return read_wish(body, lambda name: name.startswith("C"))


class BodyTests(SynchronousTestCase):
    """Reading them."""

    def test_defaults(self) -> None:
        """Five calls a second, no canary, and otherwise as the command says."""
        wish = read()
        self.assertEqual((wish.names, wish.product, wish.selected), (("C2", "C1"), None, {}))
        self.assertEqual((wish.rate_tenths, wish.canary, wish.offline, wish.ttl_s), (50, 0, None, None))

    def test_all_members(self) -> None:
        """Names are kept out of what is shown again; the product is not."""
        wish = read(select={"model": "One"}, rate=0.1, canary=3, offline="queue", ttl=60)
        self.assertEqual((wish.names, wish.product, wish.selected), (None, ProductFilter(model="One"), {"model": "One"}))
        self.assertEqual((wish.rate_tenths, wish.canary, wish.offline, wish.ttl_s), (1, 3, True, 60))
        self.assertIs(read(offline="fail").offline, False)

    def test_all_that_is_wrong_at_once(self) -> None:
        """With pointers into the body, those of the payload too."""
        with self.assertRaises(InvalidPayload) as caught:
            read(action="Reset", payload={"type": "X"}, select={"names": ["D"]}, rate=1000, wait=1)
        pointers = {each.pointer for each in caught.exception.violations}
        self.assertEqual(pointers, {"/payload/type", "/select/names/0", "/rate", "/wait"})

    def test_a_job_has_ids_and_no_readable_secret(self) -> None:
        """Each charger has a message id of its own (F-5), and the readable payload hides what is secret (Z-8)."""
        wish = read(action="ChangeConfiguration", payload={"key": "AuthorizationKey", "value": "hidden"})
        assert wish.names is not None
        job = new_job(
            wish.action, wish.request, "{}", wish.names, rate_tenths=1, canary=0, offline=None, ttl_s=None, created_ms=0
        )
        self.assertEqual([charger for charger, _ in job.rows], ["C2", "C1"])
        self.assertEqual(len({message_id for _, message_id in job.rows}), 2)
        self.assertIn("hidden", job.payload)
        self.assertNotIn("hidden", job.redacted)


class VerdictTests(SynchronousTestCase):
    """What an end means."""

    def test_every_end(self) -> None:
        """Good: an answer with a good status or none. Taken back: skipped. Everything else: failed."""
        for outcome in (None, "Accepted", "AcceptedCanceled", "RebootRequired", "Scheduled", "Unlocked"):
            self.assertIs(verdict(MessageState.COMPLETED, outcome), FleetRowState.SUCCEEDED, outcome)
        for outcome in ("Rejected", "NotSupported", "UnlockFailed", "Faulted", "Unknown", "accepted"):
            self.assertIs(verdict(MessageState.COMPLETED, outcome), FleetRowState.FAILED, outcome)
        self.assertIs(verdict(MessageState.CANCELLED, None), FleetRowState.SKIPPED)
        for state in FINAL_STATES - {MessageState.COMPLETED, MessageState.CANCELLED}:
            self.assertIs(verdict(state, "Accepted"), FleetRowState.FAILED, state)
