"""The whole daemon in the test's own process: real port, real database file, the real reactor."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from twisted.internet import reactor

from ocppd.central.system import CentralSystem
from ocppd.config import Handshake, LogFormat, LogLevel, Settings
from ocppd.service import OcppdService


class Running:
    """A started daemon and what tests need of it."""

    def __init__(self, directory: Path, configuration: dict[str, Any], **settings: Any) -> None:
        self.directory = directory
        self.config = directory / "configs.json"
        self.configure(configuration)
        defaults = Settings(
            port="tcp:0:interface=127.0.0.1",
            config=self.config,
            database=f"sqlite:///{directory}/ocppd.sqlite",
            handlers=None,
            charger_paths=("/ocppj/1.6",),
            unknown_id_tags=None,
            handshake=Handshake.REFUSE,
            log_format=LogFormat.TEXT,
            log_level=LogLevel.INFO,
            gateway_may_call=False,
            secret_key=None,
        )
        self.settings = replace(defaults, **settings)
        self.service = OcppdService(self.settings, reactor, directory)

    def configure(self, configuration: dict[str, Any]) -> None:
        """Write configs.json."""
        self.config.write_text(json.dumps(configuration))

    def start(self) -> Running:
        """Start it, as twistd does."""
        self.service.privilegedStartService()
        self.service.startService()
        return self

    async def stop(self) -> None:
        """Stop it, as twistd does."""
        await self.service.stopService()

    @property
    def port(self) -> int:
        """The port it listens on."""
        assert self.service.port is not None
        return int(self.service.port.getHost().port)

    @property
    def central(self) -> CentralSystem:
        """Its central system."""
        assert self.service.central is not None
        return self.service.central


def chargers(*names: str, **common: Any) -> dict[str, Any]:
    """A configuration with these chargers."""
    return {"MaxQueueSize": 10, "Chargers": [{"Name": name, **common} for name in names]}
