"""The file room over HTTP: firmware in and out, files of chargers in, and everybody who is not let in. docs/http-api.md."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import LoopingCall
from twisted.internet.threads import deferToThreadPool

from ocppd.clock import now_ms
from ocppd.net.files import landing
from ocppd.net.files.room import FileRoom, Limits
from ocppd.storage.sql_storage import SqlStorage
from support.holding import until
from support.peer import raw, within
from support.rest import Answered, ScriptedLink, Served

ensure = pytest_twisted.ensureDeferred

FIRMWARE = bytes(range(256)) * 1024
LIMIT = 1024 * 1024
OCTETS = "application/octet-stream"
URL = "http://192.0.2.1:9033"


@pytest_twisted.async_yield_fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    """A central system with a file room that takes files of a mebibyte."""

    def room(storage: SqlStorage) -> FileRoom:
        run = partial(deferToThreadPool, reactor, reactor.getThreadPool())  # type: ignore[attr-defined]
        limits = Limits(file_bytes=LIMIT, most_bytes=3 * LIMIT, uploads=2, idle_s=5.0)
        return FileRoom(tmp_path / "room", storage.files, storage.charger_jobs, reactor, run, limits, URL)  # type: ignore[arg-type]

    running = Served("CP1", queue=9, files=room)
    yield running
    await running.stop()


def room_of(served: Served) -> FileRoom:
    assert served.api.files is not None
    return served.api.files


def on_disk(served: Served) -> list[str]:
    """What is in the directory of the file room."""
    directory = room_of(served).directory
    return sorted(path.name for path in directory.iterdir()) if directory.is_dir() else []


async def put_firmware(served: Served, data: bytes = FIRMWARE, name: str = "fw.bin") -> Answered:
    """An operator uploads a firmware."""
    return await served.request("POST", f"/api/v1/files?name={name}", data, {"Content-Type": OCTETS})


def answering(call: list[Any]) -> str | None:
    """A charger that accepts, and names its diagnostics."""
    answers: dict[str, Any] = {"GetDiagnostics": {"fileName": "diag.zip"}, "UpdateFirmware": {}}
    return json.dumps([3, call[1], answers.get(call[2], {"status": "Accepted"})])


async def diagnostics(served: Served, link: ScriptedLink, **body: Any) -> tuple[int, str]:
    """Ask for diagnostics; the id of the job, and the path that the charger was given."""
    answer = await served.post("/api/v1/chargers/CP1/logs?wait=5", {"kind": "diagnostics", **body})
    assert answer.status == 200, answer
    location = link.calls[-1][3]["location"]
    assert location.startswith(URL)
    return answer.json["id"], location.removeprefix(URL)


async def log(served: Served, link: ScriptedLink) -> str:
    """Ask for a log by GetLog, of which there may be several; the path that the charger was given."""
    assert (await served.post("/api/v1/chargers/CP1/logs?wait=5", {"kind": "diagnosticsLog"})).status == 200
    return str(link.calls[-1][3]["log"]["remoteLocation"]).removeprefix(URL)


async def job(served: Served, number: int, root: str = "logs") -> Any:
    return (await served.get(f"/api/v1/chargers/CP1/{root}/{number}")).json


# Firmware


@ensure
async def test_firmware_goes_in_and_out(served: Served) -> None:
    """An operator's firmware is kept under its digest, listed, given back, and deleted."""
    added = await put_firmware(served)
    assert added.status == 201, added
    file = added.json
    digest = hashlib.sha256(FIRMWARE).hexdigest()
    assert (file["name"], file["size"], file["sha256"], file["purpose"]) == ("fw.bin", len(FIRMWARE), digest, "firmware")
    assert added.headers["location"] == f"/api/v1/files/{file['id']}"
    assert (await served.get(added.headers["location"])).json == file
    assert (await served.get("/api/v1/files?purpose=firmware")).json == {"items": [file], "next": None}
    assert (await served.get("/api/v1/files?purpose=upload")).json["items"] == []
    content = await served.get(f"/api/v1/files/{file['id']}/content")
    assert (content.status, content.body, content.media_type) == (200, FIRMWARE, OCTETS)
    assert content.headers["content-disposition"].startswith('attachment; filename="fw.bin"')
    assert (await served.request("DELETE", added.headers["location"])).status == 204
    assert on_disk(served) == []
    assert (await served.get(added.headers["location"])).slug == "not-found"


