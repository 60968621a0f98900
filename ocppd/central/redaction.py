"""Frames without their secrets, for everything that is kept or shown. Decision 9 of docs/architecture.md. Pure.

Secret are: the value of the configuration key AuthorizationKey (REQUIREMENTS Z-8), and the credentials inside URLs
that files are fetched from or sent to (3.7).
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any, Final

import msgspec

from ocppd.errors import ErrorCode
from ocppd.ocppj.frames import CallError, CallResult
from ocppd.v16.core import ChangeConfigurationRequest
from ocppd.v16.types import ConfigurationStatus, Message

HIDDEN: Final = "***"
#: What is kept of a frame that may hold a secret and cannot be read.
HIDDEN_FRAME: Final = '"***"'
SECRET_KEYS: Final = frozenset({"authorizationkey"})
#: Where a URL may carry credentials, per action, as a path of member names.
URL_MEMBERS: Final[dict[str, tuple[str, ...]]] = {
    "GetDiagnostics": ("location",),
    "UpdateFirmware": ("location",),
    "GetLog": ("log", "remoteLocation"),
    "SignedUpdateFirmware": ("firmware", "location"),
}
_CREDENTIALS: Final = re.compile(r"(?<=://)[^/?#]*@")
#: The same inside JSON text, where a slash may be escaped.
_CREDENTIALS_IN_JSON: Final = re.compile(r'(:(?:\\?/){2})[^/?#"\\]*@')
_ESCAPED: Final = re.compile(r"\\u([0-9A-Fa-f]{4})")

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder(decimal_format="number").encode


def redact_call(action: str, frame: str) -> str:
    """A CALL frame as it may be kept; the same text where it has no secret."""
    if action != "ChangeConfiguration" and action not in URL_MEMBERS:
        return frame
    try:
        elements = _decode(frame)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):  # a charger's own frame may be anything
        return HIDDEN_FRAME
    payload = elements[3]
    if action == "ChangeConfiguration":
        changed = _hide_value(payload, "value")
    else:
        changed = _hide_credentials(payload, URL_MEMBERS[action])
    return _encode(elements).decode() if changed else frame


def redact_raw(action: str, frame: str) -> str:
    """A frame of a charger that may be anything, as it may be kept: nothing of one that names a secret's key is."""
    frame = _CREDENTIALS_IN_JSON.sub(rf"\1{HIDDEN}@", redact_call(action, frame))
    plain = _ESCAPED.sub(lambda found: chr(int(found[1], 16)), frame).casefold()
    return HIDDEN_FRAME if any(key in plain for key in SECRET_KEYS) else frame


def redact_answer(action: str, frame: str) -> str:
    """A CALLRESULT or CALLERROR to `action` as it may be kept; the same text where it has no secret."""
    if action in URL_MEMBERS:
        return _CREDENTIALS_IN_JSON.sub(rf"\1{HIDDEN}@", frame)  # chargers repeat the URL in what they complain of
    if action != "GetConfiguration" or not _may_name_secret(frame):
        return frame
    try:
        elements = _decode(frame)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return HIDDEN_FRAME
    entries = elements[2].get("configurationKey") if isinstance(elements[2], dict) else None
    changed = [_hide_value(entry, "value") for entry in entries] if isinstance(entries, list) else []
    return _encode(elements).decode() if any(changed) else frame


def _may_name_secret(frame: str) -> bool:
    folded = frame.casefold()
    return "\\u" in folded or any(key in folded for key in SECRET_KEYS)


def changes_secret(request: Message) -> bool:
    """Whether this call of ours gives the charger a secret."""
    return isinstance(request, ChangeConfigurationRequest) and request.key.strip().casefold() in SECRET_KEYS


def without_texts(result: CallResult | CallError) -> CallResult | CallError:
    """The answer to such a call with nothing in it that could repeat the secret: a status, or an error code."""
    if isinstance(result, CallError):
        return replace(result, code=result.code if result.code in set(ErrorCode) else HIDDEN, description="", details={})
    try:
        status = _decode(result.payload).get("status")
        known = ConfigurationStatus(status)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, AttributeError, ValueError):
        return replace(result, payload=b"{}")
    return replace(result, payload=_encode({"status": str(known)}))


def _hide_value(entry: Any, member: str) -> bool:
    if not isinstance(entry, dict) or str(entry.get("key", "")).strip().casefold() not in SECRET_KEYS or member not in entry:
        return False
    entry[member] = HIDDEN
    return True


def _hide_credentials(payload: Any, path: tuple[str, ...]) -> bool:
    for member in path[:-1]:
        payload = payload.get(member) if isinstance(payload, dict) else None
    url = payload.get(path[-1]) if isinstance(payload, dict) else None
    if not isinstance(url, str):
        return False
    payload[path[-1]] = _CREDENTIALS.sub(f"{HIDDEN}@", url)
    return bool(payload[path[-1]] != url)
