"""The seam to the requests that are carried out once; a part of `ocppd.storage.api.Storage`."""

from __future__ import annotations

from typing import Protocol

from twisted.internet.defer import Deferred

from ocppd.storage.records.idempotency import Claimed, KeptAnswer


class IdempotencyRecords(Protocol):
    """Keys of requests, for a day each. All methods may fail with StorageUnavailable."""

    def claim(self, scope: str, key: str, fingerprint: str, reference: str, now_ms: int) -> Deferred[Claimed]:
        """Take a key for this node, unless somebody has it. `fingerprint` tells one request from another.

        Not while this node works at a request with the same key: that is taken for abandoned.
        """

    def answer(self, scope: str, key: str, reference: str, answer: KeptAnswer) -> Deferred[None]:
        """Keep what the request was answered."""

    def leave(self, scope: str, key: str, reference: str | None) -> Deferred[None]:
        """This node works at the request no more, and knows nothing of its effect: whoever has it next is to find out.

        Without a `reference`: at whatever request has the key.
        """

    def release(self, scope: str, key: str, reference: str) -> Deferred[None]:
        """The request has had no effect: forget its key."""

    def forget_old(self, now_ms: int) -> Deferred[int]:
        """Forget keys whose day is over; fires with how many."""
