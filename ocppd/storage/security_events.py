"""What chargers tell of their security, and which call of ours it follows from. REQUIREMENTS V-11, Q-4, Q-5.

Functions over a running transaction.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Final

from msgspec import UnsetType
from sqlalchemy import BigInteger, bindparam, func, insert, select, update

from ocppd.errors import Violation
from ocppd.storage import certificate_requests, events
from ocppd.storage.clean import clean_text
from ocppd.storage.records import EndedCall, EventKind, Inbound
from ocppd.storage.records.security_events import CRITICAL_TYPES, SecurityEvent, SecurityEventFilter
from ocppd.storage.schema import certificate_installs
from ocppd.storage.schema import security_events as table
from ocppd.storage.unit import Parameters, Statement, Unit, values_of
from ocppd.v16.codec import decode
from ocppd.v16.security import SecurityEventNotificationRequest
from ocppd.v16.timestamps import parse_timestamp

#: An event this long before or after the answer to a call may be its consequence: chargers check what they were sent at once.
RELATED_MS: Final = 5 * 60 * 1000
OWN_CERTIFICATE, ROOT_CERTIFICATE = "InvalidChargePointCertificate", "InvalidCentralSystemCertificate"

_RECORD: Final = tuple(field.name for field in fields(SecurityEvent))
_COLUMNS: Final = tuple(table.c[name] for name in _RECORD)
_INSERTED = Statement(values_of(insert(table), *_RECORD))
_NEWEST: Final = (
    select(func.max(certificate_installs.c.sequence))
    .where(certificate_installs.c.charger == bindparam("the_charger"))
    .scalar_subquery()
)
_NEWEST_INSTALL = Statement(
    select(certificate_installs.c.message_id).where(
        certificate_installs.c.sequence == _NEWEST,
        certificate_installs.c.at_ms >= bindparam("since_ms", type_=BigInteger()),
    )
)
_INSTALL_REFUSED = Statement(
    update(table)
    .where(
        table.c.charger == bindparam("the_charger"),
        table.c.type == bindparam("the_type"),
        table.c.sequence > bindparam("the_sequence", type_=BigInteger()),
        table.c.received_ms >= bindparam("since_ms", type_=BigInteger()),
        table.c.message_id.is_(None),
    )
    .values(message_id=bindparam("new_message"))
)


def received(unit: Unit, message: Inbound, sequence: int) -> None:
    """A SecurityEventNotification was journaled: of whatever type, it is kept with what we know of it."""
    try:
        told, _ = decode(SecurityEventNotificationRequest, message.payload, strict=False)
    except Violation:  # what was read when it came cannot be read from the journal
        return
    kind = clean_text(told.type)
    message_id, request_id = _cause(unit, message, kind)
    event = SecurityEvent(
        sequence=sequence,
        charger=message.charger,
        type=kind,
        critical=kind in CRITICAL_TYPES,
        timestamp_ms=_instant(told.timestamp),
        received_ms=message.received_ms,
        tech_info=None if isinstance(told.tech_info, UnsetType) else clean_text(told.tech_info),
        message_id=message_id,
        request_id=request_id,
    )
    unit.send(_INSERTED, {name: getattr(event, name) for name in _RECORD})
    if event.critical:
        members = {"securityEventId": str(sequence), "securityEventType": event.type}
        if event.tech_info:
            members["techInfo"] = event.tech_info
        events.happened(unit, EventKind.CRITICAL_SECURITY_EVENT, message.charger, message.received_ms, **members)


def _cause(unit: Unit, message: Inbound, kind: str) -> tuple[str | None, int | None]:
    """The call of ours, and the request for a certificate, that an event follows from."""
    if kind == OWN_CERTIFICATE:
        found = certificate_requests.newest_sent(unit, message.charger)
        return (None, None) if found is None else (found[1], found[0])
    if kind == ROOT_CERTIFICATE:
        since: Parameters = {"the_charger": message.charger, "since_ms": message.received_ms - RELATED_MS}
        row = unit.one(_NEWEST_INSTALL, since)
        return (None if row is None else row[0]), None
    return None, None


def _instant(text: str) -> int | None:
    try:
        return parse_timestamp(text)
    except ValueError:
        return None


def install_refused(unit: Unit, call: EndedCall) -> None:
    """An InstallCertificate was not accepted: an event of that which came before the answer follows from it."""
    told: Parameters = {"the_charger": call.charger, "the_type": ROOT_CERTIFICATE, "since_ms": call.ended_ms - RELATED_MS}
    unit.send(_INSTALL_REFUSED, {**told, "the_sequence": call.sequence, "new_message": call.message_id})


def list_events(unit: Unit, which: SecurityEventFilter, after: int | None, limit: int) -> list[SecurityEvent]:
    """See `SecurityEventRecords.list_security_events`. `since_ms` is included, `until_ms` is not."""
    query = select(*_COLUMNS).order_by(table.c.sequence.desc()).limit(limit)
    if which.charger is not None:
        query = query.where(table.c.charger == which.charger)
    if which.type is not None:
        query = query.where(table.c.type == which.type)
    if which.critical is not None:
        query = query.where(table.c.critical if which.critical else ~table.c.critical)
    if which.since_ms is not None:
        query = query.where(table.c.received_ms >= which.since_ms)
    if which.until_ms is not None:
        query = query.where(table.c.received_ms < which.until_ms)
    if after is not None:
        query = query.where(table.c.sequence < after)
    return [SecurityEvent(**dict(zip(_RECORD, row, strict=True))) for row in unit.connection.execute(query)]
