"""Id tags: those that operators keep, those of the configuration, and those that nobody knows. docs/http-api.md."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Final
from urllib.parse import quote

import msgspec
from klein import Response
from twisted.internet.defer import Deferred

from ocppd.central.authorization import id_tag_key
from ocppd.clock import now_ms
from ocppd.net.rest import shapes
from ocppd.net.rest.answers import empty_answer, json_answer, page_answer
from ocppd.net.rest.api import Api
from ocppd.net.rest.parameters import choice, page, text
from ocppd.net.rest.preconditions import Preconditions
from ocppd.net.rest.problems import InConfiguration, NoIdTag, NoUnknownIdTag, PreconditionFailed
from ocppd.net.rest.routing import Incoming, Route
from ocppd.net.rest.v1.id_tag_bodies import SUBJECT, TagStatus, read_tag
from ocppd.net.rest.waiting import shielded
from ocppd.storage.records import Change, Changed, IdTag, IdTagFilter
from ocppd.v16.types import AuthorizationStatus

#: The two parts of the list, in their order.
CONFIGURED, RECORDED = "c", "r"
#: No charger has this name: what holds at one of them alone, since a start was sent to it, is not asked for.
NOWHERE: Final = ""


def position(cursor: str) -> tuple[str, str]:
    """A place in the list: the part, and the key in it."""
    part, blank, key = cursor.partition(" ")
    if part not in (CONFIGURED, RECORDED) or not blank:
        raise ValueError("no place")
    return part, key


ID_TAGS_QUERY: Final = {**page(position), "parent": text, "status": choice(TagStatus)}
UNKNOWN_QUERY: Final = page(text)


async def list_id_tags(api: Api, incoming: Incoming) -> Response:
    """`GET /id-tags`: those of the configuration, then those of the records, each in order of their keys."""
    wanted = incoming.page(ID_TAGS_QUERY)
    parent, status = wanted.filters.get("parent"), wanted.filters.get("status")
    which = IdTagFilter(
        parent_key=None if parent is None else id_tag_key(parent),
        status=None if status is None else AuthorizationStatus(status),
    )
    part, key = wanted.after or (CONFIGURED, "")
    found: list[IdTag] = []
    if part == CONFIGURED:
        found, key = _configured(api, which, key), ""
    if len(found) <= wanted.limit:
        found += await _recorded(api, which, key, wanted.limit + 1 - len(found))
    return page_answer(found, wanted.limit, shapes.id_tag, lambda tag: f"{RECORDED if tag.version else CONFIGURED} {tag.key}")


def _configured(api: Api, which: IdTagFilter, after: str) -> list[IdTag]:
    return [tag for key, tag in sorted(api.rules.configured.items()) if key > after and _passes(tag, which)]


def _passes(tag: IdTag, which: IdTagFilter) -> bool:
    """As storage does it."""
    return which.parent_key in (None, tag.parent_key) and which.status in (None, tag.status)


async def _recorded(api: Api, which: IdTagFilter, after: str, count: int) -> list[IdTag]:
    """Those of the records that no tag of the configuration comes before."""
    found: list[IdTag] = []
    while len(found) < count:
        chunk = await api.storage.list_id_tags(which, after, count)
        found += [tag for tag in chunk if tag.key not in api.rules.configured]
        if len(chunk) < count:
            break
        after = chunk[-1].key
    return found[:count]


async def get_id_tag(api: Api, incoming: Incoming, tag: str) -> Response:
    """`GET /id-tags/{tag}`: with its ETag; 304 for whoever has it as it is."""
    incoming.query()
    found = await _find(api, tag)
    if incoming.preconditions().has(etag_of(found)):
        return empty_answer({"ETag": etag_of(found)}, 304)
    return _answer(found)


async def _find(api: Api, tag: str) -> IdTag:
    """Raises NoIdTag."""
    key = id_tag_key(tag)
    found = api.rules.configured.get(key) or await api.storage.read_id_tag(key)
    if found is None:
        raise NoIdTag(tag)
    return found


def etag_of(tag: IdTag) -> str:
    """The entity tag: the version, or what stands in the configuration, which has no versions."""
    if tag.version:
        return f'"{tag.version}"'
    return f'"c{hashlib.sha256(msgspec.json.encode(shapes.id_tag(tag))).hexdigest()[:16]}"'


def _answer(tag: IdTag, status: int = 200, **headers: str) -> Response:
    return json_answer(shapes.id_tag(tag), status, {"ETag": etag_of(tag), **headers})


async def put_id_tag(api: Api, incoming: Incoming, tag: str) -> Response:
    """`PUT /id-tags/{tag}`: 201 where it is made, 200 where it is changed, or as it was."""
    incoming.query()
    conditions = incoming.preconditions()
    _refuse_configured(api, tag)
    wished = read_tag(incoming.json_object(SUBJECT), tag)

    def put(expected: int | None) -> Deferred[Changed]:
        return api.storage.put_id_tag(wished, expected, now_ms(api.clock))

    changed = await shielded(Deferred.fromCoroutine(_change(api, wished.key, conditions, put)))
    assert changed.tag is not None
    if changed.change is Change.CREATED:
        return _answer(changed.tag, 201, Location=f"/api/v1/id-tags/{quote(tag, safe='')}")
    return _answer(changed.tag)


async def delete_id_tag(api: Api, incoming: Incoming, tag: str) -> Response:
    """`DELETE /id-tags/{tag}`: it is unknown from then on."""
    incoming.query()
    conditions = incoming.preconditions()
    _refuse_configured(api, tag)
    key = id_tag_key(tag)

    def delete(expected: int | None) -> Deferred[Changed]:
        return api.storage.delete_id_tag(key, expected)

    changed = await shielded(Deferred.fromCoroutine(_change(api, key, conditions, delete, of_missing=True)))
    if changed.change is Change.MISSING:
        raise NoIdTag(tag)
    return empty_answer()


def _refuse_configured(api: Api, tag: str) -> None:
    if id_tag_key(tag) in api.rules.configured:
        raise InConfiguration(tag)


async def _change(
    api: Api, key: str, conditions: Preconditions, change: Callable[[int | None], Deferred[Changed]], *, of_missing: bool = False
) -> Changed:
    """Change the tag where it is as it should be; `change` is given the version that it has then. Raises PreconditionFailed.

    With `of_missing`, `change` says itself that there is no tag: conditions do not hide that (RFC 9110 section 13.2.1).
    """
    if not conditions.given:
        return await change(None)
    while True:
        found = await api.storage.read_id_tag(key)
        if not (of_missing and found is None) and not conditions.permit(None if found is None else etag_of(found)):
            raise PreconditionFailed
        changed = await change(0 if found is None else found.version)
        if changed.change is not Change.CONFLICT:  # else somebody came between
            return changed


async def get_verdict(api: Api, incoming: Incoming, tag: str) -> Response:
    """`GET /id-tags/{tag}/verdict`: what Authorize would be answered by the rules. Nothing is recorded."""
    incoming.query()
    now = now_ms(api.clock)
    standing = await api.storage.id_tag_standing(id_tag_key(tag), api.rules.configured, NOWHERE, now)
    return json_answer(shapes.verdict(api.rules.verdict(standing, now)))


async def list_unknown_id_tags(api: Api, incoming: Incoming) -> Response:
    """`GET /unknown-id-tags`: tags that were refused because nobody knows them, in order of their keys (A-5)."""
    wanted = incoming.page(UNKNOWN_QUERY)
    rows = await api.storage.list_unknown_id_tags(wanted.after or "", wanted.limit + 1)
    return page_answer(rows, wanted.limit, shapes.unknown_id_tag, lambda row: id_tag_key(row.id_tag))


async def forget_unknown_id_tag(api: Api, incoming: Incoming, tag: str) -> Response:
    """`DELETE /unknown-id-tags/{tag}`: forget that it was presented."""
    incoming.query()
    if not await shielded(api.storage.forget_unknown_id_tag(id_tag_key(tag))):
        raise NoUnknownIdTag(tag)
    return empty_answer()


ROUTES: Final = (
    Route("GET", "/api/v1/id-tags", list_id_tags),
    Route("GET", "/api/v1/id-tags/<tag>", get_id_tag),
    Route("PUT", "/api/v1/id-tags/<tag>", put_id_tag, tagged=True),
    Route("DELETE", "/api/v1/id-tags/<tag>", delete_id_tag, tagged=True),
    Route("GET", "/api/v1/id-tags/<tag>/verdict", get_verdict),
    Route("GET", "/api/v1/unknown-id-tags", list_unknown_id_tags),
    Route("DELETE", "/api/v1/unknown-id-tags/<tag>", forget_unknown_id_tag),
)
