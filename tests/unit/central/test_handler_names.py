"""Names of handlers, checked at the start. Decision 2 of docs/architecture.md."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ocppd.central.handler_names import called_names, check_names
from ocppd.central.handlers import CentralSystemHandlers
from ocppd.errors import StartFailed
from ocppd.v16.actions import ACTIONS


def with_methods(*names: str) -> type[CentralSystemHandlers]:
    """Handlers with methods of these names."""

    def method(self: Any, *_: Any) -> None:
        """Do nothing."""

    return type("Mine", (CentralSystemHandlers,), dict.fromkeys(names, method))


class HandlerNamesTests(SynchronousTestCase):
    """`check_names`."""

    def test_every_called_name_exists(self) -> None:
        """The base class has a method for each name that is called, and none that is not."""
        public = {name for name in vars(CentralSystemHandlers) if not name.startswith("_")}
        self.assertEqual(public, called_names())
        self.assertEqual(len(called_names()), 14 + 26 + 1)

    def test_called_names_are_silent(self) -> None:
        """Overriding what is called warns of nothing; nor do names that are no handlers."""
        self.assertEqual(check_names(with_methods(*called_names())), ())
        self.assertEqual(check_names(with_methods("helper", "_BootRequestHandler", "__call__", "setUp")), ())

    def test_every_valid_uncalled_name_warns(self) -> None:
        """Each valid name that is never called warns once and says where the message does come to."""
        suffixes = ("RequestHandler", "ResponseHandler")
        uncalled = {f"{action}{suffix}" for action in ACTIONS for suffix in suffixes} - called_names()
        self.assertEqual(len(uncalled), 39 * 2 - 40)
        found = {each.name: each.reason for each in check_names(with_methods(*uncalled))}
        self.assertEqual(set(found), uncalled)
        for name, reason in found.items():
            other = name.replace("Response", "Request") if "Response" in name else name.replace("RequestH", "ResponseH")
            self.assertIn(other, reason)
            self.assertIn(other, called_names())

    def test_the_seeds_own_example(self) -> None:
        """AuthorizeResponseHandler, which the seed's README names, starts with one warning."""
        [warning] = check_names(with_methods("AuthorizeResponseHandler"))
        self.assertEqual(warning.reason, "a central system never sends Authorize; a charger's comes to AuthorizeRequestHandler")

    def test_did_you_mean(self) -> None:
        """A name of no action stops the start and suggests the one that was meant."""
        for wrong, meant in {
            "BootNotificatonRequestHandler": "BootNotificationRequestHandler",
            "bootNotificationRequestHandler": "BootNotificationRequestHandler",
            "HeartBeatRequestHandler": "HeartbeatRequestHandler",
            "StartTransactionsRequestHandler": "StartTransactionRequestHandler",
            "TriggerMessagesResponseHandler": "TriggerMessageResponseHandler",
            "OcppErrorHandler": "OCPPErrorHandler",
        }.items():
            error = self.assertRaises(StartFailed, check_names, with_methods(wrong))
            self.assertIn(f"{wrong} is the name of no OCPP 1.6 action; did you mean {meant}?", str(error))
            self.assertIn("Mine", str(error))

    def test_nothing_alike(self) -> None:
        """A name that is like no other stops the start without a suggestion."""
        error = self.assertRaises(StartFailed, check_names, with_methods("QqqRequestHandler"))
        self.assertNotIn("did you mean", str(error))

    def test_inherited_names_count(self) -> None:
        """A wrong name in a class between is found too."""
        between = with_methods("NothingRequestHandler")
        self.assertRaises(StartFailed, check_names, type("Lower", (between,), {}))
