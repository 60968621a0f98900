"""The session: pairing, one outstanding call, repeats, limits. REQUIREMENTS 1.5 and 1.6."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ocppd.ocppj.frames import Call, CallError, CallResult, call_frame, call_result_frame, read_at_once
from ocppd.ocppj.session import (
    ABANDONED_KEPT,
    INBOUND_LIMIT,
    LEAST_REPEATS,
    REPEATS_KEPT,
    REPEATS_KEPT_S,
    REPEATS_SLACK,
    UNREADABLE_LIMIT,
    Answered,
    CallReceived,
    Close,
    Ignored,
    Memory,
    Odd,
    Refused,
    Send,
    Session,
    Stray,
)

ANSWER = b'[3,"1",{}]'


def heartbeat(message_id: str = "1") -> bytes:
    return call_frame(message_id, "Heartbeat", b"{}")


def received(session: Session, data: bytes, now: float = 0.0) -> Call:
    [event] = session.receive(data, now)
    assert isinstance(event, CallReceived)
    return event.call


def call(message_id: str) -> Call:
    """A heartbeat that can be run."""
    found = read_at_once(heartbeat(message_id))
    assert found is not None
    return found


class SettledTests(SynchronousTestCase):
    """Calls of the peer that are answered at once."""

    def test_once(self) -> None:
        """It is answered, and kept for its repeat (F-6); the repeat goes the ordinary way, and has the same answer."""
        session, first = Session(), call("1")
        self.assertTrue(session.settle(first, ANSWER, 0))
        self.assertIsNone(session.current)
        self.assertFalse(session.settle(first, b"another", 1))
        self.assertEqual(session.called(first, 1), [Send(ANSWER), Odd("message-id-repeated")])
        self.assertTrue(session.settle(call("2"), ANSWER, 1))

    def test_not_while_another_is_in_progress(self) -> None:
        """Calls are answered in order (S-4)."""
        session = Session()
        first = received(session, heartbeat("1"))
        self.assertFalse(session.settle(call("2"), ANSWER, 0))
        session.answered(first, b"a1", 0)
        self.assertTrue(session.settle(call("2"), ANSWER, 0))

    def test_as_many_are_kept(self) -> None:
        """Their answers are forgotten like others (F-6)."""
        session = Session()
        for number in range(10 * REPEATS_KEPT):
            self.assertTrue(session.settle(call(str(number)), ANSWER, number / 100))
        newest = call(str(10 * REPEATS_KEPT - 1))
        self.assertEqual(session.called(newest, 20), [Send(ANSWER), Odd("message-id-repeated")])
        self.assertTrue(session.settle(call("0"), ANSWER, 20))


class InboundTests(SynchronousTestCase):
    """Calls of the peer."""

    def test_one_at_a_time_in_order(self) -> None:
        """Calls that overlap are given out one after the other, in order of arrival (S-4)."""
        session = Session()
        first = received(session, heartbeat("1"))
        self.assertEqual(session.receive(heartbeat("2"), 0), [Odd("calls-overlap")])
        self.assertEqual(session.receive(heartbeat("3"), 0), [Odd("calls-overlap")])
        send, second = session.answered(first, b"a1", 0)
        self.assertEqual(send, Send(b"a1"))
        assert isinstance(second, CallReceived)
        self.assertEqual(second.call.message_id, "2")
        _, third = session.answered(second.call, b"a2", 0)
        assert isinstance(third, CallReceived)
        self.assertEqual(session.answered(third.call, b"a3", 0), [Send(b"a3")])
        self.assertIsNone(session.current)

    def test_too_many_waiting(self) -> None:
        """A peer that does not wait for answers is closed with 1008 beyond the limit (S-4)."""
        session = Session()
        received(session, heartbeat("first"))
        for number in range(INBOUND_LIMIT):
            self.assertEqual(session.receive(heartbeat(str(number)), 0), [Odd("calls-overlap")])
        [event] = session.receive(heartbeat("one more"), 0)
        assert isinstance(event, Close)
        self.assertEqual(event.code, 1008)

    def test_repeat_of_an_answered_call(self) -> None:
        """FR-12: the identical frame gets the identical answer and is not run again (F-6)."""
        session = Session()
        session.answered(received(session, heartbeat()), ANSWER, 0)
        self.assertEqual(session.receive(heartbeat(), 1), [Send(ANSWER), Odd("message-id-repeated")])

    def test_an_error_is_not_repeated(self) -> None:
        """A retry after a CALLERROR is run again: it is made because the first one failed (E-1)."""
        session = Session()
        session.answered(received(session, heartbeat()), b'[4,"1","InternalError","",{}]', 0)
        self.assertIsInstance(session.receive(heartbeat(), 1)[0], CallReceived)

    def test_repeat_of_a_call_in_progress(self) -> None:
        """A repeat while the first is in progress is answered once, by the first (F-6)."""
        session = Session()
        call = received(session, heartbeat())
        self.assertIsInstance(session.receive(heartbeat(), 0)[0], Ignored)
        self.assertEqual(session.answered(call, ANSWER, 0), [Send(ANSWER)])

    def test_same_id_with_other_content(self) -> None:
        """The same id with another payload is a new call, whose answer is the one that is repeated (F-6)."""
        session = Session()
        first = received(session, call_frame("1", "Authorize", b'{"idTag":"A"}'))
        odd = session.receive(call_frame("1", "Authorize", b'{"idTag":"B"}'), 0)
        self.assertEqual(odd, [Odd("message-id-reused"), Odd("calls-overlap")])
        _, second = session.answered(first, b'[3,"1",{"for":"A"}]', 0)
        assert isinstance(second, CallReceived)
        self.assertEqual(second.call.payload, b'{"idTag":"B"}')
        session.answered(second.call, b'[3,"1",{"for":"B"}]', 0)
        again = session.receive(call_frame("1", "Authorize", b'{"idTag":"B"}'), 0)
        self.assertEqual(again[0], Send(b'[3,"1",{"for":"B"}]'))

    def test_ids_that_are_written_otherwise(self) -> None:
        """A number and a text, or two halves of characters, are different ids (F-7): no answer has the other one's."""
        session = Session()
        for wire_id in (b"1", b'"1"', rb'"\ud800"', rb'"\udfff"'):
            frame = b'[2,%b,"Heartbeat",{}]' % wire_id
            first, *_ = session.receive(frame, 0)
            assert isinstance(first, CallReceived)
            answer = call_result_frame(first.call.wire_id, b"{}")
            self.assertEqual(answer, b"[3,%b,{}]" % wire_id)
            session.answered(first.call, answer, 0)
            self.assertEqual(session.receive(frame, 1), [Send(answer), Odd("message-id-repeated")])

    def test_repeats_are_forgotten(self) -> None:
        """A repeat is run again after ten minutes, and when a hundred others came in between (F-6)."""
        session = Session()
        session.answered(received(session, heartbeat()), ANSWER, 0)
        self.assertIsInstance(session.receive(heartbeat(), REPEATS_KEPT_S + 1)[0], CallReceived)
        session = Session()
        session.answered(received(session, heartbeat("old")), ANSWER, 0)
        for number in range(int(REPEATS_KEPT * (1 + REPEATS_SLACK)) + 1):
            session.answered(received(session, heartbeat(str(number))), ANSWER, 0)
        self.assertIsInstance(session.receive(heartbeat("old"), 0)[0], CallReceived)

    def test_repeats_of_many_sessions(self) -> None:
        """Sessions that share a memory keep fewer answers the more they are, and at least the last ten."""
        memory = Memory()
        session = Session(memory=memory)
        for sessions, kept in ((1, REPEATS_KEPT), (2_000, 50), (10_000, LEAST_REPEATS), (50_000, LEAST_REPEATS)):
            memory.share(sessions)
            last = 2 * REPEATS_KEPT
            for number in range(last + 1):
                session.answered(received(session, heartbeat(f"{sessions}-{number}")), ANSWER, 0)
            answers = [session.receive(heartbeat(f"{sessions}-{last - back}"), 0)[0] for back in range(kept)]
            self.assertEqual(answers, [Send(ANSWER)] * kept)
            self.assertIsInstance(session.receive(heartbeat(f"{sessions}-{last - memory.most}"), 0)[0], CallReceived)
            session.answered(session.current, ANSWER, 0)

    def test_malformed_calls_are_answered(self) -> None:
        """FR-06: a CALL of the wrong shape is answered FormationViolation with its id (F-11)."""
        [event] = Session().receive(b'[2,"1","Heartbeat"]', 0)
        assert isinstance(event, Refused)
        self.assertEqual(json.loads(event.frame)[:3], [4, "1", "FormationViolation"])

    def test_unreadable_in_a_row(self) -> None:
        """FR-08: unreadable messages are ignored, twenty in a row close with 1002, a readable one starts anew (F-10)."""
        session = Session()
        for _ in range(UNREADABLE_LIMIT - 1):
            self.assertEqual([type(event) for event in session.receive(b"{", 0)], [Ignored])
        session.answered(received(session, heartbeat()), b"", 0)
        for _ in range(UNREADABLE_LIMIT - 1):
            session.receive(b"[]", 0)
        *_, close = session.receive(b"5", 0)
        assert isinstance(close, Close)
        self.assertEqual(close.code, 1002)

    def test_other_message_types_do_not_count(self) -> None:
        """An unknown message type and an empty message are ignored, however many come (F-1, F-9)."""
        session = Session()
        for data in (b'[9,"a",{}]', b"") * UNREADABLE_LIMIT:
            self.assertEqual([type(event) for event in session.receive(data, 0)], [Ignored])


