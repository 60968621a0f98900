"""The use cases of charging profiles as the rest of the daemon calls them. See `ocppd.storage.api.charging` for each."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from ocppd.storage import charging_profiles, charging_templates
from ocppd.storage.access import Access
from ocppd.storage.records.charging import Due, InstalledProfile, Order, Ordered, Template, TemplateChanged


class SqlCharging:
    """Templates, and the mirror of what is installed."""

    def __init__(self, storage: Access) -> None:
        self._storage = storage

    def create_template(self, template: Template, now_ms: int) -> Deferred[Template]:
        return self._storage.write(charging_templates.created, template, now_ms)

    def put_template(self, template: Template, expected: int | None, now_ms: int) -> Deferred[TemplateChanged]:
        return self._storage.write(charging_templates.put, template, expected, now_ms)

    def delete_template(self, template_id: int, expected: int | None) -> Deferred[TemplateChanged]:
        return self._storage.write(charging_templates.deleted, template_id, expected)

    def read_template(self, template_id: int) -> Deferred[Template | None]:
        return self._storage.read(charging_templates.read, template_id)

    def list_templates(self, after: int, limit: int) -> Deferred[list[Template]]:
        return self._storage.read(charging_templates.list_templates, after, limit)

    def templates_at_start(self) -> Deferred[tuple[Template, ...]]:
        return self._storage.read(charging_templates.at_start)

    def order_profile(self, order: Order, now_ms: int) -> Deferred[Ordered]:
        return self._storage.write(charging_profiles.ordered, order, now_ms)

    def fresh_profile_id(self, charger: str) -> Deferred[int]:
        return self._storage.write(charging_profiles.fresh_id, charger)

    def order_at_start(self, orders: tuple[Order, ...], transaction_id: int, now_ms: int) -> Deferred[tuple[Ordered, ...]]:
        return self._storage.write(charging_profiles.ordered_at_start, orders, transaction_id, now_ms)

    def withdraw_order(self, row_id: int) -> Deferred[None]:
        return self._storage.write(charging_profiles.withdrawn, row_id)

    def lost_orders(self, now_ms: int) -> Deferred[tuple[int, ...]]:
        return self._storage.read(charging_profiles.lost_orders, now_ms)

    def installed_profiles(self, charger: str) -> Deferred[tuple[InstalledProfile, ...]]:
        return self._storage.read(charging_profiles.installed, charger)

    def due_profiles(self, now_ms: int) -> Deferred[Due]:
        return self._storage.read(charging_profiles.due, now_ms)

    def claim_fallback(self, row_id: int, now_ms: int) -> Deferred[bool]:
        return self._storage.write(charging_profiles.fallback_claimed, row_id, now_ms)

    def fallback_settled(self, row_id: int) -> Deferred[None]:
        return self._storage.write(charging_profiles.fallback_settled, row_id)

    def claim_outlived(self, row_id: int, now_ms: int) -> Deferred[bool]:
        return self._storage.write(charging_profiles.outlived_claimed, row_id, now_ms)

    def restore_outlived(self, row_id: int) -> Deferred[None]:
        return self._storage.write(charging_profiles.outlived_restored, row_id)
