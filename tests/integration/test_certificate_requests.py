"""Requests for certificates, from SignCertificate to what the charger makes of the certificate, as dialogues."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import ExtensionPolicy, PolicyBuilder, Store
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults, succeed
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThreadPool

from ocppd.central import certificate_desk
from ocppd.central.certificate_desk import Workshop
from ocppd.config import CertificateName, CertificatePolicy
from ocppd.pki.keeper import Keeper
from ocppd.pki.reading import CHAIN_LIMIT
from ocppd.storage.records.certificates import RequestFilter, RequestState
from support.certificates import authority, certificate, csr, ec_key, pem, rsa_key, spoilt
from support.peer import within
from support.rest import BOOT, ScriptedLink, Served, accepting

ensure = pytest_twisted.ensureDeferred

REQUESTS = "/api/v1/certificate-requests"
WITH_SERIAL = BOOT.replace('"firmwareVersion"', '"chargePointSerialNumber":"SN-1","firmwareVersion"')

_ANY, _APPROVED = RequestFilter(), RequestState.APPROVED
Make = Callable[..., Awaitable[tuple[Served, ScriptedLink]]]


def in_threads() -> Any:
    """Runs work in the reactor's threads."""
    return partial(deferToThreadPool, reactor, reactor.getThreadPool())  # type: ignore[attr-defined]


@pytest_twisted.async_yield_fixture
async def make(tmp_path: Path) -> AsyncIterator[Make]:
    """Makes a central system with an authority, and a charger of serial number SN-1 that has booted."""
    running: list[Served] = []

    async def make_one(script: Any = accepting, **settings: Any) -> tuple[Served, ScriptedLink]:
        given = {"workshop": Workshop(authority(tmp_path / "ca"), in_threads()), **settings}
        served = Served("CP1", "CP2", **given)
        running.append(served)
        return served, await connected(served, script)

    yield make_one
    for served in running:
        await served.stop()


async def connected(served: Served, script: Any = accepting, charger: str = "CP1") -> ScriptedLink:
    """A charger that has told its serial number."""
    link = await served.connect(charger, script, boot=False)
    assert (await link.ask(WITH_SERIAL))[2]["status"] == "Accepted"
    return link


async def sign(link: ScriptedLink, request: str, message_id: str = "sign") -> str:
    """What SignCertificate is answered."""
    answer = await link.ask(json.dumps([2, message_id, "SignCertificate", {"csr": request}]))
    assert answer[:2] == [3, message_id], answer
    return str(answer[2]["status"])


async def called(link: ScriptedLink, action: str, count: int = 1) -> Any:
    """The payload of the newest call of this action, when there have been so many."""

    async def wait() -> Any:
        while len(found := [call[3] for call in link.calls if call[2] == action]) < count:
            await link.next_frame()
        return found[-1]

    return await wait()


async def until(served: Served, state: str, path: str = REQUESTS) -> Any:
    """The newest request, once it is in this state."""

    async def wait() -> Any:
        while True:
            items = (await served.get(path)).json["items"]
            if items and items[0]["state"] == state:
                return items[0]
            await deferLater(reactor, 0.01)  # type: ignore[arg-type]

    return await within(Deferred.fromCoroutine(wait()))


async def roots(served: Served) -> list[x509.Certificate]:
    """Our roots, as an operator gets them."""
    issuers = (await served.get("/api/v1/ca")).json["issuers"]
    return [x509.load_pem_x509_certificate(issuer["root"]["pem"].encode()) for issuer in issuers]


def verified(chain: str, trusted: list[x509.Certificate]) -> list[x509.Certificate]:
    """The certificates of a chain, leaf first, that leads to one of these roots by the rules of RFC 5280."""
    found = x509.load_pem_x509_certificates(chain.encode())
    # The library's own policy for leaves is that of web servers: it wants a subjectAltName.
    policies = {"ca_policy": ExtensionPolicy.webpki_defaults_ca(), "ee_policy": ExtensionPolicy.permit_all()}
    builder = PolicyBuilder().store(Store(trusted)).time(datetime.now(UTC)).extension_policies(**policies)
    verifier = builder.build_client_verifier()
    path = verifier.verify(found[0], found[1:]).chain
    assert path[:-1] == found, "the chain is leaf first, then who has signed it, without the root"
    return found


