"""Firmware jobs under any order of statuses, boots, answers and time. REQUIREMENTS 2.4, V-3."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, select
from twisted.trial.unittest import SynchronousTestCase

from ocppd.storage import charger_job_rows as rows
from ocppd.storage import charger_jobs, sqlite
from ocppd.storage.records import EndedCall, MessageState
from ocppd.storage.records.charger_jobs import OPEN_STATES, TRANSITIONS, Job, JobKind, JobState, NewJob
from ocppd.storage.schema import events, metadata
from ocppd.storage.unit import Unit
from support.storing import MINUTE_MS, NOON_MS, boot, inbound

Step = tuple[str, Any]
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("status"), st.sampled_from(sorted(TRANSITIONS[JobKind.FIRMWARE]))),
        st.tuples(st.just("boot"), st.sampled_from(["1.0", "2.0", None])),
        st.tuples(st.just("time"), st.sampled_from([1, 11, 60, 25 * 60])),
        st.tuples(st.just("answer"), st.sampled_from(list(MessageState)[2:])),
    ),
    max_size=12,
)


class SequenceTests(SynchronousTestCase):
    """Jobs without request ids, of which one is under way at a time."""

    def setUp(self) -> None:
        """Tables, empty before each example."""
        self.engine = sqlite.memory_engine()
        metadata.create_all(self.engine)
        self.addCleanup(self.engine.dispose)

    @settings(max_examples=100)
    @given(steps=STEPS)
    def test_any_order(self, steps: list[Step]) -> None:
        """V-3: a job is open or has ended, never both; what its charger has told as the end stays; each end is one event."""
        with self.engine.connect() as connection, connection.begin() as transaction:
            self.run_through(connection, steps)
            transaction.rollback()

    def run_through(self, connection: Connection, steps: list[Step]) -> None:
        """Do the steps, and look at the job after each."""
        unit = Unit(connection)
        wanted = NewJob(charger="CP1", kind=JobKind.FIRMWARE, message_id="j", created_ms=NOON_MS)
        job = charger_jobs.created(unit, wanted, None)
        assert job is not None
        now_ms, ends = NOON_MS, 0
        for step, what in steps:
            now_ms += 1000
            if step == "time":
                now_ms += what * MINUTE_MS
            take(unit, step, what, now_ms)
            before, job = job, rows.by_id(unit, job.job_id)
            assert job is not None
            self.assertEqual(job.ended_ms is None, job.state in OPEN_STATES, (step, what))
            if told_the_end(before):
                self.assertEqual((job.state, job.status, job.ended_ms), (before.state, before.status, before.ended_ms))
            if job.ended_ms is not None and job.ended_ms != before.ended_ms:
                ends += 1
        found = connection.execute(select(events.c.kind)).scalars().all()
        self.assertEqual(found.count("jobEnded"), ends)
        told = rows.read(unit, "CP1", job.job_id, (JobKind.FIRMWARE,))
        assert told is not None
        self.assertEqual([entry.at_ms for entry in told[1]], sorted(entry.at_ms for entry in told[1]))


def told_the_end(job: Job) -> bool:
    """Whether its charger has said how it ended; ours are conclusions only."""
    return job.state in (JobState.DONE, JobState.FAILED, JobState.CANCELLED) and not job.inferred


def take(unit: Unit, step: str, what: Any, now_ms: int) -> None:
    """One step."""
    if step == "status":
        frame = json.dumps([2, "s", "FirmwareStatusNotification", {"status": what}])
        charger_jobs.notified(unit, inbound("FirmwareStatusNotification", frame=frame, received_ms=now_ms), 1)
    elif step == "boot":
        charger_jobs.booted(unit, inbound("BootNotification", received_ms=now_ms), boot(firmware_version=what))
    elif step == "time":
        charger_jobs.looked_at(unit, now_ms)
    else:
        frame = '[2,"j","UpdateFirmware",{"location":"ftp://x","retrieveDate":"2026-03-01T00:00:00Z"}]'
        answer = '[3,"j",{}]' if what is MessageState.COMPLETED else None
        charger_jobs.call_ended(unit, EndedCall(1, "j", "CP1", "UpdateFirmware", what, now_ms, frame, answer, None))
