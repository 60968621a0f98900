"""A charger that misbehaves on request: each quirk of REQUIREMENTS 4.4 by a name of ours.

A quirk is data: what it does to payloads (`quirk_payloads`), and what it does at certain moments. `Quirks` are those of one
charger; without any it costs nothing and changes nothing.
"""

from __future__ import annotations

import itertools
import json
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from ocppd.simulator.options import Options
from ocppd.simulator.quirk_payloads import PAYLOADS, SECOND_BOOT, Rewrite
from ocppd.simulator.transactions import UNKNOWN_TRANSACTION_ID
from ocppd.v16 import core
from ocppd.v16.remote_trigger import TriggerMessageConfirmation
from ocppd.v16.smart_charging import SetChargingProfileConfirmation
from ocppd.v16.types import (
    ChargingProfileStatus,
    MeterValue,
    ReadingContext,
    RemoteStartStopStatus,
    SampledValue,
    TriggerMessageStatus,
)

#: 4.4: some come back after six minutes and more.
_SLOWNESS: Final = 360


@dataclass(frozen=True, slots=True)
class Quirk:
    """One quirk: `after` runs when a CALL of that action was written, `opened` when a connection is there.

    `ids` gives message ids, given how many were used on this connection. `offers` are WebSocket subprotocols.
    """

    what: str
    rewrites: Mapping[str, Rewrite] = field(default_factory=dict)
    after: Mapping[str, Callable[[Any, Mapping[str, Any]], None]] = field(default_factory=dict)
    opened: Callable[[Any], None] | None = None
    ids: Callable[[int], str] | None = None
    offers: tuple[str, ...] | None = None
    boots: bool = True
    hex_password: bool = False
    slow: bool = False
    #: What answers commands in place of the charger, where it does not give None.
    commands: Mapping[str, Callable[[Any, Any], Any]] = field(default_factory=dict)
    configuration: Mapping[str, str] = field(default_factory=dict)


def _raw(charger: Any, action: str, payload: str = "{}") -> None:
    """A CALL past everything that waits for its turn."""
    charger.wire.send_raw(f'[2,"{uuid.uuid4()}","{action}",{payload}]'.encode())


def _overlap(charger: Any, _: Mapping[str, Any]) -> None:
    _raw(charger, "Heartbeat")
    _raw(charger, "Heartbeat")


def _broken_frame(charger: Any, _: Mapping[str, Any]) -> None:
    charger.wire.send_raw(b'[2,"broken","MeterValues",{"connectorId":1,')


def _boot_anew(charger: Any) -> None:
    charger.registration = None
    charger.life.boot_now()


def _start_again(charger: Any) -> None:
    """Once more what was answered long ago (ABB Terra AC)."""
    started = charger.quirks.last.get("StartTransaction")
    if started is not None:
        _raw(charger, "StartTransaction", json.dumps(started))


def _values_after_stop(charger: Any, stop: Mapping[str, Any]) -> None:
    if stop.get("transactionId", UNKNOWN_TRANSACTION_ID) == UNKNOWN_TRANSACTION_ID:
        return
    register = SampledValue(value=str(stop["meterStop"]), context=ReadingContext.TRANSACTION_END)
    late = core.MeterValuesRequest(
        connector_id=1,
        transaction_id=stop["transactionId"],
        meter_value=(MeterValue(timestamp=stop["timestamp"], sampled_value=(register,)),),
    )
    charger.queue.put(lambda: late)


def _switched_over(charger: Any) -> None:
    _raw(charger, "TransactionEvent", '{"eventType":"Started","seqNo":0,"triggerReason":"Authorized"}')


def _demands_connector(_: Any, request: Any) -> Any:
    if isinstance(request.connector_id, int):
        return None
    return core.RemoteStartTransactionConfirmation(status=RemoteStartStopStatus.REJECTED)


def _takes_default_alone(_: Any, request: Any) -> Any:
    if request.cs_charging_profiles.charging_profile_purpose == "TxDefaultProfile":
        return None
    return SetChargingProfileConfirmation(status=ChargingProfileStatus.REJECTED)


def _falls_over(charger: Any, request: Any) -> Any:
    """It is gone before it answers (ABB Terra AC 1.8 when measurands are probed)."""
    if getattr(request, "key", "Data").endswith("Data"):
        charger.drop()
        return charger.silence
    return None


def _boots_when_asked(charger: Any, request: Any) -> Any:
    if request.requested_message != "BootNotification":
        return None
    charger.afterwards(lambda: charger.background.run(charger.life.boot()))
    return TriggerMessageConfirmation(status=TriggerMessageStatus.ACCEPTED)


