"""Users' handlers in the running daemon: their kinds, their answers, what they may ask for. Decision 2; REQUIREMENTS S-3, S-8."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_twisted
from msgspec import structs
from twisted.internet import reactor
from twisted.internet.defer import Deferred, TimeoutError, succeed
from twisted.internet.task import deferLater

from ocppd.central import dispatch
from ocppd.central.handlers import CentralSystemHandlers
from ocppd.errors import CallErrorReceived, InvalidPayload
from ocppd.v16.core import (
    AuthorizeConfirmation,
    ChangeConfigurationRequest,
    ClearCacheRequest,
    HeartbeatConfirmation,
    ResetRequest,
    StartTransactionConfirmation,
)
from ocppd.v16.types import AuthorizationStatus, IdTagInfo, ResetType
from support.peer import connect, within
from support.wire import (
    BOOT,
    START,
    STATUS,
    arrived,
    booted,
    is_error,
    journal,
    nothing_committed,
    offline,
    storage_of,
    transactions,
    use,
)

ensure = pytest_twisted.ensureDeferred
BLOCKED = IdTagInfo(status=AuthorizationStatus.BLOCKED)
SET = ChangeConfigurationRequest(key="HeartbeatInterval", value="60")


def handlers(**methods: Any) -> str:
    """Handlers with these methods, ready for `--handlers`."""
    return use(type("Handlers", (CentralSystemHandlers,), methods))


def plain(self: Any, charger: Any, request: Any, answer: Any) -> Any:
    return AuthorizeConfirmation(id_tag_info=BLOCKED)


def deferred(self: Any, charger: Any, request: Any, answer: Any) -> Any:
    return succeed(AuthorizeConfirmation(id_tag_info=BLOCKED))


async def coroutine(self: Any, charger: Any, request: Any, answer: Any) -> Any:
    await deferLater(reactor, 0)
    return AuthorizeConfirmation(id_tag_info=BLOCKED)


@ensure
@pytest.mark.parametrize("handler", [plain, deferred, coroutine])
async def test_kinds_of_handlers(start: Any, handler: Any) -> None:
    """A handler may be a plain function, return a Deferred, or be a coroutine; its confirmation is the answer."""
    peer = await booted(start(handlers=handlers(AuthorizeRequestHandler=handler)))
    assert (await peer.call("Authorize", {"idTag": "T"}))[2] == {"idTagInfo": {"status": "Blocked"}}


@ensure
async def test_none_is_the_given_answer(start: Any) -> None:
    """A handler that returns None leaves the answer as it was handed to it."""
    seen: list[Any] = []

    def note(self: Any, charger: Any, request: Any, answer: Any) -> None:
        seen.append((charger.name, charger.remote_ip, request.id_tag, answer.id_tag_info.status))

    peer = await booted(start(handlers=handlers(AuthorizeRequestHandler=note)))
    assert (await peer.call("Authorize", {"idTag": "T"}))[2] == {"idTagInfo": {"status": "Accepted"}}
    assert seen == [("CP1", "127.0.0.1", "T", "Accepted")]


@ensure
@pytest.mark.parametrize(
    "wrong",
    [
        HeartbeatConfirmation(current_time="2026-03-04T05:06:07Z"),
        AuthorizeConfirmation(id_tag_info=IdTagInfo(status="Perhaps")),  # type: ignore[arg-type]
        AuthorizeConfirmation(id_tag_info=IdTagInfo(status=AuthorizationStatus.ACCEPTED, parent_id_tag="x" * 21)),
        "Accepted",
        {"idTagInfo": {"status": "Accepted"}},
    ],
)
async def test_wrong_confirmations_never_leave(start: Any, logged_errors: Any, wrong: Any) -> None:
    """What is no valid confirmation of the right type is InternalError, and the log says why (G-0)."""
    peer = await booted(start(handlers=handlers(AuthorizeRequestHandler=lambda *_: wrong)))
    assert is_error(await peer.call("Authorize", {"idTag": "T"}), "InternalError")
    assert len(logged_errors.flush(TypeError, InvalidPayload)) == 1
    await peer.silence()


@ensure
async def test_confirmations_are_sent_in_their_sendable_form(start: Any) -> None:
    """G-1: a handler's timestamps leave in UTC and whole seconds, whatever it wrote."""
    other = HeartbeatConfirmation(current_time="2026-03-04T08:06:07.123456+03:00")
    peer = await booted(start(handlers=handlers(HeartbeatRequestHandler=lambda *_: other)))
    assert (await peer.call("Heartbeat"))[2] == {"currentTime": "2026-03-04T05:06:07Z"}


