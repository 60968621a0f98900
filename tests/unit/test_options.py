"""`twistd ocppd`: options, environment variables, and what is said about wrong ones."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from twisted.application.service import IServiceMaker
from twisted.trial.unittest import SynchronousTestCase

from ocppd.config import Handshake, LogFormat, LogLevel, Settings, UnknownIdTags
from ocppd.tap import Options, makeService
from ocppd.workers.given import NOTHING_GIVEN, Given, Place


def parse(*arguments: str, env: Mapping[str, str] | None = None) -> Settings:
    """The settings of a command line in an environment."""
    options = Options()
    options.environ = env or {}
    options.parseOptions(list(arguments))
    return options.settings


@contextlib.contextmanager
def captured() -> Iterator[tuple[io.StringIO, io.StringIO]]:
    """What is written to stdout and stderr."""
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        yield out, err


class DefaultTests(SynchronousTestCase):
    """What holds where nothing was said."""

    def test_defaults(self) -> None:
        """Without options: port 9033, configs.json and an SQLite file of the working directory, the seed's path."""
        here = Path.cwd()
        self.assertEqual(
            parse(),
            Settings(
                port="9033",
                config=here / "configs.json",
                database=f"sqlite:///{here}/ocppd.sqlite",
                ca=here / "ocppd.sqlite.ca",
                handlers=None,
                charger_paths=("/ocppj/1.6",),
                unknown_id_tags=None,
                handshake=Handshake.REFUSE,
                log_format=LogFormat.TEXT,
                log_level=LogLevel.INFO,
                gateway_may_call=False,
                secret_key=None,
            ),
        )

    def test_empty_variables_count_as_absent(self) -> None:
        """Compose files set variables to nothing: that is the default."""
        names = ("PORT", "CONFIG", "DATABASE", "HANDLERS", "CHARGER_PATH", "HANDSHAKE", "OPEN_API", "SECRET_KEY")
        self.assertEqual(parse(env={f"OCPPD_{name}": "" for name in names}), parse())


class ValueTests(SynchronousTestCase):
    """Each option, as an option and as a variable."""

    def both(self, option: str, value: str) -> Settings:
        """The settings, which must be the same by the option and by the variable."""
        variable = "OCPPD_" + option.upper().replace("-", "_")
        by_option = parse(f"--{option}", value)
        self.assertEqual(parse(env={variable: value}), by_option)
        self.assertEqual(parse(f"--{option}={value}", env={variable: "nonsense"}), by_option, "the option wins")
        return by_option

    def test_ca(self) -> None:
        """The authority is beside the SQLite file, nowhere without one, or where the option says."""
        self.assertEqual(self.both("ca", "keys").ca, Path.cwd() / "keys")
        self.assertEqual(parse("--database", "sqlite:////var/o.db?x=1").ca, Path("/var/o.db.ca"))
        self.assertIsNone(parse("--database", "sqlite://").ca)
        self.assertIsNone(parse("--database", "postgresql://host/db").ca)

    def test_port(self) -> None:
        """A number, or any Twisted endpoint."""
        self.assertEqual(self.both("port", "8080").port, "8080")
        self.assertEqual(self.both("port", "00").port, "0")
        self.assertEqual(self.both("port", "tcp6:9033").port, "tcp6:9033")
        self.assertEqual(parse("-p", "1").port, "1")

    def test_config(self) -> None:
        """A relative path is of the directory where the command was typed, whatever --rundir says later."""
        self.assertEqual(self.both("config", "etc/c.json").config, Path.cwd() / "etc/c.json")
        self.assertEqual(self.both("config", "/etc/c.json").config, Path("/etc/c.json"))

    def test_database(self) -> None:
        """The path of an SQLite file becomes absolute; other URLs stay as they are."""
        here = Path.cwd()
        for given, expected in (
            ("sqlite:///x.sqlite", f"sqlite:///{here}/x.sqlite"),
            ("sqlite:///a/b.sqlite?timeout=5", f"sqlite:///{here}/a/b.sqlite?timeout=5"),
            ("sqlite+pysqlite:///x", f"sqlite+pysqlite:///{here}/x"),
            ("sqlite:////var/lib/x.sqlite", "sqlite:////var/lib/x.sqlite"),
            ("sqlite://", "sqlite://"),
            ("sqlite:///:memory:", "sqlite:///:memory:"),
            ("postgresql+psycopg://u:p@host/db", "postgresql+psycopg://u:p@host/db"),
        ):
            self.assertEqual(self.both("database", given).database, expected)

    def test_words(self) -> None:
        """Options that take one of a few words."""
        self.assertIs(self.both("unknown-id-tags", "refuse").unknown_id_tags, UnknownIdTags.REFUSE)
        self.assertIs(self.both("handshake", "spec").handshake, Handshake.SPEC)
        self.assertIs(self.both("log-format", "json").log_format, LogFormat.JSON)
        self.assertIs(self.both("log-level", "critical").log_level, LogLevel.CRITICAL)
        for spec in (
            "mine:Handlers",
            "mine.handlers.Handlers",
            "mine.handlers:Handlers",
            "some where/mine.py:Handlers",
            "/a/b.py:C",
        ):
            self.assertEqual(self.both("handlers", spec).handlers, spec)

    def test_charger_paths(self) -> None:
        """Paths may be repeated, lose doubled and trailing slashes, and come by commas, as an option too."""
        self.assertEqual(parse("--charger-path", "//ocpp/", "--charger-path=/a/b").charger_paths, ("/ocpp", "/a/b"))
        self.assertEqual(parse(env={"OCPPD_CHARGER_PATH": "/ocpp, /a/b,/ocpp/"}).charger_paths, ("/ocpp", "/a/b"))
        self.assertEqual(parse("--charger-path", "/ocpp,/a/b,c", "--charger-path=/d").charger_paths, ("/ocpp", "/a/b,c", "/d"))
        self.assertEqual(parse("--charger-path=/x", env={"OCPPD_CHARGER_PATH": "/y"}).charger_paths, ("/x",))

    def test_several_nodes(self) -> None:
        """What several nodes need: numbers are read, URLs and names are taken as they are."""
        self.assertEqual(self.both("workers", "4").workers, 4)
        self.assertEqual(parse("-w", "256").workers, 256)
        self.assertEqual(self.both("drain", "12.5").drain_s, 12.5)
        self.assertEqual(self.both("node", "east-1.rack:9033/2").node, "east-1.rack:9033/2")
        for url in ("redis://127.0.0.1:6379/0", "rediss://:p@h/1", "redis+sentinel://a:1,b:2/0?service=s"):
            self.assertEqual(self.both("redis", url).redis, url)
        self.assertTrue(parse("--unsafe-database").unsafe_database)
        self.assertTrue(parse(env={"OCPPD_UNSAFE_DATABASE": "1"}).unsafe_database)
        self.assertEqual((parse().workers, parse().drain_s, parse().redis, parse().node), (1, 0.0, None, None))

    def test_variables_alone(self) -> None:
        """Who may call, and the key of secrets, are told by the environment."""
        found = parse(env={"OCPPD_OPEN_API": "gateway", "OCPPD_SECRET_KEY": "k" * 16})
        self.assertTrue(found.gateway_may_call)
        self.assertEqual(found.secret_key, "k" * 16)


