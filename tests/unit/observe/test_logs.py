"""The lines of the log: formats, levels, secrets, forged lines, and where they go."""

from __future__ import annotations

import io
import json
import signal
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.logger import ILogObserver, Logger, LogLevel
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from ocppd.errors import StartFailed
from ocppd.observe import logs
from ocppd.observe.logs import important, json_line, make_observer, text_line

#: 2027-01-31T12:00:00.250Z
MOMENT = 1801396800.25


def event(text: str = "", level: Any = LogLevel.info, **keywords: Any) -> dict[str, Any]:
    """An event as twisted.logger makes it."""
    return {"log_format": text, "log_level": level, "log_namespace": "ocppd.test", "log_time": MOMENT, **keywords}


def failure(error: Exception) -> Failure:
    """A failure with a traceback."""
    try:
        raise error
    except Exception:
        return Failure()


class TextTests(SynchronousTestCase):
    """Lines for people."""

    def test_line(self) -> None:
        """Time in UTC with milliseconds, level, namespace, message."""
        line = text_line(event("{charger} connected", charger="CP001"))
        self.assertEqual(line, "2027-01-31T12:00:00.250Z info     ocppd.test: CP001 connected\n")

    def test_failure(self) -> None:
        """A failure is written with its traceback, indented below its message."""
        line = text_line(event("handler failed", LogLevel.critical, log_failure=failure(ValueError("bad"))))
        assert line is not None
        first, *rest = line.splitlines()
        self.assertTrue(first.endswith(" critical ocppd.test: handler failed"))
        self.assertTrue(all(further.startswith("\t") for further in rest))
        self.assertIn("\tbuiltins.ValueError: bad", rest)

    def test_forged_lines(self) -> None:
        """What a charger sends cannot begin a line of its own, nor speak to the terminal."""
        line = text_line(event("{info}", info="x\n2027-01-31T12:00:00Z info ocppd: all is well\r\x1b[2J\x85\u2028\ud800"))
        assert line is not None
        self.assertEqual(line.count("\n"), 2)
        self.assertIn("x\n\t2027", line)
        self.assertIn(r"\x0d\x1b[2J\x85\x2028\xd800", line)
        line.encode()

    def test_braces_in_values(self) -> None:
        """A value that looks like a format is a value."""
        self.assertIn(": {0}{evil!r}\n", text_line(event("{payload}", payload="{0}{evil!r}")) or "")


class JsonTests(SynchronousTestCase):
    """One object per line."""

    def parse(self, found: dict[str, Any]) -> dict[str, Any]:
        line = json_line(found)
        assert line is not None
        self.assertEqual(line.count("\n"), 1)
        parsed: dict[str, Any] = json.loads(line, parse_constant=self.fail)
        return parsed

    def test_line(self) -> None:
        """The four members of every line, then the plain keywords of the event."""
        self.assertEqual(
            self.parse(event("{charger} sent {count}", charger="CP001", count=3, ratio=0.5, late=True)),
            {
                "time": "2027-01-31T12:00:00.250Z",
                "level": "info",
                "namespace": "ocppd.test",
                "message": "CP001 sent 3",
                "charger": "CP001",
                "count": 3,
                "ratio": 0.5,
                "late": True,
            },
        )

    def test_what_is_not_plain_is_left_out(self) -> None:
        """Objects, containers and nothing are left out; numbers that JSON lacks become text."""
        found = self.parse(event("x", factory=object(), members=[1], nothing=None, ratio=float("nan"), count=10**5000))
        self.assertEqual(set(found), {"time", "level", "namespace", "message", "ratio"})
        self.assertEqual(found["ratio"], "nan")

    def test_own_members_stay(self) -> None:
        """A keyword cannot take the place of a member that every line has."""
        forged = dict.fromkeys(("message", "time", "level", "namespace", "failure"), "forged")
        found = self.parse({**event("real"), **forged})
        self.assertNotIn("forged", found.values())

    def test_failure(self) -> None:
        """The traceback is the member `failure`."""
        self.assertIn("ValueError: bad\n", self.parse(event("x", log_failure=failure(ValueError("bad"))))["failure"] + "\n")

    def test_old_log_module(self) -> None:
        """An event of twisted.python.log has its text as message and no member of its own."""
        found = self.parse(
            {
                "log_level": LogLevel.info,
                "log_time": MOMENT,
                "log_format": "{log_text}",
                "log_text": "old",
                "message": ("old",),
                "isError": 0,
                "system": "-",
                "time": MOMENT,
            }
        )
        self.assertEqual((found["message"], found["namespace"], len(found)), ("old", "-", 4))


class SecretTests(SynchronousTestCase):
    """Keywords that name a secret are never written."""

    def test_secrets(self) -> None:
        """In neither format, wherever the message puts them, are they formatted."""

        class Loud:
            """Fails where it is formatted."""

            def __format__(self, _: str) -> str:
                raise AssertionError("formatted")

            __str__ = __repr__ = lambda self: self.__format__("")  # type: ignore[assignment]

        for key in logs.SECRET_KEYWORDS:
            for value in ("hunter2", Loud()):
                found = event("with {" + key + "} in it", **{key: value})
                for line in (text_line(found), json_line(found)):
                    assert line is not None
                    self.assertNotIn("hunter2", line)
                    self.assertIn("with [secret] in it", line)


