"""The local authorization lists of chargers. docs/http-api.md."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec
from klein import Response
from twisted.internet.defer import Deferred

from ocppd.clock import now_ms
from ocppd.errors import NotFound
from ocppd.net.rest.answers import empty_answer, json_answer, page_answer
from ocppd.net.rest.api import Api
from ocppd.net.rest.parameters import boolean, page, seconds, text
from ocppd.net.rest.preconditions import Preconditions
from ocppd.net.rest.problems import PreconditionFailed
from ocppd.net.rest.routing import Incoming, Route
from ocppd.net.rest.shapes import instant
from ocppd.net.rest.v1.commands import MAX_WAIT_S
from ocppd.net.rest.v1.local_list_bodies import SUBJECT, read_sync, read_wanted
from ocppd.net.rest.waiting import shielded
from ocppd.storage.records import Change
from ocppd.storage.records.local_lists import WORKED_ON, ListChanged, LocalList, Wanted, Work
from ocppd.v16.types import AuthorizationData

WAIT_QUERY: Final = {"wait": seconds(0, MAX_WAIT_S)}
ENTRIES_QUERY: Final = {**page(text), "differing": boolean}


class NoLocalList(NotFound):
    """Nothing is wanted of the list of that charger, and nothing is known of it."""

    what = "local list of charger"


async def get_list(api: Api, incoming: Incoming, name: str) -> Response:
    """`GET /chargers/{name}/local-list`: what is wanted of it, and how far that has come."""
    incoming.query()
    api.chargers.settings(name)
    return _answer(await _find(api, name))


async def _find(api: Api, name: str) -> LocalList:
    """Raises NoLocalList."""
    found = await api.storage.local_lists.read(name, api.local_lists.digest)
    if found is None:
        raise NoLocalList(name)
    return found


def etag_of(found: LocalList | None) -> str | None:
    """The entity tag of what is wanted; how far that has come has none."""
    return None if found is None or found.wanted is None else f'"{found.wanted_version}"'


def _answer(found: LocalList, status: int = 200, **headers: str) -> Response:
    etag = etag_of(found)
    return json_answer(local_list(found), status, {**({} if etag is None else {"ETag": etag}), **headers})


async def put_list(api: Api, incoming: Incoming, name: str) -> Response:
    """`PUT /chargers/{name}/local-list`: 201 where nothing was wanted of it, else 200. The list is seen to at once."""
    options = incoming.query(WAIT_QUERY)
    conditions = incoming.preconditions()
    api.chargers.settings(name)
    wanted = read_wanted(incoming.json_object(SUBJECT))

    def put(expected: int | None) -> Deferred[ListChanged]:
        return api.storage.local_lists.put(name, wanted, expected, now_ms(api.clock))

    changed = await shielded(Deferred.fromCoroutine(_change(api, name, conditions, put)))
    status = 201 if changed.change is Change.CREATED else 200
    return _answer(await _seen_to(api, name, options.get("wait", 0)), status)


async def _seen_to(api: Api, name: str, wait_s: float) -> LocalList:
    """The list, after so many seconds at most for this node to see to it."""
    api.local_lists.look(name)
    await api.local_lists.wait(name, wait_s)
    return await _find(api, name)


async def delete_list(api: Api, incoming: Incoming, name: str) -> Response:
    """`DELETE /chargers/{name}/local-list`: nothing more is wanted of it. The charger keeps what it has."""
    incoming.query()
    conditions = incoming.preconditions()
    api.chargers.settings(name)

    def delete(expected: int | None) -> Deferred[ListChanged]:
        return api.storage.local_lists.delete(name, expected)

    changed = await shielded(Deferred.fromCoroutine(_change(api, name, conditions, delete, of_missing=True)))
    if changed.change is Change.MISSING:
        raise NoLocalList(name)
    return empty_answer()


async def _change(
    api: Api,
    name: str,
    conditions: Preconditions,
    change: Callable[[int | None], Deferred[ListChanged]],
    *,
    of_missing: bool = False,
) -> ListChanged:
    """Change what is wanted where that is as it should be. Raises PreconditionFailed."""
    if not conditions.given:
        return await change(None)
    while True:
        found = await api.storage.local_lists.read(name, api.local_lists.digest)
        etag = etag_of(found)
        if not (of_missing and etag is None) and not conditions.permit(etag):
            raise PreconditionFailed
        changed = await change(0 if found is None or etag is None else found.wanted_version)
        if changed.change is not Change.CONFLICT:  # else somebody came between
            return changed


async def sync(api: Api, incoming: Incoming, name: str) -> Response:
    """`POST /chargers/{name}/local-list/sync`: see to it now, also where it has failed. 202, or 200 where that is over."""
    options = incoming.query(WAIT_QUERY)
    api.chargers.settings(name)
    full = read_sync(incoming.json_object(SUBJECT))
    asked = await shielded(api.storage.local_lists.ask_again(name, now_ms(api.clock), whole=full))
    if asked is None:
        raise NoLocalList(name)
    found = await _seen_to(api, name, options.get("wait", 0))
    return _answer(found, 202 if found.state in WORKED_ON else 200)


async def list_entries(api: Api, incoming: Incoming, name: str) -> Response:
    """`GET /chargers/{name}/local-list/entries`: tag by tag, what is wanted and what the charger has confirmed."""
    wanted = incoming.page(ENTRIES_QUERY)
    api.chargers.settings(name)
    work = await api.storage.local_lists.compare(name, api.rules.configured)
    if work is None:
        raise NoLocalList(name)
    rows = [row for row in _entries(work, wanted.after or "") if wanted.filters.get("differing") in (None, row["differs"])]
    return page_answer(rows[: wanted.limit + 1], wanted.limit, lambda row: row, lambda row: row["idTag"].lower())


def _entries(work: Work, after: str) -> Iterator[dict[str, Any]]:
    held = work.found.confirmed or {}
    for key in sorted({*work.wanted, *held}):
        if key > after:
            yield _entry(work.wanted.get(key), held.get(key))


def _entry(wanted: AuthorizationData | None, held: AuthorizationData | None) -> dict[str, Any]:
    spelt = wanted or held
    assert spelt is not None
    infos = {"wanted": wanted and wanted.id_tag_info, "confirmed": held and held.id_tag_info}
    shown = {name: msgspec.to_builtins(info) for name, info in infos.items() if info}
    return {"idTag": spelt.id_tag, **shown, "differs": infos["wanted"] != infos["confirmed"]}


def local_list(found: LocalList) -> dict[str, Any]:
    """A local list. What does not apply is left out."""
    shown = {
        "charger": found.charger,
        "state": found.state,
        "detail": found.detail,
        "wanted": None if found.wanted is None else _wanted(found.wanted),
        "sentVersion": found.sent_version or None,
        "confirmedVersion": found.confirmed_version,
        "confirmedEntries": None if found.confirmed is None else len(found.confirmed),
        "confirmedAt": None if found.confirmed_ms is None else instant(found.confirmed_ms),
        "chargerVersion": found.told_version,
        "chargerVersionAt": None if found.told_ms is None else instant(found.told_ms),
        "nextAttempt": instant(found.due_ms) if found.due_ms is not None and found.attempts else None,
    }
    return {name: value for name, value in shown.items() if value is not None}


def _wanted(wanted: Wanted) -> dict[str, Any]:
    """As it is put."""
    shown: dict[str, Any] = {}
    if not wanted.follows:
        shown["entries"] = [_put_entry(entry) for entry in wanted.entries]
    if wanted.all_tags:
        shown["allTags"] = True
    if wanted.parents:
        shown["parents"] = list(wanted.parents)
    if wanted.id_tags:
        shown["idTags"] = list(wanted.id_tags)
    return shown | ({} if wanted.send_limit is None else {"sendLimit": wanted.send_limit})


def _put_entry(entry: AuthorizationData) -> dict[str, Any]:
    return {"idTag": entry.id_tag, **(msgspec.to_builtins(entry.id_tag_info) if entry.id_tag_info else {})}


_PATH: Final = "/api/v1/chargers/<name>/local-list"
ROUTES: Final = (
    Route("GET", _PATH, get_list),
    Route("PUT", _PATH, put_list, tagged=True),
    Route("DELETE", _PATH, delete_list, tagged=True),
    Route("POST", f"{_PATH}/sync", sync),
    Route("GET", f"{_PATH}/entries", list_entries),
)
