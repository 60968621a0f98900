"""Options that do not go together where there are several nodes. Pure."""

from __future__ import annotations

from ocppd.config import Settings
from ocppd.errors import StartFailed
from ocppd.workers.given import Given
from ocppd.workers.launch import LONGEST_NODE


def check_together(settings: Settings, given: Given) -> None:
    """Raises StartFailed, with one line, where these settings cannot work together."""
    _check_sockets(settings, given)
    several = settings.workers > 1
    if settings.database.startswith("sqlite") and (several or settings.redis is not None):
        option = f"--workers {settings.workers}" if several else "--redis"
        raise StartFailed(
            f"{option} is for several nodes, and an SQLite database is for one; name a PostgreSQL one with --database"
        )
    if not several:
        return
    if settings.redis is None:
        raise StartFailed(f"--workers {settings.workers} needs --redis, by which the workers find each other's chargers")
    if not (given.listening or settings.port.isdigit()):
        raise StartFailed(f"--workers {settings.workers} needs a plain number for --port, found {settings.port}")
    if settings.node is not None and len(settings.node) > LONGEST_NODE:
        raise StartFailed(f"--node: at most {LONGEST_NODE} characters with --workers, which add their number to it")


def _check_sockets(settings: Settings, given: Given) -> None:
    """As many sockets as there are workers.

    Several workers could accept from one socket, but who gets a connection is then a matter of who wakes first, and
    chargers stay for weeks where they are.
    """
    count = len(given.listening)
    if given.place is None and count not in (0, settings.workers):
        needed = f"--workers {settings.workers} needs {settings.workers}" if settings.workers > 1 else "one node needs 1"
        raise StartFailed(
            f"systemd handed over {count} listening socket{'s' * (count != 1)}, and {needed}: one ListenStream= for each, "
            "with ReusePort=yes"
        )
