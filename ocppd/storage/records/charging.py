"""Charging profiles: templates, what is asked for, and what is known to be installed (REQUIREMENTS K-4, K-8)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ocppd.storage.records.id_tags import Change
from ocppd.v16.types import ChargingProfile, ChargingProfilePurposeType


class Mark(StrEnum):
    """What is known of a profile in a charger."""

    #: It was ordered, and its charger has not answered yet.
    PENDING = "pending"
    #: The charger has accepted it.
    CONFIRMED = "confirmed"
    #: The charger may have it: of a call that put it there or took it away nobody knows the end.
    UNKNOWN = "unknown"
    #: The charger has refused it. It is remembered until something else is tried in its place.
    REFUSED = "refused"


#: What may be in force.
PRESENT = (Mark.CONFIRMED, Mark.UNKNOWN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A profile that operators keep; the id in it is 0, and it names no transaction.

    `at_start`: it is sent for each transaction that begins, at these `chargers`, None for all (T-10). `fallback`: where a
    charger refuses it as a TxProfile, it is sent as a TxDefaultProfile. `version` grows with each change.
    """

    name: str
    profile: ChargingProfile
    at_start: bool = False
    chargers: tuple[str, ...] | None = None
    fallback: bool = False
    template_id: int = 0
    version: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A profile that is to be sent to a charger. An id of 0 is replaced by one that is free there.

    `most`: how many profiles the charger holds, where that is known. `standing_in`: the transaction whose refused
    TxProfile this TxDefaultProfile takes the place of.
    """

    charger: str
    connector_id: int
    profile: ChargingProfile
    template_id: int | None = None
    fallback: bool = False
    standing_in: int | None = None
    most: int | None = None


@dataclass(frozen=True, slots=True)
class Ordered:
    """An order on record: the profile with its id. None in place of `profile`: the charger is full."""

    row_id: int
    connector_id: int
    profile: ChargingProfile | None


@dataclass(frozen=True, slots=True, kw_only=True)
class InstalledProfile:
    """A profile in a charger, as far as is known. `text` is its JSON as it was sent.

    `sequence`, `message_id` and `action` are of the call that brought it, None until that has ended; `doubt` is the
    sequence of the call since whose end it is unknown, or, of a refused one that is due to be sent in another form, since when
    (ms) somebody does so.
    """

    row_id: int
    charger: str
    connector_id: int
    profile_id: int
    purpose: ChargingProfilePurposeType
    stack_level: int
    transaction_id: int | None
    text: str
    mark: Mark
    changed_ms: int
    sequence: int | None = None
    message_id: str | None = None
    action: str | None = None
    doubt: int | None = None
    outcome: str | None = None
    template_id: int | None = None
    fallback: str | None = None
    standing_in: int | None = None


@dataclass(frozen=True, slots=True)
class Due:
    """What is to be done by itself: profiles to send in another form, and ones that have stood in for long enough.

    And the templates for transactions that begin.
    """

    refused: tuple[InstalledProfile, ...]
    outlived: tuple[InstalledProfile, ...]
    at_start: tuple[Template, ...]


@dataclass(frozen=True, slots=True)
class TemplateChanged:
    """What became of a wish to change a template, and the template as it is now."""

    change: Change
    template: Template | None
