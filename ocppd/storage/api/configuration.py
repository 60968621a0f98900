"""The part of the seam to the records that is about the configuration keys of chargers."""

from __future__ import annotations

from typing import Protocol

from twisted.internet.defer import Deferred

from ocppd.storage.records.configuration import KeyRecord, Mirrored, Wish


class ConfigurationRecords(Protocol):
    """What chargers' keys are, and what they are to be. What a charger tells is recorded with the end of the call."""

    def read(self, charger: str) -> Deferred[Mirrored]:
        """All that is known of a charger: its keys in order, when it last told all, the actions that it refuses."""

    def read_key(self, charger: str, name: str) -> Deferred[KeyRecord | None]:
        """One key, in whatever spelling."""

    def wish(self, charger: str, name: str, value: str, expected: int | None, now_ms: int) -> Deferred[Wish]:
        """Make this the desired value, where the key's version is the one `expected` (0: there is none; None: any).

        It is `pending` then; where the same value was on its way already nothing is changed.
        """

    def wish_sent(self, now: KeyRecord, message_id: str) -> Deferred[KeyRecord | None]:
        """The message that carries the desired value of `now` is accepted; fires with the key as it is by then."""

    def wish_undone(self, before: KeyRecord | None, now: KeyRecord, at_ms: int) -> Deferred[None]:
        """No message carries the desired value of `now`: what was desired before is desired again."""

    def withdraw(self, charger: str, name: str, expected: int | None, now_ms: int) -> Deferred[Wish]:
        """Give up the desired value, where the key's version is the one `expected`."""

    def wishes_abandoned(self, now_ms: int) -> Deferred[int]:
        """End the desired values that no message carries, since their node ended too early; fires with how many."""

    def readings_due(self, now_ms: int, limit: int) -> Deferred[list[str]]:
        """The chargers at this node whose configuration is to be read by now, those that wait for longest first.

        One whose registration is Pending or Rejected is none of them until it is accepted.
        """

    def claim_reading(self, charger: str, until_ms: int, now_ms: int) -> Deferred[bool]:
        """Whether this charger's configuration is to be read, by `until_ms` at the latest, and the caller shall do it.

        It is due again some minutes later, a few times, until the charger has told it.
        """
