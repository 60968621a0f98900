"""Keys of requests that are carried out once, over every storage."""

from __future__ import annotations

import pytest_twisted
from pytest import MonkeyPatch
from twisted.internet import reactor

from ocppd.storage import idempotency
from ocppd.storage.idempotency_records import SqlIdempotency
from ocppd.storage.records.idempotency import ANSWER_LIMIT, Claim, KeptAnswer
from ocppd.storage.secrets import Secrets
from ocppd.storage.sql_storage import SqlStorage
from support import postgresql
from support.storing import NOON_MS

ensure = pytest_twisted.ensureDeferred


@ensure
async def test_the_life_of_a_key(storage: SqlStorage, monkeypatch: MonkeyPatch) -> None:
    """Claimed, found abandoned by the same node, answered, told; of another request; released; bounded."""
    keys = storage.idempotency
    first = await keys.claim("", "k", "one", "r1", NOON_MS)
    assert (first.claim, first.reference) == (Claim.NEW, "r1")
    again = await keys.claim("", "k", "one", "r2", NOON_MS)
    assert (again.claim, again.reference) == (Claim.ABANDONED, "r1")
    assert (await keys.claim("", "k", "two", "r2", NOON_MS)).claim is Claim.OTHER
    assert (await keys.claim("else", "k", "two", "r3", NOON_MS)).claim is Claim.NEW
    answer = KeptAnswer(202, (("Location", "/x"),), '{"a":"ä"}')
    await keys.answer("", "k", "another", KeptAnswer(500, (), ""))
    await keys.answer("", "k", "r1", answer)
    done = await keys.claim("", "k", "one", "r2", NOON_MS)
    assert (done.claim, done.answer) == (Claim.DONE, answer)
    await keys.claim("", "long", "one", "r4", NOON_MS)
    await keys.answer("", "long", "r4", KeptAnswer(200, (), "x" * (ANSWER_LIMIT + 1)))
    assert (await keys.claim("", "long", "one", "r5", NOON_MS)).answer == KeptAnswer(200)
    monkeypatch.setattr(idempotency, "KEYS_LIMIT", 3)
    assert (await keys.claim("", "more", "one", "r6", NOON_MS)).claim is Claim.FULL
    await keys.release("", "long", "r4")
    assert (await keys.claim("", "more", "one", "r6", NOON_MS)).claim is Claim.NEW


@ensure
async def test_a_key_that_is_left(storage: SqlStorage) -> None:
    """A node that works at a request no more leaves its key to whoever asks next, also another node; not one that has an end."""
    other = SqlIdempotency(storage, "other", lambda: Secrets.from_text(postgresql.SECRET_KEY))
    keys = SqlIdempotency(storage, storage._node, lambda: Secrets.from_text(postgresql.SECRET_KEY))
    await storage.node_started()
    await keys.claim("", "k", "one", "r1", NOON_MS)
    await other.leave("", "k", "r1")
    assert (await other.claim("", "k", "one", "r2", NOON_MS)).claim is Claim.BUSY, "it is not this one's"
    await keys.leave("", "k", "another")
    assert (await other.claim("", "k", "one", "r2", NOON_MS)).claim is Claim.BUSY, "it was of another request"
    await keys.leave("", "k", "r1")
    taken = await other.claim("", "k", "one", "r2", NOON_MS)
    assert (taken.claim, taken.reference) == (Claim.ABANDONED, "r1")
    await other.answer("", "k", "r1", KeptAnswer(200))
    await other.leave("", "k", "r1")
    assert (await keys.claim("", "k", "one", "r3", NOON_MS)).claim is Claim.DONE


@ensure
async def test_a_key_of_another_node(storage: SqlStorage) -> None:
    """Another node's key is busy while that node lives, and taken over once it does not."""
    if not storage.shared:
        return
    await storage.node_started()
    other = SqlStorage(storage._url, reactor, secret_key=postgresql.SECRET_KEY, node="other")
    other.start()
    try:
        await storage.idempotency.claim("", "k", "one", "r1", NOON_MS)
        await other.node_started()
        assert (await other.idempotency.claim("", "k", "one", "r2", NOON_MS)).claim is Claim.BUSY
        await storage.node_stopped()
        taken = await other.idempotency.claim("", "k", "one", "r2", NOON_MS)
        assert (taken.claim, taken.reference) == (Claim.ABANDONED, "r1")
        await storage.node_started()
        assert (await storage.idempotency.claim("", "k", "one", "r3", NOON_MS)).claim is Claim.BUSY
    finally:
        await other.stop()
