"""Who is configured: configs.json, and what operators have entered over HTTP, as one configuration. docs/architecture.md.

The records are the truth. Every node has read all entries before its port is served, and looks every few seconds for what was
changed after the last change that it knows; the node that an operator changes something at looks at once. Passwords are not
kept here but asked for at each handshake, so that no node ever takes one that holds no more (Z-6).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Final

import msgspec
from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger

from ocppd.central.calls import Ended
from ocppd.central.chargers import Chargers
from ocppd.central.watching import Watcher
from ocppd.clock import Clock, now_ms
from ocppd.config import ChargerSettings, Configuration
from ocppd.config.entries import merged, settings_of
from ocppd.errors import StorageUnavailable
from ocppd.storage.api.registry import RegistryRecords
from ocppd.storage.records.registry import Checked, Entry, UnknownIdentity
from ocppd.v16.core import ChangeConfigurationRequest
from ocppd.v16.types import Message

log = Logger()

#: Entries that are read at a time.
PORTION: Final = 1000
#: RFC 6455 7.4.1: what a connection of a charger is closed with that was deleted.
DELETED_CLOSE: Final = 1008


class Registry(Watcher):
    """The configuration of this node. `take` is told of each new one."""

    calls: ClassVar[frozenset[str]] = frozenset({"ChangeConfiguration"})

    def __init__(self, records: RegistryRecords, chargers: Chargers, clock: Clock, take: Callable[[Configuration], None]) -> None:
        self.records = records
        self._chargers = chargers
        self._clock = clock
        self._take = take
        self._file = chargers.configuration
        self._entries: dict[str, Entry] = {}
        self._entered: dict[str, ChargerSettings] = {}
        self._change = 0

    # What is configured

    def start(self) -> None:
        """Take what the records had when they were opened; before anybody connects."""
        self._apply(self.records.at_start)

    def reconfigure(self, file: Configuration) -> None:
        """configs.json is another one."""
        self._file = file
        for name, entry in self._entries.items():
            self._enter(name, entry)
        self._merge()

    def is_configured(self, name: str) -> bool:
        """Whether configs.json has this charger, which is changed there, then."""
        return name in self._file.chargers

    def entry(self, name: str) -> Entry | None:
        """What this node knows of a charger that was entered over HTTP."""
        entry = self._entries.get(name)
        return None if entry is None or entry.settings is None else entry

    def refresh(self) -> Deferred[None]:
        """Read what was changed. Fails with StorageUnavailable."""

        def found(entries: list[Entry]) -> Deferred[None] | None:
            self._apply(entries)
            return self.refresh() if len(entries) == PORTION else None

        return self.records.changes(self._change, PORTION).addCallback(found)

    def _apply(self, entries: Iterable[Entry]) -> None:
        new = [each for each in entries if each.name not in self._entries or self._entries[each.name].change < each.change]
        if not new:
            return
        gone = [each.name for each in new if each.settings is None and each.name in self._entered]
        for each in new:
            self._entries[each.name] = each
            self._enter(each.name, each)
        self._change = max(self._change, *(each.change for each in new))
        self._merge()
        for name in gone:
            self._close(name)

    def _enter(self, name: str, entry: Entry) -> None:
        if entry.settings is None:
            self._entered.pop(name, None)
            return
        try:
            given = msgspec.json.decode(entry.settings, type=dict[str, Any])
            self._entered[name] = settings_of(name, given, self._file.common, protected=entry.protected)
        except (ValueError, TypeError) as error:  # a newer ocppd has written it: as it was here, or not at all
            log.error("{charger}: its settings cannot be read: {reason}", charger=name, reason=str(error))

    def _merge(self) -> None:
        protected = {name: entry.protected for name, entry in self._entries.items()}
        self._take(merged(self._file, self._entered, protected))

    def _close(self, name: str) -> None:
        connection = self._chargers.connection(name)
        if connection is not None and name not in self._chargers.configuration.chargers:
            log.info("{charger}: it was deleted, closing", charger=name)
            connection.link.close(DELETED_CLOSE, "there is no such charger any more")

    # Passwords

    def check_password(self, settings: ChargerSettings, given: bytes | None, *, tolerant: bool) -> Deferred[Checked]:
        """What the records say of the password that a charger presents. Fails with StorageUnavailable."""
        return self.records.check_password(settings.name, given, now_ms(self._clock), tolerant=tolerant)

    def logged_in(self, name: str, number: int | None) -> Deferred[None]:
        """A charger logged in with the password of that number, None: with the old one, which decides (Z-6)."""
        proven = self.records.password_proven(name, number, now_ms(self._clock))
        return proven.addCallback(lambda _: self.refresh())

    def ended(self, charger: str, request: Message, ended: Ended) -> Deferred[Any] | None:
        """A ChangeConfiguration has ended: it may have set a password."""
        is_key = isinstance(request, ChangeConfigurationRequest) and request.key.lower() == "authorizationkey"
        return self.refresh() if is_key else None

    # Identities that nobody has configured

    def flush(self) -> Deferred[None]:
        """Record the identities that were refused since the last time (H-5). Fails with StorageUnavailable."""
        seen = self._chargers.take_unknown()
        if not seen:
            return succeed(None)

        def failed(failure: Any) -> Any:
            failure.trap(StorageUnavailable)
            self._chargers.give_back(seen)
            return failure

        return self.records.unknown_seen(seen).addErrback(failed)

    def unknown(self, after: str, limit: int) -> Deferred[list[UnknownIdentity]]:
        """The identities that tried to connect, in order of their names, behind `after`; those that are configured by now not.

        Fails with StorageUnavailable.
        """
        return Deferred.fromCoroutine(self._unknown(after, limit))

    async def _unknown(self, after: str, limit: int) -> list[UnknownIdentity]:
        await self.flush()
        found: list[UnknownIdentity] = []
        while True:
            rows = await self.records.list_unknown(after, limit)
            found += [row for row in rows if row.name not in self._chargers.configuration.chargers]
            if len(rows) < limit or len(found) >= limit:
                return found[:limit]
            after = rows[-1].name

    def sweep(self, now_ms: int) -> Deferred[Any] | None:
        """Look for changes, and record who was refused."""
        return self.flush().addCallback(lambda _: self.refresh())
