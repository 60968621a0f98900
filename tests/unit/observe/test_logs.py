"""The lines of the log: formats, levels, secrets, forged lines, and where they go."""

from __future__ import annotations

import io
import json
import os
import signal
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st
from twisted.logger import ILogObserver, Logger, LogLevel, formatEvent
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from ocppd.errors import StartFailed
from ocppd.observe import logs
from ocppd.observe.logs import Relay, Stdout, important, json_line, make_observer, text_line

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


class WorkerTests(SynchronousTestCase):
    """The log of a worker, and its way through its supervisor."""

    def written(self, log_format: str, *events: dict[str, Any], level: str = "debug") -> str:
        """What the pipe of worker 2 carries."""
        path = Path(self.mktemp())
        with path.open("w") as out:
            self.patch(logs.sys, "stdout", out)
            observer = make_observer({"nodaemon": True}, log_format, level, lambda function: function(), worker=2)
            for found in events:
                observer(found)  # type: ignore[arg-type]
        return path.read_text()

    def relayed(self, log_format: str, text: str, level: str = "debug") -> str:
        """What the supervisor makes of it, with its own log at `level`."""
        out = io.StringIO()
        self.patch(logs.sys, "stdout", out)
        observer = make_observer({"nodaemon": True}, log_format, level, lambda function: function())
        relay = Relay(log_format)
        relay._log = Logger(namespace="ocppd.observe.logs", observer=observer)
        for line in text.split("\n")[:-1]:
            relay.line(2, line)
        return out.getvalue()

    def test_text(self) -> None:
        """A line names the worker, and is otherwise as it would be without one."""
        line = self.written("text", event("CP001 connected"))
        self.assertEqual(line, "2027-01-31T12:00:00.250Z info     ocppd.test: [2] CP001 connected\n")
        self.assertEqual(self.relayed("text", line), line)

    def test_json(self) -> None:
        """An object has the member `worker`."""
        line = self.written("json", event("{charger} connected", charger="CP001"))
        self.assertEqual(
            json.loads(line), {**json.loads(json_line(event("CP001 connected")) or ""), "charger": "CP001", "worker": 2}
        )
        self.assertEqual(self.relayed("json", line), line)

    def test_events_stay_whole(self) -> None:
        """An event of many lines is one line of the pipe, and in the log what it would be without a worker."""
        found = event("handler failed", LogLevel.critical, log_failure=failure(ValueError("bad\nworse\x1e")))
        for log_format in ("text", "json"):
            piped = self.written(log_format, found)
            self.assertEqual(piped.count("\n"), 1)
            direct = logs.FORMATTERS[log_format]({**found, "worker": 2})
            self.assertEqual(self.relayed(log_format, piped), direct)

    def test_levels(self) -> None:
        """What a worker has found worth writing is written, whatever the level; syslog learns which level it was."""
        piped = self.written("text", *(event(name, LogLevel.lookupByName(name)) for name in ("debug", "info", "critical")))
        self.assertEqual(self.relayed("text", piped, level="critical"), piped)
        seen: list[Any] = []
        relay = Relay("text")
        relay._log = Logger(observer=seen.append)  # type: ignore[arg-type]
        for line in piped.splitlines():
            relay.line(2, line)
        self.assertEqual([found["log_level"].name for found in seen], ["debug", "info", "critical"])

    def test_strays(self) -> None:
        """A line that no log has written becomes a warning that names the worker, in the format of the log."""
        for text in ("Segmentation fault", '{"a": 1}', "2027 nonsense", "2027-01-31T12:00:00.250Z loud     x: y"):
            line = self.relayed("json", text + "\n")
            found = json.loads(line)
            self.assertEqual((found["level"], found["worker"], found["message"]), ("warn", 2, text))
        self.assertEqual(self.relayed("text", "\n \n"), "", "an empty line says nothing")
        self.assertTrue(self.relayed("text", "Segmentation fault\n").endswith("ocppd.observe.logs: [2] Segmentation fault\n"))

    def test_locale(self) -> None:
        """The pipe carries UTF-8, whatever the locale is."""
        path = Path(self.mktemp())
        with path.open("w", encoding="ascii") as out:
            self.patch(logs.sys, "stdout", out)
            observer = make_observer({"nodaemon": True}, "text", "info", lambda function: function(), worker=2)
            observer(event("Säule"))  # type: ignore[arg-type]
        self.assertIn("Säule", path.read_text("utf-8"))


class StdoutTests(SynchronousTestCase):
    """`Stdout`."""

    def setUp(self) -> None:
        self.reading, self.writing = os.pipe()
        self.addCleanup(os.close, self.reading)
        self.addCleanup(os.close, self.writing)
        self.received = b""

    def read_on(self, size: int) -> None:
        """Read so much, as another process would."""
        while len(self.received) < size:
            self.received += os.read(self.reading, 8192)

    def test_signals(self) -> None:
        """A line that is longer than the pipe is whole, however often it is interrupted."""
        interrupted: list[int] = []
        self.addCleanup(signal.signal, signal.SIGALRM, signal.signal(signal.SIGALRM, lambda *_: interrupted.append(1)))
        lines = [f"{number} " + "x" * 200_000 + "\n" for number in range(50)]
        whole = "".join(lines).encode()
        reader = threading.Thread(target=self.read_on, args=(len(whole),))
        reader.start()
        signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
        stdout = Stdout(self.writing, "utf-8")
        for line in lines:
            stdout.write(line)
        signal.setitimer(signal.ITIMER_REAL, 0)
        reader.join()
        self.assertEqual(self.received, whole)

    def test_not_blocking(self) -> None:
        """So it is where another process has made the pipe one that does not block."""
        os.set_blocking(self.writing, False)
        reader = threading.Thread(target=self.read_on, args=(500_000,))
        reader.start()
        Stdout(self.writing, "utf-8").write("x" * 500_000)
        reader.join()
        self.assertEqual(self.received, b"x" * 500_000)

    def test_encoding(self) -> None:
        """What the encoding of the locale lacks is shown otherwise."""
        Stdout(self.writing, "ascii").write("Säule\n")
        self.read_on(6)
        self.assertEqual(self.received, b"S\\xe4ule\n")


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

    @example(562949953.5619994, "", 0, "{a}")
    @example(1.9999999, "", 0, "{a}")
    @given(st.floats(0, 4e9), st.text(max_size=8), st.integers(), st.sampled_from(["{a}: {b}", "{{{a}}} {b!r}", "{b:>5}", "{c}"]))
    def test_the_short_way_of_a_line(self, time: float, text: str, number: int, log_format: str) -> None:
        """Lines of texts and numbers are what Twisted and the standard library make of them."""
        event = {"log_time": time, "log_format": log_format, "a": text, "b": number, "log_namespace": "n"}
        moment = datetime.fromtimestamp(time, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        self.assertEqual((logs._time(event), logs._message(event)), (moment, formatEvent(event)))
