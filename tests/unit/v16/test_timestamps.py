"""Timestamps as chargers write them. REQUIREMENTS G-1, CASES VA-08."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ocppd.v16.timestamps import LAST_SENDABLE_MS, format_timestamp, parse_timestamp, sendable

#: 2026-03-04T05:06:07Z
BASE_MS = 1_772_600_767_000
MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS

READABLE = {
    "2026-03-04T05:06:07Z": BASE_MS,
    "2026-03-04T05:06:07.1240977Z": BASE_MS + 124,
    "2026-03-04T05:06:07.1Z": BASE_MS + 100,
    "2026-03-04T05:06:07.9999999999999Z": BASE_MS + 999,
    "2026-03-04T05:06:07." + "9" * 5000 + "Z": BASE_MS + 999,
    "2026-03-04T05:06:07." + "9" * 5000 + "+00": BASE_MS + 999,
    "2026-03-04T05:06:07,5Z": BASE_MS + 500,
    "2026-03-04T05:06:07z": BASE_MS,
    "2026-03-04t05:06:07z": BASE_MS,
    "2026-03-04 05:06:07Z": BASE_MS,
    "2026-03-04 05:06:07 Z": BASE_MS,
    "2026-03-04T05:06:07": BASE_MS,
    "2026-03-04T05:06:07.25": BASE_MS + 250,
    "2026-03-04T05:06:07+00:00": BASE_MS,
    "2026-03-04T05:06:07+03:00": BASE_MS - 3 * HOUR_MS,
    "2026-03-04T05:06:07+0300": BASE_MS - 3 * HOUR_MS,
    "2026-03-04T05:06:07+03": BASE_MS - 3 * HOUR_MS,
    "2026-03-04T05:06:07-03:30": BASE_MS + 3 * HOUR_MS + 30 * MINUTE_MS,
    "2026-03-04T05:06:07 +0300": BASE_MS - 3 * HOUR_MS,
    "2026-03-04T05:06:07.000+05:45": BASE_MS - 5 * HOUR_MS - 45 * MINUTE_MS,
    "2026-03-04T05:06Z": BASE_MS - 7000,
    "2026-03-04T05:06": BASE_MS - 7000,
    "2026-03-04 05:06+02": BASE_MS - 7000 - 2 * HOUR_MS,
    "20260304T050607Z": BASE_MS,
    "20260304T050607.25+0300": BASE_MS + 250 - 3 * HOUR_MS,
    "20260304 0506": BASE_MS - 7000,
    "20260304T05:06:07Z": BASE_MS,
    "  2026-03-04T05:06:07Z\r\n": BASE_MS,
    "2026-03-03T24:00:00Z": BASE_MS - 5 * HOUR_MS - 6 * MINUTE_MS - 7000,
    "2016-12-31T23:59:60Z": 1_483_228_800_000,
    "1970-01-01T00:00:00Z": 0,
    "1969-12-31T23:59:59.999Z": -1,
    "0001-01-01T00:00:00Z": -62_135_596_800_000,
    "9999-12-31T23:59:59.999Z": 253_402_300_799_999,
}

UNREADABLE = (
    "",
    " ",
    "yesterday",
    "2026-03-04",
    "05:06:07",
    "1772600767",
    "2026-3-4T5:6:7Z",
    "2026-13-04T05:06:07Z",
    "2026-02-29T05:06:07Z",
    "2026-03-04T25:00:00Z",
    "2026-03-04T24:00:01Z",
    "2026-03-04T24:00:00.5Z",
    "2026-03-04T05:60:07Z",
    "2026-03-04T05:06:61Z",
    "2026-03-04T05:06:07+24:00",
    "2026-03-04T05:06:07+03:60",
    "2026-03-04T05:06:07ZZ",
    "2026-03-04T05:06:07+3",
    "2026-W10-3T05:06:07Z",
    "2026-03-04T05:06:07.Z",
    "2026-03-04T05:0607.5Z",
    "2026-03-04T0506:07Z",
    "2026-0304T05:06:07Z",
    "202603-04T05:06:07Z",
    "20260304T05067Z",
    "20260304050607",
    "0000-01-01T00:00:00Z",
    "10000-01-01T00:00:00Z",
    "0001-01-01T00:00:00+01:00",
    "9999-12-31T23:59:59-01:00",
    "٢٠٢٦-03-04T05:06:07Z",
    "2026-03-04T05:06:07\x00Z",
    "2026-03-04T05:06:07\ud800Z",
)


class TimestampTests(SynchronousTestCase):
    """Reading leniently, writing strictly."""

    def test_readable_va_08(self) -> None:
        """Every profile of ISO 8601 that is seen names the right instant."""
        self.assertEqual({text: parse_timestamp(text) for text in READABLE}, READABLE)

    def test_unreadable(self) -> None:
        """What names no instant raises ValueError, and nothing else."""
        for text in UNREADABLE:
            with self.assertRaises(ValueError, msg=text):
                parse_timestamp(text)

    def test_format(self) -> None:
        """We write whole seconds, UTC, with the literal Z."""
        self.assertEqual(format_timestamp(BASE_MS + 999), "2026-03-04T05:06:07Z")
        self.assertEqual(format_timestamp(-1), "1969-12-31T23:59:59Z")
        self.assertEqual(format_timestamp(READABLE["0001-01-01T00:00:00Z"]), "0001-01-01T00:00:00Z")

    def test_format_outside(self) -> None:
        """An instant outside the years 1 to 9999 raises ValueError."""
        for instant_ms in (READABLE["0001-01-01T00:00:00Z"] - 1, READABLE["9999-12-31T23:59:59.999Z"] + 1, 10**30):
            with self.assertRaises(ValueError):
                format_timestamp(instant_ms)

    def test_sendable(self) -> None:
        """A charger is sent UTC and whole seconds, and no year from 2038 on."""
        self.assertEqual(sendable("2026-03-04T05:06:07Z"), "2026-03-04T05:06:07Z")
        self.assertEqual(sendable("2026-03-04T08:06:07.999+03:00"), "2026-03-04T05:06:07Z")
        self.assertEqual(sendable("2037-12-31T23:59:59Z"), "2037-12-31T23:59:59Z")
        self.assertEqual(sendable("2038-01-01T00:00:00Z"), "2037-12-31T23:59:59Z")
        self.assertEqual(sendable("2016-12-31T23:59:60Z"), "2017-01-01T00:00:00Z")
        self.assertEqual(format_timestamp(LAST_SENDABLE_MS), "2037-12-31T23:59:59Z")

    @settings(derandomize=True, deadline=None, database=None)
    @given(st.datetimes(timezones=st.just(UTC)))
    def test_there_and_back(self, instant: datetime) -> None:
        """What Python writes we read to the millisecond, and what we write we read to the second."""
        instant_ms = parse_timestamp(instant.isoformat())
        whole_ms = (instant - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1000
        self.assertLessEqual(abs(whole_ms - instant_ms), 1)
        self.assertEqual(parse_timestamp(instant.isoformat().replace("+00:00", "Z")), instant_ms)
        self.assertEqual(parse_timestamp(format_timestamp(instant_ms)), instant_ms // 1000 * 1000)

    @settings(derandomize=True, deadline=None, database=None)
    @given(st.text(alphabet="0123456789-+:.,TtZz \x00é", max_size=40))
    def test_any_text(self, text: str) -> None:
        """Whatever the text, the answer is an instant that can be written, or ValueError."""
        try:
            instant_ms = parse_timestamp(text)
        except ValueError:
            return
        self.assertEqual(len(format_timestamp(instant_ms)), 20)
