"""Roots in chargers: installed, listed, deleted, as dialogues with a charge point that names them as it likes."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from cryptography import x509
from twisted.internet.defer import Deferred

from ocppd.central.certificate_desk import Workshop
from ocppd.pki.keeper import Keeper
from ocppd.pki.reading import hash_data
from ocppd.v16.types import HashAlgorithmEnumType
from support.certificates import authority, certificate, csr, ec_key, pem, rsa_key
from support.rest import Answered, ScriptedLink, Served

ensure = pytest_twisted.ensureDeferred

PATH = "/api/v1/chargers/CP1/certificates"
CENTRAL, MANUFACTURER = "CentralSystemRootCertificate", "ManufacturerRootCertificate"
TYPES = (CENTRAL, MANUFACTURER)


class Trusting:
    """A charge point with a store of roots. It names them with `algorithm`, and spells hashes as older editions do."""

    def __init__(self, algorithm: str = "SHA256") -> None:
        self.algorithm = HashAlgorithmEnumType(algorithm)
        self.stored: list[tuple[str, x509.Certificate]] = []
        self.answers: dict[str, str] = {}
        self.deleted: list[Any] = []

    def __call__(self, call: list[Any]) -> str | None:
        action, payload = call[2], call[3]
        if action in self.answers:
            return json.dumps([3, call[1], json.loads(self.answers[action])])
        answer = {
            "InstallCertificate": self._install,
            "GetInstalledCertificateIds": self._list,
            "DeleteCertificate": self._delete,
        }[action](payload)
        return json.dumps([3, call[1], answer])

    def _install(self, payload: Any) -> Any:
        self.stored.append((payload["certificateType"], x509.load_pem_x509_certificate(payload["certificate"].encode())))
        return {"status": "Accepted"}

    def name(self, root: x509.Certificate) -> dict[str, str]:
        """What it calls a root."""
        data = hash_data(root, self.algorithm)
        return {
            "hashAlgorithm": self.algorithm.value,
            "issuerNameHash": data.issuer_name_hash.upper(),
            "issuerKeyHash": data.issuer_key_hash.upper(),
            "serialNumber": data.serial_number.upper().zfill(40),
        }

    def _list(self, payload: Any) -> Any:
        names = [self.name(root) for kind, root in self.stored if kind == payload["certificateType"]]
        return {"status": "Accepted", "certificateHashData": names} if names else {"status": "NotFound"}

    def _delete(self, payload: Any) -> Any:
        self.deleted.append(payload["certificateHashData"])
        for each in self.stored:
            if self.name(each[1]) == payload["certificateHashData"]:
                self.stored.remove(each)
                return {"status": "Accepted"}
        return {"status": "NotFound"}


@pytest_twisted.async_yield_fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    """A central system with an authority; CP2 never comes."""
    running = Served("CP1", "CP2", queue=20, workshop=Workshop(authority(tmp_path / "ca")))
    yield running
    await running.stop()


async def install(served: Served, root: x509.Certificate, kind: str = CENTRAL) -> Answered:
    """What an operator gets for installing a root."""
    return await served.post(f"{PATH}?wait=10", {"certificateType": kind, "certificate": pem(root)})


async def delete(served: Served, certificate_id: str, query: str = "?wait=10") -> Answered:
    """What an operator gets for deleting a root."""
    return await served.request("DELETE", f"{PATH}/{certificate_id}{query}")


async def known(served: Served, query: str = "") -> Any:
    """What is known of the certificates in CP1."""
    answer = await served.get(PATH + query)
    assert answer.status == 200, answer
    return answer.json


async def installed(served: Served, query: str = "") -> list[str]:
    """The types of the roots in CP1."""
    return [each["certificateType"] for each in (await known(served, query))["installed"]]


@ensure
@pytest.mark.parametrize("kind", [MANUFACTURER, CENTRAL])
async def test_a_root_is_installed(served: Served, kind: str) -> None:
    """SE-18, TC_075_1, TC_075_2, Q-5, Q-6: InstallCertificate, then GetInstalledCertificateIds names it, and we know it again."""
    charger = Trusting()
    await served.connect("CP1", charger)
    root = certificate(rsa_key())
    done = await install(served, root, kind)
    assert (done.status, done.json["outcome"]) == (200, "Accepted")
    assert charger.stored == [(kind, root)]
    before = await known(served)
    [found] = before["installed"]
    assert (found["certificateType"], found["reported"], before["listed"]) == (kind, False, [])
    after = await known(served, "?refresh=1")
    [found] = after["installed"]
    assert (found["reported"], found["hashData"]) == (True, charger.name(root))
    assert found["certificate"]["subject"] == "CN=Root"
    assert {each["certificateType"]: each["status"] for each in after["listed"]} == {
        kind: "Accepted",
        next(each for each in TYPES if each != kind): "NotFound",
    }
    assert [each["outcome"] for each in after["installations"]] == ["Accepted"]


@ensure
@pytest.mark.parametrize("algorithm", ["SHA256", "SHA384", "SHA512"])
async def test_a_root_is_deleted_as_it_was_listed(served: Served, algorithm: str) -> None:
    """SE-19, TC_076, Q-6, Q-7: get, delete with exactly what the charger told, get again; the last root needs confirmation."""
    charger = Trusting(algorithm)
    await served.connect("CP1", charger)
    one, other = certificate(ec_key(), "One"), certificate(ec_key(), "Other")
    for root in (one, other):
        await install(served, root)
    listed = (await known(served, "?refresh=1"))["installed"]
    assert [each["certificate"]["subject"] for each in listed] == ["CN=One", "CN=Other"]
    done = await delete(served, listed[0]["certificateId"])
    assert (done.status, done.json["outcome"]) == (200, "Accepted")
    assert charger.deleted == [listed[0]["hashData"]] and listed[0]["hashData"]["hashAlgorithm"] == algorithm
    assert await installed(served) == [CENTRAL]
    last = listed[1]["certificateId"]
    refused = await delete(served, last)
    assert (refused.status, refused.slug) == (409, "conflict") and "lastRoot" in refused.json["detail"]
    assert (await delete(served, last, "?confirm=yes")).status == 409
    assert len(charger.deleted) == 1
    assert (await delete(served, last, "?wait=10&confirm=lastRoot")).json["outcome"] == "Accepted"
    assert await installed(served, "?refresh=1") == []
    assert (await delete(served, last)).status == 404


@ensure
async def test_roots_that_are_being_deleted_are_not_there_for_the_last_one(served: Served) -> None:
    """Q-7: the last root is the last one, too, where the deletion of the others is still on its way, or its end is unknown."""
    charger = Trusting()
    link = await served.connect("CP1", charger)
    for name in ("One", "Other"):
        await install(served, certificate(ec_key(), name))
    one, other = [each["certificateId"] for each in (await known(served, "?refresh=1"))["installed"]]
    served.disconnect(link)
    assert (await delete(served, one, "")).json["state"] == "queued"
    refused = await delete(served, other, "")
    assert (refused.status, refused.slug) == (409, "conflict") and "lastRoot" in refused.json["detail"]
    assert (await delete(served, one, "")).status == 202
    assert (await delete(served, other, "?confirm=lastRoot")).status == 202


@ensure
async def test_a_list_that_was_asked_for_before_a_deletion_says_nothing_of_it(served: Served) -> None:
    """Q-7: nor is another root there for the last one whose deletion waits for the answer that lists it."""
    charger = Trusting()
    link = await served.connect("CP1", charger)
    for name in ("One", "Other"):
        await install(served, certificate(ec_key(), name))
    one, other = [each["certificateId"] for each in (await known(served, "?refresh=1"))["installed"]]
    link.script = lambda _: None
    asked = link.next_frame()
    refreshing = Deferred.fromCoroutine(served.get(f"{PATH}?refresh=1"))
    listing = await asked
    assert (await delete(served, one, "")).json["state"] == "queued"
    link.tell(str(charger(listing)))
    deleting = await link.next_frame()
    assert (deleting[2], (await delete(served, other, "")).status) == ("DeleteCertificate", 409)
    link.script = charger
    link.tell(str(charger(deleting)))
    assert (await refreshing).status == 200


@ensure
async def test_a_deletion_that_fails(served: Served) -> None:
    """SE-19: Failed leaves the root where it is; NotFound says that it is not there any more."""
    charger = Trusting()
    await served.connect("CP1", charger)
    await install(served, certificate(ec_key()))
    [found] = (await known(served, "?refresh=1"))["installed"]
    charger.answers["DeleteCertificate"] = '{"status":"Failed"}'
    path = f"{PATH}/{found['certificateId']}?wait=10&confirm=lastRoot"
    assert (await served.request("DELETE", path)).json["outcome"] == "Failed"
    assert await installed(served) == [CENTRAL]
    charger.answers["DeleteCertificate"] = '{"status":"NotFound"}'
    assert (await served.request("DELETE", path)).json["outcome"] == "NotFound"
    assert await installed(served) == []


@ensure
async def test_what_is_not_listed_is_not_deleted(served: Served) -> None:
    """Q-7: only the charger's own words name a root, so one that it has not listed yet cannot be deleted."""
    await served.connect("CP1", Trusting())
    await install(served, certificate(ec_key()))
    [found] = (await known(served))["installed"]
    assert (await delete(served, found["certificateId"])).slug == "conflict"


