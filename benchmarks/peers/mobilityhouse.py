"""`ocpp` on `websockets`, with its schema validation, without storage. `python mobilityhouse.py PORT`."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from datetime import UTC, datetime
from itertools import count
from typing import Any

from ocpp.routing import on
from ocpp.v16 import ChargePoint, call_result
from ocpp.v16.enums import Action, AuthorizationStatus, RegistrationStatus
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

transaction_ids = count(1)


def now() -> str:
    """The time of day."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


class Central(ChargePoint):  # type: ignore[misc]
    """The central system's end of one connection."""

    @on(Action.boot_notification)
    def on_boot(self, **_: Any) -> call_result.BootNotification:
        """Accepted."""
        return call_result.BootNotification(current_time=now(), interval=300, status=RegistrationStatus.accepted)

    @on(Action.heartbeat)
    def on_heartbeat(self) -> call_result.Heartbeat:
        """The time."""
        return call_result.Heartbeat(current_time=now())

    @on(Action.status_notification)
    def on_status(self, **_: Any) -> call_result.StatusNotification:
        """Taken."""
        return call_result.StatusNotification()

    @on(Action.meter_values)
    def on_meter_values(self, **_: Any) -> call_result.MeterValues:
        """Taken."""
        return call_result.MeterValues()

    @on(Action.start_transaction)
    def on_start(self, **_: Any) -> call_result.StartTransaction:
        """Accepted."""
        return call_result.StartTransaction(
            transaction_id=next(transaction_ids), id_tag_info={"status": AuthorizationStatus.accepted}
        )


async def connected(connection: ServerConnection) -> None:
    """One charger, until it leaves."""
    assert connection.request is not None
    with contextlib.suppress(ConnectionClosed):
        await Central(connection.request.path.rpartition("/")[2], connection).start()


async def main() -> None:
    """Serve until killed."""
    async with serve(connected, "127.0.0.1", int(sys.argv[1]), subprotocols=["ocpp1.6"], backlog=1000) as server:  # type: ignore[list-item]
        print("listening", flush=True)
        await server.serve_forever()


asyncio.run(main())
