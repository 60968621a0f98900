"""Frames on the wire. CASES.md FR; REQUIREMENTS 1.5 and 1.6."""

from __future__ import annotations

import json
from decimal import Decimal
from importlib.resources import files
from typing import Any

import pytest
import pytest_twisted
from jsonschema import Draft4Validator
from twisted.internet.defer import Deferred

from ocppd.central.handlers import CentralSystemHandlers
from ocppd.errors import CallErrorReceived, CallTimeout, Disconnected, OutcomeUnknown
from ocppd.storage.records import MessageState
from ocppd.v16.actions import ACTIONS
from ocppd.v16.codec import build
from ocppd.v16.core import ChangeConfigurationRequest, ClearCacheRequest, GetConfigurationRequest
from ocppd.v16.types import Message
from support.central import chargers
from support.examples import example, kind_of, payload
from support.peer import connect, within
from support.wire import (
    BINARY,
    START,
    TEXT,
    arrived,
    booted,
    done,
    frame,
    is_error,
    journal,
    message,
    offline,
    raw_session,
    transactions,
    use,
)

ensure = pytest_twisted.ensureDeferred
pytestmark = pytest.mark.usefixtures("both_ways")
STRICT = chargers("CP1", Mode="strict")
SET = ChangeConfigurationRequest(key="MeterValueSampleInterval", value="60")


def official(name: str) -> Draft4Validator:
    """The schema of the Open Charge Alliance, as the `ocpp` package carries it."""
    text = files("ocpp").joinpath("v16", "schemas", f"{name}.json").read_text(encoding="utf-8-sig")
    return Draft4Validator(json.loads(text, parse_float=Decimal))


@ensure
async def test_fr_01_heartbeat(start: Any) -> None:
    """FR-01: a Heartbeat is answered with exactly three elements and a UTC time in whole seconds."""
    peer = await booted(start())
    answer = await peer.ask([2, "1", "Heartbeat", {}])
    assert answer[:2] == [3, "1"] and len(answer) == 3
    assert list(answer[2]) == ["currentTime"]
    assert len(answer[2]["currentTime"]) == 20 and answer[2]["currentTime"].endswith("Z")


@ensure
@pytest.mark.parametrize("name", ["heartbeat", "/Heartbeat", "Heartbeat.req", "", "x" * 100_000, "Héartbeat\n"])
async def test_fr_03_unknown_actions(start: Any, name: str) -> None:
    """FR-03: a name of no action, wrong letter case included, is NotImplemented with empty details (F-4)."""
    peer = await booted(start())
    answer = await peer.ask([2, "1", name, {}])
    assert is_error(answer, "NotImplemented") and answer[1] == "1" and answer[4] == {}
    await peer.silence()


@ensure
async def test_fr_05_actions_of_a_central_system(start: Any) -> None:
    """FR-05: what only a central system sends is NotSupported, for each such action."""
    peer = await booted(start())
    for name, action in ACTIONS.items():
        if not action.from_charger:
            assert is_error(await peer.ask([2, name, name, {}]), "NotSupported"), name
    assert is_error(await peer.ask([2, "1", "Reset", {"type": "Soft"}]), "NotSupported")


@ensure
@pytest.mark.parametrize("configuration", [None, STRICT], ids=["tolerant", "strict"])
async def test_fr_06_wrong_arity(start: Any, configuration: Any) -> None:
    """FR-06: a CALL of three or five elements, or without a textual action, is FormationViolation with its id (F-11)."""
    peer = await booted(start(configuration))
    for elements in (["Heartbeat"], ["Heartbeat", {}, 1], [], [5, {}], [None, {}], ["Heartbeat", []], ["Heartbeat", "x"]):
        answer = await peer.ask([2, "1", *elements])
        assert is_error(answer, "FormationViolation") and answer[1] == "1", elements
    await peer.silence()


@ensure
async def test_fr_08_no_frames(start: Any) -> None:
    """FR-08: what is no frame is not answered; twenty in a row close with 1002, a readable one starts anew (F-10)."""
    peer = await booted(start())
    for text in ("{", "5", '"x"', "{}", "[]", "[2]"):
        peer.send(text)
    await peer.silence()
    for _ in range(19):
        peer.send("{")
    await peer.silence()
    for _ in range(20):
        peer.send("[]")
    assert await within(peer.closed) == 1002


