"""The handshake: path and identity, order of checks, subprotocol, credentials. CASES.md HS; REQUIREMENTS 1.1 to 1.4, 3.2."""

from __future__ import annotations

import base64
from collections import Counter
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred, gatherResults

from ocppd.config import Handshake
from ocppd.net.websocket import PENDING_HANDSHAKES_LIMIT, WRONG_PASSWORDS_LIMIT
from support.central import chargers
from support.certification import http
from support.peer import Response, connect, handshake, raw, within

OFFER = "Sec-WebSocket-Protocol: ocpp1.6"
ensure = pytest_twisted.ensureDeferred


def basic(user: bytes, password: bytes) -> str:
    return f"Authorization: Basic {base64.b64encode(user + b':' + password).decode()}"


@ensure
async def test_hs_01_subprotocol_is_answered_once(start: Any) -> None:
    """HS-01: a known charger that offers ocpp1.6 gets 101 with exactly that subprotocol, once."""
    response = await handshake(start().port, "/ocppj/1.6/CP1", OFFER)
    assert (response.status, response.header("sec-websocket-protocol")) == (101, ["ocpp1.6"])


@ensure
async def test_hs_02_first_common_subprotocol(start: Any) -> None:
    """HS-02: of several offers, in one header or in repeated ones, ocpp1.6 is chosen."""
    port = start().port
    for headers in (
        ["Sec-WebSocket-Protocol: ocpp0.1, ocpp1.6"],
        ["Sec-WebSocket-Protocol: ocpp2.0.1,ocpp1.6"],
        ["Sec-WebSocket-Protocol: ocpp0.1", OFFER],
    ):
        response = await handshake(port, "/ocppj/1.6/CP1", *headers)
        assert (response.status, response.header("sec-websocket-protocol")) == (101, ["ocpp1.6"])


@ensure
@pytest.mark.parametrize("offer", ["ocpp0.1", "OCPP1.6", "ocpp2.0.1, ocpp1.5"])
async def test_hs_04_no_common_subprotocol(start: Any, offer: str) -> None:
    """HS-04: without a common subprotocol there is no upgrade but HTTP 400."""
    response = await handshake(start().port, "/ocppj/1.6/CP1", f"Sec-WebSocket-Protocol: {offer}")
    assert response.status == 400
    assert response.header("sec-websocket-protocol") == []


@ensure
async def test_w_2_handshake_as_specified(start: Any) -> None:
    """W-2: `--handshake spec` completes it without the header, then closes with 1002."""
    port = start(handshake=Handshake.SPEC).port
    assert (await handshake(port, "/ocppj/1.6/CP1", "Sec-WebSocket-Protocol: ocpp0.1")).header("sec-websocket-protocol") == []
    peer = await connect(port, protocols=())
    assert await within(peer.closed) == 1002


@ensure
async def test_hs_06_no_subprotocol_header(start: Any) -> None:
    """HS-06: no header is HTTP 400; with AssumeSubprotocol it is 101 without the header and a working session."""
    assert (await handshake(start().port, "/ocppj/1.6/CP1")).status == 400
    port = start(chargers("CP1", AssumeSubprotocol=True)).port
    response = await handshake(port, "/ocppj/1.6/CP1")
    assert (response.status, response.header("sec-websocket-protocol")) == (101, [])
    peer = await connect(port, protocols=())
    assert (await peer.boot())["status"] == "Accepted"
    await peer.leave()


@ensure
async def test_hs_07_identity_is_decoded_once(start: Any) -> None:
    """HS-07: RDAM%20123 is the charger "RDAM 123", and a plus is a plus."""
    running = start(chargers("RDAM 123", "Zürich", "100%25"))
    for path, status in (
        ("/ocppj/1.6/RDAM%20123", 101),
        ("/ocppj/1.6/RDAM+123", 404),
        ("/ocppj/1.6/Z%C3%BCrich", 101),
        ("/ocppj/1.6/100%2525", 101),
        ("/ocppj/1.6/100%25", 404),
    ):
        assert (await handshake(running.port, path, OFFER)).status == status, path


