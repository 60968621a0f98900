"""The verdict on an id tag. REQUIREMENTS A-1, A-2. Pure: tags and time are handed in."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from msgspec import UNSET, UnsetType

from ocppd.config import IdTagSettings, UnknownIdTags
from ocppd.v16.timestamps import format_timestamp, parse_timestamp
from ocppd.v16.types import AuthorizationStatus, IdTagInfo

#: G-1: no year from 2038 on reaches a charger, whose clock may have 32 bits.
LATEST_TIMESTAMP: Final = "2037-12-31T23:59:59Z"
LATEST_MS: Final = parse_timestamp(LATEST_TIMESTAMP)


def id_tag_key(id_tag: str) -> str:
    """The tag for comparison: ignoring case (G-3)."""
    return id_tag.lower()  # as the configuration's keys are


def authorize(id_tag: str, known: Mapping[str, IdTagSettings], unknown: UnknownIdTags | None, now_ms: int) -> IdTagInfo:
    """The verdict: unknown → Invalid, blocked → Blocked, expired → Expired, else Accepted (A-1).

    `unknown` decides about tags that nobody knows; None accepts them while no tag is known and refuses them once one is.
    """
    tag = known.get(id_tag_key(id_tag))
    if tag is None:
        accepted = not known if unknown is None else unknown is UnknownIdTags.ACCEPT
        return IdTagInfo(status=AuthorizationStatus.ACCEPTED if accepted else AuthorizationStatus.INVALID)
    expiry_ms = None if tag.expiry_date is None else configured_instant(tag.expiry_date)
    status = AuthorizationStatus(tag.status)
    if status is AuthorizationStatus.ACCEPTED and expiry_ms is not None and expiry_ms <= now_ms:
        status = AuthorizationStatus.EXPIRED
    return IdTagInfo(status=status, expiry_date=_expiry(expiry_ms), parent_id_tag=tag.parent_id_tag or UNSET)


def configured_instant(text: str) -> int:
    """An ExpiryDate of configs.json in ms: any ISO 8601 text that its check lets through, a plain date included."""
    try:
        return parse_timestamp(text)
    except ValueError:
        moment = datetime.fromisoformat(text.strip())
        return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def _expiry(expiry_ms: int | None) -> str | UnsetType:
    return UNSET if expiry_ms is None else format_timestamp(min(expiry_ms, LATEST_MS))
