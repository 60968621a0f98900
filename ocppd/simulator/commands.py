"""The calls of a central system: decoded, answered, refused with the right code. OCPP-J 1.6 section 4.2, REQUIREMENTS 1.7.

Which function answers which action is in the tables of the `commands_…` modules.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from enum import Enum
from typing import Any, Final

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from ocppd.errors import ErrorCode, InvalidPayload, Violation
from ocppd.ocppj.frames import Call, call_error_frame, call_result_frame
from ocppd.simulator import commands_core, commands_more, commands_security, commands_smart_charging
from ocppd.simulator.failures import AnswerError
from ocppd.simulator.machine import Machine
from ocppd.v16 import codec
from ocppd.v16.actions import ACTIONS
from ocppd.v16.types import Message, RegistrationStatus

Command = Callable[[Machine, Any], Message]


class _Silence(Enum):
    SILENCE = "no answer"


#: What an answering function returns so that the call is never answered.
SILENCE: Final = _Silence.SILENCE

#: All 26 actions that a central system calls, DataTransfer among them.
TABLE: dict[str, Command] = {
    **commands_core.COMMANDS,
    **commands_more.COMMANDS,
    **commands_smart_charging.COMMANDS,
    **commands_security.COMMANDS,
}


class Commands:
    """Answers calls; what a script put in place of an answer goes first."""

    log = Logger()

    def __init__(self, charger: Machine) -> None:
        self._charger = charger
        self._overrides: dict[str, Callable[[Any], Any]] = {}

    def override(self, action: str, answer: Callable[[Any], Any] | None) -> None:
        """Answer `action` with `answer`, or again with our own where it is None. Raises KeyError for an unknown action."""
        if action not in TABLE:
            raise KeyError(action)
        if answer is None:
            self._overrides.pop(action, None)
        else:
            self._overrides[action] = answer

    def answer(self, call: Call) -> Deferred[bytes | None]:
        """The frame that answers `call`, None for silence. Never fails."""
        if self._charger.registration is RegistrationStatus.REJECTED and call.action not in self._overrides:
            # Section 4.2: a rejected charger sends nothing until it may boot again.
            return succeed(None)
        try:
            answer = self._confirmation(call)
        except Exception:
            return succeed(self._failed(Failure(), call))
        if inspect.isawaitable(answer):
            waiting: Deferred[Any] = answer if isinstance(answer, Deferred) else Deferred.fromCoroutine(answer)  # type: ignore[arg-type]
            return waiting.addCallback(self._frame, call).addErrback(self._failed, call)
        return succeed(self._frame(answer, call))

    def _confirmation(self, call: Call) -> Any:
        action = ACTIONS.get(call.action)
        if action is None:
            raise AnswerError(ErrorCode.NOT_IMPLEMENTED, "not an action of OCPP 1.6")
        if not action.to_charger:
            raise AnswerError(ErrorCode.NOT_SUPPORTED, "chargers call this, they are not called")
        request, _ = codec.decode(action.request, call.payload, strict=self._charger.options.strict)
        override = self._overrides.get(call.action)
        return override(request) if override is not None else TABLE[call.action](self._charger, request)

    def _frame(self, answer: Any, call: Call) -> bytes | None:
        return None if answer is SILENCE else call_result_frame(call.wire_id, codec.encode(answer))

    def _failed(self, failure: Failure, call: Call) -> bytes | None:
        error: Any = failure.value
        if isinstance(error, AnswerError):
            return call_error_frame(call.wire_id, error.code, error.description, error.details)
        if isinstance(error, Violation):
            self._charger.counts.errors += 1
            self._charger.report(f"{call.action} breaks the definition: {error}")
            return call_error_frame(call.wire_id, error.code, error.reason, {"path": error.pointer})
        if isinstance(error, CancelledError):
            return None
        if not isinstance(error, InvalidPayload):
            self.log.failure("the answer to {action} failed", failure=failure, action=call.action)
        return call_error_frame(call.wire_id, ErrorCode.INTERNAL_ERROR, "the simulator failed")