@ensure
async def test_fr_10_length_of_ids(start: Any) -> None:
    """FR-10: 36 characters are answered; 37 are FormationViolation with the same id in strict mode, answered else (F-7)."""
    for configuration, longest in ((STRICT, 36), (None, 255)):
        peer = await booted(start(configuration))
        good, bad = "x" * longest, "x" * (longest + 1)
        assert (await peer.ask([2, good, "Heartbeat", {}]))[:2] == [3, good]
        answer = await peer.ask([2, bad, "Heartbeat", {}])
        assert is_error(answer, "FormationViolation") and answer[1] == bad
        await peer.silence()


@ensure
async def test_f_7_odd_ids(start: Any) -> None:
    """F-7: a number is echoed unchanged in tolerant mode and refused in strict; empty and null are FormationViolation."""
    peer = await booted(start())
    assert (await peer.ask('[2,17,"Heartbeat",{}]'))[:2] == [3, 17]
    for configuration in (None, STRICT):
        peer = await booted(start(configuration))
        for text, wire_id in (('[2,"","Heartbeat",{}]', ""), ('[2,null,"Heartbeat",{}]', None)):
            answer = await peer.ask(text)
            assert is_error(answer, "FormationViolation") and answer[1] == wire_id
    answer = await peer.ask('[2,17,"Heartbeat",{}]')
    assert is_error(answer, "FormationViolation") and answer[1] == 17
    peer.send('[2,true,"Heartbeat",{}]')
    peer.send('[2,{"a":1},"Heartbeat",{}]')
    await peer.silence()


@ensure
async def test_fr_12_repeats(start: Any) -> None:
    """FR-12: the identical frame gets the identical answer and has its effect once; other content is a new call (F-6)."""
    daemon = start()
    peer = await booted(daemon)
    first = await peer.ask([2, "1", "StartTransaction", START])
    assert await peer.ask([2, "1", "StartTransaction", START]) == first
    other = await peer.ask([2, "1", "StartTransaction", {**START, "connectorId": 2}])
    assert other[2]["transactionId"] != first[2]["transactionId"]
    assert len(await transactions(daemon)) == 2
    assert len(await journal(daemon, "StartTransaction")) == 2


@ensure
async def test_fr_12_repeat_while_in_progress(start: Any) -> None:
    """FR-12: a repeat while the first is in progress is answered once and run once (F-6)."""
    waiting: list[Deferred[None]] = []

    class Slow(CentralSystemHandlers):
        def DataTransferRequestHandler(self, charger: Any, request: Any, answer: Any) -> Any:
            waiting.append(Deferred())
            return waiting[-1]

    daemon = start(handlers=use(Slow))
    peer = await booted(daemon)
    for _ in range(3):
        peer.send([2, "1", "DataTransfer", {"vendorId": "v"}])
    peer.send([2, "2", "Heartbeat", {}])
    session = daemon.central.chargers.connection("CP1")
    while not waiting or not session.session._waiting:
        await message_loop()
    [only] = waiting
    only.callback(None)
    assert (await peer.frame())[:2] == [3, "1"]
    assert (await peer.frame())[:2] == [3, "2"]
    await peer.silence()


async def message_loop() -> None:
    """One turn of the reactor."""
    from twisted.internet import reactor
    from twisted.internet.task import deferLater

    await deferLater(reactor, 0)


