"""What OCPP 1.6 says, written down apart from the structs: all actions, messages, objects, enumerations and their limits.

A message is a list of members, each `name type`, with `!` after the name of a required one. The types:

    text, text20     text, of at most 20 characters           token20   the same for an id tag
    free             text whose content is the vendors'        date, uri
    int, int>=1      32-bit integer, at least 1               number    with one fraction digit
    bool             Name: an enumeration or an object        [1+]X     a list of X with at least one item
"""

from __future__ import annotations

#: action: (who may call it, profile)
ACTIONS: dict[str, tuple[str, str]] = {
    "Authorize": ("in", "Core"),
    "BootNotification": ("in", "Core"),
    "DataTransfer": ("both", "Core"),
    "DiagnosticsStatusNotification": ("in", "FirmwareManagement"),
    "FirmwareStatusNotification": ("in", "FirmwareManagement"),
    "Heartbeat": ("in", "Core"),
    "MeterValues": ("in", "Core"),
    "StartTransaction": ("in", "Core"),
    "StatusNotification": ("in", "Core"),
    "StopTransaction": ("in", "Core"),
    "CancelReservation": ("out", "Reservation"),
    "ChangeAvailability": ("out", "Core"),
    "ChangeConfiguration": ("out", "Core"),
    "ClearCache": ("out", "Core"),
    "ClearChargingProfile": ("out", "SmartCharging"),
    "GetCompositeSchedule": ("out", "SmartCharging"),
    "GetConfiguration": ("out", "Core"),
    "GetDiagnostics": ("out", "FirmwareManagement"),
    "GetLocalListVersion": ("out", "LocalAuthListManagement"),
    "RemoteStartTransaction": ("out", "Core"),
    "RemoteStopTransaction": ("out", "Core"),
    "ReserveNow": ("out", "Reservation"),
    "Reset": ("out", "Core"),
    "SendLocalList": ("out", "LocalAuthListManagement"),
    "SetChargingProfile": ("out", "SmartCharging"),
    "TriggerMessage": ("out", "RemoteTrigger"),
    "UnlockConnector": ("out", "Core"),
    "UpdateFirmware": ("out", "FirmwareManagement"),
    "LogStatusNotification": ("in", "SecurityExtension"),
    "SecurityEventNotification": ("in", "SecurityExtension"),
    "SignCertificate": ("in", "SecurityExtension"),
    "SignedFirmwareStatusNotification": ("in", "SecurityExtension"),
    "CertificateSigned": ("out", "SecurityExtension"),
    "DeleteCertificate": ("out", "SecurityExtension"),
    "ExtendedTriggerMessage": ("out", "SecurityExtension"),
    "GetInstalledCertificateIds": ("out", "SecurityExtension"),
    "GetLog": ("out", "SecurityExtension"),
    "InstallCertificate": ("out", "SecurityExtension"),
    "SignedUpdateFirmware": ("out", "SecurityExtension"),
}