class OutboundTests(SynchronousTestCase):
    """Our calls."""

    def test_answer(self) -> None:
        """The answer to the outstanding call frees the slot."""
        session = Session()
        session.reserve("a")
        self.assertEqual(session.receive(b'[3,"a",{}]', 0), [Answered(CallResult("a", b"{}"), late=False)])
        self.assertIsNone(session.outstanding)

    def test_calls_cross(self) -> None:
        """FR-19: calls of the peer are given out while ours is outstanding, which stays so (S-2)."""
        session = Session()
        session.reserve("a")
        for number in range(3):
            session.answered(received(session, heartbeat(str(number))), b"", 0)
        self.assertEqual(session.outstanding, "a")
        self.assertIsInstance(session.receive(b'[4,"a","GenericError","",{}]', 0)[0], Answered)

    def test_strays(self) -> None:
        """FR-18: an answer to nothing of ours is a stray and touches no call (F-8)."""
        session = Session()
        session.reserve("a")
        for frame in (b'[3,"zzz",{}]', b'[4,"zzz","X","",{}]', b'[4,"-1","GenericError","",{}]'):
            self.assertIsInstance(session.receive(frame, 0)[0], Stray)
        self.assertEqual(session.outstanding, "a")

    def test_late_answer(self) -> None:
        """FR-21: the answer after the timeout is late, once, and leaves the next call alone (F-8)."""
        session = Session()
        session.reserve("a")
        session.timed_out("a")
        session.reserve("b")
        self.assertEqual(session.receive(b'[3,"a",{}]', 0), [Answered(CallResult("a", b"{}"), late=True)])
        self.assertIsInstance(session.receive(b'[3,"a",{}]', 0)[0], Stray)
        self.assertEqual(session.outstanding, "b")

    def test_timed_out_calls_are_bounded(self) -> None:
        """Only so many timed-out calls are remembered."""
        session = Session()
        for number in range(ABANDONED_KEPT + 1):
            session.reserve(str(number))
            session.timed_out(str(number))
        self.assertIsInstance(session.receive(b'[3,"0",{}]', 0)[0], Stray)
        self.assertIsInstance(session.receive(b'[3,"1",{}]', 0)[0], Answered)

    def test_released_slot(self) -> None:
        """A call that was never written gives its slot back."""
        session = Session()
        session.reserve("a")
        session.release("a")
        session.reserve("b")
        session.release("a")
        self.assertEqual(session.outstanding, "b")


