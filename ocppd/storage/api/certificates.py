"""The seam to the records of certificates and security events. All fail with `StorageUnavailable` alone."""

from __future__ import annotations

from typing import Protocol

from twisted.internet.defer import Deferred

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


class CertificateRecords(Protocol):
    """Requests for certificates, certificates of chargers, and the roots in them."""

    def certificate_requested(self, message: Inbound, new: NewRequest) -> Deferred[Requested]:
        """Journal a SignCertificate and keep the request.

        One that repeats a request that is still open is that one; one with another key takes the place of those that are open.
        """

    def certificate_answer_amended(self, requested: Requested, answer: str, accepted: bool, now_ms: int) -> Deferred[None]:
        """Record the answer of a user's handler over ours. What it accepts that we refused waits for an operator."""

    def certificate_request_answered(self, charger: str) -> Deferred[None]:
        """The charger hears now what was answered; until then, or for a minute, its request is not due (S-3)."""

    def due_certificate_requests(self, now_ms: int) -> Deferred[list[int]]:
        """The ids of the approved requests that no node works at."""

    def claim_certificate_request(self, request_id: int, now_ms: int) -> Deferred[RequestRecord | None]:
        """Take up an approved request; None where another node has it, or it is no longer to be signed."""

    def certificate_issued(self, certificate: SignedCertificate) -> Deferred[bool]:
        """Keep a certificate, and that it is the one of its request, before its charger gets it.

        False, and it is not kept, where the request is no longer approved: its charger has asked with another key meanwhile.
        """

    def certificate_sent(self, request_id: int, message_id: str) -> Deferred[None]:
        """The certificate of an approved request is on its way."""

    def certificate_failed(self, request_id: int, reason: str, now_ms: int) -> Deferred[None]:
        """An approved request could not be signed, or its certificate not be sent (Q-2)."""

    def decide_certificate_request(
        self, request_id: int, state: RequestState, reason: str, certificate: SignedCertificate | None, now_ms: int
    ) -> Deferred[tuple[RequestRecord | None, bool]]:
        """An operator approves (also one that has failed) or refuses; `certificate` where another authority has signed it.

        Fires with the request as it is then, None where there is none, and whether it was for an operator to decide.
        """

    def read_certificate_request(self, request_id: int) -> Deferred[RequestRecord | None]: ...

    def list_certificate_requests(self, which: RequestFilter, after: int | None, limit: int) -> Deferred[list[RequestRecord]]:
        """Newest first, below the id `after`."""

    def read_certificates(self, charger: str) -> Deferred[ChargerCertificates]:
        """What is known of the certificates in a charger."""

    def valid_certificates(self, charger: str, now_ms: int) -> Deferred[list[SignedCertificate]]:
        """The certificates that a charger may show: neither revoked nor expired, newest first (Q-4)."""

    def certificates_issued_since(self, charger: str, since_ms: int) -> Deferred[int]:
        """How many certificates a charger was given since then."""

    def revoke_certificate(
        self, charger: str, fingerprint: str, reason: str, now_ms: int
    ) -> Deferred[tuple[SignedCertificate | None, bool]]:
        """Fires with the certificate as it is then, None where there is none, and whether it was revoked now."""


class SecurityEventRecords(Protocol):
    """What chargers tell of their security."""

    def list_security_events(self, which: SecurityEventFilter, after: int | None, limit: int) -> Deferred[list[SecurityEvent]]:
        """Newest first, below the sequence `after`."""
