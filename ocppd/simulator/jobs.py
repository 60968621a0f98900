"""What takes a while: uploads of diagnostics and logs, firmware updates.

OCPP 1.6 sections 4.4, 4.5, 5.9, 5.19; white paper L01, N01.

To and from `http:` and `https:` locations files are really moved; with others the steps are played, with the notifications of
a charger that transfers. A location whose scheme is not in SupportedFileTransferProtocols fails after its retries.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any
from urllib.parse import urlsplit

from msgspec import UNSET
from twisted.internet.defer import Deferred

from ocppd.errors import OcppdError
from ocppd.simulator.life import Life
from ocppd.simulator.state import State
from ocppd.simulator.transfers import Transfers, is_real
from ocppd.simulator.waiting import pause
from ocppd.v16.firmware import (
    DiagnosticsStatusNotificationRequest,
    FirmwareStatusNotificationRequest,
    GetDiagnosticsRequest,
    UpdateFirmwareRequest,
)
from ocppd.v16.security import (
    GetLogRequest,
    LogStatusNotificationRequest,
    SignedFirmwareStatusNotificationRequest,
    SignedUpdateFirmwareRequest,
)
from ocppd.v16.timestamps import parse_timestamp
from ocppd.v16.types import (
    ChargePointStatus,
    DiagnosticsStatus,
    FirmwareStatus,
    FirmwareStatusEnumType,
    Message,
    UploadLogStatusEnumType,
)

#: How often a running job looks whether the last transaction has ended, before it installs.
_LOOK_AGAIN_S = 1.0


class Jobs:
    """At most one job of each kind; a new one cancels the one before."""

    def __init__(self, state: State, life: Life) -> None:
        self._state = state
        self._life = life
        self._running: dict[str, Deferred[None]] = {}
        self._transfers = Transfers(state.reactor, state.options.authority_pem)
        self.diagnostics = DiagnosticsStatus.IDLE
        self.firmware = FirmwareStatus.IDLE
        self.signed_firmware = FirmwareStatusEnumType.IDLE
        self.log = UploadLogStatusEnumType.IDLE
        self._signed_request: int | None = None
        self._log_request: int | None = None

    def begin(self, kind: str, work: Coroutine[Deferred[Any], Any, Any]) -> None:
        """Run a job in place of the one of that kind."""
        before = self._running.pop(kind, None)
        if before is not None:
            before.cancel()
        running = self._running[kind] = self._state.background.run(work)
        running.addBoth(self._ended, kind, running)

    def _ended(self, _: object, kind: str, running: Deferred[None]) -> None:
        if self._running.get(kind) is running:
            del self._running[kind]

    def is_running(self, kind: str) -> bool:
        """Whether a job of that kind is under way: `diagnostics`, `firmware`, `log`."""
        return kind in self._running

    # Uploads

    async def upload_diagnostics(self, request: GetDiagnosticsRequest, name: str = "diagnostics.log") -> None:
        """Uploading, then Uploaded or UploadFailed (section 4.4)."""
        await self._say_diagnostics(DiagnosticsStatus.UPLOADING)
        done = await self._transfer(request.location, request.retries, request.retry_interval, name)
        await self._say_diagnostics(DiagnosticsStatus.UPLOADED if done else DiagnosticsStatus.UPLOAD_FAILED)
        self.diagnostics = DiagnosticsStatus.IDLE

    async def _say_diagnostics(self, status: DiagnosticsStatus) -> None:
        self.diagnostics = status
        await self._say(self.diagnostics_message())

    async def upload_log(self, request: GetLogRequest) -> None:
        """Uploading, then Uploaded or UploadFailure, with the request's id (white paper N01)."""
        self._log_request = request.request_id
        await self._say_log(UploadLogStatusEnumType.UPLOADING)
        name = f"{request.log_type}-{request.request_id}.log"
        done = await self._transfer(request.log.remote_location, request.retries, request.retry_interval, name)
        await self._say_log(UploadLogStatusEnumType.UPLOADED if done else UploadLogStatusEnumType.UPLOAD_FAILURE)
        self.log = UploadLogStatusEnumType.IDLE

    async def _say_log(self, status: UploadLogStatusEnumType) -> None:
        self.log = status
        await self._say(self.log_message())

    async def _transfer(self, location: str, retries: Any, retry_interval_s: Any, sent: str | None = None) -> bool:
        """Send a file of the name `sent`, or fetch one, with retries (errata 3.50: they follow the first attempt)."""
        supported = {each.lower() for each in self._state.configuration.list("SupportedFileTransferProtocols")}
        for attempt in range(1 + (0 if retries is UNSET else max(0, retries))):
            if attempt:
                await pause(self._state.reactor, 0 if retry_interval_s is UNSET else retry_interval_s)
            await self._step()
            if urlsplit(location).scheme.lower() in supported and await self._move(location, sent):
                return True
        return False

    async def _move(self, location: str, sent: str | None) -> bool:
        """One attempt, which is played where it is not by HTTP."""
        if not is_real(location):
            return True
        if sent is not None:
            return await self._transfers.send(location, sent, self._log_text())
        received = await self._transfers.fetch(location)
        self._state.report("the firmware did not come" if received is None else f"fetched {received} bytes of firmware")
        return received is not None

    def _log_text(self) -> bytes:
        """What a log of this charger says."""
        state = self._state
        lines = [f"{state.wall.timestamp()} {state.name} firmware {state.firmware_version}"]
        lines += [f"connector {each.connector_id}: {each.status}" for each in state.connectors.values()]
        return "\n".join([*lines, f"{state.counts}", ""]).encode()

    # Firmware

    async def update_firmware(self, request: UpdateFirmwareRequest) -> None:
        """Downloading to Installed, with a boot before the last word (section 4.5)."""
        await self._until(request.retrieve_date)
        await self._say_firmware(FirmwareStatus.DOWNLOADING)
        if not await self._transfer(request.location, request.retries, request.retry_interval):
            await self._say_firmware(FirmwareStatus.DOWNLOAD_FAILED)
        else:
            await self._say_firmware(FirmwareStatus.DOWNLOADED)
            await self._out_of_service()
            await self._say_firmware(FirmwareStatus.INSTALLING)
            await self._install()
            await self._say_firmware(FirmwareStatus.INSTALLED)
        self.firmware = FirmwareStatus.IDLE

    async def _say_firmware(self, status: FirmwareStatus) -> None:
        self.firmware = status
        await self._say(self.firmware_message())

    async def update_signed_firmware(self, request: SignedUpdateFirmwareRequest) -> None:
        """Downloading, SignatureVerified, InstallRebooting to Installed (REQUIREMENTS V-3)."""
        status = FirmwareStatusEnumType
        self._signed_request = request.request_id
        firmware = request.firmware
        if self._seconds_until(firmware.retrieve_date_time) > 0:
            await self._say_signed(status.DOWNLOAD_SCHEDULED)
            await self._until(firmware.retrieve_date_time)
        await self._say_signed(status.DOWNLOADING)
        if not await self._transfer(firmware.location, request.retries, request.retry_interval):
            await self._say_signed(status.DOWNLOAD_FAILED)
        else:
            await self._say_signed(status.DOWNLOADED)
            await self._say_signed(status.SIGNATURE_VERIFIED)
            if firmware.install_date_time is not UNSET and self._seconds_until(firmware.install_date_time) > 0:
                await self._say_signed(status.INSTALL_SCHEDULED)
                await self._until(firmware.install_date_time)
            await self._out_of_service()
            await self._say_signed(status.INSTALLING)
            await self._say_signed(status.INSTALL_REBOOTING)
            await self._install()
            self._state.security_event("FirmwareUpdated")
            await self._say_signed(status.INSTALLED)
        self.signed_firmware = status.IDLE

    async def _say_signed(self, status: FirmwareStatusEnumType) -> None:
        self.signed_firmware = status
        await self._say(self.signed_firmware_message())

    async def _out_of_service(self) -> None:
        """Wait until nobody charges, then let nobody begin."""
        while self._state.running_transactions():
            await pause(self._state.reactor, _LOOK_AGAIN_S)
        for connector in self._state.connectors.values():
            if connector.connector_id:
                self._state.statuses.set(connector, ChargePointStatus.UNAVAILABLE)

    async def _install(self) -> None:
        """Install, boot with the new version, and wait until the central system has accepted it."""
        await self._step()
        self._state.firmware_version = _next_version(self._state.firmware_version)
        for connector in self._state.connectors.values():
            connector.status = self._state.resting_status(connector)
        self._life.restart()
        await self._life.accepted.wait()

    # Notifications

    def diagnostics_message(self) -> DiagnosticsStatusNotificationRequest:
        """The state of the upload, Idle without one."""
        return DiagnosticsStatusNotificationRequest(status=self.diagnostics)

    def firmware_message(self) -> FirmwareStatusNotificationRequest:
        """The state of the update, Idle without one."""
        return FirmwareStatusNotificationRequest(status=self.firmware)

    def signed_firmware_message(self) -> SignedFirmwareStatusNotificationRequest:
        """The state of the signed update; the request id lacks only where there never was one (REQUIREMENTS V-3)."""
        request_id = self._signed_request
        return SignedFirmwareStatusNotificationRequest(
            status=self.signed_firmware, request_id=UNSET if request_id is None else request_id
        )

    def log_message(self) -> LogStatusNotificationRequest:
        """The state of the log's upload; the request id lacks only where there never was one."""
        request_id = self._log_request
        return LogStatusNotificationRequest(status=self.log, request_id=UNSET if request_id is None else request_id)

    async def _say(self, message: Message) -> None:
        """Notify; a job goes on where nobody listens."""
        try:
            await self._state.call(message)
        except OcppdError as failure:
            self._state.report(f"not notified: {failure}")

    def _step(self) -> Deferred[None]:
        return pause(self._state.reactor, self._state.options.job_step_s)

    def _seconds_until(self, text: str) -> float:
        try:
            return (parse_timestamp(text) - self._state.wall.now_ms()) / 1000
        except ValueError:
            return 0.0

    def _until(self, text: str) -> Deferred[None]:
        return pause(self._state.reactor, self._seconds_until(text))


def _next_version(version: str) -> str:
    """The version with its last number one higher."""
    head, dot, last = version.rpartition(".")
    return f"{head}{dot}{int(last) + 1}" if last.isdigit() else f"{version}.1"