@ensure
async def test_recorded_before_the_handler_and_amended_before_the_answer(start: Any) -> None:
    """Decision 5: a start is on disk before its handler runs; the verdict it gives is on disk before the answer leaves."""
    found: list[Any] = []
    gate: Deferred[None] = Deferred()

    async def refuse(self: Any, charger: Any, request: Any, answer: Any) -> Any:
        found.extend(await transactions(daemon))
        await gate
        return structs.replace(answer, id_tag_info=BLOCKED)

    daemon = start(handlers=handlers(StartTransactionRequestHandler=refuse))
    peer = await booted(daemon)
    peer.send([2, "s", "StartTransaction", START])
    while not found:
        await storage_of(daemon).check()
    assert found[0].verdict is AuthorizationStatus.ACCEPTED
    frames = hear(peer)
    with nothing_committed(daemon):
        gate.callback(None)
        await arrived(peer)
        assert frames == []
    answer = await peer.frame()
    assert answer[2] == {"idTagInfo": {"status": "Blocked"}, "transactionId": found[0].transaction_id}
    [transaction] = await transactions(daemon)
    assert transaction.verdict is AuthorizationStatus.BLOCKED
    [record] = await journal(daemon, "StartTransaction")
    assert '"Blocked"' in (record.answer or "")


def hear(peer: Any) -> list[bytes]:
    """Collects the frames that come from here on; the peer gets them too."""
    frames: list[bytes] = []
    onMessage = peer.onMessage

    def collect(data: bytes, is_binary: bool) -> None:
        frames.append(bytes(data))
        onMessage(data, is_binary)

    peer.onMessage = collect
    return frames


@ensure
@pytest.mark.parametrize(
    ("action", "payload"),
    [
        ("BootNotification", BOOT),
        ("StatusNotification", STATUS),
        ("StartTransaction", START),
        ("StopTransaction", {"transactionId": 1, "meterStop": 1, "timestamp": START["timestamp"]}),
        ("MeterValues", {"connectorId": 1, "meterValue": []}),
        ("FirmwareStatusNotification", {"status": "Idle"}),
        ("SecurityEventNotification", {"type": "x", "timestamp": START["timestamp"]}),
    ],
)
async def test_durable_before_answered(start: Any, action: str, payload: dict[str, Any]) -> None:
    """Decision 5: no answer leaves before its record is on disk; a Heartbeat waits for nothing but its turn."""
    daemon = start()
    peer = await booted(daemon)
    frames = hear(peer)
    with nothing_committed(daemon):
        peer.send([2, "a", action, payload])
        peer.send([2, "b", "Heartbeat", {}])
        await arrived(peer)
        assert frames == []
    assert (await peer.frame())[:2] == [3, "a"]
    assert (await peer.frame())[:2] == [3, "b"]


@ensure
async def test_a_handler_cannot_change_the_transaction_id(start: Any, logged_errors: Any) -> None:
    """A handler that changes the transaction id is InternalError and logged; the transaction keeps its id and is repeatable."""

    def change(self: Any, charger: Any, request: Any, answer: Any) -> Any:
        return StartTransactionConfirmation(id_tag_info=answer.id_tag_info, transaction_id=answer.transaction_id + 1)

    daemon = start(handlers=handlers(StartTransactionRequestHandler=change))
    peer = await booted(daemon)
    for _ in range(2):
        assert is_error(await peer.call("StartTransaction", START), "InternalError")
    assert len(logged_errors.flush(ValueError)) == 2
    assert len(await transactions(daemon)) == 1
    assert {record.state for record in await journal(daemon, "StartTransaction")} == {"error"}


@ensure
async def test_follow_ups_come_after_the_answer(start: Any) -> None:
    """S-3: what a handler asks to be sent follows its answer, in order, one outstanding."""

    def ask(self: Any, charger: Any, request: Any, answer: Any) -> None:
        charger.follow_up(SET)
        charger.follow_up(ClearCacheRequest())

    peer = await booted(start(handlers=handlers(DataTransferRequestHandler=ask)))
    peer.send([2, "d", "DataTransfer", {"vendorId": "v"}])
    assert (await peer.frame())[:2] == [3, "d"]
    first = await peer.frame()
    assert first[2] == "ChangeConfiguration"
    await peer.silence()
    peer.send([3, first[1], {"status": "Accepted"}])
    assert (await peer.frame())[2] == "ClearCache"


