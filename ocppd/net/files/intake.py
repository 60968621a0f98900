"""Bodies on their way into the file room: let in by a token or by the rules of access, bounded, taken apart where they are forms.

Twisted Web tells of a body as it comes (`ocppd.net.rest.body.ApiRequest`) and asks for an answer at its end. What is refused
before that is thrown away until then, so that a polite sender hears why; one who goes on and on is hung up on.
"""

from __future__ import annotations

from collections.abc import Callable
from secrets import token_hex
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from ocppd.clock import Clock, DelayedCall, now_ms
from ocppd.errors import OcppdError
from ocppd.net.files.errors import Interrupted, NotMultipart, RoomBusy, RoomFull, TokenSpent, UnknownToken
from ocppd.net.files.landing import Landed, Landing
from ocppd.net.files.multipart import FormFile, boundary_of
from ocppd.net.files.room import FileRoom, digest_of, shown_name, token_of
from ocppd.net.rest.problems import BodyTooLarge, NoSuchMethod
from ocppd.storage.records.files import FilePurpose, NewFile, Permit, StoredFile

log = Logger()

#: A refused sender is read so far, and hears why (as in `rest.body`).
MAX_DISCARDED_BYTES: Final = 16 * 1024 * 1024
#: Bytes that a form takes beside its file.
FORM_BYTES: Final = 64 * 1024
FETCHING: Final = ("GET", "HEAD", "OPTIONS")
SENDING: Final = ("PUT", "POST", "OPTIONS")
#: What a file is called whose sender does not say.
NAMELESS: Final = "file"

#: Lets a body in, once; gives the job it belongs to, None for an operator's. Fails with what it is refused with.
Admission = Callable[[], Deferred[int | None]]
#: Puts a landed file on record. Gives None where it was not wanted any more.
Keep = Callable[[NewFile], Deferred[StoredFile | None]]


