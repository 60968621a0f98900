"""Work that goes on without its client; readiness; bodies."""

from __future__ import annotations

from io import BytesIO
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.test.requesthelper import DummyChannel

from ocppd.errors import InvalidPayload, StorageUnavailable
from ocppd.net.rest.body import MAX_BODY_BYTES, MAX_DISCARDED_BYTES, ApiRequest, body_of, json_object
from ocppd.net.rest.health import CHECK_GOOD_S, CHECK_TIMEOUT_S, Readiness
from ocppd.net.rest.problems import BodyTooLarge, NotJson, NotJsonType
from ocppd.net.rest.waiting import shielded


class ShieldedTests(SynchronousTestCase):
    """Cancelling stops the waiting, not the work."""

    def test_result(self) -> None:
        """What the work gives is passed on, good or bad."""
        self.assertEqual(self.successResultOf(shielded(succeed(1))), 1)
        self.failureResultOf(shielded(fail(StorageUnavailable("x"))), StorageUnavailable)

    def test_cancelled(self) -> None:
        """A cancelled waiting ends at once, and the work goes on to its end."""
        work: Deferred[int] = Deferred()
        seen: list[int] = []
        work.addCallback(lambda result: seen.append(result) or result)
        waiting = shielded(work)
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        self.assertFalse(work.called)
        work.callback(1)
        self.assertEqual(seen, [1])

    def test_failure_that_nobody_hears(self) -> None:
        """An expected failure of abandoned work is no news; any other is logged."""
        expected, bug = Deferred[int](), Deferred[int]()
        for work in (expected, bug):
            waiting = shielded(work)
            waiting.cancel()
            self.failureResultOf(waiting, CancelledError)
        expected.errback(StorageUnavailable("x"))
        self.assertEqual(self.flushLoggedErrors(), [])
        bug.errback(ZeroDivisionError())
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class Checks:
    """A storage of which only the check is asked, and the rest of what readiness looks at."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.running: list[Deferred[None]] = []
        self.started = True
        self.storage = self

    def check(self) -> Deferred[None]:
        """Storage.check."""
        self.running.append(Deferred())
        return self.running[-1]

    def ready(self) -> bool:
        """Api.ready."""
        return self.started


class ReadinessTests(SynchronousTestCase):
    """/readyz."""

    def setUp(self) -> None:
        self.checks = Checks()
        api: Any = self.checks
        self.readiness = Readiness(api)

    def ask(self) -> Deferred[bool]:
        return Deferred.fromCoroutine(self.readiness.ready())

    def test_ready(self) -> None:
        """The storage commits: ready."""
        answer = self.ask()
        self.checks.running[0].callback(None)
        self.assertIs(self.successResultOf(answer), True)

    def test_not_started(self) -> None:
        """Before the start and while stopping nobody asks the storage."""
        self.checks.started = False
        self.assertIs(self.successResultOf(self.ask()), False)
        self.assertEqual(self.checks.running, [])

    def test_storage_is_down(self) -> None:
        """A storage that fails is not ready; a bug in it is logged."""
        answer = self.ask()
        self.checks.running[0].errback(StorageUnavailable("x"))
        self.assertIs(self.successResultOf(answer), False)
        self.checks.clock.advance(CHECK_GOOD_S)
        answer = self.ask()
        self.checks.running[1].errback(ZeroDivisionError())
        self.assertIs(self.successResultOf(answer), False)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_storage_hangs(self) -> None:
        """A storage that does not say in time is not ready, and is not asked again while it hangs."""
        answers = [self.ask(), self.ask()]
        self.checks.clock.advance(CHECK_TIMEOUT_S)
        self.assertEqual([self.successResultOf(answer) for answer in answers], [False, False])
        late = self.ask()
        self.assertEqual(len(self.checks.running), 1)
        self.checks.running[0].callback(None)
        self.assertIs(self.successResultOf(late), True)
        self.assertEqual(self.checks.clock.getDelayedCalls(), [])

    def test_one_check_for_all(self) -> None:
        """A result is good for a while, whoever asks: health is open to all and a check is a write."""
        first = self.ask()
        self.checks.running[0].callback(None)
        self.successResultOf(first)
        self.assertIs(self.successResultOf(self.ask()), True)
        self.assertEqual(len(self.checks.running), 1)
        self.checks.clock.advance(CHECK_GOOD_S)
        self.assertNoResult(self.ask())
        self.assertEqual(len(self.checks.running), 2)

    def test_client_that_leaves(self) -> None:
        """One who leaves does not take the others' answer along."""
        leaving, staying = self.ask(), self.ask()
        leaving.cancel()
        self.failureResultOf(leaving, CancelledError)
        self.checks.running[0].callback(None)
        self.assertIs(self.successResultOf(staying), True)


class BodyTests(SynchronousTestCase):
    """Bodies."""

    def request(self, body: bytes, *kinds: str) -> ApiRequest:
        """A request that has received this body in pieces."""
        channel = DummyChannel()
        request = ApiRequest(channel, False)
        request.requestHeaders.setRawHeaders("content-type", kinds)
        request.gotLength(None)
        for start in range(0, len(body), 65536):
            request.handleContentChunk(body[start : start + 65536])
        return request

    def test_json(self) -> None:
        """A JSON body is given as it is, more than once."""
        request = self.request(b"{}", "application/json")
        self.assertEqual([body_of(request), body_of(request)], [b"{}", b"{}"])

    def test_media_types(self) -> None:
        """A body is declared as JSON, once; an empty body needs no declaration."""
        for kinds in ([], ["text/plain"], ["application/jsonx"], ["application/json", "text/plain"]):
            self.assertRaises(NotJsonType, body_of, self.request(b"{}", *kinds))
            self.assertEqual(body_of(self.request(b"", *kinds)), b"")

    def test_bounded(self) -> None:
        """Of a large body no more than the limit and one byte is kept."""
        request = self.request(b"x" * (2 * MAX_BODY_BYTES), "application/json")
        kept: BytesIO = request._kept
        self.assertEqual(len(kept.getvalue()), MAX_BODY_BYTES + 1)
        self.assertRaises(BodyTooLarge, body_of, request)

    def test_hang_up(self) -> None:
        """Who sends on far beyond the limit loses the connection."""
        channel = DummyChannel()
        request = ApiRequest(channel, False)
        request.gotLength(None)
        chunk = b"x" * MAX_BODY_BYTES
        lost: list[None] = []
        channel.loseConnection = lambda: lost.append(None)
        for _ in range(MAX_DISCARDED_BYTES // MAX_BODY_BYTES):
            request.handleContentChunk(chunk)
        self.assertEqual(lost, [])
        request.handleContentChunk(b"x")
        self.assertEqual(lost, [None])

    def test_objects(self) -> None:
        """Nothing counts as {}; other JSON breaks the definition, the rest is no JSON."""
        self.assertEqual([json_object("A", body) for body in (b"", b" \n", b"{}")], [{}, {}, {}])
        for body in (b"[]", b"1", b"null", b'"x"', b"true"):
            self.assertRaises(InvalidPayload, json_object, "A", body)
        for body in (b"{", b"\xff", b"{}{}", b"{'a':1}", b"NaN", b"[" * 50_000):
            self.assertRaises(NotJson, json_object, "A", body)
