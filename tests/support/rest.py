"""The HTTP API on a real port over real records, and chargers that are scripted at the link: no WebSocket, no daemon."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.web.server import Site

from ocppd.bus.local import LocalBus
from ocppd.central.certificate_desk import Workshop
from ocppd.central.connection import Connection
from ocppd.central.handlers import CentralSystemHandlers
from ocppd.central.system import CentralSystem
from ocppd.config import ChargerSettings, Configuration, IdTagSettings, UnknownIdTags
from ocppd.net.rest.access import AccessRules
from ocppd.net.rest.app import Api, make_resource
from ocppd.net.rest.body import ApiRequest
from ocppd.storage.sql_storage import SqlStorage
from support.peer import Response, raw, within

BOOT = '[2,"boot","BootNotification",{"chargePointVendor":"Acme","chargePointModel":"One","firmwareVersion":"1.2"}]'

#: Given the elements of a CALL: the frame to answer with, or None for silence.
Script = Callable[[list[Any]], str | None]


def accepting(call: list[Any]) -> str | None:
    """A charger that accepts whatever it is asked."""
    return json.dumps([3, call[1], {"status": "Accepted"}])


def silent(call: list[Any]) -> str | None:
    """A charger that never answers."""
    return None


class ScriptedLink:
    """The network under a connection: answers calls by a script, in a later turn of the reactor, as a network does."""

    def __init__(self, script: Script, remote_ip: str = "192.0.2.7") -> None:
        self.remote_ip = remote_ip
        self.script = script
        self.connection: Connection | None = None
        self.calls: list[list[Any]] = []
        self.answers: list[list[Any]] = []
        self.closed: list[int] = []
        self._waiting: list[Deferred[list[Any]]] = []

    @property
    def base_url(self) -> str | None:
        """Nobody said."""
        return None

    @property
    def open(self) -> bool:
        """Until the central system closes."""
        return not self.closed

    def send(self, frame: bytes) -> None:
        """What the central system writes."""
        message = json.loads(frame)
        (self.calls if message[0] == 2 else self.answers).append(message)
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.callback(message)
        answer = self.script(message) if message[0] == 2 else None
        if answer is not None:
            reactor.callLater(0, self.tell, answer)

    def close(self, code: int, reason: str) -> None:
        """The central system closes."""
        self.closed.append(code)

    def probe(self) -> None:
        """The central system pings."""

    def tell(self, frame: str) -> None:
        """A frame of the charger."""
        assert self.connection is not None
        self.connection.received(frame.encode())

    async def next_frame(self) -> list[Any]:
        """The next frame that the central system writes."""
        waiting: Deferred[list[Any]] = Deferred()
        self._waiting.append(waiting)
        return await within(waiting)

    async def ask(self, frame: str) -> list[Any]:
        """Send a CALL and give what is written next."""
        waiting: Deferred[list[Any]] = Deferred()
        self._waiting.append(waiting)
        self.tell(frame)
        return await within(waiting)


@dataclass(frozen=True)
class Answered:
    """An HTTP answer."""

    status: int
    body: bytes
    headers: dict[str, str]

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def media_type(self) -> str:
        """The Content-Type without parameters."""
        return self.headers.get("content-type", "").partition(";")[0]

    @property
    def slug(self) -> str:
        """Which problem it is; checks that it is one, whole."""
        assert self.media_type == "application/problem+json", (self.status, self.body)
        problem = self.json
        assert problem["status"] == self.status
        assert problem["title"] and problem["detail"]
        prefix, _, slug = str(problem["type"]).rpartition(":")
        assert prefix == "urn:ocppd:problem"
        return slug


class Served:
    """A central system behind its HTTP API. `stop` it. `clock` is that of the doors alone, `central_clock` the system's, `files`
    makes a file room.
    """

    def __init__(
        self,
        *names: str,
        queue: int = 2,
        access: AccessRules | None = None,
        storage: SqlStorage | None = None,
        bus: LocalBus | None = None,
        clock: Any = reactor,
        central_clock: Any = reactor,
        id_tags: Sequence[IdTagSettings] = (),
        unknown_id_tags: UnknownIdTags | None = None,
        workshop: Workshop | None = None,
        cpo_name: str | None = None,
        files: Callable[[SqlStorage], Any] | None = None,
        **charger: Any,
    ) -> None:
        settings = {name: ChargerSettings(name=name, **{"heartbeat_interval_s": 10, **charger}) for name in names}
        self.storage = storage or SqlStorage("sqlite://", reactor)
        self.storage.start()
        tags = {tag.id_tag.lower(): tag for tag in id_tags}
        configuration = Configuration(max_queue_size=queue, chargers=settings, id_tags=tags, cpo_name=cpo_name)
        self.bus = bus or LocalBus("here#1", reactor)
        handlers = CentralSystemHandlers()
        self.system = CentralSystem(
            configuration, self.storage, central_clock, handlers, self.bus, unknown_id_tags, workshop=workshop
        )
        self.bus.start(self.system.cluster)
        self.is_ready = True
        self.api = Api(
            chargers=self.system.chargers,
            cluster=self.system.cluster,
            commands=self.system.commands,
            mirror=self.system.mirror,
            queries=self.system.queries,
            feed=self.system.feed,
            rules=self.system.rules,
            charging=self.system.charging,
            certificates=self.system.certificates,
            reservations=self.system.reservations,
            local_lists=self.system.local_lists,
            conformance=self.system.conformance,
            registry=self.system.registry,
            fleet_jobs=self.system.fleet_jobs,
            storage=self.storage,
            clock=clock,
            access=access or AccessRules(),
            charger_paths=("/ocppj/1.6",),
            version="0",
            ready=lambda: self.is_ready,
            takes_commands=lambda: self.is_ready,
            keep=self.system.keep,
            files=None if files is None else files(self.storage),
        )
        site = Site(make_resource(self.api), requestFactory=ApiRequest, timeout=None)
        self._listening = reactor.listenTCP(0, site, interface="127.0.0.1")
        self.port = int(self._listening.getHost().port)
        self._links: list[ScriptedLink] = []

    async def stop(self) -> None:
        """Stop listening, end the connections, close the records."""
        self.system.feed.stop()
        await self._listening.stopListening()
        for link in self._links:
            self.disconnect(link)
        await self.storage.stop()

    # Chargers

    async def connect(self, name: str, script: Script = accepting, *, boot: bool = True) -> ScriptedLink:
        """A charger that is connected, and has booted unless it is not to."""
        link = ScriptedLink(script)
        known = await self.system.connecting(name, link.remote_ip)
        link.connection = self.system.connected(self.system.chargers.settings(name), link, known)
        self._links.append(link)
        if boot:
            assert (await link.ask(BOOT))[2]["status"] == "Accepted"
        return link

    def disconnect(self, link: ScriptedLink) -> None:
        """The charger is gone."""
        if link.connection is not None:
            self.system.disconnected(link.connection, None, "")
            link.connection = None

    # Operators

    async def get(self, path: str, **headers: str) -> Answered:
        """GET."""
        return await self.request("GET", path, headers=headers)

    async def post(self, path: str, body: Any = None, **headers: str) -> Answered:
        """POST: bytes as they are, anything but None as JSON."""
        data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.request("POST", path, data, {**({"Content-Type": "application/json"} if data else {}), **given})

    async def command(self, action: str, body: Any = None, query: str = "", name: str = "CP1", **headers: str) -> Answered:
        """POST a command to a charger."""
        return await self.post(f"/api/v1/chargers/{name}/commands/{action}{query}", body, **headers)

    async def request(self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> Answered:
        """One request on a connection of its own."""
        whole = {"Host": f"127.0.0.1:{self.port}", "Connection": "close", **(headers or {})}
        if (body or method == "POST") and "Transfer-Encoding" not in whole:
            whole.setdefault("Content-Length", str(len(body)))
        lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in whole.items())]
        return await self.send("\r\n".join(lines).encode() + b"\r\n\r\n" + body)

    async def send(self, data: bytes) -> Answered:
        """Raw bytes on a connection of their own, which the server closes after its answer."""
        client = await raw(self.port)
        client.write(data)
        response = Response(await within(client.lost))
        return Answered(response.status, response.body, dict(response.headers))