class Upload:
    """One body. Its end is asked for by `stored`, or is that of its connection."""

    def __init__(self, room: FileRoom, request: Any, length: int | None, purpose: FilePurpose, name: str) -> None:
        self._room = room
        self._clock: Clock = room.clock
        self._request = request
        self._transport = request.transport
        self._channel = request.channel
        self._purpose = purpose
        self._name = name
        self._received = 0
        self._discarded = 0
        self._failure: OcppdError | None = None
        self._form: FormFile | None = None
        self._landing: Landing | None = None
        self._early: list[bytes] = []
        self._admitted: Deferred[None] = Deferred()
        self._job_id: int | None = None
        self._watch: DelayedCall | None = None
        self._over = False
        #: It was let in, and has a place.
        self._inside = False
        self._deadline_s = room.clock.seconds() + room.limits.whole_s
        #: `stored` was asked for: the end of the request is its business.
        self._whole = False
        self._keep: Keep | None = None
        self._release: Callable[[], None] = lambda: None
        self._check_head(length)

    def _check_head(self, length: int | None) -> None:
        most = self._room.limits.file_bytes
        try:
            kind = self._request.getHeader(b"content-type") or b""
            boundary = boundary_of(kind.decode("latin-1"))
        except NotMultipart as error:
            self._failure = error
            return
        if boundary is not None:
            self._form = FormFile(boundary)
        if length is not None and length > most + (FORM_BYTES if self._form else 0):
            self._failure = BodyTooLarge(most)

    def begin(self, admit: Admission, keep: Keep, release: Callable[[], None]) -> Upload:
        """Ask whether it may come; nothing of it is read before that is known, but what is here already."""
        self._keep, self._release = keep, release
        self._request.notifyFinish().addBoth(self._gone)
        self._transport.pauseProducing()
        admit().addCallbacks(self._let_in, self._refused).addCallback(self._decided)
        return self

    def _let_in(self, job_id: int | None) -> None:
        self._job_id = job_id
        self._inside = True
        if self._over:  # it has gone while we asked
            return
        room, transport = self._room, self._transport
        self._watch_over()
        early, self._early = self._early, []
        if self._failure is not None:  # too large, by its length: its job is to be told, and its sender is heard out
            return
        self._landing = Landing(room.directory, room.new_name(), room.run, transport.pauseProducing, transport.resumeProducing)
        for data in early:
            self._take(data)

    def _hear_out(self) -> None:
        """One who is refused may say the rest, and hear why; but not for long."""
        self._deadline_s = self._clock.seconds() + self._room.limits.idle_s
        self._watch_over()

    def _refused(self, failure: Failure) -> None:
        self._early = []
        self._hear_out()
        if isinstance(failure.value, OcppdError):
            self._failure = failure.value
        else:
            log.failure("whether a file may come could not be found out", failure)
            self._failure = RoomBusy("the file room cannot be asked")

    def _decided(self, _: None) -> None:
        self._transport.resumeProducing()
        self._admitted.callback(None)

    # The body

    @property
    def _patience_bytes(self) -> int:
        """How much of a refused body is read, so that its sender hears why: of one who was let in, more."""
        return max(MAX_DISCARDED_BYTES, 2 * self._room.limits.file_bytes) if self._inside else MAX_DISCARDED_BYTES

    def rename(self, name: str) -> None:
        """What the file is to be called, where no form says it."""
        self._name = name

    def received(self, data: bytes) -> None:
        """The next bytes of the body."""
        self._received += len(data)
        if self._watch is not None:
            self._watch_over()
        if self._failure is not None:
            self._discarded += len(data)
            if self._discarded > self._patience_bytes:
                self._channel.loseConnection()
        elif self._landing is None:
            self._early.append(data)
        else:
            self._take(data)

    def _take(self, data: bytes) -> None:
        assert self._landing is not None
        if self._received > self._room.limits.file_bytes + (FORM_BYTES if self._form else 0):
            self._fail(BodyTooLarge(self._room.limits.file_bytes))
            return
        try:
            self._landing.received(data if self._form is None else self._form.feed(data))
        except NotMultipart as error:
            self._fail(error)
        if self._landing.failure is not None:
            self._failure = self._failure or self._landing.failure

    def _fail(self, error: OcppdError) -> None:
        """Nothing more of it is kept."""
        if self._failure is None:
            self._failure = error

    def _watch_over(self) -> None:
        """From now on something has to come, as long as it is not all there."""
        self._stop_watching()
        if not (self._over or self._whole):
            left_s = min(self._room.limits.idle_s, self._deadline_s - self._clock.seconds())
            self._watch = self._clock.callLater(max(0.0, left_s), self._stalled)

    def _stop_watching(self) -> None:
        watch, self._watch = self._watch, None
        if watch is not None and watch.active():
            watch.cancel()

    def _stalled(self) -> None:
        """Nothing has come for a while, or not all of it in all the time that there is. `_gone` follows."""
        self._watch = None
        late = self._clock.seconds() >= self._deadline_s
        self._fail(Interrupted(f"{'it was not whole in time' if late else 'nothing more came'} after {self._received} bytes"))
        self._transport.abortConnection()

    # Its end

    async def digest(self) -> str:
        """The whole body has come: what tells it from another. Raises what it is refused with; `stored` may be asked for then."""
        await self._admitted
        if self._failure is not None or self._landing is None:
            raise self._failure or Interrupted("it was given up")
        return await self._landing.digest()

    async def stored(self) -> StoredFile:
        """The whole body has come: the file on record. Raises what it is refused with."""
        self._whole = True
        self._stop_watching()
        try:
            await self._admitted
            return await self._keep_it()
        except OcppdError as error:
            await self._tell(str(error))
            raise
        finally:
            self._end()

    async def _keep_it(self) -> StoredFile:
        if self._failure is None and self._form is not None:
            try:
                self._form.close()
            except NotMultipart as error:
                self._failure = error
        if self._failure is not None:
            if self._landing is not None:
                await self._landing.abandon()
            raise self._failure
        assert self._landing is not None and self._keep is not None
        landed = await self._landing.finish()
        if landed.size > self._room.limits.file_bytes:
            await self._room.remove(landed.stored)
            raise BodyTooLarge(self._room.limits.file_bytes)
        return await self._record(landed, self._keep)

    async def _record(self, landed: Landed, keep: Keep) -> StoredFile:
        called = shown_name((self._form.name if self._form is not None else "") or self._name) or NAMELESS
        file = NewFile(
            purpose=self._purpose,
            name=called,
            stored=landed.stored,
            size=landed.size,
            sha256=landed.sha256,
            created_ms=now_ms(self._clock),
        )
        try:
            kept = await keep(file)
        except OcppdError:
            await self._room.remove(landed.stored)
            raise
        if kept is None:
            await self._room.remove(landed.stored)
            raise TokenSpent("another file came sooner")
        return kept

    def _gone(self, _: object) -> None:
        """The connection is lost, or somebody has answered without asking for the file."""
        self._stop_watching()
        if self._whole:
            return
        self._fail(Interrupted(f"the connection was lost after {self._received} bytes"))
        Deferred.fromCoroutine(self._give_up()).addErrback(_log_bug)

    async def _give_up(self) -> None:
        self._over = True
        try:
            await self._admitted
            if self._landing is not None:
                await self._landing.abandon()
            await self._tell(str(self._failure))
        finally:
            self._end()

    async def _tell(self, why: str) -> None:
        if self._job_id is not None:
            await self._room.note(self._job_id, f"a file did not come: {why}")

    def _end(self) -> None:
        self._over = True
        if self._inside:
            self._inside = False
            self._release()


