"""The daemon's log: one event as a line of text or as a JSON object, to where twistd's own options say.

Knows no room. Values reach a line only as keywords of an event, and keywords that name a secret are never written.
What chargers send may hold line breaks and terminal sequences: a line of the log cannot be forged with them.

The log of a worker goes through a pipe to its supervisor, one physical line per event, which already names the worker;
`Relay` passes it on as it is.
"""

from __future__ import annotations

import io
import json
import math
import os
import re
import select
import signal
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from string import Formatter as FormatParser
from typing import IO, Any, cast

from twisted.logger import (
    FileLogObserver,
    FilteringLogObserver,
    ILogObserver,
    LogEvent,
    Logger,
    LogLevel,
    PredicateResult,
    formatEvent,
)
from twisted.python.logfile import LogFile

from ocppd.errors import StartFailed

#: Keywords whose values no log may hold, whoever logs them.
SECRET_KEYWORDS = frozenset(
    {"authorization", "authorization_key", "password", "passwords", "secret", "secret_key", "database", "token", "api_key"}
)
SECRET = "[secret]"
#: Members of a JSON line that keywords of an event cannot replace.
OWN_MEMBERS = frozenset({"time", "level", "namespace", "message", "failure"})
#: Keywords of twisted's old log module, which repeat what the new one has.
LEGACY_KEYWORDS = frozenset({"message", "isError", "system", "time", "format", "failure", "why"})
#: Lines of the libraries that are no operator's business: written as `debug`, whatever their own level is.
DEMOTED = tuple(
    re.compile(pattern)
    for pattern in (
        r"(Starting|Stopping) factory ",
        r"\S+( \(TLS\))? starting on \d+$",
        r"\((TCP|UDP|UNIX|TLS) Port .* Closed\)$",
        r"failing WebSocket opening handshake",
        r"dropping connection to peer ",
        r"failing WebSocket connection ",
        r"Timing out client: ",
        r"Forcibly timing out client: ",
    )
)
#: The keyword of an event that is a finished line of a worker's log.
RELAYED = "ocppd_relayed"
#: Stands for a line feed within an event on the way from a worker: no event has one of its own, see `_CONTROLS`.
EVENT_BREAK = "\x1e"
#: How a line of `text_line` and of `json_line` begins, up to its level.
LEVELS = {
    "text": re.compile(r"\d{4}-\d\d-\d\dT[0-9:.]+Z (\w+) +"),
    "json": re.compile(r'\{"time": "[^"]+", "level": "(\w+)", .*\}$'),
}
#: C0 and C1 controls but the line feed, which becomes an indented line; half surrogates cannot be encoded at all.
_CONTROLS = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")

#: Formats of lines that are taken apart once; those of the code are fewer.
FORMATS_KEPT = 1_000

Formatter = Callable[[LogEvent], str | None]


def text_line(event: LogEvent) -> str:
    """`time level namespace: message`, further lines indented, and the traceback of a failure. `worker` is `[2]`."""
    if RELAYED in event:
        return f"{event[RELAYED]}\n"
    message = f"[{event['worker']}] {_message(event)}" if "worker" in event else _message(event)
    failure = _traceback(event)
    text = f"{message}\n{failure}" if failure and message else failure or message
    return f"{_time(event)} {_level(event).name:<8} {_namespace(event)}: {_harmless(text)}\n"


def json_line(event: LogEvent) -> str:
    """One JSON object: time, level, namespace, message, then the plain keywords of the event, `failure` last."""
    if RELAYED in event:
        return f"{event[RELAYED]}\n"
    line: dict[str, Any] = {
        "time": _time(event),
        "level": _level(event).name,
        "namespace": _namespace(event),
        "message": _message(event),
    }
    for key, value in event.items():
        if not key.startswith("log_") and key not in OWN_MEMBERS and not (key in LEGACY_KEYWORDS and "isError" in event):
            plain = _plain(key, value)
            if plain is not None:
                line[key] = plain
    failure = _traceback(event)
    if failure:
        line["failure"] = failure
    return json.dumps(line) + "\n"


FORMATTERS: Mapping[str, Formatter] = {"text": text_line, "json": json_line}


