"""Requests of chargers for certificates: looked at, decided, signed and sent. REQUIREMENTS Q-1 to Q-4, S-3.

What is decided is in the records before anybody hears of it, so that any node may go on: it claims a request, signs it, and
sends the certificate. X.509 is worked at in other threads. What fails is told as an event, and nobody repeats it but operators.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Final

from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure

from ocppd.central.chargers import Chargers
from ocppd.central.handlers import Charger
from ocppd.central.watching import Watcher
from ocppd.clock import Clock, now_ms
from ocppd.config import CertificateName, CertificatePolicy
from ocppd.errors import OcppdError, StartFailed, StorageUnavailable, UnknownCharger
from ocppd.pki.authority import Authority, CannotIssue, Issued, issue
from ocppd.pki.keeper import Keeper
from ocppd.pki.reading import Unreadable, describe, read_certificates
from ocppd.pki.requests import Expected, RequestFacts, faults, read_request
from ocppd.storage.api import Storage
from ocppd.storage.records.certificates import NewRequest, RequestRecord, RequestState, SignedCertificate
from ocppd.v16.security import CertificateSignedRequest, SignCertificateRequest
from ocppd.v16.types import GenericStatusEnumType, Message

log = Logger()

#: Who the authority of somebody without a CpoName is.
NAMELESS: Final = "ocppd"
NO_AUTHORITY: Final = "there is no certificate authority here; --ca names the directory of one"

#: A charger that wants more certificates without anybody's word is broken, or in wrong hands.
CERTIFICATES_IN_AN_HOUR: Final = 10
HOUR_MS: Final = 3600 * 1000
TOO_MANY: Final = f"the charger was given {CERTIFICATES_IN_AN_HOUR} certificates within an hour already"

#: Runs a function somewhere else, and gives what it returns.
Run = Callable[..., Deferred[Any]]
#: Sends a call to a charger; see `Commands.submit`.
Submit = Callable[[str, Message], Deferred[Any]]
#: How many characters of a chain a charger takes (CertificateSignedMaxChainSize); None where it is not known.
ChainSize = Callable[[str], Deferred[int | None]]


def unknown_chain_size(charger: str) -> Deferred[int | None]:
    """Nobody knows what chargers take."""
    return succeed(None)


@dataclass(frozen=True, slots=True)
class Workshop:
    """Where certificates are worked at: the authority's keeper, and threads."""

    keeper: Keeper = field(default_factory=lambda: Keeper(None))
    run: Run = maybeDeferred

    @classmethod
    def open(cls, directory: Path | None, reactor: Any) -> Workshop:
        """With the authority in this directory, and the reactor's threads. Raises StartFailed where its files are wrong."""
        keeper = Keeper(directory)
        try:
            keeper.load()
        except CannotIssue as error:
            raise StartFailed(f"{error}; --ca names another directory") from None
        return cls(keeper, partial(deferToThreadPool, reactor, reactor.getThreadPool()))


