"""A call of ours on its way: the object that the queue, the connection and the waiting callers share.

Knows no storage and no connection. OCPP-J 1.6 section 4.1.1; docs/http-api.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import msgspec
from msgspec import UnsetType

from ocppd.central.authorization import id_tag_key
from ocppd.central.redaction import redact_call
from ocppd.errors import (
    CallCancelled,
    CallErrorReceived,
    CallExpired,
    CallFailed,
    CallTimeout,
    Disconnected,
    HolderUnreachable,
    InvalidResponse,
    NotPermitted,
    OutcomeUnknown,
    Violation,
)
from ocppd.ocppj.frames import CallError
from ocppd.storage.records import CallEnd, Direction, MessageRecord, MessageState, NewCall, RemoteStart
from ocppd.storage.records.follow_ups import FollowUp
from ocppd.v16.actions import ACTIONS, Action
from ocppd.v16.codec import decode
from ocppd.v16.core import RemoteStartTransactionRequest
from ocppd.v16.smart_charging import SetChargingProfileRequest
from ocppd.v16.types import ChargingProfilePurposeType, Message

#: What would be wrong hours later fails at once when the charger is offline (docs/http-api.md).
FAILS_OFFLINE: Final = frozenset(
    {
        "DataTransfer",
        "ExtendedTriggerMessage",
        "GetCompositeSchedule",
        "GetConfiguration",
        "GetDiagnostics",
        "GetInstalledCertificateIds",
        "GetLocalListVersion",
        "GetLog",
        "RemoteStartTransaction",
        "RemoteStopTransaction",
        "ReserveNow",
        "Reset",
        "TriggerMessage",
        "UnlockConnector",
    }
)
#: How long a call waits for its charger where nobody says (S-7: an expiry always).
QUEUED_TTL_S: Final = 24 * 3600.0
#: How long a call that does not wait for an offline charger may wait behind others.
DIRECT_TTL_S: Final = 600.0


#: Behind every sequence of the journal.
LAST: Final = 2**63

_BY_REQUEST: Final = {action.request: action for action in ACTIONS.values()}


def action_of(request: Message) -> Action:
    """The action that `request` is a CALL of. Raises TypeError for what no central system sends."""
    action = _BY_REQUEST.get(type(request))
    if action is None or not action.to_charger:
        raise TypeError(f"{type(request).__name__} is no request to a charger")
    return action


def remote_start_of(request: Message) -> RemoteStart | None:
    """What a transaction must have to come of this request; None where none is to come."""
    if not isinstance(request, RemoteStartTransactionRequest):
        return None
    connector_id = None if isinstance(request.connector_id, UnsetType) else request.connector_id
    return RemoteStart(connector_id, id_tag_key(request.id_tag))


def queues_offline(request: Message, action: str) -> bool:
    """Whether this call waits for an offline charger by default: it is still right when it comes back."""
    if isinstance(request, SetChargingProfileRequest):
        purpose = request.cs_charging_profiles.charging_profile_purpose
        return purpose is not ChargingProfilePurposeType.TX_PROFILE
    return action not in FAILS_OFFLINE


class Ended(msgspec.Struct, frozen=True):
    """How a call ended: what is recorded, and what its callers get, a confirmation or an error."""

    end: CallEnd
    result: Message | CallFailed
    #: When it was journaled as `sent`, where it was.
    sent_ms: int | None = None
    #: It ends in the queue of this connection: where another one has sent it meanwhile, that counts.
    unsent: bool = False
    #: What had to be mended in the answer (E-4), by the names of the repairs.
    repairs: tuple[str, ...] = ()
    #: What is to follow, as it was recorded with the end; None where that is to be looked for.
    follow_ups: tuple[FollowUp, ...] | None = None

    def record(self, before: MessageRecord) -> MessageRecord:
        """The message as it is now, from what it was."""
        end = self.end
        return msgspec.structs.replace(
            before,
            state=end.state,
            outcome=end.outcome,
            answer=end.answer,
            late=end.late,
            detail=end.detail,
            sent_ms=self.sent_ms or before.sent_ms,
            answered_ms=None if end.answer is None else end.ended_ms,
            follow_ups=self.follow_ups,
        )


@dataclass(slots=True, eq=False)
class PendingCall:
    """A call of ours until it has ended."""

    message_id: str
    charger: str
    action: str
    request: Message
    frame: str
    created_ms: int
    expires_ms: int
    #: Waits for the next connection when this one is lost (S-6).
    queues: bool
    #: The node that accepted it.
    origin: str | None = None
    #: Its place in the order of acceptance; last while it is being journaled.
    sequence: int = LAST
    #: When it was journaled as `sent`.
    sent_ms: int | None = None
    #: Whether the charger may have it.
    written: bool = False

    @classmethod
    def of_record(cls, record: MessageRecord, request: Message | None = None) -> PendingCall:
        """A call that is on record, without its secrets."""
        return cls(
            message_id=record.message_id,
            charger=record.charger,
            action=record.action,
            request=Message() if request is None else request,
            frame=record.frame,
            created_ms=record.created_ms,
            expires_ms=record.expires_ms or 0,
            queues=False,
            origin=record.origin,
            sent_ms=record.sent_ms,
        )

    def journal_entry(self) -> NewCall:
        """What is journaled of it."""
        return NewCall(
            message_id=self.message_id,
            charger=self.charger,
            action=self.action,
            frame=self.frame,
            redacted=redact_call(self.action, self.frame),
            created_ms=self.created_ms,
            expires_ms=self.expires_ms,
            waits=self.queues,
            remote_start=remote_start_of(self.request),
        )

    def record(self, state: MessageState) -> MessageRecord:
        """The message as it is journaled, `queued` or `sent` just now."""
        return MessageRecord(
            sequence=0,
            message_id=self.message_id,
            charger=self.charger,
            direction=Direction.TO_CHARGER,
            action=self.action,
            state=state,
            created_ms=self.created_ms,
            frame=redact_call(self.action, self.frame),
            sent_ms=self.created_ms if state is MessageState.SENT else None,
            expires_ms=self.expires_ms,
            origin=self.origin,
        )

    def confirmed(self, confirmation: Message, answer: str, now_ms: int) -> Ended:
        """The charger answered CALLRESULT; its status, where it has one, is the outcome."""
        outcome = getattr(confirmation, "status", None)
        return Ended(
            CallEnd(self.message_id, MessageState.COMPLETED, now_ms, None if outcome is None else str(outcome), answer),
            confirmation,
            self.sent_ms,
        )

    def refused(self, error: CallError, answer: str, now_ms: int) -> Ended:
        """The charger answered CALLERROR: an outcome, no fault of the connection (E-3)."""
        failure = CallErrorReceived(self.charger, self.message_id, error.code, error.description, error.details)
        return Ended(CallEnd(self.message_id, MessageState.ERROR, now_ms, error.code, answer), failure, self.sent_ms)

    def misanswered(self, reason: str, answer: str, status: str | None, now_ms: int) -> Ended:
        """The charger answered a CALLRESULT that breaks the definition; a status that can be read is the outcome (E-4)."""
        failure = InvalidResponse(self.charger, self.message_id, reason)
        return Ended(
            CallEnd(self.message_id, MessageState.ERROR, now_ms, status, answer, detail=f"invalid response: {reason}"), failure
        )

    def timed_out(self, timeout_s: float, now_ms: int) -> Ended:
        """No answer in time (S-5)."""
        return self._failed(MessageState.TIMEOUT, CallTimeout(self.charger, self.message_id, timeout_s), now_ms)

    def expired(self, now_ms: int) -> Ended:
        """Its time to live ended in the queue."""
        return self._failed(MessageState.EXPIRED, CallExpired(self.charger, self.message_id), now_ms)

    def cancelled(self, now_ms: int) -> Ended:
        """Taken back while it was queued."""
        return self._failed(MessageState.CANCELLED, CallCancelled(self.charger, self.message_id), now_ms)

    def disconnected(self, now_ms: int) -> Ended:
        """The connection was lost before it was written."""
        return self._failed(MessageState.ERROR, Disconnected(self.charger, self.message_id), now_ms)

    def lost(self, now_ms: int) -> Ended:
        """The connection was lost after it was written (S-6)."""
        return self._failed(MessageState.UNKNOWN, OutcomeUnknown(self.charger, self.message_id), now_ms)

    def forbidden(self, reason: str, now_ms: int) -> Ended:
        """The charger's registration does not permit it any more (2.2)."""
        return self._failed(MessageState.ERROR, NotPermitted(self.charger, self.action, reason), now_ms)

    def unreachable(self, failure: HolderUnreachable, now_ms: int) -> Ended:
        """The node that holds the charger could not be told of it."""
        return self._failed(MessageState.ERROR, failure, now_ms)

    def _failed(self, state: MessageState, failure: CallFailed, now_ms: int) -> Ended:
        end = CallEnd(self.message_id, state, now_ms, detail=str(failure))
        return Ended(end, failure, self.sent_ms, unsent=self.sent_ms is None)


