"""What Autobahn gives every connection at its start, and hardly any needs: held once for all, or made when it is asked for.

Of some ninety attributes a connection changes a dozen in its life. The others become attributes of the class, which `slimmed`
reads off a connection that Autobahn has made: with them a connection is 250 bytes in place of 5 KiB, and made in a tenth of
the time. What is not known here by its kind or by its name stays as Autobahn has it, and so does then everything.

The parts of Autobahn that are touched here and are not documented: `_connectionMade`, `_connectionLost` and `_onOpen`
(overridden), `__init__` and those that `LATE` names; of Twisted `logstr` and `repstr`.
"""

from __future__ import annotations

from contextlib import suppress
from types import FunctionType, NoneType
from typing import Any, Final, TypeVar, cast

from autobahn.websocket.protocol import WebSocketProtocol
from autobahn.websocket.utf8validator import Utf8Validator
from twisted.internet import tcp
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from ocppd.net.fast_frames import MASKED, TWO_BYTES, unmasked

log = Logger()

#: FIN and opcode 10.
PONG: Final = 0x8A
#: Two bytes of head and four of mask.
PONG_HEAD: Final = 6

T = TypeVar("T")

#: Values that all connections may share.
SHARED: Final = (NoneType, bool, int, float, str, bytes, tuple, frozenset)
#: What a connection makes for itself when it is asked for, or has from `Slim`.
LATE: Final = frozenset(
    {"is_closed", "is_open", "_transport_details", "send_queue", "utf8validator", "_valid_events", "_results", "peer"}
)
#: What is there for a handshake alone.
LEFTOVERS: Final = frozenset(
    (
        *("http_headers", "http_request_data", "http_request_host", "http_request_params", "http_request_path"),
        *("http_request_uri", "http_response_data", "http_status_line", "_wskey", "websocket_extensions"),
        *("websocket_extensions_in_use", "websocket_origin", "websocket_protocol_in_use", "websocket_protocols"),
    )
)


class Unheard:
    """Stands for a Deferred that nobody waits for."""

    def callback(self, _: object) -> None:
        """It has come to that."""


class Late:
    """An attribute that is made when it is asked for."""

    def __init__(self, make: Any) -> None:
        self._make = make
        self._name = ""

    def __set_name__(self, _: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: Any, _: type) -> Any:
        if instance is None:
            return self
        made = self._make()
        setattr(instance, self._name, made)
        return made


class Slim:
    """Mixed into a server's WebSocketServerProtocol, before it. It is slim where its class is one that `slimmed` has made."""

    slim = False

    def __init__(self) -> None:
        if not self.slim:
            super().__init__()

    def connectionMade(self) -> None:
        """The connection is there, and is to become a WebSocket."""
        if not self.slim:
            super().connectionMade()  # type: ignore[misc]
            return
        own: Any = self
        with suppress(AttributeError, OSError):  # no TCP
            own.transport.setTcpNoDelay(True)
        own.factory.countConnections += 1

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection is gone."""
        if self.slim and reason.check(ConnectionDone, ConnectionLost):
            own: Any = self
            WebSocketProtocol._connectionLost(own, reason)
            own.factory.countConnections -= 1
        else:
            super().connectionLost(reason)  # type: ignore[misc]

    def dataReceived(self, data: bytes) -> None:
        """Something came. Without the texts that Autobahn makes of that for a log that nobody reads.

        A whole pong that comes alone is told at once: by the long way it would leave a masker and a dozen attributes behind.
        """
        own: Any = self
        if self.slim and len(data) >= PONG_HEAD and data[0] == PONG and len(data) == data[1] - MASKED + PONG_HEAD:
            quiet = own.state == WebSocketProtocol.STATE_OPEN and own.current_frame is None
            if quiet and not (own.data or own.inside_message or own.autoPingPending) and data[1] < MASKED + TWO_BYTES:
                own.trafficStats.incomingOctetsWireLevel += len(data)
                own.onPong(unmasked(data, PONG_HEAD))
                return
        own._dataReceived(data)

    def drop_leftovers(self) -> None:
        """Forget what was there for the handshake."""
        self.__dict__ = {name: value for name, value in vars(self).items() if name not in LEFTOVERS}


class _Shares:
    """What a slim connection has in place of what Autobahn makes for each."""

    slim = True
    is_closed = is_open = Unheard()
    #: Nothing is sent in pieces.
    send_queue = ()
    utf8validator = Late(Utf8Validator)
    inside_message = False
    current_frame = None
    websocket_version = 13
    _valid_events = ("message",)

    @property
    def peer(self) -> str:
        """Whom logs tell of."""
        own: Any = self
        return str(own.transport.getPeer())

    def _onOpen(self) -> None:
        own: Any = self
        own.onOpen()


def slimmed(kind: type[T], factory: Any) -> type[T]:
    """The class of the connections of `factory`: `kind` with all that they share; `kind` itself where that is not clear."""
    model: Any = kind()
    model.factory, model.openHandshakeTimeout = factory, 0
    before = set(vars(model)) - {"openHandshakeTimeout"}
    WebSocketProtocol._connectionMade(model)
    options = set(model.CONFIG_ATTRS)
    shared: dict[str, Any] = {}
    for name, value in vars(model).items():
        if name in options:
            option = getattr(factory, name)
            shared[name] = staticmethod(option) if isinstance(option, FunctionType) else option
        elif name == "trafficStats" or (isinstance(value, SHARED) and name not in LATE and name not in before):
            shared[name] = value
        elif name not in LATE and name not in before:
            log.warn("connections take more memory than they need to: {name} is not known", name=name)
            return kind
    return cast(type[T], type(kind.__name__, (_Shares, kind), shared))


def slim_transport(transport: Any) -> None:
    """Forget the names that Twisted gives each connection in its logs: a charger has its own in ours."""
    if type(transport) is tcp.Server:
        transport.logstr = transport.repstr = "charger"
