"""The configuration keys of a charger: what it tells, asked again where wished, and what is desired of it. docs/http-api.md."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar, cast

from klein import Response
from twisted.internet.defer import Deferred, TimeoutError

from ocppd.central.configuration import Desired
from ocppd.central.configuration_advice import advice
from ocppd.errors import Conflict, InvalidPayload, NotFound, StorageUnavailable
from ocppd.net.rest.answers import empty_answer, json_answer
from ocppd.net.rest.api import Api
from ocppd.net.rest.parameters import encode_cursor, one_of, page, seconds, text
from ocppd.net.rest.preconditions import Preconditions
from ocppd.net.rest.problems import PreconditionFailed
from ocppd.net.rest.routing import Incoming, Route
from ocppd.net.rest.shapes import instant
from ocppd.net.rest.v1 import configuration_shapes as shapes
from ocppd.net.rest.v1.commands import MAX_WAIT_S, UNFINISHED
from ocppd.net.rest.waiting import shielded
from ocppd.storage.records import MessageRecord
from ocppd.storage.records.configuration import KeyRecord, Wish, Wished
from ocppd.v16.configuration_keys import items_of, key_of

T = TypeVar("T")

#: How long a refresh is waited for where nobody says: as long as most chargers take, and some calls more.
REFRESH_S: Final = 30.0
#: Keys that one request may name; more is a refresh of all.
MAX_NAMES: Final = 100


class NoKey(NotFound):
    """The charger has told nothing of such a key, and nothing is desired of it."""

    what = "configuration key"


class NoDesiredValue(NotFound):
    """Nothing is desired of this key."""

    what = "desired value of configuration key"


def key_names(value: str) -> tuple[str, ...]:
    """Keys, separated by commas."""
    names = items_of(value)
    if not 1 <= len(names) <= MAX_NAMES or any(shapes.faults_of_name(name) for name in names):
        raise ValueError(f"expected 1 to {MAX_NAMES} configuration keys, separated by commas")
    return tuple({key_of(name): name for name in names}.values())


WAIT_QUERY: Final = {"wait": seconds(0, MAX_WAIT_S)}
REFRESH_QUERY: Final = {**WAIT_QUERY, "refresh": one_of({"1": True, "true": True, "0": False, "false": False})}
KEYS_QUERY: Final = {**page(text), **REFRESH_QUERY, "keys": key_names}


async def list_keys(api: Api, incoming: Incoming, name: str) -> Response:
    """`GET /chargers/{name}/configuration`: in order of the keys; 202 where a refresh has not ended in time."""
    settings = api.chargers.settings(name)
    wanted = incoming.page(KEYS_QUERY)
    names = wanted.filters.get("keys", ())
    refreshed = await _refreshed(api, name, names, wanted.filters)
    known = await api.mirror.capabilities.read(name)
    chosen = {key_of(each) for each in names}
    rows = [row for key, row in sorted(known.keys.items()) if key > (wanted.after or "") and (not names or key in chosen)]
    shown = rows[: wanted.limit]
    answer = {
        "items": [shapes.key(row) for row in shown],
        "next": encode_cursor(shown[-1].key) if len(rows) > wanted.limit else None,
        "advice": [shapes.advice(each) for each in advice(known, settings.ping_interval_s)],
    }
    if known.read_ms is not None:
        answer["readAt"] = instant(known.read_ms)
    return json_answer(answer, 200 if refreshed else 202)


async def _refreshed(api: Api, charger: str, names: tuple[str, ...], options: dict[str, Any]) -> bool:
    """Ask the charger, where that is wished; False where its answer is not there in time, and will be later."""
    if not options.get("refresh"):
        return True
    asking = shielded(Deferred.fromCoroutine(api.mirror.refresh(charger, names)))
    try:
        await asking.addTimeout(options.get("wait", REFRESH_S), cast(Any, api.clock))
    except TimeoutError:
        return False
    return True


async def get_key(api: Api, incoming: Incoming, name: str, key: str) -> Response:
    """`GET /chargers/{name}/configuration/{key}`: with its ETag; 304 for whoever has it as it is."""
    api.chargers.settings(name)
    options = incoming.query(REFRESH_QUERY)
    _check_name(key)
    refreshed = await _refreshed(api, name, (key,), options)
    found = await api.mirror.read_key(name, key)
    if found is None:
        raise NoKey(key)
    if incoming.preconditions().has(etag_of(found)):
        return empty_answer({"ETag": etag_of(found)}, 304)
    return _answer(found, 200 if refreshed else 202)


def _check_name(key: str) -> None:
    violations = shapes.faults_of_name(key)
    if violations:
        raise InvalidPayload(shapes.SUBJECT, tuple(violations))


def etag_of(key: KeyRecord) -> str:
    """The entity tag: the version."""
    return f'"{key.version}"'


def _answer(key: KeyRecord, status: int, warnings: list[str] | None = None, **headers: str) -> Response:
    told = {**shapes.key(key), **({"warnings": warnings} if warnings else {})}
    return json_answer(told, status, {"ETag": etag_of(key), **headers})


async def put_key(api: Api, incoming: Incoming, name: str, key: str) -> Response:
    """`PUT /chargers/{name}/configuration/{key}`: desire a value, and send it.

    202 with the key as it is; with `?wait=` 200 once the message has ended, in whatever way.
    """
    api.chargers.settings(name)
    options = incoming.query(WAIT_QUERY)
    conditions = incoming.preconditions()
    body = incoming.json_object(shapes.SUBJECT)
    known = await api.mirror.capabilities.read(name)
    value = shapes.read_value(key, body, known)
    shapes.refuse_unsettable(name, key, known)

    def desire(expected: int | None) -> Awaitable[Desired]:
        return api.mirror.desire(name, key, value, expected)

    desiring = _change(api, name, key, conditions, desire, lambda desired: desired.wish)
    desired = await shielded(Deferred.fromCoroutine(desiring))
    if desired.wish.wished is Wished.FULL:
        raise Conflict(f"there are too many keys of {name!r} on record")
    assert desired.wish.now is not None
    return await _ended(api, desired, options.get("wait", 0), shapes.warnings(key, value, known))


async def _ended(api: Api, desired: Desired, wait_s: float, warnings: list[str]) -> Response:
    """The key, once its message has ended or so many seconds are over."""
    now = desired.wish.now
    assert now is not None and (desired.message is not None or now.desired_message is not None)
    message_id = str(now.desired_message if desired.message is None else desired.message.message_id)
    ended = False
    try:
        message: MessageRecord = desired.message or await api.queries.message(message_id)
        ended = (await api.commands.wait(message, wait_s)).state not in UNFINISHED
        now = await api.mirror.read_key(now.charger, now.key) or now
    except StorageUnavailable:
        pass  # what became of it cannot be read, but it was accepted
    return _answer(now, 200 if ended else 202, warnings, Location=f"/api/v1/messages/{message_id}")


async def delete_key(api: Api, incoming: Incoming, name: str, key: str) -> Response:
    """`DELETE /chargers/{name}/configuration/{key}`: give up the desired value; the charger keeps what it has."""
    api.chargers.settings(name)
    incoming.query()
    conditions = incoming.preconditions()
    _check_name(key)

    def withdraw(expected: int | None) -> Awaitable[Wish]:
        return api.mirror.withdraw(name, key, expected)

    wish = await shielded(
        Deferred.fromCoroutine(_change(api, name, key, conditions, withdraw, lambda wish: wish, of_missing=True))
    )
    if wish.wished is Wished.MISSING:
        raise NoDesiredValue(key)
    return empty_answer()


async def _change(
    api: Api,
    charger: str,
    key: str,
    conditions: Preconditions,
    change: Callable[[int | None], Awaitable[T]],
    wish_of: Callable[[T], Wish],
    *,
    of_missing: bool = False,
) -> T:
    """Change the key where it is as it should be; `change` is given the version that it has then. Raises PreconditionFailed.

    With `of_missing`, `change` says itself that nothing is desired: conditions do not hide that (RFC 9110 section 13.2.1).
    """
    if not conditions.given:
        return await change(None)
    while True:
        found = await api.mirror.read_key(charger, key)
        missing = found is None or not found.is_desired
        if not (of_missing and missing) and not conditions.permit(None if found is None else etag_of(found)):
            raise PreconditionFailed
        changed = await change(0 if found is None else found.version)
        if wish_of(changed).wished is not Wished.CONFLICT:  # else somebody came between
            return changed


ROUTES: Final = (
    Route("GET", "/api/v1/chargers/<name>/configuration", list_keys),
    Route("GET", "/api/v1/chargers/<name>/configuration/<key>", get_key),
    Route("PUT", "/api/v1/chargers/<name>/configuration/<key>", put_key, tagged=True),
    Route("DELETE", "/api/v1/chargers/<name>/configuration/<key>", delete_key, tagged=True),
)