HOSTILE = {
    "NaN": '[2,"1","DataTransfer",{"vendorId":"v","data":NaN}]',
    "Infinity": '[2,"1","Heartbeat",{"a":-Infinity}]',
    "NUL": '[2,"1","DataTransfer",{"vendorId":"v\\u0000","data":"\\u0000"}]',
    "NUL in a recorded text": '[2,"1","StatusNotification",'
    '{"connectorId":1,"errorCode":"NoError","status":"Available","info":"\\u0000"}]',
    "lone surrogate": '[2,"1","DataTransfer",{"vendorId":"\\ud800","data":"\\udfff"}]',
    "lone surrogate in id": '[2,"\\ud800","Heartbeat",{}]',
    "lone surrogate in action": '[2,"1","\\ud800",{}]',
    "lone surrogate in a member": '[2,"1","ChangeConfiguration",{"\\ud800":1}]',
    "nested arrays": '[2,"1","Heartbeat",' + "[" * 10_000 + "]" * 10_000 + "]",
    "nested objects": '[2,"1","DataTransfer",{"vendorId":"v","data":' + '{"a":' * 10_000 + "1" + "}" * 10_000 + "}]",
    "nested in what is shown": '[2,"1","ChangeConfiguration",{"key":' + "[" * 10_000 + "]" * 10_000 + "}]",
    "only nested": "[" * 10_000 + "]" * 10_000,
    "nested and open": "[" * 100_000,
    "400 digits": '[2,"1","MeterValues",{"connectorId":' + "9" * 400 + ',"meterValue":[]}]',
    "5000 digits": '[2,"1","MeterValues",{"connectorId":1,"transactionId":' + "9" * 5000 + ',"meterValue":[]}]',
    "digits as type": "[" + "2" * 400 + ',"1","Heartbeat",{}]',
    "exponent": '[2,"1","MeterValues",{"connectorId":1e999999999,"meterValue":[]}]',
    "number as id": '[2,1e400,"Heartbeat",{}]',
    "repeated members": '[2,"1","Heartbeat",{"a":1,"a":2}]',
    "BOM": '\ufeff[2,"1","Heartbeat",{}]',
    "trailing garbage": '[2,"1","Heartbeat",{}] x',
    "a fat member": '[2,"1","DataTransfer",{"vendorId":"v","data":"' + "x" * 3_000_000 + '"}]',
}


@ensure
@pytest.mark.parametrize("strict", [False, True], ids=["tolerant", "strict"])
@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
async def test_fr_15_hostile_json(start: Any, text: str, strict: bool) -> None:
    """FR-15: hostile JSON is answered or ignored, nothing crashes, the next Heartbeat works, and it can be shown (F-12)."""
    daemon = start(STRICT if strict else None)
    peer = await booted(daemon)
    peer.send(text)
    answer = await peer.ask([2, "next", "Heartbeat", {}])
    if answer[1] != "next":
        assert answer[0] in (3, 4)
        answer = await peer.frame()
    assert answer[:2] == [3, "next"]
    assert len(daemon.central.queries.remembered("CP1")) in (1, 2)


@ensure
async def test_half_a_character_in_strict_mode(start: Any) -> None:
    """1.7, F-12: an escape of half a character is JSON, so strict mode answers it with its error, and does not keep silent."""
    daemon = start(STRICT)
    peer = await booted(daemon)
    answer = await peer.ask(r'[2,"1","Authorize",{"idTag":"\ud800"}]')
    assert answer[:3] == [4, "1", "PropertyConstraintViolation"] and answer[4]["path"] == "/idTag"
    pending = daemon.central.commands.call("CP1", SET)
    asked = await peer.frame()
    peer.send(rf'[4,"{asked[1]}","NotSupported","\udfff",{{}}]')
    with pytest.raises(CallErrorReceived):
        await within(pending)
    await peer.leave()


@ensure
async def test_remembered_messages_are_bounded(start: Any) -> None:
    """What is kept in memory of a charger's messages stays small, however fat they are."""
    daemon = start()
    peer = await booted(daemon)
    for number in range(3):
        await peer.ask([2, str(number), "DataTransfer", {"vendorId": "v", "data": "x" * 1_000_000}])
        await peer.ask([2, f"{number}a", "x" * 1_000_000, {}])
    kept = daemon.central.chargers.recent("CP1")
    assert [exchange.call.message_id for exchange in kept] == ["2", "1", "0"]
    assert sum(len(exchange.call.payload) + len(exchange.answer) for exchange in kept) < 10_000


@ensure
async def test_fr_18_strays(start: Any) -> None:
    """FR-18: answers to nothing of ours are never answered, and complete nothing (F-8, F-10)."""
    daemon = start()
    peer = await booted(daemon)
    pending = daemon.central.commands.call("CP1", SET)
    asked = await peer.frame()
    foreign = "00000000-0000-0000-0000-000000000000"
    for stray in ([3, "zzz", {}], [4, "zzz", "X", "", {}], [4, "-1", "GenericError", "", {}], [3, foreign, {}], [3, foreign]):
        peer.send(stray)
    await peer.silence()
    assert not done(pending)
    peer.send([3, asked[1], {"status": "Accepted"}])
    assert (await within(pending)).status == "Accepted"


