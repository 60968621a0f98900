"""The newest messages that are kept in memory alone."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ocppd.central.connection import Exchange
from ocppd.central.recent import LEAST_BYTES, LONG_BYTES, PIECE_BYTES, RECENT_KEPT, Recent
from ocppd.ocppj.frames import Call

ANY_TEXT = st.text(st.characters(), max_size=20)


def heartbeat(number: int) -> Exchange:
    """One of these."""
    call = Call(f"hb-{number}", "Heartbeat", b"{}", b'"hb-%d"' % number)
    return Exchange(1_700_000_000_000 + number, call, b'[3,"hb-%d",{"currentTime":"2026-01-01T00:00:00Z"}]' % number)


def fat(size: int) -> Exchange:
    """A message with a payload of so many bytes."""
    return Exchange(1, Call("f", "DataTransfer", b'"%b"' % (b"x" * size), b'"f"'), b'[3,"f",{"status":"Accepted"}]')


class RecentTests(SynchronousTestCase):
    """`Recent`."""

    @given(st.integers(0, 2**62), ANY_TEXT, ANY_TEXT, st.binary(max_size=40), st.binary(max_size=40))
    def test_as_it_was(self, at_ms: int, message_id: str, action: str, payload: bytes, answer: bytes) -> None:
        """Whatever a message has, that is what is remembered of it; its id as JSON may be spelled in any way."""
        spelled = (json.dumps(message_id), json.dumps(message_id, ensure_ascii=False), f"  {message_id}", message_id)
        for wire in spelled:
            recent = Recent()
            exchange = Exchange(at_ms, Call(message_id, action, payload, wire.encode("utf-8", "surrogatepass")), answer)
            recent.remember("CP1", exchange)
            self.assertEqual(recent.of("CP1"), [exchange])
            self.assertEqual(list(recent.find(message_id)), [("CP1", exchange)])

    def test_finding_one(self) -> None:
        """A message is found by its whole id alone, and by no other part of it; between pieces others have their turn."""
        recent = Recent()
        for charger in range(5 * PIECE_BYTES // 20_000):
            recent.remember(f"CP{charger}", fat(10_000))
        recent.remember("CP8", heartbeat(77))
        recent.remember("CP9", heartbeat(7))
        digits = Exchange(1, Call("7", "Heartbeat", b"{}", b"7"), b'[3,7,{"currentTime":"2026-01-07T00:00:07Z"}]')
        recent.remember("CP10", digits)
        self.assertEqual([found for found in recent.find("hb-7") if found], [("CP9", heartbeat(7))])
        self.assertEqual([found for found in recent.find("7") if found], [("CP10", digits)])
        for text in ("b-7", "currentTime", "xxx", "hb-7hb-7", "CP9"):
            self.assertEqual(list(recent.find(text)), [None] * 2)

    def test_the_newest(self) -> None:
        """The newest fifty of a charger, the newest first; nothing of one that said nothing."""
        recent = Recent()
        for number in range(RECENT_KEPT + 7):
            recent.remember("CP1", heartbeat(number))
        self.assertEqual(recent.of("CP1"), [heartbeat(number) for number in range(RECENT_KEPT + 6, 6, -1)])
        self.assertEqual(recent.of("CP2"), [])

    def test_a_share(self) -> None:
        """The more chargers there are, the fewer messages of each; at least one of each, and all together within the bound."""
        recent = Recent(64 * 1024)
        for number in range(60):
            for charger in range(100):
                recent.remember(f"CP{charger}", heartbeat(number))
        kept = [len(recent.of(f"CP{charger}")) for charger in range(100)]
        self.assertEqual(set(kept), {kept[0]})
        self.assertTrue(1 < kept[0] < 10)
        for charger in (*range(2000), 0):
            recent.remember(f"CP{charger}", heartbeat(99))
        self.assertEqual(recent.of("CP0"), [heartbeat(99)])

    def test_long_ones(self) -> None:
        """A long message is kept without its payload, sooner among many chargers; one with a hostile name not at all."""
        recent = Recent(128 * 1024)
        recent.remember("CP1", fat(LONG_BYTES // 2))
        recent.remember("CP1", fat(LONG_BYTES))
        self.assertEqual([len(exchange.call.payload) for exchange in recent.of("CP1")], [2, LONG_BYTES // 2 + 2])
        recent.remember("CP2", Exchange(1, Call("f", "x" * LONG_BYTES, b"{}", b'"f"'), b""))
        self.assertEqual(recent.of("CP2"), [])
        for charger in range(1000):
            recent.remember(f"CP{charger}", heartbeat(1))
        recent.remember("CP7", fat(LEAST_BYTES))
        self.assertEqual([exchange.call.payload for exchange in recent.of("CP7")], [b"{}"])
