"""What an operator decides, as frozen values. Knows no file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any


class Mode(StrEnum):
    """How a charger's messages are read (REQUIREMENTS 0.2)."""

    TOLERANT = "tolerant"
    STRICT = "strict"


#: The repairs that can be switched; a test compares them with `ocppd.v16.repairs`, which this room does not know.
REPAIR_NAMES = (
    *("unknown-member", "null", "blank", "whole-number", "decimal-text", "number-as-text", "structure-as-text"),
    *("boolean-text", "truncate", "clean", "spelling", "neutral", "sample-attribute", "beyond-64-bit"),
    *("fill-connector", "fill-id-tag", "fill-meter-start", "fill-meter-stop", "fill-transaction", "fill-timestamp"),
    *("fill-value", "fill-list", "drop-item", "drop-member", "shed-values"),
)


class Registration(StrEnum):
    """The verdict on a charger's boot (OCPP 1.6 section 7.38)."""

    ACCEPTED = "Accepted"
    PENDING = "Pending"
    REJECTED = "Rejected"


class CertificatePolicy(StrEnum):
    """Who decides about a charger's request for a certificate that passes the checks (REQUIREMENTS Q-1)."""

    AUTOMATIC = "automatic"
    MANUAL = "manual"


class CertificateName(StrEnum):
    """What the common name in a charger's request for a certificate must be (REQUIREMENTS Q-1, Y-6)."""

    SERIAL_NUMBER = "serialNumber"
    ANY = "any"


class UnknownIdTags(StrEnum):
    """What becomes of an id tag that nobody configured."""

    ACCEPT = "accept"
    REFUSE = "refuse"


class Handshake(StrEnum):
    """What a handshake without a common subprotocol gets: 400, or 101 and close 1002 (REQUIREMENTS W-2)."""

    REFUSE = "refuse"
    SPEC = "spec"


class LogFormat(StrEnum):
    """Lines for people or one JSON object per line."""

    TEXT = "text"
    JSON = "json"


