"""What `--redis` names: one server, or the sentinels that know it. Pure; no error shows any part of the URL, which has secrets.

::

    redis://[[user]:password@]host[:6379][/database]
    redis+sentinel://[[user]:password@]host[:26379][,host…][/database]?service=name[&sentinel_password=…]

`rediss` instead of `redis` is TLS, with `ca=`, or `cert=` and `key=`, files in PEM, as further parameters.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NoReturn
from urllib.parse import unquote

from ocppd.errors import StartFailed

REDIS_PORT: Final = 6379
SENTINEL_PORT: Final = 26379
HIGHEST_PORT: Final = 65535
#: More digits than any server has databases.
DATABASE_DIGITS: Final = 5

EXAMPLE: Final = "redis://:password@host:6379/0"
SENTINEL_EXAMPLE: Final = "redis+sentinel://:password@host:26379,host:26379/0?service=name"

_SCHEME = re.compile(r"redis(?P<tls>s?)(?P<sentinel>(?:\+sentinel)?)://(?P<rest>.*)", re.DOTALL)
_HOST = re.compile(r"(?:\[(?P<ipv6>[0-9A-Fa-f:.]+)\]|(?P<host>[^\s\[\]:,]+))(?::(?P<port>\d{1,5}))?")
_DATABASE = re.compile(rf"/?|/(?P<number>\d{{1,{DATABASE_DIGITS}}})")


@dataclass(frozen=True, slots=True)
class Address:
    """A host, by name or by number, and its port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisUrl:
    """Where the server is and how it is talked to. Without `service` there is one address, with it they are sentinels'."""

    addresses: tuple[Address, ...]
    database: int = 0
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: bool = False
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    service: str | None = None
    sentinel_password: str | None = field(default=None, repr=False)


def parse_redis_url(url: str) -> RedisUrl:
    """Read the URL. Raises StartFailed."""
    match = _SCHEME.fullmatch(url)
    if match is None:
        _fail("this is no URL of Redis", f"{EXAMPLE}, or rediss:// for TLS, or {SENTINEL_EXAMPLE}")
    tls, sentinel = bool(match["tls"]), bool(match["sentinel"])
    place, _, query = match["rest"].partition("?")
    authority, slash, path = place.partition("/")
    credentials, at, hosts = authority.rpartition("@")
    parameters = _parameters(query, tls=tls, sentinel=sentinel)
    user, password = _credentials(credentials) if at else (None, None)
    return RedisUrl(
        addresses=_addresses(hosts, sentinel=sentinel),
        database=_database(slash + path),
        user=user,
        password=password,
        tls=tls,
        service=parameters.get("service"),
        sentinel_password=parameters.get("sentinel_password"),
        **{name: Path(parameters[name]) for name in ("ca", "cert", "key") if name in parameters},
    )


def _fail(what: str, instead: str) -> NoReturn:
    raise StartFailed(f"--redis: {what}; write {instead}")


def _text(quoted: str) -> str:
    try:
        return unquote(quoted, errors="strict")
    except UnicodeDecodeError:
        _fail("a percent sign stands before what is not UTF-8", "a percent sign of the password as %25")


def _credentials(text: str) -> tuple[str | None, str | None]:
    user, _, password = text.partition(":")
    if user and not password:
        _fail("the user has no password", "redis://user:password@host:6379/0")
    return _text(user) or None, _text(password) or None


def _addresses(text: str, *, sentinel: bool) -> tuple[Address, ...]:
    if "," in text and not sentinel:
        _fail("several hosts are those of sentinels", SENTINEL_EXAMPLE)
    return tuple(_address(host, SENTINEL_PORT if sentinel else REDIS_PORT) for host in text.split(","))


def _address(text: str, default_port: int) -> Address:
    match = _HOST.fullmatch(text)
    port = int(match["port"] or default_port) if match else 0
    if match is None or not 0 < port <= HIGHEST_PORT:
        hint = "with the characters / ? @ # % , : and [ ] of a password as %2F %3F %40 %23 %25 %2C %3A and %5B %5D"
        _fail("its host and port cannot be read", f"{EXAMPLE}, an IPv6 address in brackets, {hint}")
    return Address(match["ipv6"] or match["host"], port)


def _database(path: str) -> int:
    match = _DATABASE.fullmatch(path)
    if match is None:
        _fail("what follows the host is no number of a database", f"{EXAMPLE}, with a / of the password as %2F")
    return int(match["number"] or 0)


def _parameters(query: str, *, tls: bool, sentinel: bool) -> Mapping[str, str]:
    known = (["ca", "cert", "key"] if tls else []) + (["service", "sentinel_password"] if sentinel else [])
    found: dict[str, str] = {}
    for part in query.split("&") if query else ():
        name, _, value = part.partition("=")
        if name not in known or name in found or not value:
            names = ", ".join(f"{name}=" for name in known) or "none; those of TLS need rediss://"
            _fail("one of its parameters is not known, has no value or stands there twice", f"of these once each: {names}")
        found[name] = _text(value)
    if ("cert" in found) != ("key" in found):
        _fail("a certificate needs its key, and a key its certificate", "cert=/path.pem&key=/path.pem")
    if sentinel and "service" not in found:
        _fail("the name by which the sentinels know the service is missing", SENTINEL_EXAMPLE)
    return found