@ensure
async def test_follow_up_of_a_boot(start: Any) -> None:
    """S-3: a follow-up of a BootNotification goes out after its answer, when the charger is accepted."""
    ask = lambda self, charger, request, answer: charger.follow_up(SET)  # noqa: E731
    daemon = start(handlers=handlers(BootNotificationRequestHandler=ask))
    peer = await connect(daemon.port)
    peer.send([2, "b", "BootNotification", BOOT])
    assert (await peer.frame())[:2] == [3, "b"]
    assert (await peer.frame())[2] == "ChangeConfiguration"


@ensure
async def test_wrong_follow_ups(start: Any, logged_errors: Any) -> None:
    """A follow-up that breaks the definition fails in the handler; more than a hundred are a loop."""

    def wrong(self: Any, charger: Any, request: Any, answer: Any) -> None:
        charger.follow_up(ChangeConfigurationRequest(key="x" * 51, value="v"))

    def endless(self: Any, charger: Any, request: Any, answer: Any) -> None:
        while True:
            charger.follow_up(SET)

    chosen = handlers(DataTransferRequestHandler=wrong, AuthorizeRequestHandler=endless)
    peer = await booted(start(handlers=chosen))
    assert is_error(await peer.call("DataTransfer", {"vendorId": "v"}), "InternalError")
    assert len(logged_errors.flush(InvalidPayload)) == 1
    assert is_error(await peer.call("Authorize", {"idTag": "T"}), "InternalError")
    assert len(logged_errors.flush(RuntimeError)) == 1


@ensure
async def test_close_after_answer(start: Any) -> None:
    """A handler may have the connection closed: the answer arrives first, then the close with its code."""

    def close(self: Any, charger: Any, request: Any, answer: Any) -> None:
        charger.close_after_answer(4321, "enough")

    daemon = start(handlers=handlers(DataTransferRequestHandler=close))
    peer = await booted(daemon)
    peer.send([2, "d", "DataTransfer", {"vendorId": "v"}])
    assert (await peer.frame())[:2] == [3, "d"]
    assert await within(peer.closed) == 4321
    await offline(daemon)


@ensure
@pytest.mark.parametrize("code", [0, 999, 1005, 1006, 1015, 5000, 70_000])
async def test_close_codes_that_cannot_be(start: Any, logged_errors: Any, code: int) -> None:
    """A close code that cannot be sent fails in the handler and ends nothing."""
    close = lambda self, charger, request, answer: charger.close_after_answer(code)  # noqa: E731
    peer = await booted(start(handlers=handlers(DataTransferRequestHandler=close)))
    assert is_error(await peer.call("DataTransfer", {"vendorId": "v"}), "InternalError")
    assert len(logged_errors.flush(ValueError)) == 1
    await peer.silence()


@ensure
async def test_response_and_error_handlers(start: Any) -> None:
    """The handler of an answer is called with request and confirmation after it was recorded, the other with the error."""
    calls: list[Any] = []
    states: list[Any] = []
    called: list[Deferred[None]] = [Deferred(), Deferred()]

    async def answered(self: Any, charger: Any, request: Any, confirmation: Any) -> None:
        states.extend(record.state for record in await journal(daemon, "ChangeConfiguration"))
        calls.append((charger.name, request, confirmation.status))
        charger.follow_up(ResetRequest(type=ResetType.SOFT))
        called[0].callback(None)

    def refused(self: Any, charger: Any, request: Any, error: CallErrorReceived) -> None:
        calls.append((charger.name, type(request), error.code, error.description))
        called[1].callback(None)

    daemon = start(handlers=handlers(ChangeConfigurationResponseHandler=answered, OCPPErrorHandler=refused))
    peer = await booted(daemon)
    await daemon.central.commands.submit("CP1", SET)
    asked = await peer.frame()
    peer.send([3, asked[1], {"status": "RebootRequired"}])
    await within(called[0])
    asked = await peer.frame()
    assert asked[2:] == ["Reset", {"type": "Soft"}]
    peer.send([4, asked[1], "NotSupported", "no", {}])
    await within(called[1])
    assert calls == [("CP1", SET, "RebootRequired"), ("CP1", ResetRequest, "NotSupported", "no")]
    assert states == ["completed"]


