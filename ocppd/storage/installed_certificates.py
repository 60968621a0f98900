"""Which root certificates are in a charger, by what it has last said. REQUIREMENTS Q-5 to Q-7.

Each answer of a charger changes the picture in the commit of the call's end, whoever has called. Hashes stay as the
charger writes them, because it wants them back so. Functions over a running transaction.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Final

import msgspec
from msgspec import UnsetType
from sqlalchemy import bindparam, delete, insert, select

from ocppd.pki.reading import Unreadable, describe, hash_data, read_certificates, same_hash_data
from ocppd.storage import charger_certificates, security_events
from ocppd.storage.clean import clean_text
from ocppd.storage.records import EndedCall, MessageState
from ocppd.storage.records.certificates import ChargerCertificates, InstalledCertificate, InstallRecord, Listed
from ocppd.storage.schema import certificate_installs, certificate_lists
from ocppd.storage.schema import installed_certificates as table
from ocppd.storage.unit import Parameters, Statement, Unit, values_of
from ocppd.v16.codec import decode, read_json
from ocppd.v16.security import (
    DeleteCertificateRequest,
    GetInstalledCertificateIdsConfirmation,
    GetInstalledCertificateIdsRequest,
    InstallCertificateRequest,
)
from ocppd.v16.types import CertificateHashDataType, CertificateUseEnumType, HashAlgorithmEnumType

#: More roots than any charger has; what lies beyond in its list is left out.
MOST_ROOTS: Final = 200
#: By the definition of CertificateHashDataType.
SERIAL_NUMBER_LENGTH: Final = 40
#: Of the installations that are shown.
NEWEST_INSTALLS: Final = 50

_HASHES: Final = ("hash_algorithm", "issuer_name_hash", "issuer_key_hash", "serial_number")
_COLUMNS: Final = tuple(table.c[name] for name in ("certificate_type", "place", *_HASHES, "reported", "at_ms"))
_OF_CHARGER = Statement(
    select(*_COLUMNS).where(table.c.charger == bindparam("the_charger")).order_by(table.c.certificate_type, table.c.place)
)
_CLEARED = Statement(
    delete(table).where(table.c.charger == bindparam("the_charger"), table.c.certificate_type == bindparam("the_type"))
)
_REMOVED = Statement(
    delete(table).where(
        table.c.charger == bindparam("the_charger"),
        table.c.certificate_type == bindparam("the_type"),
        table.c.place == bindparam("the_place"),
    )
)
_ADDED = Statement(values_of(insert(table), "charger", "certificate_type", "place", *_HASHES, "reported", "at_ms"))
_LISTED = Statement.upsert(
    certificate_lists,
    lambda new: values_of(new, "charger", "certificate_type", "status", "reported_ms").on_conflict_do_update(
        index_elements=[certificate_lists.c.charger, certificate_lists.c.certificate_type],
        set_={name: new.excluded[name] for name in ("status", "reported_ms")},
    ),
)
_LISTS = Statement(
    select(certificate_lists.c.certificate_type, certificate_lists.c.status, certificate_lists.c.reported_ms)
    .where(certificate_lists.c.charger == bindparam("the_charger"))
    .order_by(certificate_lists.c.certificate_type)
)
_INSTALL: Final = tuple(field.name for field in fields(InstallRecord))
_INSTALLED = Statement.upsert(
    certificate_installs,
    lambda new: values_of(new, "charger", *_INSTALL).on_conflict_do_update(
        index_elements=[certificate_installs.c.sequence], set_={name: new.excluded[name] for name in ("outcome", "at_ms")}
    ),
)


def listed(unit: Unit, call: EndedCall) -> None:
    """GetInstalledCertificateIds has ended: an answer says which roots of that type there are, and that there are no others."""
    if call.response is None or call.outcome not in ("Accepted", "NotFound"):
        return
    asked, _ = decode(GetInstalledCertificateIdsRequest, call.request, strict=False)
    kind = asked.certificate_type
    unit.send(_CLEARED, {"the_charger": call.charger, "the_type": kind.value})
    known: list[CertificateHashDataType] = []
    for data in _told(call.response) if call.outcome == "Accepted" else ():
        if len(known) < MOST_ROOTS and not any(same_hash_data(data, each) for each in known):
            _add(unit, call.charger, kind, len(known), data, True, call.ended_ms)
            known.append(data)
    row = {"charger": call.charger, "certificate_type": kind.value, "status": call.outcome, "reported_ms": call.ended_ms}
    unit.send(_LISTED, row)


def _told(answer: bytes) -> tuple[CertificateHashDataType, ...]:
    """The list in an answer, which may be absent or empty (REQUIREMENTS 4.3, 16), or name more than there can be."""
    value = read_json(answer)
    listed = value.get("certificateHashData") if isinstance(value, dict) else None
    for each in listed if isinstance(listed, list) else ():
        number = each.get("serialNumber") if isinstance(each, dict) else None
        if isinstance(number, str) and len(number) > SERIAL_NUMBER_LENGTH:
            # A number of 20 octets with the zero that DER puts before it: what is cut off must not be its end.
            each["serialNumber"] = number.lstrip("0").zfill(SERIAL_NUMBER_LENGTH)
    mended = msgspec.json.encode(value)
    told = decode(GetInstalledCertificateIdsConfirmation, mended, strict=False)[0].certificate_hash_data
    return () if isinstance(told, UnsetType) else told


def _add(
    unit: Unit, charger: str, kind: CertificateUseEnumType, place: int, data: CertificateHashDataType, reported: bool, at_ms: int
) -> None:
    hashes: dict[str, str] = {name: clean_text(str(getattr(data, name))) for name in _HASHES}
    row: Parameters = {"charger": charger, "certificate_type": kind.value, "place": place, "reported": reported, "at_ms": at_ms}
    unit.send(_ADDED, {**row, **hashes})


def installed(unit: Unit, call: EndedCall) -> None:
    """InstallCertificate has ended: what it was, what came of it, and where it was accepted the root that is there now."""
    asked, _ = decode(InstallCertificateRequest, call.request, strict=False)
    accepted = call.state is MessageState.COMPLETED and call.outcome == "Accepted"
    fingerprint = None
    try:
        root = read_certificates(asked.certificate)[0]
        fingerprint = describe(root).fingerprint
    except Unreadable:  # an operator may send anything as a command
        root = None
    row: Parameters = {
        "charger": call.charger,
        "sequence": call.sequence,
        "certificate_type": asked.certificate_type.value,
        "outcome": call.outcome or call.state.value,
        "at_ms": call.ended_ms,
        "message_id": call.message_id,
        "fingerprint": fingerprint,
        "pem": clean_text(asked.certificate),
    }
    unit.send(_INSTALLED, row)
    if not accepted:
        security_events.install_refused(unit, call)
    elif root is not None:
        present = [each for each in roots(unit, call.charger) if each.certificate_type is asked.certificate_type]
        if not any(same_hash_data(hash_data(root, each.hash_data.hash_algorithm), each.hash_data) for each in present):
            data = hash_data(root, HashAlgorithmEnumType.SHA256)
            place = max((each.place for each in present), default=-1) + 1
            _add(unit, call.charger, asked.certificate_type, place, data, False, call.ended_ms)


def deleted(unit: Unit, call: EndedCall) -> None:
    """DeleteCertificate has ended: where it is gone, or was never there, it is not there now."""
    if call.state is not MessageState.COMPLETED or call.outcome not in ("Accepted", "NotFound"):
        return
    asked, _ = decode(DeleteCertificateRequest, call.request, strict=False)
    for each in roots(unit, call.charger):
        if same_hash_data(each.hash_data, asked.certificate_hash_data):
            this = {"the_charger": call.charger, "the_type": each.certificate_type.value, "the_place": each.place}
            unit.send(_REMOVED, this)


def roots(unit: Unit, charger: str) -> list[InstalledCertificate]:
    """The roots in a charger, as far as it is known."""
    found = []
    for kind, place, algorithm, name, key, serial_number, reported, at_ms in unit.all(_OF_CHARGER, {"the_charger": charger}):
        data = CertificateHashDataType(
            hash_algorithm=HashAlgorithmEnumType(algorithm),
            issuer_name_hash=name,
            issuer_key_hash=key,
            serial_number=serial_number,
        )
        found.append(InstalledCertificate(CertificateUseEnumType(kind), place, data, bool(reported), at_ms))
    return found


def of_charger(unit: Unit, charger: str) -> ChargerCertificates:
    """See `CertificateRecords.read_certificates`."""
    lists = [Listed(CertificateUseEnumType(row[0]), row[1], row[2]) for row in unit.all(_LISTS, {"the_charger": charger})]
    columns = [certificate_installs.c[name] for name in _INSTALL]
    newest = select(*columns).where(certificate_installs.c.charger == charger).order_by(certificate_installs.c.sequence.desc())
    installs = [InstallRecord(*row) for row in unit.connection.execute(newest.limit(NEWEST_INSTALLS))]
    signed = charger_certificates.of_charger(unit, charger)
    return ChargerCertificates(tuple(signed), tuple(roots(unit, charger)), tuple(lists), tuple(installs))
