"""Messages of the FirmwareManagement profile: updates and diagnostics. Knows no jobs. OCPP 1.6 sections 4.4, 4.5, 5.9, 5.19.

No request id ties a status to its job: it belongs to the latest job of its kind (REQUIREMENTS 2.3)."""

from __future__ import annotations

from msgspec import UNSET, UnsetType

from ocppd.v16.types import CiString255, DateTime, DiagnosticsStatus, FirmwareStatus, Integer, Message, OptionalDateTime, Uri


class DiagnosticsStatusNotificationRequest(Message, frozen=True, kw_only=True):
    """How far the upload that GetDiagnostics asked for is. Sections 4.4, 6.17."""

    status: DiagnosticsStatus


class DiagnosticsStatusNotificationConfirmation(Message, frozen=True, kw_only=True):
    """Received. Section 6.18."""


class FirmwareStatusNotificationRequest(Message, frozen=True, kw_only=True):
    """How far the update that UpdateFirmware asked for is. Sections 4.5, 6.19."""

    status: FirmwareStatus


class FirmwareStatusNotificationConfirmation(Message, frozen=True, kw_only=True):
    """Received. Section 6.20."""


class GetDiagnosticsRequest(Message, frozen=True, kw_only=True):
    """Upload diagnostics. Sections 5.9, 6.25.

    `location` is the URL of a directory, not of a file. `retries` counts what follows the first attempt (errata 3.50);
    `retry_interval` in seconds. `start_time` and `stop_time` bound what is wanted.
    """

    location: Uri
    retries: Integer | UnsetType = UNSET
    retry_interval: Integer | UnsetType = UNSET
    start_time: OptionalDateTime | UnsetType = UNSET
    stop_time: OptionalDateTime | UnsetType = UNSET


class GetDiagnosticsConfirmation(Message, frozen=True, kw_only=True):
    """The name of the file that will come; without it there is nothing to send. Section 6.26."""

    file_name: CiString255 | UnsetType = UNSET


class UpdateFirmwareRequest(Message, frozen=True, kw_only=True):
    """Fetch and install firmware, from `retrieve_date` on. Sections 5.19, 6.55.

    `retries` counts what follows the first attempt (errata 3.50); `retry_interval` in seconds.
    """

    location: Uri
    retrieve_date: DateTime
    retries: Integer | UnsetType = UNSET
    retry_interval: Integer | UnsetType = UNSET


class UpdateFirmwareConfirmation(Message, frozen=True, kw_only=True):
    """Received; FirmwareStatusNotification tells the rest. Section 6.56."""
