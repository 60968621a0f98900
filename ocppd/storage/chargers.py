"""Chargers and their connectors: connections, boots, statuses. Functions over a running transaction."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, Text, and_, bindparam, func, insert, null, select, update

from ocppd.storage import calls, connector_states, consequences, events, filing, late_statuses
from ocppd.storage import messages as journal
from ocppd.storage.records import (
    Boot,
    ChargerRecord,
    ConnectedCharger,
    ConnectorRecord,
    DroppedCall,
    EventKind,
    Inbound,
    Product,
    Status,
    StatusRecord,
)
from ocppd.storage.schema import IS_OPEN, chargers, connectors, messages, nodes, statuses, transactions
from ocppd.storage.spellings import one_of
from ocppd.storage.unit import Statement, Unit, values_of
from ocppd.v16.types import RegistrationStatus

_CONNECTED = Statement.upsert(
    chargers,
    lambda insert: (
        values_of(insert, "name", "generation", "node", "remote_ip", "connected_ms", "last_seen_ms")
        .on_conflict_do_update(
            index_elements=[chargers.c.name],
            set_={
                "generation": chargers.c.generation + insert.excluded.generation,
                "node": insert.excluded.node,
                "remote_ip": insert.excluded.remote_ip,
                "connected_ms": insert.excluded.connected_ms,
                "last_seen_ms": insert.excluded.last_seen_ms,
            },
        )
        .returning(
            chargers.c.generation, chargers.c.registration, chargers.c.vendor, chargers.c.model, chargers.c.firmware_version
        )
    ),
).standing_beside()
_DISCONNECTED = Statement(
    update(chargers)
    .where(chargers.c.name == bindparam("the_name"), chargers.c.generation == bindparam("the_generation"))
    .values(last_seen_ms=bindparam("seen_ms"), node=null())
).standing_beside()

#: The parameter of many chargers.
_NAMES = bindparam("the_names", type_=Text())
_BOOT = (
    "vendor",
    "model",
    "serial_number",
    "charge_box_serial_number",
    "firmware_version",
    "iccid",
    "imsi",
    "meter_type",
    "meter_serial_number",
)
#: What a boot does not change without being told of: the event, and the member.
_WATCHED = (
    (EventKind.SERIAL_NUMBER_CHANGED, "serial_number"),
    (EventKind.SERIAL_NUMBER_CHANGED, "charge_box_serial_number"),
    (EventKind.FIRMWARE_CHANGED, "firmware_version"),
)
_BOOTED_BEFORE = Statement(
    select(*(chargers.c[name] for _, name in _WATCHED)).where(chargers.c.name == bindparam("the_name"))
).standing_beside()
_VERDICT = ("registration", "registered_ms", "interval_s")
_BOOTED = Statement.upsert(
    chargers,
    lambda insert: values_of(
        insert, "name", "generation", "last_seen_ms", "boot_sequence", *_VERDICT, *_BOOT
    ).on_conflict_do_update(
        index_elements=[chargers.c.name],
        set_={
            **{name: func.coalesce(insert.excluded[name], chargers.c[name]) for name in _VERDICT},
            **{name: insert.excluded[name] for name in ("boot_sequence", *_BOOT)},
        },
    ),
).standing_beside()
_AMENDED = Statement(
    update(chargers)
    .where(
        chargers.c.name == select(messages.c.charger).where(messages.c.sequence == bindparam("the_sequence")).scalar_subquery(),
        chargers.c.boot_sequence == bindparam("the_sequence"),
    )
    .values(
        registration=bindparam("new_registration"),
        registered_ms=select(messages.c.created_ms).where(messages.c.sequence == bindparam("the_sequence")).scalar_subquery(),
        interval_s=bindparam("new_interval_s"),
    )
)

_STATUS = ("status", "error_code", "info", "vendor_id", "vendor_error_code", "timestamp_ms", "received_ms")
_STATUS_ROW = ("sequence", "charger", "connector_id", *_STATUS)
_STATUS_KEPT = Statement(values_of(insert(statuses), *_STATUS_ROW)).gathering()
#: The same of a charger that has nothing to add, as nearly all do.
_TERSE_ROW = tuple(name for name in _STATUS_ROW if name not in ("info", "vendor_id", "vendor_error_code"))
_TERSE_KEPT = Statement(values_of(insert(statuses), *_TERSE_ROW)).gathering()
#: In the order of the table, so that a row is handed over as it is.
_CONNECTOR_ROW = (*_STATUS_ROW[1:], "warnings")
_CONNECTOR_NOW = Statement.upsert(
    connectors,
    lambda insert: values_of(insert, *_CONNECTOR_ROW).on_conflict_do_update(
        index_elements=[connectors.c.charger, connectors.c.connector_id],
        set_={
            **{name: insert.excluded[name] for name in _STATUS},
            "previous": connectors.c.status,
            "warnings": connector_states.warned(insert),
        },
        where=connector_states.is_current(insert),
    ),
).gathering("charger", "connector_id")


def connected(
    unit: Unit, name: str, remote_ip: str, now_ms: int, decrypt: Callable[[bytes], str | None], node: str
) -> ConnectedCharger:
    """See `ChargerRecords.charger_connected`."""
    generation, registration, vendor, model, firmware = unit.one(
        _CONNECTED,
        {
            "name": name,
            "generation": 1,
            "node": node,
            "remote_ip": remote_ip,
            "connected_ms": now_ms,
            "last_seen_ms": now_ms,
        },
    )
    events.happened(unit, EventKind.CHARGER_CONNECTED, name, now_ms, node=node, remoteIp=remote_ip)
    queued, dropped = calls.taken_over(unit, name, now_ms, decrypt)
    product = Product(vendor or "", model or "", firmware or "")
    return ConnectedCharger(generation, _registration(registration), tuple(queued), tuple(dropped), product)


def disconnected(unit: Unit, name: str, generation: int, last_seen_ms: int, node: str) -> list[DroppedCall]:
    """See `ChargerRecords.charger_disconnected`."""
    current = unit.run(_DISCONNECTED, {"the_name": name, "the_generation": generation, "seen_ms": last_seen_ms})
    if not current:
        late_statuses.put_right(unit, name, generation, node)
        return []
    events.happened(unit, EventKind.CHARGER_DISCONNECTED, name, last_seen_ms)
    return calls.let_go(unit, name)


def booted(unit: Unit, message: Inbound, boot: Boot) -> int:
    """See `ChargerRecords.charger_booted`."""
    before = unit.one(_BOOTED_BEFORE, {"the_name": message.charger})
    sequence = journal.received(unit, message, message.answer)
    if before is not None:
        _tell_changes(unit, message, before, boot)
    unit.send(
        _BOOTED,
        {
            "name": message.charger,
            "generation": message.generation,
            "last_seen_ms": message.received_ms,
            "registration": None if boot.registration is None else boot.registration.value,
            "registered_ms": None if boot.registration is None else message.received_ms,
            "interval_s": None if boot.registration is None else boot.interval_s,
            "boot_sequence": sequence,
            **{name: getattr(boot, name) for name in _BOOT},
        },
    )
    consequences.booted(unit, message, boot)
    return sequence


def _tell_changes(unit: Unit, message: Inbound, before: Any, boot: Boot) -> None:
    """Another serial number is another machine under the same name (REQUIREMENTS B-2)."""
    for (kind, name), old in zip(_WATCHED, before, strict=True):
        new = getattr(boot, name)
        if old is not None and new is not None and old != new:
            events.happened(unit, kind, message.charger, message.received_ms, before=old, after=new)


def registration_amended(unit: Unit, sequence: int, answer: str, registration: RegistrationStatus, interval_s: int) -> None:
    """See `ChargerRecords.registration_amended`. A boot that came later keeps its own verdict."""
    journal.answer_amended(unit, sequence, answer, failed=False)
    unit.send(
        _AMENDED,
        {"the_sequence": sequence, "new_registration": registration.value, "new_interval_s": interval_s},
    )


def status_notified(unit: Unit, message: Inbound, status: Status) -> int:
    """See `ChargerRecords.status_notified`. What arrives last is the current state (REQUIREMENTS N-1, G-8)."""
    sequence = journal.received(unit, message, message.answer, later=True)
    row = (
        *(sequence, message.charger, status.connector_id, status.status, status.error_code, status.info),
        *(status.vendor_id, status.vendor_error_code, status.timestamp_ms, message.received_ms),
    )
    if unit.gathers and status.info is None and status.vendor_id is None and status.vendor_error_code is None:
        unit.send_row(_TERSE_KEPT, _TERSE_ROW, (*row[:5], *row[8:]))
    else:
        unit.send_row(_STATUS_KEPT, _STATUS_ROW, row)
    if 0 <= status.connector_id <= connector_states.HIGHEST:
        unit.send_row(_CONNECTOR_NOW, _CONNECTOR_ROW, (*row[1:], connector_states.warning(status.status, status.error_code)))
    consequences.status_notified(unit, message, status)
    return sequence


def read_chargers(unit: Unit, names: Sequence[str]) -> dict[str, ChargerRecord]:
    """See `ChargerRecords.read_chargers`."""
    if len(names) == 1:
        rows = unit.all(_CHARGER, {"the_name": names[0]})
    else:
        rows = unit.all(_CHARGERS, {"the_names": json.dumps(tuple(names))})
    found = (dict(zip(_CHARGER_COLUMNS, row, strict=True)) for row in rows)
    return {row["name"]: _charger(row) for row in found}


def _chargers(which: ColumnElement[bool]) -> Select[Any]:
    """Chargers, with their node where it lives."""
    return (
        select(*(chargers.c[name] for name in _CHARGER_COLUMNS if name != "node"), nodes.c.node)
        .select_from(chargers.outerjoin(nodes, nodes.c.node == chargers.c.node))
        .where(which)
    )


_CHARGER_COLUMNS = (*(column.name for column in chargers.c if column.name != "node"), "node")
_CHARGER = Statement(_chargers(chargers.c.name == bindparam("the_name")))
_CHARGERS = Statement(_chargers(one_of(chargers.c.name, _NAMES)))


def _charger(row: Any) -> ChargerRecord:
    registration = _registration(row["registration"])
    boot = None
    # Without a boot it was accepted implicitly (REQUIREMENTS B-5).
    if registration is not None and row["boot_sequence"] is not None:
        members = {name: row[name] for name in _BOOT}
        boot = Boot(**members, registration=registration, interval_s=row["interval_s"])
    members = {
        name: row[name] for name in ("name", "generation", "node", "remote_ip", "connected_ms", "registered_ms", "last_seen_ms")
    }
    return ChargerRecord(**members, registration=registration, boot=boot)


def _registration(text: str | None) -> RegistrationStatus | None:
    return None if text is None else RegistrationStatus(text)


def read_connectors(unit: Unit, names: Sequence[str]) -> dict[str, tuple[ConnectorRecord, ...]]:
    """See `ChargerRecords.read_connectors`."""
    found: dict[str, list[ConnectorRecord]] = {}
    if len(names) == 1:
        rows = unit.all(_CONNECTORS, {"the_name": names[0]})
    else:
        rows = unit.all(_CONNECTORS_OF_MANY, {"the_names": json.dumps(tuple(names))})
    for row in rows:
        record = ConnectorRecord(**dict(zip(_CONNECTOR_COLUMNS, row, strict=True)))
        found.setdefault(record.charger, []).append(record)
    return {charger: tuple(records) for charger, records in found.items()}


def _connectors_of(which: ColumnElement[bool], whose: ColumnElement[bool]) -> Select[Any]:
    """The connectors, each with the transaction that is open on it."""
    running = (
        select(
            transactions.c.charger,
            transactions.c.connector_id,
            func.max(transactions.c.transaction_id).label("transaction_id"),
        )
        .where(IS_OPEN, whose)
        .group_by(transactions.c.charger, transactions.c.connector_id)
        .subquery()
    )
    here = and_(running.c.charger == connectors.c.charger, running.c.connector_id == connectors.c.connector_id)
    return (
        select(connectors, running.c.transaction_id)
        .select_from(connectors.outerjoin(running, here))
        .where(which)
        .order_by(connectors.c.charger, connectors.c.connector_id)
    )


_CONNECTOR_COLUMNS = (*(column.name for column in connectors.c), "transaction_id")
_CONNECTORS = Statement(
    _connectors_of(connectors.c.charger == bindparam("the_name"), transactions.c.charger == bindparam("the_name"))
)
_CONNECTORS_OF_MANY = Statement(_connectors_of(one_of(connectors.c.charger, _NAMES), one_of(transactions.c.charger, _NAMES)))


def list_statuses(unit: Unit, charger: str, connector_id: int, after: int | None, limit: int) -> list[StatusRecord]:
    """See `ChargerRecords.list_statuses`."""
    keys = {"charger": charger, "connector_id": connector_id}
    below = None if after is None else lambda number: number < after
    query: Any = filing.of_charger(unit.dialect, statuses, tuple(statuses.c), keys, (), below)
    query = query.order_by(filing.SEQUENCE.desc()).limit(limit)
    return [_status(row) for row in unit.connection.execute(query).mappings()]


def _status(row: Any) -> StatusRecord:
    status = Status(
        connector_id=row["connector_id"],
        status=row["status"],
        error_code=row["error_code"],
        info=row["info"],
        vendor_id=row["vendor_id"],
        vendor_error_code=row["vendor_error_code"],
        timestamp_ms=row["timestamp_ms"],
    )
    return StatusRecord(row["sequence"], row["charger"], status, row["received_ms"])