class RefusedTests(SynchronousTestCase):
    """A wrong option is one line on stderr and status 1; twistd's list of all options stays away."""

    def refused(self, *arguments: str, env: Mapping[str, str] | None = None) -> str:
        with captured() as (out, err):
            error = self.assertRaises(SystemExit, parse, *arguments, env=env)
        self.assertEqual((out.getvalue(), err.getvalue()), ("", ""))
        line = str(error.code)
        self.assertTrue(line.startswith("ocppd: "), line)
        self.assertNotIn("\n", line)
        return line

    def test_short_secret_key(self) -> None:
        """A key of secrets that could be guessed is refused, and not repeated."""
        line = self.refused(env={"OCPPD_SECRET_KEY": "hunter2"})
        self.assertIn("OCPPD_SECRET_KEY: expected at least 16 characters", line)
        self.assertNotIn("hunter2", line)

    def test_wrong_values(self) -> None:
        """The option is named, with what it takes."""
        for option, value, expected in (
            ("port", "65536", "expected a port"),
            ("port", "-1", "expected a port"),
            ("port", "http", "expected a port"),
            ("port", "9033 ", "expected a port"),
            ("port", "tcp://10.0.0.1:9033", "expected a port"),
            ("config", "a\0b", "expected a file name"),
            ("database", "ocppd.sqlite", "expected a database URL"),
            ("handlers", "Handlers", "module:Class"),
            ("handlers", "a-b.C", "module:Class"),
            ("handlers", "file.py", "module:Class"),
            ("charger-path", "ocpp", "starts with a slash"),
            ("charger-path", "/", "starts with a slash"),
            ("charger-path", "/a/../b", "starts with a slash"),
            ("charger-path", "/a?b", "starts with a slash"),
            ("unknown-id-tags", "ignore", "one of accept, refuse"),
            ("handshake", "Spec", "one of refuse, spec"),
            ("log-format", "xml", "one of text, json"),
            ("log-level", "trace", "one of debug, info, warn, error, critical"),
        ):
            variable = "OCPPD_" + option.upper().replace("-", "_")
            for source, line in (
                (f"--{option}: ", self.refused(f"--{option}={value}")),
                (f"{variable}: ", self.refused(env={variable: value})),
            ):
                self.assertIn(source, line)
                self.assertIn(expected, line)

    def test_no_secrets(self) -> None:
        """A database URL that cannot be read may hold a password; it is not repeated."""
        self.assertNotIn("hunter2", self.refused("--database", "postgresql:/ocppd:hunter2@db"))

    def test_open_api(self) -> None:
        """A variable that opens the API to someone is not guessed at."""
        self.assertIn("OCPPD_OPEN_API: expected gateway", self.refused(env={"OCPPD_OPEN_API": "true"}))

    def test_unsafe_database(self) -> None:
        """What is neither yes nor no is not taken for a no."""
        self.assertIn("OCPPD_UNSAFE_DATABASE: expected 1", self.refused(env={"OCPPD_UNSAFE_DATABASE": "true"}))

    def test_unknown_options(self) -> None:
        """An option that does not exist is answered with the one that was meant."""
        self.assertIn("did you mean --database?", self.refused("--databse", "x"))
        self.assertIn("option --zzz not recognized", self.refused("--zzz"))
        self.assertIn("requires argument", self.refused("--port"))

    def test_arguments(self) -> None:
        """There are no arguments."""
        self.assertIn("unexpected argument 'start'", self.refused("start"))