@ensure
async def test_u_5_slashes_and_query(start: Any) -> None:
    """A trailing slash, doubled slashes and a query do not change who it is (U-2, U-5); ;params belong to the name (U-7)."""
    port = start(chargers("CP1", "CP1;a=b")).port
    for path in ("/ocppj/1.6/CP1/", "/ocppj/1.6//CP1", "/ocppj/1.6/CP1?token=x", "/ocppj/1.6/CP1;a=b"):
        assert (await handshake(port, path, OFFER)).status == 101, path


@ensure
async def test_u_3_identities_that_cannot_be(start: Any) -> None:
    """U-3: what cannot be decoded is 400, what no route can carry is 404, and other paths are 404."""
    port = start().port
    for path, status in (
        ("/ocppj/1.6/", 400),
        ("/ocppj/1.6/%", 400),
        ("/ocppj/1.6/%zz", 400),
        ("/ocppj/1.6/%ff%fe", 400),
        ("/ocppj/1.6/%00", 400),
        ("/ocppj/1.6/" + "x" * 256, 400),
        ("/ocppj/1.6/a%2Fb", 404),
        ("/ocppj/1.6/a%5Cb", 404),
        ("/ocppj/1.6/..", 404),
        ("/ocppj/1.6/CP1/more", 404),
        ("/other/CP1", 404),
        ("/", 404),
    ):
        assert (await handshake(port, path, OFFER)).status == status, path


@ensure
async def test_hs_10_unknown_identity(start: Any) -> None:
    """HS-10, B-9: an unknown identity gets 404 and no upgrade, and is remembered for the operator (H-5)."""
    running = start()
    for _ in range(2):
        assert (await handshake(running.port, "/ocppj/1.6/STRANGER", OFFER)).status == 404
    [unknown] = await running.central.registry.unknown("", 10)
    assert (unknown.name, unknown.remote_ip, unknown.attempts) == ("STRANGER", "127.0.0.1", 2)


