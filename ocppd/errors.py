"""Every error that crosses a room, in one tree. Knows no room and no I/O.

::

    OcppdError
    ├── StartFailed               the daemon cannot start; its text is the one line an operator reads
    │   └── ConfigurationError    a key of configs.json, named by its path
    ├── StorageUnavailable        records cannot be read or written at the moment
    ├── BusUnavailable            other nodes cannot be reached at the moment
    ├── TooManyFollowers          this node has as many followers of events as it takes
    ├── NotClosable               a transaction that has ended
    ├── Conflict                  what is asked for does not go together with what there is
    ├── NotFound
    │   ├── UnknownCharger
    │   ├── UnknownMessage
    │   └── UnknownTransaction
    ├── Violation                 one breach of the OCPP definition, with the code that names it
    ├── InvalidPayload            a payload for one of our own messages, with all its violations
    └── CallFailed                a call to a charger that ended without a CALLRESULT
        ├── NotConnected          nothing was sent
        ├── HolderUnreachable     nothing was sent: the node that holds the charger cannot be reached
        ├── NotPermitted          the charger's registration forbids it (REQUIREMENTS 2.2)
        ├── QueueFull             nothing was sent
        ├── NotCancellable        it is no longer queued
        ├── CallTimeout           sent; a late answer still completes the message
        ├── CallErrorReceived     the charger answered CALLERROR
        ├── InvalidResponse       the charger's CALLRESULT breaks the definition beyond use
        ├── CallExpired           its time to live ended while it was queued
        ├── CallCancelled         an operator took it back while it was queued
        ├── Disconnected          the connection was lost before the frame was written
        └── OutcomeUnknown        the connection was lost after the frame was written
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Final

#: More would help nobody and let a hostile payload fill the memory.
MAX_VIOLATIONS: Final = 1000


class ErrorCode(StrEnum):
    """The ten CALLERROR codes of OCPP-J 1.6 section 4.2.3, misspellings kept (J-errata 5.1, 5.2)."""

    NOT_IMPLEMENTED = "NotImplemented"
    NOT_SUPPORTED = "NotSupported"
    INTERNAL_ERROR = "InternalError"
    PROTOCOL_ERROR = "ProtocolError"
    SECURITY_ERROR = "SecurityError"
    FORMATION_VIOLATION = "FormationViolation"
    PROPERTY_CONSTRAINT_VIOLATION = "PropertyConstraintViolation"
    OCCURENCE_CONSTRAINT_VIOLATION = "OccurenceConstraintViolation"
    TYPE_CONSTRAINT_VIOLATION = "TypeConstraintViolation"
    GENERIC_ERROR = "GenericError"


class OcppdError(Exception):
    """The root: everything ocppd raises on purpose."""


class StartFailed(OcppdError):
    """The daemon cannot start. `str()` of it is one line that says what to do."""


class ConfigurationError(StartFailed):
    """A key of configs.json is wrong; `path` names it, `expected` says what belongs there."""

    def __init__(self, path: str, expected: str, file: str = "configs.json") -> None:
        super().__init__(f"{file}: {path}: {expected}" if path else f"{file}: {expected}")
        self.path = path
        self.expected = expected
        self.file = file


class StorageUnavailable(OcppdError):
    """The records cannot be reached; the same request may succeed later."""


class BusUnavailable(OcppdError):
    """Other nodes cannot be reached; the same request may succeed later."""


class TooManyFollowers(OcppdError):
    """As many clients follow the events of this node as it takes; another one may have room."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"{limit} clients follow the events of this node already")


class NotClosable(OcppdError):
    """The transaction has been stopped, or closed before."""

    def __init__(self, transaction_id: int, state: str) -> None:
        super().__init__(f"transaction {transaction_id} is {state}")


class Conflict(OcppdError):
    """What is asked for does not go together with what there is; the text says why, and what to do."""


class NotFound(OcppdError):
    """What was asked for is not there."""

    what = "thing"

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no {self.what} {name!r}")
        self.name = name


class UnknownCharger(NotFound):
    """No charger of that name is configured."""

    what = "charger"


class UnknownMessage(NotFound):
    """No message of that id is known."""

    what = "message"


class UnknownTransaction(NotFound):
    """No transaction of that id is known."""

    what = "transaction"


