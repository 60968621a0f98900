"""The seam to the records: use cases, each atomic as a whole.

Every method returns a Deferred that fires on the reactor's thread: for a write, after its commit is on disk
(decision 5 of docs/architecture.md). All fail with `StorageUnavailable` where the records cannot be reached, and
with nothing else that a caller has to expect. Writes take effect in the order of the calls.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from twisted.internet.defer import Deferred

from ocppd.storage.records import (
    Boot,
    CallEnd,
    ChargerRecord,
    ConnectedCharger,
    ConnectorRecord,
    Inbound,
    MessageFilter,
    MessageRecord,
    MessageState,
    MeterValueElement,
    MeterValueFilter,
    MeterValueRecord,
    NewCall,
    Start,
    Started,
    Status,
    StatusRecord,
    Stop,
    Stopped,
    TransactionFilter,
    TransactionRecord,
)
from ocppd.v16.types import AuthorizationStatus, RegistrationStatus


class ChargerRecords(Protocol):
    """Connections, registration, connectors."""

    def charger_connected(self, name: str, remote_ip: str, now_ms: int) -> Deferred[ConnectedCharger]:
        """Issue the generation of a new connection; give what is known and the calls that wait, oldest first."""

    def charger_seen(self, name: str, generation: int, last_seen_ms: int) -> Deferred[None]:
        """Keep when the charger was last heard of; an older generation changes nothing."""

    def charger_booted(self, message: Inbound, boot: Boot) -> Deferred[int]:
        """Record a BootNotification with its verdict; fires with its sequence."""

    def registration_amended(
        self, sequence: int, answer: str, registration: RegistrationStatus, interval_s: int
    ) -> Deferred[None]:
        """Record the verdict of a user's handler over ours, before the answer leaves."""

    def status_notified(self, message: Inbound, status: Status) -> Deferred[int]:
        """Record a StatusNotification: history and current state; fires with its sequence."""

    def read_chargers(self, names: Sequence[str]) -> Deferred[dict[str, ChargerRecord]]:
        """What is kept of these chargers; one that is not known is left out."""

    def read_connectors(self, names: Sequence[str]) -> Deferred[dict[str, tuple[ConnectorRecord, ...]]]:
        """The connectors of these chargers in order of their ids; a charger without any is left out."""

    def list_statuses(self, charger: str, connector_id: int, after: int | None, limit: int) -> Deferred[list[StatusRecord]]:
        """The history of a connector, newest first, below the sequence `after`."""


class TransactionRecords(Protocol):
    """Transactions and meter values."""

    def transaction_started(self, message: Inbound, start: Start) -> Deferred[Started]:
        """Insert the transaction, or find the one the same start made before (REQUIREMENTS T-3).

        The message is stored with `start.answer(transaction_id)`; `message.answer` is not used.
        """

    def verdict_amended(self, sequence: int, answer: str, verdict: AuthorizationStatus) -> Deferred[None]:
        """Record the verdict of a user's handler for the start that `sequence` names, before the answer leaves."""

    def transaction_stopped(self, message: Inbound, stop: Stop) -> Deferred[Stopped]:
        """Stop the transaction of this charger with that id; anything else is recorded as what it is (T-21, T-23)."""

    def meter_values_received(
        self, message: Inbound, connector_id: int, transaction_id: int | None, elements: tuple[MeterValueElement, ...]
    ) -> Deferred[int]:
        """Store each element once (M-9), linked as REQUIREMENTS M-4 and M-5 say; fires with the message's sequence."""

    def read_transaction(self, transaction_id: int) -> Deferred[TransactionRecord | None]: ...

    def list_transactions(self, which: TransactionFilter, after: int | None, limit: int) -> Deferred[list[TransactionRecord]]:
        """Newest first, below the transaction id `after`."""

    def list_meter_values(self, which: MeterValueFilter, after: int | None, limit: int) -> Deferred[list[MeterValueRecord]]:
        """In order of arrival, from the sequence `after` on (that one included)."""


class MessageRecords(Protocol):
    """The journal of messages, both ways; calls of ours with their life."""

    def message_received(self, message: Inbound, *, failed: bool = False) -> Deferred[int]:
        """Journal a message that has no further effect, or whose payload was refused (`failed`)."""

    def answer_amended(self, sequence: int, answer: str, *, failed: bool = False) -> Deferred[None]:
        """Record the answer of a user's handler over ours, before it leaves."""

    def call_created(self, call: NewCall, state: MessageState, limit: int) -> Deferred[bool]:
        """Journal a call as `queued` or, where it goes out at once, as `sent`.

        Fires with False, and journals nothing, where the charger already has `limit` queued calls and this would be
        one more.
        """

    def call_sent(self, message_id: str, generation: int, now_ms: int) -> Deferred[bool]:
        """Turn `queued` into `sent`, before the first byte is written; False where it is no longer queued."""

    def call_requeued(self, message_id: str) -> Deferred[None]:
        """Turn `sent` back into `queued`: the connection was lost before a byte of it was written."""

    def call_ended(self, end: CallEnd) -> Deferred[None]:
        """Record how a call ended, and forget its secret.

        A final state is overwritten only by a `late` end, and that only over `timeout` and `unknown`.
        """

    def call_cancelled(self, message_id: str, now_ms: int) -> Deferred[MessageRecord | None]:
        """Turn `queued` into `cancelled`; fires with the message as it is then, None where there is none."""

    def calls_expired(self, now_ms: int) -> Deferred[list[MessageRecord]]:
        """Turn each `queued` call whose time has ended into `expired`; fires with those."""

    def calls_interrupted(self, now_ms: int) -> Deferred[int]:
        """At start: turn each `sent` call into `unknown`; fires with their number."""

    def read_message(self, message_id: str) -> Deferred[MessageRecord | None]:
        """Our call of that id, else the newest message of a charger with that id."""

    def list_messages(self, which: MessageFilter, after: int | None, limit: int) -> Deferred[list[MessageRecord]]:
        """Newest first, below the sequence `after`."""


class Storage(ChargerRecords, TransactionRecords, MessageRecords, Protocol):
    """All records of an installation."""

    def start(self) -> None:
        """Open and migrate, blocking, before the reactor runs. Raises StartFailed with one line."""

    def stop(self) -> Deferred[None]:
        """Commit what was accepted, then close."""

    def check(self) -> Deferred[None]:
        """Fires when a write could be committed now, for /readyz."""
