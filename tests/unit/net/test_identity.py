"""Who a charger says it is, and how it proves it. REQUIREMENTS 1.1, 3.2."""

from __future__ import annotations

import base64

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ocppd.net.credentials import matches, origin_of, password_of
from ocppd.net.identity import BadIdentity, NoEndpoint, identity_of, is_charger_path, path_of, plain_address

PATHS = ("/ocppj/1.6", "/ocpp")


class IdentityTests(SynchronousTestCase):
    """`identity_of`."""

    def test_names(self) -> None:
        """The last segment, split off the raw path and decoded once (U-2, U-5, U-7)."""
        for target, name in {
            "/ocppj/1.6/CP1": "CP1",
            "/ocpp/CP1": "CP1",
            "/ocppj/1.6/RDAM%20123": "RDAM 123",
            "/ocppj/1.6/RDAM+123": "RDAM+123",
            "/ocppj/1.6/100%2525": "100%25",
            "/ocppj/1.6/Z%C3%BCrich": "Zürich",
            "/ocppj/1.6/Z\xc3\xbcrich": "Zürich",
            "/ocppj/1.6//CP1//": "CP1",
            "/ocppj/1.6/CP1?x=/y#z": "CP1",
            "/ocppj/1.6/CP1#a?b": "CP1",
            "/ocppj/1.6/CP1;a=b": "CP1;a=b",
            "/ocppj/1.6/a:b@c": "a:b@c",
            "/ocppj/1.6/...": "...",
            "/ocppj/1.6/%2525": "%25",
            "ws://host:9033/ocppj/1.6/CP1": "CP1",
            "http://host/ocpp/CP1?q": "CP1",
            "/ocppj/1.6/" + "x" * 255: "x" * 255,
            "/ocppj/1.6/" + "%C3%BC" * 255: "ü" * 255,
        }.items():
            self.assertEqual(identity_of(target, PATHS), name, target)

    def test_bad_names(self) -> None:
        """What is empty, too long, no UTF-8, or holds control characters is 400 (U-3)."""
        for segment in ("", "/", "%", "%2", "%zz", "%ff", "%C3", "%00", "%0A", "%7F", "%C2%85", "x" * 256, "%ED%A0%80"):
            self.assertRaises(BadIdentity, identity_of, f"/ocppj/1.6/{segment}", PATHS)
        self.assertRaises(BadIdentity, identity_of, "/ocppj/1.6", PATHS)
        self.assertRaises(BadIdentity, identity_of, "/ocppj/1.6/\xff", PATHS)

    def test_no_endpoint(self) -> None:
        """Other paths, more segments, and names that no route can carry are 404 (U-3)."""
        for target in ("/", "", "*", "/ocppj/1.6x/CP1", "/x/CP1", "/ocppj/1.6/a/b", "/ocppj/1.6/..", "/ocppj/1.6/%2E", "/OCPP/C"):
            self.assertRaises(NoEndpoint, identity_of, target, PATHS)
        for segment in ("a%2Fb", "%2F", "a%5Cb", "a\\b", "%2e%2e"):
            self.assertRaises(NoEndpoint, identity_of, f"/ocppj/1.6/{segment}", PATHS)

    def test_charger_paths(self) -> None:
        """A charger path is a path and what is below it, not what merely begins alike."""
        for target, below in {"/ocpp": True, "/ocpp/x/y": True, "/ocpp?x": True, "/ocppx": False, "/api": False}.items():
            self.assertIs(is_charger_path(target, PATHS), below)
        self.assertEqual(path_of("ws://h/a/b?c#d"), "/a/b")

    @given(st.text(st.characters(max_codepoint=255), max_size=60))
    def test_any_target(self, rest: str) -> None:
        """Any target gives a name that a configuration could hold, or one of the two errors."""
        try:
            name = identity_of(f"/ocppj/1.6/{rest}", PATHS)
        except (BadIdentity, NoEndpoint):
            return
        self.assertTrue(1 <= len(name) <= 255)
        self.assertFalse(set(name) & {"/", "\\", "\x00", "\n", "\x7f"} or name in (".", ".."))