@ensure
@pytest.mark.parametrize("kind", ["RSA", "EC"])
async def test_certificates_for_rsa_and_ec_keys(make: Make, kind: str) -> None:
    """SE-15, TC_074, Q-1, Q-3, S-3, V-12: triggered without connectorId, Accepted first, then the chain of the right key."""
    served, link = await make(cpo_name="Test CPO")
    key = rsa_key() if kind == "RSA" else ec_key()
    asked = await served.post("/api/v1/chargers/CP1/certificate-requests?wait=10")
    assert (asked.status, asked.json["outcome"]) == (200, "Accepted")
    assert link.calls[-1][2:] == ["ExtendedTriggerMessage", {"requestedMessage": "SignChargePointCertificate"}]
    assert await sign(link, csr(key, organization="Test CPO")) == "Accepted"
    assert link.calls[-1][2] == "ExtendedTriggerMessage", "nothing of it before the answer"
    chain = (await called(link, "CertificateSigned"))["certificateChain"]
    assert len(chain) <= CHAIN_LIMIT
    leaf, issuer = verified(chain, await roots(served))
    usage = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert not leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert leaf.public_key() == key.public_key()
    assert isinstance(leaf.signature_hash_algorithm, hashes.SHA256)
    if kind == "RSA":
        assert isinstance(leaf.signature_algorithm_parameters, padding.PKCS1v15), "the certification tool refuses PSS"
    else:
        assert isinstance(leaf.signature_algorithm_parameters, ec.ECDSA)
    assert leaf.subject.rfc4514_string() in ("CN=SN-1,O=Test CPO", "O=Test CPO,CN=SN-1")
    assert leaf.serial_number > 2**64 and leaf.serial_number != issuer.serial_number
    assert timedelta(days=364) < leaf.not_valid_after_utc - datetime.now(UTC) < timedelta(days=366)
    found = await until(served, "accepted")
    assert (found["decidedBy"], found["policy"], found["key"][:3].strip()) == ("policy", "automatic", kind)


@ensure
async def test_what_is_known_of_an_accepted_certificate(make: Make) -> None:
    """Q-4: the old and the new certificate are both known with their validity, until one is revoked."""
    served, link = await make()
    for number in (1, 2):
        assert await sign(link, csr(), f"sign{number}") == "Accepted"
        await called(link, "CertificateSigned", number)
        await until(served, "accepted", f"{REQUESTS}?limit=1")
    own = (await served.get("/api/v1/chargers/CP1/certificates")).json["own"]
    assert [each["status"] for each in own] == ["accepted", "accepted"]
    newest, oldest = own
    assert newest["notBefore"] >= oldest["notBefore"] and newest["acceptedAt"] and newest["chain"].startswith("-----BEGIN ")
    path = f"/api/v1/chargers/CP1/certificates/{oldest['fingerprint']}/revoke"
    revoked = await served.post(path, {"reason": "stolen"})
    assert (revoked.status, revoked.json["status"], revoked.json["revokeReason"]) == (200, "revoked", "stolen")
    assert (await served.post(path, {"reason": "again"})).slug == "conflict"
    valid = await served.storage.certificates.valid_certificates("CP1", int(datetime.now(UTC).timestamp() * 1000))
    assert [each.fingerprint for each in valid] == [newest["fingerprint"]]


