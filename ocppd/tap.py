"""`twistd ocppd`: the options and the way from them to the service. Start reading here.

The only module that takes the global reactor, and only inside `makeService`. Each option has an environment variable
of the same meaning; the option wins. What is wrong with them is one line on stderr and exit status 1.
"""

from __future__ import annotations

import difflib
import os
import re
import sys
from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar, TypeVar, cast
from urllib.parse import urlsplit

from twisted.application.service import IService
from twisted.logger import ILogObserver
from twisted.python import usage

from ocppd.clock import make_steady
from ocppd.config import Handshake, LogFormat, LogLevel, Settings, UnknownIdTags
from ocppd.config.file_room import FILE_ROOM_OPTIONS
from ocppd.errors import StartFailed
from ocppd.observe.logs import make_observer
from ocppd.startup import Daemon, check_twistd, one_line
from ocppd.version import version
from ocppd.workers.given import Given, forget_given, read_given

DEFAULT_PORT = "9033"
DEFAULT_CONFIG = "configs.json"
DEFAULT_DATABASE_FILE = "ocppd.sqlite"
#: What encrypts passwords of chargers must not be guessed.
SECRET_KEY_LENGTH = 16
#: More processes than any machine of today has cores for.
MOST_WORKERS = 256
LONGEST_DRAIN_S = 3600
#: REQUIREMENTS A-5: a charger waits for its answer.
AUTHORIZER_BOUNDS_S = (0.1, 3.0)
DEFAULT_CHARGER_PATH = "/ocppj/1.6"
ENDPOINT = "tcp:9033:interface=127.0.0.1"

EXAMPLE = """
Further environment variables:
  OCPPD_SECRET_KEY        encrypts secrets of queued commands in the database
                          (default: a key file beside an SQLite database)
  OCPPD_OPEN_API=gateway  the gateway of a container's network may call the
                          HTTP API, too (default: this machine alone)

Signals:
  SIGHUP                  read the configuration again, and the certificates of
                          an ssl: endpoint
  SIGUSR2                 with --workers: restart them one after another
  SIGTERM, SIGINT         stop; a second one ends what is left of --drain

A socket that systemd hands over is served where no --port is given; with
--workers as many as there are workers.

Example:
  echo '{"Chargers": [{"Name": "CP001"}]}' > configs.json
  twistd -n ocppd --port 9033 --config configs.json

Chargers then connect to ws://<this host>:9033/ocppj/1.6/CP001. Without -n
twistd becomes a daemon that logs to twistd.log; see twistd --help.
"""

_PATH = re.compile(r"(?:/[A-Za-z0-9._~!$&'()*+,;=:@%-]+)+")
_BETWEEN_PATHS = re.compile(r",\s*(?=/)")  # a comma within a path belongs to it
#: No URL: for a Service named ocppd Kubernetes sets OCPPD_PORT to tcp://10.0.0.1:9033.
_ENDPOINT = re.compile(r"(?:unix:|[a-z][a-z0-9_-]*:(?!//)).*", re.DOTALL)
#: module:Class, package.module.Class, path/to/file.py:Class.
_HANDLERS = re.compile(r"(?:[^\W\d]\w*(?:\.[^\W\d]\w*)*|.+\.py):[^\W\d]\w*|[^\W\d]\w*(?:\.[^\W\d]\w*)+", re.DOTALL)
_DATABASE = re.compile(r"[a-z][a-z0-9+_]*://.*", re.DOTALL)
_REDIS = re.compile(r"(?:redis|rediss|rediss?\+sentinel)://.+", re.DOTALL)
_NODE = re.compile(r"[A-Za-z0-9._:/-]{1,64}")
_SQLITE_FILE = re.compile(r"(?P<scheme>sqlite(?:\+\w+)?:///)(?P<path>[^/:?][^?]*)(?P<query>\?.*)?", re.DOTALL)

_SQLITE_ABSOLUTE = re.compile(r"sqlite(?:\+\w+)?:///(?P<path>/[^?]+)(?:\?.*)?", re.DOTALL)

E = TypeVar("E", bound=StrEnum)


def _variable(option: str) -> str:
    return "OCPPD_" + option.upper().replace("-", "_")


def _option(name: str, short: str | None, default: str, help_text: str) -> list[str | None]:
    """A parameter as `usage.Options` wants it; its true default is None, so that the environment can come between."""
    return [name, short, None, f"{help_text} Environment: {_variable(name)}. [default: {default}]"]