@ensure
async def test_fr_19_calls_cross(start: Any) -> None:
    """FR-19: three Heartbeats are answered while our call waits, which completes afterwards (S-2)."""
    daemon = start()
    peer = await booted(daemon)
    pending = daemon.central.commands.call("CP1", SET)
    asked = await peer.frame()
    assert asked[2:] == ["ChangeConfiguration", {"key": "MeterValueSampleInterval", "value": "60"}]
    for number in range(3):
        assert (await peer.ask([2, str(number), "Heartbeat", {}]))[:2] == [3, str(number)]
    assert not done(pending)
    peer.send([3, asked[1], {"status": "Accepted"}])
    assert (await within(pending)).status == "Accepted"


@ensure
async def test_fr_20_one_outstanding_call(start: Any) -> None:
    """FR-20: the second of two commands goes out after the answer to the first; another charger is not delayed (S-1)."""
    daemon = start()
    one, two = await booted(daemon), await booted(daemon, "CP2")
    first, second = daemon.central.commands.call("CP1", SET), daemon.central.commands.call("CP1", ClearCacheRequest())
    other = daemon.central.commands.call("CP2", ClearCacheRequest())
    asked = await one.frame()
    assert asked[2] == "ChangeConfiguration"
    elsewhere = await two.frame()
    two.send([3, elsewhere[1], {"status": "Accepted"}])
    await within(other)
    await one.silence()
    assert not done(second)
    one.send([3, asked[1], {"status": "Accepted"}])
    await within(first)
    asked = await one.frame()
    assert asked[2] == "ClearCache"
    one.send([3, asked[1], {"status": "Rejected"}])
    assert (await within(second)).status == "Rejected"


@ensure
async def test_fr_21_timeout_and_late_answer(start: Any) -> None:
    """FR-21: a silent charger's call times out, the next is sent, the late answer completes the first alone (S-5, F-8)."""
    daemon = start(chargers("CP1", CallTimeout=1))
    peer = await booted(daemon)
    first, second = daemon.central.commands.call("CP1", SET), daemon.central.commands.call("CP1", ClearCacheRequest())
    asked = await peer.frame()
    with pytest.raises(CallTimeout):
        await within(first)
    assert (await message(daemon, asked[1])).state is MessageState.TIMEOUT
    next_asked = await peer.frame()
    assert next_asked[2] == "ClearCache"
    peer.send([3, asked[1], {"status": "RebootRequired"}])
    await peer.silence()
    assert not done(second)
    late = await message(daemon, asked[1])
    assert (late.state, late.late, late.outcome) == (MessageState.COMPLETED, True, "RebootRequired")
    peer.send([3, next_asked[1], {"status": "Accepted"}])
    await within(second)
    assert not (await message(daemon, next_asked[1])).late


@ensure
async def test_fr_22_disconnected(start: Any) -> None:
    """FR-22: at the loss of the link the written call is unknown, the next ones end or stay queued as their actions say (S-6)."""
    daemon = start()
    peer = await booted(daemon)
    commands = daemon.central.commands
    written = commands.call("CP1", SET)
    asked = await peer.frame()
    failing, queueing = commands.call("CP1", GetConfigurationRequest()), await commands.submit("CP1", ClearCacheRequest())
    await peer.leave()
    with pytest.raises(OutcomeUnknown):
        await within(written)
    with pytest.raises(Disconnected) as lost:
        await within(failing)
    assert (await message(daemon, asked[1])).state is MessageState.UNKNOWN
    ended = await message(daemon, lost.value.message_id)
    assert (ended.state, "lost" in (ended.detail or "")) == (MessageState.ERROR, True)
    assert (await message(daemon, queueing.message_id)).state is MessageState.QUEUED
    again = await connect(daemon.port)
    assert (await again.frame())[1:3] == [queueing.message_id, "ClearCache"]


