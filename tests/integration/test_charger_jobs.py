"""Jobs: firmware, diagnostics and logs, by every door, as dialogues of a charge point with the central system."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from itertools import count
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor

from ocppd.clock import now_ms
from support.rest import Answered, ScriptedLink, Served, silent

ensure = pytest_twisted.ensureDeferred

FIRMWARE = "/api/v1/chargers/CP1/firmware"
LOGS = "/api/v1/chargers/CP1/logs"
FTP = "ftp://user:hidden@files.example/fw.bin"
HOUR_MS = 3600 * 1000
MINUTE_MS = 60 * 1000
PEM = "-----BEGIN CERTIFICATE-----\nMAo=\n-----END CERTIFICATE-----"
_numbers = count(1)


@pytest_twisted.async_yield_fixture
async def served() -> AsyncIterator[Served]:
    """A central system with one charger and no file room."""
    running = Served("CP1", queue=9)
    yield running
    await running.stop()


def answering(**answers: Any) -> Any:
    """A charger that answers these actions so, a list being a CALLERROR, and accepts the others."""
    usual: dict[str, Any] = {"GetDiagnostics": {"fileName": "d.zip"}, "UpdateFirmware": {}, **answers}

    def script(call: list[Any]) -> str | None:
        answer = usual.get(call[2], {"status": "Accepted"})
        if isinstance(answer, list):
            return json.dumps([4, call[1], *answer, "", {}])
        return None if answer is None else json.dumps([3, call[1], answer])

    return script


async def tell(link: ScriptedLink, action: str, status: str, **members: Any) -> None:
    """A status notification of the charger; the answer has no members."""
    answer = await link.ask(json.dumps([2, f"n{next(_numbers)}", f"{action}StatusNotification", {"status": status, **members}]))
    assert (answer[0], answer[2]) == (3, {}), answer


async def boot(link: ScriptedLink, version: str) -> None:
    """A boot with this firmware."""
    payload = {"chargePointVendor": "Acme", "chargePointModel": "One", "firmwareVersion": version}
    assert (await link.ask(json.dumps([2, f"b{next(_numbers)}", "BootNotification", payload])))[2]["status"] == "Accepted"


async def asked(served: Served, path: str, body: dict[str, Any]) -> Any:
    """A job that was asked for."""
    answer = await served.post(f"{path}?wait=5", body)
    assert answer.status == 200, answer
    return answer.json


async def shown(served: Served, job: Any) -> Any:
    """The job as it is now."""
    root = FIRMWARE if job["kind"] in ("firmware", "signedFirmware") else LOGS
    return (await served.get(f"{root}/{job['id']}")).json


async def newest(served: Served, root: str) -> Any:
    """The newest job, with its timeline."""
    return await shown(served, (await served.get(root)).json["items"][0])


def statuses(job: Any) -> list[str]:
    """What the charger told, in order."""
    return [entry["status"] for entry in job["timeline"] if entry["what"] == "status"]


async def ends(served: Served) -> list[tuple[str, str]]:
    """Kind and state of the jobs that have ended, newest first."""
    items = (await served.get("/api/v1/events?type=jobEnded")).json["items"]
    return [(event["jobKind"], event["state"]) for event in items]


async def later(served: Served, ms: int) -> None:
    """So much time has passed."""
    await served.storage.charger_jobs.jobs_due(now_ms(reactor) + ms)  # type: ignore[arg-type]


def entries(job: Any) -> list[str]:
    return [entry["what"] for entry in job["timeline"]]


# UpdateFirmware


@ensure
async def test_firmware(served: Served) -> None:
    """FD-01, TC_044_1, B-2: location and retrieveDate in Z; the steps with a boot in between, then done; no credentials shown."""
    link = await served.connect("CP1", answering())
    body = {"location": FTP, "retrieveDate": "2036-03-01T12:00:00+02:00", "retries": 3, "retryInterval": 10}
    job = await asked(served, FIRMWARE, body)
    assert link.calls[-1][2:] == [
        "UpdateFirmware",
        {"location": FTP, "retrieveDate": "2036-03-01T10:00:00Z", "retries": 3, "retryInterval": 10},
    ]
    assert (job["state"], job["location"], job["versionBefore"]) == ("accepted", "ftp://***@files.example/fw.bin", "1.2")
    for status in ("Downloading", "Downloaded", "Installing"):
        await tell(link, "Firmware", status)
        assert ((await shown(served, job))["state"], (await shown(served, job))["status"]) == ("running", status)
    await boot(link, "1.3")
    await tell(link, "Firmware", "Installed")
    done = await shown(served, job)
    assert (done["state"], done["status"], done["versionAfter"], "inferred" in done) == ("done", "Installed", "1.3", False)
    assert entries(done) == ["requested", "answered", "status", "status", "status", "boot", "status", "ended"]
    assert await ends(served) == [("firmware", "done")]
    assert "hidden" not in json.dumps([done, (await served.get("/api/v1/messages")).json])


@ensure
@pytest.mark.parametrize(
    "steps", [("Downloading", "DownloadFailed"), ("Downloading", "Downloaded", "Installing", "InstallationFailed")]
)
async def test_firmware_fails(served: Served, steps: tuple[str, ...]) -> None:
    """FD-02, TC_044_2, TC_044_3: a download or an installation that failed ends the job with that state."""
    link = await served.connect("CP1", answering())
    job = await asked(served, FIRMWARE, {"location": FTP})
    for status in steps:
        await tell(link, "Firmware", status)
    failed = await shown(served, job)
    assert (failed["state"], failed["status"], statuses(failed)) == ("failed", steps[-1], list(steps))
    assert await ends(served) == [("firmware", "failed")]


@ensure
async def test_steps_may_be_odd(served: Served) -> None:
    """2.4: steps may be skipped and repeated; what comes after the end is kept, marked, and changes nothing."""
    link = await served.connect("CP1", answering())
    job = await asked(served, FIRMWARE, {"location": FTP})
    for status in ("Installing", "Installing", "Downloading", "Installed", "Installed", "InstallationFailed", "Idle"):
        await tell(link, "Firmware", status)
    done = await shown(served, job)
    assert (done["state"], done["status"]) == ("done", "Installed")
    told = [(entry["status"], entry.get("afterEnd", False)) for entry in done["timeline"] if entry["what"] == "status"]
    assert told == [
        ("Installing", False),
        ("Installing", False),
        ("Downloading", False),
        ("Installed", False),
        ("Installed", True),
        ("InstallationFailed", True),
    ], "Idle after the end is no news"
    assert await ends(served) == [("firmware", "done")]


@ensure
async def test_a_boot_says_that_it_is_installed(served: Served) -> None:
    """B-2: ten minutes after a boot with another version and no Installed it counts as installed; a late Installed settles it."""
    link = await served.connect("CP1", answering())
    job = await asked(served, FIRMWARE, {"location": FTP})
    await tell(link, "Firmware", "Downloading")
    await boot(link, "1.2")
    await boot(link, "2.0")
    await later(served, 9 * MINUTE_MS)
    assert (await shown(served, job))["state"] == "running"
    await later(served, 11 * MINUTE_MS)
    done = await shown(served, job)
    assert (done["state"], done["inferred"], done["versionAfter"], done["status"]) == ("done", True, "2.0", "Downloading")
    await tell(link, "Firmware", "Installed")
    settled = await shown(served, job)
    assert (settled["state"], settled["status"], "inferred" in settled) == ("done", "Installed", False)


@ensure
async def test_idle_is_lost(served: Served) -> None:
    """2.3: Idle while a job is under way loses it, but not before it was to begin; what comes after all says more."""
    link = await served.connect("CP1", answering())
    job = await asked(served, FIRMWARE, {"location": FTP, "retrieveDate": "2036-03-01T12:00:00Z"})
    await tell(link, "Firmware", "Idle")
    assert (await shown(served, job))["state"] == "accepted"
    job = await asked(served, FIRMWARE, {"location": FTP})
    await tell(link, "Firmware", "Idle")
    lost = await shown(served, job)
    assert (lost["state"], lost["reason"]) == ("lost", "the charger knows of no job")
    await tell(link, "Firmware", "Installing")
    assert (await shown(served, job))["state"] == "running"
    await boot(link, "9.9")
    await tell(link, "Firmware", "Idle")
    assert ((await shown(served, job))["state"], (await shown(served, job))["inferred"]) == ("done", True)


@ensure
async def test_a_newer_job_takes_the_place(served: Served) -> None:
    """2.4: one job at a time without request ids: the newer one cancels the older, and statuses are the newer one's."""
    link = await served.connect("CP1", answering())
    older = await asked(served, FIRMWARE, {"location": FTP})
    newer = await asked(served, FIRMWARE, {"location": FTP})
    await tell(link, "Firmware", "Downloading")
    first, second = await shown(served, older), await shown(served, newer)
    assert (first["state"], first["reason"]) == ("cancelled", f"job {newer['id']} took its place")
    assert (second["state"], statuses(second)) == ("running", ["Downloading"])
    listed = (await served.get(FIRMWARE)).json["items"]
    assert [job["id"] for job in listed] == [newer["id"], older["id"]]
    assert (await served.get(f"{FIRMWARE}?state=cancelled")).json["items"] == listed[1:]
    page = (await served.get(f"{FIRMWARE}?limit=1")).json
    assert (await served.get(f"{FIRMWARE}?limit=1&after={page['next']}")).json["items"] == listed[1:]


