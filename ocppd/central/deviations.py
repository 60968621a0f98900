"""What a charger may be found to do against the specification: by name, with its rule, its weight, and what to tell its vendor.

REQUIREMENTS 1.5 to 1.7, 2.0, 4.4. A repair of `v16.repairs` is a deviation of the same name. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from ocppd.errors import ErrorCode
from ocppd.v16 import salvage
from ocppd.v16.repairs import BY_NAME


class Severity(StrEnum):
    """How bad it is."""

    #: Messages are lost, or would be lost elsewhere.
    ERROR = "error"
    #: It breaks the specification, and is mended here.
    WARNING = "warning"
    #: It is permitted or harmless, and costs somebody time some day.
    INFO = "info"


@dataclass(frozen=True, slots=True)
class Deviation:
    """A kind of deviation."""

    kind: str
    severity: Severity
    rule: str
    title: str
    #: For a ticket to the vendor: what should be done instead.
    advice: str


_E, _W, _I = Severity.ERROR, Severity.WARNING, Severity.INFO

#: kind, severity, rule, title, advice.
_OTHERS: Final = (
    ("frame-unreadable", _E, "F-10", "a message that is no OCPP-J frame", "Send one JSON array in each text message."),
    ("frame-empty", _W, "F-1", "an empty message", "Send no empty messages; use a WebSocket ping to keep a connection open."),
    ("frame-malformed", _E, "F-11", "a CALL with the wrong elements", "Send [2, id, action, payload], the payload an object."),
    ("frame-type", _W, "F-9", "a message type other than 2, 3 and 4", "OCPP-J 1.6 knows CALL, CALLRESULT and CALLERROR alone."),
    ("message-id-repeated", _I, "F-6", "a CALL that was answered is sent again", "Wait for the answer, and use a fresh id."),
    ("message-id-reused", _W, "F-6", "a message id used again for another CALL", "Message ids must be unique on a connection."),
    ("calls-overlap", _W, "S-4", "a CALL before the last one was answered", "Wait for the answer, or for a timeout."),
    ("stray-answer", _W, "F-8", "an answer to no call", "Answer a call once, with its id."),
    ("answer-invalid", _E, "E-4", "an answer that breaks the schema", "Answer as the schema of the confirmation says."),
    ("answer-mended", _W, "E-4", "an answer that breaks the schema, and can be read", "Answer as the schema says."),
    ("unknown-action", _E, "1.7", "an action that OCPP 1.6 does not know", "Actions are case-sensitive; see OCPP 1.6 section 4."),
    ("wrong-direction", _E, "1.7", "an action that only a central system calls", "Do not call it."),
    ("not-accepted", _W, "2.2", "a message before the registration is accepted", "Send BootNotification and wait for Accepted."),
    ("malformed-payload", _E, "1.7", "a payload that cannot be read", "Send what the schema of the message says."),
    ("missing-member", _E, "1.7", "a required member is missing", "Send all required members."),
    ("wrong-type", _E, "1.7", "a member of the wrong JSON type", "Send the JSON type that the schema names."),
    ("wrong-value", _E, "1.7", "a value that is not allowed", "Send one of the values that the schema allows."),
    ("beyond-the-letter", _W, "1.7", "what the schema forbids and any reader takes", "Keep to the specified limits."),
    ("clock-off", _W, "G-2", "a clock that is wrong by five minutes or more", "Set it by BootNotification and Heartbeat."),
    ("clock-never-set", _W, "T-4", "a timestamp before 2010", "Set the clock before telling of transactions."),
    ("timestamp-unreadable", _E, "G-2", "a timestamp that names no instant", "Send ISO 8601 in UTC: 2026-01-31T12:00:00Z."),
    ("timestamp-without-zone", _W, "G-1", "a timestamp without a time zone", "Send UTC, with Z at the end."),
    ("timestamp-with-offset", _I, "G-1", "a timestamp with an offset from UTC", "Send UTC, with Z at the end."),
    ("vendor-blank", _W, "4.4", "a blank vendor or model in BootNotification", "Say who made it, and which it is."),
    ("text-null", _I, "4.4", 'the text "null" for a member without a value', "Leave the member out."),
    ("boot-while-accepted", _I, "R-3", "a boot though it is accepted", "After a lost connection go on without it."),
    ("id-tag-blank", _W, "G-5", "a blank id tag", "Leave the member out where it is optional."),
    ("transaction-id-impossible", _W, "M-4", "a transaction id that was never given", "Use the id of StartTransaction.conf."),
    ("start-repeated", _I, "T-3", "a start that was answered is sent again", "Take the answer as delivered."),
    ("stop-nameless", _I, "T-22", "a stop of transaction -1", "Repeat the start until it is answered."),
    ("stop-unknown", _W, "T-21", "a stop of a transaction that is not known", "Use the id of StartTransaction.conf."),
    ("stop-repeated", _I, "T-23", "a stop that was answered is sent again", "Take the answer as delivered."),
    ("stop-suspect", _W, "T-23", "a second stop that differs from the first", "Stop a transaction once."),
    ("values-after-stop", _I, "M-5", "meter values after the stop", "Send them before, or in transactionData."),
    ("list-empty", _W, "4.3", "an empty list where an item is required", "Leave the message or the member out."),
    ("value-blank", _W, "M-3", "a sample without a value", "Leave the sample out."),
    ("value-not-a-number", _W, "M-3", "a raw sample that is no decimal number", "Send a decimal number with a point."),
    ("unit-misspelt", _I, "M-6", "a unit that has another name", "Send Celsius; leave the unit of Frequency out."),
    ("phase-odd", _I, "4.4", "a phase that does not go with its measurand", "Currents have L1 to L3, voltages L1-N or L1-L2."),
    ("unknown-vendor", _I, "D-1", "a DataTransfer that nobody here understands", "Send standard messages where there are any."),
    ("subprotocol-missing", _W, "W-3", "no WebSocket subprotocol in the handshake", "Offer ocpp1.6 in Sec-WebSocket-Protocol."),
    ("password-as-hex", _W, "Z-4", "the hex text of the password in place of its bytes", "Decode the AuthorizationKey from hex."),
    ("rate-unit-misspelt", _I, "K-3", "W or A as allowed rate units", "The values are Current and Power."),
    ("profiles-with-blanks", _I, "4.4", "blanks or unknown names in SupportedFeatureProfiles", "Separate names by commas alone."),
    ("probe-failed", _W, "4.4", "no answer when measurands are set", "Answer Rejected to what cannot be measured."),
    ("connector-demanded", _I, "4.4", "remote starts without connectorId are rejected", "connectorId is optional there."),
    ("profile-rejected", _I, "4.4", "a profile of a standard purpose is rejected", "Support all purposes of SmartCharging."),
)  # fmt: skip

#: What is salvaged would have been lost.
_MENDED: Final = {
    name: Deviation(
        name,
        _E if rule.kinds == salvage.KINDS else _W,
        rule.requirement,
        rule.reason,
        "Send what the schema of the message says.",
    )
    for name, rule in BY_NAME.items()
}
_FRAME_REPAIRS: Final = {
    name: Deviation(name, _W, rule, title, "Send what the schema of the message says.")
    for name, rule, title in (
        ("no-payload", "F-3", "null taken as an empty payload"),
        ("duplicate-member", "F-12", "of members with the same name the last was taken"),
    )
}
DEVIATIONS: Final[Mapping[str, Deviation]] = {
    **{other[0]: Deviation(*other) for other in _OTHERS},
    **_MENDED,
    **_FRAME_REPAIRS,
}

#: What a CALLERROR of ours says about the charger.
REFUSED: Final[Mapping[ErrorCode, str]] = {
    ErrorCode.NOT_IMPLEMENTED: "unknown-action",
    ErrorCode.NOT_SUPPORTED: "wrong-direction",
    ErrorCode.SECURITY_ERROR: "not-accepted",
    ErrorCode.OCCURENCE_CONSTRAINT_VIOLATION: "missing-member",
    ErrorCode.TYPE_CONSTRAINT_VIOLATION: "wrong-type",
    ErrorCode.PROPERTY_CONSTRAINT_VIOLATION: "wrong-value",
}


def deviation(kind: str) -> Deviation:
    """What is known of a kind; of one that an older or newer version has named, its name."""
    return DEVIATIONS.get(kind) or Deviation(kind, _I, "", kind, "")
