"""The whole daemon and the simulated charger: files really move, and jobs survive a restart."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest_twisted
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from twisted.internet import reactor
from twisted.internet.defer import maybeDeferred

from ocppd.central.charger_jobs import ask
from ocppd.central.commands import new_message_id
from ocppd.net.files.room import FileRoom
from ocppd.simulator import Charger
from ocppd.simulator.transfers import Transfers
from ocppd.storage.records.charger_jobs import JobKind, NewJob
from ocppd.v16.firmware import GetDiagnosticsRequest
from support.central import Running
from support.holding import until
from support.peer import Response, raw, within
from support.tls import self_signed

ensure = pytest_twisted.ensureDeferred
QUICK = {"backoff_first_s": 0.02, "reboot_s": 0.01, "unplug_s": 0.01, "job_step_s": 0.01}
FTP = "ftp://127.0.0.1/"
FIRMWARE = os.urandom(3 * 1024 * 1024 + 17)


@pytest_twisted.async_yield_fixture
async def make() -> AsyncIterator[Callable[..., Charger]]:
    """Makes chargers of a daemon, shut down after the test."""
    made: list[Charger] = []

    def make_one(daemon: Running, name: str = "CP1", **changes: Any) -> Charger:
        url = f"ws://127.0.0.1:{daemon.port}/ocppj/1.6"
        made.append(Charger(name, url, reactor, **{**QUICK, **changes}))
        return made[-1]

    yield make_one
    for charger in made:
        await charger.shutdown()


async def call(daemon: Running, method: str, path: str, body: Any = None, kind: str = "application/json") -> Response:
    """One HTTP request."""
    data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    client = await raw(daemon.port)
    head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: {len(data)}\r\n"
    client.write((head + (f"Content-Type: {kind}\r\n" if data else "") + "\r\n").encode() + data)
    return Response(await within(client.lost))


async def get(daemon: Running, path: str) -> Any:
    return json.loads((await call(daemon, "GET", path)).body)


async def post(daemon: Running, path: str, body: Any) -> Any:
    answer = await call(daemon, "POST", path, body)
    assert answer.status in (200, 201, 202), answer.body
    return json.loads(answer.body)


async def ended(daemon: Running, path: str) -> Any:
    """The job, once it has ended."""

    async def over() -> bool:
        return "endedAt" in await get(daemon, path)

    await until(over)
    return await get(daemon, path)


def signing() -> tuple[str, ec.EllipticCurvePrivateKey]:
    """A certificate to sign firmware with, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Maker")])
    now = datetime.now(UTC)
    built = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    built = built.serial_number(5).not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=9))
    return built.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode(), key


@ensure
async def test_files_really_move(start: Any, make: Callable[..., Charger]) -> None:
    """FD-01, FD-05, SE-21, SE-22: the simulator fetches firmware in ranges and sends its logs, by the URL it has found us by."""
    daemon: Running = start()
    charger = make(daemon)
    await charger.connect()
    await charger.boot()
    uploaded = await call(daemon, "POST", "/api/v1/files?name=fw.bin", FIRMWARE, "application/octet-stream")
    file = json.loads(uploaded.body)
    assert (uploaded.status, file["sha256"]) == (201, hashlib.sha256(FIRMWARE).hexdigest())
    room = daemon.directory / "ocppd.sqlite.files"
    assert [path.stat().st_mode & 0o777 for path in (room, *room.iterdir())] == [0o700, 0o600]
    firmware = await post(daemon, "/api/v1/chargers/CP1/firmware?wait=10", {"file": file["id"]})
    assert firmware["versionBefore"] == "1.0.0"
    done = await ended(daemon, f"/api/v1/chargers/CP1/firmware/{firmware['id']}")
    assert (done["state"], done["status"], done["versionAfter"]) == ("done", "Installed", "1.0.1")
    assert "fetched: fw.bin" in [entry.get("detail") for entry in done["timeline"]]
    pem, key = signing()
    signature = base64.b64encode(key.sign(FIRMWARE, ec.ECDSA(hashes.SHA256()))).decode()
    signed = {"file": file["id"], "signed": {"signingCertificate": pem, "signature": signature}}
    firmware = await post(daemon, "/api/v1/chargers/CP1/firmware?wait=10", signed)
    done = await ended(daemon, f"/api/v1/chargers/CP1/firmware/{firmware['id']}")
    assert (done["kind"], done["state"], done["status"]) == ("signedFirmware", "done", "Installed")
    for kind in ("diagnostics", "diagnosticsLog", "securityLog"):
        log = await post(daemon, "/api/v1/chargers/CP1/logs?wait=10", {"kind": kind})
        found = await ended(daemon, f"/api/v1/chargers/CP1/logs/{log['id']}")
        assert (found["kind"], found["state"], found["files"][0]["name"]) == (kind, "done", found["fileName"]), found
        content = await call(daemon, "GET", f"/api/v1/chargers/CP1/logs/{log['id']}/content")
        assert b"CP1 firmware 1.0.2" in content.body
    assert charger.counts.errors == 0


