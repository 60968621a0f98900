"""Puts the doors of the port together. Imports Klein, and with it the global reactor: import this at the start, not before."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import Any, Final

from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger

from ocppd.central.system import CentralSystem
from ocppd.config import Settings
from ocppd.net.ending import Ending
from ocppd.net.files.room import FileRoom, Limits
from ocppd.net.rest.access import AccessRules
from ocppd.net.rest.app import Api, make_resource
from ocppd.net.rest.body import ApiRequest
from ocppd.net.site import ApiSite, OnePort
from ocppd.net.websocket import ChargerFactory, Door
from ocppd.storage.api import Storage
from ocppd.version import version

log = Logger()

_SQLITE_FILE: Final = re.compile(r"sqlite(?:\+\w+)?:///([^?]+)")


def make_factory(settings: Settings, central: CentralSystem, storage: Storage, reactor: Any, ending: Ending) -> OnePort:
    """The factory of the port: chargers' WebSockets and the operators' HTTP."""
    chargers = ChargerFactory(Door(central, settings.charger_paths, settings.handshake, reactor, ending), reactor)
    storage.when_crowded(chargers.overload.changed)
    api = Api(
        chargers=central.chargers,
        cluster=central.cluster,
        commands=central.commands,
        mirror=central.mirror,
        queries=central.queries,
        charging=central.charging,
        feed=central.feed,
        rules=central.rules,
        certificates=central.certificates,
        reservations=central.reservations,
        local_lists=central.local_lists,
        conformance=central.conformance,
        registry=central.registry,
        fleet_jobs=central.fleet_jobs,
        storage=storage,
        clock=reactor,
        access=AccessRules.from_machine(gateway_may_call=settings.gateway_may_call),
        charger_paths=settings.charger_paths,
        version=version(),
        ready=lambda: not ending.begun,
        takes_commands=lambda: ending.closing is None,
        keep=central.keep,
        files=make_file_room(settings, storage, reactor),
    )
    log.info("{rule}", rule=api.access.describe())
    port = OnePort(chargers, ApiSite(make_resource(api), ApiRequest, chargers, reactor), reactor, ending)
    port.files = api.files
    return port


def make_file_room(settings: Settings, storage: Storage, reactor: Any) -> FileRoom | None:
    """The file room, in the directory that it is told, or beside the database; None where there is neither."""
    directory = settings.files or _beside(settings.database)
    if directory is None:
        log.info("there is no file room: --files names no directory, and the database is no file")
        return None
    limits = Limits(
        file_bytes=settings.upload_limit_mib * 1024**2,
        most_bytes=settings.files_limit_gib * 1024**3,
        keep_days=settings.keep_files_days,
    )
    run = partial(deferToThreadPool, reactor, reactor.getThreadPool())
    return FileRoom(directory, storage.files, storage.charger_jobs, reactor, run, limits, settings.public_url)


def _beside(database: str) -> Path | None:
    """The directory beside a database that is a file."""
    found = _SQLITE_FILE.match(database)
    return None if found is None or found[1].startswith(":") else Path(found[1] + ".files")