@ensure
async def test_unsigned_firmware_is_refused(served: Served) -> None:
    """L01.FR.20: a charger that answers NotSupported to UpdateFirmware wants it signed, and the job says so."""
    await served.connect("CP1", answering(UpdateFirmware=["NotSupported"]))
    answer = await served.post(f"{FIRMWARE}?wait=5", {"location": FTP})
    assert answer.slug == "call-error"
    job = (await served.get(answer.headers["location"])).json
    assert (job["state"], job["reason"]) == ("failed", "NotSupported")
    assert "signed" in job["hint"]


@ensure
async def test_jobs_by_the_door_of_commands(served: Served) -> None:
    """Whatever door a call came by, its job is there when it has been answered, in the commit of that."""
    link = await served.connect("CP1", answering(UpdateFirmware=["NotSupported"]))
    log = {"log": {"remoteLocation": FTP}, "logType": "SecurityLog", "requestId": 77, "retries": 1}
    for action, body in (
        ("GetDiagnostics", {"location": FTP, "startTime": "2026-03-01T00:00:00Z"}),
        ("GetLog", log),
        ("UpdateFirmware", {"location": FTP, "retrieveDate": "2026-03-01T00:00:00Z"}),
    ):
        await served.command(action, body, "?wait=5")
    log_job, diagnostics = (await served.get(LOGS)).json["items"]
    assert (log_job["kind"], log_job["requestId"], log_job["retries"]) == ("securityLog", 77, 1)
    assert (diagnostics["fileName"], diagnostics["oldestTimestamp"]) == ("d.zip", "2026-03-01T00:00:00.000Z")
    assert {log_job["location"], diagnostics["location"]} == {"ftp://***@files.example/fw.bin"}
    assert (await newest(served, FIRMWARE))["hint"]
    await tell(link, "Log", "Uploaded", requestId=77)
    assert (await shown(served, log_job))["state"] == "done"
    given = await asked(served, LOGS, {"kind": "securityLog", "location": FTP})
    assert given["requestId"] == 78, "ids that we give do not meet those of others"
    used = await served.post(LOGS, {"kind": "securityLog", "location": FTP, "requestId": 77})
    assert used.slug == "conflict"


