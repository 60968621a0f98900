"""The values that messages of OCPP 1.6 share: text types, integers, enumerations and objects. Section 7.

Knows no actions. A struct validates when it is decoded, never when it is constructed; what a struct cannot say (the limits
of the text) is in the `extra` of its annotations and read by `ocppd.v16.validation`.

The bounds in `Meta` are those of the fast way, which reads what chargers send: 64-bit integers are seen (REQUIREMENTS M-4).
`extra` holds the limits for what we send: integers are 32-bit signed (G-6), connector ids and lists have a minimum.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, TypeVar

from msgspec import UNSET, Meta, Struct, UnsetType

from ocppd.v16.enums import (
    AuthorizationStatus,
    AvailabilityStatus,
    AvailabilityType,
    CancelReservationStatus,
    ChargePointErrorCode,
    ChargePointStatus,
    ChargingProfileKindType,
    ChargingProfilePurposeType,
    ChargingProfileStatus,
    ChargingRateUnitType,
    ClearCacheStatus,
    ClearChargingProfileStatus,
    ConfigurationStatus,
    DataTransferStatus,
    DiagnosticsStatus,
    FirmwareStatus,
    GetCompositeScheduleStatus,
    Location,
    Measurand,
    MessageTrigger,
    Phase,
    ReadingContext,
    Reason,
    RecurrencyKindType,
    RegistrationStatus,
    RemoteStartStopStatus,
    ReservationStatus,
    ResetStatus,
    ResetType,
    TriggerMessageStatus,
    UnitOfMeasure,
    UnlockStatus,
    UpdateStatus,
    UpdateType,
    ValueFormat,
)
from ocppd.v16.security_enums import (
    CertificateSignedStatusEnumType,
    CertificateUseEnumType,
    DeleteCertificateStatusEnumType,
    FirmwareStatusEnumType,
    GenericStatusEnumType,
    GetInstalledCertificateStatusEnumType,
    HashAlgorithmEnumType,
    InstallCertificateStatusEnumType,
    LogEnumType,
    LogStatusEnumType,
    MessageTriggerEnumType,
    TriggerMessageStatusEnumType,
    UpdateFirmwareStatusEnumType,
    UploadLogStatusEnumType,
)

_Item = TypeVar("_Item")

INT32_MIN, INT32_MAX = -(2**31), 2**31 - 1
INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1

CiString20 = Annotated[str, Meta(max_length=20)]
CiString25 = Annotated[str, Meta(max_length=25)]
CiString50 = Annotated[str, Meta(max_length=50)]
CiString255 = Annotated[str, Meta(max_length=255)]
CiString500 = Annotated[str, Meta(max_length=500)]
#: Text of any length whose content is the vendors' affair (D-2).
FreeText = Annotated[str, Meta(extra={"format": "free"})]

#: An id tag: at most 20 characters, compared without case (G-3). Section 7.28.
IdToken = Annotated[str, Meta(max_length=20)]
#: The same where it may be left out: empty text is not an id tag (G-5).
OptionalIdToken = Annotated[str, Meta(min_length=1, max_length=20)]

String40 = Annotated[str, Meta(max_length=40)]
String50 = Annotated[str, Meta(max_length=50)]
String128 = Annotated[str, Meta(max_length=128)]
String255 = Annotated[str, Meta(max_length=255)]
String512 = Annotated[str, Meta(max_length=512)]
String800 = Annotated[str, Meta(max_length=800)]
String5500 = Annotated[str, Meta(max_length=5500)]
String10000 = Annotated[str, Meta(max_length=10000)]

#: An instant as it was written; `ocppd.v16.timestamps.parse_timestamp` reads it (G-1).
DateTime = Annotated[str, Meta(extra={"format": "date-time"})]
#: The same where it may be left out: empty text is not an instant (G-5).
OptionalDateTime = Annotated[str, Meta(min_length=1, extra={"format": "date-time"})]
Uri = Annotated[str, Meta(extra={"format": "uri"})]

Integer = Annotated[int, Meta(ge=INT64_MIN, le=INT64_MAX)]
NonNegative = Annotated[int, Meta(ge=INT64_MIN, le=INT64_MAX, extra={"minimum": 0})]
#: 0 is the charger as a whole or its main meter, depending on the action (G-11).
ConnectorId = Annotated[int, Meta(ge=INT64_MIN, le=INT64_MAX, extra={"minimum": 0})]
PhysicalConnectorId = Annotated[int, Meta(ge=INT64_MIN, le=INT64_MAX, extra={"minimum": 1})]

#: A list that the text of the specification wants to hold at least one item.
NonEmpty = Annotated[tuple[_Item, ...], Meta(extra={"min_items": 1})]


class Message(Struct, frozen=True, kw_only=True, rename="camel", gc=False, forbid_unknown_fields=True):
    """The base of all messages and objects: frozen, keywords only, camelCase on the wire.

    Optional members are UNSET when they are left out. `gc=False`: frozen values cannot form cycles.
    """


class IdTagInfo(Message, frozen=True, kw_only=True):
    """Our verdict about an id tag. Section 7.27.

    `expiry_date` is the moment until which the charger may cache it; `parent_id_tag` names the group and is given
    whenever there is one, with a refused tag too (REQUIREMENTS A-2).
    """

    status: AuthorizationStatus
    expiry_date: OptionalDateTime | UnsetType = UNSET
    parent_id_tag: OptionalIdToken | UnsetType = UNSET


class SampledValue(Message, frozen=True, kw_only=True):
    """One measured value. Section 7.43.

    `value` is text: a decimal number for RAW, hex for SIGNED_DATA (REQUIREMENTS M-3). Defaults of absent members: M-2.
    """

    value: str
    context: ReadingContext | UnsetType = UNSET
    format: ValueFormat | UnsetType = UNSET
    measurand: Measurand | UnsetType = UNSET
    phase: Phase | UnsetType = UNSET
    location: Location | UnsetType = UNSET
    unit: UnitOfMeasure | UnsetType = UNSET


class MeterValue(Message, frozen=True, kw_only=True):
    """The samples of one moment; several phases, locations and measurands may share it. Section 7.33."""

    timestamp: DateTime
    sampled_value: NonEmpty[SampledValue]


class ChargingSchedulePeriod(Message, frozen=True, kw_only=True):
    """From `start_period` (seconds after the start of the schedule) on, draw at most `limit`. Section 7.14.

    `limit` is in the unit of the schedule with one fraction digit (REQUIREMENTS G-7); `number_phases` absent means 3.
    """

    start_period: Integer
    limit: Decimal
    number_phases: Integer | UnsetType = UNSET


class ChargingSchedule(Message, frozen=True, kw_only=True):
    """A series of limits over time. Section 7.13.

    `duration` is in seconds, absent means until the last period is replaced; `min_charging_rate` has one fraction
    digit. `start_schedule` is left out for relative profiles and in GetCompositeSchedule.conf (errata 3.57).
    """

    charging_rate_unit: ChargingRateUnitType
    charging_schedule_period: NonEmpty[ChargingSchedulePeriod]
    duration: Integer | UnsetType = UNSET
    start_schedule: OptionalDateTime | UnsetType = UNSET
    min_charging_rate: Decimal | UnsetType = UNSET


class ChargingProfile(Message, frozen=True, kw_only=True):
    """A schedule, with what it limits and when. Section 7.8.

    `transaction_id` goes with TX_PROFILE alone and never into a RemoteStartTransaction; `recurrency_kind` goes with
    RECURRING alone (errata 3.56); a higher `stack_level` wins. Validity applies to all purposes (errata 3.65).
    """

    charging_profile_id: Integer
    stack_level: NonNegative
    charging_profile_purpose: ChargingProfilePurposeType
    charging_profile_kind: ChargingProfileKindType
    charging_schedule: ChargingSchedule
    transaction_id: Integer | UnsetType = UNSET
    recurrency_kind: RecurrencyKindType | UnsetType = UNSET
    valid_from: OptionalDateTime | UnsetType = UNSET
    valid_to: OptionalDateTime | UnsetType = UNSET


class KeyValue(Message, frozen=True, kw_only=True):
    """One configuration key of a charger. Section 7.29.

    `value` is left out where the key has none, or may not be shown. Keys compare without case (REQUIREMENTS G-3).
    """

    key: CiString50
    readonly: bool
    value: CiString500 | UnsetType = UNSET


class AuthorizationData(Message, frozen=True, kw_only=True):
    """One entry of a local list. Section 7.1.

    Without `id_tag_info`, an entry of a differential update deletes the tag; a full update needs it in every entry.
    """

    id_tag: IdToken
    id_tag_info: IdTagInfo | UnsetType = UNSET


class CertificateHashDataType(Message, frozen=True, kw_only=True):
    """What identifies a certificate in a charger: hashes as in RFC 6960, in hex. White paper M03, M04.

    `serial_number` is hex without leading zeros; chargers of edition 2 differ (REQUIREMENTS Q-6).
    """

    hash_algorithm: HashAlgorithmEnumType
    issuer_name_hash: String128
    issuer_key_hash: String128
    serial_number: String40


class LogParametersType(Message, frozen=True, kw_only=True):
    """Where a log is uploaded to, and the time span it covers. White paper N01."""

    remote_location: String512
    oldest_timestamp: OptionalDateTime | UnsetType = UNSET
    latest_timestamp: OptionalDateTime | UnsetType = UNSET


class FirmwareType(Message, frozen=True, kw_only=True):
    """A signed firmware: where it is, when to fetch and install it, and what proves it. White paper L01.

    `signing_certificate` is PEM without intermediates; `signature` is base64 over the SHA-256 of the file.
    """

    location: String512
    retrieve_date_time: DateTime
    signing_certificate: String5500
    signature: String800
    install_date_time: OptionalDateTime | UnsetType = UNSET


__all__ = [
    "INT32_MAX",
    "INT32_MIN",
    "INT64_MAX",
    "INT64_MIN",
    "AuthorizationData",
    "AuthorizationStatus",
    "AvailabilityStatus",
    "AvailabilityType",
    "CancelReservationStatus",
    "CertificateHashDataType",
    "CertificateSignedStatusEnumType",
    "CertificateUseEnumType",
    "ChargePointErrorCode",
    "ChargePointStatus",
    "ChargingProfile",
    "ChargingProfileKindType",
    "ChargingProfilePurposeType",
    "ChargingProfileStatus",
    "ChargingRateUnitType",
    "ChargingSchedule",
    "ChargingSchedulePeriod",
    "CiString20",
    "CiString25",
    "CiString50",
    "CiString255",
    "CiString500",
    "ClearCacheStatus",
    "ClearChargingProfileStatus",
    "ConfigurationStatus",
    "ConnectorId",
    "DataTransferStatus",
    "DateTime",
    "DeleteCertificateStatusEnumType",
    "DiagnosticsStatus",
    "FirmwareStatus",
    "FirmwareStatusEnumType",
    "FirmwareType",
    "FreeText",
    "GenericStatusEnumType",
    "GetCompositeScheduleStatus",
    "GetInstalledCertificateStatusEnumType",
    "HashAlgorithmEnumType",
    "IdTagInfo",
    "IdToken",
    "InstallCertificateStatusEnumType",
    "Integer",
    "KeyValue",
    "Location",
    "LogEnumType",
    "LogParametersType",
    "LogStatusEnumType",
    "Measurand",
    "Message",
    "MessageTrigger",
    "MessageTriggerEnumType",
    "MeterValue",
    "NonEmpty",
    "NonNegative",
    "OptionalDateTime",
    "OptionalIdToken",
    "Phase",
    "PhysicalConnectorId",
    "ReadingContext",
    "Reason",
    "RecurrencyKindType",
    "RegistrationStatus",
    "RemoteStartStopStatus",
    "ReservationStatus",
    "ResetStatus",
    "ResetType",
    "SampledValue",
    "String40",
    "String50",
    "String128",
    "String255",
    "String512",
    "String800",
    "String5500",
    "String10000",
    "TriggerMessageStatus",
    "TriggerMessageStatusEnumType",
    "UnitOfMeasure",
    "UnlockStatus",
    "UpdateFirmwareStatusEnumType",
    "UpdateStatus",
    "UpdateType",
    "UploadLogStatusEnumType",
    "Uri",
    "ValueFormat",
]