@ensure
async def test_failing_response_handlers(start: Any, logged_errors: Any) -> None:
    """A response handler that raises is logged, and changes nothing for the caller and the connection."""

    def fail(self: Any, *_: Any) -> None:
        raise RuntimeError("broken")

    daemon = start(handlers=handlers(ChangeConfigurationResponseHandler=fail))
    peer = await booted(daemon)
    pending = daemon.central.commands.call("CP1", SET)
    asked = await peer.frame()
    peer.send([3, asked[1], {"status": "Accepted"}])
    assert (await within(pending)).status == "Accepted"
    await peer.silence()
    assert len(logged_errors.flush(RuntimeError)) == 1


@ensure
async def test_endless_handlers(start: Any, logged_errors: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """S-8: a handler that never returns: a recorded message is answered as recorded at the deadline, another InternalError."""
    monkeypatch.setattr(dispatch, "RECORDED_DEADLINE_S", 0.1)
    monkeypatch.setattr(dispatch, "DEADLINE_S", 0.1)
    endless = lambda *_: Deferred()  # noqa: E731
    chosen = handlers(StartTransactionRequestHandler=endless, DataTransferRequestHandler=endless)
    daemon = start(handlers=chosen)
    peer = await booted(daemon)
    answer = await peer.call("StartTransaction", START)
    [transaction] = await transactions(daemon)
    assert answer[2] == {"idTagInfo": {"status": "Accepted"}, "transactionId": transaction.transaction_id}
    assert is_error(await peer.call("DataTransfer", {"vendorId": "v"}), "InternalError")
    assert len(logged_errors.flush()) == 2


@ensure
async def test_a_handlers_own_timeout_is_its_failure(start: Any, logged_errors: Any) -> None:
    """A TimeoutError that a handler raises itself is a failure like any other, not our deadline."""

    def give_up(*_: Any) -> None:
        raise TimeoutError(1, "its own")

    peer = await booted(start(handlers=handlers(StartTransactionRequestHandler=give_up)))
    assert is_error(await peer.call("StartTransaction", START), "InternalError")
    assert len(logged_errors.flush(TimeoutError)) == 1


@ensure
async def test_a_hundred_answers_at_once(start: Any) -> None:
    """S-4: what has gathered behind a slow handler is answered without running ever deeper into the stack."""
    gate: Deferred[None] = Deferred()
    depths: list[int] = []

    def measure(self: Any, charger: Any, request: Any, answer: Any) -> Any:
        import inspect

        depths.append(len(inspect.stack(0)))
        return gate.addCallback(lambda _: None) if request.vendor_id == "slow" else answer

    peer = await booted(start(handlers=handlers(DataTransferRequestHandler=measure)))
    peer.send([2, "slow", "DataTransfer", {"vendorId": "slow"}])
    for number in range(100):
        peer.send([2, str(number), "DataTransfer", {"vendorId": "v"}])
    await arrived(peer)
    gate.callback(None)
    for _ in range(101):
        assert (await peer.frame())[0] == 3
    assert len(depths) == 101 and max(depths[1:]) - min(depths[1:]) < 10


@ensure
async def test_a_bug_costs_one_message(start: Any, logged_errors: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of our own, at once or later, is InternalError for that message; the session goes on."""
    daemon = start()
    peer = await booted(daemon)

    def broken(*_: Any, **__: Any) -> Any:
        raise ZeroDivisionError

    recorder = daemon.central._wiring.dispatch._recorder
    monkeypatch.setitem(recorder.methods, "MeterValues", broken)
    monkeypatch.setitem(recorder.methods, "StatusNotification", lambda *_: succeed(None))
    sample = {"connectorId": 1, "meterValue": []}
    assert is_error(await peer.call("MeterValues", sample), "InternalError")
    assert len(logged_errors.flush(ZeroDivisionError)) == 1
    status = {"connectorId": 1, "errorCode": "NoError", "status": "Available"}
    assert is_error(await peer.call("StatusNotification", status), "InternalError")
    assert len(logged_errors.flush(AttributeError)) == 1
    assert (await peer.call("Heartbeat"))[0] == 3