# GetDiagnostics


@ensure
@pytest.mark.parametrize(("last", "state"), [("Uploaded", "done"), ("UploadFailed", "failed")])
async def test_diagnostics(served: Served, last: str, state: str) -> None:
    """FD-05, TC_045_1, TC_045_2: a directory, a range, a file name; Uploading, then Uploaded or UploadFailed."""
    link = await served.connect("CP1", answering())
    span = {"oldestTimestamp": "2026-03-01T00:00:00Z", "latestTimestamp": "2026-03-02T00:00:00Z"}
    job = await asked(served, LOGS, {"kind": "diagnostics", "location": "ftp://files.example/in/", **span, "retries": 2})
    assert link.calls[-1][2:] == [
        "GetDiagnostics",
        {
            "location": "ftp://files.example/in/",
            "retries": 2,
            "startTime": "2026-03-01T00:00:00Z",
            "stopTime": "2026-03-02T00:00:00Z",
        },
    ]
    assert (job["state"], job["fileName"]) == ("accepted", "d.zip")
    await tell(link, "Diagnostics", "Uploading")
    await tell(link, "Diagnostics", last)
    assert ((await shown(served, job))["state"], (await shown(served, job))["status"]) == (state, last)
    assert await ends(served) == [("diagnostics", state)]