class Options(usage.Options):
    """The options of `twistd ocppd`. After parsing, `settings` holds them checked."""

    #: Where options that were not given are looked for.
    environ: Mapping[str, str] = os.environ

    optParameters: ClassVar[list[list[str | None]]] = [
        _option("port", "p", DEFAULT_PORT, f"Port for chargers and operators, or a Twisted server endpoint such as {ENDPOINT}."),
        _option("config", "c", DEFAULT_CONFIG, "The configuration file."),
        _option("database", "d", f"sqlite:///{DEFAULT_DATABASE_FILE}", "Where records are kept: an SQLAlchemy URL."),
        _option(
            "redis",
            None,
            "none",
            "Connects several nodes over one PostgreSQL database: redis://host:6379/0, rediss:// for TLS, or "
            "redis+sentinel://host:26379,host:26379/0?service=name.",
        ),
        _option("workers", "w", "1", "Processes that share the port and are watched over; more than 1 need --redis."),
        _option("node", None, "host:port", "What this node is called in the HTTP API."),
        _option("drain", None, "0", "Seconds over which the chargers' connections are closed when the daemon stops."),
        _option(
            "handlers",
            None,
            "none",
            "A class of yours that extends CentralSystemHandlers: module:Class, package.module.Class or path/to/file.py:Class; "
            "the directory of the configuration file is searched first.",
        ),
        _option("unknown-id-tags", None, "refuse once any is known", "accept or refuse id tags that nobody knows."),
        _option("authorizer", None, "none", "A URL that is asked, by POST, about id tags that nobody here knows."),
        _option("authorizer-timeout", None, "2", "Seconds to wait for its verdict, up to 3."),
        _option("authorizer-failure", None, "refuse", "accept or refuse those tags while it gives no verdict."),
        _option("ca", None, "beside the SQLite database", "The directory of the authority that signs chargers' certificates."),
        *(_option(each.name, None, each.default, each.help_text) for each in FILE_ROOM_OPTIONS),
        _option("handshake", None, "refuse", "Without a common subprotocol: refuse (HTTP 400) or spec (open, then close)."),
        _option("log-format", None, "text", "text or json lines."),
        _option("log-level", None, "info", "debug, info, warn, error or critical."),
    ]

    optFlags: ClassVar[list[list[str | None]]] = [
        [
            "unsafe-database",
            None,
            f"Start even where PostgreSQL may lose what it has committed. Environment: {_variable('unsafe-database')}=1.",
        ],
    ]

    settings: Settings
    #: What the process was given by the one that started it.
    given: Given

    def __init__(self) -> None:
        usage.Options.__init__(self)
        self._charger_paths: list[str] = []

    def opt_charger_path(self, path: str) -> None:
        """A base path of the chargers' URLs, or several by commas. Environment: OCPPD_CHARGER_PATH. [default: /ocppj/1.6]"""
        self._charger_paths.append(path)

    def opt_version(self) -> None:
        """Display the version of ocppd and exit."""
        sys.stdout.write(f"ocppd {version()}\n")
        raise SystemExit(0)

    def getSynopsis(self) -> str:
        """How the command is called."""
        return "Usage: twistd [options] ocppd [options]"

    def getUsage(self, width: int | None = None) -> str:
        """The options, then what a newcomer types."""
        return super().getUsage(width).rstrip("\n") + "\n" + EXAMPLE

    longdesc = ""

    def parseOptions(self, options: Any = None) -> None:
        """Parse; what is wrong ends the process with one line on stderr and status 1.

        Twisted's own way is to print all options to stdout first.
        """
        try:
            usage.Options.parseOptions(self, options)
        except (usage.UsageError, StartFailed) as error:
            raise SystemExit(one_line(f"{error}{self._hint(str(error))} (twistd ocppd --help lists the options)")) from None

    def parseArgs(self, *args: str) -> None:
        """There are none."""
        if args:
            raise usage.UsageError(f"unexpected argument {args[0]!r}")

    def postOptions(self) -> None:
        """Complete with environment and defaults, check all, and make paths absolute before twistd changes directory."""
        if self.parent is not None:
            check_twistd(self.parent)
        directory = Path.cwd()
        self.given = self._given()
        database = self._value("database", lambda url: _database(url, directory), f"sqlite:///{DEFAULT_DATABASE_FILE}")
        self.settings = Settings(
            port=self._value("port", _port, DEFAULT_PORT),
            config=directory / self._value("config", _file, DEFAULT_CONFIG),
            database=database,
            ca=self._value("ca", lambda text: directory / _file(text), None) or _beside(database),
            handlers=self._value("handlers", _handlers, None),
            charger_paths=self._paths(),
            unknown_id_tags=self._value("unknown-id-tags", _choice(UnknownIdTags), None),
            authorizer=self._value("authorizer", _http_url, None),
            authorizer_timeout_s=self._value("authorizer-timeout", _seconds(*AUTHORIZER_BOUNDS_S), "2"),
            authorizer_failure=self._value("authorizer-failure", _choice(UnknownIdTags), UnknownIdTags.REFUSE),
            handshake=self._value("handshake", _choice(Handshake), Handshake.REFUSE),
            log_format=self._value("log-format", _choice(LogFormat), LogFormat.TEXT),
            log_level=self._value("log-level", _choice(LogLevel), LogLevel.INFO),
            gateway_may_call=self._gateway_may_call(),
            secret_key=self._secret_key(),
            redis=self._value("redis", _redis, None),
            workers=self._value("workers", _workers, "1"),
            node=self._value("node", _node, None),
            unsafe_database=bool(self["unsafe-database"]) or self._unsafe_by_variable(),
            drain_s=self._value("drain", _seconds(0, LONGEST_DRAIN_S), "0"),
            **{each.member: self._value(each.name, each.check, None) for each in FILE_ROOM_OPTIONS if self._is_given(each.name)},
        )

    def _is_given(self, name: str) -> bool:
        return self[name] is not None or bool(self.environ.get(_variable(name)))

    def _value(self, name: str, check: Callable[[str], Any], default: Any) -> Any:
        """The option, else its environment variable, else the default; an empty variable counts as absent."""
        variable = _variable(name)
        if self[name] is not None:
            source, text = f"--{name}", self[name]
        elif self.environ.get(variable):
            source, text = variable, self.environ[variable]
        elif isinstance(default, str):
            source, text = f"--{name}", default
        else:
            return default
        try:
            return check(text)
        except ValueError as error:
            raise usage.UsageError(f"{source}: {error}") from None

    def _given(self) -> Given:
        """Sockets of systemd are for a daemon that is told of no other port."""
        given = read_given(self.environ, os.getpid())
        told = self["port"] is not None or self.environ.get(_variable("port"))
        return Given() if told and given.place is None else given

    def _paths(self) -> tuple[str, ...]:
        variable = _variable("charger-path")
        if self._charger_paths:
            source, given = "--charger-path", _BETWEEN_PATHS.split(",".join(self._charger_paths))
        elif self.environ.get(variable):
            source, given = variable, self.environ[variable].split(",")
        else:
            source, given = "--charger-path", [DEFAULT_CHARGER_PATH]
        try:
            return tuple(dict.fromkeys(_charger_path(path) for path in given))
        except ValueError as error:
            raise usage.UsageError(f"{source}: {error}") from None

    def _secret_key(self) -> str | None:
        key = self.environ.get("OCPPD_SECRET_KEY") or None
        if key is not None and len(key) < SECRET_KEY_LENGTH:
            raise usage.UsageError(f"OCPPD_SECRET_KEY: expected at least {SECRET_KEY_LENGTH} characters, best random ones")
        return key

    def _gateway_may_call(self) -> bool:
        value = self.environ.get("OCPPD_OPEN_API", "")
        if value not in ("", "gateway"):
            raise usage.UsageError("OCPPD_OPEN_API: expected gateway, or no such variable")
        return value == "gateway"

    def _unsafe_by_variable(self) -> bool:
        value = self.environ.get("OCPPD_UNSAFE_DATABASE", "")
        if value not in ("", "0", "1"):
            raise usage.UsageError("OCPPD_UNSAFE_DATABASE: expected 1, or no such variable")
        return value == "1"

    def _hint(self, error: str) -> str:
        """`; did you mean --port?` for an option that does not exist."""
        unknown = re.match(r"option --(\S+) not recognized", error)
        names = [name.rstrip("=") for name in self.longOpt]
        close = difflib.get_close_matches(unknown[1], names, n=1) if unknown else []
        return f"; did you mean --{close[0]}?" if close else ""


