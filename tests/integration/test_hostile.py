"""Anything a peer may send: no traceback, no lost connection that the specification keeps open, no lost answer.

The autouse fixture of tests/conftest.py fails each test that logs an error.
"""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
import pytest_twisted

from ocppd.v16.actions import ACTIONS
from support.central import chargers
from support.examples import example
from support.peer import Peer, connect, raw, upgrade, within

ensure = pytest_twisted.ensureDeferred
pytestmark = pytest.mark.usefixtures("both_ways")

ROUNDS = 60
#: Below the number of unreadable messages in a row that end a connection (F-10).
BATCH = 15
ODD_VALUES = (
    None,
    True,
    0,
    -1,
    2**31,
    2**63,
    10**400,
    1.5,
    -0.0,
    "",
    "x" * 600,
    "\u0000",
    "\ud800",
    "😀",
    [],
    {},
    [[]],
    {"a": {}},
    "NaN",
)


def mutated(chance: random.Random, value: Any) -> Any:
    """`value` with one thing wrong with it, somewhere."""
    if isinstance(value, dict) and value and chance.random() < 0.8:
        name = chance.choice(sorted(value))
        changed = dict(value)
        what = chance.randrange(4)
        if what == 0:
            del changed[name]
        elif what == 1:
            changed[name] = chance.choice(ODD_VALUES)
        elif what == 2:
            changed[name + "x"] = changed[name]
        else:
            changed[name] = mutated(chance, changed[name])
        return changed
    if isinstance(value, list) and value and chance.random() < 0.8:
        return [mutated(chance, value[0]), *value[1:]]
    return chance.choice(ODD_VALUES)


def hostile_frame(chance: random.Random, number: int) -> bytes:
    """A CALL of a charger, or of ours, that is somehow wrong; or bytes that never were one."""
    action = chance.choice(sorted(ACTIONS))
    frame: Any = [2, f"h{number}", action, example(f"{action}Request")]
    kind = chance.randrange(5)
    if kind == 0:
        frame[3] = mutated(chance, frame[3])
    elif kind == 1:
        frame[chance.randrange(4)] = chance.choice(ODD_VALUES)
    elif kind == 2:
        frame = mutated(chance, frame)
    elif kind == 3:
        frame = [chance.choice([3, 4]), f"h{number}", *chance.choices(ODD_VALUES, k=chance.randrange(4))]
    data = json.dumps(frame, default=str).encode()
    if kind == 4:
        cut = bytearray(data)
        for _ in range(chance.randrange(1, 6)):
            cut[chance.randrange(len(cut))] = chance.randrange(32, 127)
        data = bytes(cut[: chance.randrange(1, len(cut) + 1)])
    return data


async def answered(peer: Peer, message_id: str) -> list[Any]:
    """Send a Heartbeat; give what came before its answer."""
    peer.send([2, message_id, "Heartbeat", {}])
    before = []
    while (frame := await peer.frame())[1] != message_id:
        before.append(frame)
    assert frame[0] == 3, frame
    return before


@ensure
@pytest.mark.parametrize("mode", ["tolerant", "strict"])
async def test_hostile_frames(start: Any, mode: str) -> None:
    """Hundreds of wrong frames: each is answered as the specification says or ignored, and a Heartbeat always is answered."""
    chance = random.Random(f"hostile {mode}")
    peer = await connect(start(chargers("CP1", Mode=mode)).port)
    await peer.boot()
    codes = set()
    for number in range(ROUNDS):
        for _ in range(BATCH):
            number_of_frame = chance.randrange(10**9)
            peer.sendMessage(hostile_frame(chance, number_of_frame))
        for frame in await answered(peer, f"barrier{number}"):
            assert frame[0] in (3, 4), frame
            if frame[0] == 4:
                codes.add(frame[2])
                assert "Traceback" not in json.dumps(frame)
                assert len(frame[3]) <= 255
    assert codes <= {
        "NotImplemented", "NotSupported", "InternalError", "ProtocolError", "SecurityError", "FormationViolation",
        "PropertyConstraintViolation", "OccurenceConstraintViolation", "TypeConstraintViolation", "GenericError",
    }  # fmt: skip
    assert "InternalError" not in codes
    await peer.leave()


@ensure
async def test_garbage_instead_of_a_request(start: Any) -> None:
    """Bytes that are no HTTP, half a request, and a broken upgrade end their own connection and nothing else."""
    chance = random.Random("garbage")
    port = start().port
    for number in range(60):
        client = await raw(port)
        data = [
            chance.randbytes(chance.randrange(1, 400)),
            upgrade("/ocppj/1.6/CP1", "Sec-WebSocket-Protocol: ocpp1.6")[: chance.randrange(1, 150)],
            upgrade("/ocppj/1.6/CP1", f"Sec-WebSocket-Extensions: {chance.randbytes(8).hex()}; =;"),
            upgrade("/ocppj/1.6/CP1", "Origin: \x7f://", "Sec-WebSocket-Protocol: ocpp1.6"),
            b"\r\n\r\n",
            b"GET " + b"a" * 20_000,
            upgrade("/ocppj/1.6/CP1", "Sec-WebSocket-Protocol: ocpp1.6") + chance.randbytes(200),
        ][number % 7]
        client.write(data)
        client.transport.loseWriteConnection()  # type: ignore[union-attr]
        await within(client.lost)
    peer = await connect(port)
    assert (await peer.boot())["status"] == "Accepted"
    await peer.leave()
