"""Connector 0: what it may be sent in, and that it is read wherever a charger writes it. REQUIREMENTS G-11, 4.3."""

from __future__ import annotations

import json

from twisted.trial.unittest import SynchronousTestCase

from ocppd.v16.codec import decode
from ocppd.v16.validation import check
from support.examples import example, kind_of, payload, with_

#: Whether an action may name connector 0.
MAY_NAME_IT = {
    "ChangeAvailability": True,
    "ReserveNow": True,
    "SetChargingProfile": True,
    "ClearChargingProfile": True,
    "GetCompositeSchedule": True,
    "StatusNotification": True,
    "MeterValues": True,
    "StartTransaction": False,
    "RemoteStartTransaction": False,
    "UnlockConnector": False,
}


class ConnectorZeroTests(SynchronousTestCase):
    """Connector 0 by action."""

    def test_by_the_letter(self) -> None:
        """G-11, DIS-07, DIS-08: never in StartTransaction, RemoteStartTransaction and UnlockConnector; -1 is none anywhere."""
        for action, may in MAY_NAME_IT.items():
            value = json.loads(payload(example(f"{action}Request")))
            if "csChargingProfiles" in value:  # a TxProfile is of the connector that its transaction is on (K-1)
                value["csChargingProfiles"]["chargingProfilePurpose"] = "TxDefaultProfile"
                value["csChargingProfiles"].pop("transactionId", None)
            for number, good in ((0, may), (1, True)):
                found = [each.pointer for each in check(kind_of(f"{action}Request"), with_(value, ("connectorId",), number))]
                self.assertEqual("/connectorId" not in found, good, (action, number))

    def test_of_a_charger(self) -> None:
        """G-11: what a charger sends is read with connector 0 as well."""
        for action in ("StartTransaction", "StatusNotification", "MeterValues"):
            body = payload(with_(example(f"{action}Request"), ("connectorId",), 0))
            message, repairs = decode(kind_of(f"{action}Request"), body, strict=False)
            self.assertEqual((message.connector_id, repairs), (0, ()))