@ensure
@pytest.mark.parametrize(
    ("request_of", "reason"),
    [
        (lambda: "-----BEGIN CERTIFICATE REQUEST-----", "the request "),
        (lambda: "no PEM at all", "the request is not PEM"),
        (lambda: csr(ec_key(ec.SECP192R1())), "EC key of 192 bits"),
        (lambda: csr(rsa_key(1024)), "RSA key of 1024 bits"),
        (lambda: spoilt(csr()), "not signed with its own key"),
        (lambda: pem(certificate(ec_key())), "the request "),
        (lambda: csr(common_name="CP1"), "not the serial number"),
        (lambda: csr(common_name=None), "one common name"),
        (lambda: csr(organization="Somebody else"), "not CpoName"),
    ],
)
async def test_refused_requests(make: Make, request_of: Callable[[], str], reason: str) -> None:
    """Q-1: what cannot be signed, or is not the charger's own, is answered Rejected at once, and kept with the reason."""
    served, link = await make(cpo_name="Test CPO")
    assert await sign(link, request_of()) == "Rejected"
    [found] = (await served.get(REQUESTS)).json["items"]
    assert (found["state"], found["decidedBy"]) == ("refused", "policy")
    assert reason in found["reason"], found["reason"]
    assert [call for call in link.calls if call[2] == "CertificateSigned"] == []
    [event] = (await served.get("/api/v1/events?type=certificateRequestEnded")).json["items"]
    assert (event["requestId"], event["state"]) == (found["requestId"], "refused")
    refused = await served.post(f"{REQUESTS}/{found['requestId']}/approve", {})
    assert refused.slug == "conflict", "the charger was told Rejected, and waits for nothing"


@ensure
async def test_relaxed_comparisons(make: Make) -> None:
    """Q-1: without CpoName the organization is not compared, and with CertificateName any the name is not; the reason says so."""
    served, link = await make(certificate_name=CertificateName.ANY)
    assert await sign(link, csr(common_name="OCTT", organization="Lab")) == "Accepted"
    await called(link, "CertificateSigned")
    found = await until(served, "accepted")
    whole = (await served.get(f"{REQUESTS}/{found['requestId']}")).json
    assert (whole["commonNames"], whole["organizations"], whole["signature"]) == (["OCTT"], ["Lab"], "sha256")
    assert whole["csr"].startswith("-----BEGIN CERTIFICATE REQUEST")


@ensure
async def test_a_serial_number_that_the_operator_knows(make: Make) -> None:
    """Q-1, Y-6: where it is configured, what the charger tells at its boot does not count."""
    served, link = await make(serial_number="SN-7")
    assert await sign(link, csr(common_name="SN-1")) == "Rejected"
    assert await sign(link, csr(common_name="SN-7")) == "Accepted"
    await until(served, "accepted")


@ensure
async def test_an_operator_approves(make: Make) -> None:
    """Q-1, Q-2: with the policy manual the request waits, is told as an event, and goes its way once it is approved."""
    served, link = await make(certificate_policy=CertificatePolicy.MANUAL)
    assert await sign(link, csr()) == "Accepted"
    [found] = (await served.get(f"{REQUESTS}?charger=CP1&state=pending")).json["items"]
    [event] = (await served.get("/api/v1/events?type=certificateRequestPending")).json["items"]
    assert event["requestId"] == found["requestId"]
    assert [call for call in link.calls if call[2] == "CertificateSigned"] == []
    path = f"{REQUESTS}/{found['requestId']}"
    approved = await served.post(f"{path}/approve", {})
    assert (approved.status, approved.json["state"], approved.json["decidedBy"]) == (200, "approved", "operator")
    await called(link, "CertificateSigned")
    assert (await until(served, "accepted"))["messageId"] == link.calls[-1][1]
    for call in ("approve", "refuse"):
        assert (await served.post(f"{path}/{call}", {"reason": "late"} if call == "refuse" else {})).slug == "conflict"


