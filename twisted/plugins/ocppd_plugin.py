"""Makes `twistd ocppd` known. Imports nothing of ocppd: twistd reads every plugin for every command."""

from twisted.application.service import ServiceMaker

ocppd = ServiceMaker("ocppd", "ocppd.tap", "An OCPP 1.6-J central system for electric vehicle chargers.", "ocppd")