@ensure
async def test_nothing_to_send(served: Served) -> None:
    """FD-05: without a file name there is nothing to send, and the job ends."""
    link = await served.connect("CP1", answering(GetDiagnostics={}))
    job = await asked(served, LOGS, {"kind": "diagnostics", "location": FTP})
    assert (job["state"], "fileName" in job) == ("nothingAvailable", False)
    await tell(link, "Diagnostics", "Idle")
    assert (await served.get("/api/v1/events?type=statusWithoutJob")).json["items"] == []


@ensure
async def test_statuses_without_a_job(served: Served) -> None:
    """2.3: a status that no job asked for is answered, and an event; Idle, which only tells that nothing runs, is none."""
    link = await served.connect("CP1", answering())
    for action, status, members in (
        ("Firmware", "Downloading", {}),
        ("Diagnostics", "Uploaded", {}),
        ("Log", "Uploading", {"requestId": 5}),
        ("SignedFirmware", "Installed", {"requestId": 6}),
        ("Firmware", "Idle", {}),
        ("SignedFirmware", "Idle", {}),
    ):
        await tell(link, action, status, **members)
    items = (await served.get("/api/v1/events?type=statusWithoutJob")).json["items"]
    assert [(event["status"], event.get("requestId")) for event in reversed(items)] == [
        ("Downloading", None),
        ("Uploaded", None),
        ("Uploading", 5),
        ("Installed", 6),
    ]
    assert (await served.get(FIRMWARE)).json["items"] == (await served.get(LOGS)).json["items"] == []


@ensure
async def test_time_passes(served: Served) -> None:
    """Appendix A, errata 3.50: uploads have an hour and their retries, firmware a day from when it is to be fetched."""
    link = await served.connect("CP1", answering())
    upload = await asked(served, LOGS, {"kind": "diagnosticsLog", "location": FTP})
    patient = await asked(served, LOGS, {"kind": "diagnosticsLog", "location": FTP, "retries": 2, "retryInterval": 3600})
    firmware = await asked(served, FIRMWARE, {"location": FTP})
    assert link.calls[-1][2] == "UpdateFirmware"

    async def states() -> list[str]:
        return [(await shown(served, job))["state"] for job in (upload, patient, firmware)]

    await later(served, HOUR_MS - MINUTE_MS)
    assert await states() == ["accepted"] * 3
    await later(served, HOUR_MS + MINUTE_MS)
    assert await states() == ["timeout", "accepted", "accepted"]
    await later(served, 3 * HOUR_MS + MINUTE_MS)
    assert await states() == ["timeout", "timeout", "accepted"]
    await later(served, 24 * HOUR_MS + MINUTE_MS)
    assert await states() == ["timeout"] * 3
    await tell(link, "Firmware", "Installed")
    assert (await shown(served, firmware))["state"] == "done", "better late"


# GetLog


@ensure
async def test_security_log(served: Served) -> None:
    """SE-22, TC_079, V-10: GetLog with a request id of ours; Uploading, Uploaded; Idle when it is asked."""
    link = await served.connect("CP1", answering(GetLog={"status": "Accepted", "filename": "sec.log"}))
    job = await asked(served, LOGS, {"kind": "securityLog", "location": FTP})
    call = link.calls[-1]
    assert call[2:] == [
        "GetLog",
        {"log": {"remoteLocation": FTP}, "logType": "SecurityLog", "requestId": job["requestId"]},
    ]
    assert (job["state"], job["fileName"]) == ("accepted", "sec.log")
    await tell(link, "Log", "Uploading", requestId=job["requestId"])
    await tell(link, "Log", "Uploaded", requestId=job["requestId"])
    await tell(link, "Log", "Idle")
    done = await shown(served, job)
    assert (done["state"], statuses(done)) == ("done", ["Uploading", "Uploaded"])


