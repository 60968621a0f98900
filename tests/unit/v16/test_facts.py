"""The structs say what `support.facts` says: no member more, none less, and the same limits."""

from __future__ import annotations

import inspect
from enum import StrEnum
from typing import Any

from msgspec import UNSET, structs
from twisted.trial.unittest import SynchronousTestCase

from ocppd.v16 import types
from ocppd.v16.actions import ACTIONS, Direction, Profile
from ocppd.v16.shapes import (
    BooleanShape,
    ChoiceShape,
    IntegerShape,
    ListShape,
    NumberShape,
    ObjectShape,
    Shape,
    TextShape,
    shape_of,
)
from support import facts
from support.examples import Fact, for_each, kind_of, members

_DIRECTIONS = {"in": Direction.TO_CENTRAL_SYSTEM, "out": Direction.TO_CHARGER, "both": Direction.BOTH}


def _expected(fact: Fact) -> Shape:
    """The shape that a fact describes."""
    match fact.kind:
        case "list":
            return ListShape(_expected(fact.item), fact.limit or 0)
        case "object":
            return shape_of(getattr(types, fact.type))
        case "enum":
            return ChoiceShape(getattr(types, fact.type))
        case "int":
            return IntegerShape(types.INT32_MIN if fact.limit is None else fact.limit)
        case "number":
            return NumberShape()
        case "bool":
            return BooleanShape()
        case "date":
            return TextShape(None, fact.required, "date-time")
        case "token":
            return TextShape(fact.limit, fact.required, None)
    return TextShape(fact.limit, True, fact.kind if fact.kind in ("uri", "free") else None)


class StructTests(SynchronousTestCase):
    """Objects and messages against the table."""

    def _assert_agrees(self, name: str, kind: type[Any]) -> None:
        shape = shape_of(kind)
        expected = {fact.name: fact for fact in members(name)}
        self.assertEqual(set(shape.members), set(expected))
        for member, fact in expected.items():
            self.assertEqual(shape.members[member].required, fact.required, member)
            self.assertEqual(shape.members[member].shape, _expected(fact), member)

    def _assert_well_made(self, kind: type[Any]) -> None:
        self.assertTrue(kind.__struct_config__.frozen)
        ways = {parameter.kind for parameter in inspect.signature(kind).parameters.values()}
        self.assertLessEqual(ways, {inspect.Parameter.KEYWORD_ONLY})
        self.assertTrue(kind.__doc__)
        for field in structs.fields(kind):
            self.assertTrue(field.required or field.default is UNSET, field.name)
            self.assertEqual(field.name, field.name.lower())


@for_each(facts.MESSAGES)
class MessageTests(StructTests):
    """Every message."""

    def each_struct_agrees(self, name: str) -> None:
        """The struct has the members of the table, with their types, limits and necessity."""
        self._assert_agrees(name, kind_of(name))
        self._assert_well_made(kind_of(name))
        self.assertEqual(kind_of(name).__name__, name)


@for_each(facts.OBJECTS)
class ObjectTests(StructTests):
    """Every object."""

    def each_struct_agrees(self, name: str) -> None:
        """The struct has the members of the table, with their types, limits and necessity."""
        self._assert_agrees(name, getattr(types, name))
        self._assert_well_made(getattr(types, name))


@for_each(facts.ENUMS)
class EnumTests(SynchronousTestCase):
    """Every enumeration."""

    def each_enum_agrees(self, name: str) -> None:
        """The enumeration has the values of the table, and reads the other spellings."""
        enum = getattr(types, name)
        also = facts.ALSO_READ.get(name, {})
        self.assertTrue(issubclass(enum, StrEnum))
        self.assertEqual({member.value for member in enum}, {*facts.ENUMS[name].split(), *also.values()})
        for spelling, meaning in also.items():
            self.assertIs(enum(spelling), enum(meaning))
        with self.assertRaises(ValueError):
            enum("accepted")


class TableTests(SynchronousTestCase):
    """The table of actions, and that nothing stands outside the tables."""

    def test_actions(self) -> None:
        """The 39 actions have their direction and profile."""
        self.assertEqual(len(ACTIONS), 39)
        found = {name: (action.direction, action.profile) for name, action in ACTIONS.items()}
        expected = {name: (_DIRECTIONS[way], Profile(profile)) for name, (way, profile) in facts.ACTIONS.items()}
        self.assertEqual(found, expected)

    def test_directions(self) -> None:
        """DataTransfer goes both ways, Heartbeat to us, Reset to chargers."""
        ways = [(ACTIONS[name].from_charger, ACTIONS[name].to_charger) for name in ("DataTransfer", "Heartbeat", "Reset")]
        self.assertEqual(ways, [(True, True), (True, False), (False, True)])

    def test_nothing_outside_the_tables(self) -> None:
        """Every struct and every enumeration is in the table, and every message of the table is an action's."""
        known = {name for action in facts.ACTIONS for name in (f"{action}Request", f"{action}Confirmation")}
        self.assertEqual(known, set(facts.MESSAGES))
        structs_found = {kind.__name__ for kind in types.Message.__subclasses__()}
        self.assertEqual(structs_found, {*facts.MESSAGES, *facts.OBJECTS})
        enums_found = {name for name, value in vars(types).items() if isinstance(value, type) and issubclass(value, StrEnum)}
        self.assertEqual(enums_found, set(facts.ENUMS))

    def test_shapes_know_what_they_do_not_know(self) -> None:
        """A struct of other things has no shape."""
        for kind in (dict, type("Odd", (types.Message,), {"__annotations__": {"odd": dict[str, int]}})):
            with self.assertRaises(TypeError):
                shape_of(kind)

    def test_numbers_are_known(self) -> None:
        """Messages that hold decimal numbers anywhere are known: they are read with more care."""
        numbered = {name for name in facts.MESSAGES if shape_of(kind_of(name)).has_numbers}
        profiles = {"SetChargingProfileRequest", "RemoteStartTransactionRequest", "GetCompositeScheduleConfirmation"}
        self.assertEqual(numbered, profiles)
        self.assertIsInstance(shape_of(types.IdTagInfo), ObjectShape)
