"""Local authorization lists: what is wanted of them, and who is at it. Functions over a running transaction.

REQUIREMENTS 2.5, L-1 to L-6. What chargers hold is in `local_list_effects`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from msgspec import UNSET
from sqlalchemy import bindparam, func, literal_column, select

from ocppd.storage import id_tags
from ocppd.storage import local_list_rows as rows
from ocppd.storage.records import Change, Configured, IdTag, IdTagFilter
from ocppd.storage.records.local_lists import (
    WORKED_ON,
    Entries,
    ListChanged,
    ListState,
    LocalList,
    Wanted,
    Work,
    entries_of,
)
from ocppd.storage.schema import IS_FOLLOWING, chargers, local_lists, nodes
from ocppd.storage.schema import id_tags as tags_table
from ocppd.storage.schema.local_lists import IS_DUE
from ocppd.storage.unit import Statement, Unit
from ocppd.v16.timestamps import LAST_SENDABLE_MS, format_timestamp
from ocppd.v16.types import AuthorizationData, IdTagInfo

#: Tags that are read at a time.
CHUNK: Final = 5_000
#: Lists that are looked at again in one commit, where tags have changed.
FOLLOWED_AT_ONCE: Final = 100

_DUE = Statement(
    select(local_lists.c.charger)
    .select_from(local_lists.join(chargers, chargers.c.name == local_lists.c.charger))
    .where(IS_DUE, local_lists.c.due_ms <= bindparam("now_ms"), chargers.c.node == bindparam("the_node"))
    .order_by(local_lists.c.due_ms)
)
_FOLLOWING = Statement(select(local_lists.c.charger, local_lists.c.state, local_lists.c.revision).where(IS_FOLLOWING))
_LIVES = Statement(select(nodes.c.node).where(nodes.c.node == bindparam("the_node")))
#: What is put has another version than before, so that no change leaves all three as they were.
_REVISION = Statement(
    select(
        func.count(),
        func.max(tags_table.c.version),
        func.sum(tags_table.c.version % literal_column("2147483647")),
    ).select_from(tags_table)
)


# What is wanted


def put(unit: Unit, charger: str, wanted: Wanted, expected: int | None, now_ms: int) -> ListChanged:
    """See `LocalListRecords.put`."""
    before = rows.locked(unit, charger)
    found = before or LocalList(charger=charger)
    if expected is not None and expected != (0 if found.wanted is None else found.wanted_version):
        return ListChanged(Change.CONFLICT, before)
    if found.wanted == wanted:
        return ListChanged(Change.UNCHANGED, found)
    version = max(found.wanted_version + 1, now_ms)
    after = replace(_afresh(found, now_ms), wanted=wanted, wanted_version=version)
    rows.save(unit, before, after, now_ms)
    return ListChanged(Change.CREATED if found.wanted is None else Change.UPDATED, after)


def _afresh(found: LocalList, now_ms: int) -> LocalList:
    """To be seen to now, whatever came of it before."""
    return replace(found, state=ListState.BEHIND, detail=None, due_ms=now_ms, attempts=0, wholes=0, touched=found.touched + 1)


def delete(unit: Unit, charger: str, expected: int | None) -> ListChanged:
    """See `LocalListRecords.delete`."""
    before = rows.locked(unit, charger)
    if before is None or before.wanted is None:
        return ListChanged(Change.MISSING, before)
    if expected is not None and expected != before.wanted_version:
        return ListChanged(Change.CONFLICT, before)
    after = replace(before, wanted=None, state=ListState.UNMANAGED, detail=None, due_ms=None, touched=before.touched + 1)
    rows.save(unit, before, replace(after, worker=None, whole=False), 0)
    return ListChanged(Change.DELETED, None)


def ask_again(unit: Unit, charger: str, now_ms: int, *, whole: bool) -> LocalList | None:
    """See `LocalListRecords.ask_again`."""
    before = rows.locked(unit, charger)
    if before is None or before.wanted is None:
        return None
    return rows.save(unit, before, replace(_afresh(before, now_ms), whole=whole or before.whole), now_ms)


# What is to be held


def wanted_entries(unit: Unit, wanted: Wanted, configured: Configured) -> Entries:
    """The entries that are wanted now; tags of the configuration come before those of the records."""
    if not wanted.follows:
        return entries_of(wanted.entries)
    chosen: dict[str, IdTag] = {}
    if wanted.all_tags:
        chosen |= _tags(unit, IdTagFilter())
    for parent in wanted.parents:
        chosen |= _tags(unit, IdTagFilter(parent_key=parent))
    for key in wanted.id_tags:
        tag = id_tags.read(unit, key)
        if tag is not None:
            chosen[key] = tag
    chosen = {key: tag for key, tag in chosen.items() if key not in configured}
    for key, tag in configured.items():
        if wanted.all_tags or key in wanted.id_tags or tag.parent_key in wanted.parents:
            chosen[key] = tag
    return {key: _entry(chosen[key]) for key in sorted(chosen)}


def _tags(unit: Unit, which: IdTagFilter) -> dict[str, IdTag]:
    found: dict[str, IdTag] = {}
    after = ""
    while True:
        chunk = id_tags.list_id_tags(unit, which, after, CHUNK)
        found |= {tag.key: tag for tag in chunk}
        if len(chunk) < CHUNK:
            return found
        after = chunk[-1].key


def _entry(tag: IdTag) -> AuthorizationData:
    """What a charger is told of a tag (L-4). Of its expiry it decides itself, when the time has come."""
    info = IdTagInfo(
        status=tag.status,
        expiry_date=UNSET if tag.expiry_ms is None else format_timestamp(min(tag.expiry_ms, LAST_SENDABLE_MS)),
        parent_id_tag=tag.parent or UNSET,
    )
    return AuthorizationData(id_tag=tag.id_tag, id_tag_info=info)


def revision(unit: Unit, digest: str) -> str:
    """Something that changes with the id tags, those of the configuration included."""
    count, newest, total = unit.one(_REVISION, {})
    return f"{count}.{newest or 0}.{total or 0}.{digest}"


# Reading


def read(unit: Unit, charger: str, digest: str) -> LocalList | None:
    """See `LocalListRecords.read`."""
    found = rows.read(unit, charger)
    if found is None or found.state is not ListState.IN_SYNC or found.wanted is None or not found.wanted.follows:
        return found
    return found if found.revision == revision(unit, digest) else replace(found, state=ListState.BEHIND)


def compare(unit: Unit, charger: str, configured: Configured) -> Work | None:
    """See `LocalListRecords.compare`."""
    found = rows.read(unit, charger)
    if found is None:
        return None
    return Work(found, {} if found.wanted is None else wanted_entries(unit, found.wanted, configured), "")


def stale(unit: Unit, digest: str) -> list[str]:
    """The chargers whose lists follow id tags that are not what they were."""
    following = unit.all(_FOLLOWING, {})
    if not following:
        return []
    now = revision(unit, digest)
    return [charger for charger, state, then in following if state == ListState.IN_SYNC.value and then != now]


def due(unit: Unit, node: str, now_ms: int, limit: int) -> list[str]:
    """See `LocalListRecords.due`."""
    return [row[0] for row in unit.all(_DUE, {"the_node": node, "now_ms": now_ms})[:limit]]


# At work


def follow(unit: Unit, digest: str, now_ms: int) -> int:
    """See `LocalListRecords.follow`."""
    names = sorted(stale(unit, digest))[:FOLLOWED_AT_ONCE]
    for name in names:
        before = rows.locked(unit, name)
        if before is not None and before.state is ListState.IN_SYNC:
            rows.save(unit, before, _afresh(before, now_ms), now_ms)
    return len(names)


def work(unit: Unit, charger: str, node: str, configured: Configured, digest: str, now_ms: int) -> Work | None:
    """See `LocalListRecords.work`."""
    before = rows.locked(unit, charger)
    if before is None or before.wanted is None or before.state not in WORKED_ON:
        return None
    if before.due_ms is None or before.due_ms > now_ms:
        return None
    if before.worker not in (None, node) and unit.one(_LIVES, {"the_node": before.worker}) is not None:
        return None
    found = rows.save(unit, before, replace(before, worker=node), now_ms)
    then = revision(unit, digest) if before.wanted.follows else ""
    return Work(found, wanted_entries(unit, before.wanted, configured), then)


def sending(unit: Unit, charger: str, version: int) -> None:
    """See `LocalListRecords.sending`."""
    before = rows.locked(unit, charger)
    if before is not None and before.state in WORKED_ON:
        rows.save(unit, before, replace(before, state=ListState.SENDING, sent_version=version), 0)


def settled(unit: Unit, charger: str, touched: int, then: str, state: ListState, detail: str | None, now_ms: int) -> bool:
    """See `LocalListRecords.settled`."""
    before = rows.locked(unit, charger)
    if before is None or before.touched != touched:
        return False
    after = replace(before, state=state, detail=detail, revision=then, due_ms=None, worker=None, attempts=0)
    if state is ListState.IN_SYNC:
        after = replace(after, whole=False, wholes=0)
    rows.save(unit, before, after, now_ms)
    return True


def postponed(unit: Unit, charger: str, detail: str, due_ms: int, *, attempt: bool) -> None:
    """See `LocalListRecords.postponed`."""
    before = rows.locked(unit, charger)
    if before is None:
        return
    if before.state not in WORKED_ON:
        rows.save(unit, before, replace(before, worker=None), due_ms)
        return
    after = replace(before, state=ListState.BEHIND, detail=detail, due_ms=due_ms, worker=None)
    rows.save(unit, before, replace(after, attempts=before.attempts + int(attempt)), due_ms)
