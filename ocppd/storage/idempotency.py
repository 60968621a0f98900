"""Requests that are carried out once, by their keys. Functions over a running transaction.

A key is claimed in a commit before its request is carried out, and has the id of what the request will make. So where its node
goes away between, the next one that is sent the request finds out by this id whether it has had its effect.
"""

from __future__ import annotations

from typing import Final

import msgspec
from sqlalchemy import and_, bindparam, delete, func, select, update

from ocppd.storage.records.idempotency import ANSWER_LIMIT, KEY_LIFE_MS, KEYS_LIMIT, Claim, Claimed, KeptAnswer
from ocppd.storage.schema import idempotency_keys, nodes
from ocppd.storage.secrets import Secrets
from ocppd.storage.unit import Parameters, Statement, Unit, values_of

#: In place of a node, where none works at a request: no node has such a name.
NOBODY: Final = ""

_keys = idempotency_keys.c
_THIS: Final = and_(_keys.scope == bindparam("the_scope"), _keys.key == bindparam("the_key"))
_OWN: Final = and_(_THIS, _keys.reference == bindparam("the_reference"))
_CLAIMED = Statement.upsert(
    idempotency_keys,
    lambda insert: values_of(insert, "scope", "key", "fingerprint", "reference", "node", "created_ms").on_conflict_do_nothing(),
)
_LOCKED = Statement(
    select(_keys.fingerprint, _keys.reference, _keys.node, _keys.status, _keys.answer).where(_THIS).with_for_update()
)
_TAKEN_OVER = Statement(update(idempotency_keys).where(_OWN).values(node=bindparam("the_node")))
_LIVES = Statement(select(nodes.c.node).where(nodes.c.node == bindparam("the_node")))
_COUNT = Statement(select(func.count()).select_from(idempotency_keys))
_ANSWERED = Statement(update(idempotency_keys).where(_OWN).values(status=bindparam("new_status"), answer=bindparam("new_answer")))
_left = (
    update(idempotency_keys)
    .where(_THIS, _keys.node == bindparam("the_node"), _keys.status.is_(None))
    .values(node=bindparam("nobody"))
)
_LEFT = Statement(_left.where(_OWN))
_LEFT_WHATEVER = Statement(_left)
_RELEASED = Statement(delete(idempotency_keys).where(_OWN))
_OLD_ONE = Statement(delete(idempotency_keys).where(_THIS, _keys.created_ms <= bindparam("before_ms")))
_OLD = Statement(delete(idempotency_keys).where(_keys.created_ms <= bindparam("before_ms")))


def claimed(
    unit: Unit, scope: str, key: str, fingerprint: str, reference: str, node: str, now_ms: int, secrets: Secrets
) -> Claimed:
    """See `IdempotencyRecords.claim`."""
    this: Parameters = {"the_scope": scope, "the_key": key}
    unit.send(_OLD_ONE, {**this, "before_ms": now_ms - KEY_LIFE_MS})
    row: Parameters = {
        "scope": scope,
        "key": key,
        "fingerprint": secrets.encrypt(fingerprint),
        "reference": reference,
        "node": node,
        "created_ms": now_ms,
    }
    if unit.run(_CLAIMED, row):
        if unit.one(_COUNT, {})[0] <= KEYS_LIMIT:
            return Claimed(Claim.NEW, reference)
        unit.send(_RELEASED, {**this, "the_reference": reference})
        return Claimed(Claim.FULL, reference)
    kept_fingerprint, kept_reference, holder, status, answer = unit.one(_LOCKED, this)
    if secrets.decrypt(bytes(kept_fingerprint)) != fingerprint:
        return Claimed(Claim.OTHER, kept_reference)
    if status is not None:
        return Claimed(Claim.DONE, kept_reference, _answer_of(status, answer, secrets))
    if holder != node:
        if unit.one(_LIVES, {"the_node": holder}) is not None:
            return Claimed(Claim.BUSY, kept_reference)
        unit.send(_TAKEN_OVER, {**this, "the_reference": kept_reference, "the_node": node})
    return Claimed(Claim.ABANDONED, kept_reference)


def _answer_of(status: int, answer: bytes | None, secrets: Secrets) -> KeptAnswer:
    text = None if answer is None else secrets.decrypt(bytes(answer))
    if text is None:
        return KeptAnswer(status)
    headers, body = msgspec.json.decode(text, type=tuple[tuple[tuple[str, str], ...], str])
    return KeptAnswer(status, headers, body)


def answered(unit: Unit, scope: str, key: str, reference: str, answer: KeptAnswer, secrets: Secrets) -> None:
    """See `IdempotencyRecords.answer`."""
    kept = None
    if answer.body is not None and len(answer.body) <= ANSWER_LIMIT:
        kept = secrets.encrypt(msgspec.json.encode((answer.headers, answer.body)).decode())
    this: Parameters = {"the_scope": scope, "the_key": key, "the_reference": reference}
    unit.send(_ANSWERED, {**this, "new_status": answer.status, "new_answer": kept})


def left(unit: Unit, scope: str, key: str, reference: str | None, node: str) -> None:
    """See `IdempotencyRecords.leave`."""
    this: Parameters = {"the_scope": scope, "the_key": key, "the_node": node, "nobody": NOBODY}
    if reference is None:
        unit.send(_LEFT_WHATEVER, this)
    else:
        unit.send(_LEFT, {**this, "the_reference": reference})


def released(unit: Unit, scope: str, key: str, reference: str) -> None:
    """See `IdempotencyRecords.release`."""
    unit.send(_RELEASED, {"the_scope": scope, "the_key": key, "the_reference": reference})


def forgotten(unit: Unit, now_ms: int) -> int:
    """See `IdempotencyRecords.forget_old`."""
    return unit.run(_OLD, {"before_ms": now_ms - KEY_LIFE_MS})
