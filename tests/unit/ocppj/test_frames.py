"""OCPP-J frames: what is read, how it is answered, what is salvaged. REQUIREMENTS 1.5."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ocppd.errors import ErrorCode
from ocppd.ocppj.frames import (
    Call,
    CallError,
    CallResult,
    Malformed,
    Unreadable,
    call_error_frame,
    call_frame,
    call_result_frame,
    read,
)


class CallTests(SynchronousTestCase):
    """Calls of a charger."""

    def test_call(self) -> None:
        """A CALL is read into its parts, the payload untouched (F-2)."""
        call = read(b'[2,"19223201","BootNotification",{"chargePointVendor": "V"}]', strict=True)
        self.assertEqual(call, Call("19223201", "BootNotification", b'{"chargePointVendor": "V"}', b'"19223201"'))

    def test_null_payload_counts_as_empty(self) -> None:
        """A null payload is an empty one (F-3)."""
        self.assertEqual(read(b'[2,"1","Heartbeat",null]', strict=True), Call("1", "Heartbeat", b"{}", b'"1"'))

    def test_message_type_as_float(self) -> None:
        """2.0 is a message type, "2" is none (F-9)."""
        self.assertIsInstance(read(b'[2.0,"1","Heartbeat",{}]', strict=False), Call)
        with self.assertRaises(Unreadable) as ignored:
            read(b'["2","1","Heartbeat",{}]', strict=False)
        self.assertFalse(ignored.exception.counts)

    def test_byte_order_mark(self) -> None:
        """A leading byte order mark is tolerated (F-12)."""
        self.assertIsInstance(read(b'\xef\xbb\xbf[2,"1","Heartbeat",{}]', strict=True), Call)

    def test_id_lengths(self) -> None:
        """FR-10: 36 characters are read in any mode, 37 are refused in strict mode with the same id (F-7)."""
        for length, strict in ((36, True), (36, False), (37, False), (255, False)):
            call = read(b'[2,"%b","Heartbeat",{}]' % (b"x" * length), strict=strict)
            self.assertEqual(call.message_id, "x" * length)
        for length, strict in ((37, True), (256, False)):
            with self.assertRaises(Malformed) as refused:
                read(b'[2,"%b","Heartbeat",{}]' % (b"x" * length), strict=strict)
            self.assertEqual(refused.exception.wire_id, b'"%b"' % (b"x" * length))

    def test_numeric_id(self) -> None:
        """An id that is a number is echoed unchanged in tolerant mode and refused in strict mode (F-7)."""
        self.assertEqual(read(b'[2,1e3,"Heartbeat",{}]', strict=False).wire_id, b"1e3")
        with self.assertRaises(Malformed) as refused:
            read(b'[2,17,"Heartbeat",{}]', strict=True)
        self.assertEqual(refused.exception.wire_id, b"17")

    def test_empty_and_null_ids(self) -> None:
        """An empty id and null are refused with the id as received (F-7)."""
        for wire_id in (b'""', b"null"):
            with self.assertRaises(Malformed) as refused:
                read(b'[2,%b,"Heartbeat",{}]' % wire_id, strict=False)
            self.assertEqual(refused.exception.wire_id, wire_id)

    def test_wrong_shape(self) -> None:
        """FR-06: wrong arity, an action that is no text and a payload that is no object are Malformed with the id (F-11)."""
        for frame in (
            b'[2,"1","Heartbeat"]',
            b'[2,"1","Heartbeat",{},1]',
            b'[2,"1",7,{}]',
            b'[2,"1","Heartbeat",[]]',
            b'[2,"1","Heartbeat","{}"]',
            b'[2,"1"]',
        ):
            with self.assertRaises(Malformed) as refused:
                read(frame, strict=False)
            self.assertEqual(refused.exception.wire_id, b'"1"')

    def test_nan_is_salvaged(self) -> None:
        """FR-15: a payload with NaN is read with null in its place, in tolerant mode alone (F-12)."""
        frame = b'[2,"1","MeterValues",{"connectorId":1,"meterValue":[],"x":NaN}]'
        self.assertEqual(json.loads(read(frame, strict=False).payload)["x"], None)
        with self.assertRaises(Unreadable):
            read(frame, strict=True)

    def test_another_encoding(self) -> None:
        """RFC 6455 5.6: a text is UTF-8, and not JSON where it looks like another encoding (F-10)."""
        for strict in (False, True):
            for encoding in ("utf-16-le", "utf-16-be", "utf-32-le"):
                with self.assertRaises(Unreadable):
                    read('[2,"1","Heartbeat",{}]'.encode(encoding), strict=strict)

    def test_lone_surrogate_in_the_id(self) -> None:
        """An id with a lone surrogate is read in any mode, as it is JSON, and echoed as it came."""
        for strict in (False, True):
            call = read(b'[2,"\\ud800","Heartbeat",{}]', strict=strict)
            self.assertIsInstance(call, Call)
            self.assertEqual(call.wire_id, b'"\\ud800"')
            call.message_id.encode()


class ResponseTests(SynchronousTestCase):
    """Answers of a charger."""

    def test_call_result(self) -> None:
        """A CALLRESULT is read, with an absent or null payload as an empty one."""
        self.assertEqual(read(b'[3,"a",{"status":"Accepted"}]', strict=True), CallResult("a", b'{"status":"Accepted"}'))
        self.assertEqual(read(b'[3,"a",null]', strict=True), CallResult("a", b"{}"))
        self.assertEqual(read(b'[3,"a"]', strict=True), CallResult("a", b"{}"))

    def test_call_error_with_missing_parts(self) -> None:
        """FR-24: a CALLERROR of three or four elements, or with null details, is read (F-11)."""
        for frame in (b'[4,"a","NotSupported"]', b'[4,"a","NotSupported",""]', b'[4,"a","NotSupported","",null]'):
            self.assertEqual(read(frame, strict=True), CallError("a", "NotSupported", "", {}))

    def test_call_error_codes_of_another_version(self) -> None:
        """FR-24: codes of OCPP 2.0.1 are read as the names of 1.6, unknown ones as they are (F-11)."""
        self.assertEqual(read(b'[4,"a","FormatViolation","",{}]', strict=True).code, ErrorCode.FORMATION_VIOLATION)
        self.assertEqual(read(b'[4,"a","OccurrenceConstraintViolation"]', strict=True).code, "OccurenceConstraintViolation")
        self.assertEqual(read(b'[4,"a","Whatever","",{}]', strict=True).code, "Whatever")


class UnreadableTests(SynchronousTestCase):
    """What is no frame."""

    def test_unreadable(self) -> None:
        """FR-08: what is no JSON array of two elements is Unreadable and counts (F-10)."""
        for data in (b"{", b"5", b'"x"', b"{}", b"[]", b"[2]", b"\xff\xfe", b"[" * 10_000, b"nonsense"):
            with self.assertRaises(Unreadable) as unreadable:
                read(data, strict=False)
            self.assertTrue(unreadable.exception.counts)

    def test_other_message_types(self) -> None:
        """A message type other than 2, 3 and 4 is ignored and does not count (F-9)."""
        for data in (b'[1,"a"]', b'[5,"a",{}]', b'[null,"a",{}]', b'[{},"a",{}]'):
            with self.assertRaises(Unreadable) as ignored:
                read(data, strict=False)
            self.assertFalse(ignored.exception.counts)


class WritingTests(SynchronousTestCase):
    """Frames of ours."""

    def test_frames(self) -> None:
        """Frames are compact and complete (F-2, F-14)."""
        self.assertEqual(call_frame("id", "Reset", b'{"type":"Soft"}'), b'[2,"id","Reset",{"type":"Soft"}]')
        self.assertEqual(call_result_frame(b'"id"', b"{}"), b'[3,"id",{}]')
        self.assertEqual(call_error_frame(b'"id"', ErrorCode.NOT_IMPLEMENTED), b'[4,"id","NotImplemented","",{}]')

    def test_description_is_cut(self) -> None:
        """An errorDescription has at most 255 characters (E-2)."""
        frame = json.loads(call_error_frame(b"1", ErrorCode.GENERIC_ERROR, "x" * 300, {"path": "/a"}))
        self.assertEqual((len(frame[3]), frame[4]), (255, {"path": "/a"}))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


class FuzzTests(SynchronousTestCase):
    """Any bytes."""

    @given(data=st.binary(max_size=80) | JSON.map(lambda value: json.dumps(value).encode()), strict=st.booleans())
    def test_nothing_else_is_raised(self, data: bytes, strict: bool) -> None:
        """Whatever the bytes are, reading gives a frame, Unreadable or Malformed."""
        try:
            frame = read(data, strict=strict)
        except (Unreadable, Malformed):
            return
        self.assertIsInstance(frame, Call | CallResult | CallError)

    @given(kind=st.sampled_from([2, 3, 4]), elements=st.lists(JSON, max_size=4))
    def test_an_answer_can_always_be_written(self, kind: int, elements: list[object]) -> None:
        """Whatever id was readable, the answer that echoes it is JSON."""
        try:
            frame = read(json.dumps([kind, *elements]).encode(), strict=False)
        except Malformed as malformed:
            json.loads(call_error_frame(malformed.wire_id, ErrorCode.FORMATION_VIOLATION, malformed.reason))
        except Unreadable:
            return
        else:
            if isinstance(frame, Call):
                json.loads(call_result_frame(frame.wire_id, b"{}"))