class LogLevel(StrEnum):
    """The least important level that is written."""

    DEBUG = "debug"
    INFO = "info"
    WARN = "warn"
    ERROR = "error"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargerSettings:
    """One charger of configs.json. `authorization` is its Basic password in bytes, None where it needs none."""

    name: str
    authorization: bytes | None = field(default=None, repr=False)
    heartbeat_interval_s: int = 300
    #: Among many it is told a little less, so that not all of them beat together (REQUIREMENTS C-5).
    spread_heartbeats: bool = True
    registration: Registration = Registration.ACCEPTED
    #: How long a charger that is not accepted is to wait before it boots again (REQUIREMENTS B-1).
    retry_interval_s: int = 60
    mode: Mode = Mode.TOLERANT
    #: Complete a handshake that offers no subprotocol at all (REQUIREMENTS W-3).
    assume_subprotocol: bool = False
    call_timeout_s: float = 30
    #: 0 sends no pings.
    ping_interval_s: float = 60
    #: Nothing is sent to it that nobody asked for (REQUIREMENTS B-8).
    quiet: bool = False
    #: Without a boot on record it is accepted by whatever it sends (REQUIREMENTS B-5).
    accept_without_boot: bool = False
    #: Between a phase and neutral, and the phases it is connected to: what A and W are converted by. None: nobody has said.
    supply_voltage_v: int | None = None
    supply_phases: int = 3
    #: As an operator knows it; else it is what the charger tells at its boot (REQUIREMENTS Y-6).
    serial_number: str | None = None
    certificate_policy: CertificatePolicy = CertificatePolicy.AUTOMATIC
    certificate_name: CertificateName = CertificateName.SERIAL_NUMBER
    #: Ask for the configuration after the boot of another machine or firmware.
    read_configuration: bool = True
    #: Repairs of its messages that are switched on or off (docs/operations.md).
    repairs: Mapping[str, bool] = field(default_factory=dict)
    #: What operators find it by.
    tags: tuple[str, ...] = ()
    #: It has a password in the records, which comes before `authorization`.
    protected: bool = False

    @property
    def needs_password(self) -> bool:
        """Whether nobody gets in by this name without a password."""
        return self.protected or self.authorization is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSettings:
    """What holds for chargers of a model: patterns with `*` and `?`, compared ignoring case with what their boots say."""

    vendor: str = "*"
    model: str = "*"
    repairs: Mapping[str, bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class IdTagSettings:
    """One id tag of configs.json, as written there; `expiry_date` is ISO 8601, 0 for a limit any number."""

    id_tag: str
    status: str = "Accepted"
    parent_id_tag: str | None = None
    expiry_date: str | None = None
    max_active_transactions: int = 1
    group_max_active_transactions: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionSettings:
    """How many days records are kept; None is for ever. Of meter values it is how long all of them are kept."""

    messages_days: int | None = None
    statuses_days: int | None = None
    quarantine_days: int | None = None
    meter_values_days: int | None = None
    #: Of older meter values one element of each such interval is kept.
    meter_value_interval_s: int = 900


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """configs.json. `id_tags` has lower-case keys, because tags are compared ignoring case (REQUIREMENTS G-3)."""

    max_queue_size: int = 50
    #: The organization in certificates of chargers (REQUIREMENTS Q-1); None is not compared.
    cpo_name: str | None = None
    #: How long certificates of chargers hold.
    certificate_days: int = 365
    chargers: Mapping[str, ChargerSettings] = field(default_factory=dict)
    #: What holds for chargers that do not say otherwise, by the members of their settings.
    common: Mapping[str, Any] = field(default_factory=dict)
    id_tags: Mapping[str, IdTagSettings] = field(default_factory=dict)
    #: Repairs that are switched for all chargers; then those of a model, then those of a charger.
    repairs: Mapping[str, bool] = field(default_factory=dict)
    models: tuple[ModelSettings, ...] = ()
    retention: RetentionSettings = field(default_factory=RetentionSettings)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The options of the daemon with the environment behind them.

    `port` is a number or the description of a Twisted server endpoint; `config` and the path of an SQLite `database` are
    absolute; a charger path starts with a slash and ends without one. `unknown_id_tags` is None where nobody has decided.
    """

    config: Path
    #: An SQLAlchemy URL; it may hold a password.
    database: str = field(repr=False)
    port: str = "9033"
    #: `module.Class` of the user's handlers.
    handlers: str | None = None
    charger_paths: tuple[str, ...] = ("/ocppj/1.6",)
    unknown_id_tags: UnknownIdTags | None = None
    #: Whom to ask about id tags that nobody here knows: a URL, which may hold a password (REQUIREMENTS A-5).
    authorizer: str | None = field(default=None, repr=False)
    authorizer_timeout_s: float = 2.0
    authorizer_failure: UnknownIdTags = UnknownIdTags.REFUSE
    handshake: Handshake = Handshake.REFUSE
    log_format: LogFormat = LogFormat.TEXT
    log_level: LogLevel = LogLevel.INFO
    gateway_may_call: bool = False
    secret_key: str | None = field(default=None, repr=False)
    #: A `redis:`, `rediss:` or `redis+sentinel:` URL where there are several nodes; it may hold a password.
    redis: str | None = field(default=None, repr=False)
    #: Processes that share the port; of more than one, this process is the supervisor.
    workers: int = 1
    #: What this node is called in the HTTP API; None names it after its host and port.
    node: str | None = None
    #: Start on a PostgreSQL server that may lose what it has committed.
    unsafe_database: bool = False
    #: The directory of the certificate authority; None where there is none.
    ca: Path | None = None
    #: Over how many seconds the chargers' connections are closed when the daemon stops; 0 closes them at once.
    drain_s: float = 0.0
    #: The directory of the file room; None: beside the database, where that is a file, and none otherwise.
    files: Path | None = None
    #: Where chargers reach us, `http:` or `https:`; None: as each of them has found us.
    public_url: str | None = None
    #: What a file may have, in MiB.
    upload_limit_mib: int = 100
    #: For how long what chargers have sent is kept, in days, and how much of the disk all files may take, in GiB.
    keep_files_days: int = 90
    files_limit_gib: int = 10
