"""Certificates in requests and answers of the HTTP API. docs/http-api.md. Pure, but for what X.509 costs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Final, TypeVar

import msgspec
from cryptography import x509
from msgspec import UNSET, Meta, UnsetType

from ocppd.errors import ErrorCode, InvalidPayload, Violation
from ocppd.net.rest.shapes import instant
from ocppd.pki.authority import Authority
from ocppd.pki.reading import CertificateFacts, Unreadable, describe, hash_data, pem_of, read_certificates, same_hash_data
from ocppd.storage.records.certificates import ChargerCertificates, InstalledCertificate, RequestRecord, SignedCertificate
from ocppd.v16.types import CertificateHashDataType, CertificateUseEnumType, HashAlgorithmEnumType, String5500, String10000
from ocppd.v16.validation import check, escaped

S = TypeVar("S", bound=msgspec.Struct)
Shape = dict[str, Any]

#: Of a reason that an operator gives.
MAX_REASON_LENGTH: Final = 500
Reason = Annotated[str, Meta(min_length=1, max_length=MAX_REASON_LENGTH)]


class ReasonBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Why an operator does something that cannot be taken back."""

    reason: Reason


class ApprovalBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The chain of another authority, where that has signed the request: leaf first."""

    certificate_chain: String10000 | UnsetType = UNSET


class InstallBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A root certificate for a charger."""

    certificate_type: CertificateUseEnumType
    certificate: String5500


def read_body(kind: type[S], subject: str, value: dict[str, Any]) -> S:
    """The body that a JSON object describes. Raises InvalidPayload, in the name of `subject`, with all that is wrong."""
    violations = list(check(kind, value))
    members = {each.encode_name for each in msgspec.structs.fields(kind)}
    told = {each.pointer for each in violations}
    for name, member in value.items():
        pointer = f"/{escaped(name)}"
        if name not in members and pointer not in told:
            violations.append(wrong(pointer, "there is no such member"))
        elif isinstance(member, str) and pointer not in told:
            violations += [wrong(pointer, reason) for reason in _unfit(name, member)]
    if violations:
        raise InvalidPayload(subject, tuple(violations))
    return msgspec.convert(value, kind)


def _unfit(name: str, text: str) -> Iterable[str]:
    """What is wrong with a text that has the right type and length."""
    if "PRIVATE KEY" in text:
        yield "it holds a private key, which is nobody's business but its owner's"
    if name == "reason" and not text.strip():
        yield f"expected a text of 1 to {MAX_REASON_LENGTH} characters"


def wrong(pointer: str, reason: str) -> Violation:
    """A value that cannot be."""
    return Violation(ErrorCode.PROPERTY_CONSTRAINT_VIOLATION, pointer, reason)


# Shapes


def without_none(members: Mapping[str, Any]) -> Shape:
    """Without what does not apply."""
    return {name: value for name, value in members.items() if value is not None}


def told_at(ms: int | None) -> str | None:
    """An instant that may not be there."""
    return None if ms is None else instant(ms)


def request(record: RequestRecord) -> Shape:
    """A request for a certificate."""
    return without_none(
        {
            "requestId": record.request_id,
            "charger": record.charger,
            "state": record.state.value,
            "reason": record.reason,
            "policy": record.policy,
            "decidedBy": record.decided_by,
            "subject": record.subject or None,
            "key": record.key or None,
            "createdAt": instant(record.created_ms),
            "decidedAt": told_at(record.decided_ms),
            "endedAt": told_at(record.ended_ms),
            "fingerprint": record.fingerprint,
            "messageId": record.message_id,
        }
    )


def facts(certificate: CertificateFacts) -> Shape:
    """What a certificate says."""
    return {
        "subject": certificate.subject,
        "issuer": certificate.issuer,
        "serialNumber": certificate.serial_number,
        "key": certificate.key,
        "notBefore": instant(certificate.not_before_ms),
        "notAfter": instant(certificate.not_after_ms),
        "fingerprint": certificate.fingerprint,
    }


