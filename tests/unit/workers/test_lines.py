"""Bytes as lines."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ocppd.workers.lines import CUT_MARK, LONGEST_LINE_BYTES, Lines


class LinesTests(SynchronousTestCase):
    """`Lines`."""

    @given(st.lists(st.text(st.characters(exclude_characters="\n\r", exclude_categories=["Cs"]), max_size=20)), st.data())
    def test_in_any_pieces(self, lines: list[str], data: st.DataObject) -> None:
        """However the bytes come, the lines are the same, and none is given before it is complete."""
        whole = "".join(f"{line}\n" for line in lines).encode()
        cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=5)))
        pieces = [whole[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
        collector = Lines()
        self.assertEqual([line for piece in pieces for line in collector.feed(piece)], lines)
        self.assertEqual(collector.end(), [])

    def test_last_line(self) -> None:
        """A line that was never ended is given at the end, once."""
        collector = Lines()
        self.assertEqual(collector.feed(b"one\r\ntw"), ["one"])
        self.assertEqual(collector.end(), ["tw"])
        self.assertEqual(collector.end(), [])

    def test_too_long(self) -> None:
        """A line beyond the limit is cut, whether it comes at once or in pieces; the next one is whole again."""
        cut = "x" * LONGEST_LINE_BYTES + CUT_MARK
        self.assertEqual(Lines().feed(b"x" * (LONGEST_LINE_BYTES + 1) + b"\nnext\n"), [cut, "next"])
        collector = Lines()
        found = [line for _ in range(1000) for line in collector.feed(b"x" * 1000)]
        self.assertEqual(found, [cut])
        self.assertEqual(collector.feed(b"xx\nnext\n"), ["next"])

    def test_longest(self) -> None:
        """A line of just the limit is whole."""
        self.assertEqual(Lines().feed(b"x" * LONGEST_LINE_BYTES + b"\n"), ["x" * LONGEST_LINE_BYTES])

    def test_no_text(self) -> None:
        """Bytes that are no UTF-8 are shown."""
        self.assertEqual(Lines().feed(b"a\xff\n"), ["a\\xff"])
