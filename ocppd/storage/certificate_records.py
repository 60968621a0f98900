"""The records of certificates and security events over SQL. See `ocppd.storage.api.certificates` for each method."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from ocppd.storage import certificate_requests, charger_certificates, installed_certificates, security_events
from ocppd.storage.access import Access
from ocppd.storage.records import Inbound
from ocppd.storage.records.certificates import (
    ChargerCertificates,
    NewRequest,
    Requested,
    RequestFilter,
    RequestRecord,
    RequestState,
    SignedCertificate,
)
from ocppd.storage.records.security_events import SecurityEvent, SecurityEventFilter


class SqlCertificates:
    """`CertificateRecords`."""

    def __init__(self, storage: Access) -> None:
        self._storage = storage

    def certificate_requested(self, message: Inbound, new: NewRequest) -> Deferred[Requested]:
        return self._storage.write(certificate_requests.received, message, new)

    def certificate_answer_amended(self, requested: Requested, answer: str, accepted: bool, now_ms: int) -> Deferred[None]:
        return self._storage.write(certificate_requests.answer_amended, requested, answer, accepted, now_ms)

    def certificate_request_answered(self, charger: str) -> Deferred[None]:
        return self._storage.write(certificate_requests.answered, charger)

    def due_certificate_requests(self, now_ms: int) -> Deferred[list[int]]:
        return self._storage.read(certificate_requests.due, now_ms)

    def claim_certificate_request(self, request_id: int, now_ms: int) -> Deferred[RequestRecord | None]:
        return self._storage.write(certificate_requests.claimed, request_id, now_ms)

    def certificate_issued(self, certificate: SignedCertificate) -> Deferred[bool]:
        return self._storage.write(charger_certificates.issued, certificate)

    def certificate_sent(self, request_id: int, message_id: str) -> Deferred[None]:
        return self._storage.write(certificate_requests.sent, request_id, message_id)

    def certificate_failed(self, request_id: int, reason: str, now_ms: int) -> Deferred[None]:
        return self._storage.write(certificate_requests.failed, request_id, reason, now_ms)

    def decide_certificate_request(
        self, request_id: int, state: RequestState, reason: str, certificate: SignedCertificate | None, now_ms: int
    ) -> Deferred[tuple[RequestRecord | None, bool]]:
        return self._storage.write(charger_certificates.decided, request_id, state, reason, certificate, now_ms)

    def read_certificate_request(self, request_id: int) -> Deferred[RequestRecord | None]:
        return self._storage.read(certificate_requests.read, request_id)

    def list_certificate_requests(self, which: RequestFilter, after: int | None, limit: int) -> Deferred[list[RequestRecord]]:
        return self._storage.read(certificate_requests.list_requests, which, after, limit)

    def read_certificates(self, charger: str) -> Deferred[ChargerCertificates]:
        return self._storage.read(installed_certificates.of_charger, charger)

    def valid_certificates(self, charger: str, now_ms: int) -> Deferred[list[SignedCertificate]]:
        return self._storage.read(charger_certificates.valid, charger, now_ms)

    def certificates_issued_since(self, charger: str, since_ms: int) -> Deferred[int]:
        return self._storage.read(charger_certificates.issued_since, charger, since_ms)

    def revoke_certificate(
        self, charger: str, fingerprint: str, reason: str, now_ms: int
    ) -> Deferred[tuple[SignedCertificate | None, bool]]:
        return self._storage.write(charger_certificates.revoked, charger, fingerprint, reason, now_ms)


class SqlSecurityEvents:
    """`SecurityEventRecords`."""

    def __init__(self, storage: Access) -> None:
        self._storage = storage

    def list_security_events(self, which: SecurityEventFilter, after: int | None, limit: int) -> Deferred[list[SecurityEvent]]:
        return self._storage.read(security_events.list_events, which, after, limit)
