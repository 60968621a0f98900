"""The certificates in a charger: its own, and the roots that it trusts. docs/http-api.md; REQUIREMENTS Q-4 to Q-7."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from klein import Response
from twisted.internet.defer import Deferred, maybeDeferred

from ocppd.clock import now_ms
from ocppd.errors import Conflict, InvalidPayload, NotFound
from ocppd.net.rest.answers import json_answer
from ocppd.net.rest.api import Api
from ocppd.net.rest.parameters import one_of, text
from ocppd.net.rest.routing import Incoming, Route
from ocppd.net.rest.v1.certificate_bodies import (
    InstallBody,
    ReasonBody,
    certificate_id,
    certificates,
    read_body,
    signed,
    wrong,
)
from ocppd.net.rest.v1.commands import UNFINISHED, answered
from ocppd.net.rest.v1.transactions import WAIT_QUERY
from ocppd.net.rest.waiting import shielded
from ocppd.pki.authority import CannotIssue
from ocppd.pki.reading import Unreadable, pem_of, read_root, same_hash_data
from ocppd.storage.records import Direction, MessageFilter, MessageState
from ocppd.storage.records.certificates import InstalledCertificate
from ocppd.v16.codec import decode
from ocppd.v16.security import (
    DeleteCertificateRequest,
    GetInstalledCertificateIdsRequest,
    InstallCertificateRequest,
)
from ocppd.v16.types import CertificateHashDataType, CertificateUseEnumType

#: What `confirm` says of the last root of its type.
LAST_ROOT: Final = "lastRoot"
#: Of a DeleteCertificate that may have deleted something without our hearing of it.
UNANSWERED: Final = frozenset({MessageState.TIMEOUT, MessageState.UNKNOWN})
#: More than a charger has roots.
MOST_DELETIONS: Final = 500
READ_QUERY: Final = {"refresh": one_of({"1": True, "true": True, "0": False, "false": False})}
DELETE_QUERY: Final = {**WAIT_QUERY, "confirm": text}


class NoCertificate(NotFound):
    """Nothing is known of such a certificate in this charger."""

    what = "certificate"


async def get_certificates(api: Api, incoming: Incoming, name: str) -> Response:
    """`GET /chargers/{name}/certificates`: as last told; with `refresh=1` the charger is asked first (Q-6)."""
    options = incoming.query(READ_QUERY)
    api.chargers.settings(name)
    if options.get("refresh"):
        await shielded(Deferred.fromCoroutine(_refresh(api, name)))
    return json_answer(await _shown(api, name))


async def _refresh(api: Api, name: str) -> None:
    for kind in CertificateUseEnumType:
        await api.commands.call(name, GetInstalledCertificateIdsRequest(certificate_type=kind))


async def _shown(api: Api, name: str) -> Any:
    known = await api.storage.certificates.read_certificates(name)
    try:
        authority = await api.certificates.authority()
    except CannotIssue:  # the log has it; it is not what was asked for
        authority = None
    return await api.certificates.run(certificates, known, authority, name, now_ms(api.clock))


async def install(api: Api, incoming: Incoming, name: str) -> Response:
    """`POST /chargers/{name}/certificates`: InstallCertificate (Q-5). The answer is that of the command."""
    options = incoming.query(WAIT_QUERY)
    api.chargers.settings(name)
    body = read_body(InstallBody, "InstallCertificate", incoming.json_object("InstallCertificate"))
    try:
        root = await api.certificates.run(read_root, body.certificate, now_ms(api.clock))
    except Unreadable as error:
        raise InvalidPayload("InstallCertificate", (wrong("/certificate", f"the certificate {error}"),)) from None
    message = InstallCertificateRequest(certificate_type=body.certificate_type, certificate=pem_of([root]))
    return await answered(api, maybeDeferred(api.commands.submit, name, message), options.get("wait", 0))


async def delete(api: Api, incoming: Incoming, name: str, certificate: str) -> Response:
    """`DELETE /chargers/{name}/certificates/{certificateId}`: DeleteCertificate with what the charger itself has told (Q-7)."""
    options = incoming.query(DELETE_QUERY)
    api.chargers.settings(name)
    known = await api.storage.certificates.read_certificates(name)
    found = next((each for each in known.installed if certificate_id(each) == certificate), None)
    if found is None:
        raise NoCertificate(certificate)
    going = await _going(api, name, found.at_ms)
    _check_deletable(found, known.installed, going, options.get("confirm"))
    message = DeleteCertificateRequest(certificate_hash_data=found.hash_data)
    return await answered(api, maybeDeferred(api.commands.submit, name, message), options.get("wait", 0))


async def _going(api: Api, name: str, told_ms: int) -> list[CertificateHashDataType]:
    """What is being deleted, or may have been, since the charger has told what there is: no answer says that it stays.

    A call may have waited for that answer, so it is when it was sent that counts.
    """
    which = MessageFilter(charger=name, action="DeleteCertificate", direction=Direction.TO_CHARGER)
    calls = await api.storage.list_messages(which, None, MOST_DELETIONS)
    going = [each for each in calls if each.state in UNFINISHED]
    going += [each for each in calls if each.state in UNANSWERED and (each.sent_ms or 0) >= told_ms]
    frames = [each.frame for each in going]
    payloads = [bytes(msgspec.json.decode(frame, type=tuple[int, str, str, msgspec.Raw])[3]) for frame in frames]
    return [decode(DeleteCertificateRequest, payload, strict=False)[0].certificate_hash_data for payload in payloads]


def _check_deletable(
    found: InstalledCertificate,
    installed: tuple[InstalledCertificate, ...],
    going: list[CertificateHashDataType],
    confirm: str | None,
) -> None:
    if not found.reported:
        raise Conflict("the charger has not listed this certificate yet, by whose words it is named; refresh=1 asks it")
    others = [each for each in installed if each.certificate_type is found.certificate_type and each is not found]
    staying = [each for each in others if not any(same_hash_data(each.hash_data, data) for data in going)]
    if not staying and confirm != LAST_ROOT:
        beside = ", beside those that are being deleted" if others else ""
        raise Conflict(
            f"this is the last {found.certificate_type} of the charger{beside}, which would trust nobody without it; "
            f"confirm={LAST_ROOT} deletes it"
        )


async def revoke(api: Api, incoming: Incoming, name: str, fingerprint: str) -> Response:
    """`POST /chargers/{name}/certificates/{fingerprint}/revoke`: the charger's own certificate is no longer good."""
    incoming.query()
    api.chargers.settings(name)
    body = read_body(ReasonBody, "Revoke", incoming.json_object("Revoke"))
    revoking = api.storage.certificates.revoke_certificate(name, fingerprint.lower(), body.reason, now_ms(api.clock))
    record, was = await shielded(revoking)
    if record is None:
        raise NoCertificate(fingerprint)
    if not was:
        raise Conflict("the certificate is revoked already")
    return json_answer(signed(record, now_ms(api.clock)))


ROUTES: Final = (
    Route("GET", "/api/v1/chargers/<name>/certificates", get_certificates),
    Route("POST", "/api/v1/chargers/<name>/certificates", install),
    Route("DELETE", "/api/v1/chargers/<name>/certificates/<certificate>", delete),
    Route("POST", "/api/v1/chargers/<name>/certificates/<fingerprint>/revoke", revoke),
)
