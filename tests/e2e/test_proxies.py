"""deploy/haproxy.cfg and deploy/nginx.conf: the real programs with the examples, in front of two real daemons."""

from __future__ import annotations

import contextlib
import http.client
import json
import signal
import socket
import sqlite3
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from support.party import BOOT, Party
from support.programs import Daemon, eventually, request
from support.proxies import Haproxy, Nginx, Proxy, Recorder, replaced, uncommented

PASSWORD = "0123456789abcdef"
#: A name that is not the same in a URL.
ODD = "CP 1+ä"
NAMES = ["LATE", "TLS", "GONE", "SEEN", "STAYS", *(f"CP{number}" for number in range(8))]
CONFIGURATION = {
    "Quiet": True,
    "Chargers": [{"Name": "PARTY", "Authorization": PASSWORD}, {"Name": ODD}, *({"Name": name} for name in NAMES)],
}
PATIENCE_S = 30
MIB = 1024 * 1024


class Front:
    """A proxy, the nodes behind it, and what the proxy sent to each."""

    def __init__(self, proxy: Proxy, nodes: list[Daemon], recorders: list[Recorder]) -> None:
        self.proxy = proxy
        self.nodes = nodes
        self.recorders = recorders

    def holders(self, name: str) -> list[Daemon]:
        """The nodes that a charger is connected to."""
        path = f"/charger/{quote(name)}/status"
        return [node for node in self.nodes if node.process.poll() is None and node.http("GET", path).json["Connected"]]

    def other(self, node: Daemon) -> Daemon:
        """The other node."""
        return self.nodes[1 - self.nodes.index(node)]


@contextlib.contextmanager
def nodes_in(directory: Path, *options: str, port: str = "tcp:{}:interface=127.0.0.1") -> Iterator[list[Daemon]]:
    """Two daemons, each with its own records: a proxy does not care."""
    with contextlib.ExitStack() as stack:
        found = []
        for number in (1, 2):
            place = directory / f"node{number}"
            place.mkdir()
            found.append(stack.enter_context(Daemon(place, CONFIGURATION, options=options, port=port)))
        yield found


def connected(proxy: Proxy, name: str, **options: Any) -> ClientConnection:
    """A charger that has connected through the proxy."""
    url = options.pop("url", f"{proxy.url}/{quote(name)}")
    protocols: Any = ["ocpp1.6"]
    return connect(url, subprotocols=protocols, open_timeout=PATIENCE_S, close_timeout=PATIENCE_S, proxy=None, **options)


def call(charger: ClientConnection, action: str, payload: Any) -> Any:
    """Send a CALL; the payload of its answer, which is the next frame."""
    charger.send(json.dumps([2, action, action, payload]))
    kind, identity, answer = json.loads(charger.recv(timeout=PATIENCE_S))
    assert (kind, identity) == (3, action)
    return answer


def boots(charger: ClientConnection) -> bool:
    """Whether the charger is registered."""
    return bool(call(charger, "BootNotification", BOOT)["status"] == "Accepted")


def close_code(charger: ClientConnection) -> int | None:
    """The code that the charger's connection is closed with."""
    try:
        while True:
            charger.recv(timeout=PATIENCE_S)
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd else None


KINDS = [pytest.param(Haproxy, id="haproxy"), pytest.param(Nginx, id="nginx")]


