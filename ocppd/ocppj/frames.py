"""OCPP-J frames: bytes ↔ CALL, CALLRESULT, CALLERROR. Knows no actions. OCPP-J 1.6 section 4.

Reading is a fast try for the frame that is as it should be, then a tolerant reader that says what is wrong with the
others or reads them kindly (REQUIREMENTS F-3, F-7, F-9 to F-12). Nothing but `Unreadable` and `Malformed` leaves it.
"""

from __future__ import annotations

import codecs
import json
from dataclasses import dataclass
from typing import Any, Final, NoReturn

import msgspec

from ocppd.errors import ErrorCode

CALL: Final = 2
CALLRESULT: Final = 3
CALLERROR: Final = 4

#: OCPP-J 4.1.4: the length of a message id.
MESSAGE_ID_LENGTH: Final = 36
#: What a tolerant reader still echoes (F-7).
MESSAGE_ID_LENGTH_TOLERATED: Final = 255
#: E-2: the length of an errorDescription.
DESCRIPTION_LENGTH: Final = 255

#: Codes of OCPP 2.0.1 and the spelling that 1.6 does not have, read as the names of 1.6 (F-11).
FOREIGN_CODES: Final = {
    "FormatViolation": ErrorCode.FORMATION_VIOLATION,
    "OccurrenceConstraintViolation": ErrorCode.OCCURENCE_CONSTRAINT_VIOLATION,
    "MessageTypeNotSupported": ErrorCode.GENERIC_ERROR,
    "RpcFrameworkError": ErrorCode.GENERIC_ERROR,
}

#: The longest name of an action has 33 characters; more of a name is not logged.
SHOWN_ACTION_LENGTH: Final = 64

EMPTY: Final = b"{}"

_as_call = msgspec.json.Decoder(tuple[int, str, str, msgspec.Raw]).decode
_as_result = msgspec.json.Decoder(tuple[int, str, msgspec.Raw]).decode
_as_list = msgspec.json.Decoder(list[msgspec.Raw]).decode
_as_any = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


class Call(msgspec.Struct, frozen=True, gc=False):
    """A CALL. `wire_id` is the id as JSON, echoed as it came; `message_id` is its text."""

    message_id: str
    action: str
    payload: bytes
    wire_id: bytes


@dataclass(frozen=True, slots=True)
class CallResult:
    """A CALLRESULT; `payload` is a JSON value, an object unless the peer is wrong (E-4)."""

    message_id: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class CallError:
    """A CALLERROR; `code` has the spelling of 1.6 where it has one, else the peer's."""

    message_id: str
    code: str
    description: str
    details: Any


Frame = Call | CallResult | CallError


class Unreadable(Exception):
    """No frame, or none that could be answered; `counts` is False for what is only to be ignored (F-9)."""

    def __init__(self, reason: str, *, counts: bool = True) -> None:
        super().__init__(reason)
        self.reason = reason
        self.counts = counts


class Malformed(Exception):
    """A CALL with a readable id and something else wrong: to be answered FormationViolation (F-7, F-11)."""

    def __init__(self, wire_id: bytes, reason: str) -> None:
        super().__init__(reason)
        self.wire_id = wire_id
        self.reason = reason