def makeService(options: Options) -> IService:
    """The daemon's service. Opens no file, thread, connection or socket: twistd may fork before it starts.

    A start that cannot succeed raises StartFailed when the service is started.
    """
    from twisted.internet import reactor

    settings, place, core = options.settings, options.given.place, cast(Any, reactor)
    make_steady(core)

    def make() -> IService:
        # Imported here, because Klein and txredisapi take the global reactor when they are imported.
        from ocppd.service import make_service

        service: IService = make_service(settings, core, options.given)
        return service

    def observe() -> ILogObserver:
        worker = None if place is None else place.number
        return make_observer(options.parent or {}, settings.log_format, settings.log_level, core.callFromThread, worker)

    daemon = Daemon(make, observe, core, "ocppd" if place is None else f"worker {place.number}")
    forget_given(os.environ)  # now, and not before: Twisted's `systemd:` endpoints read it when they are imported
    return cast(IService, daemon)


def _port(text: str) -> str:
    """A number, or an endpoint, which is parsed when it is opened."""
    if text.isascii() and text.isdigit():
        if len(text) > 5 or int(text) > 65535:
            raise ValueError("expected a port from 0 to 65535")
        return str(int(text))
    if not _ENDPOINT.fullmatch(text):
        raise ValueError(f"expected a port number, or a Twisted server endpoint such as {ENDPOINT}")
    return text


