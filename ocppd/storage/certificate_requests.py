"""Requests for certificates, from SignCertificate to what the charger makes of the certificate. REQUIREMENTS Q-1 to Q-4.

Functions over a running transaction. Who signs is not known here: a node claims what is approved, and tells what came of it.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any, Final

from sqlalchemy import BigInteger, Text, and_, bindparam, func, insert, null, select, update

from ocppd.storage import events, follow_ups
from ocppd.storage import messages as journal
from ocppd.storage.records import EndedCall, EventKind, Inbound, MessageState
from ocppd.storage.records.certificates import (
    NewRequest,
    Requested,
    RequestFilter,
    RequestRecord,
    RequestState,
)
from ocppd.storage.schema import certificate_requests as table
from ocppd.storage.unit import Statement, Unit, values_of
from ocppd.v16.codec import decode
from ocppd.v16.security import CertificateSignedRequest

#: A node that has taken up a request and says nothing for so long is gone, or the records were: another one does it.
CLAIM_MS: Final = 60_000
POLICY, OPERATOR = "policy", "operator"

_RECORD: Final = tuple(field.name for field in fields(RequestRecord))
_COLUMNS: Final = tuple(table.c[name] for name in _RECORD)
_THIS: Final = table.c.request_id == bindparam("the_request")
_READ = Statement(select(*_COLUMNS).where(_THIS))
_LOCKED = Statement(select(*_COLUMNS).where(_THIS).with_for_update())
_OPEN: Final = and_(
    table.c.charger == bindparam("the_charger"),
    table.c.state.in_([bindparam("pending", type_=Text()), bindparam("approved", type_=Text())]),
)
_REPEATED = Statement(select(func.max(table.c.request_id)).where(_OPEN, table.c.digest == bindparam("the_digest")))
_SUPERSEDED = Statement(
    update(table)
    .where(_OPEN)
    .values(state=bindparam("new_state"), ended_ms=bindparam("the_instant"), reason=bindparam("new_reason"))
)
_INSERTED = Statement(
    values_of(
        insert(table),
        *("request_id", "charger", "state", "csr", "digest", "subject", "key", "policy", "reason"),
        *("decided_by", "created_ms", "decided_ms", "claimed_ms", "ended_ms"),
    )
)
_DECIDED = Statement(
    update(table)
    .where(_THIS)
    .values(
        {
            "claimed_ms": null(),
            **{name: bindparam(f"new_{name}") for name in ("state", "reason", "decided_by", "decided_ms", "ended_ms")},
        }
    )
)
_DUE_SINCE: Final = func.coalesce(table.c.claimed_ms, bindparam("never", type_=BigInteger())) <= bindparam(
    "claimed_by", type_=BigInteger()
)
_IS_APPROVED: Final = table.c.state == bindparam("approved", type_=Text())
_DUE = Statement(select(table.c.request_id).where(_IS_APPROVED, _DUE_SINCE))
_CLAIMED = Statement(
    update(table).where(_THIS, _IS_APPROVED, _DUE_SINCE).values(claimed_ms=bindparam("the_instant")).returning(*_COLUMNS)
)
_ANSWERED = Statement(update(table).where(_OPEN, table.c.claimed_ms == table.c.created_ms).values({"claimed_ms": null()}))
_ISSUED = Statement(
    update(table).where(_THIS, _IS_APPROVED).values(chain=bindparam("new_chain"), fingerprint=bindparam("new_fingerprint"))
)
_SENT = Statement(
    update(table).where(_THIS, _IS_APPROVED).values(state=bindparam("new_state"), message_id=bindparam("new_message"))
)
#: The request whose certificate a call of ours has carried, whoever has sent it.
_CARRIED = Statement(
    select(func.max(table.c.request_id)).where(
        table.c.charger == bindparam("the_charger"), table.c.chain == bindparam("the_chain")
    )
)
_ENDED = Statement(
    update(table)
    .where(_THIS)
    .values(
        state=bindparam("new_state"),
        ended_ms=bindparam("the_instant"),
        reason=bindparam("new_reason"),
        message_id=bindparam("new_message"),
    )
)
_UNTAKEN: Final = select(func.max(table.c.request_id)).where(
    table.c.charger == bindparam("the_charger"),
    table.c.state.in_([bindparam("sent", type_=Text()), bindparam("rejected", type_=Text())]),
)
_NEWEST_SENT = Statement(select(table.c.request_id, table.c.message_id).where(table.c.request_id == _UNTAKEN.scalar_subquery()))
_OPEN_NAMES: Final = {"pending": RequestState.PENDING.value, "approved": RequestState.APPROVED.value}


def received(unit: Unit, message: Inbound, new: NewRequest) -> Requested:
    """See `CertificateRecords.certificate_requested`."""
    sequence = journal.received(unit, message, message.answer)
    follow_ups.told(unit, message, sequence)
    if new.state is not RequestState.REFUSED:
        asked: dict[str, str | int] = {"the_charger": message.charger, **_OPEN_NAMES}
        repeated = unit.one(_REPEATED, {**asked, "the_digest": new.digest})[0]
        if repeated is not None:
            return Requested(sequence, repeated)
        ended: dict[str, str | int] = {
            "new_state": RequestState.SUPERSEDED.value,
            "the_instant": message.received_ms,
            "new_reason": _ASKED_AGAIN,
        }
        unit.send(_SUPERSEDED, {**asked, **ended})
    decided = new.state is not RequestState.PENDING
    row = {name: getattr(new, name) for name in ("csr", "digest", "subject", "key", "policy", "reason")}
    unit.send(
        _INSERTED,
        {
            **row,
            "request_id": sequence,
            "charger": message.charger,
            "state": new.state.value,
            "created_ms": message.received_ms,
            "decided_by": POLICY if decided else None,
            "decided_ms": message.received_ms if decided else None,
            "claimed_ms": message.received_ms,  # by whoever answers it: nothing is sent before that (S-3)
            "ended_ms": message.received_ms if new.state is RequestState.REFUSED else None,
        },
    )
    if new.state is not RequestState.APPROVED:
        _told(unit, message.charger, sequence, new.state, new.reason, message.received_ms)
    return Requested(sequence, sequence)


_ASKED_AGAIN: Final = "the charger has asked again"


def answer_amended(unit: Unit, requested: Requested, answer: str, accepted: bool, now_ms: int) -> None:
    """See `CertificateRecords.certificate_answer_amended`."""
    journal.answer_amended(unit, requested.sequence, answer, False)
    found = read(unit, requested.request_id, locked=True)
    if found is None or accepted == (found.state is not RequestState.REFUSED):
        return
    reason = f"a handler has {'accepted' if accepted else 'refused'} it"
    state = RequestState.PENDING if accepted else RequestState.REFUSED
    _decide(unit, found, state, reason, None if accepted else POLICY, now_ms)


def decided(unit: Unit, request_id: int, state: RequestState, reason: str, now_ms: int) -> tuple[RequestRecord | None, bool]:
    """An operator has a say where it is for one to decide; the request as it is then, and whether it was."""
    found = read(unit, request_id, locked=True)
    if found is None:
        return None, False
    may = {RequestState.APPROVED: (RequestState.PENDING, RequestState.FAILED), RequestState.REFUSED: (RequestState.PENDING,)}
    if found.state not in may[state]:
        return found, False
    _decide(unit, found, state, reason, OPERATOR, now_ms)
    return read(unit, request_id), True


def _decide(unit: Unit, found: RequestRecord, state: RequestState, reason: str, by: str | None, now_ms: int) -> None:
    refused = state is RequestState.REFUSED
    unit.send(
        _DECIDED,
        {
            "the_request": found.request_id,
            "new_state": state.value,
            "new_reason": reason,
            "new_decided_by": by,
            "new_decided_ms": None if by is None else now_ms,
            "new_ended_ms": now_ms if refused else None,
        },
    )
    if state is not RequestState.APPROVED:
        _told(unit, found.charger, found.request_id, state, reason, now_ms)


def _told(unit: Unit, charger: str, request_id: int, state: RequestState, reason: str, at_ms: int) -> None:
    pending = state is RequestState.PENDING
    kind = EventKind.CERTIFICATE_REQUEST_PENDING if pending else EventKind.CERTIFICATE_REQUEST_ENDED
    members = {"reason": reason} if pending else {"state": state.value, "reason": reason}
    events.happened(unit, kind, charger, at_ms, requestId=str(request_id), **members)


def answered(unit: Unit, charger: str) -> None:
    """See `CertificateRecords.certificate_request_answered`."""
    unit.send(_ANSWERED, {"the_charger": charger, **_OPEN_NAMES})


def due(unit: Unit, now_ms: int) -> list[int]:
    """See `CertificateRecords.due_certificate_requests`."""
    return [row[0] for row in unit.all(_DUE, _claim(now_ms))]


def claimed(unit: Unit, request_id: int, now_ms: int) -> RequestRecord | None:
    """See `CertificateRecords.claim_certificate_request`."""
    row = unit.one(_CLAIMED, {"the_request": request_id, "the_instant": now_ms, **_claim(now_ms)})
    return None if row is None else _record(row)


def _claim(now_ms: int) -> dict[str, int | str]:
    return {"approved": RequestState.APPROVED.value, "never": 0, "claimed_by": now_ms - CLAIM_MS}


def issued(unit: Unit, request_id: int, chain: str, fingerprint: str) -> bool:
    """The request has its certificate; False where it is not approved any more."""
    row: dict[str, str | int] = {"the_request": request_id, "new_chain": chain, "new_fingerprint": fingerprint}
    return unit.run(_ISSUED, {**row, "approved": RequestState.APPROVED.value}) == 1


def sent(unit: Unit, request_id: int, message_id: str) -> None:
    """See `CertificateRecords.certificate_sent`."""
    row = {"new_state": RequestState.SENT.value, "new_message": message_id, "approved": RequestState.APPROVED.value}
    unit.send(_SENT, {"the_request": request_id, **row})


def failed(unit: Unit, request_id: int, reason: str, now_ms: int) -> None:
    """See `CertificateRecords.certificate_failed`."""
    found = read(unit, request_id, locked=True)
    if found is not None and found.state is RequestState.APPROVED:
        _end(unit, found, RequestState.FAILED, reason, None, now_ms)


def _end(unit: Unit, found: RequestRecord, state: RequestState, reason: str | None, message_id: str | None, now_ms: int) -> None:
    row = {"the_request": found.request_id, "new_state": state.value, "the_instant": now_ms, "new_reason": reason}
    unit.send(_ENDED, {**row, "new_message": message_id})
    _told(unit, found.charger, found.request_id, state, reason or "", now_ms)


def signed_ended(unit: Unit, call: EndedCall) -> tuple[str, RequestRecord | None]:
    """A CertificateSigned has ended: the chain it carried, and the request that it was for, as it is now."""
    carried, _ = decode(CertificateSignedRequest, call.request, strict=False)
    request_id = unit.one(_CARRIED, {"the_charger": call.charger, "the_chain": carried.certificate_chain})[0]
    found = None if request_id is None else read(unit, request_id, locked=True)
    if found is None or found.state is RequestState.ACCEPTED:
        return carried.certificate_chain, found
    state, reason = _outcome(call)
    _end(unit, found, state, reason, call.message_id, call.ended_ms)
    return carried.certificate_chain, read(unit, found.request_id)


def _outcome(call: EndedCall) -> tuple[RequestState, str | None]:
    if call.state is not MessageState.COMPLETED:
        return RequestState.FAILED, f"CertificateSigned: {call.outcome or call.state.value}"
    if call.outcome == "Accepted":
        return RequestState.ACCEPTED, "the charger has taken the certificate"
    return RequestState.REJECTED, "the charger has refused the certificate"


def newest_sent(unit: Unit, charger: str) -> tuple[int, str | None] | None:
    """The newest request whose certificate the charger has, and has not taken, with the message that brought it."""
    row = unit.one(_NEWEST_SENT, {"the_charger": charger, "sent": "sent", "rejected": "rejected"})
    return None if row is None else (row[0], row[1])


def read(unit: Unit, request_id: int, *, locked: bool = False) -> RequestRecord | None:
    """See `CertificateRecords.read_certificate_request`."""
    row = unit.one(_LOCKED if locked else _READ, {"the_request": request_id})
    return None if row is None else _record(row)


def list_requests(unit: Unit, which: RequestFilter, after: int | None, limit: int) -> list[RequestRecord]:
    """See `CertificateRecords.list_certificate_requests`."""
    query = select(*_COLUMNS).order_by(table.c.request_id.desc()).limit(limit)
    if which.charger is not None:
        query = query.where(table.c.charger == which.charger)
    if which.state is not None:
        query = query.where(table.c.state == which.state.value)
    if after is not None:
        query = query.where(table.c.request_id < after)
    return [_record(row) for row in unit.connection.execute(query)]


def _record(row: Any) -> RequestRecord:
    members = dict(zip(_RECORD, row, strict=True))
    return RequestRecord(**{**members, "state": RequestState(members["state"])})
