"""Quirks of the simulator: their names, what they do to payloads, the command line."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stderr, redirect_stdout

from twisted.trial.unittest import SynchronousTestCase

from ocppd.simulator.arguments import parse
from ocppd.simulator.options import Options
from ocppd.simulator.quirks import QUIRKS, Quirks, listed

URL = "ws://127.0.0.1:9033/ocppj/1.6"
STOP = b'{"transactionId":5,"meterStop":7,"timestamp":"2026-03-04T05:06:07.250Z","idTag":"TAG"}'


class QuirkTests(SynchronousTestCase):
    """The quirks of one charger."""

    def test_none(self) -> None:
        """A charger without quirks sends its payloads as they are, with ids that are never used again."""
        quirks = Quirks()
        self.assertIs(quirks.rewrite("StopTransaction", STOP), STOP)
        self.assertEqual(len({quirks.new_id() for _ in range(9)}), 9)
        self.assertEqual((quirks.offers, quirks.boots, quirks.password(b"x"), bool(quirks)), (None, True, b"x", False))
        self.assertEqual(quirks.adjusted(Options()), Options())

    def test_several(self) -> None:
        """Quirks add up."""
        quirks = Quirks(("long-stop-tag", "no-zone", "stop-without-meter"))
        sent = json.loads(quirks.rewrite("StopTransaction", STOP))
        self.assertEqual(sent, {"transactionId": 5, "timestamp": "2026-03-04T05:06:07.250", "idTag": "TAG" + "F" * 37})
        self.assertEqual(quirks.last, {"StopTransaction": sent})
        self.assertEqual(json.loads(quirks.rewrite("Heartbeat", b"{}")), {})

    def test_timestamps(self) -> None:
        """Each way to write an instant; all are of the same moment to whoever knows the quirk."""
        for name, text in (
            ("local-time-as-utc", "2026-03-04T07:06:07.250Z"),
            ("short-offset", "2026-03-04T08:06:07.250+03"),
            ("clock-1970", "1970-01-01T05:06:07.250Z"),
        ):
            self.assertEqual(json.loads(Quirks((name,)).rewrite("StopTransaction", STOP))["timestamp"], text)

    def test_the_first_boot_alone(self) -> None:
        """A charger that comes from OCPP 2.0.1 boots as in 1.6 once it was refused."""
        quirks = Quirks(("ocpp-2-payloads",))
        boot = b'{"chargePointVendor":"V","chargePointModel":"M"}'
        self.assertIn("chargingStation", json.loads(quirks.rewrite("BootNotification", boot)))
        self.assertEqual(json.loads(quirks.rewrite("BootNotification", boot)), json.loads(boot))

    def test_ids(self) -> None:
        """Ids that begin anew with each connection, and one for all."""
        quirks = Quirks(("ids-from-one",))
        ids = [quirks.new_id(), quirks.new_id()]
        quirks.opened(None)
        self.assertEqual([*ids, quirks.new_id()], ["1", "2", "1"])
        self.assertEqual({Quirks(("same-message-id",)).new_id() for _ in range(3)}, {"1"})

    def test_of_the_connection(self) -> None:
        """What is offered, what is sent as a password, and how soon it comes back."""
        self.assertEqual(Quirks(("no-subprotocol",)).offers, ())
        self.assertEqual(Quirks(("password-as-hex-text",)).password(b"\x00\xff"), b"00ff")
        self.assertEqual(Quirks(("slow-reconnect",)).adjusted(Options()).backoff_first_s, 360)

    def test_names(self) -> None:
        """A name of none is a KeyError; every quirk says what it is."""
        self.assertRaises(KeyError, Quirks, ("nonsense",))
        for name, quirk in QUIRKS.items():
            self.assertRegex(name, r"^[a-z0-9-]+$")
            self.assertTrue(quirk.what)
        self.assertEqual(len(listed().splitlines()), len(QUIRKS))


class CommandLineTests(SynchronousTestCase):
    """`--quirk`."""

    def test_names_on_the_command_line(self) -> None:
        """Several names are separated by commas."""
        self.assertEqual(parse([URL]).options.quirks, ())
        self.assertEqual(parse([URL, "--quirk", "null-info, no-zone"]).options.quirks, ("null-info", "no-zone"))

    def test_list(self) -> None:
        """`--quirk list` prints them all, without a URL too, and ends with status 0."""
        for arguments in (["--quirk", "list"], [URL, "--quirk=list"]):
            out = io.StringIO()
            with redirect_stdout(out), self.assertRaises(SystemExit) as ended:
                parse(arguments)
            self.assertEqual((ended.exception.code, out.getvalue()), (0, f"{listed()}\n"))

    def test_a_mistake(self) -> None:
        """A name of none is one line with a hint, and status 2."""
        for name, hint in (("nul-info", "did you mean null-info?"), ("", "list prints what there is")):
            told = io.StringIO()
            with redirect_stderr(told), self.assertRaises(SystemExit) as ended:
                parse([URL, "--quirk", name])
            self.assertEqual(ended.exception.code, 2)
            self.assertIn(hint, told.getvalue())
