"""The configuration of chargers as operators read and change it: read whole or in parts, and values desired of it.

REQUIREMENTS 2.4 (GetConfiguration, ChangeConfiguration), 2.6. What chargers answer is recorded by `storage.consequences`,
whoever has asked; here is what is asked. Knows no HTTP.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from twisted.internet.defer import maybeDeferred, succeed

from ocppd.central.capabilities import Capabilities, Known
from ocppd.central.commands import Commands
from ocppd.clock import Clock, now_ms
from ocppd.errors import CallFailed, NotFound, OcppdError, StorageUnavailable
from ocppd.storage.api.configuration import ConfigurationRecords
from ocppd.storage.records import MessageRecord
from ocppd.storage.records.configuration import KeyRecord, Source, Wish, Wished
from ocppd.v16.configuration_keys import STANDARD_KEYS, is_secret, key_of, standard_key
from ocppd.v16.core import ChangeConfigurationRequest, GetConfigurationConfirmation, GetConfigurationRequest

MAX_KEYS: Final = "GetConfigurationMaxKeys"
#: Keys in one question to a charger that has not told its GetConfigurationMaxKeys, which it must have.
ASSUMED_MAX_KEYS: Final = 10


@dataclass(frozen=True, slots=True)
class Desired:
    """A wish that was recorded: what became of it, and the message that carries it, where one was accepted for it."""

    wish: Wish
    message: MessageRecord | None = None


class Mirror:
    """Reads and changes chargers' configuration."""

    def __init__(self, storage: ConfigurationRecords, commands: Commands, capabilities: Capabilities, clock: Clock) -> None:
        self._storage = storage
        self._commands = commands
        self.capabilities = capabilities
        self._clock = clock

    async def read_key(self, charger: str, name: str) -> KeyRecord | None:
        """A key on record. Fails with StorageUnavailable."""
        return await self._storage.read_key(charger, name)

    # Asking

    async def refresh(self, charger: str, names: Sequence[str] = ()) -> None:
        """Ask the charger for these keys, or for all; what it answers is on record then.

        After a question for all it is asked once more for keys that its answer seems to lack: some cut it off.
        Fails as `Commands.call` does, and with StorageUnavailable.
        """
        if not names:
            before = await self.capabilities.read(charger)
            answer = await self._ask(charger, GetConfigurationRequest())
            names = lacking(before, answer, await self.capabilities.read(charger))
        await self._ask_for(charger, names)

    async def _ask_for(self, charger: str, names: Sequence[str]) -> None:
        if not names:
            return
        known = await self.capabilities.of(charger)
        for some in in_portions(names, known.integer(MAX_KEYS) or ASSUMED_MAX_KEYS):
            await self._ask(charger, GetConfigurationRequest(key=some))

    async def _ask(self, charger: str, request: GetConfigurationRequest) -> GetConfigurationConfirmation:
        answer = await self._commands.call(charger, request, offline=False)
        self.capabilities.forget(charger)  # the charger may be at another node
        assert isinstance(answer, GetConfigurationConfirmation)
        return answer

    # Desiring

    async def desire(self, charger: str, name: str, value: str, expected: int | None) -> Desired:
        """Make this the desired value of a key and send it, also to a charger that is away now.

        Where no message is accepted for it, nothing has changed. Fails with what `Commands.submit` raises, and with
        StorageUnavailable.
        """
        await (self.capabilities.objection(charger, ChangeConfigurationRequest(key=name, value=value)) or succeed(None))
        wish = await self._storage.wish(charger, name, value, expected, now_ms(self._clock))
        if wish.wished is not Wished.DONE or wish.now is None:
            return Desired(wish)
        request = ChangeConfigurationRequest(key=spelling(name, wish.now), value=value)
        try:
            message = await maybeDeferred(self._commands.submit, charger, request)
        except OcppdError:
            await self._storage.wish_undone(wish.before, wish.now, now_ms(self._clock))
            raise
        now = await self._storage.wish_sent(wish.now, message.message_id)
        self.capabilities.forget(charger)
        await self._take_back(wish.before)
        return Desired(Wish(Wished.DONE, wish.before, now or wish.now), message)

    async def withdraw(self, charger: str, name: str, expected: int | None) -> Wish:
        """Give up the desired value of a key; a message that has not been sent yet is taken back.

        Fails with StorageUnavailable.
        """
        wish = await self._storage.withdraw(charger, name, expected, now_ms(self._clock))
        if wish.wished is Wished.DONE:
            self.capabilities.forget(charger)
            await self._take_back(wish.before)
        return wish

    async def _take_back(self, before: KeyRecord | None) -> None:
        """Cancel the message of a wish that is another's turn, where it still waits."""
        if before is None or before.desired_message is None:
            return
        with suppress(CallFailed, NotFound, StorageUnavailable):  # it is on its way, or has ended: the answer counts
            await self._commands.cancel(before.desired_message)


def lacking(before: Known, answer: GetConfigurationConfirmation, now: Known) -> list[str]:
    """Keys to be asked for by name, after an answer to a question for all.

    Those that the charger has told before; where the answer has just as many keys as one may have, those of the
    specification, too.
    """
    told = set(key_names(answer))
    names = [key.name for key in before.keys.values() if key.source is Source.GET and not key.unknown]
    if len(answer.configuration_key or ()) == now.integer(MAX_KEYS):
        names += [key.name for key in STANDARD_KEYS.values() if not is_secret(key.name) and key_of(key.name) not in before.keys]
    return [name for name in names if key_of(name) not in told]


def spelling(name: str, key: KeyRecord | None) -> str:
    """A key as it is sent: as the specification spells it, or as its charger does."""
    known = standard_key(name)
    if known is not None:
        return known.name
    return name if key is None else key.name


def in_portions(names: Sequence[str], size: int) -> Iterator[tuple[str, ...]]:
    """The names, so many at a time."""
    size = max(size, 1)
    for begin in range(0, len(names), size):
        yield tuple(names[begin : begin + size])


def key_names(answer: GetConfigurationConfirmation) -> list[str]:
    """The keys that an answer is about, known or not, for comparison (G-3)."""
    return [key_of(entry.key) for entry in answer.configuration_key or ()] + [key_of(name) for name in answer.unknown_key or ()]
