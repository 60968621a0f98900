"""What chargers say: payloads of text frames, built ahead as templates into which ids and instants are patched. Pure.

The real mix is 60 % MeterValues of six samples, 20 % StatusNotification, 20 % Heartbeat. No two messages have the same
id, and no two MeterValues of a charger the same instant and values, so that none is taken for a repeat.
"""

from __future__ import annotations

import time

MEASURANDS = (
    ("Energy.Active.Import.Register", "Wh"),
    ("Power.Active.Import", "W"),
    ("Current.Import", "A"),
    ("Voltage", "V"),
    ("SoC", "Percent"),
    ("Temperature", "Celsius"),
)
#: One turn of the real mix: M, S and H in the shares of 60, 20 and 20 %.
MIX = "MMSMH"
MIXES = {"real": MIX, "heartbeat": "H"}
#: Ids of a charger's messages are apart from those of the next one.
IDS_PER_CHARGER = 10**8
ID_DIGITS = 15

HEARTBEAT = b'[2,"%s","Heartbeat",{}]'
STATUS = b'[2,"%s","StatusNotification",{"connectorId":1,"errorCode":"NoError","status":"%s","timestamp":"%s"}]'
BOOT = b'[2,"%s","BootNotification",{"chargePointVendor":"Load","chargePointModel":"L","firmwareVersion":"1.0"}]'
START = b'[2,"%s","StartTransaction",{"connectorId":1,"idTag":"TAG%d","meterStart":%d,"timestamp":"%s"}]'
STOP = b'[2,"%s","StopTransaction",{"transactionId":%d,"meterStop":999999999,"timestamp":"%s"}]'
ACCEPTED = b'[3,"%s",{"status":"Accepted"}]'
#: What a charger without keys of its own answers to GetConfiguration.
NO_KEYS = b'[3,"%s",{"configurationKey":[],"unknownKey":[]}]'


def meter_template(transaction_id: int) -> bytes:
    """A MeterValues with room for the id, the instant and the number that makes its values its own."""
    samples = b",".join(
        b'{"value":"%%(value)d.%d","context":"Sample.Periodic","measurand":"%s","unit":"%s"}'
        % (index, measurand.encode(), unit.encode())
        for index, (measurand, unit) in enumerate(MEASURANDS)
    )
    return (
        b'[2,"%%(id)s","MeterValues",{"connectorId":1,"transactionId":%d,'
        b'"meterValue":[{"timestamp":"%%(at)s","sampledValue":[%s]}]}]' % (transaction_id, samples)
    ).replace(b"%(value)d", b"%(value)s")


class Clock:
    """The time of day as chargers write it, to the millisecond."""

    def __init__(self) -> None:
        self._ms = self._second = 0
        self._head = self._text = b""

    def now(self) -> bytes:
        """The present instant."""
        ms = int(time.time() * 1000)
        if ms != self._ms:
            second, fraction = divmod(ms, 1000)
            if second != self._second:
                self._second = second
                self._head = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second)).encode()
            self._ms, self._text = ms, b"%s.%03dZ" % (self._head, fraction)
        return self._text


class Source:
    """The messages of one charger, one after another."""

    __slots__ = ("_clock", "_meter", "_mix", "_number", "index", "last_id")

    def __init__(self, index: int, clock: Clock) -> None:
        self.index = index
        self._clock = clock
        self._number = 0
        self._mix = MIX
        self._meter = meter_template(0)
        self.last_id = b""

    def prepare(self, mix: str, transaction_id: int) -> None:
        """Send this mix from now on, for this transaction."""
        self._mix = MIXES[mix]
        self._meter = meter_template(transaction_id)

    def new_id(self) -> bytes:
        """An id that no other message has."""
        self._number += 1
        self.last_id = b"%0*d" % (ID_DIGITS, self.index * IDS_PER_CHARGER + self._number)
        return self.last_id

    def next(self) -> bytes:
        """The next message of the mix. Chargers begin it at different places."""
        message_id = self.new_id()
        number = self._number + self.index
        kind = self._mix[number % len(self._mix)]
        if kind == "M":
            return self._meter % {b"id": message_id, b"at": self._clock.now(), b"value": b"%d" % (1000 + number)}
        if kind == "S":
            status = b"Charging" if number // len(self._mix) % 2 else b"SuspendedEV"
            return STATUS % (message_id, status, self._clock.now())
        return HEARTBEAT % message_id

    def boot(self) -> bytes:
        """A BootNotification."""
        return BOOT % self.new_id()

    def available(self) -> bytes:
        """The StatusNotification that follows a boot."""
        return STATUS % (self.new_id(), b"Available", self._clock.now())

    def start(self) -> bytes:
        """A StartTransaction that no other one is a repeat of."""
        return START % (self.new_id(), self.index, time.time_ns() % 10**9, self._clock.now())

    def meter_values(self, transaction_id: int) -> bytes:
        """A MeterValues of a transaction."""
        return meter_template(transaction_id) % {b"id": self.new_id(), b"at": self._clock.now(), b"value": b"1000"}

    def stop(self, transaction_id: int) -> bytes:
        """A StopTransaction."""
        return STOP % (self.new_id(), transaction_id, self._clock.now())


def answer_to(call: bytes) -> bytes:
    """What a charger answers to a call of the central system."""
    _, message_id, _, action, _ = call.split(b'"', 4)
    return (NO_KEYS if action == b"GetConfiguration" else ACCEPTED) % message_id
