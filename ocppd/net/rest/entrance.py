"""What every request passes before its route: the rules of access, and what no path or body may be. docs/http-api.md."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.web.resource import Resource

from ocppd.net.files.door import STORED, FileDoor, is_file_path
from ocppd.net.files.intake import Intake, Upload
from ocppd.net.identity import is_charger_path
from ocppd.net.rest.access import AccessRules, Caller, PathClass, refusal
from ocppd.net.rest.answers import problem_answer
from ocppd.net.rest.api import Api
from ocppd.net.rest.body import FILE_TYPE, FILES_PATH, body_of, media_type
from ocppd.net.rest.problems import (
    BadRequest,
    BodyTooLarge,
    NoSuchPath,
    RequestError,
    Stopping,
    Unauthorized,
    UnknownMethod,
    UpgradeRequired,
    problem_of,
)
from ocppd.net.rest.short import ShortRoutes

METHODS: Final = frozenset({b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS"})
HEALTH_PATHS: Final = frozenset({b"/healthz", b"/readyz"})
SEED_PATHS: Final = (b"/charger/", b"/message/", b"/command/")
API_PATH: Final = b"/api/"
#: On every answer: nothing is stored on the way, and a browser takes nothing for what it is not.
COMMON_HEADERS: Final = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}

_BROKEN_ESCAPE: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")


def path_class(path: bytes) -> PathClass:
    """What a raw path is to the rules of access, charger paths aside."""
    if path in HEALTH_PATHS:
        return PathClass.HEALTH
    if is_file_path(path):
        return PathClass.FILES
    return PathClass.SEED if path.startswith(SEED_PATHS) else PathClass.API


class Entrance(Resource):
    """The root of the site. `routes` is Klein's resource, which gets what passes."""

    isLeaf = True

    def __init__(self, api: Api, routes: Any, short: ShortRoutes) -> None:
        super().__init__()
        #: What may be answered without it.
        self.short = short
        self._api = api
        self._routes = routes
        self._files = None if api.files is None else FileDoor(api.files)
        self._intake = None if api.files is None else Intake(api.files)
        self._checks: tuple[Callable[[Any], None], ...] = (
            self._charger_path,
            self._caller,
            self._stopping,
            _method,
            _path,
            _body,
        )

    def render(self, request: Any) -> Any:
        """Refuse, or let the routes answer."""
        for name, value in COMMON_HEADERS.items():
            request.setHeader(name, value)
        if self._files is not None and is_file_path(request.path) and self._api.takes_commands():
            return self._files.render(request)
        try:
            for check in self._checks:
                check(request)
        except RequestError as error:
            return _refused(request, error)
        # Klein reads a server name from Host and stumbles over one that is none. No answer depends on it.
        request.requestHeaders.setRawHeaders("host", ["localhost"])
        return self._routes.render(request)

    def receive(self, request: Any, length: int | None) -> Upload | None:
        """The headers of a request are there: whoever takes its body as a file, None for the ordinary way."""
        if self._intake is None or not self._api.takes_commands():
            return None
        if is_file_path(request.path):
            return self._intake.from_charger(request, length) if request.method in STORED else None
        if request.method != b"POST" or request.path != FILES_PATH.encode() or not _is_file(request):
            return None
        if refusal(self._api.access, caller_of(request)) is not None:
            return None  # `render` says so
        return self._intake.from_operator(request, length)

    def _charger_path(self, request: Any) -> None:
        """Chargers come from anywhere, so these paths are no business of the rules of access (HS-13)."""
        ours = path_class(request.path) is not PathClass.API or request.path.startswith(API_PATH)
        if not ours and is_charger_path(request.path.decode("latin-1"), self._api.charger_paths):
            raise UpgradeRequired

    def _stopping(self, request: Any) -> None:
        """A command that is accepted now would be lost with its charger's connection; /readyz says not ready by itself."""
        if not self._api.takes_commands() and path_class(request.path) is not PathClass.HEALTH:
            raise Stopping

    def _caller(self, request: Any) -> None:
        reason = refusal(self._api.access, caller_of(request))
        if reason is not None:
            raise Unauthorized(reason)


def caller_of(request: Any) -> Caller:
    """What the rules of access look at."""
    return Caller(
        peer=_peer(request.getClientAddress()),
        method=request.method.decode("latin-1"),
        path=path_class(request.path),
        secure=bool(request.isSecure()),
        headers=[
            (name.decode("latin-1"), value.decode("latin-1"))
            for name, values in request.requestHeaders.getAllRawHeaders()
            for value in values
        ],
    )


def refusal_of(rules: AccessRules, address: object, method: bytes, uri: bytes, secure: bool, headers: bytes) -> str | None:
    """Why a request of the short way is not answered; None where it is."""
    pairs = [line.decode("latin-1").partition(":")[::2] for line in headers.split(b"\r\n")]
    path = path_class(uri.partition(b"?")[0])
    plain = [(name, value.strip()) for name, value in pairs]
    return refusal(rules, Caller(peer=_peer(address), method=method.decode("latin-1"), path=path, secure=secure, headers=plain))


def _peer(address: object) -> str | None:
    """The peer of a connection: None on a Unix socket, and for what is neither that nor TCP an address of nowhere."""
    if isinstance(address, UNIXAddress):
        return None
    return str(address.host) if isinstance(address, IPv4Address | IPv6Address) else ""


def _method(request: Any) -> None:
    if request.method not in METHODS:
        raise UnknownMethod


def _path(request: Any) -> None:
    """Split first, decode then: a name with a slash has no path (U-2, U-3)."""
    if not request.path.startswith(b"/") or request.path.startswith(b"//"):  # Klein takes // for /
        raise NoSuchPath
    if _BROKEN_ESCAPE.search(request.path):
        raise BadRequest("the path has a percent sign without two hexadecimal digits")
    for segment in request.path.split(b"/"):
        try:
            name = unquote_to_bytes(segment).decode("utf-8")
        except UnicodeDecodeError:
            raise BadRequest("the path is not UTF-8") from None
        if "/" in name:
            raise NoSuchPath


def _body(request: Any) -> None:
    body_of(request)


def _is_file(request: Any) -> bool:
    return media_type(request.getHeader(b"content-type") or b"") == FILE_TYPE


def _refused(request: Any, error: RequestError) -> bytes:
    answer = problem_answer(problem_of(error))
    request.setResponseCode(answer.code)
    for name, value in answer.headers.items():
        request.setHeader(name, value)
    if isinstance(error, BodyTooLarge):
        request.channel.persistent = False
    body: bytes = answer.body
    return body
