"""What must hold when things go wrong in an awkward order: retries, reconnects, storage that comes and goes, odd chargers."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest
import pytest_twisted
from msgspec import structs
from twisted.internet.defer import CancelledError, Deferred, ensureDeferred
from twisted.logger import LogEvent, LogLevel, globalLogPublisher

from ocppd.central import dispatch
from ocppd.central.drain import ANSWER_GRACE_S
from ocppd.central.handlers import CentralSystemHandlers
from ocppd.errors import InvalidResponse, StorageUnavailable
from ocppd.storage.records import MessageFilter, MessageState, MeterValueFilter, TransactionState
from ocppd.storage.writer import WAITING_LIMIT
from ocppd.v16.core import ClearCacheRequest
from ocppd.v16.firmware import GetDiagnosticsRequest
from ocppd.v16.smart_charging import GetCompositeScheduleRequest
from ocppd.v16.types import RegistrationStatus
from support.central import Running, chargers
from support.holding import held, until
from support.peer import Response, connect, raw, within
from support.wire import (
    BOOT,
    START,
    STATUS,
    arrived,
    booted,
    is_error,
    journal,
    message,
    nothing_committed,
    offline,
    refuse_writes,
    storage_of,
    transactions,
    use,
)

ensure = pytest_twisted.ensureDeferred
pytestmark = pytest.mark.usefixtures("both_lanes")
CLEAR = ClearCacheRequest()
STOP = {"transactionId": 1, "meterStop": 150, "timestamp": "2026-03-04T06:00:00Z"}
UNREADABLE = ("", "garbage", "2026-13-45T00:00:00Z", "0001-01-01T00:00:00+14:00")


@contextmanager
def log_lines(text: str) -> Iterator[list[LogEvent]]:
    """The events at `info` and above whose format has `text` in it."""
    found: list[LogEvent] = []

    def observe(event: LogEvent) -> None:
        if event["log_level"] >= LogLevel.info and text in str(event.get("log_format")):
            found.append(event)

    globalLogPublisher.addObserver(observe)
    try:
        yield found
    finally:
        globalLogPublisher.removeObserver(observe)


# Retries


@ensure
async def test_a_retry_with_the_same_id_is_run_again(start: Any, logged_errors: Any) -> None:
    """E-1, F-6: after an InternalError the very same frame is run again once storage is back, and its transaction stops."""
    daemon = start()
    peer = await booted(daemon)
    await peer.call("StartTransaction", START)
    refuse_writes(daemon, True)
    assert is_error(await peer.ask([2, "same", "StopTransaction", STOP]), "InternalError")
    refuse_writes(daemon, False)
    assert (await peer.ask([2, "same", "StopTransaction", STOP]))[0] == 3
    [transaction] = await transactions(daemon)
    assert (transaction.state, transaction.energy_wh) == (TransactionState.STOPPED, 50)
    logged_errors.flush()


@ensure
@pytest.mark.parametrize("timestamp", UNREADABLE)
async def test_unreadable_timestamps_are_recognised_again(start: Any, timestamp: str) -> None:
    """T-3, T-23, M-9: messages whose timestamp cannot be read are recognised when they are repeated."""
    daemon = start()
    peer = await booted(daemon)
    begin = {**START, "timestamp": timestamp}
    values = {"connectorId": 1, "meterValue": [{"timestamp": timestamp, "sampledValue": [{"value": "120"}]}]}
    end = {**STOP, "timestamp": timestamp}
    ids = [(await peer.call("StartTransaction", begin))[2]["transactionId"] for _ in range(3)]
    assert ids == [1, 1, 1]
    for payload in (values, values):
        assert (await peer.call("MeterValues", payload))[2] == {}
    for _ in range(2):
        assert (await peer.call("StopTransaction", end))[2] == {}
    [transaction] = await transactions(daemon)
    assert (transaction.state, transaction.energy_wh) == (TransactionState.STOPPED, 50)
    assert "timestampUnreadable" in transaction.flags
    [element] = await storage_of(daemon).list_meter_values(MeterValueFilter(), None, 10)
    assert element.transaction_id == 1
    assert [record.outcome for record in await journal(daemon, "StopTransaction")] == [None, "repeated"]


# Registration


@ensure
async def test_a_verdict_that_is_still_to_come(start: Any) -> None:
    """2.2: while a handler decides about a boot the charger is not accepted, not on a second connection either."""
    verdict: Deferred[RegistrationStatus] = Deferred()

    class Slow(CentralSystemHandlers):
        async def BootNotificationRequestHandler(self, charger: Any, request: Any, answer: Any) -> Any:
            return structs.replace(answer, status=await verdict)

    daemon = start(handlers=use(Slow))
    first = await connect(daemon.port)
    first.send([2, "boot", "BootNotification", BOOT])
    await arrived(first)
    second = await connect(daemon.port)
    assert await within(first.closed) == 4000
    assert is_error(await second.call("StartTransaction", START), "SecurityError")
    verdict.callback(RegistrationStatus.REJECTED)
    assert is_error(await second.call("StartTransaction", START), "SecurityError")
    assert await transactions(daemon) == []
    await second.leave()


@ensure
async def test_a_verdict_holds_on_the_newest_connection(start: Any) -> None:
    """2.2: a boot that is accepted late is accepted on the connection that the charger has by then, and stays so."""
    verdict: Deferred[RegistrationStatus] = Deferred()

    class Slow(CentralSystemHandlers):
        async def BootNotificationRequestHandler(self, charger: Any, request: Any, answer: Any) -> Any:
            return structs.replace(answer, status=await verdict)

    daemon = start(handlers=use(Slow))
    first = await connect(daemon.port)
    first.send([2, "boot", "BootNotification", BOOT])
    await arrived(first)
    second = await connect(daemon.port)
    assert await within(first.closed) == 4000
    assert is_error(await second.call("Heartbeat"), "SecurityError")
    verdict.callback(RegistrationStatus.ACCEPTED)
    await storage_of(daemon).check()
    assert (await second.call("Heartbeat"))[0] == 3
    await second.leave()


@ensure
async def test_a_verdict_that_never_comes(start: Any, logged_errors: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """2.2: a handler that does not decide about a boot in time lets nobody in; the charger is told to come again."""
    monkeypatch.setattr(dispatch, "RECORDED_DEADLINE_S", 0.1)

    class Undecided(CentralSystemHandlers):
        def BootNotificationRequestHandler(self, charger: Any, request: Any, answer: Any) -> Any:
            return Deferred()

    daemon = start(handlers=use(Undecided))
    peer = await connect(daemon.port)
    assert is_error(await peer.call("BootNotification", BOOT), "InternalError")
    assert is_error(await peer.call("Heartbeat"), "SecurityError")
    await peer.leave()
    peer = await connect(daemon.port)
    assert is_error(await peer.call("Heartbeat"), "SecurityError")
    assert len(logged_errors.flush()) == 1
    await peer.leave()


@ensure
async def test_an_accepted_interval_is_never_nothing(start: Any) -> None:
    """B-1: a handler's Accepted with interval 0 goes out with the configured one; Pending may say 0."""

    class Zero(CentralSystemHandlers):
        def BootNotificationRequestHandler(self, charger: Any, request: Any, answer: Any) -> Any:
            return structs.replace(answer, interval=0)

    peer = await connect(start(chargers("CP1", HeartBeatInterval=77), handlers=use(Zero)).port)
    assert (await peer.boot())["interval"] == 77
    await peer.leave()


