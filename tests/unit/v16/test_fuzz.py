"""Whatever the bytes: a message or a Violation, nothing else. REQUIREMENTS F-12, CASES FR-15."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ocppd.errors import InvalidPayload, Violation
from ocppd.v16.codec import build, decode, encode
from ocppd.v16.validation import check
from support import facts
from support.examples import example, for_each, kind_of, payload, places, with_

HOSTILE = (
    b"",
    b"\x00",
    b"\xff\xfe",
    b'{"idTag":NaN}',
    b'{"idTag":"\\u0000\\ud800\\udfff"}',
    b'{"\\ud800":1}',
    b'{"idTag":' + b"[" * 10_000 + b"]" * 10_000 + b"}",
    b'{"idTag":' + b'{"a":' * 10_000 + b"1" + b"}" * 10_000 + b"}",
    b'{"data":' + b"[" * 900 + b"]" * 900 + b',"vendorId":7}',
    b'{"connectorId":' + b"9" * 400 + b"}",
    b'{"connectorId":' + b"9" * 100_000 + b"}",
    b'{"connectorId":1e999999999999}',
    b'{"connectorId":-1e-999999999999}',
    b'{"limit":1e99999999999999999999999}',
    b'{"interval":0.' + b"9" * 100_000 + b"}",
    b'"\\ud800"',
    b"{}" * 3,
    b"[" * 100_000,
)

texts = st.text(st.characters(codec=None), max_size=30)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3), max_leaves=6
)
names = st.sampled_from(sorted(facts.MESSAGES))


def outcome(name: str, data: bytes, strict: bool) -> Any:
    """The message and its repairs, or the Violation."""
    try:
        return decode(kind_of(name), data, strict=strict)
    except Violation as violation:
        return violation


class FuzzTests(SynchronousTestCase):
    """decode under fire."""

    @settings(derandomize=True, deadline=None, database=None, max_examples=300)
    @given(names, st.binary(max_size=200), st.booleans())
    def test_any_bytes(self, name: str, data: bytes, strict: bool) -> None:
        """Arbitrary bytes never raise anything but Violation."""
        outcome(name, data, strict)

    @settings(derandomize=True, deadline=None, database=None, max_examples=1000)
    @given(st.data())
    def test_any_value_anywhere(self, data: st.DataObject) -> None:
        """Any JSON value in any place is read, mended or refused; what strict mode reads, tolerant mode reads alike."""
        name = data.draw(names)
        value = example(name)
        spots = [path for path, _ in places(name, value)] or [("x",)]
        for path in data.draw(st.lists(st.sampled_from(spots), max_size=2, unique=True)):
            try:
                value = with_(value, path, data.draw(values))
            except (KeyError, TypeError, IndexError):
                continue  # the second place stood in the first
        body = payload(value)
        strict, tolerant = outcome(name, body, True), outcome(name, body, False)
        self.assertEqual(isinstance(strict, Violation), bool(check(kind_of(name), value)))
        if not isinstance(strict, Violation):
            self.assertEqual((strict[0], strict[1]), (tolerant[0], ()))
            self.assertEqual(decode(kind_of(name), encode(strict[0]), strict=True)[0], strict[0])
        elif not isinstance(tolerant, Violation):
            again, repairs = decode(kind_of(name), encode(tolerant[0]), strict=False)
            self.assertEqual((again, repairs), (tolerant[0], ()))

    @settings(derandomize=True, deadline=None, database=None, max_examples=300)
    @given(names, values)
    def test_any_operators_value(self, name: str, value: Any) -> None:
        """build gives a message or InvalidPayload, whatever the value; what it gives can be sent."""
        try:
            message = build(kind_of(name), value)
        except InvalidPayload as invalid:
            self.assertTrue(invalid.violations)
        else:
            json.loads(encode(message))


@for_each(facts.MESSAGES)
class HostileTests(SynchronousTestCase):
    """Known evil."""

    def each_hostile_payload_fr_15(self, name: str) -> None:
        """Every known hostile payload is a message or a Violation with a clean text, in both modes."""
        for data in HOSTILE:
            for strict in (True, False):
                found = outcome(name, data, strict)
                if isinstance(found, Violation):
                    str(found).encode()
                    self.assertLess(len(str(found)), 255)
                else:
                    encode(found[0])
