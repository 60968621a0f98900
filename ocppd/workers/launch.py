"""How a worker is started: its name, its command line and its environment.

A worker is `twistd -n ocppd` with the options of its supervisor. They are given explicitly, so that no variable that the
supervisor has inherited can change them; what is secret is in the environment alone, where other users cannot see it.
"""

from __future__ import annotations

import re
import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ocppd.config import Settings
from ocppd.config.file_room import FILE_ROOM_OPTIONS
from ocppd.workers.given import CHANNEL_FD, DIRECTORY, LISTEN_FD, SYSTEMD_VARIABLES, WORKER, Place

#: The descriptors of a worker, beside the standard ones: its listening socket and its end of the channel.
LISTENING: Final = 3
CHANNEL: Final = 4
#: What the name of a node may have (the option --node), and how much of it is left for `/` and the number of a worker.
LONGEST_NODE: Final = 60
_FOREIGN: Final = re.compile(r"[^A-Za-z0-9._:-]")

#: twistd as its script runs it. -P: the working directory is no place to import from, as with the script.
TWISTD: Final = (sys.executable, "-P", "-c", "from twisted.scripts.twistd import run; run()")


@dataclass(frozen=True, slots=True)
class Launch:
    """What is executed: `arguments` begin with the program."""

    arguments: tuple[str, ...]
    environment: Mapping[str, str]


def node_name(settings: Settings, listening: socket.socket | None) -> str:
    """What a node is called: --node, else its host, and its port where it has one."""
    if settings.node is not None:
        return settings.node
    host, port = _FOREIGN.sub("-", socket.gethostname()), port_of(listening)
    suffix = f":{port}" if port else ""
    return host[: LONGEST_NODE - len(suffix)] + suffix


def port_of(listening: socket.socket | None) -> int | None:
    """The port of a listening socket; None where it has none (a Unix socket)."""
    address = None if listening is None else listening.getsockname()
    return address[1] if isinstance(address, tuple) else None


def launch(
    settings: Settings, node: str, place: Place, environment: Mapping[str, str], program: Sequence[str] = TWISTD
) -> Launch:
    """The worker of this place. `environment` is what the supervisor has inherited."""
    options = {
        "--workers": "1",
        "--config": str(settings.config),
        "--node": f"{node}/{place.number}",
        "--drain": str(settings.drain_s),
        "--handshake": settings.handshake.value,
        "--authorizer-timeout": str(settings.authorizer_timeout_s),
        "--authorizer-failure": settings.authorizer_failure.value,
        "--log-format": settings.log_format.value,
        "--log-level": settings.log_level.value,
    }
    if settings.ca is not None:
        options["--ca"] = str(settings.ca)
    if settings.handlers is not None:
        options["--handlers"] = settings.handlers
    if settings.unknown_id_tags is not None:
        options["--unknown-id-tags"] = settings.unknown_id_tags.value
    options |= {
        f"--{each.name}": str(value) for each in FILE_ROOM_OPTIONS if (value := getattr(settings, each.member)) is not None
    }
    arguments = [*program, "-n", "--pidfile=", "ocppd", *(f"{name}={value}" for name, value in options.items())]
    arguments += [f"--charger-path={path}" for path in settings.charger_paths]
    if settings.unsafe_database:
        arguments.append("--unsafe-database")
    inherited = {name: value for name, value in environment.items() if name not in SYSTEMD_VARIABLES}
    return Launch(tuple(arguments), {**inherited, **_secrets(settings), **_variables(place)})


def _secrets(settings: Settings) -> dict[str, str]:
    """URLs hold passwords. An empty variable counts as absent."""
    return {
        "OCPPD_DATABASE": settings.database,
        "OCPPD_REDIS": settings.redis or "",
        "OCPPD_SECRET_KEY": settings.secret_key or "",
        "OCPPD_AUTHORIZER": settings.authorizer or "",
    }


def _variables(place: Place) -> dict[str, str]:
    return {
        WORKER: str(place.number),
        LISTEN_FD: str(LISTENING),
        CHANNEL_FD: str(place.channel),
        DIRECTORY: str(place.directory),
    }
