"""A conformance report as text, ready for a ticket to the charger's vendor. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

#: What ends a block of code, or begins a cell of a table.
_BACKTICKS = re.compile("`+")
_HEADING: Final = "# Conformance of {charger} with OCPP 1.6"
_NOTHING: Final = "Nothing was seen that the specification does not allow."
_MADE_OF: Final = (("Vendor", "vendor"), ("Model", "model"), ("Serial number", "serialNumber"), ("Firmware", "firmwareVersion"))


def markdown(report: Mapping[str, Any]) -> str:
    """The report as Markdown."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: Mapping[str, Any]) -> Iterator[str]:
    yield _HEADING.format(charger=_plain(report["charger"]))
    yield ""
    for title, member in _MADE_OF:
        if member in report:
            yield f"- {title}: {_plain(report[member])}"
    deviations: Sequence[Mapping[str, Any]] = report["deviations"]
    if not deviations:
        yield from ("", _NOTHING)
        return
    yield from ("", "| deviation | severity | rule | count | first seen | last seen |", "|---|---|---|---|---|---|")
    for each in deviations:
        cells = (each["title"], each["severity"], each.get("rule", ""), each["count"], each["firstSeen"], each["lastSeen"])
        yield f"| {' | '.join(str(cell).replace('|', '&#124;') for cell in cells)} |"
    for each in deviations:
        yield from _section(each)


def _section(deviation: Mapping[str, Any]) -> Iterator[str]:
    yield from ("", f"## {deviation['title'][:1].upper()}{deviation['title'][1:]}", "")
    yield f"`{deviation['kind']}`, seen {deviation['count']} times."
    if "advice" in deviation:
        yield f"Expected: {deviation['advice']}"
    versions = [f"{each.get('version', 'unknown')} ({each['count']})" for each in deviation["firmwareVersions"]]
    yield f"Firmware: {_plain(', '.join(versions))}"
    for sample in deviation["samples"]:
        fence = "`" * max(3, 1 + max((len(run) for run in _BACKTICKS.findall(sample["frame"])), default=0))
        yield from ("", f"{sample['receivedAt']}, {sample['treatment']}:", "", f"{fence}json", sample["frame"], fence)
        for fault in sample["faults"]:
            place = fault.get("pointer") or "the frame"
            yield f"- {_plain(place)}: {fault.get('reason') or fault['kind']}"


def _plain(text: object) -> str:
    """Text of a charger without what Markdown or HTML would read into it."""
    return re.sub(r"([\\`*_{}\[\]<>#|!])", r"\\\1", " ".join(str(text).split()))
