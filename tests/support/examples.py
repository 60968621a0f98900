"""Payloads made from `support.facts`: a good one of every message, and all the places where one can be spoilt."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, TypeVar

from ocppd.v16 import actions
from ocppd.v16.types import Message
from support import facts

Path = tuple[str | int, ...]
_Class = TypeVar("_Class", bound=type)

_DATE = "2026-03-04T05:06:07Z"
#: Where the first value of a kind would break a rule between members.
_SPECIAL: dict[tuple[str, str], Any] = {
    ("ChargingProfile", "chargingProfilePurpose"): "TxProfile",
    ("ChargingProfile", "chargingProfileKind"): "Recurring",
    ("ChargingSchedulePeriod", "startPeriod"): 0,
    ("SignedFirmwareStatusNotificationRequest", "status"): "Idle",
}


@dataclass(frozen=True)
class Fact:
    """One member as `support.facts` has it: `kind` is text, token, free, date, uri, int, number, bool, enum, object or list."""

    owner: str
    name: str
    required: bool
    type: str

    @property
    def kind(self) -> str:
        """What sort of value it is."""
        if self.type.startswith("["):
            return "list"
        if self.type in facts.ENUMS:
            return "enum"
        if self.type in facts.OBJECTS:
            return "object"
        return re.match(r"[a-z]+", self.type)[0]  # type: ignore[index]

    @property
    def limit(self) -> int | None:
        """The greatest length of a text, the least value of an integer, the least number of items."""
        found = re.search(r"\d+", self.type) if self.kind in ("text", "token", "int", "list") else None
        return int(found[0]) if found else None

    @property
    def item(self) -> Fact:
        """The items of a list."""
        return Fact(self.owner, self.name, True, self.type.partition("]")[2])


#: The same in a value with the required members alone, which other members are not there for.
_SPARSE: dict[tuple[str, str], Any] = {
    ("ChargingProfile", "chargingProfilePurpose"): "TxDefaultProfile",
    ("ChargingProfile", "chargingProfileKind"): "Relative",
}


def members(name: str) -> list[Fact]:
    """The members of a message or an object."""
    text = facts.MESSAGES[name] if name in facts.MESSAGES else facts.OBJECTS[name]
    words = [part.split() for part in text.split(", ") if part]
    return [Fact(name, word.rstrip("!"), word.endswith("!"), type_) for word, type_ in words]


def kind_of(name: str) -> type[Message]:
    """The struct of a message."""
    action = actions.ACTIONS[name.removesuffix("Request").removesuffix("Confirmation")]
    return action.request if name.endswith("Request") else action.confirmation


def example(name: str, full: bool = True) -> dict[str, Any]:
    """A good value of a message or an object, with all its members or with the required ones alone."""
    value = {fact.name: _value(fact, full) for fact in members(name) if full or fact.required}
    if name == "RemoteStartTransactionRequest" and full:
        del value["chargingProfile"]["transactionId"]
    return value


def _value(fact: Fact, full: bool) -> Any:
    owned = (fact.owner, fact.name)
    special = _SPECIAL.get(owned) if full else _SPARSE.get(owned, _SPECIAL.get(owned))
    if special is not None:
        return special
    match fact.kind:
        case "list":
            return [_value(fact.item, full)]
        case "object":
            return example(fact.type, full)
        case "enum":
            return facts.ENUMS[fact.type].split()[0]
    simple = {"text": "x", "token": "0012", "free": "{}", "date": _DATE, "uri": "https://h/d", "bool": False}
    return {**simple, "int": 1, "number": Decimal("6.1")}[fact.kind]


def places(name: str, value: dict[str, Any], path: Path = ()) -> Iterator[tuple[Path, Fact]]:
    """Every member of `value`, an example of `name`, and of the objects in it."""
    for fact in members(name):
        if fact.name not in value:
            continue
        yield (*path, fact.name), fact
        item, at, inner = value[fact.name], (*path, fact.name), fact
        if fact.kind == "list":
            item, at, inner = item[0], (*at, 0), fact.item
        if inner.kind == "object":
            yield from places(inner.type, item, at)


def objects(name: str, value: dict[str, Any]) -> Iterator[Path]:
    """Every object in `value`, itself included."""
    yield ()
    for path, fact in places(name, value):
        inner = fact.item if fact.kind == "list" else fact
        if inner.kind == "object":
            yield (*path, 0) if fact.kind == "list" else path


def at(value: Any, path: Path) -> Any:
    """What stands at `path`."""
    for key in path:
        value = value[key]
    return value


def with_(value: dict[str, Any], path: Path, new: Any) -> dict[str, Any]:
    """A copy of `value` with `new` at `path`."""
    changed = copy.deepcopy(value)
    at(changed, path[:-1])[path[-1]] = new
    return changed


def without(value: dict[str, Any], path: Path) -> dict[str, Any]:
    """A copy of `value` without the member at `path`."""
    changed = copy.deepcopy(value)
    del at(changed, path[:-1])[path[-1]]
    return changed


def pointer(path: Path) -> str:
    """The path as a JSON pointer."""
    return "".join(f"/{key}" for key in path)


def attribute(message: Any, path: Path) -> Any:
    """What stands at `path` in a message; a member's attribute is its name in snake_case."""
    for key in path:
        snake = re.sub(r"(?<=[a-z])([A-Z])", r"_\1", str(key)).lower()
        message = message[key] if isinstance(key, int) else getattr(message, snake)
    return message


def payload(value: Any) -> bytes:
    """JSON of `value`, with Decimals as the numbers they are, lone surrogates escaped."""
    text = json.dumps(value, default=lambda number: f"<number {number}>")
    return re.sub(r'"<number (.*?)>"', r"\1", text).encode()


def for_each(names: Iterable[str]) -> Callable[[_Class], _Class]:
    """Give a test case a method `test_…_Name` for every method `each_…(name)` and every name."""

    def expand(case: _Class) -> _Class:
        for attribute_name in [name for name in vars(case) if name.startswith("each_")]:
            method = getattr(case, attribute_name)
            for name in names:
                test = _bound(method, name)
                test.__name__ = f"test_{attribute_name.removeprefix('each_')}_{name}"
                test.__qualname__ = f"{case.__qualname__}.{test.__name__}"
                setattr(case, test.__name__, test)
        return case

    return expand


def _bound(method: Callable[[Any, str], None], name: str) -> Callable[[Any], None]:
    def test(self: Any) -> None:
        method(self, name)

    test.__doc__ = f"{name}: {method.__doc__}"
    return test