@ensure
async def test_a_firmware_is_sent_again_with_its_key(served: Served) -> None:
    """With an Idempotency-Key the same file is kept once; another file is 409 and not taken for it; a refused one has no key."""

    async def put(data: bytes) -> Answered:
        headers = {"Content-Type": OCTETS, "Idempotency-Key": "f1"}
        return await served.request("POST", "/api/v1/files?name=fw.bin", data, headers)

    assert (await put(bytes(LIMIT + 1))).slug == "body-too-large"
    first, again = await put(FIRMWARE), await put(FIRMWARE)
    assert (first.status, again.status, again.body) == (201, 201, first.body)
    assert again.headers["idempotency-replayed"] == "true"
    refused = await put(FIRMWARE[::-1])
    assert (refused.status, refused.slug) == (409, "idempotency-key")
    await until(lambda: _true(len(on_disk(served)) == 1))
    assert (await served.get("/api/v1/files")).json["items"] == [first.json]


@ensure
async def test_a_charger_fetches_its_firmware(served: Served) -> None:
    """FD-01: the location that UpdateFirmware has gives the file from anywhere, whole and in ranges, and the job is told."""
    file = (await put_firmware(served)).json["id"]
    link = await served.connect("CP1", answering)
    asked = await served.post("/api/v1/chargers/CP1/firmware?wait=5", {"file": file, "retries": 2, "retryInterval": 60})
    assert asked.status == 200, asked
    call = link.calls[-1]
    assert call[2] == "UpdateFirmware" and re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", call[3]["retrieveDate"])
    assert (call[3]["retries"], call[3]["retryInterval"]) == (2, 60)
    path = call[3]["location"].removeprefix(URL)
    assert path.endswith("/fw.bin")
    # As from another machine, through a proxy: it needs no access but the token.
    foreign = {"Host": "ocpp.example", "X-Forwarded-For": "203.0.113.9"}
    head = await served.request("HEAD", path, headers=foreign)
    assert (head.status, head.body, head.headers["content-length"]) == (200, b"", str(len(FIRMWARE)))
    assert head.headers["accept-ranges"] == "bytes"
    first = await served.request("GET", path, headers={**foreign, "Range": "bytes=0-999"})
    rest = await served.request("GET", path, headers={**foreign, "Range": "bytes=1000-", "If-Range": head.headers["etag"]})
    assert (first.status, rest.status) == (206, 206)
    assert rest.headers["content-range"] == f"bytes 1000-{len(FIRMWARE) - 1}/{len(FIRMWARE)}"
    assert first.body + rest.body == FIRMWARE
    last = await served.request("GET", path, headers={"Range": "bytes=-5"})
    assert (last.status, last.body) == (206, FIRMWARE[-5:])
    beyond = await served.request("GET", path, headers={"Range": f"bytes={len(FIRMWARE)}-"})
    assert (beyond.status, beyond.headers["content-range"]) == (416, f"bytes */{len(FIRMWARE)}")
    for header in ("bytes=5-1", "bytes=0-1,4-5", "lines=1-2", "bytes=-", "bytes=x-"):
        whole = await served.request("GET", path, headers={"Range": header})
        assert (whole.status, whole.body == FIRMWARE) == (200, True), header
    other = await served.request("GET", path, headers={"Range": "bytes=0-1", "If-Range": '"other"'})
    assert (other.status, len(other.body)) == (200, len(FIRMWARE))
    cached = await served.request("GET", path, headers={"If-None-Match": head.headers["etag"]})
    assert (cached.status, cached.body) == (304, b"")

    async def told() -> bool:
        timeline = (await job(served, asked.json["id"], "firmware"))["timeline"]
        return any(entry.get("detail") == "fetched: fw.bin" for entry in timeline)

    await until(told)
    assert (await served.request("DELETE", f"/api/v1/files/{file}")).slug == "conflict"
    link.tell('[2,"f","FirmwareStatusNotification",{"status":"DownloadFailed"}]')
    await link.next_frame()
    assert (await served.request("GET", path)).status == 410
    assert (await served.request("DELETE", f"/api/v1/files/{file}")).status == 204