class GivenTests(SynchronousTestCase):
    """What the process was given by the one that started it."""

    def given(self, *arguments: str, **env: str) -> Given:
        options = Options()
        options.environ = env
        options.parseOptions(list(arguments))
        return options.given

    def test_systemd(self) -> None:
        """A socket of systemd is taken where nobody has named a port."""
        env = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"}
        self.assertEqual(self.given(**env), Given((3,)))
        self.assertEqual(self.given("--port", "9033", **env), NOTHING_GIVEN)
        self.assertEqual(self.given("--port", "systemd:domain=INET:index=0", **env), NOTHING_GIVEN)
        self.assertEqual(self.given(OCPPD_PORT="9033", **env), NOTHING_GIVEN)

    def test_worker(self) -> None:
        """A worker has its socket, whatever variables its supervisor has inherited."""
        env = {"OCPPD_WORKER": "2", "OCPPD_LISTEN_FD": "3", "OCPPD_CHANNEL_FD": "4", "OCPPD_DIRECTORY": "/", "OCPPD_PORT": "1"}
        self.assertEqual(self.given(**env), Given((3,), Place(2, 4, Path("/"))))

    def test_variables_of_a_supervisor(self) -> None:
        """They are nobody else's business, and a wrong one is one line."""
        with self.assertRaises(SystemExit) as raised:
            self.given(OCPPD_WORKER="2")
        self.assertTrue(str(raised.exception.code).startswith("ocppd: OCPPD_LISTEN_FD"))


class HelpTests(SynchronousTestCase):
    """What --help and --version print."""

    def test_help_names_everything(self) -> None:
        """--help has each option with its variable and its default, and an example."""
        with captured() as (out, _):
            ended = self.assertRaises(SystemExit, parse, "--help")
        text = " ".join(out.getvalue().split())
        self.assertIn(ended.code, (0, None))
        for name in (*(row[0] for row in Options.optParameters), "charger-path"):
            self.assertIn(f"--{name}=", text)
            self.assertIn("OCPPD_" + str(name).upper().replace("-", "_"), text)
        self.assertEqual(text.count("[default: "), len(Options.optParameters) + 1)
        self.assertIn("twistd -n ocppd --port 9033", text)
        self.assertIn("OCPPD_SECRET_KEY", text)
        for word in ("--unsafe-database", "SIGHUP", "SIGUSR2", "SIGTERM", "systemd"):
            self.assertIn(word, text)

    def test_help_fits_a_terminal(self) -> None:
        """No line of --help is longer than 80 columns."""
        self.assertEqual([line for line in Options().getUsage(80).splitlines() if len(line) > 80], [])

    def test_version(self) -> None:
        """--version names the program."""
        with captured() as (out, _):
            ended = self.assertRaises(SystemExit, parse, "--version")
        self.assertEqual(ended.code, 0)
        self.assertRegex(out.getvalue(), r"^ocppd\b.*\n$")


class PluginTests(SynchronousTestCase):
    """twistd finds ocppd."""

    def test_plugin(self) -> None:
        """The plugin names the options and the maker of ocppd.tap."""
        from twisted.plugins import ocppd_plugin

        self.assertTrue(IServiceMaker.providedBy(ocppd_plugin.ocppd))
        self.assertEqual(ocppd_plugin.ocppd.tapname, "ocppd")
        self.assertIs(ocppd_plugin.ocppd.options, Options)
        self.assertIs(ocppd_plugin.ocppd.makeService, makeService)
