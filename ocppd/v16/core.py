"""Messages of the Core profile, both ways. Knows no handlers. OCPP 1.6 sections 4, 5 and 6.

Those a charger sends come first, then the DataTransfer that both send, then ours."""

from __future__ import annotations

from msgspec import UNSET, UnsetType

from ocppd.v16.types import (
    AvailabilityStatus,
    AvailabilityType,
    ChargePointErrorCode,
    ChargePointStatus,
    ChargingProfile,
    CiString20,
    CiString25,
    CiString50,
    CiString255,
    CiString500,
    ClearCacheStatus,
    ConfigurationStatus,
    ConnectorId,
    DataTransferStatus,
    DateTime,
    FreeText,
    IdTagInfo,
    IdToken,
    Integer,
    KeyValue,
    Message,
    MeterValue,
    NonEmpty,
    OptionalDateTime,
    OptionalIdToken,
    PhysicalConnectorId,
    Reason,
    RegistrationStatus,
    RemoteStartStopStatus,
    ResetStatus,
    ResetType,
    UnlockStatus,
)


class AuthorizeRequest(Message, frozen=True, kw_only=True):
    """A charger asks whether a tag may start or stop; it reserves nothing. Sections 4.1, 6.1."""

    id_tag: IdToken


class AuthorizeConfirmation(Message, frozen=True, kw_only=True):
    """Our verdict, for every tag; never CONCURRENT_TX (REQUIREMENTS A-1). Section 6.2."""

    id_tag_info: IdTagInfo


class BootNotificationRequest(Message, frozen=True, kw_only=True):
    """A charger has started and tells what it is. Sections 4.2, 6.3.

    `charge_box_serial_number` is deprecated and still sent widely. Who it is, the connection says, not these members (U-6).
    """

    charge_point_vendor: CiString20
    charge_point_model: CiString20
    charge_point_serial_number: CiString25 | UnsetType = UNSET
    charge_box_serial_number: CiString25 | UnsetType = UNSET
    firmware_version: CiString50 | UnsetType = UNSET
    iccid: CiString20 | UnsetType = UNSET
    imsi: CiString20 | UnsetType = UNSET
    meter_type: CiString25 | UnsetType = UNSET
    meter_serial_number: CiString25 | UnsetType = UNSET


class BootNotificationConfirmation(Message, frozen=True, kw_only=True):
    """Whether we take the charger, with our clock. Section 6.4.

    `interval` in seconds: ACCEPTED, between heartbeats; else the least wait before the next boot, 0 lets it choose (B-1).
    """

    status: RegistrationStatus
    current_time: DateTime
    interval: Integer


class HeartbeatRequest(Message, frozen=True, kw_only=True):
    """A charger is alive and wants to know the time. Sections 4.6, 6.29."""


class HeartbeatConfirmation(Message, frozen=True, kw_only=True):
    """Our clock, which the charger takes over. Section 6.30."""

    current_time: DateTime


class MeterValuesRequest(Message, frozen=True, kw_only=True):
    """Samples, of a transaction or not. Sections 4.7, 6.31.

    `transaction_id` may be -1 (errata 3.18); 0 and more than 32 bits are seen (REQUIREMENTS M-4). Connector 0 is the main meter.
    """

    connector_id: ConnectorId
    meter_value: NonEmpty[MeterValue]
    transaction_id: Integer | UnsetType = UNSET


class MeterValuesConfirmation(Message, frozen=True, kw_only=True):
    """Received, whatever it held (REQUIREMENTS M-1). Section 6.32."""


class StartTransactionRequest(Message, frozen=True, kw_only=True):
    """Energy may flow; perhaps hours ago. Sections 4.8, 6.45.

    `meter_start` is the energy register in Wh, usually of a lifetime, never assumed to be 0 (REQUIREMENTS T-11).
    """

    connector_id: PhysicalConnectorId
    id_tag: IdToken
    meter_start: Integer
    timestamp: DateTime
    reservation_id: Integer | UnsetType = UNSET


class StartTransactionConfirmation(Message, frozen=True, kw_only=True):
    """The transaction's number and our verdict, for refused tags too (REQUIREMENTS T-1). Section 6.46.

    `transaction_id` is positive, 32-bit and never used before; never -1 or 0 (errata 3.54).
    """

    id_tag_info: IdTagInfo
    transaction_id: Integer


class StatusNotificationRequest(Message, frozen=True, kw_only=True):
    """The state of a connector changed, or is reported again. Sections 4.9, 6.47.

    An `error_code` with a status other than FAULTED is a warning. Without `timestamp`, the receipt counts (N-1).
    """

    connector_id: ConnectorId
    error_code: ChargePointErrorCode
    status: ChargePointStatus
    info: CiString50 | UnsetType = UNSET
    timestamp: OptionalDateTime | UnsetType = UNSET
    vendor_id: CiString255 | UnsetType = UNSET
    vendor_error_code: CiString50 | UnsetType = UNSET


