"""How talking to a central system can fail, from a charger's side. Knows no I/O.

::

    OcppdError
    ├── LinkFailed
    │   ├── HandshakeRefused     the connection was refused; `status` is the HTTP status where there was one
    │   ├── Offline              there is no connection; nothing was sent
    │   └── LinkLost             the connection went away before the answer came
    ├── NoAnswer                 sent, and not answered in time
    ├── CallRefused              the central system answered CALLERROR
    ├── NotAuthorized            the id tag may not charge here
    └── AnswerError              raised by an answering function: the answer is this CALLERROR
"""

from __future__ import annotations

from typing import Any

from ocppd.errors import ErrorCode, OcppdError


class LinkFailed(OcppdError):
    """The connection does not exist, or does not exist any more."""


class HandshakeRefused(LinkFailed):
    """The central system did not open a WebSocket. `status` is its HTTP status, None where it gave none."""

    def __init__(self, status: int | None, reason: str) -> None:
        super().__init__(f"handshake refused: HTTP {status} {reason}".rstrip() if status else f"handshake failed: {reason}")
        self.status = status
        self.reason = reason


class Offline(LinkFailed):
    """There is no connection; nothing was sent."""

    def __init__(self) -> None:
        super().__init__("not connected")


class LinkLost(LinkFailed):
    """The connection was lost before the answer to `action` came."""

    def __init__(self, action: str) -> None:
        super().__init__(f"the connection was lost before {action} was answered")
        self.action = action


class NoAnswer(OcppdError):
    """The central system did not answer `action` within `timeout_s` seconds."""

    def __init__(self, action: str, timeout_s: float) -> None:
        super().__init__(f"no answer to {action} within {timeout_s:g} s")
        self.action = action
        self.timeout_s = timeout_s


class CallRefused(OcppdError):
    """The central system answered `action` with a CALLERROR."""

    def __init__(self, action: str, code: str, description: str, details: Any) -> None:
        super().__init__(f"{action} was answered {code}" + (f": {description}" if description else ""))
        self.action = action
        self.code = code
        self.description = description
        self.details = details


class NotAuthorized(OcppdError):
    """`id_tag` may not charge here; `status` is the verdict, None where nobody could be asked."""

    def __init__(self, id_tag: str, status: str | None) -> None:
        super().__init__(f"id tag {id_tag!r} may not charge: {status or 'unknown while offline'}")
        self.id_tag = id_tag
        self.status = status


class AnswerError(OcppdError):
    """Answer the call that is being handled with this CALLERROR (OCPP-J 1.6 section 4.2.3)."""

    def __init__(self, code: ErrorCode, description: str = "", details: dict[str, Any] | None = None) -> None:
        super().__init__(f"{code}: {description}")
        self.code = code
        self.description = description
        self.details = details
