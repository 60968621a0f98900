"""A dialogue as certification runs it: a charge point that says and hears frames in order, and an operator at the same port."""

from __future__ import annotations

import json
from typing import Any

from support.central import Running
from support.peer import Peer, Response, connect, raw, within
from support.rest import Answered


async def http(port: int, method: str, path: str, body: Any = None, **headers: str) -> Answered:
    """One HTTP request; anything but None is sent as JSON."""
    data = b"" if body is None else json.dumps(body).encode()
    whole = {"Host": f"127.0.0.1:{port}", "Connection": "close", "Content-Length": str(len(data))}
    if data:
        whole["Content-Type"] = "application/json"
    whole |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in whole.items())]
    client = await raw(port)
    client.write("\r\n".join(lines).encode() + b"\r\n\r\n" + data)
    response = Response(await within(client.lost))
    return Answered(response.status, response.body, dict(response.headers))


class Dialogue:
    """One charge point and one operator, and what they say in order."""

    def __init__(self, daemon: Running, peer: Peer, name: str) -> None:
        self.daemon = daemon
        self.peer = peer
        self.name = name

    @classmethod
    async def begin(cls, daemon: Running, name: str = "CP1", *, boot: bool = True) -> Dialogue:
        """Connect, and boot unless it is not to."""
        peer = await connect(daemon.port, f"/ocppj/1.6/{name}")
        dialogue = cls(daemon, peer, name)
        if boot:
            assert (await peer.boot())["status"] == "Accepted"
        return dialogue

    async def again(self) -> Dialogue:
        """Leave, connect again, and go on without a boot."""
        await self.peer.leave()
        return await Dialogue.begin(self.daemon, self.name, boot=False)

    # The charge point

    async def says(self, action: str, **payload: Any) -> Any:
        """The charge point sends a CALL and is given its CALLRESULT, whose payload this is."""
        answer = await self.peer.call(action, payload)
        assert answer[0] == 3, answer
        return answer[2]

    async def status(self, status: str, connector_id: int = 1, error: str = "NoError") -> None:
        """A StatusNotification."""
        assert await self.says("StatusNotification", connectorId=connector_id, status=status, errorCode=error) == {}

    async def hears(self, action: str) -> tuple[str, Any]:
        """The next frame is our CALL of this action: its id and payload."""
        frame = await self.peer.frame()
        assert (frame[0], frame[2]) == (2, action), frame
        return frame[1], frame[3]

    async def answers(self, action: str, **payload: Any) -> Any:
        """The next frame is our CALL of this action, and is answered so; gives what it asked."""
        message_id, asked = await self.hears(action)
        self.peer.send([3, message_id, payload])
        return asked

    # The operator

    async def http(self, method: str, path: str, body: Any = None, **headers: str) -> Answered:
        """A request to the same port."""
        return await http(self.daemon.port, method, path, body, **headers)

    async def get(self, path: str) -> Any:
        """What is there."""
        answer = await self.http("GET", f"/api/v1{path}")
        assert answer.status == 200, answer
        return answer.json

    async def command(self, action: str, **payload: Any) -> str:
        """The operator has a call sent; its message id."""
        answer = await self.http("POST", f"/api/v1/chargers/{self.name}/commands/{action}", payload)
        assert answer.status == 202, answer
        return str(answer.json["messageId"])

    async def outcome(self, message_id: str) -> Any:
        """The message, once the charge point's answer has been recorded: it must have been sent by now."""
        await self.peer.silence()
        storage = self.daemon.service._storage
        assert storage is not None
        await storage.check()
        return await self.get(f"/messages/{message_id}")
