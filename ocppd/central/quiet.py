"""Whether a charger may be asked anything that nobody asked for (REQUIREMENTS B-8). Pure."""

from __future__ import annotations

from ocppd.config import ChargerSettings


def may_ask(settings: ChargerSettings) -> bool:
    """Not in quiet mode: certification expects silence where no operator has done anything."""
    return not settings.quiet
