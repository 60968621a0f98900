"""How far the end of the daemon has come, as the doors see it, and the handshakes that are under way then.

Moved on by `ocppd.service`: begun, then perhaps refusing, then closing.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred, succeed


class Ending:
    """One for all doors of a port."""

    def __init__(self) -> None:
        #: /readyz says so, and load balancers look for another node.
        self.begun = False
        #: Handshakes that begin now are told to come back later.
        self.refusing = False
        #: Code and reason for chargers whose handshake is completed all the same; commands are no longer taken. None before.
        self.closing: tuple[int, str] | None = None
        self._under_way = 0
        self._settled: Deferred[None] | None = None

    def handshake_began(self) -> None:
        """A connection is there that may become a charger's."""
        self._under_way += 1

    def handshake_over(self) -> None:
        """It is one, or something else, or is gone."""
        self._under_way -= 1
        if not self._under_way and self._settled is not None:
            settled, self._settled = self._settled, None
            settled.callback(None)

    def settled(self) -> Deferred[None]:
        """Fires once no handshake is under way; for one caller. Cancelling it stops the waiting."""
        if not self._under_way:
            return succeed(None)
        self._settled = Deferred(lambda _: setattr(self, "_settled", None))
        return self._settled