# Handlers


@ensure
async def test_a_handler_that_will_not_be_cancelled(start: Any, logged_errors: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """S-8: a handler that goes on when it is cancelled is answered for at its deadline, and the next message is run."""
    monkeypatch.setattr(dispatch, "RECORDED_DEADLINE_S", 0.1)
    forever: list[Deferred[None]] = []

    class Stubborn(CentralSystemHandlers):
        async def StartTransactionRequestHandler(self, charger: Any, request: Any, answer: Any) -> Any:
            while True:
                try:
                    forever.append(Deferred())
                    await forever[-1]
                except CancelledError:
                    continue

    daemon = start(handlers=use(Stubborn))
    peer = await booted(daemon)
    assert (await peer.call("StartTransaction", START))[2]["transactionId"] == 1
    await peer.silence()
    assert len(logged_errors.flush()) == 1
    await peer.leave()
    forever[-1].addErrback(lambda _: None)
    forever[-1].errback(RuntimeError("at last"))


@ensure
@pytest.mark.parametrize("orderly", [True, False])
async def test_what_a_charger_has_told_before_it_left(start: Any, orderly: bool) -> None:
    """S-4, G-12: what a charger that waits for no answer has told of transactions is recorded in order, though it hangs up."""
    daemon = start()
    peer = await booted(daemon)
    with nothing_committed(daemon):
        later = {**START, "meterStart": START["meterStart"] + 1}
        nameless = {**STOP, "transactionId": -1}
        told = [("Heartbeat", {}), ("StatusNotification", STATUS), ("StartTransaction", START), ("StatusNotification", STATUS)]
        told += [("StopTransaction", nameless), ("DataTransfer", {"vendorId": "v"}), ("StartTransaction", later)]
        for number, (action, payload) in enumerate(told):
            peer.send([2, str(number), action, payload])
        await arrived(peer)
        if orderly:
            await peer.leave()
        else:
            peer.transport.abortConnection()
            await within(peer.closed)
    await until(lambda: _count(daemon, 2))
    assert [each.state for each in await transactions(daemon)] == [TransactionState.STOPPED, TransactionState.OPEN]
    assert len(await journal(daemon, "StatusNotification")) == 1
    again = await booted(daemon)
    for message_id, payload, number in (("6", later, 2), ("2", START, 1)):
        assert (await again.ask([2, message_id, "StartTransaction", payload]))[2]["transactionId"] == number
    await again.leave()


async def _count(daemon: Running, number: int) -> bool:
    return len(await transactions(daemon)) == number


@ensure
async def test_a_follow_up_of_a_connection_that_is_gone(start: Any) -> None:
    """A follow-up that is asked for when the charger has left waits for it, where its action does."""
    asked: list[Any] = []

    class Asking(CentralSystemHandlers):
        def StatusNotificationRequestHandler(self, charger: Any, request: Any, answer: Any) -> Any:
            asked.append(charger)

    daemon = start(handlers=use(Asking))
    peer = await booted(daemon)
    await peer.call("StatusNotification", {"connectorId": 1, "errorCode": "NoError", "status": "Available"})
    await peer.leave()
    await offline(daemon)
    asked[0].follow_up(CLEAR)
    await storage_of(daemon).check()
    peer = await connect(daemon.port)
    assert (await peer.frame())[2] == "ClearCache"
    await peer.leave()


# Storage that comes and goes


@ensure
async def test_a_full_writer_does_not_stop_the_reactor(start: Any) -> None:
    """While storage takes no more writes a queued call stays queued, chargers are answered, and it goes out afterwards."""
    daemon = start()
    peer = await booted(daemon)
    commands = daemon.central.commands
    first, second = [await commands.submit("CP1", CLEAR) for _ in range(2)]
    assert (await peer.frame())[1] == first.message_id
    writer: Any = storage_of(daemon)._writer  # type: ignore[attr-defined]
    writer._waiting += WAITING_LIMIT
    peer.send([3, first.message_id, {"status": "Accepted"}])
    await peer.silence()
    writer._waiting -= WAITING_LIMIT
    peer.send([2, "next", "Heartbeat", {}])
    frames = [await peer.frame(), await peer.frame()]
    assert {frame[1] for frame in frames} == {"next", second.message_id}
    peer.send([3, second.message_id, {"status": "Accepted"}])
    await peer.silence()
    await peer.leave()


@ensure
async def test_an_outage_fills_no_log(start: Any, logged_errors: Any) -> None:
    """While storage is down the looking through of queued calls logs no traceback, however often it comes round."""
    daemon = start()
    await storage_of(daemon).check()
    refuse_writes(daemon, True)
    daemon.service._expire()
    with pytest.raises(StorageUnavailable):
        await storage_of(daemon).check()
    refuse_writes(daemon, False)
    told = logged_errors.flush()
    assert told, "the writer tells of it"
    assert all(isinstance(each, dict) for each in told), told  # lines, no failure with its traceback


@ensure
async def test_the_end_of_a_call_is_not_forgotten(start: Any, logged_errors: Any) -> None:
    """An answer that could not be recorded when it came is recorded as soon as storage is back."""
    daemon = start()
    peer = await booted(daemon)
    record = await daemon.central.commands.submit("CP1", CLEAR)
    await peer.frame()
    refuse_writes(daemon, True)
    peer.send([3, record.message_id, {"status": "Accepted"}])
    await peer.silence()
    with pytest.raises(StorageUnavailable):
        await storage_of(daemon).check()
    refuse_writes(daemon, False)
    assert (await message(daemon, record.message_id)).state is MessageState.SENT
    await daemon.central.commands.expire()
    assert (await message(daemon, record.message_id)).state is MessageState.COMPLETED
    logged_errors.flush()
    await peer.leave()


# Odd answers


@ensure
async def test_a_wrong_answer_with_a_readable_status(start: Any) -> None:
    """E-4: a CALLRESULT that breaks the definition is an invalid response, with the status that could be read as outcome."""
    daemon = start()
    peer = await booted(daemon)
    call = daemon.central.commands.call("CP1", GetCompositeScheduleRequest(connector_id=1, duration=60))
    frame = await peer.frame()
    peer.send([3, frame[1], {"status": "Accepted", "chargingSchedule": {"chargingRateUnit": 7}}])
    with pytest.raises(InvalidResponse):
        await within(call)
    record = await message(daemon, frame[1])
    assert (record.state, record.outcome) == (MessageState.ERROR, "Accepted")
    await peer.leave()


@ensure
async def test_credentials_in_what_a_charger_complains_of(start: Any) -> None:
    """Decision 9: a URL's credentials are not kept when the charger repeats them in its error."""
    daemon = start()
    peer = await booted(daemon)
    url = "ftp://user:hidden@files.example/x"
    call = daemon.central.commands.call("CP1", GetDiagnosticsRequest(location=url))
    frame = await peer.frame()
    assert frame[3]["location"] == url
    peer.sendMessage(b'[4,"%s","GenericError","cannot reach %s",{"url":"%s"}]' % (
        frame[1].encode(), url.encode(), url.replace("/", "\\/").encode()))  # fmt: skip
    with pytest.raises(Exception, match="GenericError"):
        await within(call)
    record = await message(daemon, frame[1])
    assert "hidden" not in record.frame + (record.answer or "")
    assert "files.example" in (record.answer or "")
    await peer.leave()


@ensure
async def test_a_ping_is_proof_of_life(start: Any) -> None:
    """C-3: a ping of the charger moves its last_seen."""
    daemon = start()
    peer = await booted(daemon)
    connection = daemon.central.chargers.connection("CP1")
    connection.last_seen_ms = 0
    await arrived(peer)
    assert connection.last_seen_ms > 0
    await peer.leave()


@ensure
async def test_oddities_are_told_once(start: Any) -> None:
    """A charger that sends the same oddity with every message fills no log: it is told once per connection."""
    daemon = start()
    peer = await booted(daemon)
    with log_lines("{charger}:") as lines:
        for _ in range(30):
            peer.send("")
            peer.send([7, "x", {}])
            peer.send([3, "never-ours", {}])
            await peer.call("NoSuchAction")
            await peer.call("Authorize", {"idTag": "x" * 30})
        await peer.silence()
    assert len(lines) <= 5, [line["log_format"] for line in lines]
    assert len(lines) >= 3
    await peer.leave()


# Operators


async def http(port: int, request: str) -> Response:
    client = await raw(port)
    client.write(f"{request} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    return Response(await within(client.lost))


@ensure
async def test_a_removed_charger_can_be_seen_and_closed(start: Any) -> None:
    """A charger that SIGHUP removed is listed while it is connected, and an operator can close its connection."""
    daemon = start(chargers("CP1", "CP2"))
    peer = await booted(daemon, "CP2")
    daemon.configure(chargers("CP1"))
    daemon.service.reload()
    assert b'"CP2"' in (await http(daemon.port, "GET /api/v1/chargers")).body
    assert (await http(daemon.port, "DELETE /api/v1/chargers/CP2/connection")).status == 204
    assert await within(peer.closed) == 1001
    await offline(daemon)
    assert b'"CP2"' not in (await http(daemon.port, "GET /api/v1/chargers")).body


@ensure
async def test_no_command_is_taken_while_stopping(tmp_path: Any) -> None:
    """A request on a kept-alive connection while the daemon stops is 503: its command would be lost."""
    daemon = Running(tmp_path, chargers("CP1")).start()
    peer = await booted(daemon)
    client = await raw(daemon.port)
    client.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await client.until(b"\r\n\r\nok")
    stopped = ensureDeferred(daemon.stop())
    client.write(b"POST /api/v1/chargers/CP1/commands/ClearCache HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    await within(client.lost)
    assert b" 503 Service Unavailable" in client.received
    await within(stopped)
    assert await within(peer.closed) == 1001


@ensure
async def test_chargers_are_answered_before_they_are_closed(tmp_path: Any) -> None:
    """E-1, C-5: all that is on record when the daemon has stopped was answered, also to a charger that goes on sending."""
    daemon = Running(tmp_path, chargers("CP1", "CP2")).start()
    silent, peer = await booted(daemon, "CP2"), await booted(daemon)
    sent: list[str] = []
    answered: list[str] = []

    def send_next() -> None:
        sent.append(f"m{len(sent)}")
        peer.send([2, sent[-1], "StatusNotification", STATUS])

    def go_on(payload: bytes, _: bool) -> None:
        answered.append(json.loads(payload)[1])
        send_next()

    peer.onMessage = go_on
    release = held(storage_of(daemon))
    send_next()
    send_next()
    await arrived(peer)
    stopped = ensureDeferred(daemon.stop())
    release.set()
    assert [await within(each.closed) for each in (peer, silent)] == [1001, 1001]
    await within(stopped)
    with closing(sqlite3.connect(tmp_path / "ocppd.sqlite")) as database:
        rows = database.execute("SELECT message_id FROM messages WHERE action = 'StatusNotification' ORDER BY sequence")
        assert [row[0] for row in rows] == answered
    assert answered[:2] == ["m0", "m1"] and len(answered) < len(sent) < 9


@ensure
async def test_what_a_charger_has_told_before_it_left_a_daemon_that_stops(tmp_path: Any) -> None:
    """S-4, C-5: the end of the daemon waits for what a charger has told of transactions that hung up before it."""
    daemon = Running(tmp_path, chargers("CP1")).start()
    peer = await booted(daemon)
    with nothing_committed(daemon):
        for number in range(20):
            peer.send([2, f"start {number}", "StartTransaction", {**START, "meterStart": number}])
        await arrived(peer)
        await peer.leave()
        stopped = ensureDeferred(daemon.stop())
    await within(stopped)
    with closing(sqlite3.connect(tmp_path / "ocppd.sqlite")) as database:
        assert database.execute("SELECT count(*) FROM transactions").fetchone() == (20,)


@ensure
async def test_the_daemon_stops_while_the_records_stand_still(tmp_path: Any) -> None:
    """C-5: a charger whose message cannot be recorded now holds the end of the daemon up for some seconds, and is closed then."""
    daemon = Running(tmp_path, chargers("CP1")).start()
    peer = await booted(daemon)
    release = held(storage_of(daemon))
    peer.send([2, "status", "StatusNotification", STATUS])
    await arrived(peer)
    stopped = ensureDeferred(daemon.stop())
    try:
        assert await within(peer.closed, 3 * ANSWER_GRACE_S) == 1001
    finally:
        release.set()
    await within(stopped)


@ensure
async def test_who_waits_is_answered_when_the_daemon_stops(tmp_path: Any) -> None:
    """`?wait=`: an operator who waits for a silent charger while the daemon stops is told that the outcome is unknown."""
    daemon = Running(tmp_path, chargers("CP1")).start()
    peer = await booted(daemon)
    clients = [await raw(daemon.port) for _ in range(2)]
    for client in clients:
        client.write(
            b"POST /api/v1/chargers/CP1/commands/ClearCache?wait=60 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        )

    async def taken() -> bool:
        assert daemon.service._storage is not None
        journal = await daemon.service._storage.list_messages(MessageFilter(), None, 9)
        return sorted(each.state for each in journal if each.action == "ClearCache") == [MessageState.QUEUED, MessageState.SENT]

    await until(taken)
    await peer.frame()
    await within(ensureDeferred(daemon.stop()))
    answers = [await within(client.lost) for client in clients]
    assert sorted(Response(answer).status for answer in answers) == [202, 504]
    assert await within(peer.closed) == 1001
