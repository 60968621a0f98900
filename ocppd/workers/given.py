"""What a process was given by the one that started it: listening sockets, by systemd or by our supervisor.

systemd's protocol is that of sd_listen_fds(3): LISTEN_FDS sockets from descriptor 3 on, for the process LISTEN_PID. A
supervisor cannot know the number of a process before it is there, and has variables of its own. Numbers only: nothing
is opened or changed here, because twistd may fork before the start.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ocppd.errors import StartFailed

#: sd_listen_fds(3): SD_LISTEN_FDS_START.
FIRST_DESCRIPTOR: Final = 3
#: More sockets than anybody hands over; what is beyond is no number that systemd wrote.
MOST_DESCRIPTORS: Final = 1024
SYSTEMD_VARIABLES: Final = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")

WORKER: Final = "OCPPD_WORKER"
LISTEN_FD: Final = "OCPPD_LISTEN_FD"
CHANNEL_FD: Final = "OCPPD_CHANNEL_FD"
DIRECTORY: Final = "OCPPD_DIRECTORY"
WORKER_VARIABLES: Final = (WORKER, LISTEN_FD, CHANNEL_FD, DIRECTORY)


@dataclass(frozen=True, slots=True)
class Place:
    """The place of a worker under its supervisor."""

    #: From 1.
    number: int
    #: The descriptor of its end of the channel (`ocppd.workers.channel`).
    channel: int
    #: Where the supervisor's command was typed, whatever --rundir said.
    directory: Path


@dataclass(frozen=True, slots=True)
class Given:
    """Descriptors of listening sockets, and the place of a worker; nothing of it for most processes."""

    listening: tuple[int, ...] = ()
    place: Place | None = None


NOTHING_GIVEN: Final = Given()


def read_given(environ: Mapping[str, str], pid: int) -> Given:
    """What the environment of the process `pid` says. Raises StartFailed where a supervisor's variables make no sense."""
    if environ.get(WORKER):
        number, listening, channel = (_number(environ, name) for name in (WORKER, LISTEN_FD, CHANNEL_FD))
        return Given((listening,), Place(number, channel, Path(environ.get(DIRECTORY, "."))))
    count = environ.get("LISTEN_FDS", "")
    if environ.get("LISTEN_PID") != str(pid) or not (count.isascii() and count.isdigit()) or int(count[:5]) > MOST_DESCRIPTORS:
        return Given()
    return Given(tuple(range(FIRST_DESCRIPTOR, FIRST_DESCRIPTOR + int(count))))


def forget_given(environ: MutableMapping[str, str]) -> None:
    """Take it all out of the environment: programs that we start must not take the descriptors for theirs."""
    for name in (*SYSTEMD_VARIABLES, *WORKER_VARIABLES):
        environ.pop(name, None)


def _number(environ: Mapping[str, str], name: str) -> int:
    text = environ.get(name, "")
    if not (text.isascii() and text.isdigit()):
        raise StartFailed(f"{name} is the supervisor's business; it must not be set")
    return int(text)
