"""Figures that a test has measured and does not judge: printed at the end of the run (see `pytest_terminal_summary`)."""

from __future__ import annotations

from collections.abc import Sequence

#: The lines to print.
lines: list[str] = []


def tell(line: str) -> None:
    """Print this at the end of the run."""
    lines.append(line)


def spread(values: Sequence[float], unit: str = "ms", factor: float = 1000.0) -> str:
    """Median, 99th percentile and maximum, as text."""
    if not values:
        return "none"
    ordered = sorted(value * factor for value in values)
    middle, high = ordered[len(ordered) // 2], ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)]
    return f"p50 {middle:.1f}, p99 {high:.1f}, max {ordered[-1]:.1f} {unit} ({len(ordered)})"
