"""What an operator should know about the values of a charger's keys. Pure. REQUIREMENTS P-4 to P-6, 2.6."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from ocppd.central.capabilities import Known
from ocppd.v16.actions import Profile
from ocppd.v16.configuration_keys import key_of, required_keys

DAY_S: Final = 86_400
#: P-6: routers that translate addresses forget a connection that was silent for so long; mobile networks much earlier.
SILENCE_S: Final = 240


@dataclass(frozen=True, slots=True)
class Advice:
    """Something that should be otherwise, and the keys that it is about."""

    keys: tuple[str, ...]
    detail: str


def advice(known: Known, our_ping_s: float) -> tuple[Advice, ...]:
    """All advice about a charger that we ping every so many seconds (0: never)."""
    return (*_pings(known), *_silence(known, our_ping_s), *_heartbeats(known), *_missing(known))


def _pings(known: Known) -> Iterator[Advice]:
    """P-5: a charger that finds out late that its link is dead gives up messages of transactions meanwhile."""
    names = "WebSocketPingInterval", "TransactionMessageAttempts", "TransactionMessageRetryInterval"
    ping, attempts, interval = (known.integer(name) for name in names)
    if ping and attempts and interval and ping >= attempts * interval:
        yield Advice(
            names,
            f"the charger pings every {ping} s, and gives up a message of a transaction after about {attempts * interval} s:"
            " it should find out earlier that its connection is dead",
        )


def _silence(known: Known, our_ping_s: float) -> Iterator[Advice]:
    """P-6."""
    names = "HeartbeatInterval", "WebSocketPingInterval"
    heartbeat, ping = (known.integer(name) for name in names)
    if heartbeat is None:
        return
    signs = [each for each in (heartbeat, ping, our_ping_s) if each]
    if not signs or min(signs) >= SILENCE_S:
        told = f"only every {min(signs):g} s" if signs else "never"
        yield Advice(names, f"the connection has a sign of life {told}: routers forget it after about {SILENCE_S} s of silence")


def _heartbeats(known: Known) -> Iterator[Advice]:
    """P-4: the answer to a heartbeat sets the charger's clock, which a ping does not."""
    heartbeat = known.integer("HeartbeatInterval")
    if heartbeat is not None and (heartbeat > DAY_S or heartbeat == 0):
        yield Advice(("HeartbeatInterval",), "a charger should tell a heartbeat once a day at least, which sets its clock")


def _missing(known: Known) -> Iterator[Advice]:
    """2.6, after a whole reading: keys that a charger with its profiles must have."""
    if known.read_ms is None:
        return
    profiles = [Profile.CORE, *(profile for profile in Profile if known.supports(profile))]
    missing = [name for name in required_keys(profiles) if (key := known.keys.get(key_of(name))) is None or key.unknown]
    if missing:
        yield Advice(tuple(missing), "the charger has not told keys that its profiles require")
