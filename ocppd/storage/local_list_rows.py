"""Rows of local lists, read and written as a whole. Functions over a running transaction; they decide nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Final

import msgspec
from sqlalchemy import bindparam, select

from ocppd.storage import events
from ocppd.storage.records import EventKind
from ocppd.storage.records.local_lists import Entries, ListState, LocalList, Wanted, entries_of
from ocppd.storage.schema import local_lists
from ocppd.storage.unit import Statement, Unit, values_of
from ocppd.v16.types import AuthorizationData

#: What an event tells of; a list that is behind again is not worth one each time.
TOLD: Final = frozenset({ListState.IN_SYNC, ListState.FAILED, ListState.UNSUPPORTED})

_RECORD: Final = tuple(field.name for field in fields(LocalList))
_COLUMNS: Final = tuple(local_lists.c[name] for name in _RECORD)
#: Kept besides, because queries ask for it.
_FOLLOWS: Final = "follows"
_THIS: Final = local_lists.c.charger == bindparam("the_charger")
_READ = Statement(select(*_COLUMNS).where(_THIS))
_LOCKED = Statement(select(*_COLUMNS).where(_THIS).with_for_update())
_SAVED = Statement.upsert(
    local_lists,
    lambda insert: values_of(insert, *_RECORD, _FOLLOWS).on_conflict_do_update(
        index_elements=[local_lists.c.charger],
        set_={name: insert.excluded[name] for name in (*_RECORD, _FOLLOWS) if name != "charger"},
    ),
)

_encode = msgspec.json.Encoder().encode
_decode_wanted = msgspec.json.Decoder(Wanted).decode
_decode_entries = msgspec.json.Decoder(tuple[AuthorizationData, ...]).decode


def read(unit: Unit, charger: str) -> LocalList | None:
    """The list of a charger."""
    row = unit.one(_READ, {"the_charger": charger})
    return None if row is None else _list(row)


def locked(unit: Unit, charger: str) -> LocalList | None:
    """The same, and nobody else changes it until this commit."""
    row = unit.one(_LOCKED, {"the_charger": charger})
    return None if row is None else _list(row)


def save(unit: Unit, before: LocalList | None, after: LocalList, at_ms: int) -> LocalList:
    """Write it, where it has changed; an event tells of a state that is worth it. Gives `after`."""
    if before == after:
        return after
    row = {name: getattr(after, name) for name in _RECORD}
    row["state"] = after.state.value
    row["wanted"] = None if after.wanted is None else _encode(after.wanted).decode()
    row["confirmed"], row["pending"] = _text(after.confirmed), _text(after.pending)
    row[_FOLLOWS] = after.wanted is not None and after.wanted.follows
    unit.send(_SAVED, row)
    if after.state in TOLD and (before is None or before.state is not after.state):
        told = {"detail": after.detail, "version": after.confirmed_version}
        members = {name: str(value) for name, value in told.items() if value is not None}
        events.happened(unit, EventKind.LOCAL_LIST_CHANGED, after.charger, at_ms, state=after.state.value, **members)
    return after


def _text(entries: Entries | None) -> str | None:
    return None if entries is None else _encode(list(entries.values())).decode()


def _entries(text: str | None) -> Entries | None:
    return None if text is None else entries_of(_decode_entries(text))


def _list(row: Any) -> LocalList:
    members: Mapping[str, Any] = dict(zip(_RECORD, row, strict=True))
    return LocalList(
        **{
            **members,
            "wanted": None if members["wanted"] is None else _decode_wanted(members["wanted"]),
            "state": ListState(members["state"]),
            "confirmed": _entries(members["confirmed"]),
            "pending": _entries(members["pending"]),
            "whole": bool(members["whole"]),
        }
    )