@ensure
async def test_operators_at_once(make: Make) -> None:
    """Q-1: of several who decide at the same time one does, the others are told 409; one certificate is sent, or none."""
    served, link = await make(certificate_policy=CertificatePolicy.MANUAL)
    assert await sign(link, csr()) == "Accepted"
    [found] = (await served.get(REQUESTS)).json["items"]
    path = f"{REQUESTS}/{found['requestId']}"
    wishes = [
        served.post(f"{path}/approve", {}),
        served.post(f"{path}/refuse", {"reason": "no"}),
        served.post(f"{path}/approve", {}),
    ]
    answers = await gatherResults([Deferred.fromCoroutine(wish) for wish in wishes])
    assert sorted(answer.status for answer in answers) == [200, 409, 409]
    approved = next(answer for answer in answers if answer.status == 200).json["state"] == "approved"
    await until(served, "accepted" if approved else "refused")
    assert len([call for call in link.calls if call[2] == "CertificateSigned"]) == int(approved)


@ensure
async def test_an_operator_refuses(make: Make) -> None:
    """Q-1: refused by an operator, nothing is sent; a new request is a new one."""
    served, link = await make(certificate_policy=CertificatePolicy.MANUAL)
    request = csr()
    assert await sign(link, request) == "Accepted"
    assert await sign(link, request, "again") == "Accepted"
    [found] = (await served.get(REQUESTS)).json["items"]
    refused = await served.post(f"{REQUESTS}/{found['requestId']}/refuse", {"reason": "not ours"})
    assert (refused.json["state"], refused.json["reason"]) == ("refused", "not ours")
    assert await sign(link, request, "third") == "Accepted"
    items = (await served.get(REQUESTS)).json["items"]
    assert [each["state"] for each in items] == ["pending", "refused"]
    assert await sign(link, csr(), "fourth") == "Accepted"
    items = (await served.get(REQUESTS)).json["items"]
    assert [each["state"] for each in items] == ["pending", "superseded", "refused"]


@ensure
async def test_a_certificate_of_another_authority(make: Make) -> None:
    """Q-2, Q-3: an operator brings the chain that their own authority has made; the root at its end is not sent."""
    served, link = await make(certificate_policy=CertificatePolicy.MANUAL, workshop=Workshop(Keeper(None)))
    key, root_key, issuer_key = ec_key(), ec_key(), ec_key()
    assert await sign(link, csr(key)) == "Accepted"
    [found] = (await served.get(REQUESTS)).json["items"]
    path = f"{REQUESTS}/{found['requestId']}/approve"
    root = certificate(root_key)
    issuer = certificate(issuer_key, "Issuer", ("Root", root_key))
    leaf = certificate(key, "SN-1", ("Issuer", issuer_key), ca=False)
    assert (await served.post(path, {})).slug == "conflict"
    wrong = {
        "no PEM": "x",
        "another key": pem(certificate(ec_key(), "SN-1", ("Issuer", issuer_key), ca=False), issuer),
        "another order": pem(issuer, leaf),
        "another issuer": pem(leaf, certificate(ec_key(), "Issuer")),
        "expired": pem(certificate(key, "SN-1", ("Issuer", issuer_key), ca=False, days=(-9, -1)), issuer),
        "with a key": pem(leaf, issuer) + "-----BEGIN EC PRIVATE KEY-----\n",
    }
    for what, chain in wrong.items():
        refused = await served.post(path, {"certificateChain": chain})
        assert (refused.status, refused.json["errors"][0]["pointer"]) == (422, "/certificateChain"), (what, refused)
    assert (await served.post(path, {"certificateChain": pem(leaf, issuer, root)})).json["state"] == "approved"
    sent = (await called(link, "CertificateSigned"))["certificateChain"]
    assert sent == pem(leaf, issuer)
    assert (await until(served, "accepted"))["fingerprint"] == leaf.fingerprint(hashes.SHA256()).hex()


