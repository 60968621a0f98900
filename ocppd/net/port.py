"""Puts the doors of the port together. Imports Klein, and with it the global reactor: import this at the start, not before."""

from __future__ import annotations

from typing import Any

from twisted.logger import Logger

from ocppd.central.system import CentralSystem
from ocppd.config import Settings
from ocppd.net.ending import Ending
from ocppd.net.rest.access import AccessRules
from ocppd.net.rest.app import Api, make_resource
from ocppd.net.rest.body import ApiRequest
from ocppd.net.site import ApiSite, OnePort
from ocppd.net.websocket import ChargerFactory, Door
from ocppd.storage.api import Storage
from ocppd.version import version

log = Logger()


def make_factory(settings: Settings, central: CentralSystem, storage: Storage, reactor: Any, ending: Ending) -> OnePort:
    """The factory of the port: chargers' WebSockets and the operators' HTTP."""
    chargers = ChargerFactory(Door(central, settings.charger_paths, settings.handshake, reactor, ending), reactor)
    api = Api(
        chargers=central.chargers,
        cluster=central.cluster,
        commands=central.commands,
        queries=central.queries,
        feed=central.feed,
        rules=central.rules,
        conformance=central.conformance,
        storage=storage,
        clock=reactor,
        access=AccessRules.from_machine(gateway_may_call=settings.gateway_may_call),
        charger_paths=settings.charger_paths,
        version=version(),
        ready=lambda: not ending.begun,
        takes_commands=lambda: ending.closing is None,
    )
    log.info("{rule}", rule=api.access.describe())
    return OnePort(chargers, ApiSite(make_resource(api), ApiRequest, chargers, reactor), reactor, ending)