class BackToBackTests(SynchronousTestCase):
    """Two sessions, one at either end."""

    def test_both_call_at_once(self) -> None:
        """Two ends that call each other at the same moment both get their answer."""
        ends = {"a": Session(), "b": Session(strict=True)}
        frames = []
        for end in ends:
            ends[end].reserve(f"from {end}")
            frames.append((end, call_frame(f"from {end}", "Heartbeat", b"{}")))
        answered = set()
        while frames:
            sender, frame = frames.pop(0)
            other = "b" if sender == "a" else "a"
            for event in ends[other].receive(frame, 0):
                if isinstance(event, CallReceived):
                    answer = call_result_frame(event.call.wire_id, b"{}")
                    frames += [
                        (other, send.frame) for send in ends[other].answered(event.call, answer, 0) if isinstance(send, Send)
                    ]
                else:
                    assert isinstance(event, Answered)
                    answered.add(event.result.message_id)
        self.assertEqual(answered, {"from a", "from b"})


FRAMES = st.one_of(
    st.binary(max_size=40),
    st.builds(call_frame, st.text("abc", max_size=2), st.sampled_from(["Heartbeat", "Reset"]), st.just(b"{}")),
    st.builds(lambda i: b'[3,"%b",{}]' % i, st.sampled_from([b"a", b"b", b"x"])),
    st.builds(lambda i: b'[4,"%b","GenericError","",{}]' % i, st.sampled_from([b"a", b"b", b"x"])),
)


