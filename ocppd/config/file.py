"""configs.json, read and checked.

An error names the key by its path, such as `Chargers[2].HeartBeatInterval`, says what belongs there, and never shows the
value of a secret. The keys that the seed project knows (`MaxQueueSize`, `Chargers[{Name, Authorization,
HeartBeatInterval}]`) work unchanged.
"""

from __future__ import annotations

import difflib
import json
import os
import stat
import unicodedata
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, NoReturn

from ocppd.config.retention import retention_of
from ocppd.config.values import (
    REPAIR_NAMES,
    CertificateName,
    CertificatePolicy,
    ChargerSettings,
    Configuration,
    IdTagSettings,
    Mode,
    ModelSettings,
    Registration,
)
from ocppd.errors import ConfigurationError

#: A file beyond this is no configuration; 64 MiB hold several hundred thousand chargers.
MAX_FILE_BYTES = 64 * 1024 * 1024
#: REQUIREMENTS U-3: a name must fit into one segment of a URL path.
MAX_NAME_LENGTH = 255
#: OCPP 1.6 section 7.15: an IdToken has at most 20 characters.
MAX_ID_TAG_LENGTH = 20
#: REQUIREMENTS B-1: below 10 s heartbeats are a load, above a day they prove nothing.
HEARTBEAT_INTERVAL_BOUNDS_S = (10, 86400)
#: REQUIREMENTS B-1, of a charger that is not accepted: soon where an operator is about to set it up, else hardly ever.
PENDING_INTERVAL_S = 60
REJECTED_INTERVAL_S = 3600
RETRY_INTERVAL_BOUNDS_S = (1, 86400)
MAX_QUEUE_SIZE_BOUNDS = (1, 100_000)
#: REQUIREMENTS S-5: mobile links need up to 120 s; an hour is beyond any charger's patience.
CALL_TIMEOUT_BOUNDS_S = (0.1, 3600)
PING_INTERVAL_BOUNDS_S = (1, 86400)
#: Between a phase and neutral, from what a bus or a boat has to what a fast charger has.
SUPPLY_VOLTAGE_BOUNDS_V = (50, 1000)
SUPPLY_PHASES_BOUNDS = (1, 3)
#: A certificate that is renewed every day is trouble every day; ten years are beyond any charger's key.
CERTIFICATE_DAYS_BOUNDS = (1, 3650)
#: What operators find a charger by.
MAX_TAGS = 20
MAX_TAG_LENGTH = 50
#: OCPP 1.6 section 6.3: chargePointSerialNumber.
MAX_SERIAL_NUMBER_LENGTH = 25
#: RFC 5280, appendix A: an organization name.
MAX_CPO_NAME_LENGTH = 64
#: AuthorizationStatus without ConcurrentTx, which is a verdict on a start and no property of a tag (REQUIREMENTS L-4).
ID_TAG_STATUSES = ("Accepted", "Blocked", "Expired", "Invalid")
MAX_ACTIVE_LIMIT = 1_000_000
#: Marks a password that is given as bytes (REQUIREMENTS Z-1: it need not be UTF-8).
HEX_PREFIX = "hex:"
#: A key from the file is shown up to here in an error.
MAX_SHOWN_KEY = 40

#: Keys that are true or false, and their settings.
FLAGS = {
    "AssumeSubprotocol": "assume_subprotocol",
    "Quiet": "quiet",
    "AcceptWithoutBoot": "accept_without_boot",
    "ReadConfiguration": "read_configuration",
    "SpreadHeartBeats": "spread_heartbeats",
}
#: What holds for every charger that does not say otherwise.
COMMON_KEYS = ("Quiet", "AcceptWithoutBoot", "ReadConfiguration", "SpreadHeartBeats", "CertificatePolicy", "CertificateName")
CONFIGURATION_KEYS = (
    *("MaxQueueSize", "Chargers", "IdTags", "CpoName", "CertificateDays", "Repairs", "Models", "Retention"),
    *COMMON_KEYS,
)
CHARGER_KEYS = (
    *("Name", "Authorization", "HeartBeatInterval", "Registration", "RetryInterval"),
    *("Mode", "AssumeSubprotocol", "CallTimeout", "PingInterval"),
    *("SupplyVoltage", "SupplyPhases", "SerialNumber", "Repairs", "Tags"),
    *COMMON_KEYS,
)
MODEL_KEYS = ("Vendor", "Model", "Repairs")
MAX_PATTERN_LENGTH = 100
_PATTERNS = {"vendor": "Vendor", "model": "Model"}
ID_TAG_KEYS = ("IdTag", "Status", "ParentIdTag", "ExpiryDate", "MaxActiveTransactions", "GroupMaxActiveTransactions")
EXAMPLE = '{"Chargers": [{"Name": "CP001"}]}'


