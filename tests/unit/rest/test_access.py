"""Who may call without an API key. docs/http-api.md."""

from __future__ import annotations

import sys
from dataclasses import replace
from ipaddress import ip_address

from twisted.trial.unittest import SynchronousTestCase

from ocppd.net.rest.access import (
    IPV4_ROUTES,
    IPV6_ROUTES,
    AccessRules,
    Caller,
    PathClass,
    default_gateways,
    is_own_host,
    refusal,
)

RULES = AccessRules()
GATEWAY = AccessRules(gateways=frozenset({ip_address("172.17.0.1"), ip_address("fe80::1")}))
LOCAL = Caller(peer="127.0.0.1", method="GET", path=PathClass.API, secure=False, headers=(("Host", "localhost:9033"),))


def with_headers(*headers: tuple[str, str]) -> Caller:
    """A local caller with further headers."""
    return replace(LOCAL, headers=(*LOCAL.headers, *headers))


class PeerTests(SynchronousTestCase):
    """Where a request comes from."""

    def test_this_machine(self) -> None:
        """Loopback addresses of both kinds, IPv4-mapped ones, and Unix sockets are this machine."""
        for peer in ("127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", None):
            self.assertIsNone(refusal(RULES, replace(LOCAL, peer=peer)), peer)

    def test_other_machines(self) -> None:
        """No other address may call, whatever it looks like."""
        for peer in (
            "192.0.2.1",
            "172.17.0.1",
            "10.0.0.1",
            "::ffff:192.0.2.1",
            "2001:db8::1",
            "fe80::1",
            "0.0.0.0",
            "::",
            "x",
            "",
        ):
            reason = refusal(RULES, replace(LOCAL, peer=peer))
            self.assertIsNotNone(reason, peer)

    def test_the_gateway(self) -> None:
        """Where it is let in, the gateway may read and use the seed paths, and nothing else."""
        allowed = {
            ("GET", PathClass.API): True,
            ("HEAD", PathClass.API): True,
            ("OPTIONS", PathClass.API): True,
            ("POST", PathClass.API): False,
            ("DELETE", PathClass.API): False,
            ("get", PathClass.API): False,
            ("GET", PathClass.SEED): True,
            ("POST", PathClass.SEED): True,
        }
        for peer in ("172.17.0.1", "::ffff:172.17.0.1", "fe80::1"):
            for (method, path), expected in allowed.items():
                caller = replace(LOCAL, peer=peer, method=method, path=path)
                self.assertEqual(refusal(GATEWAY, caller) is None, expected, (peer, method, path))

    def test_the_gateway_alone(self) -> None:
        """Its neighbours may not, and for the gateway itself all other rules hold."""
        self.assertIsNotNone(refusal(GATEWAY, replace(LOCAL, peer="172.17.0.2")))
        self.assertIsNotNone(refusal(GATEWAY, replace(with_headers(("Via", "x")), peer="172.17.0.1")))
        self.assertIsNotNone(refusal(GATEWAY, replace(LOCAL, peer="172.17.0.1", headers=(("Host", "example.org"),))))

    def test_open_paths(self) -> None:
        """Health is for everybody, and chargers come from anywhere."""
        stranger = Caller(peer="192.0.2.1", method="GET", path=PathClass.HEALTH, secure=False, headers=(("Via", "x"),))
        self.assertIsNone(refusal(RULES, stranger))
        self.assertIsNone(refusal(RULES, replace(stranger, path=PathClass.CHARGER)))
        self.assertIsNotNone(refusal(RULES, replace(stranger, path=PathClass.SEED)))


