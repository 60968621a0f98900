"""A central system that does what a test tells it, on Autobahn and our frames: a real peer for the simulator."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from autobahn.websocket.types import ConnectionDeny
from twisted.internet.defer import Deferred, maybeDeferred

from ocppd.errors import ErrorCode
from ocppd.ocppj.frames import Call, CallError, CallResult, call_error_frame, call_frame, call_result_frame, read

#: Long enough for a machine that is busy with other things.
PATIENCE_S = 20
TIME = "2030-01-01T00:00:00Z"

Answer = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answering function returns this to answer CALLERROR."""

    code: ErrorCode = ErrorCode.INTERNAL_ERROR


#: An answering function returns this to answer nothing.
NOTHING = object()


class Connection(WebSocketServerProtocol):
    """One charger's connection."""

    factory: Any

    def onConnect(self, request: Any) -> str | None:
        self.path = request.path
        self.authorization = request.headers.get("authorization")
        if self.factory.central.refuse is not None:
            raise ConnectionDeny(self.factory.central.refuse, "refused by the test")
        return "ocpp1.6" if "ocpp1.6" in request.protocols else None

    def onOpen(self) -> None:
        self.waiting: dict[str, Deferred[CallResult | CallError]] = {}
        self.factory.central.opened += 1
        self.factory.central.connections.append(self)
        self.factory.central.changed()

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        frame = read(payload, strict=True)
        if isinstance(frame, Call):
            self.factory.central.called(self, frame)
        else:
            self.waiting.pop(frame.message_id).callback(frame)
        self.factory.central.changed()

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        self.factory.central.closed.add(code)
        if self in self.factory.central.connections:
            self.factory.central.connections.remove(self)
        self.factory.central.changed()

    def close(self, code: int, reason: str) -> None:
        """Close with any code, those too that Autobahn reserves for itself."""
        self.sendCloseFrame(code=code, reasonUtf8=reason.encode())

    def call(self, action: str, payload: Any = None) -> Deferred[CallResult | CallError]:
        """Call the charger; the Deferred gives its answer."""
        message_id = f"c{next(self.factory.central.ids)}"
        answered: Deferred[CallResult | CallError] = Deferred()
        self.waiting[message_id] = answered
        self.sendMessage(call_frame(message_id, action, json.dumps(payload or {}).encode()))
        return answered


class ScriptedCentralSystem:
    """Listens on 127.0.0.1, with `tls` (a context factory) on wss.

    Accepts every charger and every tag until `answers` says something else.
    """

    def __init__(self, reactor: Any, tls: Any = None) -> None:
        self._reactor = reactor
        self._tls = tls
        self._waiting: list[tuple[Callable[[], bool], Deferred[None]]] = []
        self._transactions = itertools.count(1)
        self.ids = itertools.count(1)
        self.connections: list[Connection] = []
        self.received: list[tuple[str, Any]] = []
        self.opened = 0
        self.closed: set[int | None] = set()
        self.refuse: int | None = None
        accepted = {"status": "Accepted"}
        self.answers: dict[str, Answer] = {
            "BootNotification": lambda _: {"status": "Accepted", "currentTime": TIME, "interval": 300},
            "Heartbeat": lambda _: {"currentTime": TIME},
            "Authorize": lambda _: {"idTagInfo": accepted},
            "StartTransaction": lambda _: {"idTagInfo": accepted, "transactionId": next(self._transactions)},
            "SignCertificate": lambda _: accepted,
            "DataTransfer": lambda _: accepted,
        }
        factory = WebSocketServerFactory(protocols=["ocpp1.6"], reactor=reactor)
        factory.protocol = Connection
        factory.central = self
        factory.noisy = False
        # Closing timers of Autobahn are rounded down to whole seconds: one second may be none.
        factory.setProtocolOptions(failByDrop=False, openHandshakeTimeout=0, closeHandshakeTimeout=0)
        self._factory = factory
        self.listen(0)

    def listen(self, port: int) -> None:
        """Accept connections."""
        listen = self._reactor.listenTCP if self._tls is None else partial(self._reactor.listenSSL, contextFactory=self._tls)
        self._port = listen(port, self._factory, interface="127.0.0.1")
        self.port = self._port.getHost().port

    @property
    def url(self) -> str:
        """What a charger connects to, without its name."""
        scheme = "ws" if self._tls is None else "wss"
        return f"{scheme}://127.0.0.1:{self.port}/ocppj/1.6"

    @property
    def connection(self) -> Connection:
        """The newest connection."""
        return self.connections[-1]

    def payloads(self, action: str) -> list[Any]:
        """The payloads of all calls of `action`, in order."""
        return [payload for received, payload in self.received if received == action]

    @property
    def actions(self) -> list[str]:
        """The actions of all calls, in order."""
        return [action for action, _ in self.received]

    def called(self, connection: Connection, call: Call) -> None:
        """A charger called: record it and answer."""
        payload = json.loads(call.payload)
        self.received.append((call.action, payload))
        answer = self.answers.get(call.action, lambda _: {})(payload)
        if isinstance(answer, Refusal):
            connection.sendMessage(call_error_frame(call.wire_id, answer.code, "refused by the test"))
        elif answer is not NOTHING:
            connection.sendMessage(call_result_frame(call.wire_id, json.dumps(answer).encode()))

    def changed(self) -> None:
        """Something happened: whoever waits looks again."""
        for waiting in [each for each in self._waiting if each[0]()]:
            self._waiting.remove(waiting)
            waiting[1].callback(None)

    def until(self, condition: Callable[[], bool]) -> Deferred[None]:
        """Fires as soon as `condition()` holds; looked at whenever a message came or a connection changed."""
        waiting: Deferred[None] = Deferred()
        self._waiting.append((condition, waiting))
        self.changed()
        return waiting.addTimeout(PATIENCE_S, self._reactor)

    def until_received(self, action: str, count: int = 1) -> Deferred[None]:
        """Fires when `action` was called `count` times."""
        return self.until(lambda: len(self.payloads(action)) >= count)

    async def deaf(self) -> None:
        """Stop listening, cut all connections."""
        await maybeDeferred(self._port.stopListening)
        for connection in list(self.connections):
            connection.dropConnection(abort=True)
        await self.until(lambda: not self.connections)

    async def stop(self) -> None:
        """The end."""
        await self.deaf()