@ensure
@pytest.mark.parametrize("first", ["answer", "event"])
async def test_a_root_that_the_charger_refuses(served: Served, first: str) -> None:
    """TC_078, SE-18, SE-20, Q-5: Rejected, with InvalidCentralSystemCertificate before or after it, which is linked to it."""
    charger = Trusting()
    link = await served.connect("CP1", charger)
    told = {"type": "InvalidCentralSystemCertificate", "timestamp": "2026-01-02T03:04:05Z"}
    event = json.dumps([2, "event", "SecurityEventNotification", told])
    if first == "event":
        link.script = lambda call: _after(link, event, json.dumps([3, call[1], {"status": "Rejected"}]))
    else:
        charger.answers["InstallCertificate"] = '{"status":"Rejected"}'
    done = await install(served, certificate(ec_key()))
    assert done.json["outcome"] == "Rejected"
    if first == "answer":
        assert (await link.ask(event))[2] == {}
    [found] = (await served.get("/api/v1/security-events?charger=CP1")).json["items"]
    assert (found["messageId"], found["critical"]) == (done.json["messageId"], False)
    shown = await known(served)
    assert shown["installed"] == []
    assert [each["outcome"] for each in shown["installations"]] == ["Rejected"]


def _after(link: ScriptedLink, event: str, answer: str) -> str:
    link.tell(event)
    return answer


