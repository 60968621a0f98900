"""The bare limit: an echo on picows. `python picows_echo.py PORT`."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from picows import WSListener, WSUpgradeRequest, WSUpgradeResponse, WSUpgradeResponseWithListener, ws_create_server

OPEN = WSUpgradeResponse.create_101_response({"Sec-WebSocket-Protocol": "ocpp1.6"})


class Echo(WSListener):  # type: ignore[misc]
    """Sends back what comes."""

    def on_ws_frame(self, transport: Any, frame: Any) -> None:
        """One message."""
        transport.send(frame.msg_type, frame.get_payload_as_memoryview())


def opened(request: WSUpgradeRequest) -> WSUpgradeResponseWithListener:
    """The answer to a handshake."""
    return WSUpgradeResponseWithListener(OPEN, Echo())


async def main() -> None:
    """Serve until killed."""
    server = await ws_create_server(opened, "127.0.0.1", int(sys.argv[1]), backlog=1000)
    print("listening", flush=True)
    await server.serve_forever()


asyncio.run(main())
