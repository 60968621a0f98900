"""What operators see of chargers, read in one go. Functions over a running transaction."""

from __future__ import annotations

from collections.abc import Sequence

from ocppd.storage.chargers import read_chargers, read_connectors
from ocppd.storage.follow_up_records import availability
from ocppd.storage.records.views import Views
from ocppd.storage.unit import Unit


def read_views(unit: Unit, names: Sequence[str]) -> Views:
    """See `ChargerRecords.read_views`."""
    return Views(read_chargers(unit, names), read_connectors(unit, names), availability(unit, names))