@pytest.fixture(scope="module", params=KINDS)
def front(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """Each of the proxies as its example has it, in front of two daemons that complain of nothing."""
    directory = tmp_path_factory.mktemp("front")
    with nodes_in(directory) as nodes, Recorder(nodes[0].port) as first, Recorder(nodes[1].port) as second:
        with request.param(directory, [first.port, second.port]) as proxy:
            yield Front(proxy, nodes, [first, second])
        for node in nodes:
            assert node.stop() == 0
            assert node.complaints() == []


def test_session(front: Front, tmp_path: Path) -> None:
    """A charge point with a password boots, calls and is called through the proxy; a MiB passes in both directions."""
    with Party(front.proxy, "PARTY", tmp_path, PASSWORD) as party:
        party.boot()
        (node,) = front.holders("PARTY")
        answer = node.http("POST", "/api/v1/chargers/PARTY/commands/Reset?wait=30", {"type": "Soft"})
        assert (answer.status, answer.json["state"]) == (200, "completed")
        told = party.call("DataTransfer", vendorId="org.example", data="x" * MIB)
        assert told["status"] == "UnknownVendorId"
        body = {"vendorId": "org.example", "data": "y" * 1_000_000}  # what the API takes, and what this charge point does
        answer = node.http("POST", "/api/v1/chargers/PARTY/commands/DataTransfer?wait=30", body)
        assert (answer.status, answer.json["state"]) == (200, "completed")
        assert party.received(answer.json["messageId"])[3] == body


def test_name(front: Front) -> None:
    """A charger's name reaches the node as it was written in the URL."""
    with connected(front.proxy, ODD) as charger:
        assert boots(charger)
        assert len(front.holders(ODD)) == 1


def test_refusals(front: Front) -> None:
    """What a node has against a charger reaches the charger: its status and its headers."""
    for name, status, header in (("STRANGER", 404, None), ("PARTY", 401, "www-authenticate")):
        client = http.client.HTTPConnection("127.0.0.1", front.proxy.port, timeout=PATIENCE_S)
        with contextlib.closing(client):
            client.request("GET", f"/ocppj/1.6/{name}", headers=UPGRADE)
            answer = client.getresponse()
            assert answer.status == status
            assert header is None or answer.getheader(header)


UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Protocol": "ocpp1.6",
}


def test_late_upgrade(front: Front) -> None:
    """Decision 6: a connection that the proxy had kept for plain requests becomes a charger's, and serves it in full."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", front.proxy.port, timeout=PATIENCE_S)) as client:
        for _ in range(4):  # so that there is a connection to either node
            client.request("GET", "/ocppj/1.6/LATE")
            answer = client.getresponse()
            answer.read()
            assert answer.status == 426
        taken, client.sock = client.sock, None
    with connected(front.proxy, "LATE", sock=taken) as charger:
        assert boots(charger)
        (reused,) = [sent for recorder in front.recorders for sent in recorder.connections if upgrades(sent)]
        plain, _, upgrade = bytes(reused).partition(b"\r\n\r\n")
        assert plain.startswith(b"GET /ocppj/1.6/LATE HTTP/1.1\r\n") and b"upgrade:" not in plain.lower()
        assert b"x-forwarded-for: 127.0.0.1" in upgrade.lower()
        (node,) = front.holders("LATE")
        assert node.http("POST", "/api/v1/chargers/LATE/commands/ClearCache", {}).status == 202
        identity = json.loads(charger.recv(timeout=PATIENCE_S))[1]
        charger.send(json.dumps([3, identity, {"status": "Accepted"}]))
        path = f"/api/v1/messages/{identity}"
        assert eventually(lambda: node.http("GET", path).json["state"] == "completed", "the answer")
        assert call(charger, "DataTransfer", {"vendorId": "org.example", "data": "x" * MIB})["status"] == "UnknownVendorId"
        assert node.http("DELETE", "/api/v1/chargers/LATE/connection").status in (200, 202, 204)
        assert close_code(charger) == 1001


def upgrades(sent: bytearray) -> bool:
    """Whether the charger LATE became a WebSocket here."""
    return b"/LATE HTTP" in sent and b"sec-websocket-key" in sent.lower()


def test_close_codes(front: Front) -> None:
    """A close code passes in both directions."""
    with connected(front.proxy, "GONE") as charger:
        assert boots(charger)
        (node,) = front.holders("GONE")
        assert node.http("DELETE", "/api/v1/chargers/GONE/connection").status in (200, 202, 204)
        assert close_code(charger) == 1001
    with connected(front.proxy, "GONE") as charger:
        assert boots(charger)
        (node,) = front.holders("GONE")
        charger.close(3456)
        assert "(3456)" in node.wait_for("GONE: disconnected (3456)")


def test_spread(front: Front) -> None:
    """Chargers that stay are spread evenly over the nodes."""
    with contextlib.ExitStack() as stack:
        for number in range(8):
            stack.enter_context(connected(front.proxy, f"CP{number}"))
        held = [sum(node in front.holders(f"CP{number}") for number in range(8)) for node in front.nodes]
        assert held == [4, 4]


def test_nothing_but_chargers(front: Front) -> None:
    """The proxy itself has nothing at other paths, however they are written."""
    for path in ("/api/v1/chargers", "/charger/GONE/status", "/readyz", "/"):
        assert request(front.proxy.port, "GET", path).status == 404
    for path in ("/ocppj/../api/v1/chargers", "/ocppj/1.6/../../api/v1/chargers", "/ocppj/%2e%2e/api/v1/chargers"):
        assert request(front.proxy.port, "GET", path).status in (400, 401, 404, 426)


@pytest.mark.parametrize("kind", KINDS)
def test_files(kind: type[Proxy], tmp_path: Path) -> None:
    """A charger sends a log to the file room through the proxy, in chunks and larger than the proxy's buffers."""
    with nodes_in(tmp_path) as (node, _), kind(tmp_path, [node.port, node.port]) as proxy, connected(proxy, "CP1") as charger:
        assert boots(charger)
        job = node.http("POST", "/api/v1/chargers/CP1/logs", {"kind": "diagnostics"})
        assert job.status == 202
        kind_of, identity, action, payload = json.loads(charger.recv(timeout=PATIENCE_S))
        assert (kind_of, action) == (2, "GetDiagnostics")
        charger.send(json.dumps([3, identity, {"fileName": "d.zip"}]))
        place = urlsplit(payload["location"])
        assert place.port == proxy.port
        client = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=PATIENCE_S)
        with contextlib.closing(client):
            client.request("PUT", f"{place.path}d.zip", iter([b"x" * MIB] * 3), encode_chunked=True)
            assert client.getresponse().status == 201
        assert node.http("GET", f"/api/v1/chargers/CP1/logs/{job.json['id']}").json["files"][0]["size"] == 3 * MIB