@ensure
async def test_what_a_download_token_is_not_for(served: Served) -> None:
    """A URL to fetch from takes nothing, a URL to send to gives nothing, and one that nobody was given is not there."""
    file = (await put_firmware(served)).json["id"]
    link = await served.connect("CP1", answering)
    await served.post("/api/v1/chargers/CP1/firmware?wait=5", {"file": file})
    fetch = link.calls[-1][3]["location"].removeprefix(URL)
    _, send = await diagnostics(served, link)
    put = await served.request("PUT", fetch, b"x")
    assert (put.status, put.headers["allow"]) == (405, "GET, HEAD, OPTIONS")
    got = await served.request("GET", send)
    assert (got.status, got.headers["allow"]) == (405, "PUT, POST, OPTIONS")
    options = await served.request("OPTIONS", send)
    assert (options.status, options.headers["allow"]) == (204, "PUT, POST, OPTIONS")
    for path in ("/files/", "/files/x", "/files//x", f"/files/{'A' * 43}/", f"/files/{'A' * 43}/../../etc/passwd", "/files/%00"):
        for method in ("GET", "PUT", "POST", "DELETE"):
            assert (await served.request(method, path, b"x" if method != "GET" else b"")).status == 404, (method, path)
    assert len(on_disk(served)) == 1


@ensure
async def test_what_is_not_ours_stays(served: Served) -> None:
    """--files may name a directory that has other files, such as the database and its key: tidying removes none of those."""
    room = room_of(served)
    others = ["diagnostics.zip.part", "firmware.bin", "ocppd.sqlite", "ocppd.sqlite.key"]
    room.directory.mkdir()
    for name in others:
        (room.directory / name).write_bytes(b"?")
        os.utime(room.directory / name, (0, 0))
    await room.tidy()
    assert on_disk(served) == others


# What chargers send


FORM = (
    b'--zz\r\nContent-Disposition: form-data; name="note"\r\n\r\nhello\r\n'
    b'--zz\r\nContent-Disposition: form-data; name="file"; filename="C:\\\\logs\\\\cp.log"\r\nContent-Type: text/plain\r\n\r\n'
    b"one\r\n--z\r\ntwo\r\n--zz--\r\n"
)


