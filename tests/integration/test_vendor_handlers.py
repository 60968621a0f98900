"""Vendors' messages in the running daemon: declared methods, their answers, their failures. REQUIREMENTS D-1, D-2, S-8."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from msgspec import structs
from twisted.internet import reactor
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import deferLater

from ocppd.central import dispatch
from ocppd.central.handlers import CentralSystemHandlers
from ocppd.central.vendors import vendor_message
from ocppd.errors import ErrorCode, InvalidPayload, StartFailed, Violation
from ocppd.user_handlers import load_handlers
from ocppd.v16.core import ClearCacheRequest, DataTransferConfirmation
from ocppd.v16.types import DataTransferStatus
from support.wire import booted, is_error, use

ensure = pytest_twisted.ensureDeferred
VENDOR = "com.example"


class Vendor(CentralSystemHandlers):
    """Methods that answer well, and one that asks for a call."""

    @vendor_message(VENDOR, "Plain")
    def plain(self, charger: Any, request: Any, answer: Any) -> Any:
        charger.follow_up(ClearCacheRequest())

    @vendor_message(VENDOR, "Deferred")
    def deferred(self, charger: Any, request: Any, answer: Any) -> Any:
        return succeed(DataTransferConfirmation(status=DataTransferStatus.REJECTED, data="no"))

    @vendor_message(VENDOR, "Async")
    async def coroutine(self, charger: Any, request: Any, answer: Any) -> Any:
        await deferLater(reactor, 0)
        return structs.replace(answer, data=charger.name)

    @vendor_message("com.echo")
    def echo(self, charger: Any, request: Any, answer: Any) -> Any:
        return structs.replace(answer, data=request.data)


class Failing(CentralSystemHandlers):
    """Methods that do not answer, and a last word that counts how often it is asked."""

    asked = 0

    @vendor_message(VENDOR, "Raises")
    def raises(self, charger: Any, request: Any, answer: Any) -> Any:
        raise RuntimeError("broken")

    @vendor_message(VENDOR, "Refuses")
    def refuses(self, charger: Any, request: Any, answer: Any) -> Any:
        raise Violation(ErrorCode.SECURITY_ERROR, "/data", "not signed")

    @vendor_message(VENDOR, "Endless")
    def endless(self, charger: Any, request: Any, answer: Any) -> Any:
        return Deferred()

    @vendor_message(VENDOR, "Text")
    def text(self, charger: Any, request: Any, answer: Any) -> Any:
        return "pong"

    @vendor_message(VENDOR, "Status")
    def status(self, charger: Any, request: Any, answer: Any) -> Any:
        return DataTransferConfirmation(status="Perhaps")  # type: ignore[arg-type]

    def DataTransferRequestHandler(self, charger: Any, request: Any, answer: Any) -> Any:
        type(self).asked += 1
        return answer


@ensure
async def test_declared_methods_answer(start: Any) -> None:
    """D-1: a method decides Accepted or Rejected and may give data, be it plain, with a Deferred or async; case is ignored."""
    peer = await booted(start(handlers=use(Vendor)))
    for message_id, expected in (
        ("Deferred", {"status": "Rejected", "data": "no"}),
        ("ASYNC", {"status": "Accepted", "data": "CP1"}),
        ("plain", {"status": "Accepted"}),
    ):
        assert (await peer.call("DataTransfer", {"vendorId": "Com.Example", "messageId": message_id}))[2] == expected
    assert (await peer.frame())[2] == "ClearCache"


@ensure
@pytest.mark.parametrize("handlers", [CentralSystemHandlers, Vendor])
async def test_unknown_vendors(start: Any, handlers: type[CentralSystemHandlers]) -> None:
    """DT-01, D-1, OCTT TC_064: a vendor that nobody handles is UnknownVendorId, without data."""
    peer = await booted(start(handlers=use(handlers)))
    asked = {"vendorId": "com.other", "messageId": "Plain", "data": "x"}
    assert (await peer.call("DataTransfer", asked))[2] == {"status": "UnknownVendorId"}


@ensure
async def test_unknown_messages(start: Any) -> None:
    """DT-02, D-1: a known vendor's unknown messageId, or none where none is handled, is UnknownMessageId, without data."""
    peer = await booted(start(handlers=use(Vendor)))
    for asked in ({"vendorId": VENDOR, "messageId": "Other"}, {"vendorId": VENDOR}):
        assert (await peer.call("DataTransfer", asked))[2] == {"status": "UnknownMessageId"}


