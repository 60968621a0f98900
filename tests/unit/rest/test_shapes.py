"""Records as JSON. docs/http-api.md."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from twisted.trial.unittest import SynchronousTestCase

from ocppd.central.meter_values import samples_of
from ocppd.central.queries import ChargerView
from ocppd.net.rest import shapes
from ocppd.net.rest.answers import json_answer
from ocppd.storage.records import (
    ConnectorRecord,
    Direction,
    MessageRecord,
    MessageState,
    MeterValueRecord,
    TransactionRecord,
    TransactionState,
)
from ocppd.v16.types import AuthorizationStatus

MESSAGE = MessageRecord(
    sequence=1,
    message_id="id",
    charger="CP1",
    direction=Direction.FROM_CHARGER,
    action="Heartbeat",
    state=MessageState.COMPLETED,
    created_ms=1_767_323_045_678,
    frame='[2,"id","Heartbeat",{}]',
)
VIEW = ChargerView(
    name="CP1",
    connected=False,
    authenticated=False,
    remote_ip="",
    node=None,
    generation=None,
    connected_ms=None,
    last_seen_ms=None,
    registration=None,
    heartbeat_interval_s=10,
    queued=0,
    boot=None,
    connectors=(),
)


def as_json(value: Any) -> Any:
    """The value as a client reads it."""
    return json.loads(json_answer(value).body)


class InstantTests(SynchronousTestCase):
    """Instants."""

    def test_form(self) -> None:
        """Instants are RFC 3339 in UTC with three digits of milliseconds, in any year that a charger may name."""
        instants = {
            1_767_323_045_678: "2026-01-02T03:04:05.678Z",
            1_767_323_045_000: "2026-01-02T03:04:05.000Z",
            0: "1970-01-01T00:00:00.000Z",
            -1: "1969-12-31T23:59:59.999Z",
            -62_135_596_800_000: "0001-01-01T00:00:00.000Z",
            253_402_300_799_999: "9999-12-31T23:59:59.999Z",
        }
        for ms, expected in instants.items():
            self.assertEqual(shapes.instant(ms), expected)


class MessageTests(SynchronousTestCase):
    """Messages and the frames in them."""

    def test_plain(self) -> None:
        """What does not apply is left out, and nothing is null."""
        self.assertEqual(
            as_json(shapes.message(MESSAGE)),
            {
                "messageId": "id",
                "charger": "CP1",
                "durable": True,
                "direction": "fromCharger",
                "action": "Heartbeat",
                "state": "completed",
                "createdAt": "2026-01-02T03:04:05.678Z",
                "request": {},
            },
        )

    def test_answers(self) -> None:
        """A CALLRESULT is a response, a CALLERROR an error, anything else neither."""
        answers: dict[str, dict[str, Any]] = {
            '[3,"id",{"a":1.50}]': {"response": {"a": 1.5}},
            '[ 3 , "id" , {"a": [ ] } ]': {"response": {"a": []}},
            '[4,"id","InternalError","why",{"x":1}]': {
                "error": {"code": "InternalError", "description": "why", "details": {"x": 1}}
            },
            '[4,"id"]': {},
            "[]": {},
            "{}": {},
            "***": {},
            "": {},
        }
        for answer, expected in answers.items():
            shown = as_json(shapes.message(replace(MESSAGE, answer=answer)))
            found = {name: shown[name] for name in ("response", "error") if name in shown}
            self.assertEqual(found, expected, answer)

    def test_odd_frames(self) -> None:
        """Chargers' frames are kept as they came; where no payload can be read there is none."""
        for frame in ("", "\ufeff[2]", "[2]", "[2,1,2,", "null", '[2,"id","A",null]', "\ud800", "[" * 100_000):
            self.assertNotIn("request", shapes.message(replace(MESSAGE, frame=frame)))

    def test_numbers_keep_their_digits(self) -> None:
        """Payloads are shown as they were sent, digit by digit."""
        shown = shapes.message(replace(MESSAGE, frame='[2,"id","X",{"limit":16.0,"big":123456789012345678901}]'))
        self.assertIn(b'"request":{"limit":16.0,"big":123456789012345678901}', json_answer(shown).body)

    def test_expiry(self) -> None:
        """The expiry is shown while it matters."""
        for state in MessageState:
            shown = shapes.message(replace(MESSAGE, state=state, expires_ms=1))
            self.assertEqual("expiresAt" in shown, state in (MessageState.QUEUED, MessageState.EXPIRED))

    @given(st.text(max_size=40), st.text(max_size=40))
    def test_any_frame(self, frame: str, answer: str) -> None:
        """Any text that may be kept can be shown."""
        self.assertEqual(as_json(shapes.message(replace(MESSAGE, frame=frame, answer=answer)))["messageId"], "id")


class OtherTests(SynchronousTestCase):
    """Chargers, connectors, transactions, meter values."""

    def test_charger_that_told_nothing(self) -> None:
        """A charger that was never seen has its name and its configuration."""
        self.assertEqual(
            as_json(shapes.charger(VIEW)), {"name": "CP1", "connected": False, "heartbeatInterval": 10, "connectors": []}
        )

    def test_connector(self) -> None:
        """A connector names its active transaction."""
        record = ConnectorRecord("CP1", 1, "Charging", "NoError", None, None, None, 0, 5, 7)
        self.assertEqual(
            as_json(shapes.connector(record)),
            {
                "connectorId": 1,
                "status": "Charging",
                "errorCode": "NoError",
                "since": "1970-01-01T00:00:00.000Z",
                "transactionId": 7,
            },
        )

    def test_transaction(self) -> None:
        """Zero is a meter reading; flags are shown where there are any."""
        record = TransactionRecord(
            transaction_id=7,
            charger="CP1",
            connector_id=1,
            id_tag="T",
            state=TransactionState.STOP_MISSING,
            verdict=AuthorizationStatus.ACCEPTED,
            meter_start_wh=0,
            started_ms=0,
            start_received_ms=0,
            message_id="id",
            energy_wh=0,
            flags=("clock",),
        )
        shown = as_json(shapes.transaction(record))
        self.assertEqual((shown["meterStart"], shown["energyWh"], shown["flags"]), (0, 0, ["clock"]))
        self.assertEqual((shown["state"], shown["verdict"]), ("stopMissing", "Accepted"))
        self.assertNotIn("stoppedAt", shown)

    def test_values_are_numbers(self) -> None:
        """A value is a JSON number with the digits it has, however large or small, and text where it is none."""
        values = {"1.50": "1.50", "0.000000001": "1E-9", "-3": "-3", "1E30": "1E+30", "abc": '"abc"', "NaN": '"NaN"'}
        for text, expected in values.items():
            (sample,) = samples_of(json.dumps([{"value": text, "unit": "A", "measurand": "Current.Import"}]))
            shown = shapes.meter_value(MeterValueRecord(1, "CP1", 1, None, 0, 0, ""), sample)
            body = json_answer(shown).body
            self.assertIn(f'"value":{expected},"raw"'.encode(), body)
            json.loads(body, parse_float=Decimal)
            msgspec.json.decode(body)
