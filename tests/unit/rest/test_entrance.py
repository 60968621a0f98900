"""What a request is to the rules of access."""

from __future__ import annotations

from typing import Any

from twisted.internet.address import HostnameAddress, IPv4Address, IPv6Address, UNIXAddress
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.test.requesthelper import DummyChannel

from ocppd.net.rest.access import AccessRules, PathClass, refusal
from ocppd.net.rest.body import ApiRequest
from ocppd.net.rest.entrance import caller_of, path_class


class CallerTests(SynchronousTestCase):
    """From a request to its caller."""

    def request(self, address: Any, path: bytes = b"/api/v1/chargers") -> ApiRequest:
        """A request that came from this address."""
        channel = DummyChannel()
        request = ApiRequest(channel, False)
        request.client = address
        request.method, request.path = b"GET", path
        request.requestHeaders.setRawHeaders("host", ["localhost"])
        return request

    def test_peers(self) -> None:
        """TCP peers have an address, Unix sockets none, and what is neither is not taken for local."""
        peers = (
            (IPv4Address("TCP", "127.0.0.1", 1), "127.0.0.1", True),
            (IPv6Address("TCP", "::1", 1), "::1", True),
            (IPv6Address("TCP", "::ffff:192.0.2.1", 1), "::ffff:192.0.2.1", False),
            (UNIXAddress(b"/run/api"), None, True),
            (HostnameAddress(b"localhost", 1), "", False),
            (None, "", False),
        )
        for address, peer, let_in in peers:
            caller = caller_of(self.request(address))
            self.assertEqual(caller.peer, peer)
            self.assertEqual(refusal(AccessRules(), caller) is None, let_in, address)

    def test_headers(self) -> None:
        """Every header is seen, as often as it came, whatever its bytes."""
        request = self.request(UNIXAddress(None))
        request.requestHeaders.addRawHeader(b"via", b"\xff")
        request.requestHeaders.addRawHeader(b"via", b"two")
        self.assertEqual(caller_of(request).header("via"), ["\xff", "two"])

    def test_paths(self) -> None:
        """The class of a path is that of its raw bytes: what is written otherwise gets no favour."""
        paths = {
            b"/healthz": PathClass.HEALTH,
            b"/readyz": PathClass.HEALTH,
            b"/healthz/": PathClass.API,
            b"/%68ealthz": PathClass.API,
            b"//healthz": PathClass.API,
            b"/charger/x/status": PathClass.SEED,
            b"/message/x/status": PathClass.SEED,
            b"/command/x/triggeraction/Heartbeat": PathClass.SEED,
            b"/%63ommand/x/triggeraction/Heartbeat": PathClass.API,
            b"/chargers": PathClass.API,
            b"/api/v1/chargers": PathClass.API,
            b"/": PathClass.API,
        }
        for path, expected in paths.items():
            self.assertIs(path_class(path), expected, path)
