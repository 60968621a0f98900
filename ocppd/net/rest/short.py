"""Which requests may be answered by the short way, without Twisted Web and Klein: routes that programs ask for often.

`ocppd.net.short_way` reads and writes them. A path of the table has plain segments only, and a head plain headers only, so that
nothing of what the entrance looks for can be in them; who asks is held to the rules of access as ever.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine, Sequence
from io import BytesIO
from typing import Any, Final

from klein import Response
from twisted.python.failure import Failure

from ocppd.net.rest.access import AccessRules, is_own_host
from ocppd.net.rest.body import JSON_TYPE
from ocppd.net.rest.routing import Incoming, Route

#: Headers that decide nothing here; with any other one a request goes the long way.
PLAIN_HEADERS: Final = frozenset({b"accept", b"accept-encoding", b"accept-language", b"user-agent"})
#: Larger bodies go the long way, which bounds them.
LONGEST_BODY: Final = 64 * 1024

Handler = Callable[..., Coroutine[Any, Any, Response]]

_SEGMENT: Final = "[A-Za-z0-9][A-Za-z0-9._~-]*"
_URI: Final = re.compile(rb"[A-Za-z0-9/._~-]+(\?[A-Za-z0-9._~%&=:+,-]*)?")
_VALUE: Final = re.compile(rb"[\t -~]*")
_PARAMETER: Final = re.compile("<([a-z_]+)>")


class PlainHeaders:
    """The headers of a plain request that has a body."""

    @staticmethod
    def getRawHeaders(name: bytes | str, default: Any = None) -> Any:
        """As Twisted Web's; the type of a body that was let in is known."""
        return [JSON_TYPE.encode()] if name in (b"content-type", "content-type") else default

    @staticmethod
    def hasHeader(name: bytes | str) -> bool:
        """As Twisted Web's."""
        return name in (b"content-type", "content-type")


class ShortRequest:
    """A request as far as the routes of the table look at it."""

    __slots__ = ("content", "method", "path", "uri")

    requestHeaders = PlainHeaders

    def __init__(self, method: bytes, uri: bytes, body: bytes) -> None:
        self.method = method
        self.uri = uri
        self.path = uri.partition(b"?")[0]
        self.content = BytesIO(body)


class Found:
    """A route with the segments of a path."""

    __slots__ = ("_handler", "_segments", "number")

    def __init__(self, number: int, handler: Handler, segments: dict[str, str]) -> None:
        #: Which route it is.
        self.number = number
        self._handler = handler
        self._segments = segments

    def answer(self, request: ShortRequest) -> Coroutine[Any, Any, Response]:
        """What the route answers, or raises."""
        return self._handler(request, **self._segments)


class ShortRoutes:
    """The table. `failed` makes an answer of what a handler raises."""

    def __init__(self, api: Any, routes: Sequence[Route], health: Handler, failed: Callable[[Any, Failure], Response]) -> None:
        self.access: AccessRules = api.access
        self.failed = failed
        self._table: dict[bytes, list[tuple[re.Pattern[bytes], int, Handler]]] = {b"GET": [], b"POST": []}
        for number, route in enumerate(routes):
            rule = _PARAMETER.sub(rf"(?P<\1>{_SEGMENT})", route.rule).encode()
            self._table[route.method.encode()].append((re.compile(rule), number, _handler(api, route)))
        self._table[b"GET"].append((re.compile(b"/healthz"), len(routes), health))

    def find(self, method: bytes, uri: bytes) -> Found | None:
        """The route of a request; None where it is not in the table, or is spelt in an unusual way."""
        if _URI.fullmatch(uri) is None:
            return None
        path = uri.partition(b"?")[0]
        for pattern, number, handler in self._table.get(method, ()):
            match = pattern.fullmatch(path)
            if match is not None:
                return Found(number, handler, {name: value.decode() for name, value in match.groupdict().items()})
        return None


def _handler(api: Any, route: Route) -> Handler:
    handler: Any = route.handler

    def handle(request: ShortRequest, **segments: str) -> Any:
        return handler(api, Incoming(request), **segments)

    return handle


def plain_length(method: bytes, headers: bytes) -> int:
    """The length of the body after these headers (0 where they tell none); -1 where any of them is not plain."""
    seen: set[bytes] = set()
    length, kind = 0, b""
    for line in headers.split(b"\r\n"):
        name, colon, value = line.partition(b":")
        name, value = name.lower(), value.strip(b" \t")
        if not colon or name in seen or _VALUE.fullmatch(value) is None:
            return -1
        seen.add(name)
        if name == b"content-length" and value.isdigit() and len(value) < 6:
            length = int(value)
        elif name == b"content-type":
            kind = value.lower()
        elif not (
            name in PLAIN_HEADERS
            or (name == b"connection" and value.lower() == b"keep-alive")
            or (name == b"host" and is_own_host(value.decode("ascii")))
        ):
            return -1
    wrong = b"host" not in seen or length > LONGEST_BODY or (length and (method == b"GET" or kind != JSON_TYPE.encode()))
    return -1 if wrong else length
