"""Quirks that are in what a charger says: payloads rewritten on their way out. REQUIREMENTS 4.3, 4.4, E-1. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from ocppd.v16.timestamps import format_timestamp, parse_timestamp

Payload = dict[str, Any]
#: Changes a payload in place.
Rewrite = Callable[[Payload], None]

_HOUR_MS: Final = 3_600_000
_DAY_MS: Final = 24 * _HOUR_MS
#: The messages that name an instant.
_TIMED: Final = ("StartTransaction", "StopTransaction", "MeterValues", "StatusNotification")


@dataclass(frozen=True, slots=True)
class Spoilt:
    """A quirk of payloads: what it is, and what it does to which action."""

    what: str
    rewrites: Mapping[str, Rewrite]


def _put(name: str, value: Any) -> Rewrite:
    def put(payload: Payload) -> None:
        payload[name] = value

    return put


def _without(name: str) -> Rewrite:
    return lambda payload: payload.pop(name, None)


def _timestamps(change: Callable[[int], str]) -> Mapping[str, Rewrite]:
    """Rewrites all timestamps of a message; `change` is given the instant in ms."""

    def rewrite(payload: Payload) -> None:
        for holder in (payload, *payload.get("meterValue", ()), *payload.get("transactionData", ())):
            if "timestamp" in holder:
                holder["timestamp"] = change(parse_timestamp(holder["timestamp"]))

    return dict.fromkeys(_TIMED, rewrite)


def _written(instant_ms: int) -> str:
    """With milliseconds, without a zone."""
    fraction = instant_ms % 1000
    return f"{format_timestamp(instant_ms - fraction).removesuffix('Z')}.{fraction:03d}"


def _samples(payload: Payload) -> Iterator[tuple[Payload, Payload]]:
    """Each sample, with the element that it is in."""
    for element in (*payload.get("meterValue", ()), *payload.get("transactionData", ())):
        for sample in list(element["sampledValue"]):
            yield element, sample


def _values(change: Callable[[Payload, Payload], None]) -> Mapping[str, Rewrite]:
    """Changes every sample, given its element and itself."""

    def rewrite(payload: Payload) -> None:
        for element, sample in _samples(payload):
            change(element, sample)

    return dict.fromkeys(("MeterValues", "StopTransaction"), rewrite)


def _added(**sample: str) -> Mapping[str, Rewrite]:
    """Adds a sample to every element."""

    def rewrite(payload: Payload) -> None:
        for element in (*payload.get("meterValue", ()), *payload.get("transactionData", ())):
            element["sampledValue"].append(dict(sample))

    return dict.fromkeys(("MeterValues", "StopTransaction"), rewrite)


def _as_number(_: Payload, sample: Payload) -> None:
    sample["value"] = float(sample["value"])


def _with_comma(_: Payload, sample: Payload) -> None:
    if "." in sample["value"]:
        sample["value"] = sample["value"].replace(".", ",")


def _second_boot(payload: Payload) -> None:
    payload.clear()
    payload.update({"reason": "PowerUp", "chargingStation": {"vendorName": "ocppd", "model": "Simulator"}})


def _always_available(payload: Payload) -> None:
    if payload["status"] in ("Preparing", "Finishing"):
        payload["status"] = "Available"


PAYLOADS: Final[Mapping[str, Spoilt]] = {
    "blank-vendor": Spoilt("an empty chargePointVendor", {"BootNotification": _put("chargePointVendor", "")}),
    "null-info": Spoilt("info: null in StatusNotification", {"StatusNotification": _put("info", None)}),
    "null-as-text": Spoilt('the text "null" as info', {"StatusNotification": _put("info", "null")}),
    "long-stop-tag": Spoilt("a stop tag of 40 characters", {"StopTransaction": _put("idTag", "TAG" + "F" * 37)}),
    "corrupt-stop-tag": Spoilt("a stop tag of noise", {"StopTransaction": _put("idTag", "T\x00\x01\ufffdG\ud800")}),
    "blank-stop-tag": Spoilt("an empty stop tag", {"StopTransaction": _put("idTag", "")}),
    "transaction-0": Spoilt("transaction 0 in MeterValues", {"MeterValues": _put("transactionId", 0)}),
    "transaction-minus-1": Spoilt(
        "transaction -1 in MeterValues and StopTransaction",
        dict.fromkeys(("MeterValues", "StopTransaction"), _put("transactionId", -1)),
    ),
    "transaction-huge": Spoilt("transaction 2^63-1 in MeterValues", {"MeterValues": _put("transactionId", 2**63 - 1)}),
    "local-time-as-utc": Spoilt("local time marked Z", _timestamps(lambda at: _written(at + 2 * _HOUR_MS) + "Z")),
    "no-zone": Spoilt("timestamps without a zone", _timestamps(_written)),
    "short-offset": Spoilt("timestamps with +03", _timestamps(lambda at: _written(at + 3 * _HOUR_MS) + "+03")),
    "clock-1970": Spoilt("a clock that was never set", _timestamps(lambda at: _written(at % _DAY_MS) + "Z")),
    "unit-hz": Spoilt(
        "the unit Hz", _added(value="50.0", measurand="Frequency", unit="Hz")
    ),
    "unit-hertz": Spoilt("the unit Hertz", _added(value="50.0", measurand="Frequency", unit="Hertz")),
    "unit-celcius": Spoilt("the unit Celcius", _added(value="31.5", measurand="Temperature", unit="Celcius", location="Body")),
    "unit-unknown": Spoilt("a unit that there is none", _added(value="1", measurand="Power.Factor", unit="cosphi")),
    "value-number": Spoilt("values as numbers", _values(_as_number)),
    "value-blank": Spoilt("a sample without a value", _added(value="", measurand="SoC", unit="Percent")),
    "value-comma": Spoilt("decimal commas", _values(_with_comma)),
    "odd-phases": Spoilt("currents on phases L1-N", _added(value="16.0", measurand="Current.Import", unit="A", phase="L1-N")),
    "extra-member": Spoilt("members of its own", dict.fromkeys(_TIMED, _put("vendorExtra", {"a": 1}))),
    "status-while-plugged": Spoilt("Available while a car is plugged in", {"StatusNotification": _always_available}),
    "start-without-connector": Spoilt("a start without connectorId", {"StartTransaction": _without("connectorId")}),
    "start-without-timestamp": Spoilt("a start without timestamp", {"StartTransaction": _without("timestamp")}),
    "start-without-meter": Spoilt("a start without meterStart", {"StartTransaction": _without("meterStart")}),
    "start-without-tag": Spoilt("a start without idTag", {"StartTransaction": _without("idTag")}),
    "stop-without-meter": Spoilt("a stop without meterStop", {"StopTransaction": _without("meterStop")}),
    "stop-without-transaction": Spoilt("a stop without transactionId", {"StopTransaction": _without("transactionId")}),
    "values-without-connector": Spoilt("MeterValues without connectorId", {"MeterValues": _without("connectorId")}),
    "unknown-reason": Spoilt("a stop reason of its own", {"StopTransaction": _put("reason", "Whim")}),
}  # fmt: skip
#: The boot of a charger that has just been switched over from OCPP 2.0.1.
SECOND_BOOT: Final[Rewrite] = _second_boot
