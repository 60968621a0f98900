"""The part of the records' seam that is about charging profiles. See `ocppd.storage.api` for what holds for all."""

from __future__ import annotations

from typing import Protocol

from twisted.internet.defer import Deferred

from ocppd.storage.records.charging import Due, InstalledProfile, Order, Ordered, Template, TemplateChanged


class ChargingRecords(Protocol):
    """Templates, and the mirror of what is installed. The mirror follows the ends of our calls by itself."""

    def create_template(self, template: Template, now_ms: int) -> Deferred[Template]:
        """Keep a new template, which is given an id and a version."""

    def put_template(self, template: Template, expected: int | None, now_ms: int) -> Deferred[TemplateChanged]:
        """Replace the one with its id, where its version is the one `expected` (None: whatever it is)."""

    def delete_template(self, template_id: int, expected: int | None) -> Deferred[TemplateChanged]:
        """Delete it, where its version is the one `expected`. What was sent of it stays where it is."""

    def read_template(self, template_id: int) -> Deferred[Template | None]: ...

    def list_templates(self, after: int, limit: int) -> Deferred[list[Template]]:
        """In order of their ids, behind the id `after`."""

    def templates_at_start(self) -> Deferred[tuple[Template, ...]]:
        """Those that are sent for transactions that begin, in order of their ids."""

    def order_profile(self, order: Order, now_ms: int) -> Deferred[Ordered]:
        """Note a profile that is about to be sent, as `pending`; give it an id where it has none."""

    def fresh_profile_id(self, charger: str) -> Deferred[int]:
        """An id that no profile of the charger has, and that is given to nobody else."""

    def order_at_start(self, orders: tuple[Order, ...], transaction_id: int, now_ms: int) -> Deferred[tuple[Ordered, ...]]:
        """Note those that this transaction, if it goes on, has not been sent nor has anything of their stack level.

        Those that the charger has no room for are among them, without a profile.
        """

    def withdraw_order(self, row_id: int) -> Deferred[None]:
        """It could not be sent after all."""

    def lost_orders(self, now_ms: int) -> Deferred[tuple[int, ...]]:
        """Rows of what has been pending for a minute and has no call that waits or is out: its node died before it made one."""

    def installed_profiles(self, charger: str) -> Deferred[tuple[InstalledProfile, ...]]:
        """What is known of a charger's profiles, oldest first; without TxProfiles of transactions that have ended."""

    def due_profiles(self, now_ms: int) -> Deferred[Due]:
        """What is to be done by itself."""

    def claim_fallback(self, row_id: int, now_ms: int) -> Deferred[bool]:
        """Whether it falls to the caller to send this refused profile in another form; to one caller at a time.

        It is due again after a minute, unless it was settled: then that caller has died, or had no records.
        """

    def fallback_settled(self, row_id: int) -> Deferred[None]:
        """It was sent in another form, or cannot be: it is due no longer."""

    def claim_outlived(self, row_id: int, now_ms: int) -> Deferred[bool]:
        """Whether it falls to the caller to clear this profile, which stood in for another; to one caller at a time.

        Where the call ends without an answer it is due again after ten minutes, where none was made after a day.
        """

    def restore_outlived(self, row_id: int) -> Deferred[None]:
        """It could not be cleared now, and is due as before."""
