"""The methods that a user overrides. Knows no storage and no network.

Subclass `CentralSystemHandlers` and start the daemon with `--handlers their.module:TheirHandlers`. A handler may be a
plain function, return a Deferred, or be `async def`.

`{Action}RequestHandler(charger, request, answer)` runs once per CALL of a charger. `answer` is what ocppd answers by
itself; what has to be durable is recorded by then, with that answer. Return it, return another confirmation of the
same type (its difference is recorded before it leaves), or return None for `answer`. Raise `ocppd.errors.Violation`
to answer CALLERROR with its code; any other exception is logged and answered InternalError. A handler that takes
longer than its deadline (`ocppd.central.dispatch`) is cancelled: what is recorded is answered as it was recorded, anything
else, a boot included, InternalError.

A vendor's own messages may each have a method: `@vendor_message("com.example", "Ping")` of `ocppd.central.vendors`.

`{Action}ResponseHandler(charger, request, confirmation)` runs after the answer to a call of ours was recorded,
`OCPPErrorHandler(charger, request, error)` after a CALLERROR. What they return is awaited and otherwise ignored.

No handler can wait for a call to its charger: the charger may be waiting for us (REQUIREMENTS S-3). `charger.follow_up(request)`
sends it once the answer has been written.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, Protocol, TypeAlias, TypeVar

from twisted.internet.defer import Deferred

from ocppd.errors import CallErrorReceived
from ocppd.v16.core import (
    AuthorizeConfirmation,
    AuthorizeRequest,
    BootNotificationConfirmation,
    BootNotificationRequest,
    ChangeAvailabilityConfirmation,
    ChangeAvailabilityRequest,
    ChangeConfigurationConfirmation,
    ChangeConfigurationRequest,
    ClearCacheConfirmation,
    ClearCacheRequest,
    DataTransferConfirmation,
    DataTransferRequest,
    GetConfigurationConfirmation,
    GetConfigurationRequest,
    HeartbeatConfirmation,
    HeartbeatRequest,
    MeterValuesConfirmation,
    MeterValuesRequest,
    RemoteStartTransactionConfirmation,
    RemoteStartTransactionRequest,
    RemoteStopTransactionConfirmation,
    RemoteStopTransactionRequest,
    ResetConfirmation,
    ResetRequest,
    StartTransactionConfirmation,
    StartTransactionRequest,
    StatusNotificationConfirmation,
    StatusNotificationRequest,
    StopTransactionConfirmation,
    StopTransactionRequest,
    UnlockConnectorConfirmation,
    UnlockConnectorRequest,
)
from ocppd.v16.firmware import (
    DiagnosticsStatusNotificationConfirmation,
    DiagnosticsStatusNotificationRequest,
    FirmwareStatusNotificationConfirmation,
    FirmwareStatusNotificationRequest,
    GetDiagnosticsConfirmation,
    GetDiagnosticsRequest,
    UpdateFirmwareConfirmation,
    UpdateFirmwareRequest,
)
from ocppd.v16.local_auth_list import (
    GetLocalListVersionConfirmation,
    GetLocalListVersionRequest,
    SendLocalListConfirmation,
    SendLocalListRequest,
)
from ocppd.v16.remote_trigger import (
    TriggerMessageConfirmation,
    TriggerMessageRequest,
)
from ocppd.v16.reservation import (
    CancelReservationConfirmation,
    CancelReservationRequest,
    ReserveNowConfirmation,
    ReserveNowRequest,
)
from ocppd.v16.security import (
    CertificateSignedConfirmation,
    CertificateSignedRequest,
    DeleteCertificateConfirmation,
    DeleteCertificateRequest,
    ExtendedTriggerMessageConfirmation,
    ExtendedTriggerMessageRequest,
    GetInstalledCertificateIdsConfirmation,
    GetInstalledCertificateIdsRequest,
    GetLogConfirmation,
    GetLogRequest,
    InstallCertificateConfirmation,
    InstallCertificateRequest,
    LogStatusNotificationConfirmation,
    LogStatusNotificationRequest,
    SecurityEventNotificationConfirmation,
    SecurityEventNotificationRequest,
    SignCertificateConfirmation,
    SignCertificateRequest,
    SignedFirmwareStatusNotificationConfirmation,
    SignedFirmwareStatusNotificationRequest,
    SignedUpdateFirmwareConfirmation,
    SignedUpdateFirmwareRequest,
)
from ocppd.v16.smart_charging import (
    ClearChargingProfileConfirmation,
    ClearChargingProfileRequest,
    GetCompositeScheduleConfirmation,
    GetCompositeScheduleRequest,
    SetChargingProfileConfirmation,
    SetChargingProfileRequest,
)
from ocppd.v16.types import Message

T = TypeVar("T")
#: What a request handler may return.
Answer: TypeAlias = T | Deferred[T] | Coroutine[Any, Any, T] | None
#: What any other handler may return.
Done: TypeAlias = Deferred[Any] | Coroutine[Any, Any, Any] | None


class Charger(Protocol):
    """The charger that a handler is called for."""

    @property
    def name(self) -> str:
        """Its identity (REQUIREMENTS U-6)."""

    @property
    def remote_ip(self) -> str:
        """The address it is connected from; empty while it is not connected."""

    def follow_up(self, request: Message) -> None:
        """Send `request` once the answer in progress has been written.

        Its answer comes to `{Action}ResponseHandler`. Raises InvalidPayload at once where `request` breaks the
        definition; whatever goes wrong later is logged.
        """

    def close_after_answer(self, code: int = 1001, reason: str = "") -> None:
        """Close the connection once the answer in progress has been written (RFC 6455 section 7.4 codes)."""


class CentralSystemHandlers:
    """What ocppd does by default: each request is answered as it was recorded, each response needs nothing more."""

    def AuthorizeRequestHandler(
        self, charger: Charger, request: AuthorizeRequest, answer: AuthorizeConfirmation
    ) -> Answer[AuthorizeConfirmation]:
        """Called for Authorize: may this id tag charge (OCPP 1.6 section 4.1)."""
        return answer

    def BootNotificationRequestHandler(
        self, charger: Charger, request: BootNotificationRequest, answer: BootNotificationConfirmation
    ) -> Answer[BootNotificationConfirmation]:
        """Called for BootNotification: the charger has started (section 4.2); the answer decides its registration."""
        return answer

    def DataTransferRequestHandler(
        self, charger: Charger, request: DataTransferRequest, answer: DataTransferConfirmation
    ) -> Answer[DataTransferConfirmation]:
        """Called for DataTransfer: a vendor's own message (section 4.3); after the method declared for it, with its answer."""
        return answer

    def DiagnosticsStatusNotificationRequestHandler(
        self, charger: Charger, request: DiagnosticsStatusNotificationRequest, answer: DiagnosticsStatusNotificationConfirmation
    ) -> Answer[DiagnosticsStatusNotificationConfirmation]:
        """Called for DiagnosticsStatusNotification: the upload of diagnostics (section 4.4)."""
        return answer

    def FirmwareStatusNotificationRequestHandler(
        self, charger: Charger, request: FirmwareStatusNotificationRequest, answer: FirmwareStatusNotificationConfirmation
    ) -> Answer[FirmwareStatusNotificationConfirmation]:
        """Called for FirmwareStatusNotification: the progress of a firmware update (section 4.5)."""
        return answer

    def HeartbeatRequestHandler(
        self, charger: Charger, request: HeartbeatRequest, answer: HeartbeatConfirmation
    ) -> Answer[HeartbeatConfirmation]:
        """Called for Heartbeat: the charger is alive and sets its clock by the answer (section 4.6)."""
        return answer

    def MeterValuesRequestHandler(
        self, charger: Charger, request: MeterValuesRequest, answer: MeterValuesConfirmation
    ) -> Answer[MeterValuesConfirmation]:
        """Called for MeterValues: samples of the meters (section 4.7); recorded before this is called."""
        return answer

    def StartTransactionRequestHandler(
        self, charger: Charger, request: StartTransactionRequest, answer: StartTransactionConfirmation
    ) -> Answer[StartTransactionConfirmation]:
        """Called for StartTransaction: a transaction has started (section 4.8); recorded, and `answer` has its id."""
        return answer

    def StatusNotificationRequestHandler(
        self, charger: Charger, request: StatusNotificationRequest, answer: StatusNotificationConfirmation
    ) -> Answer[StatusNotificationConfirmation]:
        """Called for StatusNotification: the state of a connector (section 4.9); recorded before this is called."""
        return answer

    def StopTransactionRequestHandler(
        self, charger: Charger, request: StopTransactionRequest, answer: StopTransactionConfirmation
    ) -> Answer[StopTransactionConfirmation]:
        """Called for StopTransaction: a transaction has stopped (section 4.10); recorded before this is called."""
        return answer

    def LogStatusNotificationRequestHandler(
        self, charger: Charger, request: LogStatusNotificationRequest, answer: LogStatusNotificationConfirmation
    ) -> Answer[LogStatusNotificationConfirmation]:
        """Called for LogStatusNotification: the upload of a log (security white paper, N01)."""
        return answer

    def SecurityEventNotificationRequestHandler(
        self, charger: Charger, request: SecurityEventNotificationRequest, answer: SecurityEventNotificationConfirmation
    ) -> Answer[SecurityEventNotificationConfirmation]:
        """Called for SecurityEventNotification: a security event (security white paper, A04)."""
        return answer

    def SignCertificateRequestHandler(
        self, charger: Charger, request: SignCertificateRequest, answer: SignCertificateConfirmation
    ) -> Answer[SignCertificateConfirmation]:
        """Called for SignCertificate: a certificate signing request (security white paper, A02)."""
        return answer

    def SignedFirmwareStatusNotificationRequestHandler(
        self,
        charger: Charger,
        request: SignedFirmwareStatusNotificationRequest,
        answer: SignedFirmwareStatusNotificationConfirmation,
    ) -> Answer[SignedFirmwareStatusNotificationConfirmation]:
        """Called for SignedFirmwareStatusNotification: the progress of a signed firmware update (security white paper, L01)."""
        return answer

    def CancelReservationResponseHandler(
        self, charger: Charger, request: CancelReservationRequest, confirmation: CancelReservationConfirmation
    ) -> Done:
        """Called when the charger has answered CancelReservation."""

    def ChangeAvailabilityResponseHandler(
        self, charger: Charger, request: ChangeAvailabilityRequest, confirmation: ChangeAvailabilityConfirmation
    ) -> Done:
        """Called when the charger has answered ChangeAvailability."""

    def ChangeConfigurationResponseHandler(
        self, charger: Charger, request: ChangeConfigurationRequest, confirmation: ChangeConfigurationConfirmation
    ) -> Done:
        """Called when the charger has answered ChangeConfiguration."""

    def ClearCacheResponseHandler(
        self, charger: Charger, request: ClearCacheRequest, confirmation: ClearCacheConfirmation
    ) -> Done:
        """Called when the charger has answered ClearCache."""

    def ClearChargingProfileResponseHandler(
        self, charger: Charger, request: ClearChargingProfileRequest, confirmation: ClearChargingProfileConfirmation
    ) -> Done:
        """Called when the charger has answered ClearChargingProfile."""

    def DataTransferResponseHandler(
        self, charger: Charger, request: DataTransferRequest, confirmation: DataTransferConfirmation
    ) -> Done:
        """Called when the charger has answered DataTransfer."""

    def GetCompositeScheduleResponseHandler(
        self, charger: Charger, request: GetCompositeScheduleRequest, confirmation: GetCompositeScheduleConfirmation
    ) -> Done:
        """Called when the charger has answered GetCompositeSchedule."""

    def GetConfigurationResponseHandler(
        self, charger: Charger, request: GetConfigurationRequest, confirmation: GetConfigurationConfirmation
    ) -> Done:
        """Called when the charger has answered GetConfiguration."""

    def GetDiagnosticsResponseHandler(
        self, charger: Charger, request: GetDiagnosticsRequest, confirmation: GetDiagnosticsConfirmation
    ) -> Done:
        """Called when the charger has answered GetDiagnostics."""

    def GetLocalListVersionResponseHandler(
        self, charger: Charger, request: GetLocalListVersionRequest, confirmation: GetLocalListVersionConfirmation
    ) -> Done:
        """Called when the charger has answered GetLocalListVersion."""

    def RemoteStartTransactionResponseHandler(
        self, charger: Charger, request: RemoteStartTransactionRequest, confirmation: RemoteStartTransactionConfirmation
    ) -> Done:
        """Called when the charger has answered RemoteStartTransaction."""

    def RemoteStopTransactionResponseHandler(
        self, charger: Charger, request: RemoteStopTransactionRequest, confirmation: RemoteStopTransactionConfirmation
    ) -> Done:
        """Called when the charger has answered RemoteStopTransaction."""

    def ReserveNowResponseHandler(
        self, charger: Charger, request: ReserveNowRequest, confirmation: ReserveNowConfirmation
    ) -> Done:
        """Called when the charger has answered ReserveNow."""

    def ResetResponseHandler(self, charger: Charger, request: ResetRequest, confirmation: ResetConfirmation) -> Done:
        """Called when the charger has answered Reset."""

    def SendLocalListResponseHandler(
        self, charger: Charger, request: SendLocalListRequest, confirmation: SendLocalListConfirmation
    ) -> Done:
        """Called when the charger has answered SendLocalList."""

    def SetChargingProfileResponseHandler(
        self, charger: Charger, request: SetChargingProfileRequest, confirmation: SetChargingProfileConfirmation
    ) -> Done:
        """Called when the charger has answered SetChargingProfile."""

    def TriggerMessageResponseHandler(
        self, charger: Charger, request: TriggerMessageRequest, confirmation: TriggerMessageConfirmation
    ) -> Done:
        """Called when the charger has answered TriggerMessage."""

    def UnlockConnectorResponseHandler(
        self, charger: Charger, request: UnlockConnectorRequest, confirmation: UnlockConnectorConfirmation
    ) -> Done:
        """Called when the charger has answered UnlockConnector."""

    def UpdateFirmwareResponseHandler(
        self, charger: Charger, request: UpdateFirmwareRequest, confirmation: UpdateFirmwareConfirmation
    ) -> Done:
        """Called when the charger has answered UpdateFirmware."""

    def CertificateSignedResponseHandler(
        self, charger: Charger, request: CertificateSignedRequest, confirmation: CertificateSignedConfirmation
    ) -> Done:
        """Called when the charger has answered CertificateSigned."""

    def DeleteCertificateResponseHandler(
        self, charger: Charger, request: DeleteCertificateRequest, confirmation: DeleteCertificateConfirmation
    ) -> Done:
        """Called when the charger has answered DeleteCertificate."""

    def ExtendedTriggerMessageResponseHandler(
        self, charger: Charger, request: ExtendedTriggerMessageRequest, confirmation: ExtendedTriggerMessageConfirmation
    ) -> Done:
        """Called when the charger has answered ExtendedTriggerMessage."""

    def GetInstalledCertificateIdsResponseHandler(
        self, charger: Charger, request: GetInstalledCertificateIdsRequest, confirmation: GetInstalledCertificateIdsConfirmation
    ) -> Done:
        """Called when the charger has answered GetInstalledCertificateIds."""

    def GetLogResponseHandler(self, charger: Charger, request: GetLogRequest, confirmation: GetLogConfirmation) -> Done:
        """Called when the charger has answered GetLog."""

    def InstallCertificateResponseHandler(
        self, charger: Charger, request: InstallCertificateRequest, confirmation: InstallCertificateConfirmation
    ) -> Done:
        """Called when the charger has answered InstallCertificate."""

    def SignedUpdateFirmwareResponseHandler(
        self, charger: Charger, request: SignedUpdateFirmwareRequest, confirmation: SignedUpdateFirmwareConfirmation
    ) -> Done:
        """Called when the charger has answered SignedUpdateFirmware."""

    def OCPPErrorHandler(self, charger: Charger, request: Message, error: CallErrorReceived) -> Done:
        """Called when the charger has answered a call of ours with CALLERROR (OCPP-J 1.6 section 4.2.3)."""
