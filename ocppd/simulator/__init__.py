"""A simulated OCPP 1.6-J charge point. It knows the protocol, and nothing of our central system.

Scripts use `Charger`; `python -m ocppd.simulator` runs any number of them.
"""

from __future__ import annotations

from ocppd.simulator.charger import Charger
from ocppd.simulator.commands import SILENCE
from ocppd.simulator.connection import Closed
from ocppd.simulator.failures import (
    AnswerError,
    CallRefused,
    HandshakeRefused,
    LinkFailed,
    LinkLost,
    NoAnswer,
    NotAuthorized,
    Offline,
)
from ocppd.simulator.options import Counts, Options
from ocppd.simulator.transactions import Transaction

__all__ = [
    "SILENCE",
    "AnswerError",
    "CallRefused",
    "Charger",
    "Closed",
    "Counts",
    "HandshakeRefused",
    "LinkFailed",
    "LinkLost",
    "NoAnswer",
    "NotAuthorized",
    "Offline",
    "Options",
    "Transaction",
]