@ensure
async def test_a_root_that_could_not_be_stored(served: Served) -> None:
    """SE-18: Failed installs nothing."""
    charger = Trusting()
    await served.connect("CP1", charger)
    charger.answers["InstallCertificate"] = '{"status":"Failed"}'
    assert (await install(served, certificate(ec_key()))).json["outcome"] == "Failed"
    assert await installed(served) == []


@ensure
@pytest.mark.parametrize(
    "answer",
    [
        '{"status":"Accepted"}',
        '{"status":"Accepted","certificateHashData":[]}',
        '{"status":"Accepted","certificateHashData":null}',
        '{"status":"NotFound"}',
    ],
)
async def test_lists_without_anything(served: Served, answer: str) -> None:
    """SE-18, Q-6, 4.3: Accepted without a list, or with an empty one, and NotFound say that there is nothing."""
    charger = Trusting()
    await served.connect("CP1", charger)
    await install(served, certificate(ec_key()))
    charger.answers["GetInstalledCertificateIds"] = answer
    assert await installed(served, "?refresh=1") == []


@ensure
async def test_by_whatever_door(served: Served) -> None:
    """Q-5 to Q-7: commands of the operator change the picture just as the resources do; what cannot be read harms nobody."""
    charger = Trusting()
    await served.connect("CP1", charger)
    root = certificate(ec_key())
    for kind in TYPES:
        await served.command("InstallCertificate", {"certificateType": kind, "certificate": pem(root)}, "?wait=10")
    await served.command("GetInstalledCertificateIds", {"certificateType": CENTRAL}, "?wait=10")
    shown = await known(served)
    assert [(each["certificateType"], each["reported"]) for each in shown["installed"]] == [
        (CENTRAL, True),
        (MANUFACTURER, False),
    ]
    await served.command("DeleteCertificate", {"certificateHashData": charger.name(root)}, "?wait=10")
    assert await installed(served) == [], "the hash data are those of both"
    charger.answers["InstallCertificate"] = '{"status":"Accepted"}'
    await served.command("InstallCertificate", {"certificateType": CENTRAL, "certificate": "no PEM"}, "?wait=10")
    charger.answers["CertificateSigned"] = '{"status":"Accepted"}'
    await served.command("CertificateSigned", {"certificateChain": "no PEM"}, "?wait=10")
    leaf = certificate(ec_key(), "SN-1", ca=False)
    await served.command("CertificateSigned", {"certificateChain": pem(leaf)}, "?wait=10")
    shown = await known(served)
    assert (shown["installed"], len(shown["installations"])) == ([], 3)
    assert [(each["status"], each["subject"]) for each in shown["own"]] == [("accepted", "CN=SN-1")]


