"""Frames without their secrets, for everything that is kept or shown. Decision 9 of docs/architecture.md. Pure.

Secret are: the value of the configuration key AuthorizationKey (REQUIREMENTS Z-8) and of vendors' keys whose names say so
(`is_secret`), and the credentials inside URLs that files are fetched from or sent to (3.7), the tokens of our own file room
included.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

import msgspec

from ocppd.errors import ErrorCode
from ocppd.ocppj.frames import CallError, CallResult
from ocppd.v16.configuration_keys import SECRET_ENDINGS, SECRET_MARKS, is_secret
from ocppd.v16.core import ChangeConfigurationRequest
from ocppd.v16.types import ConfigurationStatus, Message

HIDDEN: Final = "***"
#: What is kept of a frame that may hold a secret and cannot be read.
HIDDEN_FRAME: Final = '"***"'
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
#: A token of the file room, in a path or in JSON text.
_TOKEN: Final = re.compile(r"(\\?/files\\?/)[A-Za-z0-9_-]{43}")

_NO_LETTERS: Final = re.compile("[^a-z]+")
_ESCAPED: Final = re.compile(r"\\u([0-9A-Fa-f]{4})")
#: A member and its text, in what need not be JSON: as `"key": "Wifi.Psk"`, or as `\"wifiPsk\": …` inside a text.
_MEMBERS: Final = re.compile(r'"([^"\\]{1,100})\\*"\s*:(?:\s*\\*"([^"\\]{0,100}))?')

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
    letters = _NO_LETTERS.sub("", plain)
    if any(mark in letters for mark in SECRET_MARKS) or any(map(is_secret, _keys_in(plain))):
        return HIDDEN_FRAME
    return without_tokens(frame)


def _keys_in(text: str) -> Iterator[str]:
    """What may be the names of configuration keys: all members, and what `key` says."""
    for name, value in _MEMBERS.findall(text):
        yield value if name == "key" else name


def redact_answer(action: str, frame: str) -> str:
    """A CALLRESULT or CALLERROR to `action` as it may be kept; the same text where it has no secret."""
    if action in URL_MEMBERS:
        return without_tokens(
            _CREDENTIALS_IN_JSON.sub(rf"\1{HIDDEN}@", frame)
        )  # chargers repeat the URL in what they complain of
    if action != "GetConfiguration" or not _may_name_secret(frame):
        return frame
    try:
        elements = _decode(frame)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return HIDDEN_FRAME
    entries = elements[2].get("configurationKey") if isinstance(elements[2], dict) else None
    changed = [_hide_value(entry, "value") for entry in entries] if isinstance(entries, list) else []
    return _encode(elements).decode() if any(changed) else frame


def redact_url(url: str) -> str:
    """A URL of files as it may be kept or shown."""
    return without_tokens(_CREDENTIALS.sub(f"{HIDDEN}@", url))


def without_tokens(text: str) -> str:
    """A path or a frame without the tokens of the file room that are in it."""
    return _TOKEN.sub(rf"\1{HIDDEN}", text)


def _may_name_secret(frame: str) -> bool:
    folded = frame.casefold()
    letters = _NO_LETTERS.sub("", folded)
    return "\\u" in folded or any(mark in letters for mark in (*SECRET_MARKS, *SECRET_ENDINGS))


def changes_secret(request: Message) -> bool:
    """Whether this call of ours gives the charger a secret."""
    return isinstance(request, ChangeConfigurationRequest) and is_secret(request.key)


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
    if not isinstance(entry, dict) or not is_secret(str(entry.get("key", ""))) or member not in entry:
        return False
    entry[member] = HIDDEN
    return True


def _hide_credentials(payload: Any, path: tuple[str, ...]) -> bool:
    for member in path[:-1]:
        payload = payload.get(member) if isinstance(payload, dict) else None
    url = payload.get(path[-1]) if isinstance(payload, dict) else None
    if not isinstance(url, str):
        return False
    payload[path[-1]] = redact_url(url)
    return bool(payload[path[-1]] != url)