class Intake:
    """Lets bodies in."""

    def __init__(self, room: FileRoom) -> None:
        self._room = room

    def from_charger(self, request: Any, length: int | None) -> Upload:
        """A body that is sent to a URL of ours."""
        token, name = token_of(request.path)
        digest, room = digest_of(token), self._room

        def let_in(permit: Permit | None) -> int | None:
            job_id = _may_send(permit, now_ms(room.clock))
            room.take_place(digest)  # now, and not before: who has no token takes nobody's place
            return job_id

        def admit() -> Deferred[int | None]:
            return room.files.permit(digest).addCallback(let_in)

        upload = Upload(room, request, length, FilePurpose.UPLOAD, name)
        return upload.begin(admit, lambda file: room.files.file_uploaded(digest, file), lambda: room.leave(digest))

    def from_operator(self, request: Any, length: int | None) -> Upload:
        """A firmware; who sends it has passed the rules of access."""
        room, place = self._room, token_hex()

        def fits(there: int) -> None:
            if there + (length or 0) > room.limits.most_bytes:
                raise RoomFull("the file room is full")
            room.take_place(place)

        def admit() -> Deferred[int | None]:
            return room.files.stored_bytes().addCallback(fits)

        def keep(file: NewFile) -> Deferred[StoredFile | None]:
            return room.files.file_added(file).addCallback(lambda kept: kept)

        upload = Upload(room, request, length, FilePurpose.FIRMWARE, NAMELESS)
        return upload.begin(admit, keep, lambda: room.leave(place))


def _may_send(permit: Permit | None, now: int) -> int:
    """The job that a file is for. Raises UnknownToken, NoSuchMethod, TokenSpent."""
    if permit is None:
        raise UnknownToken
    if permit.file_id is not None:
        raise NoSuchMethod(FETCHING)
    if permit.used_ms is not None:
        raise TokenSpent("a file came before")
    if permit.expires_ms <= now:
        raise TokenSpent("the time for this file is over")
    return permit.job_id


def _log_bug(failure: Failure) -> None:
    log.failure("a file that came in part was not removed", failure)