@ensure
async def test_a_charger_that_refuses_its_certificate(make: Make) -> None:
    """TC_077, SE-17, Q-4, 4.3: CertificateSigned Rejected is kept and told; the security event that follows is linked to it."""

    def rejecting(call: list[Any]) -> str | None:
        status = "Rejected" if call[2] == "CertificateSigned" else "Accepted"
        return json.dumps([3, call[1], {"status": status}])

    served, link = await make(rejecting)
    assert await sign(link, csr()) == "Accepted"
    await called(link, "CertificateSigned")
    found = await until(served, "rejected")
    told = {"type": "InvalidChargePointCertificate", "timestamp": "2026-01-02T03:04:05Z"}
    assert (await link.ask(json.dumps([2, "event", "SecurityEventNotification", told])))[2] == {}
    [event] = (await served.get("/api/v1/chargers/CP1/security-events")).json["items"]
    assert (event["requestId"], event["messageId"]) == (found["requestId"], found["messageId"])
    [ended] = (await served.get("/api/v1/events?type=certificateRequestEnded")).json["items"]
    assert (ended["state"], ended["charger"]) == ("rejected", "CP1")
    [own] = (await served.get("/api/v1/chargers/CP1/certificates")).json["own"]
    assert own["status"] == "issued"
    assert len([call for call in link.calls if call[2] == "CertificateSigned"]) == 1, "nothing is repeated by itself"
    assert (await served.post(f"{REQUESTS}/{found['requestId']}/approve", {})).slug == "conflict"


@ensure
async def test_a_certificate_that_cannot_be_delivered(make: Make) -> None:
    """Q-2: CALLERROR is a failure that is told, and tried again when an operator says so, with the same certificate."""
    answers = ['[4,"%s","NotSupported","",{}]', '[3,"%s",{"status":"Accepted"}]']

    def failing(call: list[Any]) -> str | None:
        return answers.pop(0) % call[1]

    served, link = await make(failing)
    assert await sign(link, csr()) == "Accepted"
    first = await called(link, "CertificateSigned")
    found = await until(served, "failed")
    assert "NotSupported" in found["reason"]
    assert (await served.post(f"{REQUESTS}/{found['requestId']}/approve", {})).status == 200
    assert await called(link, "CertificateSigned", 2) == first
    await until(served, "accepted")


@ensure
async def test_without_an_authority(make: Make) -> None:
    """Q-2: where nobody can sign, the charger is told so, and the operator why."""
    served, link = await make(workshop=Workshop(Keeper(None)))
    assert await sign(link, csr()) == "Rejected"
    [found] = (await served.get(REQUESTS)).json["items"]
    assert "no certificate authority" in found["reason"]
    assert (await served.get("/api/v1/ca")).status == 404
    assert (await served.post("/api/v1/ca")).slug == "conflict"


@ensure
async def test_an_authority_whose_files_are_broken(make: Make, tmp_path: Path) -> None:
    """Q-2: a failure of the authority is invisible to the charger, and told to the operator; nothing of a key is shown."""
    served, link = await make()
    (tmp_path / "ca" / "ecdsa-issuer.key").write_text("-----BEGIN PRIVATE KEY-----\nSECRET\n")
    assert await sign(link, csr()) == "Accepted"
    found = await until(served, "failed")
    assert "ecdsa-issuer.key" in found["reason"] and "SECRET" not in found["reason"]
    assert (await served.get("/api/v1/ca")).slug == "conflict"


@ensure
async def test_chargers_take_chains_of_some_length(make: Make) -> None:
    """Q-3, REQUIREMENTS 4.3: a chain beyond CertificateSignedMaxChainSize is not sent."""
    served, link = await make()
    served.system.certificates._chain_size = lambda charger: succeed(500)
    assert await sign(link, csr()) == "Accepted"
    found = await until(served, "failed")
    assert "CertificateSignedMaxChainSize" in found["reason"]
    assert [call for call in link.calls if call[2] == "CertificateSigned"] == []


