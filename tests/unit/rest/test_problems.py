"""Errors as problems. RFC 9457; docs/http-api.md."""

from __future__ import annotations

from msgspec.structs import replace
from twisted.trial.unittest import SynchronousTestCase

from ocppd import errors
from ocppd.net.rest import problems
from ocppd.net.rest.problems import KINDS, Problem, is_known, problem_of, problem_of_end
from ocppd.storage.records import Direction, MessageRecord, MessageState

RECORD = MessageRecord(
    sequence=1,
    message_id="id",
    charger="CP1",
    direction=Direction.TO_CHARGER,
    action="ClearCache",
    state=MessageState.ERROR,
    created_ms=0,
    frame='[2,"id","ClearCache",{}]',
)

#: Errors that stop the start, and what only ever travels inside another error.
NO_PROBLEMS = {errors.OcppdError, errors.StartFailed, errors.ConfigurationError, errors.Violation, errors.CallFailed}

STATUSES: tuple[tuple[errors.OcppdError, int, str], ...] = (
    (errors.UnknownCharger("x"), 404, "unknown-charger"),
    (errors.UnknownMessage("x"), 404, "unknown-message"),
    (errors.UnknownTransaction("1"), 404, "unknown-transaction"),
    (errors.NotFound("x"), 404, "not-found"),
    (errors.InvalidPayload("Reset", ()), 422, "invalid-payload"),
    (errors.NotConnected("CP1"), 409, "not-connected"),
    (errors.NotPermitted("CP1", "Reset", "Pending"), 409, "not-permitted"),
    (errors.NotCancellable("CP1", "id", "sent"), 409, "not-cancellable"),
    (errors.QueueFull("CP1", 1), 429, "queue-full"),
    (errors.CallTimeout("CP1", "id", 30), 504, "timeout"),
    (errors.CallErrorReceived("CP1", "id", "NotSupported", "", {}), 502, "call-error"),
    (errors.InvalidResponse("CP1", "id", "x"), 502, "invalid-response"),
    (errors.CallExpired("CP1", "id"), 504, "expired"),
    (errors.CallCancelled("CP1", "id"), 409, "cancelled"),
    (errors.Disconnected("CP1", "id"), 409, "not-sent"),
    (errors.OutcomeUnknown("CP1", "id"), 504, "outcome-unknown"),
    (errors.StorageUnavailable("down"), 503, "storage-unavailable"),
    (problems.NoIdTag("x"), 404, "unknown-id-tag"),
    (problems.NoUnknownIdTag("x"), 404, "not-remembered"),
    (problems.InConfiguration("x"), 409, "in-configuration"),
    (problems.PreconditionFailed(), 412, "precondition-failed"),
)


def slug(problem: Problem) -> str:
    return str(problem.body["type"]).removeprefix(problems.PROBLEM_PREFIX)


class TableTests(SynchronousTestCase):
    """The table of kinds."""

    def test_errors(self) -> None:
        """Each error has its status and its name, and its text is the detail."""
        for error, status, name in STATUSES:
            problem = problem_of(error)
            self.assertEqual((problem.status, problem.body["status"], slug(problem)), (status, status, name))
            self.assertEqual(problem.body["detail"], str(error))
            self.assertTrue(problem.body["title"])

    def test_every_error_is_there(self) -> None:
        """An error that is added to the tree is added to the table, or said to be none of HTTP's business."""
        tree = {kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.OcppdError)}
        without = {kind for kind in tree - NO_PROBLEMS if not any(ancestor in KINDS for ancestor in kind.__mro__)}
        self.assertEqual(without, set())
        own = {kind for kind in vars(problems).values() if isinstance(kind, type) and issubclass(kind, problems.RequestError)}
        self.assertEqual(own - {problems.RequestError} - set(KINDS), set())

    def test_names_are_unique(self) -> None:
        """No two kinds share a name."""
        names = [kind.slug for kind in KINDS.values()]
        self.assertEqual(sorted(names), sorted(set(names)))

    def test_bugs_are_not_known(self) -> None:
        """What is not in the table is not told."""
        self.assertFalse(is_known(errors.OcppdError("secret")))
        self.assertFalse(is_known(errors.StartFailed("secret")))
        self.assertRaises(KeyError, problem_of, errors.OcppdError("secret"))


