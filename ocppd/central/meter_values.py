"""Meter values: from the frame into rows, and from rows to what they say. REQUIREMENTS M-2, M-3, M-6. Pure.

A row keeps the samples of one instant as they were sent; defaults and units are applied when they are read.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from ocppd.storage.records import UNREADABLE_MS, MeterValueElement, Told
from ocppd.v16.codec import encode
from ocppd.v16.timestamps import parse_timestamp
from ocppd.v16.types import MeterValue

ENERGY: Final = "Energy."
REGISTER: Final = "Energy.Active.Import.Register"
#: How the measurands end that only grow.
ANY_REGISTER: Final = ".Register"
#: M-6: what a unit is worth in the one that is compared; text keeps what was sent.
NORMAL_UNITS: Final[dict[str, tuple[str, Decimal]]] = {
    "kWh": ("Wh", Decimal(1000)),
    "kvarh": ("varh", Decimal(1000)),
    "kW": ("W", Decimal(1000)),
    "kVA": ("VA", Decimal(1000)),
    "kvar": ("var", Decimal(1000)),
    "Celcius": ("Celsius", Decimal(1)),
    "Hz": ("Hertz", Decimal(1)),
}
#: Longer texts are kept and not interpreted.
MAX_NUMBER_LENGTH: Final = 64


class _RawElement(msgspec.Struct, rename="camel", gc=False):
    timestamp: str
    sampled_value: Annotated[msgspec.Raw, Meta()] = msgspec.Raw(b"[]")


class _RawMeterValues(msgspec.Struct, rename="camel", gc=False):
    meter_value: list[_RawElement] = msgspec.field(default_factory=list)
    transaction_data: list[_RawElement] = msgspec.field(default_factory=list)


#: What comes before the samples of an element, and after those that a payload ends with.
_KEY: Final = b'"sampledValue":'
_END: Final = b"]}]}"

_raw = msgspec.json.Decoder(_RawMeterValues).decode
_samples = msgspec.json.Decoder().decode
_samples_as_sent = msgspec.json.Decoder(list[msgspec.Raw]).decode


def elements_of(payload: bytes, decoded: tuple[MeterValue, ...]) -> tuple[MeterValueElement, ...]:
    """The rows of a MeterValues or StopTransaction payload: samples as sent where they can be cut out of it.

    `decoded` is the same list as it was read, repairs included.
    """
    if len(decoded) == 1:
        samples = _samples_at_the_end(payload) if decoded[0].sampled_value else None
        if samples is not None:
            return (MeterValueElement(told_instant(decoded[0].timestamp), samples),)
    try:
        message = _raw(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        texts = [encode_samples(element) for element in decoded]
    else:
        texts = [
            bytes(element.sampled_value).decode("utf-8", "replace") for element in message.meter_value or message.transaction_data
        ]
        if len(texts) != len(decoded):
            texts = [encode_samples(element) for element in decoded]
    return tuple(MeterValueElement(told_instant(element.timestamp), text) for element, text in zip(decoded, texts, strict=True))


def _samples_at_the_end(payload: bytes) -> str | None:
    """The samples of the one element of a payload, where they are plainly what it ends with, as nearly all write it."""
    if payload[-4:] != _END or b"\\" in payload:
        return None
    begin = payload.find(_KEY) + len(_KEY)
    samples = payload[begin:-3]
    # No other bracket: nothing is behind them. No escapes and one such key: it is no text, and none but the element's.
    if begin < len(_KEY) or samples[:1] != b"[" or samples.find(b"]") != len(samples) - 1 or payload.find(_KEY, begin) >= 0:
        return None
    return samples.decode("utf-8", "replace")


def encode_samples(element: MeterValue) -> str:
    """The `sampledValue` list of a decoded element as JSON text."""
    return msgspec.json.encode([msgspec.Raw(encode(sample)) for sample in element.sampled_value]).decode()


def instant_or(timestamp: object, received_ms: int) -> int:
    """A charger's timestamp in ms, or the time of receipt where there is none that can be read (G-2: never refuse for time)."""
    if not isinstance(timestamp, str):
        return received_ms
    try:
        return parse_timestamp(timestamp)
    except ValueError:
        return received_ms


def told_instant(timestamp: str) -> int:
    """A charger's timestamp in ms, or UNREADABLE_MS: what a message is recognised by must be the same when it is repeated."""
    try:
        return parse_timestamp(timestamp)
    except ValueError:
        return UNREADABLE_MS


