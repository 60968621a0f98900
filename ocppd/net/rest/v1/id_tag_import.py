"""Many id tags at once. docs/http-api.md."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from klein import Response
from twisted.internet.defer import Deferred

from ocppd.central.authorization import id_tag_key
from ocppd.clock import now_ms
from ocppd.errors import InvalidPayload, Violation
from ocppd.net.rest.answers import json_answer
from ocppd.net.rest.api import Api
from ocppd.net.rest.body import CSV_TYPE, IMPORT_PATH, body_of
from ocppd.net.rest.routing import Incoming, Route
from ocppd.net.rest.v1.id_tag_bodies import TAG, Row, read_tag, rows_of_csv, rows_of_json, wrong
from ocppd.net.rest.waiting import shielded
from ocppd.storage.records import Change, IdTag

#: Tags of one commit: others, whose transactions wait for theirs, come in between.
PORTION: Final = 500


async def import_id_tags(api: Api, incoming: Incoming) -> Response:
    """`POST /id-tags/import`: the right ones are stored, the wrong ones are told. An import may be sent again."""
    incoming.query()
    body = body_of(incoming.request)
    rows = rows_of_csv(body) if incoming.media_type == CSV_TYPE else rows_of_json(body)
    return json_answer(await shielded(Deferred.fromCoroutine(Import(api).run(rows))))


class Import:
    """One import, and what became of its rows."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._seen: set[str] = set()
        self._changes: Counter[Change] = Counter()
        self._refused: list[dict[str, Any]] = []

    async def run(self, rows: Sequence[Row]) -> dict[str, Any]:
        """Store portion by portion; gives the answer. Fails with StorageUnavailable, where a part may be stored."""
        for start in range(0, len(rows), PORTION):
            tags = self._good(rows[start : start + PORTION])
            # Also without any: what many wrong rows take must not be taken at one go.
            changes = await self._api.storage.put_id_tags(tags, now_ms(self._api.clock))
            self._changes.update(each.change for each in changes)
        return {
            "created": self._changes[Change.CREATED],
            "updated": self._changes[Change.UPDATED],
            "unchanged": self._changes[Change.UNCHANGED],
            "refused": self._refused,
        }

    def _good(self, rows: Sequence[Row]) -> list[IdTag]:
        """The tags that can be stored; the other rows are refused."""
        tags = []
        for row in rows:
            violations = [*row.faults, *self._taken(row.value)]
            try:
                tag = read_tag(row.value)
            except InvalidPayload as error:
                violations += error.violations
            else:
                if not violations:
                    tags.append(tag)
            if violations:
                self._refuse(row, violations)
        return tags

    def _taken(self, value: Any) -> Sequence[Violation]:
        """Why the tag cannot be taken from here, be it right or wrong."""
        name = value.get("idTag") if isinstance(value, dict) else None
        if not isinstance(name, str):
            return ()
        key = id_tag_key(name)
        if key in self._seen:
            return (wrong(TAG, "the tag stands there twice; upper and lower case are the same"),)
        self._seen.add(key)
        return (wrong(TAG, "the tag is in the configuration"),) if key in self._api.rules.configured else ()

    def _refuse(self, row: Row, violations: Sequence[Violation]) -> None:
        shown = {} if row.shown is None else {"idTag": row.shown}
        errors = [{"pointer": each.pointer, "detail": each.reason} for each in violations]
        self._refused.append({"line": row.line, **shown, "errors": errors})


ROUTES: Final[tuple[Route, ...]] = (Route("POST", IMPORT_PATH, import_id_tags),)