@pytest.mark.parametrize("kind", KINDS)
def test_api_is_refused(kind: type[Proxy], tmp_path: Path) -> None:
    """Where a proxy passes everything on, the daemon refuses operators' requests with 401, and only those."""

    def passes_everything(text: str) -> str:
        return text.replace("{ path_beg /ocppj/ /files/ }", "{ path_beg / }").replace("location /ocppj/ {", "location ~ ^/ {")

    with nodes_in(tmp_path) as nodes, kind(tmp_path, [node.port for node in nodes], passes_everything) as proxy:
        for method, path in (
            ("GET", "/api/v1/chargers"),
            ("GET", "/charger/CP1/status"),
            ("POST", "/command/CP1/triggeraction/Heartbeat"),
        ):
            assert nodes[0].http(method, path).status == 200
            answer = request(proxy.port, method, path)
            assert (answer.status, answer.type) == (401, "application/problem+json")
        with connected(proxy, "CP1") as charger:
            assert boots(charger)


@pytest.mark.parametrize("kind", KINDS)
def test_tls(kind: type[Proxy], tmp_path: Path) -> None:
    """The lines of the example that are commented make it speak TLS."""
    with nodes_in(tmp_path) as nodes, kind(tmp_path, [node.port for node in nodes], uncommented(kind.tls_lines)) as proxy:
        trusts = ssl.create_default_context(cafile=str(proxy.certificate))
        url = f"wss://127.0.0.1:{proxy.tls_port}/ocppj/1.6/TLS"
        # Where the machine stood still for as long as the example gives to a handshake, the charger comes again.
        with eventually(lambda: tried(proxy, "TLS", url=url, ssl=trusts), "a connection by TLS", 2 * PATIENCE_S) as charger:
            assert boots(charger)
            assert Front(proxy, nodes, []).holders("TLS")


def slow_checks(text: str) -> str:
    """HAProxy's checks made rare, so that a test sees what it does without them."""
    return text.replace("check inter 2s", "check inter 300s")


def quick_checks(text: str) -> str:
    """HAProxy's checks made more frequent, so that a test need not wait for them."""
    return replaced(text, {"check inter 2s": "check inter 200ms"})


@pytest.mark.parametrize("kind", KINDS)
def test_rolling_restart(kind: type[Proxy], tmp_path: Path) -> None:
    """Nodes stop and start one after the other; a charger is told to go, and finds the node that is there, each time."""
    with nodes_in(tmp_path) as nodes, kind(tmp_path, [node.port for node in nodes], slow_checks) as proxy:
        front = Front(proxy, nodes, [])
        with connected(proxy, "CP1") as charger:
            assert boots(charger)
            (first,) = front.holders("CP1")
            first.send_signal(signal.SIGTERM)
            assert close_code(charger) in (1001, 1012)
            assert first.wait() == 0
        second = front.other(first)
        for _ in range(3):
            with connected(proxy, "CP1") as charger:
                assert boots(charger)
                assert front.holders("CP1") == [second]
        with Daemon(first.directory, number=first.port) as again:
            nodes[nodes.index(first)] = again
            second.send_signal(signal.SIGTERM)
            assert second.wait() == 0
            # nginx leaves a node that has failed alone for some seconds.
            charger = eventually(lambda: tried(proxy, "CP1"), "a node that takes it")
            with charger:
                assert boots(charger)
                assert front.holders("CP1") == [again]