MESSAGES: dict[str, str] = {
    "AuthorizeRequest": "idTag! token20",
    "AuthorizeConfirmation": "idTagInfo! IdTagInfo",
    "BootNotificationRequest": (
        "chargePointVendor! text20, chargePointModel! text20, chargePointSerialNumber text25, "
        "chargeBoxSerialNumber text25, firmwareVersion text50, iccid text20, imsi text20, meterType text25, "
        "meterSerialNumber text25"
    ),
    "BootNotificationConfirmation": "status! RegistrationStatus, currentTime! date, interval! int",
    "DataTransferRequest": "vendorId! text255, messageId text50, data free",
    "DataTransferConfirmation": "status! DataTransferStatus, data free",
    "DiagnosticsStatusNotificationRequest": "status! DiagnosticsStatus",
    "DiagnosticsStatusNotificationConfirmation": "",
    "FirmwareStatusNotificationRequest": "status! FirmwareStatus",
    "FirmwareStatusNotificationConfirmation": "",
    "HeartbeatRequest": "",
    "HeartbeatConfirmation": "currentTime! date",
    "MeterValuesRequest": "connectorId! int>=0, meterValue! [1+]MeterValue, transactionId int",
    "MeterValuesConfirmation": "",
    "StartTransactionRequest": "connectorId! int>=1, idTag! token20, meterStart! int, timestamp! date, reservationId int",
    "StartTransactionConfirmation": "idTagInfo! IdTagInfo, transactionId! int",
    "StatusNotificationRequest": (
        "connectorId! int>=0, errorCode! ChargePointErrorCode, status! ChargePointStatus, info text50, timestamp date, "
        "vendorId text255, vendorErrorCode text50"
    ),
    "StatusNotificationConfirmation": "",
    "StopTransactionRequest": (
        "meterStop! int, timestamp! date, transactionId! int, idTag token20, reason Reason, transactionData [0+]MeterValue"
    ),
    "StopTransactionConfirmation": "idTagInfo IdTagInfo",
    "CancelReservationRequest": "reservationId! int",
    "CancelReservationConfirmation": "status! CancelReservationStatus",
    "ChangeAvailabilityRequest": "connectorId! int>=0, type! AvailabilityType",
    "ChangeAvailabilityConfirmation": "status! AvailabilityStatus",
    "ChangeConfigurationRequest": "key! text50, value! text500",
    "ChangeConfigurationConfirmation": "status! ConfigurationStatus",
    "ClearCacheRequest": "",
    "ClearCacheConfirmation": "status! ClearCacheStatus",
    "ClearChargingProfileRequest": ("id int, connectorId int, chargingProfilePurpose ChargingProfilePurposeType, stackLevel int"),
    "ClearChargingProfileConfirmation": "status! ClearChargingProfileStatus",
    "GetCompositeScheduleRequest": "connectorId! int, duration! int, chargingRateUnit ChargingRateUnitType",
    "GetCompositeScheduleConfirmation": (
        "status! GetCompositeScheduleStatus, connectorId int, scheduleStart date, chargingSchedule ChargingSchedule"
    ),
    "GetConfigurationRequest": "key [0+]text50",
    "GetConfigurationConfirmation": "configurationKey [0+]KeyValue, unknownKey [0+]text50",
    "GetDiagnosticsRequest": "location! uri, retries int, retryInterval int, startTime date, stopTime date",
    "GetDiagnosticsConfirmation": "fileName text255",
    "GetLocalListVersionRequest": "",
    "GetLocalListVersionConfirmation": "listVersion! int",
    "RemoteStartTransactionRequest": "idTag! token20, connectorId int>=1, chargingProfile ChargingProfile",
    "RemoteStartTransactionConfirmation": "status! RemoteStartStopStatus",
    "RemoteStopTransactionRequest": "transactionId! int",
    "RemoteStopTransactionConfirmation": "status! RemoteStartStopStatus",
    "ReserveNowRequest": "connectorId! int>=0, expiryDate! date, idTag! token20, reservationId! int, parentIdTag token20",
    "ReserveNowConfirmation": "status! ReservationStatus",
    "ResetRequest": "type! ResetType",
    "ResetConfirmation": "status! ResetStatus",
    "SendLocalListRequest": "listVersion! int, updateType! UpdateType, localAuthorizationList [0+]AuthorizationData",
    "SendLocalListConfirmation": "status! UpdateStatus",
    "SetChargingProfileRequest": "connectorId! int, csChargingProfiles! ChargingProfile",
    "SetChargingProfileConfirmation": "status! ChargingProfileStatus",
    "TriggerMessageRequest": "requestedMessage! MessageTrigger, connectorId int>=0",
    "TriggerMessageConfirmation": "status! TriggerMessageStatus",
    "UnlockConnectorRequest": "connectorId! int>=1",
    "UnlockConnectorConfirmation": "status! UnlockStatus",
    "UpdateFirmwareRequest": "location! uri, retrieveDate! date, retries int, retryInterval int",
    "UpdateFirmwareConfirmation": "",
    "LogStatusNotificationRequest": "status! UploadLogStatusEnumType, requestId int",
    "LogStatusNotificationConfirmation": "",
    "SecurityEventNotificationRequest": "type! text50, timestamp! date, techInfo text255",
    "SecurityEventNotificationConfirmation": "",
    "SignCertificateRequest": "csr! text5500",
    "SignCertificateConfirmation": "status! GenericStatusEnumType",
    "SignedFirmwareStatusNotificationRequest": "status! FirmwareStatusEnumType, requestId int",
    "SignedFirmwareStatusNotificationConfirmation": "",
    "CertificateSignedRequest": "certificateChain! text10000",
    "CertificateSignedConfirmation": "status! CertificateSignedStatusEnumType",
    "DeleteCertificateRequest": "certificateHashData! CertificateHashDataType",
    "DeleteCertificateConfirmation": "status! DeleteCertificateStatusEnumType",
    "ExtendedTriggerMessageRequest": "requestedMessage! MessageTriggerEnumType, connectorId int>=1",
    "ExtendedTriggerMessageConfirmation": "status! TriggerMessageStatusEnumType",
    "GetInstalledCertificateIdsRequest": "certificateType! CertificateUseEnumType",
    "GetInstalledCertificateIdsConfirmation": (
        "status! GetInstalledCertificateStatusEnumType, certificateHashData [1+]CertificateHashDataType"
    ),
    "GetLogRequest": "log! LogParametersType, logType! LogEnumType, requestId! int, retries int, retryInterval int",
    "GetLogConfirmation": "status! LogStatusEnumType, filename text255",
    "InstallCertificateRequest": "certificateType! CertificateUseEnumType, certificate! text5500",
    "InstallCertificateConfirmation": "status! InstallCertificateStatusEnumType",
    "SignedUpdateFirmwareRequest": "requestId! int, firmware! FirmwareType, retries int, retryInterval int",
    "SignedUpdateFirmwareConfirmation": "status! UpdateFirmwareStatusEnumType",
}

