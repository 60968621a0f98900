"""A closer look at messages: what is odd about them, and that looking never fails."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ocppd.central import deviations, findings
from ocppd.central.calls import Ended
from ocppd.central.deviations import DEVIATIONS, Severity, deviation
from ocppd.central.meter_values import register_of, told_instant
from ocppd.central.oddities import oddities
from ocppd.central.redaction import redact_raw
from ocppd.errors import CallTimeout, InvalidResponse
from ocppd.storage.records import CallEnd, MessageState
from ocppd.v16 import core, repairs
from ocppd.v16.actions import ACTIONS
from ocppd.v16.types import ConfigurationStatus, KeyValue
from support import facts
from support.examples import example, payload

ROOT = Path(__file__).resolve().parents[3]
#: 2026-03-04T05:06:07Z, as in the examples.
NOW_MS = 1_772_600_767_000
MEMBERS = ("timestamp", "meterValue", "transactionData", "sampledValue", "value", "unit", "phase", "idTag", "info")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["timestamp", "meterValue", "transactionData", "sampledValue", "value", "unit", "phase", "idTag", "info"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


def found(action: str, value: Any, received_ms: int = NOW_MS) -> list[tuple[str, str]]:
    """The kinds and places of what is odd."""
    return [(each.kind, each.pointer) for each in oddities(action, ACTIONS[action].request, value, received_ms, told_instant)]


def values(**sample: Any) -> dict[str, Any]:
    """MeterValues with one sample."""
    element = {"timestamp": "2026-03-04T05:06:07Z", "sampledValue": [{"value": "1", **sample}]}
    return {"connectorId": 1, "meterValue": [element]}


def status(**members: Any) -> dict[str, Any]:
    """A good status with these members."""
    return {"connectorId": 1, "errorCode": "NoError", "status": "Available", **members}


class OdditiesTests(SynchronousTestCase):
    """What decoders take and the specification does not."""

    def test_good_messages(self) -> None:
        """Nothing is odd about any good message of a charger, full or bare."""
        for name in facts.MESSAGES:
            action = name.removesuffix("Request")
            if name.endswith("Request") and ACTIONS[action].from_charger:
                for full in (True, False):
                    text = payload(example(name, full)).decode().replace('"value": "x"', '"value": "1"')
                    self.assertEqual(found(action, json.loads(text)), [], name)

    def test_samples(self) -> None:
        """4.4, M-3, M-6, MV-07, MV-08: units, values and phases of samples."""
        place = "/meterValue/0/sampledValue/0"
        for sample, expected in (
            ({"unit": "Celcius", "measurand": "Temperature"}, [("unit-misspelt", f"{place}/unit")]),
            ({"unit": "Hz", "measurand": "Frequency"}, [("unit-misspelt", f"{place}/unit")]),
            ({"measurand": "Frequency"}, []),
            ({"value": ""}, [("value-blank", f"{place}/value")]),
            ({"value": " "}, [("value-blank", f"{place}/value")]),
            ({"value": "12,5"}, [("value-not-a-number", f"{place}/value")]),
            ({"value": "NaN"}, [("value-not-a-number", f"{place}/value")]),
            ({"value": "0xAB", "format": "SignedData"}, []),
            ({"phase": "L1-N", "measurand": "Current.Import", "unit": "A"}, [("phase-odd", f"{place}/phase")]),
            ({"phase": "L1", "measurand": "Voltage", "unit": "V"}, [("phase-odd", f"{place}/phase")]),
            ({"phase": "L1-N", "measurand": "Voltage", "unit": "V"}, []),
        ):
            self.assertEqual(found("MeterValues", values(**sample)), expected, sample)

    def test_timestamps(self) -> None:
        """G-1, G-2, T-4: zones, clocks, and what is no instant; what was queued may be old."""
        for text, kinds in (
            ("2026-03-04T05:06:07Z", []),
            ("2026-03-04t05:06:07.1240977z", []),
            ("2026-03-04T05:06:07", ["timestamp-without-zone"]),
            ("2026-03-04T08:06:07+03", ["timestamp-with-offset"]),
            ("2026-03-04T08:06:07+0300", ["timestamp-with-offset"]),
            ("2026-03-04T05:12:00Z", ["clock-off"]),
            ("2026-03-04T05:01:00Z", ["clock-off"]),
            ("1970-01-01T00:00:10Z", ["clock-never-set"]),
            ("yesterday", ["timestamp-unreadable"]),
        ):
            self.assertEqual([kind for kind, _ in found("StatusNotification", status(timestamp=text))], kinds, text)
        old = {"connectorId": 1, "idTag": "T", "meterStart": 1, "timestamp": "2026-03-04T01:00:00Z"}
        self.assertEqual(found("StartTransaction", old), [])

    def test_members(self) -> None:
        """4.3, 4.4, G-5, M-4, T-22: blanks, "null", ids that were never given, numbers and lists beyond the letter."""
        for action, value, expected in (
            ("BootNotification", {"chargePointVendor": " ", "chargePointModel": "M"}, [("vendor-blank", "/chargePointVendor")]),
            ("StatusNotification", status(info="NULL"), [("text-null", "/info")]),
            ("StatusNotification", status(connectorId=-1), [("beyond-the-letter", "/connectorId")]),
            ("MeterValues", {"connectorId": 1, "meterValue": []}, [("list-empty", "/meterValue")]),
            ("MeterValues", {**values(), "transactionId": 0}, [("transaction-id-impossible", "/transactionId")]),
            ("MeterValues", {**values(), "transactionId": 2**63 - 1}, [("transaction-id-impossible", "/transactionId")]),
            (
                "StopTransaction",
                {"transactionId": -1, "meterStop": 1, "timestamp": "2026-03-04T05:06:07Z"},
                [("stop-nameless", "/transactionId")],
            ),
            ("Authorize", {"idTag": ""}, [("id-tag-blank", "/idTag")]),
            ("Heartbeat", [], []),
        ):
            self.assertEqual(found(action, value), expected)

    @given(st.sampled_from(["MeterValues", "StopTransaction", "StartTransaction", "StatusNotification"]), JSON)
    def test_looking_never_fails(self, action: str, value: Any) -> None:
        """Whatever JSON it is given, and everything that it finds has a name."""
        for kind, _ in found(action, value):
            self.assertIn(kind, DEVIATIONS)


class DeviationTests(SynchronousTestCase):
    """The table of deviations."""

    def test_each_name_is_in_the_table(self) -> None:
        """Every kind that the code names has a row, and every row is named somewhere."""
        files = [*(ROOT / "ocppd" / "central").glob("*.py"), ROOT / "ocppd/ocppj/session.py", ROOT / "ocppd/net/websocket.py"]
        text = "".join(path.read_text() for path in files if path.name != "deviations.py")
        text += (ROOT / "ocppd/central/deviations.py").read_text().partition("REFUSED")[2]
        named = set(re.findall(r'"([a-z0-9]+(?:-[a-z0-9]+)+)"', text))
        others = {row[0] for row in deviations._OTHERS}
        self.assertEqual(others - named, set())
        noted = re.findall(r'\.note\([^"\n]*"([a-z-]+)"|(?:Odd|Oddity)\("([a-z-]+)"|yield "([a-z-]+)"', text)
        self.assertEqual({kind for kinds in noted for kind in kinds if kind} - DEVIATIONS.keys(), set())

    def test_rows(self) -> None:
        """Every deviation has a rule, a title and advice; what is salvaged would have been lost."""
        for each in DEVIATIONS.values():
            self.assertTrue(each.rule and each.title and each.advice, each.kind)
        self.assertIs(DEVIATIONS["fill-meter-stop"].severity, Severity.ERROR)
        self.assertIs(DEVIATIONS["null"].severity, Severity.WARNING)
        self.assertEqual(deviation("of-tomorrow").title, "of-tomorrow")
        self.assertLessEqual(set(repairs.NAMES), DEVIATIONS.keys())

    def test_ends_of_calls(self) -> None:
        """4.4, E-4, K-3: what an answer, or none, says about its charger."""

        def told(request: Any, result: Any, **members: Any) -> list[str]:
            ended = Ended(CallEnd("m", MessageState.COMPLETED, NOW_MS), result, **members)
            return [kind for kind, _ in findings.of_end(request, ended)]

        probe = core.ChangeConfigurationRequest(key="metervaluesSampledData", value="SoC")
        other = core.ChangeConfigurationRequest(key="HeartbeatInterval", value="1")
        accepted = core.ChangeConfigurationConfirmation(status=ConfigurationStatus.ACCEPTED)
        timeout = CallTimeout("CP1", "m", 30.0)
        self.assertEqual(told(probe, timeout), ["probe-failed"])
        self.assertEqual(told(other, timeout), [])
        self.assertEqual(told(probe, accepted), [])
        self.assertEqual(told(probe, accepted, repairs=("null",)), ["answer-mended"])
        self.assertEqual(told(probe, InvalidResponse("CP1", "m", "x")), ["answer-invalid"])

        def keys(**values: str) -> core.GetConfigurationConfirmation:
            entries = tuple(KeyValue(key=key, readonly=True, value=value) for key, value in values.items())
            return core.GetConfigurationConfirmation(configuration_key=entries)

        ask = core.GetConfigurationRequest()
        self.assertEqual(told(ask, core.GetConfigurationConfirmation()), [])
        self.assertEqual(told(ask, keys(ChargingScheduleAllowedChargingRateUnit="Current,Power")), [])
        self.assertEqual(told(ask, keys(chargingscheduleallowedchargingrateunit="A")), ["rate-unit-misspelt"])
        self.assertEqual(told(ask, keys(SupportedFeatureProfiles="Core,SmartCharging,SecurityProfile")), [])
        self.assertEqual(told(ask, keys(SupportedFeatureProfiles="Core, SmartCharging")), ["profiles-with-blanks"])


class RegisterTests(SynchronousTestCase):
    """The register that stands for one that a stop lacks."""

    def test_the_first_total_counts(self) -> None:
        """E-1, M-6: the first register of all phases at the outlet, in Wh, rounded half up; nothing else is one."""
        other = '[{"value":"9","measurand":"Power.Active.Import"},{"value":"9","phase":"L1"},{"value":"9","location":"Inlet"}]'
        signed = '[{"value":"9","format":"SignedData"},{"value":"x"},{"value":""}]'
        self.assertEqual(register_of(["nonsense", other, signed, '[{"value":"1.2345","unit":"kWh"}]', '[{"value":"7"}]']), 1235)
        self.assertIsNone(register_of([other, signed, "[]"]))


class RedactionTests(SynchronousTestCase):
    """Raw frames without their secrets."""

    def test_raw_frames(self) -> None:
        """Z-7: what names the key is hidden as a whole, what has no secret stays as it is, credentials go."""
        self.assertEqual(redact_raw("Heartbeat", "{broken"), "{broken")
        self.assertEqual(redact_raw("", '{"key":"authorizationKEY","value":"x'), '"***"')
        self.assertEqual(redact_raw("", '"\\u0061uthorizationkey"'), '"***"')
        self.assertEqual(redact_raw("X", '["ftp://u:p@h/"]'), '["ftp://***@h/"]')
        self.assertEqual(redact_raw("ChangeConfiguration", "{"), '"***"')
