"""Validation on the wire, and what is stored of what was read kindly. CASES.md VA."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred, fail
from twisted.internet.task import deferLater

from ocppd.central.handlers import CentralSystemHandlers
from ocppd.errors import ErrorCode, Violation
from ocppd.storage.records import MeterValueFilter
from support.central import chargers
from support.wire import BOOT, START, STATUS, booted, is_error, storage_of, transactions, use

ensure = pytest_twisted.ensureDeferred
STRICT = chargers("CP1", Mode="strict")
#: 2026-03-04T05:06:40Z
INSTANT_MS = 1_772_600_800_000


@ensure
async def test_va_01_missing_member(start: Any) -> None:
    """VA-01: BootNotification without chargePointModel is OccurenceConstraintViolation, and the charger is not accepted."""
    from support.peer import connect

    peer = await connect(start(STRICT).port)
    answer = await peer.call("BootNotification", {"chargePointVendor": "V"})
    assert is_error(answer, "OccurenceConstraintViolation")
    assert answer[4]["path"] == "/chargePointModel"
    assert is_error(await peer.call("Heartbeat"), "SecurityError")


@ensure
async def test_va_02_long_text(start: Any) -> None:
    """VA-02: a model of 21 characters is PropertyConstraintViolation in strict mode, in tolerant accepted and cut."""
    peer = await booted(start(STRICT))
    boot = {**BOOT, "chargePointModel": "m" * 21}
    assert is_error(await peer.call("BootNotification", boot), "PropertyConstraintViolation")
    daemon = start()
    peer = await booted(daemon)
    assert (await peer.call("BootNotification", boot))[2]["status"] == "Accepted"
    view = await daemon.central.queries.charger("CP1")
    assert view.boot.model == "m" * 20


@ensure
async def test_va_04_numeric_text(start: Any) -> None:
    """VA-04: connectorId "1" is TypeConstraintViolation in strict mode, in tolerant connector 1."""
    peer = await booted(start(STRICT))
    assert is_error(await peer.call("StatusNotification", {**STATUS, "connectorId": "1"}), "TypeConstraintViolation")
    daemon = start()
    peer = await booted(daemon)
    assert (await peer.call("StatusNotification", {**STATUS, "connectorId": "1"}))[0] == 3
    [connector] = (await storage_of(daemon).read_connectors(["CP1"]))["CP1"]
    assert (connector.connector_id, connector.status) == (1, "Available")


@ensure
async def test_va_05_unknown_member(start: Any) -> None:
    """VA-05: a member foo is FormationViolation in strict mode, in tolerant ignored."""
    peer = await booted(start(STRICT))
    assert is_error(await peer.call("Authorize", {"idTag": "T", "foo": 1}), "FormationViolation")
    peer = await booted(start())
    assert (await peer.call("Authorize", {"idTag": "T", "foo": 1}))[2] == {"idTagInfo": {"status": "Accepted"}}


SPELLINGS = {
    "2026-03-04T05:06:40Z": INSTANT_MS,
    "2026-03-04T05:06:40.1240977Z": INSTANT_MS + 124,
    "2026-03-04T08:06:40+03": INSTANT_MS,
    "2026-03-04T08:06:40+0300": INSTANT_MS,
    "2026-03-04T08:06:40+03:00": INSTANT_MS,
    "2026-03-03T21:36:40-07:30": INSTANT_MS,
    "2026-03-04T05:06:40": INSTANT_MS,
    "2026-03-04T05:06Z": INSTANT_MS - 40_000,
    "2026-03-04 05:06:40": INSTANT_MS,
    "2026-03-04 05:06:40Z": INSTANT_MS,
    " 2026-03-04T05:06:40Z ": INSTANT_MS,
    "2026-03-04t05:06:40z": INSTANT_MS,
    "2026-03-04T05:06:40,5Z": INSTANT_MS + 500,
    "2026-03-03T24:00:00Z": INSTANT_MS - 18_400_000,
    "1970-01-01T00:00:00Z": 0,
}


@ensure
async def test_va_08_timestamps(start: Any) -> None:
    """VA-08: every spelling of a timestamp is stored as its instant, in statuses, meter values and transactions (G-1)."""
    daemon = start()
    peer = await booted(daemon)
    for connector, (text, instant_ms) in enumerate(SPELLINGS.items(), 1):
        assert (await peer.call("StatusNotification", {**STATUS, "connectorId": connector, "timestamp": text}))[2] == {}
        value = [{"timestamp": text, "sampledValue": [{"value": "1"}]}]
        assert (await peer.call("MeterValues", {"connectorId": connector, "meterValue": value}))[2] == {}
        await peer.call("StartTransaction", {**START, "connectorId": connector, "timestamp": text})
        [status] = await storage_of(daemon).list_statuses("CP1", connector, None, 10)
        assert status.status.timestamp_ms == instant_ms, text
        which = MeterValueFilter(charger="CP1", connector_id=connector)
        [element] = await storage_of(daemon).list_meter_values(which, None, 10)
        assert element.timestamp_ms == instant_ms, text
    assert [each.started_ms for each in await transactions(daemon)] == list(SPELLINGS.values())


@ensure
async def test_va_08_unreadable_timestamps(start: Any) -> None:
    """G-2: a timestamp that names no instant is never refused in tolerant mode; the time of receipt stands for it."""
    daemon = start()
    peer = await booted(daemon)
    texts = ("yesterday", "2026-02-30T00:00:00Z", "2026-03-04T25:00:00Z", "0000-01-01T00:00:00Z", "9999-12-31T23:59:59-14:00")
    for text in texts:
        assert (await peer.call("StatusNotification", {**STATUS, "timestamp": text}))[2] == {}
        [newest] = await storage_of(daemon).list_statuses("CP1", 1, None, 1)
        assert newest.status.timestamp_ms == newest.received_ms, text


class Broken(Exception):
    """What the handlers below raise."""


def plain(*_: Any) -> Any:
    raise Broken("secret text of a plain handler")


def deferred(*_: Any) -> Any:
    return fail(Broken("secret text of a Deferred"))


def later(*_: Any) -> Any:
    waiting: Deferred[None] = deferLater(reactor, 0)
    return waiting.addCallback(plain)


async def coroutine(*_: Any) -> Any:
    await deferLater(reactor, 0)
    raise Broken("secret text of a coroutine")


@ensure
@pytest.mark.parametrize("handler", [plain, deferred, later, coroutine])
async def test_va_09_raising_handlers(start: Any, logged_errors: Any, handler: Any) -> None:
    """VA-09: a handler of any kind that raises is InternalError without a trace of the exception; the connection is kept."""
    names = ("Heartbeat", "StartTransaction", "DataTransfer")
    broken = type("BrokenHandlers", (CentralSystemHandlers,), {f"{name}RequestHandler": handler for name in names})
    daemon = start(handlers=use(broken))
    peer = await booted(daemon)
    for action, payload in (("Heartbeat", {}), ("StartTransaction", START), ("DataTransfer", {"vendorId": "v"})):
        answer = await peer.call(action, payload)
        assert is_error(answer, "InternalError")
        assert "secret" not in str(answer) and "Broken" not in str(answer)
    assert (await peer.call("Authorize", {"idTag": "T"}))[0] == 3
    assert len(logged_errors.flush(Broken)) == 3
    assert len(await transactions(daemon)) == 1


@ensure
async def test_va_10_codes_of_handlers(start: Any, logged_errors: Any) -> None:
    """VA-10: a handler answers with one of the ten codes by raising Violation; any other code is InternalError."""

    class Refusing(CentralSystemHandlers):
        def DataTransferRequestHandler(self, charger: Any, request: Any, answer: Any) -> Any:
            raise Violation(request.vendor_id, "/data", "because")

    peer = await booted(start(handlers=use(Refusing)))
    for code in ErrorCode:
        answer = await peer.call("DataTransfer", {"vendorId": code})
        assert is_error(answer, code) and answer[3:] == ["because", {"path": "/data", "reason": "because"}]
    for code in ("FormatViolation", "MessageTypeNotSupported", ""):
        assert is_error(await peer.call("DataTransfer", {"vendorId": code}), "InternalError")
    assert len(logged_errors.flush(Violation)) == 3
