"""What a charger does with the commands of the security extension. White paper A02, L01, M03 to M05, N01 and section 5."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from msgspec import UNSET, UnsetType

from ocppd.simulator import commands_more
from ocppd.simulator.certificates import read_pem
from ocppd.simulator.machine import Machine
from ocppd.v16 import security
from ocppd.v16.types import (
    CertificateSignedStatusEnumType,
    GetInstalledCertificateStatusEnumType,
    InstallCertificateStatusEnumType,
    LogStatusEnumType,
    MessageTriggerEnumType,
    TriggerMessageStatusEnumType,
    UpdateFirmwareStatusEnumType,
)


def certificate_signed(charger: Machine, request: security.CertificateSignedRequest) -> security.CertificateSignedConfirmation:
    """Taken where its key is ours, and shown from the next connection on; else a security event (REQUIREMENTS Q-4)."""
    status = charger.certificates.signed(request.certificate_chain)
    if status is CertificateSignedStatusEnumType.ACCEPTED:
        charger.certificate_pem = charger.certificates.own_pem
    else:
        charger.security_event("InvalidChargePointCertificate")
    return security.CertificateSignedConfirmation(status=status)


def delete_certificate(charger: Machine, request: security.DeleteCertificateRequest) -> security.DeleteCertificateConfirmation:
    """The root that the hash data name is gone (white paper M04)."""
    return security.DeleteCertificateConfirmation(status=charger.certificates.delete(request.certificate_hash_data))


def get_installed_certificate_ids(
    charger: Machine, request: security.GetInstalledCertificateIdsRequest
) -> security.GetInstalledCertificateIdsConfirmation:
    """NotFound where there is none of that use (white paper M03)."""
    found = charger.certificates.installed(request.certificate_type)
    status = GetInstalledCertificateStatusEnumType.ACCEPTED if found else GetInstalledCertificateStatusEnumType.NOT_FOUND
    return security.GetInstalledCertificateIdsConfirmation(status=status, certificate_hash_data=found or UNSET)


def install_certificate(charger: Machine, request: security.InstallCertificateRequest) -> security.InstallCertificateConfirmation:
    """Rejected, with a security event, where it cannot be read or the store is full (white paper M05)."""
    status = charger.certificates.install(request.certificate_type, request.certificate)
    if status is not InstallCertificateStatusEnumType.ACCEPTED:
        charger.security_event("InvalidCentralSystemCertificate")
    return security.InstallCertificateConfirmation(status=status)


def get_log(charger: Machine, request: security.GetLogRequest) -> security.GetLogConfirmation:
    """AcceptedCanceled where an upload was under way; Rejected for a location that is no URL (white paper N01)."""
    if not urlsplit(request.log.remote_location).scheme:
        return security.GetLogConfirmation(status=LogStatusEnumType.REJECTED)
    before = charger.jobs.is_running("log")
    charger.afterwards(lambda: charger.jobs.begin("log", charger.jobs.upload_log(request)))
    return security.GetLogConfirmation(
        status=LogStatusEnumType.ACCEPTED_CANCELED if before else LogStatusEnumType.ACCEPTED,
        filename=f"{request.log_type}-{request.request_id}.log",
    )


def signed_update_firmware(
    charger: Machine, request: security.SignedUpdateFirmwareRequest
) -> security.SignedUpdateFirmwareConfirmation:
    """InvalidCertificate, with a security event, where the signing certificate cannot be read (REQUIREMENTS V-2)."""
    if len(read_pem(request.firmware.signing_certificate)) != 1:
        charger.security_event("InvalidFirmwareSigningCertificate")
        return security.SignedUpdateFirmwareConfirmation(status=UpdateFirmwareStatusEnumType.INVALID_CERTIFICATE)
    before = charger.jobs.is_running("firmware")
    charger.afterwards(lambda: charger.jobs.begin("firmware", charger.jobs.update_signed_firmware(request)))
    status = UpdateFirmwareStatusEnumType.ACCEPTED_CANCELED if before else UpdateFirmwareStatusEnumType.ACCEPTED
    return security.SignedUpdateFirmwareConfirmation(status=status)


def extended_trigger_message(
    charger: Machine, request: security.ExtendedTriggerMessageRequest
) -> security.ExtendedTriggerMessageConfirmation:
    """As TriggerMessage, with the messages of the security extension (REQUIREMENTS V-12)."""
    follow_up = _TRIGGERS[request.requested_message]
    accepted = commands_more.may_trigger(charger, request.requested_message, request.connector_id)
    if accepted:
        charger.afterwards(lambda: follow_up(charger, request.connector_id))
    return security.ExtendedTriggerMessageConfirmation(
        status=TriggerMessageStatusEnumType.ACCEPTED if accepted else TriggerMessageStatusEnumType.REJECTED
    )


def _sign(charger: Machine, _: int | UnsetType) -> None:
    """SignCertificate with a new key (white paper A02)."""
    csr = charger.certificates.request(charger.serial_number, charger.configuration.text("CpoName"))
    commands_more.follow_with(charger, security.SignCertificateRequest(csr=csr))


_TRIGGERS: dict[MessageTriggerEnumType, Callable[[Machine, int | UnsetType], None]] = {
    MessageTriggerEnumType.BOOT_NOTIFICATION: commands_more.trigger_boot,
    MessageTriggerEnumType.HEARTBEAT: commands_more.trigger_heartbeat,
    MessageTriggerEnumType.METER_VALUES: commands_more.trigger_meter_values,
    MessageTriggerEnumType.STATUS_NOTIFICATION: commands_more.trigger_statuses,
    MessageTriggerEnumType.SIGN_CHARGE_POINT_CERTIFICATE: _sign,
    MessageTriggerEnumType.LOG_STATUS_NOTIFICATION: lambda charger, _: commands_more.follow_with(
        charger, charger.jobs.log_message()
    ),
    MessageTriggerEnumType.FIRMWARE_STATUS_NOTIFICATION: lambda charger, _: commands_more.follow_with(
        charger, charger.jobs.signed_firmware_message()
    ),
}

COMMANDS: dict[str, Callable[[Machine, Any], Any]] = {
    "CertificateSigned": certificate_signed,
    "DeleteCertificate": delete_certificate,
    "ExtendedTriggerMessage": extended_trigger_message,
    "GetInstalledCertificateIds": get_installed_certificate_ids,
    "GetLog": get_log,
    "InstallCertificate": install_certificate,
    "SignedUpdateFirmware": signed_update_firmware,
}
