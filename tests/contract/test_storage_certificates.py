"""Requests for certificates, certificates, roots in chargers and security events, over every storage."""

from __future__ import annotations

import json
from typing import Any

import pytest_twisted

from ocppd.pki.reading import describe, hash_data, read_certificates
from ocppd.storage.certificate_requests import CLAIM_MS
from ocppd.storage.charger_certificates import signed
from ocppd.storage.records import CallEnd, EventFilter, EventKind, MessageState
from ocppd.storage.records.certificates import NewRequest, RequestFilter, RequestRecord, RequestState, SignedCertificate
from ocppd.storage.records.security_events import SecurityEventFilter
from ocppd.storage.sql_storage import SqlStorage
from ocppd.v16.types import HashAlgorithmEnumType
from support.certificates import certificate, csr, ec_key, pem
from support.storing import MINUTE_MS, NOON_MS, call, inbound

ensure = pytest_twisted.ensureDeferred
STATE = RequestState


def new(state: RequestState = STATE.APPROVED, digest: str = "d", **members: Any) -> NewRequest:
    """A request that was looked at."""
    defaults: dict[str, Any] = {"csr": csr(), "subject": "CN=SN-1", "key": "EC", "reason": "why", "policy": "automatic"}
    return NewRequest(state=state, digest=digest, **defaults | members)


async def requested(storage: SqlStorage, what: NewRequest, charger: str = "CP1", **members: Any) -> int:
    """The id of a request that was made now."""
    message = inbound("SignCertificate", charger, **members)
    return (await storage.certificates.certificate_requested(message, what)).request_id


async def states(storage: SqlStorage, **which: Any) -> list[str]:
    """Those of all requests, newest first."""
    return [each.state.value for each in await storage.certificates.list_certificate_requests(RequestFilter(**which), None, 99)]


async def ended(storage: SqlStorage, action: str, payload: Any, answer: Any, charger: str = "CP1", **end: Any) -> str:
    """A call of ours that was sent and answered; its id."""
    message_id = f"c{len(json.dumps(payload))}-{action}-{end.get('ended_ms', 0)}-{charger}"
    frame = json.dumps([2, message_id, action, payload])
    await storage.call_created(call(message_id, charger, action=action, frame=frame, redacted=frame), None)
    outcome = answer.get("status") if isinstance(answer, dict) else None
    state = MessageState.COMPLETED if isinstance(answer, dict) else MessageState.TIMEOUT
    text = None if answer is None else json.dumps([3, message_id, answer])
    given = {"ended_ms": NOON_MS + MINUTE_MS, "outcome": outcome, "answer": text, **end}
    await storage.call_ended(CallEnd(message_id, state, **given))
    return message_id


def made(request: RequestRecord | None, request_id: int | None, charger: str = "CP1") -> SignedCertificate:
    """A certificate for a request."""
    chain = pem(certificate(ec_key(), "SN-1", ca=False))
    return signed(charger, chain, describe(read_certificates(chain)[0]), request_id, NOON_MS)


async def told(storage: SqlStorage, kind: EventKind) -> list[Any]:
    """The members of all events of a kind, oldest first."""
    return [each.members for each in await storage.events_between(EventFilter(kind=kind), 0, 2**62, 99)]


@ensure
async def test_one_open_request_for_each_charger(storage: SqlStorage) -> None:
    """Q-1: a repeated request is the one that is open; another key takes its place; refused ones stand beside it."""
    records = storage.certificates
    first = await requested(storage, new(STATE.PENDING))
    assert await requested(storage, new(STATE.PENDING)) == first
    other = await requested(storage, new(STATE.PENDING), "CP2")
    second = await requested(storage, new(STATE.APPROVED, "e"))
    await requested(storage, new(STATE.REFUSED, "f", reason="no"))
    assert await states(storage, charger="CP1") == ["refused", "approved", "superseded"]
    assert await states(storage, state=STATE.PENDING) == ["pending"]
    assert [each.request_id for each in await records.list_certificate_requests(RequestFilter(), second, 1)] == [other]
    found = await records.read_certificate_request(first)
    assert found is not None and (found.state, found.ended_ms, found.decided_by) == (STATE.SUPERSEDED, NOON_MS, None)
    assert [each["requestId"] for each in await told(storage, EventKind.CERTIFICATE_REQUEST_PENDING)] == [str(first), str(other)]
    assert [each["reason"] for each in await told(storage, EventKind.CERTIFICATE_REQUEST_ENDED)] == ["no"]