QUIRKS: Final[Mapping[str, Quirk]] = {
    **{name: Quirk(spoilt.what, spoilt.rewrites) for name, spoilt in PAYLOADS.items()},
    "no-subprotocol": Quirk("no Sec-WebSocket-Protocol in the handshake", offers=()),
    "never-boots": Quirk(
        "no BootNotification unless it is asked for", boots=False, commands={"TriggerMessage": _boots_when_asked}
    ),
    "boots-on-connect": Quirk("a BootNotification on each connection", opened=_boot_anew),
    "values-after-stop": Quirk("MeterValues after the StopTransaction", after={"StopTransaction": _values_after_stop}),
    "start-repeated": Quirk("the last StartTransaction again after each reconnect", opened=_start_again),
    "same-message-id": Quirk("the same message id for every CALL", ids=lambda _: "1"),
    "ids-from-one": Quirk("message ids that begin at 1 on each connection", ids=lambda used: str(used + 1)),
    "overlapping-calls": Quirk(
        "CALLs that do not wait for answers", after=dict.fromkeys(("StartTransaction", "MeterValues"), _overlap)
    ),
    "broken-frames": Quirk("half a frame after each MeterValues", after={"MeterValues": _broken_frame}),
    "slow-reconnect": Quirk("comes back after six minutes at the earliest", slow=True),
    "password-as-hex-text": Quirk("the hex text of its password as password", hex_password=True),
    "ocpp-2-payloads": Quirk("payloads of OCPP 2.0.1 until it is refused", opened=_switched_over),
    "rate-units-as-letters": Quirk(
        "W and A as allowed rate units", configuration={"ChargingScheduleAllowedChargingRateUnit": "W,A"}
    ),
    "blanks-in-profiles": Quirk(
        "blanks in SupportedFeatureProfiles", configuration={"SupportedFeatureProfiles": "Core, SmartCharging , Firmware"}
    ),
    "falls-over-probes": Quirk("gone when measurands are set", commands={"ChangeConfiguration": _falls_over}),
    "falls-over-availability": Quirk("gone when its availability is set", commands={"ChangeAvailability": _falls_over}),
    "demands-connector": Quirk("no remote start without connectorId", commands={"RemoteStartTransaction": _demands_connector}),
    "default-profiles-alone": Quirk("no profile but TxDefaultProfile", commands={"SetChargingProfile": _takes_default_alone}),
}


class Quirks:
    """The quirks of one charger, by their names. Raises KeyError for a name of none."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._all = [QUIRKS[name] for name in names]
        self._ids = next((quirk.ids for quirk in self._all if quirk.ids is not None), None)
        self._used = itertools.count()
        self._refused_boot = QUIRKS["ocpp-2-payloads"] in self._all
        #: The last payload of each action, as it was sent.
        self.last: dict[str, Any] = {}

    def __bool__(self) -> bool:
        return bool(self._all)

    @property
    def boots(self) -> bool:
        """Whether it sends BootNotification by itself."""
        return all(quirk.boots for quirk in self._all)

    @property
    def offers(self) -> tuple[str, ...] | None:
        """The subprotocols that it offers; None for the usual one."""
        return next((quirk.offers for quirk in self._all if quirk.offers is not None), None)

    def adjusted(self, options: Options) -> Options:
        """How a charger with these quirks is made."""
        if not any(quirk.slow for quirk in self._all):
            return options
        first, most = options.backoff_first_s * _SLOWNESS, options.backoff_most_s * _SLOWNESS
        return replace(options, backoff_first_s=first, backoff_most_s=most)

    def password(self, password: bytes | None) -> bytes | None:
        """The password that it sends."""
        spelt = password is not None and any(quirk.hex_password for quirk in self._all)
        return password.hex().encode() if spelt and password is not None else password

    def new_id(self) -> str:
        """A message id."""
        return str(uuid.uuid4()) if self._ids is None else self._ids(next(self._used))

    def rewrite(self, action: str, payload: bytes) -> bytes:
        """The payload that it sends in place of this one."""
        if not self._all:
            return payload
        value = json.loads(payload)
        for quirk in self._all:
            if action in quirk.rewrites:
                quirk.rewrites[action](value)
        if self._refused_boot and action == "BootNotification":
            self._refused_boot = False
            SECOND_BOOT(value)
        self.last[action] = value
        return json.dumps(value).encode()

    def written(self, charger: Any, action: str) -> None:
        """A CALL was written."""
        for quirk in self._all:
            if action in quirk.after:
                quirk.after[action](charger, self.last[action])

    def opened(self, charger: Any) -> None:
        """A connection is there."""
        self._used = itertools.count()
        for quirk in self._all:
            if quirk.opened is not None:
                quirk.opened(charger)

    def install(self, charger: Any) -> None:
        """Put the charger's keys and answers as they are with these quirks."""
        for quirk in self._all:
            for key, value in quirk.configuration.items():
                charger.configuration.put(key, value)
            for action, command in quirk.commands.items():
                charger.on(action, _answering(charger, action, command))


def _answering(charger: Any, action: str, command: Callable[[Any, Any], Any]) -> Callable[[Any], Any]:
    def answer(request: Any) -> Any:
        given = command(charger, request)
        return charger.usual_answer(action, request) if given is None else given

    return answer


def listed() -> str:
    """All quirks, a line each."""
    width = max(map(len, QUIRKS))
    return "\n".join(f"{name:{width}}  {quirk.what}" for name, quirk in sorted(QUIRKS.items()))
