"""Errors as HTTP answers: one table from an error's type to its status, name and title. RFC 9457; docs/http-api.md.

Also the errors that only a request can have. Knows neither Klein nor what a request is made of.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from ocppd.errors import (
    BusUnavailable,
    CallCancelled,
    CallErrorReceived,
    CallExpired,
    CallFailed,
    CallTimeout,
    Conflict,
    Disconnected,
    HolderUnreachable,
    InvalidPayload,
    InvalidResponse,
    NotCancellable,
    NotClosable,
    NotConnected,
    NotFound,
    NotPermitted,
    OcppdError,
    OutcomeUnknown,
    QueueFull,
    StorageUnavailable,
    TooManyFollowers,
    UnknownCharger,
    UnknownMessage,
    UnknownTransaction,
)
from ocppd.net.files.errors import Interrupted, NotMultipart, RoomBroken, RoomBusy, RoomFull, TokenSpent
from ocppd.storage.records import MessageRecord, MessageState

PROBLEM_PREFIX: Final = "urn:ocppd:problem:"
#: What somebody who is not let in can do.
HINT: Final = "call http://127.0.0.1 on the server's own machine, without a proxy (in a container, see OCPPD_OPEN_API)"
#: Retry-After in seconds: a queue moves with every answer of its charger, a database comes back with its disk.
RETRY_AFTER_S: Final = 5


class RequestError(OcppdError):
    """A request that cannot be what its sender wants; `str()` of it is told to the sender."""


class NoSuchPath(RequestError):
    """Nothing is there."""

    def __init__(self) -> None:
        super().__init__("there is nothing at this path")


class NoSuchMethod(RequestError):
    """Something is there, and `allowed` are its methods."""

    def __init__(self, allowed: Sequence[str]) -> None:
        super().__init__(f"this path knows {', '.join(allowed)}")
        self.allowed = tuple(allowed)


class UnknownMethod(RequestError):
    """No path knows this method."""

    def __init__(self) -> None:
        super().__init__("no path knows this method")


class BadRequest(RequestError):
    """The request is not well formed."""


class BadParameters(RequestError):
    """Query parameters that are unknown or wrong: `errors` has a name and a reason for each."""

    def __init__(self, errors: Sequence[tuple[str, str]]) -> None:
        super().__init__("; ".join(f"{name}: {reason}" for name, reason in errors))
        self.errors = tuple(errors)


class KeyOfAnother(RequestError):
    """An Idempotency-Key that came with another request before."""

    def __init__(self, reason: str = "this Idempotency-Key came with another request before") -> None:
        super().__init__(reason)


class KeyInProgress(RequestError):
    """The request with this Idempotency-Key is being carried out."""

    def __init__(self) -> None:
        super().__init__("the request with this Idempotency-Key is being carried out; ask again for its answer")


class TooManyKeys(RequestError):
    """More keys than are remembered came within a day."""

    def __init__(self) -> None:
        super().__init__("too many Idempotency-Keys came within a day")


class BodyTooLarge(RequestError):
    """The body has more than `limit` bytes."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"the body has more than {limit} bytes")
        self.limit = limit


class NotJsonType(RequestError):
    """A body of another media type; a page of another site could send that without asking (docs/http-api.md)."""

    def __init__(self, taken: Sequence[str] = ("application/json",)) -> None:
        super().__init__(f"a body must be {' or '.join(taken)}")


class NotJson(RequestError):
    """The body cannot be read as JSON."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the body cannot be read: {reason}")


class UnknownAction(RequestError):
    """Not the name of a message that a central system may send; `actions` are, `close` are those spelt alike."""

    def __init__(self, name: str, actions: Sequence[str], close: Sequence[str]) -> None:
        hint = f"; did you mean {' or '.join(close)}?" if close else ""
        super().__init__(f"{name!r} is no action that may be sent to a charger{hint}")
        self.actions = tuple(actions)


class Stopping(RequestError):
    """The daemon stops, and takes no more requests on connections that are kept alive."""

    def __init__(self) -> None:
        super().__init__("the server is shutting down")


class NoConnector(NotFound):
    """The charger has told nothing of such a connector."""

    what = "connector"


class NoConnection(NotFound):
    """The charger is not connected."""

    what = "connection of charger"


class NoIdTag(NotFound):
    """Nobody knows such an id tag."""

    what = "id tag"


class NoUnknownIdTag(NotFound):
    """No such tag was refused as unknown, or that has been forgotten."""

    what = "unknown id tag"


class InConfiguration(RequestError):
    """The id tag is in configs.json, and is changed there."""

    def __init__(self, tag: str) -> None:
        super().__init__(f"id tag {tag!r} is in configs.json, which comes first; change it there")


class NoCredentials(NotFound):
    """The records have no password of the charger."""

    what = "password in the records of charger"


class ChargerInConfiguration(RequestError):
    """The charger is in configs.json, and is changed there."""

    def __init__(self, name: str) -> None:
        super().__init__(f"charger {name!r} is in configs.json, which comes first; change it there")


class PreconditionFailed(RequestError):
    """It is not, or no longer, as If-Match or If-None-Match say; nothing was changed."""

    def __init__(self) -> None:
        super().__init__("it is not as If-Match or If-None-Match say; nothing was changed")


class Unauthorized(RequestError):
    """The caller is not let in; the text says why and what to do."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"{reason}; {HINT}")