def important(level: str) -> Callable[[LogEvent], Any]:
    """A predicate for events of `level` (a name of twisted.logger.LogLevel) and above, demoted ones as `debug`."""
    least = LogLevel.lookupByName(level)

    def predicate(event: LogEvent) -> Any:
        if RELAYED in event:  # its worker has the same least level
            return PredicateResult.yes
        found = LogLevel.debug if _demoted(event) else _level(event)
        return PredicateResult.maybe if found >= least else PredicateResult.no

    return predicate


def make_observer(
    twistd: Mapping[str, Any],
    log_format: str,
    level: str,
    call_from_thread: Callable[[Callable[[], None]], object],
    worker: int | None = None,
) -> ILogObserver:
    """The observer for twistd's options `syslog`, `prefix`, `logfile` and `nodaemon`, opened.

    SIGUSR1 rotates a log file, in the thread of `call_from_thread`, unless somebody else handles it already.
    `worker` is the number of this process among those of a supervisor, which reads its stdout.
    Raises StartFailed where the file cannot be opened.
    """
    formatter = FORMATTERS[log_format]
    observer: Any
    if worker is not None:
        # The supervisor reads UTF-8, whatever the locale is.
        observer = FileLogObserver(_stdout("utf-8"), _of_worker(formatter, worker))
    elif twistd.get("syslog"):
        observer = _syslog_observer(str(twistd.get("prefix") or ""), formatter)
    else:
        observer = FileLogObserver(_open(twistd, call_from_thread), formatter)
    predicate: Any = important(level)
    return cast(ILogObserver, FilteringLogObserver(observer, [predicate]))


class Relay:
    """Writes lines of workers into the log of this process."""

    _log = Logger()

    def __init__(self, log_format: str) -> None:
        self._level = LEVELS[log_format]

    def line(self, worker: int, line: str) -> None:
        """A line of a worker's stdout: as it is, where it is of its log; else as a warning, for nobody wrote it on purpose."""
        found = self._level.match(line)
        if found is None or found[1] not in _LEVEL_NAMES:
            self.stray(worker, line)
        else:
            level = LogLevel.lookupByName(found[1])
            self._log.emit(level, "{ocppd_relayed}", ocppd_relayed=line.replace(EVENT_BREAK, "\n"))

    def stray(self, worker: int, line: str) -> None:
        """A line that is not of a log."""
        if line.strip():
            self._log.warn("{line}", line=line, worker=worker)


_LEVEL_NAMES = frozenset(level.name for level in LogLevel.iterconstants())


def _of_worker(formatter: Formatter, worker: int) -> Formatter:
    def named(event: LogEvent) -> str | None:
        line = formatter({**event, "worker": worker})
        return line and line[:-1].replace("\n", EVENT_BREAK) + "\n"

    return named


class Stdout(io.TextIOBase):
    """The stdout of the process, without Python's buffers: those drop a part of a long line when a signal interrupts it."""

    def __init__(self, descriptor: int, encoding: str) -> None:
        self._descriptor = descriptor
        self._encoding = encoding

    def write(self, text: str) -> int:
        """Write all of it. Raises OSError, such as BrokenPipeError."""
        data = memoryview(text.encode(self._encoding, "backslashreplace"))
        while data:
            try:
                data = data[os.write(self._descriptor, data) :]
            except BlockingIOError:  # somebody who has the same terminal has made it so
                select.select([], [self._descriptor], [])
        return len(text)


def _stdout(encoding: str | None = None) -> IO[Any]:
    """stdout as it is now; in a test it may be no file."""
    try:
        return cast(IO[Any], Stdout(sys.stdout.fileno(), encoding or sys.stdout.encoding))
    except io.UnsupportedOperation:
        return sys.stdout


def _open(twistd: Mapping[str, Any], call_from_thread: Callable[[Callable[[], None]], object]) -> IO[Any]:
    """The stream of the log, chosen as twistd chooses it."""
    name = twistd.get("logfile")
    foreground = bool(twistd.get("nodaemon"))
    if name == "-" and not foreground:
        raise StartFailed("a daemon cannot log to stdout; leave out --logfile=- or add -n")
    if foreground and name in (None, "", "-"):
        return _stdout()
    path = name or "twistd.log"
    try:
        logfile = LogFile.fromFullPath(path)
    except OSError as error:
        raise StartFailed(f"the log file {path} cannot be opened: {error.strerror}") from None
    if not signal.getsignal(signal.SIGUSR1):
        signal.signal(signal.SIGUSR1, lambda _number, _frame: call_from_thread(logfile.rotate))
    return cast(IO[Any], logfile)


