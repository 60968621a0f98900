"""Messages of the RemoteTrigger profile. Knows nothing of what follows. OCPP 1.6 section 5.17."""

from __future__ import annotations

from typing import Final

from msgspec import UNSET, UnsetType

from ocppd.v16.types import ConnectorId, Message, MessageTrigger, TriggerMessageStatus

#: What ExtendedTriggerMessage asks for under another name than that of the message (REQUIREMENTS V-12).
EXTENDED_TRIGGERS: Final = {
    "SignChargePointCertificate": "SignCertificate",
    "FirmwareStatusNotification": "SignedFirmwareStatusNotification",
}


class TriggerMessageRequest(Message, frozen=True, kw_only=True):
    """Send this message now. Sections 5.17, 6.51.

    The table of the specification forbids connector 0, its prose uses it for the charger as a whole: it is allowed for
    STATUS_NOTIFICATION and METER_VALUES. BOOT_NOTIFICATION is never asked of an accepted charger (errata 3.40).
    """

    requested_message: MessageTrigger
    connector_id: ConnectorId | UnsetType = UNSET


class TriggerMessageConfirmation(Message, frozen=True, kw_only=True):
    """Whether it will come; it may also have come before this answer. Section 6.52."""

    status: TriggerMessageStatus
