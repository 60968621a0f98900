"""Certificates of chargers: who has which, until when, which are taken and which revoked. REQUIREMENTS Q-3, Q-4.

Functions over a running transaction.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any, Final

from sqlalchemy import BigInteger, and_, bindparam, func, select, update

from ocppd.pki.reading import CertificateFacts, Unreadable, describe, read_certificates
from ocppd.storage import certificate_requests
from ocppd.storage.records import EndedCall, MessageState
from ocppd.storage.records.certificates import RequestRecord, RequestState, SignedCertificate
from ocppd.storage.schema import charger_certificates as table
from ocppd.storage.unit import Statement, Unit, values_of

_RECORD: Final = tuple(field.name for field in fields(SignedCertificate))
_COLUMNS: Final = tuple(table.c[name] for name in _RECORD)
_THIS: Final = and_(table.c.charger == bindparam("the_charger"), table.c.fingerprint == bindparam("the_fingerprint"))
_KEPT = Statement.upsert(
    table,
    lambda insert: values_of(insert, *_RECORD).on_conflict_do_nothing(index_elements=[table.c.charger, table.c.fingerprint]),
)
_TAKEN = Statement(
    update(table)
    .where(_THIS)
    .values(accepted_ms=func.coalesce(table.c.accepted_ms, bindparam("the_instant", type_=BigInteger())))
)
_REVOKED = Statement(
    update(table)
    .where(_THIS, table.c.revoked_ms.is_(None))
    .values(revoked_ms=bindparam("the_instant"), revoke_reason=bindparam("the_reason"))
)
_READ = Statement(select(*_COLUMNS).where(_THIS))
_OF_CHARGER = Statement(
    select(*_COLUMNS).where(table.c.charger == bindparam("the_charger")).order_by(table.c.issued_ms.desc(), table.c.fingerprint)
)
_VALID = Statement(
    select(*_COLUMNS)
    .where(
        table.c.charger == bindparam("the_charger"),
        table.c.revoked_ms.is_(None),
        table.c.not_after_ms > bindparam("the_instant", type_=BigInteger()),
    )
    .order_by(table.c.issued_ms.desc(), table.c.fingerprint)
)
_SINCE = Statement(
    select(func.count()).where(
        table.c.charger == bindparam("the_charger"), table.c.issued_ms >= bindparam("since_ms", type_=BigInteger())
    )
)


def signed(charger: str, chain: str, facts: CertificateFacts, request_id: int | None, now_ms: int) -> SignedCertificate:
    """The record of a certificate."""
    return SignedCertificate(
        fingerprint=facts.fingerprint,
        charger=charger,
        request_id=request_id,
        serial_number=facts.serial_number,
        subject=facts.subject,
        issuer=facts.issuer,
        key=facts.key,
        not_before_ms=facts.not_before_ms,
        not_after_ms=facts.not_after_ms,
        chain=chain,
        issued_ms=now_ms,
    )


def kept(unit: Unit, certificate: SignedCertificate) -> None:
    """A certificate is about to be given to its charger."""
    unit.send(_KEPT, {name: getattr(certificate, name) for name in _RECORD})


def issued(unit: Unit, certificate: SignedCertificate) -> bool:
    """See `CertificateRecords.certificate_issued`."""
    request_id = certificate.request_id
    if request_id is not None and not certificate_requests.issued(unit, request_id, certificate.chain, certificate.fingerprint):
        return False
    kept(unit, certificate)
    return True


def signed_ended(unit: Unit, call: EndedCall) -> None:
    """A CertificateSigned has ended, by whatever door it was sent: the request that it answers, and what the charger has now."""
    chain, request = certificate_requests.signed_ended(unit, call)
    if call.state is not MessageState.COMPLETED or call.outcome != "Accepted":
        return
    try:
        facts = describe(read_certificates(chain)[0])
    except Unreadable:  # it takes what nobody here can read
        return
    kept(unit, signed(call.charger, chain, facts, None if request is None else request.request_id, call.ended_ms))
    unit.send(_TAKEN, {"the_charger": call.charger, "the_fingerprint": facts.fingerprint, "the_instant": call.ended_ms})


def decided(
    unit: Unit, request_id: int, state: RequestState, reason: str, certificate: SignedCertificate | None, now_ms: int
) -> tuple[RequestRecord | None, bool]:
    """See `CertificateRecords.decide_certificate_request`."""
    found, was = certificate_requests.decided(unit, request_id, state, reason, now_ms)
    if was and certificate is not None:
        issued(unit, certificate)
        found = certificate_requests.read(unit, request_id)
    return found, was


def revoked(unit: Unit, charger: str, fingerprint: str, reason: str, now_ms: int) -> tuple[SignedCertificate | None, bool]:
    """See `CertificateRecords.revoke_certificate`."""
    this = {"the_charger": charger, "the_fingerprint": fingerprint}
    changed = unit.run(_REVOKED, {**this, "the_instant": now_ms, "the_reason": reason}) == 1
    row = unit.one(_READ, this)
    return (None if row is None else _record(row)), changed


def of_charger(unit: Unit, charger: str) -> list[SignedCertificate]:
    """All that were given to a charger, newest first."""
    return [_record(row) for row in unit.all(_OF_CHARGER, {"the_charger": charger})]


def valid(unit: Unit, charger: str, now_ms: int) -> list[SignedCertificate]:
    """See `CertificateRecords.valid_certificates`."""
    return [_record(row) for row in unit.all(_VALID, {"the_charger": charger, "the_instant": now_ms})]


def issued_since(unit: Unit, charger: str, since_ms: int) -> int:
    """See `CertificateRecords.certificates_issued_since`."""
    count: int = unit.one(_SINCE, {"the_charger": charger, "since_ms": since_ms})[0]
    return count


def _record(row: Any) -> SignedCertificate:
    return SignedCertificate(**dict(zip(_RECORD, row, strict=True)))
