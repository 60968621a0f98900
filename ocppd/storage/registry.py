"""Chargers as operators enter them, and identities that nobody has entered. Functions over a running transaction.

Every change of an entry takes the next number of one count, whose row is locked until the commit: whoever has read all
changes up to a number has missed none (`central.registry`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any, Final

from sqlalchemy import bindparam, delete, func, select

from ocppd.storage import charger_passwords, events
from ocppd.storage.records import Change, EventKind
from ocppd.storage.records.registry import Entry, UnknownIdentity, Written
from ocppd.storage.schema import charger_changes, charger_entries, unknown_chargers
from ocppd.storage.unit import Statement, Unit, values_of

#: Unknown identities that are remembered; those that were not seen for longest are forgotten.
UNKNOWN_LIMIT: Final = 1000

_RECORD: Final = tuple(field.name for field in fields(Entry))
_COLUMNS: Final = tuple(charger_entries.c[name] for name in _RECORD)
_THIS: Final = charger_entries.c.name == bindparam("the_name")
_READ = Statement(select(*_COLUMNS).where(_THIS))
_NEXT = Statement.upsert(
    charger_changes,
    lambda insert: (
        values_of(insert, "one", "change")
        .on_conflict_do_update(
            index_elements=[charger_changes.c.one], set_={"change": charger_changes.c.change + insert.excluded.change}
        )
        .returning(charger_changes.c.change)
    ),
)
_PUT = Statement.upsert(
    charger_entries,
    lambda insert: values_of(insert, *_RECORD).on_conflict_do_update(
        index_elements=[charger_entries.c.name], set_={name: insert.excluded[name] for name in _RECORD if name != "name"}
    ),
)
_SEEN = Statement.upsert(
    unknown_chargers,
    lambda insert: values_of(insert, "name", "remote_ip", "first_ms", "last_ms", "attempts").on_conflict_do_update(
        index_elements=[unknown_chargers.c.name],
        set_={
            **{name: insert.excluded[name] for name in ("remote_ip", "last_ms")},
            "attempts": unknown_chargers.c.attempts + insert.excluded.attempts,
        },
    ),
)
_FORGOTTEN = Statement(delete(unknown_chargers).where(unknown_chargers.c.name == bindparam("the_name")))
_COUNT_UNKNOWN = Statement(select(func.count()).select_from(unknown_chargers))


def changes(unit: Unit, after: int, limit: int) -> list[Entry]:
    """See `RegistryRecords.changes`."""
    query = select(*_COLUMNS).where(charger_entries.c.change > after).order_by(charger_entries.c.change).limit(limit)
    return [Entry(**dict(zip(_RECORD, row, strict=True))) for row in unit.connection.execute(query)]


def all_entries(unit: Unit) -> list[Entry]:
    """Every entry, in the order of the changes."""
    query = select(*_COLUMNS).order_by(charger_entries.c.change)
    return [Entry(**dict(zip(_RECORD, row, strict=True))) for row in unit.connection.execute(query)]


def read(unit: Unit, name: str) -> Entry | None:
    """See `RegistryRecords.read`. A name that is not there any more has an entry, without settings."""
    row = unit.one(_READ, {"the_name": name})
    return None if row is None else Entry(**dict(zip(_RECORD, row, strict=True)))


def put(unit: Unit, name: str, settings: str, expected: int | None, now_ms: int, password: bytes | None = None) -> Written:
    """See `RegistryRecords.put`."""
    change = next_change(unit)
    found = read(unit, name)
    is_there = found is not None and found.settings is not None
    if expected is not None and expected != (found.version if found is not None and is_there else 0):
        return Written(Change.CONFLICT, found)
    unit.send(_FORGOTTEN, {"the_name": name})
    if found is not None and found.settings == settings and password is None:
        return Written(Change.UNCHANGED, found)
    if password is not None:
        charger_passwords.replaced(unit, name, password, now_ms)
    protected = password is not None or (found is not None and found.protected)
    entry = Entry(name=name, settings=settings, protected=protected, version=_version(found, now_ms), change=change)
    _store(unit, entry)
    made = Change.UPDATED if is_there else Change.CREATED
    events.happened(unit, EventKind.CHARGER_CHANGED, name, now_ms, change=made.value)
    return Written(made, entry)


def deleted(unit: Unit, name: str, expected: int | None, now_ms: int) -> Written:
    """See `RegistryRecords.delete`."""
    change = next_change(unit)
    found = read(unit, name)
    if found is None or found.settings is None:
        return Written(Change.MISSING, None)
    if expected is not None and expected != found.version:
        return Written(Change.CONFLICT, found)
    charger_passwords.forgotten(unit, name)
    entry = Entry(name=name, settings=None, protected=False, version=_version(found, now_ms), change=change)
    _store(unit, entry)
    events.happened(unit, EventKind.CHARGER_CHANGED, name, now_ms, change=Change.DELETED.value)
    return Written(Change.DELETED, entry)


def next_change(unit: Unit) -> int:
    """The number of a change; whoever makes another one waits for this commit."""
    return int(unit.one(_NEXT, {"one": 1, "change": 1})[0])


def _version(found: Entry | None, now_ms: int) -> int:
    return now_ms if found is None else max(found.version + 1, now_ms)


def _store(unit: Unit, entry: Entry) -> None:
    unit.send(_PUT, {name: getattr(entry, name) for name in _RECORD})


# Passwords, whose changes all nodes learn of


def password_given(unit: Unit, name: str, key: bytes, now_ms: int, *, at_once: bool) -> None:
    """See `RegistryRecords.password_given`."""
    if at_once:
        charger_passwords.replaced(unit, name, key, now_ms)
    else:
        charger_passwords.given(unit, name, key, now_ms)
    password_changed(unit, name, now_ms, "operator")


def passwords_forgotten(unit: Unit, name: str, now_ms: int) -> bool:
    """See `RegistryRecords.passwords_forgotten`."""
    if not charger_passwords.given_up(unit, name):
        return False
    password_changed(unit, name, now_ms, "operator")
    return True


def password_proven(unit: Unit, name: str, number: int | None, now_ms: int) -> None:
    """See `RegistryRecords.password_proven`."""
    if charger_passwords.proven(unit, name, number):
        password_changed(unit, name, now_ms, "login")


def password_changed(unit: Unit, name: str, now_ms: int, by: str) -> None:
    """The passwords of a charger are others than before: whether it has one is in its entry."""
    change = next_change(unit)
    found = read(unit, name)
    settings, version = (None, 0) if found is None else (found.settings, found.version)
    held = charger_passwords.is_held(unit, name)
    _store(unit, Entry(name=name, settings=settings, protected=held, version=version, change=change))
    events.happened(unit, EventKind.CREDENTIALS_CHANGED, name, now_ms, by=by)


# Identities that nobody has entered


def unknown_seen(unit: Unit, identities: Sequence[UnknownIdentity]) -> None:
    """See `RegistryRecords.unknown_seen`."""
    for each in identities:
        unit.send(_SEEN, {field.name: getattr(each, field.name) for field in fields(UnknownIdentity)})
    too_many = unit.one(_COUNT_UNKNOWN, {})[0] - UNKNOWN_LIMIT
    if too_many > 0:
        order = (unknown_chargers.c.last_ms, unknown_chargers.c.name)
        oldest = select(unknown_chargers.c.name).order_by(*order).limit(too_many).scalar_subquery()
        unit.connection.execute(delete(unknown_chargers).where(unknown_chargers.c.name.in_(oldest)))


def list_unknown(unit: Unit, after: str, limit: int) -> list[UnknownIdentity]:
    """See `RegistryRecords.list_unknown`."""
    columns = [unknown_chargers.c[field.name] for field in fields(UnknownIdentity)]
    query = select(*columns).where(unknown_chargers.c.name > after).order_by(unknown_chargers.c.name).limit(limit)
    return [UnknownIdentity(*row) for row in unit.connection.execute(query)]


def is_unknown(unit: Unit, name: str) -> bool:
    """See `RegistryRecords.is_unknown`."""
    query: Any = select(unknown_chargers.c.name).where(unknown_chargers.c.name == name)
    return unit.connection.execute(query).first() is not None


def forget_unknown(unit: Unit, name: str) -> bool:
    """See `RegistryRecords.forget_unknown`."""
    return unit.run(_FORGOTTEN, {"the_name": name}) == 1
