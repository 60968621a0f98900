"""The tokens of our own file room are as secret as passwords in URLs. REQUIREMENTS 3.7."""

from __future__ import annotations

import json

from twisted.trial.unittest import SynchronousTestCase

from ocppd.central.redaction import redact_answer, redact_call, redact_url, without_tokens
from ocppd.net.files.room import PREFIX, TOKEN_BYTES
from ocppd.net.identity import base_url_of

TOKEN = "aZ_-" * 10 + "abc"
URL = f"https://cs.example{PREFIX}{TOKEN}/fw.bin"


class TokenTests(SynchronousTestCase):
    """What is kept and shown of URLs of ours."""

    def test_frames(self) -> None:
        """A token is hidden in the calls that carry it, and in what a charger answers, with escaped slashes, too."""
        for action, payload in (
            ("GetDiagnostics", {"location": URL}),
            ("GetLog", {"log": {"remoteLocation": URL}}),
            ("UpdateFirmware", {"location": URL}),
            ("SignedUpdateFirmware", {"firmware": {"location": URL}}),
        ):
            kept = redact_call(action, json.dumps([2, "i", action, payload]))
            self.assertNotIn(TOKEN, kept)
            self.assertIn("https://cs.example/files/***/fw.bin", kept)
            for text in (URL, URL.replace("/", "\\/")):
                self.assertNotIn(TOKEN, redact_answer(action, f'[4,"i","InternalError","no {text}",{{}}]'))

    def test_urls(self) -> None:
        """Credentials and tokens both; a path of nothing of ours stays."""
        self.assertEqual(redact_url(f"ftp://u:p@h/files/{TOKEN}"), "ftp://***@h/files/***")
        self.assertEqual(redact_url("ftp://h/files/fw.bin"), "ftp://h/files/fw.bin")
        self.assertEqual(without_tokens(f"/files/{TOKEN}/x"), "/files/***/x")
        self.assertEqual(len(TOKEN), (TOKEN_BYTES * 8 + 5) // 6, "as long as tokens are")

    def test_where_a_charger_has_found_us(self) -> None:
        """The Host of a handshake becomes a URL only where it is one."""
        for host, secure, url in (
            ("cs.example:9033", False, "http://cs.example:9033"),
            ("[::1]:9033", True, "https://[::1]:9033"),
            ("", False, None),
            ("a b", False, None),
            ("cs.example/x", False, None),
            ("u@cs.example", False, None),
        ):
            self.assertEqual(base_url_of(host, secure=secure), url)
