"""An echo on Autobahn and Twisted, as they come. `python autobahn_echo.py PORT`."""

from __future__ import annotations

import sys
from typing import Any

from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from twisted.internet import reactor


class Echo(WebSocketServerProtocol):  # type: ignore[misc]
    """Sends back what comes."""

    def onConnect(self, request: Any) -> str:
        """The subprotocol."""
        return "ocpp1.6"

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """One message."""
        self.sendMessage(payload, isBinary)


def main() -> None:
    """Serve until killed."""
    core: Any = reactor
    factory = WebSocketServerFactory(protocols=["ocpp1.6"])
    factory.protocol = Echo
    core.listenTCP(int(sys.argv[1]), factory, backlog=1000, interface="127.0.0.1")
    core.callWhenRunning(print, "listening", flush=True)
    core.run()


main()