OBJECTS: dict[str, str] = {
    "IdTagInfo": "status! AuthorizationStatus, expiryDate date, parentIdTag token20",
    "SampledValue": (
        "value! text, context ReadingContext, format ValueFormat, measurand Measurand, phase Phase, location Location, "
        "unit UnitOfMeasure"
    ),
    "MeterValue": "timestamp! date, sampledValue! [1+]SampledValue",
    "ChargingSchedulePeriod": "startPeriod! int, limit! number, numberPhases int",
    "ChargingSchedule": (
        "chargingRateUnit! ChargingRateUnitType, chargingSchedulePeriod! [1+]ChargingSchedulePeriod, duration int, "
        "startSchedule date, minChargingRate number"
    ),
    "KeyValue": "key! text50, readonly! bool, value text500",
    "ChargingProfile": (
        "chargingProfileId! int, stackLevel! int>=0, chargingProfilePurpose! ChargingProfilePurposeType, "
        "chargingProfileKind! ChargingProfileKindType, chargingSchedule! ChargingSchedule, transactionId int, "
        "recurrencyKind RecurrencyKindType, validFrom date, validTo date"
    ),
    "AuthorizationData": "idTag! token20, idTagInfo IdTagInfo",
    "CertificateHashDataType": (
        "hashAlgorithm! HashAlgorithmEnumType, issuerNameHash! text128, issuerKeyHash! text128, serialNumber! text40"
    ),
    "LogParametersType": "remoteLocation! text512, oldestTimestamp date, latestTimestamp date",
    "FirmwareType": (
        "location! text512, retrieveDateTime! date, signingCertificate! text5500, signature! text800, installDateTime date"
    ),
}

