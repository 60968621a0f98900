"""The verdict on an id tag. REQUIREMENTS A-1, A-2, T-1, T-5. Pure: what it depends on, and the time, are handed in."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from msgspec import UNSET, UnsetType

from ocppd.config import Configuration, IdTagSettings, UnknownIdTags
from ocppd.storage.records import Configured, IdTag, Standing
from ocppd.v16.timestamps import format_timestamp, parse_timestamp
from ocppd.v16.types import AuthorizationStatus, IdTagInfo

#: G-1: no year from 2038 on reaches a charger, whose clock may have 32 bits.
LATEST_TIMESTAMP: Final = "2037-12-31T23:59:59Z"
LATEST_MS: Final = parse_timestamp(LATEST_TIMESTAMP)


def id_tag_key(id_tag: str) -> str:
    """The tag for comparison: ignoring case (G-3)."""
    return id_tag.lower()  # as the configuration's keys are


class Rules:
    """How tags are judged: with the tags of the configuration, and what becomes of those that nobody knows."""

    def __init__(self, configuration: Callable[[], Configuration], unknown: UnknownIdTags | None) -> None:
        self._configuration = configuration
        self._unknown = unknown
        self._made_of: Configuration | None = None
        self._configured: Configured = {}

    @property
    def configured(self) -> Configured:
        """The tags of the configuration as it is now."""
        configuration = self._configuration()
        if self._made_of is not configuration:
            self._configured = {key: configured_tag(key, tag) for key, tag in configuration.id_tags.items()}
            self._made_of = configuration
        return self._configured

    def verdict(self, standing: Standing, now_ms: int) -> IdTagInfo:
        """Of Authorize, and of a stop: unknown → Invalid, blocked → Blocked, expired → Expired, else Accepted (A-1)."""
        return verdict(standing, self._unknown, now_ms)

    def verdict_at_start(self, standing: Standing, now_ms: int) -> IdTagInfo:
        """Of StartTransaction: ConcurrentTx, too, where the tag or its group has enough open already (T-5)."""
        return verdict(standing, self._unknown, now_ms, starting=True)


def verdict(standing: Standing, unknown: UnknownIdTags | None, now_ms: int, *, starting: bool = False) -> IdTagInfo:
    """The verdict. `unknown` decides about tags that nobody knows; None accepts them while no tag is known at all.

    A tag that a remote start has just named is accepted where nobody knows it (A-4).
    """
    tag = standing.tag
    if tag is None:
        accepted = not standing.any_known if unknown is None else unknown is UnknownIdTags.ACCEPT
        accepted = accepted or standing.expected
        return IdTagInfo(status=AuthorizationStatus.ACCEPTED if accepted else AuthorizationStatus.INVALID)
    status = tag.status
    if status is AuthorizationStatus.ACCEPTED and tag.expiry_ms is not None and tag.expiry_ms <= now_ms:
        status = AuthorizationStatus.EXPIRED
    if status is AuthorizationStatus.ACCEPTED and starting and _has_enough(standing, tag):
        status = AuthorizationStatus.CONCURRENT_TX
    return IdTagInfo(status=status, expiry_date=_expiry(tag.expiry_ms), parent_id_tag=tag.parent or UNSET)


def _has_enough(standing: Standing, tag: IdTag) -> bool:
    if tag.max_active is not None and standing.active >= tag.max_active:
        return True
    return any(group.active >= group.limit for group in standing.groups)


def configured_tag(key: str, tag: IdTagSettings) -> IdTag:
    """A tag of configs.json."""
    return IdTag(
        key=key,
        id_tag=tag.id_tag,
        status=AuthorizationStatus(tag.status),
        parent=tag.parent_id_tag,
        parent_key=None if tag.parent_id_tag is None else id_tag_key(tag.parent_id_tag),
        expiry_ms=None if tag.expiry_date is None else configured_instant(tag.expiry_date),
        max_active=tag.max_active_transactions or None,
        group_limit=tag.group_max_active_transactions or None,
    )


def configured_instant(text: str) -> int:
    """An ExpiryDate of configs.json in ms: any ISO 8601 text that its check lets through, a plain date included."""
    try:
        return parse_timestamp(text)
    except ValueError:
        moment = datetime.fromisoformat(text.strip())
        return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def _expiry(expiry_ms: int | None) -> str | UnsetType:
    return UNSET if expiry_ms is None else format_timestamp(min(expiry_ms, LATEST_MS))
