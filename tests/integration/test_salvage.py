"""Messages of transactions that say too little, on the wire: all are answered CALLRESULT. REQUIREMENTS E-1, G-2, M-1, T-22."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import pytest_twisted

from ocppd.storage.records import MeterValueFilter, TransactionState
from ocppd.storage.records.quarantine import QuarantineFilter
from support.central import chargers
from support.examples import Path, example, payload, places, pointer, with_, without
from support.wire import START, booted, journal, refuse_writes, storage_of, transactions

ensure = pytest_twisted.ensureDeferred
ACTIONS = ("StartTransaction", "StopTransaction", "MeterValues")
#: What stands where something else belongs; 2**70 is an integer that no column takes.
ALIENS = (None, True, {"a": 1}, [[]], "much", 2**70, -(10**30))


def spoilt(action: str) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Every member of a message of the action missing, and of a wrong type or an absurd size, one after the other."""
    value = example(f"{action}Request")
    for path, fact in places(f"{action}Request", value):
        if fact.required:
            yield path, without(value, path)
        for alien in ALIENS:
            yield path, with_(value, path, alien)


@ensure
@pytest.mark.parametrize("action", ACTIONS)
async def test_everything_is_answered(start: Any, action: str) -> None:
    """E-1, M-1, T-20: whatever member is missing or cannot be read, the answer is a CALLRESULT; in strict mode it is not."""
    daemon = start({"Chargers": [{"Name": "CP1"}, {"Name": "CP2", "Mode": "strict"}]})
    tolerant, strict = await booted(daemon, "CP1"), await booted(daemon, "CP2")
    for number, (path, value) in enumerate(spoilt(action)):
        frame = f'[2,"n{number}","{action}",{payload(value).decode()}]'
        answer = await tolerant.ask(frame)
        assert answer[:2] == [3, f"n{number}"], (pointer(path), frame, answer)
        if action == "StartTransaction":
            assert 0 < answer[2]["transactionId"] < 2**31
        if "much" not in frame:  # which is good text
            assert (await strict.ask(frame))[0] == 4, frame
    await tolerant.silence()
    await strict.silence()


@ensure
@pytest.mark.parametrize("text", ["{}", "null", '{"foo":1}', '{"timestamp":"","idTag":"","connectorId":0}'])
async def test_nothing_at_all(start: Any, text: str) -> None:
    """E-1, F-3: also a message without any member is answered, and kept."""
    daemon = start()
    peer = await booted(daemon)
    for action in ACTIONS:
        assert (await peer.ask(f'[2,"{action}","{action}",{text}]'))[0] == 3
    kept = await storage_of(daemon).quarantine.list_frames(QuarantineFilter(), None, 10)
    assert [each.quarantined.action for each in kept] == list(reversed(ACTIONS))
    [record] = await transactions(daemon)
    assert (record.verdict, record.connector_id) == ("Accepted" if "idTag" in text else "Invalid", 0 if "idTag" in text else 1)


@ensure
async def test_a_start_without_anything_but_a_tag(start: Any) -> None:
    """E-1, T-3, T-6: connector 1, a blank instant and register 0 are assumed and flagged; a repeat is the same start."""
    daemon = start()
    peer = await booted(daemon)
    first = await peer.ask('[2,"1","StartTransaction",{"idTag":"TAG"}]')
    again = await peer.ask('[2,"2","StartTransaction",{"idTag":"TAG"}]')
    assert first[2] == again[2] and first[2]["idTagInfo"]["status"] == "Accepted"
    [record] = await transactions(daemon)
    assert record.flags == ("timestampUnreadable", "connectorAssumed", "meterStartMissing")
    stop = {"transactionId": record.transaction_id, "meterStop": 5000, "timestamp": "2026-03-04T06:00:00Z"}
    assert (await peer.call("StopTransaction", stop))[2] == {}
    [record] = await transactions(daemon)
    assert (record.state, record.energy_wh) == (TransactionState.STOPPED, None)


@ensure
async def test_a_stop_that_names_nothing(start: Any) -> None:
    """E-1, T-22, SP-07: a stop without its id closes the only open transaction, at the register that was sampled last."""
    daemon = start()
    peer = await booted(daemon)
    answer = await peer.call("StartTransaction", START)
    for register, minute in (("1100", 6), ("1900", 8), ("1500", 7)):
        value = {"timestamp": f"2026-03-04T05:0{minute}:00Z", "sampledValue": [{"value": register}]}
        values = {"connectorId": 1, "transactionId": answer[2]["transactionId"], "meterValue": [value]}
        assert (await peer.call("MeterValues", values))[2] == {}
    assert (await peer.call("StopTransaction", {"idTag": "tag", "reason": 5}))[2] == {"idTagInfo": {"status": "Accepted"}}
    [record] = await transactions(daemon)
    assert (record.state, record.meter_stop_wh, record.energy_wh, record.reason) == ("stopped", 1900, 1800, "Local")
    assert {"reconciled", "meterStopAssumed", "transactionIdMissing", "timestampUnreadable"} <= set(record.flags)


