"""Messages of the LocalAuthListManagement profile. Knows no lists. OCPP 1.6 sections 5.10, 5.15."""

from __future__ import annotations

from msgspec import UNSET, UnsetType

from ocppd.v16.types import AuthorizationData, Integer, Message, UpdateStatus, UpdateType


class GetLocalListVersionRequest(Message, frozen=True, kw_only=True):
    """Which version of the local list do you hold? Sections 5.10, 6.27."""


class GetLocalListVersionConfirmation(Message, frozen=True, kw_only=True):
    """-1: no local lists here; 0: the list is empty (REQUIREMENTS L-1). Section 6.28."""

    list_version: Integer


class SendLocalListRequest(Message, frozen=True, kw_only=True):
    """Replace or change the local list. Sections 5.15, 6.41.

    `list_version` is the version after the change, never 0 or -1 (errata 3.52). FULL without a list empties it.
    """

    list_version: Integer
    update_type: UpdateType
    local_authorization_list: tuple[AuthorizationData, ...] | UnsetType = UNSET


class SendLocalListConfirmation(Message, frozen=True, kw_only=True):
    """Whether the list is in force now. Section 6.42."""

    status: UpdateStatus