class CertificateDesk(Watcher):
    """Decides about requests, and carries out what was decided."""

    messages: ClassVar[frozenset[str]] = frozenset({"SignCertificate"})

    def __init__(
        self,
        storage: Storage,
        chargers: Chargers,
        clock: Clock,
        workshop: Workshop,
        submit: Submit,
        chain_size: ChainSize = unknown_chain_size,
    ) -> None:
        self._storage = storage
        self._records = storage.certificates
        self._chargers = chargers
        self._clock = clock
        self._workshop = workshop
        self._submit = submit
        self._chain_size = chain_size
        self._working = False
        self._more = False

    @property
    def can_sign(self) -> bool:
        """Whether there is an authority, or can be one."""
        return self._workshop.keeper.directory is not None

    # Looking at requests

    def judge(self, charger: str, csr: str) -> Deferred[NewRequest]:
        """What becomes of a request by the checks and the charger's policy. Fails with StorageUnavailable."""
        return Deferred.fromCoroutine(self._judge(charger, csr))

    async def _judge(self, charger: str, csr: str) -> NewRequest:
        settings = self._chargers.settings(charger)
        policy = settings.certificate_policy

        def judged(state: RequestState, reason: str, facts: RequestFacts | None = None) -> NewRequest:
            digest, subject, key = (facts.digest, facts.subject, facts.key) if facts else ("", "", "")
            return NewRequest(csr=csr, digest=digest, subject=subject, key=key, state=state, reason=reason, policy=policy)

        try:
            facts = await self._workshop.run(read_request, csr)
        except Unreadable as error:
            return judged(RequestState.REFUSED, f"the request {error}")
        expected = await self._expected(charger, settings.certificate_name)
        wrong = list(faults(facts, expected))
        if wrong:
            return judged(RequestState.REFUSED, "; ".join(wrong), facts)
        if policy is CertificatePolicy.MANUAL:
            return judged(RequestState.PENDING, f"an operator decides; {_compared(expected)}", facts)
        if not self.can_sign:
            return judged(RequestState.REFUSED, NO_AUTHORITY, facts)
        since_ms = now_ms(self._clock) - HOUR_MS
        if await self._records.certificates_issued_since(charger, since_ms) >= CERTIFICATES_IN_AN_HOUR:
            return judged(RequestState.REFUSED, TOO_MANY, facts)
        return judged(RequestState.APPROVED, _compared(expected), facts)

    async def _expected(self, charger: str, name: CertificateName) -> Expected:
        organization = self._chargers.configuration.cpo_name
        if name is CertificateName.ANY:
            return Expected(organization, None)
        provisioned = self._chargers.settings(charger).serial_number
        if provisioned is not None:
            return Expected(organization, (provisioned,))
        record = (await self._storage.read_chargers([charger])).get(charger)
        boot = None if record is None else record.boot
        told = () if boot is None else (boot.serial_number, boot.charge_box_serial_number)
        return Expected(organization, tuple(each.strip() for each in told if each and each.strip()))

    def read(self, csr: str) -> Deferred[RequestFacts]:
        """What a request says that was kept. Fails with Unreadable."""
        return self._workshop.run(read_request, csr)

    # Carrying out

    def received(self, charger: Charger, request: Message, answer: Message) -> None:
        """A request was answered: sign it, where that was decided already."""
        if isinstance(request, SignCertificateRequest) and getattr(answer, "status", None) is GenericStatusEnumType.ACCEPTED:
            answered = self._records.certificate_request_answered(charger.name)
            answered.addCallback(lambda _: self.work()).addErrback(_log_failure)

    def sweep(self, now_ms: int) -> Deferred[Any] | None:
        """What another node has begun and not finished is due again."""
        self.work()
        return None

    def work(self) -> None:
        """Carry out what is approved, one after another; what this node cannot do now is left for the next sweep."""
        self._more = True
        if not self._working:
            self._working = True
            Deferred.fromCoroutine(self._work()).addErrback(_log_failure).addBoth(self._stopped)

    def _stopped(self, _: Any) -> None:
        self._working = False

    async def _work(self) -> None:
        while self._more:
            self._more = False
            for request_id in await self._records.due_certificate_requests(now_ms(self._clock)):
                request = await self._records.claim_certificate_request(request_id, now_ms(self._clock))
                if request is not None:
                    await self._carry_out(request)

    async def _carry_out(self, request: RequestRecord) -> None:
        try:
            certificate = await self._certificate(request)
            if certificate is None:
                return
            await self._check_size(request.charger, certificate.chain)
            record = await self._send(request.charger, certificate.chain)
        except StorageUnavailable:
            raise
        except (Unreadable, CannotIssue, OcppdError) as error:
            log.warn("{charger}: its certificate was not sent: {reason}", charger=request.charger, reason=str(error))
            await self._records.certificate_failed(request.request_id, str(error), now_ms(self._clock))
        else:
            await self._records.certificate_sent(request.request_id, record.message_id)

    async def _certificate(self, request: RequestRecord) -> Issued | None:
        """The certificate of a request: the one that it has, unless that has expired, or a new one. It is on record then.

        None where the charger has asked with another key while it was made.
        """
        if request.chain is not None:
            kept: Issued = await self._workshop.run(_kept, request.chain)
            if kept.facts.not_after_ms > now_ms(self._clock):
                return kept
        configuration = self._chargers.configuration
        authority = await self.authority(make=True)
        now = datetime.fromtimestamp(now_ms(self._clock) // 1000, UTC)
        issued: Issued = await self._workshop.run(issue, authority, request.csr, configuration.certificate_days, now)
        return issued if await self._records.certificate_issued(self.record_of(issued, request)) else None

    def record_of(self, issued: Issued, request: RequestRecord) -> SignedCertificate:
        """The record of a certificate for the charger that has asked for it."""
        facts = issued.facts
        return SignedCertificate(
            fingerprint=facts.fingerprint,
            charger=request.charger,
            request_id=request.request_id,
            serial_number=facts.serial_number,
            subject=facts.subject,
            issuer=facts.issuer,
            key=facts.key,
            not_before_ms=facts.not_before_ms,
            not_after_ms=facts.not_after_ms,
            chain=issued.chain,
            issued_ms=now_ms(self._clock),
        )

    async def _check_size(self, charger: str, chain: str) -> None:
        """REQUIREMENTS 4.3, 48: the key is CertificateSignedMaxChainSize."""
        most = await self._chain_size(charger)
        if most is not None and len(chain) > most:
            raise CannotIssue(f"the chain has {len(chain)} characters; the charger takes {most} (CertificateSignedMaxChainSize)")

    def _send(self, charger: str, chain: str) -> Deferred[Any]:
        if not self._chargers.knows(charger):
            raise UnknownCharger(charger)
        return maybeDeferred(self._submit, charger, CertificateSignedRequest(certificate_chain=chain))

    # The authority

    def authority(self, *, make: bool = False) -> Deferred[Any]:
        """The authority, None where there is none yet; made, with `make`. Fails with CannotIssue."""
        keeper = self._workshop.keeper
        if not self.can_sign:
            return succeed(None) if not make else maybeDeferred(_refuse_to_sign)
        name = self._chargers.configuration.cpo_name or NAMELESS
        return self._workshop.run(keeper.make, name) if make else self._workshop.run(keeper.load)

    def run(self, work: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
        """Have certificates worked at."""
        return self._workshop.run(work, *arguments)


def _refuse_to_sign() -> Authority:
    raise CannotIssue(NO_AUTHORITY)


def _kept(chain: str) -> Issued:
    return Issued(chain, describe(read_certificates(chain)[0]))


def _compared(expected: Expected) -> str:
    """Why a request is right, in words."""
    if expected.serial_numbers:
        name = "its common name is the serial number of the charger"
    elif expected.serial_numbers is None:
        name = "its common name is not compared"
    else:
        name = "its common name is not compared, since the charger has told no serial number"
    organization = "is not compared, since CpoName is not set" if expected.organization is None else "is CpoName"
    return f"{name}; its organization {organization}"


def _log_failure(failure: Failure) -> None:
    if not failure.check(StorageUnavailable):  # the writer tells of it, and what is due is looked for again
        log.failure("requests for certificates could not be carried out", failure)
