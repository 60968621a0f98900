"""Nodes on a bus, and what each of them was told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.logger import LogEvent, eventAsText, globalLogPublisher

from ocppd.bus.api import Bus, BusMessage, Look

#: What a bus does takes milliseconds; a shared machine may take much longer.
PATIENCE_S = 30.0


async def until(condition: Callable[[], object], within_s: float = PATIENCE_S) -> None:
    """Return as soon as the condition holds; fail when it does not within this many seconds."""
    deadline = reactor.seconds() + within_s  # type: ignore[attr-defined]
    while not condition():
        assert reactor.seconds() < deadline, f"not within {within_s} s"  # type: ignore[attr-defined]
        await deferLater(reactor, 0.005)  # type: ignore[arg-type]


@dataclass
class Heard:
    """What a node was told (Listener). Its `received` raises where `refuses` says so."""

    received_messages: list[BusMessage] = field(default_factory=list)
    lost: list[tuple[str, int]] = field(default_factory=list)
    restorations: int = 0
    refuses: Callable[[BusMessage], bool] = lambda _: False

    def received(self, message: BusMessage) -> None:
        if self.refuses(message):
            raise RuntimeError("this message is not wanted")
        self.received_messages.append(message)

    def superseded(self, charger: str, generation: int) -> None:
        self.lost.append((charger, generation))

    def restored(self) -> None:
        self.restorations += 1


@dataclass
class Node:
    """A bus and what it has told."""

    bus: Bus
    heard: Heard = field(default_factory=Heard)

    async def started(self) -> Node:
        """Start it; returns when it takes part."""
        self.bus.start(self.heard)
        await until(lambda: self.heard.restorations)
        return self

    async def knows(self, charger: str, node: Node | None, generation: int = 0) -> None:
        """Wait until this node finds that one to hold the charger, by this generation; None is nobody."""
        wanted = None if node is None else (node.bus.node, generation)
        found: object = ...
        deadline = reactor.seconds() + PATIENCE_S  # type: ignore[attr-defined]
        while reactor.seconds() < deadline:  # type: ignore[attr-defined]
            holder = (await self.bus.holders([charger])).get(charger)
            found = holder and (holder.node, holder.generation)
            if found == wanted:
                return
            await deferLater(reactor, 0.005)  # type: ignore[arg-type]
        raise AssertionError(f"{charger} is held by {found}, not by {wanted}")

    async def hears_of(self, other: Node) -> None:
        """A barrier: whatever the other node has caused by now, this one has been told."""
        mark = Look(f"barrier {len(self.heard.received_messages)}")
        await other.bus.holders(["barrier"])  # what it holds has been announced
        assert await other.bus.send(self.bus.node, mark)
        await until(lambda: mark in self.heard.received_messages)
        self.heard.received_messages.remove(mark)


class Nodes:
    """Makes nodes and stops them."""

    def __init__(self, make: Callable[[str], Bus]) -> None:
        self._make = make
        self._made: list[Node] = []

    def node(self, name: str) -> Node:
        """A node that is not started."""
        self._made.append(Node(self._make(name)))
        return self._made[-1]

    async def start(self, *names: str) -> list[Node]:
        """Nodes that take part."""
        return [await self.node(name).started() for name in names]

    async def stop(self) -> None:
        """Stop all."""
        for node in self._made:
            await node.bus.stop()


@contextmanager
def logged(contains: str) -> Iterator[list[str]]:
    """The lines of the log with this text in them."""
    lines: list[str] = []

    def observe(event: LogEvent) -> None:
        text = eventAsText(event, includeTimestamp=False, includeSystem=False)
        if contains in text:
            lines.append(text)

    globalLogPublisher.addObserver(observe)
    try:
        yield lines
    finally:
        globalLogPublisher.removeObserver(observe)