class FuzzTests(SynchronousTestCase):
    """Any frames in any order."""

    @given(st.lists(FRAMES, max_size=60), st.lists(st.booleans(), min_size=60, max_size=60))
    def test_any_frames(self, frames: list[bytes], answers: list[bool]) -> None:
        """Whatever comes: nothing is raised, one call is in progress at most, and only ours is answered."""
        session = Session()
        session.reserve("a")
        in_progress: list[Call] = []
        for frame, answer in zip(frames, answers, strict=False):
            for event in session.receive(frame, 0):
                if isinstance(event, CallReceived):
                    in_progress.append(event.call)
                if isinstance(event, Answered):
                    assert isinstance(event.result, CallResult | CallError)
                    self.assertEqual(event.result.message_id, "a")
            self.assertLessEqual(len(in_progress), 1)
            if answer and in_progress:
                events = session.answered(in_progress.pop(), b"[3]", 0)
                self.assertEqual(events[0], Send(b"[3]"))
                in_progress += [event.call for event in events[1:] if isinstance(event, CallReceived)]


class FatCallTests(SynchronousTestCase):
    """What waits is bounded in bytes too."""

    def test_bytes_that_wait(self) -> None:
        """Fat calls that overlap are closed with 1008 before their number is; what was worked off counts no more (S-4)."""
        session = Session()
        fat = [call_frame(str(number), "DataTransfer", b'{"a":"%b"}' % (b"x" * 4_000_000)) for number in range(5)]
        first = received(session, fat[0])
        self.assertEqual([session.receive(data, 0) for data in fat[1:3]], [[Odd("calls-overlap")]] * 2)
        [event] = session.receive(fat[3], 0)
        assert isinstance(event, Close)
        self.assertEqual(event.code, 1008)
        session.answered(first, b"", 0)
        self.assertEqual(session.receive(fat[4], 0), [Odd("calls-overlap")])