@ensure
async def test_a_node_that_has_gone_on(make: Make) -> None:
    """S-3: what was approved before a node went away is signed by the next sweep; and once, however many sweeps there are."""
    served, link = await make(certificate_policy=CertificatePolicy.MANUAL)
    assert await sign(link, csr()) == "Accepted"
    [found] = await served.storage.certificates.list_certificate_requests(_ANY, None, 9)
    await served.storage.certificates.decide_certificate_request(found.request_id, _APPROVED, "", None, 1)
    for _ in range(3):
        served.system.sweep()
    await called(link, "CertificateSigned")
    await until(served, "accepted")
    served.system.sweep()
    assert len([call for call in link.calls if call[2] == "CertificateSigned"]) == 1


@ensure
async def test_an_offline_charger_gets_it_later(make: Make) -> None:
    """S-6: a certificate that is approved while the charger is away waits for it."""
    served, link = await make(certificate_policy=CertificatePolicy.MANUAL)
    assert await sign(link, csr()) == "Accepted"
    [found] = (await served.get(REQUESTS)).json["items"]
    served.disconnect(link)
    assert (await served.post(f"{REQUESTS}/{found['requestId']}/approve", {})).status == 200
    await until(served, "sent")
    link = await connected(served)
    await called(link, "CertificateSigned")
    await until(served, "accepted")


@ensure
async def test_a_charger_that_asks_and_asks(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """3.7: what is signed by policy has a limit for each charger; the others are not concerned."""
    monkeypatch.setattr(certificate_desk, "CERTIFICATES_IN_AN_HOUR", 2)
    served, link = await make()
    for number in (1, 2):
        assert await sign(link, csr(), f"sign{number}") == "Accepted"
        await called(link, "CertificateSigned", number)
        await until(served, "accepted", f"{REQUESTS}?limit=1")
    assert await sign(link, csr()) == "Rejected"
    other = await connected(served, charger="CP2")
    assert await sign(other, csr()) == "Accepted"
    await until(served, "accepted")


BAD = [
    ("POST", f"{REQUESTS}/1/approve", {"certificateChain": 1}, 422, ["/certificateChain"]),
    ("POST", f"{REQUESTS}/1/approve", {"certificateChain": "x" * 10_001}, 422, ["/certificateChain"]),
    ("POST", f"{REQUESTS}/1/approve", {"chain": "x"}, 422, ["/chain"]),
    ("POST", f"{REQUESTS}/1/refuse", {}, 422, ["/reason"]),
    ("POST", f"{REQUESTS}/1/refuse", {"reason": " "}, 422, ["/reason"]),
    ("POST", f"{REQUESTS}/1/refuse", {"reason": "x" * 501, "more": 1}, 422, ["/more", "/reason"]),
    ("POST", f"{REQUESTS}/1/refuse", {"reason": "none"}, 404, None),
    ("POST", f"{REQUESTS}/x/approve", {}, 404, None),
    ("POST", f"{REQUESTS}/99999999999999999999/approve", {}, 404, None),
    ("GET", f"{REQUESTS}/1", None, 404, None),
    ("GET", f"{REQUESTS}?state=lost", None, 400, None),
    ("GET", f"{REQUESTS}?chargers=CP1", None, 400, None),
    ("POST", "/api/v1/chargers/CP9/certificate-requests", None, 404, None),
    ("POST", "/api/v1/chargers/CP2/certificate-requests", None, 409, None),
    ("POST", "/api/v1/chargers/CP1/certificate-requests", {"connectorId": 1}, 400, None),
]


@ensure
async def test_bad_input(make: Make) -> None:
    """Whatever is wrong is refused with a pointer to it, and changes nothing."""
    served, link = await make()
    before = len(link.calls)
    for method, path, body, status, pointers in BAD:
        answer = await (served.get(path) if method == "GET" else served.post(path, body))
        assert answer.status == status, (path, body, answer)
        assert answer.slug
        if pointers is not None:
            assert sorted(each["pointer"] for each in answer.json["errors"]) == pointers, (path, body)
    assert (await served.get(REQUESTS)).json["items"] == []
    assert len(link.calls) == before
