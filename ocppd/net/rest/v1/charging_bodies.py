"""Charging profiles as operators write them: templates, and profiles for a charger. docs/http-api.md. Pure.

A profile is held to the letter of the message that it is sent in; pointers are told as they stand in the operator's body.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final

import msgspec
from msgspec import UNSET, Meta, UnsetType

from ocppd.central.charging.sending import PROFILE
from ocppd.errors import ErrorCode, InvalidPayload, Violation
from ocppd.storage.records.charging import Template
from ocppd.v16.codec import build
from ocppd.v16.smart_charging import SetChargingProfileRequest
from ocppd.v16.types import ChargingProfilePurposeType, ConnectorId, PhysicalConnectorId
from ocppd.v16.validation import Fault, check

#: What a refusal is told in the name of.
TEMPLATE: Final = "charging profile template"
APPLYING: Final = "charging profile"
#: The members of a profile that a template has not: they are given where it is sent.
NOT_IN_TEMPLATE: Final = ("chargingProfileId", "transactionId")
#: Names in a template.
MAX_CHARGERS: Final = 1000

_TX_PROFILE: Final = ChargingProfilePurposeType.TX_PROFILE


class TemplateBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The members of a template, but for its profile."""

    name: Annotated[str, Meta(min_length=1, max_length=100)]
    #: Send it for each transaction that begins.
    apply_at_start: bool = False
    #: At these chargers; left out: at all.
    chargers: tuple[Annotated[str, Meta(min_length=1, max_length=255)], ...] | UnsetType = UNSET
    #: Where a charger refuses it as a TxProfile, send it as a TxDefaultProfile.
    fall_back: bool = False


class ApplyBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What is to be sent to a charger, but for the profile where it is in the body itself."""

    template_id: PhysicalConnectorId | UnsetType = UNSET
    connector_id: ConnectorId | UnsetType = UNSET
    transaction_id: PhysicalConnectorId | UnsetType = UNSET
    fall_back: bool | UnsetType = UNSET


@dataclass(frozen=True, slots=True)
class Application:
    """What an operator wants to be sent to a charger: a template by its id, or the JSON of a profile."""

    body: ApplyBody
    profile: dict[str, Any] | None

    @property
    def transaction_id(self) -> int | None:
        """The transaction, from wherever it is named."""
        return self.body.transaction_id if isinstance(self.body.transaction_id, int) else None


def wrong(subject: str, pointer: str, reason: str) -> InvalidPayload:
    """One thing that is wrong with a body."""
    return InvalidPayload(subject, (Violation(ErrorCode.PROPERTY_CONSTRAINT_VIOLATION, pointer, reason),))


# Templates


def read_template(value: dict[str, Any], known: Iterable[str]) -> Template:
    """The template that a body describes; `known` are the chargers there are. Raises InvalidPayload with all that is wrong."""
    rest = {name: item for name, item in value.items() if name != "profile"}
    violations = [*check(TemplateBody, rest), *_template_profile(value)]
    if not violations:
        violations += _template_members(rest, value["profile"], frozenset(known))
    if violations:
        raise InvalidPayload(TEMPLATE, tuple(violations))
    body = msgspec.convert(rest, TemplateBody)
    profile = build(SetChargingProfileRequest, _as_request(value["profile"])).cs_charging_profiles
    return Template(
        name=body.name,
        profile=msgspec.structs.replace(profile, charging_profile_id=0, transaction_id=UNSET),
        at_start=body.apply_at_start,
        chargers=None if isinstance(body.chargers, UnsetType) else tuple(sorted(set(body.chargers))),
        fallback=body.fall_back,
    )


def _template_profile(value: Mapping[str, Any]) -> Iterator[Violation]:
    if "profile" not in value:
        yield Violation(Fault.MISSING.code, "/profile", Fault.MISSING.reason)
        return
    profile = value["profile"]
    if not isinstance(profile, dict):
        yield Violation(Fault.WRONG_TYPE.code, "/profile", Fault.WRONG_TYPE.reason)
        return
    for name in NOT_IN_TEMPLATE:
        if name in profile:
            yield Violation(ErrorCode.OCCURENCE_CONSTRAINT_VIOLATION, f"/profile/{name}", "not in a template")
    yield from of_request(check(SetChargingProfileRequest, _as_request(profile)))


def _as_request(profile: Mapping[str, Any]) -> dict[str, Any]:
    """The profile in a message for which it is right, if it is right at all."""
    of_transaction = profile.get("chargingProfilePurpose") == _TX_PROFILE
    whole = {name: item for name, item in profile.items() if name not in NOT_IN_TEMPLATE}
    whole |= {"chargingProfileId": 1, **({"transactionId": 1} if of_transaction else {})}
    return {"connectorId": 1 if of_transaction else 0, "csChargingProfiles": whole}


def _template_members(rest: dict[str, Any], profile: dict[str, Any], known: frozenset[str]) -> Iterator[Violation]:
    """What is wrong with members that are right by themselves."""
    of_transaction = profile["chargingProfilePurpose"] == _TX_PROFILE
    code = ErrorCode.PROPERTY_CONSTRAINT_VIOLATION
    for name in ("applyAtStart", "fallBack"):
        if rest.get(name) and not of_transaction:
            yield Violation(code, f"/{name}", "only with purpose TxProfile")
    chargers = rest.get("chargers")
    if chargers is None:
        return
    if not rest.get("applyAtStart"):
        yield Violation(code, "/chargers", "only with applyAtStart")
    if not 1 <= len(chargers) <= MAX_CHARGERS:
        yield Violation(code, "/chargers", f"1 to {MAX_CHARGERS} names; leave it out for all chargers")
    for index, charger in enumerate(chargers):
        if charger not in known:
            yield Violation(code, f"/chargers/{index}", "there is no such charger")


# Profiles for a charger


def read_application(value: dict[str, Any]) -> Application:
    """What a body wants to be sent. Raises InvalidPayload; the profile itself is not looked at yet."""
    rest = {name: item for name, item in value.items() if name != "profile"}
    profile = value.get("profile")
    violations = list(check(ApplyBody, rest))
    if "profile" in value and not isinstance(profile, dict):
        violations.append(Violation(Fault.WRONG_TYPE.code, "/profile", Fault.WRONG_TYPE.reason))
    if ("profile" in value) == ("templateId" in value):
        violations.append(Violation(ErrorCode.OCCURENCE_CONSTRAINT_VIOLATION, "", "either a profile or a templateId"))
    if isinstance(profile, dict):
        violations += _own_members(rest, profile)
    if violations:
        raise InvalidPayload(APPLYING, tuple(violations))
    if isinstance(profile, dict) and "transactionId" in profile:
        rest = {**rest, "transactionId": profile["transactionId"]}
    return Application(msgspec.convert(rest, ApplyBody), profile if isinstance(profile, dict) else None)


def _own_members(rest: dict[str, Any], profile: dict[str, Any]) -> Iterator[Violation]:
    identity = profile.get("chargingProfileId")
    if isinstance(identity, int) and identity < 1:
        reason = "1 or more; leave it out to be given one"
        yield Violation(ErrorCode.PROPERTY_CONSTRAINT_VIOLATION, "/profile/chargingProfileId", reason)
    if "transactionId" in profile:
        inner = check(ApplyBody, {"transactionId": profile["transactionId"]})
        yield from (Violation(each.code, f"/profile{each.pointer}", each.reason) for each in inner)
        if rest.get("transactionId", profile["transactionId"]) != profile["transactionId"]:
            reason = "not the transaction beside the profile"
            yield Violation(ErrorCode.PROPERTY_CONSTRAINT_VIOLATION, "/profile/transactionId", reason)


def as_request(profile: Mapping[str, Any], connector_id: int, transaction_id: int | None) -> SetChargingProfileRequest:
    """The message for a profile of an operator's body. Raises InvalidPayload in its own words."""
    whole: dict[str, Any] = {"chargingProfileId": 0, **profile}
    if transaction_id is not None:
        whole["transactionId"] = transaction_id
    return build(SetChargingProfileRequest, {"connectorId": connector_id, "csChargingProfiles": whole})


def of_request(violations: Iterable[Violation], *, of_template: bool = False, inside: bool = False) -> list[Violation]:
    """What is wrong with the message, told as it stands in an operator's body.

    `of_template`: the profile is that of a template. `inside`: the transaction is named inside the profile.
    """
    return [Violation(each.code, *_told(each.pointer, each.reason, of_template, inside)) for each in violations]


def _told(pointer: str, reason: str, of_template: bool, inside: bool) -> tuple[str, str]:
    if not pointer.startswith(PROFILE):
        return pointer, reason
    within = pointer.removeprefix(PROFILE)
    if within == "/transactionId" and not inside:
        return within, reason
    return ("/templateId", f"its {within[1:]}: {reason}") if of_template else (f"/profile{within}", reason)
