"""Whether a call of ours is accepted, by where its charger is and how it is registered. Pure. REQUIREMENTS 2.2, S-6."""

from __future__ import annotations

from ocppd.central.calls import PendingCall
from ocppd.central.registration import asks_for_boot, may_send, may_wait, why_not
from ocppd.errors import CallFailed, HolderUnreachable, NotConnected, NotPermitted
from ocppd.storage.records import Holding
from ocppd.v16.types import Message, RegistrationStatus


def forbidden(call: PendingCall, registration: RegistrationStatus | None) -> NotPermitted | None:
    """Why a call may neither go to a connected charger now nor wait for a better registration (2.2)."""
    if call.queues and may_wait(registration, call.request, call.action):
        return None
    if may_send(registration, call.request, call.action):
        return None
    return NotPermitted(call.charger, call.action, why_not(registration, call.request))


def most_waiting(limit: int, request: Message) -> int:
    """How many calls may wait for a charger where this one comes: the trigger of a boot that they wait for has room besides."""
    return limit + 1 if asks_for_boot(request) else limit


def refused(call: PendingCall, holding: Holding, node: str, *, here: bool, reachable: bool) -> CallFailed | None:
    """Why a call is not accepted for a charger without a connection on this node. Pure: runs on the writer's thread.

    `here`: it is about to be connected to this node, which `holding` may say for a while after it was.
    """
    if holding.node is None or (holding.node == node and not here):
        return None if call.queues else NotConnected(call.charger)
    if holding.node != node and not reachable:
        return HolderUnreachable(call.charger)
    return forbidden(call, holding.registration)
