"""The values that cross the storage seam. Knows no SQL and no I/O.

Instants are integers: milliseconds since 1970-01-01T00:00:00Z, in names that end in `_ms`.
"""

from __future__ import annotations

from ocppd.storage.records.calls import (
    Acceptance,
    CallEnd,
    DroppedCall,
    EndedCall,
    Holding,
    NewCall,
    QueuedCall,
    RemoteStart,
    Verdict,
)
from ocppd.storage.records.chargers import Boot, Census, ChargerRecord, ConnectedCharger, ConnectorRecord, Status, StatusRecord
from ocppd.storage.records.events import FRAME_LIMIT, Event, EventFilter, EventKind, Newest, Tail
from ocppd.storage.records.id_tags import Change, Changed, Configured, Group, IdTag, IdTagFilter, Standing, UnknownIdTag
from ocppd.storage.records.messages import FINAL_STATES, Direction, Inbound, MessageFilter, MessageRecord, MessageState
from ocppd.storage.records.transactions import (
    UNREADABLE_FLAG,
    UNREADABLE_MS,
    Judge,
    MeterValueElement,
    MeterValueFilter,
    MeterValueRecord,
    Start,
    Started,
    Stop,
    StopOutcome,
    Stopped,
    TransactionFilter,
    TransactionRecord,
    TransactionState,
)

__all__ = [
    "FINAL_STATES",
    "FRAME_LIMIT",
    "UNREADABLE_FLAG",
    "UNREADABLE_MS",
    "Acceptance",
    "Boot",
    "CallEnd",
    "Census",
    "Change",
    "Changed",
    "ChargerRecord",
    "Configured",
    "ConnectedCharger",
    "ConnectorRecord",
    "Direction",
    "DroppedCall",
    "EndedCall",
    "Event",
    "EventFilter",
    "EventKind",
    "Group",
    "Holding",
    "IdTag",
    "IdTagFilter",
    "Inbound",
    "Judge",
    "MessageFilter",
    "MessageRecord",
    "MessageState",
    "MeterValueElement",
    "MeterValueFilter",
    "MeterValueRecord",
    "NewCall",
    "Newest",
    "QueuedCall",
    "RemoteStart",
    "Standing",
    "Start",
    "Started",
    "Status",
    "StatusRecord",
    "Stop",
    "StopOutcome",
    "Stopped",
    "Tail",
    "TransactionFilter",
    "TransactionRecord",
    "TransactionState",
    "UnknownIdTag",
    "Verdict",
]
