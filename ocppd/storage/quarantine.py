"""The quarantine: raw frames that broke the specification, and counts of what was seen. Functions over a running transaction.

REQUIREMENTS E-1: the raw frame is kept in the commit of what was made of it. Each charger has so many frames and so many
bytes; the oldest make room, and that is counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, bindparam, delete, func, insert, select

from ocppd.storage.records.quarantine import (
    Quarantined,
    QuarantineFilter,
    QuarantineRecord,
    QuarantineState,
    Tally,
    Treatment,
)
from ocppd.storage.schema import deviations, quarantine, quarantine_forgotten
from ocppd.storage.unit import Parameters, Statement, Unit, values_of

#: Frames of one charger, and their bytes.
FRAMES_LIMIT: Final = 200
BYTES_LIMIT: Final = 1024 * 1024
#: So many make room at once, so that a full quarantine is not cleared for every frame.
FORGOTTEN_AT_ONCE: Final = 20

_KEPT = Statement(
    values_of(
        insert(quarantine),
        *("charger", "kinds", "action", "treatment", "received_ms", "frame", "cut", "size", "faults", "firmware", "message"),
    )
)
_SIZE = Statement(select(func.count(), func.sum(quarantine.c.size)).where(quarantine.c.charger == bindparam("the_charger")))
_OLDEST = Statement(
    select(quarantine.c.number, quarantine.c.size)
    .where(quarantine.c.charger == bindparam("the_charger"))
    .order_by(quarantine.c.number)
)
_FORGOTTEN = Statement(
    delete(quarantine).where(quarantine.c.charger == bindparam("the_charger"), quarantine.c.number <= bindparam("the_last"))
)
_COUNTED = Statement.upsert(
    quarantine_forgotten,
    lambda insert: values_of(insert, "charger", "count").on_conflict_do_update(
        index_elements=[quarantine_forgotten.c.charger],
        set_={"count": quarantine_forgotten.c.count + insert.excluded.count},
    ),
)
_FORGOTTEN_COUNT = Statement(
    select(quarantine_forgotten.c.count).where(quarantine_forgotten.c.charger == bindparam("the_charger"))
)
_CLEARED = Statement(delete(quarantine).where(quarantine.c.charger == bindparam("the_charger")))
_COUNT_CLEARED = Statement(delete(quarantine_forgotten).where(quarantine_forgotten.c.charger == bindparam("the_charger")))
_TALLIED = Statement.upsert(
    deviations,
    lambda insert: values_of(
        insert, "charger", "kind", "firmware", "count", "first_ms", "last_ms", "detail"
    ).on_conflict_do_update(
        index_elements=[deviations.c.charger, deviations.c.kind, deviations.c.firmware],
        set_={
            "count": deviations.c.count + insert.excluded.count,
            "last_ms": insert.excluded.last_ms,
            "detail": insert.excluded.detail,
        },
    ),
)
_TALLIES = Statement(
    select(deviations)
    .where(deviations.c.charger == bindparam("the_charger"))
    .order_by(deviations.c.kind, deviations.c.first_ms, deviations.c.firmware)
)
_TALLIES_CLEARED = Statement(delete(deviations).where(deviations.c.charger == bindparam("the_charger")))


def keep(unit: Unit, frame: Quarantined, message: int | None = None) -> None:
    """Keep a raw frame; `message` is the sequence of its journal entry."""
    unit.send(
        _KEPT,
        {
            "charger": frame.charger,
            "kinds": f" {' '.join(frame.kinds)} ",
            "action": frame.action,
            "treatment": frame.treatment.value,
            "received_ms": frame.received_ms,
            "frame": frame.frame,
            "cut": frame.cut,
            "size": len(frame.frame.encode("utf-8", "replace")) + len(frame.faults),
            "faults": frame.faults,
            "firmware": frame.firmware,
            "message": message,
        },
    )
    _make_room(unit, frame.charger)


def _make_room(unit: Unit, charger: str) -> None:
    frames, size = _size(unit, charger)
    if frames <= FRAMES_LIMIT and size <= BYTES_LIMIT:
        return
    last = gone = 0
    for number, bytes_of_it in unit.all(_OLDEST, {"the_charger": charger})[:-1]:
        if gone >= FORGOTTEN_AT_ONCE and frames - gone <= FRAMES_LIMIT and size <= BYTES_LIMIT:
            break
        last, gone, size = number, gone + 1, size - bytes_of_it
    unit.send(_FORGOTTEN, {"the_charger": charger, "the_last": last})
    unit.send(_COUNTED, {"charger": charger, "count": gone})


def _size(unit: Unit, charger: str) -> tuple[int, int]:
    """The frames of a charger, and their bytes."""
    frames, size = unit.one(_SIZE, {"the_charger": charger})
    return frames, int(size or 0)


def noted(unit: Unit, tallies: Sequence[Tally], frames: Sequence[Quarantined]) -> None:
    """See `QuarantineRecords.noted`."""
    for tally in sorted(tallies, key=lambda each: (each.charger, each.kind, each.firmware)):
        row: Parameters = {
            "charger": tally.charger,
            "kind": tally.kind,
            "firmware": tally.firmware,
            "count": tally.count,
            "first_ms": tally.first_ms,
            "last_ms": tally.last_ms,
            "detail": tally.detail,
        }
        unit.send(_TALLIED, row)
    for frame in frames:
        keep(unit, frame)


def tallies(unit: Unit, charger: str) -> list[Tally]:
    """See `QuarantineRecords.tallies`."""
    return [Tally(*row) for row in unit.all(_TALLIES, {"the_charger": charger})]


def state(unit: Unit, charger: str) -> QuarantineState:
    """See `QuarantineRecords.state`."""
    frames, size = _size(unit, charger)
    forgotten = unit.one(_FORGOTTEN_COUNT, {"the_charger": charger})
    return QuarantineState(frames, size, 0 if forgotten is None else forgotten[0])


def clear(unit: Unit, charger: str) -> int:
    """See `QuarantineRecords.clear`."""
    unit.send(_COUNT_CLEARED, {"the_charger": charger})
    return unit.run(_CLEARED, {"the_charger": charger})


def forget(unit: Unit, charger: str) -> int:
    """See `QuarantineRecords.forget`."""
    return unit.run(_TALLIES_CLEARED, {"the_charger": charger})


def list_frames(unit: Unit, which: QuarantineFilter, after: int | None, limit: int) -> list[QuarantineRecord]:
    """See `QuarantineRecords.list_frames`. `since_ms` is included, `until_ms` is not."""
    query = select(quarantine).where(*_conditions(which)).order_by(quarantine.c.number.desc()).limit(limit)
    if after is not None:
        query = query.where(quarantine.c.number < after)
    return [_record(row) for row in unit.connection.execute(query)]


def _conditions(which: QuarantineFilter) -> Iterator[ColumnElement[bool]]:
    if which.charger is not None:
        yield quarantine.c.charger == which.charger
    if which.kind is not None:
        yield quarantine.c.kinds.contains(f" {which.kind} ", autoescape=True)
    if which.action is not None:
        yield quarantine.c.action == which.action
    if which.treatment is not None:
        yield quarantine.c.treatment == which.treatment.value
    if which.since_ms is not None:
        yield quarantine.c.received_ms >= which.since_ms
    if which.until_ms is not None:
        yield quarantine.c.received_ms < which.until_ms


def _record(row: Any) -> QuarantineRecord:
    frame = Quarantined(
        charger=row.charger,
        kinds=tuple(row.kinds.split()),
        action=row.action,
        treatment=Treatment(row.treatment),
        received_ms=row.received_ms,
        frame=row.frame,
        faults=row.faults,
        firmware=row.firmware,
        cut=bool(row.cut),
    )
    return QuarantineRecord(row.number, row.message, frame)
