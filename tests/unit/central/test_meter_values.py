"""Meter values: rows as sent, defaults and units when they are read. CASES.md MV; REQUIREMENTS M-2, M-3, M-6."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ocppd.central.meter_values import elements_of, news_of, normalise, samples_of
from ocppd.storage.records import UNREADABLE_MS, Told
from ocppd.v16.codec import decode
from ocppd.v16.core import MeterValuesRequest, StopTransactionRequest

NOW_MS = 1_772_366_400_000


def samples(*values: Any) -> list[Any]:
    return samples_of(json.dumps(values))


class SampleTests(SynchronousTestCase):
    """`samples_of` and `normalise`."""

    def test_mv_01_defaults(self) -> None:
        """MV-01: a value alone is active energy imported at the outlet, in Wh, raw, sampled periodically (M-2)."""
        [sample] = samples({"value": "1234"})
        self.assertEqual(
            (sample.measurand, sample.unit, sample.location, sample.format, sample.context, sample.phase),
            ("Energy.Active.Import.Register", "Wh", "Outlet", "Raw", "Sample.Periodic", None),
        )
        self.assertEqual((sample.value, sample.raw_value, sample.raw_unit), (Decimal(1234), "1234", None))

    def test_mv_07_units(self) -> None:
        """MV-07: units are made comparable, what was sent is kept; energy and frequency have a default (M-6)."""
        for measurand, unit, told, value in (
            ("Energy.Active.Import.Register", "kWh", "Wh", "2000"),
            ("Energy.Reactive.Import.Register", "kvarh", "varh", "2000"),
            ("Energy.Reactive.Import.Interval", None, "varh", "2"),
            ("Power.Active.Import", "kW", "W", "2000"),
            ("Power.Offered", "kVA", "VA", "2000"),
            ("Power.Reactive.Import", "kvar", "var", "2000"),
            ("Temperature", "Celcius", "Celsius", "2"),
            ("Temperature", "Celsius", "Celsius", "2"),
            ("Frequency", "Hz", "Hertz", "2"),
            ("Frequency", "Hertz", "Hertz", "2"),
            ("Frequency", None, "Hertz", "2"),
            ("SoC", "Percent", "Percent", "2"),
            ("RPM", None, None, "2"),
        ):
            given = {"value": "2", "measurand": measurand} | ({"unit": unit} if unit else {})
            [sample] = samples(given)
            self.assertEqual((sample.unit, sample.value, sample.raw_unit), (told, Decimal(value), unit), measurand)

    def test_mv_08_odd_values(self) -> None:
        """MV-08: numbers, blanks around, and a decimal comma are read; what is empty is left out; text stays text (M-3)."""
        for value, read in (
            (12.5, Decimal("12.5")),
            (0, Decimal(0)),
            (0.0, Decimal(0)),
            (-3, Decimal(-3)),
            (" 12 ", Decimal(12)),
            ("12,5", Decimal("12.5")),
            ("+1e3", Decimal(1000)),
            ("0", Decimal(0)),
            ("1,234.5", "1,234.5"),
            ("abc", "abc"),
            ("NaN", "NaN"),
            ("Infinity", "Infinity"),
            ("9" * 65, "9" * 65),
            ("1e999999999", "1e999999999"),
            ("1e-999999999", "1e-999999999"),
        ):
            [sample] = samples({"value": value})
            self.assertEqual((sample.value, sample.raw_value), (read, str(value)), value)
        for value in ("", "  ", "\t", None, True, False, [], ["1"], {}, {"a": 1}):
            self.assertEqual(samples({"value": value}), [], value)
        self.assertEqual(samples({}), [])

    def test_signed_data(self) -> None:
        """SignedData is kept verbatim and never read as a number, even where it looks like one (M-3)."""
        for text in ("OCMF|{...}|{...}", "12", " 12 ", "1" * 3000):
            [sample] = samples({"value": text, "format": "SignedData", "unit": "kWh"})
            self.assertEqual((sample.value, sample.raw_value, sample.unit), (text, text, "kWh"))

    def test_texts_that_are_no_samples(self) -> None:
        """Whatever was stored, reading it raises nothing."""
        for text in ("", "{", "null", "5", "{}", '[1,"x",null,[]]', "[" * 10_000, '[{"value":"\\ud800"}]', "[NaN]"):
            self.assertEqual(samples_of(text), [])
        self.assertEqual(samples({"value": "1", "unit": 5, "phase": [], "measurand": {}, "context": None})[0].unit, "Wh")

    @given(st.text(max_size=80), st.one_of(st.none(), st.sampled_from(["kWh", "Wh", "x"])))
    def test_any_text(self, text: str, unit: str | None) -> None:
        """Any text is a finite number of a sane size or none."""
        _, number = normalise(text, unit)
        if number is not None:
            self.assertTrue(number.is_finite())
            self.assertLess(len(format(number, "f")), 200)


class NewsTests(SynchronousTestCase):
    """What of an instant was not told before (M-9)."""

    def setUp(self) -> None:
        """What was told of the instant."""
        self.told = Told(['[{"value":"9"},{"value":"230","measurand":"Voltage","unit":"V"}]', '[{"value":"1","phase":"L1"}]'])

    def test_nothing(self) -> None:
        """The same sample, with defaults or without, in whatever unit, and what says nothing."""
        for text in (
            '[{"value":"9"}]',
            '[{"value":"230.0","measurand":"Voltage","unit":"V","context":"Sample.Periodic"},{"value":"9","location":"Outlet"}]',
            '[{"value":"0.009","unit":"kWh"},{"value":1,"phase":"L1"},{"value":""}]',
        ):
            self.assertIsNone(news_of(text, self.told), text)

    def test_as_sent(self) -> None:
        """What is left is as it was sent; all of it where all is news."""
        other = '{"value": "9", "context": "Transaction.End"}'
        self.assertEqual(news_of(f'[{{"value":"9"}}, {other},{{"value":"230.0"}}]', self.told), f'[{other},{{"value":"230.0"}}]')
        self.assertEqual((self.told.read, len(self.told.known)), (2, 3))
        for text in (f"[ {other} ]", '[{"value":"9"}', "{}", '[{"value":"9","phase":"L2"}]'):
            self.assertEqual(news_of(text, self.told), text)


class ElementTests(SynchronousTestCase):
    """`elements_of`."""

    def rows(self, payload: str) -> list[tuple[int, str]]:
        request, _ = decode(MeterValuesRequest, payload.encode(), strict=False)
        return [(row.timestamp_ms, row.samples) for row in elements_of(payload.encode(), request.meter_value)]

    def test_as_sent(self) -> None:
        """A row holds the samples as they were sent, to the byte, with members that nobody knows."""
        sent = '[{"value": "1",  "foo":1.50,"unit":"Hz"}]'
        payload = f'{{"connectorId":1,"meterValue":[{{"timestamp":"2026-03-01T12:00:00Z","sampledValue":{sent}}}]}}'
        self.assertEqual(self.rows(payload), [(NOW_MS, sent)])

    def test_samples_are_not_taken_for_others(self) -> None:
        """What only looks like the samples of the element, or has something behind them, is not taken for them."""
        samples = '[{"value":"1"}]'
        at = '"timestamp":"2026-03-01T12:00:00Z"'
        for element in (
            f'{at},"sampledValue":{samples}',
            f'{at},"sampledValue":  {samples}',
            f'"sampledValue":{samples},{at}',
            f'{at},"sampledValue":{samples},"x":[1]',
            f'{at},"sampledValue":{samples},"x":[{{"y":[1]}}]',
            f'{at},"x":{{"sampledValue":[5]}},"sampledValue":{samples}',
            f'{at},"sampledValue":{samples},"x":[{{"sampledValue":[5]}}]',
            f'"x":"\\"sampledValue\\":[",{at},"sampledValue":{samples}',
            f'{at},"sampled\\u0056alue":{samples},"x":[{{"sampledValue":[5]}}]',
            f'{at},"sampledValue":[5],"sampledValue":{samples}',
        ):
            for ending in ("}]", "}  ]", '}],"x":[]', '}],"x":[{"sampledValue":[5]}]'):
                payload = f'{{"connectorId":1,"meterValue":[{{{element}{ending}}}'
                self.assertEqual(self.rows(payload), [(NOW_MS, samples)], payload)

    def test_brackets_in_samples(self) -> None:
        """A text with brackets is a part of the samples."""
        for sent in ('[{"value":"]}]}"}]', '[{"value":"1","x":[1]}]', '[{"value":"\\"]"}]', "[]", ' [{"value":"1"}] '):
            payload = f'{{"connectorId":1,"meterValue":[{{"timestamp":"2026-03-01T12:00:00Z","sampledValue":{sent}}}]}}'
            self.assertEqual(self.rows(payload), [(NOW_MS, sent.strip())])

    def test_unreadable_timestamps(self) -> None:
        """A timestamp that names no instant is the same one at each repeat, so that a repeat is recognised (M-9, G-2)."""
        for timestamp in ('"yesterday"', '"2026-02-30T00:00:00Z"', "5"):
            payload = f'{{"connectorId":1,"meterValue":[{{"timestamp":{timestamp},"sampledValue":[{{"value":"1"}}]}}]}}'
            [(timestamp_ms, text)] = self.rows(payload)
            self.assertEqual(timestamp_ms, UNREADABLE_MS)
            self.assertEqual(samples_of(text)[0].value, Decimal(1))

    def test_repaired_values(self) -> None:
        """A value that had to be mended to be read is stored as sent, and read."""
        payload = '{"connectorId":1,"meterValue":[{"timestamp":"2026-03-01T12:00:00Z","sampledValue":[{"value":0.5}]}]}'
        [(_, text)] = self.rows(payload)
        self.assertEqual(text, '[{"value":0.5}]')
        self.assertEqual(samples_of(text)[0].value, Decimal("0.5"))

    def test_many_elements(self) -> None:
        """Each element is a row, in their order, of MeterValues and of transactionData alike."""
        instants = [f"2026-03-01T12:00:{second:02}Z" for second in range(60)]
        elements = [{"timestamp": text, "sampledValue": [{"value": str(number)}]} for number, text in enumerate(instants)]
        payload = json.dumps({"connectorId": 1, "meterValue": elements})
        self.assertEqual([timestamp_ms for timestamp_ms, _ in self.rows(payload)], list(range(NOW_MS, NOW_MS + 60_000, 1000)))
        stop = json.dumps({"transactionId": 1, "meterStop": 1, "timestamp": instants[0], "transactionData": elements}).encode()
        request, _ = decode(StopTransactionRequest, stop, strict=False)
        assert isinstance(request.transaction_data, tuple)
        rows = elements_of(stop, request.transaction_data)
        self.assertEqual([samples_of(row.samples)[0].value for row in rows], list(range(60)))
