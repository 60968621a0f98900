"""Request bodies: bounded while they are received, read as JSON. docs/http-api.md and section 2.

Twisted Web hands a request over when its body is there, however large, and keeps it on disk until then. `ApiRequest`
keeps no more than the limit, throws away the rest, and hangs up on a sender who goes on and on. Files go elsewhere as they
come: the root resource is asked for that when the headers are there. Private parts of Twisted for it: `_command` and `_path`
of the channel, which the request is told at its end only.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from io import BytesIO
from typing import Any, Final

from twisted.web.server import Request

from ocppd.errors import InvalidPayload, Violation
from ocppd.net.rest.problems import BodyTooLarge, NotJson, NotJsonType
from ocppd.v16.codec import read_json
from ocppd.v16.validation import Fault

#: The largest payload, a local list of some thousand entries, has about half of it.
MAX_BODY_BYTES: Final = 1024 * 1024
#: A polite sender of a larger body is read to its end, so that it hears 413; beyond this nobody is polite.
MAX_DISCARDED_BYTES: Final = 16 * MAX_BODY_BYTES
JSON_TYPE: Final = "application/json"
CSV_TYPE: Final = "text/csv"
IMPORT_PATH: Final = "/api/v1/id-tags/import"
FILE_TYPE: Final = "application/octet-stream"
FILES_PATH: Final = "/api/v1/files"
#: What else a request may bring. No page of another site can send these without asking first, either: they are none of the
#: three types that a form may have (CORS). So nothing that opens this server to browsers belongs here.
FURTHER_TYPES: Final[Mapping[tuple[bytes, bytes], tuple[str, ...]]] = {
    (b"POST", IMPORT_PATH.encode()): (CSV_TYPE,),
    (b"POST", FILES_PATH.encode()): (FILE_TYPE,),
}


class ApiRequest(Request):
    """A request whose body takes bounded memory, and is never read as a form."""

    def __init__(self, channel: Any, *args: Any, **keywords: Any) -> None:
        super().__init__(channel, *args, **{**keywords, "parsePOSTFormSubmission": False})
        self._received_bytes = 0
        self._kept = BytesIO()
        #: Takes the body in place of memory (`ocppd.net.files.intake.Upload`).
        self.upload: Any = None

    def setResponseCode(self, code: int, message: bytes | None = None) -> None:
        """With the reason phrase of the standard, of which Twisted Web knows some only."""
        super().setResponseCode(code, HTTPStatus(code).phrase.encode() if message is None else message)

    def gotLength(self, length: int | None) -> None:
        """The headers are there; bodies within the limit fit into memory."""
        self.content = self._kept
        channel: Any = self.channel
        receive = getattr(channel.site.resource, "receive", None)
        if receive is not None:
            self.method, self.uri = channel._command, channel._path
            self.path = self.uri.partition(b"?")[0]
            self.upload = receive(self, length)

    def handleContentChunk(self, data: bytes) -> None:
        """Keep what is within the limit, and one byte more, which tells of the rest."""
        if self.upload is not None:
            self.upload.received(data)
            return
        room = MAX_BODY_BYTES + 1 - self._received_bytes
        self._received_bytes += len(data)
        if room > 0:
            self._kept.write(data[:room])
        elif self._received_bytes > MAX_DISCARDED_BYTES:
            self.channel.loseConnection()


def body_of(request: Any) -> bytes:
    """The body of a request. Raises BodyTooLarge, and NotJsonType for a body that is declared as nothing we take here."""
    content = request.content
    content.seek(0)
    body: bytes = content.read(MAX_BODY_BYTES + 1)
    if len(body) > MAX_BODY_BYTES:
        raise BodyTooLarge(MAX_BODY_BYTES)
    if body:
        kinds = [media_type(kind) for kind in request.requestHeaders.getRawHeaders(b"content-type", [])]
        taken = (JSON_TYPE, *FURTHER_TYPES.get((request.method, request.path), ()))
        if len(kinds) != 1 or kinds[0] not in taken:
            raise NotJsonType(taken)
    return body


def media_type(header: bytes) -> str:
    """The media type of a Content-Type header, without its parameters."""
    return header.decode("latin-1").partition(";")[0].strip().lower()


def json_object(action: str, body: bytes) -> dict[str, Any]:
    """The JSON object in a body; an empty body is an empty one.

    Raises NotJson, and InvalidPayload, in the name of `action`, for another JSON value.
    """
    if not body.strip():
        return {}
    value = json_value(body)
    if not isinstance(value, dict):
        raise InvalidPayload(action, (Violation(Fault.NOT_AN_OBJECT.code, "", Fault.NOT_AN_OBJECT.reason),))
    return value


def json_value(body: bytes) -> Any:
    """The JSON value in a body. Raises NotJson."""
    try:
        return read_json(body)
    except Violation as violation:
        raise NotJson(violation.reason) from None