@ensure
@pytest.mark.parametrize("status", ["UploadFailure", "UploadFailed", "BadMessage", "PermissionDenied", "NotSupportedOperation"])
async def test_a_log_fails(served: Served, status: str) -> None:
    """SE-22, V-10, DIS-45: each way to fail ends the job of that request id; UploadFailed, which N01 says, is UploadFailure."""
    link = await served.connect("CP1", answering())
    other = await asked(served, LOGS, {"kind": "securityLog", "location": FTP})
    job = await asked(served, LOGS, {"kind": "diagnosticsLog", "location": FTP})
    await tell(link, "Log", status, requestId=job["requestId"])
    failed = await shown(served, job)
    assert (failed["state"], failed["status"]) == ("failed", status.replace("UploadFailed", "UploadFailure"))
    assert (await shown(served, other))["state"] == "accepted"


@ensure
@pytest.mark.parametrize(
    ("answer", "states"), [("AcceptedCanceled", ("cancelled", "accepted")), ("Rejected", ("accepted", "failed"))]
)
async def test_answers_to_get_log(served: Served, answer: str, states: tuple[str, str]) -> None:
    """SE-22, V-10: AcceptedCanceled ends the former upload, Rejected the new one."""
    link = await served.connect("CP1", answering())
    first = await asked(served, LOGS, {"kind": "securityLog", "location": FTP})
    link.script = answering(GetLog={"status": answer})
    second = await asked(served, LOGS, {"kind": "securityLog", "location": FTP})
    assert ((await shown(served, first))["state"], (await shown(served, second))["state"]) == states


# SignedUpdateFirmware


async def signed(served: Served, number: int) -> Any:
    """A signed firmware that an operator asks for by the door of commands, with a certificate of his own."""
    firmware = {"location": FTP, "retrieveDateTime": "2026-03-01T00:00:00Z", "signingCertificate": PEM, "signature": "QUJD"}
    await served.command("SignedUpdateFirmware", {"requestId": number, "firmware": firmware}, "?wait=5")
    return await newest(served, FIRMWARE)


@ensure
async def test_signed_firmware(served: Served) -> None:
    """SE-21, TC_080, V-3, V-4: the whole order with a reboot in it, ending in Installed; then Idle is as it should be."""
    link = await served.connect("CP1", answering())
    job = await signed(served, 41)
    assert (job["kind"], job["requestId"], job["state"]) == ("signedFirmware", 41, "accepted")
    order = ["DownloadScheduled", "Downloading", "DownloadPaused", "Downloading", "Downloaded", "SignatureVerified"]
    order += ["InstallScheduled", "Installing", "InstallRebooting"]
    for status in order:
        await tell(link, "SignedFirmware", status, requestId=41)
    await boot(link, "2.0")
    await tell(link, "SignedFirmware", "Installed", requestId=41)
    await tell(link, "SignedFirmware", "Idle")
    done = await shown(served, job)
    assert (done["state"], statuses(done)) == ("done", [*order, "Installed"])
    assert await ends(served) == [("signedFirmware", "done")]


@ensure
@pytest.mark.parametrize(
    "status", ["InvalidSignature", "InvalidCertificate", "DownloadFailed", "InstallVerificationFailed", "InstallationFailed"]
)
async def test_signed_firmware_fails(served: Served, status: str) -> None:
    """SE-21, TC_081, V-3, DIS-47: each of these ends the job; InvalidCertificate, which is no status, is InvalidSignature."""
    link = await served.connect("CP1", answering())
    job = await signed(served, 7)
    await tell(link, "SignedFirmware", "Downloading", requestId=7)
    await tell(link, "SignedFirmware", status, requestId=7)
    failed = await shown(served, job)
    assert (failed["state"], failed["status"]) == ("failed", status.replace("InvalidCertificate", "InvalidSignature"))


