"""`/healthz` and `/readyz`: ok or not ok, for everybody, so nothing else is said and nothing costly is done for them."""

from __future__ import annotations

from typing import Any, Final, cast

from twisted.internet.defer import Deferred, TimeoutError
from twisted.logger import Logger
from twisted.python.failure import Failure

from ocppd.errors import StorageUnavailable
from ocppd.net.rest.api import Api

log = Logger()

#: An orchestrator gives up after some seconds; a disk that takes two for one commit is not well.
CHECK_TIMEOUT_S: Final = 2.0
#: A check is a write: for so long its result is good for all who ask.
CHECK_GOOD_S: Final = 1.0


class Readiness:
    """Whether a command would be accepted now. One check of the storage at a time, whoever asks."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._checking = False
        self._waiting: list[Deferred[bool]] = []
        self._result = False
        self._good_until = float("-inf")

    async def ready(self) -> bool:
        """False also where the storage does not say within CHECK_TIMEOUT_S."""
        if not self._api.ready():
            return False
        if self._api.clock.seconds() < self._good_until:
            return self._result
        answer: Deferred[bool] = Deferred(self._forget)
        self._waiting.append(answer)
        if not self._checking:
            self._checking = True
            checked = self._api.storage.check().addCallbacks(lambda _: True, self._not_ready)
            checked.addCallback(self._checked)
        try:
            return await answer.addTimeout(CHECK_TIMEOUT_S, cast(Any, self._api.clock))
        except TimeoutError:
            return False

    def _forget(self, answer: Deferred[bool]) -> None:
        if answer in self._waiting:
            self._waiting.remove(answer)

    @staticmethod
    def _not_ready(failure: Failure) -> bool:
        if not failure.check(StorageUnavailable):
            log.failure("the check of the storage failed", failure)
        return False

    def _checked(self, result: bool) -> None:
        self._checking = False
        self._result = result
        self._good_until = self._api.clock.seconds() + CHECK_GOOD_S
        waiting, self._waiting = self._waiting, []
        for answer in waiting:
            answer.callback(result)