def signed(record: SignedCertificate, now_ms: int) -> Shape:
    """A charger's own certificate."""
    return without_none(
        {
            "fingerprint": record.fingerprint,
            "status": _status(record, now_ms),
            "subject": record.subject,
            "issuer": record.issuer,
            "serialNumber": record.serial_number,
            "key": record.key,
            "notBefore": instant(record.not_before_ms),
            "notAfter": instant(record.not_after_ms),
            "requestId": record.request_id,
            "issuedAt": instant(record.issued_ms),
            "acceptedAt": told_at(record.accepted_ms),
            "revokedAt": told_at(record.revoked_ms),
            "revokeReason": record.revoke_reason,
            "chain": record.chain,
        }
    )


def _status(record: SignedCertificate, now_ms: int) -> str:
    if record.revoked_ms is not None:
        return "revoked"
    if record.not_after_ms <= now_ms:
        return "expired"
    return "issued" if record.accepted_ms is None else "accepted"


def certificate_id(installed: InstalledCertificate) -> str:
    """What names a root in a charger in paths: the same as long as the charger tells the same, in whatever spelling."""
    data = installed.hash_data
    texts = (data.issuer_name_hash, data.issuer_key_hash, data.serial_number)
    bare = [installed.certificate_type.value, data.hash_algorithm.value, *(each.strip().lower().lstrip("0") for each in texts)]
    return hashlib.sha256("\n".join(bare).encode()).hexdigest()[:16]


def hashes(data: CertificateHashDataType) -> Shape:
    """Hash data, as the charger wants them back."""
    return {
        "hashAlgorithm": data.hash_algorithm.value,
        "issuerNameHash": data.issuer_name_hash,
        "issuerKeyHash": data.issuer_key_hash,
        "serialNumber": data.serial_number,
    }


def certificates(known: ChargerCertificates, authority: Authority | None, charger: str, now_ms: int) -> Shape:
    """All that is known of the certificates in a charger; roots that were installed from here are named by what they say."""
    pems = {each.fingerprint: each.pem for each in reversed(known.installs) if each.fingerprint}
    roots = [*_readable(pems.values()), *(issuer.root for issuer in (authority or {}).values())]
    return {
        "charger": charger,
        "own": [signed(each, now_ms) for each in known.signed],
        "installed": [_installed(each, roots) for each in known.installed],
        "listed": [
            {"certificateType": each.certificate_type.value, "status": each.status, "at": instant(each.reported_ms)}
            for each in known.listed
        ],
        "installations": [
            without_none(
                {
                    "certificateType": each.certificate_type,
                    "outcome": each.outcome,
                    "at": instant(each.at_ms),
                    "messageId": each.message_id,
                    "fingerprint": each.fingerprint,
                }
            )
            for each in known.installs
        ],
    }


def _readable(pems: Iterable[str]) -> Iterable[x509.Certificate]:
    for pem in pems:
        try:
            yield read_certificates(pem)[0]
        except Unreadable:  # by a command an operator may send anything
            continue


def _installed(installed: InstalledCertificate, roots: Iterable[x509.Certificate]) -> Shape:
    data = installed.hash_data
    found = [root for root in roots if same_hash_data(hash_data(root, data.hash_algorithm), data)]
    return without_none(
        {
            "certificateId": certificate_id(installed),
            "certificateType": installed.certificate_type.value,
            "hashData": hashes(data),
            "reported": installed.reported,
            "at": instant(installed.at_ms),
            "certificate": facts(describe(found[0])) if found else None,
        }
    )


def authority_shape(authority: Authority) -> Shape:
    """Our roots and issuing certificates, as PEM for installing, with the hash data that chargers will list."""
    return {
        "issuers": [
            {
                "keyType": kind.value,
                "root": {
                    **facts(describe(issuer.root)),
                    "pem": pem_of([issuer.root]),
                    "hashData": [hashes(hash_data(issuer.root, algorithm)) for algorithm in HashAlgorithmEnumType],
                },
                "issuing": {**facts(describe(issuer.certificate)), "pem": pem_of([issuer.certificate])},
            }
            for kind, issuer in authority.items()
        ]
    }
