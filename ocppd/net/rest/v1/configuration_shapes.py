"""Configuration keys, advice and capabilities as operators see them, and desired values as they write them.
docs/http-api.md. Pure. The value of a secret is nowhere in here, because it is in no record.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from ocppd.central.capabilities import Known
from ocppd.central.configuration_advice import Advice
from ocppd.errors import Conflict, ErrorCode, InvalidPayload, Violation
from ocppd.net.rest.shapes import Shape, instant
from ocppd.storage.records.configuration import KeyRecord
from ocppd.v16.configuration_keys import (
    AUTHORIZATION_KEY,
    KeyAccess,
    StandardKey,
    ValueType,
    is_secret,
    items_of,
    key_of,
    standard_key,
)
from ocppd.v16.types import CiString500
from ocppd.v16.validation import check

#: What a refusal is told in the name of.
SUBJECT: Final = "configuration key"
#: REQUIREMENTS 2.1: CiString50.
MAX_KEY_LENGTH: Final = 50


class ValueBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A desired value; text whatever its type, and perhaps empty."""

    value: CiString500


def key(record: KeyRecord) -> Shape:
    """A key: what the charger has told, what the specification says, what is desired."""
    known = standard_key(record.name)
    members = {
        "key": record.name,
        "value": record.value,
        "readonly": record.readonly,
        "unknown": record.unknown or None,
        "hidden": is_secret(record.name) or None,
        "rebootRequired": True if record.reboot_ms is not None else None,
        "learntAt": None if record.told_ms is None else instant(record.told_ms),
        "learntFrom": record.source,
        "standard": None if known is None else standard(known),
        "desired": _desired(record) if record.is_desired else None,
    }
    return _told(members)


def standard(known: StandardKey) -> Shape:
    """What the specification says of a key."""
    return _told({"profile": known.profile, "type": known.type, "unit": known.unit, "access": known.access})


def _desired(record: KeyRecord) -> Shape:
    members = {
        "value": record.desired,
        "state": record.desired_state,
        "since": None if record.desired_ms is None else instant(record.desired_ms),
        "messageId": record.desired_message,
        "reason": record.reason,
    }
    return _told(members)


def advice(found: Advice) -> Shape:
    """Something that should be otherwise."""
    return {"keys": list(found.keys), "detail": found.detail}


def capabilities(known: Known) -> Shape:
    """What a charger has told of what it can do, a part of the charger."""
    profiles = known.items("SupportedFeatureProfiles")
    refused = [{"action": each.action, "code": each.code, "at": instant(each.at_ms)} for each in known.refused.values()]
    members = {
        "profiles": None if profiles is None else list(profiles),
        "numberOfConnectors": known.integer("NumberOfConnectors"),
        "refusedActions": refused or None,
        "configurationReadAt": None if known.read_ms is None else instant(known.read_ms),
    }
    return _told(members)


def _told(members: dict[str, Any]) -> Shape:
    return {name: value for name, value in members.items() if value is not None}


# Desired values


def read_value(name: str, body: dict[str, Any], known: Known) -> str:
    """The value that a body desires of a key. Raises InvalidPayload with all that is wrong."""
    violations = [*faults_of_name(name), *check(ValueBody, body)]
    value = body.get("value")
    if isinstance(value, str) and not violations:
        violations += [_wrong("/value", reason) for reason in _faults_of_value(name, value, known)]
    if violations:
        raise InvalidPayload(SUBJECT, tuple(violations))
    return str(value)


def faults_of_name(name: str) -> list[Violation]:
    """What is wrong with the key of a path."""
    if not 1 <= len(name) <= MAX_KEY_LENGTH:
        return [_wrong("/key", f"the key of the path does not have 1 to {MAX_KEY_LENGTH} characters")]
    return [] if name.isprintable() and name == name.strip() else [_wrong("/key", "the key has characters that keys do not have")]


def _faults_of_value(name: str, value: str, known: Known) -> list[str]:
    """By what the specification says of the key, and by the limit that its charger told (G-10)."""
    found = standard_key(name)
    fault = None if found is None else found.fault(value)
    if found is None or fault is not None:
        return [] if fault is None else [fault]
    most, count = known.most_items(found.name), len(items_of(value))
    if found.type is ValueType.LIST and most is not None and count > most:
        return [f"{count} items, and {found.name}MaxLength of the charger is {most}"]
    return []


def warnings(name: str, value: str, known: Known) -> list[str]:
    """What speaks against a value, and does not forbid it."""
    found, told = standard_key(name), known.warnings("ChangeConfiguration")
    if found is not None and found.type is ValueType.LIST and len(items_of(value)) > 1 and known.most_items(name) is None:
        told.append(f"the charger has not told {found.name}MaxLength: it may take one item only")
    return told


def refuse_unsettable(charger: str, name: str, known: Known) -> None:
    """Raises Conflict for a key that is not set here: one that is read-only, or the charger's password."""
    if key_of(name) == key_of(AUTHORIZATION_KEY):
        raise Conflict(
            f"{AUTHORIZATION_KEY} is a password: send it by /api/v1/chargers/{charger}/commands/ChangeConfiguration, and put it"
            " into configs.json"
        )
    told, found = known.keys.get(key_of(name)), standard_key(name)
    readonly = None if told is None else told.readonly
    if readonly is None:
        readonly = found is not None and found.access is KeyAccess.READ
    if readonly:
        raise Conflict(f"{name} of {charger!r} is read-only")


def _wrong(pointer: str, reason: str) -> Violation:
    return Violation(ErrorCode.PROPERTY_CONSTRAINT_VIOLATION, pointer, reason)