@dataclass(frozen=True, slots=True)
class Sample:
    """One sampled value with its defaults applied. `value` is a number where it can be one, in `unit`."""

    context: str
    measurand: str
    phase: str | None
    location: str
    format: str
    unit: str | None
    value: Decimal | str
    raw_value: str
    raw_unit: str | None


def samples_of(text: str) -> list[Sample]:
    """The samples of a row; what cannot be read as one is left out, what is empty too (M-3)."""
    return [_sample(value) for value in _values(text) if _is_sample(value)]


def registers_of(text: str) -> list[Sample]:
    """Those that are of registers. The others, which are nearly all, cost next to nothing."""
    return [_sample(value) for value in _values(text) if _is_sample(value) and _is_of_register(value)]


def _values(text: str) -> list[Any]:
    try:
        values = _samples(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return []
    return values if isinstance(values, list) else []


def _is_of_register(value: dict[str, Any]) -> bool:
    measurand = value.get("measurand")
    return not (isinstance(measurand, str) and measurand) or measurand.endswith(ANY_REGISTER)


def _is_sample(value: Any) -> bool:
    """Whether it holds a text that is not blank, or a number; 0 is one."""
    given = value.get("value") if isinstance(value, dict) else None
    return bool(given.strip()) if isinstance(given, str) else isinstance(given, int | float) and not isinstance(given, bool)


def _sample(value: dict[str, Any]) -> Sample:
    def member(name: str, default: str) -> str:
        text = value.get(name)
        return text if isinstance(text, str) and text else default

    measurand = member("measurand", REGISTER)
    raw_unit = member("unit", "") or None
    raw_value = str(value["value"])
    kind = member("format", "Raw")
    unit, number = (raw_unit, None) if kind == "SignedData" else normalise(raw_value, raw_unit or _default_unit(measurand))
    return Sample(
        context=member("context", "Sample.Periodic"),
        measurand=measurand,
        phase=member("phase", "") or None,
        location=member("location", "Outlet"),
        format=kind,
        unit=unit,
        value=raw_value if number is None else number,
        raw_value=raw_value,
        raw_unit=raw_unit,
    )


def _default_unit(measurand: str) -> str | None:
    if measurand.startswith(ENERGY):
        return "varh" if "Reactive" in measurand else "Wh"
    return "Hertz" if measurand == "Frequency" else None


def register_of(texts: list[str]) -> int | None:
    """The first energy register in rows of samples, in Wh; None where there is none (E-1)."""
    for text in texts:
        for sample in samples_of(text):
            total = sample.measurand == REGISTER and sample.phase is None and sample.location == "Outlet"
            if total and sample.format == "Raw" and isinstance(sample.value, Decimal):
                return int(sample.value.to_integral_value(ROUND_HALF_UP))
    return None


def news_of(text: str, told: Told) -> str | None:
    """The samples of a row without those that rows of the same instant have told before; None where nothing is left (M-9).

    A sample is the same whether it names what is meant without it or not, and in whatever unit it is.
    """
    told.known.update(_what(sample) for row in told.rows[told.read :] for sample in samples_of(row))
    told.read = len(told.rows)
    try:
        given = [bytes(sample) for sample in _samples_as_sent(text)]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return text
    left = [sample for sample in given if not all(_what(each) in told.known for each in samples_of(f"[{sample.decode()}]"))]
    if len(left) == len(given):
        return text
    return f"[{b','.join(left).decode()}]" if left else None


def _what(sample: Sample) -> tuple[str | Decimal | None, ...]:
    """What a sample says, however it was written."""
    return sample.context, sample.measurand, sample.phase, sample.location, sample.format, sample.unit, sample.value


def normalise(text: str, unit: str | None) -> tuple[str | None, Decimal | None]:
    """The number that `text` is in the unit that is compared, and that unit; None where it is no number.

    A decimal comma is read as a point (M-3).
    """
    normal_unit, factor = NORMAL_UNITS.get(unit or "", (unit, Decimal(1)))
    try:
        number = Decimal(text.strip().replace(",", ".")) if len(text) <= MAX_NUMBER_LENGTH else Decimal("NaN")
    except InvalidOperation:
        return normal_unit, None
    return normal_unit, number * factor if number.is_finite() and abs(number.adjusted()) < MAX_NUMBER_LENGTH else None
