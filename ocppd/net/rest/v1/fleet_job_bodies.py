"""Jobs over many chargers as operators write them. docs/http-api.md. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Final

import msgspec
from msgspec import UNSET, Meta, UnsetType

from ocppd.central.commands import MAX_TTL_S
from ocppd.errors import ErrorCode, InvalidPayload, Violation
from ocppd.net.rest.v1.commands import COMMANDS
from ocppd.storage.records.fleet_jobs import ProductFilter
from ocppd.v16.codec import build
from ocppd.v16.types import Integer, Message
from ocppd.v16.validation import Fault, check, is_sane_number

SUBJECT: Final = "job"
#: Calls per second.
LEAST_RATE, MOST_RATE, DEFAULT_RATE = Decimal("0.1"), Decimal(100), Decimal(5)
MAX_CANARY: Final = 1000
MAX_NAME_LENGTH: Final = 255
#: More would be no vendor, model or version (7).
MAX_PRODUCT_LENGTH: Final = 50

ChargerName = Annotated[str, Meta(min_length=1, max_length=MAX_NAME_LENGTH)]
ProductText = Annotated[str, Meta(min_length=1, max_length=MAX_PRODUCT_LENGTH)]


class Offline(StrEnum):
    """What becomes of chargers that are away, as `?offline=` of a command."""

    QUEUE = "queue"
    FAIL = "fail"


class SelectBody(msgspec.Struct, frozen=True, kw_only=True):
    """Which chargers; all that is given must be so."""

    names: tuple[ChargerName, ...] | UnsetType = UNSET
    tags: tuple[ChargerName, ...] | UnsetType = UNSET
    vendor: ProductText | UnsetType = UNSET
    model: ProductText | UnsetType = UNSET
    firmware: ProductText | UnsetType = UNSET


class JobBody(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of many chargers, but for the payload."""

    action: str
    select: SelectBody
    rate: Decimal = DEFAULT_RATE
    canary: Integer = 0
    offline: Offline | UnsetType = UNSET
    ttl: Integer | UnsetType = UNSET


@dataclass(frozen=True, slots=True)
class Wish:
    """A body that is right by itself. `names` None: any; `product` None: whatever they are. Of `tags` they must have all."""

    action: str
    request: Message
    names: tuple[str, ...] | None
    tags: frozenset[str]
    product: ProductFilter | None
    #: As it was written, but for the names, which are in the rows.
    selected: dict[str, Any]
    rate_tenths: int
    canary: int
    offline: bool | None
    ttl_s: int | None


def read_wish(value: dict[str, Any], knows: Callable[[str], bool]) -> Wish:
    """What a body asks for. Raises InvalidPayload with all that is wrong; pointers are those of the body."""
    rest = {name: item for name, item in value.items() if name != "payload"}
    violations = list(check(JobBody, rest))
    told = {violation.pointer for violation in violations}
    violations += [each for each in _beyond(value, knows) if each.pointer not in told]
    request, wrong_payload = _payload(value)
    violations += wrong_payload
    if violations or request is None:
        raise InvalidPayload(SUBJECT, tuple(violations))
    body = msgspec.convert(rest, JobBody)
    select = body.select
    product = ProductFilter(select.vendor or None, select.model or None, select.firmware or None)
    return Wish(
        action=body.action,
        request=request,
        names=None if isinstance(select.names, UnsetType) else select.names,
        tags=frozenset() if isinstance(select.tags, UnsetType) else frozenset(select.tags),
        product=None if product == ProductFilter() else product,
        selected={name: text for name, text in rest["select"].items() if name != "names"},
        rate_tenths=int(body.rate * 10),
        canary=body.canary,
        offline=None if body.offline is UNSET else body.offline is Offline.QUEUE,
        ttl_s=None if isinstance(body.ttl, UnsetType) else body.ttl,
    )


def wrong(pointer: str, reason: str) -> Violation:
    """A value that cannot be."""
    return Violation(ErrorCode.PROPERTY_CONSTRAINT_VIOLATION, pointer, reason)


def _beyond(value: dict[str, Any], knows: Callable[[str], bool]) -> Iterator[Violation]:
    """What is wrong with members whose types are right."""
    action = value.get("action")
    if isinstance(action, str) and action not in COMMANDS:
        yield wrong("/action", "a central system sends no such message")
    rate = value.get("rate")
    if is_sane_number(rate) and not LEAST_RATE <= Decimal(rate or 0) <= MOST_RATE:
        yield wrong("/rate", f"expected {LEAST_RATE} to {MOST_RATE} calls per second")
    for name, least, most in (("canary", 0, MAX_CANARY), ("ttl", 1, int(MAX_TTL_S))):
        number = value.get(name)
        if isinstance(number, int) and not isinstance(number, bool) and not least <= number <= most:
            yield wrong(f"/{name}", f"expected {least} to {most}")
    select = value.get("select")
    if isinstance(select, dict):
        yield from _select(select, knows)


def _select(select: dict[str, Any], knows: Callable[[str], bool]) -> Iterator[Violation]:
    if not select:
        yield wrong("/select", "expected names, tags, vendor, model or firmware")
    if select.get("tags") == []:
        yield wrong("/select/tags", "expected at least one tag: without any they would be all chargers")
    names = select.get("names")
    if not isinstance(names, list):
        return
    if not names:
        yield wrong("/select/names", "expected at least one name")
    seen: set[str] = set()
    for place, name in enumerate(names):
        if isinstance(name, str) and name:
            if name in seen:
                yield wrong(f"/select/names/{place}", "named twice")
            elif not knows(name):
                yield wrong(f"/select/names/{place}", "there is no such charger")
            seen.add(name)


def _payload(value: dict[str, Any]) -> tuple[Message | None, list[Violation]]:
    """The request that all chargers are sent; where the action is none, nothing is said of its payload."""
    action, payload = value.get("action"), value.get("payload", {})
    if not isinstance(payload, dict):
        return None, [Violation(Fault.NOT_AN_OBJECT.code, "/payload", Fault.NOT_AN_OBJECT.reason)]
    command = COMMANDS.get(action) if isinstance(action, str) else None
    if command is None:
        return None, []
    try:
        return build(command.request, payload), []
    except InvalidPayload as error:
        return None, [Violation(each.code, f"/payload{each.pointer}", each.reason) for each in error.violations]
