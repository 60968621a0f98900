"""Which fault gets which code: the table of REQUIREMENTS 1.7, row by row, on the wire."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import pytest_twisted

from ocppd.central.handlers import CentralSystemHandlers
from ocppd.errors import ErrorCode
from ocppd.v16.actions import ACTIONS
from support import facts
from support.central import chargers
from support.examples import example, payload
from support.peer import connect
from support.wire import BOOT, START, STATUS, booted, is_error, journal, refuse_writes, use

ensure = pytest_twisted.ensureDeferred
pytestmark = pytest.mark.usefixtures("both_lanes")
#: Stands in every payload that is refused, and must not come back.
MARK = "hunter2"
#: What is expected where the message is answered CALLRESULT.
ANSWERED = None
SAMPLE = {"timestamp": "2026-03-04T05:06:07Z", "sampledValue": [{"value": "1"}]}
ODD_VALUES = {"connectorId": 1, "meterValue": [{**SAMPLE, "foo": MARK}]}


@dataclass(frozen=True)
class Row:
    """A fault: the rest of the CALL after its id, and the code in strict and in tolerant mode."""

    text: str
    rest: tuple[Any, ...]
    strict: str | None
    tolerant: str | None


OCCURENCE, PROPERTY = "OccurenceConstraintViolation", "PropertyConstraintViolation"
FORMATION, TYPE = "FormationViolation", "TypeConstraintViolation"
ROWS = [
    Row("no action of 1.6", ("Nothing", {"a": MARK}), "NotImplemented", "NotImplemented"),
    Row("wrong letter case", ("HEARTBEAT", {"a": MARK}), "NotImplemented", "NotImplemented"),
    Row("an action of 2.0.1", ("TransactionEvent", {"a": MARK}), "NotImplemented", "NotImplemented"),
    Row("runs to the charger only", ("Reset", {"type": MARK}), "NotSupported", "NotSupported"),
    Row("payload is a list", ("Heartbeat", [MARK]), FORMATION, FORMATION),
    Row("payload is a text", ("Heartbeat", MARK), FORMATION, FORMATION),
    Row("payload is false", ("Heartbeat", False), FORMATION, FORMATION),
    Row("frame too short", ("Heartbeat",), FORMATION, FORMATION),
    Row("frame too long", ("Heartbeat", {}, MARK), FORMATION, FORMATION),
    Row("required member missing", ("BootNotification", {"chargePointVendor": MARK}), OCCURENCE, OCCURENCE),
    Row("required member of an object missing", ("MeterValues", {"connectorId": 1, "meterValue": [{}]}), OCCURENCE, ANSWERED),
    Row("too few list items", ("MeterValues", {"connectorId": 1, "meterValue": []}), OCCURENCE, ANSWERED),
    Row("not a member", ("Heartbeat", {"foo": MARK}), FORMATION, ANSWERED),
    Row("not a member of an inner object", ("MeterValues", ODD_VALUES), FORMATION, ANSWERED),
    Row("text for an integer", ("StatusNotification", {**STATUS, "connectorId": MARK}), TYPE, TYPE),
    Row("list for an integer", ("StatusNotification", {**STATUS, "connectorId": [MARK]}), TYPE, TYPE),
    Row("true for an integer", ("StatusNotification", {**STATUS, "connectorId": True}), TYPE, TYPE),
    Row("numeric text for an integer", ("StatusNotification", {**STATUS, "connectorId": "1"}), TYPE, ANSWERED),
    Row("fraction for an integer", ("StartTransaction", {**START, "meterStart": 1.5}), TYPE, ANSWERED),
    Row("object for a text", ("Authorize", {"idTag": {"a": MARK}}), TYPE, TYPE),
    Row("text for a list", ("MeterValues", {"connectorId": 1, "meterValue": MARK}), TYPE, ANSWERED),
    Row("text for an object", ("MeterValues", {"connectorId": 1, "meterValue": [MARK]}), TYPE, ANSWERED),
    Row("text too long", ("BootNotification", {**BOOT, "chargePointModel": MARK * 3}), PROPERTY, ANSWERED),
    Row("unknown value of a status", ("StatusNotification", {**STATUS, "status": MARK}), PROPERTY, PROPERTY),
    Row("unknown value with a neutral one", ("StatusNotification", {**STATUS, "errorCode": MARK}), PROPERTY, ANSWERED),
    Row("number out of range", ("StatusNotification", {**STATUS, "connectorId": -1}), PROPERTY, ANSWERED),
    Row("number beyond 32 bit", ("StartTransaction", {**START, "meterStart": 2**31}), PROPERTY, ANSWERED),
    Row("number beyond 64 bit", ("StartTransaction", {**START, "meterStart": 2**63}), PROPERTY, ANSWERED),
    Row("unreadable dateTime", ("StartTransaction", {**START, "timestamp": MARK}), TYPE, ANSWERED),
    Row("null for an optional member", ("StatusNotification", {**STATUS, "info": None}), TYPE, ANSWERED),
    Row("null for a required member", ("Authorize", {"idTag": None}), TYPE, TYPE),
]


async def faulty(peer: Any, row: Row, code: str | None) -> None:
    """Send the CALL of a row and look at its answer from all sides; the connection goes on."""
    answer = await peer.ask([2, "row", *row.rest])
    assert answer[1] == "row"
    if code is ANSWERED:
        assert (answer[0], len(answer)) == (3, 3), answer
    else:
        assert is_error(answer, code), answer
        looks_harmless(answer)
    await peer.silence()


def looks_harmless(answer: Any) -> None:
    """E-2: a short text without a stack trace, without values of what was sent."""
    _, _, code, description, details = answer
    assert code in set(ErrorCode)
    assert isinstance(description, str) and len(description) <= 255
    assert set(details) <= {"path", "reason"}
    for text in (description, str(details)):
        assert MARK not in text and "Traceback" not in text and ".py" not in text and "ocppd" not in text


@ensure
@pytest.mark.parametrize("row", ROWS, ids=[row.text for row in ROWS])
async def test_fault(start: Any, row: Row) -> None:
    """1.7: each fault is answered with its code, strict and tolerant, harmlessly, and the connection goes on."""
    daemon = start(chargers("CP2", Mode="strict") | {"Chargers": [{"Name": "CP1"}, {"Name": "CP2", "Mode": "strict"}]})
    await faulty(await booted(daemon, "CP1"), row, row.tolerant)
    await faulty(await booted(daemon, "CP2"), row, row.strict)


@ensure
async def test_refused_transaction_messages_are_kept_raw(start: Any) -> None:
    """G-12: a StartTransaction that cannot be processed is kept as it came, with the CALLERROR it got."""
    daemon = start(chargers("CP1", Mode="strict"))
    peer = await booted(daemon)
    await peer.ask('[2, "odd", "StartTransaction", {"connectorId": 1,  "extra": [1,2]}]')
    [record] = await journal(daemon, "StartTransaction")
    assert record.frame == '[2,"odd","StartTransaction",{"connectorId": 1,  "extra": [1,2]}]'
    assert record.state == "error" and FORMATION in (record.answer or "")


@ensure
async def test_before_acceptance(start: Any) -> None:
    """1.7: every action but BootNotification and security events is SecurityError before acceptance (J-errata 3.8)."""
    peer = await connect(start().port)
    for name, action in ACTIONS.items():
        if not action.from_charger or name in ("BootNotification", "SecurityEventNotification"):
            continue
        answer = await peer.ask(f'[2,"{name}","{name}",{payload(example(f"{name}Request")).decode()}]')
        assert is_error(answer, "SecurityError"), name
        looks_harmless(answer)
    assert (await peer.call("SecurityEventNotification", example("SecurityEventNotificationRequest")))[0] == 3
    assert (await peer.boot())["status"] == "Accepted"
    assert (await peer.call("Heartbeat"))[0] == 3


@ensure
async def test_unknown_and_wrong_side_before_acceptance(start: Any) -> None:
    """1.7: what is no action, or none of a charger, is told as such before acceptance too."""
    peer = await connect(start().port)
    assert is_error(await peer.ask([2, "1", "Nothing", {}]), "NotImplemented")
    assert is_error(await peer.ask([2, "2", "Reset", {}]), "NotSupported")


@ensure
async def test_handler_crashed(start: Any, logged_errors: Any) -> None:
    """1.7: a handler that crashes is InternalError, for each action of a charger; its text stays in the log."""

    def crash(*_: Any) -> Any:
        raise RuntimeError(f"Traceback {MARK}")

    names = [name for name, action in ACTIONS.items() if action.from_charger and name != "BootNotification"]
    crashing = type("Crashing", (CentralSystemHandlers,), {f"{name}RequestHandler": crash for name in names})
    peer = await booted(start(handlers=use(crashing)))
    for name in names:
        answer = await peer.ask(f'[2,"{name}","{name}",{payload(example(f"{name}Request")).decode()}]')
        assert is_error(answer, "InternalError"), name
        looks_harmless(answer)
    assert len(logged_errors.flush(RuntimeError)) == len(names)


@ensure
async def test_not_parseable(start: Any) -> None:
    """1.7: what cannot be parsed gets no answer at all."""
    peer = await booted(start())
    for text in ("", "{", "[2", '[2,"1","Heartbeat",{]', "null", "[[2]]"):
        peer.send(text)
        await peer.silence()


def test_codes() -> None:
    """VA-10: there are ten codes, spelt as in 1.6, and every code of the table is one of them."""
    codes = "NotImplemented NotSupported InternalError ProtocolError SecurityError FormationViolation"
    codes += " PropertyConstraintViolation OccurenceConstraintViolation TypeConstraintViolation GenericError"
    assert set(ErrorCode) == set(codes.split())
    assert {code for row in ROWS for code in (row.strict, row.tolerant)} - {None} <= set(ErrorCode)
    assert set(facts.ACTIONS) == set(ACTIONS)


@ensure
@pytest.mark.parametrize("mode", ["strict", "tolerant"])
async def test_database_down(start: Any, logged_errors: Any, mode: str) -> None:
    """1.7, "database down": every message that has to be recorded is InternalError, so that the charger repeats it."""
    daemon = start(chargers("CP1", Mode=mode))
    peer = await booted(daemon)
    refuse_writes(daemon, True)
    for action, request in (("BootNotification", BOOT), ("StatusNotification", STATUS), ("StartTransaction", START)):
        assert is_error(await peer.call(action, request), "InternalError")
    refuse_writes(daemon, False)
    logged_errors.flush()
    assert (await peer.call("StatusNotification", STATUS))[0] == 3
    await peer.leave()
