"""A vendor's own messages: which method of a user's handlers answers which DataTransfer. REQUIREMENTS D-1, D-2.

    class MyHandlers(CentralSystemHandlers):
        @vendor_message("com.example", "Ping")
        def ping(self, charger, request, answer):
            return structs.replace(answer, data="pong")  # structs of msgspec

Such a method is called and answers as a `DataTransferRequestHandler` does: it is given `answer`, which is Accepted without
data, and returns it, another DataTransferConfirmation, or None for `answer`. A class that also has a
`DataTransferRequestHandler` has that one called last, with what the vendor's method has answered; both share one deadline.
`request.data` is text: JSON in it is text too. Knows no network; OCPP 1.6 sections 4.3, 6.15 and 6.16.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, TypeVar

from msgspec import UNSET
from twisted.internet.defer import Deferred

from ocppd.central.handler_names import ARGUMENTS, ARGUMENTS_OF, called_names
from ocppd.central.handlers import CentralSystemHandlers, Charger
from ocppd.errors import StartFailed
from ocppd.v16.core import DataTransferConfirmation, DataTransferRequest
from ocppd.v16.types import DataTransferStatus

#: Of a vendorId and of a messageId: CiString255Type, CiString50Type (section 6.15). A longer one never comes.
MAX_VENDOR_ID: Final = 255
MAX_MESSAGE_ID: Final = 50
#: Where a method carries what it was declared for.
_DECLARED: Final = "_ocppd_vendor_messages"

Method = TypeVar("Method", bound=Callable[..., Any])
#: A user's method, bound; or what is called in the place of one.
Handler: TypeAlias = Callable[[Charger, DataTransferRequest, DataTransferConfirmation], Any]
#: (vendorId, messageId), ignoring case; None is for whatever has no method of its own.
Key: TypeAlias = tuple[str, str | None]


@dataclass(frozen=True, slots=True)
class _Declared:
    """One use of the decorator."""

    vendor_id: str
    message_id: str | None

    @property
    def key(self) -> Key:
        return self.vendor_id.casefold(), None if self.message_id is None else self.message_id.casefold()

    def __str__(self) -> str:
        shown = "" if self.message_id is None else f", {self.message_id!r}"
        return f"@vendor_message({self.vendor_id!r}{shown})"


def vendor_message(vendor_id: str, message_id: str | None = None) -> Callable[[Method], Method]:
    """The decorated method answers the DataTransfer of this vendor and messageId; case does not count (D-1).

    Without `message_id` it answers every DataTransfer of the vendor that no other method does, those without a messageId
    among them. A method may be decorated several times. A subclass that overrides the method need not repeat it.
    Raises ValueError for an id that no message can have, TypeError for what is no id or no method.
    """
    _check_id("a vendorId", vendor_id, MAX_VENDOR_ID)
    if message_id is not None:
        _check_id("a messageId", message_id, MAX_MESSAGE_ID)

    def declare(method: Method) -> Method:
        function = _function(method)
        if not callable(function):
            raise TypeError(f"vendor_message is for methods, not for {type(method).__name__}")
        setattr(function, _DECLARED, (*_declarations(function), _Declared(vendor_id, message_id)))
        return method

    return declare


def vendor_methods(kind: type[CentralSystemHandlers]) -> dict[Key, str]:
    """The name of the method for each declared (vendorId, messageId), inherited ones included.

    Raises StartFailed where two methods are declared for the same one, or a handler of another use is declared.
    """
    methods: dict[Key, str] = {}
    for name in dir(kind):
        for declared in _declarations_of(kind, name):
            if name in called_names():
                raise _refused(kind, f"{name} is called for other messages; {declared} needs a method of another name")
            other = methods.setdefault(declared.key, name)
            if other != name:
                raise _refused(kind, f"both {other} and {name} are declared for {declared}")
    return methods


def check_vendor_methods(handlers: CentralSystemHandlers) -> None:
    """Raises StartFailed for declarations that contradict each other, and for a method that cannot be called."""
    for name in vendor_methods(type(handlers)).values():
        try:
            inspect.signature(getattr(handlers, name)).bind(*ARGUMENTS)
        except TypeError:
            kind = type(handlers)
            expected = ", ".join(ARGUMENTS_OF[True])
            raise StartFailed(f"{kind.__module__}.{kind.__qualname__}.{name} must take ({expected})") from None
        except ValueError:  # no signature to look at
            continue


class VendorMessages:
    """What the methods of these handlers make of a DataTransfer."""

    def __init__(self, handlers: CentralSystemHandlers) -> None:
        self._methods: dict[Key, Handler] = {key: getattr(handlers, name) for key, name in vendor_methods(type(handlers)).items()}
        self._vendors = frozenset(vendor for vendor, _ in self._methods)

    def __bool__(self) -> bool:
        """Whether any method is declared."""
        return bool(self._methods)

    def answer(self, request: DataTransferRequest) -> DataTransferConfirmation:
        """What is answered where no method decides otherwise: Accepted is only for what has a method (D-1, OCTT TC_064)."""
        if self._method(request) is not None:
            status = DataTransferStatus.ACCEPTED
        elif request.vendor_id.casefold() in self._vendors:
            status = DataTransferStatus.UNKNOWN_MESSAGE_ID
        else:
            status = DataTransferStatus.UNKNOWN_VENDOR_ID
        return DataTransferConfirmation(status=status)

    def before(self, last: Handler | None) -> Handler:
        """A handler that calls the method of the message, then `last` with what that has answered.

        It fails with whatever they raise, and with TypeError where the method returns no DataTransferConfirmation.
        """

        async def handle(charger: Charger, request: DataTransferRequest, answer: DataTransferConfirmation) -> Any:
            method = self._method(request)
            if method is not None:
                answer = _confirmation(method, await _result(method(charger, request, answer)), answer)
            if last is None:
                return answer
            other = await _result(last(charger, request, answer))
            return answer if other is None else other

        return handle

    def _method(self, request: DataTransferRequest) -> Handler | None:
        vendor = request.vendor_id.casefold()
        own = None if request.message_id is UNSET else self._methods.get((vendor, request.message_id.casefold()))
        return self._methods.get((vendor, None)) if own is None else own


async def _result(given: Any) -> Any:
    """What a handler gives that may be plain, a Deferred or a coroutine."""
    return await given if isinstance(given, Deferred) or inspect.iscoroutine(given) else given


def _confirmation(method: Handler, given: Any, answer: DataTransferConfirmation) -> DataTransferConfirmation:
    if given is None:
        return answer
    if type(given) is not DataTransferConfirmation:
        name = getattr(method, "__qualname__", repr(method))
        raise TypeError(f"{name} returned {type(given).__name__}, not DataTransferConfirmation")
    return given


def _check_id(what: str, given: Any, longest: int) -> None:
    if not isinstance(given, str):
        raise TypeError(f'{what} is text, as in @vendor_message("com.example", "Ping"), not {type(given).__name__}')
    if not 1 <= len(given) <= longest:
        raise ValueError(f"{what} has 1 to {longest} characters, not {len(given)}")


def _function(attribute: Any) -> Any:
    """What is beneath @staticmethod and @classmethod."""
    return attribute.__func__ if isinstance(attribute, staticmethod | classmethod) else attribute


def _declarations(function: Any) -> tuple[_Declared, ...]:
    declarations: tuple[_Declared, ...] = inspect.getattr_static(function, _DECLARED, ())
    return declarations


def _declarations_of(kind: type, name: str) -> tuple[_Declared, ...]:
    """What the method of this name was declared for, by the nearest class that declares it; an attribute set to None is none."""
    found = [_function(vars(base)[name]) for base in kind.__mro__ if name in vars(base)]
    if not found or not callable(found[0]):
        return ()
    return next((declared for each in found if (declared := _declarations(each))), ())


def _refused(kind: type, reason: str) -> StartFailed:
    return StartFailed(f"{kind.__module__}.{kind.__qualname__}: {reason}")