def read_at_once(data: bytes) -> Call | None:
    """The CALL that a text message is, where it is as it should be; None for anything else, whatever the bytes are."""
    try:
        kind, message_id, action, raw = _as_call(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    payload = bytes(raw)
    if kind != CALL or not 0 < len(message_id) <= MESSAGE_ID_LENGTH or payload[:1] != b"{":
        return None
    return Call(message_id, action, payload, _encode(message_id))


def read(data: bytes, *, strict: bool) -> Frame:
    """The frame in one text message. Raises Unreadable or Malformed, and nothing else whatever the bytes are."""
    return read_at_once(data) or _result_at_once(data) or _read_slowly(data, strict)


def _result_at_once(data: bytes) -> CallResult | None:
    """The CALLRESULT that a text message is, where it is as it should be."""
    try:
        kind, message_id, raw = _as_result(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    payload = bytes(raw)
    return CallResult(message_id, payload) if kind == CALLRESULT and payload[:1] == b"{" else None


def _read_slowly(data: bytes, strict: bool) -> Frame:
    elements = _elements(data, strict)
    if len(elements) < 2:
        raise Unreadable("fewer than two elements")
    kind = _number(elements[0])
    if kind == CALL:
        return _read_call(elements, strict)
    if kind == CALLRESULT:
        return CallResult(_response_id(elements), _payload(elements, 2))
    if kind == CALLERROR:
        return _read_call_error(elements)
    raise Unreadable("a message type other than 2, 3 and 4", counts=False)


def _elements(data: bytes, strict: bool) -> list[bytes]:
    """The elements of the array as JSON texts."""
    if data.startswith(codecs.BOM_UTF8):
        data = data[len(codecs.BOM_UTF8) :]
    try:
        return [bytes(element) for element in _as_list(data)]
    except msgspec.ValidationError:
        raise Unreadable("not a JSON array") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _salvage(data, strict)


def _salvage(data: bytes, strict: bool) -> list[bytes]:
    """What another parser still reads: halves of characters, which are JSON, and NaN and the infinities, which are not (F-12).

    The latter become null for the tolerant reader.
    """
    try:
        # As UTF-8: of bytes Python's parser guesses the encoding, and zeros between are UTF-16 to it.
        value = json.loads(data.decode(), parse_constant=_no_json if strict else lambda _: None)
    except (ValueError, RecursionError):
        raise Unreadable("not JSON") from None
    if not isinstance(value, list):
        raise Unreadable("not a JSON array")
    return [json.dumps(element).encode("ascii") for element in value]


def _no_json(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _read_call(elements: list[bytes], strict: bool) -> Call:
    wire_id = elements[1]
    message_id = _text(wire_id)
    if message_id is None:
        message_id = _numeric_id(wire_id, strict)
    elif not message_id:
        raise Malformed(wire_id, "the message id is empty")
    limit = MESSAGE_ID_LENGTH if strict else MESSAGE_ID_LENGTH_TOLERATED
    if len(message_id) > limit:
        raise Malformed(wire_id, f"the message id is longer than {limit} characters")
    if len(elements) != 4:
        raise Malformed(wire_id, f"a CALL has 4 elements, this one has {len(elements)}")
    action = _text(elements[2])
    if action is None:
        raise Malformed(wire_id, "the action is not a text")
    payload = _payload(elements, 3)
    if payload[:1] != b"{":
        raise Malformed(wire_id, "the payload is not an object")
    return Call(message_id, action, payload, wire_id)


def _numeric_id(wire_id: bytes, strict: bool) -> str:
    """The text of an id that is a JSON number, which only the tolerant reader takes (F-7)."""
    if wire_id == b"null":
        raise Malformed(wire_id, "the message id is null")
    if wire_id[:1] not in b"-0123456789":
        raise Unreadable("the message id is neither a text nor a number")
    if strict:
        raise Malformed(wire_id, "the message id is not a text")
    return wire_id.decode("ascii")


def _read_call_error(elements: list[bytes]) -> CallError:
    code = (_text(elements[2]) if len(elements) > 2 else None) or ErrorCode.GENERIC_ERROR
    description = (_text(elements[3]) if len(elements) > 3 else None) or ""
    details = _value(elements[4]) if len(elements) > 4 else None
    return CallError(_response_id(elements), FOREIGN_CODES.get(code, code), description, {} if details is None else details)


def _response_id(elements: list[bytes]) -> str:
    message_id = _text(elements[1])
    return elements[1].decode("utf-8", "replace") if message_id is None else message_id


def _payload(elements: list[bytes], index: int) -> bytes:
    """The payload at `index`; absent and null count as an empty object (F-3)."""
    payload = elements[index] if len(elements) > index else EMPTY
    return EMPTY if payload == b"null" else payload


def _value(element: bytes) -> Any:
    try:
        return _as_any(element)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _text(element: bytes) -> str | None:
    """The text that the JSON element is, or None where it is something else. Lone surrogates are replaced."""
    if element[:1] != b'"':
        return None
    try:
        value = json.loads(element)
    except ValueError:
        return None
    return value.encode("utf-8", "replace").decode("utf-8") if isinstance(value, str) else None


def _number(element: bytes) -> float | None:
    """A JSON number; a text that looks like one is none (F-9)."""
    value = _value(element) if element[:1] in b"-0123456789" else None
    return value if isinstance(value, int | float) else None


def shown_action(action: str) -> str:
    """An action's name for the log, cut where it can be none."""
    return action if len(action) <= SHOWN_ACTION_LENGTH else f"{action[:SHOWN_ACTION_LENGTH]}…"


def call_frame(message_id: str, action: str, payload: bytes) -> bytes:
    """A CALL of ours: `[2, id, action, payload]`, compact."""
    return b"[2,%b,%b,%b]" % (_encode(message_id), _encode(action), payload)


def call_result_frame(wire_id: bytes, payload: bytes) -> bytes:
    """A CALLRESULT: `[3, id, payload]`."""
    return b"[3,%b,%b]" % (wire_id, payload)


def is_result(frame: bytes) -> bool:
    """Whether a frame of ours is a CALLRESULT."""
    return frame.startswith(b"[3,")


def call_error_frame(wire_id: bytes, code: ErrorCode, description: str = "", details: dict[str, Any] | None = None) -> bytes:
    """A CALLERROR: `[4, id, code, description, details]`; the description is cut to what E-2 allows."""
    return b"[4,%b,%b,%b,%b]" % (
        wire_id,
        _encode(str(code)),
        _encode(description[:DESCRIPTION_LENGTH]),
        _encode(details) if details else EMPTY,
    )