@ensure
@pytest.mark.parametrize("answer", ["InvalidCertificate", "RevokedCertificate", "Rejected"])
async def test_signed_firmware_is_refused(served: Served, answer: str) -> None:
    """SE-21, V-2: the charger refuses the certificate, or the update: the job has failed for that reason."""
    await served.connect("CP1", answering(SignedUpdateFirmware={"status": answer}))
    job = await signed(served, 3)
    assert (job["state"], job["reason"]) == ("failed", answer)


@ensure
async def test_signed_firmware_cancels_the_former(served: Served) -> None:
    """SE-21, V-2: AcceptedCanceled ends the former job; its late statuses are kept in its own timeline."""
    link = await served.connect("CP1", answering())
    former = await signed(served, 1)
    link.script = answering(SignedUpdateFirmware={"status": "AcceptedCanceled"})
    newer = await signed(served, 2)
    await tell(link, "SignedFirmware", "DownloadFailed", requestId=1)
    await tell(link, "SignedFirmware", "Downloading", requestId=2)
    first, second = await shown(served, former), await shown(served, newer)
    assert (first["state"], first["timeline"][-1]["afterEnd"]) == ("cancelled", True)
    assert (second["state"], statuses(second)) == ("running", ["Downloading"])


@ensure
async def test_idle_without_request_id(served: Served) -> None:
    """SE-21, V-3: Idle may lack the request id: it is about the newest job, which is lost when it was under way."""
    link = await served.connect("CP1", answering())
    job = await signed(served, 5)
    await tell(link, "SignedFirmware", "Idle")
    assert (await shown(served, job))["state"] == "lost"


# Calls that come to nothing


@ensure
async def test_a_call_that_waits_is_taken_back(served: Served) -> None:
    """DELETE cancels a job whose call waits for its charger; a job that the charger has cannot be called back (409)."""
    waiting = await served.post(FIRMWARE, {"location": FTP})
    assert (waiting.status, waiting.json["state"]) == (202, "requested")
    gone = await served.request("DELETE", waiting.headers["location"])
    assert (gone.status, gone.json["state"]) == (200, "cancelled")
    assert (await served.request("DELETE", waiting.headers["location"])).slug == "conflict"
    link = await served.connect("CP1", answering())
    assert link.calls == []
    job = await asked(served, FIRMWARE, {"location": FTP})
    assert (await served.request("DELETE", f"{FIRMWARE}/{job['id']}")).slug == "conflict"
    assert (await served.request("DELETE", f"{LOGS}/{job['id']}")).slug == "not-found"


@ensure
async def test_a_call_that_is_not_accepted_leaves_no_job(served: Served) -> None:
    """A log of a charger that is away is 409, a full queue 429; no job is left of either."""
    assert (await served.post(LOGS, {"kind": "diagnostics", "location": FTP})).slug == "not-connected"
    for _ in range(9):
        assert (await served.post(FIRMWARE, {"location": FTP})).status == 202
    assert (await served.post(FIRMWARE, {"location": FTP})).slug == "queue-full"
    assert len((await served.get(FIRMWARE)).json["items"]) == 9
    assert (await served.get(LOGS)).json["items"] == []


@ensure
async def test_an_answer_that_does_not_come(served: Served) -> None:
    """S-6: a connection that is lost leaves the job open, since the charger may have it; its statuses move it along."""
    link = await served.connect("CP1", silent)
    job = (
        await asked(served, FIRMWARE, {"location": FTP}, 202) if False else (await served.post(FIRMWARE, {"location": FTP})).json
    )
    served.disconnect(link)
    link = await served.connect("CP1", answering())
    unknown = await shown(served, job)
    assert (unknown["state"], unknown["reason"]) == ("requested", "the charger did not answer")
    await tell(link, "Firmware", "Downloading")
    assert (await shown(served, job))["state"] == "running"
    await tell(link, "Firmware", "Installed")
    assert (await shown(served, job))["state"] == "done"


# Bad input


