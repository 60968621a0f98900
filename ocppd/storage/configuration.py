"""The configuration keys of chargers: what they tell, what they are to be. Functions over a running transaction.

REQUIREMENTS 2.4, 2.6, R-5, Z-8. What a charger tells takes effect in the commit of the call's end, by whatever door the call
came. Whoever writes here locks the charger's row in `configuration_readings` first, so that one waits for the other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any, Final

import msgspec
from sqlalchemy import bindparam, delete, or_, select, update

from ocppd.errors import Violation
from ocppd.storage import events, refused_actions
from ocppd.storage.clean import clean_text
from ocppd.storage.configuration_states import Change, changed, not_known, rebooted, told
from ocppd.storage.records import Boot, EventKind, Inbound
from ocppd.storage.records.calls import EndedCall
from ocppd.storage.records.configuration import DesiredState, KeyRecord, Mirrored, Source, Wish, Wished
from ocppd.storage.schema import chargers, configuration, configuration_readings
from ocppd.storage.schema.configuration import IS_FOR_REBOOT, IS_UNSENT
from ocppd.storage.spellings import at_most
from ocppd.storage.unit import Parameters, Statement, Unit, values_of
from ocppd.v16.codec import decode
from ocppd.v16.configuration_keys import is_same, is_secret, key_of
from ocppd.v16.core import ChangeConfigurationRequest, GetConfigurationConfirmation, GetConfigurationRequest
from ocppd.v16.types import RegistrationStatus

#: Keys of one charger that are kept: real ones have a few hundred, and a hostile one shall not fill the disk.
KEYS_LIMIT: Final = 2000
#: After an accepted boot, for so long, a charger that is to be read tells its statuses undisturbed (B-8).
SETTLING_MS: Final = 60_000
#: A wish that has no message after that: the daemon ended between the two.
UNSENT_MS: Final = 60_000
#: The `reason` of such a one.
NEVER_SENT: Final = "the server ended before it was sent"

_RECORD: Final = tuple(field.name for field in fields(KeyRecord))
_COLUMNS: Final = tuple(configuration.c[name] for name in _RECORD)
_OF_CHARGER: Final = configuration.c.charger == bindparam("the_charger")
_THIS: Final = _OF_CHARGER & (configuration.c.key == bindparam("the_key"))
_READ = Statement(select(*_COLUMNS).where(_THIS))
_READ_ALL = Statement(select(*_COLUMNS).where(_OF_CHARGER).order_by(configuration.c.key))
#: Rows that are looked at together; where there are more, each boot looks for its own.
MOST_FOR_REBOOT: Final = 100
_ANY_FOR_REBOOT = Statement(at_most(select(configuration.c.charger).where(IS_FOR_REBOOT), MOST_FOR_REBOOT))
_CONNECTED_MS: Final = select(chargers.c.connected_ms).where(chargers.c.name == bindparam("the_charger")).scalar_subquery()
#: What waited for a reboot of a charger that has connected anew since: a reboot ends the connection. Where it has waited since a
#: time that is still to come the clock was set back, and nobody knows.
_RETURNED = Statement(
    select(*_COLUMNS).where(
        _OF_CHARGER,
        IS_FOR_REBOOT,
        or_(configuration.c.reboot_ms < _CONNECTED_MS, configuration.c.reboot_ms > bindparam("now_ms")),
    )
).standing_beside()
_PUT = Statement.upsert(
    configuration,
    lambda insert: values_of(insert, *_RECORD).on_conflict_do_update(
        index_elements=[configuration.c.charger, configuration.c.key],
        set_={name: insert.excluded[name] for name in _RECORD if name not in ("charger", "key")},
    ),
)
_DELETED = Statement(delete(configuration).where(_THIS))
#: By the instant of the wish, which no other wish for this key has; the charger may have answered already.
_CARRIED_BY = Statement(
    update(configuration)
    .where(_THIS, configuration.c.desired_ms == bindparam("wished_ms"), configuration.c.desired_message.is_(None))
    .values(desired_message=bindparam("new_message"))
)
_ABANDONED = Statement(
    update(configuration)
    .where(IS_UNSENT, configuration.c.desired_ms < bindparam("before_ms"))
    .values(
        desired_state=bindparam("new_state"), reason=bindparam("new_reason"), version=configuration.c.version + bindparam("one")
    )
)

_readings = configuration_readings
_EXPECTED = Statement.upsert(_readings, lambda insert: values_of(insert, "charger", "attempts").on_conflict_do_nothing())
#: A statement of its own: what it has waited for is in the snapshot of the next one, and only there.
_THIS_CHARGER: Final = _readings.c.charger == bindparam("the_charger")
_LOCKED = Statement(select(_readings.c.charger).where(_THIS_CHARGER).with_for_update())
_READ_AT = Statement(select(_readings.c.read_ms).where(_THIS_CHARGER))
_WAS_READ = Statement(
    update(_readings)
    .where(_THIS_CHARGER)
    .values(read_ms=bindparam("now_ms"), due_ms=bindparam("no_due"), attempts=bindparam("none"), read_machine=_readings.c.machine)
)
_DUE = Statement(
    update(_readings).where(_THIS_CHARGER).values(due_ms=bindparam("new_due_ms"), attempts=bindparam("none"))
).standing_beside()
_BOOTED_AS = Statement.upsert(
    _readings,
    lambda insert: (
        values_of(insert, "charger", "attempts", "machine")
        .on_conflict_do_update(index_elements=[_readings.c.charger], set_={"machine": insert.excluded.machine})
        .returning(_readings.c.read_machine, _readings.c.due_ms)
    ),
).standing_beside()


# What is known


def read(unit: Unit, charger: str) -> Mirrored:
    """See `ConfigurationRecords.read`."""
    row = unit.one(_READ_AT, {"the_charger": charger})
    keys = tuple(_key(row) for row in unit.all(_READ_ALL, {"the_charger": charger}))
    return Mirrored(keys, None if row is None else row[0], refused_actions.of_charger(unit, charger))


def read_key(unit: Unit, charger: str, name: str) -> KeyRecord | None:
    """See `ConfigurationRecords.read_key`."""
    return _find(unit, charger, key_of(name))


def _find(unit: Unit, charger: str, key: str) -> KeyRecord | None:
    row = unit.one(_READ, {"the_charger": charger, "the_key": key})
    return None if row is None else _key(row)


def _key(row: Any) -> KeyRecord:
    members = dict(zip(_RECORD, row, strict=True))
    members["unknown"] = bool(members["unknown"])
    members["readonly"] = None if members["readonly"] is None else bool(members["readonly"])
    members["source"] = None if members["source"] is None else Source(members["source"])
    state = members["desired_state"]
    members["desired_state"] = None if state is None else DesiredState(state)
    return KeyRecord(**members)


def _lock(unit: Unit, charger: str) -> None:
    """Wait for whoever else writes here."""
    unit.send(_EXPECTED, {"charger": charger, "attempts": 0})
    unit.one(_LOCKED, {"the_charger": charger})


# What a charger tells


def call_ended(unit: Unit, ended: EndedCall) -> None:
    """A GetConfiguration or ChangeConfiguration of ours has ended."""
    if ended.action == "ChangeConfiguration":
        _changed(unit, ended)
    elif ended.response is not None:
        _told(unit, ended, ended.response)


def _told(unit: Unit, ended: EndedCall, response: bytes) -> None:
    """What an answer has is kept, as the last one of its name; what it lacks stays as it was."""
    try:
        answer, _ = decode(GetConfigurationConfirmation, response, strict=False)
        asked, _ = decode(GetConfigurationRequest, ended.request, strict=False)
    except Violation:
        return
    _lock(unit, ended.charger)
    kept = {key.key: key for key in map(_key, unit.all(_READ_ALL, {"the_charger": ended.charger}))}
    before = dict(kept)
    for name in answer.unknown_key or ():
        _tell(kept, ended, name, lambda key: not_known(key, ended.ended_ms))
    for entry in answer.configuration_key or ():
        name, readonly = clean_text(entry.key), entry.readonly
        value = None if entry.value is msgspec.UNSET else clean_text(entry.value)
        _tell(kept, ended, name, lambda key, n=name, v=value, r=readonly: told(key, n, v, r, ended.ended_ms))  # type: ignore[misc]
    for key in kept.values():
        _put(unit, key, before.get(key.key), ended.ended_ms)
    if not asked.key and answer.configuration_key:
        unit.send(_WAS_READ, {"the_charger": ended.charger, "now_ms": ended.ended_ms, "no_due": None, "none": 0})


def _tell(kept: dict[str, KeyRecord], ended: EndedCall, name: str, tell: Callable[[KeyRecord], KeyRecord]) -> None:
    name = clean_text(name)
    key = key_of(name)
    if key in kept:
        kept[key] = tell(kept[key])
    elif len(kept) < KEYS_LIMIT:
        kept[key] = tell(KeyRecord(charger=ended.charger, key=key, name=name))


def _changed(unit: Unit, ended: EndedCall) -> None:
    try:
        request, _ = decode(ChangeConfigurationRequest, ended.request, strict=False)
    except Violation:
        return
    name = clean_text(request.key)
    change = Change.of(ended, None if is_secret(name) else clean_text(request.value))
    if change.uncertain:
        due(unit, ended.charger, ended.ended_ms + SETTLING_MS)
    else:
        _lock(unit, ended.charger)
    before = _find(unit, ended.charger, key_of(name))
    now = changed(before or KeyRecord(charger=ended.charger, key=key_of(name), name=name), change)
    if before is not None or (now.is_told and not _is_full(unit, ended.charger)):
        _put(unit, now, before, ended.ended_ms)


def _is_full(unit: Unit, charger: str) -> bool:
    return len(unit.all(_READ_ALL, {"the_charger": charger})) >= KEYS_LIMIT


def _put(unit: Unit, key: KeyRecord, before: KeyRecord | None, at_ms: int) -> KeyRecord:
    """Keep a key; with another version where anything but the time is another. A drift is told when it begins."""
    if key == before:
        return key
    if before is None or replace(key, told_ms=before.told_ms, source=before.source) != before:
        key = replace(key, version=at_ms if before is None else max(before.version + 1, at_ms))
    _write(unit, key)
    drifts = key.desired_state is DesiredState.DRIFT
    if drifts and before is not None and (before.desired_state is not DesiredState.DRIFT or before.value != key.value):
        members = {"key": key.name, "desired": key.desired or ""} | ({} if key.value is None else {"value": key.value})
        events.happened(unit, EventKind.CONFIGURATION_DRIFTED, key.charger, at_ms, **members)
    return key


def _write(unit: Unit, key: KeyRecord) -> None:
    unit.send(_PUT, {name: getattr(key, name) for name in _RECORD})


# What it is to be


def wish(unit: Unit, charger: str, name: str, value: str, expected: int | None, now_ms: int) -> Wish:
    """See `ConfigurationRecords.wish`."""
    _lock(unit, charger)
    before = _find(unit, charger, key_of(name))
    if expected is not None and expected != (0 if before is None else before.version):
        return Wish(Wished.CONFLICT, before)
    if before is None and _is_full(unit, charger):
        return Wish(Wished.FULL)
    wanted = None if is_secret(name) else value
    if before is not None and _is_on_its_way(before, wanted):
        return Wish(Wished.PENDING, before, before)
    now = replace(
        before or KeyRecord(charger=charger, key=key_of(name), name=name),
        desired=wanted,
        desired_state=DesiredState.PENDING,
        desired_ms=now_ms if before is None or before.desired_ms is None else max(before.desired_ms + 1, now_ms),
        desired_message=None,
        reason=None,
    )
    return Wish(Wished.DONE, before, _put(unit, now, before, now_ms))


def _is_on_its_way(key: KeyRecord, wanted: str | None) -> bool:
    """Whether a message carries this value already; of secrets nobody knows."""
    if key.desired_state is not DesiredState.PENDING or key.desired_message is None or key.desired is None:
        return False
    return wanted is not None and is_same(key.name, key.desired, wanted)


def wish_sent(unit: Unit, now: KeyRecord, message_id: str) -> KeyRecord | None:
    """See `ConfigurationRecords.wish_sent`."""
    _lock(unit, now.charger)
    this: Parameters = {"the_charger": now.charger, "the_key": now.key}
    unit.send(_CARRIED_BY, {**this, "wished_ms": now.desired_ms, "new_message": message_id})
    return _find(unit, now.charger, now.key)


def wish_undone(unit: Unit, before: KeyRecord | None, now: KeyRecord, at_ms: int) -> None:
    """See `ConfigurationRecords.wish_undone`."""
    _lock(unit, now.charger)
    found = _find(unit, now.charger, now.key)
    if found is None or found.desired_ms != now.desired_ms or found.desired_state is not DesiredState.PENDING:
        return
    wished = before or KeyRecord(charger=now.charger, key=now.key, name=now.name)
    if found == now and before is not None:
        _write(unit, before)
    else:
        _keep_or_forget(unit, _wishing(found, wished), found, at_ms)


def withdraw(unit: Unit, charger: str, name: str, expected: int | None, now_ms: int) -> Wish:
    """See `ConfigurationRecords.withdraw`."""
    _lock(unit, charger)
    before = _find(unit, charger, key_of(name))
    if before is None or not before.is_desired:
        return Wish(Wished.MISSING, before)
    if expected is not None and expected != before.version:
        return Wish(Wished.CONFLICT, before)
    _keep_or_forget(unit, _wishing(before, KeyRecord(charger=charger, key=before.key, name=before.name)), before, now_ms)
    return Wish(Wished.DONE, before)


def _wishing(key: KeyRecord, other: KeyRecord) -> KeyRecord:
    """`key` with what is desired of `other`."""
    return replace(
        key,
        desired=other.desired,
        desired_state=other.desired_state,
        desired_ms=other.desired_ms,
        desired_message=other.desired_message,
        reason=other.reason,
    )


def _keep_or_forget(unit: Unit, key: KeyRecord, before: KeyRecord, at_ms: int) -> None:
    if key.is_told or key.is_desired:
        _put(unit, key, before, at_ms)
    else:
        unit.send(_DELETED, {"the_charger": key.charger, "the_key": key.key})


def wishes_abandoned(unit: Unit, now_ms: int) -> int:
    """See `ConfigurationRecords.wishes_abandoned`."""
    ended: Parameters = {
        "before_ms": now_ms - UNSENT_MS,
        "new_state": DesiredState.FAILED.value,
        "new_reason": NEVER_SENT,
        "one": 1,
    }
    return unit.run(_ABANDONED, ended)


# Boots


def booted(unit: Unit, message: Inbound, boot: Boot) -> None:
    """What waited for a boot is in force, whatever that is answered, and is read back once its charger is accepted.

    A charger that is not accepted repeats its boot over the same connection (section 4.2), and any may be triggered to: that is
    no reboot. The configuration is to be read, too, where another machine or another firmware was accepted, or it never was
    (B-8). Where a user's handler decides about the boot it counts as accepted.
    """
    refused_actions.booted(unit, message, boot)
    if boot.registration in (None, RegistrationStatus.ACCEPTED):
        machine = "\n".join((boot.vendor, boot.model, boot.firmware_version or ""))
        row: Parameters = {"charger": message.charger, "attempts": 0, "machine": machine}
        read_machine, due_ms = unit.one(_BOOTED_AS, row)
        is_due = _came_into_force(unit, message) or due_ms is not None or read_machine != machine
    else:
        _lock(unit, message.charger)
        is_due = _came_into_force(unit, message)
    if is_due:
        new_due_ms = message.received_ms + SETTLING_MS
        unit.send(_DUE, {"the_charger": message.charger, "new_due_ms": new_due_ms, "none": 0})


def _came_into_force(unit: Unit, message: Inbound) -> bool:
    """Values that have waited for this boot; whether there are any: asked once for a batch where nobody else writes here."""
    if unit.alone:
        some = unit.fact(_ANY_FOR_REBOOT, {})
        if len(some) < MOST_FOR_REBOOT and (message.charger,) not in some:
            return False
    found = [_key(row) for row in unit.all(_RETURNED, {"the_charger": message.charger, "now_ms": message.received_ms})]
    for key in found:
        _put(unit, rebooted(key), key, message.received_ms)
    return bool(found)


def due(unit: Unit, charger: str, at_ms: int) -> None:
    """The configuration of a charger is to be read from then on."""
    _lock(unit, charger)
    unit.send(_DUE, {"the_charger": charger, "new_due_ms": at_ms, "none": 0})
