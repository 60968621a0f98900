"""What a key on record becomes by what its charger says. Pure: records in, records out.

REQUIREMENTS 2.4 (ChangeConfiguration, GetConfiguration), R-5, Z-8. The value of a secret is nowhere in here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from ocppd.storage.records import MessageState
from ocppd.storage.records.calls import EndedCall
from ocppd.storage.records.configuration import DesiredState, KeyRecord, Source
from ocppd.v16.configuration_keys import ValueType, integer_of, is_same, is_secret, standard_key
from ocppd.v16.types import ConfigurationStatus

#: What a charger that tells another value than the desired one has left: it had taken that, or may have.
_TAKEN: Final = frozenset({DesiredState.ACCEPTED, DesiredState.DRIFT, DesiredState.UNKNOWN})
#: What a value that a charger tells says nothing about.
_OPEN: Final = frozenset({DesiredState.PENDING, DesiredState.REBOOT_REQUIRED})
#: The charger may or may not have it (R-5).
_UNCERTAIN: Final = frozenset({MessageState.UNKNOWN, MessageState.TIMEOUT})


@dataclass(frozen=True, slots=True)
class Change:
    """A ChangeConfiguration that has ended. `value` is None for a secret.

    `status` is what the charger answered, None where it answered nothing of the kind: then `reason` says what happened, and
    `uncertain` whether the charger may have taken it all the same (R-5).
    """

    message_id: str
    value: str | None
    status: ConfigurationStatus | None
    at_ms: int
    reason: str | None = None
    uncertain: bool = False

    @classmethod
    def of(cls, ended: EndedCall, value: str | None) -> Change:
        """The change that a call of ours was. A status that can be read counts, whatever is wrong beside it (E-4)."""
        error = ended.answer is not None and ended.answer.startswith("[4")
        status = None if error else _status_of(ended.outcome)
        reason = None if status else f"CALLERROR {ended.outcome}" if error else ended.state.value
        return cls(ended.message_id, value, status, ended.ended_ms, reason, ended.state in _UNCERTAIN)


def told(key: KeyRecord, name: str, value: str | None, readonly: bool, at_ms: int) -> KeyRecord:
    """The charger has told a key in a GetConfiguration. An absent value is one that is not set."""
    value = None if is_secret(name) else value
    found = replace(_with_value(key, value), name=name, readonly=readonly, unknown=False, told_ms=at_ms, source=Source.GET)
    if not key.is_desired or key.desired is None or key.desired_state in _OPEN:
        return found
    if value is not None and is_same(name, value, key.desired):
        return replace(found, desired_state=DesiredState.ACCEPTED, reason=None)
    if key.desired_state in _TAKEN:
        return replace(found, desired_state=DesiredState.DRIFT, reason=None)
    return found


def not_known(key: KeyRecord, at_ms: int) -> KeyRecord:
    """The charger says in a GetConfiguration that it has no such key."""
    found = replace(_with_value(key, None), readonly=None, unknown=True, told_ms=at_ms, source=Source.GET, reboot_ms=None)
    if key.is_desired and key.desired_state is not DesiredState.PENDING:
        return replace(found, desired_state=DesiredState.NOT_SUPPORTED, reason=None)
    return found


def changed(key: KeyRecord, change: Change) -> KeyRecord:
    """A ChangeConfiguration has ended, whoever sent it. What it carried may be the desired value, or not."""
    status, found = change.status, key
    if status is ConfigurationStatus.ACCEPTED or status is ConfigurationStatus.REBOOT_REQUIRED:
        waits = change.at_ms if status is ConfigurationStatus.REBOOT_REQUIRED else None
        found = replace(
            _with_value(key, change.value), unknown=False, told_ms=change.at_ms, source=Source.CHANGE, reboot_ms=waits
        )
    elif status is ConfigurationStatus.NOT_SUPPORTED:
        found = replace(
            _with_value(key, None), readonly=None, unknown=True, told_ms=change.at_ms, source=Source.CHANGE, reboot_ms=None
        )
    if not key.is_desired:
        return found
    if _carried(key, change):
        return _settled(found, change)
    if found is not key and key.desired_state in _TAKEN and not found.unknown:
        return replace(found, desired_state=DesiredState.DRIFT, reason=None)
    return found


def rebooted(key: KeyRecord) -> KeyRecord:
    """The charger has booted: what waited for that is in force."""
    state = DesiredState.ACCEPTED if key.desired_state is DesiredState.REBOOT_REQUIRED else key.desired_state
    return replace(key, reboot_ms=None, desired_state=state)


def _settled(key: KeyRecord, change: Change) -> KeyRecord:
    """What becomes of the desired value when a message that carried it has ended."""
    if change.status is not None:
        return replace(key, desired_state=_BY_STATUS[change.status], reason=None)
    if key.desired_message not in (None, change.message_id):
        return key  # another message is on its way with the same value
    state = DesiredState.UNKNOWN if change.uncertain else DesiredState.FAILED
    return replace(key, desired_state=state, reason=change.reason)


_BY_STATUS: Final = {
    ConfigurationStatus.ACCEPTED: DesiredState.ACCEPTED,
    ConfigurationStatus.REBOOT_REQUIRED: DesiredState.REBOOT_REQUIRED,
    ConfigurationStatus.REJECTED: DesiredState.REJECTED,
    ConfigurationStatus.NOT_SUPPORTED: DesiredState.NOT_SUPPORTED,
}


def _status_of(outcome: str | None) -> ConfigurationStatus | None:
    try:
        return ConfigurationStatus(outcome or "")
    except ValueError:
        return None


def _carried(key: KeyRecord, change: Change) -> bool:
    """Whether that message carried the desired value. Of secrets nobody knows."""
    if change.value is None or key.desired is None:
        return change.value is key.desired
    return is_same(key.name, change.value, key.desired)


def _with_value(key: KeyRecord, value: str | None) -> KeyRecord:
    known = standard_key(key.name)
    number = integer_of(value) if value is not None and known is not None and known.type is ValueType.INTEGER else None
    return replace(key, value=value, number=number)