@ensure
@pytest.mark.parametrize(
    ("path", "body", "pointers"),
    [
        (FIRMWARE, {}, ["/location"]),
        (FIRMWARE, {"location": 1}, ["/location"]),
        (FIRMWARE, {"location": "no url"}, ["/location"]),
        (FIRMWARE, {"location": "gopher://x/y"}, ["/location"]),
        (FIRMWARE, {"location": "ftp://" + "x" * 512}, ["/location"]),
        (FIRMWARE, {"location": FTP, "file": 1}, ["/file"]),
        (FIRMWARE, {"file": "1"}, ["/file"]),
        (FIRMWARE, {"location": FTP, "retrieveDate": "soon", "retries": -1}, ["/retries", "/retrieveDate"]),
        (FIRMWARE, {"location": FTP, "retrieveDate": "2040-01-01T00:00:00Z"}, ["/retrieveDate"]),
        (FIRMWARE, {"location": FTP, "retryInterval": 1.5, "color": "red"}, ["/color", "/retryInterval"]),
        (FIRMWARE, {"location": FTP, "installDate": "2026-01-01T00:00:00Z", "requestId": 1}, ["/installDate", "/requestId"]),
        (FIRMWARE, {"location": FTP, "signed": {}}, ["/signed/signature", "/signed/signingCertificate"]),
        (
            FIRMWARE,
            {"location": FTP, "signed": {"signingCertificate": PEM, "signature": "?"}},
            ["/signed/signature", "/signed/signingCertificate"],
        ),
        (
            FIRMWARE,
            {"location": FTP, "signed": {"signingCertificate": "x" * 5501, "signature": "A" * 801}},
            ["/signed/signature", "/signed/signingCertificate"],
        ),
        (LOGS, {}, ["/kind"]),
        (LOGS, {"kind": "diary"}, ["/kind"]),
        (LOGS, {"kind": "diagnostics", "requestId": 1, "location": FTP}, ["/requestId"]),
        (LOGS, {"kind": "securityLog", "requestId": 2**31, "location": FTP}, ["/requestId"]),
        (
            LOGS,
            {"kind": "diagnostics", "oldestTimestamp": "2026-03-02T00:00:00Z", "latestTimestamp": "2026-03-01T00:00:00Z"},
            ["/latestTimestamp"],
        ),
    ],
)
async def test_bad_bodies(served: Served, path: str, body: dict[str, Any], pointers: list[str]) -> None:
    """V-1: what cannot be is 422 with a pointer to each member; nothing is sent, no job is made."""
    link = await served.connect("CP1", answering())
    answer = await served.post(path, body)
    assert (answer.slug, sorted({error["pointer"] for error in answer.json["errors"]})) == ("invalid-payload", pointers), answer
    assert (await served.get(path)).json["items"] == [] == link.calls


@ensure
async def test_bad_references(served: Served) -> None:
    """What is not there is 404, unknown parameters are 400, a body that is no object 422; without a file room it is 409."""
    await served.connect("CP1", answering())

    async def slug(method: str, path: str, body: Any = None) -> str:
        answer: Answered = await (served.post(path, body) if method == "POST" else served.request(method, path))
        return answer.slug

    assert await slug("POST", "/api/v1/chargers/CP9/firmware", {"location": FTP}) == "unknown-charger"
    assert await slug("GET", "/api/v1/chargers/CP9/logs") == "unknown-charger"
    for number in ("1", "0", "x", "99999999999999999999"):
        assert await slug("GET", f"{FIRMWARE}/{number}") == "not-found"
        assert await slug("GET", f"{LOGS}/{number}/content") == "not-found"
        assert await slug("DELETE", f"{LOGS}/{number}") == "not-found"
    assert await slug("GET", f"{FIRMWARE}?state=gone") == "bad-parameters"
    assert await slug("POST", f"{LOGS}?wait=soon", {"kind": "diagnostics"}) == "bad-parameters"
    assert await slug("POST", LOGS, b"[]") == "invalid-payload"
    assert await slug("POST", LOGS, b"{") == "not-json"
    assert await slug("POST", LOGS, {"kind": "diagnostics"}) == "conflict"
    assert await slug("POST", FIRMWARE, {"file": 1}) == "conflict"
    assert await slug("GET", "/api/v1/files") == "conflict"
    assert (await served.request("GET", "/files/abc")).status in (401, 404)