class LevelTests(SynchronousTestCase):
    """Which events are written."""

    def written(self, level: str, *events: dict[str, Any]) -> list[str]:
        predicate = important(level)
        return [str(found["log_format"]) for found in events if predicate(found).name != "no"]

    def test_levels(self) -> None:
        """Events below the level are left out; a failure is critical."""
        events = [event(name, LogLevel.lookupByName(name)) for name in ("debug", "info", "warn", "error", "critical")]
        self.assertEqual(self.written("debug", *events), ["debug", "info", "warn", "error", "critical"])
        self.assertEqual(self.written("warn", *events), ["warn", "error", "critical"])
        self.assertEqual(self.written("critical", *events), ["critical"])

    def test_noise_of_libraries(self) -> None:
        """Lines of Twisted and Autobahn that concern no operator are written at debug alone."""
        noise = [
            event("Starting factory {factory!r}"),
            event("failing WebSocket opening handshake ('{reason}')"),
            {**event("{log_text}"), "log_text": "Site starting on 9033"},
            {**event("{log_text}"), "log_text": "(TCP Port 9033 Closed)"},
        ]
        self.assertEqual(self.written("info", *noise), [])
        self.assertEqual(len(self.written("debug", *noise)), len(noise))

    def test_errors_are_never_noise(self) -> None:
        """A line that looks like noise but is an error is written."""
        self.assertEqual(len(self.written("info", event("Starting factory failed", LogLevel.error))), 1)


class ObserverTests(SynchronousTestCase):
    """Where the lines go: twistd's own options decide."""

    def observe(self, observer: ILogObserver, text: str = "hello", **keywords: Any) -> None:
        Logger(namespace="ocppd.test", observer=observer).info(text, **keywords)

    def make(self, log_format: str = "text", level: str = "info", **twistd: Any) -> ILogObserver:
        return make_observer(twistd, log_format, level, lambda function: function())

    def test_stdout(self) -> None:
        """With -n the log is stdout."""
        for options in ({"nodaemon": 1}, {"nodaemon": True, "logfile": "-"}):
            out = io.StringIO()
            self.patch(logs.sys, "stdout", out)
            self.observe(self.make("json", **options), charger="CP001")
            self.assertEqual(json.loads(out.getvalue())["charger"], "CP001")

    def test_file_and_rotation(self) -> None:
        """With --logfile it is that file; SIGUSR1 begins a new one."""
        self.addCleanup(signal.signal, signal.SIGUSR1, signal.signal(signal.SIGUSR1, signal.SIG_DFL))
        path = Path(self.mktemp())
        observer = self.make(nodaemon=True, logfile=str(path))
        self.observe(observer, "first")
        signal.raise_signal(signal.SIGUSR1)
        self.observe(observer, "second")
        self.assertTrue(path.read_text().endswith(" ocppd.test: second\n"))
        self.assertTrue(Path(f"{path}.1").read_text().endswith(" ocppd.test: first\n"))

    def test_foreign_handler_of_sigusr1(self) -> None:
        """A handler that somebody else has set stays."""

        def handler(_number: int, _frame: object) -> None:
            """Somebody's own."""

        self.addCleanup(signal.signal, signal.SIGUSR1, signal.signal(signal.SIGUSR1, handler))
        self.make(logfile=self.mktemp())
        self.assertIs(signal.getsignal(signal.SIGUSR1), handler)

    def test_daemon_without_stdout(self) -> None:
        """A daemon has no stdout to log to."""
        error = self.assertRaises(StartFailed, self.make, logfile="-")
        self.assertIn("a daemon cannot log to stdout", str(error))

    def test_file_that_cannot_be_opened(self) -> None:
        """A log file that cannot be opened stops the start with one line."""
        error = self.assertRaises(StartFailed, self.make, logfile=self.mktemp() + "/x.log")
        self.assertIn("x.log cannot be opened", str(error))

    def test_syslog(self) -> None:
        """With --syslog each line goes to syslog, errors with its alert priority."""
        from twisted.python import syslog

        sent: list[tuple[int, str]] = []
        self.patch(syslog.SyslogObserver, "openlog", lambda *_: None)
        self.patch(syslog.SyslogObserver, "syslog", lambda _self, priority, line: sent.append((priority, line)))
        observer = self.make(syslog=True, prefix="ocppd")
        self.observe(observer)
        Logger(namespace="ocppd.test", observer=observer).error("bad")
        self.assertEqual([priority for priority, _ in sent], [syslog.syslog.LOG_INFO, syslog.syslog.LOG_ALERT])
        self.assertTrue(sent[0][1].endswith("ocppd.test: hello"))

    def test_level(self) -> None:
        """What is below the level reaches no stream."""
        out = io.StringIO()
        self.patch(logs.sys, "stdout", out)
        self.observe(self.make(level="warn", nodaemon=True))
        self.assertEqual(out.getvalue(), "")


class FuzzTests(SynchronousTestCase):
    """No event breaks the log."""

    @given(
        st.dictionaries(
            st.text(), st.none() | st.text() | st.integers() | st.floats() | st.binary() | st.lists(st.text(), max_size=2)
        ),
        st.text(),
    )
    def test_any_event(self, keywords: dict[str, Any], text: str) -> None:
        """Whatever an event holds, each format makes one record of it that can be encoded."""
        found = {**keywords, **event("{value}", value=text)}
        for line in (text_line(found), json_line(found)):
            assert line is not None
            self.assertTrue(line.endswith("\n"))
            self.assertTrue(all(further.startswith("\t") for further in line.rstrip("\n").split("\n")[1:]))
            line.encode()