@ensure
async def test_data_is_text(start: Any) -> None:
    """D-2: data of any length comes as text, JSON in it too; a structure in its place comes as its JSON text."""
    peer = await booted(start(handlers=use(Vendor)))
    for data, given in (
        ('{"a": 1}', '{"a": 1}'),
        ("x" * 100_000, "x" * 100_000),
        ({"a": [1, None]}, '{"a":[1,null]}'),
        (5, "5"),
    ):
        answer = await peer.call("DataTransfer", {"vendorId": "com.echo", "data": data})
        assert answer[2] == {"status": "Accepted", "data": given}
    assert (await peer.call("DataTransfer", {"vendorId": "com.echo"}))[2] == {"status": "Accepted"}


@ensure
async def test_failing_methods(start: Any, logged_errors: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """S-8: a method that raises, is late or gives no confirmation costs InternalError, or the code of its Violation."""
    monkeypatch.setattr(dispatch, "DEADLINE_S", 0.1)
    monkeypatch.setattr(Failing, "asked", 0)
    peer = await booted(start(handlers=use(Failing)))
    for message_id, code in (
        ("Raises", "InternalError"),
        ("Refuses", "SecurityError"),
        ("Endless", "InternalError"),
        ("Text", "InternalError"),
    ):
        assert is_error(await peer.call("DataTransfer", {"vendorId": VENDOR, "messageId": message_id}), code), message_id
    assert len(logged_errors.flush(RuntimeError, TypeError, dispatch.DeadlinePassed)) == 3
    assert Failing.asked == 0
    assert is_error(await peer.call("DataTransfer", {"vendorId": VENDOR, "messageId": "Status"}), "InternalError")
    assert len(logged_errors.flush(InvalidPayload)) == 1
    assert (await peer.call("DataTransfer", {"vendorId": "com.other"}))[2] == {"status": "UnknownVendorId"}
    assert Failing.asked == 2


@ensure
async def test_the_last_word(start: Any) -> None:
    """A DataTransferRequestHandler is called after the declared method, with its answer, or with the one of an unknown vendor."""
    seen: list[Any] = []

    class Last(Vendor):
        def DataTransferRequestHandler(self, charger: Any, request: Any, answer: Any) -> Any:
            seen.append(answer.status)
            return None if request.vendor_id == VENDOR else structs.replace(answer, data="last")

    peer = await booted(start(handlers=use(Last)))
    for asked, expected in (
        ({"vendorId": VENDOR, "messageId": "Deferred"}, {"status": "Rejected", "data": "no"}),
        ({"vendorId": "com.echo", "data": "x"}, {"status": "Accepted", "data": "last"}),
        ({"vendorId": VENDOR}, {"status": "UnknownMessageId"}),
        ({"vendorId": "com.other"}, {"status": "UnknownVendorId", "data": "last"}),
    ):
        assert (await peer.call("DataTransfer", asked))[2] == expected
    assert seen == ["Rejected", "Accepted", "UnknownMessageId", "UnknownVendorId"]


HEAD = "from ocppd.central.handlers import CentralSystemHandlers\nfrom ocppd.central.vendors import vendor_message\n"


def test_mistakes_stop_the_start(tmp_path: Path) -> None:
    """Two methods for one message (D-1), and a wrong use of the decorator, are one line; it leads to the user's own code."""
    method = "    def {name}(self, charger, request, answer): pass\n"
    one, two = method.format(name="one"), method.format(name="two")
    file = tmp_path / "mine.py"
    for body, reason in (
        (
            f"    @vendor_message('v', 'm')\n{one}    @vendor_message('V', 'M')\n{two}",
            "mine.Mine: both one and two are declared for @vendor_message('V', 'M')",
        ),
        (f"    @vendor_message\n{one}", f"not function ({file}, line 4)"),
        (f"    @vendor_message('')\n{one}", f"a vendorId has 1 to 255 characters, not 0 ({file}, line 4)"),
    ):
        file.write_text(f"{HEAD}class Mine(CentralSystemHandlers):\n{body}")
        with pytest.raises(StartFailed) as caught:
            load_handlers(f"{file}:Mine", [tmp_path])
        assert str(caught.value).endswith(reason), str(caught.value)
        assert "\n" not in str(caught.value)
