"""What a route is made of, and what its handler is given. The tables of routes are in `seed`, `health` and `v1`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from klein import Response

from ocppd.net.rest.body import body_of, json_object, media_type
from ocppd.net.rest.parameters import Page, Parser, read_query
from ocppd.net.rest.preconditions import Preconditions
from ocppd.net.rest.problems import BadRequest

#: HEAD goes with GET.
READING: Final = ("GET", "HEAD")


@dataclass(frozen=True, slots=True)
class Incoming:
    """A request that was let in. The segments of its path are the handler's further arguments, decoded."""

    request: Any
    #: The id of what it makes, where its sender may repeat it (`Idempotency-Key`).
    reference: str | None = None

    def query(self, known: Mapping[str, Parser] | None = None) -> dict[str, Any]:
        """The query parameters. Raises BadParameters, also for those that `known` does not name."""
        return read_query(self.query_text, known or {})

    @property
    def query_text(self) -> bytes:
        """The query as it came."""
        query: bytes = self.request.uri.partition(b"?")[2]
        return query

    def page(self, known: Mapping[str, Parser]) -> Page:
        """The query parameters of a list. Raises BadParameters."""
        return Page.of(self.query(known))

    def json_object(self, action: str) -> dict[str, Any]:
        """The body. Raises NotJson, and InvalidPayload in the name of `action` for what is no object."""
        return json_object(action, body_of(self.request))

    def refuse_body(self) -> None:
        """Raises BadRequest where there is one: what it asks for beyond the path would not be done."""
        if body_of(self.request).strip() not in (b"", b"{}"):
            raise BadRequest("this path takes no body")

    def header(self, name: str) -> str | None:
        """The last header of that name."""
        value = self.request.requestHeaders.getRawHeaders(name.encode(), [None])[-1]
        return None if value is None else value.decode("latin-1")

    def preconditions(self) -> Preconditions:
        """If-Match and If-None-Match. Raises BadRequest where they cannot be read."""
        return Preconditions.of(self._list("if-match"), self._list("if-none-match"))

    def _list(self, name: str) -> str | None:
        """All headers of that name as one, as lists are."""
        values = self.request.requestHeaders.getRawHeaders(name.encode())
        return None if values is None else b",".join(values).decode("latin-1")

    @property
    def media_type(self) -> str:
        """What the body is declared as, without parameters; empty where it is not."""
        return media_type((self.header("content-type") or "").encode("latin-1"))

    def has_header(self, name: str) -> bool:
        """Whether the request has a header of that name."""
        return bool(self.request.requestHeaders.hasHeader(name))


@dataclass(frozen=True, slots=True)
class Route:
    """`rule` is werkzeug's: `<name>` is one segment. The handler is called as (api, incoming, **segments).

    `tagged`: what it changes has an entity tag, and the handler sees to the request's preconditions.
    """

    method: str
    rule: str
    handler: Callable[..., Awaitable[Response]]
    tagged: bool = False

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods it answers."""
        return READING if self.method == "GET" else (self.method,)