@ensure
@pytest.mark.parametrize(
    ("elements", "code"),
    [
        (["NotSupported", "", {}], "NotSupported"),
        (["NotSupported", ""], "NotSupported"),
        (["NotSupported"], "NotSupported"),
        ([], "GenericError"),
        (["FormatViolation", "why", {}], "FormationViolation"),
        (["OccurrenceConstraintViolation", None, None], "OccurenceConstraintViolation"),
        (["SomethingElse", 5, []], "SomethingElse"),
    ],
)
async def test_fr_24_callerror_is_an_outcome(start: Any, elements: list[Any], code: str) -> None:
    """FR-24: a CALLERROR of any length and code ends the call with that code, and nothing else (E-3, F-11)."""
    daemon = start()
    peer = await booted(daemon)
    pending = daemon.central.commands.call("CP1", SET)
    asked = await peer.frame()
    peer.send([4, asked[1], *elements])
    with pytest.raises(CallErrorReceived) as error:
        await within(pending)
    assert error.value.code == code
    record = await message(daemon, asked[1])
    assert (record.state, record.outcome) == (MessageState.ERROR, code)
    await peer.silence()


def commands_of_all_kinds(full: bool) -> list[tuple[str, Message]]:
    """A request of each action that a central system sends."""
    found = []
    for name, action in ACTIONS.items():
        if action.to_charger:
            value = example(f"{name}Request", full)
            if name.endswith("TriggerMessage"):
                value["requestedMessage"] = "Heartbeat"
            found.append((name, build(kind_of(f"{name}Request"), value)))
    return found


def check_official(text: bytes, actions: dict[str, str]) -> None:
    """Validate a frame of ours; `actions` has the action of each id that was called."""
    elements = json.loads(text, parse_float=Decimal)
    if elements[0] == 2:
        assert len(elements) == 4 and len(elements[1]) == 36
        official(elements[2]).validate(elements[3])
    else:
        assert (elements[0], len(elements)) == (3, 3), elements
        official(f"{actions[elements[1]]}Response").validate(elements[2])


@ensure
@pytest.mark.parametrize("full", [True, False], ids=["all members", "required members"])
async def test_fr_27_all_frames_are_valid(start: Any, full: bool) -> None:
    """FR-27: in a session with all 26 commands every frame of ours is valid by the official schemas (G-5, G-6)."""
    daemon = start()
    peer = await connect(daemon.port)
    texts: list[bytes] = []
    hear = peer.onMessage

    def onMessage(data: bytes, is_binary: bool) -> None:
        texts.append(bytes(data))
        hear(data, is_binary)

    peer.onMessage = onMessage
    actions: dict[str, str] = {}
    inbound = [name for name, action in ACTIONS.items() if action.from_charger]
    inbound.sort(key=lambda name: name != "BootNotification")
    for name in inbound:
        actions[name] = name
        answer = await peer.ask(f'[2,"{name}","{name}",{payload(example(f"{name}Request", full)).decode()}]')
        assert answer[:2] == [3, name]
    commands = commands_of_all_kinds(full)
    assert len(commands) == 26
    for name, request in commands:
        pending = daemon.central.commands.call("CP1", request)
        asked = await peer.frame()
        peer.send(f'[3,"{asked[1]}",{payload(example(f"{name}Confirmation", full)).decode()}]')
        await within(pending)
    assert len(texts) == len(inbound) + len(commands)
    for text in texts:
        check_official(text, actions)
        assert b"null" not in text and b": " not in text


# Requirements beyond the catalogue


@ensure
async def test_f_1_binary_message(start: Any) -> None:
    """F-1: a binary message closes with 1003 and is not read."""
    session = await raw_session(start())
    session.write(frame(BINARY, b'[2,"1","Heartbeat",{}]'))
    await session.closing(1003)
    assert [opcode for opcode, _ in session.frames()] == [8]


@ensure
async def test_f_1_empty_and_fragmented_messages(start: Any) -> None:
    """F-1: an empty message is ignored, however many come; a message in fragments is a message."""
    session = await raw_session(start())
    session.write(*[frame(TEXT)] * 30)
    text = b'[2,"1","BootNotification",{"chargePointVendor":"V\xc3\xa4ndor","chargePointModel":"M"}]'
    session.write(frame(TEXT, text[:1], fin=False))
    for at in range(1, len(text) - 1):
        session.write(frame(0, text[at : at + 1], fin=False))
    session.write(frame(9, b"between"), frame(0, text[-1:]))
    await session.client.until(b'"Accepted"')
    assert [opcode for opcode, _ in session.frames()] == [10, 1]
    session.client.close()


