"""What operators see of chargers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ocppd.storage.records.chargers import ChargerRecord, ConnectorRecord
from ocppd.storage.records.follow_ups import FollowUp


@dataclass(frozen=True, slots=True)
class Views:
    """The records of some chargers by their names, with their connectors, and the newest wish for each connector."""

    chargers: Mapping[str, ChargerRecord]
    connectors: Mapping[str, tuple[ConnectorRecord, ...]]
    wishes: Mapping[str, Mapping[int, FollowUp]]
