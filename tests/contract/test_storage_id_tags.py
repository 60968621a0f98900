"""Id tags, what a verdict on one depends on, and tags that nobody knows, over every storage."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_twisted

from ocppd.central.authorization import verdict
from ocppd.config import UnknownIdTags
from ocppd.storage import id_tags
from ocppd.storage.records import Change, IdTag, IdTagFilter, Standing, Start, Stop
from ocppd.storage.sql_storage import SqlStorage
from ocppd.v16.types import AuthorizationStatus, IdTagInfo
from support.storing import MINUTE_MS, NOON_MS, inbound, start, stop

ensure = pytest_twisted.ensureDeferred
STATUS = AuthorizationStatus


def tag(name: str, **members: Any) -> IdTag:
    """A tag; its parent may be given by its name."""
    if "parent" in members:
        members["parent_key"] = members["parent"].lower()
    return IdTag(key=name.lower(), id_tag=name, **members)


def judged(standing: Standing) -> IdTagInfo:
    """The verdict of a start by the rules; unknown tags are refused."""
    return verdict(standing, UnknownIdTags.REFUSE, NOON_MS, starting=True)


def begins(name: str, connector_id: int = 1, **members: Any) -> Start:
    """A start with this tag."""
    defaults = {"id_tag": name, "id_tag_key": name.lower(), "judge": judged}
    return start(connector_id, **defaults | members)


def ends(transaction_id: int, name: str | None, **members: Any) -> Stop:
    """A stop with this tag."""
    key = None if name is None else name.lower()
    return stop(transaction_id, id_tag=name, id_tag_key=key, judge=lambda standing: verdict(standing, None, NOON_MS), **members)


async def started(storage: SqlStorage, charger: str, what: Start) -> AuthorizationStatus:
    """The verdict on a start."""
    return (await storage.transaction_started(inbound("StartTransaction", charger), what)).verdict.status


@ensure
async def test_a_tag_is_kept_whole(storage: SqlStorage) -> None:
    """A tag is made, changed and deleted, each time with a higher version, and never where its version is another."""
    whole = tag("Card", status=STATUS.BLOCKED, parent="Fleet", expiry_ms=NOON_MS, max_active=3, group_limit=9, note="lost?")
    made = await storage.put_id_tag(whole, 0, NOON_MS)
    assert (made.change, made.tag) == (Change.CREATED, await storage.read_id_tag("card"))
    assert made.tag is not None and made.tag.version == NOON_MS
    assert (await storage.put_id_tag(whole, None, NOON_MS + 5)).change is Change.UNCHANGED
    assert (await storage.put_id_tag(tag("CARD"), 0, NOON_MS)).change is Change.CONFLICT
    changed = await storage.put_id_tag(tag("CARD", max_active=None), made.tag.version, NOON_MS)
    assert changed.change is Change.UPDATED and changed.tag is not None
    assert (changed.tag.id_tag, changed.tag.max_active, changed.tag.version) == ("CARD", None, NOON_MS + 1)
    assert (await storage.delete_id_tag("card", made.tag.version)).change is Change.CONFLICT
    assert (await storage.delete_id_tag("card", changed.tag.version)).change is Change.DELETED
    assert (await storage.delete_id_tag("card", None)).change is Change.MISSING
    assert (await storage.put_id_tag(whole, 7, NOON_MS)).change is Change.CONFLICT
    assert await storage.read_id_tag("card") is None


@ensure
async def test_lists_of_tags(storage: SqlStorage) -> None:
    """By key, page by page, by group and by status; many are put at once."""
    tags = [tag("C"), tag("A", parent="G"), tag("B", status=STATUS.BLOCKED, parent="G"), tag("G")]
    changed = await storage.put_id_tags(tags, NOON_MS)
    assert [each.change for each in changed] == [Change.CREATED] * 4

    async def listed(after: str = "", limit: int = 9, **which: Any) -> list[str]:
        return [each.id_tag for each in await storage.list_id_tags(IdTagFilter(**which), after, limit)]

    assert await listed() == ["A", "B", "C", "G"]
    assert await listed("a", 2) == ["B", "C"]
    assert await listed(parent_key="g") == ["A", "B"]
    assert await listed(status=STATUS.BLOCKED) == ["B"]


@ensure
async def test_standing_of_a_tag(storage: SqlStorage) -> None:
    """What the configuration has comes first; whether any tag is known is known."""
    configured = {"card": tag("Card", note="file")}
    assert await storage.id_tag_standing("card", {}) == Standing(tag=None, any_known=False)
    assert await storage.id_tag_standing("other", configured) == Standing(tag=None, any_known=True)
    await storage.put_id_tag(tag("Card", note="records"), None, NOON_MS)
    assert await storage.id_tag_standing("card", configured) == Standing(tag=configured["card"], any_known=True)
    found = await storage.id_tag_standing("card", {})
    assert found.tag is not None and found.tag.note == "records"
    assert await storage.id_tag_standing("other", {}) == Standing(tag=None, any_known=True)


@ensure
async def test_one_transaction_at_a_time(storage: SqlStorage) -> None:
    """T-5, T-3: a tag that charges elsewhere is ConcurrentTx; its own connector, a repeat, a refused start do not count."""
    await storage.put_id_tag(tag("Card"), None, NOON_MS)
    first = begins("Card")
    assert await started(storage, "CP1", first) is STATUS.ACCEPTED
    assert await started(storage, "CP1", first) is STATUS.ACCEPTED
    assert await started(storage, "CP2", begins("CARD")) is STATUS.CONCURRENT_TX
    assert await started(storage, "CP1", begins("Card", 2)) is STATUS.CONCURRENT_TX
    again = begins("Card", timestamp_ms=NOON_MS + MINUTE_MS)
    found = await storage.transaction_started(inbound("StartTransaction"), again)
    assert found.verdict.status is STATUS.ACCEPTED, "it takes the place of the first one, and the others were refused"
    later = begins("Card", timestamp_ms=NOON_MS + 2 * MINUTE_MS)
    assert await started(storage, "CP3", later) is STATUS.CONCURRENT_TX
    await storage.transaction_stopped(inbound("StopTransaction"), ends(found.transaction_id, None))
    assert await started(storage, "CP3", later) is STATUS.ACCEPTED, "a repeat is judged again (T-3)"


@ensure
async def test_a_group_has_a_limit_of_its_own(storage: SqlStorage) -> None:
    """T-5: the limit of a group counts the tags of the group, and the parent itself, wherever they are kept."""
    await storage.put_id_tags([tag("G", group_limit=2, max_active=None), tag("A", parent="G"), tag("B", parent="G")], NOON_MS)
    configured = {"c": tag("C", parent="g", max_active=None)}
    assert await started(storage, "CP1", begins("A")) is STATUS.ACCEPTED
    assert await started(storage, "CP2", begins("G")) is STATUS.ACCEPTED
    assert await started(storage, "CP3", begins("B")) is STATUS.CONCURRENT_TX
    assert await started(storage, "CP4", begins("C", configured=configured)) is STATUS.CONCURRENT_TX
    assert await started(storage, "CP5", begins("G")) is STATUS.CONCURRENT_TX, "the parent is one of them"
    assert await started(storage, "CP1", begins("B")) is STATUS.ACCEPTED, "on that connector A was lost"


@ensure
async def test_a_parent_alone_limits_nobody_else(storage: SqlStorage) -> None:
    """T-5: a parent that is a tag itself has a limit for itself, and none for its group unless it says so."""
    await storage.put_id_tags([tag("G"), tag("A", parent="G"), tag("B", parent="G")], NOON_MS)
    for charger, name in (("CP1", "A"), ("CP2", "B"), ("CP3", "G")):
        assert await started(storage, charger, begins(name)) is STATUS.ACCEPTED
    assert await started(storage, "CP4", begins("G")) is STATUS.CONCURRENT_TX


@ensure
@pytest.mark.parametrize(
    ("stops", "flagged"), [(None, False), ("CARD", False), ("Mate", False), ("G", False), ("Other", True), ("Nobody", True)]
)
async def test_who_stops(storage: SqlStorage, stops: str | None, flagged: bool) -> None:
    """T-24, A-2b: the same tag, one of its group, or the group's own may stop; by any other it is stopped, too, and flagged."""
    await storage.put_id_tags([tag("Card", parent="G"), tag("Mate", parent="G"), tag("G"), tag("Other", parent="H")], NOON_MS)
    begun = await storage.transaction_started(inbound("StartTransaction"), begins("Card"))
    stopped = await storage.transaction_stopped(inbound("StopTransaction"), ends(begun.transaction_id, stops))
    record = await storage.read_transaction(begun.transaction_id)
    assert record is not None and record.state == "stopped"
    assert ("stoppedByOtherTag" in record.flags, stopped.verdict is None) == (flagged, stops is None)
    if stopped.verdict is not None:
        assert stopped.verdict.status is (STATUS.INVALID if stops == "Nobody" else STATUS.ACCEPTED)