class MemberTests(SynchronousTestCase):
    """What a problem has beyond the usual."""

    def test_violations(self) -> None:
        """Every violation of a payload has its pointer."""
        code = errors.ErrorCode.TYPE_CONSTRAINT_VIOLATION
        violations = (errors.Violation(code, "/a/0", "no number"), errors.Violation(code, "", "no object"))
        self.assertEqual(
            problem_of(errors.InvalidPayload("Reset", violations)).body["errors"],
            [
                {"pointer": "/a/0", "detail": "no number", "code": "TypeConstraintViolation"},
                {"pointer": "", "detail": "no object", "code": "TypeConstraintViolation"},
            ],
        )

    def test_call_error(self) -> None:
        """A CALLERROR has the charger's code, and whose it is."""
        body = problem_of(errors.CallErrorReceived("CP1", "id", "NotSupported", "", {})).body
        self.assertEqual((body["charger"], body["messageId"], body["ocppErrorCode"]), ("CP1", "id", "NotSupported"))

    def test_charger(self) -> None:
        """A problem of a charger names it, and its message only where there is one."""
        self.assertEqual(problem_of(errors.UnknownCharger("x")).body["charger"], "x")
        self.assertEqual(problem_of(errors.QueueFull("CP1", 1)).body["charger"], "CP1")
        self.assertNotIn("messageId", problem_of(errors.QueueFull("CP1", 1)).body)

    def test_headers(self) -> None:
        """Headers say what to do next."""
        headers = (
            (errors.QueueFull("CP1", 1), "Retry-After"),
            (errors.StorageUnavailable("x"), "Retry-After"),
            (problems.NoSuchMethod(["GET"]), "Allow"),
            (problems.UpgradeRequired(), "Upgrade"),
            (problems.Unauthorized("x"), "WWW-Authenticate"),
            (problems.BodyTooLarge(1), "Connection"),
        )
        for error, name in headers:
            self.assertIn(name, problem_of(error).headers)
        self.assertEqual(dict(problem_of(errors.UnknownCharger("x")).headers), {})


class EndTests(SynchronousTestCase):
    """Calls that ended without a good answer."""

    def test_ends(self) -> None:
        """Each end is the problem that the same error is; `error` is told apart by the answer."""
        ends = (
            (replace(RECORD, state=MessageState.TIMEOUT, detail="did not answer"), 504, "timeout"),
            (replace(RECORD, state=MessageState.UNKNOWN), 504, "outcome-unknown"),
            (replace(RECORD, state=MessageState.EXPIRED), 504, "expired"),
            (replace(RECORD, state=MessageState.CANCELLED), 409, "cancelled"),
            (replace(RECORD, detail="lost"), 409, "not-sent"),
            (replace(RECORD, answer='[4,"id","InternalError","",{}]', outcome="InternalError"), 502, "call-error"),
            (replace(RECORD, answer='[3,"id",{}]', detail="invalid response: x"), 502, "invalid-response"),
        )
        for record, status, name in ends:
            problem = problem_of_end(record)
            self.assertEqual((problem.status, slug(problem)), (status, name))
            self.assertEqual((problem.body["charger"], problem.body["messageId"]), ("CP1", "id"))
            if record.detail is not None:
                self.assertEqual(problem.body["detail"], record.detail)

    def test_error_code(self) -> None:
        """Only a CALLERROR has a code."""
        failed = replace(RECORD, answer='[4,"id","InternalError","",{}]', outcome="InternalError")
        self.assertEqual(problem_of_end(failed).body["ocppErrorCode"], "InternalError")
        self.assertNotIn("ocppErrorCode", problem_of_end(RECORD).body)
