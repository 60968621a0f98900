"""The verdict on an id tag. CASES.md AU; REQUIREMENTS A-1, A-2, G-1, G-3."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET
from twisted.trial.unittest import SynchronousTestCase

from ocppd.central.authorization import LATEST_TIMESTAMP, Rules, configured_instant, id_tag_key, verdict
from ocppd.config import Configuration, IdTagSettings, UnknownIdTags
from ocppd.storage.records import Group, IdTag, Standing
from ocppd.v16.types import AuthorizationStatus, IdTagInfo

#: 2026-03-01T12:00:00Z
NOW_MS = 1_772_366_400_000
PAST, FUTURE = "2026-03-01T11:59:59Z", "2026-03-01T12:00:01Z"
INVALID, ACCEPTED = AuthorizationStatus.INVALID, AuthorizationStatus.ACCEPTED
CONCURRENT = AuthorizationStatus.CONCURRENT_TX
BLOCKED, EXPIRED = AuthorizationStatus.BLOCKED, AuthorizationStatus.EXPIRED


def known(**members: Any) -> dict[str, IdTagSettings]:
    """The one tag Good, with these members."""
    return {"good": IdTagSettings(id_tag="Good", **members)}


def authorize(id_tag: str, tags: dict[str, IdTagSettings], unknown: UnknownIdTags | None, now_ms: int) -> IdTagInfo:
    """The verdict where only the configuration has tags."""
    rules = Rules(lambda: Configuration(id_tags=tags), unknown)
    standing = Standing(tag=rules.configured.get(id_tag_key(id_tag)), any_known=bool(rules.configured))
    return rules.verdict(standing, now_ms)


class VerdictTests(SynchronousTestCase):
    """What `Rules` say of a tag."""

    def test_au_01_unknown(self) -> None:
        """AU-01: an unknown tag is Invalid once tags are known, unless unknown ones are accepted."""
        for tags, unknown, status in (
            (known(), None, INVALID),
            (known(), UnknownIdTags.REFUSE, INVALID),
            (known(), UnknownIdTags.ACCEPT, ACCEPTED),
            ({}, None, ACCEPTED),
            ({}, UnknownIdTags.REFUSE, INVALID),
            ({}, UnknownIdTags.ACCEPT, ACCEPTED),
        ):
            verdict = authorize("other", tags, unknown, NOW_MS)
            self.assertEqual((verdict.status, verdict.expiry_date, verdict.parent_id_tag), (status, UNSET, UNSET))

    def test_au_02_order(self) -> None:
        """AU-02: expired is Expired, from the very instant on; blocked is Blocked, also when expired."""
        for members, status in (
            ({}, ACCEPTED),
            ({"expiry_date": FUTURE}, ACCEPTED),
            ({"expiry_date": PAST}, EXPIRED),
            ({"expiry_date": "2026-03-01T12:00:00Z"}, EXPIRED),
            ({"status": "Blocked"}, BLOCKED),
            ({"status": "Blocked", "expiry_date": PAST}, BLOCKED),
            ({"status": "Expired", "expiry_date": FUTURE}, EXPIRED),
            ({"status": "Invalid", "expiry_date": PAST}, INVALID),
        ):
            self.assertEqual(authorize("Good", known(**members), None, NOW_MS).status, status, members)

    def test_au_03_parent(self) -> None:
        """AU-03, A-2: the parent is told whatever the verdict is."""
        for members in ({}, {"status": "Blocked"}, {"expiry_date": PAST}):
            verdict = authorize("Good", known(parent_id_tag="P", **members), None, NOW_MS)
            self.assertEqual(verdict.parent_id_tag, "P")

    def test_au_04_case(self) -> None:
        """AU-04: tags are compared ignoring case, as the configuration's keys are made (G-3)."""
        for spelling in ("Good", "good", "GOOD", "gOoD"):
            self.assertEqual(authorize(spelling, known(), None, NOW_MS).status, ACCEPTED)
        self.assertEqual(id_tag_key("STRAßE"), "STRAßE".lower())

    def test_expiry_is_sendable(self) -> None:
        """The expiry is told in UTC and whole seconds, and never beyond 2037 (G-1)."""
        for written, told in (
            ("2026-05-01T12:00:00.9+02:00", "2026-05-01T10:00:00Z"),
            ("2099-01-01T00:00:00Z", LATEST_TIMESTAMP),
            ("2037-12-31T23:59:59Z", "2037-12-31T23:59:59Z"),
        ):
            self.assertEqual(authorize("Good", known(expiry_date=written), None, NOW_MS).expiry_date, told)

    def test_every_date_that_the_configuration_takes(self) -> None:
        """A date without a time, by week, or without dashes passes the configuration's check and must not fail here."""
        for text in ("2027-01-31", "20270131T000000Z", "2027-01-31T00", "2027-W04-7"):
            self.assertEqual(configured_instant(text), 1_801_353_600_000, text)
            self.assertEqual(authorize("Good", known(expiry_date=text), None, NOW_MS).status, ACCEPTED)

    def test_t_05_concurrent(self) -> None:
        """T-5: a tag with enough open transactions elsewhere is ConcurrentTx, for a start alone; what is worse comes first."""
        for limit, active, status in (
            (1, 0, ACCEPTED),
            (1, 1, CONCURRENT),
            (3, 2, ACCEPTED),
            (3, 3, CONCURRENT),
            (None, 99, ACCEPTED),
        ):
            standing = Standing(tag=IdTag(key="t", id_tag="T", max_active=limit), any_known=True, active=active)
            self.assertEqual(verdict(standing, None, NOW_MS, starting=True).status, status)
            self.assertEqual(verdict(standing, None, NOW_MS).status, ACCEPTED)
        blocked = IdTag(key="t", id_tag="T", status=BLOCKED)
        self.assertEqual(verdict(Standing(tag=blocked, any_known=True, active=9), None, NOW_MS, starting=True).status, BLOCKED)

    def test_t_05_group(self) -> None:
        """T-5: where a group has a limit, it is for the whole group."""
        tag = IdTag(key="t", id_tag="T", parent="P", parent_key="p", max_active=None)
        for groups, status in (
            ((Group(2, 1),), ACCEPTED),
            ((Group(2, 2),), CONCURRENT),
            ((Group(9, 1), Group(2, 3)), CONCURRENT),
            ((), ACCEPTED),
        ):
            standing = Standing(tag=tag, any_known=True, groups=groups)
            self.assertEqual(verdict(standing, None, NOW_MS, starting=True).status, status)
            self.assertEqual(verdict(standing, None, NOW_MS).status, ACCEPTED)

    def test_the_configuration_is_read_again(self) -> None:
        """A reload of the configuration is seen by the next verdict; 0 in MaxActiveTransactions is any number."""
        configurations = [Configuration(id_tags=known(max_active_transactions=0)), Configuration()]
        rules = Rules(lambda: configurations[0], None)
        self.assertIsNone(rules.configured["good"].max_active)
        self.assertIs(rules.configured, rules.configured)
        configurations.pop(0)
        self.assertEqual(rules.configured, {})
