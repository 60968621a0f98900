"""What `--redis` names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ocppd.bus.redis_url import Address, RedisUrl, parse_redis_url
from ocppd.errors import StartFailed

#: Stands where a secret may be, in every URL that cannot be read.
SECRET = "xyzzy"

READABLE: dict[str, dict[str, Any]] = {
    "redis://host": {},
    "redis://host/": {},
    "redis://host/0": {},
    "redis://host:6379/15": {"database": 15},
    "redis://host:1": {"addresses": (Address("host", 1),)},
    "redis://192.0.2.1:65535": {"addresses": (Address("192.0.2.1", 65535),)},
    "redis://[::1]": {"addresses": (Address("::1", 6379),)},
    "redis://[2001:db8::192.0.2.1]:7000/2": {"addresses": (Address("2001:db8::192.0.2.1", 7000),), "database": 2},
    "redis://:sesame@host": {"password": "sesame"},
    "redis://user:sesame@host": {"user": "user", "password": "sesame"},
    "redis://:@host": {},
    "redis://@host": {},
    "redis://:a%2Fb%3Fc%40d%23e%25f%3Ag@host": {"password": "a/b?c@d#e%f:g"},
    "redis://us%3Aer:p:q@host": {"user": "us:er", "password": "p:q"},
    "redis://:p@q@host": {"password": "p@q"},
    "redis://:p#q+r%20s@host": {"password": "p#q+r s"},
    "redis://:%C3%BC%F0%9F%94%8C@host": {"password": "ü🔌"},
    "rediss://host": {"tls": True},
    "rediss://host?ca=/a%20b/c+d.pem": {"tls": True, "ca": Path("/a b/c+d.pem")},
    "rediss://host/1?cert=c.pem&key=k.pem": {"tls": True, "database": 1, "cert": Path("c.pem"), "key": Path("k.pem")},
}

SENTINELS: dict[str, dict[str, Any]] = {
    "redis+sentinel://host?service=main": {},
    "redis+sentinel://host/?service=main": {},
    "redis+sentinel://a,b:1,[::1],[::2]:3/4?service=main": {
        "addresses": (Address("a", 26379), Address("b", 1), Address("::1", 26379), Address("::2", 3)),
        "database": 4,
    },
    "redis+sentinel://:sesame@host?sentinel_password=hu%26sh&service=main": {"password": "sesame", "sentinel_password": "hu&sh"},
    "redis+sentinel://user:sesame@host?service=main": {"user": "user", "password": "sesame"},
    "rediss+sentinel://host?service=main&ca=ca.pem": {"tls": True, "ca": Path("ca.pem")},
}

UNREADABLE = {
    "http://:xyzzy@host": "this is no URL of Redis",
    "redis:xyzzy": "this is no URL of Redis",
    "REDIS://:xyzzy@host": "this is no URL of Redis",
    "redis://": "its host and port cannot be read",
    "redis://:xyzzy@": "its host and port cannot be read",
    "redis://xyzzy@host": "the user has no password",
    "redis://host:0": "its host and port cannot be read",
    "redis://host:65536": "its host and port cannot be read",
    "redis://host:xyzzy": "its host and port cannot be read",
    "redis://::1": "its host and port cannot be read",
    "redis://[::1": "its host and port cannot be read",
    "redis://[host]": "its host and port cannot be read",
    "redis://ho st": "its host and port cannot be read",
    "redis://:xy/zzy@host": "its host and port cannot be read",
    "redis://:6/xyzzy@host": "its host and port cannot be read",
    "redis://user:6/xyzzy@host": "what follows the host is no number",
    "redis://:xyzzy?@host": "not known",
    "redis://host/xyzzy": "what follows the host is no number",
    "redis://host/-1": "what follows the host is no number",
    "redis://host/1/2": "what follows the host is no number",
    "redis://host/123456": "what follows the host is no number",
    "redis://:%ff%fexyzzy@host": "percent sign",
    "redis://a,b": "several hosts are those of sentinels",
    "redis://host?ca=/xyzzy.pem": "those of TLS need rediss://",
    "redis://host?xyzzy=1": "not known",
    "redis://host?service=main": "not known",
    "rediss://host?ca=": "has no value",
    "rediss://host?ca": "has no value",
    "rediss://host?ca=a&ca=b": "stands there twice",
    "rediss://host?cert=a": "a certificate needs its key",
    "rediss://host?key=a": "a certificate needs its key",
    "redis+sentinel://host": "the name by which the sentinels know the service is missing",
    "redis+sentinel://host?service=": "has no value",
    "redis+sentinel://host,?service=main": "its host and port cannot be read",
    "redis+sentinel://host?service=main&ca=a": "not known",
}


class RedisUrlTests(SynchronousTestCase):
    """Tests for `parse_redis_url`."""

    def test_servers(self) -> None:
        """A server has a host, and may have a port, a database, a user, a password and files of TLS."""
        for url, members in READABLE.items():
            expected = RedisUrl(**{"addresses": (Address("host", 6379),)} | members)
            self.assertEqual(parse_redis_url(url), expected, url)

    def test_sentinels(self) -> None:
        """Sentinels are several hosts, which know the master by a name."""
        for url, members in SENTINELS.items():
            expected = RedisUrl(**{"addresses": (Address("host", 26379),), "service": "main"} | members)
            self.assertEqual(parse_redis_url(url), expected, url)

    def test_what_cannot_be_read(self) -> None:
        """What cannot be read is told in one line that says what to write, and shows nothing of the URL."""
        for url, reason in UNREADABLE.items():
            error = self.assertRaises(StartFailed, parse_redis_url, url)
            self.assertIn(reason, str(error), url)
            self.assertNotIn(SECRET, str(error))
            self.assertNotIn("\n", str(error))
            self.assertTrue(str(error).startswith("--redis: "))

    def test_secrets_are_not_shown(self) -> None:
        """A representation of the URL shows no password."""
        url = parse_redis_url(f"redis+sentinel://user:{SECRET}@host?service=main&sentinel_password={SECRET}")
        self.assertNotIn(SECRET, repr(url))

    def test_addresses_as_text(self) -> None:
        """An address is written as URLs write it."""
        self.assertEqual([str(Address("host", 1)), str(Address("::1", 2))], ["host:1", "[::1]:2"])