class _Members(dict[str, Any]):
    """A JSON object that remembers the keys it was given twice."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        counts = Counter(key for key, _ in pairs) if len(self) < len(pairs) else {}
        self.repeated = [key for key, count in counts.items() if count > 1]


@dataclass(frozen=True, slots=True)
class _Node:
    """A JSON value, the file it is from and the path that names it there."""

    file: str
    path: str
    value: Any

    def fail(self, expected: str) -> NoReturn:
        raise ConfigurationError(self.path, expected, self.file)

    def member(self, key: str) -> _Node:
        shown = key if len(key) <= MAX_SHOWN_KEY else key[:MAX_SHOWN_KEY] + "…"
        name = shown if shown.isidentifier() else json.dumps(shown)
        path = f"{self.path}.{name}" if self.path else name
        return _Node(self.file, path, self.value.get(key))

    def members(self, known: tuple[str, ...]) -> Mapping[str, _Node]:
        """The members that are there. Fails on one that is not known or stands twice."""
        if not isinstance(self.value, _Members):
            self.fail(f"expected an object with {', '.join(known)}, found {_kind(self.value)}")
        for key in self.value.repeated:
            self.member(key).fail("this key stands here twice")
        for key in self.value:
            if key not in known:
                self.member(key).fail(f"there is no such key{_suggestion(key, known)}")
        return {key: self.member(key) for key in self.value}

    def items(self) -> list[_Node]:
        if not isinstance(self.value, list):
            self.fail(f"expected a list, found {_kind(self.value)}")
        return [_Node(self.file, f"{self.path}[{index}]", item) for index, item in enumerate(self.value)]

    def text(self) -> str:
        if not isinstance(self.value, str):
            self.fail(f"expected text, found {_kind(self.value)}")
        if any("\ud800" <= character <= "\udfff" for character in self.value):
            self.fail("expected text that UTF-8 can hold, found half of a surrogate pair")
        return self.value

    def short_text(self, longest: int) -> str:
        text = self.text()
        if not 1 <= len(text) <= longest:
            self.fail(f"expected 1 to {longest} characters, found {len(text)}")
        if any(unicodedata.category(character) == "Cc" for character in text):
            self.fail("expected text without control characters")
        return text

    def flag(self) -> bool:
        if not isinstance(self.value, bool):
            self.fail(f"expected true or false, found {_kind(self.value)}")
        return self.value

    def integer(self, lowest: int, highest: int) -> int:
        expected = f"expected an integer from {lowest} to {highest}"
        if isinstance(self.value, bool) or not isinstance(self.value, int):
            self.fail(f"{expected}, found {_kind(self.value)}")
        if not lowest <= self.value <= highest:
            self.fail(f"{expected}, found another number")
        return self.value

    def seconds(self, lowest: float, highest: float, *, zero: bool = False) -> float:
        expected = f"expected a number of seconds from {lowest:g} to {highest:g}" + (", or 0 for off" if zero else "")
        if isinstance(self.value, bool) or not isinstance(self.value, int | float):
            self.fail(f"{expected}, found {_kind(self.value)}")
        if not (lowest <= self.value <= highest or (zero and self.value == 0)):
            self.fail(f"{expected}, found another number")
        return self.value

    def choice(self, values: tuple[str, ...]) -> str:
        if self.value not in values:
            hint = _suggestion(self.value, values) if isinstance(self.value, str) else f", found {_kind(self.value)}"
            self.fail(f"expected one of {', '.join(values)}{hint}")
        return str(self.value)


def load_configuration(path: Path) -> Configuration:
    """Read the configuration from the file at `path`, blocking. Raises ConfigurationError."""
    root = _Node(str(path), "", _parse(path, _read(path)))
    found = root.members(CONFIGURATION_KEYS)
    if "Chargers" not in found:
        root.member("Chargers").fail(f"this key is missing; a small example of the whole file is {EXAMPLE}")
    queue, days = found.get("MaxQueueSize"), found.get("CertificateDays")
    common = _common({key: found[key] for key in COMMON_KEYS if key in found})
    return Configuration(
        max_queue_size=queue.integer(*MAX_QUEUE_SIZE_BOUNDS) if queue else Configuration().max_queue_size,
        cpo_name=found["CpoName"].short_text(MAX_CPO_NAME_LENGTH).strip() or None if "CpoName" in found else None,
        certificate_days=days.integer(*CERTIFICATE_DAYS_BOUNDS) if days else Configuration().certificate_days,
        chargers=_chargers(found["Chargers"], common),
        common=MappingProxyType(common),
        id_tags=_id_tags(found["IdTags"]) if "IdTags" in found else MappingProxyType({}),
        repairs=_repairs(found["Repairs"]) if "Repairs" in found else MappingProxyType({}),
        models=tuple(_model(item) for item in found["Models"].items()) if "Models" in found else (),
        retention=retention_of(found["Retention"]) if "Retention" in found else Configuration().retention,
    )


def _repairs(node: _Node) -> Mapping[str, bool]:
    return MappingProxyType({name: switch.flag() for name, switch in node.members(REPAIR_NAMES).items()})


def _model(node: _Node) -> ModelSettings:
    found = node.members(MODEL_KEYS)
    if "Vendor" not in found and "Model" not in found:
        node.fail("expected Vendor or Model; what is meant for all chargers stands under Repairs")
    patterns = {name: found[key].short_text(MAX_PATTERN_LENGTH) for name, key in _PATTERNS.items() if key in found}
    return ModelSettings(**patterns, repairs=_repairs(_required(node, found, "Repairs")))


def _read(path: Path) -> bytes:
    """The bytes of the file, its size checked first."""
    file = str(path)
    try:
        # A FIFO or a device would block or never end, so its kind is asked before it is read.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as opened:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise ConfigurationError("", "this is not a file", file)
            data = opened.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        hint = f"there is no such file; --config names another, and a small one to begin with is {EXAMPLE}"
        raise ConfigurationError("", hint, file) from None
    except IsADirectoryError:
        raise ConfigurationError("", "this is not a file", file) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ConfigurationError("", f"cannot be read: {reason}", file) from None
    if len(data) > MAX_FILE_BYTES:
        raise ConfigurationError("", f"larger than {MAX_FILE_BYTES // 1024**2} MiB", file)
    return data


def _parse(path: Path, data: bytes) -> Any:
    """The JSON value of the file; objects become `_Members`."""
    file = str(path)
    try:
        return json.loads(data.decode("utf-8-sig"), object_pairs_hook=_Members, parse_constant=_refuse_constant)
    except UnicodeDecodeError as error:
        raise ConfigurationError("", f"is not UTF-8: byte {error.start + 1}", file) from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise ConfigurationError("", f"is not JSON: {where}: {error.msg}", file) from None
    except RecursionError:
        raise ConfigurationError("", "is nested too deeply", file) from None
    except ValueError as error:
        raise ConfigurationError("", f"is not JSON: {error}", file) from None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def _common(found: Mapping[str, _Node]) -> dict[str, Any]:
    """What stands under COMMON_KEYS, for all chargers or for one."""
    given: dict[str, Any] = {setting: found[key].flag() for key, setting in FLAGS.items() if key in found}
    if "CertificatePolicy" in found:
        given["certificate_policy"] = CertificatePolicy(found["CertificatePolicy"].choice(tuple(CertificatePolicy)))
    if "CertificateName" in found:
        given["certificate_name"] = CertificateName(found["CertificateName"].choice(tuple(CertificateName)))
    return given


def _chargers(node: _Node, common: Mapping[str, Any]) -> Mapping[str, ChargerSettings]:
    chargers: dict[str, ChargerSettings] = {}
    for item in node.items():
        charger = _charger(item, common)
        if charger.name in chargers:
            item.member("Name").fail("another charger has this name already")
        chargers[charger.name] = charger
    return MappingProxyType(chargers)


def _charger(node: _Node, common: Mapping[str, Any]) -> ChargerSettings:
    """`common` is what holds where the charger does not say otherwise."""
    found = node.members(CHARGER_KEYS)
    given: dict[str, Any] = {**common, **_common(found)}
    if "Authorization" in found:
        given["authorization"] = _password(found["Authorization"])
    if "HeartBeatInterval" in found:
        given["heartbeat_interval_s"] = found["HeartBeatInterval"].integer(*HEARTBEAT_INTERVAL_BOUNDS_S)
    if "Registration" in found:
        given["registration"] = Registration(found["Registration"].choice(tuple(Registration)))
    given["retry_interval_s"] = retry_interval_s(given.get("registration", Registration.ACCEPTED))
    if "RetryInterval" in found:
        given["retry_interval_s"] = found["RetryInterval"].integer(*RETRY_INTERVAL_BOUNDS_S)
    if "Mode" in found:
        given["mode"] = Mode(found["Mode"].choice(tuple(Mode)))
    if "CallTimeout" in found:
        given["call_timeout_s"] = found["CallTimeout"].seconds(*CALL_TIMEOUT_BOUNDS_S)
    if "PingInterval" in found:
        given["ping_interval_s"] = found["PingInterval"].seconds(*PING_INTERVAL_BOUNDS_S, zero=True)
    if "SupplyVoltage" in found:
        given["supply_voltage_v"] = found["SupplyVoltage"].integer(*SUPPLY_VOLTAGE_BOUNDS_V)
    if "SupplyPhases" in found:
        given["supply_phases"] = found["SupplyPhases"].integer(*SUPPLY_PHASES_BOUNDS)
    if "SerialNumber" in found:
        given["serial_number"] = found["SerialNumber"].short_text(MAX_SERIAL_NUMBER_LENGTH)
    if "Repairs" in found:
        given["repairs"] = _repairs(found["Repairs"])
    if "Tags" in found:
        given["tags"] = _tags(found["Tags"])
    return ChargerSettings(name=_name(_required(node, found, "Name")), **given)


def retry_interval_s(registration: Registration) -> int:
    """How long a charger that is so registered is to wait where nobody says."""
    return REJECTED_INTERVAL_S if registration is Registration.REJECTED else PENDING_INTERVAL_S


def _tags(node: _Node) -> tuple[str, ...]:
    tags = tuple(item.short_text(MAX_TAG_LENGTH) for item in node.items())
    if len(tags) > MAX_TAGS or len(set(tags)) < len(tags):
        node.fail(f"expected at most {MAX_TAGS} tags, each once")
    return tags


def _required(node: _Node, found: Mapping[str, _Node], key: str) -> _Node:
    if key not in found:
        node.member(key).fail("this key is missing")
    return found[key]


def is_routable(name: str) -> bool:
    """Whether a name can be a part of URLs (REQUIREMENTS U-3)."""
    return "/" not in name and "\\" not in name and name not in (".", "..")


def _name(node: _Node) -> str:
    """A charger's name by REQUIREMENTS U-3."""
    name = node.short_text(MAX_NAME_LENGTH)
    if not is_routable(name):
        node.fail("expected a name without / and \\ that is not . or .. (it becomes a part of URLs)")
    return name