@ensure
async def test_a_request_is_claimed_by_one_node(storage: SqlStorage) -> None:
    """S-3: what is approved is taken up once; by another node when nothing was heard of it for a minute; sent, by nobody."""
    records = storage.certificates
    request = await requested(storage, new())
    assert await records.due_certificate_requests(NOON_MS) == [], "its charger has not heard the answer"
    assert await records.due_certificate_requests(NOON_MS + CLAIM_MS) == [request]
    await records.certificate_request_answered("CP1")
    assert await records.due_certificate_requests(NOON_MS) == [request]
    claimed = await records.claim_certificate_request(request, NOON_MS)
    assert claimed is not None and claimed.request_id == request
    assert await records.due_certificate_requests(NOON_MS) == []
    assert await records.claim_certificate_request(request, NOON_MS) is None
    later = NOON_MS + CLAIM_MS
    assert await records.due_certificate_requests(later) == [request]
    assert await records.claim_certificate_request(request, later) is not None
    await records.certificate_issued(made(claimed, request))
    await records.certificate_sent(request, "m1")
    assert await records.due_certificate_requests(later + CLAIM_MS) == []
    found = await records.read_certificate_request(request)
    assert found is not None and (found.state, found.message_id, bool(found.chain)) == (STATE.SENT, "m1", True)


@ensure
async def test_a_request_is_superseded_while_it_is_signed(storage: SqlStorage) -> None:
    """Q-3: a certificate for a key that its charger has given up since is not kept, and does not change what came of it."""
    records = storage.certificates
    request = await requested(storage, new())
    claimed = await records.claim_certificate_request(request, NOON_MS + CLAIM_MS)
    await requested(storage, new(digest="other"))
    assert await records.certificate_issued(made(claimed, request)) is False
    assert await states(storage) == ["approved", "superseded"]
    assert (await records.read_certificates("CP1")).signed == ()


@ensure
async def test_what_a_charger_makes_of_its_certificate(storage: SqlStorage) -> None:
    """Q-3, Q-4: a timeout fails the request, a late answer counts, Accepted stays; the call is known by what it carries."""
    records = storage.certificates
    request = await requested(storage, new())
    issued = made(None, request)
    await records.certificate_issued(issued)
    payload = {"certificateChain": issued.chain}
    sent = await ended(storage, "CertificateSigned", payload, None)
    assert await states(storage) == ["failed"]
    await storage.call_ended(
        CallEnd(
            sent,
            MessageState.COMPLETED,
            NOON_MS + 9,
            outcome="Accepted",
            answer=f'[3,"{sent}",{{"status":"Accepted"}}]',
            late=True,
        )
    )
    assert await states(storage) == ["accepted"]
    await ended(storage, "CertificateSigned", payload, {"status": "Rejected"}, ended_ms=NOON_MS + 99)
    assert await states(storage) == ["accepted"]
    [own] = (await records.read_certificates("CP1")).signed
    assert (own.fingerprint, own.accepted_ms, own.request_id) == (issued.fingerprint, NOON_MS + 9, request)
    assert await records.valid_certificates("CP1", own.not_after_ms - 1) == [own]
    assert await records.valid_certificates("CP1", own.not_after_ms) == []
    revoked, now = await records.revoke_certificate("CP1", own.fingerprint, "lost", NOON_MS)
    assert now and revoked is not None and revoked.revoke_reason == "lost"
    assert await records.valid_certificates("CP1", NOON_MS) == []
    assert (await records.revoke_certificate("CP1", own.fingerprint, "again", NOON_MS))[1] is False
    assert (await records.revoke_certificate("CP2", own.fingerprint, "whose?", NOON_MS))[0] is None


@ensure
async def test_what_operators_and_handlers_say(storage: SqlStorage) -> None:
    """Q-1: an operator decides once; a handler's answer over ours makes a request wait, or ends it."""
    records = storage.certificates
    request = await requested(storage, new(STATE.PENDING))
    assert await records.decide_certificate_request(10**6, STATE.APPROVED, "", None, NOON_MS) == (None, False)
    issued = made(None, request)
    found, was = await records.decide_certificate_request(request, STATE.APPROVED, "by me", issued, NOON_MS)
    assert was and found is not None
    assert (found.state, found.decided_by, found.chain) == (STATE.APPROVED, "operator", issued.chain)
    found, was = await records.decide_certificate_request(request, STATE.REFUSED, "no", None, NOON_MS)
    assert not was and found is not None and found.state is STATE.APPROVED
    await records.certificate_failed(request, "no paper", NOON_MS)
    assert (await records.decide_certificate_request(request, STATE.APPROVED, "again", None, NOON_MS))[1]
    for state, accepted, expected in (
        (STATE.REFUSED, True, "pending"),
        (STATE.APPROVED, False, "refused"),
        (STATE.APPROVED, True, "approved"),
    ):
        message = inbound("SignCertificate", "CP3")
        told_first = await records.certificate_requested(message, new(state, f"{state}{accepted}"))
        await records.certificate_answer_amended(told_first, '[3,"x",{}]', accepted, NOON_MS)
        assert (await states(storage, charger="CP3"))[0] == expected