@ensure
async def test_hs_13_plain_get(start: Any) -> None:
    """HS-13: a GET without Upgrade on the endpoint is a 4xx without redirect, whatever the query."""
    port = start().port
    for query in ("", "?redirect=http://x", "?redirect=http://x&after=1"):
        client = await raw(port)
        client.write(f"GET /ocppj/1.6/CP1{query} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        response = Response(await within(client.lost))
        assert response.status == 426
        assert response.header("location") == []
        assert response.header("upgrade") == ["websocket"]


@ensure
async def test_hs_14_newest_connection_wins(start: Any) -> None:
    """HS-14: a second connection closes the first, gets the calls, and stays when the first one's end arrives late."""
    running = start()
    first = await connect(running.port)
    await first.boot()
    second = await connect(running.port)
    assert await within(first.closed) == 4000
    connection = running.central.chargers.connection("CP1")
    assert connection is not None
    running.central.commands.submit("CP1", trigger("Heartbeat")).addErrback(lambda _: None)
    assert (await second.frame())[2] == "TriggerMessage"
    await second.leave()


@ensure
async def test_se_01_credentials(start: Any) -> None:
    """SE-01: the right password is 101; none, a wrong user and a wrong key are 401 with WWW-Authenticate (H-1)."""
    port = start(chargers("CP1", Authorization="secret")).port
    assert (await handshake(port, "/ocppj/1.6/CP1", OFFER, basic(b"CP1", b"secret"))).status == 101
    for headers in ([], [basic(b"CP2", b"secret")], [basic(b"CP1", b"wrong")], [basic(b"CP1", b"")], ["Authorization: Bearer x"]):
        response = await handshake(port, "/ocppj/1.6/CP1", OFFER, *headers)
        assert response.status == 401
        assert response.header("www-authenticate") == ['Basic realm="ocppd"']


@ensure
async def test_se_02_password_is_bytes(start: Any) -> None:
    """SE-02: the header of the OCPP-J document, with bytes 00 and FF, is accepted (Z-1)."""
    port = start(chargers("AL1000", Authorization="hex:0001020304050607FFFFFFFFFFFFFFFFFFFFFFFF")).port
    header = "Authorization: Basic QUwxMDAwOgABAgMEBQYH////////////////"
    assert (await handshake(port, "/ocppj/1.6/AL1000", OFFER, header)).status == 101


@ensure
async def test_order_of_checks(start: Any) -> None:
    """1.3: path before identity before credentials before subprotocol; an unknown identity is 404 with any credentials (H-2)."""
    port = start(chargers("CP1", Authorization="secret")).port
    assert (await handshake(port, "/nowhere/CP1")).status == 404
    assert (await handshake(port, "/ocppj/1.6/STRANGER", basic(b"STRANGER", b"x"))).status == 404
    assert (await handshake(port, "/ocppj/1.6/CP1")).status == 401
    assert (await handshake(port, "/ocppj/1.6/CP1", basic(b"CP1", b"secret"))).status == 400


def trigger(message: str) -> Any:
    from ocppd.v16.remote_trigger import TriggerMessageRequest
    from ocppd.v16.types import MessageTrigger

    return TriggerMessageRequest(requested_message=MessageTrigger(message))


@ensure
async def test_c_5_too_many_handshakes_at_once(start: Any) -> None:
    """C-5: while too many handshakes wait for their records a charger is told to come back later; then it is let in."""
    running = start()
    chargers_door = running.service.port.factory.chargers
    chargers_door.pending = PENDING_HANDSHAKES_LIMIT
    response = await handshake(running.port, "/ocppj/1.6/CP1", OFFER)
    assert (response.status, response.header("retry-after")) == (503, ["10"])
    chargers_door.pending = 0
    assert (await handshake(running.port, "/ocppj/1.6/CP1", OFFER)).status == 101


@ensure
async def test_z_3_wrong_passwords_are_limited(start: Any) -> None:
    """Z-3: after ten wrong passwords from one address a charger's are not looked at for a while; another charger's are."""
    port = start(chargers("CP1", "CP2", Authorization="secret")).port
    for _ in range(WRONG_PASSWORDS_LIMIT):
        assert (await handshake(port, "/ocppj/1.6/CP1", OFFER, basic(b"CP1", b"guess"))).status == 401
    response = await handshake(port, "/ocppj/1.6/CP1", OFFER, basic(b"CP1", b"secret"))
    assert (response.status, response.header("retry-after")) == (429, ["60"])
    assert (await handshake(port, "/ocppj/1.6/CP2", OFFER, basic(b"CP2", b"secret"))).status == 101


@ensure
async def test_z_3_wrong_passwords_at_once_are_limited_too(start: Any) -> None:
    """Z-3: of a burst ten are looked at, since each costs a slow hash; another charger is let in meanwhile."""
    daemon = start(chargers("CP1", "CP2"))
    for name in ("CP1", "CP2"):
        await http(daemon.port, "PUT", f"/api/v1/chargers/{name}/credentials", {"password": "secret of it"})
    guesses = [
        Deferred.fromCoroutine(handshake(daemon.port, "/ocppj/1.6/CP1", OFFER, basic(b"CP1", f"guess {number}".encode())))
        for number in range(5 * WRONG_PASSWORDS_LIMIT)
    ]
    honest = Deferred.fromCoroutine(handshake(daemon.port, "/ocppj/1.6/CP2", OFFER, basic(b"CP2", b"secret of it")))
    answers = Counter([response.status for response in await gatherResults(guesses)])
    assert answers == {401: WRONG_PASSWORDS_LIMIT, 429: 4 * WRONG_PASSWORDS_LIMIT}
    assert (await honest).status == 101


@ensure
async def test_z_3_right_passwords_are_not_counted(start: Any) -> None:
    """Z-3: a charger that comes again and again with the right password is let in: none counts when it has ended."""
    port = start(chargers("CP1", Authorization="secret")).port
    for _ in range(WRONG_PASSWORDS_LIMIT + 1):
        assert (await handshake(port, "/ocppj/1.6/CP1", OFFER, basic(b"CP1", b"secret"))).status == 101
