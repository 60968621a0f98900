"""The enumerations of the security extension. Knows no messages. Security white paper edition 3, section 6."""

from __future__ import annotations

from enum import StrEnum


class CertificateSignedStatusEnumType(StrEnum):
    """Whether the charger took its new certificate. Security white paper A02, A03."""

    ACCEPTED = "Accepted"
    REJECTED = "Rejected"


class CertificateUseEnumType(StrEnum):
    """What a root certificate is trusted for. Security white paper M03, M05."""

    CENTRAL_SYSTEM_ROOT_CERTIFICATE = "CentralSystemRootCertificate"
    MANUFACTURER_ROOT_CERTIFICATE = "ManufacturerRootCertificate"


class DeleteCertificateStatusEnumType(StrEnum):
    """FAILED: the certificate is in use. Security white paper M04."""

    ACCEPTED = "Accepted"
    FAILED = "Failed"
    NOT_FOUND = "NotFound"


class FirmwareStatusEnumType(StrEnum):
    """How far a signed firmware update is; IDLE only when triggered. Security white paper L01."""

    DOWNLOADED = "Downloaded"
    DOWNLOAD_FAILED = "DownloadFailed"
    DOWNLOADING = "Downloading"
    DOWNLOAD_SCHEDULED = "DownloadScheduled"
    DOWNLOAD_PAUSED = "DownloadPaused"
    IDLE = "Idle"
    INSTALLATION_FAILED = "InstallationFailed"
    INSTALLING = "Installing"
    INSTALLED = "Installed"
    INSTALL_REBOOTING = "InstallRebooting"
    INSTALL_SCHEDULED = "InstallScheduled"
    INSTALL_VERIFICATION_FAILED = "InstallVerificationFailed"
    INVALID_SIGNATURE = "InvalidSignature"
    SIGNATURE_VERIFIED = "SignatureVerified"


class GenericStatusEnumType(StrEnum):
    """Whether a certificate signing request will be processed. Security white paper A02, A03."""

    ACCEPTED = "Accepted"
    REJECTED = "Rejected"


class GetInstalledCertificateStatusEnumType(StrEnum):
    """NOT_FOUND: no certificate of that use. Security white paper M03."""

    ACCEPTED = "Accepted"
    NOT_FOUND = "NotFound"


class HashAlgorithmEnumType(StrEnum):
    """The hash that identifies a certificate. Security white paper M03, M04."""

    SHA256 = "SHA256"
    SHA384 = "SHA384"
    SHA512 = "SHA512"


class InstallCertificateStatusEnumType(StrEnum):
    """REJECTED: invalid, no room, or not signed by the old root. FAILED: could not be stored. Security white paper M05."""

    ACCEPTED = "Accepted"
    FAILED = "Failed"
    REJECTED = "Rejected"


class LogEnumType(StrEnum):
    """Which log is asked for. Security white paper N01."""

    DIAGNOSTICS_LOG = "DiagnosticsLog"
    SECURITY_LOG = "SecurityLog"


class LogStatusEnumType(StrEnum):
    """ACCEPTED_CANCELED: an upload under way was given up for this one. Security white paper N01."""

    ACCEPTED = "Accepted"
    REJECTED = "Rejected"
    ACCEPTED_CANCELED = "AcceptedCanceled"


class MessageTriggerEnumType(StrEnum):
    """What ExtendedTriggerMessage may ask for; FIRMWARE_STATUS_NOTIFICATION means the signed variant.

    Security white paper section 5.
    """

    BOOT_NOTIFICATION = "BootNotification"
    LOG_STATUS_NOTIFICATION = "LogStatusNotification"
    FIRMWARE_STATUS_NOTIFICATION = "FirmwareStatusNotification"
    HEARTBEAT = "Heartbeat"
    METER_VALUES = "MeterValues"
    SIGN_CHARGE_POINT_CERTIFICATE = "SignChargePointCertificate"
    STATUS_NOTIFICATION = "StatusNotification"


class TriggerMessageStatusEnumType(StrEnum):
    """NOT_IMPLEMENTED: the charger cannot send that message. Security white paper section 5."""

    ACCEPTED = "Accepted"
    REJECTED = "Rejected"
    NOT_IMPLEMENTED = "NotImplemented"


class UpdateFirmwareStatusEnumType(StrEnum):
    """ACCEPTED_CANCELED: an update under way was given up for this one. Security white paper L01."""

    ACCEPTED = "Accepted"
    REJECTED = "Rejected"
    ACCEPTED_CANCELED = "AcceptedCanceled"
    INVALID_CERTIFICATE = "InvalidCertificate"
    REVOKED_CERTIFICATE = "RevokedCertificate"


class UploadLogStatusEnumType(StrEnum):
    """How far an upload of a log is; IDLE only when triggered. Security white paper N01."""

    BAD_MESSAGE = "BadMessage"
    IDLE = "Idle"
    NOT_SUPPORTED_OPERATION = "NotSupportedOperation"
    PERMISSION_DENIED = "PermissionDenied"
    UPLOADED = "Uploaded"
    UPLOAD_FAILURE = "UploadFailure"
    UPLOADING = "Uploading"