def _password(node: _Node) -> bytes | None:
    """The bytes of a password, None for the empty one. No error shows any of it."""
    text = node.text()
    if not text.startswith(HEX_PREFIX):
        return text.encode() or None
    digits = text.removeprefix(HEX_PREFIX)
    if not digits or len(digits) % 2 or not all(digit in "0123456789abcdefABCDEF" for digit in digits):
        node.fail(f"expected pairs of hexadecimal digits after {HEX_PREFIX}")
    return bytes.fromhex(digits)


def _id_tags(node: _Node) -> Mapping[str, IdTagSettings]:
    id_tags: dict[str, IdTagSettings] = {}
    for item in node.items():
        id_tag = _id_tag(item)
        key = id_tag.id_tag.lower()
        if key in id_tags:
            item.member("IdTag").fail("this tag stands here twice (upper and lower case are the same)")
        id_tags[key] = id_tag
    return MappingProxyType(id_tags)


def _id_tag(node: _Node) -> IdTagSettings:
    found = node.members(ID_TAG_KEYS)
    limit, group_limit = found.get("MaxActiveTransactions"), found.get("GroupMaxActiveTransactions")
    return IdTagSettings(
        id_tag=_required(node, found, "IdTag").short_text(MAX_ID_TAG_LENGTH),
        status=found["Status"].choice(ID_TAG_STATUSES) if "Status" in found else "Accepted",
        parent_id_tag=found["ParentIdTag"].short_text(MAX_ID_TAG_LENGTH) if "ParentIdTag" in found else None,
        expiry_date=_date(found["ExpiryDate"]) if "ExpiryDate" in found else None,
        max_active_transactions=1 if limit is None else limit.integer(0, MAX_ACTIVE_LIMIT),
        group_max_active_transactions=0 if group_limit is None else group_limit.integer(0, MAX_ACTIVE_LIMIT),
    )


def _date(node: _Node) -> str:
    text = node.text()
    try:
        moment = datetime.fromisoformat(text.strip())
        (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        node.fail("expected a date and time such as 2027-01-31T12:00:00Z, of the years 1 to 9999 in UTC")
    return text


def _kind(value: Any) -> str:
    """What a JSON value is, without saying which."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    return {str: "text", list: "a list", int: "a number", float: "a number"}.get(type(value), "an object")


def _suggestion(given: str, known: tuple[str, ...]) -> str:
    """`; did you mean …?`, or nothing."""
    lowered = {name.lower(): name for name in known}
    close = difflib.get_close_matches(given[:MAX_NAME_LENGTH].lower(), lowered, n=1)
    return f"; did you mean {lowered[close[0]]}?" if close else f" (known: {', '.join(known)})"