ENUMS: dict[str, str] = {
    "AuthorizationStatus": "Accepted Blocked Expired Invalid ConcurrentTx",
    "RegistrationStatus": "Accepted Pending Rejected",
    "DataTransferStatus": "Accepted Rejected UnknownMessageId UnknownVendorId",
    "DiagnosticsStatus": "Idle Uploaded UploadFailed Uploading",
    "FirmwareStatus": "Downloaded DownloadFailed Downloading Idle InstallationFailed Installing Installed",
    "ReadingContext": (
        "Interruption.Begin Interruption.End Other Sample.Clock Sample.Periodic Transaction.Begin Transaction.End Trigger"
    ),
    "ValueFormat": "Raw SignedData",
    "Measurand": (
        "Current.Export Current.Import Current.Offered Energy.Active.Export.Register Energy.Active.Import.Register "
        "Energy.Reactive.Export.Register Energy.Reactive.Import.Register Energy.Active.Export.Interval "
        "Energy.Active.Import.Interval Energy.Reactive.Export.Interval Energy.Reactive.Import.Interval Frequency "
        "Power.Active.Export Power.Active.Import Power.Factor Power.Offered Power.Reactive.Export "
        "Power.Reactive.Import RPM SoC Temperature Voltage"
    ),
    "Phase": "L1 L2 L3 N L1-N L2-N L3-N L1-L2 L2-L3 L3-L1",
    "Location": "Body Cable EV Inlet Outlet",
    "UnitOfMeasure": "Wh kWh varh kvarh W kW VA kVA var kvar A V Celsius Fahrenheit K Percent",
    "ChargePointErrorCode": (
        "ConnectorLockFailure EVCommunicationError GroundFailure HighTemperature InternalError LocalListConflict "
        "NoError OtherError OverCurrentFailure OverVoltage PowerMeterFailure PowerSwitchFailure ReaderFailure "
        "ResetFailure UnderVoltage WeakSignal"
    ),
    "ChargePointStatus": "Available Preparing Charging SuspendedEVSE SuspendedEV Finishing Reserved Unavailable Faulted",
    "Reason": "DeAuthorized EmergencyStop EVDisconnected HardReset Local Other PowerLoss Reboot Remote SoftReset UnlockCommand",
    "CancelReservationStatus": "Accepted Rejected",
    "AvailabilityType": "Inoperative Operative",
    "AvailabilityStatus": "Accepted Rejected Scheduled",
    "ConfigurationStatus": "Accepted Rejected RebootRequired NotSupported",
    "ClearCacheStatus": "Accepted Rejected",
    "ChargingProfilePurposeType": "ChargePointMaxProfile TxDefaultProfile TxProfile",
    "ClearChargingProfileStatus": "Accepted Unknown",
    "ChargingRateUnitType": "W A",
    "GetCompositeScheduleStatus": "Accepted Rejected",
    "ChargingProfileKindType": "Absolute Recurring Relative",
    "RecurrencyKindType": "Daily Weekly",
    "RemoteStartStopStatus": "Accepted Rejected",
    "ReservationStatus": "Accepted Faulted Occupied Rejected Unavailable",
    "ResetType": "Hard Soft",
    "ResetStatus": "Accepted Rejected",
    "UpdateType": "Differential Full",
    "UpdateStatus": "Accepted Failed NotSupported VersionMismatch",
    "ChargingProfileStatus": "Accepted Rejected NotSupported",
    "MessageTrigger": (
        "BootNotification DiagnosticsStatusNotification FirmwareStatusNotification Heartbeat MeterValues StatusNotification"
    ),
    "TriggerMessageStatus": "Accepted Rejected NotImplemented",
    "UnlockStatus": "Unlocked UnlockFailed NotSupported",
    "UploadLogStatusEnumType": "BadMessage Idle NotSupportedOperation PermissionDenied Uploaded UploadFailure Uploading",
    "GenericStatusEnumType": "Accepted Rejected",
    "FirmwareStatusEnumType": (
        "Downloaded DownloadFailed Downloading DownloadScheduled DownloadPaused Idle InstallationFailed Installing "
        "Installed InstallRebooting InstallScheduled InstallVerificationFailed InvalidSignature SignatureVerified"
    ),
    "CertificateSignedStatusEnumType": "Accepted Rejected",
    "HashAlgorithmEnumType": "SHA256 SHA384 SHA512",
    "DeleteCertificateStatusEnumType": "Accepted Failed NotFound",
    "MessageTriggerEnumType": (
        "BootNotification LogStatusNotification FirmwareStatusNotification Heartbeat MeterValues "
        "SignChargePointCertificate StatusNotification"
    ),
    "TriggerMessageStatusEnumType": "Accepted Rejected NotImplemented",
    "CertificateUseEnumType": "CentralSystemRootCertificate ManufacturerRootCertificate",
    "GetInstalledCertificateStatusEnumType": "Accepted NotFound",
    "LogEnumType": "DiagnosticsLog SecurityLog",
    "LogStatusEnumType": "Accepted Rejected AcceptedCanceled",
    "InstallCertificateStatusEnumType": "Accepted Failed Rejected",
    "UpdateFirmwareStatusEnumType": "Accepted Rejected AcceptedCanceled InvalidCertificate RevokedCertificate",
}

#: Spellings of values that are read besides, and what they mean.
ALSO_READ: dict[str, dict[str, str]] = {"UnitOfMeasure": {"Celcius": "Celsius", "Hertz": "Hertz", "Hz": "Hertz"}}