class Violation(OcppdError):
    """One breach of the OCPP definition.

    `code` is the CALLERROR code of REQUIREMENTS 1.7, `pointer` a JSON pointer (RFC 6901) into the payload,
    `reason` a short English text without values.
    """

    def __init__(self, code: ErrorCode, pointer: str, reason: str) -> None:
        super().__init__(f"{pointer or 'payload'}: {reason}")
        self.code = code
        self.pointer = pointer
        self.reason = reason

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Violation) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    @property
    def _key(self) -> tuple[ErrorCode, str, str]:
        return self.code, self.pointer, self.reason


class InvalidPayload(OcppdError):
    """A payload for one of our own messages breaks the OCPP definition; nothing was queued."""

    def __init__(self, action: str, violations: tuple[Violation, ...]) -> None:
        told = violations[:MAX_VIOLATIONS]
        super().__init__(f"{action}: " + "; ".join(map(str, told)))
        self.action = action
        self.violations = told


class CallFailed(OcppdError):
    """A call to a charger ended without a CALLRESULT."""

    def __init__(self, charger: str, message_id: str | None, text: str) -> None:
        super().__init__(text)
        self.charger = charger
        self.message_id = message_id


class NotConnected(CallFailed):
    """The charger is offline and the call does not wait for it."""

    def __init__(self, charger: str, message_id: str | None = None) -> None:
        super().__init__(charger, message_id, f"charger {charger!r} is not connected")


class HolderUnreachable(CallFailed):
    """The charger is connected to another node, which cannot be reached at the moment; nothing was sent."""

    def __init__(self, charger: str, message_id: str | None = None) -> None:
        super().__init__(charger, message_id, f"the node that charger {charger!r} is connected to cannot be reached")


class NotPermitted(CallFailed):
    """The charger's registration does not permit this call (OCPP 1.6 section 4.2); `reason` says why."""

    def __init__(self, charger: str, action: str, reason: str) -> None:
        super().__init__(charger, None, f"{action} may not be sent to {charger!r}: {reason}")
        self.action = action
        self.reason = reason


class QueueFull(CallFailed):
    """The charger's queue holds `limit` calls already."""

    def __init__(self, charger: str, limit: int) -> None:
        super().__init__(charger, None, f"the queue of charger {charger!r} is full ({limit} calls)")
        self.limit = limit


class NotCancellable(CallFailed):
    """The message is no longer queued: `state` says what it is."""

    def __init__(self, charger: str, message_id: str, state: str) -> None:
        super().__init__(charger, message_id, f"message {message_id} is {state}; only what is queued can be cancelled")
        self.state = state


class CallTimeout(CallFailed):
    """No answer came within `timeout_s` seconds after the frame was written; None where that is not known any more."""

    def __init__(self, charger: str, message_id: str, timeout_s: float | None) -> None:
        within = "in time" if timeout_s is None else f"within {timeout_s:g} s"
        super().__init__(charger, message_id, f"charger {charger!r} did not answer {within}")
        self.timeout_s = timeout_s


class CallErrorReceived(CallFailed):
    """The charger answered CALLERROR; `code` is its code, mapped to the names of 1.6 where it has one."""

    def __init__(self, charger: str, message_id: str, code: str, description: str, details: Any) -> None:
        said = f"{code}: {description}" if description else code
        super().__init__(charger, message_id, f"charger {charger!r} answered {said}")
        self.code = code
        self.description = description
        self.details = details


class InvalidResponse(CallFailed):
    """The CALLRESULT of the charger breaks the definition; what it said is kept with the message (REQUIREMENTS E-4)."""

    def __init__(self, charger: str, message_id: str, reason: str) -> None:
        super().__init__(charger, message_id, f"charger {charger!r} answered what is no valid response: {reason}")
        self.reason = reason


class CallExpired(CallFailed):
    """The time to live of the call ended before it could be sent."""

    def __init__(self, charger: str, message_id: str) -> None:
        super().__init__(charger, message_id, f"message {message_id} for {charger!r} expired before it could be sent")


class CallCancelled(CallFailed):
    """The call was cancelled while it was queued; nothing was sent."""

    def __init__(self, charger: str, message_id: str) -> None:
        super().__init__(charger, message_id, f"message {message_id} for {charger!r} was cancelled")


class Disconnected(CallFailed):
    """The connection was lost before the frame was written; the call does not wait for the next one (S-6)."""

    def __init__(self, charger: str, message_id: str) -> None:
        super().__init__(charger, message_id, f"the connection to {charger!r} was lost before {message_id} was sent")


class OutcomeUnknown(CallFailed):
    """The connection was lost after the frame was written: the charger may or may not have acted."""

    def __init__(self, charger: str, message_id: str) -> None:
        super().__init__(charger, message_id, f"the connection to {charger!r} was lost before it answered {message_id}")