@ensure
async def test_values_that_can_be_read_are_kept(start: Any) -> None:
    """M-1, M-3: of a message with broken elements and samples the others are stored, as they came."""
    daemon = start()
    peer = await booted(daemon)
    good = {"timestamp": "2026-03-04T05:06:40Z", "sampledValue": [{"value": "1"}, 7, {"unit": "Wh"}, {"value": 2.50}]}
    frame = json.dumps([2, "v", "MeterValues", {"connectorId": 1, "meterValue": [5, None, good, {"timestamp": None}]}])
    assert (await peer.ask(frame))[2] == {}
    rows = await storage_of(daemon).list_meter_values(MeterValueFilter(charger="CP1"), None, 10)
    samples = [[sample["value"] for sample in json.loads(row.samples)] for row in rows]
    assert samples == [["1", "", "2.5"], []]
    [kept] = await storage_of(daemon).quarantine.list_frames(QuarantineFilter(), None, 10)
    assert json.loads(kept.quarantined.frame) == json.loads(frame)
    [entry] = await journal(daemon, "MeterValues")
    assert (entry.sequence, entry.state) == (kept.message, "completed")


@ensure
async def test_a_fat_broken_stop(start: Any) -> None:
    """E-1, F-13: of a broken stop beyond 1 MiB the values are left out, and the stop itself counts."""
    daemon = start()
    peer = await booted(daemon)
    identity = (await peer.call("StartTransaction", START))[2]["transactionId"]
    element = {"timestamp": "2026-03-04T05:06:40Z", "sampledValue": [{"value": "1" * 50}] * 10}
    stop = {"transactionId": identity, "meterStop": "700", "timestamp": "2026-03-04T06:00:00Z"}
    assert (await peer.call("StopTransaction", {**stop, "transactionData": [element] * 2500}))[2] == {}
    [record] = await transactions(daemon)
    assert (record.state, record.energy_wh) == ("stopped", 600)
    assert "valuesDropped" in record.flags
    [kept] = await storage_of(daemon).quarantine.list_frames(QuarantineFilter(), None, 10)
    assert kept.quarantined.cut and len(kept.quarantined.frame) == 16 * 1024
    assert kept.quarantined.kinds == ("shed-values", "whole-number")


@ensure
async def test_only_storage_fails(start: Any, logged_errors: Any) -> None:
    """E-1: a broken message is InternalError where the records are down, and salvaged when it is repeated."""
    daemon = start(chargers("CP1"))
    peer = await booted(daemon)
    refuse_writes(daemon, True)
    for action in ACTIONS:
        assert (await peer.call(action, {}))[2] == "InternalError"
    refuse_writes(daemon, False)
    logged_errors.flush()
    for action in ACTIONS:
        assert (await peer.call(action, {}))[0] == 3
    await peer.leave()


@ensure
async def test_connectors_that_nobody_knew(start: Any) -> None:
    """G-8: a higher connector than was known is made; 0 is the charger as a whole (G-11)."""
    daemon = start()
    peer = await booted(daemon)
    for connector in (0, 1, 7):
        status = {"connectorId": connector, "errorCode": "NoError", "status": "Available"}
        assert (await peer.call("StatusNotification", status))[2] == {}
    connectors = (await storage_of(daemon).read_connectors(["CP1"]))["CP1"]
    assert [each.connector_id for each in connectors] == [0, 1, 7]


@ensure
async def test_text_that_is_not_ascii(start: Any) -> None:
    """G-4: texts in UTF-8 are taken as they are, also where ASCII is asked for, and what we answer ourselves is ASCII."""
    daemon = start()
    peer = await booted(daemon)
    status = {"connectorId": 1, "errorCode": "NoError", "status": "Available", "info": "Tür offen \U0001f697"}
    assert (await peer.call("StatusNotification", status))[2] == {}
    [connector] = (await storage_of(daemon).read_connectors(["CP1"]))["CP1"]
    assert connector.info == "Tür offen \U0001f697"
    answer = await peer.call("StartTransaction", {**START, "idTag": "Ä\u00df"})
    assert answer[2]["idTagInfo"]["status"] == "Accepted"
    error = await peer.call("Ünknown", {"ä": "ö"})
    assert error[0] == 4 and str(error[2:]).isascii()


@ensure
async def test_clock_aligned_values(start: Any) -> None:
    """M-8: values of Sample.Clock come for connector 0 too, without a transaction, several elements and phases in one message."""
    daemon = start()
    peer = await booted(daemon)
    identity = (await peer.call("StartTransaction", START))[2]["transactionId"]
    common = {"context": "Sample.Clock", "measurand": "Current.Import", "unit": "A"}
    samples = [{"value": "6.0", "phase": phase, **common} for phase in ("L1", "L2", "L3")]
    elements = [{"timestamp": f"2026-03-04T06:{minute}:00Z", "sampledValue": samples} for minute in ("00", "15")]
    for connector in (0, 1):
        assert (await peer.call("MeterValues", {"connectorId": connector, "meterValue": elements}))[2] == {}
    rows = await storage_of(daemon).list_meter_values(MeterValueFilter(charger="CP1"), None, 10)
    assert [(row.connector_id, row.transaction_id) for row in rows] == [(0, None), (0, None), (1, identity), (1, identity)]
    assert {len(json.loads(row.samples)) for row in rows} == {3}