def ended_of(record: MessageRecord) -> Ended:
    """The end of a call that is on record in a final state, as its callers are told it."""
    end = CallEnd(
        record.message_id,
        record.state,
        record.answered_ms or 0,
        record.outcome,
        record.answer,
        record.late,
        record.detail,
    )
    return Ended(end, _result_of(record), record.sent_ms)


def _result_of(record: MessageRecord) -> Message | CallFailed:
    charger, message_id = record.charger, record.message_id
    match record.state:
        case MessageState.COMPLETED:
            return _confirmation_of(record)
        case MessageState.TIMEOUT:
            return CallTimeout(charger, message_id, None)
        case MessageState.EXPIRED:
            return CallExpired(charger, message_id)
        case MessageState.CANCELLED:
            return CallCancelled(charger, message_id)
        case MessageState.UNKNOWN:
            return OutcomeUnknown(charger, message_id)
    if record.answer is None:
        return Disconnected(charger, message_id)
    if record.answer.startswith("[4"):
        _, _, code, description, details = msgspec.json.decode(record.answer)
        return CallErrorReceived(charger, message_id, code, description, details)
    return InvalidResponse(charger, message_id, record.detail or "")


def _confirmation_of(record: MessageRecord) -> Message | CallFailed:
    """The confirmation on record, without its secrets."""
    try:
        payload = msgspec.json.decode(record.answer or "", type=tuple[int, str, msgspec.Raw])[2]
        confirmation, _ = decode(ACTIONS[record.action].confirmation, bytes(payload), strict=False)
    except (msgspec.DecodeError, Violation) as error:  # written by another version of ocppd
        return InvalidResponse(record.charger, record.message_id, str(error))
    return confirmation
