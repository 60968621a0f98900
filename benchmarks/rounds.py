"""Rounds put together: medians, spreads, ratios within a round. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from typing import Any

Result = dict[str, Any]


def good(results: Sequence[Result]) -> list[Result]:
    """Those that were measured and are not void."""
    return [each for each in results if "missing" not in each and not each.get("void")]


def reason(results: Sequence[Result]) -> str:
    """Why there is none."""
    return next((each["missing"].splitlines()[0] for each in results if "missing" in each), "void")


def middle(results: Sequence[Result], key: str) -> float | None:
    """The median, None where nothing was measured."""
    values = [each[key] for each in good(results) if key in each]
    return statistics.median(values) if values else None


def spread(results: Sequence[Result], key: str, form: Callable[[float], str]) -> str:
    """Median, with the least and the greatest."""
    values = [each[key] for each in good(results) if key in each]
    if not values:
        return ""
    return f"{form(statistics.median(values))} ({form(min(values))}–{form(max(values))})"


def ratios(own: Sequence[Result], other: Sequence[Result], key: str) -> list[float]:
    """In each round that has both, one to the other."""
    pairs = zip(own, other, strict=False)
    return [one[key] / two[key] for one, two in pairs if len(good([one, two])) == 2 and two[key]]


def ratio(own: Sequence[Result], other: Sequence[Result], key: str) -> float | None:
    """Their median."""
    found = ratios(own, other, key)
    return statistics.median(found) if found else None
