"""Who may call while there is no API key: pure decisions. docs/http-api.md.

Whoever can reach the port from this very machine may call, unless something shows that the request is another's: a
proxy that passes it on, a name that was bound to this address (DNS rebinding), a page of another site in a browser.
A Unix socket has no addresses: its peers count as local, because the permissions of its directory guard it.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Final

IPAddress = IPv4Address | IPv6Address

#: Headers that proxies add. A proxy on this machine makes every caller look local.
PROXY_HEADERS: Final = frozenset({"forwarded", "x-real-ip", "via"})
PROXY_PREFIX: Final = "x-forwarded-"
#: What browsers say of requests that the user or the API's own pages make.
OWN_SITE: Final = frozenset({"same-origin", "none"})
READS: Final = frozenset({"GET", "HEAD", "OPTIONS"})

_HOST: Final = re.compile(r"(localhost\.?|\[(?P<v6>[0-9a-f:.]+)\]|(?P<v4>[0-9.]+))(:[0-9]{1,5})?", re.ASCII | re.IGNORECASE)

IPV4_ROUTES: Final = "/proc/net/route"
IPV6_ROUTES: Final = "/proc/net/ipv6_route"
#: A route by way of a gateway (linux/route.h).
RTF_GATEWAY: Final = 0x2


class PathClass(Enum):
    """What a path is to the rules of access."""

    #: Says ok or not and nothing else; for everybody.
    HEALTH = "health"
    #: The chargers' endpoint: chargers come from anywhere.
    CHARGER = "charger"
    #: The file room, where a token in the path is what lets in.
    FILES = "files"
    SEED = "seed"
    API = "api"


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessRules:
    """Who may call. `gateways`: also these addresses, for the seed paths and reads."""

    gateways: frozenset[IPAddress] = frozenset()

    @classmethod
    def from_machine(cls, *, gateway_may_call: bool, read: Callable[[str], str] | None = None) -> AccessRules:
        """The rules of this start; where the gateway may call, its address is read from the kernel's tables once, blocking.

        `read` gives the text of a file below /proc, "" where there is none.
        """
        return cls(gateways=default_gateways(read or _read_table) if gateway_may_call else frozenset())

    def describe(self) -> str:
        """Who may call, in one line for the log."""
        if not self.gateways:
            return "the HTTP API answers this machine only (no API key is configured)"
        names = ", ".join(sorted(map(str, self.gateways)))
        return f"the HTTP API answers this machine, and {names} for reads and the seed paths (no API key is configured)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """What is known of a request. `peer` is None on a Unix socket; `headers` are pairs as they came."""

    peer: str | None
    method: str
    path: PathClass
    secure: bool
    headers: Sequence[tuple[str, str]]

    def header(self, name: str) -> list[str]:
        """The values of a header."""
        return [value for found, value in self.headers if found.lower() == name]


def refusal(rules: AccessRules, caller: Caller) -> str | None:
    """Why this request is not answered, in words for the caller; None where it is."""
    if caller.path in (PathClass.HEALTH, PathClass.CHARGER, PathClass.FILES):
        return None
    for check in _CHECKS:
        reason = check(rules, caller)
        if reason is not None:
            return reason
    return None


def _peer(rules: AccessRules, caller: Caller) -> str | None:
    if caller.peer is None:
        return None
    address = address_of(caller.peer)
    if address is not None and address.is_loopback:
        return None
    if address is None or address not in rules.gateways:
        return "without an API key only this machine may call"
    if caller.path is PathClass.SEED or caller.method in READS:
        return None
    return "without an API key the gateway may only read and use the seed paths"


def address_of(text: str) -> IPAddress | None:
    """An address with IPv4-mapped ones unmapped; None where it is none."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def _proxy(rules: AccessRules, caller: Caller) -> str | None:
    for name, _ in caller.headers:
        if name.lower() in PROXY_HEADERS or name.lower().startswith(PROXY_PREFIX):
            return f"the header {name} shows that a proxy passed this request on, so that its caller is not known"
    return None


def _host(rules: AccessRules, caller: Caller) -> str | None:
    hosts = caller.header("host")
    if len(hosts) != 1:
        return "expected one Host header"
    if not is_own_host(hosts[0]):
        return "the Host header is neither an IP address nor localhost"
    return None


def is_own_host(host: str) -> bool:
    """Whether a Host header names a machine by its address, or as localhost: no DNS server can bind those elsewhere."""
    match = _HOST.fullmatch(host)
    if match is None:
        return False
    try:
        if match["v4"]:
            IPv4Address(match["v4"])
        elif match["v6"]:
            IPv6Address(match["v6"])
    except ValueError:
        return False
    return True


def _origin(rules: AccessRules, caller: Caller) -> str | None:
    own = f"{'https' if caller.secure else 'http'}://{caller.header('host')[0]}"
    if any(origin.lower() != own.lower() for origin in caller.header("origin")):
        return "the Origin header names another site"
    return None


def _fetch_site(rules: AccessRules, caller: Caller) -> str | None:
    if any(site.lower() not in OWN_SITE for site in caller.header("sec-fetch-site")):
        return "the browser says that a page of another site sent this (Sec-Fetch-Site)"
    return None


#: In this order: `_origin` relies on the one Host that `_host` has seen.
_CHECKS: Final[tuple[Callable[[AccessRules, Caller], str | None], ...]] = (_peer, _proxy, _host, _origin, _fetch_site)


# The gateway of a container's network


def _read_table(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii")
    except (OSError, ValueError):
        return ""  # no such protocol here: no gateway


def default_gateways(read: Callable[[str], str]) -> frozenset[IPAddress]:
    """The gateways of the default routes."""
    return frozenset([*_ipv4_gateways(read(IPV4_ROUTES)), *_ipv6_gateways(read(IPV6_ROUTES))])


def _ipv4_gateways(table: str) -> Iterator[IPv4Address]:
    for line in table.splitlines()[1:]:
        match line.split():
            case [_, "00000000", gateway, flags, _, _, _, "00000000", *_] if int(flags, 16) & RTF_GATEWAY:
                yield IPv4Address(int(gateway, 16).to_bytes(4, sys.byteorder))


def _ipv6_gateways(table: str) -> Iterator[IPv6Address]:
    for line in table.splitlines():
        match line.split():
            case [destination, "00", _, _, gateway, _, _, _, flags, *_] if set(destination) == {"0"}:
                if int(flags, 16) & RTF_GATEWAY:
                    yield IPv6Address(int(gateway, 16))