@ensure
@pytest.mark.parametrize(
    ("method", "suffix", "headers", "body", "data", "name"),
    [
        ("PUT", "", {}, b"raw", b"raw", "file"),
        ("PUT", "diag.zip", {}, b"raw", b"raw", "diag.zip"),
        ("PUT", "/a%2F..%2Fb", {}, b"raw", b"raw", "a%2F..%2Fb"),
        ("POST", "diag.zip", {"Content-Type": OCTETS}, b"", b"", "diag.zip"),
        ("POST", "", {"Content-Type": "multipart/form-data; boundary=zz"}, FORM, b"one\r\n--z\r\ntwo", "cp.log"),
        ("PUT", "x", {"Transfer-Encoding": "chunked"}, b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", b"abcde", "x"),
        ("PUT", "big", {}, FIRMWARE * 3, FIRMWARE * 3, "big"),
    ],
    ids=["bare", "named", "path", "empty", "form", "chunked", "big"],
)
async def test_a_charger_sends_a_file(
    served: Served, method: str, suffix: str, headers: dict[str, str], body: bytes, data: bytes, name: str
) -> None:
    """FD-05: by PUT and POST, raw and as a form, with and without a name behind the directory that it was given; once."""
    link = await served.connect("CP1", answering)
    number, path = await diagnostics(served, link)
    sent = await served.request(method, path + suffix, body, {"Host": "ocpp.example", "Via": "1.1 proxy", **headers})
    assert sent.status == {"PUT": 201, "POST": 200}[method], sent
    link.tell('[2,"d","DiagnosticsStatusNotification",{"status":"Uploaded"}]')
    await link.next_frame()
    found = await job(served, number)
    assert (found["state"], found["fileName"]) == ("done", "diag.zip")
    assert [(file["name"], file["size"]) for file in found["files"]] == [(name, len(data))]
    content = await served.get(f"/api/v1/chargers/CP1/logs/{number}/content")
    assert (content.status, content.body) == (200, data)
    assert content.headers["content-disposition"].startswith("attachment")
    again = await served.request(method, path + suffix, body, headers)
    assert again.status == 410
    assert len(on_disk(served)) == 1
    events = (await served.get("/api/v1/events?type=fileReceived")).json["items"]
    assert [(event["jobId"], event["size"]) for event in events] == [(number, len(data))]


@ensure
async def test_a_file_has_a_limit(served: Served) -> None:
    """A file that is too large is refused, told by its length or not; nothing of it stays, and it may come again smaller."""
    link = await served.connect("CP1", answering)
    number, path = await diagnostics(served, link)
    large = b"x" * (LIMIT + 1)
    assert (await served.request("PUT", path, large)).status == 413
    assert any("more than" in entry.get("detail", "") for entry in (await job(served, number))["timeline"])
    far = b"x" * (LIMIT + LIMIT // 2)
    assert (await served.request("PUT", path, far)).status == 413, "one who was let in is heard out"
    chunked = b"%x\r\n%b\r\n0\r\n\r\n" % (len(large), large)
    assert (await served.request("PUT", path, chunked, {"Transfer-Encoding": "chunked"})).status == 413
    assert (await served.request("POST", "/api/v1/files", large, {"Content-Type": OCTETS})).slug == "body-too-large"
    assert on_disk(served) == []
    assert (await served.request("PUT", path, large[:-1])).status == 201


@ensure
async def test_a_form_without_a_file(served: Served) -> None:
    """What is no form with a whole file is 400; nothing stays, and the token is still good."""
    link = await served.connect("CP1", answering)
    _, path = await diagnostics(served, link)
    for kind, body in (
        ("multipart/form-data", FORM),
        ("multipart/form-data; boundary=zz", b"hello"),
        ("multipart/form-data; boundary=zz", FORM[:-30]),
        ("multipart/form-data; boundary=zz", b'--zz\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n--zz--\r\n'),
    ):
        assert (await served.request("POST", path, body, {"Content-Type": kind})).status == 400, body
    assert on_disk(served) == []
    assert (await served.request("PUT", path, b"x")).status == 201


@ensure
async def test_a_body_that_breaks_off(served: Served) -> None:
    """A sender that goes away or says nothing more leaves nothing behind, its job is told, and it may try again."""
    room = room_of(served)
    link = await served.connect("CP1", answering)
    number, path = await diagnostics(served, link)
    head = f"PUT {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\n\r\n".encode()

    gone = await raw(served.port)
    gone.write(head + b"x" * 300_000)
    await until(lambda: _true(len(on_disk(served)) == 1))
    gone.close()
    await until(lambda: _told(served, number, "connection was lost"))
    room.limits = replace(room.limits, idle_s=0.2)
    silent = await raw(served.port)
    silent.write(head + b"x" * 1000)
    await within(silent.lost)
    await until(lambda: _told(served, number, "nothing more came after 1000 bytes"))
    assert (on_disk(served), room.sending) == ([], set())
    assert (await served.request("PUT", path, b"whole")).status == 201


async def _true(value: bool) -> bool:
    return value


@ensure
async def test_senders_are_bounded(served: Served) -> None:
    """Beyond so many files at once, and for a second one with the same token, it is 503: come again."""
    link = await served.connect("CP1", answering)
    one, two, three = [await log(served, link) for _ in range(3)]
    head = "PUT {} HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc"
    first = await raw(served.port)
    first.write(head.format(one).encode())
    await until(lambda: _true(len(room_of(served).sending) == 1))
    same = await served.request("PUT", one, b"x")
    assert (same.status, "retry-after" in same.headers) == (503, True)
    second = await raw(served.port)
    second.write(head.format(two).encode())
    await until(lambda: _true(len(room_of(served).sending) == 2))
    assert (await served.request("PUT", three, b"x")).status == 503
    first.write(b"defghi")
    assert b"201" in await first.until(b"201 Created")
    second.close()
    first.close()
    await until(lambda: _true(not room_of(served).sending))
    assert (await served.request("PUT", three, b"x")).status == 201


@ensure
async def test_strangers_take_nobodys_place(served: Served) -> None:
    """Who has no token takes no place however slowly he sends, and is cut off soon; a file that takes too long is, too."""
    room = room_of(served)
    room.limits = replace(room.limits, idle_s=0.4)
    link = await served.connect("CP1", answering)
    number, path = await diagnostics(served, link)
    strangers = [await raw(served.port) for _ in range(5)]
    for stranger in strangers:
        stranger.write(f"PUT /files/{'A' * 43}/x HTTP/1.1\r\nHost: x\r\nContent-Length: 999\r\n\r\n".encode())

    def drip() -> None:
        for each in strangers:
            each.write(b"x")

    dripping = LoopingCall(drip)
    dripping.start(0.1)
    assert (await served.request("PUT", path, b"x")).status == 201
    assert room.sending == set()
    for stranger in strangers:
        await within(stranger.lost)
    dripping.stop()
    room.limits = replace(room.limits, whole_s=0.5)
    number, path = await diagnostics(served, link)
    strangers = [await raw(served.port)]
    strangers[0].write(f"PUT {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 999\r\n\r\n".encode())
    dripping.start(0.1)
    await within(strangers[0].lost)
    dripping.stop()
    await until(lambda: _told(served, number, "not whole in time"))
    assert (room.sending, len(on_disk(served))) == (set(), 1)


async def _told(served: Served, number: int, what: str) -> bool:
    return any(what in entry.get("detail", "") for entry in (await job(served, number))["timeline"])


@ensure
async def test_a_url_waits_with_its_call(served: Served) -> None:
    """A firmware of ours for a charger that is away: its call waits with the token encrypted, and carries it whole."""
    file = (await put_firmware(served, b"fw")).json["id"]
    waiting = await served.post("/api/v1/chargers/CP1/firmware", {"file": file})
    assert (waiting.status, waiting.json["state"]) == (202, "requested")
    assert "/files/***/fw.bin" in json.dumps((await served.get("/api/v1/messages")).json)
    link = await served.connect("CP1", answering)
    await until(lambda: _true(bool(link.calls)))
    path = link.calls[0][3]["location"].removeprefix(URL)
    assert (await served.request("GET", path)).body == b"fw"
    head = await served.request("HEAD", f"/api/v1/files/{file}/content")
    assert (head.status, head.headers["content-length"], head.body) == (200, "2", b"")
    assert room_of(served).downloads == 0


@ensure
async def test_two_files_with_one_token(served: Served) -> None:
    """Of files that are sent at the same moment with one token one is kept; the others leave nothing."""
    link = await served.connect("CP1", answering)
    number, path = await diagnostics(served, link)
    sent = await gatherResults([_put(served, path, data) for data in (b"one", b"two", b"six")])
    assert sorted(answer.status for answer in sent)[0] == 201
    assert [answer.status for answer in sent].count(201) == 1
    assert (len(on_disk(served)), len((await job(served, number))["files"])) == (1, 1)


def _put(served: Served, path: str, data: bytes) -> Deferred[Answered]:
    return Deferred.fromCoroutine(served.request("PUT", path, data))


@ensure
async def test_a_full_disk(served: Served, monkeypatch: pytest.MonkeyPatch, logged_errors: Any) -> None:
    """A disk without room is 507, and the job is told; a directory that cannot be written is 500, without a traceback."""
    link = await served.connect("CP1", answering)
    number, path = await diagnostics(served, link)

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(landing.os, "fsync", full)
    assert (await served.request("PUT", path, b"x")).status == 507
    monkeypatch.undo()
    assert on_disk(served) == []
    assert any("no room" in entry.get("detail", "") for entry in (await job(served, number))["timeline"])
    assert len(logged_errors.flush()) == 1
    room = room_of(served)
    blocked = room.directory / "file"
    blocked.write_bytes(b"")
    room.directory = blocked
    broken = await served.request("PUT", path, b"x")
    assert (broken.status, b"Traceback" in broken.body) == (500, False)
    assert len(logged_errors.flush()) == 1


@ensure
async def test_tokens_expire_and_are_not_kept(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """After its time a token is 410; records, messages and the access log have no token in them."""
    link = await served.connect("CP1", answering)
    number, path = await diagnostics(served, link)
    token = path.split("/")[2]
    assert len(token) == 43
    shown = json.dumps(
        [(await served.get(path)).json for path in ("/api/v1/messages", "/api/v1/events", "/api/v1/chargers/CP1/logs")]
    )
    assert token not in shown and "/files/***" in shown
    later = now_ms(reactor) + 40 * 3600 * 1000  # type: ignore[arg-type]
    monkeypatch.setattr("ocppd.net.files.intake.now_ms", lambda _: later)
    assert (await served.request("PUT", path, b"x")).status == 410
    monkeypatch.undo()
    assert (await served.request("PUT", path, b"x")).status == 201
    assert (await job(served, number))["files"]


# Operators


@ensure
async def test_operators_are_let_in_by_the_rules(served: Served) -> None:
    """A firmware of somebody who may not call is refused before any of it is on disk; other types are 415."""
    for headers in ({"Via": "1.1 x"}, {"Host": "example.org"}, {"Origin": "http://example.org"}):
        answer = await served.request("POST", "/api/v1/files", FIRMWARE, {"Content-Type": OCTETS, **headers})
        assert answer.slug == "unauthorized", headers
    for kind in ("text/plain", "multipart/form-data; boundary=zz", "application/x-www-form-urlencoded"):
        assert (await served.request("POST", "/api/v1/files", b"x", {"Content-Type": kind})).slug == "not-json-type"
    assert (await served.request("POST", "/api/v1/files")).slug == "not-json-type"
    assert (await served.request("POST", "/api/v1/files?name=a/b", b"x", {"Content-Type": OCTETS})).slug == "bad-parameters"
    await until(lambda: _true(not room_of(served).sending and on_disk(served) == []))
    assert (await served.get("/api/v1/files")).json["items"] == []


@ensure
async def test_what_is_old_or_too_much_goes(served: Served) -> None:
    """Uploads go when they are old, and the oldest ones when all files take too much; firmware stays; a full room is 507."""
    link = await served.connect("CP1", answering)
    assert (await put_firmware(served, b"f" * (LIMIT // 2))).status == 201
    numbers = []
    for size in (LIMIT, LIMIT, LIMIT):
        number, path = await diagnostics(served, link)
        assert (await served.request("PUT", path, b"x" * size)).status == 201
        numbers.append(number)
    assert (await put_firmware(served, b"f" * 10)).slug == "no-room"
    room = room_of(served)
    await room.tidy()
    kept = [(await job(served, number))["files"] for number in numbers]
    assert ([len(files) for files in kept], len(on_disk(served))) == ([0, 1, 1], 3)
    for stray in (room.new_name(), room.new_name() + ".part"):
        (room.directory / stray).write_bytes(b"?")
        os.utime(room.directory / stray, (0, 0))
    room.limits = replace(room.limits, keep_days=-1)
    await room.tidy()
    assert [file["purpose"] for file in (await served.get("/api/v1/files")).json["items"]] == ["firmware"]
    assert len(on_disk(served)) == 1