class UpgradeRequired(RequestError):
    """A plain request where chargers open WebSockets (HS-13)."""

    def __init__(self) -> None:
        super().__init__("chargers open a WebSocket here")


class InternalError(RequestError):
    """A bug; the log has it."""

    def __init__(self) -> None:
        super().__init__("the log of the server says more")


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of problem: its status, the last part of its `type`, its title."""

    status: int
    slug: str
    title: str


#: The kind of an error is that of its nearest ancestor here.
KINDS: Final[Mapping[type[OcppdError], Kind]] = {
    BadRequest: Kind(400, "bad-request", "The request is not well formed"),
    BadParameters: Kind(400, "bad-parameters", "Query parameters are wrong"),
    NotJson: Kind(400, "not-json", "The body is not JSON"),
    Unauthorized: Kind(401, "unauthorized", "The caller is not let in"),
    NoSuchPath: Kind(404, "no-such-path", "There is no such path"),
    NotFound: Kind(404, "not-found", "There is no such thing"),
    UnknownCharger: Kind(404, "unknown-charger", "The charger is not configured"),
    UnknownMessage: Kind(404, "unknown-message", "There is no such message"),
    UnknownTransaction: Kind(404, "unknown-transaction", "There is no such transaction"),
    UnknownAction: Kind(404, "unknown-action", "There is no such action"),
    NoConnector: Kind(404, "unknown-connector", "There is no such connector"),
    NoIdTag: Kind(404, "unknown-id-tag", "There is no such id tag"),
    NoUnknownIdTag: Kind(404, "not-remembered", "There is no such tag among the unknown ones"),
    NoConnection: Kind(404, "no-connection", "The charger is not connected"),
    NotMultipart: Kind(400, "not-multipart", "The body is no form with a file"),
    Interrupted: Kind(400, "interrupted", "The body was not whole"),
    TokenSpent: Kind(410, "token-spent", "The URL is not good any more"),
    RoomFull: Kind(507, "no-room", "There is no room for the file"),
    RoomBroken: Kind(500, "room-broken", "The file room cannot be written"),
    RoomBusy: Kind(503, "room-busy", "As many files are on their way as this node takes"),
    NoSuchMethod: Kind(405, "no-such-method", "The path does not know this method"),
    NotConnected: Kind(409, "not-connected", "The charger is offline and the command does not wait"),
    NotPermitted: Kind(409, "not-permitted", "The charger's registration does not permit this"),
    NotClosable: Kind(409, "not-closable", "The transaction has ended"),
    NotCancellable: Kind(409, "not-cancellable", "The message is no longer queued"),
    Disconnected: Kind(409, "not-sent", "The command was not sent"),
    CallCancelled: Kind(409, "cancelled", "The command was cancelled"),
    InConfiguration: Kind(409, "in-configuration", "The id tag is in the configuration"),
    ChargerInConfiguration: Kind(409, "charger-in-configuration", "The charger is in the configuration"),
    Conflict: Kind(409, "conflict", "It does not go together with what there is"),
    KeyOfAnother: Kind(409, "idempotency-key", "The Idempotency-Key is of another request"),
    KeyInProgress: Kind(409, "in-progress", "The request is being carried out"),
    PreconditionFailed: Kind(412, "precondition-failed", "It is not as the request's conditions say"),
    BodyTooLarge: Kind(413, "body-too-large", "The body is too large"),
    NotJsonType: Kind(415, "not-json-type", "The body has a media type that is not taken"),
    InvalidPayload: Kind(422, "invalid-payload", "The payload breaks its definition"),
    UpgradeRequired: Kind(426, "upgrade-required", "Only WebSockets are served here"),
    QueueFull: Kind(429, "queue-full", "The charger's queue is full"),
    TooManyKeys: Kind(429, "too-many-keys", "There are too many Idempotency-Keys"),
    InternalError: Kind(500, "internal-error", "The server has a bug"),
    UnknownMethod: Kind(501, "unknown-method", "The server does not know this method"),
    CallErrorReceived: Kind(502, "call-error", "The charger answered CALLERROR"),
    InvalidResponse: Kind(502, "invalid-response", "The charger's answer breaks the OCPP definition"),
    Stopping: Kind(503, "stopping", "The server is shutting down"),
    HolderUnreachable: Kind(503, "holder-unreachable", "The node that the charger is connected to cannot be reached"),
    BusUnavailable: Kind(503, "nodes-unreachable", "Other nodes cannot be reached"),
    TooManyFollowers: Kind(503, "too-many-streams", "As many clients follow the events as this node takes"),
    StorageUnavailable: Kind(503, "storage-unavailable", "The records cannot be reached"),
    CallTimeout: Kind(504, "timeout", "The charger did not answer in time"),
    OutcomeUnknown: Kind(504, "outcome-unknown", "The connection was lost before the charger answered"),
    CallExpired: Kind(504, "expired", "The command expired before it could be sent"),
}

#: What a call that ended so would have failed with. `error` is told apart by its answer.
ENDS: Final[Mapping[MessageState, type[OcppdError]]] = {
    MessageState.TIMEOUT: CallTimeout,
    MessageState.UNKNOWN: OutcomeUnknown,
    MessageState.EXPIRED: CallExpired,
    MessageState.CANCELLED: CallCancelled,
}


@dataclass(frozen=True, slots=True)
class Problem:
    """An error as it is told to the caller: status, further headers, the body's members."""

    status: int
    headers: Mapping[str, str]
    body: Mapping[str, Any]


