"""Whether a charger comes in by the password that it presents: that of configs.json, or one of the records.

REQUIREMENTS Z-3, Z-4, Z-6. A password of the records comes before that of configs.json, which is the one the charger had
first. The records are asked each time: another node, or the charger's last answer, may have changed everything a moment ago.
"""

from __future__ import annotations

from enum import Enum, auto

from ocppd.central.registry import Registry
from ocppd.config import ChargerSettings, Mode
from ocppd.net.credentials import matches
from ocppd.storage.records.registry import PasswordState


class Verdict(Enum):
    """What is said of a password."""

    WRONG = auto()
    RIGHT = auto()
    #: It is the digits of a key rather than its bytes, or the other way round (Z-4).
    BY_DIGITS = auto()


class Login:
    """A handshake of the charger with these settings."""

    def __init__(self, registry: Registry, settings: ChargerSettings) -> None:
        self._registry = registry
        self._settings = settings

    async def of(self, password: bytes | None) -> Verdict:
        """The verdict; one that decides which of several passwords holds is on record by then (Z-6).

        Raises StorageUnavailable.
        """
        settings = self._settings
        tolerant = settings.mode is Mode.TOLERANT
        checked = await self._registry.check_password(settings, password, tolerant=tolerant)
        matched = checked.matched
        if matched is not None:
            if matched.state is not PasswordState.CURRENT:
                await self._registry.logged_in(settings.name, matched.number)
            elif checked.undecided:
                await self._registry.logged_in(settings.name, None)
            return Verdict.BY_DIGITS if checked.by_digits else Verdict.RIGHT
        verdict = Verdict.WRONG if checked.held else self._as_configured(password, tolerant)
        if verdict is not Verdict.WRONG and checked.undecided:
            await self._registry.logged_in(settings.name, None)
        return verdict

    def _as_configured(self, password: bytes | None, tolerant: bool) -> Verdict:
        expected = self._settings.authorization
        if expected is None or matches(password, expected, tolerant=False):
            return Verdict.RIGHT
        return Verdict.BY_DIGITS if tolerant and matches(password, expected, tolerant=True) else Verdict.WRONG
