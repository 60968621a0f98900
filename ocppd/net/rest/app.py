"""The HTTP side of the port as one resource: which route answers, how errors are told.

`make_resource` and `Api` are all that the rest of the daemon knows of this room. Routes are tables in `seed` and `v1`;
their handlers raise, and the one table in `problems` says what that is in HTTP.
"""

from __future__ import annotations

from typing import Any, Final, cast

from klein import Klein
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.resource import IResource
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from ocppd.errors import OcppdError
from ocppd.net.rest import seed
from ocppd.net.rest.access import PathClass
from ocppd.net.rest.answers import empty_answer, problem_answer, text_answer
from ocppd.net.rest.api import Api
from ocppd.net.rest.entrance import Entrance, path_class
from ocppd.net.rest.health import Readiness
from ocppd.net.rest.idempotency import HEADER, Once
from ocppd.net.rest.problems import InternalError, NoSuchMethod, NoSuchPath, PreconditionFailed, is_known, problem_of
from ocppd.net.rest.routing import READING, Incoming, Route
from ocppd.net.rest.short import ShortRoutes
from ocppd.net.rest.v1 import (
    authority,
    availability,
    certificate_requests,
    certificates,
    charger_entries,
    chargers,
    charging_profiles,
    charging_templates,
    commands,
    composite_schedules,
    configuration,
    conformance,
    credentials,
    events,
    files,
    firmware,
    fleet_jobs,
    id_tag_import,
    id_tags,
    local_lists,
    logs,
    messages,
    meter_values,
    reservations,
    security_events,
    transactions,
)

__all__ = ["Api", "make_resource"]

log = Logger()

#: What is below it takes an Idempotency-Key.
API_ROOT: Final = "/api/v1/"

ROUTES: Final[tuple[Route, ...]] = (
    *seed.ROUTES,
    *chargers.ROUTES,
    *charger_entries.ROUTES,
    *credentials.ROUTES,
    *commands.ROUTES,
    *configuration.ROUTES,
    *messages.ROUTES,
    *transactions.ROUTES,
    *meter_values.ROUTES,
    *events.ROUTES,
    *id_tags.ROUTES,
    *id_tag_import.ROUTES,
    *availability.ROUTES,
    *charging_templates.ROUTES,
    *charging_profiles.ROUTES,
    *composite_schedules.ROUTES,
    *certificate_requests.ROUTES,
    *certificates.ROUTES,
    *authority.ROUTES,
    *security_events.ROUTES,
    *reservations.ROUTES,
    *local_lists.ROUTES,
    *firmware.ROUTES,
    *logs.ROUTES,
    *files.ROUTES,
    *conformance.ROUTES,
    *fleet_jobs.ROUTES,
)
#: What programs ask for often; nothing else of the API has a path of these shapes with these methods.
SHORT_ROUTES: Final[tuple[Route, ...]] = (
    *commands.ROUTES,
    *seed.ROUTES,
    *(route for route in (*chargers.ROUTES, *messages.ROUTES) if route.handler in (chargers.get_charger, messages.get_message)),
)


def make_resource(api: Api) -> IResource:
    """The root resource of the HTTP API, health and charger paths included: for every request that is no Upgrade.

    Serve it with `ocppd.net.rest.body.ApiRequest` as the site's `requestFactory`, which bounds what a body takes.
    """
    application = RestApplication(api)
    short = ShortRoutes(api, SHORT_ROUTES, application.healthz, application.failed)
    return cast(IResource, Entrance(api, application.app.resource(), short))


class RestApplication:
    """The routes, and how what they raise is told.

    Klein takes a `klein.Response` from a handler, but its annotations do not say so; hence Any.
    """

    app = Klein()

    def __init__(self, api: Api) -> None:
        self.api = api
        self.once = Once(api)
        self._readiness = Readiness(api)

    @app.route("/healthz", methods=READING)
    async def healthz(self, request: Any) -> Any:
        """The process answers."""
        return text_answer("ok")

    @app.route("/readyz", methods=READING)
    async def readyz(self, request: Any) -> Any:
        """The daemon has started, is not stopping, and its storage commits."""
        return text_answer("ok") if await self._readiness.ready() else text_answer("not ok", 503)

    @app.handle_errors(MethodNotAllowed)
    def wrong_method(self, request: Any, failure: Failure) -> Any:
        """405; for OPTIONS the same without the error."""
        error: Any = failure.value
        allowed = sorted({*error.valid_methods, "OPTIONS"})
        if request.method == b"OPTIONS":
            return empty_answer({"Allow": ", ".join(allowed)})
        return problem_answer(problem_of(NoSuchMethod(allowed)))

    @app.handle_errors(HTTPException)
    def no_route(self, request: Any, failure: Failure) -> Any:
        """404, also where Klein would redirect to a path with fewer slashes."""
        return problem_answer(problem_of(NoSuchPath()))

    @app.handle_errors(Exception)
    def failed(self, request: Any, failure: Failure) -> Any:
        """What a handler raised: an error of the table, or a bug, of which only the log tells."""
        error: Any = failure.value
        if isinstance(error, OcppdError) and is_known(error):
            return problem_answer(problem_of(error))
        log.failure("{method} {path} failed", failure, method=_shown(request.method), path=_shown(request.path))
        if path_class(request.path) is PathClass.SEED:
            return text_answer(seed.SERVER_ERROR.text, seed.SERVER_ERROR.status)
        return problem_answer(problem_of(InternalError()))


def _add(route: Route) -> None:
    changes = route.method != "GET" and route.rule.startswith(API_ROOT)

    async def call(self: RestApplication, request: Any, **segments: str) -> Any:
        incoming = Incoming(request)
        if changes and not route.tagged and not incoming.preconditions().permit_untagged:
            raise PreconditionFailed
        if route.method == "DELETE":
            incoming.refuse_body()
        if changes and incoming.has_header(HEADER):
            return await self.once.run(incoming, lambda identified: route.handler(self.api, identified, **segments))
        return await route.handler(self.api, incoming, **segments)

    RestApplication.app.route(route.rule, methods=route.methods, endpoint=f"{route.method} {route.rule}")(call)


for _route in ROUTES:
    _add(_route)


def _shown(text: bytes) -> str:
    return text.decode("ascii", "backslashreplace")