def is_known(error: OcppdError) -> bool:
    """Whether the table has a kind for this error. What it has not is a bug of ours where it gets here."""
    return any(ancestor in KINDS for ancestor in type(error).__mro__)


def kind_of(error: type[OcppdError]) -> Kind:
    """The kind of an error. Raises KeyError for one that is not known."""
    for ancestor in error.__mro__:
        if ancestor in KINDS:
            return KINDS[ancestor]
    raise KeyError(error)


def problem_of(error: OcppdError) -> Problem:
    """The problem that a known error is."""
    kind = kind_of(type(error))
    return Problem(kind.status, _headers(error, kind), {**_body(kind, str(error)), **_members(error)})


def problem_of_end(record: MessageRecord) -> Problem:
    """The problem that a call has become which ended without a good answer."""
    kind = kind_of(_end_of(record))
    members: dict[str, Any] = {"charger": record.charger, "messageId": record.message_id}
    if kind is KINDS[CallErrorReceived]:
        members["ocppErrorCode"] = record.outcome
        said = description_of(record.answer)
        detail = f"charger {record.charger!r} answered {record.outcome}" + (f": {said}" if said else "")
    else:
        detail = record.detail or f"message {record.message_id} is {record.state}"
    return Problem(kind.status, {}, {**_body(kind, detail), **members})


def description_of(answer: str | None) -> str:
    """The errorDescription of a CALLERROR that is on record."""
    try:
        elements = msgspec.json.decode(answer or "[]")
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return ""
    return elements[3] if isinstance(elements, list) and len(elements) > 3 and isinstance(elements[3], str) else ""


def _end_of(record: MessageRecord) -> type[OcppdError]:
    if record.state in ENDS:
        return ENDS[record.state]
    if record.answer is None:
        return Disconnected
    return CallErrorReceived if record.answer.startswith("[4") else InvalidResponse


def _body(kind: Kind, detail: str) -> dict[str, Any]:
    return {"type": PROBLEM_PREFIX + kind.slug, "title": kind.title, "status": kind.status, "detail": detail}


def _headers(error: OcppdError, kind: Kind) -> dict[str, str]:
    match error:
        case NoSuchMethod(allowed=allowed):
            return {"Allow": ", ".join(allowed)}
        case UpgradeRequired():
            return {"Upgrade": "websocket", "Connection": "Upgrade"}
        case Unauthorized():
            return {"WWW-Authenticate": 'Bearer realm="ocppd"'}
        case KeyInProgress():
            return {"Retry-After": "1"}
        case BodyTooLarge():
            return {"Connection": "close"}
    return {"Retry-After": str(RETRY_AFTER_S)} if kind.status in (429, 503) else {}


def _members(error: OcppdError) -> dict[str, Any]:
    match error:
        case InvalidPayload(violations=violations):
            return {"errors": [{"pointer": each.pointer, "detail": each.reason, "code": str(each.code)} for each in violations]}
        case BadParameters(errors=errors):
            return {"errors": [{"parameter": name, "detail": reason} for name, reason in errors]}
        case UnknownAction(actions=actions):
            return {"actions": list(actions)}
        case CallErrorReceived(charger=charger, message_id=message_id, code=code):
            return {"charger": charger, "messageId": message_id, "ocppErrorCode": code}
        case CallFailed(charger=charger, message_id=message_id):
            return {"charger": charger} | ({} if message_id is None else {"messageId": message_id})
        case UnknownCharger(name=name) | NoConnection(name=name):
            return {"charger": name}
    return {}
