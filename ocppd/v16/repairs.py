"""The table of all repairs: what is read kindly, by name. REQUIREMENTS 2.0, E-1, 4.4.

Each can be switched off for all chargers, for a model and for a charger (docs/operations.md); what it would have mended is
answered CALLERROR then.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from ocppd.v16 import salvage, tolerance
from ocppd.v16.tolerance import Rule

#: In the order in which they are asked.
REPAIRS: Final[tuple[Rule, ...]] = (*tolerance.RULES, *salvage.RULES)
#: By name; of those that are several rules, the first.
BY_NAME: Final[Mapping[str, Rule]] = {rule.name: rule for rule in reversed(REPAIRS)}
NAMES: Final[tuple[str, ...]] = tuple(dict.fromkeys(rule.name for rule in REPAIRS))


#: One for all chargers, which is what most have.
NONE: Final[frozenset[str]] = frozenset()


def switched_off(*switches: Mapping[str, bool]) -> frozenset[str]:
    """The repairs that are off: what a later one of `switches` says holds, and what none names is on."""
    decided: dict[str, bool] = {}
    for switch in switches:
        decided.update(switch)
    return frozenset(name for name, on in decided.items() if not on) if decided else NONE


def actions_of(rule: Rule) -> Iterable[str] | None:
    """The messages that a repair is for, None for all."""
    return None if rule.kinds is None else sorted(kind.__name__.removesuffix("Request") for kind in rule.kinds)