@pytest.mark.parametrize("kind", KINDS)
def test_draining(kind: type[Proxy], tmp_path: Path) -> None:
    """A node that drains still listens and refuses handshakes with 503; the proxy tries the other one, unseen by chargers."""
    with contextlib.ExitStack() as stack:
        nodes = stack.enter_context(nodes_in(tmp_path, "--drain", "60"))
        proxy = stack.enter_context(kind(tmp_path, [node.port for node in nodes], slow_checks))
        first, second = nodes
        old = [stack.enter_context(connected(proxy, name, url=f"{first.url}/{name}")) for name in ("GONE", "STAYS")]
        for charger in old:
            assert boots(charger)
        first.send_signal(signal.SIGTERM)
        assert close_code(old[0]) == 1012
        for number in range(4):
            assert boots(stack.enter_context(connected(proxy, f"CP{number}")))
            assert second.http("GET", f"/charger/CP{number}/status").json["Connected"]
        first.wait_for("refused a handshake from 127.0.0.1: 503")
        assert first.process.poll() is None
        first.send_signal(signal.SIGTERM)
        assert close_code(old[1]) == 1012
        assert first.wait() == 0


@pytest.mark.parametrize("how", ["records", "process"])
def test_not_ready(how: str, tmp_path: Path) -> None:
    """HAProxy gives no new charger to a node whose /readyz says no, or nothing; a charger that it has stays connected."""
    with nodes_in(tmp_path) as nodes, Haproxy(tmp_path, [node.port for node in nodes], quick_checks) as proxy:
        front = Front(proxy, nodes, [])
        proxy.wait_for("Health check for server nodes/node1 succeeded")
        with connected(proxy, "STAYS", url=f"{nodes[0].url}/STAYS") as charger:
            assert boots(charger)
            with out_of_order(nodes[0], how):
                proxy.wait_for("Server nodes/node1 is DOWN")
                for number in range(4):
                    with connected(proxy, f"CP{number}") as new:
                        assert boots(new)
                        assert nodes[1].http("GET", f"/charger/CP{number}/status").json["Connected"]
            proxy.wait_for("Server nodes/node1 is UP")
            assert call(charger, "Heartbeat", {})["currentTime"]
            assert front.holders("STAYS") == [nodes[0]]


@contextlib.contextmanager
def out_of_order(node: Daemon, how: str) -> Iterator[None]:
    """Meanwhile the node cannot write its records, or does nothing at all."""
    if how == "process":
        node.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            node.send_signal(signal.SIGCONT)
    else:
        with contextlib.closing(sqlite3.connect(node.directory / "ocppd.sqlite", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            yield


def test_addresses(tmp_path: Path) -> None:
    """With the PROXY protocol, as the example describes it, a node sees the charger's own address, and its checks pass."""
    change = uncommented("default-server send-proxy")
    nodes_there = nodes_in(tmp_path, port="haproxy:tcp:{}:interface=127.0.0.1")
    with nodes_there as nodes, Haproxy(tmp_path, [node.port for node in nodes], change) as proxy:
        proxy.wait_for("Health check for server nodes/node1 succeeded")
        proxy.wait_for("Health check for server nodes/node2 succeeded")
        link = socket.create_connection(("127.0.0.1", proxy.port), PATIENCE_S, source_address=("127.0.0.9", 0))
        with connected(proxy, "SEEN", sock=link) as charger:
            assert boots(charger)
            assert eventually(lambda: "SEEN: connected from 127.0.0.9" in lines_of(nodes), "the charger")


def lines_of(nodes: list[Daemon]) -> str:
    """What the nodes have logged."""
    return "".join(line for node in nodes for line in list(node.lines))


def tried(proxy: Proxy, name: str, **options: Any) -> ClientConnection | None:
    """One attempt of a charger; None where it failed."""
    try:
        return connected(proxy, name, **options)
    except Exception:  # a refusal by the proxy: its status differs
        return None