@ensure
async def test_our_own_roots(served: Served) -> None:
    """Q-6: our roots come with the hash data of all three algorithms, and an installed one is recognised by them."""
    charger = Trusting("SHA384")
    await served.connect("CP1", charger)
    shown = (await served.get("/api/v1/ca")).json
    assert [each["keyType"] for each in shown["issuers"]] == ["RSA", "ECDSA"]
    assert (await served.post("/api/v1/ca")).status == 200
    root = shown["issuers"][1]["root"]
    assert [each["hashAlgorithm"] for each in root["hashData"]] == ["SHA256", "SHA384", "SHA512"]
    charger.stored.append((CENTRAL, x509.load_pem_x509_certificate(root["pem"].encode())))
    [found] = (await known(served, "?refresh=1"))["installed"]
    assert found["certificate"]["fingerprint"] == root["fingerprint"]
    told, ours = found["hashData"], root["hashData"][1]
    assert {name: value.lower().lstrip("0") for name, value in told.items()} == {
        name: value.lower().lstrip("0") for name, value in ours.items()
    }


@ensure
async def test_the_authority_is_made_once(tmp_path: Path) -> None:
    """Q-2: made by a request, in a directory and with keys that only their owner reads, and the same from then on."""
    served = Served("CP1", workshop=Workshop(Keeper(tmp_path / "deep" / "ca")), cpo_name="Acme")
    try:
        assert (await served.get("/api/v1/ca")).status == 404
        made = await served.post("/api/v1/ca")
        assert made.status == 201
        assert made.json["issuers"][0]["root"]["subject"] == "CN=Acme RSA root,O=Acme"
        assert "PRIVATE" not in made.body.decode()
        assert (await served.get("/api/v1/ca")).json == made.json
        assert (
            Workshop(Keeper(tmp_path / "deep" / "ca")).keeper.make("Else")["RSA"].root.subject.rfc4514_string().endswith("Acme")
        )
        modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "deep" / "ca").iterdir()}
        assert {mode for name, mode in modes.items() if name.endswith(".key")} == {0o600}
        assert (tmp_path / "deep" / "ca").stat().st_mode & 0o777 == 0o700
        assert list((tmp_path / "deep").iterdir()) == [tmp_path / "deep" / "ca"]
    finally:
        await served.stop()


def bad_installs() -> list[tuple[Any, list[str]]]:
    """Bodies, and what is wrong with them."""
    key = ec_key()
    root = certificate(key)
    good = {"certificateType": CENTRAL, "certificate": pem(root)}
    return [
        ({}, ["/certificate", "/certificateType"]),
        ({**good, "certificateType": "V2GRootCertificate"}, ["/certificateType"]),
        ({**good, "certificate": 5}, ["/certificate"]),
        ({**good, "certificate": "x" * 5501}, ["/certificate"]),
        ({**good, "certificate": "no PEM"}, ["/certificate"]),
        ({**good, "certificate": csr()}, ["/certificate"]),
        ({**good, "certificate": pem(root, root)}, ["/certificate"]),
        ({**good, "certificate": pem(certificate(key, ca=False))}, ["/certificate"]),
        ({**good, "certificate": pem(certificate(key, days=(-9, -1)))}, ["/certificate"]),
        ({**good, "certificate": pem(root) + "-----BEGIN PRIVATE KEY-----\n"}, ["/certificate"]),
        ({**good, "force": True}, ["/force"]),
        ([good], [""]),
    ]


@ensure
async def test_bad_input(served: Served) -> None:
    """Q-5: what is no root certificate that holds is refused with a pointer to it, before anything is sent."""
    link = await served.connect("CP1", Trusting())
    for body, pointers in bad_installs():
        answer = await served.post(PATH, body)
        assert (answer.status, answer.slug) == (422, "invalid-payload"), (body, answer)
        assert sorted(each["pointer"] for each in answer.json["errors"]) == pointers, body
    good = {"certificateType": CENTRAL, "certificate": pem(certificate(ec_key()))}
    for method, path, body, status in (
        ("POST", PATH.replace("CP1", "CP9"), good, 404),
        ("GET", PATH.replace("CP1", "CP9"), None, 404),
        ("GET", PATH.replace("CP1", "CP2") + "?refresh=1", None, 409),
        ("GET", PATH + "?refresh=yes", None, 400),
        ("DELETE", PATH + "/0123456789abcdef", None, 404),
        ("DELETE", PATH + "/0123456789abcdef?force=1", None, 400),
        ("POST", PATH + "/" + "0" * 64 + "/revoke", {"reason": "lost"}, 404),
        ("POST", PATH + "/" + "0" * 64 + "/revoke", {}, 422),
        ("POST", "/api/v1/ca", {"name": "x"}, 400),
        ("PUT", "/api/v1/ca", None, 405),
    ):
        data = b"" if body is None else json.dumps(body).encode()
        answer = await served.request(method, path, data, {"Content-Type": "application/json"} if data else {})
        assert (answer.status, bool(answer.slug)) == (status, True), (method, path, answer)
    assert link.calls == []
    assert await installed(served) == []