def _file(text: str) -> str:
    if "\0" in text or not text:
        raise ValueError("expected a file name")
    return text


def _database(text: str, directory: Path) -> str:
    """The URL, the path of an SQLite file made absolute. An error does not repeat it: it may hold a password."""
    if not _DATABASE.fullmatch(text):
        raise ValueError("expected a database URL such as sqlite:////var/lib/ocppd/ocppd.sqlite")
    found = _SQLITE_FILE.fullmatch(text)
    if found is None or found["path"].startswith("file:"):
        return text
    return found["scheme"] + str(directory / found["path"]) + (found["query"] or "")


def _beside(database: str) -> Path | None:
    """Where the certificate authority is by default: beside the file of the records, None where they are elsewhere."""
    found = _SQLITE_ABSOLUTE.fullmatch(database)
    return None if found is None else Path(found["path"] + ".ca")


def _redis(text: str) -> str:
    """The URL as it is; it is read where the bus is made. An error does not repeat it: it may hold a password."""
    if not _REDIS.fullmatch(text):
        raise ValueError("expected a URL such as redis://127.0.0.1:6379/0, rediss://… or redis+sentinel://…")
    return text


def _http_url(text: str) -> str:
    """The URL as it is. An error does not repeat it: it may hold a password."""
    try:
        parts = urlsplit(text)
        right = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0 and text.isascii()
    except ValueError:
        right = False
    if not right or any(character.isspace() for character in text):
        raise ValueError("expected a URL such as https://tags.example/verdicts")
    return text


def _seconds(least: float, most: float) -> Callable[[str], float]:
    def check(text: str) -> float:
        try:
            seconds = float(text)
        except ValueError:
            seconds = -1.0
        if not least <= seconds <= most:
            raise ValueError(f"expected a number of seconds from {least:g} to {most:g}")
        return seconds

    return check


def _workers(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 4 and 1 <= int(text) <= MOST_WORKERS):
        raise ValueError(f"expected a number from 1 to {MOST_WORKERS}")
    return int(text)


def _node(text: str) -> str:
    if not _NODE.fullmatch(text):
        raise ValueError("expected at most 64 letters, digits and -._:/")
    return text


def _handlers(text: str) -> str:
    if not _HANDLERS.fullmatch(text) or text.endswith(".py"):
        raise ValueError("expected module:Class, package.module.Class or path/to/file.py:Class")
    return text


def _charger_path(text: str) -> str:
    path = "/" + "/".join(segment for segment in text.strip().split("/") if segment)
    if not text.strip().startswith("/") or not _PATH.fullmatch(path) or {".", ".."} & set(path.split("/")):
        raise ValueError(f"expected a path that starts with a slash, such as {DEFAULT_CHARGER_PATH}")
    return path


def _choice(kind: type[E]) -> Callable[[str], E]:
    def check(text: str) -> E:
        try:
            return kind(text)
        except ValueError:
            raise ValueError(f"expected one of {', '.join(kind)}") from None

    return check