@ensure
async def test_unknown_tags_are_remembered(storage: SqlStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A-5: a tag that nobody knows is remembered with who presented it, until it is known or forgotten; of many, the newest."""
    await storage.put_id_tag(tag("Card"), None, NOON_MS)
    assert await started(storage, "CP1", begins("Who", id_tag_key="who")) is STATUS.INVALID
    begun = await storage.transaction_started(inbound("StartTransaction", "CP2"), begins("Card"))
    await storage.transaction_stopped(
        inbound("StopTransaction", "CP2", received_ms=NOON_MS + 1), ends(begun.transaction_id, "WHO")
    )
    await storage.unknown_id_tag_seen("Else", "else", "CP3", NOON_MS + 2)
    seen = await storage.list_unknown_id_tags("", 9)
    assert [(each.id_tag, each.charger, each.first_ms, each.last_ms, each.attempts) for each in seen] == [
        ("Else", "CP3", NOON_MS + 2, NOON_MS + 2, 1),
        ("WHO", "CP2", NOON_MS, NOON_MS + 1, 2),
    ]
    assert await storage.list_unknown_id_tags("else", 9) == seen[1:]
    await storage.put_id_tag(tag("Who"), None, NOON_MS)
    assert await storage.list_unknown_id_tags("", 9) == seen[:1]
    assert [await storage.forget_unknown_id_tag("else") for _ in range(2)] == [True, False]
    monkeypatch.setattr(id_tags, "UNKNOWN_LIMIT", 3)
    for number in range(5):
        await storage.unknown_id_tag_seen(f"T{number}", f"t{number}", "CP1", NOON_MS + number)
    assert [each.id_tag for each in await storage.list_unknown_id_tags("", 9)] == ["T2", "T3", "T4"]
