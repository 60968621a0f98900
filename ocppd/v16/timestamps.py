"""Timestamps as chargers write them and as we write them. Knows no messages. REQUIREMENTS G-1.

Read leniently: any number of fraction digits, `Z` or `z`, offsets as `+03:00`, `+0300` or `+03`, no zone (taken as UTC),
no seconds, a blank or `t` for `T`, blanks around it, hour 24 and second 60, and all of it in the basic notation of ISO 8601
(`20260304T050607Z`). Written strictly: `YYYY-MM-DDTHH:MM:SSZ`.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

#: The last second that 32-bit clocks of chargers are trusted with: no year from 2038 on is sent (G-1).
LAST_SENDABLE_MS = 2_145_916_799_000

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_DAY_S = 86_400
_MILLISECOND = timedelta(milliseconds=1)
_FIRST_MS = (date.min.toordinal() - _EPOCH_DAY) * _DAY_S * 1000
_LAST_MS = (date.max.toordinal() - _EPOCH_DAY + 1) * _DAY_S * 1000 - 1

_SHAPE = re.compile(
    r"(?P<year>\d{4})(?P<dash>-?)(?P<month>\d\d)(?P=dash)(?P<day>\d\d)[Tt ]"
    r"(?P<hour>\d\d)(?P<colon>:?)(?P<minute>\d\d)(?:(?P=colon)(?P<second>\d\d)(?:[.,](?P<fraction>\d+))?)?"
    r" ?(?:[Zz]|(?P<sign>[+-])(?P<zone_hour>\d\d)(?::?(?P<zone_minute>\d\d))?)?",
    re.ASCII,
)


_SECOND = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)", re.ASCII)


def parse_timestamp(text: str) -> int:
    """The instant that `text` names, in milliseconds since the epoch; a finer fraction is cut off.

    Raises ValueError when it names none, or one outside the years 1 to 9999.
    """
    second_ms = _second_ms(text[:19])
    if second_ms is not None:  # what nearly all chargers send: 2026-03-04T05:06:07Z, or the same with a fraction
        rest = text[19:]
        if rest == "Z":
            return second_ms
        if rest[:1] == "." and rest[-1:] == "Z" and rest.isascii():
            digits = rest[1:-1]
            if digits.isdigit():
                return second_ms + int(digits if len(digits) == 3 else digits[:3].ljust(3, "0"))
    match = _SHAPE.fullmatch(text.strip())
    if match is None:
        raise ValueError("not a timestamp")
    year, month, day, hour, minute = (int(match[name]) for name in ("year", "month", "day", "hour", "minute"))
    second = int(match["second"] or 0)
    if hour > 24 or minute > 59 or second > 60 or (hour == 24 and (minute or second)):
        raise ValueError("no such time of day")
    milliseconds = int((match["fraction"] or "0")[:3].ljust(3, "0"))
    if hour == 24 and milliseconds:
        raise ValueError("no such time of day")
    days = date(year, month, day).toordinal() - _EPOCH_DAY
    seconds = days * _DAY_S + hour * 3600 + minute * 60 + second - _offset_s(match)
    instant_ms = seconds * 1000 + milliseconds
    if not _FIRST_MS <= instant_ms <= _LAST_MS:
        raise ValueError("outside the years 1 to 9999")
    return instant_ms


@lru_cache(maxsize=1024)  # what chargers tell has mostly just happened
def _second_ms(text: str) -> int | None:
    """The instant that is written as `2026-03-04T05:06:07`, in UTC; None where none is."""
    match = _SECOND.fullmatch(text)
    if match is None:
        return None
    year, month, day, hour, minute, second = map(int, match.groups())
    try:
        return (datetime(year, month, day, hour, minute, second, tzinfo=UTC) - _EPOCH) // _MILLISECOND
    except ValueError:
        return None


def _offset_s(match: re.Match[str]) -> int:
    """The offset from UTC in seconds; none is UTC."""
    if match["sign"] is None:
        return 0
    hours, minutes = int(match["zone_hour"]), int(match["zone_minute"] or 0)
    if hours > 23 or minutes > 59:
        raise ValueError("no such offset")
    return (hours * 3600 + minutes * 60) * (-1 if match["sign"] == "-" else 1)


def format_timestamp(ms: int) -> str:
    """`ms` (milliseconds since the epoch) as `YYYY-MM-DDTHH:MM:SSZ`; milliseconds are cut off.

    Raises ValueError outside the years 1 to 9999.
    """
    if not _FIRST_MS <= ms <= _LAST_MS:
        raise ValueError("outside the years 1 to 9999")
    return _format_second(ms // 1000)


@lru_cache(maxsize=16)  # heartbeats of one second are answered with one text
def _format_second(seconds: int) -> str:
    return (_EPOCH + timedelta(seconds=seconds)).isoformat()[:19] + "Z"


def sendable(text: str) -> str:
    """The instant that `text` names as chargers are sent it: UTC, whole seconds, no later than 2037 (G-1).

    Raises ValueError when it names none.
    """
    return format_timestamp(min(parse_timestamp(text), LAST_SENDABLE_MS))
