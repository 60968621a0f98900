"""The guards of tests/conftest.py: each fails a test that deserves it, and no other."""

from __future__ import annotations

from pathlib import Path

import pytest

CONFTEST = Path(__file__).resolve().parents[1] / "conftest.py"

BAD = """
import pytest_twisted
from twisted.internet import defer, reactor
from twisted.logger import Logger
from twisted.trial.unittest import SynchronousTestCase

def test_logs_an_error():
    Logger().error("it broke")

def test_drops_a_deferred():
    defer.fail(ValueError("nobody looked"))

def test_drops_a_deferred_in_a_cycle():
    cycle = [defer.fail(ValueError("nobody looked"))]
    cycle.append(cycle)

@pytest_twisted.ensureDeferred
async def test_leaves_a_timer():
    reactor.callLater(3600, print)

class Case(SynchronousTestCase):
    def test_leaves_a_timer(self):
        reactor.callLater(3600, print)

    def test_logs_an_error(self):
        Logger().failure("it broke", Failure(ValueError()))
""".replace("from twisted.trial", "from twisted.python.failure import Failure\nfrom twisted.trial")

GOOD = """
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

@pytest_twisted.ensureDeferred
async def test_waits_for_its_timer():
    await deferLater(reactor, 0)

def test_expects_its_error(logged_errors):
    Logger().failure("it broke", Failure(ValueError("expected")))
    assert len(logged_errors.flush(KeyError)) == 0
    assert len(logged_errors.flush(ValueError)) == 1

class Case(SynchronousTestCase):
    def test_expects_its_error(self):
        Logger().failure("it broke", Failure(ValueError()))
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
"""


def outcomes(pytester: pytest.Pytester, source: str) -> dict[str, int]:
    """How the tests of a file end under our conftest."""
    pytester.makeconftest(CONFTEST.read_text(encoding="utf-8"))
    pytester.makepyfile(source)
    return pytester.runpytest_subprocess("-p", "no:cacheprovider").parseoutcomes()


def test_bad_tests_fail(pytester: pytest.Pytester) -> None:
    """A logged error, a dropped Deferred with an error and a timer left behind fail the test that did it."""
    found = outcomes(pytester, BAD)
    assert found.get("failed", 0) + found.get("errors", 0) == 6, found


def test_good_tests_pass(pytester: pytest.Pytester) -> None:
    """Tests that wait for their timers and take their expected errors pass."""
    assert outcomes(pytester, GOOD) == {"passed": 3}