class HeaderTests(SynchronousTestCase):
    """What shows that a local request is another's."""

    def test_proxies(self) -> None:
        """A header that a proxy adds is refused, in whatever case, even an empty one, and is named."""
        for name in (
            "Forwarded",
            "X-Forwarded-For",
            "X-Forwarded-Host",
            "X-Forwarded-Proto",
            "x-forwarded-anything",
            "X-Real-IP",
            "x-real-ip",
            "Via",
            "VIA",
        ):
            for value in ("127.0.0.1", ""):
                self.assertIn(name, refusal(RULES, with_headers((name, value))) or "", name)

    def test_hosts(self) -> None:
        """A Host is an IP literal or localhost, with or without port; any other name may be bound to this address."""
        hosts = {
            "localhost": True,
            "LOCALHOST:9033": True,
            "localhost.": True,
            "localhost.:9033": True,
            "127.0.0.1": True,
            "127.0.0.1:9033": True,
            "192.0.2.1:80": True,
            "[::1]": True,
            "[::1]:9033": True,
            "[2001:db8::1]": True,
            "": False,
            "localhost:": False,
            "localhost:x": False,
            "localhost:9033:1": False,
            "localhost..": False,
            "localhost.example.org": False,
            "example.org": False,
            "example.org.": False,
            "127.0.0.1.example.org": False,
            "127.0.0.1.": False,
            "127.1": False,
            "0x7f000001": False,
            "2130706433": False,
            "::1": False,
            "[::1": False,
            "[::1]x": False,
            "[::1]:": False,
            "[127.0.0.1]": False,
            "user@localhost": False,
            "localhost, localhost": False,
            "localhost\u0660": False,
            "localhost:\u0669": False,
        }
        for host, expected in hosts.items():
            self.assertEqual(is_own_host(host), expected, host)
            self.assertEqual(refusal(RULES, replace(LOCAL, headers=(("host", host),))) is None, expected, host)

    def test_number_of_hosts(self) -> None:
        """Without a Host, and with two of them, nobody knows which it is."""
        self.assertIsNotNone(refusal(RULES, replace(LOCAL, headers=())))
        self.assertIsNotNone(refusal(RULES, with_headers(("Host", "localhost:9033"))))

    def test_origins(self) -> None:
        """An Origin is that of the API itself: scheme, host and port."""
        origins = {
            "http://localhost:9033": True,
            "http://LocalHost:9033": True,
            "https://localhost:9033": False,
            "http://localhost": False,
            "http://localhost:3000": False,
            "http://127.0.0.1:9033": False,
            "http://example.org": False,
            "null": False,
            "": False,
        }
        for origin, expected in origins.items():
            self.assertEqual(refusal(RULES, with_headers(("Origin", origin))) is None, expected, origin)
        secure = replace(with_headers(("Origin", "https://localhost:9033")), secure=True)
        self.assertIsNone(refusal(RULES, secure))
        twice = with_headers(("Origin", "http://localhost:9033"), ("Origin", "http://example.org"))
        self.assertIsNotNone(refusal(RULES, twice))

    def test_fetch_sites(self) -> None:
        """A browser says what it sends for whom: for its user and for the API's own pages is fine."""
        sites = {"same-origin": True, "none": True, "same-site": False, "cross-site": False, "": False, "other": False}
        for site, expected in sites.items():
            self.assertEqual(refusal(RULES, with_headers(("Sec-Fetch-Site", site))) is None, expected, site)


ROUTES = """\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t{gateway}\t0003\t0\t0\t0\t00000000\t0\t0\t0
eth0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0
eth0\t00000000\t{gateway}\t0003\t0\t0\t0\t000000FF\t0\t0\t0
"""
NONE6 = "0" * 32
ROUTES6 = f"""\
{NONE6} 00 {NONE6} 00 fe800000000000000000000000000001 00000400 0 0 00000003 eth0
20010db8000000000000000000000000 40 {NONE6} 00 20010db8000000000000000000000009 00000100 0 0 00000003 eth0
{NONE6} 00 {NONE6} 00 {NONE6} ffffffff 1 1 00200200 lo
"""


class GatewayTests(SynchronousTestCase):
    """The kernel's tables."""

    def test_default_gateways(self) -> None:
        """The gateways of the default routes are found, and those of other routes are not."""
        gateway = int.from_bytes(ip_address("172.17.0.1").packed, sys.byteorder)
        tables = {IPV4_ROUTES: ROUTES.format(gateway=f"{gateway:08X}"), IPV6_ROUTES: ROUTES6}
        self.assertEqual(default_gateways(tables.__getitem__), {ip_address("172.17.0.1"), ip_address("fe80::1")})

    def test_no_network(self) -> None:
        """Without tables, or with empty ones, there is no gateway."""
        self.assertEqual(default_gateways(lambda _: ""), frozenset())
        self.assertEqual(default_gateways(lambda _: "Iface\n"), frozenset())

    def test_rules_of_a_start(self) -> None:
        """The tables are read only where the gateway may call; the log is told who may."""
        read: list[str] = []

        def reading(path: str) -> str:
            read.append(path)
            return ROUTES6 if path == IPV6_ROUTES else ""

        closed = AccessRules.from_machine(gateway_may_call=False, read=reading)
        self.assertEqual((closed, read), (RULES, []))
        opened = AccessRules.from_machine(gateway_may_call=True, read=reading)
        self.assertEqual(opened.gateways, {ip_address("fe80::1")})
        self.assertIn("this machine only", closed.describe())
        self.assertIn("fe80::1", opened.describe())

    def test_real_tables(self) -> None:
        """The tables of this machine can be read, whatever they say."""
        rules = AccessRules.from_machine(gateway_may_call=True)
        self.assertNotIn(ip_address("0.0.0.0"), rules.gateways)
