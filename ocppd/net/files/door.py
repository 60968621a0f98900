"""`/files/…`: where chargers send and fetch. It needs no API key: a token is one. docs/http-api.md.

What follows the token in the path is a name for the file, because a location is a directory to chargers (2.4 GetDiagnostics).
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.server import NOT_DONE_YET

from ocppd.clock import now_ms
from ocppd.errors import OcppdError
from ocppd.net.files.errors import NoFile, RoomBusy, TokenSpent, UnknownToken
from ocppd.net.files.intake import FETCHING, SENDING
from ocppd.net.files.room import PREFIX, FileRoom, digest_of, token_of
from ocppd.net.files.serving import Sent
from ocppd.net.rest.problems import BodyTooLarge, InternalError, NoSuchMethod, is_known, problem_of
from ocppd.storage.records.files import Permit

log = Logger()

#: The answer to a file that has come: 201 is what WebDAV says to PUT, 200 what forms are used to.
STORED: Final = {b"PUT": 201, b"POST": 200}

#: Jobs that are told of their download once; one that is forgotten may be told again.
TOLD_KEPT: Final = 10_000


def is_file_path(path: bytes) -> bool:
    """Whether a raw path is of the file room."""
    return path.startswith(PREFIX.encode())


class FileDoor:
    """Answers requests below /files/."""

    def __init__(self, room: FileRoom) -> None:
        self._room = room
        #: Tokens whose file was fetched to its end, so that the job is told once; the last ones.
        self._told: OrderedDict[str, None] = OrderedDict()

    def render(self, request: Any) -> Any:
        """Answer, now or later."""
        answering = Deferred.fromCoroutine(self._answer(request))
        answering.addErrback(self._failed, request)
        request.notifyFinish().addErrback(lambda _: answering.cancel() if request.upload is None else None)
        return NOT_DONE_YET

    async def _answer(self, request: Any) -> None:
        if request.upload is not None:
            await request.upload.stored()
            _finish(request, STORED[request.method])
            return
        digest = digest_of(token_of(request.path)[0])
        permit = await self._room.files.permit(digest)
        if permit is None:
            raise UnknownToken
        allowed = SENDING if permit.file_id is None else FETCHING
        if request.method == b"OPTIONS":
            request.setHeader("Allow", ", ".join(allowed))
            _finish(request, 204)
        elif permit.file_id is None or request.method not in (b"GET", b"HEAD"):
            raise NoSuchMethod(allowed)
        else:
            await self._fetch(request, digest, permit, permit.file_id)

    async def _fetch(self, request: Any, digest: str, permit: Permit, file_id: int) -> None:
        if permit.expires_ms <= now_ms(self._room.clock):
            raise TokenSpent("the time for this file is over")
        if self._room.downloads >= self._room.limits.downloads:
            raise RoomBusy("as many files are fetched as this node gives; try again later")
        file = await self._room.files.read_file(file_id)
        if file is None:
            raise NoFile(str(file_id))
        path = self._room.path_of(file)
        self._room.downloads += 1
        request.notifyFinish().addBoth(self._fetched)

        def ended(whole: bool) -> None:
            if whole and digest not in self._told:
                self._told[digest] = None
                if len(self._told) > TOLD_KEPT:
                    self._told.popitem(last=False)
                told = Deferred.fromCoroutine(self._room.note(permit.job_id, f"fetched: {file.name}"))
                told.addErrback(lambda failure: log.failure("a job was not told", failure))

        request.render(Sent(path, file, self._room.clock, ended))

    def _fetched(self, _: object) -> None:
        self._room.downloads -= 1

    def _failed(self, failure: Failure, request: Any) -> None:
        if _is_over(request):
            return
        error: Any = failure.value
        if not (isinstance(error, OcppdError) and is_known(error)):
            log.failure("a request of the file room failed", failure)
            error = InternalError()
        problem = problem_of(error)
        for name, value in problem.headers.items():
            request.setHeader(name, value)
        if isinstance(error, BodyTooLarge):
            request.channel.persistent = False
        # Little is said to who has no token that is good: who asks for a file is a program.
        _finish(request, problem.status, f"{problem.body['title']}\n".encode())


def _finish(request: Any, status: int, body: bytes = b"") -> None:
    if _is_over(request):
        return
    request.setResponseCode(status)
    request.setHeader(b"content-type", b"text/plain; charset=utf-8")
    request.setHeader(b"content-length", str(len(body)).encode())
    if request.method != b"HEAD":
        request.write(body)
    request.finish()


def _is_over(request: Any) -> bool:
    """Whether there is nobody to answer any more."""
    return getattr(request, "channel", None) is None or bool(request.finished)
