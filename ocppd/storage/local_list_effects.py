"""What calls and messages tell of local lists, in the commit of each. Functions over a running transaction.

REQUIREMENTS L-5, L-6, N-8, 2.4 (GetLocalListVersion). Lists hang on the calls of the journal, by whatever door those came.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import msgspec

from ocppd.errors import Violation
from ocppd.storage import local_list_rows as rows
from ocppd.storage.records import EndedCall, Inbound, MessageState, Status
from ocppd.storage.records.local_lists import WORKED_ON, Entries, ListState, LocalList, entries_of
from ocppd.storage.unit import Unit
from ocppd.v16.codec import decode
from ocppd.v16.local_auth_list import GetLocalListVersionConfirmation, SendLocalListRequest
from ocppd.v16.types import UpdateType

CONFLICT: Final = "LocalListConflict"
ACCEPTED: Final = "Accepted"
#: A status or the code of a CALLERROR that says that there are no local lists here.
NO_LISTS: Final = frozenset({"NotSupported", "NotImplemented"})
#: Differentials that are refused after so many full lists were accepted will not be taken after the next one, either.
ENOUGH_WHOLES: Final = 2
#: A charger that tells of conflicts all the time is sent its list no more often.
CONFLICT_INTERVAL_MS: Final = 10 * 60_000

_decode_request = msgspec.json.Decoder(SendLocalListRequest).decode


def sent(unit: Unit, ended: EndedCall) -> None:
    """A SendLocalList has ended; a late answer ends it once more."""
    before = rows.locked(unit, ended.charger)
    found = before or LocalList(charger=ended.charger)
    if ended.sequence < found.applied:  # another one has been answered since
        return
    request = _decode_request(ended.request)
    if ended.outcome == ACCEPTED:
        after = _accepted(found, request, ended)
    elif before is None:
        return
    elif ended.answer is not None and ended.outcome is not None:
        after = _refused(found, request, ended)
    elif ended.answer is not None or ended.state in (MessageState.TIMEOUT, MessageState.UNKNOWN):
        after = _touched(
            replace(found, pending=_held_after(found, request, ended), pending_version=request.list_version), request, ended
        )
    else:  # never sent
        return
    rows.save(unit, before, replace(after, applied=ended.sequence), ended.ended_ms)


def applied(held: Entries | None, request: SendLocalListRequest) -> Entries | None:
    """What a charger holds that held this and has accepted `request`; None where that cannot be known (L-2)."""
    entries = entries_of(request.local_authorization_list or ())
    if request.update_type is UpdateType.FULL:
        return entries
    if held is None:
        return None
    gone = {key for key, entry in entries.items() if not entry.id_tag_info}
    return {key: entry for key, entry in {**held, **entries}.items() if key not in gone}


def _held_after(found: LocalList, request: SendLocalListRequest, ended: EndedCall) -> Entries | None:
    """What a charger holds that has accepted this call; None where nobody knows whether the one before it has arrived."""
    if found.pending_version is None:
        return applied(found.confirmed, request)
    # What is pending is of this call, where its answer is late, else of the one before it.
    return found.pending if ended.sequence == found.applied else applied(None, request)


def _is_ours(found: LocalList, request: SendLocalListRequest) -> bool:
    """Whether it was sent to bring the list in sync, and not by somebody's command."""
    return found.state in WORKED_ON and request.list_version == found.sent_version


def _touched(found: LocalList, request: SendLocalListRequest, ended: EndedCall) -> LocalList:
    """Where it was somebody's command, what is wanted is looked at again."""
    if _is_ours(found, request):
        return found
    found = replace(found, sent_version=max(found.sent_version, request.list_version))
    return _behind(found, ended.ended_ms) if found.state in (ListState.IN_SYNC, *WORKED_ON) else found


def _behind(found: LocalList, now_ms: int) -> LocalList:
    """It is to be looked at, from now on."""
    return replace(found, state=ListState.BEHIND, detail=None, due_ms=now_ms, touched=found.touched + 1)