def _syslog_observer(prefix: str, formatter: Formatter) -> Callable[[LogEvent], None]:
    """An observer that hands finished lines to syslog, which adds its own time."""
    from twisted.python.syslog import SyslogObserver  # there is no syslog module on some platforms

    syslog: Any = SyslogObserver(prefix)

    def observe(event: LogEvent) -> None:
        line = formatter(event)
        if line:
            is_error = _level(event) >= LogLevel.error
            syslog.emit({"message": (line.rstrip("\n"),), "isError": is_error, "system": _namespace(event)})

    return observe


def _demoted(event: LogEvent) -> bool:
    text = event.get("log_text") or event.get("log_format")
    return isinstance(text, str) and _noise(text) and _level(event) < LogLevel.error


@lru_cache(maxsize=FORMATS_KEPT)
def _noise(text: str) -> bool:
    return any(pattern.match(text) for pattern in DEMOTED)


def _message(event: LogEvent) -> str:
    """The message, secrets replaced before anything is formatted."""
    if not SECRET_KEYWORDS.isdisjoint(event):
        event = {key: SECRET if key in SECRET_KEYWORDS else value for key, value in event.items()}
    message = _plainly(event)
    return formatEvent(event) if message is None else message


@lru_cache(maxsize=FORMATS_KEPT)
def _parts(log_format: str) -> tuple[tuple[str, str | None], ...] | None:
    """Texts, each with the keyword whose value follows it; None where there is more to this format than plain names."""
    try:
        parts = tuple(FormatParser().parse(log_format))
    except ValueError:
        return None
    plain = all(name is None or (name.isidentifier() and not (spec or conversion)) for _, name, spec, conversion in parts)
    return tuple((text, name) for text, name, _, _ in parts) if plain else None


def _plainly(event: LogEvent) -> str | None:
    """What `formatEvent` makes of an event of texts and numbers, in a fifth of the time; None of any other."""
    log_format = event.get("log_format")
    parts = _parts(log_format) if type(log_format) is str else None
    if parts is None or "log_flattened" in event:
        return None
    message = []
    for text, name in parts:
        message.append(text)
        if name is not None:
            value = event.get(name)
            if type(value) is int:
                value = str(value)
            elif type(value) is not str:
                return None
            message.append(value)
    return "".join(message)


def _level(event: LogEvent) -> Any:
    return event.get("log_level") or LogLevel.info


def _namespace(event: LogEvent) -> str:
    return str(event.get("log_namespace") or "-")


def _time(event: LogEvent) -> str:
    """RFC 3339 in UTC with milliseconds."""
    fraction, second = math.modf(event.get("log_time") or 0)
    # As `datetime` does: of the whole in microseconds a float has no halves left.
    more, micros = divmod(round(fraction * 1_000_000), 1_000_000)
    return f"{_second(int(second) + more)}.{micros // 1000:03}Z"


@lru_cache(maxsize=2)
def _second(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _traceback(event: LogEvent) -> str:
    failure = event.get("log_failure")
    if failure is None:
        return ""
    try:
        return str(failure.getTraceback()).rstrip("\n")
    except Exception as error:  # a user's exception may fail in its own __str__
        return f"(the traceback cannot be shown: {type(error).__name__})"


def _plain(key: str, value: Any) -> str | int | float | bool | None:
    """The value where JSON can hold it as it is; None leaves it out."""
    if key in SECRET_KEYWORDS:
        return SECRET
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, int):
        # Python refuses to write integers of thousands of digits.
        return value if abs(value) < 2**64 else None
    return value if isinstance(value, str) else None


def _harmless(text: str) -> str:
    return _CONTROLS.sub(lambda found: f"\\x{ord(found[0]):02x}", text).replace("\n", "\n\t")
