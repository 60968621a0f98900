"""What is taken out of frames that are kept or shown. Decision 9 of docs/architecture.md; REQUIREMENTS Z-8, 3.7."""

from __future__ import annotations

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ocppd.central.redaction import HIDDEN_FRAME, changes_secret, redact_answer, redact_call, without_texts
from ocppd.ocppj.frames import CallError, CallResult
from ocppd.v16.core import ChangeConfigurationRequest, ClearCacheRequest

SECRET = "hunter2hunter2"


def call(action: str, payload: Any) -> str:
    return json.dumps([2, "id", action, payload], separators=(",", ":"))


class CallTests(SynchronousTestCase):
    """`redact_call`."""

    def test_authorization_key(self) -> None:
        """The value of AuthorizationKey is hidden, however the key is spelt; the rest stays."""
        for key in ("AuthorizationKey", "authorizationkey", "AUTHORIZATIONKEY", " AuthorizationKey "):
            shown = redact_call("ChangeConfiguration", call("ChangeConfiguration", {"key": key, "value": SECRET}))
            self.assertEqual(json.loads(shown), [2, "id", "ChangeConfiguration", {"key": key, "value": "***"}])

    def test_passwords_of_vendors(self) -> None:
        """Z-8: so is the value of a vendor's key whose name says that it is a password, also in what a charger tells."""
        self.assertNotIn(
            SECRET, redact_call("ChangeConfiguration", call("ChangeConfiguration", {"key": "FTP-Pwd", "value": SECRET}))
        )
        self.assertTrue(changes_secret(ChangeConfigurationRequest(key="WiFi_Pass.Word", value=SECRET)))
        entries = [{"key": name, "readonly": False, "value": SECRET} for name in ("SIM pin", "Wifi_PSK", "x.SECRET")]
        told = json.dumps([3, "id", {"configurationKey": [*entries, {"key": "Colour", "readonly": False, "value": "red"}]}])
        shown = redact_answer("GetConfiguration", told)
        self.assertEqual((shown.count("***"), SECRET in shown, "red" in shown), (3, False, True))

    def test_url_credentials(self) -> None:
        """User and password in a URL are hidden, in each action that carries one; the URL stays readable."""
        url, hidden = f"ftp://user:{SECRET}@host:21/a@b?c=d@e", "ftp://***@host:21/a@b?c=d@e"
        for action, payload, expected in (
            ("GetDiagnostics", {"location": url, "retries": 1}, {"location": hidden, "retries": 1}),
            ("UpdateFirmware", {"location": url}, {"location": hidden}),
            ("GetLog", {"log": {"remoteLocation": url}, "requestId": 1}, {"log": {"remoteLocation": hidden}, "requestId": 1}),
            ("SignedUpdateFirmware", {"firmware": {"location": url}}, {"firmware": {"location": hidden}}),
        ):
            self.assertEqual(json.loads(redact_call(action, call(action, payload)))[3], expected)

    def test_odd_urls(self) -> None:
        """Only an authority's user part is one."""
        for url, shown in (
            (f"https://{SECRET}@host", "https://***@host"),
            (f"https://a@{SECRET}@host/", "https://***@host/"),
            ("https://host/p@th", "https://host/p@th"),
            ("https://host?x=a@b", "https://host?x=a@b"),
            ("https://host#a@b", "https://host#a@b"),
            ("mailto:a@b", "mailto:a@b"),
            ("", ""),
        ):
            frame = call("UpdateFirmware", {"location": url})
            self.assertEqual(json.loads(redact_call("UpdateFirmware", frame))[3], {"location": shown})

    def test_nothing_else_changes(self) -> None:
        """A frame without a secret is the same text, blanks and numbers included."""
        for action, frame in (
            ("ChangeConfiguration", '[2, "id","ChangeConfiguration",{"key":"MeterValueSampleInterval",  "value":"60"}]'),
            ("UpdateFirmware", '[2,"id","UpdateFirmware", {"location":"ftp://host/f", "retries": 1.50}]'),
            ("SetChargingProfile", '[2,"id","SetChargingProfile",{"limit":6.10}]'),
            ("DataTransfer", f'[2,"id","DataTransfer",{{"key":"AuthorizationKey","value":"{SECRET}"}}]'),
        ):
            self.assertIs(redact_call(action, frame), frame)

    def test_hostile_frames(self) -> None:
        """A frame of a charger may be anything: nothing is raised, and what cannot be read is hidden."""
        for payload in ("[1]", "null", '"x"', "{}", '{"key":1,"value":2}', '{"key":["AuthorizationKey"]}', '{"log":[]}'):
            for action in ("ChangeConfiguration", "GetLog", "UpdateFirmware"):
                frame = f'[2,"id","{action}",{payload}]'
                self.assertIs(redact_call(action, frame), frame)
        for payload in ('{"\\ud800":1}', "[" * 10_000 + "]" * 10_000, "{"):
            self.assertEqual(redact_call("GetLog", f'[2,"id","GetLog",{payload}]'), HIDDEN_FRAME)


