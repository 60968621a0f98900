"""Our calls in the running daemon: the queue, its limits and its end, restarts, storage that fails. REQUIREMENTS S-1 to S-7."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred, gatherResults, maybeDeferred

from ocppd.central.ends import OUR_ID_LENGTH
from ocppd.central.handlers import CentralSystemHandlers
from ocppd.errors import (
    CallCancelled,
    CallErrorReceived,
    CallExpired,
    NotCancellable,
    NotConnected,
    OutcomeUnknown,
    QueueFull,
    StorageUnavailable,
    UnknownMessage,
)
from ocppd.storage.records import MessageState
from ocppd.v16.core import ChangeConfigurationRequest, ClearCacheRequest, GetConfigurationRequest, ResetRequest
from ocppd.v16.types import ResetType
from support.central import Running, chargers
from support.peer import Peer, connect, within
from support.wire import (
    BOOT,
    CLOSE,
    START,
    TEXT,
    arrived,
    booted,
    done,
    is_error,
    message,
    nothing_committed,
    offline,
    pragma,
    raw_session,
    refuse_writes,
    storage_of,
    transactions,
    use,
)

ensure = pytest_twisted.ensureDeferred
SECRET = "0123456789ABCDEF0123456789ABCDEF"
KEY = ChangeConfigurationRequest(key="AuthorizationKey", value=SECRET)
CLEAR = ClearCacheRequest()
RESET = ResetRequest(type=ResetType.SOFT)


def setting(value: str) -> ChangeConfigurationRequest:
    """A call that waits for an offline charger, told apart by its value."""
    return ChangeConfigurationRequest(key="k", value=value)


async def accept(peer: Peer, status: str = "Accepted") -> Any:
    """Answer the next call of ours; gives its frame."""
    asked = await peer.frame()
    assert asked[0] == 2, asked
    peer.send([3, asked[1], {"status": status}])
    return asked


async def known(daemon: Running) -> None:
    """CP1 has been accepted and is offline."""
    await (await booted(daemon)).leave()
    await offline(daemon)


@ensure
async def test_queue_full(start: Any) -> None:
    """MaxQueueSize calls wait behind the one that is out; one more is refused, online and offline, and not recorded."""
    daemon = start({"MaxQueueSize": 3, "Chargers": [{"Name": "CP1"}]})
    peer = await booted(daemon)
    submit = daemon.central.commands.submit
    records = [await submit("CP1", setting(str(number))) for number in range(4)]
    with pytest.raises(QueueFull):
        await maybeDeferred(submit, "CP1", setting("one more"))
    for number in range(4):
        assert (await accept(peer))[1] == records[number].message_id
    await peer.leave()
    await offline(daemon)
    for number in range(3):
        await submit("CP1", setting(str(number)))
    with pytest.raises(QueueFull):
        await submit("CP1", setting("one more"))
    peer = await connect(daemon.port)
    assert [(await accept(peer))[3]["value"] for _ in range(3)] == ["0", "1", "2"]
    await peer.silence()


@ensure
async def test_order_of_a_burst(start: Any) -> None:
    """Calls that are accepted in one turn go out in that order, each after the answer to the one before."""
    daemon = start(chargers("CP1") | {"MaxQueueSize": 50})
    peer = await booted(daemon)
    submitted = [daemon.central.commands.submit("CP1", setting(str(number))) for number in range(20)]
    order = [(await accept(peer))[3]["value"] for _ in range(20)]
    assert order == [str(number) for number in range(20)]
    await gatherResults(submitted)


@ensure
async def test_offline_calls(start: Any) -> None:
    """What waits goes out after the next connection of an accepted charger; what does not wait fails at once."""
    daemon = start()
    await known(daemon)
    submit = daemon.central.commands.submit
    with pytest.raises(NotConnected):
        await maybeDeferred(submit, "CP1", RESET)
    with pytest.raises(NotConnected):
        await maybeDeferred(submit, "CP1", CLEAR, offline=False)
    first, second = await submit("CP1", CLEAR), await submit("CP1", RESET, offline=True)
    peer = await connect(daemon.port)
    assert (await accept(peer))[1] == first.message_id
    assert (await accept(peer))[1] == second.message_id


@ensure
async def test_offline_calls_wait_for_registration(start: Any) -> None:
    """A call for a charger that never booted waits for the first BootNotification.conf (2.2)."""
    daemon = start()
    peer = await connect(daemon.port)
    record = await daemon.central.commands.submit("CP1", CLEAR)
    assert is_error(await peer.call("Heartbeat"), "SecurityError")
    peer.send([2, "b", "BootNotification", BOOT])
    assert (await peer.frame())[:2] == [3, "b"]
    assert (await accept(peer))[1] == record.message_id


@ensure
async def test_expiry(start: Any) -> None:
    """S-7: a call whose time to live has ended is never sent: offline, and behind another one."""
    daemon = start()
    await known(daemon)
    commands = daemon.central.commands
    gone = await commands.submit("CP1", CLEAR, ttl_s=0)
    waiting = commands.wait(gone, 5)
    await commands.expire()
    assert (await within(waiting)).state is MessageState.EXPIRED
    peer = await connect(daemon.port)
    assert (await peer.call("Heartbeat"))[0] == 3
    await commands.submit("CP1", setting("first"))
    behind = await commands.submit("CP1", CLEAR, ttl_s=0)
    last = await commands.submit("CP1", setting("last"))
    assert (await accept(peer))[3]["value"] == "first"
    assert (await accept(peer))[1] == last.message_id
    assert (await message(daemon, behind.message_id)).state is MessageState.EXPIRED


@ensure
async def test_expiry_is_told(start: Any) -> None:
    """Who waits for a call hears that it expired."""
    daemon = start()
    peer = await booted(daemon)
    commands = daemon.central.commands
    outstanding = commands.call("CP1", setting("first"))
    behind = await commands.submit("CP1", CLEAR, ttl_s=0)
    ended = commands._waiters.wait(behind.message_id)
    await commands.expire()
    assert isinstance((await within(ended)).result, CallExpired)
    await accept(peer)
    await within(outstanding)
    await peer.silence()


@ensure
async def test_cancel(start: Any) -> None:
    """What is queued can be taken back, online and offline; what was sent or has ended cannot."""
    daemon = start()
    peer = await booted(daemon)
    commands = daemon.central.commands
    sent = await commands.submit("CP1", setting("first"))
    waiting = commands.call("CP1", CLEAR)
    await storage_of(daemon).check()
    [queued] = [record for record in await _ours(daemon) if record.state is MessageState.QUEUED]
    assert (await commands.cancel(queued.message_id)).state is MessageState.CANCELLED
    with pytest.raises(CallCancelled):
        await within(waiting)
    with pytest.raises(NotCancellable) as error:
        await commands.cancel(sent.message_id)
    assert error.value.state == "sent"
    assert (await accept(peer))[1] == sent.message_id
    await peer.silence()
    with pytest.raises(UnknownMessage):
        await commands.cancel("no such message")
    await peer.leave()
    await offline(daemon)
    queued = await commands.submit("CP1", CLEAR)
    await commands.cancel(queued.message_id)
    peer = await connect(daemon.port)
    await peer.silence()


async def _ours(daemon: Running) -> list[Any]:
    from support.wire import journal

    return [record for record in await journal(daemon) if record.direction == "toCharger"]


@ensure
async def test_replaced_connection_hands_its_queue_over(start: Any) -> None:
    """C-1: when a connection is replaced its written call is unknown, and what waited goes out on the new one, in order."""
    daemon = start()
    first = await booted(daemon)
    commands = daemon.central.commands
    written = commands.call("CP1", setting("written"))
    asked = await first.frame()
    waiting = [await commands.submit("CP1", setting(str(number))) for number in range(3)]
    failing = commands.call("CP1", GetConfigurationRequest())
    second = await connect(daemon.port)
    with pytest.raises(OutcomeUnknown):
        await within(written)
    for record in waiting:
        assert (await accept(second))[1] == record.message_id
    await second.silence()
    assert done(failing) and not isinstance(failing.result, dict)
    failing.addErrback(lambda _: None)
    second.send([3, asked[1], {"status": "Accepted"}])
    await second.silence()
    await _settled(daemon)
    late = await message(daemon, asked[1])
    assert (late.state, late.late, late.outcome) == (MessageState.COMPLETED, True, "Accepted")


@ensure
async def test_calls_of_the_last_moment_are_handed_over(start: Any) -> None:
    """What was queued on the old connection while the new one was being let in goes out on the new one, in its place."""
    daemon = start()
    first = await booted(daemon)
    commands, connecting = daemon.central.commands, daemon.central.connecting
    commands.call("CP1", setting("written")).addErrback(lambda _: None)
    await first.frame()
    before = await commands.submit("CP1", setting("before"))
    gate: Deferred[None] = Deferred()
    looked_up: Deferred[None] = Deferred()

    def slow(name: str, remote_ip: str) -> Any:
        def wait(known: Any) -> Any:
            looked_up.callback(None)
            return gate.addCallback(lambda _: known)

        return connecting(name, remote_ip).addCallback(wait)

    daemon.central.connecting = slow  # type: ignore[method-assign]
    second = Deferred.fromCoroutine(connect(daemon.port))
    await within(looked_up)
    late = await commands.submit("CP1", setting("late"))
    gate.callback(None)
    peer = await second
    assert [(await accept(peer))[1] for _ in range(2)] == [before.message_id, late.message_id]
    await peer.silence()


@ensure
async def test_nothing_is_written_into_a_closing_connection(start: Any) -> None:
    """S-6: a call that is not written because the connection is closing waits for the next one; it did not go out unknown."""

    class Closing(CentralSystemHandlers):
        def BootNotificationRequestHandler(self, charger: Any, request: Any, answer: Any) -> None:
            charger.close_after_answer()

    daemon = start(handlers=use(Closing))
    session = await raw_session(daemon)
    record = await daemon.central.commands.submit("CP1", CLEAR)
    session.text(b'[2,"b","BootNotification",{"chargePointVendor":"V","chargePointModel":"M"}]')
    await session.client.until(b'"Accepted"')
    for _ in range(3):  # a commit as sent would be over by now; the close is not confirmed yet
        await storage_of(daemon).check()
    await session.closing(1001)
    assert [opcode for opcode, _ in session.frames()] == [TEXT, CLOSE]
    await offline(daemon)
    assert (await message(daemon, record.message_id)).state is MessageState.QUEUED
    peer = await connect(daemon.port)
    assert (await accept(peer))[1] == record.message_id


@ensure
async def test_late_answer_while_its_call_is_being_given_up(start: Any) -> None:
    """F-8: an answer on the next connection counts also where that the call is unknown is not on disk yet."""
    daemon = start()
    first = await booted(daemon)
    commands, connecting = daemon.central.commands, daemon.central.connecting
    commands.call("CP1", setting("written")).addErrback(lambda _: None)
    asked = await first.frame()
    gate: Deferred[None] = Deferred()
    looked_up: Deferred[None] = Deferred()

    def slow(name: str, remote_ip: str) -> Any:
        def wait(known: Any) -> Any:
            looked_up.callback(None)
            return gate.addCallback(lambda _: known)

        return connecting(name, remote_ip).addCallback(wait)

    daemon.central.connecting = slow  # type: ignore[method-assign]
    second = Deferred.fromCoroutine(connect(daemon.port))
    await within(looked_up)
    with nothing_committed(daemon):
        gate.callback(None)
        peer = await second
        peer.send([3, asked[1], {"status": "Accepted"}])
        await arrived(peer)
        while daemon.central._ends._looking_up:
            await arrived(peer)
    late = await message(daemon, asked[1])
    assert (late.state, late.late, late.outcome) == (MessageState.COMPLETED, True, "Accepted")


@ensure
async def test_nothing_is_written_before_it_is_committed_as_sent(start: Any) -> None:
    """Decision 5: a call is on disk as sent before its first byte leaves, at once and from the queue."""
    daemon = start()
    peer = await booted(daemon)
    with nothing_committed(daemon):
        pending = daemon.central.commands.call("CP1", setting("first"))
        assert (await peer.call("Heartbeat"))[0] == 3
    second = daemon.central.commands.call("CP1", setting("second"))
    asked = await peer.frame()
    assert (await message(daemon, asked[1])).state is MessageState.SENT
    with nothing_committed(daemon):
        peer.send([3, asked[1], {"status": "Accepted"}])
        assert (await peer.call("Heartbeat"))[0] == 3
        assert not done(pending)
    await within(pending)
    await accept(peer)
    await within(second)


async def _left_without_an_answer(daemon: Running, peer: Peer, value: str = "v") -> list[Any]:
    """A call of ours whose charger leaves before it answers; nobody knows its end."""
    pending = daemon.central.commands.call("CP1", setting(value))
    asked = await peer.frame()
    await peer.leave()
    with pytest.raises(OutcomeUnknown):
        await within(pending)
    return asked


@ensure
async def test_late_answer_after_a_reconnect(start: Any) -> None:
    """F-8: an answer that comes on the next connection completes the message as late, a CALLERROR as error; others do not."""
    daemon = start()
    completed, refused = [3, {"status": "Rejected"}], [4, "NotSupported", "", {}]
    for answer, state in ((completed, MessageState.COMPLETED), (refused, MessageState.ERROR)):
        peer = await booted(daemon)
        asked = await _left_without_an_answer(daemon, peer)
        stranger = await booted(daemon, "CP2")
        stranger.send([answer[0], asked[1], *answer[1:]])
        await stranger.silence()
        assert (await message(daemon, asked[1])).state is MessageState.UNKNOWN
        await stranger.leave()
        peer = await connect(daemon.port)
        peer.send([answer[0], asked[1], *answer[1:]])
        await peer.silence()
        await _settled(daemon)
        late = await message(daemon, asked[1])
        assert (late.state, late.late) == (state, True)
        await peer.leave()


@ensure
async def test_late_answers_all_at_once(start: Any) -> None:
    """F-8: of answers to calls of earlier connections that come in one go each completes its message, behind foreign ids, too."""
    daemon = start()
    asked = []
    for value in ("1", "2"):
        asked.append(await _left_without_an_answer(daemon, await booted(daemon), value))
    peer = await connect(daemon.port)
    for message_id in ("f" * OUR_ID_LENGTH, *(call[1] for call in asked)):
        peer.send([3, message_id, {"status": "Accepted"}])
    await peer.silence()
    await _settled(daemon)
    for call in asked:
        late = await message(daemon, call[1])
        assert (late.state, late.late) == (MessageState.COMPLETED, True)
    await peer.leave()


@ensure
async def test_late_answers_that_are_repeated(start: Any) -> None:
    """F-8: an answer that comes several times in one go counts once, as the one that came first, and is told to handlers once."""
    told: list[str] = []

    class Noting(CentralSystemHandlers):
        def ChangeConfigurationResponseHandler(self, charger: Any, request: Any, response: Any) -> None:
            """Note it."""
            told.append(response.status)

    daemon = start(handlers=use(Noting))
    asked = await _left_without_an_answer(daemon, await booted(daemon))
    peer = await connect(daemon.port)
    with nothing_committed(daemon):
        for status in ("Accepted", "Accepted", "Rejected"):
            peer.send([3, asked[1], {"status": status}])
        await arrived(peer)
        while daemon.central._ends._looking_up:
            await peer.silence()
    await storage_of(daemon).check()
    assert told == ["Accepted"]
    assert (await message(daemon, asked[1])).outcome == "Accepted"
    await peer.leave()


async def _settled(daemon: Running) -> None:
    """A late answer is looked up, then recorded."""
    while daemon.central._ends._looking_up:
        await storage_of(daemon).check()


@ensure
async def test_restart(start: Any, logged_errors: Any) -> None:
    """A restart turns what was sent into unknown, keeps what is queued, and the late answer still completes the message."""
    daemon = start()
    peer = await booted(daemon)
    lost = daemon.central.commands.call("CP1", setting("sent"))
    asked = await peer.frame()
    queued = await daemon.central.commands.submit("CP1", CLEAR)
    storage = storage_of(daemon)
    lost.addErrback(lambda _: None)
    crash(daemon)
    await storage.stop()
    await daemon.stop()
    logged_errors.flush(StorageUnavailable)
    again = Running(daemon.directory, chargers("CP1", "CP2")).start()
    try:
        assert (await message(again, asked[1])).state is MessageState.UNKNOWN
        assert (await message(again, queued.message_id)).state is MessageState.QUEUED
        peer = await connect(again.port)
        peer.send([3, asked[1], {"status": "Accepted"}])
        assert (await accept(peer))[1] == queued.message_id
        await peer.silence()
        await _settled(again)
        late = await message(again, asked[1])
        assert (late.state, late.late) == (MessageState.COMPLETED, True)
        await peer.leave()
    finally:
        await again.stop()


def crash(daemon: Running) -> None:
    """From here on nothing that the daemon does reaches its records, as if it had ended here."""
    storage = storage_of(daemon)
    storage._writer._accepting = False  # type: ignore[attr-defined]


# Secrets


def files_of(directory: Path) -> bytes:
    """All bytes of the database and of what SQLite keeps beside it; ours, which holds the key, left out."""
    found = [path for path in directory.glob("ocppd.sqlite*") if path.suffix not in (".key", ".lock")]
    assert len(found) >= 2, found
    return b"".join(path.read_bytes() for path in found)


@ensure
async def test_secrets_are_not_in_the_files(start: Any) -> None:
    """Decision 9: a queued AuthorizationKey is nowhere in plain text on disk, is shown nowhere, and is sent whole, also after a
    restart.
    """
    daemon = start()
    await known(daemon)
    record = await daemon.central.commands.submit("CP1", KEY)
    await daemon.central.commands.submit("CP1", setting("in plain text"))
    assert SECRET not in record.frame and "***" in record.frame
    assert b"in plain text" in files_of(daemon.directory)
    assert SECRET.encode() not in files_of(daemon.directory)
    await daemon.stop()
    again = Running(daemon.directory, chargers("CP1")).start()
    try:
        assert SECRET not in str(await message(again, record.message_id))
        peer = await connect(again.port)
        assert (await accept(peer))[3] == {"key": "AuthorizationKey", "value": SECRET}
        await accept(peer)
        await peer.silence()
        ended = await message(again, record.message_id)
        assert ended.state is MessageState.COMPLETED and ended.outcome == "Accepted"
        assert SECRET.encode() not in files_of(daemon.directory)
        await peer.leave()
    finally:
        await again.stop()


@ensure
@pytest.mark.parametrize(
    "answer",
    [
        [4, "PropertyConstraintViolation", f"bad value {SECRET}", {"value": SECRET}],
        [4, SECRET, "", {}],
        [3, {"status": "Rejected", "reason": SECRET}],
        [3, {"status": SECRET}],
        [3, [SECRET]],
    ],
)
async def test_answers_that_repeat_the_secret(start: Any, logged_errors: Any, answer: list[Any]) -> None:
    """Decision 9: a charger that repeats the key in its answer does not get it into the records, an error, or a handler."""
    told: list[Any] = []

    class Telling(CentralSystemHandlers):
        def OCPPErrorHandler(self, charger: Any, request: Any, error: CallErrorReceived) -> None:
            told.append(f"{error} {error.code} {error.description} {error.details}")

    daemon = start(handlers=use(Telling))
    peer = await booted(daemon)
    pending = daemon.central.commands.call("CP1", KEY)
    asked = await peer.frame()
    assert asked[3]["value"] == SECRET
    peer.send([answer[0], asked[1], *answer[1:]])
    outcome: list[Any] = []
    await within(pending.addBoth(outcome.append))
    assert SECRET not in str(outcome) + str(told) + str(await message(daemon, asked[1]))
    assert SECRET.encode() not in files_of(daemon.directory)


@ensure
async def test_secrets_in_configuration_answers(start: Any) -> None:
    """OP-03: an AuthorizationKey that a charger tells in GetConfiguration.conf is dropped, however it spells the key."""
    daemon = start()
    peer = await booted(daemon)
    pending = daemon.central.commands.call("CP1", GetConfigurationRequest())
    asked = await peer.frame()
    keys = '{"key":"\\u0041uthorizationkey","readonly":false,"value":"SECRET"},{"key":"k","readonly":true,"value":"v"}'
    peer.send(f'[3,"{asked[1]}",{{"configurationKey":[{keys.replace("SECRET", SECRET)}]}}]')
    await within(pending)
    record = await message(daemon, asked[1])
    assert SECRET not in (record.answer or "") and '"v"' in (record.answer or "")
    assert SECRET.encode() not in files_of(daemon.directory)


# Storage that fails


@ensure
async def test_storage_fails(start: Any, logged_errors: Any) -> None:
    """E-1: while nothing can be written chargers get InternalError and operators StorageUnavailable; afterwards all works."""
    daemon = start()
    peer = await booted(daemon)
    refuse_writes(daemon, True)
    assert is_error(await peer.call("StartTransaction", START), "InternalError")
    assert is_error(await peer.call("BootNotification", BOOT), "InternalError")
    assert (await peer.call("Heartbeat"))[0] == 3
    with pytest.raises(StorageUnavailable):
        await daemon.central.commands.submit("CP1", CLEAR)
    refuse_writes(daemon, False)
    assert len(logged_errors.flush()) >= 1
    assert (await peer.call("StartTransaction", START))[2]["idTagInfo"] == {"status": "Accepted"}
    assert len(await transactions(daemon)) == 1
    record = await daemon.central.commands.submit("CP1", CLEAR)
    assert (await accept(peer))[1] == record.message_id


@ensure
async def test_storage_fails_under_a_queue(start: Any, logged_errors: Any) -> None:
    """A queued call is not written while it cannot be committed as sent; it goes out when storage is back, once and in order."""
    daemon = start()
    peer = await booted(daemon)
    commands = daemon.central.commands
    first = await commands.submit("CP1", setting("first"))
    others = [await commands.submit("CP1", setting(str(number))) for number in range(2)]
    refuse_writes(daemon, True)
    assert (await accept(peer))[1] == first.message_id
    await peer.silence()
    with pytest.raises(StorageUnavailable):
        await storage_of(daemon).check()
    await peer.silence()
    refuse_writes(daemon, False)
    logged_errors.flush()
    # Whichever comes first: the next try of the queue's own, or the message that shows the charger to be there.
    peer.send([2, "asks", "Reset", {}])
    called = []
    for _ in range(3):
        frame = await peer.frame()
        if frame[0] == 2:
            called.append(frame[1])
            peer.send([3, frame[1], {"status": "Accepted"}])
        else:
            assert frame[1] == "asks" and is_error(frame, "NotSupported")
    assert called == [record.message_id for record in others]
    await peer.silence()


@ensure
async def test_storage_fails_at_a_handshake(start: Any, logged_errors: Any) -> None:
    """Handshakes while nothing can be written are 503 with Retry-After, which the log tells of once; they work afterwards."""
    from support.peer import handshake
    from support.wire import OFFER

    daemon = start()
    await storage_of(daemon).check()
    refuse_writes(daemon, True)
    for name in ("CP1", "CP1", "CP2"):
        response = await handshake(daemon.port, f"/ocppj/1.6/{name}", OFFER)
        assert response.status == 503 and response.header("retry-after")
    refuse_writes(daemon, False)
    told = [event["log_format"] for event in logged_errors.flush() if "a charger is refused" in event.get("log_format", "")]
    assert len(told) == 1
    assert (await (await connect(daemon.port)).boot())["status"] == "Accepted"


@ensure
async def test_a_locked_database(start: Any, logged_errors: Any) -> None:
    """A write lock that another program holds is InternalError to chargers when it lasts; nothing is lost, nothing hangs."""
    daemon = start()
    peer = await booted(daemon)
    pragma(daemon, "busy_timeout=50")
    with nothing_committed(daemon):
        assert is_error(await peer.call("StartTransaction", START), "InternalError")
    assert logged_errors.flush()
    assert (await peer.call("StartTransaction", START))[0] == 3


@ensure
async def test_cancelling_a_call_stops_the_waiting_only(start: Any) -> None:
    """Cancelling the Deferred of a call leaves the call alone: it keeps its slot until its answer, which is recorded."""
    daemon = start()
    peer = await booted(daemon)
    pending: Deferred[Any] = daemon.central.commands.call("CP1", setting("first"))
    asked = await peer.frame()
    pending.cancel()
    pending.addErrback(lambda _: None)
    next_record = await daemon.central.commands.submit("CP1", CLEAR)
    await peer.silence()
    peer.send([3, asked[1], {"status": "Accepted"}])
    assert (await accept(peer))[1] == next_record.message_id
    assert (await message(daemon, asked[1])).state is MessageState.COMPLETED
