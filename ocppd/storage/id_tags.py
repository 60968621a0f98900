"""Id tags: who they are, what a verdict on one depends on, and those that nobody knows. Functions over a running transaction.

REQUIREMENTS A-1 to A-5, T-1, T-5. Tags of the configuration come first: they are handed in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any, Final

from sqlalchemy import and_, bindparam, delete, exists, func, select, text

from ocppd.storage import remote_starts
from ocppd.storage.records import (
    UNREADABLE_MS,
    Change,
    Changed,
    Configured,
    Group,
    IdTag,
    IdTagFilter,
    Inbound,
    Standing,
    Start,
    UnknownIdTag,
)
from ocppd.storage.schema import IS_OPEN, id_tags, transactions, unknown_id_tags
from ocppd.storage.unit import Parameters, Statement, Unit, values_of
from ocppd.v16.types import AuthorizationStatus, IdTagInfo

#: Unknown tags that are remembered; those that were not seen for longest are forgotten.
UNKNOWN_LIMIT: Final = 10_000

_RECORD: Final = tuple(field.name for field in fields(IdTag))
_COLUMNS: Final = tuple(id_tags.c[name] for name in _RECORD)
_THIS: Final = id_tags.c.key == bindparam("the_key")
_READ = Statement(select(*_COLUMNS).where(_THIS))
#: Whoever starts a transaction with a tag waits for others who do, so that they are counted.
_LOCKED = Statement(select(*_COLUMNS).where(_THIS).with_for_update())
_ANY = Statement(select(exists(select(id_tags.c.key)), remote_starts.EXPECTED))
#: One that was refused is stopped by its charger, or was never begun.
_RUNS: Final = and_(IS_OPEN, text("verdict = 'Accepted'"))
_ELSEWHERE = (transactions.c.charger != bindparam("the_charger")) | (transactions.c.connector_id != bindparam("the_connector"))
_ACTIVE = Statement(select(func.count()).where(transactions.c.id_tag_key == bindparam("the_key"), _RUNS, _ELSEWHERE))
_GROUP_ACTIVE = Statement(select(func.count()).where(transactions.c.parent_key == bindparam("the_key"), _RUNS, _ELSEWHERE))
_PUT = Statement.upsert(
    id_tags,
    lambda insert: values_of(insert, *_RECORD).on_conflict_do_update(
        index_elements=[id_tags.c.key], set_={name: insert.excluded[name] for name in _RECORD if name != "key"}
    ),
)
_DELETED = Statement(delete(id_tags).where(_THIS))
_SEEN = Statement.upsert(
    unknown_id_tags,
    lambda insert: (
        values_of(insert, "key", "id_tag", "charger", "first_ms", "last_ms", "attempts")
        .on_conflict_do_update(
            index_elements=[unknown_id_tags.c.key],
            set_={
                **{name: insert.excluded[name] for name in ("id_tag", "charger", "last_ms")},
                "attempts": unknown_id_tags.c.attempts + insert.excluded.attempts,
            },
        )
        .returning(unknown_id_tags.c.attempts)
    ),
)
_COUNT_UNKNOWN = Statement(select(func.count()).select_from(unknown_id_tags))
_FORGOTTEN = Statement(delete(unknown_id_tags).where(unknown_id_tags.c.key == bindparam("the_key")))
_FORGOTTEN_OLDEST = Statement(
    delete(unknown_id_tags).where(unknown_id_tags.c.last_ms == select(func.min(unknown_id_tags.c.last_ms)).scalar_subquery())
)


def standing(unit: Unit, key: str, configured: Configured, charger: str = "", now_ms: int = 0) -> Standing:
    """See `IdTagRecords.id_tag_standing`."""
    tag = configured.get(key) or _find(unit, _READ, key)
    if tag is None:
        return _unknown(unit, configured, remote_starts.sought(charger, key, now_ms))
    return Standing(tag=tag, any_known=True)


def standing_at_start(unit: Unit, message: Inbound, start: Start) -> Standing:
    """How things are for a start on that connector, whose own transactions do not count: they are lost (T-5)."""
    key, configured = start.id_tag_key, start.configured
    tag = _counted(unit, key, configured)
    if tag is None:
        return _unknown(unit, configured, sought_by(message, start))
    here: dict[str, Any] = {"the_charger": message.charger, "the_connector": start.connector_id}
    active = 0 if tag.max_active is None else unit.one(_ACTIVE, {"the_key": key, **here})[0]
    parent = None if tag.parent_key is None else _counted(unit, tag.parent_key, configured)
    groups = [
        Group(head.group_limit, sum(unit.one(query, {"the_key": head.key, **here})[0] for query in (_ACTIVE, _GROUP_ACTIVE)))
        for head in (tag, parent)
        if head is not None and head.group_limit is not None
    ]
    return Standing(tag=tag, any_known=True, active=active, groups=tuple(groups))


def _counted(unit: Unit, key: str, configured: Configured) -> IdTag | None:
    """A tag; where its transactions are to be counted, whoever else starts one with it comes after this commit."""
    tag = configured.get(key)
    if tag is not None:
        return tag
    tag = _find(unit, _READ, key)
    if tag is None or (tag.max_active is None and tag.group_limit is None):
        return tag
    return _find(unit, _LOCKED, key)


def sought_by(message: Inbound, start: Start) -> Parameters:
    """What a remote start must be that this start may come of."""
    started_ms = None if start.timestamp_ms == UNREADABLE_MS else start.timestamp_ms
    return remote_starts.sought(message.charger, start.id_tag_key, message.received_ms, start.connector_id, started_ms)


def _unknown(unit: Unit, configured: Configured, sought: Parameters) -> Standing:
    any_known, expected = unit.one(_ANY, sought)
    return Standing(tag=None, any_known=bool(configured) or bool(any_known), expected=bool(expected))


def _find(unit: Unit, statement: Statement, key: str) -> IdTag | None:
    row = unit.one(statement, {"the_key": key})
    return None if row is None else _tag(row)


def refused(unit: Unit, found: Standing, info: IdTagInfo, id_tag: str, key: str, charger: str, now_ms: int) -> None:
    """A verdict was given: a tag that was refused because nobody knows it is remembered."""
    if found.tag is None and key and info.status is AuthorizationStatus.INVALID:
        unknown_seen(unit, id_tag, key, charger, now_ms)


def unknown_seen(unit: Unit, id_tag: str, key: str, charger: str, now_ms: int) -> None:
    """See `IdTagRecords.unknown_id_tag_seen`."""
    row: Parameters = {"key": key, "id_tag": id_tag, "charger": charger, "first_ms": now_ms, "last_ms": now_ms, "attempts": 1}
    if unit.one(_SEEN, row)[0] == 1 and unit.one(_COUNT_UNKNOWN, {})[0] > UNKNOWN_LIMIT:
        unit.send(_FORGOTTEN_OLDEST, {})


def put(unit: Unit, tag: IdTag, expected: int | None, now_ms: int) -> Changed:
    """See `IdTagRecords.put_id_tag`."""
    found = _find(unit, _LOCKED, tag.key)
    if expected is not None and expected != (0 if found is None else found.version):
        return Changed(Change.CONFLICT, found)
    if found is not None and replace(tag, version=found.version) == found:
        return Changed(Change.UNCHANGED, found)
    tag = replace(tag, version=now_ms if found is None else max(found.version + 1, now_ms))
    unit.send(_PUT, {name: getattr(tag, name) for name in _RECORD})
    unit.send(_FORGOTTEN, {"the_key": tag.key})
    return Changed(Change.UPDATED if found else Change.CREATED, tag)


def put_all(unit: Unit, tags: Sequence[IdTag], now_ms: int) -> list[Changed]:
    """See `IdTagRecords.put_id_tags`."""
    return [put(unit, tag, None, now_ms) for tag in tags]


def deleted(unit: Unit, key: str, expected: int | None) -> Changed:
    """See `IdTagRecords.delete_id_tag`."""
    found = _find(unit, _LOCKED, key)
    if found is None:
        return Changed(Change.MISSING, None)
    if expected is not None and expected != found.version:
        return Changed(Change.CONFLICT, found)
    unit.send(_DELETED, {"the_key": key})
    return Changed(Change.DELETED, None)


def read(unit: Unit, key: str) -> IdTag | None:
    """See `IdTagRecords.read_id_tag`."""
    return _find(unit, _READ, key)


def list_id_tags(unit: Unit, which: IdTagFilter, after: str, limit: int) -> list[IdTag]:
    """See `IdTagRecords.list_id_tags`."""
    query = select(*_COLUMNS).where(id_tags.c.key > after).order_by(id_tags.c.key).limit(limit)
    if which.parent_key is not None:
        query = query.where(id_tags.c.parent_key == which.parent_key)
    if which.status is not None:
        query = query.where(id_tags.c.status == which.status.value)
    return [_tag(row) for row in unit.connection.execute(query)]


def list_unknown(unit: Unit, after: str, limit: int) -> list[UnknownIdTag]:
    """See `IdTagRecords.list_unknown_id_tags`."""
    columns = [unknown_id_tags.c[field.name] for field in fields(UnknownIdTag)]
    query = select(*columns).where(unknown_id_tags.c.key > after).order_by(unknown_id_tags.c.key).limit(limit)
    return [UnknownIdTag(*row) for row in unit.connection.execute(query)]


def forget_unknown(unit: Unit, key: str) -> bool:
    """See `IdTagRecords.forget_unknown_id_tag`."""
    return unit.run(_FORGOTTEN, {"the_key": key}) == 1


def _tag(row: Any) -> IdTag:
    members = dict(zip(_RECORD, row, strict=True))
    return IdTag(**{**members, "status": AuthorizationStatus(members["status"])})
