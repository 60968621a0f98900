"""A charge point for threads: a plain socket that blocks. Knows no reactor and no event loop."""

from __future__ import annotations

import contextlib
import json
import socket
from typing import Any, Self

from support.peer import Response, upgrade
from support.wire import CLOSE, OFFER, TEXT, frame, frames_of

PATIENCE_S = 30.0


class Closed(Exception):
    """The connection has ended: `code` is that of the close frame, None where there was none."""

    def __init__(self, code: int | None) -> None:
        super().__init__(f"closed with {code}")
        self.code = code


class Refused(Exception):
    """The handshake was refused with this HTTP status."""

    def __init__(self, status: int) -> None:
        super().__init__(f"refused with {status}")
        self.status = status


def connect(port: int) -> socket.socket:
    """A TCP connection."""
    return socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)


class Charger:
    """One WebSocket, on a TCP connection that is there or a new one. A context manager that ends it.

    Raises Refused, and OSError where there is no port.
    """

    def __init__(self, port: int, name: str, connection: socket.socket | None = None) -> None:
        self.name = name
        self._received = b""
        self._frames: list[tuple[int, bytes]] = []
        self._asked = 0
        self._socket = connection or connect(port)
        try:
            self._socket.sendall(upgrade(f"/ocppj/1.6/{name}", OFFER))
            while b"\r\n\r\n" not in self._received:
                self._read()
            head, _, self._received = self._received.partition(b"\r\n\r\n")
            status = Response(head + b"\r\n\r\n").status
            if status != 101:
                raise Refused(status)
        except BaseException:
            self._socket.close()
            raise

    def call(self, action: str, payload: dict[str, Any]) -> Any:
        """Send a CALL and wait for its answer. Raises Closed."""
        self._asked += 1
        self.send([2, str(self._asked), action, payload])
        while True:
            found = self.receive()
            if found[1] == str(self._asked):
                return found

    def boot(self) -> None:
        """BootNotification, accepted."""
        answer = self.call("BootNotification", {"chargePointVendor": "Vendor", "chargePointModel": "Model"})
        assert answer[2]["status"] == "Accepted", answer

    def send(self, message: Any) -> None:
        """Send a message. Raises Closed."""
        self._write(frame(TEXT, json.dumps(message).encode()))

    def receive(self) -> Any:
        """The next message that comes. Raises Closed."""
        while True:
            while not self._frames:
                whole = frames_of(self._received)
                self._received = self._received[sum(_size(payload) for _, payload in whole) :]
                self._frames += whole
                if not whole:
                    self._read()
            opcode, payload = self._frames.pop(0)
            if opcode == TEXT:
                return json.loads(payload)
            if opcode == CLOSE:
                self._write(frame(CLOSE, payload))
                self._socket.close()
                raise Closed(int.from_bytes(payload[:2], "big"))

    def close_code(self) -> int | None:
        """Wait until the other side closes; its code."""
        try:
            while True:
                self.receive()
        except Closed as closed:
            return closed.code

    def _write(self, data: bytes) -> None:
        # Where it is gone, what had come before is still to be read, above all a close frame.
        with contextlib.suppress(OSError):
            self._socket.sendall(data)

    def _read(self) -> None:
        try:
            data = self._socket.recv(65536)
        except ConnectionError:
            data = b""
        if not data:
            raise Closed(None)
        self._received += data

    def fileno(self) -> int:
        """The descriptor of its socket, for `select`."""
        return self._socket.fileno()

    def close(self) -> None:
        """End it without a word."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _size(payload: bytes) -> int:
    """The bytes of a server's frame with this payload."""
    return len(payload) + (2 if len(payload) < 126 else 4 if len(payload) < 65536 else 10)