def _accepted(found: LocalList, request: SendLocalListRequest, ended: EndedCall) -> LocalList:
    version, ours = request.list_version, _is_ours(found, request)
    after = replace(
        found,
        confirmed=_held_after(found, request, ended),
        confirmed_version=version,
        confirmed_ms=ended.ended_ms,
        pending=None,
        pending_version=None,
        told_version=version,
        told_ms=ended.ended_ms,
        attempts=0,
    )
    if ours and request.update_type is UpdateType.FULL:
        return replace(after, whole=False, wholes=found.wholes + 1)
    return _touched(after, request, ended)


def _refused(found: LocalList, request: SendLocalListRequest, ended: EndedCall) -> LocalList:
    """Failed or VersionMismatch on a differential asks for a full list; on a full list somebody has to look (L-5)."""
    found = replace(found, pending=None, pending_version=None)
    if not _is_ours(found, request):
        return found
    said = f"the charger answered {ended.outcome} to a {request.update_type} list of version {request.list_version}"
    if ended.outcome in NO_LISTS:
        return replace(found, state=ListState.UNSUPPORTED, detail=said, due_ms=None)
    if found.state is not ListState.SENDING:  # something else is wanted meanwhile
        return replace(found, whole=True)
    if request.update_type is UpdateType.DIFFERENTIAL and found.wholes < ENOUGH_WHOLES:
        return replace(found, whole=True, detail=said)
    return replace(found, state=ListState.FAILED, detail=said, due_ms=None)


def told(unit: Unit, ended: EndedCall) -> None:
    """A GetLocalListVersion has ended: -1 is no support, 0 an empty list (2.4)."""
    before = rows.locked(unit, ended.charger)
    found = before or LocalList(charger=ended.charger)
    version = _version_of(ended)
    if version is not None:
        after = _compared(replace(found, told_version=version, told_ms=ended.ended_ms), ended.ended_ms)
    elif found.wanted is not None and ended.answer is not None and ended.outcome in NO_LISTS:
        said = f"the charger answered {ended.outcome} to GetLocalListVersion"
        after = replace(found, state=ListState.UNSUPPORTED, detail=said, due_ms=None)
    else:
        return
    rows.save(unit, before, after, ended.ended_ms)


def _version_of(ended: EndedCall) -> int | None:
    """The version that an answer tells, read as kindly as it was when it came; None where it tells none."""
    try:
        response = ended.response
        return None if response is None else decode(GetLocalListVersionConfirmation, response, strict=False)[0].list_version
    except (msgspec.MsgspecError, Violation):  # what cannot be read must not keep the end of the call from the records
        return None


def _compared(found: LocalList, now_ms: int) -> LocalList:
    """What the version that a charger tells says of what it holds."""
    version = found.told_version
    if version is None or version < 0:
        if found.wanted is None:
            return found
        return replace(found, state=ListState.UNSUPPORTED, detail="the charger has no local list", due_ms=None)
    if version == found.pending_version:  # it did arrive
        found = replace(found, confirmed=found.pending, confirmed_version=version, confirmed_ms=now_ms)
    found = replace(found, pending=None, pending_version=None)
    surprise = found.state is ListState.IN_SYNC and not found.is_as_told
    return _behind(found, now_ms) if surprise or found.state is ListState.UNSUPPORTED else found


def status_notified(unit: Unit, message: Inbound, status: Status) -> None:
    """A conflict that connector 0 tells of is solved by a full list (N-8)."""
    if status.error_code != CONFLICT or status.connector_id != 0:
        return
    before = rows.locked(unit, message.charger)
    if before is None or before.state not in (ListState.IN_SYNC, *WORKED_ON):
        return
    now_ms = message.received_ms
    since_ms = None if before.conflict_ms is None else before.conflict_ms + CONFLICT_INTERVAL_MS
    if since_ms is not None and since_ms > now_ms:
        # Not now; and where it waits for that already there is nothing new.
        if before.due_ms is None:
            rows.save(unit, before, replace(_behind(before, since_ms), whole=True, conflict_ms=since_ms), now_ms)
        return
    rows.save(unit, before, replace(_behind(before, now_ms), whole=True, conflict_ms=now_ms), now_ms)