def basic(text: bytes, scheme: str = "Basic") -> str:
    return f"{scheme} {base64.b64encode(text).decode()}"


class CredentialTests(SynchronousTestCase):
    """`password_of` and `matches`."""

    def test_passwords(self) -> None:
        """The identity is taken off as a prefix, so that both may hold colons; bytes are bytes (Z-1, Z-2)."""
        for header, name, password in (
            (basic(b"CP1:secret"), "CP1", b"secret"),
            (basic(b"CP1:secret", "basic"), "CP1", b"secret"),
            (f"  {basic(b'CP1:s')}  ", "CP1", b"s"),
            (basic(b"a:b:c:d"), "a:b", b"c:d"),
            (basic(b"CP1:"), "CP1", b""),
            (basic(b"CP1:\x00\xff"), "CP1", b"\x00\xff"),
            (basic("Zürich:p".encode()), "Zürich", b"p"),
            ("Basic QUwxMDAwOgABAgMEBQYH////////////////", "AL1000", bytes(range(8)) + b"\xff" * 12),
        ):
            self.assertEqual(password_of(header, name), password, header)

    def test_no_password(self) -> None:
        """No header, another scheme, no base64, another user: no password, and no exception."""
        for header in (
            None,
            "",
            "Basic",
            "Basic ",
            basic(b"CP1:s", "Bearer"),
            "Basic CP1:secret",
            "Basic Q1AxOnM",
            "Basic Q1Ax On M=",
            "Basic \u20ac",
            basic(b"CP2:s"),
            basic(b"cp1:s"),
            basic(b"CP1"),
            basic(b""),
        ):
            self.assertIsNone(password_of(header, "CP1"), header)

    def test_matching(self) -> None:
        """A tolerant comparison takes the hexadecimal text for the bytes, either way; a strict one does not (Z-4)."""
        key, text = bytes(range(16)), bytes(range(16)).hex().encode()
        for password, expected, tolerant, strict in (
            (b"secret", b"secret", True, True),
            (b"Secret", b"secret", False, False),
            (b"secret ", b"secret", False, False),
            (None, b"secret", False, False),
            (None, b"", False, False),
            (b"", b"secret", False, False),
            (text, key, True, False),
            (text.upper(), key, True, False),
            (key, text, True, False),
            (text[:30], key[:15], False, False),
            (text, text.upper(), True, False),
        ):
            self.assertIs(matches(password, expected, tolerant=True), tolerant, password)
            self.assertIs(matches(password, expected, tolerant=False), strict, password)


class AddressTests(SynchronousTestCase):
    """`plain_address`."""

    def test_addresses(self) -> None:
        """IPv4-mapped addresses are IPv4, scopes are dropped, what is no address stays."""
        for host, shown in {
            "127.0.0.1": "127.0.0.1",
            "::1": "::1",
            "::ffff:192.0.2.7": "192.0.2.7",
            "fe80::1%eth0": "fe80::1",
            "": "",
            "a socket": "a socket",
        }.items():
            self.assertEqual(plain_address(host), shown)


class OriginTests(SynchronousTestCase):
    """`origin_of`."""

    def test_networks(self) -> None:
        """An IPv4 address counts by itself; IPv6 addresses of one network of 64 bits count together (Z-3)."""
        for address, origin in {
            "192.0.2.7": "192.0.2.7",
            "2001:db8:1:2::7": "2001:db8:1:2::",
            "2001:db8:1:2:ffff:ffff:ffff:ffff": "2001:db8:1:2::",
            "2001:db8:1:3::7": "2001:db8:1:3::",
            "::1": "::",
            "": "",
            "somewhere": "somewhere",
        }.items():
            self.assertEqual(origin_of(address), origin)