class AnswerTests(SynchronousTestCase):
    """`redact_answer` and `without_texts`."""

    def test_get_configuration(self) -> None:
        """The value of AuthorizationKey is hidden in GetConfiguration.conf, the other keys stay."""
        keys = [{"key": "authorizationKEY", "readonly": False, "value": SECRET}, {"key": "k", "readonly": True, "value": "v"}]
        shown = redact_answer("GetConfiguration", json.dumps([3, "id", {"configurationKey": keys}]))
        self.assertNotIn(SECRET, shown)
        self.assertEqual(json.loads(shown)[2]["configurationKey"][1], keys[1])

    def test_escaped_key(self) -> None:
        """A key that is written with escapes is the same key."""
        text = f'[3,"id",{{"configurationKey":[{{"key":"\\u0041uthorizationKey","value":"{SECRET}"}}]}}]'
        self.assertNotIn(SECRET, redact_answer("GetConfiguration", text))

    def test_nothing_else_changes(self) -> None:
        """Other answers are the same text; unreadable ones that may hold the secret are hidden."""
        for action, frame in (
            ("GetConfiguration", '[3, "id", {"unknownKey": ["AuthorizationKey"]}]'),
            ("GetConfiguration", '[3,"id",{"configurationKey":[{"key":"AuthorizationKey","readonly":false}]}]'),
            ("GetConfiguration", '[3,"id",{"configurationKey":"AuthorizationKey"}]'),
            ("GetConfiguration", '[3,"id",["AuthorizationKey"]]'),
            ("ClearCache", '[3,"id",{"status": "AuthorizationKey"}]'),
        ):
            self.assertIs(redact_answer(action, frame), frame)
        self.assertEqual(redact_answer("GetConfiguration", '[3,"id",{"AuthorizationKey'), HIDDEN_FRAME)

    def test_answers_to_a_new_secret(self) -> None:
        """Of the answer to a new AuthorizationKey only the status or the code is kept: a charger may repeat the value."""
        self.assertTrue(changes_secret(ChangeConfigurationRequest(key="AUTHORIZATIONKEY", value=SECRET)))
        self.assertFalse(changes_secret(ChangeConfigurationRequest(key="k", value=SECRET)))
        self.assertFalse(changes_secret(ClearCacheRequest()))
        for result in (
            CallResult("id", b'{"status":"Rejected","echo":"%b"}' % SECRET.encode()),
            CallResult("id", b'{"status":"%b"}' % SECRET.encode()),
            CallResult("id", b'["%b"]' % SECRET.encode()),
            CallResult("id", b'{"status":{"a":"%b"}}' % SECRET.encode()),
            CallError("id", "GenericError", SECRET, {"a": SECRET}),
            CallError("id", SECRET, "", {}),
        ):
            self.assertNotIn(SECRET, str(without_texts(result)))
        told = without_texts(CallResult("id", b'{ "status" : "Accepted" }'))
        self.assertEqual(told, CallResult("id", b'{"status":"Accepted"}'))
        refused = CallError("id", "NotSupported", "why", {})
        self.assertEqual(without_texts(refused), CallError("id", "NotSupported", "", {}))
