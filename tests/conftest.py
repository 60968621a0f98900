"""What holds for every test: nothing logged as an error, no Deferred left with one, no timer left behind."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from twisted.logger import LogEvent, LogLevel, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

# A shared machine stalls at times: a deadline, or a judgement of how fast examples are made, would then blame the code.
hypothesis.settings.register_profile("ocppd", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("ocppd")


class LoggedErrors:
    """The errors that were logged during one test."""

    def __init__(self) -> None:
        self._events: list[LogEvent] = []

    def __call__(self, event: LogEvent) -> None:
        """Observe an event (ILogObserver)."""
        if event.get("log_failure") is not None or (event.get("log_level") or LogLevel.info) >= LogLevel.error:
            self._events.append(event)

    def flush(self, *kinds: type[BaseException]) -> list[Any]:
        """Take the expected errors out: all, or the failures of these kinds. Gives failures, else the events."""
        taken, left = [], []
        for event in self._events:
            failure = event.get("log_failure")
            if not kinds or (failure is not None and failure.check(*kinds)):
                taken.append(failure or event)
            else:
                left.append(event)
        self._events = left
        return taken

    def describe(self) -> str:
        """What is left, for a failing test's message."""
        return "\n".join(_describe(event) for event in self._events)


def _describe(event: LogEvent) -> str:
    failure = event.get("log_failure")
    text = f"{event.get('log_namespace')}: {event.get('log_format') or event.get('log_text')}"
    return text if failure is None else f"{text}\n{failure.getTraceback()}"


@pytest.fixture(autouse=True, scope="session")
def _frozen() -> None:
    """What was there before the first test is no test's garbage: the collections after each test need not look at it."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True, scope="session")
def _elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Run in an empty directory, as trial does: `mktemp` of its test cases makes files in the working directory."""
    before = os.getcwd()
    os.chdir(tmp_path_factory.mktemp("working-directory"))
    yield
    os.chdir(before)


@pytest.fixture
def logged_errors(request: pytest.FixtureRequest) -> LoggedErrors:
    """The errors logged so far; a test that expects some takes them with `flush`."""
    found: LoggedErrors = request.getfixturevalue("_clean")
    return found


@pytest.fixture(autouse=True)
def _clean(request: pytest.FixtureRequest) -> Iterator[LoggedErrors]:
    """Fail a test that logs an error, drops a Deferred with one, or leaves a timer.

    trial's own test cases watch the log themselves, and know `flushLoggedErrors`; here they are watched for timers.
    """
    errors = LoggedErrors()
    own = request.cls is not None and issubclass(request.cls, SynchronousTestCase)
    if own:
        yield errors
    else:
        globalLogPublisher.addObserver(errors)
        try:
            yield errors
            if "/tests/unit/" not in str(request.path):
                # The error of a dropped Deferred is logged when it is collected; unit tests are too many for that.
                gc.collect()
        finally:
            globalLogPublisher.removeObserver(errors)
    _fail_on(leaked_timers(), "timers left behind")
    _fail_on(errors.describe(), "errors logged")


def _fail_on(found: str, what: str) -> None:
    if found:
        pytest.fail(f"{what}:\n{found}", pytrace=False)


def leaked_timers() -> str:
    """The timers of the global reactor, cancelled so that the next test begins clean."""
    from twisted.internet import reactor

    delayed: Callable[[], list[Any]] = getattr(reactor, "getDelayedCalls", list)
    leaked = delayed()
    for call in leaked:
        call.cancel()
    return "\n".join(str(call) for call in leaked)


# Several processes


#: Most of what takes long waits more than it works.
PROCESSES = 3
#: The files that take longest, the longest first.
LONGEST = ("test_workers", "test_cluster", "test_outages", "test_proxies", "test_workers_start", "test_start", "test_trial")


@pytest.hookimpl(optionalhook=True)
def pytest_configure(config: pytest.Config) -> None:
    """Whoever begins us in the background of a shell has SIGINT ignored, by us and by all that tests start."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Directories are run by several processes, single files by this one: the others take seconds to start."""
    return PROCESSES if any(Path(argument).is_dir() for argument in config.args) else 0


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where processes share the files, begin with the longest, so that none is left alone with one at the end."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: LONGEST.index(item.path.stem) if item.path.stem in LONGEST else len(LONGEST))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hand what was measured in this process over to the one that prints it."""
    output: dict[str, Any] | None = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["figures"] = _figures()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take over what another process has measured."""
    _measured.extend(getattr(node, "workeroutput", {}).get("figures", ()))


#: By other processes.
_measured: list[str] = []


def _figures() -> list[str]:
    # Not imported: a test that is run alone need not have it, nor has the test of this file.
    figures = sys.modules.get("support.figures")
    return [] if figures is None else list(figures.lines)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the figures that tests have measured."""
    lines = _figures() + _measured
    if lines:
        terminalreporter.section("figures")
    for line in lines:
        terminalreporter.write_line(line)