class StatusNotificationConfirmation(Message, frozen=True, kw_only=True):
    """Received. Section 6.48."""


class StopTransactionRequest(Message, frozen=True, kw_only=True):
    """A transaction has ended; we cannot prevent it. Sections 4.10, 6.49.

    `meter_stop` in Wh. `transaction_id` is -1 when the charger never saw our answer to its start (errata 3.18). `reason`
    absent means LOCAL (J-errata 2.5). `id_tag` is who stopped it.
    """

    meter_stop: Integer
    timestamp: DateTime
    transaction_id: Integer
    id_tag: OptionalIdToken | UnsetType = UNSET
    reason: Reason | UnsetType = UNSET
    transaction_data: tuple[MeterValue, ...] | UnsetType = UNSET


class StopTransactionConfirmation(Message, frozen=True, kw_only=True):
    """Received; `id_tag_info` only where the request had an `id_tag` (REQUIREMENTS T-20). Section 6.50."""

    id_tag_info: IdTagInfo | UnsetType = UNSET


class DataTransferRequest(Message, frozen=True, kw_only=True):
    """A vendor's extension, either way. Sections 4.3, 5.6, 6.15.

    `data` is text of any length; JSON in it is text too (REQUIREMENTS D-2).
    """

    vendor_id: CiString255
    message_id: CiString50 | UnsetType = UNSET
    data: FreeText | UnsetType = UNSET


class DataTransferConfirmation(Message, frozen=True, kw_only=True):
    """What became of it; `data` is the answer, as text. Section 6.16."""

    status: DataTransferStatus
    data: FreeText | UnsetType = UNSET


class ChangeAvailabilityRequest(Message, frozen=True, kw_only=True):
    """Take a connector in or out of service; 0 is the charger with all connectors. Sections 5.2, 6.7."""

    connector_id: ConnectorId
    type: AvailabilityType


class ChangeAvailabilityConfirmation(Message, frozen=True, kw_only=True):
    """Done, refused, or waiting for a transaction to end. Section 6.8."""

    status: AvailabilityStatus


class ChangeConfigurationRequest(Message, frozen=True, kw_only=True):
    """Set one key; the value is text whatever its type, and may be empty. Sections 5.3, 6.9."""

    key: CiString50
    value: CiString500


class ChangeConfigurationConfirmation(Message, frozen=True, kw_only=True):
    """Whether the key exists and took the value. Section 6.10."""

    status: ConfigurationStatus


class ClearCacheRequest(Message, frozen=True, kw_only=True):
    """Forget all cached verdicts about tags. Sections 5.4, 6.11."""


class ClearCacheConfirmation(Message, frozen=True, kw_only=True):
    """Whether there was a cache to forget. Section 6.12."""

    status: ClearCacheStatus


class GetConfigurationRequest(Message, frozen=True, kw_only=True):
    """Read keys; none named, or an empty list, means all. Sections 5.8, 6.23."""

    key: tuple[CiString50, ...] | UnsetType = UNSET


class GetConfigurationConfirmation(Message, frozen=True, kw_only=True):
    """The keys that are known with their values, and the names of those that are not. Section 6.24."""

    configuration_key: tuple[KeyValue, ...] | UnsetType = UNSET
    unknown_key: tuple[CiString50, ...] | UnsetType = UNSET


class RemoteStartTransactionRequest(Message, frozen=True, kw_only=True):
    """Start for this tag. Sections 5.11, 6.33.

    `connector_id` left out lets the charger choose. A profile in it is a TX_PROFILE without `transaction_id` (errata 3.41).
    """

    id_tag: IdToken
    connector_id: PhysicalConnectorId | UnsetType = UNSET
    charging_profile: ChargingProfile | UnsetType = UNSET


class RemoteStartTransactionConfirmation(Message, frozen=True, kw_only=True):
    """Whether the charger will try; the start itself comes as StartTransaction. Section 6.34."""

    status: RemoteStartStopStatus


class RemoteStopTransactionRequest(Message, frozen=True, kw_only=True):
    """Stop this transaction. Sections 5.12, 6.35."""

    transaction_id: Integer


class RemoteStopTransactionConfirmation(Message, frozen=True, kw_only=True):
    """Whether the charger knows the transaction and will stop it. Section 6.36."""

    status: RemoteStartStopStatus


class ResetRequest(Message, frozen=True, kw_only=True):
    """Start again. Sections 5.14, 6.39."""

    type: ResetType


class ResetConfirmation(Message, frozen=True, kw_only=True):
    """Whether it will; a BootNotification shows that it did. Section 6.40."""

    status: ResetStatus


class UnlockConnectorRequest(Message, frozen=True, kw_only=True):
    """Release the plug; a running transaction is ended first. Sections 5.18, 6.53."""

    connector_id: PhysicalConnectorId


class UnlockConnectorConfirmation(Message, frozen=True, kw_only=True):
    """Whether the plug is released. Section 6.54."""

    status: UnlockStatus
