"""Requests for certificates, certificates of chargers, and the roots that are installed in them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ocppd.v16.types import CertificateHashDataType, CertificateUseEnumType


class RequestState(StrEnum):
    """The life of a request for a certificate (docs/http-api.md)."""

    #: It waits for an operator.
    PENDING = "pending"
    #: It is to be signed, or is being signed.
    APPROVED = "approved"
    #: By the checks, so that its charger was answered Rejected, or by an operator.
    REFUSED = "refused"
    #: Its charger has asked again with another key.
    SUPERSEDED = "superseded"
    #: Its certificate is on the way to the charger.
    SENT = "sent"
    #: The charger has taken the certificate.
    ACCEPTED = "accepted"
    #: The charger has refused the certificate.
    REJECTED = "rejected"
    #: It could not be signed, or not be sent.
    FAILED = "failed"


#: It may still come to a certificate without anybody's help, or with an operator's word.
OPEN_STATES = (RequestState.PENDING, RequestState.APPROVED)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRequest:
    """A request that was looked at. `state` is PENDING, APPROVED or REFUSED; `reason` says why, in words."""

    csr: str
    digest: str
    subject: str
    key: str
    state: RequestState
    reason: str
    policy: str


@dataclass(frozen=True, slots=True)
class Requested:
    """A SignCertificate on record: its place in the journal, and the request that it is, or repeats."""

    sequence: int
    request_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRecord:
    """A request for a certificate. `decided_by` is `policy` or `operator`; `message_id` that of our CertificateSigned."""

    request_id: int
    charger: str
    state: RequestState
    csr: str
    digest: str
    subject: str
    key: str
    policy: str
    reason: str | None
    decided_by: str | None
    created_ms: int
    decided_ms: int | None
    ended_ms: int | None
    chain: str | None
    fingerprint: str | None
    message_id: str | None


@dataclass(frozen=True, slots=True)
class RequestFilter:
    """Which requests; None is any."""

    charger: str | None = None
    state: RequestState | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedCertificate:
    """A certificate of a charger that we have signed, or have passed on to it."""

    fingerprint: str
    charger: str
    request_id: int | None
    serial_number: str
    subject: str
    issuer: str
    key: str
    not_before_ms: int
    not_after_ms: int
    chain: str
    issued_ms: int
    accepted_ms: int | None = None
    revoked_ms: int | None = None
    revoke_reason: str | None = None


@dataclass(frozen=True, slots=True)
class InstalledCertificate:
    """A root in a charger. Not `reported`: it was installed, and the charger has not listed it since."""

    certificate_type: CertificateUseEnumType
    place: int
    hash_data: CertificateHashDataType
    reported: bool
    at_ms: int


@dataclass(frozen=True, slots=True)
class Listed:
    """When a charger has last told which roots of a type it has, and what it answered."""

    certificate_type: CertificateUseEnumType
    status: str
    reported_ms: int


@dataclass(frozen=True, slots=True)
class InstallRecord:
    """An InstallCertificate that has ended: with the charger's answer, or with how the call ended."""

    sequence: int
    certificate_type: str
    outcome: str
    at_ms: int
    message_id: str
    fingerprint: str | None
    pem: str


@dataclass(frozen=True, slots=True)
class ChargerCertificates:
    """All that is known of the certificates in one charger."""

    signed: tuple[SignedCertificate, ...]
    installed: tuple[InstalledCertificate, ...]
    listed: tuple[Listed, ...]
    installs: tuple[InstallRecord, ...]
