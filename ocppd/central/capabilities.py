"""What a charger can do and is limited to, by what it has told: for everyone who asks often. Knows no HTTP and no call.

REQUIREMENTS 2.6, E-3, G-10. It comes from the records, and is kept in memory for some seconds: this node forgets it at once
when a call that changes it has ended here, another node when the seconds are over.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from twisted.internet.defer import Deferred, succeed

from ocppd.central.charging.limits import ChargerLimits, limits_of
from ocppd.clock import Clock, steady_ms
from ocppd.errors import Conflict
from ocppd.storage.api.configuration import ConfigurationRecords
from ocppd.storage.records.configuration import KeyRecord, Mirrored, RefusedAction
from ocppd.v16.actions import ACTIONS, Profile
from ocppd.v16.configuration_keys import SECURITY_PROFILE, boolean_of, integer_of, items_of, key_of
from ocppd.v16.core import ChangeConfigurationRequest
from ocppd.v16.types import Message

#: Another node may have learnt something new since.
KEPT_MS: Final = 5_000
#: Chargers that are kept; those that nobody asked about for longest are forgotten.
KEPT_CHARGERS: Final = 500
#: Everyone has it, and it need not be told.
_WITHOUT_PROFILE: Final = frozenset({Profile.CORE, Profile.SECURITY_EXTENSION})


@dataclass(frozen=True, slots=True)
class Known:
    """What one charger has told. Whatever it has not is None: nobody knows."""

    keys: Mapping[str, KeyRecord] = field(default_factory=dict)
    refused: Mapping[str, RefusedAction] = field(default_factory=dict)
    #: When it last told its whole configuration.
    read_ms: int | None = None

    @classmethod
    def of(cls, mirrored: Mirrored) -> Known:
        """From what is on record."""
        return cls({key.key: key for key in mirrored.keys}, {each.action: each for each in mirrored.refused}, mirrored.read_ms)

    def value(self, name: str) -> str | None:
        """The value of a key, in whatever spelling; None also where it has none."""
        found = self.keys.get(key_of(name))
        return None if found is None else found.value

    def integer(self, name: str) -> int | None:
        """The value of a key that is an integer; None for anything else."""
        value = self.value(name)
        return None if value is None else integer_of(value)

    def flag(self, name: str) -> bool | None:
        """The value of a key that is a boolean; None for anything else."""
        value = self.value(name)
        return None if value is None else boolean_of(value)

    def items(self, name: str) -> tuple[str, ...] | None:
        """The items of a list, trimmed."""
        value = self.value(name)
        return None if value is None else items_of(value)

    def most_items(self, name: str) -> int | None:
        """How many items a list may have, where `<Key>MaxLength` says so; else one is to be assumed (G-10)."""
        return self.integer(f"{name}MaxLength")

    def supports(self, profile: Profile) -> bool | None:
        """Whether SupportedFeatureProfiles has it: a hint, since the key is often wrong (4.4)."""
        listed = self.items("SupportedFeatureProfiles")
        if listed is None:
            return None
        return profile in _WITHOUT_PROFILE or profile.lower() in {"".join(item.split()).lower() for item in listed}

    @property
    def security_profile(self) -> int:
        """The security profile that it has told; 0 where it told none."""
        return self.integer(SECURITY_PROFILE) or 0

    def warnings(self, action: str) -> list[str]:
        """What speaks against an action, and does not forbid it (2.4, E-3)."""
        found = []
        refused = self.refused.get(action)
        if refused is not None:
            found.append(f"the charger answered {refused.code} to {action} before, with the firmware that it has")
        profile = ACTIONS[action].profile
        if self.supports(profile) is False:
            found.append(f"SupportedFeatureProfiles of the charger lacks {profile}")
        return found


class Capabilities:
    """What chargers have told. Every Deferred may fail with StorageUnavailable."""

    def __init__(self, storage: ConfigurationRecords, clock: Clock) -> None:
        self._storage = storage
        self._clock = clock
        self._kept: OrderedDict[str, tuple[int, Known]] = OrderedDict()
        #: Grows with each forgetting, so that what was read before is not kept after it.
        self._forgotten = 0

    def at_hand(self, charger: str) -> Known | None:
        """What this charger has told, at most some seconds old; None where that is to be asked for."""
        found = self._kept.get(charger)
        return found[1] if found is not None and steady_ms(self._clock) - found[0] < KEPT_MS else None

    def of(self, charger: str) -> Deferred[Known]:
        """What this charger has told, at most some seconds old."""
        found = self.at_hand(charger)
        return self.read(charger) if found is None else succeed(found)

    def read(self, charger: str) -> Deferred[Known]:
        """What this charger has told, as the records have it now."""
        asked_ms, forgotten = steady_ms(self._clock), self._forgotten

        def keep(mirrored: Mirrored) -> Known:
            known = Known.of(mirrored)
            if forgotten == self._forgotten:
                self._kept[charger] = asked_ms, known
                self._kept.move_to_end(charger)
                if len(self._kept) > KEPT_CHARGERS:
                    self._kept.popitem(last=False)
            return known

        return self._storage.read(charger).addCallback(keep)

    def forget(self, charger: str) -> None:
        """Something new was learnt of it."""
        self._forgotten += 1
        self._kept.pop(charger, None)

    def value(self, charger: str, key: str) -> Deferred[str | None]:
        """The value of one key of a charger."""
        return self.of(charger).addCallback(lambda known: known.value(key))

    def charging_limits(self, charger: str) -> Deferred[ChargerLimits]:
        """What a charger says that it can take of charging profiles (K-3, K-4)."""

        def limits(known: Known) -> ChargerLimits:
            return limits_of({each.name: each.value for each in known.keys.values() if each.value is not None})

        return self.of(charger).addCallback(limits)

    def chain_size(self, charger: str) -> Deferred[int | None]:
        """How many characters of a certificate chain a charger takes (Q-3)."""
        return self.of(charger).addCallback(lambda known: known.integer("CertificateSignedMaxChainSize"))

    def supports(self, charger: str, profile: Profile) -> Deferred[bool | None]:
        """Whether a charger says that it has this profile; None where it says nothing."""
        return self.of(charger).addCallback(lambda known: known.supports(profile))

    def objection(self, charger: str, request: Message) -> Deferred[None] | None:
        """Refuses what may not be sent over OCPP at all; None where there is nothing to look up.

        Fails with Conflict for a security profile that is not above the one that the charger has (Y-2).
        """
        if not isinstance(request, ChangeConfigurationRequest) or key_of(request.key.strip()) != key_of(SECURITY_PROFILE):
            return None
        wanted = integer_of(request.value)

        def compare(known: Known) -> None:
            if wanted is not None and wanted <= known.security_profile:
                raise Conflict(
                    f"the security profile of {charger!r} is {known.security_profile}, and is never lowered over OCPP;"
                    " set it at the charger itself"
                )

        return self.read(charger).addCallback(compare)