@ensure
async def test_files_over_tls(start: Any, tmp_path: Path) -> None:
    """Where the daemon itself has TLS chargers are given https URLs, and large files go through whole, both ways."""
    key, certificate = self_signed()
    (tmp_path / "key.pem").write_bytes(key)
    (tmp_path / "cert.pem").write_bytes(certificate)
    endpoint = f"ssl:0:privateKey={tmp_path}/key.pem:certKey={tmp_path}/cert.pem:interface=127.0.0.1"
    daemon: Running = start(port=endpoint)
    charger = Charger("CP1", f"wss://127.0.0.1:{daemon.port}/ocppj/1.6", reactor, authority_pem=certificate, **QUICK)
    await charger.connect()
    await charger.boot()
    records, commands = daemon.central, daemon.central.commands
    link = records.chargers.connection("CP1")
    assert link is not None and link.link.base_url == f"https://127.0.0.1:{daemon.port}"
    room = FileRoom(
        daemon.directory / "ocppd.sqlite.files",
        storage_of(daemon).files,
        storage_of(daemon).charger_jobs,
        reactor,  # type: ignore[arg-type]
        maybeDeferred,
    )
    path, token = room.new_token(2**62)
    wanted = NewJob(charger="CP1", kind=JobKind.DIAGNOSTICS, message_id=new_message_id(), created_ms=1)
    request = GetDiagnosticsRequest(location=link.link.base_url + path)
    job, _ = await ask(storage_of(daemon).charger_jobs, commands, wanted, token, lambda _: request)
    transfers = Transfers(reactor, certificate)
    assert not await transfers.send(f"https://127.0.0.1:{daemon.port}/files/unknown", "x", b"x")

    async def sent() -> bool:
        return bool(await room.files.files_of_job(job.job_id))

    await until(sent)
    path, token = room.new_token(2**62)
    wanted = replace(wanted, message_id=new_message_id())
    again, _ = await ask(storage_of(daemon).charger_jobs, commands, wanted, token, lambda _: GetDiagnosticsRequest(location=FTP))
    assert await transfers.send(f"https://127.0.0.1:{daemon.port}{path}", "large", FIRMWARE)
    (large,) = await room.files.files_of_job(again.job_id)
    assert (large.size, large.sha256) == (len(FIRMWARE), hashlib.sha256(FIRMWARE).hexdigest())
    await charger.shutdown()


def storage_of(daemon: Running) -> Any:
    """The records of a daemon."""
    return daemon.service._storage


@ensure
async def test_jobs_and_files_survive(start: Any, make: Callable[..., Charger], logged_errors: Any) -> None:
    """A restart loses neither a job that is under way, nor its token, nor a file; a firmware that is not here fails (404)."""
    daemon: Running = start(public_url="http://192.0.2.9:1")
    charger = make(daemon, automatic=False)
    await charger.connect()
    await charger.boot()
    file = json.loads((await call(daemon, "POST", "/api/v1/files", b"fw", "application/octet-stream")).body)
    job = await post(daemon, "/api/v1/chargers/CP1/firmware?wait=10", {"file": file["id"]})
    location = _location(charger)
    assert location.startswith("http://192.0.2.9:1/files/")
    await charger.disconnect()
    await daemon.stop()
    again = Running(daemon.directory, json.loads(daemon.config.read_text())).start()
    try:
        path = f"/api/v1/chargers/CP1/firmware/{job['id']}"
        assert (await get(again, path))["state"] == "accepted"
        assert (await call(again, "GET", location.removeprefix("http://192.0.2.9:1"))).body == b"fw"
        next((daemon.directory / "ocppd.sqlite.files").iterdir()).unlink()
        assert (await call(again, "GET", f"/api/v1/files/{file['id']}/content")).status == 404
        assert len(logged_errors.flush()) == 1
    finally:
        await again.stop()


def _location(charger: Charger) -> str:
    """The location of the UpdateFirmware that came."""
    for frame in reversed(charger.frames):
        message = json.loads(frame.data)
        if message[0] == 2 and message[2] == "UpdateFirmware":
            return str(message[3]["location"])
    raise AssertionError("no UpdateFirmware came")
