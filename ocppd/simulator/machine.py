"""A charger as commands see it: its state and the parts that act. Knows no commands, and nobody who scripts it."""

from __future__ import annotations

from ocppd.simulator.charging import Charging
from ocppd.simulator.jobs import Jobs
from ocppd.simulator.life import Life
from ocppd.simulator.metering import Metering
from ocppd.simulator.state import State


class Machine(State):
    """The state and its parts, each made of the state and the parts named before it; `charger.Charger` is one."""

    metering: Metering
    charging: Charging
    life: Life
    jobs: Jobs