@ensure
async def test_the_roots_of_a_charger(storage: SqlStorage) -> None:
    """Q-5 to Q-7: each list replaces the last one, in the charger's own words; installing and deleting change it."""
    root = certificate(ec_key())
    named = hash_data(root, HashAlgorithmEnumType.SHA512)
    words = {
        "hashAlgorithm": "SHA512",
        "issuerNameHash": named.issuer_name_hash.upper(),
        "issuerKeyHash": named.issuer_key_hash,
        "serialNumber": "00" + named.serial_number.zfill(40),
    }
    kind = {"certificateType": "CentralSystemRootCertificate"}
    accepted = {"status": "Accepted"}

    async def roots() -> list[tuple[str, bool]]:
        found = (await storage.certificates.read_certificates("CP1")).installed
        return [(each.hash_data.serial_number, each.reported) for each in found]

    await ended(storage, "InstallCertificate", {**kind, "certificate": pem(root)}, accepted)
    assert await roots() == [(named.serial_number, False)]
    listed = {**accepted, "certificateHashData": [words, words, {**words, "serialNumber": "7"}]}
    await ended(storage, "GetInstalledCertificateIds", kind, listed)
    assert await roots() == [(words["serialNumber"][-40:], True), ("7", True)], "as far as the definition lets it be"
    await ended(storage, "InstallCertificate", {**kind, "certificate": pem(root)}, accepted, ended_ms=NOON_MS + 5)
    assert len(await roots()) == 2, "it is there already"
    await ended(storage, "GetInstalledCertificateIds", kind, None, ended_ms=NOON_MS + 6)
    await ended(storage, "DeleteCertificate", {"certificateHashData": words}, {"status": "Failed"})
    assert len(await roots()) == 2, "no answer, and Failed, change nothing"
    lower = {**words, "serialNumber": named.serial_number}
    await ended(storage, "DeleteCertificate", {"certificateHashData": lower}, accepted, ended_ms=NOON_MS + 7)
    assert await roots() == [("7", True)]
    await ended(storage, "GetInstalledCertificateIds", kind, {"status": "NotFound"}, ended_ms=NOON_MS + 8)
    assert await roots() == []
    known = await storage.certificates.read_certificates("CP1")
    assert [(each.status, each.reported_ms) for each in known.listed] == [("NotFound", NOON_MS + 8)]
    assert [each.outcome for each in known.installs] == ["Accepted", "Accepted"]


@ensure
async def test_security_events(storage: SqlStorage) -> None:
    """V-11, Q-4, Q-5: kept with criticality and cause; what cannot be stored as it is is kept as far as it goes."""

    async def tell(kind: str, charger: str = "CP1", received_ms: int = NOON_MS, **members: Any) -> None:
        payload = json.dumps({"type": kind, "timestamp": "2026-03-01T12:00:00Z", **members})
        frame = f'[2,"e","SecurityEventNotification",{payload}]'
        await storage.message_received(inbound("SecurityEventNotification", charger, frame=frame, received_ms=received_ms))

    async def kept(**which: Any) -> list[Any]:
        return await storage.security_events.list_security_events(SecurityEventFilter(**which), None, 99)

    await tell("TamperDetectionActivated", techInfo="lid\0")
    await tell("InvalidMessages", "CP2", NOON_MS + 5, timestamp="yesterday")
    assert [(each.type, each.critical, each.timestamp_ms, each.tech_info) for each in await kept()] == [
        ("InvalidMessages", False, None, None),
        ("TamperDetectionActivated", True, NOON_MS, "lid\ufffd"),
    ]
    assert [each["securityEventType"] for each in await told(storage, EventKind.CRITICAL_SECURITY_EVENT)] == [
        "TamperDetectionActivated"
    ]
    for which, count in (({"critical": True}, 1), ({"critical": False}, 1), ({"type": "InvalidMessages"}, 1)):
        assert len(await kept(**which)) == count
    assert len(await kept(charger="CP1", since_ms=NOON_MS, until_ms=NOON_MS + 1)) == 1
    assert await kept(until_ms=NOON_MS) == []
    request = await requested(storage, new(), "CP3")
    await storage.certificates.certificate_sent(request, "m9")
    await tell("InvalidChargePointCertificate", "CP3")
    install = {"certificateType": "ManufacturerRootCertificate", "certificate": "x"}
    refused = await ended(storage, "InstallCertificate", install, {"status": "Rejected"}, "CP3")
    await tell("InvalidCentralSystemCertificate", "CP3", NOON_MS + MINUTE_MS)
    assert [(each.message_id, each.request_id) for each in await kept(charger="CP3")] == [(refused, None), ("m9", request)]
