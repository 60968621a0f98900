"""A charger with a local list, scripted at its link."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from ocppd.simulator.authorization import LocalList
from ocppd.v16.local_auth_list import SendLocalListRequest


class ListKeeper:
    """What answers GetLocalListVersion and SendLocalList as the specification says, and keeps what it was sent.

    `instead` are answers to the next SendLocalLists: a status, None for silence, or a whole function of the call; `applies`
    says whether the list is changed all the same.
    """

    def __init__(self, limit: int = 10_000) -> None:
        self.list = LocalList(limit)
        self.version: int | None = None
        self.instead: list[Any] = []
        self.applies = False
        self.asked = 0
        self.sent: list[dict[str, Any]] = []

    def __call__(self, call: list[Any]) -> str | None:
        _, message_id, action, payload = call
        if action == "GetLocalListVersion":
            self.asked += 1
            version = self.list.version if self.version is None else self.version
            return json.dumps([3, message_id, {"listVersion": version}])
        if action != "SendLocalList":
            return json.dumps([3, message_id, {"status": "Accepted"}])
        self.sent.append(payload)
        answer: Any = self.instead.pop(0) if self.instead else "as it should be"
        if answer != "as it should be" and not self.applies:
            return answer(call) if callable(answer) else self._status(message_id, answer)
        request = msgspec.convert(payload, SendLocalListRequest)
        status = self.list.update(request.list_version, request.update_type, request.local_authorization_list or ())
        if answer == "as it should be":
            return self._status(message_id, status)
        return answer(call) if callable(answer) else self._status(message_id, answer)

    @staticmethod
    def _status(message_id: str, status: str | None) -> str | None:
        return None if status is None else json.dumps([3, message_id, {"status": status}])

    @property
    def tags(self) -> dict[str, str]:
        """The tags that it holds, with their status."""
        return {key: str(info.status) for key, info in self.list._entries.items()}

    @property
    def kinds(self) -> list[tuple[str, int, int]]:
        """What it was sent: kind, version, number of entries."""
        return [(each["updateType"], each["listVersion"], len(each.get("localAuthorizationList", ()))) for each in self.sent]
