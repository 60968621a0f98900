"""Messages of the security extension, both ways. Knows no certificates. Security white paper, edition 3.

Those a charger sends come first. A request id is ours and unique per charger."""

from __future__ import annotations

from msgspec import UNSET, UnsetType

from ocppd.v16.types import (
    CertificateHashDataType,
    CertificateSignedStatusEnumType,
    CertificateUseEnumType,
    DateTime,
    DeleteCertificateStatusEnumType,
    FirmwareStatusEnumType,
    FirmwareType,
    GenericStatusEnumType,
    GetInstalledCertificateStatusEnumType,
    InstallCertificateStatusEnumType,
    Integer,
    LogEnumType,
    LogParametersType,
    LogStatusEnumType,
    Message,
    MessageTriggerEnumType,
    NonEmpty,
    PhysicalConnectorId,
    String50,
    String255,
    String5500,
    String10000,
    TriggerMessageStatusEnumType,
    UpdateFirmwareStatusEnumType,
    UploadLogStatusEnumType,
)


class LogStatusNotificationRequest(Message, frozen=True, kw_only=True):
    """How far the upload that GetLog asked for is; `request_id` may lack when triggered. White paper N01."""

    status: UploadLogStatusEnumType
    request_id: Integer | UnsetType = UNSET


class LogStatusNotificationConfirmation(Message, frozen=True, kw_only=True):
    """Received. White paper N01."""


class SecurityEventNotificationRequest(Message, frozen=True, kw_only=True):
    """Something that concerns security happened. White paper A04.

    `type` is free text: unknown ones are stored, never refused (REQUIREMENTS V-11).
    """

    type: String50
    timestamp: DateTime
    tech_info: String255 | UnsetType = UNSET


class SecurityEventNotificationConfirmation(Message, frozen=True, kw_only=True):
    """Received, in every state of registration. White paper A04."""


class SignCertificateRequest(Message, frozen=True, kw_only=True):
    """A charger wants its certificate signed; `csr` is PKCS#10 as PEM. White paper A02, A03."""

    csr: String5500


class SignCertificateConfirmation(Message, frozen=True, kw_only=True):
    """Whether we will; the certificate comes later as CertificateSigned. White paper A02, A03."""

    status: GenericStatusEnumType


class SignedFirmwareStatusNotificationRequest(Message, frozen=True, kw_only=True):
    """How far the update that SignedUpdateFirmware asked for is. White paper L01.

    `request_id` may lack only with IDLE (REQUIREMENTS V-3).
    """

    status: FirmwareStatusEnumType
    request_id: Integer | UnsetType = UNSET


class SignedFirmwareStatusNotificationConfirmation(Message, frozen=True, kw_only=True):
    """Received. White paper L01."""


class CertificateSignedRequest(Message, frozen=True, kw_only=True):
    """The certificate that a charger asked for. White paper A02, A03.

    `certificate_chain` is PEM, the leaf first, without the root; CertificateSignedMaxChainSize bounds it too (Q-3).
    """

    certificate_chain: String10000


class CertificateSignedConfirmation(Message, frozen=True, kw_only=True):
    """Whether the charger took it; it reconnects with it. White paper A02, A03."""

    status: CertificateSignedStatusEnumType


class DeleteCertificateRequest(Message, frozen=True, kw_only=True):
    """Remove a root certificate, named by the hashes the charger itself reported (Q-7). White paper M04."""

    certificate_hash_data: CertificateHashDataType


class DeleteCertificateConfirmation(Message, frozen=True, kw_only=True):
    """Whether it is gone. White paper M04."""

    status: DeleteCertificateStatusEnumType


class ExtendedTriggerMessageRequest(Message, frozen=True, kw_only=True):
    """Send this message now, those of the security extension included. White paper section 5.

    SIGN_CHARGE_POINT_CERTIFICATE goes without `connector_id` (REQUIREMENTS Q-1).
    """

    requested_message: MessageTriggerEnumType
    connector_id: PhysicalConnectorId | UnsetType = UNSET


class ExtendedTriggerMessageConfirmation(Message, frozen=True, kw_only=True):
    """Whether it will come. White paper section 5."""

    status: TriggerMessageStatusEnumType


class GetInstalledCertificateIdsRequest(Message, frozen=True, kw_only=True):
    """Which root certificates of this use do you hold? White paper M03."""

    certificate_type: CertificateUseEnumType


class GetInstalledCertificateIdsConfirmation(Message, frozen=True, kw_only=True):
    """The certificates by their hashes. White paper M03.

    ACCEPTED without a list, or with an empty one, means none (REQUIREMENTS Q-6).
    """

    status: GetInstalledCertificateStatusEnumType
    certificate_hash_data: NonEmpty[CertificateHashDataType] | UnsetType = UNSET


class GetLogRequest(Message, frozen=True, kw_only=True):
    """Upload a log; `retry_interval` in seconds. White paper N01."""

    log: LogParametersType
    log_type: LogEnumType
    request_id: Integer
    retries: Integer | UnsetType = UNSET
    retry_interval: Integer | UnsetType = UNSET


class GetLogConfirmation(Message, frozen=True, kw_only=True):
    """Whether it will come, and under what name. White paper N01."""

    status: LogStatusEnumType
    filename: String255 | UnsetType = UNSET


class InstallCertificateRequest(Message, frozen=True, kw_only=True):
    """Trust this root certificate (PEM) from now on. White paper M05."""

    certificate_type: CertificateUseEnumType
    certificate: String5500


class InstallCertificateConfirmation(Message, frozen=True, kw_only=True):
    """Whether it is trusted. White paper M05."""

    status: InstallCertificateStatusEnumType


class SignedUpdateFirmwareRequest(Message, frozen=True, kw_only=True):
    """Fetch, prove and install firmware; `retry_interval` in seconds. White paper L01."""

    request_id: Integer
    firmware: FirmwareType
    retries: Integer | UnsetType = UNSET
    retry_interval: Integer | UnsetType = UNSET


class SignedUpdateFirmwareConfirmation(Message, frozen=True, kw_only=True):
    """Whether it will be tried, and what was wrong with the certificate. White paper L01."""

    status: UpdateFirmwareStatusEnumType
