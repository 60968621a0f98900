"""Methods declared for vendors' messages: which is found, and what is refused at the start. REQUIREMENTS D-1, D-1b."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET, structs
from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from ocppd.central.handlers import CentralSystemHandlers
from ocppd.central.vendors import VendorMessages, check_vendor_methods, vendor_message, vendor_methods
from ocppd.errors import StartFailed
from ocppd.v16.core import DataTransferConfirmation, DataTransferRequest
from ocppd.v16.types import DataTransferStatus

CHARGER: Any = None


class Example(CentralSystemHandlers):
    """Methods of two vendors, of all kinds."""

    @vendor_message("com.example", "Ping")
    def ping(self, charger: Any, request: Any, answer: Any) -> Any:
        return structs.replace(answer, data=f"{type(self).__name__} ping")

    @vendor_message("com.example")
    def others(self, charger: Any, request: Any, answer: Any) -> Any:
        return succeed(structs.replace(answer, data="others"))

    @vendor_message("no domain", "One")
    @vendor_message("no domain", "Two")
    async def both(self, charger: Any, request: Any, answer: Any) -> Any:
        return DataTransferConfirmation(status=DataTransferStatus.REJECTED)

    @vendor_message("no domain", "Static")
    @staticmethod
    def static(charger: Any, request: Any, answer: Any) -> Any:
        return structs.replace(answer, data="static")

    @classmethod
    @vendor_message("no domain", "Class")
    def of_class(cls, charger: Any, request: Any, answer: Any) -> Any:
        return structs.replace(answer, data=cls.__name__)

    @vendor_message("no domain", "Nothing")
    def nothing(self, charger: Any, request: Any, answer: Any) -> None:
        """Keep the answer."""


def sent(vendor_id: str, message_id: Any = UNSET) -> DataTransferRequest:
    """What a charger asks."""
    return DataTransferRequest(vendor_id=vendor_id, message_id=message_id)


class AnswersTests(SynchronousTestCase):
    """`VendorMessages`."""

    def asked(self, handlers: CentralSystemHandlers, *request: Any, last: Any = None) -> tuple[str, Any]:
        """Status and data of the answer."""
        messages = VendorMessages(handlers)
        handle = messages.before(last)(CHARGER, sent(*request), messages.answer(sent(*request)))
        answer = self.successResultOf(Deferred.fromCoroutine(handle))
        return str(answer.status), answer.data

    def test_by_vendor_and_message_d_1(self) -> None:
        """D-1: the method of both ids answers, else the one of the vendor; plain, with a Deferred or async."""
        for request, expected in (
            (("com.example", "Ping"), ("Accepted", "Example ping")),
            (("com.example", "Pong"), ("Accepted", "others")),
            (("com.example", ""), ("Accepted", "others")),
            (("com.example",), ("Accepted", "others")),
            (("no domain", "One"), ("Rejected", UNSET)),
            (("no domain", "Two"), ("Rejected", UNSET)),
            (("no domain", "Static"), ("Accepted", "static")),
            (("no domain", "Class"), ("Accepted", "Example")),
            (("no domain", "Nothing"), ("Accepted", UNSET)),
        ):
            self.assertEqual(self.asked(Example(), *request), expected, request)

    def test_case_does_not_count_d_1(self) -> None:
        """D-1: vendorId and messageId are compared ignoring case, on either side."""
        self.assertEqual(self.asked(Example(), "COM.Example", "pING"), ("Accepted", "Example ping"))
        self.assertEqual(self.asked(Example(), "NO DOMAIN", "ONE"), ("Rejected", UNSET))

    def test_unknown_d_1(self) -> None:
        """D-1, OCTT TC_064: an unknown vendor, or an unknown message of a known one, is never Accepted and has no data."""
        for request, expected in (
            (("com.other", "Ping"), "UnknownVendorId"),
            (("com.other",), "UnknownVendorId"),
            (("com.example.more", "Ping"), "UnknownVendorId"),
            (("", "Ping"), "UnknownVendorId"),
            (("no domain", "Three"), "UnknownMessageId"),
            (("no domain", ""), "UnknownMessageId"),
            (("no domain",), "UnknownMessageId"),
        ):
            self.assertEqual(self.asked(Example(), *request), (expected, UNSET), request)

    def test_nothing_declared(self) -> None:
        """Where nothing is declared every vendor is unknown (D-1)."""
        self.assertFalse(VendorMessages(CentralSystemHandlers()))
        self.assertEqual(self.asked(CentralSystemHandlers(), "com.example"), ("UnknownVendorId", UNSET))

    def test_the_last_word(self) -> None:
        """Another handler is called last with the answer so far; it may change it, or leave it by None."""
        seen: list[Any] = []

        def keep(_: Any, request: Any, answer: Any) -> None:
            seen.append((request.vendor_id, answer.status, answer.data))

        async def reject(*_: Any) -> Any:
            return DataTransferConfirmation(status=DataTransferStatus.REJECTED)

        self.assertEqual(self.asked(Example(), "com.example", "Ping", last=keep), ("Accepted", "Example ping"))
        self.assertEqual(self.asked(Example(), "com.other", last=keep), ("UnknownVendorId", UNSET))
        self.assertEqual(self.asked(Example(), "com.example", "Ping", last=reject), ("Rejected", UNSET))
        self.assertEqual(seen, [("com.example", "Accepted", "Example ping"), ("com.other", "UnknownVendorId", UNSET)])

    def test_failures(self) -> None:
        """What a method raises, and an answer of a wrong type, are failures; the other handler is not called then."""

        class Wrong(CentralSystemHandlers):
            @vendor_message("v", "raises")
            def raises(self, charger: Any, request: Any, answer: Any) -> Any:
                raise KeyError("x")

            @vendor_message("v", "text")
            def text(self, charger: Any, request: Any, answer: Any) -> Any:
                return "pong"

        for message_id, expected, reason in (("raises", KeyError, "x"), ("text", TypeError, "Wrong.text returned str")):
            called: list[Any] = []
            messages = VendorMessages(Wrong())
            handle = messages.before(lambda *given, to=called: to.append(given))
            request = sent("v", message_id)
            failure = self.failureResultOf(Deferred.fromCoroutine(handle(CHARGER, request, messages.answer(request))), expected)
            self.assertIn(reason, str(failure.value))
            self.assertEqual(called, [])

    def test_inherited(self) -> None:
        """Declarations of base classes count; a method that overrides one answers in its place, None takes it away."""

        class Derived(Example):
            def ping(self, charger: Any, request: Any, answer: Any) -> Any:
                return structs.replace(super().ping(charger, request, answer), status=DataTransferStatus.REJECTED)

            static = None

            @vendor_message("no domain", "New")
            def nothing(self, charger: Any, request: Any, answer: Any) -> None:
                """Declared for another message."""

        self.assertEqual(self.asked(Derived(), "com.example", "Ping"), ("Rejected", "Derived ping"))
        self.assertEqual(self.asked(Derived(), "com.example"), ("Accepted", "others"))
        self.assertEqual(self.asked(Derived(), "no domain", "New"), ("Accepted", UNSET))
        for gone in ("Static", "Nothing"):
            self.assertEqual(self.asked(Derived(), "no domain", gone), ("UnknownMessageId", UNSET))


class DeclarationsTests(SynchronousTestCase):
    """`vendor_message`, `vendor_methods`, `check_vendor_methods`."""

    def test_two_methods_for_one_message(self) -> None:
        """D-1: two methods for the same ids, in whatever case and class, are refused in one line that names them."""

        class Twice(Example):
            @vendor_message("Com.Example", "PING")
            def pong(self, charger: Any, request: Any, answer: Any) -> None:
                """In the way of ping."""

        class All(Example):
            @vendor_message("COM.EXAMPLE")
            def all_of_them(self, charger: Any, request: Any, answer: Any) -> None:
                """In the way of others."""

        for kind, reason in (
            (Twice, "both ping and pong are declared for @vendor_message('Com.Example', 'PING')"),
            (All, "both all_of_them and others are declared for @vendor_message('com.example')"),
        ):
            error = self.assertRaises(StartFailed, check_vendor_methods, kind())
            self.assertEqual(str(error), f"{kind.__module__}.{kind.__qualname__}: {reason}")

    def test_the_same_twice_is_once(self) -> None:
        """A method that is declared twice for the same ids is no contradiction."""
        method = vendor_message("v", "m")(vendor_message("V", "M")(lambda *_: None))
        self.assertEqual(vendor_methods(type("Same", (CentralSystemHandlers,), {"one": method})), {("v", "m"): "one"})

    def test_handlers_of_another_use(self) -> None:
        """A handler that is called by its own name takes no declaration: it would be called twice."""

        class Mixed(CentralSystemHandlers):
            @vendor_message("v")
            def DataTransferRequestHandler(self, charger: Any, request: Any, answer: Any) -> Any:
                return answer

        error = self.assertRaises(StartFailed, vendor_methods, Mixed)
        self.assertIn("DataTransferRequestHandler is called for other messages; @vendor_message('v') needs", str(error))

    def test_signatures(self) -> None:
        """A method that cannot take what it is given is refused."""

        class Narrow(CentralSystemHandlers):
            @vendor_message("v")
            def narrow(self, charger: Any) -> None:
                """Too few."""

        error = self.assertRaises(StartFailed, check_vendor_methods, Narrow())
        self.assertTrue(str(error).endswith("Narrow.narrow must take (self, charger, request, answer)"), str(error))
        check_vendor_methods(Example())

    def test_ids(self) -> None:
        """Ids that no message can have are refused where they are written; a domain name is not asked for (D-1b)."""
        for given in ((), ("",), ("v" * 256,), ("v", ""), ("v", "m" * 51), (5,), ("v", 5)):
            with self.assertRaises((TypeError, ValueError), msg=repr(given)):
                vendor_message(*given)
        vendor_message("v" * 255, "m" * 50)

    def test_what_is_no_method(self) -> None:
        """The decorator without its arguments, and on what is no method, says what it is for."""
        error = self.assertRaises(TypeError, vendor_message, lambda: None)
        self.assertIn('@vendor_message("com.example", "Ping")', str(error))
        error = self.assertRaises(TypeError, vendor_message("v"), property(lambda _: None))
        self.assertEqual(str(error), "vendor_message is for methods, not for property")
