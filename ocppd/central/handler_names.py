"""Which methods of a user's handlers are called, checked by name at the start (decision 2 of docs/architecture.md)."""

from __future__ import annotations

import difflib
import inspect
from dataclasses import dataclass
from typing import Final

from ocppd.central.handlers import CentralSystemHandlers
from ocppd.errors import StartFailed
from ocppd.v16.actions import ACTIONS, Direction

REQUEST_SUFFIX: Final = "RequestHandler"
RESPONSE_SUFFIX: Final = "ResponseHandler"
ERROR_HANDLER: Final = "OCPPErrorHandler"
#: What each kind of handler is given.
ERROR_ARGUMENTS: Final = ("self", "charger", "request", "error")
ARGUMENTS_OF: Final = {
    True: ("self", "charger", "request", "answer"),
    False: ("self", "charger", "request", "confirmation"),
}
#: As many as a bound method gets.
ARGUMENTS: Final = (None, None, None)


@dataclass(frozen=True, slots=True)
class UncalledHandler:
    """A handler of a valid name that OCPP 1.6 never calls on a central system."""

    name: str
    reason: str


def called_names() -> frozenset[str]:
    """The name of every handler that can be called."""
    requests = {f"{name}{REQUEST_SUFFIX}" for name, action in ACTIONS.items() if action.direction is not Direction.TO_CHARGER}
    responses = {
        f"{name}{RESPONSE_SUFFIX}" for name, action in ACTIONS.items() if action.direction is not Direction.TO_CENTRAL_SYSTEM
    }
    return frozenset(requests | responses | {ERROR_HANDLER})


def is_overridden(handlers: CentralSystemHandlers, name: str) -> bool:
    """Whether a user wrote this handler. Ours need not be called: they give back what they are given."""
    return getattr(type(handlers), name) is not getattr(CentralSystemHandlers, name)


def check_names(handlers: type[CentralSystemHandlers]) -> tuple[UncalledHandler, ...]:
    """The handlers that will never be called. Raises StartFailed with "did you mean" for a name of no action."""
    called = called_names()
    uncalled = []
    for name in sorted(dir(handlers)):
        if name.startswith("_") or name in called or not name.endswith((REQUEST_SUFFIX, RESPONSE_SUFFIX, "ErrorHandler")):
            continue
        uncalled.append(UncalledHandler(name, _why_uncalled(handlers, name, called)))
    return tuple(uncalled)


def check_signatures(handlers: CentralSystemHandlers) -> None:
    """Raises StartFailed for a handler that cannot be called with what it will be given."""
    for name in sorted(called_names()):
        try:
            inspect.signature(getattr(handlers, name)).bind(*ARGUMENTS)
        except TypeError:
            expected = ", ".join(ARGUMENTS_OF[name.endswith(REQUEST_SUFFIX)] if name != ERROR_HANDLER else ERROR_ARGUMENTS)
            kind = type(handlers)
            raise StartFailed(f"{kind.__module__}.{kind.__qualname__}.{name} must take ({expected})") from None
        except ValueError:  # no signature to look at
            continue


def _why_uncalled(handlers: type[CentralSystemHandlers], name: str, called: frozenset[str]) -> str:
    suffix = REQUEST_SUFFIX if name.endswith(REQUEST_SUFFIX) else RESPONSE_SUFFIX
    action = name.removesuffix(suffix)
    if action not in ACTIONS:
        meant = _meant(name, suffix, called)
        hint = f"; did you mean {meant}?" if meant else ""
        raise StartFailed(f"{handlers.__module__}.{handlers.__qualname__}: {name} is the name of no OCPP 1.6 action{hint}")
    if suffix == REQUEST_SUFFIX:
        return f"a charger never sends {action}; the answer to ours comes to {action}{RESPONSE_SUFFIX}"
    return f"a central system never sends {action}; a charger's comes to {action}{REQUEST_SUFFIX}"


def _meant(name: str, suffix: str, called: frozenset[str]) -> str | None:
    """The handler whose action is spelt most alike; the suffix, which all have, does not count."""
    if not name.endswith(suffix):
        suffix = "ErrorHandler"
    candidates = {each.removesuffix(suffix).casefold(): each for each in called if each.endswith(suffix)}
    close = difflib.get_close_matches(name.removesuffix(suffix).casefold(), candidates, n=1)
    return candidates[close[0]] if close else None
