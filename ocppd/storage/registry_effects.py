"""What the calls that set a charger's password do to its entry. Functions over a running transaction. REQUIREMENTS Z-6."""

from __future__ import annotations

from ocppd.storage import charger_passwords, registry
from ocppd.storage.records import EndedCall, NewCall
from ocppd.storage.unit import Unit


def call_accepted(unit: Unit, call: NewCall, sequence: int) -> None:
    """A ChangeConfiguration was journaled."""
    if charger_passwords.call_accepted(unit, call):
        registry.password_changed(unit, call.charger, call.created_ms, "call")


def call_ended(unit: Unit, ended: EndedCall) -> None:
    """A ChangeConfiguration has ended."""
    if charger_passwords.call_ended(unit, ended):
        registry.password_changed(unit, ended.charger, ended.ended_ms, "answer")
