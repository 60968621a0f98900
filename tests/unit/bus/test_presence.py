"""What a node holds, and what of it the others have yet to be told."""

from __future__ import annotations

import hypothesis
from hypothesis import strategies
from twisted.trial.unittest import SynchronousTestCase

from ocppd.bus.presence import Change, Presence

#: Steps of one charger or another: hold, release, everything is told, an interruption.
STEPS = strategies.lists(
    strategies.one_of(
        strategies.tuples(strategies.sampled_from(["hold", "release"]), strategies.sampled_from("AB"), strategies.integers(1, 3)),
        strategies.tuples(strategies.sampled_from(["tell", "tell one, lose the reply", "interrupt", "restart"])),
    ),
    max_size=30,
)


def told(presence: Presence) -> list[Change]:
    """Take out all changes; the others know them."""
    changes = presence.take(1000)
    presence.told(changes)
    return changes


def apply(known: dict[str, int], changes: list[Change]) -> None:
    """What the others do with changes of one node."""
    for charger, generation, holds in changes:
        if holds:
            known[charger] = generation
        elif known.get(charger, generation + 1) <= generation:
            del known[charger]


class PresenceTests(SynchronousTestCase):
    """Tests for `Presence`."""

    def setUp(self) -> None:
        self.presence = Presence()
        self.presence.restart()

    def test_changes_are_taken_in_their_order(self) -> None:
        """Changes come out as they went in, in the parts that are asked for."""
        self.presence.hold("A", 1)
        self.presence.hold("B", 1)
        self.presence.release("A", 1)
        self.assertTrue(self.presence)
        self.assertEqual(self.presence.take(2), [Change("A", 1, True), Change("B", 1, True)])
        self.assertEqual(self.presence.take(2), [Change("A", 1, False)])
        self.assertFalse(self.presence)

    def test_older_connections_change_nothing(self) -> None:
        """An older connection neither takes the charger nor gives it up."""
        self.presence.hold("A", 2)
        told(self.presence)
        self.presence.hold("A", 1)
        self.presence.release("A", 1)
        self.presence.release("B", 1)
        self.assertEqual(told(self.presence), [])
        self.assertEqual(self.presence.everything(), [Change("A", 2, False)])

    def test_an_outage_costs_no_more_than_one_entry_a_charger(self) -> None:
        """While nobody can be told nothing gathers; at the end what was given up is taken back, and what is held is told."""
        self.presence.hold("A", 1)
        self.presence.hold("C", 1)
        told(self.presence)
        self.presence.interrupt()
        for generation in range(1, 1000):
            self.presence.hold("A", generation)
            self.presence.release("A", generation)
            self.presence.hold("B", generation)
        self.assertFalse(self.presence)
        self.presence.restart()
        expected = [Change("A", 999, False), Change("B", 999, True), Change("C", 1, True)]
        self.assertEqual(sorted(told(self.presence)), expected)
        self.presence.restart()
        self.assertEqual(sorted(told(self.presence)), expected[1:])

    def test_a_release_that_was_not_confirmed_is_told_again(self) -> None:
        """A release that was under way when the server was lost may have been lost with it."""
        self.presence.hold("A", 1)
        told(self.presence)
        self.presence.release("A", 1)
        self.presence.take(10)
        self.presence.interrupt()
        self.presence.restart()
        self.assertEqual(told(self.presence), [Change("A", 1, False)])

    def test_superseded(self) -> None:
        """Only what is held by an older connection is superseded."""
        self.presence.hold("A", 1)
        self.presence.hold("B", 2)
        self.presence.hold("C", 3)
        self.assertEqual(self.presence.superseded({"A": 2, "B": 2, "C": 2, "D": 2}), {"A": 2})

    @hypothesis.given(STEPS)
    def test_the_others_come_to_know_what_is_held(self, steps: list[tuple[str, str, int] | tuple[str]]) -> None:
        """Whatever is lost on the way, after the next restart the others know what is held, and nothing else."""
        presence, known, held = Presence(), dict[str, int](), dict[str, int]()
        for step in steps:
            match step:
                case "hold", charger, generation:
                    presence.hold(charger, generation)
                    held[charger] = max(generation, held.get(charger, 0))
                case "release", charger, generation:
                    presence.release(charger, generation)
                    if held.get(charger) == generation:
                        del held[charger]
                case ("tell",):
                    apply(known, told(presence))
                case ("tell one, lose the reply",):
                    apply(known, presence.take(1))
                    presence.interrupt()
                case ("interrupt",):
                    presence.interrupt()
                case ("restart",):
                    presence.restart()
        presence.restart()
        apply(known, told(presence))
        self.assertEqual(known, held)
        apply(known, presence.everything())
        self.assertEqual(known, {})
