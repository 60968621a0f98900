"""THE table of actions: what a name on the wire stands for. Knows nothing of what is done about it.

28 actions of OCPP 1.6 (sections 4 and 5) and 11 of the security extension. Names are case-sensitive (REQUIREMENTS F-4).
The profiles are those of section 3.3 with errata 3.2 (three column headings of edition 2 are swapped).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum

from ocppd.v16 import core, firmware, local_auth_list, remote_trigger, reservation, security, smart_charging
from ocppd.v16.types import Message


class Direction(Enum):
    """Who may send the CALL of an action."""

    TO_CENTRAL_SYSTEM = "to central system"
    TO_CHARGER = "to charger"
    BOTH = "both"


class Profile(StrEnum):
    """The feature profiles, by their names in SupportedFeatureProfiles; the security extension is not listed there."""

    CORE = "Core"
    FIRMWARE_MANAGEMENT = "FirmwareManagement"
    LOCAL_AUTH_LIST_MANAGEMENT = "LocalAuthListManagement"
    RESERVATION = "Reservation"
    SMART_CHARGING = "SmartCharging"
    REMOTE_TRIGGER = "RemoteTrigger"
    SECURITY_EXTENSION = "SecurityExtension"


@dataclass(frozen=True, slots=True)
class Action:
    """One action: its name on the wire, its two messages, who may call it, the profile it belongs to."""

    name: str
    request: type[Message]
    confirmation: type[Message]
    direction: Direction
    profile: Profile

    @property
    def from_charger(self) -> bool:
        """Whether a charger may call it on us."""
        return self.direction is not Direction.TO_CHARGER

    @property
    def to_charger(self) -> bool:
        """Whether we may call it on a charger."""
        return self.direction is not Direction.TO_CENTRAL_SYSTEM


_IN, _OUT, _BOTH = Direction.TO_CENTRAL_SYSTEM, Direction.TO_CHARGER, Direction.BOTH

_TABLE = (
    Action("Authorize", core.AuthorizeRequest, core.AuthorizeConfirmation, _IN, Profile.CORE),
    Action("BootNotification", core.BootNotificationRequest, core.BootNotificationConfirmation, _IN, Profile.CORE),
    Action("DataTransfer", core.DataTransferRequest, core.DataTransferConfirmation, _BOTH, Profile.CORE),
    Action(
        "DiagnosticsStatusNotification",
        firmware.DiagnosticsStatusNotificationRequest,
        firmware.DiagnosticsStatusNotificationConfirmation,
        _IN,
        Profile.FIRMWARE_MANAGEMENT,
    ),
    Action(
        "FirmwareStatusNotification",
        firmware.FirmwareStatusNotificationRequest,
        firmware.FirmwareStatusNotificationConfirmation,
        _IN,
        Profile.FIRMWARE_MANAGEMENT,
    ),
    Action("Heartbeat", core.HeartbeatRequest, core.HeartbeatConfirmation, _IN, Profile.CORE),
    Action("MeterValues", core.MeterValuesRequest, core.MeterValuesConfirmation, _IN, Profile.CORE),
    Action("StartTransaction", core.StartTransactionRequest, core.StartTransactionConfirmation, _IN, Profile.CORE),
    Action("StatusNotification", core.StatusNotificationRequest, core.StatusNotificationConfirmation, _IN, Profile.CORE),
    Action("StopTransaction", core.StopTransactionRequest, core.StopTransactionConfirmation, _IN, Profile.CORE),
    Action(
        "CancelReservation",
        reservation.CancelReservationRequest,
        reservation.CancelReservationConfirmation,
        _OUT,
        Profile.RESERVATION,
    ),
    Action("ChangeAvailability", core.ChangeAvailabilityRequest, core.ChangeAvailabilityConfirmation, _OUT, Profile.CORE),
    Action("ChangeConfiguration", core.ChangeConfigurationRequest, core.ChangeConfigurationConfirmation, _OUT, Profile.CORE),
    Action("ClearCache", core.ClearCacheRequest, core.ClearCacheConfirmation, _OUT, Profile.CORE),
    Action(
        "ClearChargingProfile",
        smart_charging.ClearChargingProfileRequest,
        smart_charging.ClearChargingProfileConfirmation,
        _OUT,
        Profile.SMART_CHARGING,
    ),
    Action(
        "GetCompositeSchedule",
        smart_charging.GetCompositeScheduleRequest,
        smart_charging.GetCompositeScheduleConfirmation,
        _OUT,
        Profile.SMART_CHARGING,
    ),
    Action("GetConfiguration", core.GetConfigurationRequest, core.GetConfigurationConfirmation, _OUT, Profile.CORE),
    Action(
        "GetDiagnostics", firmware.GetDiagnosticsRequest, firmware.GetDiagnosticsConfirmation, _OUT, Profile.FIRMWARE_MANAGEMENT
    ),
    Action(
        "GetLocalListVersion",
        local_auth_list.GetLocalListVersionRequest,
        local_auth_list.GetLocalListVersionConfirmation,
        _OUT,
        Profile.LOCAL_AUTH_LIST_MANAGEMENT,
    ),
    Action(
        "RemoteStartTransaction", core.RemoteStartTransactionRequest, core.RemoteStartTransactionConfirmation, _OUT, Profile.CORE
    ),
    Action(
        "RemoteStopTransaction", core.RemoteStopTransactionRequest, core.RemoteStopTransactionConfirmation, _OUT, Profile.CORE
    ),
    Action("ReserveNow", reservation.ReserveNowRequest, reservation.ReserveNowConfirmation, _OUT, Profile.RESERVATION),
    Action("Reset", core.ResetRequest, core.ResetConfirmation, _OUT, Profile.CORE),
    Action(
        "SendLocalList",
        local_auth_list.SendLocalListRequest,
        local_auth_list.SendLocalListConfirmation,
        _OUT,
        Profile.LOCAL_AUTH_LIST_MANAGEMENT,
    ),
    Action(
        "SetChargingProfile",
        smart_charging.SetChargingProfileRequest,
        smart_charging.SetChargingProfileConfirmation,
        _OUT,
        Profile.SMART_CHARGING,
    ),
    Action(
        "TriggerMessage",
        remote_trigger.TriggerMessageRequest,
        remote_trigger.TriggerMessageConfirmation,
        _OUT,
        Profile.REMOTE_TRIGGER,
    ),
    Action("UnlockConnector", core.UnlockConnectorRequest, core.UnlockConnectorConfirmation, _OUT, Profile.CORE),
    Action(
        "UpdateFirmware", firmware.UpdateFirmwareRequest, firmware.UpdateFirmwareConfirmation, _OUT, Profile.FIRMWARE_MANAGEMENT
    ),
    Action(
        "LogStatusNotification",
        security.LogStatusNotificationRequest,
        security.LogStatusNotificationConfirmation,
        _IN,
        Profile.SECURITY_EXTENSION,
    ),
    Action(
        "SecurityEventNotification",
        security.SecurityEventNotificationRequest,
        security.SecurityEventNotificationConfirmation,
        _IN,
        Profile.SECURITY_EXTENSION,
    ),
    Action(
        "SignCertificate", security.SignCertificateRequest, security.SignCertificateConfirmation, _IN, Profile.SECURITY_EXTENSION
    ),
    Action(
        "SignedFirmwareStatusNotification",
        security.SignedFirmwareStatusNotificationRequest,
        security.SignedFirmwareStatusNotificationConfirmation,
        _IN,
        Profile.SECURITY_EXTENSION,
    ),
    Action(
        "CertificateSigned",
        security.CertificateSignedRequest,
        security.CertificateSignedConfirmation,
        _OUT,
        Profile.SECURITY_EXTENSION,
    ),
    Action(
        "DeleteCertificate",
        security.DeleteCertificateRequest,
        security.DeleteCertificateConfirmation,
        _OUT,
        Profile.SECURITY_EXTENSION,
    ),
    Action(
        "ExtendedTriggerMessage",
        security.ExtendedTriggerMessageRequest,
        security.ExtendedTriggerMessageConfirmation,
        _OUT,
        Profile.SECURITY_EXTENSION,
    ),
    Action(
        "GetInstalledCertificateIds",
        security.GetInstalledCertificateIdsRequest,
        security.GetInstalledCertificateIdsConfirmation,
        _OUT,
        Profile.SECURITY_EXTENSION,
    ),
    Action("GetLog", security.GetLogRequest, security.GetLogConfirmation, _OUT, Profile.SECURITY_EXTENSION),
    Action(
        "InstallCertificate",
        security.InstallCertificateRequest,
        security.InstallCertificateConfirmation,
        _OUT,
        Profile.SECURITY_EXTENSION,
    ),
    Action(
        "SignedUpdateFirmware",
        security.SignedUpdateFirmwareRequest,
        security.SignedUpdateFirmwareConfirmation,
        _OUT,
        Profile.SECURITY_EXTENSION,
    ),
)

#: All 39 actions by their name on the wire.
ACTIONS: dict[str, Action] = {action.name: action for action in _TABLE}
