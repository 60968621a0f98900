"""The command line of the simulator: what may be said, and what it means. Knows no reactor."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlsplit

from ocppd.simulator.connection import check_own, check_root, password_bytes
from ocppd.simulator.crowd import Plan
from ocppd.simulator.options import Options
from ocppd.simulator.quirks import QUIRKS, listed

_DESCRIPTION = """\
Simulate OCPP 1.6-J charge points against any central system.

Each charger connects, boots, reports its connectors, beats, and makes its transactions with meter values; it answers
every command that OCPP 1.6 and its security extension have, and comes back after a lost connection with nothing lost.
"""

_EXAMPLES = """\
examples:
  one charger that charges for a minute and then stays for commands:
    python -m ocppd.simulator ws://127.0.0.1:9033/ocppj/1.6 --name CP0001_V1 --password secret
  an idle charger with two connectors:
    python -m ocppd.simulator ws://127.0.0.1:9033/ocppj/1.6 --name CP0001_V1 --connectors 2 --transactions 0
  one that sends numbers where text belongs, and names no connector; all quirks: --quirk list
    python -m ocppd.simulator ws://127.0.0.1:9033/ocppj/1.6 --name CP0001_V1 --quirk value-number,values-without-connector
  a thousand chargers, CP-0001 to CP-1000, one short transaction each; status 0 when all went well:
    python -m ocppd.simulator ws://127.0.0.1:9033/ocppj/1.6 --name CP --count 1000 --duration 20 --once --quiet
"""


#: In place of a quirk's name: print all.
LIST = "list"


@dataclass(frozen=True, slots=True)
class Arguments:
    """A command line that was understood."""

    plan: Plan
    options: Options
    quiet: bool


def _number(kind: type[int] | type[float], least: float) -> Callable[[str], int | float]:
    def read(text: str) -> int | float:
        value = kind(text)
        if not least <= value < 1e9:
            raise ValueError(text)
        return value

    read.__name__ = f"{'whole number' if kind is int else 'number'} of at least {least:g}"
    return read


def _url(text: str) -> str:
    try:
        parts = urlsplit(text)
        sound = parts.scheme in ("ws", "wss") and bool(parts.hostname) and parts.port != 0 and not parts.query + parts.fragment
    except ValueError:
        sound = False
    if not sound:
        raise argparse.ArgumentTypeError("expected ws://host:port/path or wss://host:port/path, without the charger's name")
    return text


def _password(text: str) -> bytes:
    try:
        return password_bytes(text)
    except ValueError:
        raise argparse.ArgumentTypeError("after 'hex:' come hexadecimal digits, two for each byte") from None


def _quirks(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(","))
    for name in names:
        if name not in QUIRKS and name != LIST:
            close = get_close_matches(name, QUIRKS, 1)
            hint = f"did you mean {close[0]}?" if close else f"{LIST} prints what there is"
            raise argparse.ArgumentTypeError(f"there is no quirk {name!r}; {hint}")
    return names


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m ocppd.simulator",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("url", type=_url, help="the endpoint, without the charger's name: ws://host:port/path or wss://…")
    _who(parser.add_argument_group("who"))
    _what(parser.add_argument_group("what they do"))
    _how(parser.add_argument_group("how it runs"))
    return parser


def _who(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--name", default="CP0001", help="name of the charger, or what the names of several begin with (%(default)s)")
    add("--password", type=_password, metavar="TEXT", help="HTTP Basic password; hex:0001ff… for bytes")
    add("--count", type=_number(int, 1), default=1, metavar="N", help="how many: NAME-0001, NAME-0002, … (%(default)s)")
    add("--connectors", type=_number(int, 1), default=1, metavar="N", help="connectors of each (%(default)s)")
    add("--ca", type=Path, metavar="FILE", help="PEM of the root to trust for wss, in place of the system's")
    add("--certificate", type=Path, metavar="FILE", help="PEM with certificate and key, for security profile 3")
    add("--quirk", type=_quirks, default=(), metavar="NAME[,NAME]", help="how they misbehave; list prints what there is")
    add("--security-events", action="store_true", help="tell security events, such as StartupOfTheDevice")


def _what(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--transactions", type=_number(int, 0), default=1, metavar="N", help="how many each; 0 only waits (%(default)s)")
    add("--duration", type=_number(float, 0), default=60.0, metavar="S", help="seconds of a transaction (%(default)g)")
    add("--id-tag", default="TAG", help="id tag that starts and stops (%(default)s)")
    add("--power", type=_number(float, 0), default=7400.0, metavar="W", help="power of the car (%(default)g)")
    add("--meter-interval", type=_number(int, 0), metavar="S", help="seconds between meter values, 0 for none (60)")


def _how(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "--once",
        action="store_true",
        help="end when all have finished their transactions: status 0, or 1 where a call, a tag or a connection was refused",
    )
    add("--connect-rate", type=_number(float, 0.01), default=50.0, metavar="N", help="chargers a second (%(default)g)")
    add("--patience", type=_number(float, 0), default=30.0, metavar="S", help="with --once: wait for a server (%(default)g)")
    add("--quiet", action="store_true", help="only the summary at the end")


def wants_list(arguments: Sequence[str]) -> bool:
    """Whether the quirks are to be printed: that needs no URL."""
    pairs = pairwise(arguments)
    return f"--quirk={LIST}" in arguments or ("--quirk", LIST) in pairs


def _read(parser: argparse.ArgumentParser, option: str, path: Path | None, check: Callable[[bytes], None]) -> bytes | None:
    if path is None:
        return None
    try:
        data = path.read_bytes()
        check(data)
    except OSError as failure:
        parser.error(f"argument {option}: {failure.filename}: {failure.strerror}")
    except ValueError as failure:
        parser.error(f"argument {option}: {path}: {failure}")
    return data


def parse(arguments: Sequence[str]) -> Arguments:
    """The arguments after the program's name. Ends the program with status 2 and one line where they make no sense."""
    parser = _parser()
    if wants_list(arguments):
        sys.stdout.write(f"{listed()}\n")
        parser.exit()
    given = parser.parse_args(arguments)
    authority = _read(parser, "--ca", given.ca, check_root)
    certificate = _read(parser, "--certificate", given.certificate, check_own)
    if len(given.id_tag) > 20:
        parser.error("argument --id-tag: an id tag has at most 20 characters")
    plan = Plan(
        url=given.url,
        name=given.name,
        password=given.password,
        count=given.count,
        id_tag=given.id_tag,
        transactions=given.transactions,
        duration_s=given.duration,
        meter_interval_s=given.meter_interval,
        connect_rate=given.connect_rate,
        once=given.once,
        patience_s=given.patience,
    )
    options = Options(
        connectors=given.connectors,
        power_w=given.power,
        security_events=given.security_events,
        record=0,
        authority_pem=authority,
        certificate_pem=certificate,
        quirks=given.quirk,
    )
    return Arguments(plan, options, given.quiet)
