"""`IdempotencyRecords` over SQL."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred

from ocppd.storage import idempotency
from ocppd.storage.access import Access
from ocppd.storage.records.idempotency import Claimed, KeptAnswer
from ocppd.storage.secrets import Secrets


class SqlIdempotency:
    """See `ocppd.storage.api.idempotency.IdempotencyRecords` for what each method does."""

    def __init__(self, storage: Access, node: str, secrets: Callable[[], Secrets]) -> None:
        """`secrets` are those of the storage once it has started."""
        self._storage = storage
        self._node = node
        self._secrets = secrets

    def claim(self, scope: str, key: str, fingerprint: str, reference: str, now_ms: int) -> Deferred[Claimed]:
        node, secrets = self._node, self._secrets()
        return self._storage.write(idempotency.claimed, scope, key, fingerprint, reference, node, now_ms, secrets)

    def answer(self, scope: str, key: str, reference: str, answer: KeptAnswer) -> Deferred[None]:
        return self._storage.write(idempotency.answered, scope, key, reference, answer, self._secrets())

    def leave(self, scope: str, key: str, reference: str | None) -> Deferred[None]:
        return self._storage.write(idempotency.left, scope, key, reference, self._node)

    def release(self, scope: str, key: str, reference: str) -> Deferred[None]:
        return self._storage.write(idempotency.released, scope, key, reference)

    def forget_old(self, now_ms: int) -> Deferred[int]:
        return self._storage.write(idempotency.forgotten, now_ms)
