"""Answers as Klein writes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

import msgspec
from klein import Response

from ocppd.net.rest.parameters import encode_cursor
from ocppd.net.rest.problems import Problem

T = TypeVar("T")

JSON: Final = "application/json"
PROBLEM_JSON: Final = "application/problem+json"
#: The subtype with a charset, as the seed project's clients know it.
TEXT: Final = "text/plain; charset=utf-8"

MARKDOWN: Final = "text/markdown; charset=utf-8"

_encode = msgspec.json.Encoder(decimal_format="number").encode

Headers = Mapping[str, str]


def _response(status: int, media_type: str, body: bytes, headers: Headers) -> Response:
    whole: dict[Any, Any] = {"Content-Type": media_type, "Content-Length": str(len(body)), **headers}
    return Response(code=status, headers=whole, body=body)


def json_answer(value: Any, status: int = 200, headers: Headers | None = None) -> Response:
    """Compact JSON without trailing newline, members in their order."""
    return _response(status, JSON, _encode(value), headers or {})


def list_answer(items: Sequence[Any], following: str | None) -> Response:
    """A page of a list; `following` is the cursor of the next one, None at the end."""
    return json_answer({"items": items, "next": following})


def page_answer(
    rows: Sequence[T], limit: int, shape: Callable[[T], Any], position: Callable[[T], object], *, cut: bool = False
) -> Response:
    """The first `limit` of `rows`; where there are more, the cursor is the position of the last one shown.

    `cut`: there may be more than `rows`, however few these are.
    """
    shown = rows[:limit]
    following = encode_cursor(str(position(shown[-1]))) if cut or len(rows) > limit else None
    return list_answer([shape(row) for row in shown], following)


def text_answer(text: str, status: int = 200) -> Response:
    """Plain text."""
    return _response(status, TEXT, text.encode(), {})


def markdown_answer(text: str) -> Response:
    """A report for people."""
    return _response(200, MARKDOWN, text.encode(), {})


def problem_answer(problem: Problem, headers: Headers | None = None) -> Response:
    """A problem (RFC 9457)."""
    return _response(problem.status, PROBLEM_JSON, _encode(problem.body), {**problem.headers, **(headers or {})})


def empty_answer(headers: Headers | None = None, status: int = 204) -> Response:
    """204, or 304."""
    whole: dict[Any, Any] = {**(headers or {})}
    return Response(code=status, headers=whole, body=b"")