@ensure
async def test_f_3_null_payload(start: Any) -> None:
    """F-3: a null payload counts as an empty one, in strict mode too."""
    for configuration in (None, STRICT):
        peer = await booted(start(configuration))
        assert (await peer.ask('[2,"1","Heartbeat",null]'))[:2] == [3, "1"]


@ensure
async def test_f_9_message_types(start: Any) -> None:
    """F-9: other message types are ignored, however many come; 2.0 counts as 2, "2" does not."""
    peer = await booted(start())
    for kind in ("0", "1", "5", "-2", "9", '"2"', "2.5", "true", "null", "{}") * 3:
        peer.send(f'[{kind},"1","Heartbeat",{{}}]')
    assert (await peer.ask('[2.0,"1","Heartbeat",{}]'))[:2] == [3, "1"]
    await peer.silence()


@ensure
async def test_f_13_message_size(start: Any) -> None:
    """F-13: a message of 4 MiB is read, a larger one closes with 1009."""
    daemon = start()
    peer = await booted(daemon)
    head, tail = '[2,"1","DataTransfer",{"vendorId":"v","data":"', '"}]'
    fill = 4 * 1024 * 1024 - len(head) - len(tail)
    assert (await peer.ask(head + "x" * fill + tail))[2] == {"status": "UnknownVendorId"}
    peer.send(head + "x" * (fill + 1) + tail)
    assert await within(peer.closed) == 1009


class Late(CentralSystemHandlers):
    """Answers its first DataTransfer when told to, everything else at once."""

    gate: Deferred[None]

    def DataTransferRequestHandler(self, charger: Any, request: Any, answer: Any) -> Any:
        return self.gate.addCallback(lambda _: answer) if request.vendor_id == "slow" else answer


@ensure
async def test_s_4_overlapping_calls(start: Any) -> None:
    """S-4: a hundred calls that overlap are answered, all, in the order in which they came."""
    Late.gate = Deferred()
    daemon = start(handlers=use(Late))
    peer = await booted(daemon)
    peer.send([2, "first", "DataTransfer", {"vendorId": "slow"}])
    for number in range(100):
        peer.send([2, str(number), "DataTransfer", {"vendorId": "v"}])
    await arrived(peer)
    Late.gate.callback(None)
    assert [(await peer.frame())[:2] for _ in range(101)] == [[3, each] for each in ["first", *map(str, range(100))]]
    await peer.silence()


@ensure
async def test_s_4_too_many_overlapping_calls(start: Any) -> None:
    """S-4: one that overlaps more than a hundred calls is closed with 1008."""
    Late.gate = Deferred()
    daemon = start(handlers=use(Late))
    peer = await booted(daemon)
    peer.send([2, "first", "DataTransfer", {"vendorId": "slow"}])
    for number in range(101):
        peer.send([2, str(number), "Heartbeat", {}])
    assert await within(peer.closed) == 1008
    Late.gate.callback(None)


@ensure
async def test_s_4_too_many_bytes_wait(start: Any) -> None:
    """S-4: fat calls that overlap are closed with 1008 before they fill the memory."""
    Late.gate = Deferred()
    daemon = start(handlers=use(Late))
    peer = await booted(daemon)
    peer.send([2, "first", "DataTransfer", {"vendorId": "slow"}])
    for number in range(3):
        peer.send([2, str(number), "DataTransfer", {"vendorId": "v", "data": "x" * 3_000_000}])
    assert await within(peer.closed) == 1008
    Late.gate.callback(None)


@ensure
async def test_closed_sessions_do_nothing_more(start: Any) -> None:
    """What comes after our close frame has no effect: its answer could not be written, the charger repeats it."""
    daemon = start()
    session = await raw_session(daemon)
    session.text(b'[2,"1","BootNotification",{"chargePointVendor":"V","chargePointModel":"M"}]')
    await session.client.until(b'"Accepted"')
    session.write(*[frame(TEXT, b"{")] * 20)
    session.text(json.dumps([2, "2", "StartTransaction", START]).encode())
    await session.closing(1002)
    await offline(daemon)
    assert await transactions(daemon) == []
